"""The house: one environment, a book that is whole, and failures that say what to do."""

import ast
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.metadata import metadata
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lspin

ROOT = Path(__file__).resolve().parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
PLACEHOLDER = "OWNER" + "/lspin"


def load_script(name):
    """Import a script of the folder .ci, which is not a package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_env = load_script("make_env")
notebooks = load_script("notebooks")


def requirements(path):
    """Read the requirements of a file, by canonical name; names may repeat with other markers."""
    lines = [line.split("#")[0].strip(" \\") for line in path.read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return [(canonicalize_name(requirement.name), requirement) for requirement in found]


def chapters():
    """Name the pages of the table of contents, as paths without a suffix."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"]] + [page["file"] for part in toc["parts"] for page in part["chapters"]]


# The environment


def test_direct_dependencies_are_pinned_and_agree_with_the_lock():
    locked = requirements(ROOT / "constraints.txt")
    for name, requirement in requirements(ROOT / "requirements.txt"):
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), f"{requirement} is not pinned"
        versions = {str(other.specifier) for other_name, other in locked if other_name == name}
        assert versions == {str(requirement.specifier)}, f"{name}: run `make lock`"


def test_the_lock_names_no_build_of_its_own():
    # "+cpu" exists on one index only: with it nobody else could install.
    assert not [str(pin) for _, pin in requirements(ROOT / "constraints.txt") if "+" in str(pin)]


@pytest.mark.parametrize("name", ["constraints.txt", ".binder/requirements.txt"])
def test_each_package_of_the_lock_has_hashes(name):
    text = (ROOT / name).read_text()
    for package in re.split(r"(?m)^(?=\w)", text)[1:]:
        pinned, *hashes = package.split(" \\\n")
        assert "==" in pinned and hashes, f"{pinned}: run `make lock`"
        assert all(re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}\n?", line) for line in hashes)


def test_this_environment_is_the_locked_one():
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("not run in the project's .venv")
    wrong = []
    for name, pin in requirements(ROOT / "constraints.txt"):
        if pin.marker and not pin.marker.evaluate():
            continue
        try:
            installed = metadata(name)["Version"].split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue  # only needed on another platform, or with another build of torch
        if not pin.specifier.contains(installed, prereleases=True):
            wrong.append(f"{name} {installed}, locked {pin.specifier}")
    assert not wrong


def test_the_package_needs_nothing_that_the_environment_lacks():
    pinned = {name for name, _ in requirements(ROOT / "requirements.txt")}
    needed = {
        canonicalize_name(Requirement(line).name)
        for line in metadata("lspin").get_all("Requires-Dist")
    }
    assert needed <= pinned


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == lspin.__version__ == metadata("lspin")["Version"]
    assert f"## {lspin.__version__}" in (ROOT / "CHANGELOG.md").read_text()


ROOMS = ("data", "features", "model", "evaluate", "explain", "show", "studies")
"""In the order in which data flow through them."""


