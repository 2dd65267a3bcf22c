"""Reads the papers' ability tasks from local files for lm-eval, and judges generated answers.

lm-eval hands over a task's ``metadata`` and the folders given with ``--ability-data`` as keyword arguments.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.errors import ConfigError, MissingResource
from palimpsest.tasks.records import read_records

if TYPE_CHECKING:
    from datasets import Dataset

RESERVED = 10
"""The first items of each file are kept for few-shot prompts and never asked."""
_WORDS_PER_PAGE = 400
_FIELDS = {
    "sst2": ("sentence",),
    "cola": ("sentence",),
    "mrpc": ("sentence1", "sentence2"),
    "rte": ("sentence1", "sentence2"),
    "nli": ("sentence1", "sentence2"),
    "mmlu": ("question",),
}
_NAMED_LABELS = {"entailment": 0, "not_entailment": 1}


def data_file(name: str, folders: Sequence[str]) -> Path:
    """The file ``name`` with one of the endings that are read, in the first folder that has it.

    Raises:
        MissingResource: No folder has it; names the files looked for.
    """
    endings = (".txt", ".txt.gz", "2_test.txt", "2_test.txt.gz") if name == "wikitext" else (".jsonl", ".jsonl.gz")
    for folder in folders:
        for ending in endings:
            path = Path(folder) / f"{name}{ending}"
            if path.is_file():
                return path
    wanted = " or ".join(f"{name}{ending}" for ending in endings)
    places = ", ".join(folders) or "no folder was given"
    raise MissingResource(f"Ability data {wanted}: not found in {places}. Give its folder with --ability-data DIR.")


def load(
    *, file: str, words: Sequence[str], ability_data: Sequence[str] = (), inverted: bool = False, **_: Any
) -> dict[str, Dataset]:
    """Items of one classification task, the reserved ones left out.

    Args:
        file: Name of the data file without its ending.
        words: The words of each label, label 0 first.
        ability_data: Folders to look in.
        inverted: Turn two labels round.

    Raises:
        MissingResource: The file is not there.
        ConfigError: Records do not fit; lists them with their lines.
    """
    from datasets import Dataset

    path = data_file(file, ability_data)
    rows, problems = [], []
    for where, record in read_records(path):
        try:
            rows.append(_row(record, file, words, inverted=inverted))
        except ValueError as problem:
            problems.append(f"{where}: {problem}")
    if problems:
        more = f"\n… and {len(problems) - 20} more." if len(problems) > 20 else ""
        raise ConfigError("\n".join(problems[:20]) + more)
    if len(rows) <= RESERVED:
        raise ConfigError(f"{path}: {len(rows)} items; expected more than the {RESERVED} that are kept for examples.")
    return {"test": Dataset.from_list(rows[RESERVED:])}


def _row(record: Any, file: str, words: Sequence[str], *, inverted: bool) -> dict[str, Any]:
    if not isinstance(record, Mapping):
        raise ValueError(f"expected an object, got {record!r:.80}.")
    row: dict[str, Any] = {name: _text(record, name) for name in _FIELDS[file]}
    value = record.get("answer" if file == "mmlu" else "label")
    label = _NAMED_LABELS.get(value, value) if isinstance(value, str) else value
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(words):
        raise ValueError(f"label: expected a number from 0 to {len(words) - 1}, got {value!r:.80}.")
    if file == "mmlu":
        options = record.get("choices")
        if not isinstance(options, list) or len(options) != 4 or not all(isinstance(o, str) for o in options):
            raise ValueError(f"choices: expected four texts, got {options!r:.80}.")
        row["options"] = options
    return row | {"label": 1 - label if inverted else label, "choices": list(words)}


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name}: expected text, got {value!r:.80}.")
    return value.strip()


def judge(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """The label that a generated answer names: the first of the labels' words in it, -1 if there is none."""
    words = list(doc["choices"])
    flags = 0 if all(len(word) == 1 for word in words) else re.IGNORECASE  # "a" is no answer A
    found = re.search(rf"\b({'|'.join(map(re.escape, words))})\b", results[0], flags)
    predicted = [word.lower() for word in words].index(found[1].lower()) if found else -1
    return {"acc": float(predicted == doc["label"]), "predicted": predicted}


def load_text(*, file: str, ability_data: Sequence[str] = (), **_: Any) -> dict[str, Dataset]:
    """Running text in pages of about 400 words, lines kept whole.

    Raises:
        MissingResource: The file is not there.
        ConfigError: It is empty or no UTF-8 text.
    """
    from datasets import Dataset

    path = data_file(file, ability_data)
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error}).") from None
    pages: list[str] = [""]
    for line in text.splitlines():
        if len(pages[-1].split()) >= _WORDS_PER_PAGE:
            pages.append("")
        pages[-1] += line.strip() + "\n" if line.strip() else ""
    rows = [{"page": page.strip()} for page in pages if page.strip()]
    if not rows:
        raise ConfigError(f"{path}: holds no text.")
    return {"test": Dataset.from_list(rows)}
