"""`palimpsest locate` on a tiny GGUF and on the pocket model, and what follows from it."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from palimpsest.cli.locating import proposal, report, tracing
from palimpsest.cli.verbs import locate
from palimpsest.harness.model.catalogue import fingerprint, located, resolve
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.plugins.configuration import resolve_config
from palimpsest.harness.specs.cases import Case, EditRequest
from palimpsest.tasks.known import KnownCase
from tests.cli.helpers import cli
from tests.labs.tiny_gguf import BLOCKS, write_tiny_gguf

FEW = ("--facts", "2", "--draws", "2", "--targets", "2", "--blocks", "2")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALIMPSEST_CACHE", str(tmp_path / "cache"))


def test_the_pocket_model_is_traced_drawn_and_its_blocks_are_kept(tmp_path: Path) -> None:
    figure = tmp_path / "where.svg"
    words = ("locate", "pocket-llama", *FEW, "--home", str(tmp_path), "--figure", str(figure))
    code, out, err = cli(*words, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["trace"]["clean"] > 0.5 > found["trace"]["disturbed"], "it knows them, and noise spoils them"
    assert {len(values) for values in found["trace"]["effects"].values()} == {6}
    assert [one["block"] for one in found["reach"]] == [0, 4]
    kept = proposal.kept(proposal.place(tmp_path, fingerprint(located(resolve("pocket-llama")))))
    assert kept is not None and list(kept.layers) == found["proposal"]["layers"]
    assert "<svg" in figure.read_text(encoding="utf-8")[:2000]


def test_a_name_with_signs_of_formulas_is_drawn_as_it_stands(tmp_path: Path) -> None:
    effects = {kind: (0.1, 0.2) for kind in tracing.KINDS}
    found = proposal.Proposal(0, (0,), (0,), ((0,),))
    made = report.Report("m$od_{el", "task", tracing.Trace(1, 1, 1, 0.9, 0.1, effects), (), found, tmp_path)
    for name in ("a.svg", "b.svg"):
        report.draw(made, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def every_probe(model: EditableModel, cases: Sequence[Case]) -> list[KnownCase]:
    """All of the cases and of their probes, as if the model knew them."""

    def indices(case: Case, kind: str) -> tuple[int, ...]:
        return tuple(probe.index for probe in case.probes if probe.kind == kind)

    return [(case.request.case_id, indices(case, "paraphrase"), indices(case, "neighborhood")) for case in cases]


def test_a_gguf_file_gets_blocks_and_a_tuning_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model knows nothing, so it is taken for knowing all that it is asked."""

    def all_of_them(model: EditableModel, cases: list[Case]) -> list[EditRequest]:
        return [case.request for case in cases]

    monkeypatch.setattr("palimpsest.cli.known_facts.known_requests", all_of_them)
    monkeypatch.setattr("palimpsest.cli.known_facts.known_cases", every_probe)
    file, home = tmp_path / "tiny.gguf", ("--home", str(tmp_path))
    write_tiny_gguf(file)
    code, _, err = cli("tune", "memit", "--model", str(file), *home, "--out", str(tmp_path / "out"))
    assert code == 4 and f"palimpsest locate {file} --home {tmp_path}" in " ".join(err.split())
    task = ("--task", "pocket-counterfact-tuning")
    code, out, err = cli("locate", str(file), *FEW, *task, *home)
    assert code == 0, err
    told = f"palimpsest tune --all --model {file} {' '.join(task)} --known --home {tmp_path}"
    assert "Proposed: layers" in out and f"Next: {told}\n" in err
    assert len([line for line in out.splitlines() if line.strip()[:1].isdigit()]) == BLOCKS

    (tmp_path / "text.txt").write_text("\n\n".join(f"The town of Ostrel has {n} hills." for n in range(300)))
    words = (*shlex.split(told)[1:], "--edits", "2", "--trials", "1", "--abilities", "pocket=20", "--stats-text",
             str(tmp_path / "text.txt"), "--out", str(tmp_path / "out"), "--on", "local:1")  # fmt: skip
    code, _, err = cli(*words)
    assert code == 0, err
    kept = proposal.kept(proposal.place(tmp_path, fingerprint(located(resolve(str(file))))))
    assert kept is not None
    presets = {path.parent.name: tomllib.loads(path.read_text()) for path in (tmp_path / "out").glob("*/tiny.toml")}
    assert presets.keys() == {path.parent.name for path in (tmp_path / "out").glob("*/tiny.tuning.json")}
    assert presets.keys() >= {"memit", "alphaedit", "rome", "ft-l", "nse", "rect", "revive"}
    assert tuple(presets["memit"]["layers"]) in kept.layers_choices
    shipped = resolve_config("memit", "pocket-llama", {})
    assert presets["memit"]["target_learning_rate"] == shipped["target_learning_rate"], "what no axis varies"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--facts", "0"), "--facts: expected a whole number of at least 1"),
        (("--draws", "-1"), "--draws: expected"),
        (("--figure", "where.gif"), "ends in pdf, svg, png"),
        (("--task", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_loaded(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    code, _, err = cli("locate", "pocket-llama", *words, "--home", str(tmp_path))
    assert code == 2 and said in " ".join(err.split())


def test_a_model_that_knows_nothing_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.cli.known_facts.known_requests", lambda model, cases: [])
    monkeypatch.setattr(locate, "_CHUNK", 1000)
    code, _, err = cli("locate", "pocket-llama", *FEW, "--home", str(tmp_path))
    assert code == 4 and "knows no fact of pocket-counterfact-tuning" in " ".join(err.split())
