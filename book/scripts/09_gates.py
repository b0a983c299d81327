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
# A trained LSPIN {cite}`yang2022lspin,ophir2023` gives every cell its own answer to this question:
# the few gates that are open for that cell, and what comes of closing them. Nothing else goes into
# the prediction. In this chapter we read these gates, first for one cell, then for whole classes,
# and then for any cell you click. Then we ask what the answer is worth, because an explanation that
# looks good and one that is right are two things.
#
# ## After this chapter you can
#
# - read the open gates of a cell and the effect of closing each;
# - show that nothing but the open gates has a part in an answer;
# - say how much of an answer is there before any measurement is seen;
# - compare the gates of classes, and tell local from common ones;
# - name three things that gates do not tell.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Gates, and why some stay closed | Necessary | {doc}`05_training` |
# | What the measurements mean | Necessary | {doc}`02_features` |
# | Donors never straddle a split | Necessary | {doc}`01_fetching_cells` |
# | Jaccard overlap of two sets | Helpful | explained below |
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
# ## Fit on some donors, explain others
#
# A network can memorise the cells it was trained on, and for a memorised cell any gate will do. So
# the cells that we explain come from donors that the model has never met. The model leaves five gates
# of each cell open (`max_open=5`, see {doc}`05_training`): a short answer is easier to explain than a
# long one.

# %% tags=["remove-stderr"]
from lspin import LSPINClassifier
from lspin.explain import hold_out

model = LSPINClassifier(max_open=5)
(held,) = hold_out(cells, model, n_folds=1)
assert not set(held.seen.donors) & set(held.cells.donors)
is_right = held.called == held.cells.y
print(f"accuracy on {len(held.cells)} held-out cells: {is_right.mean():.3f}")

# %% [markdown]
# `explain_cells` writes down in two tables what the model predicted for each of them, and what it
# did with every measurement.

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
# | `value` | what was measured, in its unit; empty if it was not |
# | `z` | the same, in standard deviations from the mean of the training cells |
# | `gate` | 1 if the gate is open; where it is 0, the prediction did not use the value |
# | `effect` | how much probability the predicted class loses when this gate alone is closed |
#
# To close a gate is to put the mean of the training cells in the place of the measurement.
#
# ## One cell
#
# Take the cells that are Pvalb+ and were called Pvalb+, and of these the one whose probability is
# in the middle: neither the best example nor the worst.

# %%
from lspin.explain import open_gates_of

hits = predictions.query("`class` == 'Pvalb+' and predicted == 'Pvalb+'")
this_cell = hits["Pvalb+"].sort_values().index[len(hits) // 2]
opened = open_gates_of(gates, this_cell)
print(f"cell {this_cell}: Pvalb+ with probability {predictions.loc[this_cell, 'Pvalb+']:.0%}")
print(f"{len(opened)} of {held.Z.shape[1]} gates are open")

# %%
from lspin.features import FEATURES

named = opened.rename(index=lambda name: FEATURES[name].axis_label)
named.head(3).round(2)

# %% [markdown]
# These three are the short answer: the measurements that the name Pvalb+ leaned on most. An open
# gate alone is no reason. It says that the model *looked*, and not what it made of what it saw: a
# gate can be open and change little, because another measurement says the same, and an effect
# can be negative, when the measurement spoke against the class that won.
#
# ### In which order did its gates close?
#
# The model closed the gates of this cell one at a time, always the one whose closing kept the answer
# nearest to what twelve networks say that see everything. It stopped at five, but the order goes on,
# to the gate that would close last. `close_in_turn` tells the *place* of each gate: 1 closes last.

# %%
import pandas as pd
import torch

from lspin.model import close_in_turn

network = held.model.network_
with torch.no_grad():
    z = torch.tensor(held.Z.to_numpy())
    place, cost = close_in_turn(network.reader, z, network.expected(z), network.task)
place = pd.DataFrame(place.numpy(), held.Z.index, held.Z.columns)
assert ((place <= 5) == (held.gates > 0)).all(axis=None)

this = held.select([this_cell])
of_pvalb = list(held.model.classes_).index("Pvalb+")
in_turn = named.assign(place=place.loc[this_cell, opened.index].to_numpy()).sort_values("place")
in_turn["with these and those above"] = [
    this.closing(place.loc[[this_cell]].to_numpy() <= k)[0, of_pvalb] for k in in_turn["place"]
]
in_turn.set_index("place", append=True)[["effect", "with these and those above"]].round(2)

# %% mystnb={"image": {"alt": "Two panels side by side for one cell called Pvalb+, with a row for each of five measurements; the one whose gate closes last is at the top. Left: bars of how much probability of Pvalb+ is lost when the gate alone is closed. Right: dots joined by a line, the probability of Pvalb+ with the gates of this row and of all rows above it open, from the top row down to all five."}}
import matplotlib.pyplot as plt

from lspin.show import name_source

rows = in_turn.iloc[::-1]
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 2.6), sharey=True, layout="constrained")
left.barh(rows.index, 100 * rows["effect"], color="0.3")
left.axvline(0, color="black", linewidth=0.8)
left.set(xlabel="P(Pvalb+) lost when this gate is closed\n(percentage points)")
right.plot(rows["with these and those above"], rows.index, "o-", color="0.3")
right.set(xlabel="P(Pvalb+) with this gate\nand those above it", xlim=(-0.03, 1.03))
name_source(fig, f"Cell {this_cell}. {cells.banner()}")
plt.show()

