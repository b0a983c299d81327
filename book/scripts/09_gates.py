# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which measurements made the model call this cell Pvalb+?
#
# ## Overview
#
# A trained {term}`LSPIN` {cite}`yang2022lspin,ophir2023` answers this question for each cell
# separately: it shows the few {term}`gates <gate>` that it left open for that cell. The prediction is
# computed from these measurements and from no others, although the choice of gates was made with all
# measurements in view. In this chapter we read the gates, first of one cell, then of whole classes,
# and then of any cell you click on. After that we ask how far to trust them, because an explanation
# that looks good is not always right.
#
# ## After this chapter you can
#
# - read the open gates of a cell and the effect of closing each one;
# - show that a prediction uses nothing but the measurements behind open gates;
# - say how much of a prediction is there before the model sees any measurement;
# - compare the gates of different classes, and tell local gates from common ones;
# - name three things that gates do not tell you.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Gates, and why some stay closed | Necessary | {doc}`05_training` |
# | What the measurements mean | Necessary | {doc}`02_features` |
# | Donors never straddle a split | Necessary | {doc}`01_fetching_cells` |
# | Jaccard index of two sets | Helpful | explained below |
#
# ## Time to learn
#
# - **Reading**: 30 minutes
# - **Exercises**: 20 minutes

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
# ## Train on some donors, explain others
#
# A network can memorise the cells it was trained on, and for a memorised cell almost any gate will
# do. So we only explain cells of {term}`donors <donor>` that the model has never seen.
#
# The model leaves five gates open in each cell (`max_open=5`, see {doc}`05_training`): a short
# explanation is easier to read than a long one.

# %% tags=["remove-stderr"]
from lspin import LSPINClassifier
from lspin.explain import hold_out

model = LSPINClassifier(max_open=5)
(held,) = hold_out(cells, model, n_folds=1)
assert not set(held.seen.donors) & set(held.cells.donors)
is_right = held.predicted == held.cells.y
print(f"{len(held.cells)} held-out cells, accuracy {is_right.mean():.3f}")

# %% [markdown]
# `explain_cells` returns two tables. The first has a row for each cell and says what the model
# predicted. The second has a row for each cell and measurement and says what the model did with it.

# %%
from lspin.explain import explain_cells

predictions, gates = explain_cells(held)
predictions.head(3).round(2)

# %%
gates.head(3).round(2)

# %% [markdown]
# The columns of the second table:
#
# | column | meaning |
# | --- | --- |
# | `value` | what was measured, in its unit; empty if it was not measured |
# | `z` | the same, in standard deviations from the mean of the training cells |
# | `gate` | 1 if the gate is open; where it is 0, the prediction did not use the value |
# | `effect` | how much probability the predicted class loses when this gate alone is closed |
#
# Closing a gate puts the mean of the training cells in place of the measurement. The {term}`effect`
# is therefore measured by experiment: close the gate, predict again, and see what has changed.
#
# ## One cell
#
# Take the Pvalb+ cells that the model recognised as Pvalb+. Of these, pick the one whose probability
# is in the middle: neither the best example nor the worst.

# %%
from lspin.explain import open_gates_of

