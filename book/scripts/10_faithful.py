# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Are the gates true, faithful and stable?
#
# ## Overview
#
# {doc}`09_gates` ended with a list of reasons for every cell: the few {term}`gates <gate>` that were
# open, and what happens when they close. Such lists always look good, even when the model is wrong.
# Here we test them, and next to them the gates that {term}`gating networks <gating network>` choose,
# which is how LSPIN was first published. Are they *true*, where the truth is known? Are they
# *faithful*: does the prediction fall if the reasons are taken away? Are they *stable*: would another
# seed, or other mice, have given the same ones? Each question gets a number, and some of the numbers
# are not flattering.
#
# ## After this chapter you can
#
# - test a way of explaining on samples whose true reasons you made yourself;
# - tell *sufficient for this sample* from *relevant for samples like it*;
# - measure {term}`faithfulness` by deletion and insertion, and compare it with a random order;
# - put measurements that say the same into groups before you compare reasons;
# - measure how far two trainings agree beyond chance, and beyond what any other cell would give.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Open gates, and the effect of closing one | Necessary | {doc}`09_gates` |
# | Gates that close in turn, and gates opened by networks | Necessary | {doc}`05_training` |
# | Donors never straddle a split | Necessary | {doc}`01_fetching_cells` |
# | What the measurements mean | Necessary | {doc}`02_features` |
# | Bootstrap intervals | Helpful | {term}`interval` in the glossary |
#
# ## Time to learn
#
# - **Reading**: 35 minutes
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
# ## Do gates find the truth, where it is known?
#
# Nobody knows which measurements of a neuron a prediction *should* rest on. So we begin with samples
# that we make up ourselves, because then we know {cite}`yang2022lspin`. Each sample belongs to one of
# two groups: in the first $y = -2 x_1 + x_2$, in the second $y = x_3 - 2 x_4$. Four more features are
# noise.
#
# Nobody tells the model which group a sample is in, but it can be seen: $x_1$ to $x_4$ are around 1
# in the first group and around -1 in the second. So two gates are right, and not the same two for all
# samples.
#
# We compare two ways of choosing gates ({doc}`05_training`): gating networks, which *learn* which
# gates to open, and LSPIN as this book uses it, which {term}`closes <closing>` the gates of each sample
# one at a time. Both are told that two gates may stay open, and nothing else.
#
# ```{admonition} Predict before you run
# :class: tip
# For each new sample both models have the same task: keep two of eight features. Which of them will
# pick the two that are in the formula more often, and why?
# ```

# %%
import pandas as pd

from lspin.explain import gated, linear_groups, recovery

drawn = linear_groups(1000, 8, random_state=0)
fresh = linear_groups(1000, 8, random_state=1)
ways = {"gating network": "local", "LSPIN": "closing"}
answers = {
    name: gated(drawn, fresh, random_state=0, gating=gating)
    for name, gating in ways.items()
}
found = {name: recovery(answer, fresh) for name, answer in answers.items()}
found = pd.DataFrame(found).T

# %%
print(f"new samples; the variance of y is {fresh.y.var():.1f}")
right = found["tpr"]
assert right["gating network"] > 0.95 > 0.8 > right["LSPIN"]
assert found["score"].idxmin() == "gating network"
names = {
    "score": "squared error",
    "tpr": "right gates open",
    "exact": "exactly the right ones",
}
found[list(names)].rename(columns=names).round(3)

# %% mystnb={"image": {"alt": "Two bar charts, one per group of samples, with the eight features as pairs of bars: the share of samples in which the gate is open. With gating networks the bars of x1 and x2 in the first group, and of x3 and x4 in the second, are near one and all others near zero. With LSPIN only the bar of the one with weight 2 is much longer than the others, and none is zero."}}
import matplotlib.pyplot as plt
import numpy as np

from lspin.show import name_source

groups_of_samples = {"y = -2 x1 + x2": 0, "y = x3 - 2 x4": 2}
fig, axes = plt.subplots(
    1, 2, figsize=(8, 2.4), sharey=True, layout="constrained"
)
for ax, (name, one) in zip(axes, groups_of_samples.items(), strict=True):
    mine = fresh.relevant[:, one]
    left = np.arange(8) - 0.2
    for how, color in zip(answers, ("0.7", "0.2"), strict=True):
        share = answers[how].selected[mine].mean(axis=0)
        ax.bar(left, share, 0.38, color=color, label=how)
        left = left + 0.4
    ax.set_xticks(range(8), [f"x{i}" for i in range(1, 9)])
    ax.set_title(f"samples with {name}", fontsize=10)
