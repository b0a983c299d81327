"""The networks, from the single gate to the estimators for everyday work.

``gates`` are pure functions; ``network`` is a pack of models that are trained side by side;
``recipe`` holds every setting of a training, and ``training`` is its one loop; ``distillation``
lets networks that see everything teach the one model whose gates close, and ``closing`` closes
them; ``estimator`` puts all of it behind scikit-learn's interface, and ``path`` trains and scores
it for many limits.
``saved`` writes fitted models to files and reads them, and ``table_model`` is a model together with
what turns a raw table into its inputs.
``checks`` refuses what is beside a table in another order and doubts a table in its own units,
``splits`` draws the rows of each network, ``selection`` counts gates and picks a limit,
``cache`` records what takes long, and ``threads`` keeps packs from waiting for each other.
"""

from __future__ import annotations

from lspin.model.cache import REVISION, fingerprint, recorded
from lspin.model.closing import ClosingLSPIN, close_in_turn, distance
from lspin.model.distillation import (
    Lesson,
    all_outputs,
    fit_one_mask,
    fit_reader,
    fit_temperature,
    left_out,
    lesson,
    mean_output,
    mixtures,
)
from lspin.model.estimator import LSPINClassifier, LSPINRegressor, check_device
from lspin.model.gates import SIGMA, gate_values, open_probability, sample_gates
from lspin.model.network import PackedLinear, PackedLSPIN, mixed
from lspin.model.path import BUDGETS, LimitPath, lspin_path
from lspin.model.recipe import (
    BEHIND_THE_MASK,
    DENSE,
    GATINGS,
    ONE_MASK,
    ONE_MASK_OF_VALUES,
    PREDICTORS,
    READER,
    READERS,
    REGULARISATIONS,
    Recipe,
    Regularisation,
    Stage,
)
from lspin.model.selection import count_open, one_standard_error
from lspin.model.splits import (
    check_groups,
    check_sample_weight,
    draw_members,
    n_folds_possible,
    shuffled_folds,
)
from lspin.model.table_model import TableModel
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
    "BEHIND_THE_MASK",
    "BUDGETS",
    "DENSE",
    "GATINGS",
    "ONE_MASK",
    "ONE_MASK_OF_VALUES",
    "READER",
    "READERS",
    "PACK_SIZE",
    "PREDICTORS",
    "REGULARISATIONS",
    "REVISION",
    "SIGMA",
    "LSPINClassifier",
    "LSPINRegressor",
    "ClosingLSPIN",
    "Lesson",
    "LimitPath",
    "Member",
    "PackedLSPIN",
    "PackedLinear",
    "Recipe",
    "Regularisation",
    "Stage",
    "TableModel",
    "Task",
    "all_outputs",
    "check_device",
    "check_groups",
    "check_sample_weight",
    "classification_loss",
    "close_in_turn",
    "count_open",
    "distance",
    "draw_members",
    "fingerprint",
    "fit_members",
    "fit_one_mask",
    "fit_pack",
    "fit_reader",
    "fit_temperature",
    "gate_values",
    "left_out",
    "lesson",
    "lspin_path",
    "mean_output",
    "mixed",
    "mixtures",
    "n_folds_possible",
    "n_workers",
    "objective",
    "one_standard_error",
    "one_torch_thread",
    "open_probability",
    "own_torch_state",
    "recorded",
    "regression_loss",
    "sample_gates",
    "shuffled_folds",
]
