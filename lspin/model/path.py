"""The lambda path: the same ensemble under rising prices of an open gate, scored honestly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from joblib import Memory, Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.metrics import accuracy_score, f1_score, log_loss, mean_squared_error, r2_score
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from tqdm import tqdm

from lspin.data.tables import aligned
from lspin.model.cache import fingerprint, recorded
from lspin.model.network import PackedLSPIN
from lspin.model.recipe import whole_number
from lspin.model.selection import check_lam, count_open, of_every_class, one_standard_error
from lspin.model.splits import check_groups, shuffled_folds
from lspin.model.threads import n_workers
from lspin.model.training import Task, fit_pack

if TYPE_CHECKING:
    from lspin.model.estimator import LSPINClassifier, LSPINRegressor

LAMS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Lambdas of a path, from every gate free to hardly any open."""

N_SPLITS = 5
"""Folds the cells are cut into, even if fewer of them are tested."""

PATH_PACK_SIZE = 20
"""Members in a pack: more than in a single fit, since there are many and large packs spend a
smaller share of their time in Python, where threads do wait for each other."""


@dataclass(frozen=True)
class LambdaPath:
    """What `lspin_path` returns.

    Attributes
    ----------
    scores : DataFrame
        A row per fold and lambda: accuracy, macro_f1 and log_loss, or mse and r2 in regression;
        and the median number of open gates per cell, of one member (open_gates) and of the whole
        ensemble (open_gates_union).
    rows : ndarray of int, shape (m,)
        The rows of `X` that were held out in some fold, in the order of `gates`.
    gates : ndarray, shape (n_lams, m, d)
        Gates of each held-out cell, averaged over the ensemble that never saw its donor.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from lspin.model import LambdaPath
    >>> scores = pd.DataFrame({"fold": [0, 1], "lam": [2.0, 2.0], "macro_f1": [0.75, 0.77]})
    >>> path = LambdaPath(scores, rows=np.arange(10), gates=np.zeros((1, 10, 42)))
    >>> round(float(path.summary().loc[2.0, "macro_f1"]), 2)
    0.76
    """

    scores: pd.DataFrame
    rows: np.ndarray
    gates: np.ndarray

    def summary(self) -> pd.DataFrame:
        """Return the mean of the scores over folds, a row per lambda."""
        return self.scores.drop(columns="fold").groupby("lam").mean()

    def one_standard_error(self) -> float:
        """Return the largest lambda that is as good as the best, by `one_standard_error`.

        Good is a high macro F1, or a low squared error in regression.
        """
        good = self.scores["macro_f1"] if "macro_f1" in self.scores else -self.scores["mse"]
        by_lam = good.groupby(self.scores["lam"])
        return one_standard_error({lam: values.tolist() for lam, values in by_lam})


