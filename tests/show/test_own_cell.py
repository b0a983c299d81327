"""A cell of one's own: what speaks against the answer comes first, and nothing is made up."""

import io
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from lspin import LSPINClassifier, classify, load_cells  # noqa: E402
from lspin.explain import SecondOpinion, ask, known, known_cells  # noqa: E402
from lspin.features import (  # noqa: E402
    Recording,
    engineered,
    measure,
    simulated_recording,
    write_template,
)
from lspin.model import cache  # noqa: E402
from lspin.show import cards_table, own_cell, plot_own_card
from lspin.show.drop_zone import drop_zone
from lspin.show.own_cell import classify_file, own_row, write_cards

pytestmark = pytest.mark.usefixtures("few_mixtures", "small_model")


@pytest.fixture(scope="module")
def small_model():
    small = LSPINClassifier(4, class_weight="balanced", n_members=2, n_steps=100, random_state=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSPIN_SOURCE", "twin")
        patch.setattr(known, "MODEL", small)
        yield


@pytest.fixture(scope="module")
def twins(small_model):
    cells = known_cells()
    return cells.select(cells.X.index[::6])


@pytest.fixture(scope="module")
def measured():
    return measure(simulated_recording())


@pytest.fixture(scope="module")
def card(twins, measured):
    return classify(measured, known=twins)


@pytest.fixture(scope="module")
def new_cells():
    """Five cells of the table, under names of one's own."""
    return load_cells("twin").X.iloc[:5].set_axis([f"A{n}" for n in range(5)])


def test_the_known_cells_are_all_that_have_a_label_by_cre_line(monkeypatch):
    monkeypatch.setenv("LSPIN_SOURCE", "twin")
    cells, table = known_cells(), load_cells("twin")
    assert "SYNTHETIC" in cells.banner()
    pd.testing.assert_series_equal(cells.y, table.y)
    pd.testing.assert_frame_equal(cells.X, engineered(table.X))


def test_cells_labelled_by_rna_can_be_asked_with_what_they_have(new_cells):
    by_rna = load_cells("v1-twin")
    by_rna = by_rna.select(by_rna.X.index[::16])
    never = engineered(by_rna.X.dropna(axis=1, how="all")).isna().all()
    assert never.any()
    asked = ask(new_cells, by_rna)
    assert not set(never.index[never]) & set(asked.held.cells.X)
    assert set(asked.held.pipeline.classes_) == set(by_rna.classes)
    assert asked.caution("Sst") == ""


def test_an_inhibitory_answer_by_cre_line_comes_with_a_caution(card, new_cells, twins):
    asked = ask(new_cells, twins)
    assert asked.caution("Glutamatergic") == ""
    assert "labelled by Cre line" in asked.caution("Sst+")
    doubtful = asked.caution("Htr3a+|Vip-")
    assert doubtful.startswith(asked.caution("Sst+")) and "38%" in doubtful
    said = " ".join(str(replace(card, caution=doubtful)).split())
    assert doubtful in said and doubtful not in " ".join(str(replace(card, caution="")).split())


def test_an_inhibitory_answer_gets_a_second_opinion_by_rna(monkeypatch, twins, new_cells):
    v1 = load_cells("v1-twin")
    few = v1.select(v1.X.index[::16])
    monkeypatch.setattr(known, "load_cells", lambda name, **_: {"v1-twin": few}[name])
    monkeypatch.setattr(known, "known_cells", lambda verbose=0: twins)
    inhibitory = load_cells("twin").y.ne("Glutamatergic").to_numpy()
    asked_about = pd.concat([new_cells, load_cells("twin").X[inhibitory].iloc[:4]])
    cards = classify(asked_about)
    for card in cards:
        assert (card.second == "") == (card.predicted == "Glutamatergic")
    second = [card for card in cards if card.second]
    assert second and second[0].second.source == few.banner()
    assert "Glutamatergic" not in second[0].second.probability
    card = second[0]
    agrees = replace(card, second=replace_predicted(card, card.predicted))
    other = replace(card, second=replace_predicted(card, "Nobody"))
    assert "It agrees" in agrees.second_opinion and "It disagrees" in other.second_opinion
    assert "Nobody (100%)" in " ".join(str(other).split())
    assert str(other).endswith("Second opinion: made up")
    table = cards_table(cards).set_index("cell")["second_opinion"]
    assert table[card.name] == card.second_opinion


def replace_predicted(card, name):
    return SecondOpinion(name, pd.Series({name: 1.0}), "made up")


def test_without_cells_to_ask_the_card_says_that_there_is_no_second_opinion(
    monkeypatch, twins, measured
):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(own_cell, "second_opinions", refuse)
    card = classify(measured, known=twins)
    asked = ask(own_row(measured), twins)
    (kept,) = own_cell._with_second([replace(card, predicted="Sst+")], own_row(measured), asked, 0)
    assert kept.second_opinion == "There is no second opinion: no network"
    (same,) = own_cell._with_second(
        [replace(card, predicted="Glutamatergic")], own_row(measured), asked, 0
    )
    assert same.second_opinion == ""


def test_without_a_network_the_card_says_how_to_get_a_second_opinion(
    monkeypatch, twins, measured, card
):
    def refuse(*_, **__):
        raise ConnectionError("x.csv could not be downloaded in 3 tries (last: Pool(host='x'))")

    monkeypatch.setattr(own_cell, "second_opinions", refuse)
    asked = ask(own_row(measured), twins)
    (kept,) = own_cell._with_second([replace(card, predicted="Sst+")], own_row(measured), asked, 0)
    assert "3 tries. Where there is a network, `lspin fetch --source v1`" in kept.second_opinion
    assert "Pool" not in kept.second_opinion


def test_the_model_sees_only_what_was_measured(card, measured):
    used = set(card.shift.table.index)
    assert card.n_used == len(used) - 1  # and the share that is missing
    assert "input_resistance_mohm" not in used and "input_resistance_mohm" in card.missing
    assert set(card.gates.index) <= used
    assert 0 < len(card.gates) <= 4 and (card.gates["gate"] > 0).all()


def test_the_text_says_what_the_card_holds(card):
    said = str(card)
    assert "predicted" in said and "voltage-clamp test pulses (1)" in said
    assert "was simulated, not recorded" in said
    for name in card.neighbours["class"]:
        assert name in said
    assert card.probability.sum() == pytest.approx(1)


def test_what_speaks_against_the_answer_comes_first(measured, twins):
    doubtful = classify(measured, known=twins, species="human", temperature_c=25)
    assert doubtful.is_outside
    first, second, third = str(doubtful).splitlines()[:3]
    assert first.startswith("OUTSIDE") and "human" in second and "25 °C" in third
    title = plot_own_card(doubtful).get_suptitle()
    assert title.startswith("OUTSIDE")
    plt.close("all")


def test_what_the_file_says_of_the_setup_counts_unless_one_says_otherwise(measured, twins):
    said = {"species": "Rattus norvegicus", "temperature_c": 24.0}
    rat = replace(measured, recording=replace(measured.recording, provenance=said))
    doubts = " ".join(classify(rat, known=twins).doubts)
    assert "Rattus norvegicus" in doubts and "24 °C" in doubts
    doubts = " ".join(classify(rat, known=twins, species="mouse", temperature_c=33).doubts)
    assert "Rattus" not in doubts and "°C" not in doubts


def test_a_mouse_at_the_right_temperature_raises_no_doubt(measured, twins, card):
    same = classify(measured, known=twins, species="mouse", temperature_c=34)
    assert same.doubts == card.doubts
    with pytest.raises(ValueError, match="degrees Celsius"):
        classify(measured, known=twins, temperature_c=307)


def test_a_strange_cell_is_outside(narrow_cells):
    cell = narrow_cells.iloc[:1]
    both = pd.concat([cell, cell.assign(tau=480.0).set_axis(["B"])])
    # All known cells: among a few, nearly nothing is strange.
    ordinary, strange = classify(both, known=load_cells("twin"))
    assert not ordinary.is_outside
    assert strange.is_outside and "membrane time constant is 480 ms" in strange.doubts[0]


def test_a_table_gives_a_card_for_each_row(new_cells, twins, tmp_path):
    cards = classify(new_cells, known=twins)
    assert [card.name for card in cards] == list(new_cells.index)
    table = cards_table(cards)
    assert table["predicted"].isin(twins.classes).all()
    shares = table[[f"p({name})" for name in twins.classes]]
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-3)
    written = write_cards(cards[:1], tmp_path / "out")
    again = write_cards(cards[:1], tmp_path / "out")
    assert [path.name for path in written] == ["cells.csv", "A0.png"]
    assert [path.name for path in again] == ["cells-2.csv", "A0-2.png"]


