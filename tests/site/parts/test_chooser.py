from dataclasses import replace

from palimpsest.site.parts.chooser import chooser
from tests.labs.sample_source import SampleSource, track

LLAMA, ZSRE, GPT2 = SampleSource().all_tracks
COUNTS = {LLAMA.track_id: 6, ZSRE.track_id: 2, GPT2.track_id: 1}


def test_a_choice_changes_one_part_and_says_how_many_editors_are_there() -> None:
    model, task, schedule = chooser(LLAMA, [LLAMA, ZSRE, GPT2], lambda t: t.track_id, COUNTS)
    assert [(c.label, c.href, c.editors) for c in model.choices] == [
        ("pocket-gpt2", GPT2.track_id, 1),
        ("pocket-llama", LLAMA.track_id, 6),
    ]
    assert {c.label: c.href for c in task.choices} == {
        "pocket-counterfact": LLAMA.track_id,
        "pocket-zsre": ZSRE.track_id,
    }
    assert schedule.chosen.current and len(schedule.choices) == 1


def test_a_choice_that_would_change_another_part_leads_nowhere() -> None:
    model, task, _ = chooser(GPT2, [LLAMA, ZSRE, GPT2], lambda t: t.track_id, COUNTS)
    assert model.chosen.label == "pocket-gpt2"
    zsre = next(c for c in task.choices if c.label == "pocket-zsre")
    assert (zsre.href, zsre.editors, zsre.current) == ("", 0, False)


def test_two_models_of_one_name_are_told_apart_by_fingerprint() -> None:
    one = track()
    other = replace(one, track_id="feed" * 3, model_fingerprint="feedbeef" * 8)
    models, *_ = chooser(one, [one, other], lambda t: t.track_id, {})
    assert {choice.note for choice in models.choices} == {"9f3ac27d", "feedbeef"}


def test_two_schedules_of_one_name_are_told_apart_in_words_of_the_tracks_that_they_lead_to() -> None:
    one, other = track(), replace(track("pocket-zsre"), edit_order="order seed 7")
    here = replace(one, track_id="0123456789ab", edit_order="order seed 7")
    *_, schedule = chooser(one, [other, one, here], lambda t: t.track_id, {})
    assert {choice.href: choice.note for choice in schedule.choices} == {
        one.track_id: "order by the run's seed",
        "0123456789ab": "order seed 7",
    }