# %% [markdown]
# The two panels answer two questions. On the left each gate is closed *alone*, while four others are
# open; on the right they close one after another, from the bottom row to the top. Where two measurements
# say the same, closing one of them does little, because the other still says it, and yet one of the two
# has to stay to the end.

# %% [markdown]
# Is the effect really what it claims to be? We close the first of these gates by hand and predict
# again.

# %%
import numpy as np

first = opened.index[0]
before = predictions.loc[this_cell, "Pvalb+"]
after = this.closing(held.Z.columns != first)[0, of_pvalb]
assert np.isclose(before - after, opened.loc[first, "effect"])
print(f"without {FEATURES[first].label}: {before:.1%} -> {after:.1%}")

# %% [markdown]
# And do the gates that are shown account for the whole answer? The model has several predictors, but
# they all sit behind one mask. So we let nothing but the open gates through, for all held-out cells
# at once. Not a single probability moves:

# %%
only_open = held.closing(held.gates > 0)
assert np.allclose(only_open, held.probability)
print(f"largest change of a probability: {abs(only_open - held.probability).max():.0e}")

# %% [markdown]
# ## And if nothing is open?
#
# Every cell has five open gates, whether it is easy or hard to recognise. So every answer rests on
# measurements that can be named. But how much of it? With *all* gates closed, every cell looks the
# same to the predictors, the mean of all cells, and so gets the same probabilities. We compare them
# with those that cells get with their gates as they are:

# %%
n_open = (gates["gate"] > 0).groupby("specimen_id").sum()
closed = held.closing(np.zeros(held.Z.shape[1], dtype=bool))
named_as = predictions["predicted"]
of_class = pd.DataFrame(
    {
        "cells": named_as.groupby(named_as).size(),
        "open gates (median)": n_open.groupby(named_as).median(),
        "probability": predictions.iloc[:, 2:].max(axis=1).groupby(named_as).mean(),
        "with all gates closed": pd.Series(closed[0], held.model.classes_),
    }
)
assert (n_open == model.max_open).all()
print(f"with all gates closed: {of_class['with all gates closed'].idxmax()}")
of_class.dropna().round(2)

