"""A stranger's table is read as it was meant, and what is left out is said."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from lspin.data import as_numbers, own_table, read_csv

ROWS = "name,area,kind\ns1,1.5,a\ns2,,b\ns3,NA,a\n"


@pytest.mark.parametrize(
    "content",
    [
        ROWS.encode(),
        ROWS.encode("utf-8-sig"),
        ROWS.encode("utf-16"),
        ROWS.replace("\n", "\r\n").encode(),
        ROWS.replace("\n", "\r").encode(),
        ROWS.replace(",", ";").encode(),
        ROWS.replace(",", "\t").encode(),
        ROWS.replace(",", " , ").encode(),
        ("\n" + ROWS + "\n,,\n").encode(),
        ROWS.replace("s1", '"s1"').encode(),
    ],
    ids=str,
)
def test_tables_of_many_programs_are_read(content, tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    table = read_csv(path)
    assert list(table) == ["name", "area", "kind"] and len(table) == 3
    assert table["name"].tolist() == ["s1", "s2", "s3"]
    np.testing.assert_array_equal(as_numbers(table["area"]), [1.5, np.nan, np.nan])


def test_letters_of_windows_are_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes("area µm²\n1\n".encode("cp1252"))
    assert list(read_csv(path)) == ["area µm²"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n \n", "is empty"),
        (b"a,b\n", "a line of column names and no rows"),
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, and the first line 2 names"),
        (b"# made by hand\na,b\n1,2\n", "line 2 has 2 fields, and the first line 1"),
        (b"a,a\n1,2\n", "two columns named 'a'"),
        (b"a,,\n1,2,3\n", "two columns without a name"),
        (b'a,b\n1,"2\n', "a quotation mark is never closed"),
        (b"PK\x03\x04...", "is a workbook or an archive: save its sheet as CSV"),
        (b"\x89HDF\0\0", "is no text"),
    ],
    ids=str,
)
def test_what_is_no_table_is_refused_in_a_sentence(content, said, tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as error:
        read_csv(path)
    assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_csv(tmp_path / "no.csv")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        read_csv(tmp_path)


def raw(n=40, **columns):
    rng = np.random.default_rng(0)
    made = {"size": rng.standard_normal(n), "kind": ["a", "b"] * (n // 2)} | columns
    return pd.DataFrame(made).astype(str).where(lambda table: table != "nan")


def test_columns_that_are_no_measurements_are_left_out_with_a_reason():
    rng = np.random.default_rng(1)
    table = raw(
        slide=rng.choice(["red", "green"], 40),
        empty=[np.nan] * 40,
        same=[7] * 40,
        row=range(100, 140),
        cell_id_x=rng.permutation(10**6)[:40],
        sessionID=rng.integers(1000, 1010, 40),
        fluid=rng.integers(1000, 1010, 40),
        **{"Sample no.": rng.permutation(10**6)[:40]},
        code=[0, 1] * 20,
        mixed=["n.d."] + [1.5] * 20 + [2.5] * 19,
        inf=[np.inf] + [1] * 39,
        animal_number=np.repeat(range(10), 4),
        animal=np.repeat(list("abcdefghij"), 4),
        count=rng.integers(0, 5, 40),
        flag=rng.choice(["True", "False"], 40),
    )
    found = own_table(table, "kind", "animal")
    assert list(found.X) == ["size", "fluid", "count", "flag"]
    assert found.X.dtypes.eq(np.float64).all() and set(found.X["flag"]) == {0, 1}
    for name, why in {
        "slide": "text, such as ",
        "empty": "empty",
        "same": "the same in all rows",
        "row": "it numbers the rows",
        "cell_id_x": "an id by its name",
        "sessionID": "an id by its name",
        "Sample no.": "it numbers the rows",
        "code": "a copy of the label",
        "mixed": 'numbers, but "n.d." in 1 of 40 rows',
        "inf": "infinite",
        "animal_number": "another name of the group",
    }.items():
        assert found.left_out.pop(name).startswith(why)
    assert not found.left_out
    assert found.groups.nunique() == 10 and not found.is_regression


def test_whole_numbers_that_differ_may_be_measurements():
    found = own_table(raw(area=np.random.default_rng(0).permutation(10**5)[:40]), "kind")
    assert list(found.X) == ["size", "area"]
    assert found.groups.tolist() == list(range(40))


@pytest.mark.parametrize(
    ("label", "dtype", "said"),
    [
        (list("ab") * 20, object, "is text: it names 2 classes"),
        ([1, 2] * 20, np.int64, "2 different whole numbers: they name classes"),
        (["1.0", "2.0"] * 20, np.int64, "whole numbers"),
        (["True", "False"] * 20, object, "is text: it names 2 classes"),
        ([0.5, 1.5] * 20, np.float64, "numbers with fractions: values"),
        (["0,5", "1,5"] * 20, np.float64, "numbers with fractions: values"),
        (list(range(40)), np.float64, "more than 10 different numbers: values"),
    ],
)
def test_what_the_label_is_follows_a_rule_that_is_said(label, dtype, said):
    found = own_table(raw(y=label), "y")
    assert found.y.dtype == dtype and found.is_regression == (dtype == np.float64)
    assert any(said in remark for remark in found.remarks)


def test_a_copy_of_a_value_is_left_out():
    y = np.random.default_rng(3).standard_normal(40)
    found = own_table(raw(y=y, copy=1000 * y - 3, near=y + 0.01 * np.arange(40)), "y")
    assert found.left_out["copy"] == "a copy of the label" and "near" in found.X


def test_rows_that_cannot_be_tested_are_left_out():
    kind = ["a"] * 18 + ["b"] * 16 + ["rare"] * 2 + ["lonely"] * 3 + [np.nan]
    found = own_table(raw(kind=kind, animal=[*range(36), 40, 40, 40, 41]), "kind", "animal")
    assert found.y.unique().tolist() == ["a", "b"] and len(found.X) == 34
    assert "1 of 40 rows have no label or group" in found.remarks[0]
    assert "rare" in found.remarks[2] and "lonely" in found.remarks[2]


@pytest.mark.parametrize(
    ("columns", "label", "group", "said"),
    [
        ({}, "colour", None, "no column 'colour' for the label; there are size, kind"),
        ({}, "kind", "animal", "no column 'animal' for the group"),
        ({}, "kind", "kind", "cannot be the group"),
        ({"y": ["a"] * 40}, "y", None, "is the same in all rows"),
        ({"y": [np.nan] * 30 + [1, 2] * 5}, "y", None, "10 rows can be learned from"),
        ({"y": [f"name {k}" for k in range(40)]}, "y", None, "these are names, not classes"),
        ({"y": [1.5] * 39 + ["?!"]}, "y", None, "holds numbers, but also '[?]!'"),
        ({"y": [1.5] * 39 + [np.inf]}, "y", None, "infinite or huge"),
        ({"g": [1] * 40}, "kind", "g", "rows can be learned from|one group"),
        ({"size": ["x"] * 40}, "kind", None, "No column can be learned from. size: text"),
    ],
)
def test_tables_from_which_nothing_can_be_learned_are_refused(columns, label, group, said):
    with pytest.raises(ValueError, match=said):
        own_table(raw(**columns), label, group)


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1,170", "878", "2,050"], [np.nan, 878, np.nan]),  # thousands, or three decimals?
        (["1,170,500"], [np.nan]),
        (["1,170", "0,5"], [1.17, 0.5]),
        (["1,17", "2,170"], [1.17, 2.17]),
        (["0,170", "0,250"], [0.17, 0.25]),
        (["-12,500", "1234,5"], [-12.5, 1234.5]),
        (["1.170", "0,5"], [np.nan, 0.5]),
        (["1.170", "1.5", "0,5"], [1.17, 1.5, 0.5]),
        (["1,170", "1.5", "0,5"], [np.nan, 1.5, 0.5]),
        ([Decimal("1.5"), np.True_, "True"], [1.5, 1, 1]),
        (["1.170", "878"], [1.17, 878]),
        ([pd.Timestamp("2020-01-01"), "3", 1j, None], [np.nan, 3, np.nan, np.nan]),
    ],
)
def test_thousands_are_never_read_as_fractions(texts, numbers):
    np.testing.assert_array_equal(as_numbers(pd.Series(texts, dtype=object)), numbers)


def test_a_column_that_may_hold_thousands_is_left_out_unless_the_table_tells():
    n = 40
    raw = pd.DataFrame({"kind": ["a", "b"] * (n // 2), "z": [f"{k % 7}.5" for k in range(n)]})
    raw["area"] = [f"{1000 + 7 * k:,}" if k % 3 else str(900 + k) for k in range(n)]
    found = own_table(raw, "kind")
    assert list(found.X) == ["z"]
    assert found.left_out["area"].startswith('"1,007" may be a fraction or thousands: write')
    with pytest.raises(ValueError, match="label area cannot be read: .* may be a fraction"):
        own_table(raw, "area")
    raw["z"] = raw["z"].str.replace(".", ",")  # decimals have commas here, so these are decimals
    assert own_table(raw, "kind").X["area"].iloc[1] == 1.007
    # A column of pairs makes no table of decimal commas where others have points.
    told_twice = raw.assign(pair=["1,5", "2,4"] * 20, depth=[f"{k % 9}.25" for k in range(n)])
    assert "area" in own_table(told_twice, "kind").left_out


def test_labels_may_be_words_that_elsewhere_say_missing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("drug,ion,area\nnone,Na,none\n-,K,-\nNA,NaN,1\n,,2\n")
    table = read_csv(path, ["drug", "ion", None])
    assert table["drug"].fillna("?").tolist() == ["none", "-", "?", "?"]
    assert table["ion"].fillna("?").tolist() == ["Na", "K", "?", "?"]
    assert table["area"].isna().tolist() == [True, True, False, False]


def test_copies_of_rows_are_one_group():
    raw = pd.DataFrame({"kind": ["a", "b"] * 20, "x": [f"{k % 30}.5" for k in range(40)]})
    said = "10 of 40 rows are copies of another"
    found = own_table(raw, "kind")
    assert any(f"{said} in all that is measured: they are one" in text for text in found.remarks)
    assert found.groups.tolist() == [k % 30 for k in range(40)]
    raw["mouse"] = [f"m{k % 30}" for k in range(40)]
    assert not any(said in remark for remark in own_table(raw, "kind", "mouse").remarks)
    raw["kind"] = ["a", "b"] * 15 + ["c"] * 10
    raw["x"] = [f"{k}.5" for k in range(30)] + ["99.5"] * 10
    with pytest.raises(ValueError, match="All rows of class c are copies of one: leave it out"):
        own_table(raw.drop(columns="mouse"), "kind")


def test_rows_of_small_numbers_are_alike_by_chance():
    rng = np.random.default_rng(0)
    counts = pd.DataFrame(rng.integers(0, 4, (200, 3)), columns=list("xyz"))
    found = own_table(counts.assign(kind=["a", "b"] * 100), "kind")
    assert found.groups.is_unique
    assert any("Name the group, or leave them out" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    "values", [pd.to_datetime(["2020", "2021"] * 20), [(1, 2), (3, 4)] * 20, [1j, 2j] * 20]
)
def test_labels_are_texts_or_numbers(values):
    raw = pd.DataFrame({"x": np.random.default_rng(0).normal(size=40)}).assign(kind=values)
    with pytest.raises(ValueError, match=r"label kind holds \w+, such as .*: make it texts or num"):
        own_table(raw, "kind")


def test_what_spreadsheets_say_of_separators_is_heeded(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sep=;\nkind;area\na;1,5\n")
    assert read_csv(path).to_dict("list") == {"kind": ["a"], "area": ["1,5"]}
    path.write_text('"kind, its name, and more";area\na;1,5\n')
    assert list(read_csv(path)) == ["kind, its name, and more", "area"]


def test_rows_and_columns_of_one_name_are_refused():
    raw = pd.DataFrame({"kind": ["a", "b"] * 20, "x": range(40)})
    for wrong in (raw.set_axis([0] * 40), raw.set_axis(["kind", "kind"], axis=1)):
        with pytest.raises(ValueError, match="must have a name of its own"):
            own_table(wrong, "kind")
    dated = raw.assign(day=pd.Timestamp("2020-01-01"), kind=raw["kind"].astype("category"))
    dated["x"] = np.sin(dated["x"])
    assert list(own_table(dated, "kind").X) == ["x"]
