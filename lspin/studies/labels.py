"""One table of cells with two labels: what the Cre line says, and what the cell's own RNA says."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from joblib import Memory, delayed
from sklearn.metrics import roc_auc_score

from lspin.data import Cells, donor_folds, in_five_classes, load_cells
from lspin.evaluate.cross_validation import in_processes
from lspin.evaluate.nested import OUTER_FOLDS, search
from lspin.evaluate.rivals import Contender, contenders
from lspin.evaluate.scores import corrected_t_test, donor_interval, score
from lspin.explain.held_out import HeldOut, train_on
from lspin.explain.odd import odd_cells
from lspin.features.inputs import model_inputs
from lspin.model.cache import fingerprint, recorded
from lspin.model.estimator import LSPINClassifier
from lspin.model.recipe import DENSE, ONE_MASK
from lspin.studies.records import counted, describe_cells, versions

LABEL_MODELS = ("LSPIN", "LSPIN, 5 gates", "RBF-SVM", "logistic regression", "random forest")
"""What is trained on either label."""

LISTS = (10, 50, 100)
"""How many of the oddest cells of a fold are looked at."""

CRE, RNA = "Cre line", "RNA"
"""The two labels."""

_N_BINS = 10
_FEW = "LSPIN, 5 gates"


@dataclass(frozen=True)
class _Answer:
    """What one model, trained on one label, says of the cells of one fold."""

    proba: pd.DataFrame
    predicted: pd.Series
    is_open: pd.DataFrame | None = None
    odd: pd.Index | None = None


def cells_with_both_labels(or_twin: bool = False) -> tuple[Cells, Cells]:
    """Return the inhibitory cells of source ``v1`` that have a Cre line and a T-type.

    Parameters
    ----------
    or_twin : bool
        As in `load_cells`.

    Returns
    -------
    by_cre, by_rna : Cells
        The same cells in the same order, once with the class of their Cre line and once with that
        of their RNA; four classes, under the same names.

    Examples
    --------
    >>> from lspin.studies import cells_with_both_labels
    >>> by_cre, by_rna = cells_with_both_labels(or_twin=True)
    >>> by_cre.X.equals(by_rna.X), by_rna.classes
    (True, ('Htr3a+|Vip-', 'Pvalb+', 'Sst+', 'Vip+'))
    """
    by_cre = load_cells("v1", labels="cre", or_twin=or_twin)
    by_rna = in_five_classes(load_cells("v1", or_twin=or_twin))
    both = by_cre.X.index[(by_cre.y != "Glutamatergic") & by_cre.X.index.isin(by_rna.X.index)]
    return by_cre.select(both), by_rna.select(both)


def evaluate_labels(
    by_cre: Cells,
    by_rna: Cells,
    *,
    models: Sequence[str] = LABEL_MODELS,
    n_repeats: int = 1,
    memory: Memory | None = None,
    verbose: int = 1,
) -> dict[str, Any]:
    """Train on either label, score against either, and ask which one the measurements believe.

    Parameters
    ----------
    by_cre, by_rna : Cells
        From `cells_with_both_labels`.
    models : sequence of str
        Some of `LABEL_MODELS`, "LSPIN, 5 gates" among them.
    n_repeats : int
        Repeats of five folds.
    memory : joblib.Memory, optional
        Keeps each trained fold on disk.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    dict
        For `write_results`. ``tables``: ``scores`` per model, label and fold; ``calibration`` and
        ``reliability`` of the pooled answers; ``lines``, what a Cre line is worth; ``believed``,
        whom the answers agree with where the labels differ; ``odd``, how many of the oddest cells
        are mislabelled; ``gates`` and ``overlap``, what the label does to the open gates. It holds
        no single cells.

    Examples
    --------
    Takes some minutes; `lspin.studies` keeps what it returned.

    >>> from lspin.studies import cells_with_both_labels, evaluate_labels
    >>> results = evaluate_labels(*cells_with_both_labels(or_twin=True))  # doctest: +SKIP
    """
    started = time.perf_counter()
    labelled = {CRE: by_cre, RNA: by_rna}
    answers = _answers(labelled, models, n_repeats, memory, verbose)
    pooled = {
        (label, name): _pool([answers[label, name, 0, fold] for fold in range(OUTER_FOLDS)])
        for label, name in product(labelled, models)
    }
    overlap = _overlap(labelled, answers, memory)
    about = {f"{label} → {by}": describe_cells(labelled[label]) for label, by in _PAIRS}
    return {
        "banner": by_rna.banner(),
        "protocol": f"{counted(n_repeats, 'repeat')} of {OUTER_FOLDS} donor-grouped stratified "
        "folds, the same for both labels; settings chosen inside the training donors, and by the "
        "label that the model is trained on; the support vector machine may choose from three, the "
        "forest has "
        "one",
        "cells": about,
        "models": list(models),
        "seeds": list(range(n_repeats)),
        "versions": versions("numpy", "scikit-learn", "torch"),
        "wall_time_s": round(time.perf_counter() - started, 1),
        "tables": {
            "scores": _scores(answers, labelled),
            "calibration": _calibration(pooled, labelled),
            "reliability": _reliability(pooled, labelled),
            "lines": _lines(by_cre, by_rna),
            "believed": _believed(pooled, by_cre, by_rna),
            "odd": _odd(answers, by_cre, by_rna, models, n_repeats),
            "gates": _gates(pooled, labelled),
            "overlap": overlap,
        },
    }


_PAIRS = ((CRE, CRE), (CRE, RNA), (RNA, RNA), (RNA, CRE))
"""Trained on, scored on."""


def _contenders(names: Sequence[str], seed: int) -> dict[str, Contender]:
    """Return the models with few settings, so that all of this takes minutes."""
    chosen = contenders(seed, names)
    for name, keep in (("RBF-SVM", slice(3, 6)), ("random forest", slice(2, 3))):
        if name in chosen:
            chosen[name] = replace(chosen[name], space=chosen[name].space[keep])
    return chosen


def _answers(
    labelled: Mapping[str, Cells],
    names: Sequence[str],
    n_repeats: int,
    memory: Memory | None,
    verbose: int,
) -> dict[tuple[str, str, int, int], _Answer]:
    """Train every model on every label and fold; by label, model, repeat and fold."""
    keep, tasks, places = recorded(memory), [], []
    for repeat in range(n_repeats):
        models = _contenders(names, repeat)
        folds = _folds(labelled, repeat)
        for (label, cells), fold in product(labelled.items(), range(OUTER_FOLDS)):
            for name, model in models.items():
                key = _key(cells, model, repeat, fold)
                task = partial(_answer, model, cells, *folds[fold], repeat)
                tasks.append(delayed(keep)(key, task))
                places.append((label, name, repeat, fold))
    found = in_processes(tasks, "two labels", verbose)
    return dict(zip(places, found, strict=True))


def _folds(labelled: Mapping[str, Cells], repeat: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return folds that are the same whatever the label."""
    cells = labelled[CRE]
    return donor_folds(cells.y, cells.donors, OUTER_FOLDS, repeat)


