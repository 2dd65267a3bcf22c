"""Local data files: formats, bad records, contradictions, what is part of a task's name and identity."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palimpsest.harness.errors import ConfigError, MissingResource, UsageError
from palimpsest.harness.specs.cases import EditTask
from palimpsest.tasks import records, registry
from palimpsest.tasks.fields import stripped
from palimpsest.tasks.registry import data_files
from tests.fuzz.test_damaged_data import counterfact, zsre


def write(path: Path, *rows: Any, ends: str = "\n") -> Path:
    text = ends.join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def load(path: Path, task: str = "counterfact", *, skip_bad: bool = False) -> EditTask:
    return data_files([str(path)], [task], skip_bad=skip_bad).load(task)


def test_every_format_gives_the_same_cases(tmp_path: Path) -> None:
    for form, make in (("counterfact", counterfact), ("zsre", zsre)):
        rows = [make(number) for number in range(4)]
        expected = load(write(tmp_path / "a.jsonl", *rows), form)
        others = [
            write(tmp_path / "b.jsonl.gz", *rows),
            write(tmp_path / "c.jsonl", *rows, ends="\r\n\n"),
            write(tmp_path / "d.json", rows),
            write(tmp_path / "e.json.gz", rows),
            tmp_path / "f.parquet",
            tmp_path / "g.jsonl",
        ]
        pq.write_table(pa.Table.from_pylist(rows), others[4])
        others[5].write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.jsonl").read_bytes())
        for path in others:
            task = load(path, form)
            assert (task.cases, task.content_hash, task.order_hash) == (
                expected.cases,
                expected.content_hash,
                expected.order_hash,
            ), path.name


def test_rows_of_a_parquet_file_may_lack_what_a_record_may_lack(tmp_path: Path) -> None:
    short = {name: value for name, value in counterfact(1).items() if name != "generation_prompts"}
    pq.write_table(pa.Table.from_pylist([counterfact(0), short]), tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet").cases == load(write(tmp_path / "a.jsonl", counterfact(0), short)).cases


def test_bad_records_are_all_listed_with_line_field_and_reason(tmp_path: Path) -> None:
    rewrite = counterfact(1)["requested_rewrite"]
    bad: list[Any] = [
        {**counterfact(1), "requested_rewrite": {**rewrite, "prompt": "no subject here"}},
        {**counterfact(2), "requested_rewrite": {**rewrite, "target_new": {"str": " "}}},
        {**counterfact(3), "requested_rewrite": {**rewrite, "prompt": "{} and {x} live in"}},
        {**counterfact(4), "paraphrase_prompts": None},
        {**counterfact(5), "neighborhood_prompts": ["", "x"]},
        {key: value for key, value in counterfact(6).items() if key != "paraphrase_prompts"},
        {**counterfact(7), "case_id": 1.5},
        counterfact(0),
        {**counterfact(8), "generation_prompts": ["x" * 10_001]},
        {**counterfact(9), "attribute_prompts": ["a\0b"]},
        "text",
    ]
    path = write(tmp_path / "a.jsonl", counterfact(0), *bad)
    path.write_bytes(path.read_bytes() + b'\n{"a": NaN}\n{"a": 1, "a": 2}\n\xff\n{"a": "\\ud800"}\n[[')
    with pytest.raises(ConfigError) as caught:
        load(path)
    told = str(caught.value).splitlines()
    for line, words in (
        (2, "requested_rewrite.prompt: expected exactly one {} for the subject, got 'no subject here'."),
        (3, "requested_rewrite.target_new.str: must not be empty."),
        (4, "requested_rewrite.prompt: braces mark the subject's place"),
        (5, "paraphrase_prompts: expected a list of texts that are not empty, got None."),
        (6, "neighborhood_prompts: expected a list of texts that are not empty, got ['', 'x']."),
        (7, "paraphrase_prompts: is missing."),
        (8, "case_id: expected a whole number from 0"),
        (9, f"case_id: 0 was already used by {path}, line 1."),
        (10, "generation_prompts: has 10,001 characters; a text has at most 10,000."),
        (11, "attribute_prompts: holds a character that no text has"),
        (12, "requested_rewrite.prompt: expected an object, got 'text'."),
        (13, "not valid JSON (NaN is no number there)."),
        (14, "not valid JSON (the key 'a' stands twice in one object)."),
        (15, "not UTF-8 (byte 0xff at 1)."),
        (16, "requested_rewrite.prompt: is missing."),
        (17, "not valid JSON (Expecting value, column 3)."),
    ):
        assert told[line - 2].startswith(f"{path}, line {line}: {words}"), told[line - 2]
    assert told[-1] == "17 records read, 16 bad. Mend them, or leave them out with --skip-bad-records."


def test_long_lists_of_bad_records_are_cut_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *({} for _ in range(1_050)), zsre(0))
    with pytest.raises(ConfigError, match=r"… and 1,030 more\.\n1,051 records read, 1,050 bad"):
        load(path, "zsre")


def test_bad_records_are_left_out_on_demand_and_change_what_the_task_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", zsre(0), {**zsre(1), "src": "Who?"}, zsre(2))
    task = load(path, "zsre", skip_bad=True)
    assert [case.request.case_id for case in task.cases] == [0, 2], "a record's number is its place in the whole file"
    assert task.origin is not None and (task.origin.records, task.origin.skipped) == (3, 1)
    assert "1 bad record of 3 left out" in task.origin.notes[0] and "line 2: src: expected the" in task.origin.notes[0]
    whole = load(write(tmp_path / "b.jsonl", zsre(0), zsre(1), zsre(2)), "zsre")
    assert task.content_hash != whole.content_hash and task.order_hash != whole.order_hash
    with pytest.raises(ConfigError, match="no record that can be used"):
        load(write(tmp_path / "c.jsonl", {}), "zsre", skip_bad=True)
    with pytest.raises(ConfigError, match=r"1 record read, 1 bad\. Is this a file of zsre records\?"):
        load(write(tmp_path / "d.jsonl", counterfact(0)), "zsre")


def wish(number: int, subject: str, relation: str, target: str) -> dict[str, Any]:
    record = counterfact(number)
    rewrite = record["requested_rewrite"] | {"subject": subject, "relation_id": relation, "target_new": {"str": target}}
    return {**record, "requested_rewrite": rewrite | {"target_true": {"str": "Rome"}}}


CLASHING = (
    wish(0, "Ada", "P1", "Oslo"),
    wish(1, "Ada", "P2", "Brno"),
    wish(2, "Ada", "P1", "Lyon"),
    wish(3, "Bo", "P1", "Oslo"),
    wish(4, "Bo", "P1", "Oslo"),
)


def test_contradicting_and_repeated_requests_are_told_and_stay(tmp_path: Path) -> None:
    task = load(write(tmp_path / "a.jsonl", *CLASHING))
    assert len(task.cases) == 5 and task.origin is not None and task.origin.contradicting == 2
    assert task.origin.notes == (
        "counterfact:a.jsonl: 5 records with a space at the beginning or end of a text; it was taken off.",
        "counterfact:a.jsonl: 2 requests about 1 fact contradict each other: 'Ada', 'P1' (line 1, line 3).",
        "counterfact:a.jsonl: 2 requests about 1 fact repeat each other: 'Bo', 'P1' (line 4, line 5).",
    )


def test_multi_counterfact_leaves_contradicting_requests_out(tmp_path: Path) -> None:
    task = load(write(tmp_path / "a.jsonl", *CLASHING), "multi-counterfact")
    assert [case.request.case_id for case in task.cases] == [3, 9, 12]
    assert task.origin is not None and (task.origin.left_out, task.origin.contradicting) == (2, 0)
    with pytest.raises(ConfigError, match=r"b\.jsonl.*none is left"):
        load(write(tmp_path / "b.jsonl", CLASHING[0], CLASHING[2]), "multi-counterfact")


def test_questions_of_zsre_clash_when_they_ask_the_same_of_a_subject(tmp_path: Path) -> None:
    task = load(write(tmp_path / "a.jsonl", zsre(0), {**zsre(0), "answers": ["Rome"]}, zsre(1)), "zsre")
    assert task.origin is not None and task.origin.contradicting == 2


def test_order_and_content_have_hashes_of_their_own(tmp_path: Path) -> None:
    one = load(write(tmp_path / "a.jsonl", counterfact(0), counterfact(1)))
    turned = load(write(tmp_path / "b.jsonl", counterfact(1), counterfact(0)))
    changed = load(write(tmp_path / "c.jsonl", {**counterfact(0), "attribute_prompts": []}, counterfact(1)))
    assert one.order_hash == changed.order_hash != turned.order_hash
    assert len({one.content_hash, turned.content_hash, changed.content_hash}) == 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl.gz", b"no gzip", "cannot be read as gzip"),
        ("a.jsonl.gz", gzip.compress(b"[1]" * 500, mtime=0)[:-9], "cannot be read as gzip"),
        ("a.jsonl.gz", gzip.compress(b"abc" * 500, mtime=0)[:12] + b"\xff" * 20, "cannot be read as gzip"),
        ("a.parquet", b"{}", "cannot be read as Parquet"),
        ("a.parquet", b"PAR1" + bytes(40) + b"PAR1", "cannot be read as Parquet"),
        ("a.json", b"[{}", "not valid JSON"),
        ("a.json", b"[\xff]", "not UTF-8 (byte 0xff at 2)"),
        ("a.json", b"[" * 100_000, "nested too deep"),
        ("a.json", b"[" + b"9" * 5_000 + b"]", "not valid JSON"),
        ("a.jsonl", b"", "hold no record"),
        ("a.jsonl", b"\n\n", "hold no record"),
        ("a.json", b"[]", "hold no record"),
    ],
)
def test_files_that_cannot_be_read_say_so(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    for skip_bad in (False, True):
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / name, skip_bad=skip_bad)
        assert str(tmp_path / name) in str(caught.value) and said in str(caught.value)


def test_a_small_file_that_unpacks_without_end_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "FILE_BYTES", 100_000)
    (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(b" " * 10_000_000, mtime=0))
    with pytest.raises(ConfigError, match="more than 100,000 bytes unpacked"):
        load(tmp_path / "bomb.jsonl.gz")
    table = pa.table({"src": ["x" * 1_000] * 100_000})
    pq.write_table(table, tmp_path / "bomb.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(ConfigError, match="100,000 rows and .* bytes"):
        load(tmp_path / "bomb.parquet")


def test_a_line_without_end_is_one_bad_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RECORD_BYTES", 2_000)
    path = write(tmp_path / "a.jsonl", counterfact(0), {**counterfact(1), "note": "x" * 3_000})
    with pytest.raises(ConfigError, match=r"line 2: has 3,\d\d\d bytes; a record has at most 2,000"):
        load(path)


def test_unusual_texts_are_kept_as_they_are(tmp_path: Path) -> None:
    odd = "a\u2028b\n\ufeffС́\U0001f600\u202e"
    (case,) = load(write(tmp_path / "a.jsonl", {**counterfact(0), "neighborhood_prompts": [odd]})).cases
    assert odd in [probe.prompt for probe in case.probes]


def test_the_published_file_is_the_task_itself_and_others_say_which_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [counterfact(number) for number in range(3)]
    assert load(write(tmp_path / "counterfact.json", rows)).name == "counterfact:counterfact.json", "too few records"
    task = registry._DATA["counterfact"]
    assert task.originals == {"counterfact": 21919}
    monkeypatch.setattr(registry, "_DATA", {"counterfact": dataclasses.replace(task, originals={"counterfact": 3})})
    assert load(tmp_path / "counterfact.json").name == "counterfact"
    assert load(write(tmp_path / "counterfact.jsonl.gz", *rows)).name == "counterfact"
    assert load(write(tmp_path / "mine.jsonl", *rows)).name == "counterfact:mine.jsonl"


def test_a_name_that_cannot_stand_in_results_is_refused(tmp_path: Path) -> None:
    for name in ("x" * 101, "a\nb"):
        with pytest.raises(UsageError, match="shorter, printable"):
            load(write(tmp_path / name, counterfact(0)))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path, Path("x" * 300)):
        with pytest.raises(
            (MissingResource, ConfigError, UsageError), match="no such data file|cannot be read|shorter"
        ):
            load(path)


def test_data_go_to_the_one_task_that_reads_them_or_to_the_one_that_is_named(tmp_path: Path) -> None:
    cf = write(tmp_path / "cf.jsonl", counterfact(0))
    zs = write(tmp_path / "zs=1.jsonl", zsre(0))
    assert data_files([str(cf)], ["pocket-zsre", "counterfact"]).load("counterfact").form == "counterfact"
    both = data_files([f"counterfact={cf}", str(zs)], ["counterfact", "zsre"])
    assert (both.load("counterfact").name, both.load("zsre").name) == ("counterfact:cf.jsonl", "zsre:zs=1.jsonl")
    assert data_files([]).load(f"zsre:{zs}").cases == both.load("zsre").cases
    assert data_files([f"zsre={zs}"]).load("zsre:elsewhere.jsonl").cases == both.load("zsre").cases
    for values, tasks, said in (
        ([str(cf)], ["counterfact", "zsre"], "counterfact, zsre do: say which, --data counterfact="),
        ([str(cf)], ["pocket-zsre"], "none is left"),
        ([str(cf)], ["counterfact:x.json"], "none is left"),
        ([f"zsre={zs}"], ["counterfact"], "zsre without a file is not among the tasks counterfact"),
        ([f"zsre={zs}", f"zsre={zs}"], ["zsre"], "zsre has the file"),
        ([f"zsre={zs}", str(zs)], ["zsre"], "none is left"),
        (["zsre="], ["zsre"], "expected the name of a file"),
        ([str(cf), str(zs)], ["counterfact"], "say which"),
    ):
        with pytest.raises(UsageError) as caught:
            data_files(values, tasks)
        assert said in str(caught.value)
    with pytest.raises(UsageError, match="TASK:FILE, where TASK is counterfact or multi-counterfact or zsre"):
        data_files([]).load("pocket-zsre:x.json")


@pytest.mark.parametrize(("form", "make"), [("counterfact", counterfact), ("zsre", zsre)])
def test_spaces_around_texts_change_no_case_and_are_counted(form: str, make: Any, tmp_path: Path) -> None:
    def spaced(value: Any) -> Any:
        if isinstance(value, str):
            return f"  {value} \n"
        if isinstance(value, dict):
            return {name: spaced(entry) for name, entry in value.items()}
        return [spaced(entry) for entry in value] if isinstance(value, list) else value

    rows = [stripped(make(number)) for number in range(4)]
    clean = load(write(tmp_path / "a.jsonl", *rows), form)
    loose = load(write(tmp_path / "b.jsonl", rows[0], *map(spaced, rows[1:])), form)
    assert loose.cases == clean.cases and loose.content_hash == clean.content_hash
    assert clean.origin is not None and loose.origin is not None
    assert not any("taken off" in note for note in clean.origin.notes)
    assert f"{loose.name}: 3 records with a space at the beginning or end of a text; it was taken off." in (
        loose.origin.notes
    )


def test_a_text_of_nothing_but_spaces_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"requested_rewrite\.subject: must not be empty"):
        load(write(tmp_path / "a.jsonl", wish(0, "  ", "P1", "Oslo")))
