"""One loop that fits a pack: rows, seed, regularisation and early stopping per model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from joblib import Parallel, delayed
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from lspin.model.gates import open_probability
from lspin.model.network import PackedLSPIN, mixed
from lspin.model.recipe import DENSE, REGULARISATIONS, Recipe, Regularisation, Stage
from lspin.model.threads import n_workers, one_torch_thread, own_torch_state

Task = Literal["classification", "regression"]

LEAST_MIXUP = 1e-3
"""Below it all shares of mixtures are 0 or 1, and numpy takes for ever to draw them."""

ELEMENTS_AT_ONCE = 2**23
"""Numbers sent through the networks at once when validation rows are looked at; bounds memory."""

PACK_SIZE = 6
"""Models trained as one pack. Larger packs are hardly faster per model, and a size that
does not depend on the machine gives the same numbers on every number of processors."""


@dataclass(frozen=True)
class Member:
    """What one model of a pack is trained on.

    Attributes
    ----------
    train, valid : ndarray of int
        Rows to fit, and rows that choose the step to keep; if there are none, it is the last.
    seed : int
        Seed of the model's weights, gate noise and batches.
    regularisations : tuple of Regularisation
        One for each predictor behind the model's mask.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.model import Member
    >>> member = Member(train=np.arange(150), valid=np.arange(150, 200), seed=0)
    >>> len(member.train), len(member.valid), len(member.regularisations)
    (150, 50, 1)
    """

    train: np.ndarray
    valid: np.ndarray
    seed: int
    regularisations: tuple[Regularisation, ...] = (REGULARISATIONS[4],)


def classification_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy per cell, (K, n), of logits (K, n, c) and shares of each class.

    Parameters
    ----------
    logits : Tensor, shape (K, n, c)
        Outputs of K networks.
    target : Tensor, shape (K, n, c)
        How much of each class a cell is; rows sum to 1.

    Returns
    -------
    Tensor, shape (K, n)

    Examples
    --------
    >>> import torch
    >>> from lspin.model import classification_loss
    >>> logits, target = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[0.5, 0.5]]])
    >>> classification_loss(logits, target).round(decimals=2)
    tensor([[1.1300]])
    """
    return F.cross_entropy(logits.transpose(1, 2), target.transpose(1, 2), reduction="none")


def regression_loss(values: Tensor, target: Tensor) -> Tensor:
    """Squared error per cell, shape (K, n), of values and targets, both (K, n, 1).

    Parameters
    ----------
    values : Tensor, shape (K, n, 1)
        Outputs of K networks.
    target : Tensor, shape (K, n, 1)
        Standardised values.

    Returns
    -------
    Tensor, shape (K, n)

    Examples
    --------
    >>> import torch
    >>> from lspin.model import regression_loss
    >>> regression_loss(torch.tensor([[[3.0]]]), torch.tensor([[[1.0]]]))
    tensor([[4.]])
    """
    return (values - target).square().squeeze(2)


