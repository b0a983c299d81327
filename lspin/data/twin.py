"""Synthetic twins of the recorded cells: drawn from summary statistics, recorded by nobody.

The twins let every chapter and test run without a network. That of the Allen mouse cells is drawn
from ``twin_stats.json``, which :mod:`lspin.data.fit_twin` fits to the real tables and
which holds no cell: per class, and apart for the cells whose dendrite type agrees
with their label and for those where it does not,

* quantiles of every feature and of the scores on eight principal components of
  the spike waveform;
* how often features are missing, block by block;
* how many cells there are, how many expressed the reporter, which dendrite types;

and per class one shrunken correlation matrix and the number of cells per donor.
A cell is one draw from a Gaussian copula: correlated normal scores, each mapped
through the quantiles of its feature. Its features and its spike come from the
same draw, so they belong together as they do in a recording.

The twins of the Patch-seq sources are drawn in the same way from ``twin_v1.json``, ``twin_m1.json``
and ``twin_human.json``: their classes are transcriptomic subclasses (and the cells of none), their
strata the temperatures, and they have no spikes. Cre line, reporter and dendrites are drawn
at random from a table of how often they met in cells of the subclass, so that Cre lines are as
doubtful as they were, and cells of one donor have one line.

A twin is for trying things out. Its classes are easier to tell apart than real
ones (an RBF-SVM cross-validates at 0.87 on it, at 0.83 on the real cells), while a
model trained on the twin does as well on real cells as one trained on real cells.
A score on the twin is therefore no result.

Twin cells have negative ids, lines named ``synthetic <class>`` and the source
"twin" (or "v1-twin" and so on), so that they cannot be mistaken for recordings.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from lspin.data.patchseq import HALF_WIDTH, PATCHSEQ_FEATURES, PatchSeq
from lspin.data.tables import (
    CLASSES,
    METADATA_COLUMNS,
    RELEASED_FEATURES,
    SPIKE_TIME_MS,
    STIMULI,
    Cells,
    Spikes,
    assemble_cells,
)

STATS_FILE = "twin_stats.json"
N_COMPONENTS = 8
COMPONENTS: tuple[str, ...] = tuple(f"spike_component_{k}" for k in range(N_COMPONENTS))
VARIABLES: tuple[str, ...] = (*RELEASED_FEATURES, *COMPONENTS)

_RAMP = tuple(name for name in RELEASED_FEATURES if name.endswith("_ramp"))
MISSING_BLOCKS: dict[str, tuple[str, ...]] = {
    "no_ramp": _RAMP,
    "no_slow_trough_long_square": ("slow_trough_v_long_square", "slow_trough_t_long_square"),
    "no_slow_trough_ramp": ("slow_trough_v_ramp", "slow_trough_t_ramp"),
    "no_slow_trough_short_square": ("slow_trough_v_short_square", "slow_trough_t_short_square"),
    "no_avg_isi": ("avg_isi", "adaptation"),
    "no_adaptation": ("adaptation",),
    "no_spike": COMPONENTS,
}
"""Variables that go missing together, by the name of the event."""

PARENT_BLOCK = {"no_slow_trough_ramp": "no_ramp", "no_adaptation": "no_avg_isi"}
"""Blocks inside another: their rate is that among cells whose outer block is there."""


class Layout(NamedTuple):
    """Which variables a twin models, and which go missing together."""

    variables: tuple[str, ...]
    blocks: dict[str, tuple[str, ...]]
    parents: dict[str, str]


ALLEN_LAYOUT = Layout(VARIABLES, MISSING_BLOCKS, PARENT_BLOCK)

PROBABILITY = "t_type_probability"
"""Drawn with the features of Patch-seq cells, and shown in the metadata."""

_POSITIVE = (
    "ri",
    "input_resistance_mohm",
    "tau",
    "latency",
    "avg_isi",
    "vm_for_sag",
    HALF_WIDTH,
    *(
        f"{name}_{stimulus}"
        for stimulus in STIMULI
        for name in (
            "threshold_i",
            "upstroke_downstroke_ratio",
            "peak_v",
            "peak_t",
            "fast_trough_t",
        )
    ),
)
_NOT_NEGATIVE = tuple(
    f"{name}_{stimulus}"
    for stimulus in STIMULI
    for name in ("trough_v", "trough_t", "slow_trough_v", "slow_trough_t")
)


def encode(X: pd.DataFrame) -> pd.DataFrame:
    """Turn released features into the variables the twin models.

    Times and voltages along a spike become steps from one event to the next, and
    steps that must be positive become logarithms, so that whatever the twin draws
    is a spike: threshold, then peak, then trough.

    Parameters
    ----------
    X : DataFrame, shape (n_cells, 46 or more)
        Released features; a half-width is turned, too, other columns are kept as they are.

    Returns
    -------
    DataFrame, same shape
        Same columns; :func:`decode` inverts it.
    """
    V = X.copy()
    V["vm_for_sag"] = X["vrest"] - X["vm_for_sag"]
    for s in STIMULI:
        V[f"peak_t_{s}"] = X[f"peak_t_{s}"] - X[f"threshold_t_{s}"]
        V[f"fast_trough_t_{s}"] = X[f"fast_trough_t_{s}"] - X[f"peak_t_{s}"]
        V[f"trough_t_{s}"] = X[f"trough_t_{s}"] - X[f"fast_trough_t_{s}"]
        V[f"slow_trough_t_{s}"] = X[f"slow_trough_t_{s}"] - X[f"trough_t_{s}"]
        V[f"peak_v_{s}"] = X[f"peak_v_{s}"] - X[f"threshold_v_{s}"]
        V[f"fast_trough_v_{s}"] = X[f"threshold_v_{s}"] - X[f"fast_trough_v_{s}"]
        V[f"trough_v_{s}"] = X[f"fast_trough_v_{s}"] - X[f"trough_v_{s}"]
        V[f"slow_trough_v_{s}"] = X[f"slow_trough_v_{s}"] - X[f"trough_v_{s}"]
    positive = [name for name in V if name in _POSITIVE]
    V[positive] = np.log(V[positive].where(V[positive] > 0))
    return V


def decode(V: pd.DataFrame) -> pd.DataFrame:
    """Turn the twin's variables back into released features; the inverse of :func:`encode`."""
    X = V.copy()
    positive, not_negative = [name for name in V if name in _POSITIVE], list(_NOT_NEGATIVE)
    X[positive] = np.exp(V[positive])
    X[not_negative] = V[not_negative].clip(lower=0)
    X["vm_for_sag"] = X["vrest"] - X["vm_for_sag"]
    for s in STIMULI:
        X[f"peak_t_{s}"] += X[f"threshold_t_{s}"]
        X[f"fast_trough_t_{s}"] += X[f"peak_t_{s}"]
        X[f"trough_t_{s}"] += X[f"fast_trough_t_{s}"]
        X[f"slow_trough_t_{s}"] += X[f"trough_t_{s}"]
        X[f"peak_v_{s}"] += X[f"threshold_v_{s}"]
        X[f"fast_trough_v_{s}"] = X[f"threshold_v_{s}"] - X[f"fast_trough_v_{s}"]
        X[f"trough_v_{s}"] = X[f"fast_trough_v_{s}"] - X[f"trough_v_{s}"]
        X[f"slow_trough_v_{s}"] += X[f"trough_v_{s}"]
    return X