def _key(cells: Cells, model: Contender, *more: Any) -> str:
    return fingerprint(
        *("labels", cells.X.to_numpy(), cells.y.tolist(), cells.donors.tolist()),
        *(DENSE, ONE_MASK, repr(model.estimator), model.space, *more),
    )


def _answer(
    model: Contender, cells: Cells, train: np.ndarray, test: np.ndarray, seed: int
) -> _Answer:
    index = cells.X.index[test]
    if isinstance(model.estimator, LSPINClassifier):
        seen = cells.select(cells.X.index[train])
        held = HeldOut(train_on(seen, model.estimator, seed), seen, cells.select(index))
        proba = pd.DataFrame(held.probability, index, held.model.classes_)
        predicted = pd.Series(held.predicted, index)
        if model.estimator.max_open is None:
            return _Answer(proba, predicted)
        is_open = pd.DataFrame(held.gates > 0, index, held.Z.columns)
        return _Answer(proba, predicted, is_open, odd_cells(held).index)
    data = (cells.X, cells.y, cells.donors)
    refit = search(model, model_inputs(cells.X), *data, train, test, seed).refit
    proba = pd.DataFrame(refit.proba, index, np.unique(cells.y))
    return _Answer(proba, pd.Series(refit.predicted, index))


def _pool(parts: Sequence[_Answer]) -> _Answer:
    """Put the answers of all folds together."""
    is_open = [part.is_open for part in parts if part.is_open is not None]
    return _Answer(
        pd.concat([part.proba for part in parts]),
        pd.concat([part.predicted for part in parts]),
        pd.concat(is_open) if is_open else None,
    )


