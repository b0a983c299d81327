"""The checked records every data source returns, and the rules that choose cells.

A cell enters a study by its label and by the cohort rule. Both are decided here,
once, for recordings and for the synthetic twin alike, and each rule reports how
many cells it dropped and why.
"""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CLASSES: tuple[str, ...] = ("Glutamatergic", "Htr3a+|Vip-", "Pvalb+", "Sst+", "Vip+")
"""The five mouse classes of Ophir, Shefi & Lindenbaum (2023), in alphabetical order."""

HUMAN_CLASSES: tuple[str, ...] = ("aspiny", "spiny")
"""Human cells have no Cre line: their label is the dendrite type."""

_LINES_OF_CLASS = {
    "Glutamatergic": (
        "Ctgf-T2A-dgCre",
        "Cux2-CreERT2",
        "Esr2-IRES2-Cre",
        "Esr2-IRES2-Cre-neo",
        "Esr2-IRES2-Cre|PhiC31-neo",
        "Esr2-IRES2-Cre-neo|PhiC31-neo",
        "Glt25d2-Cre_NF107",
        "Nr5a1-Cre",
        "Ntsr1-Cre_GN220",
        "Rbp4-Cre_KL100",
        "Rorb-IRES2-Cre",
        "Scnn1a-Tg2-Cre",
        "Scnn1a-Tg3-Cre",
        "Sim1-Cre_KJ18",
        "Tlx3-Cre_PL56",
    ),
    "Htr3a+|Vip-": ("Gad2-IRES-Cre", "Htr3a-Cre_NO152", "Ndnf-IRES2-dgCre"),
    "Pvalb+": ("Nkx2-1-CreERT2", "Pvalb-IRES-Cre", "Slc32a1-T2A-FlpO|Vipr2-IRES2-Cre"),
    "Sst+": (
        "Chrna2-Cre_OE25",
        "Nos1-CreERT2",
        "Nos1-CreERT2|Sst-IRES-FlpO",
        "Oxtr-T2A-Cre",
        "Sst-IRES-Cre",
    ),
    "Vip+": ("Chat-IRES-Cre-neo", "Vip-IRES-Cre"),
}

CRE_LINE_CLASS: dict[str, str] = {
    line: name for name, lines in _LINES_OF_CLASS.items() for line in lines
}
"""Class of each Cre line, as the paper assigns them."""

COHORTS: dict[str, str] = {
    "positive": "the cell's Cre line has a class and the cell itself expressed the reporter",
    "paper": "the cell's Cre line has a class and its dendrite type agrees with that class",
    "all": "the cell's Cre line has a class",
}
"""Which mouse cells take part. ``positive`` is the default: it never looks at the dendrites."""

STIMULI = ("long_square", "ramp", "short_square")
_PER_STIMULUS = (
    "threshold_i",
    "threshold_v",
    "threshold_t",
    "peak_v",
    "peak_t",
    "upstroke_downstroke_ratio",
    "fast_trough_v",
    "fast_trough_t",
    "trough_v",
    "trough_t",
    "slow_trough_v",
    "slow_trough_t",
)

RELEASED_FEATURES: tuple[str, ...] = (
    "vrest",
    "ri",
    "input_resistance_mohm",
    "tau",
    "sag",
    "vm_for_sag",
    "f_i_curve_slope",
    "adaptation",
    "avg_isi",
    "latency",
    *(f"{name}_{stimulus}" for stimulus in STIMULI for name in _PER_STIMULUS),
)
"""Numeric features of the Allen ``EphysFeature`` table, as released.

Left out: ids and sweep numbers; ``electrode_0_pa`` and ``seal_gohm``, which
describe the recording and not the cell; and ``has_burst``, ``has_delay`` and
``has_pause``, which are False for every cell.
"""

SPIKE_FEATURES: tuple[str, ...] = (
    "stimulus_to_peak_t",
    "threshold_v",
    "peak_v",
    "trough_v",
    "upstroke",
    "upstroke_v",
    "downstroke",
    "downstroke_v",
    "fast_trough_v",
    "width",
    "upstroke_downstroke_ratio",
)
"""Columns of the authors' single-spike table."""

