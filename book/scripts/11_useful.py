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
# {doc}`10_faithful` asked whether open gates are the reasons of a prediction. Two questions are left
# before anybody uses them. Are they *sealed*: or does the pattern of open gates carry the answer past
# the measurements? And do they *make sense*: does the model recognise a class by what electrophysiology
# knows of it? Then the reasons are put to use: we look for cells whose label may be wrong, and write the
# card of a single cell.
#
# ## After this chapter you can
#
# - say how a mask can carry a message, and test a model for it with parts of different cells;
# - tell what the model reads off its mask from what anybody could read off it;
# - check a fingerprint of a class against what is known about it;
# - rank cells by how odd their gates are, and judge the list against a plain one;
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
# - **Exercises**: 10 minutes

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
# ## Two models on the stand
#
# We examine two models: one closes the gates of each cell in turn until *five* are open, the other
# opens five by *gating networks*. As always, the cells that we explain are of donors that the models
# have never met: one fifth of them.

# %% tags=["remove-stderr"]
import numpy as np

from lspin.explain import hold_out
from lspin.studies import examined

FEW, _, NETWORK = models = examined()
held = {name: hold_out(cells, models[name], n_folds=1)[0] for name in (FEW, NETWORK)}
for name, h in held.items():
    print(f"{name}: accuracy {np.mean(h.called == h.cells.y):.3f}")

# %% [markdown]
# The same questions, asked of all five folds and of one more model, which leaves eight gates open,
# were answered beforehand on recorded cells. These figures are shown beside the quick ones, whatever
# source you run this chapter on.

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
# The predictors see only what the gates let through, but what decides about gates sees everything. A gating
# network could guess the class by itself and pass the guess on in code: *open the first gate for Pvalb+, the
# second for Sst+*, whatever is behind them. The predictors would read the code, the answer would be
# right, and the open gates would be no reasons at all. This is a known weakness of models that
# select features per sample {cite}`jethani2021,oosterhuis2024`. Where gates close in turn no predictor can
# have learned a code, because all it was trained behind are random masks. Yet a mask may still tell the
# class to somebody who looks at it. So we must look.
#
# First we ask **the model itself**, by feeding its predictors with parts of different cells. If they
# read a code, they will be misled by the gates of another cell, and will not mind the values of
# another cell. If they read the values, it is the other way round.
#
# Then we ask **a random forest**, trained from scratch on the training cells to tell the class from
# the gates alone: how much is there to be read, whether or not the predictor reads it?

# %%
import pandas as pd

from lspin.explain import leakage

leaks = pd.concat([leakage([h]).assign(model=name) for name, h in held.items()])
leaks.pivot_table("accuracy", ["reader", "reads"], "model", sort=False).round(3)

# %% [markdown]
# The other rows of the forest are about the selected values. *Selected values* are the measurements
# times their gates, as the predictor gets them: a zero shows that a gate is closed, so a code could
# still be read. The forest *trained on random selections* has never seen the gates' own selections
# and so cannot have learned any code; what it gets right comes from the values
# {cite}`jethani2021`.

# %%
print(recorded_on)
leaks = tables["leakage"]
leaks.pivot_table("accuracy", "reads", "model", sort=False).round(3)

# %% mystnb={"image": {"alt": "Dots with intervals for each model and for one with global gates: accuracy as they are, with the mean gates of all cells, with the gates of another cell, with the values of another cell, and of a forest that sees the gates alone; a dotted line marks the accuracy of always naming the largest class. With local gates, the gates alone nearly reach the accuracy of the model itself, and exchanged gates cost much; with global gates, the gates alone are on the dotted line and exchanging them costs nothing."}}
import matplotlib.pyplot as plt

from lspin.explain import GATES_ALONE, MEAN_GATES, NOTHING, OTHER_GATES, OTHER_VALUES, OWN
from lspin.show import name_source

of_model = leaks.set_index(["model", "reads"])
shown = [OWN, MEAN_GATES, OTHER_GATES, OTHER_VALUES, GATES_ALONE]
COLORS = ("black", "0.6", "#CC79A7", "#0072B2")
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
names = [*recorded, f"{FEW}, global"]
for k, (name, marker) in enumerate(zip(names, "osD^", strict=False)):
    rows, y = of_model.loc[name].loc[shown], np.arange(len(shown)) + 0.2 * k - 0.3
    color = COLORS[k]
    ax.hlines(y, rows["low"], rows["high"], color=color)
    ax.plot(rows["accuracy"], y, marker, color=color, label=name)
