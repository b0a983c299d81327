"""Every setting of a training, and how it changes while the training goes on."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from lspin.model.gates import SIGMA

_SHARES = ("ramp", "budget_ramp", "local_from", "min_noise", "threshold_rate")
_POSITIVE = ("learning_rate", "sigma", "max_bias", "gate_gain", "predictor_gain")
_WIDTHS = ("gate_hidden", "predictor_hidden")

GATINGS = ("local", "linear", "global")
PREDICTORS = ("mlp", "linear")


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite real number, and not True or False.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    bool

    Examples
    --------
    >>> from lspin.model.recipe import is_number
    >>> is_number(0.5), is_number(True), is_number("1")
    (True, False, False)
    """
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    return is_real and math.isfinite(value)


def whole_number(name: str, value: Any) -> int:
    """Return a whole number from 1 as an int, also where it was written as ``2.0``.

    Parameters
    ----------
    name : str
        Of the parameter.
    value
        What a user gave.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is none; the message names the parameter.

    Examples
    --------
    >>> from lspin.model.recipe import whole_number
    >>> whole_number("n_steps", 50.0)
    50
    """
    if not is_number(value) or value < 1 or int(value) != value:
        raise ValueError(f"{name} must be a whole number >= 1, got {value!r}.")
    return int(value)


class Stage(NamedTuple):
    """What holds at one moment of a training; see `Recipe.stage`.

    Attributes
    ----------
    price : float
        Share of lambda that an open gate costs, from 0 to 1.
    n_open : float or None
        How many gates of a cell may be open, on average over cells; None is no limit.
    sigma : float
        Standard deviation of the gate noise.
    local : bool
        Whether gates may depend on the cell yet.
    final : bool
        Whether a network may be kept as it is now: a budget must have been reached.

    Examples
    --------
    >>> from lspin.model import Recipe
    >>> Recipe().stage(0.35, n_features=42).price
    0.5
    """

    price: float
    n_open: float | None
    sigma: float
    local: bool
    final: bool


