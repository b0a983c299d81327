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
# So far, the class of a cell was that of its Cre line, with the warning that such a label may be wrong.
# How often is it wrong? And what does a model learn from doubtful labels: the cells, or the mistakes?
# For some neurons more is known. In {term}`Patch-seq`, the contents of the cell are drawn into the
# pipette after the recording and its RNA is read. Which genes the cell expresses tells what type it is,
# whatever the Cre line says {cite}`gouwens2020`. Thousands of neurons of mouse visual cortex were recorded
# in this way, with the stimuli and features of our table. So each of them has *two labels*, and we can
# compare one with the other.
#
# ## After this chapter you can
#
# - look up how often a Cre line and RNA agree, and name lines whose label you should not trust;
# - explain how a model can be better than the labels it learned from;
# - tell which mistakes in labels are outvoted and which are learned;
# - explain what doubtful labels do to the probabilities that a model gives;
# - find cells that are probably mislabelled.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Cre lines, and why donors stay on one side of a split | Necessary | {doc}`01_fetching_cells` |
# | Model inputs | Necessary | {doc}`02_features` |
# | Training and test sets, cross-validation | Necessary | [scikit-learn's guide](https://scikit-learn.org/stable/modules/cross_validation.html) |
# | Confidence intervals | Necessary | any introduction to statistics |
#
# ## Time to learn
#
# - **Reading**: 35 minutes
# - **Exercises**: 30 minutes

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
from lspin.studies import cells_with_both_labels

by_cre, by_rna = cells_with_both_labels(or_twin=True)
print(by_rna.banner())
print(by_cre.banner())

# %% [markdown]
# ## Two labels for one cell
#
# `by_cre` and `by_rna` hold the same cells, in the same order, with the same features. Only the label
# differs. All of the cells are inhibitory, and all of them glowed, so their Cre line had done its work.
#
# RNA distinguishes dozens of types ({term}`transcriptomic types <transcriptomic type>`). We group them
# into {term}`subclasses <subclass>`, and these into the four inhibitory classes that the Cre lines stand
# for: Pvalb, Sst and Vip by their names, and Lamp5 and Sncg together as what {cite:t}`ophir2023` call
# Htr3a+|Vip-.
#
# RNA is not beyond doubt, either. A type is assigned by comparing the cell with many others, and the
# publishers give for each cell how sure the assignment was. But RNA is by far the better evidence, and
# it is independent of the recording. (There are also *MET types*, but those were found with the help of
# the electrophysiology, so they cannot be used to judge it.)
#
# Some results of this chapter take too long to compute on a page. They were computed beforehand, on
# recorded cells, with `make results`. They are shown beside the live results, whatever source you run
# the chapter on:

# %%
from textwrap import fill

from lspin.studies import read_results, results_file

tables, about = read_results(results_file("labels"))
recorded_on = "Recorded on " + about["banner"].removeprefix("Source: ")
print(recorded_on)
print(fill(about["protocol"], 79))

# %% [markdown]
# ## How often do the two labels agree?
#
# ```{admonition} Predict before you run
# :class: tip
# Which of the four classes do you expect to be the least reliable when it is read off a Cre line? You
# met a reason in {doc}`01_fetching_cells`.
# ```
#
# In this table, rows are what the Cre line says, and columns are what the RNA says.

# %%
import pandas as pd

pd.crosstab(by_cre.y.rename("Cre line"), by_rna.y.rename("RNA"))

# %%
agrees = by_cre.y == by_rna.y
print(f"They agree in {agrees.mean():.1%} of these cells.")
share = agrees.groupby(by_cre.y.rename("Cre line")).mean()
share.to_frame("RNA says the same").round(2)

