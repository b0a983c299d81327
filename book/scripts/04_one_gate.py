# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What is a gate, and how does it learn?
#
# ## Overview
#
# An electrophysiologist who is asked "which kind of cell is this?" does not read fifty numbers.
# For one cell the narrow spike settles it, for another the sag. LSPIN
# {cite}`yang2022lspin,ophir2023` is a network that works the same way: for each cell it opens a few
# *gates*, one per measurement, and decides from what comes through. In this chapter we build its
# three parts by hand (the gate, the penalty, one training step) and check each against the package.
#
# ## After this chapter you can
#
# - compute the value of a gate from its location $\mu$, with noise and without;
# - say why a hard switch cannot be learned by gradient descent, and what the noise changes about that;
# - compute the probability that a gate is open, and the penalty that it costs;
# - write out the objective of LSPIN for a cell, and take one step of gradient descent on it.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Cells, classes | Necessary | {doc}`01_fetching_cells` |
# | Model inputs | Necessary | {doc}`02_features` |
# | Gradient descent on a loss | Necessary | any introduction to machine learning |
# | Cross-entropy | Necessary | [scikit-learn's guide](https://scikit-learn.org/stable/modules/model_evaluation.html#log-loss), where it is called log loss |
# | Normal distribution, its cumulative function | Helpful |  |
#
# ## Time to learn
#
# - **Reading**: 15 minutes
# - **Exercises**: 15 minutes

# %% tags=["remove-cell"]
# Installs what is missing, as on Colab; where everything is there it does nothing.
import subprocess
import sys
from importlib.util import find_spec

NEEDED = ("lspin", "distributed", "interpret", "ipfx", "ipywidgets", "lightgbm")
NEEDED += ("pyabf",)
if not all(map(find_spec, NEEDED)):
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "lspin[book,recordings,rivals]"], check=True)

# %%
from lspin import load_cells

cells = load_cells()
print(cells.banner())

# %% [markdown]
# ## One gate
#
# A gate is a number between 0 and 1 that multiplies one measurement of one cell. We want it to be
# *exactly* 0 for most measurements, and we want to learn by gradient descent which ones. A hard
# switch has no gradient, so LSPIN blurs the switch with noise while it learns:
#
# $$ z = \mathrm{clip}(\mu + \tfrac12 + \sigma\varepsilon,\ 0,\ 1), \qquad \varepsilon \sim N(0, 1). $$
#
# The network chooses $\mu$; a very negative $\mu$ shuts the gate whatever the noise, a large one
# opens it fully. When training is over the noise goes, and the gate is
# $\mathrm{clip}(\mu + \frac12, 0, 1)$.

# %%
import numpy as np
import torch

from lspin.model import SIGMA, sample_gates

rng = np.random.default_rng(0)
noise = rng.standard_normal(20_000)


def gate_by_hand(mu, noise):
    return np.clip(mu + 0.5 + SIGMA * noise, 0, 1)


for mu in (-0.9, 0.0, 0.5):
    ours = gate_by_hand(mu, noise)
    package = sample_gates(torch.full((20_000,), mu, dtype=torch.float64), torch.tensor(noise))
    assert np.allclose(ours, package)
print("The gate by hand equals the package's gate.")

# %% mystnb={"image": {"alt": "Three histograms of stochastic gate values, for mu of -0.9, 0 and 0.5. Each has a pile at exactly 0 and one at exactly 1; the pile at 0 shrinks as mu grows."}}
import matplotlib.pyplot as plt

fig, axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True, layout="constrained")
for ax, mu in zip(axes, (-0.9, 0.0, 0.5), strict=True):
    gate = gate_by_hand(mu, noise)
    ax.hist(gate, bins=41, range=(0, 1), weights=np.full(gate.shape, 1 / gate.size), color="0.4")
    ax.set(title=f"mu = {mu}: open in {np.mean(gate > 0):.0%} of draws", xlabel="gate value z")
axes[0].set_ylabel("share of draws")
plt.show()

# %% [markdown]
# ## The price of an open gate
#
# If nothing spoke against it, the network would open every gate: more measurements never hurt the
# training loss. So each open gate costs. Counting open gates has no gradient either, but the
# *probability* that a gate is open has one, and for our blurred switch it is a closed formula:
#
# $$ P(z > 0) = \Phi\!\left(\frac{\mu + \frac12}{\sigma}\right), $$
#
# with $\Phi$ the cumulative normal distribution. The penalty is $\lambda$ times the mean of this
# probability over all measurements.

# %% mystnb={"image": {"alt": "Probability that a gate is open against mu: an S-shaped curve through 0.5 at mu of -0.5, with dots of simulated shares lying on it. The noise-free gate is a ramp from 0 at mu of -0.5 to 1 at mu of 0.5."}}
from scipy.stats import norm

from lspin.model import gate_values, open_probability

mu = np.linspace(-2, 1.5, 200)
few = mu[::20]
shares = [np.mean(gate_by_hand(m, noise) > 0) for m in few]
assert np.allclose(norm.cdf((mu + 0.5) / SIGMA), open_probability(torch.tensor(mu)))
assert np.allclose(shares, norm.cdf((few + 0.5) / SIGMA), atol=0.02)

