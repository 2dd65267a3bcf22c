"""Two facts about a pocket model that docs/findings.md tells: the spectrum of its keys, and where targets are found.

    python benchmarks/pocket_facts.py [--model pocket-llama] [--requests 100] [--home FOLDER]

By block: shares of the directions of C0 with an eigenvalue under some thresholds; and the median over requests of the
new object's mean negative log-likelihood after the target optimisation of MEMIT's preset at the block's output.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from palimpsest.editors.memit import Memit
from palimpsest.editors.toolkit.targets.search import compute_targets
from palimpsest.editors.toolkit.targets.splitting import suffixes_hold
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.plugins.presets import load_preset
from palimpsest.harness.runs.loaded_model import load
from palimpsest.tasks.registry import load_task
from palimpsest.tasks.statistics_texts import find_text

THRESHOLDS = (0.02, 0.1, 1.0)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket-llama")
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--home", type=Path, default=Path(".palimpsest"), help="where key statistics are cached")
    arguments = parser.parse_args()
    model = load(resolve(arguments.model), arguments.home, texts=find_text).model
    config = Memit.Config(**(load_preset("memit", arguments.model, Memit.__module__) or {}))
    blocks = range(model.anatomy.n_layers)
    model.resources.second_moments(blocks, config.statistics_tokens)  # one pass for all
    for block in blocks:
        values = model.resources.spectrum(block, config.statistics_tokens).values
        shares = ", ".join(f"{float((values < limit).double().mean()):.1%} under {limit}" for limit in THRESHOLDS)
        print(f"{arguments.model}, block {block}: of {len(values)} directions {shares}")
    requests = [case.request for case in load_task("pocket-counterfact").cases[: arguments.requests]]
    templates = model.resources.context_templates(config.templates_seed)
    for block in blocks:
        whole = not suffixes_hold(model, block)
        found = compute_targets(model, requests, templates, block, config.targets(), whole=whole)
        median = float(found.loss_last[:, 1].median())
        print(f"{arguments.model}, block {block}: median loss of the new object {median:.3f}")


if __name__ == "__main__":
    main()