ax.axvline(of_model.loc[(f"{FEW}, global", NOTHING), "accuracy"], color="0.6", ls=":")
ax.set_yticks(range(len(shown)), [*shown[:-1], f"{GATES_ALONE}, read by a forest"], fontsize=8)
ax.invert_yaxis()
ax.set(xlabel="accuracy on held-out donors", xlim=(0, 1))
ax.legend(frameon=False, fontsize=8, loc="upper left")
name_source(fig, recorded_on)
plt.show()

# %%
from lspin.studies import sealed

accuracy = of_model["accuracy"].unstack("model")[[*recorded, *sealed()]]
floor = accuracy.loc[NOTHING]
beyond = (accuracy - floor) / (accuracy.loc[OWN] - floor)
answer = {
    "accuracy": accuracy.loc[OWN],
    "share in the gates": beyond.loc[GATES_ALONE],
    "left with another cell's values": beyond.loc[OTHER_VALUES],
    "left with another cell's gates": beyond.loc[OTHER_GATES],
    "left with mean gates": beyond.loc[MEAN_GATES],
}
# The same gates for all cells say nothing of any.
assert (answer["share in the gates"][[*sealed()]] == 0).all()
# No model answers from its mask alone.
assert (beyond.loc[OTHER_VALUES] < 0.1).all()
pd.DataFrame(answer).round(2)

# %% [markdown]
# *Share in the gates*: of what the model gets right beyond always naming the largest class, how much
# can be read off the gates alone. The other columns are what the model itself keeps, of the same, when
# it is fed with parts of different cells. So there are two answers, and both are needed.
#
# **Most of the answer can be read off the mask**, of gates closed in turn as of those that networks opened. A
# forest that never sees a value, and only learns which gates are open, gets most of the way to the
# accuracy of the model itself. Do not take *only five gates are open* to mean *only five numbers were
# used*: which five they are is a message, too, and it was written by networks that had read everything.
#
# **No model answers from its mask alone.** With the values of another cell behind its gates, it answers no
# better than by naming the largest class. With its own values behind the gates of another cell, or behind
# the *mean gates of all cells*, which carry no message, it keeps a part and loses a part. This is the most
# that a code can be worth. It need not be one, and is none where gates close in turn: a gate that is open
# where a measurement is needed is what local selection is for.
#
# **There is a way without a code.** Of many measurements, those can be left open that happen to point to
# the answer. Closing gates in turn does this openly: it knows the answer of the networks that see
# everything, and looks for the few values that say it best.
#
# So what is *five open gates* worth, as an explanation? This much: whatever the predictors made of
# the cell's own values, they made of these. It does not say that the others were not needed to get
# there, or that measuring only these five would do. If that matters to you more than reasons that differ
# from cell to cell, use `LSPINClassifier(max_open=5, gating="global")`, known as STG {cite}`yamada2020`:
# one set of gates for all cells cannot carry a message about any. What that costs is in the table.
#
# ## What does electrophysiology say?
#
# A reason can be faithful to the model and still be nonsense about neurons. The classes of this book
# are well known, so we can check. The **fingerprint** of a class lists what its cells lose when a
# gate is closed, and in which *direction* the measurement works: a plus sign says that higher values
# speak for the class, a minus sign that lower ones do.

# %% mystnb={"image": {"alt": "Five bar charts, one per class, of the six measurements with the largest mean effect, with intervals. Each is marked by plus or minus for its direction. Glutamatergic cells lean on high upstroke to downstroke ratios, Pvalb-positive cells on low ratios and steep f-I slopes."}}
from lspin.features import FEATURES

