"""Scores of many folds: their mean, how sure it is, and who is ahead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lspin.evaluate.scores import corrected_t_test

METRICS = ("accuracy", "macro_f1")
"""What models are compared by."""

LOWER_IS_BETTER = ("log_loss", "brier", "ece")
"""Scores of which the better model has less."""

BEST, FEW, ONE_STANDARD_ERROR, EACH = "best", "few gates", "one standard error", "each setting"
"""Rules by which a model's setting was chosen, in recorded scores: the best on inner folds; the
best with few open gates; the largest lambda that is about as good; none, all are kept."""


def chosen_by(scores: pd.DataFrame, rule: str = BEST) -> pd.DataFrame:
    """Return one setting per model and fold: that of a rule, or its best where it has no such rule.

    Parameters
    ----------
    scores : DataFrame
        Recorded scores, with the columns ``model`` and ``rule``.
    rule : {"best", "few gates", "one standard error"}

    Returns
    -------
    DataFrame
        Some of the rows.

    Raises
    ------
    ValueError
        If no model has a setting of this rule.

    Examples
    --------
    >>> from lspin.evaluate import chosen_by, summary
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> few = chosen_by(tables["scores"], "few gates")
    >>> bool(summary(few).loc["LSPIN", "open_gates"] <= 5)
    True
    """
    rules = list(scores["rule"].unique())
    if rule not in rules or rule == EACH:
        raise ValueError(f"rule must be one of {[r for r in rules if r != EACH]}, got {rule!r}.")
    has_rule = scores["model"].isin(scores.loc[scores["rule"] == rule, "model"])
    return scores[scores["rule"] == np.where(has_rule, rule, BEST)]


def named_by_rule(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what every rule chose, with the rule as a part of the model's name.

    Parameters
    ----------
    scores : DataFrame
        As in `chosen_by`.

    Returns
    -------
    DataFrame
        All rows but those of `EACH` setting, for a table or a figure of all.

    Examples
    --------
    >>> from lspin.evaluate import named_by_rule
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> named_by_rule(tables["scores"])["model"].unique()[:3].tolist()
    ['LSPIN', 'LSPIN, few gates', 'LSPIN, one standard error']
    """
    chosen = scores[scores["rule"] != EACH]
    by_rule = chosen["model"] + ", " + chosen["rule"]
    return chosen.assign(model=chosen["model"].where(chosen["rule"] == BEST, by_rule))


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over folds, and repeats where there are any, per model.

    Parameters
    ----------
    scores : DataFrame
        A row per model and fold, of one table of cells; ``repeat`` is optional. Of recorded
        scores, what `chosen_by` or `named_by_rule` returns.

    Returns
    -------
    DataFrame
        Means of all columns of numbers; a row per model, best macro F1 first.

    Examples
    --------
    >>> from lspin.evaluate import chosen_by, summary
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> scores = chosen_by(tables["scores"])
    >>> summary(scores).loc["LSPIN", ["accuracy", "macro_f1"]].round(2).tolist()
    [0.89, 0.82]
    """
    _check_one_rule(scores)
    left_out = ["fold", "repeat", "lam", "max_open", "n_train", "n_test"]
    numbers = scores.drop(columns=left_out, errors="ignore")
    means = numbers.groupby("model").mean(numeric_only=True)
    return means.sort_values("macro_f1", ascending=False)


def intervals(scores: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Mean scores with 95 % intervals that know that folds share their training cells.

    Parameters
    ----------
    scores : DataFrame
        A row per model and fold, of one table of cells; ``repeat`` is optional. Of recorded
        scores, what `chosen_by` or `named_by_rule` returns.
    metrics : sequence of str
        Columns of `scores`.

    Returns
    -------
    DataFrame
        A row per model, best first by the first metric; for each metric the columns ``mean``,
        ``low`` and ``high``: the t interval of `lspin.evaluate.corrected_t_test` over all folds
        of all repeats.

    Examples
    --------
    >>> from lspin.evaluate import chosen_by, intervals
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> scores = chosen_by(tables["scores"])
    >>> intervals(scores)["macro_f1"].loc["LSPIN"].round(2).tolist()
    [0.82, 0.79, 0.86]
    """
    return _estimates(scores, metrics).drop(columns="p", level=1)


def compare(
    scores: pd.DataFrame, model: str = "LSPIN", metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Compare one model with every other, fold by fold.

    Parameters
    ----------
    scores : DataFrame
        A row per model and fold, of one table of cells; ``repeat`` is optional. Of recorded
        scores, what `chosen_by` or `named_by_rule` returns.
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
    >>> from lspin.evaluate import chosen_by, compare
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> scores = chosen_by(tables["scores"])
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
        A row per model and rule, best first: ``macro_f1`` and ``accuracy`` in words, with 95 %
        intervals; ``log_loss``; ``calibration error`` of the pooled predictions; open gates of one
        network and of the union, or "all"; ``seconds`` of a search.

    Examples
    --------
    >>> from lspin.evaluate import overview
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> overview(tables["scores"], tables["calibration"]).loc["LSPIN", "macro_f1"]
    '0.824 (0.790 to 0.858)'
    """
    chosen = named_by_rule(scores)
    means = summary(chosen)
    estimates = intervals(chosen).loc[means.index]
    table = pd.DataFrame(index=means.index)
    for metric in METRICS[::-1]:
        words = "{mean:.3f} ({low:.3f} to {high:.3f})"
        table[metric] = [words.format(**row) for _, row in estimates[metric].iterrows()]
    table["log_loss"] = means["log_loss"].round(3)
    of_model = named_by_rule(calibration).groupby("model")
    table["calibration error"] = of_model["ece"].mean().round(3)
    for name in ("open_gates", "open_gates_union"):
        table[name] = means[name].map("{:.0f}".format, na_action="ignore").fillna("all")
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
    >>> from lspin.evaluate import ahead, chosen_by
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> ahead(chosen_by(tables["scores"]), "LSPIN", "RBF-SVM")[:40]
    'LSPIN is 0.006 ahead of RBF-SVM in macro'
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
    _check_one_rule(scores)
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


def _check_one_rule(scores: pd.DataFrame) -> None:
    """Refuse scores in which a model has several settings in a fold: their mean says nothing."""
    if "table" in scores and scores["table"].nunique() > 1:
        raise ValueError("These are scores of several tables of cells: choose those of one first.")
    folds = [name for name in ("model", "repeat", "fold") if name in scores]
    if scores.duplicated(folds).any():
        raise ValueError(
            "There are several rows of one model and fold: choose one setting per model first, "
            "with chosen_by, or tell them apart with named_by_rule."
        )
