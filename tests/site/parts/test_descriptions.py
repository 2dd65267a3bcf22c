"""An editor's page shows what its source says, for every installed package and however it is installed; unimported."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from palimpsest.site.build import build_from
from palimpsest.site.parts.descriptions import Block, describe
from tests.labs.sample_source import MadeUp, SampleSource

EDITOR = '''"""Mine: a step along the key (arXiv 2501.01234).

It does this:

    W += R K
"""

from palimpsest.editors.memit import Memit
from .shared import Common

raise SystemExit("this module must not be imported")


class Mine(Memit):
    """Mine."""

    class Config(Common, Memit.Config):
        """Settings."""

        own: float = 1.0
        """ρ: its
        own."""
        second_moment_weight: float = 2.0
        """Another λ."""


class Other(Memit):
    """Another one, in the same file.

        W += 1

    No more.
    """
'''
SHARED = '''
class Common:
    common: int = 3
    """Shared by both."""
    undocumented: int = 4
    known: ClassVar[int] = 5
    """No setting: it belongs to the class."""
'''
Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution called ``somebodys`` whose package lies where an installer may put it."""

    def made(how: str, points: str) -> None:
        site = tmp_path / "site-packages"
        place = site if how == "wheel" else tmp_path / "checkout" / "src"
        for name, text in {"__init__": "raise SystemExit('nor this')", "editor": EDITOR, "shared": SHARED}.items():
            path = place / "somebodys_package" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        metadata = site / "somebodys-1.2.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys\nVersion: 1.2\n", encoding="utf-8")
        (metadata / "entry_points.txt").write_text(f"[palimpsest.editors]\n{points}\n", encoding="utf-8")
        monkeypatch.syspath_prepend(str(site))
        if how == "editable, by path":
            monkeypatch.syspath_prepend(str(place))
        if how == "editable, by finder":

            class Finder:
                @staticmethod
                def find_spec(name: str, path: object = None, target: object = None) -> object:
                    known = name == "somebodys_package"
                    return importlib.machinery.PathFinder.find_spec(name, [str(place)]) if known else None

            monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])

    return made


@pytest.mark.parametrize("how", ["wheel", "editable, by path", "editable, by finder"])
def test_a_package_that_is_installed_is_not_called_missing(how: str, install: Install) -> None:
    install(how, "mine = somebodys_package.editor:Mine")
    found = describe("mine", "somebodys")
    assert found.installed and found.headline == "Mine: a step along the key (arXiv 2501.01234)."
    assert found.blocks == (Block("It does this:", False), Block("W += R K", True))
    assert found.paper == "2501.01234"
    assert not [name for name in sys.modules if name.startswith("somebodys_package")]


def test_settings_that_an_editor_inherits_are_described_too(install: Install) -> None:
    install("wheel", "mine = somebodys_package.editor:Mine")
    settings = dict(describe("mine", "somebodys").settings)
    assert list(settings)[:3] == ["own", "second_moment_weight", "common"]
    assert settings["own"] == "ρ: its own." and settings["second_moment_weight"] == "Another λ."
    assert settings["common"] == "Shared by both." and settings["layers"].startswith("Blocks whose down-projection")
    assert not {"undocumented", "known"} & set(settings)


def test_two_editors_of_one_file_are_described_by_their_classes(install: Install) -> None:
    install("wheel", "mine = somebodys_package.editor:Mine\nother = somebodys_package.editor:Other")
    found = describe("other", "somebodys")
    assert (found.headline, found.blocks) == (
        "Another one, in the same file.",
        (Block("W += 1", True), Block("No more.", False)),
    )
    assert "second_moment_weight" in dict(found.settings)


def test_both_parts_of_a_composition_of_two_packages_are_found(install: Install) -> None:
    install("wheel", "mine = somebodys_package.editor:Mine")
    filter_, host = (describe(name, "palimpsest-bench + somebodys") for name in ("revive", "mine"))
    assert filter_.installed and filter_.headline.startswith("REVIVE:") and filter_.paper == "2601.11042"
    assert host.installed and host.headline.startswith("Mine:")


def test_an_editor_of_another_package_than_the_installed_one_is_not_described(install: Install) -> None:
    install("wheel", "mine = somebodys_package.editor:Mine")
    found = describe("mine", "somebody-elses")
    assert not found.installed and not found.headline and not found.settings


def test_a_name_that_a_distribution_spells_another_way_is_the_same(install: Install) -> None:
    install("wheel", "mine = somebodys_package.editor:Mine")
    assert describe("mine", "Somebodys").installed


@pytest.mark.parametrize("text", ["def f(:", "x = 1\0", "(" * 5000, "'\ud800'"])
def test_a_source_that_cannot_be_read_leaves_the_page_without_words(
    text: str, install: Install, tmp_path: Path
) -> None:
    install("wheel", "mine = somebodys_package.editor:Mine")
    path = tmp_path / "site-packages" / "somebodys_package" / "editor.py"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    found = describe("mine", "somebodys")
    assert found.installed and not found.headline and not found.settings


@pytest.mark.parametrize("name", sorted(p.name for p in entry_points(group="palimpsest.editors")))
def test_every_built_in_editor_is_described_with_all_its_settings(name: str) -> None:
    from palimpsest.harness.plugins.configuration import load_editor_class

    found = describe(name, "palimpsest-bench")
    fields = load_editor_class(name).Config.model_fields
    assert found.headline and found.paper and any(block.equation for block in found.blocks)
    assert dict(found.settings) == {field: " ".join((info.description or "").split()) for field, info in fields.items()}


def test_a_page_made_before_its_package_was_installed_is_made_again(install: Install, tmp_path: Path) -> None:
    made = (MadeUp("revive(mine)", 900, 900, distribution="palimpsest-bench + somebodys"),)
    build_from(SampleSource(made), tmp_path / "site")
    (page,) = [path for path in (tmp_path / "site" / "editor").glob("*.html") if "mine" in path.name]
    before = page.read_text(encoding="utf-8")
    assert before.count("is not installed where this page was built") == 1 and "REVIVE:" in before
    install("editable, by path", "mine = somebodys_package.editor:Mine")
    build_from(SampleSource(made), tmp_path / "site")
    after = page.read_text(encoding="utf-8")
    assert "not installed" not in after and "Mine: a step along the key" in after and "W += R K" in after
    assert "Mine: a step" not in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
