"""What LSPIN did with every measurement of a cell, and what that says about its class.

A gate that is closed puts the mean of the training cells, 0 after standardising, in the place of
a measurement. What a measurement contributed is therefore what closing its gate changes, and
closing gates by hand is all that this module does to a model. Whether such reasons can be
trusted is asked in `lspin.trust`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from tqdm import tqdm

from lspin.data.tables import Cells
from lspin.estimator import LSPINClassifier, pooled_probabilities
from lspin.evaluation import donor_folds, fit_grouped
from lspin.features import FEATURES, model_inputs
from lspin.threads import one_torch_thread

N_ALIKE = 25
"""How many training cells with similar gates are asked for their label."""

SAME = 0.7
"""Rank correlation, positive or negative, from which two measurements say the same thing."""


@torch.no_grad()
def gated_probabilities(
    model: LSPINClassifier, Z: pd.DataFrame, keep: np.ndarray, *, regate: bool = False
) -> np.ndarray:
    """Class probabilities with some gates closed by hand, in every member of the ensemble.

    Parameters
    ----------
    model : LSPINClassifier
        Fitted.
    Z : DataFrame, shape (n, d)
        Cells, standardised as in `fit`.
    keep : ndarray of bool, shape (d,) or (n, d)
        False closes a gate; True leaves it as the model set it.
    regate : bool, default=False
        If False, the gating network still sees the whole cell, so the other gates stay as they
        were. If True, it loses the measurements too, and sets all gates anew.

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
    gates = 1.0 if regate else model.member_gates(Z)
    x = torch.tensor(Z.to_numpy() * gates * keep, device=model.device)
    with one_torch_thread():
        logits = model.network_(x)[0] if regate else model.network_.predict_gated(x)
    return pooled_probabilities(logits).cpu().numpy()


def effects(model: LSPINClassifier, Z: pd.DataFrame) -> np.ndarray:
    """How much probability each class loses when one gate alone is closed.

    Parameters
    ----------
    model : LSPINClassifier
        Fitted.
    Z : DataFrame, shape (n, d)
        Cells, standardised as in `fit`.

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
    for j in np.flatnonzero(model.member_gates(Z).any(axis=(0, 1))):
        keep = np.arange(Z.shape[1]) != j
        effect[:, j] = probability - gated_probabilities(model, Z, keep)
    return effect


def explain_cells(
    pipeline: Pipeline, X: pd.DataFrame, y: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate what the model predicted for each cell, and through which gates.

    Parameters
    ----------
    pipeline : Pipeline
        `lspin.features.model_inputs` followed by an `LSPINClassifier`, fitted.
    X : DataFrame, shape (n, n_columns)
        Cells as loaded; explain only cells of donors that the pipeline was not fitted on.
    y : Series, shape (n,)
        Their classes.

    Returns
    -------
    predictions : DataFrame, shape (n, 2 + n_classes)
        By ``specimen_id``: the true ``class``, the ``predicted`` one, and the
        probability of each class.
    gates : DataFrame, shape (n * d, 5)
        By ``specimen_id`` and ``feature``:

        - ``value``, in the unit that `lspin.features.FEATURES` gives; NaN if not measured;
        - ``z``, the same standardised, as the model saw it before the gate;
        - ``gate``, in [0, 1], averaged over the ensemble;
        - ``members``, how many networks of the ensemble opened it at all;
        - ``effect``, how much probability the predicted class loses when this gate alone is
          closed. Negative: the open gate spoke against the prediction.

    Raises
    ------
    ValueError
        If the last step of the pipeline is not an `LSPINClassifier`.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import explain_cells, hold_out
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> predictions, gates = explain_cells(held.pipeline, held.cells.X[:3], held.cells.y[:3])
    >>> predictions.shape, gates.shape
    ((3, 7), (126, 5))
    """
    model = gated_model(pipeline)
    Z = inputs(pipeline, X)
    member_gates = model.member_gates(Z)
    probability = model.predict_proba(Z)
    winner = probability.argmax(axis=1)

    predictions = pd.DataFrame(probability, index=X.index, columns=model.classes_)
    predictions.insert(0, "class", y)
    predictions.insert(1, "predicted", model.classes_[winner])
    columns = {
        "value": measured(pipeline, X)[Z.columns].to_numpy(),
        "z": Z.to_numpy(),
        "gate": member_gates.mean(axis=0),
        "members": (member_gates > 0).sum(axis=0),
        "effect": effects(model, Z)[np.arange(len(Z)), :, winner],
    }
    index = pd.MultiIndex.from_product([X.index, Z.columns], names=["specimen_id", "feature"])
    gates = pd.DataFrame({name: table.ravel() for name, table in columns.items()}, index=index)
    return predictions, gates


