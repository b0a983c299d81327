# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How many gates should stay open?
#
# ## Overview
#
# A model whose gates close one at a time gives an answer with any number of gates left. Few are easy
# to read, and many may be right more often. In this chapter we walk the path from many to few, on
# donors held out of the training cells, and choose; then we look at the test cells, once, and ask two
# questions that every score should be asked: do the probabilities mean what they say, and how sure is
# the score itself?
#
# ## After this chapter you can
#
# - draw a path of scores over limits, and say which cells each score comes from;
# - apply the one-standard-error rule, and say what it gives away;
# - tell why the test cells may be looked at only after every choice is made;
# - read a reliability diagram and a calibration error;
# - give an accuracy its confidence interval.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Gates that close one at a time, `max_open` | Necessary | {doc}`05_training` |
# | Cells, classes, donors | Necessary | {doc}`01_fetching_cells` |
# | Model inputs | Necessary | {doc}`02_features` |
# | Standard error of a mean | Helpful |  |
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
from lspin import load_cells

cells = load_cells()
print(cells.banner())

# %% [markdown]
# As in {doc}`05_training`, one of five donor-grouped folds is the test set: cells of mice that no
# model here is trained on. `train_lspin` trains on the rows it is given. With nothing set it is the
# mean of twelve networks that see all measurements; with `max_open=5` these twelve teach predictors
# that do with few measurements, and the gates of each cell close until five are left.

# %%
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier
from lspin.data import donor_folds
from lspin.evaluate import fit_grouped
from lspin.features import model_inputs

train, test = donor_folds(cells.y, cells.donors, n_splits=5, random_state=0)[0]


def train_lspin(rows, **settings):
    model = LSPINClassifier(random_state=0, **settings)
    pipeline = make_pipeline(model_inputs(cells.X), model)
    return fit_grouped(pipeline, cells.X.iloc[rows], cells.y.iloc[rows], cells.donors.iloc[rows])


print(f"{len(train)} cells to train on, {len(test)} to test on, once")

# %% [markdown]
# ## What few gates cost
#
# To see what few gates cost, we walk a whole *path*: one limit after another, and the twelve themselves
# for no limit. Each is scored by *macro F1*, the mean over classes of the harmonic mean of precision
# and recall, on donors held out of **our training cells**; choosing on the test cells would make the
# test score too good. Per fold the twelve and the predictors are trained once, and the gates of each
# cell closed once; all limits are cuts through that. The picture is drawn while it works.

# %% tags=["remove-stderr"] mystnb={"image": {"alt": "Macro F1 on held-out donors against the median number of open gates per cell, one dot with an error bar per limit. A dotted line shows the best mean less one standard error, and a ring the smallest limit that is above it."}}
import matplotlib.pyplot as plt
from IPython.display import display

from lspin import lspin_path
from lspin.show import plot_path

n_inputs = model_inputs(cells.X).fit_transform(cells.X.iloc[train]).shape[1]


def draw(path):
    """Draw the folds that are done."""
    fig = plot_path(path, n_inputs, cells.banner())
    plt.close(fig)
    return fig


picture = display(display_id=True)
path = lspin_path(
    make_pipeline(model_inputs(cells.X), LSPINClassifier(random_state=0)),
    cells.X.iloc[train],
    cells.y.iloc[train],
    groups=cells.donors.iloc[train],
    n_folds=3,
    on_fold=lambda path: picture.update(draw(path)),
)

# %%
path.summary().round(3)

# %% [markdown]
# Which limit to take? The best dot is best by luck as well as by merit: the bars show how unsure
# each mean is. The **one-standard-error rule** takes the smallest number of gates whose score is still
# within one standard error of the best: as few as possible, at no loss that we could tell.

# %%
import numpy as np

by_rule = path.one_standard_error()
at_rule, best = path.summary().loc[by_rule], path.summary()["macro_f1"].max()
number = None if np.isinf(by_rule) else int(by_rule)
print(
    f"The rule takes max_open={number}: {at_rule['open_gates']:.0f} of {n_inputs} gates open in the "
    f"median cell, macro F1 {at_rule['macro_f1']:.3f} (best {best:.3f})."
)

