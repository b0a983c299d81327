# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How did the published number come about?
#
# ## Overview
#
# {cite:t}`ophir2023` report an accuracy of 0.917 for {term}`LSPIN` on the recordings of this book, more
# than any model reaches here. The authors' code and results are public, so one can look up how the number
# came about. In this chapter we repeat their split with one honest run, see what the split alone does to a
# score, and simulate what happens if the best of 6000 settings is chosen on the test cells.
#
# ## After this chapter you can
#
# - name the steps of an evaluation in which test cells may have a part;
# - give the interval of a published accuracy;
# - show how far the score of one model moves with the split;
# - explain why the best of many scores on the same test cells is too high, and what decides by how much.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | LSPIN, `max_open` | Necessary | {doc}`06_how_many` |
# | Donors never straddle a split | Necessary | {doc}`01_fetching_cells` |
# | Nested cross-validation | Helpful | {doc}`07_baselines` |
# | Correlation | Helpful |  |
#
# ## Time to learn
#
# - **Reading**: 20 minutes
# - **Exercises**: 10 minutes

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
# ## What was done
#
# This is what the authors' public code and results say:
#
# - The 1382 complete rows of their table were split once, at random ({term}`seed` 1), without regard to
#   class or {term}`donor`: 80 % to train, 277 cells to test.
# - Values were {term}`standardised <standardise>` with the mean and standard deviation of *all* cells, the
#   test cells included.
# - 6000 settings ({term}`hyper-parameters <hyper-parameter>`) were tried, and each was scored **on the 277
#   test cells**. The best was reported.
# - The models that it was compared with were trained on 20 % of the cells and tested on 80 %.
# - The F1 score of LSPIN was weighted by class size, that of the other models was not (it was
#   {term}`macro F1`).
#
# None of this is rare, and all of it can be read in what the authors made public. We can look at its parts
# one by one.
#
# ## 277 cells are few
#
# 254 of them were classified correctly. If each cell were an independent coin flip, the true accuracy would
# be known only this well (*Wilson's interval*):

# %%
from scipy.stats import binomtest


def interval(n_right, n):
    """Return Wilson's 95 % interval of a share, in words."""
    test = binomtest(int(n_right), int(n))
    low, high = test.proportion_ci(method="wilson")
    return f"{n_right / n:.3f}, 95 % interval {low:.3f} to {high:.3f}"


PUBLISHED = 254 / 277
print("published accuracy", interval(254, 277))

# %% [markdown]
# ## One honest run
#
# The same split, nothing to set, one fit, one look at the test cells. The inputs are standardised by the
# training cells alone. Beside it, the model with five {term}`gates <gate>`.

# %% tags=["remove-stderr"]
from lspin.studies import authors_table

table = cells if cells.is_synthetic else authors_table()
if cells.is_synthetic:
    print("There are no recordings here: what follows splits the cells of the")
    print("synthetic twin in the same way. Its scores cannot be compared with")
    print("the published one.")
print(table.banner())

# %%
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from lspin.evaluate import fit_grouped
from lspin.features import model_inputs


def random_split(seed):
    """Split as the authors did: without classes or donors, 20 % to test."""
    rows = np.arange(len(table))
    return train_test_split(rows, test_size=0.2, random_state=seed)


def fit_on(rows, model):
    model = make_pipeline(model_inputs(table.X), model)
    X, y, donors = (t.iloc[rows] for t in (table.X, table.y, table.donors))
    return fit_grouped(model, X, y, donors)


# %%
from lspin import LSPINClassifier

fit_rows, score_rows = random_split(1)
X_score, truth = table.X.iloc[score_rows], table.y.iloc[score_rows].to_numpy()
honest = fit_on(fit_rows, LSPINClassifier(random_state=0))
n_right = (honest.predict(X_score) == truth).sum()
print(f"{len(truth)} test cells")
print("accuracy of one honest run", interval(n_right, len(truth)))

