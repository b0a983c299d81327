# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How wrong is a Cre line?
#
# ## Overview
#
# So far the class of a cell was that of its Cre line, with a warning that a Cre line is a doubtful
# label. How doubtful? And what does a model learn from doubtful labels: the cells, or the doubts? There
# are neurons of which more is known. In **Patch-seq**, the content of the cell is sucked into the pipette
# after the recording and its RNA is read: which genes it uses says what type it is, whatever the Cre line
# says {cite}`gouwens2020`. Thousands of neurons of mouse visual cortex were recorded in this way, with the
# stimuli and the features of our table, so each has *two labels* to hold against each other.
#
# ## After this chapter you can
#
# - say how often Cre line and RNA agree, and for which lines not to trust the Cre line;
# - explain how a model can be better than the labels it learned from;
# - tell which mistakes of a label are outvoted and which are learned;
# - say what doubtful labels do to the probabilities of a model;
# - find cells that are probably mislabelled.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Cre lines, and donors that never straddle a split | Necessary | {doc}`01_fetching_cells` |
# | Model inputs | Necessary | {doc}`02_features` |
# | Training and test sets, cross-validation | Necessary | [scikit-learn's guide](https://scikit-learn.org/stable/modules/cross_validation.html) |
# | Confidence intervals | Necessary | any introduction to statistics |
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
from lspin.studies import cells_with_both_labels

by_cre, by_rna = cells_with_both_labels(or_twin=True)
print(by_rna.banner())
print(by_cre.banner())

# %% [markdown]
# These are the same cells, in the same order, with the same features. They are inhibitory, and only
# cells take part that glowed, that is, whose Cre line had done its work. The types that RNA tells apart
# are many; we put them together into *subclasses*, and these into the four classes that the Cre lines
# stand for: Pvalb, Sst and Vip by their names, and Lamp5 and Sncg as what {cite:t}`ophir2023` call
# Htr3a+|Vip-. (RNA is not beyond doubt, either. The type is assigned by comparing a cell with many
# others, and the publishers say for each how sure that was. But it is the better witness by far, and
# one that has not heard the recording. *MET types*, which exist as well, have: they were made from the
# electrophysiology, among other things, so they cannot be used to judge it.)
#
# The source is that named above. What took too long for a page was recorded on real cells before, with
# `make results`, and is shown beside the live part, whatever the source:

# %%
from lspin.studies import read_results, results_file

tables, about = read_results(results_file("labels"))
recorded_on = "Recorded on " + about["banner"].removeprefix("Source: ")
print(recorded_on)
print(about["protocol"])

# %% [markdown]
# **The models**, in a sentence each. You need not know them to follow; later chapters take them apart.
#
# - A *support vector machine* (RBF-SVM) compares a new cell with the training cells that lie near it.
# - *LSPIN* is the model of this book: the mean of twelve neural networks that see all measurements
#   ({doc}`04_one_gate` to {doc}`06_how_many`).
# - *LSPIN, 5 gates* answers with five measurements only, others in each cell. A measurement that it does
#   not use is said to be behind a closed *gate*.
#
# {doc}`07_baselines` compares such models under one protocol.
#
# ## How often do they agree?
#
# Rows are what the Cre line says, columns what the RNA says.

# %%
import pandas as pd

pd.crosstab(by_cre.y.rename("Cre line"), by_rna.y.rename("RNA"))

# %%
agrees = by_cre.y == by_rna.y
print(f"They agree in {agrees.mean():.1%} of these cells.")
agrees.groupby(by_cre.y).mean().round(2)

# %% [markdown]
# One class stands out: what is called Htr3a+|Vip- is often something else. It is a class of
# convenience. Gad2, one of its lines, marks nearly all inhibitory cells, and Htr3a marks cells of
# several subclasses. So look at the single lines. The intervals draw animals, not cells: cells of one
# animal can be wrong together.

# %% mystnb={"image": {"alt": "Dot plot with a row per Cre line and 95 % intervals: the share of cells whose RNA says the same class. Chat, Pvalb, Vip, Ndnf and Sst lines are at 0.9 or above, Chrna2, Oxtr, Htr3a and Nos1 around a half, Gad2 below a third, and two crosses of a Cre with a Flp line at zero."}}
import matplotlib.pyplot as plt

from lspin.show import class_styles, name_source

