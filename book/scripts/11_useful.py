# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do the gates give the answer away, and what are they good for?
#
# ## Overview
#
# {doc}`10_faithful` asked whether open {term}`gates <gate>` are the reasons for a prediction. Two
# questions are left before anybody uses them. Do they *leak*: does the pattern of open gates tell the
# class by itself, whatever was measured? And do they *make sense*: does the model recognise a class by
# what electrophysiology knows about it? Then we put the reasons to use: we look for cells whose label
# may be wrong, and write a {term}`card` that sums up a single cell.
#
# ## After this chapter you can
#
# - say how a {term}`mask` can carry a message, and test a model for it with parts of different cells;
# - tell what the model itself reads in its mask from what anybody could read in it;
# - check the fingerprint of a class against what is known about that class;
# - rank cells by how odd their gates are, and judge the list against a simpler one;
# - read the card of a cell.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Open gates, and the effect of closing one | Necessary | {doc}`09_gates` |
# | Gates that close in turn, and gates opened by networks | Necessary | {doc}`05_training` |
# | Donors never straddle a split | Necessary | {doc}`01_fetching_cells` |
# | What the measurements mean | Necessary | {doc}`02_features` |
# | How wrong Cre lines are | Helpful | {doc}`03_cre_labels` |
# | Random forests | Helpful | [scikit-learn's guide](https://scikit-learn.org/stable/modules/ensemble.html#random-forests) |
#
# ## Time to learn
#
# - **Reading**: 30 minutes
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
# ## Two models to examine
#
# We examine two models with *five* open gates in each cell. One {term}`closes <closing>` gates in turn
# until five are left; in the other, {term}`gating networks <gating network>` choose which five to open.
# As always, the cells that we explain come from {term}`donors <donor>` that the models have never seen:
# one fifth of them.

# %% tags=["remove-stderr"]
import numpy as np

from lspin.explain import hold_out
from lspin.studies import examined

FEW, _, NETWORK = models = examined()
held = {
    name: hold_out(cells, models[name], n_folds=1)[0]
    for name in (FEW, NETWORK)
}
for name, h in held.items():
    print(f"{name}: accuracy {np.mean(h.predicted == h.cells.y):.3f}")

# %% [markdown]
# We also asked the same questions beforehand on recorded cells, with all five {term}`folds <fold>` and
# with a model that leaves eight gates open. These recorded figures are shown beside the quick ones,
# whichever source of cells you run this chapter on. The models were:

# %%
from lspin.studies import read_results, results_file

tables, about = read_results(results_file("explanations"))
recorded_on = "Recorded on the " + about["banner"].removeprefix("Source: ")
print(recorded_on)
recorded = list(about["models"])
for name, model in about["models"].items():
    print(f"{name}: {model}")

# %% [markdown]
# ## Do the gates give the answer away?
#
# The {term}`predictors <predictor>` see only what the gates let through, but the part of the model that
# chooses the gates sees everything. A gating network could guess the class by itself and pass its guess
# on in code: *open the first gate for Pvalb+, the second for Sst+*, whatever the values behind them.
# The predictors would read the code, the prediction would be right, and the open gates would be no
# reasons at all.
#
# This is a known weakness of models that select features for each sample
# {cite}`jethani2021,oosterhuis2024`, and one kind of {term}`leakage`. Where gates close in turn, no
# predictor can have learned a code, because all of them were trained behind random masks. Yet the mask
# may still tell the class to somebody who looks at it. So we have to test for it.
#
# First we test **the model itself**, by feeding its predictors with parts of different cells. If they
# read a code, then the gates of another cell will mislead them and the values of another cell will not
# matter. If they read the values, it is the other way round.
#
# Then we ask **a random forest**, trained from scratch on the training cells, to tell the class from the
# gates alone. It shows how much *could* be read in the mask, whether or not the predictors read it.
#
# ```{admonition} Predict before you run
# :class: tip
# The forest is told which five gates are open in a cell, and not a single measured value. How close
# will it come to the accuracy of the model?
# ```

