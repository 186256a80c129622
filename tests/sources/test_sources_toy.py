"""The toy world as a source: written once, whole or not at all, and every task of it loads."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_sources_folder import ROW, lines, put

from xfer_utils.sources import catalogue
from xfer_utils.sources.catalogue import open_source
from xfer_utils.study.tasks import registry

TINY = {"family": "tiny", "sizes": "tiny"}


@pytest.fixture
def one_file(monkeypatch):
    """A toy world of one file, with the world's seed in it."""

    def write_world(world, folder):
        put(folder, "mnli/en.train.jsonl", lines(ROW | {"premise": str(world.seed)}))

    monkeypatch.setattr(catalogue.toy_files, "write_world", write_world)


def test_the_toy_world_is_written_once_and_its_settings_name_it(tmp_path, one_file):
    one, again, other = (
        open_source("toy", world={"seed": seed}, data_dir=tmp_path) for seed in (1, 1, 2)
    )
    assert one.path == again.path != other.path
    assert one.revision("mnli") == again.revision("mnli") != other.revision("mnli")
    assert one.spec == "toy" and one.path.name.startswith("toy-")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [one.path.name, other.path.name]
    )
    assert len(one.read("mnli", "train")) == 1
    assert one.report()[0]["expected"] is None, "a toy world is no sample of the official release"


def test_a_world_that_failed_half_way_is_not_there(tmp_path, monkeypatch):
    def fail(world, folder):
        put(folder, "half.jsonl", "")
        raise RuntimeError("stop")

    monkeypatch.setattr(catalogue.toy_files, "write_world", fail)
    with pytest.raises(RuntimeError, match="stop"):
        open_source("toy", world={}, data_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_several_openers_at_once_get_one_whole_world(tmp_path, monkeypatch, one_file):
    together, whole = threading.Barrier(4), catalogue.toy_files.write_world

    def write_together(world, folder):
        whole(world, folder)
        together.wait(timeout=10)  # all have written their own before the first is renamed

    monkeypatch.setattr(catalogue.toy_files, "write_world", write_together)
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: open_source("toy", world={"seed": 1}, data_dir=tmp_path), range(4))
        )
    assert {source.read("mnli", "train")["text_a"][0] for source in found} == {"1"}
    assert [path.name for path in tmp_path.iterdir()] == [found[0].path.name]


def test_a_toy_world_that_is_not_as_it_was_written_is_set_aside_and_made_again(tmp_path, capsys):
    """Without a language's file a study would go on, and without that language."""
    source = open_source("toy", world=TINY, data_dir=tmp_path)
    path, listing = source.path / "xnli/qaa.validation.parquet", source.path / catalogue.LISTING
    content = path.read_bytes()
    garbled = content[:99] + bytes(9) + content[108:]
    for damaged, damage in (
        (path, path.unlink),
        (path, lambda: path.write_bytes(content[:-1])),
        (path, lambda: path.write_bytes(garbled)),
        (listing, listing.unlink),
        (listing, lambda: listing.write_text("[")),
    ):
        damage()
        again = open_source("toy", world=TINY, data_dir=tmp_path)
        said = capsys.readouterr().err
        assert damaged.name in said and f"broken-{source.path.name}" in said
        assert path.read_bytes() == content and "qaa" in again.languages("xnli")
    open_source("toy", world=TINY, data_dir=tmp_path)
    assert capsys.readouterr().err == ""


def test_a_toy_world_of_an_earlier_version_lists_sizes(tmp_path, capsys):
    source = open_source("toy", world=TINY, data_dir=tmp_path)
    listing = source.path / catalogue.LISTING
    sizes = {name: (source.path / name).stat().st_size for name in json.loads(listing.read_text())}
    listing.write_text(json.dumps(sizes))
    open_source("toy", world=TINY, data_dir=tmp_path)
    assert capsys.readouterr().err == ""
    (source.path / "xnli/qaa.validation.parquet").unlink()
    open_source("toy", world=TINY, data_dir=tmp_path)
    assert "xnli/qaa.validation.parquet" in capsys.readouterr().err


def test_every_task_of_the_toy_world_loads(tmp_path):
    source = open_source("toy", world=TINY, data_dir=tmp_path)
    read = {
        name
        for name, row in registry().items()
        for role in ("train", "dev", "test")
        for code in source.languages(name, role)
        if (row.splits or row.parts) and len(source.read(name, role, code))
    }
    assert {
        name for name, row in registry().items() if row.role in ("intermediate", "target")
    } <= read
    assert source.text_languages()
    assert not [report for report in source.report() if report["dropped"] or report["odd"]]
