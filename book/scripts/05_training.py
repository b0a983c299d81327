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
# {doc}`04_one_gate` took one step of gradient descent. Here such steps become a training. We see why
# one network is not enough, let twelve that see everything teach a model that sees little, and close
# the gates of a cell one at a time, until few measurements are left that say what all of them say.
#
# ## After this chapter you can
#
# - name what a training adds to a single step, and what each addition is for;
# - say why the mean of twelve networks with different settings needs no choice among them;
# - make the soft label of a cell, and say why it is a better teacher than the label;
# - close the gates of a cell one at a time by hand;
# - tell what five open gates claim, and what they do not.
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
# - **Reading**: 40 minutes
# - **Exercises**: 5 minutes

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
# ## From one step to a training
#
# The package repeats this step some hundred times, each time on another handful of cells, with
# four additions.
#
# **The price rises.** Were an open gate to cost $\lambda$ from the start, gates would close before
# the predictor has found out what they are good for. So the price, if there is one, grows from 0 to
# $\lambda$ and stays there for the last steps.
#
# **The best step is kept.** Some donors are set aside. Now and then the objective of their cells is
# measured without noise, and the network is kept as it was when this was lowest. The test cells
# have no part in it.
#
# **Weights shrink.** There are few cells, and a network with many weights soon knows single cells by
# heart. *Weight decay* pulls every weight a little towards 0 at each step, so that only those stay
# large that many cells ask for.
#
# **Cells are mixed.** For the same reason the predictor is trained on mixtures of two cells, whose
# labels are mixed in the same shares (*mixup* {cite}`zhang2018`): between two cells it should be as
# unsure as the mixture is. What is mixed is what the gates of the two cells let through, not the
# cells themselves {cite}`verma2019`. So the gating network sees real cells only, and learns to choose
# for them. The shares are drawn from a beta distribution; its parameter says how strong the mixing
# is.

# %% mystnb={"image": {"alt": "Left: the price of an open gate as a share of lambda rises along a straight line and stays at 1 for the last part of the steps. Right: histograms of the larger share in a mixture of two cells. With mixup of 1 all shares from 0.5 to 1 are equally frequent; with 0.2 most are near 1."}}
import matplotlib.pyplot as plt
import numpy as np

from lspin.model import Recipe

recipe = Recipe()  # every setting of a training
done = np.linspace(0, 1, 200)
price = [recipe.stage(share, n_features=42).price for share in done]

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
left.plot(done, price, color="black")
left.set(xlabel="share of the training that is done", ylabel="price / lambda")
for mixup, color in ((0.2, "tab:orange"), (1.0, "0.4")):
    share = np.random.default_rng(0).beta(mixup, mixup, 20_000)
    share = np.maximum(share, 1 - share)
    weights = np.full(share.shape, 1 / share.size)
    right.hist(share, 25, weights=weights, histtype="step", color=color, label=f"mixup {mixup:g}")
right.set(xlabel="share of the larger part", ylabel="share of mixtures")
right.legend(frameon=False)
plt.show()

# %%
import torch

from lspin.model import mixed

a = float(share[0])
generator = torch.Generator().manual_seed(0)
through = torch.randn(4, 6, generator=generator)  # what the gates of four made-up cells let through
one_hot = torch.eye(3)[[0, 2, 1, 0]]  # their classes
of_two = a * through[1] + (1 - a) * through[0]
label_of_two = a * one_hot[1] + (1 - a) * one_hot[0]

package = mixed(through[None], torch.full((1, 4), a))[0, 1]  # each cell with the one before it
torch.testing.assert_close(of_two, package)
print(
    f"{a:.0%} of cell 1, the rest of cell 0: classes in the shares {label_of_two.numpy().round(2)}"
)

# %% [markdown]
# ## Set donors aside, then train
#
# Cells of one mouse go together: either all are for training or all are for testing
# ({doc}`01_fetching_cells`). One of five donor-grouped folds is the test set, and it stays closed in
# this chapter: {doc}`06_how_many` looks at it, once. Because we want to try things on the way, we set
# a quarter of the *training* donors aside as well: these are the cells to look at.

# %%
from lspin.data import donor_folds

