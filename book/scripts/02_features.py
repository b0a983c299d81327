# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What was measured, and what does it mean?
#
# ## Overview
#
# A table of {term}`features <feature>` hides the recordings it came from. In this chapter we go back to
# the trace of an {term}`action potential`, measure it by hand, and find the same numbers in a published
# table. Then we go through the catalogue of features. Some of them make no sense as they are, because
# they are times that count from the start of a recording; and some missing values mean something. From all
# this we build the **model inputs** that every later chapter uses.
#
# ## After this chapter you can
#
# - measure the width, slopes and threshold of an action potential by hand;
# - look up what a feature means, its unit and its stimulus;
# - turn times that count from the start of a recording into intervals;
# - tell a missing value that says something about the cell from one that does not;
# - build the model inputs, learned from the training cells only.
#
# ## Prerequisites
#
# | Concept | Importance | Where |
# | --- | --- | --- |
# | Cells, classes, donors, stimuli | Necessary | {doc}`01_fetching_cells` |
# | NumPy arrays | Necessary | [NumPy for beginners](https://numpy.org/doc/stable/user/absolute_beginners.html) |
# | Pipelines in scikit-learn | Helpful | [scikit-learn's guide](https://scikit-learn.org/stable/modules/compose.html) |
# | Ion channels | Helpful | {cite:t}`bean2007` |
#
# ## Time to learn
#
# - **Reading**: 35 minutes
# - **Exercises**: 25 minutes

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

# %%
import pandas as pd

from lspin import load_cells, load_spikes

pd.set_option("display.max_colwidth", None)  # show long texts in full

cells = load_cells()
spikes = load_spikes()
print(cells.banner())
print(spikes.banner())

# %% [markdown]
# ## What does an action potential look like?
#
# `load_spikes()` gives one {term}`action potential` (also called a spike) for each cell. A current pulse
# of 3 ms evoked it, and all spikes are aligned to their peaks. In the figure, the line is the median of
# a class at each moment, and the band covers the middle 80 % of its cells.

# %% mystnb={"image": {"alt": "Six panels. Five show the median action potential of a class with a band around it, over 3 ms; the last lays the medians over each other. The Pvalb+ spike is the narrowest and falls back fastest, the Glutamatergic spike is the highest and widest."}}
import matplotlib.pyplot as plt

from lspin.show import plot_median_spikes

plot_median_spikes(spikes)
plt.show()

# %% [markdown]
# The classes differ most in how fast the potential falls again. The fall is the work of potassium
# channels. Pvalb+ cells have many of a fast kind (Kv3), and these let them fire hundreds of times per
# second {cite}`bean2007`.
#
# ## How is a spike measured?
#
# We take one cell: the Pvalb+ cell whose trace is closest to the median of its class.

# %%
of_class = spikes.waveform_mv[spikes.y == "Pvalb+"]
cell = (of_class - of_class.median()).abs().sum(axis=1).idxmin()
v = spikes.waveform_mv.loc[cell].to_numpy()  # mV
t = spikes.waveform_mv.columns.to_numpy(dtype=float)  # ms from the peak
dt = 1000 / spikes.sampling_rate_hz  # ms between samples
print(f"cell {cell}: {len(v)} samples, one every {dt:.2f} ms")

# %% [markdown]
# **Height and width.** The spike reaches from the trough after it up to the peak. Its width (or
# {term}`half-width`) is how long it stays above half of that height. Between two samples we draw a
# straight line.

# %%
import numpy as np

peak = v.argmax()
trough = peak + v[peak:].argmin()
half = (v[peak] + v[trough]) / 2
first_above = np.flatnonzero(v[: peak + 1] <= half)[-1] + 1
first_below = peak + np.flatnonzero(v[peak:] <= half)[0]


def crossing(i):
    """Time at which the line between the samples i - 1 and i passes `half`."""
    return t[i - 1] + dt * (half - v[i - 1]) / (v[i] - v[i - 1])


