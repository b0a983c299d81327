"""A pack of networks is nothing but its models side by side."""

from dataclasses import replace

import pytest
import torch

from lspin.model import PackedLSPIN, Recipe, gate_values, mixed

STAGE = Recipe().stage(0.5, n_features=7)
SEVERAL = Recipe(n_gating=3)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(20, 7, generator=torch.Generator().manual_seed(3))


def test_every_model_equals_the_one_of_its_own_seed(x):
    pack = PackedLSPIN(7, 3, [11, 12, 13], SEVERAL, n_predictors=2)
    output, mu = pack(x)
    for k, seed in enumerate([11, 12, 13]):
        alone = PackedLSPIN(7, 3, [seed], SEVERAL, n_predictors=2)
        torch.testing.assert_close(output[2 * k : 2 * k + 2], alone(x)[0])
        torch.testing.assert_close(mu[k], alone(x)[1][0])


@pytest.mark.parametrize("any_mask", [0.0, 0.5])
def test_noise_of_a_model_does_not_depend_on_its_neighbours(x, any_mask):
    stage = STAGE._replace(any_mask=any_mask)
    pack, alone = PackedLSPIN(7, 3, seeds=[11, 12]), PackedLSPIN(7, 3, seeds=[12])
    torch.testing.assert_close(pack(x, stage)[0][1], alone(x, stage)[0][0])


def test_joined_packs_are_their_models_in_order(x):
    one = PackedLSPIN(7, 3, [1, 2], SEVERAL, n_predictors=2)
    other = PackedLSPIN(7, 3, [3], SEVERAL, n_predictors=2)
    joined = PackedLSPIN.joined([one, other])
    for part in (0, 1):
        both = torch.cat([one(x)[part], other(x)[part]])
        torch.testing.assert_close(joined(x)[part], both)


def test_a_gate_is_where_the_gating_networks_say_on_average(x):
    network = PackedLSPIN(7, 3, [4], SEVERAL)
    hidden = x.expand(3, 20, 7)
    for layer in network.gate_layers[:-1]:
        hidden = torch.relu(layer(hidden))
    by_hand = network.gate_layers[-1](hidden).mean(dim=0)
    torch.testing.assert_close(network(x)[1][0], by_hand)


def test_all_gates_start_open(x):
    network = PackedLSPIN(7, 3, seeds=[0])
    torch.nn.init.zeros_(network.gate_layers[-1].weight)
    assert (gate_values(network(x)[1]) == 1).all()


def test_global_gates_are_those_of_every_cell(x):
    _, mu = PackedLSPIN(7, 3, [0], Recipe(gating="global"))(x)
    assert (mu == mu[:, :1]).all()


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
    network, again = (PackedLSPIN(7, 3, [4], n_predictors=2) for _ in range(2))
    shares = torch.rand(2, 20, generator=torch.Generator().manual_seed(0))
    output, mu = network(x, STAGE, shares)
    noise = again._noise(mu)  # the same draws
    gated = (x * torch.clamp(mu + 0.5 + 0.5 * noise, 0, 1)).expand(2, 20, 7)
    by_hand = shares[..., None] * gated + (1 - shares[..., None]) * gated[:, [-1, *range(19)]]
    torch.testing.assert_close(output, network.predict_gated(by_hand))
    torch.testing.assert_close(mu, network.gate_locations(x[None]))  # gates are of the cells alone


def test_some_cells_are_seen_through_any_mask():
    network = PackedLSPIN(8, 3, seeds=[0, 1])
    gates = torch.full((2, 5000, 8), 0.37)
    seen = network._any_mask(gates, 0.3)
    is_own = (seen == 0.37).all(dim=2)
    torch.testing.assert_close(
        is_own.float().mean(dim=1), torch.tensor([0.7, 0.7]), atol=0.03, rtol=0
    )
    others = seen[~is_own]
    assert set(others.unique().tolist()) == {0.0, 1.0}
    # A mask of any size is as likely as one of any other.
    sizes = others.sum(dim=1).long().bincount(minlength=9) / len(others)
    torch.testing.assert_close(sizes, torch.full((9,), 1 / 9), atol=0.02, rtol=0)
    assert (network._any_mask(gates, 1.0) != 0.37).all()


def test_random_masks_grow_rare_in_a_training():
    recipe = Recipe(any_mask=0.8, mask_ramp=0.8, least_any_mask=0.1)
    shares = [recipe.stage(done, 7).any_mask for done in (0.0, 0.4, 0.8, 1.0)]
    assert shares == pytest.approx([0.8, 0.4, 0.1, 0.1])
    assert Recipe().stage(0.0, 7).any_mask == 0


def test_a_budget_falls_from_all_gates_to_its_end():
    recipe = Recipe(max_open=2, budget_ramp=0.8)
    n_open = [recipe.stage(done, 8).n_open for done in (0.0, 0.4, 0.8, 1.0)]
    assert n_open == pytest.approx([8, 4, 2, 2])
    for max_open in (8, 9, None):
        assert replace(recipe, max_open=max_open).stage(0.5, 8).n_open is None


@pytest.mark.parametrize("n_open", [1, 3, 6])
def test_the_highest_gates_of_a_cell_stay_open_and_no_more(x, n_open):
    free, network = (PackedLSPIN(7, 3, [0, 1], Recipe(max_open=n)) for n in (None, n_open))
    for dtype in (torch.float32, torch.float64):
        cells = torch.randn(5000, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
        before = free.to(dtype)(cells)[1] + 0.5
        opened = gate_values(network.to(dtype)(cells)[1]) > 0
        assert opened.sum(dim=2).max() == n_open
        highest = before >= before.topk(n_open, dim=2).values[..., -1:]
        assert (opened <= highest).all()
        is_full = (before > 0).sum(dim=2) > n_open  # others had enough closed by themselves
        assert (opened.sum(dim=2) == n_open)[is_full].all()
        assert torch.equal(opened[~is_full], (before > 0)[~is_full])


def test_a_cell_keeps_its_gates_whatever_cells_are_beside_it(x):
    network = PackedLSPIN(7, 3, [0, 1], Recipe(max_open=2)).double()
    x = x.double()
    torch.testing.assert_close(network(x)[1][:, 3:5], network(x[3:5])[1])
