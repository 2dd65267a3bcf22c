"""docs/writing-an-editor.md against the objects themselves: each line of its tables is evaluated on a model."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from palimpsest.editors.toolkit.keys import keys_at, outputs_at, residual_stream_at
from palimpsest.editors.toolkit.linalg import System
from palimpsest.editors.toolkit.pipeline import LocateThenEdit, LocateThenEditConfig
from palimpsest.editors.toolkit.requests import target_ids
from palimpsest.editors.toolkit.targets.search import Targets
from palimpsest.harness.editor import EditableModel, Editor, EditReport, EditRequest, LayerUpdate
from palimpsest.harness.model import hooks
from palimpsest.harness.model.anatomy import Anatomy
from palimpsest.harness.model.pristine_statistics import LeftSpectrum, PristineStatistics, SecondMoments, Spectrum
from palimpsest.harness.model.tokens import prompt_ids
from palimpsest.harness.scoring.generation import extend
from palimpsest.harness.scoring.packing import score_targets
from tests.labs.tiny_models import REQUESTS, tiny_model

TEXT = (Path(__file__).parents[2] / "docs" / "writing-an-editor.md").read_text(encoding="utf-8")
TABLES = TEXT[TEXT.index("## What an editor gets") : TEXT.index("## How the model is asked")]
ROWS = re.findall(r"^\| `([^`]+)` \| (.+?) \| .*\|$", TABLES, re.M)
HOOKS = TABLES[TABLES.index("**Hooks of the pipeline**") : TABLES.index("**What `edit` returns**")]
LINES = [row for row in ROWS if not re.match(r"(start|solve|remember|find_targets|describe)\(", row[0])]


class Ridge(LocateThenEdit):
    """Notes what its hooks are given."""

    class Config(LocateThenEditConfig):
        layers: tuple[int, ...] = (1,)
        target_learning_rate: float = 0.1
        target_steps: int = 2

    remembers = True

    def start(self, layer: int) -> System:
        self.seen: dict[str, list[Any]] = {"start": [layer]}
        return System(0.1, self.model.anatomy.d_inner)

    def solve(self, keys: Tensor, layer: int) -> Tensor:
        self.seen["solve"] = [keys, layer]
        self.seen["solved"] = [self.systems[layer].solve(keys)]
        return self.seen["solved"][0]  # type: ignore[no-any-return]

    def remember(self, keys: Tensor, layer: int) -> None:
        self.seen["remember"] = [keys, layer]
        self.systems[layer].remember(keys)

    def describe(self, report: EditReport) -> None:
        self.seen["describe"] = [report]


@pytest.fixture(scope="module")
def world() -> dict[str, Any]:
    """The names that the tables use, on a tiny model; no two sizes are equal."""
    model = tiny_model("llama")
    requests, layer = list(REQUESTS[:3]), 1
    editor = Ridge(Ridge.Config())
    editor.record_updates = True
    with torch.no_grad():
        model.resources.second_moments([layer])
        editor.prepare(model)
        report = editor.edit(requests)
        targets = editor.find_targets(requests)
    weights = model.read_weights([model.anatomy.weight_name(layer)])
    return {
        "model": model, "request": requests[0], "requests": requests, "layer": layer, "layers": [layer],
        "path": model.anatomy.block(layer), "sequences": [[1, 2], [1] * 5, [1, 2, 3], [1]],
        "names": list(weights), "name": next(iter(weights)), "weights": weights,
        "delta": torch.zeros(model.anatomy.d_hidden, model.anatomy.d_inner), "templates": editor.templates,
        "keys": keys_at(model, requests, editor.templates, layer), "keys_at": keys_at,
        "residual_stream_at": residual_stream_at, "outputs_at": outputs_at, "target_ids": target_ids,
        "targets": targets, "system": editor.systems[layer], "report": report, "update": report.updates[0],
        "editor": editor,
    }  # fmt: skip


def value_of(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """An expression of names, attributes, calls and subscripts."""
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Attribute):
        return getattr(value_of(node.value, names), node.attr)
    if isinstance(node, ast.Subscript):
        return value_of(node.value, names)[value_of(node.slice, names)]
    assert isinstance(node, ast.Call)
    return value_of(node.func, names)(*[value_of(argument, names) for argument in node.args])


def shown(value: Any, names: Mapping[str, Any]) -> str:
    """How a table should name what a value is."""
    if isinstance(value, Tensor):
        anatomy = names["model"].anatomy
        sizes = {anatomy.d_hidden: "d_out", anatomy.d_inner: "d_in", 3: "n", 4: "B", 5: "S"}
        if value.shape[1:] == (4,):
            sizes[4] = "4"
        return f"{str(value.dtype).removeprefix('torch.')}, {' × '.join(sizes[size] for size in value.shape)}"
    if isinstance(value, nn.Module):
        return "`Module`"
    if value is names["model"].tokenizer:
        return "tokenizer"
    if value is None:
        return "`None`"
    return f"`{'PristineStatistics' if value is names['model'].resources else type(value).__name__}`"


def test_the_tables_are_there() -> None:
    assert len(LINES) > 60


@pytest.mark.parametrize(("expression", "told"), LINES, ids=[row[0] for row in LINES])
def test_types_shapes_and_dtypes_are_as_told(expression: str, told: str, world: dict[str, Any]) -> None:
    with torch.no_grad():
        value = value_of(ast.parse(expression, mode="eval").body, world)
    assert shown(value, world) == told


@pytest.mark.parametrize(
    ("hook", "given", "gives"), re.findall(r"^\| `(\w+)\([\w, ]*\)` \| (.*?) \| (.*?) \|$", HOOKS, re.M)
)
def test_the_hooks_of_the_pipeline_are_given_what_is_told(
    hook: str, given: str, gives: str, world: dict[str, Any]
) -> None:
    seen = world["editor"].seen
    assert hook in seen or hook == "find_targets"
    if given.startswith("float32"):
        assert given == f"{shown(seen[hook][0], world)}, at `model.resources.device`"
    if hook == "solve":
        assert gives == f"A: {shown(seen['solved'][0], world)}"


@pytest.mark.parametrize(
    ("owner", "prefix"),
    [
        (EditRequest, "request."),
        (EditableModel, "model."),
        (Anatomy, "model.anatomy."),
        (PristineStatistics, "model.resources."),
        (SecondMoments, "model.resources.second_moments(layers)."),
        (Spectrum, "model.resources.spectrum(layer)."),
        (LeftSpectrum, "model.resources.weight_spectrum(layer)."),
        (Targets, "targets."),
        (EditReport, "report."),
        (LayerUpdate, "update."),
    ],
)
def test_every_public_member_is_in_a_table_and_no_other(owner: Any, prefix: str, world: dict[str, Any]) -> None:
    members = {name for name in vars(owner) if not name.startswith("_")}
    members |= {field.name for field in dataclasses.fields(owner)} if dataclasses.is_dataclass(owner) else set()
    members |= {name for name in getattr(owner, "__annotations__", {}) if not name.startswith("_")}
    if owner is EditableModel:
        members |= {name for name in vars(world["model"]) if not name.startswith("_")}
    told = {re.match(r"\w+", row[0].removeprefix(prefix))[0] for row in ROWS if row[0].startswith(prefix)}  # type: ignore[index]
    assert told == members - {"early_stopped"}


def test_every_method_of_the_contract_is_in_the_first_table() -> None:
    table = TEXT[: TEXT.index("## A package to start from")]
    told = set(re.findall(r"^\| `(\w+)\(", table, re.M))
    methods = {name for name, value in vars(Editor).items() if callable(value) and not name.startswith("_")}
    assert told == methods - {"Config"} | {"__init__"}


@pytest.fixture(scope="module")
def in_context(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The in-context editor of the document, in a module of its own."""
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "class InContext" in code]
    path = tmp_path_factory.mktemp("package") / "in_context.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("in_context", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.InContext