def objective(
    network: PackedLSPIN,
    x: Tensor,
    target: Tensor,
    *,
    task: Task = "classification",
    stage: Stage | None = None,
    shares: Tensor | None = None,
) -> Tensor:
    """Return what training minimises, cell by cell ([1]_, equation 5).

    The prediction loss, mean over the predictors of a model, plus `Recipe.lam` times the mean
    probability that a gate is open.

    Parameters
    ----------
    network : PackedLSPIN
        K models of P predictors.
    x : Tensor, shape (K, n, d) or (n, d)
        Standardised features.
    target : Tensor, shape (K, n, c)
        Shares of each class; for regression, standardised values, c = 1.
    task : {"classification", "regression"}
        Which prediction loss.
    stage : Stage, optional
        Of the training, whose gates are sampled, as in `PackedLSPIN.forward`. By default they are
        free of noise and the price is `Recipe.lam` itself.
    shares : Tensor, shape (K P, n), optional
        Predict for mixtures of cells, as in `PackedLSPIN.forward`, and compare with the mixtures
        of their targets.

    Returns
    -------
    Tensor, shape (K, n)

    References
    ----------
    .. [1] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.

    Examples
    --------
    With all gates fully open the penalty is nearly lambda itself:

    >>> import torch
    >>> from lspin.model import PackedLSPIN, Recipe
    >>> from lspin.model import objective
    >>> x, target = torch.zeros(10, 4), torch.tensor([1.0, 0.0]).expand(1, 10, 2)
    >>> free, priced = (
    ...     objective(PackedLSPIN(4, 2, seeds=[0], recipe=Recipe(lam=lam)), x, target)
    ...     for lam in (0.0, 1.0)
    ... )
    >>> (priced - free)[0, 0].item() > 0.9
    True
    """
    recipe = network.recipe
    output, mu = network(x, stage, shares)
    target = target.repeat_interleave(network.n_predictors, dim=0)
    if shares is not None:
        target = mixed(target, shares)
    loss_of = regression_loss if task == "regression" else classification_loss
    loss = loss_of(output, target).unflatten(0, (len(mu), -1)).mean(dim=1)
    if recipe.lam == 0:
        return loss
    price = recipe.lam if stage is None else recipe.lam * stage.price
    return loss + price * open_probability(mu, recipe.sigma).mean(dim=2)


def fit_members(
    x: Tensor,
    target: Tensor,
    members: Sequence[Member],
    *,
    task: Task = "classification",
    recipe: Recipe = DENSE,
    weight: Tensor | None = None,
    verbose: int = 0,
    pack_size: int = PACK_SIZE,
) -> PackedLSPIN:
    """Train any number of models, cut into packs that run side by side.

    Packs run through joblib: in threads by default, or wherever an enclosing
    ``joblib.parallel_config`` says, for example on a Dask cluster.

    Parameters
    ----------
    x, target, members, task, recipe, weight, verbose
        As in `fit_pack`. The progress bar is that of the first pack.
    pack_size : int
        Models in a pack. It does not depend on the machine, so neither do the results.

    Returns
    -------
    PackedLSPIN
        All models, in the order given.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from lspin.model import Member, Recipe, fit_members
    >>> rng = np.random.default_rng(0)
    >>> x = torch.tensor(rng.standard_normal((200, 4)), dtype=torch.float32)
    >>> target = torch.stack([x[:, 0] > 0, x[:, 0] <= 0], dim=1).float()
    >>> members = [Member(np.arange(150), np.arange(150, 200), seed) for seed in (0, 1)]
    >>> fit_members(x, target, members, recipe=Recipe(n_steps=20)).n_models
    2
    """
    size = pack_size if x.device.type == "cpu" else len(members)  # a GPU takes all at once
    packs = Parallel(n_jobs=n_workers(), prefer="threads")(
        delayed(fit_pack)(
            x,
            target,
            members[i : i + size],
            task=task,
            recipe=recipe.for_rows(max(len(m.train) for m in members)),
            weight=weight,
            verbose=0 if i else verbose,
        )
        for i in range(0, len(members), size)
    )
    return PackedLSPIN.joined(packs)


