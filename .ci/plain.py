"""The chapters' MyST Markdown, turned into the plain Markdown that every notebook shows.

JupyterLab, Colab and VS Code know headings, lists, tables, formulas and links. They do not know
MyST's roles, such as ``{cite}`ophir2023` ``, nor its directives, the fenced blocks that begin with
a name in braces: those become text, links, block quotes and pictures here.

What this module does not know it refuses with a ValueError: half a directive in a student's
notebook helps nobody.
"""

import re
from pathlib import Path

from pybtex.database import parse_file
from pybtex.plugin import find_plugin

FENCE = re.compile(r"(?P<marks>`{3,}|:{3,})\s*(?:\{(?P<name>[\w:-]+)\})?\s*(?P<title>.*)")
ROLE = r"\{(?P<role>[\w:-]+)\}`(?P<content>[^`]+)`"
CODE = r"`[^`]+`"
LINK = r"(?<!!)\[(?P<words>[^\]]*)\]\((?P<page>[^)#:\s]+)(?:#[^)]*)?\)"
NOTES = ("admonition", "note", "tip", "hint", "important", "warning", "caution", "attention")
NOTES += ("danger", "error", "seealso", "topic")


def blocks(source):
    """Split Markdown into text and fenced blocks.

    Returns a list of pairs: None and the text, or the match of FENCE and the lines inside.
    """
    found, text, lines = [], [], iter(source.splitlines())
    for line in lines:
        fence = FENCE.fullmatch(line.strip())
        if not fence:
            text.append(line)
            continue
        found.append((None, text))
        text, inside = [], []
        for line in lines:
            if re.fullmatch(f"{fence['marks'][0]}{{{len(fence['marks'])},}}", line.strip()):
                break
            inside.append(line)
        found.append((fence, inside))
    found.append((None, text))
    return [(fence, inside) for fence, inside in found if fence or any(map(str.strip, inside))]


def options(inside):
    """Take the lines ``:name: value`` off the top of a directive; return them and the rest."""
    values, rest = {}, list(inside)
    while rest and (option := re.fullmatch(r":([\w-]+):\s*(.*)", rest[0].strip())):
        values[option[1]] = option[2]
        rest.pop(0)
    return values, rest


def quoted(title, text):
    """Write a block quote with a bold title."""
    return "\n".join(f"> {line}".rstrip() for line in f"**{title}**\n\n{text}".splitlines())


def folded(title, text):
    """Write a block that opens at a click, in the little HTML that notebooks allow."""
    return f"<details>\n<summary>{title}</summary>\n\n{text}\n\n</details>"


def plain_name(person):
    """Write the family name of an author, or the name of an institute."""
    return " ".join(person.last_names).strip("{}")


def is_solution(fence, inside):
    """Whether a fenced block is a folded one that is called a solution."""
    values, _ = options(inside)
    folds = fence["name"] == "dropdown" or "dropdown" in values.get("class", "")
    return bool(folds and re.search(r"\bsolution", fence["title"], re.I))