SAMPLING_RATE_HZ = 50_000
"""Sampling rate of every waveform in a :class:`Spikes` record."""

SPIKE_TIME_MS: np.ndarray = np.round(np.arange(150) * 1000 / SAMPLING_RATE_HZ - 1.0, 2)
"""Time of each waveform sample relative to the peak, in ms: -1.00 to 1.98."""

METADATA_COLUMNS: tuple[str, ...] = (
    "line_name",
    "dendrite_type",
    "reporter_status",
    "layer",
    "structure",
)

_TWIN = "SYNTHETIC TWIN - not recordings; sampled from per-class summary statistics"

_PATCHSEQ_NAMES = {
    "v1": "Gouwens et al. (2020), Patch-seq of mouse visual cortex",
    "m1": "Scala et al. (2021), Patch-seq of mouse motor cortex",
    "human": "Lee, Dalley et al. (2023), Patch-seq of human cortex",
}
_PATCHSEQ_NAMES |= {f"{name}-twin": f"{_TWIN} of {of}" for name, of in _PATCHSEQ_NAMES.items()}

_SOURCE_NAMES = {
    "allen": "Allen Cell Types Database, released features",
    "paper": "table published with Ophir, Shefi & Lindenbaum (2023)",
    "twin": _TWIN,
    "own": "a table of your own",
    **_PATCHSEQ_NAMES,
}

LABELS = ("cre", "dendrite", "transcriptome", "own")
"""What a class was read from: the Cre line, the dendrites, the cell's own RNA, or yours."""

_FREE_LABELS = ("transcriptome", "own")  # with other classes than those of the paper


def classes_of(species: str) -> tuple[str, ...]:
    """Return the class names of a species.

    Parameters
    ----------
    species : {"mouse", "human"}

    Raises
    ------
    ValueError
        If the species is neither.
    """
    if species == "mouse":
        return CLASSES
    if species == "human":
        return HUMAN_CLASSES
    raise ValueError(f"species must be 'mouse' or 'human', got {species!r}.")


def own_cells(X: pd.DataFrame, y: Any, donors: Any = None) -> Cells:
    """Make a record of a table of your own, with any classes and any features.

    Parameters
    ----------
    X : DataFrame of numbers, shape (n_cells, n_features)
        NaN where not measured. An index of unique whole numbers is kept as the cells' ids, also
        where it was read as text or floats; under any other the cells are numbered from 1.
    y : array-like, shape (n_cells,)
        Class of each cell. A Series is aligned with `X` by its index.
    donors : array-like, shape (n_cells,), optional
        The animal that each cell came from, under any name; by default each has its own. The same
        name is the same animal in other tables of your own, too. A Series is aligned as `y` is.

    Returns
    -------
    Cells
        Of source and species "own".

    Raises
    ------
    ValueError
        If the parts do not fit together, or a class or donor is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.data import own_cells
    >>> table = pd.DataFrame({"tau": [10.0, 22.0], "soma area": [90.0, 130.0]})
    >>> own_cells(table, y=["basket", "pyramidal"], donors=["M1", "M2"]).banner()
    'Source: a table of your own; 2 cells.'
    """
    if not isinstance(X, pd.DataFrame):
        raise ValueError(f"X must be a DataFrame with named columns, got {type(X).__name__}.")
    X = X.rename(columns=str)
    if not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()][0]
        raise ValueError(f"X has two columns named {twice!r}.")
    if words := [name for name in X if not pd.api.types.is_numeric_dtype(X[name])]:
        raise ValueError(f"X must hold numbers; these columns do not: {words}.")
    if donors is None:
        is_named = X.index.is_unique and not X.index.hasnans
        donors = X.index.to_numpy() if is_named else np.arange(len(X))
    y, donors = aligned(y, X.index, "y"), aligned(donors, X.index, "donors")
    for name, part in (("y", y), ("donors", donors)):
        if part.isna().any():
            raise ValueError(f"{name} is missing for {part.isna().sum()} of {len(X)} cells.")
    if taken := sorted({"class", "predicted"} & set(y.astype(str))):
        raise ValueError(f"A class cannot be called {taken[0]!r}: tables use that name. Rename it.")
    index = pd.Index(_whole_numbers(X.index), dtype=np.int64, name="specimen_id")
    return Cells(
        X=X.astype(np.float64).set_axis(index),
        y=y.astype(str).set_axis(index).rename("class"),
        donors=pd.Series(_numbers_of(donors), index, name="donor_id"),
        metadata=pd.DataFrame("", index, list(METADATA_COLUMNS)),
        source="own",
        species="own",
        cohort="all",
        provenance={},
    )


