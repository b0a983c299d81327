"""Do what users do many times in one process, and tell what grows: memory, threads, open files.

Models are fitted and predict, files are dropped on the drop zone, and the slider of the explorer
is moved in Chromium. Run it as ``python benchmarks/endurance.py`` (Linux, with chromedriver).
Memory is looked at from the first tenth on: what the libraries load and keep at their first call
is no growth.
"""

import argparse
import ctypes
import gc
import os
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
import pandas as pd
from selenium import webdriver
from selenium.webdriver.common.by import By
from sklearn.datasets import make_classification

from lspin import LSPINClassifier, LSPINRegressor, load_cells
from lspin.data import own_cells
from lspin.explain import HeldOut, train_on
from lspin.model import distillation
from lspin.show import explore
from lspin.show.drop_zone import drop_zone

distillation.N_MIXTURES = 200  # it is the many calls that are tried, not large ones


def usage() -> dict[str, float]:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is free, but kept to be used again, is no growth
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory_mb": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "python threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
    }


def show(name: str, now: dict[str, float]) -> None:
    print(
        f"{name:>24}", *(f"{key} {value:.1f}" for key, value in now.items()), sep="  ", flush=True
    )


def grow(name: str, n: int, act) -> None:
    """Act n times, and say by how much each number grew after the first tenth."""
    for i in range(n):
        if i == n // 10:
            first = usage()
            show(f"{name} {i}", first)
        act(i)
    last = usage()
    show(f"{name} {n}", last)
    show("growth", {key: last[key] - first[key] for key in last})


def upload_files(n: int) -> None:
    """Drop a table of two new cells, n times; one model in the cache serves them all."""
    box = drop_zone()
    upload, view = box.children
    X = load_cells("twin").X

    def drop(i: int) -> None:
        content = X.iloc[[i, i + 1]].rename_axis("cell").to_csv().encode()
        file = {"name": f"{i}.csv", "type": "text/csv", "size": len(content), "content": content}
        upload.value = (file | {"last_modified": pd.Timestamp(0).to_pydatetime()},)
        if view.value.count("<svg") != 2:
            raise RuntimeError(f"Upload {i} gave no cards: {view.value[:200]}")

    grow("uploads", n, drop)


def move_slider(n: int) -> None:
    """Move the explorer's slider n times, in Chromium, and tell what its page holds."""
    X, y = make_classification(200, 8, n_informative=4, random_state=0)
    cells = own_cells(pd.DataFrame(X).add_prefix("x"), pd.Series(y).map({0: "a", 1: "b"}))
    seen, shown = cells.select(cells.X.index[:150]), cells.select(cells.X.index[150:])
    model = LSPINClassifier(4, n_members=2, n_steps=50, random_state=0)
    held = HeldOut(train_on(seen, model, 0), seen, shown)
    options = webdriver.ChromeOptions()
    for flag in "headless=new no-sandbox js-flags=--expose-gc enable-precise-memory-info".split():
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with tempfile.TemporaryDirectory() as folder, webdriver.Chrome(options, service) as browser:
        page = Path(folder) / "page.html"
        page.write_text(
            f"<!doctype html><title>Cells</title>{explore(held).data}", encoding="utf-8"
        )
        browser.get(page.as_uri())
        host = browser.find_element(By.CSS_SELECTOR, ".lspin-explorer")
        slider = host.shadow_root.find_element(By.CSS_SELECTOR, "input[type=range]")
        move = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
        held_by_page = (
            "gc(); return [performance.memory.usedJSHeapSize / 1048576, "
            "arguments[0].shadowRoot.querySelectorAll('*').length]"
        )
        for i in range(n + 1):
            if i in (n // 10, n):
                megabytes, elements = browser.execute_script(held_by_page, host)
                show(f"slider {i}", {"heap_mb": megabytes, "elements": elements})
            browser.execute_script(move, slider, i % 9)
        show("slider errors", {"console": len(browser.get_log("browser"))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=1000)
    parser.add_argument("--predictions", type=int, default=10_000)
    parser.add_argument("--uploads", type=int, default=50)
    parser.add_argument("--slides", type=int, default=500)
    options = parser.parse_args()
    X, y = make_classification(60, 5, n_informative=3, n_redundant=0, random_state=0)
    models = [
        Model(max_open, n_members=2, n_steps=2, random_state=0)
        for Model in (LSPINClassifier, LSPINRegressor)
        for max_open in (None, 2)
    ]
    grow("fits", options.fits, lambda i: models[i % 4].fit(X, y))
    rng = np.random.default_rng(0)
    # New cells each time: a model remembers some that it has seen.
    grow(
        "predictions", options.predictions, lambda i: models[i % 4].predict(rng.normal(size=(3, 5)))
    )
    move_slider(options.slides)
    upload_files(options.uploads)


if __name__ == "__main__":
    main()
