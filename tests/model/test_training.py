"""Training a pack gives what training its members one by one gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from lspin.model import (
    ONE_MASK,
    ONE_MASK_OF_VALUES,
    REGULARISATIONS,
    SIGMA,
    Member,
    PackedLSPIN,
    Recipe,
    Regularisation,
    classification_loss,
    fit_members,
    fit_pack,
    gate_values,
    mixed,
    objective,
    regression_loss,
)

SHORT = Recipe(n_steps=30)  # enough where two trainings are compared
PLAIN, MIXED = REGULARISATIONS[3], REGULARISATIONS[5]


@pytest.fixture
def double():
    """In float32 a rounding error grows over the steps to a difference one can see."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def shares_of(labels, n_classes=2):
    return torch.eye(n_classes)[labels]


@pytest.fixture
def problem(double):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(160, 6, generator=generator)
    target = shares_of((x[:, 0] + x[:, 1] > 0).long())
    rows = np.random.default_rng(0).permutation(160)
    members = [
        Member(rows[:120], rows[120:], seed=1, regularisations=(MIXED, PLAIN)),
        Member(rows[40:], rows[:40], seed=2, regularisations=(PLAIN, PLAIN)),
        # other lengths: padding
        Member(rows[30:150], rows[:20], seed=3, regularisations=(REGULARISATIONS[10], MIXED)),
    ]
    return x, target, members