lines = tables["lines"].query("line != 'all' and cells >= 20")
lines = lines.sort_values("agree").reset_index(drop=True)
styles = class_styles(sorted(lines["class"].unique()))
fig, ax = plt.subplots(figsize=(8, 5.2), layout="constrained")
for name, rows in lines.groupby("class"):
    color, marker = styles[name]
    ax.hlines(rows.index, rows["low"], rows["high"], color=color)
    ax.plot(rows["agree"], rows.index, marker, color=color, label=name)
sizes = "  (" + lines["cells"].astype(str) + ")"
ax.set_yticks(lines.index, lines["line"] + sizes, fontsize=8)
ax.set(xlabel="share of cells whose RNA says the same", xlim=(-0.03, 1.03))
ax.legend(frameon=False, fontsize=8, loc="lower right")
name_source(fig, recorded_on)
plt.show()

# %% [markdown]
# (In brackets: cells. Lines with fewer than 20 are left out here.) A line named for a *marker* of a
# subclass, such as Pvalb or Vip, can be trusted. One named for a gene that several subclasses use
# cannot. Where a Cre line is crossed with a Flp line (after the |), a cell glows only if both were at
# work, and we read the class off the Cre line alone; where the Flp line marks *another* class, the
# cells are that class in truth, and the rule is wrong for all of them. That is our rule and not a
# failure of the mice. With a label like this, 100 % is out of reach for any model:

# %%
of_all = tables["lines"].set_index("line").loc["all"]
print(
    f"Cre line and RNA agree in {of_all['agree']:.1%} of {of_all['cells']} cells "
    f"(95 % interval {of_all['low']:.1%} to {of_all['high']:.1%})."
)

# %% [markdown]
# ## Trained on the one, judged by the other
#
# Now train two models, the one on Cre lines and the other on RNA, with the same cells, and ask
# both about cells of donors that they have not met. Each answer is judged twice. Here with five open
# gates and one fifth of the donors:

# %% tags=["remove-stderr"]
from lspin import LSPINClassifier
from lspin.explain import hold_out

few = LSPINClassifier(max_open=5)
(from_cre,) = hold_out(by_cre, few, n_folds=1)
(from_rna,) = hold_out(by_rna, few, n_folds=1)
rows = {}
for learned, held in (("Cre line", from_cre), ("RNA", from_rna)):
    cre, rna = (of.y[held.cells.X.index] for of in (by_cre, by_rna))
    rows[learned] = {
        "right by Cre line": (held.called == cre).mean(),
        "right by RNA": (held.called == rna).mean(),
    }
pd.DataFrame(rows).T.rename_axis("learned from").round(3)

# %% [markdown]
# Read the first row. The model learned from Cre lines and is judged by the RNA that it has never
# seen, and it is *better by that judge* than by the one it was taught by. All models do it; here are
# those of the whole protocol (what was learned → who judges):

# %%
from lspin.evaluate import intervals

scores = tables["scores"]
words = "{mean:.3f} ({low:.3f} to {high:.3f})"
columns = {}
for name, part in scores.groupby("table", sort=False):
    found = intervals(part)["accuracy"]
    columns[name] = found.apply(lambda row: words.format(**row), axis=1)
pd.DataFrame(columns).loc[about["models"]]

# %%
wide = scores.pivot_table("accuracy", "model", "table")
better = wide["Cre line → RNA"] - wide["Cre line → Cre line"]
print(f"better by RNA than by Cre line in all {len(better)} models:", (better > 0).all())
print(f"by {better.min():.3f} to {better.max():.3f} in accuracy")
lost = (wide["RNA → RNA"] - wide["Cre line → RNA"]).loc["LSPIN"]
print(f"what LSPIN loses by learning from Cre lines, judged by RNA: {lost:.3f}")
assert (better > 0).all()

# %% [markdown]
# So **the model is better than its labels**. About a fifth of the labels are wrong, and yet most of
# what it says is right, because the wrong labels do not agree with each other: a Sst cell labelled as
# Htr3a+|Vip- lies among many Sst cells that are labelled correctly, and a model that is not flexible
# enough to learn every cell by heart goes with the many. It also means that *scores against Cre lines,
# those of the later chapters included, are too low* for all models, by about the share of wrong labels.
#
# Who is ahead? Two judges, two models, the same folds. (The recorded rows with five gates are of gating
# networks; gates closed one at a time, which came later, did better where both were scored,
# {doc}`07_baselines`.)

# %%
from lspin.evaluate import ahead

for name in ("RNA → RNA", "Cre line → RNA"):
    part = scores[scores["table"] == name]
    print(name)
    for model in ("LSPIN", "LSPIN, 5 gates"):
        print("  " + ahead(part, model, "RBF-SVM", "accuracy"))
        print("  " + ahead(part, model, "RBF-SVM"))
    print("  " + ahead(part, "LSPIN, 5 gates", "LSPIN"))

