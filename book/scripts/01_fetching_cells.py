# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where do the cells come from, and which of them count?
#
# ## Overview
#
# Every result in this book rests on a table with one row per neuron. Many decisions were made before
# any model saw that table: which neurons were recorded, how each one got its label, and which ones
# were left out. In this chapter we load the table, look at one cell, and follow every rule that keeps
# or drops a cell. Two things above all settle how far you can trust the results that come later:
# **which cells are in the {term}`cohort`**, and **which animal each cell came from**.
#
# ## After this chapter you can
#
# - load the table, and tell for any result which source it came from;
# - explain how a cell gets its class from a Cre line, and why that label may be wrong;
# - follow every rule that keeps or drops a cell, and compare cohorts;
# - explain why the cells of one donor must never be on both sides of a split.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Tables in pandas | Necessary | [pandas in 10 minutes](https://pandas.pydata.org/docs/user_guide/10min.html) |
# | Neurons and action potentials | Helpful | any textbook of neuroscience |
# | Training and test sets | Helpful | [scikit-learn's guide](https://scikit-learn.org/stable/modules/cross_validation.html) |
#
# ## Time to learn
#
# - **Reading**: 25 minutes
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
import pandas as pd

from lspin import load_cells

pd.set_option("display.max_colwidth", None)  # show long texts in full

cells = load_cells()
print(cells.banner())
cells.counts().to_frame("cells").T

# %% [markdown]
# The line above names the source. It is either the Allen Cell Types Database
# {cite}`allen2015`, or a synthetic {term}`twin` of it: cells that nobody ever recorded, drawn at
# random from summary statistics of the recorded ones, so that the book runs without a network. The
# twin keeps the number of cells, their classes and the spread of each feature. What it shows about a
# single cell means nothing.

# %% [markdown]
# ## What is a patch-clamped neuron?
#
# Take a glass pipette with an opening of about a thousandth of a millimetre and press it onto a
# neuron in a living slice of brain. Gentle suction seals the membrane to the glass. Stronger suction
# ruptures the patch of membrane inside the opening, and now the pipette is connected to the inside of
# the cell (a *whole-cell* recording). It can inject a current and record the **membrane potential**,
# the voltage between inside and outside. Pass enough current, and the cell answers with
# {term}`action potentials <action potential>`, also called spikes.
#
# Every cell of the database is given the same set of currents {cite}`gouwens2019`:
#
# | stimulus | what it is | what it is good for |
# | --- | --- | --- |
# | {term}`long square` | steps of 1 s, negative and positive | resistance, time constant, firing rate, adaptation |
# | {term}`short square` | pulses of 3 ms | the shape of one action potential |
# | {term}`ramp` | a current that rises by 25 pA per second | how the cell fires when current grows slowly |
# | noise | a fluctuating current | how the cell responds to something like real input |
#
# The voltage traces are then reduced to a few dozen numbers, the {term}`features <feature>`. Here are
# the first twelve of one cell:

# %%
from lspin.features import FEATURES

one = cells.X.iloc[0]
pd.DataFrame(
    {
        "value": one.round(3),
        "unit": [FEATURES[name].unit for name in one.index],
        "meaning": [FEATURES[name].meaning for name in one.index],
    }
).head(12)

# %% [markdown]
# `FEATURES` is the catalogue of all features, and {doc}`02_features` is about them. Beside the
# features, the record holds for every cell its class, its {term}`donor` (the animal it came from) and
# some metadata:

# %%
pd.concat([cells.y, cells.donors, cells.metadata], axis=1).head()

# %% [markdown]
# ## How does a cell get its label?
#
# From the outside, it is hard to tell which kind of neuron is in front of the pipette. Genetics helps.
# In a {term}`Cre line`, a strain of mice, the enzyme Cre recombinase is made only in cells that use
# (*express*) a certain gene, such as the gene for parvalbumin. A second genetic change, the
# {term}`reporter`, makes a cell glow red once Cre has acted in it {cite}`madisen2010`. The experimenter
# patches a red cell, and the Cre line tells which gene the cell uses, or used at some time in its life.
#
# {cite:t}`ophir2023` sort the Cre lines into five classes:

# %%
from lspin.data import CRE_LINE_CLASS

columns = ["Cre line", "class"]
lines = pd.DataFrame(CRE_LINE_CLASS.items(), columns=columns)
of_class = lines.groupby("class")["Cre line"].agg(", ".join).to_frame()
of_class.style.set_properties(**{"text-align": "left"})

# %% [markdown]
# Glutamatergic cells excite their targets. The other four classes are inhibitory (GABAergic), and
# nearly every inhibitory neuron of the cortex belongs to one of three families: those with
# parvalbumin, those with somatostatin, and those with the serotonin receptor 3a
# {cite}`tremblay2016`.
#
# One of the two main kinds of the third family makes vasoactive intestinal peptide (VIP). It has Cre
# lines of its own, which make up the class *Vip+*. The authors name the rest *Htr3a+|Vip-*, and that
# name promises more than the lines can deliver: Htr3a marks VIP cells too, and Gad2 marks nearly
# every inhibitory neuron. Where the RNA of such cells was read as well {cite}`gouwens2020`, about
# four in ten turned out to be of other types. Models find this class the hardest, and now you know
# one reason.
#
# ## Which cells count?
#
# Not every recorded cell can be used. Which rules to apply is a choice, and this book gives three
# such choices a name. Each is a {term}`cohort`:

# %%
from lspin.data import COHORTS

for name, rule in COHORTS.items():
    print(f"{name:>9}: {rule}")

# %% [markdown]
# Every cohort reports what it dropped and why. This book uses `positive` unless it says otherwise.
#
# ```{admonition} Predict before you run
# :class: tip
# `paper` keeps only cells whose dendrites fit their class. Which classes will lose the most cells?
# ```

# %%
cohorts = {
    name: load_cells(source=cells.source, cohort=name) for name in COHORTS
}
for name, cohort in cohorts.items():
    print(f"{name}: {len(cohort)} cells")
    for step in cohort.provenance["dropped"]:
        print(f"    -{step['cells']:4d}  {step['rule']}: {step['why']}")

# %% mystnb={"image": {"alt": "Bar chart of the number of cells per class in the cohorts all, positive and paper. Glutamatergic cells are by far the most in each. The cohort positive loses almost only Glutamatergic cells, the cohort paper loses cells of the Sst+ and Htr3a+ classes above all."}}
import matplotlib.pyplot as plt

from lspin.show import name_source

counts = pd.DataFrame(
    {name: cohort.counts() for name, cohort in cohorts.items()}
)
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
counts[["all", "positive", "paper"]].plot.bar(
    ax=ax, color=["0.8", "0.5", "0.15"], width=0.8, rot=0
)
ax.set_xlabel("")
ax.set_ylabel("number of cells")
ax.legend(title="cohort", frameon=False)
name_source(fig, cells.banner().split(";")[0])
plt.show()

# %%
counts.T

# %% [markdown]
# Look at what each rule takes away:
#
# - `positive` drops cells that did not glow. They lie in the brain of a mouse of that Cre line, but
#   Cre never acted in them, so the line tells us nothing about them.
# - `paper`, the rule of {cite:t}`ophir2023`, asks whether the **dendrites**, the branches on which a
#   neuron receives its input, fit the label. Under the microscope, the dendrites of glutamatergic
#   cells are covered with small outgrowths, the spines ({term}`spiny`); those of most inhibitory
#   cells are not ({term}`aspiny`). Every cell whose dendrites do not fit its Cre line is dropped,
#   whether it glowed or not.
#
# Both rules sound sensible. The difference is that `paper` uses what was seen under the microscope to
# decide on which cells a model of the *electrical* recording is tested. It also drops inhibitory
# cells that are {term}`sparsely spiny`, which is a usual form of inhibitory cell. If cells with a
# doubtful label are also the ones that models get wrong, leaving them out makes every model look
# better. Exercise 2 measures whether this happens, and by how much.
#
# ## How good are the labels?
#
# Cre lines are imperfect tools. A gene may be active for a short time early in life and mark the
# cell forever; a line may mark a few cells of another kind; and some genes are shared between kinds
# {cite}`tasic2018`. The dendrites give a rough idea of how often a label is wrong:

# %%
dendrites = pd.crosstab(cells.y, cells.metadata["dendrite_type"])
dendrites

# %%
from lspin.data import dendrites_contradict

contradicts = dendrites_contradict(cells.metadata["dendrite_type"], cells.y)
share = f"{contradicts.mean():.1%}"
print(f"{share} of the cells have dendrites that contradict their label.")

# %% [markdown]
# Spiny dendrites contradict an inhibitory label; aspiny or sparsely spiny ones contradict a
# glutamatergic one. As the table shows, sparsely spiny cells are almost all inhibitory.
#
# ```{admonition} Predict before you run
# :class: tip
# Will such cells be spread evenly over the Cre lines? If not, in which of the five classes do you
# expect the lines that are contradicted most often?
# ```

# %%
by_line = contradicts.groupby(cells.metadata["line_name"]).agg(
    contradict="mean", cells="size"
)
assert contradicts.groupby(cells.y).mean().idxmax() == "Sst+"
by_line.nlargest(5, "contradict").style.format({"contradict": "{:.0%}"})

# %% [markdown]
# They are not spread evenly at all. And where the dendrites are right and the label is wrong, even a
# perfect model of the electrical recording would be counted as mistaken. Keep this ceiling in mind
# whenever you read an {term}`accuracy`, the share of cells that a model classifies correctly.
#
# ## Which animal did it come from?
#
# Several cells often come from the same animal, the {term}`donor`. They share its genes, its age, the
# day, the experimenter and often the slice. And they share one thing more:

# %%
per_donor = cells.y.groupby(cells.donors).agg(["size", "nunique"])
n_cells = per_donor["size"]
print(f"donors: {len(per_donor)}")
print(f"cells each: {n_cells.mean():.1f} on average, {n_cells.max()} at most")
print(f"donors with more than one cell: {(n_cells > 1).mean():.0%}")
mixed = (per_donor["nunique"] > 1).sum()
print(f"donors with cells of more than one class: {mixed}")
assert (per_donor["nunique"] == 1).all()

# %% [markdown]
# Of course: a mouse belongs to one Cre line, so all its cells carry the same label. A model that
# recognises the donor knows the label without knowing anything about cell types. If cells of one
# donor are in the training set *and* in the test set, a test score may reward exactly that.
#
# How often would this happen? We split the cells at random into five parts, the
# {term}`folds <fold>`, as most tutorials do. Each fold is the test set once, and we count the test
# cells that have a sibling, a cell of the same donor, in the training set. Then we split by donor.
#
# ```{admonition} Predict before you run
# :class: tip
# Most donors gave only a few cells, and four fifths of all cells are in the training set. What share
# of the test cells will have a sibling there if we split at random?
# ```

# %%
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold


def with_sibling(folds):
    """Share of test cells with a cell of the same donor in training."""
    donors = cells.donors
    shares = [
        donors.iloc[test].isin(donors.iloc[train]).mean()
        for train, test in folds
    ]
    return np.mean(shares)


random_folds = StratifiedKFold(5, shuffle=True, random_state=0)
donor_folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
at_random = with_sibling(random_folds.split(cells.X, cells.y))
by_donor = with_sibling(donor_folds.split(cells.X, cells.y, cells.donors))
print("test cells with a sibling in the training set:")
print(f"  split at random  {at_random:.0%}")
print(f"  split by donor   {by_donor:.0%}")
assert by_donor == 0 and at_random > 0.5