@pytest.mark.parametrize(
    "recipe",
    [
        SHORT,
        replace(SHORT, lam=0.3, n_gating=3),
        replace(SHORT, max_open=2, any_mask=0.5, n_gating=2),
        replace(SHORT, gating="global", predictor="linear", gate_decay=1.0),
    ],
    ids=["dense", "price", "budget", "global"],
)
def test_a_pack_equals_separate_fits(problem, recipe):
    x, target, members = problem
    pack = fit_pack(x, target, members, recipe=recipe)
    for k, member in enumerate(members):
        alone = fit_pack(x, target, [member], recipe=recipe)
        theirs = pack(x)[0].unflatten(0, (3, 2))[k]
        torch.testing.assert_close(theirs, alone(x)[0], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(pack(x)[1][k], alone(x)[1][0], atol=1e-6, rtol=1e-6)


def test_a_pack_equals_separate_fits_of_values(problem):
    x, _, members = problem
    settings = {"recipe": SHORT, "task": "regression"}
    pack = fit_pack(x, x[:, :1], members, **settings)
    alone = fit_pack(x, x[:, :1], members[2:], **settings)
    torch.testing.assert_close(pack(x)[0][4:], alone(x)[0], atol=1e-6, rtol=1e-6)


def test_one_mask_takes_more_steps_unless_told_otherwise():
    assert Recipe().steps(100) == 500 < ONE_MASK.steps(100) == 1000
    assert ONE_MASK_OF_VALUES.steps(100) == 2000
    assert replace(ONE_MASK, n_steps=7).steps(100) == 7
    assert Recipe().steps(10**6) == 20 * 10**6 // 128


def test_cutting_into_packs_changes_nothing(problem):
    x, target, members = problem
    whole = fit_pack(x, target, members, recipe=SHORT)
    cut = fit_members(x, target, members, recipe=SHORT, pack_size=2)
    assert (cut.n_models, cut.n_predictors) == (3, 2)
    torch.testing.assert_close(cut(x)[0], whole(x)[0], atol=1e-6, rtol=1e-6)


def test_the_steps_of_a_network_do_not_depend_on_its_company():
    rng = np.random.default_rng(0)
    rows = np.arange(400)
    members = [Member(rows[:n], rows[-50:], seed=n) for n in (200, 350)]
    small = Recipe(gate_hidden=(2,), predictor_hidden=(2,), min_steps=1)
    assert small.steps(200) < small.steps(350)
    x = torch.tensor(rng.normal(size=(400, 2)), dtype=torch.float32)
    target = shares_of((x[:, 0] > 0).long())
    together = fit_members(x, target, members, recipe=small)
    apart = fit_members(x, target, members, recipe=small, pack_size=1)
    torch.testing.assert_close(together(x[:9])[0], apart(x[:9])[0], atol=1e-3, rtol=1e-3)


def test_fitting_twice_gives_the_same(problem):
    x, target, members = problem
    first, second = (fit_pack(x, target, members, recipe=SHORT) for _ in range(2))
    assert torch.equal(first(x)[0], second(x)[0])


def test_a_higher_price_opens_fewer_gates(problem):
    x, target, members = problem
    n_open = []
    for lam in (0.0, 0.3, 1.0):
        recipe = Recipe(lam=lam, n_steps=100)
        _, mu = fit_pack(x, target, members[:1], recipe=recipe)(x)
        n_open.append(int((gate_values(mu) > 0).sum()))
    assert n_open[0] > n_open[1] > n_open[2]


def test_rows_outside_a_member_never_touch_it(problem):
    x, target, _ = problem
    member = Member(np.arange(60), np.arange(60, 80), seed=1)
    network = fit_pack(x, target, [member], recipe=SHORT)
    spoiled = x.clone()
    spoiled[80:] = 1e6
    # Labels of others too.
    other = fit_pack(spoiled, 1 - target, [member], recipe=SHORT)
    flipped = torch.cat([target[:80], 1 - target[80:]])
    same = fit_pack(spoiled, flipped, [member], recipe=SHORT)
    assert torch.equal(network(x)[0], same(x)[0])
    assert not torch.equal(network(x)[0], other(x)[0])


def test_cells_of_weight_zero_never_touch_the_fit(problem):
    x, target, members = problem
    weight = torch.ones(160)
    member = replace(members[0], regularisations=(PLAIN,))  # no mixtures with others
    weight[member.train[:30]] = 0.0
    fewer = replace(member, train=member.train[30:])
    weighted = fit_pack(x, target, [member], recipe=SHORT, weight=weight)
    flipped = target.clone()
    flipped[member.train[:30]] = 1 - flipped[member.train[:30]]
    same = fit_pack(x, flipped, [member], recipe=SHORT, weight=weight)
    assert torch.equal(weighted(x)[0], same(x)[0])
    without = fit_pack(x, target, [fewer], recipe=SHORT)
    assert not torch.equal(weighted(x)[0], without(x)[0])


def test_without_validation_rows_the_last_step_is_kept(problem):
    x, target, members = problem
    member = replace(members[0], valid=np.empty(0, dtype=int))
    # What is looked at on the way makes no difference then.
    rare, often = (
        fit_pack(x, target, [member], recipe=replace(SHORT, n_checks=n)) for n in (1, 30)
    )
    assert torch.equal(rare(x)[0], often(x)[0])
    checked = fit_pack(x, target, members[:1], recipe=replace(SHORT, n_checks=1))
    assert torch.equal(checked(x)[0], rare(x)[0])  # its only check is at the last step


@pytest.mark.parametrize("gate_decay", [None, 1.0])
def test_each_predictor_has_its_own_weight_decay(double, gate_decay):
    """The first weights of cells that are 0 get no gradient: only the decay moves them."""
    habits = [(Regularisation(0.03, 0.0), Regularisation(1.0, 0.0))] * 2
    habits[1] = habits[1][::-1]
    recipe = Recipe(n_steps=5, learning_rate=0.1, gate_decay=gate_decay, n_gating=2)
    members = [Member(np.arange(9), np.empty(0, dtype=int), k, habits[k]) for k in (0, 1)]
    network = fit_pack(torch.zeros(9, 4), torch.ones(9, 1), members, recipe=recipe)
    start = PackedLSPIN(4, 1, seeds=[0, 1], recipe=recipe, n_predictors=2)
    optimizer = torch.optim.SGD(start.parameters(), lr=0.1)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=5)
    rates = []
    for _ in range(5):
        rates.append(rate.get_last_lr()[0])
        optimizer.step()
        rate.step()

    def shrunk(decay):
        return np.prod([1 - r * decay for r in rates])

    def ratio(layers):
        after, before = (getattr(n, layers)[0].weight for n in (network, start))
        return (after / before).flatten(1)

    for k, decay in enumerate((0.03, 1.0, 1.0, 0.03)):
        expected = torch.full((4 * 64,), shrunk(decay))
        torch.testing.assert_close(ratio("predictor_layers")[k], expected)
    of_gates = shrunk(gate_decay or (0.03 + 1.0) / 2)
    torch.testing.assert_close(ratio("gate_layers"), torch.full((4, 4 * 64), of_gates))


