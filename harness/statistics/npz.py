"""ROME-style key statistics: second moments stored as ``.npz`` archives, read without ever unpickling."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from numpy.lib import format as npy
from numpy.typing import NDArray

from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.model.catalogue import require_no_pointer
from palimpsest.harness.model.pristine_statistics import SecondMoments

if TYPE_CHECKING:
    import numpy as np

_MOMENT, _COUNT = "mom2.mom2", "mom2.count"
_LAYER = re.compile(r"\.(\d+)\.")


def read_npz(place: Path, size: int | None = None) -> SecondMoments:
    """The statistics in one ``.npz`` file or in all of a folder.

    ROME, MEMIT and AlphaEdit write one archive per layer, named like ``model.layers.4.mlp.down_proj_float32_mom2_
    100000.npz``, with the sum of k kᵀ (``mom2.mom2``) and the number of keys (``mom2.count``).

    Args:
        place: File or folder.
        size: d_in of the model, to be compared with; None: not compared.

    Raises:
        UsageError: There are no such files.
        ConfigError: A file is damaged, pickled, of another size, or of no layer; lists all.
    """
    files = sorted(place.glob("*.npz")) if place.is_dir() else [place]
    if not files or not all(path.is_file() for path in files):
        raise UsageError(f"Statistics {place}: no .npz files there.")
    moments: dict[int, torch.Tensor] = {}
    counts: set[int] = set()
    problems, digest = [], hashlib.sha256()
    for path in files:
        require_no_pointer(path)
        try:
            layer, moment, count = _read(path, size)
            if layer in moments:
                raise ValueError(f"layer {layer} stands in another file too")
            moments[layer] = torch.from_numpy(moment) / count
            counts.add(count)
            digest.update(path.name.encode() + hashlib.file_digest(path.open("rb"), "sha256").digest())
        except (ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError) as problem:
            problems.append(f"{path}: {problem}.")
    if problems:
        raise ConfigError("\n".join(problems))
    return SecondMoments(moments, min(counts), digest.hexdigest())


def _read(path: Path, size: int | None) -> tuple[int, NDArray[np.float64], int]:
    """Layer, sum of k kᵀ in float64, number of keys."""
    found = _LAYER.search(path.name)
    if found is None:
        raise ValueError(
            "its name tells no layer; expected one like model.layers.4.mlp.down_proj_float32_mom2_1000.npz"
        )
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        lacking = [name for name in (_MOMENT, _COUNT) if f"{name}.npy" not in names]
        if lacking:
            raise ValueError(f"lacks {' and '.join(lacking)}; expected second moments as ROME writes them")
        moment, count = (_array(archive, name) for name in (_MOMENT, _COUNT))
    if moment.ndim != 2 or moment.shape[0] != moment.shape[1] or (size is not None and len(moment) != size):
        wanted = "a square matrix" if size is None else f"{size} × {size}"
        raise ValueError(f"{_MOMENT}: expected {wanted}, got {' × '.join(map(str, moment.shape))}")
    number = int(count.reshape(-1)[0]) if count.size == 1 and count.dtype.kind in "iuf" else 0
    if number < 1 or moment.dtype.kind != "f":
        raise ValueError(f"{_COUNT} must be a number of at least 1 and {_MOMENT} of floating point")
    whole = moment.astype("float64")
    if not bool(torch.isfinite(torch.from_numpy(whole)).all()):
        raise ValueError(f"{_MOMENT} holds values that are not finite")
    return int(found[1]), whole, number


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[np.float64]:
    with archive.open(f"{name}.npy") as stream:
        found: NDArray[np.float64] = npy.read_array(stream, allow_pickle=False)
        return found