fig, ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
ax.plot(mu, norm.cdf((mu + 0.5) / SIGMA), color="black", label="P(gate is open), formula")
ax.plot(few, shares, "o", color="black", mfc="white", label="share of open gates, simulated")
ax.plot(mu, gate_values(torch.tensor(mu)), color="tab:orange", label="gate without noise")
ax.set(xlabel="gate location mu", ylabel="probability, or gate value")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Two networks and one step
#
# LSPIN is two small networks. The **gating network** reads all measurements $x$ of a cell and
# returns one $\mu$ per measurement. The **predictor** sees only the gated cell $x \odot z$. A closed
# gate therefore replaces a measurement by 0, which after standardising is the mean of all cells:
# the predictor learns nothing about how *this* cell differs from the others.
#
# What training minimises is the cross-entropy of the prediction plus the price of the open gates.
# Here it is written out for one small network, six measurements, and five cells, one of each class,
# and compared with the package.

# %%
import pandas as pd

from lspin.features import model_inputs
from lspin.model import PackedLSPIN, Recipe, objective

one_each = cells.y.groupby(cells.y).head(1).sort_values().index
inputs = model_inputs(cells.X).fit_transform(cells.X).loc[one_each].iloc[:, :6]
x = torch.tensor(inputs.to_numpy(), dtype=torch.float32)  # five cells, six measurements
one_hot = torch.eye(5)  # their classes: a 1 in the column of the class
lam = 0.5
network = PackedLSPIN(n_features=6, n_outputs=5, seeds=[1], recipe=Recipe(lam=lam))

mu = network.gate_locations(x[None])
z = torch.clamp(mu + 0.5, 0, 1)
log_p = network.predict_gated(x * z)[0].log_softmax(dim=1)
is_open = torch.special.ndtr((mu + 0.5) / SIGMA)[0]
by_hand = -(one_hot * log_p).sum(dim=1) + lam * is_open.mean(dim=1)

package = objective(network, x, one_hot[None])[0]
torch.testing.assert_close(by_hand, package)
both = {"by hand": by_hand.detach(), "lspin.model.objective": package.detach()}
pd.DataFrame(both, cells.y[one_each])

# %% [markdown]
# A training step moves every weight a little against the gradient of this number. Plain gradient
# descent does it in one line; the package uses Adam, which scales the step of each weight by how
# large its gradients have been.

# %%
before = by_hand.mean()
weights = list(network.parameters())
gradients = torch.autograd.grad(before, weights)
with torch.no_grad():
    for weight, gradient in zip(weights, gradients, strict=True):
        weight -= 0.05 * gradient
after = objective(network, x, one_hot[None]).mean()
assert after < before
print(f"objective before the step: {before:.3f}, after: {after:.3f}")

# %% [markdown]
# ## Take-away
#
# - A gate is a clipped, blurred switch; the blur gives it a gradient and goes away after training.
# - The penalty is the expected share of open gates, in closed form; $\lambda$ is its price.
# - The gating network reads all measurements of a cell, the predictor only what its gates let
#   through.
# - One step lowers the cross-entropy and the price of the open gates together.
#
# ## Exercises
#
# **1.** A gate has $\mu = -0.5$. What is it worth at inference? How often is it open while training?
#
# ```{dropdown} Solution
# At inference it is $\mathrm{clip}(-0.5 + 0.5, 0, 1) = 0$: closed. In training it is open whenever
# the noise is positive, so half of the time; this is how a closed gate can still be found useful and
# opened again. The next cell checks both.
# ```

# %% tags=["hide-cell"]
mu = torch.tensor([-0.5])
assert gate_values(mu).item() == 0.0
assert abs(open_probability(mu).item() - 0.5) < 1e-6
print("closed at inference, open half of the time in training")

# %% [markdown]
# **2.** Take the step above 300 times, with a $\lambda$ of 0, 1, 2 and 5. How many of the thirty gates are
# open afterwards, and what has become of the cross-entropy?
#
# ```{dropdown} Solution
# Without a price the cross-entropy falls to almost nothing and most gates stay open: nothing speaks
# against them. A small price closes those that are not needed, at hardly any loss. A high one closes
# all: the network then sees the same of every cell, and the best it can do is to give each of five
# classes one fifth, which costs $\ln 5 = 1.61$. With five cells a network can learn each of them by heart,
# so nothing follows for new ones; the next chapter trains on many cells, and judges by others.
# ```

# %% tags=["hide-cell"]
for lam in (0.0, 1.0, 2.0, 5.0):
    network = PackedLSPIN(n_features=6, n_outputs=5, seeds=[1], recipe=Recipe(lam=lam))
    weights = list(network.parameters())
    for _ in range(300):
        loss = objective(network, x, one_hot[None]).mean()
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= 0.05 * gradient
    with torch.no_grad():
        z = gate_values(network.gate_locations(x[None]))
        log_p = network.predict_gated(x * z)[0].log_softmax(dim=1)
    fit = -(one_hot * log_p).sum(dim=1).mean()
    print(f"lambda {lam:g}: {(z > 0).sum()} of 30 gates open, cross-entropy {fit:.2f}")

# %% [markdown]
# ## What's next?
#
# One step on five cells is no training. {doc}`05_training` repeats it some hundred times on all
# cells, and finds out why one network is not enough.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
