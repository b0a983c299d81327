# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which kind of neuron did I record?
#
# ## Overview
#
# So far each cell was a row in a table that others had measured. Here we start one step earlier,
# where a physiologist starts: with the file of a recording. We open it, look at its sweeps, work
# out what was injected, find the spikes, and measure the features that the earlier chapters took
# for granted. Then we ask a model, read its reasons, get a second opinion, and doubt both. At the
# end there is a form for a cell of your own.
#
# ## After this chapter you can
#
# - open a recording, and say what was injected;
# - check by eye what was counted as a spike;
# - measure the features, and say which are missing and why;
# - read the card of a cell: the answer, its reasons, and what speaks against it;
# - name what makes two laboratories' numbers differ.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | What the features mean, how a spike is measured | Necessary | {doc}`02_features` |
# | Cells, classes, stimuli | Necessary | {doc}`01_fetching_cells` |
# | Open gates, and the effect of closing one | Necessary | {doc}`09_gates` |
# | Current clamp and voltage clamp | Helpful | {cite:t}`bean2007` |
#
# ## Time to learn
#
# - **Reading**: 35 minutes
# - **Exercises**: 20 minutes

# %% tags=["remove-cell"]
# Installs what is missing, as on Colab; otherwise it does nothing.
import subprocess
import sys
from importlib.util import find_spec

NEEDED = (
    "lspin",
    "distributed",
    "interpret",
    "ipfx",
    "ipywidgets",
    "lightgbm",
)
NEEDED += ("pyabf",)
if not all(map(find_spec, NEEDED)):
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "lspin[book,recordings,rivals]"], check=True)

# %% [markdown]
# We will compare the cell with those that we know: the mouse cells of the Allen database, each with the
# class of its {term}`Cre line`. Further down we say why these and not others.

# %% tags=["remove-stderr"]
from lspin.explain import known_cells

known = known_cells(verbose=0)
print(known.banner())
known.counts().to_frame()

# %% [markdown]
# ## Opening the file
#
# To follow along, take a public recording: a neuron that was given half-second steps of current from
# -100 to 300 pA, in {term}`current clamp`. To bring your own cell, put the path of your file in its
# place. Axon's `.abf`, `.nwb` of version 2, Igor's `.ibw`, and tables as `.csv` or `.h5` can be read.
# Without a network, a simulated cell stands in for the recording.

# %%
from lspin.data import fetch_recording
from lspin.features import read_recording, simulated_recording

try:
    path = fetch_recording("2019_07_24_0055_fsi.abf", verbose=0)
    recording = read_recording(path)
except OSError as error:
    print(error)
    recording = simulated_recording()
print(recording.banner())
print("current:", recording.provenance["current"])

# %% [markdown]
# A recording holds a voltage and, if you are lucky, the current that was injected. The current may
# have been recorded on a second channel, or it may be only the *command* that the protocol sent to
# the amplifier. What cannot be right is refused, such as a recording in voltage clamp, or a voltage
# between -0.07 and 0.04 "mV", which must be in volts.
#
# ## What was injected?

# %%
recording.table().head(8)

# %% [markdown]
# Each row is a {term}`sweep`. A {term}`long square` is a step of constant current that lasts 0.2 s or
# longer, a {term}`short square` is a pulse of up to 20 ms, and a {term}`ramp` rises steadily;
# everything else is `other`. Many protocols also contain pulses that are the same in every sweep, to
# test the electrode or to bring the cell to a known voltage. Those are not the stimulus: the stimulus
# is what differs between sweeps. If a sweep has several steps that differ, the first long one is taken.
#
# In the figure the stimulus is shaded.

# %% mystnb={"image": {"alt": "Three pairs of panels, voltage above current. During the negative step the voltage lies lower, and there are no spikes; during the weaker positive step there are fewer spikes than during the strongest one, which evokes a dense train. The time of the first step is shaded; in the public recording a short negative pulse and a second step follow it."}}
import matplotlib.pyplot as plt

from lspin.show import name_source

