"""A table of features of one's own: the form to fill in, how it is read, and whether units fit.

A model answers whatever it is asked, and confidently so where volts were given for millivolts. So
every value is held against what a neuron can have. What looks like another unit is refused by
name and never converted: only whoever measured it knows.
"""

from __future__ import annotations

import csv
import os
import re
import warnings
from itertools import dropwhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lspin.data.tables import RELEASED_FEATURES, STIMULI, atomic_write
from lspin.features.catalogue import FEATURES
from lspin.features.inputs import ENGINEERED_FEATURES, ReleasedFeatures

ID_COLUMN = "cell"

TEMPLATE_FEATURES: tuple[str, ...] = tuple(
    name for name in ENGINEERED_FEATURES if not name.startswith("no_")
)
"""The columns of the form: what models see, with intervals in place of times in a sweep."""

_UNIT_ROW = "unit"
_EXAMPLE = "example (delete this row)"
_MOST_SHOWN = 6
_FEW_OF_A_CELL = 3
_SHARE_IMPOSSIBLE = 0.2  # of a cell's measurements: columns have changed places


class Range(NamedTuple):
    """What a feature can be, and what it is mistaken for.

    Parameters
    ----------
    low, high : float
        Beyond these lies no neuron that was ever recorded here.
    mistakes : tuple of (str, float)
        Another unit, and the factor from it to the right one.
    tiny : float
        A smaller absolute value is no measurement in this unit, such as 0.07 mV of rest.
    """

    low: float
    high: float
    mistakes: tuple[tuple[str, float], ...] = ()
    tiny: float = 0.0

    def holds(self, values: pd.Series) -> pd.Series:
        """Tell which values are possible."""
        return values.between(self.low, self.high) & (values.abs() >= self.tiny)


_VOLTS = (("volts", 1e3), ("microvolts", 1e-3))
_SECONDS = (("seconds", 1e3), ("microseconds", 1e-3))
_MILLISECONDS = (("milliseconds", 1e-3),)
_OHMS = (("gigaohms", 1e3), ("kiloohms", 1e-3), ("ohms", 1e-6))
_AMPERES = (("nanoamperes", 1e3), ("amperes", 1e12))
_PERCENT = (("percent", 0.01),)

# A quarter beyond the extremes of the 9000 cells of the Allen tables, V1, M1 and human cortex, but
# for single cells that were measured wrongly.
_RANGES: dict[str, Range] = {
    "vrest": Range(-120, -20, _VOLTS, 0.15),
    "vm_for_sag": Range(-160, -40, _VOLTS, 0.15),
    "ri": Range(5, 5000, _OHMS),
    "input_resistance_mohm": Range(5, 5000, _OHMS),
    "tau": Range(1.5, 500, _SECONDS),
    "sag": Range(-0.2, 2, _PERCENT),
    "f_i_curve_slope": Range(-1, 5, (("spikes/s per nA", 1e-3), ("spikes/s per A", 1e-12))),
    "adaptation": Range(-1, 1.2, _PERCENT),
    "avg_isi": Range(2, 2000, _SECONDS),
    "latency": Range(0, 2.5, _MILLISECONDS),
    "delay_ms_long_square": Range(0.05, 5000, _SECONDS, 1.0),
}
_RANGES_OF_STIMULI: dict[str, Range] = {
    "threshold_i": Range(0.3, 6000, _AMPERES, 1.0),
    "threshold_v": Range(-100, 20, _VOLTS, 0.15),
    "peak_v": Range(-70, 100, _VOLTS, 0.15),
    "fast_trough_v": Range(-110, 0, _VOLTS, 0.15),
    "trough_v": Range(-120, 0, _VOLTS, 0.15),
    "slow_trough_v": Range(-110, 0, _VOLTS, 0.15),
    "slow_trough_depth_mv": Range(-40, 40),
    "upstroke_downstroke_ratio": Range(0.05, 40),
    "rise_ms": Range(0.03, 10, _SECONDS),
    "fall_ms": Range(0.05, 250, _SECONDS),
    "trough_ms": Range(0.03, 40_000, _SECONDS),
    "threshold_t": Range(0.9, 60, _MILLISECONDS),
    "peak_t": Range(0.9, 60, _MILLISECONDS),
    "fast_trough_t": Range(0.9, 60, _MILLISECONDS),
    "trough_t": Range(0.9, 60, _MILLISECONDS),
    "slow_trough_t": Range(0.9, 60, _MILLISECONDS),
}


