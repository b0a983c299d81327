"""Neurons whose own RNA says what they are: the right cells, labels, units and times."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from lspin.data import PATCHSEQ, SOURCES, fit_twin, load_cells
from lspin.data.patchseq import HALF_WIDTH, PATCHSEQ_FEATURES, driver_lines
from lspin.data.tables import RELEASED_FEATURES
from lspin.data.twin import read_stats
from lspin.features import FEATURES, ReleasedFeatures, feature_mapping, model_inputs

SUBCLASS_OF = {
    "Pvalb+": {"Pvalb"},
    "Sst+": {"Sst"},
    "Vip+": {"Vip"},
    "Htr3a+|Vip-": {"Lamp5", "Sncg"},
}


@pytest.fixture(scope="module")
def tables(real_data):
    for source in PATCHSEQ.values():
        if not source.has_tables(real_data):
            pytest.skip(f"needs {source.folder} in the data folder")
    return real_data


@pytest.fixture(scope="module")
def v1(tables):
    return load_cells("v1", data_dir=tables)


@pytest.fixture(scope="module")
def m1(tables):
    return load_cells("m1", data_dir=tables)


@pytest.fixture(scope="module")
def human(tables):
    return load_cells("human", data_dir=tables)


# ---------------------------------------------------------------- every source


@pytest.mark.parametrize("name", PATCHSEQ)
def test_a_description_is_whole(name):
    source = PATCHSEQ[name]
    assert name == source.name and {name, f"{name}-twin"} <= set(SOURCES)
    for url, digest in source.files.values():
        assert len(url.split("/")[5]) == 40 and len(digest) == 64  # commit and checksum
    ours = [m.ours for m in source.measurements]
    assert len(set(ours)) == len(ours) and set(ours) <= set(FEATURES)
    assert set(ours) | set(source.missing()) == set(PATCHSEQ_FEATURES)
    assert "doi 10." in source.citation and source.licence and source.protocol


@pytest.mark.parametrize("name", PATCHSEQ)
def test_every_column_of_theirs_is_mapped_or_said_to_have_no_counterpart(name, tables):
    source = PATCHSEQ[name]
    theirs, _ = source.read(tables / source.folder)
    used = {column for m in source.measurements for column in m.theirs}
    assert not used & set(source.without_counterpart)
    neither = {"ID", "rheobase_sweep_num", "thumbnail_sweep_num"}
    assert set(theirs) - neither == used | set(source.without_counterpart)


@pytest.mark.parametrize("name", PATCHSEQ)
def test_what_a_source_lacks_is_nan_and_said(name, tables):
    cells = load_cells(name, data_dir=tables)
    assert list(cells.X) == list(PATCHSEQ_FEATURES)
    assert cells.provenance["missing"] == list(cells.X.columns[cells.X.isna().all()])
    assert cells.provenance["citation"] == PATCHSEQ[name].citation
    assert np.isfinite(model_inputs().fit_transform(cells.X[list(RELEASED_FEATURES)])).all(
        axis=None
    )


def test_the_table_of_features_says_all_that_is_done():
    table = feature_mapping()
    for name, source in PATCHSEQ.items():
        mine = table[table["source"] == name]
        measured = mine[(mine["feature"] != "") & (mine["formula"] != "")]
        assert measured["feature"].tolist() == [m.ours for m in source.measurements]
        assert set(mine["feature"]) - {""} == set(PATCHSEQ_FEATURES)
        assert (mine["feature"] == "").sum() == len(source.without_counterpart)


def test_a_resistance_below_zero_is_none():
    source = PATCHSEQ["human"]
    columns = {column: [1.0, 1.0] for m in source.measurements for column in m.theirs}
    X = source.convert(pd.DataFrame({**columns, "input_resistance": [-5.0, 150.0], "tau": 0.02}))
    assert X["ri"].isna().tolist() == [True, False]
    assert X["tau"].tolist() == [20.0, 20.0]  # seconds become ms
    assert X["peak_v_ramp"].tolist() == [2.0, 2.0]  # threshold and height


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"labels": "dendrite"},
            r"labels of source 'v1' must be one of \('transcriptome', 'cre'\)",
        ),
        ({"source": "human", "labels": "cre"}, r"of source 'human' must be one of \('transcr"),
        ({"cohort": "positive"}, "no cohorts"),
        ({"species": "human"}, "mouse cells only"),
        ({"source": "human", "species": "mouse"}, "human cells only"),
        ({"source": "twin", "labels": "transcriptome"}, "labels of source 'twin'"),
    ],
)
def test_what_the_source_lacks_is_said(settings, message):
    with pytest.raises(ValueError, match=message):
        load_cells(**{"source": "v1", **settings})


@pytest.mark.parametrize("name", PATCHSEQ)
def test_without_files_or_network_it_is_no_twin_unless_asked_for(name):
    with pytest.raises(ConnectionError, match="cannot be reached"):
        load_cells(name, verbose=0)
    with pytest.warns(UserWarning, match=f"'{name}' are not.*SYNTHETIC TWIN"):
        cells = load_cells(name, or_twin=True, verbose=0)
    assert cells.source == f"{name}-twin"


def test_a_changed_file_is_refused(tables, tmp_path):
    source = PATCHSEQ["v1"]
    folder = tmp_path / source.folder
    folder.mkdir()
    for name in source.files:
        (folder / name).write_bytes((tables / source.folder / name).read_bytes())
    with (folder / "efeature.csv").open("a") as file:
        file.write("\n")
    with pytest.raises(ValueError, match=r"efeature\.csv: is not the published file"):
        load_cells("v1", data_dir=tmp_path)


def test_a_wild_type_has_no_line():
    assert driver_lines("wt/wt") == ""
    assert driver_lines("Sst-IRES-Cre/wt; Ai9/wt") == "Sst-IRES-Cre"


# ---------------------------------------------------------------- visual cortex


def test_labels_are_the_first_word_of_the_t_type(v1):
    assert v1.labels == "transcriptome" and v1.classes == PATCHSEQ["v1"].subclasses
    assert (v1.metadata["t_type"].str.split().str[0] == v1.y).all()
    assert v1.counts().to_dict() == {
        **{"Lamp5": 480, "Pvalb": 900, "Sncg": 235, "Sst": 1834, "Vip": 799}
    }
    assert v1.donors.nunique() == 983
    assert len(v1) + v1.provenance["dropped"][0]["cells"] == 4435
    assert "4248 cells, labelled by their own RNA" in v1.banner()
    assert v1.metadata["t_type_probability"].median() > 0.9


def test_serpinf1_is_neither_vip_nor_sncg(tables):
    _, every = PATCHSEQ["v1"].read_all(tables)
    assert (every["subclass"] == "Serpinf1").sum() == 47


def test_a_cre_line_is_another_label_for_the_same_cells(v1, tables):
    cre = load_cells("v1", labels="cre", data_dir=tables)
    assert cre.labels == "cre" and "labelled by Cre line" in cre.banner()
    assert (cre.metadata["reporter_status"] == "positive").all()
    both = cre.X.index.intersection(v1.X.index)
    agrees = [v1.y[cell] in SUBCLASS_OF.get(cre.y[cell], ()) for cell in both]
    assert 0.78 < np.mean(agrees) < 0.85  # a Cre line is a doubtful label
    crossed = cre.metadata["line_name"] == "Chrna2-Cre_OE25|Sst-IRES-FlpO"
    assert crossed.sum() > 40 and (cre.y[crossed] == "Sst+").all()


@pytest.mark.parametrize("name", PATCHSEQ)
def test_no_cell_and_no_donor_is_in_the_allen_table(name, tables):
    cells = load_cells(name, data_dir=tables)
    for species in ("mouse", "human"):
        allen = load_cells("allen", "all", species, data_dir=tables)
        assert not set(cells.X.index) & set(allen.X.index)
        assert not set(cells.donors) & set(allen.donors)


def test_features_are_in_the_names_units_and_time_of_the_allen_table(v1, tables):
    allen = load_cells("allen", data_dir=tables)
    inhibitory = allen.select((allen.y != "Glutamatergic").to_numpy())
    for name in set(RELEASED_FEATURES) - {"input_resistance_mohm"}:
        ours, theirs = inhibitory.X[name].dropna(), v1.X[name].dropna()
        if len(theirs) > 100:
            low, high = ours.quantile([0.05, 0.95])
            assert low < theirs.median() < high, name
    engineered = ReleasedFeatures().fit_transform(v1.X)
    assert engineered["delay_ms_long_square"].min() > -1
    assert engineered["rise_ms_short_square"].median() < 1


# ---------------------------------------------------------------- motor cortex, human cortex


def test_m1_holds_two_temperatures(m1):
    warm = m1.select(m1.metadata["temperature_c"] == 34)
    cold = m1.select(m1.metadata["temperature_c"] == 25)
    assert (len(cold), cold.donors.nunique()) == (1226, 264)
    assert (len(warm), warm.donors.nunique()) == (176, 8)
    assert not set(cold.donors) & set(warm.donors)
    assert cold.counts().to_dict() == {
        **{"Glutamatergic": 409, "Lamp5": 91, "Pvalb": 289},
        **{"Sncg": 13, "Sst": 271, "Vip": 153},
    }
    width = {
        (name, t): cells.X.loc[cells.y == name, HALF_WIDTH].median()
        for name in ("Pvalb", "Glutamatergic")
        for t, cells in ((25, cold), (34, warm))
    }
    assert width == pytest.approx(
        {
            **{("Pvalb", 25): 0.60, ("Pvalb", 34): 0.44},
            **{("Glutamatergic", 25): 1.56, ("Glutamatergic", 34): 0.84},
        },
        abs=0.02,
    )


def test_m1_is_in_our_units(m1, tables):
    allen = load_cells("allen", data_dir=tables)
    warm = m1.select(m1.metadata["temperature_c"] == 34)
    for name in PATCHSEQ["m1"].measurements:
        if name.ours in RELEASED_FEATURES:
            low, high = allen.X[name.ours].quantile([0.02, 0.98])
            assert low < warm.X[name.ours].median() < high, name.ours
    delay = ReleasedFeatures().fit_transform(m1.X)["delay_ms_long_square"]
    assert delay.median() == pytest.approx(90, abs=40)


def test_a_cre_line_of_m1_has_a_class(tables):
    cre = load_cells("m1", labels="cre", data_dir=tables)
    counts = cre.counts()
    assert counts[counts > 0].to_dict() == {"Pvalb+": 211, "Sst+": 437, "Vip+": 160}


def test_human_cells_are_named_as_mouse_cells_are(human, tables):
    assert human.species == "human" and human.labels == "transcriptome"
    assert human.counts().to_dict() == {
        **{"Lamp5/Pax6/other": 67, "Pvalb": 370, "Sst": 156, "Vip": 111}
    }
    assert human.donors.nunique() == 109
    assert set(human.metadata["condition"]) == {"acute", "culture"}
    allen = load_cells("allen", species="human", data_dir=tables)
    for m in PATCHSEQ["human"].measurements:
        if m.ours in RELEASED_FEATURES:
            low, high = allen.X[m.ours].quantile([0.01, 0.99])
            assert low < human.X[m.ours].median() < high, m.ours


# ---------------------------------------------------------------- twins


@pytest.mark.parametrize("name", PATCHSEQ)
def test_a_twin_is_named_and_as_large_as_the_recorded_table(name):
    cells = load_cells(f"{name}-twin")
    assert cells.is_synthetic and (cells.X.index < 0).all()
    assert "SYNTHETIC TWIN - not recordings" in cells.banner()
    assert cells.provenance["fitted_to"] == {
        file: digest for file, (_, digest) in PATCHSEQ[name].files.items()
    }
    assert cells.metadata["t_type"].str.contains("synthetic").all()
    lines = set(cells.metadata["line_name"]) - {""}
    assert all(line.startswith("synthetic ") for line in lines)
    assert len(cells) == {"v1": 4248, "m1": 1402, "human": 704}[name]
    again, other = load_cells(f"{name}-twin"), load_cells(f"{name}-twin", random_state=1)
    pd.testing.assert_frame_equal(cells.X, again.X)
    assert not cells.X.equals(other.X)


def test_all_chapters_on_twins(monkeypatch, tables):
    monkeypatch.setenv("LSPIN_SOURCE", "twin")
    assert load_cells().source == "twin"
    assert load_cells("v1", or_twin=True, data_dir=tables).source == "v1-twin"
    assert load_cells("v1", data_dir=tables).source == "v1"  # named, and nothing else will do


def line_table(cells, cre):
    """Tell in which share of a line's reporter-positive cells the RNA agrees."""
    both = cre.X.index.intersection(cells.X.index)
    agrees = pd.Series([cells.y[c] in SUBCLASS_OF.get(cre.y[c], ()) for c in both], both)
    lines = cre.metadata.loc[both, "line_name"].str.removeprefix("synthetic ")
    return agrees.groupby(lines).agg(["mean", "size"])


