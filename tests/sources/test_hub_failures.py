"""What goes wrong with the hub: half a cache, no network, gates, broken downloads."""

import shutil
from pathlib import Path

import hub_fixtures
import pytest
from mini_hub import MiniHub
from test_sources_hub import drive


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return hub_fixtures.build(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def sharded(root, tmp_path) -> Path:
    """A hub with one data set on its converted branch: the development split is in two files."""
    name = f"datasets/allenai/cosmos_qa/{hub_fixtures.CONVERT}"
    shutil.copytree(root / name, tmp_path / "hub" / name)
    folder = tmp_path / "hub" / name / "default"
    shutil.copy(folder / "train/0000.parquet", folder / "validation/0001.parquet")
    return tmp_path / "hub"


@pytest.mark.parametrize(
    "lost",
    ["snapshots/*/default/validation/0001.parquet", "trees/*"],
)
def test_half_a_cache_is_not_taken_for_a_split(sharded, tmp_path, lost):
    """Some files of a cache may be deleted: what is left must not pass for the whole."""
    key, wanted, home = "cosmos_qa/dev/en", [("cosmos_qa", "dev", "en")], tmp_path / "home"
    with MiniHub(sharded) as hub:
        assert len(drive(hub, home, wanted)["rows"][key]) == 8
        assert len(drive(hub, home, wanted, HF_HUB_OFFLINE="1")["rows"][key]) == 8
        (path,) = (home / "hub/datasets--allenai--cosmos_qa").glob(lost)
        path.unlink()
        problem = drive(hub, home, wanted, HF_HUB_OFFLINE="1")["problems"][key]
        assert problem.startswith(
            "HubUnreachable: the cache of allenai/cosmos_qa (default, validation) is not whole"
        )
        assert "is not whole: connect once" in problem and "\n" not in problem
        assert len(drive(hub, home, wanted)["rows"][key]) == 8, "connecting once mends it"


def test_the_beginning_of_a_split_is_noted_and_never_added_to_the_whole(sharded, tmp_path):
    """A large split is stored as `partial-NAME`: all that there is, or a remainder beside it."""
    folder = sharded / f"datasets/allenai/cosmos_qa/{hub_fixtures.CONVERT}/default"
    shutil.copytree(folder / "validation", folder / "partial-validation")
    (folder / "train").rename(folder / "partial-train")
    with MiniHub(sharded) as hub:
        found = drive(
            hub, tmp_path / "home", [("cosmos_qa", role, "en") for role in ("train", "dev")]
        )
    assert {key: len(rows) for key, rows in found["rows"].items()} == {
        "cosmos_qa/train/en": 4,
        "cosmos_qa/dev/en": 8,
    }
    notes = {row["role"]: row["notes"] for row in found["report"]}
    assert "default/partial-train/*.parquet" in notes["train"] and "partial" not in notes["dev"]


def test_without_hub_and_cache_one_sentence_says_what_to_do(root, tmp_path):
    with MiniHub(root) as hub:
        found = drive(
            hub, tmp_path, [("mnli", "train", "en"), ("text", "", "sw")], HF_HUB_OFFLINE="1"
        )
    for text in found["problems"].values():
        assert text.startswith("HubUnreachable: cannot reach the hub for ")
        assert "source: folder:PATH" in text and "HF_HOME" in text and "\n" not in text
    assert len(found["problems"]) == 2


def test_gated_and_vanished_repositories(root, tmp_path):
    """Both ways of fetching: configurations of a data set, and files of its converted branch."""
    gated = {"anli/dev/en": "facebook/anli", "cosmos_qa/dev/en": "allenai/cosmos_qa"}
    vanished = {"snli/dev/en": "stanfordnlp/snli", "social_i_qa/dev/en": "allenai/social_i_qa"}
    hidden = tmp_path / "hub"
    shutil.copytree(root, hidden, ignore=shutil.ignore_patterns("snli", "social_i_qa"))
    with MiniHub(hidden, gated=tuple(gated.values())) as hub:
        problems = drive(hub, tmp_path, [tuple(key.split("/")) for key in (*gated, *vanished)])[
            "problems"
        ]
    for key, name in gated.items():
        assert problems[key].startswith(f"MissingData: {name}") and "is gated" in problems[key]
        assert "hf auth login" in problems[key]
    for key, name in vanished.items():
        assert (
            problems[key].startswith(f"MissingData: {name}")
            and "is not on the hub" in problems[key]
        )


@pytest.mark.slow
def test_a_download_that_breaks_off_is_not_trusted_later(root, tmp_path):
    wanted = [("squad", "dev", "en"), ("cosmos_qa", "dev", "en")]
    keys = ["squad/dev/en", "cosmos_qa/dev/en"]
    with MiniHub(root, broken=("plain_text/validation", "default/validation")) as hub:
        assert list(drive(hub, tmp_path, wanted)["problems"]) == keys
        assert list(drive(hub, tmp_path, wanted, HF_HUB_OFFLINE="1")["problems"]) == keys
    with MiniHub(root) as hub:
        found = drive(hub, tmp_path, wanted)
    assert [len(found["rows"][key]) for key in keys] == [4, 4]
