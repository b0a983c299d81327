"""`LSPINClassifier` and `LSPINRegressor`: LSPIN ensembles as scikit-learn estimators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch.nn import functional as F

from lspin.gates import gate_values
from lspin.network import GATINGS, PREDICTORS, PackedLSPIN
from lspin.scores import one_standard_error
from lspin.threads import one_torch_thread
from lspin.training import DEFAULT, MIXUP, WEIGHT_DECAY, Member, Recipe, fit_members

__all__ = ["LAMS", "LSPINClassifier", "LSPINRegressor"]

LAMS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Lambdas of a path, from every gate free to hardly any open."""

AUTO_FOLDS = 3
AUTO_MEMBERS = 4
"""Folds, and networks per fold, with which ``lam="auto"`` compares `LAMS`."""

FLOATS = (np.float64, np.float32)
"""Accepted as they are; a large table should not be copied for nothing."""

VALID_FOLDS = 8
"""Each member keeps one row in eight to choose its best step on."""

MAX_VALID = 2048
"""Validation rows a member looks at; more would cost time and choose no better step."""

ROWS_PER_CALL = 8192
"""Rows sent through the network at once at inference; bounds memory."""


Split = tuple[np.ndarray, np.ndarray]


class _BaseLSPIN(BaseEstimator):
    """What classifier and regressor share: the ensemble and its gates."""

    def __init__(
        self,
        lam: float | str = 1.0,
        n_members: int = 8,
        gating: str = "local",
        predictor: str = "mlp",
        max_open: float | None = None,
        weight_decay: float = WEIGHT_DECAY,
        n_steps: int | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.lam = lam
        self.n_members = n_members
        self.gating = gating
        self.predictor = predictor
        self.max_open = max_open
        self.weight_decay = weight_decay
        self.n_steps = n_steps
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _recipe(self) -> Recipe:
        return Recipe(
            gating=self.gating,
            predictor=self.predictor,
            max_open=self.max_open,
            weight_decay=self.weight_decay,
            n_steps=self.n_steps,
        )

    def _fit_members(
        self,
        X: np.ndarray,
        target: np.ndarray,
        n_outputs: int,
        weight: np.ndarray | None,
        groups: ArrayLike | None,
    ) -> list[Split]:
        """Train the ensemble; return the training and validation rows of each member."""
        check_parameters(self.lam, self.n_members, self.device, self._recipe())
        rng = check_random_state(self.random_state)
        x = _tensor(X, self.device)
        train = partial(
            fit_members,
            x,
            torch.as_tensor(target, device=self.device),
            n_outputs=n_outputs,
            recipe=self._recipe(),
            weight=None if weight is None else _tensor(weight, self.device),
            verbose=self.verbose,
        )
        splits = inner_splits(target, groups, self.n_members, rng)
        seeds = rng.randint(2**31, size=self.n_members)
        if self.lam == "auto":
            self.lam_ = _best_lam(x, target, groups, train, rng)
        else:
            self.lam_ = float(self.lam)
        members = [Member(*rows, self.lam_, int(s)) for rows, s in zip(splits, seeds, strict=True)]
        # Predict in float64, so that a cell's answer does not depend on the cells beside it.
        self.network_ = train(members).double()
        return splits

    def _checked(self, X: ArrayLike) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=FLOATS)

    @torch.no_grad()
    def _outputs(self, X: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield outputs (K, m, c) and gates (K, m, d), `ROWS_PER_CALL` rows at a time."""
        for start in range(0, len(X), ROWS_PER_CALL):
            rows = X[start : start + ROWS_PER_CALL]
            x = torch.tensor(rows, dtype=torch.float64, device=self.device)
            with one_torch_thread():
                output, mu = self.network_(x)
            yield output.cpu(), gate_values(mu).cpu()

    def member_gates(self, X: ArrayLike) -> np.ndarray:
        """Gates of every member of the ensemble.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Cells, standardised as in `fit`.

        Returns
        -------
        ndarray, shape (n_members, n, d)
            Gates in [0, 1]; 0 is closed.
        """
        parts = [gates for _, gates in self._outputs(self._checked(X))]
        return torch.cat(parts, dim=1).numpy()

    def gates(self, X: ArrayLike) -> np.ndarray:
        """Gates of each cell, averaged over the ensemble.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Cells, standardised as in `fit`.

        Returns
        -------
        ndarray, shape (n, d)
            Gates in [0, 1]; 0 means that no member looked at the feature.
        """
        parts = [gates.mean(dim=0) for _, gates in self._outputs(self._checked(X))]
        return torch.cat(parts).numpy()


class LSPINClassifier(ClassifierMixin, _BaseLSPIN):
    """Locally sparse classifier: an ensemble that opens its own few gates for each cell.

    Parameters
    ----------
    lam : float, >= 0, or "auto"
        Weight of the open-gate penalty; larger closes more gates. "auto" takes the largest
        of `LAMS` whose macro F1 is within one standard error of the best, on donor-grouped
        folds of the training rows.
    n_members : int, >= 1
        Networks in the ensemble. Each keeps another eighth of the training rows
        to choose its best step on; logits are averaged.
    gating : {"local", "linear", "global"}
        How a gate depends on the cell: by a network; by a weighted sum of those features that
        are open for the average cell; or not at all ("STG").
    predictor : {"mlp", "linear"}
        What reads the gated features; "linear" is the locally linear "LLSPIN".
    max_open : float, optional
        Budget: train until so many gates are open per cell and network, on average over
        cells. A harder limit than `lam`, and a better one for fewer than about ten gates; give it
        with ``lam=0``, because a price closes further gates.
    mixup : float, >= 0
        Train on mixtures of what the gates of two cells let through, with shares from
        Beta(mixup, mixup) ([2]_, [3]_); 0 is none.
    weight_decay : float, >= 0
        AdamW's. Large, because there are few cells; smaller where the answer must be exact.
    n_steps : int, optional
        Optimisation steps; by default 300, under a budget 1000, or 5 passes over the rows where
        that is more.
    class_weight : None, "balanced" or dict
        Weights of the classes in the loss, as everywhere in scikit-learn.
    device : str
        Where the networks live, a torch device such as "cpu" or "cuda".
    random_state : int, RandomState or None
        Seeds the inner splits, the weights and the gate noise.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Attributes
    ----------
    classes_ : ndarray
        Class labels, in the order of `predict_proba`'s columns.
    lam_ : float
        The lambda that was used.
    temperature_ : float
        What logits were divided by so that the probabilities are calibrated ([4]_),
        found on rows that members did not train on.
    network_ : PackedLSPIN
        The trained networks.
    n_features_in_ : int
        Number of features d.
    feature_names_in_ : ndarray of str
        Feature names, where `X` in `fit` had them.

    Notes
    -----
    Features should be standardised: a closed gate replaces a value by 0, which is
    then the mean. `lspin.features.model_inputs` does this.

    References
    ----------
    .. [1] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.
    .. [2] Zhang, Cisse, Dauphin, Lopez-Paz. "mixup: Beyond Empirical Risk Minimization".
           ICLR 2018.
    .. [3] Verma et al. "Manifold Mixup: Better Representations by Interpolating Hidden States".
           ICML 2019.
    .. [4] Guo, Pleiss, Sun, Weinberger. "On Calibration of Modern Neural Networks". ICML 2017.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> Z = model_inputs(few.X).fit_transform(few.X)
    >>> model = LSPINClassifier(n_members=2, n_steps=20, random_state=0)
    >>> model.fit(Z, few.y, groups=few.donors).predict(Z).shape
    (175,)
    >>> model.gates(Z).shape
    (175, 42)
    """

    def __init__(
        self,
        lam: float | str = 1.0,
        n_members: int = 8,
        gating: str = "local",
        predictor: str = "mlp",
        max_open: float | None = None,
        mixup: float = MIXUP,
        weight_decay: float = WEIGHT_DECAY,
        n_steps: int | None = None,
        class_weight: str | dict | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            lam,
            n_members,
            gating,
            predictor,
            max_open,
            weight_decay,
            n_steps,
            device,
            random_state,
            verbose,
        )
        self.mixup = mixup
        self.class_weight = class_weight

    def _recipe(self) -> Recipe:
        return replace(super()._recipe(), mixup=self.mixup)

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> LSPINClassifier:
        """Train the ensemble.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Standardised features, without missing values.
        y : array-like, shape (n,)
            Class labels.
        groups : array-like, shape (n,), optional
            Donor of each cell. If given, no donor is in both the training and the
            validation rows of a member.

        Returns
        -------
        LSPINClassifier
            Itself, trained.

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; the message says which.
        """
        features, labels = validate_data(self, X, y, dtype=FLOATS)
        check_classification_targets(labels)
        self.classes_, target = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"LSPINClassifier needs at least 2 classes in y, got 1 class: {self.classes_[0]!r}."
            )
        weight = None
        if self.class_weight is not None:
            weight = compute_sample_weight(self.class_weight, labels)
        splits = self._fit_members(features, target, len(self.classes_), weight, groups)
        self.temperature_ = self._fit_temperature(features, target, splits)
        self.network_.divide_outputs(self.temperature_)
        return self

    def _fit_temperature(self, X: np.ndarray, target: np.ndarray, splits: list[Split]) -> float:
        """Calibrate on rows that were left out, each by the members that left it out."""
        left_out = torch.zeros((len(splits), len(X), 1), dtype=torch.bool)
        for member, (train, valid) in zip(left_out, splits, strict=True):
            member[np.setdiff1d(valid, train)] = True
        rows = left_out.any(dim=0).squeeze(1).numpy()
        if not rows.any():
            return 1.0
        members = left_out[:, rows]
        logits = torch.cat([output for output, _ in self._outputs(X[rows])], dim=1)
        truth = torch.as_tensor(target[rows])

        mean = (logits * members).sum(dim=0) / members.sum(dim=0)

        def loss(log_temperature: float) -> float:
            return F.cross_entropy(mean / math.exp(log_temperature), truth).item()

        return math.exp(minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded").x)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Class probabilities of the averaged logits of the ensemble, calibrated.

        Logits are averaged, not probabilities: the mean of probabilities is the more modest the
        more the networks disagree, and the temperature, which is found on few networks per row,
        could not tell by how much.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Cells, standardised as in `fit`.

        Returns
        -------
        ndarray, shape (n, n_classes)
            Rows sum to 1; columns in the order of `classes_`.
        """
        parts = [pooled_probabilities(logits) for logits, _ in self._outputs(self._checked(X))]
        return torch.cat(parts).numpy()

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the most probable class of each cell, shape (n,)."""
        winner = self.predict_proba(X).argmax(axis=1)
        return self.classes_[winner]


class LSPINRegressor(RegressorMixin, _BaseLSPIN):
    """Locally sparse regressor; see `LSPINClassifier` for the shared parameters.

    The target is standardised inside; `predict` returns it in its own units.

    Parameters
    ----------
    lam, n_members, gating, predictor, max_open, weight_decay, n_steps, device, random_state
    verbose
        As in `LSPINClassifier`; "auto" compares squared errors.

    Attributes
    ----------
    lam_ : float
        The lambda that was used.
    network_ : PackedLSPIN
        The trained networks.
    n_features_in_ : int
        Number of features d.
    feature_names_in_ : ndarray of str
        Feature names, where `X` in `fit` had them.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin import LSPINRegressor
    >>> X = np.random.default_rng(0).standard_normal((200, 4))
    >>> model = LSPINRegressor(n_members=2, n_steps=50, random_state=0).fit(X, y=3 * X[:, 0])
    >>> model.predict(X).shape
    (200,)
    """

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> LSPINRegressor:
        """Train the ensemble on cells `X`, shape (n, d), and values `y`, shape (n,).

        Parameters
        ----------
        X : array-like, shape (n, d)
            Standardised features, without missing values.
        y : array-like, shape (n,)
            Values to predict.
        groups : array-like, shape (n,), optional
            Donor of each cell; donors do not straddle a member's inner split.

        Returns
        -------
        LSPINRegressor
            Itself, trained.
        """
        features, values = validate_data(self, X, y, dtype=FLOATS, y_numeric=True)
        self._y_mean, self._y_scale = values.mean(), values.std() or 1.0
        target = ((values - self._y_mean) / self._y_scale).astype(np.float32)
        self._fit_members(features, target, 1, None, groups)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the ensemble's mean prediction for each cell, shape (n,)."""
        parts = [values.mean(dim=0) for values, _ in self._outputs(self._checked(X))]
        return torch.cat(parts).squeeze(1).numpy() * self._y_scale + self._y_mean


def pooled_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return probabilities (n, c) of an ensemble's logits (K, n, c): those of their mean."""
    return logits.mean(dim=0).softmax(dim=1)


def _tensor(array: np.ndarray, device: str) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float32, device=device)


