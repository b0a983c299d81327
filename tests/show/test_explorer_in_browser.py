"""The explorer as a reader uses it: by mouse, by keyboard, on a phone; in Chromium."""

import importlib.util
import random
import re
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from lspin import LSPINClassifier, load_cells, load_spikes
from lspin.data import own_cells
from lspin.explain import HeldOut, hold_out, train_on
from lspin.features import feature_named
from lspin.model import close_in_turn
from lspin.show import explore

pytestmark = pytest.mark.usefixtures("few_mixtures")

MODEL = LSPINClassifier(4, n_members=2, n_steps=60)


class Page:
    """The explorer in the browser, and what it says."""

    def __init__(self, browser, folder, page, theme="light"):
        head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        colors = "background: #14181e; color: #ced6dd" if theme == "dark" else ""
        path = folder / "page.html"
        path.write_text(
            f'<!doctype html><html lang="en" style="color-scheme: {theme}"><head>{head}'
            f'<title>Cells</title></head><body style="{escape(colors)}"><main><h1>Cells</h1>'
            f"{page.data}</main></body></html>",
            encoding="utf-8",
        )
        browser.get_log("browser")  # forget what earlier pages said
        browser.get(path.as_uri())
        self.browser = browser
        self.root = browser.find_element(By.CSS_SELECTOR, ".lspin-explorer").shadow_root

    def all(self, selector):
        return self.root.find_elements(By.CSS_SELECTOR, selector)

    def control(self, label):
        """The control with this label; a slider's label ends in its value."""
        (found,) = (x for x in self.all("label") if x.get_property("textContent").startswith(label))
        return found.find_element(By.CSS_SELECTOR, "select, input")

    def button(self, text):
        return next(button for button in self.all("button") if button.text == text)

    def choose(self, label, value):
        Select(self.control(label)).select_by_value(value)

    @property
    def cell(self):
        return int(re.match(r"Cell (-?\d+),", self.status)[1])

    @property
    def status(self):
        return self.all("[role=status]")[0].text

    @property
    def probability(self):
        """The column "now" of the table, as shares."""
        return [float(td.text.split()[0]) / 100 for td in self.all("td.bar + td")]

    def boxes(self):
        return self.all(".gates input")

    def slide(self, n):
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
        self.browser.execute_script(script, self.control("Open gates"), n)

    def errors(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture(scope="module", params=["twin", "recorded"])
def held(request, apart, browser):
    folder = request.getfixturevalue("real_data") if request.param == "recorded" else None
    cells = load_cells("allen", data_dir=folder) if folder else load_cells("twin")
    seen, shown = apart(cells, 600, 60)
    spikes = load_spikes("paper", data_dir=folder) if folder else load_spikes("twin")
    held = HeldOut(train_on(seen, MODEL, 0), seen, shown)
    return held, spikes, explore(held, spikes)


@pytest.fixture
def page(held, browser, tmp_path):
    yield Page(browser, tmp_path, held[2])
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def limited_to(held, n_open):
    """Probabilities with so many gates open, those that close last, shape (n, c)."""
    network = held.model.network_
    z = torch.tensor(held.Z.to_numpy())
    with torch.no_grad():
        place, _ = close_in_turn(network.reader, z, network.expected(z), network.task)
        return network.predict_gated((z * (place <= n_open))[None]).mean(0).softmax(1).numpy()


def test_a_cell_is_shown_before_any_click(held, page):
    held, *_ = held
    assert page.cell == held.cells.X.index[0]
    np.testing.assert_allclose(page.probability, held.probability[0], atol=6e-4)
    assert sum(box.is_selected() for box in page.boxes()) == 4
    assert f"the answer is {held.predicted[0]} " in page.status
    assert held.cells.banner() in page.all("section")[0].text
    assert page.errors() == []


def test_the_slider_closes_gates_one_at_a_time(held, page):
    held, *_ = held
    rng = random.Random(0)
    expected = [limited_to(held, n) for n in range(13)]
    for move in range(210):
        if move % 30 == 0:
            row = rng.randrange(len(held.cells))
            page.choose("Cell", str(row))
        n = rng.randrange(13)
        page.slide(n)
        if move % 10 == 0:
            np.testing.assert_allclose(page.probability, expected[n][row], atol=6e-4)
            is_open = [box.is_selected() for box in page.boxes()]
            assert is_open == [k < n for k in range(12)]
    assert page.errors() == []
    page.button("As the model set them").click()
    np.testing.assert_allclose(page.probability, held.probability[row], atol=6e-4)


def test_a_gate_closed_by_hand_gives_the_true_answer(held, page):
    held, *_ = held
    strongest = held.own_effects[0].argmax()
    by_name = {feature_named(name).label: j for j, name in enumerate(held.Z.columns)}
    rows = [row for row in page.all(".gates tbody tr") if "closed" not in row.text]
    lost = {by_name[row.text.split("\n")[0]]: float(row.text.split()[-1]) for row in rows}
    for j, points in lost.items():
        assert points == pytest.approx(100 * held.own_effects[0, j], abs=0.06)
    name = feature_named(held.Z.columns[strongest]).label
    next(row for row in rows if row.text.startswith(name)).find_element(
        By.TAG_NAME, "input"
    ).click()
    keep = np.arange(held.Z.shape[1]) != strongest
    np.testing.assert_allclose(page.probability, held.closing(keep)[0], atol=6e-4)
    assert "with 3 open gates" in page.status


def test_a_click_chooses_the_cell_under_it(held, page):
    held, *_ = held
    # The cell at the very left has none beside it to the left.
    dots = page.all(".scatter .sign")
    dot = min(dots, key=lambda dot: dot.rect["x"])
    title = dot.find_element(By.TAG_NAME, "title").get_property("textContent")
    webdriver.ActionChains(page.browser).move_to_element(dot).click().perform()
    assert page.cell == int(title.split(":")[0])
    row = held.cells.X.index.get_loc(page.cell)
    np.testing.assert_allclose(page.probability, held.probability[row], atol=6e-4)
    assert Select(page.control("Cell")).first_selected_option.text == title


def test_everything_can_be_done_by_keyboard(page):
    page.browser.execute_script("document.activeElement?.blur()")
    focused = "return document.activeElement.shadowRoot?.activeElement"
    visited, press = [], webdriver.ActionChains(page.browser)
    for _ in range(12 + len(page.boxes())):
        press.send_keys(Keys.TAB).perform()
        if found := page.browser.execute_script(focused):
            visited.append(found)
    controls = page.all("select, input, button, summary")
    assert set(visited) == {control for control in controls if control.is_displayed()}
    first = page.cell
    page.button("Next cell").send_keys(Keys.ENTER)
    second = page.cell
    page.control("Cell").send_keys(Keys.ARROW_UP)
    assert (second != first) and page.cell == first
    page.control("Open gates").send_keys(Keys.ARROW_LEFT)
    assert "with 3 open gates" in page.status
    page.boxes()[0].send_keys(Keys.SPACE)
    assert "with 2 open gates" in page.status


def test_filters_leave_the_cells_that_match(held, page):
    held, *_ = held
    page.all("summary")[0].click()
    page.choose("right or wrong", "=wrong")
    wrong = set(held.cells.y.index[held.predicted != held.cells.y])
    listed = [int(o.text.split(":")[0]) for o in Select(page.control("Cell")).options]
    assert set(listed) == wrong and page.cell in wrong
    line = held.cells.metadata["line_name"][page.cell]
    page.choose("Cre line", f"={line}")
    of_line = held.cells.metadata["line_name"].reindex(list(wrong)) == line
    assert len(Select(page.control("Cell")).options) == of_line.sum()
    page.choose("right or wrong", "=right")
    answer = held.predicted[0]
    page.choose("label", "=" + next(label for label in held.cells.y if label != answer))
    page.choose("answer", f"={answer}")  # nothing is left
    assert not page.control("Cell").is_enabled() and "(0 of 60" in page.all("summary")[0].text
    page.button("Next cell").click()
    assert page.errors() == []


def test_a_cell_is_compared_with_another_and_with_its_class(held, page):
    held, spikes, _ = held
    page.choose("Compare with", "#3")
    other = held.cells.X.index[3]
    shares = [float(td.text.split()[0]) / 100 for td in page.all("tbody td:nth-child(5)")]
    np.testing.assert_allclose(shares, held.probability[3], atol=6e-4)
    assert f"cell {other}: " in page.all(".gates")[0].text
    page.choose("Compare with", "=")
    label = held.cells.y.iloc[0]
    mean = held.probability[held.cells.y == label].mean(axis=0)
    shares = [float(td.text.split()[0]) / 100 for td in page.all("tbody td:nth-child(5)")]
    np.testing.assert_allclose(shares, mean, atol=6e-4)
    assert f"class {label}: median " in page.all(".gates")[0].text


def test_a_spike_is_drawn_where_there_is_one(held, page):
    held, spikes, _ = held
    has_spike = held.cells.X.index.isin(spikes.waveform_mv.index)
    for kind in np.unique(has_spike):
        row = int(np.flatnonzero(has_spike == kind)[0])
        page.choose("Cell", str(row))
        assert bool(page.all("path.spike")) == kind
        assert ("no spike waveform" in page.all("section")[0].text) != kind


def test_a_phone_need_not_scroll_sideways(page):
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.all("summary")[0].click()
    page.choose("Compare with", "=")
    assert page.browser.execute_script("return document.documentElement.scrollWidth") <= 390
    for element in page.all("section *"):
        assert element.rect["x"] + element.rect["width"] <= 391, element.tag_name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(held, browser, tmp_path, theme):
    found = importlib.util.find_spec("axe_playwright_python")
    if not found:
        pytest.skip("needs axe (axe-playwright-python)")
    page = Page(browser, tmp_path, held[2], theme)
    page.all("summary")[0].click()
    page.choose("Compare with", "=")
    browser.execute_script(Path(found.origin).with_name("axe.min.js").read_text())
    results = browser.execute_async_script("axe.run().then(arguments[0])")
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in results["violations"]] == []
    assert len(results["passes"]) > 20


def test_text_of_a_table_is_shown_as_text(browser, tmp_path):
    rng = np.random.default_rng(0)
    name = "a</script><!--<script><img src=x onerror=alert(1)>\u2028"
    X = pd.DataFrame(rng.normal(size=(100, 3)), columns=[name, "tau", "b & <i>c</i>"])
    y = np.where(X[name] > 0, "5HT", "basket <b>fat</b>")
    own = own_cells(X, y)
    (held,) = hold_out(own, LSPINClassifier(n_members=2, n_steps=30), n_folds=1, verbose=0)
    page = Page(browser, tmp_path, explore(held, source="from <u>here</u> ${1}"))
    text = page.all("section")[0].text
    for part in (
        name.strip("\u2028"),
        "b & <i>c</i>",
        "basket <b>fat</b>",
        "from <u>here</u> ${1}",
    ):
        assert part in text
    assert not page.all("img, section b, i, u")
    assert page.errors() == []
