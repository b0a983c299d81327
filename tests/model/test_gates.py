"""The gate's mathematics against closed forms, Monte Carlo, captum and finite differences."""

import numpy as np
import pytest
import torch
from captum.module import GaussianStochasticGates
from scipy.stats import norm

from lspin.model import SIGMA, gate_values, open_probability, sample_gates

MU = torch.tensor([-3.0, -0.9, -0.5, -0.2, 0.0, 0.3, 0.5, 2.0], dtype=torch.float64)


def draws(n: int = 400_000) -> torch.Tensor:
    noise = torch.randn(n, len(MU), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return sample_gates(MU.expand(n, -1), noise)


def test_inference_gate_is_the_noise_free_sample():
    assert torch.equal(gate_values(MU), sample_gates(MU, torch.zeros_like(MU)))


def test_gate_closes_and_opens_fully():
    gates = gate_values(MU)
    assert (gates[MU <= -0.5] == 0).all()
    assert (gates[MU >= 0.5] == 1).all()


def test_open_probability_is_the_normal_cdf():
    expected = norm.cdf((MU.numpy() + 0.5) / SIGMA)
    np.testing.assert_allclose(open_probability(MU).numpy(), expected, atol=1e-12)


def test_open_probability_is_the_share_of_open_samples():
    share = (draws() > 0).double().mean(dim=0)
    torch.testing.assert_close(share, open_probability(MU), atol=3e-3, rtol=0)


def test_mean_sample_matches_the_clipped_normal():
    # E[clip(N(m, s^2), 0, 1)] with m = mu + 0.5
    m = MU.numpy() + 0.5
    low, high = -m / SIGMA, (1 - m) / SIGMA
    expected = (
        m * (norm.cdf(high) - norm.cdf(low))
        + SIGMA * (norm.pdf(low) - norm.pdf(high))
        + (1 - norm.cdf(high))
    )
    np.testing.assert_allclose(draws().mean(dim=0).numpy(), expected, atol=3e-3)


@pytest.mark.parametrize("function", [open_probability, lambda mu: sample_gates(mu, MU * 0.1)])
def test_gradients_match_finite_differences(function):
    # -0.5 and 0.5 are kinks of the clip without noise; the offset keeps away from them.
    mu = (MU + 0.0137).requires_grad_()
    assert torch.autograd.gradcheck(function, (mu,))


@pytest.fixture
def captum_gates() -> GaussianStochasticGates:
    """Return captum's gates of the same locations; its mu is the mean of the gate, ours + 0.5."""
    gates = GaussianStochasticGates(len(MU), std=SIGMA, reg_reduction="mean").double()
    with torch.no_grad():
        gates.mu.copy_(MU + 0.5)
    return gates


def test_inference_gate_and_open_probability_are_captums(captum_gates):
    torch.testing.assert_close(gate_values(MU), captum_gates.get_gate_values())
    torch.testing.assert_close(open_probability(MU), captum_gates.get_gate_active_probs())


def test_gated_input_penalty_and_their_gradient_are_captums(captum_gates):
    x = torch.randn(50, len(MU), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.random.fork_rng():
        torch.manual_seed(2)
        gated, penalty = captum_gates(x)
        torch.manual_seed(2)
        noise = torch.empty(x.shape).normal_().double()  # captum draws in float32
    mu = MU.clone().requires_grad_()
    ours = x * sample_gates(mu.expand(x.shape), noise)
    torch.testing.assert_close(ours, gated, atol=1e-6, rtol=0)
    torch.testing.assert_close(open_probability(mu).mean(), penalty)
    (ours.square().sum() + open_probability(mu).mean()).backward()
    (gated.square().sum() + penalty).backward()
    torch.testing.assert_close(mu.grad, captum_gates.mu.grad, atol=1e-4, rtol=1e-4)
