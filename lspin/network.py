"""Many LSPIN networks packed in one module, model axis first: ``(K, n, d)``.

A network of a few thousand weights leaves a processor idle; K of them stacked
along a leading axis turn every layer into one batched matrix product. Members
never exchange anything: each has its own weights, its own random stream and, in
training, its own rows and its own lambda.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lspin.gates import SIGMA, gate_values, sample_gates

GATE_HIDDEN = (64, 64)
PREDICTOR_HIDDEN = (64, 32)

GATINGS = ("local", "linear", "global")
PREDICTORS = ("mlp", "linear")

LOCAL_FROM = 0.35
"""Share of the training after which linear gates may depend on the cell: by then those that no
cell needs are closed."""

MAX_BIAS = 1.0
"""Above it the probability that a gate is open, and so the penalty, no longer changes: a gate
that drifted there could not find its way back."""


def mixed(rows: Tensor, shares: Tensor) -> Tensor:
    """Mix each row of a batch with the one before it.

    Parameters
    ----------
    rows : Tensor, shape (K, n, m)
        Rows of K batches; the first is mixed with the last.
    shares : Tensor, shape (K, n)
        Share of the row itself in its mixture.

    Returns
    -------
    Tensor, shape (K, n, m)

    Examples
    --------
    >>> import torch
    >>> from lspin.network import mixed
    >>> rows = torch.tensor([[[0.0], [8.0]]])
    >>> mixed(rows, torch.tensor([[0.75, 0.75]])).flatten()
    tensor([2., 6.])
    """
    return torch.lerp(rows.roll(1, dims=1), rows, shares[..., None])


class PackedLinear(nn.Module):
    """K independent affine maps, ``(K, n, i) -> (K, n, o)``.

    Parameters
    ----------
    n_in, n_out : int
        Width of input and output.
    generators : sequence of K torch.Generator
        One random stream per member; member k's weights come from stream k.
    gain : float
        Weights are drawn from N(0, gain**2 / n_in); biases start at 0.

    Examples
    --------
    >>> import torch
    >>> from lspin.network import PackedLinear
    >>> streams = [torch.Generator().manual_seed(seed) for seed in (0, 1, 2)]
    >>> layer = PackedLinear(n_in=4, n_out=2, generators=streams, gain=1.0)
    >>> layer(torch.zeros(3, 10, 4)).shape
    torch.Size([3, 10, 2])
    """

    def __init__(
        self, n_in: int, n_out: int, generators: Sequence[torch.Generator], gain: float
    ) -> None:
        super().__init__()
        weights = [torch.randn(n_in, n_out, generator=g) for g in generators]
        self.weight = nn.Parameter(torch.stack(weights) * gain / math.sqrt(n_in))
        self.bias = nn.Parameter(torch.zeros(len(weights), 1, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(K, n, i)`` to ``(K, n, o)``."""
        return torch.baddbmm(self.bias, x, self.weight)


