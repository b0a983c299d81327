"""Bad input to every public entry: what is given, and what is said. Nothing is lost by it.

One row is one case. Each entry raises an error of one line that names the file or the column, and
leaves the folder as it was. More cases: of recordings in features/test_files.py, of saved models in
model/test_saved.py, of settings in model/test_robust.py, of the Allen tables in data/test_data.py.
"""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier, TableModel, classify, load_cells, load_spikes
from lspin.__main__ import main
from lspin.data import aligned, donor_folds, own_cells, own_table, read_csv
from lspin.evaluate import shift
from lspin.features import (
    Recording,
    check_features,
    measure_spike,
    model_inputs,
    read_features,
    read_recording,
    table_inputs,
)

FIXTURES = Path(__file__).parent / "model" / "fixtures"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of one's own with a result in it; whatever happens, it stays as it is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "kept.csv").write_text("what was there before")
    (tmp_path / "wine.csv").write_text("a,kind\n" + "1.5,x\n2.5,y\n" * 20)
    (tmp_path / "cells.csv").write_text("cell,vrest,tau\nA1,-70,12\n")
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(call, said, *errors):
    """Check that it raises an error of one line that says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(errors or ValueError) as error:
            call()
    assert re.search(said, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)


# Tables of anything, from a file

ROWS = "1,2,x\n3,4,y\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty|no rows"),
        (b"a,b\n", "a line of column names and no rows"),
        (b"a,b\n\n,\n", "no rows"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 fields, and the first line 2"),
        (b"a,b\n1,2,3\n", "line 2 has 3 fields"),
        (b"a,a\n1,2\n", "two columns named 'a'"),
        (b"a, a\n1,2\n", "two columns named 'a'"),
        (b",,a\n1,2,3\n", "two columns without a name"),
        (b'a,b\n1,"2\n', "a quotation mark is never closed"),
        (b'a,b\n"1"2,3\n', "cannot be read as a table"),
        (b"PK\x03\x04" + b"x" * 50, "workbook or an archive"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 50, "workbook or an archive"),
        (b"a,b\n1,\x002\n", "is no text"),
        (b"\x89HDF\r\n\x1a\n\x00", "is no text"),
        (b"\xff\xfe" + "a,b\n".encode("utf-16-le"), "no rows"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", "field larger than field limit"),
    ],
)  # fmt: skip
def test_no_table(content, said, folder):
    (folder / "t.csv").write_bytes(content)
    before = contents(folder)
    refused(lambda: read_csv(folder / "t.csv"), rf"t\.csv .*({said})")
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("name", "said"), [("no.csv", "There is no file"), ("here", "is a folder: name a CSV file")]
)
def test_no_file(name, said, folder):
    refused(lambda: read_csv(folder / name), said, OSError)


def raw(n=40, **columns):
    rng = np.random.default_rng(0)
    table = {"a": rng.normal(size=n).round(3).astype(str), "kind": ["x", "y"] * (n // 2)}
    return pd.DataFrame({**table, **columns}, dtype=object)


@pytest.mark.parametrize(
    ("table", "label", "group", "said"),
    [
        (raw(), "type", None, "no column 'type' for the label; there are a, kind"),
        (raw(), "kind", "donor", "no column 'donor' for the group"),
        (raw(), "kind", "kind", "cannot be the group"),
        (raw(10), "kind", None, "10 rows can be learned from"),
        (raw(kind=["x"] * 40), "kind", None, "the same in all rows"),
        (raw(kind=[f"n{k}" for k in range(40)]), "kind", None, "names, not classes"),
        (raw(kind=["1.5"] * 30 + ["?!"] * 10), "kind", None, r"numbers, but also '\?!'"),
        (raw(kind=["inf", "1.5"] * 20), "kind", None, "infinite or huge"),
        (raw(kind=["1e200", "1.5"] * 20), "kind", None, "infinite or huge"),
        (raw(kind=[np.nan] * 40), "kind", None, "0 rows can be learned from"),
        (raw(donor=["m"] * 40), "kind", "donor", "one group|0 rows"),
        (raw(donor=["m", "n"] * 20), "kind", "donor", "0 rows .* rows of one group only"),
        (raw(donor=[np.nan] * 40), "kind", "donor", "40 of 40 rows have no label or group"),
        (raw(a=["red"] * 40), "kind", None, "No column can be learned from. a: text"),
        (raw(a=[np.nan] * 40), "kind", None, "a: empty"),
        (raw(a=["3"] * 40), "kind", None, "a: the same in all rows"),
        (raw(a=["inf"] * 40), "kind", None, "a: infinite or huge"),
        (raw(a=[str(k) for k in range(40)]), "kind", None, "a: it numbers the rows"),
        (raw(a=["1", "2"] * 20), "kind", None, "a: a copy of the label"),
        (raw(a=["1.5"] * 35 + ["n.d."] * 5), "kind", None, r'a: numbers, but "n\.d\." in 5 of 40'),
        (raw()[["kind"]], "kind", None, "There is no other"),
        (raw().rename(columns={"a": "cell ID"}).assign(**{"cell ID": ["4", "9", "7", "7"] * 10}),
         "kind", None, "an id by its name"),
        (raw(a=[str(k // 2) for k in range(40)], donor=[f"m{k // 2}" for k in range(40)]),
         "kind", "donor", "another name of the group"),
    ],
)  # fmt: skip
def test_a_table_with_nothing_to_learn_from(table, label, group, said):
    refused(lambda: own_table(table, label, group), said)


# A table of features of neurons

GOOD = {"vrest": -70.0, "tau": 12.0, "peak_v_long_square": 30.0, "threshold_i_long_square": 90.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cell,cell,tau\na,b,12", "two columns named 'cell'"),
        ("specimen_id,specimen_id,tau\n1,2,12", "two columns named 'specimen_id'"),
        ("cell,tau\nA,1e400", "'1e400', which is no number"),
        ("cell,tau\nA,-inf", "infinite value in column tau"),
        ("cell,tau\nA,0x10", "'0x10', which is no number"),
        ("cell,tau\nA,12 ms", "'12 ms', which is no number"),
        ("cell,tau\nA,1 2", "which is no number"),
        ("cell,tau\nunit,sec\nA,12", "gives tau in 'sec'"),
        ("cell,vrest\nunit,V\nA,-70", "gives vrest in 'V'"),
        ("cell,tau\nunits,s\nA,12", "gives tau in 's'"),
        ("cell,tau\n  ,12", "a row has no name"),
        ("cell\tvrest\ttau\nA\t-70\t12", "no column that is a feature"),
        ("TAU,VREST\n12,-70", "no column that is a feature"),
        ("cell,tau\n", "has no cells"),
        ("\n\n\n", "no column that is a feature"),
        ('cell,tau\n"A\nB,12', "no table of features"),
        ("cell,tau\nA,12\n\nB,13,14", "row 3 has 3 fields"),
        ("cell,tau\nA,0.012\nB,0.014", "looks like seconds, not ms"),
        ("cell,vrest\nA,-0.07\nB,-0.065", "looks like volts, not mV"),
        ("cell,ri\nA,180000000", "looks like ohms"),
        ("cell,ri\nA,0.18", "looks like gigaohms"),
        ("cell,sag\nA,12", "looks like percent"),
        ("cell,latency\nA,30", "looks like milliseconds"),
    ],
)
def test_no_table_of_features(text, said, folder):
    (folder / "t.csv").write_text(text)
    refused(lambda: read_features(folder / "t.csv"), rf"t\.csv.*{said}")


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (pd.DataFrame([GOOD, GOOD], index=["A", "A"]), "two rows named 'A'"),
        (pd.DataFrame([[1.0, 2.0]], columns=["tau", "tau"]), "two columns named 'tau'"),
        (pd.DataFrame({"tau": ["12"]}), "text in column tau"),
        (pd.DataFrame({"tau": [np.inf]}), "infinite value in column tau"),
        (pd.DataFrame({"soma": [1.0]}), "no column that is a feature"),
        (pd.DataFrame({"tau": []}, dtype=float), "no cell"),
        (pd.DataFrame(), "no column that is a feature, or no cell"),
    ],
)
def test_no_features(X, said):
    refused(lambda: check_features(X), said)
    refused(lambda: classify(X), said)


# Records and folds

INDEX = pd.Index([3, 7, 9])
TABLE = pd.DataFrame({"tau": [1.0, 2.0, 3.0]}, index=INDEX)


@pytest.mark.parametrize(
    ("X", "y", "donors", "said"),
    [
        (TABLE.to_numpy(), list("aba"), None, "DataFrame with named columns, got ndarray"),
        (TABLE.assign(tau="x"), list("aba"), None, r"these columns do not: \['tau'\]"),
        (TABLE, list("ab"), None, "y has 2 values for 3 cells"),
        (TABLE, "aba", None, "y must hold one value per cell, got str"),
        (TABLE, [["a"], ["b"], ["a"]], None, "y must hold one value per cell"),
        (TABLE, ["a", None, "b"], None, "y is missing for 1 of 3"),
        (TABLE, ["a", np.nan, "b"], None, "y is missing for 1 of 3"),
        (TABLE, ["class", "b", "b"], None, "cannot be called 'class'"),
        (TABLE, ["predicted", "b", "b"], None, "cannot be called 'predicted'"),
        (TABLE, pd.Series(list("aba")), None, "y is about other cells"),
        (TABLE, pd.Series(list("aba"), [3, 3, 7]), None, "names a cell more than once"),
        (TABLE, list("aba"), [1, 2], "donors has 2 values"),
        (TABLE, list("aba"), [1, None, 2], "donors is missing for 1 of 3"),
        (TABLE, list("aba"), 5, "donors must hold one value per cell, got int"),
        (TABLE, list("aba"), pd.Series([1, 2, 3]), "donors is about other cells"),
        (TABLE * np.inf, list("aba"), None, "infinite values"),
        (pd.concat([TABLE, TABLE], axis=1), list("aba"), None, "two columns named 'tau'"),
    ],
)
def test_no_record(X, y, donors, said):
    refused(lambda: own_cells(X, y, donors), said)


CELLS = own_cells(TABLE, y=["a", "b", "a"])


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (3, "a mask or a list of ids"),
        ("3", "a mask or a list of ids"),
        (None, "a mask or a list of ids"),
        ({3: True}, "a mask or a list of ids"),
        (slice(2), "a mask or a list of ids"),
        ([[True, False, True]], "a mask or a list of ids"),
        ([True, False], "mask has shape"),
        ([True] * 4, "mask has shape"),
        ([True, None, False], "mask has missing values"),
        (pd.Series([True, False, True]), "mask is about other cells"),
        (pd.Series([True, False], [3, 7]), "mask has 2 values for 3"),
        (pd.Series([True, pd.NA, False], INDEX, dtype="boolean"), "mask has missing values"),
        ([4], r"No such specimen id in this table: \[4\]"),
        ([0, 1, 1], "No such specimen id"),
        (["3"], "No such specimen id"),
        ([3, 3], "unique"),
        ([np.nan], "No such specimen id"),
        ([3.5], "No such specimen id"),
    ],
)
def test_no_choice_of_cells(chosen, said):
    refused(lambda: " ".join(str(CELLS.select(chosen)).split()), said)


@pytest.mark.parametrize(
    ("y", "donors", "n_splits", "said"),
    [
        ([0, 1] * 5, [1] * 10, 5, "need at least 5 donors, got 1"),
        ([0, 1] * 5, range(9), 2, "9 donors for 10 cells"),
        ([0, 1] * 5, [None, *range(9)], 2, "donors is missing"),
        ([0, np.nan] * 5, range(10), 2, "y is missing"),
        ([0, 1] * 5, range(10), 1, "n_splits"),
        ([0, 1] * 5, range(10), 0, "n_splits"),
        (pd.Series([0, 1]), pd.Series([0, 1], [5, 6]), 2, "donors is about other cells"),
    ],
)
def test_no_folds(y, donors, n_splits, said):
    refused(lambda: donor_folds(y, list(donors) if isinstance(donors, range) else donors, n_splits),
            said)  # fmt: skip


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: load_cells("allan"), "source must be one of"),
        (lambda: load_cells("twin", cohort="some"), "cohort must be one of"),
        (lambda: load_cells("twin", species="rat"), "species must be 'mouse' or 'human'"),
        (lambda: load_cells("twin", labels="rna"), "labels of source 'twin' must be"),
        (lambda: load_cells("m1-twin", cohort="paper"), "no cohorts"),
        (lambda: load_cells("human-twin", species="mouse"), "human cells only"),
        (lambda: load_spikes("allen"), "hold no waveforms"),
        (lambda: aligned({1: 2}, INDEX, "y"), "one value per cell"),
        (lambda: shift(TABLE, TABLE), "needs 20 training cells"),
        (lambda: shift(pd.concat([TABLE] * 9), pd.DataFrame({"b": [1.0]})), "none of the training"),
        (lambda: model_inputs([]), "There are no columns"),
        (lambda: model_inputs(["tua"]), r"Not in the catalogue .*\['tua'\]"),
        (lambda: table_inputs().fit(TABLE * 1e150), "what unit is it in"),
    ],
)  # fmt: skip
def test_no_such_thing(call, said):
    refused(call, said)


# Recordings

HZ = 10_000
V = np.full((2, 2_000), -70.0)
V[:, 500:1500] -= [[2.0], [4.0]]
I = np.where(V < -70, 10 * (V + 70), 0.0)  # noqa: E741


@pytest.mark.parametrize(
    ("voltage", "current", "hz", "said"),
    [
        ([], None, HZ, "no sweep that can be measured"),
        (V, I[:1], HZ, "2 sweeps of voltage, 1 of current"),
        (V, I, 0, "sampled at 0 Hz"),
        (V, I, -HZ, "sampled at -10000 Hz"),
        (V, I, 10, "Is the unit of time right"),
        (V, I, np.nan, "sampled at nan Hz"),
        (V, I, np.inf, "sampled at inf Hz"),
        (V, I, 1e12, "sampled at 1e.12 Hz"),  # it took endless time and memory
        (V / 1000, I, HZ, "probably in volts"),
        (V * 1000, I, HZ, "its unit is wrong"),
        (V, I * 1e6, HZ, "which no pipette carries"),
        (V * np.nan, I, HZ, "holds no numbers"),
        (V * np.inf, I, HZ, "holds no numbers"),
        (V, I * np.nan, HZ, "holds no numbers"),
        (V * 0 - 70, I, HZ, "its voltage never changes"),
        (V[:, :0], I[:, :0], HZ, "holds no numbers"),
        (V[:, :1], I[:, :1], HZ, "its voltage never changes"),
        (V[:, :, None], I, HZ, "not a row of numbers"),
        (np.where(np.arange(2_000) == 700, np.nan, V), I, HZ, "it has gaps"),
    ],
)
def test_no_recording(voltage, current, hz, said):
    refused(lambda: Recording.from_arrays(voltage, current, hz, name="x"), rf"^x.*{said}")


def as_csv(v=V[0], i=I[0], step=1 / HZ, names="time_s,voltage_mv,current_pa"):
    rows = (f"{n * step:.6g},{a:g},{b:g}" for n, (a, b) in enumerate(zip(v, i, strict=True)))
    return "\n".join([names, *rows])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.csv", "", "damaged, or no .csv"),
        ("r.csv", "\0\0\0", "damaged, or no .csv|needs columns"),
        ("r.csv", "time_s,voltage_mv,current_pa", "column names and no rows"),
        ("r.csv", "time_s,voltage_mv,current_pa\n0,-70,0", "not evenly spaced, or too few"),
        ("r.csv", as_csv(names="t,v,i"), "needs columns time_s"),
        ("r.csv", as_csv(names="time_s,current_pa,current_pa_2"), "holds no voltage"),
        ("r.csv", as_csv(names="time_h,voltage_mv,current_pa"), "needs columns time_s"),
        ("r.csv", as_csv(step=0), "not evenly spaced"),
        ("r.csv", as_csv(step=-1 / HZ), "sampled at -10000 Hz"),
        ("r.csv", as_csv(step=1), "sampled at 1 Hz"),
        ("r.csv", as_csv().replace(",", ";"), "separated by semicolons"),
        ("r.csv", as_csv() + "\n0.3,x,1", "text in column voltage_mv"),
        ("r.csv", as_csv() + "\n0.3,1,1,1", "damaged, or no .csv"),
        ("r.csv", "a" * 500, "needs columns time_s"),
        ("r.txt", as_csv(), "recordings are read from"),
        ("r", as_csv(), "recordings are read from"),
        ("r.ABF", as_csv(), "damaged, or no .abf"),
        ("r.h5", as_csv(), "damaged, or no .h5"),
        ("r.nwb", "", "damaged, or no .nwb"),
        ("r.ibw", "\5\0" + "\0" * 400, "damaged, or no .ibw"),
    ],
)  # fmt: skip
def test_no_recording_in_a_file(name, text, said, folder):
    (folder / name).write_text(text)
    before = contents(folder)
    refused(lambda: read_recording(folder / name), rf"^{name}.*({said})")
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("trace", "hz"),
    [(V[0], 4_000), (V[0] * np.nan, 50_000), ([], 50_000), (V, 50_000), (V[0], -1), (V[0], np.nan)],
)
def test_no_spike(trace, hz):
    refused(lambda: measure_spike(trace, hz), ".")


# Models: one small model, fitted once


@pytest.fixture(scope="module")
def model():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["a", "b", "c"])
    small = LSPINClassifier(2, n_members=2, n_steps=10, random_state=0)
    return TableModel(make_pipeline(table_inputs(), small).fit(X, np.arange(40) % 2))


ROW = pd.DataFrame({"a": [0.1, 0.2], "b": [0.3, -1.0], "c": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (ROW[["a"]], "lacks 2 of the 3 columns .*: b, c"),
        (ROW.rename(columns=str.upper), "lacks 3 of the 3 columns"),
        (ROW[:0], "has no rows"),
        (ROW[["a", "b", "c", "a"]], "two columns named a"),
        (ROW.assign(b="x"), "Column b must hold numbers"),
        (ROW.assign(b=[None, "x"]), "Column b must hold numbers"),
        (ROW.assign(b=[[1], [2]]), "Column b must hold numbers"),
        (ROW.assign(b=pd.Timestamp("2020-01-01")), "Column b must hold numbers"),
        (ROW.assign(b=np.inf), "Column b holds infinite values"),
        (ROW.assign(b=-np.inf), "Column b holds infinite values"),
        (ROW.assign(b=1e200), "b has a value of 1e.200: what unit"),
    ],
)
def test_no_table_for_a_model(table, said, model):
    refused(lambda: model.predict(table), said)
    refused(lambda: model.gates(table), said)


# The command line

TABLE_MODEL = str(FIXTURES / "0.2.0-table.lspin")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("classify none.abf", "there is no file none.abf"),
        ("classify here", "here is a folder"),
        ("classify wine.csv", "needs columns time_s"),
        ("classify kept.csv", "kept.csv"),
        ("classify cells.csv -o kept.csv", "-o kept.csv is a file: name a folder"),
        ("classify cells.csv -o no/out", "there is no folder no"),
        ("classify cells.csv --temperature 307", "degrees Celsius"),
        ("classify cells.csv --temperature nan", "degrees Celsius"),
        ("classify cells.csv --temperature -40", "degrees Celsius"),
        ("classify cells.csv", "Nothing of a spike was measured"),
        ("train none.csv --label kind", "There is no file none.csv"),
        ("train here --label kind", "is a folder"),
        ("train kept.csv --label kind", "no rows"),
        ("train wine.csv --label sort", "no column 'sort' for the label"),
        ("train wine.csv --label kind --group farm", "no column 'farm' for the group"),
        ("train wine.csv --label kind --group kind", "cannot be the group"),
        ("train wine.csv --label kind", "No column can be learned from. a: a copy|same in all"),
        ("train wine.csv --label a --max-open 0", "No column|--max-open must be 1 or more"),
        ("train cells.csv --label vrest", "rows can be learned from"),
        (f"predict {TABLE_MODEL} none.csv", "There is no file none.csv"),
        (f"predict {TABLE_MODEL} here", "is a folder"),
        (f"predict {TABLE_MODEL} wine.csv", "lacks 46 of the 46 columns"),
        (f"predict {TABLE_MODEL} wine.csv -o wine.csv", "would replace what is read"),
        (f"predict {TABLE_MODEL} wine.csv -o here", "is a folder"),
        (f"predict {TABLE_MODEL} wine.csv -o no/o.csv", "there is no folder no"),
        ("predict none.lspin wine.csv", "There is no file none.lspin"),
        ("predict here wine.csv", "is a folder"),
        ("predict kept.csv wine.csv", "no model that lspin saved"),
        (f"predict {FIXTURES / '0.2.0-regressor.lspin'} wine.csv", "not a table model"),
        ("template kept.csv", "is there already"),
        ("template kept.xlsx", "must end in .csv"),
        ("template here", "must end in .csv"),
        ("evaluate sheep out.json", "study must be one of"),
        ("evaluate cohorts", "Name the JSON file"),
        ("evaluate cohorts kept.csv", "must end in .json"),
        ("evaluate cohorts out.json --repeats 0", "at least one repeat"),
        ("evaluate cohorts out.json --repeats -3", "at least one repeat"),
        ("evaluate cohorts out.json --model sheep", "sheep"),
        ("evaluate --force", "Name the study first"),
        ("explain 1 --figure kept", "must end in one of"),
        ("explain 1 --figure no/card.png", "there is no folder"),
        ("explain 0", "There is no cell 0 here"),
    ],
)
def test_no_command(command, said, folder, monkeypatch, capsys):
    monkeypatch.setenv("LSPIN_SOURCE", "twin")
    before = contents(folder)
    assert main(command.split()) == 1
    error = capsys.readouterr().err
    assert re.match(f"lspin {command.split()[0]}: ", error) and re.search(said, error), error
    assert error.count("\n") == 1 and "Traceback" not in error
    assert contents(folder) == before
