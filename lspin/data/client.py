"""A program that downloads one file: an Allen table by AllenSDK or by plain HTTPS, or any address.

It runs in a process of its own (:mod:`lspin.data.download` starts it), because AllenSDK knows no
timeout, and because no timeout ends an answer that comes byte by byte: after ``limit_s`` the
process simply ends, and so it does when the one that started it was killed. That is also why this
file imports nothing of lspin.

Both clients of the Allen server make the same two queries and write the same files. AllenSDK asks
for all rows at once, plain HTTPS page by page; both count them.
"""

from __future__ import annotations

import csv
import errno
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

CELLS_FILE = "cells.json"
FEATURES_FILE = "ephys_features.csv"

# How the process ends. Any other exit status means that the client itself is broken.
SERVER_FAILED, DISK_FAILED, TIMED_OUT = 3, 4, 5

DISK_ERRORS = frozenset(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EEXIST", "ENOTDIR", "EIO")
    if hasattr(errno, name)
)
"""Error numbers that no second try can cure: the disk is full, read-only, not ours."""

_TRIES = 3
_CONNECT_TIMEOUT_S = 5.0
_PAGE_ROWS = 5000

_QUERIES = {  # file: model, criteria, the column with the id of a row
    CELLS_FILE: ("ApiCellTypesSpecimenDetail", "", "specimen__id"),
    FEATURES_FILE: ("EphysFeature", "rma::criteria,specimen(ephys_result[failed$eqfalse]),", "id"),
}


def import_cell_types_cache() -> type:
    """Import AllenSDK's ``CellTypesCache``, also with numpy 2."""
    import numpy as np

    # AllenSDK 2.16.2, its newest release, asks for numpy 1. The one thing it misses in numpy 2 is
    # this name, which moved.
    vars(np).setdefault("VisibleDeprecationWarning", np.exceptions.VisibleDeprecationWarning)
    from allensdk.core.cell_types_cache import CellTypesCache

    return CellTypesCache


def by_allensdk(path: Path, base_uri: str, read_timeout_s: float) -> Callable[[], Any]:
    """Return the query that lets AllenSDK cache the table at ``path``."""
    import socket

    cache = import_cell_types_cache()(
        manifest_file=str(path.with_name("manifest.json")), base_uri=base_uri
    )
    cache.api.read_data = _all_rows  # AllenSDK takes whatever comes
    socket.setdefaulttimeout(read_timeout_s)  # and sets no limit
    if path.name == CELLS_FILE:
        return lambda: cache.get_cells(simple=False)
    return cache.get_ephys_features


def by_https(path: Path, base_uri: str, read_timeout_s: float) -> Callable[[], Any]:
    """Return the query that writes the table to ``path`` as AllenSDK would."""
    import requests

    model, criteria, key = _QUERIES[path.name]
    timeout = (_CONNECT_TIMEOUT_S, read_timeout_s)

    def ask(start: int) -> tuple[list[dict[str, Any]], int]:
        query = (
            f"model::{model},{criteria}"
            f"rma::options[num_rows$eq{_PAGE_ROWS}][start_row$eq{start}][order$eq'{key}']"
        )
        url = f"{base_uri}/api/v2/data/query.json?q={quote(query, safe=':$,')}"
        response = requests.get(url, timeout=timeout)
        response.raise_for_status()
        return _rows_of(response.content)

    def query() -> None:
        rows, total = ask(0)
        while len(rows) < total:
            page, total = ask(len(rows))
            if not page:
                raise ValueError(f"it sent {len(rows)} of {total} rows")
            rows += page
        if len({row[key] for row in rows}) != len(rows):
            raise ValueError("it sent rows twice")
        _write(path, rows)

    return query


def by_address(path: Path, address: str, read_timeout_s: float) -> Callable[[], Any]:
    """Return the query that writes what is at an address to ``path``."""
    import requests

    def query() -> None:
        timeout = (_CONNECT_TIMEOUT_S, read_timeout_s)
        with requests.get(address, timeout=timeout, stream=True) as response:
            response.raise_for_status()
            with path.open("wb") as file:
                for chunk in response.iter_content(1 << 16):
                    file.write(chunk)

    return query


def _rows_of(content: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return the rows in an answer of the server, and how many rows there are in all."""
    if not content.lstrip().startswith(b"{"):  # such as the login page of a hotel's network
        raise ValueError(f"the answer is not JSON but {content[:40]!r}")
    answer = json.loads(content)
    return _all_rows(answer, at_once=False), answer["total_rows"]


def _all_rows(answer: dict[str, Any], at_once: bool = True) -> list[dict[str, Any]]:
    """Return the rows in a parsed answer, all that there are if they were asked for at once."""
    rows = answer["msg"]
    if answer["success"] is not True:
        raise ValueError(f"it says {rows!r}")
    if at_once and len(rows) < answer.get("total_rows", 0):
        raise ValueError(f"it sent {len(rows)} of {answer['total_rows']} rows")
    return rows


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the rows in the layout of AllenSDK's cache."""
    if path.name == CELLS_FILE:
        path.write_text(json.dumps(rows, indent=2), encoding="utf-8")
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)


def _retry(query: Callable[[], Any], path: Path, backoff_s: float) -> None:
    """Call ``query``, which writes its answer to ``path``, up to three times."""
    for attempt in range(_TRIES):
        # AllenSDK caches even an answer it cannot use, and would read it back.
        path.unlink(missing_ok=True)
        try:
            query()
            return
        # A truncated or HTML answer is a ValueError of the JSON reader, an answer of
        # another shape one of the next four; a connection cut in the middle is an HTTPException.
        except (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            HTTPException,
        ) as error:
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                raise
            last = f"{type(error).__name__}: {error}"
        if attempt < _TRIES - 1:
            time.sleep(backoff_s * 2**attempt)
    raise ConnectionError(f"in {_TRIES} tries (last: {last})")


def _end_with_parent() -> None:
    """End this process as soon as its input ends, which is when the one that started it does."""
    os.read(0, 1)
    os._exit(TIMED_OUT)


def main(
    client: str, path: str, address: str, limit_s: str, read_timeout_s: str, backoff_s: str
) -> None:
    """Download one file.

    Parameters
    ----------
    client : {"allensdk", "https", "address"}
    path : str
        The file to write; for the first two its name says which table.
    address : str
        The Allen server; for "address" where the file is.
    limit_s, read_timeout_s, backoff_s : str
        Seconds until this process ends, until a silent server is given up, and between the first
        two tries.
    """
    watchdog = threading.Timer(float(limit_s), os._exit, [TIMED_OUT])
    watchdog.daemon = True
    watchdog.start()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    by = {"allensdk": by_allensdk, "https": by_https, "address": by_address}[client]
    try:
        Path(path).parent.mkdir(exist_ok=True)
        query = by(Path(path), address, float(read_timeout_s))
        _retry(query, Path(path), float(backoff_s))
    except ConnectionError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(SERVER_FAILED)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(error.errno, file=sys.stderr)
        sys.exit(DISK_FAILED)


if __name__ == "__main__":
    main(*sys.argv[1:])