train, test = donor_folds(cells.y, cells.donors, n_splits=5, random_state=0)[0]
inner = donor_folds(cells.y.iloc[train], cells.donors.iloc[train], n_splits=4, random_state=0)
fit, look = (train[rows] for rows in inner[0])
for one, other in ((train, test), (fit, look)):
    assert not set(cells.donors.iloc[one]) & set(cells.donors.iloc[other])
print(f"{len(fit)} cells to train on, {len(look)} to look at, {len(test)} to test on, later")

# %% [markdown]
# ## What one network does, and what twelve do
#
# How strong should weight decay and mixup be? That depends on the table: on how noisy its labels are,
# and on how far its classes overlap. Here are twelve networks, one for each pair of four weight decays
# and three strengths of mixup. None has to close a gate yet. Each is trained on seven eighths of
# its cells; the rest, cells of other donors, tell it which step to keep. We do it twice: with the
# labels as recorded, and after replacing three labels in ten by a class drawn at random.

# %%
from lspin.features import model_inputs
from lspin.model import draw_members, fit_members

inputs = model_inputs(cells.X).fit(cells.X.iloc[fit])
x, x_look = (
    torch.tensor(inputs.transform(cells.X.iloc[rows]).to_numpy(), dtype=torch.float32)
    for rows in (fit, look)
)
classes = np.unique(cells.y)
label, seen = (np.searchsorted(classes, cells.y.iloc[rows]) for rows in (fit, look))
rng = np.random.RandomState(0)
spoiled = np.where(rng.rand(len(fit)) < 0.3, rng.randint(len(classes), size=len(fit)), label)


def twelve_networks(label):
    """Train them side by side; return them, and which cells each was trained on."""
    donors, draw = cells.donors.iloc[fit], np.random.RandomState(0)
    members = draw_members(label, donors, 12, draw, task="classification")
    return fit_members(x, torch.eye(len(classes))[torch.as_tensor(label)], members), members


trained = {"labels as recorded": twelve_networks(label), "30 % at random": twelve_networks(spoiled)}

# %% mystnb={"image": {"alt": "Two panels, labels as recorded and three labels in ten at random: macro F1 on the cells to look at against weight decay, a dot for each of twelve networks, one marker for each strength of mixup. A line marks the mean of all twelve, which is above most dots in both panels."}}
from sklearn.metrics import f1_score

from lspin.model import REGULARISATIONS, all_outputs
from lspin.show import name_source

fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for ax, (name, (networks, _)) in zip(axes, trained.items(), strict=True):
    logits = all_outputs(networks, x_look)
    each = np.array([f1_score(seen, one.argmax(dim=1), average="macro") for one in logits])
    together = f1_score(seen, logits.mean(dim=0).argmax(dim=1), average="macro")
    for mixup, marker in ((0.0, "o"), (0.2, "s"), (1.0, "^")):
        some = [k for k, one in enumerate(REGULARISATIONS) if one.mixup == mixup]
        decays = [REGULARISATIONS[k].weight_decay for k in some]
        ax.semilogx(decays, each[some], marker, color="0.4", label=f"mixup {mixup:g}")
    ax.axhline(together, color="black", label="mean of all twelve")
    ax.set(title=name, xlabel="weight decay")
    print(
        f"{name}: one network {each.min():.2f} to {each.max():.2f}, mean {each.mean():.3f}; "
        f"all together {together:.3f}"
    )