squares = [s for s in recording.sweeps if s.kind == "long_square"]
squares.sort(key=lambda sweep: sweep.stimulus.amplitude_pa)
shown = [squares[0], squares[len(squares) // 2], squares[-1]]
share = {"sharex": True, "sharey": "row", "height_ratios": [3, 1]}
fig, axes = plt.subplots(2, 3, figsize=(9, 4), layout="constrained", **share)
for (upper, lower), sweep in zip(axes.T, shown, strict=True):
    upper.plot(sweep.time_s, sweep.voltage_mv, color="black", lw=0.5)
    lower.plot(sweep.time_s, sweep.current_pa, color="black", lw=0.8)
    pulse = sweep.stimulus
    upper.set_title(f"{pulse.amplitude_pa:.0f} pA")
    lower.set_xlabel("time (s)")
    for ax in (upper, lower):
        ax.axvspan(pulse.start_s, pulse.end_s, color="0.9")
axes[0, 0].set_ylabel("voltage (mV)")
axes[1, 0].set_ylabel("current (pA)")
name_source(fig, recording.banner())
plt.show()

# %% [markdown]
# In the public recording a short negative pulse and the same step once more follow later in each sweep. They
# are not used: a second step finds the cell as the first one left it.
#
# ## Finding the spikes
#
# `measure` finds {term}`spikes <spike>` as the Allen Institute does, with the Institute's own program,
# ipfx: wherever the voltage rises faster than 20 V/s, by at least 2 mV, and then reaches at least -30 mV.
# All that it measures comes back at once: a table of sweeps, a table of spikes, the features, and the
# reason for every one that is missing.

# %%
from lspin.features import measure

measured = measure(recording)
steps = measured.sweeps.dropna(subset="amplitude_pa")
steps.head(8).round(1)

# %% [markdown]
# Never believe a spike count that you have not checked by eye. The next figure shows two sweeps, the
# step shaded, with a dot on every spike that was found: the one at {term}`rheobase`, the weakest step
# that made the cell fire, and the one with the most spikes.
#
# ```{admonition} Predict before you run
# :class: tip
# You saw the strongest step above. How many spikes would you say there are in half a second, and do
# you expect the program to miss some of them?
# ```

# %% mystnb={"image": {"alt": "Two panels, voltage against time, with a dot on the peak of every spike found. Above, the sweep at rheobase; below, the sweep with most spikes, a dense train. The titles give the number of dots."}}
rheobase_pa = measured.features["threshold_i_long_square"]
sweep = next(s for s in squares if s.stimulus.amplitude_pa >= rheobase_pa - 1)
most = measured.spikes["sweep"].value_counts().idxmax()
liveliest = next(s for s in recording.sweeps if s.number == most)
fig, axes = plt.subplots(
    2, 1, figsize=(9, 5), layout="constrained", sharex=True
)
for ax, one in zip(axes, (sweep, liveliest), strict=True):
    found = measured.spikes[measured.spikes["sweep"] == one.number]
    ax.plot(one.time_s, one.voltage_mv, color="black", lw=0.6)
    ax.plot(found["peak_t"], found["peak_v"], "o", ms=4, color="C1")
    ax.set(ylabel="voltage (mV)", ylim=(found["trough_v"].min() - 20, None))
    ax.set_title(f"sweep {one.number}: {len(found)} spikes found")
    if one.stimulus:
        ax.axvspan(one.stimulus.start_s, one.stimulus.end_s, color="0.93")
if pulse := liveliest.stimulus:
    ax.set_xlim(pulse.start_s - 0.05, pulse.end_s + 0.05)
ax.set_xlabel("time (s)")
name_source(fig, recording.banner())
plt.show()

# %% [markdown]
# Count for yourself. A peak without a dot was not counted, and a dot without a peak is a false
# detection; both would change the firing rate, and with it the answer. In the public recording the
# first peak of the upper panel has no dot, and rightly so: this cell also fires without current, and
# that spike took off just before the step began, so the step did not evoke it.
#
# Here is the first spike at rheobase, with the points that are measured in it:

# %% mystnb={"image": {"alt": "The first spike at rheobase, enlarged: voltage against time in milliseconds, with dots at its threshold, its peak and its fast trough."}}
spikes = measured.spikes[measured.spikes["sweep"] == sweep.number]
first = spikes.iloc[0]
fig, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
time_ms = 1000 * (sweep.time_s - first["threshold_t"])
ax.plot(time_ms, sweep.voltage_mv, color="black", lw=0.8)
for name in ("threshold", "peak", "fast_trough"):
    at_ms = 1000 * (first[f"{name}_t"] - first["threshold_t"])
    label = name.replace("_", " ")
    ax.plot(at_ms, first[f"{name}_v"], "o", label=label)
ax.set(xlim=(-3, 8), ylim=(first["fast_trough_v"] - 15, None))
ax.set_ylabel("voltage (mV)")
ax.set_xlabel("time from threshold (ms)")
ax.legend()
name_source(fig, recording.banner())
plt.show()

# %% [markdown]
# ## What was measured
#
# The features carry the names, units and definitions of the Allen table. That includes the clock: times
# are counted as if the stimulus began at 1.02 s, as it does in the sweeps of the Allen Institute.

# %%
import pandas as pd

from lspin.features import FEATURES

values = measured.features.dropna()
pd.DataFrame(
    {
        "value": values.round(3),
        "unit": [FEATURES[name].unit for name in values.index],
        "feature": [FEATURES[name].label for name in values.index],
    }
)

# %% [markdown]
# Whatever the protocol did not contain stays missing. No value is made up for it, and the reason is
# given:

# %%
reasons = pd.Series(measured.missing, name="reason")
reasons = reasons.rename_axis("feature").reset_index()
missing = reasons.groupby("reason")["feature"].agg(["count", "first"])
missing.set_axis(["features", "such as"], axis=1)

# %% [markdown]
# And some things were measured differently from those in the table:

# %%
for note in measured.notes:
    print("-", note)

# %% [markdown]
# ## Would another program say the same?
#
# A definition in words leaves room: is the {term}`threshold` the last sample below a slope, or a
# point between two samples? So measure the same spikes twice: with ipfx, as above, and with
# `measure_spike`, the function of this book that you met in {doc}`02_features`. Here are the spikes at
# rheobase. How large do you expect the differences to be?

# %%
from lspin.features import measure_spike

names = ["threshold_v", "peak_v", "upstroke", "downstroke"]
names += ["upstroke_downstroke_ratio", "fast_trough_v"]
again = {}
for number, peak_s in spikes["peak_t"].items():
    near = (sweep.time_s > peak_s - 0.002) & (sweep.time_s < peak_s + 0.005)
    again[number] = measure_spike(sweep.voltage_mv[near], sweep.sampling_hz)
again = pd.DataFrame(again).T[names]
off = (again - spikes[names]).abs()
pd.DataFrame(
    {
        "median, ipfx": spikes[names].median().round(2),
        "largest difference": off.max().map("{:.0e}".format),
        "unit": ["mV", "mV", "V/s", "V/s", "", "mV"],
        "spikes compared": off.count(),
    }
)

# %% [markdown]
# Both get the same trace, interpolated to 50 kHz or more, and follow the same definitions, filter
# included, so that most differences are mere rounding (`1e-09` is 0.000000001). The threshold is the
# exception, and shows what a definition is worth. Both programs look for the moment at which the slope
# passes 5 % of the {term}`upstroke`. But `measure_spike` takes the upstroke of that spike, and ipfx the
# mean upstroke of all spikes in the sweep. Programs that define a threshold in another way, say by
# 20 V/s, differ by far more, which is why a table has to say how it was made.
#
# The tests of the package compare ipfx with a third program as well: AllenSDK, by which the table of
# the Allen Institute was made, on the same simulated sweeps at 50 kHz. The test fails if the two
# differ by more than this:
#
# | feature | largest difference allowed |
# |---|---|
# | {term}`resting potential`, {term}`input resistance`, {term}`sag`, {term}`f-I slope`, rheobase | 0.01 % |
# | {term}`membrane time constant` | 3 % (ipfx ends its fits a little earlier) |
# | {term}`latency`, mean {term}`inter-spike interval`, {term}`adaptation` | one part in a million |
# | threshold, peak, fast trough, trough, ratio of upstroke and downstroke | 0.001 % |
#
# ## Does the sampling rate matter?
#
# The Allen cells were sampled at 50 kHz or more; many amplifiers are set to 20 or 10. So take
# spikes that were recorded at 50 kHz, keep only as many samples as a slower recording would have, and
# measure again. The table shows the median change of each measurement as a share of its standard
# deviation over cells: 0.05 is a twentieth of how much cells differ anyway.

# %% tags=["remove-stderr"]
import numpy as np

from lspin import load_spikes
from lspin.features import measure_spikes

fast = load_spikes()
traces = fast.waveform_mv.iloc[::20]
traces = traces[traces.to_numpy().argmax(axis=1) == 50]
full = measure_spikes(traces)
ms = traces.columns.to_numpy(float)
change = {}
for khz in (20, 10):
    at = np.arange(0, 2.9, 1 / khz) - 1
    slow = [np.interp(at, ms, trace) for trace in traces.to_numpy()]
    slow = pd.DataFrame(slow, index=traces.index)
    difference = (measure_spikes(slow, 1000 * khz) - full).abs()
    change[f"{khz} kHz"] = difference.median() / full.std()
print(fast.banner())
pd.DataFrame(change).round(3)

# %% [markdown]
# Voltages and widths hardly change. What depends on the steepest moment of the spike, the upstroke and
# its ratio to the downstroke, suffers at 10 kHz: that moment falls between two samples. The rise time
# begins at one sample and ends at another, so it changes too, and often the most. (The package is tested
# with such limits on recorded spikes: at 20 kHz a change of up to 0.06 for the upstroke, at 10 kHz up to
# 0.3; for peak, trough and width up to 0.03 at both.)
#
# ## Beside the cells that we know
#
# Where does the cell stand within each class? For each feature that both have, take the share of the
# cells in a class that lie below it. A value close to 0.5 is ordinary for the class; one close to 0
# or 1 is at its edge. Times have become intervals, as in {doc}`02_features`. Columns that
# only say whether something could be measured are left out here; the model below counts them as well.

# %%
from lspin.features import engineered, feature_named

ours = engineered(measured.table().dropna(axis=1)).iloc[0].dropna()
ours = ours[[name for name in ours.index if not name.startswith("no_")]]
ranks = known.X[ours.index].lt(ours).groupby(known.y).mean().T
ranks.columns = ranks.columns.str.replace("Glutamatergic", "Glut.")
ranks.insert(0, "value", [f"{value:.3g}" for value in ours])
ranks.index = [feature_named(name).label for name in ranks.index]
ranks.round(2)

# %% [markdown]
# How far is it from the middle of each class, over all features? The mean distance from 0.5 is about
# 0.25 for a typical cell of the class, and 0.5 for one that lies outside it in every respect.

# %%
distance = (ranks.drop(columns="value") - 0.5).abs().mean()
print(distance.sort_values().round(2).to_string())

# %% [markdown]
# This is not an answer yet, because it weighs all features alike and counts twice those that say the
# same. But it is a check that nothing went wrong on the way: a cell that is far from *every* class is
# more often a wrong unit than a new type.
#
# ## Asking the model
#
# The networks of the earlier chapters need all features, and this recording does not have them all.
# Filling the gaps with averages would make the cell look more ordinary than it is. So `classify`
# trains a new model on the known cells, with **only the features that were measured here**. It takes
# some ten seconds, and gives the cell's {term}`card`.
#
# ```{admonition} Predict before you run
# :class: tip
# You have seen the trace, the spike and the distances. Which class would you name, and how sure are
# you? Write it down before you read the model's answer.
# ```

# %% tags=["remove-stderr"]
from lspin import classify

card = classify(measured)
print(card)

# %% [markdown]
# If anything speaks against the answer, the card begins with it. The sentence below the answer is as
# important as the probability: a model with these measurements was tried on known cells whose animals
# it had not seen. That is what to expect of a cell recorded *in the same laboratory*.

# %% mystnb={"image": {"alt": "The card of the cell: class probabilities as bars; the sweep with most spikes, each marked by a dot; the percentile of each measurement that decided, and how much probability the answer loses without it; the most similar known cells."}}
from lspin.show import plot_own_card

plot_own_card(card)
plt.show()

# %% [markdown]
# ## Reading the reasons
#
# The whole answer came through the measurements in the list: their {term}`gates <gate>` are open, and
# all others are closed. Read each with its percentile. Does the value match what you saw in the trace?
# Do textbooks know it as a sign of the class? Fast-spiking Pvalb cells have narrow spikes, a steep
# f-I curve and a short time constant; Sst cells have a high input resistance and a low rheobase;
# excitatory (Glutamatergic) cells have broad spikes that rise much faster than they fall.
#
# ## A second opinion
#
# A cell that is predicted to be inhibitory gets a {term}`second opinion`. The first model learned from
# Cre lines, which also mark cells of other types. The second one learned which *inhibitory* type a
# cell is from neurons of mouse visual cortex {cite}`gouwens2020` whose own RNA was read
# ({term}`Patch-seq`). It cannot be asked whether a cell is excitatory, because it learned from
# inhibitory cells only.

# %%
import textwrap

print("First answer:", card.title)
print(textwrap.fill(card.second_opinion or "No second opinion.", 79))

# %% [markdown]
# Models that learned from recorded cells disagree about this very neuron. The first answer is Vip+,
# and not a confident one. The second is Pvalb+, and that is what the firing suggests: a dense and even
# train. But little current is enough to make this cell fire, and its time constant is long, which is
# unusual for a Pvalb cell. The two disagree about another public file too,
# `LantyerEtAl2018_180817_ME_9_CC.nwb`: the first answer is Vip+, the second is Sst+, and far more
# confident.
#
# What is such a second opinion worth? That was measured on inhibitory neurons of mouse motor cortex,
# recorded in another laboratory, whose RNA is known {cite}`scala2021`:
#
# | | at 34 °C | at 25 °C |
# |---|---|---|
# | the two agree: right | 97 % | 79 % |
# | they disagree: the second is right | 72 % | 50 % |
# | they disagree: the first is right | 28 % | 31 % |
#
# So agreement is reassuring, and where the two disagree, the second is the better bet, but no more
# than a bet. No molecular marker was examined in the neuron of the public recording, and nobody knows
# which type it was. Believe neither model blindly, nor the name of the file (*fsi* presumably stands
# for fast-spiking interneuron).
#
# ## Doubting both
#
# **Would other animals have taught the model the same?** Train it on one half of the mice, then on
# the other.
#
# ```{admonition} Predict before you run
# :class: tip
# Each half has several hundred cells. Will both halves give the same class? Will they open the same
# gates?
# ```

# %% tags=["remove-stderr"]
for half in (0, 1):
    some = known.select((known.donors % 2 == half).to_numpy())
    other = classify(measured, known=some)
    print(other.title, "by", ", ".join(other.gates.index[:3]))

# %% [markdown]
# Where the two halves disagree, the probability on the card should not be taken at face value. Where
# they name the same class but from other measurements, the reasons are less certain than the class.
#
# **Does the cell lie inside what the model knows?** The card compares each measurement with the known
# cells ({term}`shift`), and raises an alarm only where hardly any of them lies as far out:

# %%
columns = ["train", "new", "distance", "limit", "outside"]
card.shift.table[columns].head(5).round(2)

# %% [markdown]
# A row that is `outside` would have stood on the first line of the card. Some things do not show in any
# measurement, and you have to state them yourself. Suppose that the slice was at 25 °C:

# %%
cold = classify(measured, known=known, temperature_c=25)
print("\n".join(str(cold).splitlines()[:4]))

# %% [markdown]
# ## What makes two laboratories' numbers differ
#
# How good is such a model in *another* laboratory? That can be measured. The neurons of
# {cite:t}`scala2021` come from mouse motor cortex, were recorded elsewhere, most of them at 25 °C, and
# their RNA tells what they are. With the twelve features that all tables have in common, a model with
# eight open gates gets the following (`benchmarks/known_cells.py`, mean of three {term}`seeds <seed>`;
# {term}`macro F1` counts each class the same; at 34 °C there are only three of the five classes):
#
# | learned from | macro F1, 25 °C (1226 cells) | 34 °C (176 cells) | excitatory right, 25 / 34 °C | inhibitory right, 25 / 34 °C |
# |---|---|---|---|---|
# | **Allen, by Cre line** | 0.619 | 0.923 | 71 % / 93 % | 65 % / 84 % |
# | V1, by RNA | 0.445 | 0.503 | none | 72 % / 93 % |
# | Allen's excitatory cells and V1 | 0.589 | 0.714 | 49 % / 30 % | 69 % / 96 % |
# | all of Allen and V1 | 0.613 | 0.731 | 50 % / 37 % | 73 % / 95 % |
# | Allen without Htr3a+\|Vip-, and V1 | 0.607 | 0.772 | 50 % / 37 % | 71 % / 98 % |
#
# No row is best at everything. The Allen cells alone are best at recognising excitatory cells, and
# that gives them the highest macro F1 at 34 °C; at 25 °C macro F1 cannot tell them from the mixtures.
# The mixtures are best at telling inhibitory types apart, because every cell from V1 is labelled by
# its own RNA, but they take half or more of the excitatory cells for inhibitory ones.
#
# We use the Allen cells alone: nobody should get a wrong answer about an excitatory cell two times out
# of three. The drawback is that **inhibitory types are right less often, 65 % at 25 °C and 84 % at
# 34 °C**, and that is what the second opinion is for. The first model can also answer
# **Htr3a+|Vip-, a doubtful class**: it counts here as right for the {term}`subclasses <subclass>`
# Lamp5 and Sncg, but many cells of its lines are neither. (The number of gates, the weights of the
# classes and the known cells were chosen with these scores in sight, so none of them is the score of
# an untouched test.)
#
# In its own laboratory such a model is right more often, and the card says how often. Before you
# believe a card about a cell of yours, think of what makes the difference:
#
# - **Temperature.** The median {term}`half-width` of a spike is 0.38 ms in Pvalb cells of the Allen
#   database, 0.44 ms in those of motor cortex at 34 °C, and 0.60 ms at 25 °C. A fast spike in the cold
#   looks like a slow one in the warm.
# - **The label.** A Cre line also marks cells that it was not meant for: in nearly a fifth of
#   the cells of {cite:t}`gouwens2020`, line and RNA disagree. The class Htr3a+|Vip- is the worst, with
#   about two cells in five.
# - **The definition.** Input resistance at the peak of a deflection or at its end, sag at -200 pA or
#   at -100 mV, a step of 0.5 s or of 1 s: {doc}`feature_mapping` lists what we know of.
# - **How common the types are.** Each class counts the same in this model. Where you record, some
#   types may be ten times as common as others; an answer that names a rare one needs more evidence.
# - **The rest**: pipette solutions, the age of the animal, the filter of the amplifier, the correction
#   of the {term}`liquid junction potential` (some 10 to 15 mV, corrected by some and not by others;
#   the known cells are not corrected).
#
# ## A form for your own cell
#
# **In JupyterLab, on Binder or Colab**, press the button and choose a file: a recording, or a table of
# features. If something is wrong with a file, a sentence says what. On Binder the file travels to a
# computer that is not yours: do not upload data that you must not share.

# %% tags=["remove-output"]
from lspin.show.drop_zone import drop_zone

drop_zone()

# %% [markdown]
# **In the built book** there is no Python behind the page, so the button is left out. On your own
# computer you can do the same in a terminal:
#
# ```bash
# lspin classify cell1.abf cell2.nwb -o cards --temperature 32
# ```
#
# prints a table with first answer and second opinion, and writes it as `cells.csv` into the folder
# `cards`, with a card for each cell.
#
# If you have measured already, bring numbers. `lspin template cells.csv` writes a form: a row of names,
# a row of units, and an example. Its first columns are:

# %%
from lspin.features.form import template_rows

names, units, example = template_rows()
form = pd.DataFrame({"unit": units, "example": example}, index=names)
form.rename_axis("column").head(12)

# %% [markdown]
# Leave a field empty if it was not measured; a 0 would be taken for a measurement. Units are checked
# against the range that neurons can have, and nothing is converted behind your back:

# %%
volts = pd.DataFrame({"vrest": [-0.07], "ri": [1.8e8]}, index=["A1"])
try:
    classify(volts)
except ValueError as error:
    print(error)

# %% [markdown]
# ## Take-away
#
# - A file becomes a row of features only by decisions: which pulse was the stimulus, what is a spike.
#   Look at the traces.
# - What was not measured stays missing, and the model is trained without it.
# - An answer comes with its reasons, with how often such answers are right, and with what speaks
#   against it, which comes first.
# - An inhibitory answer gets a second opinion from cells labelled by their own RNA. Agreement is
#   reassuring; disagreement means that you do not know.
# - In another laboratory a model is wrong far more often than in its own: temperature, labels and
#   definitions differ.
#
# ## Self-check
#
# **1.** Every sweep of a file begins with the same pulse of -100 pA, and then comes a step that is
# different in each sweep. Which of the two is the stimulus?
#
# ```{dropdown} Answer
# The step that differs. A pulse that is the same in all sweeps tests the electrode or brings the cell
# to a known voltage; it may still be used to measure passive properties if there is no negative step.
# ```
#
# **2.** You look at a sweep and see a peak at -35 mV that rose quickly, without a dot. Did the program
# make a mistake?
#
# ```{dropdown} Answer
# Not by its definition, which asks for -30 mV or more. Whether the definition suits your cell is
# for you to decide: small spikes late in a train, or a badly compensated electrode, can fall below it.
# ```
#
# **3.** Your protocol had no negative step, so there is no sag. Why not fill in the average sag of all
# known cells and use the usual model?
#
# ```{dropdown} Answer
# The average is a value that says "ordinary", and the model would read it as evidence. Training without
# the feature uses only what you know, and the score on the card then is that of a model without it.
# ```
#
# **4.** A card says "Sst+ (97%)", with the second opinion Sst+, and the slice was at 22 °C. What do you
# make of it?
#
# ```{dropdown} Answer
# The two agree, which is a good sign, but both learned from cells at about 34 °C. At 22 °C spikes
# are much wider, so the cell lies outside what the models know, and the first line of the card should
# say so if you gave the temperature.
# ```
#
# **5.** Why is the second model never asked about a cell that the first one takes for excitatory?
#
# ```{dropdown} Answer
# It learned from inhibitory cells only, so it would name an inhibitory type whatever you show it. Its
# answer means something only if the cell is inhibitory.
# ```
#
# ## Exercises
#
# **1. Warm-up.** Give the current in the wrong unit, in nA instead of pA. What happens?
# *On the twin: the same.*
#
# ```{dropdown} Solution
# No program could tell a step of 0.1 pA from noise. So no stimulus is found, nothing is measured that
# needs one, and the reason asks about the unit.
# ```

# %% tags=["hide-cell"]
from lspin.features import Recording

wrong = measure(
    Recording.from_arrays(
        [sweep.voltage_mv for sweep in recording.sweeps],
        [sweep.current_pa / 1000 for sweep in recording.sweeps],
        [sweep.sampling_hz for sweep in recording.sweeps],
    )
)
print(wrong.missing["threshold_i_long_square"])
assert "nA" in wrong.missing["threshold_i_long_square"]

# %% [markdown]
# **2. Core.** Halve the sampling rate of the whole recording: keep every second sample. Which features
# change most? *On the twin: it runs, on a simulated cell.*
#
# ```{dropdown} Solution
# What counts spikes, or averages over a long time, hardly changes. The rise time begins at one sample
# and ends at another, so with fewer samples it moves in larger steps. The ratio of upstroke and downstroke
# and the threshold depend on how fast the voltage rises, which is what a slow recording loses.
# ```

# %% tags=["hide-cell"]
halved = measure(
    Recording.from_arrays(
        [sweep.voltage_mv[::2] for sweep in recording.sweeps],
        [sweep.current_pa[::2] for sweep in recording.sweeps],
        [sweep.sampling_hz / 2 for sweep in recording.sweeps],
    )
)
both = pd.DataFrame(
    {
        "all samples": engineered(measured.table()).iloc[0],
        "half of them": engineered(halved.table()).iloc[0],
    }
).dropna()
change = (both["half of them"] - both["all samples"]).abs()
change /= known.X[both.index].std()
print("change, as a share of the spread over known cells:")
print(both.assign(change=change).sort_values("change").tail(6).round(3))
counts = halved.sweeps["n_spikes"] - measured.sweeps["n_spikes"]
assert counts.abs().max() <= 1

# %% [markdown]
# **3. Open.** Suppose that first answer and second opinion disagree about a cell of yours. Design what
# you would do next, at the rig and afterwards, to find out which type it is. *On the twin: the same;
# no cells are needed.*
#
# ```{dropdown} Solution
# A good answer names a measurement that separates the two candidates and was missing or doubtful
# (such as the half-width at 34 °C, or the firing at stronger steps), says what each candidate
# predicts for it, and checks the protocol against that of the known cells. It then goes beyond
# electricity: the shape of the axon or staining for the protein afterwards, a reporter line, or
# reading the RNA from the pipette. And it says which result would change your mind.
# ```
#
# ## What's next?
#
# You have gone from a file to an answer with reasons. And if your table is not of neurons, or has
# labels of its own? {doc}`13_own_table` trains a model on it.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
