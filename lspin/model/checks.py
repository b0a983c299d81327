"""What an estimator refuses or doubts about a table before it trains."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

FAR = 10.0
"""A standardised column has a root mean square of 1. Beyond this, or below its inverse for all
columns, the table was not standardised."""


def check_order(X: Any, **beside: Any) -> None:
    """Refuse values beside a table that name its rows in another order.

    Like scikit-learn, we take rows by position. pandas users may expect them to be matched by
    name: a Series that was sorted would be paired with the wrong rows without a word.

    Parameters
    ----------
    X : array-like, shape (n, d)
    **beside : array-like, shape (n,), or None
        Such as ``y=y``. Only of what has row names, as the table has, can it be told that it is in
        another order.

    Raises
    ------
    ValueError
        If a Series, or a DataFrame of one column, has the row names of the table, each once, but in
        another order.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.model.checks import check_order
    >>> X = pd.DataFrame({"tau": [12.0, 20.0]}, index=["A1", "A2"])
    >>> y = pd.Series(["a", "b"], index=["A2", "A1"])
    >>> check_order(X, y=y.loc[X.index])
    >>> try:
    ...     check_order(X, y=y)
    ... except ValueError as error:
    ...     print(error)
    y has the rows of X in another order: give y.loc[X.index].
    """
    if not isinstance(X, pd.DataFrame) or not X.index.is_unique:
        return
    for name, values in beside.items():
        if not isinstance(values, pd.Series | pd.DataFrame) or values.index.equals(X.index):
            continue
        if values.index.is_unique and len(values) == len(X) and values.index.isin(X.index).all():
            raise ValueError(
                f"{name} has the rows of X in another order: give {name}.loc[X.index]."
            )


def check_labels(y: Any) -> None:
    """Refuse labels that have no order among each other, such as words and None.

    Parameters
    ----------
    y : array-like, shape (n,)

    Raises
    ------
    ValueError
        If they cannot be sorted.

    Examples
    --------
    >>> from lspin.model.checks import check_labels
    >>> check_labels(["a", "b"])
    """
    labels = np.asarray(y)
    if labels.dtype != object:
        return
    try:
        np.unique(labels)
    except TypeError as error:
        raise ValueError(
            "y has labels of several kinds, or rows without one: make all labels text, and leave "
            "out rows that have none."
        ) from error


def warn_unless_standardised(X: np.ndarray, names: Any = None) -> None:
    """Warn about columns whose size shows that nobody standardised them.

    Parameters
    ----------
    X : ndarray of float, shape (n, d)
    names : array-like of str, shape (d,), optional
        Of the columns.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.model.checks import warn_unless_standardised
    >>> warn_unless_standardised(np.array([[-1.0], [1.0]]))
    """
    with np.errstate(over="ignore"):
        size = np.sqrt(np.mean(np.square(X, dtype=float), axis=0))
    if 1 / FAR <= size.max() <= FAR:
        return
    worst = int(size.argmax())
    name = f"column {worst}" if names is None else names[worst]
    warnings.warn(
        f"The columns are not standardised ({name} has a root mean square of {size[worst]:.3g}, "
        "not 1), which costs accuracy. Put model_inputs(X), or StandardScaler(), before the model.",
        UserWarning,
        stacklevel=5,
    )