def _whole_numbers(ids: pd.Index) -> pd.Index | range:
    """Return ids as whole numbers if they are such, each once; else number the cells from 1."""
    if ids.dtype.kind in "iufO":  # to_numeric would make numbers of dates, too
        numbers = pd.to_numeric(ids, errors="coerce")
        is_whole = numbers.dtype.kind in "iu" or (
            # Beyond 2**53 a float stands for several whole numbers.
            numbers.dtype.kind == "f" and (numbers % 1 == 0).all() and (abs(numbers) < 2**53).all()
        )
        if is_whole and numbers.is_unique:
            return numbers
    return range(1, len(ids) + 1)


def _numbers_of(donors: pd.Series) -> np.ndarray:
    """Give donors numbers: the same name has the same number in every table."""
    if donors.dtype.kind in "iu":
        return donors.to_numpy(np.int64)
    hashes = pd.util.hash_array(donors.astype(str).to_numpy(dtype=object))
    return (hashes >> 11).astype(np.int64)  # 53 bits, which a float or a web page can hold


def aligned(values: Any, index: pd.Index, what: str) -> pd.Series:
    """Return one value per cell, in the order of an index.

    Parameters
    ----------
    values : array-like, shape (n_cells,)
        A Series goes by its own index, anything else by position.
    index : Index, shape (n_cells,)
        Of the table.
    what : str
        Names the values in an error.

    Returns
    -------
    Series

    Raises
    ------
    ValueError
        If there are too few or too many values, or the Series is about other cells.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.data import aligned
    >>> aligned(pd.Series(["a", "b"], index=[7, 3]), pd.Index([3, 7]), "y").tolist()
    ['b', 'a']
    """
    if isinstance(values, str | dict) or np.ndim(values) != 1:
        raise ValueError(f"{what} must hold one value per cell, got {type(values).__name__}.")
    if len(values) != len(index):
        raise ValueError(f"{what} has {len(values)} values for {len(index)} cells.")
    if not isinstance(values, pd.Series):
        return pd.Series(list(values), index)
    if values.index.equals(index):
        return values
    if not (values.index.is_unique and index.is_unique):
        raise ValueError(f"{what} cannot be aligned: an index names a cell more than once.")
    if len(values.index.difference(index)):
        raise ValueError(
            f"{what} is about other cells: its index and that of the table differ, for example "
            f"{values.index.difference(index)[0]}."
        )
    return values.loc[index]


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one source and cohort, checked when made.

    Parameters
    ----------
    X : DataFrame of float64, shape (n_cells, n_features)
        Features, NaN where not measured; the index is named ``specimen_id``.
    y : Series of str, shape (n_cells,)
        Class of each cell, named ``class``.
    donors : Series of int64, shape (n_cells,)
        The animal (or person) each cell came from, named ``donor_id``.
    metadata : DataFrame, shape (n_cells, 5 or more)
        ``line_name``, ``dendrite_type``, ``reporter_status``, ``layer`` and
        ``structure``; an empty string where unknown. Patch-seq sources have more.
    source : str
        "own", or one of :data:`~lspin.data.SOURCES` but "auto".
    species : {"mouse", "human", "own"}
    cohort : str
        A key of :data:`COHORTS`.
    provenance : dict
        JSON-serialisable: ``tables`` (file name to sha256) and ``dropped``
        (a list of ``rule``, ``why``, ``cells``).
    labels : {"cre", "dendrite", "transcriptome", "own"}, optional
        What the class was read from; by default what is usual for the source and species.

    Raises
    ------
    ValueError
        If the parts do not fit together.

    Examples
    --------
    >>> from lspin import load_cells
    >>> cells = load_cells("twin")
    >>> int(cells.counts()["Pvalb+"]), len(cells.select((cells.y == "Pvalb+").to_numpy()))
    (294, 294)
    """

    X: pd.DataFrame
    y: pd.Series
    donors: pd.Series
    metadata: pd.DataFrame
    source: str
    species: str
    cohort: str
    provenance: dict[str, Any]
    labels: str = ""

    def __post_init__(self) -> None:
        """Check that every part describes the same cells."""
        if not self.labels:
            usual = "dendrite" if self.species == "human" else "cre"
            object.__setattr__(self, "labels", "own" if self.source == "own" else usual)
        if self.labels not in LABELS:
            raise ValueError(f"labels must be one of {list(LABELS)}, got {self.labels!r}.")
        known = None if self.labels in _FREE_LABELS else classes_of(self.species)
        _check_common(self.X, self.y, self.source, known, "Cells")
        if not (self.X.dtypes == np.float64).all():
            bad = self.X.columns[self.X.dtypes != np.float64].tolist()
            raise ValueError(f"Cells.X must hold float64 columns; these do not: {bad}.")
        if np.isinf(self.X.to_numpy()).any():
            raise ValueError("Cells.X holds infinite values; use NaN for what was not measured.")
        for name, part in (("donors", self.donors), ("metadata", self.metadata)):
            if not self.X.index.equals(part.index):
                raise ValueError(f"Cells.{name} must have the same index as Cells.X.")
        if self.donors.dtype != np.int64:
            raise ValueError(
                f"Cells.donors must be int64 (one finite id per cell), got {self.donors.dtype}."
            )
        missing = [c for c in METADATA_COLUMNS if c not in self.metadata.columns]
        if missing:
            raise ValueError(f"Cells.metadata lacks the columns {missing}.")
        if self.metadata[list(METADATA_COLUMNS)].isna().any(axis=None):
            raise ValueError("Cells.metadata holds NaN; use an empty string for unknown.")
        if self.cohort not in COHORTS:
            raise ValueError(f"cohort must be one of {list(COHORTS)}, got {self.cohort!r}.")

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.X)

    @property
    def is_synthetic(self) -> bool:
        """True for a twin: these cells were never recorded."""
        return self.source.endswith("twin")

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, those of the species or of your own table."""
        is_free = self.labels in _FREE_LABELS
        return tuple(sorted(set(self.y))) if is_free else classes_of(self.species)

    def counts(self) -> pd.Series:
        """Return the number of cells of each class, in the order of the class names."""
        return _counts(self.y, self.classes)

    def banner(self) -> str:
        """Return one sentence that names the source, for captions and page heads."""
        if self.source == "own":
            return f"Source: {_SOURCE_NAMES[self.source]}; {len(self)} cells."
        if self.source in _PATCHSEQ_NAMES:
            what = "Cre line" if self.labels == "cre" else "their own RNA"
            return f"Source: {_SOURCE_NAMES[self.source]}; {len(self)} cells, labelled by {what}."
        changed = self.provenance.get("changed", False)
        warning = " (CHANGED: not the tables that the book is about)" if changed else ""
        return (
            f"Source: {_SOURCE_NAMES[self.source]}{warning}; "
            f"{len(self)} {self.species} cells, cohort {self.cohort}."
        )

    def select(self, mask_or_index: Any) -> Cells:
        """Return the chosen cells as a new record.

        Parameters
        ----------
        mask_or_index : array-like of bool, shape (n_cells,), or of specimen ids
            Which cells to keep. A mask that is a Series goes by its index. Ids are returned in
            the order given.

        Returns
        -------
        Cells

        Raises
        ------
        ValueError
            If a mask has the wrong length, or an id is not in the table.
        """
        if np.ndim(mask_or_index) != 1 or isinstance(mask_or_index, str | dict | slice):
            raise ValueError(f"Cells are chosen by a mask or a list of ids, got {mask_or_index!r}.")
        values = pd.Series(mask_or_index)
        if len(values) and pd.api.types.is_bool_dtype(values.dropna().infer_objects()):
            if values.isna().any():
                raise ValueError("The mask has missing values: fill them with True or False.")
            if isinstance(mask_or_index, pd.Series):
                values = aligned(values, self.X.index, "The mask")
            mask_or_index = values.astype(bool)
        chosen = np.asarray(mask_or_index)
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise ValueError(
                    f"The mask has shape {chosen.shape}; this table has {len(self)} cells."
                )
            index = self.X.index[chosen]
        else:
            index = pd.Index(chosen, name=self.X.index.name)
            unknown = index.difference(self.X.index)
            if len(unknown):
                raise ValueError(f"No such specimen id in this table: {unknown[:5].tolist()}.")
        dropped = {
            "rule": "select",
            "why": "left out by the caller",
            "cells": len(self) - len(index),
        }
        return replace(
            self,
            X=self.X.loc[index],
            y=self.y.loc[index],
            donors=self.donors.loc[index],
            metadata=self.metadata.loc[index],
            provenance={
                **self.provenance,
                "dropped": [*self.provenance.get("dropped", []), dropped],
            },
        )

    def _repr_html_(self) -> str:
        """Show the banner and the class counts in a notebook."""
        return _as_html(self.banner(), self.counts())

    def __repr__(self) -> str:
        """Show the banner and the class counts as text."""
        return f"{self.banner()}\n{self.counts().to_string()}"


