# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Is it any better than a support vector machine?
#
# ## Overview
#
# To know whether a new method is worth its trouble, put it next to the old ones, on the same cells, under the
# same rules. Here LSPIN meets eleven rivals, from logistic regression to recent neural networks, and three
# relatives. Every model gets the same inputs and the same {term}`donor-grouped` {term}`folds <fold>`, may
# choose among settings of its own, and never sees the test cells. A small comparison runs while you read; the
# long one was recorded.
#
# ## After this chapter you can
#
# - set up a comparison in which every model has the same inputs, folds and chances;
# - explain nested cross-validation, and do it by hand for one fold;
# - interpret the interval of a difference between two models;
# - count the measurements behind an answer, and say what using only a few costs;
# - explain why scores of different cohorts cannot be compared.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Donors never straddle a split | Necessary | {doc}`01_fetching_cells` |
# | LSPIN, open gates, `max_open` | Necessary | {doc}`05_training`, {doc}`06_how_many` |
# | Cross-validation | Necessary | [scikit-learn's guide](https://scikit-learn.org/stable/modules/cross_validation.html) |
# | The rival models | Helpful | [scikit-learn's guide](https://scikit-learn.org/stable/supervised_learning.html) |
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
# ## One protocol for all
#
# The cells are cut into five folds. Each fold has about the same mix of classes, and all cells of a
# {term}`donor` are in the same fold. Each model is trained on four folds and predicts the fifth, in turn, so
# that every cell is predicted once, by a model that never saw its donor.

# %%
import pandas as pd

from lspin.data import donor_folds

folds = donor_folds(cells.y, cells.donors)
for train, test in folds:
    assert not set(cells.donors.iloc[train]) & set(cells.donors.iloc[test])
pd.DataFrame(
    [cells.y.iloc[test].value_counts() for _, test in folds],
    index=[f"fold {i}" for i in range(5)],
)

# %% [markdown]
# Filling gaps ({term}`imputation`), scaling and {term}`early stopping` learn from data, so they must happen
# inside the training folds. In scikit-learn a *pipeline* takes care of that: `cross_validate` puts the input
# pipeline of {doc}`02_features` in front of every model and fits both on training cells only.
#
# Here it is with three folds, for LSPIN without a limit and with five open {term}`gates <gate>` a cell, and
# for four rivals with fixed settings. ({term}`RBF-SVM` is the support vector machine of the title, with the
# usual smooth kernel; *MLP*, a multilayer perceptron, is a plain neural network.) Models are ranked by
# {term}`macro F1`, which counts every class the same.
#
# ```{admonition} Predict before you run
# :class: tip
# A linear model, a support vector machine, a forest of trees, a neural network: by how much will the best of
# them beat the worst?
# ```

# %% tags=["remove-stderr"]
from lspin import LSPINClassifier
from lspin.evaluate import cross_validate, quick_rivals, summary
from lspin.features import model_inputs

quick = quick_rivals(random_state=0)
models = {
    "LSPIN": LSPINClassifier(random_state=0),
    "LSPIN, 5 gates": LSPINClassifier(max_open=5, random_state=0),
    **{
        name: quick[name]
        for name in ("logistic regression", "RBF-SVM", "random forest", "MLP")
    },
}
scores, predictions = cross_validate(
    models,
    cells.X,
    cells.y,
    cells.donors,
    inputs=model_inputs(cells.X),
    n_splits=3,
)
summary(scores).round(3)

# %% [markdown]
# ## Differences smaller than the noise
#
# Each row of that table is a mean of three numbers. Look at all three before you believe in a winner. A line
# joins the scores of one fold; the lines tend to move up and down together, because some folds are simply
# harder than others.

# %% mystnb={"image": {"alt": "Macro F1 of six models, one dot per fold, dots of one fold joined by a line, and the mean of each model as a diamond."}}
import matplotlib.pyplot as plt

from lspin.show import name_source

order = summary(scores).index
wide = scores.pivot(index="model", columns="fold", values="macro_f1").loc[
    order
]
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.plot(order, wide, "o-", color="0.7", lw=1, ms=4)
ax.plot(
    order, wide.mean(axis=1), "D", color="black", label="mean of three folds"
)
ax.set_ylabel("macro F1 on held-out donors")
ax.tick_params(axis="x", rotation=20)
ax.legend(frameon=False)
name_source(fig, cells.banner())
plt.show()

