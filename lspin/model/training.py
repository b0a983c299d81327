"""One loop that fits a pack: rows, lambda, seed and early stopping per member."""

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
from lspin.model.recipe import DEFAULT, Recipe, Stage
from lspin.model.threads import n_workers, one_torch_thread, own_torch_state

Task = Literal["classification", "regression"]

LEAST_MIXUP = 1e-3
"""Below it all shares of mixtures are 0 or 1, and numpy takes for ever to draw them."""

ELEMENTS_AT_ONCE = 2**23
"""Numbers sent through the networks at once when validation rows are looked at; bounds memory."""

PACK_SIZE = 8
"""Members trained as one pack. Larger packs are hardly faster per member, and a size that
does not depend on the machine gives the same numbers on every number of processors."""


@dataclass(frozen=True)
class Member:
    """What one member of a pack is trained on.

    Attributes
    ----------
    train, valid : ndarray of int
        Rows to fit, and rows that choose the step to keep.
    lam : float
        Weight of the open-gate penalty.
    seed : int
        Seed of the member's weights and gate noise.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.model import Member
    >>> member = Member(train=np.arange(150), valid=np.arange(150, 200), lam=1.0, seed=0)
    >>> len(member.train), len(member.valid)
    (150, 50)
    """

    train: np.ndarray
    valid: np.ndarray
    lam: float
    seed: int