def test_what_one_cell_of_a_table_lacks_is_said(new_cells, twins):
    gap = new_cells.copy()
    gap.loc["A2", "tau"] = np.nan
    cards = classify(gap, known=twins)
    assert any("tau was not measured" in note for note in cards[2].notes) and not cards[1].notes


def test_cells_without_measurements_or_spikes_are_refused(new_cells, twins):
    empty = new_cells.copy()
    empty.loc["A3"] = np.nan
    with pytest.raises(ValueError, match="Nothing was measured in A3"):
        classify(empty, known=twins)
    with pytest.raises(ValueError, match="Nothing of a spike"):
        classify(new_cells[["vrest", "ri", "tau"]], known=twins)
    silent = measure(
        Recording.from_arrays(
            [sweep.voltage_mv for sweep in simulated_recording().sweeps[:5]],
            [sweep.current_pa for sweep in simulated_recording().sweeps[:5]],
            20_000,
        )
    )
    with pytest.raises(ValueError, match="no spike was found"):
        classify(silent, known=twins)


def test_too_few_spikes_to_adapt_is_a_finding_and_no_step_is_none(measured):
    assert "adaptation" in own_row(measured)
    why = dict(measured.missing, adaptation="there are fewer than three spikes, 40 to 60 pA above")
    few = measured.features.drop("adaptation").reindex(measured.features.index)
    told = own_row(replace(measured, features=few, missing=why))
    assert told["adaptation"].isna().all()
    why["slow_trough_v_ramp"] = "no slow trough follows the spike"
    few = few.drop("slow_trough_v_ramp").reindex(measured.features.index)
    told = own_row(replace(measured, features=few, missing=why))
    assert told["slow_trough_v_ramp"].isna().all()
    why["adaptation"] = "no step is 40 to 60 pA above rheobase"
    assert "adaptation" not in own_row(replace(measured, features=few, missing=why))


