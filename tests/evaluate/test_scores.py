"""Scores and their uncertainty, against closed forms, scipy and made-up cases."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import brier_score_loss, recall_score

from lspin.evaluate import corrected_t_test, expected_calibration_error, score
from lspin.model import one_standard_error

CLASSES = ["a", "b", "c"]


def proba_of(confidence, named):
    """Give the named class this confidence and share the rest among the two others."""
    proba = np.repeat((1 - np.asarray(confidence))[:, None] / 2, 3, axis=1)
    proba[np.arange(len(named)), named] = confidence
    return proba


def test_calibration_error_of_a_case_done_by_hand():
    # Bins of width 1/5. Upper one: confidences .9 and .84, one of two right -> |.87 - .5| = .37.
    # Lower one: confidences .5, .5, .44, all right -> |.48 - 1| = .52. An edge belongs below: .8.
    proba = proba_of([0.9, 0.84, 0.5, 0.5, 0.44], [0, 1, 2, 2, 0])
    truth = ["a", "c", "c", "c", "a"]
    expected = (2 * 0.37 + 3 * 0.52) / 5
    assert expected_calibration_error(truth, proba, CLASSES, n_bins=5) == pytest.approx(expected)
    proba, truth = proba_of([0.75, 0.7, 0.74, 0.8], [0, 0, 0, 0]), ["a", "a", "a", "b"]
    assert expected_calibration_error(truth, proba, CLASSES, n_bins=4) == pytest.approx(
        (abs(0.75 + 0.7 + 0.74 - 3) + 0.8) / 4
    )


def test_calibration_error_of_calibrated_and_overconfident_models():
    rng = np.random.default_rng(0)
    confidence, named = rng.uniform(0.4, 1, 20_000), rng.integers(3, size=20_000)
    other = (named + rng.integers(1, 3, size=20_000)) % 3
    right = rng.random(20_000) < confidence
    truth = np.array(CLASSES)[np.where(right, named, other)]
    calibrated = expected_calibration_error(truth, proba_of(confidence, named), CLASSES)
    assert calibrated < 0.015
    # Every cell is 0.2 too sure, so that is the error.
    right = rng.random(20_000) < confidence - 0.2
    truth = np.array(CLASSES)[np.where(right, named, other)]
    error = expected_calibration_error(truth, proba_of(confidence, named), CLASSES)
    assert error == pytest.approx(0.2, abs=0.015)
    # Few cells alone make it large.
    assert expected_calibration_error(truth[:50], proba_of(confidence, named)[:50], CLASSES) > 0.1


def test_brier_score_is_the_sum_of_the_binary_ones():
    rng = np.random.default_rng(1)
    proba, truth = rng.dirichlet([1, 1, 1], 60), rng.choice(CLASSES, 60)
    binary = [brier_score_loss(truth == name, proba[:, k]) for k, name in enumerate(CLASSES)]
    assert score(truth, truth, proba, CLASSES)["brier"] == pytest.approx(sum(binary))


def test_scores_of_a_case_done_by_hand():
    truth = ["a", "a", "a", "b", "b", "c"]
    predicted = ["a", "a", "b", "b", "b", "a"]
    # The last cell is named "a" though "c" is more probable, as a support vector machine may.
    proba = proba_of([0.8, 0.8, 0.5, 0.8, 0.8, 0.5], [0, 0, 1, 1, 1, 2])
    found = score(truth, predicted, proba, CLASSES)
    assert found["accuracy"] == pytest.approx(4 / 6)
    recalls = [2 / 3, 1, 0]
    assert [found[f"recall_{name}"] for name in CLASSES] == pytest.approx(recalls)
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert found["macro_f1"] == pytest.approx(np.mean([2 / 3, 4 / 5, 0]))
    assert found["log_loss"] == pytest.approx(-(4 * np.log(0.8) + np.log(0.25) + np.log(0.5)) / 6)
    # The probabilities' own choice is right in five cells: 4 at .8, and one of two at .5.
    assert found["ece"] == pytest.approx((4 * 0.2 + 2 * 0) / 6)
    assert recall_score(truth, predicted, average="macro") == found["balanced_accuracy"]


def test_corrected_test_is_the_formula():
    a = np.array([0.90, 0.88, 0.91, 0.87, 0.92])
    b = np.array([0.88, 0.87, 0.88, 0.88, 0.89])
    # Differences .02 .01 .03 -.01 .03: mean .016, variance .00028; 1/5 + 100/400 = .45.
    error = np.sqrt(0.45 * 0.00028)
    found = corrected_t_test(a, b, n_train=400, n_test=100)
    assert found.mean == pytest.approx(0.016)
    assert found.p == pytest.approx(2 * (1 - stats.t.cdf(0.016 / error, df=4)))
    assert found.high - found.mean == pytest.approx(2.7764451 * error)
    assert found.mean - found.low == pytest.approx(2.7764451 * error)


def test_without_the_correction_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.9, 0.02, (2, 15))
    ordinary = stats.ttest_rel(a, b)
    plain = corrected_t_test(a, b, n_train=1, n_test=0)
    interval = ordinary.confidence_interval()
    assert plain.p == pytest.approx(ordinary.pvalue)
    assert (plain.low, plain.high) == pytest.approx((interval.low, interval.high))
    corrected = corrected_t_test(a, b, n_train=4, n_test=1)
    assert corrected.p > plain.p and corrected.low < plain.low


def test_models_without_spread_and_single_folds():
    same = [0.5, 0.75, 0.5]
    assert corrected_t_test(same, same, 4, 1) == (0, 0, 0, 1)
    assert corrected_t_test(same, np.array(same) - 0.25, 4, 1) == (0.25, 0.25, 0.25, 0)
    with pytest.raises(ValueError, match="at least 2 folds, got 1"):
        corrected_t_test([0.5], [0.4], 4, 1)


def test_one_standard_error_takes_the_sparsest_that_is_good_enough():
    def scores(settings, *means):  # a standard error of 0.1 / sqrt(4) of each
        return dict(zip(settings, (m + spread for m in means), strict=True))

    spread = 0.1 * np.array([-1, -1, 1, 1]) / np.sqrt(4 / 3)
    assert np.std(spread, ddof=1) == pytest.approx(0.1)
    for simplest, settings in (("largest", (0.0, 0.5, 1.0, 2.0)), ("least", (np.inf, 9, 4, 1))):

        def chosen(*means, simplest=simplest, settings=settings):
            return one_standard_error(scores(settings, *means), simplest=simplest)

        assert chosen(0.80, 0.79, 0.755, 0.70) == settings[2]
        assert chosen(0.80, 0.79, 0.745, 0.70) == settings[1]
        assert chosen(0.70, 0.74, 0.76, 0.80) == settings[3]
    # It is the spread of the best that counts, and the order of the settings does not.
    sure = {9: [0.8, 0.8, 0.8], 2: [0.5, 1.0, 0.899]}
    assert one_standard_error(sure) == 9
    assert one_standard_error(dict(reversed(sure.items()))) == 9
    assert one_standard_error({1: [0.8, 0.8], 2: [0.8, 0.8]}) == 1
