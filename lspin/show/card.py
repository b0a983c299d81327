"""One cell's card: the class predicted, through which measurements, and which cells are like it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lspin.data.tables import Cells, Spikes
from lspin.explain.held_out import HeldOut
from lspin.explain.reasons import explain_cells, open_gates_of
from lspin.features.catalogue import feature_named
from lspin.show.plots import class_styles, name_source, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


N_GATES = 10
"""How many open gates a card lists, those with the largest effect."""

WIDTH = 78
"""Letters in a line of a card, as many as fit beside the menu of a page."""

N_NEIGHBOURS = 5
"""How many similar cells a card lists."""


@dataclass(frozen=True, eq=False)
class Card:
    """What there is to say about one cell. ``print(card)`` says it.

    Attributes
    ----------
    specimen_id : int
    label, predicted : str
        The class of its Cre line, and the one that the model answered.
    probability : Series, shape (n_classes,)
        Of each class.
    metadata : Series
        Cre line, dendrite type, reporter, layer and structure.
    gates : DataFrame, shape (n_open, 5)
        By feature, largest effect first: as `lspin.explain.explain_cells`, and ``percentile``,
        the share of all cells with a lower value, in percent; NaN if not measured.
    neighbours : DataFrame, shape (n, ...)
        By ``specimen_id``, the nearest training cells that are of the class that was predicted:
        their metadata and ``distance``, in standard deviations, each measurement counting as
        far as its gate is open for this cell.
    spike_mv : Series or None
        The cell's spike, by time from the peak in ms, if one was recorded.
    class_spikes_mv : DataFrame
        Spikes of the training cells that are of the class that was predicted.
    source : str
        Where the cells come from that the model was trained on; none of this cell's donor.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import without_donor_of
    >>> from lspin.show import make_card
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> specimen_id = few.X.index[0]
    >>> held = without_donor_of(few, specimen_id, LSPINClassifier(n_members=2, n_steps=20))
    >>> card = make_card(held, specimen_id)
    >>> card.title.startswith(f"Cell {specimen_id}: predicted ")
    True
    """

    specimen_id: int
    label: str
    predicted: str
    probability: pd.Series
    metadata: pd.Series
    gates: pd.DataFrame
    neighbours: pd.DataFrame
    spike_mv: pd.Series | None
    class_spikes_mv: pd.DataFrame
    source: str

    @property
    def strongest(self) -> pd.DataFrame:
        """The `N_GATES` open gates with the largest effect, whatever its sign."""
        largest = self.gates["effect"].abs().nlargest(N_GATES).index
        return self.gates[self.gates.index.isin(largest)]

    @property
    def title(self) -> str:
        """What the model answered, and what the label says."""
        sure = f"{self.probability[self.predicted]:.0%}"
        return (
            f"Cell {self.specimen_id}: predicted {self.predicted} ({sure}), labelled {self.label}"
        )

    def __str__(self) -> str:
        """Write the card as text."""
        neighbours = [
            line
            for cell, row in self.neighbours.iterrows()
            for line in wrapped(f"{cell}, at {row['distance']:.2f}: {describe(row)}", "  ", "    ")
        ]
        return "\n".join(
            [
                self.title,
                describe(self.metadata),
                *wrapped(f"Trained without this cell's donor. {self.source}"),
                "",
                *probability_lines(self.probability),
                "",
                *wrapped(
                    f"{len(self.gates)} open gates, through which all of the answer went; the "
                    f"{len(self.strongest)} with the largest effect, the probability that the "
                    "answer loses when this gate alone is closed:"
                ),
                *gate_lines(self.strongest),
                "",
                f"Most similar {self.predicted} cells, by what the gates let through:",
                *neighbours,
            ]
        )


def make_card(held: HeldOut, specimen_id: int, spikes: Spikes | None = None) -> Card:
    """Collect what there is to say about one held-out cell.

    Parameters
    ----------
    held : HeldOut
        From `without_donor_of`, or one of `lspin.explain.hold_out`.
    specimen_id : int
        One of its held-out cells.
    spikes : Spikes, optional
        Spikes of the same source.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If the cell is not among the held-out ones.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import without_donor_of
    >>> from lspin.show import make_card
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> specimen_id = few.X.index[0]
    >>> held = without_donor_of(few, specimen_id, LSPINClassifier(n_members=2, n_steps=20))
    >>> make_card(held, specimen_id).neighbours.shape
    (5, 6)
    """
    one = held.select([specimen_id])
    cell, (predictions, gates) = one.cells, explain_cells(one)
    predicted = predictions["predicted"].iloc[0]

    opened = with_percentiles(held, open_gates_of(gates, specimen_id))
    alike = held.seen.select((held.seen.y == predicted).to_numpy())
    waveforms = pd.DataFrame() if spikes is None else spikes.waveform_mv
    return Card(
        specimen_id=specimen_id,
        label=cell.y.iloc[0],
        predicted=predicted,
        probability=predictions.iloc[0, 2:].astype(float),
        metadata=cell.metadata.iloc[0],
        gates=opened,
        neighbours=nearest_cells(held, alike, gates),
        spike_mv=waveforms.loc[specimen_id] if specimen_id in waveforms.index else None,
        class_spikes_mv=waveforms[waveforms.index.isin(alike.X.index)],
        source=held.seen.banner(),
    )


def with_percentiles(held: HeldOut, opened: pd.DataFrame) -> pd.DataFrame:
    """Add to open gates where the cell stands among all cells, in percent; NaN if not measured.

    Parameters
    ----------
    held : HeldOut
    opened : DataFrame, shape (n_open, 4)
        From `open_gates_of`.

    Returns
    -------
    DataFrame, shape (n_open, 5)
    """
    values = held.measured(pd.concat([held.seen.X, held.cells.X]))[opened.index]
    lower = (values < opened["value"]).sum() / values.notna().sum()
    return opened.assign(percentile=(100 * lower).where(opened["value"].notna()))


def nearest_cells(held: HeldOut, alike: Cells, gates: pd.DataFrame) -> pd.DataFrame:
    """Find the training cells that are most similar by what one cell's gates let through.

    Parameters
    ----------
    held : HeldOut
    alike : Cells
        Training cells to look among.
    gates : DataFrame, shape (d, 4)
        All gates of the one cell, from `explain_cells`.

    Returns
    -------
    DataFrame, shape (n, ...)
        Their metadata and ``distance``, the nearest first.
    """
    away = (held.inputs(alike.X) - gates["z"].to_numpy()) * gates["gate"].to_numpy()
    distance = np.sqrt((away**2).sum(axis=1)).nsmallest(N_NEIGHBOURS).rename("distance")
    return alike.metadata.loc[distance.index].join(distance)


def plot_card(card: Card) -> Figure:
    """Draw a card.

    Parameters
    ----------
    card : Card
        From `make_card`.

    Returns
    -------
    Figure
        Probabilities, spike and neighbours above; the open gates with the largest effect below.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import without_donor_of
    >>> from lspin.show import make_card, plot_card
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> specimen_id = few.X.index[0]
    >>> held = without_donor_of(few, specimen_id, LSPINClassifier(n_members=2, n_steps=20))
    >>> fig = plot_card(make_card(held, specimen_id))
    >>> len(fig.axes)
    5
    """
    import matplotlib.pyplot as plt

    fig = plt.figure(figsize=(9, 6.2), layout="constrained")
    grid = fig.add_gridspec(2, 3, height_ratios=[1, 1.6])
    plot_probability(fig.add_subplot(grid[0, 0]), card.probability)
    _plot_spike(fig.add_subplot(grid[0, 1]), card)
    _write_neighbours(fig.add_subplot(grid[0, 2]), card)
    places = fig.add_subplot(grid[1, :2])
    plot_gates(places, fig.add_subplot(grid[1, 2], sharey=places), card.strongest)
    fig.suptitle(plain(f"{card.title}\n{describe(card.metadata)}"), fontsize=11)
    name_source(fig, f"Trained without this cell's donor. {card.source}")
    return fig


def probability_lines(probability: pd.Series) -> list[str]:
    """Write probabilities as bars of text."""
    return [
        f"  {name:14} {share:4.0%}  {'#' * round(30 * share)}".rstrip()
        for name, share in probability.items()
    ]


def gate_lines(gates: pd.DataFrame) -> list[str]:
    """Write open gates as a table of text, with a head."""
    lines = [f"  {'measurement':32} {'value':>17} {'percentile':>10} {'gate':>5} {'effect':>7}"]
    for name, row in gates.iterrows():
        label = feature_named(name).label
        what = label + value_of(name, row).rjust(50 - len(label))
        lines.append(f"  {what} {percentile_of(row):>10} {row['gate']:5.2f} {row['effect']:+7.1%}")
    return lines


def wrapped(text: str, first: str = "", later: str = "") -> list[str]:
    """Break a sentence into lines of a card, indented as said; nothing if there is none."""
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=later)


def plot_probability(ax: Axes, probability: pd.Series) -> None:
    """Draw the probabilities as bars."""
    shares, styles = probability.iloc[::-1], class_styles(probability.index)
    ax.barh(
        [plain(name) for name in shares.index],
        100 * shares,
        color=[styles[name][0] for name in shares.index],
    )
    ax.set(xlim=(0, 100), xlabel="probability (%)")


def _plot_spike(ax: Axes, card: Card) -> None:
    """Draw the cell's spike over those of the predicted class."""
    color = class_styles(card.probability.index)[card.predicted][0]
    if len(card.class_spikes_mv):
        low, high = card.class_spikes_mv.quantile([0.1, 0.9]).to_numpy()
        time_ms = card.class_spikes_mv.columns.to_numpy(dtype=float)
        ax.fill_between(
            time_ms, low, high, color=color, alpha=0.3, lw=0, label=plain(card.predicted)
        )
    if card.spike_mv is None:
        ax.set_title("no spike at hand", fontsize=9)
    else:
        ax.plot(card.spike_mv.index, card.spike_mv, color="black", label="this cell")
    if ax.has_data():
        ax.legend(frameon=False, fontsize=7, loc="upper right")
    ax.set(xlabel="time from peak (ms)", ylabel="voltage (mV)")


