"""``v1``: 4435 Patch-seq neurons of mouse visual cortex, nearly all of them inhibitory.

Gouwens, Sorensen et al. (2020), Cell, doi 10.1016/j.cell.2020.09.057. The features are those of the
Allen table, computed from the published recordings with ipfx 1.0.2.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lspin.data.patchseq import GITHUB, HALF_WIDTH, File, Measurement, PatchSeq, driver_lines
from lspin.data.tables import RELEASED_FEATURES

FEATURES_FILE = "efeature.csv"
SPECIMENS_FILE = "20200625_patchseq_metadata_mouse.csv"
TYPES_FILE = "gouwens_tasic_byCell.csv.gz"

STIMULUS_DELAY_S = 0.52
"""By how much later a stimulus begins in the Allen table (1.02 s) than in this one (0.5 s)."""


def _measurements() -> tuple[Measurement, ...]:
    """Every released feature has its own name; only times are shifted."""
    same = [
        Measurement(
            name,
            f"`{name}` + {STIMULUS_DELAY_S}",
            "s",
            "in our sweeps the stimulus begins 0.52 s later",
        )
        if "_t_" in name
        else Measurement(name, f"`{name}`", "as ours")
        for name in RELEASED_FEATURES
        if name != "input_resistance_mohm"
    ]
    width = Measurement(HALF_WIDTH, "`AP width (ms)`", "ms", "published in another table")
    return (*same, width)


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the features, and what is known of each cell apart from its recording.

    The subclass of a cell is the first word of its T-type. The published column Subclass differs
    from it in 89 cells, most of them of the small subclass Serpinf1, which it gives to Sncg or Vip;
    it has 129 cells of Sst Chodl apart. We keep Serpinf1 apart from both.

    Parameters
    ----------
    folder : Path
        With the three files.

    Returns
    -------
    theirs, cells : DataFrame
        See :class:`~lspin.data.patchseq.PatchSeq`.
    """
    specimens = pd.read_csv(folder / SPECIMENS_FILE)
    types = pd.read_csv(folder / TYPES_FILE)
    index = types["cell_id"].str.extract(r"#(\d+)", expand=False).astype(np.int64)
    cells = specimens.set_index(pd.Index(specimens["cell_specimen_id"], name="specimen_id"))
    known = types.set_index(pd.Index(index, name="specimen_id")).reindex(cells.index)
    t_type = cells["corresponding_AIT2.3.1_alias"].fillna(known["Tasic2018_Ttype"]).fillna("")
    table = pd.DataFrame(
        {
            "donor_id": cells["donor_id"].astype(np.int64),
            "line_name": cells["full_genotype"].map(driver_lines),
            "dendrite_type": cells["dendrite_type"].fillna(""),
            "reporter_status": known["Fluorescent protein positive"].fillna(""),
            "layer": known["Cortical layer"].fillna("").str.removeprefix("L"),
            "structure": cells["structure"].fillna(""),
            "subclass": t_type.str.split().str[0].fillna(""),
            "t_type": t_type,
            "t_type_probability": known["T type assignment probability"],
        }
    )
    theirs = _by_specimen(pd.read_csv(folder / FEATURES_FILE), specimens)
    return theirs.assign(**{"AP width (ms)": known["AP width (ms)"]}), table


def _by_specimen(theirs: pd.DataFrame, specimens: pd.DataFrame) -> pd.DataFrame:
    """Index the features by specimen; take out short squares that were measured off the pulse."""
    specimen_of = specimens.set_index("ephys_session_id")["cell_specimen_id"]
    session = theirs["ID"].str.extract(r"_ses-(\d+)_", expand=False).astype(np.int64)
    theirs = theirs.set_index(pd.Index(session.map(specimen_of), name="specimen_id"))
    # In these sweeps the pulse came at another time, and what was measured is no spike.
    elsewhere = theirs["threshold_t_short_square"] + STIMULUS_DELAY_S < 1.0
    theirs.loc[elsewhere, [name for name in theirs if name.endswith("short_square")]] = np.nan
    return theirs


SOURCE = PatchSeq(
    name="v1",
    species="mouse",
    folder="gouwens2020",
    files={
        FEATURES_FILE: File(
            f"{GITHUB}/daifengwanglab/scMNC/ae9e39b5abe2ff0c85e3c986689c22c0ab6b2c3d/"
            "mouse_visual_cortex/data/efeature.csv",
            "53cddf3f2edc38ccda2f3156c686f8d97c0f6010b3db7b2cbb2a3fe2232f82f8",
        ),
        SPECIMENS_FILE: File(
            f"{GITHUB}/AllenInstitute/ipfx/c607a36e25618a6bb8ba5438c1cd945fb429e659/"
            "ipfx/data_release/20200625_patchseq_metadata_mouse.csv",
            "91bd957205880ee7d0f6823b46ddde27a2a499bedf19f978af70164994bbde10",
        ),
        TYPES_FILE: File(
            f"{GITHUB}/AllenInstitute/ACE/35d4f7aa2dae93295ec0e3d13854dab6572c7faf/"
            "data/gouwens_tasic_byCell.csv.gz",
            "59b2e05d2d4dd26b4235033294a39922db546425cfd30235f017b5d7611c0e5d",
        ),
    },
    citation="Gouwens, Sorensen et al. (2020), Cell, doi 10.1016/j.cell.2020.09.057",
    licence=f"{FEATURES_FILE}: none stated; {SPECIMENS_FILE}: Allen Institute Software License, no "
    f"commercial redistribution; {TYPES_FILE}: BSD 2-clause",
    protocol="the stimuli of the Allen table, at about 34 °C; features computed with ipfx 1.0.2",
    subclasses=("Lamp5", "Pvalb", "Sncg", "Sst", "Vip"),
    measurements=_measurements(),
    without_counterpart=(),
    read=read,
)
"""The description of this source."""
