"""Cells and spikes: where they come from, which of them, and what goes wrong on the way."""

import csv
import hashlib
import io
import json
import os
import shutil
import socket
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_tables import (
    CELLS,
    files_in,
    made_up_cells,
    made_up_features,
    rma,
    table_paths,
    write_tables,
)

from lspin.data import (
    COHORTS,
    aligned,
    allen,
    client,
    data_dir,
    download,
    load_cells,
    load_spikes,
    own_cells,
    paper,
)
from lspin.data.tables import (
    CLASSES,
    CRE_LINE_CLASS,
    METADATA_COLUMNS,
    RELEASED_FEATURES,
    SPIKE_TIME_MS,
    Cells,
    atomic_write,
    choose_cohort,
)

# ---------------------------------------------------------------- cohorts and records


def test_cohorts_keep_and_report(tmp_path):
    write_tables(tmp_path)
    kept = {name: load_cells("allen", name, data_dir=tmp_path) for name in COHORTS}
    assert kept["all"].X.index.tolist() == [11, 12, 13, 14]
    assert kept["positive"].X.index.tolist() == [11, 12, 14]
    assert kept["paper"].X.index.tolist() == [11, 13]
    for cells in kept.values():
        assert sum(rule["cells"] for rule in cells.provenance["dropped"]) + len(cells) == len(CELLS)
        assert json.loads(json.dumps(cells.provenance)) == cells.provenance
    rules = {rule["rule"]: rule["cells"] for rule in kept["paper"].provenance["dropped"]}
    assert rules == {"species": 2, "Cre line": 1, "dendrite type": 2}
    assert kept["all"].counts().to_dict() == {
        "Glutamatergic": 2,
        "Htr3a+|Vip-": 0,
        "Pvalb+": 1,
        "Sst+": 0,
        "Vip+": 1,
    }


def test_features_donors_and_labels_belong_to_the_same_cell(tmp_path):
    cells = load_cells("allen", data_dir=write_tables(tmp_path))
    wanted = pd.DataFrame(made_up_features()).set_index("specimen_id")
    for specimen, donor, _, line, *_ in CELLS:
        if specimen in cells.X.index:
            assert cells.X.loc[specimen, "vrest"] == pytest.approx(wanted.loc[specimen, "vrest"])
            assert cells.donors[specimen] == donor
            assert cells.y[specimen] == CRE_LINE_CLASS[line]
    assert cells.X["adaptation"].isna().all()
    assert list(cells.X.columns) == list(RELEASED_FEATURES)


def test_human_cells_are_labelled_by_dendrite(tmp_path):
    cells = load_cells("allen", species="human", data_dir=write_tables(tmp_path))
    assert cells.y.to_dict() == {16: "spiny"}
    assert cells.metadata.loc[16, "reporter_status"] == ""


def test_class_table():
    # Counted in the class table of the paper, Esr2 in its four forms.
    sizes = pd.Series(CRE_LINE_CLASS).value_counts()
    assert sizes.to_dict() == {
        "Glutamatergic": 15,
        "Htr3a+|Vip-": 3,
        "Pvalb+": 3,
        "Sst+": 5,
        "Vip+": 2,
    }
    assert set(sizes.index) == set(CLASSES)


def record(**changes):
    index = pd.Index([5, 6], name="specimen_id")
    parts = {
        "X": pd.DataFrame({"vrest": [-70.0, np.nan]}, index=index),
        "y": pd.Series(["Sst+", "Vip+"], index=index, name="class"),
        "donors": pd.Series([1, 2], index=index, name="donor_id"),
        "metadata": pd.DataFrame("", index=index, columns=list(METADATA_COLUMNS)),
        "source": "allen",
        "species": "mouse",
        "cohort": "all",
        "provenance": {"tables": {}, "dropped": []},
    }
    return Cells(**{**parts, **changes})


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("y", pd.Series(["Sst+", "Vip+"], index=[6, 5]), "same index"),
        ("y", record().y.replace("Vip+", "Vip"), "labels that are none of"),
        ("X", record().X.astype("float32"), "float64"),
        ("X", record().X.fillna(np.inf), "infinite"),
        ("X", record().X.rename_axis(None), "specimen_id"),
        ("donors", record().donors.astype(float), "int64"),
        ("metadata", record().metadata.drop(columns="layer"), "layer"),
        ("metadata", record().metadata.replace("", None), "empty string"),
        ("source", "twin", "negative"),
        ("source", "alan", "source"),
        ("species", "rat", "species"),
        ("cohort", "most", "cohort"),
    ],
)
def test_record_that_does_not_fit_is_refused(part, value, message):
    with pytest.raises(ValueError, match=message):
        record(**{part: value})


def test_duplicate_ids_are_refused():
    doubled = pd.Index([5, 5], name="specimen_id")
    r = record()
    with pytest.raises(ValueError, match="unique"):
        record(
            X=r.X.set_axis(doubled),
            y=r.y.set_axis(doubled),
            donors=r.donors.set_axis(doubled),
            metadata=r.metadata.set_axis(doubled),
        )


def test_select_by_mask_and_by_id():
    cells = record()
    assert cells.select(cells.y == "Vip+").X.index.tolist() == [6]
    reordered = cells.select([6, 5])
    assert reordered.donors.tolist() == [2, 1]
    assert reordered.y.tolist() == ["Vip+", "Sst+"]
    assert cells.select([6]).provenance["dropped"][-1]["cells"] == 1
    with pytest.raises(ValueError, match="7"):
        cells.select([7])
    with pytest.raises(ValueError, match="2 cells"):
        cells.select([True])