axes[0].set(ylabel="share with open gate", ylim=(0, 1.02))
axes[1].legend(frameon=False, fontsize=8)
name_source(fig, "Made-up samples, no cells.")
plt.show()

# %% [markdown]
# Gating networks find the rule. LSPIN does not, because it answers another question: which two values
# are *enough* to predict for this sample what all values together predict?
#
# The model can do without a value near the mean, which is 0 here, because a closed gate stands for 0
# anyway. And among the many pairs of gates some wrong pair often leads to the right number by
# chance. The table shows the first effect: in what share of cases is a feature that matters let
# through, depending on how far its value is from the mean?

# %%
matters = fresh.relevant
distance = pd.cut(
    abs(fresh.X[matters]), [0, 0.5, 1, 9], labels=["< 0.5", "0.5 to 1", "> 1"]
)
shares = pd.DataFrame({how: a.selected[matters] for how, a in answers.items()})
shares = shares.groupby(distance, observed=True).mean()
assert shares.loc["< 0.5", "LSPIN"] < shares.loc["> 1", "LSPIN"] - 0.3
shares.rename_axis("distance").round(2)

# %% [markdown]
# So **relevant for samples like this one** and **sufficient for this sample** are two questions. If
# you are after the first, because you want to know the rule, then `gating="local"` is the better
# choice wherever the rule can be learned. In this example it also predicts better: compare the squared
# errors.
#
# ### Harder problems
#
# Harder problems have products and squares of features, a switch that decides which formula holds
# (*E5* of {cite:t}`yang2022lspin`, *Syn1* to *Syn6* of {cite:t}`yoon2019`), and up to a hundred
# features. They take too long for this page, so `make results` solves them beforehand, together with the
# problem above (*Two groups*). It adds three rivals:
#
# - gates that are the same for all samples ({term}`STG`), with the same number of open gates;
# - an L1 penalty, which sets weights of a linear model to zero;
# - gradient boosting explained by TreeSHAP {cite}`lundberg2020`. It ranks the features for each
#   sample, and is told for *each sample* how many to name.
#
# For each sample we ask
#
# - **found**: which share of the features that matter was named;
# - **false**: which share of the features named does not matter.

# %%
from lspin.studies import read_results, results_file

tables, about_made_up = read_results(results_file("synthetic"))
made_up = tables["scores"]
print(about_made_up["protocol"])
problem = made_up["problem"].replace("linear_groups", "two groups")
n_features = made_up["d"].astype(str)
made_up["task"] = problem.str.capitalize() + ", " + n_features + " features"
of_task = made_up.pivot_table(["tpr", "fdr"], "task", "method", sort=False)

# %% mystnb={"image": {"alt": "Two panels with a row per made-up problem and a mark for each method: on the left the share of relevant features that it found, on the right the share of false ones among those it named. No method is at the right edge of the left panel and at the left edge of the right panel for every problem."}}
methods = list(dict.fromkeys(made_up["method"]))
styles = {
    "LSPIN": {"marker": "o", "color": "black"},
    "gating network": {"marker": "D", "color": "#CC79A7"},
    "STG": {"marker": "x", "color": "#0072B2"},
    "L1": {"marker": "^", "color": "#D55E00"},
    "boosting + TreeSHAP": {"marker": "s", "color": "0.6"},
}
fig, axes = plt.subplots(
    1, 2, figsize=(9, 5.2), sharey=True, layout="constrained"
)
for ax, kind in zip(axes, ("tpr", "fdr"), strict=True):
    for method in methods:
        rows = of_task[kind, method]
        ax.plot(rows, rows.index, ls="", alpha=0.8, **styles[method])
    ax.grid(axis="y", color="0.9")
    ax.set_xlim(-0.03, 1.03)
axes[0].invert_yaxis()
axes[0].set_xlabel("found: share of the relevant features")
axes[1].set_xlabel("false: share of the named features")
fig.legend(methods, loc="outside upper center", ncols=5, frameon=False)
name_source(fig, "Made-up samples, no cells; recorded.")
plt.show()