# %%
import pandas as pd

from lspin.explain import leakage

leaks = pd.concat(
    [leakage([h]).assign(model=name) for name, h in held.items()]
)
leaks = leaks.round(3)
leaks.pivot_table("accuracy", ["reader", "reads"], "model", sort=False)

# %% [markdown]
# The forest has more rows. *Selected values* are the measurements times their gates, as the predictors
# get them: a zero shows that a gate is closed, so a code could still be read. The forest *trained on
# random selections* has never seen which gates the model selects, and so cannot have learned any code;
# what it gets right comes from the values {cite}`jethani2021`.
#
# The recorded table has two more models, whose gates are *global*: the same gates are open in every cell.

# %%
print(recorded_on)
leaks = tables["leakage"]
leaks.pivot_table("accuracy", "reads", "model", sort=False).round(3)

# %%
from lspin.explain import (
    GATES_ALONE,
    MEAN_GATES,
    NOTHING,
    OTHER_GATES,
    OTHER_VALUES,
    OWN,
)

of_model = leaks.set_index(["model", "reads"])
shown = [OWN, MEAN_GATES, OTHER_GATES, OTHER_VALUES, GATES_ALONE]
largest_class = of_model.loc[(f"{FEW}, global", NOTHING), "accuracy"]

# %% mystnb={"image": {"alt": "Dots with intervals for each model and for one with global gates: accuracy of the model as it is, with the mean gates of all cells, with the gates of another cell, with the values of another cell, and of a forest that sees the gates alone. A dotted line marks the accuracy of always naming the largest class; with global gates, the forest is on that line, and exchanging the gates costs the model nothing."}}
import matplotlib.pyplot as plt

from lspin.show import name_source

COLORS = ("black", "0.6", "#CC79A7", "#0072B2")
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
y = np.arange(len(shown)) - 0.3
for name, color in zip([*recorded, f"{FEW}, global"], COLORS, strict=False):
    rows = of_model.loc[name].loc[shown]
    ax.hlines(y, rows["low"], rows["high"], color=color)
    ax.plot(rows["accuracy"], y, "o", color=color, label=name)
    y = y + 0.2
ax.axvline(largest_class, color="0.6", ls=":")
ax.set_yticks(range(len(shown)), [*shown[:-1], "gates alone, by a forest"])
ax.invert_yaxis()
ax.set(xlabel="accuracy on held-out donors", xlim=(0, 1))
ax.legend(frameon=False, fontsize=8, loc="upper left")
name_source(fig, recorded_on)
plt.show()

# %% [markdown]
# To compare models, we count only what a model gets right *beyond* always naming the largest class, and
# set that to 1. The columns of the next table:
#
# | column | how much of this |
# | --- | --- |
# | `in the gates` | the forest can read in the gates alone |
# | `other values` | the model keeps with the values of another cell behind its gates |
# | `other gates` | it keeps with the cell's own values behind the gates of another cell |
# | `mean gates` | it keeps with the cell's own values behind the mean gates of all cells |

# %%
from lspin.studies import sealed

accuracy = of_model["accuracy"].unstack("model")[[*recorded, *sealed()]]
floor = accuracy.loc[NOTHING]
beyond = (accuracy - floor) / (accuracy.loc[OWN] - floor)
parts = {
    "accuracy": accuracy.loc[OWN],
    "in the gates": beyond.loc[GATES_ALONE],
    "other values": beyond.loc[OTHER_VALUES],
    "other gates": beyond.loc[OTHER_GATES],
    "mean gates": beyond.loc[MEAN_GATES],
}
# The same gates for all cells say nothing about any of them.
assert (parts["in the gates"][[*sealed()]] == 0).all()
# No model predicts from its mask alone.
assert (parts["other values"] < 0.1).all()
pd.DataFrame(parts).round(2)

