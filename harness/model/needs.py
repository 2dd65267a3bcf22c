"""Least needs of a run, from the sizes of its model alone: memory, disk, and what has to be fetched.

Lower bounds: a run that does not fit these numbers cannot be done. `harness.forecast.calibration` measures the rest.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from palimpsest.harness.errors import MissingResource
from palimpsest.harness.model.catalogue import is_here, locate
from palimpsest.harness.model.placement import Placement
from palimpsest.harness.specs.model_entry import ModelEntry, ModelShape
from palimpsest.harness.system.memory import free_memory

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
PROCESS_BYTES = 450_000_000
"""Python with torch and transformers, before any model."""
SAVES_KEPT = 3
"""Two saves stay, a third is being written."""
_CONFIG_NAMES = {
    "blocks": ("num_hidden_layers", "n_layer"),
    "hidden": ("hidden_size", "n_embd"),
    "inner": ("intermediate_size", "n_inner"),
    "vocabulary": ("vocab_size",),
    "context": ("max_position_embeddings", "n_positions"),
}


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes that a run needs at least."""

    memory: int
    """In the memory of the device that the model is on, statistics included unless they are offloaded."""
    host_memory: int
    """In main memory."""
    disk: int
    """In the home: statistics and saves."""
    download: int
    """To be fetched from the hub first."""


def shape_of(entry: ModelEntry) -> ModelShape | None:
    """The sizes of a model: from the registry, else from its folder; None where neither tells them."""
    if entry.shape is not None:
        return entry.shape
    if not is_here(entry):
        return None
    folder = locate(entry)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        text = config.get("text_config", config)
        sizes = {name: next(int(text[key]) for key in keys if text.get(key)) for name, keys in _CONFIG_NAMES.items()}
    except StopIteration:
        sizes = {name: _first(text, keys) for name, keys in _CONFIG_NAMES.items()}
        sizes["inner"] = sizes["inner"] or 4 * sizes["hidden"]  # GPT-2 leaves it out
    except (OSError, ValueError, AttributeError):
        return None
    if not all(sizes[name] for name in ("blocks", "hidden", "inner", "vocabulary")):
        return None
    return ModelShape(parameters=sum(map(_elements, folder.glob("*.safetensors"))), **sizes)


def _first(config: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    return next((int(config[key]) for key in keys if config.get(key)), 0)


def _elements(path: Path) -> int:
    """Number of weights in a safetensors file, from its header."""
    try:
        with safe_open(path, framework="np") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return 0


def needs(entry: ModelEntry, shape: ModelShape, config: Mapping[str, Any], placement: Placement) -> Needs:
    """Bytes that a run needs at least; ``config`` is the editor's complete one, with a filter's host in it."""
    flat = flattened(config)
    layers = len(flat.get("layers") or ()) or int("layer" in flat)
    weight = shape.hidden * shape.inner
    moment = shape.inner**2
    model = shape.parameters * BYTES[entry.dtype]
    copies = layers * weight * 4 * (1 if entry.dtype == "float32" else 2)  # pristine weights, and masters
    statistics = layers * moment * 8 if "statistics_tokens" in flat else 0
    systems = statistics  # a factor or eigenvectors of the same size, float64
    on_device = model + copies + (0 if placement.offload else statistics + systems)
    host = PROCESS_BYTES + (statistics + systems if placement.offload else 0)
    if placement.device == "cpu" and placement.device_map is None:
        on_device += host
        host = on_device
    download = 0 if is_here(entry) else shape.parameters * 2
    return Needs(on_device, host, statistics + SAVES_KEPT * layers * weight * 4, download)


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an editor and of its hosts in one table; a filter's own go first."""
    flat = dict(config)
    host = flat.pop("host", None)
    return (flattened(host) if isinstance(host, Mapping) else {}) | flat


def statistics_of(configs: Iterable[Mapping[str, Any]]) -> dict[int, set[int]]:
    """Tokens of the statistics text → blocks whose key statistics an editor of such a configuration needs."""
    wanted: dict[int, set[int]] = {}
    for config in map(flattened, configs):
        if "statistics_tokens" in config:
            layers = config.get("layers") or [config[name] for name in ("layer",) if name in config]
            wanted.setdefault(config["statistics_tokens"], set()).update(layers)
    return wanted


def lacking(found: Needs, home: Path, placement: Placement) -> list[str]:
    """Resources of which this machine has too little, each with numbers; empty when nothing is known to be."""
    problems = []
    free = free_memory()
    if found.host_memory > free:
        problems.append(f"memory: needs at least {gigabytes(found.host_memory)}, {gigabytes(free)} are free")
    if placement.device.startswith("cuda"):
        import torch

        available, _ = torch.cuda.mem_get_info(placement.device)
        if found.memory > available:
            problems.append(f"GPU memory: needs at least {gigabytes(found.memory)}, {gigabytes(available)} are free")
    place = next(folder for folder in [home, *home.absolute().parents] if folder.exists())
    space = shutil.disk_usage(place).free
    if found.disk + found.download > space:
        fetched = f" and {gigabytes(found.download)} to fetch" if found.download else ""
        problems.append(f"disk: needs {gigabytes(found.disk)}{fetched}, {gigabytes(space)} are free in {place}")
    return problems


def require(entry: ModelEntry, config: Mapping[str, Any], home: Path, placement: Placement) -> None:
    """Refuse a run that cannot fit, before anything is loaded.

    Raises:
        MissingResource: Memory or disk do not suffice; says with numbers what is lacking.
    """
    shape = shape_of(entry)
    if shape is None:
        return
    problems = lacking(needs(entry, shape, config, placement), home, placement)
    if problems:
        raise MissingResource(
            f"{entry.name} does not fit this machine: {'; '.join(problems)}. Choose a smaller model, "
            "--offload, another --device or another --home."
        )


def gigabytes(count: float) -> str:
    """Bytes as a person says it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
