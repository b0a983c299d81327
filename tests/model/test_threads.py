"""Thread settings follow the user first, then what the process may use."""

import joblib
import torch

from lspin.model import threads


def test_a_users_joblib_setting_wins():
    with joblib.parallel_config(backend="threading", n_jobs=7):
        assert threads.n_workers() == 7


def test_a_users_omp_setting_wins_over_the_quota(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    monkeypatch.setattr(threads, "cpu_count", lambda: 2)
    assert threads.n_workers() == 5


def test_the_quota_bounds_what_torch_would_take(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(threads, "cpu_count", lambda: 2)
    assert threads.n_workers() == 2


def test_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    with threads.one_torch_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