def greedy(logits: Tensor, step: int, rows: Any) -> tuple[Tensor, Tensor]:
    return logits.argmax(dim=-1), logits.isfinite().all(dim=-1)


def behind_a_fact(model: EditableModel, fact: str, prompt: str) -> tuple[list[int], list[int]]:
    """Token ids of a prompt, and of the same with a fact before it."""
    (alone,) = prompt_ids(model.tokenizer, [prompt])
    said = model.tokenizer(fact, add_special_tokens=False)["input_ids"]
    begin = int(alone[0] == model.tokenizer.bos_token_id)
    return alone, [*alone[:begin], *said, *alone[begin:]]


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gptj"])
def test_the_in_context_editor_of_the_document_is_asked_with_its_facts(architecture: str, in_context: Any) -> None:
    model = tiny_model(architecture)
    editor = in_context(in_context.Config())
    editor.prepare(model)
    editor.edit(REQUESTS[:1])
    fact = "Anna Sorel lives in Brno. "
    alone, longer = behind_a_fact(model, fact, "The mother of Anna Sorel is")
    elsewhere, _ = behind_a_fact(model, fact, "Petr Novak plays chess in")
    target = target_ids(model, REQUESTS[5])
    wanted = score_targets(model, [(longer, target), (elsewhere, target)]).log_prob
    said = extend(model, [longer, elsewhere], [6, 6], greedy)
    assert abs(wanted[0] - score_targets(model, [(alone, target)]).log_prob[0]) > 1e-3
    with editor.evaluated():
        scored = score_targets(model, [(alone, target), (elsewhere, target)]).log_prob
        again = extend(model, [alone, elsewhere], [6, 6], greedy)
    assert scored == pytest.approx(wanted, abs=1e-4) and again == said
    other = in_context(in_context.Config())
    other.load_state_dict(editor.state_dict())
    assert other.facts == editor.facts == {"Anna Sorel": fact}


