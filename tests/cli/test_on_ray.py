"""The words about a Ray cluster before runs begin, runs that nobody watches, and runs that take several GPUs."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from palimpsest.cli import hand_over, ray_census
from palimpsest.cli.ray_pool import _Watch, connected, dispatch_on_ray, leave_to_ray
from palimpsest.cli.verbs import doctor
from palimpsest.harness.fleet.dispatch import RunEnd
from palimpsest.harness.fleet.ticket import RunTicket
from palimpsest.harness.runs.layout import LOCK
from palimpsest.harness.system.locks import locked
from tests.cli.helpers import cli
from tests.cli.test_run import arguments
from tests.cli.test_run import model as model  # the fixture
from tests.harness.depot.conftest import s3 as s3
from tests.harness.depot.conftest import server as server
from tests.harness.depot.conftest import url as url
from tests.harness.fleet.test_local import bits, command
from tests.labs.ray_cluster import LabCluster, diary, most_at_once, played, until, watch
from tests.labs.s3_server import S3, SECRET


@pytest.fixture(scope="module")
def cluster(server: S3) -> Iterator[LabCluster]:
    """A head, a node with one CPU, and one with two CPUs and four GPUs, of which Ray was only told."""
    one = LabCluster(1)
    one.add(num_cpus=2, num_gpus=4)
    yield one
    one.close()


def test_runs_of_a_depot_go_to_the_cluster_and_credentials_are_those_of_its_nodes(
    cluster: LabCluster, model: Path, s3: S3, url: str, tmp_path: Path
) -> None:
    alone, home = tmp_path / "alone", tmp_path / "home"
    words = arguments(model, "--sample", "3", "--json", "--home")
    assert cli(*words, str(alone))[0] == 0
    code, out, err = cli(*words, str(home), "--on", f"ray:{cluster.address}", "--depot", url)
    assert code == 0 and {row["status"] for row in json.loads(out)} == {"complete"}, out + err
    assert bits(home) == {
        run: {name: digest for name, digest in files.items() if "checkpoints" not in name}
        for run, files in bits(alone).items()
    }
    assert not [path for path in home.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.fixture(autouse=True)
def only_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks of packages and models are not these tests' business."""
    for name in ("_packages", "_models", "_editors", "_abilities"):
        monkeypatch.setattr(doctor, name, lambda: iter(()))


def test_doctor_has_a_line_for_every_node(cluster: LabCluster, tmp_path: Path) -> None:
    code, out, err = cli("doctor", "--on", f"ray:{cluster.address}", "--json", home=tmp_path)
    found = json.loads(out)
    nodes = [line["found"] for line in found if line["name"].startswith("node ")]
    assert code == 0 and len(nodes) == 3 and all("sees the home, locks hold" in line for line in nodes), out + err
    assert {line.partition(", 4.0")[0] for line in nodes} == {"0 CPU, 0 GPU", "1 CPU, 0 GPU", "2 CPU, 4 GPU"}
    assert not list((tmp_path / "fleet").glob("census*"))


