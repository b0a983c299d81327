"""A trained model beside the cells of donors that it has never seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from tqdm import tqdm

from lspin.data.folds import donor_folds
from lspin.data.tables import RELEASED_FEATURES, Cells
from lspin.evaluate.cross_validation import fit_grouped
from lspin.explain.closing import effects, gated_probabilities
from lspin.features.inputs import ReleasedFeatures, model_inputs, table_inputs
from lspin.model.estimator import LSPINClassifier


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A fitted pipeline, the cells it was trained on, and cells of donors it has never seen.

    Parameters
    ----------
    pipeline : Pipeline
        A step that makes inputs of a table, such as `lspin.features.model_inputs`, and then an
        `LSPINClassifier`; fitted.
    seen, cells : Cells
        Training cells; held-out cells (n of them).

    Raises
    ------
    ValueError
        If the pipeline has no gates to explain, or a held-out donor is among those seen.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> held.probability.shape == (len(held.cells), 5)
    True
    """

    pipeline: Pipeline
    seen: Cells
    cells: Cells

    def __post_init__(self) -> None:
        """Check that there is something to explain, and that it is fair."""
        last = self.pipeline[-1] if isinstance(self.pipeline, Pipeline) else self.pipeline
        if not isinstance(last, LSPINClassifier) or last is self.pipeline:
            raise ValueError(
                "Gates are explained for a Pipeline that makes inputs of a table and ends in an "
                f"LSPINClassifier; this is {type(self.pipeline).__name__}, ending in "
                f"{type(last).__name__}."
            )
        if not len(self.cells):
            raise ValueError("There are no held-out cells.")
        if both := set(self.seen.donors) & set(self.cells.donors):
            raise ValueError(
                f"{len(both)} donors are both among the cells seen and those held out, such as "
                f"{min(both)}: a model explains cells that it knows too well."
            )

    def select(self, mask_or_index: Any) -> HeldOut:
        """Return the same model beside some of the cells, as `lspin.data.Cells.select`."""
        return replace(self, cells=self.cells.select(mask_or_index))

    def inputs(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return cells as the model sees them, standardised, shape (n, d)."""
        names = self.pipeline[:-1].get_feature_names_out()
        return pd.DataFrame(np.asarray(self.pipeline[:-1].transform(X)), X.index, names)

    def measured(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the inputs of cells in their units, NaN where not measured, shape (n, d)."""
        if set(self.Z.columns) - set(X.columns) and set(RELEASED_FEATURES) <= set(X.columns):
            X = X.assign(**ReleasedFeatures().fit_transform(X))
        return X.reindex(columns=self.Z.columns)

    @property
    def model(self) -> LSPINClassifier:
        """The ensemble."""
        return self.pipeline[-1]

    @cached_property
    def Z(self) -> pd.DataFrame:
        """The held-out cells as the model sees them, shape (n, d)."""
        return self.inputs(self.cells.X)

    @cached_property
    def Z_seen(self) -> pd.DataFrame:
        """The training cells as the model sees them, shape (n_seen, d)."""
        return self.inputs(self.seen.X)

    @cached_property
    def gates(self) -> np.ndarray:
        """Gates of the held-out cells, shape (n, d)."""
        return self.model.gates(self.Z)

    @cached_property
    def probability(self) -> np.ndarray:
        """Class probabilities, shape (n, n_classes)."""
        return self.model.predict_proba(self.Z)

    @property
    def winner(self) -> np.ndarray:
        """Index of the predicted class, shape (n,)."""
        return self.probability.argmax(axis=1)

    @property
    def predicted(self) -> np.ndarray:
        """The predicted class, shape (n,)."""
        return self.model.classes_[self.winner]

    def closing(self, keep: np.ndarray, *, regate: bool = False) -> np.ndarray:
        """Class probabilities with gates closed by hand, as `gated_probabilities`."""
        return gated_probabilities(self.model, self.Z, keep, regate=regate)

    @cached_property
    def effects(self) -> np.ndarray:
        """What each measurement did for each class, shape (n, d, n_classes); see `effects`."""
        return effects(self.model, self.Z)

    @property
    def own_effects(self) -> np.ndarray:
        """What each measurement did for the predicted class, shape (n, d)."""
        return self.of_winner(self.effects)

    def of_winner(self, effect: np.ndarray) -> np.ndarray:
        """Return of effects (n, d, n_classes) those on the predicted class, shape (n, d)."""
        return effect[np.arange(len(self.Z)), :, self.winner]


def hold_out(
    cells: Cells,
    model: LSPINClassifier,
    *,
    n_folds: int = 5,
    random_state: int = 0,
    verbose: int = 1,
) -> list[HeldOut]:
    """Train on four fifths of the donors and hold out the fifth, in turn.

    Parameters
    ----------
    cells : Cells
    model : LSPINClassifier
        Not fitted; cloned for every fold.
    n_folds : int, default=5
        How many of the five fifths to hold out.
    random_state : int
        Seeds the folds, and the model of each.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    list of HeldOut
        With five folds every cell is held out once.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> set(held.seen.donors) & set(held.cells.donors)
    set()
    """
    folds = donor_folds(cells.y, cells.donors, random_state=random_state)[:n_folds]
    held = []
    for k, (train, test) in enumerate(tqdm(folds, desc="training", disable=not verbose)):
        seen = cells.select(cells.X.index[train])
        pipeline = train_on(seen, model, random_state + k)
        held.append(HeldOut(pipeline, seen, cells.select(cells.X.index[test])))
    return held


def train_on(
    cells: Cells, model: LSPINClassifier, random_state: int, rows: np.ndarray | None = None
) -> Pipeline:
    """Fit a clone of `model`, with its input pipeline in front.

    Parameters
    ----------
    cells : Cells
    model : LSPINClassifier
        Not changed.
    random_state : int
        Seeds the clone.
    rows : ndarray of int, optional
        Cells to train on, all of them by default; a cell may be drawn more than once.

    Returns
    -------
    Pipeline

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import train_on
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> pipeline = train_on(few, LSPINClassifier(n_members=2, n_steps=20), random_state=0)
    >>> pipeline.predict(few.X[:3]).shape
    (3,)
    """
    rows = np.arange(len(cells)) if rows is None else rows
    X, y, donors = (part.iloc[rows] for part in (cells.X, cells.y, cells.donors))
    seeded = clone(model).set_params(random_state=random_state)
    inputs = table_inputs() if cells.source == "own" else model_inputs(X)
    return fit_grouped(make_pipeline(inputs, seeded), X, y, donors)


def without_donor_of(
    cells: Cells, specimen_id: int, model: LSPINClassifier, *, random_state: int = 0
) -> HeldOut:
    """Train on all cells but those of one cell's donor.

    Parameters
    ----------
    cells : Cells
    specimen_id : int
        A cell of that table.
    model : LSPINClassifier
        Not changed; a clone is trained.
    random_state : int
        Seeds it.

    Returns
    -------
    HeldOut
        The donor's cells are the held-out ones.

    Raises
    ------
    ValueError
        If there is no such cell.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import without_donor_of
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> specimen_id = few.X.index[0]
    >>> held = without_donor_of(few, specimen_id, LSPINClassifier(n_members=2, n_steps=20))
    >>> specimen_id in held.cells.X.index
    True
    """
    if specimen_id not in cells.X.index:
        raise ValueError(
            f"There is no cell {specimen_id} among these. {cells.banner()} A specimen id is the "
            f"number of a cell in that table, such as {cells.X.index[0]}."
        )
    of_donor = (cells.donors == cells.donors[specimen_id]).to_numpy()
    if of_donor.all():
        raise ValueError("All cells are of this cell's donor: there are none to train on.")
    seen = cells.select(~of_donor)
    return HeldOut(train_on(seen, model, random_state), seen, cells.select(of_donor))
