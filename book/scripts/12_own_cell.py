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
# So far each cell was a row of a table that others had measured. Here we start one step earlier,
# where a physiologist starts: with the file of a recording. We open it, look at its sweeps, find
# out what was injected, find the spikes, and measure the features that the earlier chapters took
# for granted. Then we ask a model, read its reasons, and doubt them. At the end there is a form for
# a cell of your own.
#
# ## After this chapter you can
#
# - open a recording, and say what was injected;
# - check by eye what was counted as a spike;
# - measure the features, and say which are missing and why;
# - read the card of a cell: answer, reasons, and what speaks against it;
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
# - **Exercises**: 15 minutes

# %% tags=["remove-cell"]
# Installs what is missing, as on Colab; where everything is there it does nothing.
import subprocess
import sys
from importlib.util import find_spec

NEEDED = ("lspin", "distributed", "interpret", "ipfx", "ipywidgets", "lightgbm")
NEEDED += ("pyabf",)
if not all(map(find_spec, NEEDED)):
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "lspin[book,recordings,rivals]"], check=True)

# %% [markdown]
# The cells to compare with are those that we know: the mouse cells of the Allen database, each with the
# class of its Cre line. Why these, we come to below.

# %% tags=["remove-stderr"]
from lspin.explain import known_cells

known = known_cells(verbose=0)
print(known.banner())
known.counts().to_frame()

# %% [markdown]
# ## Opening the file
#
# To follow along, take a public recording: a neuron that got steps of current of half a second,
# from -100 to 300 pA. To bring your own cell, put the path of your file there; Axon's `.abf`,
# `.nwb` of version 2, Igor's `.ibw`, and tables as `.csv` or `.h5` are read. Without a network a
# simulated cell takes the recording's place.

# %%
from lspin.data import fetch_recording
from lspin.features import read_recording, simulated_recording

try:
    recording = read_recording(fetch_recording("2019_07_24_0055_fsi.abf", verbose=0))
except OSError as error:
    print(error)
    recording = simulated_recording()
print(recording.banner())
print("current:", recording.provenance["current"])

# %% [markdown]
# A file of a recording holds a voltage and, if you are lucky, the current that was injected. It may
# be a second channel that was recorded, or only the *command* that the protocol sent to the
# amplifier. What cannot be right is refused: a recording in voltage clamp, a voltage that lies
# between -0.07 and 0.04 mV because it is in volts.
#
# ## What was injected?

# %%
recording.table().head(8)

# %% [markdown]
# Each row is a sweep. A **long square** is a step of constant current that lasts 0.2 s or longer, a
# **short square** a pulse of up to 20 ms, a **ramp** rises steadily; everything else is `other`.
# Protocols also hold pulses that are the same in all sweeps, to test the electrode or to bring the
# cell to a known potential. Those are not the stimulus: the stimulus is what differs between sweeps.
#
# In the figure the stimulus is shaded.

# %% mystnb={"image": {"alt": "Three pairs of panels, voltage above current. A negative step moves the voltage down without a spike, a weak positive step evokes a few spikes, the strongest one a dense train. The time of the step is shaded."}}
import matplotlib.pyplot as plt

from lspin.show import name_source

