# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How does a network learn which measurements to look at?
#
# ## Overview
#
# An electrophysiologist who is asked "which kind of cell is this?" does not read fifty numbers.
# For one cell the narrow spike settles it, for another the sag. LSPIN
# {cite}`yang2022lspin,ophir2023` is a network that works the same way: for each cell it opens a few
# *gates*, one per measurement, and decides from what comes through. In this chapter we build its
# three parts by hand (the gate, the penalty, one training step), check each against the package,
# and then train it on real cells.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Cells, classes, donors | Necessary | {doc}`01_fetching_cells` |
# | Model inputs | Necessary | {doc}`02_features` |
# | Gradient descent on a loss | Necessary | any introduction to machine learning |
# | Normal distribution, its cumulative function | Helpful | |
#
# - **Time to learn**: 40 minutes

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from scipy.stats import norm
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier, load_cells, lspin_path
from lspin.evaluation import donor_folds, fit_grouped, open_gates
from lspin.features import model_inputs
from lspin.gates import SIGMA, gate_values, open_probability, sample_gates
from lspin.network import PackedLSPIN
from lspin.plots import name_source
from lspin.training import LABEL_SMOOTHING, objective

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
# Here it is written out for one small network and four cells, and compared with the package.
# (Labels are smoothed a little, because a Cre line is an imperfect label: some cells of a line do
# not belong to its class.)

# %%
generator = torch.Generator().manual_seed(0)
x = torch.randn(4, 6, generator=generator)  # four cells, six measurements
label = torch.tensor([0, 2, 1, 0])
lam = 0.5
network = PackedLSPIN(n_features=6, n_outputs=3, seeds=[1]).eval()  # eval: no noise

mu = network.gate_locations(x[None])
z = torch.clamp(mu + 0.5, 0, 1)
log_p = network.predict_gated(x * z)[0].log_softmax(dim=1)
one_hot = torch.nn.functional.one_hot(label, 3)
smooth = (1 - LABEL_SMOOTHING) * one_hot + LABEL_SMOOTHING / 3
by_hand = -(smooth * log_p).sum(dim=1) + lam * torch.special.ndtr((mu + 0.5) / SIGMA)[0].mean(dim=1)

package = objective(network, x, label[None], torch.tensor([lam]))[0]
torch.testing.assert_close(by_hand, package)
pd.DataFrame({"by hand": by_hand.detach(), "lspin.training.objective": package.detach()})

# %% [markdown]
# A training step moves every weight a little against the gradient of this number. Plain gradient
# descent does it in one line; the package uses AdamW, which scales the step of each weight by how
# large its gradients have been.

# %%
before = by_hand.mean()
gradients = torch.autograd.grad(before, list(network.parameters()))
with torch.no_grad():
    for weight, gradient in zip(network.parameters(), gradients, strict=True):
        weight -= 0.05 * gradient
after = objective(network, x, label[None], torch.tensor([lam])).mean()
assert after < before
print(f"objective before the step: {before:.3f}, after: {after:.3f}")

# %% [markdown]
# ## Set donors aside, then train
#
# Cells of one mouse go together: either all are for training or all are for testing
# ({doc}`01_fetching_cells`). We take one of five donor-grouped folds as the test set and do not
# look at it until the end.

# %%
train, test = donor_folds(cells.y, cells.donors, n_splits=5, random_state=0)[0]
assert not set(cells.donors.iloc[train]) & set(cells.donors.iloc[test])
print(f"{len(train)} cells to train on, {len(test)} to test on, no donor in both")


# %% tags=["remove-stderr"]
def train_lspin(rows, lam, random_state=0, verbose=0):
    model = LSPINClassifier(lam=lam, random_state=random_state, verbose=verbose)
    pipeline = make_pipeline(model_inputs(cells.X), model)
    return fit_grouped(pipeline, cells.X.iloc[rows], cells.y.iloc[rows], cells.donors.iloc[rows])


pipeline = train_lspin(train, lam=0.5, verbose=1)
n_inputs = pipeline[-1].n_features_in_
print(f"trained {pipeline[-1].n_members} networks on {n_inputs} inputs")

# %% [markdown]
# Eight networks were trained at once, each on seven eighths of the training cells. The rest, cells
# of other donors, told it at which step to stop. The prediction is their average.

# %% [markdown]
# ## How strong should the penalty be?
#
# A larger $\lambda$ closes more gates, and at some point closes too many. To see where, we train a
# whole *path*: the same networks under eight prices. Each is scored on donors held out of **our
# training cells**; choosing $\lambda$ on the test cells would make the test score too good.
#
# `lspin_path` trains all of them together and reports after every fold, so the picture is drawn
# while it works.


