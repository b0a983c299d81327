"""How many gates are open, and which lambda that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lspin.model.recipe import is_number

MAX_LAM = 1e6
"""Any larger and the penalty would swamp the loss: float32 has seven digits."""


def count_open(member_gates: np.ndarray) -> dict[str, float]:
    """Count the gates above 0.

    Parameters
    ----------
    member_gates : ndarray, shape (n_members, n, d)
        Gates of every member.

    Returns
    -------
    dict
        ``open_gates``: median over cells and members of the gates one member opens;
        ``open_gates_union``: median over cells of those any member opens.

    Examples
    --------
    Two networks, one cell: they open one gate each, and not the same.

    >>> import numpy as np
    >>> from lspin.model import count_open
    >>> count_open(np.array([[[0.8, 0.0, 0.0]], [[0.0, 0.3, 0.0]]]))
    {'open_gates': 1.0, 'open_gates_union': 2.0}
    """
    is_open = member_gates > 0
    return {
        "open_gates": float(np.median(is_open.sum(axis=2))),
        "open_gates_union": float(np.median(is_open.any(axis=0).sum(axis=1))),
    }


def one_standard_error(scores_by_lambda: Mapping[float, Sequence[float]]) -> float:
    """Choose the largest lambda that is as good as the best, given how unsure the best is.

    The one-standard-error rule ([1]_, section 7.10): of all lambdas whose mean score is at
    least the best mean less one standard error of it, take the one that closes most gates.

    Parameters
    ----------
    scores_by_lambda : mapping of float to sequence of float
        Scores of each lambda on the same inner folds, at least 2; larger is better.

    Returns
    -------
    float
        One of the lambdas.

    Raises
    ------
    ValueError
        If there are fewer than two folds.

    References
    ----------
    .. [1] Hastie, Tibshirani, Friedman. "The Elements of Statistical Learning", 2nd ed., 2009.

    Examples
    --------
    >>> from lspin.model import one_standard_error
    >>> one_standard_error({0.0: [0.80, 0.82, 0.78], 2.0: [0.79, 0.80, 0.80], 8.0: [0.5, 0.5, 0.5]})
    2.0
    """
    if not scores_by_lambda or min(map(len, scores_by_lambda.values())) < 2:
        raise ValueError("The rule of one standard error needs the scores of at least two folds.")
    mean = {lam: np.mean(values) for lam, values in scores_by_lambda.items()}
    best = scores_by_lambda[max(mean, key=mean.__getitem__)]
    enough = np.mean(best) - np.std(best, ddof=1) / np.sqrt(len(best))
    return max(lam for lam, value in mean.items() if value >= enough)


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


def check_lam(lam: Any) -> None:
    """Raise a ValueError if this is no weight of the open-gate penalty.

    Parameters
    ----------
    lam
        What a user gave.

    Examples
    --------
    >>> from lspin.model.selection import check_lam
    >>> check_lam(0.5)
    """
    if not is_number(lam) or not 0 <= lam <= MAX_LAM:
        raise ValueError(f"lam must be a number from 0 to {MAX_LAM:g}, or 'auto', got {lam!r}.")
