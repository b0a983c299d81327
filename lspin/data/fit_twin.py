"""Fit the synthetic twins: ``python -m lspin.data.fit_twin`` writes ``twin_*.json``.

Reads the real tables and recorded spikes of the data folder and keeps
summary statistics only; what they are and how they are used is told in
:mod:`lspin.data.twin`. The result is deterministic.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import norm
from sklearn.decomposition import PCA

from lspin.data import PATCHSEQ, data_dir, load_cells, load_spikes
from lspin.data.patchseq import PatchSeq
from lspin.data.tables import CLASSES, Cells, Spikes, atomic_write, dendrite_agrees
from lspin.data.twin import (
    ALLEN_LAYOUT,
    COMPONENTS,
    N_COMPONENTS,
    PROBABILITY,
    STATS_FILE,
    Layout,
    encode,
    quantile_levels,
)

_MAX_QUANTILES = 33
_MIN_QUANTILES = 5
_CELLS_PER_QUANTILE = 4
# More (Ledoit-Wolf gives 0.03 to 0.12) loosens the tie between a twin cell's spike and
# its features, and makes no better training set.
_SHRINKAGE = 0.02

_KINDS = ("line_name", "reporter_status", "dendrite_type", "temperature_c", "condition")
"""Metadata that the twin of a Patch-seq source has, in the combinations in which they occur."""

_MEASURED = 0.01
"""Share of cells in which a feature must be measured to be in the twin of a Patch-seq source."""


def fit(cells: Cells, spikes: Spikes) -> dict[str, Any]:
    """Summarise real cells and their spikes.

    Parameters
    ----------
    cells : Cells
        The Allen mouse cells, cohort ``all``.
    spikes : Spikes
        Recorded spikes of some of them.

    Returns
    -------
    dict
        What ``twin_stats.json`` holds. No entry is the row of a cell.
    """
    spike_mean, spike_components, scores = _spike_components(spikes)
    V = pd.concat([encode(cells.X), scores.reindex(cells.X.index)], axis=1)
    agrees = dendrite_agrees(cells.metadata["dendrite_type"], cells.y)
    classes = {}
    for name in CLASSES:
        of_class = cells.y == name
        large = V[of_class & agrees]
        strata = {
            "agrees": _stratum(cells, V, of_class & agrees, large),
            "differs": _stratum(cells, V, of_class & ~agrees, large),
        }
        sizes = cells.donors[of_class].value_counts().value_counts().sort_index()
        classes[name] = {
            "donor_sizes": {str(size): int(number) for size, number in sizes.items()},
            "strata": strata,
            "correlation": _correlation(
                [V[of_class & agrees], V[of_class & ~agrees]], ALLEN_LAYOUT
            ),
        }
    return {
        "about": "Summary statistics of real mouse cells, for the synthetic twin of lspin. "
        "Written by `python -m lspin.data.fit_twin`; see lspin/data/twin.py.",
        "fitted_to": {**cells.provenance["tables"], **spikes.provenance["tables"]},
        "spike": {
            "mean": spike_mean.round(3).tolist(),
            "components": spike_components.round(5).tolist(),
        },
        "classes": classes,
    }


def _spike_components(spikes: Spikes) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Return mean (150,), components (8, 150) and scores (n_spikes, 8) of the waveforms."""
    pca = PCA(n_components=N_COMPONENTS, svd_solver="full")
    scores = pca.fit_transform(spikes.waveform_mv.to_numpy())
    # The sign of a component is arbitrary: make its largest entry positive.
    largest = np.abs(pca.components_).argmax(axis=1)
    signs = np.sign(pca.components_[np.arange(N_COMPONENTS), largest])
    return (
        pca.mean_,
        pca.components_ * signs[:, None],
        pd.DataFrame(scores * signs, index=spikes.waveform_mv.index, columns=list(COMPONENTS)),
    )


