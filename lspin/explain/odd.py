"""Cells whose gates are unlike those of their class."""

from __future__ import annotations

import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from lspin.explain.held_out import HeldOut

N_ALIKE = 25
"""How many training cells with similar gates are asked for their label."""


def odd_cells(held: HeldOut) -> pd.DataFrame:
    """Rank held-out cells by how unlike their class their gates are.

    A cell is odd if the training cells with the most similar gates carry another label.

    Parameters
    ----------
    held : HeldOut
        Gates of different models do not compare, so this is about one fold.

    Returns
    -------
    DataFrame, shape (n, ...)
        By ``specimen_id``, the oddest first: ``class``, ``predicted``, ``probability`` (of the
        label), ``alike`` (the share of the `N_ALIKE` training cells with the most similar gates
        that carry this label), ``gates_like`` (the label most of them carry) and the cell's
        metadata. Where ``alike`` is the same, the less probable label comes first.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out, odd_cells
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> odd = odd_cells(held)
    >>> bool(odd["alike"].is_monotonic_increasing)
    True
    """
    seen = held.model.gates(held.Z_seen)
    neighbours = KNeighborsClassifier(min(N_ALIKE, len(seen))).fit(seen, held.seen.y)
    share = neighbours.predict_proba(held.model.gates(held.Z))
    # Of a label that no training cell carries, nothing.
    own = held.cells.y.to_numpy()[:, None] == held.model.classes_
    table = pd.DataFrame(
        {
            "class": held.cells.y,
            "predicted": held.predicted,
            "probability": (held.probability * own).sum(axis=1),
            "alike": (share * own).sum(axis=1),
            "gates_like": neighbours.classes_[share.argmax(axis=1)],
        }
    ).join(held.cells.metadata)
    return table.sort_values(["alike", "probability"])
