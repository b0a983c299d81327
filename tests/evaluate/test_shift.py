"""How far cells lie outside: no alarm among cells of the same table, and alarm where it is due."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from lspin.data import PATCHSEQ, load_cells
from lspin.evaluate import NOT_MEASURED, shift


@pytest.fixture(scope="module")
def twin():
    return load_cells("twin")


@pytest.fixture(scope="module")
def one(twin):
    return twin.X.iloc[[3]]


def held_out(cells, n_donors, rng):
    """Take donors out of a table; return the rest, and them."""
    chosen = cells.donors.isin(rng.permutation(cells.donors.unique())[:n_donors])
    return cells.select(~chosen), cells.select(chosen)


def false_alarms(cells, n_tables):
    """Count the alarms for held-out cells, donors and tables, one by one."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(n_tables):
        for n_donors in (1, 10, cells.donors.nunique() // 5):
            train, new = held_out(cells, n_donors, rng)
            found.append(shift(train, new).is_outside)
        found.append(shift(train, new.X.sample(1, random_state=rng)).is_outside)
    return np.mean(found), len(found)


def test_cells_of_the_twin_give_no_alarm(twin):
    rate, n = false_alarms(twin, 8)
    assert n == 32 and rate == 0


@pytest.mark.parametrize("source", ["allen", "m1", "human"])
def test_recorded_cells_of_the_same_table_give_no_alarm(source, real_data):
    if source in PATCHSEQ and not PATCHSEQ[source].has_tables(real_data):
        pytest.skip(f"needs {source}")
    rate, n = false_alarms(load_cells(source, data_dir=real_data), 25)
    # As many as a rate of one in a hundred gives by chance in 95 % of such trials.
    assert n == 100 and rate * n <= binom.ppf(0.95, n, 0.01)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda X: X.assign(tau=X["tau"] / 1000), "tau"),
        (lambda X: X.assign(vrest=X["vrest"] / 1000), "vrest"),
        (lambda X: X.assign(ri=-X["ri"]), "ri"),
        (lambda X: X.assign(vrest=X["tau"], tau=X["vrest"]), "tau"),
        (lambda X: pd.DataFrame(np.roll(X, 1, axis=1), X.index, X.columns), "vrest"),
        (lambda X: X * np.nan, NOT_MEASURED),
    ],
    ids=["other unit", "volts", "wrong sign", "changed places", "shifted columns", "nothing"],
)
@pytest.mark.parametrize("n_cells", [1, 40])
def test_a_wrong_table_is_found_in_one_cell_and_in_many(twin, change, where, n_cells):
    found = shift(twin, change(twin.X.iloc[3 : 3 + n_cells]))
    assert found.is_outside and found.table.loc[where, "outside"]
    assert "OUTSIDE" in str(found) and "Nobody knows yet" in str(found)


def test_the_rest_of_a_cell_with_one_wrong_unit_stays_inside(twin, one):
    outside = shift(twin, one.assign(tau=one["tau"] * 1000)).table["outside"]
    assert list(outside[outside].index) == ["tau"]


def test_other_labs_lie_outside():
    v1, m1 = load_cells("v1-twin"), load_cells("m1-twin")
    assert shift(v1, m1).is_outside
    cold, warm = (m1.select(m1.metadata["temperature_c"] == t) for t in (25, 34))
    found = shift(cold, warm).table
    assert found.loc["half_width_ms_long_square", "outside"]
    assert found.loc["half_width_ms_long_square", "distance"] < -0.5  # warm spikes are narrower


def test_what_nobody_has_is_outside(twin):
    new = twin.X.iloc[:30].drop(columns="sag")
    found = shift(twin, new)
    assert found.table.loc["sag", "outside"] and found.table.loc["sag", "measured_new"] == 0
    assert "sag (nobody has it)" in str(found)


def test_a_distance_is_that_of_the_means_in_standard_deviations():
    rng = np.random.default_rng(0)
    train = pd.DataFrame({"a": rng.normal(5, 2, 4000), "b": rng.normal(size=4000)})
    new = pd.DataFrame({"a": rng.normal(6, 2, 1000), "b": rng.normal(size=1000)})
    table = shift(train, new).table
    assert table.loc["a", "distance"] == pytest.approx(0.5, abs=0.08)
    assert table["outside"].to_dict() == {"a": True, "b": False, NOT_MEASURED: False}


def test_a_feature_that_never_varied_is_outside_once_it_does():
    train = pd.DataFrame({"a": np.ones(100), "b": np.arange(100.0)})
    assert not shift(train, train.iloc[[50]]).is_outside
    assert shift(train, train.iloc[[50]].assign(a=1.1)).table.loc["a", "outside"]


@pytest.mark.parametrize(
    ("train", "new", "message"),
    [
        (slice(0, 10), slice(0, 1), "20 training cells"),
        (slice(0, 30), slice(0, 0), "20 training cells"),
        (slice(0, 30), None, "none of the training"),
        (slice(0, 30), [1.0], "got list"),
    ],
)
def test_what_cannot_be_compared_is_refused(twin, train, new, message):
    if new is None:
        new = pd.DataFrame({"soma": [1.0]})
    elif isinstance(new, slice):
        new = twin.X.iloc[new]
    with pytest.raises(ValueError, match=message):
        shift(twin.X.iloc[train], new)
