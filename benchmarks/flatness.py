"""Growth of the cost of an edit with the edits before it: seconds per batch over a long course, for each editor.

    python benchmarks/flatness.py [EDITOR[:BATCH] …] [--quick] [--watched] [--clock cpu]

EDITOR is a name or a composition; default: every installed editor, `deltaedit` in batches of one. Targets get few
steps: their cost does not depend on the edits made, and would only hide what does. A line per editor: median seconds
per batch in the second and in the last tenth of the batches, their ratio, and the same ratio of what the editor reports
beside its targets (keys, solve, writing). Exit code 1 if the ratio of whole batches exceeds ``--at-most``.

Some editors fold what they remember from time to time, and a batch costs a little more the longer that was ago.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from palimpsest.harness.diagnostics.tracker import Tracker
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.plugins.compositions import canonical_name, complete
from palimpsest.harness.plugins.configuration import build_editor, resolve_config
from palimpsest.harness.plugins.entry_points import available_editors
from palimpsest.harness.plugins.session import Editing
from palimpsest.harness.runs.loaded_model import LoadedModel, load
from palimpsest.harness.specs.cases import EditRequest
from palimpsest.harness.specs.run_spec import EditorRef, Schedule
from palimpsest.harness.specs.schedule import batches
from palimpsest.tasks.registry import load_task
from palimpsest.tasks.statistics_texts import find_text

_STEP_FIELDS = ("target_steps", "steps")
_OWN_BATCH = {"deltaedit": 1, "rome": 10, "r-rome": 10}
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def few_steps(editor: str, steps: int) -> dict[str, Any]:
    """Overrides that give every editor of a composition few target steps, where it has such a field."""
    overrides: dict[str, Any] = {}
    for _, cls in reversed(complete(editor)):
        own: dict[str, Any] = {field: steps for field in _STEP_FIELDS if field in cls.Config.model_fields}
        overrides = own | ({"host": overrides} if overrides else {})
    return overrides


def course(
    loaded: LoadedModel, editor: str, requests: Sequence[EditRequest], batch_size: int, arguments: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """Seconds of each batch, and of that what was reported beside targets."""
    config = resolve_config(editor, loaded.model.name, few_steps(editor, arguments.steps))
    ref = EditorRef(name=canonical_name(editor), config=config, distribution="benchmark", version="0")
    editing = Editing(loaded.model, lambda: build_editor(editor, config), ref, seed=0)
    tracker = Tracker(loaded.model, editing.written, editing.editor) if arguments.watched else None
    clock = CLOCKS[arguments.clock]
    seconds: list[float] = []
    rest: list[float] = []
    for batch in batches(Schedule(edits=len(requests), batch_size=batch_size, checkpoints=(0, len(requests)))):
        part = requests[batch.start : batch.stop]
        begin = clock()
        if tracker is not None:
            tracker.before(batch)
        report, _ = editing.edit(batch.number, part)
        if tracker is not None:
            tracker.after(batch, part, report.updates)
        seconds.append(clock() - begin)
        rest.append(sum(spent for phase, spent in report.seconds.items() if phase != "targets"))
    return seconds, rest


def tenths(seconds: Sequence[float]) -> tuple[float, float]:
    """Median of the second and of the last tenth; of the batches, at least one each."""
    size = max(1, len(seconds) // 10)
    return median(seconds[size : 2 * size]), median(seconds[-size:])


def grown(seconds: Sequence[float]) -> str:
    """Ratio of the tenths, as text."""
    second, last = tenths(seconds)
    return f"{last / second:.3f}" if second else "none"


def main() -> int:
    """Measure each editor; 0 if all are flat enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("editors", nargs="*", metavar="EDITOR[:BATCH]")
    parser.add_argument("--model", default="pocket-llama")
    parser.add_argument("--task", default="pocket-counterfact")
    parser.add_argument("--edits", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=20, help="edits per batch, where an editor has no size of its own")
    parser.add_argument("--steps", type=int, default=2, help="target or training steps per edit")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--at-most", type=float, default=1.15)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall", help="cpu: less disturbed by other programs")
    parser.add_argument("--watched", action="store_true", help="with what the diagnostics do between batches")
    parser.add_argument("--quick", action="store_true", help="a fifth of the edits, in batches of a fifth")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    fifth = 5 if arguments.quick else 1
    requests = [case.request for case in load_task(arguments.task).cases[: arguments.edits // fifth]]
    steep = False
    with tempfile.TemporaryDirectory() as home:
        loaded = load(resolve(arguments.model), Path(home), texts=find_text)
        for word in arguments.editors or [entry.name for entry in available_editors()]:
            editor, _, size = word.partition(":")
            batch_size = max(1, (int(size) if size else _OWN_BATCH.get(editor, arguments.batch)) // fifth)
            seconds, rest = course(loaded, editor, requests, batch_size, arguments)
            second, last = tenths(seconds)
            ratio = last / second
            steep |= ratio > arguments.at_most
            print(
                f"{canonical_name(editor):<24} {len(requests)} edits in batches of {batch_size:<3} "
                f"second tenth {second:.4f} s, last tenth {last:.4f} s, ratio {ratio:.3f} "
                f"(beside targets {grown(rest)})"
                f"{'  above ' + str(arguments.at_most) if ratio > arguments.at_most else ''}",
                flush=True,
            )
    return 1 if steep else 0


if __name__ == "__main__":
    sys.exit(main())