def imports_of(path):
    """Name the modules of lspin that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "lspin":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("lspin."))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_those_before_it(room):
    modules = list((ROOT / "lspin" / room).rglob("*.py"))
    assert modules
    allowed = {*ROOMS[: ROOMS.index(room) + 1], "__version__"}
    for path in modules:
        for name in imports_of(path):
            assert name.split(".")[1] in allowed, f"{path} imports {name}"


def test_every_module_is_in_a_room():
    inside = {path.name for path in (ROOT / "lspin").iterdir()} - {"__pycache__"}
    assert inside == {*ROOMS, "__init__.py", "__main__.py", "py.typed"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_lives_there_and_exports_its_names(room):
    home = importlib.import_module(f"lspin.{room}")
    assert len(home.__doc__.splitlines()) > 2 and home.__all__
    for path in (ROOT / "lspin" / room).glob("*.py"):
        assert (
            path.stem in ("__init__", "fit_twin")
            or f"``{path.stem}``" in home.__doc__
            or (room == "data" and path.stem in home.__doc__)
        ), f"lspin.{room} does not say what {path.stem} is"


def test_type_checkers_see_what_the_package_exports():
    assert (ROOT / "lspin" / "py.typed").is_file()
    assert set(lspin.__all__) == set(lspin._HOME)
    tree = ast.parse(Path(lspin.__file__).read_text())
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = {alias.name: line.module for line in typed.body for alias in line.names}
    assert imports == lspin._HOME


def test_what_binder_leaves_out_no_chapter_needs():
    left_out = (ROOT / "requirements.txt").read_text().split("\n# checks")[1]
    assert "nbval==" in left_out
    names = {"shap", "captum", "pytest", "selenium", "bs4", "yaml", "numba", "tabm", "pytabkit"}
    for path in (ROOT / "book" / "scripts").glob("*.py"):
        assert not names & set(re.findall(r"(?m)^(?:from|import) (\w+)", path.read_text())), path


def test_binder_installs_the_same_files():
    post_build = (ROOT / ".binder" / "postBuild").read_text()
    assert "--torch-backend cpu" in post_build
    # Only a constraint on the command line has its hashes checked.
    assert "-r book-only.txt -c constraints.txt --overrides overrides.txt" in post_build
    assert "sed '/^# checks/,$d' requirements.txt" in post_build
    assert (ROOT / ".binder" / "runtime.txt").read_text().strip() == "python-3.12"
    for name in ("postBuild", "start"):
        assert os.access(ROOT / ".binder" / name, os.X_OK), f".binder/{name} cannot be executed"


# Making the environment


@pytest.mark.parametrize("version", [(3, 6, 9), (3, 8, 20), (3, 10, 1)])
def test_an_old_python_is_refused_in_one_sentence(version):
    with pytest.raises(make_env.Failed, match=r"^This is Python 3\.\d+ and the book needs 3\.11"):
        make_env.check_python(version)


@pytest.mark.parametrize("version", [(3, 11, 9), (3, 13, 0), (3, 14, 1)])
def test_the_right_python_is_taken(version):
    make_env.check_python(version)


def test_an_old_python_can_read_the_script():
    ast.parse((ROOT / ".ci" / "make_env.py").read_text(), feature_version=(3, 6))


def test_make_with_an_old_python_ends_with_the_sentence(tmp_path):
    house = copy_of_the_house(tmp_path)
    # A Python that believes it is old, since an old one is hardly ever at hand.
    old = tmp_path / "python3.8"
    believe = """import runpy, sys
sys.version_info = (3, 8, 20)
runpy.run_path(sys.argv[1], run_name="__main__")"""
    old.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{believe}' \"$@\"\n")
    old.chmod(0o755)
    made = subprocess.run(
        ["make", "book", f"PYTHON={old}"],
        cwd=house,
        capture_output=True,
        text=True,
    )
    assert made.returncode != 0
    assert "This is Python 3.8 and the book needs 3.11" in made.stderr
    assert "Traceback" not in made.stderr
    assert not (house / ".venv").exists()


def test_make_without_python_ends_with_a_sentence(tmp_path):
    house = copy_of_the_house(tmp_path)
    made = subprocess.run(
        ["make", "book", "PYTHON=no-such-python"], cwd=house, capture_output=True, text=True
    )
    assert made.returncode != 0
    assert "There is no Python here (no-such-python): install Python 3.13" in made.stdout


def test_python_without_venv_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)  # as Debian ships it
    with pytest.raises(make_env.Failed, match=r"apt install python3\.11-venv"):
        make_env.check_python((3, 11, 2))


def test_a_disk_without_room_is_refused(tmp_path):
    with pytest.raises(make_env.Failed, match=r"has [\d.]+ GB free and the environment needs"):
        make_env.check_disk(tmp_path, needed_gb=1e9)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        ("error: command 'gcc' failed: No such file or directory", "no working C compiler"),
        ("error: command '/usr/bin/x86_64-linux-gnu-gcc' failed with exit code 1", "C compiler"),
        (
            "WARNING: Retrying: NewConnectionError: Failed to establish a new connection\n"
            "ERROR: No matching distribution found for pooch==1.9.0",
            "could not be downloaded: check the network",
        ),
        ("error: Request failed\n  cause: dns error", "check the network"),
        ("ERROR: No matching distribution found for torch==2.13.0", "There is no torch==2.13.0"),
        ("error: Hash mismatch for `six==1.17.0`\n\nExpected:", "is not the file that"),
        ("ERROR: ResolutionImpossible: for help visit", "run `make lock`"),
        ("ERROR: something never seen before", "failed: something never seen before"),
        ("", "the log says why"),
    ],
)
def test_a_failed_installation_is_explained(said, sentence, tmp_path):
    # a stand-in for pip, that says this among other things and fails
    said = "Collecting pooch==1.9.0\n" * 100 + said
    log = tmp_path / "install.log"
    fake_pip = [sys.executable, "-c", f"import sys; print({said!r}); sys.exit(1)"]
    with pytest.raises(make_env.Failed, match=re.escape(sentence)) as failure:
        make_env.run(fake_pip, log)
    assert "\n" not in str(failure.value)
    assert said.splitlines()[-1] in log.read_text()


def test_a_half_made_environment_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(make_env, "ROOT", tmp_path)
    monkeypatch.setattr(make_env, "check_disk", lambda folder: None)
    log = tmp_path / "install.log"
    venv = tmp_path / ".venv"
    monkeypatch.setenv("UV_TORCH_BACKEND", "cpu")
    (tmp_path / "requirements.txt").write_text("torch==2.13.0\n")
    ran = []

    def run_or_be_interrupted(command, log_path):
        ran.append(command)
        if "venv" in command:
            venv.mkdir()
        if "requirements.txt" in command and interrupted:
            (venv / "half").touch()
            raise KeyboardInterrupt

    monkeypatch.setattr(make_env, "run", run_or_be_interrupted)
    interrupted = True
    with pytest.raises(KeyboardInterrupt):
        make_env.make(log)
    assert not (venv / ".ready").exists()

    interrupted = False
    make_env.make(log)
    assert (venv / ".ready").exists()
    assert not (venv / "half").exists()
    # The build of torch that was asked for comes first; all else is compared with the lock.
    torch, everything = [command for command in ran if "uv" in command][-2:]
    assert torch[-2:] == ["--no-deps", "torch==2.13.0"]
    assert "constraints.txt" == everything[everything.index("-c") + 1]

    # A whole one is updated where it is, and stops being whole until that is done.
    ran.clear()
    interrupted = True
    with pytest.raises(KeyboardInterrupt):
        make_env.make(log)
    assert not any("venv" in command for command in ran)
    assert not (venv / ".ready").exists()


# The book


def test_every_page_is_there_once():
    pages = chapters()
    assert len(set(pages)) == len(pages)
    for page in pages:
        assert (ROOT / f"{page}.md").exists() != (ROOT / f"{page}.ipynb").exists(), page
    notebooks_there = {f"book/{path.stem}" for path in (ROOT / "book").glob("*.ipynb")}
    assert notebooks_there == {page for page in pages if (ROOT / f"{page}.ipynb").exists()}


FRAME = [
    *("Overview", "After this chapter you can", "Prerequisites", "Time to learn"),
    *("Take-away", "Self-check", "Exercises", "What's next?", "References"),
]
APPENDIX_FRAME = [head for head in FRAME if head != "Self-check"]


def path_of_chapters():
    """Name the notebooks of the numbered parts in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    parts = [part for part in toc["parts"] if part.get("numbered")]
    return [Path(page["file"]).name for part in parts for page in part["chapters"]]


