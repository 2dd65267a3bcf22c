import json
import re
from pathlib import Path

import pytest

from palimpsest.harness.errors import StoreError
from palimpsest.results.nights import Night, moves, read_nights
from palimpsest.site.build import build_from
from palimpsest.site.pages import nights as nights_page
from palimpsest.site.pages.plan_extras import Options
from tests.labs.sample_nights import DAYS, night, write_nights
from tests.labs.sample_source import SampleSource, hostile_source


@pytest.fixture
def nights() -> list[Night]:
    return [night(place) for place in range(4)]


def data(path: Path) -> object:
    text = path.read_text(encoding="utf-8")
    return json.loads(re.sub(r'^palimpsest\.put\("[^"]*",', "", text).removesuffix(");\n"))


def test_the_last_night_is_told_against_the_one_before(nights: list[Night]) -> None:
    view = nights_page.nights_view(nights)
    assert view.last is not None and (view.last.day, view.before) == ("2026-03-13", "2026-03-12")
    told = {(row.editor, row.seed, row.metric, row.direction, row.after) for row in view.moves}
    assert told == {
        ("MEMIT", 0, "Score (argmax)", "down", "50.9"),
        ("MEMIT", 1, "Score (argmax)", "down", "51.9"),
        ("FT-L", 0, "Efficacy (argmax)", "", "–"),
    }
    assert view.moves[0].interval and [row.moved for row in view.nights] == [3, 0, 0, 0]


def test_costs_are_kept_but_never_move() -> None:
    before = night(0)
    numbers = tuple(n.model_copy(update={"value": 99.0}) if "seconds" in n.metric else n for n in before.numbers)
    assert moves(before, before.model_copy(update={"day": "2026-03-10", "numbers": numbers})) == []


def test_numbers_that_are_new_are_counted_and_do_not_move(nights: list[Night]) -> None:
    view = nights_page.nights_view([nights[3], nights[2].model_copy(update={"day": "2026-03-14"})])
    assert view.added == 1 and all(row.metric != "Efficacy (argmax)" for row in view.moves)


def test_one_night_and_none_have_a_page_too(nights: list[Night], tmp_path: Path) -> None:
    assert nights_page.nights_view([]).last is None
    alone = nights_page.nights_view(nights[:1])
    assert alone.last is not None and alone.before == "" and alone.moves == ()
    site = build_from(SampleSource(), tmp_path / "site").path.parent
    assert "No nights yet" in (site / "nights.html").read_text(encoding="utf-8")


def test_every_number_is_there_over_all_nights(tmp_path: Path) -> None:
    folder = write_nights(tmp_path / "nights")
    site = build_from(SampleSource(), tmp_path / "site", Options(nights=folder)).path.parent
    index = data(site / "data/nights/index.js")
    assert isinstance(index, dict) and [day for _, day in index["days"]] == list(DAYS)
    assert index["days"][2][0] - index["days"][1][0] == 2
    (track,) = index["tracks"]
    names = {title: (name, percent) for name, title, percent in track["metrics"]}
    assert (
        track["metrics"][0][1] == "Effective edits" and names["Score (argmax)"][1] and not names["Effective edits"][1]
    )
    lines = data(site / f"data/nights/{track['file']}/{names['Score (argmax)'][0]}.js")
    assert isinstance(lines, dict) and set(lines) == {"memit", "ft-l", "my-editor"}
    assert lines["memit"]["value"] == pytest.approx([61.5, 61.8, 62.1, 51.4])
    assert lines["memit"]["points"][1][0] == 62.0 and lines["memit"]["low"][0] < 58.5
    gone = data(site / f"data/nights/{track['file']}/{names['Efficacy (argmax)'][0]}.js")
    assert isinstance(gone, dict) and gone["ft-l"]["value"] == [70.0, 70.0, 70.0, None]
    lines_of_csv = (site / "data/nights/numbers.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines_of_csv) == 1 + sum(len(one.numbers) for one in read_nights(folder))


def test_nights_are_made_again_only_when_one_changed(tmp_path: Path) -> None:
    folder = write_nights(tmp_path / "nights")
    build_from(SampleSource(), tmp_path / "site", Options(nights=folder))
    assert build_from(SampleSource(), tmp_path / "site", Options(nights=folder)).made == 0
    (folder / DAYS[3] / "night.json").unlink()
    assert build_from(SampleSource(), tmp_path / "site", Options(nights=folder)).made == 1


def test_a_damaged_night_is_named_and_leaves_the_old_page(tmp_path: Path) -> None:
    folder = write_nights(tmp_path / "nights")
    site = build_from(SampleSource(), tmp_path / "site", Options(nights=folder)).path.parent
    before = (site / "nights.html").read_bytes()
    (folder / DAYS[1] / "night.json").write_text("{")
    with pytest.raises(StoreError, match=f"{DAYS[1]}/night.json"):
        build_from(SampleSource(), tmp_path / "site", Options(nights=folder))
    assert (site / "nights.html").read_bytes() == before


def test_hostile_names_are_text(tmp_path: Path) -> None:
    folder = write_nights(tmp_path / "nights", hostile=True)
    site = build_from(hostile_source(), tmp_path / "site", Options(nights=folder)).path.parent
    html = (site / "nights.html").read_text(encoding="utf-8")
    assert "<script>document" not in html and "<img" not in html
    for path in (site / "data/nights").rglob("*.js"):
        assert not set("<>&\u202e\x00") & set(path.read_text(encoding="utf-8"))


def test_the_last_night_is_compared_with_each_one_before_it(nights: list[Night]) -> None:
    files = {file.path: file.data for file in nights_page.since_files(nights)}
    assert list(files) == [f"data/nights/since-{day}.js" for day in DAYS[:-1]]
    view = nights_page.nights_view(nights)
    last = json.loads(files["data/nights/since-2026-03-12.js"].decode().partition(",")[2].removesuffix(");\n"))
    assert last["total"] == view.total_moves and last["rows"] == [list(row.cells) for row in view.moves]
    assert list(nights_page.since_files(nights[:1])) == [] == list(nights_page.since_files([]))


def test_what_moved_slowly_is_seen_against_an_older_night() -> None:
    def risen(by: float) -> Night:
        known = [one for one in night(0).numbers if one.low is not None and one.high is not None]
        moved = [
            one.model_copy(update={name: getattr(one, name) + by for name in ("value", "low", "high")}) for one in known
        ]
        return night(0).model_copy(update={"day": DAYS[int(by) // 2], "numbers": tuple(moved)})

    drift = [risen(by) for by in (0.0, 2.0, 4.0)]
    assert nights_page.nights_view(drift).total_moves == 0, "two points lie inside an interval of three"
    first, second = (file.data.decode() for file in nights_page.since_files(drift))
    assert '"total":0' in second and '"total":0' not in first
