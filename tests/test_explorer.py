"""The explorers show what the model did: its own gates and probabilities, in the cells' units."""

import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier, load_cells
from lspin.explorer import (
    explain_cells,
    gated_probabilities,
    live_explorer,
    open_gates_of,
    static_explorer,
)
from lspin.features import model_inputs


@pytest.fixture(scope="module")
def cells():
    # The twin never reads a folder, so this does not depend on the machine.
    return load_cells("twin")


@pytest.fixture(scope="module")
def pipeline(cells):
    model = LSPINClassifier(lam=0.5, n_members=3, random_state=0)
    return make_pipeline(model_inputs(cells.X), model).fit(cells.X[:900], cells.y[:900])


@pytest.fixture(scope="module")
def shown(cells):
    return cells.select(cells.X.index[900:980])


@pytest.fixture(scope="module")
def inputs(pipeline, shown):
    return pipeline[:-1].transform(shown.X)


@pytest.fixture(scope="module")
def tables(pipeline, shown):
    return explain_cells(pipeline, shown.X, shown.y)


def test_all_gates_left_alone_is_the_model_itself(pipeline, inputs):
    model, everything = pipeline[-1], np.ones(inputs.shape[1], dtype=bool)
    np.testing.assert_allclose(
        gated_probabilities(model, inputs, everything), model.predict_proba(inputs), atol=1e-9
    )


def test_with_all_gates_closed_every_cell_looks_the_same(pipeline, inputs):
    nothing = gated_probabilities(pipeline[-1], inputs, np.zeros(inputs.shape, dtype=bool))
    np.testing.assert_allclose(nothing, np.broadcast_to(nothing[0], nothing.shape), atol=1e-9)


def test_predictions_are_those_of_the_pipeline(pipeline, shown, tables):
    predictions, _ = tables
    pd.testing.assert_series_equal(predictions["class"], shown.y)
    np.testing.assert_array_equal(predictions["predicted"], pipeline.predict(shown.X))
    np.testing.assert_allclose(
        predictions[list(pipeline.classes_)], pipeline.predict_proba(shown.X), atol=1e-9
    )


def test_gates_are_those_of_the_ensemble(pipeline, inputs, tables):
    _, gates = tables
    members = pipeline[-1].member_gates(inputs)
    cell, feature = inputs.index[7], inputs.columns[11]
    row = gates.loc[(cell, feature)]
    assert row["gate"] == pytest.approx(members[:, 7, 11].mean())
    assert row["members"] == (members[:, 7, 11] > 0).sum()
    assert len(gates) == inputs.size


def test_effect_is_the_probability_lost_by_closing_one_gate(pipeline, inputs, tables):
    predictions, gates = tables
    model = pipeline[-1]
    cell = inputs.index[7]
    strongest = gates.loc[cell, "effect"].abs().idxmax()
    j = inputs.columns.get_loc(strongest)
    gated = inputs.to_numpy()[7] * model.member_gates(inputs)[:, 7]
    gated[:, j] = 0
    with torch.no_grad():
        logits = model.network_.predict_gated(torch.tensor(gated[:, None]))
    by_hand = logits.softmax(dim=2).mean(dim=0).numpy()[0]
    called = predictions.loc[cell, "predicted"]
    lost = predictions.loc[cell, called] - by_hand[list(model.classes_).index(called)]
    assert gates.loc[(cell, strongest), "effect"] == pytest.approx(lost)
    assert abs(lost) > 0.01


def test_a_closed_gate_has_no_effect(tables):
    _, gates = tables
    closed = gates[gates["gate"] == 0]
    assert 0 < len(closed) < len(gates)
    assert closed["effect"].abs().max() < 1e-9


def test_values_are_as_recorded(shown, tables):
    values = tables[1]["value"].unstack()
    # tau enters the model as a logarithm, the rise time as a difference.
    pd.testing.assert_series_equal(values["tau"], shown.X["tau"])
    rise_ms = 1000 * (shown.X["peak_t_ramp"] - shown.X["threshold_t_ramp"])
    np.testing.assert_allclose(values["rise_ms_ramp"], rise_ms)
    assert shown.X["adaptation"].isna().any(), "the example needs a missing value"
    np.testing.assert_array_equal(values["adaptation"].isna(), shown.X["adaptation"].isna())


def test_a_table_without_released_times_is_explained_too(cells):
    X = cells.X[["tau", "ri", "vrest", "sag"]]
    pipeline = make_pipeline(model_inputs(X), LSPINClassifier(n_members=2, random_state=0))
    pipeline.fit(X[:200], cells.y[:200])
    _, gates = explain_cells(pipeline, X[200:220], cells.y[200:220])
    pd.testing.assert_frame_equal(
        gates["value"].unstack()[X.columns], X[200:220], check_names=False
    )


