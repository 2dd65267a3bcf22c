"""The meaning of each diagnostic: one record per name, behind `palimpsest list metrics`, the page's help and the docs.

A diagnostic is stored under its record's name, with the layer beside it where it belongs to one. Behind a colon may
stand which of several it is: ``singular_value:03``, ``weight_norm:some.parameter``, ``reported:epochs``. `EVALUATED`
before a name means: the same of the weights as they are scored, where the editor scores others than it writes (PRUNE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Direction = Literal["higher", "lower", "none"]
Level = Literal["cheap", "full"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""``full``: also what costs more. No part of a run's identity."""
EVALUATED = "evaluated_"

GROUPS = {
    "size": "Size of the weights",
    "spectrum": "Singular values and directions",
    "sphere": "Neurons on the sphere",
    "noise": "What edits do to each other",
    "drift": "Drift of outputs",
    "targets": "Targets",
    "events": "What the editor reports",
    "cache": "Keys of the edits",
}
"""Group → its title, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One number, as it is stored."""

    name: str
    """That of a record, see the module's description."""
    layer: int | None
    """Block of the down-projection; None for what belongs to none."""
    value: float


@dataclass(frozen=True, slots=True)
class DiagnosticRecord:
    """One diagnostic, with its exact definition."""

    name: str
    title: str
    group: str
    """A key of `GROUPS`."""
    unit: str
    direction: Direction
    """Direction that is better; ``none`` where neither is."""
    definition: str
    source: str
    """Paper that it comes from; empty for our own."""
    full_only: bool = False
    """Measured only with ``--diagnostics full``."""

    @property
    def text(self) -> str:
        """Definition, source and level in one line."""
        notes = [self.source] if self.source else []
        notes += ["only with --diagnostics full"] if self.full_only else []
        return self.definition + (f" ({'; '.join(notes)})" if notes else "")


def record(name: str) -> DiagnosticRecord | None:
    """The record behind a stored name, or None for a name that is not ours."""
    return _BY_NAME.get(name.removeprefix(EVALUATED).partition(":")[0])


_PRUNE = "PRUNE, arXiv 2405.16821"
_REVIVE = "REVIVE, arXiv 2601.11042"
_SPHERE = "SPHERE, arXiv 2510.01172"
_DELTA = "DeltaEdit, arXiv 2505.07899"
_MEMIT = "MEMIT, arXiv 2210.07229"
_SAMPLE = "mean over the stored edits"
_SINCE = "over the edits since the last checkpoint"

_D = "D = W_t - W_0 of an edited down-projection"