def check_parameters(
    lam: float | str, n_members: int, device: str, recipe: Recipe = DEFAULT
) -> None:
    """Raise a ValueError that names the parameter that cannot be used, if there is one."""
    if lam != "auto" and (isinstance(lam, str) or not np.isfinite(lam) or lam < 0):
        raise ValueError(f"lam must be a finite number >= 0 or 'auto', got {lam!r}.")
    if int(n_members) != n_members or n_members < 1:
        raise ValueError(f"n_members must be a whole number >= 1, got {n_members!r}.")
    if recipe.gating not in GATINGS:
        raise ValueError(f"gating must be one of {GATINGS}, got {recipe.gating!r}.")
    if recipe.predictor not in PREDICTORS:
        raise ValueError(f"predictor must be one of {PREDICTORS}, got {recipe.predictor!r}.")
    if recipe.max_open is not None and not recipe.max_open > 0:
        raise ValueError(f"max_open must be above 0, or None, got {recipe.max_open!r}.")
    if not np.isfinite(recipe.mixup) or recipe.mixup < 0:
        raise ValueError(f"mixup must be a finite number >= 0, got {recipe.mixup!r}.")
    if not np.isfinite(recipe.weight_decay) or recipe.weight_decay < 0:
        raise ValueError(f"weight_decay must be a finite number >= 0, got {recipe.weight_decay!r}.")
    if recipe.n_steps is not None and (recipe.n_steps < 1 or int(recipe.n_steps) != recipe.n_steps):
        raise ValueError(f"n_steps must be a whole number >= 1, or None, got {recipe.n_steps!r}.")
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={device!r}, but torch sees no GPU here; use device='cpu'.")