squares = [sweep for sweep in recording.sweeps if sweep.kind == "long_square"]
squares.sort(key=lambda sweep: sweep.stimulus.amplitude_pa)
shown = [squares[0], squares[len(squares) // 2], squares[-1]]
fig, axes = plt.subplots(
    2, 3, figsize=(9, 4), layout="constrained", sharex=True, sharey="row", height_ratios=[3, 1]
)
for (upper, lower), sweep in zip(axes.T, shown, strict=True):
    upper.plot(sweep.time_s, sweep.voltage_mv, color="black", lw=0.5)
    lower.plot(sweep.time_s, sweep.current_pa, color="black", lw=0.8)
    upper.set_title(f"{sweep.stimulus.amplitude_pa:.0f} pA")
    lower.set_xlabel("time (s)")
    for ax in (upper, lower):
        ax.axvspan(sweep.stimulus.start_s, sweep.stimulus.end_s, color="0.9")
axes[0, 0].set_ylabel("voltage (mV)")
axes[1, 0].set_ylabel("current (pA)")
name_source(fig, recording.banner())
plt.show()

# %% [markdown]
# ## Finding the spikes
#
# `measure` finds them as the Allen Institute does, with its own program, ipfx: where the potential
# rises faster than 20 V/s, and then reaches at least -30 mV. Everything that it measures comes back
# at once: a table of sweeps, one of spikes, the features, and why the missing ones are missing.

# %%
from lspin.features import measure

measured = measure(recording)
measured.sweeps.dropna(subset="amplitude_pa").head(8).round(1)

# %% [markdown]
# Do not believe a number of spikes that you have not seen. Here is the sweep at **rheobase**, the
# weakest step that made the cell fire, with every spike marked that was found during the step:

# %% mystnb={"image": {"alt": "Left: the voltage of the sweep at rheobase with a dot on the peak of every spike found. Right: its first spike, enlarged, with dots at threshold, peak and fast trough."}}
rheobase_pa = measured.features["threshold_i_long_square"]
sweep = next(s for s in squares if s.stimulus.amplitude_pa >= rheobase_pa - 1)
spikes = measured.spikes[measured.spikes["sweep"] == sweep.number]
first = spikes.iloc[0]
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for ax in (left, right):
    ax.plot(sweep.time_s, sweep.voltage_mv, color="black", lw=0.8)
    ax.set_xlabel("time (s)")
left.plot(spikes["peak_t"], spikes["peak_v"], "o", ms=4)
left.set(ylabel="voltage (mV)", title=f"{len(spikes)} spikes at {rheobase_pa:.0f} pA")
for name in ("threshold", "peak", "fast_trough"):
    right.plot(first[f"{name}_t"], first[f"{name}_v"], "o", label=name.replace("_", " "))
right.set_xlim(first["threshold_t"] - 0.003, first["threshold_t"] + 0.008)
right.legend()
name_source(fig, recording.banner())
plt.show()

# %% [markdown]
# ## What was measured
#
# The features carry the names, units and definitions of the Allen table.

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
# What the protocol does not hold stays missing. No value is made up for it, and the reason is told:

# %%
reasons = pd.Series(measured.missing, name="reason").rename_axis("feature").reset_index()
reasons.groupby("reason")["feature"].agg(["count", "first"])

# %% [markdown]
# And some of what was measured was measured otherwise than in the table:

# %%
for note in measured.notes:
    print("-", note)

# %% [markdown]
# ## Beside the cells that we know
#
# Where does the cell stand within each class? For each feature that both have, take the share of the
# cells of a class that lie below it. A value close to 0.5 is ordinary for the class, one close to 0
# or 1 is at its edge. The times have become intervals, as in {doc}`02_features`.

# %%
from lspin.features import engineered

ours = engineered(measured.table().dropna(axis=1)).iloc[0].dropna()
ours = ours[[name for name in ours.index if not name.startswith("no_")]]
ranks = known.X[ours.index].lt(ours).groupby(known.y).mean().T
ranks.insert(0, "value", ours)
ranks.round(2)

# %% [markdown]
# How far is it from the middle of each class, over all features? The mean distance from 0.5 runs
# from 0.25 for a typical cell of the class to 0.5 for one that lies outside of it in every respect.

# %%
distance = (ranks.drop(columns="value") - 0.5).abs().mean().sort_values()
print(distance.round(2).to_string())

# %% [markdown]
# That is no answer yet: it weighs all features alike, and counts those twice that say the same. But
# it is a check that nothing went wrong on the way: a cell that is far from *every* class is more
# often a wrong unit than a new type.
#
# ## Asking the model
#
# The networks of the earlier chapters want all features, and this recording does not have them all.
# Filling the gaps with averages would make the cell more ordinary than it is. So `classify` trains a
# model anew, on the known cells, with **just the features that were measured here**. It takes some
# ten seconds, and gives the cell's card.

# %% tags=["remove-stderr"]
from lspin import classify

card = classify(measured, known=known)
print(card)

# %% [markdown]
# The card begins with what speaks against its answer, if anything does. The number below the answer
# is as important as the probability: a model with these measurements was tried on known cells whose
# animals it had not seen. It is what to expect of a cell recorded *in the same laboratory*. If the answer
# is an inhibitory type, a few lines more say how far such labels can be trusted.

# %% mystnb={"image": {"alt": "The card of the cell: class probabilities as bars; the sweep with most spikes, each marked by a dot; the percentile of each measurement that decided, and how much probability the answer loses without it; the most similar known cells."}}
from lspin.show import plot_own_card

plot_own_card(card)
plt.show()

# %% [markdown]
# ## Reading the reasons
#
# All of the answer went through the measurements in the list: their gates are open, all others are
# closed. Read each with its percentile. Is the value what you saw in the trace? Does the textbook
# know it as a sign of the class? Fast-spiking Pvalb cells have narrow spikes, a steep f-I curve and a
# short time constant; Sst cells a high input resistance and a low rheobase; excitatory
# (Glutamatergic) cells broad spikes that rise much faster than they fall.
#
# A recording that fires fast need not be called Pvalb+. If the time constant is long and little
# current is enough, the cell is as much like another inhibitory type, and no molecule was ever looked
# at here: nobody knows which of them it was. Believe neither the model nor the name of the file.
#
# ## Doubting them
#
# **Would other animals have told the model the same?** Train it on one half of the mice, then on the
# other:

# %% tags=["remove-stderr"]
for half in (0, 1):
    some = known.select((known.donors % 2 == half).to_numpy())
    other = classify(measured, known=some)
    print(other.title, "by", ", ".join(other.gates.index[:3]))

# %% [markdown]
# Where the two halves disagree, the probability on the card was too good to be true.
#
# **Is the cell inside of what the model knows?** The card compares each measurement with the known
# cells and sets off an alarm only where hardly any of them lies as far out:

# %%
card.shift.table[["train", "new", "distance", "limit", "outside"]].head(5).round(2)

# %% [markdown]
# A row that is `outside` would have stood on the first line of the card. Of the things that no
# measurement shows, you must tell it yourself. Suppose that the slice was at 25 °C:

# %%
print("\n".join(str(classify(measured, known=known, temperature_c=25)).splitlines()[:4]))

# %% [markdown]
# ## What makes two laboratories' numbers differ
#
# How good is such a model in *another* laboratory? That can be measured: the neurons of
# {cite:t}`scala2021` come from mouse motor cortex, were recorded elsewhere, most of them at 25 °C, and
# their RNA says what they are. With the twelve features that all tables have, a model of eight open
# gates gets (`benchmarks/known_cells.py`, mean of three seeds; at 34 °C there are three of the five
# classes only):
#
# | learned from | macro F1 at 25 °C (1226 cells) | at 34 °C (176 cells) | excitatory cells right, 25 / 34 °C | inhibitory cells right, 25 / 34 °C |
# |---|---|---|---|---|
# | **Allen, by Cre line** | 0.619 | 0.923 | 71 % / 93 % | 65 % / 84 % |
# | V1, by RNA | 0.445 | 0.503 | none | 72 % / 93 % |
# | Allen's excitatory cells and V1 | 0.589 | 0.714 | 49 % / 30 % | 69 % / 96 % |
# | all of Allen and V1 | 0.613 | 0.731 | 50 % / 37 % | 73 % / 95 % |
# | Allen without Htr3a+\|Vip-, and V1 | 0.607 | 0.772 | 50 % / 37 % | 71 % / 98 % |
#
# No candidate is best at everything. The Allen cells alone are best at recognising excitatory cells,
# and that gives them the higher macro F1 at 34 °C; at 25 °C they and the mixtures cannot be told apart
# by it. The mixtures tell inhibitory types apart best, because every cell from V1 is labelled by its
# own RNA, but they call half or more of the excitatory cells inhibitory. We take the Allen cells alone:
# nobody should get a wrong answer about an excitatory cell two times out of three.
#
# That has a price. **Inhibitory types are right less often: 65 % at 25 °C and 84 % at 34 °C, where the
# mixture in the last row has 71 % and 98 %.** And the model can answer **Htr3a+|Vip-, a doubtful
# class**: it counts here as right for the subclasses Lamp5 and Sncg, but many cells of its lines are
# neither. So if the answer is an inhibitory type, ask the cells labelled by their RNA for a second
# opinion (exercise 3). (The number of gates, the weights of the classes and the known cells were chosen
# with these scores in sight, so that none is the score of an untouched test.)
#
# No row is good at everything. In its own laboratory such a model is right more often: the card says
# how often. The
# reasons for the loss are the ones to think of before you believe a card:
#
# - **Temperature.** The median half-width of a spike is 0.38 ms in Pvalb cells of the Allen database,
#   0.44 ms in those of the motor cortex at 34 °C, and 0.60 ms at 25 °C. A fast spike in the cold looks
#   like a slow one in the warm.
# - **The label.** A Cre line also marks cells that it was not meant for: in 19 % of the cells of
#   {cite:t}`gouwens2020` line and RNA disagree. The class Htr3a+|Vip- is the worst, with 38 %.
# - **The definition.** Input resistance at the peak of a deflection or at its end, sag at -200 pA or at
#   -100 mV, a step of 0.5 s or of 1 s: {doc}`feature_mapping` lists what we know of.
# - **The rest**: pipette solutions, the age of the animal, the filter of the amplifier, the correction
#   of the liquid junction potential (some 10 to 15 mV, made by some and not by others; the known cells
#   are not corrected).
# - **Who is asked.** Each class counts the same in this model. Where you record, some types are ten
#   times as common as others; a rare call needs more evidence.
#
# ## A form for your own cell
#
# **In JupyterLab, on Binder or Colab**, press the button and choose a file: a recording, or a table of
# features. What is wrong with a file is said in a sentence. On Binder the file travels to a computer
# that is not yours: take no data that you must not share.

# %% tags=["remove-output"]
from lspin.show.drop_zone import drop_zone

drop_zone()

# %% [markdown]
# **In the built book** there is no Python behind the page, so the button is left out. On your own
# computer the same is done in a terminal:
#
# ```bash
# lspin classify cell1.abf cell2.nwb -o cards --temperature 32
# ```
#
# prints a table, and writes it as `cells.csv` with a card of each cell into the folder `cards`.
#
# If you have measured already, bring numbers. `lspin template cells.csv` writes a form: a row of names,
# a row of units, an example. Its first columns are:

# %%
from lspin.features.form import template_rows

names, units, example = template_rows()
pd.DataFrame({"unit": units, "example": example}, index=names).rename_axis("column").head(12)

# %% [markdown]
# Leave empty what was not measured; a 0 would be taken for a measurement. Units are checked against
# what neurons have. Nothing is converted behind your back:

# %%
try:
    classify(pd.DataFrame({"vrest": [-0.07], "ri": [1.8e8]}, index=["A1"]))
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
# - In another laboratory a model is wrong far more often than in its own: temperature, labels and
#   definitions differ.
#
# ## Exercises
#
# **1.** Halve the sampling rate: keep every second sample. Which features change?
#
# ```{dropdown} Solution
# What counts spikes or averages over long times hardly changes. The ratio of upstroke and downstroke
# and the threshold depend on how fast the potential rises, which is what a slow recording loses.
# ```

# %% tags=["hide-cell"]
from lspin.features import Recording

halved = measure(
    Recording.from_arrays(
        [sweep.voltage_mv[::2] for sweep in recording.sweeps],
        [sweep.current_pa[::2] for sweep in recording.sweeps],
        [sweep.sampling_hz / 2 for sweep in recording.sweeps],
    )
)
both = pd.DataFrame(
    {
        name: engineered(m.table()).iloc[0]
        for name, m in (("all samples", measured), ("half of them", halved))
    }
).dropna()
change = (both["half of them"] - both["all samples"]).abs() / known.X[both.index].std()
print("change, as a share of the spread over known cells:")
print(both.assign(change=change).sort_values("change").tail(6).round(3).to_string())
assert halved.sweeps["n_spikes"].sub(measured.sweeps["n_spikes"]).abs().max() <= 1

# %% [markdown]
# **2.** Give the current in the wrong unit, nanoampere for picoampere. What happens?
#
# ```{dropdown} Solution
# A step of 0.1 pA is nothing that a program could tell from noise: no stimulus is found, nothing is
# measured that needs one, and the reason asks about the unit.
# ```

# %% tags=["hide-cell"]
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
# **3.** If the answer is an inhibitory type: ask the cells of {cite:t}`gouwens2020`, labelled by their own
# RNA, for a second opinion. Do they agree? Why would you not ask them about an excitatory cell?
#
# ```{dropdown} Solution
# `classify` takes other known cells, as `load_cells` gives them. These are all inhibitory: a model that
# learned from them can call no cell excitatory, and is of use only once you trust that yours is not.
# Their classes are subclasses by RNA: Lamp5 and Sncg together come closest to Htr3a+|Vip-. Where the
# two models disagree, the probability on either card says more than anybody knows.
# ```

# %% tags=["hide-cell", "remove-stderr"]
from lspin import load_cells

if card.called == "Glutamatergic":
    print("called excitatory: the cells labelled by RNA know none of these")
else:
    by_rna = load_cells("v1", or_twin=True, verbose=0)
    second = classify(measured, known=by_rna)
    print("by Cre line:", card.title)
    print("by RNA:     ", second.title)

# %% [markdown]
# ## What's next?
#
# You have gone from a file to an answer with reasons. And if your table is not of neurons, or has labels
# of its own? {doc}`13_own_table` trains a model on it.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
