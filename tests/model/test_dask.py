"""The path on a real Dask cluster (two worker processes on this machine)."""

import logging

import numpy as np
import pandas as pd
import pytest
from joblib import Memory, parallel_config

from lspin import LSPINClassifier, load_cells, lspin_path

distributed = pytest.importorskip("distributed")


@pytest.fixture
def cluster():
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster


def run(**settings):
    cells = load_cells("twin", verbose=0)
    cells = cells.select(cells.y.groupby(cells.y).sample(40, random_state=0).index)
    X = cells.X.fillna(0.0)
    model = LSPINClassifier(n_members=2, n_steps=20, random_state=0)
    return lspin_path(
        model, X, cells.y, values=(3, 5), groups=cells.donors, n_folds=5, verbose=0, **settings
    )


def recorded(folder):
    """When each recorded training was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("output.pkl")}


def test_a_killed_worker_changes_nothing_and_recorded_trainings_run_once(cluster, tmp_path):
    before = {}

    def kill_a_worker(path):
        if not before:
            before.update(recorded(tmp_path))
            next(iter(cluster.workers.values())).process.process.kill()

    memory = Memory(tmp_path, verbose=0)
    with distributed.Client(cluster), parallel_config("dask"):
        there = run(memory=memory, on_fold=kill_a_worker)

    here = run()
    pd.testing.assert_frame_equal(there.scores, here.scores, check_exact=True)
    np.testing.assert_array_equal(there.gates, here.gates)

    after = recorded(tmp_path)
    assert (
        3 <= len(before) < len(after) == 15
    )  # dense networks, what they teach, and a reader in each of 5 folds
    assert {path: after[path] for path in before} == before
    run(memory=memory)
    assert recorded(tmp_path) == after