marks = tables["fingerprints"]
fig, axes = plt.subplots(3, 2, figsize=(9, 7), layout="constrained")
axes[-1, -1].set_axis_off()
for ax, (name, rows) in zip(
    axes.flat, marks[marks["model"] == recorded[0]].groupby("class"), strict=False
):
    rows = rows.nlargest(6, "effect").iloc[::-1]
    sign = np.where(rows["direction"] > 0, "+", "\N{MINUS SIGN}")
    labels = [f"{FEATURES[f].label}  {s}" for f, s in zip(rows["feature"], sign, strict=True)]
    below, above = rows["effect"] - rows["effect_low"], rows["effect_high"] - rows["effect"]
    error = 100 * np.array([below, above])
    ax.barh(labels, 100 * rows["effect"], xerr=error, color="0.6", error_kw={"lw": 1})
    ax.set_title(f"called {name}", fontsize=10)
    ax.tick_params(axis="y", labelsize=8)
    ax.set_xlabel("probability lost (percentage points)", fontsize=8)
name_source(fig, recorded_on)
plt.show()

# %% [markdown]
# Now for what was known before. Fast-spiking cells, most of which are Pvalb+, have narrow action
# potentials {cite}`hu2014` that fall nearly as fast as they rise, while those of excitatory cells
# are broad and rise about four times as fast as they fall {cite}`mccormick1985`. Sst+ cells are
# described with a sag and a low rheobase: little current makes them fire {cite}`tremblay2016`. For
# each claim we ask three things: is it **true** of the cells, with no model involved; does the model
# **agree** on the direction; and is it **used**, that is, do cells called so lose probability when all
# measurements of the claim are closed at once? (`difference` is that of the medians of the class and
# of all other cells, in standard deviations; `effect` is the mean loss.)

# %%
from lspin.explain import check_claims

shown = ["difference", "direction", "effect", "true", "agrees", "used"]
both = {name: check_claims([held[name]]) for name in (FEW, NETWORK)}
pd.concat(both, names=["model"]).set_index(["class", "claim"], append=True)[shown].round(3)

# %%
print(recorded_on)
claims = tables["claims"].set_index(["model", "class", "claim"])
claims[["sign", *shown]].round(3)

# %%
assert claims["true"].all()
for name in recorded:
    for known in (("Pvalb+", "fast downstroke"), ("Glutamatergic", "high upstroke/downstroke")):
        assert claims.loc[(name, *known), ["agrees", "used"]].all(), (name, known)
    assert claims.loc[(name, "Pvalb+", "narrow spikes"), ["agrees", "used"]].all()
print("hardly used (less than one percentage point):")
for name, kind, what in claims.index[claims["effect"] < 0.01]:
    print(f"- {name}: {what} of {kind}")

# %% [markdown]
# The shape of the spike is what the models know Pvalb+ and excitatory cells by, as electrophysiologists
# do. Of two claims that go together, a model may make do with one. The spikes of excitatory cells are
# broad *and* rise steeply for their fall; whoever has weighed the slopes learns little more from the
# duration. So little is lost without it, and what is lost says nothing reliable about its direction:
# see whether `agrees` is false where `effect` is next to nothing. The sag of Sst+ cells is another
# matter: in these cells it differs from that of all others by little. Gating networks, which open much the
# same few gates for everybody, do without it; gates closed cell by cell leave it to those cells in which it
# says something.
# Sst+ cells are of several kinds, some of which resemble fast-spiking ones {cite}`ma2006`. A textbook
# feature that a model ignores is not a failure of either: a feature can be typical and still not tell
# cells apart, once the others are known.
#
# ## Cells that are unlike their class
#
# A Cre line is an imperfect label ({doc}`01_fetching_cells`). If the gates of a cell look like those
# of another class, perhaps it *is* of another class. For each held-out cell we look up the 25
# training cells with the most similar gates, and ask how many of them carry its label (*alike*).
# The oddest cells are those for which hardly any does. (Gates of different models do not compare, so
# this is about one model.)

# %%
from lspin.explain import N_ALIKE, odd_cells

assert N_ALIKE == 25
chosen = held[FEW]
odd = odd_cells(chosen)
odd[["class", "gates_like", "alike", "line_name", "dendrite_type", "layer"]].head(10).round(2)

# %% [markdown]
# *What might be wrong with this label?* The table says where to look. On recorded cells, see whether
# you find cells of the Ndnf line in it, which is known for inhibitory cells of layer 1
# {cite}`tasic2018`: from which layers do these come, and what are their dendrites like? The
# dendrites are a witness that neither the model nor the label has heard. Excitatory cells have spiny
# ones, inhibitory cells few spines or none.

# %%
from lspin.data import dendrites_contradict

