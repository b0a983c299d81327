"""What was measured, and how the numbers become inputs of a model.

``catalogue`` says what each feature is, and ``mapping`` what it is called in the tables of other
labs; ``inputs`` turns a table of features into numbers that a model can use; ``spike`` measures one
action potential from its trace.
"""

from __future__ import annotations

from lspin.features.catalogue import (
    AUTHORS_FEATURES,
    FEATURES,
    SPIKE_CATALOGUE,
    Feature,
    feature_named,
)
from lspin.features.inputs import (
    ENGINEERED_FEATURES,
    LOGGED_FEATURES,
    STIMULUS_ONSET_S,
    ReleasedFeatures,
    log_heavy_tails,
    model_inputs,
    table_inputs,
)
from lspin.features.mapping import feature_mapping
from lspin.features.spike import measure_spike, measure_spikes

__all__ = [
    "AUTHORS_FEATURES",
    "ENGINEERED_FEATURES",
    "FEATURES",
    "LOGGED_FEATURES",
    "SPIKE_CATALOGUE",
    "STIMULUS_ONSET_S",
    "Feature",
    "ReleasedFeatures",
    "feature_mapping",
    "feature_named",
    "log_heavy_tails",
    "measure_spike",
    "measure_spikes",
    "model_inputs",
    "table_inputs",
]