def test_banner_and_html_name_the_source():
    cells = record()
    assert "Allen Cell Types Database" in cells.banner()
    assert "2 mouse cells" in cells.banner()
    assert cells.banner() in cells._repr_html_()
    assert not cells.is_synthetic


def test_choose_cohort_refuses_unknown_names():
    with pytest.raises(ValueError, match="cohort"):
        choose_cohort(pd.DataFrame(), "some", "mouse")


def test_atomic_write_leaves_the_old_file_on_failure(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert files_in(tmp_path) == ["file.txt"]
    with atomic_write(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


# ---------------------------------------------------------------- choosing a source


def test_data_folder_is_the_environments_or_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LSPIN_DATA_DIR", str(tmp_path / "x"))
    assert data_dir() == tmp_path / "x"
    monkeypatch.delenv("LSPIN_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "lspin" in data_dir().parts


@pytest.mark.parametrize("end", [" ", "\r", "\r\n"])
def test_data_folder_may_end_in_a_blank_or_a_line_end(tmp_path, monkeypatch, end):
    monkeypatch.setenv("LSPIN_DATA_DIR", f"{write_tables(tmp_path / 'x')}{end}")
    assert load_cells().source == "allen"
    monkeypatch.setenv("LSPIN_DATA_DIR", end)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "lspin" in data_dir().parts


def test_folder_that_cannot_be_the_data_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("LSPIN_DATA_DIR", "~nosuchuser/x")
    with pytest.raises(ValueError, match="LSPIN_DATA_DIR is '~nosuchuser/x'.* no such user"):
        load_cells()
    monkeypatch.setenv("LSPIN_DATA_DIR", "$HOME/cells")
    with pytest.raises(ValueError, match="LSPIN_DATA_DIR is .*write the path in full"):
        load_cells()
    file = tmp_path / "cells.json"
    file.touch()
    with pytest.raises(ValueError, match="data_dir is .*cells.json, which is a file"):
        load_cells(data_dir=file)
    inside = write_tables(tmp_path) / allen.FOLDER
    monkeypatch.setenv("LSPIN_DATA_DIR", str(inside))
    with pytest.raises(ValueError, match=f"name the folder above it, {tmp_path}"):
        load_cells()
    inside.rename(tmp_path / "cell_types")  # as AllenSDK calls it
    with pytest.raises(ValueError, match="data_dir is .*move the Allen tables into a folder allen"):
        load_cells(data_dir=tmp_path / "cell_types")


def test_auto_takes_the_tables_of_the_data_folder(tmp_path):
    assert load_cells(data_dir=write_tables(tmp_path)).source == "allen"


def test_auto_falls_back_to_the_twin_and_says_why():
    folder = os.environ["LSPIN_DATA_DIR"]
    match = f"data folder {folder}, which does not exist.*cannot be reached.*SYNTHETIC TWIN"
    with pytest.warns(UserWarning, match=match) as record:
        cells = load_cells()
    assert cells.is_synthetic
    assert record[0].filename == __file__  # points at the caller
    with pytest.warns(UserWarning, match="SYNTHETIC TWIN"):
        assert load_spikes(verbose=0).is_synthetic


def test_auto_does_not_hide_a_broken_table(tmp_path):
    write_tables(tmp_path)
    (tmp_path / allen.FOLDER / allen.CELLS_FILE).write_text('[{"specimen')
    with pytest.raises(ValueError, match=r"cells\.json.*Run `lspin fetch`"):
        load_cells(data_dir=tmp_path)


def test_environment_sets_the_automatic_source(tmp_path, monkeypatch):
    write_tables(tmp_path)
    monkeypatch.setenv("LSPIN_SOURCE", "twin")
    assert load_cells(data_dir=tmp_path).source == "twin"
    assert load_spikes(data_dir=tmp_path).source == "twin"
    assert load_cells("allen", data_dir=tmp_path).source == "allen"
    monkeypatch.setenv("LSPIN_SOURCE", " Allen\n")
    assert load_cells(data_dir=tmp_path).source == "allen"
    with pytest.raises(ConnectionError):  # recordings were asked for, so no twin
        load_spikes(data_dir=tmp_path)
    monkeypatch.setenv("LSPIN_SOURCE", "alan")
    with pytest.raises(ValueError, match="LSPIN_SOURCE must be one of .*, got 'alan'"):
        load_cells(data_dir=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "wikipedia"}, "source"),
        ({"source": "twin", "cohort": "most"}, "cohort"),
        ({"source": "twin", "species": "rat"}, "species"),
        ({"source": "twin", "species": "human"}, "no synthetic twin of the human cells"),
        ({"source": "paper", "cohort": "all"}, "their own cohort only"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_cells(**arguments)


def test_allen_has_no_spikes():
    with pytest.raises(ValueError, match="source='paper'"):
        load_spikes("allen")


@pytest.mark.parametrize("source", ["allen", "paper"])
def test_a_named_source_never_becomes_the_twin(source):
    with pytest.raises(ConnectionError):
        load_cells(source, verbose=0)


# ---------------------------------------------------------------- reading Allen tables


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (allen.CELLS_FILE, "<html>", "not readable as JSON"),
        (allen.CELLS_FILE, "[]", "no list of cells"),
        (allen.CELLS_FILE, '[{"specimen__id": 1}]', "lacks the columns"),
        (allen.FEATURES_FILE, "", "not readable as CSV"),
        (allen.FEATURES_FILE, "specimen_id,vrest\n1,2\n", "lacks the columns"),
        (allen.FEATURES_FILE, "ids", "no features for 6 of the 7 cells"),
        (allen.FEATURES_FILE, "text", "not a number"),
    ],
)
def test_broken_table_says_which_and_what_to_do(tmp_path, file, content, message):
    path = write_tables(tmp_path) / allen.FOLDER / file
    if content in ("ids", "text"):
        table = pd.read_csv(path)
        table = table.head(1) if content == "ids" else table.assign(vrest="high")
        table.to_csv(path, index=False)
    else:
        path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        load_cells("allen", data_dir=tmp_path)
    assert str(path) in str(error.value)
    assert "Run `lspin fetch`" in str(error.value)


def test_doubled_specimen_is_refused(tmp_path):
    path = write_tables(tmp_path) / allen.FOLDER / allen.CELLS_FILE
    path.write_text(json.dumps(made_up_cells() + made_up_cells()[:1]))
    with pytest.raises(ValueError, match="more than once"):
        load_cells("allen", data_dir=tmp_path)


def change_cells(folder, change):
    """Write made-up tables whose list of cells went through ``change``."""
    cells = made_up_cells()
    write_tables(folder)
    table_paths(folder)[0].write_text(json.dumps(change(cells) or cells))
    return folder


def test_names_are_read_whatever_their_case_and_blanks(tmp_path):
    def blur(cells):
        cells[0].update(line_name="Rorb-IRES2-Cre ", cell_reporter_status="Positive")
        cells[1].update(line_name="rorb-ires2-cre", tag__dendrite_type="Aspiny")
        cells[3].update(cell_reporter_status=" positive\n", donor__species="mus musculus")

    clean = allen.read_cells(write_tables(tmp_path / "clean"))
    with warnings.catch_warnings(action="error"):
        pd.testing.assert_frame_equal(allen.read_cells(change_cells(tmp_path / "b", blur)), clean)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("cell_reporter_status", None, "3 of 5 mouse cells have no reporter_status that is known"),
        ("cell_reporter_status", "posit", r"reporter_status.*\('posit'\)"),
        ("line_name", "", "3 of 5 mouse cells have no line_name that is known"),
        ("line_name", "Pvalb-IRES-Cr", "3 of 5 mouse cells"),
        ("tag__dendrite_type", None, "3 of 7 cells have no dendrite_type"),
        ("donor__species", "Rattus norvegicus", "3 cells are of species other"),
        ("donor__species", None, "3 cells are of species other"),
    ],
)
def test_cells_that_are_left_out_are_told_of(tmp_path, column, value, message):
    def spoil(cells):
        for cell in cells[:3]:
            cell[column] = value

    with pytest.warns(UserWarning, match=rf"cells\.json: .*{message}.*run `lspin fetch`"):
        assert len(load_cells("allen", data_dir=change_cells(tmp_path, spoil))) < 4


