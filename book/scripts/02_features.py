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
# A feature table hides the recordings it came from. In this chapter we go back to the trace of an
# action potential, measure it by hand, and meet the same numbers in the published table. Then we
# go through the catalogue of features, find out which of them make no sense as they are (times that
# count from the start of a recording) and which missing values mean something, and build the
# **model inputs** that every later chapter uses.
#
# ## After this chapter you can
#
# - measure width, slopes and threshold of an action potential by hand;
# - look up what a feature means, its unit and its stimulus;
# - turn times that count from the start of a recording into intervals;
# - tell a missing value that says something from one that does not;
# - build the model inputs, learned from training cells only.
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
# - **Reading**: 30 minutes
# - **Exercises**: 10 minutes

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
# `load_spikes()` gives one action potential per cell, evoked by a current pulse of 3 ms and aligned
# to its peak. The line is the median of a class at each moment, the band holds the middle 80 % of
# its cells.

# %% mystnb={"image": {"alt": "Six panels. Five show the median action potential of a class with a band around it, over 3 ms; the last lays the medians over each other. The Pvalb+ spike is the narrowest and falls back fastest, the Glutamatergic spike is the highest and widest."}}
import matplotlib.pyplot as plt

from lspin.show import plot_median_spikes

plot_median_spikes(spikes)
plt.show()

# %% [markdown]
# The classes differ most in how fast the potential falls again. The fall is the work
# of potassium channels; Pvalb+ cells have many of a fast kind (Kv3), which is what lets them fire
# hundreds of times per second {cite}`bean2007`.
#
# ## How is a spike measured?
#
# Take one cell, the Pvalb+ cell whose trace is closest to the median of its class.

# %%
of_class = spikes.waveform_mv[spikes.y == "Pvalb+"]
cell = (of_class - of_class.median()).abs().sum(axis=1).idxmin()
v = spikes.waveform_mv.loc[cell].to_numpy()  # mV
t = spikes.waveform_mv.columns.to_numpy(dtype=float)  # ms from the peak
dt = 1000 / spikes.sampling_rate_hz  # ms between samples
print(f"cell {cell}: {len(v)} samples, one every {dt:.2f} ms")

# %% [markdown]
# **Height and width.** The spike reaches from the trough after it up to the peak. Its width is how
# long it stays above half of that height. Between two samples we draw a straight line.

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
print(f"peak {v[peak]:.1f} mV, trough {v[trough]:.1f} mV, width {width:.3f} ms")

# %% [markdown]
# **Slopes.** How fast does the potential change? The fastest rise is the *upstroke*,
# the fastest fall the *downstroke*. 1 mV/ms is 1 V/s.

# %%
dvdt = np.diff(v) / dt
upstroke = dvdt[:peak].argmax()
downstroke = peak + dvdt[peak:].argmin()
print(f"upstroke {dvdt[upstroke]:.0f} V/s, downstroke {dvdt[downstroke]:.0f} V/s")

# %% [markdown]
# **Threshold.** Where does the spike start? There is no sharp corner, so it takes a
# convention: the last moment before the upstroke when the potential rises at no more than 5 % of
# the upstroke.

# %%
threshold = np.flatnonzero(dvdt[:upstroke] <= 0.05 * dvdt[upstroke])[-1]
print(f"threshold {v[threshold]:.1f} mV, {t[peak] - t[threshold]:.2f} ms before the peak")

# %% mystnb={"image": {"alt": "Left: the trace of one action potential with threshold, peak and trough marked and a horizontal double arrow for the width at half height. Right: its rate of change over the same time, with the upstroke at the maximum and the downstroke at the minimum marked."}}
from lspin.show import CLASS_COLORS, name_source

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.plot(t, v, color=CLASS_COLORS["Pvalb+"])
for name, i, offset in [("threshold", threshold, -55), ("peak", peak, 8), ("trough", trough, 0)]:
    left.plot(t[i], v[i], "o", color="black", ms=5)
    left.annotate(name, (t[i], v[i]), xytext=(offset, 6), textcoords="offset points")
