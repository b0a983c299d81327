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

import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lspin.data.client import CELLS_FILE, FEATURES_FILE
from lspin.data.download import check_reachable, fetch_allen_tables, put_in_place, staging
from lspin.data.tables import (
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
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise broken_file(path, f"not readable as JSON ({error})") from error
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        raise broken_file(path, "holds no list of cells")
    table = pd.DataFrame(rows)
    _need_columns(path, table, _COLUMN_NAMES)
    table = table[list(_COLUMN_NAMES)].rename(columns=_COLUMN_NAMES)
    if table[["specimen_id", "donor_id"]].isna().any(axis=None):
        raise broken_file(path, "holds cells without a specimen id or donor id")
    table["species"] = table["species"].map(_SPECIES)
    if table["species"].isna().any():
        raise broken_file(path, f"holds cells of species other than {sorted(_SPECIES)}")
    table = table.astype({"specimen_id": "int64", "donor_id": "int64"}).set_index("specimen_id")
    if not table.index.is_unique:
        raise broken_file(path, "lists a specimen more than once")
    return table.fillna("")


def read_features(data_dir: Path) -> pd.DataFrame:
    """Read the electrophysiology features of the data folder.

    Parameters
    ----------
    data_dir : Path
        The data folder; the table is ``allen_cell_types/ephys_features.csv`` in it.

    Returns
    -------
    DataFrame of float64, shape (n_cells, 46)
        :data:`~lspin.data.tables.RELEASED_FEATURES`, indexed by ``specimen_id``.

    Raises
    ------
    ValueError
        If the file is not such a table.
    """
    path = data_dir / FOLDER / FEATURES_FILE
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise broken_file(path, f"not readable as CSV ({error})") from error
    _need_columns(path, table, ("specimen_id", *RELEASED_FEATURES))
    if table.empty or not table["specimen_id"].is_unique:
        raise broken_file(path, "is empty or lists a specimen more than once")
    try:
        return table.set_index("specimen_id")[list(RELEASED_FEATURES)].astype("float64")
    except ValueError as error:
        raise broken_file(path, f"holds a feature that is not a number ({error})") from error


def read_tables(data_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read both tables and check that they describe the same cells.

    Returns
    -------
    cells, features : DataFrame
        As :func:`read_cells` and :func:`read_features` give them.

    Raises
    ------
    ValueError
        If a table is broken, or cells have no features.
    """
    cells, features = read_cells(data_dir), read_features(data_dir)
    lost = cells.index.difference(features.index)
    if len(lost):
        raise broken_file(
            data_dir / FOLDER / FEATURES_FILE,
            f"has no features for {len(lost)} of the {len(cells)} cells in {CELLS_FILE}",
        )
    return cells, features


def load(data_dir: Path, cohort: str, species: str) -> Cells:
    """Return the cells of one cohort from the tables in the data folder."""
    cells, features = read_tables(data_dir)
    return assemble_cells(
        features,
        cells,
        source="allen",
        cohort=cohort,
        species=species,
        provenance={"tables": checksums(data_dir)},
    )


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
            problem = str(error).split(". Delete this file")[0].replace(f"{temporary}{os.sep}", "")
            raise ConnectionError(
                f"{base_uri} sent tables that cannot be used: {problem}. Try again later."
            ) from error
        (data_dir / FOLDER).mkdir(exist_ok=True)
        for file in sorted((temporary / FOLDER).iterdir()):
            put_in_place(file, data_dir / FOLDER / file.name)


def _need_columns(path: Path, table: pd.DataFrame, needed: Iterable[str]) -> None:
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise broken_file(path, f"lacks the columns {missing[:5]}")
