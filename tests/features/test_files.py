"""Recordings from files: the same cell in every format, and one sentence for each bad file."""

import h5py
import numpy as np
import pandas as pd
import pytest
from made_up_recordings import leaky_cell, write_ibw, write_nwb

from lspin.features import Recording, files, read_recording

HZ = 10_000
STEPS_PA = (-50.0, 20.0, 60.0)


@pytest.fixture(scope="module")
def cell():
    return leaky_cell(STEPS_PA, hz=HZ, onset_s=0.2, step_s=0.4)


def table(voltage, current):
    """The long form of a CSV, in ms, V and nA."""
    time_ms = np.arange(voltage.shape[1]) / HZ * 1000
    return pd.concat(
        pd.DataFrame(
            {"sweep": n, "time_ms": time_ms, "voltage_v": v / 1000, "current_na": i / 1000}
        )
        for n, (v, i) in enumerate(zip(voltage, current, strict=True))
    )


def write_csv(folder, voltage, current):
    table(voltage, current).to_csv(folder / "cell.csv", index=False)
    return (folder / "cell.csv",)


def write_wide_csv(folder, voltage, current):
    columns = {"time_s": np.arange(voltage.shape[1]) / HZ}
    for n in range(len(voltage)):
        columns |= {f"voltage_mv_{n}": voltage[n], f"current_pa_{n}": current[n]}
    pd.DataFrame(columns).to_csv(folder / "wide.csv", index=False)
    return (folder / "wide.csv",)


def write_hdf5(folder, voltage, current):
    with h5py.File(folder / "cell.h5", "w") as file:
        file["voltage_mV"], file["current_A"] = voltage, current * 1e-12
        file.attrs["sampling_hz"] = HZ
    return (folder / "cell.h5",)


def write_nwb_file(folder, voltage, current):
    write_nwb(folder / "cell.nwb", voltage, current, HZ)
    return (folder / "cell.nwb",)


def write_igor(folder, voltage, current):
    write_ibw(folder / "v.ibw", voltage / 1000, HZ, "V")
    write_ibw(folder / "i.ibw", current, HZ, "pA")
    return folder / "v.ibw", folder / "i.ibw"


def write_abf(folder, voltage, current):
    from pyabf.abfWriter import writeABF1

    writeABF1(voltage, str(folder / "v.abf"), HZ, "mV")
    writeABF1(current / 1000, str(folder / "i.abf"), HZ, "nA")
    return folder / "v.abf", folder / "i.abf"


WRITERS = (write_csv, write_wide_csv, write_hdf5, write_nwb_file, write_igor, write_abf)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_every_format_gives_the_same_sweeps_in_mv_and_pa(write, cell, tmp_path):
    recording = read_recording(*write(tmp_path, *cell))
    assert len(recording.sweeps) == len(STEPS_PA)
    for sweep, v, i, pa in zip(recording.sweeps, *cell, STEPS_PA, strict=True):
        assert sweep.sampling_hz == pytest.approx(HZ)
        np.testing.assert_allclose(sweep.voltage_mv, v, atol=0.02)  # of 16 bits
        np.testing.assert_allclose(sweep.current_pa, i, atol=0.02)
        assert sweep.kind == "long_square"
        assert sweep.stimulus.amplitude_pa == pytest.approx(pa, abs=0.02)
        assert (sweep.stimulus.start_s, sweep.stimulus.end_s) == pytest.approx((0.2, 0.6))


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_file_cut_short_is_refused_or_whole_sweeps_are_kept(write, cell, tmp_path):
    path, *current = write(tmp_path, *cell)
    whole = path.read_bytes()
    for part in (0.0, 0.001, 0.3):
        path.write_bytes(whole[: int(part * len(whole))])
        try:
            recording = read_recording(path, *current)
        except ValueError as error:
            assert path.name in str(error) and "\n" not in str(error)
        else:  # a table has no end that could be missed
            assert path.suffix == ".csv" and len(recording.sweeps) < 3 or path.name == "wide.csv"