def _stratum(
    cells: Cells, V: pd.DataFrame, chosen: pd.Series, large: pd.DataFrame
) -> dict[str, Any]:
    """Summarise the cells of one class whose dendrite type does, or does not, agree."""
    metadata = cells.metadata[chosen]
    return {
        "cells": int(chosen.sum()),
        **{
            column: {k: int(n) for k, n in metadata[column].value_counts().sort_index().items()}
            for column in ("reporter_status", "dendrite_type")
        },
        **_distributions(V[chosen], dict(large.items()), ALLEN_LAYOUT),
    }


def _distributions(V: pd.DataFrame, large: dict[Any, pd.Series], layout: Layout) -> dict[str, Any]:
    """Summarise each variable: how often it is missing, and its quantiles."""
    missing = _missing(V, layout)
    return {
        "missing": {block: round(float(m.mean()), 4) for block, m in missing.items()},
        "quantiles": {name: _quantiles(V[name], large[name]) for name in layout.variables},
    }


def fit_patchseq(described: PatchSeq, data_dir: Path) -> dict[str, Any]:
    """Summarise the cells of a Patch-seq source.

    Parameters
    ----------
    described : PatchSeq
    data_dir : Path
        The data folder, with the files of the source.

    Returns
    -------
    dict
        What the twin's file holds. No entry is the row of a cell.
    """
    X, cells = described.read_all(data_dir)
    subclass = cells["subclass"].where(cells["subclass"].isin(described.subclasses), "other")
    V = encode(X).assign(**{PROBABILITY: cells[PROBABILITY]})
    V = V[[name for name in V if V[name].notna().mean() > _MEASURED]]
    layout = Layout(tuple(V), _blocks(V), {})
    kinds = [name for name in _KINDS if name in cells]
    strata = cells["temperature_c"] if "temperature_c" in cells else pd.Series("all", cells.index)
    classes = {}
    for name in (*described.subclasses, "other"):
        of_class = subclass == name
        parts = {str(s): V[of_class & (strata == s)] for s in strata[of_class].unique()}
        if parts:
            classes[name] = {
                "strata": {
                    s: {
                        "cells": len(part),
                        **_kinds(cells.loc[part.index, kinds]),
                        **_distributions(part, _large((part, V[of_class], V)), layout),
                    }
                    for s, part in parts.items()
                },
                "correlation": _correlation(list(parts.values()), layout),
            }
    sizes = cells["donor_id"].value_counts().value_counts().sort_index()
    return {
        "about": f"Summary statistics of {described.citation}, for a synthetic twin. "
        "Written by `python -m lspin.data.fit_twin`; see lspin/data/twin.py.",
        "fitted_to": {name: digest for name, (_, digest) in described.files.items()},
        "variables": layout.variables,
        "blocks": layout.blocks,
        "kind_columns": kinds,
        "donor_columns": [name for name in ("line_name", "temperature_c") if name in cells],
        "donor_sizes": {str(size): int(number) for size, number in sizes.items()},
        "classes": classes,
    }


def _kinds(metadata: pd.DataFrame) -> dict[str, Any]:
    """Count the combinations of metadata."""
    counts = metadata.value_counts().sort_index()
    return {"kinds": [list(kind) for kind in counts.index], "kind_cells": counts.tolist()}


def _large(tables: tuple[pd.DataFrame, ...]) -> dict[Any, pd.Series]:
    """Take each variable from the first table that has enough of it for two quantiles."""
    return {
        name: next(t[name] for t in tables if t[name].count() >= 2 * _CELLS_PER_QUANTILE)
        for name in tables[0]
    }