# %% [markdown]
# One class stands out: cells labelled Htr3a+|Vip- are often something else. It is a class of
# convenience. Gad2, one of its lines, marks nearly all inhibitory cells, and Htr3a marks cells of
# several subclasses. So let us look at single lines. The {term}`intervals <interval>` come from drawing
# *animals* at random, not cells, because the cells of one animal can be wrong together.

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
# (The number of cells is in brackets. Lines with fewer than 20 cells are left out.)
#
# You can trust a line that is named for a *marker* of a subclass, such as Pvalb or Vip. You cannot
# trust one named for a gene that several subclasses use.
#
# Some mice carry a Cre line and a Flp line (the name after the |). In these a cell glows only if both
# were at work, and our rule reads the class off the Cre line alone. Where the Flp line marks *another*
# class, the cells really are of that class, and the rule is wrong for every one of them. That is a
# failure of our rule, not of the mice.
#
# With labels like these, 100 % is out of reach for any model:

# %%
of_all = tables["lines"].set_index("line").loc["all"]
print(
    f"Cre line and RNA agree in {of_all['agree']:.1%} "
    f"of {of_all['cells']} cells\n"
    f"(95 % interval {of_all['low']:.1%} to {of_all['high']:.1%})."
)

# %% [markdown]
# ## Trained on one label, judged by the other
#
# Now we train the same model twice, on the same cells: once with the label of the Cre line, once with
# that of the RNA. Then both classify cells of donors that they have not seen, and we judge each answer
# twice.
#
# Any classifier will do. We take a {term}`support vector machine`, which compares a new cell with the
# training cells that resemble it. It trains on four fifths of the donors and is tested on the rest.

# %%
from lspin.data import donor_folds
from lspin.features import model_inputs

train, test = donor_folds(by_rna.y, by_rna.donors)[0]
inputs = model_inputs(by_rna.X).fit(by_rna.X.iloc[train])
Z = inputs.transform(by_rna.X)
print(f"{len(train)} cells to train on, {len(test)} to test on")

# %% [markdown]
# ```{admonition} Predict before you run
# :class: tip
# Nearly a fifth of the Cre labels are wrong. A model learns from them and is then judged by the RNA. Will
# it be right more often than its own labels were, about as often, or less often?
# ```

# %%
from lspin.evaluate import quick_rivals

cre, rna = by_cre.y.iloc[test], by_rna.y.iloc[test]
fitted, rows = {}, {}
for label, y in (("Cre line", by_cre.y), ("RNA", by_rna.y)):
    svm = quick_rivals()["RBF-SVM"].fit(Z.iloc[train], y.iloc[train])
    said = svm.predict(Z.iloc[test])
    fitted[label] = svm
    rows[label] = {
        "right by Cre line": (said == cre).mean(),
        "right by RNA": (said == rna).mean(),
    }
pd.DataFrame(rows).T.rename_axis("learned from").round(3)

# %% [markdown]
# Read the first row. This model learned from Cre lines and has never seen any RNA. If you run the
# chapter on recorded cells, it is right *more* often when the RNA judges its answers than when the Cre
# lines do.
#
# That is no peculiarity of one model or one fold. Here are five models over all five {term}`folds <fold>`
# (which label they learned from → which label judges them). You need not know them to follow.
# {term}`RBF-SVM` is the support vector machine that you just met; {term}`logistic regression` and the
# random forest are standard classifiers, too. {term}`LSPIN` is the model that the next part of this book
# builds. *LSPIN, 5 gates* is the same model when it may look at only five measurements of each cell, which
# it chooses cell by cell.

# %%
from lspin.evaluate import intervals

scores = tables["scores"]
columns = {}
for name, part in scores.groupby("table", sort=False):
    found = intervals(part)["accuracy"]
    half = (found["high"] - found["low"]) / 2
    number = "{:.3f}".format
    columns[name] = found["mean"].map(number) + " ± " + half.map(number)
print("accuracy, with the half-width of its 95 % interval")
pd.DataFrame(columns).loc[about["models"]]

