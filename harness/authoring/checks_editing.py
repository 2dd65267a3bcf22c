"""C03 to C06, C16: edits work, on both anatomies, and touch nothing else."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from palimpsest.harness.authoring.bench import Bench, copied, differing, everything, follow
from palimpsest.harness.authoring.report import Finding

SHARE = 0.8
"""Share of the targets that must become more probable."""
CLOSE, FAR = 0.1, 1.0
"""Nats between the targets' log-probabilities after a batch and after the same batch in another order."""


def both_anatomies(bench: Bench) -> Finding:
    """C03. A course of three batches ends on every model, with finite numbers and reports of plain numbers."""
    seen = []
    for name in bench.models:
        course = bench.base(name)
        if not all(math.isfinite(value) for value in course.after):
            return Finding("fail", f"{name}: log-probabilities of targets are not finite")
        wrong = [
            f"{key} = {value!r}"
            for report in course.reports
            for group in (report.seconds, report.counters, report.values)
            for key, value in group.items()
            if isinstance(value, torch.Tensor) or not isinstance(value, int | float)
        ]
        if wrong:
            return Finding("fail", f"{name}: the report holds {wrong[0]}")
        written = len(course.weights[0])
        seen.append(f"{name} ({written} weight{'s' if written != 1 else ''} written)")
    return Finding("ok", " and ".join(seen))


def edits_take(bench: Bench) -> Finding:
    """C04. At least 80 % of the targets are more probable right after their batch than right before it."""
    shares = {}
    for name in bench.models:
        course = bench.base(name)
        raised = sum(after > before for before, after in zip(course.before, course.after, strict=True))
        shares[name] = raised / len(course.before)
    seen = ", ".join(f"{share:.0%} on {name}" for name, share in shares.items())
    if min(shares.values()) >= SHARE:
        return Finding("ok", f"targets more probable: {seen}")
    return Finding("fail", f"targets more probable: {seen}", f"at least {SHARE:.0%} on each")


def only_what_is_declared(bench: Bench) -> Finding:
    """C05. Parameters and buffers that `writes()` does not name keep their bits."""
    for name in bench.models:
        with bench.editing(name) as editing:
            before = copied(everything(editing.model))
            editing.edit(0, bench.batches[0])
            changed = set(differing(before, everything(editing.model))) - set(editing.written)
            if changed:
                listed = ", ".join(sorted(changed)[:3])
                expected = f"changes of {', '.join(editing.written) or 'nothing'} only"
                return Finding("fail", f"{name}: {listed} changed", expected)
    return Finding("ok", "everything else keeps its bits")


def no_silent_no_op(bench: Bench) -> Finding:
    """C06. After a course the model answers something else than the unedited one."""
    for name in bench.models:
        course = bench.base(name)
        moved = [
            float((now - then).abs().max()) for then, now in zip(course.pristine_logits, course.logits, strict=True)
        ]
        if max(moved) == 0:
            seen = f"{name}: after {len(moved)} edits the logits behind all edited prompts are the unedited model's"
            return Finding("fail", seen)
    return Finding("ok", f"logits behind edited prompts moved by up to {max(moved):.2g}")


def order_within_a_batch(bench: Bench) -> Finding:
    """C16. The same batch in reverse order teaches the same, nearly."""
    batch = bench.batches[0]
    results = []
    for requests in (batch, batch[::-1]):
        with bench.editing(bench.small) as editing:
            course = follow(editing, [requests])
            results.append(dict(zip((r.case_id for r in requests), course.after, strict=True)))
    distance = sum(abs(results[0][case] - results[1][case]) for case in results[0]) / len(batch)
    seen = f"targets' log-probabilities differ by {distance:.2g} nats on average in reverse order"
    if distance <= CLOSE:
        return Finding("ok", seen)
    expected = f"at most {CLOSE} nats; editors that write one request after another may have up to {FAR:.0f}"
    return Finding("warn" if distance <= FAR else "fail", seen, expected)


def edge_requests(bench: Bench) -> Finding:
    """C14. Empty batch, single request, repeated subject, long and non-ASCII targets, subjects at either end."""
    one, other = bench.requests[0], bench.requests[1]
    cases = {
        "an empty batch": [],
        "one request": [one],
        "two relations of one subject": [one, replace(other, subject=one.subject)],
        "a target of many words": [replace(one, target_new="the old town by the river where nobody ever was before")],
        "accents and other scripts": [replace(one, subject="Žofie Ångström", target_new="Überlingen 東京")],
        "a subject at the start": [replace(one, prompt="{} is known for")],
        "a subject at the end": [replace(one, prompt="Everybody speaks of {}")],
        "a prompt that is a subject alone": [replace(one, prompt="{}")],
        "the same request twice": [one, replace(one, case_id=one.case_id + 1)],
    }
    problems = []
    for what, batch in cases.items():
        with bench.editing(bench.small) as editing:
            before = copied(editing.model.read_weights(editing.written))
            try:
                editing.edit(0, batch)
            except Exception as error:
                problems.append(f"{what}: {' '.join(str(error).split())}")
                continue
            if not batch and differing(before, editing.model.read_weights(editing.written)):
                problems.append(f"{what} changes the weights")
    if problems:
        return Finding("fail", "; ".join(problems))
    return Finding("ok", f"{len(cases)} kinds of batches")
