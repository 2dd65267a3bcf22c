"""From the sampled texts of a run, as stored, to values per case."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from palimpsest.harness.metrics.probes import CaseTable, text_table
from palimpsest.harness.metrics.texts import reference_texts


class TextMetrics:
    """Turns the sampled texts of a run's checkpoints into values per case."""

    def __init__(self, cases: pa.Table, probes: pa.Table) -> None:
        """Args: what the run edits and asks, as stored with it."""
        columns = [probes[name].to_pylist() for name in ("kind", "prompt", "target_new", "target_true")]
        self._references = reference_texts(zip(*columns, strict=True))
        self._objects = dict(zip(cases["case_id"].to_pylist(), cases["target_new"].to_pylist(), strict=True))
        asked = probes.filter(pc.equal(probes["kind"], "generation"))
        keys = zip(asked["case_id"].to_pylist(), asked["index"].to_pylist(), strict=True)
        self._prompts = dict(zip(keys, asked["prompt"].to_pylist(), strict=True))

    def table(self, texts: pa.Table) -> CaseTable:
        """Fluency and consistency of each case of one checkpoint; the prompts count as part of the texts."""
        rows = sorted(zip(*(texts[name].to_pylist() for name in ("case_id", "index", "text")), strict=True))
        by_case: dict[int, list[str]] = {}
        for case_id, index, text in rows:
            by_case.setdefault(case_id, []).append(self._prompts[case_id, index] + text)
        return text_table(by_case, self._objects, self._references)
