"""A real Ray cluster of three nodes on this machine: whatever is killed, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from palimpsest.cli import carry_out
from palimpsest.cli.ticket_kinds import prepared_first
from palimpsest.cli.tuning import protocol
from palimpsest.harness.errors import MissingResource
from palimpsest.harness.fleet.dispatch import RunEnd
from palimpsest.harness.fleet.ticket import RunTicket
from tests.cli.helpers import cli
from tests.cli.test_run import model as model  # the fixture
from tests.cli.test_tune import small as small  # the fixture
from tests.cli.test_tune import without_seconds
from tests.harness.fleet.test_local import EDITORS, bits, command
from tests.labs.ray_cluster import (
    LabCluster,
    diary,
    meanwhile,
    most_at_once,
    open_gate,
    played,
    until,
    watch,
    watch_elsewhere,
)  # fmt: skip


@pytest.fixture(scope="module")
def lab() -> Iterator[LabCluster]:
    one = LabCluster(2)
    yield one
    one.close()


@pytest.fixture
def cluster(lab: LabCluster) -> LabCluster:
    """Two nodes that nobody uses, whatever the test before has done."""
    lab.mend()
    return lab


def begun(home: Path) -> Counter[str]:
    return Counter(name for what, name in diary(home) if what == "begin")


def test_each_end_has_its_verdict(cluster: LabCluster, tmp_path: Path) -> None:
    tickets = prepared_first(played(tmp_path, "fail", "good 3 0", "crash-once 4 0", "poisoned"))
    ends = watch(cluster.address, tickets)
    prepare, fail, good, crashing, poisoned = (ticket.name for ticket in tickets)
    assert diary(tmp_path)[:2] == [("begin", prepare), ("end", prepare)], "what they share comes first"
    assert ends[prepare].verdict == "failed", "and keeps nobody waiting when it fails"
    assert (ends[fail].verdict, ends[fail].code) == ("failed", 1) and "the editor failed" in str(ends[fail].reason)
    assert {ends[name].verdict for name in (good, crashing)} == {"done"}
    assert ends[poisoned].verdict == "given up" and "killed by signal 9" in str(ends[poisoned].reason)
    assert begun(tmp_path) == {prepare: 1, fail: 1, good: 1, crashing: 2, poisoned: 3}


def test_two_cpus_carry_two_at_once_and_never_three(cluster: LabCluster, tmp_path: Path) -> None:
    def look() -> None:
        until(lambda: len(begun(tmp_path)) >= 2, "two have begun")
        time.sleep(3)  # for a third, which must not
        open_gate(tmp_path)

    with meanwhile(look):
        watch(cluster.address, played(tmp_path, *["gated 2 0"] * 4))
    assert most_at_once(tmp_path) == 2


def test_a_second_command_watches_the_same_runs_and_the_first_may_be_killed(
    cluster: LabCluster, tmp_path: Path
) -> None:
    tickets = played(tmp_path, *["gated 3 0"] * 2, "good 2 0")
    first = watch_elsewhere(cluster.address, tickets)
    until(lambda: len(begun(tmp_path)) == 2, "two have begun")

    def attached() -> None:
        if first.poll() is None:
            first.kill()
            first.wait()
            open_gate(tmp_path)

    ends = watch(cluster.address, tickets, attached)
    assert first.wait() == -signal.SIGKILL
    assert {end.verdict for end in ends.values()} == {"done"}
    assert begun(tmp_path) == dict.fromkeys((ticket.name for ticket in tickets), 1)


def test_after_ctrl_c_all_save_and_end_and_the_same_command_goes_on(cluster: LabCluster, tmp_path: Path) -> None:
    tickets = played(tmp_path, *["gated 3 0"] * 3)
    first = watch_elsewhere(cluster.address, tickets)
    until(lambda: len(begun(tmp_path)) == 2, "two have begun")
    first.send_signal(signal.SIGINT)
    out, _ = first.communicate()
    assert out.strip() == "['stopped', 'stopped', 'stopped'] [130, 130, 130]"
    assert Counter(what for what, _ in diary(tmp_path)) == {"begin": 2, "end": 2}
    open_gate(tmp_path)
    assert {end.verdict for end in watch(cluster.address, tickets).values()} == {"done"}
    assert sorted(begun(tmp_path).values()) == [1, 2, 2]


def test_a_killed_conductor_comes_back_and_knows_what_was_in_vain(cluster: LabCluster, tmp_path: Path) -> None:
    tickets = played(tmp_path, "gated 3 0", "poisoned 3", "good 2 0")
    gated, poisoned, good = (ticket.name for ticket in tickets)

    def kill() -> None:
        until(
            lambda: (tmp_path / f"{gated}.count").exists() and begun(tmp_path)[poisoned] == 3, "two have died in vain"
        )
        cluster.kill_conductor()
        until(lambda: {("end", gated), ("end", poisoned)} <= set(diary(tmp_path)), "both save and end")
        open_gate(tmp_path)

    with meanwhile(kill):
        ends = watch(cluster.address, tickets)
    assert {name: end.verdict for name, end in ends.items()} == {gated: "done", good: "done", poisoned: "given up"}
    assert [(tmp_path / f"{name}.count").read_text() for name in (gated, good)] == ["3", "2"]
    assert begun(tmp_path) == {gated: 2, poisoned: 4, good: 1}, "two deaths before the conductor's, and one after"


def test_a_lost_node_costs_no_bit_of_a_run(cluster: LabCluster, model: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    more, how = ("--checkpoints", "0,10,60", "--keep", "newest"), {"edits": 60, "editors": EDITORS[:2]}
    code, _, err = cli(*command(model, here, "--on", "local:1", *more, **how))
    assert code == 0, err
    lost: list[str] = []

    def frozen() -> bool:
        """A run is behind its first save, and can do nothing more."""
        for journal in there.glob("runs/*/events.jsonl"):
            if '"save"' not in journal.read_text(encoding="utf-8"):
                continue
            try:
                holder = journal.with_name("lock.holder").read_text(encoding="utf-8").split()[0]
                process = psutil.Process(int(holder.rpartition(":")[2]))
                process.suspend()
            except (FileNotFoundError, psutil.NoSuchProcess):  # it has ended meanwhile
                continue
            if '"run_finished"' not in journal.read_text(encoding="utf-8"):
                lost.append(journal.parent.name)
                cluster.lose(cluster.node_of(process.pid))
                return True
            process.resume()
        return False

    with meanwhile(lambda: until(frozen, "a run has saved")):
        code, out, err = cli(*command(model, there, "--on", f"ray:{cluster.address}", *more, **how))
    assert code == 0, err
    assert {row["status"] for row in json.loads(out)} == {"complete"}
    assert '"run_resumed"' in (there / "runs" / lost[0] / "events.jsonl").read_text(encoding="utf-8")
    assert bits(there) == bits(here)


def test_trials_of_a_tuning_on_ray_give_the_records_and_presets_of_this_machine(
    cluster: LabCluster, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "BUDGET", 1)
    found = []
    for number, on in enumerate(("local:1", f"ray:{cluster.address}")):
        out = tmp_path / str(number)
        code, _, err = cli(*small, "--out", str(out), "--on", on)
        assert code == 0, err
        records = sorted(out.glob("*/pocket-gpt2.tuning.json"))
        found.append([(without_seconds(one), one.with_name("pocket-gpt2.toml").read_text()) for one in records])
    assert "3 editors, trials on the Ray cluster" in err and len(found[0]) == 3
    assert found[0] == found[1]


def test_what_could_never_be_scheduled_is_refused_before_anything_begins(cluster: LabCluster, tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="No node of the cluster has 1 CPU, 1 GPU .* wait for ever"):
        watch(cluster.address, played(tmp_path, "good 1 0", device="cuda"))
    large = [ticket.model_copy(update={"memory": 100 << 30}) for ticket in played(tmp_path, "good 1 0")]
    with pytest.raises(MissingResource, match="1 CPU and 100 GB"):
        watch(cluster.address, large)
    assert not diary(tmp_path)


def test_a_gpu_carries_one_run_at_once_and_is_the_only_one_it_sees(cluster: LabCluster, tmp_path: Path) -> None:
    """Ray counts GPUs as it is told, so no real one is needed to see how runs are placed."""
    node = cluster.add(num_cpus=2, num_gpus=1)
    try:
        ends = watch(cluster.address, played(tmp_path, *["good 2 0.2"] * 3, device="cuda"))
    finally:
        cluster.lose(node)
    assert {end.verdict for end in ends.values()} == {"done"} and most_at_once(tmp_path) == 1
    assert {line.split()[3:][0] for line in (tmp_path / "diary").read_text().splitlines()} == {"0"}


def test_nodes_with_other_versions_are_named_before_anything_begins(
    cluster: LabCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from palimpsest.harness.fleet import ray_node

    here = ray_node.versions_here()
    monkeypatch.setattr(ray_node, "versions_here", lambda: here | {"torch": "0.0.1"})
    with pytest.raises(MissingResource) as caught:
        watch(cluster.address, played(tmp_path, "good 1 0"), census=True)
    assert str(caught.value).count("torch 0.0.1 here") == 3 and not diary(tmp_path)


def test_a_signal_before_the_first_run_has_begun_is_no_success(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(tickets: Sequence[RunTicket], address: str, *, tell: Any, ended: Any, fresh: bool) -> dict[str, RunEnd]:
        ends = {one.name: RunEnd("stopped" if one.kind == "prepare" else "not begun", 130) for one in tickets}
        for name, end in ends.items():
            ended(name, end)
        return ends

    monkeypatch.setattr(carry_out, "dispatch_on_ray", stopped)
    code, out, _ = cli(*command(model, tmp_path, "--on", "ray"))
    assert code == 130 and [row["status"] for row in json.loads(out)] == ["interrupted"]


def test_no_cluster_is_said_in_one_sentence(tmp_path: Path, model: Path) -> None:
    code, _, err = cli(*command(model, tmp_path, "--on", "ray:127.0.0.1:1"))
    assert code == 4 and "No Ray cluster answers at 127.0.0.1:1" in err


@pytest.mark.parametrize("words", [("nightly", "--suite", "smoke"), ("claims", "pocket-llama")])
def test_nights_and_claims_go_to_the_cluster_too(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, _, err = cli(*words, "--on", "ray:127.0.0.1:1", "--home", str(tmp_path))
    assert code == 4 and "No Ray cluster answers at 127.0.0.1:1" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--on", "ray://head:10001"), "Ray's client is not offered"),
        (("--on", "ray:head"), "expected ray or ray:HOST:PORT"),
        (("--on", "rays"), "expected local or local:N"),
    ],
)
def test_what_is_no_place_is_refused(model: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    code, _, err = cli(*command(model, tmp_path, *words))
    assert code == 2 and said in " ".join(err.split())


def test_nothing_of_ray_is_imported_unless_it_is_asked_for() -> None:
    code = (
        "import sys\n"
        "import palimpsest.cli.app, palimpsest.cli.verbs.run, palimpsest.cli.carry_out, palimpsest.cli.ray_pool\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'ray'], 'imported'\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, env=os.environ).returncode == 0
