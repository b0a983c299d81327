# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What if my table is not of neurons, or not these neurons?
#
# ## Overview
#
# Nothing in LSPIN knows what a neuron is. Any table will do that has a row for each sample, a column
# for each measurement, and a column that names a class or holds a value. In this chapter we take one
# that has nothing to do with brains, let the package say what it understood, read honest scores, look
# at the gates, save the model and use it on new rows. Then we give it rows on which nobody should
# trust it.
#
# ## After this chapter you can
#
# - bring a labelled table into the form that `lspin train` reads, and name the group of each row;
# - read what was left out and why, before you look at a score;
# - judge a score by its interval, its rivals and the largest class;
# - save a model, load it, and predict new rows with it;
# - tell when new rows lie outside what the model knows.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Tables in pandas | Necessary | [pandas in 10 minutes](https://pandas.pydata.org/docs/user_guide/10min.html) |
# | Open gates, `max_open` | Necessary | {doc}`05_training` |
# | Cross-validation, rivals | Necessary | {doc}`07_baselines` |
# | Groups never straddle a split | Necessary | {doc}`01_fetching_cells`, where they are donors |
# | When a new table lies outside | Helpful | {doc}`08_other_labs` |
#
# ## Time to learn
#
# - **Reading**: 20 minutes
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
from sklearn.datasets import load_breast_cancer

source = load_breast_cancer(as_frame=True)
print("Source: Breast Cancer Wisconsin (Diagnostic), from scikit-learn.")
print("No neurons.")

# %% [markdown]
# ## A table as you might have it
#
# From 569 patients, cells of a lump in the breast were drawn through a fine needle and looked at under
# a microscope. Thirty measurements describe their nuclei; the diagnosis is *benign* or *malignant*. We
# write the table to a CSV file as a spreadsheet would: with a column of patient numbers, a column of
# text, and a few empty fields. Three patients in ten stay out, to be the new rows later.

# %%
import tempfile
from pathlib import Path

import numpy as np

raw = source.data.round(4)
raw.insert(0, "patient id", np.arange(1, len(raw) + 1))
raw["seen by"] = "microscope 2"
raw.iloc[::40, 5] = np.nan
raw["diagnosis"] = source.target_names[source.target]
is_new = np.random.default_rng(0).random(len(raw)) < 0.3

folder = Path(tempfile.mkdtemp())
raw[~is_new].to_csv(folder / "table.csv", index=False)
new_rows = raw[is_new].drop(columns="diagnosis")
new_rows.to_csv(folder / "new.csv", index=False)
raw.iloc[:3, [0, 1, 2, -2, -1]]

# %% [markdown]
# ## What was understood
#
# In a terminal, all that follows takes two commands:
#
# ```bash
# lspin train table.csv --label diagnosis --save model.lspin
# lspin predict model.lspin new.csv -o answers.csv
# ```
#
# Here we go through their steps one at a time. The first is to decide what can be learned from.
#
# ```{admonition} Predict before you run
# :class: tip
# The file has 33 columns. Which of them should a model not learn from, and why?
# ```

# %%
from lspin.data import own_table, read_csv

table = own_table(read_csv(folder / "table.csv"), label="diagnosis")
print(f"{len(table.X)} rows, {table.X.shape[1]} measurements")
print(*table.remarks, sep="\n")
for name, why in table.left_out.items():
    print(f"left out: {name} ({why})")

# %% [markdown]
# Read these lines before any score. The number of a patient is not a measurement, and yet a model would
# use it if patients were numbered by diagnosis. If a measurement had been left out by mistake, because
# of a stray word in its column, it would be named here.
#
# **Groups.** Here each row is one patient, so every row is independent of the others. Where several
# rows come from one animal, patient, slide or day, name the column that says which: `--group donor`, or
# `own_table(..., group="donor")`. Then no {term}`group` is on both sides of a test. If you leave it
# out, the scores are too good; exercise 2 shows by how much.
#
# ## Honest scores
#
# `score_own` trains LSPIN and two rivals on the same five {term}`folds <fold>`, and at the end one model
# on all rows. One rival is a {term}`support vector machine` (*RBF-SVM*) that sees all measurements, the
# other always names the largest class. Gaps are filled ({term}`imputation`) and columns
# {term}`standardised <standardise>` by the training rows of each fold alone.
#
# We ask for at most five {term}`open gates <open gate>`, as `lspin train` does, and take four
# networks instead of twelve, so that the page does not keep you waiting.
#
# ```{admonition} Predict before you run
# :class: tip
# Five of thirty measurements for each patient: how far behind the support vector machine, which
# sees all thirty, will LSPIN be?
# ```

# %% tags=["remove-stderr"]
from lspin import LSPINClassifier
from lspin.evaluate import score_own

