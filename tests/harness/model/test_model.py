from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.loading import fingerprint, load_model
from tests.labs.tiny_models import ARCHITECTURES, tiny_model, tokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tiny_model("gpt2")
    model.model.save_pretrained(tmp_path / "m")
    model.tokenizer.save_pretrained(tmp_path / "m")
    return tmp_path / "m"


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_updates_are_added_and_pristine_tensors_kept(architecture: str) -> None:
    model = tiny_model(architecture)
    name = model.anatomy.weight_name(1)
    before = model.weight(1).clone()
    stored = model.read_weights([name])[name]
    delta = torch.randn(before.shape, dtype=torch.float64)
    model.add_update(1, delta)
    assert torch.equal(model.weight(1), before + delta.float())
    assert torch.equal(model.pristine(name), stored)
    assert model.edited_names() == (name,)
    model.write_weights({name: model.pristine(name)})
    assert torch.equal(model.weight(1), before)


def test_read_weights_are_copies() -> None:
    model = tiny_model("llama")
    name = model.anatomy.weight_name(0)
    copy = model.read_weights([name])[name]
    copy.zero_()
    assert float(model.weight(0).abs().sum()) > 0


def test_masters_collect_updates_that_bfloat16_cannot_show() -> None:
    model = tiny_model("llama", dtype=torch.bfloat16)
    name = model.anatomy.weight_name(0)
    before = model.weight(0).clone()
    small = before.abs().mean() * 1e-3
    for _ in range(20):
        model.add_update(0, torch.full_like(before, float(small)))
    torch.testing.assert_close(model.weight(0), before + 20 * small)
    assert torch.equal(model.model.get_parameter(name), model.read_weights([name])[name].bfloat16())


def test_wrong_weights_are_refused_and_nothing_is_written() -> None:
    model = tiny_model("llama")
    name = model.anatomy.weight_name(0)
    before = model.weight(0).clone()
    with pytest.raises(UsageError, match="no parameter 'nothing'"):
        model.write_weights({name: torch.zeros_like(before), "nothing": torch.zeros(1)})
    with pytest.raises(UsageError, match="has shape"):
        model.write_weights({name: torch.zeros(2, 2)})
    assert torch.equal(model.weight(0), before) and not model.edited_names()


def test_left_padding_is_refused() -> None:
    model = tiny_model("llama")
    words = tokenizer()
    words.padding_side = "left"
    try:
        with pytest.raises(UsageError, match="pads on the left"):
            EditableModel(model.model, words, name="x", fingerprint="0" * 64)
    finally:
        words.padding_side = "right"


def test_a_saved_model_loads_with_the_same_fingerprint(folder: Path) -> None:
    first, second = load_model(str(folder), name="a"), load_model(str(folder), name="b")
    assert first.fingerprint == second.fingerprint
    assert first.tokenizer.pad_token_id is not None and first.tokenizer.padding_side == "right"
    assert torch.equal(first.weight(0), tiny_model("gpt2").weight(0))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_loads_from_a_folder(architecture: str, dtype: str, tmp_path: Path) -> None:
    first = tiny_model(architecture)
    first.model.save_pretrained(tmp_path)
    first.tokenizer.save_pretrained(tmp_path)
    loaded, expected = load_model(str(tmp_path), name="x", dtype=dtype), tiny_model(architecture, dtype=DTYPES[dtype])
    assert loaded.anatomy == expected.anatomy
    ids = torch.tensor([tokenizer()("Anna Sorel lives in Oslo")["input_ids"]])
    with torch.no_grad():
        assert torch.equal(loaded.model(ids).logits, expected.model(ids).logits)


def test_the_fingerprint_sees_weights_but_not_use() -> None:
    model = tiny_model("llama")
    first = fingerprint(model.model, model.tokenizer)
    model.tokenizer(["a", "b c"], padding=True, truncation=True, max_length=4)
    assert fingerprint(model.model, model.tokenizer) == first
    model.add_update(0, torch.full_like(model.weight(0), 1e-3))
    assert fingerprint(model.model, model.tokenizer) != first
    assert fingerprint(model.model, tokenizer(bos=False)) != first


def test_bad_folders_are_missing_resources(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(MissingResource, match=r"no config\.json"):
        load_model(str(empty), name="x")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(MissingResource, match="Model x cannot be loaded"):
        load_model(str(folder), name="x")
    weights.unlink()
    with pytest.raises(MissingResource, match="Model x cannot be loaded"):
        load_model(str(folder), name="x")
    with pytest.raises(UsageError, match="dtype"):
        load_model(str(folder), name="x", dtype="float31")


def test_a_fingerprint_takes_no_time_to_speak_of() -> None:
    model = torch.nn.Linear(2000, 2500, bias=False)
    tiny = tiny_model("llama")
    model.config = tiny.model.config
    begin = time.process_time()
    fingerprint(model, tiny.tokenizer)
    assert time.process_time() - begin < 2.0
