"""Training a pack gives what training its members one by one gives."""

import numpy as np
import pytest
import torch

from lspin.gates import gate_values
from lspin.training import (
    LABEL_SMOOTHING,
    Member,
    classification_loss,
    fit_members,
    fit_pack,
    regression_loss,
)


@pytest.fixture
def problem():
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


def test_a_pack_equals_separate_fits(problem):
    x, target, members = problem
    pack = fit_pack(x, target, members, n_outputs=2)
    for k, member in enumerate(members):
        alone = fit_pack(x, target, [member], n_outputs=2)
        torch.testing.assert_close(pack(x)[0][k], alone(x)[0][0], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(pack(x)[1][k], alone(x)[1][0], atol=1e-3, rtol=1e-3)


def test_cutting_into_packs_changes_nothing(problem, monkeypatch):
    x, target, members = problem
    whole = fit_pack(x, target, members, n_outputs=2)
    monkeypatch.setattr("lspin.training.PACK_SIZE", 2)
    cut = fit_members(x, target, members, n_outputs=2)
    assert cut.n_members == 3 and not cut.training
    torch.testing.assert_close(cut(x)[0], whole(x)[0], atol=1e-3, rtol=1e-3)


def test_fitting_twice_gives_the_same(problem):
    x, target, members = problem
    first, second = (fit_pack(x, target, members, n_outputs=2) for _ in range(2))
    assert torch.equal(first(x)[0], second(x)[0])


def test_a_larger_lambda_opens_fewer_gates(problem):
    x, target, members = problem
    train, valid = members[0].train, members[0].valid
    path = [Member(train, valid, lam, seed=5) for lam in (0.0, 0.3, 1.0)]
    _, mu = fit_pack(x, target, path, n_outputs=2)(x)
    n_open = (gate_values(mu) > 0).sum(dim=(1, 2))
    assert n_open[0] > n_open[1] > n_open[2]


def test_rows_outside_a_member_never_touch_it(problem):
    x, target, members = problem
    member = Member(np.arange(60), np.arange(60, 80), lam=0.1, seed=1)
    network = fit_pack(x, target, [member], n_outputs=2)
    spoiled = x.clone()
    spoiled[80:] = 1e6
    other = fit_pack(spoiled, 1 - target, [member], n_outputs=2)  # labels of others too
    flipped = torch.cat([target[:80], 1 - target[80:]])
    same = fit_pack(spoiled, flipped, [member], n_outputs=2)
    assert torch.equal(network(x)[0], same(x)[0])
    assert not torch.equal(network(x)[0], other(x)[0])


def test_cells_of_weight_zero_never_touch_the_fit(problem):
    x, target, members = problem
    weight = torch.ones(160)
    weight[members[0].train[:30]] = 0.0
    member = members[0]
    fewer = Member(member.train[30:], member.valid, member.lam, member.seed)
    weighted = fit_pack(x, target, [member], n_outputs=2, weight=weight)
    flipped = target.clone()
    flipped[member.train[:30]] = 1 - flipped[member.train[:30]]
    same = fit_pack(x, flipped, [member], n_outputs=2, weight=weight)
    assert torch.equal(weighted(x)[0], same(x)[0])
    assert not torch.equal(weighted(x)[0], fit_pack(x, target, [fewer], n_outputs=2)(x)[0])


def test_losses_match_their_definitions():
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([[0, 1, 2, 1, 0], [2, 2, 1, 0, 1]])
    log_p = logits.log_softmax(dim=2)
    of_label = -log_p.gather(2, target[..., None]).squeeze(2)
    expected = (1 - LABEL_SMOOTHING) * of_label - LABEL_SMOOTHING * log_p.mean(dim=2)
    torch.testing.assert_close(classification_loss(logits, target), expected)
    values = logits[..., :1]
    torch.testing.assert_close(
        regression_loss(values, target.float()), (values[..., 0] - target) ** 2
    )