start, end = crossing(first_above), crossing(first_below)
width = end - start
print(f"peak {v[peak]:.1f} mV, trough {v[trough]:.1f} mV")
print(f"width {width:.3f} ms")

# %% [markdown]
# **Slopes.** How fast does the potential change? The fastest rise is the {term}`upstroke`, the fastest
# fall the {term}`downstroke`. 1 mV/ms is 1 V/s.

# %%
dvdt = np.diff(v) / dt
upstroke = dvdt[:peak].argmax()
downstroke = peak + dvdt[peak:].argmin()
print(f"upstroke {dvdt[upstroke]:.0f} V/s")
print(f"downstroke {dvdt[downstroke]:.0f} V/s")

# %% [markdown]
# **Threshold.** Where does the spike start? There is no sharp corner, so we need a convention. The
# {term}`threshold` is taken at the last moment before the upstroke at which the potential still rises
# at no more than 5 % of the upstroke.

# %%
threshold = np.flatnonzero(dvdt[:upstroke] <= 0.05 * dvdt[upstroke])[-1]
before = t[peak] - t[threshold]
print(f"threshold {v[threshold]:.1f} mV, {before:.2f} ms before the peak")

# %% [markdown]
# In a picture:


# %%
def note(ax, text, x, y, shift=(8, -4)):
    """Mark a point and write a text beside it."""
    ax.plot(x, y, "o", color="black", ms=5)
    ax.annotate(text, (x, y), shift, textcoords="offset points")


def arrow(ax, text, start, end, y):
    """Draw a double arrow and write a text to the right of it."""
    ends = {"arrowstyle": "<->", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (start, y), (end, y), arrowprops=ends)
    ax.annotate(text, (end, y), (8, -4), textcoords="offset points")


# %% mystnb={"image": {"alt": "Left: the trace of one action potential with threshold, peak and trough marked and a horizontal double arrow for the width at half height. Right: its rate of change over the same time, with the upstroke at the maximum and the downstroke at the minimum marked."}}
from lspin.show import CLASS_COLORS, name_source

color = CLASS_COLORS["Pvalb+"]
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.plot(t, v, color=color)
note(left, "threshold", t[threshold], v[threshold], (-55, 6))
note(left, "peak", t[peak], v[peak])
note(left, "trough", t[trough], v[trough], (0, 6))
arrow(left, f"width {width:.2f} ms", start, end, half)
left.set(xlabel="time from peak (ms)", ylabel="membrane potential (mV)")
right.plot(t[:-1], dvdt, color=color)
note(right, "upstroke", t[upstroke], dvdt[upstroke])
note(right, "downstroke", t[downstroke], dvdt[downstroke])
right.set(xlabel="time from peak (ms)", ylabel="rate of change (V/s)")
name_source(fig, spikes.banner())
plt.show()

# %% [markdown]
# ## Do we find the numbers in the table?
#
# {cite:t}`ophir2023` published a table of such measurements, made with the Allen Institute's own
# software {cite}`allen2015,allensdk`. The function `measure_spike` of this book's package is the code
# above with one step more: before it takes slopes, it smooths the trace with a low-pass filter at
# 10 kHz, as that software does. (Its width and its voltages come from the unfiltered trace.)
#
# ```{admonition} Predict before you run
# :class: tip
# We took our slopes from the unfiltered trace. Will they come out steeper or flatter than those of
# `measure_spike`, or much the same? And the width?
# ```

# %%
from lspin.features import measure_spike

compared = pd.DataFrame(
    {
        "by hand": {
            "peak_v": v[peak],
            "threshold_v": v[threshold],
            "upstroke": dvdt[upstroke],
            "downstroke": dvdt[downstroke],
            "width_ms": width,
        },
        "measure_spike": measure_spike(v),
    }
).dropna()
if not spikes.is_synthetic:
    table = spikes.features.assign(width_ms=1000 * spikes.features["width"])
    compared["published"] = table.loc[cell]
