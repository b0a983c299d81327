"""The nested protocol on tables of cells: which cells, which inputs, where scores come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pandas as pd
from joblib import Memory
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lspin.data import COHORTS, in_five_classes, load_cells, load_spikes
from lspin.data.patchseq import HALF_WIDTH
from lspin.data.tables import Cells, Spikes
from lspin.evaluate.nested import INNER_FOLDS, OUTER_FOLDS, nested_cross_validate
from lspin.evaluate.rivals import Contender, contenders
from lspin.features.inputs import model_inputs, table_inputs
from lspin.features.shared import shared_features
from lspin.studies.records import counted, describe_cells, versions

N_COMPONENTS = 10
"""Principal components that stand for a spike's waveform."""

_PACKAGES = ("numpy", "pandas", "scikit-learn", "torch", "lightgbm", "interpret-core", "lspin")
_MORE_RIVALS = ("tabm", "pytabkit")
"""Installed only where they are compared with."""


Table = tuple[Cells, BaseEstimator]
"""Cells with donors, and the transformer from their table to standardised inputs."""


def evaluate(
    tables: Mapping[str, Table],
    *,
    models: Callable[[int], Mapping[str, Contender]] = contenders,
    n_repeats: int = 3,
    memory: Memory | None = None,
    verbose: int = 1,
) -> dict[str, Any]:
    """Run the full protocol on tables of cells and say where the scores come from.

    Parameters
    ----------
    tables : mapping of str to Table
        By name.
    models, n_repeats, memory, verbose
        As in `lspin.evaluate.nested_cross_validate`.

    Returns
    -------
    dict
        For `write_results`. ``tables``: ``scores`` per table, model, repeat and fold, and
        ``calibration``. Beside them their provenance: ``cells`` of each table with source, cohort
        and checksums, protocol, versions, seeds, settings and times.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from lspin import load_cells
    >>> from lspin.evaluate import Contender
    >>> from lspin.features import model_inputs
    >>> from lspin.studies import evaluate
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> linear = Contender(LogisticRegression(), space=({"C": 0.1},), note="linear")
    >>> results = evaluate(
    ...     {"some": (few, model_inputs(few.X))},
    ...     models=lambda seed: {"linear": linear},
    ...     n_repeats=1,
    ...     verbose=0,
    ... )
    >>> len(results["tables"]["scores"])
    5
    """
    done = {
        name: nested_cross_validate(
            models,
            cells.X,
            cells.y,
            cells.donors,
            inputs=inputs,
            n_repeats=n_repeats,
            memory=memory,
            verbose=verbose,
        )
        for name, (cells, inputs) in tables.items()
    }
    spaces = {name: model.settings() for name, model in models(0).items()}
    return {
        "banner": " ".join(dict.fromkeys(cells.banner() for cells, _ in tables.values())),
        "protocol": f"{counted(n_repeats, 'repeat')} of {OUTER_FOLDS} donor-grouped stratified "
        f"folds; settings chosen by macro F1 on {INNER_FOLDS} donor-grouped folds of the training "
        "cells",
        "cells": {name: describe_cells(cells) for name, (cells, _) in tables.items()},
        "models": list(spaces),
        "search_spaces": spaces,
        "seeds": list(range(n_repeats)),
        "versions": versions(*_PACKAGES, *filter(find_spec, _MORE_RIVALS)),
        "wall_time_s": round(sum(nested.wall_time_s for nested in done.values()), 1),
        "compute_time_s": round(sum(nested.compute_time_s for nested in done.values()), 1),
        "tables": {
            "scores": _by_table({name: nested.scores for name, nested in done.items()}),
            "calibration": _by_table({name: nested.calibration for name, nested in done.items()}),
        },
    }


