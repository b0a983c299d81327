"""A table of one's own: it comes in as it went out; wrong units are named, never converted."""

import numpy as np
import pandas as pd
import pytest

from lspin import load_cells
from lspin.features import (
    ENGINEERED_FEATURES,
    TEMPLATE_FEATURES,
    check_features,
    engineered,
    is_feature_table,
    read_features,
    unit_problems,
    write_template,
)
from lspin.features.form import impossible_values, range_of, template_rows


@pytest.fixture(scope="module")
def cells():
    """Ten cells in the form that a user fills in."""
    return engineered(load_cells("twin").X.iloc[:10])[list(TEMPLATE_FEATURES)]


def filled(path, cells):
    """Fill in the form below its example."""
    write_template(path)
    rows = cells.rename_axis("cell").to_csv(header=False)
    with path.open("a") as file:
        file.write(rows)
    return path


def test_the_form_is_read_as_it_was_filled_in(cells, tmp_path):
    path = filled(tmp_path / "cells.csv", cells)
    assert is_feature_table(path)
    X = read_features(path)
    assert X.index.tolist() == [str(cell) for cell in cells.index]  # neither units nor example
    np.testing.assert_allclose(X.to_numpy(), cells.to_numpy())


def test_the_example_of_the_form_has_possible_values():
    names, _, example = template_rows()
    X = pd.DataFrame([[float(value) for value in example[1:]]], columns=names[1:])
    assert unit_problems(X) == [] and impossible_values(X) == {}


def test_the_form_replaces_nothing(tmp_path):
    write_template(tmp_path / "cells.csv")
    with pytest.raises(FileExistsError, match="is there already"):
        write_template(tmp_path / "cells.csv")


def test_every_feature_has_a_range():
    assert [name for name in ENGINEERED_FEATURES if range_of(name) is None] == [
        "no_slow_trough_ramp",
        "no_adaptation",
    ]


@pytest.mark.parametrize(
    ("column", "factor", "unit", "advice"),
    [
        ("vrest", 1e-3, "volts, not mV", "multiply by 1000"),
        ("threshold_v_long_square", 1e3, "microvolts, not mV", "multiply by 0.001"),
        ("tau", 1e-3, "seconds, not ms", "multiply by 1000"),
        ("avg_isi", 1e-3, "seconds, not ms", "multiply by 1000"),
        ("rise_ms_ramp", 1e-3, "seconds, not ms", "multiply by 1000"),
        ("latency", 1e3, "milliseconds, not s", "multiply by 0.001"),
        ("ri", 1e6, "ohms, not MΩ", "multiply by 1e-06"),
        ("ri", 1e-3, "gigaohms, not MΩ", "multiply by 1000"),
        ("threshold_i_short_square", 1e-12, "amperes, not pA", "multiply by 1e+12"),
        ("threshold_i_short_square", 1e-3, "nanoamperes, not pA", "multiply by 1000"),
        ("f_i_curve_slope", 1e3, "spikes/s per nA", "multiply by 0.001"),
        ("sag", 100, "percent, not a share of 1", "multiply by 0.01"),
    ],
)
def test_another_unit_is_named_with_its_column_and_the_cure(cells, column, factor, unit, advice):
    X = cells.assign(**{column: cells[column] * factor})
    with pytest.raises(ValueError, match=unit.replace("/", ".")) as refused:
        check_features(X)
    assert column in str(refused.value) and advice in str(refused.value)


def test_a_table_in_si_units_is_refused(cells):
    volts = [name for name in cells if "_v_" in name or name == "vrest"]
    with pytest.raises(ValueError, match="looks like volts"):
        check_features(cells.assign(**{name: cells[name] / 1000 for name in volts}))


def test_one_row_in_volts_among_millivolts_is_found(cells):
    X = cells.copy()
    volts = [name for name in cells if "_v_" in name or name == "vrest"]
    X.loc[X.index[3], volts] /= 1000
    problems = unit_problems(X)
    assert problems and all(f"in cell {X.index[3]}" in problem for problem in problems)


def test_columns_that_have_changed_places_are_found(cells):
    X = pd.DataFrame(np.roll(cells.to_numpy(), 1, axis=1), cells.index, cells.columns)
    with pytest.raises(ValueError, match="Have columns changed places"):
        check_features(X)


def test_a_single_odd_value_is_no_other_unit(cells):
    X = cells.assign(ri=cells["ri"].mask(cells.index == cells.index[2], -20.0))
    assert unit_problems(X) == []
    assert "ri = -20" in impossible_values(X)[X.index[2]][0]