# %%
ours = made_up[made_up["method"].isin(list(ways))]
scored = ours.pivot_table(
    ["tpr", "fdr", "score", "best_score"], "task", "method", sort=False
)
best = scored["best_score"].mean(axis=1)
scored[["tpr", "fdr", "score"]].assign(best=best).round(3)

# %% [markdown]
# (*tpr* is the share found and *fdr* the share false. *score* is the accuracy, for *Two groups* and *E5*
# the squared error, and *best* is that of the best possible model.)

# %%
tpr, fdr = (of_task[kind, "gating network"] for kind in ("tpr", "fdr"))
solved = (tpr > 0.95) & (fdr < 0.05)
print(f"gating networks solve {solved.sum()} of {len(tpr)} problems")
print("(more than 95 % found, less than 5 % false); the others:")
for task in tpr[~solved].sort_values().index:
    print(f"- {task}: {tpr[task]:.0%} found, {fdr[task]:.0%} false")

# %% [markdown]
# So gating networks *can* find out which features matter for which sample, but they do not *always* do
# so. Many noise features make it harder. So do products, as in E5: if the gate of one factor closes
# early in the training, it stays closed, because without it the other factor says nothing.
#
# A model that misses a reason usually predicts worse as well: compare *score* with *best*. **So look
# at the score before you look at the gates.**
#
# One more warning. These problems have 1000 to 10,000 samples, and their features are independent of
# each other. There are fewer neurons, and their measurements say the same thing several times over.
#
# ## Three models to examine
#
# Now to neurons. We examine three models: one leaves *five* gates of each cell open, one leaves
# *eight*, and in the third *gating networks* choose which five to open. As before, we explain cells of
# donors that the models have never seen: one fifth of them.

# %% tags=["remove-stderr"]
from lspin.explain import hold_out
from lspin.model import count_open
from lspin.studies import examined

models = examined()
FEW, MORE, NETWORK = models
held = {
    name: hold_out(cells, model, n_folds=1)[0]
    for name, model in models.items()
}
found = {
    name: {
        "accuracy": np.mean(h.predicted == h.cells.y),
        "open gates (median)": count_open(h.gates),
        "open for any cell": (h.gates > 0).any(axis=0).sum(),
    }
    for name, h in held.items()
}
pd.DataFrame(found).T.round(3)

# %% [markdown]
# Each model has {term}`one mask`: what the open gates of a cell let through is all that its prediction
# used. The last column counts the measurements that were used for *at least one* of these cells. The
# smaller this number, the more the gates of different cells are alike.
#
# We also asked the same questions beforehand on recorded cells, with all five {term}`folds <fold>` and at
# greater length. These recorded figures are shown beside the quick ones, whichever source of cells you
# run this chapter on. The models were:

# %%
tables, about = read_results(results_file("explanations"))
recorded_on = "Recorded on the " + about["banner"].removeprefix("Source: ")
print(recorded_on)
recorded = list(about["models"])
for name, model in about["models"].items():
    print(f"{name}: {model}")
tables["gates"].groupby("model", sort=False).mean().round(1)

# %% [markdown]
# ## Does the prediction rest on these reasons?
#
# If the measurements that are named first really carry the prediction, then it should fall quickly when
# they are taken away one by one (*deletion*), and rise quickly when they alone are given back one by one
# (*insertion*) {cite}`petsiuk2018`. A measurement is taken away by closing its gate. What is left to
# choose is the order:
#
# - by the **effect of the gate**, LSPIN's own reasons: what closing it alone takes from the prediction;
# - by the **width of the gate**: how far it is open, and nothing else. Gates set by gating networks can
#   be half open. Gates that close in turn are either open or closed, so among open ones this is just the
#   order of the columns in the table;
# - at **random**. An explanation that is not clearly better than this has explained nothing.
#
# ```{admonition} Predict before you run
# :class: tip
# With all gates closed, every cell gets the same probabilities, and they favour one class
# ({doc}`09_gates`). For cells of which class will the deletion curve fall least?
# ```

# %%
from lspin.explain import faithfulness

areas, curves = {}, {}
for name, h in held.items():
    areas[name], of_class = faithfulness([h])
    curves[name] = of_class.sort_index()
