"""How far a new table lies outside the table that a model was trained on.

A model answers whatever it is asked. A table in other units, of another temperature or species,
with columns that changed places or with nothing measured gets confident answers too, and only a
look at the measurements themselves can tell. :func:`shift` is that look: for each measurement, how
far the new cells lie from the training cells on average, and how far as many training cells would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lspin.data.tables import Cells, aligned

FALSE_ALARM = 0.005
"""Share of draws of training cells that lie farther than the limit before the margin is added."""

MARGIN = 1.25
"""By how much the limit is widened: new animals can be unlike all those of the training table."""

NOT_MEASURED = "share not measured"
"""The row that says how many measurements the cells lack."""

_USUAL = 0.95  # share of draws by whose distances features are made comparable
_N_DRAWS = 1000
# Standard deviations; beyond that, far is far: one strange cell must not move the mean of many.
_FARTHEST_ALONE, _FARTHEST_OF_MANY = 20.0, 3.0
_CHANCE_MISSING = 1e-4


@dataclass(frozen=True)
class Shift:
    """What :func:`shift` found.

    Parameters
    ----------
    table : DataFrame, shape (n_features + 1, 7)
        By feature, the farthest first. ``train`` and ``new`` are medians, ``measured_train`` and
        ``measured_new`` shares of cells. ``distance`` is how much higher (or, negative, lower) the
        new cells are on average, in standard deviations of the training cells; ``limit`` is how far
        it may be; ``outside`` says that it is farther, or that nobody has the feature. The row
        ``share not measured`` is about all of them.
    n_cells : int
        Of the new table.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.evaluate import shift
    >>> cells = load_cells("twin")
    >>> shift(cells, cells.select(cells.X.index[:50])).is_outside
    False
    """

    table: pd.DataFrame
    n_cells: int

    @property
    def is_outside(self) -> bool:
        """The verdict: True if any measurement lies outside."""
        return bool(self.table["outside"].any())

    def __str__(self) -> str:
        """Say the verdict, and what it rests on."""
        cells = "This cell lies" if self.n_cells == 1 else f"These {self.n_cells} cells lie"
        if not self.is_outside:
            return f"{cells} within the training table."
        outside = self.table[self.table["outside"]]
        far = [
            f"{name} ({'nobody has it' if np.isnan(d) else f'{d:+.1f} SD'})"
            for name, d in outside["distance"].head(3).items()
        ]
        return (
            f"{cells} OUTSIDE the training table in {len(outside)} of {len(self.table)} "
            f"measurements, most of all in {', '.join(far)}. Nobody knows yet how often a model is "
            f"right about {'it' if self.n_cells == 1 else 'them'}."
        )


def shift(
    train: Cells | pd.DataFrame,
    new: Cells | pd.DataFrame,
    donors: pd.Series | None = None,
    *,
    random_state: int = 0,
) -> Shift:
    """Measure how far new cells lie outside the training table, feature by feature.

    Each feature is centred at the median of the training cells and divided by their standard
    deviation (from the quartiles, so that outliers do not widen it); one that is above zero in
    every training cell is compared by its logarithm. The distance of the new cells is the
    difference of the mean.

    How far is too far is found by trial: training cells are drawn, as many as there are new ones
    and with whole donors, and compared with the rest. Only one draw in 200 has *any* feature
    outside, and the limits are widened by a quarter, because new animals can be unlike all those of
    the training table. So cells like the training cells are called outside in less than one case in
    a hundred, and one cell is judged as fairly as a thousand; but the more cells, the smaller the
    shift that is seen.

    A table with other shares of the classes is shifted, too: it has other averages. The measure
    does not see a spread that changes while the mean stays.

    Parameters
    ----------
    train : Cells or DataFrame of numbers, shape (n_train, n_features)
        The cells a model was trained on; at least 20.
    new : Cells or DataFrame of numbers, shape (n_new, ...)
        One cell or more. Columns go by name; those that `train` lacks are ignored, those that `new`
        lacks count as not measured.
    donors : array-like, shape (n_train,), optional
        The animal of each training cell, if `train` is a DataFrame; by default each has its own.
    random_state : int, default=0
        Seed of the draws.

    Returns
    -------
    Shift

    Raises
    ------
    ValueError
        If there are too few cells, or no feature in common.

    Examples
    --------
    Somebody writes the membrane time constant in seconds:

    >>> from lspin import load_cells
    >>> from lspin.evaluate import shift
    >>> cells = load_cells("twin")
    >>> one = cells.X.iloc[[0]]
    >>> print(shift(cells, one))
    This cell lies within the training table.
    >>> found = shift(cells, one.assign(tau=one["tau"] / 1000))
    >>> found.table.index[0], found.is_outside
    ('tau', True)
    """
    X, Y = _table(train), _table(new)
    if len(X) < 20 or not len(Y):
        raise ValueError(f"shift needs 20 training cells and a new one, got {len(X)} and {len(Y)}.")
    X = X.loc[:, X.notna().any()]
    if not X.columns.intersection(Y.columns).size:
        raise ValueError("The new table has none of the training table's features.")
    Y = Y.reindex(columns=X.columns)
    groups = train.donors if isinstance(train, Cells) else donors
    groups = pd.Series(range(len(X)), X.index) if groups is None else groups
    of_donor = pd.factorize(aligned(groups, X.index, "donors"))[0]

    Z, W = _standardised(X, Y)
    distance = _mean(W) - _mean(Z)
    n_donors = new.donors.nunique() if isinstance(new, Cells) else None
    apart = _draws(Z, of_donor, len(Y), n_donors, np.random.default_rng(random_state))
    # What is usual makes features comparable. Single cells are many, so it can be rarer: what only
    # the three farthest exceed. Were it ten, wrong measurements, of which some features have many
    # and others none, would widen the limits of all (that of tau to 780 ms among recorded cells).
    usual = max(_USUAL, 1 - 3 / len(X)) if len(Y) == 1 else _USUAL
    floor = 0.5 / np.sqrt(len(Y))
    above = np.maximum(np.nanquantile(apart, usual, axis=0), floor)
    below = np.maximum(-np.nanquantile(apart, 1 - usual, axis=0), floor)
    farthest = np.nanmax(np.where(apart > 0, apart / above, -apart / below), axis=1)
    factor = np.quantile(farthest, 1 - FALSE_ALARM, method="higher")
    limit = MARGIN * factor * np.where(distance < 0, below, above)

    X, Y = _with_share(X), _with_share(Y)
    chance = ((X.isna().sum() + 1) / (len(X) + 1)) ** len(Y)
    nobody_has_it = Y.isna().all() & (chance < _CHANCE_MISSING)
    nobody_has_it[NOT_MEASURED] = bool((Y[NOT_MEASURED] == 1).all())
    # To a question of yes or no, a single cell may well give the rare answer.
    known = (len(Y) == 1) & (X.nunique() == 2) & ((Y.iloc[0] == X.min()) | (Y.iloc[0] == X.max()))
    known = known.to_numpy() & (X.columns != NOT_MEASURED)
    table = pd.DataFrame(
        {
            "train": X.median(),
            "new": Y.median(),
            "distance": distance,
            "limit": limit,
            "measured_train": X.notna().mean(),
            "measured_new": Y.notna().mean(),
            "outside": ((np.abs(distance) > limit) & ~known) | nobody_has_it.to_numpy(),
        },
        index=pd.Index(X.columns, name="feature"),
    )
    order = (table["distance"].abs() / table["limit"]).sort_values(ascending=False).index
    return Shift(table.loc[order], len(Y))


def _table(cells: Cells | pd.DataFrame) -> pd.DataFrame:
    X = cells.X if isinstance(cells, Cells) else cells
    if not isinstance(X, pd.DataFrame):
        raise ValueError(f"shift needs Cells or a DataFrame, got {type(cells).__name__}.")
    return X.astype(np.float64)


def _with_share(X: pd.DataFrame) -> pd.DataFrame:
    return X.assign(**{NOT_MEASURED: X.isna().mean(axis=1)})


def _standardised(X: pd.DataFrame, Y: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return both tables in standard deviations of the first, the share that is missing last."""
    logged = list(X.columns[(X > 0).sum() == X.notna().sum()])
    both = []
    for table in (_with_share(X), _with_share(Y)):
        # What is not above zero lies far below whatever is.
        tiny = table[logged].where((table[logged] > 0) | table[logged].isna(), 1e-300)
        both.append(table.assign(**np.log(tiny)))
    scores, others = both
    centre = scores.median()
    low, high = scores.quantile(0.25), scores.quantile(0.75)
    scale = ((high - low) / 1.349).where(high > low, scores.std())
    scale = scale.where(scale > 0, 1e-9)
    farthest = _FARTHEST_ALONE if len(Y) == 1 else _FARTHEST_OF_MANY
    clipped = [((t - centre) / scale).clip(-farthest, farthest).to_numpy() for t in both]
    return clipped[0], clipped[1]