# %%
in_gates = parts["in the gates"][recorded]
assert in_gates.min() > 0.5
print("of what a model gets right beyond the largest class,")
print(f"{in_gates.min():.0%} to {in_gates.max():.0%} is in its gates alone")

# %% [markdown]
# So there are two answers, and you need both.
#
# **Most of the prediction can be read from the mask.** This holds for gates that close in turn as well as
# for those that networks open. The forest never sees a value: it is only told which gates are open. So do
# not take *only five gates are open* to mean *only five numbers were used*. Which five they are is a
# message too, and it was written by networks that had read everything.
#
# **No model predicts from its mask alone.** With the values of another cell behind its gates, it does
# no better than always naming the largest class. With its own values behind the gates of another cell,
# or behind the *mean gates of all cells*, which carry no message, it keeps a part and loses a part. The
# part that it loses is the most that a code can be worth. But it need not be a code, and where gates
# close in turn it is none: to open a gate where its measurement is needed is the very purpose of local
# selection.
#
# **There is a way without a code.** Among many measurements, those can be left open that happen to point
# to the predicted class. Closing gates in turn does this openly: it knows what the networks that see
# everything predict, and looks for the few values that say it best.
#
# So what are *five open gates* worth as an explanation? Whatever the predictors made of the cell's
# values, they made of these five. That does not mean that the others were not needed to get there, or
# that measuring only these five would do.
#
# If this matters more to you than reasons that differ from cell to cell, use
# `LSPINClassifier(max_open=5, gating="global")`, known as {term}`STG` {cite}`yamada2020`: one set of
# gates for all cells cannot carry a message about any of them. The table shows what it costs: compare
# the accuracies.
#
# ## What does electrophysiology say?
#
# A reason can be faithful to the model and still be nonsense about neurons. The classes of this book
# are well studied, so we can check.
#
# The **fingerprint** of a class shows what its cells lose, on average, when one gate is closed. A sign
# shows the *direction*: plus if higher values speak for the class, minus if lower ones do.

# %% mystnb={"image": {"alt": "Five bar charts, one per predicted class, of the six measurements with the largest mean effect, with intervals. Each is marked by plus or minus for its direction."}}
from lspin.features import FEATURES

marks = tables["fingerprints"]
marks = marks[marks["model"] == recorded[0]]
fig, axes = plt.subplots(3, 2, figsize=(9, 7), layout="constrained")
axes[-1, -1].set_axis_off()
for ax, (name, rows) in zip(axes.flat, marks.groupby("class"), strict=False):
    rows = rows.nlargest(6, "effect").iloc[::-1]
    sign = np.where(rows["direction"] > 0, "+", "\N{MINUS SIGN}")
    labels = [FEATURES[feature].label for feature in rows["feature"]]
    labels = [f"{label}  {s}" for label, s in zip(labels, sign, strict=True)]
    below = rows["effect"] - rows["effect_low"]
    above = rows["effect_high"] - rows["effect"]
    error = [100 * below, 100 * above]
    ax.barh(labels, 100 * rows["effect"], xerr=error, color="0.6")
    ax.set_title(f"predicted to be {name}", fontsize=10)
    ax.tick_params(axis="y", labelsize=8)
    ax.set_xlabel("probability lost (percentage points)", fontsize=8)
name_source(fig, f"Model: {recorded[0]}. {recorded_on}")
plt.show()

# %% [markdown]
# Now for what was known before:
#
# - Fast-spiking cells, most of which are Pvalb+, have narrow {term}`action potentials <action potential>`
#   {cite}`hu2014` that fall nearly as fast as they rise.
# - Those of excitatory cells are broad and rise about four times as fast as they fall
#   {cite}`mccormick1985`.
# - Sst+ cells are described as having a {term}`sag` and a low {term}`rheobase`, which means that little
#   current makes them fire {cite}`tremblay2016`.
#
# For each claim we ask three questions. Is it **true** of the cells, with no model involved? Does the
# model **agree** on the direction? And is it **used**: do cells of this predicted class lose probability
# when all measurements of the claim are closed at once?
#
# ```{admonition} Predict before you run
# :class: tip
# All of these claims are in textbooks. Which of them do you expect a model with five open gates to
# use, and which to ignore?
# ```