@one_torch_thread()
@own_torch_state()
def fit_pack(
    x: Tensor,
    target: Tensor,
    members: Sequence[Member],
    *,
    task: Task = "classification",
    recipe: Recipe = DENSE,
    weight: Tensor | None = None,
    verbose: int = 0,
) -> PackedLSPIN:
    """Train one model per member, all at once, and keep each at its best step.

    Every step is Adam under a one-cycle learning rate, with a weight decay for each predictor
    ([1]_), on a batch of each model's own rows. A model's loss is its mean `objective`; the
    pack's loss is the sum over models, so no gradient crosses from one model to another.

    Parameters
    ----------
    x : Tensor, shape (n, d), float32
        Standardised features.
    target : Tensor, shape (n, c), float32
        How much of each of c classes a row is; for regression standardised values, c = 1.
    members : sequence of K `Member`
        Rows, seed and regularisations of each model, as many regularisations for all.
    task : {"classification", "regression"}
        What to train for.
    recipe : Recipe
        How to train them.
    weight : Tensor, shape (n,), optional
        Weight of each row in the loss; 1 if not given.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    PackedLSPIN
        In evaluation mode; model k as it was when the same objective, without
        gate noise, was lowest on its validation rows, or at the last step if it has none.

    Raises
    ------
    FloatingPointError
        If the objective of a model was never finite.

    References
    ----------
    .. [1] Loshchilov, Hutter. "Decoupled Weight Decay Regularization". ICLR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from lspin.model import Member, Recipe, fit_pack
    >>> rng = np.random.default_rng(0)
    >>> x = torch.tensor(rng.standard_normal((200, 4)), dtype=torch.float32)
    >>> target = torch.stack([x[:, 0] > 0, x[:, 0] <= 0], dim=1).float()
    >>> members = [Member(np.arange(150), np.arange(150, 200), seed) for seed in (0, 1)]
    >>> network = fit_pack(x, target, members, recipe=Recipe(n_steps=20))
    >>> logits, mu = network(x[150:])
    >>> logits.shape
    torch.Size([2, 50, 2])
    """
    weight = torch.ones_like(x[:, 0]) if weight is None else weight
    seeds = [m.seed for m in members]
    habits = [habit for m in members for habit in m.regularisations]
    n_predictors = len(habits) // len(members)
    network = PackedLSPIN(x.shape[1], target.shape[1], seeds, recipe, n_predictors).to(x)
    n_steps = recipe.steps(max(len(m.train) for m in members))
    batches = [
        _batches(m.train, recipe.batch_size, g)
        for m, g in zip(members, network.generators, strict=True)
    ]
    shares = _shares(members, n_steps, recipe, task)
    train_weight = torch.stack([weight[m.train].mean() for m in members])
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, fused=True)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=n_steps)
    decay = _Decay(network, habits)
    best = _Best(network)
    has_valid = all(len(m.valid) for m in members)
    if has_valid:
        valid, valid_weight = _padded([m.valid for m in members], weight)
    for step in tqdm(range(1, n_steps + 1), desc="training", disable=not verbose):
        stage = recipe.stage(step / n_steps, network.n_features)
        rows = torch.stack([next(batch) for batch in batches]).to(x.device)
        share = None if shares is None else shares[step - 1].to(x)
        cost = objective(network, x[rows], target[rows], task=task, stage=stage, shares=share)
        optimizer.zero_grad()
        ((cost * weight[rows]).mean(dim=1) / train_weight).sum().backward()
        decay.step(float(rate.get_last_lr()[0]))
        optimizer.step()
        rate.step()
        if stage.n_open is None:
            network.cap_gate_bias()
        if has_valid and step % max(1, n_steps // recipe.n_checks) == 0:
            best.update(_weighted_objective(network, x, target, valid, valid_weight, task))
    if has_valid:
        best.restore()
    elif not all(torch.isfinite(p).all() for p in network.parameters()):
        raise FloatingPointError(BROKE_DOWN)
    return network.eval()


BROKE_DOWN = (
    "The training broke down: its loss was never a finite number. Are there values "
    "that are not finite, or so large that they should be scaled first?"
)


@torch.no_grad()
def _weighted_objective(
    network: PackedLSPIN, x: Tensor, target: Tensor, rows: Tensor, weight: Tensor, task: Task
) -> Tensor:
    """Return the objective of each model on rows (K, m) of weight (K, m), a part at a time."""
    size = max(1, ELEMENTS_AT_ONCE // (len(rows) * x.shape[1]))
    total = torch.zeros(len(rows), dtype=x.dtype, device=x.device)
    for part, share in zip(rows.split(size, dim=1), weight.split(size, dim=1), strict=True):
        cost = objective(network, x[part], target[part], task=task)
        total += (cost * share).sum(dim=1)
    return total


class _Decay:
    """Weight decay that differs between the networks of a pack."""

    def __init__(self, network: PackedLSPIN, habits: Sequence[Regularisation]) -> None:
        bias = network.predictor_layers[-1].get_parameter("bias")
        # Whatever torch's default dtype is, in which 0.03 might be another number.
        decays = torch.tensor([h.weight_decay for h in habits], dtype=torch.float64).to(bias)
        of_gates = decays.unflatten(0, (network.n_models, -1)).mean(dim=1)
        if network.recipe.gate_decay is not None:
            of_gates = torch.full_like(of_gates, network.recipe.gate_decay)
        of_gates = of_gates.repeat_interleave(network.recipe.n_gating)
        self.parts = [
            (parameter, of_parts[:, None, None])
            for layers, of_parts in (
                (network.gate_layers, of_gates),
                (network.predictor_layers, decays),
            )
            for parameter in layers.parameters()
        ]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        for parameter, decay in self.parts:
            parameter.mul_(1 - learning_rate * decay)


def _shares(members: Sequence[Member], n_steps: int, recipe: Recipe, task: Task) -> Tensor | None:
    """Draw the larger share of each mixture, (n_steps, K P, batch_size), in [0.5, 1]."""
    mixups = [[habit.mixup for habit in member.regularisations] for member in members]
    if task == "regression" or max(map(max, mixups)) < LEAST_MIXUP:
        return None
    size = (n_steps, recipe.batch_size)
    drawn = []
    for member, strengths in zip(members, mixups, strict=True):
        rng = np.random.default_rng(member.seed)
        drawn += [
            np.ones(size) if mixup < LEAST_MIXUP else rng.beta(mixup, mixup, size)
            for mixup in strengths
        ]
    shares = torch.as_tensor(np.stack(drawn, axis=1), dtype=torch.float32)
    return torch.maximum(shares, 1 - shares)


def _batches(rows: np.ndarray, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield batches of `rows` for ever, in a new order once all were used."""
    left = torch.empty(0, dtype=torch.long)
    while True:
        while len(left) < size:
            order = torch.randperm(len(rows), generator=generator)
            left = torch.cat([left, torch.as_tensor(rows)[order]])
        yield left[:size]
        left = left[size:]


def _padded(rows: Sequence[np.ndarray], weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows of unequal number as one (K, m) table, and weights that sum to 1.

    The padding repeats row 0 with weight 0.
    """
    lengths = torch.tensor([len(r) for r in rows])
    index = nn.utils.rnn.pad_sequence([torch.as_tensor(r) for r in rows], batch_first=True)
    is_real = torch.arange(index.shape[1]) < lengths[:, None]
    index, is_real = index.to(weight.device), is_real.to(weight.device)
    kept = weight[index] * is_real
    return index, kept / kept.sum(dim=1, keepdim=True)


class _Best:
    """The state of each member at its lowest validation loss so far."""

    def __init__(self, network: PackedLSPIN) -> None:
        self.state = list(network.state_dict().values())  # the tensors themselves, not copies
        self.kept = [tensor.clone() for tensor in self.state]
        self.loss = torch.full((network.n_models,), torch.inf).to(self.state[0])

    def update(self, loss: Tensor) -> None:
        better = loss < self.loss  # False where the loss is not finite
        self.loss[better] = loss[better]
        for kept, tensor in zip(self.kept, self.state, strict=True):
            parts = better.repeat_interleave(len(tensor) // len(better))
            kept[parts] = tensor[parts]

    def restore(self) -> None:
        if not torch.isfinite(self.loss).all():
            raise FloatingPointError(BROKE_DOWN)
        for kept, tensor in zip(self.kept, self.state, strict=True):
            tensor.copy_(kept)
