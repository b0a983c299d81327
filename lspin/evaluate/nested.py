"""Nested cross-validation: every model chooses its settings, on training donors only.

A model that may choose its settings while looking at the test cells has been trained
on them. Here each outer fold is tested once, by a model whose settings were chosen on
inner folds of the training donors, by the same criterion for all models. This takes
long, so each search is kept on disk as soon as it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from joblib import Memory, delayed
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from lspin.data.folds import donor_folds
from lspin.data.tables import aligned
from lspin.evaluate.cross_validation import fit_grouped, in_processes, open_gates
from lspin.evaluate.rivals import Contender
from lspin.evaluate.scores import expected_calibration_error, score
from lspin.model.cache import fingerprint, recorded
from lspin.model.recipe import DENSE, ONE_MASK, READER, READERS
from lspin.model.selection import of_every_class

OUTER_FOLDS = 5

INNER_FOLDS = 3


@dataclass(frozen=True)
class Refit:
    """A contender with one setting, fitted on all training cells of an outer fold.

    Attributes
    ----------
    predicted : ndarray, shape (m,)
        Class it names for each test cell.
    proba : ndarray, shape (m, n_classes)
        Their probabilities.
    open_gates : dict
        As `count_open`; empty for a model without gates.
    fit_s : float
        Seconds of the fit.
    """

    predicted: np.ndarray
    proba: np.ndarray
    open_gates: dict[str, float]
    fit_s: float


@dataclass(frozen=True)
class Search:
    """What one contender made of one outer fold.

    Attributes
    ----------
    best : int
        Position in the space of the setting that it chose.
    refit : Refit
        With that setting.
    started, ended : float
        Seconds since the epoch.
    """

    best: int
    refit: Refit
    started: float
    ended: float


def search(
    model: Contender,
    inputs: BaseEstimator,
    X: pd.DataFrame,
    y: pd.Series,
    donors: pd.Series,
    train: np.ndarray,
    test: np.ndarray,
    random_state: int,
) -> Search:
    """Let a contender choose its setting on the training cells, then test it.

    Settings are scored on `INNER_FOLDS` donor-grouped folds of the training cells, the same for
    every contender. The best one (macro F1 of the pooled predictions, the first of equals) is
    fitted on all training cells and predicts the test cells.

    Parameters
    ----------
    model : Contender
        What to fit, and its settings.
    inputs : transformer
        Turns `X` into standardised inputs; fitted on the cells that the model is fitted on.
    X : DataFrame, shape (n, d)
        Features as recorded.
    y, donors : Series, shape (n,)
        Class and donor of each cell.
    train, test : ndarray of int
        Rows of the outer fold.
    random_state : int
        Seeds the inner folds.

    Returns
    -------
    Search
    """
    started = time.time()
    best = 0
    if len(model.space) > 1:
        inner = donor_folds(y.iloc[train], donors.iloc[train], INNER_FOLDS, random_state)
        predicted = np.empty((len(model.space), len(train)), dtype=object)
        for fit, valid in inner:
            settings = range(len(model.space))
            parts = _refits(model, inputs, X, y, donors, train[fit], train[valid], settings)
            for i, refit in zip(settings, parts, strict=True):
                predicted[i, valid] = refit.predicted
        best = int(np.argmax([_macro_f1(y.iloc[train], row) for row in predicted]))
    (refit,) = _refits(model, inputs, X, y, donors, train, test, [best])
    return Search(best, refit, started, max(started, time.time()))


def _refits(
    model: Contender,
    inputs: BaseEstimator,
    X: pd.DataFrame,
    y: pd.Series,
    donors: pd.Series,
    train: np.ndarray,
    test: np.ndarray,
    wanted: Iterable[int],
) -> Iterator[Refit]:
    """Fit the wanted settings on some cells and predict others."""
    inputs = clone(inputs).fit(X.iloc[train])
    x_train, x_test = inputs.transform(X.iloc[train]), inputs.transform(X.iloc[test])
    for i in wanted:
        fitted = clone(model.estimator).set_params(**model.space[i])
        pipeline = make_pipeline("passthrough", fitted)  # the inputs are ready
        started = time.perf_counter()
        fit_grouped(pipeline, x_train, y.iloc[train], donors.iloc[train])
        fit_s = time.perf_counter() - started
        yield Refit(
            pipeline.predict(x_test),
            of_every_class(pipeline.predict_proba(x_test), pipeline.classes_, np.unique(y)),
            open_gates(pipeline, x_test),
            fit_s,
        )


def _macro_f1(truth: pd.Series, predicted: np.ndarray) -> float:
    return f1_score(truth.tolist(), predicted.tolist(), average="macro")


@dataclass(frozen=True)
class NestedScores:
    """What `nested_cross_validate` returns.

    Attributes
    ----------
    scores : DataFrame
        A row per model, repeat and outer fold: the scores of `lspin.evaluate.score`, the open
        gates where there are gates, the setting in words, the seconds of its fit (fit_s) and of
        the whole search with all its fits (search_s), and the cells trained and tested on.
    calibration : DataFrame
        A row per model and repeat: calibration error of the pooled predictions of all cells.
        That of a single fold is larger because it has fewer cells.
    compute_time_s : float
        Seconds of all searches together, whenever they ran.
    wall_time_s : float
        Seconds in which at least one of the searches was running.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.evaluate import NestedScores
    >>> nested = NestedScores(pd.DataFrame(), pd.DataFrame(), compute_time_s=40.0, wall_time_s=21.0)
    >>> nested.compute_time_s / nested.wall_time_s > 1
    True
    """

    scores: pd.DataFrame
    calibration: pd.DataFrame
    compute_time_s: float
    wall_time_s: float


def nested_cross_validate(
    models: Callable[[int], Mapping[str, Contender]],
    X: pd.DataFrame,
    y: pd.Series,
    donors: pd.Series,
    *,
    inputs: BaseEstimator,
    n_repeats: int = 3,
    memory: Memory | None = None,
    verbose: int = 1,
) -> NestedScores:
    """Score every contender after it chose its settings on training donors only.

    The outer folds are those of `donor_folds`; inside each, `search` does the rest. Searches
    run through joblib, several at once.

    Parameters
    ----------
    models : callable
        Given a seed, returns the contenders by name; called with the number of each repeat.
    X : DataFrame, shape (n, d)
        Features as recorded, with NaN where nothing was measured.
    y, donors : Series, shape (n,)
        Class and donor of each cell.
    inputs : transformer
        Turns `X` into standardised inputs; fitted inside each fold.
    n_repeats : int
        Repeats of `OUTER_FOLDS` folds; the number of a repeat seeds its folds and models.
    memory : joblib.Memory, optional
        Keeps each finished search on disk. A run that was stopped continues where it was, and
        a model whose settings, library or training changed is searched anew.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    NestedScores

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from lspin import load_cells
    >>> from lspin.evaluate import Contender
    >>> from lspin.features import model_inputs
    >>> from lspin.evaluate import nested_cross_validate
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> linear = Contender(LogisticRegression(), space=({"C": 0.1},), note="linear")
    >>> nested = nested_cross_validate(
    ...     lambda seed: {"linear": linear},
    ...     few.X,
    ...     few.y,
    ...     few.donors,
    ...     inputs=model_inputs(few.X),
    ...     n_repeats=1,
    ...     verbose=0,
    ... )
    >>> nested.scores[["model", "fold", "setting"]].shape
    (5, 3)
    """
    y, donors = aligned(y, X.index, "y"), aligned(donors, X.index, "donors")
    keep = recorded(memory)
    classes = np.unique(y)
    # A table is what models get to see of it, so the input pipeline is a part of it.
    seen = np.ascontiguousarray(clone(inputs).fit_transform(X))
    data = fingerprint(seen, y.tolist(), donors.tolist())
    tasks, places = [], []
    for repeat in range(n_repeats):
        contenders_now = models(repeat)
        for fold, (train, test) in enumerate(donor_folds(y, donors, OUTER_FOLDS, repeat)):
            for name, model in contenders_now.items():
                key = _key(model, data, train, test, repeat)
                task = partial(search, model, inputs, X, y, donors, train, test, repeat)
                tasks.append(delayed(keep)(key, task))
                places.append((repeat, fold, name, model, train, test))
    rows, times = [], []
    proba: dict[tuple, np.ndarray] = {}
    searches = in_processes(tasks, "nested cross-validation", verbose)
    for found, (repeat, fold, name, model, train, test) in zip(searches, places, strict=True):
        times.append((found.started, found.ended))
        row = {
            "model": name,
            "repeat": repeat,
            "fold": fold,
            **score(y.iloc[test], found.refit.predicted, found.refit.proba, classes),
            **found.refit.open_gates,
            "setting": model.settings()[found.best],
            "fit_s": found.refit.fit_s,
            "search_s": found.ended - found.started,
            "n_train": len(train),
            "n_test": len(test),
        }
        rows.append(row)
        pooled = proba.setdefault((name, repeat), np.empty((len(y), len(classes))))
        pooled[test] = found.refit.proba
    calibration = [
        {"model": name, "repeat": repeat, "ece": expected_calibration_error(y, p, classes)}
        for (name, repeat), p in proba.items()
    ]
    return NestedScores(
        pd.DataFrame(rows),
        pd.DataFrame(calibration),
        sum(ended - started for started, ended in times),
        _covered(times),
    )


def _key(model: Contender, *data: Any) -> str:
    """Identify a search: data, settings, and what decides how the contender is trained."""
    estimator = model.estimator
    name = type(estimator).__qualname__
    libraries = {
        "LGBMClassifier": ["lightgbm"],
        "ExplainableBoostingClassifier": ["interpret-core"],
        "LSPINClassifier": ["torch"],
        "TabMClassifier": ["torch", "tabm"],
        "RealMLPClassifier": ["torch", "pytabkit"],
    }
    parameters = sorted((key, repr(v)) for key, v in estimator.get_params().items())
    return fingerprint(
        *data,
        INNER_FOLDS,
        name,
        parameters,
        (DENSE, READER, READERS, ONE_MASK) if name == "LSPINClassifier" else None,
        model.space,
        packages=("numpy", "scikit-learn", *libraries.get(name, [])),
    )


def _covered(times: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, until = 0.0, -np.inf
    for started, ended in sorted(times):
        total += max(0.0, ended - max(started, until))
        until = max(until, ended)
    return total
