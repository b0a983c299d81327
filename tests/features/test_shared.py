"""What all tables measure: the same columns, and no electrode's constant error."""

import numpy as np
import pytest

from lspin import load_cells
from lspin.features import FEATURES, SHARED_FEATURES, shared_features


@pytest.mark.parametrize("source", ["v1-twin", "m1-twin", "human-twin"])
def test_every_patchseq_table_has_them_all(source):
    shared = shared_features(load_cells(source).X)
    assert tuple(shared) == SHARED_FEATURES and set(shared) <= set(FEATURES)
    assert (shared.notna().mean() > 0.8).all()


def test_a_constant_error_of_the_electrode_is_seen_in_voltages_only():
    X = load_cells("v1-twin").X
    voltages = [name for name in X if "_v_" in name or name == "vrest"]
    before, after = shared_features(X), shared_features(X.assign(**X[voltages] + 12))
    changed = [
        name for name in before if not np.allclose(before[name], after[name], equal_nan=True)
    ]
    assert changed == ["vrest", "threshold_v_long_square"]


def test_logarithms_are_taken_once_and_of_positive_numbers_only():
    X = load_cells("m1-twin").X.head(3).copy()
    X["tau"] = [10.0, -1.0, np.nan]
    tau = shared_features(X)["tau"]
    assert tau.iloc[0] == 1 and tau.iloc[1:].isna().all()


def test_a_table_without_them_is_refused():
    with pytest.raises(ValueError, match=r"lacks \['peak_v_long_square'\]"):
        shared_features(load_cells("twin").X.drop(columns="peak_v_long_square"))
