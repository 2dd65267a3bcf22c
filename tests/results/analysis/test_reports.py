"""What batches report, gathered per checkpoint."""

from __future__ import annotations

from palimpsest.harness.metrics.diagnostic_definitions import Diagnostic
from palimpsest.results.analysis.reports import Reported, gather


def test_counters_are_averaged_over_batches_and_values_over_edits() -> None:
    reports = [Reported(3, {"skipped": 1}, {"loss": 1.0}), Reported(1, {"skipped": 2}, {"loss": 5.0})]
    assert gather(reports) == [Diagnostic("reported:skipped", None, 1.5), Diagnostic("reported:loss", None, 2.0)]


def test_a_number_behind_a_dot_is_the_layer() -> None:
    (row,) = gather([Reported(1, {}, {"update_norm.5": 2.0})])
    assert row == Diagnostic("reported:update_norm", 5, 2.0)


def test_errors_of_targets_have_names_of_their_own() -> None:
    (row,) = gather([Reported(1, {}, {"target_error_after": 2.0})])
    assert row == Diagnostic("target_error_after", None, 2.0)


def test_targets_that_did_not_stop_early_did_not_reach_their_loss() -> None:
    reports = [Reported(4, {"early_stopped": 3}, {}), Reported(4, {"early_stopped": 4}, {})]
    assert Diagnostic("targets_unreached", None, 12.5) in gather(reports)


def test_no_batches_report_nothing() -> None:
    assert gather([]) == []
