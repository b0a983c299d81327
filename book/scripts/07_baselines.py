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
# A new method is worth its trouble only next to the old ones, on the same cells, under the same
# rules. Here LSPIN meets eleven rivals, from logistic regression to recent neural networks, and three
# relatives. Every model gets the same inputs, the same donor-grouped folds, its own settings to choose
# from, and no look at the test cells. A small comparison runs while you read; the long one was
# recorded.
#
# ## After this chapter you can
#
# - set up a comparison in which every model has the same inputs, folds and chances;
# - explain nested cross-validation, and do it by hand for one fold;
# - read the interval of a difference between two models;
# - count what an answer used, and say what few gates cost;
# - say why scores of different cohorts cannot be compared.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Donors never straddle a split | Necessary | {doc}`01_fetching_cells` |
# | LSPIN, open gates, `max_open` | Necessary | {doc}`05_training`, {doc}`06_how_many` |
# | Cross-validation | Necessary | [scikit-learn's guide](https://scikit-learn.org/stable/modules/cross_validation.html) |
# | The rival models | Helpful | |
#
# ## Time to learn
#
# - **Reading**: 30 minutes
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
from lspin import load_cells

cells = load_cells()
print(cells.banner())

# %% [markdown]
# ## One protocol for all
#
# The cells are cut into five folds. Each fold has about the same mix of classes, and all cells of a
# donor are in the same fold. Each model is trained on four folds and predicts the fifth, in turn, so
# that every cell is predicted once by a model that never saw its donor.

# %%
import pandas as pd

from lspin.data import donor_folds

folds = donor_folds(cells.y, cells.donors)
for train, test in folds:
    assert not set(cells.donors.iloc[train]) & set(cells.donors.iloc[test])
pd.DataFrame(
    [cells.y.iloc[test].value_counts() for _, test in folds], index=[f"fold {i}" for i in range(5)]
)

# %% [markdown]
# Filling gaps, scaling and early stopping learn from data, so they must happen inside the training
# folds. In scikit-learn this is what a pipeline is for: `cross_validate` puts the input pipeline of
# {doc}`02_features` in front of every model and fits both on training cells only. Here with three
# folds, LSPIN without a limit and with five gates a cell, and four rivals with fixed settings:

# %% tags=["remove-stderr"]
from lspin import LSPINClassifier
from lspin.evaluate import cross_validate, quick_rivals, summary
from lspin.features import model_inputs

quick = quick_rivals(random_state=0)
models = {
    "LSPIN": LSPINClassifier(random_state=0),
    "LSPIN, 5 gates": LSPINClassifier(max_open=5, random_state=0),
    **{name: quick[name] for name in ("logistic regression", "RBF-SVM", "random forest", "MLP")},
}
scores, predictions = cross_validate(
    models, cells.X, cells.y, cells.donors, inputs=model_inputs(cells.X), n_splits=3
)
summary(scores).round(3)

# %% [markdown]
# ## Differences smaller than the noise
#
# One table row is a mean of three numbers. Look at all of them before believing in a winner: a line
# joins the scores of one fold, and the lines tend to move up and down together, because some folds
# are simply harder than others.

# %% mystnb={"image": {"alt": "Macro F1 of six models, one dot per fold, dots of one fold joined by a line, and the mean of each model as a diamond."}}
import matplotlib.pyplot as plt

from lspin.show import name_source

order = summary(scores).index
wide = scores.pivot(index="model", columns="fold", values="macro_f1").loc[order]
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.plot(order, wide, "o-", color="0.7", lw=1, ms=4)
ax.plot(order, wide.mean(axis=1), "D", color="black", label="mean of three folds")
ax.set_ylabel("macro F1 on held-out donors")
ax.tick_params(axis="x", rotation=20)
ax.legend(frameon=False)
name_source(fig, cells.banner())
plt.show()

# %%
import numpy as np

gap = (wide.loc["LSPIN"] - wide.loc["RBF-SVM"]).to_numpy()
print(f"LSPIN minus RBF-SVM, fold by fold: {np.round(gap, 3)}")
print(f"mean {gap.mean():+.3f}, standard deviation over folds {gap.std(ddof=1):.3f}")

