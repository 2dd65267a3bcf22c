"""Texts that a bundle leaves out are made once for all runs that have the same."""

from __future__ import annotations

from palimpsest.harness.specs.run_spec import Schedule
from palimpsest.results.reading.made_texts import texts_of


def schedule(batch_size: int, order_seed: int | str | None = "run") -> Schedule:
    return Schedule.model_validate(
        {"edits": 20, "batch_size": batch_size, "checkpoints": (0, 20), "order_seed": order_seed}
    )


def test_runs_of_a_seed_share_their_texts_whatever_their_batches() -> None:
    one, other = (texts_of("pocket-counterfact", schedule(batch_size), 1) for batch_size in (1, 10))
    assert one is other
    assert texts_of("pocket-counterfact", schedule(10), 2)[0] != one[0]
    assert texts_of("pocket-counterfact", schedule(10, order_seed=1), 7) is one