def _by_table(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put all tables into one, with their name as its first column."""
    return pd.concat(tables, names=["table"]).reset_index("table").reset_index(drop=True)


def paper_tables() -> dict[str, Table]:
    """Return the authors' table with its inputs, by name.

    Returns
    -------
    dict of str to Table

    Examples
    --------
    >>> from lspin.studies import paper_tables
    >>> list(paper_tables())  # doctest: +SKIP
    ['paper']
    """
    cells = authors_table()
    return {"paper": (cells, model_inputs(cells.X))}


def cohort_tables(*cohorts: str) -> dict[str, Table]:
    """Return the released features of some cohorts with their inputs, by cohort.

    Parameters
    ----------
    *cohorts : str
        Keys of `lspin.data.COHORTS`; all by default.

    Returns
    -------
    dict of str to Table

    Examples
    --------
    >>> from lspin.studies import cohort_tables
    >>> list(cohort_tables("positive"))  # doctest: +SKIP
    ['positive']
    """
    chosen = {name: load_cells("allen", name) for name in cohorts or COHORTS}
    return {name: (cells, model_inputs(cells.X)) for name, cells in chosen.items()}


def waveform_tables() -> dict[str, Table]:
    """Return `with_and_without_waveform` of the recorded cells and spikes.

    Returns
    -------
    dict of str to Table

    Examples
    --------
    >>> from lspin.studies import waveform_tables
    >>> list(waveform_tables())  # doctest: +SKIP
    ['features', 'features and waveform']
    """
    return with_and_without_waveform(load_cells("allen"), load_spikes("paper"))


def patchseq_tables() -> dict[str, Table]:
    """Return the Patch-seq tables with their inputs, by name; classes from the cells' RNA.

    Returns
    -------
    dict of str to Table
        ``V1``, five subclasses, and ``human``, four, with all released features that were measured;
        ``M1, 25 °C``, the five classes, with the twelve measurements that all tables share.

    Examples
    --------
    >>> from lspin.studies import patchseq_tables
    >>> list(patchseq_tables())  # doctest: +SKIP
    ['V1', 'M1, 25 °C', 'human']
    """
    v1, m1, human = (load_cells(name) for name in ("v1", "m1", "human"))
    cold = in_five_classes(m1.select(m1.metadata["temperature_c"] == 25))
    cold = replace(cold, X=shared_features(cold.X).drop(columns=HALF_WIDTH))
    return {
        "V1": (v1, model_inputs(v1.X)),
        "M1, 25 °C": (cold, table_inputs()),
        "human": (human, model_inputs(human.X)),
    }


def authors_table() -> Cells:
    """Return the cells of Ophir et al. (2023): the complete rows of their table.

    Returns
    -------
    Cells

    Examples
    --------
    Needs the authors' table, which is downloaded once.

    >>> from lspin.studies import authors_table
    >>> len(authors_table())  # doctest: +SKIP
    1382
    """
    cells = load_cells("paper", verbose=0)
    return cells.select(cells.X.notna().all(axis=1))


def with_and_without_waveform(cells: Cells, spikes: Spikes) -> dict[str, Table]:
    """Return the cells that have a recorded spike, with and without its waveform.

    Parameters
    ----------
    cells : Cells
        Cells with any features of the catalogue.
    spikes : Spikes
        One spike for some of them.

    Returns
    -------
    dict of str to Table
        "features": the table as it is. "features and waveform": the same cells with the samples
        of the spike as further columns, and inputs that replace these by `N_COMPONENTS`
        standardised principal components, found on training cells.

    Examples
    --------
    >>> from lspin import load_cells, load_spikes
    >>> from lspin.studies import with_and_without_waveform
    >>> tables = with_and_without_waveform(load_cells("twin"), load_spikes("twin"))
    >>> {name: cells.X.shape[1] for name, (cells, inputs) in tables.items()}
    {'features': 46, 'features and waveform': 196}
    """
    cells = cells.select(cells.X.index.isin(spikes.waveform_mv.index))
    samples = spikes.waveform_mv.loc[cells.X.index]
    samples.columns = [f"waveform_{time_ms:.2f}_ms" for time_ms in samples.columns]
    both = replace(
        cells,
        X=cells.X.join(samples),
        provenance={
            **cells.provenance,
            "tables": {**cells.provenance.get("tables", {}), **spikes.provenance["tables"]},
        },
    )
    features = list(cells.X.columns)
    components = make_pipeline(PCA(N_COMPONENTS, svd_solver="full"), StandardScaler())
    both_inputs = make_column_transformer(
        (model_inputs(features), features),
        (components, list(samples.columns)),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    return {
        "features": (cells, model_inputs(features)),
        "features and waveform": (both, both_inputs),
    }
