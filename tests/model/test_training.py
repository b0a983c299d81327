"""Training a pack gives what training its members one by one gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from lspin.model import (
    SIGMA,
    Member,
    PackedLSPIN,
    Recipe,
    classification_loss,
    fit_members,
    fit_pack,
    gate_values,
    objective,
    regression_loss,
)

SHORT = Recipe(n_steps=60, mixup=0.0)  # enough where two trainings are compared


@pytest.fixture
def double():
    """In float32 a rounding error grows over the steps to a difference one can see."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def problem(double):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(160, 6, generator=generator)
    target = (x[:, 0] + x[:, 1] > 0).long()
    rows = np.random.default_rng(0).permutation(160)
    members = [
        Member(rows[:120], rows[120:], lam=0.1, seed=1),
        Member(rows[40:], rows[:40], lam=1.0, seed=2),
        Member(rows[30:150], rows[:20], lam=0.0, seed=3),  # other lengths: padding
    ]
    return x, target, members


@pytest.mark.parametrize(
    "recipe",
    [
        SHORT,
        replace(SHORT, mixup=0.4),
        replace(SHORT, max_open=2.0),
        replace(SHORT, gating="linear"),
        replace(SHORT, gating="global", predictor="linear"),
    ],
    ids=str,
)
def test_a_pack_equals_separate_fits(problem, recipe):
    x, target, members = problem
    pack = fit_pack(x, target, members, n_outputs=2, recipe=recipe)
    for k, member in enumerate(members):
        alone = fit_pack(x, target, [member], n_outputs=2, recipe=recipe)
        torch.testing.assert_close(pack(x)[0][k], alone(x)[0][0], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(pack(x)[1][k], alone(x)[1][0], atol=1e-6, rtol=1e-6)


def test_a_budget_takes_more_steps_unless_told_otherwise():
    assert Recipe().steps(100) == 300 < Recipe(max_open=2.0).steps(100) == 1000
    assert Recipe(max_open=2.0, n_steps=7).steps(100) == 7
    assert Recipe().steps(10**6) == 5 * 10**6 // 128


def test_cutting_into_packs_changes_nothing(problem):
    x, target, members = problem
    whole = fit_pack(x, target, members, n_outputs=2, recipe=SHORT)
    cut = fit_members(x, target, members, n_outputs=2, recipe=SHORT, pack_size=2)
    assert cut.n_members == 3
    torch.testing.assert_close(cut(x)[0], whole(x)[0], atol=1e-6, rtol=1e-6)


def test_fitting_twice_gives_the_same(problem):
    x, target, members = problem
    first, second = (fit_pack(x, target, members, n_outputs=2, recipe=SHORT) for _ in range(2))
    assert torch.equal(first(x)[0], second(x)[0])


def test_a_larger_lambda_opens_fewer_gates(problem):
    x, target, members = problem
    train, valid = members[0].train, members[0].valid
    path = [Member(train, valid, lam, seed=5) for lam in (0.0, 0.3, 1.0)]
    _, mu = fit_pack(x, target, path, n_outputs=2, recipe=Recipe(mixup=0.0))(x)
    n_open = (gate_values(mu) > 0).sum(dim=(1, 2))
    assert n_open[0] > n_open[1] > n_open[2]


def test_rows_outside_a_member_never_touch_it(problem):
    x, target, members = problem
    member = Member(np.arange(60), np.arange(60, 80), lam=0.1, seed=1)
    network = fit_pack(x, target, [member], n_outputs=2, recipe=SHORT)
    spoiled = x.clone()
    spoiled[80:] = 1e6
    # Labels of others too.
    other = fit_pack(spoiled, 1 - target, [member], n_outputs=2, recipe=SHORT)
    flipped = torch.cat([target[:80], 1 - target[80:]])
    same = fit_pack(spoiled, flipped, [member], n_outputs=2, recipe=SHORT)
    assert torch.equal(network(x)[0], same(x)[0])
    assert not torch.equal(network(x)[0], other(x)[0])


def test_cells_of_weight_zero_never_touch_the_fit(problem):
    x, target, members = problem
    weight = torch.ones(160)
    weight[members[0].train[:30]] = 0.0
    member = members[0]
    fewer = Member(member.train[30:], member.valid, member.lam, member.seed)
    weighted = fit_pack(x, target, [member], n_outputs=2, recipe=SHORT, weight=weight)
    flipped = target.clone()
    flipped[member.train[:30]] = 1 - flipped[member.train[:30]]
    same = fit_pack(x, flipped, [member], n_outputs=2, recipe=SHORT, weight=weight)
    assert torch.equal(weighted(x)[0], same(x)[0])
    without = fit_pack(x, target, [fewer], n_outputs=2, recipe=SHORT)
    assert not torch.equal(weighted(x)[0], without(x)[0])


def test_losses_match_their_definitions():
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([[0, 1, 2, 1, 0], [2, 2, 1, 0, 1]])
    log_p = logits.log_softmax(dim=2)
    of_label = -log_p.gather(2, target[..., None]).squeeze(2)
    expected = (1 - 0.2) * of_label - 0.2 * log_p.mean(dim=2)
    torch.testing.assert_close(classification_loss(logits, target, 0.2), expected)
    values = logits[..., :1]
    torch.testing.assert_close(
        regression_loss(values, target.float()), (values[..., 0] - target) ** 2
    )


@pytest.fixture
def small_objective():
    """Return networks in float64, and their objective as a function without side effects."""
    seeds = [5, 6]
    network = PackedLSPIN(6, 3, seeds).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # gates of all kinds: closed, between, and fully open
        for parameter in network.gate_layers.parameters():
            parameter.add_(
                0.5 * torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
            )
    x = torch.randn(2, 30, 6, dtype=torch.float64, generator=generator)
    lam = torch.tensor([0.3, 2.0], dtype=torch.float64)

    def value(target: torch.Tensor, **settings) -> torch.Tensor:
        for seed, stream in zip(seeds, network.generators, strict=True):
            stream.manual_seed(seed)  # the same noise every time
        return objective(network, x, target, lam, **settings).mean()

    return network, x, lam, value


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("stage", [Recipe().stage(0.5, 6), None], ids=["training", "inference"])
def test_gradient_of_the_objective_matches_finite_differences(small_objective, task, stage):
    network, _, _, value = small_objective
    generator = torch.Generator().manual_seed(1)
    if task == "classification":
        target = torch.randint(3, (2, 30), generator=generator)
    else:
        target = torch.randn(2, 30, dtype=torch.float64, generator=generator)
        last = network.predictor_layers[-1]
        last.weight.data, last.bias.data = last.weight.data[..., :1], last.bias.data[..., :1]
    settings = {"task": task, "stage": stage}
    value(target, **settings).backward()
    step = 1e-6
    for parameter in filter(lambda p: p.requires_grad, network.parameters()):
        direction = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
        slope = (parameter.grad * direction).sum()
        assert slope != 0
        around = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * step * direction)
                around.append(value(target, **settings))
                parameter.sub_(sign * step * direction)
        difference = (around[0] - around[1]) / (2 * step)
        torch.testing.assert_close(difference, slope, atol=1e-7, rtol=1e-4)


def test_objective_is_the_loss_plus_lambda_times_the_mean_open_probability(small_objective):
    network, x, lam, _ = small_objective
    target = torch.randint(3, (2, 30), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, mu = network(x)
        cost = objective(network, x, target, lam)
    share = norm.cdf((mu.numpy() + 0.5) / SIGMA).mean(axis=2)
    expected = (
        classification_loss(logits, target, network.recipe.label_smoothing).numpy()
        + lam[:, None].numpy() * share
    )
    np.testing.assert_allclose(cost.numpy(), expected, atol=1e-8)