# %%
gap = (wide.loc["LSPIN"] - wide.loc["RBF-SVM"]).to_numpy()
by_fold = ", ".join(f"{one:+.3f}" for one in gap)
print(f"LSPIN minus RBF-SVM, fold by fold: {by_fold}")
print(f"mean {gap.mean():+.3f}")
print(f"standard deviation over folds {gap.std(ddof=1):.3f}")

# %% [markdown]
# Folds share most of their training cells, so they are not independent experiments. The *corrected resampled
# t-test* {cite}`nadeau2003` takes that into account, also for repeated cross-validation
# {cite}`bouckaert2004`. All {term}`intervals <interval>` of scores in this chapter are of this kind.
#
# ## Choosing settings without looking
#
# So far the settings of every model were fixed, and somebody had to choose them. Choosing them by the scores
# above would use the test cells for training, and the more settings you try, the worse it gets
# ({doc}`published_number` simulates this). In {term}`nested cross-validation` the choice is part of the
# training. For each of the five *outer* folds:
#
# 1. set its test donors aside;
# 2. cut the other donors into three *inner* folds, and score every setting on them;
# 3. take the setting with the best macro F1, and fit it to all training cells;
# 4. score the test cells, once.
#
# Here it is by hand, for one outer fold and a logistic regression that chooses the strength of its penalty,
# `C`. Then we compare with the package.

# %%
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

settings = (0.03, 0.1, 0.3, 1, 3)
regression = make_pipeline(
    model_inputs(cells.X), LogisticRegression(max_iter=2000)
)
train, test = folds[0]
X, y = cells.X.iloc[train], cells.y.iloc[train]
donors = cells.donors.iloc[train]

# %%
import numpy as np
from sklearn.base import clone
from sklearn.metrics import f1_score

inner_f1 = []
for C in settings:
    candidate = clone(regression).set_params(logisticregression__C=C)
    inner = donor_folds(y, donors, n_splits=3)
    guessed = pd.Series(index=y.index, dtype=object)
    for fit, valid in inner:
        candidate.fit(X.iloc[fit], y.iloc[fit])
        guessed.iloc[valid] = candidate.predict(X.iloc[valid])
    inner_f1.append(f1_score(y, guessed, average="macro"))
best = settings[int(np.argmax(inner_f1))]
chosen = clone(regression).set_params(logisticregression__C=best).fit(X, y)
predicted = chosen.predict(cells.X.iloc[test])
for C, f1 in zip(settings, inner_f1, strict=True):
    print(f"C={C}: inner macro F1 {f1:.3f}")
test_f1 = f1_score(cells.y.iloc[test], predicted, average="macro")
print(f"chosen: C={best}, macro F1 on the test donors {test_f1:.3f}")

# %%
from lspin.evaluate import Contender
from lspin.evaluate.nested import search

contender = Contender(
    regression[-1], tuple({"C": C} for C in settings), "by hand"
)
found = search(
    contender,
    model_inputs(cells.X),
    cells.X,
    cells.y,
    cells.donors,
    train,
    test,
    random_state=0,
)
assert settings[found.best] == best
assert (found.refit.predicted == predicted).all()
print("The search by hand is that of the package.")

# %% [markdown]
# ## What every model may choose from
#
# A rival that may not choose its settings is a straw man. So each model has a list of settings
# ({term}`hyper-parameters <hyper-parameter>`) around values that are usual for tables of this size; slow
# models have shorter lists. LSPIN has nothing to choose. How many gates may be open is not tuned, either: it
# is your wish, so each number counts as a model of its own.

# %%
from IPython.display import display

from lspin.evaluate import contenders, describe

with pd.option_context("display.max_colwidth", None):
    display(describe(contenders()))

