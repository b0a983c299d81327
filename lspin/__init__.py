"""lspin: which kind of neuron a patch-clamp recording came from, and why, cell by cell."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a type checker sees of the names below
    from lspin.data import load_cells, load_spikes
    from lspin.model import LSPINClassifier, LSPINRegressor, TableModel, lspin_path
    from lspin.show import classify

__version__ = "0.2.0"

# Looked up on first use, so that `import lspin` costs next to nothing.
_HOME = {
    "LSPINClassifier": "lspin.model",
    "LSPINRegressor": "lspin.model",
    "TableModel": "lspin.model",
    "classify": "lspin.show",
    "load_cells": "lspin.data",
    "load_spikes": "lspin.data",
    "lspin_path": "lspin.model",
}
__all__ = [
    "LSPINClassifier",
    "LSPINRegressor",
    "TableModel",
    "classify",
    "load_cells",
    "load_spikes",
    "lspin_path",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lspin' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