@dataclass(frozen=True)
class Recipe:
    """Every setting of a training; the same for all networks of a pack.

    Vary it with `dataclasses.replace`, and give it to an estimator as ``recipe=``. What an
    estimator has a parameter for (`gating`, `predictor`, `max_open`, `mixup`, `weight_decay`,
    `n_steps`) is given to the estimator instead.

    Attributes
    ----------
    gating : {"local", "linear", "global"}
        How the gate location mu depends on the cell: by a network of hidden layers; by a weighted
        sum of those features whose gate is open for the average cell; or not at all, which is the
        global stochastic gates ("STG") of [1]_.
    predictor : {"mlp", "linear"}
        What reads the gated features; "linear" is the locally linear variant of [2]_ ("LLSPIN").
    max_open : float, optional
        Budget: how many gates may be open per cell and network, on average over cells.
    mixup : float
        Classifiers train on mixtures of what the gates of two cells let through, with shares from
        Beta(mixup, mixup) ([3]_, [4]_); 0 is none, and so is anything below 0.001, whose shares are
        all 0 or 1. Not used in regression.
    weight_decay : float
        AdamW's.
    n_steps : int, optional
        Optimisation steps; by default `min_epochs` passes over the training rows, and at least
        `min_steps`, or `budget_steps` under a budget, because which few gates serve a cell best
        is learned late.
    min_steps, budget_steps, min_epochs : int
        See `n_steps`.
    batch_size : int
        Rows in a step.
    n_checks : int
        How often in a training the validation rows are looked at.
    learning_rate : float
        The highest of the one-cycle schedule.
    label_smoothing : float
        Share of a label that is spread over all classes: a Cre line is an imperfect label.
    ramp : float
        Share of the steps over which the price of an open gate rises from 0 to lambda, so that
        what a feature is good for is known before gates close.
    budget_ramp : float
        Share of the steps over which a budget falls from all gates to `max_open`.
    local_from : float
        Share of the steps after which linear gates may depend on the cell: by then those that no
        cell needs are closed.
    sigma : float
        Standard deviation of the gate noise. Under a budget it falls in proportion to the steps
        that are left: where few gates are open, the network must learn to do with exactly these.
    min_noise : float
        Share of `sigma` at which it stops to fall.
    threshold_rate : float
        How fast the threshold that is used at inference follows that of a batch, under a budget.
    max_bias : float
        Upper limit of a gate's bias. Above it the probability that a gate is open, and so the
        penalty, no longer changes: a gate that drifted there could not find its way back.
    gate_hidden, predictor_hidden : tuple of int
        Widths of the hidden layers.
    gate_gain, predictor_gain : float
        Scale of the weights with which the last layers begin.

    Raises
    ------
    ValueError
        If a setting cannot be used; the message says which.

    References
    ----------
    .. [1] Yamada, Lindenbaum, Negahban, Kluger. "Feature Selection using Stochastic
           Gates". ICML 2020.
    .. [2] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.
    .. [3] Zhang, Cisse, Dauphin, Lopez-Paz. "mixup: Beyond Empirical Risk Minimization".
           ICLR 2018. Equation 2, for inputs.
    .. [4] Verma et al. "Manifold Mixup: Better Representations by Interpolating Hidden States".
           ICML 2019.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from lspin.model import Recipe
    >>> shipped = Recipe()
    >>> shipped.steps(n_train=1000)
    300
    >>> replace(shipped, min_steps=500).steps(n_train=1000)
    500
    """

    gating: str = "local"
    predictor: str = "mlp"
    max_open: float | None = None
    mixup: float = 1.0
    weight_decay: float = 0.6
    n_steps: int | None = None
    min_steps: int = 300
    budget_steps: int = 1000
    min_epochs: int = 5
    batch_size: int = 128
    n_checks: int = 20
    learning_rate: float = 1e-2
    label_smoothing: float = 0.05
    ramp: float = 0.7
    budget_ramp: float = 0.8
    local_from: float = 0.35
    sigma: float = SIGMA
    min_noise: float = 0.02
    threshold_rate: float = 0.1
    max_bias: float = 1.0
    gate_hidden: tuple[int, ...] = (64, 64)
    predictor_hidden: tuple[int, ...] = (64, 32)
    gate_gain: float = 0.3
    predictor_gain: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a setting that a user may choose and that cannot be used."""
        if self.gating not in GATINGS:
            raise ValueError(f"gating must be one of {GATINGS}, got {self.gating!r}.")
        if self.predictor not in PREDICTORS:
            raise ValueError(f"predictor must be one of {PREDICTORS}, got {self.predictor!r}.")
        if self.max_open is not None and not (is_number(self.max_open) and self.max_open > 0):
            raise ValueError(f"max_open must be above 0, or None, got {self.max_open!r}.")
        for name in ("mixup", "weight_decay"):
            value = getattr(self, name)
            if not is_number(value) or value < 0:
                raise ValueError(f"{name} must be a finite number >= 0, got {value!r}.")
        if self.n_steps is not None:
            object.__setattr__(self, "n_steps", whole_number("n_steps", self.n_steps))
        for field in fields(self):  # those that only an experiment changes
            value = getattr(self, field.name)
            if field.type == "int":
                whole_number(field.name, value)
            elif field.name in _SHARES and not (is_number(value) and 0 < value <= 1):
                raise ValueError(f"{field.name} must be above 0 and at most 1, got {value!r}.")
            elif field.name in _POSITIVE and not (is_number(value) and value > 0):
                raise ValueError(f"{field.name} must be a number above 0, got {value!r}.")
            elif field.name in _WIDTHS:
                object.__setattr__(
                    self, field.name, tuple(whole_number(field.name, n) for n in value)
                )

    def steps(self, n_train: int) -> int:
        """Return the number of optimisation steps for `n_train` rows."""
        at_least = self.min_steps if self.max_open is None else self.budget_steps
        return self.n_steps or max(at_least, self.min_epochs * n_train // self.batch_size)

    def for_rows(self, n_train: int) -> Recipe:
        """Return the recipe with its number of steps settled, the same for all packs of a fit."""
        return replace(self, n_steps=self.steps(n_train))

    def stage(self, done: float, n_features: int) -> Stage:
        """Return what holds when a share `done` of the training of `n_features` gates is over."""
        price = min(1.0, done / self.ramp)
        local = {"local": True, "linear": done >= self.local_from, "global": False}[self.gating]
        if self.max_open is None or self.max_open >= n_features:
            return Stage(price, None, self.sigma, local, final=True)
        share = self.max_open / n_features
        n_open = n_features * share ** min(1.0, done / self.budget_ramp)
        sigma = self.sigma * max(1 - done, self.min_noise)
        return Stage(price, n_open, sigma, local, final=done >= self.budget_ramp)


DEFAULT = Recipe()
"""What is shipped."""