model = LSPINClassifier(max_open=5, n_members=4, random_state=0)
found = score_own(table, model, verbose=0)
print(found)

# %% [markdown]
# Ask three questions of such a report, in this order.
#
# 1. *Is it better than naming the largest class?* If not, there is nothing to explain.
# 2. *Is it as good as a rival that sees all measurements?* If the {term}`interval` of the difference
#    {cite}`nadeau2003` contains 0, this table cannot tell the two apart; that does not mean that they are
#    equal.
# 3. *Which measurements did it use?* Many of the thirty columns say nearly the same (radius, perimeter
#    and area of a nucleus do), and which of them is open may come down to chance
#    ({doc}`10_faithful`).
#
# {term}`Macro F1 <macro F1>` counts both diagnoses the same, however common they are. If the label were
# a value and not a class, the same call with `LSPINRegressor` would report squared errors, beside those
# of always naming the mean.
#
# ## The gates of one row
#
# The model that was trained on all rows is a `TableModel`: raw columns go in, answers and gates come
# out. Let us look, among the new patients, at the one it is least sure about:

# %%
new = read_csv(folder / "new.csv").drop(columns="seen by").astype(float)
answers = found.model.predict(new)
unsure = answers.filter(like="p(").max(axis=1).idxmin()
gates = found.model.gates(new).loc[unsure]
opened = gates[gates > 0].index
print(answers.loc[unsure].to_string())

# %%
medians = table.X.groupby(table.y).median()[opened].T
medians.insert(0, "this patient", new.loc[unsure, opened])
medians.rename_axis("measurement").map("{:.3g}".format)

# %% [markdown]
# Beside the value of this patient stand the medians of the two classes. The whole answer came through
# these measurements. Whether it is *right* is another matter, and so is what a pathologist would say.
#
# ## Save it, and use it
#
# The file holds numbers and text, and no code is run when it is read, so you may open one that comes
# from a stranger.

# %%
from lspin import TableModel

file = folder / "model.lspin"
found.model.save(file)
model = TableModel.load(file)
assert model.predict(new).equals(answers)
truth = raw.loc[is_new, "diagnosis"].to_numpy()
right = (answers["predicted"] == truth).mean()
print(f"{len(new)} new rows, {right:.1%} right")
print(f"{file.stat().st_size // 1024} kB")

# %% [markdown]
# ## Rows on which it should not be trusted
#
# A model always answers, whatever you show it. Suppose that another clinic measures lengths in another
# unit, so that all of them are four times as large.
#
# ```{admonition} Predict before you run
# :class: tip
# Larger nuclei are a sign of a malignant tumour. What will the model say about these patients, and
# will anything warn you?
# ```

# %%
import warnings

ends = ("radius", "perimeter")
lengths = [name for name in model.columns if name.split()[-1] in ends]
elsewhere = new.assign(**{name: 4 * new[name] for name in lengths})
for what, rows in {"as they are": new, "four times": elsewhere}.items():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        predicted = model.predict(rows)["predicted"]
    print(f"{what}: {(predicted == truth).mean():.1%} right,", end=" ")
    print(f"{(predicted == 'malignant').mean():.0%} malignant")
    print(*(f"  warning: {one.message}" for one in said), sep="\n")

# %% [markdown]
# `predict` warns of two gross problems: columns in which most rows lie far outside, and single rows that
# do. Even with the rows as they are, a few may bring a warning, because among many patients some are far
# from all others in one measurement. With the wrong unit, whole columns are named. A smaller shift passes
# without a warning. `shift` is the finer instrument. It needs the training table, and tells for each
# measurement how far the new rows lie outside ({term}`shift`, {doc}`08_other_labs`). The share of missing
# values counts as one more measurement. The verdict says "cells" whatever the rows are:

# %%
from lspin.evaluate import shift

columns = list(table.X)
print("new rows:   ", shift(table.X, new[columns]))
odd = new.loc[[unsure], columns].assign(**{"mean smoothness": 0.9})
print("one odd row:", shift(table.X, odd))

# %% [markdown]
# Columns are found by their names. If one is missing, nothing is predicted:

# %%
try:
    model.predict(new.drop(columns="mean radius"))
except ValueError as error:
    print(error)

