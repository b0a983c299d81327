"""The same seed gives the same bits anywhere on a machine, and a fit leaves no trace."""

import os
import random
import threading
import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from threadpoolctl import threadpool_info, threadpool_limits

from lspin import LSPINClassifier, LSPINRegressor, lspin_path
from lspin.model import distillation, estimator, network, one_torch_thread, training


def small(Model=LSPINClassifier, **settings):
    return Model(**{"n_members": 7, "n_steps": 5, "random_state": 0, "max_open": 2, **settings})


@pytest.fixture(scope="module")
def data():
    return make_classification(100, 5, n_informative=3, n_redundant=0, random_state=0)


def answer(data, **settings):
    """Of seven networks: they fill one pack and begin another."""
    model = small(**settings).fit(*data)
    return [model.predict_proba(data[0]), model.gates(data[0]), model.feature_importances_]


@pytest.fixture(scope="module")
def usual(data):
    return answer(data)


def identical(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def torch_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def in_a_new_thread(task):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(task()))
    thread.start()
    thread.join()
    return answers[0]


# Same seed, same answer


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(data, usual, n, torch_threads):
    torch_threads(n)
    with threadpool_limits(n):
        identical(answer(data), usual)


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_the_number_of_workers_changes_nothing(data, usual, n_jobs):
    with joblib.parallel_config("threading", n_jobs=n_jobs):
        identical(answer(data), usual)


def test_many_fits_side_by_side_change_nothing(data, usual):
    # In processes, and on a cluster: test_path.py, test_dask.py.
    for found in joblib.Parallel(2, "threading")(joblib.delayed(answer)(data) for _ in range(3)):
        identical(found, usual)


def test_packs_of_another_size_change_next_to_nothing(data, usual, monkeypatch):
    # Torch adds up in another order, which is why the size of a pack is the same everywhere.
    for size in (1, 4, 100):
        monkeypatch.setitem(training.fit_members.__kwdefaults__, "pack_size", size)
        np.testing.assert_allclose(answer(data)[0], usual[0], atol=1e-6)


def test_what_was_drawn_before_changes_nothing(data, usual):
    before = np.geterr()
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the global stream is what is tried
        torch.manual_seed(seed)
        np.seterr(all="raise" if seed == 2 else "ignore")
        try:
            identical(answer(data), usual)
        finally:
            np.seterr(**before)


# A fit leaves no trace


def traces():
    """Return all that a program shares with those it calls."""
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "warnings": list(warnings.filters),
        "numpy errors": np.geterr(),
        "print options": np.get_printoptions(),
        "random": random.getstate(),
        "numpy random": repr(np.random.get_state()),  # noqa: NPY002
        "torch random": torch.get_rng_state().tolist(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch threads": torch.get_num_threads(),
        "torch threads of a new thread": in_a_new_thread(torch.get_num_threads),
        "other threads": {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()},
    }


def test_a_fit_leaves_no_trace(data, torch_threads):
    X, y = data
    torch_threads(2)
    before = traces()
    for model in (
        small(),
        small(max_open=None),
        small(gating="local"),
        small(lam=0.1, max_open=None),
    ):
        model.fit(X, y).predict_proba(X)
        assert traces() == before
    small(LSPINRegressor).fit(X, X[:, 0]).predict(X)
    lspin_path(small(), X, y, values=(1, None), verbose=0)
    with pytest.raises(ValueError):
        small(lam=-1).fit(X, y)
    assert traces() == before


def test_fits_side_by_side_leave_no_trace(data, torch_threads):
    torch_threads(2)
    before = traces()
    joblib.Parallel(3, "threading")(joblib.delayed(answer)(data) for _ in range(6))
    assert traces() == before


def test_whoever_leaves_last_has_the_threads_from_before(torch_threads):
    torch_threads(2)
    entered, left = threading.Event(), threading.Event()
    after = []

    def other():
        with one_torch_thread():
            entered.set()
            left.wait()
        after.append(torch.get_num_threads())

    thread = threading.Thread(target=other)
    with one_torch_thread(), one_torch_thread():
        thread.start()
        entered.wait()
    left.set()
    thread.join()
    assert after == [2] == [in_a_new_thread(torch.get_num_threads)]


def test_an_interrupted_fit_leaves_no_trace(data, usual, monkeypatch, torch_threads):
    torch_threads(2)
    model = small().fit(*data)
    fitted, before = dict(vars(model)), traces()

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    for place in (training, distillation):  # while the first networks train, and after them
        with monkeypatch.context() as patch:
            patch.setattr(
                place, {training: "objective", distillation: "mixtures"}[place], interrupt
            )
            with pytest.raises(KeyboardInterrupt):
                model.fit(data[0], 1 - data[1])
        assert vars(model) == fitted and traces() == before
    identical([model.predict_proba(data[0])], usual[:1])


# Memory


@pytest.mark.parametrize("settings", [{"max_open": None}, {"gating": "local"}], ids=str)
def test_what_passes_through_the_networks_at_once_is_bounded(settings, monkeypatch):
    limit, largest = 2**18, []
    for module, name in (
        (estimator, "ELEMENTS_PER_CALL"),
        (distillation, "MAX_ELEMENTS"),
        (training, "ELEMENTS_AT_ONCE"),
    ):
        monkeypatch.setattr(module, name, limit)
    forward = network.PackedLinear.forward
    monkeypatch.setattr(
        network.PackedLinear,
        "forward",
        lambda self, x: (largest.append(x.numel()), forward(self, x))[1],
    )
    X = np.random.default_rng(0).normal(size=(1500, 64))  # 8 networks at once would see 768,000
    small(**settings, n_members=8, n_steps=2).fit(X, X[:, 0] > 0).predict(X)
    assert limit / 4 < max(largest) <= limit