def test_losses_match_their_definitions():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 5, 3, generator=generator)
    shares = torch.rand(2, 5, 3, generator=generator).softmax(dim=2)
    expected = -(shares * logits.log_softmax(dim=2)).sum(dim=2)
    torch.testing.assert_close(classification_loss(logits, shares), expected)
    values = logits[..., :1]
    torch.testing.assert_close(
        regression_loss(values, shares[..., :1]), (values[..., 0] - shares[..., 0]) ** 2
    )


LAM = 0.7


@pytest.fixture
def small_objective():
    """Return networks in float64, and their objective as a function without side effects."""
    seeds = [5, 6]
    recipe = Recipe(lam=LAM, n_gating=2)
    network = PackedLSPIN(6, 3, seeds, recipe, n_predictors=2).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # gates of all kinds: closed, between, and fully open
        for parameter in network.gate_layers.parameters():
            parameter.add_(
                0.5 * torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
            )
    x = torch.randn(2, 30, 6, dtype=torch.float64, generator=generator)
    shares = torch.rand(4, 30, dtype=torch.float64, generator=generator)

    def value(target: torch.Tensor, **settings) -> torch.Tensor:
        for seed, stream in zip(seeds, network.generators, strict=True):
            stream.manual_seed(seed)  # the same noise every time
        return objective(network, x, target, **settings).mean()

    return network, x, shares, value


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("stage", [Recipe().stage(0.5, 6), None], ids=["training", "inference"])
def test_gradient_of_the_objective_matches_finite_differences(small_objective, task, stage):
    network, _, shares, value = small_objective
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(2, 30, 3, dtype=torch.float64, generator=generator).softmax(dim=2)
    if task == "regression":
        target = target[..., :1]
        last = network.predictor_layers[-1]
        last.weight.data, last.bias.data = last.weight.data[..., :1], last.bias.data[..., :1]
    settings = {"task": task, "stage": stage, "shares": None if stage is None else shares}
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
    network, x, _, _ = small_objective
    target = torch.rand(2, 30, 3, dtype=torch.float64).softmax(dim=2)
    with torch.no_grad():
        logits, mu = network(x)
        cost = objective(network, x, target)
    share = norm.cdf((mu.numpy() + 0.5) / SIGMA).mean(axis=2)
    loss = classification_loss(logits, target.repeat_interleave(2, dim=0))
    expected = loss.reshape(2, 2, 30).mean(dim=1).numpy() + LAM * share
    np.testing.assert_allclose(cost.numpy(), expected, atol=1e-8)


def test_mixtures_are_compared_with_mixtures_of_their_targets(small_objective):
    network, x, shares, value = small_objective
    target = shares_of(torch.arange(60).reshape(2, 30) % 3, 3).double()
    stage = Recipe().stage(0.5, 6)._replace(price=0.0)
    with torch.no_grad():
        found = value(target, stage=stage, shares=shares)
        for seed, stream in zip((5, 6), network.generators, strict=True):
            stream.manual_seed(seed)
        logits, _ = network(x, stage, shares)
    expected = classification_loss(logits, mixed(target.repeat_interleave(2, dim=0), shares))
    torch.testing.assert_close(found, expected.mean())
