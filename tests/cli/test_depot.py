"""``--depot`` on the command line: runs that machines share without a file system, mirrors of them, and no secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from palimpsest.cli import hand_over
from palimpsest.cli.carry_out import How
from palimpsest.harness.depot.head import Head, look
from palimpsest.harness.depot.lease import Lease
from palimpsest.harness.depot.store import open_store
from palimpsest.harness.errors import UsageError
from tests.cli.helpers import cli
from tests.cli.test_run import FT_L
from tests.cli.test_run import model as model  # the fixture
from tests.harness.depot.conftest import s3 as s3
from tests.harness.depot.conftest import server as server
from tests.harness.depot.conftest import url as url
from tests.harness.fleet.test_local import bits, command
from tests.labs.depot_history import check_history
from tests.labs.s3_server import S3, SECRET


def heads_by_run(s3: S3) -> dict[str, list[Head]]:
    found: dict[str, list[Head]] = {}
    for data in s3.heads:
        head = Head.model_validate_json(data)
        found.setdefault(head.run, []).append(head)
    return found


def files_with(word: str, *folders: Path) -> list[str]:
    return [str(p) for folder in folders for p in folder.rglob("*") if p.is_file() and word.encode() in p.read_bytes()]


def without_saves(home: Path) -> dict[str, dict[str, str]]:
    return {run: {n: d for n, d in files.items() if "checkpoints" not in n} for run, files in bits(home).items()}


def listed(url: str) -> list[dict[str, object]]:
    code, out, err = cli("depot", "list", "--depot", url, "--json")
    assert code == 0, err
    return list(json.loads(out))


def test_runs_of_a_depot_end_as_mirrors_with_the_same_bits_and_without_secrets(
    model: Path, s3: S3, url: str, tmp_path: Path
) -> None:
    alone, home, other = tmp_path / "alone", tmp_path / "home", tmp_path / "other"
    assert cli(*command(model, alone, "--on", "local:1"))[0] == 0
    code, out, err = cli(*command(model, home, "--on", "local:2", "--depot", url))
    assert code == 0, err
    rows = json.loads(out)
    assert {row["status"] for row in rows} == {"complete"} and len(rows) == 3
    assert all(row["folder"] == str(home / "runs" / row["run"]) and row["effective_edits"] is not None for row in rows)
    assert bits(home) == without_saves(alone)
    for heads in heads_by_run(s3).values():
        check_history(heads)
    before = len(s3.heads)
    code, out, err = cli(*command(model, home, "--depot", url))
    assert code == 0 and "at once" not in err and len(s3.heads) == before, "done runs are only read"

    assert {(row["status"], row["edits"], row["worker"]) for row in listed(url)} == {("complete", 4, "")}
    first = rows[0]["run"]
    pull = ("depot", "pull", "--depot", url, "--home", str(other))
    code, out, err = cli(*pull, first[:8], "--checkpoints")
    assert code == 0 and bits(other)[first] == bits(alone)[first], err
    code, out, err = cli(*pull)
    assert code == 0 and ": 3 from the depot" in out and "2 of them new" in out
    assert list((other / "runs" / first).glob("checkpoints/*/weights.safetensors")), (
        "a mirror that has weights keeps them"
    )
    assert "0 of them new" in cli(*pull)[1]
    code, out, err = cli("store", "ingest", home=other)
    assert code == 0, err
    assert not files_with(SECRET, home, other) and SECRET not in out + err


def test_a_run_that_is_stopped_goes_on_in_another_home(model: Path, s3: S3, url: str, tmp_path: Path) -> None:
    settings = [part for key, value in FT_L.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    some = ["run", "--model", str(model), "--editor", "ft-l", "--task", "pocket-counterfact", "--edits", "8", *settings]
    some += ["--batch-size", "2", "--checkpoints", "0,8", "--sample", "3", "--json", "--depot", url, "--home"]
    code, out, err = cli(*some, str(tmp_path / "first"), "--limit", "4")
    (row,) = json.loads(out)
    assert (code, row["status"], row["edits"]) == (3, "partial", 4), err
    assert row["folder"] == f"{url}/runs/{row['run']}"
    code, out, err = cli(*some, str(tmp_path / "second"))
    (row,) = json.loads(out)
    assert (code, row["status"], row["edits"]) == (0, "complete", 8), err
    journal = (tmp_path / "second" / "runs" / row["run"] / "events.jsonl").read_text()
    assert [json.loads(line)["edits"] for line in journal.splitlines() if '"run_resumed"' in line] == [4]
    check_history(heads_by_run(s3)[row["run"]])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--depot", "ftp://bucket/folder"), 2, "expected an address like s3://bucket/folder"),
        (("--depot", f"s3://key:{SECRET}@bucket/folder"), 2, "credentials in the environment"),
        (("--depot", f"az://account/folder?sig={SECRET}"), 2, "credentials in the environment"),
        (("--depot", "s3://no-such-bucket/folder"), 4, "404"),
        (("--depot", "s3://bucket/folder", "--fresh"), 2, "Give another folder with --depot"),
    ],
)
def test_what_is_wrong_with_a_depot_is_said_before_anything_is_done(
    words: tuple[str, ...], code: int, said: str, model: Path, s3: S3, tmp_path: Path
) -> None:
    ended, out, err = cli(*command(model, tmp_path / "home"), *words)
    assert ended == code and said in err and SECRET not in out + err
    assert not (tmp_path / "home" / "runs").exists() and not files_with(SECRET, tmp_path)


def test_a_depot_must_be_named_to_be_looked_at(tmp_path: Path) -> None:
    for verb in (("list",), ("pull",)):
        code, _, err = cli("depot", *verb)
        assert code == 2 and "Which depot?" in err


def test_without_obstore_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    code, _, err = cli("depot", "list", "--depot", "s3://bucket/folder")
    assert code == 4 and "pip install 'palimpsest-bench[depot]'" in err


def test_a_run_that_is_not_in_the_depot_is_named(s3: S3, url: str) -> None:
    code, _, err = cli("depot", "pull", "c0ffee", "--depot", url)
    assert code == 2 and "'c0ffee' is not in the depot" in err


NOT_ASKED = """
import sys
from palimpsest.cli.app import main
for words in ("run --help", "depot --help", "depot pull --help", "list suites"):
    main(words.split())
