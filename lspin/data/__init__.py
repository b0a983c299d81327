"""Where cells come from: :func:`load_cells` and :func:`load_spikes`.

All sources return the same checked records (spikes come from ``paper`` and ``twin``):

``allen``
    the Allen Cell Types Database, released features (:mod:`lspin.data.allen`);
``paper``
    the feature table and spikes of Ophir, Shefi & Lindenbaum (2023)
    (:mod:`lspin.data.paper`);
``v1``, ``m1``, ``human``
    Patch-seq of mouse visual cortex, mouse motor cortex and human cortex: labels read from the
    cells' own RNA (what they share is in :mod:`lspin.data.patchseq`, each description in
    :mod:`lspin.data.gouwens2020`, :mod:`lspin.data.scala2021`, :mod:`lspin.data.leedalley2023`);
``twin``, ``v1-twin``, ``m1-twin``, ``human-twin``
    synthetic twins of the Allen mouse cells and of the Patch-seq sources, embedded in the package
    (:mod:`lspin.data.twin`). They need no network and are no recordings.

Half-widths of the Allen cells, which were not released, are added by :func:`add_half_width`
(:mod:`lspin.data.moradi2021`).

Recordings to try things on, as files, come from :func:`fetch_recording`
(:mod:`lspin.data.recordings`).

A labelled table of anything, from a file, is read by :func:`read_csv` and :func:`own_table`
(:mod:`lspin.data.own_table`).

How files come over the network is in :mod:`lspin.data.download` and :mod:`lspin.data.client`;
what the tables mean, and the records, in :mod:`lspin.data.tables`; folds that no donor straddles
in :mod:`lspin.data.folds`.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from lspin.data import (
    allen,
    gouwens2020,
    leedalley2023,
    moradi2021,
    paper,
    recordings,
    scala2021,
    twin,
)
from lspin.data.folds import donor_folds
from lspin.data.own_table import OwnTable, as_numbers, decimal_commas, own_table, read_csv
from lspin.data.patchseq import (
    CLASS_OF_SUBCLASS,
    HALF_WIDTH,
    PATCHSEQ_FEATURES,
    PatchSeq,
    in_five_classes,
)
from lspin.data.recordings import RECORDINGS
from lspin.data.tables import (
    CLASSES,
    COHORTS,
    CRE_LINE_CLASS,
    RELEASED_FEATURES,
    SAMPLING_RATE_HZ,
    Cells,
    Spikes,
    aligned,
    classes_of,
    dendrites_contradict,
    own_cells,
)

__all__ = [
    "CLASSES",
    "CLASS_OF_SUBCLASS",
    "COHORTS",
    "CRE_LINE_CLASS",
    "PATCHSEQ",
    "PATCHSEQ_FEATURES",
    "RECORDINGS",
    "RELEASED_FEATURES",
    "SAMPLING_RATE_HZ",
    "SOURCES",
    "Cells",
    "OwnTable",
    "Spikes",
    "add_half_width",
    "aligned",
    "as_numbers",
    "decimal_commas",
    "data_dir",
    "dendrites_contradict",
    "donor_folds",
    "fetch_recording",
    "in_five_classes",
    "load_cells",
    "load_spikes",
    "own_cells",
    "own_table",
    "read_csv",
]

PATCHSEQ: dict[str, PatchSeq] = {
    described.name: described
    for described in (gouwens2020.SOURCE, scala2021.SOURCE, leedalley2023.SOURCE)
}
"""The descriptions of the Patch-seq sources, by name.

