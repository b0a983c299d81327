"""The tables and spikes published by the authors of the paper, by commit and checksum.

Ophir, Shefi & Lindenbaum (2023) keep four feature tables and 1811 single-spike
recordings in a public repository that carries no licence. lspin therefore only
downloads them from there, into the reader's own data folder, and never
redistributes them. Every file is pinned: the tables by sha256, the spikes, which
come in an archive made on demand, by a checksum of their content.

In the data folder they lie in ``ophir2023/``.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from lspin.data import allen
from lspin.data.download import fetch_file, fetch_known, put_in_place, staging
from lspin.data.tables import (
    METADATA_COLUMNS,
    SPIKE_FEATURES,
    SPIKE_TIME_MS,
    Cells,
    Spikes,
    broken_file,
    sha256,
)

FOLDER = "ophir2023"
SPIKES_FILE = "spikes.npz"
TABLES_COMMIT = "6eb1bdcafacea21eb9b63e41f56b6c4c4bbbd78c"
SPIKES_COMMIT = "74c39dd796cb28e3ef2e11ff83d613cac0a0a7b8"
TABLES_URL = (
    "https://raw.githubusercontent.com/ofek181/Neuronal-Cell-Type-Classification/"
    f"{TABLES_COMMIT}/data/"
)
SPIKES_URL = (
    f"https://github.com/ofek181/Neuronal-Cell-Type-Classification/archive/{SPIKES_COMMIT}.zip"
)

TABLE_SHA256 = {
    "mouse_ephys_data.csv": "b91e818fe1938f95f455bb94b411ad3bcbb7218495a018bc8f98368ec84239e1",
    "mouse_single_spike_data.csv": (
        "10886ccb101ba1a50e81516032e22d5d10bb62e97173e450d37c59a6df0ba789"
    ),
    "human_ephys_data.csv": "7492581a54a5cf6a14b087f6fb2dce172c35c1c2951145175e43338f23114fa6",
    "human_single_spike_data.csv": (
        "d078df9c78832bad66f7021d1b79c4f557c724e74077f49525400a420d649d42"
    ),
}
SPIKES_CONTENT_SHA256 = "8b6ddb4cba00f5f00234bdf63324f2adf86155dc4d4de78c5286b54c0b165f52"

_LIMIT_S = 1800.0  # of one download

_LABEL_COLUMN = {"mouse": "transgenic_line", "human": "dendrite_type"}
_CLASS_OF_FOLDER = {
    "glutamatergic": "Glutamatergic",
    "htr3a": "Htr3a+|Vip-",
    "pvalb": "Pvalb+",
    "sst": "Sst+",
    "vip": "Vip+",
    "spiny": "spiny",
    "aspiny": "aspiny",
}
_SPIKE_ARRAYS = (
    "species",
    "folder",
    "specimen_id",
    "sweep_number",
    "sampling_rate_hz",
    "waveform_mv",
)


def has_table(data_dir: Path, species: str) -> bool:
    """Tell whether the authors' feature table of a species lies in the data folder."""
    return (data_dir / FOLDER / f"{species}_ephys_data.csv").is_file()


def has_spikes(data_dir: Path, species: str) -> bool:
    """Tell whether the spikes and their feature table lie in the data folder."""
    folder = data_dir / FOLDER
    return (folder / SPIKES_FILE).is_file() and (
        folder / f"{species}_single_spike_data.csv"
    ).is_file()


