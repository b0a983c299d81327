"""Measure how fast lspin is: ratios, each measured side by side in one run.

Run with `make bench`; prints a table and writes lspin/studies/results/speed.json.
"""

import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier, load_cells, lspin_path
from lspin.data import donor_folds
from lspin.features import model_inputs
from lspin.model import (
    BEHIND_THE_MASK,
    BUDGETS,
    DENSE,
    ONE_MASK,
    PACK_SIZE,
    REGULARISATIONS,
    Lesson,
    Member,
    PackedLSPIN,
    Recipe,
    Regularisation,
    draw_members,
    fit_members,
    fit_one_mask,
    fit_pack,
    gates,
)
from lspin.studies import RESULTS, write_results

LAM = 0.5
RECIPE = replace(DENSE, lam=LAM)
PLAIN = Regularisation(weight_decay=0.1, mixup=0.0)  # where one network is compared with another's
N_CLASSES = 5
FIVE = replace(ONE_MASK, max_open=5)


def timed(function):
    """Return what a function returns, and the seconds it took."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def members_of(y, n):
    """Draw the rows and seeds of n networks, all regularised alike."""
    members = draw_members(y.numpy(), None, n, np.random.RandomState(0), task="classification")
    return [replace(member, regularisations=(PLAIN,)) for member in members]


def shares(y):
    """Turn class indices into targets of a training, one row per cell."""
    return torch.nn.functional.one_hot(y, N_CLASSES).float()


def standardised(cells):
    """Return one donor-grouped fold as arrays: (x, y) of training and of test cells."""
    train, test = donor_folds(cells.y, cells.donors)[0]
    inputs = model_inputs(cells.X).fit(cells.X.iloc[train])
    classes, target = np.unique(cells.y, return_inverse=True)
    parts = []
    for rows in (train, test):
        x = inputs.transform(cells.X.iloc[rows]).to_numpy(np.float32)
        parts.append((torch.tensor(x), torch.tensor(target[rows])))
    return parts


class PlainLSPIN(torch.nn.Module):
    """One LSPIN as one would write it with torch.nn: the same network as the package's."""

    def __init__(self, d, c):
        super().__init__()
        self.gating = self._stack((d, *RECIPE.gate_hidden, d))
        self.predictor = self._stack((d, *RECIPE.predictor_hidden, c))
        torch.nn.init.constant_(self.gating[-1].bias, 0.5)

    @staticmethod
    def _stack(widths):
        layers = []
        for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
            layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
        return torch.nn.Sequential(*layers[:-1])

    def forward(self, x, share=None):
        mu = self.gating(x)
        noise = RECIPE.sigma * torch.randn_like(mu) if self.training else 0.0
        gated = x * torch.clamp(mu + 0.5 + noise, 0, 1)
        if share is not None:
            gated = share * gated + (1 - share) * gated.roll(1, 0)
        return self.predictor(gated), mu


