"""Folds that no donor straddles."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lspin.data.tables import aligned

Fold = tuple[np.ndarray, np.ndarray]

MAX_SHUFFLES = 100
"""How often donors are shuffled again where a fold stays empty."""


def donor_folds(
    y: ArrayLike, donors: ArrayLike, n_splits: int = 5, random_state: int = 0
) -> list[Fold]:
    """Folds stratified by class and grouped by donor.

    Parameters
    ----------
    y : array-like, shape (n,)
        Class of each cell.
    donors : array-like, shape (n,)
        Donor of each cell; if both are Series, it is aligned with `y` by the index.
    n_splits : int
        Number of folds.
    random_state : int
        Seeds the shuffling of donors.

    Returns
    -------
    list of (train, test)
        Row indices; every cell is tested once and no donor is on both sides.

    Raises
    ------
    ValueError
        If a class or donor is missing, there are fewer donors than folds, or a fold stays empty
        however they are shuffled.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.data import donor_folds
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> train, test = donor_folds(few.y, few.donors)[0]
    >>> set(few.donors.iloc[train]) & set(few.donors.iloc[test])
    set()
    """
    # Here, so that reading tables does not wait for scikit-learn.
    from sklearn.model_selection import StratifiedGroupKFold

    if isinstance(y, pd.Series) and isinstance(donors, pd.Series):
        donors = aligned(donors, y.index, "donors")
    for name, part in (("y", y), ("donors", donors)):
        if pd.isna(pd.Series(part)).any():
            raise ValueError(f"{name} is missing for some cells: leave them out.")
    y, donors = np.asarray(y), np.asarray(donors)
    if len(y) != len(donors):
        raise ValueError(f"There are {len(donors)} donors for {len(y)} cells.")
    if len(np.unique(donors)) < n_splits:
        raise ValueError(
            f"{n_splits} folds need at least {n_splits} donors, got {len(np.unique(donors))}; "
            "lower n_splits or add cells from other animals."
        )
    # With few donors a fold may stay empty; then they are shuffled again.
    for seed in range(random_state, random_state + MAX_SHUFFLES):
        splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
        folds = list(splitter.split(np.zeros(len(y)), y, donors))
        if all(len(train) and len(test) for train, test in folds):
            return folds
    raise ValueError(
        f"The donors cannot be cut into {n_splits} folds of which none is empty: lower n_splits."
    )
