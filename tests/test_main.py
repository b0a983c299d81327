"""The command line, as a user runs it."""

import subprocess
import sys
import time

import pytest

from lspin.__main__ import main


def test_info_without_data_names_the_twin(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "SYNTHETIC TWIN" in out
    assert "missing" in out


def test_info_on_real_tables(real_data, monkeypatch, capsys):
    monkeypatch.setenv("LSPIN_DATA_DIR", str(real_data))
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "1920 mouse cells of 2333" in out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["total"] == ["1750", "1612", "1855"]
    assert rows["Vip+"] == ["161", "133", "164"]
    assert "1382 complete of 1424" in out
    assert "spikes: 1811" in out


@pytest.mark.parametrize("source", ["allen", "paper", "all"])
def test_fetch_without_a_network_ends_in_one_sentence(source, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lspin.data.paper._RETRIES", 0)
    assert main(["fetch", "--source", source]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("lspin fetch: https://")
    assert "Traceback" not in captured.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_broken_table_is_named(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "allen_cell_types"
    folder.mkdir()
    for name in ("cells.json", "ephys_features.csv"):
        (folder / name).write_text("")
    monkeypatch.setenv("LSPIN_DATA_DIR", str(tmp_path))
    assert main(["info"]) == 1
    assert "cells.json: not readable as JSON" in capsys.readouterr().err


def test_info_is_quick_and_reading_needs_no_allensdk(real_data):
    code = (
        "import sys; sys.modules['allensdk'] = None\n"
        "from lspin.__main__ import main; main(['info'])\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        env={"LSPIN_DATA_DIR": str(real_data), "PYTHONPATH": ":".join(sys.path)},
    )
    assert time.monotonic() - start < 10  # about 1 s on a free machine
