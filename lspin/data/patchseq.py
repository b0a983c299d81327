"""Patch-seq: neurons that were recorded and then read, so that their own RNA says what they are.

``v1``
    4435 neurons of mouse primary visual cortex, nearly all inhibitory (Gouwens, Sorensen et al.,
    Cell 2020, doi 10.1016/j.cell.2020.09.057): the released features, computed with ipfx, Cre line,
    transcriptomic type and donor.

The files are downloaded by commit and checksum from where they are public, and never redistributed.
The MET types of these cells are no labels here: they were found with the electrophysiology.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lspin.data.download import fetch_known
from lspin.data.tables import (
    METADATA_COLUMNS,
    RELEASED_FEATURES,
    STIMULI,
    Cells,
    broken_file,
    cre_line_class,
    sha256,
)

FOLDER = "gouwens2020"

_GITHUB = "https://raw.githubusercontent.com"


class _File(NamedTuple):
    url: str
    sha256: str


FEATURES_FILE = "efeature.csv"
SPECIMENS_FILE = "20200625_patchseq_metadata_mouse.csv"
TYPES_FILE = "gouwens_tasic_byCell.csv.gz"

FILES: dict[str, _File] = {
    FEATURES_FILE: _File(
        f"{_GITHUB}/daifengwanglab/scMNC/ae9e39b5abe2ff0c85e3c986689c22c0ab6b2c3d/"
        "mouse_visual_cortex/data/efeature.csv",
        "53cddf3f2edc38ccda2f3156c686f8d97c0f6010b3db7b2cbb2a3fe2232f82f8",
    ),
    SPECIMENS_FILE: _File(
        f"{_GITHUB}/AllenInstitute/ipfx/c607a36e25618a6bb8ba5438c1cd945fb429e659/"
        "ipfx/data_release/20200625_patchseq_metadata_mouse.csv",
        "91bd957205880ee7d0f6823b46ddde27a2a499bedf19f978af70164994bbde10",
    ),
    TYPES_FILE: _File(
        f"{_GITHUB}/AllenInstitute/ACE/35d4f7aa2dae93295ec0e3d13854dab6572c7faf/"
        "data/gouwens_tasic_byCell.csv.gz",
        "59b2e05d2d4dd26b4235033294a39922db546425cfd30235f017b5d7611c0e5d",
    ),
}
"""Where each file is, and its SHA256. The first carries no licence, the second the Allen Institute
Software License, the third BSD 2-clause."""

SUBCLASSES: tuple[str, ...] = ("Lamp5", "Pvalb", "Sncg", "Sst", "Vip")
"""Transcriptomic subclasses with cells enough to be told apart: the first word of a T-type."""

STIMULUS_DELAY_S = 0.52
"""By how much later a stimulus begins in the Allen table (1.02 s) than in this one (0.5 s)."""

_LIMIT_S = 600.0  # of one download


def has_tables(data_dir: Path) -> bool:
    """Tell whether all files lie in the data folder (their content is not checked)."""
    return all((data_dir / FOLDER / name).is_file() for name in FILES)


def fetch(data_dir: Path, verbose: int = 1) -> None:
    """Download the files that are not yet in the data folder.

    Parameters
    ----------
    data_dir : Path
        The data folder; the files go to ``gouwens2020/`` in it.
    verbose : int
        0 shows no progress.

    Raises
    ------
    ConnectionError
        If a download fails, or what arrives is not the published file.
    OSError
        If the data folder cannot be written to.
    """
    for name, (url, digest) in FILES.items():
        fetch_known(url, data_dir / FOLDER / name, digest, _LIMIT_S, verbose)


def load(data_dir: Path, labels: str) -> Cells:
    """Return the V1 neurons from the data folder.

    Parameters
    ----------
    data_dir : Path
        The data folder.
    labels : {"transcriptome", "cre"}
        The subclass that the cell's RNA says, for cells of :data:`SUBCLASSES`; or the class of its
        Cre line, as for the Allen table, for cells that expressed the reporter. Where a Cre line
        is crossed with a Flp line that the paper does not know, the Cre line counts.

    Returns
    -------
    Cells
        With the columns of the Allen table; ``input_resistance_mohm`` was not released and is NaN,
        and so are the short-square features of cells whose sweep does not
        have the usual timing. The metadata hold ``t_type`` and ``t_type_probability`` (of its
        assignment; NaN where not published), whatever the labels.

    Raises
    ------
    ValueError
        If a file is not the published one.
    """
    folder = data_dir / FOLDER
    for name, (_, digest) in FILES.items():
        if sha256(folder / name) != digest:
            raise broken_file(folder / name, "is not the published file")
    cells = _read_specimens(folder)
    X = _read_features(folder).loc[cells.index]
    if labels == "transcriptome":
        y, rule = cells["t_type"].str.split().str[0].fillna(""), "T-type"
        why = f"the T-type is unknown, or of no subclass of {', '.join(SUBCLASSES)}"
        usable = y.isin(SUBCLASSES)
    else:
        y, rule = cells["line_name"].map(_class_of_lines), "Cre line"
        why = "the line is not one the paper assigns to a class, or the reporter was not expressed"
        usable = (y != "") & (cells["reporter_status"] == "positive")
    extra = ["t_type", "t_type_probability"]
    return Cells(
        X=X[usable],
        y=y[usable].rename("class"),
        donors=cells.loc[usable, "donor_id"],
        metadata=cells.loc[usable, [*METADATA_COLUMNS, *extra]],
        source="v1",
        species="mouse",
        cohort="all",
        labels=labels,
        provenance={
            "tables": {name: digest for name, (_, digest) in FILES.items()},
            "dropped": [{"rule": rule, "why": why, "cells": int((~usable).sum())}],
        },
    )


def _read_features(folder: Path) -> pd.DataFrame:
    """Read the released features by session, in the time of the Allen table."""
    table = pd.read_csv(folder / FEATURES_FILE)
    specimens = pd.read_csv(folder / SPECIMENS_FILE)
    specimen_of = specimens.set_index("ephys_session_id")["cell_specimen_id"]
    session = table["ID"].str.extract(r"_ses-(\d+)_", expand=False).astype(np.int64)
    X = table.set_index(pd.Index(session.map(specimen_of), name="specimen_id"))
    X = X.reindex(columns=list(RELEASED_FEATURES)).astype(np.float64)
    for stimulus in STIMULI:
        times = [name for name in X if "_t_" in name and name.endswith(stimulus)]
        X[times] += STIMULUS_DELAY_S
    # In these sweeps the pulse came at another time, and what was measured is no spike.
    elsewhere = X["threshold_t_short_square"] < 1.0
    X.loc[elsewhere, [name for name in X if name.endswith("short_square")]] = np.nan
    return X


def _read_specimens(folder: Path) -> pd.DataFrame:
    """Read what is known of each cell apart from its recording, sorted by specimen id."""
    specimens = pd.read_csv(folder / SPECIMENS_FILE)
    types = pd.read_csv(folder / TYPES_FILE)
    index = types["cell_id"].str.extract(r"#(\d+)", expand=False).astype(np.int64)
    types = types.set_index(pd.Index(index, name="specimen_id"))
    cells = specimens.set_index(pd.Index(specimens["cell_specimen_id"], name="specimen_id"))
    named = cells["corresponding_AIT2.3.1_alias"].fillna(types["Tasic2018_Ttype"])
    known = types.reindex(cells.index)
    return pd.DataFrame(
        {
            "donor_id": cells["donor_id"].astype(np.int64),
            "line_name": cells["full_genotype"].map(driver_lines),
            "dendrite_type": cells["dendrite_type"].fillna(""),
            "reporter_status": known["Fluorescent protein positive"].fillna(""),
            "layer": known["Cortical layer"].fillna("").str.removeprefix("L"),
            "structure": cells["structure"].fillna(""),
            "t_type": named.fillna(""),
            "t_type_probability": known["T type assignment probability"],
        }
    ).sort_index()


def _class_of_lines(line_name: str) -> str:
    """Return the class of crossed driver lines; where only the Cre line is known, its class."""
    cre = [name for name in line_name.split("|") if "Cre" in name]
    return cre_line_class(line_name) or cre_line_class(cre[0] if cre else "")


def driver_lines(genotype: str) -> str:
    """Return the driver lines in a genotype, as the Allen table names them.

    Parameters
    ----------
    genotype : str
        Such as ``"Sst-IRES-FlpO/wt;Nos1-CreERT2/wt;Ai65(RCFL-tdT)/wt"``.

    Returns
    -------
    str
        In alphabetical order, without the reporter.

    Examples
    --------
    >>> from lspin.data.patchseq import driver_lines
    >>> driver_lines("Sst-IRES-FlpO/wt;Nos1-CreERT2/wt;Ai65(RCFL-tdT)/wt")
    'Nos1-CreERT2|Sst-IRES-FlpO'
    """
    names = [part.partition("/")[0].strip() for part in genotype.split(";")]
    return "|".join(sorted(name for name in names if not name.startswith("Ai")))
