"""How a trained model is carried to a table that was recorded elsewhere, without any label of it.

The model stays as it is. Either its inputs are moved, so that the new cells lie where the training
cells lie (:func:`match_moments`, :func:`match_quantiles`), or its answers are corrected for classes
that are more or less frequent than they were in training (:func:`correct_priors`), or both by turns
(:func:`match_mixture`). None is safe: each assumes something that the new table does not say, and
the functions tell what.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

FARTHEST = 5.0
"""Inputs are kept within so many standard deviations, as in `lspin.features.table_inputs`."""


def correct_priors(
    proba: np.ndarray, prior: np.ndarray, *, n_steps: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Correct probabilities for classes that are more or less frequent in the new table [1]_.

    An EM algorithm: from the answers it estimates how frequent each class is, from that it corrects
    the answers, and so on. It assumes that a cell of a class looks the same in both tables.

    Parameters
    ----------
    proba : ndarray, shape (n, n_classes)
        Of the new cells.
    prior : ndarray, shape (n_classes,)
        Share of each class among the training cells.
    n_steps : int
        How often answers and shares are corrected.

    Returns
    -------
    proba : ndarray, shape (n, n_classes)
        Corrected.
    prior : ndarray, shape (n_classes,)
        The estimated share of each class among the new cells.

    References
    ----------
    .. [1] Saerens, Latinne, Decaestecker. "Adjusting the Outputs of a Classifier to New a Priori
           Probabilities: A Simple Procedure". Neural Computation 14, 2002.

    Examples
    --------
    A model is unsure, and trained on as many of one class as of the other; but nearly all answers
    lean to the second:

    >>> import numpy as np
    >>> from lspin.evaluate import correct_priors
    >>> proba = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.55, 0.45]])
    >>> corrected, share = correct_priors(proba, np.array([0.5, 0.5]))
    >>> bool(share[1] > 0.9), corrected.argmax(axis=1).tolist()
    (True, [1, 1, 1, 1])
    """
    # Where a model is too sure, EM needs a floor: a share of exactly 0 could never come back.
    share, corrected = np.asarray(prior, dtype=float), proba
    for _ in range(n_steps):
        corrected = proba * (share / prior)
        corrected = corrected / corrected.sum(axis=1, keepdims=True)
        share = np.maximum(corrected.mean(axis=0), 1e-6)
    return corrected, share / share.sum()


def match_moments(
    new: np.ndarray, train: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Give each input of the new cells the mean and standard deviation of the training cells.

    It assumes that labs differ by a constant and a factor in each measurement, and that the tables
    hold the same mixture of cells; with `weights`, that the weighted training cells are as mixed.

    Parameters
    ----------
    new : ndarray, shape (n, d)
        Inputs of the new cells.
    train : ndarray, shape (n_train, d)
        Those of the training cells.
    weights : ndarray, shape (n_train,), optional
        Of the training cells.

    Returns
    -------
    ndarray, shape (n, d)

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.evaluate import match_moments
    >>> match_moments(np.array([[10.0], [30.0]]), np.array([[-1.0], [1.0]])).ravel().tolist()
    [-1.0, 1.0]
    """
    mean = np.average(train, axis=0, weights=weights)
    sd = np.sqrt(np.average((train - mean) ** 2, axis=0, weights=weights))
    spread = new.std(axis=0)
    moved = (new - new.mean(axis=0)) / np.where(spread > 0, spread, 1.0) * sd + mean
    return np.clip(moved, -FARTHEST, FARTHEST)


def match_quantiles(new: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Give each input of the new cells the distribution of the training cells.

    As `match_moments`, with all quantiles in place of two moments: the new cell of rank 7 of 100
    gets the value of the training cell of that rank.

    Parameters
    ----------
    new : ndarray, shape (n, d)
        Inputs of the new cells.
    train : ndarray, shape (n_train, d)
        Those of the training cells.

    Returns
    -------
    ndarray, shape (n, d)

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.evaluate import match_quantiles
    >>> match_quantiles(np.array([[5.0], [900.0]]), np.array([[0.0], [1.0]])).ravel().tolist()
    [0.0, 1.0]
    """
    where = (rankdata(new, axis=0) - 0.5) / len(new)
    at = (np.arange(len(train)) + 0.5) / len(train)
    columns = [np.interp(where[:, j], at, np.sort(train[:, j])) for j in range(new.shape[1])]
    return np.column_stack(columns)


def match_mixture(
    predict_proba: Callable[[np.ndarray], np.ndarray],
    new: np.ndarray,
    train: np.ndarray,
    of_class: np.ndarray,
    *,
    n_steps: int = 20,
) -> tuple[np.ndarray, np.ndarray]:
    """Match moments to training cells that are mixed as the new ones seem to be.

    Two tables with other shares of the classes have other means, even if every class looks the
    same; `match_moments` would remove that difference and harm. So the training cells are weighted,
    class by class, to the shares that `correct_priors` finds in the answers, inputs are matched to
    those, and the model answers again, and so on. It assumes that labs differ by a constant and a
    factor, the same for every class.

    Parameters
    ----------
    predict_proba : callable
        From inputs, shape (n, d), to probabilities, shape (n, n_classes).
    new : ndarray, shape (n, d)
        Inputs of the new cells.
    train : ndarray, shape (n_train, d)
        Those of the training cells.
    of_class : ndarray of int, shape (n_train,)
        Column of `predict_proba` that is the class of each training cell.
    n_steps : int
        How often shares and inputs are matched.

    Returns
    -------
    moved : ndarray, shape (n, d)
        The inputs of the new cells, matched.
    share : ndarray, shape (n_classes,)
        The shares of the classes that they were matched to.

    Examples
    --------
    One measurement, two classes at 0 and 4; the other lab measures 10 more, and has mostly the
    second class:

    >>> import numpy as np
    >>> from lspin.evaluate import match_mixture, match_moments
    >>> rng = np.random.default_rng(0)
    >>> train = rng.normal(np.repeat([0.0, 4.0], 500), 1.0)[:, None]
    >>> new = rng.normal(np.repeat([10.0, 14.0], [100, 900]), 1.0)[:, None]
    >>> def predict(z):
    ...     second = 1 / (1 + np.exp(-4 * (z - 2)))
    ...     return np.hstack([1 - second, second])
    >>> moved, share = match_mixture(predict, new, train, np.repeat([0, 1], 500))
    >>> share.round(1).tolist()
    [0.1, 0.9]
    >>> truth = np.repeat([0, 1], [100, 900])
    >>> def right(z):
    ...     return round(float((predict(z).argmax(axis=1) == truth).mean()), 1)
    >>> right(moved), right(match_moments(new, train))
    (1.0, 0.7)
    """
    prior = np.bincount(of_class) / len(of_class)
    share, moved = prior, match_moments(new, train)
    for _ in range(n_steps):
        _, found = correct_priors(predict_proba(moved), prior, n_steps=50)
        share = (share + found) / 2  # half-way, so that it does not swing
        moved = match_moments(new, train, (share / prior)[of_class])
    return moved, share
