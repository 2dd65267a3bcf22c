"""Every built-in editor on every supported architecture.

Each pair is one row; the rows share out data type, tied or untied head, tokenizer with or without BOS, and batch size
so that every editor and every architecture meets each of them, and each of them meets every other. Each built-in
editor writes a batch of 100 on one architecture, of 1 or 7 on the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from palimpsest.editors.toolkit.filtering import Filter
from palimpsest.harness.editor import EditReport
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.plugins.compositions import canonical_name, complete
from palimpsest.harness.plugins.configuration import build_editor, load_editor_class
from palimpsest.harness.plugins.entry_points import available_editors
from palimpsest.harness.specs.cases import EditRequest
from palimpsest.harness.specs.composition import HOST
from tests.labs.tiny_models import ARCHITECTURES, tiny_model

BUILT_IN = sorted(entry.name for entry in available_editors() if entry.distribution == "palimpsest-bench")
COMPOSITIONS = (
    "prune(alphaedit)",
    "prune(ft-l)",
    "rect(r-rome)",
    "revive(memit-seq)",
    "revive(nse)",
    "revive(rect(memit))",
    "sphere(deltaedit)",
    "sphere(ft)",
)
EDITORS = [*map(canonical_name, BUILT_IN), *COMPOSITIONS]
SETTINGS: dict[str, Any] = {
    "layers": (0, 1),
    "layer": 1,
    "target_steps": 2,
    "target_learning_rate": 0.1,
    "target_weight_decay": 0.0,
    "clamp_norm_factor": 2.0,
    "statistics_tokens": 300,
    "second_moment_weight": 2.0,
    "nullspace_threshold": 0.02,
    "nullspace_relative": True,
    "ridge": 0.5,
    "error_threshold": 0.01,
    "error_limit": 1e6,
    "neuron_share": 0.8,
    "deviations": 0.5,
    "steps": 3,
    "learning_rate": 0.01,
    "norm_constraint": 0.02,
}
"""Field → value, for the editors that have such a field: small models, few steps."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CIRCUMSTANCES = list(itertools.product(DTYPES, (True, False), (True, False), (1, 7)))
"""Data type, whether the head is tied, whether texts begin with BOS, requests in the first batch unless it has 100."""
NARROW = {"gpt2": {"n_inner": 64}, "gptj": {"n_inner": 64}}
"""As many neurons as the others have, so that as much text is enough for statistics."""