# %% [markdown]
# ## Which mistakes of a label do harm?
#
# An experiment of our own: we take the labels from RNA and spoil them, in two ways. *At random*: some
# labels are replaced by any of the other classes. *All one way*: the wrong ones of a class are all given
# the same other class, as a line would that marks the wrong cells. A support vector machine learns
# from the spoiled labels and is judged by the clean ones.

# %%
import numpy as np

classes = np.unique(by_rna.y)


def spoil(y, share, one_way, rng):
    """Replace a share of the labels, at random or by the next class."""
    wrong = rng.random(len(y)) < share
    step = 1 if one_way else rng.integers(1, len(classes), len(y))
    other = classes[(np.searchsorted(classes, y) + step) % len(classes)]
    return y.where(~wrong, other)


# %%
from lspin.data import donor_folds
from lspin.evaluate import quick_rivals
from lspin.features import model_inputs

train, test = donor_folds(by_rna.y, by_rna.donors)[0]
inputs = model_inputs(by_rna.X).fit(by_rna.X.iloc[train])
Z = inputs.transform(by_rna.X)
shares, judged = (0, 0.1, 0.2, 0.3, 0.4, 0.5), {}
for kind, one_way in (("at random", False), ("all one way", True)):
    rng = np.random.default_rng(0)
    for share in shares:
        svm = quick_rivals()["RBF-SVM"]
        svm.fit(Z.iloc[train], spoil(by_rna.y.iloc[train], share, one_way, rng))
        right = svm.predict(Z.iloc[test]) == by_rna.y.iloc[test]
        judged[kind, share] = right.mean()

# %% mystnb={"image": {"alt": "Two lines of accuracy against the share of wrong labels, judged by clean labels, and a dotted line of the share of labels that are right. With random mistakes the accuracy hardly falls; with mistakes that all go one way it holds for a while and drops steeply between 40 and 50 % wrong labels."}}
fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for (kind, line), marker in zip(pd.Series(judged).groupby(level=0), "so", strict=True):
    ax.plot(shares, line, f"{marker}-", label=f"wrong {kind}")
ax.plot(shares, 1 - np.array(shares), ":", color="0.6", label="labels that are right")
ax.set(xlabel="share of wrong labels in training", ylabel="accuracy, clean labels")
ax.legend(frameon=False)
name_source(fig, by_rna.banner())
plt.show()

# %% [markdown]
# Mistakes that point everywhere are outvoted, even many of them. Mistakes that all point the same way
# are learned as soon as they are about as many as the right ones. A line of which most cells are another
# type, such as Gad2, would teach just that; it does little harm here only because the type in question
# is taught by other, better lines at the same time.
#
# ## What do doubtful labels do to the probabilities?
#
# A model that says 80 % should be right in 80 % of such cases, and one trained on labels of which a
# fifth is wrong has learned that nobody can be sure. Judged by the same kind of label it is right about
# that. Judged by the truth it is far too modest:

# %% mystnb={"image": {"alt": "Three panels of accuracy against stated probability for LSPIN, a support vector machine and LSPIN with five gates. Learned from and judged by Cre lines, and learned from and judged by RNA, the points follow the diagonal; learned from Cre lines and judged by RNA, they lie far above it."}}
reliability = tables["reliability"].query("cells >= 20")
shown = ("Cre line → Cre line", "Cre line → RNA", "RNA → RNA")
models = ("LSPIN", "LSPIN, 5 gates", "RBF-SVM")
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
for ax, name in zip(axes, models, strict=True):
    ax.plot([0.25, 1], [0.25, 1], ":", color="0.6")
    for pair, marker in zip(shown, "osD", strict=True):
        rows = reliability.query("model == @name and table == @pair")
        ax.plot(rows["confidence"], rows["accuracy"], f"{marker}-", ms=4, label=pair)
    ax.set_title(name, fontsize=10)
    ax.set_xlabel("probability of the answer")
axes[0].set_ylabel("share that is right")
axes[0].legend(frameon=False, fontsize=7)
name_source(fig, recorded_on)
plt.show()

# %%
calibration = tables["calibration"].pivot(index="model", columns="table", values="ece")
print("calibration error (0 is best):")
calibration.loc[list(models), list(shown)].round(3)