def plain_fit(train, valid, lam=LAM, habit=PLAIN):
    """Train one PlainLSPIN with the package's recipe, in an ordinary loop."""
    x, y = train
    n_classes = int(y.max()) + 1
    network = PlainLSPIN(x.shape[1], n_classes)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=RECIPE.learning_rate, weight_decay=habit.weight_decay
    )
    n_steps = RECIPE.min_steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RECIPE.learning_rate, total_steps=n_steps
    )
    lossfn = torch.nn.CrossEntropyLoss()
    best, kept = math.inf, None
    step = 0
    while step < n_steps:
        for rows in torch.randperm(len(x)).split(RECIPE.batch_size):
            labels, share = torch.nn.functional.one_hot(y[rows], n_classes).float(), None
            if habit.mixup:
                share = torch.distributions.Beta(habit.mixup, habit.mixup).sample((len(rows), 1))
                share = torch.maximum(share, 1 - share)
                labels = share * labels + (1 - share) * labels.roll(1, 0)
            output, mu = network(x[rows], share)
            penalty = torch.special.ndtr((mu + 0.5) / RECIPE.sigma).mean() if lam else 0.0
            price = lam * min(1.0, (step + 1) / n_steps / RECIPE.ramp)
            loss = lossfn(output, labels) + price * penalty
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            if step % (n_steps // RECIPE.n_checks) == 0:
                network.eval()
                with torch.no_grad():
                    output, mu = network(valid[0])
                    penalty = torch.special.ndtr((mu + 0.5) / RECIPE.sigma).mean()
                    score = float(lossfn(output, valid[1]) + lam * penalty)
                if score < best:
                    best, kept = score, {k: v.clone() for k, v in network.state_dict().items()}
                network.train()
            if step == n_steps:
                break
    network.load_state_dict(kept)
    return network.eval()


def load_featselectlib():
    """Load featselectlib's LSPIN by its file: importing the package needs torchvision and more."""
    root = importlib.metadata.distribution("featselectlib").locate_file("featselectlib")
    path = Path(str(root)) / "supervised_feature_selection" / "Lspin.py"
    spec = importlib.util.spec_from_file_location("featselectlib_lspin", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one_model(cells, n_epochs=1000):
    """(a) Seconds until a single model has the validation loss that featselectlib ends with."""
    train, valid = standardised(cells)
    d, c = train[0].shape[1], int(train[1].max()) + 1
    reference = load_featselectlib()
    torch.manual_seed(0)

    def fit_reference():
        model = reference.Lspin(
            d, [64, 32], c, [64, 64], 10**9, "tanh", "tanh", batch_normalization=True, lam=LAM
        )
        one_hot = np.eye(c, dtype=np.float32)[train[1].numpy()]
        data = reference.DataSetMeta(train[0].numpy(), one_hot, np.zeros((len(train[0]), 1)))
        model.train_model(data, batch_size=len(train[0]), num_epoch=n_epochs, lr=0.1)
        return model.eval()

    model, seconds = timed(fit_reference)
    with torch.no_grad():
        reference_loss = log_loss(valid[1], model(valid[0])[0].double(), labels=range(c))

    x, y = (torch.cat(pair) for pair in zip(train, valid, strict=True))
    rows = np.arange(len(x))
    member = Member(rows[: len(train[0])], rows[len(train[0]) :], 0, (PLAIN,))
    for n_steps in (20, 40, 60, 100, 200):
        fit = partial(fit_pack, recipe=replace(RECIPE, n_steps=n_steps))
        network, ours = timed(partial(fit, x, shares(y), [member]))
        with torch.no_grad():
            proba = network(valid[0])[0][0].double().softmax(dim=1)
        loss = log_loss(valid[1], proba, labels=range(c))
        if loss <= reference_loss:
            break
    _, plain = timed(lambda: plain_fit(train, valid))
    _, packed = timed(lambda: fit_pack(x, shares(y), [member], recipe=RECIPE))
    return {
        "featselectlib_s": seconds,
        "featselectlib_validation_log_loss": reference_loss,
        "lspin_s": ours,
        "lspin_steps": n_steps,
        "lspin_validation_log_loss": loss,
        "ratio": seconds / ours,
        "plain_loop_s": plain,
        "lspin_same_steps_s": packed,
    }


def many_networks(cells, n=200, n_plain=10):
    """(b) n networks as packs, and one by one (a few of them, scaled)."""
    (x, y), valid = standardised(cells)
    members = members_of(y, n)
    _, packed = timed(lambda: fit_members(x, shares(y), members, recipe=RECIPE))
    _, plain = timed(lambda: [plain_fit((x, y), valid) for _ in range(n_plain)])
    one_by_one = plain / n_plain * n
    return {
        "models": n,
        "packed_s": packed,
        "one_by_one_s": one_by_one,
        "ratio": one_by_one / packed,
    }


def whole_fits(cells):
    """(c) A default fit, the same networks in a plain loop, `max_open=5`, and a path of limits."""
    (x, y), valid = standardised(cells)
    donors = cells.donors.iloc[donor_folds(cells.y, cells.donors)[0][0]].to_numpy()

    def fit(max_open):
        LSPINClassifier(max_open=max_open, random_state=0).fit(x.numpy(), y.numpy(), groups=donors)

    fit(None)  # warms up
    _, default = timed(lambda: fit(None))
    _, five = timed(lambda: fit(5))
    _, plain = timed(lambda: [plain_fit((x, y), valid, 0.0, habit) for habit in REGULARISATIONS])
    model = make_pipeline(model_inputs(cells.X), LSPINClassifier(random_state=0))
    _, path = timed(
        lambda: lspin_path(model, cells.X, cells.y, groups=cells.donors, n_folds=1, verbose=0)
    )
    separate = default + (len(BUDGETS) - 1) * five
    return {
        "default_s": default,
        "its_networks_in_a_plain_loop_s": plain,
        "ratio": plain / default,
        "max_open_5_s": five,
        "ratio_max_open_5_to_default": five / default,
        "path_limits": len(BUDGETS),
        "path_s": path,
        "its_limits_one_by_one_s": separate,  # from the two fits above
        "ratio_path": separate / path,
    }


def products_of(d, recipe, n_models, n_predictors):
    """Return a function that computes the matrix products of a training, and nothing else."""
    stacks = (
        (n_models * recipe.n_gating, (d, *recipe.gate_hidden, d)),
        (n_models * n_predictors, (d, *recipe.predictor_hidden, N_CLASSES)),
    )
    n = recipe.batch_size
    operands = [
        (torch.randn(k, n, i), torch.randn(k, i, o), torch.randn(k, n, o))
        for k, widths in stacks
        for i, o in zip(widths[:-1], widths[1:], strict=True)
    ]
    first = operands[0][0]  # the cells themselves, which need no gradient

    def products():
        for _ in range(recipe.min_steps):
            for x, weight, gradient in operands:
                torch.bmm(x, weight)
                torch.bmm(x.transpose(1, 2), gradient)
                if x is not first:
                    torch.bmm(gradient, weight.transpose(1, 2))

    return products


def floor(cells):
    """Time trainings against the matrix products of their layers, forward and backward, alone."""
    (x, y), _ = standardised(cells)
    members, target = members_of(y, PACK_SIZE), shares(y)
    dense = PackedLSPIN(x.shape[1], N_CLASSES, seeds=[0])  # has no part in the training
    taught = Lesson(x, target, torch.ones(len(x)), n_cells=len(x), dense=dense)
    mask = replace(FIVE, n_steps=FIVE.min_steps)
    trainings = {
        "pack": (
            products_of(x.shape[1], DENSE, PACK_SIZE, 1),
            lambda: fit_pack(x, target, members, recipe=DENSE),
        ),
        "one_mask": (
            products_of(x.shape[1], mask, 1, len(BEHIND_THE_MASK)),
            lambda: fit_one_mask(taught, seed=0, task="classification", recipe=mask),
        ),
    }
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found = {}
    for name, (products, train) in trainings.items():
        pairs = [(timed(products)[1], timed(train)[1]) for _ in range(5)]
        products_s, train_s = np.median(pairs, axis=0)
        found |= {f"{name}_products_s": products_s, f"{name}_s": train_s}
        found[f"{name}_ratio"] = train_s / products_s
    torch.set_num_threads(before)
    return found


def undone(cells):
    """Processor seconds for a pack, with one idea of the package undone at a time."""
    (x, y), _ = standardised(cells)
    members, target = members_of(y, PACK_SIZE), shares(y)

    def together(recipe: Recipe = RECIPE):
        fit_pack(x, target, members, recipe=recipe)

    def one_at_a_time():
        for member in members:
            fit_pack(x, target, [member], recipe=RECIPE)

    def seconds(function):
        start = time.process_time()
        function()
        return time.process_time() - start

    every_row = replace(RECIPE, batch_size=len(x))

    def unclipped():
        with mock.patch.object(gates, "LIMIT", math.inf):
            together()

    variants = {
        "shipped_s": lambda: seconds(together),
        "one network at a time": lambda: seconds(one_at_a_time),
        "every row in every step": lambda: seconds(lambda: together(every_row)),
        "denormal numbers in the penalty": lambda: seconds(unclipped),
    }
    # In turn, so that a slow moment of the machine meets all of them.
    rounds = [{name: measure() for name, measure in variants.items()} for _ in range(7)]
    best = {name: min(r[name] for r in rounds) for name in variants}
    shipped = best.pop("shipped_s")
    return {"shipped_s": shipped, **{name: value / shipped for name, value in best.items()}}


ONE_FIT = """
from lspin import LSPINClassifier, load_cells
from lspin.features import model_inputs
import time
cells = load_cells('twin', verbose=0)
x = model_inputs(cells.X).fit_transform(cells.X)
LSPINClassifier(n_members=4, random_state=0).fit(x, cells.y)
start = time.perf_counter()
LSPINClassifier(random_state=0).fit(x, cells.y)
print(time.perf_counter() - start)
"""

TORCH_THREADS = """
from lspin.model import training
training.fit_pack = training.fit_pack.__wrapped__  # without one_torch_thread
training.n_workers = lambda: 1
"""


def side_by_side(cells):
    """Two programs that fit a model at the same time, against one alone."""

    def start(code):
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    def together(code):
        pair = [start(code), start(code)]
        return max(float(process.communicate()[0]) for process in pair)

    alone = float(start(ONE_FIT).communicate()[0])
    ours, with_torch_threads = together(ONE_FIT), together(TORCH_THREADS + ONE_FIT)
    return {
        "alone_s": alone,
        "together_s": ours,
        "ratio": ours / alone,
        "with_torch_threads_together_s": with_torch_threads,
        "with_torch_threads_ratio": with_torch_threads / alone,
    }


def explaining(cells, n_kernel=5):
    """(d) Gates set by networks against SHAP values, of all cells (KernelSHAP: a few, scaled)."""
    import shap
    from captum.attr import IntegratedGradients

    x = model_inputs(cells.X).fit_transform(cells.X).to_numpy()
    model = LSPINClassifier(max_open=5, gating="local", random_state=0).fit(x, cells.y)
    trees = HistGradientBoostingClassifier(random_state=0).fit(x, cells.y)
    model.gates(x)
    gates = min(timed(lambda: model.gates(x))[1] for _ in range(3))
    kernel = shap.KernelExplainer(model.predict_proba, shap.sample(x, 50, random_state=0))
    _, kernel_s = timed(lambda: kernel.shap_values(x[:n_kernel], silent=True))
    kernel_s *= len(x) / n_kernel
    tree = shap.TreeExplainer(trees)
    _, tree_s = timed(lambda: tree.shap_values(x))
    target = torch.as_tensor(model.predict_proba(x).argmax(axis=1))
    integrated = IntegratedGradients(lambda z: model.network_(z)[0].mean(dim=0))
    _, captum_s = timed(
        lambda: integrated.attribute(torch.tensor(x), target=target, internal_batch_size=8192)
    )
    return {
        "cells": len(x),
        "gates_s": gates,
        "kernel_shap_s": kernel_s,
        "tree_shap_s": tree_s,
        "integrated_gradients_s": captum_s,
        "ratio_kernel_shap": kernel_s / gates,
        "ratio_tree_shap": tree_s / gates,
        "ratio_integrated_gradients": captum_s / gates,
    }


def peak_memory_mb():
    """Peak memory of this process so far (Linux; it counts from the start of this program)."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024


def one_size(n, d=50):
    """Fit and read gates of n synthetic cells; return seconds and the growth of memory."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d), dtype=np.float32)
    y = (x[:, :5] * (1 + (x[:, 5:10] > 0))).argmax(axis=1)
    model = LSPINClassifier(n_members=4, random_state=0)
    before = peak_memory_mb()
    _, fit_s = timed(lambda: model.fit(x, y))
    _, gates_s = timed(lambda: model.gates(x))
    memory_mb = peak_memory_mb() - before
    return {"cells": n, "fit_s": fit_s, "gates_s": gates_s, "memory_mb": memory_mb}


def scaling():
    """(e) Time and memory from a thousand to a million cells, each size in its own process."""
    sizes = []
    for n in (10**3, 10**4, 10**5, 10**6):
        command = [sys.executable, __file__, "--size", str(n)]
        sizes.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    logs = {key: np.log10([size[key] for size in sizes]) for key in ("cells", "fit_s", "gates_s")}
    slopes = {
        f"slope_{key}": float(np.polyfit(logs["cells"], logs[key], 1)[0])
        for key in ("fit_s", "gates_s")
    }
    steepest = np.max(np.diff(logs["fit_s"]) / np.diff(logs["cells"]))
    return {"sizes": sizes, **slopes, "steepest_fit_s": float(steepest)}


def start_up():
    """(f) Seconds to import and to run `lspin info`, in fresh processes."""

    def median(command):
        return float(
            np.median(
                [
                    timed(
                        lambda: subprocess.run(
                            [sys.executable, *command], check=True, capture_output=True
                        )
                    )[1]
                    for _ in range(5)
                ]
            )
        )

    bare = median(["-c", "pass"])
    return {
        "import_lspin_s": median(["-c", "import lspin"]) - bare,
        "import_estimator_s": median(["-c", "from lspin import LSPINClassifier"]) - bare,
        "lspin_info_s": median(["-m", "lspin", "info"]),
    }


def main():
    """Run everything, print it as it comes, and record it."""
    cells = load_cells(verbose=0)
    print(cells.banner())
    results = {
        "source": cells.source,
        "cells": len(cells),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "torch": torch.__version__,
    }
    for name, measure in {
        "one model to the reference's loss": lambda: one_model(cells),
        "200 models": lambda: many_networks(cells),
        "whole fits": lambda: whole_fits(cells),
        "trainings against their matrix products": lambda: floor(cells),
        "one idea undone": lambda: undone(cells),
        "two fits at once": lambda: side_by_side(cells),
        "explaining all cells": lambda: explaining(cells),
        "start-up": start_up,
        "scaling": scaling,
    }.items():
        results[name] = measure()
        print(f"\n{name}")
        for key, value in results[name].items():
            print(f"  {key:36} {value:.4g}" if isinstance(value, float) else f"  {key:36} {value}")
    results = json.loads(json.dumps(results, default=float))  # numpy's numbers as Python's
    sizes = pd.DataFrame(results["scaling"].pop("sizes"))
    write_results({**results, "tables": {"scaling": sizes}}, RESULTS / "speed.json")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--size"]:
        print(json.dumps(one_size(int(sys.argv[2]))))
    else:
        main()