def classification_loss(logits: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Smoothed cross-entropy per cell, (K, n), of logits (K, n, c) and classes.

    Classes are indices, (K, n), or shares of each class, (K, n, c).

    Parameters
    ----------
    logits : Tensor, shape (K, n, c)
        Outputs of K networks.
    target : Tensor, shape (K, n) or (K, n, c)
        Class indices (int64), or shares of each class (float32).
    label_smoothing : float
        Share of a label that is spread over all classes.

    Returns
    -------
    Tensor, shape (K, n)

    Examples
    --------
    With smoothing, a network that is sure and right pays something all the same:

    >>> import torch
    >>> from lspin.model import classification_loss
    >>> logits, target = torch.tensor([[[9.0, 0.0]]]), torch.tensor([[0]])
    >>> classification_loss(logits, target, label_smoothing=0.05).round(decimals=2)
    tensor([[0.2300]])
    """
    if target.dim() == 3:
        target = target.transpose(1, 2)
    return F.cross_entropy(
        logits.transpose(1, 2), target, reduction="none", label_smoothing=label_smoothing
    )


def regression_loss(values: Tensor, target: Tensor) -> Tensor:
    """Squared error per cell, shape (K, n), of values (K, n, 1) and targets (K, n).

    Parameters
    ----------
    values : Tensor, shape (K, n, 1)
        Outputs of K networks.
    target : Tensor, shape (K, n)
        Standardised values.

    Returns
    -------
    Tensor, shape (K, n)

    Examples
    --------
    >>> import torch
    >>> from lspin.model import regression_loss
    >>> regression_loss(torch.tensor([[[3.0]]]), torch.tensor([[1.0]]))
    tensor([[4.]])
    """
    return (values.squeeze(-1) - target) ** 2


def objective(
    network: PackedLSPIN,
    x: Tensor,
    target: Tensor,
    lam: Tensor,
    *,
    task: Task = "classification",
    stage: Stage | None = None,
    shares: Tensor | None = None,
) -> Tensor:
    """Return what training minimises, cell by cell ([1]_, equation 5).

    The prediction loss plus ``lam`` times the mean probability that a gate is open.

    Parameters
    ----------
    network : PackedLSPIN
        K networks.
    x : Tensor, shape (K, n, d) or (n, d)
        Standardised features.
    target : Tensor, shape (K, n) or (K, n, c)
        Class indices (int64) or shares of each class; for regression (K, n) standardised
        values (float32).
    lam : Tensor, shape (K,)
        Weight of the penalty for each network.
    task : {"classification", "regression"}
        Which prediction loss.
    stage : Stage, optional
        Of the training, whose gates are sampled, as in `PackedLSPIN.forward`. By default they are
        free of noise and the price is `lam` itself.
    shares : Tensor, shape (K, n), optional
        Predict for mixtures of cells, as in `PackedLSPIN.forward`; `target` is that of the
        mixtures.

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
    >>> from lspin.model import PackedLSPIN
    >>> from lspin.model import objective
    >>> network = PackedLSPIN(n_features=4, n_outputs=2, seeds=[0])
    >>> x, target = torch.zeros(10, 4), torch.zeros(1, 10, dtype=torch.int64)
    >>> free = objective(network, x, target, lam=torch.tensor([0.0]))
    >>> priced = objective(network, x, target, lam=torch.tensor([1.0]))
    >>> (priced - free)[0, 0].item() > 0.9
    True
    """
    recipe = network.recipe
    output, mu = network(x, stage, shares)
    if task == "regression":
        loss = regression_loss(output, target)
    else:
        loss = classification_loss(output, target, recipe.label_smoothing)
    price = lam if stage is None else lam * stage.price
    return loss + price[:, None] * open_probability(mu, recipe.sigma).mean(dim=2)


def fit_members(
    x: Tensor,
    target: Tensor,
    members: Sequence[Member],
    *,
    n_outputs: int,
    task: Task = "classification",
    recipe: Recipe = DEFAULT,
    weight: Tensor | None = None,
    verbose: int = 0,
    pack_size: int = PACK_SIZE,
) -> PackedLSPIN:
    """Train any number of members, cut into packs that run side by side.

    Packs run through joblib: in threads by default, or wherever an enclosing
    ``joblib.parallel_config`` says, for example on a Dask cluster.

    Parameters
    ----------
    x, target, members, n_outputs, task, recipe, weight, verbose
        As in `fit_pack`. The progress bar is that of the first pack.
    pack_size : int
        Members in a pack. It does not depend on the machine, so neither do the results.

    Returns
    -------
    PackedLSPIN
        All members, in the order given.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from lspin.model import Member, Recipe, fit_members
    >>> rng = np.random.default_rng(0)
    >>> x = torch.tensor(rng.standard_normal((200, 4)), dtype=torch.float32)
    >>> target = (x[:, 0] > 0).long()
    >>> train, valid = np.arange(150), np.arange(150, 200)
    >>> members = [Member(train, valid, lam, seed=0) for lam in (0.0, 2.0)]
    >>> network = fit_members(x, target, members, n_outputs=2, recipe=Recipe(n_steps=20))
    >>> network.n_members
    2
    """
    recipe = recipe.for_rows(max(len(m.train) for m in members))
    size = pack_size if x.device.type == "cpu" else len(members)  # a GPU takes all at once
    packs = Parallel(n_jobs=n_workers(), prefer="threads")(
        delayed(fit_pack)(
            x,
            target,
            members[i : i + size],
            n_outputs=n_outputs,
            task=task,
            recipe=recipe,
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
    n_outputs: int,
    task: Task = "classification",
    recipe: Recipe = DEFAULT,
    weight: Tensor | None = None,
    verbose: int = 0,
) -> PackedLSPIN:
    """Train one LSPIN per member, all at once, and keep each at its best step.

    Every step is AdamW under a one-cycle learning rate, on a batch of each member's
    own rows. A member's loss is its mean `objective`; the pack's loss is the sum
    over members, so no gradient crosses from one member to another.

    Parameters
    ----------
    x : Tensor, shape (n, d), float32
        Standardised features.
    target : Tensor, shape (n,)
        Class indices (int64), or standardised values (float32) for regression.
    members : sequence of K `Member`
        Rows, lambda and seed of each network.
    n_outputs : int
        Number of classes, or 1 for regression.
    task : {"classification", "regression"}
        What to train for.
    recipe : Recipe
        How to train them.
    weight : Tensor, shape (n,), optional
        Weight of each cell in the loss; 1 if not given.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    PackedLSPIN
        In evaluation mode; member k as it was when the same objective, without
        gate noise, was lowest on its validation rows.

    Raises
    ------
    FloatingPointError
        If the objective of a member was never finite.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from lspin.model import Member, Recipe, fit_pack
    >>> rng = np.random.default_rng(0)
    >>> x = torch.tensor(rng.standard_normal((200, 4)), dtype=torch.float32)
    >>> target = (x[:, 0] > 0).long()
    >>> train, valid = np.arange(150), np.arange(150, 200)
    >>> members = [Member(train, valid, lam, seed=0) for lam in (0.0, 2.0)]
    >>> network = fit_pack(x, target, members, n_outputs=2, recipe=Recipe(n_steps=20))
    >>> logits, mu = network(x[valid])
    >>> logits.shape
    torch.Size([2, 50, 2])
    """
    weight = torch.ones_like(x[:, 0]) if weight is None else weight
    lam = torch.tensor([m.lam for m in members], dtype=x.dtype, device=x.device)
    seeds = [m.seed for m in members]
    network = PackedLSPIN(x.shape[1], n_outputs, seeds, recipe).to(x)
    n_steps = recipe.steps(max(len(m.train) for m in members))
    batches = [
        _batches(m.train, recipe.batch_size, g)
        for m, g in zip(members, network.generators, strict=True)
    ]
    is_mixed = task == "classification" and recipe.mixup >= LEAST_MIXUP
    shares = _shares(seeds, n_steps, recipe).to(x) if is_mixed else None
    train_weight = torch.stack([weight[m.train].mean() for m in members])
    valid, valid_weight = _padded([m.valid for m in members], weight)

    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=n_steps)
    best = _Best(network)
    for step in tqdm(range(1, n_steps + 1), desc="training", disable=not verbose):
        stage = recipe.stage(step / n_steps, network.n_features)
        rows = torch.stack([next(batch) for batch in batches]).to(x.device)
        labels, batch_weight, share = target[rows], weight[rows], None
        if shares is not None:
            share = shares[:, step - 1]
            labels = mixed(F.one_hot(labels, n_outputs).to(x.dtype), share)
            batch_weight = mixed(batch_weight[..., None], share)[..., 0]
        cost = objective(network, x[rows], labels, lam, task=task, stage=stage, shares=share)
        optimizer.zero_grad()
        ((cost * batch_weight).mean(dim=1) / train_weight).sum().backward()
        optimizer.step()
        rate.step()
        if stage.n_open is None:
            network.cap_gate_bias()
        if stage.final and step % max(1, n_steps // recipe.n_checks) == 0:
            best.update(_weighted_objective(network, x, target, valid, valid_weight, lam, task))
    best.restore()
    return network.eval()


@torch.no_grad()
def _weighted_objective(
    network: PackedLSPIN,
    x: Tensor,
    target: Tensor,
    rows: Tensor,
    weight: Tensor,
    lam: Tensor,
    task: Task,
) -> Tensor:
    """Return the objective of each member on rows (K, m) of weight (K, m), a part at a time."""
    size = max(1, ELEMENTS_AT_ONCE // (len(rows) * x.shape[1]))
    total = torch.zeros(len(rows), dtype=x.dtype, device=x.device)
    for part, share in zip(rows.split(size, dim=1), weight.split(size, dim=1), strict=True):
        cost = objective(network, x[part], target[part], lam, task=task)
        total += (cost * share).sum(dim=1)
    return total


def _shares(seeds: Sequence[int], n_steps: int, recipe: Recipe) -> Tensor:
    """Draw the larger share of each mixture, (K, n_steps, batch_size), in [0.5, 1]."""
    size, mixup = (n_steps, recipe.batch_size), recipe.mixup
    drawn = [np.random.default_rng(seed).beta(mixup, mixup, size) for seed in seeds]
    shares = torch.as_tensor(np.stack(drawn), dtype=torch.float32)
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
        self.loss = torch.full_like(self.kept[0][:, 0, 0], torch.inf)

    def update(self, loss: Tensor) -> None:
        better = loss < self.loss  # False where the loss is not finite
        self.loss[better] = loss[better]
        for kept, tensor in zip(self.kept, self.state, strict=True):
            kept[better] = tensor[better]

    def restore(self) -> None:
        if not torch.isfinite(self.loss).all():
            raise FloatingPointError(
                "The training broke down: its loss was never a finite number. Are there values "
                "that are not finite, or so large that they should be scaled first?"
            )
        for kept, tensor in zip(self.kept, self.state, strict=True):
            tensor.copy_(kept)
