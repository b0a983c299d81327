"""Half-widths of the cells of the Allen table, which the Allen Institute did not release.

Moradi Chameh et al. (2021), Nature Communications, published a table of the same 2333 specimens
with ten more measurements; the half-width of the first spike at rheobase is the one that other labs
publish, too. The file states no licence: it is downloaded and never redistributed.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lspin.data.download import fetch_known
from lspin.data.patchseq import GITHUB, HALF_WIDTH
from lspin.data.tables import broken_file, sha256

FOLDER = "moradi2021"
FILE = "aibs_aggregated_ephys_v10.csv"
SHA256 = "8e54d1467169db2bbb07c73ff2f5bd55faad4340ab1aea08adf2d1940c80671f"

_URL = (
    f"{GITHUB}/stripathy/valiante_ih/4f48897f17b6fd9279e50210db42ae999bba4d57/"
    f"raw-data/aibs_ephys/{FILE}"
)

_LIMIT_S = 300.0


def fetch(data_dir: Path, verbose: int = 1) -> None:
    """Download the table, unless it is in the data folder already.

    Parameters
    ----------
    data_dir : Path
        The data folder.
    verbose : int
        0 shows no progress.

    Raises
    ------
    ConnectionError
        If the download fails, or what arrives is not the published file.
    """
    fetch_known(_URL, data_dir / FOLDER / FILE, SHA256, _LIMIT_S, verbose)


def half_widths(data_dir: Path) -> pd.Series:
    """Read the half-width of every specimen.

    Parameters
    ----------
    data_dir : Path
        The data folder.

    Returns
    -------
    Series of float64, shape (2333,)
        In ms, by ``specimen_id``; NaN where not measured.

    Raises
    ------
    ValueError
        If the file is not the published one.
    """
    path = data_dir / FOLDER / FILE
    if sha256(path) != SHA256:
        raise broken_file(path, "is not the published file")
    table = pd.read_csv(path, usecols=["specimen_id", "rheo_first_spike_hw"])
    return (1000 * table.set_index("specimen_id")["rheo_first_spike_hw"]).rename(HALF_WIDTH)
