"""The Allen Cell Types Database: two tables, checked whenever they are read.

``cells.json`` (RMA model ``ApiCellTypesSpecimenDetail``) says what each cell is;
``ephys_features.csv`` (RMA model ``EphysFeature``) holds its electrophysiology
features. Both lie in ``allen_cell_types/`` of the data folder exactly as
AllenSDK's ``CellTypesCache`` caches them.

How they come over the network is in :mod:`lspin.data.download`; reading needs pandas alone.

Use of the data is under the Allen Institute's terms of use: cite it; it is for
non-commercial use.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from lspin.data.client import CELLS_FILE, FEATURES_FILE
from lspin.data.download import check_reachable, fetch_allen_tables, put_in_place, staging
from lspin.data.tables import (
    ADVICE,
    CRE_LINE_CLASS,
    RELEASED_FEATURES,
    Cells,
    assemble_cells,
    broken_file,
    sha256,
)

BASE_URI = "https://api.brain-map.org"
FOLDER = "allen_cell_types"

_COLUMN_NAMES = {
    "specimen__id": "specimen_id",
    "donor__id": "donor_id",
    "donor__species": "species",
    "line_name": "line_name",
    "tag__dendrite_type": "dendrite_type",
    "cell_reporter_status": "reporter_status",
    "structure__layer": "layer",
    "structure__acronym": "structure",
}
_SPECIES = {"Mus musculus": "mouse", "Homo Sapiens": "human"}
_DENDRITE_TYPES = ("spiny", "aspiny", "sparsely spiny")
_LINES_WITHOUT_CLASS = (
    "Chrna2-Cre_OE25|Pvalb-T2A-Dre",
    "Gng7-Cre_KH71",
    "Htr3a-Cre_NO152|Pvalb-T2A-Dre",
    "Penk-IRES2-Cre-neo",
    "Pvalb-T2A-CreERT2",
    "Pvalb-T2A-FlpO|Vipr2-IRES2-Cre",
    "Slc17a6-IRES-Cre",
    "Vipr2-IRES2-Cre",
    "Vipr2-IRES2-Cre-neo",
)
"""Cre lines of the database that the paper gives no class."""

KNOWN_CONTENT = "09ff5bc1df1135ae1e6023372633d72c7b098431d46987691545654796556d19"
"""What :func:`content_digest` gives for the database's 2333 cells, unchanged for years."""


def has_tables(data_dir: Path) -> bool:
    """Tell whether both tables lie in the data folder (their content is not checked)."""
    return all((data_dir / FOLDER / name).is_file() for name in (CELLS_FILE, FEATURES_FILE))


def read_cells(data_dir: Path) -> pd.DataFrame:
    """Read the specimen table of the data folder.

    Parameters
    ----------
    data_dir : Path
        The data folder; the table is ``allen_cell_types/cells.json`` in it.

    Returns
    -------
    DataFrame, shape (n_cells, 7)
        Every cell of the database, mouse and human, indexed by ``specimen_id``:
        ``donor_id`` (int64), ``species`` ("mouse" or "human"), ``line_name``,
        ``dendrite_type``, ``reporter_status``, ``layer``, ``structure`` (str, ""
        where unknown).

    Raises
    ------
    ValueError
        If the file is not such a table.
    """
    path = data_dir / FOLDER / CELLS_FILE
    return _spelled(path, _read_every_cell(path))


def _read_every_cell(path: Path) -> pd.DataFrame:
    """Read the specimen table as it stands, but for blanks; species "" is another than ours."""
    try:
        # utf-8-sig also reads the mark that some editors put at the beginning.
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise broken_file(path, f"not readable as JSON ({error})") from error
    if not isinstance(rows, list) or not rows:
        raise broken_file(path, "holds no list of cells")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise broken_file(path, f"holds {row!r:.40} as row {number}, where a cell should be")
    table = pd.DataFrame(rows)
    _need_columns(path, table, _COLUMN_NAMES)
    table = table[list(_COLUMN_NAMES)].rename(columns=_COLUMN_NAMES)
    texts = table.columns.difference(["specimen_id", "donor_id"])
    table[texts] = table[texts].apply(lambda column: column.map(_text))
    names = {name.casefold(): species for name, species in _SPECIES.items()}
    table["species"] = table["species"].map(lambda name: names.get(name.casefold(), ""))
    for column in ("specimen_id", "donor_id"):
        table[column] = _ids(path, table[column])
    return _indexed(path, table)


