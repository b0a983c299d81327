"""The command line, as a user runs it."""

import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from lspin import __version__, load_cells
from lspin.__main__ import main
from lspin.data import PATCHSEQ
from lspin.show import own_cell


def test_info_without_data_names_the_twin(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "SYNTHETIC TWIN" in out
    assert "missing" in out


def test_info_on_real_tables(real_data, monkeypatch, capsys):
    monkeypatch.setenv("LSPIN_DATA_DIR", str(real_data))
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "1920 mouse cells of 2333" in out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["total"] == ["1750", "1612", "1855"]
    assert rows["Vip+"] == ["161", "133", "164"]
    assert "1382 complete of 1424" in out
    assert "spikes: 1811" in out


@pytest.mark.parametrize("source", ["allen", "paper", *PATCHSEQ, "all"])
def test_fetch_without_a_network_ends_in_one_sentence(source, tmp_path, capsys):
    assert main(["fetch", "--source", source]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("lspin fetch: https://")
    assert "Traceback" not in captured.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_broken_table_is_named(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "allen_cell_types"
    folder.mkdir()
    for name in ("cells.json", "ephys_features.csv"):
        (folder / name).write_text("")
    monkeypatch.setenv("LSPIN_DATA_DIR", str(tmp_path))
    assert main(["info"]) == 1
    assert "cells.json: not readable as JSON" in capsys.readouterr().err


def test_info_imports_little_and_reading_needs_no_allensdk(real_data):
    code = (
        "import sys; sys.modules['allensdk'] = None\n"
        "from lspin.__main__ import main; main(['info'])\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        env={"LSPIN_DATA_DIR": str(real_data), "PYTHONPATH": ":".join(sys.path)},
    )


def test_evaluate_records_a_study_and_shows_it(tmp_path, monkeypatch, capsys):
    twin = load_cells("twin", verbose=0)
    cells = twin.select(twin.y.groupby(twin.y).sample(25, random_state=0).index)
    monkeypatch.setattr("lspin.studies.scored.load_cells", lambda *_: cells)
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.chdir(tmp_path)
    command = ["evaluate", "positive", "new/results.json", "--repeats", "1"]
    command += ["--model", "logistic regression", "--model", "RBF-SVM"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "1 repeat of 5 donor-grouped" in out and "SYNTHETIC TWIN" in out
    assert "RBF-SVM" in out and "random forest" not in out
    first = (tmp_path / "new" / "results.json").read_text()
    assert main(command) == 0
    # Even the times are the same: nothing was fitted twice.
    assert (tmp_path / "new" / "results.json").read_text() == first
    # What is kept in between is not in the current folder, which may be a stranger's.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "new"]


def test_evaluate_refuses_unknown_studies_in_one_sentence(tmp_path, capsys):
    assert main(["evaluate", "human", str(tmp_path / "results.json")]) == 1
    assert "lspin evaluate: The study must be one of paper," in capsys.readouterr().err
    assert not (tmp_path / "results.json").exists()


def test_evaluate_lists_the_studies_and_wants_a_file(capsys):
    assert main(["evaluate"]) == 0
    assert "positive      the features released by the Allen" in capsys.readouterr().out
    assert main(["evaluate", "--repeats", "2"]) == 1
    assert "Name the study first" in capsys.readouterr().err
    assert main(["evaluate", "cohorts"]) == 1
    assert "Name the JSON file" in capsys.readouterr().err


def test_evaluate_without_cells_says_what_to_do(tmp_path, capsys):
    assert main(["evaluate", "cohorts", str(tmp_path / "x.json"), "--repeats", "1"]) == 1
    error = capsys.readouterr().err
    assert "cannot be reached" in error and "`lspin fetch` gets the files" in error
    assert not (tmp_path / "x.json").exists()


def test_evaluate_replaces_nothing_without_being_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lspin.studies.run_study", lambda *_, **__: pytest.fail("ran"))
    diary = tmp_path / "diary.json"
    diary.write_text("Dear diary")
    assert main(["evaluate", "cohorts", str(diary)]) == 1
    assert "diary.json holds no recorded results" in capsys.readouterr().err
    assert diary.read_text() == "Dear diary"
    assert main(["evaluate", "cohorts", str(diary), "--repeats", "0"]) == 1
    assert "at least one repeat" in capsys.readouterr().err


def test_explain_prints_and_draws_the_card_of_a_cell(few_mixtures, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LSPIN_SOURCE", "twin")
    monkeypatch.setattr("lspin.model.recipe.Recipe.steps", lambda *_: 20)  # trains for short
    cell = load_cells("twin").X.index[10]
    figure = tmp_path / "card.png"
    assert main(["explain", str(cell), "--figure", str(figure)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Cell {cell}: predicted ") and "SYNTHETIC TWIN" in out
    assert "open gates" in out and "Most similar" in out
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("cell", "advice"), [("464212183", "`lspin fetch` downloads"), ("-9999", "such as -")]
)
def test_explain_says_what_to_do_about_an_unknown_cell(cell, advice, monkeypatch, capsys):
    monkeypatch.setenv("LSPIN_SOURCE", "twin")
    assert main(["explain", cell]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"lspin explain: There is no cell {cell} here.") and advice in error


def test_explain_finds_a_recorded_cell_in_another_cohort(real_data, monkeypatch, capsys):
    monkeypatch.setenv("LSPIN_DATA_DIR", str(real_data))
    positive, every = (load_cells("allen", cohort) for cohort in ("positive", "all"))
    negative = every.X.index.difference(positive.X.index)[0]
    assert main(["explain", str(negative)]) == 1
    assert "add --cohort all" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ("card", "must end in one of .*[.]png"),
        ("card.xyz", "must end in one of"),
        ("no/folder/card.png", "there is no folder"),
        ("folder.png", "is a folder"),
    ],
)
def test_explain_refuses_a_figure_before_it_trains(figure, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "folder.png").mkdir()
    monkeypatch.setattr("lspin.__main__.load_cells", lambda **_: pytest.fail("loaded"))
    assert main(["explain", "1", "--figure", str(tmp_path / figure)]) == 1
    assert re.search(f"lspin explain: --figure .*{message}", capsys.readouterr().err)


@pytest.fixture
def small_training(few_mixtures, monkeypatch):
    """Train for a moment, in this process."""
    monkeypatch.setattr("lspin.model.recipe.Recipe.steps", lambda *_: 30)
    with joblib.parallel_config("threading"):
        yield


@pytest.fixture
def wine(tmp_path):
    """Write a table as people have it: text, ids, gaps, a second copy of the label."""
    table = load_wine(as_frame=True).frame
    table["kind"] = table["target"].map({0: "Barolo", 1: "Grignolino", 2: "Barbera"})
    table["estate"] = [f"estate {k % 30}" for k in range(len(table))]
    table.iloc[::10, 0] = None
    table.to_csv(tmp_path / "wine.csv")
    return tmp_path / "wine.csv"


def test_train_scores_a_table_and_predict_uses_the_model(wine, small_training, tmp_path, capsys):
    model, out = tmp_path / "wine.lspin", tmp_path / "out.csv"
    command = ["train", str(wine), "--label", "kind", "--group", "estate", "--max-open", "3"]
    assert main([*command, "--save", str(model)]) == 0
    said = capsys.readouterr().out
    for sentence in (
        "wine.csv: 178 rows, 13 columns to learn from:",
        "The label kind is text: it names 3 classes.",
        "Left out: the column without a name (it numbers the rows: whole numbers, all different)",
        "Left out: target (a copy of the label)",
        "  alcohol, malic_acid",
        "18 values are missing",
        "30 groups (estate)",
        "largest class",
        "LSPIN is",
        "opens 3 of 13 gates",
        "  Barolo: ",
        f"Saved: {model}",
    ):
        assert sentence in said
    assert re.search(r"\n\d+ s\n$", said) and "risk" not in said
    assert main(["predict", str(model), str(wine), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"178 rows: {out}\n"
    found = pd.read_csv(out)
    assert list(found)[:4] == ["Unnamed: 0", "target", "kind", "estate"]
    assert (found["predicted"] == found["kind"]).mean() > 0.5
    assert found["read_from"].str.split("; ").map(len).max() == 3
    np.testing.assert_allclose(found.filter(like="p(").sum(axis=1), 1, atol=1e-4)
    assert main(["predict", str(model), str(wine)]) == 0
    assert capsys.readouterr().out == out.read_text()


def test_train_on_values_without_groups_says_what_that_risks(small_training, tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text("a;b;y\n" + "".join(f"{k % 7},5;{k * k % 11};{k % 7},25\n" for k in range(40)))
    assert main(["train", str(path), "--label", "y", "--max-open", "2"]) == 0
    said = capsys.readouterr().out
    assert "values, so this is a regression" in said and "Without --group" in said
    assert "mean value" in said and "rmse" in said and "all rows: " in said
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["no.csv", "--label", "kind"], "There is no file"),
        ([".", "--label", "kind"], "is a folder"),
        (["wine.csv", "--label", "wine"], "no column 'wine' for the label; there are"),
        (["wine.csv", "--label", "kind", "--group", "kind"], "cannot be the group"),
        (["wine.csv", "--label", "kind", "--max-open", "0"], "--max-open must be 1 or more"),
        (["wine.csv", "--label", "kind", "--save", "wine.csv"], "holds something else"),
        (["wine.csv", "--label", "kind", "--save", "."], "is a folder"),
        (["wine.csv", "--label", "kind", "--save", "no/m.lspin"], "there is no folder no"),
    ],
)
def test_train_refuses_in_a_sentence_before_it_trains(options, said, wine, monkeypatch, capsys):
    monkeypatch.chdir(wine.parent)
    before = wine.read_bytes()
    monkeypatch.setattr("lspin.evaluate.score_own", lambda *_, **__: pytest.fail("trained"))
    assert main(["train", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("lspin train: ") and said in error and error.count("\n") == 1
    assert wine.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["no.lspin", "wine.csv"], "There is no file no.lspin"),
        (["wine.csv", "wine.csv"], "is no model that lspin saved"),
        (["FIXTURES/0.2.0-classifier.lspin", "wine.csv"], "holds a classifier, not a table model"),
        (["FIXTURES/0.2.0-table.lspin", "wine.csv"], "lacks 46 of the 46 columns"),
        (["FIXTURES/0.2.0-table.lspin", "words.csv"], "vrest must hold numbers; row 2 has 'low'"),
        (
            ["FIXTURES/0.2.0-table.lspin", "wine.csv", "-o", "wine.csv"],
            "would replace what is read",
        ),
        (["FIXTURES/0.2.0-table.lspin", "wine.csv", "-o", "no/o.csv"], "there is no folder no"),
    ],
)
def test_predict_refuses_in_a_sentence(options, said, wine, monkeypatch, capsys):
    monkeypatch.chdir(wine.parent)
    (wine.parent / "words.csv").write_text("vrest,name\n-70,a\nlow,b\n")
    fixtures = str(Path(__file__).parent / "model" / "fixtures")
    assert main(["predict", *(option.replace("FIXTURES", fixtures) for option in options)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("lspin predict: ") and said in error and error.count("\n") == 1


@pytest.fixture
def saved_and_rows(tmp_path):
    """A saved model, and a table of three new cells with a column of the user's own."""
    rows = load_cells("twin", verbose=0).X.head(3)
    rows.insert(0, "mouse", ["gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n", "\N{OHM SIGN}", "c"])
    rows.to_csv(tmp_path / "rows.csv", index=False)
    fixture = Path(__file__).parent / "model" / "fixtures" / "0.2.0-table.lspin"
    return [str(fixture), str(tmp_path / "rows.csv")]


def test_predict_replaces_nothing_but_a_table(saved_and_rows, tmp_path, capsys):
    for name in ("other.lspin", "notes.docx"):
        (tmp_path / name).write_text("precious")
        assert main(["predict", *saved_and_rows, "-o", str(tmp_path / name)]) == 1
        assert (tmp_path / name).read_text() == "precious"
    os.mkfifo(tmp_path / "pipe.csv")
    assert main(["predict", *saved_and_rows, "-o", str(tmp_path / "pipe.csv")]) == 1
    assert (tmp_path / "pipe.csv").is_fifo()
    assert capsys.readouterr().err.count("name a file that ends in .csv") == 3
    (tmp_path / "link.csv").symlink_to(tmp_path / "there.csv")
    assert main(["predict", *saved_and_rows, "-o", str(tmp_path / "link.csv")]) == 0
    assert (tmp_path / "link.csv").is_symlink() and len(pd.read_csv(tmp_path / "there.csv")) == 3


def test_predict_loses_no_column_of_the_user(saved_and_rows, capsys):
    rows = pd.read_csv(saved_and_rows[1]).rename(columns={"mouse": "predicted"})
    rows.to_csv(saved_and_rows[1], index=False)
    assert main(["predict", *saved_and_rows]) == 1
    assert "has a column 'predicted' already: rename it" in capsys.readouterr().err


def test_what_is_piped_keeps_every_letter(saved_and_rows, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stdout)
    assert main(["predict", *saved_and_rows]) == 0
    found = pd.read_csv(io.BytesIO(stdout.buffer.getvalue()))
    assert found["mouse"].tolist() == pd.read_csv(saved_and_rows[1])["mouse"].tolist()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert main(["template"]) == 0  # a form whose units were M? would be refused
    assert "M\N{GREEK CAPITAL LETTER OMEGA}" in sys.stdout.buffer.getvalue().decode()


def test_closed_outputs_are_no_error(saved_and_rows, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    assert main(["predict", *saved_and_rows, "-o", str(tmp_path / "out.csv")]) == 0
    assert len(pd.read_csv(tmp_path / "out.csv")) == 3
    assert main(["template"]) == 0


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"lspin {__version__}\n"


def test_what_a_terminal_cannot_show_is_replaced(monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    stdout.isatty = lambda: True
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setattr("lspin.__main__._info", lambda _: print("200 M\N{OHM SIGN}"))
    assert main(["info"]) == 0
    assert stdout.buffer.getvalue().split() == [b"200", b"M?"]


def test_text_of_a_table_cannot_steer_the_terminal(tmp_path, capsys):
    path = tmp_path / "\x1b[2Jtable\u202e.csv"
    assert main(["train", str(path), "--label", "type"]) == 1
    path.write_text("a\x1b[31m,type\n1,x\n")
    assert main(["train", str(path), "--label", "kind\0"]) == 1
    said, errors = capsys.readouterr()
    assert "table" in errors and "kind" in errors
    assert not set("\x1b\u202e\0") & set(said + errors)


def test_ctrl_c_ends_in_one_line(monkeypatch, capsys):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lspin.__main__.allen.fetch", stop)
    assert main(["fetch"]) == 130
    assert capsys.readouterr().err == "lspin fetch: stopped.\n"


def test_reader_that_has_enough_ends_it_silently():
    command = [sys.executable, "-W", "ignore", "-m", "lspin", "info"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_data_folder_inside_the_data_folder_gets_no_second_one(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "allen_cell_types"
    monkeypatch.setenv("LSPIN_DATA_DIR", str(folder))
    assert main(["fetch"]) == 1
    assert f"name the folder above it, {tmp_path}" in capsys.readouterr().err
    assert not folder.exists()


@pytest.fixture
def small_model(monkeypatch):
    """Classify by a model that is trained in a moment, on the twins."""
    from lspin import LSPINClassifier
    from lspin.explain import known

    monkeypatch.setenv("LSPIN_SOURCE", "twin")
    small = LSPINClassifier(4, n_members=2, n_steps=20, random_state=0)
    monkeypatch.setattr(known, "MODEL", small)


def test_one_bad_file_does_not_stop_the_others(
    few_mixtures, small_model, tmp_path, monkeypatch, capsys
):
    X = load_cells("twin").X.iloc[:3].rename_axis("cell")
    X.to_csv(tmp_path / "cells.csv")
    (tmp_path / "bad\x1b[31m.abf").write_bytes(b"nothing")
    files = [tmp_path / "bad\x1b[31m.abf", tmp_path / "nowhere.nwb", tmp_path / "cells.csv"]
    folder = tmp_path / "out"
    assert main(["classify", *map(str, files), "-o", str(folder), "--temperature", "25"]) == 1
    said, errors = capsys.readouterr()
    assert said.startswith("3 of 3 cells lie OUTSIDE") and "SYNTHETIC TWIN" in said
    assert errors.count("lspin classify: ") == 2 and "there is no file" in errors
    assert "\x1b" not in said + errors and "Traceback" not in errors
    assert len(list(folder.glob("*.png"))) == 3
    assert (folder / "cells.csv").read_text().count("\n") == 4


def test_what_was_classified_before_ctrl_c_is_kept(
    few_mixtures, small_model, tmp_path, monkeypatch, capsys
):
    load_cells("twin").X.iloc[:2].rename_axis("cell").to_csv(tmp_path / "cells.csv")
    classify_file = own_cell.classify_file

    def stop_at_the_second(path, **options):
        if path.name == "later.csv":
            raise KeyboardInterrupt
        return classify_file(path, **options)

    monkeypatch.setattr(own_cell, "classify_file", stop_at_the_second)
    files = [str(tmp_path / "cells.csv"), "later.csv", "never.csv"]
    assert main(["classify", *files, "-o", str(tmp_path / "out")]) == 130
    said, errors = capsys.readouterr()
    assert "before later.csv" in errors and "never.csv" not in errors
    assert len(list((tmp_path / "out").glob("*.png"))) == 2 and "cells.csv" in said


def test_several_cells_are_listed_with_their_second_opinions(
    few_mixtures, small_model, monkeypatch, capsys
):
    from lspin import classify
    from lspin.__main__ import _print_cards
    from lspin.explain import SecondOpinion, known_cells

    known = known_cells(verbose=0)
    cells = load_cells("twin").X.iloc[:3].set_axis(["A1", "A2", "A3"])
    first, *others = classify(cells, known=known.select(known.X.index[::16]))
    said = SecondOpinion("Nobody+", pd.Series({"Nobody+": 1.0}), "made up")
    cards = [replace(first, second=said), replace(others[0], second="Nobody could be asked.")]
    _print_cards([*cards, others[1]])
    lines = capsys.readouterr().out.splitlines()
    rows = {line[:2]: line.split() for line in lines if "%" in line and line[0] == "A"}
    assert [rows[name][3] for name in ("A1", "A2", "A3")] == ["Nobody+", "-", "-"]
    assert "Nobody could be asked." in lines

    _print_cards(others[1:])
    assert "RNA" not in capsys.readouterr().out


def test_the_template_is_shown_or_written_but_replaces_nothing(tmp_path, capsys):
    assert main(["template"]) == 0
    assert capsys.readouterr().out.startswith("cell,vrest,")
    assert main(["template", str(tmp_path / "cells.csv")]) == 0
    assert main(["template", str(tmp_path / "cells.csv")]) == 1
    assert main(["template", str(tmp_path / "cells.xlsx")]) == 1
    assert "must end in .csv" in capsys.readouterr().err
    assert main(["classify", str(tmp_path / "cells.csv")]) == 1  # nobody has filled it in
    assert "has no cells" in capsys.readouterr().err


def test_classify_refuses_an_output_before_it_reads(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["classify", "x.abf", "-o", str(tmp_path / "file")]) == 1
    assert "is a file: name a folder" in capsys.readouterr().err