# %%
from lspin.explain import check_claims

shown = ["difference", "direction", "effect", "true", "agrees", "used"]
both = {name: check_claims([h]) for name, h in held.items()}
both = pd.concat(both, names=["model"]).droplevel(1)
both.set_index(["class", "claim"], append=True)[shown].round(3)

# %% [markdown]
# (`difference` is the median of the class minus that of all other cells, in standard deviations.
# `direction` is the correlation between the value and what it did for the class. `effect` is the mean
# loss of probability, and `used` is true if its 95 % interval, drawn over donors, lies above 0. So even a
# tiny effect may count as used, if it is there in nearly all cells: look at its size as well.) The same for
# the recorded models:

# %%
print(recorded_on)
claims = tables["claims"].set_index(["model", "class", "claim"])
claims[shown].round(3)

# %%
PVALB, EXCITATORY = "Pvalb+", "Glutamatergic"
known = [
    (PVALB, "narrow spikes"),
    (PVALB, "fast downstroke"),
    (EXCITATORY, "high upstroke/downstroke"),
]
assert claims["true"].all()
for name in recorded:
    for claim in known:
        assert claims.loc[(name, *claim), ["agrees", "used"]].all(), claim
print("lose less than one percentage point, whether used or not:")
for name, kind, what in claims.index[claims["effect"] < 0.01]:
    print(f"- {name}: {what} of {kind}")

# %% [markdown]
# All of these models recognise Pvalb+ cells by the shape of the spike, as electrophysiologists do. They
# also agree with them that a high {term}`upstroke/downstroke ratio <upstroke>` speaks for excitatory
# cells. That these lose little when its gates close is no contradiction: a class that the model favours
# when it is shown nothing has little to lose ({doc}`09_gates`).
#
# If two claims go together, a model may need only one of them. The spikes of excitatory cells are broad
# *and* have a high ratio. Once the ratio is known, the duration adds little. What is lost without it is
# then so small that its direction is not reliable: wherever `agrees` is false, look at `effect`.
#
# The sag of Sst+ cells is another matter: look at how little it differs from that of all other cells.
# Sst+ cells are of several kinds, some of which resemble fast-spiking ones {cite}`ma2006`. A model that
# opens much the same few gates for every cell can do without the sag; gates closed cell by cell can keep
# it for those cells in which it says something.
#
# When a model ignores a feature from the textbook, that is the fault of neither. A feature can be typical
# of a class and still add nothing once the others are known.
#
# ## Cells that are unlike their class
#
# A {term}`Cre line` is an imperfect label ({doc}`03_cre_labels`). If the gates of a cell look like those
# of another class, perhaps it *is* of another class.
#
# For each held-out cell we look up the 25 training cells with the most similar gates, and count how
# many of them carry the same label (the column `alike` gives this as a share). The oddest cells are
# those for which hardly any does. Gates of different models cannot be compared, so this is about one
# model.

# %%
from lspin.explain import N_ALIKE, odd_cells

assert N_ALIKE == 25
chosen = held[FEW]
odd = odd_cells(chosen)
about_cell = ["class", "gates_like", "alike"]
about_cell += ["line_name", "dendrite_type", "layer"]
odd[about_cell].head(10).round(2)

