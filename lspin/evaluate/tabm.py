"""TabM: many small networks that share most of their weights, trained as one.

The network is its authors' (Gorishniy, Kotelnikov and Babenko, ICLR 2025), from their library
`tabm`, which `make results` installs. Here it gets scikit-learn's interface.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch.nn.functional import cross_entropy

from lspin.model.threads import one_torch_thread, own_torch_state

BATCH_SIZE = 128
"""Cells in a batch; the authors take 256, of larger tables."""


@contextmanager
def own_draws(random_state: int | np.random.RandomState | None) -> Iterator[int]:
    """Let torch draw from a seed of ours, on one thread, and leave its state as it was.

    Parameters
    ----------
    random_state : int, RandomState or None
        Draws the seed.

    Yields
    ------
    int
        The seed.

    Examples
    --------
    >>> import torch
    >>> from lspin.evaluate.tabm import own_draws
    >>> def draw():
    ...     with own_draws(0):
    ...         return float(torch.rand(1))
    >>> draw() == draw()
    True
    """
    seed = int(check_random_state(random_state).randint(2**31))
    with own_torch_state(), one_torch_thread(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield seed


class TabMClassifier(ClassifierMixin, BaseEstimator):
    """TabM with piecewise-linear embeddings, as its authors recommend, but smaller.

    Their defaults are kept: 32 networks of two layers, dropout of 0.1, embeddings of 48 bins, AdamW
    with a weight decay of 3e-4. For about a thousand cells, layers (64 units instead of 512) and
    embeddings (8 instead of 16) are the smallest that the authors search, and the learning rate is
    the largest; so a fit takes seconds. They stop early by rows set aside at random, which would
    ignore donors; here the number of steps is fixed, and can be chosen like any setting.

    Parameters
    ----------
    n_steps : int
        Batches to train on; several thousand cells take more than the default.
    d_block : int
        Width of the layers.
    random_state : int, RandomState or None
        Seeds initial weights, batches and dropout.

    Attributes
    ----------
    classes_ : ndarray
        The classes, sorted.
    varies_ : ndarray of bool, shape (d,)
        Features that are not constant in training; the others are not used.
    network_ : tabm.TabM
        The trained network.

    References
    ----------
    .. [1] Gorishniy, Kotelnikov and Babenko (2025), "TabM: Advancing tabular deep learning with
       parameter-efficient ensembling", ICLR, arXiv:2410.24210.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from lspin.evaluate import TabMClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = TabMClassifier(n_steps=50, random_state=0)
    >>> model.fit(X, y).predict_proba(X).shape  # doctest: +SKIP
    (150, 3)
    """

    def __init__(
        self,
        n_steps: int = 200,
        *,
        d_block: int = 64,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_steps = n_steps
        self.d_block = d_block
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train the networks.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Standardised features, without missing values.
        y : array-like, shape (n,)
            Class labels.

        Returns
        -------
        TabMClassifier
            Itself, trained.
        """
        table, labels = validate_data(self, X, y, dtype=np.float32)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        self.varies_ = np.ptp(table, axis=0) > 0  # there are no bins for a constant
        with own_draws(self.random_state):
            x, target = torch.tensor(table[:, self.varies_]), torch.tensor(codes)
            self.network_ = network = self._untrained(x)
            optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=3e-4)
            for rows in islice(_batches(len(x)), self.n_steps):
                outputs = network(x[rows])  # (rows, networks, classes)
                # The mean of the networks' losses, not the loss of their mean: each learns alone.
                loss = cross_entropy(
                    outputs.flatten(0, 1), target[rows].repeat_interleave(outputs.shape[1])
                )
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
            network.eval()
        return self

    def _untrained(self, x: torch.Tensor) -> torch.nn.Module:
        from rtdl_num_embeddings import PiecewiseLinearEmbeddings, compute_bins
        from tabm import TabM

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*just two bin edges")  # yes or no
            embeddings = PiecewiseLinearEmbeddings(
                compute_bins(x, min(48, len(x) - 1)), 8, activation=False, version="B"
            )
        return TabM.make(
            n_num_features=x.shape[1],
            d_out=len(self.classes_),
            num_embeddings=embeddings,
            d_block=self.d_block,
        )

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the mean of the networks' probabilities.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Cells, standardised as in `fit`.

        Returns
        -------
        ndarray, shape (n, n_classes)
        """
        check_is_fitted(self)
        table = validate_data(self, X, reset=False, dtype=np.float32)
        parts = torch.tensor(table[:, self.varies_]).split(BATCH_SIZE)
        with one_torch_thread(), own_torch_state(), torch.no_grad():
            proba = [self.network_(x).double().softmax(dim=2).mean(dim=1) for x in parts]
        return torch.cat(proba).numpy()

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


def _batches(n_rows: int) -> Iterator[torch.Tensor]:
    """Yield the rows of each batch without end, in a new order whenever all have been seen."""
    while True:
        yield from torch.randperm(n_rows).split(BATCH_SIZE)
