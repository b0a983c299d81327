"""Problems whose relevant features are known, sample by sample.

On recorded cells nobody knows which measurements a prediction should rest on. Here
it is known, because the problems are made, and it differs from sample to sample: a
method that explains itself can be held to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

SYN_CASES = {
    "syn1": ("product",),
    "syn2": ("sphere",),
    "syn3": ("sum",),
    "syn4": ("product", "sphere"),
    "syn5": ("product", "sum"),
    "syn6": ("sphere", "sum"),
}
"""Which formula each of Syn1 to Syn6 follows; of two, x11 < 0 takes the first."""

SWITCH = 10
"""Column of x11, whose sign chooses the formula in Syn4 to Syn6."""


@dataclass(frozen=True)
class Problem:
    """Samples of a problem, with the truth about them.

    Attributes
    ----------
    name : str
        Its name in `PROBLEMS`.
    task : {"classification", "regression"}
        What `y` is.
    X : ndarray, shape (n, d)
        Features, all of mean 0 and standard deviation near 1.
    y : ndarray, shape (n,)
        Classes 0 and 1 (int), or values (float).
    relevant : ndarray of bool, shape (n, d)
        The features that `y` depends on, for each sample.
    expected : ndarray, shape (n,)
        What the best possible model would say: the probability of class 1, or the
        expected value.

    Examples
    --------
    >>> from lspin.explain import e5
    >>> problem = e5(100)
    >>> problem.task, problem.best_score
    ('regression', 0.0)
    """

    name: str
    task: Literal["classification", "regression"]
    X: np.ndarray
    y: np.ndarray
    relevant: np.ndarray
    expected: np.ndarray

    @property
    def best_score(self) -> float:
        """Score of the best possible model: the Bayes accuracy, or the mean squared noise."""
        if self.task == "classification":
            return float(np.maximum(self.expected, 1 - self.expected).mean())
        return float(((self.y - self.expected) ** 2).mean())


def linear_groups(
    n: int, n_features: int = 4, random_state: int | np.random.Generator = 0
) -> Problem:
    """Two groups of samples, each with a linear rule of its own ([1]_).

    Half of the samples have x1 to x4 around 1 and ``y = -2 x1 + x2``, the others
    around -1 and ``y = x3 - 2 x4``. Features beyond the fourth are noise, N(0, 1),
    alike in both groups. There is no noise in y.

    Parameters
    ----------
    n : int
        Number of samples.
    n_features : int, >= 4
        Number of features d.
    random_state : int or Generator
        Seeds the samples.

    Returns
    -------
    Problem
        A regression with 2 relevant features in each sample.

    References
    ----------
    .. [1] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.

    Examples
    --------
    >>> from lspin.explain import linear_groups
    >>> problem = linear_groups(100)
    >>> problem.relevant[0].tolist() in ([True, True, False, False], [False, False, True, True])
    True
    """
    rng = _generator(n_features, 4, random_state)
    first = rng.random(n) < 0.5
    X = rng.standard_normal((n, n_features))
    X[:, :4] = 0.5 * X[:, :4] + np.where(first, 1, -1)[:, None]
    y = np.where(first, -2 * X[:, 0] + X[:, 1], X[:, 2] - 2 * X[:, 3])
    relevant = np.zeros(X.shape, dtype=bool)
    relevant[:, :2] = first[:, None]
    relevant[:, 2:4] = ~first[:, None]
    return Problem("linear_groups", "regression", X, y, relevant, expected=y)


def e5(n: int, n_features: int = 21, random_state: int | np.random.Generator = 0) -> Problem:
    """Products of two signs, chosen by a third feature ([1]_, experiment E5).

    x1 to x20 are -1 or 1, x21 is -1, 0 or 1, and ``y`` is ``2 x21`` plus ``x1 x2``,
    ``x2 x3`` or ``x3 x4`` where x21 is -1, 0 or 1. No feature but x21 tells anything
    about y by itself. There is no noise in y.

    Parameters
    ----------
    n : int
        Number of samples.
    n_features : int, >= 21
        Number of features d; those beyond x21 are -1 or 1 too.
    random_state : int or Generator
        Seeds the samples.

    Returns
    -------
    Problem
        A regression with 3 relevant features in each sample, 5 in all.

    References
    ----------
    .. [1] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.

    Examples
    --------
    >>> from lspin.explain import e5
    >>> problem = e5(100)
    >>> int(problem.relevant.sum(axis=1).max())
    3
    """
    rng = _generator(n_features, 21, random_state)
    X = rng.choice([-1.0, 1.0], size=(n, n_features))
    case = rng.integers(3, size=n)
    X[:, 20] = case - 1
    rows = np.arange(n)
    y = X[rows, case] * X[rows, case + 1] + 2 * X[:, 20]
    relevant = np.zeros(X.shape, dtype=bool)
    relevant[rows, case] = relevant[rows, case + 1] = relevant[:, 20] = True
    return Problem("e5", "regression", X, y, relevant, expected=y)


def syn(
    name: str, n: int, n_features: int = 11, random_state: int | np.random.Generator = 0
) -> Problem:
    """Two classes whose odds follow one of three formulas ([1]_).

    All features are N(0, 1). The odds of class 0 are, with the names of `SYN_CASES`,

    - product: ``exp(x1 x2)``;
    - sphere: ``exp(x3**2 + x4**2 + x5**2 + x6**2 - 4)``;
    - sum: ``exp(-10 sin(0.2 x7) + |x8| + x9 + exp(-x10) - 2.4)``.

    Syn4 to Syn6 take one formula where x11 is negative and another where it is not,
    which makes x11 itself relevant in every sample.

    Parameters
    ----------
    name : str
        "syn1" to "syn6".
    n : int
        Number of samples.
    n_features : int, >= 11
        Number of features d.
    random_state : int or Generator
        Seeds the samples.

    Returns
    -------
    Problem
        A classification.

    References
    ----------
    .. [1] Yoon, Jordon, van der Schaar. "INVASE: Instance-wise Variable Selection using
           Neural Networks". ICLR 2019.

    Examples
    --------
    >>> from lspin.explain import syn
    >>> problem = syn("syn4", 100)
    >>> bool(problem.relevant[:, 10].all())
    True
    """
    rng = _generator(n_features, 11, random_state)
    X = rng.standard_normal((n, n_features))
    x1, x2, _, _, _, _, x7, x8, x9, x10 = X.T[:10]
    formulas = {
        "product": (x1 * x2, slice(0, 2)),
        "sphere": ((X[:, 2:6] ** 2).sum(axis=1) - 4, slice(2, 6)),
        "sum": (-10 * np.sin(0.2 * x7) + np.abs(x8) + x9 + np.exp(-x10) - 2.4, slice(6, 10)),
    }
    cases = SYN_CASES[name]
    log_odds, relevant = np.empty(n), np.zeros(X.shape, dtype=bool)
    second = (X[:, SWITCH] >= 0) & (len(cases) == 2)
    for case, rows in zip(cases, (~second, second), strict=False):
        values, columns = formulas[case]
        log_odds[rows] = values[rows]
        relevant[rows, columns] = True
    relevant[:, SWITCH] = len(cases) == 2
    expected = 1 / (1 + np.exp(log_odds))
    y = (rng.random(n) < expected).astype(int)
    return Problem(name, "classification", X, y, relevant, expected)


def _generator(
    n_features: int, least: int, random_state: int | np.random.Generator
) -> np.random.Generator:
    if n_features < least:
        raise ValueError(f"n_features must be at least {least} for this problem, got {n_features}.")
    return np.random.default_rng(random_state)


PROBLEMS: dict[str, Callable[..., Problem]] = {
    "linear_groups": linear_groups,
    "e5": e5,
    **{name: partial(syn, name) for name in SYN_CASES},
}
"""Every problem by name: ``PROBLEMS[name](n, n_features, random_state)``."""