@dataclass(frozen=True, eq=False)
class Spikes:
    """One short-square action potential per cell, checked when made.

    Parameters
    ----------
    waveform_mv : DataFrame of float64, shape (n_cells, 150)
        Membrane potential in mV; the columns are the time relative to the peak
        in ms (:data:`SPIKE_TIME_MS`), the index is named ``specimen_id``.
    y : Series of str, shape (n_cells,)
        Class of each cell, named ``class``.
    source : {"paper", "twin"}
    species : {"mouse", "human"}
    features : DataFrame of float64, shape (n_cells, 11)
        The authors' features of the same spike (:data:`SPIKE_FEATURES`); NaN where
        their table lacks the cell, no columns for the twin.
    provenance : dict
        JSON-serialisable: ``tables`` (file name to sha256).

    Raises
    ------
    ValueError
        If the parts do not fit together.

    Examples
    --------
    >>> from lspin import load_spikes
    >>> spikes = load_spikes("twin")
    >>> float(spikes.waveform_mv.iloc[0].idxmax())  # the peak is at 0 ms
    0.0
    """

    waveform_mv: pd.DataFrame
    y: pd.Series
    source: str
    species: str
    features: pd.DataFrame
    provenance: dict[str, Any]

    sampling_rate_hz = SAMPLING_RATE_HZ

    def __post_init__(self) -> None:
        """Check that every part describes the same cells."""
        _check_common(self.waveform_mv, self.y, self.source, classes_of(self.species), "Spikes")
        if not np.array_equal(self.waveform_mv.columns, SPIKE_TIME_MS):
            raise ValueError("Spikes.waveform_mv must have SPIKE_TIME_MS as its columns.")
        if not np.isfinite(self.waveform_mv.to_numpy()).all():
            raise ValueError("Spikes.waveform_mv holds values that are not finite.")
        if not self.waveform_mv.index.equals(self.features.index):
            raise ValueError("Spikes.features must have the same index as Spikes.waveform_mv.")

    def __len__(self) -> int:
        """Return the number of spikes."""
        return len(self.waveform_mv)

    @property
    def is_synthetic(self) -> bool:
        """True for the twin: these spikes were never recorded."""
        return self.source == "twin"

    def counts(self) -> pd.Series:
        """Return the number of spikes of each class, in the order of the class names."""
        return _counts(self.y, classes_of(self.species))

    def banner(self) -> str:
        """Return one sentence that names the source, for captions and page heads."""
        source = (
            "Allen Cell Types Database, one short-square spike per cell as published with "
            "Ophir, Shefi & Lindenbaum (2023)"
            if self.source == "paper"
            else _SOURCE_NAMES[self.source]
        )
        return f"Source: {source}; {len(self)} {self.species} spikes."

    def _repr_html_(self) -> str:
        """Show the banner and the class counts in a notebook."""
        return _as_html(self.banner(), self.counts())

    def __repr__(self) -> str:
        """Show the banner and the class counts as text."""
        return f"{self.banner()}\n{self.counts().to_string()}"