def _spelled(path: Path, cells: pd.DataFrame) -> pd.DataFrame:
    """Leave out other species and spell names as the database does; warn of what is not known."""
    other = cells["species"] == ""
    if other.any():
        _warn(
            path,
            f"{other.sum()} cells are of species other than {list(_SPECIES)}; they are left out",
        )
    if other.all():
        raise broken_file(path, "holds neither mouse nor human cells")
    cells = cells[~other].copy()
    cells["dendrite_type"] = _known(path, cells["dendrite_type"], _DENDRITE_TYPES, "cells")
    mouse = cells["species"] == "mouse"
    for column, names in (
        ("reporter_status", ("positive", "negative")),
        ("line_name", (*CRE_LINE_CLASS, *_LINES_WITHOUT_CLASS)),
    ):
        cells.loc[mouse, column] = _known(path, cells.loc[mouse, column], names, "mouse cells")
    return cells


def read_features(data_dir: Path) -> pd.DataFrame:
    """Read the electrophysiology features of the data folder.

    Parameters
    ----------
    data_dir : Path
        The data folder; the table is ``allen_cell_types/ephys_features.csv`` in it.

    Returns
    -------
    DataFrame of float64, shape (n_cells, 46)
        :data:`~lspin.data.RELEASED_FEATURES`, indexed by ``specimen_id``.

    Raises
    ------
    ValueError
        If the file is not such a table.
    """
    path = data_dir / FOLDER / FEATURES_FILE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problem = "is not UTF-8 text; a spreadsheet must save it as 'CSV UTF-8'"
        raise broken_file(path, problem) from error
    try:
        _check_whole(text)
        table = pd.read_csv(io.StringIO(text)).dropna(how="all")  # Excel writes blank rows
    except (ValueError, csv.Error) as error:
        raise broken_file(path, f"not readable as CSV ({error})") from error
    _need_columns(path, table, ("specimen_id", *RELEASED_FEATURES))
    if table.empty:
        raise broken_file(path, "is empty")
    table["specimen_id"] = _ids(path, table["specimen_id"])
    table = _indexed(path, table)[list(RELEASED_FEATURES)]
    try:
        table = table.astype("float64")
    except ValueError as error:
        raise broken_file(path, f"holds a feature that is not a number ({error})") from error
    infinite = np.isinf(table).sum()
    if infinite.any():
        names = infinite.index[infinite > 0].tolist()
        raise broken_file(path, f"holds {infinite.sum()} infinite values, in {names[:3]}")
    return table


def _check_whole(text: str) -> None:
    """Refuse a CSV that was cut off, has a column twice, or has no commas."""
    lines = csv.reader(io.StringIO(text), strict=True)
    header = next(lines, [])
    n_columns = len(header)
    if n_columns == 1 and any(mark in header[0] for mark in ";\t"):
        raise csv.Error("its columns are separated by semicolons or tabs, not by commas")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:  # pandas would rename the second one and read the first
        raise csv.Error(f"it has two columns named {twice[0]!r}")
    for row in lines:
        if any(row) and len(row) != n_columns:
            problem = f"line {lines.line_num} has {len(row)} of {n_columns} fields"
            raise csv.Error(f"{problem}; was the file cut off?")
    if text and not text.endswith(("\n", "\r", '"')):
        raise csv.Error("the last line does not end; was the file cut off?")


