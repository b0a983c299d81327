"""Patch-seq: neurons that were recorded and then read, so that their own RNA says what they are.

Each source is one description, a :class:`PatchSeq`, in a module of its own: where its files are,
how to read them, and how our features come out of its columns. Fetching, checking, converting and
labelling are the same for all, and here.

The files are downloaded by commit and checksum from where they are public, and never redistributed.
MET types are no labels here: they were found with the electrophysiology.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lspin.data.download import fetch_known
from lspin.data.tables import (
    METADATA_COLUMNS,
    RELEASED_FEATURES,
    Cells,
    broken_file,
    cre_line_class,
    sha256,
)

GITHUB = "https://raw.githubusercontent.com"

HALF_WIDTH = "half_width_ms_long_square"
"""The one feature that the Allen table lacks and that is kept all the same: it matters most where
recordings of different temperatures meet."""

PATCHSEQ_FEATURES: tuple[str, ...] = (*RELEASED_FEATURES, HALF_WIDTH)
"""The columns of every Patch-seq table."""

CLASS_OF_SUBCLASS: dict[str, str] = {
    "Glutamatergic": "Glutamatergic",
    "Lamp5": "Htr3a+|Vip-",
    "Lamp5/Pax6/other": "Htr3a+|Vip-",
    "Pvalb": "Pvalb+",
    "Sncg": "Htr3a+|Vip-",
    "Sst": "Sst+",
    "Vip": "Vip+",
}
"""The class, of the five, that each transcriptomic subclass belongs to."""

_ABOVE_ZERO = ("ri", "threshold_i", "upstroke_downstroke_ratio")

_LIMIT_S = 600.0  # of one download


class File(NamedTuple):
    """Where a published file is, by commit, and its SHA256."""

    url: str
    sha256: str


class Measurement(NamedTuple):
    """How one of our features comes out of a source's own columns.

    Parameters
    ----------
    ours : str
        Name of the feature in our tables.
    formula : str
        For ``DataFrame.eval``, with the names of their columns in backticks. It is what is computed
        and what the book prints, so that the two cannot differ.
    unit : str
        Of their columns.
    difference : str
        What is measured in another way than in the Allen table; empty if nothing is.
    """

    ours: str
    formula: str
    unit: str
    difference: str = ""

    @property
    def theirs(self) -> list[str]:
        """Their columns in the formula."""
        return re.findall(r"`(.+?)`", self.formula)


@dataclass(frozen=True)
class PatchSeq:
    """Description of one Patch-seq data set.

    Parameters
    ----------
    name : str
        As :func:`~lspin.data.load_cells` takes it.
    species : {"mouse", "human"}
    folder : str
        In the data folder.
    files : dict of str to File
    citation, licence : str
        For whoever uses the cells.
    protocol : str
        How it was recorded, in a sentence.
    subclasses : tuple of str
        The transcriptomic classes.
    measurements : tuple of Measurement
    without_counterpart : tuple of str
        Their other columns, none of which is one of our features.
    read : callable
        From a folder to two tables of the same cells, indexed by ``specimen_id``: their columns,
        and what is known of each cell (``donor_id``, the metadata columns, ``subclass``,
        ``t_type``, ``t_type_probability``, and more if there is more).
    lines : dict of str to str
        Classes of the Cre lines that the paper of the five classes does not know.
    has_cre : bool
        Whether the cells have Cre lines.

    Examples
    --------
    >>> from lspin.data import PATCHSEQ
    >>> PATCHSEQ["m1"].labels
    ('transcriptome', 'cre')
    """

    name: str
    species: str
    folder: str
    files: dict[str, File]
    citation: str
    licence: str
    protocol: str
    subclasses: tuple[str, ...]
    measurements: tuple[Measurement, ...]
    without_counterpart: tuple[str, ...]
    read: Callable[[Path], tuple[pd.DataFrame, pd.DataFrame]]
    lines: dict[str, str] = field(default_factory=dict)
    has_cre: bool = True

    @property
    def labels(self) -> tuple[str, ...]:
        """What a class can be read from; the first is the default."""
        return ("transcriptome", "cre") if self.has_cre else ("transcriptome",)

    def missing(self) -> list[str]:
        """Name the features that the source does not have."""
        there = {measurement.ours for measurement in self.measurements}
        return [name for name in PATCHSEQ_FEATURES if name not in there]

    def has_tables(self, data_dir: Path) -> bool:
        """Tell whether all files lie in the data folder (their content is not checked)."""
        return all((data_dir / self.folder / name).is_file() for name in self.files)

    def fetch(self, data_dir: Path, verbose: int = 1) -> None:
        """Download the files that are not yet in the data folder.

        Parameters
        ----------
        data_dir : Path
            The data folder.
        verbose : int
            0 shows no progress.

        Raises
        ------
        ConnectionError
            If a download fails, or what arrives is not the published file.
        OSError
            If the data folder cannot be written to.
        """
        for name, (url, digest) in self.files.items():
            fetch_known(url, data_dir / self.folder / name, digest, _LIMIT_S, verbose)

    def read_all(self, data_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Read every cell, whether it has a label or not.

        Parameters
        ----------
        data_dir : Path
            The data folder.

        Returns
        -------
        X : DataFrame of float64, shape (n_cells, 47)
            :data:`PATCHSEQ_FEATURES` in our units, NaN where not measured.
        cells : DataFrame, shape (n_cells, ...)
            As `read` gives them, in the order of `X`, sorted by specimen id.

        Raises
        ------
        ValueError
            If a file is not the published one.
        """
        folder = data_dir / self.folder
        for name, (_, digest) in self.files.items():
            if sha256(folder / name) != digest:
                raise broken_file(folder / name, "is not the published file")
        theirs, cells = self.read(folder)
        cells = cells.sort_index()
        return self.convert(theirs).loc[cells.index], cells

    def convert(self, theirs: pd.DataFrame) -> pd.DataFrame:
        """Compute our features from their columns.

        Parameters
        ----------
        theirs : DataFrame, shape (n_cells, n_columns)

        Returns
        -------
        DataFrame of float64, shape (n_cells, 47)
            :data:`PATCHSEQ_FEATURES`; those that the source lacks are NaN.
        """
        ours = {m.ours: theirs.eval(m.formula, engine="python") for m in self.measurements}
        X = pd.DataFrame(ours, index=theirs.index)
        # A resistance, a current or a ratio of slopes that is not above zero was not measured.
        above_zero = [name for name in X if name.startswith(_ABOVE_ZERO)]
        X[above_zero] = X[above_zero].where(X[above_zero] > 0)
        return X.reindex(columns=list(PATCHSEQ_FEATURES)).astype(np.float64)

    def load(self, data_dir: Path, labels: str) -> Cells:
        """Return the labelled cells from the data folder.

        Parameters
        ----------
        data_dir : Path
            The data folder.
        labels : str
            One of :attr:`labels`.

        Returns
        -------
        Cells

        Raises
        ------
        ValueError
            If a file is not the published one.
        """
        X, cells = self.read_all(data_dir)
        tables = {name: digest for name, (_, digest) in self.files.items()}
        return self.labelled(X, cells, labels, self.name, {"tables": tables})

    def labelled(
        self,
        X: pd.DataFrame,
        cells: pd.DataFrame,
        labels: str,
        source: str,
        provenance: dict[str, Any],
    ) -> Cells:
        """Label cells, recorded or synthetic, and leave out those that have no label.

        Parameters
        ----------
        X, cells : DataFrame, shape (n_cells, ...)
            As :meth:`read_all` gives them.
        labels : {"transcriptome", "cre"}
            The subclass that the cell's RNA says; or the class of its Cre line, as for the Allen
            table, for cells that expressed the reporter. Where a Cre line is crossed with a Flp
            line that the paper does not know, the Cre line counts.
        source : str
            The source that the record names.
        provenance : dict
            Completed with ``missing``, ``citation``, ``licence`` and ``dropped``.

        Returns
        -------
        Cells
            Besides the usual metadata, with all else that is in `cells`.
        """
        if labels == "transcriptome":
            y = cells["subclass"]
            rule = "T-type"
            why = f"the T-type is unknown, or of no subclass of {', '.join(self.subclasses)}"
            usable = y.isin(self.subclasses)
        else:
            y, rule = cells["line_name"].map(self._class_of_lines), "Cre line"
            why = "the line is not one that has a class, or the reporter was not expressed"
            usable = (y != "") & (cells["reporter_status"] == "positive")
        extra = [name for name in cells if name not in (*METADATA_COLUMNS, "donor_id", "subclass")]
        return Cells(
            X=X[usable],
            y=y[usable].rename("class"),
            donors=cells.loc[usable, "donor_id"],
            metadata=cells.loc[usable, [*METADATA_COLUMNS, *extra]],
            source=source,
            species=self.species,
            cohort="all",
            labels=labels,
            provenance={
                **provenance,
                "missing": self.missing(),
                "citation": self.citation,
                "licence": self.licence,
                "dropped": [{"rule": rule, "why": why, "cells": int((~usable).sum())}],
            },
        )

    def _class_of_lines(self, line_name: str) -> str:
        """Return the class of crossed driver lines; where only the Cre line is known, its class."""
        line_name = line_name.removeprefix("synthetic ")
        cre = [name for name in line_name.split("|") if "Cre" in name]
        known = self.lines.get(line_name) or cre_line_class(line_name)
        return known or cre_line_class(cre[0] if cre else "")


