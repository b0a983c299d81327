"""Measurements that say the same thing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from lspin.features.catalogue import feature_named

SAME = 0.7
"""Rank correlation, positive or negative, from which two measurements say the same thing."""


def feature_groups(values: pd.DataFrame, same: float = SAME) -> pd.Series:
    """Group measurements that say the same thing.

    Hierarchical clustering with complete linkage; the distance is 1 less the size of Spearman's
    rho, so that *any* two measurements of a group are correlated by at least `same`. Classes are
    not looked at.

    Parameters
    ----------
    values : DataFrame, shape (n, d)
        Measurements; ranks only matter, so standardised ones do as well.
    same : float, default=SAME
        Lowest absolute rank correlation within a group.

    Returns
    -------
    Series of str, shape (d,)
        By feature: its group, named after the member most correlated with the others.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.explain import feature_groups
    >>> values = pd.DataFrame({"ri": [1, 2, 3, 4], "tau": [1, 2, 4, 3], "sag": [2, 4, 1, 3]})
    >>> feature_groups(values).tolist()
    ['input resistance [2 alike]', 'input resistance [2 alike]', 'sag']
    """
    if values.shape[1] == 1:
        return pd.Series([feature_named(values.columns[0]).label], values.columns, name="group")
    # A measurement that never varies is correlated with nothing.
    rho = values.corr("spearman").abs().fillna(0.0).to_numpy(copy=True)
    np.fill_diagonal(rho, 1.0)
    tree = linkage(squareform(1 - rho, checks=False), "complete")
    group = fcluster(tree, 1 - same, criterion="distance")
    names = {}
    for k in np.unique(group):
        members = np.flatnonzero(group == k)
        center = members[rho[np.ix_(members, members)].sum(axis=1).argmax()]
        label = feature_named(values.columns[center]).label
        names[k] = label if len(members) == 1 else f"{label} [{len(members)} alike]"
    return pd.Series([names[k] for k in group], values.columns, name="group")
