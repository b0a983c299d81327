# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How does a network learn which measurements to look at?
#
# ## Overview
#
# {doc}`04_one_gate` took one step of gradient descent. Here such steps become a training. You will see
# why one network is not enough, let twelve networks that see everything teach a model that sees little,
# and close the {term}`gates <gate>` of a cell one at a time, until only a few measurements are left that
# lead to the same answer as all of them.
#
# ## After this chapter you can
#
# - name what a training adds to a single step, and what each addition is for;
# - explain why averaging twelve networks with different settings saves you from choosing among them;
# - compute the soft label of a cell, and say why it is a better teacher than the label;
# - close the gates of a cell one at a time by hand;
# - say what five open gates claim about a cell, and what they do not.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Gate, penalty, objective, one step | Necessary | {doc}`04_one_gate` |
# | Cells, classes, donors | Necessary | {doc}`01_fetching_cells` |
# | Model inputs | Necessary | {doc}`02_features` |
# | Overfitting | Helpful | [scikit-learn's guide](https://scikit-learn.org/stable/auto_examples/model_selection/plot_underfitting_overfitting.html) |
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
from lspin import load_cells

cells = load_cells()
print(cells.banner())

# %% [markdown]
# ## From one step to a training
#
# The package repeats the step of the last chapter several hundred times, each time on another
# {term}`batch` of 128 cells, and adds four things.
#
# **The penalty comes in slowly.** If an open gate cost its full penalty from the start, gates would close
# before the {term}`predictor` has found out what they are good for. So the weight of the penalty, where
# there is one, grows from 0 to {term}`lambda` and stays there for the last part of the steps.
#
# **The best step is kept.** Some {term}`donors <donor>` are set aside. Every now and then the objective
# of their cells is computed without noise, and the network is kept as it was when this was lowest. This
# is {term}`early stopping`. The test cells have no part in it.
#
# **Weights shrink.** There are few cells, and a network with many weights soon knows single cells by
# heart. {term}`Weight decay <weight decay>` pulls every weight a little towards 0 at each step, so that a
# weight stays large only if many cells need it.
#
# **Cells are mixed.** For the same reason the predictor is trained on mixtures of two cells, whose labels
# are mixed in the same proportions ({term}`mixup`, {cite}`zhang2018`). Between two cells it should be as
# unsure as the mixture is. What is mixed is what the gates of the two cells let through, not the cells
# themselves {cite}`verma2019`, so the {term}`gating network` sees only real cells and learns to choose for
# them. The proportions are drawn from a beta distribution, whose parameter sets how strong the mixing is.

# %% mystnb={"image": {"alt": "Left: the weight of the penalty as a share of lambda rises along a straight line and stays at 1 for the last part of the steps. Right: histograms of the larger share in a mixture of two cells. With mixup of 1 all shares from 0.5 to 1 are equally frequent; with 0.2 most are near 1."}}
import matplotlib.pyplot as plt
import numpy as np

from lspin.model import Recipe
from lspin.show import name_source

recipe = Recipe()  # every setting of a training
done = np.linspace(0, 1, 200)
rise = [recipe.stage(share, n_features=42).price for share in done]

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(done, rise, color="black")
left.set(xlabel="share of training done", ylabel="penalty weight / lambda")
for mixup, color in ((0.2, "tab:orange"), (1.0, "0.4")):
    share = np.random.default_rng(0).beta(mixup, mixup, 20_000)
    share = np.maximum(share, 1 - share)
    of_all = np.full(share.shape, 1 / share.size)
    style = {"histtype": "step", "color": color, "label": f"mixup {mixup:g}"}
    right.hist(share, 25, weights=of_all, **style)
right.set(xlabel="share of the larger part", ylabel="share of mixtures")
right.legend(frameon=False)
name_source(fig, "Settings of the training and simulated shares, no cells.")
plt.show()

# %% [markdown]
# Mixing by hand gives the same as the package. Here are four made-up cells, of which each is mixed with the
# one before it; we look at cells 1 and 0:

# %%
import torch

from lspin.model import mixed

a = float(share[0])
generator = torch.Generator().manual_seed(0)
through = torch.randn(4, 6, generator=generator)  # what the gates let through
one_hot = torch.eye(3)[[0, 2, 1, 0]]  # the classes of the four cells
of_two = a * through[1] + (1 - a) * through[0]
label_of_two = a * one_hot[1] + (1 - a) * one_hot[0]

