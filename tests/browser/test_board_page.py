import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit, shoot, track_page

Open = Callable[..., Visit]
HEADER = "#board thead th[data-column='{}'] button"
BEST_FIRST = ["AlphaEdit", "MEMIT-Seq", "REVIVE on MEMIT", "MEMIT", "FT-L", "R-ROME"]


def ready(page: Page) -> Page:
    expect(page.locator("#board tbody input[type='checkbox']").first).to_be_visible()
    return page


def editors(page: Page) -> list[str]:
    return [" ".join(text.split()) for text in page.locator("#board tbody tr:not(.seed) .name").all_text_contents()]


def column(page: Page, label: str) -> list[str]:
    cells = page.locator(f"#board tbody tr:not(.seed):not(.published) td[data-label='{label}']").all()
    return [cell.locator(".value, .headline").first.inner_text() for cell in cells]


def state(page: Page) -> str:
    return str(page.evaluate("decodeURIComponent(location.hash)"))


def test_the_table_of_the_scripts_is_that_of_the_page_itself(visit: Open, site: Path) -> None:
    """Both are made of the same data; a difference would be a bug in one of the two renderers."""
    plain = visit(site / "index.html", java_script_enabled=False).page
    drawn = ready(visit(site / "index.html").page)
    assert editors(plain) == editors(drawn) == BEST_FIRST
    for label in ("Effective edits", "Courses", "h under 80 / 50 %", "Score", "Efficacy", "Paraphrase", "Neighborhood",
                  "Abilities kept", "Time per edit", "Peak memory"):  # fmt: skip
        assert column(plain, label) == column(drawn, label), label
    expect(plain.locator("#find")).to_be_hidden()
    expect(plain.locator("#board")).to_be_visible()


