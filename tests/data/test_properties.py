"""What holds for every table, mask, donor and recording: hypothesis looks for a breach."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lspin.data import aligned, as_numbers, donor_folds, own_cells, own_table, read_csv
from lspin.features import Recording, engineered, read_recording, table_inputs

FEW = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,  # the same on every machine and every day
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAMES = st.text("abcdeé _", min_size=1, max_size=6).map(str.strip).filter(bool)
TEXTS = st.text("ab c,;\"'\n-.5é", max_size=5)


# Own tables


@FEW
@given(
    names=st.lists(NAMES, min_size=2, max_size=4, unique=True),
    rows=st.lists(st.lists(TEXTS, min_size=4, max_size=4), min_size=1, max_size=5),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_csv_writes_is_read_again(tmp_path, names, rows, encoding):
    table = pd.DataFrame([row[: len(names)] for row in rows], columns=names)
    table[names[0]] = [f"row {k}" for k in range(len(table))]  # no row is blank
    path = tmp_path / "t.csv"
    path.write_text(table.to_csv(index=False), encoding=encoding)
    wanted = table.map(lambda text: text.strip()).replace({"": np.nan, "-": np.nan})
    pd.testing.assert_frame_equal(read_csv(path), wanted, check_dtype=False)


@FEW
@given(st.lists(st.floats(-1e9, 1e9).map(lambda x: round(x, 6)), min_size=1, max_size=20))
def test_decimal_points_and_commas_are_the_same_numbers(values):
    points = pd.Series([f"{x:.6f}" for x in values], dtype=object)
    commas = points.str.replace(".", ",")
    np.testing.assert_allclose(as_numbers(points), values)
    pd.testing.assert_series_equal(as_numbers(commas), as_numbers(points))


@FEW
@given(
    labels=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=25, max_size=50),
    donors=st.lists(st.sampled_from(["m", "n", "o", "p", None]), min_size=50, max_size=50),
    column=st.lists(st.sampled_from(["1.5", "2,5", "3", "", "n.d.", "-7"]), min_size=50),
)
def test_an_own_table_is_whole_or_refused(labels, donors, column):
    n = len(labels)
    raw = pd.DataFrame({"y": labels, "d": donors[:n], "x": column[:n]}, dtype=object)
    raw["z"] = [f"{(7 * k) % 11}.5" for k in range(n)]
    raw = raw.replace("", np.nan)
    try:
        table = own_table(raw, "y", "d")
    except ValueError as error:
        assert "\n" not in str(error)
        return
    assert table.X.index.equals(table.y.index) and table.X.index.equals(table.groups.index)
    assert set(table.X) | set(table.left_out) == {"x", "z"}
    assert not set(table.X) & set(table.left_out)
    donors_of = table.groups.groupby(table.y)
    assert donors_of.nunique().min() >= 2 and donors_of.size().min() >= 5
    # Two rows are of one group if and only if they are of one donor.
    pairs = pd.DataFrame({"g": table.groups, "d": raw.loc[table.X.index, "d"]}).drop_duplicates()
    assert pairs["g"].is_unique and pairs["d"].is_unique
    shuffled = own_table(raw.sample(frac=1, random_state=0), "y", "d")
    assert set(shuffled.X) == set(table.X) and len(shuffled.X) == len(table.X)


# Records and folds


@FEW
@given(st.lists(st.booleans(), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_a_mask_and_its_ids_choose_the_same_cells_in_any_order(mask, random):
    ids = random.sample(range(1000), len(mask))
    X = pd.DataFrame({"x": np.arange(len(mask), dtype=float)}, index=ids)
    cells = own_cells(X, [f"class {k % 3}" for k in range(len(mask))])
    wanted = [cell for cell, keep in zip(ids, mask, strict=True) if keep]
    series = pd.Series(mask, ids)
    order = random.sample(ids, len(ids))
    for chosen in (mask, np.array(mask), series, series[order], series[order].astype(object)):
        found = cells.select(chosen)
        assert found.X.index.tolist() == wanted == found.y.index.tolist()
    if wanted:
        pd.testing.assert_frame_equal(cells.select(wanted).X, cells.select(mask).X)


@FEW
@given(
    pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=6, max_size=60),
    n_splits=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_folds_test_every_cell_once_and_no_donor_is_on_both_sides(pairs, n_splits, seed):
    y, donors = (pd.Series(part, range(100, 100 + len(pairs))) for part in zip(*pairs, strict=True))
    try:
        folds = donor_folds(y, donors, n_splits, seed)
    except ValueError as error:
        few = min(donors.nunique(), y.value_counts().max()) < n_splits
        assert few or "none is empty" in str(error)
        return
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(y)))
    for train, test in folds:
        assert len(train) and len(test) and len(train) + len(test) == len(y)
        assert not set(donors.iloc[train]) & set(donors.iloc[test])
    mixed = donor_folds(y, donors.sample(frac=1, random_state=seed), n_splits, seed)
    assert all((a[1] == b[1]).all() for a, b in zip(folds, mixed, strict=True))


@FEW
@given(st.permutations(list(range(8))))
def test_a_series_is_aligned_whatever_its_order(order):
    index = pd.Index(range(8))
    assert aligned(pd.Series(order, order), index, "y").tolist() == list(range(8))


# Transformers

NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.just(np.nan))


@FEW
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=20))
def test_inputs_are_finite_bounded_and_do_not_depend_on_the_rows_beside(rows):
    X = pd.DataFrame(rows, columns=["a", "b"], dtype=float)
    inputs = table_inputs().fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Z = inputs.transform(X)
    assert Z.shape == X.shape and np.isfinite(Z).all(axis=None) and (Z.abs() <= 5).all(axis=None)
    pd.testing.assert_frame_equal(inputs.transform(X.iloc[[0]]), Z.iloc[[0]])
    pd.testing.assert_frame_equal(inputs.transform(X[::-1]), Z[::-1])


@FEW
@given(st.floats(0.5, 3), st.floats(-0.4, 0.4), st.floats(0, 0.02))
def test_when_a_sweep_began_changes_no_interval(onset, later, width):
    times = {
        f"{name}_t_long_square": [onset + at * width]
        for name, at in (("threshold", 1), ("peak", 2), ("fast_trough", 3), ("trough", 4))
    }
    moved = {name: [values[0] + later] for name, values in times.items()}
    columns = ["rise_ms_long_square", "fall_ms_long_square", "trough_ms_long_square"]
    first, second = (engineered(pd.DataFrame(table))[columns] for table in (times, moved))
    np.testing.assert_allclose(first, second, atol=1e-6)


# Recordings


@FEW
@given(
    steps=st.lists(
        st.integers(-20, 20).filter(bool).map(lambda n: 10.0 * n), min_size=1, max_size=3
    ),
    start=st.integers(200, 400),
    length=st.integers(200, 500),
    cut=st.integers(0, 50),
    unit=st.sampled_from([("mv", "pa", 1.0, 1.0), ("v", "na", 1e-3, 1e-3)]),
)
def test_a_recording_survives_a_csv_file_in_any_unit(tmp_path, steps, start, length, cut, unit):
    hz, n = 5_000, 1_200
    current = np.zeros((len(steps), n))
    current[:, start : start + length] = np.array(steps)[:, None]
    voltage = -70 + current / 20
    volt, ampere, to_v, to_a = unit
    table = pd.concat(
        pd.DataFrame(
            {
                "sweep": k,
                "time_s": np.arange(n) / hz,
                f"voltage_{volt}": np.where(np.arange(n) < n - cut, v * to_v, np.nan),
                f"current_{ampere}": i * to_a,
            }
        )
        for k, (v, i) in enumerate(zip(voltage, current, strict=True))
    )
    table.to_csv(tmp_path / "r.csv", index=False)
    recording = read_recording(tmp_path / "r.csv")
    direct = Recording.from_arrays(voltage, current, hz)
    assert len(recording.sweeps) == len(steps)
    for sweep, other, pa in zip(recording.sweeps, direct.sweeps, steps, strict=True):
        assert sweep.voltage_mv.size == n - cut and sweep.sampling_hz == pytest.approx(hz)
        np.testing.assert_allclose(sweep.voltage_mv, other.voltage_mv[: n - cut], rtol=1e-5)
        assert sweep.stimulus.amplitude_pa == pytest.approx(pa, rel=1e-4)
        assert sweep.stimulus.start_s == pytest.approx(start / hz, abs=2 / hz)
        assert sweep.stimulus.end_s == pytest.approx((start + length) / hz, abs=2 / hz)
