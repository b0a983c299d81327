"""Each cell's prediction and its gates, as tables."""

from __future__ import annotations

import pandas as pd

from lspin.explain.held_out import HeldOut


def explain_cells(held: HeldOut) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate what the model predicted for each held-out cell, and through which gates.

    Parameters
    ----------
    held : HeldOut
        From `hold_out`; ``held.select`` takes some of its cells.

    Returns
    -------
    predictions : DataFrame, shape (n, 2 + n_classes)
        By ``specimen_id``: the true ``class``, the ``predicted`` one, and the
        probability of each class.
    gates : DataFrame, shape (n * d, 4)
        By ``specimen_id`` and ``feature``:

        - ``value``, in the unit that `lspin.features.FEATURES` gives; NaN if not measured;
        - ``z``, the same standardised, as the model saw it before the gate;
        - ``gate``, in [0, 1]; where it is 0, the prediction did not use the measurement;
        - ``effect``, how much probability the predicted class loses when this gate alone is
          closed. Negative: the open gate spoke against the prediction.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import explain_cells, hold_out
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> predictions, gates = explain_cells(held.select(held.cells.X.index[:3]))
    >>> predictions.shape, gates.shape
    ((3, 7), (126, 4))
    """
    X, Z = held.cells.X, held.Z
    predictions = pd.DataFrame(held.probability, index=X.index, columns=held.model.classes_)
    predictions.insert(0, "class", held.cells.y)
    predictions.insert(1, "predicted", held.predicted)
    columns = {
        "value": held.measured(X).to_numpy(),
        "z": Z.to_numpy(),
        "gate": held.gates,
        "effect": held.own_effects,
    }
    index = pd.MultiIndex.from_product([X.index, Z.columns], names=["specimen_id", "feature"])
    gates = pd.DataFrame({name: table.ravel() for name, table in columns.items()}, index=index)
    return predictions, gates


def open_gates_of(gates: pd.DataFrame, specimen_id: int) -> pd.DataFrame:
    """Return the open gates of one cell, largest effect first.

    Parameters
    ----------
    gates : DataFrame
        From `explain_cells`.
    specimen_id : int
        A cell of that table.

    Returns
    -------
    DataFrame, shape (n_open, 4)
        By ``feature``.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import explain_cells, hold_out, open_gates_of
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> predictions, gates = explain_cells(held)
    >>> list(open_gates_of(gates, held.cells.X.index[0]))
    ['value', 'z', 'gate', 'effect']
    """
    cell = gates.loc[specimen_id]
    return cell[cell["gate"] > 0].sort_values("effect", ascending=False)
