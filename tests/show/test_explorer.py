"""The explorer's page holds what the model did: its gates, its predictors, the cells' values.

Its script is tried in a browser, in `test_explorer_in_browser`.
"""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lspin.show.explorer as explorer
from lspin import LSPINClassifier, load_cells, load_spikes
from lspin.data import own_cells
from lspin.data.tables import METADATA_COLUMNS
from lspin.explain import HeldOut, hold_out, train_on
from lspin.model import close_in_turn
from lspin.show import explore

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("few_mixtures")


@pytest.fixture(scope="module")
def cells():
    # The twin never reads a folder, so this does not depend on the machine.
    return load_cells("twin")


@pytest.fixture(scope="module")
def held(cells, apart):
    seen, shown = apart(cells, 600, 40)
    model = LSPINClassifier(4, n_members=2, n_steps=60)
    return HeldOut(train_on(seen, model, 0), seen, shown)


def content(page):
    """What the page holds, as its script reads it."""
    return json.loads(re.search(r'application/json">(.*?)</script>', page.data, re.S)[1])


def numbers(text, *shape):
    return np.frombuffer(base64.b64decode(text), dtype="<f4").reshape(shape)


def answers(shown, is_open):
    """Compute probabilities from what is on the page, shape (n, c); `is_open` has shape (n, f)."""
    n, f, p = len(shown["cells"]), len(shown["features"]), shown["n_predictors"]
    gated = numbers(shown["gated"], n, shown["n_masks"], f) * is_open[:, None]
    hidden = gated.repeat(p // shown["n_masks"], axis=1).transpose(1, 0, 2)
    for k, layer in enumerate(shown["layers"]):
        weight = numbers(layer["weight"], p, layer["n_in"], layer["n_out"])
        hidden = np.maximum(hidden, 0) if k else hidden
        hidden = hidden @ weight + numbers(layer["bias"], p, 1, layer["n_out"])
    return torch.tensor(hidden.mean(axis=0)).softmax(dim=1).numpy()


def opened(shown, n_open=None):
    """Which gates are open: the first `n_open` of the order, by default the model's own."""
    is_open = np.zeros((len(shown["cells"]), len(shown["features"])), dtype=bool)
    for row, cell in zip(is_open, shown["cells"], strict=True):
        row[cell["order"][: cell["n_open"] if n_open is None else n_open]] = True
    return is_open


@pytest.fixture(scope="module")
def shown(held):
    return content(explore(held, load_spikes("twin")))


def test_the_page_loads_nothing(held):
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    parser.feed(explore(held).data)
    json_type = {"type": "application/json"}
    host = ("div", {"class": "lspin-explorer"})
    assert tags == [("style", {}), host, ("script", json_type), ("script", {})]
    for suffix in (".js", ".css"):
        text = Path(explorer.__file__).with_suffix(suffix).read_text()
        addresses = re.findall(r"https?://[^\"')\s]+|@import|url\(", text)
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # a name, never fetched
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\b", text)


def test_gates_close_in_the_models_own_order(held, shown):
    network = held.model.network_
    z = torch.tensor(held.Z.to_numpy())
    place, _ = close_in_turn(network.reader, z, network.expected(z), network.task)
    labels = [feature["label"] for feature in shown["features"]]
    assert len(set(labels)) == len(labels)
    columns = [explorer.feature_named(name).label for name in held.Z.columns]
    for cell, places in zip(shown["cells"], place.numpy(), strict=True):
        expected = [columns[j] for j in places.argsort()[: explorer.N_LISTED]]
        assert [labels[j] for j in cell["order"]] == expected
        assert cell["n_open"] == 4


@pytest.mark.parametrize("n_open", [0, 1, 3, None])
def test_the_page_gives_the_models_answers(held, shown, n_open):
    is_open = opened(shown, n_open)
    labels = [feature["label"] for feature in shown["features"]]
    columns = [explorer.feature_named(name).label for name in held.Z.columns]
    keep = np.zeros(held.Z.shape, dtype=bool)
    keep[:, [columns.index(label) for label in labels]] = is_open
    assert shown["classes"] == held.model.classes_.tolist()
    np.testing.assert_allclose(answers(shown, is_open), held.closing(keep), atol=1e-5)
    if n_open is None:
        np.testing.assert_allclose(answers(shown, is_open), held.probability, atol=1e-5)


@pytest.mark.parametrize("limit", [{}, {"max_open": 4, "gating": "local"}], ids=["none", "local"])
def test_the_page_gives_the_answers_of_other_gates(cells, apart, limit):
    seen, others = apart(cells, 300, 12)
    model = LSPINClassifier(n_members=2, n_steps=30, **limit)
    held = HeldOut(train_on(seen, model, 0), seen, others)
    shown = content(explore(held))
    np.testing.assert_allclose(answers(shown, opened(shown)), held.probability, atol=1e-5)
    for cell, row in zip(shown["cells"], held.gates, strict=True):
        np.testing.assert_allclose(sorted(cell["gates"]), np.sort(row[row > 0]), atol=0.006)
    # The strongest by its own effect is the last to close.
    strongest = held.Z.columns[abs(held.own_effects).argmax(axis=1)]
    labels = [shown["features"][cell["order"][0]]["label"] for cell in shown["cells"]]
    assert labels == [explorer.feature_named(name).label for name in strongest]


def test_values_and_spikes_are_those_of_the_cell(held, shown):
    spikes = load_spikes("twin").waveform_mv
    values = numbers(shown["values"], len(held.cells), -1)
    waveforms = numbers(shown["spikes"], -1, len(shown["time_ms"]))
    sag = [feature["label"] for feature in shown["features"]].index("sag")
    for row, (i, cell) in enumerate(zip(held.cells.X.index, shown["cells"], strict=True)):
        assert cell["id"] == str(i) and cell["label"] == held.cells.y[i]
        assert values[row, sag] == pytest.approx(held.cells.X.loc[i, "sag"], nan_ok=True)
        if i in spikes.index:
            np.testing.assert_allclose(waveforms[cell["spike"]], spikes.loc[i], rtol=1e-5)
        else:
            assert cell["spike"] is None
    typical = numbers(shown["typical"], len(shown["names"]), -1)[shown["names"].index("Pvalb+")]
    of_class = held.seen.X[held.seen.y == "Pvalb+"]
    assert typical[sag] == pytest.approx(of_class["sag"].median())


def test_cells_are_filtered_by_what_has_few_values(held):
    known, n = held.cells.metadata, len(held.cells)
    source = np.resize(["line", "RNA", None], n)
    known = known.assign(label_source=source, number=range(n), same="x")
    shown = content(explore(replace(held, cells=replace(held.cells, metadata=known))))
    assert shown["metadata"][len(METADATA_COLUMNS) :] == ["label from"]
    assert [cell["metadata"][-1] for cell in shown["cells"]] == [s or "" for s in source]


def test_without_spikes_no_cell_has_one(held):
    shown = content(explore(held))
    assert {cell["spike"] for cell in shown["cells"]} == {None}
    assert not any(shown["has_typical_spike"])


def test_axes_spread_the_cells():
    rng = np.random.default_rng(0)
    n = 100
    values = pd.DataFrame(
        {
            "indicator": np.arange(n) % 2,
            "half is 0": np.maximum(0, rng.normal(size=n)),
            "outlier": np.append(rng.normal(size=n - 1), 1e3),
            "constant": np.ones(n),
            "hardly measured": np.where(np.arange(n) % 3, np.nan, rng.normal(size=n)),
            "good": rng.normal(size=n),
            "much used": rng.normal(size=n),
        }
    )
    values.insert(0, "as much used", values["much used"] + 1e-3 * rng.normal(size=n))
    share_open = np.array([0.8, 1, 1, 1, 1, 1, 0.3, 0.9])
    chosen = [values.columns[j] for j in explorer._axes(values, share_open)]
    assert chosen == ["much used", "good", "as much used"]


def test_axes_of_the_twin_are_continuous(held, shown):
    labels = [shown["features"][j]["label"] for j in shown["axes"]]
    assert len(labels) > 10 and not [label for label in labels if label.startswith("no ")]


def test_whatever_a_table_holds_stays_inside_the_page():
    rng = np.random.default_rng(0)
    name = 'a</script><!--<script> "$\\frac{1$" \u2028\u202e'
    X = pd.DataFrame(rng.normal(size=(120, 3)), columns=[name, "tau", "5HT response"])
    y = np.where(X[name] > 0, "5HT", "basket <b>")
    model = LSPINClassifier(n_members=2, n_steps=30)
    (held,) = hold_out(own_cells(X, y), model, n_folds=1, verbose=0)
    page = explore(held, source=name)
    shown = content(page)
    assert page.data.count("</script>") == 2 and "<!--" not in page.data
    assert {"label": name, "unit": ""} in shown["features"]
    assert shown["source"] == name and shown["names"] == ["5HT", "basket <b>"]


def test_a_cell_that_is_not_there_is_named(held):
    with pytest.raises(ValueError, match="selected=-5"):
        explore(held, selected=-5)
