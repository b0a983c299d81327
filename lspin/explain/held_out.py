"""A trained model beside the cells of donors that it has never seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from tqdm import tqdm

from lspin.data.folds import donor_folds
from lspin.data.tables import Cells
from lspin.evaluate.cross_validation import fit_grouped
from lspin.explain.closing import effects
from lspin.features.inputs import model_inputs
from lspin.model.estimator import LSPINClassifier

if TYPE_CHECKING:
    pass


def gated_model(pipeline: Pipeline) -> LSPINClassifier:
    """Return the last step of a pipeline, or raise a ValueError if it has no gates.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted or not.

    Returns
    -------
    LSPINClassifier

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from lspin import LSPINClassifier
    >>> from lspin.explain import gated_model
    >>> from lspin.features import model_inputs
    >>> gated_model(make_pipeline(model_inputs(), LSPINClassifier(lam=2.0)))
    LSPINClassifier(lam=2.0)
    """
    model = pipeline[-1]
    if not isinstance(model, LSPINClassifier):
        raise ValueError(
            "Gates are explained for a pipeline that ends in an LSPINClassifier; "
            f"this one ends in {type(model).__name__}."
        )
    return model


def inputs(pipeline: Pipeline, X: pd.DataFrame) -> pd.DataFrame:
    """Standardise the cells as the model sees them, shape (n, d).

    Parameters
    ----------
    pipeline : Pipeline
        As in `explain_cells`.
    X : DataFrame, shape (n, n_columns)
        Cells as loaded.

    Returns
    -------
    DataFrame, shape (n, d)

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out, inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> inputs(held.pipeline, held.cells.X[:3]).shape
    (3, 42)
    """
    names = pipeline[:-1].get_feature_names_out()
    return pd.DataFrame(np.asarray(pipeline[:-1].transform(X)), X.index, names)


def measured(pipeline: Pipeline, X: pd.DataFrame) -> pd.DataFrame:
    """Return the model inputs before logarithm and scaling, in their units, NaN where missing.

    Parameters
    ----------
    pipeline : Pipeline
        As in `explain_cells`.
    X : DataFrame, shape (n, n_columns)
        Cells as loaded.

    Returns
    -------
    DataFrame, shape (n, d)

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out, measured
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> measured(held.pipeline, held.cells.X[:3]).shape
    (3, 42)
    """
    steps = pipeline[0].named_steps
    return steps["engineer"].transform(X) if "engineer" in steps else X


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A fitted pipeline, the cells it was trained on, and cells of donors it has never seen.

    Parameters
    ----------
    pipeline : Pipeline
        As in `explain_cells`.
    seen, cells : Cells
        Training cells; held-out cells (n of them).

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

    @property
    def model(self) -> LSPINClassifier:
        """The ensemble."""
        return gated_model(self.pipeline)

    @cached_property
    def Z(self) -> pd.DataFrame:
        """The held-out cells as the model sees them, shape (n, d)."""
        return inputs(self.pipeline, self.cells.X)

    @cached_property
    def member_gates(self) -> np.ndarray:
        """Their gates, shape (n_members, n, d)."""
        return self.model.member_gates(self.Z)

    @cached_property
    def probability(self) -> np.ndarray:
        """Class probabilities, shape (n, n_classes)."""
        return self.model.predict_proba(self.Z)

    @property
    def winner(self) -> np.ndarray:
        """Index of the predicted class, shape (n,)."""
        return self.probability.argmax(axis=1)

    @property
    def called(self) -> np.ndarray:
        """The predicted class, shape (n,)."""
        return self.model.classes_[self.winner]

    @cached_property
    def effects(self) -> np.ndarray:
        """What each measurement did for each class, shape (n, d, n_classes); see `effects`."""
        return effects(self.model, self.Z)

    @property
    def own_effects(self) -> np.ndarray:
        """What each measurement did for the predicted class, shape (n, d)."""
        return self.effects[np.arange(len(self.Z)), :, self.winner]


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
    return fit_grouped(make_pipeline(model_inputs(X), seeded), X, y, donors)


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
    seen = cells.select(~of_donor)
    return HeldOut(train_on(seen, model, random_state), seen, cells.select(of_donor))
