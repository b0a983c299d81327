"""A model of a table: the raw numbers go in, answers and their open gates come out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from lspin.features.catalogue import FEATURES
from lspin.features.form import impossible_values
from lspin.features.inputs import LOGGED_FEATURES, model_inputs, table_inputs
from lspin.model import saved
from lspin.model.estimator import LSPINClassifier, LSPINRegressor
from lspin.model.recipe import is_number

FAR_SD = 5.0
"""Values so many standard deviations from the mean of the training rows are far away."""

FAR_SHARE = 0.5
"""If more than this share of the rows is far away in a column, its unit is in question."""

FAR_ALONE_SD = 8.0
"""A single value so far away is no measurement like those of the training rows. Of recorded cells
0.4 % have one; a membrane time constant in s where ms are wanted lies at least 8.03 away."""

FEW_FAR = 3
"""As many values of a row beyond `FAR_SD` say the same; no recorded cell has them."""


@dataclass(frozen=True)
class TableModel:
    """A fitted pipeline that knows its columns, predicts for raw tables, and can be saved.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted on a DataFrame: the steps of `lspin.features.model_inputs` or
        `lspin.features.table_inputs`, then an `LSPINClassifier` or `LSPINRegressor`. A pipeline
        in a pipeline will do.
    label : str
        What is predicted, such as "class".

    Raises
    ------
    ValueError
        If the pipeline is another.
    NotFittedError
        If it was not fitted.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from lspin import LSPINClassifier, TableModel, load_cells
    >>> from lspin.features import model_inputs
    >>> from sklearn.pipeline import make_pipeline
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> pipeline = make_pipeline(model_inputs(few.X), LSPINClassifier(n_members=2, n_steps=20))
    >>> model = TableModel(pipeline.fit(few.X, few.y), label="class")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(Path(folder, "cells.lspin"))
    ...     again = TableModel.load(Path(folder, "cells.lspin"))
    >>> again.predict(few.X).equals(model.predict(few.X))
    True
    """

    pipeline: Pipeline
    label: str = "class"

    def __post_init__(self) -> None:
        """Check that the pipeline is one that can be saved."""
        if not isinstance(self.pipeline, Pipeline):
            raise ValueError(
                f"A TableModel is made of a fitted Pipeline, got {type(self.pipeline).__name__}."
            )
        steps = _flat(self.pipeline)
        known = [name for name, _ in model_inputs().steps]
        inputs, model = dict(steps[:-1]), steps[-1][1]
        if not isinstance(model, LSPINClassifier | LSPINRegressor) or list(inputs) not in (
            known,
            known[1:],
            known[2:],
        ):
            raise ValueError(
                "A TableModel is made of the steps of model_inputs() or table_inputs(), and an "
                f"LSPINClassifier or LSPINRegressor; these are {[name for name, _ in steps]}."
            )
        _check_settings(inputs)
        check_is_fitted(model)
        if any(getattr(step, "feature_names_in_", None) is None for _, step in steps):
            raise ValueError(
                "A TableModel needs a pipeline that was fitted on a DataFrame whose columns have "
                "names, not numbers."
            )

    @property
    def model(self) -> LSPINClassifier | LSPINRegressor:
        """The last step."""
        return _flat(self.pipeline)[-1][1]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a raw table that the model needs."""
        return tuple(_flat(self.pipeline)[0][1].feature_names_in_)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the gates belong to: the columns, or what is made of them."""
        return tuple(dict(_flat(self.pipeline))["impute"].feature_names_in_)

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Predict for every row of a raw table.

        Parameters
        ----------
        table : DataFrame of numbers, shape (n, m)
            Must have the columns of the model, in any order; others are not looked at. A missing
            value (NaN) counts as the median of the training rows.

        Returns
        -------
        DataFrame, shape (n, 1 + n_classes) or (n, 1)
            ``predicted``, and for classes the probability of each, ``p(CLASS)``.

        Raises
        ------
        ValueError
            If a column is missing, or holds words or infinite values.

        Warns
        -----
        UserWarning
            If a row, or most of a column, is far outside of the training rows, or nothing was
            measured in a row.
        """
        x, model = self._standardised(table), self.model
        for doubt in self._doubts(table):
            warnings.warn(f"{doubt} Those answers are guesses.", UserWarning, stacklevel=2)
        found = {"predicted": model.predict(x)}
        if isinstance(model, LSPINClassifier):
            names = [f"p({name})" for name in model.classes_]
            found |= dict(zip(names, model.predict_proba(x).T, strict=True))
        return pd.DataFrame(found, index=table.index)

    def _doubts(self, table: pd.DataFrame) -> list[str]:
        """Say what is unlike the training rows: rows without a value, far columns, far rows."""
        doubts = []
        empty = table[list(self.columns)].isna().all(axis=1).to_numpy()
        if empty.any():
            doubts.append(
                f"Nothing was measured in {empty.sum()} of {len(table)} rows, such as "
                f"{table.index[empty.argmax()]}: the median of the training rows stands for all."
            )
        if set(self.columns) <= set(FEATURES):  # they are measurements of neurons
            if wrong := impossible_values(table[list(self.columns)]):
                row, why = next(iter(wrong.items()))
                doubts.append(
                    f"{len(wrong)} of {len(table)} rows have a value that no neuron has, such as "
                    f"row {row}: {why[0]}"
                )
        far = self._standardised(table, clipped=False).abs()
        share = (far >= FAR_SD).mean()
        odd = share.index[share > FAR_SHARE] if len(table) > 2 else []
        if len(odd):
            doubts.append(
                f"More than half of the values of {', '.join(odd[:5])} lie {FAR_SD:g} or more "
                "standard deviations from the training rows. Is the unit the same?"
            )
        rest = far.drop(columns=odd)
        rows = (rest >= FAR_ALONE_SD).any(axis=1) | ((rest >= FAR_SD).sum(axis=1) >= FEW_FAR)
        if rows.any():
            worst = rest.iloc[rows.to_numpy().argmax()]
            doubts.append(
                f"{rows.sum()} of {len(table)} rows lie far outside of the training rows, such as "
                f"row {rows.idxmax()}, whose {worst.idxmax()} is {worst.max():.3g} standard "
                "deviations away. Is the unit the same?"
            )
        return doubts

    def gates(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the gates of every row, shape (n, d): what is 0, its prediction did not use.

        Parameters
        ----------
        table : DataFrame, shape (n, m)
            As in `predict`.

        Returns
        -------
        DataFrame, shape (n, d)
            Gates in [0, 1]; the columns are those of `inputs`.
        """
        gates = self.model.gates(self._standardised(table))
        return pd.DataFrame(gates, table.index, list(self.inputs))

    def _standardised(self, table: pd.DataFrame, clipped: bool = True) -> pd.DataFrame:
        if not isinstance(table, pd.DataFrame):
            raise ValueError(f"The table must be a DataFrame, got {type(table).__name__}.")
        if missing := [name for name in self.columns if name not in table]:
            raise ValueError(
                f"The table lacks {len(missing)} of the {len(self.columns)} columns that this "
                f"model needs: {', '.join(missing[:10])}."
            )
        if not len(table):
            raise ValueError("The table has no rows.")
        table = table[list(self.columns)]
        if table.columns.has_duplicates:
            raise ValueError(
                f"The table has two columns named {table.columns[table.columns.duplicated()][0]}."
            )
        for name in table:
            if not pd.api.types.is_numeric_dtype(table[name]) or table[name].dtype.kind == "c":
                raise ValueError(f"Column {name} must hold numbers; it holds other things.")
            if np.isinf(table[name].to_numpy(dtype=float, na_value=np.nan)).any():
                raise ValueError(f"Column {name} holds infinite values: leave unknown ones empty.")
        x = table.astype(np.float64)
        for name, step in _flat(self.pipeline)[:-1]:
            if clipped or name != "clip":
                x = step.transform(x)
        return x

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one file, from which `load` makes the model again.

        Parameters
        ----------
        path : path-like
            Such as ``"cells.lspin"``; a file that is there is replaced, at once and whole.

        Raises
        ------
        ValueError, OSError
            As in `LSPINClassifier.save`.
        """
        self.__post_init__()  # a setting may have been changed since
        steps = dict(_flat(self.pipeline)[:-1])
        limits = steps["clip"].kw_args
        description, arrays = saved.describe(self.model)
        description["table"] = {
            "predicts": self.model._holds,
            "label": str(self.label),
            "steps": list(steps),
            "columns": list(self.columns),
            "inputs": list(self.inputs),
            "logged": _logged(list(steps), self.inputs),
            "clip": [float(limits["a_min"]), float(limits["a_max"])],
            "median": steps["impute"].statistics_.tolist(),
            "mean": steps["scale"].mean_.tolist(),
            "scale": steps["scale"].scale_.tolist(),
        }
        _inputs(description["table"])  # what could not be read again is not written
        saved.write(path, "table model", description, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model that `save` wrote. Nothing in a file is run, so it may be a stranger's.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        TableModel

        Raises
        ------
        OSError, ValueError
            As in `LSPINClassifier.load`.
        """
        description, arrays = saved.read(path, "table model")
        with saved.explained(path):
            about = description["table"]
            kinds = {kind._holds: kind for kind in (LSPINClassifier, LSPINRegressor)}
            model: Any = saved.revive(kinds[about["predicts"]], description, arrays)
            if about["inputs"] != list(getattr(model, "feature_names_in_", ())):
                raise ValueError("has inputs that are not those of its networks.")
            (label,) = saved.texts([about["label"]], 1)
            return cls(Pipeline([*_inputs(about).steps, ("model", model)]), label)


def _flat(pipeline: Pipeline) -> list[tuple[str, Any]]:
    """Return the steps, those of pipelines inside it too."""
    flat: list[tuple[str, Any]] = []
    for name, step in pipeline.steps:
        flat += _flat(step) if isinstance(step, Pipeline) else [(name, step)]
    return flat


def _check_settings(inputs: dict[str, Any]) -> None:
    """Refuse steps with other settings than ours: a file says nothing of them."""
    usual = dict(_flat(model_inputs() if "log" in inputs else table_inputs()))
    for name, step in inputs.items():
        if type(step) is not type(usual[name]) or _settings(step) != _settings(usual[name]):
            raise ValueError(
                f"A TableModel is made of the steps of model_inputs() or table_inputs() as they "
                f"are, but {name} was changed: {' '.join(repr(step).split())}."
            )
    limits = inputs["clip"].kw_args or {}
    if set(limits) != {"a_min", "a_max"} or not all(map(is_number, limits.values())):
        raise ValueError(f"clip needs two numbers, a_min and a_max, got {limits}.")


def _settings(step: BaseEstimator) -> dict[str, str]:
    # As text, because NaN is not equal to itself. A file holds the limits of clip.
    return {name: repr(value) for name, value in step.get_params().items() if name != "kw_args"}


def _logged(steps: Sequence[str], inputs: Sequence[str]) -> list[str]:
    return [name for name in inputs if "log" in steps and name in LOGGED_FEATURES]


def _inputs(about: dict) -> Pipeline:
    """Make the fitted steps before the model."""
    columns = saved.texts(about["columns"], len(about["columns"]))
    logs = "log" in about["steps"]
    inputs = model_inputs(columns) if logs else table_inputs()
    if [name for name, _ in inputs.steps] != about["steps"]:
        raise ValueError("has steps that this lspin does not know.")
    # Fitted on a row of ones first, so that scikit-learn sets all that its version wants to have.
    stand_in = pd.DataFrame(1.0, index=[0], columns=columns)
    if list(inputs.fit_transform(stand_in).columns) != about["inputs"]:
        raise ValueError("has inputs that this lspin does not make of its columns.")
    if _logged(about["steps"], about["inputs"]) != about["logged"]:
        raise ValueError("takes the logarithm of other columns than this lspin does.")
    low, high = saved.numbers(about["clip"], 2)
    inputs["clip"].set_params(kw_args={"a_min": low, "a_max": high})
    n = len(about["inputs"])
    inputs["impute"].statistics_ = saved.numbers(about["median"], n)
    inputs["scale"].mean_ = saved.numbers(about["mean"], n)
    scale = saved.numbers(about["scale"], n)
    if (scale <= 0).any():
        raise ValueError("has a standard deviation that is not above 0.")
    inputs["scale"].scale_, inputs["scale"].var_ = scale, scale**2
    return inputs