def test_nwb_adds_the_bias_current_and_takes_the_electrode_with_most_sweeps(cell, tmp_path):
    write_nwb(tmp_path / "cell.nwb", *cell, HZ, bias_current=-20e-12)
    sweep = read_recording(tmp_path / "cell.nwb").sweeps[0]
    assert sweep.holding_pa == pytest.approx(-20)
    assert sweep.stimulus.amplitude_pa == pytest.approx(-50)
    with h5py.File(tmp_path / "cell.nwb", "a") as file:
        for n, series in enumerate(file["acquisition"].values()):
            series["electrode"] = h5py.SoftLink(f"/general/intracellular_ephys/{n > 0:d}")
        for n, series in enumerate(file["stimulus/presentation"].values()):
            series["electrode"] = h5py.SoftLink(f"/general/intracellular_ephys/{n > 0:d}")
    recording = read_recording(tmp_path / "cell.nwb")
    assert [sweep.stimulus.amplitude_pa for sweep in recording.sweeps] == pytest.approx([20, 60])
    assert recording.notes == ("There are 2 electrodes; this is 1.",)


def test_nwb_written_by_pynwb_is_paired_by_its_table_of_recordings(cell, tmp_path):
    pynwb = pytest.importorskip("pynwb")
    from datetime import UTC, datetime

    file = pynwb.NWBFile("made up", "1", datetime(2020, 1, 1, tzinfo=UTC))
    electrode = file.create_icephys_electrode("0", description="", device=file.create_device("d"))
    # Stimuli named in the opposite order: only the table says what belongs together.
    for n, (v, i) in enumerate(zip(*cell, strict=True)):
        common = {"electrode": electrode, "rate": float(HZ), "gain": 0.01}
        file.add_intracellular_recording(
            electrode=electrode,
            response=pynwb.icephys.CurrentClampSeries(
                name=f"v{n}", data=v, conversion=1e-3, **common
            ),
            stimulus=pynwb.icephys.CurrentClampStimulusSeries(
                name=f"i{9 - n}", data=i + 1000, conversion=1e-12, offset=-1e-9, **common
            ),
        )
    with pynwb.NWBHDF5IO(tmp_path / "cell.nwb", "w") as out:
        out.write(file)
    recording = read_recording(tmp_path / "cell.nwb")
    amplitudes = [sweep.stimulus.amplitude_pa for sweep in recording.sweeps]
    assert amplitudes == pytest.approx(STEPS_PA, abs=0.01)


def test_nwb_without_sweep_numbers_is_paired_by_name_or_not_at_all(cell, tmp_path):
    write_nwb(tmp_path / "cell.nwb", *cell, HZ)
    with h5py.File(tmp_path / "cell.nwb", "a") as file:
        for folder in ("acquisition", "stimulus/presentation"):
            for series in file[folder].values():
                del series.attrs["sweep_number"]
    recording = read_recording(tmp_path / "cell.nwb")
    amplitudes = [sweep.stimulus.amplitude_pa for sweep in recording.sweeps]
    assert amplitudes == pytest.approx(STEPS_PA, abs=0.01)
    with h5py.File(tmp_path / "cell.nwb", "a") as file:
        for folder in ("acquisition", "stimulus/presentation"):
            for series in file[folder].values():
                series.attrs["sweep_number"] = (
                    2**32 - 1
                )  # as some programs say that they do not know
    recording = read_recording(tmp_path / "cell.nwb")
    assert {sweep.stimulus for sweep in recording.sweeps} == {None}


def test_without_current_the_sweeps_are_there(cell, tmp_path):
    path, _ = write_igor(tmp_path, *cell)
    recording = read_recording(path)
    assert {sweep.kind for sweep in recording.sweeps} == {"other"}
    assert recording.provenance["current"] == "not in the file"


def test_one_current_serves_all_sweeps(cell, tmp_path):
    path, current = write_igor(tmp_path, *cell)
    write_ibw(current, cell[1][0], HZ, "pA")
    recording = read_recording(path, current)
    assert {sweep.stimulus.amplitude_pa for sweep in recording.sweeps} == {-50.0}


# Numbered names, in a table and in HDF5 alike


def write_named(path, columns):
    """Write columns of a table, or arrays of the same names."""
    if path.suffix == ".csv":
        time_s = np.arange(len(next(iter(columns.values())))) / HZ
        pd.DataFrame({"time_s": time_s, **columns}).to_csv(path, index=False)
    else:
        with h5py.File(path, "w") as file:
            file.attrs["sampling_hz"] = HZ
            for name, values in columns.items():
                file[name] = values
    return path


def amplitudes(recording):
    return [round(sweep.stimulus.amplitude_pa) for sweep in recording.sweeps]


