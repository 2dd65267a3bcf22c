"""What must hold between any two heads of a run that follow each other."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from palimpsest.harness.depot.head import Head


def check_history(heads: Iterable[Head]) -> None:
    """All heads of one run, in the order in which they were written."""
    for before, after in pairwise(heads):
        no_epoch_has_two_publishers(before, after)
        nothing_published_is_lost(before, after)


def no_epoch_has_two_publishers(before: Head, after: Head) -> None:
    assert after.beat == before.beat + 1
    if before.owner and after.owner in (before.owner, ""):
        assert after.epoch == before.epoch
    else:
        assert after.owner and after.epoch == before.epoch + 1
        assert after.files == before.files, "who takes the run changes nothing yet"


def nothing_published_is_lost(before: Head, after: Head) -> None:
    scores = {name: blob for name, blob in before.files.items() if name.startswith("scores/")}
    assert scores == {name: blob for name, blob in after.files.items() if name in scores}
    assert newest_save(before) <= newest_save(after), "the newest save is lost"


def newest_save(head: Head) -> str:
    return max((name for name in head.files if name.startswith("checkpoints/")), default="")
