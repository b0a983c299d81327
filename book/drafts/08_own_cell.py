# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Bring your own cell
#
# ## Overview
#
# So far each cell was a row of a table that others had measured. Here we start one step earlier,
# where a physiologist starts: with the file of a recording. We open it, look at its sweeps, find
# out what was injected, find the spikes, and measure the features that the earlier chapters took
# for granted. At the end the recording is a row like any other, beside the cells that we know.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | What the features mean, how a spike is measured | Necessary | {doc}`02_features` |
# | Cells, classes, stimuli | Necessary | {doc}`01_fetching_cells` |
# | Current clamp and voltage clamp | Helpful | {cite:t}`bean2007` |
#
# - **Time to learn**: 30 minutes

# %% tags=["remove-cell"]
# Installs what is missing, as on Colab; where everything is there it does nothing.
import subprocess
import sys
from importlib.util import find_spec

NEEDED = ("lspin", "altair", "distributed", "interpret", "ipywidgets", "lightgbm", "vl_convert")
if not all(map(find_spec, NEEDED)):
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "lspin[book,rivals]"], check=True)

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

known = measured.features.dropna()
pd.DataFrame(
    {
        "value": known.round(3),
        "unit": [FEATURES[name].unit for name in known.index],
        "feature": [FEATURES[name].label for name in known.index],
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
# or 1 is at its edge.

# %%
from lspin import load_cells
from lspin.features import ReleasedFeatures

cells = load_cells()
print(cells.banner())
engineer = ReleasedFeatures()
table = engineer.fit_transform(cells.X)
ours = engineer.transform(measured.table()).iloc[0]
ours = ours[[name for name in ours.dropna().index if not name.startswith("no_")]]
ranks = table[ours.index].lt(ours).groupby(cells.y).mean().T
ranks.insert(0, "value", ours)
ranks.round(2)

# %% [markdown]
# How far is it from the middle of each class, over all features? The mean distance from 0.5 runs
# from 0.25 for a typical cell of the class to 0.5 for one that lies outside of it in every respect.

# %%
distance = (ranks.drop(columns="value") - 0.5).abs().mean().sort_values()
print(distance.round(2).to_string())

# %% [markdown]
# That is no answer yet. It weighs all features alike, counts those twice that say the same, and
# takes no account of how many measurements agree. Nor does it know what makes two laboratories'
# numbers differ: the temperature, the solutions, the age of the animal, how long the step lasted,
# how the amplifier filtered. But it is a check that nothing went wrong on the way: a cell that is
# far from *every* class is more often a wrong unit than a new type.
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
both = pd.DataFrame({"all samples": measured.features, "half of them": halved.features}).dropna()
change = (both["half of them"] - both["all samples"]).abs() / cells.X[both.index].std()
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
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
