"""Real processes on this machine, with a tiny model: the same bits as one process, whatever is killed on the way."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.fleet.dispatch import Ended
from palimpsest.harness.fleet.local import LocalKeeper, slots
from palimpsest.harness.fleet.prepared import Prepared
from palimpsest.harness.fleet.ticket import RunTicket, read_ticket
from tests.cli.helpers import cli
from tests.cli.test_run import FT_L
from tests.cli.test_run import model as model  # the fixture
from tests.labs.run_lab import results

EDITORS = ("ft-l", "rect(ft-l)", "sphere(ft-l)")


def command(model: Path, home: Path, *more: str, edits: int = 4, editors: Sequence[str] = EDITORS) -> list[str]:
    settings = [part for key, value in FT_L.items() for part in ("--set", f"ft-l.{key}={json.dumps(value)}")]
    for host in editors[1:]:
        settings += [
            part for key, value in FT_L.items() for part in ("--set", f"{host}.host.{key}={json.dumps(value)}")
        ]
    return [
        *("run", "--model", str(model), *(word for name in editors for word in ("--editor", name))),
        *("--task", "pocket-counterfact", "--edits", str(edits), "--batch-size", "2", "--checkpoints", f"0,{edits}"),
        *("--sample", "3", *settings, "--json", *more, "--home", str(home)),
    ]


def bits(home: Path) -> dict[str, dict[str, str]]:
    return {folder.name: results(folder) for folder in sorted((home / "runs").iterdir())}


@pytest.fixture(scope="module")
def alone(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The bits of all runs, done one after another in this process."""
    home = tmp_path_factory.mktemp("alone")
    code, _, err = cli(*command(model, home, "--on", "local:1"))
    assert code == 0, err
    return bits(home)