# %% [markdown]
# Folds share most of their training cells, so they are not independent experiments. The *corrected
# resampled t-test* {cite}`nadeau2003` takes that into account, also for repeated cross-validation
# {cite}`bouckaert2004`. All intervals below are of this kind.
#
# ## Choosing settings without looking
#
# So far every model had fixed settings, and somebody had to choose them. If they were chosen by the
# scores above, the test cells would have been used for training, and the more one tries, the worse
# it gets ({doc}`published_number` simulates it). In **nested** cross-validation the choice is part of the
# training. For each of the five *outer* folds:
#
# 1. set its test donors aside;
# 2. cut the other donors into three *inner* folds, and score every setting on them;
# 3. take the setting with the best macro F1, fit it on all training cells;
# 4. score the test cells, once.
#
# Here it is by hand, for one outer fold and a logistic regression that chooses its penalty, and then
# compared with the package.

# %%
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

settings = (0.03, 0.1, 0.3, 1, 3)
regression = make_pipeline(model_inputs(cells.X), LogisticRegression(max_iter=2000))
train, test = folds[0]
X, y, donors = cells.X.iloc[train], cells.y.iloc[train], cells.donors.iloc[train]

inner_f1 = []
for C in settings:
    candidate = clone(regression).set_params(logisticregression__C=C)
    inner = donor_folds(y, donors, n_splits=3)
    guessed = pd.Series(index=y.index, dtype=object)
    for fit, valid in inner:
        guessed.iloc[valid] = candidate.fit(X.iloc[fit], y.iloc[fit]).predict(X.iloc[valid])
    inner_f1.append(f1_score(y, guessed, average="macro"))
best = settings[int(np.argmax(inner_f1))]
chosen = clone(regression).set_params(logisticregression__C=best).fit(X, y)
called = chosen.predict(cells.X.iloc[test])
print("inner macro F1:", dict(zip(settings, np.round(inner_f1, 3), strict=True)))
test_f1 = f1_score(cells.y.iloc[test], called, average="macro")
print(f"chosen: C={best}, macro F1 on the test donors {test_f1:.3f}")

# %%
from lspin.evaluate import Contender
from lspin.evaluate.nested import search

contender = Contender(regression[-1], tuple({"C": C} for C in settings), "by hand")
found = search(
    contender, model_inputs(cells.X), cells.X, cells.y, cells.donors, train, test, random_state=0
)
assert settings[found.best] == best
assert (found.refit.predicted == called).all()
print("The search by hand is that of the package.")

# %% [markdown]
# ## What every model may choose from
#
# A rival that may not choose is a straw man. Each has a list of settings, around values that are
# usual for tables of this size; who is slow has a shorter one. LSPIN has nothing to choose: how many
# gates may be open is no setting to be tuned, but what a reader asks for, so each number is a model of
# its own.

# %%
from IPython.display import display

from lspin.evaluate import contenders, describe

with pd.option_context("display.max_colwidth", None):
    display(describe(contenders()))

# %% [markdown]
# Three of the models are close relatives of LSPIN. The *gating network* opens gates as LSPIN did when it was
# published {cite}`yang2022lspin`; *LLSPIN*, from the same paper, puts a linear predictor behind such gates;
# *STG* {cite}`yamada2020` has the same gates for all cells. All are made by a switch and taught by the same
# networks.
#
# Two are recent neural networks for tables. *TabM*
# ([Gorishniy and others 2025](https://arxiv.org/abs/2410.24210)) is an ensemble of 32 networks in
# one that share most of their weights. The settings of *RealMLP*
# ([Holzmüller and others 2024](https://arxiv.org/abs/2407.04491)) were chosen once, on a hundred other
# tables. Both are fitted here for two lengths of training only.
# And *explainable boosting* is a sum of one curve per measurement: like LSPIN it can be read, in
# another way.
#
# ## The recorded protocol
#
# All of this, for all of these models, takes longer than a chapter may. `make results`
# runs it on real cells and records it with the checksums of the tables it used. What follows are
# scores on real recordings, whatever source you run this chapter on. *LSPIN* is the model with nothing
# set, the mean of twelve networks that see everything; for *LSPIN, 5 gates* the gates of each cell close
# one at a time until five are left, and so on ({doc}`05_training`).

