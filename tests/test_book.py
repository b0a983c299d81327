"""The book as a reader meets it: its files, its pages in a browser, its explorer in JupyterLab.

`make book` builds it. The tests that need Chromium are skipped where there is none.
"""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
EXPLORER = "book/09_gates"

pytestmark = pytest.mark.skipif(
    not (HTML / "index.html").exists(), reason="the book is not built: run `make book`"
)


def table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    return [toc["root"], *chapters]


PAGES = table_of_contents()
CHAPTERS = [page for page in PAGES if (ROOT / f"{page}.ipynb").exists()]


def article(page):
    """The text of a page, without menus and margins."""
    return BeautifulSoup((HTML / f"{page}.html").read_text(), "html.parser").find("article")


def test_there_are_chapters():
    assert len(CHAPTERS) >= 5


@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_the_contents_is_there(page):
    assert len(article(page).get_text()) > 1000
    assert article(page).find("h1")


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_code_cell_ran_without_error(page):
    assert not article(page).select(".output.traceback")
    assert "Traceback (most recent call last)" not in article(page).get_text()


@pytest.mark.parametrize("page", CHAPTERS)
def test_no_output_is_a_progress_bar_or_a_dead_widget(page):
    outputs = [output.get_text() for output in article(page).select(".cell_output")]
    assert outputs
    for text in outputs:
        assert not re.search(r"\d+%\|", text), "tag the cell remove-stderr"
        assert not re.search(r"\b[VH]Box\(children=|application/vnd.jupyter.widget", text)


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_chapter_names_its_source_first(page):
    """In the output of the first code cell that has one, as Cells.banner() writes it."""
    first = article(page).select_one(".cell_output").get_text()
    assert re.search(
        r"Source: (Allen Cell Types Database|table published|Gouwens|SYNTHETIC TWIN|Breast Cancer)",
        first,
    )


@pytest.mark.parametrize("page", CHAPTERS)
def test_chapters_use_one_source_throughout(page):
    text = article(page).get_text()
    # The chapter on fetching shows the twin beside the recordings, on purpose.
    if "fetching" not in page and "Source: Allen" in text:
        assert "Source: SYNTHETIC TWIN" not in text


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_picture_has_a_description(page):
    for picture in article(page).select("img"):
        alt = picture.get("alt", "")
        assert "_images/" not in alt and len(alt) > 40, f"{picture.get('src')}: alt is {alt!r}"


@pytest.mark.parametrize("page", CHAPTERS)
def test_launch_buttons_open_the_notebook(page):
    links = BeautifulSoup((HTML / f"{page}.html").read_text(), "html.parser").select("a[href]")
    for place in ("mybinder.org", "colab.research.google.com"):
        targets = [link["href"] for link in links if place in link["href"]]
        assert targets
        assert all(target.endswith(f"{page}.ipynb") for target in targets)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    """Serve the book on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=HTML))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def requested(browser):
    """Addresses that the browser has asked for since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def wait_for(browser, selector):
    found = WebDriverWait(browser, 20).until(
        lambda b: b.find_elements(By.CSS_SELECTOR, selector), f"no {selector} on the page"
    )
    return found[0]


@pytest.mark.parametrize("page", PAGES)
def test_pages_need_no_network(browser, address, page):
    requested(browser)
    browser.get(f"{address}/{page}.html")
    WebDriverWait(browser, 20).until(
        lambda b: b.execute_script("return document.readyState") == "complete"
    )
    if article(page).select(".math"):
        wait_for(browser, "mjx-container")
    # The theme's style sheet is at work: the page's main column is not as wide as the window.
    main = browser.find_element(By.TAG_NAME, "article")
    assert main.rect["width"] < 1200
    outside = [
        url
        for url in requested(browser)
        if not url.startswith((address, "data:", "blob:", "chrome"))
    ]
    assert outside == []


@pytest.fixture
def explorer(browser, address):
    """What the explorer of the chapter on gates is drawn in."""
    browser.get(f"{address}/{EXPLORER}.html")
    return wait_for(browser, ".lspin-explorer").shadow_root


def what_it_says(explorer):
    return explorer.find_element(By.CSS_SELECTOR, "[role=status]").text


def test_the_explorer_shows_a_cell_before_any_click(explorer):
    assert re.match(r"Cell -?\d+, labelled \S+: with 5 open gates", what_it_says(explorer))
    section = explorer.find_element(By.CSS_SELECTOR, "section")
    assert "Source: " in section.text


def test_the_explorer_answers_to_a_click(browser, explorer):
    before = what_it_says(explorer)
    cell = explorer.find_elements(By.CSS_SELECTOR, ".scatter .sign")[0]
    webdriver.ActionChains(browser).scroll_to_element(cell).click(cell).perform()
    assert what_it_says(explorer) != before


def test_the_explorer_can_be_used_by_keyboard(explorer):
    slider = explorer.find_element(By.CSS_SELECTOR, "[type=range]")
    slider.send_keys(Keys.HOME)
    assert "with 0 open gates" in what_it_says(explorer)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def lab(tmp_path):
    """JupyterLab with nothing but the chapter in it; its address."""
    pytest.importorskip("jupyterlab", reason="needs JupyterLab")
    (tmp_path / "book").mkdir()
    shutil.copy(ROOT / f"{EXPLORER}.ipynb", tmp_path / "book")
    # A long notebook draws only the cells in view; the test wants to find all of them.
    settings = tmp_path / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    port, token = free_port(), secrets.token_hex()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={tmp_path}"]
    command += [f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"]
    folders = {
        "JUPYTER_CONFIG_DIR": tmp_path / "config",
        "JUPYTER_RUNTIME_DIR": tmp_path / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": tmp_path / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": tmp_path / "workspaces",
        "IPYTHONDIR": tmp_path / "ipython",
        "PYTHONPATH": ROOT,
    }
    environment = {**os.environ, **{k: str(v) for k, v in folders.items()}, "LSPIN_SOURCE": "twin"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not is_up(f"http://127.0.0.1:{port}/api"):
            assert server.poll() is None and time.monotonic() < deadline, (
                tmp_path / "log"
            ).read_text()
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/lab/tree/{EXPLORER}.ipynb?token={token}"
    finally:
        server.terminate()  # stops the kernel, too
        server.wait(30)


def is_up(url):
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except urllib.error.URLError:
        return False


def test_the_explorer_answers_in_jupyterlab(browser, lab):
    browser.get(lab)
    WebDriverWait(browser, 60).until(
        lambda b: b.execute_script(
            "return window.jupyterapp?.shell.currentWidget?.sessionContext?.isReady"
        ),
        "the notebook did not open",
    )
    browser.execute_script(
        "jupyterapp.commands.execute('notebook:run-all-cells').finally(() => window.hasRun = true)"
    )
    # The chapter trains its models: on a busy machine that takes minutes.
    WebDriverWait(browser, 900, poll_frequency=2).until(
        lambda b: b.execute_script("return window.hasRun === true"), "the chapter did not finish"
    )
    errors = browser.execute_script(
        "return jupyterapp.shell.currentWidget.content.widgets"
        ".filter(cell => cell.model.type === 'code')"
        ".flatMap(cell => cell.model.outputs.toJSON())"
        ".filter(output => output.output_type === 'error').map(output => output.evalue)"
    )
    assert errors == []

    explorer = wait_for(browser, ".lspin-explorer").shadow_root
    slider = explorer.find_element(By.CSS_SELECTOR, "[type=range]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider)
    assert "with 5 open gates" in what_it_says(explorer)
    slider.send_keys(Keys.HOME)  # closes all gates
    assert "with 0 open gates" in what_it_says(explorer)