def test_table_without_a_cell_of_the_cohort_is_refused(tmp_path):
    human = change_cells(tmp_path, lambda cells: [c for c in cells if "Mus" in c["donor__species"]])
    with pytest.raises(ValueError, match=r"cells\.json: lacks 2 of the 7 cells in ephys_features"):
        load_cells("allen", species="human", data_dir=human)
    features = pd.read_csv(table_paths(tmp_path)[1])
    features[features["specimen_id"] < 16].to_csv(table_paths(tmp_path)[1], index=False)
    with pytest.raises(ValueError, match=r"cells\.json: holds no human cell"):
        load_cells("allen", species="human", data_dir=human)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cells: [cells[0], None, *cells[1:]], "holds None as row 2"),
        (lambda cells: [cells[0], [1, 2], *cells[1:]], r"holds \[1, 2\] as row 2"),
        (lambda cells: cells[2].update(specimen__id="abc"), r"1 rows whose specimen_id.*'abc'"),
        (lambda cells: cells[2].update(donor__id=7.5), r"1 rows whose donor_id.*7\.5"),
        (lambda cells: cells[2].update(donor__id=None), "1 rows whose donor_id is no whole number"),
        (lambda cells: cells[2].update(specimen__id=11), r"more than once \(such as 11\)"),
        (lambda cells: cells[:4], "lacks 3 of the 7 cells"),
    ],
)
def test_damaged_list_of_cells_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=rf"cells\.json: .*{message}.*Run `lspin fetch`"):
        load_cells("allen", data_dir=change_cells(tmp_path, change))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("sag", np.inf, r"1 infinite values, in \['sag'\]"),
        ("specimen_id", 1.5, r"1 rows whose specimen_id.*1\.5"),
        ("specimen_id", np.nan, "1 rows whose specimen_id"),
        ("specimen_id", 17, r"more than once \(such as 17\)"),
    ],
)
def test_damaged_features_are_refused(tmp_path, column, value, message):
    path = table_paths(write_tables(tmp_path))[1]
    features = pd.read_csv(path).astype({column: float})
    features.loc[3, column] = value
    features.to_csv(path, index=False)
    with pytest.raises(ValueError, match=rf"ephys_features\.csv: .*{message}.*Run `lspin fetch`"):
        load_cells("allen", data_dir=tmp_path)


