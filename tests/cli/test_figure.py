"""`palimpsest figure` on synthetic runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.helpers import cli
from tests.labs.synthetic import SyntheticRun, write_run

ONE = SyntheticRun(checkpoints=(0, 10, 40), batch_size=10, neighborhood=2, half=60)
TRACK = ONE.spec().track_id


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home")
    for run in (
        ONE,
        replace(ONE, editor="alphaedit", half=20),
        replace(ONE, editor="nse", status="failed", stops_at=10),
    ):
        write_run(place / "runs", run)
    assert cli("store", "ingest", home=place)[0] == 0
    return place


def test_all_figures_come_in_all_forms_under_names_that_tell_track_and_figure(home: Path, tmp_path: Path) -> None:
    code, out, err = cli("figure", "--out", str(tmp_path / "new" / "figures"), home=home)
    assert code == 0, err
    written = [Path(line) for line in out.splitlines()]
    stems = {f"palimpsest-{TRACK}-{name}" for name in ("headline", "quality", "pareto-40")}
    assert {path.stem for path in written} == stems and {path.suffix for path in written} == {".pdf", ".svg", ".png"}
    assert len(written) == 9 and all(path.stat().st_size > 5000 for path in written)
    assert "1 row is left out" in err
    text = (tmp_path / "new" / "figures" / f"palimpsest-{TRACK}-quality.svg").read_text(encoding="utf-8")
    for told in (
        "MEMIT",
        "AlphaEdit",
        "pocket-llama",
        "pocket-counterfact",
        "40 edits in batches of 10",
        TRACK,
        "2026-",
    ):
        assert told in text, told
    assert "NSE" not in text


def test_curves_are_of_the_metrics_window_and_editors_that_are_named(home: Path, tmp_path: Path) -> None:
    words = ["--kind", "curves", "--format", "svg", "--editor", "memit", "--out", str(tmp_path)]
    metrics = ["--metric", "efficacy_argmax", "--metric", "ability:pocket_recall"]
    code, out, err = cli("figure", TRACK[:5], *words, *metrics, "--window", "latest", home=home)
    assert code == 0, err
    first, second = (Path(line) for line in out.splitlines())
    assert first.name.endswith("-efficacy_argmax-latest.svg") and second.name.endswith("-ability-pocket_recall.svg")
    assert "AlphaEdit" not in first.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--kind", "pie"], "pareto"),
        (["--format", "gif"], "svg"),
        (["--at", "11"], "10, 40"),
        (["--metric", "scroe_argmax"], "score_argmax"),
        (["--window", "middle"], "measured in all"),
        (["--editor", "mermit"], "memit"),
    ],
)
def test_a_wrong_word_is_told_with_what_there_is(home: Path, tmp_path: Path, words: list[str], told: str) -> None:
    code, out, err = cli("figure", *words, "--out", str(tmp_path), home=home)
    assert code == 2 and told in err and not out
    assert not list(tmp_path.iterdir())
