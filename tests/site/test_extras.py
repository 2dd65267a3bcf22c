"""What only some tracks measure is on the page where it was measured, and nowhere else."""

from __future__ import annotations

import csv
import html as html_text
import re
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from palimpsest.harness.metrics.definitions import metric
from palimpsest.results.store.bulk import Series
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest
from palimpsest.results.store.outcomes import COLUMNS
from palimpsest.site.build import build_from
from palimpsest.site.parts.payload import combined_curves
from palimpsest.site.source import StoreSource
from tests.labs.synthetic import SyntheticRun, write_run

SMALL = SyntheticRun(checkpoints=(0, 10, 40), batch_size=10, neighborhood=2, half=30)
WITH = replace(SMALL, texts=6, top=True)
MORE = replace(WITH, published=True, further=True)
BROKEN = replace(SMALL, seed=2, half=2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The built site, the track with texts and the one without."""
    home = tmp_path_factory.mktemp("home")
    for run in (WITH, replace(WITH, seed=1), SMALL, MORE, BROKEN):
        write_run(home / "runs", run)
    with Store.open(home / "store.duckdb") as store:
        assert ingest(store, home / "runs").problems == []
        build_from(StoreSource(store), home / "site")
    return home / "site", WITH.spec().track_id, SMALL.spec().track_id


def test_the_table_has_columns_for_it_on_that_track_alone(site: tuple[Path, str, str]) -> None:
    folder, measured, plain = site
    heads = {}
    for track in (measured, plain):
        html = (folder / "track" / f"{track}.html").read_text(encoding="utf-8")
        heads[track] = re.findall(r'<th [^>]*data-column="(\w+)"', html)
        assert ("texts of 6 edits" in html) == (track == measured)
    assert [name for name in heads[measured] if name not in heads[plain]] == [
        "neighborhood_top",
        "fluency",
        "consistency_own",
    ]
    with (folder / "data" / "track" / measured / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(100 < float(row["fluency_low"]) <= float(row["fluency"]) <= float(row["fluency_high"]) for row in rows)
    assert all(100 < float(row["fluency"]) < 1000 and 0 < float(row["neighborhood_top"]) < 100 for row in rows)
    assert "fluency" not in (folder / "data" / "track" / plain / "table.csv").read_text(encoding="utf-8")


def test_columns_in_published_forms_and_of_further_questions_say_what_they_are(site: tuple[Path, str, str]) -> None:
    folder, measured, plain = site
    html, other = ((folder / "track" / f"{one}.html").read_text("utf-8") for one in (MORE.spec().track_id, plain))
    head = r'<th [^>]*data-column="(\w+)" data-first="\w+" title="([^"]+)">([^<]+)<'
    usual = {name for name, _, _ in re.findall(head, other)}
    extras = [found for found in re.findall(head, html) if found[0] not in usual]
    assert [name for name, _, _ in extras] == [
        *("neighborhood_top", "neighborhood_top_deltaedit", "locality_easyedit"),
        *("distracting_argmax", "multi_hop_argmax", "portability_argmax"),
        *("fluency", "fluency_special_tokens", "consistency_own"),
    ]
    titles = {name: (title, html_text.unescape(help)) for name, help, title in extras}
    for name, word in (("neighborhood_top_deltaedit", "DeltaEdit"), ("locality_easyedit", "EasyEdit")):
        assert word in titles[name][0] and titles[name][1] == metric(name).definition
    assert "published form" in titles["fluency_special_tokens"][0]
    scripts = "".join(path.read_text("utf-8") for path in (folder / "static").glob("board*.js"))
    assert len(scripts) > 1000 and not any(name in scripts for name in titles), "the heads are those of the page alone"


@pytest.mark.parametrize(("run", "collapses"), [(SMALL, False), (BROKEN, True)])
def test_the_collapse_point_stands_on_the_page_of_a_run(
    run: SyntheticRun, collapses: bool, site: tuple[Path, str, str]
) -> None:
    folder, _, _ = site
    html = (folder / "run" / f"{run.spec().id}.html").read_text(encoding="utf-8")
    (found,) = re.findall(r'<span id="collapse-point">([^<]+)</span>', html)
    with (folder / "data" / "run" / run.spec().id / "figures.csv").open(encoding="utf-8", newline="") as file:
        efficacy = {
            int(row["edits"]): float(row["value"])
            for row in csv.DictReader(file)
            if row["metric"] == "efficacy_preference" and row["window"] == "all"
        }
    under = [edits for edits in sorted(efficacy) if efficacy[edits] < 60]
    assert bool(under) == collapses
    assert html_text.unescape(found) == (str(under[0]) if under else f">\u202f{max(efficacy)}")


def test_a_run_has_a_table_of_it_from_before_the_first_edit_on(site: tuple[Path, str, str]) -> None:
    folder, _, _ = site
    html = (folder / "run" / f"{WITH.spec().id}.html").read_text(encoding="utf-8")
    (section,) = re.findall(r'<section aria-labelledby="extras-title">.*?</section>', html, re.S)
    assert "pristine" in section and "Fluency" in section and "Neighborhood as before" in section
    assert "--generation 6" in html and "--top" in html
    assert "extras-title" not in (folder / "run" / f"{SMALL.spec().id}.html").read_text(encoding="utf-8")


def test_the_mean_over_seeds_is_not_cut_at_a_hundred_where_it_is_no_percentage() -> None:
    def one(metric: str, value: float) -> Series:
        return Series(metric, "all", [40], [value], [value - 2], [value + 2], [])

    runs = [[one("fluency", 600.0), one("score_argmax", 99.0)], [one("fluency", 610.0), one("score_argmax", 100.0)]]
    found = combined_curves(runs, percent=True)
    assert found["fluency|all"][1] == [605] and found["fluency|all"][3][0] > 605
    assert found["score_argmax|all"][3][0] == 100


def test_the_page_of_data_and_those_of_editors_show_bibtex_of_every_paper(site: tuple[Path, str, str]) -> None:
    folder, _, _ = site
    data = (folder / "downloads.html").read_text(encoding="utf-8")
    assert "@software{palimpsest," in data and "downloads/palimpsest.bib" in data
    bibliography = (folder / "downloads" / "palimpsest.bib").read_text(encoding="utf-8")
    (page,) = (folder / "editor").glob("*.html")
    (entry,) = re.findall(r'<pre id="bibtex-1".*?>(@misc.*?)</pre>', page.read_text(encoding="utf-8"), re.S)
    assert entry in bibliography


def test_every_outcome_of_a_run_is_one_file_that_the_lines_beside_it_read(
    site: tuple[Path, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, _ = site
    run = WITH.spec().id
    page = (folder / "run" / f"{run}.html").read_text(encoding="utf-8")
    shutil.copy(folder / "data" / "run" / run / "cases.parquet", tmp_path / f"cases-{run}.parquet")
    monkeypatch.chdir(tmp_path)
    code, sql = (
        html_text.unescape(re.findall(rf'<pre id="{name}".*?>(.*?)</pre>', page, re.S)[0])
        for name in ("with-pandas", "with-duckdb")
    )
    assert code.count("\n") == sql.count("\n") == 2
    held = dict(duckdb.sql(sql).fetchall())
    exec(compile(code, "page", "exec"), {})
    printed = dict(re.findall(r"^(\d+) +([\d.]+)$", capsys.readouterr().out, re.M))
    assert {int(edits): float(value) for edits, value in printed.items()} == pytest.approx(held, abs=1e-5)
    assert set(held) == {10, 40}
    with (folder / "data" / "run" / run / "figures.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "efficacy_argmax" and row["window"] == "all"]
    assert {int(row["edits"]): float(row["value"]) for row in rows} == pytest.approx(
        {edits: 100 * share for edits, share in held.items()}, abs=0.01
    )


def test_every_column_of_the_outcomes_is_in_the_data_dictionary(site: tuple[Path, str, str]) -> None:
    folder, _, _ = site
    data = (folder / "downloads.html").read_text(encoding="utf-8")
    names = pq.read_schema(folder / "data" / "run" / WITH.spec().id / "cases.parquet").names
    assert names == list(COLUMNS) and all(meaning for meaning in COLUMNS.values())
    line = pq.read_table(folder / "data" / "run" / WITH.spec().id / "cases.parquet").to_pylist()[0]
    spec = WITH.spec()
    assert (line["edits_planned"], line["batch_size"]) == (spec.schedule.edits, spec.schedule.batch_size)
    assert (line["track_id"], line["edit_order"], line["verified"]) == (spec.track_id, spec.schedule.order, "")
    assert line["protocol"] == spec.protocol and line["date"].startswith("20")
    section = data[data.index('id="table-outcomes"') :]
    assert all(f"<code>{name}</code>" in section for name in names)
