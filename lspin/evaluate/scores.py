"""What predictions are worth, and how sure that figure is.

Pure functions on arrays: the scores of one fold, the calibration of probabilities,
the test that compares two models fold by fold, and intervals that draw donors, not cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    recall_score,
)

N_BINS = 15
"""Bins of the calibration error, as in Guo et al. (2017)."""


def score(
    truth: ArrayLike, predicted: ArrayLike, proba: np.ndarray, classes: ArrayLike
) -> dict[str, float]:
    """Score one model on one set of cells.

    Parameters
    ----------
    truth, predicted : array-like, shape (n,)
        Class of each cell, and the class the model named.
    proba : ndarray, shape (n, n_classes)
        Predicted probabilities. A support vector machine may name another class than the most
        probable one.
    classes : array-like, shape (n_classes,)
        The classes, sorted: what the columns of `proba` stand for.

    Returns
    -------
    dict
        Of the named classes: ``accuracy``, ``balanced_accuracy``, ``macro_f1`` and
        ``recall_<class>``, the share of each class that was found. Of the probabilities:
        ``log_loss`` (nats, probabilities kept above 2e-16), ``brier`` (squared error, summed over
        classes, from 0 to 2) and ``ece``.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.evaluate import score
    >>> proba = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    >>> found = score(["a", "b", "b"], ["a", "b", "a"], proba, classes=["a", "b"])
    >>> round(found["accuracy"], 2), float(found["recall_b"])
    (0.67, 0.5)
    """
    recall = recall_score(truth, predicted, labels=classes, average=None, zero_division=np.nan)
    return {
        "accuracy": accuracy_score(truth, predicted),
        "balanced_accuracy": balanced_accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        "log_loss": log_loss(truth, proba, labels=classes),
        "brier": brier_score_loss(truth, proba, labels=classes, scale_by_half=False),
        "ece": expected_calibration_error(truth, proba, classes),
        **{
            f"recall_{name}": value for name, value in zip(np.asarray(classes), recall, strict=True)
        },
    }


def expected_calibration_error(
    truth: ArrayLike, proba: np.ndarray, classes: ArrayLike, n_bins: int = N_BINS
) -> float:
    """Return how far confidence is from accuracy, on average over cells ([1]_, equation 3).

    A cell's confidence is the probability of its most probable class. Cells are put into bins
    of equal width by confidence, each bin with its upper edge; the error is the mean over cells
    of the distance between mean confidence and accuracy of the cell's bin. Few cells make it
    larger: it is not 0 for a perfectly calibrated model.

    Parameters
    ----------
    truth : array-like, shape (n,)
        Class of each cell.
    proba : ndarray, shape (n, n_classes)
        Predicted probabilities.
    classes : array-like, shape (n_classes,)
        What the columns of `proba` stand for.
    n_bins : int
        Number of bins.

    Returns
    -------
    float
        From 0 to 1.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger. "On Calibration of Modern Neural Networks". ICML 2017.

    Examples
    --------
    Four cells, each called "a" with 75 %, and three of them right:

    >>> import numpy as np
    >>> from lspin.evaluate import expected_calibration_error
    >>> proba = np.tile([0.75, 0.25], (4, 1))
    >>> expected_calibration_error(["a", "a", "a", "b"], proba, classes=["a", "b"])
    0.0
    """
    confidence = proba.max(axis=1)
    hit = np.asarray(classes)[proba.argmax(axis=1)] == np.asarray(truth)
    bins = np.ceil(confidence * n_bins).astype(int)
    # |sum of (hit - confidence)| of a bin is its number of cells times its distance.
    distance = np.abs(np.bincount(bins, weights=hit - confidence))
    return float(distance.sum() / len(confidence))


class Estimate(NamedTuple):
    """A mean over folds, its interval, and the p-value of its being 0.

    Attributes
    ----------
    mean : float
        Mean over folds.
    low, high : float
        The interval.
    p : float
        The two-sided p-value.

    Examples
    --------
    >>> from lspin.evaluate import Estimate
    >>> Estimate(mean=0.02, low=-0.01, high=0.05, p=0.2).mean
    0.02
    """

    mean: float
    low: float
    high: float
    p: float


def corrected_t_test(
    a: ArrayLike, b: ArrayLike, n_train: float, n_test: float, confidence: float = 0.95
) -> Estimate:
    """Compare two models fold by fold: the corrected resampled t-test ([1]_, section 3; [2]_).

    Folds share most of their training cells, so their scores are not independent and an
    ordinary paired t-test is too sure of itself. Over J folds with differences of variance
    s², this one takes the variance of the mean as ``(1/J + n_test/n_train) s²`` and compares
    with a t distribution of J - 1 degrees of freedom.

    Parameters
    ----------
    a, b : array-like, shape (J,)
        Scores of the two models on the same folds, of all repeats. With ``b = 0`` the result
        is an interval for the score of `a` itself.
    n_train, n_test : float
        Cells that a fold trains and tests on (their means, where folds differ).
    confidence : float
        Of the interval.

    Returns
    -------
    Estimate
        Mean of ``a - b``, its interval, and the two-sided p-value.

    Raises
    ------
    ValueError
        If there are fewer than two folds.

    References
    ----------
    .. [1] Nadeau, Bengio. "Inference for the Generalization Error". Machine Learning 52, 2003.
    .. [2] Bouckaert, Frank. "Evaluating the Replicability of Significance Tests for Comparing
           Learning Algorithms". PAKDD 2004.

    Examples
    --------
    >>> from lspin.evaluate import corrected_t_test
    >>> ours, theirs = [0.80, 0.84, 0.79, 0.81, 0.83], [0.78, 0.80, 0.79, 0.80, 0.80]
    >>> found = corrected_t_test(ours, theirs, n_train=1400, n_test=350)
    >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
    (0.02, -0.009, 0.049)
    """
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    n_folds = len(difference)
    if n_folds < 2:
        raise ValueError(f"An interval needs the scores of at least 2 folds, got {n_folds}.")
    mean = difference.mean()
    error = np.sqrt((1 / n_folds + n_test / n_train) * difference.var(ddof=1))
    half = error * stats.t.ppf((1 + confidence) / 2, n_folds - 1)
    # Without spread there is nothing to test: the two are the same, or differ for sure.
    p = 2 * stats.t.sf(abs(mean) / error, n_folds - 1) if error else float(mean == 0)
    return Estimate(float(mean), float(mean - half), float(mean + half), float(p))


def donor_interval(
    values: ArrayLike, donors: ArrayLike, *, n_boot: int = 1000, random_state: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over cells, with a bootstrap interval that draws donors, not cells.

    Cells of one donor are no independent observations, so all of them are drawn or none.

    Parameters
    ----------
    values : array-like, shape (n,) or (n, m)
        Something measured for each cell.
    donors : array-like, shape (n,)
        Donor of each cell.
    n_boot : int
        How often donors are drawn.
    random_state : int
        Seeds the draws.

    Returns
    -------
    mean, low, high : ndarray, shape () or (m,)
        The mean, and the 2.5th and 97.5th percentile of the bootstrap; NaN without any cell.

    Examples
    --------
    >>> from lspin.evaluate import donor_interval
    >>> mean, low, high = donor_interval([1.0, 1.0, 0.0, 0.0], donors=[7, 7, 8, 9])
    >>> float(mean), float(low), float(high)
    (0.5, 0.0, 1.0)
    """
    values = np.asarray(values, dtype=float)
    if not len(values):
        nothing = np.full(values.shape[1:], np.nan)
        return nothing, nothing, nothing
    names, which = np.unique(np.asarray(donors), return_inverse=True)
    totals = np.zeros((len(names), *values.shape[1:]))
    np.add.at(totals, which, values)
    rng = np.random.default_rng(random_state)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_boot)
    n_cells = times @ np.bincount(which)
    draws = ((times @ totals).T / n_cells).T
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    return values.mean(axis=0), low, high
