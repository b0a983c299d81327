"""How a table of features becomes numbers that a model can use."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from lspin.data.tables import RELEASED_FEATURES, STIMULI
from lspin.features.catalogue import FEATURES

STIMULUS_ONSET_S = 1.02
"""When the stimulus begins in a sweep, in s; the released times count from the sweep's start."""

_TIMINGS = tuple(name for name in RELEASED_FEATURES if "_t_" in name)

_REPLACED = {*_TIMINGS, *(f"slow_trough_v_{s}" for s in STIMULI)}

# Not the short square: there the released value is missing as soon as one of several sweeps
# has no slow trough.
_SLOW_TROUGH_STIMULI = ("long_square", "ramp")

ENGINEERED_FEATURES: tuple[str, ...] = (
    *(name for name in RELEASED_FEATURES if name not in _REPLACED),
    *(f"{interval}_ms_{s}" for s in STIMULI for interval in ("rise", "fall", "trough")),
    "delay_ms_long_square",
    *(f"slow_trough_depth_mv_{s}" for s in _SLOW_TROUGH_STIMULI),
    "no_slow_trough_ramp",
    "no_adaptation",
)
"""What :class:`ReleasedFeatures` makes of the released features."""

LOGGED_FEATURES: frozenset[str] = frozenset(
    {
        "ri",
        "input_resistance_mohm",
        "tau",
        "latency",
        "avg_isi",
        *(f"{name}_{s}" for s in STIMULI for name in ("threshold_i", "fall_ms", "trough_ms")),
    }
)
"""Positive features whose values span orders of magnitude; models see their logarithm."""


class ReleasedFeatures(TransformerMixin, BaseEstimator):
    """Turn the released features of the Allen database into features that mean something.

    The released times count from the start of the sweep, so they mostly say when the
    stimulus came. They are replaced by intervals: threshold to peak, peak to fast trough, peak to
    trough, and the start of the long square to its first threshold. The time on the ramp is left
    out: the ramp rises steadily, so it repeats the threshold current.

    A slow trough is missing where the cell made none. Its voltage is replaced by its depth below
    the fast trough, 0 without one, and for the ramp by an indicator too. Another indicator marks
    cells that fired too few spikes to adapt. Everything else that is missing stays NaN.

    Attributes
    ----------
    feature_names_in_ : ndarray of str, shape (n_columns,)
        Columns of the table given to `fit`.
    n_features_in_ : int
        How many there are.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.features import ReleasedFeatures
    >>> cells = load_cells("twin")
    >>> engineered = ReleasedFeatures().fit_transform(cells.X)
    >>> cells.X.shape, engineered.shape
    ((1750, 46), (1750, 42))
    >>> "fall_ms_ramp" in engineered
    True
    """

    def fit(self, X: pd.DataFrame, y: object = None) -> ReleasedFeatures:
        """Check the columns; there is nothing to learn.

        Parameters
        ----------
        X : DataFrame, shape (n_cells, n_columns)
            With at least the columns :data:`~lspin.data.RELEASED_FEATURES`.
        y : ignored

        Returns
        -------
        ReleasedFeatures

        Raises
        ------
        TypeError
            If `X` is not a DataFrame.
        ValueError
            If a released feature is missing.
        """
        self._check(X)
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compute the engineered features.

        Parameters
        ----------
        X : DataFrame, shape (n_cells, n_columns)
            Released features.

        Returns
        -------
        DataFrame of float64, shape (n_cells, len(ENGINEERED_FEATURES))
            In the units of :data:`FEATURES`; NaN where not measured.

        Raises
        ------
        TypeError, ValueError
            As in `fit`.
        """
        check_is_fitted(self, "feature_names_in_")
        self._check(X)
        new: dict[str, pd.Series] = {}
        for s in STIMULI:
            peak_t = X[f"peak_t_{s}"]
            new[f"rise_ms_{s}"] = 1000 * (peak_t - X[f"threshold_t_{s}"])
            new[f"fall_ms_{s}"] = 1000 * (X[f"fast_trough_t_{s}"] - peak_t)
            new[f"trough_ms_{s}"] = 1000 * (X[f"trough_t_{s}"] - peak_t)
        new["delay_ms_long_square"] = 1000 * (X["threshold_t_long_square"] - STIMULUS_ONSET_S)
        for s in _SLOW_TROUGH_STIMULI:
            # Without a spike nobody knows whether a slow trough would have followed.
            none = X[f"slow_trough_v_{s}"].isna() & X[f"peak_v_{s}"].notna()
            depth = X[f"fast_trough_v_{s}"] - X[f"slow_trough_v_{s}"]
            new[f"slow_trough_depth_mv_{s}"] = depth.mask(none, 0.0)
        new["no_slow_trough_ramp"] = X["slow_trough_v_ramp"].isna().where(X["peak_v_ramp"].notna())
        new["no_adaptation"] = X["adaptation"].isna()
        return X.assign(**new)[list(ENGINEERED_FEATURES)].astype(np.float64)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the engineered features, whatever the input."""
        return np.array(ENGINEERED_FEATURES, dtype=object)

    @staticmethod
    def _check(X: pd.DataFrame) -> None:
        if not isinstance(X, pd.DataFrame):
            raise TypeError(
                f"ReleasedFeatures needs a DataFrame with named columns, got {type(X).__name__}; "
                "pass load_cells().X."
            )
        missing = [name for name in RELEASED_FEATURES if name not in X.columns]
        if missing:
            raise ValueError(
                f"The table lacks {len(missing)} released features: {missing[:5]}. "
                "Pass load_cells(source='allen' or 'twin').X with all its columns."
            )


