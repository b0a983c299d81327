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
# {doc}`06_how_many` drew a whole path while you watched: in every fold twelve networks that see
# everything, twelve predictors that learn from them, and then the gates of every cell, closed one at a
# time. The networks are small, and there are many; {cite:t}`yang2022lspin` train one. The time is in
# the waste, and this chapter shows where. At the end, such a path runs on a cluster.
#
# ## After this chapter you can
#
# - say why many small networks are faster together than one after another;
# - find out where the seconds of a fit go;
# - explain why threads that wait for each other can be slower than one;
# - run a path on a cluster, and go on where it stopped.
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
# ## A small network leaves a processor idle
#
# One LSPIN for these cells has some ten thousand weights. Each of its layers is a matrix product so
# small that starting it costs about as much as computing it. A cross-validation over limits and
# seeds trains hundreds of such networks, and they all do the same steps. So we stack K of them
# along a new first axis, and each layer becomes one *batched* product, $(K, n, d) \times (K, d, h)$.

# %%
import time

import numpy as np
import pandas as pd
import torch

from lspin.features import model_inputs
from lspin.model import Member, fit_pack

x = torch.tensor(model_inputs(cells.X).fit_transform(cells.X).to_numpy(), dtype=torch.float32)
classes = np.unique(cells.y, return_inverse=True)[1]
target = torch.eye(5)[classes]  # one row per cell: 1 for its class, 0 for the others
rows = np.random.default_rng(0).permutation(len(x))


def seconds_per_network(n_networks):
    members = [Member(rows[200:], rows[:200], seed=k) for k in range(n_networks)]
    start = time.perf_counter()
    fit_pack(x, target, members)
    return (time.perf_counter() - start) / n_networks


seconds_per_network(1)  # the first call also warms up
packs = pd.Series({k: seconds_per_network(k) for k in (1, 2, 3, 6, 12)}, name="seconds per network")
packs.rename_axis("networks in the pack").to_frame().round(3)

# %% [markdown]
# Members of a pack never exchange anything: the loss is a sum over members, so the gradient of each
# depends on its own loss only. A pack gives what separate trainings give; the tests of the package
# check it. Beyond six networks there is little left to gain, so the package trains the twelve
# networks of a fit in two packs of six. Because that number does not depend on the machine, neither
# do the results.
#
# ## Where the seconds of a fit are
#
# With nothing set, a fit is these twelve networks. With `max_open=5` there is more to do: the twelve
# answer for all cells and for 30,000 mixtures of cells (*the lesson*), twelve predictors are trained
# behind random masks on what they said, and at the end the gates of each cell are closed
# ({doc}`05_training`). These predictors are two packs of six, too.

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
members = draw_members(classes, cells.donors, 12, np.random.RandomState(0), task=task)
clock = [time.perf_counter()]
dense = fit_members(x, target, members)
clock.append(time.perf_counter())
taught = lesson(dense, x, target, members, task=task, seed=0)
clock.append(time.perf_counter())
reader = fit_reader(taught, seed=0, task=task, recipe=READER)
clock.append(time.perf_counter())
expected = (all_outputs(dense, x).mean(dim=0) / taught.temperature).softmax(dim=1)
place, _ = close_in_turn(reader, x, expected, task)
clock.append(time.perf_counter())
parts = ("twelve networks that see everything", "their lesson", "twelve that see random masks")
parts = (*parts, "closing all gates of all cells")
pd.Series(np.diff(clock), parts, name="seconds").to_frame().round(2)

# %% [markdown]
# None of this depends on the limit, which only says where to cut the order in which gates close. So
# a path does all of it once per fold, and another limit costs no more than a look at the scores:
# eight limits do not cost eight fits.
#
# To close the gates of a cell with $d$ measurements takes $d (d + 1) / 2$ trials, each of them asked of
# twelve predictors:

# %%
n, d = x.shape
print(f"{n} cells, {d * (d + 1) // 2} trials each, {reader.n_models} predictors: ", end="")
print(f"{n * d * (d + 1) // 2 * reader.n_models / 1e6:.0f} million answers")

# %% [markdown]
# That this takes seconds and not minutes has two reasons. All trials of many cells are rows of one
# batch. And a trial differs from the cell as it is in one measurement only: what that contributes to the
# first layer is taken away, instead of computing the layer, which has the most weights of all, anew.
#
# ## Threads that wait for each other
#
# Processors have several cores, and torch would use all of them for one matrix product. At its end
# the threads wait for the slowest, and they wait *spinning*: a core that waits is a core in use. If
# somebody else needs that core (another program, another student on the same server, or a container
# that may use less than it sees, as on Binder), the waiting starves the very thread it waits for.
#
# The package gives each pack one thread, and runs as many packs side by side as the process may use
# processors. No thread ever waits for another. (The price: a fit of twelve networks takes two
# processors, however many there are.)
#
# ## What each idea is worth
#
# `make bench` undoes one idea at a time and measures again, everything side by side in one run.
# The record below was made on recorded cells; run it on your machine. For the first three rows it
# counts processor time of one pack.

# %%
from lspin.studies import read_results, results_file

tables, bench = read_results(results_file("speed"))
print(f"recorded on {bench['cells']} cells, {bench['cpus']} CPUs, torch {bench['torch']}")
undone = pd.Series(bench["one idea undone"]).drop("shipped_s")
together = bench["two fits at once"]
undone["two programs at once: torch's threads"] = (
    together["with_torch_threads_together_s"] / together["together_s"]
)
undone.rename("times slower without it").to_frame().round(2)

