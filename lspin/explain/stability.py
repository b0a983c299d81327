"""Whether another seed, other donors or a similar cell give the same reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import hypergeom
from tqdm import tqdm

from lspin.data.folds import donor_folds
from lspin.explain.held_out import HeldOut, train_on

STRONGEST = 3
"""How many measurements count as the short answer."""


def open_sets(held: HeldOut) -> np.ndarray:
    """Tell which gates are open, shape (n, d).

    Parameters
    ----------
    held : HeldOut

    Returns
    -------
    ndarray of bool, shape (n, d)

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out, open_sets
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> open_sets(held).shape == held.Z.shape
    True
    """
    return held.gates > 0


def strongest_sets(held: HeldOut) -> np.ndarray:
    """Tell which `STRONGEST` measurements did most for the predicted class, shape (n, d).

    Parameters
    ----------
    held : HeldOut

    Returns
    -------
    ndarray of bool, shape (n, d)

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out, strongest_sets
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> int(strongest_sets(held).sum(axis=1).max()) <= 3
    True
    """
    place = np.argsort(np.argsort(-held.own_effects, axis=1), axis=1)
    return (place < STRONGEST) & (held.own_effects > 0)


def to_groups(sets: np.ndarray, groups: pd.Series) -> np.ndarray:
    """Turn sets of features into sets of groups: a group is in if any of its features is.

    Parameters
    ----------
    sets : ndarray of bool, shape (n, d)
    groups : Series, shape (d,)
        From `lspin.explain.feature_groups`.

    Returns
    -------
    ndarray of bool, shape (n, n_groups)

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from lspin.explain import to_groups
    >>> groups = pd.Series(["spike", "spike", "sag"])
    >>> to_groups(np.array([[False, True, False]]), groups)
    array([[ True, False]])
    """
    return np.column_stack([sets[:, groups == name].any(axis=1) for name in groups.unique()])


def jaccard(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Overlap of two sets, what is in both as a share of what is in either.

    Parameters
    ----------
    a, b : ndarray of bool, shape (n, d)
        A set per row.

    Returns
    -------
    ndarray, shape (n,)
        NaN where both are empty.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.explain import jaccard
    >>> jaccard(np.array([[True, True, False]]), np.array([[False, True, True]])).round(2)
    array([0.33])
    """
    both, either = (a & b).sum(axis=1), (a | b).sum(axis=1)
    return np.divide(both, either, out=np.full(len(a), np.nan), where=either > 0)


def jaccard_by_size(n_a: int, n_b: int, d: int) -> float:
    """Mean Jaccard overlap of two random sets of `n_a` and `n_b` of `d` features.

    Their intersection follows a hypergeometric distribution.

    Parameters
    ----------
    n_a, n_b : int
        Features in either set.
    d : int
        Features to choose from.

    Returns
    -------
    float
        NaN if both sets are empty.

    Examples
    --------
    >>> from lspin.explain import jaccard_by_size
    >>> round(jaccard_by_size(5, 5, 42), 2)
    0.07
    """
    if n_a + n_b == 0:
        return np.nan
    both = np.arange(min(n_a, n_b) + 1)
    return float((hypergeom.pmf(both, d, n_a, n_b) * both / (n_a + n_b - both)).sum())


