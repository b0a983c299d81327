"""What people look at.

``plots`` are figures that several chapters share; ``card`` sums up one cell, ``own_cell`` one that
nobody has labelled. ``explorer`` shows many cells on a page that answers to clicks.
``drop_zone`` needs ipywidgets, so it is imported from `lspin.show.drop_zone`.
"""

from __future__ import annotations

from lspin.show.card import N_GATES, N_NEIGHBOURS, Card, make_card, plot_card
from lspin.show.explorer import explore
from lspin.show.own_cell import OwnCard, cards_table, classify, plot_own_card
from lspin.show.plots import (
    CLASS_COLORS,
    CLASS_MARKERS,
    class_styles,
    name_source,
    plot_by_class,
    plot_median_spikes,
    plot_path,
    plot_reliability,
    plot_scatter,
    plot_score_by_gates,
)

__all__ = [
    "CLASS_COLORS",
    "CLASS_MARKERS",
    "N_GATES",
    "N_NEIGHBOURS",
    "Card",
    "OwnCard",
    "cards_table",
    "class_styles",
    "classify",
    "explore",
    "make_card",
    "name_source",
    "plot_by_class",
    "plot_card",
    "plot_median_spikes",
    "plot_own_card",
    "plot_path",
    "plot_reliability",
    "plot_scatter",
    "plot_score_by_gates",
]
