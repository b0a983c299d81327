"""The explorers show what the model did: its own gates and probabilities, in the cells' units."""

import json
import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pandas as pd
import pytest

from lspin import LSPINClassifier, load_cells
from lspin.data import own_cells
from lspin.explain import (
    HeldOut,
    explain_cells,
    gated_probabilities,
    hold_out,
    open_gates_of,
    train_on,
)
from lspin.show import make_card, plot_by_class, plot_card, plot_scatter
from lspin.show.explorer import gate_chart, live_explorer, static_explorer

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

pytestmark = pytest.mark.usefixtures("few_mixtures")


@pytest.fixture(scope="module")
def cells():
    # The twin never reads a folder, so this does not depend on the machine.
    return load_cells("twin")


@pytest.fixture(scope="module")
def held(cells, apart):
    seen, shown = apart(cells, 900, 80)
    model = LSPINClassifier(8, n_members=2, n_steps=150)
    return HeldOut(train_on(seen, model, 0), seen, shown)


@pytest.fixture(scope="module")
def tables(held):
    return explain_cells(held)


@pytest.fixture(scope="module")
def page(held):
    selected = held.cells.X.index[3]
    html = static_explorer(held, x="tau", y="rise_ms_ramp", selected=selected, n_gates=5).data
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
def test_the_static_explorer_names_what_it_cannot_show(held, change, message):
    arguments = {"x": "tau", "y": "sag", "selected": held.cells.X.index[0], **change}
    with pytest.raises(ValueError, match=message):
        static_explorer(held, **arguments)


def test_own_classes_and_features_are_shown_as_they_are_called():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(120, 3)), columns=["soma area", "tau", "5HT response"])
    y = np.where(X["soma area"] > 0, "5HT", "basket <b>")
    (held,) = hold_out(
        own_cells(X, y), LSPINClassifier(n_members=2, n_steps=30), n_folds=1, verbose=0
    )
    one = held.cells.X.index[0]
    html = static_explorer(held, x="soma area", y="5HT response", selected=one).data
    assert "soma area" in html and "5HT" in html and "a table of your own" in html
    assert "soma area" in live_explorer(held).children[1].value
    card = make_card(held, one)
    assert "soma area" in str(card) and "5HT" in str(card)
    plot_card(card)
    for draw in (plot_by_class, plot_scatter):
        draw(held.cells.X, held.cells, *(["tau", "soma area"] if draw is plot_scatter else []))
    plt.close("all")


@pytest.fixture
def live(held):
    box = live_explorer(held)
    kind, cell, n_left = box.children[0].children
    return kind, cell, n_left, box.children[1]


def test_the_live_explorer_lists_the_cells_of_the_class(live, held):
    kind, cell, _, view = live
    assert kind.value == "Glutamatergic"
    before = view.value
    kind.value = "Vip+"
    assert {i for _, i in cell.options} == set(held.cells.y.index[held.cells.y == "Vip+"])
    assert "True class Vip+" in view.value
    assert view.value != before


def test_the_live_explorer_closes_gates_and_predicts_again(live, held, tables, monkeypatch):
    predicted = []
    closing = HeldOut.closing

    def count(self, keep):
        predicted.append(len(self.cells))
        return closing(self, keep)

    monkeypatch.setattr(HeldOut, "closing", count)
    _, cell, n_left, view = live
    rows = tables[1].loc[cell.value].reindex(held.Z.columns)
    is_open = rows["gate"] > 0
    assert is_open.sum() > 2
    for n in (2, 0):
        n_left.value = n
        assert f"{n} of {is_open.sum()} open gates left" in view.value
        strongest = rows.loc[is_open, "effect"].abs().nlargest(n).index
        keep = held.Z.columns.isin(strongest)
        expected = gated_probabilities(held.model, held.Z.loc[[cell.value]], keep)[0]
        for share in expected:
            assert f"<td>{share:.0%}</td>" in view.value
    assert predicted == [1, 1]  # a move of the slider costs the prediction of one cell


def test_the_live_explorer_can_show_every_cell(live, held):
    kind, cell, n_left, view = live
    n_left.value = 1
    for name in held.cells.y.unique():
        kind.value = name
        for _, one in cell.options:
            cell.value = one
            assert "nan" not in view.value


def test_the_live_explorer_draws_the_card_of_the_chosen_cell(held):
    drawn = []

    def card(specimen_id):
        drawn.append(specimen_id)
        fig, ax = plt.subplots()
        ax.set_title(f"card of {specimen_id}")
        return fig

    figures = len(plt.get_fignums())
    box = live_explorer(held, card)
    _, cell, n_left = box.children[0].children
    assert drawn == [cell.value]
    n_left.value = 1  # the card is about the cell as it is
    assert drawn == [cell.value]
    cell.value = cell.options[3][1]
    assert drawn[-1] == cell.value
    assert f"cell {cell.value}" in box.children[2].value and "<svg" in box.children[2].value
    assert len(plt.get_fignums()) == figures


def test_the_chart_shows_each_cell_at_its_own_values(held):
    order = held.cells.X.index[[7, 2, 30, 1]]
    some = held.select(order)
    data = gate_chart(some, x="vrest", y="tau", selected=order[0]).to_dict()["datasets"]
    points = next(pd.DataFrame(rows) for rows in data.values() if "title" in rows[0])
    for _, row in points.iterrows():
        cell = int(row["cell"])
        assert row["class"] == held.cells.y[cell]
        assert row["x"] == pytest.approx(held.cells.X.loc[cell, "vrest"], abs=1e-3)
        assert row["title"].startswith(f"{cell}: {row['class']}")
