"""Small ability tasks, as somebody writes them for lm-eval: choices behind a text, rows read by code beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TASK = """\
task: {name}
custom_dataset: !function code.load_{name}
test_split: test
output_type: multiple_choice
doc_to_text: text
doc_to_choice: choices
doc_to_target: answer
num_fewshot: 0
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
  chance: {chance}
"""
CODE = """\
import json
from pathlib import Path
from datasets import Dataset

def _load(name):
    rows = [json.loads(line) for line in (Path(__file__).parent / f"{name}.jsonl").read_text().splitlines()]
    return {"test": Dataset.from_list(rows)}
"""
LOADER = """
def load_{name}(**_):
    return _load("{name}")
"""

Rows = Sequence[Mapping[str, Any]]


def write_tasks(folder: Path, tasks: Mapping[str, Rows]) -> None:
    """Write the tasks, by name, into one folder. A row has a text, as many choices as every other, and an answer."""
    for name, rows in tasks.items():
        chance = 1 / len(rows[0]["choices"])
        (folder / f"{name}.yaml").write_text(TASK.format(name=name, chance=chance))
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "code.py").write_text(CODE + "".join(LOADER.format(name=name) for name in tasks))
