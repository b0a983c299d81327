"""Public recordings come by checksum."""

import pytest

from lspin.data import RECORDINGS, fetch_recording, recordings
from lspin.data.tables import sha256


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'cell.abf' is none of the public recordings"):
        fetch_recording("cell.abf", data_dir=tmp_path)


def test_what_is_there_is_not_fetched(real_data):
    if not (real_data / recordings.FOLDER).is_dir():
        pytest.skip("needs the public recordings")
    for name, file in RECORDINGS.items():
        path = fetch_recording(name, data_dir=real_data, verbose=0)
        assert sha256(path) == file.sha256


def test_what_is_missing_is_asked_for_at_its_commit(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(recordings, "fetch_known", lambda *args: asked.append(args))
    path = fetch_recording("18711001.abf", data_dir=tmp_path, verbose=0)
    url, to, digest, _, _ = asked[0]
    assert to == path == tmp_path / "recordings" / "18711001.abf"
    assert "/3ad9cd6f2cdfe79bc1978736ab46314866ca1c4c/" in url and url.endswith(path.name)
    assert digest == RECORDINGS[path.name].sha256