def test_the_curves_are_drawn_from_disk(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html").page)
    for name in ("curve-scores", "curve-abilities", "multiples", "pareto"):
        page.locator(f"#{name}").scroll_into_view_if_needed()
    expect(page.locator("#multiples canvas")).to_have_count(6)
    expect(page.locator(".plot canvas")).to_have_count(9)
    assert all(page.evaluate(DRAWN))
    page.evaluate("window.scrollTo(0, 0)")
    shoot(page, "front", full=True)


DRAWN = """() => Array.from(document.querySelectorAll('.plot canvas')).map(canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let inked = 0;
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i] > 200) inked += 1;
  return inked > 500;
})"""


def test_pressing_a_header_sorts_says_so_and_is_undone_by_the_back_button(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html").page)
    seconds = page.locator(HEADER.format("seconds"))
    seconds.click()
    expect(page.locator("#board tbody .name").first).to_have_text("FT-L")
    expect(page.locator("#board th[aria-sort]")).to_have_count(1)
    expect(page.locator("th[data-column='seconds']")).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("#board-live")).to_contain_text("sorted by Time per edit, ascending")
    seconds.focus()
    page.keyboard.press("Enter")
    expect(page.locator("th[data-column='seconds']")).to_have_attribute("aria-sort", "descending")
    assert editors(page)[0] == "R-ROME"
    page.go_back()
    expect(page.locator("th[data-column='seconds']")).to_have_attribute("aria-sort", "ascending")
    page.go_back()
    expect(page.locator("th[data-column='rank']")).to_have_attribute("aria-sort", "ascending")
    assert editors(page) == BEST_FIRST


def test_every_column_sorts_without_losing_rows_and_missing_values_stay_last(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html").page)
    for name in page.locator("#board thead th[data-column]").evaluate_all("all => all.map(th => th.dataset.column)"):
        for _ in range(2):
            page.locator(HEADER.format(name)).click()
            assert sorted(editors(page)) == sorted(BEST_FIRST), name
            if name in ("rank", "score", "abilities"):
                assert editors(page)[-1] == "R-ROME", name
    page.locator(HEADER.format("effective")).click()
    assert editors(page)[:2] == BEST_FIRST[:2]
    assert column(page, "Effective edits")[-2:] == ["149", "–"], "what did not finish has no headline beside the others"


def test_searching_and_filtering(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html").page)
    box = page.locator("#find")
    box.fill("memit")
    assert editors(page) == ["MEMIT-Seq", "REVIVE on MEMIT", "MEMIT"]
    page.locator("#origin").select_option("third")
    assert editors(page) == ["REVIVE on MEMIT"]
    assert state(page) == f"#track={page.locator('#board-section').get_attribute('data-track')}&q=memit&origin=third"
    box.fill("nothing like it")
    expect(page.locator("#shown")).to_have_text("No editor fits.")
    box.press("Escape")
    page.locator("#origin").select_option("")
    page.locator("#status").select_option("collapsed")
    assert editors(page) == ["FT-L"]
    page.locator("#status").select_option("ranked")
    assert editors(page) == BEST_FIRST[:3], "the others have one course each"
    page.locator("#part").select_option("REVIVE")
    assert editors(page) == ["REVIVE on MEMIT"]
    page.locator("#reset").click()
    assert editors(page) == BEST_FIRST and state(page) == ""


def test_the_slider_shows_the_table_after_fewer_edits(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html").page)
    before = column(page, "Score")
    page.locator("#at").focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#at-value")).to_have_text("200 edits")
    expect(page.locator("tr", has_text="R-ROME").locator("td[data-label='Score'] .value")).not_to_have_text("–")
    assert column(page, "Score") != before
    assert column(page, "Effective edits")[0] == "442"
    page.locator("#pareto").scroll_into_view_if_needed()
    expect(page.locator("#pareto-at")).to_contain_text("after 200 edits")


def test_columns_can_be_chosen(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html").page)
    cells = page.locator("#board tbody tr").first.locator("td, th")
    before = cells.count()
    page.locator("#columns summary").click()
    page.locator("#columns input[value='until']").uncheck()
    page.locator("#columns input[value='memory']").uncheck()
    expect(page.locator("th[data-column='until']")).to_be_hidden()
    expect(page.locator("td[data-label='h under 80 / 50 %']")).to_have_count(0)
    assert cells.count() == before - 2
    page.keyboard.press("Escape")
    expect(page.locator("#columns fieldset")).to_be_hidden()


def test_a_permalink_keeps_everything(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html").page)
    page.get_by_role("radio", name="preference").check()
    page.locator(HEADER.format("efficacy")).click()
    page.locator("#find").fill("e")
    page.locator("#at").fill("2")
    page.locator("#columns summary").click()
    page.locator("#columns input[value='date']").uncheck()
    page.locator("#board tbody tr", has_text="FT-L").locator("input").uncheck()
    page.locator("#curve-scores").scroll_into_view_if_needed()
    page.locator("select[data-curve='scores']").select_option("paraphrase|latest")
    page.locator("select[data-curve='others']").select_option("update_norm:2|")
    page.locator("#log-x").check()
    expect(page.locator("#log-y")).not_to_be_checked()
    address = page.url
    again = ready(visit(site / "index.html", fragment="#" + address.partition("#")[2]).page)
    expect(again.locator("#at-value")).to_have_text("200 edits")
    assert again.url == address
    assert editors(again) == editors(page)
    assert column(again, "Efficacy") == column(page, "Efficacy")
    again.locator("#curve-scores").scroll_into_view_if_needed()
    expect(again.locator("select[data-curve='scores']")).to_have_value("paraphrase|latest")
    expect(again.locator("select[data-curve='others']")).to_have_value("update_norm:2|")
    expect(again.locator("#log-x")).to_be_checked()
    expect(again.locator("#chosen button")).to_have_count(5)
    expect(again.locator("td[data-label='Date']")).to_have_count(0)


def test_seeds_of_an_editor_are_one_row_that_opens(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html").page)
    row = page.locator("#board tbody tr").first
    row.get_by_role("button", name="3 seeds").click()
    seeds = page.locator("#board tbody tr.seed")
    expect(seeds).to_have_count(3)
    mean = float(row.locator("td[data-label='Score'] .value").inner_text())
    single = [float(text) for text in seeds.locator("td[data-label='Score'] .value").all_inner_texts()]
    assert min(single) <= mean <= max(single)
    expect(row.get_by_role("button", name="3 seeds")).to_be_focused()
    seeds.nth(1).locator("a").click()
    expect(page.locator(".run-intro")).to_contain_text("seed 1")


def ranks(page: Page) -> list[str]:
    cells = page.locator("#board tbody tr:not(.seed):not(.published) td.rank .value").all()
    return [cell.inner_text() for cell in cells]


def test_a_row_with_one_course_stands_by_its_number_without_a_rank_and_says_why(
    visit: Open, site: Path, three_tracks: Path
) -> None:
    for scripts in (True, False):
        page = visit(site / "index.html", java_script_enabled=scripts).page
        if scripts:
            ready(page)
        assert ranks(page) == ["1", "2", "3", "–", "–", "–"], "in the order of effective edits, scripts or not"
        why = page.locator("#board tbody tr", has_text="FT-L").locator("td.rank")
        expect(why).to_have_attribute("title", "no rank: 1 course; a rank needs 3")
        assert "unranked" not in (page.locator("#board tbody tr", has_text="FT-L").get_attribute("class") or "")
        expect(page.locator("#resolution")).to_contain_text("to be told apart; 3 of 3 pairs are")
        assert column(page, "Courses")[:4] == [f"{n}\u202f×\u202f500" for n in (3, 3, 3, 1)]
    page = visit(track_page(three_tracks, task="pocket-zsre")).page
    expect(page.locator("#resolution")).to_contain_text("--seed 0 --seed 1 --seed 2")


def test_hovering_reads_values_and_ticking_chooses_lines(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html").page)
    plot = page.locator("#curve-scores [data-plot]")
    plot.scroll_into_view_if_needed()
    expect(plot.locator("canvas")).to_have_count(1)
    plot.hover(position={"x": 300, "y": 120})
    expect(plot.locator(".tip")).to_contain_text("MEMIT-Seq")
    page.locator("#chosen button", has_text="MEMIT-Seq").click()
    expect(page.locator("#chosen button", has_text="MEMIT-Seq")).to_have_count(0)
    expect(page.get_by_role("checkbox", name="Show MEMIT-Seq in the figures")).not_to_be_checked()
    plot.hover(position={"x": 320, "y": 130})
    expect(plot.locator(".tip")).to_contain_text("FT-L")
    expect(plot.locator(".tip")).not_to_contain_text("MEMIT-Seq")
    pareto = page.locator("#pareto [data-plot]")
    pareto.focus()
    page.keyboard.press("End")
    expect(page.locator("#pareto [data-plot-live]")).to_contain_text("Abilities kept")


def test_a_chart_is_read_with_the_arrow_keys_and_as_a_table(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html").page)
    plot = page.locator("#curve-abilities [data-plot]")
    plot.focus()
    expect(plot.locator("canvas")).to_have_count(1)
    page.keyboard.press("End")
    expect(page.locator("#curve-abilities [data-plot-live]")).to_contain_text("After 500 edits: AlphaEdit")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#curve-abilities [data-plot-live]")).to_contain_text("After 400 edits")
    expect(plot.locator(".tip")).to_be_visible()
    page.keyboard.press("Escape")
    expect(plot.locator(".tip")).to_be_hidden()
    page.locator("#curve-abilities summary").click()
    page.locator("select[data-curve='others']").select_option("ability:pocket_addition|")
    table = page.locator("#curve-abilities [data-plot-table] table")
    expect(table.locator("caption")).to_have_text("Addition: items answered right")
    expect(table.locator("tbody tr")).to_have_count(6)


def test_figures_can_be_saved(visit: Open, site: Path, tmp_path: Path) -> None:
    page = ready(visit(site / "index.html").page)
    for name in ("curve-scores", "pareto"):
        figure = page.locator(f"#{name}")
        figure.scroll_into_view_if_needed()
        expect(figure.locator("canvas")).to_have_count(1)
        for kind, begin in (("svg", b"<svg"), ("png", b"\x89PNG")):
            with page.expect_download() as waiting:
                figure.locator(f"[data-save='{kind}']").click()
            saved = tmp_path / waiting.value.suggested_filename
            waiting.value.save_as(saved)
            assert saved.suffix == f".{kind}" and saved.read_bytes().startswith(begin)
            if kind == "svg":
                text = saved.read_text(encoding="utf-8")
                assert "AlphaEdit" in text and "NaN" not in text and "undefined" not in text


def test_the_table_downloads_agree_with_the_page(visit: Open, site: Path, tmp_path: Path) -> None:
    page = ready(visit(site / "index.html").page)
    links = page.locator(".downloads-line").first
    found = {
        kind: site / (links.get_by_role("link", name=kind).get_attribute("href") or "") for kind in ("JSON", "Parquet")
    }
    with page.expect_download() as waiting:
        links.get_by_role("link", name="CSV").click()
    found["CSV"] = tmp_path / "table.csv"
    waiting.value.save_as(found["CSV"])
    lines = list(csv.DictReader(io.StringIO(found["CSV"].read_text(encoding="utf-8"))))
    at_end = [f"{float(line['score_argmax']):.1f}" for line in lines if line["edits"] == "500" and line["score_argmax"]]
    assert at_end == [text for text in column(page, "Score") if text != "–"]
    assert len(json.loads(found["JSON"].read_text(encoding="utf-8"))) == len(lines)
    assert pq.read_table(found["Parquet"]).num_rows == len(lines)


def test_published_numbers_are_marked_and_apart(visit: Open, published_site: Path) -> None:
    page = ready(visit(published_site / "index.html", fragment="#form=preference").page)
    references = page.locator("#board tbody tr.published")
    expect(references.first).to_contain_text("published, not measured here")
    expect(references.first.locator(".rank")).to_have_text("not ranked")
    link = references.locator("a[href^='https://arxiv.org/abs/']").first
    expect(link).to_have_attribute("rel", "noopener nofollow")
    assert references.locator("input").count() == 0
    page.locator("#curve-scores").scroll_into_view_if_needed()
    page.locator("select[data-curve='scores']").select_option("efficacy|all")
    page.locator("#curve-scores summary").click()
    dotted = page.locator("#curve-scores [data-plot-table] tbody tr", has_text="published in arXiv")
    expect(dotted.first).to_contain_text("NSE")
    page.locator("#refs").uncheck()
    expect(dotted).to_have_count(0)
    page.locator("#origin").select_option("measured")
    expect(references).to_have_count(0)
    page.locator("#origin").select_option("published")
    expect(page.locator("#board tbody tr:not(.published)")).to_have_count(0)
    page.locator("#at").fill("0")
    expect(references).to_have_count(0)
    shoot(page, "published")


def test_the_theme_follows_the_system_and_the_switch_is_remembered(visit: Open, site: Path) -> None:
    page = visit(site / "index.html", color_scheme="dark").page
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    switch = page.locator("#theme-switch")
    switch.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == light
    expect(switch).to_contain_text("light")
    page.locator("#theme-switch").click()
    assert page.evaluate(background) == dark


@pytest.mark.parametrize("width", [390, 1024])
def test_no_page_scrolls_sideways(visit: Open, site: Path, three_tracks: Path, hostile_site: Path, width: int) -> None:
    for folder in (site, three_tracks, hostile_site):
        page = visit(folder / "index.html", width=width).page
        others = [str(next((folder / kind).iterdir()).relative_to(folder)) for kind in ("run", "editor")]
        names = ("index", "reading", "editors", "downloads", "compare", "history", "nights")
        for path in (*(f"{name}.html" for name in names), *others):
            page.goto((folder / path).as_uri())
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, (path, wide)


def test_printing_is_light_even_in_the_dark_and_without_controls(visit: Open, site: Path) -> None:
    page = ready(visit(site / "index.html", color_scheme="dark").page)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.emulate_media(media="print")
    expect(page.locator(".filters")).to_be_hidden()
    expect(page.locator("#board")).to_be_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(page.locator("html")).not_to_have_attribute("data-theme", "light")


def test_it_works_under_any_path_of_a_server(visit: Open, chromium, site: Path) -> None:  # type: ignore[no-untyped-def]
    import threading

    from palimpsest.site.serve import make_server

    with make_server(site.parent, 0) if (site.parent / "index.html").is_file() else make_server(site, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address[:2]
        context = chromium.new_context()
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"http://{host!s}:{port}/index.html")
        ready(page)
        page.locator("#curve-scores").scroll_into_view_if_needed()
        expect(page.locator("#curve-scores canvas")).to_have_count(1)
        assert complaints == []
        context.close()
        server.shutdown()
