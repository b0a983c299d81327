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
# A model whose {term}`gates <gate>` close one at a time can answer with any number of gates left. A few are
# easy to read; many may be right more often. In this chapter you follow the scores from many gates to few,
# on {term}`donors <donor>` set aside from the training cells, and choose. Then you look at the test cells,
# once, and ask two questions that should be asked of every score: do the probabilities mean what they say,
# and how certain is the score itself?
#
# ## After this chapter you can
#
# - draw a path of scores over limits, and say which cells each score comes from;
# - apply the one-standard-error rule, and say what it gives away;
# - explain why the test cells may be looked at only after every choice is made;
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
# As in {doc}`05_training`, one of five {term}`donor-grouped` {term}`folds <fold>` is the test set: cells
# of mice that no model here is trained on. `train_lspin` trains on the rows that it is given. With its default
# settings, the model is the mean of twelve networks that see all measurements. With `max_open=5` these twelve
# teach predictors that can cope with few measurements, and the gates of each cell close until five are left.

# %%
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier
from lspin.data import donor_folds
from lspin.evaluate import fit_grouped
from lspin.features import model_inputs

folds = donor_folds(cells.y, cells.donors, n_splits=5, random_state=0)
train, test = folds[0]


def train_lspin(rows, **settings):
    model = LSPINClassifier(random_state=0, **settings)
    pipeline = make_pipeline(model_inputs(cells.X), model)
    X, y, donors = (t.iloc[rows] for t in (cells.X, cells.y, cells.donors))
    return fit_grouped(pipeline, X, y, donors)


print(f"{len(train)} cells to train on, {len(test)} to test on, once")

# %% [markdown]
# ## What few gates cost
#
# To see what few gates cost, we compute a whole *path*: one limit after another, and the twelve networks
# themselves for no limit.
#
# Each limit is scored by {term}`macro F1`, the mean over classes of the harmonic mean of precision and
# recall, on donors set aside from **our training cells**. If we chose by the test cells instead, the test
# score would come out too high.
#
# In each fold the twelve networks and the predictors are trained once, and the gates of each cell are closed
# once; all limits are cuts through that. The picture is drawn while the computation goes on.

# %%
import matplotlib.pyplot as plt

from lspin.show import plot_path

X, y, donors = (t.iloc[train] for t in (cells.X, cells.y, cells.donors))
n_inputs = model_inputs(cells.X).fit_transform(X).shape[1]


def draw(path):
    """Draw the folds that are done."""
    fig = plot_path(path, n_inputs, cells.banner())
    plt.close(fig)
    return fig


# %% [markdown]
# ```{admonition} Predict before you run
# :class: tip
# There are some forty gates. At which limit will the score begin to fall visibly: at 20, at 8, at 3, or
# only at a single gate?
# ```

# %% tags=["remove-stderr"] mystnb={"image": {"alt": "Macro F1 on held-out donors against the median number of open gates per cell, on a logarithmic axis, one dot with an error bar per limit. A dotted line shows the best mean less one standard error, and a ring the smallest limit that is above it."}}
from IPython.display import display

from lspin import lspin_path

model = LSPINClassifier(random_state=0)
model = make_pipeline(model_inputs(cells.X), model)
picture = display(display_id=True)
path = lspin_path(
    model,
    X,
    y,
    groups=donors,
    n_folds=3,
    on_fold=lambda path: picture.update(draw(path)),
)

# %% [markdown]
# The same as a table, with two more scores. {term}`Log loss <log loss>` is the average of $-\log p$, where
# $p$ is the probability that the model gave to the true class: it is small where the model is right *and*
# sure of it.

# %%
import numpy as np

table = path.summary().round(3)
table.rename(lambda limit: "no limit" if np.isinf(limit) else int(limit))

# %% [markdown]
# Which limit should we take? The best dot is best by luck as well as by merit; the bars show how uncertain
# each mean is. The {term}`one-standard-error rule` {cite}`hastie2009` takes the smallest number of gates
# whose score is still within one standard error of the best: as few as possible, at no loss that we could
# detect.

# %%
by_rule = path.one_standard_error()
number = None if np.isinf(by_rule) else int(by_rule)
at_rule, best = path.summary().loc[by_rule], path.summary()["macro_f1"].max()
n_open = at_rule["open_gates"]
print(f"The rule takes max_open={number}: macro F1", end=" ")
print(f"{at_rule['macro_f1']:.3f} (best {best:.3f}),")
print(f"with {n_open:.0f} of {n_inputs} gates open in the median cell.")

