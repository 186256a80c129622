"""A run is done when its record is there, whole and true of the files beside it; nothing else counts."""

import json
import os
import socket

import pytest

from xfer_utils.runs import records
from xfer_utils.study import kept, paths

SCORE = {
    "task": "xnli", "language": "en", "split": "validation", "metric": "accuracy", "value": 50.0, "n": 20,
    "main": True, "chance": 33.3,
}  # fmt: skip
ABOUT = {"labels": {"seed": 0}, "identity": {}, "parameters": {}, "parents": [], "code": {}}


@pytest.fixture
def run(tmp_path):
    """A run folder with predictions, an encoder, and a draft."""
    folder = tmp_path / "target-x-0123456789"
    for name in ("predictions/xnli.parquet", "encoder/deep/model.safetensors"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"0123456789")
    (folder / "notebook.ipynb").write_text("not part of the record")
    draft(folder)
    return folder


def draft(folder, **more):
    watch = records.Stopwatch()
    watch.lap("train")
    return records.write_draft(folder, watch=watch, **{"scores": [SCORE], **more})


def accept(folder, kind="target"):
    return records.accept(folder, id=folder.name, kind=kind, seconds=1.5, **ABOUT)


def test_a_good_draft_becomes_the_result(run):
    assert records.read(run) is None, "a draft alone does not count"
    result = accept(run)
    assert records.read(run) == result
    assert result.files == {"predictions/xnli.parquet": 10, "encoder/deep/model.safetensors": 10}
    assert result.timing["total"] == 1.5 and "train" in result.timing
    assert not (run / records.DRAFT).exists()
    assert {"torch", "transformers", "device", "threads", "python"} <= set(result.environment)


def refused(folder, kind="target"):
    with pytest.raises(records.BrokenResult) as caught:
        accept(folder, kind)
    assert records.read(folder) is None and not (folder / records.RESULT).exists()
    return str(caught.value)


def test_no_draft(run):
    (run / records.DRAFT).unlink()
    assert "without writing its result" in refused(run)


@pytest.mark.parametrize("length", [0, 1, 50, -2])
def test_a_torn_draft(run, length):
    text = (run / records.DRAFT).read_text()
    (run / records.DRAFT).write_text(text[:length])
    assert "not a valid record" in refused(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "50"])
def test_scores_must_be_numbers(run, value):
    draft(run, scores=[{**SCORE, "value": value}])
    if value == "50":
        assert accept(run).scores[0].value == 50.0
    else:
        assert "number" in refused(run)


def test_scores_must_be_there_where_a_run_makes_some(run):
    draft(run, scores=[])
    assert "no scores" in refused(run)
    accept(run, kind="encoder")


def test_scores_must_be_whole(run):
    draft(run, scores=[{key: value for key, value in SCORE.items() if key != "n"}])
    assert "n" in refused(run)


def test_files_that_went_missing_or_changed_size(run):
    path = run / "predictions" / "xnli.parquet"
    path.write_bytes(b"012")
    assert "xnli.parquet is missing or not as the run has left it" in refused(run)
    path.unlink()
    assert "missing" in refused(run)


@pytest.mark.parametrize("damage", ["unlink", "shorten", "longer", "folder", "garble"])
def test_a_damaged_run_is_no_longer_done(run, damage):
    accept(run)
    path = run / "encoder" / "deep" / "model.safetensors"
    if damage in ("unlink", "folder"):
        path.unlink()
    if damage == "folder":
        path.mkdir()
    if damage in ("shorten", "longer"):
        path.write_bytes(b"0" * (9 if damage == "shorten" else 11))
    if damage == "garble":
        path.write_bytes(b"0123456798")
    assert records.read(run) is None
    assert "model.safetensors is missing or not as the run has left it" in records.fault(run)


def test_large_files_are_compared_by_size_until_they_are_loaded(run, monkeypatch, capsys):
    monkeypatch.setattr(records, "LARGE", 9)
    result = accept(run)
    path = run / "encoder" / "deep" / "model.safetensors"
    path.write_bytes(b"0123456798")
    assert records.read(run) == result
    with pytest.raises(ValueError, match=r"model\.safetensors is not what its run has written"):
        kept.check_run(run)
    assert "set aside as broken-model.safetensors" in capsys.readouterr().err
    assert records.read(run) is None, "and the next launcher makes the run again"


def test_a_result_of_another_run_or_with_another_score_is_no_result(run):
    accept(run)
    path = run / records.RESULT
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "id": "target-y-0123456789", "seal": ""}))
    assert records.read(run) is None and "is that of another run" in records.fault(run)
    path.write_text(json.dumps({**content, "scores": [{**SCORE, "value": 51.0}]}))
    assert records.read(run) is None and "was changed after it was written" in records.fault(run)
    path.write_text(json.dumps({**content, "seal": "", "digests": {}}))
    assert records.read(run) and records.fault(run) == "", "records of earlier versions count"


def test_a_run_that_is_not_done_has_no_fault(run):
    assert records.fault(run) == ""
    (run / records.RESULT).write_text("{")
    assert records.fault(run) == "result.json is no whole record"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"id": "x"}'])
def test_a_torn_result_is_no_result(run, text):
    accept(run)
    (run / records.RESULT).write_text(text)
    assert records.read(run) is None


def test_every_cut_of_a_result_is_no_result(run):
    accept(run)
    text = (run / records.RESULT).read_text()
    for length in range(0, len(text), 97):
        (run / records.RESULT).write_text(text[:length])
        assert records.read(run) is None


def test_unknown_fields_are_no_result(run):
    accept(run)
    content = json.loads((run / records.RESULT).read_text())
    (run / records.RESULT).write_text(json.dumps({**content, "extra": 1}))
    assert records.read(run) is None


def test_writing_is_atomic(tmp_path, monkeypatch):
    """A write that dies half-way leaves what was there before."""
    path = records.write_json(tmp_path / "a.json", {"version": 1})

    def dies(content, out, **_):
        out.write('{"version": 2, "ro')
        raise OSError("disk full")

    monkeypatch.setattr(records.json, "dump", dies)
    with pytest.raises(OSError, match="disk full"):
        records.write_json(path, {"version": 2})
    assert json.loads(path.read_text()) == {"version": 1}


def test_accepting_dies_before_the_rename_and_nothing_counts(run, monkeypatch):
    monkeypatch.setattr(paths.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("gone")))
    with pytest.raises(OSError, match="gone"):
        accept(run)
    assert records.read(run) is None and (run / records.DRAFT).exists()
    monkeypatch.undo()
    assert accept(run) == records.read(run)


def test_a_stopwatch_books_each_part_once_and_adds_up():
    watch = records.Stopwatch()
    for part in ("data", "train", "data"):
        watch.lap(part)
    assert list(watch.parts) == ["data", "train"] and all(
        value >= 0 for value in watch.parts.values()
    )


def test_what_replaces_a_file_is_on_disk_and_nobody_elses(tmp_path, monkeypatch):
    """Two machines that share a disk may have processes of one number."""
    path, synced = tmp_path / "new" / "a.bin", []
    monkeypatch.setattr(paths.os, "fsync", synced.append)
    with paths.replacing(path) as temporary:
        assert socket.gethostname() in temporary.name and str(os.getpid()) in temporary.name
        temporary.write_bytes(b"1")
        assert not path.exists()
    assert path.read_bytes() == b"1" and len(synced) == 1
    with pytest.raises(OSError, match="full"), paths.replacing(path) as temporary:
        temporary.write_bytes(b"2")
        raise OSError("full")
    assert path.read_bytes() == b"1" and list(path.parent.iterdir()) == [path], "and no rest of it"
