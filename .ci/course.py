"""Write what a lecturer hands out into build/course: notebooks, slides, and a bundle to carry away.

``student``     every chapter in plain Markdown, without solutions, with empty cells for answers
``instructor``  the same with the solutions, folded
``slides``      the figures of every chapter of the built book, one page for each chapter
``bundle.zip``  all that a room without a network needs: the built book, the students' notebooks,
                the slides, the package, the twin as a table, the list of packages to install

The slides and the pages in the bundle are taken from _build, as `make book` left it.
"""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from plain import Plain

ROOT = Path(__file__).resolve().parents[1]
COURSE = ROOT / "build" / "course"
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # JupyterLab; Colab, for code
ABOUT = """---

*{kind} notebook of the book "Which neuron is this?" by the lspin developers. Its text is under
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), its code under the BSD 3-clause licence.*
"""


def pages():
    """Name every page of the table of contents, without folder and ending."""
    listed = re.findall(r"(?m)^\s*(?:- file|root): *(\S+)", (ROOT / "_toc.yml").read_text())
    return [Path(page).name for page in listed]


def chapters():
    """Map the name of every page that is a notebook to its file, in the order of the book."""
    files = {name: ROOT / "book" / f"{name}.ipynb" for name in pages()}
    return {name: file for name, file in files.items() if file.exists()}


def titles():
    """Map the name of every page to its title."""
    found = {}
    for file in (ROOT / "book").iterdir():
        if file.suffix == ".ipynb":
            text = nbformat.read(file, as_version=4).cells[0].source
        elif file.suffix in (".md", ".rst"):
            text = file.read_text()
        else:
            continue
        heading = re.search(r"(?m)^# (.+)|^(.+)\n[=*]{3,}$", text)
        found[file.stem] = (heading[1] or heading[2]) if heading else file.stem
    return found


def course_notebook(chapter, plain, with_solutions):
    """Translate a chapter into a notebook for the students or for their teacher.

    A solution is a folded block of text that is called so, and each code cell with the tag
    hide-cell. Students get an empty cell in its place; in the teacher's notebook it is folded.
    """
    cells = []
    for cell in chapter.cells:
        if cell.cell_type == "markdown":
            for solves, text in plain.parts(cell.source):
                if not solves:
                    cells.append(new_markdown_cell(text))
                elif with_solutions:
                    cells.append(new_markdown_cell(text, metadata=FOLDED))
                else:
                    cells.append(new_markdown_cell("*Your answer, in words:*"))
        elif "hide-cell" not in cell.metadata.get("tags", []):
            # the first cell installs what is missing: nobody reads it
            folded = FOLDED if "remove-cell" in cell.metadata.get("tags", []) else {}
            cells.append(new_code_cell(cell.source, metadata=folded))
        elif with_solutions:
            cells.append(new_code_cell(cell.source, metadata=FOLDED))
        elif cells[-1].source != "# Your answer, in code\n":
            cells.append(new_code_cell("# Your answer, in code\n"))
    kind = "Instructor" if with_solutions else "Student"
    cells.append(new_markdown_cell(ABOUT.format(kind=kind)))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same at every run
    return new_notebook(cells=cells, metadata={"kernelspec": chapter.metadata.kernelspec})


def write_notebooks(folder, with_solutions):
    """Write the notebooks of all chapters into a folder, with the pictures they show."""
    shutil.copytree(
        ROOT / "book" / "_static",
        folder / "_static",
        ignore=shutil.ignore_patterns("*.py", "*.css"),
    )
    names, titled = chapters(), titles()
    for name, file in names.items():
        plain = Plain(titled, names, ROOT / "references.bib")
        try:
            notebook = course_notebook(nbformat.read(file, as_version=4), plain, with_solutions)
        except ValueError as error:
            raise SystemExit(f"book/{name}: {error}") from error
        nbformat.write(notebook, folder / f"{name}.ipynb")


