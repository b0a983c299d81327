"""Many LSPIN models packed in one module, model axis first: ``(K, n, d)``.

A network of a few thousand weights leaves a processor idle; K of them stacked
along a leading axis turn every layer into one batched matrix product. Models
never exchange anything: each has its own weights, its own random stream and, in
training, its own rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lspin.model.gates import gate_values, sample_gates
from lspin.model.recipe import DENSE, Recipe, Stage


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
    generators : sequence of torch.Generator
        One random stream per map, from which its weights come.
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

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(K, n, i)`` to ``(K, n, o)``."""
        return torch.baddbmm(self.bias, x, self.weight)


class PackedLSPIN(nn.Module):
    """K locally sparse models: one mask each, and the predictors behind it.

    The gating networks of a model read the whole cell ``x``, and the mean of what they return
    is the location of one gate per feature; its predictors see only ``x * gate``. Unlike the
    reference implementation, ``mu`` is not squashed by a tanh (a gate can really close),
    there is no batch normalisation behind the gate (a closed gate is exactly 0)
    and the logits are not squashed (probabilities can reach 1).

    Parameters
    ----------
    n_features, n_outputs : int
        Width d of the input and c of the output (classes, or 1 for regression).
    seeds : sequence of K int
        One seed per model.
    recipe : Recipe
        What kind of gates and predictors, how wide, how many gating networks (G), how they begin.
    n_predictors : int
        Predictors of each model, P.

    References
    ----------
    .. [1] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.

    Examples
    --------
    Three models, of two predictors each, look at ten cells of four features:

    >>> import torch
    >>> from lspin.model import PackedLSPIN
    >>> network = PackedLSPIN(n_features=4, n_outputs=5, seeds=[0, 1, 2], n_predictors=2).eval()
    >>> logits, mu = network(torch.zeros(10, 4))
    >>> logits.shape, mu.shape
    (torch.Size([6, 10, 5]), torch.Size([3, 10, 4]))
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        seeds: Sequence[int],
        recipe: Recipe = DENSE,
        n_predictors: int = 1,
    ) -> None:
        super().__init__()
        self.n_features, self.n_outputs, self.recipe = n_features, n_outputs, recipe
        self.n_predictors = n_predictors
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        gate_hidden = recipe.gate_hidden if recipe.gating == "local" else ()
        hidden = recipe.predictor_hidden if recipe.predictor == "mlp" else ()
        self.gate_layers = nn.ModuleList()
        if recipe.gating != "closing":
            gates = (n_features, *gate_hidden, n_features)
            self.gate_layers = self._stack(gates, recipe.gate_gain, recipe.n_gating)
        self.predictor_layers = self._stack(
            (n_features, *hidden, n_outputs), recipe.predictor_gain, n_predictors
        )
        # All gates start fully open (mu + 0.5 = 1): features are dropped, never discovered.
        for bias in self.gate_biases():
            nn.init.constant_(bias, 0.5)
        if recipe.gating == "global":  # the same for all cells
            weight = self.gate_layers[-1].get_parameter("weight")
            nn.init.zeros_(weight).requires_grad_(False)

    def _stack(self, widths: tuple[int, ...], last_gain: float, copies: int) -> nn.ModuleList:
        gains = [math.sqrt(2.0)] * (len(widths) - 2) + [last_gain]
        streams = [generator for generator in self.generators for _ in range(copies)]
        return nn.ModuleList(
            PackedLinear(n_in, n_out, streams, gain)
            for n_in, n_out, gain in zip(widths[:-1], widths[1:], gains, strict=True)
        )

    @classmethod
    def joined(cls, packs: Sequence[PackedLSPIN]) -> PackedLSPIN:
        """Return one pack, in evaluation mode, with the models of several in their order."""
        first = packs[0]
        seeds = [0] * sum(p.n_models for p in packs)
        pack = cls(first.n_features, first.n_outputs, seeds, first.recipe, first.n_predictors)
        states = [p.state_dict() for p in packs]
        pack = pack.to(first.predictor_layers[-1].get_parameter("bias"))
        pack.load_state_dict({name: torch.cat([s[name] for s in states]) for name in states[0]})
        return pack.eval()

    @property
    def n_models(self) -> int:
        """K, the number of models in the pack."""
        return len(self.generators)

    def gate_biases(self) -> list[nn.Parameter]:
        """Biases of the gating networks' last layer, shape (K G, 1, d), if there are any."""
        return [layer.get_parameter("bias") for layer in self.gate_layers[-1:]]

    @torch.no_grad()
    def cap_gate_bias(self) -> None:
        """Keep the bias of every gate at or below `Recipe.max_bias`."""
        for bias in self.gate_biases():
            bias.clamp_(max=self.recipe.max_bias)

    def gate_locations(self, x: Tensor) -> Tensor:
        """Return mu, shape (K, n, d), for cells `x`, shape (K, n, d), within the budget if any."""
        mu = self._free_locations(x)
        if self.recipe.max_open is None:
            return mu
        gates = mu + 0.5  # lowered as such, so that the first to be closed is 0 and not nearly 0
        return gates - self._excess(gates, self.recipe.max_open) - 0.5

    def _free_locations(self, x: Tensor) -> Tensor:
        if not self.gate_layers:
            return torch.full_like(x, 0.5)
        return self._each(self.gate_layers, x).unflatten(0, (len(x), -1)).mean(1)

    def predict_gated(self, gated: Tensor) -> Tensor:
        """Return logits or values, shape (K P, n, c), for gated cells, (K, n, d) or (K P, n, d)."""
        return self._each(self.predictor_layers, gated)

    def _each(self, layers: nn.ModuleList, x: Tensor) -> Tensor:
        """Send the rows of every model through each of its networks."""
        copies = len(layers[-1].get_parameter("bias")) // len(x)
        hidden = x if copies == 1 else x.repeat_interleave(copies, dim=0)
        for layer in layers[:-1]:
            hidden = F.relu(layer(hidden))
        return layers[-1](hidden)

    @torch.no_grad()
    def divide_outputs(self, temperature: float) -> None:
        """Divide what the predictors return by a temperature, for good."""
        for name in ("weight", "bias"):
            self.predictor_layers[-1].get_parameter(name).div_(temperature)

    def forward(
        self, x: Tensor, stage: Stage | None = None, shares: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict for cells `x`, shape (K, n, d), or (n, d) where models share them.

        Parameters
        ----------
        x : Tensor
            Standardised features.
        stage : Stage, optional
            In training: gates are sampled, with the noise and within the budget of this stage. By
            default they are free of noise.
        shares : Tensor, shape (K P, n), optional
            Predict for mixtures instead: this share of what a cell's gates let through, and the
            rest of what those of the cell before it do (`mixed`).

        Returns
        -------
        output : Tensor, shape (K P, n, c)
            Logits, or predicted values in regression, of each predictor.
        mu : Tensor, shape (K, n, d)
            Gate locations, from which `lspin.model.gates` gives gates and penalty.
        """
        if x.dim() == 2:
            x = x.expand(self.n_models, *x.shape)
        if stage is None:
            mu = self.gate_locations(x)
            return self.predict_gated(x * gate_values(mu)), mu
        gates = mu = self._free_locations(x)
        if stage.any_mask < 1:
            noise = self._noise(mu)
            if stage.n_open is not None:
                mu = mu - self._excess(mu + 0.5 + stage.sigma * noise, stage.n_open)
            gates = sample_gates(mu, noise, stage.sigma)
        if stage.any_mask > 0:
            gates = self._any_mask(gates, stage.any_mask)
        gated = x * gates
        if shares is not None:
            gated = mixed(gated.repeat_interleave(self.n_predictors, dim=0), shares)
        return self.predict_gated(gated), mu

    @staticmethod
    def _excess(gates: Tensor, max_open: int) -> Tensor:
        """Return by how much to lower the gates of each cell, so that at most `max_open` are open.

        The gradient reaches the last gate that stays closed as well: it may open instead.
        """
        if max_open >= gates.shape[2]:
            return torch.zeros_like(gates[..., :1])
        return F.relu(gates.topk(max_open + 1, dim=2).values[..., -1:])

    def _any_mask(self, gates: Tensor, share: float) -> Tensor:
        """Give a share of the cells a random mask, of any size, instead of their own."""
        drawn = torch.empty(len(gates), gates.shape[1], gates.shape[2] + 2, dtype=gates.dtype)
        for model, generator in zip(drawn, self.generators, strict=True):
            model.uniform_(generator=generator)
        drawn = drawn.to(gates.device)
        is_any, size, place = drawn[..., :1] < share, drawn[..., 1:2], drawn[..., 2:]
        return torch.where(is_any, (place < size).to(gates.dtype), gates)

    def _noise(self, like: Tensor) -> Tensor:
        """Draw standard normal noise, each model from its own stream."""
        noise = torch.empty(like.shape, dtype=like.dtype)
        for model, generator in zip(noise, self.generators, strict=True):
            model.normal_(generator=generator)
        return noise.to(like.device)
