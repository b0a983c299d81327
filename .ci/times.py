"""Measure how long the chapters take, into book/times.csv, which the page for teachers shows.

`make times` measures all chapters; names of chapters after the script measure only those:

    OMP_NUM_THREADS=1 .venv/bin/python .ci/times.py 01_fetching_cells

What is measured is the processor's time, of the notebook and of the programs it starts: how long
the chapter takes on one core that does nothing else, even if this computer is busy. Memory is the
most that the notebook itself held at a time.
"""

import csv
import json
import sys

import nbformat
from course import ROOT, chapters
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

TABLE = ROOT / "book" / "times.csv"
COLUMNS = ["Chapter", "Cells", "Processor time (s)", "Memory (GB)"]
ASK = """
import json, resource, sys, psutil
from lspin import load_cells
_gb = 2**30 if sys.platform == "darwin" else 2**20  # Macs count bytes, Linux kilobytes
_me = psutil.Process()
_all = [_p.cpu_times() for _p in [_me, *_me.children(recursive=True)]]
_gone = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({
    "Cells": "twin" if load_cells(verbose=0).is_synthetic else "recorded",
    "Processor time (s)": round(sum(_t.user + _t.system for _t in _all)
                                + _gone.ru_utime + _gone.ru_stime),
    "Memory (GB)": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _gb, 1),
}))
"""


def measured(file):
    """Run a chapter and return its row of the table, without the name."""
    notebook = nbformat.read(file, as_version=4)
    notebook.cells.append(new_code_cell(ASK))
    folder = {"metadata": {"path": str(file.parent)}}
    NotebookClient(notebook, timeout=3600, startup_timeout=300, resources=folder).execute()
    return json.loads(notebook.cells[-1].outputs[-1].text)


def known():
    """Read the table: its rows by the name of the chapter."""
    if not TABLE.exists():
        return {}
    with TABLE.open(newline="") as table:
        return {row["Chapter"]: row for row in csv.DictReader(table)}


def main(names):
    """Measure these chapters, or all; keep the rows of the others that are still in the book."""
    rows = known()
    for name in names or chapters():
        rows[name] = {"Chapter": name, **measured(chapters()[name])}
        print(*rows[name].values(), sep="\t", flush=True)
        with TABLE.open("w", newline="") as table:
            writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows[name] for name in chapters() if name in rows)


if __name__ == "__main__":
    main(sys.argv[1:])
