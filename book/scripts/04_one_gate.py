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
# Ask an electrophysiologist what kind of cell this is, and you will not hear fifty numbers read out. For
# one cell the narrow {term}`spike` settles it, for another the {term}`sag`. {term}`LSPIN`
# {cite}`yang2022lspin,ophir2023` is a neural network that works in the same way: for each cell it opens a
# few *gates*, one per measurement, and decides from what comes through. In this chapter you build its
# three parts by hand (the gate, the penalty, one training step) and check each of them against the
# package.
#
# ## After this chapter you can
#
# - compute the value of a gate from its location $\mu$, with noise and without;
# - explain why a hard switch cannot be learned by gradient descent, and what noise changes about that;
# - compute the probability that a gate is open, and the penalty that follows from it;
# - write out the objective of LSPIN for one cell, and take one step of gradient descent on it.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Cells, classes | Necessary | {doc}`01_fetching_cells` |
# | Model inputs | Necessary | {doc}`02_features` |
# | Gradient descent on a loss | Necessary | any introduction to machine learning |
# | Cross-entropy | Helpful | {term}`in the glossary <cross-entropy>`, or [scikit-learn's guide](https://scikit-learn.org/stable/modules/model_evaluation.html#log-loss), where it is called log loss |
# | Normal distribution, its cumulative function | Helpful |  |
#
# ## Time to learn
#
# - **Reading**: 20 minutes
# - **Exercises**: 25 minutes

# %% tags=["remove-cell"]
# Installs what is missing, as on Colab; otherwise it does nothing.
import subprocess
import sys
from importlib.util import find_spec

NEEDED = (
    "lspin",
    "distributed",
    "interpret",
    "ipfx",
    "ipywidgets",
    "lightgbm",
)
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
# A {term}`gate` is a number between 0 and 1 that multiplies one measurement of one cell. We want it
# to be *exactly* 0 for most measurements, so that these cannot affect the prediction, and we want to
# learn by gradient descent which ones.
#
# A hard switch will not do. It is either off or on, so a small change of its setting changes nothing
# at all: its gradient is zero nearly everywhere and gives no hint which way to go. LSPIN therefore
# blurs the switch with noise while it learns:
#
# $$ z = \mathrm{clip}(\mu + \tfrac12 + \sigma\varepsilon,\ 0,\ 1), \qquad \varepsilon \sim N(0, 1). $$
#
# The network chooses the location $\mu$. The size of the noise, {term}`sigma`, is fixed at
# $\sigma = 0.5$ during training. A very negative $\mu$ keeps the gate shut whatever the noise does, and
# a large one opens it fully.
#
# Once training is over, the noise is switched off ($\sigma = 0$), and the gate is simply
# $\mathrm{clip}(\mu + \frac12, 0, 1)$. It is open if $\mu$ is above $-\frac12$.

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
    locations = torch.full((20_000,), mu, dtype=torch.float64)
    package = sample_gates(locations, torch.tensor(noise))
    assert np.allclose(ours, package)
print(f"With sigma = {SIGMA}, our gate equals the package's gate.")

# %% [markdown]
# ```{admonition} Predict before you run
# :class: tip
# Without noise, a gate with $\mu = -0.9$ is closed. In how many of a hundred noisy draws will it be
# open nevertheless: in none, in about twenty, or in about fifty?
# ```

# %% mystnb={"image": {"alt": "Three histograms of stochastic gate values, for mu of -0.9, 0 and 0.5. Each has a pile at exactly 0 and one at exactly 1; the pile at 0 shrinks as mu grows."}}
import matplotlib.pyplot as plt

from lspin.show import name_source

share = np.full(noise.shape, 1 / noise.size)  # so that the bars sum to 1
fig, axes = plt.subplots(
    1, 3, figsize=(9, 2.8), sharey=True, layout="constrained"
)
for ax, mu in zip(axes, (-0.9, 0.0, 0.5), strict=True):
    gate = gate_by_hand(mu, noise)
    ax.hist(gate, bins=41, range=(0, 1), weights=share, color="0.4")
    ax.set_title(
        f"$\\mu$ = {mu}: {np.mean(gate > 0):.0%} of draws open", fontsize=10
    )
    ax.set_xlabel("gate value z")
axes[0].set_ylabel("share of draws")
name_source(fig, "Simulated gates, no cells.")
plt.show()

# %% [markdown]
# Even a gate that is closed for now opens every so often. That is how training finds out whether its
# measurement would have been of use.
#
# ## The penalty for open gates
#
# If open gates cost nothing, the network would open every one of them, because more measurements can only
# help to fit the training cells. So every open gate has to cost something. Simply counting the open gates
# would not work, since a count has no useful gradient either. But the *probability* that a gate is open
# has one, and for our blurred switch it has a closed form:
#
# $$ P(z > 0) = \Phi\!\left(\frac{\mu + \frac12}{\sigma}\right), $$
#
# where $\Phi$ is the cumulative normal distribution. The penalty is the mean of this probability over
# all measurements, times a weight $\lambda$ ({term}`lambda`): the larger $\lambda$ is, the fewer gates
# stay open.

