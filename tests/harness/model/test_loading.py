"""What is refused or mended while a model is loaded: no weight is ever made up, no padding token breaks a pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from palimpsest.harness.errors import MissingResource
from palimpsest.harness.model.catalogue import fingerprint, resolve
from palimpsest.harness.model.loading import load_model
from palimpsest.harness.scoring.generation import greedy
from palimpsest.harness.scoring.packing import score_targets
from palimpsest.tasks.ability_library import AbilityLibrary
from palimpsest.tasks.records import scan
from palimpsest.tasks.statistics_texts import statistics_source
from tests.labs.tiny_models import tiny_model

Weights = dict[str, Tensor]


def saved(folder: Path, change: Callable[[Weights], Weights], architecture: str = "llama", **changes: object) -> Path:
    """A saved tiny model whose stored weights were changed."""
    model = tiny_model(architecture, **changes)
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})
    return folder


def without(part: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: value for name, value in weights.items() if part not in name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("lm_head"), r"1 parameter \(lm_head.weight\) is not in the files"),
        (without("layers.2.mlp.down_proj"), r"1 parameter \(model.layers.2.mlp.down_proj.weight\) is not in the files"),
        (without("mlp"), r"12 parameters \(.*, …\) are not in the files"),
        (lambda weights: {f"_orig_mod.{n}": v for n, v in weights.items()}, r"'_orig_mod': save the model again"),
        (
            lambda weights: weights | {"model.extra.weight": torch.zeros(2)},
            r"model.extra.weight\) is in the files",
        ),
    ],
)
def test_weights_that_were_never_loaded_refuse_the_model(
    change: Callable[[Weights], Weights], message: str, tmp_path: Path
) -> None:
    with pytest.raises(MissingResource, match=message):
        load_model(str(saved(tmp_path, change)), name="x")


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_tied_head_need_not_be_in_the_files(architecture: str, tmp_path: Path) -> None:
    folder = saved(tmp_path, without("lm_head"), architecture, tie_word_embeddings=True)
    assert load_model(str(folder), name="x").anatomy.tied_head


def test_a_padding_token_outside_the_embedding_breaks_no_pass(tmp_path: Path) -> None:
    folder = saved(tmp_path, lambda weights: weights)
    plain = load_model(str(folder), name="x")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": config["vocab_size"]}))
    plain.tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    plain.tokenizer.save_pretrained(folder)
    model = load_model(str(folder), name="x")
    assert model.tokenizer.pad_token_id >= model.model.get_input_embeddings().weight.shape[0]
    rows = [[0, 70, 80, 90], [0, 45]]
    ids, mask = model.padded(rows)
    assert int(ids.max()) < 340 and mask.sum(1).tolist() == [4, 2]
    assert greedy(model, rows, 3) == greedy(plain, rows, 3)
    pairs = [(rows[0], [33]), (rows[1], [33, 5])]
    assert score_targets(model, pairs).log_prob.tolist() == score_targets(plain, pairs).log_prob.tolist()


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123\n"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_files_that_git_lfs_has_not_fetched_are_named_as_such(name: str, tmp_path: Path) -> None:
    folder = saved(tmp_path, lambda weights: weights)
    (folder / name).write_text(POINTER)
    with pytest.raises(MissingResource, match=rf"{name} is a Git LFS pointer, .* git lfs pull"):
        fingerprint(resolve(str(folder)))


@pytest.mark.parametrize("name", ["counterfact.json", "edits.jsonl", "edits.parquet"])
def test_data_that_git_lfs_has_not_fetched_are_named_as_such(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(POINTER)
    with pytest.raises(MissingResource, match=rf"{name} is a Git LFS pointer"):
        scan(tmp_path / name)


def test_texts_statistics_and_ability_items_that_git_lfs_has_not_fetched_are_named_as_such(tmp_path: Path) -> None:
    for name in ("text.txt", "moments.npz", "sst2.jsonl"):
        (tmp_path / name).write_text(POINTER)
    told = r"is a Git LFS pointer, .* git lfs pull"
    for name in ("text.txt", "moments.npz"):
        with pytest.raises(MissingResource, match=rf"{name} {told}"):
            statistics_source(tmp_path / name)
    with pytest.raises(MissingResource, match=rf"sst2\.jsonl {told}"):
        AbilityLibrary([tmp_path]).refs(["papers_sst2"], None)
