"""Fixtures shared by all tests, and what keeps tests off the user's cache and the network."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from selenium import webdriver

_NEEDED = (
    "allen_cell_types/cells.json",
    "allen_cell_types/ephys_features.csv",
    "ophir2023/mouse_ephys_data.csv",
    "ophir2023/mouse_single_spike_data.csv",
    "ophir2023/human_ephys_data.csv",
    "ophir2023/human_single_spike_data.csv",
    "ophir2023/spikes.npz",
)
# Read before any test changes the environment.
_REAL_DATA = Path(
    os.environ.get("LSPIN_DATA_DIR") or Path(__file__).parents[2] / "shared" / "data"
).absolute()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return a data folder that holds the real tables and spikes."""
    missing = [name for name in _NEEDED if not (_REAL_DATA / name).is_file()]
    if missing:
        pytest.skip(f"needs the real tables (LSPIN_DATA_DIR): {_REAL_DATA} lacks {missing[0]}")
    return _REAL_DATA


@pytest.fixture(scope="session")
def apart():
    """Return a function that takes the first cells to train on, and later ones of other donors."""

    def split(cells, n_seen, n_shown):
        seen, rest = cells.select(cells.X.index[:n_seen]), cells.select(cells.X.index[n_seen:])
        others = rest.select(~rest.donors.isin(seen.donors))
        return seen, others.select(others.X.index[:n_shown])

    return split


@pytest.fixture(scope="module")
def few_mixtures():
    """Ask dense networks about a few mixtures only: that many are asked about takes the time."""
    from lspin.model import distillation

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distillation, "N_MIXTURES", 1000)
        yield


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Return Chromium, driven by Selenium, that finds no host but this machine."""
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium, driver = (
        next(filter(None, map(shutil.which, names)), ""),
        shutil.which("chromedriver"),
    )
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-sync "
        "disable-background-networking disable-component-update window-size=1400,1000"
    ).split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as browser:
        yield browser


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test empty folders for data and cache; who wants the real tables asks for them."""
    monkeypatch.setenv("LSPIN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("LSPIN_SOURCE", raising=False)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach this machine only."""
    connect = socket.socket.connect
    # A proxy on this machine would be a way out.
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def connect_here(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise ConnectionRefusedError(f"tests do not use the network: {address}")
        connect(self, address)

    def resolve_here(host: str | bytes | None, *args: object, **kwargs: object) -> list:
        if host not in ("127.0.0.1", "::1", "localhost", None):
            raise socket.gaierror(f"tests do not use the network: {host}")
        return resolve(host, *args, **kwargs)

    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)
