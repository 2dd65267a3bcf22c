"""Stores: what obstore does over S3 and in memory is what a depot needs, and what does not is refused."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore

from palimpsest.harness.depot.store import Gone, Store, Unreachable, open_store, require_promises
from palimpsest.harness.errors import MissingResource, UsageError
from tests.labs.s3_server import S3, SECRET


@pytest.fixture(params=["s3", "memory"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "s3":
        return open_store(request.getfixturevalue("url"), ttl=8)
    memory = MemoryStore()
    made = Store("memory://", memory, memory)
    require_promises(made)
    return made


def test_an_object_is_created_once_and_replaced_only_as_it_is_known(store: Store) -> None:
    assert store.read("heads/a.json") is None
    first = store.put("heads/a.json", b"1", None)
    assert first is not None and store.put("heads/a.json", b"2", None) is None
    second = store.put("heads/a.json", b"2", first)
    assert second not in (None, first) and store.put("heads/a.json", b"3", first) is None
    assert store.read("heads/a.json") == (b"2", second)
    assert store.put("heads/none.json", b"1", first) is None, "what is not there is not replaced"


def test_files_go_up_and_come_down_as_they_were(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for number, size in enumerate((0, 1, (8 << 20) + 1)):
        file.write_bytes(os.urandom(size))
        store.upload(f"runs/a/{number}", file)
        assert b"".join(store.download(f"runs/a/{number}", size)) == file.read_bytes()
        assert store.sizes("runs/a")[f"runs/a/{number}"] == size
    store.upload("runs/a/2", file)  # a second time, as after a lost answer
    store.remove(["runs/a/1", "runs/a/never"])
    assert sorted(store.sizes("runs/a")) == ["runs/a/0", "runs/a/2"] and store.sizes("runs/b") == {}
    with pytest.raises(Gone):
        list(store.download("runs/a/1", 1))
    with pytest.raises(Gone):
        list(store.download("runs/a/2", (8 << 20) + 2))


def test_of_many_who_create_or_replace_at_once_one_passes(store: Store) -> None:
    tag = None
    for turn in range(5):
        contents = [f"{turn} {number}".encode() for number in range(8)]  # never the same twice, as heads are
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(store.put, ["heads/contested.json"] * 8, contents, [tag] * 8))
        (tag,) = [answer for answer in answers if answer is not None]


class Careless:
    """A client of obstore that ignores conditions of a kind."""

    def __init__(self, ignores: str) -> None:
        self._memory: Any = MemoryStore()
        self._ignores = ignores

    def put(self, key: str, data: bytes, mode: Any) -> Any:
        kind = mode if isinstance(mode, str) else "replace"
        return self._memory.put(key, data, mode="overwrite" if kind == self._ignores else mode)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)


@pytest.mark.parametrize("ignores", ["create", "replace"])
def test_a_store_that_lets_two_writers_pass_is_refused(ignores: str) -> None:
    careless = Careless(ignores)
    with pytest.raises(MissingResource, match="lets two writers pass") as refused:
        require_promises(Store("careless://", careless, careless))
    assert refused.value.exit_code == 4 and "careless://" in str(refused.value)


def test_lost_answers_make_no_good_store_a_bad_one(s3: S3, url: str) -> None:
    s3.lose = 0.3
    opened = 0
    for _ in range(20):
        try:
            open_store(url, ttl=60)
            opened += 1
        except Unreachable:
            continue
    assert opened > 0


def test_a_folder_is_refused_since_it_has_no_compare_and_swap(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="has no compare-and-swap"):
        open_store(f"file://{tmp_path}", ttl=8)


def test_what_cannot_be_reached_is_told_without_secrets(s3: S3, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match="404") as refused:
        open_store("s3://no-such-bucket/folder", ttl=8)
    s3.down = True
    with pytest.raises(Unreachable, match="503") as down:
        open_store(url, ttl=8)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="cannot be used") as silent:
        open_store(url, ttl=8)
    for error in (refused, down, silent):
        assert error.value.exit_code == 4 and SECRET not in str(error.value) and error.value.__cause__ is None
    with pytest.raises(UsageError, match="--depot az://container/folder: .*[Aa]ccount"):
        open_store("az://container/folder", ttl=8)


def test_words_of_errors_lose_the_options_of_addresses() -> None:
    class Refusing:
        def get(self, key: str) -> Any:
            raise RuntimeError(f"GET https://a.blob.core.windows.net/c/{key}?sv=2024&sig={SECRET}%3D failed\nmore")

    with pytest.raises(Unreachable) as error:
        Store("az://c", Refusing(), Refusing()).read("heads/a.json")
    assert str(error.value).endswith("GET https://a.blob.core.windows.net/c/heads/a.json failed.")
