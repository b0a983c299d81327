"""Fit and predict many times in one process, and tell what grows: memory, threads, open files.

Run it as ``python benchmarks/endurance.py`` (Linux). Memory is looked at from the first tenth on:
what the libraries load and keep at their first call is no growth.
"""

import argparse
import gc
import os
import threading
from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification

from lspin import LSPINClassifier, LSPINRegressor
from lspin.model import distillation

distillation.N_MIXTURES = 200  # it is the many calls that are tried, not large ones


def usage() -> dict[str, float]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory_mb": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "python threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
    }


def show(name: str, now: dict[str, float]) -> None:
    print(
        f"{name:>24}", *(f"{key} {value:.1f}" for key, value in now.items()), sep="  ", flush=True
    )


def grow(name: str, n: int, act) -> None:
    """Act n times, and say by how much each number grew after the first tenth."""
    for i in range(n):
        if i == n // 10:
            first = usage()
            show(f"{name} {i}", first)
        act(i)
    last = usage()
    show(f"{name} {n}", last)
    show("growth", {key: last[key] - first[key] for key in last})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=1000)
    parser.add_argument("--predictions", type=int, default=10_000)
    options = parser.parse_args()
    X, y = make_classification(60, 5, n_informative=3, n_redundant=0, random_state=0)
    models = [
        Model(max_open, n_members=2, n_steps=2, random_state=0)
        for Model in (LSPINClassifier, LSPINRegressor)
        for max_open in (None, 2)
    ]
    grow("fits", options.fits, lambda i: models[i % 4].fit(X, y))
    rng = np.random.default_rng(0)
    # New cells each time: a model remembers some that it has seen.
    grow(
        "predictions", options.predictions, lambda i: models[i % 4].predict(rng.normal(size=(3, 5)))
    )


if __name__ == "__main__":
    main()