# %% mystnb={"image": {"alt": "Dots, with a row per class that the model answered: mean probability of the class with the gates as they are, high for all five classes, and with all gates closed, which is much lower for all of them, and near zero for some."}}
rows = of_class.dropna().iloc[::-1]
fig, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
ax.hlines(rows.index, rows["with all gates closed"], rows["probability"], color="0.7")
ax.plot(rows["probability"], rows.index, "o", color="black", label="gates as they are")
ax.plot(
    rows["with all gates closed"], rows.index, "o", mfc="white", color="black", label="all closed"
)
ax.set(xlabel="mean probability of the class", ylabel="called", xlim=(-0.03, 1.03))
ax.legend(frameon=False, fontsize=8)
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# The open circles add up to one over the five classes. Where one lies far to the right, the model says
# this class, to a good part, *unless it is shown something else*: the measurements of such a cell confirm
# an answer that was half there before. (Of the recorded cells, this is the largest class,
# Glutamatergic.) Where it lies at the left, the five measurements make all of the answer. So compare
# effects within a class, not between classes: a class that is the answer by default has less to lose,
# and that does not make its measurements less typical.
#
# There is a second thing that is there before any value is seen: *which* five gates are open. The
# predictors were trained behind random masks, so they have not learned to make anything of it. But
# the networks by which gates close have read all measurements, and a mask may tell a reader what they
# think. {doc}`11_useful` measures how much of the answer can be read off it.
#
# ### Fewer gates for easy cells
#
# Five for every cell is a rule of ours. With a price instead (`LSPINClassifier(lam=1.0)`) a gate closes
# if that costs less than the price, so each cell keeps as many as it needs. Nothing has to be trained
# for it, since the order is the same: `cost` holds, for every number of open gates, how far the answer
# is from what it should say, as a cross-entropy. The price is added, and the lowest sum wins:

# %%
d = held.Z.shape[1]
needed = (cost + 1.0 * torch.arange(d + 1) / d).argmin(dim=1)
needed = pd.Series(needed.numpy(), held.Z.index)
needed.groupby(named_as).describe()[["count", "min", "50%", "max"]].astype(int)

# %% [markdown]
# The largest and easiest class, Glutamatergic, needs the fewest in the median cell.
#
# ## The gates of a class
#
# Do cells that get the same name get it for the same reasons? For each class that the model can
# answer, we take the cells that it gave that name, and ask in what share of them each gate was open.
# The rows are the fifteen gates that are open most often.

# %%
share = (gates["gate"] > 0).unstack("feature")
by_class = share.groupby(named_as).mean().T
often = share.mean().nlargest(15).index

# %% mystnb={"image": {"alt": "Heatmap with fifteen measurements as rows and the five predicted classes as columns. Each square gives the share of cells in which the gate was open; darker is more often. Few rows are dark throughout; most are dark for some classes and white for others."}}
fig, ax = plt.subplots(figsize=(7, 5.2), layout="constrained")
image = ax.imshow(by_class.loc[often], cmap="Greys", vmin=0, vmax=1, aspect="auto")
ax.set_xticks(range(by_class.shape[1]), by_class.columns, rotation=20)
ax.set_yticks(range(len(often)), [FEATURES[name].label for name in often])
for i, j in np.ndindex(len(often), by_class.shape[1]):
    value = by_class.loc[often].iloc[i, j]
    color = "white" if value > 0.5 else "black"
    ax.text(j, i, f"{value:.0%}", ha="center", va="center", fontsize=8, color=color)
ax.set_xlabel("class that the model answered")
fig.colorbar(image, label="share of cells with this gate open")
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# Read it along the rows. A row that is the same everywhere is a measurement that the model always
# consults, whatever the cell. Rows that differ are the *local* part of LSPIN, and nearly all rows
# do: two cells of the same name have much the same gates, two of different names have not.

# %%
spread = by_class.max(axis=1) - by_class.min(axis=1)
for name in spread.nlargest(3).index:
    most, least = by_class.loc[name].idxmax(), by_class.loc[name].idxmin()
    print(
        f"{FEATURES[name].label}: open for {by_class.loc[name, most]:.0%} of {most}, "
        f"{by_class.loc[name, least]:.0%} of {least}"
    )

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

