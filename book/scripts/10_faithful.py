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
# {doc}`09_gates` ended with a list of reasons for every cell: the few gates through which all of its
# answer went. Reasons that look good are easy to have; a model that is wrong has them, too. Here we
# cross-examine them, and beside them those of *gating networks*, by which LSPIN chose its gates when it
# was published. Are they *true*, where the truth is known? Are they *faithful*: does the answer fall if
# the reasons are taken away? Are they *stable*: would another seed, or other mice, have given the same
# ones? Each question gets a number, and some of the numbers are not flattering.
#
# ## After this chapter you can
#
# - test a way of explaining on samples whose reasons you made yourself;
# - tell *sufficient for this sample* from *relevant for samples like it*;
# - measure faithfulness by deletion and insertion, and compare with a random order;
# - put measurements that say the same into groups before you compare reasons;
# - measure the agreement of two trainings beyond chance, and beyond what any other cell would give.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Open gates, and the effect of closing one | Necessary | {doc}`09_gates` |
# | Gates that close in turn, and gates opened by networks | Necessary | {doc}`05_training` |
# | Donors never straddle a split | Necessary | {doc}`01_fetching_cells` |
# | What the measurements mean | Necessary | {doc}`02_features` |
# | Bootstrap intervals | Helpful |  |
#
# ## Time to learn
#
# - **Reading**: 35 minutes
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
# ## Do gates find the truth, where it is known?
#
# Of a neuron, nobody knows which measurements an answer should rest on. So we begin with made-up
# samples, of which we do, because we made them {cite}`yang2022lspin`. Each belongs to one of two
# groups: in the one $y = -2 x_1 + x_2$, in the other $y = x_3 - 2 x_4$. Four more features are noise.
# Nobody tells the model which group a sample is in, but it can be seen: $x_1$ to $x_4$ are around 1
# in the first group and around -1 in the second. The right gates are two, and not the same for all.
# Models are told that they are two, and nothing else: gating networks that learn which to open, and LSPIN,
# which closes the gates of each sample one at a time ({doc}`05_training`).

# %%
import pandas as pd

from lspin.explain import gated, linear_groups, recovery

drawn, fresh = linear_groups(1000, 8, random_state=0), linear_groups(1000, 8, random_state=1)
answers = {
    "gating network": gated(drawn, fresh, random_state=0, gating="local"),
    "LSPIN": gated(drawn, fresh, random_state=0, gating="closing"),
}
found = pd.DataFrame({how: recovery(answer, fresh) for how, answer in answers.items()}).T
print(f"New samples; the variance of y is {fresh.y.var():.1f}")
assert found.loc["gating network", "tpr"] > 0.95 > 0.8 > found.loc["LSPIN", "tpr"]
names = {"score": "squared error", "tpr": "right gates open", "exact": "exactly the right ones"}
found[list(names)].rename(columns=names).round(3)

# %% mystnb={"image": {"alt": "Two bar charts, one per group of samples, with the eight features as pairs of bars: the share of samples in which the gate is open. With gating networks the bars of x1 and x2 in the first group, and of x3 and x4 in the second, are near one and all others near zero. With LSPIN only the bar of the one with weight 2 is much longer than the others, and none is zero."}}
import matplotlib.pyplot as plt
import numpy as np

from lspin.show import name_source

fig, axes = plt.subplots(1, 2, figsize=(8, 2.4), sharey=True, layout="constrained")
for ax, one, name in zip(axes, (0, 2), ("y = -2 x1 + x2", "y = x3 - 2 x4"), strict=True):
    of_group = fresh.relevant[:, one]
    for shift, (how, answer), color in zip(
        (-0.2, 0.2), answers.items(), ("0.7", "0.2"), strict=True
    ):
        share = answer.selected[of_group].mean(axis=0)
        ax.bar(np.arange(8) + shift, share, 0.38, color=color, label=how)
    ax.set_xticks(range(8), [f"x{i}" for i in range(1, 9)])
    ax.set_title(f"samples with {name}", fontsize=10)
