"""`LSPINClassifier` and `LSPINRegressor`: LSPIN as scikit-learn estimators."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch.nn import functional as F

from lspin.model import saved
from lspin.model.checks import check_labels, check_order, warn_unless_standardised
from lspin.model.closing import ClosingLSPIN
from lspin.model.distillation import (
    Lesson,
    all_outputs,
    fit_one_mask,
    fit_reader,
    fit_temperature,
    left_out,
    lesson,
)
from lspin.model.gates import gate_values
from lspin.model.network import PackedLSPIN
from lspin.model.path import lspin_path
from lspin.model.recipe import (
    DENSE,
    ONE_MASK,
    ONE_MASK_OF_VALUES,
    READER,
    REGULARISATIONS,
    Recipe,
    whole_number,
)
from lspin.model.splits import (
    check_groups,
    check_sample_weight,
    draw_members,
    n_folds_possible,
)
from lspin.model.threads import one_torch_thread, own_torch_state
from lspin.model.training import Member, Task, fit_members

AUTO_FOLDS = 3
"""Folds on which ``max_open="auto"`` compares `BUDGETS`."""

MAX_WEIGHT = 1e6
"""Of a class. Larger ones would swamp what float32 can tell apart."""

LEAST_WEIGHT = 1e-6
"""Of a row, beside a mean of 1: such rows together count next to nothing, and float32 holds it."""

FLOATS = (np.float64, np.float32)
"""Accepted as they are; a large table should not be copied for nothing."""

ELEMENTS_PER_CALL = 2**22
"""Numbers (networks x rows x features) sent through at once at inference; bounds memory."""

MAX_ROWS = 1024
"""Training rows, at most, by which a sparse model is calibrated, and by which it is counted how
often each gate opens."""


@dataclass(frozen=True)
class Plan:
    """All that training needs, and what its answers will mean.

    Attributes
    ----------
    X : ndarray, shape (n, d)
        Checked features; rows of weight 0 are gone.
    y : ndarray, shape (n,)
        Their labels or values, as they were given.
    groups : ndarray of int, shape (n,), or None
        Their donors.
    sample_weight : ndarray, shape (n,), or None
        Their weights, 1 on average.
    target : ndarray, shape (n,)
        Class indices (int64), or standardised values (float32).
    members : list of Member
        Rows and seeds of the dense networks.
    seed : int
        Of the model with one mask.
    recipe, mask_recipe : Recipe
        Of the dense networks, and of that model.
    task : {"classification", "regression"}
        What to train for.
    training : dict
        Features, targets and weights as tensors, by the names that `fit_members` gives them.
    meaning : dict
        Fitted attributes that turn outputs into answers, such as ``classes_``.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None
    sample_weight: np.ndarray | None
    target: np.ndarray
    members: list[Member]
    seed: int
    recipe: Recipe
    mask_recipe: Recipe
    task: Task
    training: dict[str, Any]
    meaning: dict[str, Any]

    @property
    def is_sparse(self) -> bool:
        """Whether any gate has to close."""
        return self.mask_recipe.lam > 0 or self.mask_recipe.is_limited(self.X.shape[1])

    def weight_of(self, rows: np.ndarray) -> torch.Tensor | None:
        """Return how much these rows count, or None if all count the same."""
        return None if self.sample_weight is None else torch.as_tensor(self.sample_weight[rows])

    def dense(self, verbose: int = 0) -> PackedLSPIN:
        """Train the networks that see everything."""
        return fit_members(
            members=self.members,
            recipe=self.recipe,
            task=self.task,
            verbose=verbose,
            **self.training,
        )

    def lesson(self, dense: PackedLSPIN) -> Lesson:
        """Let the networks that see everything say what they expect."""
        return lesson(
            dense,
            members=self.members,
            sample_weight=self.weight_of(np.arange(len(self.X))),
            task=self.task,
            seed=self.seed,
            **self.training,
        )

    def behind_masks(self, taught: Lesson, verbose: int = 0) -> PackedLSPIN:
        """Train what predicts from few measurements, and the gating networks if there are any."""
        fit = fit_reader if self.mask_recipe.gating == "closing" else fit_one_mask
        return fit(taught, seed=self.seed, task=self.task, recipe=self.mask_recipe, verbose=verbose)

    def sparse(self, taught: Lesson, network: PackedLSPIN) -> PackedLSPIN | ClosingLSPIN:
        """Put together the model that the limit asks for; `network` is from `behind_masks`."""
        if self.mask_recipe.gating != "closing":
            return network
        dense, temperature = taught.dense, taught.temperature
        return ClosingLSPIN(dense, temperature, network, self.mask_recipe, self.task).eval()