left.annotate(
    "", (start, half), (end, half), arrowprops={"arrowstyle": "<->", "shrinkA": 0, "shrinkB": 0}
)
left.annotate(f"width {width:.2f} ms", (end, half), xytext=(8, -4), textcoords="offset points")
left.set(xlabel="time from peak (ms)", ylabel="membrane potential (mV)")
right.plot(t[:-1], dvdt, color=CLASS_COLORS["Pvalb+"])
for name, i in {"upstroke": upstroke, "downstroke": downstroke}.items():
    right.plot(t[i], dvdt[i], "o", color="black", ms=5)
    right.annotate(name, (t[i], dvdt[i]), xytext=(8, -4), textcoords="offset points")
right.set(xlabel="time from peak (ms)", ylabel="rate of change (V/s)")
name_source(fig, spikes.banner())
plt.show()

# %% [markdown]
# ## Do we meet the numbers in the table?
#
# {cite:t}`ophir2023` published a table of such measurements, made with the Allen Institute's own
# software {cite}`allen2015,allensdk`. `measure_spike` of this book's package is the code above in
# one function, with one step more: before it takes slopes it smooths the trace with a low-pass
# filter at 10 kHz, as that software does. (Its width and its voltages come from the unfiltered
# trace.)

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
# Peak and width by hand are those of the package; a published width, where there is one, counts
# whole samples. The slopes by hand are steeper: the difference of two neighbouring samples picks up
# the noise of both, and the *maximum* of a noisy curve tends to be too high. Filtering is part of
# the definition of a slope, and two tables can be compared only if both say how they filtered.
#
# Now all cells at once:

# %%
from lspin.features import measure_spikes

measured = measure_spikes(spikes.waveform_mv)
if spikes.is_synthetic:
    print("The synthetic twin has no published table to compare with.")
else:
    for name in ("peak_v", "threshold_v", "upstroke", "downstroke", "width_ms"):
        both = pd.concat([measured[name], table[name]], axis=1, keys=["ours", "theirs"]).dropna()
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
# The Allen Institute's own table has one spike feature of the short pulses that we can compute as
# well, the ratio of upstroke and downstroke. It is an average over several pulses, ours is from
# one.

# %% mystnb={"image": {"alt": "Scatter plot, upstroke/downstroke ratio measured from one spike against the released value, one dot per cell, most of them close to the diagonal."}}
released = cells.X["upstroke_downstroke_ratio_short_square"]
ratio = pd.concat([measured["upstroke_downstroke_ratio"], released], axis=1).dropna()
fig, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
ax.plot(ratio.iloc[:, 0], ratio.iloc[:, 1], "o", ms=3, mew=0, color="0.3", alpha=0.5)
ax.axline((3, 3), slope=1, color="black", lw=0.8)
ax.set(xlabel="upstroke/downstroke, measured here", ylabel="upstroke/downstroke, released")
name_source(fig, spikes.banner())
plt.show()
agreement = ratio.corr(method="spearman").iloc[0, 1]
print(f"{len(ratio)} cells, rank correlation {agreement:.3f}")
assert agreement > 0.85

# %% [markdown]
# A point far from the line deserves a look before anything is built on it. The lowest peaks first:

# %%
measured["peak_v"].nsmallest(4)

# %%
no_spike = measured["peak_v"] < -10
print(f"{no_spike.sum()} of {len(measured)} traces never get above -10 mV")
assert no_spike.mean() < 0.01

# %% [markdown]
# Where the potential never gets above -10 mV there is no action potential: the pulse failed to
# evoke one, or the trace was cut out at the wrong moment. A program that expects a spike measures
# it all the same. Medians, used in this chapter wherever possible, do not mind a few such traces.
# Look at your data.
#
# So the numbers in the table are nothing mysterious. And they separate the classes:

# %%
medians = measured.groupby(spikes.y)[["width_ms", "upstroke", "downstroke"]].median()
assert medians["width_ms"].idxmin() == "Pvalb+"
assert medians["width_ms"].idxmax() == "Glutamatergic"
medians.round(2)

# %% [markdown]
# ## Which features are there?
#
# The catalogue `FEATURES` has an entry for every feature: unit, stimulus, and what it means in
# plain words. Search it before you interpret a result.