# %% [markdown]
# `LSPINClassifier(max_open="auto")` does all this by itself, on folds of whatever cells it is trained
# on. It takes about four times as long as one `fit` with a number: three folds, and the fit. Three
# folds make a rough standard error, so with other seeds the rule may take a neighbouring number. And
# "no loss that we could tell" is not "no loss": where folds differ much, the rule lets a point or
# two go. If you have a number in mind that a reader can take in, such as five, ask for that and
# look at what it costs.
#
# We do both: a model with five gates, which we would have asked for anyway, and one with what the
# rule says, on all training cells; and beside them the twelve networks without a limit.

# %% tags=["remove-stderr"]
pipeline = train_lspin(train)
models = {"no limit": pipeline, "5 gates": train_lspin(train, max_open=5)}
if number not in (None, 5):
    models[f"{number} gates, by the rule"] = train_lspin(train, max_open=number)

# %% [markdown]
# ## The test cells, once
#
# These models were fixed before, so we may look at the test donors now. *open_gates* is the median over
# cells. Scores need not be those of the path: one fold is easier than another.

# %%
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score

from lspin.evaluate import open_gates

truth = cells.y.iloc[test]
predicted = pipeline.predict(cells.X.iloc[test])
accuracy = accuracy_score(truth, predicted)
majority = truth.value_counts(normalize=True).max()
assert accuracy > majority + 0.1
print(f"always guessing the largest class: accuracy {majority:.3f}")
rows = {}
for name, model in models.items():
    called = model.predict(cells.X.iloc[test])
    rows[name] = {
        "accuracy": accuracy_score(truth, called),
        "macro_f1": f1_score(truth, called, average="macro"),
        **open_gates(model, cells.X.iloc[test]),
    }
pd.DataFrame(rows).T.round(3)

# %% mystnb={"image": {"alt": "Confusion matrix of the test cells, true class in rows and predicted class in columns, as shares of each true class. The diagonal dominates."}}
from sklearn.metrics import confusion_matrix

from lspin.show import name_source

order = list(cells.counts().index)
shares = confusion_matrix(truth, predicted, labels=order, normalize="true")
fig, ax = plt.subplots(figsize=(5, 4.2), layout="constrained")
ax.imshow(shares, cmap="Greys", vmin=0, vmax=1)
for i, j in np.ndindex(shares.shape):
    ax.text(
        j,
        i,
        f"{shares[i, j]:.0%}",
        ha="center",
        va="center",
        color="white" if shares[i, j] > 0.5 else "black",
    )
ax.set_xticks(range(5), order, rotation=30, ha="right")
ax.set_yticks(range(5), order)
ax.set(xlabel="predicted class", ylabel="true class (Cre line)")
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# ### When it says 80 %, is it right in 80 % of the cases?
#
# The mean of the twelve is as sure of itself as one more number says, the *temperature* by which
# logits are divided ({doc}`05_training`). What it does is seen by undoing it. The *calibration error* is the distance from the
# diagonal, averaged over cells. On few cells it is never 0: we also compute what it would be, on
# average, for labels drawn with exactly the probabilities that the model gives.

# %% mystnb={"image": {"alt": "Share of correct predictions against the probability of the predicted class, with the temperature and without it, and the diagonal on which a model is calibrated."}}
from copy import deepcopy

from lspin.evaluate import expected_calibration_error
from lspin.show import plot_reliability

raw = deepcopy(pipeline)
raw[-1].network_.divide_outputs(1 / raw[-1].temperature_)
proba = {
    name: pd.DataFrame(model.predict_proba(cells.X.iloc[test]), columns=model.classes_)
    for name, model in {"with temperature": pipeline, "without": raw}.items()
}
assert (proba["without"].idxmax(axis=1) == proba["with temperature"].idxmax(axis=1)).mean() > 0.95
for name, p in proba.items():
    error = expected_calibration_error(truth, p.to_numpy(), p.columns)
    print(f"{name}: calibration error {error:.3f}")
