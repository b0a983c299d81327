"""Close the gates of a cell one at a time: always the one that its answer needs least."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lspin.model.network import PackedLSPIN
from lspin.model.recipe import Recipe
from lspin.model.training import Task

ONE_IN = 64
"""Of more gates than this, one in so many closes in a round: wide tables would take too long."""

ELEMENTS_AT_ONCE = 2**22
"""Numbers in the first hidden layer at once; bounds memory."""

N_REMEMBERED = 3
"""Tables of cells of which a model remembers in which order it closed their gates."""


def distance(output: Tensor, expected: Tensor, task: Task) -> Tensor:
    """How far a prediction is from what is expected.

    Parameters
    ----------
    output : Tensor, shape (..., c)
        Logits, or values.
    expected : Tensor, broadcastable to `output`
        Probabilities, or values.
    task : {"classification", "regression"}
        Cross-entropy, or squared error.

    Returns
    -------
    Tensor, shape (...)

    Examples
    --------
    >>> import torch
    >>> from lspin.model import distance
    >>> distance(torch.zeros(2), torch.tensor([0.5, 0.5]), "classification").exp()
    tensor(2.)
    """
    if task == "regression":
        return (output - expected).square().sum(dim=-1)
    return -(expected * output.log_softmax(dim=-1)).sum(dim=-1)


def close_in_turn(
    reader: PackedLSPIN, x: Tensor, expected: Tensor, task: Task
) -> tuple[Tensor, Tensor]:
    """Close the gates of each cell one at a time, until none is open.

    In each round, every open gate is closed on trial, and the one whose closing keeps the
    prediction nearest to what is expected stays closed: backward elimination, for each cell on its
    own.

    Parameters
    ----------
    reader : PackedLSPIN
        Trained behind random masks.
    x : Tensor, shape (n, d)
        Cells.
    expected : Tensor, shape (n, c)
        What is to be predicted: probabilities, or values.
    task : {"classification", "regression"}
        Which of the two.

    Returns
    -------
    place : Tensor of int, shape (n, d)
        1 is the gate that closes last; the k gates that are open longest have places 1 to k.
    cost : Tensor, shape (n, d + 1)
        `distance` with 0 to d gates open; infinite where that number was passed over.

    Examples
    --------
    >>> import torch
    >>> from lspin.model import PackedLSPIN, Recipe, close_in_turn
    >>> reader = PackedLSPIN(3, 1, [0], Recipe(gating="closing", predictor="linear"))
    >>> with torch.no_grad():
    ...     _ = reader.predictor_layers[0].weight.copy_(torch.tensor([[[5.0], [0.0], [1.0]]]))
    >>> x = torch.ones(1, 3)
    >>> close_in_turn(reader, x, expected=torch.tensor([[6.0]]), task="regression")[0]
    tensor([[1, 3, 2]])
    """
    width = max(reader.recipe.predictor_hidden) * reader.n_models * x.shape[1]
    size = max(1, ELEMENTS_AT_ONCE // width)
    parts = [
        _close_in_turn(reader, *rows, task)
        for rows in zip(x.split(size), expected.split(size), strict=True)
    ]
    places, costs = zip(*parts, strict=True)
    return torch.cat(places), torch.cat(costs)


@torch.no_grad()
def _close_in_turn(
    reader: PackedLSPIN, x: Tensor, expected: Tensor, task: Task
) -> tuple[Tensor, Tensor]:
    n, d = x.shape
    is_open = torch.ones_like(x, dtype=torch.bool)
    place = torch.zeros_like(is_open, dtype=torch.long)
    cost = x.new_full((n, d + 1), torch.inf)
    n_open = d
    while n_open:
        still_open = is_open.nonzero()[:, 1].view(n, n_open)
        without_each, with_all = _without_each(reader, x * is_open, still_open)
        cost[:, n_open] = distance(with_all, expected, task)
        loss = distance(without_each, expected[:, None], task)
        n_close = max(1, n_open // ONE_IN)
        closed = still_open.gather(1, loss.argsort(dim=1, stable=True)[:, :n_close])
        places = torch.arange(n_open, n_open - n_close, -1, device=x.device)
        place.scatter_(1, closed, places.expand(n, -1))
        is_open.scatter_(1, closed, False)
        n_open -= n_close
    cost[:, 0] = distance(reader.predict_gated(torch.zeros_like(x)[None]).mean(0), expected, task)
    return place, cost


def _without_each(reader: PackedLSPIN, gated: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs (n, m, c) without each of m features of a cell, and with all, (n, c).

    A feature's share of the first layer is taken away from it, instead of computing that anew.
    """
    first, *later = reader.predictor_layers
    hidden = first(gated.expand(reader.n_models, *gated.shape))
    values, weights = gated.gather(1, features), first.get_parameter("weight")[:, features]
    # Nearly all the time goes into moving these numbers: they are overwritten where they are.
    without = torch.addcmul(hidden[:, :, None], values[..., None], weights, value=-1, out=weights)
    without = without.flatten(1, 2)
    for layer in later:
        hidden, without = layer(F.relu_(hidden)), layer(F.relu_(without))
    return without.mean(dim=0).view(*features.shape, -1), hidden.mean(dim=0)