# %%
from lspin.studies import read_results, results_file


def recorded_on(about):
    """Say where the recorded cells came from."""
    return "Recorded on the " + about["banner"].replace("Source: ", "")


def read(name):
    """Read what was recorded, and say on what and how."""
    tables, about = read_results(results_file(name))
    print(recorded_on(about))
    print(f"{about['protocol']}; {about['compute_time_s'] / 3600:.1f} hours of one processor.")
    return tables, about


def rivals_in(recorded):
    """Summarise the models that have no gates, best first."""
    return summary(recorded["scores"][recorded["scores"]["open_gates"].isna()])


# %%
from lspin.evaluate import overview

paper, about_paper = read("paper")
overview(paper["scores"], paper["calibration"])

# %% [markdown]
# This is the table published with {cite:t}`ophir2023`. *open_gates* counts the measurements that the
# whole answer about the median cell used; a model without gates uses all. *seconds* are those of a
# whole search in one outer fold, on one processor of the machine that recorded it, with all settings and
# all inner folds; a model with nothing to choose is fitted once. The calibration error is that of the
# pooled predictions of all folds.

# %%
from lspin.evaluate import ahead

everyone = paper["scores"]
gated = everyone.groupby("model", sort=False)["open_gates"].mean().dropna().index
rivals = rivals_in(paper)
print(
    f"The best rival in macro F1 is {rivals.index[0]}, in accuracy {rivals['accuracy'].idxmax()}."
)
for name in gated:
    print(ahead(everyone, name, rivals.index[0]))
print(ahead(everyone, "LSPIN", rivals["accuracy"].idxmax(), "accuracy"))

# %% [markdown]
# LSPIN against everyone, fold by fold (*mean* above 0: LSPIN is better). The p-values are not
# corrected for their number: among so many, one below 0.05 means little.

# %%
from lspin.evaluate import compare

compare(everyone).round(3)

# %% [markdown]
# ## What do the open gates cost?
#
# The rivals use every input for every cell. LSPIN says which few it used. Beside it the figure shows
# what an earlier version of this book did: ensembles of 16 networks, each with gates of its own under a
# price $\lambda$ or with a number of gates, answers averaged. A fair count of what such an answer used
# is every measurement that *any* of its networks let through:

# %%
before = pd.DataFrame(
    [
        ("lambda 0.5", 16.3, 40.2, 0.830),
        ("10 gates in each network", 9.9, 33.7, 0.822),
        ("5 gates in each network", 4.5, 21.8, 0.826),
    ],
    columns=["before", "in one network", "open_gates", "macro_f1"],
).set_index("before")
print("Authors' table, same protocol, means of three repeats of five folds; open gates per cell.")
before

# %% mystnb={"image": {"alt": "Recorded macro F1 against the number of measurements that the answer about the median cell used: a line through LSPIN with each limit; gating networks, LLSPIN and STG with five gates below it; hollow squares for the former ensembles, far to the right; the rivals, which use all inputs, at the right edge, the best of them marked by a dotted line."}}
from lspin.features import AUTHORS_FEATURES
from lspin.show import plot_score_by_gates

plot_score_by_gates(everyone, len(AUTHORS_FEATURES), recorded_on(about_paper), before=before)
plt.show()

# %%
few, network = "LSPIN, 5 gates", "gating network, 5 gates"
means = summary(everyone)
for name in gated:
    print(
        f"{name}: {means.loc[name, 'open_gates']:.0f} used in the median cell, "
        f"macro F1 {means.loc[name, 'macro_f1']:.3f}"
    )
for other in ("LSPIN", network, "STG, 5 gates"):
    print(ahead(everyone, few, other))
lost = means.loc["LSPIN", "macro_f1"] - means.loc[[few, network], "macro_f1"]
assert lost[few] < 0.01 < lost[network]

