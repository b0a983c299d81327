"""What takes long, is run for the record and kept, with everything needed to run it again.

``registry`` names the studies. ``scored`` runs the nested protocol on tables of cells,
``synthetic`` asks how much of a known truth is found, and ``explanations`` cross-examines the
reasons of LSPIN. ``records`` reads and writes results, which are a part of the package.
"""

from __future__ import annotations

from lspin.studies.explanations import evaluate_explanations, examined, sealed
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
    waveform_tables,
    with_and_without_waveform,
)
from lspin.studies.synthetic import FIRST_SEED, SIZES, TEST_SEED, WIDTHS, evaluate_synthetic, run

__all__ = [
    "FIRST_SEED",
    "N_COMPONENTS",
    "RESULTS",
    "SIZES",
    "STUDIES",
    "TEST_SEED",
    "WIDTHS",
    "Study",
    "Table",
    "authors_table",
    "check_output",
    "check_study",
    "cohort_tables",
    "describe_cells",
    "evaluate",
    "evaluate_explanations",
    "evaluate_synthetic",
    "examined",
    "paper_tables",
    "read_results",
    "results_file",
    "run",
    "run_study",
    "sealed",
    "versions",
    "waveform_tables",
    "with_and_without_waveform",
    "write_results",
]
