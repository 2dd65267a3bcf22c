"""What DeltaEdit's rules promise, in both orientations of the weight."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palimpsest.editors.alphaedit import AlphaEdit
from palimpsest.editors.deltaedit import DeltaEdit
from tests.editors.small import BOTH, NULL, bits, prepared, same
from tests.labs.tiny_models import REQUESTS


def test_deltaedit_that_is_never_triggered_is_alphaedit_for_single_edits() -> None:
    """Up to what differs by design: the keys that are remembered, and the stop by probability."""
    delta = prepared(DeltaEdit, NULL | {"deviations": 1e12, "early_stop_probability": 2.0})
    alpha = prepared(AlphaEdit, NULL)
    alpha.keys_to_remember = lambda _, solved: solved
    for request in REQUESTS:
        delta.edit([request])
        alpha.edit([request])
        assert same(bits(delta, delta.model), bits(alpha, alpha.model))
    assert delta.state_dict().keys() - alpha.state_dict().keys() == {"disturbance"}


@pytest.mark.parametrize(("trigger", "low"), [("paper", False), ("reference", True)])
def test_deltaedits_statistics_equal_those_by_hand(trigger: str, low: bool) -> None:
    editor = prepared(DeltaEdit, NULL | {"trigger": trigger, "deviations": 2.0})
    mean, variance = 1.0, 0.0
    for number in range(25):
        nu = 1.0 + 0.1 * (-1) ** number
        mean = 0.9 * mean + 0.1 * nu if number else 0.9 * nu + 0.1 * nu
        variance = 0.9 * variance + 0.1 * (nu - mean) ** 2
        assert not editor.constrains(nu)
        assert (editor.mean, editor.variance) == pytest.approx((mean, variance))
    assert editor.constrains(mean + 2.1 * variance**0.5)
    assert editor.constrains(mean - 2.1 * variance**0.5) is low
    if low:
        assert (editor.mean, editor.variance) == pytest.approx((mean, variance)), "frozen when triggered"


def test_deltaedit_is_not_triggered_during_its_first_twenty_edits() -> None:
    editor = prepared(DeltaEdit, NULL)
    assert not any(editor.constrains(1.0 + number % 2) for number in range(19))
    assert not editor.constrains(1e6)


@BOTH
@pytest.mark.parametrize("share", [0.25, 0.75])
def test_a_constrained_influence_is_orthogonal_to_the_removed_directions(
    architecture: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = prepared(DeltaEdit, NULL | {"max_removed_share": share}, architecture)
    for request in REQUESTS[:3]:
        editor.edit([request])
    monkeypatch.setattr(editor, "constrains", lambda disturbance: True)
    kept: list[Tensor] = []
    directions = editor.directions

    def noted(*given: Tensor) -> Tensor:
        kept.append(directions(*given))
        return kept[-1]

    monkeypatch.setattr(editor, "directions", noted)
    targets = editor.find_targets(REQUESTS[3:5])
    (u,) = kept
    assert 0 < u.shape[1] <= share * 32
    torch.testing.assert_close(u.T @ u, torch.eye(u.shape[1], dtype=torch.float64))
    shift = (targets.z - targets.start).double()
    assert float((u.T @ shift).norm()) < 1e-5 * float(shift.norm())
    assert float(shift.norm()) > 0


@settings(max_examples=20, deadline=None)
@given(rank=st.integers(1, 6), scale=st.floats(0.01, 10.0), seed=st.integers(0, 1000))
def test_removed_directions_lead_and_exceed_the_floor(rank: int, scale: float, seed: int) -> None:
    noise = torch.Generator().manual_seed(seed)
    update = scale * torch.randn(12, rank, generator=noise).double() @ torch.randn(rank, 30, generator=noise).double()
    disturbance = update @ torch.randn(30, 1, generator=noise).double()
    u = DeltaEdit(DeltaEdit.Config(**NULL)).directions(update, disturbance)
    gram = update @ update.T + disturbance @ disturbance.T
    values = torch.linalg.eigvalsh(gram).flip(0)
    assert u.shape[1] == min(3, int((values > 0.1).sum()))
    shares = torch.linalg.eigvalsh(u.T @ gram @ u).flip(0)
    torch.testing.assert_close(shares, values[: u.shape[1]], rtol=1e-8, atol=1e-8 * float(values[0]))