# %% [markdown]
# *What might be wrong with these labels?* The table tells you where to look. On recorded cells, see
# whether you find cells of the Ndnf line in it, which is known for inhibitory cells of layer 1
# {cite}`tasic2018`: which layers do these come from, and what are their dendrites like?
#
# The dendrites are an independent witness, because neither the model nor the label has used them.
# Excitatory cells have {term}`spiny` dendrites; those of inhibitory cells carry few spines
# ({term}`sparsely spiny`) or none ({term}`aspiny`).
#
# ```{admonition} Predict before you run
# :class: tip
# If odd gates do point to wrong labels, what should be true of the dendrites of the 20 oddest cells,
# compared with all held-out cells?
# ```

# %%
from lspin.data import dendrites_contradict

contradicts = dendrites_contradict(odd["dendrite_type"], odd["class"])
print("dendrites contradict the label in")
print(f"- {contradicts.mean():.0%} of all held-out cells")
print(f"- {contradicts.head(20).mean():.0%} of the 20 oddest")

# %%
print(recorded_on)
lists = tables["odd"].set_index(["model", "order"])
auc = lists["auc"].unstack("order")
by_gates, plain = "gates unlike the label", "low probability of the label"
assert auc.loc[FEW, by_gates] < auc.loc[FEW, plain]
lists.round(3)

# %% [markdown]
# The columns of the recorded table: `contradict` is the share of all cells whose dendrites contradict
# the label, and `contradict_among_10` is that share among the first ten of the list. `auc` (the area
# under the ROC curve, {term}`AUC`) is the chance that, of two cells, one contradicted by its dendrites
# and one not, the contradicted one is higher on the list.
#
# The second row of each model is the yardstick: a list sorted simply by the probability that the model
# gives to the label. Looking at gates is worth the trouble only where the list by gates is the better
# one. Gates that close in turn do not pass this test: both lists find many more doubtful labels than
# chance, but the plain one is the better.
#
# (On the synthetic {term}`twin`, cells whose dendrites contradict the label were drawn from quantiles of
# their own, so there is something to find. But no label is wrong there, and nothing follows from it.)
#
# ## One cell, one card
#
# All that we have for a cell fits on one card: the predicted class and the probabilities, the spike, the
# gates with the largest {term}`effect`, where the measured values lie among all cells, and the most
# similar cells of the predicted class. Here is the oddest of the cells whose spike is available:

# %% mystnb={"image": {"alt": "Card of one cell. Above: bars with the probability of each class, its spike over the range of spikes of the predicted class, and a list of the five most similar cells. Below: its strongest measurements with their values, a dot for the percentile of each among all cells, and bars for the probability lost when the gate is closed."}}
from lspin import load_spikes
from lspin.show import make_card, plot_card

spikes = load_spikes()
with_spike = odd.index[odd.index.isin(spikes.waveform_mv.index)]
plot_card(make_card(chosen, with_spike[0], spikes))
plt.show()

# %% [markdown]
# And here is the least odd one, as text. In a terminal, `lspin explain` and a specimen id print this for
# any cell, from a model that is trained on the spot without that cell's donor;
# `--figure card.png` draws it.

# %%
print(make_card(chosen, odd.index[-1]))

# %% [markdown]
# Here are the hundred oddest cells, the oddest first. Compare one with its class or with the class that
# its gates are like, and close its gates: does the answer depend on one measurement?

# %%
from lspin.show import explore

oddest = odd.index[:100]
shown = chosen.select(oddest)
explore(shown, spikes, selected=oddest[0], source=cells.banner())

