"""One loop that fits a pack: rows, lambda, seed and early stopping per member."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from joblib import Parallel, delayed
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from lspin.gates import SIGMA, open_probability
from lspin.network import GATE_HIDDEN, LOCAL_FROM, MAX_BIAS, PREDICTOR_HIDDEN, PackedLSPIN, mixed
from lspin.threads import n_workers, one_torch_thread

PACK_SIZE = 8
"""Members trained as one pack. Larger packs are hardly faster per member, and a size that
does not depend on the machine gives the same numbers on every number of processors."""

BATCH_SIZE = 128
MIN_STEPS = 300
BUDGET_STEPS = 1000
"""Under a budget, instead of `MIN_STEPS`: which few gates serve a cell best is learned late."""
MIN_EPOCHS = 5
"""Passes over the training rows, where those need more steps than that."""
N_CHECKS = 20
"""How often in a training the validation rows are looked at."""
LEARNING_RATE = 1e-2
LABEL_SMOOTHING = 0.05
WEIGHT_DECAY = 0.6
MIXUP = 1.0
"""What estimators use unless told otherwise; mixup only classifiers."""
RAMP = 0.7
"""Share of the steps over which the price of an open gate rises from 0 to lambda, so that what a
feature is good for is known before gates close."""
BUDGET_RAMP = 0.8
"""Share of the steps over which a budget of open gates falls from all to `Recipe.max_open`."""


@dataclass(frozen=True)
class Recipe:
    """What a user may choose about training; the same for all members of a pack.

    Attributes
    ----------
    gating, predictor : str
        As in `PackedLSPIN`.
    max_open : float, optional
        Budget: how many gates may be open per cell, on average over cells.
    mixup : float
        Classifiers train on mixtures of what the gates of two cells let through, with shares from
        Beta(mixup, mixup) ([1]_, [2]_); 0 is none.
    weight_decay : float
        AdamW's.
    n_steps : int, optional
        Optimisation steps; by default `MIN_EPOCHS`, and at least `MIN_STEPS` or `BUDGET_STEPS`.

    References
    ----------
    .. [1] Zhang, Cisse, Dauphin, Lopez-Paz. "mixup: Beyond Empirical Risk Minimization".
           ICLR 2018. Equation 2, for inputs.
    .. [2] Verma et al. "Manifold Mixup: Better Representations by Interpolating Hidden States".
           ICML 2019.

    Examples
    --------
    >>> from lspin.training import Recipe
    >>> Recipe(max_open=5).steps(n_train=1000)
    1000
    >>> Recipe(n_steps=20).steps(n_train=1000)
    20
    """

    gating: str = "local"
    predictor: str = "mlp"
    max_open: float | None = None
    mixup: float = 0.0
    weight_decay: float = WEIGHT_DECAY
    n_steps: int | None = None

    def steps(self, n_train: int) -> int:
        """Return the number of optimisation steps for `n_train` rows."""
        at_least = MIN_STEPS if self.max_open is None else BUDGET_STEPS
        return self.n_steps or max(at_least, MIN_EPOCHS * n_train // BATCH_SIZE)


DEFAULT = Recipe()


def training_recipe() -> tuple:
    """Return the settings of training and network that a recorded result depends on.

    Returns
    -------
    tuple
        Nothing to read; equal for equal settings.

    Examples
    --------
    >>> from lspin.training import training_recipe
    >>> training_recipe() == training_recipe()
    True
    """
    steps = (BATCH_SIZE, MIN_STEPS, BUDGET_STEPS, MIN_EPOCHS, N_CHECKS, RAMP, BUDGET_RAMP)
    rates = (LEARNING_RATE, WEIGHT_DECAY, LABEL_SMOOTHING, MIXUP)
    return steps, rates, (GATE_HIDDEN, PREDICTOR_HIDDEN, SIGMA, LOCAL_FROM, MAX_BIAS)


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
    >>> from lspin.training import Member
    >>> member = Member(train=np.arange(150), valid=np.arange(150, 200), lam=1.0, seed=0)
    >>> len(member.train), len(member.valid)
    (150, 50)
    """

    train: np.ndarray
    valid: np.ndarray
    lam: float
    seed: int


