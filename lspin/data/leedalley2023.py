"""``human``: 704 inhibitory Patch-seq neurons of human cortex, removed in surgery.

Lee, Dalley et al. (2023), Science, doi 10.1126/science.adf6484. Features computed with ipfx, in
fresh slices or after days in culture: ``metadata["condition"]`` says which.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lspin.data.patchseq import GITHUB, HALF_WIDTH, File, Measurement, PatchSeq

_ORIGIN = (
    f"{GITHUB}/AllenInstitute/human_patchseq_gaba/5eb357a1cea246c7c847b5608a8fc7e87ea95b58/data"
)

FEATURES_FILE = "LeeDalley_ephys_fx.csv"
CELLS_FILE = "LeeDalley_manuscript_metadata_v2.csv"

_SUBCLASS = {
    "LAMP5/PAX6/Other": "Lamp5/Pax6/other",
    "PVALB": "Pvalb",
    "SST": "Sst",
    "VIP": "Vip",
}
"""Human genes are written in capitals; spelled as in mice, models can be carried across."""

_THEIR_STIMULUS = {"long_square": "rheo", "ramp": "ramp", "short_square": "short_square"}


def _measurements() -> tuple[Measurement, ...]:
    """Most features are ours under another name; voltages of a spike count from its threshold."""
    hero = "in their hero sweep, chosen as ours is"
    found = [
        Measurement("vrest", "`v_baseline`", "mV", "before the long squares"),
        Measurement("ri", "`input_resistance`", "MΩ"),
        Measurement("tau", "1000 * `tau`", "s"),
        Measurement("sag", "`sag`", ""),
        Measurement("vm_for_sag", "`vm_for_sag`", "mV"),
        Measurement("f_i_curve_slope", "`fi_fit_slope`", "spikes/s per pA"),
        Measurement("adaptation", "`adapt_hero`", "", hero),
        Measurement("avg_isi", "1000 * `mean_isi_hero`", "s", hero),
        Measurement("latency", "`latency_hero`", "s", hero),
        Measurement("threshold_i_long_square", "`rheobase_i`", "pA"),
        Measurement("threshold_i_ramp", "`threshold_i_ramp`", "pA"),
        Measurement(
            "threshold_t_long_square",
            "`latency_rheo` + 1.02",
            "s from the start of the current",
            "put into our sweeps, where the current starts at 1.02 s",
        ),
        Measurement(HALF_WIDTH, "1000 * `width_rheo`", "s"),
    ]
    for ours, theirs in _THEIR_STIMULUS.items():
        threshold = f"`threshold_v_{theirs}`"
        found.append(Measurement(f"threshold_v_{ours}", threshold, "mV"))
        for event in ("peak", "fast_trough", "trough"):
            if (event, ours) != ("trough", "short_square"):
                formula = f"{threshold} + `{event}_deltav_{theirs}`"
                found.append(Measurement(f"{event}_v_{ours}", formula, "mV above threshold"))
        ratio = "upstroke_downstroke_ratio"
        found.append(Measurement(f"{ratio}_{ours}", f"`{ratio}_{theirs}`", ""))
    return tuple(found)


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the features, and what is known of each cell apart from its recording.

    A donor's id are the digits of its published code. There is no assignment probability of the
    T-types.

    Parameters
    ----------
    folder : Path
        With the two files.

    Returns
    -------
    theirs, cells : DataFrame
        See :class:`~lspin.data.patchseq.PatchSeq`.
    """
    theirs = pd.read_csv(folder / FEATURES_FILE).set_index("specimen_id")
    known = pd.read_csv(folder / CELLS_FILE).drop_duplicates("specimen_id_x")  # one is there twice
    known = known.set_index("specimen_id_x").loc[theirs.index]
    cells = pd.DataFrame(
        {
            "donor_id": known["Donor"].str.replace(r"\D", "", regex=True).astype(np.int64),
            "line_name": "",
            "dendrite_type": "",
            "reporter_status": "",
            "layer": known["Cortical_layer"].fillna("").str.replace("_", "/"),
            "structure": known["structure"].fillna(""),
            "subclass": known["Revised_subclass_label"].map(_SUBCLASS),
            "t_type": known["Transcriptomic_type "].fillna(""),
            "t_type_probability": np.nan,
            "condition": known["condition"],
        }
    )
    return theirs, cells


SOURCE = PatchSeq(
    name="human",
    species="human",
    folder="leedalley2023",
    files={
        FEATURES_FILE: File(
            f"{_ORIGIN}/{FEATURES_FILE}",
            "1ec12b02ba41288d69cdac21d6ac1efa05ff819fd6e052dd48666500e23ced9b",
        ),
        CELLS_FILE: File(
            f"{_ORIGIN}/{CELLS_FILE}",
            "c6c72fd87a9fdd67b08ed105f46529383962d05c1617b3fe2220e46e8af14b17",
        ),
    },
    citation="Lee, Dalley et al. (2023), Science, doi 10.1126/science.adf6484",
    licence="Allen Institute Software License, no commercial redistribution",
    protocol="the stimuli of the Allen table, in fresh slices or in cultures; features by ipfx",
    subclasses=tuple(_SUBCLASS.values()),
    measurements=_measurements(),
    without_counterpart=tuple(
        """
        width_ramp width_suprathresh_ramp upstroke_ramp downstroke_ramp postap_slope_ramp
        width_short_square width_suprathresh_short_square upstroke_short_square
        downstroke_short_square postap_slope_short_square sag_peak_t sag_area avg_rate_rheo
        mean_isi_rheo width_suprathresh_rheo upstroke_rheo downstroke_rheo postap_slope_rheo
        fast_trough_v_last_rheo adp_v_last_rheo avg_rate_hero median_isi_hero isi_cv_hero
        isi_norm_sq_var_hero upstroke_downstroke_ratio_hero threshold_v_hero width_hero
        width_suprathresh_hero upstroke_hero downstroke_hero postap_slope_hero
        ahp_delay_ratio_hero sag_depol sag_peak_t_depol sag_area_depol adapt_mean isi_cv_mean
        isi_norm_sq_var_mean adapt_max isi_cv_max isi_norm_sq_var_max isi_adapt_ratio
        width_adapt_ratio upstroke_adapt_ratio downstroke_adapt_ratio peak_v_adapt_ratio
        threshold_v_adapt_ratio fast_trough_v_adapt_ratio ahp_delay_ratio_5spike
        trough_slowdeltav_rheo trough_slowdeltav_hero trough_deltav_hero fast_trough_deltav_hero
        peak_deltav_hero first_isi_inv_rheo first_isi_inv_hero sag_tau peak_ratio_chirp
        peak_freq_chirp 3db_freq_chirp peak_impedance_chirp low_freq_impedance_chirp
        sync_freq_chirp phase_peak_chirp phase_low_chirp total_inductive_phase_chirp
        """.split()
    ),
    read=read,
    has_cre=False,
)
"""The description of this source."""
