"""`LSPINClassifier` and `LSPINRegressor`: LSPIN ensembles as scikit-learn estimators."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch.nn import functional as F

from lspin.model.gates import gate_values
from lspin.model.network import PackedLSPIN
from lspin.model.path import lspin_path
from lspin.model.recipe import DEFAULT, Recipe, whole_number
from lspin.model.selection import check_lam
from lspin.model.splits import check_groups, draw_members, n_folds_possible
from lspin.model.threads import one_torch_thread, own_torch_state
from lspin.model.training import Member, Task, fit_members

AUTO_FOLDS, AUTO_MEMBERS = 3, 4
"""Folds, and networks per fold, with which ``lam="auto"`` compares `LAMS`."""

MAX_WEIGHT = 1e6
"""Of a class. Larger ones would swamp what float32 can tell apart."""

FLOATS = (np.float64, np.float32)
"""Accepted as they are; a large table should not be copied for nothing."""

ELEMENTS_PER_CALL = 2**22
"""Numbers (networks x rows x features) sent through at once at inference; bounds memory."""

ROWS_OF_IMPORTANCE = 4096
"""Training rows, at most, by which it is counted how often each gate opens."""


@dataclass(frozen=True)
class Plan:
    """All that training an ensemble needs, and what its answers will mean.

    Attributes
    ----------
    X : ndarray, shape (n, d)
        Checked features.
    target : ndarray, shape (n,)
        Class indices (int64), or standardised values (float32).
    members : list of Member
        With ``lam=0``.
    training : dict
        The arguments of `fit_pack` by name, but for the members.
    meaning : dict
        Fitted attributes that turn outputs into answers, such as ``classes_``.
    """

    X: np.ndarray
    target: np.ndarray
    members: list[Member]
    training: dict[str, Any]
    meaning: dict[str, Any]

    def with_lam(self, lam: float) -> list[Member]:
        """Return the members, at this price of an open gate."""
        return [replace(member, lam=float(lam)) for member in self.members]


class _BaseLSPIN(BaseEstimator):
    """What classifier and regressor share: the ensemble and its gates."""

    task: ClassVar[Task]

    # With scikit-learn's metadata routing, donors reach `fit` without being asked for.
    __metadata_request__fit: ClassVar[dict[str, bool]] = {"groups": True}

    def __init__(
        self,
        *,
        lam: float | str,
        n_members: int,
        gating: str,
        predictor: str,
        max_open: float | None,
        weight_decay: float,
        n_steps: int | None,
        recipe: Recipe | None,
        device: str,
        random_state: int | np.random.RandomState | None,
        verbose: int,
    ) -> None:
        self.lam = lam
        self.n_members = n_members
        self.gating = gating
        self.predictor = predictor
        self.max_open = max_open
        self.weight_decay = weight_decay
        self.n_steps = n_steps
        self.recipe = recipe
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _make_recipe(self) -> Recipe:
        """Put the parameters into the recipe."""
        base = DEFAULT if self.recipe is None else self.recipe
        if not isinstance(base, Recipe):
            raise ValueError(f"recipe must be a Recipe or None, got {base!r}.")
        fields = ("gating", "predictor", "max_open", "mixup", "weight_decay", "n_steps")
        own = {name: getattr(self, name) for name in fields if hasattr(self, name)}
        for name in own:
            if getattr(base, name) != getattr(DEFAULT, name):
                raise ValueError(f"Give {name} to {type(self).__name__} itself, not to its recipe.")
        return replace(base, **own)

    def _encode(self, X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray, dict, dict]:
        """Return features, targets, training arguments and meaning, as `Plan` has them."""
        raise NotImplementedError

    def _plan(
        self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None, rng: np.random.RandomState
    ) -> Plan:
        """Check parameters and data, and draw the rows and the seed of each network."""
        if not (isinstance(self.lam, str) and self.lam == "auto"):
            check_lam(self.lam)
        n_members = whole_number("n_members", self.n_members)
        check_device(self.device)
        recipe = self._make_recipe()
        features, target, training, meaning = self._encode(X, y)
        groups = None if groups is None else check_groups(groups, len(features))
        members = draw_members(target, groups, n_members, rng, task=self.task)
        training |= {
            "x": _tensor(features, self.device),
            "target": torch.as_tensor(target, device=self.device),
            "task": self.task,
            "recipe": recipe,
        }
        return Plan(features, target, members, training, meaning)

    def _adopt(self, network: PackedLSPIN, plan: Plan, lam: float) -> None:
        """Become the fitted ensemble of these networks."""
        for name, value in plan.meaning.items():
            setattr(self, name, value)
        self.lam_ = float(lam)
        # Predict in float64, so that a cell's answer does not depend on the cells beside it.
        self.network_ = network.double()

    def _count_open(self, plan: Plan) -> None:
        """Count how often each gate opens; not a part of `_adopt`, because a path needs it not."""
        some = plan.X[:: -(-len(plan.X) // ROWS_OF_IMPORTANCE)]
        opened = [(gates > 0).double().mean(dim=0) for _, gates in self._outputs(some)]
        self.feature_importances_ = torch.cat(opened).mean(dim=0).numpy()

    @own_torch_state()
    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Train the ensemble.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Standardised features, without missing values.
        y : array-like, shape (n,)
            Class labels, or the values to predict.
        groups : array-like, shape (n,), optional
            Donor of each cell. If given, no donor is in both the training and the
            validation rows of a member.

        Returns
        -------
        LSPINClassifier or LSPINRegressor
            Itself, trained.

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; the message says which.
        """
        rng = check_random_state(self.random_state)
        fitted = copy(self)  # so that a fit that fails leaves this one as it was
        plan = fitted._plan(X, y, groups, rng)
        lam = fitted._best_lam(plan, y, groups, rng) if self.lam == "auto" else float(self.lam)
        network = fit_members(members=plan.with_lam(lam), verbose=self.verbose, **plan.training)
        fitted._adopt(network, plan, lam)
        fitted._count_open(plan)
        self.__dict__.update(fitted.__dict__)
        return self

    def _best_lam(
        self, plan: Plan, y: ArrayLike, groups: ArrayLike | None, rng: np.random.RandomState
    ) -> float:
        """Choose a lambda by the rule of one standard error, on folds of the training rows."""
        n_folds = n_folds_possible(plan.target, groups, AUTO_FOLDS, task=self.task)
        if n_folds < 2:
            raise ValueError("lam='auto' needs at least 2 rows (and donors) of every class.")
        model = clone(self).set_params(lam=0.0, n_members=AUTO_MEMBERS, random_state=rng)
        path = lspin_path(
            model, plan.X, y, groups=groups, n_splits=n_folds, n_folds=n_folds, verbose=self.verbose
        )
        return path.one_standard_error()

    def _checked(self, X: ArrayLike) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=FLOATS)

    def _outputs(self, X: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield outputs (K, m, c) and gates (K, m, d), some rows at a time."""
        width = max(X.shape[1], *self.network_.recipe.gate_hidden)
        size = max(1, ELEMENTS_PER_CALL // (self.network_.n_members * width))
        for start in range(0, len(X), size):
            rows = X[start : start + size]
            x = torch.tensor(rows, dtype=torch.float64, device=self.device)
            with one_torch_thread(), own_torch_state(), torch.no_grad():
                output, mu = self.network_(x)
                gates = gate_values(mu)
            yield output.cpu(), gates.cpu()

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
        folds of the training rows (`lspin_path`).
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
    recipe : Recipe, optional
        Every other setting of the training, for experiments; that of the package by default.
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
    feature_importances_ : ndarray, shape (d,)
        How often a gate opens, from 0 to 1: the share of training rows and networks.
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

    task = "classification"

    def __init__(
        self,
        lam: float | str = 1.0,
        n_members: int = 8,
        gating: str = DEFAULT.gating,
        predictor: str = DEFAULT.predictor,
        max_open: float | None = None,
        mixup: float = DEFAULT.mixup,
        weight_decay: float = DEFAULT.weight_decay,
        n_steps: int | None = None,
        recipe: Recipe | None = None,
        class_weight: str | dict | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            lam=lam,
            n_members=n_members,
            gating=gating,
            predictor=predictor,
            max_open=max_open,
            weight_decay=weight_decay,
            n_steps=n_steps,
            recipe=recipe,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.mixup = mixup
        self.class_weight = class_weight

    def _encode(self, X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray, dict, dict]:
        features, labels = validate_data(self, X, y, dtype=FLOATS)
        check_classification_targets(labels)
        classes, target = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"LSPINClassifier needs at least 2 classes in y, got 1 class: {classes[0]!r}."
            )
        weight = None
        if self.class_weight is not None:
            weights = compute_sample_weight(self.class_weight, labels)
            if not np.isfinite(weights).all() or (weights < 0).any() or weights.max() > MAX_WEIGHT:
                raise ValueError(
                    f"class_weight must be numbers from 0 to {MAX_WEIGHT:g}, got "
                    f"{self.class_weight!r}."
                )
            if any(weights[target == k].max() == 0 for k in range(len(classes))):
                raise ValueError(
                    f"class_weight gives no weight to a class: {self.class_weight!r}. "
                    "Leave its rows out instead."
                )
            weight = _tensor(weights, self.device)
        training = {"n_outputs": len(classes), "weight": weight}
        return features, target, training, {"classes_": classes}

    def _adopt(self, network: PackedLSPIN, plan: Plan, lam: float) -> None:
        super()._adopt(network, plan, lam)
        self.temperature_ = self._fit_temperature(plan)
        self.network_.divide_outputs(self.temperature_)

    def _fit_temperature(self, plan: Plan) -> float:
        """Calibrate on rows that were left out, each by the members that left it out."""
        left_out = torch.zeros((len(plan.members), len(plan.X), 1), dtype=torch.bool)
        for is_out, member in zip(left_out, plan.members, strict=True):
            is_out[np.setdiff1d(member.valid, member.train)] = True
        rows = left_out.any(dim=0).squeeze(1).numpy()
        if not rows.any():
            return 1.0
        members = left_out[:, rows]
        logits = torch.cat([output for output, _ in self._outputs(plan.X[rows])], dim=1)
        truth = torch.as_tensor(plan.target[rows], device="cpu")

        mean = (logits * members).sum(dim=0) / members.sum(dim=0)

        def loss(log_temperature: float) -> float:
            return F.cross_entropy(mean / math.exp(log_temperature), truth).item()

        with one_torch_thread(), own_torch_state(), torch.no_grad():
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
        with one_torch_thread():  # softmax by threads would hang in a fork
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
    lam, n_members, gating, predictor, max_open, weight_decay, n_steps, recipe, device
    random_state, verbose
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

    task = "regression"

    def __init__(
        self,
        lam: float | str = 1.0,
        n_members: int = 8,
        gating: str = DEFAULT.gating,
        predictor: str = DEFAULT.predictor,
        max_open: float | None = None,
        weight_decay: float = DEFAULT.weight_decay,
        n_steps: int | None = None,
        recipe: Recipe | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            lam=lam,
            n_members=n_members,
            gating=gating,
            predictor=predictor,
            max_open=max_open,
            weight_decay=weight_decay,
            n_steps=n_steps,
            recipe=recipe,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )

    def _encode(self, X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray, dict, dict]:
        features, values = validate_data(self, X, y, dtype=FLOATS, y_numeric=True)
        with np.errstate(over="ignore"):
            mean, scale = values.mean(), values.std()
        if (
            not np.isfinite(scale) or scale == 0
        ):  # its squares overflow or vanish, or it is constant
            largest = np.abs(values).max() or 1.0
            unit = values / largest
            mean, scale = unit.mean() * largest, (unit.std() or 1.0) * largest
        target = ((values - mean) / scale).astype(np.float32)
        return features, target, {"n_outputs": 1}, {"_y_mean": mean, "_y_scale": scale}

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the ensemble's mean prediction for each cell, shape (n,)."""
        parts = [values.mean(dim=0) for values, _ in self._outputs(self._checked(X))]
        return torch.cat(parts).squeeze(1).numpy() * self._y_scale + self._y_mean


def pooled_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return the class probabilities of an ensemble: those of its mean logits.

    Parameters
    ----------
    logits : Tensor, shape (K, n, c)
        Of each member.

    Returns
    -------
    Tensor, shape (n, c)

    Examples
    --------
    >>> import torch
    >>> from lspin.model import pooled_probabilities
    >>> pooled_probabilities(torch.tensor([[[2.0, 0.0]], [[-2.0, 0.0]]]))
    tensor([[0.5000, 0.5000]])
    """
    return logits.mean(dim=0).softmax(dim=1)


def check_device(device: str) -> None:
    """Raise a ValueError if there is no such device.

    Parameters
    ----------
    device : str
        What a user gave.

    Examples
    --------
    >>> from lspin.model import check_device
    >>> check_device("cpu")
    """
    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device must be such as 'cpu' or 'cuda', got {device!r}.") from error
    if kind not in ("cpu", "cuda"):  # others, such as mps, lack the float64 that predicts
        raise ValueError(f"device must be 'cpu' or a 'cuda' device, got {device!r}.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={device!r}, but torch sees no GPU here; use device='cpu'.")


def _tensor(array: np.ndarray, device: str) -> torch.Tensor:
    if len(array) and np.abs(array).max() > np.finfo(np.float32).max:
        raise ValueError(
            f"The table has a value of {np.abs(array).max():.3g}: scale it before the fit."
        )
    return torch.tensor(array, dtype=torch.float32, device=device)
