"""Whether the class can be read off *which* gates are open, and the prediction does so.

What decides which gates close has seen the whole cell. It could guess the class and pass the guess
on through the pattern of the gates, whatever the values are; the open gates would then be no
reasons.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import RandomForestClassifier

from lspin.evaluate.scores import donor_interval
from lspin.explain.held_out import HeldOut
from lspin.model.threads import n_workers, one_torch_thread

NOTHING = "nothing (the largest class)"

ALL_VALUES = "all values"

OWN = "the cell as it is"

OTHER_VALUES = "its gates, values of another cell"

OTHER_GATES = "its values, gates of another cell"

MEAN_GATES = "its values, the mean gates of all cells"

GATES_ALONE = "gates alone"

SELECTED = "selected values"

SELECTED_BLIND = "selected values, trained on random selections"


def leakage(held: Sequence[HeldOut], *, random_state: int = 0) -> pd.DataFrame:
    """Ask what the gates tell by themselves, and whether the prediction listens to it.

    Two kinds of questions, for one network of each ensemble and for the whole ensemble. First,
    the trained model itself is fed with parts of different cells: if it had learned to answer
    from *which* gates are open, the gates of another cell would mislead it. Second, a random
    forest is trained from scratch on what the gates give away, on the training cells, and tested
    on the held-out ones: the gates alone [1]_, [2]_, the selected values, and the selected values
    judged by a forest that was trained on random selections and so cannot have learned to read
    this one ([1]_, EVAL-X). Gates of the training cells are those of the same model: different
    models give a gate different meanings. That the model has seen those cells can only make the
    forest worse on the held-out ones, never better.

    Parameters
    ----------
    held : sequence of HeldOut
        From `lspin.explain.hold_out`; their cells are pooled.
    random_state : int
        Seeds the forests and the exchange of cells.

    Returns
    -------
    DataFrame
        A row per ``reader`` (``the model`` or ``a forest``) and what it ``reads``: ``accuracy`` on
        held-out cells, with ``low`` and ``high`` from `lspin.evaluate.donor_interval`.

    References
    ----------
    .. [1] Jethani, Sudarshan, Aphinyanaphongs, Ranganath. "Have We Learned to Explain?: How
           Interpretability Methods Can Learn to Encode Predictions in their Interpretations".
           AISTATS 2021.
    .. [2] Oosterhuis, Lyu, Anand. "Local Feature Selection without Label or Feature Leakage for
           Interpretable Machine Learning Predictions". ICML 2024.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out
    >>> from lspin.explain import leakage
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> leaks = leakage([held])
    >>> leaks[leaks["reader"] == "a forest"]["reads"].unique()[:3].tolist()
    ['nothing (the largest class)', 'all values', 'gates alone']
    """
    rng = np.random.default_rng(random_state)
    hits: dict[tuple[str, str], list[np.ndarray]] = {}
    for h in held:
        for key, hit in {**_swaps(h, rng), **_forests(h, rng)}.items():
            hits.setdefault(key, []).append(hit)
    donors = np.concatenate([h.cells.donors for h in held])
    rows = []
    for (reader, reads), parts in hits.items():
        mean, low, high = donor_interval(np.concatenate(parts), donors)
        about = {"reader": reader, "reads": reads}
        rows.append({**about, "accuracy": float(mean), "low": float(low), "high": float(high)})
    return pd.DataFrame(rows)


def _swaps(h: HeldOut, rng: np.random.Generator) -> dict[tuple[str, str], np.ndarray]:
    """Feed the model with values and gates of different cells; return hits per cell."""
    gates, z, network = h.gates, h.Z.to_numpy(), h.model.network_
    other = rng.permutation(len(z))
    usual = h.model.gates(h.Z_seen).mean(axis=0)
    gated = {
        OWN: z * gates,
        OTHER_VALUES: z[other] * gates,
        OTHER_GATES: z * gates[other],
        MEAN_GATES: z * usual,
    }
    hits = {}
    truth = h.cells.y.to_numpy()
    for reads, x in gated.items():
        with torch.no_grad(), one_torch_thread():
            gated_cells = torch.tensor(x, device=h.model.device).expand(network.n_models, *x.shape)
            answer = network.predict_gated(gated_cells).mean(dim=0).argmax(dim=1).cpu().numpy()
        hits["the model", reads] = h.model.classes_[answer] == truth
    return hits


def _forests(h: HeldOut, rng: np.random.Generator) -> dict[tuple[str, str], np.ndarray]:
    """Train forests on what the gates give away; return hits per held-out cell."""
    y, truth = h.seen.y.to_numpy(), h.cells.y.to_numpy()
    z_seen, z = h.Z_seen.to_numpy(), h.Z.to_numpy()
    gates_seen, gates = h.model.gates(h.Z_seen), h.gates

    def hits(X: np.ndarray, y: np.ndarray, X_held: np.ndarray) -> np.ndarray:
        forest = _forest(rng)
        return forest.fit(X, y).predict(X_held) == truth

    # Every training cell four times, each time with another random selection of any size.
    many, y_many = np.tile(z_seen, (4, 1)), np.tile(y, 4)
    blind = _forest(rng)
    blind.fit(many * (rng.random(many.shape) < rng.random((len(many), 1))), y_many)

    largest, everything = truth == h.seen.y.mode()[0], hits(z_seen, y, z)
    return {
        ("a forest", NOTHING): largest,
        ("a forest", ALL_VALUES): everything,
        ("a forest", GATES_ALONE): hits(gates_seen, y, gates),
        ("a forest", SELECTED): hits(z_seen * gates_seen, y, z * gates),
        ("a forest", SELECTED_BLIND): blind.predict(z * (gates > 0)) == truth,
    }


def _forest(rng: np.random.Generator) -> RandomForestClassifier:
    return RandomForestClassifier(200, random_state=int(rng.integers(2**31)), n_jobs=n_workers())
