"""Carrying a model over: what each way undoes, and what it takes for granted."""

import numpy as np
import pytest

from lspin.evaluate import correct_priors, match_mixture, match_moments, match_quantiles


def two_classes(n_first, n_second, shift=0.0, seed=0):
    """One measurement, two classes around 0 and 4, and the log odds that know it."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1], [n_first, n_second])
    return rng.normal(4.0 * truth + shift, 1.0)[:, None], truth


def bayes(z):
    """Probabilities for classes that are equally frequent."""
    second = 1 / (1 + np.exp(-4 * (z - 2)))
    return np.hstack([1 - second, second])


def right(z, truth):
    return (bayes(z).argmax(axis=1) == truth).mean()


def test_true_shares_are_found_where_classes_look_alike():
    z, truth = two_classes(1800, 200)
    corrected, share = correct_priors(bayes(z), np.array([0.5, 0.5]))
    assert share == pytest.approx([0.9, 0.1], abs=0.01)
    np.testing.assert_allclose(corrected.sum(axis=1), 1)
    before = (bayes(z).argmax(axis=1) == truth).mean()
    assert (corrected.argmax(axis=1) == truth).mean() > before
    # They are the posterior of Bayes' rule with the shares that were found.
    by_hand = bayes(z) * share / 0.5
    np.testing.assert_allclose(corrected, by_hand / by_hand.sum(axis=1, keepdims=True), atol=1e-3)


def test_a_class_that_nobody_has_does_not_divide_by_zero():
    corrected, share = correct_priors(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0.5, 0.5]))
    assert np.isfinite(corrected).all() and share[0] > 0.999


def test_moments_are_those_of_the_weighted_training_cells():
    rng = np.random.default_rng(0)
    train, new = rng.normal(size=(400, 3)), 7 + 3 * rng.normal(size=(300, 3))
    weights = rng.random(400)
    moved = match_moments(new, train, weights)
    mean = np.average(train, axis=0, weights=weights)
    np.testing.assert_allclose(moved.mean(axis=0), mean, atol=1e-10)
    # A measurement that never varies stays at the mean.
    assert np.isfinite(match_moments(np.ones((5, 3)), train)).all()


def test_quantiles_undo_any_rising_curve():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(500, 2))
    np.testing.assert_allclose(match_quantiles(np.exp(train), train), train, atol=1e-10)


@pytest.mark.parametrize(("first", "second"), [(500, 500), (900, 100), (100, 900)])
def test_the_mixture_is_matched_whatever_the_shares(first, second):
    train, of_class = two_classes(500, 500, seed=1)
    new, truth = two_classes(first, second, shift=10.0, seed=2)
    moved, share = match_mixture(bayes, new, train, of_class)
    assert share[0] == pytest.approx(first / 1000, abs=0.03)
    assert right(moved, truth) > 0.96
    if first != second:  # plain standardising takes equal mixtures for granted
        assert right(match_moments(new, train), truth) < 0.8