# %% [markdown]
# From here on, all cells of a donor stay **on the same side of a split**. `StratifiedGroupKFold` keeps
# the cells of a donor together and makes the mix of classes as similar as it can in all folds.
#
# ## Which files were these?
#
# You can check a number only if you know which data it came from. So the record carries a *checksum*
# (SHA-256) of each table it was made from: a fingerprint of 64 characters that comes out differently
# as soon as a single byte of the table changes.

# %%
for file, checksum in cells.provenance["tables"].items():
    print(f"{file}: {checksum}")
if cells.is_synthetic:
    print("No table: these cells are synthetic, drawn from statistics of")
    for file, checksum in cells.provenance["fitted_to"].items():
        print(f"  {file}: {checksum}")

# %% [markdown]
# ## A first look
#
# Do the classes differ at all? Take two features from different stimuli: how much faster the action
# potential rises than it falls (the *upstroke/downstroke ratio*, see {term}`upstroke`), and how many
# more spikes per second each further picoampere brings (the {term}`f-I slope`).

# %% mystnb={"image": {"alt": "Scatter plot of cells, upstroke/downstroke ratio against f-I slope, coloured by class. Pvalb+ cells lie apart with a ratio near 1 and steep f-I slopes, Glutamatergic cells have high ratios and flat slopes, the other three classes lie between and overlap."}}
from lspin.show import plot_scatter

pair = ["upstroke_downstroke_ratio_short_square", "f_i_curve_slope"]
plot_scatter(cells.X, cells, *pair)
plt.show()

# %%
medians = cells.X.groupby(cells.y)[pair].median()
ratio, slope = medians[pair[0]], medians[pair[1]]
assert slope.idxmax() == "Pvalb+"
assert ratio.idxmin() == "Pvalb+" and ratio.idxmax() == "Glutamatergic"
medians.round(2)

# %% [markdown]
# Pvalb+ cells stand out: a symmetric action potential and a steep f-I curve, the signs of a
# fast-spiking cell. Glutamatergic cells are at the other end. The remaining three classes overlap,
# and telling them apart will take more than two features.
#
# ## Take-away
#
# - A patch-clamp recording becomes a few dozen features. The label comes from the Cre line of the
#   mouse, not from the cell itself.
# - A cohort is a decision. `positive` asks only whether the cell itself glowed; `paper` also looks
#   at the dendrites, which makes the task easier.
# - Labels are imperfect, so do not expect any model to reach 100 %. One that did would have learned
#   the mistakes as well.
# - All cells of a donor have the same class, so they belong on the same side of every split.
# - The source line and the checksums tell which data a result came from.
#
# ## Self-check
#
# **1.** A colleague shows you a scatter plot from this book and asks whether these neurons were really
# recorded. Where do you look?
#
# ```{dropdown} Answer
# At the small grey line below the figure, or the source line at the top of the chapter. Both name
# either the Allen Cell Types Database or the synthetic twin. Dots of the twin are not neurons.
# ```
#
# **2.** A red cell is patched in a mouse of the line Gad2-IRES-Cre. Which class does it get here, and
# how much does that tell you about its type?
#
# ```{dropdown} Answer
# It gets the class Htr3a+|Vip-, because that is where the line was put. But Gad2 is active in nearly
# every inhibitory neuron, so the label tells you little more than that the cell is inhibitory.
# ```
#
# **3.** Why does the cohort `positive` drop cells that did not glow?
#
# ```{dropdown} Answer
# If the reporter is off, Cre has not acted in that cell. It merely lives in a mouse of that line, so
# the line is no evidence of its type.
# ```
#
# **4.** A paper reports 5 points more accuracy than yours, on cells from the same database, filtered by
# their dendrites. Is its model better?
#
# ```{dropdown} Answer
# You cannot tell. The filter removes cells whose label is doubtful, which are also the ones that
# models get wrong most often. Score both models on the same cohort before you compare them.
# ```
#
# **5.** Your model has never seen a certain test cell, but it was trained on three other cells of the
# same mouse. What might it have learned that it should not use?
#
# ```{dropdown} Answer
# Whatever is peculiar to this mouse: its age, the slice, the day of the recording. All cells of the
# mouse have the same label, so recognising the mouse is enough for the right answer, and the test score
# rises without any knowledge of cell types.
# ```
#
# ## Exercises
#
# **1. Warm-up.** Which five Cre lines gave the most cells, and from how many donors did these come?
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# Group the cells by `line_name` and count the cells and the different donors of each group.
# ```