axes[0].set(ylabel="share with open gate", ylim=(0, 1.02))
axes[1].legend(frameon=False, fontsize=8)
name_source(fig, "Made-up samples, no cells.")
plt.show()

# %% [markdown]
# Gating networks find the rule. LSPIN does not, because it was asked something else: which two values
# *suffice* to say of this sample what all of them say, with the answer already in hand? A value near
# the mean, 0, can be done without, because a closed gate says 0 anyway. And of many pairs of gates some
# wrong one often leads to the right number by chance. How often is a feature that matters let through,
# by how far its value is from the mean?

# %%
distance = pd.cut(abs(fresh.X[fresh.relevant]), [0, 0.5, 1, 9], labels=["< 0.5", "0.5 to 1", "> 1"])
shares = pd.DataFrame({how: answer.selected[fresh.relevant] for how, answer in answers.items()})
shares = shares.groupby(distance, observed=True).mean()
assert shares.loc["< 0.5", "LSPIN"] < shares.loc["> 1", "LSPIN"] - 0.3
shares.rename_axis("distance").round(2)

# %% [markdown]
# So **relevant for samples like this one** and **sufficient for this sample** are two questions. If you
# are after the first, because you want to know the rule, `gating="local"` answers it better, wherever the
# rule can be learned. Here it predicts better, too.
#
# Harder problems have products and squares of features, a switch that says which
# formula holds (*E5* of {cite:t}`yang2022lspin`, *Syn1* to *Syn6* of {cite:t}`yoon2019`), and up
# to a hundred features. `make results` tries them, and rivals beside: global gates (*STG*), which are
# told the number of gates, too; an L1 penalty; and gradient boosting explained by TreeSHAP
# {cite}`lundberg2020`, which ranks features for each sample and is told for *each sample* how many to
# name. For each sample we ask
#
# - **found**: which share of the features that matter was named;
# - **false**: which share of the features named does not matter.

# %%
from lspin.studies import read_results, results_file

tables, about_made_up = read_results(results_file("synthetic"))
made_up = tables["scores"]
print(about_made_up["protocol"])
made_up["task"] = made_up["problem"] + ", " + made_up["d"].astype(str) + " features"
of_task = made_up.pivot_table(["tpr", "fdr"], "task", "method", sort=False)

# %% mystnb={"image": {"alt": "Two panels with a row per made-up problem: on the left the share of relevant features that each method found, on the right the share of false ones among those it named. Gating networks find most of them and name few false ones where there are few features, and are less good on some problems with many. LSPIN, L1 and global gates name more false ones where different features matter for different samples; boosting misses some almost everywhere."}}
methods = list(dict.fromkeys(made_up["method"]))
marks = dict(zip(methods, "oDx^s", strict=False))
colors = dict(zip(methods, ("black", "#CC79A7", "#0072B2", "#D55E00", "0.6"), strict=False))
fig, axes = plt.subplots(1, 2, figsize=(9, 5.2), sharey=True, layout="constrained")
for ax, kind in zip(axes, ("tpr", "fdr"), strict=True):
    for method in methods:
        rows = of_task[kind, method]
        ax.plot(rows, rows.index, marks[method], color=colors[method], alpha=0.8)
    ax.grid(axis="y", color="0.9")
    ax.set_xlim(-0.03, 1.03)
axes[0].invert_yaxis()
axes[0].set_xlabel("found: share of the relevant features")
axes[1].set_xlabel("false: share of the named features")
fig.legend(methods, loc="outside upper center", ncols=5, frameon=False, fontsize=8)
name_source(fig, "Made-up samples, no cells; recorded.")
plt.show()

# %%
ours = made_up[made_up["method"].isin(["LSPIN", "gating network"])]
scored = ours.pivot_table(["tpr", "fdr", "score", "best_score"], "task", "method", sort=False)
best = scored["best_score"].mean(axis=1)
scored[["tpr", "fdr", "score"]].assign(best=best).round(3)

