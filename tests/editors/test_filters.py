"""What the filters promise of a single update, as identities on random matrices."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palimpsest.editors.prune import Prune
from palimpsest.editors.rect import Rect
from palimpsest.editors.revive import Revive
from palimpsest.editors.sphere import Sphere, principal_directions
from palimpsest.editors.toolkit.updates import full
from palimpsest.harness.editor import Editor, EditorConfig, EditReport, LayerUpdate
from palimpsest.harness.errors import ModelCollapsed
from palimpsest.harness.specs.cases import EditRequest
from palimpsest.harness.statistics.spectrum import left_spectrum


class Nothing(Editor):
    """A host that is never asked."""

    Config = EditorConfig

    def prepare(self, model: Any) -> None:
        raise NotImplementedError

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        raise NotImplementedError

    def writes(self) -> Collection[str]:
        raise NotImplementedError


HOST = Nothing(EditorConfig())
SEEDS = st.integers(0, 10_000)
fast = settings(deadline=None, max_examples=25)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def factors(seed: int, rows: int, columns: int, n: int = 3) -> LayerUpdate:
    return LayerUpdate(0, normal(seed + 1, rows, n), normal(seed + 2, columns, n))


def unfactored(update: LayerUpdate) -> LayerUpdate:
    return LayerUpdate(update.layer, delta=full(update))


def revive(weight: Tensor, **config: Any) -> Revive:
    filter = Revive(Revive.Config(**config), HOST)
    filter.protected = {0: filter.directions(weight, left_spectrum(weight))}
    return filter


def sphere(**config: Any) -> Sphere:
    filter = Sphere(Sphere.Config(**config), HOST)
    filter.pretrained = {}
    return filter


# RECT


@fast
@given(SEEDS, st.floats(0.05, 1.0), st.booleans())
def test_rect_keeps_the_largest_relative_changes_and_leaves_them_as_they_are(
    seed: int, share: float, signed: bool
) -> None:
    weight, update = normal(seed, 6, 11), factors(seed, 6, 11)
    filter = Rect(Rect.Config(kept_share=share, signed_denominator=signed), HOST)
    report = EditReport()
    kept, delta = full(filter.filter(update, weight, report)), full(update)
    dropped = kept == 0
    assert torch.equal(kept[~dropped], delta[~dropped])
    place = math.floor(round((1 - share) * 66, 6))
    assert int((~dropped).sum()) == (66 - place + 1 if place else 66)
    relative = (delta / weight).abs()
    if bool(dropped.any()):
        assert float(relative[dropped].max()) <= float(relative[~dropped].min()) * (1 + 1e-5)
    assert report.values["kept_energy.0"] == pytest.approx(float(kept.norm() ** 2 / delta.norm() ** 2))


def test_rect_keeps_ties_at_the_threshold() -> None:
    update = LayerUpdate(0, delta=torch.tensor([[1.0, 2.0, 2.0, 2.0, 3.0]], dtype=torch.float64))
    found = Rect(Rect.Config(kept_share=0.4), HOST).filter(update, torch.ones(1, 5), EditReport())
    assert full(found).tolist() == [[0.0, 2.0, 2.0, 2.0, 3.0]]


def test_rect_survives_weights_of_zero_and_updates_of_zero() -> None:
    filter = Rect(Rect.Config(kept_share=0.5, epsilon=0.0), HOST)
    update = LayerUpdate(0, delta=torch.tensor([[0.0, 1.0, 0.0, 1.0]], dtype=torch.float64))
    weight = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    assert full(filter.filter(update, weight, EditReport())).tolist() == [[0.0, 1.0, 0.0, 1.0]]
    nothing = LayerUpdate(0, delta=torch.zeros(1, 4, dtype=torch.float64))
    report = EditReport()
    assert not bool(full(filter.filter(nothing, weight, report)).any())
    assert report.values["kept_energy.0"] == 1


# PRUNE


ALPHAS = st.sampled_from(["e", 2.0, 1.5, 1.2, "linear"])


@fast
@given(SEEDS, ALPHAS, st.floats(0.2, 6.0))
def test_prune_changes_exactly_the_singular_values_above_the_weights_largest(
    seed: int, alpha: Any, largest: float
) -> None:
    update = normal(seed, 5, 9)
    prune = Prune(Prune.Config(alpha=alpha), HOST)
    found = prune.restraint(update, largest)
    evaluated = update if found.correction is None else update + found.correction
    u, sigma, v = torch.linalg.svd(update, full_matrices=False)
    assert found.clipped == int((sigma > largest).sum())
    wanted = torch.where(sigma > largest, prune.compressed(sigma, largest), sigma)
    assert torch.allclose(evaluated, (u * wanted) @ v, atol=1e-9)
    assert found.removed_energy == pytest.approx(1 - float(wanted.square().sum() / sigma.square().sum()), abs=1e-9)
    counted = prune.restraint(update, largest, count_only=True)
    assert (counted.clipped, counted.correction) == (found.clipped, None)
    assert counted.removed_energy == pytest.approx(found.removed_energy, abs=1e-9)


@fast
@given(ALPHAS, st.floats(0.1, 50.0))
def test_prune_s_compression_is_continuous_and_increasing(alpha: Any, largest: float) -> None:
    prune = Prune(Prune.Config(alpha=alpha), HOST)
    sigma = torch.linspace(0.0, 5 * largest, 1001, dtype=torch.float64)
    compressed = prune.compressed(sigma, largest)
    assert bool((compressed.diff() > 0).all())
    edges = torch.tensor([largest * (1 - 1e-12), largest, largest * (1 + 1e-12)], dtype=torch.float64)
    assert torch.allclose(prune.compressed(edges, largest), torch.full((3,), largest, dtype=torch.float64))


@fast
@given(SEEDS, ALPHAS)
def test_prune_bounds_the_spectral_norm_of_what_is_evaluated(seed: int, alpha: Any) -> None:
    weight, update = normal(seed, 5, 9), 4 * normal(seed + 1, 5, 9)
    largest = float(torch.linalg.matrix_norm(weight, 2))
    prune = Prune(Prune.Config(alpha=alpha), HOST)
    found = prune.restraint(update, largest)
    evaluated = weight + update + (0.0 if found.correction is None else found.correction)
    top = prune.compressed(torch.linalg.matrix_norm(update, 2), largest)
    assert float(torch.linalg.matrix_norm(evaluated, 2)) <= largest + float(top) + 1e-9


def test_prune_does_nothing_while_no_singular_value_exceeds_the_weights_largest() -> None:
    prune = Prune(Prune.Config(), HOST)
    update = torch.diag(torch.tensor([3.0, 2.5, 2.0], dtype=torch.float64))
    assert float(update.norm()) > 3.5  # so that the spectrum is looked at
    assert prune.restraint(update, 3.5).correction is None
    assert prune.restraint(update, 100.0).correction is None
    assert prune.restraint(torch.zeros(3, 3), 1.0).clipped == 0


def test_prune_tells_a_collapsed_model() -> None:
    with pytest.raises(ModelCollapsed, match="not finite"):
        Prune(Prune.Config(), HOST).restraint(torch.full((2, 2), math.nan), 1.0)


@pytest.mark.parametrize("alpha", [1, 0.5, True, "exp", math.inf, None])
def test_prune_refuses_other_bases(alpha: Any) -> None:
    with pytest.raises(ValueError, match='a number above 1, "e" or "linear"'):
        Prune.Config(alpha=alpha)


# SPHERE


@fast
@given(SEEDS, st.floats(0.05, 0.95))
def test_sphere_finds_the_principal_directions_of_the_large_eigenproblem(seed: int, eta: float) -> None:
    weight = normal(seed, 6, 13) * torch.logspace(-1, 1, 13, dtype=torch.float64)
    u = principal_directions(weight, eta)
    unit = weight / weight.norm(dim=1, keepdim=True)
    values, vectors = torch.linalg.eigh(unit.T @ unit / 6)  # d_in × d_in
    shares = values.flip(0).cumsum(0) / values.sum()
    rank = u.shape[1]
    assert rank == int((shares[:6] <= eta).sum()) + 1
    assert rank == 1 or float(shares[rank - 2]) <= eta
    direct = vectors.flip(1)[:, :rank]
    assert torch.allclose(u @ u.T, direct @ direct.T, atol=1e-6)


@fast
@given(SEEDS)
def test_sphere_removes_principal_directions_fully_at_one_and_nothing_at_zero(seed: int) -> None:
    weight, update = normal(seed, 6, 13), factors(seed, 6, 13)
    u = principal_directions(weight, 0.5)
    assert float((full(sphere(alpha=1.0).filter(update, weight, EditReport())) @ u).abs().max()) < 1e-12
    assert torch.equal(full(sphere(alpha=0.0).filter(update, weight, EditReport())), full(update))
    assert sphere(eta=0.0).filter(update, weight, EditReport()) is update


@fast
@given(SEEDS, st.floats(0.0, 1.0))
def test_sphere_s_factors_multiply_to_the_filtered_update(seed: int, alpha: float) -> None:
    weight, update = normal(seed, 6, 13), factors(seed, 6, 13)
    u = principal_directions(weight, 0.5)
    wanted = full(update) @ (torch.eye(13, dtype=torch.float64) - alpha * u @ u.T)
    by_factors = sphere(alpha=alpha).filter(update, weight, EditReport())
    assert by_factors.influence is update.influence and by_factors.delta is None
    assert torch.allclose(full(by_factors), wanted, atol=1e-10)
    assert torch.allclose(
        full(sphere(alpha=alpha).filter(unfactored(update), weight, EditReport())), wanted, atol=1e-10
    )


# REVIVE


@fast
@given(SEEDS, st.floats(0.01, 0.99))
def test_revive_equals_the_coefficient_form_with_full_bases(seed: int, tau: float) -> None:
    weight, update = normal(seed, 6, 11), factors(seed, 6, 11)
    u, sigma, v = torch.linalg.svd(weight, full_matrices=True)  # 6 × 6, 6, 11 × 11
    k = next(i for i in range(1, 7) if float(sigma[:i].sum() / sigma.sum()) >= tau)
    coefficients = u.T @ full(update) @ v.T
    coefficients[:k] = 0
    coefficients[:, :k] = 0
    filter, report = revive(weight, tau=tau), EditReport()
    assert filter.protected[0].left.shape == (6, k) and filter.protected[0].right.shape == (11, k)
    safe = filter.filter(update, weight, report)
    assert torch.allclose(full(safe), u @ coefficients @ v, atol=1e-9)
    assert torch.allclose(full(filter.filter(unfactored(update), weight, EditReport())), full(safe), atol=1e-9)
    assert report.values["protected_rank.0"] == k
    removed = 1 - full(safe).norm() ** 2 / full(update).norm() ** 2
    assert report.values["removed_energy.0"] == pytest.approx(float(removed), abs=1e-9)


@fast
@given(SEEDS)
def test_revive_is_idempotent_and_touches_no_protected_direction(seed: int) -> None:
    weight, update = normal(seed, 6, 11), factors(seed, 6, 11)
    filter = revive(weight, tau=0.5)
    safe = filter.filter(update, weight, EditReport())
    u, v = filter.protected[0]
    assert float((u.T @ full(safe)).abs().max()) < 1e-12
    assert float((full(safe) @ v).abs().max()) < 1e-12
    again = filter.filter(safe, weight, EditReport())
    assert torch.allclose(full(again), full(safe), atol=1e-12)


@fast
@given(SEEDS)
def test_revive_keeps_what_lies_outside_the_row_space_of_the_weight(seed: int) -> None:
    weight = normal(seed, 4, 9)
    u, _, v = torch.linalg.svd(weight, full_matrices=True)
    update = LayerUpdate(0, u[:, 2:] @ normal(seed + 1, 2, 3), v.T[:, 4:] @ normal(seed + 2, 5, 3))
    assert torch.allclose(full(revive(weight, tau=0.1).filter(update, weight, EditReport())), full(update), atol=1e-10)


@fast
@given(SEEDS)
def test_revive_keeps_the_protected_triplets_of_the_pretrained_weight_for_ever(seed: int) -> None:
    weight = normal(seed, 5, 8)
    filter, now = revive(weight, tau=0.6), weight.clone()
    u, sigma, v = torch.linalg.svd(weight, full_matrices=False)
    k = filter.protected[0].left.shape[1]
    for batch in range(4):
        now = now + full(filter.filter(factors(seed + 10 * batch, 5, 8), now, EditReport()))
    assert torch.allclose(u[:, :k].T @ now, sigma[:k, None] * v[:k], atol=1e-9)
    assert torch.allclose(now @ v[:k].T, u[:, :k] * sigma[:k], atol=1e-9)


@fast
@given(SEEDS)
def test_revive_protects_one_direction_at_least_and_all_at_tau_one(seed: int) -> None:
    weight, update = normal(seed, 5, 8), factors(seed, 5, 8)
    assert revive(weight, tau=1e-9).protected[0].left.shape[1] == 1
    everything = revive(weight, tau=1.0)
    assert everything.protected[0].left.shape[1] == 5
    assert float(full(everything.filter(update, weight, EditReport())).abs().max()) < 1e-12


def test_revive_protects_fewer_directions_by_squared_energy_and_follows_the_present_weight() -> None:
    weight = normal(3, 12, 20) * torch.logspace(0, 1, 20, dtype=torch.float64)
    by_sigma, by_square = (revive(weight, tau=0.4, energy=kind) for kind in ("sigma", "sigma_squared"))
    assert by_square.protected[0].left.shape[1] < by_sigma.protected[0].left.shape[1]
    current = Revive(Revive.Config(basis="current"), HOST)
    current.protected = {}
    other, update = normal(4, 12, 20), factors(5, 12, 20)
    wanted = full(revive(other).filter(update, weight, EditReport()))
    assert torch.allclose(full(current.filter(update, other, EditReport())), wanted)