# %% [markdown]
# ## Neurons, but not these
#
# If your rows are neurons with labels of your own, nothing changes: a column for each measurement, one
# for the label, one for the {term}`donor`. `lspin template cells.csv` writes a form with the names and
# units of this book. With these names, the same table also fits `lspin classify` ({doc}`12_own_cell`),
# which needs no labels of yours because it learned from the Allen cells. {doc}`feature_mapping` lists
# what other laboratories call the same things.
#
# ## Take-away
#
# - Any labelled table will do. What is left out, and why, is the first thing to read.
# - Name the group. Without it, the score may be one for recognising the animal.
# - A score means something only beside its interval, a rival, and the largest class.
# - A saved model is a file of numbers that knows its columns by name, but not their units.
# - `predict` warns of the grossest mistakes only. Look at `shift` before you look at answers.
#
# ## Self-check
#
# **1.** Your table has 200 rows: ten cells from each of 20 mice. You forget `--group`. In which
# direction is the score wrong, and why?
#
# ```{dropdown} Answer
# It is too high. Cells of one mouse resemble one another, so a model can recognise the mouse on the test
# side and name the class of its siblings. With the group named, whole mice are tested.
# ```
#
# **2.** Nine rows in ten belong to one class, and a model reaches an accuracy of 0.91. What do you
# compare it with, and what do you think of it?
#
# ```{dropdown} Answer
# With always naming the largest class, which reaches 0.90 without looking. So the model has learned next
# to nothing, or nothing; macro F1 and the interval of the difference would show it.
# ```
#
# **3.** The interval of the difference between LSPIN and the support vector machine runs from -0.03 to
# 0.02. May you write that the two are equally good?
#
# ```{dropdown} Answer
# No. You may write that this table cannot tell them apart, and that a difference of more than some
# three points is unlikely. With more rows the interval might exclude 0.
# ```
#
# **4.** Two columns are nearly copies of each other. In one training the first is open for most rows,
# in the next the second. Has something gone wrong?
#
# ```{dropdown} Answer
# No. Either carries the same information, so the choice between them is nearly a matter of chance.
# It only means that you must not read "the second does not matter" from its closed gate.
# ```
#
# **5.** A colleague sends a table in inches; the model learned from centimetres. All names agree. What
# happens?
#
# ```{dropdown} Answer
# The model answers, because it knows columns by name and not by unit. If most rows of a column lie far
# outside, `predict` warns; with a smaller factor it may not. Looking at `shift` first would show it.
# ```
#
# ## Exercises
#
# **1. Warm-up.** Replace the diagnosis by one drawn at random. What should a support vector machine
# score in cross-validation? Try it. *On the twin: the same; no neurons are needed.*
#
# ```{dropdown} Solution
# About as much as guessing: one half, if both are equally common. A score well above that would mean
# that something leaks.
# ```

# %% tags=["hide-cell"]
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from lspin.features import table_inputs

rng = np.random.default_rng(0)
drawn = rng.choice(["benign", "malignant"], len(table.X))
machine = make_pipeline(table_inputs(), SVC(C=3))
folds = KFold(5, shuffle=True, random_state=0)
score = cross_val_score(machine, table.X, drawn, cv=folds).mean()
print(f"accuracy on random labels: {score:.2f}")
assert 0.4 < score < 0.6

# %% [markdown]
# **2. Core.** Now let each patient have two rows: the second is the first with a little noise, as if
# the same slide had been measured twice. Keep the random diagnoses, one for each patient. Score a
# nearest-neighbour classifier with and without groups. *On the twin: the same; no neurons are needed.*
#
# ```{dropdown} Solution
# Without groups, nearly every test row has its copy among the training rows, and the copy is its nearest
# neighbour: the accuracy is far above one half, although there is *nothing* to learn. With groups it is
# one half again.
# ```

# %% tags=["hide-cell"]
import pandas as pd
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsClassifier

noise = 1 + 0.01 * rng.standard_normal(table.X.shape)
twice = pd.concat([table.X, table.X * noise], ignore_index=True)
patients = np.tile(np.arange(len(table.X)), 2)
labels = np.tile(drawn, 2)
neighbour = make_pipeline(table_inputs(), KNeighborsClassifier(1))
without = cross_val_score(neighbour, twice, labels, cv=folds).mean()
grouped = cross_val_score(
    neighbour, twice, labels, groups=patients, cv=GroupKFold(5)
).mean()
print(f"without groups: accuracy {without:.2f}")
print(f"with groups:    accuracy {grouped:.2f}")
assert without > 0.7 > 0.6 > grouped

# %% [markdown]
# **3. Open.** Take a table of your own. Before you train, write down: what is a row, what is the group,
# and which columns could only be known after the label was given? *On the twin: the same; the table
# is yours.*
#
# ```{dropdown} Solution
# There is no single answer. A good one names the unit of independence (patient, animal, day) and argues
# for it, and goes through the columns one by one. The last question is the one most often forgotten: a
# column such as "days in hospital" is no copy of the diagnosis, so no program will find it, and yet it
# gives the diagnosis away.
# ```
#
# ## What's next?
#
# This was the last chapter. {doc}`speed` shows how models are trained fast and what to do if one machine
# is not enough, {doc}`published_number` how a published score came about, and {doc}`running` has all
# commands.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
