"""The lambda path: the same ensemble under rising prices of an open gate, scored honestly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from joblib import Memory, Parallel, delayed
from numpy.typing import ArrayLike
from scipy.special import softmax
from sklearn.base import TransformerMixin, clone
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from tqdm import tqdm

from lspin import __version__
from lspin.estimator import LAMS, check_parameters, inner_splits
from lspin.evaluation import count_open, donor_folds
from lspin.gates import gate_values
from lspin.threads import n_workers, one_torch_thread
from lspin.training import MIXUP, Member, Recipe, fit_pack, training_recipe

N_SPLITS = 5
"""Folds the cells are cut into, even if fewer of them are tested."""


PACK_SIZE = 20
"""Members in a pack: more than in a single fit, since there are many and large packs spend a
smaller share of their time in Python, where threads do wait for each other."""


@dataclass(frozen=True)
class LambdaPath:
    """What `lspin_path` returns.

    Attributes
    ----------
    scores : DataFrame
        A row per fold and lambda: accuracy, macro_f1, log_loss, and the median number
        of open gates per cell, of one member (open_gates) and of the whole ensemble
        (open_gates_union).
    rows : ndarray of int, shape (m,)
        The rows of `X` that were held out in some fold, in the order of `gates`.
    gates : ndarray, shape (n_lams, m, d)
        Gates of each held-out cell, averaged over the ensemble that never saw its donor.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from lspin.path import LambdaPath
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


