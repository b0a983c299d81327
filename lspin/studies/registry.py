"""The recorded studies, by name: what each is about, what it takes, and how it is run.

``lspin evaluate`` lists and runs them; ``make results`` keeps what they return in
``lspin/studies/results``, as a part of the package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from joblib import Memory

from lspin.data import add_half_width, load_cells
from lspin.evaluate.rivals import contenders, gated_models
from lspin.studies.explanations import evaluate_explanations
from lspin.studies.labels import LABEL_MODELS, cells_with_both_labels, evaluate_labels
from lspin.studies.labs import LAB_MODELS, evaluate_labs, other_labs
from lspin.studies.scored import (
    Table,
    cohort_tables,
    evaluate,
    paper_tables,
    patchseq_tables,
    waveform_tables,
)
from lspin.studies.species import evaluate_species, species_pairs
from lspin.studies.synthetic import evaluate_synthetic


@dataclass(frozen=True)
class Study:
    """One study.

    Attributes
    ----------
    about : str
        What it is, recorded with its results.
    run : callable
        Returns results for `write_results`; takes ``memory``, ``verbose`` and what follows.
    models : tuple of str
        The models that it compares, of which some may be chosen (``models``); none if it has no
        such choice.
    repeats : int
        How often it is repeated unless told otherwise (``n_repeats``); 0 if it has no repeats.
    needs : tuple of str
        Modules that must be installed, besides those of its models.

    Examples
    --------
    >>> from lspin.studies import STUDIES
    >>> STUDIES["explanations"].repeats
    0
    """

    about: str
    run: Callable[..., dict[str, Any]]
    models: tuple[str, ...] = ()
    repeats: int = 0
    needs: tuple[str, ...] = ()


def _scored(
    tables: Callable[[], Mapping[str, Table]],
    *,
    models: Sequence[str],
    n_repeats: int,
    memory: Memory | None,
    verbose: int,
) -> dict[str, Any]:
    """Run the nested protocol."""
    return evaluate(
        tables(),
        models=partial(contenders, names=models),
        n_repeats=n_repeats,
        memory=memory,
        verbose=verbose,
    )


def _explained(*, memory: Memory | None, verbose: int) -> dict[str, Any]:
    return evaluate_explanations(load_cells("allen"), memory=memory, verbose=verbose)


def _labels(**options: Any) -> dict[str, Any]:
    return evaluate_labels(*cells_with_both_labels(), **options)


def _labs(**options: Any) -> dict[str, Any]:
    return evaluate_labs(add_half_width(load_cells("allen")), other_labs(), **options)


def _species(**options: Any) -> dict[str, Any]:
    return evaluate_species(species_pairs(), **options)


_CONTENDERS = (
    *gated_models(),
    *("logistic regression", "sparse logistic regression", "RBF-SVM"),
    *("random forest", "extra trees", "histogram gradient boosting", "MLP", "LightGBM"),
    *("explainable boosting", "TabM", "RealMLP"),
)
_LIBRARIES = {
    "LightGBM": "lightgbm",
    "explainable boosting": "interpret",
    "TabM": "tabm",
    "RealMLP": "pytabkit",
}
"""Modules that a model needs."""

STUDIES: dict[str, Study] = {
    "paper": Study(
        "the 41 features published with Ophir et al. (2023), complete rows",
        partial(_scored, paper_tables),
        models=_CONTENDERS,
        repeats=3,
    ),
    "positive": Study(
        "the features released by the Allen Institute, cohort positive",
        partial(_scored, partial(cohort_tables, "positive")),
        models=_CONTENDERS,
        repeats=3,
    ),
    "waveform": Study(
        "cells with a recorded spike: released features, with its waveform and without",
        partial(_scored, waveform_tables),
        models=("LSPIN", "RBF-SVM", "logistic regression"),
        repeats=3,
    ),
    "cohorts": Study(
        "the released features, for each cohort",
        partial(_scored, cohort_tables),
        models=("LSPIN", "RBF-SVM"),
        repeats=3,
    ),
    "synthetic": Study(
        "problems whose relevant features are known, sample by sample",
        evaluate_synthetic,
        repeats=3,
        needs=("shap",),
    ),
    "explanations": Study(
        "whether the reasons of LSPIN hold, on the cohort positive",
        _explained,
        needs=("shap", "captum"),
    ),
    "labels": Study(
        "cells of mouse visual cortex with two labels, Cre line and RNA: one learned, both asked",
        _labels,
        models=LABEL_MODELS,
        repeats=1,
    ),
    "labs": Study(
        "models of the Allen cells, carried to other labs, another temperature, another species",
        _labs,
        repeats=1,
    ),
    "patchseq": Study(
        "each Patch-seq table by itself, classes from the cells' RNA",
        partial(_scored, patchseq_tables),
        models=LAB_MODELS,
        repeats=1,
    ),
    "species": Study(
        "human cells, named with the help of mouse cells and without",
        _species,
        repeats=1,
    ),
}
"""By the name of its results."""


def check_study(
    name: str, models: Sequence[str] | None = None, n_repeats: int | None = None
) -> dict[str, Any]:
    """Refuse what a study cannot do, before it runs.

    Parameters
    ----------
    name : str
        A key of `STUDIES`.
    models : sequence of str, optional
        Only these models.
    n_repeats : int, optional
        How many repeats.

    Returns
    -------
    dict
        What its ``run`` is to be given.

    Raises
    ------
    ValueError
        If there is no such study or model, or the study has no such choice.
    ImportError
        If a library is missing.

    Examples
    --------
    >>> from lspin.studies import check_study
    >>> check_study("cohorts", models=["LSPIN"])
    {'models': ['LSPIN'], 'n_repeats': 3}
    """
    if name not in STUDIES:
        raise ValueError(f"The study must be one of {', '.join(STUDIES)}, got {name!r}.")
    study = STUDIES[name]
    options: dict[str, Any] = {}
    models = [models] if isinstance(models, str) else models
    if study.models:
        options["models"] = list(models or study.models)
        if unknown := [model for model in options["models"] if model not in study.models]:
            raise ValueError(f"{name} has no models {unknown}, only {', '.join(study.models)}.")
    elif models:
        raise ValueError(f"{name} has no models to choose from.")
    if study.repeats:
        options["n_repeats"] = study.repeats if n_repeats is None else n_repeats
        if not isinstance(options["n_repeats"], int) or options["n_repeats"] < 1:
            raise ValueError(f"There must be at least one repeat, got {n_repeats}.")
    elif n_repeats is not None:
        raise ValueError(f"{name} has no repeats.")
    chosen = options.get("models", [])
    needs = [*study.needs, *(_LIBRARIES[model] for model in chosen if model in _LIBRARIES)]
    if missing := [module for module in needs if find_spec(module) is None]:
        raise ImportError(
            f"{name} needs {' and '.join(missing)}; see CONTRIBUTING for the whole environment, "
            "or let `make results` run it."
        )
    return options


def run_study(
    name: str,
    *,
    models: Sequence[str] | None = None,
    n_repeats: int | None = None,
    memory: Memory | None = None,
    verbose: int = 1,
) -> dict[str, Any]:
    """Run one study.

    Parameters
    ----------
    name, models, n_repeats
        As in `check_study`.
    memory : joblib.Memory, optional
        Keeps what is finished, so that a stopped run can go on.
    verbose : int
        0 is quiet, 1 shows progress bars.

    Returns
    -------
    dict
        For `write_results`.

    Raises
    ------
    ValueError, ImportError
        As `check_study`.

    Examples
    --------
    Needs the recorded cells and takes about half an hour.

    >>> from lspin.studies import run_study
    >>> results = run_study("paper")  # doctest: +SKIP
    """
    options = check_study(name, models, n_repeats)
    study = STUDIES[name]
    return {"study": study.about, **study.run(**options, memory=memory, verbose=verbose)}
