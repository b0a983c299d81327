"""Agreement of reasons: overlap, what chance alone gives, and models trained again."""

import numpy as np
import pandas as pd
import pytest

from lspin import LSPINClassifier, load_cells
from lspin.explain import (
    STRONGEST,
    HeldOut,
    agreement,
    draw_donors,
    feature_groups,
    jaccard,
    jaccard_by_size,
    nearest,
    open_sets,
    refits,
    selection_frequency,
    stability,
    strongest_sets,
    to_groups,
    train_on,
)

pytestmark = pytest.mark.usefixtures("few_mixtures")


def random_sets(n, d, size, rng):
    return rng.permuted(np.tile(np.arange(d) < size, (n, 1)), axis=1)


def test_jaccard_of_known_sets():
    a = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)
    b = np.array([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)
    np.testing.assert_allclose(jaccard(a, b), [1 / 3, 0, np.nan, 1])


@pytest.mark.parametrize(("n_a", "n_b", "d"), [(3, 5, 12), (1, 7, 8), (10, 10, 42), (0, 4, 9)])
def test_overlap_of_random_sets(n_a, n_b, d):
    rng = np.random.default_rng(0)
    a, b = random_sets(20000, d, n_a, rng), random_sets(20000, d, n_b, rng)
    assert jaccard_by_size(n_a, n_b, d) == pytest.approx(jaccard(a, b).mean(), abs=0.005)


def test_overlap_of_single_features_is_by_hand():
    assert jaccard_by_size(1, 1, 20) == pytest.approx(1 / 20)
    assert np.isnan(jaccard_by_size(0, 0, 20))


def test_the_same_reasons_for_every_cell_agree_perfectly():
    a = random_sets(100, 30, 4, np.random.default_rng(0))
    assert agreement(a, a) == pytest.approx({"jaccard": 1, "beyond_size": 1, "beyond_cell": 1})


def test_unrelated_reasons_agree_no_more_than_chance():
    rng = np.random.default_rng(0)
    found = agreement(random_sets(2000, 30, 4, rng), random_sets(2000, 30, 6, rng))
    assert found["jaccard"] > 0.08
    assert abs(found["beyond_size"]) < 0.01
    assert abs(found["beyond_cell"]) < 0.01


def test_favourites_that_are_open_for_every_cell_say_nothing_of_a_cell():
    a, b = np.zeros((2, 50, 30), dtype=bool)
    a[:, :6], b[:, 2:8] = True, True
    found = agreement(a, b)
    assert found["jaccard"] == pytest.approx(0.5)
    assert found["beyond_size"] > 0.4
    assert found["beyond_cell"] == pytest.approx(0)


def test_a_group_is_in_if_one_of_its_features_is():
    groups = pd.Series(["p", "q", "p", "r"])
    sets = np.array([[0, 0, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0]], dtype=bool)
    expected = [[1, 0, 0], [1, 0, 1], [0, 0, 0]]
    np.testing.assert_array_equal(to_groups(sets, groups), expected)


def test_the_nearest_cell_is_of_another_donor():
    Z = pd.DataFrame([[0.0], [0.1], [1.0], [5.0]])
    np.testing.assert_array_equal(nearest(Z, pd.Series([1, 1, 2, 3])), [2, 2, 1, 2])


def test_donors_are_drawn_whole():
    donors = pd.Series([7, 7, 7, 8, 9, 9], index=range(100, 106))
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = draw_donors(donors, rng)
        times = pd.Series(rows).value_counts().reindex(range(6), fill_value=0).to_numpy()
        assert times[0] == times[1] == times[2] and times[4] == times[5]
        assert times[0] + times[3] + times[4] == 3


@pytest.fixture(scope="module")
def held(apart):
    cells = load_cells("twin")
    cells = cells.select(cells.y.groupby(cells.y).head(60).index)
    seen, shown = apart(cells, 240, 60)
    return HeldOut(train_on(seen, LSPINClassifier(12, n_members=2, n_steps=40), 0), seen, shown)


@pytest.fixture(scope="module")
def trained(held):
    return refits(held, n_seeds=2, n_draws=3, verbose=0)


def test_sets_are_what_the_model_did(held):
    opened = open_sets(held)
    np.testing.assert_array_equal(opened, held.gates > 0)
    strongest = strongest_sets(held)
    assert strongest.sum(axis=1).max() == STRONGEST
    for mine, effect in zip(strongest, held.own_effects, strict=True):
        assert not mine.any() or effect[mine].min() >= max(0, effect[~mine].max())


def test_models_are_trained_again_on_what_they_are_said_to_be(held, trained):
    assert {name: len(models) for name, models in trained.items()} == {
        "another seed": 2,
        "other donors": 4,
        "donors drawn anew": 3,
    }
    everything = [h for again in trained.values() for h in again]
    assert len({h.model.random_state for h in everything}) == len(everything)
    # The scaler has seen the cells that the model was trained on.
    means = {
        name: [h.pipeline["pipeline"]["scale"].mean_[0] for h in again]
        for name, again in trained.items()
    }
    assert len(set(means["another seed"])) == 1
    assert len(set(means["other donors"])) == 4
    assert len(set(means["donors drawn anew"])) == 3


def test_stability_compares_all_pairs(held, trained):
    groups = feature_groups(held.Z)
    table = stability(held, trained, groups)
    assert len(table) == 4 * 2 * 2
    row = table.query(
        "`compared with` == 'another seed' and reasons == 'open gates' and unit == 'group'"
    ).iloc[0]
    a, b = map(open_sets, trained["another seed"])
    expected = agreement(to_groups(a, groups), to_groups(b, groups))
    assert row[list(expected)].to_dict() == pytest.approx(expected)
    assert table["jaccard"].between(0, 1).all()


def test_frequencies_lie_in_their_intervals(held, trained):
    groups = feature_groups(held.Z)
    table = selection_frequency(held, trained["donors drawn anew"], groups)
    assert (table["low"] <= table["share"] + 1e-12).all()
    assert (table["share"] <= table["high"] + 1e-12).all()
    assert table["share"].between(0, 1).all()
    per_cell = table.query("unit == 'measurement' and reasons == 'strongest 3'")["share"].sum()
    assert 2 < per_cell < STRONGEST + 1e-9
    assert len(table) == 2 * (held.Z.shape[1] + groups.nunique())
