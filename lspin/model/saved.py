"""Fitted models as files: numbers and a description of them, and nothing that could be run.

A file is in the safetensors format ([1]_): the weights as float64, and two texts. ``lspin`` is the
description, as JSON; ``sha256`` is the checksum of description and weights. A description holds

- ``format``, the number `FORMAT`; ``lspin``, the version that wrote the file; ``holds``, what kind
  of model it is;
- ``parameters`` of the estimator, ``network`` (how many models and predictors, and every field of
  their recipe; of a `ClosingLSPIN` those of both packs, and its limit), and ``fitted``, the other
  attributes that `fit` leaves;
- ``table``, what a `lspin.model.TableModel` needs besides.

The weights are named as `PackedLSPIN` or `ClosingLSPIN` names them. Every setting is written, also
one that has its usual value, so that a file means the same when that value changes one day.

References
----------
.. [1] https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors import numpy as safetensors
from sklearn.utils.validation import check_is_fitted

from lspin import __version__
from lspin.data.tables import atomic_write
from lspin.model.closing import ClosingLSPIN
from lspin.model.network import PackedLSPIN
from lspin.model.recipe import Recipe, is_number, whole_number
from lspin.model.training import Task

FORMAT = 1
"""Raised when an older lspin could no longer understand what is written."""

ADDED: dict[str, dict[str, Any]] = {"parameters": {}, "recipe": {}}
"""Of each parameter of an estimator and each field of `Recipe` that came after format 1: the value
with which a model does what it did before. A file that is older than the field is read with it."""

HUGE = 1e30
"""No training makes weights that large, and with them answers would overflow."""

MAX_LABEL = 10_000
"""Characters of a class label. A file may claim any number, and memory is reserved for it."""

Arrays = dict[str, np.ndarray]
Model = TypeVar("Model")


def write(path: str | os.PathLike[str], holds: str, description: dict, arrays: Arrays) -> None:
    """Write a file whole or not at all.

    Parameters
    ----------
    path : path-like
        Replaced if it is there.
    holds : str
        What kind of model it is.
    description : dict
        What JSON can hold.
    arrays : dict of str to ndarray of float64
        The weights.

    Raises
    ------
    OSError
        If there is a folder of that name, or it cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it.")
    header = {"format": FORMAT, "lspin": __version__, "holds": holds}
    text = json.dumps(header | description, allow_nan=False)
    content = safetensors.save(arrays, {"lspin": text, "sha256": _checksum(text, arrays)})
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def read(path: str | os.PathLike[str], holds: str) -> tuple[dict, Arrays]:
    """Read a file, and check that it is whole and what was asked for.

    Parameters
    ----------
    path : path-like
    holds : str
        What kind of model is wanted.

    Returns
    -------
    description, arrays
        As they were given to `write`.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is no model of lspin, damaged, of a newer lspin, or of another kind.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name the file of a model.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if not path.is_file():
        raise ValueError(f"{path} is not a file on a disk: a model has to be one.")
    with explained(path):
        texts = _texts(path)
        description = _decoded(texts["lspin"])
        newest = description.get("format")
        if not isinstance(newest, int) or newest > FORMAT:
            raise ValueError(
                f"was written by a newer lspin ({description.get('lspin')!r:.20}; this is "
                f"{__version__}): update lspin to read it."
            )
        try:
            arrays = safetensors.load(path.read_bytes())
        except (SafetensorError, KeyError, AttributeError) as error:  # or an unknown kind of number
            raise ValueError(_DAMAGED) from error
        if texts.get("sha256") != _checksum(texts["lspin"], arrays):
            raise ValueError(_DAMAGED)
        if description["holds"] != holds:
            found = description["holds"]
            if found not in list(_READERS):
                raise ValueError(f"holds {found!r:.20}, not a {holds}: take another lspin.")
            raise ValueError(f"holds a {found}, not a {holds}: read it with {_READERS[found]}.")
    return description, arrays


def is_model(path: Path) -> bool:
    """Tell whether a file holds a model that lspin saved, whole or not."""
    try:
        return path.is_file() and bool(_texts(path))
    except ValueError:
        return False


_READERS = {
    "classifier": "LSPINClassifier.load",
    "regressor": "LSPINRegressor.load",
    "table model": "lspin.TableModel.load or `lspin predict`",
}
_DAMAGED = "is damaged: it is not what was written. Take another copy, or save the model again."
_FOREIGN = "is no model that lspin saved."


@contextmanager
def explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever may be wrong with a description into a ValueError that names the file.

    Parameters
    ----------
    path : path-like
        The file.

    Yields
    ------
    None
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path} describes no model: {error!r} is wrong in it.") from error


def _texts(path: Path) -> dict[str, str]:
    """Return the texts at the beginning of a safetensors file, without reading all of it."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not path.stat().st_size:
            raise ValueError("is empty.")
        if size > path.stat().st_size - 8:
            raise ValueError(f"{_FOREIGN[:-1]}, or was cut short.")
        header = _decoded(file.read(size).decode("utf-8", errors="replace"))
    texts = header.get("__metadata__")
    if not isinstance(texts, dict) or not isinstance(texts.get("lspin"), str):
        raise ValueError(_FOREIGN)
    return texts


