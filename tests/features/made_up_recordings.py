"""A made-up cell whose features are known in closed form, and files that hold it."""

import struct

import numpy as np

REST_MV, MOHM, TAU_MS, RHEOBASE_PA, GAIN = -70.0, 150.0, 12.0, 40.0, 0.4
STEPS_PA = (-90.0, -70.0, -50.0, -30.0, 20.0, *(40.0 + 10 * n for n in range(8)))


def leaky_cell(
    steps_pa=STEPS_PA, hz=50_000, onset_s=0.3, step_s=1.0, noise_mv=0.0, sag=0.0, random_state=0
):
    """A resistor and a capacitor, with spikes of one form put on top from rheobase on.

    Spikes come at equal intervals, the first 20 ms after the step begins; there are
    ``GAIN * (current - RHEOBASE_PA) + 3`` of them in a second. Returns voltage in mV and current in
    pA, of shape (n_sweeps, n_samples).
    """
    t = (np.arange(round((onset_s + step_s + 0.3) * hz)) - round(onset_s * hz)) / hz
    during = (t >= 0) & (t < step_s)
    since_ms, after_ms = 1000 * np.clip(t, 0, step_s), 1000 * np.clip(t - step_s, 0, None)
    charge = (1 - np.exp(-since_ms / TAU_MS)) * np.exp(-after_ms / TAU_MS)
    recover = 1 - sag * (1 - np.exp(-np.clip(since_ms - 80, 0, None) / 30))
    voltage = []
    for pa in steps_pa:
        v = REST_MV + pa * MOHM / 1000 * charge * recover
        for spike_s in spike_times(pa, step_s):
            v = v + spike_shape(1000 * (t - spike_s))
        voltage.append(v)
    current = np.array([np.where(during, pa, 0.0) for pa in steps_pa])
    noise = np.random.default_rng(random_state).normal(0, noise_mv, current.shape)
    return np.array(voltage) + noise, current


def spike_times(pa, step_s=1.0):
    """When spikes peak, in s from the start of the step."""
    if pa < RHEOBASE_PA:
        return np.array([])
    n = round((GAIN * (pa - RHEOBASE_PA) + 3) * step_s)
    return 0.02 + np.arange(n) * (step_s - 0.05) / n


def spike_shape(ms):
    """A spike of 90 mV that peaks at 0, twice as fast up as down, and a trough after it."""
    rise, fall = np.exp(-((ms / 0.25) ** 2)), np.exp(-((ms / 0.5) ** 2))
    trough = -12 * np.exp(-(((ms - 3) / 1.2) ** 2))
    return np.where(ms < 0, 90 * rise, 90 * fall) + trough


def write_ibw(path, data, hz, unit):
    """Write an Igor binary wave, version 5; rows become its columns."""
    data = np.atleast_2d(np.asarray(data, dtype=np.float64))
    dims = [data.shape[1], data.shape[0] if len(data) > 1 else 0, 0, 0]
    wave = struct.pack(
        "<IIIihh6sh32siI4i4d4d4s16shhddI4I4II16ihhhBBIihhII",
        *(0, 0, 0, data.size, 4, 0, b"", 1, b"wave", 0, 0, *dims, 1 / hz, 1, 1, 1, 0, 0, 0, 0),
        *(unit.encode(), b"s", 0, 0, 0.0, 0.0, 0, *[0] * 4, *[0] * 4, 0, *[0] * 16, *[0] * 11),
    )

    def head(checksum):
        return struct.pack("<hh15i", 5, checksum, len(wave) + data.nbytes, *[0] * 14)

    total = int(np.frombuffer(head(0) + wave, "<i2").sum(dtype=np.int64))
    path.write_bytes(head((-total + 2**15) % 2**16 - 2**15) + wave + data.tobytes())


def write_nwb(path, voltage_mv, current_pa, hz, kind="CurrentClampSeries", **response):
    """Write the skeleton of an NWB 2 file: volts as int16 with a factor, amperes as floats."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.6.0"
        folders = (("acquisition", kind), ("stimulus/presentation", "CurrentClampStimulusSeries"))
        for where, series_kind in folders:
            for n in range(len(voltage_mv)):
                series = file.create_group(f"{where}/{series_kind}_{n:03}")
                series.attrs["neurodata_type"] = series_kind
                series.attrs["sweep_number"] = np.uint64(n)
                if where == "acquisition":
                    factor, unit, values = 1e-5, "volts", np.int16(np.round(voltage_mv[n] * 100))
                    for name, value in response.items():
                        series[name] = value
                else:
                    factor, unit, values = 1e-12, "amperes", np.asarray(current_pa[n])
                series["data"] = values
                series["data"].attrs.update(unit=unit, conversion=factor)
                series["starting_time"] = 0.0
                series["starting_time"].attrs["rate"] = float(hz)
