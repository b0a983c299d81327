"""How files come over the network: within a time limit, whole or not at all.

What is fetched goes into a temporary folder beside its destination, is checked there, and is then
moved. A file that was there and is different is kept aside.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from tqdm import tqdm

from lspin.data import client
from lspin.data.tables import sha256

if sys.platform != "win32":
    import fcntl

LIMIT_S = 300.0
"""How long both Allen tables together may take."""

READ_TIMEOUT_S = 60.0
BACKOFF_S = 2.0
_CONNECT_TIMEOUT_S = 5.0

_PREFIX = ".lspin-"


class _ServerFailedError(Exception):
    """The client says how the server failed."""


class _BrokenClientError(Exception):
    """The client itself failed."""


def has_allensdk() -> bool:
    """Tell whether AllenSDK is installed (not whether it works)."""
    return importlib.util.find_spec("allensdk") is not None


def fetch_allen_tables(folder: Path, base_uri: str, verbose: int = 1) -> None:
    """Download both Allen tables, by AllenSDK if it is installed and works, else by plain HTTPS.

    Parameters
    ----------
    folder : Path
        Where the files go.
    base_uri : str
        The server.
    verbose : int
        0 shows no progress.

    Raises
    ------
    ConnectionError
        If the server does not send both tables within :data:`LIMIT_S` seconds.
    OSError
        If the folder cannot be written to.
    """
    name = "allensdk" if has_allensdk() else "https"
    start = time.monotonic()
    files = (client.CELLS_FILE, client.FEATURES_FILE)
    with tqdm(files, desc="Allen Cell Types", unit="table", disable=not verbose) as progress:
        for file in progress:
            progress.set_postfix_str(file)
            path = folder / file
            try:
                try:
                    _run(name, path, base_uri, start, LIMIT_S, progress.refresh)
                except _BrokenClientError as error:
                    if name == "https":
                        raise
                    _warn_without_allensdk(error)
                    name = "https"
                    _run(name, path, base_uri, start, LIMIT_S, progress.refresh)
            except (_ServerFailedError, _BrokenClientError) as error:
                raise ConnectionError(
                    f"{base_uri} did not send {file} {error}. Try again later."
                ) from error


def _warn_without_allensdk(error: Exception) -> None:
    warnings.warn(
        f"AllenSDK is installed but does not work here ({error}). The tables are fetched without "
        "it. To be rid of this message, repair or uninstall AllenSDK.",
        UserWarning,
        stacklevel=3,
    )


def fetch_file(url: str, path: Path, limit_s: float, verbose: int = 1) -> None:
    """Download one file.

    Parameters
    ----------
    url : str
        Where it is.
    path : Path
        Where it goes.
    limit_s : float
        How long it may take, in seconds.
    verbose : int
        0 shows no progress.

    Raises
    ------
    ConnectionError
        If it does not arrive in time.
    OSError
        If it cannot be written.
    """
    check_reachable(url)
    with tqdm(desc=path.name, unit="B", unit_scale=True, disable=not verbose) as progress:

        def watch() -> None:
            if path.exists():
                progress.update(path.stat().st_size - progress.n)

        try:
            _run("address", path, url, time.monotonic(), limit_s, watch)
        except (_ServerFailedError, _BrokenClientError) as error:
            raise ConnectionError(f"{url} could not be downloaded {error}.") from error
        watch()


def fetch_known(url: str, path: Path, digest: str, limit_s: float, verbose: int = 1) -> None:
    """Download one file of known content, unless it is there already.

    Parameters
    ----------
    url : str
        Where it is.
    path : Path
        Where it goes; its folder is made if needed. Another file that is there is kept beside it.
    digest : str
        Its SHA256.
    limit_s : float
        How long it may take, in seconds.
    verbose : int
        0 shows no progress.

    Raises
    ------
    ConnectionError
        If it does not arrive in time, or is another file.
    OSError
        If it cannot be written.
    """
    if path.is_file() and sha256(path) == digest:
        return
    with staging(path.parent) as temporary:
        fetch_file(url, temporary / path.name, limit_s, verbose)
        if sha256(temporary / path.name) != digest:
            raise ConnectionError(
                f"{url} sent a file whose SHA256 is not that of the published one. It was not kept."
            )
        put_in_place(temporary / path.name, path)


def _run(
    name: str, path: Path, address: str, start: float, limit_s: float, watch: Callable[[], Any]
) -> None:
    """Let a client download one file in a process of its own, until ``limit_s`` after ``start``."""
    left_s = max(start + limit_s - time.monotonic(), 0.0)
    # Nothing is ever written to this pipe. It closes when this process ends, however it ends, and
    # then the client does, too.
    reader, writer = os.pipe()
    # -P: the modules beside the program must not hide others of the same names.
    process = subprocess.Popen(
        [
            *(sys.executable, "-P", "-W", "ignore", client.__file__, name, str(path), address),
            *map(str, (left_s, READ_TIMEOUT_S, BACKOFF_S)),
        ],
        stdin=reader,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    os.close(reader)
    with process:
        stderr = None
        try:
            while stderr is None:
                try:
                    _, stderr = process.communicate(timeout=1)
                except subprocess.TimeoutExpired:
                    watch()
        except BaseException:  # Ctrl-C among others
            process.kill()
            raise
        finally:
            os.close(writer)
    status = process.returncode
    why = (stderr.strip().splitlines() or [f"exit status {status}"])[-1]
    if status == client.TIMED_OUT:
        raise _ServerFailedError(f"within {limit_s:.0f} s")
    if status == client.SERVER_FAILED:
        raise _ServerFailedError(why)
    if status == client.DISK_FAILED:
        raise OSError(int(why), os.strerror(int(why)))
    if status:
        raise _BrokenClientError(why)


def check_reachable(base_uri: str) -> None:
    """Fail within seconds on a machine without a network.

    Behind a proxy only the proxy can tell, so the check is left to the download.

    Raises
    ------
    ConnectionError
        If the server cannot be reached.
    """
    address = urlsplit(base_uri)
    host = address.hostname or ""
    if address.scheme in getproxies() and not proxy_bypass(host):
        return
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ConnectionError(f"{base_uri} cannot be reached ({error}).") from error


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Give a temporary folder inside ``folder``, which is made if needed.

    Parameters
    ----------
    folder : Path
        The folder of the data, on the same disk as the temporary one, so that a finished file can
        be moved and never is half there.

    Yields
    ------
    Path
        The temporary folder; it is removed at the end.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written to: in one sentence, with what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            _without_leftovers(folder),
            tempfile.TemporaryDirectory(dir=folder, prefix=_PREFIX) as name,
        ):
            yield Path(name)
    except OSError as error:
        if error.errno not in client.DISK_ERRORS:
            raise
        raise OSError(
            f"{folder} cannot be written to ({error.strerror}). "
            "Make room or mend the permissions, or set LSPIN_DATA_DIR to another folder."
        ) from error


@contextmanager
def _without_leftovers(folder: Path) -> Iterator[None]:
    """Remove temporary folders of downloads that were killed, but of none that still runs.

    Whoever downloads holds a lock of the folder, which the system takes from a process that ends,
    however it ends. Who has the lock alone knows that nobody else is at work there.
    """
    if sys.platform == "win32":  # no such locks: what is left over stays
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # another one is at work, or this disk knows no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for old in folder.glob(f"{_PREFIX}*"):
                shutil.rmtree(old, ignore_errors=True)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def put_in_place(new: Path, path: Path) -> None:
    """Move a fetched file to its place; a different file that is there is kept beside it.

    Parameters
    ----------
    new : Path
        The fetched file, on the same disk.
    path : Path
        Where it belongs.
    """
    if path.is_file():
        before = new.with_name(f"{path.name}.old")
        shutil.copy2(path, before)
        if before.read_bytes() != new.read_bytes():
            old = _keep(before, path)
            warnings.warn(
                f"{path} was damaged or had been changed, and was fetched again. "
                f"The old file is kept beside it as {old.name}.",
                UserWarning,
                stacklevel=3,
            )
    os.replace(new, path)


def _keep(copy: Path, path: Path) -> Path:
    """Move a copy of a file to the first free of ``NAME.old``, ``NAME.old2``, ``NAME.old3``..."""
    names = (path.with_name(f"{path.name}.old{n if n > 1 else ''}") for n in count(1))
    while True:
        old = next(names)
        try:
            os.link(copy, old)  # unlike a move, it never replaces what another process has kept
            return old
        except OSError:
            if not old.exists():  # a disk that knows no links
                os.replace(copy, old)
                return old
