"""Citations: every built-in editor has its papers, as entries that BibTeX reads, once each."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from palimpsest.harness.plugins.entry_points import available_editors
from palimpsest.site.words import papers

ROOT = Path(__file__).resolve().parents[3]
BUILT_IN = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]


def fields_of(entry: str) -> dict[str, str]:
    """Fields of an entry; whole only if its braces close."""
    assert entry.count("{") == entry.count("}")
    return dict(re.findall(r"^  (\w+) += \{(.*)\},?$", entry, re.M))


def test_every_built_in_editor_has_a_paper() -> None:
    assert set(papers.PAPERS) == set(BUILT_IN["palimpsest.editors"])
    assert set(papers.PAPERS) <= {entry.name for entry in available_editors()}


@pytest.mark.parametrize("editor", papers.PAPERS)
def test_the_paper_is_the_one_that_the_editor_names(editor: str) -> None:
    text = (ROOT / "editors" / f"{editor.replace('-', '_')}.py").read_text(encoding="utf-8")
    named = re.findall(r"\d{4}\.\d{5}", text)
    cited = {paper.arxiv for paper in papers.PAPERS[editor]}
    assert cited & set(named)


@pytest.mark.parametrize("paper", papers.all_papers(), ids=lambda paper: paper.key)
def test_an_entry_has_title_authors_year_and_link(paper: papers.Paper) -> None:
    fields = fields_of(papers.bibtex(paper))
    assert fields["url"] == f"https://arxiv.org/abs/{paper.arxiv}"
    assert fields["year"] == str(paper.year) and paper.year >= 2000 + int(paper.arxiv[:2])
    assert all(", " in author or author == "others" for author in fields["author"].split(" and "))
    assert str(paper.year) in paper.key


def test_what_a_conference_has_taken_says_which_and_its_year() -> None:
    """All but FT's, which is a preprint to this day; authors as the proceedings have them."""
    by_key = {paper.key: paper for paper in papers.all_papers()}
    assert {key for key, paper in by_key.items() if not paper.venue} == {"zhu2020modifying"}
    assert all(paper.venue.endswith(str(paper.year)) for paper in by_key.values() if paper.venue)
    assert by_key["gupta2024rebuilding"].venue == "EMNLP 2024"


def test_a_bibliography_has_each_paper_once_and_our_own_with_version_year_and_url() -> None:
    text = papers.bibliography(papers.all_papers(), "0.1.0", "https://example.org/")
    keys = re.findall(r"^@\w+\{(\w+),$", text, re.M)
    assert keys[0] == papers.OWN and len(keys) == len(set(keys)) == 12
    own = fields_of(text.split("\n\n")[0])
    assert (own["version"], own["year"], own["url"]) == ("0.1.0", str(papers.YEAR), "https://example.org/")
    assert "url" not in fields_of(papers.own_bibtex("0.1.0"))


def test_the_citation_file_has_the_version_of_the_package() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
