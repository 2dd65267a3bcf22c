"""Our scoring beside the published code's: the same model and the same CounterFact probes, in one run.

    git clone https://github.com/jianghoucheng/AlphaEdit && git -C AlphaEdit checkout f5248d3
    python benchmarks/peer_scoring.py AlphaEdit [--cases 200] [--peer-cases 40]

As in `peer.py`, nothing of the published code is part of this repository. It scores one case at a time, all its
prompts with both targets in one padded pass; no texts are generated on either side. Processor seconds of one thread,
best of ``--repeat``; it is timed first, before this process keeps freed memory as our runs do. Exit code 1 if the
likelihoods of the same targets differ by more than 1e-3 nats a token.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch

sys.path.insert(
    0, str(Path(__file__).resolve().parent.parent)
)  # the stand-in for a GPU and the clock are those of `peer.py`
from benchmarks.peer import OnCpu, least
from palimpsest.harness.metrics.probes import ProbeOutcome
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.loading import load_model
from palimpsest.harness.scoring.probes import score_cases
from palimpsest.harness.specs.cases import Case
from palimpsest.harness.system.memory import FreedMemory
from palimpsest.tasks.registry import load_task

KINDS = ("rewrite", "paraphrase", "neighborhood")
UNNEEDED = ("dsets", "nltk", "sklearn", "sklearn.feature_extraction", "sklearn.feature_extraction.text")
"""Modules that the published one imports for texts, which are not asked for here."""


def published_scoring(checkout: Path, model: EditableModel) -> Callable[[Sequence[Case]], list[list[float]]]:
    """The published evaluation of cases: for each the NLL per token of every probe's new and true target."""
    sys.path.insert(0, str(checkout))
    sys.modules |= {name: MagicMock() for name in UNNEEDED}
    os.chdir(checkout)
    module = importlib.import_module("experiments.py.eval_utils_counterfact")

    def score(cases: Sequence[Case]) -> list[list[float]]:
        with OnCpu():
            return [_flat(module, model, case) for case in cases]

    return score


def _flat(module: Any, model: EditableModel, case: Case) -> list[float]:
    request = case.request
    prompts = {kind: [probe.prompt for probe in case.probes if probe.kind == kind] for kind in KINDS}
    rewrite = {
        "prompt": request.prompt,
        "subject": request.subject,
        "target_new": {"str": request.target_new},
        "target_true": {"str": request.target_true},
    }
    record = {
        "requested_rewrite": rewrite,
        "paraphrase_prompts": prompts["paraphrase"],
        "neighborhood_prompts": prompts["neighborhood"],
        "generation_prompts": [],
    }
    found = module.compute_rewrite_quality_counterfact(model.model, model.tokenizer, record, None, None)
    pairs = [pair for kind in KINDS for pair in found[f"{kind}_prompts_probs"]]
    return [nll for pair in pairs for nll in (pair["target_new"], pair["target_true"])]


def largest_difference(ours: Sequence[ProbeOutcome], published: Sequence[Sequence[float]]) -> float:
    """Largest difference of an NLL per token, in nats."""
    flat = [nll for outcome in ours if outcome.kind in KINDS for nll in (outcome.nll_new, outcome.nll_true)]
    return max(abs(a - b) for a, b in zip(flat, [nll for case in published for nll in case], strict=True))


def main() -> int:
    """Compare; 0 if both give the same likelihoods."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=lambda text: Path(text).resolve())
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--peer-cases", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(str(resolve("pocket-llama").folder), name="pocket-llama")
    cases = list(load_task("pocket-counterfact").cases[: arguments.cases])
    few = cases[: arguments.peer_cases]
    published = published_scoring(arguments.checkout, model)
    difference = largest_difference(score_cases(model, few), published(few))
    theirs = 1000 * least(lambda: published(few), arguments.repeat) / len(few)
    FreedMemory()
    ours = 1000 * least(lambda: score_cases(model, cases), arguments.repeat) / len(cases)
    print(
        f"{model.name}: ours {ours:.1f} ms a case (of {len(cases)}), published {theirs:.1f} (of {len(few)}), "
        f"{theirs / ours:.1f} times as fast; likelihoods differ by {difference:.1e} nats a token"
    )
    return int(difference > 1e-3)


if __name__ == "__main__":
    sys.exit(main())