# %% [markdown]
# Three of the models are close relatives of {term}`LSPIN`. In the one named *gating network*, a
# {term}`gating network` opens the gates, as in LSPIN when it was published {cite}`yang2022lspin`.
# {term}`LLSPIN`, from the same paper, puts a linear predictor behind such gates. {term}`STG`
# {cite}`yamada2020` has the same gates for all cells. All three learn from the same {term}`ensemble` of
# networks as LSPIN with few gates does.
#
# Two are recent neural networks for tables. *TabM*
# ([Gorishniy and others 2025](https://arxiv.org/abs/2410.24210)) is an ensemble of 32 networks in one that
# share most of their weights. The settings of *RealMLP*
# ([Holzmüller and others 2024](https://arxiv.org/abs/2407.04491)) were chosen once, on a hundred other tables.
# Both are tried here with two lengths of training only.
#
# *Explainable boosting* is a sum of one curve per measurement. Like LSPIN it can be interpreted, in another
# way: it shows how a measurement acts on all cells.
#
# ## The recorded protocol
#
# Running all of this for all of these models would take a while. `make results` runs it on
# real cells and records it, with the checksums of the tables used. So the scores that follow are those of real
# recordings, whatever source you run this chapter on.
#
# *LSPIN* is the model with its default settings: the mean of twelve networks that see everything. For *LSPIN,
# 5 gates* the gates of each cell are {term}`closed <closing>` one at a time until five are left, and so on
# ({doc}`05_training`).

# %%
from lspin.studies import read_results, results_file


def recorded_on(about):
    """Say where the recorded cells came from."""
    return "Recorded on the " + about["banner"].replace("Source: ", "")


def read(name):
    """Read what was recorded, and say on what and how."""
    tables, about = read_results(results_file(name))
    print(recorded_on(about))
    minutes = about["compute_time_s"] / 60
    print(f"{about['protocol']}; {minutes:.0f} minutes of one processor.")
    return tables, about


def rivals_in(recorded):
    """Summarise the models that have no gates, best first."""
    return summary(recorded["scores"][recorded["scores"]["open_gates"].isna()])


# %%
from lspin.evaluate import overview

paper, about_paper = read("paper")
overview(paper["scores"], paper["calibration"])

# %% [markdown]
# This is the table published with {cite:t}`ophir2023`. *open_gates* counts the measurements behind the whole
# answer about the median cell; a model without gates uses all of them. Two columns judge the probabilities:
# {term}`log loss` and {term}`calibration error`, both better if smaller. *seconds* is the time of a whole search
# in one outer fold, with all settings and all inner folds, on one processor of the machine that recorded it; a
# model with nothing to choose is fitted once. The *calibration error* is that of the pooled predictions of all
# folds.

# %%
from lspin.evaluate import ahead

everyone = paper["scores"]
gated = (
    everyone.groupby("model", sort=False)["open_gates"].mean().dropna().index
)
rivals = rivals_in(paper)
best_f1, best_accuracy = rivals.index[0], rivals["accuracy"].idxmax()
print(f"best rival in macro F1: {best_f1}; in accuracy: {best_accuracy}")
for name in gated:
    print(ahead(everyone, name, best_f1))
print(ahead(everyone, "LSPIN", best_accuracy, "accuracy"))

# %% [markdown]
# Now LSPIN against everyone, fold by fold. *mean* is LSPIN's score minus the other's, so LSPIN is better where
# it is above 0. The p-values are not corrected for their number: among so many comparisons, one below 0.05
# means little.

# %%
from lspin.evaluate import compare

compare(everyone).round(3)

# %% [markdown]
# ## What do few open gates cost?
#
# The rivals use every input for every cell. LSPIN shows which few it used. To see what that costs, the figure
# below adds what an earlier version of this book did: {term}`ensembles <ensemble>` of 16 networks, each with
# gates of its own, limited by a penalty ({term}`lambda`) or by a number of gates, their answers averaged. A
# fair count of what such an answer used is the {term}`union`: every measurement that *any* of its networks let
# through.

# %%
before = pd.DataFrame(
    [
        ("lambda 0.5", 16.3, 40.2, 0.830),
        ("10 gates in each network", 9.9, 33.7, 0.822),
        ("5 gates in each network", 4.5, 21.8, 0.826),
    ],
    columns=["before", "in one network", "open_gates", "macro_f1"],
).set_index("before")
print("Authors' table, same protocol, three repeats of five folds.")
print("Open gates per cell, in one network and in the whole answer:")
before

# %% [markdown]
# ```{admonition} Predict before you run
# :class: tip
# LSPIN may use 41, 8, 5 or 3 measurements a cell. How far will macro F1 fall on the way? And what if the
# five measurements must be the same for all cells?
# ```

# %% mystnb={"image": {"alt": "Recorded macro F1 against the number of measurements that the answer about the median cell used: a line through LSPIN with each limit; gating networks, LLSPIN and STG with five gates below it; hollow squares for the former ensembles, far to the right; the rivals, which use all inputs, at the right edge, the best of them marked by a dotted line."}}
from lspin.features import AUTHORS_FEATURES
from lspin.show import plot_score_by_gates

