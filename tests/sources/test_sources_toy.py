"""The toy world as a source: written once, whole or not at all, and every task of it loads."""

import importlib.util
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from test_sources_folder import ROW, lines, put

from xfer_utils.sources.catalogue import open_source
from xfer_utils.study.tasks import registry


class FakeWorld:
    def __init__(self, **settings):
        self.settings = settings

    def model_dump(self, mode):
        return self.settings


@pytest.fixture
def fake_toy(monkeypatch):
    """Stands in for the toy world's module: its folder is one file."""

    def write_world(world, folder):
        put(folder, "mnli/en.train.jsonl", lines(ROW | {"premise": str(world.settings)}))

    module = SimpleNamespace(World=FakeWorld, write_world=write_world, VERSION="1")
    monkeypatch.setitem(sys.modules, "xfer_utils.sources.toy.write", module)
    return module


def test_the_toy_world_is_written_once_and_its_settings_name_it(tmp_path, fake_toy):
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


def test_a_world_that_failed_half_way_is_not_there(tmp_path, fake_toy):
    def fail(world, folder):
        put(folder, "half.jsonl", "")
        raise RuntimeError("stop")

    fake_toy.write_world = fail
    with pytest.raises(RuntimeError, match="stop"):
        open_source("toy", world={}, data_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_several_openers_at_once_get_one_whole_world(tmp_path, fake_toy):
    together, whole = threading.Barrier(4), fake_toy.write_world

    def write_together(world, folder):
        whole(world, folder)
        together.wait(timeout=10)  # all have written their own before the first is renamed

    fake_toy.write_world = write_together
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: open_source("toy", world={"seed": 1}, data_dir=tmp_path), range(4))
        )
    assert {source.read("mnli", "train")["text_a"][0] for source in found} == {"{'seed': 1}"}
    assert [path.name for path in tmp_path.iterdir()] == [found[0].path.name]


@pytest.mark.skipif(
    not importlib.util.find_spec("xfer_utils.sources.toy.write"),
    reason="the toy world is not there",
)
def test_every_task_of_the_toy_world_loads(tmp_path):
    source = open_source("toy", world={"family": "tiny", "sizes": "tiny"}, data_dir=tmp_path)
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