@pytest.fixture(scope="module")
def together(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose runs were done two at once."""
    home = tmp_path_factory.mktemp("together")
    code, out, err = cli(*command(model, home, "--on", "local:2"))
    assert code == 0, err
    assert [row["editor"] for row in json.loads(out)] == list(EDITORS), "in the order of the plan"
    assert {(row["status"], row["exit_code"]) for row in json.loads(out)} == {("complete", 0)}
    assert "3 runs, 2 at once" in err and not list((home / "fleet").iterdir())
    return home


def test_several_at_once_give_the_bits_of_one_after_another(alone: dict[str, dict[str, str]], together: Path) -> None:
    assert bits(together) == alone


def test_scores_of_the_unedited_model_are_made_once_for_all(together: Path) -> None:
    assert len(list((together / "models").glob("*/scores/*"))) == 1
    seconds = [
        next(json.loads(line) for line in journal.read_text().splitlines() if '"checkpoint"' in line)
        for journal in (together / "runs").glob("*/events.jsonl")
    ]
    assert all(event["edits"] == 0 and event["seconds_abilities"] == 0.0 for event in seconds)


def test_runs_that_are_done_start_no_process(model: Path, together: Path) -> None:
    code, _, err = cli(*command(model, together, "--on", "local:2"))
    assert code == 0 and "at once" not in err


@pytest.fixture(scope="module")
def prepared() -> Iterator[Prepared]:
    """The process that those of this file's keepers are forked from."""
    one = Prepared("palimpsest.cli.ticket_worker")
    yield one
    one.close()


@pytest.fixture
def heard_of(prepared: Prepared) -> Callable[[Path], tuple[LocalKeeper, list[Mapping[str, Any] | Ended]]]:
    """Starts the process of a ticket; its keeper, and what it tells."""

    def start(place: Path) -> tuple[LocalKeeper, list[Mapping[str, Any] | Ended]]:
        heard: list[Mapping[str, Any] | Ended] = []
        return LocalKeeper(read_ticket(place), prepared, heard.append), heard

    return start


def wait_for(heard: list[Mapping[str, Any] | Ended], *kinds: str) -> Any:
    for _ in range(2400):
        for event in list(heard):
            if isinstance(event, Ended) or event["event"] in kinds:
                return event
        time.sleep(0.05)
    raise AssertionError(f"none of {kinds} within two minutes: {heard}")


@pytest.fixture
def ticket(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ticket of a run of many batches, as the pool writes it."""
    from palimpsest.harness.fleet import local

    written: list[Path] = []

    class Kept(Exception):
        pass

    def keep(self: LocalKeeper, ticket: Any, prepared: Any, hear: Any) -> None:
        written.append(ticket.write())
        raise Kept

    with monkeypatch.context() as patch:
        patch.setattr(local.LocalKeeper, "__init__", keep)
        with contextlib.redirect_stderr(io.StringIO()):
            cli(*command(model, tmp_path, "--on", "local:2", edits=200))
    return written[0]


def test_a_process_that_is_asked_to_stop_saves_and_goes_on_later(ticket: Path, heard_of: Any) -> None:
    keeper, heard = heard_of(ticket)
    assert not isinstance(wait_for(heard, "batch"), Ended), keeper.last_words()
    keeper.stop()
    while not isinstance(heard[-1], Ended):
        time.sleep(0.05)
    assert heard[-1] == Ended(143)
    saved = next(event for event in reversed(heard[:-1]) if event["event"] == "save")  # type: ignore[index]
    keeper, heard = heard_of(ticket)
    assert wait_for(heard, "run_resumed")["edits"] == saved["edits"]  # type: ignore[index]
    keeper.kill()
    while not isinstance(heard[-1], Ended):
        time.sleep(0.05)
    assert heard[-1] == Ended(-signal.SIGKILL)


def test_a_process_whose_keeper_is_killed_saves_and_ends(ticket: Path) -> None:
    """The keeper is a process that starts the ticket's process and is killed while that edits."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from palimpsest.harness.fleet.local import LocalKeeper\n"
        "from palimpsest.harness.fleet.prepared import Prepared\n"
        "from palimpsest.harness.fleet.ticket import read_ticket\n"
        "start = Prepared('palimpsest.cli.ticket_worker')\n"
        "LocalKeeper(read_ticket(Path(sys.argv[1])), start, lambda event: print(event, flush=True))\n"
        "time.sleep(600)\n"
    )
    keeper = subprocess.Popen([sys.executable, "-c", code, str(ticket)], stdout=subprocess.PIPE, text=True)
    assert keeper.stdout is not None
    assert any("'batch'" in line for line in keeper.stdout), "it edits"
    os.kill(keeper.pid, signal.SIGKILL)
    keeper.wait()
    one = read_ticket(ticket)
    assert isinstance(one, RunTicket)
    journal = Path(one.home) / "runs" / one.spec.id / "events.jsonl"
    for _ in range(1200):
        last = json.loads(journal.read_text().splitlines()[-1])
        if last["event"] == "interrupted":
            break
        time.sleep(0.05)
    assert (last["event"], last["how"]) == ("interrupted", "terminated") and last["edits"] >= 2
    keeper.stdout.close()


def test_a_changed_model_behind_a_ticket_is_refused(ticket: Path, heard_of: Any) -> None:
    one = read_ticket(ticket)
    assert isinstance(one, RunTicket)
    changed = one.spec.model.model_copy(update={"fingerprint": "0" * 64})
    other = one.model_copy(update={"spec": one.spec.model_copy(update={"model": changed})})
    keeper, heard = heard_of(other.write())
    error = wait_for(heard, "error")
    assert not isinstance(error, Ended), keeper.last_words()
    assert "its files have changed" in error["message"]
    while not isinstance(heard[-1], Ended):
        time.sleep(0.05)
    assert heard[-1] == Ended(2)


def test_as_many_at_once_as_cores_and_memory_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    from palimpsest.harness.fleet import local

    monkeypatch.setattr(local, "cores", lambda: 8)
    monkeypatch.setattr(local, "free_memory", lambda: 10_000)
    assert slots(None, 20, threads=1, bytes_each=1_000) == 8
    assert slots(None, 20, threads=2, bytes_each=1_000) == 4
    assert slots(None, 20, threads=1, bytes_each=4_000) == 2
    assert slots(None, 3, threads=1, bytes_each=1_000) == 3
    assert slots(None, 20, threads=1, bytes_each=50_000) == 1
    assert slots(5, 20, threads=1, bytes_each=50_000) == 5, "the user knows better"
