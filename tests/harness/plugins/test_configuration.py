"""Discovery with handmade distributions: nothing is imported until it is used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from palimpsest.harness.errors import ConfigError, EditorError, UsageError
from palimpsest.harness.plugins import configuration, entry_points
from palimpsest.harness.plugins.entry_points import misnamed
from tests.cli.helpers import cli

MODULE = """
from palimpsest.harness.editor import Editor, EditorConfig, EditReport
class Mine(Editor):
    class Config(EditorConfig):
        name: str = "x"
        rate: float
        layers: tuple[int, ...] = (1, 2)
    def prepare(self, model): pass
    def edit(self, batch): return EditReport()
    def writes(self): return []
class Bare(Editor):
    def prepare(self, model): pass
    def edit(self, batch): return EditReport()
    def writes(self): return []
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lab_editors_module.py").write_text(MODULE)
    (tmp_path / "lab_broken_module.py").write_text("raise ImportError('no wheels here')")
    monkeypatch.delitem(sys.modules, "lab_editors_module", raising=False)

    def add(distribution: str, **editors: str) -> None:
        folder = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        lines = "".join(f"{name.replace('_', '-')} = {target}\n" for name, target in editors.items())
        (folder / "entry_points.txt").write_text(f"[palimpsest.editors]\n{lines}")

    return add


def test_built_in_editors_are_found_by_the_same_way() -> None:
    names = {entry.name: entry for entry in entry_points.available_editors()}
    assert {"memit", "memit-seq", "alphaedit", "ft-l"} <= set(names)
    assert names["memit"].distribution == "palimpsest-bench"


def test_listing_imports_nothing(install: Callable[..., None]) -> None:
    install("lab-one", mine="lab_editors_module:Mine")
    (entry,) = [entry for entry in entry_points.available_editors() if entry.distribution == "lab-one"]
    assert entry == entry_points.EditorEntry("mine", "lab-one", "1.2", "lab_editors_module:Mine")
    assert "lab_editors_module" not in sys.modules
    assert configuration.load_editor_class("mine").__name__ == "Mine"


def test_two_of_one_name(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    install("lab-one", mine="lab_editors_module:Mine")
    install("lab-two", mine="lab_broken_module:Mine")
    with pytest.raises(EditorError, match=r"comes from lab-one 1\.2 .* and lab-two 1\.2 .*Uninstall one"):
        configuration.load_editor_class("mine")
    monkeypatch.setenv("PALIMPSEST_PLUGINS", "Lab_One, palimpsest-bench")
    assert configuration.load_editor_class("mine").__name__ == "Mine"
    assert configuration.find_editor("memit").name == "memit"


def test_a_plugin_named_like_a_built_in_does_not_disable_it_and_is_told(install: Callable[..., None]) -> None:
    install("lab-one", memit="lab_editors_module:Mine")
    assert configuration.find_editor("memit").distribution == "palimpsest-bench"
    assert configuration.load_editor_class("memit").__module__ == "palimpsest.editors.memit"
    (told,) = misnamed()
    assert told.startswith("Editor 'memit' of lab-one 1.2 (lab_editors_module:Mine) is not used") and "rename" in told
    code, out, err = cli("list", "editors")
    assert code == 0 and told in err and "lab-one" in out


def test_broken_plugins_stop_nobody_else(install: Callable[..., None]) -> None:
    install(
        "lab-bad", broken="lab_broken_module:X", gone="lab_editors_module:Nothing", odd="lab_editors_module:EditReport"
    )
    install("lab-bare", bare="lab_editors_module:Bare", senseless="a b c")
    with pytest.raises(EditorError, match=r"'broken' of lab-bad 1\.2 cannot be imported .*ImportError: no wheels here"):
        configuration.load_editor_class("broken")
    for name, problem in [("gone", "cannot be imported"), ("odd", "not a subclass"), ("bare", "lacks a class Config")]:
        with pytest.raises(EditorError, match=problem):
            configuration.load_editor_class(name)
    with pytest.raises(EditorError, match="cannot be imported"):
        configuration.load_editor_class("senseless")
    assert configuration.load_editor_class("memit").__name__ == "Memit"


def test_unknown_name_lists_near_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UsageError, match=r"Editor 'alphedit' is not known. Did you mean 'alphaedit' or 'deltaedit'\? All: palimpsest"
    ):
        configuration.find_editor("alphedit")
    monkeypatch.setenv("PALIMPSEST_PLUGINS", "something-else")
    with pytest.raises(UsageError, match=r"\(PALIMPSEST_PLUGINS restricts them\)"):
        configuration.find_editor("memit")


