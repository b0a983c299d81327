"""Look into the gates cell by cell, on a page that needs no Python behind it and no network.

`explore` writes the cells and the model's predictors into the page; ``explorer.js`` draws them and
computes every answer anew when gates are closed. The same thing is shown in the built book, in
JupyterLab, on Binder and on Colab.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from lspin.data.tables import METADATA_COLUMNS, SPIKE_TIME_MS, Spikes
from lspin.explain.held_out import HeldOut
from lspin.features.catalogue import feature_named
from lspin.model.closing import ClosingLSPIN
from lspin.model.gates import gate_values
from lspin.model.threads import one_torch_thread
from lspin.show.plots import class_styles

if TYPE_CHECKING:
    from IPython.display import HTML

N_LISTED = 12
"""Gates of a cell that can be opened and closed, at least, where they close one at a time."""

MAX_FILTER_VALUES = 20
"""Of a column of the metadata that cells are filtered by, besides the usual ones."""

MIN_SPREAD = 0.25
"""Share of an axis that the middle 80 % of the cells must fill."""

_LABELS = {
    "cre": "the Cre line",
    "dendrite": "the dendrites",
    "transcriptome": "the cell's own RNA",
    "own": "your table",
}
_METADATA_NAMES = {
    "line_name": "Cre line",
    "dendrite_type": "dendrites",
    "reporter_status": "reporter",
    "temperature_c": "temperature (°C)",
    "label_source": "label from",
}

# The book's theme puts a light box behind HTML in the dark; the explorer follows the theme itself.
_PAGE_STYLE = """<style>
html[data-theme=dark] body .bd-content div.cell_output .text_html:has(div.lspin-explorer) {
  background: none; color: inherit; padding: 0;
}
body[data-jp-theme-light=false] .lspin-explorer { color-scheme: dark; }
</style>"""


def explore(
    held: HeldOut,
    spikes: Spikes | None = None,
    *,
    selected: int | None = None,
    source: str | None = None,
) -> HTML:
    """Show an explorer of held-out cells: choose a cell, close its gates, compare it.

    Nothing is computed beforehand but the order in which gates close. The page carries the
    predictors behind the gates, so whatever is closed by hand, the answer is the model's own
    (in single precision).

    With 42 measurements and 150 cells it takes about 0.5 MB, of which the predictors are 0.3 MB.

    Parameters
    ----------
    held : HeldOut
        Its held-out cells are shown; some hundred (``held.select``) keep the points apart. They can
        be filtered by their metadata: also by other columns than the usual ones, such as
        ``label_source`` where tables were put together, if these have at most
        `MAX_FILTER_VALUES` values.
    spikes : Spikes, optional
        Spikes of the same source; where a cell has one, it is drawn.
    selected : int, optional
        The ``specimen_id`` shown at first; by default the first cell.
    source : str, optional
        Where the cells come from, one sentence; by default the banner of the cells shown.

    Returns
    -------
    HTML
        For a notebook to display; its attribute ``data`` is the text.

    Raises
    ------
    ValueError
        If `selected` is not one of the cells.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out
    >>> from lspin.show import explore
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> page = explore(held)
    >>> "lspin-explorer" in page.data
    True
    """
    from IPython.display import HTML

    ids = held.cells.X.index
    selected = ids[0] if selected is None else selected
    if selected not in ids:
        raise ValueError(f"selected={selected!r} is none of the {len(ids)} cells given.")
    here = Path(__file__)
    content = _content(held, spikes) | {
        "selected": ids.get_loc(selected),
        "source": held.cells.banner() if source is None else source,
        "css": here.with_suffix(".css").read_text("utf-8"),
    }
    return HTML(
        f'{_PAGE_STYLE}<div class="lspin-explorer">'
        f'<script type="application/json">{_json(content)}</script>'
        "The explorer needs JavaScript.</div>\n"
        f"<script>(() => {{{here.with_suffix('.js').read_text('utf-8')}}})();</script>"
    )


def _content(held: HeldOut, spikes: Spikes | None) -> dict[str, Any]:
    """Collect what the page shows; arrays are float32 in base64."""
    cells, classes = held.cells, held.model.classes_.tolist()
    known = _filters(cells.metadata)
    order, gates, gated = _gates_in_order(held)
    values = held.measured(cells.X)
    axes = _axes(values, held.gates.mean(axis=0))
    # A measurement that is behind a closed gate in all cells needs no weights on the page.
    columns = sorted({*np.concatenate(order).tolist(), *axes})
    number = {j: k for k, j in enumerate(columns)}
    names = sorted({*classes, *cells.y})
    typical = held.measured(held.seen.X).groupby(held.seen.y).median().reindex(names)
    waveforms = pd.DataFrame(columns=SPIKE_TIME_MS) if spikes is None else spikes.waveform_mv
    with_spike = [i for i in cells.X.index if i in waveforms.index]
    of_seen = waveforms[waveforms.index.isin(held.seen.X.index)].astype(float)
    typical_spikes = of_seen.groupby(held.seen.y.reindex(of_seen.index)).median().reindex(names)
    return {
        "classes": classes,
        "names": names,
        "styles": class_styles(names),
        "labels": _LABELS[cells.labels],
        "features": [
            {"label": feature_named(name).label, "unit": feature_named(name).unit}
            for name in values.columns[columns]
        ],
        "axes": [number[j] for j in axes],
        "metadata": [_METADATA_NAMES.get(name, name) for name in known],
        "cells": [
            {
                "id": str(i),
                "label": str(cells.y[i]),
                "metadata": known.loc[i].tolist(),
                "order": [number[j] for j in order[row]],
                "gates": gates[row, order[row]].round(2).tolist(),
                "n_open": int((gates[row] > 0).sum()),
                "z": held.Z.to_numpy()[row, order[row]].round(2).tolist(),
                "spike": with_spike.index(i) if i in waveforms.index else None,
            }
            for row, i in enumerate(cells.X.index)
        ],
        "values": _base64(values.iloc[:, columns]),
        "typical": _base64(typical.iloc[:, columns]),
        "gated": _base64(gated[..., columns]),
        "is_closing": isinstance(held.model.network_, ClosingLSPIN),
        **_predictors(held, columns),
        "time_ms": SPIKE_TIME_MS.tolist(),
        "spikes": _base64(waveforms.loc[with_spike]),
        "typical_spikes": _base64(typical_spikes),
        "has_typical_spike": typical_spikes.notna().all(axis=1).tolist(),
    }


def _filters(metadata: pd.DataFrame) -> pd.DataFrame:
    """Return as text the columns by which cells are filtered; "" is unknown."""
    others = metadata.columns.difference(METADATA_COLUMNS, sort=False)
    few = [name for name in others if 1 < metadata[name].nunique() <= MAX_FILTER_VALUES]
    columns = metadata[[*METADATA_COLUMNS, *few]]
    return columns.astype(str).where(columns.notna(), "")


@torch.no_grad()
def _gates_in_order(held: HeldOut) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return which gates can be closed, the gates, and what they let through.

    Returns
    -------
    order : list of n arrays of int
        Columns, the last to close first.
    gates : ndarray, shape (n, d)
        As the model set them.
    gated : ndarray, shape (n, m, d)
        What each of the model's m masks lets through of a cell with all gates of its order open.
    """
    network, gates = held.model.network_, held.gates
    z = torch.tensor(held.Z.to_numpy(), device=held.model.device)
    n_open = (gates > 0).sum(axis=1)
    if isinstance(network, ClosingLSPIN):
        # Masks of 1, 2, ... open gates are nested, and the network remembers in which order it
        # closed the gates of these cells.
        n_listed = np.maximum(n_open, min(N_LISTED, gates.shape[1]))
        limits = range(1, n_listed.max() + 1)
        recipes = [replace(network.recipe, lam=0.0, max_open=n) for n in limits]
        with one_torch_thread():
            nested = [network.limited(recipe).gate_locations(z[None])[0] > 0 for recipe in recipes]
        place = len(nested) + 1 - torch.stack(nested).sum(dim=0).cpu().numpy()
        masks = (place <= n_listed[:, None])[:, None]
    else:
        strength = np.where(gates > 0, abs(held.own_effects), -1)
        place = (-strength).argsort(axis=1, kind="stable").argsort(axis=1) + 1
        n_listed = n_open
        mu = network.gate_locations(z.expand(network.n_models, *z.shape))
        masks = gate_values(mu).transpose(0, 1).cpu().numpy()
    order = [row.argsort()[:n] for row, n in zip(place, n_listed, strict=True)]
    return order, gates, masks * held.Z.to_numpy()[:, None]


