"""The recorded cross-examination: complete, without single cells, and ready for JSON."""

import json
from functools import partial

import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from lspin import load_cells, trust
from lspin.evaluation import write_results


def small_forest(_, **settings):
    return RandomForestClassifier(10, **settings)


@pytest.fixture(scope="module")
def recorded():
    for library in ("shap", "captum"):
        pytest.importorskip(library, reason=f"needs {library}: see `make bench`")
    cells = load_cells("twin")
    cells = cells.select(cells.y.groupby(cells.y).head(20).index)
    models = {"one": trust.examined()[trust.FEW].set_params(n_members=1, n_steps=40)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust, "hold_out", partial(trust.hold_out, n_folds=1))  # five take a minute
        sealed = trust.sealed()
        short = {k: model.set_params(n_members=1, n_steps=40) for k, model in sealed.items()}
        patch.setattr(trust, "sealed", lambda: short)
        patch.setattr("lspin.leakage.RandomForestClassifier", small_forest)
        results = trust.evaluate_explanations(cells, models, per_class=1, n_draws=2, verbose=0)
    return cells, results


def test_every_question_has_a_table(recorded):
    cells, results = recorded
    tables = {name: pd.DataFrame(rows) for name, rows in results["tables"].items()}
    assert set(tables["faithfulness"]["order"]) >= {"effect of the gate", "SHAP", "random"}
    # A model this small and short may never name some class.
    named = set(tables["faithfulness"]["class"])
    assert {"all", "Glutamatergic"} <= named <= {"all", *cells.y.unique()}
    assert set(tables["leakage"]["model"]) == {"one", *trust.sealed()}
    for name, table in tables.items():
        assert "one" in set(table["model"]), name


def test_the_source_is_named_and_no_single_cell_is_recorded(recorded):
    cells, results = recorded
    assert "SYNTHETIC TWIN" in results["banner"]
    text = json.dumps(results)
    assert not any(str(cell) in text for cell in cells.X.index[cells.X.index < -999])
    assert "specimen_id" not in text and "NaN" not in text


def test_what_was_written_is_read(recorded, tmp_path):
    _, results = recorded
    write_results(results, tmp_path / "explanations.json")
    tables, about = trust.read_tables(tmp_path / "explanations.json")
    assert {**about, "tables": results["tables"]} == results
    for name, rows in results["tables"].items():
        pd.testing.assert_frame_equal(tables[name], pd.DataFrame(rows))