plot_score_by_gates(
    everyone, len(AUTHORS_FEATURES), recorded_on(about_paper), before=before
)
plt.show()

# %%
few, network = "LSPIN, 5 gates", "gating network, 5 gates"
means = summary(everyone)
for name in gated:
    used, f1 = means.loc[name, ["open_gates", "macro_f1"]]
    print(f"{name}: {used:.0f} used in the median cell, macro F1 {f1:.3f}")
for other in ("LSPIN", network, "STG, 5 gates"):
    print(ahead(everyone, few, other))
lost = means.loc["LSPIN", "macro_f1"] - means.loc[[few, network], "macro_f1"]
assert lost[few] < 0.01 < lost[network]

# %% [markdown]
# Before you conclude that five measurements are enough, keep two things in mind.
#
# - **The gates are closed by networks that saw the whole cell** and had already given their answer. So five
#   measurements suffice to *express* the answer that all of them give. If you measured only five, you could
#   not have known that it would be these ({doc}`05_training`), and which five they are can hint at the class
#   by itself ({doc}`11_useful`). Gating networks read everything, too.
# - **Picking the best dot afterwards** would be choosing on the test cells. `max_open="auto"` chooses inside
#   the training cells.
#
# That said, look at the line: it is nearly flat. Five gates, closed one at a time, score about as well as the
# networks that see everything, and as well as the old ensembles, whose answers used several times as many
# measurements, which nobody had counted.
#
# Five gates opened by a gating network score lower here. The *same* five gates for all cells score much lower:
# few suffice only because they may be different ones in every cell.
#
# Where an interval above includes 0, the difference may be 0: a few folds cannot resolve a percentage point or
# two.
#
# ## Which class is hard?
#
# *Recall* is the share of the cells of a class that are found.

# %%
recall = means.filter(like="recall_")
recall.columns = recall.columns.str.removeprefix("recall_")
hardest, easiest = recall.mean().idxmin(), recall.mean().idxmax()
for what, name in (("hardest", hardest), ("easiest", easiest)):
    low, high = recall[name].min(), recall[name].max()
    print(f"{what}: {name}, recall {low:.0%} to {high:.0%}")
print(recorded_on(about_paper))
recall.round(3)

# %% [markdown]
# ## Do the probabilities mean what they say?
#
# A model that says 80 % should be right for 80 % of such cells {cite}`guo2017`; then it is *calibrated*.
# LSPIN has a {term}`temperature` for this purpose ({doc}`06_how_many`); most rivals come without one. In
# fairness, they could be given one too, fitted on donors that are set aside.

# %%
calibration = paper["calibration"].groupby("model")["ece"].mean().sort_values()
best, error = calibration.index[0], calibration.iloc[0]
print(f"smallest calibration error: {best}, {error:.3f}")
place = calibration.index.get_loc("LSPIN") + 1
print(
    f"LSPIN: {calibration['LSPIN']:.3f}, place {place} of {len(calibration)}"
)

# %% [markdown]
# ## Without the authors' filter
#
# Here is the same protocol with the features released by the Allen Institute. Now all cells take part that
# expressed the {term}`reporter` of their {term}`Cre line`, without the authors' filter on dendrite type:

# %%
positive, about_positive = read("positive")
overview(positive["scores"], positive["calibration"])

# %% [markdown]
# One row is odd: the plain neural network (*MLP*) scores far lower than on the table before, with a very wide
# interval. Its folds show why:

# %%
mlp = positive["scores"].query("model == 'MLP'").set_index("fold")
mlp[["setting", "macro_f1"]].round(3)

# %% [markdown]
# The setting that was best on the inner folds can fail when it is trained once more: in one of the five folds
# this network hardly learned. A single network may do that, and if you train it only once, you will not
# notice. We report the result as it came out; a mean of several networks, as LSPIN takes, protects against it.

# %% mystnb={"image": {"alt": "The same figure for the released features: recorded macro F1 against the number of measurements that the answer about the median cell used, with the rivals at the right edge."}}
from lspin.features import ENGINEERED_FEATURES

plot_score_by_gates(
    positive["scores"], len(ENGINEERED_FEATURES), recorded_on(about_positive)
)
plt.show()

