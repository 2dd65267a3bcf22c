"""A long journal is packed in a bundle, tells the same, and can neither expand nor carry something else."""

from __future__ import annotations

import gzip
import shutil
import zlib
from pathlib import Path

import pytest

from palimpsest.harness.runs import layout
from palimpsest.results.reading.problems import Invalid
from palimpsest.results.reading.run_folder import PACKED_JOURNAL, read_run_folder
from palimpsest.results.submissions import bundle as bundles
from palimpsest.results.submissions.bundle import check_sealed, write_bundle
from palimpsest.results.submissions.editor_sources import editor_sources
from palimpsest.results.submissions.verify import verify_bundle
from tests.labs.synthetic import write_run
from tests.results.conftest import honest_run
from tests.results.submissions.test_verify import reseal, text


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    return folder / write_run(folder, honest_run())


@pytest.fixture(scope="module")
def original(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundles, "LONG_JOURNAL", 100)
        return write_bundle(run, tmp_path_factory.mktemp("packed"), editor_sources("memit"), version="0.1.0")


@pytest.fixture
def packed(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / original.name))


def test_a_packed_journal_tells_what_the_run_s_own_tells_and_is_smaller(packed: Path, run: Path) -> None:
    found = verify_bundle(packed)
    assert found.good, text(found)
    assert not (packed / layout.JOURNAL).exists()
    assert (packed / PACKED_JOURNAL).stat().st_size < (run / layout.JOURNAL).stat().st_size / 2
    assert found.run is not None
    assert [number for number, _ in found.run.events] == [number for number, _ in read_run_folder(run, "").events]
    check_sealed(packed, None)


def test_the_same_journal_is_packed_to_the_same_bytes(original: Path, run: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundles, "LONG_JOURNAL", 100)
        again = write_bundle(run, tmp_path, editor_sources("memit"), version="0.1.0")
    assert (again / PACKED_JOURNAL).read_bytes() == (original / PACKED_JOURNAL).read_bytes()


def test_a_short_journal_stays_a_text(run: Path, tmp_path: Path) -> None:
    made = write_bundle(run, tmp_path, editor_sources("memit"), version="0.1.0")
    assert (made / layout.JOURNAL).is_file() and not (made / PACKED_JOURNAL).exists()


def test_a_journal_that_expands_without_end_is_refused(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.results.reading.run_folder.BYTES_JOURNAL", 1_000_000)
    (packed / PACKED_JOURNAL).write_bytes(gzip.compress(b"\n" * 50_000_000))
    reseal(packed)
    assert f"{PACKED_JOURNAL}: unpacks to more than 1000000 bytes" in text(verify_bundle(packed))


def _with_a_letter(data: bytes) -> bytes:
    """The same content behind a header that holds 300,000 bytes of a file name."""
    packer = zlib.compressobj(wbits=-15)
    content = gzip.decompress(data)
    body = packer.compress(content) + packer.flush()
    tail = zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 300_000 + b"\0" + body + tail


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda data: data[:-20], "is cut off, or goes on behind its end"),
        (lambda data: data + b"a letter", "is cut off, or goes on behind its end"),
        (lambda data: data + gzip.compress(b"a second one\n"), "is cut off, or goes on behind its end"),
        (lambda data: b"{" + data, "is not packed with gzip, or damaged"),
        (lambda data: gzip.compress(gzip.decompress(data)[:-1]), "ends within a line"),
        (_with_a_letter, "it carries something else"),
    ],
)
def test_a_packed_journal_that_is_not_as_it_was_packed_is_refused(packed: Path, change: object, complaint: str) -> None:
    path = packed / PACKED_JOURNAL
    assert callable(change)
    path.write_bytes(change(path.read_bytes()))
    assert "does not match its size or checksum" in text(verify_bundle(packed))
    with pytest.raises(Invalid, match="does not match its size or checksum"):
        check_sealed(packed, None)
    reseal(packed)
    assert complaint in text(verify_bundle(packed))


def test_a_bundle_with_two_journals_is_refused(packed: Path) -> None:
    (packed / layout.JOURNAL).write_bytes(gzip.decompress((packed / PACKED_JOURNAL).read_bytes()))
    assert f"{layout.JOURNAL}: is not listed" in text(verify_bundle(packed))
    assert f"{PACKED_JOURNAL}: belongs to no checkpoint" in text(verify_bundle(packed))


def test_a_run_s_own_folder_has_no_packed_journal(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / run.name))
    journal = (copy / layout.JOURNAL).read_bytes()
    (copy / PACKED_JOURNAL).write_bytes(gzip.compress(journal))
    (copy / layout.JOURNAL).unlink()
    found = read_run_folder(copy, "")
    assert not found.events and any(problem.message == "is missing" for problem in found.problems)