def choose_cohort(
    cells: pd.DataFrame, cohort: str, species: str
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Label the cells and keep those that the cohort admits.

    Parameters
    ----------
    cells : DataFrame, shape (n_cells, ...)
        One row per cell, indexed by ``specimen_id``, with the columns
        ``species``, ``line_name``, ``dendrite_type`` and ``reporter_status``.
    cohort : str
        A key of :data:`COHORTS`. Human cells have no Cre line and no reporter,
        so for them every cohort is the same: all spiny and aspiny cells.
    species : {"mouse", "human"}

    Returns
    -------
    kept : DataFrame
        The admitted rows with one more column, ``class``.
    dropped : list of dict
        ``rule``, ``why`` and ``cells`` (how many), in the order applied.

    Raises
    ------
    ValueError
        If the cohort or species is unknown.
    """
    classes_of(species)
    if cohort not in COHORTS:
        raise ValueError(f"cohort must be one of {list(COHORTS)}, got {cohort!r}.")
    dropped = []

    def keep(table: pd.DataFrame, mask: pd.Series, rule: str, why: str) -> pd.DataFrame:
        dropped.append({"rule": rule, "why": why, "cells": int((~mask).sum())})
        return table[mask]

    cells = keep(
        cells, cells["species"] == species, "species", f"the table also holds non-{species} cells"
    )
    if species == "human":
        cells = cells.assign(**{"class": cells["dendrite_type"]})
        cells = keep(
            cells,
            cells["class"].isin(HUMAN_CLASSES),
            "dendrite type",
            "the paper has no class for sparsely spiny cells",
        )
        return cells, dropped

    cells = cells.assign(**{"class": cells["line_name"].map(cre_line_class)})
    cells = keep(
        cells,
        cells["class"] != "",
        "Cre line",
        "the line is not one the paper assigns to a class",
    )
    if cohort == "positive":
        cells = keep(
            cells,
            cells["reporter_status"] == "positive",
            "reporter",
            "the cell itself did not express the reporter, so its Cre line says nothing about it",
        )
    if cohort == "paper":
        cells = keep(
            cells,
            dendrite_agrees(cells["dendrite_type"], cells["class"]),
            "dendrite type",
            "glutamatergic cells must be spiny and all others aspiny",
        )
    return cells, dropped


def cre_line_class(line_name: str) -> str:
    """Return the class of a Cre line, or "" where the paper gives it none.

    The twin's lines are named ``synthetic <class>``, so that no twin cell can be
    taken for a recording from a real line.
    """
    name = line_name.removeprefix("synthetic ")
    if name != line_name and name in CLASSES:
        return name
    return CRE_LINE_CLASS.get(line_name, "")


def dendrite_agrees(dendrite_type: pd.Series, label: pd.Series) -> pd.Series:
    """Tell which cells pass the authors' filter: glutamatergic and spiny, or other and aspiny.

    Parameters
    ----------
    dendrite_type, label : Series of str, shape (n_cells,)

    Returns
    -------
    Series of bool, shape (n_cells,)
    """
    expected = np.where(label == "Glutamatergic", "spiny", "aspiny")
    return dendrite_type == expected


def dendrites_contradict(dendrite_type: pd.Series, label: pd.Series) -> pd.Series:
    """Tell which cells have dendrites that speak against their label.

    Sparsely spiny dendrites are a usual form of inhibitory cells, as aspiny ones are: of the
    recorded cells, 99 of 1023 inhibitory and 1 of 727 glutamatergic ones have them. Unknown
    dendrites contradict nothing. This is not the authors' filter, :func:`dendrite_agrees`.

    Parameters
    ----------
    dendrite_type, label : Series of str, shape (n_cells,)

    Returns
    -------
    Series of bool, shape (n_cells,)

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.data import dendrites_contradict
    >>> dendrites = pd.Series(["spiny", "sparsely spiny", "sparsely spiny"])
    >>> labels = pd.Series(["Sst+", "Sst+", "Glutamatergic"])
    >>> dendrites_contradict(dendrites, labels).tolist()
    [True, False, True]
    """
    excites = label == "Glutamatergic"
    return dendrite_type.isin(["aspiny", "sparsely spiny"]).where(excites, dendrite_type == "spiny")


def assemble_cells(
    features: pd.DataFrame,
    cells: pd.DataFrame,
    *,
    source: str,
    cohort: str,
    species: str,
    provenance: dict[str, Any],
) -> Cells:
    """Apply the cohort rules to a features and a cells table and return the record.

    Parameters
    ----------
    features : DataFrame, shape (n_cells, n_columns)
        Indexed by ``specimen_id``, with at least :data:`RELEASED_FEATURES`.
    cells : DataFrame, shape (n_cells, ...)
        Same index in any order; columns ``species``, ``donor_id`` and
        :data:`METADATA_COLUMNS`.
    source, cohort, species : str
    provenance : dict
        Completed with ``dropped``.

    Returns
    -------
    Cells
        Sorted by specimen id, so that the order of a download changes nothing.
    """
    kept, dropped = choose_cohort(cells.sort_index(), cohort, species)
    return Cells(
        X=features.loc[kept.index, list(RELEASED_FEATURES)].astype(np.float64),
        y=kept["class"],
        donors=kept["donor_id"],
        metadata=kept[list(METADATA_COLUMNS)],
        source=source,
        species=species,
        cohort=cohort,
        provenance={**provenance, "dropped": dropped},
    )


def sha256(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal digits."""
    import pooch  # here, because the twin needs no file

    return pooch.file_hash(path)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path that replaces ``path`` only if the block succeeds.

    Parameters
    ----------
    path : Path
        The file to be written; its folder is made if needed.

    Yields
    ------
    Path
        Where to write, in the same folder, so that the move cannot be half done.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".lspin-") as folder:
        temporary = Path(folder) / path.name
        yield temporary
        os.replace(temporary, path)