def load(data_dir: Path, species: str) -> Cells:
    """Return the authors' feature table as a record, donors joined by specimen id.

    Parameters
    ----------
    data_dir : Path
        The data folder, with the authors' table and the Allen ``cells.json``.
    species : {"mouse", "human"}

    Returns
    -------
    Cells
        With the authors' 41 features: 14 averaged over the spikes of one noise
        sweep, 27 released by Allen. Rows with missing values are kept (1382 of
        the 1424 mouse rows are complete).

    Raises
    ------
    ValueError
        If a file is not the published one, or cells are unknown to Allen.
    """
    name = f"{species}_ephys_data.csv"
    table = _read_table(data_dir, name)
    first, last = table.columns.get_loc("layer") + 1, table.columns.get_loc("file_name")
    cells = allen.read_cells(data_dir)
    unknown = table.index.difference(cells.index)
    if len(unknown):
        raise broken_file(
            data_dir / allen.FOLDER / allen.CELLS_FILE,
            f"lacks {len(unknown)} of the {len(table)} cells of {name}",
        )
    cells = cells.loc[table.index]
    labels = table[_LABEL_COLUMN[species]].rename("class")
    X = table.iloc[:, first:last].astype(np.float64)
    return Cells(
        X=X,
        y=labels,
        donors=cells["donor_id"],
        metadata=cells[list(METADATA_COLUMNS)],
        source="paper",
        species=species,
        cohort="paper",
        provenance={
            "tables": {
                name: TABLE_SHA256[name],
                allen.CELLS_FILE: sha256(data_dir / allen.FOLDER / allen.CELLS_FILE),
            },
            "commit": TABLES_COMMIT,
            "dropped": [],
            "complete_rows": int(X.notna().all(axis=1).sum()),
        },
    )


def load_spikes(data_dir: Path, species: str) -> Spikes:
    """Return one recorded short-square spike per cell.

    Parameters
    ----------
    data_dir : Path
        The data folder.
    species : {"mouse", "human"}

    Returns
    -------
    Spikes

    Raises
    ------
    ValueError
        If a file is not the published one.
    """
    path = data_dir / FOLDER / SPIKES_FILE
    spikes = _read_spikes(path)
    chosen = spikes["species"] == species
    order = np.flatnonzero(chosen)[np.argsort(spikes["specimen_id"][chosen])]
    index = pd.Index(spikes["specimen_id"][order], name="specimen_id")
    labels = [_CLASS_OF_FOLDER[folder] for folder in spikes["folder"][order]]
    name = f"{species}_single_spike_data.csv"
    features = _read_table(data_dir, name)[list(SPIKE_FEATURES)].astype(np.float64)
    return Spikes(
        waveform_mv=pd.DataFrame(
            spikes["waveform_mv"][order].astype(np.float64),
            index=index,
            columns=pd.Index(SPIKE_TIME_MS, name="time_ms"),
        ),
        y=pd.Series(labels, index=index, name="class"),
        source="paper",
        species=species,
        features=features.reindex(index),
        provenance={
            "tables": {SPIKES_FILE: sha256(path), name: TABLE_SHA256[name]},
            "commit": SPIKES_COMMIT,
        },
    )


def fetch(
    data_dir: Path,
    verbose: int = 1,
    *,
    tables_url: str = TABLES_URL,
    spikes_url: str = SPIKES_URL,
) -> None:
    """Download the four tables and the spikes that are not yet in the data folder.

    A file that is there but is not the published one is replaced, and kept beside its
    successor as ``NAME.old``.

    Parameters
    ----------
    data_dir : Path
        The data folder; the files go to ``ophir2023/`` in it.
    verbose : int
        0 shows no progress.
    tables_url, spikes_url : str
        Where to download from.

    Raises
    ------
    ConnectionError
        If a download fails, or what arrives is not the published file. Nothing
        is left in the folder then.
    OSError
        If the data folder cannot be written to.
    """
    fetch_tables(data_dir, verbose, tables_url=tables_url)
    fetch_spikes(data_dir, verbose, spikes_url=spikes_url)


def fetch_tables(data_dir: Path, verbose: int = 1, *, tables_url: str = TABLES_URL) -> None:
    """Download the authors' four tables; see :func:`fetch`."""
    for name, digest in TABLE_SHA256.items():
        species, _, rest = name.partition("_")
        url = f"{tables_url}{species}/{rest}"
        fetch_known(url, data_dir / FOLDER / name, digest, _LIMIT_S, verbose)