# %% mystnb={"image": {"alt": "Probability that a gate is open against mu: an S-shaped curve through 0.5 at mu of -0.5, with dots of simulated shares lying on it. The noise-free gate is a ramp from 0 at mu of -0.5 to 1 at mu of 0.5."}}
from scipy.stats import norm

from lspin.model import gate_values, open_probability

mu = np.linspace(-2, 1.5, 200)
formula = norm.cdf((mu + 0.5) / SIGMA)
few = slice(None, None, 20)
shares = [np.mean(gate_by_hand(m, noise) > 0) for m in mu[few]]
assert np.allclose(formula, open_probability(torch.tensor(mu)))
assert np.allclose(shares, formula[few], atol=0.02)

fig, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
ax.plot(mu, formula, color="black", label="P(gate is open), formula")
ax.plot(mu[few], shares, "ko", mfc="white", label="P(gate is open), simulated")
without_noise = gate_values(torch.tensor(mu))
ax.plot(mu, without_noise, color="tab:orange", label="gate without noise")
ax.set(xlabel="gate location mu", ylabel="probability, or gate value")
ax.legend(frameon=False)
name_source(fig, "Simulated gates, no cells.")
plt.show()

# %% [markdown]
# ## Two networks
#
# LSPIN consists of two small networks. The {term}`gating network` reads all measurements $x$ of a cell
# and returns one $\mu$ for each of them. The {term}`predictor` sees only the gated cell $x \odot z$,
# in which every measurement has been multiplied by its gate.
#
# A closed gate therefore puts a 0 in the place of a measurement. Since the inputs are
# {term}`standardised <standardise>`, 0 is the mean of all cells: the predictor learns nothing about
# how *this* cell differs from the others.
#
# The predictor returns one number for each class, the {term}`logits`; the *softmax* turns them into
# probabilities. How far these are from the truth is measured by the {term}`cross-entropy`, the average
# of $-\log p$, where $p$ is the probability given to the true class. A network that knows nothing gives
# each of five classes one fifth, and pays $-\ln \frac15 = 1.61$.
#
# What training minimises, its **objective**, is the cross-entropy of the prediction plus the penalty for
# the open gates. We write it out for one small network, six measurements, and five cells, one of each
# class. `PackedLSPIN` is the package's class for many such networks side by side (a {term}`pack`);
# ours has only one in it.
#
# ```{admonition} Predict before you run
# :class: tip
# This network is untrained: it starts with all its gates wide open and no idea of the classes. With
# $\lambda = 0.5$, how large will the objective be, roughly, and how much of it is penalty?
# ```

# %%
from lspin.features import model_inputs
from lspin.model import PackedLSPIN, Recipe

one_each = cells.y.groupby(cells.y).head(1).sort_values().index
inputs = model_inputs(cells.X).fit_transform(cells.X)
inputs = inputs.loc[one_each].iloc[:, :6].to_numpy()
x = torch.tensor(inputs, dtype=torch.float32)  # five cells, six measurements
one_hot = torch.eye(5)  # their classes: a 1 in the column of the class


def untrained(lam):
    return PackedLSPIN(6, 5, seeds=[1], recipe=Recipe(lam=lam))


# %%
import pandas as pd

from lspin.model import objective

lam = 0.5
network = untrained(lam)

mu = network.gate_locations(x[None])  # the first axis counts networks
z = torch.clamp(mu + 0.5, 0, 1)
log_p = network.predict_gated(x * z)[0].log_softmax(dim=1)
is_open = torch.special.ndtr((mu + 0.5) / SIGMA)[0]
cross_entropy = -(one_hot * log_p).sum(dim=1)
penalty = lam * is_open.mean(dim=1)
by_hand = cross_entropy + penalty

package = objective(network, x, one_hot[None])[0]
torch.testing.assert_close(by_hand, package)
columns = {
    "cross-entropy": cross_entropy,
    "penalty": penalty,
    "sum": by_hand,
    "lspin.model.objective": package,
}
columns = {name: values.detach() for name, values in columns.items()}
pd.DataFrame(columns, cells.y[one_each]).round(3)