def load(cohort: str, species: str, random_state: int) -> Cells:
    """Draw the twin and apply the cohort rules to it, as to recordings.

    Parameters
    ----------
    cohort : str
        A key of :data:`~lspin.data.COHORTS`.
    species : {"mouse"}
    random_state : int
        The same seed gives the same cells.

    Returns
    -------
    Cells

    Raises
    ------
    ValueError
        For human cells, of which there is no twin.
    """
    features, cells, _ = sample(species, random_state)
    return assemble_cells(
        features,
        cells,
        source="twin",
        cohort=cohort,
        species=species,
        provenance=_provenance(read_stats(), random_state),
    )


def load_patchseq(described: PatchSeq, labels: str, random_state: int) -> Cells:
    """Draw the twin of a Patch-seq source and label it by the same rules as the recordings.

    Parameters
    ----------
    described : PatchSeq
    labels : {"transcriptome", "cre"}
    random_state : int
        The same seed gives the same cells, whatever the labels.

    Returns
    -------
    Cells
        Of source ``v1-twin`` and so on; Cre lines and T-types are named ``synthetic ...``.
    """
    stats = read_stats(f"twin_{described.name}.json")
    X, cells = sample_patchseq(stats, random_state)
    provenance = _provenance(stats, random_state)
    return described.labelled(X, cells, labels, f"{described.name}-twin", provenance)


