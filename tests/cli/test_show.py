"""`list runs`, `show`, `store` and `site` on synthetic run folders."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from palimpsest.cli.latest_scores import latest_scores
from palimpsest.cli.run_folders import find_run, list_runs, summarise
from palimpsest.harness.errors import UsageError
from tests.cli.helpers import cli
from tests.labs.synthetic import SyntheticRun, write_run

COMPLETE = SyntheticRun("memit", checkpoints=(0, 50, 100))
COLLAPSED = SyntheticRun("ft-l", checkpoints=(0, 50, 100), half=130, status="collapsed", stops_at=50)
PARTIAL = SyntheticRun("alphaedit", checkpoints=(0, 50, 100), status="partial", stops_at=50)
HOSTILE = SyntheticRun("hostile", checkpoints=(0, 50), hostile=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home")
    for run in (COMPLETE, COLLAPSED, PARTIAL, HOSTILE):
        write_run(place / "runs", run)
    return place


def id_of(run: SyntheticRun) -> str:
    return run.spec().id


def as_json(*arguments: str, home: Path) -> Any:
    code, out, _ = cli(*arguments, "--json", home=home)
    assert code == 0
    return json.loads(out)


def test_list_runs(home: Path) -> None:
    rows = {row["run"]: row for row in as_json("list", "runs", home=home)}
    assert set(rows) == {id_of(run) for run in (COMPLETE, COLLAPSED, PARTIAL, HOSTILE)}
    assert rows[id_of(COLLAPSED)]["status"] == "collapsed"
    assert (rows[id_of(PARTIAL)]["status"], rows[id_of(PARTIAL)]["edits"]) == ("partial", 50)
    assert rows[id_of(COMPLETE)]["planned"] == 100
    _, out, _ = cli("list", "runs", home=home)
    assert len(out.splitlines()) == 5


def test_show_tells_state_spec_and_scores(home: Path) -> None:
    code, out, _ = cli("show", id_of(COMPLETE)[:8], home=home)
    assert code == 0
    words = " ".join(out.split())
    assert f"run {id_of(COMPLETE)}" in words
    assert "state complete, 100 of 100 edits" in words
    assert "Scores after 100 edits" in out
    assert "score_argmax" in out
    assert "pocket_recall" in out
    assert out.splitlines()[-1].startswith("Next: ")


def test_show_as_json(home: Path) -> None:
    shown = as_json("show", id_of(COLLAPSED), home=home)
    assert shown["run"]["status"] == "collapsed"
    assert shown["run"]["reason"]
    assert shown["run"]["spec"]["editor"]["name"] == "ft-l"
    assert shown["scores"]["edits"] == 50
    assert 0 <= shown["scores"]["metrics"]["all"]["score_argmax"] <= 100
    assert set(shown["scores"]["metrics"]) == {"all", "first", "latest"}


def test_show_events(home: Path) -> None:
    events = as_json("show", id_of(COMPLETE), "--events", home=home)
    assert events[0]["event"] == "run_started"
    code, out, _ = cli("show", id_of(COMPLETE), "--events", home=home)
    assert (code, len(out.splitlines())) == (0, len(events))


def test_hostile_names_stay_text(home: Path) -> None:
    for arguments in (["show", id_of(HOSTILE)], ["list", "runs"]):
        code, out, _ = cli(*arguments, home=home)
        assert code == 0
        assert not any(character in out for character in "\x1b\x07\x00\u202e\u2066")


def test_find_run_by_its_beginning(home: Path) -> None:
    assert find_run(home, id_of(PARTIAL)[:6]).name == id_of(PARTIAL)
    assert find_run(home, str(home / "runs" / id_of(PARTIAL))).name == id_of(PARTIAL)
    with pytest.raises(UsageError, match="begins the names of|is not known"):
        find_run(home, "")
    with pytest.raises(UsageError, match="palimpsest list runs"):
        find_run(home, "zzz")


def test_an_ambiguous_beginning_names_the_runs(tmp_path: Path) -> None:
    for name in ("aa11", "aa22"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "spec.json").write_text("{}")
    with pytest.raises(UsageError, match="aa11, aa22"):
        find_run(tmp_path, "aa")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schedule": {}}', '{"schedule": {"edits": "x"}}', "\x00"])
def test_damaged_run_folders_are_shown_as_such(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "runs" / "abc"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(content)
    (folder / "events.jsonl").write_text('{"event": "checkpoint", "edits": 5}\n{"torn')
    assert summarise(folder).status == "unreadable"
    assert [run.run_id for run in list_runs(tmp_path)] == ["abc"]
    code, out, err = cli("show", "abc", home=tmp_path)
    assert code == 0
    assert "unreadable" in out
    assert "Traceback" not in err


def test_damaged_scores_are_told(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", COMPLETE)
    folder = tmp_path / "runs" / id_of(COMPLETE)
    (folder / "scores" / "000100" / "probes.parquet").write_bytes(b"PAR1 nothing")
    code, _, err = cli("show", id_of(COMPLETE), home=tmp_path)
    assert code == 2
    assert "probes.parquet cannot be read" in err
    assert "Traceback" not in err


def test_scores_before_the_first_checkpoint(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", COMPLETE)
    folder = tmp_path / "runs" / id_of(COMPLETE)
    for manifest in (folder / "scores").glob("*/manifest.json"):
        manifest.unlink()
    assert latest_scores(folder) is None


def test_a_collapse_before_the_first_checkpoint_holds_nothing_in_the_terminal_as_in_the_store(tmp_path: Path) -> None:
    early = replace(COLLAPSED, stops_at=20)
    write_run(tmp_path / "runs", early)
    found = latest_scores(tmp_path / "runs" / id_of(early))
    assert found is not None and found.held is not None
    assert (found.held.effective_edits, found.held.until) == (0.0, {"80": 0.0, "50": 0.0})


def test_abilities_at_some_checkpoints_only_give_no_headline_in_the_terminal(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", COMPLETE)
    folder = tmp_path / "runs" / id_of(COMPLETE)
    place = folder / "scores" / "000100" / "abilities.parquet"
    pq.write_table(pq.read_table(place).slice(0, 0), place)
    found = latest_scores(folder)
    assert found is not None and found.held is None


def test_store_and_site(home: Path, tmp_path: Path) -> None:
    first = as_json("store", "ingest", home=home)
    assert len(first["added"]) == 4
    assert first["problems"] == []
    code, out, _ = cli("store", "ingest", home=home)
    assert code == 0
    assert out.startswith("0 added, 0 updated, 4 unchanged, 0 problems")
    rows = as_json("store", "query", "SELECT run_id FROM runs ORDER BY run_id", home=home)
    assert [row["run_id"] for row in rows] == sorted(id_of(run) for run in (COMPLETE, COLLAPSED, PARTIAL, HOSTILE))
    code, out, _ = cli("store", "query", "SELECT 1 AS one, NULL AS nothing", home=home)
    assert (code, out.split()) == (0, ["one", "nothing", "1", "–"])
    code, out, _ = cli("store", "rebuild", "--quiet", home=home)
    assert (code, out.split()[0]) == (0, "4")
    code, out, _ = cli("site", "build", "--out", str(tmp_path / "page"), home=home)
    assert code == 0
    assert out.splitlines()[-1] == (tmp_path / "page" / "index.html").as_uri()


@pytest.mark.parametrize(
    ("sql", "code"), [("DROP TABLE runs", 2), ("SELECT * FROM nowhere", 2), ("SELECT 1; SELECT 2", 2), ("", 2)]
)
def test_queries_that_are_refused(home: Path, sql: str, code: int) -> None:
    cli("store", "ingest", "--quiet", home=home)
    assert cli("store", "query", sql, home=home)[0] == code


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    code, _, err = cli("store", "query", "SELECT 1", home=tmp_path)
    assert code == 4
    assert "palimpsest store ingest" in err
    assert cli("site", "build", home=tmp_path)[0] == 4
    assert cli("site", "serve", home=tmp_path)[0] == 4


def test_ingest_tells_of_damaged_folders_and_takes_the_others(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", COMPLETE)
    (tmp_path / "runs" / "0123456789ab").mkdir()
    (tmp_path / "runs" / "0123456789ab" / "spec.json").write_text("{")
    code, out, err = cli("store", "ingest", home=tmp_path)
    assert code == 1
    assert "1 added" in out
    assert "0123456789ab" in err