# %%
wide = scores.pivot_table("accuracy", "model", "table")
better = wide["Cre line → RNA"] - wide["Cre line → Cre line"]
print("Learned from Cre lines, and then judged by RNA instead of Cre lines:")
print(f"higher in all {len(better)} models: {(better > 0).all()},", end=" ")
print(f"by {better.min():.3f} to {better.max():.3f}")
lspin = wide.loc["LSPIN"]
lost = lspin["RNA → RNA"] - lspin["Cre line → RNA"]
print(f"What LSPIN loses by learning from Cre lines, by RNA: {lost:.3f}")
gain = lspin["RNA → Cre line"] - lspin["Cre line → Cre line"]
print(f"What it gains against Cre lines by learning from RNA: {gain:+.3f}")
assert (better > 0).all()

# %% [markdown]
# So **the model is better than its labels**. Nearly a fifth of the labels are wrong, and yet most of its
# answers are right, because the wrong labels do not agree with each other. An Sst cell that is labelled
# Htr3a+|Vip- lies among many Sst cells with the correct label. A model that is not flexible enough to
# learn every cell by heart goes with the majority.
#
# It also follows that *scores against Cre lines are too low*, those of later chapters included. How much
# too low depends on the lines in the table; here it is the difference that you see above. Better training
# labels would not raise them: as the last line shows, they stay about where they are even for a model that
# learned from the RNA.
#
# Which model is ahead? We compare two at a time on the same folds, by their {term}`macro F1`.

# %%
from lspin.evaluate import ahead

pairs = [("LSPIN", "RBF-SVM"), ("LSPIN, 5 gates", "RBF-SVM")]
pairs += [("LSPIN, 5 gates", "LSPIN")]
for name in ("RNA → RNA", "Cre line → RNA"):
    print(name)
    for model, other in pairs:
        sentence = ahead(scores[scores["table"] == name], model, other)
        print(
            fill(sentence, 79, initial_indent="  ", subsequent_indent="    ")
        )

# %% [markdown]
# {doc}`07_baselines` compares such models at length.
#
# ## Which wrong labels do harm?
#
# For this we run an experiment of our own: take the labels from the RNA and spoil them, in two ways.
#
# - *At random*: some labels are replaced by any of the other classes.
# - *All one way*: the wrong labels of a class are all replaced by the same other class, as a Cre line
#   would do that marks the wrong cells.
#
# A support vector machine learns from the spoiled labels and is tested with the clean ones.
#
# ```{admonition} Predict before you run
# :class: tip
# How many wrong labels can the model stand: 10 %, 30 %, 50 %? Does it matter which way they point?
# ```

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
from sklearn.svm import SVC

shares, clean = (0, 0.1, 0.2, 0.3, 0.4, 0.5), by_rna.y.iloc[train]
judged = {"at random": [], "all one way": []}
for kind, accuracies in judged.items():
    rng = np.random.default_rng(0)
    for share in shares:
        y = spoil(clean, share, kind == "all one way", rng)
        svm = SVC(C=3, gamma=0.01).fit(Z.iloc[train], y)
        accuracies.append((svm.predict(Z.iloc[test]) == rna).mean())

# %% mystnb={"image": {"alt": "Two lines of accuracy against the share of wrong labels, judged by clean labels, and a dotted line of the share of labels that are right. With random mistakes the accuracy hardly falls; with mistakes that all go one way it holds for a while and drops steeply between 40 and 50 % wrong labels."}}
fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for (kind, accuracies), marker in zip(judged.items(), "so", strict=True):
    ax.plot(shares, accuracies, f"{marker}-", label=f"wrong {kind}")
right = 1 - np.array(shares)
ax.plot(shares, right, ":", color="0.6", label="labels that are right")
ax.set_xlabel("share of wrong labels in training")
ax.set_ylabel("accuracy, clean labels")
ax.legend(frameon=False)
name_source(fig, by_rna.banner())
plt.show()