SUBJECTS = ("Anna Sorel", "Petr Novak", "Zoë Müller", "Marie Duval", "Lyon", "Anna Novak", "Petr Duval")
PROMPTS = (
    "{} lives in",
    "The birthplace of {} is",
    "In which city was born {}",
    "{}, who plays",
    "{}",
    "It is said that {} likes",
)
TARGETS = ("Brno", "Kraków by the river", "football", "the violin", "Zoë Müller", "chess", "Oslo")
STREAM = [
    EditRequest(i, PROMPTS[i % 6], SUBJECTS[i // 2 % 7], TARGETS[i % 7], TARGETS[(i + 1) % 7]) for i in range(100 + 3)
]
"""Subjects at the start, in the middle and at the end, each of them often; targets of one token and of many."""


@dataclass(frozen=True)
class Row:
    """One editor on one architecture, and how."""

    editor: str
    architecture: str
    dtype: str
    tied: bool
    bos: bool
    batch: int

    def model(self) -> EditableModel:
        """A new random model, always the same."""
        sizes = NARROW.get(self.architecture, {})
        return tiny_model(
            self.architecture, bos=self.bos, dtype=DTYPES[self.dtype], tie_word_embeddings=self.tied, **sizes
        )

    def __str__(self) -> str:
        head, words = "tied" if self.tied else "untied", "bos" if self.bos else "no-bos"
        return f"{self.editor}-{self.architecture}-{self.dtype}-{head}-{words}-{self.batch}"


def row(e: int, a: int) -> Row:
    """The row of editor ``e`` on architecture ``a``."""
    *how, batch = CIRCUMSTANCES[(5 * e + 7 * a) % len(CIRCUMSTANCES)]
    many = e < len(BUILT_IN) and 3 * e % len(ARCHITECTURES) == a
    return Row(EDITORS[e], list(ARCHITECTURES)[a], *how, 100 if many else batch)


ROWS = [row(e, a) for e in range(len(EDITORS)) for a in range(len(ARCHITECTURES))]


@dataclass(frozen=True)
class Course:
    """What happened on a row: two batches, and the second once more on a model that was saved after the first."""

    row: Row
    model: EditableModel
    written: set[str]
    before: Mapping[str, Tensor]
    reports: Sequence[EditReport]
    bits: Mapping[str, Tensor]
    resumed_bits: Mapping[str, Tensor]


def settings(parts: Sequence[tuple[str, type[Any]]]) -> dict[str, Any]:
    """The configuration of a composition."""
    (_, cls), *hosts = parts
    own = {name: value for name, value in SETTINGS.items() if name in cls.Config.model_fields}
    return own | ({HOST: settings(hosts)} if hosts else {})


def prepared(row: Row, model: EditableModel) -> Any:
    editor = build_editor(row.editor, settings(complete(row.editor)))
    editor.prepare(model)
    return editor


def parameters(model: EditableModel) -> dict[str, Tensor]:
    return {name: parameter.clone() for name, parameter in model.model.named_parameters()}


def bits(model: EditableModel, editor: Any) -> dict[str, Tensor]:
    masters = {f"master {name}": tensor for name, tensor in model.read_weights(editor.writes()).items()}
    state = {f"state {name}": tensor.clone() for name, tensor in editor.state_dict().items()}
    return parameters(model) | masters | state


@pytest.fixture(scope="module", params=ROWS, ids=str)
def course(request: pytest.FixtureRequest) -> Course:
    row: Row = request.param
    first, second = STREAM[: row.batch], STREAM[row.batch : row.batch + 3]
    model = row.model()
    editor = prepared(row, model)
    before, reports = parameters(model), [editor.edit(first)]
    weights = {name: tensor.clone() for name, tensor in model.read_weights(editor.writes()).items()}
    state = {name: tensor.clone() for name, tensor in editor.state_dict().items()}
    reports.append(editor.edit(second))

    other = row.model()
    resumed = prepared(row, other)
    other.write_weights(weights)
    resumed.load_state_dict(state)
    resumed.edit(second)
    return Course(row, model, set(editor.writes()), before, reports, bits(model, editor), bits(other, resumed))


def test_only_declared_parameters_change_and_they_do(course: Course) -> None:
    after = parameters(course.model)
    changed = {name for name in after if not torch.equal(after[name], course.before[name])}
    assert changed == course.written
    assert all(bool(torch.isfinite(parameter).all()) for parameter in after.values())


def test_losses_and_distances_from_the_targets_fall(course: Course) -> None:
    for report in course.reports:
        values = report.values
        assert values["loss_last"] < values["loss_first"]
        # More keys than neurons fit no targets; and what a filter takes away may be what led to them.
        if "target_error_after" in values and course.row.batch < 100 and "(" not in course.row.editor:
            assert values["target_error_after"] < values["target_error_before"]


def test_a_run_resumed_in_the_middle_gives_the_bits_of_the_uninterrupted_one(course: Course) -> None:
    assert course.bits.keys() == course.resumed_bits.keys()
    for name, tensor in course.bits.items():
        assert torch.equal(tensor, course.resumed_bits[name]), name


def test_parameters_are_their_float32_masters_rounded_to_the_dtype_of_the_model(course: Course) -> None:
    for name in course.written:
        (master,) = course.model.read_weights([name]).values()
        parameter = course.model.model.get_parameter(name)
        assert master.dtype == torch.float32 and parameter.dtype == DTYPES[course.row.dtype]
        assert torch.equal(parameter, master.to(parameter.dtype))


def test_the_pristine_weights_put_back_give_the_bits_of_the_model_before(course: Course) -> None:
    present = course.model.read_weights(course.written)
    course.model.write_weights({name: course.model.pristine(name) for name in course.written})
    restored = parameters(course.model)
    course.model.write_weights(present)
    assert all(torch.equal(restored[name], tensor) for name, tensor in course.before.items())


def test_the_rows_hold_every_pair_of_circumstances() -> None:
    columns = {
        "editor": EDITORS,
        "architecture": list(ARCHITECTURES),
        "dtype": list(DTYPES),
        "tied": [True, False],
        "bos": [True, False],
        "batch": [1, 7, 100],
    }
    for (one, ones), (other, others) in itertools.combinations(columns.items(), 2):
        met = {(getattr(row, one), getattr(row, other)) for row in ROWS}
        missing = set(itertools.product(ones, others)) - met
        assert all(value in COMPOSITIONS and batch == 100 for value, batch in missing), f"{one} × {other}: {missing}"


def test_the_matrix_holds_every_built_in_editor_alone_and_in_compositions() -> None:
    named = {name for text in EDITORS for name, _ in complete(text)}
    assert named == set(BUILT_IN) and len(BUILT_IN) >= 13
    filters = {name for name in BUILT_IN if issubclass(load_editor_class(name), Filter)}
    assert all(any(text.startswith(f"{name}(") for text in COMPOSITIONS) for name in filters)