def classification_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Smoothed cross-entropy per cell, (K, n), of logits (K, n, c) and classes.

    Classes are indices, (K, n), or shares of each class, (K, n, c). Labels are smoothed
    because a Cre line is an imperfect label: some cells of a line do not belong to its class.

    Parameters
    ----------
    logits : Tensor, shape (K, n, c)
        Outputs of K networks.
    target : Tensor, shape (K, n) or (K, n, c)
        Class indices (int64), or shares of each class (float32).

    Returns
    -------
    Tensor, shape (K, n)

    Examples
    --------
    A network that is sure and right pays little, and not nothing:

    >>> import torch
    >>> from lspin.training import classification_loss
    >>> classification_loss(torch.tensor([[[9.0, 0.0]]]), torch.tensor([[0]])).round(decimals=2)
    tensor([[0.2300]])
    """
    if target.dim() == 3:
        target = target.transpose(1, 2)
    return F.cross_entropy(
        logits.transpose(1, 2), target, reduction="none", label_smoothing=LABEL_SMOOTHING
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
    >>> from lspin.training import regression_loss
    >>> regression_loss(torch.tensor([[[3.0]]]), torch.tensor([[1.0]]))
    tensor([[4.]])
    """
    return (values.squeeze(-1) - target) ** 2


def objective(
    network: PackedLSPIN, x: Tensor, target: Tensor, lam: Tensor, shares: Tensor | None = None
) -> Tensor:
    """Return what training minimises, cell by cell ([1]_, equation 5).

    The prediction loss plus ``lam`` times the mean probability that a gate is open.

    Parameters
    ----------
    network : PackedLSPIN
        K networks; in training mode their gates are sampled.
    x : Tensor, shape (K, n, d) or (n, d)
        Standardised features.
    target : Tensor, shape (K, n) or (K, n, c)
        Class indices (int64) or shares of each class; for regression (K, n) standardised
        values (float32).
    lam : Tensor, shape (K,)
        Weight of the penalty for each network.
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
    >>> from lspin.network import PackedLSPIN
    >>> from lspin.training import objective
    >>> network = PackedLSPIN(n_features=4, n_outputs=2, seeds=[0]).eval()
    >>> x, target = torch.zeros(10, 4), torch.zeros(1, 10, dtype=torch.int64)
    >>> free = objective(network, x, target, lam=torch.tensor([0.0]))
    >>> priced = objective(network, x, target, lam=torch.tensor([1.0]))
    >>> (priced - free)[0, 0].item() > 0.9
    True
    """
    output, mu = network(x, shares)
    is_regression = target.is_floating_point() and target.dim() == 2
    loss = regression_loss if is_regression else classification_loss
    return loss(output, target) + lam[:, None] * open_probability(mu).mean(dim=2)


def fit_members(
    x: Tensor,
    target: Tensor,
    members: Sequence[Member],
    *,
    n_outputs: int,
    recipe: Recipe = DEFAULT,
    weight: Tensor | None = None,
    verbose: int = 0,
) -> PackedLSPIN:
    """Train any number of members, cut into packs that run side by side.

    Packs run through joblib: in threads by default, or wherever an enclosing
    ``joblib.parallel_config`` says, for example on a Dask cluster.

    Parameters
    ----------
    x, target, members, n_outputs, recipe, weight, verbose
        As in `fit_pack`. The progress bar is that of the first pack.

    Returns
    -------
    PackedLSPIN
        All members, in the order given.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from lspin.training import Member, Recipe, fit_members
    >>> rng = np.random.default_rng(0)
    >>> x = torch.tensor(rng.standard_normal((200, 4)), dtype=torch.float32)
    >>> target = (x[:, 0] > 0).long()
    >>> train, valid = np.arange(150), np.arange(150, 200)
    >>> members = [Member(train, valid, lam, seed=0) for lam in (0.0, 2.0)]
    >>> network = fit_members(x, target, members, n_outputs=2, recipe=Recipe(n_steps=20))
    >>> network.n_members
    2
    """
    size = PACK_SIZE if x.device.type == "cpu" else len(members)  # a GPU takes all at once
    packs = Parallel(n_jobs=n_workers(), prefer="threads")(
        delayed(fit_pack)(
            x,
            target,
            members[i : i + size],
            n_outputs=n_outputs,
            recipe=recipe,
            weight=weight,
            verbose=0 if i else verbose,
        )
        for i in range(0, len(members), size)
    )
    return PackedLSPIN.joined(packs)


