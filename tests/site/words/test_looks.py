import math
import re
from itertools import combinations, product
from pathlib import Path

import pytest

from palimpsest.site.words.looks import COLOURS, KNOWN, SHAPES, editor_looks, row_looks

STYLE = (Path(__file__).resolve().parents[3] / "site" / "static" / "style.css").read_text(encoding="utf-8")
MANY = [f"{outer}({inner})" for outer, inner in product(("revive", "rect", "prune", "sphere"), KNOWN)]


def theme_colours(theme: int) -> list[str]:
    """The colours of lines and the paper behind them, in the light (0) or the dark (1)."""
    pairs = dict(re.findall(r"--(s\d+|paper): light-dark\((#[0-9a-f]{6}, #[0-9a-f]{6})\)", STYLE))
    return [pairs[name].split(", ")[theme] for name in (*(f"s{i}" for i in range(COLOURS)), "paper")]


def linear(colour: str) -> list[float]:
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]


def luminance(colour: str) -> float:
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True))


def oklab(colour: str) -> list[float]:
    """Ottosson's space, in which distances go by what eyes tell apart."""
    cones = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
             (0.0883024619, 0.2817188376, 0.6299787005))  # fmt: skip
    roots = [math.cbrt(sum(w * c for w, c in zip(row, linear(colour), strict=True))) for row in cones]
    mixed = ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
             (0.0259040371, 0.7827717662, -0.8086757660))  # fmt: skip
    return [sum(w * r for w, r in zip(row, roots, strict=True)) for row in mixed]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_twelve_colours_are_told_from_each_other_and_from_the_paper(theme: int) -> None:
    *colours, paper = theme_colours(theme)
    assert len(set(colours)) == COLOURS >= 12
    nearest = min(math.dist(oklab(one), oklab(other)) for one, other in combinations(colours, 2))
    assert nearest > 0.08
    for colour in colours:
        low, high = sorted((luminance(colour), luminance(paper)))
        assert (high + 0.05) / (low + 0.05) >= 3, colour


def test_twelve_editors_have_a_colour_a_dash_and_marker_each() -> None:
    for names in (KNOWN + tuple(MANY[:3]), tuple(MANY[:12]), tuple(f"third-{i}" for i in range(12))):
        looks = editor_looks(names).values()
        assert len(names) == len({look.colour for look in looks}) == 12
        assert len({(look.dash, look.marker) for look in looks}) == 12


def test_so_many_editors_as_there_are_shapes_never_differ_by_colour_alone() -> None:
    names = (*KNOWN, *MANY, "a", "b", "c")[: len(SHAPES)]
    assert len(set(SHAPES)) == len(SHAPES) == len(names)
    assert len({(look.dash, look.marker) for look in editor_looks(names).values()}) == len(SHAPES)


def test_the_look_of_an_editor_does_not_hang_on_the_order_in_which_editors_are_named() -> None:
    names = (*KNOWN, *MANY)
    assert editor_looks(names) == editor_looks(reversed(names))


def test_looks_that_are_settled_stay_and_others_give_way() -> None:
    site = editor_looks(["memit", "mine"])
    more = editor_looks(["memit", "aaa", *KNOWN], site)
    assert {name: more[name] for name in site} == site
    assert len({look.colour for look in more.values()}) == len(more)


def test_an_editor_has_its_look_on_every_track_and_its_further_rows_share_the_colour() -> None:
    site = editor_looks(["memit", "alphaedit", "mine"])
    assert row_looks({"1": "mine"}, site)["1"] == site["mine"]
    looks = row_looks({"1": "memit", "2": "memit", "3": "alphaedit", "4": "mine", "5": "memit"}, site)
    assert [looks[key] for key in "134"] == [site[name] for name in ("memit", "alphaedit", "mine")]
    assert {looks[key].colour for key in "125"} == {site["memit"].colour}
    assert len({(look.dash, look.marker) for look in looks.values()}) == 5


def test_more_rows_than_shapes_still_have_looks() -> None:
    assert len(row_looks({str(i): "memit" for i in range(100)}, editor_looks(["memit"]))) == 100
