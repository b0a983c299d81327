"""Do mouse cells help to name human ones? Two further tasks of Ophir et al. (2024), scored anew."""

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
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline, make_pipeline

from lspin.data import Cells, donor_folds, in_five_classes, load_cells
from lspin.evaluate.cross_validation import fit_grouped, in_processes, open_gates
from lspin.evaluate.nested import OUTER_FOLDS
from lspin.evaluate.scores import score
from lspin.features.inputs import ReleasedFeatures, model_inputs
from lspin.model.cache import fingerprint, recorded
from lspin.model.recipe import DENSE, ONE_MASK
from lspin.studies.labs import LAB_MODELS, _model
from lspin.studies.records import counted, describe_cells, versions

HUMAN, MOUSE, BOTH = "human cells", "mouse cells", "human and mouse cells"
"""What a model is trained on. Mouse cells alone are standardised with their own mean."""

PER_CLASS = 200
"""Mouse cells of a class, at most: more take longer, and would outnumber the human ones further."""


@dataclass(frozen=True)
class Pair:
    """Human cells to be named, and mouse cells that may help.

    Attributes
    ----------
    human, mouse : Cells
        With the same classes and the same columns.

    Examples
    --------
    >>> from lspin.studies import species_pairs
    >>> pairs = species_pairs(or_twin=True)
    >>> pairs["subclass from RNA"].human.classes == pairs["subclass from RNA"].mouse.classes
    True
    """

    human: Cells
    mouse: Cells


def species_pairs(or_twin: bool = False) -> dict[str, Pair]:
    """Return both tasks, by name.

    Parameters
    ----------
    or_twin : bool
        As in `load_cells`; the twin of the Allen table has no human cells, so it lacks one task.

    Returns
    -------
    dict of str to Pair
        ``excitatory or inhibitory``: spiny or aspiny dendrites, Allen cells of both species,
        sparsely spiny ones left out. ``subclass from RNA``: inhibitory cells of sources ``human``
        and ``v1``.

    Examples
    --------
    >>> from lspin.studies import species_pairs
    >>> "subclass from RNA" in species_pairs(or_twin=True)
    True
    """
    v1, human = (in_five_classes(load_cells(name, or_twin=or_twin)) for name in ("v1", "human"))
    human, v1 = _engineered(human), _engineered(v1)
    there = human.X.columns[human.X.notna().any() & v1.X.notna().any()]
    human, v1 = (replace(cells, X=cells.X[there]) for cells in (human, v1))
    pairs = {"subclass from RNA": Pair(human, _few(v1))}
    if v1.is_synthetic:
        return pairs
    mouse = load_cells("allen", "all")
    mouse = mouse.select(mouse.metadata["dendrite_type"].isin(["spiny", "aspiny"]))
    by_dendrite = mouse.metadata["dendrite_type"].rename("class")
    mouse = replace(mouse, y=by_dendrite, labels="own")  # not one of the classes of Cre lines
    pair = Pair(load_cells("allen", species="human"), _few(mouse))
    return {"excitatory or inhibitory": pair, **pairs}


def _engineered(cells: Cells) -> Cells:
    return replace(cells, X=ReleasedFeatures().fit_transform(cells.X))


def _few(cells: Cells) -> Cells:
    drawn = cells.y.groupby(cells.y).sample(frac=1, random_state=0)
    return cells.select(drawn.groupby(drawn).head(PER_CLASS).sort_index().index)