# %% [markdown]
# `LSPINClassifier(max_open="auto")` does all this by itself, on folds of whatever cells it is trained on.
# It takes about four times as long as a single `fit` with a number: three folds, and then the fit itself.
#
# Two cautions. Three folds give only a rough standard error, so with another {term}`seed` the rule may take
# a neighbouring number. And "no loss that we could detect" is not "no loss": where folds differ much, the rule
# may give away a percentage point or two. If you already know how many measurements you can take in at a
# glance, say five, ask for that many and look at what it costs.
#
# We do both. We train a model with five gates, which we would have asked for anyway, and one with the number
# that the rule gives, both on all training cells; and beside them the twelve networks without a limit.

# %% tags=["remove-stderr"]
pipeline = train_lspin(train)
models = {"no limit": pipeline, "5 gates": train_lspin(train, max_open=5)}
if number not in (None, 5):
    by_number = train_lspin(train, max_open=number)
    models[f"{number} gates, by the rule"] = by_number

# %% [markdown]
# ## The test cells, once
#
# Every choice has been made, so now we may look at the test donors. *open_gates* is the median over cells.
#
# ```{admonition} Predict before you run
# :class: tip
# Will the scores be the same as those of the path? Name one reason why they could be higher, and one why
# they could be lower.
# ```

# %%
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score

from lspin.evaluate import open_gates

X_test, truth = cells.X.iloc[test], cells.y.iloc[test]
majority = truth.value_counts(normalize=True).max()
print(f"always guessing the largest class: accuracy {majority:.3f}")
rows = {}
for name, model in models.items():
    predicted = model.predict(X_test)
    rows[name] = {
        "accuracy": accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        **open_gates(model, X_test),
    }
assert rows["no limit"]["accuracy"] > majority + 0.1
pd.DataFrame(rows).T.round(3)

# %% [markdown]
# These models were trained on more cells than those of the path, which helps. But the path gives the mean of
# three folds, and this is another, single one with a few hundred cells. It can be easier or harder than the
# others by chance, and that can outweigh the help in either direction. Macro F1 swings most, because it
# counts the classes alike, and of the rarest there are only some dozens of cells here: a few of them can move
# the score by a percentage point. On recorded cells this fold is a hard one for every model here.
#
# For the same reason, mind the differences between the rows. The models are right and wrong about mostly the
# same cells, since the twelve networks are the teachers of the others (exercise 2 counts the cells on which
# they differ). So their scores lie close together, and if two of them agree to the last digit, that is chance.
# It does not prove that a few gates cost nothing: this fold alone could not show a small cost.
#
# Which classes are taken for which? A confusion matrix of the model without a limit shows it:

# %% mystnb={"image": {"alt": "Confusion matrix of the test cells, true class in rows and predicted class in columns, as shares of each true class. The diagonal dominates."}}
from sklearn.metrics import confusion_matrix

from lspin.show import name_source

order = list(cells.counts().index)
predicted = pipeline.predict(X_test)
shares = confusion_matrix(truth, predicted, labels=order, normalize="true")
fig, ax = plt.subplots(figsize=(5, 4.2), layout="constrained")
ax.imshow(shares, cmap="Greys", vmin=0, vmax=1)
for (i, j), share in np.ndenumerate(shares):
    color = "white" if share > 0.5 else "black"
    ax.text(j, i, f"{share:.0%}", ha="center", va="center", color=color)
ax.set_xticks(range(5), order, rotation=30, ha="right")
ax.set_yticks(range(5), order)
ax.set(xlabel="predicted class", ylabel="true class (Cre line)")
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# ## When it says 80 %, is it right in 80 % of cases?
#
# A model is {term}`calibrated <calibration>` if its probabilities can be taken at their word. How sure of
# itself the mean of the twelve networks is depends on one number, the {term}`temperature` by which
# {term}`logits` are divided ({doc}`05_training`). We see what it does by undoing it.
#
# In the *reliability diagram* below, cells are grouped by the probability of their predicted class, and each
# dot shows what share of a group was predicted correctly. On the diagonal, the two agree. The
# {term}`calibration error` {cite}`guo2017` is the distance from the diagonal, averaged over cells.
#
# ```{admonition} Predict before you run
# :class: tip
# Without its temperature, will the mean of the twelve networks be too sure of itself, or not sure enough?
# (Remember that most of them were trained on mixtures of cells.)
# ```

# %% mystnb={"image": {"alt": "Share of correct predictions against the probability of the predicted class, with the temperature and without it, and the diagonal on which a model is calibrated."}}
from copy import deepcopy

from lspin.evaluate import expected_calibration_error
from lspin.show import plot_reliability

