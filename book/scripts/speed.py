# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How is it fast, and what if one machine is not enough?
#
# ## Overview
#
# {doc}`06_how_many` drew a whole path while you watched: in every {term}`fold` twelve networks that see
# everything, twelve {term}`predictors <predictor>` that learn from them, and then the {term}`gates <gate>` of
# every cell, closed one at a time. That is a lot of networks, where {cite:t}`yang2022lspin` train one, but
# they are small. What takes the time is mostly waste, and this chapter shows where it is. At the end, such a
# path runs on a cluster.
#
# ## After this chapter you can
#
# - explain why many small networks are faster together than one after another;
# - find out where the seconds of a fit go;
# - explain why threads that wait for each other can be slower than one;
# - run a path on a cluster, and continue where it stopped.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | LSPIN, its training, the path | Necessary | {doc}`05_training`, {doc}`06_how_many` |
# | Matrix products | Necessary | |
# | Processes and threads | Helpful | |
#
# ## Time to learn
#
# - **Reading**: 15 minutes
# - **Exercises**: 10 minutes

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
# ## A small network leaves a processor idle
#
# One {term}`LSPIN` for these cells has some fifteen thousand weights. Each of its layers is a matrix product
# so small that starting it costs about as much as computing it. A {term}`cross-validation` over limits and
# seeds trains hundreds of such networks, and they all take the same steps.
#
# So we stack K of them along a new first axis (a {term}`pack`), and each layer becomes one *batched*
# product, $(K, n, d) \times (K, d, h)$.
#
# ```{admonition} Predict before you run
# :class: tip
# Will twelve networks in one pack take twelve times as long as one network? Per network, how much is saved?
# ```

# %%
import numpy as np
import torch

from lspin.features import model_inputs
from lspin.model import Member

inputs = model_inputs(cells.X).fit_transform(cells.X)
x = torch.tensor(inputs.to_numpy(), dtype=torch.float32)
label = np.unique(cells.y, return_inverse=True)[1]
target = torch.eye(5)[label]  # one row per cell, with a 1 for its class
rows = np.random.default_rng(0).permutation(len(x))


def members_of(n_networks):
    train, valid = rows[200:], rows[:200]
    return [Member(train, valid, seed=k) for k in range(n_networks)]


# %%
import time

import pandas as pd

from lspin.model import fit_pack


def seconds_per_network(n_networks):
    start = time.perf_counter()
    fit_pack(x, target, members_of(n_networks))
    return (time.perf_counter() - start) / n_networks


seconds_per_network(1)  # the first call also warms up
packs = pd.Series({k: seconds_per_network(k) for k in (1, 2, 3, 6, 12)})
packs = packs.rename_axis("networks in the pack")
packs.to_frame("seconds per network").round(3)

# %% [markdown]
# Members of a pack never exchange anything. The loss is a sum over members, so the gradient of each depends
# on its own loss only, and a pack gives what separate trainings give; the tests of the package check it.
#
# Beyond six networks there is less to gain, so the package trains the twelve networks of a fit in two
# packs of six. Because that number does not depend on the machine, neither do the results.
#
# ## Where the seconds of a fit go
#
# With default settings, a fit is these twelve networks. With `max_open=5` there is more to do
# ({doc}`05_training`):
#
# - the twelve networks say what they expect of all cells and of 30,000 mixtures of cells (the *lesson*);
# - twelve predictors, in two packs of six too, are trained behind random {term}`masks <mask>` on what the
#   twelve networks said;
# - at the end the gates of each cell are closed.

# %%
seconds, clock = {}, time.perf_counter


def timed(what, function, *args, **settings):
    start = clock()
    result = function(*args, **settings)
    seconds[what] = clock() - start
    return result


# %%
from lspin.model import (
    READER,
    all_outputs,
    close_in_turn,
    draw_members,
    fit_members,
    fit_reader,
    lesson,
)

task = "classification"
draw = np.random.RandomState(0)
members = draw_members(label, cells.donors, 12, draw, task=task)
dense = timed("twelve dense networks", fit_members, x, target, members)
settings = {"task": task, "seed": 0}
taught = timed("lesson", lesson, dense, x, target, members, **settings)
settings["recipe"] = READER
reader = timed("twelve predictors", fit_reader, taught, **settings)
logits = all_outputs(dense, x).mean(dim=0)
expected = (logits / taught.temperature).softmax(dim=1)
timed("closing all gates", close_in_turn, reader, x, expected, task)
pd.Series(seconds).to_frame("seconds").round(2)