def open_gates_of(gates: pd.DataFrame, specimen_id: int) -> pd.DataFrame:
    """Return the open gates of one cell, largest effect first.

    Parameters
    ----------
    gates : DataFrame
        From `explain_cells`.
    specimen_id : int
        A cell of that table.

    Returns
    -------
    DataFrame, shape (n_open, 5)
        By ``feature``.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import explain_cells, hold_out, open_gates_of
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> predictions, gates = explain_cells(held.pipeline, held.cells.X[:3], held.cells.y[:3])
    >>> list(open_gates_of(gates, held.cells.X.index[0]))
    ['value', 'z', 'gate', 'members', 'effect']
    """
    cell = gates.loc[specimen_id]
    return cell[cell["gate"] > 0].sort_values("effect", ascending=False)


def gated_model(pipeline: Pipeline) -> LSPINClassifier:
    """Return the last step of a pipeline, or raise a ValueError if it has no gates.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted or not.

    Returns
    -------
    LSPINClassifier

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from lspin import LSPINClassifier
    >>> from lspin.explain import gated_model
    >>> from lspin.features import model_inputs
    >>> gated_model(make_pipeline(model_inputs(), LSPINClassifier(lam=2.0)))
    LSPINClassifier(lam=2.0)
    """
    model = pipeline[-1]
    if not isinstance(model, LSPINClassifier):
        raise ValueError(
            "Gates are explained for a pipeline that ends in an LSPINClassifier; "
            f"this one ends in {type(model).__name__}."
        )
    return model


def inputs(pipeline: Pipeline, X: pd.DataFrame) -> pd.DataFrame:
    """Standardise the cells as the model sees them, shape (n, d).

    Parameters
    ----------
    pipeline : Pipeline
        As in `explain_cells`.
    X : DataFrame, shape (n, n_columns)
        Cells as loaded.

    Returns
    -------
    DataFrame, shape (n, d)

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out, inputs
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> inputs(held.pipeline, held.cells.X[:3]).shape
    (3, 42)
    """
    names = pipeline[:-1].get_feature_names_out()
    return pd.DataFrame(np.asarray(pipeline[:-1].transform(X)), X.index, names)