# %% [markdown]
# Mistakes that point in all directions are outvoted, even when there are many. Mistakes that all point
# the same way are learned as soon as they are about as many as the correct labels.
#
# A line such as Gad2, which gives cells of every class the same label, would on its own teach a model
# just that mistake. It does little harm here only because other, better lines show the model many more
# cells of each class with the right label.
#
# ## What do doubtful labels do to the probabilities?
#
# Most classifiers give a probability with each answer. If a model says 80 %, it should be right in 80 %
# of such cases; then it is *calibrated* ({term}`calibration`). A model that was trained on labels of
# which nearly a fifth are wrong has learned that nobody can be sure. Judged by the same kind of label, it
# is right about that. Judged by better labels, it is far too modest (*underconfident*):

# %% mystnb={"image": {"alt": "Three panels of accuracy against stated probability for LSPIN, LSPIN with five gates and a support vector machine. Learned from and judged by Cre lines, and learned from and judged by RNA, the points lie near the diagonal; learned from Cre lines and judged by RNA, they lie far above it."}}
reliability = tables["reliability"].query("cells >= 20")
shown = ("Cre line → Cre line", "Cre line → RNA", "RNA → RNA")
models = ("LSPIN", "LSPIN, 5 gates", "RBF-SVM")
fig, axes = plt.subplots(
    1, 3, figsize=(9, 3.2), sharey=True, layout="constrained"
)
for ax, name in zip(axes, models, strict=True):
    ax.plot([0.25, 1], [0.25, 1], ":", color="0.6")
    for pair, marker in zip(shown, "osD", strict=True):
        rows = reliability.query("model == @name and table == @pair")
        x, y = rows["confidence"], rows["accuracy"]
        ax.plot(x, y, f"{marker}-", ms=4, label=pair)
    ax.set_title(name, fontsize=10)
    ax.set_xlabel("probability of the answer")
axes[0].set_ylabel("share that is right")
axes[0].legend(frameon=False, fontsize=7)
name_source(fig, recorded_on)
plt.show()

# %% [markdown]
# The {term}`calibration error` is the average gap between the probability and the share that is right
# (0 is best):

# %%
errors = tables["calibration"].pivot(
    index="model", columns="table", values="ece"
)
errors.loc[list(models), list(shown)].round(3)

# %% [markdown]
# A probability is about the kind of label that the model learned from. *Sure of the Cre line* and *sure
# of the cell* are different things, and a model cannot know which of them you mean.
#
# ## Where the labels differ, which one do the measurements support?
#
# Take only the cells whose two labels differ. A model that learned from the Cre lines of other animals
# gives each of them a class: that of the RNA, that of the Cre line, or a third one. It was taught to
# answer with the Cre line.

# %% mystnb={"image": {"alt": "Dots with 95 % intervals, a row per Cre line with at least ten cells whose labels differ: the share of these cells for which LSPIN, trained on Cre lines, answers with the class of the RNA, and the share for which it answers with that of the line. For all lines together most answers agree with the RNA, far more than with the line; for the Vip line the two intervals overlap."}}
differ = tables["believed"].query("model == 'LSPIN' and cells >= 10")
differ = differ.sort_values("rna")
names = differ["line"] + "  (" + differ["cells"].astype(str) + ")"
fig, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
for side, color, marker, label in (
    ("rna", "black", "o", "answers with the class of the RNA"),
    ("cre", "#D55E00", "s", "answers with the class of the Cre line"),
):
    low, high = differ[f"{side}_low"], differ[f"{side}_high"]
    ax.hlines(names, low, high, color=color)
    ax.plot(differ[side], names, marker, color=color, label=label)
ax.tick_params(axis="y", labelsize=8)
ax.set(xlabel="share of the cells whose labels differ", xlim=(-0.03, 1.03))
fig.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
name_source(fig, recorded_on)
plt.show()

