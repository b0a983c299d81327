"""Look into the gates cell by cell: as tables, live in Jupyter, and on a page without a kernel.

The tables of `explain_cells` are what the two explorers show. `live_explorer` needs a running
Python and answers to sliders; `static_explorer` is a chart that carries its own data and its own
JavaScript, so that it works in the built book with no kernel and no network. `drop_zone` takes a
file of one's own and shows its card.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import altair as alt
import ipywidgets as widgets
import numpy as np
import pandas as pd
from IPython.display import HTML
from vl_convert import javascript_bundle

from lspin.explain.held_out import HeldOut
from lspin.explain.reasons import explain_cells, open_gates_of
from lspin.features.catalogue import feature_named
from lspin.show.own_cell import OwnCard, classify_file, plot_own_card
from lspin.show.plots import class_styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["drop_zone", "gate_chart", "live_explorer", "static_explorer"]

SHAPES = {
    **{"o": "circle", "s": "square", "^": "triangle-up", "v": "triangle-down", "D": "diamond"},
    **{"P": "cross", "X": "wedge"},
}
"""The names that Altair has for Matplotlib's markers."""

N_LISTED = 12
"""How many gates the live explorer lists."""

MOST_CARDS = 5
"""How many cells of a table the drop zone shows."""

STYLE = """<style>
.gate-explorer.vega-embed { display: flex; flex-direction: column; overflow-x: auto; padding: 0; }
.gate-explorer .vega-bindings { order: -1; margin-bottom: 0.5em; }
</style>"""
"""The list of cells above the chart, and a narrow screen scrolls instead of squeezing it."""


