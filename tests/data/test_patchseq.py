"""Neurons whose own RNA says what they are: the right cells, labels, units and times."""

import numpy as np
import pytest

from lspin.data import load_cells, patchseq
from lspin.data.tables import RELEASED_FEATURES
from lspin.features import ReleasedFeatures, model_inputs


@pytest.fixture(scope="module")
def tables(real_data):
    if not patchseq.has_tables(real_data):
        pytest.skip(f"needs {patchseq.FOLDER} in the data folder")
    return real_data


@pytest.fixture(scope="module")
def cells(tables):
    return load_cells("v1", data_dir=tables)


def test_labels_are_the_first_word_of_the_t_type(cells):
    assert cells.labels == "transcriptome" and cells.classes == patchseq.SUBCLASSES
    assert (cells.metadata["t_type"].str.split().str[0] == cells.y).all()
    assert cells.counts().to_dict() == {
        **{"Lamp5": 480, "Pvalb": 900, "Sncg": 235, "Sst": 1834, "Vip": 799}
    }
    assert len(cells) + cells.provenance["dropped"][0]["cells"] == 4435
    assert "4248 cells, labelled by their own RNA" in cells.banner()
    assert cells.metadata["t_type_probability"].median() > 0.9


def test_a_cre_line_is_another_label_for_the_same_cells(cells, tables):
    cre = load_cells("v1", labels="cre", data_dir=tables)
    assert cre.labels == "cre" and "labelled by Cre line" in cre.banner()
    assert (cre.metadata["reporter_status"] == "positive").all()
    both = cre.X.index.intersection(cells.X.index)
    subclass_of = {"Pvalb+": {"Pvalb"}, "Sst+": {"Sst"}, "Vip+": {"Vip"}}
    subclass_of["Htr3a+|Vip-"] = {"Lamp5", "Sncg"}
    agrees = [cells.y[cell] in subclass_of.get(cre.y[cell], ()) for cell in both]
    assert 0.78 < np.mean(agrees) < 0.85  # a Cre line is a doubtful label
    crossed = cre.metadata["line_name"] == "Chrna2-Cre_OE25|Sst-IRES-FlpO"
    assert crossed.sum() > 40 and (cre.y[crossed] == "Sst+").all()


def test_no_cell_and_no_donor_is_in_the_allen_table(cells, real_data):
    allen = load_cells("allen", "all", data_dir=real_data)
    assert not set(cells.X.index) & set(allen.X.index)
    assert not set(cells.donors) & set(allen.donors)


def test_features_are_in_the_names_units_and_time_of_the_allen_table(cells, real_data):
    allen = load_cells("allen", data_dir=real_data)
    inhibitory = allen.select((allen.y != "Glutamatergic").to_numpy())
    assert list(cells.X) == list(RELEASED_FEATURES)
    missing = {"input_resistance_mohm"}
    assert set(cells.X.columns[cells.X.isna().all()]) >= missing
    for name in set(RELEASED_FEATURES) - missing:
        ours, theirs = inhibitory.X[name].dropna(), cells.X[name].dropna()
        if len(theirs) > 100:
            low, high = ours.quantile([0.05, 0.95])
            assert low < theirs.median() < high, name
    engineered = ReleasedFeatures().fit_transform(cells.X)
    assert engineered["delay_ms_long_square"].min() > -1
    assert engineered["rise_ms_short_square"].median() < 1
    assert np.isfinite(model_inputs().fit_transform(cells.X).to_numpy()).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"labels": "dendrite"},
            r"labels of source 'v1' must be one of \('transcriptome', 'cre'\)",
        ),
        ({"cohort": "positive"}, "no cohorts"),
        ({"species": "human"}, "labels|mouse cells only"),
        ({"source": "twin", "labels": "transcriptome"}, "labels of source 'twin'"),
    ],
)
def test_what_the_source_lacks_is_said(settings, message):
    with pytest.raises(ValueError, match=message):
        load_cells(**{"source": "v1", **settings})


def test_without_files_or_network_it_is_no_twin():
    with pytest.raises(ConnectionError, match="cannot be reached"):
        load_cells("v1", verbose=0)


def test_a_changed_file_is_refused(tables, tmp_path):
    folder = tmp_path / patchseq.FOLDER
    folder.mkdir()
    for name in patchseq.FILES:
        (folder / name).write_bytes((tables / patchseq.FOLDER / name).read_bytes())
    with (folder / patchseq.FEATURES_FILE).open("a") as file:
        file.write("\n")
    with pytest.raises(ValueError, match=r"efeature\.csv: is not the published file"):
        load_cells("v1", data_dir=tmp_path)