main(["run", *sys.argv[1:]])
print([name for name in sys.modules if name.startswith(("obstore", "palimpsest.harness.depot"))], file=sys.stderr)
"""


def test_nothing_of_a_depot_is_imported_unless_one_is_given(model: Path, tmp_path: Path) -> None:
    words = command(model, tmp_path, "--on", "local:1")[1:]
    done = subprocess.run(
        [sys.executable, "-c", NOT_ASKED, *words], env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == "[]", done.stderr
    assert '"complete"' in done.stdout


def test_an_owner_is_shown_in_the_list(s3: S3, url: str) -> None:
    store = open_store(url, ttl=60)
    Lease(store, "c0ffee").take()
    (row,) = listed(url)
    assert (row["run"], row["status"]) == ("c0ffee", "missing") and str(row["worker"]).endswith(f":{os.getpid()}")
    head, _ = look(store, "c0ffee")
    assert head is not None and head.owner.startswith(str(row["worker"]))


def test_a_damaged_head_is_named_and_hides_no_other(s3: S3, url: str, tmp_path: Path) -> None:
    store = open_store(url, ttl=60)
    Lease(store, "c0ffee").take()
    store.put("heads/badbad.json", b'{"run": "badbad", "files": {"../../x": {}}}', None)
    for words in (("list",), ("pull", "--home", str(tmp_path))):
        code, out, err = cli("depot", *words, "--depot", url)
        assert code == 2 and "heads/badbad.json in the depot" in err and "files" in err
    assert "c0ffee" in cli("depot", "list", "--depot", url)[1]
    code, out, _ = cli("depot", "pull", "c0ffee", "--depot", url, "--home", str(tmp_path))
    assert code == 2 and ": 1 from the depot, 0 of them" in out and not (tmp_path / "runs").exists(), (
        "nothing is published yet"
    )


def test_each_night_has_a_folder_of_its_own_in_a_depot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stop(planned: object, home: Path, how: How) -> list[object]:
        raise UsageError(f"{home} {how.depot}")

    monkeypatch.setattr(hand_over, "carry_out", stop)
    code, _, err = cli("nightly", "--day", "2026-03-01", "--home", str(tmp_path), "--depot", "s3://bucket/folder/")
    assert code == 2 and err.strip().endswith("nights/2026-03-01 s3://bucket/folder/nights/2026-03-01")
