"""Models trained on the Allen cells, asked about cells of other labs, temperatures and species."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from joblib import Memory, delayed
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline, make_pipeline

from lspin.data import Cells, donor_folds, in_five_classes, load_cells, own_cells
from lspin.data.patchseq import HALF_WIDTH
from lspin.evaluate.adaptation import (
    correct_priors,
    match_mixture,
    match_moments,
    match_quantiles,
)
from lspin.evaluate.cross_validation import fit_grouped, in_processes
from lspin.evaluate.rivals import contenders
from lspin.evaluate.scores import donor_interval
from lspin.evaluate.shift import NOT_MEASURED, shift
from lspin.explain.claims import fingerprints
from lspin.explain.held_out import hold_out
from lspin.features.inputs import model_inputs, table_inputs
from lspin.features.shared import shared_features
from lspin.model.cache import fingerprint, recorded
from lspin.model.estimator import LSPINClassifier
from lspin.model.recipe import DENSE, ONE_MASK
from lspin.studies.records import counted, describe_cells, versions

LAB_MODELS = ("LSPIN", "LSPIN, 5 gates", "RBF-SVM")
"""What is trained on the Allen cells; nothing is chosen, because no label of the new lab may be."""

AS_IT_IS = "as it is"
MOMENTS = "each measurement standardised within its table"
MOMENTS_SHARES = f"{MOMENTS}, shares corrected"
MIXTURE = "standardised to the same mixture of classes"
SHARES = "shares of the classes corrected"
TRUE_SHARES = "true shares of the classes (uses labels)"
TRUE_MIXTURE = "standardised to the true mixture (uses labels)"

TWELVE, THIRTEEN = "12 shared", "12 shared and half-width"
UNSHIFTED, RELEASED = "those within the training table", "42 released"

THREE = ("Glutamatergic", "Pvalb+", "Sst+")
"""The classes of which cells were recorded at both temperatures."""

_N_BOOT = 1000


@dataclass(frozen=True)
class Lab:
    """A table that was recorded elsewhere.

    Attributes
    ----------
    cells : Cells
        With the classes of the training cells.
    classes : tuple of str
        Classes that are trained for it.

    Examples
    --------
    >>> from lspin.studies import other_labs
    >>> other_labs(or_twin=True)["M1, 34 °C"].cells.y.nunique()
    3
    """

    cells: Cells
    classes: tuple[str, ...]


def other_labs(or_twin: bool = False) -> dict[str, Lab]:
    """Return the Patch-seq tables, in the classes of the Allen cells, by name.

    Parameters
    ----------
    or_twin : bool
        As in `load_cells`.

    Returns
    -------
    dict of str to Lab
        ``V1, inhibitory``, ``M1, 34 °C``, ``M1, 25 °C`` and ``human, inhibitory``. Where a table
        holds inhibitory cells only, only their classes are trained for it.

    Examples
    --------
    >>> from lspin.studies import other_labs
    >>> labs = other_labs(or_twin=True)
    >>> {name: len(lab.classes) for name, lab in labs.items()}
    {'V1, inhibitory': 4, 'M1, 34 °C': 5, 'M1, 25 °C': 5, 'human, inhibitory': 4}
    """
    v1, m1, human = (
        in_five_classes(load_cells(name, or_twin=or_twin)) for name in ("v1", "m1", "human")
    )
    warm = m1.metadata["temperature_c"] == 34
    return {
        "V1, inhibitory": Lab(v1, v1.classes),
        "M1, 34 °C": Lab(m1.select(warm), m1.classes),
        "M1, 25 °C": Lab(m1.select(~warm), m1.classes),
        "human, inhibitory": Lab(human, human.classes),
    }


def evaluate_labs(
    allen: Cells,
    labs: Mapping[str, Lab],
    *,
    n_repeats: int = 1,
    memory: Memory | None = None,
    verbose: int = 1,
) -> dict[str, Any]:
    """Carry models from the Allen cells to other labs, in several ways, and say what it costs.

    Parameters
    ----------
    allen : Cells
        To train on, with half-widths (`lspin.data.add_half_width`).
    labs : mapping of str to Lab
        From `other_labs`.
    n_repeats : int
        Models of other seeds; their answers are pooled.
    memory : joblib.Memory, optional
        Keeps each trained model's answers on disk.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    dict
        For `write_results`. ``tables``: ``carried``, the score of each model in each lab, by the
        measurements it was given and the way in which it was carried, with the ``gain`` over the
        twelve shared measurements as they are; ``reasons``, the mean recall of three classes, one
        reason to fall after the other; ``within``, how far each class lies from the same class of
        the Allen cells; ``shifts``, the verdict of `lspin.evaluate.shift`; ``fingerprints``, the
        reasons of models that were trained in each lab. It holds no single cells.

    Examples
    --------
    Takes some minutes; `lspin.studies` keeps what it returned.

    >>> from lspin import load_cells
    >>> from lspin.data import add_half_width
    >>> from lspin.studies import evaluate_labs, other_labs
    >>> allen = add_half_width(load_cells("allen"))  # doctest: +SKIP
    >>> results = evaluate_labs(allen, other_labs())  # doctest: +SKIP
    """
    started = time.perf_counter()
    answers = _answers(allen, labs, n_repeats, memory, verbose)
    banners = [allen.banner(), *dict.fromkeys(lab.cells.banner() for lab in labs.values())]
    return {
        "banner": " ".join(banners),
        "protocol": "trained on all Allen cells of the classes, with fixed settings; "
        f"{counted(n_repeats, 'seed')}, answers pooled; no label of the new lab is used but where "
        "it is said; intervals by drawing donors of the new lab",
        "cells": {"trained on": describe_cells(allen)}
        | {name: describe_cells(lab.cells) for name, lab in labs.items()},
        "models": list(LAB_MODELS),
        "seeds": list(range(n_repeats)),
        "versions": versions("numpy", "scikit-learn", "torch"),
        "tables": {
            "carried": _carried(answers, labs),
            "reasons": _reasons(allen, answers, labs, memory, verbose),
            "within": _within(allen, labs),
            "shifts": _shifts(allen, labs),
            "fingerprints": _fingerprints(allen, labs, memory, verbose),
        },
        "wall_time_s": round(time.perf_counter() - started, 1),
    }


Answers = dict[tuple[str, str, str, str, int], pd.DataFrame]
"""Probabilities by lab, measurements, way of carrying, model and seed."""


def _inhibitory_or_all(allen: Cells, classes: tuple[str, ...]) -> Cells:
    return allen.select(allen.y.isin(classes))


def _tables(allen: Cells, new: Cells) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Return both tables in each choice of measurements."""
    train, other = shared_features(allen.X), shared_features(new.X)
    has_width = train[HALF_WIDTH].notna().any()  # the twin of the Allen cells has none
    twelve = [name for name in train if name != HALF_WIDTH]
    found = shift(_with(allen, train[twelve]), _with(new, other[twelve])).table
    inside = [name for name in twelve if not found.loc[name, "outside"]]
    choices = {TWELVE: twelve, THIRTEEN: list(train) if has_width else [], UNSHIFTED: inside}
    tables = {name: (train[of], other[of]) for name, of in choices.items() if len(of) > 1}
    if set(new.X.columns[new.X.notna().any()]) >= set(_TIMES):
        tables[RELEASED] = (allen.X.drop(columns=HALF_WIDTH), new.X[allen.X.columns[:-1]])
    return tables


