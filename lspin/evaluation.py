"""Honest scores: donor-grouped cross-validation, the same for every model.

One mouse gives several cells, recorded on one day by one person. A split that
puts some of them into training and some into testing rewards a model for
recognising the animal. Here no donor is ever on both sides, and whatever learns
from data (imputation, scaling, early stopping) learns from training cells only.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import has_fit_parameter
from tqdm import tqdm

from lspin.baselines import baselines
from lspin.data.tables import Cells, atomic_write
from lspin.estimator import LSPINClassifier
from lspin.features import model_inputs
from lspin.threads import n_workers

LAMBDAS = (0.0, 0.25, 0.5, 1.0)
"""The lambdas whose scores are recorded."""

Fold = tuple[np.ndarray, np.ndarray]


def donor_folds(
    y: ArrayLike, donors: ArrayLike, n_splits: int = 5, random_state: int = 0
) -> list[Fold]:
    """Folds stratified by class and grouped by donor.

    Parameters
    ----------
    y : array-like, shape (n,)
        Class of each cell.
    donors : array-like, shape (n,)
        Donor of each cell.
    n_splits : int
        Number of folds.
    random_state : int
        Seeds the shuffling of donors.

    Returns
    -------
    list of (train, test)
        Row indices; every cell is tested once and no donor is on both sides.

    Raises
    ------
    ValueError
        If there are fewer donors than folds.
    """
    y, donors = np.asarray(y), np.asarray(donors)
    if len(np.unique(donors)) < n_splits:
        raise ValueError(
            f"{n_splits} folds need at least {n_splits} donors, got {len(np.unique(donors))}; "
            "lower n_splits or add cells from other animals."
        )
    folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=random_state)
    return list(folds.split(np.zeros(len(y)), y, donors))


def cross_validate(
    models: Mapping[str, BaseEstimator],
    X: pd.DataFrame,
    y: pd.Series,
    donors: pd.Series,
    *,
    inputs: BaseEstimator,
    n_splits: int = 5,
    random_state: int = 0,
    verbose: int = 1,
) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """Score every model on the same donor-grouped folds.

    The fits run through joblib, several at once; ``joblib.parallel_config``
    says where, for example on a Dask cluster.

    Parameters
    ----------
    models : mapping of str to estimator
        Unfitted classifiers for standardised inputs; each is cloned per fold.
    X : DataFrame, shape (n, d)
        Features as recorded, with NaN where nothing was measured.
    y, donors : Series, shape (n,)
        Class and donor of each cell.
    inputs : transformer
        Turns `X` into standardised inputs; fitted on each fold's training cells.
    n_splits, random_state : int
        Passed to `donor_folds`.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    scores : DataFrame
        A row per model and fold: accuracy, macro_f1, and for models with gates
        the median number of open gates per cell (open_gates: of one member;
        open_gates_union: of the whole ensemble).
    predictions : dict of str to Series, shape (n,)
        Each model's prediction for every cell, made when its donor was held out.
    """
    folds = donor_folds(y, donors, n_splits, random_state)
    predictions = {name: pd.Series(index=y.index, dtype=object, name=name) for name in models}
    tasks = [
        delayed(_score)(name, fold, make_pipeline(inputs, model), X, y, donors, *folds[fold])
        for fold in range(len(folds))
        for name, model in models.items()
    ]
    # Processes, not threads: joblib sees to it that the workers' own threads do not compete.
    parallel = Parallel(n_jobs=n_workers(), return_as="generator")
    scored = tqdm(parallel(tasks), desc="cross-validation", total=len(tasks), disable=not verbose)
    rows = []
    for row, predicted in scored:
        predictions[row["model"]].iloc[folds[row["fold"]][1]] = predicted
        rows.append(row)
    return pd.DataFrame(rows), predictions


def _score(
    name: str,
    fold: int,
    pipeline: Pipeline,
    X: pd.DataFrame,
    y: pd.Series,
    donors: pd.Series,
    train: np.ndarray,
    test: np.ndarray,
) -> tuple[dict[str, Any], np.ndarray]:
    """Fit one model on one fold; return a row of scores and the predictions."""
    fitted = fit_grouped(clone(pipeline), X.iloc[train], y.iloc[train], donors.iloc[train])
    predicted, truth = fitted.predict(X.iloc[test]), y.iloc[test]
    row = {
        "model": name,
        "fold": fold,
        "accuracy": accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        **open_gates(fitted, X.iloc[test]),
    }
    return row, predicted


def fit_grouped(pipeline: Pipeline, X: pd.DataFrame, y: pd.Series, donors: pd.Series) -> Pipeline:
    """Fit a pipeline, telling its last step which donor each cell came from.

    Parameters
    ----------
    pipeline : Pipeline
        Its last step may or may not take ``groups`` in ``fit``.
    X : DataFrame, shape (n, d)
        Features.
    y, donors : Series, shape (n,)
        Class and donor of each cell.

    Returns
    -------
    Pipeline
        The same pipeline, fitted.
    """
    name, model = pipeline.steps[-1]
    groups = {f"{name}__groups": donors} if has_fit_parameter(model, "groups") else {}
    return pipeline.fit(X, y, **groups)


def open_gates(pipeline: Pipeline, X: pd.DataFrame) -> dict[str, float]:
    """Count open gates per cell with `count_open`.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted, ending in any classifier.
    X : DataFrame, shape (n, d)
        Cells.

    Returns
    -------
    dict
        As `count_open`; empty for a model without gates.
    """
    model = pipeline[-1]
    if not hasattr(model, "member_gates"):
        return {}
    return count_open(model.member_gates(pipeline[:-1].transform(X)))


def count_open(member_gates: np.ndarray) -> dict[str, float]:
    """Count the gates above 0.

    Parameters
    ----------
    member_gates : ndarray, shape (n_members, n, d)
        Gates of every member.

    Returns
    -------
    dict
        ``open_gates``: median over cells and members of the gates one member opens;
        ``open_gates_union``: median over cells of those any member opens.
    """
    is_open = member_gates > 0
    return {
        "open_gates": float(np.median(is_open.sum(axis=2))),
        "open_gates_union": float(np.median(is_open.any(axis=0).sum(axis=1))),
    }


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over folds, and repeats where there are any, per model.

    Parameters
    ----------
    scores : DataFrame
        As `cross_validate` returns them, or several of those with a ``repeat`` column.

    Returns
    -------
    DataFrame
        A row per model, best macro F1 first.
    """
    means = scores.drop(columns=["fold", "repeat"], errors="ignore").groupby("model").mean()
    return means.sort_values("macro_f1", ascending=False)


