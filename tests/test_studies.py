"""The recorded studies: the right cells, the right inputs, and their provenance."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from lspin import load_cells, load_spikes
from lspin.baselines import Contender
from lspin.data import COHORTS
from lspin.evaluation import read_results, write_results
from lspin.features import model_inputs
from lspin.studies import (
    N_COMPONENTS,
    STUDIES,
    evaluate,
    results_file,
    study,
    with_and_without_waveform,
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
    scores, about = read_results(tmp_path / "results.json")
    assert len(scores) == 2 * 2 * 2 * 5 and scores["accuracy"].between(0, 1).all()
    assert "SYNTHETIC" in about["banner"] and "200 mouse cells" in about["banner"]
    assert [table["cells"] for table in about["tables"].values()] == [200, 160]
    assert about["tables"]["one"]["source"] == "twin" and about["tables"]["one"]["provenance"]
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
    calibration = pd.DataFrame(about["calibration"])
    assert len(calibration) == 2 * 2 * 2
    logistic = scores[scores["model"] == "logistic"].groupby(["table", "repeat"])["ece"].mean()
    pooled = calibration[calibration["model"] == "logistic"].set_index(["table", "repeat"])["ece"]
    assert (pooled < logistic).all()


def test_no_cell_is_in_the_results(cells):
    results = evaluate(
        {"one": (cells, model_inputs(cells.X))}, models=quick_models, n_repeats=1, verbose=0
    )
    text = json.dumps(results)
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


def test_unknown_studies_and_models_are_named():
    with pytest.raises(ValueError, match="one of paper, allen, waveform, cohorts, got 'human'"):
        study("human")
    with pytest.raises(ValueError, match=r"No such models: \['SVM'\]; there are: LSPIN, "):
        study("paper", models=["SVM", "MLP"])


@pytest.mark.parametrize(
    ("what", "cells"),
    [
        ("paper", {"paper": 1382}),
        ("allen", {"allen": 1750}),
        ("waveform", {"features": 1452, "features and waveform": 1452}),
        ("cohorts", {"positive": 1750, "paper": 1612, "all": 1855}),
    ],
)
def test_every_study_is_of_the_recorded_cells(real_data, monkeypatch, what, cells):
    monkeypatch.setenv("LSPIN_DATA_DIR", str(real_data))
    monkeypatch.setattr("lspin.studies.contenders", lambda seed=0: quick_models(seed))
    monkeypatch.setattr("lspin.studies._FEW_MODELS", {what: ["guess"]})
    results = study(what, n_repeats=1, verbose=0)
    assert {name: table["cells"] for name, table in results["tables"].items()} == cells
    assert {row["model"] for row in results["scores"]} == {"guess"}
    assert results["study"] == STUDIES[what]
    for name, table in results["tables"].items():
        assert table["source"] in ("paper", "allen") and table["provenance"]["tables"]
        assert table["cohort"] == (name if what == "cohorts" else table["cohort"]) in COHORTS
    if what == "waveform":
        assert "spikes.npz" in results["tables"]["features and waveform"]["provenance"]["tables"]


def test_make_results_runs_every_study():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for what in STUDIES:
        assert f"$(EVALUATE) {what} lspin/studies/results/" in makefile


def test_recorded_results_are_found_by_name():
    scores, about = read_results(results_file("positive"))
    assert about["study"] == STUDIES["allen"] and "LSPIN" in set(scores["model"])
    with pytest.raises(ValueError, match=r"one of \['ablation', .*'waveform'\], got 'papers'"):
        results_file("papers")
