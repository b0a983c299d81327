"""Draw the figure of README.md from the recorded results: ``python book/_static/summary.py``."""

from pathlib import Path

import matplotlib.pyplot as plt

from lspin.evaluate import intervals, summary
from lspin.show import name_source
from lspin.studies import read_results, results_file

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
    """Write ``summary.svg`` beside this file."""
    tables, about = read_results(results_file("positive"))
    scores = tables["scores"]
    table = intervals(scores)["macro_f1"].loc[list(SHOWN)].sort_values("mean")
    gates = summary(scores)["open_gates"]
    low, high = table["low"].min() - 0.01, table["high"].max() + 0.01
    step = (high - low) / 7  # of the columns of numbers at the right

    # Text stays text, and no date: the same numbers give the same file.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "lspin"})
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
    fig.savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
