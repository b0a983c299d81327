"""Every page of the built book: what it links to, and whether everybody can read it.

`make book` builds it. The tests that need Chromium are skipped where there is none.
"""

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup
from selenium.webdriver.support.ui import WebDriverWait
from test_book import CHAPTERS, HTML, ROOT, requested

import lspin

pytestmark = pytest.mark.skipif(
    not (HTML / "index.html").exists(), reason="the book is not built: run `make book`"
)

PAGES = [
    path.relative_to(HTML).with_suffix("").as_posix()
    for path in sorted(HTML.rglob("*.html"))
    if "_static" not in path.parts
]
WRITTEN = [page for page in PAGES if page.startswith("book/")]
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]


def soup(page):
    return BeautifulSoup((HTML / f"{page}.html").read_text(), "html.parser")


# What is on a page


def test_there_are_pages():
    assert len(CHAPTERS) >= 5 and set(CHAPTERS) < set(WRITTEN)


@pytest.mark.parametrize("page", WRITTEN)
def test_a_shared_page_has_a_card(page):
    card = {tag["property"]: tag["content"] for tag in soup(page).select("meta[property^=og]")}
    assert card["og:title"] and card["og:description"]
    assert card["og:url"].endswith(f".github.io/lspin/{page}.html")
    picture = card["og:image"].partition(".github.io/lspin/")[2]
    assert (HTML / picture).read_bytes().startswith(b"\x89PNG")


def test_search_engines_are_told_of_every_page():
    addresses = {
        place.text for place in ElementTree.parse(HTML / "sitemap.xml").findall(".//{*}loc")
    }
    (site,) = {re.sub(r"(?<=\.github\.io/lspin/).*", "", address) for address in addresses}
    assert {f"{site}{page}.html" for page in WRITTEN} <= addresses


@pytest.mark.parametrize("page", WRITTEN)
def test_the_footer_says_which_version_and_which_cells_and_what_one_may_do_with_it(page):
    footer = soup(page).select_one(".extra_footer")
    assert f"lspin {lspin.__version__}. Source: " in footer.get_text()
    assert footer.select_one("a[rel=license]")["href"].endswith("/licenses/by/4.0/")


@pytest.mark.parametrize("page", WRITTEN)
def test_a_reader_can_edit_a_page_and_report_an_error(page):
    links = [link["href"] for link in soup(page).select(".article-header-buttons a[href]")]
    (source,) = ROOT.glob(f"{page}.[imr][pds]*")
    assert f"{REPOSITORY}/edit/main/./{page}{source.suffix}" in links
    assert any(link.startswith(f"{REPOSITORY}/issues/new?") and page in link for link in links)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_a_title_and_a_language(page):
    assert soup(page).title.get_text(strip=True)
    assert soup(page).html["lang"] == "en"


@pytest.mark.parametrize("page", CHAPTERS)
def test_no_page_shows_a_warning_with_a_path(page):
    assert not soup(page).select(".output.stderr")
    assert "Warning:" not in " ".join(out.get_text() for out in soup(page).select(".cell_output"))


# In a browser


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


def open_page(browser, url, theme, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": theme}]},
    )
    browser.get(url)
    WebDriverWait(browser, 60).until(
        lambda b: b.execute_script("return document.readyState") == "complete"
    )
    # A colour that is still fading in is not the one that is read.
    browser.execute_script(
        "document.head.insertAdjacentHTML('beforeend', '<style>* {transition: none !important;"
        " animation: none !important}</style>')"
    )


@pytest.fixture(scope="module")
def axe():
    """The script of axe-core, which finds what keeps people from reading a page."""
    package = pytest.importorskip("axe_playwright_python", reason="needs axe-core")
    return resources.files(package).joinpath("axe.min.js").read_text()


# Experimental rules too, as far as they are about WCAG's levels A and AA.
RUN_AXE = """
const [skipped, done] = arguments;
axe.run({exclude: skipped}, {
    preload: false, resultTypes: ["violations"],
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
}).then(result => done(result.violations
    .filter(found => ["critical", "serious"].includes(found.impact))
    .map(found => found.id + ": " + found.nodes.map(node => node.html.slice(0, 200)).join("\\n"))
), error => done([String(error)]));
"""


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
@pytest.mark.parametrize("page", PAGES)
def test_everybody_can_read_a_page(browser, address, axe, page, theme, width):
    """No critical and no serious violation; and no error on the console, no request elsewhere."""
    browser.get_log("browser"), requested(browser)
    open_page(browser, f"{address}/{page}.html", theme, width)
    assert browser.execute_script("return document.documentElement.dataset.theme") in (theme, None)
    said = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert said == []
    assert [
        url
        for url in requested(browser)
        if not url.startswith((address, "data:", "blob:", "chrome"))
    ] == []

    browser.set_script_timeout(300)
    browser.execute_script(axe)
    # The many words of code are coloured alike on all pages: one chapter stands for the others.
    skipped = [] if page == CHAPTERS[0] else [".highlight pre"]
    assert browser.execute_async_script(RUN_AXE, skipped) == []


@pytest.mark.parametrize("page", CHAPTERS)
def test_nothing_is_wider_than_a_page(browser, address, page):
    """Code fits at 1280 pixels; on a phone the page itself does not scroll sideways."""
    open_page(browser, f"{address}/{page}.html", "light", 1280)
    cut = browser.execute_script(
        "return [...document.querySelectorAll('.cell_input pre, .cell_output pre')]"
        ".filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.textContent)"
    )
    assert cut == []
    open_page(browser, f"{address}/{page}.html", "light", 390)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
