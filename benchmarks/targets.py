"""Speed of the batched target optimisation against the plain one-request loop, in one run, with the same z.

    python benchmarks/targets.py [--models pocket-llama pocket-gpt2] [--batch 50] [--plain 5]

Both see the same requests, templates and settings (those of MEMIT's preset). The plain loop is timed on
``--plain`` of the requests, spread over the batch. Processor seconds of one thread. The share of the machine's matrix
product rate is that of one pass over the batch, forward and backward, best of five, beside products of 1024³.
Exit code 1 if z differs or the speed-up is below ``--at-least``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from palimpsest.editors.memit import Memit
from palimpsest.editors.toolkit.targets.search import _tasks, compute_targets
from palimpsest.editors.toolkit.targets.splitting import split, suffixes_hold
from palimpsest.editors.toolkit.targets.suffixes import Suffixes
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.loading import load_model
from palimpsest.harness.plugins.presets import load_preset
from palimpsest.harness.statistics.resources import with_statistics
from palimpsest.tasks.registry import load_task

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the plain loop is shared with the tests
from benchmarks.peer import least  # noqa: E402
from benchmarks.plain_targets import plain_target  # noqa: E402

_TOLERANCE = 1e-3


def compare(name: str, batch: int, plain: int) -> tuple[float, float]:
    """Print both times of one model; returns the speed-up and the largest relative difference of z − h."""
    entry = resolve(name)
    model = load_model(str(entry.folder), name=name)
    with_statistics(model)
    config = Memit.Config(**(load_preset("memit", name, Memit.__module__) or {}))
    requests = [case.request for case in load_task("pocket-counterfact").cases[:batch]]
    templates = model.resources.context_templates(config.templates_seed)
    layer, settings = config.layers[-1], config.targets()
    whole = not suffixes_hold(model, layer)
    compute_targets(model, requests[:4], templates, layer, settings, whole=whole)  # warm up

    begin = time.process_time()
    found = compute_targets(model, requests, templates, layer, settings, whole=whole)
    batched = (time.process_time() - begin) / len(requests)

    begin = time.process_time()
    chosen = range(0, len(requests), max(1, len(requests) // plain))  # spread: requests differ in their passes
    singles = [plain_target(model, requests[number], templates, layer, settings) for number in chosen]
    single = (time.process_time() - begin) / len(singles)

    worst = 0.0
    for number, (z, _, passes) in zip(chosen, singles, strict=True):
        step = (z - found.start[:, number]).norm()
        worst = max(worst, float((found.z[:, number] - z).norm() / step))
        if passes != int(found.passes[number]):
            print(f"{name}: request {number} took {int(found.passes[number])} passes, plain {passes}")
    mean = float(found.passes.double().mean())
    print(
        f"{name}: batched {batched:.4f} s/edit, plain {single:.4f} s/edit, {single / batched:.1f} times as fast; "
        f"{mean:.1f} of {settings.steps} passes; largest relative difference of z {worst:.1e}"
    )
    tasks, _ = _tasks(model, requests, templates, settings)
    parts = split(model, tasks, layer, whole=whole)
    delta = torch.zeros(len(requests), model.anatomy.d_hidden)
    print(f"{name}: a pass has {share_of_rate(parts, delta):.0%} of the machine's matrix product rate")
    return single / batched, worst


def share_of_rate(parts: list[Suffixes], delta: torch.Tensor) -> float:
    """Operations of the products of one pass and its backward pass, per second, against those of large products."""

    def step() -> None:
        for part in parts:
            moved = delta.clone().requires_grad_(True)
            part.losses(moved)[0].sum().backward()  # type: ignore[no-untyped-call]

    def product(a: tuple[int, ...], b: tuple[int, ...], *_: Any, **__: Any) -> int:
        return 2 * a[0] * a[1] * b[1]

    def added(_: Any, a: tuple[int, ...], b: tuple[int, ...], *__: Any, **___: Any) -> int:
        return product(a, b)

    aten = torch.ops.aten
    into = {aten.mm.out: product, aten.addmm.out: added, aten.addmm_: added}  # beside those that torch counts itself
    with FlopCounterMode(display=False, custom_mapping=into) as counted:
        step()
    square = torch.randn(1024, 1024)
    rate = 2 * 1024**3 / least(lambda: square @ square)
    return float(counted.get_total_flops() / least(step) / rate)


def main() -> int:
    """Compare on each model; 0 if all are fast enough and agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["pocket-llama", "pocket-gpt2"])
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--plain", type=int, default=5)
    parser.add_argument("--at-least", type=float, default=5.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = [compare(name, arguments.batch, arguments.plain) for name in arguments.models]
    good = all(speed >= arguments.at_least and worst <= _TOLERANCE for speed, worst in results)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
