"""Coverage-guided runs on whatever reads a stranger's file: tables, recordings, saved models.

Not a test that pytest collects: atheris (https://github.com/google/atheris) has to be installed,
in an environment of its own, and it runs as long as it is told to::

    python tests/fuzz/readers.py tables -max_total_time=600
    python tests/fuzz/readers.py recordings -max_total_time=600
    python tests/fuzz/readers.py models -max_total_time=600

Nothing is kept to start from. Text files are made of the fuzzer's bytes. Files with a checksum or a
long header are good ones, made here, in which the fuzzer changes bytes or settings; then the
checksum is put right, as whoever wants to do harm would. A reader may return what it read, or raise
an OSError or a ValueError of one line that names the file; all else stops the run, as does an
answer that is no answer (values that are not finite), or one that takes longer than ``-timeout``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path

import atheris
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "features")]

with atheris.instrument_imports(include=["lspin", "igor2", "pyabf"]):
    import igor2.binarywave
    import pyabf
    from made_up_recordings import leaky_cell, write_ibw, write_nwb

    from lspin.data import own_table, read_csv
    from lspin.features import Recording, read_features, read_recording
    from lspin.features.form import engineered, is_feature_table
    from lspin.model import LSPINClassifier, LSPINRegressor, TableModel, saved

assert igor2.binarywave and pyabf  # readers import them late; here they are instrumented

FOLDER = Path(tempfile.mkdtemp(prefix="lspin-fuzz-"))
HZ = 5_000
VOLTAGE, CURRENT = leaky_cell((-40.0, 60.0), hz=HZ, onset_s=0.1, step_s=0.2)
MODELS = {
    "classifier": LSPINClassifier,
    "network": LSPINClassifier,
    "regressor": LSPINRegressor,
    "table": TableModel,
}
WORDS = ("mV", "V", "volts", "pA", "A", "s", "ms", "", "NaN", "-1", "µV", "\0", "2.0", "1", "cell")


def refuses_in_a_sentence(path: Path, read) -> object | None:
    """Return what was read, or None if it was refused as it should be."""
    try:
        return read(path)
    except (OSError, ValueError) as error:
        said = str(error)
        assert path.name in said or read is read_and_learn, said
        assert "\n" not in said and len(said) < 2000, said
        return None


# Tables


def read_and_learn(path: Path) -> object:
    raw = read_csv(path)
    assert len(raw) and raw.columns.is_unique
    for label in list(raw)[:2]:
        others = [name for name in raw if name != label]
        try:
            table = own_table(raw, label, others[0] if len(others) > 1 else None)
        except ValueError:
            continue
        assert len(table.X) == len(table.y) == len(table.groups) >= 20
        assert table.y.notna().all() and not np.isinf(table.X.to_numpy()).any()
    return raw


def tables(data: bytes) -> None:
    """Read bytes as a table: as they are, or as some fields of a good one."""
    fuzzed = atheris.FuzzedDataProvider(data)
    path = FOLDER / "cells.csv"
    if fuzzed.ConsumeBool():
        path.write_bytes(fuzzed.ConsumeBytes(sys.maxsize))
    else:
        path.write_bytes(table_as_text(fuzzed))
    refuses_in_a_sentence(path, read_and_learn)
    is_feature_table(path)
    X = refuses_in_a_sentence(path, read_features)
    if X is not None:
        assert len(X) and not np.isinf(X.to_numpy()).any() and X.index.is_unique
        engineered(X)


def table_as_text(fuzzed: atheris.FuzzedDataProvider) -> bytes:
    """Make a table of 24 cells, some of whose fields are the fuzzer's."""
    names = ["class", "cell", "tau", "vrest", "no_adaptation", "peak_v_ramp"]
    rows = [["ab"[n % 2], f"c{n}", f"{12 + n}", f"-{60 + n}.5", "0", "30"] for n in range(24)]
    separator = fuzzed.PickValueInList([",", ",", ";", "\t"])
    for _ in range(fuzzed.ConsumeIntInRange(1, 8)):
        row = fuzzed.PickValueInList([names, *rows])
        row[fuzzed.ConsumeIntInRange(0, 5)] = fuzzed.PickValueInList(
            [fuzzed.ConsumeUnicodeNoSurrogates(5), f"{fuzzed.ConsumeFloat()}", *WORDS]
        )
    text = "\n".join(separator.join(row) for row in [names, *rows])
    return text.encode(fuzzed.PickValueInList(["utf-8", "utf-8", "utf-16", "utf-8-sig"]))


# Recordings


def make_good_files() -> dict[str, bytes]:
    from pyabf.abfWriter import writeABF1

    writeABF1(VOLTAGE, str(FOLDER / "good.abf"), HZ, "mV")
    write_ibw(FOLDER / "good.ibw", VOLTAGE, HZ, "mV")
    return {kind: (FOLDER / f"good{kind}").read_bytes() for kind in (".abf", ".ibw")}


