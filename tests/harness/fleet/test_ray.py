"""A real Ray cluster of three nodes on this machine: whatever is killed, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from palimpsest.harness.errors import MissingResource
from tests.cli.helpers import cli
from tests.cli.test_run import model as model  # the fixture
from tests.harness.fleet.test_local import bits, command
from tests.labs.ray_cluster import LabCluster, diary, most_at_once, played, until, watch, watch_elsewhere

KILLS = pytest.mark.skipif(
    "PALIMPSEST_TEST_RAY" not in os.environ,
    reason="kills nodes and conductors for minutes, and needs idle cores: PALIMPSEST_TEST_RAY=1 runs it",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LabCluster]:
    one = LabCluster(2)
    yield one
    one.close()


def begun(home: Path) -> Counter[str]:
    return Counter(name for what, name in diary(home) if what == "begin")


@KILLS
def test_each_end_has_its_verdict_and_never_more_go_on_than_there_are_cpus(cluster: LabCluster, tmp_path: Path) -> None:
    good = ["good 3 0.3"] * 4
    tickets = played(tmp_path, "fail", *good, "crash-once 4 0.1", "poisoned")
    ends = watch(cluster.address, tickets)
    fail, *well, crashing, poisoned = (ticket.name for ticket in tickets)
    assert (ends[fail].verdict, ends[fail].code) == ("failed", 1) and "the editor failed" in str(ends[fail].reason)
    assert {ends[name].verdict for name in (*well, crashing)} == {"done"}
    assert ends[poisoned].verdict == "given up" and "killed by signal 9" in str(ends[poisoned].reason)
    assert begun(tmp_path) == {fail: 1, **dict.fromkeys(well, 1), crashing: 2, poisoned: 3}


def test_two_cpus_carry_two_at_once(cluster: LabCluster, tmp_path: Path) -> None:
    watch(cluster.address, played(tmp_path, *["good 4 0.3"] * 6))
    assert most_at_once(tmp_path) == 2


@KILLS
def test_a_second_command_watches_the_same_runs_and_the_first_may_be_killed(
    cluster: LabCluster, tmp_path: Path
) -> None:
    tickets = played(tmp_path, *["good 30 0.3"] * 2, "good 2 0.1")
    first = watch_elsewhere(cluster.address, tickets)
    until(lambda: len(begun(tmp_path)) == 2, "two have begun")
    timer = threading.Timer(3.0, first.kill)
    timer.start()
    ends = watch(cluster.address, tickets)
    assert first.wait() == -signal.SIGKILL
    assert {end.verdict for end in ends.values()} == {"done"}
    assert begun(tmp_path) == dict.fromkeys((ticket.name for ticket in tickets), 1)


@KILLS
def test_after_ctrl_c_all_save_and_end_and_the_same_command_goes_on(cluster: LabCluster, tmp_path: Path) -> None:
    tickets = played(tmp_path, *["good 40 0.3"] * 3)
    first = watch_elsewhere(cluster.address, tickets)
    until(lambda: len(begun(tmp_path)) == 2, "two have begun")
    first.send_signal(signal.SIGINT)
    out, _ = first.communicate(timeout=60)
    assert out.strip() == "['stopped', 'stopped', 'stopped'] [130, 130, 130]"
    assert Counter(what for what, _ in diary(tmp_path)) == {"begin": 2, "end": 2}
    shorter = played(tmp_path, *["good 12 0.1"] * 3)
    assert {end.verdict for end in watch(cluster.address, shorter).values()} == {"done"}
    assert sorted(begun(tmp_path).values()) == [1, 2, 2]


@KILLS
def test_a_killed_conductor_comes_back_and_the_runs_go_on(cluster: LabCluster, tmp_path: Path) -> None:
    tickets = played(tmp_path, *["good 15 0.4"] * 2, "good 2 0.1")

    def kill() -> None:
        until(lambda: all((tmp_path / f"{ticket.name}.count").exists() for ticket in tickets[:2]), "they count")
        cluster.kill_conductor()

    killer = threading.Thread(target=kill)
    killer.start()
    ends = watch(cluster.address, tickets)
    killer.join()
    assert {end.verdict for end in ends.values()} == {"done"}
    assert [(tmp_path / f"{ticket.name}.count").read_text() for ticket in tickets] == ["15", "15", "2"]
    assert most_at_once(tmp_path) <= 2


@KILLS
def test_a_lost_node_costs_no_bit_of_a_run(cluster: LabCluster, model: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    more, edits = ("--checkpoints", "0,10,120"), 120
    code, _, err = cli(*command(model, here, "--on", "local:2", *more, edits=edits))
    assert code == 0, err
    lost: list[str] = []

    def cut() -> str | None:
        """A run that is behind its first save."""
        for journal in there.glob("runs/*/events.jsonl"):
            text = journal.read_text(encoding="utf-8")
            if text.count('"batch"') >= 6 and '"run_finished"' not in text:
                return journal.parent.name
        return None

    def lose() -> None:
        until(lambda: cut() is not None, "a run edits")
        lost.append(str(cut()))
        cluster.lose(cluster.node_of(lost[0]))

    loser = threading.Thread(target=lose)
    loser.start()
    code, out, err = cli(*command(model, there, "--on", f"ray:{cluster.address}", *more, edits=edits))
    loser.join()
    assert code == 0, err
    assert {row["status"] for row in json.loads(out)} == {"complete"}
    assert '"run_resumed"' in (there / "runs" / lost[0] / "events.jsonl").read_text(encoding="utf-8")
    assert bits(there) == bits(here)
    cluster.nodes = [node for node in cluster.nodes if node.any_processes_alive()] + [cluster.add()]


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
        ends = watch(cluster.address, played(tmp_path, *["good 2 0.3"] * 3, device="cuda"))
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
        watch(cluster.address, played(tmp_path, "good 1 0"))
    assert str(caught.value).count("torch 0.0.1 here") == 3 and not diary(tmp_path)


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
        (("--on", "ray", "--depot", "s3://bucket/folder"), "must share the home"),
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
