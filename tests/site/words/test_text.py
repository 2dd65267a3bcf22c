import json

import pytest

from palimpsest.site.words import text
from tests.labs.sample_source import HOSTILE


def test_clean_removes_control_bidirectional_and_invisible_characters() -> None:
    assert text.clean("a\u202eb\u2066c\u200fd\x00e\x1bf\u200bg\ud800h") == "abcdefgh"


def test_clean_keeps_ordinary_text_of_any_script_and_line_breaks() -> None:
    for plain in ("Ωmega ‖W‖ 東京 שלום\nnext\tline", "1\u202f000"):
        assert text.clean(plain) == plain


def test_clean_composes_and_caps() -> None:
    assert text.clean("A\u030a") == "Å"
    assert text.clean("x" * 50, limit=10) == "x" * 9 + "…"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_data_block_cannot_end_its_element_and_reads_back(hostile: str) -> None:
    block = str(text.data_block({"name": hostile, hostile: [1.5, float("nan"), None]}))
    assert not set("<>&\u2028\u2029") & set(block)
    back = json.loads(block)
    assert back["name"] == text.clean(hostile)
    assert back[text.clean(hostile)] == [1.5, None, None]


@pytest.mark.parametrize("identity", ["../../etc/passwd", "a b", "A1B2", "", "<x>", "con/aux", "é" * 5, "a" * 65])
def test_file_names_are_harmless_distinct_and_stable(identity: str) -> None:
    name = text.file_name(identity)
    assert name.isascii() and name.isalnum() and len(name) == 16
    assert name == text.file_name(identity) != text.file_name(identity + "!")


def test_an_ordinary_run_id_is_its_own_file_name() -> None:
    assert text.file_name("3f9c0a12bd45") == "3f9c0a12bd45"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (text.count(4300), "4\u202f300"),
        (text.count(None), "–"),
        (text.fixed(float("nan")), "–"),
        (text.fixed(-0.04), "0.0"),
        (text.fixed(-1.26), "−1.3"),
        (text.seconds(0.0342), "34.2\u202fms"),
        (text.seconds(0.131), "0.13\u202fs"),
        (text.seconds(65.5), "65.5\u202fs"),
        (text.seconds(600), "10.0\u202fmin"),
        (text.seconds(7200), "2.0\u202fh"),
        (text.memory(909.4), "909\u202fMB"),
        (text.memory(1312), "1.31\u202fGB"),
        (text.significant(12.3456), "12.35"),
        (text.significant(1.5e-7), "1.500e−07"),
        (text.day("2026-03-10T08:00:00+00:00"), "2026-03-10"),
        (text.minute("2026-03-10T08:00:00+00:00"), "2026-03-10 08:00 UTC"),
        (text.day(None), "–"),
    ],
)
def test_numbers_read_well(shown: str, expected: str) -> None:
    assert shown == expected