def range_of(name: str) -> Range | None:
    """Return what a feature can be.

    Parameters
    ----------
    name : str
        A released or an engineered feature.

    Returns
    -------
    Range or None
        None for what is yes or no, and for features that are not ours.

    Examples
    --------
    >>> from lspin.features.form import range_of
    >>> range_of("tau").low, range_of("tau").high
    (1.5, 500)
    """
    if name in _RANGES:
        return _RANGES[name]
    of_stimulus = next((s for s in STIMULI if name.endswith(f"_{s}")), "")
    return _RANGES_OF_STIMULI.get(name.removesuffix(f"_{of_stimulus}"))


def unit_problems(X: pd.DataFrame) -> list[str]:
    """Name the values that look like another unit, or like another column.

    Parameters
    ----------
    X : DataFrame of float, shape (n_cells, n_features)
        Released or engineered features; NaN where not measured. Cells have different names.

    Returns
    -------
    list of str
        A sentence each: which column, what it looks like, and how to mend it. Empty if nothing is
        suspicious.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.features import unit_problems
    >>> X = load_cells("twin").X.iloc[:3]
    >>> unit_problems(X)
    []
    >>> print(unit_problems(X.assign(tau=X["tau"] / 1000))[0][:47])
    tau looks like seconds, not ms, in 3 of 3 cells
    """
    looks = {name: _other_units(X[name]) for name in X.columns}
    n_wrong = sum((found.notna() for found in looks.values()), pd.Series(0, X.index))
    said = []
    for name, found in looks.items():
        # One odd value is no other unit: it takes most of a column, or several of a cell.
        most = found.notna().sum() > 0.5 * X[name].count()
        found = found if most else found[n_wrong >= _FEW_OF_A_CELL]
        if found.notna().any():
            said.append(_looks_like(name, X[name], found.dropna()))
    return [*_moved_columns(X, looks), *said]


def _other_units(values: pd.Series) -> pd.Series:
    """Name the unit that each value looks like; None if it is possible or nothing explains it."""
    found = pd.Series(None, values.index, dtype=object)
    possible = range_of(str(values.name))
    if possible is None:
        return found
    left = values.notna() & ~possible.holds(values)
    for unit, factor in possible.mistakes:
        looks = left & possible.holds(values * factor)
        found[looks] = unit
        left &= ~looks
    return found


def _moved_columns(X: pd.DataFrame, looks: dict[str, pd.Series]) -> list[str]:
    """Say so if a share of a cell's values is impossible and no unit explains it."""
    odd = pd.DataFrame(
        {
            name: X[name].notna() & ~possible.holds(X[name]) & looks[name].isna()
            for name in X.columns
            if (possible := range_of(name))
        },
        index=X.index,
    )
    n_odd = odd.sum(axis=1)
    moved = (n_odd >= _FEW_OF_A_CELL) & (n_odd >= _SHARE_IMPOSSIBLE * X.notna().sum(axis=1))
    if not moved.any():
        return []
    cell = moved.idxmax()
    wrong = X.loc[cell, odd.columns[odd.loc[cell]]]
    examples = ", ".join(f"{name} = {value:.4g}" for name, value in wrong.head(3).items())
    return [
        f"{len(wrong)} measurements of cell {cell} are none that their columns can hold "
        f"({examples}); so in {moved.sum()} of {len(X)} cells. Have columns changed places?"
    ]


def impossible_values(X: pd.DataFrame) -> dict[Any, list[str]]:
    """List values that no known cell comes near, cell by cell.

    Parameters
    ----------
    X : DataFrame of float, shape (n_cells, n_features)

    Returns
    -------
    dict
        By index, sentences; cells without any are left out.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.features.form import impossible_values
    >>> impossible_values(pd.DataFrame({"ri": [100.0, -20.0]}))
    {1: ['ri = -20: known cells have 5 to 5000 MΩ.']}
    """
    said: dict[Any, list[str]] = {}
    for name in X.columns:
        if possible := range_of(name):
            unit = f" {FEATURES[name].unit}".rstrip()
            for cell, value in X[name][X[name].notna() & ~possible.holds(X[name])].items():
                said.setdefault(cell, []).append(
                    f"{name} = {value:.4g}: known cells have {possible.low:g} to "
                    f"{possible.high:g}{unit}."
                )
    return said


