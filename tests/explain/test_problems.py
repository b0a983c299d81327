"""Problems with a known truth: what y depends on, and how well it can be predicted at all."""

import numpy as np
import pytest

from lspin.explain import PROBLEMS, SWITCH, SYN_CASES

WIDTH = {"linear_groups": 6, "e5": 21, **{name: 11 for name in SYN_CASES}}
LEAST = {"linear_groups": 4, "e5": 21, **{name: 11 for name in SYN_CASES}}

# Bayes accuracies by Monte Carlo with code of its own and 1e6 samples, to three digits.
BAYES = dict(zip(SYN_CASES, (0.632, 0.824, 0.822, 0.728, 0.727, 0.823), strict=True))

# Relevant columns where x11 is negative, and where it is not.
SETS = {
    "syn1": ({0, 1}, {0, 1}),
    "syn2": ({2, 3, 4, 5}, {2, 3, 4, 5}),
    "syn3": ({6, 7, 8, 9}, {6, 7, 8, 9}),
    "syn4": ({0, 1, 10}, {2, 3, 4, 5, 10}),
    "syn5": ({0, 1, 10}, {6, 7, 8, 9, 10}),
    "syn6": ({2, 3, 4, 5, 10}, {6, 7, 8, 9, 10}),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_seed_gives_the_same_samples_and_another_gives_others(name):
    first, again, other = (PROBLEMS[name](50, WIDTH[name], seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.y, again.y)
    assert not np.array_equal(first.X, other.X)


@pytest.mark.parametrize("name", PROBLEMS)
def test_noise_features_can_be_added_and_are_never_relevant(name):
    problem = PROBLEMS[name](200, 100, random_state=0)
    assert problem.X.shape == problem.relevant.shape == (200, 100)
    assert not problem.relevant[:, LEAST[name] :].any()
    assert problem.name == name


@pytest.mark.parametrize("name", PROBLEMS)
def test_too_few_features_are_refused(name):
    with pytest.raises(ValueError, match=f"at least {LEAST[name]}.*got {LEAST[name] - 1}"):
        PROBLEMS[name](10, LEAST[name] - 1)


@pytest.mark.parametrize("name", SYN_CASES)
def test_bayes_accuracy(name):
    problem = PROBLEMS[name](400_000, 11, random_state=0)
    # 0.0005 for the third digit, 4 standard errors of 400,000 samples.
    assert problem.best_score == pytest.approx(BAYES[name], abs=0.0005 + 0.0016)
    best_guess = problem.expected > 0.5
    assert (best_guess == problem.y).mean() == pytest.approx(BAYES[name], abs=0.0005 + 0.003)


@pytest.mark.parametrize("name", SYN_CASES)
def test_probabilities_are_those_of_the_labels(name):
    problem = PROBLEMS[name](200_000, 11, random_state=3)
    for low in (0.1, 0.3, 0.5, 0.7):
        rows = (problem.expected > low) & (problem.expected < low + 0.1)
        assert problem.y[rows].mean() == pytest.approx(problem.expected[rows].mean(), abs=0.02)


@pytest.mark.parametrize("name", SYN_CASES)
def test_relevant_sets_of_syn_follow_the_sign_of_x11(name):
    problem = PROBLEMS[name](500, 11, random_state=0)
    for row, relevant in zip(problem.X, problem.relevant, strict=True):
        assert set(np.flatnonzero(relevant)) == SETS[name][int(row[SWITCH] >= 0)]


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("syn1", lambda x: x[0] * x[1]),
        ("syn2", lambda x: x[2] ** 2 + x[3] ** 2 + x[4] ** 2 + x[5] ** 2 - 4),
        (
            "syn3",
            lambda x: -10 * np.sin(0.2 * x[6]) + abs(x[7]) + x[8] + np.exp(-x[9]) - 2.4,
        ),
    ],
)
def test_odds_are_those_of_the_paper(name, formula):
    simple = PROBLEMS[name](300, 11, random_state=0)
    for row, expected in zip(simple.X, simple.expected, strict=True):
        odds_of_class_0 = np.exp(formula(row))
        assert 1 - expected == pytest.approx(odds_of_class_0 / (1 + odds_of_class_0))


@pytest.mark.parametrize("name", ["syn4", "syn5", "syn6"])
def test_switched_problems_are_two_simple_ones_joined(name):
    parts = {("product",): "syn1", ("sphere",): "syn2", ("sum",): "syn3"}
    joined = PROBLEMS[name](1000, 11, random_state=0)
    first, second = (PROBLEMS[parts[(case,)]](1000, 11, random_state=0) for case in SYN_CASES[name])
    np.testing.assert_array_equal(joined.X, first.X)
    expected = np.where(joined.X[:, 10] < 0, first.expected, second.expected)
    np.testing.assert_allclose(joined.expected, expected)


def test_e5_takes_its_product_from_x21():
    problem = PROBLEMS["e5"](3000, random_state=0)
    products = {-1: (0, 1), 0: (1, 2), 1: (2, 3)}
    assert set(np.unique(problem.X[:, 20])) == set(products)
    assert set(np.unique(problem.X[:, :20])) == {-1, 1}
    for x, y, relevant in zip(problem.X, problem.y, problem.relevant, strict=True):
        i, j = products[x[20]]
        assert y == x[i] * x[j] + 2 * x[20]
        assert set(np.flatnonzero(relevant)) == {i, j, 20}
    assert problem.relevant.any(axis=0).sum() == 5
    assert problem.best_score == 0


def test_linear_groups_have_a_rule_each():
    problem = PROBLEMS["linear_groups"](3000, 5, random_state=0)
    first = problem.relevant[:, 0]
    x1, x2, x3, x4, noise = problem.X.T
    np.testing.assert_allclose(problem.y, np.where(first, -2 * x1 + x2, x3 - 2 * x4))
    sets = {tuple(row) for row in problem.relevant[:, :4]}
    assert sets == {(True, True, False, False), (False, False, True, True)}
    # The four features tell the groups apart, the noise does not.
    for group, mean in ((first, 1), (~first, -1)):
        np.testing.assert_allclose(problem.X[group, :4].mean(axis=0), mean, atol=0.06)
        np.testing.assert_allclose(problem.X[group, :4].std(axis=0), 0.5, atol=0.03)
        assert abs(noise[group].mean()) < 0.1