package = mixed(through[None], torch.full((1, 4), a))
torch.testing.assert_close(of_two, package[0, 1])
print(f"{a:.0%} of cell 1, the rest of cell 0")
print("shares of the three classes:", label_of_two.numpy().round(2))

# %% [markdown]
# ## Set donors aside, then train
#
# Cells of one mouse go together: either all of them are for training or all are for testing
# ({doc}`01_fetching_cells`). One of five {term}`donor-grouped` folds is the test set, and we do not touch
# it in this chapter: {doc}`06_how_many` looks at it, once. Because we want to try things on the way, we
# also set aside a quarter of the *training* donors. Their cells are the ones we look at meanwhile.

# %%
from lspin.data import donor_folds

train, test = donor_folds(cells.y, cells.donors, n_splits=5, random_state=0)[0]
inner = donor_folds(
    cells.y.iloc[train], cells.donors.iloc[train], n_splits=4, random_state=0
)
fit, look = (train[rows] for rows in inner[0])
for one, other in ((train, test), (fit, look)):
    assert not set(cells.donors.iloc[one]) & set(cells.donors.iloc[other])
print(f"{len(fit)} cells to train on, {len(look)} to look at")
print(f"and {len(test)} to test on, later")

# %% [markdown]
# ## One network, and twelve
#
# How strong should weight decay and mixup be? That depends on the table: on how noisy its labels are, and
# on how far its classes overlap. So here are twelve networks, one for each pair of four weight decays and
# three strengths of mixup. None of them has to close a gate yet. Each is trained on seven eighths of its
# cells; the rest, cells of other donors, decide which step to keep.
#
# We do it twice: with the labels as recorded, and after replacing three labels in ten by a class drawn at
# random.

# %%
from lspin.features import model_inputs

inputs = model_inputs(cells.X).fit(cells.X.iloc[fit])
x, x_look = (
    torch.tensor(inputs.transform(cells.X.iloc[rows]).to_numpy()).float()
    for rows in (fit, look)
)
classes = np.unique(cells.y)
label, seen = (
    np.searchsorted(classes, cells.y.iloc[rows]) for rows in (fit, look)
)
rng = np.random.RandomState(0)
is_spoiled = rng.rand(len(fit)) < 0.3
at_random = rng.randint(len(classes), size=len(fit))
spoiled = np.where(is_spoiled, at_random, label)


# %%
from lspin.model import draw_members, fit_members


def twelve_networks(label):
    """Train them side by side; return them, and the cells of each."""
    donors, draw = cells.donors.iloc[fit], np.random.RandomState(0)
    members = draw_members(label, donors, 12, draw, task="classification")
    target = torch.eye(len(classes))[torch.as_tensor(label)]
    return fit_members(x, target, members), members


trained = {
    "labels as recorded": twelve_networks(label),
    "30 % at random": twelve_networks(spoiled),
}

# %% [markdown]
# A network answers with {term}`logits`, one number for each class before the *softmax* turns them into
# probabilities. Below we score each network by itself, and then the mean of the twelve networks' logits.
# The score is {term}`macro F1`: for each class, F1 is the harmonic mean of precision and recall, and
# macro F1 is the mean over classes, so that a rare class counts as much as a common one.
#
# ```{admonition} Predict before you run
# :class: tip
# Where will the mean of all twelve lie: in the middle of the twelve scores, near the best of them, or
# above? And will that be different when three labels in ten are random?
# ```

# %%
from sklearn.metrics import f1_score

from lspin.model import all_outputs


def macro_f1(logits):
    return f1_score(seen, logits.argmax(dim=1), average="macro")


scores = {}
for name, (networks, _) in trained.items():
    logits = all_outputs(networks, x_look)
    each = np.array([macro_f1(one) for one in logits])
    together = macro_f1(logits.mean(dim=0))
    scores[name] = each, together
    print(f"{name}: each {each.min():.2f} to {each.max():.2f},", end=" ")
    print(f"on average {each.mean():.3f}; all together {together:.3f}")

# %% mystnb={"image": {"alt": "Two panels, labels as recorded and three labels in ten at random: macro F1 on the cells to look at against weight decay, a dot for each of twelve networks, one marker for each strength of mixup. A line marks the mean of all twelve, which is above most dots in both panels."}}
from lspin.model import REGULARISATIONS

