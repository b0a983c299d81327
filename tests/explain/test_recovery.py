"""Scoring an explanation against the truth, and the rivals that are scored."""

import numpy as np
import pytest

from lspin.explain import (
    METHODS,
    N_GATES,
    PROBLEMS,
    Answer,
    Problem,
    gated,
    recovery,
    selection_scores,
)
from lspin.studies import run

RELEVANT = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 1]], dtype=bool)


def problem(task="regression"):
    X = np.zeros(RELEVANT.shape)
    y = np.array([0, 1, 1])
    return Problem("made up", task, X, y, RELEVANT, expected=y)


def test_the_truth_scores_perfectly():
    scores = selection_scores(RELEVANT, RELEVANT)
    assert scores == {"tpr": 1, "fdr": 0, "exact": 1, "median": 2, "union": 4}


def test_scores_are_means_over_samples():
    selected = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1]], dtype=bool)
    scores = selection_scores(selected, RELEVANT)
    assert scores["tpr"] == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert scores["fdr"] == pytest.approx((1 / 2 + 0 + 0) / 3)
    assert scores["exact"] == pytest.approx(1 / 3)
    assert scores["median"] == 2
    assert scores["union"] == 4


def test_values_are_scored_by_their_squared_error():
    scores = recovery(Answer(np.array([0, 1, 0.5]), RELEVANT), problem())
    assert scores == {"score": pytest.approx(0.25 / 3), **selection_scores(RELEVANT, RELEVANT)}


def test_classes_are_scored_by_accuracy():
    scores = recovery(Answer(np.array([0, 1, 0]), RELEVANT), problem("classification"))
    assert scores["score"] == pytest.approx(2 / 3)


def test_l1_finds_what_is_linear_and_misses_products():
    # Seen over both groups, all four features matter; a linear model cannot see E5's products.
    row = run("linear_groups", 11, 0, "L1")
    assert row["tpr"] == 1 and row["score"] > 0.1
    answer = METHODS["L1"](PROBLEMS["e5"](1800), PROBLEMS["e5"](300, random_state=9), 0)
    assert answer.selected[:, 20].all()
    assert (answer.selected == answer.selected[0]).all()
    assert run("e5", 21, 0, "L1")["score"] == pytest.approx(1, abs=0.1)  # the variance of +-1


def test_boosting_selects_as_many_as_are_relevant():
    pytest.importorskip("shap", reason="TreeSHAP needs the library shap")
    row = run("e5", 21, 0, "boosting + TreeSHAP")
    assert row["median"] == 3
    assert row["tpr"] == pytest.approx(1 - row["fdr"])
    assert row["tpr"] > 0.9


def test_a_gated_model_is_told_how_many_gates_to_open_and_nothing_else():
    for name, problem_of in PROBLEMS.items():
        relevant = problem_of(4000, 21, random_state=0).relevant
        assert N_GATES[name] == relevant.sum(axis=1).max()


@pytest.mark.parametrize("gating", ["local", "global"])
def test_the_answer_of_a_gated_model_is_what_its_gates_let_through(gating, monkeypatch):
    monkeypatch.setattr("lspin.model.recipe.Recipe.steps", lambda *_: 20)
    monkeypatch.setattr("lspin.model.distillation.N_MIXTURES", 100)
    train, test = (PROBLEMS["linear_groups"](100, 6, random_state=seed) for seed in (0, 1))
    answer = gated(train, train, 0, gating)
    assert answer.selected.sum(axis=1).max() == N_GATES["linear_groups"]
    assert gated(train, test, 0, gating).selected.shape == test.X.shape