# %%
everyone = tables["believed"].query("line == 'all'").set_index("model")
ours = everyone.loc["LSPIN"]
print(f"Labels differ in {ours['cells']:.0f} cells. LSPIN answers with")
for side, of in (("rna", "RNA"), ("cre", "Cre line")):
    low, high = ours[f"{side}_low"], ours[f"{side}_high"]
    print(f"  the {of} in {ours[side]:.0%} ({low:.0%} to {high:.0%}).")
assert (everyone["rna_low"] > everyone["cre_high"]).all()
everyone[["rna", "cre"]].round(2)

# %% [markdown]
# The measurements side with the RNA, and most of all where the line is at its worst. Where a line is
# hardly ever wrong, such as Vip, the few cells with different labels are a mixed lot and the intervals
# are wide. There it may be the RNA that is wrong, or the cell may lie between two classes.
#
# ## Can a model find the mislabelled cells?
#
# If so, you could clean a table that has no second label. The simplest way is to train a model and to
# look for *held-out* cells, that is, cells of donors that it was not trained on, whose *own label* it
# finds improbable. We have the support vector machine that learned from Cre lines; the RNA tells us which
# labels really are wrong ({term}`label noise`).
#
# ```{admonition} Predict before you run
# :class: tip
# A little less than a fifth of all labels are wrong. What share do you expect among the ten cells whose
# label the model finds least probable?
# ```

# %%
svm = fitted["Cre line"]
probability = pd.DataFrame(
    svm.predict_proba(Z.iloc[test]), cre.index, svm.classes_
)
of_label = (probability * pd.get_dummies(cre)).sum(axis=1)
is_wrong = (cre != rna)[of_label.sort_values().index]
print(f"wrong labels in all {len(cre)} held-out cells: {is_wrong.mean():.0%}")
for k in (10, 50, 100):
    print(f"among the {k} least probable: {is_wrong.head(k).mean():.0%}")

# %% [markdown]
# Here is the same over all five folds and with more models. One list works in another way. Remember that
# *LSPIN, 5 gates* chooses five measurements for each cell. If it chooses those that it usually chooses
# for another class, the cell is odd, too. For this list (*gates unlike the label*), we look up the 25
# training cells for which it chose the most similar measurements, and rank a cell the higher, the fewer
# of them have its label. ({doc}`11_useful` does this with cells that have only one label, where nobody
# can tell whether the list is right.)

# %% mystnb={"image": {"alt": "Share of wrong labels among the 10, 50 and 100 cells at the top of each list, with intervals: three lists by low probability of the label, from LSPIN, LSPIN with five gates and a support vector machine, and one list by gates. All lie far above a dotted line that marks chance."}}
lists = tables["odd"].pivot(
    index="order", columns="what", values=["mean", "low", "high"]
)
by_gates = "LSPIN, 5 gates: gates unlike the label"
plain = "low probability of the label"
named = {by_gates: "s", f"LSPIN, 5 gates: {plain}": "o"}
named |= {f"LSPIN: {plain}": "D", f"RBF-SVM: {plain}": "^"}
tops = ["top 10", "top 50", "top 100"]
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for at, (order, marker) in enumerate(named.items()):
    row, x = lists.loc[order], np.arange(3) + 0.12 * (at - 1.5)
    color = "#D55E00" if order == by_gates else "0.35"
    ax.vlines(x, row["low"][tops], row["high"][tops], color=color, lw=1)
    ax.plot(x, row["mean"][tops], marker, color=color, label=order)
chance = lists.loc[by_gates, ("mean", "chance")]
ax.axhline(chance, color="0.6", ls=":", label="chance")
ax.set_xticks(range(3), [f"{top} of a fold" for top in tops])
ax.set(ylabel="share of wrong labels", ylim=(0, 1.02))
fig.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=7)
name_source(fig, recorded_on)
plt.show()

# %%
mean = lists["mean"]
assert mean.loc[by_gates, tops].min() > 2 * chance
print(f"chance: {chance:.0%}")
mean.loc[list(named), tops].style.format("{:.0%}")