_TIMES = ("peak_t_ramp", "peak_t_short_square", "trough_t_long_square")
"""Without them there are no released features to speak of."""


def _with(cells: Cells, X: pd.DataFrame) -> Cells:
    return own_cells(X, cells.y, cells.donors)


def _model(name: str, seed: int) -> BaseEstimator:
    return contenders(seed, [name])[name].estimator


def _answers(
    allen: Cells, labs: Mapping[str, Lab], n_repeats: int, memory: Memory | None, verbose: int
) -> Answers:
    keep, tasks, places = recorded(memory), [], []
    for lab, described in labs.items():
        train = _inhibitory_or_all(allen, described.classes)
        for features, (X, other) in _tables(train, described.cells).items():
            for name, seed in product(LAB_MODELS, range(n_repeats)):
                model = _model(name, seed)
                seen = (
                    X.to_numpy(),
                    other.to_numpy(),
                    train.y.tolist(),
                    described.cells.y.tolist(),
                )
                key = fingerprint("labs", *seen, list(X), DENSE, ONE_MASK, repr(model))
                task = partial(_carry, model, X, train, other, described.cells.y)
                tasks.append(delayed(keep)(key, task))
                places.append((lab, features, name, seed))
    found = in_processes(tasks, "other labs", verbose)
    return {
        (lab, features, way, name, seed): proba
        for (lab, features, name, seed), ways in zip(places, found, strict=True)
        for way, proba in ways.items()
    }


