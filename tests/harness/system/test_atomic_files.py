from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

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
