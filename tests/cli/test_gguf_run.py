"""A tiny GGUF file the whole way: converted, edited on what it knows, scored, and a row of the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import palimpsest
from palimpsest.harness.model.catalogue import fingerprint, located, resolve
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.specs.cases import Case
from palimpsest.tasks.known import KnownCase
from tests.cli.helpers import cli
from tests.labs.tiny_gguf import write_tiny_gguf


def half_of_it(model: EditableModel, cases: Sequence[Case]) -> list[KnownCase]:
    """A random model knows nothing, so every other case counts as known, without its first paraphrase and neighbor."""
    return [
        (case.request.case_id, *(tuple(p.index for p in case.probes if p.kind == kind and p.index) for kind in KINDS))
        for case in cases[::2]
    ]


KINDS = ("paraphrase", "neighborhood")


@pytest.mark.parametrize(
    ("editor", "settings"),
    [
        ("memit", ("layers=[0, 1]", "second_moment_weight=10", "target_learning_rate=0.5", "target_steps=4")),
        ("ft", ("layer=1", "learning_rate=1e-3", "steps=4")),
    ],
)
def test_a_gguf_file_is_edited_on_what_it_knows_and_ends_in_the_store(
    editor: str, settings: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIMPSEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("palimpsest.cli.known_facts.known_cases", half_of_it)
    file, text = tmp_path / "tiny.gguf", tmp_path / "text.txt"
    write_tiny_gguf(file)
    text.write_text("\n\n".join(f"The town of Ostrel has {n} hills." for n in range(300)), encoding="utf-8")
    words = ("run", "--model", str(file), "--editor", editor, "--task", "pocket-counterfact", "--known", "--edits", "4",
             "--batch-size", "2", "--checkpoints", "0,2,4", "--abilities", "none", "--stats-text", str(text),
             *(word for one in settings for word in ("--set", one)), "--json")  # fmt: skip
    code, out, err = cli(*words, home=tmp_path)
    assert code == 0, err
    (row,) = json.loads(out)
    assert (row["status"], row["edits"]) == ("complete", 4)
    code, out, _ = cli("show", row["run"], "--json", home=tmp_path)
    spec = json.loads(out)["run"]["spec"]
    model = fingerprint(located(resolve(str(file))))
    assert spec["model"]["name"] == "tiny" and spec["model"]["fingerprint"] == model
    assert spec["task"]["name"] == f"pocket-counterfact@known-{model[:12]}"
    code, out, err = cli("store", "ingest", home=tmp_path)
    assert code == 0, out + err
    frame = palimpsest.frame("metrics", home=tmp_path, run=row["run"])
    assert set(frame["edits"]) == {0, 2, 4} and "efficacy_argmax" in set(frame["metric"])
