"""C15, C18: failures are clean and say what is wrong; nothing is looked at but the batch."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from palimpsest.harness.authoring.bench import Bench, copied, differing, held
from palimpsest.harness.authoring.report import Finding
from palimpsest.harness.errors import PalimpsestError

_READERS = ("palimpsest.tasks", "palimpsest.harness.specs.packed_lines", "datasets.load")
"""Modules, with all below them, whose functions give requests or what will be asked about them.

Named by module, not by function or file, so that a renamed reader is still seen.
"""
_WALKERS = (gc.get_objects, gc.get_referrers)
"""Functions by which one finds objects of the process that one was not given."""
_SHORT = 15
"""Characters below which a message cannot say what was wrong."""


def errors_are_clean(bench: Bench) -> Finding:
    """C15. A failing `edit` leaves model and state as before; a foreign state is refused with words."""
    problems = []
    embeddings = bench.model(bench.small).model.get_input_embeddings()  # every pass goes through them
    with bench.editing(bench.small) as editing, torch.no_grad():
        editing.edit(0, bench.batches[0])
        with _counted(embeddings) as passes:
            editing.editor.edit(bench.batches[1])
        calls = len(passes)
    with bench.editing(bench.small) as editing:
        editing.edit(0, bench.batches[0])
        before = held(editing)
        for at in sorted({1, max(1, calls // 2), max(1, calls)}) if calls else ():
            try:
                with _counted(embeddings, failing=at), torch.no_grad():
                    editing.editor.edit(bench.batches[1])
            except Exception:  # of whatever kind: the harness gives it a name
                pass
            changed = differing(before, held(editing))
            if changed:
                seen = f"when pass {at} of {calls} through the model fails amid `edit`, {changed[0]} stays changed"
                problems.append(seen)
                break
    problems += _takes_foreign_state(bench)
    if problems:
        return Finding("fail", "; ".join(problems))
    return Finding("ok", f"a failing batch leaves no trace ({calls} passes through the model); foreign states refused")


def nothing_is_read_ahead(bench: Bench) -> Finding:
    """C18. What a batch does depends on no later one; nothing reads the task while the editor is at work."""
    first, later = bench.batches[0], bench.requests[-3:]
    alone = bench.base(bench.small)  # loads the model, too, before anybody is watched
    present = bench.task  # something is there to be found: the probes of a real task, held as a run holds them
    with _watched() as seen, bench.editing(bench.small) as editing:
        editing.edit(0, first)
        now = copied(editing.model.read_weights(editing.written))
        editing.edit(1, later)
    del present
    if seen:
        return Finding("fail", f"it calls {seen[0]} while it works", "no look at the task or the probes")
    changed = differing(alone.weights[1], now)
    if changed:
        seen_after = f"{changed[0]} differs after the first batch of another course"
        return Finding("fail", seen_after, "the bits of the other course")
    return Finding("ok", "the first batch does the same before another second one; the task is not read")


def _takes_foreign_state(bench: Bench) -> list[str]:
    with bench.editing(bench.small) as editing:
        try:
            editing.editor.load_state_dict({"no.such.entry": torch.zeros(3)})
        except (ValueError, PalimpsestError) as error:
            return [] if len(str(error)) >= _SHORT else [f"a foreign state is refused with {str(error)!r} only"]
        except Exception as error:
            return [f"a foreign state ends in {type(error).__name__}: {error}"]
    return ["a state of another editor is taken without a word"]


@contextmanager
def _counted(module: Any, *, failing: int = 0) -> Iterator[list[None]]:
    """An entry for each pass through the module; the pass of number ``failing``, from 1, fails."""
    passes: list[None] = []

    def count(*_: Any) -> None:
        passes.append(None)
        if len(passes) == failing:
            raise RuntimeError("this pass fails on purpose, to see what is left behind")

    handle = module.register_forward_pre_hook(count)
    try:
        yield passes
    finally:
        handle.remove()


@contextmanager
def _watched() -> Iterator[list[str]]:
    """Collect calls of functions that read tasks or walk through the objects of the process, whoever makes them."""
    seen: list[str] = []

    def look(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and argument in _WALKERS:
            seen.append(f"gc.{argument.__name__}")
        elif event == "call":
            module = str(frame.f_globals.get("__name__"))
            if any(module == reader or module.startswith(f"{reader}.") for reader in _READERS):
                seen.append(f"{module}.{frame.f_code.co_name}")

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield seen
    finally:
        sys.setprofile(before)