# %%
from lspin.features import FEATURES

catalogue = pd.DataFrame(FEATURES.values()).set_index("name")
catalogue.loc[list(cells.X.columns)].groupby("stimulus", sort=False).size().to_frame("features")

# %%
examples = ["ri", "tau", "sag", "f_i_curve_slope", "adaptation"]
catalogue.loc[examples, ["unit", "meaning"]]

# %% [markdown]
# Some pairs are worth a comparison. *Rheobase* (`threshold_i_long_square`) is the
# weakest 1 s step that makes a cell fire, and it is large where the *input resistance* (`ri`) is
# small: Ohm's law at work.

# %%
ohm = cells.X[["ri", "threshold_i_long_square"]].corr(method="spearman").iloc[0, 1]
print(f"rank correlation of input resistance and rheobase: {ohm:.2f}")
assert ohm < -0.5

# %% [markdown]
# ## When is a time not a feature?
#
# Many released features are times: `peak_t_ramp` is when the first spike on a ramp peaks. But
# seconds since when? Since the **start of the recording**. Most of such a number says when the
# stimulus came.
#
# The ramp shows it best. Its current rises steadily, so the time of a spike and the current at that
# time must lie on a straight line:

# %%
ramp = cells.X[["threshold_t_ramp", "threshold_i_ramp"]].dropna()
slope, intercept = np.polyfit(ramp["threshold_t_ramp"], ramp["threshold_i_ramp"], 1)
print(
    f"the ramp rises by {slope:.2f} pA/s and starts {-intercept / slope:.3f} s into the recording"
)
if cells.is_synthetic:
    print("(on recorded cells: 25 pA/s and 1.02 s; the twin keeps such relations only roughly)")
else:
    assert abs(slope - 25) < 0.1 and abs(-intercept / slope - 1.02) < 0.01

# %% [markdown]
# The times of the ramp repeat the threshold current and add nothing. What does carry
# information are **differences**: from threshold to peak (rise), from peak to the end of the spike
# (fall), from peak to the trough, from the start of the step to the first spike (delay).
# `ReleasedFeatures` computes them.

# %%
from lspin.features import ReleasedFeatures

Z = ReleasedFeatures().fit_transform(cells.X)
new = [name for name in Z if name not in cells.X]
catalogue.loc[new, ["unit", "label", "meaning"]]

# %% [markdown]
# How much is gained? Let one single feature tell one class from all others. The area
# under the ROC curve (AUC) is the probability that it ranks a random pair of cells correctly: 0.5
# is a coin flip, 1 is perfect.


# %%
from sklearn.metrics import roc_auc_score


def auc(feature, name):
    """AUC of one feature for one class against all others, whichever way round it points."""
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
# The same trace and the same trough. Only the question changed.
#
# ## What does a missing value mean?
#
# Sometimes nothing: no ramp was recorded, or no spike came on it. Sometimes a value is missing
# **because of what the cell did**:
#
# - `slow_trough_v_ramp` is missing when the potential made no second, slower dip after the spike.
# - `adaptation` compares neighbouring intervals; it is missing when a cell fired fewer than three
#   spikes.

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
# Look at the second column: whether there *is* a slow trough tells Glutamatergic and
# Pvalb+ cells apart nearly by itself. Filling the gaps with a median would have erased that. So the
# inputs keep it, as an indicator (`no_slow_trough_ramp`, 1 or 0) and as the depth of the slow
# trough below the fast one, which is 0 when there is none. Only gaps that mean nothing are filled
# with a median.
#
# ## From features to model inputs
#
# `model_inputs()` is a scikit-learn pipeline with everything a model needs in front of it:

# %%
from lspin.features import model_inputs

inputs = model_inputs()
print(*inputs.named_steps, sep=" -> ")

# %% [markdown]
# - **engineer**: the differences and indicators of this chapter;
# - **log**: the logarithm of positive features with a long tail, such as resistances and currents;
# - **impute**: the median of the *training* cells for what is still missing;
# - **scale**: mean 0, standard deviation 1 on the *training* cells;
# - **clip**: what lies beyond 5 standard deviations is pulled in, so that one odd recording
#   cannot dominate.
#
# Scaling matters twice for this book. Most models need it, and LSPIN multiplies inputs by gates
# between 0 and 1: a closed gate turns an input into 0, and 0 should be an unremarkable value, the
# mean.