def fetch_spikes(data_dir: Path, verbose: int = 1, *, spikes_url: str = SPIKES_URL) -> None:
    """Download the archive of spikes and keep them as one small file; see :func:`fetch`."""
    path = data_dir / FOLDER / SPIKES_FILE
    if path.is_file() and _content_is_known(path):
        return
    with staging(path.parent) as temporary:
        # The archive is made on demand and its bytes may change, so what is checked
        # is the content.
        fetch_file(spikes_url, temporary / "spikes.zip", _LIMIT_S, verbose)
        try:
            spikes = _spikes_of_archive(temporary / "spikes.zip")
        except (zipfile.BadZipFile, ValueError) as error:
            raise ConnectionError(f"{spikes_url} sent no archive of spikes ({error}).") from error
        if _content_sha256(spikes) != SPIKES_CONTENT_SHA256:
            raise ConnectionError(
                f"{spikes_url} sent {len(spikes['specimen_id'])} spikes whose checksum is not "
                "that of the published ones. They were not kept."
            )
        arrays: dict[str, Any] = spikes  # its keywords are typed as the options of numpy
        np.savez_compressed(temporary / SPIKES_FILE, **arrays)
        put_in_place(temporary / SPIKES_FILE, path)


def _spikes_of_archive(path: Path) -> dict[str, np.ndarray]:
    """Collect ``data/single_spike/<species>/<folder>/<specimen>_<sweep>.npy`` of the archive.

    Returns
    -------
    dict of ndarray
        As :data:`_SPIKE_ARRAYS` names them; the waveforms are (n, 150) float32
        in mV at 50 kHz.
    """
    rows = []
    with zipfile.ZipFile(path) as archive:
        for member in sorted(archive.namelist()):
            parts = PurePosixPath(member).parts
            if parts[1:3] != ("data", "single_spike") or not member.endswith(".npy"):
                continue
            species, folder, file = parts[3:]
            specimen, sweep = PurePosixPath(file).stem.split("_")
            raw = np.load(io.BytesIO(archive.read(member)), allow_pickle=False)
            waveform, rate = _to_50_khz_mv(raw, member)
            rows.append((species, folder, int(specimen), int(sweep), rate, waveform))
    if not rows:
        raise ValueError("it holds no file under data/single_spike")
    return dict(zip(_SPIKE_ARRAYS, map(np.array, zip(*rows, strict=True)), strict=True))


def _to_50_khz_mv(raw: np.ndarray, member: str) -> tuple[np.ndarray, int]:
    """Return a spike as 150 samples at 50 kHz in mV, and its original sampling rate."""
    raw = raw.squeeze()
    if raw.shape not in {(150,), (600,)}:
        raise ValueError(f"{member} has shape {raw.shape}, not 150 or 600 samples")
    step = len(raw) // 150
    waveform = raw[::step].astype(np.float64)
    if np.abs(waveform).max() < 1:  # in volts: no spike stays below 1 mV
        waveform = waveform * 1000
    return waveform.astype(np.float32), 50_000 * step


def _content_sha256(spikes: dict[str, np.ndarray]) -> str:
    """Checksum of names and waveforms, whatever their order and the file's compression.

    The recordings are quantised in steps of 1/32 mV; counting steps makes the
    checksum independent of rounding in the conversion from volts.
    """
    digest = hashlib.sha256()
    order = np.argsort(spikes["specimen_id"])
    names = ("species", "folder", "specimen_id", "sweep_number", "waveform_mv")
    for species, folder, specimen, sweep, waveform in zip(
        *(spikes[name][order] for name in names), strict=True
    ):
        digest.update(f"{species}/{folder}/{specimen}_{sweep}".encode())
        digest.update(np.rint(waveform.astype(np.float64) * 32).astype("<i2").tobytes())
    return digest.hexdigest()


def _content_is_known(path: Path) -> bool:
    try:
        _read_spikes(path)
    except ValueError:
        return False
    return True


def _read_spikes(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            spikes = {name: file[name] for name in _SPIKE_ARRAYS}
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise broken_file(path, f"is no archive of spikes ({error})") from error
    if _content_sha256(spikes) != SPIKES_CONTENT_SHA256:
        raise broken_file(path, "does not hold the published spikes (wrong checksum)")
    return spikes


def _read_table(data_dir: Path, name: str) -> pd.DataFrame:
    """Read one of the authors' tables, indexed by specimen id."""
    path = data_dir / FOLDER / name
    if sha256(path) != TABLE_SHA256[name]:
        raise broken_file(path, "is not the published table (wrong sha256)")
    table = pd.read_csv(path)
    ids = table["file_name"].str.split("_").str[0].astype(np.int64).rename("specimen_id")
    return table.set_index(ids).sort_index()
