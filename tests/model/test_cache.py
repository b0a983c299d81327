"""What recorded trainings depend on."""

import numpy as np
import torch
from joblib import Memory

from lspin import LSPINClassifier
from lspin.model import REVISION, Recipe, distillation, fingerprint, recorded

PROBABILITIES = {
    # revision: probability of the first class, of six cells, by `trained`
    3: {
        (): [0.258, 0.095, 0.866, 0.847, 0.228, 0.384],
        (("max_open", 2),): [0.230, 0.103, 0.938, 0.870, 0.128, 0.394],
        (("lam", 0.1), ("predictor", "linear")): [0.408, 0.210, 0.767, 0.678, 0.316, 0.513],
        (("gating", "local"), ("max_open", 2)): [0.231, 0.092, 0.945, 0.884, 0.382, 0.295],
        (("gating", "global"), ("max_open", 2)): [0.014, 0.000, 0.998, 1.000, 0.001, 0.066],
    },
}


def trained(**settings):
    """Train two networks on a small table; return what they say of six of its rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 5))
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 1)
    model = LSPINClassifier(n_members=2, n_steps=80, random_state=0, **settings).fit(X, y)
    return model.predict_proba(X[:6])[:, 0]


def test_a_change_of_behaviour_raises_the_revision(monkeypatch):
    """If this fails and the change is meant: raise `REVISION`, and record the new numbers here."""
    monkeypatch.setattr(distillation, "N_MIXTURES", 30_000)
    for settings, expected in PROBABILITIES[REVISION].items():
        np.testing.assert_allclose(trained(**dict(settings)), expected, atol=0.02)


def test_a_fingerprint_changes_with_what_matters_and_with_nothing_else():
    x = np.arange(6.0)
    same = fingerprint(Recipe(), x)
    assert fingerprint(Recipe(), x.copy()) == same
    others = [
        fingerprint(Recipe(ramp=0.5), x),
        fingerprint(Recipe(), x + 1),
        fingerprint(Recipe(), x.astype(np.float32)),
        fingerprint(Recipe(), x, packages=("numpy",)),
    ]
    assert len({same, *others}) == 5


def test_a_recorded_task_is_done_once(tmp_path):
    done = []

    def task():
        done.append(1)
        return torch.ones(2)

    for _ in range(2):
        assert recorded(Memory(tmp_path, verbose=0))("key", task).sum() == 2
    recorded(Memory(tmp_path, verbose=0))("another key", task)
    recorded(None)("key", task)
    assert len(done) == 3
