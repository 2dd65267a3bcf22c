"""Runs that sample texts and compare with the unedited model: complete, interrupted, sharing pristine scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from palimpsest.cli.latest_scores import latest_scores
from palimpsest.harness.runs.journal import read_events
from palimpsest.harness.runs.layout import CONTINUATIONS, TEXTS, packed, read_table
from palimpsest.harness.runs.pristine_scores import PristineScores
from palimpsest.harness.specs.run_spec import Generation, RunSpec, Scoring
from tests.labs import run_lab

ASKED = Scoring(generation=Generation(cases=3, tokens=12, special_tokens=True), top=True, published_top=True)


def spec(scoring: Scoring = ASKED, **changes: Any) -> RunSpec:
    return run_lab.spec({"rate": 1.0}, **run_lab.SHORT, **changes).model_copy(update={"scoring": scoring})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outcome = run_lab.run(tmp_path_factory.mktemp("home"), spec())
    assert outcome.status == "complete"
    return outcome.folder


def table(folder: Path, edits: int, name: str) -> list[dict[str, Any]]:
    return list(pq.read_table(folder / "scores" / f"{edits:06d}" / name).to_pylist())


def scores(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in run_lab.results(folder).items() if name.startswith("scores")}


def test_texts_of_edits_made_are_stored_at_every_checkpoint(whole: Path) -> None:
    texts = {edits: table(whole, edits, TEXTS) for edits in (0, 2, 4)}
    assert {edits: len({row["case_id"] for row in rows}) for edits, rows in texts.items()} == {0: 3, 2: 2, 4: 3}
    assert all(row["tokens"] == 12 and row["text"] for rows in texts.values() for row in rows)
    assert {row["position"] for row in texts[2]} == {0, 1}
    both = {(row["case_id"], row["index"]): row["text"] for row in texts[0]}
    changed = [row["text"] != both[key] for row in texts[4] if (key := (row["case_id"], row["index"])) in both]
    assert len(changed) == 6 and any(changed)


def test_continuations_of_the_unedited_model_are_stored_once_and_compared_with_at_every_checkpoint(whole: Path) -> None:
    said = table(whole, 0, CONTINUATIONS)
    assert len(said) == 4 and all(len(row["tokens"]) == 1 and row["text"] for row in said)
    assert all(row["first_choices"] == row["tokens"] for row in said), "one token: the forms are one"
    assert not list((whole / "scores" / "000004").glob(CONTINUATIONS))
    for edits in (0, 2, 4):
        near = [row for row in table(whole, edits, "probes.parquet") if row["kind"] == "neighborhood"]
        assert all(row["tokens_top"] == row["tokens_fed"] == 1 for row in near)
        assert all(row["hits_top"] == row["hits_fed"] == row["hits_first"] for row in near)
        if not edits:
            assert all(row["exact_top"] for row in near)
    assert not all(row["exact_top"] for row in near)


def test_an_interrupted_run_measures_the_same(whole: Path, tmp_path: Path) -> None:
    for limit in (1, 3):
        assert run_lab.run(tmp_path, spec(), limit=limit).status == "partial"
        torch.manual_seed(99)  # what another process would have drawn
    outcome = run_lab.run(tmp_path, spec())
    assert scores(outcome.folder) == scores(whole)


def test_a_lost_file_is_measured_again(whole: Path, tmp_path: Path) -> None:
    folder = run_lab.copied(whole, tmp_path)
    (folder / "scores" / "000000" / CONTINUATIONS).unlink()
    (folder / "scores" / "000004" / TEXTS).unlink()
    assert run_lab.run(tmp_path, spec()).status == "complete"
    assert scores(folder) == scores(whole)


def test_edits_do_not_depend_on_what_is_measured(whole: Path, tmp_path: Path) -> None:
    plain = run_lab.run(tmp_path, spec(Scoring())).folder
    assert not list(plain.glob(f"scores/*/{TEXTS}")) and not list(plain.glob(f"scores/*/{CONTINUATIONS}"))

    one, other = (load_file(folder / "checkpoints" / "000004" / "weights.safetensors") for folder in (plain, whole))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    names = pq.read_schema(plain / "scores" / "000004" / "probes.parquet").names
    assert not [name for name in names if name.endswith(("_top", "_fed", "_first")) and "window" not in name]
    ours = run_lab.run(tmp_path / "ours", spec(Scoring(generation=Generation(cases=3, tokens=12), top=True))).folder
    probes, texts, said = (
        pq.read_schema(ours / "scores" / edits / name).names
        for edits, name in (("000004", "probes.parquet"), ("000004", TEXTS), ("000000", CONTINUATIONS))
    )
    assert {"tokens_top", "hits_top", "exact_top"} <= set(probes) and not {"tokens_fed", "hits_first"} & set(probes)
    assert "spelt" not in texts and "first_choices" not in said


def test_every_table_of_a_run_is_packed_to_the_same_bytes_when_it_is_read_back(whole: Path) -> None:
    files = sorted(whole.rglob("*.parquet"))
    assert {path.name for path in files} >= {TEXTS, CONTINUATIONS, "probes.parquet", "cases.parquet"}
    assert not [path for path in files if packed(read_table(path)) != path.read_bytes()]


def test_pristine_texts_and_continuations_are_shared_between_runs(whole: Path, tmp_path: Path) -> None:
    def shared(one: RunSpec) -> PristineScores:
        return PristineScores(tmp_path / "cache", one, {})

    run_lab.run(tmp_path, spec(), pristine_scores=shared(spec()))
    other = spec().model_copy(update={"seed": 8})
    model = run_lab.tiny_model()
    scored: list[int] = []
    instruments = run_lab.tiny_instruments(model, scored)
    folder = run_lab.run(tmp_path, other, model, pristine_scores=shared(other), instruments=instruments).folder
    assert len(scored) == 2  # of three checkpoints
    for name in (TEXTS, CONTINUATIONS):
        assert table(folder, 0, name) == table(whole, 0, name)
    fewer = spec().model_copy(update={"schedule": spec().schedule.model_copy(update={"checkpoints": (0, 4)})})
    assert shared(fewer).folder != shared(spec()).folder
    plain = [one.model_copy(update={"scoring": Scoring()}) for one in (spec(), fewer)]
    assert shared(plain[0]).folder == shared(plain[1]).folder


def test_damaged_scores_of_the_unedited_model_are_told_of_in_the_journal_and_measured_again(tmp_path: Path) -> None:
    def shared(damaged: list[str]) -> PristineScores:
        return PristineScores(tmp_path / "cache", spec(), {}, damaged)

    first = run_lab.run(tmp_path / "first", spec(), pristine_scores=shared([]))
    (file,) = (tmp_path / "cache").rglob("probes.parquet")
    good = file.read_bytes()
    file.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    damaged: list[str] = []
    again = run_lab.run(tmp_path / "again", spec(), pristine_scores=shared(damaged), damaged=damaged)
    told = [event["message"] for event in read_events(again.folder / "events.jsonl") if event["event"] == "warning"]
    assert any("Scores of the unedited model" in message and "damaged" in message for message in told)
    assert file.read_bytes() == good and table(again.folder, 0, TEXTS) == table(first.folder, 0, TEXTS)


def test_the_latest_scores_of_a_folder_tell_of_its_texts(whole: Path) -> None:
    found = latest_scores(whole)
    assert found is not None
    assert 0 <= found.metrics["all"]["fluency"] < 700 and 0 <= found.metrics["all"]["consistency_own"] <= 100
    assert "fluency" not in found.metrics["first"] and "neighborhood_top" in found.metrics["first"]
