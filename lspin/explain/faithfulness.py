"""Are the reasons those of the prediction? Take measurements away and see.

If the measurements named first are taken away first, the predicted class should fall fast
(deletion); if they are put back first, it should rise fast (insertion). The orders that LSPIN,
SHAP, integrated gradients and chance give are compared by the areas under these curves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from scipy.integrate import trapezoid
from tqdm import tqdm

from lspin.explain.closing import effects, gated_probabilities
from lspin.explain.held_out import HeldOut
from lspin.model.estimator import LSPINClassifier
from lspin.model.gates import gate_values
from lspin.model.threads import one_torch_thread

Explainer = Callable[[HeldOut, bool, np.random.Generator], np.ndarray]
"""Takes a model beside n cells, whether gates are set anew (``regate``), and random numbers.

Returns what each measurement contributed to the predicted class, (n, d), the largest to come first.
"""


def _effect(held: HeldOut, regate: bool, rng: np.random.Generator) -> np.ndarray:
    """LSPIN's own reasons: what closing the gate alone takes from the predicted class."""
    if not regate:
        return held.own_effects
    return held.of_winner(effects(held.model, held.Z, regate=True))


def _width(held: HeldOut, regate: bool, rng: np.random.Generator) -> np.ndarray:
    """How far the gate is open, and nothing else."""
    return held.gates


def _chance(held: HeldOut, regate: bool, rng: np.random.Generator) -> np.ndarray:
    """Any order."""
    return rng.random(held.Z.shape)


def _shap(held: HeldOut, regate: bool, rng: np.random.Generator) -> np.ndarray:
    """Shapley values of the predicted class, sampled by permutation with shap."""
    import shap

    d = held.Z.shape[1]
    values = np.empty(held.Z.shape)
    for i, predicted in enumerate(held.winner):
        explainer = shap.PermutationExplainer(
            partial(_value, held.model, held.Z.iloc[[i]], predicted, regate),
            np.zeros((1, d)),  # all gates closed
            seed=int(rng.integers(2**31)),
        )
        found = explainer(np.ones((1, d)), max_evals=10 * (2 * d + 1), silent=True)
        values[i] = found.values[0]
    return values


def _value(
    model: LSPINClassifier, cell: pd.DataFrame, predicted: int, regate: bool, keep: np.ndarray
) -> np.ndarray:
    """Probability of one class for one cell under many masks, shape (m,)."""
    copies = cell.iloc[np.zeros(len(keep), dtype=int)]
    return gated_probabilities(model, copies, keep, regate=regate)[:, predicted]