def _looks_like(name: str, values: pd.Series, found: pd.Series) -> str:
    unit, cell = found.iloc[0], found.index[0]
    possible = range_of(name)
    factor = dict(possible.mistakes)[unit] if possible else 1.0
    return (
        f"{name} looks like {unit}, not {FEATURES[name].unit or 'a share of 1'}, in "
        f"{len(found)} of {values.count()} cells (such as {values[cell]:.3g} in cell {cell}): "
        f"multiply by {factor:g}."
    )


def is_feature_table(path: str | os.PathLike[str]) -> bool:
    """Tell a table of features from a recording that is written as a table.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bool
        True for a ``.csv`` file whose head names at least one feature.

    Examples
    --------
    >>> from lspin.features import is_feature_table
    >>> is_feature_table("cell.abf")
    False
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        return False
    with path.open(encoding=_encoding(path), errors="replace") as file:
        for _, line in zip(range(100), file, strict=False):
            if not _is_above_names(line):
                names = {part.strip().strip('"') for part in re.split("[,;\t]", line)}
                return bool(names & {*RELEASED_FEATURES, *ENGINEERED_FEATURES})
    return False


def read_features(path: str | os.PathLike[str]) -> pd.DataFrame:
    r"""Read a table of features, one cell a row, and check it.

    Parameters
    ----------
    path : path-like
        A CSV file whose columns are named as in :data:`TEMPLATE_FEATURES`, as `write_template`
        writes it, or as in :data:`~lspin.data.RELEASED_FEATURES`. A column ``cell`` (or
        ``specimen_id``) names the cells. A row ``unit`` is checked, the example of the form is left
        out, and so are lines above the names of the columns that begin with ``#``. What was not
        measured is empty. In UTF-8 or UTF-16.

    Returns
    -------
    DataFrame of float, shape (n_cells, n_features)
        By the names of the cells.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such table, a name is there twice, a value is no number, or the units cannot be
        right; the message says which.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from lspin.features import read_features
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "cells.csv"
    ...     _ = path.write_text("cell,vrest,tau\nunit,mV,ms\nA1,-70,12\nA2,-65,")
    ...     print(read_features(path).reset_index().to_string(index=False))
    cell  vrest  tau
      A1  -70.0 12.0
      A2  -65.0  NaN
    """
    path = Path(path)
    table = _texts(path)
    known = {*RELEASED_FEATURES, *ENGINEERED_FEATURES}
    meant = [name for name in table if name in {*known, ID_COLUMN, "specimen_id"}]
    if len(set(meant)) < len(meant):
        raise ValueError(f"{path.name} has two columns named {_first_repeated(meant)!r}.")
    named = next((name for name in (ID_COLUMN, "specimen_id") if name in table), None)
    ids = table[named].fillna("").str.strip() if named else pd.Series("", table.index)
    if named:
        is_unit = ids.str.lower().isin([_UNIT_ROW, "units"])
        _check_unit_row(path.name, table[is_unit])
        keep = ~(is_unit | (ids.str.lower() == _EXAMPLE))
        table, ids = table[keep], ids[keep]
        if (ids == "").any():
            raise ValueError(f"{path.name}: a row has no name in the column {named!r}.")
    else:
        ids = pd.Series([str(n) for n in range(1, len(table) + 1)], table.index)
    columns = [name for name in table if name in known]
    if not columns or table.empty:
        raise ValueError(
            f"{path.name} has {'no cells' if columns else 'no column that is a feature'}. "
            "`lspin template cells.csv` writes a form to fill in."
        )
    if others := [name for name in table if name not in {*known, named}]:
        warnings.warn(
            f"{path.name}: left out are columns that are none of our features: {others[:10]}. "
            "`lspin template` shows the names.",
            stacklevel=2,
        )
    index = pd.Index(ids, name=ID_COLUMN)
    X = pd.DataFrame({name: _numbers(path.name, name, table[name]) for name in columns})
    X = X.set_axis(index)
    return check_features(X, path.name)


def check_features(X: pd.DataFrame, name: str = "The table") -> pd.DataFrame:
    """Refuse a table that cannot be right.

    Parameters
    ----------
    X : DataFrame of numbers, shape (n_cells, n_features)
        Released or engineered features, and others, which are left out.
    name : str
        Of the table, for the message.

    Returns
    -------
    DataFrame of float64, shape (n_cells, n_known)

    Raises
    ------
    ValueError
        If a name is there twice, a value infinite, a unit wrong, or no column is a feature.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.features import check_features
    >>> check_features(pd.DataFrame({"tau": [12], "colour": ["red"]})).columns.tolist()
    ['tau']
    """
    if not X.index.is_unique:
        twice = X.index[X.index.duplicated()][0]
        raise ValueError(f"{name} has two rows named {twice!r}: give each cell a name of its own.")
    if not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()][0]
        raise ValueError(f"{name} has two columns named {twice!r}.")
    X = X[[column for column in X if column in {*RELEASED_FEATURES, *ENGINEERED_FEATURES}]]
    if X.columns.empty or X.empty:
        raise ValueError(f"{name} has no column that is a feature, or no cell.")
    words = [column for column in X if not pd.api.types.is_numeric_dtype(X[column])]
    if words:
        raise ValueError(f"{name} has text in column {words[0]}.")
    X = X.astype(np.float64)
    if (endless := np.isinf(X).any()).any():
        raise ValueError(f"{name} has an infinite value in column {endless.idxmax()}.")
    if problems := unit_problems(X):
        more = len(problems) - _MOST_SHOWN
        rest = [f"And {more} more columns."] if more > 0 else []
        raise ValueError(" ".join([f"{name}:", *problems[:_MOST_SHOWN], *rest]))
    return X


def engineered(X: pd.DataFrame) -> pd.DataFrame:
    """Bring released or engineered features into the form that models see.

    Parameters
    ----------
    X : DataFrame of float, shape (n_cells, n_features)

    Returns
    -------
    DataFrame of float, shape (n_cells, 42)
        :data:`ENGINEERED_FEATURES`; what is given in that form is taken as it is. Where a table
        has no column for adaptation, a slow trough or the ramp, what is made of it is NaN: nobody
        looked. A column that is empty says that there was none.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.features import engineered
    >>> X = engineered(pd.DataFrame({"tau": [12.0], "threshold_t_long_square": [1.05]}))
    >>> X[["tau", "delay_ms_long_square"]].round(1).to_dict("records")
    [{'tau': 12.0, 'delay_ms_long_square': 30.0}]
    """
    released = X.reindex(columns=list(RELEASED_FEATURES))
    made = ReleasedFeatures().fit_transform(released)
    if "adaptation" not in X:
        made["no_adaptation"] = np.nan
    for stimulus in ("long_square", "ramp"):
        if f"slow_trough_v_{stimulus}" not in X:
            made[f"slow_trough_depth_mv_{stimulus}"] = np.nan
    if "slow_trough_v_ramp" not in X:
        made["no_slow_trough_ramp"] = np.nan
    for name in made.columns.intersection(X.columns):
        made[name] = X[name]
    return made


def write_template(path: str | os.PathLike[str]) -> None:
    """Write the form: a row of names, a row of units, and an example.

    Parameters
    ----------
    path : path-like
        A CSV file that is not there yet.

    Raises
    ------
    FileExistsError
        If it is.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from lspin.features import write_template
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_template(Path(folder) / "cells.csv")
    ...     print((Path(folder) / "cells.csv").read_text()[:30])
    cell,vrest,ri,input_resistance
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} is there already: name another file, or move it away.")
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(template_rows())