def test_what_spreadsheets_and_editors_add_is_no_damage(tmp_path):
    wanted = allen.read_tables(write_tables(tmp_path / "clean"))
    cells, features = table_paths(
        change_cells(
            tmp_path / "edited",
            lambda cells: [
                {**c, "specimen__id": str(c["specimen__id"]), "donor__id": float(c["donor__id"])}
                for c in cells
            ],
        )
    )
    cells.write_text(cells.read_text(), encoding="utf-8-sig")
    table = pd.read_csv(features).astype({"specimen_id": float})  # ids as 11.0
    text = table.to_csv(index=False, lineterminator="\r\n")
    blank = "," * (table.shape[1] - 1)
    features.write_text(f"{text}{blank}\r\n\r\n", encoding="utf-8-sig", newline="")
    for one, other in zip(allen.read_tables(tmp_path / "edited"), wanted, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_changed_tables_are_named_in_the_banner(real_data, tmp_path):
    assert "CHANGED" not in load_cells("allen", data_dir=real_data).banner()
    folder = tmp_path / allen.FOLDER
    shutil.copytree(real_data / allen.FOLDER, folder)
    features = pd.read_csv(folder / allen.FEATURES_FILE)
    features.sample(frac=1, random_state=0).to_csv(folder / allen.FEATURES_FILE, index=False)
    assert "CHANGED" not in load_cells("allen", data_dir=tmp_path).banner()  # only the order did
    features["ri"] /= 1000
    features.to_csv(folder / allen.FEATURES_FILE, index=False)
    assert "CHANGED" in load_cells("allen", data_dir=tmp_path).banner()


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_features_cut_at_any_byte_never_pass(tmp_path, quoting):
    path = table_paths(write_tables(tmp_path))[1]
    table = pd.read_csv(path)
    table = table[["specimen_id", *table.columns.drop("specimen_id")]].drop(columns="has_burst")
    table.to_csv(path, index=False, quoting=quoting, lineterminator="\r\n")
    whole = path.read_bytes()
    wanted = allen.read_features(tmp_path)
    last_row = whole.rstrip().rindex(b"\n")
    for end in (*range(0, last_row, 97), *range(last_row, len(whole))):
        path.write_bytes(whole[:end])
        try:
            _, features = allen.read_tables(tmp_path)
        except ValueError as error:
            assert "ephys_features.csv" in str(error)
        else:  # nothing but the end of the last line is missing
            pd.testing.assert_frame_equal(features, wanted)


# ---------------------------------------------------------------- fetching Allen tables


@pytest.fixture(params=["allensdk", "https"])
def quick(request, monkeypatch):
    """Each client in turn, short waits, and no timeout left behind."""
    if request.param == "allensdk" and not download.has_allensdk():
        pytest.skip("AllenSDK is not installed")
    monkeypatch.setattr(download, "has_allensdk", lambda: request.param == "allensdk")
    monkeypatch.setattr(download, "BACKOFF_S", 0.0)
    monkeypatch.setattr(download, "READ_TIMEOUT_S", 0.3)
    yield request.param
    assert socket.getdefaulttimeout() is None


@pytest.mark.filterwarnings("error")
def test_fetch_allen(serve, quick, tmp_path):
    server = serve(lambda handler, path: handler.send(rma(path)))
    allen.fetch(tmp_path, verbose=0, base_uri=server.url)
    files = files_in(tmp_path)
    if quick == "allensdk":
        files.remove("allen_cell_types/manifest.json")
    assert files == ["allen_cell_types/cells.json", "allen_cell_types/ephys_features.csv"]
    fetched = load_cells("allen", "all", data_dir=tmp_path)
    written = load_cells("allen", "all", data_dir=write_tables(tmp_path / "by hand"))
    pd.testing.assert_frame_equal(fetched.X, written.X)
    path = tmp_path / allen.FOLDER / allen.CELLS_FILE
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert fetched.provenance["tables"][allen.CELLS_FILE] == digest
    # What is there is kept; what is broken is fetched again.
    allen.fetch(tmp_path, verbose=0, base_uri=server.url)
    assert len(server.requests) == 2
    path.write_text("[]")
    with pytest.warns(UserWarning, match=r"fetched again.*cells\.json\.old"):
        allen.fetch(tmp_path, verbose=0, base_uri=server.url)
    assert path.with_name("cells.json.old").read_text() == "[]"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_fetch_allen_survives_two_failures(serve, quick, tmp_path):
    def respond(handler, path):
        if server.requests.count(path) <= 2:
            handler.send(b"busy", status=503)
        else:
            handler.send(rma(path))

    server = serve(respond)
    allen.fetch(tmp_path, verbose=0, base_uri=server.url)
    assert len(server.requests) == 6
    assert len(load_cells("allen", "all", data_dir=tmp_path)) == 4


def hang(handler, path):
    handler.server.stop.wait(10)


def test_both_clients_write_the_same_files_page_by_page_or_at_once(
    serve, quick, tmp_path, monkeypatch
):
    program = tmp_path / "client.py"  # pages of three rows
    source = Path(client.__file__).read_text(encoding="utf-8")
    program.write_text(source.replace("_PAGE_ROWS = 5000", "_PAGE_ROWS = 3"))
    monkeypatch.setattr(client, "__file__", str(program))
    server = serve(lambda handler, path: handler.send(rma(path)))
    allen.fetch(tmp_path / "fetched", verbose=0, base_uri=server.url)
    assert len(server.requests) == (2 if quick == "allensdk" else 6)
    fetched = allen.read_tables(tmp_path / "fetched")
    written = allen.read_tables(write_tables(tmp_path / "by hand"))
    for one, other in zip(fetched, written, strict=True):
        pd.testing.assert_frame_equal(one.sort_index(), other.sort_index())


def test_allensdk_reads_what_plain_https_wrote(tmp_path, serve, monkeypatch):
    if not download.has_allensdk():
        pytest.skip("AllenSDK is not installed")
    monkeypatch.setattr(download, "has_allensdk", lambda: False)
    server = serve(lambda handler, path: handler.send(rma(path)))
    allen.fetch(tmp_path, verbose=0, base_uri=server.url)
    manifest = tmp_path / allen.FOLDER / "manifest.json"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of AllenSDK's dependencies
        cache = client.import_cell_types_cache()(
            manifest_file=str(manifest), base_uri="http://127.0.0.1:1"
        )
    assert len(cache.get_ephys_features()) == len(cache.get_cells(simple=False)) == len(CELLS)


@pytest.mark.parametrize("error", ["RuntimeError('no GPU')", "ImportError('libx.so')"])
def test_broken_allensdk_is_named_and_done_without(serve, tmp_path, monkeypatch, error):
    (tmp_path / "site" / "allensdk").mkdir(parents=True)
    (tmp_path / "site" / "allensdk" / "__init__.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    server = serve(lambda handler, path: handler.send(rma(path)))
    with pytest.warns(UserWarning, match=r"AllenSDK.*does not work here.*(GPU|libx)") as record:
        allen.fetch(tmp_path / "data", verbose=0, base_uri=server.url)
    assert len(record) == 1
    assert len(load_cells("allen", "all", data_dir=tmp_path / "data")) == 4


def test_redirect_is_followed(serve, quick, tmp_path):
    def respond(handler, path):
        if path.startswith("/moved"):
            return handler.send(rma(path))
        handler.send_response(302)
        handler.send_header("Location", f"/moved{handler.path}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    allen.fetch(tmp_path, verbose=0, base_uri=serve(respond).url)
    assert len(load_cells("allen", "all", data_dir=tmp_path)) == 4


@pytest.mark.parametrize(
    ("second_page", "message"), [(0, "it sent 3 of 7 rows"), (3, "it sent rows twice")]
)
def test_incomplete_pages_are_refused(serve, monkeypatch, tmp_path, second_page, message):
    def respond(handler, path):  # whatever page is asked for, it is the first
        answer = json.loads(rma(path.replace("start_row$eq3", "start_row$eq0")))
        answer["msg"] = answer["msg"][: second_page if "start_row$eq3" in path else 3]
        handler.send(json.dumps(answer).encode())

    monkeypatch.setattr(download, "has_allensdk", lambda: False)
    monkeypatch.setattr(download, "BACKOFF_S", 0.0)
    with pytest.raises(ConnectionError, match=message):
        allen.fetch(tmp_path, verbose=0, base_uri=serve(respond).url)


def test_table_that_was_edited_is_kept_each_time(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "has_allensdk", lambda: False)
    server = serve(lambda handler, path: handler.send(rma(path)))
    cells, features = table_paths(tmp_path)
    allen.fetch(tmp_path, verbose=0, base_uri=server.url)
    assert files_in(tmp_path) == [str(p.relative_to(tmp_path)) for p in (cells, features)]
    for old, edited in (("cells.json.old", "first"), ("cells.json.old2", "second")):
        cells.write_text(edited)
        with pytest.warns(UserWarning, match=rf"{cells} was damaged.*kept beside it as {old}\."):
            allen.fetch(tmp_path, verbose=0, base_uri=server.url)
        assert cells.with_name(old).read_text() == edited
    assert len(files_in(tmp_path)) == 4


@pytest.mark.parametrize("client_name", ["allensdk", "https"])
def test_full_disk_is_not_blamed_on_the_server(serve, tmp_path, monkeypatch, client_name):
    if client_name == "allensdk" and not download.has_allensdk():
        pytest.skip("AllenSDK is not installed")
    monkeypatch.setattr(download, "has_allensdk", lambda: client_name == "allensdk")
    source = Path(client.__file__).read_text(encoding="utf-8")
    assert "            query()\n" in source
    program = tmp_path / "client.py"
    program.write_text(source.replace("query()\n", "query(); raise OSError(errno.ENOSPC, '')\n", 1))
    monkeypatch.setattr(client, "__file__", str(program))
    server = serve(lambda handler, path: handler.send(rma(path)))
    folder = tmp_path / "data"
    with pytest.raises(
        OSError, match=rf"^{folder} cannot be written to \(No space left.*Make room"
    ):
        allen.fetch(folder, verbose=0, base_uri=server.url)
    assert len(server.requests) == 1
    assert files_in(folder) == []


@pytest.mark.parametrize("source", ["allen", "paper"])
def test_folder_that_cannot_be_written_to_is_named(serve, tmp_path, source):
    (tmp_path / "data").write_text("a file")
    server = serve(lambda handler, path: handler.send(rma(path)))
    with pytest.raises(OSError, match=r"data.* cannot be written to \(.*LSPIN_DATA_DIR"):
        if source == "allen":
            allen.fetch(tmp_path / "data", verbose=0, base_uri=server.url)
        else:
            paper.fetch_tables(tmp_path / "data", 0, tables_url=f"{server.url}/")
    assert server.requests == []


def test_ctrl_c_ends_the_client_too(serve, tmp_path):
    def stop():
        raise KeyboardInterrupt

    server = serve(hang)

    with pytest.raises(KeyboardInterrupt):
        download._run("https", tmp_path / "cells.json", server.url, time.monotonic(), 60.0, stop)


def test_unreachable_server_fails_before_a_client_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_run", lambda *_: pytest.fail("a client was started"))
    with pytest.raises(ConnectionError, match="cannot be reached"):
        allen.fetch(tmp_path, verbose=0, base_uri="http://127.0.0.1:1")


# ---------------------------------------------------------------- the paper's files

RAW_SPIKES = {
    "data/single_spike/mouse/pvalb/101_7.npy": (150, 1.0),
    "data/single_spike/mouse/vip/100_30.npy": (600, 1.0),
    "data/single_spike/human/aspiny/102_5.npy": (150, 1e-3),  # in volts
}


def raw_spike(name, n, unit):
    """Return a made-up spike in steps of 1/32 mV, in the unit given."""
    t = np.arange(n) / n * 150
    v = -60 + 80 * np.exp(-(((t - 50) / (4 + len(name) % 3)) ** 2))
    return np.rint(v * 32) / 32 * unit


def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("repository-74c39dd/README.md", "no spike")
        for name, (n, unit) in RAW_SPIKES.items():
            array = io.BytesIO()
            np.save(array, raw_spike(name, n, unit))
            file.writestr(f"repository-74c39dd/{name}", array.getvalue())
    return buffer.getvalue()


@pytest.fixture
def no_wait(monkeypatch):
    monkeypatch.setattr(download, "BACKOFF_S", 0.0)
    monkeypatch.setattr(download, "READ_TIMEOUT_S", 0.3)


def fetch_spikes(server, folder):
    paper.fetch_spikes(folder, verbose=0, spikes_url=f"{server.url}/archive.zip")


def test_fetch_spikes_assembles_checks_and_keeps(serve, no_wait, tmp_path, monkeypatch):
    names = list(RAW_SPIKES)
    expected = {
        "species": np.array(["human", "mouse", "mouse"]),
        "folder": np.array(["aspiny", "pvalb", "vip"]),
        "specimen_id": np.array([102, 101, 100]),
        "sweep_number": np.array([5, 7, 30]),
        "sampling_rate_hz": np.array([50_000, 50_000, 200_000]),
        "waveform_mv": np.array(
            [
                raw_spike(names[2], 150, 1.0),
                raw_spike(names[0], 150, 1.0),
                raw_spike(names[1], 600, 1.0)[::4],
            ]
        ),
    }
    monkeypatch.setattr(paper, "SPIKES_CONTENT_SHA256", paper._content_sha256(expected))
    server = serve(lambda handler, path: handler.send(archive()))
    fetch_spikes(server, tmp_path)
    assert files_in(tmp_path) == ["ophir2023/spikes.npz"]
    with np.load(tmp_path / "ophir2023/spikes.npz") as kept:
        for name, values in expected.items():
            np.testing.assert_array_equal(kept[name], values, err_msg=name)
        assert kept["waveform_mv"].dtype == np.float32
    fetch_spikes(server, tmp_path)
    assert len(server.requests) == 1  # known by its content, not fetched again
    (tmp_path / "ophir2023/spikes.npz").write_bytes(b"half")
    with pytest.warns(UserWarning, match=r"kept beside it as spikes\.npz\.old"):
        fetch_spikes(server, tmp_path)
    assert len(server.requests) == 2
    assert (tmp_path / "ophir2023/spikes.npz.old").read_bytes() == b"half"


def test_content_checksum_sees_every_change_but_not_the_order():
    rng = np.random.default_rng(0)
    spikes = {
        "species": np.array(["mouse", "mouse"]),
        "folder": np.array(["sst", "vip"]),
        "specimen_id": np.array([2, 1]),
        "sweep_number": np.array([5, 6]),
        "waveform_mv": np.rint(rng.normal(size=(2, 150)) * 320).astype(np.float32) / 32,
    }
    known = paper._content_sha256(spikes)
    assert paper._content_sha256({k: v[::-1] for k, v in spikes.items()}) == known
    for name, changed in {
        "folder": np.array(["sst", "sst"]),
        "specimen_id": np.array([2, 3]),
        "sweep_number": np.array([5, 5]),
        "waveform_mv": spikes["waveform_mv"] + np.eye(2, 150, dtype=np.float32) / 32,
    }.items():
        assert paper._content_sha256({**spikes, name: changed}) != known


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda handler, path: handler.send(archive()), "3 spikes whose checksum"),
        (lambda handler, path: handler.send(archive()[:-50]), "no archive of spikes"),
        (lambda handler, path: handler.send(b"<html>"), "no archive of spikes"),
        (lambda handler, path: handler.send(b"", status=404), "could not be downloaded"),
        (lambda handler, path: handler.server.stop.wait(10), "could not be downloaded"),
    ],
)
def test_fetch_spikes_keeps_nothing_wrong(serve, no_wait, tmp_path, answer, message):
    with pytest.raises(ConnectionError, match=message):
        fetch_spikes(serve(answer), tmp_path)
    assert files_in(tmp_path) == []