# %% tags=["hide-cell"]
lines = cells.metadata["line_name"]
per_line = cells.donors.groupby(lines).agg(cells="size", donors="nunique")
per_line.nlargest(5, "cells")

# %% [markdown]
# **2. Core.** {term}`Cross-validate <cross-validation>` a support vector machine by donor on each of the
# three cohorts. (A {term}`support vector machine` is a classifier that draws smooth boundaries between
# the classes; `scikit-learn` has one.) On which cohort does it do best? Did the model get better?
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# It scores highest on `paper` and lowest on `all`, and it is the same model each time. What changed
# is the cells on which it is tested, so scores on different cohorts cannot be compared. Where the
# dendrites contradict the label, the model contradicts it too, far more often than elsewhere. Two
# methods that know nothing of each other disagree with the same labels: that tells you more about the
# labels than about the model.
# ```

# %% tags=["hide-cell"]
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from lspin.features import model_inputs

model = make_pipeline(model_inputs(), SVC(C=3, gamma=0.01))
predicted = {
    name: cross_val_predict(model, c.X, c.y, groups=c.donors, cv=donor_folds)
    for name, c in cohorts.items()
}
score = {
    name: accuracy_score(c.y, predicted[name]) for name, c in cohorts.items()
}
pd.Series(score).round(3).sort_values()

# %% tags=["hide-cell"]
right = predicted["positive"] == cells.y
print("right where the dendrites contradict the label:")
print(f"  {right[contradicts].mean():.0%}")
print(f"right elsewhere: {right[~contradicts].mean():.0%}")
assert score["paper"] > score["positive"] > score["all"]
assert right[contradicts].mean() < right[~contradicts].mean()

# %% [markdown]
# **3. Core.** Compute a SHA-256 checksum yourself: first of the features written as text, then of the
# same text with a single character changed. If you have the Allen tables, compute theirs too and
# compare them with those in the record. *On the twin: the same, but there are no tables to compare.*
#
# ```{dropdown} Solution
# `hashlib.sha256` takes bytes. One changed character gives a checksum that has nothing in common with
# the first. The second cell looks for each table in the data folder; the synthetic twin has none, so
# there it prints nothing.
# ```

# %% tags=["hide-cell"]
import hashlib

text = cells.X.to_csv().encode()
for version in (text, text.replace(b"1", b"2", 1)):
    print(hashlib.sha256(version).hexdigest())

# %% tags=["hide-cell"]
from lspin.data import data_dir

for file, checksum in cells.provenance["tables"].items():
    (path,) = data_dir().rglob(file)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == checksum
    print(f"{file}: equal")

# %% [markdown]
# **4. Open.** You are planning a study of your own on this table. What would you do with cells whose
# dendrites contradict their label: keep them, drop them, or give them another label? Write the rule
# down as you would in a paper. *On the twin: the same.*
#
# ```{dropdown} Solution
# There is no single right rule. A good answer says what the label is meant to stand for (a Cre line,
# or a type of cell); applies the rule to training and test cells alike, or explains why not; is fixed
# before any score is known; reports how many cells of which class it affects; and gives the score with
# and without it, so that others can see how much the rule matters.
# ```
#
# ## What's next?
#
# What do all these features mean, and how are they measured? In {doc}`02_features` you measure an
# action potential yourself and find the same numbers in the table.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