fig, axes = plt.subplots(
    1, 2, figsize=(9, 3.4), sharey=True, layout="constrained"
)
for ax, (name, (each, together)) in zip(axes, scores.items(), strict=True):
    for mixup, marker in ((0.0, "o"), (0.2, "s"), (1.0, "^")):
        some = [k for k, r in enumerate(REGULARISATIONS) if r.mixup == mixup]
        decays = [REGULARISATIONS[k].weight_decay for k in some]
        style = {"color": "0.4", "label": f"mixup {mixup:g}"}
        ax.semilogx(decays, each[some], marker, **style)
    ax.axhline(together, color="black", label="mean of all twelve")
    ax.set(title=name, xlabel="weight decay")
    ax.set_xticks(decays, [f"{decay:g}" for decay in decays])
    ax.minorticks_off()
axes[0].set_ylabel("macro F1")
entries = ax.get_legend_handles_labels()
fig.legend(*entries, loc="outside right upper", frameon=False)
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# Which dot is highest is partly luck: each is one network with one {term}`seed`, and they also set aside
# different donors. If you picked the best, you would pick its luck along with it.
#
# The mean of the logits needs no picking. Where networks are wrong, they are wrong in different ways, and
# much of that cancels. And whatever weight decay and mixup suit a table, some of the twelve networks are
# near them. So there is nothing for you to set. Networks whose answers are averaged are called an
# {term}`ensemble`.
#
# This is what `LSPINClassifier` trains if you ask for nothing. On all training cells:


# %% tags=["remove-stderr"]
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier
from lspin.evaluate import fit_grouped


def train_lspin(rows, **settings):
    model = LSPINClassifier(random_state=0, **settings)
    pipeline = make_pipeline(model_inputs(cells.X), model)
    X, y, donors = (t.iloc[rows] for t in (cells.X, cells.y, cells.donors))
    return fit_grouped(pipeline, X, y, donors)


pipeline = train_lspin(train, verbose=1)
n_inputs = pipeline[-1].n_features_in_
print(f"trained {pipeline[-1].n_members} networks on {n_inputs} inputs")

# %% [markdown]
# How sure of itself the mean should be is one more number, the {term}`temperature`, by which the logits
# are divided {cite}`guo2017`. It is found on the cells that each network had set aside, so again without
# the test cells.

# %%
print(f"temperature {pipeline[-1].temperature_:.2f}")
print("(below 1 it sharpens the answer, above 1 it blurs it)")

# %% [markdown]
# ## One mask for one answer
#
# This model uses all measurements. Now let gates close. The obvious way would be to give each of the
# networks its own penalty or its own number of gates, and to average their answers. An earlier version of
# this book did so, and the scores were good. But the networks did not open the *same* few gates. Where
# each opened about five, the {term}`union` of all of them was several times as large. "Five measurements"
# was then true of every single network and false of the answer.
#
# So each cell has {term}`one mask`: where a gate is closed, nothing that takes part in the answer saw that
# measurement.
#
# A network that sees few measurements learns less than one that sees them all. So the networks behind the
# mask do not learn from the cells alone. They learn from the twelve networks, which see everything. This is
# {term}`knowledge distillation <distillation>` ([Hinton and others 2015](https://arxiv.org/abs/1503.02531)).
#
# ### What the twelve say about each cell
#
# A label is all or nothing. It says Sst+, even for the odd cell that its {term}`Cre line` marked by
# mistake or that lies between two classes. The networks say it in degrees: so much Sst+, so much Pvalb+.
#
# A network would only repeat the label of a cell that it was trained on. So for each cell we ask only the
# networks that had set it aside. Their mean logits, divided by a temperature and turned into
# probabilities, are the cell's {term}`soft label`. By hand:

# %%
from lspin.model import fit_temperature, lesson

networks, members = trained["labels as recorded"]
was_out = torch.ones(len(members), len(fit), 1)
for row, member in zip(was_out, members, strict=True):
    row[member.train] = 0
logits = (all_outputs(networks, x) * was_out).sum(dim=0) / was_out.sum(dim=0)
temperature = fit_temperature(logits, torch.as_tensor(label))
soft = (logits / temperature).softmax(dim=1)

target = torch.eye(len(classes))[torch.as_tensor(label)]
task = "classification"
taught = lesson(networks, x, target, members, task=task, seed=0)
torch.testing.assert_close(soft, taught.target[: len(fit)])
least = was_out.sum(dim=0).min()
print(f"each cell was set aside by {least:.0f} or more of the twelve networks")