def template_rows() -> list[list[str]]:
    """Return the rows of the form, as text.

    Returns
    -------
    list of list of str
        Names, units, and an example of made-up numbers.

    Examples
    --------
    >>> from lspin.features.form import template_rows
    >>> [row[:3] for row in template_rows()]
    [['cell', 'vrest', 'ri'], ['unit', 'mV', 'MΩ'], ['example (delete this row)', '-70', '180']]
    """
    names = list(TEMPLATE_FEATURES)
    units = [FEATURES[name].unit for name in names]
    return [
        [ID_COLUMN, *names],
        [_UNIT_ROW, *units],
        [_EXAMPLE, *(f"{_example_value(name):g}" for name in names)],
    ]


_EXAMPLE_VALUES = {
    "vrest": -70, "ri": 180, "input_resistance_mohm": 180, "tau": 15, "sag": 0.07,
    "vm_for_sag": -90, "f_i_curve_slope": 0.25, "adaptation": 0.03, "avg_isi": 50,
    "latency": 0.03, "delay_ms_long_square": 90, "threshold_i": 100, "threshold_v": -37,
    "peak_v": 30, "upstroke_downstroke_ratio": 2.3, "fast_trough_v": -52, "trough_v": -55,
    "rise_ms": 0.4, "fall_ms": 1.6, "trough_ms": 4, "slow_trough_depth_mv": 0,
}  # fmt: skip