def measured(pipeline: Pipeline, X: pd.DataFrame) -> pd.DataFrame:
    """Return the model inputs before logarithm and scaling, in their units, NaN where missing.

    Parameters
    ----------
    pipeline : Pipeline
        As in `explain_cells`.
    X : DataFrame, shape (n, n_columns)
        Cells as loaded.

    Returns
    -------
    DataFrame, shape (n, d)

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out, measured
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> measured(held.pipeline, held.cells.X[:3]).shape
    (3, 42)
    """
    steps = pipeline[0].named_steps
    return steps["engineer"].transform(X) if "engineer" in steps else X


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A fitted pipeline, the cells it was trained on, and cells of donors it has never seen.

    Parameters
    ----------
    pipeline : Pipeline
        As in `explain_cells`.
    seen, cells : Cells
        Training cells; held-out cells (n of them).

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> held.probability.shape == (len(held.cells), 5)
    True
    """

    pipeline: Pipeline
    seen: Cells
    cells: Cells

    @property
    def model(self) -> LSPINClassifier:
        """The ensemble."""
        return gated_model(self.pipeline)

    @cached_property
    def Z(self) -> pd.DataFrame:
        """The held-out cells as the model sees them, shape (n, d)."""
        return inputs(self.pipeline, self.cells.X)

    @cached_property
    def member_gates(self) -> np.ndarray:
        """Their gates, shape (n_members, n, d)."""
        return self.model.member_gates(self.Z)

    @cached_property
    def probability(self) -> np.ndarray:
        """Class probabilities, shape (n, n_classes)."""
        return self.model.predict_proba(self.Z)

    @property
    def winner(self) -> np.ndarray:
        """Index of the predicted class, shape (n,)."""
        return self.probability.argmax(axis=1)

    @property
    def called(self) -> np.ndarray:
        """The predicted class, shape (n,)."""
        return self.model.classes_[self.winner]

    @cached_property
    def effects(self) -> np.ndarray:
        """What each measurement did for each class, shape (n, d, n_classes); see `effects`."""
        return effects(self.model, self.Z)

    @property
    def own_effects(self) -> np.ndarray:
        """What each measurement did for the predicted class, shape (n, d)."""
        return self.effects[np.arange(len(self.Z)), :, self.winner]


def hold_out(
    cells: Cells,
    model: LSPINClassifier,
    *,
    n_folds: int = 5,
    random_state: int = 0,
    verbose: int = 1,
) -> list[HeldOut]:
    """Train on four fifths of the donors and hold out the fifth, in turn.

    Parameters
    ----------
    cells : Cells
    model : LSPINClassifier
        Not fitted; cloned for every fold.
    n_folds : int, default=5
        How many of the five fifths to hold out.
    random_state : int
        Seeds the folds, and the model of each.
    verbose : int
        0 is quiet, 1 shows a progress bar.

    Returns
    -------
    list of HeldOut
        With five folds every cell is held out once.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> set(held.seen.donors) & set(held.cells.donors)
    set()
    """
    folds = donor_folds(cells.y, cells.donors, random_state=random_state)[:n_folds]
    held = []
    for k, (train, test) in enumerate(tqdm(folds, desc="training", disable=not verbose)):
        seen = cells.select(cells.X.index[train])
        pipeline = train_on(seen, model, random_state + k)
        held.append(HeldOut(pipeline, seen, cells.select(cells.X.index[test])))
    return held


def train_on(
    cells: Cells, model: LSPINClassifier, random_state: int, rows: np.ndarray | None = None
) -> Pipeline:
    """Fit a clone of `model`, with its input pipeline in front.

    Parameters
    ----------
    cells : Cells
    model : LSPINClassifier
        Not changed.
    random_state : int
        Seeds the clone.
    rows : ndarray of int, optional
        Cells to train on, all of them by default; a cell may be drawn more than once.

    Returns
    -------
    Pipeline

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import train_on
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> pipeline = train_on(few, LSPINClassifier(n_members=2, n_steps=20), random_state=0)
    >>> pipeline.predict(few.X[:3]).shape
    (3,)
    """
    rows = np.arange(len(cells)) if rows is None else rows
    X, y, donors = (part.iloc[rows] for part in (cells.X, cells.y, cells.donors))
    seeded = clone(model).set_params(random_state=random_state)
    return fit_grouped(make_pipeline(model_inputs(X), seeded), X, y, donors)


def donor_interval(
    values: ArrayLike, donors: ArrayLike, *, n_boot: int = 1000, random_state: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over cells, with a bootstrap interval that draws donors, not cells.

    Cells of one donor are no independent observations, so all of them are drawn or none.

    Parameters
    ----------
    values : array-like, shape (n,) or (n, m)
        Something measured for each cell.
    donors : array-like, shape (n,)
        Donor of each cell.
    n_boot : int
        How often donors are drawn.
    random_state : int
        Seeds the draws.

    Returns
    -------
    mean, low, high : ndarray, shape () or (m,)
        The mean, and the 2.5th and 97.5th percentile of the bootstrap; NaN without any cell.

    Examples
    --------
    >>> from lspin.explain import donor_interval
    >>> mean, low, high = donor_interval([1.0, 1.0, 0.0, 0.0], donors=[7, 7, 8, 9])
    >>> float(mean), float(low), float(high)
    (0.5, 0.0, 1.0)
    """
    values = np.asarray(values, dtype=float)
    if not len(values):
        nothing = np.full(values.shape[1:], np.nan)
        return nothing, nothing, nothing
    names, which = np.unique(np.asarray(donors), return_inverse=True)
    totals = np.zeros((len(names), *values.shape[1:]))
    np.add.at(totals, which, values)
    rng = np.random.default_rng(random_state)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_boot)
    n_cells = times @ np.bincount(which)
    draws = ((times @ totals).T / n_cells).T
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    return values.mean(axis=0), low, high