def in_five_classes(cells: Cells) -> Cells:
    """Name the classes of cells that were labelled by their RNA as those of the Cre lines are.

    Parameters
    ----------
    cells : Cells
        Labelled by transcriptome.

    Returns
    -------
    Cells
        The same with Lamp5 and Sncg as ``Htr3a+|Vip-``, Pvalb as ``Pvalb+`` and so on, by
        :data:`CLASS_OF_SUBCLASS`.

    Raises
    ------
    ValueError
        If a class is none of those subclasses.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.data import in_five_classes
    >>> in_five_classes(load_cells("human-twin")).classes
    ('Htr3a+|Vip-', 'Pvalb+', 'Sst+', 'Vip+')
    """
    if unknown := sorted(set(cells.y) - set(CLASS_OF_SUBCLASS)):
        raise ValueError(f"These are no transcriptomic subclasses: {unknown}. {cells.banner()}")
    return replace(cells, y=cells.y.map(CLASS_OF_SUBCLASS))


def driver_lines(genotype: str) -> str:
    """Return the driver lines in a genotype, as the Allen table names them.

    Parameters
    ----------
    genotype : str
        Such as ``"Sst-IRES-FlpO/wt;Nos1-CreERT2/wt;Ai65(RCFL-tdT)/wt"``.

    Returns
    -------
    str
        In alphabetical order, without the reporter; "" for a wild type.

    Examples
    --------
    >>> from lspin.data.patchseq import driver_lines
    >>> driver_lines("Sst-IRES-FlpO/wt;Nos1-CreERT2/wt;Ai65(RCFL-tdT)/wt")
    'Nos1-CreERT2|Sst-IRES-FlpO'
    """
    names = [part.partition("/")[0].strip() for part in genotype.split(";")]
    return "|".join(sorted(name for name in names if name != "wt" and not name.startswith("Ai")))
