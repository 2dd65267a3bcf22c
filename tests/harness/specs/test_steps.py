"""The plan of a run, without a model: what is done, in which order, from wherever a run stands."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.harness.specs.run_spec import Schedule
from palimpsest.harness.specs.schedule import Batch
from palimpsest.harness.specs.steps import Edit, Load, Save, Score, Stop, steps

SCHEDULE = Schedule(edits=6, batch_size=2, checkpoints=(0, 2, 6))
FIRST = Edit(Batch(0, 0, 2))
SECOND = Edit(Batch(1, 2, 4))
THIRD = Edit(Batch(2, 4, 6))


def test_a_new_run_scores_the_unedited_model_before_any_editor_is_prepared() -> None:
    assert list(steps(SCHEDULE, (0, 2, 6))) == [
        Score(0), FIRST, Save(2), Score(2), SECOND, THIRD, Save(6), Score(6),
    ]  # fmt: skip


def test_a_run_goes_on_from_the_newest_save_before_its_next_checkpoint() -> None:
    assert list(steps(SCHEDULE, (6,), saves=(2, 4))) == [Load(4, 6), THIRD, Save(6), Score(6)]


def test_a_run_whose_saves_are_gone_begins_again() -> None:
    assert list(steps(SCHEDULE, (6,))) == [Load(0, 6), FIRST, SECOND, THIRD, Save(6), Score(6)]


def test_lost_scores_are_computed_from_the_saves_without_editing() -> None:
    assert list(steps(SCHEDULE, (0, 2, 6), saves=(2, 6))) == [Score(0), Load(2, 2), Score(2), Load(6, 6), Score(6)]


def test_a_save_behind_the_present_position_is_left_alone() -> None:
    assert Load(2, 6) not in list(steps(SCHEDULE, (2, 6), saves=(2,)))[1:]


def test_a_limit_saves_and_stops_at_the_end_of_its_batch() -> None:
    assert list(steps(SCHEDULE, (0, 2, 6), limit=3))[-3:] == [SECOND, Save(4), Stop(4)]
    assert list(steps(SCHEDULE, (0, 2, 6), limit=2))[-2:] == [Score(2), Stop(2)]
    assert list(steps(SCHEDULE, (6,), saves=(4,), limit=3)) == [Load(4, 6), Stop(4)]
    assert Stop(6) not in list(steps(SCHEDULE, (0, 2, 6), limit=6))


def test_nothing_is_left_of_a_run_with_all_scores() -> None:
    assert list(steps(SCHEDULE, (), saves=(6,))) == []


@settings(deadline=None)
@given(st.data())
def test_from_anywhere_each_missing_checkpoint_is_scored_at_its_own_number_of_edits(
    data: st.DataObject,
) -> None:
    points = sorted(data.draw(st.sets(st.integers(0, 9).map(lambda n: 3 * n), min_size=1)) | {30})
    schedule = Schedule(edits=30, batch_size=3, checkpoints=tuple(points))
    unscored = sorted(data.draw(st.sets(st.sampled_from(points))))
    saves = data.draw(st.sets(st.integers(1, 10).map(lambda n: 3 * n)))
    at = saved = 0
    scored = []
    for step in steps(schedule, unscored, saves):
        match step:
            case Load(edits):
                at = saved = edits
            case Edit(batch):
                assert batch.start == at
                at = batch.stop
            case Save(edits):
                assert edits == at
                saved = at
            case Score(edits):
                assert edits == at == saved
                scored.append(edits)
    assert scored == unscored