:meta hide-value:
"""

SOURCES: tuple[str, ...] = (
    *("auto", "allen", "paper", *PATCHSEQ),
    *("twin", *(f"{name}-twin" for name in PATCHSEQ)),
)
"""What :func:`load_cells` takes."""


def data_dir() -> Path:
    """Return the data folder: ``$LSPIN_DATA_DIR``, else the user's cache folder.

    Returns
    -------
    Path
        It may not exist yet.

    Raises
    ------
    ValueError
        If ``$LSPIN_DATA_DIR`` cannot be a data folder.

    Examples
    --------
    >>> from lspin.data import data_dir
    >>> data_dir().is_absolute()
    True
    """
    # A line end of Windows or a blank at the end is not meant to be part of the name.
    if folder := os.environ.get("LSPIN_DATA_DIR", "").strip():
        return _data_folder(folder, "LSPIN_DATA_DIR")
    import pooch

    return Path(pooch.os_cache("lspin"))


def load_cells(
    source: str = "auto",
    cohort: str | None = None,
    species: str | None = None,
    *,
    labels: str | None = None,
    or_twin: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    random_state: int = 0,
    verbose: int = 1,
) -> Cells:
    """Load labelled cells from one source.

    Parameters
    ----------
    source : {"auto", "allen", "paper", "v1", "m1", "human", "twin", "v1-twin", "m1-twin", \
"human-twin"}, default="auto"
        ``auto`` takes the environment variable ``LSPIN_SOURCE`` if it is set;
        else the Allen tables of the data folder, else the same by network, else
        the synthetic twin, with a warning that says why.
    cohort : {"positive", "paper", "all"}, optional
        Which mouse cells take part, see :data:`COHORTS`; ``positive`` by
        default. Source ``paper`` has its own cohort, ``paper``; Patch-seq sources
        have none. Human cells of the Allen tables are chosen by dendrite type alone,
        whatever the cohort.
    species : {"mouse", "human"}, optional
        Of source ``allen`` or ``paper``: ``mouse`` by default. All others have one species.
    labels : {"cre", "dendrite", "transcriptome"}, optional
        What the class is read from. Patch-seq sources have ``transcriptome``, their default, and,
        but for ``human``, ``cre``; mouse cells of the other sources have ``cre``, human ones
        ``dendrite``.
    or_twin : bool, default=False
        Of a Patch-seq source: whether its synthetic twin will do where its files are neither in the
        data folder nor can be downloaded (with a warning), or where ``LSPIN_SOURCE`` is ``twin``.
    data_dir : path-like, optional
        The data folder; :func:`data_dir` by default.
    random_state : int, default=0
        Seed of a twin; recordings do not depend on it.
    verbose : int, default=1
        0 shows no download progress.

    Returns
    -------
    Cells
        Those of Patch-seq sources have the columns of the Allen table and
        ``half_width_ms_long_square``; what a source did not measure is NaN, and named in
        ``provenance["missing"]``. Their metadata hold ``t_type`` and ``t_type_probability`` (NaN
        where not published) as well; those of ``m1`` ``temperature_c``, 25 or 34, those of
        ``human`` ``condition``.

    Raises
    ------
    ValueError
        If an argument is unknown, or a file in the data folder is broken.
    ConnectionError
        If a named source is neither in the data folder nor can be downloaded.

    Examples
    --------
    >>> from lspin import load_cells
    >>> cells = load_cells("twin")
    >>> cells.X.shape
    (1750, 46)
    >>> cells.banner().startswith("Source: SYNTHETIC TWIN")
    True

    The cells of one temperature:

    >>> m1 = load_cells("m1-twin")
    >>> len(m1), len(m1.select(m1.metadata["temperature_c"] == 25))
    (1402, 1226)
    """
    source = _choose_source(source)
    name, is_twin = source.removesuffix("-twin"), source.endswith("-twin")
    if name in PATCHSEQ:
        described = PATCHSEQ[name]
        _check_patchseq(described, cohort, species)
        labels = _choose_labels(source, described.labels, labels)
        is_twin |= or_twin and _environment_source() == "twin"
        folder = _folder(data_dir)
        if not is_twin and not described.has_tables(folder):
            is_twin = not _fetch_patchseq(described, folder, or_twin, verbose)
        if is_twin:
            return twin.load_patchseq(described, labels, random_state)
        return described.load(folder, labels)
    species = species or "mouse"
    classes_of(species)
    _choose_labels(source, ("cre",) if species == "mouse" else ("dendrite",), labels)
    if cohort is None:
        cohort = "paper" if source == "paper" else "positive"
    if cohort not in COHORTS:
        raise ValueError(f"cohort must be one of {list(COHORTS)}, got {cohort!r}.")
    if source == "paper" and cohort != "paper":
        raise ValueError(
            f"The authors' table holds their own cohort only, not {cohort!r}: "
            "leave cohort out, or use source='allen'."
        )
    folder = _folder(data_dir)
    if source == "twin":
        return twin.load(cohort, species, random_state)
    if source == "paper":
        if not paper.has_table(folder, species):
            paper.fetch_tables(folder, verbose)
        # Donors are in the Allen specimen table.
        if not allen.has_tables(folder):
            allen.fetch(folder, verbose)
        return paper.load(folder, species)
    if not allen.has_tables(folder):
        try:
            allen.fetch(folder, verbose)
        except OSError as error:
            if source == "allen":
                raise
            _warn_twin("The Allen tables", folder, error)
            return twin.load(cohort, species, random_state)
    return allen.load(folder, cohort, species)


def add_half_width(
    cells: Cells, *, data_dir: str | os.PathLike[str] | None = None, verbose: int = 1
) -> Cells:
    """Add the half-width of the first spike at rheobase to cells of the Allen table.

    Parameters
    ----------
    cells : Cells
        Of source ``allen``, or of its twin.
    data_dir : path-like, optional
        The data folder; :func:`data_dir` by default.
    verbose : int, default=1
        0 shows no download progress.

    Returns
    -------
    Cells
        With one more column, ``half_width_ms_long_square``, in ms. The twin has none to add: there
        it is NaN throughout.

    Raises
    ------
    ValueError
        If the cells are of another source, or the file is broken.
    ConnectionError
        If the file is neither in the data folder nor can be downloaded.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.data import add_half_width
    >>> cells = add_half_width(load_cells("twin"))
    >>> cells.X.shape, bool(cells.X["half_width_ms_long_square"].isna().all())
    ((1750, 47), True)
    """
    if cells.source == "twin":
        return replace(cells, X=cells.X.assign(**{HALF_WIDTH: np.nan}))
    if cells.source != "allen":
        raise ValueError(f"Half-widths are added to the Allen cells only. {cells.banner()}")
    folder = _folder(data_dir)
    moradi2021.fetch(folder, verbose)
    widths = moradi2021.half_widths(folder).reindex(cells.X.index)
    tables = {**cells.provenance.get("tables", {}), moradi2021.FILE: moradi2021.SHA256}
    return replace(
        cells,
        X=cells.X.assign(**{HALF_WIDTH: widths}),
        provenance={**cells.provenance, "tables": tables},
    )


def load_spikes(
    source: str = "auto",
    species: str = "mouse",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    random_state: int = 0,
    verbose: int = 1,
) -> Spikes:
    """Load one short-square action potential per cell.

    Parameters
    ----------
    source : {"auto", "paper", "twin"}, default="auto"
        ``auto`` gives the twin if the environment variable ``LSPIN_SOURCE`` says
        so; else the recorded spikes of the data folder, else the same by
        network, else the synthetic twin, with a warning that says why.
    species : {"mouse", "human"}, default="mouse"
    data_dir : path-like, optional
        The data folder; :func:`data_dir` by default.
    random_state : int, default=0
        Seed of the twin: its spikes belong to the cells that :func:`load_cells`
        draws with the same seed.
    verbose : int, default=1
        0 shows no download progress.

    Returns
    -------
    Spikes

    Raises
    ------
    ValueError
        If an argument is unknown, or a file in the data folder is broken.
    ConnectionError
        If a named source is neither in the data folder nor can be downloaded.

    Examples
    --------
    >>> from lspin import load_spikes
    >>> spikes = load_spikes("twin")
    >>> spikes.waveform_mv.shape
    (1526, 150)
    """
    if source == "allen":
        raise ValueError(
            "The Allen tables hold no waveforms; source='paper' has recorded spikes of Allen cells."
        )
    source = _choose_source(source)
    classes_of(species)
    folder = _folder(data_dir)
    if source == "twin":
        return twin.load_spikes(species, random_state)
    if not paper.has_spikes(folder, species):
        try:
            paper.fetch(folder, verbose)
        except OSError as error:
            if source != "auto":
                raise
            _warn_twin("The recorded spikes", folder, error)
            return twin.load_spikes(species, random_state)
    return paper.load_spikes(folder, species)


def fetch_recording(
    name: str, *, data_dir: str | os.PathLike[str] | None = None, verbose: int = 1
) -> Path:
    """Return the path of a public recording, downloaded if it is not there yet.

    Parameters
    ----------
    name : str
        One of :data:`RECORDINGS`.
    data_dir : path-like, optional
        The data folder; :func:`data_dir` by default.
    verbose : int, default=1
        0 shows no download progress.

    Returns
    -------
    Path
        To be read with :func:`lspin.features.read_recording`.

    Raises
    ------
    ValueError
        If the name is unknown.
    ConnectionError
        If it is neither in the data folder nor can be downloaded.

    Examples
    --------
    >>> from lspin.data import RECORDINGS
    >>> for name, file in RECORDINGS.items():
    ...     if "ramp" in file.what:
    ...         print(name, "-", file.what)
    171116sh_0016.abf - a ramp of 10 pA/s over eleven sweeps, the same neuron
    """
    return recordings.fetch(_folder(data_dir), name, verbose)


def _environment_source() -> str:
    return os.environ.get("LSPIN_SOURCE", "").strip().lower()


def _choose_source(source: str) -> str:
    """Resolve the environment variable and check the names."""
    setting = "source"
    if source == "auto" and (chosen := _environment_source()):
        setting, source = "The environment variable LSPIN_SOURCE", chosen
    if source not in SOURCES:
        raise ValueError(f"{setting} must be one of {list(SOURCES)}, got {source!r}.")
    return source


def _choose_labels(source: str, there: tuple[str, ...], labels: str | None) -> str:
    """Check what the class is to be read from."""
    if labels is not None and labels not in there:
        raise ValueError(f"labels of source {source!r} must be one of {there}, got {labels!r}.")
    return labels or there[0]


def _check_patchseq(described: PatchSeq, cohort: str | None, species: str | None) -> None:
    if cohort not in (None, "all") or species not in (None, described.species):
        raise ValueError(
            f"Source {described.name!r} has {described.species} cells only, and no cohorts: "
            "leave both out."
        )


def _fetch_patchseq(described: PatchSeq, folder: Path, or_twin: bool, verbose: int) -> bool:
    """Fetch the files; return False if that failed and the twin will do."""
    try:
        described.fetch(folder, verbose)
    except OSError as error:
        if not or_twin:
            raise
        _warn_twin(f"The files of source {described.name!r}", folder, error, stacklevel=4)
        return False
    return True


def _folder(folder: str | os.PathLike[str] | None) -> Path:
    return data_dir() if folder is None else _data_folder(folder, "data_dir")


def _data_folder(name: str | os.PathLike[str], setting: str) -> Path:
    """Return the full path of a data folder, and refuse one inside the data folder."""
    try:
        folder = Path(name).expanduser().absolute()
    except RuntimeError as error:  # ~somebody
        raise ValueError(
            f"{setting} is {os.fspath(name)!r}, but there is no such user: write the whole path."
        ) from error
    if (folder / allen.FOLDER).exists():
        return folder
    if folder.is_file():
        raise ValueError(f"{setting} is {folder}, which is a file: name the folder it lies in.")
    if any(mark in os.fspath(name) for mark in "$%\"'") and not folder.exists():
        # What a shell would have replaced or taken away, as in a file of settings.
        raise ValueError(f"{setting} is {os.fspath(name)!r}: write the path in full, unquoted.")
    if folder.name in (allen.FOLDER, paper.FOLDER):
        raise ValueError(f"{setting} is {folder}: name the folder above it, {folder.parent}.")
    if (folder / allen.CELLS_FILE).exists():
        raise ValueError(
            f"{setting} is {folder}, which holds {allen.CELLS_FILE} itself: "
            f"move the Allen tables into a folder {allen.FOLDER} inside it."
        )
    return folder


def _warn_twin(what: str, folder: Path, error: Exception, stacklevel: int = 3) -> None:
    state = "" if folder.is_dir() else ", which does not exist,"
    warnings.warn(
        f"{what} are not, or not all, in the data folder {folder}{state} and could not be fetched "
        f"({str(error).rstrip('.')}). "
        "Using the SYNTHETIC TWIN instead: these are not recordings. "
        "Run `lspin fetch` where there is a network.",
        UserWarning,
        stacklevel=stacklevel,
    )