def feature_groups(values: pd.DataFrame, same: float = SAME) -> pd.Series:
    """Group measurements that say the same thing.

    Hierarchical clustering with complete linkage; the distance is 1 less the size of Spearman's
    rho, so that *any* two measurements of a group are correlated by at least `same`. Classes are
    not looked at.

    Parameters
    ----------
    values : DataFrame, shape (n, d)
        Measurements; ranks only matter, so standardised ones do as well.
    same : float, default=SAME
        Lowest absolute rank correlation within a group.

    Returns
    -------
    Series of str, shape (d,)
        By feature: its group, named after the member most correlated with the others.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.explain import feature_groups
    >>> values = pd.DataFrame({"ri": [1, 2, 3, 4], "tau": [1, 2, 4, 3], "sag": [2, 4, 1, 3]})
    >>> feature_groups(values).tolist()
    ['input resistance [2 alike]', 'input resistance [2 alike]', 'sag']
    """
    # A measurement that never varies is correlated with nothing.
    rho = values.corr("spearman").abs().fillna(0.0).to_numpy(copy=True)
    np.fill_diagonal(rho, 1.0)
    tree = linkage(squareform(1 - rho, checks=False), "complete")
    group = fcluster(tree, 1 - same, criterion="distance")
    names = {}
    for k in np.unique(group):
        members = np.flatnonzero(group == k)
        center = members[rho[np.ix_(members, members)].sum(axis=1).argmax()]
        label = FEATURES[values.columns[center]].label
        names[k] = label if len(members) == 1 else f"{label} [{len(members)} alike]"
    return pd.Series([names[k] for k in group], values.columns, name="group")


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
        - ``z``, median standardised value of the cells called so.

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
    Z = pd.concat([h.Z for h in held])
    is_open = np.concatenate([(h.member_gates > 0).mean(axis=0) for h in held])
    effect = np.concatenate([h.effects for h in held])
    called = np.concatenate([h.called for h in held])
    donors = np.concatenate([h.cells.donors for h in held])
    tables = {}
    for k, name in enumerate(held[0].model.classes_):
        mine = called == name
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
        A row per claim: ``class``, ``claim``, ``source``, ``sign`` (what is claimed), and

        - ``difference``, median of the class minus median of all others, in standard
          deviations, mean over the measurements: what the cells say, without any model;
        - ``direction``, as in `fingerprints`, for the mean of the measurements;
        - ``effect``, ``effect_low``, ``effect_high``, mean probability lost by cells called so
          when all these gates are closed;
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
    y = np.concatenate([h.cells.y for h in held])
    called = np.concatenate([h.called for h in held])
    donors = np.concatenate([h.cells.donors for h in held])
    for claim in claims:
        columns = [name for name in held[0].Z.columns if name in claim.features]
        z = pd.concat([h.Z[columns] for h in held])
        k = list(held[0].model.classes_).index(claim.of)
        effect = np.concatenate(
            [
                h.probability[:, k]
                - gated_probabilities(h.model, h.Z, ~h.Z.columns.isin(columns))[:, k]
                for h in held
            ]
        )
        mine = called == claim.of
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


def odd_cells(held: HeldOut) -> pd.DataFrame:
    """Rank held-out cells by how unlike their class their gates are.

    A cell is odd if the training cells with the most similar gates carry another label.

    Parameters
    ----------
    held : HeldOut
        Gates of different models do not compare, so this is about one fold.

    Returns
    -------
    DataFrame, shape (n, ...)
        By ``specimen_id``, the oddest first: ``class``, ``called``, ``probability`` (of the
        label), ``alike`` (the share of the `N_ALIKE` training cells with the most similar gates
        that carry this label), ``gates_like`` (the label most of them carry) and the cell's
        metadata. Where ``alike`` is the same, the less probable label comes first.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out, odd_cells
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> odd = odd_cells(held)
    >>> bool(odd["alike"].is_monotonic_increasing)
    True
    """
    seen = held.model.gates(inputs(held.pipeline, held.seen.X))
    neighbours = KNeighborsClassifier(N_ALIKE).fit(seen, held.seen.y)
    share = neighbours.predict_proba(held.model.gates(held.Z))
    own = np.searchsorted(held.model.classes_, held.cells.y)
    every = np.arange(len(own))
    table = pd.DataFrame(
        {
            "class": held.cells.y,
            "called": held.called,
            "probability": held.probability[every, own],
            "alike": share[every, own],
            "gates_like": neighbours.classes_[share.argmax(axis=1)],
        }
    ).join(held.cells.metadata)
    return table.sort_values(["alike", "probability"])


def _direction(value: np.ndarray, effect: np.ndarray) -> float:
    """Correlation of value and effect, 0 if the gate never did anything.

    Not that of their ranks: most cells of other classes have next to no effect, and the order of
    those says nothing.
    """
    if np.ptp(value) == 0 or np.ptp(effect) == 0:
        return 0.0
    return float(np.corrcoef(value, effect)[0, 1])