def _write_neighbours(ax: Axes, card: Card) -> None:
    rows = [
        f"{', '.join(filter(None, [str(cell), row['structure']]))} ({row['distance']:.1f})\n"
        f"    {row['line_name']}"
        for cell, row in card.neighbours.iterrows()
    ]
    ax.set_axis_off()
    ax.set_title(
        f"most similar {plain(card.predicted)} cells\n(and distance)", fontsize=9, loc="left"
    )
    ax.text(0, 1, plain("\n".join(rows)), va="top", fontsize=7, transform=ax.transAxes)


def plot_gates(places: Axes, effects: Axes, gates: pd.DataFrame) -> None:
    """Draw where the cell stands among all cells, and what each gate did."""
    rows = gates.iloc[::-1]
    names = [
        plain(f"{feature_named(str(name)).label}: {value_of(str(name), row)}")
        for name, row in rows.iterrows()
    ]
    y = np.arange(len(rows))
    places.hlines(y, 0, 100, color="0.85")
    places.plot(rows["percentile"], y, "o", color="black")
    places.set_yticks(y, names, fontsize=8)
    places.set(xlim=(-3, 103), xlabel="percentile among all cells")
    effects.barh(y, 100 * rows["effect"], color="0.3")
    effects.axvline(0, color="black", lw=0.8)
    effects.tick_params(labelleft=False)
    effects.set_xlabel("probability lost when closed\n(percentage points)")


def value_of(name: str, row: pd.Series) -> str:
    """Write a measurement with its unit."""
    if np.isnan(row["value"]):
        return "not measured"
    return f"{row['value']:.3g} {feature_named(name).unit}".rstrip()


def percentile_of(row: pd.Series) -> str:
    """Write a percentile, or a dash."""
    return "-" if np.isnan(row["percentile"]) else f"{row['percentile']:.0f}"


def describe(metadata: pd.Series) -> str:
    """Write what is known of a cell apart from its recording."""
    parts = [metadata["line_name"], metadata["structure"]]
    if metadata["layer"]:
        parts.append(f"layer {metadata['layer']}")
    if metadata["line_name"]:
        parts.append(f"{metadata['dendrite_type'] or 'unknown'} dendrites")
        parts.append(f"reporter {metadata['reporter_status'] or 'unknown'}")
    return ", ".join(filter(None, parts))