# %% [markdown]
# (*Dense* networks are those that see everything.)
#
# None of this depends on the limit, which only says where to cut the order in which gates close. So a path
# does all of it once per fold, and another limit costs no more than a look at the scores: eight limits do
# not cost eight fits.
#
# To close the gates of a cell with $d$ measurements takes $d (d + 1) / 2$ trials, and in each of them twelve
# predictors give an answer:

# %%
n, d = x.shape
n_trials = d * (d + 1) // 2
answers = n * n_trials * reader.n_models
print(f"{n} cells, {n_trials} trials each, {reader.n_models} predictors:")
print(f"{answers / 1e6:.0f} million answers")

# %% [markdown]
# That this takes seconds and not minutes has two reasons. All trials of many cells are rows of one
# {term}`batch`. And a trial differs in one measurement only from the cell as it stands. What this measurement
# contributes to the first layer is subtracted, instead of computing that layer, which has the most weights,
# anew.
#
# ## Threads that wait for each other
#
# Processors have several cores, and torch would use all of them for one matrix product. At its end the
# threads wait for the slowest, and they wait *spinning*: a core that waits is a core in use.
#
# If somebody else needs that core (another program, another student on the same server), or if a container
# may use less than it sees, as on Binder, the waiting takes time away from the very thread that is waited
# for.
#
# The package gives each pack one thread, and runs as many packs side by side as there are processors that
# the process may use. No thread ever waits for another. The downside is that a fit of twelve networks keeps
# two processors busy, however many there are.
#
# ## What each idea is worth
#
# `make bench` undoes one idea at a time and measures again, everything side by side in one run. The record
# below was made on recorded cells; run it on your own machine to see yours. For the first three rows it
# counts the processor time of one pack.

# %%
from lspin.studies import read_results, results_file

tables, bench = read_results(results_file("speed"))
print(f"recorded on {bench['cells']} cells, {bench['cpus']} CPUs,", end=" ")
print(f"torch {bench['torch']}")
undone = pd.Series(bench["one idea undone"]).drop("shipped_s")
together = bench["two fits at once"]
with_threads = together["with_torch_threads_together_s"]
undone["two programs at once: torch's threads"] = (
    with_threads / together["together_s"]
)
undone.to_frame("times slower without it").round(2)

# %% [markdown]
# - **One network at a time**: the stacking undone.
# - **Every row in every step**: a step on 128 random cells points nearly the same way as a step on all of
#   them, and costs a fraction. The number of steps is the same here; only what each of them costs differs.
# - **Denormal numbers**: where a gate is certainly closed, the gradient of the penalty is a number like
#   $10^{-40}$. Processors compute with such numbers very slowly. So the penalty is clipped at six standard
#   deviations, where it is 0 or 1 to eight digits.
# - **Two programs at once**: two fits at the same time, with torch's own threads instead of one thread for
#   each pack.
#
# And beside other software:

# %%
one = bench["one model to the reference's loss"]
many = bench["200 models"]
explain = bench["explaining all cells"]
kernel, tree = explain["kernel_shap_s"], explain["tree_shap_s"]
gates = explain["gates_s"]
versus = {
    "one network to featselectlib's loss": (
        one["featselectlib_s"],
        one["lspin_s"],
    ),
    "200 networks, plain torch loop": (many["one_by_one_s"], many["packed_s"]),
    "gates by networks, KernelSHAP": (kernel, gates),
    "gates by networks, TreeSHAP": (tree, gates),
}
versus = pd.DataFrame(versus, ["other (s)", "lspin (s)"]).T
versus["ratio"] = versus["other (s)"] / versus["lspin (s)"]
versus.map(lambda value: f"{float(f'{value:.2g}'):,g}")

# %% [markdown]
# In the first row, `featselectlib`, a library from the laboratory of LSPIN's authors, trains one network to
# the end; our seconds are those until the same loss on validation cells is reached.
#
# The last two rows do not compare like with like. {term}`SHAP` explains any model from outside, and pays for
# it by running the model many times. Gating networks (`gating="local"`) have the gates of all cells ready, as
# a part of the prediction. Gates that close in turn are in between: they need many answers, too, but from
# small predictors that were made for it (the seconds are in the second table of this chapter).
#
# Whether any of these are *good* reasons is another question, see {doc}`10_faithful`. KernelSHAP
# {cite}`lundberg2017` and the plain loop were measured on a few cells and networks and scaled up; TreeSHAP
# {cite}`lundberg2020` explains gradient boosting and not LSPIN.
#
# ## More cells
#
# The cost of training grows about as the number of cells does, and for few cells more slowly. Memory holds
# the table and one batch of each network. (Four networks, fifty measurements, otherwise default settings.) On
# a slope of 1, ten times the cells take ten times as long; below 1, less.

