"""The rival models, each with the settings it may choose from.

Each is a plain estimator for standardised inputs; `lspin.evaluate` puts the same
input pipeline in front of all of them, lets each choose its setting inside the
training donors, and records the choice. Settings are listed from simple to flexible,
around values that are usual for tables of this size. Every model uses one processor;
several are fitted at once instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd
from sklearn.base import ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from lspin.evaluate.realmlp import RealMLPClassifier
from lspin.evaluate.tabm import TabMClassifier
from lspin.model.estimator import LSPINClassifier

LIMITS = (3, 5, 8)
"""Budgets of open gates that LSPIN is scored with, beside no limit."""

FEW = 5
"""The budget that its relatives are given: STG and LLSPIN."""

QUICK = (
    "logistic regression",
    "RBF-SVM",
    "random forest",
    "histogram gradient boosting",
    "MLP",
)
"""The rivals of a quick comparison; see `quick_rivals`."""


@dataclass(frozen=True)
class Contender:
    """A model and the settings it may choose from.

    Attributes
    ----------
    estimator : classifier
        Unfitted, with settings that are reasonable if nothing is tuned.
    space : tuple of dict
        Settings to choose from, simplest first: parameters of `estimator` and their values. One
        empty dict where there is nothing to choose.
    note : str
        What kind of model this is, and what limits its settings.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from lspin.evaluate import Contender
    >>> Contender(SVC(), space=({"C": 1}, {"C": 3, "gamma": 0.01}), note="smooth").settings()
    ['C=1', 'C=3, gamma=0.01']
    """

    estimator: ClassifierMixin
    space: tuple[dict[str, Any], ...]
    note: str

    def settings(self) -> list[str]:
        """Return the settings in words, such as ``"C=3, gamma=0.01"``."""
        return [
            ", ".join(f"{name.rpartition('__')[2]}={value}" for name, value in setting.items())
            or "nothing to set"
            for setting in self.space
        ]


def gated_models(random_state: int | None = 0) -> dict[str, Contender]:
    """Return LSPIN, without a limit and with several, and its two relatives.

    None of them has anything to choose: a limit is what a reader asks for.

    Parameters
    ----------
    random_state : int or None
        Seeds all of them.

    Returns
    -------
    dict of str to Contender
        "LSPIN"; "LSPIN, 5 gates" and so on, for each of `LIMITS`; with `FEW` gates also those
        of gating networks, "LLSPIN", which puts linear predictors behind these, and "STG", whose
        gates are the same for all cells.

    Examples
    --------
    >>> from lspin.evaluate import gated_models
    >>> list(gated_models())[:3]
    ['LSPIN', 'LSPIN, 3 gates', 'LSPIN, 5 gates']
    """
    nothing: tuple[dict[str, Any], ...] = ({},)
    free = LSPINClassifier(random_state=random_state)
    models = {"LSPIN": Contender(free, nothing, "an ensemble that sees every measurement")}
    for limit in LIMITS:
        models[f"LSPIN, {limit} gates"] = Contender(
            clone(free).set_params(max_open=limit),
            nothing,
            f"gates closed one at a time until {limit} are open, then small networks",
        )
    few = clone(free).set_params(max_open=FEW, gating="local")
    models[f"gating network, {FEW} gates"] = Contender(
        few, nothing, f"gating networks that open {FEW} gates, then small networks"
    )
    models[f"LLSPIN, {FEW} gates"] = Contender(
        clone(few).set_params(predictor="linear"), nothing, "the same, then linear predictors"
    )
    models[f"STG, {FEW} gates"] = Contender(
        clone(few).set_params(gating="global"),
        nothing,
        "the same gates for every cell, then small networks",
    )
    return models


def ungated_models(random_state: int | None = 0) -> dict[str, Contender]:
    """Return the models that are not ours.

    Parameters
    ----------
    random_state : int or None
        Seeds the models that draw random numbers.

    Returns
    -------
    dict of str to Contender

    Examples
    --------
    >>> from lspin.evaluate import ungated_models
    >>> models = ungated_models()
    >>> models["LightGBM"].note
    'boosted trees, grown leaf by leaf'
    """
    # Both take about a second to import, and no chapter needs them. TabM and RealMLP import their
    # libraries when they are fitted.
    from interpret.glassbox import ExplainableBoostingClassifier
    from lightgbm import LGBMClassifier

    return {
        **_of_scikit_learn(random_state),
        "LightGBM": Contender(
            LGBMClassifier(random_state=random_state, n_jobs=1, verbose=-1),
            (
                {"num_leaves": 5, "n_estimators": 100},
                {"num_leaves": 8, "n_estimators": 100},
                {"num_leaves": 8, "n_estimators": 100, "colsample_bytree": 0.3},
                {"num_leaves": 8, "n_estimators": 150, "reg_lambda": 10.0},
                {"num_leaves": 15, "n_estimators": 150, "colsample_bytree": 0.3},
                {"num_leaves": 31, "n_estimators": 100},
            ),
            "boosted trees, grown leaf by leaf",
        ),
        "explainable boosting": Contender(
            # It models no interactions where there are more than two classes. More bins than 64
            # take longer and gained nothing on about 1100 training cells.
            ExplainableBoostingClassifier(
                interactions=0,
                max_bins=64,
                max_rounds=500,
                outer_bags=8,
                random_state=random_state,
                n_jobs=1,
            ),
            ({"learning_rate": 0.02}, {"learning_rate": 0.05}),
            "a sum of one boosted curve per feature; two settings only, because a fit is slow "
            "and early stopping makes the rest of its settings matter little",
        ),
        "TabM": Contender(
            TabMClassifier(random_state=random_state),
            ({"n_steps": 150}, {"n_steps": 300}),
            "32 networks that share most of their weights; small ones and two settings only, "
            "so that a fit takes seconds",
        ),
        "RealMLP": Contender(
            RealMLPClassifier(random_state=random_state),
            ({"n_epochs": 64}, {"n_epochs": 128}),
            "a neural network with settings found on many other tables; two numbers of epochs "
            "only, at most half of the authors' 256, because a fit is slow",
        ),
    }


def contenders(
    random_state: int | None = 0, names: Sequence[str] | None = None
) -> dict[str, Contender]:
    """Return LSPIN, its relatives and all rivals; see `gated_models` and `ungated_models`.

    Parameters
    ----------
    random_state : int or None
        Seeds all of them.
    names : sequence of str, optional
        Only these. Libraries of others need not be installed.

    Returns
    -------
    dict of str to Contender

    Examples
    --------
    >>> from lspin.evaluate import contenders
    >>> len(contenders()), list(contenders(names=["RBF-SVM"]))
    (18, ['RBF-SVM'])
    """
    models = {**gated_models(random_state), **_of_scikit_learn(random_state)}
    if names is None or set(names) - set(models):
        models |= ungated_models(random_state)
    return models if names is None else {name: models[name] for name in names}


def quick_rivals(random_state: int | None = 0) -> dict[str, ClassifierMixin]:
    """Return a few rivals with fixed, reasonable settings, for a quick comparison.

    Parameters
    ----------
    random_state : int or None
        Seeds the models that draw random numbers.

    Returns
    -------
    dict of str to estimator
        Those named in `QUICK`, unfitted.

    Examples
    --------
    >>> from lspin.evaluate import quick_rivals
    >>> list(quick_rivals())[:3]
    ['logistic regression', 'RBF-SVM', 'random forest']
    """
    models = _of_scikit_learn(random_state)
    return {name: models[name].estimator for name in QUICK}


def describe(models: Mapping[str, Contender]) -> pd.DataFrame:
    """Return a table of the models: what each is, and the settings it may choose from.

    Parameters
    ----------
    models : mapping of str to Contender

    Returns
    -------
    DataFrame
        A row per model: ``model``, ``what it is``, ``settings``.

    Examples
    --------
    >>> from lspin.evaluate import describe, gated_models
    >>> describe(gated_models()).loc["LSPIN", "settings"]
    'nothing to set'
    """
    rows = {
        name: {"what it is": model.note, "settings": "; ".join(model.settings())}
        for name, model in models.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def _of_scikit_learn(random_state: int | None) -> dict[str, Contender]:
    return {
        "logistic regression": Contender(
            LogisticRegression(C=0.3, max_iter=2000),
            tuple({"C": C} for C in (0.03, 0.1, 0.3, 1, 3)),
            "linear, small weights (L2 penalty)",
        ),
        "sparse logistic regression": Contender(
            OneVsRestClassifier(
                LogisticRegression(l1_ratio=1, solver="liblinear", random_state=random_state)
            ),
            tuple({"estimator__C": C} for C in (0.1, 0.3, 1, 3)),
            "linear, few weights (L1 penalty), one class against the rest",
        ),
        "RBF-SVM": Contender(
            # C and gamma as in the first measurements of this project (book/07_baselines). The
            # probabilities come from five further fits inside (Platt scaling).
            CalibratedClassifierCV(SVC(C=3.0, gamma=0.01), ensemble=False),
            tuple(
                {"estimator__C": C, "estimator__gamma": g}
                for C, g in product((1, 3, 10), (0.005, 0.01, 0.02))
            ),
            "smooth boundaries; cheap, so it may choose from most settings",
        ),
        "random forest": Contender(
            RandomForestClassifier(300, random_state=random_state),
            (
                {"min_samples_leaf": 3},
                {"max_features": 0.1},
                {"max_features": "sqrt"},
                {"max_features": "sqrt", "class_weight": "balanced_subsample"},
            ),
            "300 trees on resampled cells",
        ),
        "extra trees": Contender(
            ExtraTreesClassifier(300, random_state=random_state),
            (
                {"max_features": "sqrt", "min_samples_leaf": 2},
                {"max_features": "sqrt", "min_samples_leaf": 1},
                {"max_features": 0.3, "min_samples_leaf": 1},
                {
                    "max_features": 0.3,
                    "min_samples_leaf": 2,
                    "class_weight": "balanced_subsample",
                },
                {"max_features": 0.6, "min_samples_leaf": 1},
            ),
            "300 trees with random thresholds",
        ),
        "histogram gradient boosting": Contender(
            # Early stopping would set cells aside without regard to donors.
            HistGradientBoostingClassifier(early_stopping=False, random_state=random_state),
            (
                {"max_leaf_nodes": 5},
                {"max_leaf_nodes": 8},
                {"max_leaf_nodes": 8, "l2_regularization": 10.0},
                {
                    "max_leaf_nodes": 8,
                    "learning_rate": 0.05,
                    "max_iter": 150,
                    "max_features": 0.3,
                },
                {"max_leaf_nodes": 31},
            ),
            "boosted trees on binned features, 100 to 150 rounds",
        ),
        "MLP": Contender(
            # Strong weight decay instead of early stopping, whose split would ignore donors; with
            # it, ReLU networks sometimes never leave the largest class, tanh networks do.
            MLPClassifier(
                (64, 32), activation="tanh", alpha=3.0, max_iter=1000, random_state=random_state
            ),
            (
                {"hidden_layer_sizes": (64,), "alpha": 3.0},
                {"hidden_layer_sizes": (128,), "alpha": 3.0},
                {"hidden_layer_sizes": (128,), "alpha": 1.0},
                {"hidden_layer_sizes": (64, 32), "alpha": 3.0},
                {"hidden_layer_sizes": (64, 32), "alpha": 1.0},
            ),
            "a plain neural network without gates",
        ),
    }
