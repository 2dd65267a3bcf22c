"""Figures as files for print: they say where they are from, and show what the page shows."""

import re
import struct
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Visit

Open = Callable[..., Visit]
SVG = "{http://www.w3.org/2000/svg}"


def saved(page: Page, figure: str, kind: str, folder: Path) -> Path:
    box = page.locator(f"#{figure}")
    box.scroll_into_view_if_needed()
    expect(box.locator("canvas")).to_have_count(1)
    with page.expect_download() as waiting:
        box.locator(f"[data-save='{kind}']").click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def drawing(page: Page, figure: str, folder: Path) -> ElementTree.Element:
    return ElementTree.fromstring(saved(page, figure, "svg", folder).read_text(encoding="utf-8"))


def texts(root: ElementTree.Element, kind: str = "") -> list[str]:
    return [node.text or "" for node in root.iter(f"{SVG}text") if not kind or node.get("class") == kind]


def of_class(root: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [node for node in root.iter() if node.get("class") == kind]


def test_a_saved_figure_is_white_and_names_track_date_lines_and_marks(visit: Open, site: Path, tmp_path: Path) -> None:
    page = visit(site / "index.html", color_scheme="dark").page
    path = saved(page, "curve-scores", "svg", tmp_path)
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    assert re.fullmatch(r"palimpsest-pocket-llama-pocket-counterfact-500x50-[0-9a-f]{6}-quality-all\.svg", path.name)
    ground = root.find(f"{SVG}rect")
    assert ground is not None and (ground.get("fill"), ground.get("height")) == ("#ffffff", root.get("height"))
    words = " ".join(texts(root))
    track = ("pocket-llama", "pocket-counterfact", "500 edits in batches of 50", "results up to 2026-03-10")
    for said in ("Held (h)", *track, "A ring marks where", "Bands are 95 % intervals", "80 %"):
        assert said in words, said
    names = ["AlphaEdit", "MEMIT-Seq", "REVIVE on MEMIT", "MEMIT", "FT-L", "R-ROME (not finished)"]
    assert texts(root, "legend") == names
    counted = {kind: len(of_class(root, kind)) for kind in ("ring", "collapsed", "rule", "seed")}
    assert counted == {"ring": 4, "collapsed": 1, "rule": 2, "seed": 3 * 3 * 6}, counted
    light = visit(site / "index.html", color_scheme="light").page
    assert saved(light, "curve-scores", "svg", tmp_path / "light").read_bytes() == path.read_bytes()


def test_the_line_of_a_run_that_collapsed_ends_there_with_a_cross(visit: Open, site: Path, tmp_path: Path) -> None:
    root = drawing(visit(site / "index.html").page, "curve-scores", tmp_path)
    died = next(float(node.get("x", "")) for node in root.iter(f"{SVG}text") if node.text == "300")
    ends = [float((line.get("points") or "").split()[-1].split(",")[0]) for line in root.iter(f"{SVG}polyline")]
    assert len(ends) == 6 and abs(ends[4] - died) < 0.1 and max(ends) > died + 100
    (cross,) = of_class(root, "collapsed")
    assert abs(float(re.findall(r"M([\d.]+)", cross.get("d") or "")[0]) + 6 - died) < 0.1


def test_a_saved_picture_is_drawn_for_print_and_not_for_the_screen(visit: Open, site: Path, tmp_path: Path) -> None:
    page = visit(site / "index.html", width=390, height=844, color_scheme="dark").page
    for figure, metric in (("curve-abilities", "abilities_kept"), ("pareto", "score_argmax-against-abilities_kept")):
        path = saved(page, figure, "png", tmp_path)
        width, height = struct.unpack(">II", path.read_bytes()[16:24])
        assert width == 3 * 760 and height > 1000
        assert metric in path.name.replace("abilities_kept-", "abilities_kept"), path.name


def test_printing_a_figure_gives_one_page_with_nothing_else(visit: Open, site: Path, tmp_path: Path) -> None:
    page = visit(site / "index.html", color_scheme="dark").page
    page.locator("#pareto").scroll_into_view_if_needed()
    expect(page.locator("#pareto canvas")).to_have_count(1)
    before = page.title()
    page.evaluate("() => { window.print = () => { document.body.dataset.printed = document.title; }; }")
    page.locator("#pareto [data-save='pdf']").click()
    proposed = page.locator("body[data-printed]").get_attribute("data-printed", timeout=PATIENCE)
    assert proposed and "score_argmax-against-abilities_kept" in proposed, "the print dialog's name for the file"
    page.emulate_media(media="print")
    expect(page.locator("body > .sheet svg")).to_be_visible()
    expect(page.locator("main")).to_be_hidden()
    made = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", made)) == 1
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(page.locator("body > .sheet")).to_have_count(0)
    expect(page.locator("main")).to_be_visible()
    assert page.title() == before


def test_labels_of_an_axis_are_where_they_say_also_where_the_step_has_a_fraction(
    visit: Open, site: Path, tmp_path: Path
) -> None:
    """A tick's place is linear in its label; labels with fewer digits than the step has are not."""
    page = visit(site / "index.html", width=1024, fragment="#form=preference").page
    root = drawing(page, "pareto", tmp_path)
    for kind, along in (("tick-x", "x"), ("tick-y", "y")):
        ticks = [(float(node.text or ""), float(node.get(along, ""))) for node in of_class(root, kind)]
        slopes = [(b - a) / (v - u) for (u, a), (v, b) in zip(ticks, ticks[1:], strict=False)]
        assert len(ticks) > 4 and max(slopes) - min(slopes) < 0.05, ticks
        assert any(label % 1 for label, _ in ticks), "the step here is 2.5"


BELOW = """() => {
    const look = [0, [], "circle"], label = "worse than chance", title = "Below";
    const show = function (id, spec) {
        const box = document.getElementById(id).cloneNode(true);
        box.id = "below-" + id;
        box.querySelector("[data-plot]").replaceChildren();
        document.getElementById("main").append(box);
        palimpsest.figure(box).show(Object.assign({ title, name: "below" }, spec));
    };
    const mark = { label, look, x: -9, y: 40, size: 0.1, filled: true };
    show("curve-abilities", { xs: [0, 10], percent: true, lines: [{ key: "a", label, look, value: [100, -9] }] });
    show("pareto", { scatter: true, xLabel: "x", yLabel: "y", marks: [mark, { ...mark, x: 90 }], front: [] });
}"""


def test_what_is_below_zero_is_inside_its_figure(visit: Open, site: Path, tmp_path: Path) -> None:
    """Abilities kept are below zero where a model answers worse than chance; such points lay outside the axes."""
    page = visit(site / "index.html").page
    expect(page.locator("#board input[type='checkbox']").first).to_be_visible()
    page.evaluate(BELOW)
    curve = drawing(page, "below-curve-abilities", tmp_path)
    bottom = float(of_class(curve, "tick-x")[0].get("y", "")) - 18
    (line,) = curve.iter(f"{SVG}polyline")
    assert max(float(spot.partition(",")[2]) for spot in line.get("points", "").split()) < bottom
    left, _ = (float(node.get("cx", "")) for node in of_class(drawing(page, "below-pareto", tmp_path), "mark"))
    assert left > 64, "the left end of the plot"


def test_names_of_strangers_are_text_in_a_saved_figure(visit: Open, hostile_site: Path, tmp_path: Path) -> None:
    page = visit(hostile_site / "index.html").page
    path = saved(page, "pareto", "svg", tmp_path)
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    plain = ("svg", "title", "rect", "path", "text", "circle", "polyline", "polygon")
    assert {node.tag for node in root.iter()} <= {SVG + name for name in plain}
    assert any("<script>" in text for text in texts(root))
    assert re.fullmatch(r"[A-Za-z0-9._-]+", path.name) and len(path.name) < 200
    assert saved(page, "pareto", "png", tmp_path).read_bytes().startswith(b"\x89PNG")
