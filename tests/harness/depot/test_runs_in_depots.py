"""Runs that a depot keeps: the bits of any other run, whoever goes on with it, and never two who publish."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from obstore.store import MemoryStore

from palimpsest.cli.depot_mirror import mirror
from palimpsest.cli.run_in_depot import Publishing, work_in_depot
from palimpsest.harness.depot.caches import Caches
from palimpsest.harness.depot.head import HEADS, RUNS, Head, look
from palimpsest.harness.depot.kept_run import KeptRun
from palimpsest.harness.depot.lease import Lease
from palimpsest.harness.depot.store import Store, Unreachable, open_store
from palimpsest.harness.errors import MissingResource, RunBusy
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.runs.reading import RunState
from palimpsest.harness.system.interrupts import Interrupts
from tests.labs.depot_history import check_history
from tests.labs.run_lab import SHORT, results, run, spec, tiny_model
from tests.labs.s3_server import S3

TTL = 60.0
CODES = {"complete": 0, "partial": 3}


@pytest.fixture(scope="module")
def model() -> EditableModel:
    return tiny_model()


@pytest.fixture(scope="module")
def alone(model: EditableModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The bits of a run that no depot keeps."""
    return results(run(tmp_path_factory.mktemp("alone"), spec({}, **SHORT), model, save_seconds=0.0).folder)


class Recorded(Store):
    """A store of obstore in memory, with a record of all heads."""

    def __init__(self) -> None:
        memory = MemoryStore()
        super().__init__("memory://depot", memory, memory)
        self.heads: list[Head] = []

    def put(self, key: str, data: bytes, tag: str | None) -> str | None:
        new = super().put(key, data, tag)
        if new is not None and key.startswith(HEADS):
            self.heads.append(Head.model_validate_json(data))
        return new


@pytest.fixture
def store() -> Recorded:
    return Recorded()


@pytest.fixture
def over_s3(s3: S3, url: str) -> Store:
    return open_store(url, ttl=TTL)


def bury(store: Store, run: str) -> None:
    """Let an owner count as dead, as whoever takes the run over does after having watched it."""
    head, tag = look(store, run)
    assert head is not None
    assert store.put(f"{HEADS}/{run}.json", head.next(epoch=head.epoch + 1, owner="undertaker").packed(), tag)
    head, tag = look(store, run)
    assert head is not None
    assert store.put(f"{HEADS}/{run}.json", head.next(owner="").packed(), tag)


class Told:
    """Receives events; some call something."""

    def __init__(self, **at: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self.at = at

    def tell(self, event: Mapping[str, Any]) -> None:
        self.events.append(dict(event))
        if event["event"] in self.at:
            self.at[event["event"]](event)

    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events]


def in_depot(store: Store, home: Path, model: EditableModel, told: Told | None = None, **settings: Any) -> int:
    """Do the short run in a scratch home; the exit code."""
    wanted, ttl = spec(settings.pop("config", {}), **SHORT), settings.pop("ttl", TTL)
    with Interrupts() as interrupts:

        def work(progress: Any) -> int:
            how = {"progress": progress, "interrupts": interrupts, "save_seconds": 0.0, **settings}
            return CODES[run(home, wanted, model, **how).status]

        return work_in_depot(store, home, wanted, told or Told(), interrupts, work, ttl=ttl)


def head_now(store: Store, config: Any = None) -> Head:
    head, _ = look(store, spec(config, **SHORT).id)
    assert head is not None
    return head


def bits(store: Store, home: Path) -> dict[str, str]:
    """The bits of the run as a mirror with its saves has them."""
    mirror(store, home, head_now(store), saves=True)
    return results(home / "runs" / spec({}, **SHORT).id)


def heads_of(s3: S3) -> list[Head]:
    return [Head.model_validate_json(data) for data in s3.heads]


