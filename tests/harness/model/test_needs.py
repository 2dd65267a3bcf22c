"""What runs need and how long they take, told beforehand: by hand, and refused with numbers."""

from pathlib import Path

import pytest
import torch

from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.model import needs as needs_module
from palimpsest.harness.model.catalogue import locate, resolve
from palimpsest.harness.model.loading import load_model
from palimpsest.harness.model.needs import Needs, flattened, lacking, needs, require, shape_of
from palimpsest.harness.model.placement import Placement
from palimpsest.harness.statistics.resources import with_statistics

LLAMA = {"layers": [4, 5, 6, 7, 8], "statistics_tokens": 100_000}


def test_sizes_come_from_the_registry_or_the_files() -> None:
    shape = shape_of(resolve("pocket-gpt2"))
    assert shape is not None
    entry = resolve("pocket-gpt2")
    model = load_model(str(locate(entry)), name="x", dtype="float32")
    assert shape.parameters == sum(parameter.numel() for parameter in model.model.parameters())
    assert (shape.hidden, shape.inner, shape.blocks) == (
        model.anatomy.d_hidden, model.anatomy.d_inner, model.anatomy.n_layers,
    )  # fmt: skip
    assert shape_of(resolve("llama3-8b")) == resolve("llama3-8b").shape
    assert shape_of(resolve("someone/unknown")) is None


def test_memory_of_an_8b_model_by_hand() -> None:
    entry = resolve("llama3-8b")
    shape = shape_of(entry)
    assert shape is not None
    found = needs(entry, shape, LLAMA, Placement(device="cuda"))
    weight, moment = 5 * 4096 * 14336 * 4, 5 * 14336**2 * 8
    assert found.memory == 8_030_261_248 * 2 + 2 * weight + 2 * moment
    assert needs(entry, shape, LLAMA, Placement(device="cuda", offload=True)).memory == found.memory - 2 * moment
    assert found.disk == moment + 3 * weight and found.download == 8_030_261_248 * 2
    on_cpu = needs(entry, shape, LLAMA, Placement())
    assert on_cpu.host_memory == found.memory + found.host_memory
    composed = {"tau": 0.1, "host": LLAMA}
    assert flattened(composed)["layers"] == LLAMA["layers"]
    assert needs(entry, shape, composed, Placement(device="cuda")) == found


def test_what_cannot_fit_is_refused_with_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs_module, "free_memory", lambda: 8_000_000_000)
    with pytest.raises(MissingResource, match=r"llama3-8b does not fit.*at least 35\.\d GB, 8\.0 GB are free"):
        require(resolve("llama3-8b"), LLAMA, tmp_path, Placement())
    require(resolve("pocket-gpt2"), {"layers": [0], "statistics_tokens": 1}, tmp_path, Placement())
    problems = lacking(Needs(0, 0, 10**18, 0), tmp_path / "not" / "there", Placement())
    assert len(problems) == 1 and problems[0].startswith("disk: needs 1000000000.0 GB")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "gpu"}, 'expected cpu, cuda or cuda:N, got "gpu"'),
        ({"device_map": "balanced"}, 'expected auto, got "balanced"'),
        ({"device_map": "auto", "device": "cuda"}, "leave --device away"),
        ({"engine": "vlm"}, "expected one of hf, vllm"),
        ({"threads": 0}, "--threads: expected a whole number of at least 1, got 0"),
    ],
)
def test_placements_that_do_not_exist(changes: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Placement(**changes).check()


def test_a_missing_gpu_is_told_with_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingResource, match="no GPU that torch can use"):
        Placement(device="cuda").check()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    Placement(device="cuda:0").check()
    with pytest.raises(MissingResource, match=r"cuda:1: this machine has 1 GPU"):
        Placement(device="cuda:1").check()


def test_a_device_map_places_the_model_and_its_edits() -> None:
    model = load_model(str(locate(resolve("pocket-gpt2"))), name="x", dtype="bfloat16", device_map="auto")
    with_statistics(model, offload=True)
    assert model.device.type == "cpu" and model.resources.device.type == "cpu"
    before = model.weight(1).clone()
    model.add_update(1, torch.full_like(before, 1e-4))
    assert model.weight(1).dtype == torch.float32, "edited layers have float32 masters while the rest is bfloat16"
    torch.testing.assert_close(model.weight(1), before + 1e-4, rtol=0, atol=1e-7)
    assert model.model.get_parameter(model.anatomy.weight_name(1)).dtype == torch.bfloat16
