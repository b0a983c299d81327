"""What takes long, is run for the record and kept, with everything needed to run it again.

``registry`` names the studies. ``scored`` runs the nested protocol on tables of cells,
``synthetic`` asks how much of a known truth is found, and ``explanations`` cross-examines the
reasons of LSPIN. ``labels`` compares two labels of the same cells, ``labs`` carries models to
other laboratories, ``species`` asks mouse cells about human ones. ``records`` reads and writes
results, which are a part of the package.
"""

from __future__ import annotations

from lspin.studies.explanations import evaluate_explanations, examined, sealed
from lspin.studies.labels import (
    CRE,
    LABEL_MODELS,
    LISTS,
    RNA,
    cells_with_both_labels,
    evaluate_labels,
)
from lspin.studies.labs import LAB_MODELS, THREE, Lab, evaluate_labs, other_labs
from lspin.studies.records import (
    RESULTS,
    check_output,
    describe_cells,
    read_results,
    results_file,
    versions,
    write_results,
)
from lspin.studies.registry import STUDIES, Study, check_study, run_study
from lspin.studies.scored import (
    N_COMPONENTS,
    Table,
    authors_table,
    cohort_tables,
    evaluate,
    paper_tables,
    patchseq_tables,
    waveform_tables,
    with_and_without_waveform,
)
from lspin.studies.species import PER_CLASS, Pair, evaluate_species, species_pairs
from lspin.studies.synthetic import FIRST_SEED, SIZES, TEST_SEED, WIDTHS, evaluate_synthetic, run

__all__ = [
    "CRE",
    "FIRST_SEED",
    "LABEL_MODELS",
    "LAB_MODELS",
    "LISTS",
    "N_COMPONENTS",
    "PER_CLASS",
    "RESULTS",
    "RNA",
    "SIZES",
    "STUDIES",
    "TEST_SEED",
    "THREE",
    "WIDTHS",
    "Lab",
    "Pair",
    "Study",
    "Table",
    "authors_table",
    "cells_with_both_labels",
    "check_output",
    "check_study",
    "cohort_tables",
    "describe_cells",
    "evaluate",
    "evaluate_explanations",
    "evaluate_labels",
    "evaluate_labs",
    "evaluate_species",
    "evaluate_synthetic",
    "examined",
    "other_labs",
    "paper_tables",
    "patchseq_tables",
    "read_results",
    "results_file",
    "run",
    "run_study",
    "sealed",
    "species_pairs",
    "versions",
    "waveform_tables",
    "with_and_without_waveform",
    "write_results",
]
