from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit

Open = Callable[..., Visit]
HEADER = "#board thead th[data-column='{}'] button"


def editors(page: Page) -> list[str]:
    return [text.strip() for text in page.locator("#board tbody tr:visible .name").all_text_contents()]


def column(page: Page, index: int) -> list[str]:
    return [
        row.locator("td, th").nth(index).locator(".value, .headline").locator("visible=true").first.inner_text()
        for row in page.locator("#board tbody tr").all()
    ]


def test_the_front_page_loads_from_disk_with_table_and_curves(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    assert editors(page) == ["AlphaEdit", "MEMIT-Seq", "MEMIT", "FT-L", "AlphaEdit"]
    expect(page.locator(".plot canvas")).to_have_count(2)
    assert page.evaluate(DRAWN) == [True, True]


DRAWN = """() => Array.from(document.querySelectorAll('.plot canvas')).map(canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let inked = 0;
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i] > 200) inked += 1;
  return inked > 2000;
})"""


def test_pressing_a_header_sorts_and_says_so(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    seconds = page.locator(HEADER.format(9))
    seconds.click()
    assert editors(page)[0] == "FT-L"
    expect(page.locator("#board th[aria-sort]")).to_have_count(1)
    expect(page.locator("#board th[data-column='9']")).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("[data-live='board']")).to_have_text("Sorted by Time per edit, ascending.")
    seconds.click()
    expect(page.locator("#board th[data-column='9']")).to_have_attribute("aria-sort", "descending")
    assert editors(page)[0] == "MEMIT-Seq"


def test_every_column_sorts_without_losing_rows(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    for index in range(13):
        page.locator(HEADER.format(index)).click()
        assert sorted(editors(page)) == ["AlphaEdit", "AlphaEdit", "FT-L", "MEMIT", "MEMIT-Seq"]


def test_numbers_sort_as_numbers_and_missing_ranks_stay_last(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.locator(HEADER.format(2)).click()
    shown = column(page, 2)
    assert shown[0] == ">\u202f500" and shown[-1] == "48"
    rank = page.locator(HEADER.format(0))
    rank.click()
    rank.click()
    assert column(page, 0)[0].startswith("4") and column(page, 0)[-1].startswith("–")


def test_sorting_works_from_the_keyboard(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.locator(HEADER.format(4)).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#board th[data-column='4']")).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("Space")
    expect(page.locator("#board th[data-column='4']")).to_have_attribute("aria-sort", "ascending")
    assert editors(page)[0] == "FT-L"


def test_filtering_by_text(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    box = page.locator("[data-filter='board']")
    box.fill("alpha complete")
    assert editors(page) == ["AlphaEdit"]
    expect(page.locator("[data-live='board']")).to_have_text("1 of 5 rows shown.")
    box.fill("nothing like it")
    assert editors(page) == []
    box.press("Escape")
    assert len(editors(page)) == 5


def test_the_form_of_the_scores_can_be_switched(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    before = column(page, 4)
    page.get_by_role("radio", name="preference").check()
    after = column(page, 4)
    assert float(after[0]) > float(before[0])
    expect(page.locator("[data-chart-view='track-editing']")).to_have_value("score|preference|all")
    expect(page.locator("#track-editing caption").first).to_contain_text("preference")
    expect(page.locator(".form-argmax").first).to_be_hidden()
    page.get_by_role("radio", name="argmax").check()
    assert column(page, 4) == before


def test_the_legend_hides_a_line_and_hovering_reads_values(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    plot = page.locator("#track-editing [data-plot]")
    plot.scroll_into_view_if_needed()
    plot.hover(position={"x": 300, "y": 120})
    tip = plot.locator(".tip")
    expect(tip).to_contain_text("MEMIT-Seq")
    button = page.locator("[data-legend='track'] button", has_text="MEMIT-Seq")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    plot.hover(position={"x": 320, "y": 130})
    expect(tip).to_contain_text("FT-L")
    expect(tip).not_to_contain_text("MEMIT-Seq")


def test_a_chart_is_read_with_the_arrow_keys(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    plot = page.locator("#track-abilities [data-plot]")
    plot.focus()
    page.keyboard.press("End")
    expect(page.locator("#track-abilities [data-plot-live]")).to_contain_text("After 500 edits: AlphaEdit")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#track-abilities [data-plot-live]")).to_contain_text("After 400 edits")
    expect(plot.locator(".tip")).to_be_visible()
    page.keyboard.press("Escape")
    expect(plot.locator(".tip")).to_be_hidden()


def test_the_table_beside_a_chart_follows_its_view(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.locator("#track-abilities summary").click()
    table = page.locator("#track-abilities table[data-plot-table]")
    before = table.locator("tbody tr").first.inner_text()
    page.locator("[data-chart-view='track-abilities']").select_option("ability:pocket_addition")
    expect(table.locator("caption")).to_have_text("Addition: items answered right")
    assert table.locator("tbody tr").first.inner_text() != before


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


CONTRAST = """() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
  };
  const poor = new Set();
  for (const element of document.querySelectorAll('body *')) {
    const own = Array.from(element.childNodes).some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.tagName === 'SCRIPT') continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.add(element.className + ' ' + ratio.toFixed(2));
  }
  return Array.from(poor);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(visit: Open, site: Path, scheme: str) -> None:
    board = visit(site / "index.html", color_scheme=scheme, reduced_motion="reduce").page
    assert board.evaluate(CONTRAST) == []
    board.locator("#board tbody a").first.click()
    assert board.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [390, 600, 1024])
def test_no_page_scrolls_sideways(visit: Open, site: Path, hostile_site: Path, width: int) -> None:
    for folder in (site, hostile_site):
        run = next((folder / "run").iterdir())
        for path in (folder / "index.html", run, folder / "reading.html"):
            page = visit(path, width=width).page
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, (path, wide)


def test_on_a_phone_rows_are_cards_that_sort_by_a_menu(visit: Open, site: Path) -> None:
    page = visit(site / "index.html", width=390, height=844).page
    row = page.locator("#board tbody tr").first
    box = row.bounding_box()
    assert box is not None and box["width"] <= 390 and box["height"] > 200
    page.locator("[data-sort-select='board']").select_option(label="Time per edit ↑")
    assert editors(page)[0] == "FT-L"


def test_without_javascript_the_table_and_the_figures_of_the_curves_are_there(visit: Open, site: Path) -> None:
    page = visit(site / "index.html", java_script_enabled=False).page
    expect(page.locator("#board tbody tr")).to_have_count(5)
    expect(page.locator("#board")).to_be_visible()
    expect(page.locator("[data-filter]")).to_be_hidden()
    page.locator("#track-editing summary").click()
    expect(page.locator("#track-editing [data-plot-table] tbody tr")).to_have_count(5)
    page.locator(".segmented label", has_text="preference").click()
    expect(page.locator(".form-argmax").first).to_be_hidden()


def test_the_chooser_leads_to_another_track(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.get_by_role("link", name="pocket-zsre").click()
    expect(page.locator(".chooser [aria-current]", has_text="pocket-zsre")).to_be_visible()
    expect(page.locator("#board tbody tr")).to_have_count(2)
    expect(page.locator("input[name='form']")).to_have_count(0)


def test_hostile_names_are_plain_text(visit: Open, hostile_site: Path) -> None:
    page = visit(hostile_site / "index.html").page
    assert editors(page)[0] == "<script>document.title='owned'</script>"
    page.locator("#track-editing [data-plot]").hover(position={"x": 300, "y": 100})
    expect(page.locator("#track-editing .tip")).to_contain_text("<script>document.title")
    page.locator("[data-filter='board']").fill("<script>")
    assert len(editors(page)) == 1
    page.locator("#board tbody tr:visible a").first.click()
    expect(page.locator("h1")).to_contain_text("<script>document.title='owned'</script>")
    assert page.title() != "owned"
    assert page.locator("img, iframe, body script:not([src]):not([type='application/json'])").count() == 0