# %% [markdown]
# A probability speaks of the labels it was learned from. *Sure of the Cre line* and *sure of the cell*
# are different things, and a model cannot know which of them you mean.
#
# ## And to the gates?
#
# For the same cells, which gates does the model open that learned from RNA, and which does the one that
# learned from Cre lines? We count how much the two sets of five overlap (measurements in both, divided
# by measurements in either), and need something to compare with: the same label and another seed; and
# two different cells in one model.

# %%
print(recorded_on)
tables["overlap"].set_index("compared with").round(2)

# %%
overlap = tables["overlap"].set_index("compared with")
seed, label = (overlap.loc[name] for name in ("the same label, another seed", "the other label"))
verdict = "less than" if label["high"] < seed["low"] else "no less than"
print(f"With the other label the gates overlap {verdict} with another seed.")

# %% [markdown]
# Which measurements a single training picks is largely chance, because many of them say the same
# ({doc}`10_faithful` measures it). Ask of every change in the gates whether it is larger than that of another seed
# before you call it a finding. The gates that are open most often, per class and label:

# %%
gates = tables["gates"].sort_values("open", ascending=False)
top = gates.groupby(["class", "trained_on"]).head(4)
top = top.assign(gate=top["feature"] + " " + top["open"].map("{:.0%}".format))
top.groupby(["class", "trained_on"])["gate"].apply("; ".join).to_frame()

# %% [markdown]
# ## Where they differ, whom do the measurements believe?
#
# Take only cells whose two labels differ. A model that learned from Cre lines, of other animals,
# names a class: that of the RNA, that of the Cre line, or a third one. It was taught to say the Cre
# line.

# %% mystnb={"image": {"alt": "Dots with 95 % intervals, a row per Cre line with at least ten cells whose labels differ: the share of these cells for which LSPIN, trained on Cre lines, says what the RNA says, and the share for which it says what the line says. For all lines together about four of five answers agree with the RNA; for the Vip line the Cre line is believed more often."}}
believed = tables["believed"].query("model == 'LSPIN' and cells >= 10")
believed = believed.sort_values("rna")
believed["name"] = believed["line"] + "  (" + believed["cells"].astype(str) + ")"
fig, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
for side, color, marker, label in (
    ("rna", "black", "o", "says what the RNA says"),
    ("cre", "#D55E00", "s", "says what the Cre line says"),
):
    ax.hlines(believed["name"], believed[f"{side}_low"], believed[f"{side}_high"], color=color)
    ax.plot(believed[side], believed["name"], marker, color=color, label=label)
ax.tick_params(axis="y", labelsize=8)
ax.set(xlabel="share of the cells whose labels differ", xlim=(-0.03, 1.03))
fig.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
name_source(fig, recorded_on)
plt.show()

# %%
everyone = tables["believed"].query("line == 'all'").set_index("model")
ours = everyone.loc["LSPIN"]
print(
    f"Of {ours['cells']:.0f} cells, LSPIN says what the RNA says of {ours['rna']:.0%} "
    f"({ours['rna_low']:.0%} to {ours['rna_high']:.0%}) and what the line says of "
    f"{ours['cre']:.0%} ({ours['cre_low']:.0%} to {ours['cre_high']:.0%})."
)
assert (everyone["rna_low"] > everyone["cre_high"]).all()
everyone[["rna", "cre"]].round(2)

# %% [markdown]
# The measurements side with the RNA, and most of all where the line is at its worst. Where a line is
# hardly ever wrong, as Vip, the few cells that differ are a mixed lot, and the intervals are wide:
# there the RNA itself may be the one that errs, or the cell may lie between two classes.
#
# ## Were the odd cells mislabelled?
#
# If the five measurements that answer for a cell are those of another class, perhaps its label is wrong.
# `odd_cells` ranks held-out cells by how unlike their class their gates are: the 25 training cells with
# the most similar gates are looked up, and a cell is odd if hardly any of them has its label.
# ({doc}`11_useful` does so on cells with one label, where nobody can tell whether the list is right.)
# This list is from the model trained on Cre lines; the RNA tells which labels were wrong.

# %%
from lspin.explain import odd_cells

odd = odd_cells(from_cre)
is_wrong = by_rna.y[odd.index] != odd["class"]
by_chance = is_wrong.mean()
print(f"labels that are wrong, of all {len(odd)} held-out cells: {by_chance:.0%}")
for k in (10, 50, 100):
    print(f"among the {k} oddest: {is_wrong.head(k).mean():.0%}")

# %% [markdown]
# The same of all five folds, beside a yardstick: a list sorted by the plain
# probability that the model gives to the label, which needs no gates.

