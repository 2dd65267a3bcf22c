"""Claims of papers about their editors, asked of the runs of the suite `editors`: mean over seeds, paired differences.

    python benchmarks/claims.py [--home FOLDER] [--model pocket-llama] [--edits 500]

Reads the store (after `palimpsest run --suite editors --seed 0 --seed 1 --seed 2` and `palimpsest store ingest`) and
prints two Markdown tables. Differences are taken seed by seed, since runs of one seed are asked the same edits in the
same order; their 95 % interval is Student's over seeds. A statement is `shown` if the interval lies on its side of
zero, `opposite` if it lies on the other, else `open`. Diagnostics are means over the edited layers.
"""

from __future__ import annotations

import argparse
import math
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from palimpsest.results.analysis.seeds import student_quantile
from palimpsest.results.store.database import Store

Row = tuple[str, int]
"""Editor and batch size."""
Values = Mapping[str, Mapping[Row, Mapping[int, float]]]
"""Quantity → row → seed → value."""

SHOWN = {
    "score_argmax": "score",
    "efficacy_argmax": "efficacy",
    "paraphrase_argmax": "paraphrase",
    "neighborhood_argmax": "neighborhood",
    "abilities_kept": "abilities kept",
    "update_norm": "‖W_t − W_0‖",
    "energy_change": "change of hyperspherical energy, %",
    "superimposed_noise": "superimposed noise",
}
CLAIMS: tuple[tuple[str, Row, Row, str, int], ...] = (
    ("REVIVE keeps more abilities", ("revive(memit)", 50), ("memit", 50), "abilities_kept", 1),
    ("REVIVE keeps more abilities", ("revive(memit-seq)", 50), ("memit-seq", 50), "abilities_kept", 1),
    ("REVIVE keeps more abilities", ("revive(alphaedit)", 50), ("alphaedit", 50), "abilities_kept", 1),
    ("SPHERE moves the energy less", ("sphere(alphaedit)", 50), ("alphaedit", 50), "energy_change", -1),
    ("DeltaEdit has less noise", ("deltaedit", 1), ("alphaedit", 1), "superimposed_noise", -1),
    ("RECT keeps more abilities", ("rect(memit)", 50), ("memit", 50), "abilities_kept", 1),
    ("RECT scores more", ("rect(memit)", 50), ("memit", 50), "score_argmax", 1),
    ("PRUNE keeps more abilities", ("prune(memit)", 50), ("memit", 50), "abilities_kept", 1),
    ("PRUNE scores more", ("prune(memit)", 50), ("memit", 50), "score_argmax", 1),
)
_METRICS = """
SELECT r.editor, r.batch_size, r.seed, m.metric, m.value FROM metrics m JOIN runs r USING (run_id)
WHERE r.model = ? AND m.edits = ? AND r.edits_planned = ? AND m."window" IN ('all', '') AND m.value IS NOT NULL
"""
_DIAGNOSTICS = """
SELECT r.editor, r.batch_size, r.seed, d.name, avg(d.value) FROM diagnostics d JOIN runs r USING (run_id)
WHERE r.model = ? AND d.edits = ? AND r.edits_planned = ? AND d.layer IS NOT NULL AND isfinite(d.value) GROUP BY ALL
"""
_DERIVED: dict[str, Callable[[Mapping[str, float]], float]] = {
    "update_norm": lambda d: d["update_norm"],
    "energy_change": lambda d: 100 * abs(d["hyperspherical_energy_ratio"] - 1),
    "superimposed_noise": lambda d: d["superimposed_noise"],
}


def read(home: Path, model: str, edits: int) -> Values:
    """All quantities of the finished courses of ``edits`` edits."""
    values: dict[str, dict[Row, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    diagnostics: dict[tuple[Row, int], dict[str, float]] = defaultdict(dict)
    with Store.open(home / "palimpsest.duckdb", read_only=True) as store:
        for editor, batch, seed, metric, value in store.rows(_METRICS, [model, edits, edits]):
            values[metric][(editor, batch)][seed] = value
        for editor, batch, seed, name, value in store.rows(_DIAGNOSTICS, [model, edits, edits]):
            diagnostics[((editor, batch), seed)][name] = value
    for (row, seed), known in diagnostics.items():
        for name, compute in _DERIVED.items():
            try:
                values[name][row][seed] = compute(known)
            except KeyError:  # not recorded for this editor
                continue
    return values


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % interval over seeds (infinite for one seed)."""
    if len(values) < 2:
        return fmean(values), math.inf
    return fmean(values), student_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))


def _cell(values: Mapping[int, float]) -> str:
    mean, half = spread(list(values.values()))
    return _short(mean) + (f" ± {_short(half)}" if math.isfinite(half) else "")


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


def overview(values: Values) -> list[str]:
    """A line per row, best score first."""
    rows = sorted(values["score_argmax"], key=lambda row: -fmean(values["score_argmax"][row].values()))
    lines = ["| editor | batch | seeds | " + " | ".join(SHOWN.values()) + " |", "|---" * (len(SHOWN) + 3) + "|"]
    for row in rows:
        cells = [_cell(values[q][row]) if row in values.get(q, {}) else "" for q in SHOWN]
        lines.append(f"| {row[0]} | {row[1]} | {len(values['score_argmax'][row])} | " + " | ".join(cells) + " |")
    return lines


def verdict(mean: float, half: float, side: int) -> str:
    """True if an interval lies on the side of zero that a statement names."""
    if not math.isfinite(half) or abs(mean) <= half:
        return "open"
    return "shown" if mean * side > 0 else "opposite"


def claims(values: Values) -> list[str]:
    """A line per statement and pair of rows, and one for the mean of the pairs where a statement has several."""
    lines = ["| statement | rows | difference, per seed | mean | verdict |", "|---|---|---|---|---|"]
    found: dict[tuple[str, int], list[dict[int, float]]] = defaultdict(list)
    for statement, row, host, quantity, side in CLAIMS:
        one, other = values[quantity].get(row, {}), values[quantity].get(host, {})
        differences = {seed: one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())}
        lines.append(_line(statement, f"{row[0]} against {host[0]}, batch {row[1]}", differences, side))
        found[statement, side].append(differences)
    for (statement, side), pairs in found.items():
        if len(pairs) > 1:
            common = sorted(set.intersection(*(set(pair) for pair in pairs)))
            means = {seed: fmean(pair[seed] for pair in pairs) for seed in common}
            lines.append(_line(statement, f"mean of the {len(pairs)} pairs", means, side))
    return lines


def _line(statement: str, rows: str, differences: Mapping[int, float], side: int) -> str:
    if not differences:
        return f"| {statement} | {rows} | no runs | | |"
    mean, half = spread(list(differences.values()))
    listed = ", ".join(f"{d:+.3g}" for d in differences.values())
    interval = f" ± {_short(half)}" if math.isfinite(half) else ""
    return f"| {statement} | {rows} | {listed} | {mean:+.3g}{interval} | {verdict(mean, half, side)} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=None, help="folder of runs, caches and store")
    parser.add_argument("--model", default="pocket-llama")
    parser.add_argument("--edits", type=int, default=500)
    arguments = parser.parse_args()
    home = arguments.home or Path(os.environ.get("PALIMPSEST_HOME") or ".palimpsest")
    values = read(home, arguments.model, arguments.edits)
    if not values.get("score_argmax"):
        raise SystemExit(f"No course of {arguments.edits} edits on {arguments.model} in the store of {home}.")
    print("\n".join([*overview(values), "", *claims(values)]))


if __name__ == "__main__":
    main()
