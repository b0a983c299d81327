"""Downloads from a bad server, to a full disk, killed at any time.

Whatever happens: one sentence says what, nothing is there half-written, and the next run recovers.
"""

import errno
import hashlib
import json
import multiprocessing
import os
import random
import re
import time

import pytest
from made_up_tables import files_in, rma, table_paths, write_tables

from lspin.data import allen, download, moradi2021, paper, recordings
from lspin.data.gouwens2020 import SOURCE as V1
from lspin.data.leedalley2023 import SOURCE as HUMAN
from lspin.data.scala2021 import SOURCE as M1

RECORDING = "18711001.abf"

SOURCES = {
    "Allen, by AllenSDK": lambda folder, url: allen.fetch(folder, 0, base_uri=url),
    "Allen, by HTTPS": lambda folder, url: allen.fetch(folder, 0, base_uri=url),
    "paper": lambda folder, url: paper.fetch_tables(folder, 0),
    "spikes": lambda folder, url: paper.fetch_spikes(folder, 0),
    "v1": lambda folder, url: V1.fetch(folder, 0),
    "m1": lambda folder, url: M1.fetch(folder, 0),
    "human": lambda folder, url: HUMAN.fetch(folder, 0),
    "half-widths": lambda folder, url: moradi2021.fetch(folder, 0),
    "recordings": lambda folder, url: recordings.fetch(folder, RECORDING, 0),
}

# ---------------------------------------------------------------- what the server does