# %% [markdown]
# Most soft labels agree with the label. These are the ones that agree least:

# %%
import pandas as pd

opinion = pd.DataFrame(soft.numpy(), cells.X.index[fit], classes)
doubt = pd.DataFrame(
    {
        "label": cells.y.iloc[fit],
        "networks say": opinion.idxmax(axis=1),
        "probability": opinion.max(axis=1),
        "of the label": opinion.to_numpy()[np.arange(len(fit)), label],
    }
)
agree = (doubt["label"] == doubt["networks say"]).mean()
print(f"label and soft label name the same class for {agree:.0%} of cells")
doubt.nsmallest(5, "of the label").round(2)

# %% [markdown]
# A soft label is not the truth: for some of these cells the label will be right and the networks wrong. On
# the whole it is the better teacher, because it carries what was learned from all the other cells, and
# because it does not insist that the exceptions be learned by heart.
#
# ### And about cells that nobody recorded
#
# The twelve networks can give an opinion on any cell, even one that was never recorded. So they are also
# asked about many mixtures, each of a cell and one of those most like it. From a thousand
# cells a model also learns what is mere chance in them; of mixtures there can be as many as you like.

# %%
n_mixtures = len(taught.x) - len(fit)
print(f"{len(fit)} cells and {n_mixtures} mixtures to learn from")

# %% [markdown]
# ### Five gates, chosen by a network
#
# A penalty is a roundabout way to ask for "five gates": you have to try which $\lambda$ gives that many.
# If you set the number itself, a {term}`budget`, gates *compete*. All gates of a cell are lowered by as
# much as it takes to close all but the five largest. At the start of training all of them may be open,
# and then the budget falls slowly to five.
#
# In the package this is `gating="local"`: LSPIN as it was published, but with soft labels, a budget in
# place of a penalty, and sixteen gating networks that agree on one mask.

# %%
from dataclasses import replace

from lspin.model import ONE_MASK, fit_one_mask, gate_values

limited = replace(ONE_MASK, max_open=5)
chosen = fit_one_mask(taught, seed=0, task=task, recipe=limited)
with torch.no_grad():
    answer, mu = chosen(x_look)
n_open = (gate_values(mu[0]) > 0).sum(dim=1).double().mean()
by_networks = macro_f1(answer.mean(dim=0))
print(f"{n_open:.1f} open gates per cell; macro F1 {by_networks:.3f}")

# %% [markdown]
# It works, and it has two weaknesses.
#
# First, gating networks have to *learn* how to choose, from a thousand cells. Train them again with
# another seed, and many of their choices will be different.
#
# Second, their choice can carry a message. They read every measurement of a cell, and the predictor behind
# them may learn what their choice means. In the extreme case the mask is the answer, and the measurements
# are decoration. This does happen. We first let cells *share* their gates, five on average. On the table
# of {cite:t}`ophir2023` the gating networks then recognised many glutamatergic cells, the easiest class,
# and closed all their gates: an empty mask meant "glutamatergic", and there was no measurement to point
# at.
#
# ### Five gates, found one at a time
#
# What has to be chosen anew for every cell need not be learned. It can be *searched for*. All it takes is
# a predictor that can cope with whatever few measurements it is given.
#
# So we train predictors behind **random masks**. Whenever a cell comes up, we draw how many measurements
# may be seen, and then which. Such a mask says nothing about the cell, so there is nothing to learn from
# the mask itself. All that can be learned is what to expect of a cell given these measurements and no
# others {cite}`covert2021`. Twelve small predictors learn that from the soft labels of cells and mixtures,
# and their logits are averaged.

# %%
from lspin.model import READER, fit_reader

reader = fit_reader(taught, seed=0, task=task, recipe=READER)

# %% [markdown]
# Now take one cell with all its gates open, and what the twelve networks say about it. Close each gate on
# trial, and see what the predictors answer without it. The gate whose closing keeps their answer closest
# to that of the twelve networks stays closed. Repeat this with the gates that are still open, until none is.
#
# This is *backward elimination*, an old way of choosing variables for a regression, but done for each cell
# by itself. We call it {term}`closing`. How close two answers are is measured by the {term}`cross-entropy`.
# By hand, and by the package, for three cells:

# %%
with torch.no_grad():
    mean_logits = all_outputs(networks, x_look).mean(dim=0)
    expected = (mean_logits / temperature).softmax(dim=1)