def test_config_from_overrides_with_types(install: Callable[..., None]) -> None:
    install("lab-one", mine="lab_editors_module:Mine")
    config = configuration.resolve_config("mine", "no-such-model", {"rate": "0.5", "layers": "[3]", "name": "12"})
    assert config == {"name": "12", "rate": 0.5, "layers": [3]}
    assert configuration.build_editor("mine", config).config.model_dump(mode="json") == config


def test_all_config_problems_together(install: Callable[..., None]) -> None:
    install("lab-one", mine="lab_editors_module:Mine")
    with pytest.raises(ConfigError) as caught:
        configuration.resolve_config("mine", "m", {"layer": [1], "layers": "4"})
    text = str(caught.value)
    assert "mine.rate: is missing" in text
    assert "mine.layer: is not a field; did you mean layers" in text
    assert "mine.layers: expected a list, got 4" in text
    assert "There is no preset of mine for m" in text


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ('layer = "first"\n', 'presets/ft-l/m.toml, ft-l.layer: expected a whole number, got "first".'),
        ("layerz = 1\n", "presets/ft-l/m.toml, ft-l.layerz: is not a field"),
        ("layer = [", "presets/ft-l/m.toml: not valid TOML"),
        (b"\xff", "presets/ft-l/m.toml: not valid TOML"),
    ],
)
def test_a_wrong_preset_is_told_by_file_and_field(
    preset: str | bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ft-l").mkdir()
    (tmp_path / "ft-l" / "m.toml").write_bytes(preset if isinstance(preset, bytes) else preset.encode())
    monkeypatch.setattr("palimpsest.harness.plugins.presets.presets_folder", lambda module: tmp_path)
    with pytest.raises(ConfigError) as caught:
        configuration.resolve_config("ft-l", "m", {"steps": 2})
    assert said in str(caught.value)
    with pytest.raises(ConfigError, match="^ft-l.steps: expected a whole number"):
        configuration.resolve_config("ft-l", "pocket-gpt2", {"layer": 1, "steps": "x"})


def test_presets_of_a_hub_id_are_found_and_lead_out_of_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (tmp_path / "presets" / "ft-l", tmp_path / "presets"):
        place.mkdir(parents=True, exist_ok=True)
        (place / "somebody--theirs.toml").write_text("layer = 2\nnorm_constraint = 0.5\n")
    monkeypatch.setattr("palimpsest.harness.plugins.presets.presets_folder", lambda module: tmp_path / "presets")
    assert configuration.resolve_config("ft-l", "somebody/theirs", {})["layer"] == 2
    with pytest.raises(ConfigError, match="There is no preset of ft-l for ../somebody--theirs"):
        configuration.resolve_config("ft-l", "../somebody--theirs", {})


@pytest.mark.parametrize(("model", "typed"), [("smollm2-135m-hub", "smollm2-135m-hub"), ("a-file", "MODEL")])
def test_where_there_is_no_preset_the_commands_are_those_that_make_one(model: str, typed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration.resolve_config("ft-l", model, {})
    assert f"palimpsest locate {typed}, then palimpsest tune --all --model {typed}." in str(caught.value)