def gate_chart(
    held: HeldOut,
    *,
    x: str,
    y: str,
    selected: int,
    source: str | None = None,
    n_gates: int = 8,
) -> alt.VConcatChart:
    """Draw the chart of `static_explorer`; the parameters are the same.

    Parameters
    ----------
    held, x, y, selected, source, n_gates
        As there.

    Returns
    -------
    altair.VConcatChart

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out
    >>> from lspin.show.explorer import gate_chart
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> chart = gate_chart(
    ...     held,
    ...     x="sag",
    ...     y="tau",
    ...     selected=held.cells.X.index[0],
    ...     source=held.cells.banner(),
    ... )
    >>> len(chart.vconcat)
    2
    """
    predictions, gates = explain_cells(held)
    values = held.measured(held.cells.X)
    source = held.cells.banner() if source is None else source
    classes = list(predictions.columns[2:])
    cells = pd.DataFrame(
        {
            "cell": predictions.index.astype(str),
            "class": predictions["class"].to_numpy(),
            "title": [_cell_title(i, row) for i, row in predictions.iterrows()],
            "x": values[x].round(4).to_numpy(),
            "y": values[y].round(4).to_numpy(),
        }
    ).sort_values(["class", "cell"])
    pick = alt.selection_point(
        name="pick",
        fields=["cell"],
        value=[{"cell": str(selected)}],
        # A list beside the points: a keyboard can use it, and cells without x or y are in it.
        bind=alt.binding_select(
            options=cells["cell"].tolist(), labels=cells["title"].tolist(), name="Cell: "
        ),
        on="click",
        nearest=True,
        toggle=False,
        clear=False,
        empty=False,
    )
    styles = class_styles(classes)
    color = alt.Scale(domain=classes, range=[styles[name][0] for name in classes])
    shape = alt.Scale(domain=classes, range=[SHAPES[styles[name][1]] for name in classes])
    legend = alt.Legend(title=None, orient="bottom", columns=3)
    scatter = (
        alt.Chart(cells.dropna(), title="Cells: click one", width=300, height=240)
        .mark_point(filled=True, opacity=1)
        .encode(
            x=alt.X("x", title=feature_named(x).axis_label).scale(zero=False),
            y=alt.Y("y", title=feature_named(y).axis_label).scale(zero=False),
            color=alt.Color("class", scale=color, legend=legend),
            shape=alt.Shape("class", scale=shape, legend=legend),
            size=alt.condition(pick, alt.value(260), alt.value(70)),
            stroke=alt.condition(pick, alt.value("black"), alt.value("white")),
            order=alt.condition(pick, alt.value(1), alt.value(0)),  # on top of its neighbours
        )
        .add_params(pick)
    )
    probabilities = (
        alt.Chart(_probability_rows(predictions), title="What the model says", height=240)
        .transform_filter(pick)
        .mark_bar()
        .encode(
            x=alt.X("probability").scale(domain=[0, 1]).axis(format="%"),
            y=alt.Y("class", sort=classes, title=None),
            color=alt.Color("class", scale=color, legend=None),
            tooltip=["class", alt.Tooltip("probability", format=".1%")],
        )
        .properties(width=160)
    )
    rows = _gate_rows(gates, n_gates)
    strongest = alt.Chart(rows, height=24 * n_gates).transform_filter(pick)
    measurement = alt.Y(
        "measurement", axis=None, sort=alt.EncodingSortField("effect", order="descending")
    )
    names = strongest.mark_text(align="left", x=0).encode(y=measurement, text="measurement")
    effects = strongest.mark_bar(color="#555").encode(
        x=alt.X("effect", title="probability lost without it")
        .scale(domain=[rows["effect"].min(), rows["effect"].max()])  # the same for every cell
        .axis(format="%"),
        y=measurement,
        tooltip=["measurement", alt.Tooltip("effect", format=".1%")],
    )
    openness = strongest.mark_bar(color="#aaa").encode(
        x=alt.X("gate", title="gate (1 = fully open)").scale(domain=[0, 1]),
        y=measurement,
        tooltip=["measurement", "gate"],
    )
    above = alt.hconcat(scatter, probabilities, spacing=30).resolve_scale(
        color="independent", shape="independent"
    )
    most = rows.groupby("cell").size().max() if len(rows) else 0
    text = "Its open gates" + (
        f": the {n_gates} with the largest effect" if most >= n_gates else ""
    )
    title = alt.TitleParams(text, anchor="start")
    panels = [names.properties(width=250, title=title), effects.properties(width=150)]
    if (rows["gate"] < 1).any():  # under a limit a gate is open or closed, and the bars say nothing
        panels.append(openness.properties(width=150))
    below = alt.hconcat(*panels)
    return (
        alt.vconcat(above, below)
        .properties(
            title=alt.TitleParams("Which measurements decided?", subtitle=source),
            background="white",
            description=(
                "Interactive chart. A scatter of held-out cells; the selected cell's class "
                "probabilities, its open gates with the largest effect and the measured values, "
                "and how much probability is lost when each gate is closed. Choose a cell by "
                f"clicking it or from the list above the chart. {source}"
            ),
        )
        .configure_view(stroke=None)
    )