class ClosingLSPIN(nn.Module):
    """Networks that see everything, and one model that says the same from few measurements.

    What the dense networks expect of a cell decides which of its gates close (`close_in_turn`);
    the predictors behind the mask see only what is left. They were trained behind random masks, so
    a mask itself tells them nothing.

    Parameters
    ----------
    dense : PackedLSPIN
        Sees everything.
    temperature : float
        Calibrates its logits.
    reader : PackedLSPIN
        K predictors trained behind random masks.
    recipe : Recipe
        With the limit: `max_open`, or the price `lam`, which closes gates of a cell as long as
        that costs less than `lam` / d of cross-entropy (squared error in regression) each.
    task : {"classification", "regression"}
        What outputs mean.
    seen : deque, optional
        Of another one with the same networks: in which order gates were closed lately.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import torch
    >>> from lspin.model import ClosingLSPIN, PackedLSPIN, READER
    >>> dense, reader = PackedLSPIN(4, 3, [0]), PackedLSPIN(4, 3, [0, 1], READER)
    >>> model = ClosingLSPIN(dense, 1.0, reader, replace(READER, max_open=2), "classification")
    >>> logits, mu = model(torch.randn(10, 4))
    >>> logits.shape, (mu > -0.5).sum(dim=2).unique()
    (torch.Size([2, 10, 3]), tensor([2]))
    """

    n_models = 1

    def __init__(
        self,
        dense: PackedLSPIN,
        temperature: float,
        reader: PackedLSPIN,
        recipe: Recipe,
        task: Task,
        seen: deque | None = None,
    ) -> None:
        super().__init__()
        self.temperature: Tensor
        self.output_scale: Tensor
        self.dense, self.reader, self.recipe, self.task = dense, reader, recipe, task
        self.n_predictors = reader.n_models
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        self.register_buffer("output_scale", torch.tensor(1.0))
        # Whoever asks for a cell's gates soon asks for its probabilities, or for another limit.
        self.seen = deque(maxlen=N_REMEMBERED) if seen is None else seen

    def __getstate__(self) -> dict[str, Any]:
        """Keep no cells where the model is copied or stored."""
        return self.__dict__ | {"seen": deque(maxlen=N_REMEMBERED)}

    def limited(self, recipe: Recipe) -> ClosingLSPIN:
        """Return the same networks under another limit."""
        return ClosingLSPIN(
            self.dense, self.temperature.item(), self.reader, recipe, self.task, self.seen
        ).to(self.output_scale)

    def expected(self, x: Tensor) -> Tensor:
        """Return what the dense networks say of cells (n, d): probabilities or values, (n, c)."""
        output = self.dense(x)[0].mean(dim=0)
        return output if self.task == "regression" else (output / self.temperature).softmax(dim=1)

    def gate_locations(self, x: Tensor, expected: Tensor | None = None) -> Tensor:
        """Return mu, shape (1, n, d), for cells (1, n, d): 0.5 for an open gate, -0.5 for a closed.

        `expected`, shape (n, c), is by default what the dense networks say.
        """
        (x,) = x
        place, cost = self._order(x, self.expected(x) if expected is None else expected)
        if self.recipe.max_open is None:
            d = x.shape[1]
            prices = self.recipe.lam * torch.arange(d + 1, dtype=x.dtype, device=x.device) / d
            n_open = (cost + prices).argmin(dim=1, keepdim=True)
        else:
            n_open = torch.full_like(place[:, :1], self.recipe.max_open)
        return (place <= n_open).to(x.dtype)[None] - 0.5

    def _order(self, x: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
        for same_x, same_expected, *found in tuple(self.seen):  # another thread may add to it
            if torch.equal(same_x, x) and torch.equal(same_expected, expected):
                return found[0], found[1]
        # Whoever closes gates by hand asks about many copies of a cell.
        rows, which = torch.cat([x, expected], dim=1).unique(dim=0, return_inverse=True)
        some, said = rows[:, : x.shape[1]], rows[:, x.shape[1] :]
        found = close_in_turn(self.reader, some, said, self.task)
        place, cost = found[0][which], found[1][which]
        if x.numel() <= ELEMENTS_AT_ONCE:
            self.seen.append((x.clone(), expected.clone(), place, cost))
        return place, cost

    def predict_gated(self, gated: Tensor) -> Tensor:
        """Return logits or values, shape (K, n, c), for gated cells, shape (1, n, d)."""
        return self.reader.predict_gated(gated) * self.output_scale

    def divide_outputs(self, temperature: float) -> None:
        """Divide what the predictors return by a temperature; the gates stay as they are."""
        self.output_scale.div_(temperature)

    def forward(self, x: Tensor, expected: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return outputs, shape (K, n, c), and mu, shape (1, n, d), for cells (n, d)."""
        mu = self.gate_locations(x[None], expected)
        return self.predict_gated(x * (mu + 0.5)), mu