rng = np.random.default_rng(0)
cumulated = proba["with temperature"].to_numpy().cumsum(axis=1)
drawn = [(cumulated > rng.random((len(test), 1))).argmax(axis=1) for _ in range(200)]
lucky = [
    expected_calibration_error(k, proba["with temperature"].to_numpy(), range(len(p.columns)))
    for k in drawn
]
print(f"if the probabilities were exact: {np.mean(lucky):.3f} on {len(test)} cells")
plot_reliability(truth.to_numpy(), proba, cells.banner())
plt.show()

# %% [markdown]
# Dots above the diagonal are cells of which the model is less sure than it might be. Why does LSPIN
# average logits, where many ensembles average probabilities? Each cell was set aside by one or two
# networks only, so the temperature fits few networks at a time. A mean of probabilities is more
# modest than the networks it is made of, the more so the less they agree, and no temperature found
# in this way would know.
#
# ### How sure is this score?
#
# One fold of a few hundred cells is a small sample. If each cell were an independent coin flip with
# the measured accuracy, we would know the true one this well (Wilson's interval):


# %%
from scipy.stats import binomtest


def interval(n_right, n):
    """Return Wilson's 95 % interval of a share, in words."""
    low, high = binomtest(int(n_right), int(n)).proportion_ci(method="wilson")
    return f"{n_right / n:.3f}, 95 % interval {low:.3f} to {high:.3f}"


print("accuracy", interval((predicted == truth).sum(), len(truth)))

# %% [markdown]
# That is wide. It says how well one fold knows the score of *this* model. Two models on the same cells
# are another matter: they find the same cells hard, so their difference is known better than
# either score, and has to be looked at in pairs. {doc}`07_baselines` does that, on all folds, with
# rivals.
#
# ## Take-away
#
# - How many gates? Look at a path and choose, or let `max_open="auto"` take as few as cost nothing
#   that could be told. Whether open gates are *good* explanations is a further question.
# - Whatever is chosen (how many gates, the step to keep, the temperature) is chosen on donors that
#   are not in the test.
# - A probability is worth something if such answers are right as often as it says.
# - A score of a few hundred cells is known to within some points. Two models are compared in pairs.
#
# ## Exercises
#
# **1.** Take *two* standard errors instead of one. Which limit does the rule take then, and what does
# it give away?
#
# ```{dropdown} Solution
# A wider margin lets more limits in, so the number is the same or smaller, and more of the score may
# be lost. How many standard errors to grant is a convention; one is usual.
# ```

# %% tags=["hide-cell"]
by_limit = path.scores.groupby("max_open")["macro_f1"]
mean, error = by_limit.mean(), by_limit.sem()
for n_errors in (1, 2):
    enough = mean[mean >= mean.max() - n_errors * error[mean.idxmax()]]
    limit = enough.index.min()
    print(f"{n_errors}: max_open={limit:g}, {mean.max() - enough[limit]:.3f} below the best")

# %% [markdown]
# **2.** In how many of the test cells does the model with five gates give another answer than the one
# without a limit? Where they differ, which is right more often? Would you call that a difference?
#
# ```{dropdown} Solution
# Cells on which both are right, or both wrong in the same way, say nothing about which is better;
# those on which they differ do. They are few, and each model is right in some of them. If there were
# no difference, which of the two is right would be a coin toss, and `binomtest` says how surprising
# the count is: a p-value far above 0.05 is no evidence for either.
# ```

# %% tags=["hide-cell"]
all_gates, five_gates = (
    models[name].predict(cells.X.iloc[test]) for name in ("no limit", "5 gates")
)
differ = all_gates != five_gates
only_all, only_five = (np.sum(differ & (a == truth)) for a in (all_gates, five_gates))
print(
    f"{differ.sum()} of {len(test)} answers differ: without a limit {only_all} are right,", end=" "
)
print(f"with five gates {only_five}")
if only_all + only_five:
    p_value = binomtest(int(only_five), int(only_all + only_five)).pvalue
    print(f"p = {p_value:.2f} if there were no difference")

# %% [markdown]
# ## What's next?
#
# Is LSPIN any better than a support vector machine? {doc}`07_baselines` compares them under one
# protocol. (What choosing on the test cells does to a score, and how a published score came about, is
# in {doc}`published_number`.)
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
