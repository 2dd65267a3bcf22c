"""Three hundred forged bundles, all sums made to fit: refused, or of the kinds that docs/submitting.md names."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from palimpsest.results.store import boards, bulk
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import Submissions, ingest
from palimpsest.results.submissions.bundle import check_sealed, write_bundle
from palimpsest.results.submissions.editor_sources import editor_sources
from palimpsest.results.submissions.ledger import append
from palimpsest.results.submissions.verify import verify_bundle
from tests.labs.forgeries import ALL, Forgery, seal
from tests.labs.synthetic import write_run
from tests.results.conftest import honest_run
from tests.results.submissions.test_ledger import entry

ROUNDS = 7
"""Forgeries of each kind: 336 in all."""
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "submitting.md"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submission")
    run = folder / "runs" / write_run(folder / "runs", replace(honest_run(), checkpoints=(0, 20, 40)))
    return write_bundle(run, folder / "out", editor_sources("memit"), version="0.1.0")


def forged(original: Path, place: Path, kind: Forgery, seed: int) -> Path:
    bundle = Path(shutil.copytree(original, place / original.name))
    kind.change(random.Random(f"{kind.name} {seed}"), bundle)
    return seal(bundle)


def test_sealing_an_untouched_bundle_changes_nothing_that_is_checked(original: Path, tmp_path: Path) -> None:
    assert verify_bundle(seal(Path(shutil.copytree(original, tmp_path / original.name)))).good


@pytest.mark.parametrize("kind", ALL, ids=[kind.name for kind in ALL])
def test_a_forgery_is_refused_or_named_in_the_documents(original: Path, tmp_path: Path, kind: Forgery) -> None:
    for seed in range(ROUNDS):
        found = verify_bundle(forged(original, tmp_path / str(seed), kind, seed))
        assert bool(found.problems) is not kind.passes, (seed, found.problems[:3])
    if kind.passes:
        assert f"**{kind.name}**" in DOCUMENT.read_text(encoding="utf-8")


def test_what_passes_is_a_row_of_its_own_and_not_reproduced(original: Path, tmp_path: Path) -> None:
    seed = next(kind for kind in ALL if kind.name == "seed")
    bundle = forged(original, tmp_path / "submissions", seed, 1)
    place = Submissions(bundle.parent, tmp_path / "ledger.jsonl")
    append(place.ledger, entry("include", bundle.name, digest=check_sealed(bundle, None)))
    own = write_run(tmp_path / "runs", replace(honest_run(), checkpoints=(0, 20, 40)))
    with Store.open(tmp_path / "store.duckdb") as store:
        assert ingest(store, tmp_path / "runs", submissions=place).added == sorted([own, bundle.name])
        (track,) = bulk.track_heads(store)
        rows = {row.run_id: row for row in boards.board(store, track.track_id)}
        assert rows[bundle.name].submitted and rows[bundle.name].verified is None
        assert rows[bundle.name].row_id != rows[own].row_id and not rows[own].submitted
