"""Everything that may be asked of the store, in one place; the site and the command line read nothing else."""

from palimpsest.results.store.boards import board, curves, ledger, run_ids, store_info, track, track_curves, tracks
from palimpsest.results.store.details import run_detail, samples

__all__ = [
    "board",
    "curves",
    "ledger",
    "run_detail",
    "run_ids",
    "samples",
    "store_info",
    "track",
    "track_curves",
    "tracks",
]