raw = deepcopy(pipeline)
raw[-1].network_.divide_outputs(1 / raw[-1].temperature_)
proba = {
    name: pd.DataFrame(model.predict_proba(X_test), columns=model.classes_)
    for name, model in {"with temperature": pipeline, "without": raw}.items()
}
print(f"temperature {pipeline[-1].temperature_:.2f}")
for name, p in proba.items():
    error = expected_calibration_error(truth, p.to_numpy(), p.columns)
    print(f"{name}: calibration error {error:.3f}")
answers = [p.idxmax(axis=1) for p in proba.values()]
assert answers[0].equals(answers[1])  # dividing logits changes no class
plot_reliability(truth.to_numpy(), proba, cells.banner())
plt.show()

# %% [markdown]
# Dots above the diagonal are cells about which the model is less sure than it could be; dots below it,
# cells about which it is too sure.
#
# And your prediction? A temperature below 1 would mean that the raw answers were not sure enough, one above 1
# that they were too sure. If it is close to 1, as on recorded cells, neither is the case: there is next to
# nothing to undo, and the two curves lie on top of each other. Training on mixtures does make a network less
# sure. But learning cells by heart makes it too sure; and each network was kept at the step at which the
# {term}`cross-entropy` of donors set aside was lowest, and cross-entropy punishes too much doubt as well as
# too little. That leaves little for the temperature to mend. It matters where nothing else keeps a network in
# check: networks that are trained until they know their cells by heart are usually far too sure
# {cite}`guo2017`.
#
# What the temperature cannot mend is a harder fold. It was found on other donors, and if the test cells
# happen to be harder than theirs, dots lie below the diagonal all the same.
#
# On few cells the calibration error is never 0, even if every probability is exactly right. To know what to
# compare it with, we draw labels with exactly the probabilities that the model gives, many times, and
# compute the error for those:

# %%
p = proba["with temperature"].to_numpy()
rng = np.random.default_rng(0)
errors = []
for _ in range(200):
    below = p.cumsum(axis=1) > rng.random((len(test), 1))
    drawn = below.argmax(axis=1)  # class k with probability p[:, k]
    errors.append(expected_calibration_error(drawn, p, range(p.shape[1])))
print("if the probabilities were exact: calibration error", end=" ")
print(f"{np.mean(errors):.3f} on {len(test)} cells")

# %% [markdown]
# Many {term}`ensembles <ensemble>` average probabilities. Why does LSPIN average logits? Each cell was set
# aside by only one or two of the networks, so the temperature is fitted to few networks at a time. A mean of
# probabilities is less sure of itself than the networks it is made of, the more so the less they agree. A
# temperature found on one or two networks cannot know about that.
#
# ## How certain is this score?
#
# One fold of a few hundred cells is a small sample. If each cell were an independent coin flip with the
# measured accuracy, we would know the true one only this well (*Wilson's interval*):


# %%
from scipy.stats import binomtest


def interval(n_right, n):
    """Return Wilson's 95 % interval of a share, in words."""
    test = binomtest(int(n_right), int(n))
    low, high = test.proportion_ci(method="wilson")
    return f"{n_right / n:.3f}, 95 % interval {low:.3f} to {high:.3f}"


print("accuracy", interval((predicted == truth).sum(), len(truth)))

