"""Gates closed by hand, and what that changes.

A gate that is closed puts the mean of the training cells, 0 after standardising, in the place of
a measurement. What a measurement contributed is therefore what closing its gate changes, and
closing gates by hand is all that is done to a model.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from lspin.model.estimator import LSPINClassifier
from lspin.model.gates import gate_values
from lspin.model.threads import one_torch_thread


@torch.no_grad()
def gated_probabilities(
    model: LSPINClassifier, Z: pd.DataFrame, keep: np.ndarray, *, regate: bool = False
) -> np.ndarray:
    """Class probabilities with some gates closed by hand.

    Parameters
    ----------
    model : LSPINClassifier
        Fitted.
    Z : DataFrame, shape (n, d)
        Cells, standardised as in `fit`.
    keep : ndarray of bool, shape (d,) or (n, d)
        False closes a gate; True leaves it as the model set it.
    regate : bool, default=False
        If False, what decides which gates close still sees the whole cell, so the other gates stay
        as they were. If True, it loses the measurements too, and sets all gates anew.

    Returns
    -------
    ndarray, shape (n, n_classes)
        Rows sum to 1; with all True, `predict_proba`.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import gated_probabilities
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> Z = model_inputs(few.X).fit_transform(few.X)
    >>> model = LSPINClassifier(n_members=2, n_steps=20).fit(Z, few.y)
    >>> without_ri = Z.columns != "ri"
    >>> gated_probabilities(model, Z, without_ri).shape
    (175, 5)
    """
    network = model.network_
    x = torch.tensor(Z.to_numpy(dtype=float), device=model.device)
    kept = torch.as_tensor(keep, device=model.device) * x
    with one_torch_thread():
        if regate:
            logits = network(kept)[0]
        else:
            gates = gate_values(network.gate_locations(x.expand(network.n_models, *x.shape)))
            logits = network.predict_gated(kept * gates)
        return logits.mean(dim=0).softmax(dim=1).cpu().numpy()


def effects(model: LSPINClassifier, Z: pd.DataFrame, *, regate: bool = False) -> np.ndarray:
    """How much probability each class loses when one gate alone is closed.

    Parameters
    ----------
    model : LSPINClassifier
        Fitted.
    Z : DataFrame, shape (n, d)
        Cells, standardised as in `fit`.
    regate : bool, default=False
        As in `gated_probabilities`.

    Returns
    -------
    ndarray, shape (n, d, n_classes)
        Positive: the measurement spoke for the class. Over the classes they sum to 0.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import effects
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> Z = model_inputs(few.X).fit_transform(few.X)
    >>> model = LSPINClassifier(n_members=2, n_steps=20).fit(Z, few.y)
    >>> effects(model, Z).shape
    (175, 42, 5)
    """
    probability = model.predict_proba(Z)
    effect = np.zeros((*Z.shape, len(model.classes_)))
    # What decides which gates close reads measurements behind closed gates, too.
    changes_something = np.ones(Z.shape[1], bool) if regate else model.gates(Z).any(axis=0)
    for j in np.flatnonzero(changes_something):
        keep = np.arange(Z.shape[1]) != j
        effect[:, j] = probability - gated_probabilities(model, Z, keep, regate=regate)
    return effect
