"""The cells that one's own cell is compared with, and a model of just what was measured in it.

Which cells to learn from was measured on those of another laboratory, :mod:`lspin.data.scala2021`;
``benchmarks/known_cells.py`` does it again, and the chapter on a cell of one's own has the outcome.
The Allen cells, labelled by Cre line, get a macro F1 of 0.62 at 25 °C and 0.92 at 34 °C; with cells
labelled by their own RNA added it is 0.61 and 0.77, because 37 % of the excitatory cells are right
at 34 °C and not 93 %. The price: of the inhibitory cells 65 % are right at 25 °C and 84 % at 34 °C,
and with those cells added 71 % and 98 %. All of it was in sight when the choice was made.

So inhibitory cells get a second opinion (`second_opinions`): a model of V1 cells that were labelled
by their own RNA says which inhibitory type they are. By the same script, three seeds: where the two
agreed, 97 % of the M1 cells that are inhibitory were right at 34 °C and 79 % at 25 °C. Where they
disagreed, the second was right about 72 % and 50 %, the first about 28 % and 31 %.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pooch
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline

from lspin.data import Cells, in_five_classes, load_cells, own_cells
from lspin.data.folds import donor_folds
from lspin.explain.held_out import HeldOut
from lspin.features.form import engineered
from lspin.features.inputs import model_inputs
from lspin.model.cache import fingerprint
from lspin.model.estimator import LSPINClassifier

MODEL = LSPINClassifier(max_open=8, class_weight="balanced", random_state=0)
"""What is trained. Each class weighs the same: how common a type is among the known cells says
nothing about how common it is where somebody else records."""

KNOWN_TEMPERATURE_C = 34.0
"""At which the known cells were recorded, in °C."""

KNOWN_SPECIES = "mouse"

EXCITATORY = "Glutamatergic"
"""The class of all excitatory cells."""

_INHIBITORY_CAUTION = (
    "The known cells are labelled by Cre line, which marks some other cells too. Of another "
    "laboratory's inhibitory cells 84% were predicted rightly at 34 °C and 65% at 25 °C."
)
_DOUBTFUL = "Htr3a+|Vip-"
_DOUBTFUL_CAUTION = (
    f"{_DOUBTFUL} is a doubtful answer: of the cells of its lines whose RNA Gouwens et al. (2020) "
    "read, 38% are something else by it."
)

_MODELS: dict[str, LSPINClassifier] = {}


class Trust(NamedTuple):
    """How often a model was right on known cells of animals that it had not seen.

    Parameters
    ----------
    accuracy : float
        Share of all of them.
    of_predicted : float
        Share of those that were predicted to be what this cell was; NaN if none was.
    n_cells : int
        How many cells were asked about.

    Examples
    --------
    >>> from lspin.explain import Trust
    >>> Trust(accuracy=0.88, of_predicted=0.91, n_cells=1147).accuracy
    0.88
    """

    accuracy: float
    of_predicted: float
    n_cells: int


class SecondOpinion(NamedTuple):
    """Which inhibitory type a cell is, by known cells that were labelled by their own RNA.

    Parameters
    ----------
    predicted : str
        The class of highest probability.
    probability : Series, shape (n_classes,)
        Of each inhibitory class.
    source : str
        Where those cells come from.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.explain import SecondOpinion
    >>> said = SecondOpinion("Pvalb+", pd.Series({"Pvalb+": 0.7, "Sst+": 0.3}), "made up")
    >>> said.beside("Vip+")[:81]
    'Second opinion, by inhibitory cells labelled by their own RNA: Pvalb+ (70%). It d'
    """

    predicted: str
    probability: pd.Series
    source: str

    def beside(self, first: str) -> str:
        """Say what it is worth beside the first answer."""
        said = (
            "Second opinion, by inhibitory cells labelled by their own RNA: "
            f"{self.predicted} ({self.probability[self.predicted]:.0%}). "
        )
        if self.predicted == first:
            return said + (
                "It agrees. Where the two agreed about another laboratory's inhibitory cells, 97% "
                "were right at 34 °C and 79% at 25 °C."
            )
        return said + (
            "It disagrees. Where the two disagreed about another laboratory's inhibitory cells, "
            "the second was right about 72% at 34 °C and 50% at 25 °C, the first about 28% and "
            "31%."
        )


@dataclass(frozen=True, eq=False)
class Asked:
    """Cells of one's own beside a model that was trained on what was measured in them.

    Parameters
    ----------
    held : HeldOut
        The model, the known cells, and the cells asked about; without a label.
    names : tuple of str, shape (n,)
        What the cells are called; in `held` they are numbered from 1.
    calls : Series of str
        What was predicted of known cells by a model that had seen none of their animals; see
        `trust`.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.explain import ask, known_cells
    >>> known = known_cells(verbose=0)
    >>> few = known.select(known.X.index[::30])
    >>> X = load_cells("twin").X.iloc[:1].set_axis(["A1"])
    >>> asked = ask(X, few)
    >>> asked.names, 0 < asked.trust("Sst+").accuracy < 1
    (('A1',), True)
    """

    held: HeldOut
    names: tuple[str, ...]
    calls: pd.Series

    def trust(self, predicted: str) -> Trust:
        """Return how often such a model is right."""
        true = self.held.seen.y.loc[self.calls.index]
        right = self.calls == true
        of_predicted = right[self.calls == predicted]
        share = float(of_predicted.mean()) if len(of_predicted) else np.nan
        return Trust(float(right.mean()), share, len(right))

    def caution(self, predicted: str) -> str:
        """Say why this answer may be wrong even about a cell like the known ones, or nothing."""
        if self.held.seen.source not in ("allen", "twin") or predicted == EXCITATORY:
            return ""
        doubtful = f" {_DOUBTFUL_CAUTION}" if predicted == _DOUBTFUL else ""
        return _INHIBITORY_CAUTION + doubtful


def known_cells(verbose: int = 1) -> Cells:
    """Load the mouse cells that one's own are compared with.

    They are those of the Allen table that expressed the reporter, labelled by Cre line. Such labels
    are wrong for some inhibitory cells, most often those of class ``Htr3a+|Vip-``.

    Parameters
    ----------
    verbose : int, default=1
        0 shows no download progress.

    Returns
    -------
    Cells
        Of source "allen", with the engineered features; or of "twin", if the table is neither in
        the data folder nor to be had by network.

    Examples
    --------
    >>> from lspin.explain import known_cells
    >>> known_cells(verbose=0).classes
    ('Glutamatergic', 'Htr3a+|Vip-', 'Pvalb+', 'Sst+', 'Vip+')
    """
    cells = load_cells(verbose=verbose)
    if cells.source not in ("allen", "twin"):  # LSPIN_SOURCE names another table
        cells = load_cells("allen", verbose=verbose)
    return replace(cells, X=engineered(cells.X))


def ask(X: pd.DataFrame, known: Cells | None = None, *, verbose: int = 0) -> Asked:
    """Train on the known cells with just what was measured in new ones, and ask about these.

    Parameters
    ----------
    X : DataFrame of float, shape (n, n_features)
        Cells of one's own, by name: released or engineered features, as
        :func:`~lspin.features.check_features` returns them. Used is what at least half of them
        have and what was measured in known cells; where a cell lacks one of these, the middle of
        the known cells stands in.
    known : Cells, optional
        With released or engineered features, as :func:`~lspin.data.load_cells` gives them;
        :func:`known_cells` by default.
    verbose : int, default=0
        1 shows progress.

    Returns
    -------
    Asked
        The model has at most eight open gates a cell. Training takes some ten seconds; models are
        kept in the user's cache folder, so that one of the same measurements and cells is trained
        once.

    Raises
    ------
    ValueError
        If nothing was measured in a cell, or nothing of its spikes that known cells have too.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.explain import ask, known_cells
    >>> known = known_cells(verbose=0)
    >>> few = known.select(known.X.index[::30])
    >>> X = load_cells("twin").X.iloc[:1].set_axis(["A1"])
    >>> asked = ask(X, few)
    >>> int((asked.held.gates > 0).sum()) <= 8
    True
    """
    if empty := [str(cell) for cell in X.index[X.isna().all(axis=1)]]:
        raise ValueError(f"Nothing was measured in {', '.join(empty[:5])}: leave it out.")
    known = known_cells(verbose) if known is None else known
    # A column that is empty in all known cells was never measured: it says nothing of them.
    seen = replace(known, X=engineered(known.X.dropna(axis=1, how="all")))
    new = engineered(X)
    columns = [n for n in new if new[n].notna().mean() >= 0.5 and seen.X[n].notna().any()]
    new = new[columns]
    if not any(name.startswith(("peak_v", "threshold_i")) for name in columns):
        raise ValueError(
            "Nothing of a spike was measured, and without one nobody can tell types apart."
        )
    seen = replace(seen, X=seen.X[columns])
    pipeline, calls = _trained(seen, verbose)
    cells = own_cells(new.reset_index(drop=True), y=["not known"] * len(new))
    cells = replace(cells, donors=seen.donors.min() - 1 - cells.donors)  # nobody else's
    return Asked(HeldOut(pipeline, seen, cells), tuple(map(str, new.index)), calls)


def second_opinions(X: pd.DataFrame, known: Cells, *, verbose: int = 0) -> list[SecondOpinion]:
    """Ask which inhibitory type cells are, by V1 cells that were labelled by their own RNA.

    Parameters
    ----------
    X : DataFrame of float, shape (n, n_features)
        Cells that are inhibitory, as for `ask`.
    known : Cells
        By which the first answer was given: a twin's second opinion is by a twin too.
    verbose : int, default=0
        1 shows progress.

    Returns
    -------
    list of n SecondOpinion

    Raises
    ------
    OSError
        If those cells are neither in the data folder nor to be had by network.
    ValueError
        As `ask`.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.explain import known_cells, second_opinions
    >>> twin = load_cells("twin")
    >>> fast = twin.X[twin.y == "Pvalb+"].iloc[:1]
    >>> second_opinions(fast, twin)[0].predicted  # doctest: +SKIP
    'Pvalb+'
    """
    cells = load_cells("v1-twin" if known.source == "twin" else "v1", verbose=verbose)
    cells = in_five_classes(cells)
    inhibitory = replace(cells, X=engineered(cells.X)).select((cells.y != EXCITATORY).to_numpy())
    held = ask(X, inhibitory, verbose=verbose).held
    classes = held.model.classes_
    return [
        SecondOpinion(predicted, pd.Series(probability, classes), cells.banner())
        for predicted, probability in zip(held.predicted, held.probability, strict=True)
    ]


def _trained(seen: Cells, verbose: int) -> tuple[Pipeline, pd.Series]:
    """Train the model, and another one without a fifth of the animals to be tried on them."""
    train, test = donor_folds(seen.y, seen.donors)[0]
    tried = _fitted(seen.select(seen.X.index[train]), verbose)
    calls = pd.Series(tried.predict(seen.X.iloc[test]), seen.X.index[test])
    return _fitted(seen, verbose), calls


def _fitted(seen: Cells, verbose: int) -> Pipeline:
    """Train on all these cells, or take the model that was trained on the same before."""
    inputs = model_inputs(seen.X)
    Z = inputs.fit_transform(seen.X)
    key = fingerprint(MODEL, Z, seen.y, seen.donors)
    if key not in _MODELS:
        path = Path(pooch.os_cache("lspin"), "models", f"{key}.lspin")
        _MODELS[key] = _kept(path, Z, seen.y) or _trained_and_kept(path, Z, seen, verbose)
    return make_pipeline(*(step for _, step in inputs.steps), _MODELS[key])


def _kept(path: Path, Z: pd.DataFrame, y: pd.Series) -> LSPINClassifier | None:
    """Return the model in a file, or None if there is none, or not the one that was kept there."""
    try:
        model = LSPINClassifier.load(path)
    except (OSError, ValueError):
        return None
    names = list(getattr(model, "feature_names_in_", ()))
    return model if names == list(Z) and set(model.classes_) == set(y) else None


def _trained_and_kept(path: Path, Z: pd.DataFrame, seen: Cells, verbose: int) -> LSPINClassifier:
    model = clone(MODEL).set_params(verbose=verbose).fit(Z, seen.y, groups=seen.donors)
    with suppress(OSError):  # where nothing can be kept, the next one to ask trains again
        model.save(path)
    return model