class _BaseLSPIN(BaseEstimator):
    """What classifier and regressor share: the networks and their gates."""

    task: ClassVar[Task]
    _holds: ClassVar[str]  # what a file of such a model says that it holds
    _one_mask: ClassVar[Recipe]

    # With scikit-learn's metadata routing, donors reach `fit` without being asked for.
    __metadata_request__fit: ClassVar[dict[str, bool]] = {"groups": True}

    def __init__(
        self,
        *,
        max_open: int | str | None,
        lam: float,
        n_members: int,
        gating: str,
        predictor: str,
        n_steps: int | None,
        recipe: Recipe | None,
        mask_recipe: Recipe | None,
        device: str,
        random_state: int | np.random.RandomState | None,
        verbose: int,
    ) -> None:
        self.max_open = max_open
        self.lam = lam
        self.n_members = n_members
        self.gating = gating
        self.predictor = predictor
        self.n_steps = n_steps
        self.recipe = recipe
        self.mask_recipe = mask_recipe
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _recipes(self) -> tuple[Recipe, Recipe]:
        """Put the parameters into the recipes of the dense networks and of the one mask."""
        both = {name: getattr(self, name) for name in ("gating", "predictor", "n_steps")}
        limits = {"lam": self.lam, "max_open": None if self.max_open == "auto" else self.max_open}
        is_closing = self.gating == "closing"
        made = []
        for name, shipped, own in (
            ("recipe", DENSE, both | ({"gating": "local"} if is_closing else {})),
            ("mask_recipe", READER if is_closing else self._one_mask, both | limits),
        ):
            base = shipped if getattr(self, name) is None else getattr(self, name)
            if not isinstance(base, Recipe):
                raise ValueError(f"{name} must be a Recipe or None, got {base!r}.")
            for field in ("predictor", "n_steps", *limits):
                if getattr(base, field) != getattr(shipped, field):
                    raise ValueError(
                        f"Give {field} to {type(self).__name__} itself, not to its {name}."
                    )
            if base.gating != shipped.gating:
                raise ValueError(
                    f"The {name} is one for gating={base.gating!r}, not {shipped.gating!r}: give "
                    f"gating to {type(self).__name__} itself, and vary a recipe made for it."
                )
            made.append(replace(base, **own))
        if self.max_open == "auto" and self.lam:
            raise ValueError(f"Give lam={self.lam!r} or max_open='auto', not both.")
        return made[0], made[1]

    def _encode(
        self, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, dict, dict]:
        """Return targets, training arguments and meaning, as `Plan` has them."""
        raise NotImplementedError

    def _plan(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None,
        rng: np.random.RandomState,
        sample_weight: ArrayLike | None = None,
    ) -> Plan:
        """Check parameters and data, and draw the rows and the seed of each network."""
        n_members = whole_number("n_members", self.n_members)
        check_device(self.device)
        recipe, mask_recipe = self._recipes()
        is_regression = self.task == "regression"
        check_order(X, y=y, groups=groups, sample_weight=sample_weight)
        if not is_regression:
            check_labels(y)
        table, truth = validate_data(self, X, y, dtype=FLOATS, y_numeric=is_regression)
        warn_unless_standardised(table, getattr(self, "feature_names_in_", None))
        donors = None if groups is None else check_groups(groups, len(table))
        weight = None
        if sample_weight is not None:
            given = check_sample_weight(sample_weight, len(table))
            kept = given > 0
            table, truth, weight = table[kept], truth[kept], _relative(given[kept])
            donors = None if donors is None else donors[kept]
        target, training, meaning = self._encode(truth, weight)
        members = draw_members(target, donors, n_members, rng, task=self.task)
        training["x"] = _tensor(table, self.device)
        return Plan(
            X=table,
            y=truth,
            groups=donors,
            sample_weight=weight,
            target=target,
            members=members,
            seed=int(rng.randint(2**31)),
            recipe=recipe,
            mask_recipe=mask_recipe,
            task=self.task,
            training=training,
            meaning=meaning,
        )

    @one_torch_thread()
    def _adopt(
        self, network: PackedLSPIN | ClosingLSPIN, plan: Plan, taught: Lesson | None = None
    ) -> None:
        """Become the fitted model of these networks; `taught` is what they learned, if sparse."""
        for name, value in plan.meaning.items():
            setattr(self, name, value)
        self.max_open_ = plan.mask_recipe.max_open
        # Predict in float64, so that a cell's answer does not depend on the cells beside it.
        self.network_ = network.double()

    def _on_training_rows(
        self, plan: Plan, taught: Lesson | None
    ) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
        """Return some training rows, and what the model says of them: outputs and gates.

        Their gates close with regard to what networks said that had left the row out.
        """
        rows = np.arange(0, len(plan.X), max(1, -(-len(plan.X) // MAX_ROWS)))
        expected = None
        if isinstance(self.network_, ClosingLSPIN) and taught is not None:
            expected = taught.target[rows]
        outputs, gates = zip(*self._outputs(plan.X[rows], expected), strict=True)
        return rows, torch.cat(outputs), torch.cat(gates)

    def _count_open(self, plan: Plan, taught: Lesson | None) -> None:
        """Count how often each gate opens; not a part of `_adopt`, because a path needs it not."""
        rows, _, gates = self._on_training_rows(plan, taught)
        is_open = (gates > 0).numpy()
        self.feature_importances_ = np.average(is_open, axis=0, weights=plan.weight_of(rows))

    @own_torch_state()
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train the networks.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Standardised features, without missing values.
        y : array-like, shape (n,)
            Class labels, or the values to predict.
        groups : array-like, shape (n,), optional
            Donor of each cell. If given, no donor is in both the training and the
            validation rows of a network.
        sample_weight : array-like, shape (n,), optional
            How much each row counts, 0 or more, beside the others: all weights times ten change
            nothing. A row of weight 0 is as if it were not there. In training, a row of weight 2
            costs twice as much; it is not the same as the row given twice, because of two copies
            a network could learn one and be judged by the other.

        Returns
        -------
        LSPINClassifier or LSPINRegressor
            Itself, trained.

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; the message says which. Also if `y`,
            `groups` or `sample_weight` is a Series that has the rows of a DataFrame `X` in another
            order: rows are matched by position.

        Warns
        -----
        UserWarning
            If the columns are clearly not standardised.
        """
        rng = check_random_state(self.random_state)
        fitted = copy(self)  # so that a fit that fails leaves this one as it was
        plan = fitted._plan(X, y, groups, rng, sample_weight)
        if self.max_open == "auto":
            best = fitted._best_max_open(plan, rng)
            plan = replace(plan, mask_recipe=replace(plan.mask_recipe, max_open=best))
        dense = plan.dense(self.verbose)
        if plan.is_sparse:
            taught = plan.lesson(dense)
            network = plan.sparse(taught, plan.behind_masks(taught, self.verbose))
        else:
            network, taught = dense, None
        fitted._adopt(network, plan, taught)
        fitted._count_open(plan, taught)
        self.__dict__.update(fitted.__dict__)
        return self

    def _best_max_open(self, plan: Plan, rng: np.random.RandomState) -> int | None:
        """Choose a budget by the rule of one standard error, on folds of the training rows."""
        n_folds = n_folds_possible(plan.target, plan.groups, AUTO_FOLDS, task=self.task)
        if n_folds < 2:
            raise ValueError("max_open='auto' needs at least 2 rows (and donors) of every class.")
        model = clone(self).set_params(max_open=None, random_state=rng)
        path = lspin_path(
            model,
            plan.X,
            plan.y,
            groups=plan.groups,
            sample_weight=plan.sample_weight,
            n_splits=n_folds,
            n_folds=n_folds,
            verbose=self.verbose,
        )
        best = path.one_standard_error()
        return None if best == math.inf else int(best)

    def _checked(self, X: ArrayLike) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=FLOATS)

    def _outputs(
        self, X: np.ndarray, expected: torch.Tensor | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield mean outputs (m, c) and mean gates (m, d), some rows at a time.

        `expected` is for a `ClosingLSPIN`: what to close gates by.
        """
        check_device(self.device)
        network = self.network_
        n_gating = network.n_models * network.recipe.n_gating
        n_predicting = network.n_models * network.n_predictors
        width = max(X.shape[1], *network.recipe.gate_hidden, *network.recipe.predictor_hidden)
        size = max(1, ELEMENTS_PER_CALL // (max(n_gating, n_predicting) * width))
        for start in range(0, len(X), size):
            rows = X[start : start + size]
            x = torch.tensor(rows, dtype=torch.float64, device=self.device)
            known = () if expected is None else (expected[start : start + size].to(x),)
            with one_torch_thread(), own_torch_state(), torch.no_grad():
                output, mu = network(x, *known)
                output, gates = output.mean(dim=0), gate_values(mu).mean(dim=0)
            yield output.cpu(), gates.cpu()

    def gates(self, X: ArrayLike) -> np.ndarray:
        """Gates of each cell: what is 0 here, the prediction of that cell did not use.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Cells, standardised as in `fit`.

        Returns
        -------
        ndarray, shape (n, d)
            Gates in [0, 1]; those of the one mask, or without a limit the mean over the networks.
        """
        return torch.cat([gates for _, gates in self._outputs(self._checked(X))]).numpy()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, from which `load` makes it again.

        Parameters
        ----------
        path : path-like
            Such as ``"cells.lspin"``; a file that is there is replaced, at once and whole.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        ValueError
            If ``random_state`` is a generator: a file holds only a number or None.
        OSError
            If the file cannot be written.
        """
        saved.write(path, self._holds, *saved.describe(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model that `save` wrote. Nothing in a file is run, so it may be a stranger's.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        LSPINClassifier or LSPINRegressor
            It predicts, bit for bit, what the saved one does on a CPU; ``device`` is ``"cpu"``.

        Raises
        ------
        OSError
            If there is no such file.
        ValueError
            If it is damaged, of a newer lspin, no model of lspin, or another kind of model.
        """
        description, arrays = saved.read(path, cls._holds)
        with saved.explained(path):
            return saved.revive(cls, description, arrays)


class LSPINClassifier(ClassifierMixin, _BaseLSPIN):
    """Locally sparse classifier: it opens its own few gates for each cell.

    First it trains networks that see every feature and differ in how strongly they are
    regularised; without a limit their mean is the model. Where gates have to close, these networks
    teach predictors that do with few measurements, and the gates of a cell are closed one at a
    time, always the one that its prediction needs least. What `gates` returns above 0 is all that
    the prediction of a cell used; which gates these are was decided by networks that saw the whole
    cell.

    Parameters
    ----------
    max_open : int, "auto" or None
        How many gates of a cell may be open. None is no limit. "auto" takes
        the smallest of `BUDGETS` whose macro F1 is within one standard error of the best, on
        donor-grouped folds of the training rows (`lspin_path`).
    lam : float, >= 0
        Instead of `max_open`: the price of an open gate; larger closes more. With "closing" a gate
        stays open if it saves `lam` / d of cross-entropy, otherwise as in [1]_.
    n_members : int, >= 1
        Networks that see every feature. Each keeps another eighth of the training rows
        to choose its best step on; logits are averaged.
    gating : {"closing", "local", "global"}
        Where gates have to close, how: one at a time for each cell (`close_in_turn`); by gating
        networks that are trained together with the predictors, as in [1]_; or by gates that are
        the same for all cells ("STG").
    predictor : {"mlp", "linear"}
        What reads the gated features; "linear" is the locally linear "LLSPIN".
    n_steps : int, optional
        Optimisation steps of each training; by default enough for the number of rows, see
        `Recipe`.
    recipe, mask_recipe : Recipe, optional
        Every other setting of the two trainings, for experiments; by default `DENSE`, and `READER`
        or, where there are gating networks, `ONE_MASK`.
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
    max_open_ : int or None
        The budget that was used.
    temperature_ : float
        What logits were divided by so that the probabilities are calibrated ([2]_), found on
        rows whose own label was not learned from.
    network_ : PackedLSPIN or ClosingLSPIN
        The trained networks.
    feature_importances_ : ndarray, shape (d,)
        How often a gate opens, from 0 to 1: the share of training rows.
    n_features_in_ : int
        Number of features d.
    feature_names_in_ : ndarray of str
        Feature names, where `X` in `fit` had them.

    Notes
    -----
    Features should be standardised: a closed gate replaces a value by 0, which is
    then the mean. `lspin.features.model_inputs` does this.

    The same data and `random_state` give the same answers, bit for bit, on one machine: with any
    number of threads or workers, on a cluster of such machines, and whatever else is trained beside
    it or was drawn before. The order of the rows is part of the data. `fit_members` with packs of
    another size, or a processor with other instructions, adds up in another order, and training
    makes more of the last digits. Without AVX2, measured on the authors' table, the probabilities
    of a test cell change by 0.003 in the median and 0.13 at most (0.29 with five gates), the class
    of 0.4 % of the cells (2 % with five gates), and at least one of five gates in 44 %.

    References
    ----------
    .. [1] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.
    .. [2] Guo, Pleiss, Sun, Weinberger. "On Calibration of Modern Neural Networks". ICML 2017.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> Z = model_inputs(few.X).fit_transform(few.X)
    >>> model = LSPINClassifier(max_open=5, n_members=2, n_steps=20, random_state=0)
    >>> model.fit(Z, few.y, groups=few.donors).predict(Z).shape
    (175,)
    >>> int((model.gates(Z) > 0).sum(axis=1).max())
    5
    """

    task = "classification"
    _holds = "classifier"
    _one_mask = ONE_MASK

    def __init__(
        self,
        max_open: int | str | None = None,
        lam: float = 0.0,
        n_members: int = len(REGULARISATIONS),
        gating: str = READER.gating,
        predictor: str = DENSE.predictor,
        n_steps: int | None = None,
        recipe: Recipe | None = None,
        mask_recipe: Recipe | None = None,
        class_weight: str | dict | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            max_open=max_open,
            lam=lam,
            n_members=n_members,
            gating=gating,
            predictor=predictor,
            n_steps=n_steps,
            recipe=recipe,
            mask_recipe=mask_recipe,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def _encode(
        self, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, dict, dict]:
        check_classification_targets(y)
        classes, target = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"LSPINClassifier needs at least 2 classes in y, got 1 class: {classes[0]!r}."
            )
        weight = sample_weight
        if self.class_weight is not None:
            weights = compute_class_weight(
                self.class_weight, classes=classes, y=y, sample_weight=sample_weight
            )
            if not np.isfinite(weights).all() or (weights < 0).any() or weights.max() > MAX_WEIGHT:
                raise ValueError(
                    f"class_weight must be numbers from 0 to {MAX_WEIGHT:g}, got "
                    f"{self.class_weight!r}."
                )
            if not weights.all():
                raise ValueError(
                    f"class_weight gives no weight to a class: {self.class_weight!r}. "
                    "Leave its rows out instead."
                )
            weight = weights[target] if weight is None else weights[target] * weight
        shares = F.one_hot(torch.as_tensor(target), len(classes)).to(torch.float32)
        training = {"target": shares.to(self.device), "weight": _weights(weight, self.device)}
        return target, training, {"classes_": classes}

    @one_torch_thread()
    def _adopt(
        self, network: PackedLSPIN | ClosingLSPIN, plan: Plan, taught: Lesson | None = None
    ) -> None:
        super()._adopt(network, plan, taught)
        self.temperature_ = self._fit_temperature(plan, taught)
        self.network_.divide_outputs(self.temperature_)

    def _fit_temperature(self, plan: Plan, taught: Lesson | None) -> float:
        """Calibrate on rows whose own label was not learned from."""
        if isinstance(self.network_, PackedLSPIN) and taught is None:
            x = torch.tensor(plan.X, dtype=torch.float64, device=self.device)
            logits = left_out(all_outputs(self.network_, x).cpu(), plan.members)
            truth, every = torch.as_tensor(plan.target, device="cpu"), np.arange(len(x))
            return fit_temperature(logits, truth, plan.weight_of(every))
        # A sparse model learned what was said of a row by networks that left it out, if any did.
        rows, logits, _ = self._on_training_rows(plan, taught)
        is_out = np.zeros(len(plan.X), dtype=bool)
        for member in plan.members:
            is_out[np.setdiff1d(member.valid, member.train)] = True
        known = is_out[rows]
        truth = torch.as_tensor(plan.target[rows[known]], device="cpu")
        return fit_temperature(logits[known], truth, plan.weight_of(rows[known]))

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Class probabilities of the averaged logits of all predictors, calibrated.

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
        logits = torch.cat([logits for logits, _ in self._outputs(self._checked(X))])
        with one_torch_thread():  # softmax by threads would hang in a fork
            return logits.softmax(dim=1).numpy()

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the most probable class of each cell, shape (n,)."""
        winner = self.predict_proba(X).argmax(axis=1)
        return self.classes_[winner]


class LSPINRegressor(RegressorMixin, _BaseLSPIN):
    """Locally sparse regressor; see `LSPINClassifier` for the shared parameters.

    The target is standardised inside; `predict` returns it in its own units.

    Parameters
    ----------
    max_open, lam, n_members, gating, predictor, n_steps, recipe, mask_recipe, device
    random_state, verbose
        As in `LSPINClassifier`; "auto" compares squared errors.

    Attributes
    ----------
    max_open_ : int or None
        The budget that was used.
    network_ : PackedLSPIN
        The trained networks.
    feature_importances_ : ndarray, shape (d,)
        How often a gate opens, from 0 to 1: the share of training rows.
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
    _holds = "regressor"
    _one_mask = ONE_MASK_OF_VALUES

    def __init__(
        self,
        max_open: int | str | None = None,
        lam: float = 0.0,
        n_members: int = len(REGULARISATIONS),
        gating: str = DENSE.gating,
        predictor: str = DENSE.predictor,
        n_steps: int | None = None,
        recipe: Recipe | None = None,
        mask_recipe: Recipe | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            max_open=max_open,
            lam=lam,
            n_members=n_members,
            gating=gating,
            predictor=predictor,
            n_steps=n_steps,
            recipe=recipe,
            mask_recipe=mask_recipe,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )

    def _encode(
        self, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, dict, dict]:
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = _mean_and_sd(y, sample_weight)
        if not np.isfinite(scale) or scale == 0:
            # Its squares overflow or vanish, or it is constant.
            largest = np.abs(y).max() or 1.0
            mean, scale = _mean_and_sd(y / largest, sample_weight)
            mean, scale = mean * largest, np.float64(scale or 1.0) * largest
        target = ((y - mean) / scale).astype(np.float32)
        values = torch.as_tensor(target[:, None], device=self.device)
        training = {"target": values, "weight": _weights(sample_weight, self.device)}
        return target, training, {"_y_mean": mean, "_y_scale": scale}

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the mean prediction of all predictors for each cell, shape (n,)."""
        values = torch.cat([values for values, _ in self._outputs(self._checked(X))])
        return values.squeeze(1).numpy() * self._y_scale + self._y_mean


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


def _weights(weight: np.ndarray | None, device: str) -> torch.Tensor | None:
    return None if weight is None else _tensor(weight, device)


def _relative(weight: np.ndarray) -> np.ndarray | None:
    """Return positive weights with a mean of 1, or None if they are all the same."""
    if (weight == weight[0]).all():
        return None
    weight = weight / weight.max()  # first, because the sum may overflow
    return np.maximum(weight / weight.mean(), LEAST_WEIGHT)


def _mean_and_sd(values: np.ndarray, weight: np.ndarray | None) -> tuple[np.floating, np.floating]:
    mean = np.average(values, weights=weight)
    return mean, np.sqrt(np.average((values - mean) ** 2, weights=weight))
