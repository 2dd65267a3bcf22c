"""Loads the items beside this file for lm-eval, without any network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datasets import Dataset


def _load(task: str) -> dict[str, Dataset]:
    path = Path(__file__).parent / f"{task}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {"test": Dataset.from_list(rows)}


def load_pocket_recall(**_: Any) -> dict[str, Dataset]:
    """Items of ``pocket_recall``."""
    return _load("pocket_recall")


def load_pocket_addition(**_: Any) -> dict[str, Dataset]:
    """Items of ``pocket_addition``."""
    return _load("pocket_addition")


def load_pocket_agreement(**_: Any) -> dict[str, Dataset]:
    """Items of ``pocket_agreement``."""
    return _load("pocket_agreement")


def load_pocket_inference(**_: Any) -> dict[str, Dataset]:
    """Items of ``pocket_inference``."""
    return _load("pocket_inference")


def load_pocket_sentiment(**_: Any) -> dict[str, Dataset]:
    """Items of ``pocket_sentiment``."""
    return _load("pocket_sentiment")


def load_pocket_copying(**_: Any) -> dict[str, Dataset]:
    """Items of ``pocket_copying``."""
    return _load("pocket_copying")