def test_recorded_cells_raise_no_false_alarm(real_data, monkeypatch):
    monkeypatch.setenv("LSPIN_DATA_DIR", str(real_data))
    for source in ("allen", "v1", "m1", "human"):
        X = load_cells(source).X
        for table in (X, engineered(X)):
            assert unit_problems(table) == []
            some = table.iloc[:: len(table) // 40]
            alone = [cell for cell in some.index if unit_problems(some.loc[[cell]])]
            assert len(alone) <= 1


# Files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell,tau\nA,12\nA,14", "two rows named 'A'"),
        ("cell,tau\nunit,s\nA,0.012", "gives tau in 's'; it is wanted in ms"),
        ("cell,tau\nA,twelve", "tau holds 'twelve', which is no number"),
        ('cell,tau\nA,"12,5"', "Decimal commas"),
        ("cell;tau\nA;12", "separated by semicolons"),
        ("cell,tau\nA,inf", "infinite value in column tau"),
        ("cell,tau\n,12", "a row has no name"),
        ("cell,colour\nA,red", "no column that is a feature"),
        ("cell,tau\nexample (delete this row),15", "has no cells"),
        ("cell,tau\nA,12,13,14", "row 2 has 4 fields, the first has 2"),
        ("cell,tau,sag\nA,12,0.1\nB,1", "row 3 has 2 fields"),
        ('cell,tau\nA,"12', "no table of features"),
        ("cell,tau,tau\nA,12,13", "two columns named 'tau'"),
        ("", "no column that is a feature"),
        ("\n# nothing", "no column that is a feature"),
    ],
)
def test_what_is_no_table_of_features_is_refused(text, message, tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as refused:
        read_features(path)
    assert "cells.csv" in str(refused.value) and "\n" not in str(refused.value)


def test_comments_blank_rows_and_signs_in_names_do_no_harm(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("\ufeff# from our lab\ncell,tau,note\nA#1,12,good\n,,\nB 2,n/a,\n")
    with pytest.warns(UserWarning, match="note"):
        X = read_features(path)
    assert X["tau"].to_dict()["A#1"] == 12 and np.isnan(X.loc["B 2", "tau"])


@pytest.mark.parametrize("names", [["Example_07", "ex8", "EXAMPLECELL"], ["#1", "c2", "#3"]])
def test_no_cell_is_left_out_for_its_name(names, cells, tmp_path):
    path = filled(tmp_path / "cells.csv", cells.iloc[:3].set_axis(names))
    path.write_text("# from our lab\n" + path.read_text())
    assert read_features(path).index.tolist() == names


def test_a_form_in_utf_16_is_read_and_one_with_tabs_is_told(cells, tmp_path):
    path = filled(tmp_path / "cells.csv", cells)
    text = path.read_text()
    path.write_text(text, encoding="utf-16")
    assert is_feature_table(path)
    np.testing.assert_allclose(read_features(path).to_numpy(), cells.to_numpy())
    path.write_text(text.replace(",", "\t"), encoding="utf-16")  # a spreadsheet's Unicode text
    assert is_feature_table(path)
    with pytest.raises(ValueError, match=r"^cells.csv is separated by tabs.* save it with commas"):
        read_features(path)


def test_a_recording_is_no_table_of_features(tmp_path):
    (tmp_path / "cell.csv").write_text("time_s,voltage_mv,current_pa\n0,-70,0\n")
    assert not is_feature_table(tmp_path / "cell.csv")
    assert not is_feature_table("cell.abf")


def test_what_a_table_lacks_stays_missing():
    X = engineered(pd.DataFrame({"tau": [12.0], "peak_v_ramp": [30.0]}))
    assert X["tau"].item() == 12
    assert X["no_adaptation"].isna().all() and X["fall_ms_ramp"].isna().all()


def test_a_slow_trough_for_which_nobody_looked_is_not_one_that_was_missing():
    X = pd.DataFrame({"peak_v_ramp": [40.0], "peak_v_long_square": [35.0]})
    made = ["slow_trough_depth_mv_ramp", "no_slow_trough_ramp", "slow_trough_depth_mv_long_square"]
    assert engineered(X)[made].isna().all(axis=None)
    looked = X.assign(slow_trough_v_ramp=np.nan, slow_trough_v_long_square=np.nan)
    assert engineered(looked)[made].iloc[0].tolist() == [0, 1, 0]


def test_columns_that_are_left_out_are_named(tmp_path):
    (tmp_path / "cells.csv").write_text("cell,vrest,Rin\nA1,-70,150")
    with pytest.warns(UserWarning, match="'Rin'"):
        assert list(read_features(tmp_path / "cells.csv")) == ["vrest"]
