"""Every setting of a training, and how it changes while the training goes on."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from lspin.model.gates import SIGMA

_SHARES = ("ramp", "budget_ramp", "min_noise", "mask_ramp")
_POSITIVE = ("learning_rate", "sigma", "max_bias", "gate_gain", "predictor_gain")
_WIDTHS = ("gate_hidden", "predictor_hidden")

GATINGS = ("closing", "local", "global")
PREDICTORS = ("mlp", "linear")

MAX_LAM = 1e6
"""Any larger and the penalty would swamp the loss: float32 has seven digits."""


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


class Regularisation(NamedTuple):
    """How strongly a predictor is held back from learning its training cells by heart.

    Attributes
    ----------
    weight_decay : float
        Each step multiplies the weights by 1 minus the learning rate times this.
    mixup : float
        It trains on mixtures of what the gates of two cells let through, with shares from
        Beta(mixup, mixup) ([1]_, [2]_); 0 is none. Not used in regression.

    References
    ----------
    .. [1] Zhang, Cisse, Dauphin, Lopez-Paz. "mixup: Beyond Empirical Risk Minimization".
           ICLR 2018. Equation 2, for inputs.
    .. [2] Verma et al. "Manifold Mixup: Better Representations by Interpolating Hidden States".
           ICML 2019.

    Examples
    --------
    >>> from lspin.model import REGULARISATIONS
    >>> REGULARISATIONS[4]
    Regularisation(weight_decay=0.1, mixup=0.2)
    """

    weight_decay: float
    mixup: float


REGULARISATIONS = tuple(
    Regularisation(decay, mixup) for decay in (0.03, 0.1, 0.3, 1.0) for mixup in (0.0, 0.2, 1.0)
)
"""Of the dense networks, in turn. Nobody knows beforehand how noisy the labels of a table are and
how smooth its classes, so the networks differ in it, and their mean does well on most tables."""

BEHIND_THE_MASK = tuple(REGULARISATIONS[k] for k in (4, 7, 5, 8))
"""Of the predictors behind one mask: the middle of the range."""


class Stage(NamedTuple):
    """What holds at one moment of a training; see `Recipe.stage`.

    Attributes
    ----------
    price : float
        Share of lambda that an open gate costs, from 0 to 1.
    n_open : int or None
        How many gates of a cell may be open; None is no limit.
    sigma : float
        Standard deviation of the gate noise.
    any_mask : float
        Share of cells that are seen through a random mask instead of their own.

    Examples
    --------
    >>> from lspin.model import DENSE
    >>> DENSE.stage(0.35, n_features=42).price
    0.5
    """

    price: float
    n_open: int | None
    sigma: float
    any_mask: float


@dataclass(frozen=True)
class Recipe:
    """Every setting of a training; the same for all networks of a pack.

    `DENSE` is of the networks that see everything; `READER`, `ONE_MASK` and `ONE_MASK_OF_VALUES`
    are of what sees few measurements. Vary one with `dataclasses.replace`, and give it to
    an estimator as ``recipe=`` or ``mask_recipe=``. What an estimator has a parameter for
    (`lam`, `max_open`, `gating`, `predictor`, `n_steps`) is given to the estimator instead.

    Attributes
    ----------
    lam : float
        Price: weight of the open-gate penalty.
    max_open : int, optional
        Budget: how many gates of a cell may be open.
    gating : {"closing", "local", "global"}
        How gates depend on the cell: closed one after another (`close_in_turn`), set by a network,
        or not at all, which is the global stochastic gates ("STG") of [1]_.
    predictor : {"mlp", "linear"}
        What reads the gated features; "linear" is the locally linear variant of [2]_ ("LLSPIN").
    n_steps : int, optional
        Optimisation steps; by default `min_epochs` passes over the training rows, and at least
        `min_steps`.
    min_steps, min_epochs : int
        See `n_steps`.
    n_gating : int
        Gating networks of a model; its gates are located where they say on average.
    batch_size : int
        Rows in a step.
    n_checks : int
        How often in a training the validation rows are looked at.
    learning_rate : float
        The highest of the one-cycle schedule.
    gate_decay : float, optional
        Weight decay of the gating networks; by default that of the predictor behind them.
    ramp : float
        Share of the steps over which the price of an open gate rises from 0 to `lam`, so that
        what a feature is good for is known before gates close.
    budget_ramp : float
        Share of the steps over which a budget falls from all gates to `max_open`.
    sigma : float
        Standard deviation of the gate noise. Under a budget it falls in proportion to the steps
        that are left: where few gates are open, the network must learn to do with exactly these.
    min_noise : float
        Share of `sigma` at which it stops to fall.
    any_mask, least_any_mask, mask_ramp : float
        Share of cells, at the start of a training, that the predictors see through a random mask
        instead of the cell's own ([3]_); it falls to `least_any_mask` over a share `mask_ramp` of
        the steps. A predictor that knows only the masks of the gating networks learns what a mask
        means (this cell has its second gate open: so it must be of that class), and then the mask
        answers in place of the measurements.
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
    .. [3] Jethani, Sudarshan, Aphinyanaphongs, Ranganath. "Have We Learned to Explain? How
           Interpretability Methods Can Learn to Encode Predictions in their Interpretations".
           AISTATS 2021.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from lspin.model import DENSE
    >>> DENSE.steps(n_train=1000)
    500
    >>> replace(DENSE, min_steps=900).steps(n_train=1000)
    900
    """

    lam: float = 0.0
    max_open: int | None = None
    gating: str = "local"
    predictor: str = "mlp"
    n_steps: int | None = None
    min_steps: int = 500
    min_epochs: int = 20
    n_gating: int = 1
    batch_size: int = 128
    n_checks: int = 20
    learning_rate: float = 1e-2
    gate_decay: float | None = None
    ramp: float = 0.7
    budget_ramp: float = 0.8
    sigma: float = SIGMA
    min_noise: float = 0.2
    any_mask: float = 0.0
    least_any_mask: float = 0.0
    mask_ramp: float = 0.5
    max_bias: float = 1.0
    gate_hidden: tuple[int, ...] = (64, 64)
    predictor_hidden: tuple[int, ...] = (64, 32)
    gate_gain: float = 0.3
    predictor_gain: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a setting that a user may choose and that cannot be used."""
        if not is_number(self.lam) or not 0 <= self.lam <= MAX_LAM:
            raise ValueError(f"lam must be a number from 0 to {MAX_LAM:g}, got {self.lam!r}.")
        if self.max_open is not None:
            object.__setattr__(self, "max_open", whole_number("max_open", self.max_open))
        if self.lam and self.max_open is not None:
            raise ValueError(
                f"Give lam={self.lam!r} or max_open={self.max_open!r}, not both: max_open is the "
                "number of gates that stay open, and a price would close more of them."
            )
        if self.gating not in GATINGS:
            raise ValueError(f"gating must be one of {GATINGS}, got {self.gating!r}.")
        if self.predictor not in PREDICTORS:
            raise ValueError(f"predictor must be one of {PREDICTORS}, got {self.predictor!r}.")
        if self.n_steps is not None:
            object.__setattr__(self, "n_steps", whole_number("n_steps", self.n_steps))
        for name in ("any_mask", "least_any_mask"):
            if not (is_number(getattr(self, name)) and 0 <= getattr(self, name) <= 1):
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)!r}.")
        if self.gate_decay is not None and not (is_number(self.gate_decay) and self.gate_decay > 0):
            raise ValueError(f"gate_decay must be a number above 0, got {self.gate_decay!r}.")
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

    def is_limited(self, n_features: int) -> bool:
        """Tell whether a budget closes any of `n_features` gates."""
        return self.max_open is not None and self.max_open < n_features

    def steps(self, n_train: int) -> int:
        """Return the number of optimisation steps for `n_train` rows."""
        return self.n_steps or max(self.min_steps, self.min_epochs * n_train // self.batch_size)

    def for_rows(self, n_train: int) -> Recipe:
        """Return the recipe with its number of steps settled, the same for all packs of a fit."""
        return replace(self, n_steps=self.steps(n_train))

    def stage(self, done: float, n_features: int) -> Stage:
        """Return what holds when a share `done` of the training of `n_features` gates is over."""
        price = min(1.0, done / self.ramp)
        any_mask = max(self.least_any_mask, self.any_mask * (1 - done / self.mask_ramp))
        if self.max_open is None or self.max_open >= n_features:
            return Stage(price, None, self.sigma, any_mask)
        share = self.max_open / n_features
        n_open = round(n_features * share ** min(1.0, done / self.budget_ramp))
        sigma = self.sigma * max(1 - done, self.min_noise)
        return Stage(price, n_open, sigma, any_mask)


DENSE = Recipe()
"""Of the networks that see everything: each by itself, many of them, soon trained."""

READER = Recipe(gating="closing", any_mask=1.0, least_any_mask=1.0, min_steps=1000, min_epochs=60)
"""Of the predictors behind gates that close one at a time: they see random masks only."""

READERS = (Regularisation(weight_decay=2.0, mixup=0.0),) * 12
"""Of these predictors. What is random in their training would decide between measurements that say
the same: strong decay keeps them smooth, and the mean of a dozen leaves little of chance."""

ONE_MASK = Recipe(
    n_gating=16, predictor_hidden=(128, 64), min_steps=1000, min_epochs=40, gate_decay=1.0
)
"""Of gating networks: which few gates serve a cell best is learned late."""

ONE_MASK_OF_VALUES = replace(ONE_MASK, any_mask=0.8, mask_ramp=0.8, min_steps=2000)
"""The same where it predicts values: these are exact, and so is what masks would give away. The
probabilities from which classes are learned are not, and there random masks cost accuracy."""
