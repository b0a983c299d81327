"""A button in a notebook that takes a file of one's own and shows its card."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import ipywidgets as widgets

from lspin.show.own_cell import OwnCard, classify_file, plot_own_card

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["drop_zone"]

MOST_CARDS = 5
"""How many cells of a table the drop zone shows."""


def drop_zone(classify: Callable[[Path], list[OwnCard]] = classify_file) -> widgets.VBox:
    """Show a button that takes a file of your own and gives its card; needs a running Python.

    The file goes to the computer on which this Python runs, into a folder that is deleted as soon
    as the file has been read.

    Parameters
    ----------
    classify : callable, optional
        Makes cards of the path of a file.

    Returns
    -------
    VBox
        For a notebook to display.

    Examples
    --------
    >>> from lspin.show.drop_zone import drop_zone
    >>> box = drop_zone()
    >>> [type(part).__name__ for part in box.children]
    ['FileUpload', 'HTML']
    """
    upload = widgets.FileUpload(
        accept=".abf,.nwb,.ibw,.h5,.hdf5,.csv",
        description="A file of your own",
        layout={"width": "16em"},
    )
    view = widgets.HTML()

    def show(_: object) -> None:
        if upload.value:
            file = upload.value[-1]
            view.value = "<p>Reading, and training a model of what was measured …</p>"
            view.value = _dropped_html(str(file["name"]), bytes(file["content"]), classify)

    upload.observe(show, "value")
    return widgets.VBox([upload, view])


def _dropped_html(name: str, content: bytes, classify: Callable[[Path], list[OwnCard]]) -> str:
    """Return the cards of a file, or a sentence that says why there are none."""
    # Whatever it is called where it comes from, it is a plain name here.
    plain_name = "".join(c for c in name.replace("\\", "/").split("/")[-1] if c.isprintable())
    with TemporaryDirectory(prefix="lspin-") as folder:
        path = Path(folder) / (plain_name[-100:].lstrip(".") or "file")
        try:
            path.write_bytes(content)
            cards = classify(path)
        except (OSError, ValueError, ImportError) as error:
            return f"<p><b>No answer.</b> {escape(' '.join(str(error).split()))}</p>"
        except Exception as error:  # what no reader has foreseen is still a sentence
            return (
                f"<p><b>No answer.</b> {escape(path.name)} could not be read "
                f"({escape(type(error).__name__)}).</p>"
            )
    shown = [_own_card_html(card) for card in cards[:MOST_CARDS]]
    if len(cards) > MOST_CARDS:
        shown.append(
            f"<p>These are {MOST_CARDS} of {len(cards)} cells; "
            "<code>lspin classify FILE -o FOLDER</code> writes all.</p>"
        )
    return "".join(shown)


def _own_card_html(card: OwnCard) -> str:
    return (
        _svg(plot_own_card(card), f"Card of {card.title}")
        + f"<details><summary>As text</summary><pre>{escape(str(card))}</pre></details>"
    )


def _svg(figure: Figure, description: str) -> str:
    """Turn a figure into HTML and close it."""
    import matplotlib.pyplot as plt

    drawing = StringIO()
    figure.savefig(drawing, format="svg")
    plt.close(figure)
    svg = drawing.getvalue()
    return f'<div role="img" aria-label="{escape(description)}">{svg[svg.index("<svg") :]}</div>'
