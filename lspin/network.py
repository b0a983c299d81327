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

    References
    ----------
    .. [1] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.
    """

    def __init__(self, n_features: int, n_outputs: int, seeds: Sequence[int]) -> None:
        super().__init__()
        self.n_features, self.n_outputs = n_features, n_outputs
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        self.gating = self._stack((n_features, *GATE_HIDDEN, n_features), last_gain=0.3)
        self.predictor = self._stack((n_features, *PREDICTOR_HIDDEN, n_outputs), last_gain=0.5)
        # All gates start fully open (mu + 0.5 = 1): features are dropped, never discovered.
        nn.init.constant_(self.gating[-1].get_parameter("bias"), 0.5)

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
        pack = cls(first.n_features, first.n_outputs, [0] * sum(p.n_members for p in packs))
        states = [p.state_dict() for p in packs]
        pack.load_state_dict({name: torch.cat([s[name] for s in states]) for name in states[0]})
        return pack.to(next(first.parameters()).device).eval()

    @property
    def n_members(self) -> int:
        """K, the number of networks in the pack."""
        return len(self.generators)

    def gate_locations(self, x: Tensor) -> Tensor:
        """Return mu, shape (K, n, d), for cells `x`, shape (K, n, d)."""
        hidden = x
        for layer in self.gating[:-1]:
            hidden = F.relu(layer(hidden))
        return self.gating[-1](hidden)

    def predict_gated(self, gated: Tensor) -> Tensor:
        """Return logits or values, shape (K, n, c), for gated cells ``x * gate``, (K, n, d)."""
        hidden = gated
        for layer in self.predictor[:-1]:
            hidden = F.relu(layer(hidden))
        return self.predictor[-1](hidden)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predict for cells `x`, shape (K, n, d), or (n, d) where members share them.

        In training mode the gates are sampled, else they are noise-free.

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
        gates = sample_gates(mu, self._noise(mu), SIGMA) if self.training else gate_values(mu)
        return self.predict_gated(x * gates), mu

    def _noise(self, like: Tensor) -> Tensor:
        """Draw standard normal noise, each member from its own stream."""
        noise = torch.empty(like.shape, dtype=like.dtype)
        for member, generator in zip(noise, self.generators, strict=True):
            member.normal_(generator=generator)
        return noise.to(like.device)