ADVICE = ". Run `lspin fetch`: it gets the file anew and keeps this one beside it."


def broken_file(path: Path, problem: str) -> ValueError:
    """Return the error for a data file that cannot be used, with the way out."""
    return ValueError(f"{path}: {problem}{ADVICE}")


def printable(text: str) -> str:
    r"""Replace what would steer a terminal or turn text around: a table can hold anything.

    Examples
    --------
    >>> from lspin.data.tables import printable
    >>> printable("Pvalb\x1b[2J")
    'Pvalb?[2J'
    """
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _check_common(
    X: pd.DataFrame, y: pd.Series, source: str, classes: tuple[str, ...] | None, what: str
) -> None:
    """Check index, source, ids and labels; any label will do where `classes` is None."""
    if X.index.name != "specimen_id":
        raise ValueError(f"{what}: the index must be named 'specimen_id', got {X.index.name!r}.")
    if X.index.dtype != np.int64 or not X.index.is_unique:
        raise ValueError(f"{what}: specimen ids must be unique integers.")
    if not X.index.equals(y.index):
        raise ValueError(f"{what}.y must have the same index as the features.")
    if source not in _SOURCE_NAMES:
        raise ValueError(f"source must be one of {list(_SOURCE_NAMES)}, got {source!r}.")
    if classes is not None and (unknown := sorted(set(y) - set(classes))):
        raise ValueError(f"{what}.y holds labels that are none of {list(classes)}: {unknown}.")
    if source.endswith("twin") and (X.index >= 0).any():
        raise ValueError(f"{what}: ids of twin cells must be negative, as no recording's are.")


def _counts(y: pd.Series, classes: tuple[str, ...]) -> pd.Series:
    return y.value_counts().reindex(classes, fill_value=0).rename("cells")


def _as_html(banner: str, counts: pd.Series) -> str:
    return f"<p>{html.escape(banner)}</p>{counts.to_frame().to_html()}"
