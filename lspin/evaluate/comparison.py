"""Scores of many folds: their mean, how sure it is, and who is ahead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lspin.evaluate.scores import corrected_t_test

METRICS = ("accuracy", "macro_f1")
"""What models are compared by."""

LOWER_IS_BETTER = ("log_loss", "brier", "ece", "rmse")
"""Scores of which the better model has less."""

SHARES = ("accuracy", "balanced_accuracy", "macro_f1", "ece")
"""Scores from 0 to 1."""


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over folds, and repeats where there are any, per model.

    Parameters
    ----------
    scores : DataFrame
        A row per model and fold, of one table of cells; ``repeat`` is optional.

    Returns
    -------
    DataFrame
        Means of all columns of numbers; a row per model, best macro F1 first.

    Examples
    --------
    >>> from lspin.evaluate import summary
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> scores = tables["scores"]
    >>> summary(scores).loc["LSPIN", ["accuracy", "macro_f1"]].round(2).tolist()
    [0.89, 0.83]
    """
    _check_one_table(scores)
    left_out = ["fold", "repeat", "n_train", "n_test"]
    numbers = scores.drop(columns=left_out, errors="ignore")
    means = numbers.groupby("model").mean(numeric_only=True)
    return means.sort_values("macro_f1", ascending=False)


def intervals(scores: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Mean scores with 95 % intervals that know that folds share their training cells.

    Parameters
    ----------
    scores : DataFrame
        A row per model and fold, of one table of cells; ``repeat`` is optional.
    metrics : sequence of str
        Columns of `scores`.

    Returns
    -------
    DataFrame
        A row per model, best first by the first metric; for each metric the columns ``mean``,
        ``low`` and ``high``: the t interval of `lspin.evaluate.corrected_t_test` over all folds
        of all repeats, within 0 and 1 for a score that is a share.

    Examples
    --------
    >>> from lspin.evaluate import intervals
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> scores = tables["scores"]
    >>> intervals(scores)["macro_f1"].loc["LSPIN"].round(2).tolist()
    [0.83, 0.76, 0.89]
    """
    table = _estimates(scores, metrics).drop(columns="p", level=1)
    is_share = table.columns.get_level_values(0).isin(SHARES)
    return table.clip(np.where(is_share, 0, -np.inf), np.where(is_share, 1, np.inf), axis=1)


def compare(
    scores: pd.DataFrame, model: str = "LSPIN", metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Compare one model with every other, fold by fold.

    Parameters
    ----------
    scores : DataFrame
        A row per model and fold, of one table of cells; ``repeat`` is optional.
    model : str
        The model that is compared with the others.
    metrics : sequence of str
        Columns of `scores`.

    Returns
    -------
    DataFrame
        A row per other model; for each metric the columns ``mean`` (of model minus other: above 0
        where `model` is better, below 0 for `LOWER_IS_BETTER`), ``low`` and ``high`` (95 %
        interval) and ``p``, from `lspin.evaluate.corrected_t_test`. The p-values are not
        corrected for their number.

    Raises
    ------
    ValueError
        If there is no such model.

    Examples
    --------
    >>> from lspin.evaluate import compare
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> scores = tables["scores"]
    >>> ahead = compare(scores)["macro_f1"].loc["RBF-SVM"]
    >>> bool(ahead["low"] < 0 < ahead["high"])
    True
    """
    names = scores["model"].unique()
    if model not in names:
        raise ValueError(f"There are no scores of {model!r}, only of {', '.join(names)}.")
    return _estimates(scores, metrics, model).drop(model)


def overview(scores: pd.DataFrame, calibration: pd.DataFrame) -> pd.DataFrame:
    """Put all that was recorded of some models into one table, ready to be read.

    Parameters
    ----------
    scores, calibration : DataFrame
        The tables of these names among recorded results.

    Returns
    -------
    DataFrame
        A row per model, best first: ``macro_f1`` and ``accuracy`` in words, with 95 %
        intervals; ``log_loss``; ``calibration error`` of the pooled predictions; ``open_gates`` of
        the median cell, or "all"; ``seconds`` of a search.

    Examples
    --------
    >>> from lspin.evaluate import overview
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> overview(tables["scores"], tables["calibration"]).loc["LSPIN", "macro_f1"]
    '0.826 (0.759 to 0.893)'
    """
    means = summary(scores)
    estimates = intervals(scores).loc[means.index]
    table = pd.DataFrame(index=means.index)
    for metric in METRICS[::-1]:
        words = "{mean:.3f} ({low:.3f} to {high:.3f})"
        table[metric] = [words.format(**row) for _, row in estimates[metric].iterrows()]
    table["log_loss"] = means["log_loss"].round(3)
    table["calibration error"] = calibration.groupby("model")["ece"].mean().round(3)
    n_open = means["open_gates"].map("{:.0f}".format, na_action="ignore")
    table["open_gates"] = n_open.fillna("all")
    table["seconds"] = means["search_s"].round(0).astype(int)
    return table


def ahead(scores: pd.DataFrame, model: str, other: str, metric: str = "macro_f1") -> str:
    """Say in a sentence which of two models is ahead, and whether that can be told.

    Parameters
    ----------
    scores : DataFrame
        As in `compare`.
    model, other : str
        The two models.
    metric : str
        A column of `scores`.

    Returns
    -------
    str

    Examples
    --------
    >>> from lspin.evaluate import ahead
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> ahead(tables["scores"], "LSPIN", "RBF-SVM")[:40]
    'LSPIN is 0.004 behind RBF-SVM in macro_f'
    """
    pair = scores[scores["model"].isin([model, other])]
    e = compare(pair, model, [metric]).loc[other, metric]
    told = "this can be told apart" if e["low"] * e["high"] > 0 else "too little to tell apart"
    is_ahead = e["mean"] < 0 if metric in LOWER_IS_BETTER else e["mean"] > 0
    side = "ahead of" if is_ahead else "behind"
    return (
        f"{model} is {abs(e['mean']):.3f} {side} {other} in {metric} "
        f"(95 % interval {e['low']:+.3f} to {e['high']:+.3f}): {told}."
    )


def _estimates(
    scores: pd.DataFrame, metrics: Sequence[str], model: str | None = None
) -> pd.DataFrame:
    """Estimate each model's score, or by how much `model` is ahead of it."""
    _check_one_table(scores)
    folds = [name for name in ("repeat", "fold") if name in scores]
    sizes = scores[["n_train", "n_test"]].mean()
    tables = {}
    for metric in metrics:
        wide = scores.pivot(index=folds, columns="model", values=metric)
        pairs = {
            name: (wide[name], 0) if model is None else (wide[model], wide[name]) for name in wide
        }
        tables[metric] = pd.DataFrame(
            {name: corrected_t_test(a, b, *sizes)._asdict() for name, (a, b) in pairs.items()}
        ).T
    ascending = model is not None or metrics[0] in LOWER_IS_BETTER
    order = tables[metrics[0]]["mean"].sort_values(ascending=ascending).index
    return pd.concat(tables, axis=1).loc[order]


def _check_one_table(scores: pd.DataFrame) -> None:
    """Refuse scores of several tables of cells: their mean says nothing."""
    if "table" in scores and scores["table"].nunique() > 1:
        raise ValueError("These are scores of several tables of cells: choose those of one first.")
    folds = [name for name in ("model", "repeat", "fold") if name in scores]
    if scores.duplicated(folds).any():
        raise ValueError("There are several rows of one model and fold.")
