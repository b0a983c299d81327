"""Figures that several chapters share, in one set of colours.

Each figure names the source of its data in small grey print, so that the synthetic twin is never
taken for recordings. Matplotlib is imported when a figure is drawn.
"""

from __future__ import annotations

import textwrap
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.isotonic import isotonic_regression

from lspin.data.tables import CLASSES, Cells, Spikes, classes_of, printable
from lspin.evaluate.scores import N_BINS
from lspin.features.catalogue import FEATURES, feature_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from lspin.model.path import LimitPath


# Chosen so that any two differ clearly (CIELAB distance above 30) with normal colour vision and
# with each of the three kinds of colour blindness; tests/show/test_plots.py measures it.
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

# The seven colours in turn, each time with another marker: 49 classes can be told apart.
_COLORS = (*(CLASS_COLORS[name] for name in CLASSES), "#882255", "#666666")
_MARKERS = ("^", "v", "o", "s", "D", "P", "X")
_STYLES = [(_COLORS[i], _MARKERS[(i + k) % 7]) for k in range(7) for i in range(7)]


def class_styles(classes: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return colour and marker of each class, for known classes always the same.

    Parameters
    ----------
    classes : iterable of str
        The classes of one table.

    Returns
    -------
    dict of str to (colour, marker)
        Other classes than the book's take what these leave, in alphabetical order; of more than 49
        classes, styles repeat.

    Examples
    --------
    >>> from lspin.show import class_styles
    >>> class_styles(["Pvalb+", "basket"])
    {'Pvalb+': ('#332288', 'o'), 'basket': ('#E69F00', '^')}
    """
    names = sorted(map(str, classes))
    styles: dict[str, tuple[str, str]] = {}
    for name in names:
        style = (CLASS_COLORS[name], CLASS_MARKERS[name]) if name in CLASS_COLORS else None
        if style and style not in styles.values():
            styles[name] = style
    free = [style for style in _STYLES if style not in styles.values()]
    others = (name for name in names if name not in styles)
    return styles | dict(zip(others, cycle(free), strict=False))


def plain(text: str) -> str:
    r"""Keep matplotlib from taking dollar signs for mathematics, and text free of control signs.

    Examples
    --------
    >>> from lspin.show.plots import plain
    >>> print(plain("$5"))
    \$5
    """
    return printable(str(text)).replace("$", r"\$")


def name_source(fig: Figure, source: str) -> None:
    """Write the source of the data below a figure, in small grey print.

    Parameters
    ----------
    fig : Figure
        Drawn with ``layout="constrained"``, which makes room for the line.
    source : str
        Such as ``cells.banner()``.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from lspin import load_cells
    >>> from lspin.show import name_source
    >>> fig, ax = plt.subplots(layout="constrained")
    >>> name_source(fig, load_cells("twin").banner())
    """
    lines = textwrap.wrap(source, int(13 * fig.get_figwidth()))
    fig.supxlabel(plain("\n".join(lines)), fontsize=8, color="0.4")


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

    Examples
    --------
    >>> from lspin import load_spikes
    >>> from lspin.show import plot_median_spikes
    >>> fig = plot_median_spikes(load_spikes("twin"))
    >>> len(fig.axes)
    6
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

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.show import plot_by_class
    >>> cells = load_cells("twin")
    >>> fig = plot_by_class(cells.X[["vrest", "tau", "sag"]], cells, log=("tau",))
    >>> len(fig.axes)
    3
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    _check(values, cells)
    classes, styles = cells.classes, class_styles(cells.classes)
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
            box.set(facecolor=styles[kind][0], alpha=0.6)
        names = [plain(kind) for kind in classes]
        ax.set_xticks(range(1, len(classes) + 1), names, rotation=35, ha="right", fontsize=8)
        ax.set_ylabel(plain(feature_named(name).axis_label), fontsize=9)
        if name in log:
            ax.set_yscale("log")
            ax.minorticks_off()
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
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

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.show import plot_scatter
    >>> cells = load_cells("twin")
    >>> fig = plot_scatter(cells.X, cells, x="vrest", y="sag")
    >>> fig.axes[0].get_xlabel()
    'resting potential (mV)'
    """
    import matplotlib.pyplot as plt

    _check(values[[x, y]], cells)
    fig, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
    styles = class_styles(cells.classes)
    for kind in cells.classes:
        of_kind = values[cells.y == kind]
        ax.plot(
            of_kind[x],
            of_kind[y],
            styles[kind][1],
            color=styles[kind][0],
            ms=4,
            alpha=0.6,
            mew=0,
            label=plain(kind),
        )
    ax.legend(frameon=False, fontsize=8, markerscale=1.8)
    ax.set_xlabel(plain(feature_named(x).axis_label))
    ax.set_ylabel(plain(feature_named(y).axis_label))
    name_source(fig, cells.banner())
    return fig


def plot_path(path: LimitPath, n_inputs: int, source: str) -> Figure:
    """Draw score against open gates along a path, and what the one-standard-error rule takes.

    Parameters
    ----------
    path : LimitPath
        From `lspin.lspin_path`: macro F1 is drawn, or R² for a regression.
    n_inputs : int
        How many gates there are.
    source : str
        Such as ``cells.banner()``.

    Returns
    -------
    Figure
        A dot per limit: mean over folds. From two folds on with bars of one standard error, the
        level that is enough, and a ring around the limit of
        `lspin.model.one_standard_error`.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from lspin.model import LimitPath
    >>> from lspin.show import plot_path
    >>> scores = pd.DataFrame(
    ...     {"fold": [0, 0], "max_open": [5, 8], "open_gates": [5, 8], "macro_f1": [0.77, 0.78]}
    ... )
    >>> path = LimitPath("max_open", scores, rows=np.arange(10), gates=np.zeros((2, 10, 42)))
    >>> fig = plot_path(path, n_inputs=42, source="Made-up numbers.")
    """
    import matplotlib.pyplot as plt

    scores = path.scores
    metric, label = ("macro_f1", "macro F1") if "macro_f1" in scores else ("r2", "R²")
    by_limit = scores.groupby(path.limit)
    mean = by_limit[["open_gates", metric]].mean()
    n_folds = scores["fold"].nunique()
    fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
    error = by_limit[metric].sem() if n_folds > 1 else None
    ax.errorbar(
        mean["open_gates"], mean[metric], yerr=error, fmt="o-", color="black", capsize=2, lw=1
    )
    for limit, row in mean.iterrows():
        place = (row["open_gates"], row[metric])
        text = "no limit" if np.isinf(limit) else f"{limit:g}"
        ax.annotate(text, place, (9, 7), textcoords="offset points", fontsize=8)
    if error is not None:
        best = mean[metric].idxmax()
        enough = mean[metric][best] - error[best]
        ax.axhline(enough, color="0.5", ls=":", label="best mean less one standard error")
        chosen = path.one_standard_error()
        ax.plot(*mean.loc[chosen], "o", ms=14, mfc="none", mec="black", label="the rule takes this")
        ax.legend(frameon=False, fontsize=8, loc="lower right")
    ax.set_xlabel(f"open gates per cell, of {n_inputs} (median)")
    ax.set_ylabel(f"{label}, held-out donors")
    ax.set_title(f"{path.limit} beside each dot; folds: {n_folds}", fontsize=9)
    # Few gates are close together and of most interest; a penalty may leave none open.
    ax.set_xscale("symlog", linthresh=1)
    ticks = [tick for tick in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= n_inputs]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xlim(min(0.8, mean["open_gates"].min() - 0.2), 2 * n_inputs)
    ax.minorticks_off()
    name_source(fig, source)
    return fig


def plot_reliability(truth: ArrayLike, proba: Mapping[str, pd.DataFrame], source: str) -> Figure:
    """Draw how often a model is right against how sure it is.

    Parameters
    ----------
    truth : array-like, shape (n,)
        Class of each cell.
    proba : mapping of str to DataFrame, shape (n, n_classes)
        Probabilities of each model, with the classes as columns.
    source : str
        Such as ``cells.banner()``.

    Returns
    -------
    Figure
        A line per model through bins of equal width of the largest probability; dots are as
        large as the share of cells in their bin. On the diagonal a model is calibrated.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.show import plot_reliability
    >>> sure = pd.DataFrame({"Pvalb+": [0.9, 0.8, 0.3], "Sst+": [0.1, 0.2, 0.7]})
    >>> truth = ["Pvalb+", "Sst+", "Sst+"]
    >>> fig = plot_reliability(truth, {"LSPIN": sure}, source="Made-up numbers.")
    """
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
    ax.plot([0, 1], [0, 1], color="0.7", lw=1)
    colors = cycle(("black", "#E69F00", "#56B4E9", "#117733", "#AA3377"))
    for (name, p), color, marker in zip(proba.items(), colors, cycle("os^vD"), strict=False):
        table = pd.DataFrame({"sure": p.max(axis=1), "right": p.idxmax(axis=1) == truth})
        bins = table.groupby(np.ceil(table["sure"] * N_BINS))
        mean = bins.mean()
        ax.plot(mean["sure"], mean["right"], color=color, lw=1)
        ax.scatter(
            mean["sure"],
            mean["right"],
            200 * bins.size() / len(table),
            color=color,
            marker=marker,
            label=plain(name),
        )
    ax.set(xlabel="probability of the predicted class", ylabel="share that is right")
    ax.set(xlim=(0.2, 1.02), ylim=(0, 1.02))
    ax.legend(frameon=False, fontsize=8)
    name_source(fig, source)
    return fig


def plot_score_by_gates(
    scores: pd.DataFrame, n_inputs: int, source: str, before: pd.DataFrame | None = None
) -> Figure:
    """Draw recorded macro F1 against open gates, the models without gates at the right edge.

    Parameters
    ----------
    scores : DataFrame
        A row per model, repeat and fold, of one table, as `lspin.studies.evaluate` records
        them. Models without gates have no ``open_gates``: they use every input.
    n_inputs : int
        Number of inputs, and so of gates.
    source : str
        Where the cells come from.
    before : DataFrame, optional
        What ensembles reached whose networks each had gates of their own: ``open_gates``, of a
        cell in any network, and ``macro_f1``.

    Returns
    -------
    Figure
        A line through the limits of LSPIN; other models with gates beside it; a dotted line at
        the best rival.

    Examples
    --------
    >>> from lspin.show import plot_score_by_gates
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> fig = plot_score_by_gates(tables["scores"], n_inputs=41, source=about["banner"])
    """
    import matplotlib.pyplot as plt

    # In the order of the rows, so that LSPIN comes first, as in what is recorded.
    means = scores.groupby("model", sort=False)[["open_gates", "macro_f1"]].mean()
    gated = means["open_gates"].notna()
    rivals = means[~gated].sort_values("macro_f1")
    ours = means[gated & means.index.str.startswith("LSPIN")].sort_values("open_gates")
    relatives = means[gated].drop(ours.index)

    fig, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
    ax.plot(*ours.to_numpy().T, "o-", color="black", ms=5, lw=1, label="LSPIN, each limit")
    for (name, place), marker in zip(relatives.iterrows(), "DXv<>", strict=False):
        ax.plot(*place, marker, ms=8, ls="none", alpha=0.8, label=plain(name))
    if before is not None:
        label = "ensembles of networks with gates of their own"
        columns = [before["open_gates"], before["macro_f1"]]
        ax.plot(*columns, "s", color="0.5", mfc="white", label=label)
    if len(rivals):
        ax.axhline(rivals["macro_f1"].max(), color="0.5", ls=":", lw=1)
        ax.plot([n_inputs] * len(rivals), rivals["macro_f1"], "_", color="0.3", ms=14)
        _label_at_the_right(ax, rivals["macro_f1"])
    ax.set(xlim=(0, n_inputs + 1), ylabel="macro F1 (mean over folds)")
    ax.set_xlabel(f"measurements that the answer used (median cell), of {n_inputs}; rivals use all")
    ax.legend(frameon=False, fontsize=8, loc="best")
    name_source(fig, source)
    return fig


def _label_at_the_right(ax: Axes, values: pd.Series) -> None:
    """Write the index of rising `values` beside the axes, as near as lines of text may be."""
    low, high = ax.get_ylim()
    lines = (high - low) / 24 * np.arange(len(values))
    places = isotonic_regression(values.to_numpy() - lines) + lines
    for (name, value), place in zip(values.items(), places, strict=True):
        ax.annotate(
            plain(name),
            (1, value),
            (1.03, place),
            xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"),
            fontsize=8,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "0.7", "lw": 0.5, "relpos": (0, 0.5)},
        )


def _check(values: pd.DataFrame, cells: Cells) -> None:
    """Refuse a table that belongs to other cells, or columns of unknown unit."""
    if not values.index.equals(cells.X.index):
        raise ValueError(
            "The values must be of the same cells in the same order as `cells`; "
            "choose cells with cells.select(...) and compute the values from that."
        )
    unknown = [name for name in values.columns if name not in FEATURES]
    if unknown and cells.source != "own":
        raise ValueError(f"Not in the catalogue lspin.features.FEATURES: {unknown[:5]}.")
