"""The card of a cell: honest model, true percentiles and neighbours, readable text and figure."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from lspin import LSPINClassifier, load_cells, load_spikes  # noqa: E402
from lspin.explain import without_donor_of  # noqa: E402
from lspin.features import FEATURES, ReleasedFeatures  # noqa: E402
from lspin.show import N_GATES, N_NEIGHBOURS, make_card, plot_card

pytestmark = pytest.mark.usefixtures("few_mixtures")


@pytest.fixture(scope="module")
def cells():
    return load_cells("twin")


@pytest.fixture(scope="module")
def spikes():
    return load_spikes("twin")


@pytest.fixture(scope="module")
def specimen(cells, spikes):
    """A Pvalb+ cell with a spike whose donor gave more cells."""
    several = cells.donors.map(cells.donors.value_counts()) > 2
    has_spike = cells.X.index.isin(spikes.waveform_mv.index)
    return int(cells.X.index[several & has_spike & (cells.y == "Pvalb+")][0])


@pytest.fixture(scope="module")
def held(cells, specimen):
    return without_donor_of(cells, specimen, LSPINClassifier(20, n_members=2, n_steps=150))


@pytest.fixture(scope="module")
def card(held, specimen, spikes):
    return make_card(held, specimen, spikes)


def test_the_model_has_seen_no_cell_of_the_donor(cells, held, specimen):
    assert cells.donors[specimen] not in set(held.seen.donors)
    assert set(held.cells.donors) == {cells.donors[specimen]}
    assert len(held.seen) + len(held.cells) == len(cells)


def test_an_unknown_cell_is_named_with_an_example(cells):
    with pytest.raises(ValueError, match=f"no cell 12 .*TWIN.*such as {cells.X.index[0]}"):
        without_donor_of(cells, 12, LSPINClassifier())


def test_what_the_model_says_is_on_the_card(held, card, cells, specimen):
    one = cells.X.loc[[specimen]]
    assert card.predicted == held.pipeline.predict(one)[0]
    np.testing.assert_allclose(card.probability, held.pipeline.predict_proba(one)[0])
    assert card.label == "Pvalb+"
    assert len(card.strongest) == N_GATES < len(card.gates)
    others = card.gates.drop(card.strongest.index)
    assert card.strongest["effect"].abs().min() >= others["effect"].abs().max()


def test_percentiles_are_among_all_cells(card, cells, specimen):
    values = ReleasedFeatures().fit_transform(cells.X)
    for name in card.gates.index[:5]:
        measured = values[name].dropna()
        expected = 100 * (measured < values.loc[specimen, name]).mean()
        assert card.gates.loc[name, "percentile"] == pytest.approx(expected)


def test_neighbours_are_the_nearest_cells_of_the_class_through_the_gates(card, held, specimen):
    model, inputs = held.pipeline[-1], held.pipeline[:-1]
    z = inputs.transform(held.cells.X.loc[[specimen]])
    gates = model.gates(z)[0]
    distance = {
        cell: np.linalg.norm((row.to_numpy() - z.to_numpy()[0]) * gates)
        for cell, row in inputs.transform(held.seen.X).iterrows()
        if held.seen.y[cell] == card.predicted
    }
    nearest = sorted(distance, key=distance.get)[:N_NEIGHBOURS]
    assert list(card.neighbours.index) == nearest
    np.testing.assert_allclose(card.neighbours["distance"], [distance[c] for c in nearest])


def test_the_text_has_values_with_units_and_the_source(card, specimen):
    text = str(card)
    assert text.startswith(f"Cell {specimen}: predicted ")
    assert "SYNTHETIC TWIN" in text
    for name, row in card.strongest.iterrows():
        (line,) = (x for x in text.splitlines() if x.startswith(f"  {FEATURES[name].label} "))
        assert f"{row['value']:.3g} {FEATURES[name].unit}".strip() in line
        assert f"{row['effect']:+.1%}" in line
    for cell in card.neighbours.index:
        assert str(cell) in text


def test_what_was_not_measured_is_said_so(held, specimen):
    X = held.cells.X.copy()
    lost = X.columns[::2]
    X.loc[specimen, lost] = np.nan
    card = make_card(replace(held, cells=replace(held.cells, X=X)), specimen)
    opened = card.gates.index.intersection(lost)[:1]
    assert np.isnan(card.gates.loc[opened, ["value", "percentile"]].astype(float)).all(axis=None)
    everything = replace(card, gates=card.gates.loc[opened])
    assert str(everything).count("not measured") == len(opened) == 1
    assert "nan" not in str(everything)


def test_the_figure_shows_the_spike_of_this_cell(card, spikes, specimen):
    fig = plot_card(card)
    lines = [line for ax in fig.axes for line in ax.lines if line.get_label() == "this cell"]
    np.testing.assert_array_equal(lines[0].get_ydata(), spikes.waveform_mv.loc[specimen])
    drawn = [text.get_text() for ax in fig.axes for text in ax.get_yticklabels()]
    for name in card.strongest.index:
        assert any(text.startswith(FEATURES[name].label) for text in drawn)
    assert "SYNTHETIC TWIN" in fig.get_supxlabel()
    plt.close(fig)


def test_a_cell_without_a_spike_has_a_card_too(held, specimen):
    card = make_card(held, specimen)
    assert card.spike_mv is None
    fig = plot_card(card)
    assert any(ax.get_title() == "no spike at hand" for ax in fig.axes)
    plt.close(fig)