@pytest.fixture
def fits(monkeypatch):
    """Nothing trained yet; the returned list grows by one with each training."""
    trained = []
    fit = LSPINClassifier.fit

    def counted(self, *args, **kwargs):
        trained.append(self)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(known, "_MODELS", {})
    monkeypatch.setattr(LSPINClassifier, "fit", counted)
    return trained


@pytest.fixture(scope="module")
def narrow_cells(new_cells):
    """The new cells with few measurements, which are soon learned from."""
    return new_cells[["vrest", "ri", "tau", "threshold_i_long_square", "peak_v_long_square"]]


def test_a_model_is_trained_once_and_anew_for_new_code(narrow_cells, twins, fits, monkeypatch):
    ask(narrow_cells, twins)
    ask(narrow_cells.iloc[:2], twins)
    assert len(fits) == 2  # and one of them without a fifth of the animals
    monkeypatch.setattr(cache, "REVISION", cache.REVISION + 1)
    ask(narrow_cells, twins)
    assert len(fits) == 4


def test_the_next_process_finds_the_models_and_trains_anew_what_is_damaged(
    narrow_cells, twins, fits, tmp_path
):
    def asked_by_a_new_process():
        known._MODELS.clear()
        held = ask(narrow_cells, twins).held
        return held.pipeline.predict_proba(held.cells.X)

    first = asked_by_a_new_process()
    kept = sorted((tmp_path / "cache" / "lspin" / "models").iterdir())
    assert (len(kept), len(fits)) == (2, 2)
    np.testing.assert_array_equal(asked_by_a_new_process(), first)
    assert len(fits) == 2
    whole = kept[0].read_bytes()
    kept[0].write_bytes(whole[: len(whole) // 2])
    other = LSPINClassifier(1, n_members=2, n_steps=20).fit(np.eye(30), [0, 1, 2] * 10)
    other.save(kept[1])
    np.testing.assert_array_equal(asked_by_a_new_process(), first)
    assert len(fits) == 5  # `other` and both
    np.testing.assert_array_equal(asked_by_a_new_process(), first)
    assert len(fits) == 5


def test_where_nothing_can_be_kept_an_answer_is_given(narrow_cells, twins, fits, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert ask(narrow_cells, twins).names[0] == "A0"
    assert len(fits) == 2


def test_the_figure_marks_every_spike(card):
    figure = plot_own_card(card)
    trace = next(ax for ax in figure.axes if ax.get_xlabel() == "time (s)")
    marked = [line for line in trace.lines if line.get_marker() == "o"]
    assert len(marked[0].get_xdata()) == card.measured.spikes["sweep"].value_counts().max()
    plt.close("all")


# The drop zone, driven through its traits as a browser would


def dropped(box, name, content):
    upload, view = box.children
    file = {
        "name": name,
        "type": "",
        "size": len(content),
        "content": content,
        "last_modified": pd.Timestamp(0).to_pydatetime(),
    }
    upload.value = (file,)
    return view.value


def test_a_dropped_table_becomes_cards(new_cells, twins):
    text = io.StringIO()
    new_cells.iloc[:2].rename_axis("cell").to_csv(text)
    box = drop_zone(lambda path: classify_file(path, known=twins))
    html = dropped(box, "cells.csv", text.getvalue().encode())
    assert html.count("<svg") == 2 and "A0: predicted" in html


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("<script>alert(1)</script>.abf", b"nothing", "is damaged, or no .abf file"),
        ("../../cell.nwb", b"nothing", "cell.nwb is damaged"),
        ("cell.mat", b"nothing", "recordings are read from"),
        ("cells.csv", b"cell,vrest\nA,-0.07", "looks like volts"),
        ("", b"", "recordings are read from"),
        ("cells.csv", b"\xff\xfe\x00", "No answer"),
        ("x" * 300 + ".ibw", b"", "no .ibw file"),
    ],
)
def test_what_is_wrong_with_a_dropped_file_is_said_in_a_sentence(name, content, sentence):
    html = dropped(drop_zone(), name, content)
    assert "No answer" in html and sentence in html
    assert "<script" not in html and "Traceback" not in html


def test_what_nobody_foresaw_is_a_sentence_too():
    def breaks(path):
        raise KeyError("<b>")

    html = dropped(drop_zone(breaks), "cell.abf", b"x")
    assert "could not be read (KeyError)" in html


def test_markup_in_the_name_of_a_cell_stays_text(new_cells, twins):
    name = "<script>alert(1)</script>$x$ &amp;"
    cards = classify(new_cells.iloc[:1].set_axis([name]), known=twins)
    html = drop_zone(lambda path: cards)
    shown = dropped(html, "cells.csv", b"x")
    assert "<script" not in shown and "&lt;script&gt;" in shown


def test_the_form_alone_holds_no_cell(tmp_path):
    write_template(tmp_path / "cells.csv")
    with pytest.raises(ValueError, match="has no cells"):
        classify_file(tmp_path / "cells.csv")
