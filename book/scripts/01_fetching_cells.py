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
# Every result in this book rests on a table with one row per neuron. Before any model sees it, many
# decisions have been made: which neurons were recorded, how each one got its label, which ones were
# left out. In this chapter we load the table, look at one cell, and follow every rule that keeps or
# drops a cell. Two of them will decide how far later results can be trusted: **who is in the
# cohort**, and **which animal a cell came from**.
#
# ## After this chapter you can
#
# - load the table, and say of each result which source it came from;
# - say how a cell gets its class from a Cre line;
# - follow every rule that keeps or drops a cell, and compare cohorts;
# - say why cells of one donor must never straddle a split.
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
# - **Reading**: 20 minutes
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
import pandas as pd

from lspin import load_cells

pd.set_option("display.max_colwidth", None)  # show long texts in full

cells = load_cells()
print(cells.banner())
cells.counts().to_frame("cells").T

# %% [markdown]
# The line above names the source. It is either the Allen Cell Types Database
# {cite}`allen2015`, or a **synthetic twin** of it: cells that were never recorded, drawn at random
# from summary statistics of the recorded ones, so that the book runs without a network. The twin
# keeps the number of cells, their classes and the spread of each feature. What it says about a
# single cell means nothing.

# %% [markdown]
# ## What is a patch-clamped neuron?
#
# A glass pipette with an opening of about a thousandth of a millimetre is pressed onto a neuron in
# a living slice of brain. Gentle suction seals the membrane to the glass, a stronger pull breaks
# the patch of membrane under it, and now the pipette is connected to the inside of the cell
# (*whole-cell*). It can inject a current and record the **membrane potential**, the voltage between
# inside and outside.
#
# Every cell of the database is given the same set of currents {cite}`gouwens2019`:
#
# | stimulus | what it is | what it is good for |
# | --- | --- | --- |
# | long square | 1 s steps, negative and positive | resistance, time constant, firing rate, adaptation |
# | short square | pulses of 3 ms | the shape of one action potential |
# | ramp | a current that rises by 25 pA per second | how slowly growing current makes the cell fire |
# | noise | a fluctuating current | how the cell responds to something like real input |
#
# The voltage traces are then reduced to a few dozen numbers, the **features**. This is one cell:

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
# `FEATURES` is the catalogue of all features; {doc}`02_features` is about them. Beside the features
# the record holds a class, a donor and some metadata for every cell:

# %%
pd.concat([cells.y, cells.donors, cells.metadata], axis=1).head()

# %% [markdown]
# ## How does a cell get its label?
#
# Nobody can see from the outside which kind of neuron is in front of the pipette. Genetics helps.
# In a **Cre line**, a strain of mice, the enzyme Cre recombinase is made only in cells that use a
# certain gene, such as the gene for parvalbumin. A second genetic change, the **reporter**, makes a
# cell glow red once Cre has acted in it {cite}`madisen2010`. The experimenter patches a red cell,
# and the Cre line says which gene it uses.
#
# {cite:t}`ophir2023` sort the Cre lines into five classes:

# %%
from lspin.data import CRE_LINE_CLASS

lines = pd.Series(CRE_LINE_CLASS).rename_axis("Cre line").rename("class").reset_index()
lines.groupby("class")["Cre line"].agg(", ".join).to_frame().style.set_properties(
    **{"text-align": "left"}
)

# %% [markdown]
# Glutamatergic cells excite their targets. The other four classes are inhibitory
# (GABAergic), and nearly every inhibitory neuron of the cortex belongs to one of three families:
# those with parvalbumin, those with somatostatin, and those with the serotonin receptor 3a
# {cite}`tremblay2016`. One of the two main kinds of the third family makes vasoactive intestinal
# peptide (VIP) and has lines of its own, the class *Vip+*. *Htr3a+|Vip-* is what the authors call the
# rest, and the name promises more than the lines can hold: Htr3a marks VIP cells too, and Gad2
# nearly every inhibitory neuron. Where the RNA of such cells was read as well {cite}`gouwens2020`,
# about four in ten turned out to be of other types. It is the class that models find hardest, and
# now you know one reason.
#
# ## Which cells count?
#
# Not every recorded cell can be used. Which rules to apply is a choice, and the package names three
# choices, the *cohorts*:

