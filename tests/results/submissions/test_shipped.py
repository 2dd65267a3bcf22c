"""The bundles of this repository: just those that its ledger names, sound, and small enough for a clone."""

from __future__ import annotations

from pathlib import Path

from palimpsest.results.reading.run_folder import RUN_ID
from palimpsest.results.submissions.bundle import MANIFEST, Manifest, bundles, check_sealed
from palimpsest.results.submissions.ledger import read_ledger, standing
from palimpsest.results.submissions.verify import verify_bundle

ROOT = Path(__file__).resolve().parents[3]
SHIPPED, LEDGER = ROOT / "results" / "submissions", ROOT / "results" / "ledger.jsonl"
MOST_BYTES = 25_000_000


def weight(folder: Path) -> int:
    """Bytes of all bundles in a folder."""
    files = (path for bundle in bundles(folder) for path in bundle.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files)


def first_of_each_editor(folder: Path) -> list[Path]:
    found: dict[tuple[str, ...], Path] = {}
    for bundle in bundles(folder):
        manifest = Manifest.model_validate_json((bundle / MANIFEST).read_bytes())
        found.setdefault(tuple(source.name for source in manifest.editors), bundle)
    return list(found.values())


def test_the_ledger_names_just_the_bundles_that_are_there() -> None:
    arrived = {line.run for line in read_ledger(LEDGER) if line.action in ("include", "publish", "replace")}
    assert {path.name for path in SHIPPED.iterdir() if RUN_ID.fullmatch(path.name)} == arrived


def test_every_bundle_that_stands_is_the_one_of_its_line() -> None:
    for run, line in standing(read_ledger(LEDGER)).items():
        assert check_sealed(SHIPPED / run, line.digest) == line.digest


def test_the_first_bundle_of_each_editor_is_sound() -> None:
    found = {bundle.name: verify_bundle(bundle).problems for bundle in first_of_each_editor(SHIPPED)}
    assert {run: problems for run, problems in found.items() if problems} == {}


def test_all_bundles_together_are_small() -> None:
    assert weight(SHIPPED) < MOST_BYTES


def test_every_file_of_a_bundle_counts_and_nothing_beside_them(tmp_path: Path) -> None:
    assert weight(tmp_path / "nowhere") == 0
    for name, size in ((MANIFEST, 100), ("scores/000050/probes.parquet", 20), ("scores/000050/manifest.json", 3)):
        for run in ("0" * 12, "1" * 12):
            path = tmp_path / run / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * size)
    (tmp_path / "bundle.py").write_bytes(b"x" * 5000)
    assert weight(tmp_path) == 246
