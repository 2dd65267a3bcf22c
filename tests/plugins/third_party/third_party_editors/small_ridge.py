"""A weight editor in a few lines: ridge regression on the keys, earlier edits included."""

import torch

from palimpsest.editors.toolkit.linalg import System
from palimpsest.editors.toolkit.pipeline import LocateThenEdit, LocateThenEditConfig


class SmallRidge(LocateThenEdit):
    """Δ = R Kᵀ (ρ I + Σ K' K'ᵀ + K Kᵀ)⁻¹."""

    class Config(LocateThenEditConfig):
        """Fits the pocket models."""

        layers: tuple[int, ...] = (0,)
        """Blocks whose down-projection is written."""
        target_learning_rate: float = 0.5
        """Learning rate of the target optimisation."""
        target_weight_decay: float = 0.0
        """Weight of the decay in the target's loss."""
        clamp_norm_factor: float = 1.5
        """‖δ‖ is held below this multiple of ‖h_0‖."""
        ridge: float = 0.1
        """ρ."""

    remembers = True

    def start(self, layer):
        size = self.model.anatomy.d_inner
        return System(self.config.ridge * torch.eye(size, dtype=torch.float64), size)

    def solve(self, keys, layer):
        return self.systems[layer].solve(keys)

    def remember(self, keys, layer):
        self.systems[layer].remember(keys)