def _mean(Z: np.ndarray) -> np.ndarray:
    """Mean over the cells that have the feature; NaN where none has it."""
    n = np.isfinite(Z).sum(axis=0)
    return np.where(n > 0, np.nansum(Z, axis=0) / np.maximum(n, 1), np.nan)


def _draws(
    Z: np.ndarray,
    donors: np.ndarray,
    n_cells: int,
    n_drawn: int | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return how far drawn training cells lie from the rest, shape (n_draws, n_features).

    One cell is drawn by taking each in turn. More are drawn by whole donors: as many donors as are
    known, else until there are cells enough; half of them at most.
    """
    there = np.isfinite(Z)
    values = np.where(there, Z, 0.0)
    if n_cells == 1:
        sums, counts = values, there.astype(float)
    else:
        members = np.zeros((donors.max() + 1, Z.shape[0]))
        members[donors, np.arange(Z.shape[0])] = 1.0
        counted = np.ones(len(members)) if n_drawn else members.sum(axis=1)
        wanted = min(n_drawn or n_cells, counted.sum() // 2)
        drawn = np.zeros((_N_DRAWS, len(members)))
        for row in drawn:
            order = rng.permutation(len(members))
            row[order[: np.searchsorted(np.cumsum(counted[order]), wanted) + 1]] = 1.0
        sums, counts = drawn @ (members @ values), drawn @ (members @ there)
    rest = np.maximum(there.sum(axis=0) - counts, 1)
    apart = sums / np.maximum(counts, 1) - (values.sum(axis=0) - sums) / rest
    return np.where(counts > 0, apart, np.nan)