SLIDE = """<section>
<h2>{heading}</h2>
<img src="data:image/png;base64,{picture}" alt="{alt}">
<p>{alt}</p>
</section>
"""
DECK = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
html {{ scroll-snap-type: y mandatory; font: 2.2vmin sans-serif; }}
section {{ height: 100vh; scroll-snap-align: start; box-sizing: border-box; padding: 4vmin;
  display: flex; flex-direction: column; align-items: center; justify-content: center;
  page-break-after: always; }}
h1, h2, p {{ margin: 0 0 2vmin; text-align: center; max-width: 120vmin; }}
h1 {{ font-size: 6vmin; }} h2 {{ font-size: 4vmin; }}
img {{ min-height: 0; max-width: 100%; flex: 0 1 auto; object-fit: contain; margin: 2vmin; }}
@media print {{ @page {{ size: landscape; margin: 0; }} }}
</style>
<section>
<h1>{title}</h1>
<p>{source}</p>
<p>Which neuron is this? Figures and text: the lspin developers, CC BY 4.0.
Space or Page Down: the next figure.</p>
</section>
{slides}</html>
"""


def deck(chapter):
    """Write the figures of an executed chapter as a page that scrolls from one to the next.

    The page needs no network and no program but a browser, which can print it as well.
    """
    heading, slides, source = "", [], ""
    for cell in chapter.cells:
        if cell.cell_type == "markdown":
            heading = ([heading] + re.findall(r"(?m)^##? (.+)", cell.source))[-1]
            continue
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        for output in cell.get("outputs", []):
            if not source and "Source: " in output.get("text", ""):
                source = output.text.strip()
            if picture := output.get("data", {}).get("image/png"):
                fields = {"heading": html.escape(heading), "alt": html.escape(alt)}
                slides.append(SLIDE.format(picture=picture.strip(), **fields))
    title = re.search(r"(?m)^# (.+)", chapter.cells[0].source)[1]
    return DECK.format(title=html.escape(title), source=html.escape(source), slides="".join(slides))


def write_slides(folder, executed):
    """Write a page of figures for every chapter with figures that the last `make book` ran."""
    folder.mkdir()
    for name in chapters():
        page = deck(nbformat.read(executed / f"{name}.ipynb", as_version=4))
        if "<img" in page:
            (folder / f"{name}.html").write_text(page)


def wheels():
    """List what must be installed to run the chapters: every locked package but CUDA."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.removesuffix("\\").strip() for line in lines]  # hashes have their own
    return [pin for pin in pins if re.match(r"(?!cuda-|nvidia-|triton)[\w.-]+==", pin)]


def write_bundle(folder, html_pages):
    """Write the folder that becomes bundle.zip: everything for a room without a network."""
    from lspin import load_cells

    shutil.copytree(COURSE / "student", folder / "student")
    if html_pages.exists():
        shutil.copytree(html_pages, folder / "book")
        shutil.copytree(COURSE / "slides", folder / "slides")
    twin = load_cells("twin", verbose=0)
    labels = {"class": twin.y, "donor": twin.donors}
    twin.X.assign(**labels).to_csv(folder / "synthetic_twin.csv")
    (folder / "wheels.txt").write_text("\n".join(wheels()) + "\n")
    shutil.copy(ROOT / ".ci" / "bundle.md", folder / "README.md")
    for name in ("LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, folder)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder / "wheels", ROOT], check=True)


def main():
    """Write all of it anew; say what is missing."""
    shutil.rmtree(COURSE, ignore_errors=True)
    for kind, with_solutions in (("student", False), ("instructor", True)):
        write_notebooks(COURSE / kind, with_solutions)
    html_pages, executed = ROOT / "_build" / "html", ROOT / "_build" / "jupyter_execute" / "book"
    if html_pages.exists():
        write_slides(COURSE / "slides", executed)
    else:
        print("There is no built book: run `make book` first to have slides and pages as well.")
    write_bundle(COURSE / "bundle", html_pages)
    shutil.make_archive(COURSE / "bundle", "zip", COURSE, "bundle")
    shutil.rmtree(COURSE / "bundle")
    print(f"Written: {COURSE}")


if __name__ == "__main__":
    main()
