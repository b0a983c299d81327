"""Public recordings of single neurons, as files: what to try before one's own.

They come from the laboratories' public repositories, by commit and checksum, and are never
redistributed. None has a molecular label.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from lspin.data.download import fetch_known

FOLDER = "recordings"

_PYABF = "swharden/pyABF/3ad9cd6f2cdfe79bc1978736ab46314866ca1c4c/data/abfs"
_SHOWCASE = "OpenSourceBrain/NWBShowcase/be2920012f0e007b597b1149bb2e87b24a507b96/Lantyer"


class _File(NamedTuple):
    what: str
    where: str
    sha256: str


RECORDINGS: dict[str, _File] = {
    "2019_07_24_0055_fsi.abf": _File(
        "current steps of -100 to 300 pA, a neuron that fires fast",
        _PYABF,
        "4666e82da3e0cc33b579fea285901a7f48b54a8c0cb8143b9c539d65172709b6",
    ),
    "171116sh_0018.abf": _File(
        "current steps of -100 to 300 pA, a neuron that fires slowly and adapts",
        _PYABF,
        "9042a1162d18a47fbbe83ea1c0817142d3ae21f6f6060195ff18d35358f6e8c7",
    ),
    "171116sh_0016.abf": _File(
        "a ramp of 10 pA/s over eleven sweeps, the same neuron",
        _PYABF,
        "b9a74742692a098b34c558261cd65e7780298c411ec0c360d69b9cbd42f11b83",
    ),
    "18711001.abf": _File(
        "a prepulse of -100 pA, then steps of 0 to 290 pA",
        _PYABF,
        "a8b6b406e245d4e92d1936803c569b1e7f039899cc21bb240bc2b8385083bad4",
    ),
    "LantyerEtAl2018_180817_ME_9_CC.nwb": _File(
        "current steps of 40 to 400 pA, mouse somatosensory cortex (GigaDB 100535)",
        _SHOWCASE,
        "ca55d8b2f14eb512f072c10e0a419d3db57ab855d04bdcaa36dc9c24a7daf6fd",
    ),
}
"""What each file is, where, and its SHA256. The ABF files are under the MIT licence; the NWB file
is of Lantyer et al. (2018), GigaScience 7, giy126."""

_LIMIT_S = 300.0  # of one download


def fetch(data_dir: Path, name: str, verbose: int = 1) -> Path:
    """Download a file of :data:`RECORDINGS`, unless it is in the data folder already.

    Parameters
    ----------
    data_dir : Path
        The data folder; the file goes to ``recordings/`` in it.
    name : str
        Name of the file.
    verbose : int
        0 shows no progress.

    Returns
    -------
    Path
        Where it is.

    Raises
    ------
    ValueError
        If the name is unknown.
    ConnectionError
        If the download fails, or what arrives is not the published file.
    OSError
        If the data folder cannot be written to.
    """
    if name not in RECORDINGS:
        raise ValueError(f"{name!r} is none of the public recordings: {list(RECORDINGS)}.")
    path = data_dir / FOLDER / name
    file = RECORDINGS[name]
    url = f"https://raw.githubusercontent.com/{file.where}/{name}"
    fetch_known(url, path, file.sha256, _LIMIT_S, verbose)
    return path
