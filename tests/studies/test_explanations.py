"""The recorded cross-examination: complete, without single cells, and ready for JSON."""

import sys
from functools import partial

import pandas as pd
import pytest
from joblib import Memory
from sklearn.ensemble import RandomForestClassifier

from lspin import load_cells
from lspin.studies import explanations, read_results, write_results

pytestmark = pytest.mark.usefixtures("few_mixtures")


def small_forest(_, **settings):
    return RandomForestClassifier(10, **settings)


@pytest.fixture(scope="module")
def recorded():
    for library in ("shap", "captum"):
        pytest.importorskip(library, reason=f"needs {library}: see `make bench`")
    cells = load_cells("twin")
    cells = cells.select(cells.y.groupby(cells.y).head(20).index)
    models = {"one": explanations.examined()["5 gates"].set_params(n_members=1, n_steps=40)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explanations, "hold_out", partial(explanations.hold_out, n_folds=1))
        sealed = explanations.sealed()
        short = {k: model.set_params(n_members=1, n_steps=40) for k, model in sealed.items()}
        patch.setattr(explanations, "sealed", lambda: short)
        # By its name the function leakage would be found, not its module.
        module = sys.modules["lspin.explain.leakage"]
        patch.setattr(module, "RandomForestClassifier", small_forest)
        results = explanations.evaluate_explanations(
            cells, models, per_class=1, n_draws=2, verbose=0
        )
    return cells, results


def test_every_question_has_a_table(recorded):
    cells, results = recorded
    tables = results["tables"]
    assert set(tables["faithfulness"]["order"]) >= {"effect of the gate", "SHAP", "random"}
    # A model this small and short may never name some class.
    named = set(tables["faithfulness"]["class"])
    assert {"all", "Glutamatergic"} <= named <= {"all", *cells.y.unique()}
    assert set(tables["leakage"]["model"]) == {"one", *explanations.sealed()}
    for name, table in tables.items():
        assert "one" in set(table["model"]), name


def test_the_source_is_named_and_no_single_cell_is_recorded(recorded, tmp_path):
    cells, results = recorded
    assert "SYNTHETIC TWIN" in results["banner"]
    path = tmp_path / "explanations.json"
    write_results(results, path)
    assert not any(str(cell) in path.read_text() for cell in cells.X.index[cells.X.index < -999])
    assert "specimen_id" not in path.read_text() and "NaN" not in path.read_text()
    tables, _ = read_results(path)
    for name, table in results["tables"].items():
        pd.testing.assert_frame_equal(tables[name], table, atol=1e-6, check_dtype=False)


def test_a_stopped_run_asks_no_model_twice(tmp_path, monkeypatch):
    """Of three models and two sealed ones, those that were finished are not asked again."""
    asked = []

    def ask(name, answer):
        def task(cells, model, *_):
            if repr(model) == stop_at:
                raise KeyboardInterrupt
            asked.append((name, repr(model)))
            return answer

        monkeypatch.setattr(explanations, name, task)

    table = pd.DataFrame({"auc": [0.5]})
    ask("_cross_examine", {"leakage": table})
    ask("_leakage", table)
    monkeypatch.setattr(explanations, "versions", lambda *_: {})
    memory = Memory(tmp_path / "searches", verbose=0)
    models = [*explanations.examined().values(), *explanations.sealed().values()]
    cells = load_cells("twin")
    for stop_at in [repr(models[1]), repr(models[4]), None]:
        if stop_at is None:
            results = explanations.evaluate_explanations(cells, memory=memory, verbose=0)
        else:
            with pytest.raises(KeyboardInterrupt):
                explanations.evaluate_explanations(cells, memory=memory, verbose=0)
    assert [model for _, model in asked] == [repr(model) for model in models]
    assert len(results["tables"]["leakage"]) == 5
