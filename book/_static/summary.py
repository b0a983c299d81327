"""Draw the figures of the front page and README.md: ``python book/_static/summary.py``.

``summary.svg`` is of the recorded results, ``one_cell.svg`` of a public recording and a model that
learned from recorded cells. Both are drawn on white, so that they can be read in the dark too.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from lspin import classify
from lspin.data import fetch_recording
from lspin.evaluate import intervals, summary
from lspin.evaluate.shift import NOT_MEASURED
from lspin.features import feature_named, measure, read_recording
from lspin.show import CLASS_COLORS, OwnCard, name_source
from lspin.studies import read_results, results_file

RECORDING = "171116sh_0018.abf"
"""From the repository swharden/pyABF, MIT licence."""

SHOWN = {
    "LSPIN": "LSPIN, no limit",
    "LSPIN, 5 gates": "LSPIN, at most 5 open gates",
    "RBF-SVM": "support vector machine",
    "random forest": "random forest",
    "LightGBM": "gradient boosting (LightGBM)",
    "explainable boosting": "explainable boosting",
    "TabM": "TabM",
    "RealMLP": "RealMLP",
    "MLP": "neural network without gates",
    "logistic regression": "logistic regression",
}
"""Rows of the recorded table, and what the figure calls them."""


def main() -> None:
    """Write both figures beside this file."""
    # Text stays text, and no date: the same numbers give the same file.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "lspin"})
    plt.rcParams["path.simplify_threshold"] = 0.5  # of a pixel: a trace has thousands of samples
    draw_scores()
    draw_one_cell()


def draw_scores() -> None:
    """Write ``summary.svg``: the scores of LSPIN and its rivals."""
    tables, about = read_results(results_file("positive"))
    scores = tables["scores"]
    table = intervals(scores)["macro_f1"].loc[list(SHOWN)].sort_values("mean")
    gates = summary(scores)["open_gates"]
    low, high = table["low"].min() - 0.01, table["high"].max() + 0.01
    step = (high - low) / 7  # of the columns of numbers at the right

    fig, ax = plt.subplots(figsize=(8.6, 4.2), layout="constrained")
    for y, (name, row) in enumerate(table.iterrows()):
        color = "#AA3377" if name.startswith("LSPIN") else "0.35"
        ax.plot([row["low"], row["high"]], [y, y], color=color, lw=2)
        ax.plot(row["mean"], y, "o", color=color)
        uses_all = gates.isna()[name] or gates[name] == 42
        ax.text(high, y, f"{row['mean']:.3f}", va="center", color=color)
        inputs = "all 42" if uses_all else f"{gates[name]:.0f} of 42"
        ax.text(high + step, y, inputs, va="center", color=color)
    ax.text(high, len(table) - 0.3, "macro F1", fontsize=8)
    ax.text(high + step, len(table) - 0.3, "inputs used", fontsize=8)
    ax.set_yticks(range(len(table)), [SHOWN[name] for name in table.index])
    ax.set(xlim=(low, high), xlabel="macro F1 on animals never seen, with 95 % interval")
    ax.spines[["top", "right"]].set_visible(False)
    name_source(fig, about["banner"])
    save(fig, "summary.svg")


def draw_one_cell() -> None:
    """Write ``one_cell.svg``: a trace, its spike, its open gates, its type and how sure."""
    card = classify(measure(read_recording(fetch_recording(RECORDING, verbose=0))))
    if "SYNTHETIC" in card.source:
        raise SystemExit("The figure is of recorded cells, and there are none: `lspin fetch`.")
    fig = plt.figure(figsize=(10, 5.4), layout="constrained")
    fig.get_layout_engine().set(wspace=0.06, hspace=0.06)
    grid = fig.add_gridspec(2, 3, width_ratios=[1.2, 1.2, 0.8])
    plot_trace(fig.add_subplot(grid[0, 0]), card)
    plot_spike(fig.add_subplot(grid[1, 0]), card)
    plot_open_gates(fig.add_subplot(grid[:, 1]), card)
    plot_answer(fig.add_subplot(grid[0, 2]), card)
    write_trust(fig.add_subplot(grid[1, 2]), card)
    name_source(fig, f"Recording: {RECORDING}, swharden/pyABF (MIT licence). {card.source}")
    save(fig, "one_cell.svg")


def plot_trace(ax: Axes, card: OwnCard) -> None:
    """Draw the sweep with most spikes."""
    number = card.measured.spikes["sweep"].value_counts().idxmax()
    sweep = next(s for s in card.measured.recording.sweeps if s.number == number)
    pulse = sweep.stimulus
    near = (sweep.time_s > pulse.start_s - 0.1) & (sweep.time_s < pulse.end_s + 0.1)
    ax.axvspan(0, 1000 * pulse.duration_s, color="0.93")
    time_ms = 1000 * (sweep.time_s[near] - pulse.start_s)
    ax.plot(time_ms, sweep.voltage_mv[near], color="black", lw=0.7)
    ax.set(xlabel="time (ms)", ylabel="voltage (mV)")
    ax.set_title(f"1. a recording, {pulse.amplitude_pa:.0f} pA", loc="left")
    ax.spines[["top", "right"]].set_visible(False)


def plot_spike(ax: Axes, card: OwnCard) -> None:
    """Draw the first spike of the weakest step that made the cell fire, with what is measured."""
    spike = card.measured.spikes.iloc[0]
    sweep = next(s for s in card.measured.recording.sweeps if s.number == spike["sweep"])
    near = (sweep.time_s > spike["peak_t"] - 0.007) & (sweep.time_s < spike["peak_t"] + 0.012)
    time_ms = 1000 * (sweep.time_s - spike["peak_t"])
    ax.plot(time_ms[near], sweep.voltage_mv[near], color="black", lw=1)
    for name, place in {"threshold": (-62, 6), "peak": (8, -3), "fast_trough": (0, 8)}.items():
        at_ms = 1000 * (spike[f"{name}_t"] - spike["peak_t"])
        ax.plot(at_ms, spike[f"{name}_v"], "o", color="#AA3377")
        point = (at_ms, spike[f"{name}_v"])
        ax.annotate(name.replace("_", " "), point, place, textcoords="offset points", fontsize=9)
    ax.set(xlabel="time from peak (ms)", ylabel="voltage (mV)")
    ax.set_title("2. one spike, measured", loc="left")
    ax.spines[["top", "right"]].set_visible(False)


def plot_open_gates(ax: Axes, card: OwnCard) -> None:
    """List what was measured: open gates with their values, closed ones in grey."""
    measured = card.shift.table.index.drop(NOT_MEASURED, errors="ignore")
    closed = measured.difference(card.gates.index, sort=False)
    names = [*closed[::-1], *card.gates.index[::-1]]
    for y, name in enumerate(names):
        about = feature_named(str(name))
        is_open = name in card.gates.index
        value = f": {card.gates['value'][name]:.3g} {about.unit}".rstrip() if is_open else ""
        ax.plot(0, y, "o", color="#AA3377" if is_open else "0.6", mfc=None if is_open else "white")
        ax.text(0.05, y, about.label + value, va="center", color="black" if is_open else "0.45")
    ax.set(xlim=(-0.05, 1), ylim=(-0.8, len(names) - 0.2))
    ax.set_title(f"3. {len(card.gates)} of {len(names)} gates open", loc="left")
    ax.set_axis_off()


def plot_answer(ax: Axes, card: OwnCard) -> None:
    """Draw the probability of each class."""
    shares = 100 * card.probability.iloc[::-1]
    ax.barh(list(shares.index), shares, color=[CLASS_COLORS[name] for name in shares.index])
    for y, share in enumerate(shares):
        ax.text(share + 2, y, f"{share:.0f} %", va="center", fontsize=9)
    ax.set(xlim=(0, 125), xticks=[])
    ax.set_title("4. its type, and how sure", loc="left")
    ax.spines[["top", "right", "bottom"]].set_visible(False)


def write_trust(ax: Axes, card: OwnCard) -> None:
    """Say how often such a model is right, in a few lines."""
    lines = (
        "How often is such a model right?",
        "Of known cells whose animals",
        f"it had not seen, {card.trust.accuracy:.0%} were",
        "given the right class with these",
        "measurements; of those that it",
        f"took for {card.predicted},",
        f"{card.trust.of_predicted:.0%} were.",
    )
    ax.text(0, 0.95, "\n".join(lines), va="top", linespacing=1.5)
    ax.set_axis_off()


def save(fig: plt.Figure, name: str) -> None:
    """Write a figure beside this file."""
    fig.savefig(Path(__file__).with_name(name), metadata={"Date": None})


if __name__ == "__main__":
    main()
