"""Functions that the YAML files beside this one call; the readers of single tasks are in the module of that name."""

from palimpsest.tasks.general.items import load
from palimpsest.tasks.general.published import (
    closed_qa_of_rect,
    closed_qa_of_sphere,
    cola,
    dialogue,
    dialogue_of_rect,
    mmlu,
    mrpc,
    nli,
    nli_of_rect,
    open_qa,
    reasoning,
    rte,
    sentiment,
    sst2,
    summarization,
)

__all__ = [
    "closed_qa_of_rect",
    "closed_qa_of_sphere",
    "cola",
    "dialogue",
    "dialogue_of_rect",
    "load",
    "mmlu",
    "mrpc",
    "nli",
    "nli_of_rect",
    "open_qa",
    "reasoning",
    "rte",
    "sentiment",
    "sst2",
    "summarization",
]