# %%
behind = mean.loc[f"LSPIN, 5 gates: {plain}", tops] - mean.loc[by_gates, tops]
print("The plain probability of LSPIN, 5 gates finds more than its gates at:")
print(", ".join(behind[behind > 0].index) or "none")

# %% [markdown]
# So such lists work: at the top of each, most cells are mislabelled, several times as many as by chance.
# The plain probability is the yardstick. Every classifier has one, and it needs no explanation of the
# model at all; the line above tells where it finds more than the choice of measurements does. Use the
# probability to *find* a suspicious cell, and the measurements to *understand* it.
#
# ## Looking ahead: does the label change an explanation?
#
# When LSPIN chooses five measurements for a cell, these are its explanation of the answer. Does it
# choose others if it learned from the other label? We count how much two choices for the same cell
# overlap: the number of measurements in both, divided by the number in either (the
# {term}`Jaccard index`). To judge the result, we need something to compare it with: the same label and
# another {term}`seed` (the model is simply trained again), and the choices for two different cells.

# %%
print(recorded_on)
overlap = tables["overlap"].set_index("compared with")
overlap.round(2)

# %%
seed = overlap.loc["the same label, another seed"]
label = overlap.loc["the other label"]
verdict = "less than" if label["high"] < seed["low"] else "no less than"
print(f"With the other label the choices overlap {verdict}")
print("with the same label and another seed.")

# %% [markdown]
# Part of what a single training chooses is chance, because many measurements say nearly the same thing.
# {doc}`10_faithful` measures how much. So before you call a difference between two explanations a
# finding, ask whether it is larger than the one that another seed makes.
#
# ## Take-away
#
# - A Cre line is as good a label as its gene is a marker: nearly perfect for some lines, worse than a
#   coin flip for others. Look it up line by line.
# - A model can be better than its labels, if their mistakes do not all point the same way. Its score
#   against those labels is then too low, and no tuning will raise it.
# - Scores against different labels cannot be compared. Always tell which label a score belongs to.
# - Probabilities inherit the doubt of the labels.
# - To find wrong labels, look for cells whose label got a low probability from a model that never saw
#   their donor.
#
# ## Self-check
#
# **1.** You can get cells of the line Vip-IRES-Cre or of Gad2-IRES-Cre. For which of them would you trust
# the label, and why?
#
# ```{dropdown} Answer
# For Vip-IRES-Cre. The gene Vip is a marker of one subclass, and its label agrees with the RNA in nearly
# all cells. Gad2 is active in almost every inhibitory neuron, so its label is wrong for most cells.
# ```
#
# **2.** A classmate says that a model cannot be better than the labels it was trained on. What do you
# reply?
#
# ```{dropdown} Answer
# It can. A wrong label is outvoted by the correct labels of similar cells, as long as the model is not so
# flexible that it learns every cell by heart. You only see it if you judge the answers by better labels.
# ```
#
# **3.** In table A, 30 % of the labels were replaced at random. In table B, one half of all Pvalb cells
# are labelled Sst. Which is worse for a model?
#
# ```{dropdown} Answer
# Table B, at least for Pvalb cells. Random mistakes point in all directions and are outvoted. In table B
# the mistakes all point the same way and are as many as the correct labels, so the model learns them.
# ```
#
# **4.** A model trained on Cre lines gives its answers an average probability of 0.8, and according to
# the RNA more than 0.9 of them are right. Is something wrong with the model?
#
# ```{dropdown} Answer
# Not really: it learned how often it agrees with *Cre lines*, and about those it is right. Its
# probabilities are too modest for the true type because the labels are worse than its answers.
# ```
#
# **5.** Why must the cells be held out, with all cells of their donor, before you look for wrong labels?
#
# ```{dropdown} Answer
# A model that was trained on a cell has seen its wrong label and may simply repeat it. Other cells of the
# same mouse share the label, right or wrong, so they give it away, too.
# ```
#
# ## Exercises
#
# **1. Warm-up.** What are the cells of the line Gad2-IRES-Cre really, according to their RNA?
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# Select the cells by `line_name` and count the classes of the RNA.
# ```

