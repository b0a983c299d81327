"""How the features of each Patch-seq source map to ours."""

from __future__ import annotations

import pandas as pd

from lspin.data import PATCHSEQ
from lspin.features.catalogue import feature_named


def feature_mapping() -> pd.DataFrame:
    """List, source by source, how our features come out of their columns.

    The formulas are those by which :func:`~lspin.data.load_cells` converts.

    Returns
    -------
    DataFrame, shape (n_rows, 7)
        ``source``; ``feature``, our name, and its ``unit``; ``meaning``, our definition;
        ``formula`` in their columns, and ``their_unit``; ``difference``, what they measured in
        another way ("" where nothing is known to differ). Then, with an empty formula, the features
        that a source lacks, and, with an empty feature, the columns that are none of ours.

    Examples
    --------
    >>> from lspin.features import feature_mapping
    >>> mapping = feature_mapping()
    >>> m1 = mapping[mapping["source"] == "m1"].set_index("feature")
    >>> m1.loc["sag", "formula"]
    '1 - 1 / `Sag ratio`'
    """
    rows = []
    for source, described in PATCHSEQ.items():
        for m in described.measurements:
            rows.append((source, m.ours, m.formula, m.unit, m.difference))
        rows += [(source, name, "", "", "not measured") for name in described.missing()]
        rows += [
            (source, "", f"`{name}`", "", "no counterpart")
            for name in described.without_counterpart
        ]
    table = pd.DataFrame(rows, columns=["source", "feature", "formula", "their_unit", "difference"])
    ours = [feature_named(name) for name in table["feature"]]
    table.insert(2, "unit", [feature.unit for feature in ours])
    table.insert(3, "meaning", [feature.meaning for feature in ours])
    return table
