"""Honest scores: no donor on both sides of a split, and intervals where models are compared.

``scores`` are pure functions; ``cross_validation`` scores several models on the same folds, and
``nested`` lets each choose its settings on training donors first; ``rivals`` are LSPIN and the
models it is compared with, with the settings each may choose from, of which ``tabm`` and
``realmlp`` are put behind scikit-learn's interface here; ``comparison`` says who is ahead, and how
sure that is; ``own_scores`` does all of this for a table of one's own; ``shift`` says how far new
cells lie outside the training table, and ``adaptation`` carries a model to them without labels.
"""

from __future__ import annotations

from lspin.evaluate.adaptation import (
    correct_priors,
    match_mixture,
    match_moments,
    match_quantiles,
)
from lspin.evaluate.comparison import (
    METRICS,
    ahead,
    compare,
    intervals,
    overview,
    summary,
)
from lspin.evaluate.cross_validation import cross_validate, fit_grouped, in_processes, open_gates
from lspin.evaluate.nested import (
    INNER_FOLDS,
    OUTER_FOLDS,
    NestedScores,
    nested_cross_validate,
)
from lspin.evaluate.own_scores import OwnScores, score_own
from lspin.evaluate.realmlp import RealMLPClassifier
from lspin.evaluate.rivals import (
    FEW,
    LIMITS,
    QUICK,
    Contender,
    contenders,
    describe,
    gated_models,
    quick_rivals,
    ungated_models,
)
from lspin.evaluate.scores import (
    N_BINS,
    Estimate,
    corrected_t_test,
    donor_interval,
    expected_calibration_error,
    score,
)
from lspin.evaluate.shift import NOT_MEASURED, Shift, shift
from lspin.evaluate.tabm import TabMClassifier

__all__ = [
    "FEW",
    "INNER_FOLDS",
    "LIMITS",
    "METRICS",
    "NOT_MEASURED",
    "N_BINS",
    "OUTER_FOLDS",
    "QUICK",
    "Contender",
    "Estimate",
    "NestedScores",
    "OwnScores",
    "RealMLPClassifier",
    "Shift",
    "TabMClassifier",
    "ahead",
    "compare",
    "contenders",
    "correct_priors",
    "corrected_t_test",
    "cross_validate",
    "describe",
    "donor_interval",
    "expected_calibration_error",
    "fit_grouped",
    "gated_models",
    "in_processes",
    "intervals",
    "match_mixture",
    "match_moments",
    "match_quantiles",
    "nested_cross_validate",
    "open_gates",
    "overview",
    "quick_rivals",
    "score",
    "score_own",
    "shift",
    "summary",
    "ungated_models",
]
