"""C11 to C13, C17: what an editor keeps, and that it gives everything else back."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from palimpsest.harness.authoring.bench import SEED, Bench, copied, differing, everything, held, hooks_of
from palimpsest.harness.authoring.report import Finding
from palimpsest.harness.plugins.guard import seed_everything

_SLACK = 1_000_000
"""Bytes by which tensors may grow beyond the state: small caches and measurement."""


def state_is_tensors(bench: Bench) -> Finding:
    """C11. The state can be written as safetensors; how large it is, and how it grows."""
    from safetensors.torch import save_file

    with bench.editing(bench.small) as editing:
        editing.edit(0, bench.batches[0])
        state: Any = editing.editor.state_dict()
        wrong = [f"{n!r}: {type(t).__name__}" for n, t in state.items() if not isinstance(t, torch.Tensor)]
        if wrong or not all(isinstance(name, str) for name in state):
            return Finding("fail", f"not a tensor: {', '.join(wrong) or 'a name'}", "names with tensors only")
        with tempfile.TemporaryDirectory(prefix="palimpsest-check-") as folder:
            try:
                save_file({n: t.contiguous() for n, t in copied(state).items()}, Path(folder) / "state.safetensors")
            except Exception as error:
                return Finding("fail", f"it cannot be written: {error}", "what safetensors can hold")
    sizes = [_bytes(state) for state in bench.base(bench.small).states]
    edits = sum(len(batch) for batch in bench.batches)
    growth = (sizes[-1] - sizes[1]) / (edits - len(bench.batches[0]))
    seen = f"{_human(sizes[-1])} after {edits} edits, {_human(growth)} more per edit"
    weights = _bytes(everything(bench.model(bench.small)))
    if sizes[-1] > 4 * weights:
        expected = f"less than four times the model ({_human(weights)})"
        return Finding("warn", seen, expected, "`state_dict`: what is really needed to go on")
    return Finding("ok", seen)


def evaluated_restores(bench: Bench) -> Finding:
    """C12. After `evaluated()`, also one that an exception left, weights, state and hooks are what they were."""
    with bench.editing(bench.small) as editing:
        editing.edit(0, bench.batches[0])
        for how in ("", " left by an exception"):
            before = held(editing)
            hooks = hooks_of(editing.model)
            generator = torch.get_rng_state()
            try:
                with editing.evaluated():
                    if how:
                        raise _Thrown
            except _Thrown:
                pass
            changed = differing(before, held(editing))
            changed = changed or (["a hook"] if hooks_of(editing.model) != hooks else [])
            changed = changed or (["the generator"] if not torch.equal(generator, torch.get_rng_state()) else [])
            if changed:
                return Finding("fail", f"after `evaluated()`{how}, {changed[0]} is another")
    return Finding("ok", "weights, state, hooks and generator as before, also after an exception")


class _Thrown(Exception):
    pass


def global_state_untouched(bench: Bench) -> Finding:
    """C13. Default dtype, gradients, threads, flags of torch, environment, folder, mode of the model."""
    with _put_back(), bench.editing(bench.small) as editing:
        seed_everything(SEED, 0)  # as it is done before the first batch
        generator = torch.get_rng_state()
        before = _global_state(editing.model.model)
        variables = dict(os.environ)
        folder = Path.cwd()
        editing.edit(0, bench.batches[0])
        with editing.evaluated():
            pass
        after = _global_state(editing.model.model)
        unsaid = _changed_variables(variables) + ([] if folder == Path.cwd() else ["the current folder is another"])
        drew = not torch.equal(generator, torch.get_rng_state())
    changed = [f"{name}: {before[name]} before, {after[name]} after" for name in before if before[name] != after[name]]
    if changed or unsaid:
        return Finding("fail", "; ".join(changed + unsaid))
    if drew:
        expected = "a torch.Generator of its own, although the global one is seeded before each batch"
        return Finding("warn", "`edit` draws from torch's global generator", expected, "random numbers in `edit`")
    return Finding("ok", "dtype, gradients, threads, flags, generator, environment and folder as before")


def memory_stays(bench: Bench) -> Finding:
    """C17. Over six batches, tensors in memory grow by no more than the state does."""
    with bench.editing(bench.small) as editing:
        grown, kept = [], []
        for number in range(6):
            editing.edit(number, bench.requests[2 * number : 2 * number + 2])
            gc.collect()
            grown.append(_in_memory())
            kept.append(_bytes(editing.editor.state_dict()))
    growth, state = grown[-1] - grown[1], max(kept[-1] - kept[1], 0)
    seen = f"tensors grew by {_human(growth)} over four batches, the state by {_human(state)}"
    if growth <= 2 * state + _SLACK:
        return Finding("ok", seen)
    return Finding("fail", seen, f"growth with the state, and {_human(_SLACK)} beside it")


def _global_state(model: Any) -> dict[str, Any]:
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": str(torch.get_default_device()),
        "gradients": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "TF32": torch.backends.cuda.matmul.allow_tf32,
        "matmul precision": torch.get_float32_matmul_precision(),
        "training mode": model.training,
        "parameters with gradients": sum(p.requires_grad for p in model.parameters()),
        "gradients kept": sum(p.grad is not None for p in model.parameters()),
    }


def _changed_variables(before: Mapping[str, str]) -> list[str]:
    """Environment variables that are others now, by name alone: their values may be secret."""
    changed = sorted(name for name in before.keys() | os.environ.keys() if before.get(name) != os.environ.get(name))
    return [f"environment variables changed: {', '.join(changed)}"] if changed else []


@contextmanager
def _put_back() -> Iterator[None]:
    before: list[tuple[Callable[[Any], object], Any]] = [
        (torch.set_default_dtype, torch.get_default_dtype()),
        (torch.set_num_threads, torch.get_num_threads()),
        (torch.set_grad_enabled, torch.is_grad_enabled()),
        (torch.set_float32_matmul_precision, torch.get_float32_matmul_precision()),
        (os.chdir, Path.cwd()),
    ]
    environment = dict(os.environ)
    try:
        yield
    finally:
        for put, value in before:
            put(value)
        os.environ.clear()
        os.environ.update(environment)


def _bytes(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors.values())


def _in_memory() -> int:
    """Bytes of all tensors in the process, memory that several share counted once."""
    found = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor) and thing.layout == torch.strided:
            storage = thing.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


def _human(size: float) -> str:
    for unit in ("B", "kB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} MB"
