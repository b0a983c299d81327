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
# Nothing in LSPIN knows what a neuron is. Any table will do that has a row per sample, a column per
# measurement, and a column that names a class or holds a value. In this chapter we take one that has
# nothing to do with brains, let the package say what it understood, read honest scores, look at the
# gates, save the model and use it on new rows; and we give it rows that it should not be trusted with.
#
# ## After this chapter you can
#
# - bring a labelled table into the form that `lspin train` reads, and name the group of each row;
# - read what it left out and why, before you look at a score;
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
# - **Reading**: 15 minutes
# - **Exercises**: 15 minutes

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
from sklearn.datasets import load_breast_cancer

source = load_breast_cancer(as_frame=True)
print("Source: Breast Cancer Wisconsin (Diagnostic), as scikit-learn brings it; no neurons.")

# %% [markdown]
# ## A table as you might have it
#
# Of 569 patients, cells of a lump in the breast were drawn through a fine needle and seen under a
# microscope. Thirty measurements describe their nuclei; the diagnosis is *benign* or *malignant*. We
# write the table as a CSV file, as a spreadsheet would: with a column that numbers the patients, one
# of text, and a few empty fields. Three patients in ten stay out, to be the new rows later.

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
raw[is_new].drop(columns="diagnosis").to_csv(folder / "new.csv", index=False)
raw.iloc[:3, [0, 1, 2, -2, -1]]

# %% [markdown]
# ## What was understood
#
# In a terminal, all that follows is two commands:
#
# ```bash
# lspin train table.csv --label diagnosis --save model.lspin
# lspin predict model.lspin new.csv -o answers.csv
# ```
#
# Here we take their steps one at a time. The first is to decide what can be learned from.

# %%
from lspin.data import own_table, read_csv

table = own_table(read_csv(folder / "table.csv"), label="diagnosis")
print(f"{len(table.X)} rows, {table.X.shape[1]} measurements")
print(*table.remarks, sep="\n")
for name, why in table.left_out.items():
    print(f"left out: {name} ({why})")

# %% [markdown]
# Read these lines before any score. A number of the patient is no measurement, and yet a model would
# use it if patients were numbered by diagnosis. Had a measurement been left out by mistake, a stray
# word in its column would be named here.
#
# **Groups.** Each row is one patient, so every row counts for itself. Where several rows come from one
# animal, patient, slide or day, name that column: `--group donor`, or `own_table(..., group="donor")`.
# No group is then on both sides of a test. If you leave it out the scores are too good; exercise 2
# shows how much.
#
# ## Honest scores
#
# `score_own` trains LSPIN and two rivals on the same five folds, and at the end one model on all rows.
# Gaps are filled and columns standardised by the training rows of each fold. We ask for five gates,
# as `lspin train` does, and take four networks instead of twelve, so that the page does not keep you
# waiting.

# %% tags=["remove-stderr"]
from lspin import LSPINClassifier
from lspin.evaluate import score_own

found = score_own(table, LSPINClassifier(max_open=5, n_members=4, random_state=0), verbose=0)
print(found)

# %% [markdown]
# Three questions to such a report, in this order.
#
# 1. *Is it better than naming the largest class?* If not, there is nothing to explain.
# 2. *Is it as good as a rival that sees all measurements?* If the interval of the difference holds 0,
#    the two cannot be told apart on this table; that does not say that they are equal.
# 3. *What was it read from?* Many of the thirty columns say nearly the same (radius, perimeter and area
#    of a nucleus do), and which of them is open is a matter of little ({doc}`10_faithful`).
#
# If the label were a value and not a class, the same call with `LSPINRegressor` would score squared
# errors, beside always naming the mean.
#
# ## The gates of one row
#
# The model that was trained on all rows is a `TableModel`: raw columns go in, answers and gates come
# out. Take the patient, among the new ones, of whom it is least sure:

# %%
new = read_csv(folder / "new.csv").drop(columns="seen by").astype(float)
answers = found.model.predict(new)
unsure = answers.filter(like="p(").max(axis=1).idxmin()
gates = found.model.gates(new).loc[unsure]
opened = gates[gates > 0].index
print(answers.loc[unsure].to_string())
report = {"value": new.loc[unsure, opened]}
report |= {name: table.X.groupby(table.y).median().loc[name, opened] for name in set(table.y)}

# %%
import pandas as pd

pd.DataFrame(report).rename_axis("measurement").round(2)

# %% [markdown]
# Beside the value stand the medians of the two classes. All of the answer went through these
# measurements; whether it is *right* is another matter, and so is what a pathologist would say.
#
# ## Save it, and use it
#
# The file holds numbers and text, and no code is run when it is read, so you may open a stranger's.

# %%
from lspin import TableModel