shown = held.cells.y.sample(frac=1, random_state=0).groupby(held.cells.y).head(30).index
shown = shown.union([this_cell])
spikes = load_spikes()
shown = held.select(shown)
explore(shown, spikes, selected=this_cell, source=cells.banner())

# %% [markdown]
# What the slider does to one cell can be done to all of them at once. And instead of the order in which
# the model closes gates, we can close those with the least effect first:

# %%
orders = {
    "in turn": place.to_numpy(),
    "least effect first": (-abs(held.own_effects)).argsort(axis=1).argsort(axis=1) + 1,
}
rows = {}
for n_left in range(5, 0, -1):
    for name, rank in orders.items():
        answer = held.model.classes_[held.closing(rank <= n_left).argmax(axis=1)]
        rows[n_left, name, "same answer as with five"] = np.mean(answer == held.called)
        rows[n_left, name, "accuracy"] = np.mean(answer == held.cells.y)
pd.Series(rows).unstack([1, 2]).rename_axis("gates left").sort_index(ascending=False).round(3)

# %% [markdown]
# An effect is measured while all other gates are open. As long as most are, it is a good guide; once
# only one or two are left, it is out of date. Who closes gates in turn asks again each time.

# %% [markdown]
# ## What the gates do not tell
#
# **They are the model's reasons, not the neuron's.** A cell that is called by the wrong name has
# gates too, and they look just as convincing:

# %%
largest = gates["effect"].groupby("specimen_id").max()
for name, mask in (("right", is_right), ("wrong", ~is_right)):
    print(
        f"{mask.sum()} cells called by the {name} name: the largest effect is "
        f"{largest[mask].median():.0%} (median)"
    )

# %% [markdown]
# **A closed gate was still read.** The predictors see only what the gates let through, but the
# networks that say which answer is to be kept see *all* measurements. *Five measurements suffice to
# say what all of them say* does not mean *five measurements would have been enough to record*.
#
# **A closed gate is no verdict on a measurement.** A value near the mean closes early, because the mean
# takes its place and nothing changes. In another cell of the same kind the same measurement may
# matter: what is *sufficient for this cell* need not be all that is *relevant for cells like it*.
#
# **Another seed, other reasons?** We train a second model on the same cells, with nothing
# changed but the random numbers, and compare what the two give as reasons for the same cell: once
# the *open gates*, once the *three strongest* (the three measurements with the largest
# effect). Two sets are compared by their Jaccard overlap: what is in both as a share of what is in
# either. To judge the result we also compare with sets that should *not* agree:
#
# - the second set is that of another cell with the same answer;
# - the second set is that of any other cell;
# - the second set is as large as before, but drawn at random.

# %% tags=["remove-stderr"]
from dataclasses import replace

from lspin.explain import train_on

again = replace(held, pipeline=train_on(held.seen, model, random_state=1))
same_answers = np.mean(again.called == held.called)
print(f"the two models give the same answer for {same_answers:.0%} of cells")
assert same_answers > 0.8

# %%
from lspin.explain import jaccard, open_sets, strongest_sets

rng = np.random.default_rng(0)
anyone = rng.permutation(len(held.cells))
row = pd.Series(np.arange(len(held.cells)), index=held.cells.y.index)
same_answer = row.groupby(predictions["predicted"]).transform(rng.permutation)

overlap = {}
for name, sets in (("open gates", open_sets), ("three strongest", strongest_sets)):
    a, b = sets(held), sets(again)
    second = {
        "the same cell": b,
        "another cell, same answer": b[same_answer],
        "any other cell": b[anyone],
        "chance": rng.permuted(b, axis=1),
    }
    overlap[name] = {of: np.nanmean(jaccard(a, other)) for of, other in second.items()}
overlap = pd.DataFrame(overlap)
strongest = overlap["three strongest"]
assert strongest["another cell, same answer"] < strongest["the same cell"] < 0.8
shared = (open_sets(held) & open_sets(again)).sum(axis=1).mean()
print(f"of the five open gates of a cell, {shared:.1f} are open in the other model, too (mean)")
overlap.round(2)

