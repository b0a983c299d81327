"""Draw the figure of README.md from the recorded results: ``python book/_static/summary.py``."""

from pathlib import Path

import matplotlib.pyplot as plt

from lspin.evaluate import intervals, named_by_rule, summary
from lspin.show import name_source
from lspin.studies import read_results, results_file

SHOWN = {
    "LSPIN": "LSPIN",
    "LSPIN, few gates": "LSPIN, about 5 open gates",
    "RBF-SVM": "support vector machine",
    "random forest": "random forest",
    "LightGBM": "gradient boosting (LightGBM)",
    "explainable boosting": "explainable boosting",
    "MLP": "neural network without gates",
    "logistic regression": "logistic regression",
}
"""Rows of the recorded table, and what the figure calls them."""


def main() -> None:
    """Write ``summary.svg`` beside this file."""
    tables, about = read_results(results_file("positive"))
    scores = named_by_rule(tables["scores"])
    table = intervals(scores)["macro_f1"].loc[list(SHOWN)].sort_values("mean")
    gates = summary(scores)["open_gates"]

    # Text stays text, and no date: the same numbers give the same file.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "lspin"})
    fig, ax = plt.subplots(figsize=(8.6, 3.6), layout="constrained")
    for y, (name, row) in enumerate(table.iterrows()):
        color = "#AA3377" if name.startswith("LSPIN") else "0.35"
        ax.plot([row["low"], row["high"]], [y, y], color=color, lw=2)
        ax.plot(row["mean"], y, "o", color=color)
        inputs = "all 42" if gates.isna()[name] else f"{gates[name]:.0f} of 42"
        ax.text(0.825, y, f"{row['mean']:.3f}", va="center", color=color)
        ax.text(0.845, y, inputs, va="center", color=color)
    ax.text(0.825, len(table) - 0.3, "macro F1", fontsize=8)
    ax.text(0.845, len(table) - 0.3, "inputs used", fontsize=8)
    ax.set_yticks(range(len(table)), [SHOWN[name] for name in table.index])
    ax.set(xlim=(0.68, 0.822), xlabel="macro F1 on animals never seen, with 95 % interval")
    ax.spines[["top", "right"]].set_visible(False)
    name_source(fig, about["banner"])
    fig.savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
