"""Items of the papers' general tasks from local files: every field is checked, no text is changed.

Not even a space at the end of a text is taken away: published prompts have it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from palimpsest.harness.errors import ConfigError, MissingResource
from palimpsest.tasks.ability_data import data_file
from palimpsest.tasks.records import RecordProblem, listed, read_records

if TYPE_CHECKING:
    from datasets import Dataset

Record = Mapping[str, Any]
Row = dict[str, Any]
_FINAL = "#### "
"""Stands before the final number in an answer of GSM8K."""


def load(
    *,
    file: str,
    reserved: int = 0,
    passages: bool = False,
    in_turn: str = "",
    ability_data: Sequence[str] = (),
    **_: Any,
) -> dict[str, Dataset]:
    """Items of one file for lm-eval: the split ``test``, and ``examples`` of what is reserved.

    Args:
        file: Name of the data file without its ending, a key of `FORMS`.
        reserved: Items at the beginning that are never asked.
        passages: Ask only of items that have a passage.
        in_turn: Name of a field; items of its values take turns, so that a limit leaves some of each.
        ability_data: Folders to look in.

    Raises:
        MissingResource: The file is not there, or its records have no passages.
        ConfigError: Records do not fit; lists them with their lines.
    """
    from datasets import Dataset

    path = data_file(file, ability_data)
    rows, problems = [], []
    for where, record in read_records(path):
        try:
            rows.append(_row(record, FORMS[file]))
        except RecordProblem as problem:
            problems.append(f"{where}: {problem}")
    if problems:
        raise ConfigError(listed(problems))
    if passages and not all(row["passage"] for row in rows):
        raise MissingResource(
            f"{path}: has questions without a passage (field output, a list of texts), which this task shows the "
            "model. Ask without passages: --abilities general_open_qa."
        )
    if len(rows) <= reserved:
        kept = f"more than the {reserved} that are kept for examples" if reserved else "some"
        raise ConfigError(f"{path}: {len(rows)} items; expected {kept}.")
    if in_turn:
        rows = _taking_turns(rows, in_turn)
    examples = {"examples": Dataset.from_list(rows[:reserved])} if reserved else {}
    return {"test": Dataset.from_list(rows[reserved:]), **examples}


def _taking_turns(rows: Sequence[Row], field: str) -> list[Row]:
    """First the first of each of a field's values, then the second of each."""
    seen: Counter[Any] = Counter()
    rounds = []
    for row in rows:
        rounds.append((seen[row[field]], row))
        seen[row[field]] += 1
    return [row for _, row in sorted(rounds, key=lambda pair: pair[0])]


def _row(record: Any, form: Callable[[Record], Row]) -> Row:
    if not isinstance(record, Mapping):
        raise RecordProblem(f"expected an object, got {record!r:.80}.")
    return form(record)


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise RecordProblem(f"{name}: expected text, got {value!r:.80}.")
    return value


def _texts(record: Record, name: str, count: int = 0) -> list[str]:
    """A list of texts: ``count`` of them, or any number but none."""
    value = record.get(name)
    found = [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
    if not found or len(found) != len(value or ()) or (count and len(found) != count):
        raise RecordProblem(f"{name}: expected a list of {count or 'some'} texts, got {value!r:.80}.")
    return found


def _choice(record: Record, name: str, values: Sequence[Any]) -> int:
    """The place of a field's value among those that it may have; 1 and true are two things."""
    value = record.get(name)
    place = next((i for i, one in enumerate(values) if type(value) is type(one) and value == one), None)
    if place is None:
        raise RecordProblem(f"{name}: expected one of {', '.join(map(repr, values))}, got {value!r:.80}.")
    return place


def _labelled(*texts: str, field: str = "label", values: Sequence[Any] = (0, 1)) -> Callable[[Record], Row]:
    """Form of records with texts and a label, which is the place of its value among ``values``."""
    return lambda record: {name: _text(record, name) for name in texts} | {"label": _choice(record, field, values)}


def _four_choices(text: str, options: str, field: str, values: Sequence[Any]) -> Callable[[Record], Row]:
    def row(record: Record) -> Row:
        four = _texts(record, options, 4)
        return {text: _text(record, text), "options": four, "label": _choice(record, field, values)}

    return row


def _reasoning(record: Record) -> Row:
    answer = _text(record, "answer")
    rationale, mark, number = answer.partition(_FINAL)
    if not mark or not number.strip() or _FINAL in number:
        raise RecordProblem(f"answer: expected one {_FINAL.strip()} before the final number, got {answer[-80:]!r}.")
    return {"question": _text(record, "question"), "answer": answer, "rationale": rationale, "number": number}


def _open_qa(record: Record) -> Row:
    passage = _texts(record, "output")[0] if "output" in record else ""
    return {"question": _text(record, "question"), "answers": _texts(record, "answer"), "passage": passage}


def _last_word(record: Record) -> Row:
    text = _text(record, "text")
    if " " not in text or text.endswith(" "):
        raise RecordProblem(f"text: expected several words, of which the last is asked for, got {text!r:.80}.")
    return {"text": text}


def _minimal_pair(record: Record) -> Row:
    """Two sentences, the good one first in half of the pairs: a model that finds all alike takes the first."""
    good, bad, kind = (_text(record, name) for name in ("good", "bad", "uid"))
    label = hashlib.sha256(f"{good}\n{bad}".encode()).digest()[0] % 2
    return {"options": [bad, good] if label else [good, bad], "label": label, "uid": kind}


def _two_ways(record: Record) -> Row:
    options = [_text(record, name) for name in ("sol1", "sol2")]
    return {"goal": _text(record, "goal"), "options": options, "label": _choice(record, "label", (0, 1))}


def _science(record: Record) -> Row:
    options = record.get("choices")
    if not isinstance(options, list) or not options or not all(isinstance(one, Mapping) for one in options):
        raise RecordProblem(f"choices: expected a list of objects with text and label, got {options!r:.80}.")
    label = _choice(record, "answerKey", [_text(one, "label") for one in options])
    return {
        "question": _text(record, "question"),
        "options": [_text(one, "text") for one in options],
        "label": label,
    }


def _summary(record: Record) -> Row:
    return {name: _text(record, name) for name in ("dialogue", "summary")}


FORMS: Mapping[str, Callable[[Record], Row]] = {
    "sst2": _labelled("sentence"),
    "cola": _labelled("sentence"),
    "mrpc": _labelled("sentence1", "sentence2"),
    "rte": _labelled("sentence1", "sentence2"),
    "nli": _labelled("sentence1", "sentence2", values=("not_entailment", "entailment")),
    "sentiment_analysis": _labelled("sentence", values=("0", "1")),
    "ClosedDomainQA": _labelled("passage", "question", field="answer", values=(False, True)),
    "mmlu": _four_choices("question", "choices", "answer", (0, 1, 2, 3)),
    "dialogue": _four_choices("article", "options", "answers", ("A", "B", "C", "D")),
    "reasoning": _reasoning,
    "OpenDomainQA": _open_qa,
    "summarization": _summary,
    "lambada_test": _last_word,
    "blimp_200_per_paradigm": _minimal_pair,
    "piqa_valid": _two_ways,
    "arc_challenge_dev_test": _science,
}
"""Name of a data file → what a record of it becomes. Labels: 1 positive, acceptable, the same, entailed or yes; but of
``rte`` as GLUE numbers them, where 0 is entailed."""