# %% mystnb={"image": {"alt": "Two bar charts of the mean Jaccard overlap between the reasons of two models, for the same cell, another cell with the same answer, any other cell, and chance. In both panels the bar of the same cell is by far the longest; another cell with the same answer, any other cell, and chance follow, each shorter than the one before."}}
fig, axes = plt.subplots(1, 2, figsize=(8, 2.2), sharey=True, layout="constrained")
for ax, name in zip(axes, overlap, strict=True):
    ax.barh(overlap.index[::-1], overlap[name].iloc[::-1], color="0.4")
    ax.set(title=name, xlabel="Jaccard overlap, two seeds", xlim=(0, 1))
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# Read each panel from the top. About the same cell two models agree in good part, and not in all: many
# measurements of a neuron say the same thing, and where two do, small differences between two
# trainings decide which of them is closed. So read the reasons of a cell as *measurements that were
# enough for this model*, not as *the measurements that matter*.
#
# Then compare the first bar with the second. If it were no longer, then what is compared would tell
# about the *class* and not about the cell. It is far longer: the gates were closed for this cell, by its
# own values. {doc}`10_faithful` asks the same with more care, and counts measurements that say the same
# as one.
#
# How many gates are local at all?

# %%
is_open = held.gates > 0
always, never = is_open.all(axis=0), ~is_open.any(axis=0)
print(f"{(~always & ~never).sum()} gates are open for some held-out cells and closed for others,")
print(f"{always.sum()} are always open, {never.sum()} never")

# %% [markdown]
# ## Take-away
#
# - Explain cells of donors that the model has not seen.
# - There is one mask: what its open gates let through is all that the prediction used.
# - Gates close in an order, and any limit is a cut through it; a price lets easy cells keep fewer.
# - An open gate says that the model looked; the effect of closing it says what it made of it.
# - Ask what the model says with all gates closed: that much of an answer needs no reasons.
# - Wrong answers come with reasons, too. Gates explain the model, and the model may be wrong.
# - Before you believe a reason, change the seed, and compare with chance and with other cells.
#
# ## Exercises
#
# **1.** Is the gate that closes last also the one with the largest effect? In what share of the
# held-out cells?
#
# ```{dropdown} Solution
# Compare the two for each cell. If the order of closing and the effect were the same thing, the share
# would be one; if they had nothing to do with each other, it would be one in five. They are related,
# and they differ where measurements share what they say.
# ```

# %% tags=["hide-cell"]
largest_effect = pd.Series(held.Z.columns[held.own_effects.argmax(axis=1)], held.Z.index)
is_same = place.idxmin(axis=1) == largest_effect
print(
    f"the gate that closes last has the largest effect in {is_same.mean():.0%} of cells; "
    f"unrelated, it would be {1 / model.max_open:.0%}"
)

# %% [markdown]
# **2.** A cell was called by the wrong name. How often was there *one* open gate without which it
# would have been called by the right one?
#
# ```{dropdown} Solution
# Close every gate in turn, for all wrong cells at once, and note which cells get the right name.
# Such a gate points to a measurement worth looking at in the recording. But beware: with several
# gates to try, some answer close to the border flips whatever is closed.
# ```

# %% tags=["hide-cell"]
wrong = held.select(~is_right)
repaired = np.zeros(len(wrong.cells), dtype=bool)
for name in wrong.Z.columns:
    answer = wrong.closing(wrong.Z.columns != name).argmax(axis=1)
    repaired |= wrong.model.classes_[answer] == wrong.cells.y
print(f"{repaired.sum()} of {len(repaired)} wrong answers become right when one gate is closed")

# %% [markdown]
# ## What's next?
#
# You have gone from a table of recordings to the reasons for a single answer. {doc}`10_faithful`
# cross-examines these reasons. (How all of these models could be trained while you waited, and how to
# train a thousand more, is in {doc}`speed`.)
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