def read_tables(data_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read both tables and check that they describe the same cells.

    Returns
    -------
    cells, features : DataFrame
        As :func:`read_cells` and :func:`read_features` give them.

    Raises
    ------
    ValueError
        If a table is broken, or one has cells that the other lacks.
    """
    folder = data_dir / FOLDER
    every, features = _read_every_cell(folder / CELLS_FILE), read_features(data_dir)
    ids = every.index
    lost = ids.difference(features.index)
    if len(lost):
        raise broken_file(
            folder / FEATURES_FILE,
            f"has no features for {len(lost)} of the {len(ids)} cells in {CELLS_FILE}",
        )
    lost = features.index.difference(ids)
    if len(lost):
        raise broken_file(
            folder / CELLS_FILE,
            f"lacks {len(lost)} of the {len(features)} cells in {FEATURES_FILE}",
        )
    return _spelled(folder / CELLS_FILE, every), features


def load(data_dir: Path, cohort: str, species: str) -> Cells:
    """Return the cells of one cohort from the tables in the data folder."""
    table, features = read_tables(data_dir)
    cells = assemble_cells(
        features,
        table,
        source="allen",
        cohort=cohort,
        species=species,
        provenance={
            "tables": checksums(data_dir),
            "changed": content_digest(table, features) != KNOWN_CONTENT,
        },
    )
    if not len(cells):
        path = data_dir / FOLDER / CELLS_FILE
        raise broken_file(path, f"holds no {species} cell for the cohort {cohort!r}")
    return cells


def content_digest(cells: pd.DataFrame, features: pd.DataFrame) -> str:
    """Return one sha256 of what both tables say, whatever the layout of their files.

    Tables that are well formed can still be wrong: cut to fewer cells, with a column in another
    unit or two that changed places. This tells them from those that the book is about.

    Parameters
    ----------
    cells, features : DataFrame
        As :func:`read_tables` gives them.

    Returns
    -------
    str
        64 hexadecimal digits; the order of the rows does not matter.
    """
    content = [
        table.sort_index().to_csv(float_format="%.9g", lineterminator="\n")
        for table in (cells, features)
    ]
    return hashlib.sha256("".join(content).encode()).hexdigest()


def checksums(data_dir: Path) -> dict[str, str]:
    """Return the sha256 of both tables."""
    return {name: sha256(data_dir / FOLDER / name) for name in (CELLS_FILE, FEATURES_FILE)}


def fetch(data_dir: Path, verbose: int = 1, base_uri: str = BASE_URI) -> None:
    """Download both tables into the data folder, whole or not at all.

    Usable tables that are already there are kept. A broken one is replaced, and kept beside its
    successor as ``NAME.old``.

    Parameters
    ----------
    data_dir : Path
        The data folder; the tables go to ``allen_cell_types/`` in it.
    verbose : int
        0 shows no progress.
    base_uri : str
        The server.

    Raises
    ------
    ConnectionError
        If the server cannot be reached, or its answer is not a usable table.
    OSError
        If the data folder cannot be written to.
    """
    if has_tables(data_dir):
        try:
            read_tables(data_dir)
            return
        except ValueError:  # broken: fetch them again
            pass
    check_reachable(base_uri)
    with staging(data_dir) as temporary:
        fetch_allen_tables(temporary / FOLDER, base_uri, verbose)
        try:
            with warnings.catch_warnings():  # said when the tables are read from their place
                warnings.simplefilter("ignore")
                read_tables(temporary)
        except ValueError as error:
            problem = str(error).split(ADVICE)[0].replace(f"{temporary}{os.sep}", "")
            raise ConnectionError(
                f"{base_uri} sent tables that cannot be used: {problem}. Try again later."
            ) from error
        (data_dir / FOLDER).mkdir(exist_ok=True)
        for file in sorted((temporary / FOLDER).iterdir()):
            put_in_place(file, data_dir / FOLDER / file.name)


def _text(value: object) -> str:
    """Return a text without blanks around it, "" for null."""
    return "" if value is None or value != value else str(value).strip()


def _known(path: Path, values: pd.Series, names: Iterable[str], what: str) -> pd.Series:
    """Write texts as the database does, whatever their case, and warn of those it does not have."""
    spelled = {name.casefold(): name for name in names}
    known = values.str.casefold().isin(spelled)
    if not known.all():
        examples = values[~known].unique()[:3].tolist()
        _warn(
            path,
            f"{(~known).sum()} of {len(values)} {what} have no {values.name} that is known "
            f"({', '.join(map(repr, examples))}); cohorts that go by it leave them out",
        )
    return values.map(lambda value: spelled.get(value.casefold(), value))


def _ids(path: Path, values: pd.Series) -> pd.Series:
    """Return ids as int64, also where they are written as ``123.0`` or as text."""
    numbers = pd.to_numeric(values.astype(str), errors="coerce")
    usable = (numbers > 0) & (numbers % 1 == 0) & (numbers < 2**53)
    if not usable.all():
        example = values[~usable].iloc[0]
        raise broken_file(
            path,
            f"holds {(~usable).sum()} rows whose {values.name} is no whole number "
            f"(such as {example!r:.40})",
        )
    return numbers.astype("int64")


def _indexed(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    table = table.set_index("specimen_id")
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()]
        raise broken_file(path, f"lists a specimen more than once (such as {twice[0]})")
    return table


def _warn(path: Path, problem: str) -> None:
    warnings.warn(
        f"{path}: {problem}. If this surprises you, delete the file and run `lspin fetch`; "
        "if it is the same then, the database has changed and lspin needs an update.",
        UserWarning,
        stacklevel=3,
    )


def _need_columns(path: Path, table: pd.DataFrame, needed: Iterable[str]) -> None:
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise broken_file(path, f"lacks the columns {missing[:5]}")