def test_open_gates_of_a_cell(tables):
    _, gates = tables
    cell = gates.index[0][0]
    opened = open_gates_of(gates, cell)
    assert len(opened) == (gates.loc[cell, "gate"] > 0).sum()
    assert opened["effect"].is_monotonic_decreasing


def test_a_model_without_gates_is_refused(cells):
    other = make_pipeline(model_inputs(cells.X), LogisticRegression(max_iter=5))
    with pytest.raises(ValueError, match="ends in LogisticRegression"):
        explain_cells(other, cells.X, cells.y)


@pytest.fixture(scope="module")
def page(tables):
    predictions, gates = tables
    html = static_explorer(
        predictions,
        gates,
        x="tau",
        y="rise_ms_ramp",
        selected=predictions.index[3],
        source="Source: SYNTHETIC TWIN",
        n_gates=5,
    ).data
    # What stands between the library and the options is the chart, as JSON.
    chart = re.search(r"vegaEmbed\(document\.currentScript\.\w+, (\{.*\}), \{", html, re.S)
    return html, json.loads(chart.group(1))


def test_the_static_page_loads_nothing(page):
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    parser.feed(page[0])
    assert tags == [("style", {}), ("div", {"class": "gate-explorer"}), ("script", {})]


def test_the_static_page_keeps_the_library_out_of_the_page_scope(page):
    # Sphinx's own scripts declare `_`, and two declarations of one name stop both.
    html, _ = page
    script = html[html.index("<script>") + len("<script>") :]
    assert script.startswith("(() => {")


def test_the_static_chart_holds_each_cells_strongest_open_gates(page, tables):
    _, chart = page
    predictions, gates = tables
    rows = next(
        pd.DataFrame(data) for data in chart["datasets"].values() if "measurement" in data[0]
    )
    assert set(rows["cell"]) == set(predictions.index.astype(str))
    for cell, mine in rows.groupby("cell"):
        opened = open_gates_of(gates, int(cell))
        expected = opened["effect"].abs().nlargest(5)
        np.testing.assert_allclose(sorted(mine["effect"].abs()), sorted(expected), atol=1e-4)
        assert mine["measurement"].is_unique  # two with one name would share a bar


def test_the_static_chart_is_complete_before_any_click(page, tables):
    _, chart = page
    (pick,) = chart["params"]
    assert pick["value"] == [{"cell": str(tables[0].index[3])}]
    # By keyboard the cells are reached through the list, so all must be in it.
    assert set(pick["bind"]["options"]) == set(tables[0].index.astype(str))
    assert "SYNTHETIC TWIN" in chart["description"]
    assert "SYNTHETIC TWIN" in chart["title"]["subtitle"]


@pytest.mark.parametrize(
    ("change", "message"), [({"selected": -5}, "selected=-5"), ({"x": "colour"}, "'colour'")]
)
def test_the_static_explorer_names_what_it_cannot_show(tables, change, message):
    arguments = {"x": "tau", "y": "sag", "selected": tables[0].index[0], "source": "", **change}
    with pytest.raises(ValueError, match=message):
        static_explorer(*tables, **arguments)


@pytest.fixture
def live(pipeline, shown):
    box = live_explorer(pipeline, shown.X, shown.y)
    kind, cell, threshold = box.children[0].children
    return kind, cell, threshold, box.children[1]


def test_the_live_explorer_lists_the_cells_of_the_class(live, shown):
    kind, cell, _, view = live
    assert kind.value == "Glutamatergic"
    before = view.value
    kind.value = "Vip+"
    assert {i for _, i in cell.options} == set(shown.y.index[shown.y == "Vip+"])
    assert "True class Vip+" in view.value
    assert view.value != before


def test_the_live_explorer_closes_gates_and_predicts_again(live, pipeline, inputs, tables):
    _, cell, threshold, view = live
    gates = tables[1].loc[cell.value, "gate"].reindex(inputs.columns)
    for value in (0.5, 1.0):
        started = time.perf_counter()
        threshold.value = value
        assert time.perf_counter() - started < 1
        left = ((gates > 0) & (gates >= value)).sum()
        assert f"{left} of {(gates > 0).sum()} open gates left" in view.value
        keep = (gates >= value).to_numpy()
        expected = gated_probabilities(pipeline[-1], inputs.loc[[cell.value]], keep)[0]
        for share in expected:
            assert f"<td>{share:.0%}</td>" in view.value


def test_the_live_explorer_can_show_every_cell(live, shown):
    kind, cell, threshold, view = live
    threshold.value = 1.0  # no gate left for many of them
    for name in shown.y.unique():
        kind.value = name
        for _, one in cell.options:
            cell.value = one
            assert "nan" not in view.value
