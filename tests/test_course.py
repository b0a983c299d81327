"""What is handed out in a course: notebooks for students and for teachers, slides, the bundle.

The teacher's notebook holds the code of the chapter, cell by cell, and the chapters run in
`make test` already. So here ruff looks in all students' notebooks for names that only a solution
defined, one short chapter is run in both versions, and `make course-test`, every night, runs all.
"""

import base64
import csv
import io
import json
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".ci"))

import course  # noqa: E402
import times  # noqa: E402
from plain import Plain  # noqa: E402

CHAPTERS = course.chapters()
SHORT = "fetching_cells"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder with both sets of notebooks."""
    folder = tmp_path_factory.mktemp("course")
    for kind, with_solutions in (("student", False), ("instructor", True)):
        course.write_notebooks(folder / kind, with_solutions)
    return folder


def read(folder, kind, name):
    notebook = nbformat.read(folder / kind / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    return notebook.cells


def chapter(name):
    return nbformat.read(CHAPTERS[name], as_version=4).cells


def code(cells):
    return [cell.source for cell in cells if cell.cell_type == "code"]


def is_solution(cell):
    return cell.cell_type == "code" and "hide-cell" in cell.metadata.get("tags", [])


def is_folded(cell):
    return cell.metadata.get("jupyter", {}).get("source_hidden", False)


# Plain Markdown


@pytest.fixture
def plain():
    titles = {"01_cells": "Where from?", "running": "Running the chapters"}
    return Plain(titles, ["01_cells"], ROOT / "references.bib")


@pytest.mark.parametrize(
    ("myst", "markdown"),
    [
        ("as {cite:t}`ophir2023` say", "as Ophir et al. (2023) say"),
        ("known {cite}`bean2007,lundberg2017`.", "known (Bean 2007; Lundberg and Lee 2017)."),
        ("see {doc}`01_cells`", "see [Where from?](01_cells.ipynb)"),
        ("see {doc}`there <01_cells>`", "see [there](01_cells.ipynb)"),
        ("[](running) says", "*Running the chapters* (a page of the book) says"),
        ("[pandas](https://pandas.pydata.org)", "[pandas](https://pandas.pydata.org)"),
        ("a {term}`gate`, {term}`donors <donor>`", "a gate, donors"),
        ("`x[0](1)` {math}`a_1`", "`x[0](1)` $a_1$"),
        ("(a-label)=\n## Title", "## Title"),
        ("```python\n{doc}`01_cells`\n```", "```python\n{doc}`01_cells`\n```"),
        ("```{tip}\nRead.\n```", "> **Tip**\n>\n> Read."),
        (
            "before\n:::{admonition} Predict\n:class: tip\nIs it {term}`sag`?\n\nWhy?\n:::\nafter",
            "before\n\n> **Predict**\n>\n> Is it sag?\n>\n> Why?\n\nafter",
        ),
        (
            "```{dropdown} Answer 1\nYes.\n```",
            "<details>\n<summary>Answer 1</summary>\n\nYes.\n\n</details>",
        ),
        (
            "```{figure} _static/a.png\n:alt: A line\nIt *rises*.\n```",
            "![A line](_static/a.png)\n\n*It *rises*.*",
        ),
    ],
)
def test_myst_becomes_markdown_that_every_notebook_shows(plain, myst, markdown):
    assert plain.parts(myst) == [(False, markdown)]


def test_a_bibliography_lists_what_was_cited(plain):
    plain.text(["{cite}`ophir2023,bean2007`"])
    first, second = plain.text(["```{bibliography}", ":filter: docname in docnames", "```"]).split(
        "\n"
    )
    assert "Bean" in first and "10.1038/nrn2148" in first
    assert "Ophir" in second and "locally sparse networks" in second


@pytest.mark.parametrize("myst", ["{unheard}`of`", "```{unheard-of}\nx\n```"])
def test_what_has_no_plain_form_is_refused(plain, myst):
    with pytest.raises(ValueError, match="unheard.* has no plain form"):
        plain.text([*myst.splitlines()])


@pytest.mark.parametrize(
    "solution",
    ["```{dropdown} Solution\nSo.\n```", "```{tip} Solution\n:class: dropdown\nSo.\n```"],
)
def test_solutions_are_told_from_the_rest(plain, solution):
    assert plain.parts(f"**1.** Why?\n\n{solution}\n\nNext.") == [
        (False, "**1.** Why?"),
        (True, "**Solution.** So."),
        (False, "Next."),
    ]


def test_a_solution_that_could_not_be_left_out_is_refused(plain):
    with pytest.raises(ValueError, match="inside of another block"):
        plain.parts("````{admonition} Exercise\nWhy?\n```{dropdown} Solution\nSo.\n```\n````")


# The notebooks


@pytest.mark.parametrize("name", CHAPTERS)
@pytest.mark.parametrize("kind", ["student", "instructor"])
def test_notebooks_hold_plain_markdown(made, kind, name):
    for cell in read(made, kind, name):
        if cell.cell_type == "markdown":
            assert not re.search(r"\{[\w:-]+\}`|:::|(?m:^\(.+\)=$)", cell.source), cell.source
            assert not re.search(r"(`{3,}|:{3,})\s*\{", cell.source), cell.source
            for link in re.findall(r"\]\(([^)#:]+)\)", cell.source):
                assert (made / kind / link).exists(), link
    title = chapter(name)[0].source.splitlines()[0]
    assert read(made, kind, name)[0].source.startswith(title)
    assert "CC BY 4.0" in read(made, kind, name)[-1].source


@pytest.mark.parametrize("name", CHAPTERS)
def test_students_get_no_solution_and_a_place_for_their_own(made, name):
    cells = read(made, "student", name)
    solutions = [cell.source for cell in chapter(name) if is_solution(cell)]
    assert not set(code(cells)) & set(solutions)
    given = [cell.source for cell in chapter(name) if cell.cell_type == "code"]
    ours = [source for source in code(cells) if not source.startswith("# Your answer")]
    assert ours == [source for source in given if source not in solutions]

    text = "\n".join(cell.source for cell in cells)
    taught = "\n".join(cell.source for cell in read(made, "instructor", name))
    n_solved = len(re.findall(r"(?m)^\*\*(?:.* )?[Ss]olution.*\*\*", taught))
    assert "**Solution" not in text
    assert text.count("*Your answer, in words:*") == n_solved
    assert bool(solutions) == ("# Your answer, in code" in text)


@pytest.mark.parametrize("name", CHAPTERS)
def test_teachers_get_the_chapters_code_with_the_solutions_folded(made, name):
    cells = read(made, "instructor", name)
    assert code(cells) == [cell.source for cell in chapter(name) if cell.cell_type == "code"]
    solutions = {cell.source for cell in chapter(name) if is_solution(cell)}
    for cell in cells:
        if cell.source in solutions or cell.source.startswith("**Solution"):
            assert is_folded(cell)
        elif cell.cell_type == "markdown":
            assert not is_folded(cell)


def test_no_chapter_needs_what_only_a_solution_defines(made):
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", "--no-cache"]
    found = subprocess.run(
        [*ruff, "--target-version", "py311", made / "student"], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("kind", ["student", "instructor"])
def test_a_short_chapter_runs_in_both_versions(made, kind, monkeypatch):
    monkeypatch.setenv("LSPIN_SOURCE", "twin")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (name,) = [name for name in CHAPTERS if SHORT in name]
    notebook = nbformat.read(made / kind / f"{name}.ipynb", as_version=4)
    folder = {"metadata": {"path": str(made / kind)}}
    NotebookClient(notebook, timeout=300, startup_timeout=300, resources=folder).execute()
    said = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "SYNTHETIC TWIN" in said


# Slides


PIXEL = base64.b64encode(b"a picture").decode()


def test_slides_are_the_figures_of_a_chapter():
    alt = {"mystnb": {"image": {"alt": 'Pvalb+ < "others"'}}}
    banner = new_output("stream", text="Source: SYNTHETIC TWIN, <no> recordings.\n")
    figure = new_output("display_data", {"image/png": PIXEL + "\n", "text/plain": "<Figure>"})
    executed = new_notebook(
        cells=[
            new_markdown_cell("# How wrong?\n\n## Overview"),
            new_code_cell("print(...)", outputs=[banner]),
            new_markdown_cell("## Who & where"),
            new_code_cell("plt.show()", metadata=alt, outputs=[figure]),
        ]
    )
    page = BeautifulSoup(course.deck(executed), "html.parser")
    first, second = page.find_all("section")
    assert (
        first.h1.text == "How wrong?" and "Source: SYNTHETIC TWIN, <no> recordings." in first.text
    )
    assert second.h2.text == "Who & where"
    assert second.img["alt"] == second.p.text == 'Pvalb+ < "others"'
    assert second.img["src"] == f"data:image/png;base64,{PIXEL}"
    assert not page.find_all(["script", "link"])  # nothing from elsewhere


def test_a_chapter_without_figures_has_no_slides(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "chapters", lambda: ["with", "without"])
    for name, picture in (("with", PIXEL), ("without", None)):
        data = {"image/png": picture} if picture else {"text/plain": "3"}
        shown = new_code_cell("x", outputs=[new_output("display_data", data)])
        notebook = new_notebook(cells=[new_markdown_cell("# Title"), shown])
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    course.write_slides(tmp_path / "slides", tmp_path)
    assert [page.name for page in (tmp_path / "slides").iterdir()] == ["with.html"]


# The bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, made):
    """The bundle, made of a book of one page."""
    folder = tmp_path_factory.mktemp("bundle")
    html = folder / "html"
    html.mkdir()
    (html / "index.html").write_text("<h1>A page</h1>")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(course, "COURSE", made)
        (made / "slides").mkdir()
        course.write_bundle(folder / "bundle", html)
    return folder / "bundle"


def test_the_bundle_holds_what_its_readme_names(bundle):
    text = (bundle / "README.md").read_text()
    for name in re.findall(r"(?m)^\| `(.+?)` \|", text):
        assert (bundle / name).exists(), name
    assert not (bundle / "instructor").exists()  # students get it
    (wheel,) = (bundle / "wheels").glob("lspin-*.whl")
    assert "lspin/data/twin_stats.json" in zipfile.ZipFile(wheel).namelist()


def test_the_twin_in_the_bundle_is_synthetic_and_whole(bundle):
    with (bundle / "synthetic_twin.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 1000
    assert all(row["specimen_id"].startswith("-") for row in rows)  # ids of no recording
    assert {row["class"] for row in rows} >= {"Pvalb+", "Glutamatergic"}


def test_the_list_of_packages_is_complete(bundle):
    """Whoever installs it with --no-deps has all that each package on it asks for."""
    pins = [Requirement(line) for line in (bundle / "wheels.txt").read_text().splitlines()]
    listed = {canonicalize_name(pin.name) for pin in pins}
    lines = [line.split("#")[0].strip() for line in (ROOT / "overrides.txt").open()]
    lifted = {canonicalize_name(Requirement(line).name) for line in lines if line}
    assert {"torch", "jupyterlab"} <= listed and not any(map(is_cuda, listed))
    for name in listed & installed():
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                other = canonicalize_name(needed.name)
                assert other in listed | lifted or is_cuda(other), f"{name} needs {other}"


def installed():
    return {canonicalize_name(found.name) for found in metadata.distributions()}


def is_cuda(name):
    return name.startswith(("nvidia-", "cuda-", "triton"))


# Run times


def test_run_times_are_those_of_chapters_that_are_there():
    """Run `make times` after a chapter was added, renamed or made longer."""
    rows = times.known()
    assert list(rows) == [name for name in CHAPTERS if name in rows]
    for row in rows.values():
        assert float(row["Processor time (s)"]) > 0
        assert 0.1 < float(row["Memory (GB)"]) < 2  # Binder ends a session that takes more


def test_the_processor_time_of_programs_that_a_chapter_starts_counts(monkeypatch, capsys):
    monkeypatch.setenv("LSPIN_SOURCE", "twin")
    busy = "import time\nwhile time.process_time() < 1.5: pass\nprint(flush=True); time.sleep(600)"
    exec(times.ASK, {})
    child = subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE)
    child.stdout.readline()  # it has been busy, and is still there
    exec(times.ASK, {})
    child.kill()
    child.wait()
    before, after = map(json.loads, capsys.readouterr().out.splitlines())
    assert before["Cells"] == "twin"
    assert after["Processor time (s)"] >= before["Processor time (s)"] + 1


def test_one_chapter_can_be_measured_alone(tmp_path, monkeypatch, capsys):
    first, second = list(CHAPTERS)[:2]
    table = tmp_path / "times.csv"
    table.write_text(
        ",".join(times.COLUMNS) + f"\ngone,twin,1,0.1\n{second},twin,2,0.2\n{first},twin,3,0.3\n"
    )
    monkeypatch.setattr(times, "TABLE", table)
    now = dict(zip(times.COLUMNS[1:], "567", strict=True))
    monkeypatch.setattr(times, "measured", lambda file: now)
    times.main([second])
    rows = list(csv.reader(io.StringIO(table.read_text())))
    assert rows[1:] == [[first, "twin", "3", "0.3"], [second, "5", "6", "7"]]
