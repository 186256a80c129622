"""Files that are made once: whoever reads one knows that it is as it was made."""

import os

import pytest

from xfer_utils.study import kept


@pytest.fixture
def cached(tmp_path):
    """A cached file, what it was made of so far, and how it is asked for."""
    made = []

    def ask():
        path = kept.cached(tmp_path / "new" / "a.txt", lambda file: file.write_text("content"))
        made.append(path.stat().st_mtime_ns)
        return path.read_text()

    return tmp_path / "new" / "a.txt", made, ask


def test_a_file_is_made_once(cached):
    path, made, ask = cached
    assert [ask(), ask()] == ["content"] * 2 and len(set(made)) == 1
    assert {file.name for file in path.parent.iterdir()} == {"a.txt", "a.txt.sha256"}


@pytest.mark.parametrize("content", ["", "cont", "contant", "content and more"])
def test_one_that_has_changed_is_set_aside_and_made_again(cached, capsys, content):
    path, _, ask = cached
    ask()
    assert capsys.readouterr().err == ""
    path.write_text(content)
    assert ask() == "content"
    assert f"{path}: not as it was made; set aside as broken-a.txt." in capsys.readouterr().err
    assert (path.parent / "broken-a.txt").read_text() == content
    path.write_text("once more")
    assert ask() == "content" and (path.parent / "broken-a.txt").read_text() == "once more"


@pytest.mark.parametrize("lost", ["a.txt", "a.txt.sha256"])
def test_one_that_lost_its_digest_is_made_again(cached, capsys, lost):
    path, _, ask = cached
    ask()
    (path.parent / lost).unlink()
    path.write_text("garbled") if lost != "a.txt" else None
    assert ask() == "content" and capsys.readouterr().err == ""


def test_a_making_that_fails_leaves_nothing(tmp_path):
    def fail(file):
        file.write_text("half")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        kept.cached(tmp_path / "a.txt", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_read_once_for_each_of_its_states(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    first = kept.digest(path)
    monkeypatch.setattr(kept.hashlib, "file_digest", None)
    assert kept.digest(path) == first
    monkeypatch.undo()
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert kept.digest(path) != first


def test_folders_are_set_aside_whole_and_the_last_one_stays(tmp_path):
    for number in (1, 2):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "a").write_text(str(number))
        kept.set_aside(tmp_path / "run")
    assert (tmp_path / "broken-run" / "a").read_text() == "2" and not (tmp_path / "run").exists()
    kept.set_aside(tmp_path / "run")  # another process was faster