def _best_lam(
    x: torch.Tensor,
    target: np.ndarray,
    groups: ArrayLike | None,
    train: Callable[[Sequence[Member]], PackedLSPIN],
    rng: np.random.RandomState,
) -> float:
    """Choose a lambda by the rule of one standard error, on folds of the training rows.

    The score of a fold is macro F1, or minus the squared error in regression.
    """
    if _n_folds(target, groups, AUTO_FOLDS) < 2:
        raise ValueError("lam='auto' needs at least 2 rows (and donors) of every class.")
    folds = _shuffled_folds(target, groups, AUTO_FOLDS, rng)
    members = []
    for rows, _ in folds:
        inner_groups = None if groups is None else np.asarray(groups)[rows]
        splits = inner_splits(target[rows], inner_groups, AUTO_MEMBERS, rng)
        seeds = rng.randint(2**31, size=AUTO_MEMBERS)
        members += [
            Member(rows[fit], rows[valid], lam, int(seed))
            for lam in LAMS
            for (fit, valid), seed in zip(splits, seeds, strict=True)
        ]
    network = train(members)
    scores: dict[float, list[float]] = {lam: [] for lam in LAMS}
    for k, (_, test) in enumerate(folds):
        with torch.no_grad(), one_torch_thread():
            output = network(x[test])[0].unflatten(0, (len(folds), len(LAMS), AUTO_MEMBERS))[k]
        for lam, members_output in zip(LAMS, output.cpu(), strict=True):
            scores[lam].append(_score(target[test], members_output))
    return one_standard_error(scores)


