"""How much of the truth a method finds on problems whose relevant features are known.

Each method says what it predicts and which features it used for each sample. Where
both are known to be right or wrong, "it explains itself" becomes a number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LassoCV, LogisticRegressionCV
from sklearn.metrics import accuracy_score, mean_squared_error

from lspin.explain.problems import Problem
from lspin.model.estimator import LSPINClassifier, LSPINRegressor

N_GATES = {"linear_groups": 2, "e5": 3, "syn1": 2, "syn2": 4, "syn3": 4, "syn4": 5, "syn5": 5}
N_GATES["syn6"] = 5
"""Gates that a model may open: as many as a sample has relevant features at most. It is all that
it is told about a problem."""


class Answer(NamedTuple):
    """What a method says about test samples.

    Attributes
    ----------
    predicted : ndarray, shape (n,)
        Classes or values.
    selected : ndarray of bool, shape (n, d)
        Features it used for each sample.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.explain import Answer
    >>> answer = Answer(predicted=np.zeros(2), selected=np.array([[True, False], [False, True]]))
    >>> answer.selected.shape
    (2, 2)
    """

    predicted: np.ndarray
    selected: np.ndarray


def selection_scores(selected: np.ndarray, relevant: np.ndarray) -> dict[str, float]:
    """Compare selected with relevant features, sample by sample.

    Parameters
    ----------
    selected, relevant : ndarray of bool, shape (n, d)
        Features used, and features that matter, for each sample. Every sample has
        relevant features.

    Returns
    -------
    dict
        Means over samples: ``tpr``, the share of relevant features that are selected;
        ``fdr``, the share of selected features that are not relevant (0 if none is
        selected); ``exact``, whether both are the same. ``median`` features selected
        per sample, and their ``union`` over samples.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.explain import selection_scores
    >>> relevant = np.array([[True, True, False, False]])
    >>> scores = selection_scores(np.array([[True, False, False, True]]), relevant)
    >>> scores["tpr"], scores["fdr"], scores["exact"]
    (0.5, 0.5, 0.0)
    """
    size = selected.sum(axis=1)
    right = (selected & relevant).sum(axis=1)
    return {
        "tpr": float((right / relevant.sum(axis=1)).mean()),
        "fdr": float(((size - right) / np.maximum(size, 1)).mean()),
        "exact": float((selected == relevant).all(axis=1).mean()),
        "median": float(np.median(size)),
        "union": int(selected.any(axis=0).sum()),
    }


def recovery(answer: Answer, test: Problem) -> dict[str, float]:
    """Score a method's answer.

    Parameters
    ----------
    answer : Answer
        What the method says about the samples of `test`.
    test : Problem
        Samples it was not trained on.

    Returns
    -------
    dict
        ``score``, the accuracy or the mean squared error, and all of `selection_scores`.

    Examples
    --------
    >>> from lspin.explain import l1, recovery
    >>> from lspin.explain import linear_groups
    >>> train, test = linear_groups(200, random_state=0), linear_groups(200, random_state=1)
    >>> recovery(l1(train, test, random_state=0), test)["fdr"]
    0.5
    """
    measure = accuracy_score if test.task == "classification" else mean_squared_error
    scores = {"score": float(measure(test.y, answer.predicted))}
    return scores | selection_scores(answer.selected, test.relevant)


def gated(train: Problem, test: Problem, random_state: int, gating: str = "local") -> Answer:
    """Fit LSPIN, which is told nothing but the number of gates to open.

    Parameters
    ----------
    train, test : Problem
        Samples to fit and to answer about.
    random_state : int
        Seeds the model.
    gating : {"closing", "local", "global"}
        As in `lspin.LSPINClassifier`.

    Returns
    -------
    Answer
        A feature is selected where its gate is above 0.

    Examples
    --------
    Takes some seconds.

    >>> from lspin.explain import gated, recovery
    >>> from lspin.explain import linear_groups
    >>> train, test = linear_groups(1000), linear_groups(100, random_state=1)
    >>> recovery(gated(train, test, random_state=0), test)["tpr"]  # doctest: +SKIP
    1.0
    """
    estimator = LSPINClassifier if train.task == "classification" else LSPINRegressor
    model = estimator(max_open=N_GATES[train.name], gating=gating, random_state=random_state)
    model.fit(train.X, train.y)
    return Answer(model.predict(test.X), model.gates(test.X) > 0)


def l1(train: Problem, test: Problem, random_state: int) -> Answer:
    """Fit a lasso, or an L1-penalised logistic regression; 5-fold cross-validation sets L1.

    Parameters
    ----------
    train, test, random_state
        As in `gated`.

    Returns
    -------
    Answer
        The features of nonzero weight, the same for all samples.

    Examples
    --------
    One linear rule cannot follow two, so all features are selected for all samples:

    >>> from lspin.explain import l1
    >>> from lspin.explain import linear_groups
    >>> train, test = linear_groups(200, random_state=0), linear_groups(200, random_state=1)
    >>> bool(l1(train, test, random_state=0).selected.all())
    True
    """
    if train.task == "classification":
        model = LogisticRegressionCV(
            l1_ratios=(1,),
            use_legacy_attributes=False,
            solver="liblinear",
            cv=5,
            scoring="neg_log_loss",
            random_state=random_state,
        )
    else:
        model = LassoCV(cv=5, random_state=random_state)
    model.fit(train.X, train.y)
    selected = np.broadcast_to(model.coef_.reshape(-1) != 0, test.X.shape)
    return Answer(model.predict(test.X), selected)


def boosting(train: Problem, test: Problem, random_state: int) -> Answer:
    """Fit gradient boosting, explained by TreeSHAP. Needs the library shap.

    SHAP ranks features but does not say how many matter. It is told: as many are
    selected for each sample as are relevant there. No other method knows this number.

    Parameters
    ----------
    train, test, random_state
        As in `gated`.

    Returns
    -------
    Answer
        The features of largest absolute SHAP value.

    References
    ----------
    .. [1] Lundberg et al. "From local explanations to global understanding with
           explainable AI for trees". Nature Machine Intelligence 2020.

    Examples
    --------
    >>> from lspin.explain import boosting
    >>> from lspin.explain import linear_groups
    >>> train, test = linear_groups(200, random_state=0), linear_groups(200, random_state=1)
    >>> boosting(train, test, random_state=0).selected.sum(axis=1).max()  # doctest: +SKIP
    2
    """
    import shap

    if train.task == "classification":
        model = HistGradientBoostingClassifier(random_state=random_state)
    else:
        model = HistGradientBoostingRegressor(random_state=random_state)
    model.fit(train.X, train.y)
    values = shap.TreeExplainer(model).shap_values(test.X)
    rank = np.abs(values).argsort(axis=1)[:, ::-1].argsort(axis=1)
    return Answer(model.predict(test.X), rank < test.relevant.sum(axis=1, keepdims=True))


METHODS: dict[str, Callable[[Problem, Problem, int], Answer]] = {
    "LSPIN": partial(gated, gating="closing"),
    "gating network": partial(gated, gating="local"),
    "STG": partial(gated, gating="global"),
    "L1": l1,
    "boosting + TreeSHAP": boosting,
}
"""Methods by name: train on a problem and answer about another draw of it."""