def _inputs(X: pd.DataFrame) -> Pipeline:
    is_released = "threshold_t_ramp" in X
    return model_inputs(X) if is_released else table_inputs()


def _carry(
    model: BaseEstimator, X: pd.DataFrame, train: Cells, other: pd.DataFrame, truth: pd.Series
) -> dict[str, pd.DataFrame]:
    """Train one model and carry it to another table in every way; by way, its probabilities."""
    pipeline = make_pipeline(_inputs(X), clone(model))
    fitted = fit_grouped(pipeline, X, train.y, train.donors)
    inputs, classifier = fitted[0], fitted[-1]
    classes = classifier.classes_
    columns = list(inputs.transform(X).columns)
    Z, W = (np.asarray(inputs.transform(table)) for table in (X, other))
    V = _own_medians(inputs, other)  # what is missing stands for the new table's median

    def predict(table: np.ndarray) -> np.ndarray:
        return np.asarray(classifier.predict_proba(pd.DataFrame(table, columns=columns)))

    of_class = np.searchsorted(classes, train.y)
    prior = np.bincount(of_class) / len(of_class)
    true = np.array([(truth == name).mean() for name in classes])
    as_it_is, moments = predict(W), predict(match_moments(V, Z))
    moved, _ = match_mixture(predict, V, Z, of_class)
    truly = match_moments(V, Z, (true / prior)[of_class])
    ways = {
        AS_IT_IS: as_it_is,
        SHARES: correct_priors(as_it_is, prior)[0],
        MOMENTS: moments,
        MOMENTS_SHARES: correct_priors(moments, prior)[0],
        "quantiles matched": predict(match_quantiles(V, Z)),
        MIXTURE: predict(moved),
        TRUE_SHARES: as_it_is * np.maximum(true, 1e-6) / prior,
        TRUE_MIXTURE: predict(truly),
    }
    return {way: pd.DataFrame(p, other.index, classes) for way, p in ways.items()}


def _own_medians(inputs: Pipeline, other: pd.DataFrame) -> np.ndarray:
    """Standardise by the training cells, but fill gaps with the medians of the new table."""
    before = [step for name, step in inputs.steps if name in ("engineer", "log")]
    for step in before:
        other = step.transform(other)
    filled = other.fillna(other.median())
    impute, scale = inputs.named_steps["impute"], inputs.named_steps["scale"]
    scaled = np.asarray(scale.transform(impute.transform(filled)))
    return np.clip(scaled, -20, 20)  # one strange cell must not move the mean of many