@pytest.mark.parametrize("name", ["cell.csv", "cell.h5"])
def test_voltages_and_currents_are_paired_by_their_numbers_whatever_the_order(name, cell, tmp_path):
    # A program that sorts names puts 11 before 3.
    columns = {f"voltage_mv_{n}": cell[0][k] for k, n in enumerate((1, 3, 11))}
    columns |= {f"current_pa_{n}": cell[1][k] for k, n in ((0, 1), (2, 11), (1, 3))}
    recording = read_recording(write_named(tmp_path / name, columns))
    assert amplitudes(recording) == list(STEPS_PA)
    for sweep, v in zip(recording.sweeps, cell[0], strict=True):
        np.testing.assert_allclose(sweep.voltage_mv, v, atol=1e-3)


@pytest.mark.parametrize("name", ["cell.csv", "cell.h5"])
def test_one_current_without_a_number_is_that_of_all_voltages(name, cell, tmp_path):
    columns = {"voltage_mv_1": cell[0][1], "voltage_mv_2": cell[0][1], "current_pa": cell[1][1]}
    assert amplitudes(read_recording(write_named(tmp_path / name, columns))) == [20, 20]


@pytest.mark.parametrize("name", ["cell.csv", "cell.h5"])
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("voltage_mv_1", "voltage_mv_7", "current_pa_1"), "voltage_mv_7 without its current"),
        (("voltage_mv_1", "current_pa_2"), "voltage_mv_1 without its current"),
        (("voltage_mv_1", "current_pa_1", "current_pa_2"), "current_pa_2 without its voltage"),
        (("voltage_mv", "voltage_mv_filtered", "current_pa"), "both voltage_mv and voltage_mv_fil"),
        (("voltage_mv_1", "voltage_v_1", "current_pa_1"), "both voltage_mv_1 and voltage_v_1"),
    ],
)
def test_what_has_no_partner_or_two_is_refused(names, message, name, cell, tmp_path):
    columns = {column: cell["current" in column][0] for column in names}
    with pytest.raises(ValueError, match=rf"^{name} has {message}"):
        read_recording(write_named(tmp_path / name, columns))


def test_arrays_of_several_sweeps_have_the_same_number_of_them(cell, tmp_path):
    columns = {"voltage_mv": cell[0], "current_pa": cell[1][0]}
    recording = read_recording(write_named(tmp_path / "cell.h5", columns))
    assert amplitudes(recording) == [-50, -50, -50]  # one current serves all
    columns["current_pa"] = cell[1][:2]
    with pytest.raises(ValueError, match="has 3 sweeps in voltage_mv, 2 in current_pa"):
        read_recording(write_named(tmp_path / "cell.h5", columns))


def test_a_current_in_another_file_has_the_numbers_of_its_voltages(cell, tmp_path):
    voltage = {f"voltage_mv_{n}": cell[0][k] for k, n in enumerate((1, 3, 11))}
    current = {f"current_pa_{n}": cell[1][k] for k, n in ((2, 11), (0, 1), (1, 3))}
    path = write_named(tmp_path / "v.csv", voltage)
    other = write_named(tmp_path / "i.h5", current)
    assert amplitudes(read_recording(path, other)) == list(STEPS_PA)
    current["current_pa_12"] = current.pop("current_pa_11")
    other = write_named(tmp_path / "i.h5", current)
    with pytest.raises(ValueError, match=r"^v.csv and i.h5 number their sweeps differently"):
        read_recording(path, other)


# Refusals


