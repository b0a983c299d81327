"""Reading a recording from a file: ABF, NWB, Igor, HDF5 or CSV.

Each reader returns the same :class:`Traces`, in mV and pA. Units and scale factors are those of the
file; a file without them is refused. Nothing in a file is run: no pickle, no code.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lspin.data.tables import sha256
from lspin.features.recording import Recording

MAX_BYTES = 2_000_000_000
"""Larger files are refused: steps of one cell fit into a tenth of this."""

LIMIT_S = 60.0
"""How long a file may take that is read in a process of its own, in s."""

_READ_ALL = """
import sys
import h5py

def read(name, item):
    dict(item.attrs)
    if isinstance(item, h5py.Dataset) and item.size < 250_000_000:
        item[()]

try:
    with h5py.File(sys.argv[1], "r") as file:
        file.visititems(read)
except Exception:
    pass  # why it cannot be read, its reader says
"""

_MOST_SWEEPS = 5_000
_MAX_SAMPLES = 250_000_000  # what a small compressed file may claim to hold

_UNITS = {
    "v": ("mV", 1e3),
    "volt": ("mV", 1e3),
    "volts": ("mV", 1e3),
    "mv": ("mV", 1.0),
    "uv": ("mV", 1e-3),
    "a": ("pA", 1e12),
    "amp": ("pA", 1e12),
    "ampere": ("pA", 1e12),
    "amperes": ("pA", 1e12),
    "amps": ("pA", 1e12),
    "ua": ("pA", 1e6),
    "na": ("pA", 1e3),
    "pa": ("pA", 1.0),
    "s": ("s", 1.0),
    "ms": ("s", 1e-3),
}


@dataclass
class Traces:
    """What a reader found.

    Parameters
    ----------
    voltage_mv : list of ndarray
        One per sweep; empty if no voltage was recorded.
    current_pa : list of (ndarray or None)
        One per sweep; empty if no current is known.
    sampling_hz : list of float
        One per sweep.
    numbers : list of int
        One per sweep, where the names of columns or arrays tell sweeps apart; else empty.
    current_from : str
        Where the current was found.
    holding_pa : float, optional
        If the file says it.
    notes : list of str
        What to note.
    setup : dict
        ``species`` and ``temperature_c``, where the file says them. Nothing else is read of what
        files say about animals and people.
    """

    voltage_mv: list[np.ndarray] = field(default_factory=list)
    current_pa: list[np.ndarray | None] = field(default_factory=list)
    sampling_hz: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    current_from: str = ""
    holding_pa: float | None = None
    notes: list[str] = field(default_factory=list)
    setup: dict[str, Any] = field(default_factory=dict)


class _NotRead(ValueError):
    """Why a file that is whole cannot be used, in a sentence."""


def read_recording(
    path: str | os.PathLike[str], current: str | os.PathLike[str] | None = None
) -> Recording:
    r"""Read a current-clamp recording of one cell.

    Parameters
    ----------
    path : path-like
        - ``.abf`` (Axon, versions 1 and 2): read with pyabf. The current is the command of the
          protocol, or a recorded channel in pA where the protocol holds none.
        - ``.nwb`` (NWB 2): current-clamp series, paired with their stimulus by the table of
          recordings, by sweep number, or by the numbers in their names; of several electrodes the
          one with most sweeps.
        - ``.ibw`` (Igor): one wave, its columns are sweeps; the current is another file, `current`.
        - ``.csv``: columns ``time_s``, ``voltage_mv``, ``current_pa`` and, if there is more than
          one sweep, ``sweep``; or ``voltage_mv_1``, ``current_pa_1``, ``voltage_mv_2`` and so on.
          Units are part of the names (``time_ms``, ``voltage_v``, ``current_na`` do as well). A
          voltage and its current have the same number; one ``current_pa`` is that of all voltages.
        - ``.h5``, ``.hdf5``: arrays of the same names, of shape (n_sweeps, n_samples) or
          (n_samples,), and ``sampling_hz``, an attribute or a number of the file.
    current : path-like, optional
        A file of the same kind that holds the injected current, sweep by sweep.

    Returns
    -------
    Recording

    Raises
    ------
    ImportError
        If the reader of this kind of file is not installed.
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, is no current-clamp recording, or has no units or impossible ones.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from lspin.features import read_recording
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "cell.csv"
    ...     rows = [f"{n / 10},{-70 - (n > 20)},{-10 * (n > 20)}" for n in range(50)]
    ...     _ = path.write_text("\n".join(["time_ms,voltage_mv,current_pa", *rows]))
    ...     print(read_recording(path).banner())
    Recording: cell.csv (1 sweep, 10 kHz)
    """
    path = Path(path)
    traces = _read(path)
    if not traces.voltage_mv:
        raise ValueError(
            f"{path.name} holds no voltage that was recorded in current clamp. Features of spikes "
            "cannot be measured in voltage clamp."
        )
    if current is not None:
        injected = _read(Path(current))
        if not injected.current_pa:
            raise ValueError(f"{Path(current).name} holds no current.")
        if len(injected.current_pa) == 1:  # the same in all sweeps
            injected.current_pa *= len(traces.voltage_mv)
        elif traces.numbers and injected.numbers and traces.numbers != injected.numbers:
            raise ValueError(
                f"{path.name} and {Path(current).name} number their sweeps differently: give a "
                "voltage and its current the same number."
            )
        traces.current_pa, traces.current_from = injected.current_pa, Path(current).name
    return Recording.from_arrays(
        traces.voltage_mv,
        traces.current_pa or None,
        traces.sampling_hz,
        name=path.name,
        holding_pa=traces.holding_pa,
        notes=traces.notes,
        provenance={
            "format": path.suffix.lower().lstrip("."),
            "sha256": sha256(path),
            "current": traces.current_from or "not in the file",
            **traces.setup,
        },
    )


def check_readable(path: str | os.PathLike[str], limit_s: float = LIMIT_S) -> None:
    """Refuse a file that hangs or kills the library that reads it.

    Damaged HDF5 files (``.nwb``, ``.h5``) can do that, from inside of a library that nothing stops.
    So they are first read in a process of its own.

    Parameters
    ----------
    path : path-like
    limit_s : float
        How long that may take, in s.

    Raises
    ------
    ValueError
        If the process does not end in time, or dies.

    Examples
    --------
    >>> from lspin.features.files import check_readable
    >>> check_readable("cell.abf")  # of a kind that does neither
    """
    path = Path(path)
    if path.suffix.lower() not in (".nwb", ".h5", ".hdf5"):
        return
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _READ_ALL, str(path.absolute())],
            timeout=limit_s,
            capture_output=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"{path.name} is damaged: reading it had not ended after {limit_s:g} s."
        ) from None
    if ended.returncode < 0:
        raise ValueError(f"{path.name} is damaged: it kills the library that reads it.")


def _read(path: Path) -> Traces:
    """Read one file of any kind, and turn what its reader says into one sentence."""
    readers: dict[str, Callable[[Path], Traces]] = {
        ".abf": _read_abf,
        ".nwb": _read_hdf5,
        ".h5": _read_hdf5,
        ".hdf5": _read_hdf5,
        ".ibw": _read_ibw,
        ".csv": _read_csv,
    }
    kind = path.suffix.lower()
    if path.name and path.is_dir():
        raise ValueError(f"{path.name} is a folder: name the files in it.")
    if kind not in readers:
        raise ValueError(f"{path.name}: recordings are read from {', '.join(readers)} files.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(
            f"{path.name} is {size / 1e9:.1f} GB, more than {MAX_BYTES / 1e9:.0f}: "
            "cut out the sweeps with current steps."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn of what is refused or noted here
            return readers[kind](path)
    except _NotRead as error:
        raise ValueError(f"{path.name} {error}") from None
    except ImportError as error:
        raise ImportError(
            f"Reading {kind} files needs {error.name}: pip install 'lspin[recordings]'."
        ) from error
    except PermissionError:
        raise
    except Exception as error:  # readers fail in all ways at a damaged file
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(f"{path.name} is damaged, or no {kind} file ({why}).") from error


def _scale(unit: Any) -> tuple[str, float]:
    """Return what is measured, as mV, pA or s, and the factor to get there; ("", 1) if unknown."""
    text = _text(unit).strip(" \0").lower().replace("µ", "u").replace("μ", "u")
    return _UNITS.get(text, ("", 1.0))


# Axon


def _read_abf(path: Path) -> Traces:
    import pyabf

    # pyabf prepares for all sweeps that the header claims, be they in the file or not.
    n_sweeps = _claimed_sweeps(path)
    if n_sweeps <= path.stat().st_size:  # else not even the header should be given to it
        n_sweeps = pyabf.ABF(path, loadData=False).sweepCount
    if n_sweeps > _MOST_SWEEPS:
        raise _NotRead(f"has {n_sweeps} sweeps: it is damaged, or no protocol of steps.")
    abf = pyabf.ABF(path)
    measured = [_scale(unit) for unit in abf.adcUnits]
    traces = Traces(sampling_hz=[float(abf.sampleRate)] * abf.sweepCount)

    def channel(number: int) -> list[np.ndarray]:
        sweeps = []
        for sweep in abf.sweepList:
            abf.setSweep(sweep, channel=number)
            sweeps.append(abf.sweepY * measured[number][1])
        return sweeps

    of_voltage = [n for n, (what, _) in enumerate(measured) if what == "mV"]
    of_current = [n for n, (what, _) in enumerate(measured) if what == "pA"]
    # In voltage clamp the current comes first and the command is a voltage.
    clamped = of_current[:1] == [0] and _scale(abf.dacUnits[0])[0] == "mV"
    if of_voltage and not clamped:
        traces.voltage_mv = channel(of_voltage[0])
        if len(of_voltage) > 1:
            traces.notes.append(
                f"There are {len(of_voltage)} channels of voltage; this is the first, "
                f"{abf.adcNames[of_voltage[0]]}."
            )
        _add_command(abf, traces, first=of_voltage[0])
    if of_current and not traces.current_pa:
        traces.current_pa = list(channel(of_current[0]))
        traces.current_from = f"recorded channel {abf.adcNames[of_current[0]]}"
    if not (traces.voltage_mv or traces.current_pa):
        units = ", ".join(map(str, abf.adcUnits))
        raise _NotRead(f"has channels in {units}: no voltage in mV and no current in pA.")
    return traces


def _claimed_sweeps(path: Path) -> int:
    """Read lActualEpisodes in the header of versions 1 and 2; 0 if it is none of these."""
    with path.open("rb") as file:
        head = file.read(20)
    at = {b"ABF ": 16, b"ABF2": 12}.get(head[:4])
    return int.from_bytes(head[at : at + 4], "little") if at else 0


def _add_command(abf: Any, traces: Traces, first: int) -> None:
    """Take the current from the protocol, if one of its outputs is a current that changes."""
    import pyabf.stimulus

    outputs = sorted(range(len(abf.dacUnits)), key=lambda n: n != first)
    for number in outputs:
        what, factor = _scale(abf.dacUnits[number])
        if what != "pA":
            continue
        output = pyabf.stimulus.Stimulus(abf, number)
        try:
            command = [np.asarray(output.stimulusWaveform(s)) * factor for s in abf.sweepList]
        except Exception:  # an output that the header does not describe
            continue
        low, high = min(map(np.min, command)), max(map(np.max, command))
        if np.isfinite([low, high]).all() and high > low:
            traces.current_pa = list(command)
            traces.current_from = f"command of the protocol ({abf.dacNames[number]})"
            traces.holding_pa = float(abf.holdingCommand[number]) * factor
            return


# NWB and arrays in HDF5

_CURRENT_CLAMP = ("CurrentClampSeries", "IZeroClampSeries")


def _read_hdf5(path: Path) -> Traces:
    import h5py

    with h5py.File(path, "r") as file:
        if path.suffix.lower() == ".nwb" or "nwb_version" in file.attrs:
            return _read_nwb(file)
        arrays = {name: data for name, data in file.items() if isinstance(data, h5py.Dataset)}
        _check_size(arrays.values())
        traces = Traces()
        pairs = _pairs(arrays)
        for voltage, current in pairs:
            volts = _rows(voltage, arrays[voltage]) if voltage else []
            amps = _rows(current, arrays[current]) if current else []
            if volts and len(amps) == 1:  # the same in all sweeps
                amps *= len(volts)
            if volts and amps and len(volts) != len(amps):
                raise _NotRead(f"has {len(volts)} sweeps in {voltage}, {len(amps)} in {current}.")
            traces.voltage_mv += volts
            traces.current_pa += amps
        if len(pairs) == len(traces.voltage_mv or traces.current_pa):
            traces.numbers = [_number(voltage or current) for voltage, current in pairs]
        traces.current_from = _current_names(pairs)
        if "sampling_hz" in file.attrs or "sampling_hz" in arrays:
            hz = float(np.squeeze(file.attrs.get("sampling_hz", arrays.get("sampling_hz"))))
        elif time := [name for name in arrays if _named(name)[0] == "s"]:
            hz = _rate(np.ravel(arrays[time[0]][()]) * _named(time[0])[1])
        else:
            raise _NotRead("has no attribute sampling_hz and no array time_s.")
        if not (traces.voltage_mv or traces.current_pa):
            raise _NotRead(f"has no array voltage_mv; it has {sorted(file)[:5]}.")
        traces.sampling_hz = [hz] * len(traces.voltage_mv or traces.current_pa)
        return traces


def _rows(name: str, data: Any) -> list[np.ndarray]:
    """Return the sweeps of an array in HDF5, in mV or pA."""
    rows = list(np.atleast_2d(data[()]) * _named(name)[1])
    if not rows:
        raise _NotRead(f"has no sweeps in {name}.")
    if len(rows) > len(rows[0]):
        raise _NotRead(f"has {name} of shape {data.shape}, not (n_sweeps, n_samples).")
    return rows


def _check_size(datasets: Any) -> None:
    samples = sum(data.size for data in datasets)
    if samples > _MAX_SAMPLES:
        raise _NotRead(f"holds {samples:.2g} samples, more than {_MAX_SAMPLES:.2g}: cut it.")


def _read_nwb(file: Any) -> Traces:
    said = file.attrs.get("nwb_version", file.get("nwb_version"))
    if said is None:
        raise _NotRead("is no NWB file: nothing in it says a version of NWB.")
    version = _text(said if "nwb_version" in file.attrs else said[()])
    if version.removeprefix("NWB-").startswith("1"):
        raise _NotRead(f"is of NWB version {version}; convert it to NWB 2.")
    recorded = _series(file, "acquisition")
    responses = [series for series in recorded if _type(series) in _CURRENT_CLAMP]
    if not responses:
        there = ", ".join(sorted({_type(series) for series in recorded}))
        others = f"; of others it has {there}" if there else ", and no other recording"
        raise _NotRead(f"holds no current-clamp series{others}.")
    traces = Traces(current_from="stimulus series", setup=_nwb_setup(file))
    electrodes = [_electrode(series) for series in responses]
    chosen = max(dict.fromkeys(electrodes), key=electrodes.count)
    if len(set(electrodes)) > 1:
        traces.notes.append(
            f"There are {len(set(electrodes))} electrodes; this is {chosen.rpartition('/')[2]}."
        )
    responses = [
        s for s, electrode in zip(responses, electrodes, strict=True) if electrode == chosen
    ]
    responses.sort(key=lambda series: (series.attrs.get("sweep_number", 0), _start_s(series)))
    stimulus_of = _stimuli(file)
    pairs = [(series, stimulus_of(series)) for series in responses]
    _check_size(series["data"] for pair in pairs for series in pair if series is not None)
    for response, stimulus in pairs:
        hz = _series_rate(response)
        traces.voltage_mv.append(_values(response, "mV"))
        traces.sampling_hz.append(hz)
        injected = None
        if stimulus is not None and abs(_series_rate(stimulus) / hz - 1) < 1e-3:
            # The amplifier adds its bias current to what the stimulus says.
            bias_a = response["bias_current"][()] if "bias_current" in response else 0.0
            injected = _values(stimulus, "pA") + float(np.nan_to_num(bias_a)) * 1e12
        traces.current_pa.append(injected)
    if all(injected is None for injected in traces.current_pa):
        traces.current_pa, traces.current_from = [], ""
    return traces


def _nwb_setup(file: Any) -> dict[str, Any]:
    """Read species and temperature, which decide whether a cell is like those that are known.

    NWB has a place for the species. For the temperature it has none: what laboratories add under
    that name is taken, where it is one number that a bath can have.
    """
    import h5py

    setup: dict[str, Any] = {}
    said = file.get("general/subject/species")
    species = _text(said[()]).strip() if said is not None else ""
    if species.rpartition("/")[2] == "NCBITaxon_10090":  # the mouse; NWB allows numbers of taxa
        species = "Mus musculus"
    if re.fullmatch(r"[A-Za-z][A-Za-z .]{2,40}", species):
        setup["species"] = species
    found = set()

    def look(name: str, item: Any) -> None:
        values = dict(item.attrs)
        if isinstance(item, h5py.Dataset) and item.shape in ((), (1,)):
            values[name.rpartition("/")[2]] = item[()]
        for key, value in values.items():
            if "temperature" in key.lower():
                with suppress(ValueError):
                    found.add(float(_text(value)))

    if "general" in file:
        file["general"].visititems(look)
    possible = [celsius for celsius in found if 0 < celsius < 45]
    if len(possible) == 1:
        setup["temperature_c"] = possible[0]
    return setup


def _text(value: Any) -> str:
    value = value.flat[0] if isinstance(value, np.ndarray) and value.size else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _type(series: Any) -> str:
    return _text(series.attrs["neurodata_type"])


def _series(file: Any, where: str) -> list[Any]:
    """List the series in a folder of an NWB file; what is linked but lost is left out."""
    folder = file.get(where, {})
    found = [folder.get(name) for name in folder]
    return [s for s in found if s is not None and "neurodata_type" in s.attrs and "data" in s]


def _electrode(series: Any) -> str:
    link = series.get("electrode", getlink=True)
    return getattr(link, "path", "") or (series["electrode"].name if "electrode" in series else "")


def _stimuli(file: Any) -> Callable[[Any], Any]:
    """Return a function from a response to its stimulus, or None."""
    by_response = {}
    table = "general/intracellular_ephys/intracellular_recordings"
    if f"{table}/responses/response" in file and f"{table}/stimuli/stimulus" in file:
        for response, stimulus in zip(
            file[f"{table}/responses/response"][()],
            file[f"{table}/stimuli/stimulus"][()],
            strict=True,
        ):
            if response["timeseries"] and stimulus["timeseries"]:
                by_response[file[response["timeseries"]].name] = file[stimulus["timeseries"]]
    stimuli = _series(file, "stimulus/presentation")
    keys = [_sweep_key(series) for series in stimuli]
    # A number that several stimuli of an electrode have says nothing.
    by_key = {key: s for key, s in zip(keys, stimuli, strict=True) if keys.count(key) == 1}
    return lambda response: by_response.get(response.name, by_key.get(_sweep_key(response)))


def _sweep_key(series: Any) -> tuple:
    """Return what a response and its stimulus share: electrode and sweep, or numbers in names."""
    if "sweep_number" in series.attrs:
        return _electrode(series), int(series.attrs["sweep_number"])
    return _electrode(series), *map(int, re.findall(r"\d+", series.name.rpartition("/")[2]))


def _start_s(series: Any) -> float:
    return float(np.nan_to_num(series["starting_time"][()])) if "starting_time" in series else 0.0


def _series_rate(series: Any) -> float:
    if "starting_time" in series:
        return float(series["starting_time"].attrs["rate"])
    return _rate(series["timestamps"][()])


def _values(series: Any, wanted: str) -> np.ndarray:
    data = series["data"]
    unit = data.attrs.get("unit", "")
    what, factor = _scale(unit)
    if what != wanted:
        raise _NotRead(f"gives {series.name} in {unit or 'no unit'}, not in volts or amperes.")
    scale = float(np.ravel(data.attrs.get("conversion", 1.0))[0]) * factor
    offset = float(np.ravel(data.attrs.get("offset", 0.0))[0]) * factor
    return np.ravel(data[()]).astype(np.float64) * scale + offset


# Igor


def _read_ibw(path: Path) -> Traces:
    import igor2.binarywave

    _check_ibw_header(path)
    # Of a damaged file it would write all bytes to the log.
    logging.getLogger("igor2").setLevel(logging.CRITICAL + 1)
    wave = igor2.binarywave.load(str(path))["wave"]
    header = wave["wave_header"]
    data = np.asarray(wave["wData"], dtype=np.float64)
    if data.ndim > 2:
        raise _NotRead(f"holds an array of {data.ndim} dimensions; give samples by sweeps.")
    # Versions 2 and 3 hold one row of numbers, version 5 up to four dimensions.
    step = float(np.ravel(header["sfA"] if "sfA" in header else header["hsA"])[0])
    of_time = header["dimUnits"] if "dimUnits" in header else header["xUnits"]
    unit = b"".join(np.ravel(header["dataUnits"])) or wave.get("data_units", b"")
    what, factor = _scale(unit)
    _, to_seconds = _scale(b"".join(np.ravel(of_time)[:4]))
    rows = list(np.atleast_2d(data.T) * factor)
    if what not in ("mV", "pA"):
        raise _NotRead('has no unit of voltage or current. In Igor: SetScale d 0, 0, "V", wave.')
    traces = Traces(sampling_hz=[1 / (step * to_seconds)] * len(rows))
    if what == "mV":
        traces.voltage_mv = rows
    else:
        traces.current_pa, traces.current_from = list(rows), path.name
    return traces


_IBW_HEADERS = {2: (126, 2, 2), 3: (130, 2, 3), 5: (384, 4, 13)}
"""By version: bytes of the header, where in it the sizes of data, notes and units are, how many."""


def _check_ibw_header(path: Path) -> None:
    """Check the sum over the header, and the sizes in it.

    igor2 does neither: a wrong size costs gigabytes and minutes before it is found to be one.
    """
    with path.open("rb") as file:
        head = file.read(384)
    for order in "<>":
        version = int(np.frombuffer(head[:2], f"{order}i2")[0]) if len(head) > 1 else 0
        if version in _IBW_HEADERS and len(head) >= _IBW_HEADERS[version][0]:
            length, start, n = _IBW_HEADERS[version]
            words = np.frombuffer(head[:length], f"{order}i2")
            sizes = np.frombuffer(head[start : start + 4 * n], f"{order}i4").astype(np.int64)
            if words.sum(dtype=np.int64) % 65536 == 0:
                if sizes.min() < 0 or sizes.sum() > path.stat().st_size:
                    raise ValueError("its header says that it is larger than it is")
                return
    raise ValueError("its header is no Igor binary wave's of version 2, 3 or 5")


# Tables


def _read_csv(path: Path) -> Traces:
    table = pd.read_csv(path, comment="#", skipinitialspace=True)
    table.columns = [str(name).strip().lower() for name in table.columns]
    time = [name for name in table if _named(name)[0] == "s"]
    columns = {name: _named(name) for name in table if _named(name)[0] in ("mV", "pA")}
    for separator, what in ((";", "semicolons"), ("\t", "tabs")):
        if len(table.columns) == 1 and separator in table.columns[0]:
            raise _NotRead(f"is separated by {what}: save it with commas, and with decimal points.")
    if not (time and columns):
        raise _NotRead(
            "needs columns time_s (or time_ms), voltage_mv (or voltage_v) and current_pa (or "
            f"current_na) to be a recording; it has {list(table.columns)[:6]}. A table of features "
            "needs the columns that `lspin template` shows; from any other table `lspin train` "
            "learns."
        )
    if table.empty:
        raise _NotRead("has a line of column names and no rows.")
    plain = [re.sub(r"\.\d+$", "", name) for name in table]  # pandas calls a second "a" "a.1"
    if twice := [n for n in (*columns, *time, "sweep") if plain.count(n) > 1]:
        raise _NotRead(f"has two columns named {twice[0]}: leave one out, or number both.")
    if "sweep" in table:
        lost = table["sweep"].isna() & table[list(columns)].notna().any(axis=1)
        if lost.any():
            raise _NotRead(f"says no sweep in {lost.sum()} rows: fill in the column sweep.")
    texts = [name for name in (*time, *columns) if not pd.api.types.is_numeric_dtype(table[name])]
    if texts:
        raise _NotRead(f"has text in column {texts[0]}; decimal commas are not read.")
    seconds = table[time[0]].to_numpy(float) * _named(time[0])[1]
    values = {name: table[name].to_numpy(float) * factor for name, (_, factor) in columns.items()}
    rows = table.groupby("sweep").indices.values() if "sweep" in table else [np.arange(len(table))]
    pairs = _pairs(columns)
    traces = Traces(current_from=_current_names(pairs))
    if "sweep" not in table:
        traces.numbers = [_number(voltage or current) for voltage, current in pairs]
    for of_sweep in rows:
        try:
            hz = _rate(seconds[of_sweep])
        except _NotRead as error:
            advice = "" if "sweep" in table else " Several sweeps need a column sweep, 0, 1, 2, …"
            raise _NotRead(f"{error}{advice}") from None
        for voltage, current in pairs:
            if voltage:
                traces.voltage_mv.append(values[voltage][of_sweep])
                traces.sampling_hz.append(hz)
            if current:
                traces.current_pa.append(values[current][of_sweep])
    return traces


def _named(name: str) -> tuple[str, float]:
    """Read a name such as ``voltage_mv_3``: what it is, and the factor to mV, pA or s."""
    match = re.fullmatch(r"(voltage|current|time)_([a-z]+)(_\w+)?", name.lower())
    what, factor = _scale(match[2]) if match else ("", 1.0)
    right = {"voltage": "mV", "current": "pA", "time": "s"}
    return (what, factor) if match and right[match[1]] == what else ("", 1.0)


_NO_NUMBER = -1


def _number(name: str) -> int:
    """Return the number at the end of a name, which tells sweeps apart."""
    match = re.search(r"\d+$", name)
    return int(match[0]) if match else _NO_NUMBER


def _by_number(names: Iterable[str], wanted: str) -> dict[int, str]:
    """Return the voltages (mV) or the currents (pA) among names, by their numbers."""
    found: dict[int, str] = {}
    for name in names:
        if _named(name)[0] == wanted:
            other = found.setdefault(_number(name), name)
            if other != name:
                raise _NotRead(
                    f"has both {other} and {name}: leave one out or, if they are sweeps, end "
                    "their names in numbers, such as voltage_mv_1 and voltage_mv_2."
                )
    return found


def _pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pair voltages with currents by the numbers in their names, and sort them by these.

    Where there are voltages only, or currents only, the other name is empty.
    """
    names = list(names)
    voltages, currents = _by_number(names, "mV"), _by_number(names, "pA")
    if voltages and list(currents) == [_NO_NUMBER]:  # the same in all sweeps
        currents = dict.fromkeys(voltages, currents[_NO_NUMBER])
    if voltages and currents and (alone := voltages.keys() ^ currents.keys()):
        number = min(alone)
        name, other = (
            (voltages[number], "current") if number in voltages else (currents[number], "voltage")
        )
        raise _NotRead(
            f"has {name} without its {other}: give both the same number, as in voltage_mv_1 and "
            "current_pa_1, or name a current that all sweeps share current_pa."
        )
    return [(voltages.get(n, ""), currents.get(n, "")) for n in sorted({*voltages, *currents})]


def _current_names(pairs: list[tuple[str, str]]) -> str:
    return ", ".join(dict.fromkeys(current for _, current in pairs if current))


def _rate(seconds: np.ndarray) -> float:
    """Return the rate of regular times."""
    steps = np.diff(seconds[np.isfinite(seconds)])
    if not steps.size or not np.all(np.abs(steps / np.median(steps) - 1) < 0.05):
        raise _NotRead("has times that are not evenly spaced, or too few.")
    return float(1 / steps.mean())
