"""All cross-examinations of the reasons of LSPIN, recorded with their provenance."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from joblib import Memory
from sklearn.metrics import roc_auc_score

from lspin.data.tables import Cells, dendrites_contradict
from lspin.evaluate.scores import donor_interval
from lspin.explain.claims import check_claims, fingerprints
from lspin.explain.faithfulness import EXPLAINERS, faithfulness
from lspin.explain.groups import SAME, feature_groups
from lspin.explain.held_out import HeldOut, hold_out
from lspin.explain.leakage import leakage
from lspin.explain.odd import odd_cells
from lspin.explain.stability import refits, selection_frequency, stability
from lspin.model.cache import fingerprint, recorded
from lspin.model.estimator import LSPINClassifier
from lspin.model.recipe import DENSE, ONE_MASK, READER, READERS
from lspin.model.selection import count_open
from lspin.studies.records import describe_cells, versions


def examined() -> dict[str, LSPINClassifier]:
    """Return the models whose reasons are examined, not fitted: with few open gates, with more.

    Returns
    -------
    dict of str to LSPINClassifier

    Examples
    --------
    >>> from lspin.studies import examined
    >>> list(examined())
    ['5 gates', '8 gates', '5 gates, network']
    """
    models = {f"{limit} gates": LSPINClassifier(max_open=limit) for limit in (5, 8)}
    return models | {"5 gates, network": LSPINClassifier(max_open=5, gating="local")}


def sealed() -> dict[str, LSPINClassifier]:
    """Return models whose gates are equal for all cells, and so cannot leak.

    Returns
    -------
    dict of str to LSPINClassifier

    Examples
    --------
    >>> from lspin.studies import sealed
    >>> {model.gating for model in sealed().values()}
    {'global'}
    """
    return {
        f"{limit} gates, global": LSPINClassifier(max_open=limit, gating="global")
        for limit in (5, 8)
    }


def evaluate_explanations(
    cells: Cells,
    models: Mapping[str, LSPINClassifier] | None = None,
    *,
    per_class: int = 5,
    n_draws: int = 8,
    memory: Memory | None = None,
    verbose: int = 1,
) -> dict[str, Any]:
    """Cross-examine the reasons of some models on one table of cells.

    Needs the libraries shap and captum; takes some minutes a model.

    Parameters
    ----------
    cells : Cells
        Cells with donors.
    models : mapping of str to LSPINClassifier, optional
        Whose reasons; those of `examined` by default.
    per_class : int
        Cells of each predicted class, in each fold, whose measurements are deleted and inserted.
    n_draws : int
        How often to draw donors anew for the stability of the reasons.
    memory : joblib.Memory, optional
        Keeps what was asked of each model on disk.
    verbose : int
        0 is quiet, 1 shows progress bars.

    Returns
    -------
    dict
        For `write_results`: ``tables`` and their provenance. It holds no single cells.

    Raises
    ------
    ImportError
        If shap or captum is missing.

    Examples
    --------
    Takes some minutes; `lspin.studies` keeps what it returned.

    >>> from lspin import load_cells
    >>> from lspin.studies import evaluate_explanations
    >>> results = evaluate_explanations(load_cells("twin"))  # doctest: +SKIP
    """
    started = time.perf_counter()
    found = versions("numpy", "scikit-learn", "torch", "shap", "captum")  # fails if one is missing
    models = examined() if models is None else models
    keep, table = (
        recorded(memory),
        fingerprint(cells.X.to_numpy(), cells.y.tolist(), cells.donors.tolist()),
    )
    parts: dict[str, list[pd.DataFrame]] = {}
    for name, model in models.items():
        key = fingerprint(table, DENSE, READER, READERS, ONE_MASK, repr(model), per_class, n_draws)
        ask = partial(_cross_examine, cells, model, per_class, n_draws, verbose)
        for table_name, rows in keep(key, ask).items():
            parts.setdefault(table_name, []).append(rows.assign(model=name))
    for name, model in sealed().items():
        key = fingerprint(table, DENSE, READER, READERS, ONE_MASK, repr(model), "leakage only")
        leaks = keep(key, partial(_leakage, cells, model, verbose))
        parts["leakage"].append(leaks.assign(model=name))
    return {
        **describe_cells(cells),
        "protocol": "donor-grouped stratified 5-fold; stability on the first fold",
        "models": {name: repr(model) for name, model in models.items()},
        "same": SAME,
        "versions": found,
        "wall_time_s": round(time.perf_counter() - started, 1),
        "tables": {name: pd.concat(rows, ignore_index=True) for name, rows in parts.items()},
    }


def _leakage(cells: Cells, model: LSPINClassifier, verbose: int) -> pd.DataFrame:
    return leakage(hold_out(cells, model, verbose=verbose))


def _cross_examine(
    cells: Cells, model: LSPINClassifier, per_class: int, n_draws: int, verbose: int
) -> dict[str, pd.DataFrame]:
    """Ask one model everything; return the tables of answers."""
    held = hold_out(cells, model, verbose=verbose)
    groups = feature_groups(pd.concat([h.Z for h in held]))
    trained = refits(held[0], n_draws=n_draws, verbose=verbose)
    return {
        "gates": pd.DataFrame([{"open_gates": count_open(h.gates)} for h in held]),
        "faithfulness": _recorded_areas(held, per_class, verbose),
        "stability": stability(held[0], trained, groups),
        "frequency": selection_frequency(held[0], trained["donors drawn anew"], groups),
        "leakage": leakage(held),
        "fingerprints": fingerprints(held).reset_index(),
        "claims": check_claims(held),
        "odd": _recorded_odd(held),
    }


def _recorded_areas(held: Sequence[HeldOut], per_class: int, verbose: int) -> pd.DataFrame:
    """Mean areas per way of closing, class and order, with intervals over donors."""
    rows = []
    # Gates that are set anew for every trial take long, so fewer cells are asked.
    for gates, regate, n in (("as they were", False, per_class), ("set anew", True, 1)):
        areas, _ = faithfulness(held, EXPLAINERS, regate=regate, per_class=n, verbose=verbose)
        for of, mine in [("all", areas), *areas.groupby("class")]:
            for order, table in mine.groupby("order"):
                row = {"gates": gates, "class": of, "order": order, "cells": len(table)}
                for curve in ("deletion", "insertion"):
                    mean, low, high = donor_interval(table[curve], table["donor"])
                    row |= {curve: float(mean), f"{curve}_low": float(low)}
                    row[f"{curve}_high"] = float(high)
                rows.append(row)
    return pd.DataFrame(rows)


def _recorded_odd(held: Sequence[HeldOut]) -> pd.DataFrame:
    """How well the odd cells are those whose dendrites contradict their label.

    Fold by fold, because gates of different models do not compare; mean over folds.
    """
    rows = []
    for h in held:
        odd = odd_cells(h)
        contradicts = dendrites_contradict(odd["dendrite_type"], odd["class"])
        if contradicts.nunique() < 2:
            continue  # a cohort chosen by its dendrites
        orders = {
            "gates unlike the label": odd.index,
            "low probability of the label": odd["probability"].sort_values().index,
        }
        for name, order in orders.items():
            ranked = contradicts.loc[order]
            row = {"order": name, "auc": roc_auc_score(ranked, -np.arange(len(ranked)))}
            row |= {"contradict": ranked.mean(), "contradict_among_10": ranked.head(10).mean()}
            rows.append(row)
    return pd.DataFrame(rows).groupby("order").mean().reset_index() if rows else pd.DataFrame()