GOOD = make_good_files()


def damaged(whole: bytes, fuzzed: atheris.FuzzedDataProvider, header: int) -> bytes:
    """Change some bytes, most of them in the header, and perhaps the end."""
    changed = bytearray(whole)
    for _ in range(fuzzed.ConsumeIntInRange(1, 8)):
        place = fuzzed.ConsumeIntInRange(0, min(header, len(whole)) - 5)
        new = fuzzed.ConsumeBytes(fuzzed.ConsumeIntInRange(1, 4))
        changed[place : place + len(new)] = new
    if fuzzed.ConsumeBool():
        del changed[fuzzed.ConsumeIntInRange(0, len(changed)) :]
    return bytes(changed)


def with_ibw_checksum(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[2:4] = b"\0\0"
    total = int(np.frombuffer(bytes(changed[:384]).ljust(384, b"\0"), "<i2").sum(dtype=np.int64))
    changed[2:4] = ((-total) % 65536).to_bytes(2, "little")
    return bytes(changed)


def write_lying_hdf5(path: Path, fuzzed: atheris.FuzzedDataProvider) -> None:
    """Write a good file, and let names, units, factors, shapes and sweep numbers lie.

    One in ``.nwb`` is of NWB, one in ``.h5`` holds numbered arrays as well.
    """
    import h5py

    write_nwb(path, VOLTAGE, CURRENT, HZ)
    with h5py.File(path, "a") as file:
        if path.suffix == ".h5":
            del file.attrs["nwb_version"]
            file.attrs["sampling_hz"] = float(HZ)
            for n, (v, i) in enumerate(zip(VOLTAGE, CURRENT, strict=True)):
                file[f"voltage_mv_{n}"], file[f"current_pa_{n}"] = v, i
        everything: list = []
        file.visititems(lambda _, item: everything.append(item))
        for _ in range(fuzzed.ConsumeIntInRange(1, 5)):
            item = fuzzed.PickValueInList([*everything, file])
            value = some_value(fuzzed)
            kind = fuzzed.ConsumeIntInRange(0, 3)
            try:
                if kind == 0 and len(item.attrs):
                    item.attrs[fuzzed.PickValueInList(list(item.attrs))] = value
                elif kind == 1 and item.name != "/":
                    name = item.name
                    del file[name]
                    file[name] = np.asarray(value)
                elif kind == 2 and len(item.attrs):
                    del item.attrs[fuzzed.PickValueInList(list(item.attrs))]
                else:
                    names = ["voltage_mv", "current_pa", "sampling_hz", "time_s", "electrode"]
                    names += ["voltage_mv_2", "current_pa_2", "voltage_mv_filtered"]
                    file[fuzzed.PickValueInList(names)] = np.asarray(value)
            except (OSError, ValueError, TypeError, KeyError, RuntimeError, OverflowError):
                continue  # h5py will not write that


def some_value(fuzzed: atheris.FuzzedDataProvider) -> object:
    kind = fuzzed.ConsumeIntInRange(0, 8)
    if kind == 0:
        return fuzzed.ConsumeFloat()
    if kind == 1:
        return fuzzed.ConsumeInt(fuzzed.ConsumeIntInRange(1, 9))
    if kind == 2:
        return fuzzed.PickValueInList(list(WORDS))
    if kind == 3:
        return fuzzed.ConsumeUnicodeNoSurrogates(8)
    if kind == 4:
        return [some_value(fuzzed) for _ in range(fuzzed.ConsumeIntInRange(0, 3))]
    if kind == 5:
        return np.full(fuzzed.ConsumeIntInRange(0, 40), fuzzed.ConsumeFloat())
    if kind == 6:
        return np.zeros((fuzzed.ConsumeIntInRange(0, 3), fuzzed.ConsumeIntInRange(0, 9), 2))
    return fuzzed.ConsumeBool() if kind == 7 else np.nan


def recordings(data: bytes) -> None:
    """Read a file of one of the kinds."""
    fuzzed = atheris.FuzzedDataProvider(data)
    kind = fuzzed.PickValueInList([".csv", ".csv", ".abf", ".ibw", ".nwb", ".h5"])
    path = FOLDER / f"cell{kind}"
    if kind in (".nwb", ".h5"):
        path.unlink(missing_ok=True)
        write_lying_hdf5(path, fuzzed)
    elif kind == ".csv":
        path.write_bytes(recording_as_text(fuzzed))
    else:
        content = damaged(GOOD[kind], fuzzed, 384 if kind == ".ibw" else 6144)
        path.write_bytes(with_ibw_checksum(content) if kind == ".ibw" else content)
    recording = refuses_in_a_sentence(path, read_recording)
    if recording is not None:
        assert isinstance(recording, Recording) and recording.sweeps
        for sweep in recording.sweeps:
            assert np.isfinite(sweep.voltage_mv).all() and 1_000 <= sweep.sampling_hz < np.inf
            assert sweep.current_pa is None or np.isfinite(sweep.current_pa).all()
            assert sweep.current_pa is None or sweep.current_pa.size == sweep.voltage_mv.size
            for pulse in sweep.pulses:
                assert 0 <= pulse.start_s < pulse.end_s and np.isfinite(pulse.amplitude_pa)
        recording.table()
        recording.banner()


def recording_as_text(fuzzed: atheris.FuzzedDataProvider) -> bytes:
    """Make a table of a recording, some of whose fields are the fuzzer's."""
    if fuzzed.ConsumeBool():
        return b"time_s,voltage_mv,current_pa\n" + fuzzed.ConsumeBytes(sys.maxsize)
    names = ["time_s", "voltage_mv", "current_pa", "sweep"]
    names[fuzzed.ConsumeIntInRange(0, 3)] = fuzzed.PickValueInList(
        ["time_ms", "voltage_v", "current_na", "voltage_mv_2", "current_pa_1", "sweep", "x", "time"]
    )
    rows = [[f"{n / HZ}", f"{-70 + n % 3}", f"{20 * (n > 30)}", f"{n > 60:d}"] for n in range(120)]
    for _ in range(fuzzed.ConsumeIntInRange(1, 6)):
        row, column = fuzzed.ConsumeIntInRange(0, 119), fuzzed.ConsumeIntInRange(0, 3)
        rows[row][column] = fuzzed.ConsumeUnicodeNoSurrogates(6)
    return "\n".join(",".join(row) for row in [names, *rows]).encode()


# Models

FIXTURES = {
    kind: saved.read(
        HERE.parent / "model" / "fixtures" / f"0.2.0-{kind}.lspin",
        {"network": "classifier", "table": "table model"}.get(kind, kind),
    )
    for kind in MODELS
}


def models(data: bytes) -> None:
    """Read a good model of which some settings are the fuzzer's, with the right checksum."""
    from safetensors import numpy as safetensors

    fuzzed = atheris.FuzzedDataProvider(data)
    kind = fuzzed.PickValueInList(list(MODELS))
    description, arrays = FIXTURES[kind]
    lie = json.loads(json.dumps(description))
    for _ in range(fuzzed.ConsumeIntInRange(0, 3)):
        part, path = lie, []
        while isinstance(part, dict | list) and len(part):
            path.append(part)
            keys = list(part) if isinstance(part, dict) else list(range(len(part)))
            key = fuzzed.PickValueInList(keys)
            if fuzzed.ConsumeIntInRange(0, 5) == 0:
                break
            part = part[key]
        if path:
            path[-1][key] = some_json(fuzzed)
    arrays = dict(arrays)
    if fuzzed.ConsumeIntInRange(0, 4) == 0:
        name = fuzzed.PickValueInList(sorted(arrays))
        arrays[name] = np.asarray(arrays[name]) * fuzzed.ConsumeFloat()
    text = json.dumps(lie)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = safetensors.save(arrays, {"lspin": text, "sha256": saved._checksum(text, arrays)})
    if fuzzed.ConsumeIntInRange(0, 5) == 0:
        content = damaged(content, fuzzed, len(content))
    path = FOLDER / "model.lspin"
    path.write_bytes(content)
    model = refuses_in_a_sentence(path, MODELS[kind].load)
    if model is not None:
        answers_are_finite(model, kind)


def answers_are_finite(model, kind: str) -> None:
    """Ask a model that was read; what it says has to be an answer."""
    import pandas as pd

    if kind == "table":
        answer = model.predict(pd.DataFrame(1.0, index=range(2), columns=list(model.columns)))
        assert np.isfinite(answer.select_dtypes("number").to_numpy()).all()
        return
    X = np.ones((2, model.n_features_in_))
    names = getattr(model, "feature_names_in_", None)
    X = X if names is None else pd.DataFrame(X, columns=names)
    answer = model.predict(X) if kind == "regressor" else model.predict_proba(X)
    assert np.isfinite(answer).all()


def some_json(fuzzed: atheris.FuzzedDataProvider) -> object:
    return json.loads(json.dumps(some_value(fuzzed), default=lambda array: array.tolist()))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    target = {"tables": tables, "recordings": recordings, "models": models}[sys.argv.pop(1)]
    program, *options = sys.argv  # of two options with one name the last one counts
    usual = ["-timeout=30", "-rss_limit_mb=3000", "-len_control=0"]
    atheris.Setup([program, *usual, *options], target)
    atheris.Fuzz()