def evaluate_species(
    pairs: Mapping[str, Pair],
    *,
    n_repeats: int = 1,
    memory: Memory | None = None,
    verbose: int = 1,
) -> dict[str, Any]:
    """Name human cells by models trained on human cells, mouse cells, or both.

    Parameters
    ----------
    pairs : mapping of str to Pair
        From `species_pairs`.
    n_repeats : int
        Repeats of five folds of the human donors.
    memory : joblib.Memory, optional
        Keeps each trained fold on disk.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    dict
        For `write_results`. ``tables``: ``scores`` on human cells, a row per task, what was trained
        on, model, repeat and fold.

    Examples
    --------
    Takes some minutes; `lspin.studies` keeps what it returned.

    >>> from lspin.studies import evaluate_species, species_pairs
    >>> results = evaluate_species(species_pairs())  # doctest: +SKIP
    """
    started = time.perf_counter()
    tasks, places = [], []
    for task, pair in pairs.items():
        for name, on, repeat in product(LAB_MODELS, (HUMAN, MOUSE, BOTH), range(n_repeats)):
            folds = donor_folds(pair.human.y, pair.human.donors, OUTER_FOLDS, repeat)
            # What is trained on mouse cells alone is the same in every fold.
            for some in [folds] if on == MOUSE else [[fold] for fold in folds]:
                model = _model(name, repeat)
                work = partial(_scores, pair, model, on, some)
                tasks.append(delayed(recorded(memory))(_key(pair, model, on, some), work))
                places.append({"task": task, "trained on": on, "model": name, "repeat": repeat})
    found = in_processes(tasks, "species", verbose)
    rows = [
        {**place, **scores}
        for place, of_folds in zip(places, found, strict=True)
        for scores in of_folds
    ]
    table = pd.DataFrame(rows)
    table.insert(4, "fold", table.groupby(["task", "trained on", "model", "repeat"]).cumcount())
    return {
        "banner": " ".join(dict.fromkeys(pair.human.banner() for pair in pairs.values())),
        "protocol": f"{counted(n_repeats, 'repeat')} of {OUTER_FOLDS} folds by human donor, fixed "
        "settings; each measurement standardised within its species, by training cells only",
        "cells": {
            f"{task}, {species}": describe_cells(cells)
            for task, pair in pairs.items()
            for species, cells in (("human", pair.human), ("mouse", pair.mouse))
        },
        "seeds": list(range(n_repeats)),
        "versions": versions("numpy", "scikit-learn", "torch"),
        "wall_time_s": round(time.perf_counter() - started, 1),
        "tables": {"scores": table},
    }


Folds = Sequence[tuple[np.ndarray, np.ndarray]]


def _key(pair: Pair, model: BaseEstimator, on: str, folds: Folds) -> str:
    parts = [(cells.X.to_numpy(), cells.y.tolist()) for cells in (pair.human, pair.mouse)]
    return fingerprint("species", parts, DENSE, ONE_MASK, repr(model), on, folds)


def _scores(pair: Pair, model: BaseEstimator, on: str, folds: Folds) -> list[dict[str, float]]:
    """Train on some cells, and score on human donors that took no part: once for each fold."""
    human, mouse = pair.human, pair.mouse
    mouse_part = (model_inputs(mouse.X).fit_transform(mouse.X), mouse.y, mouse.donors)
    pipeline: Pipeline | None = None
    rows = []
    for train, test in folds:
        inputs = model_inputs(human.X).fit(human.X.iloc[train])
        x_train = inputs.transform(human.X.iloc[train])
        human_part = (x_train, human.y.iloc[train], human.donors.iloc[train])
        parts = {HUMAN: [human_part], MOUSE: [mouse_part], BOTH: [human_part, mouse_part]}[on]
        X, y, donors = (pd.concat(part) for part in zip(*parts, strict=True))
        if pipeline is None:
            pipeline = make_pipeline("passthrough", clone(model))
            fit_grouped(pipeline, X, y, donors)
        x_test, truth = inputs.transform(human.X.iloc[test]), human.y.iloc[test]
        proba, classes = pipeline.predict_proba(x_test), pipeline.classes_
        scores = score(truth, classes[proba.argmax(axis=1)], proba, classes)
        sizes = {"n_train": len(X), "n_test": len(test)}
        rows.append({**scores, **open_gates(pipeline, x_test), **sizes})
    return rows