def sample_patchseq(stats: dict[str, Any], random_state: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw as many twin cells of each subclass as there are recorded ones.

    Parameters
    ----------
    stats : dict
        As :func:`read_stats` gives them.
    random_state : int

    Returns
    -------
    X : DataFrame, shape (n_cells, 47)
        Features, NaN where missing.
    cells : DataFrame, shape (n_cells, ...)
        Donor, subclass and metadata.
    """
    rng = np.random.default_rng(random_state)
    layout = Layout(tuple(stats["variables"]), stats["blocks"], {})
    variables, tables = [], []
    for subclass, of_class in stats["classes"].items():
        variables.append(_draw_variables(of_class, layout, rng))
        for stratum in of_class["strata"].values():
            kinds = np.repeat(range(len(stratum["kinds"])), stratum["kind_cells"])
            kinds = np.array(stratum["kinds"], dtype=object)[rng.permutation(kinds)]
            table = pd.DataFrame(kinds, columns=stats["kind_columns"])
            tables.append(table.assign(subclass=subclass, t_type=f"{subclass} (synthetic)"))
    V, cells = pd.concat(variables, ignore_index=True), pd.concat(tables, ignore_index=True)
    order = rng.permutation(len(V))
    index = pd.Index(-1 - np.arange(len(V)), name="specimen_id")
    V, cells = V.iloc[order].set_index(index), cells.iloc[order].set_index(index).infer_objects()
    cells["donor_id"] = _donors_of_one_line(cells, stats, rng)
    if cells["line_name"].any():
        cells["line_name"] = "synthetic " + cells["line_name"]  # no real line
    cells = cells.assign(**{name: "" for name in METADATA_COLUMNS if name not in cells})
    cells[PROBABILITY] = V.reindex(columns=[PROBABILITY]).clip(0, 1)
    return decode(V.reindex(columns=list(PATCHSEQ_FEATURES))), cells


def _donors_of_one_line(
    cells: pd.DataFrame, stats: dict[str, Any], rng: np.random.Generator
) -> pd.Series:
    """Give out donors among cells that share what a donor has one of, such as the Cre line."""
    donors, first = pd.Series(0, cells.index), 1
    for _, group in cells.groupby(stats["donor_columns"], sort=True):
        donors[group.index] = first + _draw_donors(stats["donor_sizes"], len(group), rng)
        first = int(donors.max()) + 1
    return donors.astype(np.int64)


def load_spikes(species: str, random_state: int) -> Spikes:
    """Draw the spikes of the same twin cells that :func:`load` draws with this seed.

    As in the recordings, some cells have no spike.

    Raises
    ------
    ValueError
        For human cells, of which there is no twin.
    """
    _, cells, waveform_mv = sample(species, random_state)
    waveform_mv = waveform_mv.dropna().sort_index()
    y = cells.loc[waveform_mv.index, "line_name"].str.removeprefix("synthetic ").rename("class")
    return Spikes(
        waveform_mv=waveform_mv,
        y=y,
        source="twin",
        species=species,
        features=pd.DataFrame(index=waveform_mv.index),
        provenance=_provenance(read_stats(), random_state),
    )


def sample(species: str, random_state: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Draw as many twin cells of each kind as there are real ones.

    Parameters
    ----------
    species : {"mouse"}
    random_state : int

    Returns
    -------
    features : DataFrame, shape (n_cells, 46)
        Released features, NaN where missing.
    cells : DataFrame, shape (n_cells, 7)
        Species, donor and metadata.
    waveform_mv : DataFrame, shape (n_cells, 150)
        Spikes at 50 kHz, NaN for cells without one.

    Raises
    ------
    ValueError
        For human cells.
    """
    if species != "mouse":
        raise ValueError(
            "There is no synthetic twin of the human cells of the Allen tables: run `lspin fetch` "
            "where there is a network, and use source='allen' or 'paper'; or use 'human-twin'."
        )
    stats = read_stats()
    rng = np.random.default_rng(random_state)
    variables, cells = [], []
    first_donor = 1
    for name in CLASSES:
        of_class = stats["classes"][name]
        n = sum(stratum["cells"] for stratum in of_class["strata"].values())
        donors = first_donor + _draw_donors(of_class["donor_sizes"], n, rng)
        first_donor = donors.max() + 1
        table = pd.concat(
            [_draw_metadata(stratum, rng) for stratum in of_class["strata"].values()],
            ignore_index=True,
        )
        cells.append(table.assign(line_name=f"synthetic {name}", donor_id=donors))
        variables.append(_draw_variables(of_class, ALLEN_LAYOUT, rng))
    V = pd.concat(variables, ignore_index=True)
    # Shuffled, so that neither ids nor the order of rows tell the class.
    order = rng.permutation(len(V))
    index = pd.Index(-1 - np.arange(len(V)), name="specimen_id")
    V = V.iloc[order].set_index(index)
    table = pd.concat(cells, ignore_index=True).iloc[order].set_index(index)
    table = table.assign(species=species, layer="", structure="")
    spike = stats["spike"]
    waveform = V[list(COMPONENTS)].to_numpy() @ np.array(spike["components"]) + spike["mean"]
    waveform_mv = pd.DataFrame(
        _peak_at_zero(waveform), index=index, columns=pd.Index(SPIKE_TIME_MS, name="time_ms")
    )
    return decode(V[list(RELEASED_FEATURES)]), table, waveform_mv


def _peak_at_zero(waveform: np.ndarray) -> np.ndarray:
    """Shift each spike by the few samples by which a sum of components misses its peak."""
    n = waveform.shape[1]
    shift = waveform.argmax(axis=1) - np.flatnonzero(SPIKE_TIME_MS == 0)
    source = np.clip(np.arange(n) + shift[:, None], 0, n - 1)
    return np.take_along_axis(waveform, source, axis=1)


@cache
def read_stats(name: str = STATS_FILE) -> dict[str, Any]:
    """Read embedded summary statistics."""
    return json.loads((resources.files("lspin.data") / name).read_text(encoding="utf-8"))


def _draw_metadata(stratum: dict[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """Give out the stratum's reporter states and dendrite types at random, in exact numbers."""
    columns = {}
    for column in ("reporter_status", "dendrite_type"):
        numbers = stratum[column]
        columns[column] = rng.permutation(np.repeat(list(numbers), list(numbers.values())))
    return pd.DataFrame(columns)


def _draw_donors(sizes: dict[str, int], n: int, rng: np.random.Generator) -> np.ndarray:
    """Give ``n`` cells to donors whose numbers of cells follow the real ones; 0 is the first."""
    values = np.array([int(size) for size in sizes])
    weights = np.array(list(sizes.values())) / sum(sizes.values())
    drawn = rng.choice(values, size=n, p=weights)
    return rng.permutation(np.repeat(np.arange(n), drawn)[:n])


def _draw_variables(
    of_class: dict[str, Any], layout: Layout, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw the variables of all cells of one class, stratum after stratum."""
    columns = [*layout.variables, *layout.blocks]
    root = np.linalg.cholesky(unpack_correlation(of_class["correlation"], len(columns)))
    tables = []
    for stratum in of_class["strata"].values():
        z = rng.standard_normal((stratum["cells"], len(columns))) @ root.T
        z = pd.DataFrame(z, columns=columns)
        V = pd.DataFrame(
            {
                name: _from_quantiles(z[name], stratum["quantiles"][name])
                for name in layout.variables
            }
        )
        absent = pd.DataFrame(
            {block: z[block] < ndtri(rate) for block, rate in stratum["missing"].items()}
        )
        for block, parent in layout.parents.items():
            absent[block] |= absent[parent]
        for block, names in layout.blocks.items():
            V.loc[absent[block], list(names)] = np.nan
        tables.append(V)
    return pd.concat(tables, ignore_index=True)


def quantile_levels(n: int) -> np.ndarray:
    """Return the levels of ``n`` evenly spread quantiles, (k + 1/2) / n."""
    return (np.arange(n) + 0.5) / n


def _from_quantiles(z: pd.Series, quantiles: list[float]) -> np.ndarray:
    """Map normal scores through a quantile function.

    It is linear between the quantiles, and goes on for half a step beyond the
    outermost ones, so that values do not pile up there.
    """
    q = np.array(quantiles)
    levels = np.concatenate([[0], quantile_levels(len(q)), [1]])
    q = np.concatenate([[q[0] - (q[1] - q[0]) / 2], q, [q[-1] + (q[-1] - q[-2]) / 2]])
    return np.interp(ndtr(z), levels, q)


def unpack_correlation(below_diagonal: list[float], n: int) -> np.ndarray:
    """Return the (n, n) correlation matrix of its entries below the diagonal."""
    R = np.eye(n)
    R[np.tril_indices(n, -1)] = below_diagonal
    return np.tril(R, -1) + np.tril(R, -1).T + np.eye(n)


def _provenance(stats: dict[str, Any], random_state: int) -> dict[str, Any]:
    return {
        "tables": {},
        "fitted_to": stats["fitted_to"],
        "random_state": random_state,
    }