def drip(handler, path):
    """Send a byte now and then, each too early for a timeout to notice."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.server.stop.wait(0.1):
        handler.wfile.write(b" ")


def hang(handler, path):
    handler.server.stop.wait(20)


def say(status):
    return lambda handler, path: handler.send(b"sorry", status=status)


def redirect_for_ever(handler, path):
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def content(path):
    return rma(path) if "query.json" in path else b"specimen_id,half_width\n" * 100


def truncate(handler, path):
    handler.send(content(path)[:200])


def cut(handler, path):
    handler.send(content(path)[:200], length=10_000)


def html_page(handler, path):
    handler.send(b"<html>Please log in to the network of this hotel</html>")


def no_success(handler, path):
    handler.send(b'{"success": false, "msg": "bad query"}')


def other_columns(handler, path):
    answer = {"success": True, "total_rows": 1, "msg": [{"specimen_id": 1}]}
    handler.send(json.dumps(answer).encode())


def fewer_rows(handler, path):
    """Leave the same cells out of both tables and still say how many there are."""
    answer = json.loads(rma(path))
    keep = {11, 12, 13, 16}
    ids = ("specimen__id", "specimen_id")
    answer["msg"] = [row for row in answer["msg"] if keep & {row.get(name) for name in ids}]
    handler.send(json.dumps(answer).encode())


FAULTS = {  # what the server does: what it does, what is said of it by whoever reads rows
    "a byte now and then": (drip, r"within 3 s"),
    "hangs": (hang, "[Tt]ime"),
    "503": (say(503), "503"),
    "404": (say(404), "404"),
    "redirects for ever": (redirect_for_ever, "redirect"),
    "truncated": (truncate, "JSON|Unterminated|delimiter|char"),
    "cut half-way": (cut, "IncompleteRead|Connection broken"),
    "a page in HTML": (html_page, "not JSON|Expecting value"),
    "success: false": (no_success, "it says 'bad query'"),
    "another schema": (other_columns, "specimen__id|lacks the columns|donor"),
    "fewer rows than announced": (fewer_rows, r"it sent (\d of 7 rows|rows twice)"),
}
OF_ROWS_ONLY = ("success: false", "another schema", "fewer rows than announced")
"""To a file that is known by its checksum, these are a wrong file like any other."""

# Every fault for each program that downloads, and one for each source that shares such a program.
CASES = [
    (source, fault)
    for source in ("Allen, by AllenSDK", "Allen, by HTTPS", "half-widths")
    for fault in FAULTS
    if source.startswith("Allen") or fault not in OF_ROWS_ONLY
]
CASES += [(s, "a page in HTML") for s in ("paper", "spikes", "v1", "m1", "human", "recordings")]
CASES += [("spikes", "cut half-way"), ("spikes", "a byte now and then")]


@pytest.fixture
def short(monkeypatch):
    """Wait briefly, once, for one source and find the public files on a server of this machine."""
    real = download.fetch_file

    def prepare(source, url, limit_s=3.0):
        monkeypatch.setattr(download, "has_allensdk", lambda: source.endswith("AllenSDK"))
        monkeypatch.setattr(download, "BACKOFF_S", 0.0)
        monkeypatch.setattr(download, "READ_TIMEOUT_S", 0.3)
        monkeypatch.setattr(download, "LIMIT_S", limit_s)

        def fetch_here(address, path, limit, verbose=1):
            real(address.replace("https:/", url, 1), path, limit_s, verbose)

        for module in (download, paper):
            monkeypatch.setattr(module, "fetch_file", fetch_here)

    return prepare


@pytest.mark.parametrize(("source", "fault"), CASES)
def test_a_bad_answer_is_named_and_leaves_nothing(serve, short, tmp_path, source, fault):
    if source.endswith("AllenSDK") and not download.has_allensdk():
        pytest.skip("AllenSDK is not installed")
    respond, message = FAULTS[fault]
    server = serve(respond)
    short(source, server.url, limit_s=3.0 if fault == "a byte now and then" else 60.0)
    with pytest.raises(ConnectionError) as error:
        SOURCES[source](tmp_path, server.url)
    said = str(error.value)
    assert said.startswith("http") and "\n" not in said and "Traceback" not in said
    if source.startswith("Allen"):
        assert said.endswith("Try again later.")
    elif fault == "a page in HTML":
        message = "SHA256 is not that of the published|no archive of spikes"
    elif fault == "truncated":
        message = "SHA256"
    assert re.search(message, said), said
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list(tmp_path.rglob(".lspin-*")) == []
    if fault in ("503", "404"):
        assert len(server.requests) == 3


@pytest.mark.parametrize("fault", ["truncated", "fewer rows than announced", "another schema"])
def test_a_table_that_is_there_is_never_replaced_by_a_bad_one(serve, short, tmp_path, fault):
    cells, features = table_paths(write_tables(tmp_path))
    good = features.read_bytes()
    cells.write_text('[{"edited by hand')
    server = serve(FAULTS[fault][0])
    short("Allen, by HTTPS", server.url, limit_s=60.0)
    with pytest.raises(ConnectionError):
        allen.fetch(tmp_path, 0, base_uri=server.url)
    assert features.read_bytes() == good and cells.read_text() == '[{"edited by hand'
    assert len(files_in(tmp_path)) == 2


# ---------------------------------------------------------------- what the disk does


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("step", ["mkdtemp", "copy2", "replace"])
def test_a_disk_that_refuses_is_named_and_loses_nothing(
    serve,
    short,
    tmp_path,
    monkeypatch,
    number,
    step,
):
    new = b"published"
    monkeypatch.setattr(moradi2021, "SHA256", hashlib.sha256(new).hexdigest())
    path = tmp_path / moradi2021.FOLDER / moradi2021.FILE
    path.parent.mkdir()
    path.write_text("edited by hand")
    server = serve(lambda handler, _: handler.send(new))
    short("half-widths", server.url, limit_s=60.0)

    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    owner = {"mkdtemp": download.tempfile, "copy2": download.shutil, "replace": download.os}[step]
    with monkeypatch.context() as full:
        full.setattr(owner, step, refuse)
        match = rf"cannot be written to \({os.strerror(number)}\)\. Make"
        with pytest.raises(OSError, match=match):
            moradi2021.fetch(tmp_path, 0)
    assert path.read_text() == "edited by hand"
    assert len(server.requests) == (0 if step == "mkdtemp" else 1)
    assert list(tmp_path.rglob(".lspin-*")) == []
    with pytest.warns(UserWarning, match="The old file is kept beside it"):
        moradi2021.fetch(tmp_path, 0)
    kept = [old.read_text() for old in path.parent.glob("*.old*")]
    assert path.read_bytes() == new and set(kept) == {"edited by hand"}


# ---------------------------------------------------------------- more than one, and killed ones


def fetch_in_a_process(fetch, folder, url):
    process = multiprocessing.get_context("fork").Process(target=fetch, args=(folder, url))
    process.start()
    return process


def test_two_at_once_keep_the_edited_table_and_get_the_new_one(serve, short, tmp_path):
    server = serve(lambda handler, path: handler.send(rma(path)))
    short("Allen, by HTTPS", server.url, limit_s=60.0)
    cells, _ = table_paths(write_tables(tmp_path))
    cells.write_text("edited by hand")
    both = [fetch_in_a_process(SOURCES["Allen, by HTTPS"], tmp_path, server.url) for _ in range(2)]
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    allen.read_tables(tmp_path)
    assert cells.with_name("cells.json.old").read_text() == "edited by hand"
    assert list(tmp_path.rglob(".lspin-*")) == []


N_KILLS = 8


def test_a_download_may_be_killed_at_any_moment(serve, short, tmp_path):
    server = serve(lambda handler, path: handler.send(rma(path)))
    short("Allen, by HTTPS", server.url, limit_s=60.0)
    started = time.monotonic()
    whole = tmp_path / "whole"
    fetch = SOURCES["Allen, by HTTPS"]
    fetch_in_a_process(fetch, whole, server.url).join()
    takes_s = time.monotonic() - started
    wanted = {name: (whole / name).read_bytes() for name in files_in(whole)}
    assert len(wanted) == 2
    moments = random.Random(0)
    for number in range(N_KILLS):
        folder = tmp_path / f"killed {number}"
        process = fetch_in_a_process(fetch, folder, server.url)
        time.sleep(moments.uniform(0, 1.2 * takes_s))
        process.kill()
        process.join()
        for path in folder.rglob("*.*"):  # what is in sight is whole
            if path.is_file() and ".lspin-" not in str(path):
                assert path.read_bytes() == wanted[str(path.relative_to(folder))]
        fetch(folder, server.url)
        assert {name: (folder / name).read_bytes() for name in files_in(folder)} == wanted
        assert list(folder.rglob(".lspin-*")) == []


def test_a_client_ends_with_the_process_that_started_it(serve, short, tmp_path):
    asked = multiprocessing.get_context("fork").Event()
    ended = []

    def respond(handler, path):
        asked.set()
        handler.connection.settimeout(30)
        ended.append(handler.rfile.read(1))  # b"" as soon as the client is gone

    server = serve(respond)
    short("Allen, by HTTPS", server.url, limit_s=60.0)
    download.READ_TIMEOUT_S = 60.0  # put back by the fixture
    process = fetch_in_a_process(SOURCES["Allen, by HTTPS"], tmp_path, server.url)
    assert asked.wait(60)
    process.kill()
    process.join()
    for _ in range(100):
        if ended:
            break
        time.sleep(0.1)
    assert ended == [b""]
