"""The shared figures: what is drawn, which units the axes carry, and whether colours differ."""

from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from lspin.data import load_cells, load_spikes  # noqa: E402
from lspin.data.tables import CLASSES, HUMAN_CLASSES, own_cells  # noqa: E402
from lspin.evaluate import expected_calibration_error  # noqa: E402
from lspin.features import ReleasedFeatures  # noqa: E402
from lspin.model import LimitPath  # noqa: E402
from lspin.show import (
    CLASS_COLORS,
    CLASS_MARKERS,
    class_styles,
    plot_by_class,
    plot_median_spikes,
    plot_path,
    plot_reliability,
    plot_scatter,
    plot_score_by_gates,
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


LIMITS = {"max_open": (2, 6, 12, np.inf), "lam": (8.0, 2.0, 1.0, 0.0)}


def path_of(score="macro_f1", limit="max_open", folds=(0, 1)):
    """Two folds of four limits, which differ by 0.02 around the mean of each limit."""
    scores = pd.DataFrame(
        [
            {"fold": fold, limit: at, score: mean + 0.01 * (2 * fold - 1), "open_gates": n}
            for fold in folds
            for at, mean, n in zip(
                LIMITS[limit], (0.7, 0.805, 0.81, 0.80), (2, 6, 12, 41), strict=True
            )
        ]
    )
    return LimitPath(limit, scores, np.arange(9), np.zeros((4, 9, 41)))


@pytest.mark.parametrize(
    ("limit", "texts"),
    [("max_open", {"2", "6", "12", "no limit"}), ("lam", {"0", "1", "2", "8"})],
)
def test_path_marks_the_limit_of_the_rule(limit, texts):
    # Standard error of each mean: std of (m - .01, m + .01) / sqrt(2) = 0.01.
    fig = plot_path(path_of(limit=limit), 41, "Source: a test")
    (ax,) = fig.axes
    lines = {line.get_label(): line for line in ax.get_lines()}
    ring = lines["the rule takes this"]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == pytest.approx((6, 0.805))
    assert lines["best mean less one standard error"].get_ydata()[0] == pytest.approx(0.80)
    assert {text.get_text() for text in ax.texts} == texts
    assert ax.get_title().startswith(limit)
    assert "41" in ax.get_xlabel() and fig.get_supxlabel() == "Source: a test"


def test_path_of_one_fold_has_no_rule():
    fig = plot_path(path_of(folds=(0,)), 41, "")
    assert fig.axes[0].get_legend() is None


def test_reliability_shows_the_calibration_error():
    rng = np.random.default_rng(0)
    proba = pd.DataFrame(rng.dirichlet([0.5] * 3, 500), columns=list("abc"))
    truth = np.array([rng.choice(list("abc"), p=row) for row in proba.to_numpy()])
    fig = plot_reliability(truth, {"honest": proba}, "Source: a test")
    (dots,) = fig.axes[0].collections
    sure, right = dots.get_offsets().T
    shares = dots.get_sizes() / 200
    assert shares.sum() == pytest.approx(1)
    expected = expected_calibration_error(truth, proba.to_numpy(), list("abc"))
    assert (shares * abs(sure - right)).sum() == pytest.approx(expected)


def test_score_by_gates_puts_each_model_where_it_belongs():
    rows = [
        ("LSPIN", 0.83, 41.0),
        ("LSPIN, 12 gates", 0.82, 12.0),
        ("LSPIN, 5 gates", 0.805, 6.0),
        ("STG, 5 gates", 0.78, 5.0),
        ("RBF-SVM", 0.818, np.nan),
        ("MLP", 0.817, np.nan),
    ]
    mean = pd.DataFrame(rows, columns=["model", "macro_f1", "open_gates"]).assign(repeat=0)
    folds = [mean.assign(fold=k, macro_f1=mean["macro_f1"] + (-1) ** k / 100) for k in (0, 1)]
    before = pd.DataFrame({"open_gates": [22, 30], "macro_f1": [0.826, 0.827]})
    for earlier in (None, before):
        (ax,) = plot_score_by_gates(pd.concat(folds), 41, "Source: a test", earlier).axes
        lines = {line.get_label(): line for line in ax.get_lines()}
        ours = lines["LSPIN, each limit"].get_xydata()
        np.testing.assert_allclose(ours, [[6, 0.805], [12, 0.82], [41, 0.83]])
        np.testing.assert_allclose(lines["STG, 5 gates"].get_xydata(), [[5, 0.78]])
        assert "RBF-SVM" not in lines
        heights = {text.get_text(): text.get_position()[1] for text in ax.texts}
        # Moved apart by a line of text, so that the labels can be read, and no farther than that.
        assert heights["RBF-SVM"] > 0.818 and heights["MLP"] < 0.817
        assert heights["RBF-SVM"] + heights["MLP"] == pytest.approx(0.817 + 0.818)
    (label,) = (name for name in lines if name.startswith("ensembles"))
    np.testing.assert_allclose(lines[label].get_xydata(), before)


def test_every_class_has_a_style_of_its_own():
    mixed = class_styles(["aspiny", "Pvalb+", "spiny", "Glutamatergic"])
    assert len(set(mixed.values())) == 4 and mixed["Pvalb+"] == (CLASS_COLORS["Pvalb+"], "o")
    assert len(set(class_styles(map(str, range(30))).values())) == 30
    assert len(class_styles(map(str, range(60)))) == 60


def test_the_path_of_a_regression_is_drawn_too():
    path = path_of("r2", folds=(0,))
    path.scores["mse"] = 1 - path.scores["r2"]
    assert plot_path(path, 41, "").axes[0].get_ylabel().startswith("R")


HOSTILE = [
    r"$\frac{1$",
    r"a$b$ \$",
    "<!--<script>alert(1)</script>",
    "'\"&",
    "nul\0 esc\x1b[31m",
    "\u202eright to left\u2066, \u2028",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_drawn_as_text(cells, name):
    sure = pd.DataFrame({"Pvalb+": [0.9, 0.8], "Sst+": [0.1, 0.2]})
    reliability = plot_reliability(["Pvalb+", "Sst+"], {name: sure}, source=name)
    few = cells.X.iloc[:50, :2].set_axis(["vrest", name], axis=1)
    own = own_cells(few, cells.y[few.index].replace({"Sst+": name}))
    few = own.X
    for figure in (reliability, plot_by_class(few, own), plot_scatter(few, own, "vrest", name)):
        figure.canvas.draw()  # where a formula that is none would raise
        for text in figure.findobj(matplotlib.text.Text):
            assert all(c.isprintable() or c == "\n" for c in text.get_text())
    (shown,) = (text.get_text() for text in reliability.axes[0].get_legend().get_texts())
    assert shown.replace(r"\$", "$") == "".join(c if c.isprintable() else "?" for c in name)