def _scores(answers: Mapping[tuple, _Answer], labelled: Mapping[str, Cells]) -> pd.DataFrame:
    rows = []
    n = len(labelled[CRE])
    for trained, by in _PAIRS:
        for (label, name, repeat, fold), answer in answers.items():
            if label != trained:
                continue
            index = answer.predicted.index
            truth, proba = labelled[by].y[index], answer.proba.to_numpy()
            row = {"table": f"{trained} → {by}", "model": name, "repeat": repeat, "fold": fold}
            row |= score(truth, answer.predicted, proba, answer.proba.columns)
            if answer.is_open is not None:
                row["open_gates"] = float(answer.is_open.sum(axis=1).median())
            rows.append({**row, "n_train": n - len(index), "n_test": len(index)})
    return pd.DataFrame(rows)


def _calibration(pooled: Mapping[tuple, _Answer], labelled: Mapping[str, Cells]) -> pd.DataFrame:
    """Compare how sure the answers are with how often they are right."""
    rows = []
    for trained, by in _PAIRS:
        for (label, name), answer in pooled.items():
            if label != trained:
                continue
            truth = labelled[by].y[answer.predicted.index]
            found = score(truth, answer.predicted, answer.proba.to_numpy(), answer.proba.columns)
            row = {"table": f"{trained} → {by}", "model": name, "repeat": 0, "ece": found["ece"]}
            row |= {"confidence": answer.proba.max(axis=1).mean(), "accuracy": found["accuracy"]}
            rows.append(row)
    return pd.DataFrame(rows)


def _reliability(pooled: Mapping[tuple, _Answer], labelled: Mapping[str, Cells]) -> pd.DataFrame:
    """Compare how sure and how right the answers are, in bins of how sure they are."""
    rows = []
    for trained, by in _PAIRS:
        for (label, name), answer in pooled.items():
            if label != trained:
                continue
            confidence = answer.proba.max(axis=1)
            hit = answer.proba.idxmax(axis=1) == labelled[by].y[confidence.index]
            bins = np.ceil(confidence * _N_BINS).rename("bin")
            table = pd.DataFrame({"confidence": confidence, "accuracy": hit}).groupby(bins)
            found = table.mean().assign(cells=table.size(), model=name)
            rows.append(found.assign(table=f"{trained} → {by}").reset_index(drop=True))
    return pd.concat(rows, ignore_index=True)


def _lines(by_cre: Cells, by_rna: Cells) -> pd.DataFrame:
    """Count in how many cells of each line the RNA says the same class."""
    agrees = by_cre.y == by_rna.y
    lines = by_cre.metadata["line_name"]
    rows = []
    for of, mine in [("all", agrees), *agrees.groupby(lines)]:
        mean, low, high = donor_interval(mine, by_cre.donors[mine.index])
        row = {"line": of, "class": by_cre.y[mine.index[0]] if of != "all" else "all"}
        row |= {"cells": len(mine), "donors": int(by_cre.donors[mine.index].nunique())}
        rows.append({**row, "agree": float(mean), "low": float(low), "high": float(high)})
    return pd.DataFrame(rows)


def _believed(pooled: Mapping[tuple, _Answer], by_cre: Cells, by_rna: Cells) -> pd.DataFrame:
    """Count, where the labels differ, which one models trained on Cre lines agree with."""
    differ = by_cre.X.index[by_cre.y != by_rna.y]
    lines = by_cre.metadata.loc[differ, "line_name"]
    rows = []
    for (label, name), answer in pooled.items():
        if label != CRE:
            continue
        said = answer.predicted.loc[differ]
        sides = pd.DataFrame({"rna": said == by_rna.y[differ], "cre": said == by_cre.y[differ]})
        for of, mine in [("all", sides), *sides.groupby(lines)]:
            donors = by_cre.donors[mine.index]
            row = {"model": name, "line": of, "cells": len(mine), "donors": donors.nunique()}
            for side, (mean, low, high) in zip(
                sides, zip(*donor_interval(mine, donors), strict=True), strict=True
            ):
                row |= {side: float(mean), f"{side}_low": float(low), f"{side}_high": float(high)}
            rows.append(row)
    return pd.DataFrame(rows)


