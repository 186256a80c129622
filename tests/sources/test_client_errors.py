"""What the hub's clients raise, told apart however they wrap it, and said in one sentence."""

import errno
from pathlib import Path
from types import SimpleNamespace

import datasets
import httpx2
import pytest
from huggingface_hub.errors import RemoteEntryNotFoundError

from xfer_utils.sources import client_errors
from xfer_utils.sources import hub as hub_source
from xfer_utils.sources.raw import MissingData


@pytest.fixture
def fetched(tmp_path, monkeypatch) -> Path:
    """A downloaded table, which the real `load_dataset` has still to prepare."""
    folder = tmp_path / "snapshot"
    row = {"id": "1", "context": "It rained.", "question": "Why?", "label": 0} | {
        f"answer{n}": str(n) for n in range(4)
    }
    (folder / "default/train").mkdir(parents=True)
    datasets.Dataset.from_list([row] * 40).to_parquet(folder / "default/train/0000.parquet")
    monkeypatch.setattr(hub_source, "snapshot_download", lambda *_, **__: str(folder))
    listed = [SimpleNamespace(path="default/train/0000.parquet")]
    monkeypatch.setattr(hub_source, "get_cached_repo_tree", lambda *_, **__: listed)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "prepared")
    monkeypatch.setattr(client_errors, "HF_HOME", "/small/disk")
    return folder / "default/train/0000.parquet"


def _stop_writing(*_) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("where", "instead"),
    [
        ("datasets.arrow_writer.ArrowWriter.write_table", _stop_writing),
        ("datasets.builder.has_sufficient_disk_space", lambda *_, **__: False),
    ],
    ids=["found by writing", "foreseen"],
)
def test_a_full_disk_says_where_and_what_to_do(fetched, tmp_path, monkeypatch, where, instead):
    """The client wraps the error of a write, and foresees one without its number."""
    monkeypatch.setattr(where, instead)
    said = (
        r"the disk is full; free space there, or set HF_HOME \(now /small/disk\).*allenai/cosmos_qa"
    )
    with pytest.raises(OSError, match=said):
        hub_source.HubSource(local=tmp_path).read("cosmos_qa", "train")


@pytest.mark.parametrize("keep", [-20, 200], ids=["no end", "pages cut out"])
def test_a_broken_table_says_what_to_delete(fetched, tmp_path, keep):
    whole = fetched.read_bytes()
    fetched.write_bytes(whole[:keep] if keep < 0 else b"PAR1" + bytes(keep) + whole[keep + 4 :])
    said = (
        r"cosmos_qa \(default, train\) is broken or cut short \(.+\): "
        r"delete its folder in .* and run again"
    )
    with pytest.raises(MissingData, match=said):
        hub_source.HubSource(local=tmp_path).read("cosmos_qa", "train")


def test_data_sets_and_models_fail_in_the_same_words_with_their_own_advice():
    error = ConnectionError("offline")
    data, model = (
        client_errors.sentence("owner/name", error, advice)
        for advice in (client_errors.DATA, client_errors.MODEL)
    )
    assert data.replace("use `source: folder:PATH`", "name a local folder in `load:`") == model
    assert model.startswith("cannot reach the hub for owner/name (offline). Without a connection")
    for problem in client_errors.SENTENCES:
        assert problem in {kind for kind, _, _ in client_errors.TESTS}


def test_a_repository_without_a_file_is_no_network_failure():
    """The hub says by HTTP that it lacks a file; a word that only contains `gated` is no gate."""
    lacks = RemoteEntryNotFoundError(
        "404", response=httpx2.Response(404, request=httpx2.Request("GET", "http://hub"))
    )
    assert client_errors.kind(lacks) == "other"
    assert client_errors.kind(ValueError("no aggregated scores")) == "other"