def written(name):
    """Return the text of a chapter."""
    cells = jupytext.read(ROOT / "book" / "scripts" / f"{name}.py").cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("path", sorted((ROOT / "book/scripts").glob("*.py")), ids=lambda p: p.stem)
def test_every_chapter_keeps_the_frame(path):
    text = written(path.stem)
    assert re.match(r"# [^\n]+\?\n", text), "the title is no question"
    heads = re.findall(r"(?m)^## (.+)$", text)
    heads_expected = FRAME if path.stem in path_of_chapters() else APPENDIX_FRAME
    assert [head for head in heads if head in FRAME] == heads_expected
    assert heads[:4] == FRAME[:4] and heads[4 - len(heads_expected) :] == heads_expected[4:]
    parts = dict(re.findall(r"(?ms)^## ([^\n]+)\n(.*?)(?=^## |\Z)", text))
    assert len(parts["Overview"].strip().split("\n\n")) == 1, "the overview is one paragraph"
    assert 3 <= len(re.findall(r"(?m)^- ", parts["After this chapter you can"])) <= 5
    reading, exercises = re.findall(r"\*\*: (\d+) minutes", parts["Time to learn"])
    rungs = re.findall(r"(?m)^\*\*\d\. ?([\w-]*)\.?\*\* ", parts["Exercises"])
    assert int(reading) + int(exercises) / len(rungs) <= 45
    assert parts["Exercises"].count("{dropdown} Solution") == len(rungs)
    if path.stem in path_of_chapters():
        assert {"Warm-up", "Core", "Open"} == set(rungs)
        tags = re.findall(r"\*(?:On\s+the\s+twin:|Needs\s+recorded)", parts["Exercises"])
        assert len(tags) == len(rungs)
        assert len(re.findall(r"(?m)^\*\*\d\.\*\* ", parts["Self-check"])) == 5
        assert parts["Self-check"].count("{dropdown} Answer") == 5
        assert "Predict before you run" in text