by_order = pd.concat(areas, names=["model"]).groupby(["model", "order"])
by_order = by_order[["deletion", "insertion"]].mean()
for name in models:
    own = by_order.loc[(name, "effect of the gate")]
    chance = by_order.loc[(name, "random")]
    assert own["deletion"] < chance["deletion"]
    assert own["insertion"] > chance["insertion"]
by_order.round(3)

# %% [markdown]
# The numbers are areas under the curves, from 0 to 1: low is good for deletion, high for insertion.
# Here are the curves themselves, for the model with five gates. Each column shows the cells of one
# predicted class:

# %% mystnb={"image": {"alt": "Ten small charts: for each predicted class, its probability while gates are closed one by one above, and while they are opened alone one by one below. In the order of the effects the curves fall and rise fastest; the random order and that of the widths are slower and close together."}}
styles = {
    "effect of the gate": {"color": "black", "ls": "-"},
    "width of the gate": {"color": "#0072B2", "ls": "--"},
    "random": {"color": "0.6", "ls": ":"},
}
classes = sorted(areas[FEW]["class"].unique())
fig = plt.figure(figsize=(9, 4.2), layout="constrained")
axes = fig.subplots(2, len(classes), sharex=True, sharey=True)
for column, name in zip(axes.T, classes, strict=True):
    column[0].set_title(name, fontsize=10)
    for order, style in styles.items():
        curve = curves[FEW].loc[(name, order)]
        column[0].plot(curve["deletion"], label=order, **style)
        column[1].plot(curve["insertion"], label=order, **style)
    column[1].set(xlabel="gates", xlim=(0, 5))
axes[0, 0].set(ylabel="probability left\nwhen closed", ylim=(0, 1))
axes[1, 0].set(ylabel="probability reached\nwhen alone open")
axes[0, -1].legend(frameon=False, fontsize=7)
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# Notice where the upper curves end: with all gates closed, each class is left with the probability that
# the model gives it when it is shown nothing. Where that is high, there is less to take away.
#
# ### Explanations from outside
#
# There are ways of explaining that work for any model. **{term}`SHAP`** {cite}`lundberg2017` averages
# what a measurement adds over many orders in which all of them could be given. **Integrated
# gradients** {cite}`sundararajan2017`, here in the implementation of captum {cite}`captum2020`, follow
# the gradient on the way from no measurement to all of them. Both explained the same models and were
# tested in the same way.
#
# There is one choice to make. When a measurement is taken away, do the other gates stay *as they
# were*? That is what LSPIN's reasons are about: the predictors, given what the gates let through. Or
# does the part of the model that chooses the gates lose the measurement too, so that all gates are
# *set anew*? We tried both.

# %%
print(recorded_on)
faithful = tables["faithfulness"].query("`class` == 'all'")
faithful.pivot(
    index=["model", "order"],
    columns="gates",
    values=["deletion", "insertion"],
).round(3)

# %% mystnb={"image": {"alt": "Dots with short intervals for each model: area under the deletion curve on the left and under the insertion curve on the right, for the orders given by SHAP, integrated gradients, the effect of the gate, its width, and chance. The first three lie close together, and chance is farther away."}}
kept = faithful.query("gates == 'as they were'")
kept = kept.set_index(["model", "order"])
orders = ["SHAP", "integrated gradients"]
orders += ["effect of the gate", "width of the gate", "random"]
COLORS = ("black", "0.6", "#CC79A7", "#0072B2")
fig, axes = plt.subplots(
    1, 2, figsize=(8, 2.7), sharey=True, layout="constrained"
)
for ax, kind in zip(axes, ("deletion", "insertion"), strict=True):
    y = np.arange(len(orders)) - 0.2
    for name, color in zip(recorded, COLORS, strict=False):
        rows = kept.loc[name].loc[orders]
        ax.hlines(y, rows[f"{kind}_low"], rows[f"{kind}_high"], color=color)
        ax.plot(rows[kind], y, "o", color=color, ms=4, label=name)
        y = y + 0.2
    ax.set(xlabel=f"area under the {kind} curve", xlim=(0, 1))
