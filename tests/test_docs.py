"""What the documents say is true: their code runs, and what they point to exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "book/intro.md", "book/running.md"]


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


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_between_files_lead_somewhere(name):
    document = ROOT / name
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        nearby = [document.parent / f"{target}{suffix}" for suffix in ("", ".md", ".ipynb")]
        is_label = f"({target})=" in text
        assert is_label or any(path.exists() for path in nearby), f"{name} links to {target}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_in_documents_exist(name):
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text())
    text = (ROOT / name).read_text()
    commands = "\n".join(blocks(text, "bash") + re.findall(r"`([^`\n]+)`", text))
    for target in re.findall(r"(?m)(?:^|\s)make (\w+)", commands):
        assert target in targets, f"{name} says `make {target}`"
    for subcommand in re.findall(r"(?m)(?:^|/|\s)lspin (\w+)", commands):
        known = ("fetch", "info", "evaluate", "explain")
        assert subcommand in known, f"{name} says `lspin {subcommand}`"