@one_torch_thread()
def fit_pack(
    x: Tensor,
    target: Tensor,
    members: Sequence[Member],
    *,
    n_outputs: int,
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

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from lspin.training import Member, Recipe, fit_pack
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
    weight = torch.ones(len(x), device=x.device) if weight is None else weight
    lam = torch.tensor([m.lam for m in members], dtype=x.dtype, device=x.device)
    seeds = [m.seed for m in members]
    network = PackedLSPIN(x.shape[1], n_outputs, seeds, recipe.gating, recipe.predictor)
    network = network.to(x.device)
    n_steps = recipe.steps(max(len(m.train) for m in members))
    batches = [_batches(m.train, g) for m, g in zip(members, network.generators, strict=True)]
    shares = _shares(seeds, n_steps, recipe.mixup).to(x) if recipe.mixup else None
    train_weight = torch.stack([weight[m.train].mean() for m in members])
    valid, valid_weight = _padded([m.valid for m in members], weight)

    optimizer = torch.optim.AdamW(
        network.parameters(), lr=LEARNING_RATE, weight_decay=recipe.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=n_steps)
    best = _Best(network)
    for step in tqdm(range(1, n_steps + 1), desc="training", disable=not verbose):
        done = step / n_steps
        network.free_gates(done)
        if recipe.max_open is not None:
            network.set_budget(recipe.max_open, done / BUDGET_RAMP, 1 - done)
        rows = torch.stack([next(batch) for batch in batches]).to(x.device)
        labels, batch_weight = target[rows], weight[rows]
        share = None
        if shares is not None:
            share = shares[:, step - 1]
            labels = mixed(F.one_hot(labels, n_outputs).to(x.dtype), share)
            batch_weight = mixed(batch_weight[..., None], share)[..., 0]
        price = lam * min(1.0, done / RAMP)
        cost = objective(network, x[rows], labels, price, share) * batch_weight
        optimizer.zero_grad()
        (cost.mean(dim=1) / train_weight).sum().backward()
        optimizer.step()
        schedule.step()
        if recipe.max_open is None:
            network.cap_gate_bias()
        is_sparse = recipe.max_open is None or done >= BUDGET_RAMP
        if step % max(1, n_steps // N_CHECKS) == 0 and is_sparse:
            network.eval()
            with torch.no_grad():
                cost = objective(network, x[valid], target[valid], lam)
            best.update((cost * valid_weight).sum(dim=1))
            network.train()
    best.restore()
    return network.eval()


def _shares(seeds: Sequence[int], n_steps: int, mixup: float) -> Tensor:
    """Draw the larger share of each mixture, (K, n_steps, BATCH_SIZE), in [0.5, 1]."""
    drawn = [np.random.default_rng(s).beta(mixup, mixup, (n_steps, BATCH_SIZE)) for s in seeds]
    shares = torch.as_tensor(np.stack(drawn), dtype=torch.float32)
    return torch.maximum(shares, 1 - shares)


def _batches(rows: np.ndarray, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield batches of `rows` for ever, in a new order once all were used."""
    left = torch.empty(0, dtype=torch.long)
    while True:
        while len(left) < BATCH_SIZE:
            order = torch.randperm(len(rows), generator=generator)
            left = torch.cat([left, torch.as_tensor(rows)[order]])
        yield left[:BATCH_SIZE]
        left = left[BATCH_SIZE:]


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
    """The parameters of each member at its lowest validation loss so far."""

    def __init__(self, network: PackedLSPIN) -> None:
        self.parameters = list(network.parameters())
        self.kept = [p.detach().clone() for p in self.parameters]
        self.loss = torch.full((network.n_members,), torch.inf, device=self.kept[0].device)

    @torch.no_grad()
    def update(self, loss: Tensor) -> None:
        better = loss < self.loss
        self.loss[better] = loss[better]
        for kept, parameter in zip(self.kept, self.parameters, strict=True):
            kept[better] = parameter[better]

    @torch.no_grad()
    def restore(self) -> None:
        for kept, parameter in zip(self.kept, self.parameters, strict=True):
            parameter.copy_(kept)
