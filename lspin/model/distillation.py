"""From networks that see everything to one model that sees few measurements of a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.nn import functional as F

from lspin.model.network import PackedLSPIN
from lspin.model.recipe import BEHIND_THE_MASK, READERS, Recipe
from lspin.model.threads import one_torch_thread, own_torch_state
from lspin.model.training import Member, Task, fit_members

N_MIXTURES = 30_000
"""Mixtures of cells that the dense networks are asked about. Where cells are few, a mask learned
on them alone fits their noise; mixtures are as many as one likes."""

N_NEIGHBOURS = 10
"""A cell is mixed with one of so many that are most like it."""

ROWS_AT_ONCE = 4096
"""Rows sent through all networks at once; bounds memory."""

MAX_PARTNERS = 4096
"""Cells among which neighbours are looked for."""

MAX_ELEMENTS = 2**25
"""Numbers in all mixtures, and in what passes through all networks at once; bounds memory where
a table has very many columns."""


class Lesson(NamedTuple):
    """What the one model is trained on.

    Attributes
    ----------
    x : Tensor, shape (n + m, d)
        The n training cells, and m mixtures of them.
    target : Tensor, shape (n + m, c)
        What the dense networks say of them.
    weight : Tensor, shape (n + m,)
        Weight of each row in the loss; a mixture has that of its first cell.
    n_cells : int
        n.
    dense : PackedLSPIN
        These networks.
    temperature : float
        What their logits were divided by.

    Examples
    --------
    >>> import torch
    >>> from lspin.model import Lesson, PackedLSPIN
    >>> dense = PackedLSPIN(n_features=2, n_outputs=1, seeds=[0])
    >>> taught = Lesson(torch.zeros(5, 2), torch.zeros(5, 1), torch.ones(5), 2, dense)
    >>> taught.rows().tolist()
    [0, 1, 2, 3, 4]
    """

    x: Tensor
    target: Tensor
    weight: Tensor
    n_cells: int
    dense: PackedLSPIN
    temperature: float = 1.0

    def rows(self) -> np.ndarray:
        """Return the rows to train on: cells about as often as mixtures, if there are any."""
        cells, mixtures = np.split(np.arange(len(self.x)), [self.n_cells])
        return np.concatenate([np.tile(cells, max(1, len(mixtures) // self.n_cells)), mixtures])


def left_out(outputs: Tensor, members: Sequence[Member]) -> Tensor:
    """Return the mean output for each row of those networks that were not trained on it.

    Parameters
    ----------
    outputs : Tensor, shape (K, n, c)
        Of all networks for all n training rows.
    members : sequence of K Member

    Returns
    -------
    Tensor, shape (n, c)
        NaN where every network was trained on the row.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from lspin.model import Member, left_out
    >>> member = Member(train=np.array([0]), valid=np.array([1]), seed=0)
    >>> left_out(torch.tensor([[[5.0], [7.0]]]), [member]).flatten()
    tensor([nan, 7.])
    """
    is_out = torch.zeros((*outputs.shape[:2], 1), dtype=outputs.dtype)
    for rows, member in zip(is_out, members, strict=True):
        rows[np.setdiff1d(np.arange(outputs.shape[1]), member.train)] = 1
    return (outputs * is_out).sum(dim=0) / is_out.sum(dim=0)


def fit_temperature(logits: Tensor, truth: Tensor, weight: Tensor | None = None) -> float:
    """Return what logits are to be divided by so that the probabilities are calibrated ([1]_).

    Parameters
    ----------
    logits : Tensor, shape (n, c)
        Of rows whose own label was not learned from; rows with NaN are left out.
    truth : Tensor, shape (n,)
        Class indices.
    weight : Tensor, shape (n,), optional
        How much each row counts; 1 if not given.

    Returns
    -------
    float
        The temperature of least cross-entropy, from 0.2 to 5; 1 if no row is left.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger. "On Calibration of Modern Neural Networks". ICML 2017.

    Examples
    --------
    Twice as sure as it may be: right in three of four cases.

    >>> import torch
    >>> from lspin.model import fit_temperature
    >>> logits = torch.tensor([[2.1972, 0.0]]).repeat(4, 1)
    >>> round(fit_temperature(logits, torch.tensor([0, 0, 0, 1])), 2)
    2.0
    """
    known = torch.isfinite(logits).all(dim=1)
    if not known.any():
        return 1.0
    logits, truth = logits[known].double(), truth[known]
    counts = None if weight is None else weight[known].double()

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        if counts is None:
            return F.cross_entropy(scaled, truth).item()
        return _mean(F.cross_entropy(scaled, truth, reduction="none"), counts).item()

    with one_torch_thread(), own_torch_state(), torch.no_grad():
        return math.exp(minimize_scalar(loss, bounds=(-1.6, 1.6), method="bounded").x)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum()


def mixtures(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mix cells with cells that are like them.

    Parameters
    ----------
    x : ndarray, shape (n, d)
        Standardised cells.
    rng : Generator
        Draws cells, partners and shares.

    Returns
    -------
    mixed : ndarray, shape (m, d)
        m is `N_MIXTURES`, or fewer where a table has more than a thousand columns.
    first : ndarray of int, shape (m,)
        The cell of which there is most in each.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.model import mixtures
    >>> mixed, _ = mixtures(np.array([[0.0], [1.0]]), np.random.default_rng(0))
    >>> bool(mixed.min() >= 0 and mixed.max() <= 1), mixed.shape
    (True, (30000, 1))
    """
    m = min(N_MIXTURES, max(1, MAX_ELEMENTS // x.shape[1]))
    first = rng.integers(len(x), size=m)
    partners = x[rng.permutation(len(x))[:MAX_PARTNERS]]
    cells, which = np.unique(first, return_inverse=True)
    # One more than needed: the nearest of all is the cell itself, where it is among the partners.
    n_neighbours = min(N_NEIGHBOURS + 1, len(partners))
    search = NearestNeighbors(n_neighbors=n_neighbours, algorithm="brute").fit(partners)
    near = search.kneighbors(x[cells], return_distance=False)
    drawn = rng.integers(min(1, n_neighbours - 1), n_neighbours, size=m)
    share = rng.uniform(0.5, 1.0, size=(m, 1))
    return share * x[first] + (1 - share) * partners[near[which, drawn]], first


@one_torch_thread()
@own_torch_state()
def lesson(
    dense: PackedLSPIN,
    x: Tensor,
    target: Tensor,
    members: Sequence[Member],
    *,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    task: Task,
    seed: int,
) -> Lesson:
    """Let dense networks say what they expect of cells, and of mixtures of them ([1]_, [2]_).

    Of a training cell only those networks are asked that were not trained on it. In
    classification their probabilities, calibrated, take the place of its label, which may be
    wrong. In regression, the better they predict the values of such cells, the less noise is in
    these: the share of the variance that they explain is how much a value counts beside what they
    say, and mixtures count the rest. Where all networks know a cell, it keeps its label or value.

    Parameters
    ----------
    dense : PackedLSPIN
        K trained networks.
    x : Tensor, shape (n, d), float32
        Training cells.
    target : Tensor, shape (n, c), float32
        As in `fit_pack`.
    members : sequence of K Member
        What each network was trained on.
    weight : Tensor, shape (n,), optional
        Weight of each cell in the loss; 1 if not given.
    sample_weight : Tensor, shape (n,), optional
        How much each cell counts where probabilities are calibrated, or the noise of the values is
        estimated; 1 if not given. The weight of its class is no part of it.
    task : {"classification", "regression"}
        What `target` is.
    seed : int
        Seeds the mixtures.

    Returns
    -------
    Lesson

    References
    ----------
    .. [1] Hinton, Vinyals, Dean. "Distilling the Knowledge in a Neural Network". 2015.
    .. [2] Bucila, Caruana, Niculescu-Mizil. "Model compression". KDD 2006.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from lspin.model import Member, PackedLSPIN, lesson
    >>> x, target = torch.randn(8, 2), torch.eye(2).repeat(4, 1)
    >>> member = Member(train=np.arange(4), valid=np.arange(4, 8), seed=0)
    >>> dense = PackedLSPIN(n_features=2, n_outputs=2, seeds=[0])
    >>> taught = lesson(dense, x, target, [member], task="classification", seed=0)
    >>> taught.x.shape, bool((taught.target[:4] == target[:4]).all())
    (torch.Size([30008, 2]), True)
    """
    weight = torch.ones_like(x[:, 0]) if weight is None else weight
    drawn, first = mixtures(x.cpu().numpy(), np.random.default_rng(seed))
    mixed = torch.as_tensor(drawn, dtype=x.dtype, device=x.device)
    held, said = left_out(all_outputs(dense, x).cpu(), members).to(x), mean_output(dense, mixed)
    known = held.isnan()
    temperature, trust, weight_of_mixtures = 1.0, 0.0, 1.0
    if task == "classification":
        temperature = fit_temperature(held.cpu(), target.argmax(dim=1).cpu(), sample_weight)
        held, said = (held / temperature).softmax(dim=1), (said / temperature).softmax(dim=1)
    elif not known.all():
        counts = None if sample_weight is None else sample_weight.to(x)[:, None][~known]
        error = _unexplained(held[~known], target[~known], counts)
        trust = float((1 - error).nan_to_num(nan=1.0).clamp(0, 1))  # NaN: a constant, predicted
        weight_of_mixtures = 1 - trust
    target = torch.where(known, target, torch.lerp(held, target, trust))
    weight = torch.cat([weight, weight_of_mixtures * weight[first]])
    rows, said = torch.cat([x, mixed]), torch.cat([target, said])
    return Lesson(rows, said, weight, len(x), dense, temperature)


def _unexplained(said: Tensor, values: Tensor, weight: Tensor | None) -> Tensor:
    """Return the share of the variance of values that what was said of them leaves open."""
    error = (said - values).square()
    if weight is None:
        return error.mean() / values.var(correction=0)
    return _mean(error, weight) / _mean((values - _mean(values, weight)).square(), weight)


def all_outputs(network: PackedLSPIN, x: Tensor) -> Tensor:
    """Return what every predictor says of cells (n, d), shape (K P, n, c), a part at a time.

    Parameters
    ----------
    network : PackedLSPIN
    x : Tensor, shape (n, d)

    Returns
    -------
    Tensor, shape (K P, n, c)

    Examples
    --------
    >>> import torch
    >>> from lspin.model import PackedLSPIN, all_outputs
    >>> all_outputs(PackedLSPIN(n_features=4, n_outputs=3, seeds=[0, 1]), torch.zeros(5, 4)).shape
    torch.Size([2, 5, 3])
    """
    with one_torch_thread(), own_torch_state(), torch.no_grad():
        return torch.cat([network(part)[0] for part in _parts(network, x)], dim=1)


def mean_output(network: PackedLSPIN, x: Tensor) -> Tensor:
    """Return the mean of what all predictors say of cells (n, d), shape (n, c).

    Parameters
    ----------
    network : PackedLSPIN
    x : Tensor, shape (n, d)

    Returns
    -------
    Tensor, shape (n, c)

    Examples
    --------
    >>> import torch
    >>> from lspin.model import PackedLSPIN, mean_output
    >>> mean_output(PackedLSPIN(n_features=4, n_outputs=3, seeds=[0, 1]), torch.zeros(5, 4)).shape
    torch.Size([5, 3])
    """
    with one_torch_thread(), own_torch_state(), torch.no_grad():
        return torch.cat([network(part)[0].mean(dim=0) for part in _parts(network, x)])


def _parts(network: PackedLSPIN, x: Tensor) -> Sequence[Tensor]:
    """Cut cells into parts that may pass through all networks at once."""
    copies = network.n_models * max(network.recipe.n_gating, network.n_predictors)
    return x.split(max(1, min(ROWS_AT_ONCE, MAX_ELEMENTS // (copies * x.shape[1]))))


@one_torch_thread()
@own_torch_state()
def fit_one_mask(
    taught: Lesson, *, seed: int, task: Task, recipe: Recipe, verbose: int = 0
) -> PackedLSPIN:
    """Train gating networks that agree on one mask, and the predictors behind it.

    Parameters
    ----------
    taught : Lesson
    seed : int
        Seeds the model.
    task, recipe, verbose
        As in `fit_pack`.

    Returns
    -------
    PackedLSPIN
        With one model: one mask, and the predictors behind it.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import torch
    >>> from lspin.model import ONE_MASK, Lesson, PackedLSPIN, fit_one_mask
    >>> x, target = torch.randn(50, 4), torch.eye(2).repeat(25, 1)
    >>> dense = PackedLSPIN(n_features=4, n_outputs=2, seeds=[0])
    >>> taught = Lesson(x, target, weight=torch.ones(50), n_cells=50, dense=dense)
    >>> recipe = replace(ONE_MASK, max_open=2, n_steps=10)
    >>> network = fit_one_mask(taught, seed=0, task="classification", recipe=recipe)
    >>> int((network(x)[1] > -0.5).sum(dim=2).max())
    2
    """
    member = Member(taught.rows(), np.empty(0, dtype=int), seed, BEHIND_THE_MASK)
    return _fit(taught, [member], task, recipe, verbose)


@one_torch_thread()
@own_torch_state()
def fit_reader(
    taught: Lesson, *, seed: int, task: Task, recipe: Recipe, verbose: int = 0
) -> PackedLSPIN:
    """Train predictors that do with whatever few measurements they are given.

    Each row is seen through a mask drawn at random, of any size, so that a predictor learns what
    is to be expected given what it sees ([1]_), and nothing from the mask itself.

    Parameters
    ----------
    taught : Lesson
    seed : int
        Seeds the predictors.
    task, recipe, verbose
        As in `fit_pack`; a limit in the recipe is not used.

    Returns
    -------
    PackedLSPIN
        The predictors of `READERS`, one a model.

    References
    ----------
    .. [1] Covert, Lundberg, Lee. "Explaining by Removing: A Unified Framework for Model
           Explanation". JMLR 22(209), 2021. Section 8.2.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import torch
    >>> from lspin.model import READER, Lesson, PackedLSPIN, fit_reader
    >>> x, target = torch.randn(50, 4), torch.eye(2).repeat(25, 1)
    >>> dense = PackedLSPIN(n_features=4, n_outputs=2, seeds=[0])
    >>> taught = Lesson(x, target, weight=torch.ones(50), n_cells=50, dense=dense)
    >>> recipe = replace(READER, n_steps=10)
    >>> fit_reader(taught, seed=0, task="classification", recipe=recipe).n_models
    12
    """
    rows, nothing = taught.rows(), np.empty(0, dtype=int)
    seeds = np.random.SeedSequence(seed).generate_state(len(READERS))
    members = [
        Member(rows, nothing, int(own), (habit,)) for own, habit in zip(seeds, READERS, strict=True)
    ]
    return _fit(taught, members, task, replace(recipe, lam=0.0, max_open=None), verbose)


def _fit(
    taught: Lesson, members: Sequence[Member], task: Task, recipe: Recipe, verbose: int
) -> PackedLSPIN:
    return fit_members(
        taught.x,
        taught.target,
        members,
        task=task,
        # As many passes over the cells as the recipe says: mixtures come on top.
        recipe=recipe.for_rows(taught.n_cells),
        weight=taught.weight,
        verbose=verbose,
    )