def _example_value(name: str) -> float:
    parts = [part for part in _EXAMPLE_VALUES if name == part or name.startswith(f"{part}_")]
    return _EXAMPLE_VALUES[parts[-1]]


def _first_repeated(names: list[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


def _encoding(path: Path) -> str:
    """Tell the encoding of a table; spreadsheets save "Unicode text" as UTF-16."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _is_above_names(line: str) -> bool:
    """Tell a comment or an empty line above the names of the columns. Below, a cell may be "#1"."""
    return not line.strip() or line.startswith("#")


def _texts(path: Path) -> pd.DataFrame:
    """Read the cells of a table as text; rows must be whole."""
    try:
        text = path.read_text(encoding=_encoding(path))
        lines = list(dropwhile(_is_above_names, text.splitlines(keepends=True)))
        rows = list(csv.reader(lines, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path.name} is no table of features ({error}).") from error
    rows = [row for row in rows if any(part.strip() for part in row)]  # spreadsheets leave blanks
    names = [name.strip() for name in rows[0]] if rows else []
    for separator, what in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and separator in names[0]:
            raise ValueError(
                f"{path.name} is separated by {what}, so it has no column that is a feature: save "
                "it with commas."
            )
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise ValueError(
                f"{path.name}: row {number} has {len(row)} fields, the first has {len(names)}. "
                "Was it cut off, or is there a comma too many?"
            )
    return pd.DataFrame(rows[1:], columns=names, dtype=str)


def _check_unit_row(name: str, rows: pd.DataFrame) -> None:
    """Refuse a row of units that says another unit than ours."""
    for _, row in rows.iterrows():
        for column, said in row.items():
            if column not in FEATURES or pd.isna(said) or not str(said).strip():
                continue
            ours = FEATURES[str(column)].unit
            if _plain_unit(str(said)) != _plain_unit(ours):
                raise ValueError(
                    f"{name} gives {column} in {said!r}; it is wanted in {ours or 'no unit'}. "
                    "Convert the column, and then the row of units."
                )


def _plain_unit(unit: str) -> str:
    text = unit.strip().lower().replace("ω", "ohm").replace("ω", "ohm").replace(" ", "")
    return text.replace("ohms", "ohm").replace("hz/", "spikes/sper")


def _numbers(name: str, column: str, texts: pd.Series) -> pd.Series:
    """Read the numbers of one column, or say which cell is none."""
    stripped = texts.fillna("").str.strip()
    stripped = stripped.mask(stripped.str.lower().isin(["nan", "na", "n/a", "none", "-"]), "")
    numbers = pd.to_numeric(stripped.mask(stripped == "", np.nan), errors="coerce")
    wrong = stripped[(stripped != "") & numbers.isna()]
    if len(wrong):
        comma = " Decimal commas are not read." if "," in wrong.iloc[0] else ""
        raise ValueError(f"{name}: {column} holds {wrong.iloc[0]!r}, which is no number.{comma}")
    return numbers.astype(np.float64)