def _odd(
    answers: Mapping[tuple, _Answer],
    by_cre: Cells,
    by_rna: Cells,
    models: Sequence[str],
    n_repeats: int,
) -> pd.DataFrame:
    """Count the mislabelled cells at the top of each list; mean over folds."""
    wrong = by_cre.y != by_rna.y
    found: dict[tuple[str, str], list[float]] = {}
    sizes = []
    for repeat, fold in product(range(n_repeats), range(OUTER_FOLDS)):
        orders = {}
        for name in models:
            answer = answers[CRE, name, repeat, fold]
            index = answer.predicted.index
            own = answer.proba.to_numpy()[np.arange(len(index)), _columns(answer, by_cre.y[index])]
            orders[f"{name}: low probability of the label"] = index[np.argsort(own, kind="stable")]
            if answer.odd is not None:
                orders[f"{name}: gates unlike the label"] = answer.odd
        sizes.append(len(index))
        for order, ranked in orders.items():
            is_wrong = wrong[ranked].to_numpy()
            tops = {f"top {k}": is_wrong[:k].mean() for k in LISTS}
            tops |= {"auc": roc_auc_score(is_wrong, -np.arange(len(ranked)))}
            for what, value in {**tops, "chance": is_wrong.mean()}.items():
                found.setdefault((order, what), []).append(value)
    n_test = float(np.mean(sizes))
    rows = []
    for (order, what), values in found.items():
        e = corrected_t_test(values, np.zeros(len(values)), len(wrong) - n_test, n_test)
        low, high = max(e.low, 0.0), min(e.high, 1.0)  # shares
        rows.append({"order": order, "what": what, "mean": e.mean, "low": low, "high": high})
    return pd.DataFrame(rows)


def _columns(answer: _Answer, y: pd.Series) -> np.ndarray:
    return answer.proba.columns.get_indexer(pd.Index(y))


def _gates(pooled: Mapping[tuple, _Answer], labelled: Mapping[str, Cells]) -> pd.DataFrame:
    """Count how often each gate is open for the cells predicted to be of each class."""
    rows = []
    for label in labelled:
        answer = pooled[label, _FEW]
        assert answer.is_open is not None
        for of, mine in answer.predicted.groupby(answer.predicted):
            is_open = answer.is_open.loc[mine.index]
            mean, low, high = donor_interval(is_open, labelled[label].donors[mine.index])
            table = pd.DataFrame({"open": mean, "low": low, "high": high}, is_open.columns)
            table.index.name = "feature"
            rows.append(table.reset_index().assign(trained_on=label, **{"class": of}))
    return pd.concat(rows, ignore_index=True)


def _overlap(
    labelled: Mapping[str, Cells], answers: Mapping[tuple, _Answer], memory: Memory | None
) -> pd.DataFrame:
    """Compare a cell's open gates under two trainings (Jaccard index), on the first fold."""
    model = _contenders([_FEW], 100)[_FEW]
    key = _key(labelled[CRE], model, "again")
    task = partial(_answer, model, labelled[CRE], *_folds(labelled, 0)[0], 100)
    again = recorded(memory)(key, task).is_open
    first = answers[CRE, _FEW, 0, 0].is_open
    other = answers[RNA, _FEW, 0, 0].is_open
    assert first is not None and again is not None and other is not None
    shuffled = first.sample(frac=1, random_state=0).to_numpy()
    pairs = {
        "the same label, another seed": again.to_numpy(),
        "the other label": other.to_numpy(),
        "another cell, the same model": shuffled,
    }
    rows = []
    a, donors = first.to_numpy(), labelled[CRE].donors[first.index]
    for what, b in pairs.items():
        both = (a & b).sum(axis=1) / np.maximum((a | b).sum(axis=1), 1)
        mean, low, high = donor_interval(both, donors)
        row = {"compared with": what, "overlap": float(mean), "low": float(low)}
        rows.append({**row, "high": float(high)})
    return pd.DataFrame(rows)
