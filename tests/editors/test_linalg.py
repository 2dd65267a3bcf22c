from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palimpsest.editors.toolkit.linalg import System, cholesky, projected, removed_directions
from palimpsest.harness.errors import EditorError
from palimpsest.harness.model.pristine_statistics import Spectrum

SIZES = {"size": st.integers(2, 24), "columns": st.integers(1, 12), "seed": st.integers(0, 10_000)}


def random(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def moment(size: int, seed: int) -> Tensor:
    keys = random(size, 4 * size, seed + 1)
    return keys @ keys.T / keys.shape[1]


def spectrum(matrix: Tensor) -> Spectrum:
    return Spectrum(*torch.linalg.eigh(matrix))


@settings(max_examples=30, deadline=None)
@given(**SIZES)
def test_memit_equals_the_direct_solve_and_is_the_minimiser(size: int, columns: int, seed: int) -> None:
    c0, k, r = moment(size, seed), random(size, columns, seed + 2), random(5, columns, seed + 3)
    a = System(3.0 * c0, size).solve(k)
    torch.testing.assert_close(a, torch.linalg.solve(3.0 * c0 + k @ k.T, k), rtol=1e-8, atol=1e-8)
    delta = r @ a.T
    torch.testing.assert_close(delta @ k @ k.T + 3.0 * delta @ c0, r @ k.T, rtol=1e-8, atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(size=st.integers(6, 20), columns=st.integers(1, 4), seed=st.integers(0, 1000))
def test_memit_without_regularisation_reaches_the_residual(size: int, columns: int, seed: int) -> None:
    k, r = random(size, columns, seed), random(5, columns, seed + 1)
    delta = r @ System(1e-9 * moment(size, seed), size).solve(k).T
    torch.testing.assert_close(delta @ k, r, rtol=1e-4, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(**SIZES, batches=st.integers(0, 4))
def test_memit_seq_equals_the_direct_solve(size: int, columns: int, seed: int, batches: int) -> None:
    base = 2.0 * moment(size, seed)
    system, past = System(base, size), torch.zeros(size, size, dtype=torch.float64)
    for batch in range(batches):
        block = random(size, columns, seed + 10 + batch)
        system.remember(block)
        past += block @ block.T
    k = random(size, columns, seed + 5)
    torch.testing.assert_close(system.remembered(), past, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(system.solve(k), torch.linalg.solve(base + past + k @ k.T, k), rtol=1e-8, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(**SIZES, batches=st.integers(0, 3), threshold=st.floats(0.2, 2.0))
def test_alphaedit_equals_the_published_non_symmetric_solve(
    size: int, columns: int, seed: int, batches: int, threshold: float
) -> None:
    removed = removed_directions(spectrum(moment(size, seed)), threshold)
    p = torch.eye(size, dtype=torch.float64) - removed @ removed.T
    system, past = System(10.0, size), torch.zeros(size, size, dtype=torch.float64)
    for batch in range(batches):
        block = random(size, columns, seed + 10 + batch)
        system.remember(projected(removed, block))
        past += block @ block.T
    k, r = random(size, columns, seed + 5), random(5, columns, seed + 6)
    delta = r @ system.solve(projected(removed, k)).T
    eye = torch.eye(size, dtype=torch.float64)
    published = torch.linalg.solve(p @ (k @ k.T + past) + 10.0 * eye, p @ k @ r.T).T
    torch.testing.assert_close(delta, published, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(delta @ removed, torch.zeros(5, removed.shape[1], dtype=torch.float64))


def test_the_projector_is_symmetric_idempotent_and_of_the_counted_rank() -> None:
    found = spectrum(moment(20, 0))
    removed = removed_directions(found, 0.7)
    p = projected(removed, torch.eye(20))
    torch.testing.assert_close(p, p.T)
    torch.testing.assert_close(p @ p, p)
    assert int(torch.linalg.matrix_rank(p)) == int((found.values < 0.7).sum()) == 20 - removed.shape[1]
    relative = removed_directions(found, 0.7 / float(found.values[-1]), relative=True)
    assert torch.equal(relative, removed)


def test_alphaedit_with_nothing_removed_is_ridge_regression() -> None:
    k, r = random(8, 3, 1), random(4, 3, 2)
    nothing = removed_directions(spectrum(moment(8, 0)), 1e9)
    delta = r @ System(10.0, 8).solve(projected(nothing, k)).T
    ridge = r @ k.T @ torch.linalg.inv(k @ k.T + 10.0 * torch.eye(8, dtype=torch.float64))
    torch.testing.assert_close(delta, ridge, rtol=1e-10, atol=1e-10)


def test_many_batches_are_folded_and_stay_exact() -> None:
    base = moment(30, 0)
    system, past = System(base, 30), torch.zeros(30, 30, dtype=torch.float64)
    for batch in range(45):
        k = random(30, 1, 100 + batch)
        torch.testing.assert_close(system.solve(k), torch.linalg.solve(base + past + k @ k.T, k), rtol=1e-8, atol=1e-8)
        system.remember(k)
        past += k @ k.T
    assert system.refactorisations >= 2


def test_a_poor_factor_is_noticed_and_replaced() -> None:
    system, k = System(moment(10, 0), 10), random(10, 2, 1)
    system.remember(random(10, 2, 2))
    exact = system.solve(k)
    system._halves[0] *= 1.01  # as if rounding had piled up
    torch.testing.assert_close(system.solve(k), exact, rtol=1e-8, atol=1e-8)
    assert system.refactorisations == 1


@pytest.mark.parametrize("batches", [3, 25])
@pytest.mark.parametrize("base", [10.0, None])
def test_a_restored_system_gives_the_same_bits(base: float | None, batches: int) -> None:
    def fresh() -> System:
        return System(moment(40, 0) if base is None else base, 40)

    whole = fresh()
    for batch in range(batches):
        whole.remember(random(40, 2, batch))
    again = fresh()
    again.load_state_dict({name: t.clone() for name, t in whole.state_dict().items()})
    for batch in range(30):
        k = random(40, 2, 1000 + batch)
        assert torch.equal(whole.solve(k), again.solve(k))
        whole.remember(k)
        again.remember(k)


def test_wrong_states_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        System(1.0, 4).load_state_dict({"folded": torch.zeros(3, 3)})
    with pytest.raises(ValueError, match="does not fit"):
        System(1.0, 4).load_state_dict({"other": torch.zeros(4, 4)})


def test_a_singular_moment_gets_a_jitter_and_an_indefinite_one_is_an_error() -> None:
    key = random(6, 1, 0)
    factor = cholesky(key @ key.T)
    torch.testing.assert_close(factor @ factor.T, key @ key.T, atol=1e-8, rtol=1e-8)
    with pytest.raises(EditorError, match="positive definite"):
        cholesky(-torch.eye(3, dtype=torch.float64))


def test_keys_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(EditorError, match="not finite"):
        System(1.0, 3).solve(torch.full((3, 1), float("nan")))