def _decoded(text: str) -> dict:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_FOREIGN[:-1]}, or is damaged.") from error
    if not isinstance(found, dict):
        raise ValueError(_FOREIGN)
    return found


def _checksum(text: str, arrays: Arrays) -> str:
    checksum = hashlib.sha256(text.encode("utf-8", errors="replace"))
    for name in sorted(arrays):
        array = arrays[name]
        checksum.update(f"{name} {array.dtype} {array.shape}".encode())
        checksum.update(np.ascontiguousarray(array).tobytes())
    return checksum.hexdigest()


def describe(estimator: Any) -> tuple[dict, Arrays]:
    """Return what makes a fitted estimator, for `write`.

    Parameters
    ----------
    estimator : LSPINClassifier or LSPINRegressor

    Returns
    -------
    description, arrays

    Raises
    ------
    NotFittedError
        If it was not fitted.
    ValueError
        If a parameter cannot be written.
    """
    check_is_fitted(estimator)
    names = getattr(estimator, "feature_names_in_", None)
    fitted = {
        "n_features_in_": int(estimator.n_features_in_),
        "feature_names_in_": None if names is None else list(names),
        "feature_importances_": estimator.feature_importances_.tolist(),
        "max_open_": estimator.max_open_,
    }
    if estimator.task == "classification":
        classes = estimator.classes_
        if classes.dtype.kind not in "biufUO" or not all(
            isinstance(label, bool | int | float | str) for label in classes.tolist()
        ):
            raise ValueError(
                f"Classes such as {classes[0]!r} cannot be saved: train with y.astype(str)."
            )
        fitted["classes_"] = {"dtype": classes.dtype.str, "values": classes.tolist()}
        fitted["temperature_"] = float(estimator.temperature_)
    else:
        fitted["_y_mean"] = float(estimator._y_mean)
        fitted["_y_scale"] = float(estimator._y_scale)
    parameters = estimator.get_params(deep=False)
    description = {
        "parameters": {name: _plain(name, value) for name, value in parameters.items()},
        "network": _described(estimator.network_),
        "fitted": fitted,
    }
    weights = dict(estimator.network_.named_parameters())
    return description, {name: w.detach().cpu().numpy() for name, w in weights.items()}


def _described(network: PackedLSPIN | ClosingLSPIN) -> dict[str, Any]:
    """Return all of a network but its weights."""
    described: dict[str, Any] = {"recipe": _plain("recipe", network.recipe)}
    if isinstance(network, PackedLSPIN):
        return described | {"n_models": network.n_models, "n_predictors": network.n_predictors}
    return described | {
        "dense": _described(network.dense),
        "reader": _described(network.reader),
        "temperature": network.temperature.item(),
        "output_scale": network.output_scale.item(),
    }