def test_every_context_manager_for_parts_of_a_model_is_named() -> None:
    table = TEXT[TEXT.index("Context managers for parts of a model") : TEXT.index("An editor that puts text")]
    tree = ast.parse(Path(str(hooks.__file__)).read_text(encoding="utf-8"))
    public = {f.name: [a.arg for a in f.args.args] for f in tree.body if isinstance(f, ast.FunctionDef)}
    wanted = {name: names for name, names in public.items() if not name.startswith("_") and name != "unchanged"}
    told = {name: told.count(",") + 1 for name, told in re.findall(r"`(\w+)\(([^`]*)\)`", table) if name != "f"}
    assert told == {name: len(names) for name, names in wanted.items()}


def test_the_backbone_is_called_in_the_ways_that_are_told() -> None:
    model = tiny_model("llama")
    calls: list[dict[str, Any]] = []
    backbone = model.module(model.anatomy.backbone)
    backbone.register_forward_pre_hook(lambda _, inputs, given: calls.append(given), with_kwargs=True)
    long = [0, *range(10, 30)]
    score_targets(model, [([*long, 5], [7]), ([*long, 6], [8, 9]), ([0, 3], [4])])
    packed, plain = calls[-1], calls[-2]  # the plain one belongs to the trial
    rows, width = packed["input_ids"].shape
    assert packed["attention_mask"].shape == (rows, 1, width, width) and packed["attention_mask"].dtype == torch.float32
    assert packed["position_ids"].shape == (rows, width) and packed["use_cache"] is False
    assert plain["attention_mask"].shape == plain["input_ids"].shape and plain["attention_mask"].dtype == torch.int64
    calls.clear()
    extend(model, [long, long[:5]], [3, 3], greedy)
    assert [call["input_ids"].shape[1] for call in calls] == [21, 1, 1]
    assert [tuple(call["attention_mask"].shape) for call in calls] == [(2, 21), (2, 22), (2, 23)]
    assert calls[0]["attention_mask"][:, -1].all() and not calls[0]["attention_mask"][:, 0].all()
    assert all({"past_key_values", "cache"} & set(call) for call in calls)