np.testing.assert_allclose(
    compared.loc[["peak_v", "width_ms"], "by hand"],
    compared.loc[["peak_v", "width_ms"], "measure_spike"],
)
slopes = compared.loc[["upstroke", "downstroke"]].abs()
assert (slopes["by hand"] > slopes["measure_spike"]).all()
compared.round(3)

# %% [markdown]
# Peak and width by hand are those of the package. (A published width, where there is one, counts whole
# samples.) The slopes by hand are steeper: the difference of two neighbouring samples picks up the
# noise of both, and the *maximum* of a noisy curve tends to be too high. So filtering is part of the
# definition of a slope, and slopes from two tables can be compared only if both say how the traces were
# filtered.
#
# Now for all cells at once. We compare the two columns by their *rank correlation*: 1 means that both
# put the cells in the same order, 0 that the orders have nothing to do with each other.

# %%
from lspin.features import measure_spikes

measured = measure_spikes(spikes.waveform_mv)
if spikes.is_synthetic:
    print("The synthetic twin has no published table to compare with.")
else:
    for name in compared.index:
        both = pd.DataFrame({"ours": measured[name], "theirs": table[name]})
        both = both.dropna()
        off = (both["ours"] - both["theirs"]).abs().median()
        rank_correlation = both.corr(method="spearman").iloc[0, 1]
        print(
            f"{name:12} {len(both)} cells, median difference {off:7.4f}, "
            f"rank correlation {rank_correlation:.3f}"
        )
        assert rank_correlation > 0.98

# %% [markdown]
# Where there is a published table, these are the same spikes measured by the same rules, and the
# numbers agree.
#
# The Allen Institute's own table has spike features of the short pulses, too. One of them is the ratio
# of upstroke and downstroke. Theirs is an average over several pulses and ours is from a single one, so
# here we expect similar numbers, not equal ones.

# %% mystnb={"image": {"alt": "Scatter plot, upstroke/downstroke ratio measured from one spike against the released value, one dot per cell, most of them close to the diagonal."}}
released = cells.X["upstroke_downstroke_ratio_short_square"]
ours = measured["upstroke_downstroke_ratio"]
ratio = pd.DataFrame({"ours": ours, "released": released}).dropna()
fig, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
ax.plot(ratio["ours"], ratio["released"], "o", ms=3, color="0.5", alpha=0.5)
ax.axline((3, 3), slope=1, color="black", lw=0.8)
ax.set_xlabel("upstroke/downstroke, measured here")
ax.set_ylabel("upstroke/downstroke, released")
name_source(fig, spikes.banner())
plt.show()
agreement = ratio.corr(method="spearman").iloc[0, 1]
print(f"{len(ratio)} cells, rank correlation {agreement:.3f}")
assert agreement > 0.85

# %% [markdown]
# A point far from the line deserves a look before you build anything on it. Let us begin with the
# lowest peaks:

# %%
measured["peak_v"].nsmallest(4).to_frame("lowest peaks (mV)")

# %%
no_spike = measured["peak_v"] < -10
print(f"{no_spike.sum()} of {len(measured)} traces never get above -10 mV")
assert no_spike.mean() < 0.01

# %% [markdown]
# Where the potential never gets above -10 mV there is no proper action potential: the pulse failed to
# evoke one, or the trace was cut out at the wrong moment. A program that expects a spike will measure it
# all the same, and report numbers. A few such traces do no harm to a median, which is why this chapter
# uses medians wherever it can. Still: look at your data.
#
# So there is nothing mysterious about the numbers in the table. And they separate the classes (width in
# ms, slopes in V/s):

# %%
shown = ["width_ms", "upstroke", "downstroke"]
medians = measured.groupby(spikes.y)[shown].median()
assert medians["width_ms"].idxmin() == "Pvalb+"
assert medians["width_ms"].idxmax() == "Glutamatergic"
medians.round(2)

# %% [markdown]
# ## Which features are there?
#
# The catalogue `FEATURES` has an entry for every feature: its unit, its stimulus, and its meaning in
# plain words. Search it before you interpret a result. (The whole of it is printed in
# {doc}`catalogue`.)

