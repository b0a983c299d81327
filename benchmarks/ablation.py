"""What each part of LSPIN's recipe is worth: leave one out, score again (`make ablation`).

Donor-grouped 5-fold on the authors' table with seeds that the recorded protocol does not use.
These scores chose the recipe, so they are no estimate of how well it does; for that there is
the nested protocol of `make results`.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from unittest.mock import patch

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.metrics import accuracy_score, f1_score, log_loss
from tqdm import tqdm

from lspin import LSPINClassifier
from lspin.evaluation import count_open, donor_folds, write_results
from lspin.features import model_inputs
from lspin.scores import expected_calibration_error
from lspin.studies import RESULTS, authors_table
from lspin.threads import n_workers

OUTPUT = RESULTS / "ablation.json"
SEEDS = (100, 101)

BUDGET = {"lam": 0.0, "max_open": 5}


def mean_of_probabilities(logits):
    """Pool networks by the mean of their probabilities instead of their logits."""
    return logits.softmax(dim=2).mean(dim=0)


VARIANTS = {
    # name: (parameters of LSPINClassifier, settings of lspin.training and lspin.network)
    "price, as shipped": ({}, {}),
    "price, 16 members": ({"n_members": 16}, {}),
    "price, 1 member": ({"n_members": 1}, {}),
    "price, no mixup": ({"mixup": 0.0}, {}),
    "price, no label smoothing": ({}, {"training.LABEL_SMOOTHING": 0.0}),
    "price, lambda 0.5 without its rise": ({"lam": 0.5}, {"training.RAMP": 1e-9}),
    "price, little weight decay": ({"weight_decay": 0.01}, {}),
    "price, 1000 steps": ({"n_steps": 1000}, {}),
    "price, twice as wide": (
        {},
        {"network.GATE_HIDDEN": (128, 128), "network.PREDICTOR_HIDDEN": (128, 64)},
    ),
    "price, linear gates": ({"gating": "linear"}, {}),
    "price, global gates": ({"gating": "global"}, {}),
    "price, mean of probabilities": ({}, {"estimator.pooled_probabilities": mean_of_probabilities}),
    "budget of 5, as shipped": (BUDGET, {}),
    "budget of 5, 16 members": (BUDGET | {"n_members": 16}, {}),
    "budget of 5, no mixup": (BUDGET | {"mixup": 0.0}, {}),
    "budget of 5, little weight decay": (BUDGET | {"weight_decay": 0.01}, {}),
    "budget of 5, 300 steps": (BUDGET | {"n_steps": 300}, {}),
    "budget of 5, linear gates": (BUDGET | {"gating": "linear"}, {}),
    "budget of 5, global gates": (BUDGET | {"gating": "global"}, {}),
    "price instead of a budget, lambda 8": ({"lam": 8.0, "n_steps": 1000}, {}),
}


def score(name: str, seed: int) -> dict[str, float | str]:
    """Cross-validate one variant with one seed."""
    parameters, constants = VARIANTS[name]
    cells = authors_table()
    labels, target = np.unique(cells.y, return_inverse=True)
    proba = np.empty((len(cells), len(labels)))
    n_open = []
    for fold, (train, test) in enumerate(donor_folds(cells.y, cells.donors, random_state=seed)):
        inputs = model_inputs(cells.X).fit(cells.X.iloc[train])
        model = clone(LSPINClassifier(random_state=seed * 10 + fold)).set_params(**parameters)
        with ExitStack() as changed:
            for constant, value in constants.items():
                changed.enter_context(patch(f"lspin.{constant}", value))
            x_train, x_test = (inputs.transform(cells.X.iloc[rows]) for rows in (train, test))
            model.fit(x_train, target[train], groups=cells.donors.iloc[train])
            proba[test] = model.predict_proba(x_test)
        n_open.append(count_open(model.member_gates(x_test)))
    predicted = proba.argmax(axis=1)
    return {
        "variant": name,
        "seed": seed,
        "accuracy": accuracy_score(target, predicted),
        "macro_f1": f1_score(target, predicted, average="macro"),
        "log_loss": log_loss(target, proba),
        "ece": expected_calibration_error(target, proba, np.arange(len(labels))),
        **pd.DataFrame(n_open).mean(),
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
    write_results({**about, "scores": json.loads(rows.round(5).to_json(orient="records"))}, OUTPUT)


if __name__ == "__main__":
    main()
