"""A pack of networks is nothing but its members side by side."""

import pytest
import torch

from lspin.model import PackedLSPIN, Recipe, gate_values, mixed

STAGE = Recipe().stage(0.5, n_features=7)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(20, 7, generator=torch.Generator().manual_seed(3))


def test_every_member_equals_the_network_of_its_own_seed(x):
    pack = PackedLSPIN(7, 3, seeds=[11, 12, 13])
    for k, seed in enumerate([11, 12, 13]):
        alone = PackedLSPIN(7, 3, seeds=[seed])
        for together, single in zip(pack(x), alone(x), strict=True):
            torch.testing.assert_close(together[k], single[0])


def test_noise_of_a_member_does_not_depend_on_its_neighbours(x):
    pack, alone = PackedLSPIN(7, 3, seeds=[11, 12]), PackedLSPIN(7, 3, seeds=[12])
    torch.testing.assert_close(pack(x, STAGE)[0][1], alone(x, STAGE)[0][0])


def test_all_gates_start_open(x):
    network = PackedLSPIN(7, 3, seeds=[0])
    torch.nn.init.zeros_(network.gate_layers[-1].weight)
    assert (gate_values(network(x)[1]) == 1).all()


def test_prediction_ignores_a_closed_feature(x):
    network = PackedLSPIN(7, 3, seeds=[0, 1])
    shut = torch.ones(7)
    shut[4] = 0
    changed = x.clone()
    changed[:, 4] += 10
    expand = (2, *x.shape)
    before = network.predict_gated((x * shut).expand(expand))
    after = network.predict_gated((changed * shut).expand(expand))
    torch.testing.assert_close(before, after)


def test_inference_is_noise_free_and_training_is_not(x):
    network = PackedLSPIN(7, 3, seeds=[0])
    assert not torch.equal(network(x, STAGE)[0], network(x, STAGE)[0])
    assert torch.equal(network(x)[0], network(x)[0])


def test_a_mixture_is_of_each_row_and_the_one_before_it():
    rows = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]])
    shares = torch.tensor([[0.5, 1.0, 0.75]])
    expected = torch.tensor([[[2.5, 25.0], [2.0, 20.0], [3.5, 35.0]]])
    torch.testing.assert_close(mixed(rows, shares), expected)


def test_what_the_gates_let_through_is_mixed_and_not_the_cells(x):
    network, again = PackedLSPIN(7, 3, seeds=[4]), PackedLSPIN(7, 3, seeds=[4])
    shares = torch.rand(1, 20, generator=torch.Generator().manual_seed(0))
    output, mu = network(x, STAGE, shares)
    noise = again._noise(mu)  # the same draws
    gated = x * torch.clamp(mu + 0.5 + 0.5 * noise, 0, 1)
    by_hand = shares[..., None] * gated + (1 - shares[..., None]) * gated[:, [-1, *range(19)]]
    torch.testing.assert_close(output, network.predict_gated(by_hand))
    torch.testing.assert_close(mu, network.gate_locations(x[None]))  # gates are of the cells alone