contradicts = dendrites_contradict(odd["dendrite_type"], odd["class"])
print(f"dendrites contradict the label: {contradicts.mean():.0%} of all held-out cells,")
print(f"{contradicts.head(20).mean():.0%} of the 20 oddest")
print()
print(recorded_on)
tables["odd"].set_index(["model", "order"]).round(3)

# %% [markdown]
# `auc` is the chance that, of two cells, one contradicted by its dendrites and one not, the
# contradicted one is higher on the list; `contradict_among_10` is its share among the first ten. The
# second row of each model is the yardstick: a list sorted by the plain probability that the model
# gives to the label. Reasons are worth their trouble where the list by gates is the better one. (On
# the synthetic twin, cells whose dendrites contradict the label were drawn with their own quantiles,
# so there is something to find; but nobody's label is wrong there, and nothing follows from it.)
#
# ## One cell, one card
#
# All that we have for a cell fits on a card: the answer and its probabilities, the spike, the gates
# with the largest effect, where the measured values lie among all cells, and the most similar cells
# of the class that it was called by. Here is the oddest of the cells whose spike is at hand:

# %% mystnb={"image": {"alt": "Card of one cell. Above: bars with the probability of each class, its spike over the range of spikes of the class it was called by, and a list of the five most similar cells. Below: its strongest measurements with their values, a dot for the percentile of each among all cells, and bars for the probability lost when the gate is closed."}}
from lspin import load_spikes
from lspin.show import make_card, plot_card

spikes = load_spikes()
with_spike = odd.index[odd.index.isin(spikes.waveform_mv.index)]
plot_card(make_card(chosen, with_spike[0], spikes))
plt.show()

# %% [markdown]
# And the least odd one, as text. In a terminal, `lspin explain` and a specimen id print this for any
# cell, from a model that is trained on the spot without that cell's donor; `--figure card.png` draws
# it.

# %%
print(make_card(chosen, odd.index[-1]))

# %% [markdown]
# Here are the hundred oddest cells, the oddest first. Compare one with its class or with the class that
# its gates are like, and close its gates: does the answer hang on one measurement?

# %%
from lspin.show import explore

oddest = odd.index[:100]
shown = chosen.select(oddest)
explore(shown, spikes, selected=oddest[0], source=cells.banner())

# %% [markdown]
# ## Take-away
#
# - One mask means that nothing else was *used*. It does not mean that nothing else was *read*.
# - Which gates are open gives most of the answer away. Only gates that are the same for all cells
#   cannot.
# - Check against what is known, and report what the model ignores as well as what it uses.
# - A list of odd cells is worth its trouble only if it beats the plain probability of the label.
#
# ## Exercises
#
# **1.** A model has five open gates in each cell, the same for all cells. How much of the answer can a
# forest read off the gates alone? And how much if the gates are closed cell by cell?
#
# ```{dropdown} Solution
# Nothing: a mask that is the same for all says nothing about any, so the forest can only name the
# largest class. If gates close cell by cell, see *gates alone* in the tables above. A message needs at
# least two different masks.
# ```

# %% [markdown]
# **2.** Reasons change with the seed ({doc}`10_faithful`). Does the list of odd cells change as well?
# Train the first model again with another seed, rank the cells, and count how many of the 20 oddest are
# on both lists.
#
# ```{dropdown} Solution
# `train_on` trains on the same cells, and `odd_cells` takes the second model like the first. If the lists agree far
# better than chance, then the *suspicion* is about the cell, although the reasons for it are not
# unique.
# ```

# %% tags=["hide-cell", "remove-stderr"]
from dataclasses import replace

from lspin.explain import train_on

again = replace(chosen, pipeline=train_on(chosen.seen, models[FEW], random_state=1))
odd_again = odd_cells(again)
both = odd.index[:20].intersection(odd_again.index[:20])
print(f"{len(both)} of 20 are on both lists; by chance it would be {20 * 20 / len(odd):.1f}")
assert len(both) > 20 * 20 / len(odd)

# %% [markdown]
# ## What's next?
#
# You know now what an answer and its reasons are worth. {doc}`12_own_cell` starts from a recording of
# your own.
#
# You have seen which reasons survive. Try to make them survive better: more open gates or global ones
# ({doc}`06_how_many`), inputs in which every group is represented once ({doc}`02_features`), or
# another table of cells ({doc}`01_fetching_cells`).
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