# %%
prepared = inputs.fit_transform(cells.X)
print(
    f"{cells.X.shape[1]} released features -> {prepared.shape[1]} inputs for {len(prepared)} cells"
)
print(
    f"skewness of the time constant: {cells.X['tau'].skew():.1f} before, "
    f"{prepared['tau'].skew():.1f} after"
)
assert prepared.notna().to_numpy().all() and prepared.abs().to_numpy().max() <= 5
assert abs(prepared["tau"].skew()) < abs(cells.X["tau"].skew())
prepared.iloc[:3, :6].round(2)

# %% [markdown]
# ## Does it pay?
#
# An honest test: five folds, donors kept together, the whole pipeline fitted on training cells
# only, and three different ways to cut the folds. One linear model and one that is not linear, each
# with the features as released and with the model inputs.

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
preparations = {
    "as released": make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
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
            guess = cross_val_predict(
                make_pipeline(preparation, model), cells.X, cells.y, groups=cells.donors, cv=folds
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
# How much it pays depends on the model. A linear model
# can take the difference of two times itself, since a difference is a weighted sum. A kernel that
# compares cells by their distance cannot, and the time of the stimulus only adds to that distance.
# For us there is a second reason, and it weighs more: a gate that opens on "time from peak to
# trough" is an explanation, one that opens on "time of the trough since the recording began" is
# not.
#
# ## Take-away
#
# - Width, slopes and threshold come from the trace by short, explicit rules; filtering is one of
#   them.
# - A time that counts from the start of the recording becomes a feature only as a difference.
# - A missing value may be a measurement: no slow trough, too few spikes to adapt.
# - Everything that is learned from data (medians, means, scales) is learned inside the pipeline,
#   from training cells only.
#
# ## Exercises
#
# **1.** Some authors take the width at half of the height between *threshold* and peak. Compute it
# for all spikes. Which of the two widths tells Pvalb+ cells from the others better?
#
# ```{dropdown} Solution
# The level is higher, so this width is smaller. Both separate the class almost equally well: for a
# model they are the same feature, but never mix them in one table.
# ```

# %% tags=["hide-cell"]
levels = (measured["peak_v"] + measured["threshold_v"]) / 2
above = (
    spikes.waveform_mv.gt(levels, axis=0).sum(axis=1) * dt
)  # time above the level, in whole samples
known = measured["threshold_v"].notna() & measured["width_ms"].notna()
pvalb = spikes.y[known] == "Pvalb+"
print(
    f"median width: {measured['width_ms'].median():.2f} ms from the trough, "
    f"{above[known].median():.2f} ms from the threshold"
)
for name, w in {"trough": measured["width_ms"], "threshold": above}.items():
    print(f"half height from {name} to peak: AUC {roc_auc_score(pvalb, -w[known]):.3f}")
assert above[known].median() < measured["width_ms"].median()

# %% [markdown]
# **2.** Half of the samples: keep every second one, as if the recording had been made at 25 kHz.
# Which measurements survive?
#
# ```{dropdown} Solution
# The width hardly changes, since it is interpolated between samples. The slopes change more: a filter
# at 10 kHz does not work as well so close to 12.5 kHz, the highest frequency that 25 kHz can hold. A table mixed from recordings at different
# rates carries the rate in its slopes.
# ```

# %% tags=["hide-cell"]
halved = measure_spikes(spikes.waveform_mv.iloc[:, ::2], spikes.sampling_rate_hz / 2)
change = (halved / measured - 1)[["peak_v", "width_ms", "upstroke", "downstroke"]].median()
print(change.map("{:+.1%}".format).to_string())
assert abs(change["width_ms"]) < abs(change["upstroke"])

# %% [markdown]
# ## What's next?
#
# Inputs are in hand. But what of the labels? {doc}`03_cre_labels` holds them against the cells' own RNA.
#
# ## References
#
# ```{bibliography}
# :filter: docname in docnames
# ```
