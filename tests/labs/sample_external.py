"""Made-up models that were edited elsewhere."""

from __future__ import annotations

from pathlib import Path

from palimpsest.results.external import External, Score, write_external


def write_externals(folder: Path, *names: str) -> Path:
    """A row of every name, on one base and task; the folder."""
    for number, name in enumerate(names):
        low, value, high = 80.0 - number, 84.5 - number, 88.0 - number
        scores = tuple(
            Score(metric=metric, before=20.0, before_low=15.0, before_high=26.0, value=value, low=low, high=high)
            for metric in ("efficacy_argmax", "paraphrase_argmax", "neighborhood_argmax")
        )
        write_external(
            folder,
            External(
                name=name, base="pocket-llama", base_fingerprint="a" * 64, fingerprint=f"{number:064x}", changed=40_000,
                parameters=8_800_000, task="pocket-counterfact", task_hash="c" * 64, form="counterfact", edits=100,
                protocol=2, version="0.2.0", day="2026-03-10", scores=scores,
            ),
        )  # fmt: skip
    return folder
