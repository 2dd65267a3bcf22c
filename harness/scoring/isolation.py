"""Asking a model leaves no trace: modes, gradients and random generators are as before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from palimpsest.harness.model.editable import EditableModel


@contextmanager
def untouched(model: EditableModel) -> Iterator[None]:
    """Evaluation mode without gradients; all global random generators and module modes are as before afterwards."""
    python, numeric, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpu = torch.cuda.get_rng_state_all() if model.device.type == "cuda" else None
    training = [module for module in model.model.modules() if module.training]
    model.model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
        random.setstate(python)
        np.random.set_state(numeric)
        torch.set_rng_state(cpu)
        if gpu is not None:
            torch.cuda.set_rng_state_all(gpu)