# %% mystnb={"image": {"alt": "Share of wrong labels among the 10, 50 and 100 cells at the top of each list, with intervals: lists by low probability of the label from LSPIN, LSPIN with five gates and a support vector machine are near nine in ten, the list by gates is lower, about three in four; a dotted line marks chance, below a fifth."}}
lists = tables["odd"].pivot(index="order", columns="what", values=["mean", "low", "high"])
by_gates = "LSPIN, 5 gates: gates unlike the label"
plain = "low probability of the label"
named = {by_gates: "s", f"LSPIN, 5 gates: {plain}": "o"}
named |= {f"LSPIN: {plain}": "D", f"RBF-SVM: {plain}": "^"}
tops = ["top 10", "top 50", "top 100"]
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for at, (order, marker) in enumerate(named.items()):
    row, x = lists.loc[order], np.arange(3) + 0.12 * (at - 1.5)
    color = "#D55E00" if order == by_gates else "0.35"
    ax.vlines(x, row["low"][tops], row["high"][tops], color=color, lw=1)
    ax.plot(x, row["mean"][tops], marker, color=color, label=order)
chance = lists.loc[by_gates, ("mean", "chance")]
ax.axhline(chance, color="0.6", ls=":", label="chance")
ax.set_xticks(range(3), [f"{top} of a fold" for top in tops])
ax.set(ylabel="share of wrong labels", ylim=(0, 1.02))
ax.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
name_source(fig, recorded_on)
plt.show()

# %%
mean = lists["mean"]
for order in named:
    hits = ", ".join(f"{mean.loc[order, top]:.0%} of the {top}" for top in tops)
    print(f"{order}: {hits}")
print(f"chance: {chance:.0%}")
assert mean.loc[by_gates, tops].min() > 2 * chance

# %%
behind = mean.loc[f"LSPIN, 5 gates: {plain}", tops] - mean.loc[by_gates, tops]
print("The plain probability of the same model finds more than its gates at:")
print(", ".join(behind[behind > 0].index) or "none")

# %% [markdown]
# So the list works: its top is mostly mislabelled cells, several times as many as by chance. And
# it is not the gates that make it work: the plain probability of the label does it as well or better,
# and a support vector machine has that, too. Use the reasons to *understand* a suspicious
# cell, and the probability to *find* it.
#
# ## Take-away
#
# - A Cre line is as good as its gene is a marker: nearly perfect for some lines, worse than a coin for
#   others. Look it up line by line.
# - A model can be better than its labels, if their mistakes do not all point the same way. Then its
#   score against those labels is too low, and no tuning will raise it.
# - Scores against different labels do not compare. Say which label a score is of.
# - Probabilities inherit the doubt of their labels.
# - To find wrong labels, take cells whose label got a low probability from a model that never saw
#   their donor.
#
# ## Exercises
#
# **1.** The publishers say how sure each type is. Is the model right more often where the RNA is surer?
#
# ```{dropdown} Solution
# Cut the cells into halves at the median of `t_type_probability`. On recorded cells the model and
# the RNA agree more often in the surer half: part of what looks like a mistake of the model may be one
# of the RNA. On the twin the probabilities were drawn at random, and nothing follows from them.
# ```

# %% tags=["hide-cell"]
sure = from_rna.cells.metadata["t_type_probability"]
right = pd.Series(from_rna.called == from_rna.cells.y, sure.index)
halves = np.where(
    sure.isna(), "not published", np.where(sure > sure.median(), "surer", "less sure")
)
print(right.groupby(halves).agg(["mean", "size"]).round(3))

# %% [markdown]
# **2.** Leave the worst line, Gad2, out of the training cells. Does the support vector machine that
# learns from Cre lines get better, judged by RNA?
#
# ```{dropdown} Solution
# Fewer cells, but better labels. The difference is small, because the wrong labels had been
# outvoted anyway; ask for an interval before you believe in its sign.
# ```

# %% tags=["hide-cell"]
is_gad2 = by_cre.metadata["line_name"].str.contains("Gad2").to_numpy()
for name, rows in (("all lines", train), ("without Gad2", train[~is_gad2[train]])):
    svm = quick_rivals()["RBF-SVM"].fit(Z.iloc[rows], by_cre.y.iloc[rows])
    right = svm.predict(Z.iloc[test]) == by_rna.y.iloc[test]
    print(f"{name}: {len(rows)} training cells, right by RNA {right.mean():.3f}")

# %% [markdown]
# ## What's next?
#
# Cells, measurements and labels are known now, and what they are worth. {doc}`04_one_gate` begins with the
# model: a gate that lets one measurement of a cell through, or does not.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
