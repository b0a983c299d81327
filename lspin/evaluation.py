"""Honest scores: donor-grouped cross-validation, the same for every model.

One mouse gives several cells, recorded on one day by one person. A split that
puts some of them into training and some into testing rewards a model for
recognising the animal. Here no donor is ever on both sides, and whatever learns
from data (imputation, scaling, early stopping) learns from training cells only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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

from lspin.data.tables import Cells, atomic_write
from lspin.scores import corrected_t_test
from lspin.threads import n_workers

METRICS = ("accuracy", "macro_f1")
"""What models are compared by."""

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

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.evaluation import donor_folds
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> train, test = donor_folds(few.y, few.donors)[0]
    >>> set(few.donors.iloc[train]) & set(few.donors.iloc[test])
    set()
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
        A row per model and fold: accuracy, macro_f1, for models with gates the median
        number of open gates per cell (open_gates: of one member; open_gates_union: of the
        whole ensemble), and the cells trained and tested on (n_train, n_test).
    predictions : dict of str to Series, shape (n,)
        Each model's prediction for every cell, made when its donor was held out.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from lspin import load_cells
    >>> from lspin.evaluation import cross_validate
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
    folds = donor_folds(y, donors, n_splits, random_state)
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
    >>> from lspin.evaluation import in_processes
    >>> list(in_processes([delayed(abs)(-1), delayed(abs)(2)], "sizes", verbose=0))
    [1, 2]
    """
    # Processes, not threads: joblib sees to it that the workers' own threads do not compete.
    parallel = Parallel(n_jobs=n_workers(), return_as="generator")
    return tqdm(parallel(tasks), desc=what, total=len(tasks), disable=not verbose)


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
        "n_train": len(train),
        "n_test": len(test),
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

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from lspin import LSPINClassifier
    >>> from lspin import load_cells
    >>> from lspin.evaluation import fit_grouped
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> pipeline = make_pipeline(model_inputs(few.X), LSPINClassifier(n_members=2, n_steps=20))
    >>> fit_grouped(pipeline, few.X, few.y, few.donors).predict(few.X).shape
    (175,)
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

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from lspin import LSPINClassifier
    >>> from lspin import load_cells
    >>> from lspin.evaluation import open_gates
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> pipeline = make_pipeline(model_inputs(few.X), LSPINClassifier(n_members=2, n_steps=20))
    >>> list(open_gates(pipeline.fit(few.X, few.y), few.X))
    ['open_gates', 'open_gates_union']
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

    Examples
    --------
    Two networks, one cell: they open one gate each, and not the same.

    >>> import numpy as np
    >>> from lspin.evaluation import count_open
    >>> count_open(np.array([[[0.8, 0.0, 0.0]], [[0.0, 0.3, 0.0]]]))
    {'open_gates': 1.0, 'open_gates_union': 2.0}
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
        A row per model and fold, of one table of cells; ``repeat`` is optional.

    Returns
    -------
    DataFrame
        Means of all columns of numbers; a row per model, best macro F1 first.

    Examples
    --------
    >>> from lspin.evaluation import read_results, summary
    >>> from lspin.studies import results_file
    >>> scores, about = read_results(results_file("paper"))
    >>> summary(scores).loc["LSPIN", ["accuracy", "macro_f1"]].round(2).tolist()
    [0.89, 0.82]
    """
    numbers = scores.drop(columns=["fold", "repeat", "n_train", "n_test"], errors="ignore")
    means = numbers.groupby("model").mean(numeric_only=True)
    return means.sort_values("macro_f1", ascending=False)


def intervals(scores: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Mean scores with 95 % intervals that know that folds share their training cells.

    Parameters
    ----------
    scores : DataFrame
        A row per model and fold, of one table of cells; ``repeat`` is optional.
    metrics : sequence of str
        Columns of `scores`.

    Returns
    -------
    DataFrame
        A row per model, best first by the first metric; for each metric the columns ``mean``,
        ``low`` and ``high``: the t interval of `lspin.scores.corrected_t_test` over all folds
        of all repeats.

    Examples
    --------
    >>> from lspin.evaluation import intervals, read_results
    >>> from lspin.studies import results_file
    >>> scores, about = read_results(results_file("paper"))
    >>> intervals(scores)["macro_f1"].loc["LSPIN"].round(2).tolist()
    [0.82, 0.79, 0.86]
    """
    return _estimates(scores, metrics).drop(columns="p", level=1)