def test_archive_with_a_spike_of_odd_length_is_refused(tmp_path):
    array = io.BytesIO()
    np.save(array, np.zeros(151))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("r/data/single_spike/mouse/sst/1_2.npy", array.getvalue())
    with pytest.raises(ValueError, match=r"1_2\.npy has shape \(151,\)"):
        paper._spikes_of_archive(tmp_path / "a.zip")


def test_fetch_tables_by_checksum(serve, no_wait, tmp_path, monkeypatch):
    contents = {
        f"/{name.split('_', 1)[0]}/{name.split('_', 1)[1]}": name.encode()
        for name in paper.TABLE_SHA256
    }
    server = serve(lambda handler, path: handler.send(contents[path]))

    with pytest.raises(ConnectionError, match="SHA256"):
        paper.fetch_tables(tmp_path, 0, tables_url=f"{server.url}/")
    assert files_in(tmp_path) == []

    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in paper.TABLE_SHA256}
    monkeypatch.setattr(paper, "TABLE_SHA256", digests)
    paper.fetch_tables(tmp_path, 0, tables_url=f"{server.url}/")
    assert files_in(tmp_path) == sorted(f"ophir2023/{name}" for name in digests)


def test_wrong_table_on_disk_is_refused(tmp_path):
    write_tables(tmp_path)
    path = tmp_path / paper.FOLDER / "mouse_ephys_data.csv"
    path.parent.mkdir()
    path.write_text("layer,file_name\n")
    with pytest.raises(ValueError, match=r"mouse_ephys_data\.csv.*wrong sha256.*lspin fetch"):
        load_cells("paper", data_dir=tmp_path)


