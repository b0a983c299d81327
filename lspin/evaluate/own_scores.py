"""LSPIN on a table of one's own: what it scores, what its gates open, and the model to keep."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from lspin.data.own_table import OwnTable
from lspin.evaluate.comparison import ahead, intervals
from lspin.evaluate.cross_validation import METRICS_OF_VALUES, cross_validate, fit_grouped
from lspin.features.inputs import table_inputs
from lspin.model.estimator import LSPINClassifier, LSPINRegressor
from lspin.model.table_model import TableModel

N_FOLDS = 5

METRICS_BELOW_1 = ("macro_f1", "accuracy", "r2")

N_SHOWN = 5
"""Gates of each class that the report names."""

SVM_COST = 3.0
"""C of the support vector machine. Its width is scikit-learn's ``"scale"``."""


class OwnScores(NamedTuple):
    """What `score_own` found.

    Attributes
    ----------
    scores : DataFrame
        A row per model and fold, as `lspin.evaluate.cross_validate` returns it.
    opened : DataFrame, shape (n_classes, d)
        Share of the rows of each class for which the final model opens each gate. Where the label
        is a value, one row for all.
    model : TableModel
        The final model, trained on all rows.
    seconds : float
        How long all of it took.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.evaluate import OwnScores
    >>> OwnScores._fields
    ('scores', 'opened', 'model', 'seconds')
    """

    scores: pd.DataFrame
    opened: pd.DataFrame
    model: TableModel
    seconds: float

    def __str__(self) -> str:
        """Return the report."""
        is_regression = isinstance(self.model.model, LSPINRegressor)
        metrics = METRICS_OF_VALUES if is_regression else ("macro_f1", "accuracy")
        estimates = intervals(self.scores, metrics)
        for metric in METRICS_BELOW_1:  # the t interval does not know that there is an end
            if metric in metrics:
                estimates[metric, "high"] = estimates[metric, "high"].clip(upper=1)
        words = "{mean:.3f} ({low:.3f} to {high:.3f})"
        shown = pd.DataFrame(
            {
                name: [words.format(**row) for _, row in estimates[name].iterrows()]
                for name in metrics
            },
            index=estimates.index,
        )
        n_folds = self.scores["fold"].nunique()
        n_open = self.scores.loc[self.scores["model"] == "LSPIN", "open_gates"].median()
        lines = [
            f"Scores of {n_folds}-fold cross-validation, with 95 % intervals:",
            shown.to_string(),
            ahead(self.scores, "LSPIN", "RBF-SVM", metrics[0]),
            "No setting of either was tuned on this table. LSPIN opens "
            f"{n_open:.0f} of {self.opened.shape[1]} gates for the median row.",
            "",
            "Gates that open most often in the final model, and for which share of the rows it was "
            "trained on:",
        ]
        for name, shares in self.opened.iterrows():
            most = shares.nlargest(N_SHOWN)
            gates = ", ".join(f"{gate} {share:.2f}" for gate, share in most.items() if share)
            lines.append(f"  {name}: {gates}")
        return "\n".join(lines)


def score_own(
    table: OwnTable, model: LSPINClassifier | LSPINRegressor, *, verbose: int = 1
) -> OwnScores:
    """Score LSPIN on a table of one's own beside two rivals, and train the model to keep.

    The rivals are a support vector machine and whatever does not look at the columns: the largest
    class, or the mean. All are tested on the same folds, no group on both sides; missing values
    are filled and columns standardised by the training rows of each fold. Nothing is tuned.

    Parameters
    ----------
    table : OwnTable
        From `lspin.data.own_table`.
    model : LSPINClassifier or LSPINRegressor
        Not fitted.
    verbose : int, default=1
        0 shows no progress.

    Returns
    -------
    OwnScores
        To be printed.

    Raises
    ------
    ValueError
        If the model cannot learn this kind of label, or the groups cannot be cut into folds.

    Examples
    --------
    >>> import joblib
    >>> from sklearn.datasets import load_wine
    >>> from lspin import LSPINClassifier
    >>> from lspin.data import own_table
    >>> from lspin.evaluate import score_own
    >>> wine = load_wine(as_frame=True).frame
    >>> table = own_table(wine, label="target")
    >>> small = LSPINClassifier(max_open=3, n_members=2, n_steps=20, random_state=0)
    >>> found = score_own(table, small, verbose=0)
    >>> sorted(found.scores["model"].unique()), found.opened.shape
    (['LSPIN', 'RBF-SVM', 'largest class'], (3, 13))
    """
    started = time.perf_counter()
    if table.is_regression != isinstance(model, LSPINRegressor):
        raise ValueError(f"{type(model).__name__} cannot learn this label. {table.remarks}")
    models: dict[str, BaseEstimator] = {"LSPIN": model}
    if table.is_regression:
        svm = TransformedTargetRegressor(SVR(C=SVM_COST), transformer=StandardScaler())
        models |= {"RBF-SVM": svm, "mean value": DummyRegressor()}
    else:
        models |= {"RBF-SVM": SVC(C=SVM_COST), "largest class": DummyClassifier()}
    n_folds = min(N_FOLDS, table.groups.nunique())
    data: tuple[Any, ...] = (table.X, table.y, table.groups)
    scores, _ = cross_validate(
        models, *data, inputs=table_inputs(), n_splits=n_folds, verbose=verbose
    )
    final = fit_grouped(make_pipeline(table_inputs(), clone(model)), *data)
    kept = TableModel(final, str(table.y.name))
    classes = np.full(len(table.y), "all rows") if table.is_regression else table.y.to_numpy()
    opened = (kept.gates(table.X) > 0).groupby(classes).mean()
    return OwnScores(scores, opened, kept, time.perf_counter() - started)