def test_a_run_of_a_depot_has_the_bits_of_any_other(
    store: Recorded, model: EditableModel, alone: dict[str, str], tmp_path: Path
) -> None:
    assert in_depot(store, tmp_path / "scratch", model) == 0
    assert bits(store, tmp_path / "mirror") == alone
    head = head_now(store)
    assert (head.status, head.edits, head.owner, head.epoch) == ("complete", 4, "", 1)
    assert {f"{RUNS}/{head.run}/{key}" for key in head.keys} == set(store.sizes(RUNS)), "blobs of pruned saves are gone"
    left = [path.name for path in (tmp_path / "scratch" / "runs" / head.run).iterdir()]
    assert left in ([], ["lock"]), "the scratch folder is tidied up"
    check_history(store.heads)


def test_another_machine_goes_on_from_the_last_save(
    store: Recorded, model: EditableModel, alone: dict[str, str], tmp_path: Path
) -> None:
    assert in_depot(store, tmp_path / "first", model, limit=3) == 3
    assert (head_now(store).status, head_now(store).edits) == ("partial", 3)
    told = Told()
    assert in_depot(store, tmp_path / "second", model, told) == 0
    assert {"event": "run_resumed", "edits": 3} in told.events and told.kinds().count("checkpoint") == 1
    assert bits(store, tmp_path / "mirror") == alone
    assert head_now(store).epoch == 2
    check_history(store.heads)


def test_a_run_that_is_over_is_neither_taken_nor_begun(store: Recorded, model: EditableModel, tmp_path: Path) -> None:
    assert in_depot(store, tmp_path, model) == 0
    before, told = len(store.heads), Told()
    assert in_depot(store, tmp_path / "other", model, told) == 0
    assert told.events == [{"event": "ended", "status": "complete", "edits": 4, "reason": None}]
    assert len(store.heads) == before and not (tmp_path / "other").exists()


def test_a_living_owner_is_left_alone(store: Store) -> None:
    first, second = Lease(store, "c0ffee", ttl=8.0), Lease(store, "c0ffee", ttl=8.0)
    first.take()
    with first.beating(lambda: None), pytest.raises(RunBusy, match="another process"):
        second.take()
    assert head_of(store, "c0ffee") == first.head


def test_a_silent_owner_loses_the_run_after_the_whole_time_and_not_before(store: Store) -> None:
    now = [1000.0]
    first = Lease(store, "c0ffee")
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    second = Lease(store, "c0ffee", time=clock)
    first.take()
    second.take()
    assert 1060.0 <= now[0] < 1100.0 and (second.head.epoch, second.head.owner) == (2, second.owner)
    with pytest.raises(RunBusy):
        first.swap(status="complete")
    assert head_of(store, "c0ffee") == second.head


def head_of(store: Store, name: str) -> Head | None:
    return look(store, name)[0]


