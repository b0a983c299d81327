"""The explorers show what the model did: its own gates and probabilities, in the cells' units."""

import json
import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier, load_cells
from lspin.explain import explain_cells, gated_probabilities, open_gates_of
from lspin.features import model_inputs
from lspin.show.explorer import live_explorer, static_explorer

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


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


def test_the_live_explorer_closes_gates_and_predicts_again(
    live, pipeline, inputs, tables, monkeypatch
):
    predicted = []

    def count(model, rows, keep):
        predicted.append(len(rows))
        return gated_probabilities(model, rows, keep)

    monkeypatch.setattr("lspin.show.explorer.gated_probabilities", count)
    _, cell, threshold, view = live
    gates = tables[1].loc[cell.value, "gate"].reindex(inputs.columns)
    for value in (0.5, 1.0):
        threshold.value = value
        left = ((gates > 0) & (gates >= value)).sum()
        assert f"{left} of {(gates > 0).sum()} open gates left" in view.value
        keep = (gates >= value).to_numpy()
        expected = gated_probabilities(pipeline[-1], inputs.loc[[cell.value]], keep)[0]
        for share in expected:
            assert f"<td>{share:.0%}</td>" in view.value
    assert predicted == [1, 1]  # a move of the slider costs the prediction of one cell


def test_the_live_explorer_can_show_every_cell(live, shown):
    kind, cell, threshold, view = live
    threshold.value = 1.0  # no gate left for many of them
    for name in shown.y.unique():
        kind.value = name
        for _, one in cell.options:
            cell.value = one
            assert "nan" not in view.value


def test_the_live_explorer_draws_the_card_of_the_chosen_cell(pipeline, shown):
    drawn = []

    def card(specimen_id):
        drawn.append(specimen_id)
        fig, ax = plt.subplots()
        ax.set_title(f"card of {specimen_id}")
        return fig

    figures = len(plt.get_fignums())
    box = live_explorer(pipeline, shown.X, shown.y, card)
    _, cell, threshold = box.children[0].children
    assert drawn == [cell.value]
    threshold.value = 0.5  # the card is about the cell as it is
    assert drawn == [cell.value]
    cell.value = cell.options[3][1]
    assert drawn[-1] == cell.value
    assert f"cell {cell.value}" in box.children[2].value and "<svg" in box.children[2].value
    assert len(plt.get_fignums()) == figures