def test_the_twins_cre_lines_are_as_doubtful_as_the_recorded_ones(v1, tables):
    twin, cre_twin = load_cells("v1-twin"), load_cells("v1-twin", labels="cre")
    assert (cre_twin.X.loc[twin.X.index.intersection(cre_twin.X.index)].notna().any(axis=1)).all()
    recorded = line_table(v1, load_cells("v1", labels="cre", data_dir=tables))
    pd.testing.assert_frame_equal(line_table(twin, cre_twin), recorded)


def test_a_twins_donor_has_one_line_and_temperature():
    for name, column in (("v1", "line_name"), ("m1", "temperature_c")):
        cells = load_cells(f"{name}-twin")
        assert (cells.metadata[column].groupby(cells.donors).nunique() == 1).all()
        assert 1 < cells.donors.value_counts().mean() < 6


@pytest.mark.parametrize("name", PATCHSEQ)
def test_a_twins_committed_statistics_are_those_of_the_tables(name, tables):
    def numbers(node):
        if isinstance(node, dict):
            return [x for value in node.values() for x in numbers(value)]
        if isinstance(node, list | tuple):
            return [x for value in node for x in numbers(value)]
        return [node]

    fitted = numbers(fit_twin.fit_patchseq(PATCHSEQ[name], tables))
    committed = numbers(read_stats(f"twin_{name}.json"))
    assert len(fitted) == len(committed)
    for a, b in zip(fitted, committed, strict=True):
        assert a == b or a == pytest.approx(b, abs=0.02, rel=0.002)


@pytest.mark.parametrize("name", PATCHSEQ)
def test_a_model_trained_on_the_twin_knows_recorded_cells(name, tables):
    cells, twin = load_cells(name, data_dir=tables), load_cells(f"{name}-twin")
    some = np.random.default_rng(0).permutation(len(twin))[:1500]
    model = make_pipeline(model_inputs(), SVC(C=3, gamma=0.02, class_weight="balanced"))
    model.fit(twin.X.iloc[some], twin.y.iloc[some])
    score = balanced_accuracy_score(cells.y, model.predict(cells.X))
    assert score > {"v1": 0.8, "m1": 0.75, "human": 0.6}[name]


def test_no_twin_cell_is_a_recorded_one(m1):
    columns = [m.ours for m in PATCHSEQ["m1"].measurements]
    scale = m1.X[columns].std()
    recorded, twin = m1.X[columns] / scale, load_cells("m1-twin").X[columns] / scale
    nearest = [np.abs(recorded - row).max(axis=1).min() for row in twin[:200].to_numpy()]
    assert min(nearest) > 0.02
