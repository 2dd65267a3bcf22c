from dataclasses import replace

import pytest

from palimpsest.site.words.schedules import differences
from tests.labs.sample_source import track

PLAIN = track()
OTHERS = {
    "order seed 7": replace(PLAIN, edit_order="order seed 7"),
    "scored after 500 edits": replace(PLAIN, checkpoints=(0, 500)),
    "a sample of 100 scored": replace(PLAIN, sample=100),
    "texts sampled of 50 edits": replace(PLAIN, texts=50),
    "texts with special tokens, too": replace(PLAIN, special_tokens=True),
    "neighbours against the unedited model": replace(PLAIN, top=True),
    "neighbours in published forms, too": replace(PLAIN, published_top=True),
    "published tokenisation": replace(PLAIN, reference_tokenisation=True),
    "no abilities": replace(PLAIN, abilities=()),
    "protocol 1": replace(PLAIN, protocol=1),
}


@pytest.mark.parametrize("words", OTHERS)
def test_two_schedules_are_told_apart_by_what_differs_and_by_nothing_else(words: str) -> None:
    other = OTHERS[words]
    assert differences(other, [PLAIN, other]) == words
    assert differences(PLAIN, [PLAIN, other]) not in ("", words)


def test_each_of_many_schedules_has_words_of_its_own() -> None:
    every = [PLAIN, *OTHERS.values()]
    assert len({differences(one, every) for one in every}) == len(every)


def test_schedules_that_are_the_same_need_no_words() -> None:
    assert differences(PLAIN, [PLAIN, replace(PLAIN, track_id="other")]) == ""