def _blocks(V: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Find the variables that are missing in the same cells."""
    together: dict[bytes, list[str]] = {}
    for name in V:
        if V[name].isna().any():
            together.setdefault(V[name].isna().to_numpy().tobytes(), []).append(name)
    return {f"no_{names[0]}": tuple(names) for names in together.values()}


def _missing(V: pd.DataFrame, layout: Layout) -> dict[str, pd.Series]:
    """Tell where each block is missing, among the cells whose outer block is there."""
    missing = {block: V[names[0]].isna() for block, names in layout.blocks.items()}
    return {
        block: m[~missing[layout.parents[block]]] if block in layout.parents else m
        for block, m in missing.items()
    }


def _quantiles(values: pd.Series, large: pd.Series) -> list[float]:
    """Return evenly spread quantiles, one per four cells at most.

    Where a stratum has too few cells for a distribution of its own, it takes that
    of the class's large stratum.
    """
    values, large = values.dropna(), large.dropna()
    n = min(_MAX_QUANTILES, len(values) // _CELLS_PER_QUANTILE)
    if n < _MIN_QUANTILES:
        values, n = large, min(_MAX_QUANTILES, len(large) // _CELLS_PER_QUANTILE)
    spread = np.subtract(*np.quantile(large, [0.9, 0.1]))
    decimals = int(3 - np.floor(np.log10(spread))) if spread > 0 else 6
    return np.quantile(values, quantile_levels(n)).round(decimals).tolist()


def _correlation(strata: list[pd.DataFrame], layout: Layout) -> list[float]:
    """Return the shrunken Gaussian-copula correlation of a class, below its diagonal.

    Features enter as normal scores within their stratum. A missing block enters
    as the expected latent score given that it is missing or there, whose
    covariance with a normal score is the correlation times its own variance
    (biserial correlation).
    """
    scores = pd.concat([_normal_scores(V, layout) for V in strata], ignore_index=True)
    n = len(scores.columns)
    values = scores.to_numpy()
    there = np.isfinite(values)
    filled = np.where(there, values, 0.0)
    pairs = there.T.astype(float) @ there
    covariance = filled.T @ filled / np.maximum(pairs, 1)
    # Below ten common cells a correlation is noise.
    covariance[pairs < 10] = 0.0
    scale = np.nanvar(values, axis=0)
    is_block = np.array([name in layout.blocks for name in scores.columns])
    # A normal score is divided by its standard deviation, a block's by its variance.
    divisor = np.where(is_block, scale, np.sqrt(scale))
    divisor[divisor == 0] = np.inf
    R = np.clip(covariance / np.outer(divisor, divisor), -0.95, 0.95)
    # A variable says nothing on the block in which it goes missing itself.
    columns = list(scores.columns)
    for block, names in layout.blocks.items():
        for name in names:
            i, j = columns.index(block), columns.index(name)
            R[i, j] = R[j, i] = 0.0
    np.fill_diagonal(R, 1.0)
    R = _nearest_correlation((1 - _SHRINKAGE) * R + _SHRINKAGE * np.eye(n))
    return R[np.tril_indices(n, -1)].round(3).tolist()


def _normal_scores(V: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """Return normal scores of the variables and latent scores of the missing blocks."""
    rank = V.rank()
    scores = pd.DataFrame(ndtri((rank - 0.5) / rank.count()), V.index, V.columns)
    for block, missing in _missing(V, layout).items():
        rate = missing.mean()
        if 0 < rate < 1:
            density = norm.pdf(ndtri(rate))
            score = missing.map({True: -density / rate, False: density / (1 - rate)})
            scores[block] = score.reindex(V.index)
        else:
            scores[block] = 0.0
    return scores


def _nearest_correlation(R: np.ndarray, smallest: float = 0.01) -> np.ndarray:
    """Lift the smallest eigenvalues, so that the matrix has a Cholesky root after rounding."""
    values, vectors = np.linalg.eigh(R)
    R = (vectors * np.maximum(values, smallest)) @ vectors.T
    scale = np.sqrt(np.diag(R))
    return R / np.outer(scale, scale)


def main() -> None:
    """Fit to the tables of the data folder and write the files beside this module."""
    folder = data_dir()
    allen = load_cells("allen", "all", data_dir=folder)
    fitted = {STATS_FILE: fit(allen, load_spikes("paper", data_dir=folder))}
    for name, described in PATCHSEQ.items():
        fitted[f"twin_{name}.json"] = fit_patchseq(described, folder)
    for name, stats in fitted.items():
        path = Path(__file__).with_name(name)
        with atomic_write(path) as temporary:
            temporary.write_text(_as_json(stats), encoding="utf-8")
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def _as_json(stats: dict[str, Any]) -> str:
    """Write JSON with one line per list of numbers."""
    return re.sub(r"\n\s*(?=[-\d\]])", "", json.dumps(stats, indent=1)) + "\n"


if __name__ == "__main__":
    main()
