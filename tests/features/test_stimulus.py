"""Pulses and ramps in a current, and which of them is the stimulus."""

import numpy as np
import pytest

from lspin.features import Pulse
from lspin.features.stimulus import choose_stimuli, find_pulses

HZ = 20_000


def current(*pulses, seconds=3.0, hz=HZ):
    """A current with squares given as (start, end, pA)."""
    x = np.zeros(round(seconds * hz))
    for start, end, pa in pulses:
        x[round(start * hz) : round(end * hz)] = pa
    return x


def square(start, end, pa):
    kind = (
        "long_square" if end - start >= 0.2 else "short_square" if end - start < 0.02 else "other"
    )
    return Pulse(kind, start, end, pa, pa)


def measured(x, noise_pa, hz=HZ):
    """As a recorded channel has it: steps that take 0.3 ms, noise, an offset."""
    width = round(0.3e-3 * hz)
    slow = np.convolve(x, np.ones(width) / width, "same")
    return slow + np.random.default_rng(0).normal(0, noise_pa, x.size) - 4


@pytest.mark.parametrize("kind", ["long_square", "short_square", "other"])
@pytest.mark.parametrize("pa", [-100.0, 5.0, 900.0])
def test_a_square_in_a_command_is_found_to_the_sample(kind, pa):
    end = {"long_square": 1.5, "short_square": 0.503, "other": 0.6}[kind]
    assert find_pulses(current((0.5, end, pa)), HZ) == (0.0, [Pulse(kind, 0.5, end, pa, pa)])


def test_holding_is_taken_from_the_file_or_the_start():
    x = current((0.5, 1.5, 50.0)) - 30
    assert find_pulses(x, HZ) == (-30.0, [square(0.5, 1.5, 50.0)])
    holding, pulses = find_pulses(current((0, 1.5, 50.0)), HZ, holding_pa=0.0)
    assert pulses == [square(0, 1.5, 50.0)]


def test_pulses_that_touch_are_told_apart():
    x = current((0.2, 0.7, -100.0), (0.7, 1.2, 80.0))
    assert find_pulses(x, HZ)[1] == [square(0.2, 0.7, -100.0), square(0.7, 1.2, 80.0)]


@pytest.mark.parametrize("noise_pa", [0.1, 2.0, 8.0])
def test_a_measured_current_gives_the_same(noise_pa):
    x = measured(current((0.1, 0.15, -25.0), (1.0, 2.0, 50.0)), noise_pa)
    holding, (first, second) = find_pulses(x, HZ)
    assert holding == pytest.approx(-4, abs=1 + noise_pa / 5)
    assert (first.kind, second.kind) == ("other", "long_square")
    assert (second.start_s, second.end_s) == pytest.approx((1.0, 2.0), abs=1e-3)
    assert second.amplitude_pa == pytest.approx(50, abs=1 + noise_pa / 5)


@pytest.mark.parametrize("noise_pa", [0.0, 0.1, 2.0])
def test_a_ramp_begins_where_its_line_leaves_the_level(noise_pa):
    t = np.arange(3 * HZ) / HZ
    x = np.where((t >= 0.5) & (t < 2.5), 25 * (t - 0.5), 0.0)
    if noise_pa:
        x = x + np.random.default_rng(1).normal(0, noise_pa, x.size)
    _, (ramp,) = find_pulses(x, HZ)
    assert ramp.kind == "ramp"
    assert (ramp.start_s, ramp.end_s) == pytest.approx((0.5, 2.5), abs=0.05)
    assert ramp.current_pa(1.5) == pytest.approx(25, abs=1 + noise_pa)


def test_a_ramp_that_goes_on_from_level_to_level():
    t = np.arange(HZ) / HZ
    _, (ramp,) = find_pulses(40 + np.clip(20 * (t - 0.1), 0, 10), HZ, holding_pa=0.0)
    assert ramp.kind == "ramp"
    assert (ramp.start_pa, ramp.amplitude_pa) == pytest.approx((40, 50), abs=0.1)
    assert (ramp.start_s, ramp.end_s) == pytest.approx((0.1, 0.6), abs=0.01)


def test_other_shapes_are_other():
    t = np.arange(3 * HZ) / HZ
    sine = np.where((t > 1) & (t < 2), 50 * np.sin(20 * t), 0.0)
    noise = np.convolve(np.random.default_rng(0).normal(0, 100, t.size), np.ones(60) / 60, "same")
    for x in (sine, 20 * noise):
        assert {pulse.kind for pulse in find_pulses(x, HZ)[1]} <= {"other", "short_square"}


@pytest.mark.parametrize("noise_pa", [0.0, 3.0])
def test_nothing_is_found_where_nothing_is(noise_pa):
    x = np.random.default_rng(2).normal(0, 1, 2 * HZ) * noise_pa
    assert find_pulses(x, HZ)[1] == []


def test_what_all_sweeps_share_is_no_stimulus():
    test_pulse, prepulse = square(0.01, 0.02, -20.0), square(0.1, 0.4, -100.0)
    sweeps = [[test_pulse, prepulse, square(0.8, 1.3, pa)] for pa in (20.0, 40.0, 60.0)]
    sweeps.append([test_pulse, prepulse])  # the step of 0 pA
    chosen = choose_stimuli(sweeps)
    assert [pulse and pulse.amplitude_pa for pulse in chosen] == [20.0, 40.0, 60.0, None]


def test_a_second_step_after_a_prepulse_is_not_the_stimulus():
    sweeps = [
        [square(0.2, 0.7, pa), square(1.2, 1.7, -100.0), square(1.7, 2.2, pa)]
        for pa in (-75.0, -50.0, 50.0, 75.0, 100.0)
    ]
    sweeps[0:0] = [[square(0.2, 0.7, -100.0), square(1.2, 2.2, -100.0)]]  # here they have merged
    assert {pulse.start_s for pulse in choose_stimuli(sweeps)} == {0.2}


def test_repeats_of_one_step_are_stimuli():
    sweeps = [[square(0.01, 0.02, -20.0), square(0.5, 1.5, 50.0)]] * 5
    assert choose_stimuli(sweeps) == [square(0.5, 1.5, 50.0)] * 5
    assert choose_stimuli(sweeps[:1]) == [square(0.5, 1.5, 50.0)]


def test_of_one_sweep_the_longest_pulse_counts():
    prepulse, step = square(0.02, 0.32, -100.0), square(0.8, 1.3, 50.0)
    assert choose_stimuli([[prepulse, step]]) == [step]


def test_steps_that_differ_by_little_are_not_shared():
    sweeps = [[square(0.5, 1.5, pa)] for pa in (200.0, 205.0, 210.0, 215.0, 220.0)]
    assert [pulse.amplitude_pa for pulse in choose_stimuli(sweeps)] == [200, 205, 210, 215, 220]