def test_voltage_clamp_is_refused(cell, tmp_path):
    from pyabf.abfWriter import writeABF1

    writeABF1(cell[0], str(tmp_path / "vc.abf"), HZ, "pA")
    with pytest.raises(ValueError, match=r"vc.abf holds no voltage .* in current clamp"):
        read_recording(tmp_path / "vc.abf")
    write_nwb(tmp_path / "vc.nwb", *cell, HZ, kind="VoltageClampSeries")
    with pytest.raises(ValueError, match="no current-clamp series; of others it has VoltageClamp"):
        read_recording(tmp_path / "vc.nwb")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="time_ms"), "needs columns time_s"),
        (lambda t: t.drop(columns="voltage_v"), "holds no voltage"),
        (lambda t: t.rename(columns={"voltage_v": "voltage_mv"}), "probably in volts"),
        (lambda t: t.assign(voltage_v=t["voltage_v"] * 1000), "gain of the amplifier"),
        (lambda t: t.rename(columns={"current_na": "current_ua"}).assign(
            current_ua=t["current_na"] * 1e6), "which no pipette carries"),
        (lambda t: t.assign(voltage_v="-70,5"), "decimal commas"),
        (lambda t: t.assign(time_ms=t["time_ms"] ** 2), "not evenly spaced"),
        (lambda t: t.drop(columns="sweep"), "evenly spaced, or too few. Several sweeps need a col"),
        (lambda t: t.rename(columns={"time_ms": "time_s"}), "sampled at 10 Hz"),
        (lambda t: t.assign(voltage_v=np.nan), "holds no numbers"),
        (lambda t: t.assign(voltage_v=-0.07), "never changes"),
        (lambda t: t.assign(sweep=t["sweep"].where(t["sweep"] < 2)), "no sweep in 9000 rows"),
        (lambda t: t.assign(other=t["voltage_v"]).set_axis([*t, "voltage_v"], axis=1),
         "two columns named voltage_v"),
        (lambda t: t.assign(other=t["voltage_v"]).set_axis([*t, "Voltage_V"], axis=1),
         "two columns named voltage_v"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_right_is_refused(change, message, cell, tmp_path):
    change(table(*cell)).to_csv(tmp_path / "cell.csv", index=False)
    with pytest.raises(ValueError, match=message):
        read_recording(tmp_path / "cell.csv")


def test_empty_rows_at_the_end_of_a_table_do_no_harm(cell, tmp_path):
    path, *_ = write_csv(tmp_path, *cell)
    path.write_text(path.read_text() + ",,,\n" * 5)  # as spreadsheets leave them
    assert amplitudes(read_recording(path)) == list(STEPS_PA)


@pytest.mark.parametrize(("separator", "what"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_recording_with_other_separators_is_refused(separator, what, cell, tmp_path):
    table(*cell).to_csv(tmp_path / "cell.csv", index=False, sep=separator, decimal=",")
    with pytest.raises(ValueError, match=f"separated by {what}"):
        read_recording(tmp_path / "cell.csv")


def test_files_of_another_kind_are_refused(cell, tmp_path):
    for name, message in [
        ("cell.mat", "are read from .abf"),
        ("cell.abf", "is damaged, or no .abf file"),
        ("cell.nwb", "is damaged, or no .nwb file"),
        ("cell.ibw", "is damaged, or no .ibw file"),
    ]:
        (tmp_path / name).write_bytes(b"something else" * 100)
        with pytest.raises(ValueError, match=message):
            read_recording(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_recording(tmp_path / "nowhere.abf")
    write_ibw(tmp_path / "v.ibw", cell[0], HZ, "")
    with pytest.raises(ValueError, match="SetScale"):
        read_recording(tmp_path / "v.ibw")


def test_samples_by_sweeps_are_told_from_sweeps_by_samples(cell, tmp_path):
    path, *_ = write_hdf5(tmp_path, cell[0].T, cell[1].T)
    with pytest.raises(ValueError, match=r"voltage_mV of shape .* not \(n_sweeps, n_samples\)"):
        read_recording(path)


def test_a_file_that_claims_to_be_huge_is_refused_before_it_is_read(tmp_path):
    with h5py.File(tmp_path / "cell.h5", "w") as file:
        file.create_dataset("voltage_mv", (40_000, 100_000), "f4", chunks=(1, 1000))
        file.attrs["sampling_hz"] = HZ
    assert (tmp_path / "cell.h5").stat().st_size < 1e6
    with pytest.raises(ValueError, match=r"holds 4e\+09 samples"):
        read_recording(tmp_path / "cell.h5")


@pytest.mark.parametrize("part", ["data", "formula", "labels of dimensions"])
def test_an_igor_file_that_claims_to_be_huge_is_refused_before_it_is_read(part, cell, tmp_path):
    write_ibw(tmp_path / "v.ibw", cell[0], HZ, "mV")
    content = bytearray((tmp_path / "v.ibw").read_bytes())
    at = {"data": 4, "formula": 8, "labels of dimensions": 48}[part]
    content[at : at + 4] = (2_000_000_000).to_bytes(4, "little")
    content[2:4] = bytes(2)  # the sum over the header is put right, so it tells nothing
    total = int(np.frombuffer(content[:384], "<i2").sum(dtype=np.int64))
    content[2:4] = (-total % 2**16).to_bytes(2, "little")
    (tmp_path / "v.ibw").write_bytes(content)
    with pytest.raises(ValueError, match=r"^v.ibw is damaged.*larger than it is"):
        read_recording(tmp_path / "v.ibw")  # it took half a minute and four gigabytes


@pytest.mark.parametrize("n_sweeps", [6_000, 100_000_000])
def test_an_abf_file_that_claims_many_sweeps_is_refused_before_it_is_read(n_sweeps, cell, tmp_path):
    path, _ = write_abf(tmp_path, *cell)
    content = bytearray(path.read_bytes())
    content[16:20] = n_sweeps.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^v.abf has {n_sweeps} sweeps: it is damaged"):
        read_recording(path)  # of 100 million it took more than a minute and five gigabytes


# Arrays


def test_ends_that_were_not_recorded_are_cut_and_gaps_leave_a_sweep_out(cell):
    voltage, current = (x.copy() for x in cell)
    voltage[0, -500:] = np.nan
    voltage[1, 300] = np.inf
    recording = Recording.from_arrays(voltage, current, HZ)
    assert [sweep.number for sweep in recording.sweeps] == [0, 2]
    assert recording.sweeps[0].voltage_mv.size == voltage.shape[1] - 500
    assert recording.notes == ("Sweep 1 is left out: it has gaps (values that are not finite).",)


def test_no_sweeps_are_refused():
    with pytest.raises(ValueError, match="has no sweep that can be measured"):
        Recording.from_arrays([], None, HZ)


# What hangs or kills the library that reads it


def test_a_file_that_is_read_for_ever_is_given_up(cell, tmp_path):
    (path,) = write_hdf5(tmp_path, *cell)
    files.check_readable(path)
    with pytest.raises(ValueError, match=r"cell.h5 is damaged: reading it had not ended"):
        files.check_readable(path, limit_s=0.001)


def test_a_file_that_kills_its_reader_is_refused(cell, tmp_path, monkeypatch):
    (path,) = write_hdf5(tmp_path, *cell)
    monkeypatch.setattr(files, "_READ_ALL", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(ValueError, match="it kills the library that reads it"):
        files.check_readable(path)


def test_folders_and_files_without_sweeps_are_named(tmp_path):
    (tmp_path / "cell.abf").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        read_recording(tmp_path / "cell.abf")
    with h5py.File(tmp_path / "cell.h5", "w") as file:
        file["voltage_mv"] = np.zeros((0, 100))
        file.attrs["sampling_hz"] = HZ
    with pytest.raises(ValueError, match="has no sweeps in voltage_mv"):
        read_recording(tmp_path / "cell.h5")


def test_an_nwb_file_says_species_and_temperature_and_nothing_about_people(cell, tmp_path):
    import h5py

    path = tmp_path / "cell.nwb"
    write_nwb(path, *cell, HZ)
    assert not {"species", "temperature_c"} & set(read_recording(path).provenance)
    with h5py.File(path, "a") as file:
        file["general/experimenter"] = "A. Person"
        file["general/subject/subject_id"] = "Person B."
        file["general/subject/species"] = "Rattus norvegicus"
        file["general/lab_meta_data/bath/temperature"] = "31.5"
        file["general/lab_meta_data/bath"].attrs["room_temperature"] = "not noted"
    recording = read_recording(path)
    assert recording.provenance["species"] == "Rattus norvegicus"
    assert recording.provenance["temperature_c"] == 31.5
    assert "Person" not in repr(recording)
    with h5py.File(path, "a") as file:  # which one was the bath's?
        file["general/lab_meta_data/bath/temperature_of_pump"] = 20.0
    assert "temperature_c" not in read_recording(path).provenance


def test_a_folder_an_empty_nwb_file_and_a_table_of_something_else_are_told_apart(tmp_path):
    import h5py

    h5py.File(tmp_path / "empty.nwb", "w").close()
    (tmp_path / "table.csv").write_text("petals,sepals\n1,2")
    for name, sentence in {
        "": "is a folder: name the files in it",
        "empty.nwb": "is no NWB file",
        "table.csv": "`lspin train`",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            read_recording(tmp_path / name)