axes[0].set_yticks(range(len(orders)), orders)
axes[0].invert_yaxis()
entries = ax.get_legend_handles_labels()
fig.legend(*entries, loc="outside upper center", ncols=4, frameon=False)
name_source(fig, recorded_on)
plt.show()

# %% [markdown]
# The intervals (95 %) draw donors with replacement. How far from chance does each order get? We take
# the gap between the two areas, insertion minus deletion, and set that of SHAP to 100 %:

# %%
gap = (kept["insertion"] - kept["deletion"]).unstack("order").loc[recorded]
assert (gap["effect of the gate"] > gap["random"]).all()
beyond = gap[orders].sub(gap["random"], axis=0)
print("SHAP, beyond chance:", beyond["SHAP"].round(2).to_dict())
share = beyond.div(beyond["SHAP"], axis=0)
share.drop(columns=["SHAP", "random"]).map("{:.0%}".format)

# %% [markdown]
# What to take from this:
#
# - Most of what SHAP finds, the *effects* find too, in a small fraction of the computing time.
# - The *widths* say less: how far a gate is open is not what it does.
# - Where even SHAP gets only a little further than chance, the predictors make do with whatever
#   measurements are left. Those behind gates that close in turn were trained behind random masks, and so
#   have learned to do this.
#
# Then compare, in the table above, gates *as they were* with gates *set anew*. In the second case,
# taking a measurement away also changes which others are let through. Gating networks may then not
# open the gates that they opened for the whole cell, because a few measurements alone do not tell them
# enough; this shows in the insertion. Where gates close in turn, other measurements can step in for the
# one that is missing; this shows in the deletion.
#
# One caution: when gates are set anew, the mask jumps from one set of gates to another. Integrated
# gradients add up small steps and do not see these jumps, so do not rely on their figures under *set anew*.
#
# ## Measurements that say the same
#
# Before we ask whether two models give the same reasons, we must say what *the same* means. The peak
# of a spike is measured under three stimuli, and a model may use any of the three. By Ohm's law, a cell
# with a high {term}`input resistance` needs little current to reach threshold, so its
# {term}`rheobase` is low; there, too, one measurement can stand in for the other.
#
# We put correlated measurements into one group: between *every* two members of a group, Spearman's rho is
# 0.7 or more in absolute value. The classes are not looked at.

# %%
from lspin.explain import SAME, feature_groups
from lspin.features import FEATURES

groups = feature_groups(held[FEW].Z)
shared = groups[groups.duplicated(keep=False)]
assert SAME == 0.7
print(f"{len(groups)} measurements in {groups.nunique()} groups;")
print("groups with more than one member:")
for members in shared.groupby(shared).groups.values():
    print("-", "; ".join(FEATURES[name].label for name in members))

# %% [markdown]
# ## Would another seed have given the same reasons?
#
# We train each model a second time and change nothing but the {term}`seed`. For each held-out cell we
# then compare what the two models give as reasons: the *open gates*, and the *three strongest* (those
# with the largest effect). How much two sets overlap is measured by the {term}`Jaccard index` J: what
# is in both, as a share of what is in either.
#
# Some overlap E would be there by chance, so we also give the corrected overlap $(J - E) / (1 - E)$,
# which is 1 for perfect agreement and 0 for chance {cite}`hubert1985`. There are two kinds of chance to
# beat:
#
# - **beyond size**: E is the overlap of random sets of the same sizes, the usual yardstick for the
#   {term}`stability` of feature selection {cite}`nogueira2018`;
# - **beyond cell**: E is the overlap with the second model's set *for any other cell*. This one is
#   harder to beat. A model that opens the same favourite gates for every cell agrees with itself
#   perfectly, and yet it says nothing about this cell.

# %% tags=["remove-stderr"]
from dataclasses import replace

from lspin.explain import train_on

again = {}
for name, h in held.items():
    second = train_on(h.seen, models[name], random_state=1)
    again[name] = replace(h, pipeline=second)
    same = np.mean(again[name].predicted == h.predicted)
    print(f"{name}: the two models agree on the class of {same:.0%} of cells")

# %% [markdown]
# The table below has a third kind of row. It compares each cell with the *most similar cell* of another
# donor, within one model: do cells that are alike have similar reasons?
#
# ```{admonition} Predict before you run
# :class: tip
# A gating network is one smooth function for all cells; gates that close in turn are looked for in each
# cell separately. Which of the two will agree better with its own second training? Which will treat two
# similar cells more alike?
# ```

