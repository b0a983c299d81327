"""The rival models: what a careful user of scikit-learn would try first.

Each is a plain estimator for standardised inputs; `lspin.evaluation` puts the
same input pipeline in front of all of them. Settings are fixed, reasonable ones,
not tuned on anything.
"""

from __future__ import annotations

from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC


def baselines(random_state: int | None = 0) -> dict[str, ClassifierMixin]:
    """Return the rival models by name, unfitted.

    Parameters
    ----------
    random_state : int or None
        Seeds the models that draw random numbers.

    Returns
    -------
    dict of str to estimator
        "logistic regression", "RBF-SVM", "random forest", "gradient boosting"
        and "MLP".
    """
    return {
        "logistic regression": LogisticRegression(C=0.3, max_iter=1000),
        # C and gamma as in the first measurements of this project (book/04_baselines).
        "RBF-SVM": SVC(C=3.0, gamma=0.01),
        "random forest": RandomForestClassifier(
            300, max_features="sqrt", random_state=random_state
        ),
        "gradient boosting": HistGradientBoostingClassifier(
            learning_rate=0.1, max_iter=100, random_state=random_state
        ),
        # Strong weight decay instead of early stopping, whose split would ignore donors; with
        # it, ReLU networks sometimes never leave the largest class, tanh networks do.
        "MLP": MLPClassifier(
            (64, 32), activation="tanh", alpha=3.0, max_iter=1000, random_state=random_state
        ),
    }
