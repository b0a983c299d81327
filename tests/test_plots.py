"""The shared figures: what is drawn, which units the axes carry, and whether colours differ."""

from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from lspin.data import load_cells, load_spikes  # noqa: E402
from lspin.data.tables import CLASSES, HUMAN_CLASSES  # noqa: E402
from lspin.features import ReleasedFeatures  # noqa: E402
from lspin.plots import (  # noqa: E402
    CLASS_COLORS,
    CLASS_MARKERS,
    plot_by_class,
    plot_median_spikes,
    plot_scatter,
)

# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear_rgb(color):
    c = np.array(to_rgb(color))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def cielab(rgb):
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    f = np.cbrt(to_xyz @ np.clip(rgb, 1e-3, 1) / to_xyz.sum(axis=1))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.fixture(scope="module")
def cells():
    return load_cells("twin")


@pytest.fixture(scope="module")
def spikes():
    return load_spikes("twin")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("classes", [CLASSES, HUMAN_CLASSES])
def test_classes_differ_for_everybody(vision, classes):
    seen = [cielab(VISION[vision] @ linear_rgb(CLASS_COLORS[name])) for name in classes]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 30


@pytest.mark.parametrize("classes", [CLASSES, HUMAN_CLASSES])
def test_colour_is_never_the_only_sign(classes):
    assert len({CLASS_MARKERS[name] for name in classes}) == len(classes)


def test_median_spikes(spikes):
    fig = plot_median_spikes(spikes)
    assert len(fig.axes) == len(CLASSES) + 1
    for name, ax in zip(CLASSES, fig.axes, strict=False):
        (line,) = ax.get_lines()
        of_class = spikes.waveform_mv[spikes.y == name]
        np.testing.assert_allclose(line.get_ydata(), of_class.median())
        assert line.get_color() == CLASS_COLORS[name]
        assert name in ax.get_title() and str(len(of_class)) in ax.get_title()
    assert len(fig.axes[-1].get_lines()) == len(CLASSES)
    assert fig.axes[-1].get_xlabel() == "time from peak (ms)"
    assert fig.axes[0].get_ylabel() == "membrane potential (mV)"


def test_median_spikes_of_human_cells(real_data):
    fig = plot_median_spikes(load_spikes("paper", "human", data_dir=real_data))
    assert [ax.get_title().split(" (")[0] for ax in fig.axes if ax.axison] == [
        *HUMAN_CLASSES,
        "medians",
    ]


def test_by_class(cells):
    Z = ReleasedFeatures().fit_transform(cells.X)[["tau", "sag", "rise_ms_ramp", "ri"]]
    fig = plot_by_class(Z, cells, log=("tau",))
    drawn = [ax for ax in fig.axes if ax.axison]
    assert [ax.get_ylabel() for ax in drawn] == [
        "membrane time constant (ms)",
        "sag",
        "rise time, ramp (ms)",
        "input resistance (MΩ)",
    ]
    assert [ax.get_yscale() for ax in drawn] == ["log", "linear", "linear", "linear"]
    assert [label.get_text() for label in drawn[0].get_xticklabels()] == list(CLASSES)


def test_scatter(cells):
    fig = plot_scatter(cells.X, cells, "tau", "sag")
    (ax,) = fig.axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("membrane time constant (ms)", "sag")
    points = {line.get_label(): len(line.get_xdata()) for line in ax.get_lines()}
    assert points == cells.counts().to_dict()


def test_every_figure_names_its_source(cells, spikes):
    for fig, record in [
        (plot_median_spikes(spikes), spikes),
        (plot_by_class(cells.X[["tau"]], cells), cells),
        (plot_scatter(cells.X, cells, "tau", "sag"), cells),
    ]:
        assert fig.get_supxlabel().replace("\n", " ") == record.banner()
        assert "SYNTHETIC TWIN" in fig.get_supxlabel()


def test_values_of_other_cells_are_refused(cells):
    with pytest.raises(ValueError, match="same cells"):
        plot_scatter(cells.X.iloc[:-1], cells, "tau", "sag")
    with pytest.raises(ValueError, match="catalogue.*'age'"):
        plot_by_class(cells.X[["tau"]].assign(age=1.0), cells)
