"""The command line.

``lspin fetch`` downloads the data, ``lspin info`` says what is there,
``lspin evaluate`` scores LSPIN and its rivals on them, and ``lspin explain``
says which type one cell was predicted to be, and why. ``lspin classify`` does that for recordings
of your own, or for a table of features, of which ``lspin template`` writes a form.
``lspin train`` learns from a labelled table of anything, and ``lspin predict``
uses the model that it saved.
"""

from __future__ import annotations

import argparse
import builtins
import csv
import io
import os
import platform
import sys
import textwrap
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm import tqdm

from lspin import __version__
from lspin.data import (
    COHORTS,
    PATCHSEQ,
    Cells,
    allen,
    as_numbers,
    data_dir,
    decimal_commas,
    load_cells,
    load_spikes,
    moradi2021,
    own_table,
    paper,
    read_csv,
)
from lspin.data.tables import atomic_write, printable, sha256

if TYPE_CHECKING:
    from lspin.show import OwnCard

_PACKAGES = ("numpy", "pandas", "scikit-learn", "torch", "allensdk")


def print(*texts: object, **how: Any) -> None:
    """Show text as text, whatever a table, a model or a file name holds."""
    builtins.print(*(printable(str(text)) for text in texts), **how)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0 if all went well, 1 after one sentence on stderr that says what did not, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="lspin", description=__doc__)
    parser.add_argument("--version", action="version", version=f"lspin {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    fetch = commands.add_parser("fetch", help="download the data into the data folder")
    fetch.add_argument(
        "--source",
        choices=("allen", "paper", *PATCHSEQ, "half-widths", "all"),
        default="all",
        help="Allen tables, the tables and spikes of the paper, Patch-seq of mouse visual cortex, "
        "mouse motor cortex or human cortex, half-widths of the Allen cells, or all (default)",
    )
    commands.add_parser("info", help="show versions, data files and cell counts")
    evaluate = commands.add_parser(
        "evaluate", help="run a study, such as LSPIN against its rivals, and record it as JSON"
    )
    evaluate.add_argument("study", nargs="?", help="which; without it, all are listed")
    evaluate.add_argument("output", nargs="?", type=Path, help="the JSON file to write")
    evaluate.add_argument("--repeats", type=int, help="repeats of five folds, or draws")
    evaluate.add_argument(
        "--model",
        action="append",
        dest="models",
        metavar="NAME",
        help="only this model; repeatable",
    )
    evaluate.add_argument("--force", action="store_true", help="replace the file whatever it holds")
    explain = commands.add_parser(
        "explain", help="say which type one cell was predicted to be, and why"
    )
    explain.add_argument("specimen_id", type=int, help="the cell's number in the Allen database")
    explain.add_argument("--cohort", choices=tuple(COHORTS), help="which cells to train on")
    explain.add_argument("--figure", type=Path, metavar="FILE", help="draw the card as well")
    train = commands.add_parser(
        "train", help="score LSPIN on a labelled table of your own, and save the model"
    )
    train.add_argument("table", type=Path, help="a CSV file, a row per sample")
    train.add_argument("--label", required=True, metavar="COLUMN", help="what to predict")
    train.add_argument(
        "--group",
        metavar="COLUMN",
        help="which rows belong together, such as cells of a donor: never on both sides of a test",
    )
    train.add_argument(
        "--max-open",
        type=int,
        metavar="K",
        help="columns that the answer about a row may be read from (default: 5; with as many as "
        "there are, no gate has to close)",
    )
    train.add_argument(
        "--save", type=Path, metavar="FILE", help="where to keep the model, such as model.lspin"
    )
    predict = commands.add_parser(
        "predict", help="use a model that `lspin train` saved on a table like that one"
    )
    predict.add_argument("model", type=Path, help="the file of the model")
    predict.add_argument("table", type=Path, help="a CSV file with the columns of the model")
    predict.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the CSV file to write (default: print)"
    )
    classify = commands.add_parser(
        "classify", help="say which kind of neuron a recording of your own came from, and why"
    )
    classify.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a recording (.abf, .nwb, .ibw, .h5, .csv), or a .csv table of features",
    )
    classify.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="write a table and cards there"
    )
    classify.add_argument("--species", help="of the cells, if you know")
    classify.add_argument(
        "--temperature", type=float, metavar="CELSIUS", help="of the bath, if you know"
    )
    template = commands.add_parser(
        "template", help="write a form for features that you have measured yourself"
    )
    template.add_argument("file", nargs="?", type=Path, help="a .csv file; without it, it is shown")
    args = parser.parse_args(argv)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed: nobody wants to read it
            setattr(sys, name, open(os.devnull, "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack the sign for ohms
            stream.reconfigure(errors="replace")
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")  # a file or a program gets every letter
    warnings.formatwarning = _plain_warning
    try:
        if args.command == "fetch":
            _fetch(data_dir(), args.source)
        elif args.command == "evaluate":
            _evaluate(args.study, args.output, args.repeats, args.models, args.force)
        elif args.command == "explain":
            _explain(args.specimen_id, args.cohort, args.figure)
        elif args.command == "train":
            _train(args.table, args.label, args.group, args.max_open, args.save)
        elif args.command == "predict":
            _predict(args.model, args.table, args.output)
        elif args.command == "classify":
            return _classify(args.files, args.output, args.species, args.temperature)
        elif args.command == "template":
            _template(args.file)
        else:
            _info(data_dir())
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has enough. Python would complain when flushing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"lspin {args.command}: stopped.", file=sys.stderr)
        return 130
    except (OSError, ValueError, ImportError) as error:
        advice = ""
        if isinstance(error, ConnectionError) and args.command != "fetch":
            advice = (
                " Where there is a network, `lspin fetch` gets the files; LSPIN_DATA_DIR says "
                "where they lie."
            )
        print(f"lspin {args.command}: {error}{advice}", file=sys.stderr)
        return 1
    return 0


def _plain_warning(message: Warning | str, *_: object, **__: object) -> str:
    """Return a warning without the line of code that gave it."""
    return printable(f"lspin: {message}\n")


def _fetch(folder: Path, source: str) -> None:
    if source in ("allen", "all"):
        allen.fetch(folder)
        print(f"Allen tables: {folder / allen.FOLDER}")
    if source in ("paper", "all"):
        paper.fetch(folder)
        print(f"Tables and spikes of the paper: {folder / paper.FOLDER}")
    if source in ("half-widths", "all"):
        moradi2021.fetch(folder)
        print(f"Half-widths of the Allen cells: {folder / moradi2021.FOLDER}")
    for name, described in PATCHSEQ.items():
        if source in (name, "all"):
            described.fetch(folder)
            print(f"{described.citation}: {folder / described.folder}")


def _evaluate(
    name: str | None,
    output: Path | None,
    n_repeats: int | None,
    models: list[str] | None,
    force: bool,
) -> None:
    # Imported here because `lspin info` should not wait for torch.
    import pooch
    from joblib import Memory

    from lspin.evaluate import summary
    from lspin.studies import (
        STUDIES,
        check_output,
        check_study,
        read_results,
        run_study,
        write_results,
    )

    if name is None:
        if n_repeats is not None or models or force:
            raise ValueError("Name the study first: `lspin evaluate` lists all.")
        for known, study in STUDIES.items():
            print(f"{known:13} {study.about}")
        return
    options = check_study(name, models, n_repeats)
    if output is None:
        raise ValueError("Name the JSON file to write after the study.")
    seeds = range(options.get("n_repeats", 0))
    check_output(output, STUDIES[name].about, seeds, options.get("models"), force=force)
    # Finished parts, so that a stopped run can go on. They are pickles: they must lie where
    # nobody else writes, not in the current folder.
    memory = Memory(Path(pooch.os_cache("lspin"), "searches"), verbose=0)
    write_results(run_study(name, models=models, n_repeats=n_repeats, memory=memory), output)
    tables, about = read_results(output)
    print(about["study"], about["protocol"], sep="\n")
    if "models" in options:
        for table, part in tables["scores"].groupby("table", sort=False):
            print(f"\n{table}. {about['cells'][table]['banner']}")
            print(summary(part).round(3).to_string())
    print(f"\n{about['wall_time_s']} s of wall time")


def _explain(specimen_id: int, cohort: str | None, figure: Path | None) -> None:
    from lspin.evaluate import FEW
    from lspin.explain.held_out import without_donor_of
    from lspin.model import LSPINClassifier
    from lspin.show.card import make_card, plot_card

    if figure is not None:
        _check_figure(figure)
    cells = load_cells(cohort=cohort)
    if specimen_id not in cells.X.index:
        raise ValueError(_unknown_cell(specimen_id, cells))
    held = without_donor_of(cells, specimen_id, LSPINClassifier(max_open=FEW, verbose=1))
    spikes = None
    if cells.is_synthetic or paper.has_spikes(data_dir(), "mouse"):  # never wait for a download
        spikes = load_spikes("twin" if cells.is_synthetic else "paper")
    card = make_card(held, specimen_id, spikes)
    print(card)
    if figure is not None:
        with atomic_write(figure) as temporary:
            plot_card(card).savefig(temporary)
        print(f"\nFigure: {figure}")


def _train(
    path: Path, label: str, group: str | None, max_open: int | None, save: Path | None
) -> None:
    table = own_table(read_csv(path, [label, group]), label, group)
    if max_open is not None and max_open < 1:
        raise ValueError(f"--max-open must be 1 or more, got {max_open}.")
    if save is not None:
        _check_output("--save", save)
        if save.exists() and not _is_model(save):
            raise ValueError(f"--save {save} holds something else: name another file.")
    from lspin.evaluate import FEW, score_own
    from lspin.model import LSPINClassifier, LSPINRegressor

    kind = LSPINRegressor if table.is_regression else LSPINClassifier
    print(f"{path}: {len(table.X)} rows, {table.X.shape[1]} columns to learn from:")
    print(textwrap.fill(", ".join(table.X), 100, initial_indent="  ", subsequent_indent="  "))
    print(*table.remarks, sep="\n")
    for name, why in table.left_out.items():
        print(f"Left out: {name or 'the column without a name'} ({why})")
    if missing := int(table.X.isna().sum().sum()):
        print(f"{missing} values are missing; the median of the training rows stands for them.")
    if group is None:
        print(
            "Without --group every row counts as independent. If several come from one animal, "
            "patient or day,\nthe scores are too good: the model may recognise it. Name the column."
        )
    else:
        print(f"{table.groups.nunique()} groups ({group}); none is on both sides of a test.")
    sys.stdout.flush()  # what follows takes a while
    found = score_own(table, kind(FEW if max_open is None else max_open, random_state=0))
    print(f"\n{found}")
    if save is not None:
        found.model.save(save)
        print(f"\nSaved: {save}. For new rows: lspin predict {save} NEW.csv")
    print(f"\n{found.seconds:.0f} s")


def _predict(model_path: Path, path: Path, output: Path | None) -> None:
    raw = read_csv(path)
    if output is not None:
        _check_output("--output", output)
        is_special = output.exists() and not output.is_file()  # a pipe, a device
        if is_special or output.suffix.lower() not in (".csv", ".txt"):
            raise ValueError(f"--output {output}: name a file that ends in .csv.")
        if output.exists() and any(output.samefile(other) for other in (path, model_path)):
            raise ValueError(f"--output {output} would replace what is read: name another file.")
    from lspin.model import TableModel

    model = TableModel.load(model_path)
    table, commas = raw.copy(), decimal_commas(raw)
    for name in set(model.columns) & set(raw):
        table[name] = as_numbers(raw[name], commas)
        if len(words := raw[name][raw[name].notna() & table[name].isna()]):
            raise ValueError(
                f"{path}: {name} must hold numbers; row {words.index[0] + 1} has "
                f"{words.iloc[0]!r}. Leave empty what was not measured, and separate no thousands."
            )
    found = model.predict(table)
    limit = model.model.max_open_
    if limit is not None and limit < len(model.inputs):
        gates = model.gates(table)
        found["read_from"] = ["; ".join(row.index[row > 0]) for _, row in gates.iterrows()]
    # What the model does not know, such as names of samples, says which row is which.
    others = raw.drop(columns=list(model.columns), errors="ignore")
    if taken := [name for name in found if name in others]:
        raise ValueError(f"{path} has a column {taken[0]!r} already: rename it, so it is kept.")
    text = others.join(found).to_csv(index=False, float_format="%.6g")
    if output is None:
        if sys.stdout.isatty():
            print(text, end="")
        else:
            sys.stdout.write(text)  # a file or a program gets the names as they are
        return
    with atomic_write(output.resolve()) as temporary:  # a link goes on pointing where it did
        temporary.write_text(text, encoding="utf-8")
    print(f"{len(found)} rows: {output}")


def _is_model(path: Path) -> bool:
    from lspin.model.saved import is_model

    return is_model(path)


def _check_output(option: str, path: Path) -> None:
    """Refuse a file that could not be written, before anything is computed for it."""
    if path.is_dir():
        raise ValueError(f"{option} {path} is a folder: name a file in it.")
    if not path.parent.is_dir():
        raise ValueError(f"{option} {path}: there is no folder {path.parent}.")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise ValueError(f"{option} {path}: there is no permission to write there.")


def _classify(
    files: list[Path], output: Path | None, species: str | None, temperature_c: float | None
) -> int:
    """Classify each file; one that cannot be read does not stop the others."""
    from lspin.show.own_cell import classify_file, write_cards

    if output is not None:
        _check_folder(output)
    cards: list[OwnCard] = []
    status = 0
    for path in tqdm(files, desc="Classifying", unit="file", disable=None):  # on a terminal
        try:
            cards += classify_file(path, species=species, temperature_c=temperature_c)
        except (OSError, ValueError, ImportError) as error:
            status = 1
            tqdm.write(printable(f"lspin classify: {_one_line(error, path)}"), file=sys.stderr)
        except KeyboardInterrupt:
            status = 130
            said = f"lspin classify: stopped; what follows is of the files before {path.name}."
            tqdm.write(printable(said), file=sys.stderr)
            break
    if len(cards) == 1:
        print(cards[0])
    elif cards:
        _print_cards(cards)
    if output is not None and cards:
        print("\nWritten:", *write_cards(cards, output), sep="\n  ")
    sys.stdout.flush()
    return status


def _print_cards(cards: list[OwnCard]) -> None:
    """Show a row for each cell; those outside of what the model knows first."""
    outside = [card.name for card in cards if card.is_outside]
    if outside:
        print(
            f"{len(outside)} of {len(cards)} cells lie OUTSIDE of what the model knows; their "
            "answers are guesses:"
        )
        for card in cards:
            if card.is_outside:
                print(f"  {card.name}: {card.doubts[0]}")
        print()
    width = min(max(len(card.name) for card in cards), 40)
    print(f"{'cell':{width}}  {'predicted':14} {'probability':>11}  {'second':14} decided by")
    for card in cards:
        decided = ", ".join(str(name) for name in card.gates.index[:3])
        mark = " (OUTSIDE)" if card.is_outside else ""
        name = card.name if len(card.name) <= width else card.name[: width - 1] + "…"
        print(
            f"{name:{width}}  {card.predicted:14} {card.probability[card.predicted]:>11.0%}  "
            f"{_second_predicted(card):14} {decided}{mark}"
        )
    if any(_second_predicted(card) != "-" for card in cards):
        print(
            "\nsecond: the answer by cells that were labelled by their own RNA, where the first is "
            "inhibitory.\nThe table that -o writes says what it is worth."
        )
    whys = dict.fromkeys(card.second for card in cards if isinstance(card.second, str))
    for why in filter(None, whys):
        print(*textwrap.wrap(why, 96), sep="\n")
    for caution in dict.fromkeys(card.caution for card in cards if card.caution):
        print("", *textwrap.wrap(caution, 96), sep="\n")
    print(f"\n{cards[0].source}")


def _second_predicted(card: OwnCard) -> str:
    """Name the class of the second opinion; a dash where there is none."""
    return "-" if isinstance(card.second, str) else card.second.predicted


def _one_line(error: Exception, path: Path) -> str:
    """Say what is wrong with a file in one line, with its name."""
    if isinstance(error, FileNotFoundError):
        return f"there is no file {path}"
    said = " ".join(str(error).split())
    return said if path.name in said else f"{path.name}: {said}"


def _template(path: Path | None) -> None:
    from lspin.features.form import template_rows, write_template

    if path is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(template_rows())
        return
    if path.suffix.lower() != ".csv":
        raise ValueError(f"{path}: the name must end in .csv.")
    write_template(path)
    print(f"{path}: fill in a row for each cell, and leave empty what you have not measured. Then:")
    print(f"  lspin classify {path}")


def _check_folder(path: Path) -> None:
    """Refuse a folder that could not be written to, before anything is trained."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"-o {path} is a file: name a folder.")
    above = path if path.is_dir() else path.parent
    if not above.is_dir():
        raise ValueError(f"-o {path}: there is no folder {above}.")
    if not os.access(above, os.W_OK):
        raise ValueError(f"-o {path}: there is no permission to write there.")


def _check_figure(path: Path) -> None:
    """Refuse a figure that could not be written, before anything is trained for it."""
    from matplotlib.backend_bases import FigureCanvasBase

    endings = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix.lower().removeprefix(".") not in endings:
        raise ValueError(f"--figure {path}: the name must end in one of .{', .'.join(endings)}.")
    _check_output("--figure", path)


def _unknown_cell(specimen_id: int, cells: Cells) -> str:
    """Say what to do about a specimen id that is not in the table."""
    message = f"There is no cell {specimen_id} here. {cells.banner()} "
    if cells.is_synthetic and specimen_id > 0:
        return message + "Recorded cells have such ids: `lspin fetch` downloads them."
    if cells.cohort != "all" and cells.source != "paper":
        if specimen_id in load_cells(cells.source, "all").X.index:
            return message + "Cohort all has it: add --cohort all."
    return message + f"An id is the number of a cell in that table, such as {cells.X.index[0]}."


def _info(folder: Path) -> None:
    print(f"lspin {__version__}, Python {platform.python_version()}")
    print(", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    if source := os.environ.get("LSPIN_SOURCE"):
        print(f"LSPIN_SOURCE is {source}: load_cells() looks there first.")
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
    if cohorts["all"].provenance["changed"]:
        print(f"{cohorts['all'].banner()} To have those, delete the folder and run `lspin fetch`.")
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
        f"{moradi2021.FOLDER}/{moradi2021.FILE}",
        *(f"{source.folder}/{name}" for source in PATCHSEQ.values() for name in source.files),
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