# %% [markdown]
# - **One network at a time**: the stacking undone.
# - **Every row in every step**: a step on 128 random cells points nearly the same way as a step on
#   all of them and costs a fraction. The number of steps is the same here; only their price is not.
# - **Denormal numbers**: where a gate is closed for sure, the gradient of the penalty is a number
#   like $10^{-40}$. Processors compute with such numbers in slow motion. The penalty is clipped
#   at six standard deviations, where it is 0 or 1 to eight digits.
#
# And beside other software:

# %%
one, many, explain = (
    bench[name]
    for name in ("one model to the reference's loss", "200 models", "explaining all cells")
)
pd.DataFrame(
    [
        (
            "one network to the loss that featselectlib ends with",
            one["featselectlib_s"],
            one["lspin_s"],
        ),
        ("200 networks, against a plain torch loop", many["one_by_one_s"], many["packed_s"]),
        ("gates set by networks, against KernelSHAP", explain["kernel_shap_s"], explain["gates_s"]),
        ("gates set by networks, against TreeSHAP", explain["tree_shap_s"], explain["gates_s"]),
    ],
    columns=["what", "other (s)", "lspin (s)"],
).assign(ratio=lambda table: table["other (s)"] / table["lspin (s)"]).round(2)

# %% [markdown]
# The last two rows do not compare like with like: SHAP explains any model from outside, and pays
# for it by asking the model many times. Gating networks (`gating="local"`) have the gates of all cells
# ready, as a part of the prediction. Gates that close in turn lie between: they ask many times, too, but
# small predictors that were made to be asked (the seconds are in the second table of this chapter).
# Whether any of these are *good* reasons is another question, see {doc}`10_faithful`. KernelSHAP
# {cite}`lundberg2017` and the plain loop were measured on a few cells and networks and scaled up;
# TreeSHAP {cite}`lundberg2020` explains gradient boosting and not LSPIN.
#
# ## More cells
#
# The cost of training grows with the number of cells, not faster, and memory holds the table and
# one batch of each network. (Four networks, fifty measurements, nothing set.)

# %%
sizes = tables["scaling"].set_index("cells")
print(f"slope of log time over log cells: {bench['scaling']['slope_fit_s']:.2f}")
sizes.round(2)

# %% [markdown]
# ## More machines
#
# Trainings run through [joblib](https://joblib.readthedocs.io), and joblib can hand them to a
# [Dask](https://www.dask.org) cluster. Nothing in the call changes; it happens inside
# `parallel_config("dask")`. Here the cluster is two processes on this machine. On a real one, its
# address goes into `Client(...)`.
#
# `memory` records every finished training on disk. If a worker dies, Dask gives its unfinished ones
# to another; if *everything* dies, the next run goes on where the last one stopped. The path below
# varies the number of open gates; `limit="lam"` would vary the price of an open gate instead.

# %% tags=["remove-stderr"]
import tempfile

from distributed import Client, LocalCluster
from joblib import Memory, parallel_config
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier, lspin_path

model = make_pipeline(model_inputs(cells.X), LSPINClassifier(n_members=4, random_state=0))
settings = {"groups": cells.donors, "limit": "max_open", "values": (3, 8, None)}
memory = Memory(tempfile.mkdtemp(), verbose=0)  # a folder that all workers can see
with LocalCluster(
    n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
) as cluster:
    with Client(cluster), parallel_config("dask"):
        on_cluster = lspin_path(model, cells.X, cells.y, **settings, memory=memory)
here = lspin_path(model, cells.X, cells.y, **settings)

# %%
pd.testing.assert_frame_equal(on_cluster.scores, here.scores)
print("The cluster gave the same scores as this process.")
here.summary().round(3)

# %% [markdown]
# (`inf` is no limit. One fold of five, and four networks instead of twelve: a quick look.)
#
# ## Take-away
#
# - Small networks are slow one at a time; stacked, they are one large one.
# - What several models have in common is done once: one training serves all limits of a path.
# - Much of the time of a step was in things that do not matter: cells not needed in this step,
#   numbers too small to count.
# - Threads that spin while they wait are fast alone and terrible in company.
# - Measure side by side, in one run, and undo one thing at a time.
#
# ## Exercises
#
# **1.** How long does a pack of four take if torch may use all its threads inside it? Try it once
# on an idle machine, and once beside another program that computes.
#
# ```{dropdown} Solution
# Call the undecorated function. On an idle machine it may be a little faster or a little slower
# than one thread: the products are too small to share out. It is never twice as fast on two cores,
# which two packs side by side are. On a busy machine it can be *ten times* slower, because the
# threads spin for a core that they do not get; one thread just takes its turn.
# ```

# %% tags=["hide-cell"]
from lspin.model import one_torch_thread

members = [Member(rows[200:], rows[:200], seed=k) for k in range(4)]
start = time.perf_counter()
fit_pack.__wrapped__(x, target, members)
free = time.perf_counter() - start
start = time.perf_counter()
with one_torch_thread():
    fit_pack.__wrapped__(x, target, members)
single = time.perf_counter() - start
print(f"{torch.get_num_threads()} threads: {free:.2f} s, one thread: {single:.2f} s")

# %% [markdown]
# **2.** Run the path with `memory` once more, without a cluster. What happens?
#
# ```{dropdown} Solution
# It takes seconds: a training that is recorded is not done again, wherever it was done. What is left to
# do is to close the gates of the held-out cells, and to score the answers.
# ```

# %% tags=["hide-cell", "remove-stderr"]
start = time.perf_counter()
again = lspin_path(model, cells.X, cells.y, **settings, memory=memory)
pd.testing.assert_frame_equal(again.scores, here.scores)
print(f"{time.perf_counter() - start:.2f} s")

# %% [markdown]
# ## What's next?
#
# Fast models are worth the time that they leave you. {doc}`10_faithful` spends it: it trains its models
# again and again, with other seeds and other donors, to see which of their reasons survive. And
# {doc}`published_number` spends it on thirty splits.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
