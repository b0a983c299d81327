"""What each part of LSPIN's recipe is worth: leave one out, score again (`make ablation`).

Donor-grouped 5-fold on the authors' table with seeds that the recorded protocol does not use.
These scores chose the recipe, so they are no estimate of how well it does; for that there is
the nested protocol of `make results`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch.nn import functional as F
from tqdm import tqdm

from lspin import LSPINClassifier
from lspin.data import donor_folds
from lspin.evaluate import expected_calibration_error
from lspin.features import model_inputs
from lspin.model import (
    READERS,
    REGULARISATIONS,
    Lesson,
    closing,
    count_open,
    distillation,
    estimator,
    lesson,
    n_workers,
    splits,
)
from lspin.studies import RESULTS, authors_table, write_results

OUTPUT = RESULTS / "ablation.json"
SEEDS = (100, 101)
MIDDLE = REGULARISATIONS[4]


def hard_lesson(dense, x, target, members, **settings) -> Lesson:
    """Keep a cell's own label, and of what is said of a mixture only the winning class."""
    taught = lesson(dense, x, target, members, **settings)
    said = F.one_hot(taught.target[len(x) :].argmax(dim=1), target.shape[1])
    return taught._replace(target=torch.cat([target, said.to(target)]))


def lesson_without_mixtures(dense, x, target, members, **settings) -> Lesson:
    """Teach about the training cells only."""
    taught = lesson(dense, x, target, members, **settings)
    x, target, weight = (part[: len(x)] for part in taught[:3])
    return taught._replace(x=x, target=target, weight=weight)


def dense_ones(regularisations: tuple) -> tuple[tuple[ModuleType, str, Any], ...]:
    """Say how the networks that see everything are to be regularised."""
    return ((splits, "REGULARISATIONS", regularisations),)


def readers(regularisations: tuple) -> tuple[tuple[ModuleType, str, Any], ...]:
    """Say how many predictors are behind the gates, and how they are to be regularised."""
    return ((distillation, "READERS", regularisations),)


def taught_by(function: Callable[..., Lesson]) -> tuple[tuple[ModuleType, str, Any], ...]:
    """Say what is to teach the model with one mask."""
    return ((estimator, "lesson", function),)


@dataclass(frozen=True)
class Variant:
    """What is changed: parameters, and names in modules."""

    parameters: dict[str, Any] = field(default_factory=dict)
    patches: tuple[tuple[ModuleType, str, Any], ...] = ()


WEAK_DECAY = tuple(reader._replace(weight_decay=0.1) for reader in READERS)
NO_MIXUP = tuple(r._replace(mixup=0.0) for r in REGULARISATIONS)
FIVE = {"max_open": 5}

VARIANTS = {
    "no limit, as shipped": Variant(),
    "no limit, one regularisation": Variant(patches=dense_ones((MIDDLE,))),
    "no limit, no mixup": Variant(patches=dense_ones(NO_MIXUP)),
    "no limit, 1 network": Variant({"n_members": 1}, dense_ones((MIDDLE,))),
    "5 gates, as shipped": Variant(FIVE),
    "5 gates, hard labels": Variant(FIVE, taught_by(hard_lesson)),
    "5 gates, no mixtures": Variant(FIVE, taught_by(lesson_without_mixtures)),
    "5 gates, 1 predictor": Variant(FIVE, readers(READERS[:1])),
    "5 gates, weak decay": Variant(FIVE, readers(WEAK_DECAY)),
    "5 gates, a quarter of the gates a round": Variant(FIVE, ((closing, "ONE_IN", 4),)),
    "5 gates, gating networks": Variant(FIVE | {"gating": "local"}),
}
"""By name. One regularisation is the middle one of twelve."""


def score(name: str, seed: int) -> dict[str, float | str]:
    """Cross-validate one variant with one seed."""
    variant = VARIANTS[name]
    cells = authors_table()
    labels, target = np.unique(cells.y, return_inverse=True)
    proba = np.empty((len(cells), len(labels)))
    n_open = []
    with ExitStack() as changed:
        for module, attribute, value in variant.patches:
            changed.enter_context(mock.patch.object(module, attribute, value))
        for fold, (train, test) in enumerate(donor_folds(cells.y, cells.donors, random_state=seed)):
            inputs = model_inputs(cells.X).fit(cells.X.iloc[train])
            x_train, x_test = (inputs.transform(cells.X.iloc[rows]) for rows in (train, test))
            model = LSPINClassifier(**variant.parameters, random_state=seed * 10 + fold)
            model.fit(x_train, target[train], groups=cells.donors.iloc[train])
            proba[test] = model.predict_proba(x_test)
            n_open.append(count_open(model.gates(x_test)))
    predicted = proba.argmax(axis=1)
    return {
        "variant": name,
        "seed": seed,
        "accuracy": accuracy_score(target, predicted),
        "macro_f1": f1_score(target, predicted, average="macro"),
        "log_loss": log_loss(target, proba),
        "ece": expected_calibration_error(target, proba, np.arange(len(labels))),
        "open_gates": float(np.mean(n_open)),
    }


def main() -> None:
    """Score all variants and write them down."""
    tasks = [delayed(score)(name, seed) for name in VARIANTS for seed in SEEDS]
    running = Parallel(n_jobs=n_workers(), return_as="generator")(tasks)
    rows = pd.DataFrame(tqdm(running, desc="ablation", total=len(tasks)))
    means = rows.drop(columns="seed").groupby("variant", sort=False).mean()
    print(means.round(4).to_string())
    about = {
        "study": "LSPIN's recipe with one part changed",
        "banner": authors_table().banner(),
        "protocol": "donor-grouped stratified 5-fold, pooled predictions, seeds "
        f"{SEEDS}; not nested: these scores chose the recipe",
    }
    write_results({**about, "tables": {"scores": rows.round(5)}}, OUTPUT)


if __name__ == "__main__":
    main()
