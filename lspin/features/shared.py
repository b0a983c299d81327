"""The measurements that all of our tables have, made comparable from lab to lab."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lspin.data.patchseq import HALF_WIDTH
from lspin.features.inputs import STIMULUS_ONSET_S

SHARED_FEATURES: tuple[str, ...] = (
    *("vrest", "ri", "tau", "sag", "adaptation", "latency"),
    *("threshold_i_long_square", "delay_ms_long_square", "threshold_v_long_square"),
    *("spike_height_mv_long_square", "fast_trough_depth_mv_long_square"),
    *("upstroke_downstroke_ratio_long_square", HALF_WIDTH),
)
"""What :func:`shared_features` returns; the last one was not released by the Allen Institute."""

_ORDERS_OF_MAGNITUDE = ("ri", "tau", "latency", "threshold_i_long_square", HALF_WIDTH)


def shared_features(X: pd.DataFrame) -> pd.DataFrame:
    """Compute the measurements that the Allen table and all Patch-seq tables have in common.

    Peak and fast trough are counted from the threshold of the same spike: a constant error of the
    electrode, which moves all voltages of a recording alike, is no longer in them. Positive
    measurements that span orders of magnitude are given as decimal logarithms.

    Parameters
    ----------
    X : DataFrame, shape (n_cells, n_columns)
        Released features, such as those of `load_cells`.

    Returns
    -------
    DataFrame of float64, shape (n_cells, 13)
        :data:`SHARED_FEATURES`, NaN where not measured; 12 of them where `X` has no half-width.

    Raises
    ------
    ValueError
        If `X` lacks a column.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.features import shared_features
    >>> shared_features(load_cells("m1-twin").X).shape
    (1402, 13)
    >>> shared_features(load_cells("twin").X).shape  # the Allen table has no half-widths
    (1750, 12)
    """
    names = [name for name in SHARED_FEATURES if name != HALF_WIDTH or HALF_WIDTH in X]
    s = "long_square"
    needed = {*names} - {f"spike_height_mv_{s}", f"fast_trough_depth_mv_{s}", f"delay_ms_{s}"}
    needed |= {f"peak_v_{s}", f"fast_trough_v_{s}", f"threshold_t_{s}"}
    if lacking := sorted(needed - set(X.columns)):
        raise ValueError(
            f"The table lacks {lacking}: pass the released features of load_cells().X."
        )
    threshold = X[f"threshold_v_{s}"]
    table = X.assign(
        **{
            f"spike_height_mv_{s}": X[f"peak_v_{s}"] - threshold,
            f"fast_trough_depth_mv_{s}": threshold - X[f"fast_trough_v_{s}"],
            f"delay_ms_{s}": 1000 * (X[f"threshold_t_{s}"] - STIMULUS_ONSET_S),
        }
    )[names].astype(np.float64)
    logged = [name for name in _ORDERS_OF_MAGNITUDE if name in names]
    return table.assign(**{name: np.log10(table[name].where(table[name] > 0)) for name in logged})