def _score(target: np.ndarray, output: torch.Tensor) -> float:
    """Score outputs (K, n, c) of an ensemble; more is better."""
    if np.issubdtype(target.dtype, np.floating):
        return -float(((output.mean(dim=0).squeeze(1).numpy() - target) ** 2).mean())
    predicted = output.mean(dim=0).argmax(dim=1)
    return f1_score(target, predicted.numpy(), average="macro")


def inner_splits(
    target: np.ndarray,
    groups: ArrayLike | None,
    n_members: int,
    rng: np.random.RandomState,
) -> list[Split]:
    """Split off validation rows for each member of an ensemble.

    Stratified by class, grouped by donor where donors are given, and reshuffled
    when the folds of one shuffle are used up. Where the data are too few to set
    any aside, both are all rows.

    Parameters
    ----------
    target : ndarray, shape (n,)
        Class indices (int), or values (float).
    groups : array-like, shape (n,), optional
        Donor of each row.
    n_members : int
        Number of splits.
    rng : RandomState
        Shuffles.

    Returns
    -------
    list of (train, valid)
        Row indices, one pair per member.
    """
    if _n_folds(target, groups, VALID_FOLDS) < 2:
        every = np.arange(len(target))
        return [(every, every)] * n_members
    splits: list[Split] = []
    while len(splits) < n_members:
        splits += _shuffled_folds(target, groups, VALID_FOLDS, rng)
    return [(train, rng.permutation(valid)[:MAX_VALID]) for train, valid in splits[:n_members]]


def _n_folds(target: np.ndarray, groups: ArrayLike | None, at_most: int) -> int:
    """Return into how many folds the rows can be cut: every class must be in each of them."""
    units = len(target) if groups is None else len(np.unique(groups))
    if not np.issubdtype(target.dtype, np.floating):
        units = min(units, int(np.bincount(target).min()))
    return min(at_most, units)


def _shuffled_folds(
    target: np.ndarray, groups: ArrayLike | None, at_most: int, rng: np.random.RandomState
) -> list[Split]:
    """Cut rows into folds, stratified by class and grouped by donor where there are any."""
    if np.issubdtype(target.dtype, np.floating):
        splitter = KFold if groups is None else GroupKFold
    else:
        splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    n_folds = _n_folds(target, groups, at_most)
    folds = splitter(n_folds, shuffle=True, random_state=int(rng.randint(2**31)))
    return list(folds.split(np.zeros(len(target)), target, groups))