# %% [markdown]
# Two things to keep in mind before reading this figure as "five measurements are enough".
#
# - **Which gates close is decided by networks that saw the whole cell**, and had their answer. So five
#   suffice to *say* what all of them say. Whoever measured only these five could not have known that it
#   would be these ({doc}`05_training`), and which five they are can hint at the class by itself
#   ({doc}`11_useful`). Gating networks read everything, too.
# - **To pick the best dot afterwards** would be choosing on the test cells. Choosing inside the training
#   cells is what `max_open="auto"` does.
#
# That said, look at the line: it is nearly flat. Five gates, closed one at a time, score about what
# the networks score that see everything, and what the old ensembles scored with several times as many
# measurements, which nobody had counted. Five gates that networks open score less, and the *same* five
# for all cells much less: few suffice only because they may be others in every cell.
# Where an interval above includes 0, the difference need not be 0: few folds cannot tell a point or two.

# %% [markdown]
# ## Which class is hard?

# %%
recall = means.filter(like="recall_")
recall.columns = recall.columns.str.removeprefix("recall_")
hardest, easiest = recall.mean().idxmin(), recall.mean().idxmax()
print(
    f"Share of each class that is found. Hardest: {hardest} ({recall[hardest].min():.0%} to "
    f"{recall[hardest].max():.0%}); easiest: {easiest} ({recall[easiest].min():.0%} to "
    f"{recall[easiest].max():.0%})."
)
print(recorded_on(about_paper))
recall.round(3)

# %% [markdown]
# ## Do the probabilities mean what they say?
#
# A model that says 80 % should be right in 80 % of such cases {cite}`guo2017`. LSPIN's temperature
# is there for it ({doc}`06_how_many`); most rivals come without one. In fairness: a temperature,
# fitted on donors set aside, could be given to them, too.

# %%
calibration = paper["calibration"].groupby("model")["ece"].mean().sort_values()
print(f"smallest calibration error: {calibration.index[0]}, {calibration.iloc[0]:.3f}")
place = calibration.index.get_loc("LSPIN") + 1
print(f"LSPIN: {calibration['LSPIN']:.3f}, place {place} of {len(calibration)}")

# %% [markdown]
# ## Without the authors' filter
#
# The same protocol on the features released by the Allen Institute, for all cells that expressed the
# reporter of their Cre line, without the authors' filter on dendrite type:

# %%
positive, about_positive = read("positive")
overview(positive["scores"], positive["calibration"])

# %% mystnb={"image": {"alt": "The same figure for the released features: recorded macro F1 against the number of measurements that the answer about the median cell used, with the rivals at the right edge."}}
from lspin.features import ENGINEERED_FEATURES

plot_score_by_gates(positive["scores"], len(ENGINEERED_FEATURES), recorded_on(about_positive))
plt.show()

# %% [markdown]
# ## Who is in decides the score
#
# Same features, same models, same protocol; only the rule for which cells take part differs. *paper*
# leaves out cells whose dendrites contradict their label, *positive* keeps those that expressed the
# reporter, *all* keeps every cell of the Cre lines.

# %%
cohorts, about_cohorts = read("cohorts")
by_cohort = cohorts["scores"].pivot_table(
    index="table", columns="model", values=["accuracy", "macro_f1"], sort=False
)
sizes = pd.DataFrame(about_cohorts["cells"]).T[["cells", "donors"]]
between_cohorts = np.ptp(by_cohort["accuracy"]["LSPIN"])
between_models = (by_cohort["accuracy"]["LSPIN"] - by_cohort["accuracy"]["RBF-SVM"]).abs().max()
print(
    f"LSPIN's accuracy differs by {between_cohorts:.3f} between cohorts; within a cohort, LSPIN and "
    f"the support vector machine differ by at most {between_models:.3f}."
)
pd.concat(
    {"who is in": sizes, **{m: by_cohort[m].round(3) for m in ("accuracy", "macro_f1")}}, axis=1
)

# %% [markdown]
# A score without its cohort says little, and two scores of different cohorts cannot be compared.
#
# ## Does the shape of the spike help?
#
# Some cells have a recorded action potential ({doc}`02_features`). Ten principal components of
# its waveform, found on training cells, are put beside the features. Cells and folds are the same, so
# the difference is paired.

