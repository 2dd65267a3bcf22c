"""Solves of the locate-then-edit family in float64: factor once, add what is remembered as low rank."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.harness.errors import EditorError, ModelCollapsed

if TYPE_CHECKING:
    from palimpsest.harness.model.pristine_statistics import Spectrum

_JITTER = 1e-10
_TOLERANCE = 1e-6


class System:
    """A = (S_0 + C_p + K Kᵀ)⁻¹ K, with C_p = Σ K' K'ᵀ over everything remembered.

    C_p is held in two parts: ``folded``, inside a Cholesky factor of S_0 + folded, and ``pending``, the newest
    blocks of keys, which enter by the Woodbury identity. With m pending columns a solve costs about d m² more, and
    folding them d³ / 3; in batches of n the sum of both is least if they are folded at m³ = d² n / 2. So the cost
    of a batch does not grow with what is remembered. They are also folded when a solve's own residual exceeds 1e-6.

    A recursion of the inverse, Q ← Q − Q K' (I + K'ᵀ Q K')⁻¹ K'ᵀ Q, is as flat, but slower, as it rewrites d × d
    numbers in every batch (one core, d = 1024: 22 ms against 2.4 for n = 1, 35 against 16 for n = 50), and less exact.
    """

    def __init__(self, base: Tensor | float, size: int) -> None:
        """Start with nothing remembered.

        Args:
            base: S_0, symmetric positive definite, size × size; or a number for that multiple of the identity.
            size: Dimension of the keys.
        """
        self.size = size
        self.refactorisations = 0
        self._base = base if isinstance(base, float) else base.double()
        self._folded: Tensor | None = None
        self._pending: list[Tensor] = []
        self._halves: list[Tensor] = []
        self._factor = self._factorised()

    def solve(self, keys: Tensor) -> Tensor:
        """A for these keys: size × n, float64.

        Raises:
            EditorError: The keys or the result are not finite.
        """
        k = keys.double()
        if not torch.isfinite(k).all():
            raise ModelCollapsed("The keys of this batch are not finite: the model has collapsed.")
        a = self._woodbury(k)
        if self._pending and not self._residual(a, k) <= _TOLERANCE:
            self._fold()
            a = self._woodbury(k)
        if not torch.isfinite(a).all():
            raise ModelCollapsed("The solve for this batch gave values that are not finite.")
        return a

    def solve_on(self, chosen: Tensor, keys: Tensor) -> Tensor:
        """A of the system cut to the rows and columns ``chosen`` (m indices): m × n, for keys of size × n.

        Raises:
            ModelCollapsed: The keys or the result are not finite.
        """
        k = keys.double()[chosen]
        if not torch.isfinite(k).all():
            raise ModelCollapsed("The keys of this batch are not finite: the model has collapsed.")
        matrix = k @ k.T
        if isinstance(self._base, float):
            matrix.diagonal().add_(self._base)
        else:
            matrix += self._base[chosen][:, chosen]
        if self._folded is not None:
            matrix += self._folded[chosen][:, chosen]
        for block in self._pending:
            part = block[chosen]
            matrix += part @ part.T
        a = torch.cholesky_solve(k, cholesky(matrix))
        if not torch.isfinite(a).all():
            raise ModelCollapsed("The solve for this batch gave values that are not finite.")
        return a

    def remember(self, keys: Tensor) -> None:
        """C_p += K' K'ᵀ."""
        block = keys.double().contiguous()
        self._pending.append(block)
        self._halves.append(self._half(block))
        columns = sum(pending.shape[1] for pending in self._pending)
        if columns**3 >= self.size**2 * block.shape[1] / 2:
            self._fold()

    def remembered(self) -> Tensor:
        """C_p, size × size, float64."""
        total = torch.zeros(self.size, self.size, dtype=torch.float64, device=self._device())
        if self._folded is not None:
            total += self._folded
        for block in self._pending:
            total += block @ block.T
        return total

    def state_dict(self) -> dict[str, Tensor]:
        """All that is remembered, in the two parts in which it is held, so that a resumed run rounds alike."""
        state = {f"pending.{number:03d}": block.clone() for number, block in enumerate(self._pending)}
        if self._folded is not None:
            state["folded"] = self._folded.clone()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`.

        Raises:
            ValueError: A tensor has a wrong name or shape.
        """
        for name, tensor in state.items():
            known = name == "folded" or name.startswith("pending.")
            if not known or tensor.shape[0] != self.size or (name == "folded" and tensor.shape[1] != self.size):
                raise ValueError(f"State {name} of shape {tuple(tensor.shape)} does not fit keys of size {self.size}.")
        # Copies: tensors read from a file may lie at addresses at which the BLAS rounds otherwise.
        self._folded = state["folded"].double().clone() if "folded" in state else None
        self._factor = self._factorised()
        self._pending = [state[name].double().clone() for name in sorted(state) if name != "folded"]
        self._halves = [self._half(block) for block in self._pending]

    def _woodbury(self, k: Tensor) -> Tensor:
        # With F Fᵀ = S_0 + folded and G = [pending K]:  (F Fᵀ + G Gᵀ)⁻¹ G = F⁻ᵀ B (I + Bᵀ B)⁻¹,  B = F⁻¹ G
        b = torch.cat([*self._halves, self._half(k)], dim=1)  # size × m
        inner = b.T @ b
        inner.diagonal().add_(1.0)
        unit = torch.zeros(b.shape[1], k.shape[1], dtype=torch.float64, device=k.device)
        unit[-k.shape[1] :].fill_diagonal_(1.0)
        weights = torch.cholesky_solve(unit, cholesky(inner))  # the columns of the inverse that belong to K
        return self._back(b @ weights)

    def _residual(self, a: Tensor, k: Tensor) -> float:
        """‖S A − K‖ / ‖K‖, a probe of how well the held factors invert S."""
        product = self._base * a if isinstance(self._base, float) else self._base @ a
        if self._folded is not None:
            product = product + self._folded @ a
        for block in (*self._pending, k):
            product = product + block @ (block.T @ a)
        return float((product - k).norm() / k.norm().clamp_min(torch.finfo(torch.float64).tiny))

    def _fold(self) -> None:
        self._folded = self.remembered()
        self._pending, self._halves = [], []
        self._factor = self._factorised()
        self.refactorisations += 1

    def _factorised(self) -> Tensor | None:
        """Lower Cholesky factor of S_0 + folded; None while that is a multiple of the identity."""
        if isinstance(self._base, float):
            if self._folded is None:
                return None
            matrix = self._folded.clone()
            matrix.diagonal().add_(self._base)
            return cholesky(matrix)
        return cholesky(self._base if self._folded is None else self._base + self._folded)

    def _half(self, k: Tensor) -> Tensor:
        """F⁻¹ k."""
        if self._factor is None:
            return k / math.sqrt(float(self._base))
        half: Tensor = torch.linalg.solve_triangular(self._factor, k, upper=False)
        return half

    def _back(self, b: Tensor) -> Tensor:
        """F⁻ᵀ b."""
        if self._factor is None:
            return b / math.sqrt(float(self._base))
        whole: Tensor = torch.linalg.solve_triangular(self._factor.T, b, upper=True)
        return whole

    def _device(self) -> torch.device:
        known = [t for t in (self._factor, self._folded, *self._pending) if t is not None]
        return known[0].device if known else torch.device("cpu")


