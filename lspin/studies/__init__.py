"""The recorded studies: which tables of cells, which models, and where the scores come from.

`study` runs the full protocol on recorded cells; ``make results`` keeps what it returns in
``lspin/studies/results``, as a part of the package, where `results_file` finds it.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Memory
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lspin.baselines import Contender, contenders
from lspin.data import COHORTS, load_cells, load_spikes
from lspin.data.tables import Cells, Spikes
from lspin.evaluation import describe_cells
from lspin.features import model_inputs
from lspin.nested import INNER_FOLDS, OUTER_FOLDS, nested_cross_validate

RESULTS = Path(__file__).with_name("results")
"""The folder of the recorded results."""

N_COMPONENTS = 10
"""Principal components that stand for a spike's waveform."""

STUDIES = {
    "paper": "the 41 features published with Ophir et al. (2023), complete rows",
    "allen": "the features released by the Allen Institute, cohort positive",
    "waveform": "cells with a recorded spike: released features, with its waveform and without",
    "cohorts": "the released features, for each cohort",
}
"""What `study` can record."""

_FEW_MODELS = {
    "waveform": ("LSPIN", "RBF-SVM", "logistic regression"),
    "cohorts": ("LSPIN", "RBF-SVM"),
}
_PACKAGES = ("numpy", "pandas", "scikit-learn", "torch", "lightgbm", "interpret-core", "lspin")


Table = tuple[Cells, BaseEstimator]
"""Cells with donors, and the transformer from their table to standardised inputs."""


def results_file(name: str) -> Path:
    """Return the file of a recorded result.

    Parameters
    ----------
    name : str
        Such as "paper", the full protocol on the authors' table, or "speed", the benchmark.

    Returns
    -------
    Path
        For `~lspin.evaluation.read_results`, or `~lspin.trust.read_tables` for "explanations".

    Raises
    ------
    ValueError
        If nothing of this name was recorded.

    Examples
    --------
    >>> from lspin.evaluation import read_results
    >>> from lspin.studies import results_file
    >>> scores, about = read_results(results_file("paper"))
    >>> about["study"]
    'the 41 features published with Ophir et al. (2023), complete rows'
    """
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        known = sorted(file.stem for file in RESULTS.glob("*.json"))
        raise ValueError(f"name must be one of {known}, got {name!r}.")
    return path


def study(
    what: str,
    *,
    models: Sequence[str] | None = None,
    n_repeats: int = 3,
    memory: Memory | None = None,
    verbose: int = 1,
) -> dict[str, Any]:
    """Run one of the recorded studies.

    Parameters
    ----------
    what : str
        A key of `STUDIES`.
    models : sequence of str, optional
        Names of contenders; by default all, or the few that the study is about.
    n_repeats, memory, verbose
        As in `lspin.nested.nested_cross_validate`.

    Returns
    -------
    dict
        As `evaluate`, and ``study``: what it is.

    Raises
    ------
    ValueError
        If there is no such study or no such contender.

    Examples
    --------
    Needs the recorded cells and takes about half an hour.

    >>> from lspin.studies import study
    >>> results = study("paper")  # doctest: +SKIP
    """
    if what not in STUDIES:
        raise ValueError(f"The study must be one of {', '.join(STUDIES)}, got {what!r}.")
    there = contenders()
    names = models or _FEW_MODELS.get(what, tuple(there))
    if unknown := [name for name in names if name not in there]:
        raise ValueError(f"No such models: {unknown}; there are: {', '.join(there)}.")

    def chosen(seed: int) -> dict[str, Contender]:
        every = contenders(seed)
        wanted = {name: every[name] for name in names}
        if what in _FEW_MODELS and "LSPIN" in wanted:
            # A difference between tables needs no search for the best lambda.
            wanted["LSPIN"] = replace(wanted["LSPIN"], space=({"lam": 1.0},), keep_all=False)
        return wanted

    results = evaluate(
        _tables(what), models=chosen, n_repeats=n_repeats, memory=memory, verbose=verbose
    )
    return {"study": STUDIES[what], **results}


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
        As in `lspin.nested.nested_cross_validate`.

    Returns
    -------
    dict
        Scores per table, model, repeat and fold with their provenance: source, cohort and
        checksums of each table, protocol, versions, seeds, settings and times. Ready for JSON.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from lspin import load_cells
    >>> from lspin.baselines import Contender
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
    >>> len(results["scores"])
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
    return {
        "banner": " ".join(dict.fromkeys(cells.banner() for cells, _ in tables.values())),
        "protocol": f"{n_repeats} repeats of {OUTER_FOLDS} donor-grouped stratified folds; "
        f"settings chosen by macro F1 on {INNER_FOLDS} donor-grouped folds of the training cells",
        "tables": {name: describe_cells(cells) for name, (cells, _) in tables.items()},
        "search_spaces": {name: model.settings() for name, model in models(0).items()},
        "seeds": list(range(n_repeats)),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
        "wall_time_s": round(sum(nested.wall_time_s for nested in done.values()), 1),
        "compute_time_s": round(sum(nested.compute_time_s for nested in done.values()), 1),
        "calibration": _records({name: nested.calibration for name, nested in done.items()}),
        "scores": _records({name: nested.scores for name, nested in done.items()}),
    }


def _records(tables: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Return the rows of all tables with rounded numbers, and null for NaN."""
    rows = pd.concat(tables, names=["table"]).reset_index("table")
    return json.loads(rows.to_json(orient="records", double_precision=5))


def _tables(what: str) -> dict[str, Table]:
    """Load the tables of a study, by name, each with its input pipeline."""
    if what == "waveform":
        return with_and_without_waveform(load_cells("allen"), load_spikes("paper"))
    if what == "cohorts":
        chosen = {cohort: load_cells("allen", cohort) for cohort in COHORTS}
    elif what == "allen":
        chosen = {"allen": load_cells("allen")}
    else:
        chosen = {"paper": authors_table()}
    return {name: (cells, model_inputs(cells.X)) for name, cells in chosen.items()}


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
            "tables": {**cells.provenance["tables"], **spikes.provenance["tables"]},
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