def agreement(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Compare two models' reasons for the same cells, corrected for chance.

    Correction is as for the adjusted Rand index [1]_: (J - E) / (1 - E), which is 1 for perfect
    agreement and 0 for what chance gives, where E is the overlap to be expected

    - of random sets of the same sizes (as in measures of the stability of feature selection
      [2]_): is this more than a guess?
    - of the sets of two different cells: does it say anything about *this* cell?

    Parameters
    ----------
    a, b : ndarray of bool, shape (n, d)
        The set of each cell, from two models.

    Returns
    -------
    dict
        ``jaccard``, mean over cells, and corrected: ``beyond_size`` and ``beyond_cell``. NaN
        where there is nothing to compare.

    References
    ----------
    .. [1] Hubert, Arabie. "Comparing partitions". Journal of Classification 2, 1985.
    .. [2] Nogueira, Sechidis, Brown. "On the Stability of Feature Selection Algorithms".
           JMLR 18(174), 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.explain import agreement
    >>> sets = np.array([[True, False, False], [False, False, True]])
    >>> agreement(sets, sets)
    {'jaccard': 1.0, 'beyond_size': 1.0, 'beyond_cell': 1.0}
    """
    overlap = jaccard(a, b)
    found = float(np.nanmean(overlap)) if np.isfinite(overlap).any() else np.nan
    sizes, which = np.unique(
        np.column_stack([a.sum(axis=1), b.sum(axis=1)]), axis=0, return_inverse=True
    )
    by_size = np.array([jaccard_by_size(m, n, a.shape[1]) for m, n in sizes])[which]
    both = a.astype(float) @ b.T.astype(float)
    either = a.sum(axis=1)[:, None] + b.sum(axis=1)[None] - both
    pairs = np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)
    np.fill_diagonal(pairs, np.nan)
    return {
        "jaccard": found,
        "beyond_size": _corrected(found, by_size),
        "beyond_cell": _corrected(found, pairs),
    }


def _corrected(found: float, by_chance: np.ndarray) -> float:
    """Return (J - E) / (1 - E); NaN where chance alone agrees perfectly."""
    expected = np.nanmean(by_chance) if np.isfinite(by_chance).any() else np.nan
    return float((found - expected) / (1 - expected)) if expected < 1 else np.nan


def nearest(Z: pd.DataFrame, donors: pd.Series) -> np.ndarray:
    """Row of the most similar cell of another donor, shape (n,); Euclidean, all inputs.

    Parameters
    ----------
    Z : DataFrame, shape (n, d)
        Standardised cells.
    donors : Series, shape (n,)
        Donor of each cell.

    Returns
    -------
    ndarray of int, shape (n,)

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.explain import nearest
    >>> Z = pd.DataFrame({"sag": [0.0, 0.1, 2.0], "tau": [0.0, 0.1, 1.0]})
    >>> nearest(Z, donors=pd.Series([7, 7, 8]))
    array([2, 2, 1])
    """
    distance = cdist(Z, Z)
    distance[donors.to_numpy()[:, None] == donors.to_numpy()[None]] = np.inf
    return distance.argmin(axis=1)


def refits(
    held: HeldOut, *, n_seeds: int = 4, n_draws: int = 20, random_state: int = 0, verbose: int = 1
) -> dict[str, list[HeldOut]]:
    """Train the model of one fold again, in three ways that should not matter.

    Parameters
    ----------
    held : HeldOut
        The held-out cells stay held out.
    n_seeds, n_draws : int
        How often with another seed, and with other draws of donors.
    random_state : int
        Seeds the models and the draws.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    dict of str to list of HeldOut
        ``another seed``: nothing changed but random numbers; ``other donors``: each time
        without another quarter of the training donors; ``donors drawn anew``: as many donors as
        before, drawn with replacement (bootstrap).

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out
    >>> from lspin.explain import refits
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> trained = refits(held, n_seeds=1, n_draws=1, verbose=0)
    >>> {name: len(again) for name, again in trained.items()}
    {'another seed': 1, 'other donors': 4, 'donors drawn anew': 1}
    """
    seen, rng = held.seen, np.random.default_rng(random_state)
    three_quarters = [rows for rows, _ in donor_folds(seen.y, seen.donors, 4, random_state)]
    draws = {
        "another seed": [np.arange(len(seen))] * n_seeds,
        "other donors": three_quarters,
        "donors drawn anew": [draw_donors(seen.donors, rng) for _ in range(n_draws)],
    }
    bar = tqdm(desc="training again", total=sum(map(len, draws.values())), disable=not verbose)
    trained: dict[str, list[HeldOut]] = {name: [] for name in draws}
    with bar:
        for name, rows_of_draws in draws.items():
            for rows in rows_of_draws:
                pipeline = train_on(seen, held.model, int(rng.integers(2**31)), rows)
                trained[name].append(replace(held, pipeline=pipeline))
                bar.update()
    return trained


def draw_donors(donors: pd.Series, rng: np.random.Generator) -> np.ndarray:
    """Draw as many donors as there are, with replacement.

    Parameters
    ----------
    donors : Series, shape (n,)
        Donor of each cell.
    rng : Generator

    Returns
    -------
    ndarray of int
        Rows of all cells of the donors drawn, as often as the donor was.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from lspin.explain import draw_donors
    >>> donors = pd.Series([7, 7, 8, 9])
    >>> rows = draw_donors(donors, np.random.default_rng(0))
    >>> bool(donors[rows].isin([7, 8, 9]).all())
    True
    """
    cells_of = donors.groupby(donors.to_numpy()).indices
    names = list(cells_of)
    return np.concatenate([cells_of[names[k]] for k in rng.integers(len(names), size=len(names))])


def stability(
    held: HeldOut, trained: Mapping[str, Sequence[HeldOut]], groups: pd.Series
) -> pd.DataFrame:
    """Compare the reasons that different trainings, or similar cells, give.

    Parameters
    ----------
    held : HeldOut
    trained : mapping of str to sequence of HeldOut
        From `refits`: all pairs of each list are compared.
    groups : Series
        From `lspin.explain.feature_groups`.

    Returns
    -------
    DataFrame
        A row per comparison (those of `trained`, and ``the most similar cell``: one model, each
        cell beside its nearest neighbour from another donor), per kind of ``reasons`` (``open
        gates``, ``strongest 3``) and per ``unit``
        (``measurement`` or ``group``). Columns: what `agreement` returns, mean over pairs.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import feature_groups, hold_out
    >>> from lspin.explain import stability
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> twice = {"itself": [held, held]}
    >>> table = stability(held, twice, feature_groups(held.Z)).set_index("compared with")
    >>> bool((table.loc["itself", "jaccard"].round(6) == 1).all())
    True
    """
    rows = []
    for reasons, sets_of in _REASONS.items():
        compared: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for name, refitted in trained.items():
            compared[name] = list(combinations(map(sets_of, refitted), 2))
        mine = sets_of(held)
        neighbours = mine[nearest(held.Z, held.cells.donors)]
        compared["the most similar cell"] = [(mine, neighbours)]
        for name, pairs in compared.items():
            for unit in ("measurement", "group"):
                if unit == "group":
                    pairs = [(to_groups(a, groups), to_groups(b, groups)) for a, b in pairs]
                scores = pd.DataFrame([agreement(a, b) for a, b in pairs]).mean()
                rows.append({"compared with": name, "reasons": reasons, "unit": unit, **scores})
    return pd.DataFrame(rows)


_REASONS = {"open gates": open_sets, f"strongest {STRONGEST}": strongest_sets}


def selection_frequency(
    held: HeldOut, refitted: Sequence[HeldOut], groups: pd.Series, *, random_state: int = 0
) -> pd.DataFrame:
    """How often each measurement is among the reasons, with intervals.

    Parameters
    ----------
    held : HeldOut
    refitted : sequence of HeldOut
        Trained on draws of donors, from `refits`. The held-out donors are drawn as well, so that
        the intervals hold what comes of either.
    groups : Series
        From `lspin.explain.feature_groups`.
    random_state : int
        Seeds the draws of held-out donors.

    Returns
    -------
    DataFrame
        A row per measurement or group (``unit``, ``name``) and kind of ``reasons``: ``share`` of
        held-out cells, mean over draws, with ``low`` and ``high``, the 5th and 95th percentile.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import feature_groups, hold_out
    >>> from lspin.explain import selection_frequency
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> frequency = selection_frequency(held, [held, held], feature_groups(held.Z))
    >>> frequency["unit"].unique().tolist()
    ['measurement', 'group']
    """
    rng = np.random.default_rng(random_state)
    draws = [draw_donors(held.cells.donors, rng) for _ in refitted]
    tables = []
    for reasons, sets_of in _REASONS.items():
        sets = [sets_of(h) for h in refitted]
        by_group = [to_groups(chosen, groups) for chosen in sets]
        for unit, names, table in (
            ("measurement", held.Z.columns, sets),
            ("group", groups.unique(), by_group),
        ):
            shares = np.array([t[rows].mean(axis=0) for t, rows in zip(table, draws, strict=True)])
            low, high = np.percentile(shares, [5, 95], axis=0)
            columns = {"share": shares.mean(axis=0), "low": low, "high": high}
            tables.append(
                pd.DataFrame({"unit": unit, "name": names, "reasons": reasons, **columns})
            )
    return pd.concat(tables, ignore_index=True)
