"""Each cell's prediction and its gates, as tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from lspin.explain.closing import effects
from lspin.explain.held_out import gated_model, inputs, measured


def explain_cells(
    pipeline: Pipeline, X: pd.DataFrame, y: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate what the model predicted for each cell, and through which gates.

    Parameters
    ----------
    pipeline : Pipeline
        `lspin.features.model_inputs` followed by an `LSPINClassifier`, fitted.
    X : DataFrame, shape (n, n_columns)
        Cells as loaded; explain only cells of donors that the pipeline was not fitted on.
    y : Series, shape (n,)
        Their classes.

    Returns
    -------
    predictions : DataFrame, shape (n, 2 + n_classes)
        By ``specimen_id``: the true ``class``, the ``predicted`` one, and the
        probability of each class.
    gates : DataFrame, shape (n * d, 5)
        By ``specimen_id`` and ``feature``:

        - ``value``, in the unit that `lspin.features.FEATURES` gives; NaN if not measured;
        - ``z``, the same standardised, as the model saw it before the gate;
        - ``gate``, in [0, 1], averaged over the ensemble;
        - ``members``, how many networks of the ensemble opened it at all;
        - ``effect``, how much probability the predicted class loses when this gate alone is
          closed. Negative: the open gate spoke against the prediction.

    Raises
    ------
    ValueError
        If the last step of the pipeline is not an `LSPINClassifier`.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import explain_cells, hold_out
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> predictions, gates = explain_cells(held.pipeline, held.cells.X[:3], held.cells.y[:3])
    >>> predictions.shape, gates.shape
    ((3, 7), (126, 5))
    """
    model = gated_model(pipeline)
    Z = inputs(pipeline, X)
    member_gates = model.member_gates(Z)
    probability = model.predict_proba(Z)
    winner = probability.argmax(axis=1)

    predictions = pd.DataFrame(probability, index=X.index, columns=model.classes_)
    predictions.insert(0, "class", y)
    predictions.insert(1, "predicted", model.classes_[winner])
    columns = {
        "value": measured(pipeline, X)[Z.columns].to_numpy(),
        "z": Z.to_numpy(),
        "gate": member_gates.mean(axis=0),
        "members": (member_gates > 0).sum(axis=0),
        "effect": effects(model, Z)[np.arange(len(Z)), :, winner],
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
    DataFrame, shape (n_open, 5)
        By ``feature``.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import explain_cells, hold_out, open_gates_of
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> predictions, gates = explain_cells(held.pipeline, held.cells.X[:3], held.cells.y[:3])
    >>> list(open_gates_of(gates, held.cells.X.index[0]))
    ['value', 'z', 'gate', 'members', 'effect']
    """
    cell = gates.loc[specimen_id]
    return cell[cell["gate"] > 0].sort_values("effect", ascending=False)