def test_chapters_have_their_numbers_and_lead_on():
    path = path_of_chapters()
    assert [int(name[:2]) for name in path] == list(range(1, len(path) + 1))
    for name, following in zip(path, path[1:], strict=False):
        (after,) = re.findall(r"(?s)## What's next\?(.*?)## References", written(name))
        assert re.findall(r"\{doc\}`(\w+)`", after)[0] == following, name


def test_texts_point_to_chapters_by_name():
    for page in sorted((ROOT / "book").glob("*.md")) + sorted((ROOT / "book/scripts").glob("*.py")):
        assert not re.findall(r"(?i)\bchapters? \d", page.read_text()), page.name


def test_every_chapter_first_installs_what_it_lacks():
    first = set()
    imported = set()
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        code = [
            cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
        ]
        first.add(code[0].source)
        assert "remove-cell" in code[0].metadata.tags
        text = "\n".join(cell.source for cell in code)
        imported |= set(re.findall(r"(?m)^(?:from|import) (\w+)", text))
    (cell,) = first
    needed = set(ast.literal_eval(re.search(r"(?s)NEEDED = (\(.*?\))", cell)[1]))
    # What the package brings along, and what every notebook has.
    always = {"joblib", "numpy", "pandas", "scipy", "sklearn", "torch"} | {"IPython", "matplotlib"}
    assert imported - always - sys.stdlib_module_names <= needed
    assert re.search(r"lspin\[(.*?)\]", cell)[1] == "book,recordings,rivals"


@pytest.mark.parametrize("path", sorted((ROOT / "book/scripts").glob("*.py")), ids=lambda p: p.stem)
def test_a_chapters_cells_are_short_and_import_where_they_need(path):
    code = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    for source in code:
        assert len(source.splitlines()) <= 30, f"a long cell: {source[:80]}"
    for number, source in enumerate(code[1:], start=1):  # the first one installs
        names = {
            alias.asname or alias.name
            for node in ast.parse(source).body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        assert names <= used, f"cell {number} imports {names - used} before they are used"


def test_notebooks_equal_their_scripts_and_hold_no_outputs():
    assert notebooks.problems(ROOT / "book") == []


def test_differences_between_notebook_and_script_are_found(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "01.py").write_text("# %%\n1 + 1\n")
    assert "has no notebook" in notebooks.problems(tmp_path)[0]

    chapter = jupytext.read(tmp_path / "scripts" / "01.py")
    jupytext.write(chapter, tmp_path / "01.ipynb")
    assert notebooks.problems(tmp_path) == []

    chapter.cells[0].outputs = [nbformat.v4.new_output("stream", text="2")]
    jupytext.write(chapter, tmp_path / "01.ipynb")
    assert ["holds outputs" in problem for problem in notebooks.problems(tmp_path)] == [True]

    chapter.cells[0].update(source="1 + 2", outputs=[])
    jupytext.write(chapter, tmp_path / "01.ipynb")
    assert ["differ" in problem for problem in notebooks.problems(tmp_path)] == [True]

    (tmp_path / "scripts" / "01.py").unlink()
    assert "has no script" in notebooks.problems(tmp_path)[0]


def test_the_repository_address_is_in_one_place():
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout, so there is no list of files")
    holds = [name for name in tracked if PLACEHOLDER in (ROOT / name).read_text(errors="ignore")]
    # The workflow that fills the address in must name what it replaces.
    assert sorted(holds) == [".github/workflows/deploy.yml", "README.md", "_config.yml"]


def test_deploy_fills_in_the_repository_address(tmp_path):
    (tmp_path / "_config.yml").write_text((ROOT / "_config.yml").read_text())
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text())
    step = next(step for step in workflow["jobs"]["book"]["steps"] if "sed" in step.get("run", ""))
    env = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "neuron/cells"}
    subprocess.run(
        ["bash", "-ec", step["run"]], cwd=tmp_path, env={**os.environ, **env}, check=True
    )
    config = yaml.safe_load((tmp_path / "_config.yml").read_text())
    assert config["repository"]["url"] == "https://github.com/neuron/cells"
    assert config["sphinx"]["config"]["myst_substitutions"]["repository"].endswith("neuron/cells")


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=str)
def test_workflows_run_what_exists(path):
    workflow = yaml.safe_load(path.read_text())
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text())
    for job in workflow["jobs"].values():
        if "uses" in job:  # another workflow of ours
            assert (ROOT / job["uses"]).is_file()
            continue
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(
                r"(actions|pypa)/[\w-]+@[0-9a-f]{40}", step.get("uses", f"actions/none@{'0' * 40}")
            )
            for target in re.findall(r"\bmake (\w+)", step.get("run", "")):
                assert target in targets


