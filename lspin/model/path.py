"""A path: the same model under one limit after another, scored honestly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from joblib import Memory, Parallel, delayed
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.metrics import accuracy_score, f1_score, log_loss, mean_squared_error, r2_score
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, check_consistent_length, check_random_state
from tqdm import tqdm

from lspin.data.tables import aligned
from lspin.model.cache import fingerprint, recorded
from lspin.model.closing import ClosingLSPIN
from lspin.model.network import PackedLSPIN
from lspin.model.selection import count_open, of_every_class, one_standard_error
from lspin.model.splits import check_groups, check_sample_weight, shuffled_folds
from lspin.model.threads import n_workers, own_torch_state
from lspin.model.training import Task

if TYPE_CHECKING:
    from lspin.model.estimator import LSPINClassifier, LSPINRegressor, Plan

BUDGETS = (1, 2, 3, 5, 8, 12, 20, None)
"""Open gates of a path, from a single measurement to no limit."""

N_SPLITS = 5
"""Folds the cells are cut into, even if fewer of them are tested."""


@dataclass(frozen=True)
class LimitPath:
    """What `lspin_path` returns.

    Attributes
    ----------
    limit : {"max_open", "lam"}
        Which parameter was varied.
    scores : DataFrame
        A row per fold and limit: accuracy, macro_f1 and log_loss, or mse and r2 in regression;
        and the median number of gates that are open in a cell (open_gates). No limit is inf.
    rows : ndarray of int, shape (m,)
        The rows of `X` that were held out in some fold, in the order of `gates`.
    gates : ndarray, shape (n_limits, m, d)
        Gates of each held-out cell, by models that never saw its donor.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from lspin.model import LimitPath
    >>> scores = pd.DataFrame({"fold": [0, 1], "max_open": [5, 5], "macro_f1": [0.75, 0.77]})
    >>> path = LimitPath("max_open", scores, rows=np.arange(10), gates=np.zeros((1, 10, 42)))
    >>> round(float(path.summary().loc[5, "macro_f1"]), 2)
    0.76
    """

    limit: str
    scores: pd.DataFrame
    rows: np.ndarray
    gates: np.ndarray

    def summary(self) -> pd.DataFrame:
        """Return the mean of the scores over folds, a row per limit."""
        return self.scores.drop(columns="fold").groupby(self.limit).mean()

    def one_standard_error(self) -> float:
        """Return the tightest limit that is as good as the best, by `one_standard_error`.

        Good is a high macro F1, or a low squared error in regression.
        """
        good = self.scores["macro_f1"] if "macro_f1" in self.scores else -self.scores["mse"]
        by_limit = {at: v.tolist() for at, v in good.groupby(self.scores[self.limit])}
        simplest = "least" if self.limit == "max_open" else "largest"
        return one_standard_error(by_limit, simplest=simplest)


@own_torch_state()
def lspin_path(
    model: LSPINClassifier | LSPINRegressor | Pipeline,
    X: pd.DataFrame | ArrayLike,
    y: ArrayLike,
    *,
    limit: str = "max_open",
    values: Sequence[float | None] = BUDGETS,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    n_folds: int = 1,
    n_splits: int = N_SPLITS,
    memory: Memory | None = None,
    on_fold: Callable[[LimitPath], object] | None = None,
    verbose: int = 1,
) -> LimitPath:
    """Train the model under one limit after another, and score each on held-out donors.

    It gives what fitting `model` anew for every fold and limit gives, if one random stream goes
    through the folds; what the models of all limits learn from is made once per fold. Trainings
    run through joblib: in threads, or wherever an enclosing ``joblib.parallel_config`` says, for
    example on a Dask cluster.

    Parameters
    ----------
    model : LSPINClassifier, LSPINRegressor, or Pipeline that ends in one
        Not changed (a RandomState in it moves on); all its parameters but the limit are obeyed.
        What comes before it in a pipeline is fitted on training cells only.
    X : DataFrame or array-like, shape (n, d)
        Features as `model` takes them: standardised, unless its pipeline sees to that.
    y : array-like, shape (n,)
        Class of each cell, or its value. Series go by the index of `X`, if it has one.
    limit : {"max_open", "lam"}
        Which parameter to vary.
    values : sequence of float or None
        Its values; no limit is None, or for "lam" 0.
    groups : array-like, shape (n,), optional
        Donor of each cell; no donor is on both sides of any split.
    sample_weight : array-like, shape (n,), optional
        How much each cell counts, in training (as in `LSPINClassifier.fit`) and in the scores; one
        of weight 0 is as if it were not there. What comes before the model is fitted without.
    n_folds : int
        How many folds of the cross-validation to run: 1 is a quick look.
    n_splits : int
        How many folds the cells are cut into, at least `n_folds`.
    memory : joblib.Memory, optional
        Records every finished training on disk; one that is recorded is not run again,
        neither after an interruption nor by another worker.
    on_fold : callable, optional
        Called with the path so far whenever a fold is done, for example to plot it.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    LimitPath

    Raises
    ------
    TypeError
        If `model` has no gates.
    ValueError
        If limits, folds or data cannot be used.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from lspin import LSPINClassifier, load_cells, lspin_path
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> model = LSPINClassifier(n_members=1, n_steps=20, random_state=0)
    >>> model = make_pipeline(model_inputs(few.X), model)
    >>> path = lspin_path(model, few.X, few.y, values=(3, None), groups=few.donors, verbose=0)
    >>> path.summary().index.tolist()
    [3.0, inf]
    """
    inputs = model[:-1] if isinstance(model, Pipeline) and len(model) > 1 else None
    model = model[-1] if isinstance(model, Pipeline) else model
    if not hasattr(model, "_plan"):
        raise TypeError(f"A path needs an LSPINClassifier or LSPINRegressor, got {model!r}.")
    if limit not in ("max_open", "lam"):
        raise ValueError(f"limit must be 'max_open' or 'lam', got {limit!r}.")
    values = np.atleast_1d(np.asarray(values, dtype=object)).tolist()
    if not values or n_folds < 1:
        raise ValueError(f"A path needs at least one limit and one fold, got {values}, {n_folds}.")
    models = [
        clone(model).set_params(**{"max_open": None, "lam": 0.0, limit: value}) for value in values
    ]
    for one in models:
        one._recipes()  # refuses a value before anything is trained
    if isinstance(X, pd.DataFrame):
        y = aligned(y, X.index, "y")
        groups = None if groups is None else aligned(groups, X.index, "groups")
        if sample_weight is not None:
            sample_weight = aligned(sample_weight, X.index, "sample_weight")
    if issparse(X):
        raise TypeError("A path needs dense data: give X.toarray().")
    check_consistent_length(X, y)
    y = np.asarray(y)
    donors = None if groups is None else check_groups(groups, len(y))
    weight = None if sample_weight is None else check_sample_weight(sample_weight, len(y))
    rng = check_random_state(model.random_state)
    kept = np.arange(len(y)) if weight is None else np.flatnonzero(weight)
    cut = _cut(
        y[kept], None if donors is None else donors[kept], max(n_splits, n_folds), rng, model.task
    )
    folds = [(kept[train], kept[test]) for train, test in cut[:n_folds]]

    bar = tqdm(desc="path", total=n_folds * (1 + len(values)), disable=not verbose)
    run = Parallel(n_jobs=n_workers(), prefer="threads")
    done = recorded(memory)
    scores, rows, gates = [], [], []
    for k, (train, test) in enumerate(folds):
        fold = _Fold(models, inputs, X, y, donors, weight, train, test, rng)
        fold.learn(done)
        bar.update()
        keys = [fold.mask_key(i) for i in range(len(values))]
        tasks = {key: partial(fold.behind_masks, i) for i, key in enumerate(keys)}
        trained = run(delayed(done)(*task) for task in tasks.items())
        networks = dict(zip(tasks, trained, strict=True))  # one may serve several limits
        for i, key in enumerate(keys):
            row, found = fold.score(i, networks[key])
            at = math.inf if values[i] is None else values[i]
            scores.append({"fold": k, limit: at, **row})
            gates.append(found)
            bar.update()
        rows.append(test)
        by_fold = [np.stack(gates[j * len(values) :][: len(values)]) for j in range(k + 1)]
        path = LimitPath(
            limit, pd.DataFrame(scores), np.concatenate(rows), np.concatenate(by_fold, axis=1)
        )
        if on_fold is not None:
            on_fold(path)
    bar.close()
    return path


class _Fold:
    """The models of one fold: its cells, and the rows and seeds of their networks."""

    def __init__(
        self,
        models: Sequence[LSPINClassifier | LSPINRegressor],
        inputs: Pipeline | None,
        X: pd.DataFrame | ArrayLike,
        y: np.ndarray,
        donors: np.ndarray | None,
        weight: np.ndarray | None,
        train: np.ndarray,
        test: np.ndarray,
        rng: np.random.RandomState,
    ) -> None:
        Z, self.Z_test = _rows(X, train), _rows(X, test)
        if inputs is not None:
            inputs = clone(inputs)
            Z, self.Z_test = inputs.fit_transform(Z, y[train]), inputs.transform(self.Z_test)
        check_array(self.Z_test, input_name="X")  # not only when they are scored
        self.models, self.y, self.test = [clone(model) for model in models], y, test
        self.closing: ClosingLSPIN | None = None
        groups = None if donors is None else donors[train]
        sample_weight, self.weight = None, None
        if weight is not None:
            sample_weight, self.weight = weight[train], weight[test]
        # All draw the same numbers, so that only the limit differs; the stream moves on once.
        state = rng.get_state()
        self.plans = []
        for model in self.models:
            rng.set_state(state)
            self.plans.append(model._plan(Z, y[train], groups, rng, sample_weight))

    def key(self, *more: Any) -> str:
        """Return a text that stands for all that a training depends on."""
        plan = self.plans[0]
        # Tensors have no hash that is the same for equal ones.
        weight = plan.training.get("weight")
        arrays = (plan.X, plan.target, None if weight is None else weight.cpu().numpy())
        device = str(self.models[0].device)
        if plan.sample_weight is not None:
            more = (*more, plan.sample_weight)
        return fingerprint(*arrays, plan.task, device, plan.recipe, plan.members, more)

    def learn(self, done: Callable) -> None:
        """Train the networks that see everything, and let them teach if any limit closes gates."""
        plan = self.plans[0]
        self.dense = done(self.key(), plan.dense)
        if any(plan.is_sparse for plan in self.plans):
            self.taught = done(self.key("lesson", plan.seed), partial(plan.lesson, self.dense))

    def mask_key(self, i: int) -> str:
        """Return the same for limits that one training serves."""
        plan = self.plans[i]
        if not plan.is_sparse:
            return self.key("no limit")
        recipe = plan.mask_recipe
        if recipe.gating == "closing":
            recipe = replace(recipe, lam=0.0, max_open=None)
        return self.key(recipe, plan.seed)

    def behind_masks(self, i: int) -> PackedLSPIN:
        plan = self.plans[i]
        return plan.behind_masks(self.taught) if plan.is_sparse else self.dense

    def score(self, i: int, network: PackedLSPIN) -> tuple[dict[str, float], np.ndarray]:
        """Return the scores, and the gates (m, d), of the held-out cells."""
        fitted, plan = self.models[i], self.plans[i]
        fitted._adopt(self._model(plan, network), plan, self.taught if plan.is_sparse else None)
        gates = fitted.gates(self.Z_test)
        row = _score(fitted, self.Z_test, self.y[self.test], np.unique(self.y), self.weight)
        return {**row, "open_gates": count_open(gates)}, gates

    def _model(self, plan: Plan, network: PackedLSPIN) -> PackedLSPIN | ClosingLSPIN:
        if not plan.is_sparse:
            return deepcopy(network)
        if self.closing is not None:  # which knows in which order gates close
            return self.closing.limited(plan.mask_recipe)
        model = deepcopy(plan.sparse(self.taught, network))
        if isinstance(model, ClosingLSPIN):
            self.closing = model
        return model


def _cut(
    y: np.ndarray,
    donors: np.ndarray | None,
    n_splits: int,
    rng: np.random.RandomState,
    task: Task,
) -> list[tuple[np.ndarray, np.ndarray]]:
    n_units = len(y) if donors is None else len(np.unique(donors))
    if n_units < n_splits:
        what = "rows" if donors is None else "donors"
        raise ValueError(f"{n_splits} folds need at least as many {what}, got {n_units}.")
    return shuffled_folds(y, donors, n_splits, rng, task=task)


def _rows(X: pd.DataFrame | ArrayLike, rows: np.ndarray) -> pd.DataFrame | np.ndarray:
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else np.asarray(X)[rows]


def _score(
    fitted: LSPINClassifier | LSPINRegressor,
    Z: pd.DataFrame | np.ndarray,
    truth: np.ndarray,
    classes: np.ndarray,
    weight: np.ndarray | None,
) -> dict[str, float]:
    if fitted.task == "regression":
        predicted = fitted.predict(Z)
        return {
            "mse": mean_squared_error(truth, predicted, sample_weight=weight),
            "r2": r2_score(truth, predicted, sample_weight=weight),
        }
    proba = of_every_class(fitted.predict_proba(Z), fitted.classes_, classes)
    predicted = classes[proba.argmax(axis=1)]
    return {
        "accuracy": accuracy_score(truth, predicted, sample_weight=weight),
        "macro_f1": f1_score(truth, predicted, average="macro", sample_weight=weight),
        "log_loss": log_loss(truth, proba, labels=classes, sample_weight=weight),
    }