# %% [markdown]
# The penalty is not far below $\lambda$, because most gates are wide open. The cross-entropy of single
# cells scatters around that of a blind guess, since the weights of the network are still random.
#
# ## One step
#
# A training step moves every weight of both networks a little against the gradient of this objective.
# Plain gradient descent does that in one line. The package uses Adam, a variant that adapts the step of
# each weight to how large its gradients have been.

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
# - A gate is a clipped switch with noise. The noise gives it a gradient to learn from, and is gone
#   after training.
# - The penalty is the expected share of open gates, in closed form, times $\lambda$.
# - The gating network reads all measurements of a cell; the predictor sees only what the gates let
#   through.
# - Gates learn because training lowers the sum of the cross-entropy and the penalty.
#
# ## Self-check
#
# **1.** Why can gradient descent not learn a hard switch?
#
# ```{dropdown} Answer
# The output of a hard switch jumps from 0 to 1 and is flat everywhere else. Its gradient is zero nearly
# everywhere, so it never says in which direction, or whether at all, the switch should be moved.
# ```
#
# **2.** Two gates have $\mu = -0.6$ and $\mu = -2$. Both are closed once the noise is off. Which of them
# is more likely to reopen if training goes on, and why?
#
# ```{dropdown} Answer
# The first. With noise it is open in $\Phi(-0.2)$, four draws out of ten, so its measurement is tried
# out often. The second is open in about one draw in a thousand, so training hardly ever learns what its
# measurement is good for.
# ```
#
# **3.** Why does the penalty use the probability that a gate is open, and not the number of gates that
# are open?
#
# ```{dropdown} Answer
# A number of gates changes in jumps, so its gradient is zero or undefined. The probability changes
# smoothly with $\mu$, and its mean over all gates is the share of gates that one expects to be open. It
# stands in for the count and can be minimised.
# ```
#
# **4.** A measurement of some cell happens to lie exactly at the mean of all cells. What does the
# predictor see if its gate is open, and what if it is closed?
#
# ```{dropdown} Answer
# The same: 0, because a standardised mean is 0. A closed gate does not tell the predictor "unknown". It
# shows an average value, and for this cell the average happens to be the truth.
# ```
#
# **5.** "The prediction uses nothing but the open measurements." In what sense is that true, and in what
# sense is it not?
#
# ```{dropdown} Answer
# It is true of the predictor, which sees a 0 in place of everything else. It is not true of the model as
# a whole: the gating network read all measurements in order to choose the gates, and its choice itself
# may carry information. {doc}`11_useful` measures how much.
# ```
#
# ## Exercises
#
# **1. Warm-up.** A gate has $\mu = -0.5$. What is its value at inference, that is, after training? How
# often is it open during training?
#
# *On the twin: the same.*
#
# ```{dropdown} Solution
# At inference it is $\mathrm{clip}(-0.5 + 0.5, 0, 1) = 0$: closed. In training it is open whenever the
# noise is positive, so half of the time. This is how a closed gate can still turn out to be useful and
# be opened again. The next cell checks both.
# ```

# %% tags=["hide-cell"]
mu = torch.tensor([-0.5])
assert gate_values(mu).item() == 0.0
assert abs(open_probability(mu).item() - 0.5) < 1e-6
print("closed at inference, open half of the time in training")

# %% [markdown]
# **2. Core.** Take the step above 300 times, with a $\lambda$ of 0, 1, 2 and 5. How many of the thirty
# gates (six measurements of five cells) are open afterwards, and what has become of the cross-entropy?
#
# *On the twin: the same.*
#
# ```{dropdown} Solution
# Without a penalty the cross-entropy falls to almost nothing and most gates stay open, because nothing
# speaks against them. A small penalty closes those that are not needed, at hardly any cost. A large one
# closes them all. The network then sees the same of every cell, and the best it can do is to give each of
# the five classes one fifth, which costs $\ln 5 = 1.61$. A network can learn five cells by heart, so
# nothing follows for new ones; the next chapter trains on many cells and judges by others.
# ```

# %% tags=["hide-cell"]
for lam in (0.0, 1.0, 2.0, 5.0):
    network = untrained(lam)
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
    n_open = (z > 0).sum()
    print(f"lambda {lam:g}: {n_open} of 30 open, cross-entropy {fit:.2f}")

# %% [markdown]
# **3. Open.** The papers use $\sigma = 0.5$. What would be gained and what lost with a much smaller or a
# much larger $\sigma$? Think of a number that would show it, and compute it for a few values of
# $\sigma$.
#
# *On the twin: the same.*
#
# ```{dropdown} Solution
# There is no single answer. A good one names two effects that pull in opposite directions. With little
# noise the blurred switch is nearly a hard one again: a closed gate is hardly ever tried out, and the
# gradient of the penalty vanishes at a small distance from the edge. With much noise every gate is tried
# out, but in training the predictor sees gates that have little to do with those at inference, and the
# penalty hardly tells an open gate from a closed one. The next cell computes one possible set of numbers:
# how often a closed gate ($\mu = -1$) and an open one ($\mu = 0.5$) are open in training, and how far
# training and inference are apart on average.
# ```

# %% tags=["hide-cell"]
rows = {}
for sigma in (0.05, 0.2, 0.5, 1.0, 3.0):
    rows[sigma] = row = {}
    for mu in (-1.0, 0.5):
        drawn = np.clip(mu + 0.5 + sigma * noise, 0, 1)
        at_inference = np.clip(mu + 0.5, 0, 1)
        row["open", mu] = np.mean(drawn > 0)
        row["gap", mu] = np.abs(drawn - at_inference).mean()
columns = pd.MultiIndex.from_tuples(row, names=["", "mu"])
pd.DataFrame(rows, columns).T.rename_axis("sigma").round(3)

# %% [markdown]
# ## What's next?
#
# One step on five cells is not yet a training. {doc}`05_training` takes several hundred steps on all
# cells, and finds out why one network is not enough.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
