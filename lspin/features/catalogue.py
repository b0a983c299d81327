"""What each feature is: name, unit, stimulus and meaning.

The definitions follow the electrophysiology overview of the Allen Cell Types Database and
the code that computed its features (``allensdk.ephys``, ``ipfx``).
"""

from __future__ import annotations

from dataclasses import dataclass

from lspin.data.tables import STIMULI


@dataclass(frozen=True)
class Feature:
    """One row of the catalogue.

    Parameters
    ----------
    name : str
        Column name.
    unit : str
        Unit of the values; empty for ratios and yes/no features.
    stimulus : str
        What was done to the cell to measure it.
    label : str
        Short name for tables and axes.
    meaning : str
        A plain sentence.

    Examples
    --------
    >>> from lspin.features import FEATURES
    >>> FEATURES["tau"].axis_label
    'membrane time constant (ms)'
    >>> FEATURES["tau"].stimulus
    'long square: 1 s steps of negative current'
    """

    name: str
    unit: str
    stimulus: str
    label: str
    meaning: str

    @property
    def axis_label(self) -> str:
        """Label and unit, for an axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


def _catalogue(stimulus: str, rows: str) -> dict[str, Feature]:
    """Read the features of one stimulus from lines of ``name | unit | label | meaning``."""
    features = {}
    for row in filter(None, rows.splitlines()):
        name, unit, label, meaning = (part.strip() for part in row.split("|"))
        features[name] = Feature(name, unit, stimulus, label, meaning)
    return features


_WHOLE_CELL = {
    **_catalogue(
        "no current",
        """
vrest | mV | resting potential | Membrane potential with no current injected.
""",
    ),
    **_catalogue(
        "voltage-clamp test pulses before the stimuli",
        """
input_resistance_mohm | MΩ | input resistance, test pulse | As ri, measured right after break-in.
seal_gohm | GΩ | seal resistance | How tight the pipette sits: about the recording, not the cell.
""",
    ),
    **_catalogue(
        "long square: 1 s steps of negative current",
        """
ri | MΩ | input resistance | Change of voltage per current, at the peak of each deflection.
tau | ms | membrane time constant | How slowly the voltage follows a step: a fitted exponential.
sag | | sag | Share of the deflection that is lost again during the step; a sign of h-current.
vm_for_sag | mV | voltage reached for sag | Lowest voltage in the step that sag is taken from.
""",
    ),
    **_catalogue(
        "long square: all 1 s steps that evoke spikes",
        """
f_i_curve_slope | spikes/s per pA | f-I slope | Extra spikes per second for each further pA.
""",
    ),
    **_catalogue(
        "long square: 1 s step, 40 to 60 pA above rheobase",
        """
