"""The rows that a network of an ensemble trains on, and those by which it is judged."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from lspin.data.folds import MAX_SHUFFLES
from lspin.model.recipe import REGULARISATIONS
from lspin.model.training import Member, Task

VALID_FOLDS = 8
"""Each member keeps one row in eight to choose its best step on."""

MAX_VALID = 2048
"""Validation rows a member looks at; more would cost time and choose no better step."""

Split = tuple[np.ndarray, np.ndarray]


def n_folds_possible(
    target: np.ndarray, groups: ArrayLike | None, at_most: int, *, task: Task
) -> int:
    """Return into how many folds the rows can be cut, so that no training part lacks a class.

    Every class must have as many rows, and as many donors, as there are folds.

    Parameters
    ----------
    target : ndarray, shape (n,)
        Class indices, or values.
    groups : array-like, shape (n,), optional
        Donor of each row.
    at_most : int
        How many are wanted.
    task : {"classification", "regression"}
        What `target` is.

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.model import n_folds_possible
    >>> n_folds_possible(np.array([0, 0, 0, 1, 1]), None, 8, task="classification")
    2
    """
    groups = np.arange(len(target)) if groups is None else np.asarray(groups)
    parts = [groups]
    if task == "classification":
        parts = [groups[target == k] for k in np.unique(target)]
    return min(at_most, *(len(np.unique(part)) for part in parts))


def shuffled_folds(
    target: np.ndarray,
    groups: ArrayLike | None,
    n_folds: int,
    rng: np.random.RandomState,
    *,
    task: Task,
    every_class: bool = False,
) -> list[Split]:
    """Cut rows into folds, stratified by class and grouped by donor where there are any.

    Parameters
    ----------
    target, groups, task
        As in `n_folds_possible`.
    n_folds : int
        How many.
    rng : RandomState
        Shuffles.
    every_class : bool, default=False
        Shuffle again until every class is in every training part.

    Returns
    -------
    list of (train, test)
        Row indices.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.model import shuffled_folds
    >>> rng = np.random.RandomState(0)
    >>> folds = shuffled_folds(np.array([0, 0, 1, 1]), None, 2, rng, task="classification")
    >>> [len(test) for train, test in folds]
    [2, 2]
    """
    if task == "regression":
        splitter = KFold if groups is None else GroupKFold
    else:
        splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    # With few donors a fold may stay empty; then the donors are shuffled again.
    for _ in range(MAX_SHUFFLES):
        seed = int(rng.randint(2**31))
        folds = splitter(n_folds, shuffle=True, random_state=seed)
        cut = list(folds.split(np.zeros(len(target)), target, groups))
        n_needed = len(np.unique(target)) if every_class and task == "classification" else 1
        if all(len(np.unique(target[rows])) >= n_needed and len(out) for rows, out in cut):
            return cut
    return shuffled_folds(target, groups, n_folds - 1, rng, task=task, every_class=every_class)


def check_groups(groups: Any, n: int) -> np.ndarray:
    """Return the donor of each row as numbers, or raise a ValueError that says what is wrong.

    Parameters
    ----------
    groups : array-like, shape (n,)
        Any labels.
    n : int
        Number of rows.

    Returns
    -------
    ndarray of int, shape (n,)

    Examples
    --------
    >>> from lspin.model import check_groups
    >>> check_groups(["M2", "M1", "M2"], 3)
    array([1, 0, 1])
    """
    if isinstance(groups, str) or np.ndim(groups) != 1 or len(groups) != n:
        shape = np.shape(groups)
        raise ValueError(f"groups must hold one donor for each of {n} rows, got shape {shape}.")
    labels = pd.Series(groups)
    if labels.isna().any():
        raise ValueError(f"groups is missing for {labels.isna().sum()} of {n} rows.")
    return pd.factorize(labels.astype(str) if labels.dtype == object else labels, sort=True)[0]


def check_sample_weight(sample_weight: Any, n: int) -> np.ndarray:
    """Return the weight of each row, or raise a ValueError that says what is wrong.

    Parameters
    ----------
    sample_weight : array-like, shape (n,)
        Finite numbers from 0, not all of them 0.
    n : int
        Number of rows.

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> from lspin.model import check_sample_weight
    >>> check_sample_weight([1, 0, 2.5], 3)
    array([1. , 0. , 2.5])
    """
    try:
        weight = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold a number for each row: {error}.") from error
    if weight.shape != (n,):
        raise ValueError(
            f"sample_weight must hold one number for each of {n} rows, got shape {weight.shape}."
        )
    is_bad = ~np.isfinite(weight) | (weight < 0)
    if is_bad.any():
        raise ValueError(
            "sample_weight must be finite and not below 0; it is "
            f"{weight[is_bad][0]} in row {is_bad.argmax()} (counted from 0)."
        )
    if not weight.any():
        raise ValueError("sample_weight is zero for every row: no row is left to learn from.")
    return weight


def draw_members(
    target: np.ndarray,
    groups: ArrayLike | None,
    n_members: int,
    rng: np.random.RandomState,
    *,
    task: Task,
) -> list[Member]:
    """Draw the rows, the seed and the regularisation of each network of an ensemble.

    Each keeps some rows to be judged by: stratified by class, grouped by donor where donors are
    given, and reshuffled when the folds of one shuffle are used up. Where the data are too few to
    set any aside, as where all rows of a class are of one donor, a member is judged by the rows it
    trains on.

    Parameters
    ----------
    target, groups, task
        As in `n_folds_possible`.
    n_members : int
        Networks in the ensemble.
    rng : RandomState
        Shuffles and draws.

    Returns
    -------
    list of Member

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.model import draw_members
    >>> target, rng = np.repeat([0, 1], 40), np.random.RandomState(0)
    >>> members = draw_members(target, None, n_members=2, rng=rng, task="classification")
    >>> len(members[0].train), len(members[0].valid)
    (70, 10)
    """
    n_folds = n_folds_possible(target, groups, VALID_FOLDS, task=task)
    if n_folds < 2:
        if groups is not None and n_folds_possible(target, None, 2, task=task) == 2:
            warnings.warn(
                "All rows of a class, or of the table, are of one donor, so no donor can be set "
                "aside: the networks are judged, and their probabilities not calibrated, by rows "
                "that they were trained on.",
                UserWarning,
                stacklevel=4,
            )
        every = np.arange(len(target))
        splits = [(every, every)] * n_members
    else:
        folds: list[Split] = []
        while len(folds) < n_members:
            folds += shuffled_folds(target, groups, n_folds, rng, task=task, every_class=True)
        splits = [(train, rng.permutation(valid)[:MAX_VALID]) for train, valid in folds[:n_members]]
    seeds = rng.randint(2**31, size=n_members)
    return [
        Member(train, valid, int(seed), (REGULARISATIONS[k % len(REGULARISATIONS)],))
        for k, ((train, valid), seed) in enumerate(zip(splits, seeds, strict=True))
    ]