# %%
from lspin.explain import (
    agreement,
    nearest,
    open_sets,
    strongest_sets,
    to_groups,
)

rows = {}
for name, h in held.items():
    similar = nearest(h.Z, h.cells.donors)
    for reasons, sets_of in (
        ("open gates", open_sets),
        ("three strongest", strongest_sets),
    ):
        first, second = sets_of(h), sets_of(again[name])
        pairs = {
            "another seed": (first, second),
            "another seed, groups": [
                to_groups(sets, groups) for sets in (first, second)
            ],
            "the most similar cell": (first, first[similar]),
        }
        for what, pair in pairs.items():
            rows[name, reasons, what] = agreement(*pair)

# %%
live = pd.DataFrame(rows).T
beyond_cell = live["beyond_cell"].xs("open gates", level=1).unstack()
few, network = beyond_cell.loc[FEW], beyond_cell.loc[NETWORK]
assert few["another seed"] > network["another seed"]
assert few["the most similar cell"] < network["the most similar cell"]
live.round(2)

# %% [markdown]
# The recorded table adds models that were trained on other donors: each without another quarter of
# them, or on donors drawn with replacement.

# %%
print(recorded_on)
keys = ["model", "reasons", "compared with", "unit"]
stable = tables["stability"].set_index(keys)
stable.unstack("unit")[["beyond_size", "beyond_cell"]].round(2)

# %% mystnb={"image": {"alt": "Horizontal bars, in a panel for each model, of the corrected overlap of reasons between trainings, beyond what any other cell would give: for open gates and for the three strongest, by measurement and by group. No bar reaches 1, and bars by group are mostly longer than those by measurement."}}
other = "the most similar cell"
trained = stable["beyond_cell"].drop(other, level="compared with")
fig = plt.figure(figsize=(9, 2.8), layout="constrained")
axes = fig.subplots(1, len(recorded), sharex=True, sharey=True)
for ax, name in zip(axes, recorded, strict=True):
    bars = trained.loc[name].unstack()
    y = np.arange(len(bars))
    ax.barh(
        y - 0.2, bars["measurement"], 0.38, color="0.7", label="measurement"
    )
    ax.barh(y + 0.2, bars["group"], 0.38, color="0.2", label="group")
    ax.set_yticks(y, [f"{of}: {what}" for of, what in bars.index], fontsize=8)
    ax.axvline(0, color="black", lw=0.8)
    ax.set_title(name, fontsize=10)
    ax.set_xlabel("agreement beyond other cells", fontsize=9)
axes[0].invert_yaxis()
axes[0].set_xlim(None, 1)
ax.legend(title="by", frameon=False, fontsize=8, loc="lower right")
name_source(fig, recorded_on)
plt.show()

# %% [markdown]
# **Another training.** Beyond what would fit any other cell as well, two trainings of gating networks
# have less in common than two trainings whose gates close in turn, although they agree about most
# classes. **There are several good reasons for the same prediction, and training picks some of them.**
#
# Where gates close in turn, agreement is better but not perfect either. If two measurements say the
# same, one of them stays open, and it hardly matters which. That is why the bars *by group* are mostly
# longer.
#
# **The most similar cell.** Here it is the other way round. Gating networks give similar cells nearly
# the same reasons, because their gates are a smooth function of the cell; but it is *this network's*
# function, and another training finds another one. Gates that close in turn are looked for in each
# cell separately. They depend on the cell's own values and little on the training, and so they may
# differ between two cells that are much alike.
#
# Which of the two should be stable depends, again, on your question.