# %%
from lspin.features import FEATURES

catalogue = pd.DataFrame(FEATURES.values()).set_index("name")
of_table = catalogue.loc[list(cells.X.columns)]
of_table.groupby("stimulus", sort=False).size().to_frame("features")

# %%
examples = ["ri", "tau", "sag", "f_i_curve_slope", "adaptation"]
catalogue.loc[examples, ["unit", "meaning"]]

# %% [markdown]
# Some pairs are worth a comparison. The {term}`rheobase` (`threshold_i_long_square`) is the weakest 1 s
# step of current that makes a cell fire. It is large where the {term}`input resistance` (`ri`) is small:
# Ohm's law at work.

# %%
pair = cells.X[["ri", "threshold_i_long_square"]]
ohm = pair.corr(method="spearman").iloc[0, 1]
print(f"rank correlation of input resistance and rheobase: {ohm:.2f}")
assert ohm < -0.5

# %% [markdown]
# ## When is a time not a feature?
#
# Many features are released as times: `peak_t_ramp` is the moment at which the first spike on a ramp
# peaks. But how many seconds after what? After the **start of the recording**. Most of such a number
# just tells when the stimulus came.
#
# The {term}`ramp` shows it best. Its current rises steadily, so the time of a spike and the current at
# that time must lie on a straight line:

# %%
ramp = cells.X[["threshold_t_ramp", "threshold_i_ramp"]].dropna()
time, current = ramp["threshold_t_ramp"], ramp["threshold_i_ramp"]
slope, intercept = np.polyfit(time, current, 1)
begins = -intercept / slope
print(f"The ramp rises by {slope:.2f} pA/s, from {begins:.3f} s on.")
if cells.is_synthetic:
    print("(On recorded cells: 25 pA/s, from 1.02 s on.")
    print("The twin keeps such relations only roughly.)")
else:
    assert abs(slope - 25) < 0.1 and abs(begins - 1.02) < 0.01

# %% [markdown]
# The times on the ramp repeat the threshold current and add nothing to it. What does carry information
# are **differences** between times: from threshold to peak (rise), from peak to the end of the spike
# (fall), from peak to the trough, from the start of the step to the first spike (delay).
# `ReleasedFeatures` computes them:

# %%
from lspin.features import ReleasedFeatures

Z = ReleasedFeatures().fit_transform(cells.X)
new = [name for name in Z if name not in cells.X]
catalogue.loc[new, ["unit", "label", "meaning"]]

# %% [markdown]
# How much do we gain? Let a single feature tell one class from all others. The area under the ROC curve
# ({term}`AUC`) is the probability that it ranks a random pair of cells, one of the class and one of the
# others, correctly: 0.5 is a coin flip, 1 is perfect.


# %%
from sklearn.metrics import roc_auc_score


def auc(feature, name):
    """AUC of a feature for one class, whichever way round it points."""
    known = feature.notna()
    area = roc_auc_score(cells.y[known] == name, feature[known])
    return max(area, 1 - area)


pairs = [
    ("Pvalb+", "threshold_t_short_square", "rise_ms_short_square"),
    ("Pvalb+", "peak_t_short_square", "rise_ms_short_square"),
    ("Glutamatergic", "trough_t_ramp", "trough_ms_ramp"),
    ("Glutamatergic", "peak_t_ramp", "trough_ms_ramp"),
]
for name, raw, difference in pairs:
    before, after = auc(cells.X[raw], name), auc(Z[difference], name)
    print(f"{name:14} {raw:26} {before:.2f}  ->  {difference:22} {after:.2f}")
    assert after > before + 0.1

# %% mystnb={"image": {"alt": "Box plots by class. Left, the time of the trough on a ramp counted from the start of the recording: the classes overlap. Right, the time from peak to trough: Glutamatergic cells are far above all others, Pvalb+ cells lowest."}}
from lspin.show import plot_by_class