# ---------------------------------------------------------------- the real tables


def test_real_cohorts(real_data):
    cells = {name: load_cells("allen", name, data_dir=real_data) for name in COHORTS}
    assert {name: len(c) for name, c in cells.items()} == {
        "positive": 1750,
        "paper": 1612,
        "all": 1855,
    }
    species = allen.read_cells(real_data)["species"]
    assert (len(species), (species == "mouse").sum()) == (2333, 1920)
    assert len(RELEASED_FEATURES) == cells["all"].X.shape[1] == 46
    everything = cells["all"]
    pd.testing.assert_frame_equal(
        everything.select(everything.metadata["reporter_status"] == "positive").X,
        cells["positive"].X,
    )


def test_real_paper_table(real_data):
    cells = load_cells("paper", data_dir=real_data)
    assert cells.X.shape == (1424, 41)
    assert cells.provenance["complete_rows"] == 1382
    assert cells.cohort == "paper"
    # Where both know a cell, the authors' label is the class of its Cre line.
    assert (cells.metadata["line_name"].map(CRE_LINE_CLASS) == cells.y).all()
    # 27 of their features are Allen's own.
    released = load_cells("allen", "all", data_dir=real_data)
    shared = [c for c in cells.X.columns if c in released.X.columns]
    both = cells.X.index.intersection(released.X.index)
    np.testing.assert_allclose(
        cells.X.loc[both, shared], released.X.loc[both, shared], rtol=1e-6, equal_nan=True
    )
    human = load_cells("paper", species="human", data_dir=real_data)
    assert human.counts().to_dict() == {"aspiny": 68, "spiny": 231}


