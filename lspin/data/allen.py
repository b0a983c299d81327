"""The Allen Cell Types Database: two tables, read offline or fetched by AllenSDK.

``cells.json`` (RMA model ``ApiCellTypesSpecimenDetail``) says what each cell is;
``ephys_features.csv`` (RMA model ``EphysFeature``) holds its electrophysiology
features. Both lie in ``allen_cell_types/`` of the data folder exactly as
AllenSDK's ``CellTypesCache`` caches them.

AllenSDK is needed to download, and is imported only then. Reading needs pandas
alone, so that tables fetched once can be used on Pythons that AllenSDK does not
support, and without its 1.5 s import.

Use of the data is under the Allen Institute's terms of use: cite it; it is for
non-commercial use.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import numpy as np
import pandas as pd
from tqdm import tqdm

from lspin.data.tables import (
    RELEASED_FEATURES,
    Cells,
    assemble_cells,
    broken_file,
    sha256,
)

BASE_URI = "https://api.brain-map.org"
FOLDER = "allen_cell_types"
CELLS_FILE = "cells.json"
FEATURES_FILE = "ephys_features.csv"
_FILES = (CELLS_FILE, FEATURES_FILE, "manifest.json")

_TRIES = 3
_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 60.0
_BACKOFF_S = 2.0

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

    Usable tables that are already there are kept.

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
    ImportError
        If AllenSDK is not installed.

    Notes
    -----
    AllenSDK's queries have no timeout and write in place, so the tables are
    fetched into a folder beside the destination, checked there, and then moved.
    """
    if has_tables(data_dir):
        try:
            read_tables(data_dir)
            return
        except ValueError:  # broken: fetch them again
            pass
    _check_reachable(base_uri)
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=".lspin-") as name:
        temporary = Path(name)
        _download(temporary / FOLDER, base_uri, verbose)
        try:
            read_tables(temporary)
        except ValueError as error:
            problem = str(error).split(". Delete this file")[0].replace(name + os.sep, "")
            raise ConnectionError(
                f"{base_uri} sent tables that cannot be used: {problem}. Try again later."
            ) from error
        (data_dir / FOLDER).mkdir(exist_ok=True)
        for file in _FILES:
            os.replace(temporary / FOLDER / file, data_dir / FOLDER / file)


def _download(folder: Path, base_uri: str, verbose: int) -> None:
    """Let AllenSDK cache both tables in ``folder``."""
    with warnings.catch_warnings():
        # AllenSDK's dependencies announce their own deprecations on import.
        warnings.simplefilter("ignore")
        try:
            CellTypesCache = import_cell_types_cache()
        except ImportError as error:
            raise ImportError(
                "Downloading the Allen tables needs AllenSDK: run `pip install allensdk`, or fetch "
                "them on another machine and point LSPIN_DATA_DIR at their folder."
            ) from error
        cache = CellTypesCache(manifest_file=str(folder / "manifest.json"), base_uri=base_uri)
        steps: dict[str, Callable[[], Any]] = {
            CELLS_FILE: partial(cache.get_cells, simple=False),
            FEATURES_FILE: cache.get_ephys_features,
        }
        with (
            tqdm(
                steps.items(), desc="Allen Cell Types", unit="table", disable=not verbose
            ) as progress,
            _socket_timeout(_READ_TIMEOUT_S),
        ):
            for file, query in progress:
                progress.set_postfix_str(file)
                _retry(query, folder / file, f"{base_uri} did not send {file}")


def import_cell_types_cache() -> type:
    """Import AllenSDK's ``CellTypesCache``, also with numpy 2."""
    # AllenSDK 2.16.2, its newest release, asks for numpy 1. The one thing it misses in numpy 2 is
    # this name, which moved.
    vars(np).setdefault("VisibleDeprecationWarning", np.exceptions.VisibleDeprecationWarning)
    from allensdk.core.cell_types_cache import CellTypesCache

    return CellTypesCache


def _retry(query: Callable[[], Any], path: Path, problem: str) -> None:
    """Call ``query``, which caches its answer at ``path``, up to three times."""
    for attempt in range(_TRIES):
        # AllenSDK caches even an answer it cannot use, and would read it back.
        path.unlink(missing_ok=True)
        try:
            query()
            return
        # A truncated or HTML answer is a ValueError of the JSON reader, an answer of
        # another shape a KeyError or TypeError of AllenSDK; a connection cut in the
        # middle is an HTTPException.
        except (OSError, ValueError, KeyError, TypeError, AttributeError, HTTPException) as error:
            last = f"{type(error).__name__}: {error}"
        if attempt < _TRIES - 1:
            time.sleep(_BACKOFF_S * 2**attempt)
    raise ConnectionError(f"{problem} in {_TRIES} tries (last: {last}). Try again later.")


def _check_reachable(base_uri: str) -> None:
    """Fail within seconds on a machine without a network.

    Behind a proxy only the proxy can tell, so the check is left to the download.
    """
    address = urlsplit(base_uri)
    host = address.hostname or ""
    if address.scheme in getproxies() and not proxy_bypass(host):
        return
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ConnectionError(f"{base_uri} cannot be reached ({error}).") from error


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Give every new socket a timeout, and restore the old default afterwards."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _need_columns(path: Path, table: pd.DataFrame, needed: Iterable[str]) -> None:
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise broken_file(path, f"lacks the columns {missing[:5]}")
