"""Diagnostics in groups: what every line is, and in which order."""

from __future__ import annotations

from palimpsest.results.records import Curve, CurvePoint
from palimpsest.results.store.diagnostics import OTHER, diagnostic_groups

POINTS = (CurvePoint(0, 0.0, None, None), CurvePoint(100, 2.5, None, None))


def curves(*names: str) -> list[Curve]:
    return [Curve("run", "memit", name, "", POINTS) for name in names]


def test_lines_come_by_group_record_and_layer() -> None:
    names = ("old_edit_drift:5", "update_norm:12", "weight_norm:5", "update_norm:5", "evaluated_update_norm:5")
    size, drift = diagnostic_groups(curves(*names))
    assert (size.key, drift.key) == ("size", "drift") and size.title == "Size of the weights"
    found = [(line.name, line.layer, line.evaluated) for line in size.lines]
    assert found == [
        ("weight_norm", 5, False),
        ("update_norm", 5, False),
        ("update_norm", 12, False),
        ("evaluated_update_norm", 5, True),
    ]
    assert drift.lines[0].points == POINTS


def test_a_line_says_what_it_is() -> None:
    ((line,),) = [group.lines for group in diagnostic_groups(curves("superimposed_noise:3"))]
    assert (line.title, line.unit, line.direction) == ("Superimposed noise", "1", "lower")
    assert "arXiv 2505.07899" in line.definition


def test_what_stands_behind_a_colon_is_told_from_a_layer() -> None:
    names = ("singular_value:03:5", "reported:epochs", "reported:update_norm:5", "weight_norm:model.norm.weight")
    found = {line.name: (line.part, line.layer) for group in diagnostic_groups(curves(*names)) for line in group.lines}
    assert found == {
        "singular_value:03": ("03", 5),
        "reported:epochs": ("epochs", None),
        "reported:update_norm": ("update_norm", 5),
        "weight_norm:model.norm.weight": ("model.norm.weight", None),
    }


def test_names_that_are_not_ours_come_last() -> None:
    *_, last = diagnostic_groups(curves("mystery_number:2", "stored_edits:2"))
    assert last.key == OTHER and last.lines[0].title == "Mystery number" and last.lines[0].definition == ""