axes[0].set_ylabel("macro F1")
fig.legend(*ax.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# *Macro F1* is the mean over classes of the harmonic mean of precision and recall, so that a rare
# class counts as much as a common one.
#
# Which dot is the highest is partly luck: each is one network with one seed, and they also set aside
# different donors. To pick it would be to pick the luck along. The mean of their logits (a
# *logit* is what a network says of a class before it becomes a probability) needs no picking. Where
# networks are wrong, they are wrong in different ways, and much of that cancels; and whatever the
# right regularisation of a table is, some of the twelve are near it. So there is nothing to set.
#
# This is what `LSPINClassifier` trains if you ask for nothing. On all training cells:


# %% tags=["remove-stderr"]
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier
from lspin.evaluate import fit_grouped


def train_lspin(rows, **settings):
    model = LSPINClassifier(random_state=0, **settings)
    pipeline = make_pipeline(model_inputs(cells.X), model)
    return fit_grouped(pipeline, cells.X.iloc[rows], cells.y.iloc[rows], cells.donors.iloc[rows])


pipeline = train_lspin(train, verbose=1)
n_inputs = pipeline[-1].n_features_in_
print(f"trained {pipeline[-1].n_members} networks on {n_inputs} inputs")

# %% [markdown]
# How sure of itself the mean should be is one more number, the *temperature* by which the logits are
# divided {cite}`guo2017`. It is found on the cells that each network had set aside, so again without
# the test cells.

# %%
print(f"temperature {pipeline[-1].temperature_:.2f}: below 1 sharpens the answer, above 1 blurs it")

# %% [markdown]
# ## One mask for one answer
#
# This model uses all measurements. Now let gates close. The obvious way is to give each of the
# networks its own price or number of gates, and to average their answers. An earlier version of this
# book did so, and the scores were good. But the networks did not open the *same* few gates: where
# each opened about five, all together opened more than twenty ({doc}`07_baselines` shows it). "Five
# measurements" was then true of every network and false of the answer.
#
# So there is one mask for a cell, whatever stands behind it: where a gate is closed, nothing in the
# answer saw that measurement. And because few measurements teach less than all, what stands behind
# the mask does not learn from the cells alone. It learns from the twelve, which see everything
# (*knowledge distillation*, [Hinton and others 2015](https://arxiv.org/abs/1503.02531)).
#
# ### What the twelve say of each cell
#
# A label is a hard word: it says Sst+, also of the odd cell that its Cre line marked by mistake or
# that lies between two classes. The networks say it more softly: so much Sst+, so much
# Pvalb+. A network would repeat the label of a cell that it was trained on; so of each cell only those
# are asked that had left it out. Their mean logits, divided by a temperature, become the cell's
# *soft label*. By hand:

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
taught = lesson(networks, x, target, members, task="classification", seed=0)
torch.testing.assert_close(soft, taught.target[: len(fit)])
print(
    f"each cell was left out by at least {was_out.sum(dim=0).min():.0f} of {len(members)} networks"
)

# %% [markdown]
# Most soft labels agree with the label. These are the ones that agree least:

# %%
import pandas as pd

said = pd.DataFrame(soft.numpy(), index=cells.X.index[fit], columns=classes)
doubt = pd.DataFrame(
    {
        "label": cells.y.iloc[fit],
        "they say": said.idxmax(axis=1),
        "with probability": said.max(axis=1),
        "of the label": said.to_numpy()[np.arange(len(fit)), label],
    }
)
print(f"label and soft label agree for {(doubt['label'] == doubt['they say']).mean():.0%} of cells")
doubt.nsmallest(5, "of the label").round(2)

# %% [markdown]
# A soft label is no truth: in some of these cells the label will be right and the networks wrong. On
# the whole it is the better teacher, because it carries what was learned from all the other cells,
# and because it does not ask for the exceptions to be learned by heart.
#
# ### And of cells that nobody recorded
#
# The twelve can be asked about any cell, also one that was never recorded. So they are asked about many
# mixtures of a cell and one of those most like it. A thousand cells teach their accidents as well;
# mixtures are as many as one likes.

# %%
print(f"{len(fit)} cells and {len(taught.x) - len(fit)} mixtures to learn from")

# %% [markdown]
# ### Five gates, chosen by a network
#
# A price is an odd way to ask for "five gates": one has to try which $\lambda$ gives that many. With
# the number itself, gates *compete*: all gates of a cell are lowered by as much as it takes to close
# all but the five largest. At the start of the training all may be open; the number falls slowly to
# five. In the package this is `gating="local"`: LSPIN as published, but with soft labels, a number
# in place of a price, and sixteen gating networks that place one mask together.

# %%
from dataclasses import replace

from lspin.model import ONE_MASK, fit_one_mask, gate_values

limited = replace(ONE_MASK, max_open=5)
chosen = fit_one_mask(taught, seed=0, task="classification", recipe=limited)
with torch.no_grad():
    answer, mu = chosen(x_look)
n_open = (gate_values(mu[0]) > 0).sum(dim=1)
of_networks = answer.mean(dim=0).argmax(dim=1)
print(
    f"{n_open.double().mean():.1f} open gates per cell; macro F1 on the cells to look at:", end=" "
)
print(f"{f1_score(seen, of_networks, average='macro'):.3f}")

# %% [markdown]
# It works, and it has two weaknesses. Gating networks have to *learn* how to choose, from a
# thousand cells; trained again with another seed, they choose in good part otherwise. And their
# choice is a message. They read every measurement of a cell, and the predictor behind them may
# learn what their choice means; in the extreme the mask is the answer, and the measurements are
# decoration. That is no idle worry. We first let cells *share* their gates, five on average. On the
# authors' table the gating networks then recognised many glutamatergic cells, the easiest class,
# and closed all their gates: an empty mask meant "glutamatergic", and there was no measurement to
# point at.
#
# ### Five gates, found one at a time
#
# What has to be chosen anew for every cell need not be learned: it can be *looked for*. All it takes
# is a predictor that can do with whatever few measurements it is given. So it is trained behind
# **random masks**: whenever a cell comes up, a number is drawn, and then which measurements it
# may see. Such a mask says nothing about the cell, so there is nothing to learn from the mask
# itself; all there is to learn is what to expect of a cell of which one knows this and that
# {cite}`covert2021`. Twelve small predictors learn
# it from the lesson, and their logits are averaged.

# %%
from lspin.model import READER, fit_reader

reader = fit_reader(taught, seed=0, task="classification", recipe=READER)

# %% [markdown]
# Now take one cell, with all its gates open, and what the twelve say of it. Close each gate on
# trial, and ask the predictors each time. The gate whose closing keeps their answer nearest to what
# the twelve say stays closed. Then the same again with the gates that are left, until none is. It
# is *backward elimination*, as old as regression, but for each cell by itself. *Nearest* is measured
# by the cross-entropy. By hand, for three cells, and by the package:

# %%
with torch.no_grad():
    expected = (all_outputs(networks, x_look).mean(dim=0) / temperature).softmax(dim=1)


@torch.no_grad()
def close_by_hand(cell, expected):
    """Return the gates of one cell in the order in which they close, and what is said meanwhile."""
    is_open, order, said = torch.ones_like(cell), [], []
    while is_open.any():
        still_open = is_open.nonzero().flatten()
        on_trial = is_open.repeat(len(still_open), 1)  # a row for each gate that may be next
        on_trial[range(len(still_open)), still_open] = 0
        log_p = reader.predict_gated((on_trial * cell)[None]).mean(dim=0).log_softmax(dim=1)
        nearest = (-log_p @ expected).argmin()
        is_open = on_trial[nearest]
        order.append(int(still_open[nearest]))
        said.append(log_p[nearest].exp())
    return order, torch.stack(said)


# %%
from lspin.model import close_in_turn

place, _ = close_in_turn(reader, x_look, expected, "classification")
for i in range(3):
    assert close_by_hand(x_look[i], expected[i])[0] == place[i].argsort(descending=True).tolist()
print("Closed by hand, the gates of three cells close in the same order as by the package.")

# %% [markdown]
# What becomes of an answer meanwhile? Here is the Sst+ cell, among those to look at, of which the
# twelve are neither the most nor the least sure:

# %% mystnb={"image": {"alt": "Probabilities of the five classes for one cell, against the measurements in the order in which their gates close, all of them named. The probabilities hardly move over most of the axis and end, where the last few gates close, at the same values as for any cell. A vertical line marks where five gates are left."}}
from lspin.show.plots import class_styles

sure = expected[:, list(classes).index("Sst+")].numpy()
of_sst = np.flatnonzero(classes[seen] == "Sst+")
i = of_sst[sure[of_sst].argsort()[len(of_sst) // 2]]
order, said = close_by_hand(x_look[i], expected[i])
names = inputs.get_feature_names_out()

fig, ax = plt.subplots(figsize=(9.5, 4.8), layout="constrained")
for k, (name, (color, _)) in enumerate(class_styles(classes).items()):
    ax.plot(said[:, k], ".-", color=color, label=name)
    ax.plot(-1, expected[i, k], "_", color=color, ms=12, mew=2)
ax.axvline(len(order) - 5.5, color="0.6", lw=1)
ax.annotate("five gates left", (len(order) - 5.6, 1.02), ha="right", fontsize=8, color="0.4")
ax.set_xticks([-1, *range(len(order))], ["(all networks)", *names[order]], rotation=90, fontsize=7)
ax.set(xlabel="gate that closes next", ylabel="probability", ylim=(-0.03, 1.1))
fig.legend(loc="outside right upper", frameon=False, fontsize=8)
name_source(fig, cells.banner())
plt.show()

# %% [markdown]
# Read it from the left. At the far left is what the twelve say, and most of the gates then close
# without a trace: other measurements say the same, or this cell is like any other in them. What
# comes last carries the answer, and the end of the axis, with nothing open, is the same for every
# cell. Masks are *nested*: the two gates of a limit of two are among the five of a limit of five.
# So any limit is a cut through the same order, and a single training serves them all.
#
# How good is the answer at such a cut?

# %%
with torch.no_grad():
    for n_open in (1, 2, 5, 12):
        answer = reader.predict_gated((x_look * (place <= n_open))[None]).mean(dim=0)
        score = f1_score(seen, answer.argmax(dim=1), average="macro")
        print(f"{n_open:2} gates, closed in turn: macro F1 {score:.3f}")
print(f" 5 gates, by networks: {f1_score(seen, of_networks, average='macro'):.3f}")
print(f"the twelve, all gates: {f1_score(seen, expected.argmax(dim=1), average='macro'):.3f}")

# %% [markdown]
# Before you marvel how few it takes, mind what was asked. The twelve had read the *whole* cell, and
# so had their answer, before the first gate closed; the gates were closed so as to keep it. So five
# measurements suffice **to say what all of them say**. That is not: whoever measures only these five
# would have come to the same answer, because to know that it is *these* five, one needs the others.
#
# And another question gets another answer. A value near the mean closes early, since closing puts the
# mean in its place and so changes nothing; in other cells, even in cells much like this one, the same
# measurement may matter. "Sufficient for this cell" and "relevant for cells such as this" are two things;
# gating networks answer the second better. Nor have messages become impossible: no predictor has learned
# to read masks, but somebody who sees which gates are open may still guess the class. {doc}`11_useful`
# measures how well.
#
# This is what `LSPINClassifier(max_open=5)` does, and it opens five gates in every cell.
# `LSPINClassifier(lam=...)` states a price instead: the gates of a cell close as long as the
# cross-entropy rises by less than $\lambda / d$ for each of the $d$ gates, so that easy cells keep
# fewer than hard ones. It takes one or the other, never both.

# %% [markdown]
# ## Take-away
#
# - A training raises its price slowly, keeps the best step, shrinks weights and mixes cells.
# - Networks that differ in weight decay and mixup do better together than nearly any of them
#   alone, and leave nothing to set.
# - They teach predictors that do with any few measurements. Then the gates of each cell close one
#   at a time, always the one that the answer needs least; masks are nested, and one training serves
#   every limit.
# - The predictors see only what is behind open gates, so these are all the measurements that the
#   answer was read from. *Which* gates close was decided by networks that saw everything: five
#   measurements suffice to say what all of them say, not to do without the others.
#
# ## Exercises
#
# **1.** Shuffle the labels of the cells to train on and train with `max_open=5`. What accuracy do you
# expect on the cells to look at, and how many gates are open?
#
# ```{dropdown} Solution
# Nothing can be learned, so the best guess is the largest class. If your pipeline scores above that
# with shuffled labels, it leaks. Yet five gates are open in every cell: a number of gates is spent
# whether it is of use or not. That a gate is open is no sign that there was anything to find.
# ```

# %% tags=["hide-cell", "remove-stderr"]
shuffled = cells.y.iloc[fit].sample(frac=1, random_state=0).set_axis(cells.y.index[fit])
nonsense = fit_grouped(
    make_pipeline(model_inputs(cells.X), LSPINClassifier(max_open=5, random_state=0)),
    cells.X.iloc[fit],
    shuffled,
    cells.donors.iloc[fit],
)
truth = cells.y.iloc[look]
chance = np.mean(nonsense.predict(cells.X.iloc[look]) == truth)
majority = truth.value_counts(normalize=True).max()
gates = nonsense[-1].gates(nonsense[:-1].transform(cells.X.iloc[look]))
print(f"accuracy {chance:.3f} (largest class {majority:.3f})")
print(f"{(gates > 0).sum(axis=1).mean():.1f} open gates per cell, on average")
assert chance < majority + 0.05

# %% [markdown]
# ## What's next?
#
# Five gates were a number that we picked. {doc}`06_how_many` asks what few gates cost and how many
# should stay open, and opens the test cells.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
