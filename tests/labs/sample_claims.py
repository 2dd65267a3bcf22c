"""A made-up set of claims about the runs of the sample source: one shown, one refuted, one open, one not run yet."""

from __future__ import annotations

from pathlib import Path

from palimpsest.results.store.claim_record import ClaimRecord, RowRun, write_record
from palimpsest.tasks.claim_files import Claim, ClaimSet, Row
from tests.labs.sample_source import HOSTILE, SampleSource, identity

SEEDS = (0, 1, 2)
ROWS = {
    "alphaedit": (0, 5, 0),
    "ft-l": (4, 4, 4),
    "memit-seq": (1, 2, 3),
    "revive": (2, 1, 3),
    "one": (None, None, None),
    "deltaedit": (None, None, None),
}
"""Row → the run of each seed, by its place in the sample source; None: it is not there."""
EDITORS = {"revive": "revive(memit)", "one": "alphaedit"}


def claim(name: str, a: str, b: str, metric: str = "effective_edits", direction: str = "higher", **more: str) -> Claim:
    """A claim of two rows after 500 edits."""
    values = {"id": name, "statement": f"{a} is {direction} than {b}", "source": "2601.11042", "metric": metric}
    values |= {"edits": 500, "direction": direction, "test": "paired t, two-sided", "pairs": ((a, b),), **more}
    return Claim.model_validate(values)


def claims(*, hostile: bool = False) -> ClaimSet:
    """The set; hostile words stand wherever a set may hold words."""
    found = (
        claim("is-shown", "alphaedit", "ft-l"),
        claim("is-refuted", "ft-l", "alphaedit", "abilities_kept"),
        claim("is-open", "memit-seq", "revive", **({"statement": HOSTILE[1]} if hostile else {})),
        claim("waits", "deltaedit", "one", "total_superimposed_noise", "lower"),
    )
    rows = tuple(
        Row(
            name=name,
            editor=EDITORS.get(name, name),
            batch_size=1 if name in ("one", "deltaedit") else None,
            setting=(HOSTILE[3] if hostile else "published: τ 0.1") if name == "revive" else "",
        )
        for name in ROWS
    )
    words = HOSTILE[4] + HOSTILE[0] if hostile else "Claims on the sample runs"
    return ClaimSet(name="sample", description=words, suite="editors", seeds=SEEDS, level=0.05, rows=rows, claims=found)


def record(source: SampleSource, *, hostile: bool = False) -> ClaimRecord:
    """The set with its runs."""
    home = source.all_tracks[0]
    runs = [
        RowRun(
            row=name,
            seed=seed,
            run="0123456789ab" if place is None else identity(home, place),
            batch_size=50 if place is not None else 1,
        )
        for name, places in ROWS.items()
        for seed, place in zip(SEEDS, places, strict=True)
    ]
    return ClaimRecord(claims=claims(hostile=hostile), runs=tuple(runs))


def write_claims(folder: Path, source: SampleSource, *, hostile: bool = False) -> Path:
    """The record in a folder of its own."""
    write_record(folder, record(source, hostile=hostile))
    return folder
