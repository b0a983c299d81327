"""How much of the truth a method finds on problems whose relevant features are known.

Each method says what it predicts and which features it used for each sample. Where
both are known to be right or wrong, "it explains itself" becomes a number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LassoCV, LogisticRegressionCV
from sklearn.metrics import accuracy_score, mean_squared_error

from lspin.explain.problems import Problem
from lspin.model.estimator import LSPINClassifier, LSPINRegressor

PRICE = 0.035
"""What one open gate costs, in nats or in units of the variance of y. LSPIN's penalty is a mean
over d features, so its lambda is d times this; one price serves every problem."""

N_STEPS = 3000
"""Products of features are found late; longer than the default of real, smoother data."""

WEIGHT_DECAY = 0.03
"""Samples are plenty and their truth is exact; much less than the default of real data."""


class Answer(NamedTuple):
    """What a method says about test samples.

    Attributes
    ----------
    predicted : ndarray, shape (n,)
        Classes or values.
    selected : ndarray of bool, shape (n, d) or (K, n, d)
        Features it used for each sample; of each member, where it has K.

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

    Where it has members, they vote: a feature counts as selected where more than half
    of the members open its gate. What a member selects by itself is scored too, as
    ``member_tpr`` and so on: the mean over members.

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
    if answer.selected.ndim == 2:
        return scores | selection_scores(answer.selected, test.relevant)
    of_members = [selection_scores(member, test.relevant) for member in answer.selected]
    means = {f"member_{key}": float(np.mean([s[key] for s in of_members])) for key in of_members[0]}
    voted = answer.selected.mean(axis=0) > 0.5
    return scores | selection_scores(voted, test.relevant) | means


def gated(train: Problem, test: Problem, random_state: int, gating: str) -> Answer:
    """Fit an ensemble with gates.

    Parameters
    ----------
    train, test : Problem
        Samples to fit and to answer about.
    random_state : int
        Seeds the ensemble.
    gating : {"local", "linear", "global"}
        As in `lspin.LSPINClassifier`.

    Returns
    -------
    Answer
        A feature is selected by a member where its gate is above 0.

    Examples
    --------
    Takes some seconds.

    >>> from lspin.explain import gated, recovery
    >>> from lspin.explain import linear_groups
    >>> train, test = linear_groups(1000), linear_groups(100, random_state=1)
    >>> answer = gated(train, test, random_state=0, gating="linear")  # doctest: +SKIP
    >>> recovery(answer, test)["tpr"]  # doctest: +SKIP
    1.0
    """
    settings: dict[str, Any] = {
        "lam": PRICE * train.X.shape[1],
        "gating": gating,
        "weight_decay": WEIGHT_DECAY,
        "n_steps": N_STEPS,
        "random_state": random_state,
    }
    model: LSPINClassifier | LSPINRegressor
    if train.task == "classification":
        model = LSPINClassifier(mixup=0.0, **settings)  # a mixture of two samples has no truth
    else:
        model = LSPINRegressor(**settings)
    model.fit(train.X, train.y)
    return Answer(model.predict(test.X), model.member_gates(test.X) > 0)


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
    "LSPIN, linear gates": partial(gated, gating="linear"),
    "LSPIN, gating network": partial(gated, gating="local"),
    "STG": partial(gated, gating="global"),
    "L1": l1,
    "boosting + TreeSHAP": boosting,
}
"""Methods by name: train on a problem and answer about another draw of it."""