def compare(
    scores: pd.DataFrame, model: str = "LSPIN", metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Compare one model with every other, fold by fold.

    Parameters
    ----------
    scores : DataFrame
        A row per model and fold, of one table of cells; ``repeat`` is optional.
    model : str
        The model that is compared with the others.
    metrics : sequence of str
        Columns of `scores`.

    Returns
    -------
    DataFrame
        A row per other model; for each metric the columns ``mean`` (of model minus other:
        above 0 where `model` is better), ``low`` and ``high`` (95 % interval) and ``p``, from
        `lspin.scores.corrected_t_test`. The p-values are not corrected for their number.

    Raises
    ------
    ValueError
        If there is no such model.

    Examples
    --------
    >>> from lspin.evaluation import compare, read_results
    >>> from lspin.studies import results_file
    >>> scores, about = read_results(results_file("paper"))
    >>> ahead = compare(scores)["macro_f1"].loc["RBF-SVM"]
    >>> bool(ahead["low"] < 0 < ahead["high"])
    True
    """
    names = scores["model"].unique()
    if model not in names:
        raise ValueError(f"There are no scores of {model!r}, only of {', '.join(names)}.")
    return _estimates(scores, metrics, model).drop(model)


def _estimates(
    scores: pd.DataFrame, metrics: Sequence[str], model: str | None = None
) -> pd.DataFrame:
    """Estimate each model's score, or by how much `model` is ahead of it."""
    folds = [name for name in ("repeat", "fold") if name in scores]
    sizes = scores[["n_train", "n_test"]].mean()
    tables = {}
    for metric in metrics:
        wide = scores.pivot(index=folds, columns="model", values=metric)
        pairs = {
            name: (wide[name], 0) if model is None else (wide[model], wide[name]) for name in wide
        }
        tables[metric] = pd.DataFrame(
            {name: corrected_t_test(a, b, *sizes)._asdict() for name, (a, b) in pairs.items()}
        ).T
    order = tables[metrics[0]]["mean"].sort_values(ascending=model is not None).index
    return pd.concat(tables, axis=1).loc[order]


def describe_cells(cells: Cells) -> dict[str, Any]:
    """Say which cells a result was recorded on, ready for JSON.

    Parameters
    ----------
    cells : Cells

    Returns
    -------
    dict

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.evaluation import describe_cells
    >>> describe_cells(load_cells("twin"))["cells"]
    1750
    """
    return {
        "banner": cells.banner(),
        "source": cells.source,
        "cohort": cells.cohort,
        "cells": len(cells),
        "donors": int(cells.donors.nunique()),
        "provenance": cells.provenance,
    }


def write_results(results: Mapping[str, Any], path: Path) -> None:
    """Write recorded results as JSON, atomically, each row of a table on a line of its own.

    Parameters
    ----------
    results : mapping
        What `lspin.studies` returns, for example; lists of dicts, at any depth, are tables.
    path : Path
        Where to write.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from lspin.evaluation import read_results, write_results
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "results.json")
    ...     write_results({"study": "none", "scores": [{"model": "LSPIN", "accuracy": 0.8}]}, path)
    ...     scores, about = read_results(path)
    >>> about
    {'study': 'none'}
    """
    rows: dict[str, str] = {}

    def shortened(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: shortened(part) for name, part in value.items()}
        if not (isinstance(value, list) and value and isinstance(value[0], Mapping)):
            return value
        mark = f"<table {len(rows)}>"
        rows[mark] = "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        return mark

    text = json.dumps(shortened(results), indent=1)
    for mark, table in rows.items():
        text = text.replace(f'"{mark}"', table)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n")


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

    Examples
    --------
    >>> from lspin.evaluation import read_results
    >>> from lspin.studies import results_file
    >>> scores, about = read_results(results_file("paper"))
    >>> about["banner"]
    'Source: table published with Ophir, Shefi & Lindenbaum (2023); 1382 mouse cells, cohort paper.'
    """
    about = json.loads(path.read_text())
    return pd.DataFrame(about.pop("scores")), about
