"""Recorded key statistics in ROME's form: read without unpickling, every problem named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.statistics.npz import read_npz
from palimpsest.tasks.statistics_texts import statistics_source


def archive(folder: Path, layer: int, *, size: int = 4, count: Any = 10, **other: Any) -> Path:
    path = folder / f"model.layers.{layer}.mlp.down_proj_float32_mom2_1000.npz"
    keys = np.random.default_rng(layer).normal(size=(10, size)).astype("float32")
    arrays = {"mom2.mom2": keys.T @ keys, "mom2.count": np.array(count), "mom2.constructor": np.array("SecondMoment")}
    np.savez(path, **(arrays | other))
    return path


def test_sums_become_averages_by_layer(tmp_path: Path) -> None:
    archive(tmp_path, 4)
    archive(tmp_path, 5)
    found = read_npz(tmp_path, 4)
    keys = np.random.default_rng(5).normal(size=(10, 4)).astype("float32")
    assert set(found.matrices) == {4, 5} and found.tokens == 10 and len(found.texts_hash) == 64
    torch.testing.assert_close(found[5], torch.from_numpy(keys.T @ keys).double() / 10)
    assert read_npz(tmp_path / "model.layers.4.mlp.down_proj_float32_mom2_1000.npz").texts_hash != found.texts_hash


def test_all_problems_are_told_together(tmp_path: Path) -> None:
    archive(tmp_path, 1, size=3)
    archive(tmp_path, 2, count=0)
    archive(tmp_path, 3, **{"mom2.mom2": np.full((4, 4), np.nan)})
    archive(tmp_path, 4, **{"mom2.mom2": np.array([{}], dtype=object)})
    np.savez(tmp_path / "model.layers.5.mlp.npz", other=np.zeros(1))
    np.savez(tmp_path / "nothing.npz", **{"mom2.mom2": np.zeros((4, 4))})
    (tmp_path / "model.layers.6.x.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(ConfigError) as caught:
        read_npz(tmp_path, 4)
    lines = str(caught.value).splitlines()
    assert len(lines) == 7
    for words in ("4 × 4, got 3 × 3", "at least 1", "not finite", "Object arrays cannot be loaded", "lacks mom2.mom2"):
        assert any(words in line for line in lines), words
    assert sum("tells no layer" in line for line in lines) == 1


def test_without_files_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.npz files"):
        read_npz(tmp_path)


def test_a_source_is_identified_by_its_content(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("One.\n\nTwo.\r\n\r\n")
    source, first = statistics_source(text)
    assert source == f"file:{text}"
    text.write_text("One.\n\n\n\nTwo.")
    assert statistics_source(text)[1] == first
    text.write_text("One.\n\nThree.")
    assert statistics_source(text)[1] != first
    archive(tmp_path, 4)
    assert statistics_source(tmp_path)[0] == f"npz:{tmp_path}"
    with pytest.raises(UsageError, match="no such file"):
        statistics_source(tmp_path / "none.txt")
