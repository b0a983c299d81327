"""What the documents say is true: their code runs, and what they point to exists."""

import doctest
import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import pytest
from numpydoc.validate import validate

from lspin import LSPINClassifier
from lspin.data import twin
from lspin.evaluate import compare, intervals
from lspin.studies import read_results, results_file

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *(f"book/{page}.md" for page in ("intro", "running", "api", "catalogue", "feature_mapping")),
    *(f"book/{page}.md" for page in ("for_teachers", "capstone", "troubleshooting")),
]

REFERENCE = {
    module: page.name
    for page in sorted((ROOT / "book").glob("api_*.rst"))
    for module in re.findall(r"automodule:: (\S+)", page.read_text())
}
"""The modules of the reference, and their pages."""


def blocks(text, language):
    """List the fenced code blocks of one language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


def test_the_code_of_the_readme_runs(monkeypatch, capsys):
    monkeypatch.setenv("LSPIN_SOURCE", "twin")
    found = blocks((ROOT / "README.md").read_text(), "python")
    assert len(found) == 2
    namespace = {}
    for number, block in enumerate(found, start=1):
        exec(compile(block, f"README.md, block {number}", "exec"), namespace)
    said = capsys.readouterr().out
    assert "SYNTHETIC TWIN" in said
    # 0.5 is what naming the largest class for every cell would give
    assert float(re.search(r"accuracy: ([\d.]+)", said).group(1)) > 0.6
    # The printed gates are those of one cell: open, and not all of them.
    gates = namespace["gates"]
    assert gates.between(0, 1).all()
    assert 0 < (gates > 0).sum() < len(gates)


def test_the_readme_and_its_figure_say_what_was_recorded():
    readme = " ".join((ROOT / "README.md").read_text().split())
    tables, _ = read_results(results_file("positive"))
    scores = tables["scores"]
    f1 = intervals(scores)["macro_f1"]
    few = f1["mean"]["LSPIN, 5 gates"]
    ours, rival = f1.loc["LSPIN"], f1.loc["RBF-SVM"]
    behind = compare(scores)["macro_f1"].loc["RBF-SVM"]
    for sentence in (
        f"F1 of {ours['mean']:.3f} (95 % interval {ours['low']:.3f} to {ours['high']:.3f})",
        f"looks at everything has {rival['mean']:.3f}:",
        f"ahead by {-behind['mean']:.3f} ({-behind['high']:.3f} to {-behind['low']:.3f})",
        f"with at most five open gates per cell it has {few:.3f}.",
    ):
        assert sentence in readme
    # `python book/_static/summary.py` draws it anew
    figure = (ROOT / "book" / "_static" / "summary.svg").read_text()
    for mean in (ours["mean"], rival["mean"], few):
        assert f"{mean:.3f}</text>" in figure


def test_front_page_and_readme_show_one_figure_that_names_its_source():
    pages = [(ROOT / name).read_text() for name in ("README.md", "book/intro.md")]
    assert all("_static/one_cell.svg" in page and "MIT licence" in page for page in pages)
    figure = (ROOT / "book" / "_static" / "one_cell.svg").read_text()
    (recording,) = re.findall(r"Recording: (\S+), swharden/pyABF \(MIT licence\)", figure)
    assert all(recording in page for page in pages)
    assert "Allen Cell Types Database" in figure and "SYNTHETIC" not in figure
    # one line, or what follows becomes part of the caption
    assert re.search(r"(?m)^:alt: .{100,}\n\n", pages[1])


def test_the_readme_knows_the_parameters():
    parameters = inspect.signature(LSPINClassifier).parameters
    rows = re.findall(r"(?m)^\| `(\w+)` \| `(.+?)` \|", (ROOT / "README.md").read_text())
    assert len(rows) == 5
    for name, default in rows:
        assert repr(parameters[name].default) == default


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_between_files_lead_somewhere(name):
    document = ROOT / name
    labels = re.findall(r"(?m)^\((.+)\)=$", "".join((ROOT / d).read_text() for d in DOCUMENTS))
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        nearby = [document.parent / f"{target}{suffix}" for suffix in ("", ".md", ".rst", ".ipynb")]
        is_there = target in labels or any(path.exists() for path in nearby)
        assert is_there, f"{name} links to {target}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_in_documents_exist(name):
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text())
    text = (ROOT / name).read_text()
    commands = "\n".join(blocks(text, "bash") + re.findall(r"`([^`\n]+)`", text))
    for target in re.findall(r"(?m)(?:^|\s)make (\w+)", commands):
        assert target in targets, f"{name} says `make {target}`"
    for subcommand in re.findall(r"(?m)(?:^|/|\s)lspin (\w+)", commands):
        known = (
            *("fetch", "info", "evaluate", "explain"),
            *("classify", "template", "train", "predict"),
        )
        assert subcommand in known, f"{name} says `lspin {subcommand}`"


def test_troubleshooting_quotes_what_is_really_said():
    files = [*(ROOT / "lspin").rglob("*.py"), ROOT / ".ci" / "make_env.py"]
    code = "".join(file.read_text() for file in files)
    said = re.sub(r'"\s*f?"', "", code)  # a message goes on in the next line
    symptoms = re.findall(r"(?m)^\*\*(.+)\*\*", (ROOT / "book" / "troubleshooting.md").read_text())
    quoted = re.findall(r'"(.+?)"', "\n".join(symptoms))
    assert len(quoted) > 10
    for message in quoted:
        for part in filter(None, re.split(r"\s*\.\.\.:?\s*", message)):
            assert part.rstrip(".") in said, f"nothing says {part!r}"


def test_the_reference_shows_every_room():
    rooms = {f"lspin.{path.parent.name}" for path in (ROOT / "lspin").glob("*/__init__.py")}
    assert rooms | {"lspin.show.drop_zone"} == set(REFERENCE)


def public(module):
    """Name the functions and classes that the page of a module shows."""
    home = importlib.import_module(module)
    shown = (getattr(home, name) for name in home.__all__)
    return [x.__name__ for x in shown if inspect.isfunction(x) or inspect.isclass(x)]


@pytest.mark.parametrize("module", REFERENCE)
def test_whatever_is_public_is_described_with_an_example(module):
    for name in public(module):
        found = validate(f"{module}.{name}")
        problems = dict(found["errors"])
        # EX01: no example; PR01, PR02: parameters without description, or none of the function's
        wanted = {"EX01", "PR01", "PR02"} & set(problems)
        if "    Attributes\n" in found["docstring"] or "\nAttributes\n" in found["docstring"]:
            wanted -= {"PR01"}  # a record, whose attributes are its parameters
        assert not wanted, f"{module}.{name}: {[problems[code] for code in wanted]}"


@pytest.fixture
def one_twin(monkeypatch):
    """Draw the twin once for all examples, and run what they run in this process."""
    monkeypatch.setenv("LSPIN_SOURCE", "twin")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(twin, "load", drawn)
    with joblib.parallel_config("threading"):
        yield
    plt.close("all")


drawn = cache(twin.load)


@pytest.mark.parametrize("module", REFERENCE)
def test_examples_run_and_print_what_they_say(module, one_twin):
    home = importlib.import_module(module)
    for name in public(module):
        # Nothing is at hand but what the example imports, as for a reader who copies it.
        for example in doctest.DocTestFinder(recurse=False).find(
            getattr(home, name), f"{module}.{name}", globs={}
        ):
            said = []
            doctest.DocTestRunner().run(example, out=said.append)
            assert not said, "".join(said)