# %%
waveform, about_waveform = read("waveform")
gains = {}
for name, part in waveform["scores"].groupby("model"):
    by_table = part.assign(model=part["table"]).drop(columns="table")
    gains[name] = compare(by_table, "features and waveform").loc["features"]
gains = pd.DataFrame(gains).T
told = gains["macro_f1"].query("low > 0").index
print("models whose gain in macro F1 has an interval above 0:", "; ".join(told) or "none")
gains.round(3)

# %% [markdown]
# ## So, is it any better?
#
# The title's question once more, on both tables, for the model that uses everything and for the one that
# uses few measurements. A recipe is found on some table, and may suit no other; so six follow that had no
# part in it: mouse motor, human and mouse visual cortex with classes from RNA ({doc}`08_other_labs`), and
# three that come with scikit-learn.

# %%
for name, recorded in (("authors' table", paper), ("released features", positive)):
    print(f"{name}:")
    for model in ("LSPIN", few):
        print("  " + ahead(recorded["scores"], model, "RBF-SVM"))
print("\nElsewhere, measured once, beside the recorded protocol: macro F1 minus that of an RBF-SVM")
print("tuned on inner folds; means of five folds, donors kept together.")
elsewhere = {
    "LSPIN": (-0.003, -0.004, -0.004, 0.002, -0.001, -0.003),
    few: (-0.027, -0.021, -0.009, -0.004, -0.001, -0.003),
}
pd.DataFrame(elsewhere, ["M1", "human", "V1", "breast cancer", "wine", "digits"]).T

# %% [markdown]
# ## Take-away
#
# - At naming the class, LSPIN and a support vector machine are about as good as each other; read the
#   intervals above before believing in either. What LSPIN adds is an answer said with few measurements,
#   others in each cell. That costs next to nothing on the authors' table, and up to two or three points on
#   others.
# - Compare models on the same folds, grouped by donor, with everything that learns inside the fold,
#   the choice of settings included.
# - Differences between good models on these cells are small; ask of each whether it can be told apart
#   before believing in a winner.
# - Who is in the cohort decides the score. A score without its cohort says little.
# - What few gates cost is to be seen, not assumed; and all that the answer used must be counted.
# - Five that suffice to say what all say are not yet five that would do alone, nor a good reason: a mask
#   can give the answer away by itself.
#
# ## Exercises
#
# **1.** Repeat the comparison for logistic regression with folds that ignore donors. By how much
# does the accuracy change?
#
# ```{dropdown} Solution
# With plain stratified folds some donors are on both sides. On recorded cells the difference is small; in
# data with strong day-to-day effects it is not. On the synthetic twin there is nothing to find: cells of
# one donor share its Cre line and resemble one another no more than that.
# ```

# %% tags=["hide-cell"]
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

model = make_pipeline(model_inputs(cells.X), quick_rivals()["logistic regression"])
ignoring = cross_val_predict(
    model, cells.X, cells.y, cv=StratifiedKFold(3, shuffle=True, random_state=0)
)
print(
    f"ignoring donors {accuracy_score(cells.y, ignoring):.3f}, "
    f"respecting them {accuracy_score(cells.y, predictions['logistic regression']):.3f}"
)

# %% [markdown]
# **2.** Do the models make the same mistakes? Count the cells that every model gets wrong.
#
# ```{dropdown} Solution
# If mistakes were independent, hardly any cell would be missed by all. Cells that every model
# misses may be unlike their class, or their Cre line may be the wrong label for them.
# ```

# %% tags=["hide-cell"]
wrong = pd.DataFrame(predictions).ne(cells.y, axis=0)
expected = wrong.mean().prod() * len(cells)
print(
    f"{wrong.all(axis=1).sum()} cells are missed by all {len(models)} models; "
    f"{expected:.1f} would be if mistakes were independent"
)
assert wrong.all(axis=1).sum() > expected

# %% [markdown]
# ## What's next?
#
# All of these cells come from one institute. {doc}`08_other_labs` takes the model to another laboratory,
# another temperature and another species.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