RECORDS: tuple[DiagnosticRecord, ...] = (
    DiagnosticRecord("weight_norm", "‖Wₜ‖", "size", "1", "none", "Frobenius norm of an edited weight, per layer", ""),
    DiagnosticRecord(
        "update_norm",
        "‖Wₜ − W₀‖",
        "size",
        "1",
        "none",
        "Frobenius norm of an edited weight minus the pristine weight, per layer",
        "",
    ),
    DiagnosticRecord(
        "update_spectral_norm", "‖Wₜ − W₀‖₂", "size", "1", "none", f"largest singular value of {_D}", _PRUNE
    ),
    DiagnosticRecord(
        "spectral_norm_ratio",
        "σ_max(D) / σ_max(W₀)",
        "size",
        "1",
        "lower",
        f"largest singular value of {_D}, divided by that of W_0; above 1 PRUNE restrains",
        _PRUNE,
    ),
    DiagnosticRecord(
        "condition_number",
        "Condition number κ(Wₜ)",
        "spectrum",
        "1",
        "lower",
        "largest over smallest singular value of W_t = W_0 + D, values under 1e-6 of the largest counting as zero and "
        "left out; at 0 edits that of W_0",
        _PRUNE,
    ),
    DiagnosticRecord(
        "protected_rank",
        "Protected directions k",
        "spectrum",
        "directions",
        "none",
        "smallest k whose k largest singular values of W_0 make up 10 % of the sum of all",
        _REVIVE,
    ),
    DiagnosticRecord(
        "subspace_similarity",
        "LS, similarity of leading subspaces",
        "spectrum",
        "1",
        "higher",
        "‖U_k(0)ᵀ U_k(t)‖² / k of the k leading left singular vectors of W_0 and W_t, the same of the right ones, and "
        "the mean of both, k = protected_rank; 1: the same subspace. A reconstruction of the paper's measure",
        _REVIVE,
    ),
    DiagnosticRecord(
        "vector_similarity",
        "SS, similarity of singular vectors",
        "spectrum",
        "1",
        "higher",
        "mean over i ≤ k of abs⟨u_i(0), u_i(t)⟩, the same of v, and the mean of both, vectors paired by rank, "
        "k = protected_rank. A reconstruction of the paper's measure",
        _REVIVE,
    ),
    DiagnosticRecord(
        "protected_energy",
        "Energy of the update in the protected subspace",
        "spectrum",
        "%",
        "lower",
        f"(‖U_kᵀ D‖² + ‖D V_k‖² - ‖U_kᵀ D V_k‖²) / ‖D‖², {_D}, U_k and V_k of W_0, k = protected_rank: the share that "
        "REVIVE would remove",
        _REVIVE,
    ),
    DiagnosticRecord(
        "singular_value",
        "Singular values of Wₜ",
        "spectrum",
        "1",
        "none",
        "the 16 largest singular values of W_t; at 0 edits those of W_0",
        "",
    ),
    DiagnosticRecord(
        "update_singular_value",
        "Singular values of Wₜ − W₀",
        "spectrum",
        "1",
        "none",
        f"the 16 largest singular values of {_D}",
        "",
    ),
    DiagnosticRecord(
        "hyperspherical_energy_ratio",
        "Hyperspherical energy, HEₜ / HE₀",
        "sphere",
        "1",
        "none",
        "HE = Σ_{i≠j} (2 - 2 ŵ_iᵀŵ_j + 1e-8)^(-1/2) over the unit rows ŵ_i of W_t, divided by that of W_0",
        _SPHERE,
    ),
    DiagnosticRecord(
        "hyperspherical_energy_change",
        "Change of hyperspherical energy per batch",
        "sphere",
        "1",
        "lower",
        "abs(HE_t - HE_0) / HE_0, divided by the batches so far",
        _SPHERE,
    ),
    DiagnosticRecord(
        "hyperspherical_energy_path",
        "Way of the hyperspherical energy per batch",
        "sphere",
        "1",
        "lower",
        "abs(HE_b - HE_(b-1)) / HE_0, mean over the batches b so far",
        _SPHERE,
        full_only=True,
    ),
    DiagnosticRecord(
        "cosine_max", "Largest cosine of two rows", "sphere", "1", "none", "largest ŵ_iᵀŵ_j, i ≠ j, of W_t's rows", ""
    ),
    DiagnosticRecord(
        "cosine_mean", "Mean cosine of two rows", "sphere", "1", "none", "mean of ŵ_iᵀŵ_j, i ≠ j, of W_t's rows", ""
    ),
    DiagnosticRecord(
        "superimposed_noise",
        "Superimposed noise",
        "noise",
        "1",
        "lower",
        f"‖D k_e‖² - ‖Δ_e k_e‖², {_SAMPLE}, {_D}, k_e the key of an edit and Δ_e the update of its batch (for batches "
        "of one: of the edit)",
        _DELTA,
    ),
    DiagnosticRecord(
        "superimposed_noise_norm",
        "Norm of the superimposed noise",
        "noise",
        "1",
        "lower",
        f"‖(D - Δ_e) k_e‖, {_SAMPLE}, as superimposed_noise: what all other batches add at the key of an edit",
        _DELTA,
    ),
    DiagnosticRecord(
        "activation_overlap",
        "Activation overlap",
        "noise",
        "1",
        "lower",
        "mean over pairs i ≠ j of abs(k_jᵀ β_i), Δ_i = α_i β_iᵀ being the update of one edit, k_j the key another was "
        "solved for; a sample of at most 128 per layer; only for editors whose updates have such factors",
        _DELTA,
    ),
    DiagnosticRecord(
        "influence_overlap",
        "Influence overlap",
        "noise",
        "1",
        "lower",
        "mean over pairs i ≠ j of abs(α_iᵀ α_j), as activation_overlap",
        _DELTA,
    ),
    DiagnosticRecord(
        "influence_cosine",
        "Influence overlap, as a cosine",
        "noise",
        "1",
        "lower",
        "mean over pairs i ≠ j of abs(cos(α_i, α_j)), as activation_overlap",
        _DELTA,
    ),
    DiagnosticRecord(
        "pretrained_drift",
        "Drift on pretraining keys",
        "drift",
        "1",
        "lower",
        f"tr(D C0 Dᵀ), {_D}, C0 = E[k kᵀ] of the statistics text: the expected squared change of the layer's output; "
        "with --diagnostics cheap only for editors that use C0 themselves",
        _MEMIT,
    ),
    DiagnosticRecord(
        "pretrained_drift_relative",
        "Drift on pretraining keys, relative",
        "drift",
        "1",
        "lower",
        "pretrained_drift / tr(W_0 C0 W_0ᵀ), the expected squared output itself",
        _MEMIT,
    ),
    DiagnosticRecord(
        "old_edit_drift",
        "Drift of old edits",
        "drift",
        "1",
        "lower",
        f"‖W_t k_e - v_e‖, {_SAMPLE}, v_e = W k_e right after the batch of the edit; its square summed over all edits "
        "is tr(D_after C_p D_afterᵀ)",
        "",
    ),
    DiagnosticRecord(
        "old_edit_drift_relative",
        "Drift of old edits, relative",
        "drift",
        "1",
        "lower",
        "old_edit_drift, divided by the mean of ‖Δ_e k_e‖: what was written at the time",
        "",
    ),
    DiagnosticRecord(
        "target_error_before",
        "Distance from the targets before the batch",
        "targets",
        "1",
        "none",
        f"‖z - h‖ before the batch is written, mean {_SINCE}; z is the target and h the output of the last edited "
        "block; from the batches' reports",
        "",
    ),
    DiagnosticRecord(
        "target_error_after",
        "Distance from the targets after the batch",
        "targets",
        "1",
        "lower",
        f"‖z - h‖ once the batch is written, mean {_SINCE}; from the batches' reports",
        "",
    ),
    DiagnosticRecord(
        "targets_unreached",
        "Targets that did not reach their loss",
        "targets",
        "%",
        "lower",
        f"share of targets whose loss did not come under the early-stop loss (0.05), {_SINCE}; from the batches' "
        "reports",
        "",
    ),
    DiagnosticRecord(
        "reported",
        "Reported by the editor",
        "events",
        "1",
        "none",
        f"what the batches' reports say under this name, mean {_SINCE} (counters: mean per batch); triggers, skipped "
        "edits, clipped singular values, removed and kept energy are among them",
        "",
    ),
    DiagnosticRecord(
        "key_effective_rank",
        "Effective rank of the keys",
        "cache",
        "directions",
        "none",
        "exp(H(p)), p the eigenvalues of C_p = Σ k_e k_eᵀ of the stored edits, divided by their sum",
        "Roy and Vetterli 2007",
    ),
    DiagnosticRecord(
        "key_stable_rank",
        "Stable rank of the keys",
        "cache",
        "directions",
        "none",
        "tr(C_p) / ‖C_p‖₂ of the same C_p",
        "",
    ),
    DiagnosticRecord(
        "stored_edits",
        "Stored edits",
        "cache",
        "edits",
        "none",
        "edits whose key k_e (input of the down-projection at the subject's last token of the clean prompt, on the "
        "model right after the batch) is stored: a sample by position in the schedule, the same for every editor, of "
        "at most 512; with --diagnostics full 2,048",
        "",
    ),
)

_BY_NAME = {entry.name: entry for entry in RECORDS}