def static_explorer(
    held: HeldOut,
    *,
    x: str,
    y: str,
    selected: int,
    source: str | None = None,
    n_gates: int = 8,
) -> HTML:
    """Show an explorer that works without Python behind it and without a network.

    The page grows by 0.9 MB, the charting library: one explorer a page is enough.

    Parameters
    ----------
    held : HeldOut
        Its held-out cells are shown; some 150 (``held.select``) keep the page small and the points
        apart.
    x, y : str
        The two features to spread the cells over.
    selected : int
        The ``specimen_id`` shown before anything is clicked.
    source : str, optional
        Where the cells come from, one sentence for the chart's subtitle; by default the banner of
        the cells shown.
    n_gates : int
        How many open gates to show of the selected cell, those with the largest effect.

    Returns
    -------
    HTML
        For a notebook to display.

    Raises
    ------
    ValueError
        If `selected` is not one of the cells, or `x` or `y` not one of the features.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out
    >>> from lspin.show.explorer import static_explorer
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> page = static_explorer(held, x="sag", y="tau", selected=held.cells.X.index[0])
    >>> "gate-explorer" in page.data
    True
    """
    if selected not in held.Z.index:
        raise ValueError(f"selected={selected!r} is none of the {len(held.Z)} cells given.")
    for name in (x, y):
        if name not in held.Z.columns:
            raise ValueError(f"{name!r} is no model input; there are {list(held.Z.columns)}.")
    chart = gate_chart(held, x=x, y=y, selected=selected, source=source, n_gates=n_gates)
    # Altair's own to_html(inline=True) puts the library's names into the page's scope, where
    # they collide with Sphinx's scripts. A function keeps them in, all but window.vegaEmbed.
    return HTML(
        f'{STYLE}<div class="gate-explorer"></div>\n'
        f"<script>(() => {{{javascript_bundle('window.vegaEmbed = vegaEmbed;')}}})();"
        "vegaEmbed(document.currentScript.previousElementSibling, "
        f"{_json(chart.to_dict())}, {_json({'renderer': 'svg', 'actions': False})});</script>"
    )


def live_explorer(held: HeldOut, card: Callable[[int], Figure] | None = None) -> widgets.VBox:
    """Show an explorer that closes gates while you watch; needs a running Python.

    Choose a cell, then close its gates, those with the least effect first: the class probabilities
    are computed again from what is left.

    Parameters
    ----------
    held : HeldOut
        Its held-out cells are shown.
    card : callable, optional
        Draws a figure of the cell with this ``specimen_id``, shown below the gates; see
        `lspin.show.plot_card`.

    Returns
    -------
    VBox
        For a notebook to display.

    Examples
    --------
    >>> from lspin import LSPINClassifier, load_cells
    >>> from lspin.explain import hold_out
    >>> from lspin.show.explorer import live_explorer
    >>> cells = load_cells("twin")
    >>> few = cells.select(cells.X.index[::10])
    >>> (held,) = hold_out(few, LSPINClassifier(n_members=2, n_steps=20), n_folds=1, verbose=0)
    >>> box = live_explorer(held)
    >>> type(box).__name__
    'VBox'
    """
    predictions, gates = explain_cells(held)

    def cells_of(kind: str) -> list[tuple[str, int]]:
        of_kind = predictions[predictions["class"] == kind]
        return [(_cell_title(i, row), i) for i, row in of_kind.iterrows()]

    kind = widgets.Dropdown(options=sorted(held.cells.y.unique()), description="true class")
    cell = widgets.Dropdown(
        options=cells_of(kind.value), description="cell", layout={"width": "28em"}
    )
    most = int((held.gates > 0).sum(axis=1).max())
    n_left = widgets.IntSlider(most, min=0, max=most, description="gates left")
    view = widgets.HTML()

    def list_cells(_: object) -> None:
        cell.options = cells_of(kind.value)

    def draw(_: object = None) -> None:
        rows = open_gates_of(gates, cell.value)
        kept = rows.loc[rows.index.isin(rows["effect"].abs().nlargest(n_left.value).index)]
        left = held.select([cell.value]).closing(held.Z.columns.isin(kept.index))[0]
        view.value = _probability_html(
            predictions.loc[cell.value], dict(zip(held.model.classes_, left, strict=True))
        ) + _gates_html(kept, len(rows))

    kind.observe(list_cells, "value")
    cell.observe(draw, "value")
    n_left.observe(draw, "value")
    draw()
    explorer = widgets.VBox([widgets.HBox([kind, cell, n_left]), view])
    if card is not None:
        explorer.children += (_live_card(card, cell),)
    return explorer


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
    >>> from lspin.show.explorer import drop_zone
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


