"""A second, independent reading of edit data, to hold the first one against: schemas in pydantic, no shared code."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator


class Unreadable(Exception):
    """The file, or one of its records, is not as it has to be."""


def _text(value: str) -> str:
    if not value.strip() or len(value) > 10_000 or "\0" in value or value.encode("utf-8", "replace").decode() != value:
        raise ValueError("no text")
    return value


def _whole(value: str) -> str:
    if {"{", "}"} & set(value):
        raise ValueError("braces")
    return value


Text = Annotated[str, AfterValidator(_text)]
Whole = Annotated[Text, AfterValidator(_whole)]
Number = Annotated[int, Field(ge=0, lt=2**31)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class Target(_Record):
    str: Text


class Rewrite(_Record):
    prompt: Text
    subject: Whole
    target_new: Target
    target_true: Target
    relation_id: Text = "P0"

    @model_validator(mode="after")
    def _one_gap(self) -> Rewrite:
        parts = self.prompt.split("{}")
        if len(parts) != 2 or any({"{", "}"} & set(part) for part in parts):
            raise ValueError("gaps")
        if self.target_new.str.strip() == self.target_true.str.strip():
            raise ValueError("same targets")
        return self


class CounterFact(_Record):
    case_id: Number | None = None
    requested_rewrite: Rewrite
    paraphrase_prompts: list[Text]
    neighborhood_prompts: list[Text]
    attribute_prompts: list[Text] = []
    generation_prompts: list[Text] = []


class ZsRE(_Record):
    case_id: Number | None = None
    subject: Whole
    src: Whole
    rephrase: Text
    answers: Annotated[list[Text], Field(min_length=1)]
    loc: Text
    loc_ans: Text
    pred: str = ""

    @model_validator(mode="after")
    def _one_subject(self) -> ZsRE:
        if len(self.src.split(self.subject)) != 2:
            raise ValueError("subject")
        _text(f"{self.pred}.")
        return self


def read(path: Path, form: str) -> list[tuple[Any, ...]]:
    """What every case must be: its number, prompt, subject, targets, and the texts of its probes in order."""
    try:
        values = _values(path)
        schema = CounterFact if form == "counterfact" else ZsRE
        if not values or any(type(value) is dict and value.get("case_id", 0) is None for value in values):
            raise Unreadable("nothing, or no number")
        records = [schema.model_validate(value) for value in values]
    except ValidationError as error:
        raise Unreadable(str(error)) from error
    cases = [_case(record, place) for place, record in enumerate(records)]
    if len({case[0] for case in cases}) != len(cases):
        raise Unreadable("a number twice")
    return cases


def _case(record: Any, place: int) -> tuple[Any, ...]:
    number = place if record.case_id is None else record.case_id
    if isinstance(record, CounterFact):
        wish = record.requested_rewrite
        prompts = [record.paraphrase_prompts, record.neighborhood_prompts]
        prompts += [record.attribute_prompts, record.generation_prompts]
        texts = [wish.subject.join(wish.prompt.split("{}")), *(text.rstrip() for group in prompts for text in group)]
        return (number, wish.prompt, wish.subject, wish.target_new.str.strip(), wish.target_true.str.strip(), texts)
    loc = record.loc
    if loc[:13] == "nq question: " and loc[-1] != "?":
        loc += "?"
    prompt = "{}".join(record.src.split(record.subject))
    answers = (record.answers[0].strip(), record.pred.strip())
    return (number, prompt, record.subject, *answers, [record.src, record.rephrase, loc])


def _values(path: Path) -> list[Any]:
    raw = path.read_bytes()
    if raw[:4] == b"PAR1" or path.suffix == ".parquet":
        return _parquet(path)
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" or path.suffix == ".gz" else raw).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise Unreadable(str(error)) from error
    try:
        if text.lstrip(" \t\n\r\f\v").startswith("["):
            return list(_json(text))
        return [_json(line) for line in text.split("\n") if line.strip(" \t\n\r\f\v")]
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def _json(text: str) -> Any:
    def refuse(name: str) -> Any:
        raise ValueError(name)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    def finite(number: str) -> float:
        if float(number) in (float("inf"), float("-inf")):
            raise ValueError(number)
        return float(number)

    if len(text.encode("utf-8", "replace")) > 1 << 20:
        raise ValueError("long")
    return json.loads(text, parse_constant=refuse, parse_float=finite, object_pairs_hook=once)


def _parquet(path: Path) -> list[Any]:
    try:
        rows = pq.read_table(pa.BufferReader(path.read_bytes()), page_checksum_verification=True).to_pylist()
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise Unreadable(str(error)) from error
    return [_dense(row) for row in rows]


def _dense(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _dense(inner) for name, inner in value.items() if inner is not None}
    return [_dense(inner) for inner in value] if isinstance(value, list) else value
