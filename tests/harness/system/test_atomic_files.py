from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import pytest
from safetensors import SafetensorError

from palimpsest.harness.errors import MissingResource
from palimpsest.harness.system import atomic_files


def made(path: Path, text: str = "hello", edits: int = 5) -> Path:
    with atomic_files.write_folder(path, edits=edits, run="abc") as partial:
        (partial / "a.txt").write_text(text)
        (partial / "b.bin").write_bytes(bytes(range(100)))
    return path


def problems(path: Path, edits: int = 5) -> list[str]:
    return atomic_files.verify_folder(path, edits=edits, names=("a.txt", "b.bin"), run="abc")


def test_whole_folder_verifies(tmp_path: Path) -> None:
    folder = made(tmp_path / "000005")
    assert problems(folder) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000005"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["format"], manifest["edits"], manifest["files"]["a.txt"]["bytes"]) == (1, 5, 5)


@pytest.mark.parametrize("name", ["a.txt", "b.bin"])
def test_every_flipped_byte_is_found(tmp_path: Path, name: str) -> None:
    folder = made(tmp_path / "x")
    whole = (folder / name).read_bytes()
    for place in range(len(whole)):
        (folder / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert problems(folder) == [f"{folder / name} does not match its checksum"]


def test_flipped_manifest_is_found_wherever_it_matters(tmp_path: Path) -> None:
    folder = made(tmp_path / "x")
    whole = (folder / "manifest.json").read_bytes()
    meaning = json.loads(whole)
    for place in range(len(whole)):
        damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        (folder / "manifest.json").write_bytes(damaged)
        try:
            same = json.loads(damaged) == meaning
        except ValueError:
            same = False
        assert bool(problems(folder)) != same, damaged


def test_missing_file_cut_file_and_wrong_position(tmp_path: Path) -> None:
    folder = made(tmp_path / "x")
    assert problems(folder, edits=6) == [f"{folder / 'manifest.json'} says edits 5, expected 6"]
    (folder / "b.bin").write_bytes(b"")
    (folder / "a.txt").unlink()
    assert problems(folder) == [
        f"{folder / 'a.txt'} is missing",
        f"{folder / 'b.bin'} has 0 bytes, the manifest says 100",
    ]
    (folder / "manifest.json").unlink()
    assert "missing or cannot be read" in problems(folder)[0]


def test_failure_leaves_nothing_and_keeps_the_old(tmp_path: Path) -> None:
    folder = made(tmp_path / "x", "old")
    with pytest.raises(RuntimeError), atomic_files.write_folder(folder, edits=5, run="abc") as partial:
        (partial / "a.txt").write_text("new")
        raise RuntimeError
    assert (folder / "a.txt").read_text() == "old"
    assert problems(folder) == []
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    made(folder, "newer")
    assert (folder / "a.txt").read_text() == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_full_disk_names_folder_need_and_what_there_is(tmp_path: Path) -> None:
    message = rf"The disk of {tmp_path} is full: 7\.0 MB are needed, [\d.]+ MB are"
    writing = atomic_files.write_folder(tmp_path / "x", edits=1, bytes_needed=7_000_000)
    with pytest.raises(MissingResource, match=message), writing:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(MissingResource, match="is full"):
        atomic_files.require_space(tmp_path, 10**18)
    with pytest.raises(PermissionError), atomic_files.disk_errors(tmp_path):
        raise PermissionError


def test_atomic_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    atomic_files.atomic_write_json(path, {"a": "ü"})
    atomic_files.atomic_write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    with pytest.raises(ValueError):
        atomic_files.atomic_write_json(path, float("nan"))
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_set_aside_and_leftovers(tmp_path: Path) -> None:
    for _ in range(2):
        aside = atomic_files.set_aside(made(tmp_path / "x"))
        assert aside.name == "x.damaged" and not (tmp_path / "x").exists()
    (tmp_path / ".y.1.ab.partial").mkdir()
    (tmp_path / ".z.1.ab.partial").write_text("")
    atomic_files.remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.damaged"]


def test_what_a_killed_process_left_half_written_is_removed_a_day_later(
    tmp_path: Path,
) -> None:
    abandoned = tmp_path / ".scores.1.ab.partial"
    written_now = tmp_path / ".scores.2.cd.partial"
    for folder in (abandoned, written_now):
        folder.mkdir()
    day_before = time.time() - 90_000
    os.utime(abandoned, (day_before, day_before))
    atomic_files.remove_partials(tmp_path, older_than=86_400)
    assert not abandoned.exists() and written_now.exists()


def test_processes_of_one_id_write_one_cache_file_without_a_shared_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 7)
    parts: list[Path] = []

    def outer(part: Path) -> None:
        parts.append(part)
        part.write_text("outer")
        atomic_files.replace_file(tmp_path / "cache", inner)
        assert part.read_text() == "outer", "another process of this id wrote into the part"

    def inner(part: Path) -> None:
        parts.append(part)
        part.write_text("inner")

    atomic_files.replace_file(tmp_path / "cache", outer)
    assert len(set(parts)) == 2
    assert (tmp_path / "cache").read_text() == "outer"
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        SafetensorError('Io error: Os { code: 28, kind: StorageFull, message: "No space left on device" }'),
        PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
    ],
)
def test_a_cache_that_cannot_be_written_is_a_lack_of_the_machine(tmp_path: Path, error: Exception) -> None:
    def write(part: Path) -> None:
        part.write_text("half")
        raise error

    with pytest.raises(MissingResource, match=r"is full|cannot be written") as found:
        atomic_files.replace_file(tmp_path / "cache", write)
    assert found.value.exit_code == 4 and not list(tmp_path.iterdir())


def test_other_errors_of_a_writer_stay_what_they_are(tmp_path: Path) -> None:
    def write(part: Path) -> None:
        raise SafetensorError("two tensors share memory")

    with pytest.raises(SafetensorError):
        atomic_files.replace_file(tmp_path / "cache", write)


def test_what_a_killed_process_left_half_written_of_a_cache_is_removed_a_day_later(tmp_path: Path) -> None:
    def killed(part: Path) -> None:
        part.write_bytes(b"half")
        left.append(part.rename(part.with_name(part.name.replace(".cache.", f".cache.{len(left)}."))))

    left: list[Path] = []
    for _ in range(2):
        with pytest.raises(MissingResource):
            atomic_files.replace_file(tmp_path / "cache", killed)
    os.utime(left[0], (1e9, 1e9))
    atomic_files.replace_file(tmp_path / "cache", lambda part: part.write_bytes(b"whole"))
    assert not left[0].exists() and left[1].exists()
    assert (tmp_path / "cache").read_bytes() == b"whole"