def test_who_has_given_the_run_back_beats_no_more(
    store: Recorded, model: EditableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = KeptRun.leave

    def slowly(kept: KeptRun) -> None:
        leave(kept)
        time.sleep(0.5)

    monkeypatch.setattr(KeptRun, "leave", slowly)
    assert in_depot(store, tmp_path, model, ttl=0.4) == 0
    assert store.heads[-2].owner and not store.heads[-1].owner
    check_history(store.heads)


def test_who_has_lost_the_run_publishes_nothing_more_and_stops(
    store: Recorded, model: EditableModel, tmp_path: Path
) -> None:
    def taken(event: Any) -> None:
        head = head_now(store)
        _, tag = look(store, head.run)
        assert store.put(f"{HEADS}/{head.run}.json", head.next(epoch=7, owner="other").packed(), tag) is not None

    told = Told(batch=lambda event: taken(event) if event["edits"] == 3 else None)
    with pytest.raises(RunBusy, match=r"worked on by another process \(other\)"):
        in_depot(store, tmp_path, model, told)
    assert head_now(store).owner == "other" and head_now(store).edits == 2
    assert "run_finished" not in told.kinds()


def test_an_owner_that_cannot_reach_the_store_stops_itself_and_what_it_published_stays(
    s3: S3, over_s3: Store, model: EditableModel, alone: dict[str, str], tmp_path: Path
) -> None:
    def cut(event: Any) -> None:
        s3.down = True

    told = Told(save=lambda event: cut(event) if event["edits"] == 3 else None)
    with pytest.raises(Unreachable, match="cannot be used"):
        in_depot(over_s3, tmp_path / "first", model, told, ttl=4.0)
    s3.down = False
    assert "run_finished" not in told.kinds()
    assert head_now(over_s3).edits == 2 and head_now(over_s3).owner, "it could not even give the run back"
    bury(over_s3, head_now(over_s3).run)
    assert in_depot(over_s3, tmp_path / "second", model) == 0
    assert bits(over_s3, tmp_path / "mirror") == alone
    check_history(heads_of(s3))
    assert not s3.torn


def test_answers_that_get_lost_change_nothing(
    s3: S3, over_s3: Store, model: EditableModel, alone: dict[str, str], tmp_path: Path
) -> None:
    s3.lose = 0.2
    for number in range(5):
        try:
            assert in_depot(over_s3, tmp_path / str(number), model) == 0
        except (RunBusy, Unreachable):
            continue
        break
    s3.lose = 0.0
    assert bits(over_s3, tmp_path / "mirror") == alone
    check_history(heads_of(s3))
    assert not s3.torn


def test_a_blob_that_somebody_removed_is_made_again(
    store: Store, model: EditableModel, alone: dict[str, str], tmp_path: Path
) -> None:
    in_depot(store, tmp_path / "first", model, limit=3)
    head = head_now(store)
    gone = [name for name in head.files if name == "scores/000002/probes.parquet" or "000003/weights" in name]
    store.remove([f"{RUNS}/{head.run}/{head.files[name].key}" for name in gone])
    told = Told()
    assert in_depot(store, tmp_path / "second", model, told) == 0
    warned = " ".join(str(event.get("message")) for event in told.events if event["event"] == "warning")
    assert len(gone) == 2 and all(f"has lost {name}" in warned for name in gone)
    assert bits(store, tmp_path / "mirror") == alone


def test_a_mirror_of_a_run_with_a_lost_blob_is_refused_with_what_to_do(
    store: Store, model: EditableModel, tmp_path: Path
) -> None:
    in_depot(store, tmp_path / "scratch", model)
    head = head_now(store)
    store.remove([f"{RUNS}/{head.run}/{head.files['scores/000002/probes.parquet'].key}"])
    with pytest.raises(MissingResource, match=rf"has lost scores/000002/probes.parquet .* Remove heads/{head.run}"):
        mirror(store, tmp_path / "mirror", head)
    assert not list((tmp_path / "mirror" / "runs").iterdir())


def test_what_tidying_takes_from_the_scratch_folder_stays_in_the_depot(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "c0ffee"
    lease = Lease(store, "c0ffee", ttl=TTL)
    lease.take()
    kept = KeptRun(store, lease, folder)
    assert kept.fetch() == []
    for name in ("scores/000001/a", "checkpoints/000001/w", "events.jsonl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    kept.publish(RunState("partial", 1))
    shutil.rmtree(folder / "scores")
    shutil.rmtree(folder / "checkpoints")
    (folder / "events.jsonl").write_text("more")
    kept.publish(RunState("partial", 1))
    assert set(lease.head.files) == {"scores/000001/a", "checkpoints/000001/w", "events.jsonl"}
    assert len(store.sizes(RUNS)) == 3


def test_a_process_that_is_still_in_the_scratch_folder_is_not_disturbed(
    store: Store, model: EditableModel, tmp_path: Path
) -> None:
    from palimpsest.harness.system.locks import locked

    folder = tmp_path / "runs" / spec({}, **SHORT).id
    folder.mkdir(parents=True)
    (folder / "precious").touch()
    with locked(folder / "lock"), pytest.raises(RunBusy, match="is still at work in"):
        in_depot(store, tmp_path, model)
    assert (folder / "precious").exists() and head_now(store).owner == "", "the lease is given back"


def test_saves_go_up_seldom_enough_to_cost_a_twentieth(monkeypatch: pytest.MonkeyPatch) -> None:
    from palimpsest.cli import run_in_depot

    now = [0.0]
    published: list[float] = []

    def publish() -> None:
        published.append(now[0])
        now[0] += 10.0

    monkeypatch.setattr(run_in_depot.time, "monotonic", lambda: now[0])
    lease = Lease(Store("x://", None, None), "c0ffee")
    publishing = Publishing(publish, lambda: None, lease, Told())
    for _ in range(100):
        now[0] += 15.0
        publishing.tell({"event": "save", "edits": 1})
    assert all(later - earlier >= 10.0 + 200.0 for earlier, later in zip(published, published[1:], strict=False))
    assert len(published) >= 6
    publishing.tell({"event": "checkpoint", "edits": 1})
    publishing.tell({"event": "checkpoint", "edits": 1})
    assert published[-1] - published[-2] == 10.0, "checkpoints always go up"


def test_caches_of_a_model_are_written_once_and_shared(store: Store, tmp_path: Path) -> None:
    first = tmp_path / "first" / "models" / "f00d"
    shared = ("second-moments-1-4.safetensors", "scores/k/a.parquet", "scores/k/manifest.json")
    for name in (*shared, ".x.lock", "y.partial"):
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        (first / name).write_text(name)
    half = tmp_path / "half" / "models" / "f00d"
    (half / "scores" / "half").mkdir(parents=True)
    (half / "scores" / "half" / "a.parquet").write_text("no manifest yet")
    for folder in (first, half):
        Caches(store, folder).keep()
    (first / "scores/k/a.parquet").write_text("other")
    Caches(store, first).keep()
    second, third = (tmp_path / name / "models" / "f00d" for name in ("second", "third"))
    Caches(store, second).fetch(lambda name: True)
    Caches(store, third).fetch(lambda name: not name.startswith("second"))
    found = {path.relative_to(second).as_posix(): path.read_text() for path in second.rglob("*") if path.is_file()}
    assert found == {name: name for name in shared}
    assert sorted(path.name for path in third.rglob("*")) == ["a.parquet", "k", "manifest.json", "scores"]
    (second / "scores/k/a.parquet").write_text("mine")
    Caches(store, second).fetch(lambda name: True)
    assert (second / "scores/k/a.parquet").read_text() == "mine", "what is here is not fetched"


def test_a_mirror_gives_way_to_a_newer_one_and_a_folder_of_the_users_own_is_kept(
    store: Store, model: EditableModel, tmp_path: Path
) -> None:
    in_depot(store, tmp_path / "scratch", model, limit=3)
    home, name = tmp_path / "home", head_now(store).run
    assert mirror(store, home, head_now(store)) and not mirror(store, home, head_now(store))
    in_depot(store, tmp_path / "scratch", model)
    assert mirror(store, home, head_now(store)) and not (home / "replaced").exists()
    assert not (home / "runs" / name / "checkpoints").exists()
    assert mirror(store, home, head_now(store), saves=True) and not (home / "replaced").exists()
    assert not mirror(store, home, head_now(store)), "a mirror that has weights keeps them"
    (home / "runs" / name / "events.jsonl").write_text("mine\n")
    assert mirror(store, home, head_now(store))
    (aside,) = (home / "replaced").iterdir()
    assert (aside / "events.jsonl").read_text() == "mine\n"
    assert json.loads((home / "runs" / name / "result.json").read_text())["status"] == "complete"


def test_two_who_want_one_run_at_once_share_it_in_turn(
    s3: S3, over_s3: Store, model: EditableModel, alone: dict[str, str], tmp_path: Path
) -> None:
    """In threads, each with a model of its own; who comes second is told that the run is busy, or finds it over."""
    ends: list[Any] = []

    def work(number: int) -> None:
        own = open_store(over_s3.url, ttl=TTL)
        try:
            ends.append(in_depot(own, tmp_path / str(number), tiny_model(), config={"sleep": 0.3}))
        except RunBusy as busy:
            ends.append(busy)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 in ends and all(end == 0 or isinstance(end, RunBusy) for end in ends)
    assert head_now(over_s3, {"sleep": 0.3}).status == "complete"
    check_history(heads_of(s3))
    assert not s3.torn