both = pd.concat([cells.X["trough_t_ramp"], Z["trough_ms_ramp"]], axis=1)
plot_by_class(both, cells, log=("trough_t_ramp", "trough_ms_ramp"))
plt.show()

# %% [markdown]
# It is the same trace and the same trough. Only the question has changed.
#
# ## What does a missing value mean?
#
# Sometimes nothing: no ramp was recorded, or the ramp evoked no spike. But sometimes a value is missing
# **because of what the cell did**:
#
# - `slow_trough_v_ramp` is missing when the potential made no second, slower dip after the spike.
# - `adaptation` compares neighbouring {term}`inter-spike intervals <inter-spike interval>`; it is missing
#   when a cell fired fewer than three spikes.
#
# ```{admonition} Predict before you run
# :class: tip
# Think of the median spikes at the top of this chapter. In which class will the slow trough be missing
# most often, and in which hardly ever?
# ```

# %%
missing = pd.DataFrame(
    {
        "no spike on a ramp": cells.X["peak_v_ramp"].isna(),
        "no slow trough (ramp)": Z["no_slow_trough_ramp"],
        "no adaptation": Z["no_adaptation"],
    }
)
by_class = missing.groupby(cells.y).mean()
assert by_class["no slow trough (ramp)"].idxmax() == "Pvalb+"
assert by_class["no slow trough (ramp)"].idxmin() == "Glutamatergic"
by_class.style.format("{:.0%}")

# %% [markdown]
# Look at the second column: whether there *is* a slow trough tells Glutamatergic and Pvalb+ cells apart
# nearly by itself. Filling the gaps with a median would have erased that. So the inputs keep it in two
# ways: as an {term}`indicator` (`no_slow_trough_ramp`, 1 or 0), and as the depth of the slow trough
# below the fast one, which is 0 when there is none. Only gaps that mean nothing are filled with a
# median.
#
# ## From features to model inputs
#
# `model_inputs()` is a scikit-learn *pipeline*, a chain of steps, with everything that must happen before
# a model sees a cell:

# %%
from lspin.features import model_inputs

inputs = model_inputs()
print(*inputs.named_steps, sep=" -> ")

# %% [markdown]
# - **engineer**: the differences and indicators of this chapter;
# - **log**: the logarithm of positive features with a long tail, such as resistances and currents;
# - **check**: impossibly large numbers are refused;
# - **impute**: the median of the *training* cells for what is still missing ({term}`imputation`);
# - **scale**: mean 0 and standard deviation 1 on the *training* cells ({term}`standardise`);
# - **clip**: what lies more than 5 standard deviations from the mean is set to 5 (or -5), so that one
#   odd recording cannot dominate.
#
# Scaling matters twice for this book. Most models need it. And the model that later chapters build,
# {term}`LSPIN`, switches a feature off by replacing its input with 0; that is harmless only if 0 is an
# unremarkable value, the mean of all cells.
#
# To see what the logarithm does, we print the *skewness* of the time constant: 0 for a symmetric
# distribution, larger the longer its tail to the right.

# %%
prepared = inputs.fit_transform(cells.X)
print(f"{cells.X.shape[1]} released features -> {prepared.shape[1]} inputs")
before, after = cells.X["tau"].skew(), prepared["tau"].skew()
print(f"skewness of the time constant: {before:.1f} before, {after:.1f} after")
assert prepared.notna().to_numpy().all()
assert prepared.abs().to_numpy().max() <= 5
assert abs(after) < abs(before)
prepared.iloc[:3, :6].round(2)