hits = predictions.query("`class` == predicted == 'Pvalb+'")
hits = hits["Pvalb+"].sort_values()
this_cell = hits.index[len(hits) // 2]
opened = open_gates_of(gates, this_cell)
print(f"cell {this_cell}: Pvalb+ with probability {hits[this_cell]:.0%}")
print(f"{len(opened)} of {held.Z.shape[1]} gates are open")

# %%
from lspin.features import FEATURES

named = opened.rename(index=lambda name: FEATURES[name].axis_label)
named.head(3).round(2)

# %% [markdown]
# These three are the short answer to the question in the title: the measurements on which the
# prediction "Pvalb+" depends most.
#
# An open gate alone is not yet a reason. It says that the model *looked* at a measurement, but not
# what the model made of it. A gate can be open and change little, because another measurement says
# the same. An effect can even be negative: then the measurement spoke against the class that won.
#
# ### In which order did the gates close?
#
# The model closed the gates of this cell one at a time. Each time it chose the gate whose
# {term}`closing` kept the prediction nearest to that of twelve networks that see every measurement.
# It stopped when five were left, but the order can be followed to the end, until no gate is open.
#
# `close_in_turn` returns the *place* of each gate in that order: place 1 closes last. (It also
# returns a cost, which we need further down.)

# %%
import pandas as pd
import torch

from lspin.model import close_in_turn

network = held.model.network_
with torch.no_grad():
    z = torch.tensor(held.Z.to_numpy())
    place, cost = close_in_turn(
        network.reader, z, network.expected(z), network.task
    )
place = pd.DataFrame(place.numpy(), held.Z.index, held.Z.columns)
assert ((place <= 5) == (held.gates > 0)).all(axis=None)

# %% [markdown]
# Now we list the five open gates of our cell by their place. The last column gives the probability
# of Pvalb+ when only this gate and those above it are open.

# %%
this = held.select([this_cell])
of_pvalb = list(held.model.classes_).index("Pvalb+")
place_of = place.loc[this_cell]
in_turn = named.assign(place=place_of[opened.index].to_numpy())
in_turn = in_turn.sort_values("place")
in_turn["with those above"] = [
    this.closing(place_of.to_numpy()[None] <= k)[0, of_pvalb]
    for k in in_turn["place"]
]
in_turn[["place", "effect", "with those above"]].round(2)

# %% mystnb={"image": {"alt": "Two panels side by side for one cell predicted to be Pvalb+, with a row for each of five measurements; the one whose gate closes last is at the top. Left: bars of how much probability of Pvalb+ is lost when the gate alone is closed. Right: dots joined by a line, the probability of Pvalb+ with the gates of this row and of all rows above it open, from the top row down to all five."}}
import matplotlib.pyplot as plt

from lspin.show import name_source

rows = in_turn.iloc[::-1]
fig, (left, right) = plt.subplots(
    1, 2, figsize=(8.5, 2.6), sharey=True, layout="constrained"
)
left.barh(rows.index, 100 * rows["effect"], color="0.3")
left.axvline(0, color="black", linewidth=0.8)
left.set_xlabel("P(Pvalb+) lost when this gate is closed\n(percentage points)")
right.plot(rows["with those above"], rows.index, "o-", color="0.3")
right.set(xlim=(-0.03, 1.03))
right.set_xlabel("P(Pvalb+) with this gate\nand those above it")
name_source(fig, f"Cell {this_cell}. {cells.banner()}")
plt.show()

# %% [markdown]
# The two panels answer two questions. On the left each gate is closed *alone*, while the other four
# stay open. On the right they close one after another, from the bottom row to the top.
#
# The answers can differ. Where two measurements say the same, closing one of them does little,
# because the other is still there; yet one of the two has to stay open to the end.
#
# ### Checking the effect by hand
#
# Is the effect really what it claims to be? We close the gate with the largest one and predict
# again.

# %%
import numpy as np

first = opened.index[0]
before = predictions.loc[this_cell, "Pvalb+"]
after = this.closing(held.Z.columns != first)[0, of_pvalb]
assert np.isclose(before - after, opened.loc[first, "effect"])
print(f"without {FEATURES[first].label}: {before:.1%} -> {after:.1%}")

# %% [markdown]
# And do the open gates account for the whole prediction? The model averages several
# {term}`predictors <predictor>`, but all of them sit behind {term}`one mask`. So we let only the open
# gates through, for all held-out cells at once. Not a single probability changes:

# %%
only_open = held.closing(held.gates > 0)
assert np.allclose(only_open, held.probability)
change = abs(only_open - held.probability).max()
print(f"largest change of a probability: {change:.6f}")

# %% [markdown]
# ## And if no gate is open?
#
# Every cell has five open gates, whether it is easy or hard to recognise, so every prediction can be
# traced to measurements with a name. But how much of it? With *all* gates closed the predictors see
# the mean of all cells, whichever cell it is, and so every cell gets the same probabilities.
#
# ```{admonition} Predict before you run
# :class: tip
# A model that is shown nothing still has to give five probabilities. Will they be equal? If not,
# which class do you expect it to favour, and why?
# ```
#
# The table compares them with the probabilities that cells get with their gates as they are:

# %%
n_open = (gates["gate"] > 0).groupby("specimen_id").sum()
assert (n_open == model.max_open).all()
closed = held.closing(np.zeros(held.Z.shape[1], dtype=bool))
predicted = predictions["predicted"]
winning = pd.Series(held.probability.max(axis=1), held.Z.index)
of_class = pd.DataFrame(
    {
        "cells": predicted.value_counts(),
        "probability": winning.groupby(predicted).mean(),
        "all gates closed": pd.Series(closed[0], held.model.classes_),
    }
).rename_axis("predicted class")
favoured = of_class["all gates closed"].idxmax()
print(f"largest class in training: {held.seen.y.mode()[0]}")
print(f"favoured with all gates closed: {favoured}")
of_class.dropna().round(2)

# %% mystnb={"image": {"alt": "Dots, with a row per predicted class. Filled dots are the mean probability of the class with the gates as they are, open dots the probability with all gates closed. The filled dots lie to the right of the open ones, which add up to one over the classes."}}
rows = of_class.dropna().iloc[::-1]
names = rows.index
fig, ax = plt.subplots(figsize=(7.5, 2.4), layout="constrained")
ax.hlines(names, rows["all gates closed"], rows["probability"], color="0.7")
ax.plot(rows["probability"], names, "ko", label="gates as they are")
ax.plot(rows["all gates closed"], names, "ko", mfc="white", label="all closed")
ax.set(xlabel="mean probability of the class", ylabel="predicted class")
ax.set_xlim(-0.03, 1.03)
fig.legend(loc="outside right upper", frameon=False)
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# The open circles add up to one over the five classes. Where one lies far to the right, the model
# predicts this class *unless it is shown something else*: for such a cell, the measurements confirm a
# prediction that was half made already. Where it lies far to the left, the five measurements make nearly
# all of the prediction.
#
# So compare effects within a class rather than between classes. A class that is the default
# prediction has less to lose when a gate closes, and that does not make its measurements any less
# typical.
#
# One more thing is there before any value is seen: *which* five gates are open. The predictors were
# trained behind random masks, so they have not learned to make anything of it. But the networks that
# guide the closing have read all measurements, and somebody who looks at the mask may guess what they
# predict. {doc}`11_useful` measures how much of the prediction can be read from it.
#
# ### Fewer gates for easy cells
#
# Five for every cell is a limit that we chose. You can set a penalty for each open gate instead
# (`LSPINClassifier(lam=1.0)`; `lam` is {term}`lambda`). A gate then closes if the prediction suffers
# less than the penalty, so each cell keeps as many gates as it needs.
#
# No new training is needed, because the order of closing stays the same. For every number of open
# gates, `cost` says how far the prediction is from that of the networks that see everything, as a
# {term}`cross-entropy`. We add the penalty and take the number with the smallest sum:

# %%
d = held.Z.shape[1]
penalty = 1.0 * torch.arange(d + 1) / d
needed = pd.Series((cost + penalty).argmin(dim=1).numpy(), held.Z.index)
table = needed.groupby(predicted).describe()[["count", "min", "50%", "max"]]
print(f"fewest open gates in the median cell: {table['50%'].idxmin()}")
table.astype(int)

# %% [markdown]
# ## The gates of a class
#
# Are cells of one predicted class recognised for the same reasons? For each class we take the cells
# that the model assigned to it, and count in what share of them each gate was open. The rows are the
# fifteen gates that are open most often.

# %%
share = (gates["gate"] > 0).unstack("feature")
by_class = share.groupby(predicted).mean().T
often = by_class.loc[share.mean().nlargest(15).index]

# %% mystnb={"image": {"alt": "Heatmap with fifteen measurements as rows and the five predicted classes as columns. Each square gives the share of cells in which the gate was open; darker is more often. Few rows are dark throughout; most are dark for some classes and white for others."}}
fig, ax = plt.subplots(figsize=(7, 5.2), layout="constrained")
image = ax.imshow(often, cmap="Greys", vmin=0, vmax=1, aspect="auto")
ax.set_xticks(range(often.shape[1]), often.columns, rotation=20)
labels = [FEATURES[name].label for name in often.index]
ax.set_yticks(range(len(often)), labels)
for (i, j), value in np.ndenumerate(often.to_numpy()):
    color = "white" if value > 0.5 else "black"
    ax.text(j, i, f"{value:.0%}", ha="center", va="center", color=color)
ax.set_xlabel("predicted class")
fig.colorbar(image, label="share of cells with this gate open")
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# Read it along the rows. A row with the same shade everywhere is a measurement that the model
# consults whatever the cell. Rows that change from column to column are the *local* part of LSPIN:
# the model looks at different measurements in cells of different classes. Of the fifteen rows, these
# three change most:

# %%
spread = often.max(axis=1) - often.min(axis=1)
for name in spread.nlargest(3).index:
    most, least = often.loc[name].idxmax(), often.loc[name].idxmin()
    print(
        f"{FEATURES[name].label}: open in {often.loc[name, most]:.0%} "
        f"of {most}, {often.loc[name, least]:.0%} of {least}"
    )

# %% [markdown]
# How many gates are local at all?

# %%
is_open = held.gates > 0
always, never = is_open.all(axis=0), ~is_open.any(axis=0)
local = ~always & ~never
print(f"{local.sum()} gates are open in some cells and closed in others,")
print(f"{always.sum()} are always open, {never.sum()} never")

# %% [markdown]
# ## Any cell: click one, and close its gates yourself
#
# Below are some 30 held-out cells of each class. Click a cell, or choose it from the list. Try cells
# that lie among those of another class, and look for one that the model got wrong: the filter finds
# them.
#
# Then move the slider to the left. Gates close in the model's own order, and the answer is predicted
# again from what is left. Or close any gate by hand, with its box. *Predict first:* how many
# measurements does this cell need? The page carries the predictors of the model, so it needs no Python
# behind it, and these answers are the model's own.

# %%
from lspin import load_spikes
from lspin.show import explore

shown = (
    held.cells.y.sample(frac=1, random_state=0)
    .groupby(held.cells.y)
    .head(30)
    .index
)
shown = shown.union([this_cell])
spikes = load_spikes()
shown = held.select(shown)
explore(shown, spikes, selected=this_cell, source=cells.banner())

# %% [markdown]
# ## How few gates are enough?
#
# What you can do to one cell can be done to all of them at once. We close gates in two orders: those
# with the smallest effect first, and in turn, the order in which the model closes them itself.
#
# ```{admonition} Predict before you run
# :class: tip
# The effects were measured while all five gates were open. When four of them have been closed, which
# of the two orders will have kept the better last gate?
# ```

# %%
size = abs(held.own_effects)
orders = {
    "in turn": place.to_numpy(),
    "smallest effect first": (-size).argsort(axis=1).argsort(axis=1) + 1,
}
rows = {}
for n_left in range(5, 0, -1):
    for name, rank in orders.items():
        winner = held.closing(rank <= n_left).argmax(axis=1)
        now = held.model.classes_[winner]
        rows[n_left, name, "unchanged"] = np.mean(now == held.predicted)
        rows[n_left, name, "accuracy"] = np.mean(now == held.cells.y)
table = pd.Series(rows).unstack([1, 2]).rename_axis("gates left")
table.sort_index(ascending=False).round(3)

# %% [markdown]
# (*unchanged* is the share of cells whose predicted class is the same as with five gates.)
#
# An effect is measured while all other open gates stay open. As long as most of them do, it is a good
# guide; once only one or two are left, it is out of date. Closing gates in turn avoids this, because
# it measures again after every step.
#
# ## What the gates do not tell
#
# **They are the model's reasons, not the neuron's.** A cell that the model gets wrong has open gates
# too.
#
# ```{admonition} Predict before you run
# :class: tip
# Will the largest effect of a wrong prediction be much smaller than that of a right one, so that
# you could tell the two apart by their gates?
# ```

# %%
largest = gates["effect"].groupby("specimen_id").max()
for name, mask in (("right", is_right), ("wrong", ~is_right)):
    low, middle, high = largest[mask].quantile([0.25, 0.5, 0.75])
    print(
        f"{mask.sum()} {name} predictions: the largest effect is "
        f"{middle:.0%} (median; half of them {low:.0%} to {high:.0%})"
    )

# %% [markdown]
# Wrong predictions come with reasons, too, and the effects are not smaller. They may even be larger than
# those of right predictions, as on recorded cells. One cause we have met: many of the right predictions
# are of the class that the model favours anyway, and those have little to lose. Another is that a wrong
# prediction is often a close one, which a single gate can tip.
#
# But the two ranges overlap. If you saw one of these cells alone, neither the gates nor the size of their
# effects would tell you that the prediction is wrong.
#
# **A closed gate was still read.** The predictors see only what the gates let through, but the
# networks whose prediction is to be kept see *all* measurements. "Five measurements are enough to give
# the answer that all of them give" does not mean "it would have been enough to record these five".
#
# **A closed gate is no verdict on a measurement.** A value near the mean closes early, because the
# mean takes its place and nothing changes. In another cell of the same type the same measurement may
# matter. What is *sufficient for this cell* need not be all that is *relevant for cells like it*.
#
# ## Would another seed give other reasons?
#
# We train a second model on the same cells and change nothing but the {term}`seed`. Then we compare
# what the two models give as reasons for the same cell: first the *open gates*, then the *three
# strongest*, which are the three measurements with the largest effect.
#
# Two sets are compared by their {term}`Jaccard index`: the number of measurements in both, divided by
# the number in either. To know what to make of the result, we also compare sets that should *not*
# agree:
#
# - the second set is that of another cell with the same predicted class;
# - the second set is that of any other cell;
# - the second set is as large as before, but drawn at random.
#
# ```{admonition} Predict before you run
# :class: tip
# Of the five open gates of a cell, how many will be open in the second model too? And how many would
# be shared with a different cell of the same predicted class?
# ```

# %% tags=["remove-stderr"]
from dataclasses import replace

from lspin.explain import train_on

second_model = train_on(held.seen, model, random_state=1)
again = replace(held, pipeline=second_model)
same = np.mean(again.predicted == held.predicted)
print(f"the two models predict the same class for {same:.0%} of cells")
assert same > 0.8

# %%
from lspin.explain import jaccard, open_sets, strongest_sets

rng = np.random.default_rng(0)
anyone = rng.permutation(len(held.cells))
row = pd.Series(np.arange(len(held.cells)), index=held.cells.y.index)
same_class = row.groupby(predicted).transform(rng.permutation)

overlap = {}
for name, sets in (
    ("open gates", open_sets),
    ("three strongest", strongest_sets),
):
    a, b = sets(held), sets(again)
    second = {
        "the same cell": b,
        "another cell, same class": b[same_class],
        "any other cell": b[anyone],
        "chance": rng.permuted(b, axis=1),
    }
    overlap[name] = {
        of: np.nanmean(jaccard(a, other)) for of, other in second.items()
    }

# %%
overlap = pd.DataFrame(overlap)
strongest = overlap["three strongest"]
same_cell = strongest["the same cell"]
assert strongest["another cell, same class"] < same_cell < 0.8
shared = (open_sets(held) & open_sets(again)).sum(axis=1).mean()
print(f"of five open gates, {shared:.1f} are open in both models (mean)")
overlap.round(2)

# %% mystnb={"image": {"alt": "Two bar charts of the mean Jaccard index of the reasons of two models, for the same cell, another cell with the same predicted class, any other cell, and chance. In both panels the bar of the same cell is the longest; another cell of the same class, any other cell, and chance follow, each shorter than the one before."}}
fig, axes = plt.subplots(
    1, 2, figsize=(8, 2.2), sharey=True, layout="constrained"
)
for ax, name in zip(axes, overlap, strict=True):
    ax.barh(overlap.index[::-1], overlap[name].iloc[::-1], color="0.4")
    ax.set(title=name, xlabel="Jaccard index, two seeds", xlim=(0, 1))
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# Read each panel from the top. Two models agree about the same cell in good part, but not entirely. Many
# measurements of a neuron say the same thing, and where two do, small differences between two trainings
# decide which of them is closed. So read the reasons of a cell as *measurements that were enough for this
# model*, not as *the measurements that matter*.
#
# Then compare the first bar with the second. If the two were equally long, the gates would tell you
# about the *class* and nothing about the cell. The first is longer: the gates were closed for this
# cell, by its own values.
#
# {doc}`10_faithful` asks the same question with more care, and counts measurements that say the same
# as one.
#
# ## Take-away
#
# - Explain cells of donors that the model has not seen.
# - There is one mask: the prediction uses what its open gates let through and nothing else.
# - Gates close in an order, and any limit is a cut through it. With a penalty instead of a limit,
#   easy cells keep fewer gates.
# - An open gate says that the model looked; the effect of closing it says what the model made of it.
# - Ask what the model predicts with all gates closed: that part of a prediction needs no reasons.
# - Wrong predictions come with reasons, too. Gates explain the model, and the model may be wrong.
# - Before you believe a reason, change the seed, and compare with chance and with other cells.
#
# ## Self-check
#
# **1.** The gate of a measurement is open, and yet its effect is almost zero. How can that be?
#
# ```{dropdown} Answer
# Another open gate may say the same, so that closing only one of the two costs nothing. The effect is
# measured with all other gates as they are. An open gate shows that the model looked, not what the
# measurement did.
# ```
#
# **2.** You let only the open gates through, and no probability changes. What have you shown, and
# what have you not shown?
#
# ```{dropdown} Answer
# The predictors used nothing but the measurements behind open gates. You have not shown that the
# other measurements were unnecessary: they were read when the gates of this cell were chosen.
# ```
#
# **3.** In cells predicted to be class A, closing any gate costs less probability than in cells
# predicted to be class B. Are the measurements of A less typical of their class?
#
# ```{dropdown} Answer
# Not necessarily. If the model favours A when all gates are closed, then A is its default prediction
# and has little to lose. Compare effects within a class, or look at the probability with all gates
# closed first.
# ```
#
# **4.** In the heatmap one gate is open in nearly all cells of every class, another in nearly all
# Vip+ cells and hardly any others. Which of the two is local, and what does it tell you?
#
# ```{dropdown} Answer
# The second one is local: whether the model looks at it depends on the cell. It tells you that the
# model uses it for cells that it takes for Vip+. It does not yet tell you whether high or low values
# speak for the class.
# ```
#
# **5.** Two models, trained with different seeds, share half of their open gates for the same cell.
# What else must you know before you call that stable?
#
# ```{dropdown} Answer
# How much they would share for sets drawn at random, and for *another* cell of the same predicted
# class. Only what goes beyond the second figure is about this cell; a model that opens the same five
# gates whatever the cell would agree with itself perfectly.
# ```
#
# ## Exercises
#
# **1. Warm-up.** Is the gate that closes last also the one with the largest effect? In what share of
# the held-out cells? *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# Compare the two for each cell. If the order of closing and the effect were the same thing, the share
# would be one; if they had nothing to do with each other, it would be one in five. They are related,
# and they differ where measurements share what they say.
# ```

# %% tags=["hide-cell"]
largest_effect = held.Z.columns[held.own_effects.argmax(axis=1)]
is_same = place.idxmin(axis=1) == largest_effect
print(
    f"the gate that closes last has the largest effect in "
    f"{is_same.mean():.0%} of cells; if the two were unrelated, "
    f"it would be {1 / model.max_open:.0%}"
)

# %% [markdown]
# **2. Core.** Take the cells that the model got wrong. For how many of them is there *one* gate without
# which the prediction would have been right? *On the twin: it runs, but the answer says nothing about
# real cells.*
#
# ```{dropdown} Solution
# Close every gate by itself, for all wrong cells at once, and note which of them change to the right
# class. Such a gate points to a measurement worth looking at in the recording. But beware: with
# several gates to try, the prediction for a cell close to the boundary between two classes flips whatever
# you close.
# ```

# %% tags=["hide-cell"]
wrong = held.select(~is_right)
repaired = np.zeros(len(wrong.cells), dtype=bool)
for name in wrong.Z.columns:
    winner = wrong.closing(wrong.Z.columns != name).argmax(axis=1)
    repaired |= wrong.model.classes_[winner] == wrong.cells.y
print(
    f"{repaired.sum()} of {len(repaired)} wrong predictions "
    "become right when one gate is closed"
)

# %% [markdown]
# **3. Open.** A colleague has seen the heatmap and suggests a shorter recording protocol: measure only
# what is open in at least a tenth of the cells of some class. How would you find out whether that is
# a good idea? *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# There is no single answer. A good one says that a gate which is closed here was still read when the
# gates were chosen, so the heatmap cannot settle the question. It trains a new model on the shorter
# table, chooses the measurements inside the training donors only, and compares the two models on the
# same held-out donors, class by class. It repeats this with several seeds, because the list of
# measurements changes with them, and it counts what is really saved: several measurements come from
# the same stimulus, so dropping one of them may save nothing.
# ```

# %% [markdown]
# ## What's next?
#
# You have gone from a table of recordings to the reasons for a single prediction. {doc}`10_faithful`
# tests these reasons. (How all of these models could be trained while you waited, and how to train a
# thousand more, is in {doc}`speed`.)
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
