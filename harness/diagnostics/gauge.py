"""All numbers about one edited weight, by name: from the weight, the pristine one and the sample of edits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from palimpsest.harness.diagnostics import edits, spectra, sphere
from palimpsest.harness.model.pristine_statistics import LeftSpectrum
from palimpsest.harness.statistics.spectrum import left_spectrum, singular_values

SHOWN_SINGULAR_VALUES = 16
Numbers = dict[str, float]


@dataclass(frozen=True, slots=True)
class Pristine:
    """Measurements of W_0, made once."""

    weight: Tensor
    """W_0, d_out × d_in; not a copy."""
    values: Tensor
    """Its singular values, descending."""
    protected: spectra.Leading
    """Its leading directions, as many as REVIVE protects."""
    energy: float
    """Its hyperspherical energy."""
    second_moment: Tensor | None
    """C0, d_in × d_in; None: not known."""
    output: float
    """tr(W_0 C0 W_0ᵀ); NaN without C0."""


def gauge_pristine(weight: Tensor, parts: LeftSpectrum, second_moment: Tensor | None) -> Pristine:
    """Measure W_0 (d_out × d_in, finite), given its `left_spectrum` and C0, where that is known."""
    rank = max(1, min(spectra.protected_rank(parts.values), int((parts.values > 0).sum())))
    return Pristine(
        weight=weight,
        values=parts.values,
        protected=spectra.leading(weight, parts, rank),
        energy=sphere.sphere(weight).energy,
        second_moment=second_moment,
        output=float("nan") if second_moment is None else sphere.pretrained_drift(weight, second_moment),
    )


def gauge_weight(weight: Tensor, pristine: Pristine, batches: int) -> Numbers:
    """Numbers about W_t (d_out × d_in) after so many batches: norms, spectrum, sphere, drift on pretraining keys."""
    update = weight.double() - pristine.weight.double()
    now, changed = left_spectrum(weight), singular_values(update)
    rank = pristine.protected.left.shape[1]
    there = spectra.leading(weight, now, rank)
    round_sphere = sphere.sphere(weight)
    numbers = {
        "weight_norm": float(weight.double().norm()),
        "update_norm": float(update.norm()),
        "update_spectral_norm": float(changed[0]),
        "spectral_norm_ratio": float(changed[0] / pristine.values[0]),
        "condition_number": spectra.condition_number(now.values),
        "protected_rank": float(rank),
        "subspace_similarity": spectra.subspace_similarity(pristine.protected, there),
        "vector_similarity": spectra.vector_similarity(pristine.protected, there),
        "protected_energy": 100 * spectra.protected_energy(update, pristine.protected),
        "hyperspherical_energy_ratio": round_sphere.energy / pristine.energy,
        "hyperspherical_energy_change": abs(round_sphere.energy / pristine.energy - 1) / max(batches, 1),
        "cosine_max": round_sphere.cosine_max,
        "cosine_mean": round_sphere.cosine_mean,
    }
    for name, values in (("singular_value", now.values), ("update_singular_value", changed)):
        shown = values[:SHOWN_SINGULAR_VALUES].tolist()
        numbers |= {f"{name}:{place:02d}": value for place, value in enumerate(shown, 1)}
    if pristine.second_moment is not None:
        drift = sphere.pretrained_drift(update, pristine.second_moment)
        numbers |= {"pretrained_drift": drift, "pretrained_drift_relative": drift / pristine.output}
    return numbers


def gauge_edits(weight: Tensor, pristine: Pristine, stored: Mapping[str, Tensor]) -> Numbers:
    """Trace of stored edits in W_t; empty without any.

    Args:
        weight: W_t, d_out × d_in.
        pristine: Of the same layer.
        stored: ``key`` (n × d_in), ``value`` and ``own`` (n × d_out), see `palimpsest.harness.diagnostics.edits`.
    """
    if not stored:
        return {}
    keys, values, own = (stored[name].to(weight.device) for name in ("key", "value", "own"))
    noise = edits.superimposed_noise(weight.double() - pristine.weight.double(), keys, own)
    drift = edits.old_edit_drift(weight, keys, values, own)
    return {
        "superimposed_noise": noise.squared,
        "superimposed_noise_norm": noise.norm,
        "old_edit_drift": drift.absolute,
        "old_edit_drift_relative": drift.relative,
    }


def gauge_sample(stored: Mapping[str, Tensor], updates: Mapping[str, Tensor]) -> Numbers:
    """Relations between the edits: ranks of their keys, overlaps of their updates.

    Args:
        stored: As for `gauge_edits`.
        updates: ``key`` and ``activation`` (n × d_in), ``influence`` (n × d_out) of single updates; or empty.
    """
    numbers: Numbers = {}
    if stored:
        spectrum = spectra.key_spectrum(stored["key"])
        numbers |= {
            "stored_edits": float(len(stored["key"])),
            "key_effective_rank": spectra.effective_rank(spectrum),
            "key_stable_rank": spectra.stable_rank(spectrum),
        }
    if updates:
        met = edits.overlap(updates["key"], updates["activation"], updates["influence"])
        numbers |= {
            "activation_overlap": met.activation,
            "influence_overlap": met.influence,
            "influence_cosine": met.cosine,
        }
    return numbers


def own_vectors(keys: Tensor, before: Tensor, after: Tensor) -> dict[str, Tensor]:
    """Stored vectors of edits at one layer, as rows: k_e, v_e = W_after k_e, and Δ_e k_e = (W_after − W_before) k_e.

    Args:
        keys: k_e, n × d_in.
        before: The weight before the batch of the edits, d_out × d_in.
        after: The weight after it.
    """
    wide, now = keys.double(), after.double()
    return {"key": keys, "value": wide @ now.T, "own": wide @ (now - before.double()).T}