# %% tags=["hide-cell"]
is_gad2 = by_cre.metadata["line_name"].str.contains("Gad2")
of_gad2 = by_rna.y[is_gad2].rename("RNA").value_counts(normalize=True)
of_gad2.to_frame("share of the Gad2 cells").round(2)

# %% [markdown]
# **2. Core.** The publishers give the probability of each type that was read from RNA. Is the model
# right more often where the RNA is surer? *Needs recorded cells.*
#
# ```{dropdown} Solution
# Cut the cells into halves at the median of `t_type_probability`. On recorded cells the model and the
# RNA agree more often in the surer half: part of what looks like a mistake of the model may be one of the
# RNA. On the twin the probabilities were drawn at random, and nothing follows from them.
# ```

# %% tags=["hide-cell"]
sure = by_rna.metadata["t_type_probability"].iloc[test]
right = fitted["RNA"].predict(Z.iloc[test]) == rna
halves = np.where(sure > sure.median(), "surer", "less sure")
halves = np.where(sure.isna(), "not published", halves)
right.groupby(halves).agg(["mean", "size"]).round(3)

# %% [markdown]
# **3. Core.** Leave the worst line, Gad2, out of the training cells. Does a support vector machine that
# learns from Cre lines get better, judged by the RNA?
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# There are fewer cells, but better labels. The difference is small, because the wrong labels had been
# outvoted anyway. Ask for an interval before you believe in its sign.
# ```

# %% tags=["hide-cell"]
without = train[~is_gad2.to_numpy()[train]]
for name, rows in (("all lines", train), ("without Gad2", without)):
    svm = SVC(C=3, gamma=0.01).fit(Z.iloc[rows], by_cre.y.iloc[rows])
    accuracy = (svm.predict(Z.iloc[test]) == rna).mean()
    print(f"{name}: {len(rows)} training cells, accuracy {accuracy:.3f}")

# %% [markdown]
# **4. Open.** Your laboratory has 400 recorded cells with labels of a Cre line, and money to sequence
# forty of them. Which forty do you choose, and what will you do with the result?
# *On the twin: the same.*
#
# ```{dropdown} Solution
# There are several good answers. One that convinces says what the forty are for. Suspicious cells (low
# probability of the label, from a model that never saw their donor) are best for mending labels; a random
# sample of each line is needed to estimate how often a line is wrong, because suspicious cells alone
# would exaggerate it. It spreads the cells over donors, names in advance how disagreements will be
# treated, and does not let relabelled cells into a test set that was meant to be untouched.
# ```
#
# **5. Open.** Which measurements does *LSPIN, 5 gates* choose most often for the cells that it takes for
# Pvalb+, when it learned from Cre lines and when it learned from RNA? Would you call any difference a
# finding? *On the twin: the same; these are recorded results.*
#
# ```{dropdown} Solution
# The share of the cells for which each measurement was chosen is in `tables["gates"]`. A good answer
# compares a difference with its intervals (columns `low` and `high`) and with what another seed does, and
# asks whether two measurements that swap places say the same about a cell.
# ```

# %% tags=["hide-cell"]
chosen = tables["gates"][tables["gates"]["class"] == "Pvalb+"]
chosen = chosen.pivot(index="feature", columns="trained_on", values="open")
most = chosen.max(axis=1).nlargest(6).index
chosen.loc[most].style.format("{:.0%}")

# %% [markdown]
# ## What's next?
#
# You know the cells, their measurements and their labels now, and how far to trust each of them.
# {doc}`04_one_gate` begins with the model: a gate that lets one measurement of a cell through, or does
# not.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