# %% [markdown]
# ## Does it pay?
#
# Here is an honest test: five {term}`folds <fold>`, all cells of a {term}`donor` in the same one, the
# whole pipeline fitted on training cells only, and all of it three times with differently cut folds. We
# take one linear model ({term}`logistic regression`) and one that is not linear (an {term}`RBF-SVM`), each
# with the features as released and with the model inputs.
#
# We score with two numbers: {term}`accuracy`, the share of cells classified correctly, and
# {term}`macro F1`. For each class, *F1* combines how many of its cells were found with how many of the
# cells given that class really belong to it. Macro F1 is the plain mean of F1 over the classes, so that
# a rare class counts as much as a common one.
#
# ```{admonition} Predict before you run
# :class: tip
# A linear model adds up its inputs, each with a weight of its own. Can it build a difference of two
# times for itself? Then which of the two models should gain more from the engineered inputs?
# ```

# %%
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

models = {
    "logistic regression": LogisticRegression(C=0.3, max_iter=2000),
    "RBF-SVM": SVC(C=3, gamma=0.01),
}
median = SimpleImputer(strategy="median")
preparations = {
    "as released": make_pipeline(median, StandardScaler()),
    "engineered": model_inputs(),
}

# %%
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

rows = []
for seed in range(3):
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    for model_name, model in models.items():
        for preparation_name, preparation in preparations.items():
            pipeline = make_pipeline(preparation, model)
            guess = cross_val_predict(
                pipeline, cells.X, cells.y, groups=cells.donors, cv=folds
            )
            rows.append(
                {
                    "model": model_name,
                    "inputs": preparation_name,
                    "accuracy": (guess == cells.y).mean(),
                    "macro_f1": f1_score(cells.y, guess, average="macro"),
                }
            )
scores = pd.DataFrame(rows).groupby(["model", "inputs"]).agg(["mean", "std"])
scores.round(3)

# %%
mean = scores["accuracy", "mean"].unstack()
gain = 100 * (mean["engineered"] - mean["as released"])
print(f"RBF-SVM: {gain['RBF-SVM']:+.1f} points of accuracy")
print(f"logistic regression: {gain['logistic regression']:+.1f} points")
assert gain["RBF-SVM"] > 0.3

# %% [markdown]
# How much it pays depends on the model. A linear model can take the difference of two times by itself,
# since a difference is a weighted sum. A kernel that compares cells by their distance cannot, and the
# time of the stimulus only adds noise to that distance.
#
# There is a second reason, and for us it weighs more. "The model looked at the time from peak to
# trough" is an explanation that an electrophysiologist can check. "It looked at the time of the trough
# since the recording began" is not.
#
# ## Take-away
#
# - Width, slopes and threshold come from the trace by short, explicit rules, and filtering is one of
#   them.
# - A time that counts from the start of the recording becomes a useful feature only as a difference.
# - A missing value may be a measurement: no slow trough, or too few spikes to adapt.
# - Everything that is learned from data (medians, means, scales) is learned inside the pipeline,
#   from training cells only.
#
# ## Self-check
#
# **1.** Two laboratories publish the upstroke of the same cells, and one of them is always steeper. Name
# a reason that has nothing to do with the cells.
#
# ```{dropdown} Answer
# They may have filtered differently. Without a low-pass filter, the noise of neighbouring samples makes
# the steepest slope look steeper than it is. A different sampling rate could do it as well.
# ```
#
# **2.** Why is the spike's threshold defined by a percentage of the upstroke, and not simply read off
# the trace?
#
# ```{dropdown} Answer
# The trace bends smoothly from rest into the spike, so there is no point that everybody would choose.
# A rule (here 5 % of the steepest rise) gives the same answer each time and to everybody.
# ```
#
# **3.** `peak_t_long_square` of a cell is 1.2 s, of another 1.4 s. What can you conclude about how fast
# their spikes are?
#
# ```{dropdown} Answer
# Nothing. Both times count from the start of the recording, so they mostly tell when the step began and
# how long the cell waited. Take the difference from threshold to peak if you want to know how fast the
# spike rises.
# ```
#
# **4.** In a new table, `slow_trough_v_ramp` is missing for some cells. Somebody suggests filling in the
# median. What gets lost?
#
# ```{dropdown} Answer
# The fact that these cells had no slow trough, which by itself separates two of the classes well. Keep
# an indicator that says so, and fill gaps with a median only where the gap means nothing.
# ```
#
# **5.** A classmate scales all cells to mean 0 and standard deviation 1, and then cuts them into training
# and test cells. What is wrong with that?
#
# ```{dropdown} Answer
# The mean and the standard deviation were learned from the test cells, too, so the test is no longer
# about cells that nothing has seen. With the scaling inside the pipeline, each fold learns it from its
# training cells alone.
# ```
#
# ## Exercises
#
# **1. Warm-up.** Which features are measured in ms, and on which stimulus? Search the catalogue.
# *On the twin: the same.*
#
# ```{dropdown} Solution
# The unit is a column of the catalogue, so a query finds them. All of them are durations, and most are
# differences that this chapter builds from the released times.
# ```