# %% [markdown]
# ## Take-away
#
# - One mask means that nothing else was *used*. It does not mean that nothing else was *read*.
# - Which gates are open gives most of the prediction away. Only gates that are the same for all cells
#   cannot.
# - Check reasons against what is known, and report what the model ignores as well as what it uses.
# - A list of odd cells is worth its trouble only if it beats the plain probability of the label. Ours
#   finds doubtful labels, but does not beat it.
#
# ## Self-check
#
# **1.** A forest that sees only which gates are open predicts the class nearly as well as the model.
# Does this prove that the predictors read a code?
#
# ```{dropdown} Answer
# No. It shows that the mask carries the message, not that the predictors read it. To find out whether
# they do, feed them with the gates of one cell and the values of another.
# ```
#
# **2.** A model behind the gates of cell A receives the values of cell B. Which class will it predict if
# it reads the values, and which if it reads a code?
#
# ```{dropdown} Answer
# If it reads the values, it will often predict the class of B, although the gates suit A. If it reads a
# code, it will predict the class of A and not mind whose values are behind the gates.
# ```
#
# **3.** Why can gates that are the same for all cells not leak?
#
# ```{dropdown} Answer
# A message needs at least two different masks. If every cell has the same mask, then knowing the mask
# tells you nothing about the cell. The price is that the reasons cannot differ from cell to cell.
# ```
#
# **4.** A class is known for a certain feature, and in the cells the feature does differ. The model
# hardly uses it. Name a reason that is no fault of the model.
#
# ```{dropdown} Answer
# Another measurement may say the same and more, as the ratio of the slopes does beside the duration of
# the spike. Or the difference is real but so small that it does not help to tell cells apart.
# ```
#
# **5.** The dendrites contradict the label of many of the cells with the oddest gates. What do you have
# to compare with before you praise the gates?
#
# ```{dropdown} Answer
# First, how often dendrites contradict the label among all cells. Second, a list by the probability
# that the model gives to the label, which needs no gates at all. Only what the gates add beyond that is
# to their credit.
# ```
#
# ## Exercises
#
# **1. Warm-up.** A model has five open gates in each cell, the same five for all cells. How much of the
# prediction can a forest read in the gates alone? And how much if the gates are closed cell by cell?
# *On the twin: the same.*
#
# ```{dropdown} Solution
# Nothing: a mask that is the same for all says nothing about any, so the forest can only name the
# largest class. If gates are closed cell by cell, see *gates alone* in the first table.
# ```

# %% [markdown]
# **2. Core.** Reasons change with the {term}`seed` ({doc}`10_faithful`). Does the list of odd cells
# change as well? Train the first model again with another seed, rank the cells, and count how many of
# the 20 oddest are on both lists. *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# `train_on` trains on the same cells, and `odd_cells` treats the second model like the first. If the
# lists agree far better than chance, then the *suspicion* is about the cell, although the reasons for
# it are not unique.
# ```

# %% tags=["hide-cell", "remove-stderr"]
from dataclasses import replace

from lspin.explain import train_on

second = train_on(chosen.seen, models[FEW], random_state=1)
odd_again = odd_cells(replace(chosen, pipeline=second))
on_both = odd.index[:20].intersection(odd_again.index[:20])
by_chance = 20 * 20 / len(odd)
print(f"{len(on_both)} of 20 are on both lists; by chance: {by_chance:.1f}")
assert len(on_both) > by_chance

# %% [markdown]
# **3. Open.** Somebody proposes to clean the data: give the 20 oddest cells of each fold the label that
# their gates suggest, train again, and report the new accuracy. What is wrong with that, and what would
# you do instead? *Needs recorded cells.*
#
# ```{dropdown} Solution
# There is no single answer. A good one sees that the new labels come from the model, so the accuracy
# must rise whether or not they are right; the test cells, at least, have to keep labels that the model
# had no part in. Instead it looks for witnesses that are independent of the model: dendrites, the layer,
# and best of all the RNA of the cell ({doc}`03_cre_labels`). It reports how many of the suspected cells
# they confirm, compared with as many cells drawn at random and with the list by plain probability.
# ```

# %% [markdown]
# ## What's next?
#
# You know now what a prediction and its reasons are worth. {doc}`12_own_cell` starts from a recording
# of your own.
#
# You have also seen which reasons hold. Try to make them hold better: with more open gates or global
# ones ({doc}`06_how_many`), with inputs in which every group is represented once ({doc}`02_features`),
# or with another table of cells ({doc}`01_fetching_cells`).
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
