"""What each part of LSPIN's recipe is worth: leave one out, score again (`make ablation`).

Donor-grouped 5-fold on the authors' table with seeds that the recorded protocol does not use.
These scores chose the recipe, so they are no estimate of how well it does; for that there is
the nested protocol of `make results`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.metrics import accuracy_score, f1_score, log_loss
from tqdm import tqdm

from lspin import LSPINClassifier
from lspin.data import donor_folds
from lspin.evaluate import expected_calibration_error
from lspin.features import model_inputs
from lspin.model import Recipe, count_open, n_workers
from lspin.studies import RESULTS, authors_table, write_results

OUTPUT = RESULTS / "ablation.json"
SEEDS = (100, 101)

BUDGET = {"lam": 0.0, "max_open": 5}
MEAN_OF_PROBABILITIES = "price, mean of probabilities"


VARIANTS = {
    # name: (parameters of LSPINClassifier, settings of its recipe)
    "price, as shipped": ({}, {}),
    "price, 16 members": ({"n_members": 16}, {}),
    "price, 1 member": ({"n_members": 1}, {}),
    "price, no mixup": ({"mixup": 0.0}, {}),
    "price, no label smoothing": ({}, {"label_smoothing": 0.0}),
    "price, lambda 0.5 without its rise": ({"lam": 0.5}, {"ramp": 1e-9}),
    "price, little weight decay": ({"weight_decay": 0.01}, {}),
    "price, 1000 steps": ({"n_steps": 1000}, {}),
    "price, twice as wide": ({}, {"gate_hidden": (128, 128), "predictor_hidden": (128, 64)}),
    "price, linear gates": ({"gating": "linear"}, {}),
    "price, global gates": ({"gating": "global"}, {}),
    MEAN_OF_PROBABILITIES: ({}, {}),
    "budget of 5, as shipped": (BUDGET, {}),
    "budget of 5, 16 members": (BUDGET | {"n_members": 16}, {}),
    "budget of 5, no mixup": (BUDGET | {"mixup": 0.0}, {}),
    "budget of 5, little weight decay": (BUDGET | {"weight_decay": 0.01}, {}),
    "budget of 5, 300 steps": (BUDGET | {"n_steps": 300}, {}),
    "budget of 5, linear gates": (BUDGET | {"gating": "linear"}, {}),
    "budget of 5, global gates": (BUDGET | {"gating": "global"}, {}),
    "price instead of a budget, lambda 8": ({"lam": 8.0, "n_steps": 1000}, {}),
}


def mean_of_probabilities(model, x):
    """Pool networks by the mean of their probabilities instead of their logits."""
    with torch.no_grad():
        logits, _ = model.network_(torch.tensor(np.asarray(x)))
    return logits.softmax(dim=2).mean(dim=0).numpy()


def score(name: str, seed: int) -> dict[str, float | str]:
    """Cross-validate one variant with one seed."""
    parameters, settings = VARIANTS[name]
    cells = authors_table()
    labels, target = np.unique(cells.y, return_inverse=True)
    proba = np.empty((len(cells), len(labels)))
    n_open = []
    for fold, (train, test) in enumerate(donor_folds(cells.y, cells.donors, random_state=seed)):
        inputs = model_inputs(cells.X).fit(cells.X.iloc[train])
        x_train, x_test = (inputs.transform(cells.X.iloc[rows]) for rows in (train, test))
        model = LSPINClassifier(
            **parameters, recipe=replace(Recipe(), **settings), random_state=seed * 10 + fold
        )
        model.fit(x_train, target[train], groups=cells.donors.iloc[train])
        pooled = (
            mean_of_probabilities if name == MEAN_OF_PROBABILITIES else type(model).predict_proba
        )
        proba[test] = pooled(model, x_test)
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
    write_results({**about, "tables": {"scores": rows.round(5)}}, OUTPUT)


if __name__ == "__main__":
    main()
