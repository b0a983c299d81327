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

from lspin.model.gates import gate_values, sample_gates
from lspin.model.recipe import DEFAULT, Recipe, Stage


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
    >>> from lspin.model import mixed
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
    >>> from lspin.model import PackedLinear
    >>> streams = [torch.Generator().manual_seed(seed) for seed in (0, 1, 2)]
    >>> layer = PackedLinear(n_in=4, n_out=2, generators=streams, gain=1.0)
    >>> layer(torch.zeros(3, 10, 4)).shape
    torch.Size([3, 10, 2])
    """

    def __init__(
        self, n_in: int, n_out: int, generators: Sequence[torch.Generator], gain: float
    ) -> None:
        super().__init__()
        weights = [torch.randn(n_in, n_out, generator=g, dtype=torch.float32) for g in generators]
        self.weight = nn.Parameter(torch.stack(weights) * gain / math.sqrt(n_in))
        self.bias = nn.Parameter(torch.zeros(len(weights), 1, n_out, dtype=torch.float32))

    def forward(self, x: Tensor, frozen: bool = False) -> Tensor:
        """Map ``(K, n, i)`` to ``(K, n, o)``; `frozen` weights are not trained."""
        return torch.baddbmm(self.bias, x, self.weight.detach() if frozen else self.weight)


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
    recipe : Recipe
        What kind of gates and predictor, how wide, and how they begin.

    References
    ----------
    .. [1] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.

    Examples
    --------
    Three networks look at ten cells of four features:

    >>> import torch
    >>> from lspin.model import PackedLSPIN
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
        recipe: Recipe = DEFAULT,
    ) -> None:
        super().__init__()
        self.n_features, self.n_outputs, self.recipe = n_features, n_outputs, recipe
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        gate_hidden = recipe.gate_hidden if recipe.gating == "local" else ()
        hidden = recipe.predictor_hidden if recipe.predictor == "mlp" else ()
        self.gate_layers = self._stack((n_features, *gate_hidden, n_features), recipe.gate_gain)
        self.predictor_layers = self._stack((n_features, *hidden, n_outputs), recipe.predictor_gain)
        # All gates start fully open (mu + 0.5 = 1): features are dropped, never discovered.
        nn.init.constant_(self.gate_bias, 0.5)
        if recipe.gating != "local":  # begin with gates that are the same for all cells
            nn.init.zeros_(self.gate_layers[-1].get_parameter("weight"))
        # How high a gate must be to open under a budget; learned like batch norm's mean.
        self.threshold: Tensor
        threshold = torch.zeros(len(seeds), 1, 1, dtype=torch.float32)
        self.register_buffer("threshold", threshold)

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
        seeds = [0] * sum(p.n_members for p in packs)
        pack = cls(first.n_features, first.n_outputs, seeds, first.recipe).to(first.gate_bias)
        states = [p.state_dict() for p in packs]
        pack.load_state_dict({name: torch.cat([s[name] for s in states]) for name in states[0]})
        return pack.eval()

    def part(self, start: int, stop: int) -> PackedLSPIN:
        """Return a copy, in evaluation mode, of the members from `start` to before `stop`."""
        pack = PackedLSPIN(self.n_features, self.n_outputs, [0] * (stop - start), self.recipe)
        pack = pack.to(self.gate_bias)
        pack.load_state_dict({name: s[start:stop] for name, s in self.state_dict().items()})
        return pack.eval()

    @property
    def n_members(self) -> int:
        """K, the number of networks in the pack."""
        return len(self.generators)

    @property
    def gate_bias(self) -> nn.Parameter:
        """Gate locations of the average cell where gating is linear, shape (K, 1, d)."""
        return self.gate_layers[-1].get_parameter("bias")

    @torch.no_grad()
    def cap_gate_bias(self) -> None:
        """Keep the bias of every gate at or below `Recipe.max_bias`."""
        self.gate_bias.clamp_(max=self.recipe.max_bias)

    def gate_locations(self, x: Tensor, *, local: bool = True) -> Tensor:
        """Return mu, shape (K, n, d), for cells `x`, shape (K, n, d).

        With ``local=False`` the weights of the last layer are not trained.
        """
        hidden = x
        if self.recipe.gating != "local":
            # A linear gate that read features which are closed for all would fit their noise.
            hidden = x * (self.gate_bias.detach() > -0.5)
        for layer in self.gate_layers[:-1]:
            hidden = F.relu(layer(hidden))
        return self.gate_layers[-1](hidden, frozen=not local) - self.threshold

    def predict_gated(self, gated: Tensor) -> Tensor:
        """Return logits or values, shape (K, n, c), for gated cells ``x * gate``, (K, n, d)."""
        hidden = gated
        for layer in self.predictor_layers[:-1]:
            hidden = F.relu(layer(hidden))
        return self.predictor_layers[-1](hidden)

    @torch.no_grad()
    def divide_outputs(self, temperature: float) -> None:
        """Divide what the predictor returns by a temperature, for good."""
        for name in ("weight", "bias"):
            self.predictor_layers[-1].get_parameter(name).div_(temperature)

    def forward(
        self, x: Tensor, stage: Stage | None = None, shares: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict for cells `x`, shape (K, n, d), or (n, d) where members share them.

        Parameters
        ----------
        x : Tensor
            Standardised features.
        stage : Stage, optional
            In training: gates are sampled, with the noise and within the budget of this stage. By
            default they are free of noise.
        shares : Tensor, shape (K, n), optional
            Predict for mixtures instead: this share of what a cell's gates let through, and the
            rest of what those of the cell before it do (`mixed`).

        Returns
        -------
        output : Tensor, shape (K, n, c)
            Logits, or predicted values in regression.
        mu : Tensor, shape (K, n, d)
            Gate locations, from which `lspin.model.gates` gives gates and penalty.
        """
        if x.dim() == 2:
            x = x.expand(self.n_members, *x.shape)
        if stage is None:
            mu = self.gate_locations(x)
            gates = gate_values(mu)
        else:
            mu = self.gate_locations(x, local=stage.local)
            noise = self._noise(mu)
            if stage.n_open is not None:
                mu = mu - self._excess(mu + 0.5 + stage.sigma * noise, stage.n_open)
            gates = sample_gates(mu, noise, stage.sigma)
        gated = x * gates
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
        with torch.no_grad():
            self.threshold.add_(self.recipe.threshold_rate * excess)
        return excess

    def _noise(self, like: Tensor) -> Tensor:
        """Draw standard normal noise, each member from its own stream."""
        noise = torch.empty(like.shape, dtype=like.dtype)
        for member, generator in zip(noise, self.generators, strict=True):
            member.normal_(generator=generator)
        return noise.to(like.device)