five = fit_on(fit_rows, LSPINClassifier(max_open=5, random_state=0))
n_right_five = (five.predict(X_score) == truth).sum()
print("with five gates", interval(n_right_five, len(truth)))

# %% [markdown]
# ## Another seed, another score
#
# To see what the split alone does, we repeat it with other seeds. To save time we use a
# {term}`support vector machine` with fixed settings: nothing is chosen, and nothing else changes.
#
# ```{admonition} Predict before you run
# :class: tip
# The same model, thirty random splits of the same table. How far apart will the lowest and the highest
# accuracy be?
# ```

# %%
from lspin.evaluate import quick_rivals

machine = quick_rivals()["RBF-SVM"].estimator
by_seed = []
for seed in range(1, 31):
    rows, held_out = random_split(seed)
    predicted = fit_on(rows, machine).predict(table.X.iloc[held_out])
    by_seed.append(np.mean(predicted == table.y.iloc[held_out]))
by_seed = np.array(by_seed)
print(f"{by_seed.min():.3f} to {by_seed.max():.3f},", end=" ")
print(f"standard deviation {by_seed.std(ddof=1):.3f}")
below = np.mean(by_seed < by_seed[0])
print(f"seed 1: {by_seed[0]:.3f}, higher than {below:.0%} of them")

# %% mystnb={"image": {"alt": "Histogram of the accuracy of one support vector machine on thirty random splits; it spreads over several percent. A vertical line marks the split with seed 1."}}
import matplotlib.pyplot as plt

from lspin.show import name_source

fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
ax.hist(by_seed, bins=12, color="0.7")
ax.axvline(by_seed[0], color="black", label="seed 1, the authors' split")
ax.set(xlabel="accuracy of the same model", ylabel="random splits")
ax.legend(frameon=False, fontsize=8)
name_source(fig, table.banner())
plt.show()

# %% [markdown]
# ## The best of 6000
#
# Now for the choice on the test cells. Suppose that all settings were *equally good*, with the accuracy that
# LSPIN has in our recorded protocol ({doc}`07_baselines`). Each would still score a little higher or lower
# on 277 cells, and the best of many scores would be higher than any of them deserves.
#
# How much higher depends on how alike the trials are: if they were copies of each other, the best would be no
# better than the first. To get an idea of how alike trials are, we measure it on networks that we have: the
# twelve of the honest run, which differ in their seeds, in {term}`weight decay` and {term}`mixup`, and in the
# cells that they set aside. For each pair of them we compute the correlation, over the test cells, between one
# network being right and the other being right.

# %%
import torch

with torch.no_grad():
    inputs = torch.tensor(honest[:-1].transform(X_score).to_numpy())
    logits, _ = honest[-1].network_(inputs)
classes = honest.classes_[logits.argmax(dim=2).numpy()]
is_right = classes == truth  # a row for each network
pairs = np.corrcoef(is_right)[np.triu_indices(len(is_right), 1)]
measured = round(float(pairs.mean()), 2)
print(f"correlation between two networks in being right: {measured}")

# %%
from lspin.evaluate import summary
from lspin.studies import read_results, results_file

tables, about = read_results(results_file("paper"))
p_true = summary(tables["scores"]).loc["LSPIN", "accuracy"]
print("Recorded on the", about["banner"].removeprefix("Source: "))
print(f"accuracy of LSPIN, nothing chosen on test cells: {p_true:.3f}")

# %% [markdown]
# What follows is a **simulation**, with one simple assumption. For each test cell there is a common verdict,
# which is right for a share $p$ of the cells. Each trial copies this verdict with probability $s$; otherwise
# it is right with probability $p$ by its own luck. Then the correlation between any two trials in being right
# is $s^2$.
#
# ```{admonition} Predict before you run
# :class: tip
# All models in this simulation are equally good. Will the best of 6000 look better by a tenth of a
# percentage point, by one, or by several?
# ```