def cholesky(matrix: Tensor) -> Tensor:
    """Lower factor of a symmetric positive definite float64 matrix, with a jitter of 1e-10·tr/d if it needs one.

    Raises:
        EditorError: The matrix is not finite, or not positive definite even so.
    """
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if not failed:
        return factor
    jittered = matrix.clone()
    jittered.diagonal().add_(_JITTER * float(matrix.diagonal().mean()))
    factor, failed = torch.linalg.cholesky_ex(jittered)
    if failed or not torch.isfinite(factor).all():
        raise EditorError("A system matrix is not positive definite: key statistics are too few or not finite.")
    return factor


def removed_directions(spectrum: Spectrum, threshold: float, *, relative: bool = False) -> Tensor:
    """U_s: eigenvectors of C0 with eigenvalue ≥ threshold, d_in × s; P = I − U_s U_sᵀ.

    Args:
        spectrum: Of C0.
        threshold: Absolute, or with ``relative`` a share of the largest eigenvalue.
        relative: See ``threshold``.
    """
    limit = threshold * float(spectrum.values[-1]) if relative else threshold
    return spectrum.vectors[:, spectrum.values >= limit].contiguous()


def projected(removed: Tensor, matrix: Tensor) -> Tensor:
    """P M = M − U_s (U_sᵀ M), float64."""
    matrix = matrix.double()
    return matrix - removed @ (removed.T @ matrix)
