"""The stochastic gate: sample it, its value at inference, how likely it is open.

Pure functions on tensors of any shape. ``mu`` is the gate's location as the
gating network returns it; the gate itself is a clipped Gaussian,

    z = clip(mu + 0.5 + sigma * eps, 0, 1),   eps ~ N(0, 1),

so that it is exactly 0 (closed) or exactly 1 (fully open) with positive
probability, and still has a gradient in between.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SIGMA = 0.5
"""Standard deviation of the gate noise during training, as in both papers."""

LIMIT = 6 * math.sqrt(0.5)


def sample_gates(mu: Tensor, noise: Tensor, sigma: float = SIGMA) -> Tensor:
    """Draw one stochastic gate per entry of `mu` ([1]_, equation 3; [2]_, equation 2).

    Parameters
    ----------
    mu : Tensor, any shape
        Gate locations.
    noise : Tensor, shape of `mu`
        Standard normal draws. The caller draws them, so that every member of a
        pack keeps its own random stream.
    sigma : float
        Standard deviation of the gate noise.

    Returns
    -------
    Tensor, shape of `mu`
        Gates in [0, 1].

    References
    ----------
    .. [1] Yamada, Lindenbaum, Negahban, Kluger. "Feature Selection using Stochastic
           Gates". ICML 2020.
    .. [2] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.

    Examples
    --------
    >>> import torch
    >>> from lspin.model import sample_gates
    >>> mu = torch.tensor([-2.0, 0.0, 2.0])
    >>> sample_gates(mu, noise=torch.tensor([0.1, 0.2, 0.3]))
    tensor([0.0000, 0.6000, 1.0000])
    """
    # hardtanh(x, 0, 1) is clip(x, 0, 1) with a gradient that is computed in one pass.
    return F.hardtanh(torch.add(mu + 0.5, noise, alpha=sigma), 0.0, 1.0)


def gate_values(mu: Tensor) -> Tensor:
    """Return the gates used at inference: the same gate without its noise.

    Parameters
    ----------
    mu : Tensor, any shape
        Gate locations.

    Returns
    -------
    Tensor, shape of `mu`
        Gates in [0, 1]; a gate is *open* where its value is above 0.

    Examples
    --------
    >>> import torch
    >>> from lspin.model import gate_values
    >>> gate_values(torch.tensor([-2.0, 0.0, 2.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return torch.clamp(mu + 0.5, 0.0, 1.0)


def open_probability(mu: Tensor, sigma: float = SIGMA) -> Tensor:
    """Probability that a stochastic gate is above 0, ``Phi((mu + 0.5) / sigma)``.

    Its mean over features and cells is the sparsity penalty of LSPIN: the
    expected share of open gates, a smooth stand-in for counting them
    ([1]_, equation 5; [2]_, equation 4).

    Parameters
    ----------
    mu : Tensor, any shape
        Gate locations.
    sigma : float
        Standard deviation of the gate noise.

    Returns
    -------
    Tensor, shape of `mu`
        Probabilities in [0, 1].

    References
    ----------
    .. [1] Yamada, Lindenbaum, Negahban, Kluger. "Feature Selection using Stochastic
           Gates". ICML 2020.
    .. [2] Yang, Lindenbaum, Kluger. "Locally Sparse Neural Networks for Tabular
           Biomedical Data". ICML 2022.

    Examples
    --------
    At a location of -0.5 a gate is as often open as closed:

    >>> import torch
    >>> from lspin.model import open_probability
    >>> open_probability(torch.tensor([-0.5, 0.5])).round(decimals=2)
    tensor([0.5000, 0.9800])
    """
    # Clipped at 6 standard deviations, where the probability is 0 or 1 to eight digits: the
    # tiny numbers of the gradient beyond would slow the processor down.
    scaled = F.hardtanh((mu + 0.5) * (math.sqrt(0.5) / sigma), -LIMIT, LIMIT)
    return 0.5 + 0.5 * torch.erf(scaled)
