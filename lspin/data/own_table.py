"""A labelled table of anything, from a file: what can be learned from in it, and why."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd

MAX_CLASSES = 10
"""A label of whole numbers names classes if there are at most so many; else it is a value."""

MIN_ROWS = 20
"""Of a table. Scores of fewer would say nothing."""

MIN_OF_CLASS = 5
"""Rows of a class, so that each of five folds can test one."""

TOLD_APART = 0.9
"""If one column alone tells so large a share of different rows apart, rows that are alike in all
columns are copies. In a table of a few small numbers, rows are alike by chance."""

HUGE = 1e100
"""Larger values are no measurements; their squares would overflow."""

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})
"""What says that a value is missing, in small letters."""

MISSING_LABELS = frozenset({"", "NA", "N/A", "NaN", "nan"})
"""What says that a label is missing. Fewer: "none" may be a treatment, "Na" a channel."""

_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+|(?:\.\d{3})+)")
"""A number that may be larger than a thousand, or have three decimals."""

_NUMBERS = (Real, Decimal, np.bool_)
"""What a table from elsewhere than `read_csv` may hold as a number; no complex ones, no dates."""

_TRUTH = {"True": "1", "TRUE": "1", "False": "0", "FALSE": "0"}

_ID = re.compile(r"(^|[\W_])[uU]?[iI][dD][sS]?([\W_]|$)|[a-z]ID")
"""A name that says id, such as "specimen_id" or "cellID"."""

_NUMBER = re.compile(r"(?i)(^|[\W_])(nr|no|number|index)\W*$|^unnamed|^$")
"""A name that may number the rows, such as "animal no."; or there is none."""


@dataclass(frozen=True)
class OwnTable:
    """What can be learned from in a table.

    Attributes
    ----------
    X : DataFrame of float64, shape (n, d)
        The columns that are measurements; NaN where nothing was measured.
    y : Series, shape (n,)
        The label: texts or whole numbers if it names classes, else float64.
    groups : Series of int64, shape (n,)
        What each row belongs to; without groups, each row by itself, with its copies.
    left_out : dict of str to str
        Why a column is not in `X`.
    remarks : tuple of str
        What was decided about rows and label, in sentences.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.data import own_table
    >>> raw = pd.DataFrame({"slide": ["s"] * 20, "kind": ["a", "b"] * 10})
    >>> raw["area"] = [f"{k}.5" for k in range(20)]
    >>> table = own_table(raw, label="kind")
    >>> list(table.X), table.left_out, table.is_regression
    (['area'], {'slide': 'text, such as "s"'}, False)
    """

    X: pd.DataFrame
    y: pd.Series
    groups: pd.Series
    left_out: dict[str, str]
    remarks: tuple[str, ...]

    @property
    def is_regression(self) -> bool:
        """Whether the label is a value and not a class."""
        return self.y.dtype == np.float64


def read_csv(path: Path, labels: Sequence[str | None] = ()) -> pd.DataFrame:
    r"""Read a CSV file, whatever program wrote it, with every value as text.

    Parameters
    ----------
    path : Path
        Columns separated by commas, semicolons or tabs; in UTF-8, UTF-16 or Windows' Latin.
    labels : sequence of str, optional
        Columns of labels or groups. In these "none" or "-" is a name; of what is written there only
        `MISSING_LABELS` is missing.

    Returns
    -------
    DataFrame of str, shape (n, m)
        NaN where a field is empty or says that it is, such as "NA".

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is no table; the message says what is wrong, and where.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from lspin.data import read_csv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "cells.csv")
    ...     size = path.write_text("area;kind\n1,5;a\n;b\n")
    ...     read_csv(path)
      area kind
    0  1,5    a
    1  NaN    b
    """
    text = _text(path).lstrip("\n")
    if told := re.match(r"sep=([,;\t])\n", text):  # Excel writes and obeys such a line
        text = text[told.end() :]
    # Not what stands between quotation marks: a name may hold any of them.
    first = re.sub(r'"[^"]*"', "", text).split("\n", 1)[0]
    separator = told[1] if told else max(",;\t", key=first.count)
    lines = csv.reader(StringIO(text), delimiter=separator, skipinitialspace=True, strict=True)
    names: list[str] = []
    rows = []
    try:
        for line in lines:
            fields = [field.strip() for field in line]
            if not any(fields):
                continue
            if not names:
                names = fields
            elif len(fields) != len(names):
                raise ValueError(
                    f"line {lines.line_num} has {len(fields)} fields, and the first line "
                    f"{len(names)} names"
                )
            else:
                rows.append(
                    [
                        np.nan if _is_missing(field, name in labels) else field
                        for name, field in zip(names, fields, strict=True)
                    ]
                )
    except (ValueError, csv.Error) as error:
        what = str(error).replace("unexpected end of data", "a quotation mark is never closed")
        raise ValueError(f"{path} cannot be read as a table: {what}.") from error
    if twice := [name for name in names if names.count(name) > 1]:
        what = f"named {twice[0]!r}" if twice[0] else "without a name"
        raise ValueError(f"{path} has two columns {what}: rename one.")
    if not rows:
        raise ValueError(f"{path} has a line of column names and no rows.")
    return pd.DataFrame(rows, columns=names, dtype=object)


def _is_missing(field: str, is_label: bool) -> bool:
    return field in MISSING_LABELS if is_label else field.lower() in MISSING


def _text(path: Path) -> str:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a CSV file.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    content = path.read_bytes()
    if not content.strip():
        raise ValueError(f"{path} is empty.")
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise ValueError(f"{path} is a workbook or an archive: save its sheet as CSV first.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", errors="replace")
    elif b"\x00" in content:
        raise ValueError(f"{path} is no text, so no CSV file.")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decimal_commas(raw: pd.DataFrame) -> bool:
    """Tell whether a table writes its decimals with commas.

    Parameters
    ----------
    raw : DataFrame
        From `read_csv`.

    Returns
    -------
    bool
        Whether a number in it can be read in no other way ("0,5", but not "1,170"), and none in it
        has a decimal point.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.data import decimal_commas
    >>> decimal_commas(pd.DataFrame({"area": ["1,170", "0,5"]}))
    True
    >>> decimal_commas(pd.DataFrame({"area": ["1,170", "878"]}))
    False
    """

    def has(decimals: re.Pattern) -> bool:
        return any(
            isinstance(text, str) and decimals.fullmatch(text) and not _THOUSANDS.fullmatch(text)
            for name in raw.select_dtypes(exclude="number")
            for text in raw[name]
        )

    return not has(_DECIMAL_POINT) and has(_DECIMAL_COMMA)


def as_numbers(column: pd.Series, commas: bool = False) -> pd.Series:
    """Return a column of texts as numbers, float64; NaN where a text is not one.

    Parameters
    ----------
    column : Series
        Texts; "1.5", "1,5", "True" and "False" are numbers.
    commas : bool, default=False
        Whether the rest of the table says that decimals have commas, see `decimal_commas`. In a
        column of nothing but such numbers as "1,170", or "1.170" where decimals have commas, nobody
        knows whether a thousand is meant: these become NaN.

    Returns
    -------
    Series of float64

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.data import as_numbers
    >>> as_numbers(pd.Series(["1,5", "True", "n.d."])).tolist()
    [1.5, 1.0, nan]
    >>> as_numbers(pd.Series(["1,170", "878"])).tolist()
    [nan, 878.0]
    """
    if pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "c":
        return column.astype(np.float64)
    commas = commas or decimal_commas(column.to_frame())
    # Where decimals have commas, points may separate thousands, unless one of them cannot.
    points = [text for text in column if isinstance(text, str) and "." in text]
    is_doubtful = commas and all(map(_THOUSANDS.fullmatch, points))

    def number(value: object) -> object:
        if not isinstance(value, str):
            return value if isinstance(value, _NUMBERS) else np.nan
        if _DECIMAL_COMMA.fullmatch(value) and (commas or not _THOUSANDS.fullmatch(value)):
            return value.replace(",", ".")
        return np.nan if is_doubtful and "." in value else _TRUTH.get(value, value)

    return pd.to_numeric(column.astype(object).map(number), errors="coerce").astype(np.float64)


def own_table(raw: pd.DataFrame, label: str, group: str | None = None) -> OwnTable:
    """Decide what can be learned from in a table.

    Parameters
    ----------
    raw : DataFrame, shape (n, m)
        From `read_csv`.
    label : str
        The column to predict. It names classes if it holds texts, or whole numbers of which there
        are at most `MAX_CLASSES`; else it is a value.
    group : str, optional
        The column that says what rows belong together, such as the donor of cells.

    Returns
    -------
    OwnTable

    Raises
    ------
    ValueError
        If there is no such column, or too little to learn from.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.data import own_table
    >>> raw = pd.DataFrame({"area": [k**2 for k in range(20)], "length": list(range(20))})
    >>> own_table(raw, label="length").is_regression
    True
    """
    for option, name in (("label", label), ("group", group)):
        if name is not None and name not in raw:
            raise ValueError(
                f"There is no column {name!r} for the {option}; there are {_some(list(raw))}."
            )
    if label == group:
        raise ValueError("The label cannot be the group as well.")
    for what, names, advice in (
        ("column", raw.columns, "rename one"),
        ("row", raw.index, "use reset_index(drop=True)"),
    ):
        if not names.is_unique:
            raise ValueError(
                f"Every {what} must have a name of its own, but two are named "
                f"{names[names.duplicated()][0]}: {advice}."
            )
    commas = decimal_commas(raw)
    rows = raw[raw[label].notna() & (True if group is None else raw[group].notna())]
    remarks = []
    if len(rows) < len(raw):
        what = "label" if group is None else "label or group"
        remarks.append(
            f"{len(raw) - len(rows)} of {len(raw)} rows have no {what} (empty, or such as NA): "
            "left out."
        )
    y, remark = _label(rows[label], as_numbers(rows[label], commas))
    remarks.append(remark)
    donors = pd.Series(range(len(rows)), rows.index) if group is None else rows[group]
    if y.dtype != np.float64:
        rare = _rare(y, donors)
        if rare:
            remarks.append(
                f"Classes with fewer than {MIN_OF_CLASS} rows, or rows of one group only, cannot "
                f"be tested: {_some(rare)} left out."
            )
        y = y[~y.isin(rare)]
    rows, donors = rows.loc[y.index], donors.loc[y.index]
    if len(rows) < MIN_ROWS:
        raise ValueError(
            f"{len(rows)} rows can be learned from; a score of fewer than {MIN_ROWS} says nothing. "
            + " ".join(remarks)
        )
    if y.nunique() < 2:
        raise ValueError(f"The label {label} is the same in all rows. {' '.join(remarks)}")
    if donors.nunique() < 2:
        raise ValueError(f"All rows are of one group ({group}): there is nothing to test on.")
    groups = pd.Series(pd.factorize(donors)[0].astype(np.int64), rows.index, name="group")
    numbers, left_out = {}, {}
    for name in rows.columns.drop([label] + ([] if group is None else [group])):
        numbers[name] = as_numbers(rows[name], commas)
        if why := _why_not(rows[name], numbers[name], y, None if group is None else groups):
            left_out[name] = why
            del numbers[name]
    if not numbers:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise ValueError(f"No column can be learned from. {reasons[:500] or 'There is no other.'}")
    X = pd.DataFrame(numbers, rows.index)
    if group is None and (copies := int(X.duplicated().sum())):
        said = f"{copies} of {len(X)} rows are copies of another in all that is measured"
        if X.nunique().max() > max(TOLD_APART * (len(X) - copies), MAX_CLASSES):
            alike = pd.util.hash_pandas_object(X, index=False)
            groups[:] = pd.factorize(alike)[0]
            remarks.append(f"{said}: they are one group with it, never on both sides of a test.")
            if y.dtype != np.float64 and (rare := _rare(y, groups)):
                raise ValueError(f"All rows of class {rare[0]} are copies of one: leave it out.")
        else:
            remarks.append(
                f"{said}: if they are of the same individuals, a model is tested on what it has "
                "seen. Name the group, or leave them out."
            )
    return OwnTable(X, y, groups, left_out, tuple(remarks))


def _label(column: pd.Series, numbers: pd.Series) -> tuple[pd.Series, str]:
    """Return the label as classes or values, and in a sentence by which rule."""
    if odd := [value for value in column if not isinstance(value, (str, *_NUMBERS))]:
        raise ValueError(
            f"The label {column.name} holds {type(odd[0]).__name__}, such as {odd[0]}: make it "
            "texts or numbers."
        )
    if doubt := _doubt(column[numbers.isna()]):
        raise ValueError(f"The label {column.name} cannot be read: {doubt}.")
    is_bool = column.isin(list(_TRUTH)).all()
    n = column.nunique()
    if is_bool or numbers.isna().any():
        share = numbers.notna().mean()
        if share > 0.5 and not is_bool:
            odd = column[numbers.isna()].iloc[0]
            raise ValueError(
                f"The label {column.name} holds numbers, but also {odd!r}: leave it empty where it "
                "is not known."
            )
        if n > len(column) / 2 and n > MAX_CLASSES:
            raise ValueError(
                f"The label {column.name} has {n} different texts in {len(column)} rows: "
                "these are names, not classes."
            )
        classes = column.astype(str).astype(object)
        return classes, f"The label {column.name} is text: it names {n} classes."
    if not np.isfinite(numbers).all() or numbers.abs().max() > HUGE:
        raise ValueError(f"The label {column.name} has infinite or huge values.")
    whole = (numbers == numbers.round()).all() and numbers.abs().max() < 2**53
    n = numbers.nunique()
    if whole and n <= MAX_CLASSES:
        return numbers.astype(np.int64), (
            f"The label {column.name} has {n} different whole numbers: they name classes "
            f"(more than {MAX_CLASSES}, or fractions, would be values)."
        )
    why = f"more than {MAX_CLASSES} different numbers" if whole else "numbers with fractions"
    return numbers, f"The label {column.name} holds {why}: values, so this is a regression."


def _rare(y: pd.Series, donors: pd.Series) -> list:
    """Name the classes that cannot be tested."""
    return [
        name for name, rows in donors.groupby(y) if len(rows) < MIN_OF_CLASS or rows.nunique() < 2
    ]


def _why_not(
    texts: pd.Series, numbers: pd.Series, y: pd.Series, groups: pd.Series | None
) -> str | None:
    """Say why a column is no measurement; None if it is one."""
    there = texts.notna()
    if not there.any():
        return "empty"
    if words := texts[there & numbers.isna()].tolist():
        if doubt := _doubt(words):
            return doubt
        if len(words) < 0.2 * there.sum():
            return (
                f'numbers, but "{words[0]}" in {len(words)} of {len(texts)} rows; '
                "it can be used once these are left empty"
            )
        return f'text, such as "{words[0]}"'
    if np.isinf(numbers).any() or numbers.abs().max() > HUGE:
        return "infinite or huge values"
    values = numbers[there]
    if values.nunique() == 1:
        return "the same in all rows"
    whole = bool((values == values.round()).all())
    # An id tells when something was recorded, or by whom: a model must not learn from that.
    if whole and _ID.search(str(texts.name)):
        return "an id by its name: whole numbers"
    if whole and values.is_unique:
        counts = values.max() - values.min() == len(values) - 1  # 1, 2, 3 and so on, in any order
        if counts or _NUMBER.search(str(texts.name)):
            return "it numbers the rows: whole numbers, all different"
    if _repeats(values, y.loc[values.index]):
        return "a copy of the label"
    if groups is not None and whole and _one_to_one(values, groups.loc[values.index]):
        return "another name of the group"
    return None


def _doubt(texts: Iterable[object]) -> str | None:
    """Say which text may be a thousand or a fraction; None if there is none."""
    for text in texts:
        if isinstance(text, str) and _THOUSANDS.fullmatch(text):
            return f'"{text}" may be a fraction or thousands: write numbers without separators'
    return None


def _repeats(values: pd.Series, y: pd.Series) -> bool:
    """Tell whether a column says the same as the label."""
    if y.dtype != np.float64:
        return _one_to_one(values, y)
    if y.nunique() < 3 or values.nunique() < 3:
        return False
    return abs(np.corrcoef(values, y)[0, 1]) > 1 - 1e-9


def _one_to_one(a: pd.Series, b: pd.Series) -> bool:
    pairs = pd.DataFrame({"a": a, "b": b}).drop_duplicates()
    return len(pairs) == a.nunique() == b.nunique() and len(pairs) < len(a)


def _some(names: list) -> str:
    shown = ", ".join(map(str, names[:10]))
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
