"""What was measured, and how the numbers become inputs of a model.

``catalogue`` says what each feature is, and ``mapping`` what it is called in the tables of other
labs; ``inputs`` turns a table of features into numbers that a model can use; ``spike`` measures one
action potential from its trace.

A recording of one's own becomes a row of such a table in three steps: ``files`` reads it,
``recording`` holds its sweeps, in which ``stimulus`` finds what was injected, and ``measure``
computes the released features. ``simulated`` has a synthetic cell for where there is no recording.
Whoever has measured already brings a table: ``form`` has the form, and checks the units.
"""

from __future__ import annotations

from lspin.features.catalogue import (
    AUTHORS_FEATURES,
    FEATURES,
    SPIKE_CATALOGUE,
    Feature,
    feature_named,
)
from lspin.features.files import read_recording
from lspin.features.form import (
    TEMPLATE_FEATURES,
    check_features,
    engineered,
    is_feature_table,
    read_features,
    unit_problems,
    write_template,
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
from lspin.features.measure import Measured, measure
from lspin.features.recording import Recording, Sweep
from lspin.features.simulated import simulated_recording
from lspin.features.spike import measure_spike, measure_spikes
from lspin.features.stimulus import Pulse

__all__ = [
    "AUTHORS_FEATURES",
    "ENGINEERED_FEATURES",
    "FEATURES",
    "LOGGED_FEATURES",
    "SPIKE_CATALOGUE",
    "STIMULUS_ONSET_S",
    "TEMPLATE_FEATURES",
    "Feature",
    "Measured",
    "Pulse",
    "Recording",
    "ReleasedFeatures",
    "Sweep",
    "check_features",
    "engineered",
    "feature_mapping",
    "feature_named",
    "is_feature_table",
    "log_heavy_tails",
    "measure",
    "measure_spike",
    "measure_spikes",
    "model_inputs",
    "read_features",
    "read_recording",
    "simulated_recording",
    "table_inputs",
    "unit_problems",
    "write_template",
]