def _predictors(held: HeldOut, columns: list[int]) -> dict[str, Any]:
    """Return the layers of all predictors, with weights of these inputs only."""
    network = held.model.network_
    scale = network.output_scale.item() if isinstance(network, ClosingLSPIN) else 1.0
    reader = network.reader if isinstance(network, ClosingLSPIN) else network
    weights = [
        layer.get_parameter("weight").detach().cpu().numpy() for layer in reader.predictor_layers
    ]
    biases = [
        layer.get_parameter("bias").detach().cpu().numpy() for layer in reader.predictor_layers
    ]
    weights[0] = weights[0][:, columns]
    weights[-1], biases[-1] = scale * weights[-1], scale * biases[-1]
    return {
        "n_masks": network.n_models,
        "n_predictors": len(biases[-1]),
        "layers": [
            {"n_in": w.shape[1], "n_out": w.shape[2], "weight": _base64(w), "bias": _base64(b)}
            for w, b in zip(weights, biases, strict=True)
        ],
    }


def _axes(values: pd.DataFrame, share_open: np.ndarray) -> list[int]:
    """Return the columns that can spread the cells over an axis, the two to begin with first.

    Those are continuous measurements of nearly all cells: no indicators, none that is the same in
    many cells, none that a few outliers squeeze together. The first is used much and spreads well;
    the second is the next that does not say the same.
    """
    n = len(values)
    middle = values.quantile(0.9) - values.quantile(0.1)
    spread = (middle / (values.max() - values.min())).fillna(0).to_numpy()
    most_common = values.apply(lambda column: column.value_counts().max())
    can = (
        (spread > MIN_SPREAD)
        & (values.notna().mean() > 0.8)
        & (values.nunique() >= min(10, n))
        & (most_common <= max(1, 0.2 * n))
    ).to_numpy()
    axes = [j for j in np.argsort(-share_open * spread, kind="stable").tolist() if can[j]]
    if len(axes) > 2:
        same = values.iloc[:, axes[1:]].corrwith(values.iloc[:, axes[0]], method="spearman").abs()
        second = axes.pop(1 + int((same.to_numpy() < 0.7).argmax()))
        axes.insert(1, second)
    return axes


def _base64(array: np.ndarray | pd.DataFrame) -> str:
    """Write numbers as float32, little-endian, in base64: exact, and half as long as digits."""
    return base64.b64encode(np.asarray(array, dtype="<f4").tobytes()).decode("ascii")


def _json(value: dict[str, Any]) -> str:
    """Write JSON that can stand inside a script element, whatever its texts hold."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")
