"""Diagnostics on the run page: a folded table per group, escaped, with some ranks of the spectra."""

from __future__ import annotations

from palimpsest.results.records import Curve, CurvePoint
from palimpsest.site.parts.diagnostics import checkpoints, sections

POINTS = (CurvePoint(0, 1.0, None, None), CurvePoint(100, None, None, None))


def test_groups_become_tables_with_a_column_per_checkpoint() -> None:
    names = [f"{prefix}singular_value:{rank:02d}:5" for prefix in ("", "evaluated_") for rank in range(1, 17)]
    given = [Curve("r", "e", name, "", POINTS) for name in (*names, "reported:<b>odd", "x:5")]
    assert checkpoints(given) == (0, 100)
    found = {section.key: section.lines for section in sections(given)}
    assert [line.title for line in found["spectrum"]] == [
        f"Singular values of Wₜ, {rank}" for rank in (1, 2, 4, 8, 16) for _ in range(2)
    ]
    assert [line.note for line in found["spectrum"][:2]] == ["layer 5", "layer 5, as scored"]
    assert found["spectrum"][0].cells[0] == "1" and found["spectrum"][0].cells[1] == found["other"][0].cells[1]
    assert found["events"][0].title == "<b>odd"