def test_real_spikes(real_data):
    mouse = load_spikes("paper", data_dir=real_data)
    human = load_spikes("paper", "human", data_dir=real_data)
    assert (len(mouse), len(human)) == (1512, 299)
    assert mouse.sampling_rate_hz == 50_000
    assert np.array_equal(mouse.waveform_mv.columns, SPIKE_TIME_MS)
    # The peak is at time zero and as high as Allen's short-square peak of that cell.
    assert (mouse.waveform_mv.idxmax(axis=1) == 0).mean() > 0.99
    cells = load_cells("allen", "all", data_dir=real_data)
    assert (cells.y[mouse.y.index] == mouse.y).all()
    peak = cells.X.loc[mouse.y.index, "peak_v_short_square"]
    assert np.corrcoef(mouse.waveform_mv[0.0], peak)[0, 1] > 0.9
    # 88 spikes are of cells outside the authors' table, one more is missing there.
    assert mouse.features["width"].notna().sum() == 1423


def test_truncated_spikes_are_refused(real_data, tmp_path):
    (tmp_path / paper.FOLDER).mkdir()
    content = (real_data / paper.FOLDER / paper.SPIKES_FILE).read_bytes()
    path = tmp_path / paper.FOLDER / paper.SPIKES_FILE
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"spikes\.npz.*Run `lspin fetch`"):
        paper._read_spikes(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("vrest", "tau", 1), "two columns named 'tau'"),
        (lambda text: text.replace(",", ";"), "separated by semicolons or tabs"),
    ],
)
def test_a_csv_with_other_columns_than_it_seems_is_refused(tmp_path, change, message):
    path = write_tables(tmp_path) / allen.FOLDER / allen.FEATURES_FILE
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=message):
        allen.read_features(tmp_path)


# ---------------------------------------------------------------- by index, not by position