# %% [markdown]
# ## The choice of cells decides the score
#
# Same features, same models, same protocol; only the rule for which cells take part differs, that is, the
# {term}`cohort`. *paper* leaves out cells whose dendrites contradict their label, *positive* keeps all that
# expressed the reporter, *all* keeps every cell of the Cre lines.
#
# ```{admonition} Predict before you run
# :class: tip
# What changes accuracy more: another model, or another cohort?
# ```

# %%
cohorts, about_cohorts = read("cohorts")
by_cohort = cohorts["scores"].pivot_table(
    index="table", columns="model", values=["accuracy", "macro_f1"], sort=False
)
sizes = pd.DataFrame(about_cohorts["cells"]).T[["cells", "donors"]]
between_cohorts = np.ptp(by_cohort["accuracy"]["LSPIN"])
differences = by_cohort["accuracy"]["LSPIN"] - by_cohort["accuracy"]["RBF-SVM"]
between_models = differences.abs().max()
print(f"LSPIN's accuracy differs by {between_cohorts:.3f} between cohorts;")
print(f"within a cohort, LSPIN and RBF-SVM differ by {between_models:.3f}")
print("at most.")
by_metric = {m: by_cohort[m].round(3) for m in ("accuracy", "macro_f1")}
pd.concat({"size": sizes, **by_metric}, axis=1)

# %% [markdown]
# So a score means little unless you know its cohort, and scores of different cohorts cannot be compared.
#
# ## Does the shape of the spike help?
#
# Some cells have a recorded {term}`action potential` ({doc}`02_features`). We describe its waveform by ten
# principal components (the directions in which waveforms vary most), found on training cells, and add them to
# the features. Cells and folds are the same with and without them, so the difference is paired.

# %%
waveform, about_waveform = read("waveform")
gains = {}
for name, part in waveform["scores"].groupby("model"):
    by_table = part.assign(model=part["table"]).drop(columns="table")
    gains[name] = compare(by_table, "features and waveform").loc["features"]
gains = pd.DataFrame(gains).T
clear = gains["macro_f1"].query("low > 0").index
print("gain in macro F1 with an interval above 0:", end=" ")
print("; ".join(clear) or "no model")
gains.round(3)

# %% [markdown]
# ## So, is it any better?
#
# Back to the question of the title, for the model that uses everything and for the one that uses five
# measurements. First on both tables from above. But a model's settings are found on some table, and may not
# suit another. So three tables follow that had no part in it: mouse visual cortex (V1), mouse motor cortex
# (M1) and human cortex, with classes from RNA ({doc}`08_other_labs`).


# %%
def against_svm(scores, table):
    """Print how far LSPIN is ahead of an RBF-SVM, or behind."""
    print(f"{table}:")
    for model in ("LSPIN", few):
        print("  " + ahead(scores, model, "RBF-SVM"))


against_svm(everyone, "authors' table")
against_svm(positive["scores"], "released features")
patchseq, about_patchseq = read_results(results_file("patchseq"))
for name, part in patchseq["scores"].groupby("table", sort=False):
    against_svm(part, name)

# %% [markdown]
# And three tables that come with scikit-learn and have nothing to do with neurons. They were measured once,
# beside the recorded protocol: macro F1 minus that of an RBF-SVM tuned on inner folds, means of five folds.

# %%
elsewhere = {"LSPIN": (0.002, -0.001, -0.003), few: (-0.004, -0.001, -0.003)}
pd.DataFrame(elsewhere, ["breast cancer", "wine", "digits"]).T