found.model.save(folder / "model.lspin")
model = TableModel.load(folder / "model.lspin")
assert model.predict(new).equals(answers)
truth = raw.loc[is_new, "diagnosis"].to_numpy()
right = (answers["predicted"] == truth).mean()
print(
    f"{len(new)} new rows, {right:.1%} right; {(folder / 'model.lspin').stat().st_size // 1024} kB"
)

# %% [markdown]
# ## Rows that it should not be trusted with
#
# A model answers whatever it is asked. Suppose that another clinic measures lengths in another unit, so
# that all of them are four times as large:

# %%
import warnings

lengths = [name for name in model.columns if name.split()[-1] in ("radius", "perimeter")]
elsewhere = new.assign(**{name: 4 * new[name] for name in lengths})
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    wrong_unit = model.predict(elsewhere)
print(*(str(one.message) for one in said), sep="\n")
print(f"right: {(wrong_unit['predicted'] == truth).mean():.1%}")

# %% [markdown]
# Where most rows of a column lie far outside, `predict` warns. It does not look further: a smaller
# shift, or a single odd row, passes without a word. `shift` is the finer instrument. It needs the
# training table, and says of each measurement how far the new rows lie outside ({doc}`08_other_labs`):

# %%
from lspin.evaluate import shift

print("new rows:     ", shift(table.X, new[list(table.X)]))
odd = new.loc[[unsure], list(table.X)].assign(**{"mean smoothness": 0.9})
print("one odd row:  ", shift(table.X, odd))

# %% [markdown]
# And columns go by name. One that is missing stops everything:

# %%
try:
    model.predict(new.drop(columns="mean radius"))
except ValueError as error:
    print(error)

# %% [markdown]
# ## Neurons, but not these
#
# If your rows are neurons with labels of your own, nothing changes: a column per measurement, one for
# the label, one for the donor. `lspin template cells.csv` writes a form with the names and units of this
# book; with these names, the same table also fits `lspin classify` ({doc}`12_own_cell`), which needs no
# labels of yours because it learned from the Allen cells. {doc}`feature_mapping` says what other
# laboratories call the same things.
#
# ## Take-away
#
# - Any labelled table will do; what is left out, and why, is the first thing to read.
# - Name the group. Without it the score may be that of recognising the animal.
# - A score means something beside its interval, a rival, and the largest class.
# - A saved model is a file of numbers that knows its columns by name, and not their units.
# - `predict` warns of the grossest mistakes only. Look at `shift` before you look at answers.
#
# ## Exercises
#
# **1.** Replace the diagnosis by one drawn at random. What should a support vector machine score in
# cross-validation? Try it.
#
# ```{dropdown} Solution
# About what is got by naming classes without looking: half, if both are equally common. A score well
# above that would mean that something leaks.
# ```

# %% tags=["hide-cell"]
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from lspin.features import table_inputs

rng = np.random.default_rng(0)
drawn = rng.choice(["benign", "malignant"], len(table.X))
machine = make_pipeline(table_inputs(), SVC(C=3))
score = cross_val_score(machine, table.X, drawn, cv=KFold(5, shuffle=True, random_state=0)).mean()
print(f"accuracy on random labels: {score:.2f}")
assert 0.4 < score < 0.6

# %% [markdown]
# **2.** Now let each patient have two rows: the second is the first with a little noise, as if the same
# slide had been measured twice. Keep the random diagnoses, one per patient. Score a nearest-neighbour
# classifier with and without groups.
#
# ```{dropdown} Solution
# Without groups the twin of nearly every test row is among the training rows, and its nearest neighbour:
# the accuracy is around 0.9, although there is *nothing* to learn. With groups it is one half again.
# ```

# %% tags=["hide-cell"]
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsClassifier

noise = 1 + 0.01 * rng.standard_normal(table.X.shape)
twice = pd.concat([table.X, table.X * noise], ignore_index=True)
patients, labels = np.tile(np.arange(len(table.X)), 2), np.tile(drawn, 2)
neighbour = make_pipeline(table_inputs(), KNeighborsClassifier(1))
scores = {
    "without groups": cross_val_score(
        neighbour, twice, labels, cv=KFold(5, shuffle=True, random_state=0)
    ),
    "with groups": cross_val_score(neighbour, twice, labels, groups=patients, cv=GroupKFold(5)),
}
for name, values in scores.items():
    print(f"{name}: accuracy {values.mean():.2f}")
assert scores["without groups"].mean() > 0.7 > 0.6 > scores["with groups"].mean()

# %% [markdown]
# **3.** (Open.) Take a table of your own. Write down, before you train: what is a row, what is the group,
# which column could only be known after the label was given?
#
# ```{dropdown} Solution
# There is no one answer. The last question is the one that is most often forgotten: a column such as
# "days in hospital" is no copy of the diagnosis, so no program will find it, and it gives it away.
# ```
#
# ## What's next?
#
# This was the last chapter. {doc}`speed` shows how models train fast and what to do if one machine is not
# enough, {doc}`published_number` how a published score came about; and {doc}`running` has all commands.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
