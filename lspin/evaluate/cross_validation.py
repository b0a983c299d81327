"""Honest scores: donor-grouped cross-validation, the same for every model.

One mouse gives several cells, recorded on one day by one person. A split that
puts some of them into training and some into testing rewards a model for
recognising the animal. Here no donor is ever on both sides, and whatever learns
from data (imputation, scaling, early stopping) learns from training cells only.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from multiprocessing import current_process
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn import get_config
from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.metrics import accuracy_score, f1_score, r2_score, root_mean_squared_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import has_fit_parameter
from tqdm import tqdm

from lspin.data.folds import donor_folds
from lspin.data.tables import aligned
from lspin.model.selection import count_open
from lspin.model.threads import n_workers

METRICS_OF_VALUES = ("r2", "rmse")
"""What models are scored by that predict values: the share of variance that they explain, and the
root of the mean squared error."""


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
        Unfitted classifiers, or regressors, for standardised inputs; each is cloned per fold.
    X : DataFrame, shape (n, d)
        Features as recorded, with NaN where nothing was measured.
    y, donors : Series, shape (n,)
        Class (or value) and donor of each cell.
    inputs : transformer
        Turns `X` into standardised inputs; fitted on each fold's training cells.
    n_splits, random_state : int
        Passed to `donor_folds`.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    scores : DataFrame
        A row per model and fold: accuracy, macro_f1 (of values r2 and rmse), for models with
        gates the median number of open gates per cell (open_gates), and the cells trained and
        tested on (n_train, n_test).
    predictions : dict of str to Series, shape (n,)
        Each model's prediction for every cell, made when its donor was held out.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from lspin import load_cells
    >>> from lspin.evaluate import cross_validate
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> scores, predictions = cross_validate(
    ...     {"linear": LogisticRegression()},
    ...     few.X,
    ...     few.y,
    ...     few.donors,
    ...     inputs=model_inputs(few.X),
    ...     verbose=0,
    ... )
    >>> len(scores), len(predictions["linear"])
    (5, 175)
    """
    y, donors = aligned(y, X.index, "y"), aligned(donors, X.index, "donors")
    # There are no classes to spread over the folds where values are predicted.
    strata = np.zeros(len(y)) if any(map(is_regressor, models.values())) else y
    folds = donor_folds(strata, donors, n_splits, random_state)
    predictions = {name: pd.Series(index=y.index, dtype=object, name=name) for name in models}
    tasks = [
        delayed(_score)(name, fold, make_pipeline(inputs, model), X, y, donors, *folds[fold])
        for fold in range(len(folds))
        for name, model in models.items()
    ]
    rows = []
    for row, predicted in in_processes(tasks, "cross-validation", verbose):
        predictions[row["model"]].iloc[folds[row["fold"]][1]] = predicted
        rows.append(row)
    return pd.DataFrame(rows), predictions


def in_processes(tasks: Sequence[Any], what: str, verbose: int) -> Iterator[Any]:
    """Run tasks through joblib, several at once.

    Parameters
    ----------
    tasks : sequence of joblib.delayed
        What to run.
    what : str
        Heads the progress bar.
    verbose : int
        0 is quiet.

    Returns
    -------
    iterator
        What the tasks return, in their order, as soon as it is there.

    Examples
    --------
    >>> from joblib import delayed
    >>> from lspin.evaluate import in_processes
    >>> list(in_processes([delayed(abs)(-1), delayed(abs)(2)], "sizes", verbose=0))
    [1, 2]
    """
    # Processes, not threads: joblib sees to it that the workers' own threads do not compete.
    parallel = Parallel(n_jobs=n_workers(), return_as="generator")
    results = parallel(delayed(_do)(task, os.getpid()) for task in tasks)
    return tqdm(results, desc=what, total=len(tasks), disable=not verbose)


def _do(task: Any, parent: int) -> Any:
    """Do a task that `joblib.delayed` wrapped, for the process of this number."""
    _end_with(parent)
    function, args, kwargs = task
    return function(*args, **kwargs)


@cache  # once in each process
def _end_with(parent: int) -> None:
    """Let a worker of joblib's own end with the process that started it, even if that is killed.

    It would idle on for minutes. A worker of a cluster has other parents, who may come and go.
    """
    if os.name == "posix" and current_process().name.startswith("LokyProcess"):

        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(1.0)
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


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
        **_scores(truth, predicted, of_values=is_regressor(fitted)),
        **open_gates(fitted, X.iloc[test]),
        "n_train": len(train),
        "n_test": len(test),
    }
    return row, predicted


def _scores(truth: pd.Series, predicted: np.ndarray, of_values: bool) -> dict[str, float]:
    if of_values:
        scores = (r2_score(truth, predicted), root_mean_squared_error(truth, predicted))
        return dict(zip(METRICS_OF_VALUES, scores, strict=True))
    return {
        "accuracy": accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
    }


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

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from lspin import LSPINClassifier
    >>> from lspin import load_cells
    >>> from lspin.evaluate import fit_grouped
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> pipeline = make_pipeline(model_inputs(few.X), LSPINClassifier(n_members=2, n_steps=20))
    >>> fit_grouped(pipeline, few.X, few.y, few.donors).predict(few.X).shape
    (175,)
    """
    name, model = pipeline.steps[-1]
    if not has_fit_parameter(model, "groups"):
        return pipeline.fit(X, y)
    if get_config()["enable_metadata_routing"]:
        model.set_fit_request(groups=True)
        return pipeline.fit(X, y, groups=donors)
    return pipeline.fit(X, y, **{f"{name}__groups": donors})


def open_gates(pipeline: Pipeline, X: pd.DataFrame) -> dict[str, float]:
    """Count the open gates of a cell with `count_open`.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted, ending in any classifier.
    X : DataFrame, shape (n, d)
        Cells.

    Returns
    -------
    dict
        ``open_gates``, the median over cells; empty for a model without gates.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from lspin import LSPINClassifier
    >>> from lspin import load_cells
    >>> from lspin.evaluate import open_gates
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> model = LSPINClassifier(max_open=5, n_members=2, n_steps=20, random_state=0)
    >>> pipeline = make_pipeline(model_inputs(few.X), model)
    >>> open_gates(pipeline.fit(few.X, few.y), few.X)
    {'open_gates': 5.0}
    """
    model = pipeline[-1]
    if not hasattr(model, "gates"):
        return {}
    return {"open_gates": count_open(model.gates(pipeline[:-1].transform(X)))}
