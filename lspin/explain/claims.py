"""By which gates each class is recognised, and what physiology says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lspin.evaluate.scores import donor_interval
from lspin.explain.held_out import HeldOut


def fingerprints(held: Sequence[HeldOut]) -> pd.DataFrame:
    """Describe by which gates each class is recognised.

    Parameters
    ----------
    held : sequence of HeldOut
        From `hold_out`; their cells are pooled.

    Returns
    -------
    DataFrame, shape (n_classes * d, ...)
        By ``class`` (the one the model answered) and ``feature``:

        - ``open``, share of cells and networks with this gate open; ``open_low``, ``open_high``;
        - ``effect``, mean probability that the class loses when the gate alone is closed;
          ``effect_low``, ``effect_high`` (intervals from `donor_interval`);
        - ``direction``, correlation between the value and what it did for this class, over the
          cells of all classes: positive if a higher value speaks for the class;
        - ``z``, median standardised value of cells predicted to be so.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import fingerprints, hold_out
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> fingerprints([held]).loc["Pvalb+"].shape
    (42, 8)
    """
    classes = _common_classes(held)
    Z = pd.concat([h.Z for h in held])
    is_open = np.concatenate([h.gates > 0 for h in held]).astype(float)
    effect = np.concatenate([h.effects for h in held])
    predicted = np.concatenate([h.predicted for h in held])
    donors = np.concatenate([h.cells.donors for h in held])
    tables = {}
    for k, name in enumerate(classes):
        mine = predicted == name
        columns = {"open": is_open[mine], "effect": effect[mine, :, k]}
        table = pd.DataFrame(index=Z.columns)
        for column, values in columns.items():
            interval = donor_interval(values, donors[mine])
            for suffix, numbers in zip(("", "_low", "_high"), interval, strict=True):
                table[column + suffix] = numbers
        table["direction"] = [
            _direction(Z.to_numpy()[:, j], effect[:, j, k]) for j in range(Z.shape[1])
        ]
        table["z"] = Z[mine].median()
        tables[name] = table
    return pd.concat(tables, names=["class", "feature"])


@dataclass(frozen=True)
class Claim:
    """What electrophysiology says of a class.

    Attributes
    ----------
    of : str
        The class.
    says : str
        What is known.
    features : tuple of str
        The measurements that show it, under the names of either table.
    sign : int
        1 if the class has high values, -1 if low ones.
    source : str
        Who says so: a key of the book's ``references.bib``.

    Examples
    --------
    >>> from lspin.explain import CLAIMS
    >>> CLAIMS[0].of, CLAIMS[0].says
    ('Pvalb+', 'narrow spikes')
    """

    of: str
    says: str
    features: tuple[str, ...]
    sign: int
    source: str


_SPIKE_DURATION = ("fall_ms_long_square", "fall_ms_ramp", "fall_ms_short_square", "width")

_RATIO = (
    "upstroke_downstroke_ratio_long_square",
    "upstroke_downstroke_ratio_ramp",
    "upstroke_downstroke_ratio_short_square",
    "upstroke_downstroke_ratio",
)

_RHEOBASE = ("threshold_i_long_square", "threshold_i_ramp")

CLAIMS: tuple[Claim, ...] = (
    Claim("Pvalb+", "narrow spikes", _SPIKE_DURATION, -1, "hu2014"),
    Claim("Pvalb+", "fast downstroke", _RATIO, -1, "mccormick1985"),
    Claim("Sst+", "sag", ("sag",), 1, "tremblay2016"),
    Claim("Sst+", "low rheobase", _RHEOBASE, -1, "tremblay2016"),
    Claim("Glutamatergic", "broad spikes", _SPIKE_DURATION, 1, "mccormick1985"),
    Claim("Glutamatergic", "high upstroke/downstroke", _RATIO, 1, "mccormick1985"),
)
"""What the fingerprints are checked against."""


def check_claims(held: Sequence[HeldOut], claims: Sequence[Claim] = CLAIMS) -> pd.DataFrame:
    """Ask of each claim whether it is true of these cells, and whether the model uses it.

    The measurements of a claim say the same thing, and a network may take any of them; so all of
    their gates are closed at once.

    Parameters
    ----------
    held : sequence of HeldOut
        From `hold_out`; their cells are pooled.
    claims : sequence of Claim

    Returns
    -------
    DataFrame
        A row per claim about a class and a measurement of this table: ``class``, ``claim``,
        ``source``, ``sign`` (what is claimed), and

        - ``difference``, median of the class minus median of all others, in standard
          deviations, mean over the measurements: what the cells say, without any model;
        - ``direction``, as in `fingerprints`, for the mean of the measurements;
        - ``effect``, ``effect_low``, ``effect_high``, mean probability lost by cells of that
          prediction when all these gates are closed;
        - ``true``, ``agrees``, ``used``: whether the difference has the sign claimed, whether
          the direction has it, and whether the interval of the effect is above 0.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import check_claims, hold_out
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> check_claims([held])[["class", "claim"]].iloc[2].tolist()
    ['Sst+', 'sag']
    """
    rows = []
    classes = _common_classes(held)
    y = np.concatenate([h.cells.y for h in held])
    predicted = np.concatenate([h.predicted for h in held])
    donors = np.concatenate([h.cells.donors for h in held])
    for claim in claims:
        columns = [name for name in held[0].Z.columns if name in claim.features]
        if not columns or claim.of not in classes:
            continue  # nothing in this table can tell
        z = pd.concat([h.Z[columns] for h in held])
        k = classes.index(claim.of)
        effect = np.concatenate(
            [h.probability[:, k] - h.closing(~h.Z.columns.isin(columns))[:, k] for h in held]
        )
        mine = predicted == claim.of
        difference = (z[y == claim.of].median() - z[y != claim.of].median()).mean()
        direction = _direction(z.mean(axis=1).to_numpy(), effect)
        mean, low, high = donor_interval(effect[mine], donors[mine])
        rows.append(
            {
                "class": claim.of,
                "claim": claim.says,
                "source": claim.source,
                "sign": claim.sign,
                "difference": difference,
                "direction": direction,
                "effect": float(mean),
                "effect_low": float(low),
                "effect_high": float(high),
                "true": bool(difference * claim.sign > 0),
                "agrees": bool(direction * claim.sign > 0),
                "used": bool(low > 0),
            }
        )
    return pd.DataFrame(rows)


def _common_classes(held: Sequence[HeldOut]) -> list[str]:
    """Return the classes that all models know, in the order of their probabilities."""
    if not held:
        raise ValueError("There are no held-out cells to ask.")
    classes = list(held[0].model.classes_)
    if any(list(h.model.classes_) != classes for h in held):
        raise ValueError(
            "The models of these folds know different classes, because a rare class is missing "
            "from some training cells: leave it out, or look at each fold by itself."
        )
    return classes


def _direction(value: np.ndarray, effect: np.ndarray) -> float:
    """Correlation of value and effect, 0 if the gate never did anything.

    Not that of their ranks: most cells of other classes have next to no effect, and the order of
    those says nothing.
    """
    if np.ptp(value) == 0 or np.ptp(effect) == 0:
        return 0.0
    return float(np.corrcoef(value, effect)[0, 1])