class Plain:
    """Translates the Markdown of one chapter.

    Parameters
    ----------
    titles : dict of str to str
        The title of every page of the book, by its name without folder and ending.
    notebooks : set of str
        The pages that lie beside this one as notebooks, to which links may lead.
    bibliography : path
        The BibTeX file with the works that are cited.
    """

    def __init__(self, titles, notebooks, bibliography):
        self.titles = titles
        self.notebooks = set(notebooks)
        self.works = parse_file(str(bibliography))
        self.cited = []

    def parts(self, source):
        """Translate one cell; return a list of pairs: is it a solution, and its text."""
        found = []
        for fence, inside in blocks(source):
            solves = bool(fence and is_solution(fence, inside))
            if solves:
                text = f"**{fence['title']}.** {self.text(options(inside)[1])}"
            else:
                text = self.block(fence, inside)
            if found and found[-1][0] == solves:
                found[-1] = (solves, f"{found[-1][1]}\n\n{text}")
            else:
                found.append((solves, text))
        return [(solves, text) for solves, text in found if text]

    def text(self, lines):
        """Translate what is inside of a block."""
        found = blocks("\n".join(lines))
        if any(fence and is_solution(fence, inside) for fence, inside in found):
            raise ValueError("a solution lies inside of another block: end that block first")
        return "\n\n".join(filter(None, (self.block(*block) for block in found)))

    def block(self, fence, inside):
        """Translate what `blocks` found."""
        if not fence:
            return self.inline("\n".join(inside)).strip("\n")
        if not fence["name"]:  # code of some language: as it is
            return "\n".join([fence[0], *inside, fence["marks"]])
        values, rest = options(inside)
        return self.directive(fence["name"], self.inline(fence["title"]), values, rest)

    def directive(self, name, title, values, body):
        """Translate one directive; `body` is its lines without options."""
        if name == "dropdown" or (name in NOTES and "dropdown" in values.get("class", "")):
            return folded(title, self.text(body))
        if name in NOTES:
            return quoted(title or name.capitalize(), self.text(body))
        if name in ("figure", "image"):
            caption = self.text(body)
            return f"![{values.get('alt', '')}]({title})" + (f"\n\n*{caption}*" if caption else "")
        if name == "math":
            return "\n".join(["$$", *body, "$$"])
        if name in ("code", "code-block"):
            return "\n".join([f"```{title}", *body, "```"])
        if name == "bibliography":
            return self.bibliography()
        raise ValueError(f"the directive {{{name}}} has no plain form: add it to .ci/plain.py")

    def inline(self, text):
        """Translate the roles and the links to other pages in running text."""
        text = re.sub(r"(?m)^(\(.+\)=|%.*|\+\+\+.*)\n?", "", text)
        return re.sub(f"{ROLE}|{CODE}|{LINK}", self.replaced, text)

    def replaced(self, found):
        """Translate a role or a link; leave code alone."""
        if found["role"]:
            return self.role(found["role"], " ".join(found["content"].split()))
        return self.page(found["page"], found["words"]) if found["page"] else found[0]

    def role(self, name, content):
        """Translate one role."""
        titled = re.fullmatch(r"(.+?)\s*<(.+)>", content)
        words, target = titled.groups() if titled else (content, content)
        if name.startswith("cite"):
            return self.citation(content, in_text=name == "cite:t")
        if name == "doc":
            return self.page(target, words if titled else "")
        if name in ("term", "abbr", "ref", "numref"):
            return words
        if name == "math":
            return f"${content}$"
        if name.startswith("py:") or name in ("class", "func", "meth", "mod", "attr", "obj"):
            return f"`{words.lstrip('~')}`"
        raise ValueError(f"the role {{{name}}} has no plain form: add it to .ci/plain.py")

    def page(self, target, words):
        """Link to a page, if it lies beside this one as a notebook; else name it."""
        name = Path(target).name
        stem = name.removesuffix(".ipynb").removesuffix(".md")
        if stem in self.notebooks:
            return f"[{words or self.titles[stem]}]({stem}.ipynb)"
        return words or f"*{self.titles.get(stem, stem)}* (a page of the book)"

    def citation(self, keys, in_text):
        """Write who is cited, and when the work appeared."""
        labels = []
        for key in (key.strip() for key in keys.split(",")):
            work = self.works.entries[key]
            if work not in self.cited:
                self.cited.append(work)
            names = [plain_name(person) for person in work.persons["author"]]
            who = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
            year = work.fields["year"]
            labels.append(f"{who} ({year})" if in_text else f"{who} {year}")
        return ", ".join(labels) if in_text else f"({'; '.join(labels)})"

    def bibliography(self):
        """List the works cited so far, by the name of their first author."""
        style = find_plugin("pybtex.style.formatting", "plain")()
        backend = find_plugin("pybtex.backends", "markdown")()
        works = sorted(self.cited, key=lambda work: plain_name(work.persons["author"][0]))
        written = (work.text.render(backend) for work in style.format_entries(works))
        written = (re.sub(r"\\([.():-])", r"\1", work) for work in written)  # never needed it
        return "\n".join("- " + " ".join(work.split()) for work in written)