# %% [markdown]
# (*score* is the accuracy, for *linear_groups* and *e5* the squared error, and *best* that of the best
# possible model.)
#
# So gating networks *can* tell the truth, which features matter for which sample. But they do not *always*
# tell it: with many features of noise they miss more, and at worst they are no better than global gates.
# In E5, where $y$ depends on a product, a gate of one factor that closes early is lost for good, because
# the other factor alone tells nothing. The score shows it, too. **A model that misses a reason is also
# wrong, so look at the score before the gates.**
#
# One more warning: there were 1000 to 10,000 samples, and the features were independent of each other.
# Neurons are fewer, and their measurements say the same thing several times over.
#
# ## Three models on the stand
#
# Now to neurons. We examine three models: one that leaves *five* gates of each cell open, one that leaves
# *eight*, and one whose five gates are opened by *gating networks*. As before, we explain cells of donors
# that the models have never met: one fifth of them.

# %% tags=["remove-stderr"]
from lspin.explain import hold_out
from lspin.model import count_open
from lspin.studies import examined

models = examined()
FEW, MORE, NETWORK = models
held = {name: hold_out(cells, model, n_folds=1)[0] for name, model in models.items()}
found = {
    name: {
        "accuracy": np.mean(h.called == h.cells.y),
        "open gates (median)": count_open(h.gates),
        "open for any cell": (h.gates > 0).any(axis=0).sum(),
    }
    for name, h in held.items()
}
pd.DataFrame(found).T.round(3)

# %% [markdown]
# Each model has one mask: what its open gates let through is all that it used of a cell. The last
# column counts the measurements that it used of *any* of these cells: gating networks make do with few for
# everybody, while among gates closed cell by cell nearly every one is needed by some cell.
#
# The same questions, asked of all five folds and at greater length, were answered beforehand on
# recorded cells, of the models that are listed below. These figures are shown beside the quick ones,
# whatever source you run this chapter on.

# %%
tables, about = read_results(results_file("explanations"))
recorded_on = "Recorded on the " + about["banner"].removeprefix("Source: ")
print(recorded_on)
recorded = list(about["models"])
for name, model in about["models"].items():
    print(f"{name}: {model}")
tables["gates"].groupby("model", sort=False).mean().round(1)

# %% [markdown]
# ## Are they the reasons of this prediction?
#
# If the measurements that are named first really carry the answer, then it should fall quickly when
# they are taken away one by one (*deletion*), and rise quickly when they alone are given back one
# by one (*insertion*) {cite}`petsiuk2018`. A measurement is taken away by closing its gate. What
# is left to choose is the order:
#
# - the **effect of the gate**, LSPIN's own reasons: what closing it alone takes from the answer;
# - the **width of the gate**: how far it is open, and nothing else. Gates of gating networks can be half
#   open; those that close in turn are open or not, and then this is the order of the table's columns;
# - **random**: any order at all. Who is not clearly better has explained nothing.

# %%
from lspin.explain import faithfulness

areas, curves = {}, {}
for name, h in held.items():
    areas[name], of_class = faithfulness([h])
    curves[name] = of_class.sort_index()
by_order = pd.concat(areas, names=["model"]).groupby(["model", "order"])
by_order = by_order[["deletion", "insertion"]].mean()
for name in models:
    own, chance = by_order.loc[(name, "effect of the gate")], by_order.loc[(name, "random")]
    assert own["deletion"] < chance["deletion"] and own["insertion"] > chance["insertion"]
by_order.round(3)

# %% [markdown]
# The numbers are areas under the curves, from 0 to 1: low is good for deletion, high for insertion.
# The curves themselves, for the model with few gates and the cells called by each name:

# %% mystnb={"image": {"alt": "Ten small charts: for each class, the probability of the predicted class while gates are closed one by one above, and while they are opened alone one by one below. In the order of the effects the curves fall and rise fastest, in random order slowest, and in the order of the widths close to random. The curves of one class fall less than the others."}}
styles = {
    "effect of the gate": {"color": "black", "ls": "-"},
    "width of the gate": {"color": "#0072B2", "ls": "--"},
    "random": {"color": "0.6", "ls": ":"},
}
classes = sorted(areas[FEW]["class"].unique())
fig, axes = plt.subplots(
    2, len(classes), figsize=(9, 4.2), sharex=True, sharey=True, layout="constrained"
)
for column, name in zip(axes.T, classes, strict=True):
    column[0].set_title(name, fontsize=10)
    for order, style in styles.items():
        for ax, kind in zip(column, ("deletion", "insertion"), strict=True):
            ax.plot(curves[FEW].loc[(name, order), kind], label=order, **style)
    column[1].set(xlabel="gates", xlim=(0, 5))
