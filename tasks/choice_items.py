"""Multiple-choice items of our own, and the two files by which lm-eval asks them: JSON lines and a YAML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

_YAML = """\
task: {task}
custom_dataset: !function {function}
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
{further}  description: "{description}"
"""


@dataclass(frozen=True, slots=True)
class Item:
    """One multiple-choice question: which of ``choices`` continues ``text``."""

    text: str
    choices: tuple[str, ...]
    answer: int
    """Place of the right choice."""

    @property
    def sentence(self) -> str:
        """The item with its right answer, as the training text would say it."""
        return f"{self.text} {self.choices[self.answer]}."


def item_files(task: str, items: Sequence[Item], function: str, description: str, further: str = "") -> dict[str, str]:
    """File name → content of one task.

    Args:
        task: Its name.
        items: With the same number of choices each.
        function: The function beside the files that loads the items.
        description: One line about it.
        further: Whole lines of metadata, which the function is given, too.
    """
    chance = 1 / len(items[0].choices)
    return {
        f"{task}.jsonl": "".join(json.dumps(asdict(item)) + "\n" for item in items),
        f"{task}.yaml": _YAML.format(
            task=task, function=function, chance=chance, further=further, description=description
        ),
    }
