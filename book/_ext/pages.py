"""Sphinx extension: what the pages of the book need beyond what Jupyter Book gives them.

The address under which they are published, a footer that names version and cells, lists of works
by author and year, scripts that are loaded once, and marks that screen readers understand.
"""

import html
import warnings
from pathlib import Path

from pybtex.plugin import register_plugin
from pybtex.style.formatting.alpha import Style
from pybtex.style.labels import BaseLabelStyle

import lspin

FRONT_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={page}">
<title>{title}</title>
</head>
<body><main><h1>{title}</h1><p><a href="{page}">Read the book</a></p></main></body>
</html>
"""


class AuthorYearLabels(BaseLabelStyle):
    """Name a work as the text cites it: Yang et al., 2022."""

    def format_labels(self, sorted_entries):
        """Yield the label of each work in turn."""
        for entry in sorted_entries:
            names = [
                " ".join(map(str, author.rich_prelast_names + author.rich_last_names))
                for author in entry.persons["author"]
            ]
            many = len(names) > 2 or names[-1] == "others"
            who = f"{names[0]} et al." if many else " and ".join(names)
            yield f"{who}, {entry.fields['year']}"


class AuthorYearStyle(Style):
    """Lists of works under the labels by which the text cites them."""

    default_label_style = AuthorYearLabels


register_plugin("pybtex.style.formatting", "author_year", AuthorYearStyle)


def address_of(repository):
    """Return where GitHub publishes the pages of a repository.

    >>> address_of("https://github.com/Someone/lspin")
    'https://someone.github.io/lspin/'
    """
    owner, name = repository.rstrip("/").split("/")[-2:]
    return f"https://{owner.lower()}.github.io/{name}/"


def source_of_cells():
    """Say which cells this book is about; the chapters find theirs the same way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the sentence itself says if they are synthetic
        return lspin.load_cells().banner()


def fill_in(app, config):
    """Set what depends on the repository's address, the package, or the cells at hand."""
    theme = config.html_theme_options
    config.project = config.html_title
    config.html_context["default_mode"] = "auto"  # light or dark, as the reader's system is
    config.html_baseurl = config.ogp_site_url = address_of(theme["repository_url"])
    theme["navbar_persistent"] = []  # the sidebar has a search field; on a phone the page's bar has
    theme["extra_footer"] = theme["extra_footer"].format(
        version=lspin.__version__, source=html.escape(source_of_cells())
    )


def leave_out_fields(app, what, name, obj, skip, options):
    """Leave out the fields of a named tuple, of which nobody wrote; its docstring tells of them."""
    return True if (obj.__doc__ or "").startswith("Alias for field number") else None


def mend_page(app, pagename, templatename, context, doctree):
    """Load each script once, and take wrong marks from what is written."""
    # Sphinx takes some inline scripts twice, once without a name (None) and once with none ("").
    scripts = {(s.filename or "", str(s.attributes)): s for s in context["script_files"]}
    context["script_files"][:] = scripts.values()
    if "body" in context:
        # A list must hold list items, but docutils fills this one with bibliography entries.
        body = context["body"].replace('<div role="list" class="cit', '<div class="cit')
        # The name of a fold is what is written on it.
        context["body"] = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")


def write_front_page(app, exception):
    """Write index.html, which leads to the first page; Jupyter Book's has no title or language."""
    if exception is None and app.builder.name == "html":
        page = app.builder.get_target_uri(app.config.root_doc)
        title = html.escape(app.config.project)
        (Path(app.outdir) / "index.html").write_text(FRONT_PAGE.format(page=page, title=title))


def setup(app):
    """Connect all of this to Sphinx."""
    app.connect("config-inited", fill_in)
    app.connect("autodoc-skip-member", leave_out_fields)
    app.connect("html-page-context", mend_page, priority=900)
    app.connect("build-finished", write_front_page, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
