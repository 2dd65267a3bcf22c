from dataclasses import replace
from typing import Any

import pytest

from palimpsest.results.records import Segment
from palimpsest.site.parts.install import install
from tests.labs.sample_source import HOSTILE, RUNS, MadeUp, segment

MINE = replace(segment(RUNS[0]), palimpsest_version="0.3.1", commit=None)


def spec(distribution: str, version: str) -> dict[str, Any]:
    return {"editor": {"name": "any", "distribution": distribution, "version": version}}


def test_the_line_has_the_exact_version_of_palimpsest_and_of_each_other_package() -> None:
    assert install(spec("palimpsest-bench", "0.3.1"), [MINE]) == ("pip install palimpsest-bench==0.3.1", ())
    found = install(spec("my-editors + palimpsest-bench + my-editors", "1.0 + 0.3.1 + 1.0"), [MINE])
    assert found.line == "pip install palimpsest-bench==0.3.1 my-editors==1.0"
    assert "look at it before" in found.notes[0]


def test_what_no_release_has_is_said() -> None:
    tree = replace(MINE, commit="0123456789abcdef", dirty=True)
    (note,) = install(spec("palimpsest-bench", "0.3.1"), [tree]).notes
    assert "commit 0123456789ab with uncommitted changes, which no release has" in note
    later = replace(MINE, palimpsest_version="0.4.0")
    assert "resumed with palimpsest-bench 0.4.0" in " ".join(install(spec("palimpsest-bench", ""), [MINE, later]).notes)


@pytest.mark.parametrize("segments", [[], [replace(MINE, palimpsest_version=None)]])
def test_without_a_version_there_is_no_line(segments: list[Segment]) -> None:
    assert install(spec("my-editors", "1.0"), segments).line == ""


@pytest.mark.parametrize(
    ("name", "version"),
    [(text, "1.0") for text in HOSTILE]
    + [("my-editors", text) for text in HOSTILE]
    + [("--index-url=https://elsewhere.example", "1.0"), ("a; rm -rf ~", "1"), ("ok", "1.0 $(id)"), ("ok", "1!2")]
    + [("git+https://elsewhere.example/x", "1.0"), ("x@https://elsewhere.example", "1"), ("", "")],
)
def test_foreign_names_never_get_into_a_line_to_paste(name: str, version: str) -> None:
    found = install(spec(name, version), [MINE])
    assert found.line == "pip install palimpsest-bench==0.3.1"
    assert found.notes == ("Its editor is no release that pip knows, and has to be installed by hand.",)


def test_a_hostile_version_of_our_own_makes_no_line() -> None:
    hostile = segment(MadeUp("hostile", 1, 1, hostile=True))
    assert install(spec("palimpsest-bench", "0.1.0"), [hostile]).line == ""
