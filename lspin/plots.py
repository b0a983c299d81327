"""Figures that several chapters share, in one set of colours.

Each figure names the source of its data in small grey print, so that the synthetic twin is never
taken for recordings. Matplotlib is imported when a figure is drawn.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pandas as pd

from lspin.data.tables import Cells, Spikes, classes_of
from lspin.features import FEATURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Chosen so that any two differ clearly (CIELAB distance above 30) with normal colour vision and
# with each of the three kinds of colour blindness; tests/test_plots.py measures it.
CLASS_COLORS: dict[str, str] = {
    "Glutamatergic": "#E69F00",
    "Htr3a+|Vip-": "#56B4E9",
    "Pvalb+": "#332288",
    "Sst+": "#117733",
    "Vip+": "#AA3377",
    "spiny": "#E69F00",
    "aspiny": "#332288",
}
"""Colour of each class, mouse and human."""

CLASS_MARKERS: dict[str, str] = {
    "Glutamatergic": "^",
    "Htr3a+|Vip-": "v",
    "Pvalb+": "o",
    "Sst+": "s",
    "Vip+": "D",
    "spiny": "^",
    "aspiny": "o",
}
"""Matplotlib marker of each class: colour is never the only sign."""


def name_source(fig: Figure, source: str) -> None:
    """Write the source of the data below a figure, in small grey print.

    Parameters
    ----------
    fig : Figure
        Drawn with ``layout="constrained"``, which makes room for the line.
    source : str
        Such as ``cells.banner()``.
    """
    lines = textwrap.wrap(source, int(14 * fig.get_figwidth()))
    fig.supxlabel("\n".join(lines), fontsize=7, color="0.4")


def plot_median_spikes(spikes: Spikes, quantiles: tuple[float, float] = (0.1, 0.9)) -> Figure:
    """Draw the median action potential of each class and how much the cells differ.

    Parameters
    ----------
    spikes : Spikes
    quantiles : (float, float), default=(0.1, 0.9)
        At each moment, the band holds the cells between these quantiles.

    Returns
    -------
    Figure
        One panel per class, and the medians over each other in the last panel.
    """
    import matplotlib.pyplot as plt

    classes = classes_of(spikes.species)
    n_rows = -(-(len(classes) + 1) // 3)
    fig, axes = plt.subplots(
        n_rows,
        3,
        figsize=(9, 2.5 * n_rows),
        sharex=True,
        sharey=True,
        layout="constrained",
        squeeze=False,
    )
    panels = axes.ravel()
    time_ms = spikes.waveform_mv.columns.to_numpy(dtype=float)
    counts = spikes.counts()
    for name, ax in zip(classes, panels, strict=False):
        v = spikes.waveform_mv[spikes.y == name]
        low, median, high = v.quantile([quantiles[0], 0.5, quantiles[1]]).to_numpy()
        ax.fill_between(time_ms, low, high, color=CLASS_COLORS[name], alpha=0.25, lw=0)
        ax.plot(time_ms, median, color=CLASS_COLORS[name], lw=2)
        ax.set_title(f"{name} ({counts[name]} cells)", fontsize=10)
        panels[-1].plot(time_ms, median, color=CLASS_COLORS[name], lw=1.5, label=name)
    panels[-1].set_title("medians", fontsize=10)
    panels[-1].legend(frameon=False, fontsize=7)
    for ax in axes[-1]:
        ax.set_xlabel("time from peak (ms)")
    for ax in axes[:, 0]:
        ax.set_ylabel("membrane potential (mV)")
    name_source(fig, spikes.banner())
    return fig


def plot_by_class(
    values: pd.DataFrame, cells: Cells, *, log: tuple[str, ...] = (), n_columns: int = 3
) -> Figure:
    """Draw the distribution of features in each class, as box plots.

    Parameters
    ----------
    values : DataFrame, shape (n_cells, n_features)
        Features of `cells`, in the units of :data:`lspin.features.FEATURES`.
    cells : Cells
        Gives the classes and the source.
    log : tuple of str, optional
        Features to draw on a logarithmic axis.
    n_columns : int, default=3

    Returns
    -------
    Figure
        One panel per feature. Whiskers end at the 5th and 95th percentile.

    Raises
    ------
    ValueError
        If `values` has other rows than `cells`, or a feature is not in the catalogue.
    """
    import matplotlib.pyplot as plt

    _check(values, cells)
    classes = classes_of(cells.species)
    n_columns = min(n_columns, values.shape[1])
    n_rows = -(-values.shape[1] // n_columns)
    fig, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=(3.2 * n_columns, 2.9 * n_rows),
        layout="constrained",
        squeeze=False,
    )
    for ax in axes.ravel()[values.shape[1] :]:
        ax.set_axis_off()
    for name, ax in zip(values.columns, axes.ravel(), strict=False):
        boxes = ax.boxplot(
            [values.loc[cells.y == kind, name].dropna() for kind in classes],
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            medianprops={"color": "black", "linewidth": 2},
        )
        for box, kind in zip(boxes["boxes"], classes, strict=True):
            box.set(facecolor=CLASS_COLORS[kind], alpha=0.6)
        ax.set_xticks(range(1, len(classes) + 1), classes, rotation=35, ha="right", fontsize=8)
        ax.set_ylabel(FEATURES[name].axis_label, fontsize=9)
        if name in log:
            ax.set_yscale("log")
    name_source(fig, cells.banner())
    return fig


def plot_scatter(values: pd.DataFrame, cells: Cells, x: str, y: str) -> Figure:
    """Draw two features against each other, one point per cell.

    Parameters
    ----------
    values : DataFrame, shape (n_cells, n_features)
        Features of `cells`, in the units of :data:`lspin.features.FEATURES`.
    cells : Cells
        Gives the classes and the source.
    x, y : str
        Columns of `values`.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If `values` has other rows than `cells`, or a feature is not in the catalogue.
    """
    import matplotlib.pyplot as plt

    _check(values[[x, y]], cells)
    fig, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
    for kind in classes_of(cells.species):
        of_kind = values[cells.y == kind]
        ax.plot(
            of_kind[x],
            of_kind[y],
            CLASS_MARKERS[kind],
            color=CLASS_COLORS[kind],
            ms=4,
            alpha=0.6,
            mew=0,
            label=kind,
        )
    ax.legend(frameon=False, fontsize=8, markerscale=1.8)
    ax.set_xlabel(FEATURES[x].axis_label)
    ax.set_ylabel(FEATURES[y].axis_label)
    name_source(fig, cells.banner())
    return fig


def _check(values: pd.DataFrame, cells: Cells) -> None:
    """Refuse a table that belongs to other cells, or columns of unknown unit."""
    if not values.index.equals(cells.X.index):
        raise ValueError(
            "The values must be of the same cells in the same order as `cells`; "
            "choose cells with cells.select(...) and compute the values from that."
        )
    if unknown := [name for name in values.columns if name not in FEATURES]:
        raise ValueError(f"Not in the catalogue lspin.features.FEATURES: {unknown[:5]}.")
