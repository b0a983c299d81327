"""``m1``: Patch-seq neurons of mouse motor cortex, from another lab, at two temperatures.

Scala, Kobak et al. (2021), Nature, doi 10.1038/s41586-020-2907-3: 1328 cells recorded at 25 °C and
184 at 33 to 34 °C, with steps of 600 ms in place of 1 s. ``metadata["temperature_c"]`` says which,
25 or 34.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lspin.data.patchseq import GITHUB, HALF_WIDTH, File, Measurement, PatchSeq, driver_lines

_ORIGIN = f"{GITHUB}/berenslab/mini-atlas/3bf98a524b8e48aa8647e1b9ae8f2351d9c712c9/data"

_TEMPERATURES = {25.0: "m1_patchseq", 34.0: "m1_patchseq_phys_temp"}
"""How the names of the files begin."""

_GLUTAMATERGIC = ("CT", "ET", "IT", "NP", "PT")
"""Families that excite, by where they project."""

_MEASUREMENTS = (
    Measurement("vrest", "`Resting membrane potential (mV)`", "mV"),
    Measurement(
        "ri",
        "`Input resistance (MOhm)`",
        "MΩ",
        "from the steady end of the step; ours at the peak of the deflection",
    ),
    Measurement("tau", "`Membrane time constant (ms)`", "ms"),
    Measurement(
        "sag",
        "1 - 1 / `Sag ratio`",
        "peak over steady state",
        "at about -200 pA; ours at the step that reaches -100 mV",
    ),
    Measurement(
        "adaptation",
        "(`ISI average adaptation index` - 1) / (`ISI average adaptation index` + 1)",
        "ratio of intervals",
        "median over the first sweeps with spikes; mean ratio of intervals turned into ours",
    ),
    Measurement(
        "latency",
        "`Latency @ +20pA current (ms)` / 1000",
        "ms",
        "in the second sweep with spikes, 20 pA up; ours 40 to 60 pA above rheobase",
    ),
    Measurement(
        "threshold_i_long_square",
        "`Rheobase (pA)`",
        "pA",
        "where a line through the f-I curve of 600 ms steps meets zero; ours a step of 1 s",
    ),
    Measurement("threshold_v_long_square", "`AP threshold (mV)`", "mV"),
    Measurement(
        "threshold_t_long_square",
        "`Latency (ms)` / 1000 + 1.02",
        "ms from the start of the current",
        "the delay at rheobase, put into our sweeps, where the current starts at 1.02 s",
    ),
    Measurement(
        "peak_v_long_square", "`AP threshold (mV)` + `AP amplitude (mV)`", "mV above threshold"
    ),
    Measurement(
        "fast_trough_v_long_square",
        "`AP threshold (mV)` + `Afterhyperpolarization (mV)`",
        "mV above threshold",
    ),
    Measurement("upstroke_downstroke_ratio_long_square", "`Upstroke-to-downstroke ratio`", ""),
    Measurement(
        HALF_WIDTH,
        "`AP width (ms)`",
        "ms",
        "half-way from threshold to peak, not from trough to peak; up to twice as wide at 25 °C",
    ),
)


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the features, and what is known of each cell apart from its recording.

    A cell that the authors left out, or whose RNA is of low quality, has no subclass. A cell's id
    are the digits of its name: ``20180918_sample_1`` is 20180918001. Mice are numbered in the order
    of their names.

    Parameters
    ----------
    folder : Path
        With the four files.

    Returns
    -------
    theirs, cells : DataFrame
        See :class:`~lspin.data.patchseq.PatchSeq`.
    """
    features, metadata = [], []
    for temperature, name in _TEMPERATURES.items():
        table = pd.read_csv(folder / f"{name}_ephys_features.csv").set_index("cell id")
        known = pd.read_csv(folder / f"{name}_meta_data.csv", sep="\t").set_index("Cell")
        known = known.loc[table.index]
        features.append(table)
        metadata.append(known.assign(temperature_c=temperature))
    theirs, known = pd.concat(features), pd.concat(metadata)
    index = pd.Index(known.index.map(_cell_id), dtype=np.int64, name="specimen_id")
    return theirs.set_axis(index), _cells(known).set_axis(index)


def _cell_id(name: str) -> int:
    date, _, number = name.split("_")
    return 1000 * int(date) + int(number)


def _cells(known: pd.DataFrame) -> pd.DataFrame:
    family = known["RNA family"].replace(dict.fromkeys(_GLUTAMATERGIC, "Glutamatergic"))
    left_out = known["Exclusion reasons"].notna() | (family == "low quality")
    glowed = known["Cre"].str[-1].map({"+": "positive", "-": "negative"})
    return pd.DataFrame(
        {
            "donor_id": pd.factorize(known["Mouse"], sort=True)[0].astype(np.int64) + 1,
            "line_name": known["Mouse genotype"].map(driver_lines),
            "dendrite_type": "",
            "reporter_status": glowed.fillna(""),
            "layer": known["Inferred layer"].fillna("").astype(str),
            "structure": "MOp",
            "subclass": family.mask(left_out, ""),
            "t_type": known["RNA type"].fillna(""),
            "t_type_probability": known["RNA type confidence"],
            "temperature_c": known["temperature_c"],
        }
    )


SOURCE = PatchSeq(
    name="m1",
    species="mouse",
    folder="scala2021",
    files={
        "m1_patchseq_ephys_features.csv": File(
            f"{_ORIGIN}/m1_patchseq_ephys_features.csv",
            "32825f3837d7ce1144aa1521b23122a5df0da961a92021e12766e9cbec4998e6",
        ),
        "m1_patchseq_meta_data.csv": File(
            f"{_ORIGIN}/m1_patchseq_meta_data.csv",
            "5c47ec8c5437bba95d4b75dd66896e33aa67dce294621982a466ad23abcf63d4",
        ),
        "m1_patchseq_phys_temp_ephys_features.csv": File(
            f"{_ORIGIN}/m1_patchseq_phys_temp_ephys_features.csv",
            "94521bfa0f6bc32b00fffa2f847fcc448e407ba6d537a5925c23cc6196b3f61f",
        ),
        "m1_patchseq_phys_temp_meta_data.csv": File(
            f"{_ORIGIN}/m1_patchseq_phys_temp_meta_data.csv",
            "c351cafebe561db6e349b6805717632766849a1bfe0d038f85ccf9b11e4a8f92",
        ),
    },
    citation="Scala, Kobak et al. (2021), Nature, doi 10.1038/s41586-020-2907-3",
    licence="none stated for any of the four files",
    protocol="steps of 600 ms, 20 pA apart, at 25 °C or at 33 to 34 °C; features by the authors' "
    "version of the Allen Institute's code",
    subclasses=("Glutamatergic", "Lamp5", "Pvalb", "Sncg", "Sst", "Vip"),
    measurements=_MEASUREMENTS,
    without_counterpart=(
        "AP Fano factor",
        "AP amplitude adaptation index",
        "AP amplitude average adaptation index",
        "AP coefficient of variation",
        "Afterdepolarization (mV)",
        "Burstiness",
        "ISI Fano factor",
        "ISI adaptation index",
        "ISI coefficient of variation",
        "Max number of APs",
        "Rebound (mV)",
        "Rebound number of APs",
        "Sag area (mV*s)",
        "Sag time (s)",
        "Spike frequency adaptation",
        "Wildness",
    ),
    read=read,
    lines={"Pvalb-Cre": "Pvalb+"},
)
"""The description of this source."""