# %%
from lspin.data import COHORTS

for name, rule in COHORTS.items():
    print(f"{name:>9}: {rule}")

# %% [markdown]
# Every cohort reports what it dropped and why. This book uses `positive` unless it says otherwise.

# %%
cohorts = {name: load_cells(source=cells.source, cohort=name) for name in COHORTS}
for name, cohort in cohorts.items():
    print(f"{name}: {len(cohort)} cells")
    for step in cohort.provenance["dropped"]:
        print(f"    -{step['cells']:4d}  {step['rule']}: {step['why']}")

# %% mystnb={"image": {"alt": "Bar chart of the number of cells per class in the cohorts all, positive and paper. Glutamatergic cells are by far the most in each. The cohort positive loses almost only Glutamatergic cells, the cohort paper loses cells of the Sst+ and Htr3a+ classes above all."}}
import matplotlib.pyplot as plt

from lspin.show import name_source

counts = pd.DataFrame({name: cohort.counts() for name, cohort in cohorts.items()})
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
counts[["all", "positive", "paper"]].plot.bar(ax=ax, color=["0.8", "0.5", "0.15"], width=0.8, rot=0)
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
#   Cre never acted in them, so the line says nothing about them.
# - `paper`, the rule of {cite:t}`ophir2023`, asks whether the **dendrites** fit the label. Seen
#   under the microscope, glutamatergic cells have spines on their dendrites and most inhibitory
#   cells do not. Every cell whose dendrites do not fit its Cre line is dropped, whether it glowed
#   or not.
#
# Both sound sensible. The difference is that `paper` uses what was seen under the microscope to
# decide which cells a model of the *electrical* recording is tested on. It also drops inhibitory
# cells that are *sparsely spiny*, a usual form for them. If cells with a doubtful
# label are also the ones that models get wrong, leaving them out makes every model look better.
# Exercise 1 measures whether, and by how much.
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
print(f"{contradicts.mean():.1%} of the cells have dendrites that contradict their label.")

# %% [markdown]
# Spiny dendrites contradict an inhibitory label; aspiny or sparsely spiny ones contradict a
# glutamatergic one. As the table shows, sparsely spiny cells are almost all inhibitory.
#
# The contradicted cells are not spread evenly. These are the lines with the largest share:

# %%
by_line = contradicts.groupby(cells.metadata["line_name"]).agg(contradict="mean", cells="size")
assert contradicts.groupby(cells.y).mean().idxmax() == "Sst+"
by_line.nlargest(5, "contradict").style.format({"contradict": "{:.0%}"})

# %% [markdown]
# Where the dendrites are right and the label is wrong, a perfect model of the electrical recording
# would be counted as mistaken. Keep this ceiling in mind when you read an accuracy.
#
# ## Which animal did it come from?
#
# Several cells often come from the same animal, the **donor**. They share its genes, its age, the
# slice, the day, the experimenter. And one thing more:

# %%
per_donor = cells.y.groupby(cells.donors).agg(["size", "nunique"])
n_cells = per_donor["size"]
print(f"{len(per_donor)} donors, {n_cells.mean():.1f} cells each, {n_cells.max()} at most")
print(f"donors with more than one cell: {(n_cells > 1).mean():.0%}")
print(f"donors with cells of more than one class: {(per_donor['nunique'] > 1).sum()}")
assert (per_donor["nunique"] == 1).all()

# %% [markdown]
# Of course: a mouse belongs to one Cre line, so all its cells have one label. A model
# that recognises the donor knows the label without knowing anything about cell types. If cells of
# one donor are in the training set *and* in the test set, a test score may reward exactly that.
#
# How often would it happen? Split the cells at random into five parts, as most tutorials do, and
# count the test cells that have a sibling among the training cells. Then split by donor.


# %%
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold


def with_sibling(folds):
    """Share of test cells whose donor also has cells in the training set, mean over folds."""
    return np.mean(
        [cells.donors.iloc[test].isin(cells.donors.iloc[train]).mean() for train, test in folds]
    )


random_folds = StratifiedKFold(5, shuffle=True, random_state=0)
donor_folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
at_random = with_sibling(random_folds.split(cells.X, cells.y))
by_donor = with_sibling(donor_folds.split(cells.X, cells.y, cells.donors))
print("test cells with a sibling in the training set:")
print(f"  split at random  {at_random:.0%}")
print(f"  split by donor   {by_donor:.0%}")
assert by_donor == 0 and at_random > 0.5

