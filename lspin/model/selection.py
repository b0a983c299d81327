"""How many gates are open, and how many that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def count_open(gates: np.ndarray) -> float:
    """Return how many gates of a cell are above 0, the median over cells.

    Parameters
    ----------
    gates : ndarray, shape (n, d)

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.model import count_open
    >>> count_open(np.array([[0.8, 0.0, 0.0], [0.1, 0.3, 0.0], [1.0, 0.0, 0.0]]))
    1.0
    """
    return float(np.median((gates > 0).sum(axis=1)))


def one_standard_error(
    scores: Mapping[float, Sequence[float]], *, simplest: str = "least"
) -> float:
    """Choose the simplest setting that is as good as the best, given how unsure the best is.

    The one-standard-error rule ([1]_, section 7.10): of all settings whose mean score is at
    least the best mean less one standard error of it, take the one that closes most gates.

    Parameters
    ----------
    scores : mapping of float to sequence of float
        Scores of each budget, or lambda, on the same inner folds, at least 2; larger is better.
    simplest : {"least", "largest"}
        Whether the least number closes most gates, as of budgets, or the largest, as of lambdas.

    Returns
    -------
    float
        One of the settings.

    Raises
    ------
    ValueError
        If there are fewer than two folds, or scores that are not finite.

    References
    ----------
    .. [1] Hastie, Tibshirani, Friedman. "The Elements of Statistical Learning", 2nd ed., 2009.

    Examples
    --------
    >>> from lspin.model import one_standard_error
    >>> one_standard_error({2: [0.5, 0.5, 0.5], 5: [0.79, 0.80, 0.80], 41: [0.80, 0.82, 0.78]})
    5
    """
    if not scores or min(map(len, scores.values())) < 2:
        raise ValueError("The rule of one standard error needs the scores of at least two folds.")
    if not all(np.isfinite(values).all() for values in scores.values()):
        raise ValueError(
            "The rule of one standard error needs finite scores. If they are squared errors of "
            "very large values, scale these first."
        )
    mean = {setting: np.mean(values) for setting, values in scores.items()}
    best = scores[max(mean, key=mean.__getitem__)]
    enough = np.mean(best) - np.std(best, ddof=1) / np.sqrt(len(best))
    good = [setting for setting, value in mean.items() if value >= enough]
    return max(good) if simplest == "largest" else min(good)


def of_every_class(proba: np.ndarray, known: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return probabilities with a column for each class; 0 where no training row had it.

    Parameters
    ----------
    proba : ndarray, shape (n, n_known)
        What a model says of the classes that it knows.
    known, classes : ndarray
        Those classes, and all of them, both sorted.

    Returns
    -------
    ndarray, shape (n, n_classes)

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.model.selection import of_every_class
    >>> of_every_class(np.array([[0.9, 0.1]]), np.array(["a", "c"]), np.array(["a", "b", "c"]))
    array([[0.9, 0. , 0.1]])
    """
    every = np.zeros((len(proba), len(classes)))
    every[:, np.isin(classes, known)] = proba
    return every
