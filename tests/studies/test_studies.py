"""The recorded studies: the right cells, the right inputs, and their provenance."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from lspin import load_cells, load_spikes
from lspin.data import COHORTS
from lspin.evaluate import Contender, contenders
from lspin.features import model_inputs
from lspin.studies import (
    N_COMPONENTS,
    STUDIES,
    check_study,
    cohort_tables,
    evaluate,
    paper_tables,
    read_results,
    waveform_tables,
    with_and_without_waveform,
    write_results,
)


def quick_models(seed=0):
    """Stand in for the contenders, which take long."""
    return {
        "guess": Contender(
            DummyClassifier(strategy="stratified", random_state=seed), ({"constant": None},), ""
        ),
        "logistic": Contender(LogisticRegression(max_iter=500), ({"C": 0.01}, {"C": 0.3}), ""),
    }


@pytest.fixture(scope="module")
def cells():
    twin = load_cells("twin", verbose=0)
    return twin.select(twin.y.groupby(twin.y).sample(40, random_state=0).index)


def test_results_say_where_they_come_from(cells, tmp_path):
    tables = {"one": (cells, model_inputs(cells.X))}
    tables["other"] = (cells.select(cells.y != "Vip+"), model_inputs(cells.X))
    results = evaluate(tables, models=quick_models, n_repeats=2, verbose=0)
    write_results(results, tmp_path / "results.json")
    found, about = read_results(tmp_path / "results.json")
    scores = found["scores"]
    assert len(scores) == 2 * 2 * 2 * 5 and scores["accuracy"].between(0, 1).all()
    assert "SYNTHETIC" in about["banner"] and "200 mouse cells" in about["banner"]
    assert [table["cells"] for table in about["cells"].values()] == [200, 160]
    assert about["cells"]["one"]["source"] == "twin" and about["cells"]["one"]["provenance"]
    assert about["versions"]["torch"] and about["seeds"] == [0, 1]
    assert about["search_spaces"]["logistic"] == ["C=0.01", "C=0.3"]
    assert about["compute_time_s"] > 0 and about["wall_time_s"] > 0
    # The class that the second table lacks has a recall in the first only.
    recall = scores.groupby("table")["recall_Vip+"]
    assert recall.count().to_dict() == {"one": 20, "other": 0}
    # Other folds and other seeds in every repeat, and calibration of all cells together.
    guesses = scores[(scores["model"] == "guess") & (scores["table"] == "one")]
    repeats = guesses.groupby("repeat")["log_loss"].apply(list)
    assert repeats[0] != repeats[1]
    calibration = found["calibration"]
    assert len(calibration) == 2 * 2 * 2
    logistic = scores[scores["model"] == "logistic"].groupby(["table", "repeat"])["ece"].mean()
    pooled = calibration[calibration["model"] == "logistic"].set_index(["table", "repeat"])["ece"]
    assert (pooled < logistic).all()


def test_no_cell_is_in_the_results(cells, tmp_path):
    results = evaluate(
        {"one": (cells, model_inputs(cells.X))}, models=quick_models, n_repeats=1, verbose=0
    )
    write_results(results, tmp_path / "results.json")
    text = (tmp_path / "results.json").read_text()
    assert not [cell for cell in cells.X.index if str(cell) in text]


def test_the_waveform_is_compressed_on_training_cells(cells):
    spikes = load_spikes("twin", verbose=0)
    tables = with_and_without_waveform(cells, spikes)
    (plain, plain_inputs), (both, both_inputs) = tables.values()
    pd.testing.assert_frame_equal(both.X[plain.X.columns], plain.X)
    assert both.y.equals(plain.y) and both.X.shape[1] == plain.X.shape[1] + 150
    half = np.arange(len(both)) % 2 == 0
    seen = both_inputs.fit(both.X[half]).transform(both.X)
    pd.testing.assert_frame_equal(
        seen.iloc[:, :-N_COMPONENTS], plain_inputs.fit(plain.X[half]).transform(plain.X)
    )
    waveforms = spikes.waveform_mv.loc[both.X.index].to_numpy()
    components = PCA(N_COMPONENTS, svd_solver="full").fit(waveforms[half])
    scores = components.transform(waveforms)
    scores /= scores[half].std(axis=0)
    np.testing.assert_allclose(seen.iloc[:, -N_COMPONENTS:], scores, atol=1e-8)
    assert {"features", "features and waveform"} == set(tables)


def test_cells_without_a_spike_take_part_in_neither_table(cells):
    spikes = load_spikes("twin", verbose=0)
    some = spikes.waveform_mv.index.intersection(cells.X.index)[::3]
    fewer = type(spikes)(
        spikes.waveform_mv.loc[some],
        spikes.y.loc[some],
        spikes.source,
        spikes.species,
        spikes.features.loc[some],
        spikes.provenance,
    )
    for table, _ in with_and_without_waveform(cells, fewer).values():
        assert set(table.X.index) == set(some)


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"name": "human"}, "one of paper, positive, .*, got 'human'"),
        ({"name": "paper", "models": ["SVM", "MLP"]}, r"no models \['SVM'\], only LSPIN, "),
        ({"name": "paper", "n_repeats": 0}, "at least one repeat, got 0"),
        ({"name": "synthetic", "models": ["LSPIN"]}, "synthetic has no models to choose from"),
        ({"name": "explanations", "n_repeats": 2}, "explanations has no repeats"),
    ],
)
def test_what_a_study_cannot_do_is_refused_before_it_runs(study, message):
    with pytest.raises(ValueError, match=message):
        check_study(**study)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr("lspin.studies.registry.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="explanations needs shap and captum"):
        check_study("explanations")
    with pytest.raises(ImportError, match="paper needs tabm; .* `make results`"):
        check_study("paper", models=["TabM", "LSPIN"])
    assert check_study("paper", models=["LSPIN"])


def test_the_registry_names_the_contenders():
    assert set(STUDIES["paper"].models) == set(contenders())


@pytest.mark.parametrize(
    ("tables_of", "cells"),
    [
        (paper_tables, {"paper": 1382}),
        (lambda: cohort_tables("positive"), {"positive": 1750}),
        (waveform_tables, {"features": 1452, "features and waveform": 1452}),
        (cohort_tables, {"positive": 1750, "paper": 1612, "all": 1855}),
    ],
)
def test_every_study_is_of_the_recorded_cells(real_data, monkeypatch, tables_of, cells):
    monkeypatch.setenv("LSPIN_DATA_DIR", str(real_data))
    tables = tables_of()
    assert {name: len(table) for name, (table, _) in tables.items()} == cells
    for name, (table, inputs) in tables.items():
        assert table.source in ("paper", "allen") and table.provenance["tables"]
        assert table.cohort == (name if name in COHORTS else table.cohort)
        assert np.isfinite(inputs.fit_transform(table.X).to_numpy()).all()
        assert ("spikes.npz" in table.provenance["tables"]) == (name == "features and waveform")