def _integrated_gradients(held: HeldOut, regate: bool, rng: np.random.Generator) -> np.ndarray:
    """Gradients along the way from all gates closed to all as they are, with captum.

    Where gates are closed one at a time and set anew, the mask jumps along the way, and the
    gradients do not add up to the whole change.
    """
    from captum.attr import IntegratedGradients

    network, device = held.model.network_, held.model.device

    def forward(keep: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        kept = keep * z
        if not regate:
            with torch.no_grad():  # the gates stay as they are
                mu = network.gate_locations(z.expand(network.n_models, *z.shape))
            logits = network.predict_gated(kept * gate_values(mu))
        else:
            logits = network(kept)[0]
        return logits.mean(dim=0).softmax(dim=1)

    z = torch.tensor(held.Z.to_numpy(dtype=float), device=device)
    winner = torch.tensor(held.winner, device=device)
    with one_torch_thread():
        found = IntegratedGradients(forward).attribute(
            torch.ones_like(z), target=winner, additional_forward_args=(z,)
        )
    return found.detach().cpu().numpy()


OWN_EXPLAINERS: dict[str, Explainer] = {
    "effect of the gate": _effect,
    "width of the gate": _width,
    "random": _chance,
}
"""Orders that need nothing but the model."""

EXPLAINERS: dict[str, Explainer] = {
    **OWN_EXPLAINERS,
    "SHAP": _shap,
    "integrated gradients": _integrated_gradients,
}
"""All orders that are compared; the last two need the libraries shap and captum. SHAP: Lundberg,
Lee, NeurIPS 2017; integrated gradients: Sundararajan, Taly, Yan, ICML 2017."""


def deletion_insertion(
    held: HeldOut, contribution: np.ndarray, *, regate: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Close the open gates one by one, and open them alone one by one [1]_.

    Parameters
    ----------
    held : HeldOut
        A model, and n cells that it has not seen.
    contribution : ndarray, shape (n, d)
        What comes first: the largest. Only open gates take part.
    regate : bool
        As in `lspin.explain.gated_probabilities`.

    Returns
    -------
    deletion, insertion : ndarray, shape (n, d + 1)
        Probability of the predicted class with the first 0, 1, 2, ... gates closed, and with
        the first 0, 1, 2, ... alone left as they were. Constant after the last open gate.
    n_open : ndarray of int, shape (n,)
        Number of gates that took part.

    References
    ----------
    .. [1] Petsiuk, Das, Saenko. "RISE: Randomized Input Sampling for Explanation of Black-box
           Models". BMVC 2018.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import deletion_insertion, hold_out
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> three = held.select(held.cells.X.index[:3])
    >>> deletion, insertion, n_open = deletion_insertion(three, three.own_effects)
    >>> deletion.shape
    (3, 43)
    >>> bool((deletion[:, 0] == insertion[:, -1]).all())
    True
    """
    is_open = held.gates > 0
    n, d = is_open.shape
    # Place of each gate in the order. Those that are closed come last and take no part.
    place = np.argsort(np.argsort(np.where(is_open, -contribution, np.inf), axis=1), axis=1)
    curves = np.empty((2, n, d + 1))
    for t in range(d + 1):
        first = (place < t) & is_open
        for curve, keep in zip(curves, (~first, first), strict=True):
            curve[:, t] = held.closing(keep, regate=regate)[np.arange(n), held.winner]
    return curves[0], curves[1], is_open.sum(axis=1)


def area(curve: np.ndarray, n_open: np.ndarray) -> np.ndarray:
    """Area under each curve over the share of open gates, in [0, 1].

    Parameters
    ----------
    curve : ndarray, shape (n, d + 1)
        From `deletion_insertion`.
    n_open : ndarray of int, shape (n,)
        The curve is taken from 0 to this many gates; all of them are 1 on its axis.

    Returns
    -------
    ndarray, shape (n,)
        The probability itself where no gate is open.

    Examples
    --------
    Two gates are open, and closing the first takes all that there is to lose:

    >>> import numpy as np
    >>> from lspin.explain import area
    >>> area(np.array([[0.9, 0.1, 0.1]]), n_open=np.array([2])).round(2)
    array([0.3])
    """
    return np.array(
        [
            trapezoid(row[: m + 1], dx=1 / m) if m else row[0]
            for row, m in zip(curve, n_open, strict=True)
        ]
    )


def faithfulness(
    held: Sequence[HeldOut],
    explainers: Mapping[str, Explainer] = OWN_EXPLAINERS,
    *,
    regate: bool = False,
    per_class: int | None = None,
    random_state: int = 0,
    verbose: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Delete and insert measurements in the orders of several explainers.

    Every explainer explains the very function that is then tested: the probability of the
    predicted class as a function of which gates are closed.

    Parameters
    ----------
    held : sequence of HeldOut
        From `lspin.explain.hold_out`.
    explainers : mapping of str to Explainer
        The orders, such as `OWN_EXPLAINERS`.
    regate : bool
        As in `lspin.explain.gated_probabilities`.
    per_class : int, optional
        Take only so many cells predicted to be of each class in each fold; SHAP is slow.
    random_state : int
        Seeds the choice of cells and the explainers that draw.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    areas : DataFrame
        A row per cell and order: ``specimen_id``, ``donor``, ``class`` (the one predicted),
        ``order``, area under the ``deletion`` curve (low is good) and under the ``insertion``
        curve (high is good).
    curves : DataFrame
        By ``class``, ``order`` and ``gates`` (how many closed, or alone left): mean ``deletion``
        and ``insertion`` probability.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import faithfulness, hold_out
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> areas, curves = faithfulness([held], per_class=1)
    >>> bool(areas["deletion"].between(0, 1).all())
    True
    """
    rng = np.random.default_rng(random_state)
    areas, curves = [], []
    steps = [(h, name) for h in held for name in explainers]
    chosen = {
        id(h): h.select(h.cells.X.index[_some_of_each(h.predicted, per_class, rng)]) for h in held
    }
    for h, name in tqdm(steps, desc="deletion and insertion", disable=not verbose):
        some = chosen[id(h)]
        contribution = explainers[name](some, regate, rng)
        deletion, insertion, n_open = deletion_insertion(some, contribution, regate=regate)
        predicted = some.predicted
        about = {"donor": some.cells.donors, "class": predicted, "order": name}
        areas.append(
            pd.DataFrame(
                {**about, "deletion": area(deletion, n_open), "insertion": area(insertion, n_open)}
            ).reset_index()
        )
        curves.append(
            pd.DataFrame(
                {
                    "class": np.repeat(predicted, deletion.shape[1]),
                    "order": name,
                    "gates": np.tile(np.arange(deletion.shape[1]), len(predicted)),
                    "deletion": deletion.ravel(),
                    "insertion": insertion.ravel(),
                }
            )
        )
    by = ["class", "order", "gates"]
    return pd.concat(areas, ignore_index=True), pd.concat(curves).groupby(by, sort=False).mean()


def _some_of_each(
    predicted: np.ndarray, per_class: int | None, rng: np.random.Generator
) -> np.ndarray:
    """Return rows: all, or up to `per_class` of each class, drawn at random."""
    if per_class is None:
        return np.arange(len(predicted))
    shuffled = rng.permutation(len(predicted))
    rows = [shuffled[predicted[shuffled] == name][:per_class] for name in np.unique(predicted)]
    return np.sort(np.concatenate(rows))