def _live_card(card: Callable[[int], Figure], cell: widgets.Dropdown) -> widgets.HTML:
    """Show the card of the cell that is chosen, and again whenever another one is."""
    picture = widgets.HTML()

    def draw(_: object = None) -> None:
        picture.value = _svg(card(cell.value), f"Card of cell {cell.value}")

    cell.observe(draw, "value")
    draw()
    return picture


def _svg(figure: Figure, description: str) -> str:
    """Turn a figure into HTML and close it."""
    import matplotlib.pyplot as plt

    drawing = StringIO()
    figure.savefig(drawing, format="svg")
    plt.close(figure)
    svg = drawing.getvalue()
    return f'<div role="img" aria-label="{escape(description)}">{svg[svg.index("<svg") :]}</div>'


def _json(value: dict) -> str:
    """Write JSON that can stand inside a script element."""
    return json.dumps(value).replace("</", "<\\/")


def _cell_title(specimen_id: int, prediction: pd.Series) -> str:
    return f"{specimen_id}: {prediction['class']}, called {prediction['predicted']}"


def _measurement(feature: str, value: float) -> str:
    """Write a measurement with its unit, as "time constant: 12.3 ms"."""
    about = feature_named(feature)
    if np.isnan(value):
        return f"{about.label}: not measured"
    return f"{about.label}: {value:.4g} {about.unit}".rstrip()


def _probability_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """Class probabilities as one row per cell and class, for the chart."""
    table = predictions.iloc[:, 2:].round(4).rename_axis("cell").reset_index()
    return table.astype({"cell": str}).melt("cell", var_name="class", value_name="probability")


def _gate_rows(gates: pd.DataFrame, n_gates: int) -> pd.DataFrame:
    """Keep each cell's open gates with the largest effect, one row per gate, for the chart."""
    rows = gates[gates["gate"] > 0].sort_values("effect", ascending=False, key=abs)
    rows = rows.groupby("specimen_id", sort=False).head(n_gates).reset_index()
    return pd.DataFrame(
        {
            "cell": rows["specimen_id"].astype(str),
            "measurement": list(map(_measurement, rows["feature"], rows["value"])),
            "gate": rows["gate"].round(3),
            "effect": rows["effect"].round(4),
        }
    )


def _bar(share: float) -> str:
    return (
        '<div aria-hidden="true" style="display: inline-block; height: 0.8em; '
        f'width: {8 * share:.2f}em; background: #0072b2"></div>'
    )


def _table(caption: str, header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in cells)}</tr>" for cells in rows)
    return (
        '<table style="margin: 0.5em 0; border-spacing: 1em 0">'
        f'<caption style="white-space: nowrap">{caption}</caption>'
        f"<tr>{head}</tr>{body}</table>"
    )


def _probability_html(prediction: pd.Series, left: dict[str, float]) -> str:
    """Probabilities with all gates, and with those left after closing some."""
    rows = [
        [escape(name), f"{prediction[name]:.0%}", f"{share:.0%}", _bar(share)]
        for name, share in left.items()
    ]
    now = max(left, key=lambda name: left[name])
    caption = (
        f"True class {escape(prediction['class'])}; "
        f"called {escape(prediction['predicted'])} with all gates, {escape(now)} with those left"
    )
    return _table(caption, ["class", "all gates", "gates left", ""], rows)


def _gates_html(left: pd.DataFrame, n_open: int) -> str:
    """Return the gates left, those with the largest effect listed with what was measured."""
    rows = [
        [
            escape(_measurement(name, row["value"])),
            f"{row['z']:+.1f}",
            f"{row['effect']:+.1%}",
            f"{row['gate']:.2f}",
            _bar(row["gate"]),
        ]
        for name, row in left.head(N_LISTED).iterrows()
    ]
    caption = f"{len(left)} of {n_open} open gates left"
    if len(rows) < len(left):
        caption += f"; the {len(rows)} with the largest effect"
    return _table(caption, ["measurement", "z-score", "effect, all gates", "gate", ""], rows)
