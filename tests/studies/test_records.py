"""Recorded results: written row by row, read back, and never replaced by less."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lspin.studies import check_output, read_results, results_file, write_results

ROWS = pd.DataFrame({"model": ['a "quoted" <scores>', "b"], "accuracy": [0.5, np.nan]})
RESULTS = {"study": "x", "seeds": [0, 1], "models": ["a", "b"], "tables": {"scores": ROWS}}


def test_recorded_results_come_back(tmp_path):
    path = tmp_path / "deep" / "results.json"
    write_results(RESULTS, path)
    tables, about = read_results(path)
    assert about == {name: part for name, part in RESULTS.items() if name != "tables"}
    pd.testing.assert_frame_equal(tables["scores"], ROWS)
    # One row per line, so that a change of a score is a change of a line.
    assert sum('"accuracy"' in line for line in path.read_text().splitlines()) == 2
    write_results({"tables": {"scores": ROWS[1:], "none": ROWS[:0]}}, path)
    tables, about = read_results(path)
    assert about == {} and len(tables["scores"]) == 1 and len(tables["none"]) == 0


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "there.json")
    write_results(RESULTS, tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "there.json").is_file()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tables": 1}', "a diary"])
def test_what_is_no_result_is_named(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"results\.json holds no recorded results"):
        read_results(path)
    with pytest.raises(ValueError, match="Nothing is replaced: give another name, or --force"):
        check_output(path, "x", [0, 1], ["a", "b"])


@pytest.mark.parametrize(
    ("study", "seeds", "models", "message"),
    [
        ("y", [0, 1], ["a", "b"], "holds other results than of this study"),
        ("x", [0], ["a", "b"], "holds 1 more repeats, which would be lost"),
        ("x", [0, 1, 2], ["a", "c"], r"holds other models \(b\), which would be lost"),
    ],
)
def test_results_that_hold_more_are_not_replaced(tmp_path, study, seeds, models, message):
    path = tmp_path / "results.json"
    write_results(RESULTS, path)
    check_output(path, "x", [0, 1, 2], ["a", "b", "c"])
    check_output(path, "x", [0, 1], None)
    check_output(path, study, seeds, models, force=True)
    with pytest.raises(ValueError, match=message):
        check_output(path, study, seeds, models)


def test_what_cannot_be_written_is_refused_beforehand(tmp_path):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").touch()
    for path, message in (("folder.json", "is a folder"), ("file/results.json", "be written")):
        for force in (False, True):
            with pytest.raises(ValueError, match=message):
                check_output(tmp_path / path, "x", [0], [], force=force)
    with pytest.raises(ValueError, match=r"must end in \.json"):
        check_output(tmp_path / "results.txt", "x", [0], [])
    if os.geteuid():  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(ValueError, match="cannot be written"):
            check_output(tmp_path / "locked" / "results.json", "x", [0], [])


def test_whatever_the_package_holds_is_read_and_would_be_written_alike(tmp_path):
    files = list(results_file("paper").parent.glob("*.json"))
    assert len(files) >= 8
    for path in files:
        tables, about = read_results(path)
        assert tables
        write_results({**about, "tables": tables}, tmp_path / path.name)
        assert json.loads((tmp_path / path.name).read_text()) == json.loads(path.read_text())


def test_recorded_results_are_found_by_name():
    tables, about = read_results(results_file("positive"))
    assert "cohort positive" in about["study"] and "LSPIN" in set(tables["scores"]["model"])
    with pytest.raises(ValueError, match=r"one of \['ablation', .*'waveform'\], got 'papers'"):
        results_file("papers")


def test_make_results_runs_every_study():
    from lspin.studies import STUDIES

    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    for name in STUDIES:
        assert f"$(EVALUATE) {name} lspin/studies/results/{name}.json" in makefile
