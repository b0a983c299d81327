"""Recorded results: one reader, one writer, and the files that are a part of the package."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from lspin.data.tables import Cells, atomic_write

RESULTS = Path(__file__).with_name("results")
"""The folder of the recorded results."""


def counted(n: int, what: str) -> str:
    """Return "1 draw", "2 draws"."""
    return f"{n} {what}{'s' * (n != 1)}"


def results_file(name: str) -> Path:
    """Return the file of a recorded result.

    Parameters
    ----------
    name : str
        Such as "paper", the full protocol on the authors' table, or "speed", the benchmark.

    Returns
    -------
    Path
        For `read_results`.

    Raises
    ------
    ValueError
        If nothing of this name was recorded.

    Examples
    --------
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> about["study"]
    'the 41 features published with Ophir et al. (2023), complete rows'
    """
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        known = sorted(file.stem for file in RESULTS.glob("*.json"))
        raise ValueError(f"name must be one of {known}, got {name!r}.")
    return path


def read_results(path: Path) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Read recorded results.

    Parameters
    ----------
    path : Path
        A file that `write_results` wrote.

    Returns
    -------
    tables : dict of str to DataFrame
        Such as ``scores``, a row per model, repeat and fold.
    about : dict
        Everything else: what was done, on which cells, with which versions.

    Raises
    ------
    ValueError
        If the file holds no results.

    Examples
    --------
    >>> from lspin.studies import read_results, results_file
    >>> tables, about = read_results(results_file("paper"))
    >>> about["banner"]
    'Source: table published with Ophir, Shefi & Lindenbaum (2023); 1382 mouse cells, cohort paper.'
    """
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        tables = {name: pd.DataFrame(rows) for name, rows in about.pop("tables").items()}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no recorded results.") from error
    return tables, about


def write_results(results: Mapping[str, Any], path: Path) -> None:
    """Write results as JSON, atomically, each row of a table on a line of its own.

    Parameters
    ----------
    results : mapping
        Anything ready for JSON; ``tables`` are DataFrames by name, whose numbers are rounded to
        six digits after the point and whose NaN become null.
    path : Path
        Where to write. A link is followed.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from lspin.studies import read_results, write_results
    >>> scores = pd.DataFrame({"model": ["LSPIN"], "accuracy": [0.8]})
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "results.json")
    ...     write_results({"study": "none", "tables": {"scores": scores}}, path)
    ...     tables, about = read_results(path)
    >>> about
    {'study': 'none'}
    """
    about = {name: part for name, part in results.items() if name != "tables"}
    tables = [
        f"  {json.dumps(name)}: [\n   {_lines(table)}\n  ]"
        for name, table in results["tables"].items()
    ]
    head = json.dumps(about, indent=1).removesuffix("\n}").removesuffix("{}") or "{"
    comma = "," if about else ""
    text = f'{head}{comma}\n "tables": {{\n' + ",\n".join(tables) + "\n }\n}\n"
    with atomic_write(path.resolve()) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _lines(table: pd.DataFrame) -> str:
    rows = json.loads(table.to_json(orient="records", double_precision=6))
    return ",\n   ".join(map(json.dumps, rows))


def describe_cells(cells: Cells) -> dict[str, Any]:
    """Say which cells a result was recorded on, ready for JSON.

    Parameters
    ----------
    cells : Cells

    Returns
    -------
    dict

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.studies import describe_cells
    >>> describe_cells(load_cells("twin"))["cells"]
    1750
    """
    return {
        "banner": cells.banner(),
        "source": cells.source,
        "cohort": cells.cohort,
        "cells": len(cells),
        "donors": int(cells.donors.nunique()),
        "provenance": cells.provenance,
    }


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of some packages.

    Parameters
    ----------
    *packages : str
        Names as they are installed.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> from lspin.studies import versions
    >>> list(versions("numpy"))
    ['python', 'numpy']
    """
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def check_output(
    path: Path,
    study: str,
    seeds: Sequence[int],
    models: Sequence[str] | None,
    *,
    force: bool = False,
) -> None:
    """Refuse a file that results could not or should not be written to, before hours of work.

    Parameters
    ----------
    path : Path
        Where the results are to go.
    study : str
        What the study is about.
    seeds : sequence of int
        The repeats that will be recorded.
    models : sequence of str or None
        The models that will be; None for a study that has no choice of models.
    force : bool, default=False
        Replace the file whatever it holds.

    Raises
    ------
    ValueError
        If the name does not end in .json, if its folder cannot be written to, or if the file holds
        anything but older results of the same study with no more repeats and models.

    Examples
    --------
    >>> from pathlib import Path
    >>> from lspin.studies import check_output
    >>> check_output(Path("new.json"), "a study", seeds=[0], models=["LSPIN"])
    """
    if path.suffix != ".json":
        raise ValueError(f"{path}: the name must end in .json.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it.")
    folder = next(parent for parent in path.resolve().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"{path} cannot be written: {folder} is no folder that may be written to.")
    if force or not path.exists():
        return
    keep = "give another name, or --force to replace it"
    try:
        _, about = read_results(path)
    except ValueError as error:
        raise ValueError(f"{error} Nothing is replaced: {keep}.") from error
    if about.get("study") != study:
        raise ValueError(f"{path} holds other results than of this study: {keep}.")
    more = set(about.get("seeds", [])) - set(seeds)
    others = set() if models is None else set(about.get("models", [])) - set(models)
    if more or others:
        lost = (
            f"{len(more)} more repeats" if more else f"other models ({', '.join(sorted(others))})"
        )
        raise ValueError(f"{path} holds {lost}, which would be lost: {keep}.")