# %% tags=["remove-stderr"] mystnb={"image": {"alt": "Macro F1 on held-out donors against the median number of open gates per cell, one dot per lambda. The score is flat while the first gates close, then falls steeply when very few are left."}}
def draw(path):
    """Plot score against open gates for the folds that are done."""
    scores = path.summary()
    fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
    ax.plot(scores["open_gates"], scores["macro_f1"], "o-", color="black")
    for lam, row in scores.iterrows():
        place = (row["open_gates"], row["macro_f1"])
        ax.annotate(f"{lam:g}", place, (3, -12), textcoords="offset points", fontsize=8)
    done = path.scores["fold"].nunique()
    ax.set_xlabel(f"open gates per cell, of {n_inputs} (median over cells and networks)")
    ax.set(ylabel="macro F1, held-out donors", ylim=(0, 1))
    ax.set_title(f"lambda beside each dot; mean of {done} fold(s)", fontsize=9)
    name_source(fig, cells.banner())
    plt.close(fig)
    return fig


picture = display(display_id=True)
path = lspin_path(
    cells.X.iloc[train],
    cells.y.iloc[train],
    groups=cells.donors.iloc[train],
    inputs=model_inputs(cells.X),
    n_members=4,
    n_folds=3,
    on_fold=lambda path: picture.update(draw(path)),
)

# %%
path.summary().round(3)

# %% [markdown]
# *Macro F1* is the mean over classes of the harmonic mean of precision and recall, so that a rare
# class counts as much as a common one. The table also tells how many gates *any* of the four
# networks opened (`open_gates_union`): that is the honest size of the explanation of an averaged
# prediction, and it is larger.

# %% [markdown]
# ## The test cells, once
#
# We keep the $\lambda$ we started with, and look at the test donors.

# %%
truth = cells.y.iloc[test]
predicted = pipeline.predict(cells.X.iloc[test])
accuracy = accuracy_score(truth, predicted)
majority = truth.value_counts(normalize=True).max()
gates = open_gates(pipeline, cells.X.iloc[test])
print(f"accuracy {accuracy:.3f} (always guessing the largest class: {majority:.3f})")
print(f"macro F1 {f1_score(truth, predicted, average='macro'):.3f}")
print(f"open gates per cell: {gates['open_gates']:.0f} of {n_inputs} in one network (median)")
assert accuracy > majority + 0.1

# %% mystnb={"image": {"alt": "Confusion matrix of the test cells, true class in rows and predicted class in columns, as shares of each true class. The diagonal dominates."}}
classes = list(cells.counts().index)
shares = confusion_matrix(truth, predicted, labels=classes, normalize="true")
fig, ax = plt.subplots(figsize=(5, 4.2), layout="constrained")
ax.imshow(shares, cmap="Greys", vmin=0, vmax=1)
for i, j in np.ndindex(shares.shape):
    ax.text(
        j,
        i,
        f"{shares[i, j]:.0%}",
        ha="center",
        va="center",
        color="white" if shares[i, j] > 0.5 else "black",
    )
ax.set_xticks(range(5), classes, rotation=30, ha="right")
ax.set_yticks(range(5), classes)
ax.set(xlabel="predicted class", ylabel="true class (Cre line)")
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# ## How sure is this score?
#
# One fold of a few hundred cells is a small sample. If each cell were an independent coin flip with
# the measured accuracy, repeating the experiment would give

# %%
error = np.sqrt(accuracy * (1 - accuracy) / len(test))
print(
    f"accuracy {accuracy:.3f}, 95 % interval about {accuracy - 2 * error:.3f} to "
    f"{accuracy + 2 * error:.3f}"
)

# %% [markdown]
# which is wide: a model that is one percent better cannot be told apart on one such fold. The next
# chapter uses all folds, and rivals.
#
# ## Take-away
#
# - A gate is a clipped, blurred switch; the blur gives it a gradient and goes away after training.
# - The penalty is the expected share of open gates, in closed form; $\lambda$ is its price.
# - The predictor sees only what the gates let through, so the open gates of a cell are what its
#   prediction was made from. Whether they are *good* explanations is a further question.
# - Whatever is chosen ($\lambda$, the step to stop at) is chosen on donors that are not in the test.
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
# **2.** Shuffle the labels of the training cells and train again. What accuracy do you expect on
# the test cells, and how many gates stay open?
#
# ```{dropdown} Solution
# Nothing can be learned, so the best guess is the largest class, and since no gate pays its price,
# most close. If your pipeline scores above that with shuffled labels, it leaks.
# ```

# %% tags=["hide-cell"]
shuffled = cells.y.iloc[train].sample(frac=1, random_state=0).set_axis(cells.y.index[train])
nonsense = fit_grouped(
    make_pipeline(model_inputs(cells.X), LSPINClassifier(lam=0.5, random_state=0)),
    cells.X.iloc[train],
    shuffled,
    cells.donors.iloc[train],
)
chance = accuracy_score(truth, nonsense.predict(cells.X.iloc[test]))
closed = open_gates(nonsense, cells.X.iloc[test])["open_gates"]
print(f"accuracy {chance:.3f} (largest class {majority:.3f}), {closed:.0f} open gates per cell")
assert chance < majority + 0.05

# %% [markdown]
# ## What's next?
#
# Is LSPIN any better than a support vector machine? {doc}`04_baselines` compares them under one
# protocol.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