def test_a_mask_that_is_a_series_goes_by_its_index():
    cells = load_cells("twin")
    wanted = cells.X.index[cells.y == "Vip+"]
    for mask in (
        cells.y.sort_values() == "Vip+",
        (cells.y == "Vip+").astype("boolean").sample(frac=1, random_state=0),
        (cells.y == "Vip+").astype(object),
    ):
        assert cells.select(mask).X.index.equals(wanted)
    with pytest.raises(ValueError, match=r"The mask is about other cells: .* for example -?\d+"):
        cells.select((cells.y == "Vip+").rename(lambda cell: cell + 6))
    with pytest.raises(ValueError, match="The mask has missing values"):
        cells.select((cells.y == "Vip+").astype("boolean").mask(cells.y == "Sst+"))
    with pytest.raises(ValueError, match="The mask has 9 values for 1750 cells"):
        cells.select((cells.y == "Vip+").iloc[:9])


def test_values_are_aligned_or_refused():
    index = pd.Index([3, 7, 5])
    assert aligned([1, 2, 3], index, "y").tolist() == [1, 2, 3]
    assert aligned(pd.Series([1, 2, 3], [7, 5, 3]), index, "y").tolist() == [3, 1, 2]
    for wrong, message in (
        ([1, 2], "y has 2 values for 3 cells"),
        (pd.Series([1, 2], [3, 7]), "y has 2 values for 3 cells"),
        (pd.Series([1, 2, 3], [3, 3, 7]), "an index names a cell more than once"),
        ("abc", "one value per cell, got str"),
        ({3: 1, 7: 2, 5: 3}, "one value per cell, got dict"),
        (pd.DataFrame({"y": [1, 2, 3]}), "one value per cell, got DataFrame"),
    ):
        with pytest.raises(ValueError, match=message):
            aligned(wrong, index, "y")
    with pytest.raises(ValueError, match="y is about other cells"):
        aligned(pd.Series([1, 2, 3]), index, "y")


def test_a_donor_is_the_same_in_every_table_of_ones_own():
    X = pd.DataFrame({"tau": [1.0, 2.0]}, index=["a", "b"])
    one = own_cells(X, ["x", "y"], donors=["M1", "M2"]).donors
    other = own_cells(X, ["x", "y"], donors=["M3", "M1"]).donors
    assert one.iloc[0] == other.iloc[1] and not {*other} & {one.iloc[1]}
    alone = own_cells(X, ["x", "y"]).donors
    assert not {*alone} & {*own_cells(X.set_axis(["c", "d"]), ["x", "y"]).donors}


def test_a_table_of_ones_own_is_a_record_like_any_other():
    X = pd.DataFrame({"soma area": [90, 130, 80], "tau": [1.0, None, 3.0]}, index=["a", "b", "c"])
    y = pd.Series(["basket", "pyramidal", "basket"], ["c", "b", "a"])
    cells = own_cells(X, y, donors=["M2", "M1", "M2"])
    assert cells.X.index.tolist() == [1, 2, 3]
    first, second, third = cells.donors
    assert first == third != second
    assert cells.classes == ("basket", "pyramidal") and cells.counts().tolist() == [2, 1]
    assert cells.y.tolist() == ["basket", "pyramidal", "basket"]
    assert "a table of your own; 3 cells" in repr(cells) and not cells.is_synthetic
    assert own_cells(X, y).donors.is_unique
    assert own_cells(X, y, donors=[7, 5, 7]).donors.tolist() == [7, 5, 7]
    for ids in ([30, 10, 20], [30.0, 10.0, 20.0], ["30", "10", "20"]):
        assert own_cells(X.set_axis(ids), list(y)).X.index.tolist() == [30, 10, 20]
    days = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])
    for ids in ([30, 10, 10], [0.5, 1, 2], ["30", "30.0", "1"], [None, 1, 2], [1e300, 1, 2], days):
        assert own_cells(X.set_axis(ids), list(y)).X.index.tolist() == [1, 2, 3]
    for missing in (None, np.nan):
        with pytest.raises(ValueError, match="donors is missing for 1 of 3 cells"):
            own_cells(X, y, donors=["M1", missing, "M2"])
        with pytest.raises(ValueError, match="y is missing for 1 of 3 cells"):
            own_cells(X, ["a", missing, "b"])
    assert own_cells(X.set_axis([0, 1], axis=1), y).X.columns.tolist() == ["0", "1"]
    for wrong, message in (
        (X.to_numpy(), "must be a DataFrame"),
        (X.set_axis(["tau", "tau"], axis=1), "two columns named 'tau'"),
        (X.assign(note=["a", "b", "c"]), r"must hold numbers; these columns do not: \['note'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            own_cells(wrong, y)
    with pytest.raises(ValueError, match="A class cannot be called 'class'"):
        own_cells(X, ["class", "b", "b"])


@pytest.mark.parametrize("chosen", [5, slice(0, 3), "7", {1: True}])
def test_what_chooses_no_cells_is_refused(chosen):
    with pytest.raises(ValueError, match="chosen by a mask or a list of ids"):
        record().select(chosen)


def test_a_mask_may_be_a_list_of_objects():
    cells = record()
    assert len(cells.select(np.array([True, False], dtype=object))) == 1
    with pytest.raises(ValueError, match="The mask has missing values"):
        cells.select(pd.array([True, None], dtype="boolean"))