# %%
def best_so_far(n_trials, correlation, rng, n_cells=277):
    """Simulate the best score after 1, 2, ... equally good models."""
    s = np.sqrt(correlation)
    verdict = np.arange(n_cells) < p_true * n_cells
    chance = s * verdict + (1 - s) * p_true  # of being right
    is_right = rng.random((n_trials, n_cells), dtype=np.float32) < chance
    return np.maximum.accumulate(is_right.mean(axis=1))


rng = np.random.default_rng(0)
best = {}
for r in sorted({0.3, 0.9, measured}):
    runs = [best_so_far(6000, r, rng) for _ in range(20)]
    best[r] = np.mean(runs, axis=0)
    print(f"correlation {r:g}: best of 6000 scores {best[r][-1]:.3f}", end=" ")
    print(f"where {p_true:.3f} is true")

# %% mystnb={"image": {"alt": "Simulated expected best accuracy on 277 test cells against the number of equally good models tried, on a logarithmic axis, for three correlations between the models. All curves rise from the true accuracy; the less alike the models, the steeper. A dotted line marks the published accuracy."}}
fig, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for r, style in zip(best, ("--", "-", ":"), strict=False):
    label = f"correlation {r:g}" + (" (measured)" if r == measured else "")
    ax.semilogx(range(1, 6001), best[r], style, color="black", label=label)
note = {"textcoords": "offset points", "xytext": (0, -10)}
ax.axhline(p_true, color="0.6", lw=1)
ax.annotate("true accuracy of every model", (1.2, p_true), **note)
ax.axhline(PUBLISHED, color="tab:orange", lw=1, ls=":")
ax.annotate("published", (1.2, PUBLISHED), color="tab:orange", **note)
ax.set_xlabel("models tried, of which the best on the test cells is kept")
ax.set_ylabel("its accuracy (mean of 20 runs)")
ax.legend(frameon=False, fontsize=8, loc="upper left")
source = "Simulated scores, no cells; the true accuracy is the recorded one."
name_source(fig, source)
plt.show()

# %% [markdown]
# So a search on the test cells lifts a score even if there is nothing to choose from, and no rule of thumb
# can correct for it. By how much depends on the correlation, which we assumed to be the same for all pairs
# and measured on twelve networks that differ in their seeds and in two settings. Six thousand settings may
# differ more, which lifts the best further; and not all of them are good, which leaves fewer to choose from.
#
# The simulation does not say what the published model is worth. It says that such a score cannot tell us.
#
# The remedy costs nothing but time: choose inside the training donors, then look once.
#
# ## Take-away
#
# - The best of many scores on the test cells does not tell how well a model does on new cells.
# - By how much it is too high depends on how many models were tried, how alike they are, and how many test
#   cells there are.
# - A split is luck, too: the same model scores some points more or less with another seed.
# - Whatever is chosen is chosen on donors that are not in the test.
#
# ## Exercises
#
# **1.** How large would the test set have to be for the best of 6000 equally good models, as alike as
# measured, to score at most one percentage point too high?
#
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# The spread of a share falls with the square root of the number of cells, and so does the lead of the best:
# half the lead takes four times the cells. The next cell simulates larger and larger test sets and works out
# the number from each: thousands of cells, unless the models are very much alike; as many as there are in the
# whole table, or more.
# That is why the choice has to be made elsewhere.
# ```

# %% tags=["hide-cell"]
for n_cells in (277, 4 * 277, 16 * 277):
    runs = [best_so_far(6000, measured, rng, n_cells)[-1] for _ in range(3)]
    lead = np.mean(runs) - p_true
    needed = n_cells * (lead / 0.01) ** 2
    print(f"{n_cells} test cells: {lead:+.3f} too high;", end=" ")
    print(f"for 0.01 it would take about {needed:,.0f}")

# %% [markdown]
# ## What's next?
#
# How all models of this book are compared without choosing on test cells: {doc}`07_baselines`.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