@torch.no_grad()
def close_by_hand(cell, expected):
    """Return the gates of a cell in closing order, and each answer."""
    is_open, order, answers = torch.ones_like(cell), [], []
    while is_open.any():
        still_open = is_open.nonzero().flatten()
        on_trial = is_open.repeat(len(still_open), 1)  # a row for each gate
        on_trial[range(len(still_open)), still_open] = 0
        logits = reader.predict_gated((on_trial * cell)[None]).mean(dim=0)
        log_p = logits.log_softmax(dim=1)
        nearest = (-log_p @ expected).argmin()
        is_open = on_trial[nearest]
        order.append(int(still_open[nearest]))
        answers.append(log_p[nearest].exp())
    return order, torch.stack(answers)


# %%
from lspin.model import close_in_turn

place, _ = close_in_turn(reader, x_look, expected, task)  # 1 closes last
for i in range(3):
    by_hand, _ = close_by_hand(x_look[i], expected[i])
    assert by_hand == place[i].argsort(descending=True).tolist()
print("By hand, the gates of three cells close in the package's order.")

# %% [markdown]
# What becomes of the answer while gates close? We look at one Sst+ cell: the one about which the twelve
# networks are neither the most nor the least sure.
#
# ```{admonition} Predict before you run
# :class: tip
# This cell has some forty gates. How many of them can close before the probability of its class changes
# visibly: five, half of them, or nearly all?
# ```

# %% mystnb={"image": {"alt": "Probabilities of the five classes for one cell: first as the twelve networks give them, then with all gates open, then after each gate that closes, named by its measurement. The probabilities hardly move over most of the axis and end, with the last gate closed, at the same values as for any cell. A vertical line marks where five gates are left."}}
from lspin.features import FEATURES
from lspin.show.plots import class_styles

