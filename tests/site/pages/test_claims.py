"""The page of claims: there only with a run of theirs, and telling no verdict on a part of the seeds."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from palimpsest.harness.errors import StoreError
from palimpsest.results.analysis.claims import Measured
from palimpsest.results.store.claim_record import read_records, write_record
from palimpsest.site.build import build_from
from palimpsest.site.pages import claims as claims_page
from palimpsest.site.pages.plan_extras import Options
from tests.labs.sample_claims import claims, record, write_claims
from tests.labs.sample_source import HOSTILE, SampleSource, hostile_source


def build(tmp_path: Path, *, hostile: bool = False) -> Path:
    source = hostile_source() if hostile else SampleSource()
    folder = write_claims(tmp_path / "claims", source, hostile=hostile)
    build_from(source, tmp_path / "site", Options(claims=folder))
    return tmp_path / "site"


def rows_of(html: str) -> dict[str, str]:
    found = re.findall(r'<tr id="sample-([\w-]+)">(.*?)</tr>', html, re.S)
    return {name: " ".join(re.sub(r"<[^>]+>", " ", row).split()) for name, row in found}


def test_a_claim_shows_its_statement_source_rows_differences_mean_and_verdict(tmp_path: Path) -> None:
    html = (build(tmp_path) / "claims.html").read_text(encoding="utf-8")
    rows = rows_of(html)
    assert set(rows) == {"is-shown", "is-refuted", "is-open", "waits"}
    assert "✓ shown p" in rows["is-shown"] and "✕ refuted p" in rows["is-refuted"] and "○ open p" in rows["is-open"]
    assert "alphaedit is higher than ft-l" in rows["is-shown"] and "2601.11042" in rows["is-shown"]
    assert "AlphaEdit against FT-L" in rows["is-shown"] and "after 500 edits" in rows["is-shown"]
    assert "MEMIT-Seq against REVIVE on MEMIT (published: τ 0.1)" in rows["is-open"]
    assert len(re.findall(r"seed \d [+−]?\d", rows["is-open"])) == 3


def test_the_runs_of_each_seed_are_linked(tmp_path: Path) -> None:
    site = build(tmp_path)
    html = (site / "claims.html").read_text(encoding="utf-8")
    (row,) = re.findall(r'<tr id="sample-is-shown">(.*?)</tr>', html, re.S)
    links = re.findall(r'href="(run/[^"]+)"', row)
    assert len(links) == 6 and all((site / link).is_file() for link in links)


def test_what_was_not_run_has_no_verdict(tmp_path: Path) -> None:
    row = rows_of((build(tmp_path) / "claims.html").read_text(encoding="utf-8"))["waits"]
    assert "not run yet" in row and "p =" not in row and "deltaedit, not here" in row
    assert not re.search(r"shown|refuted|open", row)


def measured(source: SampleSource, status: str = "complete") -> dict[str, Measured]:
    """Every run of the sample's claims, with made-up numbers."""
    keys = [(one.metric, one.edits) for one in claims().claims]
    runs = record(source).run_ids
    values = {run: dict.fromkeys(keys, float(place)) for place, run in enumerate(runs)}
    return {run: Measured(status, {**found, ("quality", 500): 1.0}) for run, found in values.items()}


def test_published_numbers_stand_in_for_runs_that_are_not_here(tmp_path: Path) -> None:
    source, own = SampleSource(), write_claims(tmp_path / "claims", SampleSource())
    write_record(tmp_path / "published", record(source).with_numbers(measured(source)))
    for options in (Options(claims=own, published_claims=tmp_path / "published"),
                    Options(published_claims=tmp_path / "published")):  # fmt: skip
        html = (build_from(source, tmp_path / "site", options).path.parent / "claims.html").read_text(encoding="utf-8")
        assert "○ open" in rows_of(html)["waits"] and "deltaedit, not here" in rows_of(html)["waits"]
        assert "the numbers were published with the claims" in html
    here = rows_of((build(tmp_path) / "claims.html").read_text(encoding="utf-8"))
    assert here["is-shown"] == rows_of(html)["is-shown"], "numbers of runs that are here come from the store"


def test_published_numbers_about_other_runs_do_not_count_in_a_home_with_claims_of_its_own(tmp_path: Path) -> None:
    source, own = SampleSource(), write_claims(tmp_path / "claims", SampleSource())
    other = record(source).with_numbers(measured(source))
    moved = other.model_copy(update={"claims": other.claims.model_copy(update={"level": 0.1})})
    write_record(tmp_path / "published", moved)
    options = Options(claims=own, published_claims=tmp_path / "published")
    html = (build_from(source, tmp_path / "site", options).path.parent / "claims.html").read_text(encoding="utf-8")
    assert "not run yet" in rows_of(html)["waits"] and "published with the claims" not in html


def test_published_numbers_are_those_that_the_claims_are_about_and_come_back_as_they_were(tmp_path: Path) -> None:
    source = SampleSource()
    made = record(source).with_numbers(measured(source))
    write_record(tmp_path, made)
    (read,) = read_records(tmp_path)
    assert read == made and set(read.measured) == set(made.run_ids)
    keys = {(one.metric, one.edits) for one in claims().claims}
    assert all(set(one.values) == keys for one in read.measured.values())


