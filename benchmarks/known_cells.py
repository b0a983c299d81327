"""Which known cells should a model learn from that is asked about another laboratory's?

Trains on each candidate and scores the M1 cells (Scala et al. 2021) by their own RNA, at 25 and at
34 °C, with the twelve features that all have. The choice was made with both in sight: neither is
the score of an untouched test. Then it asks, of the inhibitory cells, how often the second opinion
(by V1 cells that were labelled by their own RNA) agrees with the first, and which of them is right.
Takes some ten minutes; prints two tables.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import f1_score

from lspin import load_cells
from lspin.data import in_five_classes
from lspin.explain.known import EXCITATORY, MODEL
from lspin.features import engineered, model_inputs

FEATURES = (
    "vrest ri tau sag adaptation latency threshold_i_long_square threshold_v_long_square "
    "peak_v_long_square fast_trough_v_long_square upstroke_downstroke_ratio_long_square "
    "delay_ms_long_square"
).split()
DOUBTFUL = "Htr3a+|Vip-"
"""The class by Cre line of which the cells' own RNA says something else most often."""
CLASSES = {
    "Pvalb+": "Pvalb",
    "Sst+": "Sst",
    "Vip+": "Vip",
    DOUBTFUL: "Lamp5 or Sncg",
    "Lamp5": "Lamp5 or Sncg",
    "Sncg": "Lamp5 or Sncg",
}
"""The common name of a class by Cre line and of one or two transcriptomic subclasses."""
SEEDS = range(3)


def candidates() -> Iterator[tuple[str, pd.DataFrame, pd.Series, pd.Series]]:
    """Give the name, features, classes and donors of each set of known cells."""
    allen, v1 = load_cells("allen"), load_cells("v1")
    without = allen.select((allen.y != DOUBTFUL).to_numpy())
    excitatory = allen.select((allen.y == "Glutamatergic").to_numpy())
    for name, parts in {
        "Allen, Cre line": [allen],
        "V1, RNA": [v1],
        "Allen's excitatory + V1": [excitatory, v1],
        "all Allen + V1": [allen, v1],
        "Allen but Htr3a+|Vip- + V1": [without, v1],
    }.items():
        X = pd.concat([engineered(part.X)[FEATURES] for part in parts])
        y = pd.concat([part.y for part in parts]).replace(CLASSES)
        yield name, X, y, pd.concat([part.donors for part in parts])


def main() -> None:
    """Print scores, and what share of excitatory and inhibitory cells is right; means of seeds."""
    m1 = load_cells("m1")
    new, true = engineered(m1.X)[FEATURES], m1.y.replace(CLASSES).to_numpy()
    temperature = m1.metadata["temperature_c"].to_numpy()
    rows = []
    for name, X, y, donors in candidates():
        inputs = model_inputs(X)
        Z, asked = inputs.fit_transform(X), inputs.transform(new)
        for seed in SEEDS:
            model = clone(MODEL).set_params(random_state=seed)
            predicted = model.fit(Z, y, groups=donors).predict(asked)
            row: dict[str, object] = {"known cells": name}
            for degrees in (25, 34):
                of = temperature == degrees
                there = sorted(set(true[of]))
                row[f"F1 {degrees}"] = f1_score(
                    true[of], predicted[of], average="macro", labels=there
                )
                row[f"accuracy {degrees}"] = np.mean(true[of] == predicted[of])
                excites = of & (true == "Glutamatergic")
                row[f"excitatory {degrees}"] = np.mean(predicted[excites] == "Glutamatergic")
                inhibits = of & (true != "Glutamatergic")
                row[f"inhibitory {degrees}"] = np.mean(predicted[inhibits] == true[inhibits])
            rows.append(row)
        print(name, flush=True)
    table = pd.DataFrame(rows).groupby("known cells", sort=False).mean()
    print(table.round(3).to_string())
    print(pd.DataFrame(second_opinions()).groupby("°C").mean().round(3).to_string())


def second_opinions() -> Iterator[dict[str, float]]:
    """Give, by temperature and seed, how often two opinions on an inhibitory cell are right."""
    m1, v1 = in_five_classes(load_cells("m1")), in_five_classes(load_cells("v1"))
    inhibitory = v1.select((v1.y != EXCITATORY).to_numpy())
    new, true = engineered(m1.X)[FEATURES], m1.y.to_numpy()
    for seed in SEEDS:
        said = []
        for known in (load_cells("allen"), inhibitory):
            inputs = model_inputs(X := engineered(known.X)[FEATURES])
            model = clone(MODEL).set_params(random_state=seed)
            model.fit(inputs.fit_transform(X), known.y, groups=known.donors)
            said.append(model.predict(inputs.transform(new)))
        first, second = said
        for degrees in (25, 34):
            asked = (m1.metadata["temperature_c"] == degrees).to_numpy()
            asked &= (first != EXCITATORY) & (true != EXCITATORY)
            agree, differ = asked & (first == second), asked & (first != second)
            yield {
                "°C": degrees,
                "agree": agree.sum() / asked.sum(),
                "right if they agree": np.mean(first[agree] == true[agree]),
                "else the first": np.mean(first[differ] == true[differ]),
                "else the second": np.mean(second[differ] == true[differ]),
            }


if __name__ == "__main__":
    main()