def lspin_path(
    model: LSPINClassifier | LSPINRegressor | Pipeline,
    X: pd.DataFrame | ArrayLike,
    y: ArrayLike,
    *,
    lams: Sequence[float] = LAMS,
    groups: ArrayLike | None = None,
    n_folds: int = 1,
    n_splits: int = N_SPLITS,
    memory: Memory | None = None,
    on_fold: Callable[[LambdaPath], object] | None = None,
    verbose: int = 1,
) -> LambdaPath:
    """Train an ensemble for every lambda, all at once, and score each on held-out donors.

    It gives what fitting `model` anew for every fold and lambda gives, if one random stream goes
    through the folds. Members of different
    lambdas share their seeds and rows, so that only lambda differs. Folds x lambdas x members are
    cut into packs, which run through joblib: in threads, or wherever an enclosing
    ``joblib.parallel_config`` says, for example on a Dask cluster.

    Parameters
    ----------
    model : LSPINClassifier, LSPINRegressor, or Pipeline that ends in one
        Not changed (a RandomState in it moves on); all its parameters but ``lam`` are obeyed. What
        comes before it in a pipeline is fitted on training cells only.
    X : DataFrame or array-like, shape (n, d)
        Features as `model` takes them: standardised, unless its pipeline sees to that.
    y : array-like, shape (n,)
        Class of each cell, or its value. Series go by the index of `X`, if it has one.
    lams : sequence of float
        Weights of the open-gate penalty.
    groups : array-like, shape (n,), optional
        Donor of each cell; no donor is on both sides of any split.
    n_folds : int
        How many folds of the cross-validation to run: 1 is a quick look.
    n_splits : int
        How many folds the cells are cut into, at least `n_folds`.
    memory : joblib.Memory, optional
        Records every finished pack on disk; a pack that is recorded is not run again,
        neither after an interruption nor by another worker.
    on_fold : callable, optional
        Called with the path so far whenever a fold is done, for example to plot it.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    LambdaPath

    Raises
    ------
    TypeError
        If `model` has no gates.
    ValueError
        If lambdas, folds or data cannot be used.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from lspin import LSPINClassifier, load_cells, lspin_path
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> model = make_pipeline(model_inputs(few.X), LSPINClassifier(n_members=1, random_state=0))
    >>> path = lspin_path(model, few.X, few.y, lams=(0.0, 4.0), groups=few.donors, verbose=0)
    >>> gates = path.summary()["open_gates"]
    >>> bool(gates[4.0] < gates[0.0])
    True
    """
    inputs = model[:-1] if isinstance(model, Pipeline) and len(model) > 1 else None
    model = model[-1] if isinstance(model, Pipeline) else model
    if not hasattr(model, "_plan"):
        raise TypeError(f"A path needs an LSPINClassifier or LSPINRegressor, got {model!r}.")
    lams = np.atleast_1d(np.asarray(lams, dtype=object)).tolist()
    for lam in lams:
        check_lam(lam)
    if not lams or n_folds < 1:
        raise ValueError(f"A path needs at least one lambda and one fold, got {lams}, {n_folds}.")
    n_members = whole_number("n_members", model.n_members)
    if isinstance(X, pd.DataFrame):
        y = aligned(y, X.index, "y")
        groups = None if groups is None else aligned(groups, X.index, "groups")
    y = np.asarray(y)
    donors = None if groups is None else check_groups(groups, len(y))
    rng = check_random_state(model.random_state)
    folds = _cut(y, donors, max(n_splits, n_folds), rng, model.task)[:n_folds]

    run = recorded(memory)
    fits: list[_Fit] = []

    def tasks() -> Iterator[Any]:
        # Made one by one while others are trained; the order, and so the random numbers, are fixed.
        for train, test in folds:
            fits.append(_Fit(model, inputs, X, y, donors, train, test, rng))
            for key, task in fits[-1].packs(lams):
                yield delayed(run)(key, task)

    packs_per_fold = -(-len(lams) * n_members // PATH_PACK_SIZE)
    results = Parallel(n_jobs=n_workers(), prefer="threads", return_as="generator")(tasks())
    bar = tqdm(desc="lambda path", total=n_folds * packs_per_fold, disable=not verbose)
    scores, rows, gates = [], [], []
    for k, (_, test) in enumerate(folds):
        packs = []
        for _ in range(packs_per_fold):
            packs.append(next(results))
            bar.update()
        found = fits[k].scores(PackedLSPIN.joined(packs), lams)
        scores += [
            {"fold": k, "lam": lam, **row} for lam, (row, _) in zip(lams, found, strict=True)
        ]
        rows.append(test)
        gates.append(np.stack([mean_gates for _, mean_gates in found]))
        path = LambdaPath(pd.DataFrame(scores), np.concatenate(rows), np.concatenate(gates, axis=1))
        if on_fold is not None:
            on_fold(path)
    bar.close()
    return path


class _Fit:
    """The estimator of one fold: its cells, and the rows and seeds of its members."""

    def __init__(
        self,
        model: LSPINClassifier | LSPINRegressor,
        inputs: Pipeline | None,
        X: pd.DataFrame | ArrayLike,
        y: np.ndarray,
        donors: np.ndarray | None,
        train: np.ndarray,
        test: np.ndarray,
        rng: np.random.RandomState,
    ) -> None:
        Z, self.Z_test = _rows(X, train), _rows(X, test)
        if inputs is not None:
            inputs = clone(inputs)
            Z, self.Z_test = inputs.fit_transform(Z, y[train]), inputs.transform(self.Z_test)
        self.model, self.y, self.test = clone(model), y, test
        groups = None if donors is None else donors[train]
        self.plan = self.model._plan(Z, y[train], groups, rng)

    def packs(self, lams: Sequence[float]) -> Iterator[tuple[str, Callable[[], PackedLSPIN]]]:
        """Cut the members of all lambdas into packs; yield the key and the task of each."""
        training = self.plan.training
        # Tensors have no hash that is the same for equal ones.
        data = {name: part for name, part in training.items() if not torch.is_tensor(part)}
        weight = training.get("weight")
        arrays = (self.plan.X, self.plan.target, None if weight is None else weight.cpu().numpy())
        members = [member for lam in lams for member in self.plan.with_lam(lam)]
        n_train = max(len(member.train) for member in members)
        data["recipe"] = training["recipe"].for_rows(n_train)
        for i in range(0, len(members), PATH_PACK_SIZE):
            pack = members[i : i + PATH_PACK_SIZE]
            key = fingerprint(*arrays, data, str(self.model.device), pack)
            # One object and not several arrays, because joblib would keep shared arrays on a
            # single Dask worker, and they would be lost with it.
            yield key, partial(fit_pack, members=pack, **{**training, **data})

    def scores(
        self, network: PackedLSPIN, lams: Sequence[float]
    ) -> list[tuple[dict[str, float], np.ndarray]]:
        """Return the scores, and the mean gates (m, d), of the held-out cells for each lambda."""
        n = len(self.plan.members)
        found = []
        for i, lam in enumerate(lams):
            fitted = copy(self.model)
            fitted._adopt(network.part(i * n, (i + 1) * n), self.plan, lam)
            gates = fitted.member_gates(self.Z_test)
            row = _score(fitted, self.Z_test, self.y[self.test], np.unique(self.y))
            found.append(({**row, **count_open(gates)}, gates.mean(axis=0)))
        return found


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
) -> dict[str, float]:
    if fitted.task == "regression":
        predicted = fitted.predict(Z)
        return {"mse": mean_squared_error(truth, predicted), "r2": r2_score(truth, predicted)}
    proba = of_every_class(fitted.predict_proba(Z), fitted.classes_, classes)
    predicted = classes[proba.argmax(axis=1)]
    return {
        "accuracy": accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        "log_loss": log_loss(truth, proba, labels=classes),
    }