def _carried(answers: Answers, labs: Mapping[str, Lab]) -> pd.DataFrame:
    rows = []
    seeds = sorted({key[-1] for key in answers})
    for lab, features, way, name in dict.fromkeys(key[:-1] for key in answers):
        cells = labs[lab].cells
        truth, donors = cells.y.to_numpy(), cells.donors.to_numpy()
        predicted = [_predicted(answers[lab, features, way, name, seed]) for seed in seeds]
        before = [_predicted(answers[lab, TWELVE, AS_IT_IS, name, seed]) for seed in seeds]
        right = np.mean([c == truth for c in predicted], axis=0)
        gain = right - np.mean([c == truth for c in before], axis=0)
        row: dict[str, Any] = {"lab": lab, "measurements": features, "way": way, "model": name}
        estimates: dict[str, tuple[Any, Any, Any]] = {
            "accuracy": donor_interval(right, donors),
            "macro_f1": _donor_f1(
                np.tile(truth, len(seeds)), np.concatenate(predicted), np.tile(donors, len(seeds))
            ),
            "gain": donor_interval(gain, donors),
        }
        for what, (mean, low, high) in estimates.items():
            row |= {what: float(mean), f"{what}_low": float(low), f"{what}_high": float(high)}
        rows.append(row)
    return pd.DataFrame(rows)


def _predicted(proba: pd.DataFrame) -> np.ndarray:
    return proba.columns.to_numpy()[proba.to_numpy().argmax(axis=1)]


def _donor_f1(
    truth: np.ndarray, predicted: np.ndarray, donors: np.ndarray
) -> tuple[float, float, float]:
    """Macro F1 over the classes that are there, with an interval that draws donors."""
    classes = np.unique(truth)
    names, which = np.unique(donors, return_inverse=True)
    is_it, says_it = truth[:, None] == classes, predicted[:, None] == classes
    counts = np.zeros((len(names), 3, len(classes)))
    np.add.at(counts, which, np.stack([is_it & says_it, is_it, says_it], axis=1))
    rng = np.random.default_rng(0)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_N_BOOT)
    draws = np.tensordot(np.vstack([np.ones(len(names)), times]), counts, axes=1)
    hit, there, said = draws.transpose(1, 0, 2)
    # A class that a draw of donors lacks does not count in that draw.
    f1 = np.where(there > 0, 2 * hit / np.maximum(there + said, 1), np.nan)
    mean = np.nanmean(f1, axis=1)
    low, high = np.percentile(mean[1:], [2.5, 97.5])
    return float(mean[0]), float(low), float(high)


def _reasons(
    allen: Cells,
    answers: Answers,
    labs: Mapping[str, Lab],
    memory: Memory | None,
    verbose: int,
) -> pd.DataFrame:
    """Take the mean recall of three classes, so that shares of classes play no part."""
    three = allen.select(allen.y.isin(THREE))
    train, name = shared_features(allen.X), "LSPIN"
    tables = {RELEASED: allen.X.drop(columns=HALF_WIDTH)}
    tables[TWELVE] = train.drop(columns=HALF_WIDTH)
    if train[HALF_WIDTH].notna().any():
        tables[THIRTEEN] = train
    folds = donor_folds(allen.y, allen.donors)
    tasks, places = [], []
    for features, (fold, (seen, held)) in product(tables, enumerate(folds)):
        X, model = tables[features], _model(name, fold)
        key = fingerprint(
            "reasons", X.to_numpy(), allen.y.tolist(), DENSE, ONE_MASK, repr(model), held
        )
        task = partial(_own_fold, model, X, allen, seen, held)
        tasks.append(delayed(recorded(memory))(key, task))
        places.append(features)
    parts = in_processes(tasks, "own folds", verbose)
    of_features: dict[str, list[pd.DataFrame]] = {}
    for features, proba in zip(places, parts, strict=True):
        of_features.setdefault(features, []).append(proba)
    rows: list[dict[str, Any]] = []
    for features, probas in of_features.items():
        proba = pd.concat(probas).loc[three.X.index]
        rows.append({"where": "Allen, own folds", "measurements": features, "way": AS_IT_IS})
        rows[-1] |= _recall(proba, three)
    for lab, features, way, model, seed in answers:
        if lab.startswith("M1") and model == name and seed == 0 and features in tables:
            cells = labs[lab].cells
            cells = cells.select(cells.y.isin(THREE))
            row: dict[str, Any] = {"where": lab, "measurements": features, "way": way}
            rows.append(row | _recall(answers[lab, features, way, model, seed], cells))
    return pd.DataFrame(rows)