sure = expected[:, list(classes).index("Sst+")].numpy()
of_sst = np.flatnonzero(classes[seen] == "Sst+")
i = of_sst[sure[of_sst].argsort()[len(of_sst) // 2]]
order, answers = close_by_hand(x_look[i], expected[i])
with torch.no_grad():
    all_open = reader.predict_gated(x_look[None, [i]]).mean(dim=0)
answers = torch.cat([all_open.softmax(dim=1), answers])
closed = inputs.get_feature_names_out()[order]
names = ["(twelve networks)", "(all gates open)"]
names += [FEATURES[name].label for name in closed]

fig, ax = plt.subplots(figsize=(9.5, 6), layout="constrained")
for k, (name, (color, _)) in enumerate(class_styles(classes).items()):
    ax.plot(answers[:, k], ".-", color=color, label=name)
    ax.plot(-1, expected[i, k], "_", color=color, ms=12, mew=2)
five_left = len(order) - 5
ax.axvline(five_left, color="0.6", lw=1)
ax.annotate("five gates left ", (five_left, 1.02), ha="right", color="0.4")
ax.set_xticks(range(-1, len(order) + 1), names, rotation=90)
ax.set(xlabel="gate that has just closed", ylabel="probability")
ax.set(xlim=(-2, len(order) + 1), ylim=(-0.03, 1.1))
fig.legend(loc="outside upper center", ncols=5, frameon=False)
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# Read it from the left. At the far left is what the twelve networks say, and next to it what the
# predictors say with all gates open. Each further dot is their answer after one more gate has closed. Most
# gates close without a trace: other measurements say the same, or this cell is like any other in them. What
# closes last carries the answer. The right end, with nothing open, is the same for every cell.
#
# Masks are *nested*: the two gates of a limit of two are among the five gates of a limit of five. So any
# limit is a cut through the same order, and a single training serves them all.
#
# How good is the answer at such a cut?
#
# ```{admonition} Predict before you run
# :class: tip
# The twelve networks use all measurements. With five, will macro F1 fall a little, or by half? And with a
# single one?
# ```

# %%
with torch.no_grad():
    for limit in (1, 2, 5, 12):
        gated = x_look * (place <= limit)
        score = macro_f1(reader.predict_gated(gated[None]).mean(dim=0))
        print(f"limit of {limit:2}, closed in turn: macro F1 {score:.3f}")
print(f"limit of  5, by networks: macro F1 {by_networks:.3f}")
print(f"no limit, the twelve networks: macro F1 {macro_f1(expected):.3f}")

# %% [markdown]
# ### Which parts pay?
#
# That was one split of one table. So we took the parts of the recipe away one at a time and scored each
# model by {term}`cross-validation` on the authors' table, twice, with two ways to draw the folds:

# %%
from lspin.studies import read_results, results_file

tables, about = read_results(results_file("ablation"))
print(about["banner"])
parts = tables["scores"].pivot(
    index="variant", columns="seed", values="macro_f1"
)
parts.columns = ["macro F1, first folds", "macro F1, other folds"]
parts.sort_values("macro F1, first folds", ascending=False).round(3)

# %% [markdown]
# The two columns of one model differ by 0.01 and more, so look only at what stands out in both: a single
# network, closing a quarter of the gates at a time, and letting networks set the gates cost 0.02 to 0.04 on
# average. The other parts gain little or nothing on this table. And because the recipe was chosen on these
# very folds, the scores do not say how good it is; for that, {doc}`07_baselines` uses folds that nobody had
# looked at.
#
# ## What five open gates claim
#
# Before you marvel at how few it takes, look at what was asked. The twelve networks had read the *whole*
# cell before the first gate closed, and the gates were closed so as to keep their answer. So five
# measurements are enough **to give the answer that all of them give**. That does not mean that somebody who
# measures only these five would have come to the same answer: to know that it is *these* five, one needs the
# others.
#
# Also, a different question has a different answer. A measurement near the mean closes early, because a
# closed gate puts the mean in its place and so changes nothing. In other cells, even in cells much like
# this one, the same measurement may matter. "Sufficient for this cell" and "relevant for cells such as
# this" are two things; gating networks are better at the second.
#
# Nor has the risk of a message gone away altogether. No predictor has learned to read masks, but somebody
# who sees which gates are open may still be able to guess the class. {doc}`11_useful` measures how well.
#
# `LSPINClassifier(max_open=5)` does all of this, and opens five gates in every cell.
# `LSPINClassifier(lam=...)` sets a penalty instead: the gates of a cell close as long as that raises the
# cross-entropy by less than $\lambda / d$ per gate, where $d$ is the number of gates, so that easy cells
# keep fewer than hard ones. It takes one or the other, never both.
#
# ## Take-away
#
# - A training brings its penalty in slowly, keeps the best step, shrinks weights and mixes cells.
# - Networks that differ in weight decay and mixup do better together than nearly any of them alone, and
#   leave nothing to set.
# - They teach predictors that can cope with any few measurements. Then the gates of each cell close one at
#   a time, always the one that the answer needs least. Masks are nested, and one training serves every
#   limit.
# - The predictors see only what is behind open gates, so the answer was read from these measurements and
#   no others. *Which* gates close was decided by networks that saw everything: five measurements are enough
#   to give the answer that all of them give, but without the others nobody would have known which five.
#
# ## Self-check
#
# **1.** Why does the penalty grow slowly, instead of being there from the first step?
#
# ```{dropdown} Answer
# At the start the predictor cannot use any measurement yet, so closing a gate costs nothing in prediction
# and saves penalty. A full penalty would close gates before anyone knows what they are good for.
# ```
#
# **2.** Somebody trains twelve networks and keeps the one with the highest score on the cells looked at.
# What is wrong with reporting that score, and why is the mean of the twelve free of this problem?
#
# ```{dropdown} Answer
# The highest of twelve scores is partly the luckiest one, so it is too high for new cells. The mean of the
# logits does not depend on the scores: nothing is picked, and much of what single networks get wrong
# cancels.
# ```
#
# **3.** Why is a network not asked for its opinion about a cell that it was trained on?
#
# ```{dropdown} Answer
# It has learned the label of that cell, if need be by heart, and would repeat it, even where it is wrong.
# Networks that had set the cell aside can only say what follows from all the other cells.
# ```
#
# **4.** A predictor is trained behind random masks. Why can it not learn to read the class from the mask?
#
# ```{dropdown} Answer
# The masks are drawn without looking at the cell, so cells of every class get the same kinds of masks.
# Which gates are open says nothing about the class, and what says nothing cannot be learned from.
# ```
#
# **5.** A cell's answer with five gates equals its answer with all. A student writes: "To classify this
# cell, only these five had to be measured." What would you correct?
#
# ```{dropdown} Answer
# The five were found by networks that had read the whole cell, and they are the ones that keep an answer
# which was already known. They are enough to give the same answer. Without the other measurements one would
# not have known that it is these five.
# ```
#
# ## Exercises
#
# **1. Warm-up.** Find a cell, among those to look at, whose answer with five gates is another class than
# the twelve networks name. How many such cells are there, and are the networks surer about them or less
# sure than about the others?
#
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# There are a few. Most of them are cells about which the networks were unsure to begin with: where two
# classes are nearly equally probable, a little change is enough to turn one into the other.
# ```

# %% tags=["hide-cell"]
with torch.no_grad():
    five = reader.predict_gated((x_look * (place <= 5))[None]).mean(dim=0)
differs = (five.argmax(dim=1) != expected.argmax(dim=1)).numpy()
how_sure = expected.max(dim=1).values.numpy()
print(f"{differs.sum()} of {len(look)} cells get another class")
print(f"how sure the networks are of these: {how_sure[differs].mean():.2f},")
print(f"and of the others: {how_sure[~differs].mean():.2f}")
if differs.any():
    print("the first of them is cell", cells.X.index[look][differs][0])

# %% [markdown]
# **2. Core.** Shuffle the labels of the cells to train on, and train with `max_open=5`. What accuracy do
# you expect on the cells to look at, and how many gates will be open?
#
# *On the twin: the same.*
#
# ```{dropdown} Solution
# Nothing can be learned, so the best guess is the largest class. If your pipeline scores above that with
# shuffled labels, it leaks. Yet five gates are open in every cell: a budget is spent whether it is of use
# or not. That a gate is open is no sign that there was anything to find.
# ```

# %% tags=["hide-cell", "remove-stderr"]
shuffled = cells.y.iloc[fit].sample(frac=1, random_state=0)
shuffled = shuffled.set_axis(cells.y.index[fit])
nonsense = fit_grouped(
    make_pipeline(
        model_inputs(cells.X), LSPINClassifier(max_open=5, random_state=0)
    ),
    cells.X.iloc[fit],
    shuffled,
    cells.donors.iloc[fit],
)
X_look, truth = cells.X.iloc[look], cells.y.iloc[look]
chance = np.mean(nonsense.predict(X_look) == truth)
majority = truth.value_counts(normalize=True).max()
gates = nonsense[-1].gates(nonsense[:-1].transform(X_look))
print(f"accuracy {chance:.3f} (largest class {majority:.3f})")
n_open = (gates > 0).sum(axis=1).mean()
print(f"{n_open:.1f} open gates per cell, on average")
assert chance < majority + 0.05

# %% [markdown]
# **3. Open.** Closing is greedy: it never reopens a gate. Can you find five gates for a cell that keep its
# answer better? Decide on a way to search, try it on some cells, and say whether it would be worth the
# time.
#
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# There are many ways: opening gates one at a time from none (forward selection), swapping an open gate for
# a closed one, or trying all pairs and triples among the gates that close last. A good answer compares the
# cross-entropy to the expected answer on the same cells, before and after, gives the share of cells in
# which the search found something better and by how much, and weighs that against the time. It also says
# that a better set is still only *one* set that is enough: others may do as well. The next cell tries every
# swap of one gate for another, once.
# ```

# %% tags=["hide-cell"]
from lspin.model import distance


@torch.no_grad()
def best_swap(cell, expected, is_open):
    """Return the cost of five gates, and of the best after one swap."""
    masks = [is_open]
    for out in is_open.nonzero().flatten():
        for into in (is_open == 0).nonzero().flatten():
            masks.append(is_open.clone())
            masks[-1][out], masks[-1][into] = 0, 1
    gated = (torch.stack(masks) * cell)[None]
    cost = distance(reader.predict_gated(gated).mean(dim=0), expected, task)
    return float(cost[0]), float(cost.min())


# %% tags=["hide-cell"]
costs = [
    best_swap(x_look[i], expected[i], (place[i] <= 5).float())
    for i in range(30)
]
costs = pd.DataFrame(costs, columns=["five gates", "after the best swap"])
saved = costs["five gates"] - costs["after the best swap"]
share = (saved > 0.01).mean()
print(f"a swap saves more than 0.01 in {share:.0%} of 30 cells")
costs.mean().to_frame("mean cross-entropy").round(3)

# %% [markdown]
# ## What's next?
#
# Five gates were a number that we simply picked. {doc}`06_how_many` asks what few gates cost and how many
# should stay open, and looks at the test cells.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
