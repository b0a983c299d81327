"""The command line.

``lspin fetch`` downloads the data, ``lspin info`` says what is there, and
``lspin evaluate`` scores LSPIN and its rivals on them.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from lspin import __version__
from lspin.data import COHORTS, allen, data_dir, load_cells, paper
from lspin.data.tables import sha256

_PACKAGES = ("numpy", "pandas", "scikit-learn", "torch", "allensdk")


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0 if all went well, 1 after one sentence on stderr that says what did not.
    """
    parser = argparse.ArgumentParser(prog="lspin", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fetch = commands.add_parser("fetch", help="download the data into the data folder")
    fetch.add_argument(
        "--source",
        choices=("allen", "paper", "all"),
        default="all",
        help="Allen tables, the tables and spikes of the paper, or all (default)",
    )
    commands.add_parser("info", help="show versions, data files and cell counts")
    evaluate = commands.add_parser("evaluate", help="score LSPIN and its rivals, record as JSON")
    evaluate.add_argument("source", choices=("allen", "paper"), help="whose table of features")
    evaluate.add_argument("output", type=Path, help="the JSON file to write")
    evaluate.add_argument("--repeats", type=int, default=3, help="repeats of five folds (3)")
    args = parser.parse_args(argv)
    try:
        if args.command == "fetch":
            _fetch(data_dir(), args.source)
        elif args.command == "evaluate":
            _evaluate(args.source, args.output, args.repeats)
        else:
            _info(data_dir())
    except (OSError, ValueError, ImportError) as error:
        print(f"lspin {args.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _fetch(folder: Path, source: str) -> None:
    if source in ("allen", "all"):
        allen.fetch(folder)
        print(f"Allen tables: {folder / allen.FOLDER}")
    if source in ("paper", "all"):
        paper.fetch(folder)
        print(f"Tables and spikes of the paper: {folder / paper.FOLDER}")


def _evaluate(source: str, output: Path, n_repeats: int) -> None:
    # Imported here because `lspin info` should not wait for torch.
    from lspin.evaluation import evaluate, read_results, summary, write_results

    cells = load_cells(source)
    if source == "paper":  # the paper's cells: those without missing values
        cells = cells.select(cells.X.notna().all(axis=1))
    write_results(evaluate(cells, n_repeats), output)
    scores, about = read_results(output)
    print(about["banner"], about["protocol"], summary(scores).round(3).to_string(), sep="\n")


def _info(folder: Path) -> None:
    print(f"lspin {__version__}, Python {platform.python_version()}")
    print(", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    origin = "LSPIN_DATA_DIR" if os.environ.get("LSPIN_DATA_DIR") else "user's cache"
    print(f"\nData folder ({origin}): {folder}")
    for name in _data_files():
        path = folder / name
        print(f"  {sha256(path)[:12] if path.is_file() else 'missing':12}  {name}")
    print()
    if allen.has_tables(folder):
        _info_allen(folder)
    else:
        print(
            "The Allen tables are not here. Without a network load_cells() would give the "
            "SYNTHETIC TWIN, which holds no recordings. `lspin fetch` downloads the tables."
        )
    if paper.has_table(folder, "mouse") and allen.has_tables(folder):
        cells = paper.load(folder, "mouse")
        print(f"Authors' table: {cells.provenance['complete_rows']} complete of {len(cells)} cells")
    if paper.has_spikes(folder, "mouse") and paper.has_spikes(folder, "human"):
        spikes = {
            species: len(paper.load_spikes(folder, species)) for species in ("mouse", "human")
        }
        print(
            f"Recorded spikes: {sum(spikes.values())} "
            f"({spikes['mouse']} mouse, {spikes['human']} human)"
        )


def _info_allen(folder: Path) -> None:
    species = allen.read_cells(folder)["species"]
    print(f"Allen tables: {(species == 'mouse').sum()} mouse cells of {len(species)}")
    cohorts = {name: load_cells("allen", name, data_dir=folder) for name in COHORTS}
    counts = pd.DataFrame({name: cells.counts() for name, cells in cohorts.items()})
    counts.loc["total"] = counts.sum()
    print("\nMouse cells per class and cohort:")
    print(counts.to_string())
    for name, cells in cohorts.items():
        print(f"\nCohort {name}: {COHORTS[name]}.")
        for rule in cells.provenance["dropped"]:
            print(f"  {rule['cells']:5} dropped by {rule['rule']}: {rule['why']}")
    print()


def _data_files() -> list[str]:
    """Return the data files, relative to the data folder."""
    return [
        *(f"{allen.FOLDER}/{name}" for name in (allen.CELLS_FILE, allen.FEATURES_FILE)),
        *(f"{paper.FOLDER}/{name}" for name in (*paper.TABLE_SHA256, paper.SPIKES_FILE)),
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
