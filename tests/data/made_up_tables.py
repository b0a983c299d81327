"""Small Allen tables, and a server on this machine that sends what a test wants."""

import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd

from lspin.data import allen
from lspin.data.tables import RELEASED_FEATURES

CELLS = [
    # specimen, donor, species, Cre line, dendrite type, reporter
    (11, 1, "Mus musculus", "Rorb-IRES2-Cre", "spiny", "positive"),
    (12, 1, "Mus musculus", "Rorb-IRES2-Cre", "aspiny", "positive"),
    (13, 2, "Mus musculus", "Pvalb-IRES-Cre", "aspiny", "negative"),
    (14, 3, "Mus musculus", "Vip-IRES-Cre", "sparsely spiny", "positive"),
    (15, 3, "Mus musculus", "Vipr2-IRES2-Cre", "aspiny", "positive"),
    (16, 4, "Homo Sapiens", "", "spiny", None),
    (17, 5, "Homo Sapiens", "", "sparsely spiny", None),
]


def made_up_cells():
    keys = (
        "specimen__id",
        "donor__id",
        "donor__species",
        "line_name",
        "tag__dendrite_type",
        "cell_reporter_status",
    )
    return [
        {
            **dict(zip(keys, row, strict=True)),
            "structure__layer": None,
            "structure__acronym": "VISp",
        }
        for row in CELLS
    ]


def made_up_features():
    rng = np.random.default_rng(0)
    rows = []
    for specimen, *_ in reversed(CELLS):  # not in the order of the cells
        values = rng.normal(size=len(RELEASED_FEATURES)).tolist()
        row = dict(zip(RELEASED_FEATURES, values, strict=True))
        rows.append(
            {
                **row,
                "id": -specimen,
                "specimen_id": specimen,
                "adaptation": None,
                "has_burst": False,
            }
        )
    return rows


def write_tables(folder):
    (folder / allen.FOLDER).mkdir(parents=True)
    (folder / allen.FOLDER / allen.CELLS_FILE).write_text(json.dumps(made_up_cells()))
    pd.DataFrame(made_up_features()).to_csv(
        folder / allen.FOLDER / allen.FEATURES_FILE, index=False
    )
    return folder


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


class Server(ThreadingHTTPServer):
    """Serve ``respond(handler, path)`` on this machine and count the requests."""

    daemon_threads = True

    def __init__(self, respond):
        self.requests = []
        self.stop = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path = urllib.parse.unquote(self.path)
                server.requests.append(path)
                respond(self, path)

            def send(self, body, status=200, length=None):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


def rma(path):
    """Answer an RMA query as the Allen server does."""
    rows = made_up_cells() if "ApiCellTypesSpecimenDetail" in path else made_up_features()
    options = dict(re.findall(r"\[(\w+)\$eq'?(\w+)'?\]", path))
    start, n_rows = int(options.get("start_row", 0)), options["num_rows"]
    if "order" in options:
        rows.sort(key=lambda row: row[options["order"]])
    page = rows[start:] if n_rows == "all" else rows[start : start + int(n_rows)]
    envelope = {"success": True, "id": 0, "start_row": start, "num_rows": len(page)}
    return json.dumps({**envelope, "total_rows": len(rows), "msg": page}).encode()


def table_paths(folder):
    return [folder / allen.FOLDER / name for name in (allen.CELLS_FILE, allen.FEATURES_FILE)]
