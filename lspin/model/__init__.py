"""The networks, from the single gate to the estimators for everyday work.

``gates`` are pure functions; ``network`` is a pack of networks that are trained side by side;
``recipe`` holds every setting of a training, and ``training`` is its one loop; ``estimator`` puts
ensembles behind scikit-learn's interface, and ``path`` trains and scores them for many lambdas at
once. ``splits`` draws the rows of each network, ``selection`` counts gates and picks lambda,
``cache`` records what takes long, and ``threads`` keeps packs from waiting for each other.
"""

from __future__ import annotations

from lspin.model.cache import REVISION, fingerprint, recorded
from lspin.model.estimator import (
    LSPINClassifier,
    LSPINRegressor,
    check_device,
    pooled_probabilities,
)
from lspin.model.gates import SIGMA, gate_values, open_probability, sample_gates
from lspin.model.network import PackedLinear, PackedLSPIN, mixed
from lspin.model.path import LAMS, PATH_PACK_SIZE, LambdaPath, lspin_path
from lspin.model.recipe import DEFAULT, GATINGS, PREDICTORS, Recipe, Stage
from lspin.model.selection import count_open, one_standard_error
from lspin.model.splits import (
    check_groups,
    draw_members,
    n_folds_possible,
    shuffled_folds,
)
from lspin.model.threads import n_workers, one_torch_thread, own_torch_state
from lspin.model.training import (
    PACK_SIZE,
    Member,
    Task,
    classification_loss,
    fit_members,
    fit_pack,
    objective,
    regression_loss,
)

__all__ = [
    "DEFAULT",
    "GATINGS",
    "LAMS",
    "PACK_SIZE",
    "PATH_PACK_SIZE",
    "PREDICTORS",
    "REVISION",
    "SIGMA",
    "LSPINClassifier",
    "LSPINRegressor",
    "LambdaPath",
    "Member",
    "PackedLSPIN",
    "PackedLinear",
    "Recipe",
    "Stage",
    "Task",
    "check_device",
    "check_groups",
    "classification_loss",
    "count_open",
    "draw_members",
    "fingerprint",
    "fit_members",
    "fit_pack",
    "gate_values",
    "lspin_path",
    "mixed",
    "n_folds_possible",
    "n_workers",
    "objective",
    "one_standard_error",
    "one_torch_thread",
    "open_probability",
    "own_torch_state",
    "pooled_probabilities",
    "recorded",
    "regression_loss",
    "sample_gates",
    "shuffled_folds",
]
