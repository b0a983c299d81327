"""The card of a cell of one's own: which type was predicted, why, and why that may be wrong.

What speaks against an answer comes first: a model answers whatever it is asked.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from lspin.data.tables import Cells, atomic_write
from lspin.evaluate.shift import NOT_MEASURED, Shift, shift
from lspin.explain.known import (
    EXCITATORY,
    KNOWN_SPECIES,
    KNOWN_TEMPERATURE_C,
    Asked,
    SecondOpinion,
    Trust,
    ask,
    second_opinions,
)
from lspin.explain.reasons import explain_cells, open_gates_of
from lspin.features.catalogue import feature_named
from lspin.features.files import check_readable, read_recording
from lspin.features.form import (
    check_features,
    impossible_values,
    is_feature_table,
    read_features,
)
from lspin.features.measure import Measured, measure
from lspin.features.recording import Recording, Sweep
from lspin.show.card import (
    describe,
    gate_lines,
    nearest_cells,
    plain,
    plot_gates,
    plot_probability,
    probability_lines,
    with_percentiles,
    wrapped,
)
from lspin.show.plots import name_source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NEAR_C = 2.0  # °C; a thermometer is not more exact
_MOST_DOUBTS = 4
_FINDINGS = ("there are fewer than three spikes", "no slow trough")  # why a value is missing


@dataclass(frozen=True, eq=False)
class OwnCard:
    """What there is to say about a cell of one's own. ``print(card)`` says it.

    Attributes
    ----------
    name : str
        Of the file, or of the row of a table.
    predicted : str
        The class that the model answered.
    probability : Series, shape (n_classes,)
        Of each class.
    trust : Trust
        How often such a model is right about known cells of animals that it had not seen.
    caution : str
        Why the answer may be wrong even about a cell like the known ones; empty if nothing is known
        of that.
    doubts : tuple of str
        Why the cell lies outside of what the model knows; empty if it does not.
    gates : DataFrame, shape (n_open, 5)
        By feature, largest effect first: all that the answer used, as
        :func:`~lspin.explain.explain_cells`, with ``percentile``.
    neighbours : DataFrame, shape (n, ...)
        The known cells that are nearest by what the gates let through: ``class``, metadata and
        ``distance``.
    n_used : int
        How many measurements the model could choose from.
    missing : dict of str to str
        Why others are missing.
    notes : tuple of str
        What was measured otherwise than in the known cells.
    shift : Shift
        How far each measurement lies from the known cells.
    measured : Measured or None
        The recording, where there is one.
    source : str
        Where the known cells come from.
    second : SecondOpinion or str
        What cells labelled by their own RNA say of a cell that was predicted to be inhibitory, or
        why they could not be asked; empty if they were not.

    Examples
    --------
    >>> from lspin import classify, load_cells
    >>> from lspin.explain import known_cells
    >>> known = known_cells(verbose=0)
    >>> few = known.select(known.X.index[::30])
    >>> X = load_cells("twin").X.iloc[:1].set_axis(["A1"])
    >>> (card,) = classify(X, known=few, temperature_c=22)
    >>> str(card).splitlines()[0]
    'OUTSIDE of what the model knows. Take the answer for a guess:'
    """

    name: str
    predicted: str
    probability: pd.Series
    trust: Trust
    caution: str
    doubts: tuple[str, ...]
    gates: pd.DataFrame
    neighbours: pd.DataFrame
    n_used: int
    missing: dict[str, str]
    notes: tuple[str, ...]
    shift: Shift
    measured: Measured | None
    source: str
    second: SecondOpinion | str = ""

    @property
    def is_outside(self) -> bool:
        """Whether the cell lies outside of what the model knows."""
        return bool(self.doubts)

    @property
    def title(self) -> str:
        """What the model answered."""
        return f"{self.name}: predicted {self.predicted} ({self.probability[self.predicted]:.0%})"

    @property
    def how_often_right(self) -> str:
        """A sentence about known cells."""
        share = (
            f"; of those it predicted to be {self.predicted}, {self.trust.of_predicted:.0%} were"
            if np.isfinite(self.trust.of_predicted)
            else ""
        )
        return (
            f"With these {self.n_used} measurements such a model is right about "
            f"{self.trust.accuracy:.0%} of {self.trust.n_cells} known cells whose animals it had "
            f"not seen{share}."
        )

    @property
    def second_opinion(self) -> str:
        """The second opinion and what it is worth, in words."""
        return self.second if isinstance(self.second, str) else self.second.beside(self.predicted)

    @property
    def second_source(self) -> str:
        """Where the cells behind the second opinion come from; empty if there is none."""
        if isinstance(self.second, str):
            return ""
        return f"Second opinion: {self.second.source.removeprefix('Source: ')}"

    def __str__(self) -> str:
        """Write the card as text."""
        first = []
        if self.is_outside:
            first = [
                "OUTSIDE of what the model knows. Take the answer for a guess:",
                *_bullets(self.doubts[:_MOST_DOUBTS], len(self.doubts)),
                "",
            ]
        neighbours = [
            line
            for cell, row in self.neighbours.iterrows()
            for line in wrapped(
                f"{row['class']}, at {row['distance']:.2f}: {describe(row)} (cell {cell})",
                "  ",
                "    ",
            )
        ]
        lacks = [f"{why} ({count})" for why, count in self.reasons().items()]
        return "\n".join(
            [
                *first,
                self.title,
                *wrapped(self.how_often_right),
                *wrapped(self.caution),
                *wrapped(self.second_opinion),
                "",
                *probability_lines(self.probability),
                "",
                *wrapped(
                    f"The answer used these {len(self.gates)} of {self.n_used} measurements, and "
                    f"no other. Effect: the probability that {self.predicted} loses without it."
                ),
                *gate_lines(self.gates),
                "",
                "The known cells that are most similar in these:",
                *neighbours,
                *_section("Missing", lacks),
                *_section("Measured otherwise than in the known cells", self.notes),
                "",
                *wrapped(self.source),
                *wrapped(self.second_source),
            ]
        )

    def reasons(self) -> dict[str, int]:
        """Count the missing features by reason, the most frequent first."""
        return pd.Series(self.missing, dtype=object).value_counts().to_dict()


class _Setup(NamedTuple):
    """What no measurement shows, as far as it is known."""

    species: str | None
    temperature_c: float | None

    def or_as_in(self, recording: Recording) -> _Setup:
        """Add what the file says, where nobody else did."""
        there = recording.provenance
        degrees = self.temperature_c
        return _Setup(
            self.species or there.get("species"),
            there.get("temperature_c") if degrees is None else degrees,
        )

    def doubts(self) -> list[str]:
        """Say in what the cell differs from the known ones."""
        doubts = []
        species, degrees = (self.species or "").strip(), self.temperature_c
        if species and species.lower() not in (KNOWN_SPECIES, "mus musculus"):
            doubts.append(f"The species is {species}; the known cells are of mice.")
        if degrees is not None:
            if not 0 < degrees < 45:
                raise ValueError(f"temperature_c is {degrees:g}: give degrees Celsius.")
            if abs(degrees - KNOWN_TEMPERATURE_C) > _NEAR_C:
                doubts.append(
                    f"It was recorded at {degrees:g} °C, the known cells at about "
                    f"{KNOWN_TEMPERATURE_C:g}: a spike at 25 °C is up to twice as wide."
                )
        return doubts


def _bullets(lines: Sequence[str], n_all: int) -> list[str]:
    bullets = [part for line in lines for part in wrapped(line, "  - ", "    ")]
    return [*bullets, *([f"  - and {n_all - len(lines)} more"] if n_all > len(lines) else [])]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"{title}:", *_bullets(lines, len(lines))] if lines else []


def classify(
    what: str | os.PathLike[str] | Recording | Measured | pd.DataFrame,
    *,
    species: str | None = None,
    temperature_c: float | None = None,
    known: Cells | None = None,
    verbose: int = 0,
) -> OwnCard | list[OwnCard]:
    """Say which kind of neuron a recording came from, and why.

    A model is trained on known cells, with just the features that were measured here.

    Parameters
    ----------
    what : path-like, Recording, Measured or DataFrame
        The file of a recording (see :func:`~lspin.features.read_recording`), what was read from it,
        what was measured in it, or a table of features, one cell a row, with columns as in
        :data:`~lspin.data.RELEASED_FEATURES` or :data:`~lspin.features.TEMPLATE_FEATURES`.
    species : str, optional
        Such as "mouse", if you know; by default what the file says, if it does.
    temperature_c : float, optional
        Of the bath, in °C; by default what the file says. The known cells were recorded at about
        34.
    known : Cells, optional
        What to learn from, such as ``load_cells("v1")``; by default
        :func:`~lspin.explain.known_cells`, and for cells that these call inhibitory there is a
        second opinion, :func:`~lspin.explain.second_opinions`.
    verbose : int, default=0
        1 shows progress.

    Returns
    -------
    OwnCard, or list of OwnCard for a table

    Raises
    ------
    ImportError
        If what reads and measures recordings is not installed.
    OSError
        If the file cannot be read.
    ValueError
        If it is no current-clamp recording, nothing can be measured, or units cannot be right.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin import classify
    >>> try:
    ...     classify(pd.DataFrame({"vrest": [-0.07]}, index=["A1"]))
    ... except ValueError as error:
    ...     print(error)
    The table: vrest looks like volts, not mV, in 1 of 1 cells (such as -0.07 in cell A1): \