def _own_fold(
    model: BaseEstimator, X: pd.DataFrame, allen: Cells, seen: np.ndarray, held: np.ndarray
) -> pd.DataFrame:
    pipeline = make_pipeline(_inputs(X), clone(model))
    fit_grouped(pipeline, X.iloc[seen], allen.y.iloc[seen], allen.donors.iloc[seen])
    proba = pipeline.predict_proba(X.iloc[held])
    return pd.DataFrame(proba, X.index[held], pipeline.classes_)


def _recall(proba: pd.DataFrame, cells: Cells) -> dict[str, float]:
    """Mean over three classes of the share that is found, answers limited to these three."""
    predicted = _predicted(proba.loc[cells.X.index, list(THREE)])
    right = (predicted == cells.y).astype(float)
    # Each class counts the same, so that the mean over cells is the mean over classes.
    weight = 1 / cells.y.map(cells.y.value_counts()) / cells.y.nunique() * len(cells)
    mean, low, high = donor_interval(right * weight, cells.donors)
    return {"recall": float(mean), "low": float(low), "high": min(float(high), 1.0)}


def _within(allen: Cells, labs: Mapping[str, Lab]) -> pd.DataFrame:
    """Measure how far each class lies from the same class of the Allen cells, in its SD."""
    train = shared_features(allen.X)
    rows = []
    for lab, described in labs.items():
        other = shared_features(described.cells.X)
        for name, feature in product(described.cells.y.unique(), train):
            ours = train.loc[allen.y == name, feature].dropna()
            theirs = other.loc[described.cells.y == name, feature].dropna()
            if len(ours) and len(theirs):
                sd = (ours.quantile(0.75) - ours.quantile(0.25)) / 1.349
                row = {"lab": lab, "class": name, "feature": feature, "cells": len(theirs)}
                rows.append({**row, "distance": (theirs.median() - ours.median()) / sd})
    return pd.DataFrame(rows)


def _shifts(allen: Cells, labs: Mapping[str, Lab]) -> pd.DataFrame:
    """Measure what a reader would be warned of, without any label."""
    parts = []
    for lab, described in labs.items():
        train = _inhibitory_or_all(allen, described.classes)
        X = shared_features(train.X).dropna(axis=1, how="all")
        new = shared_features(described.cells.X)[list(X)]
        found = shift(_with(train, X), _with(described.cells, new)).table
        parts.append(found.drop(index=NOT_MEASURED).reset_index().assign(lab=lab))
    return pd.concat(parts, ignore_index=True)


def _fingerprints(
    allen: Cells, labs: Mapping[str, Lab], memory: Memory | None, verbose: int
) -> pd.DataFrame:
    """Ask by which gates each class is recognised, in models of one lab each; two folds."""
    parts = []
    tables = {"Allen": allen, "M1, 25 °C": labs["M1, 25 °C"].cells}
    both = shared_features(allen.X).dropna(axis=1, how="all").columns
    for lab, cells in tables.items():
        X = shared_features(cells.X)[both]
        key = fingerprint("fingerprints", X.to_numpy(), cells.y.tolist(), DENSE, ONE_MASK)
        task = partial(_fingerprint, _with(cells, X), verbose)
        parts.append(recorded(memory)(key, task).assign(lab=lab))
    return pd.concat(parts, ignore_index=True)


def _fingerprint(cells: Cells, verbose: int) -> pd.DataFrame:
    held: Sequence = hold_out(cells, LSPINClassifier(max_open=5), n_folds=2, verbose=verbose)
    return fingerprints(held).reset_index()