class PackedLSPIN(nn.Module):
    """K locally sparse networks: a gating network and a predictor each.

    The gating network reads the whole cell ``x`` and returns one gate per
    feature; the predictor sees only ``x * gate``. Unlike the reference
    implementation, ``mu`` is not squashed by a tanh (a gate can really close),
    there is no batch normalisation behind the gate (a closed gate is exactly 0)
    and the logits are not squashed (probabilities can reach 1).

    Parameters
    ----------
    n_features, n_outputs : int
        Width d of the input and c of the output (classes, or 1 for regression).
    seeds : sequence of K int
        One seed per member.
    gating : {"local", "linear", "global"}
        How mu depends on the cell: by a network of two hidden layers; by a weighted sum of those
        features whose gate is open for the average cell; or not at all, which is the global
        stochastic gates ("STG") of [2]_.
    predictor : {"mlp", "linear"}
        "linear" is the locally linear variant of [1]_ ("LLSPIN").

    References
    ----------
    .. [1] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.
    .. [2] Yamada, Lindenbaum, Negahban, Kluger. "Feature Selection using Stochastic
           Gates". ICML 2020.

    Examples
    --------
    Three networks look at ten cells of four features:

    >>> import torch
    >>> from lspin.network import PackedLSPIN
    >>> network = PackedLSPIN(n_features=4, n_outputs=5, seeds=[0, 1, 2]).eval()
    >>> logits, mu = network(torch.zeros(10, 4))
    >>> logits.shape, mu.shape
    (torch.Size([3, 10, 5]), torch.Size([3, 10, 4]))
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        seeds: Sequence[int],
        gating: str = "local",
        predictor: str = "mlp",
    ) -> None:
        super().__init__()
        self.shape = (n_features, n_outputs)
        self.kind = (gating, predictor)
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        gate_hidden = GATE_HIDDEN if gating == "local" else ()
        hidden = PREDICTOR_HIDDEN if predictor == "mlp" else ()
        self.gating = self._stack((n_features, *gate_hidden, n_features), last_gain=0.3)
        self.predictor = self._stack((n_features, *hidden, n_outputs), last_gain=0.5)
        # All gates start fully open (mu + 0.5 = 1): features are dropped, never discovered.
        nn.init.constant_(self.gate_bias, 0.5)
        if gating != "local":  # begin with gates that are the same for all cells
            nn.init.zeros_(self.gating[-1].get_parameter("weight"))
        self.threshold = nn.Parameter(torch.zeros(len(seeds), 1, 1), requires_grad=False)
        self.max_open: float | None = None  # set while training under a budget
        self.sigma = SIGMA  # falls to 0 while training under a budget

    def _stack(self, widths: tuple[int, ...], last_gain: float) -> nn.ModuleList:
        gains = [math.sqrt(2.0)] * (len(widths) - 2) + [last_gain]
        return nn.ModuleList(
            PackedLinear(n_in, n_out, self.generators, gain)
            for n_in, n_out, gain in zip(widths[:-1], widths[1:], gains, strict=True)
        )

    @classmethod
    def joined(cls, packs: Sequence[PackedLSPIN]) -> PackedLSPIN:
        """Return one pack, in evaluation mode, with the members of several in their order."""
        first = packs[0]
        pack = cls(*first.shape, [0] * sum(p.n_members for p in packs), *first.kind)
        states = [p.state_dict() for p in packs]
        pack.load_state_dict({name: torch.cat([s[name] for s in states]) for name in states[0]})
        return pack.to(next(first.parameters()).device).eval()

    @property
    def n_members(self) -> int:
        """K, the number of networks in the pack."""
        return len(self.generators)

    @property
    def gate_bias(self) -> nn.Parameter:
        """Gate locations of the average cell where gating is linear, shape (K, 1, d)."""
        return self.gating[-1].get_parameter("bias")

    @torch.no_grad()
    def cap_gate_bias(self) -> None:
        """Keep the bias of every gate at or below `MAX_BIAS`."""
        self.gate_bias.clamp_(max=MAX_BIAS)

    def free_gates(self, share_done: float) -> None:
        """Let linear gates depend on the cell once `share_done` of the training is over."""
        free = share_done >= {"local": 0.0, "linear": LOCAL_FROM, "global": 2.0}[self.kind[0]]
        self.gating[-1].get_parameter("weight").requires_grad_(free)

    def set_budget(self, max_open: float, share_done: float, sigma: float) -> None:
        """Let `max_open` gates of a cell open, once `share_done` has gone from 0 to 1.

        Until then geometrically more, from all of them. The gate noise shrinks to `sigma` times
        `SIGMA`: where few gates are left, the network must learn to do with exactly these.
        """
        d = self.shape[0]
        self.max_open = d * (min(max_open, d - 1) / d) ** min(1.0, share_done)
        self.sigma = SIGMA * max(sigma, 0.02)

    def gate_locations(self, x: Tensor) -> Tensor:
        """Return mu, shape (K, n, d), for cells `x`, shape (K, n, d)."""
        # A linear gate that read features which are closed for all would fit their noise.
        hidden = x if self.kind[0] == "local" else x * (self.gate_bias.detach() > -0.5)
        for layer in self.gating[:-1]:
            hidden = F.relu(layer(hidden))
        return self.gating[-1](hidden) - self.threshold

    def predict_gated(self, gated: Tensor) -> Tensor:
        """Return logits or values, shape (K, n, c), for gated cells ``x * gate``, (K, n, d)."""
        hidden = gated
        for layer in self.predictor[:-1]:
            hidden = F.relu(layer(hidden))
        return self.predictor[-1](hidden)

    @torch.no_grad()
    def divide_outputs(self, temperature: float) -> None:
        """Divide what the predictor returns by a temperature, for good."""
        for name in ("weight", "bias"):
            self.predictor[-1].get_parameter(name).div_(temperature)

    def forward(self, x: Tensor, shares: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Predict for cells `x`, shape (K, n, d), or (n, d) where members share them.

        In training mode the gates are sampled, else they are noise-free.

        Parameters
        ----------
        x : Tensor
            Standardised features.
        shares : Tensor, shape (K, n), optional
            In training, predict for mixtures instead: this share of what a cell's gates let
            through, and the rest of what those of the cell before it do (`mixed`).

        Returns
        -------
        output : Tensor, shape (K, n, c)
            Logits, or predicted values in regression.
        mu : Tensor, shape (K, n, d)
            Gate locations, from which `lspin.gates` gives gates and penalty.
        """
        if x.dim() == 2:
            x = x.expand(self.n_members, *x.shape)
        mu = self.gate_locations(x)
        if not self.training:
            return self.predict_gated(x * gate_values(mu)), mu
        noise = self._noise(mu)
        if self.max_open is not None:
            mu = mu - self._excess(mu + 0.5 + self.sigma * noise, self.max_open)
        gated = x * sample_gates(mu, noise, self.sigma)
        return self.predict_gated(gated if shares is None else mixed(gated, shares)), mu

    def _excess(self, noisy: Tensor, max_open: float) -> Tensor:
        """Return by how much to lower gates so that `max_open` of a cell open on average.

        The cells of a batch compete for the gates that all of them together may open, so that
        an easy cell leaves some to a hard one. The gradient reaches the last gate that stays
        closed as well. The threshold used at inference follows.
        """
        n_open = min(int(max_open * noisy.shape[1]), noisy[0].numel() - 1)
        last = noisy.flatten(1).topk(n_open + 1, dim=1).values[:, -1]
        excess = torch.maximum(last[:, None, None], -self.threshold)
        self.threshold.data.add_(0.1 * excess.detach())
        return excess

    def _noise(self, like: Tensor) -> Tensor:
        """Draw standard normal noise, each member from its own stream."""
        noise = torch.empty(like.shape, dtype=like.dtype)
        for member, generator in zip(noise, self.generators, strict=True):
            member.normal_(generator=generator)
        return noise.to(like.device)