multiply by 1000.
    """
    setup = _Setup(species, temperature_c)
    if isinstance(what, pd.DataFrame):
        return _classify_table(what, setup, known, verbose)
    if not isinstance(what, Recording | Measured):
        what = read_recording(Path(what))
    measured = what if isinstance(what, Measured) else measure(what)
    return _classify_measured(measured, setup, known, verbose)


def _classify_table(
    table: pd.DataFrame, setup: _Setup, known: Cells | None, verbose: int
) -> list[OwnCard]:
    doubts = setup.doubts()
    X = check_features(table)
    asked = ask(X, known, verbose=verbose)
    strange = impossible_values(X)
    cards = [
        _card(asked, row, [*doubts, *strange.get(cell, [])], {}, (), None)
        for row, cell in enumerate(X.index)
    ]
    return cards if known is not None else _with_second(cards, X, asked, verbose)


def _classify_measured(
    measured: Measured, setup: _Setup, known: Cells | None, verbose: int
) -> OwnCard:
    doubts = setup.or_as_in(measured.recording).doubts()
    X = own_row(measured)
    asked = ask(X, known, verbose=verbose)
    strange = impossible_values(X).get(measured.recording.name, [])
    notes = measured.notes
    if measured.recording.is_synthetic:
        notes = ("This cell is SYNTHETIC: it was simulated, not recorded.", *notes)
    if any(sweep.looks_clamped for sweep in measured.recording.sweeps):
        doubts.append(
            "The voltage jumps with a step of current and then stands still, as in voltage clamp; "
            "types are told apart in current clamp only."
        )
    card = _card(asked, 0, [*doubts, *strange], measured.missing, notes, measured)
    return card if known is not None else _with_second([card], X, asked, verbose)[0]


def _with_second(
    cards: Sequence[OwnCard], X: pd.DataFrame, asked: Asked, verbose: int
) -> list[OwnCard]:
    """Have those that seem to be inhibitory judged by cells labelled by their own RNA too."""
    inhibitory = [card.predicted != EXCITATORY for card in cards]
    if not any(inhibitory):
        return list(cards)
    said: Iterator[SecondOpinion | str]
    try:
        said = iter(second_opinions(X[inhibitory], asked.held.seen, verbose=verbose))
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        if isinstance(error, ConnectionError):
            # What a client says of a failed connection is long, and all about its insides.
            why = (
                "the cells labelled by their own RNA are not in the data folder, and "
                f"{why.partition(' (')[0]}. Where there is a network, `lspin fetch --source v1` "
                "gets them."
            )
        said = repeat(f"There is no second opinion: {why}")
    pairs = zip(cards, inhibitory, strict=True)
    return [replace(card, second=next(said)) if ask_again else card for card, ask_again in pairs]


def own_row(measured: Measured) -> pd.DataFrame:
    """Return what was measured in a recording as a table of one row, without empty columns.

    Parameters
    ----------
    measured : Measured

    Returns
    -------
    DataFrame, shape (1, n_measured)
        Adaptation stays as an empty column where the cell fired too few spikes for it, and the slow
        trough where none followed the spike: that says something about the cell. Where no step
        would have shown them, it says nothing.

    Raises
    ------
    ValueError
        If there was no spike.

    Examples
    --------
    >>> from lspin.features import measure, simulated_recording
    >>> from lspin.show.own_cell import own_row
    >>> own_row(measure(simulated_recording())).shape
    (1, 45)
    """
    row = measured.table().dropna(axis=1)
    if not any(name.startswith("threshold_i") for name in row):
        raise ValueError(
            f"{measured.recording.name}: no spike was found that current had evoked "
            f"({measured.missing['threshold_i_long_square']}), and without one nobody can tell "
            "types apart."
        )
    told = [name for name, why in measured.missing.items() if why.startswith(_FINDINGS)]
    return row.assign(**dict.fromkeys(told, np.nan))


def _card(
    asked: Asked,
    row: int,
    doubts: list[str],
    missing: dict[str, str],
    notes: tuple[str, ...],
    measured: Measured | None,
) -> OwnCard:
    held = asked.held.select([asked.held.cells.X.index[row]])
    cell = held.cells.X.index[0]
    predictions, gates = explain_cells(held)
    predicted = predictions["predicted"].iloc[0]
    apart = shift(held.seen, held.cells.X)
    neighbours = nearest_cells(held, held.seen, gates)
    neighbours.insert(0, "class", held.seen.y[neighbours.index])
    lacks = [name for name in held.cells.X if held.cells.X[name].isna().all()]
    if lacks:
        notes = (
            *notes,
            f"{', '.join(lacks[:5])}{' and more' if len(lacks) > 5 else ''} was not measured in "
            "this cell, only in most others of the table: the middle of the known cells stands in.",
        )
    return OwnCard(
        name=asked.names[row],
        predicted=predicted,
        probability=predictions.iloc[0, 2:].astype(float),
        trust=asked.trust(predicted),
        caution=asked.caution(predicted),
        doubts=(*doubts, *_doubts_of(apart)),
        gates=with_percentiles(held, open_gates_of(gates, cell)),
        neighbours=neighbours,
        n_used=held.cells.X.shape[1],
        missing=missing,
        notes=notes,
        shift=apart,
        measured=measured,
        source=held.seen.banner(),
    )


def _doubts_of(apart: Shift) -> list[str]:
    """Put what lies outside into sentences, the farthest first."""
    doubts = []
    for name, row in apart.table[apart.table["outside"]].iterrows():
        if name == NOT_MEASURED:
            continue
        about = feature_named(str(name))
        doubts.append(
            f"{about.label} is {row['new']:.3g} {about.unit}".rstrip()
            + f", {row['distance']:+.1f} standard deviations from the middle of the known cells "
            f"({row['train']:.3g}); {row['limit']:.1f} would be rare."
        )
    return doubts


def classify_file(
    path: str | os.PathLike[str],
    *,
    species: str | None = None,
    temperature_c: float | None = None,
    known: Cells | None = None,
    verbose: int = 0,
) -> list[OwnCard]:
    """Classify what is in a file of either kind: a recording, or a table of features.

    Parameters
    ----------
    path : path-like
    species, temperature_c, known, verbose
        As in `classify`.

    Returns
    -------
    list of OwnCard
        One of a recording, one for each row of a table.

    Raises
    ------
    ImportError, OSError, ValueError
        As `classify`; also if the file hangs or kills the library that reads it.
    """
    setup = _Setup(species, temperature_c)
    if is_feature_table(path):
        return _classify_table(read_features(path), setup, known, verbose)
    check_readable(path)
    measured = measure(read_recording(path))
    return [_classify_measured(measured, setup, known, verbose)]


def write_cards(cards: Sequence[OwnCard], folder: Path) -> list[Path]:
    """Write a table of cards and a figure of each.

    Parameters
    ----------
    cards : sequence of OwnCard
    folder : Path
        Made if it is not there. Nothing in it is replaced: where a name is taken, a number is
        added.

    Returns
    -------
    list of Path
        What was written, the table first.
    """
    import matplotlib.pyplot as plt

    folder.mkdir(exist_ok=True)
    written = [_free(folder / "cells.csv")]
    with atomic_write(written[0]) as temporary:
        cards_table(cards).to_csv(temporary, index=False)
    for card in cards:
        stem = re.sub(r"[^\w.-]+", "_", card.name).strip("._")[:80] or "cell"
        path = _free(folder / f"{stem}.png")
        with atomic_write(path) as temporary:
            figure = plot_own_card(card)
            figure.savefig(temporary, dpi=150)
            plt.close(figure)
        written.append(path)
    return written


def _free(path: Path) -> Path:
    """Return a path that is not taken."""
    names = (path.with_stem(f"{path.stem}-{n}") for n in count(2))
    return next(name for name in chain([path], names) if not name.exists())


def cards_table(cards: Sequence[OwnCard]) -> pd.DataFrame:
    """Sum up cards in a table.

    Parameters
    ----------
    cards : sequence of OwnCard

    Returns
    -------
    DataFrame, one row per card
        ``cell``, ``predicted``, ``probability``, ``outside``, ``measurements`` (which decided, with
        values), ``why_outside``, ``caution``, ``second_opinion``, ``right_about_known``, and the
        probability of each class.

    Examples
    --------
    >>> from lspin import classify, load_cells
    >>> from lspin.explain import known_cells
    >>> from lspin.show import cards_table
    >>> known = known_cells(verbose=0)
    >>> few = known.select(known.X.index[::30])
    >>> X = load_cells("twin").X.iloc[:1].set_axis(["A1"])
    >>> cards_table(classify(X, known=few)).columns[:4].tolist()
    ['cell', 'predicted', 'probability', 'outside']
    """
    rows = []
    for card in cards:
        decided = [
            f"{name}={row['value']:.4g}" if np.isfinite(row["value"]) else f"{name} not measured"
            for name, row in card.gates.iterrows()
        ]
        rows.append(
            {
                "cell": card.name,
                "predicted": card.predicted,
                "probability": round(float(card.probability[card.predicted]), 3),
                "outside": card.is_outside,
                "measurements": "; ".join(decided),
                "why_outside": " ".join(card.doubts),
                "caution": card.caution,
                "second_opinion": card.second_opinion,
                "right_about_known": round(card.trust.accuracy, 3),
                **{f"p({name})": round(float(p), 4) for name, p in card.probability.items()},
            }
        )
    return pd.DataFrame(rows)


def plot_own_card(card: OwnCard) -> Figure:
    """Draw the card of a cell of one's own.

    Parameters
    ----------
    card : OwnCard

    Returns
    -------
    Figure
        What speaks against the answer above; then the probabilities, the trace with its spikes
        marked, the measurements that decided, and the nearest known cells.

    Examples
    --------
    >>> from lspin import classify, load_cells
    >>> from lspin.explain import known_cells
    >>> from lspin.show import plot_own_card
    >>> known = known_cells(verbose=0)
    >>> few = known.select(known.X.index[::30])
    >>> X = load_cells("twin").X.iloc[:1].set_axis(["A1"])
    >>> (card,) = classify(X, known=few)
    >>> len(plot_own_card(card).axes)
    5
    """
    import matplotlib.pyplot as plt

    fig = plt.figure(figsize=(9.5, 6.6), layout="constrained")
    grid = fig.add_gridspec(2, 3, height_ratios=[1, 1.2], width_ratios=[1, 0.9, 1.25])
    plot_probability(fig.add_subplot(grid[0, 0]), card.probability)
    _plot_trace(fig.add_subplot(grid[0, 1:]), card)
    places = fig.add_subplot(grid[1, 0])
    plot_gates(places, fig.add_subplot(grid[1, 1], sharey=places), card.gates)
    places.set_xlabel("percentile among\nknown cells")
    _write_neighbours(fig.add_subplot(grid[1, 2]), card)
    _write_head(fig, card)
    lacks = "; ".join(f"{why} ({n})" for why, n in card.reasons().items())
    missing = f"Missing: {lacks}." if lacks else ""
    said = (
        card.how_often_right,
        card.caution,
        card.second_opinion,
        missing,
        card.source,
        card.second_source,
    )
    name_source(fig, " ".join(filter(None, said)))
    return fig


def _write_head(fig: Figure, card: OwnCard) -> None:
    lines = [plain(card.title)]
    if card.is_outside:
        shown = " ".join(card.doubts[:2])
        more = f" And {len(card.doubts) - 2} more." if len(card.doubts) > 2 else ""
        said = f"OUTSIDE of what the model knows; the answer is a guess. {shown}{more}"
        lines = [*map(plain, textwrap.wrap(said, 120)), *lines]
    fig.suptitle("\n".join(lines), fontsize=10, color="#990000" if card.is_outside else "black")


def _plot_trace(ax: Axes, card: OwnCard) -> None:
    """Draw the sweep with most spikes, each one marked."""
    if card.measured is None:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "a row of a table: there is no trace", ha="center", color="0.4")
        return
    sweep = _liveliest(card.measured)
    spikes = card.measured.spikes[card.measured.spikes["sweep"] == sweep.number]
    ax.plot(sweep.time_s, sweep.voltage_mv, color="black", lw=0.6)
    ax.plot(spikes["peak_t"], spikes["peak_v"], "o", ms=3.5, color="#CC3311")
    current = ""
    if pulse := sweep.stimulus:
        ax.axvspan(pulse.start_s, pulse.end_s, color="0.92", zorder=0)
        margin = 0.2 * pulse.duration_s
        ax.set_xlim(
            max(pulse.start_s - margin, 0), min(pulse.end_s + margin, float(sweep.time_s[-1]))
        )
        current = f" at {pulse.amplitude_pa:.0f} pA ({pulse.kind.replace('_', ' ')})"
    ax.set(xlabel="time (s)", ylabel="voltage (mV)")
    ax.set_title(
        f"sweep {sweep.number}: {len(spikes)} spike{'s' * (len(spikes) != 1)}{current}", fontsize=9
    )


def _liveliest(measured: Measured) -> Sweep:
    """Return the sweep with most spikes."""
    number = measured.spikes["sweep"].value_counts().idxmax()
    return next(sweep for sweep in measured.recording.sweeps if sweep.number == number)


def _write_neighbours(ax: Axes, card: OwnCard) -> None:
    rows = [
        f"{row['class']} ({row['distance']:.1f})\n    {row['line_name'] or 'no line'}"
        for _, row in card.neighbours.iterrows()
    ]
    ax.set_axis_off()
    ax.set_title("most similar known cells\n(and distance)", fontsize=9, loc="left")
    ax.text(0, 1, plain("\n".join(rows)), va="top", fontsize=8, transform=ax.transAxes)