axes[0, 0].set(ylabel="probability left\nwhen closed", ylim=(0, 1))
axes[1, 0].set(ylabel="probability reached\nwhen alone open")
axes[0, -1].legend(frameon=False, fontsize=7)
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# Mind where the upper curves end: with all gates closed, each class is left with what the model says of
# it when it is shown nothing ({doc}`09_gates`). Where that is much, there is less to take away.
#
# Reasons are also to be had from outside, for any model: **SHAP** {cite}`lundberg2017` averages what
# a measurement adds over many orders in which all of them could be given; **integrated gradients**
# {cite}`sundararajan2017`, here as implemented in captum {cite}`captum2020`, follow the gradient
# from no measurement to all of them. Both explained the same model, and were tested in the same
# way.
#
# There is one choice to make. When a measurement is taken away, do the other gates stay *as they
# were*? That is what LSPIN's reasons are about: the predictor, given what the gates let through. Or
# does what decides about gates lose the measurement, too, and all gates are *set anew*? We tried both.

# %%
print(recorded_on)
faithful = tables["faithfulness"].query("`class` == 'all'")
faithful.pivot(index=["model", "order"], columns="gates", values=["deletion", "insertion"]).round(3)

# %% mystnb={"image": {"alt": "Dots with short intervals for each model: area under the deletion curve on the left and under the insertion curve on the right, for the orders given by SHAP, integrated gradients, the effect of the gate, its width, and chance. The first three lie close together, chance is far away, the width between them or close to chance."}}
kept = faithful.query("gates == 'as they were'").set_index(["model", "order"])
orders = ["SHAP", "integrated gradients", "effect of the gate", "width of the gate", "random"]
COLORS = ("black", "0.6", "#CC79A7", "#0072B2")
fig, axes = plt.subplots(1, 2, figsize=(8, 2.4), sharey=True, layout="constrained")
for ax, kind in zip(axes, ("deletion", "insertion"), strict=True):
    for shift, name, color in zip((-0.2, 0, 0.2), recorded, COLORS, strict=False):
        rows, y = kept.loc[name].loc[orders], np.arange(len(orders)) + shift
        ax.hlines(y, rows[f"{kind}_low"], rows[f"{kind}_high"], color=color)
        ax.plot(rows[kind], y, "o", color=color, ms=4, label=name)
    ax.set(xlabel=f"area under the {kind} curve", xlim=(0, 1))
axes[0].set_yticks(range(len(orders)), orders)
axes[0].invert_yaxis()
axes[0].legend(frameon=False, fontsize=8)
name_source(fig, recorded_on)
plt.show()

# %%
gap = kept["insertion"] - kept["deletion"]
for name in recorded:
    assert gap[name, "effect of the gate"] > gap[name, "random"]
    way = (gap[name] - gap[name, "random"]) / (gap[name, "SHAP"] - gap[name, "random"])
    print(
        f"{name}: from chance to SHAP, the effects go {way['effect of the gate']:.0%} of the way, "
        f"the widths {way['width of the gate']:.0%}"
    )