def copy_of_the_house(folder):
    """Copy what make and jupyter-book need, without chapters and environment."""
    house = folder / "house"
    (house / ".ci").mkdir(parents=True)
    files = ["Makefile", "_config.yml", "references.bib", "pyproject.toml", ".ci/make_env.py"]
    for name in [*files, "requirements.txt", "constraints.txt", "overrides.txt"]:
        shutil.copy(ROOT / name, house / name)
    for folder_of_book in ("_static", "_ext"):
        shutil.copytree(ROOT / "book" / folder_of_book, house / "book" / folder_of_book)
    return house


def build_small_book(folder, script):
    """Build a book of one chapter with the project's own settings and the Makefile's command."""
    house = copy_of_the_house(folder)
    (house / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    jupytext.write(jupytext.reads(script, fmt="py:percent"), house / "page.ipynb")
    options = re.search(r"jupyter-book (build .*)", (ROOT / "Makefile").read_text()).group(1)
    built = subprocess.run(
        [Path(sys.executable).with_name("jupyter-book"), *options.split()],
        cwd=house,
        capture_output=True,
        text=True,
    )
    return built, house / "_build" / "html"


SMALL_CHAPTER = r"""
# %% [markdown]
# # A page
#
# A formula: $x^2$.

# %% mystnb={"image": {"alt": "A rising line"}}
import matplotlib.pyplot as plt

plt.plot([1, 2]);

# %%
import ipywidgets

ipywidgets.IntSlider()
"""


@pytest.fixture(scope="session")
def small_book(tmp_path_factory):
    """Return the folder of a built book of one page."""
    built, html = build_small_book(tmp_path_factory.mktemp("book"), SMALL_CHAPTER)
    assert built.returncode == 0, built.stderr
    return html


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ("# %%\nraise RuntimeError('the cell fails')", "the cell fails"),
        ("# %% [markdown]\n# [a link](to_a_page_that_is_not_there.md)", "WARNING"),
    ],
    ids=["failing cell", "warning"],
)
def test_a_broken_chapter_fails_the_build(tmp_path, cell, complaint):
    built, _ = build_small_book(tmp_path, f"# %% [markdown]\n# # A page\n\n{cell}\n")
    assert built.returncode != 0
    assert complaint in built.stdout + built.stderr


class Loads(HTMLParser):
    """Collects the addresses of what a page loads: scripts, styles, images, fonts, frames."""

    def __init__(self, text):
        super().__init__()
        self.addresses = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag in ("script", "img", "iframe", "source", "video"):
            self.addresses.append(attributes.get("src") or "")
        if tag == "link" and attributes.get("rel") not in ("canonical", "author", "license"):
            self.addresses.append(attributes.get("href") or "")


def from_elsewhere(html):
    """List what the pages in a folder load from another computer."""
    pages = list(html.rglob("*.html"))
    assert pages
    return [
        (page.name, address)
        for page in pages
        for address in Loads(page.read_text()).addresses
        if re.match(r"(https?:)?//", address)
    ]


def test_a_built_page_loads_nothing_from_elsewhere(small_book):
    assert from_elsewhere(small_book) == []
    assert (small_book / "_static" / "mathjax" / "tex-chtml.js").exists()


def test_the_built_book_loads_nothing_from_elsewhere():
    html = ROOT / "_build" / "html"
    if not (html / "index.html").exists():
        pytest.skip("there is no built book (make book)")
    assert from_elsewhere(html) == []


def test_a_page_works_without_a_network(small_book):
    if not (shutil.which("chromedriver") and shutil.which("chromium")):
        pytest.skip("there is no browser here (chromium and chromedriver)")
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless", "--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(argument)
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.get((small_book / "page.html").as_uri())
        formula = WebDriverWait(browser, 30).until(
            lambda page: page.find_element(By.TAG_NAME, "mjx-container")
        )
        assert formula.size["width"] > 5
        picture = browser.find_element(By.CSS_SELECTOR, ".cell_output img")
        assert picture.get_attribute("alt") == "A rising line"
        assert int(picture.get_attribute("naturalWidth")) > 100


@pytest.mark.parametrize("path", sorted((ROOT / "book/scripts").glob("*.py")), ids=lambda p: p.stem)
def test_code_of_a_chapter_fits_the_page(path):
    """A page shows 79 columns at a width of 1280 pixels; `ruff format book/scripts` breaks most."""
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            wide = [line for line in cell.source.splitlines() if len(line) > 79]
            assert not wide, wide
