"""Blocks that follow from tracing and reach, and the file in which a tuning finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.cli.locating import proposal
from palimpsest.cli.locating.reach import Reach, spread
from palimpsest.cli.locating.tracing import KINDS, Trace
from palimpsest.harness.errors import ConfigError, MissingResource
from palimpsest.harness.specs.run_spec import ModelRef


def traced(peak: int, blocks: int) -> Trace:
    effects = tuple(0.2 - 0.01 * abs(block - peak) for block in range(blocks))
    return Trace(1, 1, 1, 0.9, 0.1, dict.fromkeys(KINDS, effects))


def reached(*blocks: tuple[int, int]) -> list[Reach]:
    return [Reach(block, 10, count, 5.0, 0.5) for block, count in blocks]


def test_the_peak_is_taken_and_the_run_of_blocks_around_it() -> None:
    found = proposal.propose(traced(6, 32), reached((0, 10), (8, 10), (16, 10)), 32)
    assert (found.layer, found.layers) == (6, (4, 5, 6, 7, 8))
    assert found.layer in found.layer_choices and found.layers in found.layers_choices
    assert all(len(one) == 5 for one in found.layers_choices) and len(found.layers_choices) == 7


def test_no_block_is_proposed_above_those_that_reach() -> None:
    found = proposal.propose(traced(20, 32), reached((0, 10), (8, 9), (16, 8)), 32)
    assert found.layer == 8 and found.layers[-1] == 8


def test_in_a_small_model_one_block_is_written() -> None:
    found = proposal.propose(traced(1, 8), reached((0, 10), (2, 10), (5, 10)), 8)
    assert (found.layer, found.layers) == (1, (1,))
    assert found.layer_choices == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 12, 30, 80])
@pytest.mark.parametrize("peak", [0, 1, 4, 29, 79])
def test_all_blocks_are_there_and_a_proposal_is_among_its_choices(blocks: int, peak: int) -> None:
    peak = min(peak, blocks - 1)
    tried = spread(blocks, 8)
    assert tried == sorted(set(tried)) and tried[0] == 0 and tried[-1] < blocks
    found = proposal.propose(traced(peak, blocks), reached(*((block, 10) for block in tried)), blocks)
    assert found.layer in found.layer_choices and found.layers in found.layers_choices
    named = {*found.layer_choices, *(block for one in found.layers_choices for block in one)}
    assert min(named) >= 0 and max(named) < blocks


def test_a_proposal_comes_back_from_its_file(tmp_path: Path) -> None:
    found = proposal.propose(traced(6, 30), reached((0, 10), (20, 10)), 30)
    path = proposal.place(tmp_path, "abcdef012345" + "0" * 52)
    proposal.keep(path, "a model\nlayer = 99", "palimpsest locate x\nlayer = 98", found)
    assert proposal.kept(path) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "layer = 1",
        "not toml",
        'layer = "x"\nlayers = []\nlayer_choices = []\nlayers_choices = []',
        "layer = 9\nlayers = [1]\nlayer_choices = [1]\nlayers_choices = [[1]]",
    ],
)
def test_a_file_that_is_no_proposal_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="x.toml"):
        proposal.kept(path)


def test_a_model_that_was_not_located_is_sent_to_it_and_pocket_models_need_not(tmp_path: Path) -> None:
    mine = ModelRef(name="mine", fingerprint="f" * 64)
    with pytest.raises(MissingResource, match="First: palimpsest locate ./models/mine --home "):
        proposal.require(tmp_path, mine, "./models/mine")
    assert proposal.require(tmp_path, mine.model_copy(update={"name": "pocket-llama"}), "pocket-llama") is None


def test_a_grid_gets_the_blocks_and_keeps_the_rest() -> None:
    found = proposal.propose(traced(6, 30), reached((0, 10), (20, 10)), 30)
    grid = {"layers": {"values": [[0]], "published": [0]}, "layer": {"values": [0], "published": 0}, "ridge": [1.0]}
    changed = proposal.with_blocks(grid, found)
    assert changed["ridge"] == [1.0]
    assert changed["layers"]["published"] in changed["layers"]["values"]
    assert changed["layer"]["published"] in changed["layer"]["values"]
    assert proposal.with_blocks({"eta": [1]}, found) == {"eta": [1]}