# %% [markdown]
# The intervals draw donors with replacement (95 %). What to take from this: the *effects* go most
# of the way from chance to SHAP, at a small part of its price. The *widths* say less: how far a gate
# is open is not what it does. With gates closed in turn, even the best order is not as far from chance as
# with gating networks: the predictors behind them were trained on random masks, and when a measurement is
# taken away, they make do with what is left.
#
# Then compare the columns of the table. Where all gates are *set anew*, taking a measurement away also
# changes which others are let through. After gating networks insertion suffers most: a few measurements
# alone do not open the gates that the whole cell opened. Where gates close in turn, others step in for
# what is taken away, so that it matters less. The mask jumps from one set to another then, and integrated
# gradients, which add up small steps, do not see the jumps: read those rows with care.
#
# ## Measurements that say the same
#
# Before we ask whether two models give the same reasons, we must say what *the same* means. The
# peak of a spike is measured in three stimuli, and a model may take any of the three. By Ohm's
# law, a cell with a high input resistance needs little current to reach threshold; so there, too,
# one measurement is as good as the other. We put into one group whatever is correlated (Spearman's
# rho of 0.7 or more, positive or negative, between *any* two of the group; the classes are not
# looked at).

# %%
from lspin.explain import SAME, feature_groups
from lspin.features import FEATURES

groups = feature_groups(held[FEW].Z)
shared = groups[groups.duplicated(keep=False)]
assert SAME == 0.7
print(f"{len(groups)} measurements in {groups.nunique()} groups; those with more than one member:")
for members in shared.groupby(shared).groups.values():
    print("-", "; ".join(FEATURES[name].label for name in members))

# %% [markdown]
# ## Would another seed have said the same?
#
# We train a second model, with nothing changed but the random numbers, and compare for each
# held-out cell what the two give as reasons: the *open gates*, and the *three strongest* (with the
# largest effect). The overlap of two sets is the Jaccard index
# J: what is in both, as a share of what is in either.
#
# Some overlap E would be there by chance, so we also give the corrected overlap
# $(J - E) / (1 - E)$, which is 1 for perfect agreement and 0 for chance {cite}`hubert1985`. There
# are two kinds of chance to beat:
#
# - **beyond size**: E is the overlap of random sets of the same sizes, the usual yardstick for the
#   stability of feature selection {cite}`nogueira2018`;
# - **beyond cell**: E is the overlap with the second model's set *of any other cell*. This is the
#   harder one. A model that opens its favourite gates whoever comes agrees with itself perfectly
#   and says nothing about this cell.

# %% tags=["remove-stderr"]
from dataclasses import replace

from lspin.explain import train_on

again = {
    name: replace(h, pipeline=train_on(h.seen, models[name], random_state=1))
    for name, h in held.items()
}
for name, h in held.items():
    same_answer = np.mean(again[name].called == h.called)
    print(f"{name}: the two models give the same answer for {same_answer:.0%} of cells")

# %%
from lspin.explain import agreement, nearest, open_sets, strongest_sets, to_groups

rows = {}
for name, h in held.items():
    for reasons, sets_of in (("open gates", open_sets), ("three strongest", strongest_sets)):
        first, second = sets_of(h), sets_of(again[name])
        neighbours = first[nearest(h.Z, h.cells.donors)]
        in_groups = to_groups(first, groups), to_groups(second, groups)
        rows[name, reasons, "another seed"] = agreement(first, second)
        rows[name, reasons, "another seed, groups"] = agreement(*in_groups)
        rows[name, reasons, "the most similar cell"] = agreement(first, neighbours)
live = pd.DataFrame(rows).T
ours, theirs = (live.loc[name].loc["open gates", "beyond_cell"] for name in (FEW, NETWORK))
assert ours["another seed"] > theirs["another seed"]
assert ours["the most similar cell"] < theirs["the most similar cell"]
live.round(2)

# %% [markdown]
# The last row of each block compares a cell with the most similar cell of another donor, in one
# model: do neighbours have similar reasons? The recorded table adds models trained on other
# donors: each without another quarter of them, or on donors drawn with replacement.

# %%
print(recorded_on)
stable = tables["stability"].set_index(["model", "reasons", "compared with", "unit"])
stable.unstack("unit")[["beyond_size", "beyond_cell"]].round(2)