def test_doctor_names_nodes_that_differ(cluster: LabCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from palimpsest.harness.fleet import ray_node

    here = ray_node.versions_here()
    monkeypatch.setattr(ray_node, "versions_here", lambda: here | {"torch": "0.0.1"})
    code, out, _ = cli("doctor", "--on", f"ray:{cluster.address}", home=tmp_path)
    assert code == 4 and out.count("✗ fail") == 3 and out.count("torch 0.0.1 here") == 3


def test_runs_that_nobody_watches_go_on_and_can_be_watched_later(cluster: LabCluster, tmp_path: Path) -> None:
    tickets = played(tmp_path, *["good 4 0.1"] * 3)
    leave_to_ray(tickets, cluster.address, worker="tests.labs.played_worker")
    until(lambda: len(diary(tmp_path)) == 6, "all have begun and ended with nobody there")
    assert {end.verdict for end in watch(cluster.address, tickets).values()} == {"done"}
    assert len(diary(tmp_path)) == 6, "none was begun twice"


def test_a_conductor_goes_for_good_and_the_next_takes_what_was_handed_over_just_then(
    cluster: LabCluster, tmp_path: Path
) -> None:
    """Runs that nobody watched were lost with a conductor that another command had ended."""
    first, second = played(tmp_path, "good 1 0", "good 2 0")
    ray = connected(cluster.address)
    try:
        one = _Watch(ray, tmp_path, "tests.labs.played_worker", lambda name, event: None)
        one.leave([])
        conductor = one._conductor()
        for answer in (conductor.leave.remote(), conductor.add.remote([first.model_dump_json()])):
            with pytest.raises(ray.exceptions.RayActorError):
                ray.get(answer)
        one.leave([first])
    finally:
        ray.shutdown()

    def hand_over(name: str, end: RunEnd) -> None:
        """As another command, when this one has seen the last end of its own."""
        _Watch(ray, tmp_path, "tests.labs.played_worker", lambda name, event: None).leave([second])

    dispatch_on_ray(
        [first], cluster.address, tell=lambda name, event: None, ended=hand_over, worker="tests.labs.played_worker"
    )
    assert {end.verdict for end in watch(cluster.address, [second]).values()} == {"done"}
    assert sorted(diary(tmp_path)) == sorted((what, one.name) for what in ("begin", "end") for one in (first, second))
    until(lambda: not cluster.conductors(), "no conductor is left")


def test_what_is_lacking_on_one_node_is_looked_for_on_another(cluster: LabCluster, tmp_path: Path) -> None:
    ends = watch(cluster.address, played(tmp_path, *["lacks-once 1 0"] * 3))
    assert {end.verdict for end in ends.values()} == {"done"}
    nodes: dict[str, list[str]] = {}
    for line in (tmp_path / "diary").read_text().splitlines():
        what, name, node = line.split()[:3]
        nodes.setdefault(name, []).extend([node] * (what == "begin"))
    assert len(nodes) == 3 and all(len(places) == len(set(places)) == 2 for places in nodes.values())


def test_fleet_tells_what_runs_and_what_waits_on_the_cluster_and_stops_all(cluster: LabCluster, tmp_path: Path) -> None:
    leave_to_ray(played(tmp_path, *["gated 3 0"] * 5), cluster.address, worker="tests.labs.played_worker")
    until(lambda: len(diary(tmp_path)) == 3, "as many have begun as there are CPUs")
    words = ("--on", f"ray:{cluster.address}", "--home", str(tmp_path))
    code, out, err = cli("fleet", *words, "--json")
    assert code == 0 and Counter(row["state"] for row in json.loads(out)) == {"running": 3, "pending": 2}, out + err
    code, out, err = cli("fleet", "stop", *words)
    assert code == 0 and "5 are told to stop" in out, out + err
    until(lambda: len(diary(tmp_path)) == 6, "all that had begun have ended")
    until(lambda: "running" not in cli("fleet", *words, "--json")[1], "none runs")
    code, out, err = cli("fleet", "stop", *words, "--json")
    assert code == 0 and json.loads(out) == {"stopped": []}, out + err


def test_fleet_asks_no_place_where_nothing_is_handed_over(tmp_path: Path) -> None:
    code, _, err = cli("fleet", "--on", "nowhere", "--home", str(tmp_path))
    assert code == 2 and "got 'nowhere'" in " ".join(err.split())


def test_a_run_has_as_many_gpus_as_it_asks_for_and_sees_no_others(cluster: LabCluster, tmp_path: Path) -> None:
    tickets = [one.model_copy(update={"gpus": 4}) for one in played(tmp_path, *["good 2 0.2"] * 2, device_map="auto")]
    assert {end.verdict for end in watch(cluster.address, tickets).values()} == {"done"}
    assert most_at_once(tmp_path) == 1
    assert {line.split()[3] for line in (tmp_path / "diary").read_text().splitlines()} == {"0,1,2,3"}


def test_a_run_that_another_process_works_on_here_is_tried_later_there(
    cluster: LabCluster, model: Path, tmp_path: Path
) -> None:
    words = arguments(model, "--sample", "3", "--json", "--home", str(tmp_path))
    code, out, _ = cli(*words, "--limit", "2")
    run = json.loads(out)[0]["run"]
    ends: list[tuple[int, str, str]] = []
    there = threading.Thread(target=lambda: ends.append(cli(*words, "--on", f"ray:{cluster.address}")))

    def refused() -> bool:
        """The conductor has noted an attempt in vain."""
        return any('"attempt"' in one.read_text(encoding="utf-8") for one in tmp_path.glob("fleet/conductor-*.jsonl"))

    with locked(tmp_path / "runs" / run / LOCK, "a run by hand"):
        code, out, _ = cli(*words, "--on", "local:1")
        assert code == 3 and "a run by hand" in json.loads(out)[0]["reason"]
        there.start()
        until(refused, "the first attempt has found the lock held, and a second follows")
    there.join()
    ((code, out, err),) = ends
    assert code == 0 and json.loads(out)[0]["status"] == "complete", err
    assert "it is tried again in 10 s" in err and "a run by hand" in err


def test_a_node_that_does_not_see_the_home_differs_unless_a_depot_keeps_the_runs(tmp_path: Path) -> None:
    ray = SimpleNamespace(get=lambda answer, timeout: answer)
    answer = {"versions": {}, "home": False, "locks": False}
    told = ray_census._difference(ray, answer, {}, tmp_path)
    assert "does not see" in told and "locks in" in told
    assert ray_census._difference(ray, answer, {}, None) == ""


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[RunTicket]:
    """The tickets that are handed over to a cluster, which is not asked."""
    tickets: list[RunTicket] = []

    def note(given: Sequence[RunTicket], address: str, *, fresh: bool) -> None:
        tickets.extend(given)

    monkeypatch.setattr(hand_over, "leave_to_ray", note)
    return tickets


def test_detach_says_how_to_watch_and_the_flags_are_in_the_tickets(
    left: list[RunTicket], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = command(model, tmp_path, "--on", "ray", "--detach", "--memory", "7", "--device-map", "auto",
                    "--gpus-per-run", "2")  # fmt: skip
    words.remove("--json")
    monkeypatch.setattr("sys.argv", ["palimpsest", *words])
    code, out, err = cli(*words)
    assert code == 0, err
    assert "3 runs are on the Ray cluster. Watch them, or stop them with Ctrl-C: palimpsest run" in out
    assert "--detach" not in out
    assert {(one.memory >> 30, one.gpus, one.means.device_map, one.course.keep) for one in left} == {
        (7, 2, "auto", "none")
    }


@pytest.mark.parametrize(
    "words", [("nightly", "--suite", "smoke"), ("claims", "pocket-llama")], ids=["nightly", "claims"]
)
def test_nights_and_claims_that_are_left_alone_are_not_complete(
    left: list[RunTicket], tmp_path: Path, words: tuple[str, ...]
) -> None:
    code, out, _ = cli(*words, "--on", "ray", "--detach", "--home", str(tmp_path))
    runs = [ticket for ticket in left if ticket.kind == "run"]
    assert code == 3 and runs and f"{len(runs)} runs are on the Ray cluster" in out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--detach",), "--detach: runs on this machine end with the command"),
        (("--on", "ray", "--detach", "--page"), "--page: the command ends before the runs do"),
        (("--on", "ray", "--device", "cuda:1"), "a run sees its own GPUs"),
        (("--gpus-per-run", "1", "--device-map", "auto"), "nobody deals out GPUs"),
        (("--on", "ray", "--gpus-per-run", "1"), "the runs are on the CPU"),
        (("--on", "slurm", "--gpus-per-run", "2", "--device", "cuda"), "--device-map auto uses all"),
        (("--on", "slurm", "--gpus-per-run", "0", "--device", "cuda"), "at least 1, got 0"),
        (("--memory", "0"), "--memory: expected a whole number of GB"),
        (("--memory", "1.5"), "expected a whole number"),
    ],
)
def test_what_does_not_go_together_is_refused(model: Path, tmp_path: Path, more: tuple[str, ...], said: str) -> None:
    code, _, err = cli(*command(model, tmp_path, *more))
    assert code == 2 and said in " ".join(err.split())
    assert not tmp_path.joinpath("fleet").exists()