@pytest.mark.parametrize("broken", ["partial", "nan"])
def test_numbers_that_are_none_or_of_runs_that_have_not_ended_are_not_published(broken: str) -> None:
    source = SampleSource()
    runs = measured(source, "partial" if broken == "partial" else "complete")
    if broken == "nan":
        runs = {run: replace(one, values=dict.fromkeys(one.values, float("nan"))) for run, one in runs.items()}
    with pytest.raises(ValidationError):
        record(source).with_numbers(runs)


def test_rows_of_two_batch_sizes_are_never_in_one_table(tmp_path: Path) -> None:
    html = (build(tmp_path) / "claims.html").read_text(encoding="utf-8")
    tables = re.findall(r"In batches of (\d+)</h3>.*?</table>", html, re.S)
    assert tables == ["50", "1"]
    assert 'id="sample-waits"' in html.split("In batches of 1<")[1]


def test_every_page_leads_to_the_claims_where_there_are_some_and_none_does_otherwise(tmp_path: Path) -> None:
    source = SampleSource()
    folder = write_claims(tmp_path / "claims", source)
    with_page, without, of_others = (tmp_path / name for name in ("with", "without", "others"))
    build_from(source, with_page, Options(claims=folder))
    build_from(source, without, Options(claims=tmp_path / "nothing"))
    strangers = record(source).model_copy(update={"runs": ()})
    runs = tuple(one.model_copy(update={"run": "feedfeedfeed"}) for one in record(source).runs)
    write_record(tmp_path / "other claims", strangers.model_copy(update={"runs": runs}))
    build_from(source, of_others, Options(claims=tmp_path / "other claims"))
    pages = list(with_page.rglob("*.html"))
    assert all('href="claims.html"' in p.read_text().replace("../", "") for p in pages) and len(pages) > 20
    for place in (without, of_others):
        assert not (place / "claims.html").exists()
        assert not [page for page in place.rglob("*.html") if "claims.html" in page.read_text(encoding="utf-8")]


def test_the_link_comes_and_goes_on_pages_that_were_there_before(tmp_path: Path) -> None:
    source = SampleSource()
    folder = write_claims(tmp_path / "claims", source)
    for options, there in ((Options(), False), (Options(claims=folder), True), (Options(), False)):
        build_from(source, tmp_path / "site", options)
        assert ("claims.html" in (tmp_path / "site" / "editors.html").read_text(encoding="utf-8")) == there


def test_the_page_is_made_again_when_a_number_of_its_runs_changes_and_only_then(tmp_path: Path) -> None:
    source = SampleSource()
    folder = write_claims(tmp_path / "claims", source)
    build_from(source, tmp_path / "site", Options(claims=folder))
    assert build_from(source, tmp_path / "site", Options(claims=folder)).made == 0
    changed = claims().model_copy(update={"description": "Other words"})
    write_record(folder, record(source).model_copy(update={"claims": changed}))
    assert build_from(source, tmp_path / "site", Options(claims=folder)).made == 1
    heads = source.heads()
    ask, page = source.claims, lambda *_, **__: None
    keys = [
        claims_page.claims_batch(page, "code", [record(source)], found, ask).jobs[0].fingerprint  # type: ignore[arg-type]
        for found in (heads, [heads[0]._replace(digest="other"), *heads[1:]])
    ]
    assert keys[0] != keys[1]


def test_hostile_words_of_a_set_stay_words(tmp_path: Path) -> None:
    html = (build(tmp_path, hostile=True) / "claims.html").read_text(encoding="utf-8")
    assert "<script>document" not in html and "<img" not in html and "&lt;script&gt;document" in html
    assert not set(HOSTILE[3]) & set("\u202e\u2066\u2069\u200f\u200b") & set(html)


def test_a_damaged_record_is_named_and_the_old_page_stays(tmp_path: Path) -> None:
    source = SampleSource()
    folder = write_claims(tmp_path / "claims", source)
    build_from(source, tmp_path / "site", Options(claims=folder))
    before = (tmp_path / "site" / "claims.html").read_bytes()
    (folder / "sample.json").write_text((folder / "sample.json").read_text()[:-20])
    with pytest.raises(StoreError, match=r"sample\.json: .*\n.*palimpsest claims writes it anew"):
        build_from(replace(source, digest="d1"), tmp_path / "site", Options(claims=folder))
    assert (tmp_path / "site" / "claims.html").read_bytes() == before


def test_a_record_about_rows_or_runs_that_it_does_not_have_is_damaged(tmp_path: Path) -> None:
    source = SampleSource()
    folder = write_claims(tmp_path / "claims", source)
    text = (folder / "sample.json").read_text()
    for old, new in (('"name": "ft-l"', '"name": "ft-x"'), ('"row": "one"', '"row": "two"')):
        assert old in text
        (folder / "sample.json").write_text(text.replace(old, new))
        with pytest.raises(StoreError, match=r"sample\.json"):
            build_from(source, tmp_path / "site", Options(claims=folder))