# %% mystnb={"image": {"alt": "Horizontal bars, for each model side by side, of the corrected overlap of reasons between trainings, beyond what any other cell would give: for open gates and for the three strongest, by measurement and by group. Where gates close in turn they are long, where gating networks open them short. Bars by group are mostly longer than those by measurement."}}
trained = stable["beyond_cell"].drop("the most similar cell", level="compared with")
n = len(recorded)
fig, axes = plt.subplots(1, n, figsize=(9, 2.8), sharex=True, sharey=True, layout="constrained")
for ax, name in zip(axes, recorded, strict=True):
    bars = trained.loc[name].unstack()
    y = np.arange(len(bars))
    for shift, unit, color in ((-0.2, "measurement", "0.7"), (0.2, "group", "0.2")):
        ax.barh(y + shift, bars[unit], 0.38, color=color, label=f"by {unit}")
    ax.set_yticks(y, [f"{reasons}: {what}" for reasons, what in bars.index], fontsize=8)
    ax.axvline(0, color="black", lw=0.8)
    ax.set_title(name, fontsize=10)
    ax.set_xlabel("agreement beyond other cells", fontsize=9)
axes[0].invert_yaxis()
axes[0].set_xlim(None, 1)
axes[-1].legend(frameon=False, fontsize=8, loc="lower right")
name_source(fig, recorded_on)
plt.show()

# %% [markdown]
# Read it in this order. Two trainings of gating networks have little in common for a cell that would not
# do for any other as well, although they agree about most answers: **there are several good reasons for
# the same answer, and training picks some of them.** Where gates close in turn, another training leaves
# much the same ones open. Its bars are not at 1 either: where two measurements say the same, one of them
# is left and which one is a matter of little. So bars *by group* are mostly longer.
#
# With *the most similar cell* it is the other way round. Gating networks give neighbours nearly the same
# reasons: theirs are a smooth function of the cell, but *this network's* function, and another training
# finds another one. Gates closed in turn are looked for in each cell anew. They depend on the cell's own
# values and little on the training, and so may differ between two cells that are much alike. Which of the
# two you want to be stable is, again, a matter of your question.

# %% [markdown]
# ## Take-away
#
# - Take the reasons away and see whether the answer falls. Compare with random reasons, always.
# - The effect of a gate is a reason; its width is not.
# - *Sufficient for this cell* and *relevant for cells like it* are two questions. Gates closed in turn answer
#   the first, gating networks rather the second.
# - Train again before you believe a reason, and count measurements that say the same as one. Gates closed in
#   turn stand this test better; gating networks agree with themselves about neighbours, which is cheaper.
#
# ## Exercises
#
# **1.** Two models open five of 42 gates each, without looking at the cell. What Jaccard index do you
# expect on average?
#
# ```{dropdown} Solution
# Of five gates the other set holds $5 \cdot 5 / 42 = 0.6$ on average, so about 0.6 of 9.4 gates in
# either are in both: 0.06 or so. Without this yardstick 0.06 looks like "some agreement".
# ```

# %% tags=["hide-cell"]
rng = np.random.default_rng(0)
one, other = (rng.random((10_000, 42)).argsort(axis=1) < 5 for _ in range(2))
index = (one & other).sum(axis=1) / (one | other).sum(axis=1)
print(f"mean Jaccard index of two random sets: {index.mean():.3f}")

# %% [markdown]
# **2.** The effect of closing one gate is small where another gate says the same. How much do cells
# called Pvalb+ lose when all gates of the fall times are closed at once, compared with the sum of
# closing them one by one?
#
# ```{dropdown} Solution
# If the measurements were independent reasons, closing all of them would cost about the sum.
# If it costs more, they stood in for each other; if less, they were needed together.
# ```

# %% tags=["hide-cell"]
h = held[FEW]
called = h.called == "Pvalb+"
k = list(h.model.classes_).index("Pvalb+")
of_group = h.Z.columns.str.startswith("fall_ms")
together = (h.probability - h.closing(~of_group))[called, k]
single = h.effects[called][:, of_group, k].sum(axis=1)
print(f"closed together {together.mean():.1%}, sum of one by one {single.mean():.1%}")

# %% [markdown]
# ## What's next?
#
# The reasons are the model's own, and in good part they hold. But *which* gates are open may say more
# than what is behind them: {doc}`11_useful` looks for leaks, holds the reasons against what is known
# about neurons, and puts them to use.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
