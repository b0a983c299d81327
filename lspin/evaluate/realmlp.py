"""RealMLP: one network with the settings that did best on a hundred other tables.

The network is its authors' (Holzmüller, Grinsztajn and Steinwart, NeurIPS 2024), from their library
`pytabkit`, which `make results` installs. Here it is kept from changing the state of torch, and
from talking.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from lspin.evaluate.tabm import own_draws


class RealMLPClassifier(ClassifierMixin, BaseEstimator):
    """RealMLP with its authors' settings, for a number of epochs that is fixed.

    They keep the best epoch by rows set aside at random, which would ignore donors; here all rows
    are trained on, and the number of epochs can be chosen like any setting.

    Parameters
    ----------
    n_epochs : int
        Passes over the cells; the learning rate's schedule stretches with them.
    random_state : int, RandomState or None
        Seeds all that is drawn.

    Attributes
    ----------
    classes_ : ndarray
        The classes, sorted.
    model_ : pytabkit.RealMLP_TD_Classifier
        The trained network.

    References
    ----------
    .. [1] Holzmüller, Grinsztajn and Steinwart (2024), "Better by default: Strong pre-tuned MLPs
       and boosted trees on tabular data", NeurIPS, arXiv:2407.04491.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from lspin.evaluate import RealMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = RealMLPClassifier(n_epochs=20, random_state=0)
    >>> model.fit(X, y).predict_proba(X).shape  # doctest: +SKIP
    (150, 3)
    """

    def __init__(
        self, n_epochs: int = 128, *, random_state: int | np.random.RandomState | None = None
    ) -> None:
        self.n_epochs = n_epochs
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Standardised features, without missing values.
        y : array-like, shape (n,)
            Class labels.

        Returns
        -------
        RealMLPClassifier
            Itself, trained.
        """
        from pytabkit import RealMLP_TD_Classifier

        X, y = validate_data(self, X, y, dtype=np.float32)
        self.classes_, target = np.unique(y, return_inverse=True)
        with own_draws(self.random_state) as seed, _silence():
            self.model_ = RealMLP_TD_Classifier(
                device="cpu",
                n_threads=1,
                val_fraction=0.0,
                n_epochs=self.n_epochs,
                random_state=seed,
            ).fit(X, target)
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Cells, standardised as in `fit`.

        Returns
        -------
        ndarray, shape (n, n_classes)
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float32)
        with own_draws(0), _silence():
            proba = self.model_.predict_proba(X).astype(float)
        return proba / proba.sum(axis=1, keepdims=True)  # they were rounded

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the most probable class of each cell.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Cells, standardised as in `fit`.

        Returns
        -------
        ndarray, shape (n,)
        """
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the library's trainer from announcing itself at every fit."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