def _plain(name: str, value: Any) -> Any:
    """Return a parameter as JSON can hold it; `_parameter` reads it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Recipe):
        return {field: _plain(field, setting) for field, setting in asdict(value).items()}
    if isinstance(value, tuple):
        return [_plain(name, part) for part in value]
    if isinstance(value, Mapping):  # class_weight; the labels need not be texts
        return {"pairs": [[_plain(name, key), _plain(name, w)] for key, w in value.items()]}
    if isinstance(value, torch.device):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(
        f"{name}={value!r} cannot be saved: set_params({name}=...) to None, a number or a text "
        "first."
    )


def revive(cls: type[Model], description: dict, arrays: Arrays) -> Model:
    """Make the estimator that `describe` described; it is on the CPU, wherever it was trained.

    Parameters
    ----------
    cls : type
        `LSPINClassifier` or `LSPINRegressor`.
    description, arrays
        From `read`. Call it inside `explained`.

    Returns
    -------
    LSPINClassifier or LSPINRegressor

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError, OverflowError
        If the parts do not fit together.
    """
    expected = cls._get_param_names()  # type: ignore[attr-defined]
    given = _complete("parameters", description["parameters"], expected)
    estimator = cls(
        **{name: _parameter(value) for name, value in given.items()} | {"device": "cpu"}
    )
    estimator._recipes()  # type: ignore[attr-defined] # refuses settings that cannot be used
    fitted = description["fitted"]
    n_features = whole_number("n_features_in_", fitted["n_features_in_"])
    attributes: dict[str, Any] = {"n_features_in_": n_features}
    if (names := fitted["feature_names_in_"]) is not None:
        attributes["feature_names_in_"] = np.array(texts(names, n_features), dtype=object)
    attributes["feature_importances_"] = numbers(fitted["feature_importances_"], n_features)
    limit = fitted["max_open_"]
    attributes["max_open_"] = None if limit is None else whole_number("max_open_", limit)
    if estimator.task == "classification":  # type: ignore[attr-defined]
        attributes["classes_"] = _classes(**fitted["classes_"])
        singles, n_outputs = ["temperature_"], len(attributes["classes_"])
    else:
        singles, n_outputs = ["_y_mean", "_y_scale"], 1
    for name in singles:
        attributes[name] = float(numbers([fitted[name]], 1)[0])
    if not all(a.dtype == np.float64 and (np.abs(a) < HUGE).all() for a in arrays.values()):
        raise ValueError("has weights that are not finite numbers, or far too large.")
    described, task = description["network"], estimator.task  # type: ignore[attr-defined]
    make = _closing if "reader" in described else _network
    attributes["network_"] = make(described, n_features, n_outputs, arrays, task)
    vars(estimator).update(attributes)
    return estimator


def _complete(what: str, given: Any, expected: Iterable[str]) -> dict[str, Any]:
    """Add what an older file cannot know, and refuse what this lspin does not know."""
    complete = ADDED[what] | dict(given)
    if unknown := sorted(set(complete) - set(expected)):
        raise ValueError(f"has settings that lspin {__version__} does not know: {unknown}.")
    if missing := sorted(set(expected) - set(complete)):
        raise ValueError(f"lacks the settings {missing}.")
    return complete


def _recipe(given: Any) -> Recipe:
    return Recipe(**_complete("recipe", given, [field.name for field in fields(Recipe)]))


def _parameter(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "pairs" in value:
        return {key: weight for key, weight in value["pairs"]}
    return _recipe(value)


def _classes(dtype: str, values: list) -> np.ndarray:
    """Return class labels of the type that they had."""
    kind = np.dtype(dtype)
    python = {"b": bool, "i": int, "u": int, "f": float, "U": str, "O": str}[kind.kind]
    if kind.itemsize > 4 * MAX_LABEL or not all(type(value) is python for value in values):
        raise ValueError("has class labels of a strange kind.")
    classes = np.array(values, dtype=kind)
    if len(classes) < 2 or classes.tolist() != sorted(set(values)):
        raise ValueError("has class labels that are not in order.")
    return classes


def texts(values: Any, n: int) -> list[str]:
    """Return `n` texts of a description, or raise a ValueError."""
    is_right = isinstance(values, list) and len(values) == n
    if not (is_right and all(type(value) is str for value in values)):
        raise ValueError(f"should hold {n} names where it has others.")
    return values


def numbers(values: Any, n: int) -> np.ndarray:
    """Return `n` finite numbers of a description, or raise a ValueError."""
    if not isinstance(values, list) or len(values) != n or not all(map(is_number, values)):
        raise ValueError(f"should hold {n} finite numbers where it does not.")
    return np.array(values, dtype=np.float64)


def _closing(
    described: dict, n_features: int, n_outputs: int, arrays: Arrays, task: Task
) -> ClosingLSPIN:
    """Make a network that closes gates one at a time, of its two packs."""
    parts: dict[str, Arrays] = {"dense": {}, "reader": {}}
    for name, array in arrays.items():
        pack, _, rest = name.partition(".")
        parts[pack][rest] = array
    dense, reader = (
        _network(described[pack], n_features, n_outputs, weights, task)
        for pack, weights in parts.items()
    )
    temperature, scale = numbers([described["temperature"], described["output_scale"]], 2)
    if reader.recipe.gating != "closing" or min(temperature, scale) <= 0:
        raise ValueError("describes no model that closes gates.")
    network = ClosingLSPIN(dense, 1.0, reader, _recipe(described["recipe"]), task).double()
    network.temperature.fill_(temperature)
    network.output_scale.fill_(scale)
    return network.eval()


def _network(
    described: dict, n_features: int, n_outputs: int, arrays: Arrays, _task: Task
) -> PackedLSPIN:
    """Make the networks, after it is clear that the weights are those of such networks."""
    recipe = _recipe(described["recipe"])
    n_models = whole_number("n_models", described["n_models"])
    n_predictors = whole_number("n_predictors", described["n_predictors"])
    gates = {"closing": (), "global": (n_features, n_features)}.get(
        recipe.gating, (n_features, *recipe.gate_hidden, n_features)
    )
    hidden = recipe.predictor_hidden if recipe.predictor == "mlp" else ()
    shapes = {
        **_shapes("gate_layers", gates, n_models * recipe.n_gating),
        **_shapes("predictor_layers", (n_features, *hidden, n_outputs), n_models * n_predictors),
    }
    if {name: array.shape for name, array in arrays.items()} != shapes:
        raise ValueError("has weights that do not fit the networks that it describes.")
    # Only now: a file may claim any size, but it has to hold as many weights.
    network = PackedLSPIN(n_features, n_outputs, [0] * n_models, recipe, n_predictors).double()
    network.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    return network.eval()


def _shapes(name: str, widths: tuple[int, ...], copies: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of a stack of layers, as `PackedLSPIN` has them."""
    return {
        f"{name}.{k}.{part}": (copies, rows, widths[k + 1])
        for k in range(len(widths) - 1)
        for part, rows in (("weight", widths[k]), ("bias", 1))
    }