# %% tags=["hide-cell"]
in_ms = catalogue.query("unit == 'ms'")[["label", "stimulus"]]
in_ms.assign(stimulus=in_ms["stimulus"].str.partition(":")[0])

# %% [markdown]
# **2. Core.** Some authors take the width at half of the height between *threshold* and peak. Compute it
# for all spikes. Which of the two widths is better at telling Pvalb+ cells from the others?
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# The level is higher, so this width is smaller. Both separate the class almost equally well. For a model
# they are nearly the same feature, but never mix them in one table.
# ```

# %% tags=["hide-cell"]
levels = (measured["peak_v"] + measured["threshold_v"]) / 2
# Time above the level, in whole samples.
above = spikes.waveform_mv.gt(levels, axis=0).sum(axis=1) * dt
known = measured["threshold_v"].notna() & measured["width_ms"].notna()
pvalb = spikes.y[known] == "Pvalb+"
print(
    f"median width: {measured['width_ms'].median():.2f} ms from the trough, "
    f"{above[known].median():.2f} ms from the threshold"
)
for name, w in {"trough": measured["width_ms"], "threshold": above}.items():
    area = roc_auc_score(pvalb, -w[known])
    print(f"half height from {name} to peak: AUC {area:.3f}")
assert above[known].median() < measured["width_ms"].median()

# %% [markdown]
# **3. Core.** Keep only every second sample, as if the recording had been made at 25 kHz. Which
# measurements survive? *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# The width hardly changes, since it is interpolated between samples. The upstroke changes more: a filter at
# 10 kHz does not work as well so close to 12.5 kHz, the highest frequency that a rate of 25 kHz can
# represent (the *Nyquist frequency*). In a table mixed from recordings at different rates, the slopes
# would carry the rate.
# ```

# %% tags=["hide-cell"]
every_second = spikes.waveform_mv.iloc[:, ::2]
halved = measure_spikes(every_second, spikes.sampling_rate_hz / 2)
change = (halved / measured - 1)[["peak_v", *shown]].median()
print(change.map("{:+.1%}".format).to_string())
assert abs(change["width_ms"]) < abs(change["upstroke"])

# %% [markdown]
# **4. Open.** Find another feature that is missing for some cells, and decide what its gaps mean: did
# nobody measure it, or did the cell not do what it takes? How should it enter a model?
# *On the twin: it runs, but the answer says nothing about real cells.*
#
# ```{dropdown} Solution
# The cell below lists the features with the most gaps and how many percent of each class lack them. A
# good answer reads the meaning of the feature in the catalogue; says which behaviour of a cell would
# leave it undefined; checks whether the gaps are spread evenly over the classes (if not, they carry
# information, or the classes were recorded differently); and only then chooses between a median, an
# indicator, and leaving the feature out.
# ```

# %% tags=["hide-cell"]
gaps = cells.X.isna().groupby(cells.y).mean().T
gaps = gaps.loc[gaps.max(axis=1).nlargest(8).index]
gaps.style.format("{:.0%}")

# %% [markdown]
# ## What's next?
#
# You have the inputs. But what about the labels? In {doc}`03_cre_labels`, the Cre line of a cell is
# compared with the cell's own RNA.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
