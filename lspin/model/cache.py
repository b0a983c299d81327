"""What a recorded training depends on, and the one way to record one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, TypeVar

import joblib
from joblib import Memory

REVISION = 3
"""Raised with every change of the code after which the same recipe, rows and seeds give other
networks, other scores or other choices; what was recorded before is then not used any more."""

Result = TypeVar("Result")


def fingerprint(*parts: Any, packages: Sequence[str] = ("numpy", "scikit-learn", "torch")) -> str:
    """Return a short text that changes with anything that a recorded result depends on.

    Parameters
    ----------
    *parts
        The recipe or the model, the data, the seeds: whatever goes in.
    packages : sequence of str
        Libraries whose version matters.

    Returns
    -------
    str
        Hexadecimal digits: of the parts, the versions and `REVISION`.

    Examples
    --------
    >>> from lspin.model import DENSE, Recipe, fingerprint
    >>> fingerprint(DENSE) == fingerprint(DENSE)
    True
    >>> fingerprint(DENSE) == fingerprint(Recipe(learning_rate=0.1))
    False
    """
    return joblib.hash((REVISION, {name: version(name) for name in packages}, parts))


def recorded(memory: Memory | None) -> Callable[[str, Callable[[], Result]], Result]:
    """Return a function that does a task, or returns what was recorded under the same key.

    Parameters
    ----------
    memory : joblib.Memory or None
        Where to record; None records nothing.

    Returns
    -------
    callable
        Takes a key, from `fingerprint`, and a task, a function without arguments.

    Examples
    --------
    >>> from lspin.model import fingerprint, recorded
    >>> recorded(None)(fingerprint("six times seven"), lambda: 6 * 7)
    42
    """
    return (memory or Memory(None)).cache(_do, ignore=["task"])


def _do(key: str, task: Callable[[], Any]) -> Any:
    # joblib forgets all records when the text of this function changes.
    return task()
