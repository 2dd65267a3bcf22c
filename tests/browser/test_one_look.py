"""One editor, one look: the same colour, dash and marker wherever its line is drawn."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit, track_page

Open = Callable[..., Visit]
LOOK = "all => all.map(svg => svg.getAttribute('class') + svg.innerHTML)"


def looks(items: Locator) -> dict[str, str]:
    """Name → what its swatch is drawn as, for all items that hold a swatch and a name."""
    expect(items.first).to_be_visible()
    names = [" ".join(text.replace("×", "").split()) for text in items.all_inner_texts()]
    return dict(zip(names, items.locator(".swatch").evaluate_all(LOOK), strict=True))


def test_an_editor_looks_the_same_on_two_tracks_in_comparisons_and_over_the_nights(
    visit: Open, site: Path, three_tracks: Path
) -> None:
    page = visit(site / "index.html").page
    board = looks(page.locator("#chosen button"))
    assert len(board) == 6
    colours = {look.split("<")[0] for look in board.values()}
    assert len(colours) == 6, "no two lines that are shown at first share a colour"
    for name in ("AlphaEdit", "REVIVE on MEMIT", "R-ROME"):
        page.get_by_role("checkbox", name=f"Show {name} in the figures", exact=True).uncheck()
    page.locator("#chosen a", has_text="Compare 3 side by side").click()
    compared = looks(page.locator("#compare-scores .legend button"))
    assert compared.keys() >= {"MEMIT", "FT-L"}, compared
    assert all(look == board[name.partition(",")[0]] for name, look in compared.items())
    page.goto((site / "nights.html").as_uri())
    nights = looks(page.locator("#night-curve .legend button"))
    assert [nights[name] for name in ("MEMIT", "FT-L")] == [board[name] for name in ("MEMIT", "FT-L")]
    page.goto(track_page(three_tracks, "pocket-gpt2").as_uri())
    there = looks(page.locator("#chosen button"))
    assert there == {name: board[name] for name in ("AlphaEdit", "MEMIT-Seq")}


def test_two_columns_of_one_row_are_told_apart_by_dash_and_marker(visit: Open, site: Path) -> None:
    page = visit(site / "index.html").page
    page.locator("#board tbody tr", has_text="AlphaEdit").get_by_role("button", name="3 seeds").click()
    runs = page.locator("#board tbody tr.seed").evaluate_all("all => all.map(row => row.dataset.run)")
    two = visit(site / "compare.html", fragment=f"#runs={runs[0]},{runs[1]}").page
    expect(two.locator("#compare-table thead .swatch")).to_have_count(2)
    one, other = two.locator("#compare-table thead .swatch").evaluate_all(LOOK)
    assert one.split("<")[0] == other.split("<")[0] and one != other