# %% [markdown]
# ## Take-away
#
# - LSPIN and a support vector machine classify about equally well; read the intervals above before you believe
#   in either. What LSPIN adds is an answer that rests on few measurements, different ones in each cell. On the
#   tables shown here, that costs little.
# - Compare models on the same folds, grouped by donor. Everything that learns belongs inside the fold, the
#   choice of settings included.
# - Differences between good models are small on these cells. Ask whether a difference can be told from chance
#   before you believe in a winner.
# - The cohort decides the score: a score without its cohort says little.
# - Do not assume what few gates cost: measure it, and count everything that the answer used.
# - Five measurements that suffice to express an answer are not yet five that would do alone, nor a good
#   reason: a {term}`mask` can give the answer away by itself.
#
# ## Self-check
#
# **1.** Somebody scales the whole table, then cross-validates. What is wrong, and how does a pipeline prevent
# it?
#
# ```{dropdown} Answer
# Mean and standard deviation were computed with the test cells, so something about them reached the training.
# In a pipeline, scaling is fitted together with the model, on the training cells of each fold, and only
# applied to the test cells.
# ```
#
# **2.** In nested cross-validation, what are the inner folds for, and what are the outer folds for?
#
# ```{dropdown} Answer
# The inner folds choose the setting, with training donors only. The outer folds give the score of the whole
# procedure, the choice included, on donors that took no part in the choice.
# ```
#
# **3.** Model A is 0.01 ahead of model B in macro F1, with a 95 % interval from -0.02 to +0.04. What may you
# write?
#
# ```{dropdown} Answer
# That these folds cannot tell them apart: B may be up to 0.02 ahead, A up to 0.04. It is not shown that they
# are equally good, either; for that the interval would have to be narrow.
# ```
#
# **4.** Sixteen networks open five gates each for a cell, and their answers are averaged. How many
# measurements did the answer use?
#
# ```{dropdown} Answer
# All that any of the networks let through: at least 5, and usually many more, since the networks choose
# differently. Reporting "five" would be wrong.
# ```
#
# **5.** One paper reports an accuracy of 0.89, another 0.83, both with Allen cells and the same folds. Is the
# first model better?
#
# ```{dropdown} Answer
# You cannot tell before you know which cells took part. Leaving out cells whose dendrites contradict their
# label raises the score of every model, because many of the doubtful cells are gone.
# ```
#
# ## Exercises
#
# **1. Warm-up.** Repeat the comparison for logistic regression with folds that ignore donors. By how much does
# the accuracy change? *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# With plain stratified folds some donors are on both sides. On recorded cells the difference is small; in data
# with strong day-to-day effects it is not. On the synthetic twin there is nothing to find: cells of one donor
# share its Cre line and resemble one another no more than that.
# ```

# %% tags=["hide-cell"]
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

model = make_pipeline(
    model_inputs(cells.X), quick_rivals()["logistic regression"]
)
ignoring = cross_val_predict(
    model,
    cells.X,
    cells.y,
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
)
respecting = predictions["logistic regression"]
print(f"ignoring donors {accuracy_score(cells.y, ignoring):.3f},")
print(f"respecting them {accuracy_score(cells.y, respecting):.3f}")

# %% [markdown]
# **2. Core.** Do the models make the same mistakes? Count the cells that every model gets wrong. *On the twin:
# it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# If mistakes were independent, hardly any cell would be missed by all. Cells that every model misses may be
# unlike the rest of their class, or their Cre line may be the wrong label for them.
# ```

# %% tags=["hide-cell"]
wrong = pd.DataFrame(predictions).ne(cells.y, axis=0)
expected = wrong.mean().prod() * len(cells)
missed = wrong.all(axis=1).sum()
print(f"missed by all {len(models)} models: {missed} cells")
print(f"expected if mistakes were independent: {expected:.1f}")
assert missed > expected

# %% [markdown]
# **3. Core.** How optimistic is a score if the setting is chosen on the test cells? Take the outer fold from
# above, score every `C` on its test donors, and compare the best of these scores with the honest one.
# *On the twin: the same.*
#
# ```{dropdown} Solution
# The best score on the test donors can only be as good as the honest one or better. With five settings of a
# model that hardly depends on its setting the gain is small; with hundreds of settings, or a small test set, it
# is not.
# ```

# %% tags=["hide-cell"]
peeked = []
for C in settings:
    candidate = clone(regression).set_params(logisticregression__C=C)
    answers = candidate.fit(X, y).predict(cells.X.iloc[test])
    f1 = f1_score(cells.y.iloc[test], answers, average="macro")
    peeked.append(f1)
print(f"chosen on inner folds {test_f1:.3f}")
print(f"chosen on the test donors {max(peeked):.3f}")
assert max(peeked) >= test_f1

# %% [markdown]
# **4. Open.** You want to claim that a new model of yours is better than LSPIN. Write down, before you run
# anything, what you would compare and which result would make you drop the claim. *On the twin: the same.*
#
# ```{dropdown} Solution
# A good answer names the cohort, the folds and one main score beforehand, and gives the rivals as much choice
# as the new model. It uses the paired difference with an interval that allows for shared training cells, and
# says how large a difference would matter. It adds at least one table on which nothing was tuned, and states
# that an interval which includes 0, or a gain on one table only, would end the claim.
# ```
#
# ## What's next?
#
# Nearly all cells of this chapter come from one institute. {doc}`08_other_labs` takes the model to another
# laboratory, another temperature and another species.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
