"""Half-widths of the Allen cells."""

import numpy as np
import pytest

from lspin import load_cells
from lspin.data import add_half_width, moradi2021
from lspin.data.patchseq import HALF_WIDTH


@pytest.fixture
def folder(real_data):
    if not (real_data / moradi2021.FOLDER / moradi2021.FILE).is_file():
        pytest.skip("needs the table of half-widths")
    return real_data


def test_they_are_in_ms_and_narrowest_in_pvalb_cells(folder):
    cells = add_half_width(load_cells("allen", data_dir=folder), data_dir=folder)
    widths = cells.X[HALF_WIDTH]
    assert widths.notna().mean() > 0.95
    assert widths.groupby(cells.y).median().idxmin() == "Pvalb+"
    assert widths.groupby(cells.y).median()["Pvalb+"] == pytest.approx(0.38, abs=0.02)
    assert moradi2021.FILE in cells.provenance["tables"]


def test_the_twin_has_none_and_other_tables_have_their_own():
    assert add_half_width(load_cells("twin")).X[HALF_WIDTH].isna().all()
    with pytest.raises(ValueError, match="to the Allen cells only"):
        add_half_width(load_cells("m1-twin"))


def test_a_changed_file_is_refused(tmp_path):
    path = tmp_path / moradi2021.FOLDER / moradi2021.FILE
    path.parent.mkdir()
    path.write_text("specimen_id,rheo_first_spike_hw\n1,0.001\n")
    with pytest.raises(ValueError, match="is not the published file"):
        moradi2021.half_widths(tmp_path)


def test_without_file_or_network_that_is_said(folder, tmp_path, monkeypatch):
    cells = load_cells("allen", data_dir=folder)
    with pytest.raises(ConnectionError):
        add_half_width(cells, data_dir=tmp_path, verbose=0)
    assert np.isfinite(cells.X["tau"]).all()