# %%
sizes = tables["scaling"].set_index("cells")
slope = bench["scaling"]["slope_fit_s"]
print(f"slope of log time over log cells: {slope:.2f}")
sizes.round(2)

# %% [markdown]
# ## More machines
#
# Trainings run through [joblib](https://joblib.readthedocs.io), and joblib can hand them to a
# [Dask](https://www.dask.org) cluster. Nothing in the call changes; it happens inside
# `parallel_config("dask")`. Here the cluster is two processes on this machine. On a real one, its address
# goes into `Client(...)`.
#
# `memory` records every finished training on disk. If a worker dies, Dask gives its unfinished trainings to
# another; if *everything* dies, the next run continues where the last one stopped. The path below varies the
# number of open gates; `limit="lam"` would vary the penalty instead.

# %% tags=["remove-stderr"]
import tempfile

from distributed import Client, LocalCluster
from joblib import Memory, parallel_config
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier, lspin_path

model = LSPINClassifier(n_members=4, random_state=0)
model = make_pipeline(model_inputs(cells.X), model)
limits = {"limit": "max_open", "values": (3, 8, None)}
memory = Memory(tempfile.mkdtemp(), verbose=0)  # a folder that all can see
few = cells.select(cells.X.index[::3])  # it is to be quick, not good
question = {"X": few.X, "y": few.y, "groups": few.donors, **limits}
local = {"host": "127.0.0.1", "dashboard_address": None}
with LocalCluster(n_workers=2, threads_per_worker=1, **local) as cluster:
    with Client(cluster), parallel_config("dask"):
        on_cluster = lspin_path(model, **question, memory=memory)
here = lspin_path(model, **question)

# %%
pd.testing.assert_frame_equal(on_cluster.scores, here.scores)
print("The cluster gave the same scores as this process.")
here.summary().round(3)

# %% [markdown]
# (`inf` is no limit. A third of the cells, one fold of five, and four networks instead of twelve: a quick
# look.)
#
# ## Take-away
#
# - Small networks are slow one at a time; stacked, they run like one large network.
# - What several models have in common is done once: one training serves all limits of a path.
# - Much of the time of a step went into things that do not matter: cells not needed in this step, numbers too
#   small to count.
# - Threads that spin while they wait are fast alone and terrible in company.
# - Measure side by side, in one run, and undo one thing at a time.
#
# ## Exercises
#
# **1.** How long does a pack of four take if torch may use all its threads inside it? Try it once on an idle
# machine, and once beside another program that computes.
#
# *On the twin: the same.*
#
# ```{dropdown} Solution
# Call the undecorated function, as in the next cell. On an idle machine it may be a little faster or a little
# slower than one thread, because the products are too small to share out. It is never twice as fast on two
# cores, while two packs side by side are. On a busy machine it can be *ten times* slower or worse, because
# the threads spin for a core that they do not get; one thread simply waits its turn.
# ```

# %% tags=["hide-cell"]
from lspin.model import one_torch_thread


def seconds_of_four():
    start = time.perf_counter()
    fit_pack.__wrapped__(x, target, members_of(4))
    return time.perf_counter() - start


free = seconds_of_four()
with one_torch_thread():
    single = seconds_of_four()
print(f"{torch.get_num_threads()} threads: {free:.2f} s")
print(f"one thread: {single:.2f} s")

# %% [markdown]
# **2.** Run the path with `memory` once more, without a cluster. What happens?
#
# *On the twin: the same.*
#
# ```{dropdown} Solution
# It takes seconds: a training that is recorded is not done again, wherever it was done. What is left to do is
# to close the gates of the held-out cells, and to score the answers.
# ```

# %% tags=["hide-cell", "remove-stderr"]
start = time.perf_counter()
again = lspin_path(model, **question, memory=memory)
pd.testing.assert_frame_equal(again.scores, here.scores)
print(f"{time.perf_counter() - start:.2f} s")

# %% [markdown]
# ## What's next?
#
# Fast models are worth the time that they leave you. {doc}`10_faithful` spends it: it trains its models again
# and again, with other seeds and other donors, to see which of their reasons survive. And
# {doc}`published_number` spends it on thirty splits.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
