"""Reasons for one cell, and whether they hold.

``closing`` a gate says what its measurement did. Whatever asks more starts from a model and cells
that were ``held_out``; ``reasons`` are tables of what it did, cell by cell. ``faithfulness``,
``stability`` and ``leakage`` cross-examine them, ``claims`` hold them against the textbook, ``odd``
lists cells that are unlike their class. ``groups`` are measurements that say the same thing.
For a cell of one's own, ``known`` trains a model on the cells that are known, with just what was
measured in it. ``problems`` are made up, with known reasons, and ``recovery`` is how many of those
a method finds.
"""

from __future__ import annotations

from lspin.explain.claims import CLAIMS, Claim, check_claims, fingerprints
from lspin.explain.closing import effects, gated_probabilities
from lspin.explain.faithfulness import (
    EXPLAINERS,
    OWN_EXPLAINERS,
    Explainer,
    area,
    deletion_insertion,
    faithfulness,
)
from lspin.explain.groups import SAME, feature_groups
from lspin.explain.held_out import HeldOut, hold_out, train_on, without_donor_of
from lspin.explain.known import (
    EXCITATORY,
    KNOWN_SPECIES,
    KNOWN_TEMPERATURE_C,
    Asked,
    SecondOpinion,
    Trust,
    ask,
    known_cells,
    second_opinions,
)
from lspin.explain.leakage import (
    ALL_VALUES,
    GATES_ALONE,
    MEAN_GATES,
    NOTHING,
    OTHER_GATES,
    OTHER_VALUES,
    OWN,
    SELECTED,
    SELECTED_BLIND,
    leakage,
)
from lspin.explain.odd import N_ALIKE, odd_cells
from lspin.explain.problems import PROBLEMS, SWITCH, SYN_CASES, Problem, e5, linear_groups, syn
from lspin.explain.reasons import explain_cells, open_gates_of
from lspin.explain.recovery import (
    METHODS,
    N_GATES,
    Answer,
    boosting,
    gated,
    l1,
    recovery,
    selection_scores,
)
from lspin.explain.stability import (
    STRONGEST,
    agreement,
    draw_donors,
    jaccard,
    jaccard_by_size,
    nearest,
    open_sets,
    refits,
    selection_frequency,
    stability,
    strongest_sets,
    to_groups,
)

__all__ = [
    "ALL_VALUES",
    "CLAIMS",
    "EXPLAINERS",
    "GATES_ALONE",
    "KNOWN_SPECIES",
    "KNOWN_TEMPERATURE_C",
    "MEAN_GATES",
    "METHODS",
    "NOTHING",
    "N_ALIKE",
    "N_GATES",
    "OTHER_GATES",
    "OTHER_VALUES",
    "OWN",
    "OWN_EXPLAINERS",
    "PROBLEMS",
    "SAME",
    "SELECTED",
    "SELECTED_BLIND",
    "STRONGEST",
    "SWITCH",
    "SYN_CASES",
    "Answer",
    "Asked",
    "EXCITATORY",
    "SecondOpinion",
    "second_opinions",
    "Claim",
    "Explainer",
    "HeldOut",
    "Problem",
    "Trust",
    "agreement",
    "area",
    "ask",
    "boosting",
    "check_claims",
    "deletion_insertion",
    "draw_donors",
    "e5",
    "effects",
    "explain_cells",
    "faithfulness",
    "feature_groups",
    "fingerprints",
    "gated",
    "gated_probabilities",
    "hold_out",
    "jaccard",
    "jaccard_by_size",
    "known_cells",
    "l1",
    "leakage",
    "linear_groups",
    "nearest",
    "odd_cells",
    "open_gates_of",
    "open_sets",
    "recovery",
    "refits",
    "selection_frequency",
    "selection_scores",
    "stability",
    "strongest_sets",
    "syn",
    "to_groups",
    "train_on",
    "without_donor_of",
]