def evaluate(cells: Cells, n_repeats: int = 3, verbose: int = 1) -> dict[str, Any]:
    """Score LSPIN along a few lambdas and all baselines on one table of cells.

    Parameters
    ----------
    cells : Cells
        Cells with donors.
    n_repeats : int
        Repeats of five donor-grouped folds, each with other folds and seeds.
    verbose : int
        0 is quiet, 1 shows progress bars.

    Returns
    -------
    dict
        Scores per model, repeat and fold with their provenance: source, cohort,
        checksums of the tables, versions, seeds and wall time. Ready for JSON.
    """
    started = time.perf_counter()
    parts = []
    for repeat in range(n_repeats):
        models = {
            f"LSPIN, lambda {lam:g}": LSPINClassifier(lam=lam, random_state=repeat)
            for lam in LAMBDAS
        }
        scores, _ = cross_validate(
            {**models, **baselines(random_state=repeat)},
            cells.X,
            cells.y,
            cells.donors,
            inputs=model_inputs(cells.X),
            random_state=repeat,
            verbose=verbose,
        )
        parts.append(scores.assign(repeat=repeat))
    rows = pd.concat(parts)
    return {
        "banner": cells.banner(),
        "source": cells.source,
        "cohort": cells.cohort,
        "cells": len(cells.X),
        "donors": int(cells.donors.nunique()),
        "provenance": cells.provenance,
        "protocol": f"{n_repeats} repeats of donor-grouped stratified 5-fold, nothing tuned",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pandas", "scikit-learn", "torch")},
        },
        "wall_time_s": round(time.perf_counter() - started, 1),
        "scores": json.loads(rows.to_json(orient="records", double_precision=5)),
    }


def write_results(results: Mapping[str, Any], path: Path) -> None:
    """Write recorded results as JSON, atomically.

    Parameters
    ----------
    results : mapping
        What `evaluate` returns.
    path : Path
        Where to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n")


def read_results(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read recorded results.

    Parameters
    ----------
    path : Path
        A file that `write_results` wrote.

    Returns
    -------
    scores : DataFrame
        A row per model, repeat and fold.
    about : dict
        Everything else in the file.
    """
    about = json.loads(path.read_text())
    return pd.DataFrame(about.pop("scores")), about