# %% [markdown]
# From here on, **donors never straddle a split**. `StratifiedGroupKFold` keeps the cells of a donor
# together and the mix of classes alike in all folds.
#
# ## Which files were these?
#
# A number can be checked only if it is known which data it came from. The record carries the sha256
# checksum of each table it was made from; if one byte of a table changes, the checksum does.

# %%
for file, checksum in cells.provenance["tables"].items():
    print(f"{file}: {checksum}")
if cells.is_synthetic:
    print("No table: these cells are synthetic. The statistics they are drawn from were taken from")
    for file, checksum in cells.provenance["fitted_to"].items():
        print(f"  {file}: {checksum}")

# %% [markdown]
# ## A first look
#
# Do the classes differ at all? Take two features from different stimuli: how much faster the action
# potential rises than it falls, and how many more spikes per second each further picoampere brings.

# %% mystnb={"image": {"alt": "Scatter plot of cells, upstroke/downstroke ratio against f-I slope, coloured by class. Pvalb+ cells lie apart with a ratio near 1 and steep f-I slopes, Glutamatergic cells have high ratios and flat slopes, the other three classes lie between and overlap."}}
from lspin.show import plot_scatter

fig = plot_scatter(cells.X, cells, "upstroke_downstroke_ratio_short_square", "f_i_curve_slope")
plt.show()

# %%
medians = cells.X.groupby(cells.y)[["upstroke_downstroke_ratio_short_square", "f_i_curve_slope"]]
medians = medians.median()
assert medians["f_i_curve_slope"].idxmax() == "Pvalb+"
assert medians.iloc[:, 0].idxmin() == "Pvalb+" and medians.iloc[:, 0].idxmax() == "Glutamatergic"
medians.round(2)

# %% [markdown]
# Pvalb+ cells stand out: a symmetric action potential and a steep f-I curve, the signs of a
# fast-spiking cell. Glutamatergic cells are at the other end. The remaining three classes overlap,
# and telling them apart will take more than two features.
#
# ## Take-away
#
# - A patch-clamp recording becomes a few dozen features; the label is read off the Cre line of the
#   mouse, not off the cell.
# - A cohort is a decision. `positive` asks only whether the cell itself glowed; `paper` also looks
#   at the dendrites, which makes the task easier.
# - Labels are imperfect, so no model can reach 100 %, and none should.
# - All cells of a donor have the same class: donors must never straddle a split.
# - The banner and the checksums say which data a result came from.
#
# ## Exercises
#
# **1.** Cross-validate a support vector machine by donor on each of the three cohorts. On which is
# it best? Did the model get better?
#
# ```{dropdown} Solution
# It scores highest on `paper` and lowest on `all`, and it is the same model each time: what changed
# is which cells it is asked about, so scores on different cohorts cannot be compared. Where the
# dendrites contradict the label, the model contradicts it too, far more often than elsewhere. That
# two methods which know nothing of each other disagree with the same labels says more about the
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
score = {name: accuracy_score(c.y, predicted[name]) for name, c in cohorts.items()}
print(pd.Series(score).round(3).sort_values().to_string())
right = predicted["positive"] == cells.y
print(f"right where the dendrites contradict the label: {right[contradicts].mean():.0%}")
print(f"right where they do not:                        {right[~contradicts].mean():.0%}")
assert score["paper"] > score["positive"] > score["all"]
assert right[contradicts].mean() < right[~contradicts].mean()

# %% [markdown]
# **2.** Compute the sha256 of a table yourself and compare it with the one in the record.
#
# ```{dropdown} Solution
# `hashlib.sha256` takes the bytes of the file. The next cell looks for each table below the data
# folder; the synthetic twin has none.
# ```

# %% tags=["hide-cell"]
import hashlib

from lspin.data import data_dir

for file, checksum in cells.provenance["tables"].items():
    (path,) = data_dir().rglob(file)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == checksum
    print(f"{file}: equal")

# %% [markdown]
# ## What's next?
#
# What do all these features mean, and how are they measured? In {doc}`02_features` you measure an
# action potential yourself and meet the same numbers in the table.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