# %% [markdown]
# That is wide, and it says only how precisely one fold measures the score of *this* model. (Cells of one donor
# are not quite independent; with this in mind, the interval would be, if anything, wider.)
#
# Comparing two models on the same cells is another matter. They find the same cells hard, so their
# difference is known better than either score, and has to be looked at in pairs. {doc}`07_baselines` does
# that, on all folds, with other models.
#
# ## Take-away
#
# - How many gates? Look at a path and choose, or let `max_open="auto"` take the fewest that cost nothing that
#   could be detected. Whether open gates are *good* explanations is a further question.
# - Whatever is chosen (how many gates, the step to keep, the temperature) is chosen on donors that are not
#   in the test.
# - A probability is worth something if answers given with it are right as often as it says.
# - A score on a few hundred cells is known to within a few points. Two models are compared in pairs.
#
# ## Self-check
#
# **1.** In the path, the dot for eight gates comes from which cells: those that the networks were trained
# on, the donors set aside within the training cells, or the test cells?
#
# ```{dropdown} Answer
# From donors set aside within the training cells, in each of the three folds. The networks of that fold never
# saw them, and the test cells have no part in the path at all.
# ```
#
# **2.** Why does the one-standard-error rule not simply take the best limit?
#
# ```{dropdown} Answer
# The best of several uncertain means is best partly by luck, so the difference from its neighbours may be
# nothing but chance. Among the limits that cannot be told apart from the best, the rule takes the one that
# is easiest to read.
# ```
#
# **3.** A colleague looks at the test score, is disappointed, tries another number of gates, and reports the
# better of the two test scores. "I only looked." What went wrong?
#
# ```{dropdown} Answer
# The number of gates was chosen by the test cells, so their score no longer says how the model does on new
# cells: the better of two scores is higher than either deserves on average. The choice should have been made
# on the path, before the first look.
# ```
#
# **4.** In a reliability diagram all dots of a model lie below the diagonal. Is it too sure or not sure
# enough? What would a temperature above 1 do?
#
# ```{dropdown} Answer
# Too sure: it is right less often than its probabilities say. A temperature above 1 blurs the answers and
# moves the dots to the left, towards the diagonal. The predicted classes of a single set of logits stay the
# same.
# ```
#
# **5.** Two models have accuracies of 0.83 and 0.85 on the same 350 cells, and their intervals overlap. May
# you conclude that they do not differ?
#
# ```{dropdown} Answer
# No. The intervals say how certain each score is by itself. Both models are right or wrong about mostly the
# same cells, so their difference has to be judged by the cells on which they disagree.
# ```
#
# ## Exercises
#
# **1. Warm-up.** Take *two* standard errors instead of one. Which limit does the rule take then, and what
# does it give away?
#
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# A wider margin lets more limits in, so the number is the same or smaller, and more of the score may be lost.
# If both lines name the same limit, the next smaller one is so much worse that even the wider margin does not
# reach it: the choice does not hang on the convention. How many standard errors to grant *is* a convention;
# one is usual.
# ```

# %% tags=["hide-cell"]
by_limit = path.scores.groupby("max_open")["macro_f1"]
mean, error = by_limit.mean(), by_limit.sem()
for n_errors in (1, 2):
    enough = mean[mean >= mean.max() - n_errors * error[mean.idxmax()]]
    limit = enough.index.min()
    print(f"standard errors: {n_errors}; max_open={limit:g},", end=" ")
    print(f"{mean.max() - enough[limit]:.3f} below the best")

# %% [markdown]
# **2. Core.** In how many of the test cells does the model with five gates give another answer than the one
# without a limit? Where they differ, which is right more often? Would you call that a difference?
#
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# Cells on which both are right, or both wrong in the same way, say nothing about which is better; those on
# which they differ do. They are few, and each model is right about some of them. If there were no
# difference, which of the two is right would be a coin toss, and `binomtest` says how surprising the count is
# (this is the exact *McNemar test*). A p-value far above 0.05 is no evidence that either is better.
# ```

# %% tags=["hide-cell"]
all_gates = models["no limit"].predict(X_test)
five_gates = models["5 gates"].predict(X_test)
differ = all_gates != five_gates
only_all = int(np.sum(differ & (all_gates == truth)))
only_five = int(np.sum(differ & (five_gates == truth)))
print(f"{differ.sum()} of {len(test)} answers differ;")
print(f"only the model without a limit is right: {only_all},")
print(f"only the one with five gates: {only_five}")
if only_all + only_five:
    p_value = binomtest(only_five, only_all + only_five).pvalue
    print(f"p = {p_value:.2f} if there were no difference")

# %% [markdown]
# **3. Open.** Macro F1 is only one way to keep score. Choose a purpose (sorting thousands of cells without
# looking at them; showing a colleague why one cell is what it is; finding cells to record again) and decide
# which score and which number of gates serve it best. Write down your rule before you apply it to the path.
#
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# There is no single answer. A good one says what a mistake costs for this purpose and picks the score that
# counts it: accuracy if every cell counts the same, macro F1 if rare classes must not be lost, log loss if
# somebody acts on the probabilities. It states its rule first, applies it to the path and not to the test
# cells, says how far the answer moves from fold to fold, and names what the chosen number gives away. The
# next cell applies the one-standard-error rule to three scores.
# ```

# %% tags=["hide-cell"]
from lspin.model import one_standard_error

for score, sign in (("accuracy", 1), ("macro_f1", 1), ("log_loss", -1)):
    by_limit = (sign * path.scores[score]).groupby(path.scores["max_open"])
    good = {limit: values.tolist() for limit, values in by_limit}
    print(f"by {score}: max_open={one_standard_error(good):g}")

# %% [markdown]
# ## What's next?
#
# Is LSPIN any better than a support vector machine? {doc}`07_baselines` compares the two, and others, under
# one protocol. (What choosing on the test cells does to a score, and how a published score came about, is in
# {doc}`published_number`.)
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
