"""Check that every chapter's notebook equals its script and holds no outputs.

The scripts in book/scripts are what people edit; `make sync` writes the notebooks from them.
"""

import sys
from pathlib import Path

import jupytext

ROOT = Path(__file__).resolve().parents[1]
ADVICE = "run `make sync` and commit both"


def cells(notebook):
    """List what a reader sees of each cell, and what the book reads of it."""
    return [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]


def problems(book):
    """List, in sentences, what is wrong with the chapters in the folder `book`."""
    found = []
    scripts = {path.stem: path for path in (book / "scripts").glob("*.py")}
    notebooks = {path.stem: path for path in book.glob("*.ipynb")}
    for name in sorted(scripts.keys() - notebooks.keys()):
        found.append(f"book/scripts/{name}.py has no notebook book/{name}.ipynb: {ADVICE}")
    for name in sorted(notebooks.keys() - scripts.keys()):
        found.append(f"book/{name}.ipynb has no script book/scripts/{name}.py: {ADVICE}")
    for name in sorted(notebooks.keys() & scripts.keys()):
        notebook = jupytext.read(notebooks[name])
        if any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells):
            found.append(f"book/{name}.ipynb holds outputs: {ADVICE}")
        if cells(notebook) != cells(jupytext.read(scripts[name])):
            found.append(f"book/{name}.ipynb and book/scripts/{name}.py differ: {ADVICE}")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems(ROOT / "book")) or 0)