adaptation | | adaptation | Mean relative growth of the intervals; needs three spikes.
no_adaptation | | no adaptation measured | 1 if the cell fired fewer than three spikes, else 0.
avg_isi | ms | mean inter-spike interval | Mean time from spike to spike; needs two spikes.
latency | s | latency | Time from the start of the current to the threshold of the first spike.
""",
    ),
}

_STIMULUS = {
    "long_square": "long square: weakest 1 s step that evokes a spike (rheobase), first spike",
    "ramp": "ramp: current rising by 25 pA/s, first spike",
    "short_square": "short square: weakest 3 ms pulse that evokes a spike",
}

# Of the first spike of each stimulus. The threshold is taken at 5 % of the fastest rise averaged
# over the sweep's spikes (10 % or more in short squares, where the pulse itself is steep).
_FIRST_SPIKE = """
threshold_i_{s} | pA | threshold current, {in_words} | Injected current at which the spike starts.
threshold_v_{s} | mV | threshold, {in_words} | Voltage where the rise passes 5 % of its fastest.
threshold_t_{s} | s | time of threshold, {in_words} | When the spike starts, from the sweep's start.
peak_v_{s} | mV | peak, {in_words} | Highest voltage of the spike.
peak_t_{s} | s | time of peak, {in_words} | When the spike peaks, from the sweep's start.
upstroke_downstroke_ratio_{s} | | upstroke/downstroke, {in_words} | Fastest rise over fastest fall.
fast_trough_v_{s} | mV | fast trough, {in_words} | Voltage where the fall has slowed to 1 %.
fast_trough_t_{s} | s | time of fast trough, {in_words} | When that is, from the sweep's start.
trough_v_{s} | mV | trough, {in_words} | Lowest voltage before the next spike.
trough_t_{s} | s | time of trough, {in_words} | When that is, from the sweep's start.
slow_trough_v_{s} | mV | slow trough, {in_words} | Lowest voltage of a second, slower dip, if any.
slow_trough_t_{s} | s | time of slow trough, {in_words} | When that is, from the sweep's start.
rise_ms_{s} | ms | rise time, {in_words} | From threshold to peak.
fall_ms_{s} | ms | fall time, {in_words} | From peak to fast trough.
trough_ms_{s} | ms | time to trough, {in_words} | From peak to trough.
"""

_LONG_SQUARE_ONLY = """
delay_ms_long_square | ms | delay at rheobase | From the start of the current to the threshold.
slow_trough_depth_mv_long_square | mV | slow trough depth, long square | As for the ramp.
spike_height_mv_long_square | mV | spike height, long square | From threshold to peak.
fast_trough_depth_mv_long_square | mV | fast trough depth, long square | From threshold down to it.
half_width_ms_long_square | ms | half-width, long square | Width of the spike at half its height.
"""

_RAMP_ONLY = """
slow_trough_depth_mv_ramp | mV | slow trough depth, ramp | How far below the fast one; 0 if none.
no_slow_trough_ramp | | no slow trough, ramp | 1 if no slow trough follows the spike, else 0.
"""

_SPIKE_SHAPE = """
threshold_v | mV | threshold{of} | Voltage where the rise first passes 5 % of its fastest.
peak_v | mV | peak{of} | Highest voltage of the spike.
trough_v | mV | trough{of} | Lowest voltage before the next spike.
upstroke | V/s | upstroke{of} | Fastest rise of the spike.
upstroke_v | mV | voltage at upstroke{of} | Voltage where the rise is fastest.
downstroke | V/s | downstroke{of} | Fastest fall of the spike, a negative number.
downstroke_v | mV | voltage at downstroke{of} | Voltage where the fall is fastest.
fast_trough_v | mV | fast trough{of} | Voltage where the fall has slowed to 1 %.
width | s | spike width{of} | Duration at half of the height from trough to peak.
upstroke_downstroke_ratio | | upstroke/downstroke{of} | Fastest rise over fastest fall.
"""

_NOISE_CURRENTS = """
threshold_i | pA | current at threshold, noise | Injected current where the spike starts.
peak_i | pA | current at peak, noise | Injected current at the peak.
trough_i | pA | current at trough, noise | Injected current at the trough.
fast_trough_i | pA | current at fast trough, noise | Injected current at the fast trough.
"""

FEATURES: dict[str, Feature] = {
    **_WHOLE_CELL,
    **{
        name: feature
        for s in STIMULI
        for name, feature in _catalogue(
            _STIMULUS[s], _FIRST_SPIKE.format(s=s, in_words=s.replace("_", " "))
        ).items()
    },
    **_catalogue(_STIMULUS["long_square"], _LONG_SQUARE_ONLY),
    **_catalogue(_STIMULUS["ramp"], _RAMP_ONLY),
    **_catalogue(
        "noise: one sweep of fluctuating current, mean over its spikes",
        _SPIKE_SHAPE.format(of=", noise") + _NOISE_CURRENTS,
    ),
}
"""Catalogue of the released features, the engineered ones and the authors' 41."""

SPIKE_CATALOGUE: dict[str, Feature] = _catalogue(
    "short square: one spike",
    "stimulus_to_peak_t | s | stimulus to peak | From the start of the current to the peak."
    + _SPIKE_SHAPE.format(of=", one spike"),
)
"""Catalogue of the authors' single-spike table; some noise features have the same names."""

AUTHORS_FEATURES: tuple[str, ...] = tuple(
    """
    threshold_v threshold_i peak_v peak_i trough_v trough_i upstroke upstroke_v downstroke
    downstroke_v fast_trough_v fast_trough_i width upstroke_downstroke_ratio f_i_curve_slope
    fast_trough_v_long_square fast_trough_v_ramp fast_trough_v_short_square input_resistance_mohm
    latency peak_v_long_square peak_v_ramp peak_v_short_square ri sag seal_gohm tau
    threshold_i_long_square threshold_i_ramp threshold_i_short_square threshold_v_long_square
    threshold_v_ramp threshold_v_short_square trough_v_long_square trough_v_ramp
    trough_v_short_square upstroke_downstroke_ratio_long_square upstroke_downstroke_ratio_ramp
    upstroke_downstroke_ratio_short_square vm_for_sag vrest
    """.split()
)
"""The 41 features of Ophir, Shefi & Lindenbaum (2023), in the order of their table."""


def feature_named(name: str) -> Feature:
    """Return what the catalogue says of a feature, or one that has nothing but its name.

    Parameters
    ----------
    name : str
        Column of any table.

    Returns
    -------
    Feature

    Examples
    --------
    >>> from lspin.features import feature_named
    >>> feature_named("tau").label, feature_named("soma area").label
    ('membrane time constant', 'soma area')
    """
    name = str(name)
    return FEATURES.get(name) or Feature(name, "", "", name, "")