def lspin_path(
    X: pd.DataFrame | ArrayLike,
    y: ArrayLike,
    lams: Sequence[float] = LAMS,
    groups: ArrayLike | None = None,
    *,
    inputs: TransformerMixin | None = None,
    n_members: int = 5,
    n_folds: int = 1,
    device: str = "cpu",
    random_state: int | np.random.RandomState | None = 0,
    memory: Memory | None = None,
    on_fold: Callable[[LambdaPath], object] | None = None,
    verbose: int = 1,
) -> LambdaPath:
    """Train an ensemble for every lambda, all at once, and score each on held-out donors.

    Members of different lambdas share their seeds and rows, so that only lambda
    differs. Folds x lambdas x members are cut into packs, which run through joblib:
    in threads, or wherever an enclosing ``joblib.parallel_config`` says, for example
    on a Dask cluster.

    Parameters
    ----------
    X : DataFrame or array-like, shape (n, d)
        Features as `inputs` takes them.
    y : array-like, shape (n,)
        Class of each cell.
    lams : sequence of float
        Weights of the open-gate penalty.
    groups : array-like, shape (n,), optional
        Donor of each cell; no donor is on both sides of any split.
    inputs : transformer, optional
        Turns `X` into standardised inputs, fitted on training cells only; a
        `StandardScaler` by default.
    n_members : int
        Networks per ensemble.
    n_folds : int
        How many folds of the cross-validation to run. With fewer than 5, the cells are
        still cut into 5 and only so many folds are tested: 1 is a quick look.
    device : str
        A torch device.
    random_state : int, RandomState or None
        Seeds folds, inner splits, weights and gate noise.
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
    ValueError
        If lambdas, folds or data cannot be used.

    Examples
    --------
    >>> from lspin import load_cells, lspin_path
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> path = lspin_path(
    ...     few.X,
    ...     few.y,
    ...     lams=(0.0, 4.0),
    ...     groups=few.donors,
    ...     inputs=model_inputs(few.X),
    ...     n_members=1,
    ...     verbose=0,
    ... )
    >>> gates = path.summary()["open_gates"]
    >>> bool(gates[4.0] < gates[0.0])
    True
    """
    y = np.asarray(y)
    donors = np.arange(len(y)) if groups is None else np.asarray(groups)
    for lam in lams:
        check_parameters(float(lam), n_members, device)
    rng = check_random_state(random_state)
    folds = donor_folds(y, donors, max(N_SPLITS, n_folds), rng.randint(2**31))[:n_folds]
    inputs = StandardScaler() if inputs is None else inputs
    run = _run if memory is None else memory.cache(_run)
    # Made one by one while others are trained; the order, and so the random numbers, are fixed.
    tasks = (
        delayed(run)(pack)
        for fold in folds
        for pack in _packs_of_fold(X, y, donors, *fold, lams, clone(inputs), n_members, device, rng)
    )
    packs_per_fold = -(-len(lams) * n_members // PACK_SIZE)
    parallel = Parallel(n_jobs=n_workers(), prefer="threads", return_as="generator")
    bar = tqdm(desc="lambda path", total=n_folds * packs_per_fold, disable=not verbose)
    results = parallel(tasks)
    scores, rows, gates = [], [], []
    for k, (train, test) in enumerate(folds):
        parts = []
        for _ in range(packs_per_fold):
            parts.append(next(results))
            bar.update()
        shape = (len(lams), n_members, len(test), -1)
        logits = np.concatenate([output for output, _ in parts]).reshape(shape).mean(axis=1)
        fold_gates = np.concatenate([g for _, g in parts]).reshape(shape)
        for lam, p, g in zip(lams, softmax(logits, axis=2), fold_gates, strict=True):
            row = _scores(y[test], p, np.unique(y[train]))
            scores.append({"fold": k, "lam": lam, **row, **count_open(g)})
        rows.append(test)
        gates.append(fold_gates.mean(axis=1))
        path = LambdaPath(pd.DataFrame(scores), np.concatenate(rows), np.concatenate(gates, axis=1))
        if on_fold is not None:
            on_fold(path)
    bar.close()
    return path


@dataclass(frozen=True)
class _Pack:
    """All that training and testing one pack needs, as one argument.

    One object and not several arrays, because joblib would keep shared arrays on a single
    Dask worker, and they would be lost with it.
    """

    x_train: np.ndarray  # (n, d)
    target: np.ndarray  # (n,)
    x_test: np.ndarray  # (m, d)
    members: Sequence[Member]
    n_outputs: int
    device: str
    # Recorded with the pack, so that what another version trained is not taken for this one's.
    made_with: tuple = field(default_factory=lambda: (__version__, *training_recipe()))


def _packs_of_fold(
    X: pd.DataFrame | np.ndarray,
    y: np.ndarray,
    donors: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    lams: Sequence[float],
    inputs: TransformerMixin,
    n_members: int,
    device: str,
    rng: np.random.RandomState,
) -> list[_Pack]:
    """Cut one fold into packs: for each lambda the same members, with the same seeds and rows."""
    x_train = np.asarray(inputs.fit_transform(_rows(X, train)))
    x_test = np.asarray(inputs.transform(_rows(X, test)))
    classes, target = np.unique(y[train], return_inverse=True)
    splits = inner_splits(target, donors[train], n_members, rng)
    seeds = rng.randint(2**31, size=n_members)
    members = [
        Member(fit, valid, lam, int(seed))
        for lam in lams
        for (fit, valid), seed in zip(splits, seeds, strict=True)
    ]
    return [
        _Pack(x_train, target, x_test, members[i : i + PACK_SIZE], len(classes), device)
        for i in range(0, len(members), PACK_SIZE)
    ]


def _run(pack: _Pack) -> tuple[np.ndarray, np.ndarray]:
    """Train a pack; return logits (K, m, c) and gates (K, m, d) of its test cells."""
    network = fit_pack(
        torch.tensor(pack.x_train, dtype=torch.float32, device=pack.device),
        torch.as_tensor(pack.target, device=pack.device),
        pack.members,
        n_outputs=pack.n_outputs,
        recipe=Recipe(mixup=MIXUP),
    ).double()
    with torch.no_grad(), one_torch_thread():
        logits, mu = network(torch.tensor(pack.x_test, device=pack.device))
    return logits.cpu().numpy(), gate_values(mu).cpu().numpy()


def _rows(X: pd.DataFrame | np.ndarray, rows: np.ndarray) -> pd.DataFrame | np.ndarray:
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else np.asarray(X)[rows]


def _scores(truth: np.ndarray, proba: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    predicted = classes[proba.argmax(axis=1)]
    return {
        "accuracy": accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        "log_loss": log_loss(truth, proba, labels=classes),
    }