def log_heavy_tails(X: pd.DataFrame) -> pd.DataFrame:
    """Take the decimal logarithm of the columns named in :data:`LOGGED_FEATURES`.

    Parameters
    ----------
    X : DataFrame, shape (n_cells, n_features)

    Returns
    -------
    DataFrame, same shape and columns
        A value that is not positive has no logarithm and becomes NaN, that is, not measured.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.features import log_heavy_tails
    >>> log_heavy_tails(pd.DataFrame({"tau": [10.0, 100.0], "sag": [0.1, 0.2]}))
       tau  sag
    0  1.0  0.1
    1  2.0  0.2
    """
    logged = [name for name in X.columns if name in LOGGED_FEATURES]
    return X.assign(**{name: np.log10(X[name].where(X[name] > 0)) for name in logged})


def model_inputs(columns: Iterable[str] = RELEASED_FEATURES) -> Pipeline:
    """Build the pipeline from a table of features to model inputs.

    Its steps are named ``engineer`` (only if the table has released times), ``log``, and those of
    `table_inputs`. It returns a DataFrame of float64
    with named columns. A closed gate multiplies an input by 0, which then stands for the mean.

    Parameters
    ----------
    columns : iterable of str, default=RELEASED_FEATURES
        Columns of the table, or the table itself: released features, or features that are inputs
        as they are, such as the authors' 41.

    Returns
    -------
    Pipeline
        Not fitted.

    Raises
    ------
    ValueError
        If a column is not in :data:`FEATURES`, or there is none.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> Z = model_inputs(cells.X).fit_transform(cells.X)
    >>> Z.shape
    (1750, 42)
    >>> bool(Z.isna().any(axis=None))
    False
    """
    names = list(columns)
    if not names:
        raise ValueError("There are no columns; pass those of load_cells().X.")
    if unknown := [name for name in names if name not in FEATURES]:
        raise ValueError(
            f"Not in the catalogue lspin.features.FEATURES: {unknown[:5]}. "
            "Pass the columns of load_cells().X, or drop or rename these."
        )
    log = _OfTheSameColumns(log_heavy_tails, feature_names_out="one-to-one")
    steps = [("log", log), *table_inputs().steps]
    if set(names) & set(_TIMINGS):
        steps.insert(0, ("engineer", ReleasedFeatures()))
    return Pipeline(steps).set_output(transform="pandas")


def table_inputs() -> Pipeline:
    """Build the pipeline from a table of any numbers to model inputs.

    Its steps are named ``check`` (that numbers can be squared), ``impute`` (median of the training
    rows), ``scale`` (mean 0, standard deviation 1 on the training rows) and ``clip`` (to 5 standard
    deviations).

    Returns
    -------
    Pipeline
        Not fitted.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.features import table_inputs
    >>> table_inputs().fit_transform(pd.DataFrame({"area": [1.0, 3.0, None]}))
           area
    0 -1.224745
    1  1.224745
    2  0.000000
    """
    clip = FunctionTransformer(
        np.clip, kw_args={"a_min": -5, "a_max": 5}, feature_names_out="one-to-one"
    )
    steps = [
        ("check", _OfTheSameColumns(_refuse_huge, feature_names_out="one-to-one")),
        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
        ("scale", StandardScaler()),
        ("clip", clip),
    ]
    return Pipeline(steps).set_output(transform="pandas")


class _OfTheSameColumns(FunctionTransformer):
    """Refuse other columns, or another order, than those of the fit.

    A FunctionTransformer gives the columns of any table the names of those that it was fitted on.
    """

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        validate_data(self, X, reset=False, skip_check_array=True)
        return super().transform(X)


def _refuse_huge(X: pd.DataFrame) -> pd.DataFrame:
    """Refuse numbers whose squares overflow: they would turn their whole column into NaN."""
    largest = np.abs(X).max(axis=0)
    if (largest > 1e100).any():
        name = largest.idxmax()
        raise ValueError(f"{name} has a value of {largest[name]:.3g}: what unit is it in?")
    return X
