"""Damaged files of edit data: a message that names the file, or exactly what an independent reading finds."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palimpsest.harness.errors import PalimpsestError
from palimpsest.harness.specs.cases import Case
from palimpsest.tasks.registry import data_files
from tests.fuzz.damage import damaged_bytes, damaged_value
from tests.fuzz.reading import Unreadable, read

SEEDS = 320
KINDS = ("jsonl", "json", "jsonl.gz", "json.gz", "parquet")
PEOPLE = ("Anna Sorel", "Petr Novák", "Zoë Müller", "Ōe Ken", "İpek Şen")
PLACES = ("Oslo", "Brno", "Lyon", "Kraków", "São Tomé")


def counterfact(number: int) -> dict[str, Any]:
    """A record in ROME's schema."""
    who, new, true = PEOPLE[number % 5], PLACES[number % 5], PLACES[(number + 1) % 5]
    return {
        "case_id": number * 3,
        "requested_rewrite": {
            "prompt": "{} lives in",
            "relation_id": "P551",
            "target_new": {"str": new, "id": f"Q{number}"},
            "target_true": {"str": true, "id": "Q0"},
            "subject": who,
        },
        "paraphrase_prompts": [f"It rained. {who} has a home in", f"The home of {who} is in "],
        "neighborhood_prompts": ["Bo Tam lives in", "Ida Lund lives in"],
        "attribute_prompts": ["Cy Orr lives in"],
        "generation_prompts": [f"{who} lives in", f"{who} lives in"],
    }


def zsre(number: int) -> dict[str, Any]:
    """A record in MEND's form."""
    who = PEOPLE[number % 5]
    return {
        "subject": who,
        "src": f"Where does {who} live?",
        "pred": PLACES[number % 5],
        "rephrase": f"What is the home of {who}?",
        "alt": "Rome",
        "answers": [PLACES[(number + 1) % 5]],
        "loc": "nq question: who wrote hamlet",
        "loc_ans": "Shakespeare",
        "cond": "",
    }


def damaged_file(folder: Path, form: str, seed: int) -> Path:
    """A file with damaged values, damaged bytes, or both."""
    rng = random.Random(f"{form} {seed}")
    records: list[Any] = [
        (counterfact if form == "counterfact" else zsre)(number) for number in range(rng.randrange(1, 8))
    ]
    kind, way = rng.choice(KINDS), rng.randrange(3)
    path = folder / f"damaged-{seed}.{kind}"
    if way != 1:
        place = rng.randrange(len(records))
        records[place] = damaged_value(records[place], rng)
    if kind == "parquet":
        try:
            pq.write_table(pa.Table.from_pylist(records), path, write_page_checksum=rng.random() < 0.5)
        except (pa.ArrowException, TypeError, AttributeError, OverflowError):  # a table cannot hold such a value
            return damaged_file(folder, form, seed + 100_000)
        data = path.read_bytes()
    else:
        ends = "\n" if rng.random() < 0.8 else "\r\n"
        lines = [json.dumps(record, ensure_ascii=rng.random() < 0.5) for record in records]
        text = f"[{','.join(lines)}]" if kind.startswith("json.") or kind == "json" else ends.join(lines) + ends
        data = text.encode("utf-8", "surrogatepass")
    packed = kind.endswith(".gz")
    if way != 0 and (not packed or rng.random() < 0.5):
        data, way = damaged_bytes(data, rng), 0
    if packed:
        data = gzip.compress(data, mtime=0)
    path.write_bytes(damaged_bytes(data, rng) if way != 0 else data)
    return path


def plain(case: Case) -> tuple[Any, ...]:
    """A case as `read` gives it."""
    request = case.request
    targets = (request.target_new, request.target_true)
    return (request.case_id, request.prompt, request.subject, *targets, [probe.prompt for probe in case.probes])


@pytest.mark.parametrize("form", ["counterfact", "zsre"])
def test_damaged_data_are_refused_by_name_or_read_as_they_stand(form: str, tmp_path: Path) -> None:
    refused = 0
    for seed in range(SEEDS // 2):
        path = damaged_file(tmp_path, form, seed)
        try:
            expected = read(path, form)
        except Unreadable:
            expected = None
        try:
            cases = data_files([str(path)], [form]).load(form).cases
        except PalimpsestError as error:
            refused += 1
            assert str(path) in str(error), f"seed {seed}: {error}"
            assert expected is None, f"seed {seed}: refused what can be read: {error}"
        else:
            assert [plain(case) for case in cases] == expected, f"seed {seed}: {path}"
    assert SEEDS // 8 < refused < SEEDS // 2, "both ways are taken"


@pytest.mark.parametrize("form", ["counterfact", "zsre"])
def test_what_is_left_of_damaged_data_is_what_is_good_in_it(form: str, tmp_path: Path) -> None:
    """With bad records left out, every case that stays is one of the undamaged file, but for one damaged record."""
    good = {plain(data)[0]: plain(data) for data in _good(form, tmp_path)}
    for seed in range(40):
        rng = random.Random(seed)
        records = [(counterfact if form == "counterfact" else zsre)(number) for number in range(5)]
        place = rng.randrange(5)
        records[place] = damaged_value(records[place], rng)
        path = tmp_path / f"some-{seed}.jsonl"
        path.write_bytes("\n".join(json.dumps(record) for record in records).encode())
        task = data_files([str(path)], [form], skip_bad=True).load(form)
        numbers = [case.request.case_id for case in task.cases]
        others = [case for case in map(plain, task.cases) if good.get(case[0]) != case]
        assert len(others) <= 1 and len(numbers) >= 4, f"seed {seed}"
        assert task.origin is not None and task.origin.skipped == 5 - len(numbers), f"seed {seed}"


def _good(form: str, folder: Path) -> tuple[Case, ...]:
    path = folder / "good.jsonl"
    records = [(counterfact if form == "counterfact" else zsre)(number) for number in range(5)]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return data_files([str(path)], [form]).load(form).cases