# %% [markdown]
# ## Take-away
#
# - Take the reasons away and see whether the prediction falls. Always compare with a random order.
# - The effect of a gate is a reason; its width is not.
# - *Sufficient for this cell* and *relevant for cells like it* are two questions. Gates that close in
#   turn answer the first; gating networks are closer to the second.
# - Train again before you believe a reason, and count measurements that say the same as one. Gates that
#   close in turn pass this test better. Gating networks are the more consistent between similar cells,
#   which is easier to achieve.
#
# ## Self-check
#
# **1.** On made-up samples a model finds all relevant features. Does that prove that its gates on
# neurons are right? And what if it fails on the made-up samples?
#
# ```{dropdown} Answer
# Success shows only that the method *can* work. Neurons are fewer, and their measurements say the same
# several times over, which makes the task harder. Failure tells you more: a method that misses the
# truth where it is known has to be doubted where it is not.
# ```
#
# **2.** A feature is in the formula for *y*, but in this sample its value is exactly the mean. Should
# its gate be open?
#
# ```{dropdown} Answer
# That depends on the question. It is relevant for samples like this one. But it is not needed to
# predict *this* sample, because closing its gate puts the mean in its place and changes nothing.
# ```
#
# **3.** The deletion curve of an explanation falls to a third of its height. Is that good?
#
# ```{dropdown} Answer
# You cannot say without two comparisons: the curve for a random order, and the probability that is left
# when all gates are closed, below which it cannot end. Only the distance from chance counts.
# ```
#
# **4.** Two models name the peak of the spike as a reason, one measured under the long square, the
# other under the ramp. Do they disagree?
#
# ```{dropdown} Answer
# By measurement they do, by group they do not: the two peaks are strongly correlated, and either can
# stand in for the other. Count such measurements as one before you call an explanation unstable.
# ```
#
# **5.** A model opens the same five gates for every cell, and so does its second training. How stable is
# it *beyond size*, and how stable *beyond cell*?
#
# ```{dropdown} Answer
# Beyond size it is perfectly stable: random sets of five would hardly overlap. Beyond cell it has
# nothing to show, because the set of any other cell agrees just as well. Its reasons are stable, but
# they are not about this cell.
# ```
#
# ## Exercises
#
# **1. Warm-up.** Two models open five of 42 gates each, without looking at the cell. What Jaccard index
# do you expect on average? *On the twin: the same.*
#
# ```{dropdown} Solution
# Of five gates the other set contains $5 \cdot 5 / 42 = 0.6$ on average, so about 0.6 of 9.4 gates in
# either are in both: 0.06 or so. Without this yardstick 0.06 looks like "some agreement".
# ```

# %% tags=["hide-cell"]
rng = np.random.default_rng(0)
one, other = (rng.random((10_000, 42)).argsort(axis=1) < 5 for _ in range(2))
index = (one & other).sum(axis=1) / (one | other).sum(axis=1)
print(f"mean Jaccard index of two random sets: {index.mean():.3f}")

# %% [markdown]
# **2. Core.** Closing one gate does little where another gate says the same. Take the cells predicted
# to be Pvalb+ and close the gates of all fall times at once. How much probability do they lose,
# compared with the sum of closing these gates one by one? *On the twin: it runs, but the answer says
# nothing about real cells.*
#
# ```{dropdown} Solution
# If the measurements were independent reasons, closing all of them would cost about the sum.
# If it costs more, they stood in for each other; if less, they were needed together.
# ```

# %% tags=["hide-cell"]
h = held[FEW]
mine = h.predicted == "Pvalb+"
k = list(h.model.classes_).index("Pvalb+")
fall_times = h.Z.columns.str.startswith("fall_ms")
together = (h.probability - h.closing(~fall_times))[mine, k]
single = h.effects[mine][:, fall_times, k].sum(axis=1)
print(f"closed together: {together.mean():.1%} lost")
print(f"sum of one by one: {single.mean():.1%}")

# %% [markdown]
# **3. Open.** You want to write in a paper: "Sst+ cells are recognised by these three measurements."
# Which way of choosing gates would you use, and what would you check before you write it? *Needs
# recorded cells.*
#
# ```{dropdown} Solution
# There is no single answer. A good one first says which question the sentence is about: a rule for the
# whole class (then gating networks or global gates are closer to it) or what was enough for single
# cells. It reports the score, the intervals over donors, and the agreement of several trainings by
# group, beyond chance and beyond other cells. It deletes the three measurements and compares the loss
# with that of three random ones. And it says "the model recognises" instead of "cells are recognised":
# nothing here was tested on the neuron.
# ```

# %% [markdown]
# ## What's next?
#
# The reasons are the model's own, and in good part they hold. But *which* gates are open may say more
# than the values behind them: {doc}`11_useful` looks for leaks, compares the reasons with what is known
# about neurons, and puts them to use.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
