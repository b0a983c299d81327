"""`LSPINClassifier` and `LSPINRegressor`: LSPIN ensembles as scikit-learn estimators."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from lspin.gates import gate_values
from lspin.threads import one_torch_thread
from lspin.training import Member, fit_members

FLOATS = (np.float64, np.float32)
"""Accepted as they are; a large table should not be copied for nothing."""

VALID_FOLDS = 8
"""Each member keeps one row in eight to choose its best step on."""

MAX_VALID = 2048
"""Validation rows a member looks at; more would cost time and choose no better step."""

ROWS_PER_CALL = 8192
"""Rows sent through the network at once at inference; bounds memory."""


class _BaseLSPIN(BaseEstimator):
    """What classifier and regressor share: the ensemble and its gates."""

    def __init__(
        self,
        lam: float = 0.5,
        n_members: int = 8,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.lam = lam
        self.n_members = n_members
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _fit_members(
        self,
        X: np.ndarray,
        target: np.ndarray,
        n_outputs: int,
        weight: np.ndarray | None,
        groups: ArrayLike | None,
    ) -> None:
        check_parameters(self.lam, self.n_members, self.device)
        rng = check_random_state(self.random_state)
        splits = inner_splits(target, groups, self.n_members, rng)
        members = [
            Member(train, valid, float(self.lam), int(rng.randint(2**31)))
            for train, valid in splits
        ]
        network = fit_members(
            _tensor(X, self.device),
            torch.as_tensor(target, device=self.device),
            members,
            n_outputs=n_outputs,
            weight=None if weight is None else _tensor(weight, self.device),
            verbose=self.verbose,
        )
        # Predict in float64, so that a cell's answer does not depend on the cells beside it.
        self.network_ = network.double()

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
    lam : float, >= 0
        Weight of the open-gate penalty; larger closes more gates.
    n_members : int, >= 1
        Networks in the ensemble. Each keeps another eighth of the training rows
        to choose its best step on; probabilities are averaged.
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
    """

    def __init__(
        self,
        lam: float = 0.5,
        n_members: int = 8,
        class_weight: str | dict | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(lam, n_members, device, random_state, verbose)
        self.class_weight = class_weight

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
        self._fit_members(features, target, len(self.classes_), weight, groups)
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Class probabilities, averaged over the ensemble.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Cells, standardised as in `fit`.

        Returns
        -------
        ndarray, shape (n, n_classes)
            Rows sum to 1; columns in the order of `classes_`.
        """
        parts = [logits.softmax(dim=2).mean(dim=0) for logits, _ in self._outputs(self._checked(X))]
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
    lam, n_members, device, random_state, verbose
        As in `LSPINClassifier`.

    Attributes
    ----------
    network_ : PackedLSPIN
        The trained networks.
    n_features_in_ : int
        Number of features d.
    feature_names_in_ : ndarray of str
        Feature names, where `X` in `fit` had them.
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


def _tensor(array: np.ndarray, device: str) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float32, device=device)


def check_parameters(lam: float, n_members: int, device: str) -> None:
    """Raise a ValueError that names the parameter that cannot be used, if there is one."""
    if not np.isfinite(lam) or lam < 0:
        raise ValueError(f"lam must be a finite number >= 0, got {lam!r}.")
    if int(n_members) != n_members or n_members < 1:
        raise ValueError(f"n_members must be a whole number >= 1, got {n_members!r}.")
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={device!r}, but torch sees no GPU here; use device='cpu'.")


def inner_splits(
    target: np.ndarray,
    groups: ArrayLike | None,
    n_members: int,
    rng: np.random.RandomState,
) -> list[tuple[np.ndarray, np.ndarray]]:
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
    is_classification = not np.issubdtype(target.dtype, np.floating)
    units = len(target) if groups is None else len(np.unique(groups))
    if is_classification:
        units = min(units, int(np.bincount(target).min()))
    n_folds = min(VALID_FOLDS, units)
    if n_folds < 2:
        every = np.arange(len(target))
        return [(every, every)] * n_members
    if is_classification:
        splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    else:
        splitter = KFold if groups is None else GroupKFold
    splits: list[tuple[np.ndarray, np.ndarray]] = []
    while len(splits) < n_members:
        folds = splitter(n_folds, shuffle=True, random_state=int(rng.randint(2**31)))
        splits += folds.split(np.zeros(len(target)), target, groups)
    return [(train, rng.permutation(valid)[:MAX_VALID]) for train, valid in splits[:n_members]]
