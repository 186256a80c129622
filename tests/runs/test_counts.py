"""Rows counted and tokens estimated, against figures worked out by hand and against the real tokenizer."""

import json
import re

import pytest

from xfer_utils.runs import counts
from xfer_utils.runs import plan as study
from xfer_utils.runs.counts import Counts
from xfer_utils.sources.folder import FolderSource
from xfer_utils.study import paths
from xfer_utils.study.tasks import task

MNLI = {
    "tasks": ["mnli"],
    "epochs": 2,
    "max_examples": 0,
    "max_steps": 0,
    "batch_size": 32,
    "max_length": 256,
}


# ----- the official release -----
def test_tokens_of_a_training():
    official = Counts()
    assert counts.training_tokens("intermediate", MNLI, official) == 2 * 392702 * 40
    assert (
        counts.training_tokens("intermediate", {**MNLI, "max_examples": 1000}, official)
        == 2 * 1000 * 40
    )
    steps = {**MNLI, "max_steps": 10, "accumulation": 3}
    assert counts.training_tokens("intermediate", steps, official) == pytest.approx(
        10 * 32 * 3 * 40
    )
    beyond = {**MNLI, "max_examples": 100, "max_steps": 10}
    assert counts.training_tokens("intermediate", beyond, official) == pytest.approx(
        10 * 32 * 40
    ), "3.2 epochs, not 2"
    both = {**MNLI, "tasks": ["mnli", "commonsense_qa"], "cap": 10000}
    assert counts.training_tokens("intermediate", both, official) == 2 * (10000 * 40 + 9741 * 110)
    alone = {**MNLI, "cap": 10000}
    assert counts.training_tokens("intermediate", alone, official) == 2 * 392702 * 40, (
        "the cap is for mixtures"
    )
    assert counts.training_tokens("retrieval", {}, official) == 0
    encoder = {"load": "", "steps": 10, "batch_size": 4, "max_length": 50}
    assert counts.training_tokens("encoder", encoder, official) == 10 * 4 * 25


def test_tokens_of_an_evaluation():
    given = {"targets": ["xnli"], "evaluate": {"xnli": ["test"]}, "max_length": 128}
    assert counts.evaluation_tokens("target", given, Counts()) == 15 * 5010 * 45
    assert (
        counts.evaluation_tokens("target", {**given, "max_eval_items": 10}, Counts())
        == 15 * 10 * 45
    )
    assert (
        counts.evaluation_tokens("target", {**given, "max_length": 20}, Counts()) == 15 * 5010 * 20
    )


def test_rows_of_the_official_release_are_those_of_every_language_that_is_there():
    """A run evaluates all languages of its tasks, those that XTREME-R adds among them."""
    dev, test = (counts.official_rows(task("udpos"), role) for role in ("dev", "test"))
    assert [dev[code] for code in ("th", "lt", "wo")] == [0, 0, 0]
    assert (test["th"], test["lt"], dev["de"]) == (1000, counts.UNKNOWN_ITEMS, counts.UNKNOWN_ITEMS)
    assert counts.official_rows(task("tatoeba"), "dev")["az"] == 2 * 1000


# ----- a local source -----
@pytest.fixture
def smoke(tmp_path, monkeypatch):
    """The smoke study's toy world."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    return study.source_of(study.make_plan(paths.PARAMS / "smoke.yaml").study)


def test_rows_of_a_local_source_are_counted(smoke):
    assert (
        Counts(smoke).train("mnli") == len(smoke.read("mnli", "train")) != counts.train_rows("mnli")
    )
    assert set(Counts(smoke).evaluated("xnli", "dev")) == set(smoke.languages("xnli", "dev"))


def test_lengths_are_those_of_the_text(tmp_path):
    """Premise and hypothesis of 47 bytes each, that is 10 tokens each, and three special ones."""
    row = {"premise": "x" * 47, "hypothesis": "y" * 47, "label": 0}
    (tmp_path / "mnli").mkdir()
    (tmp_path / "mnli" / "en.train.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for _ in range(4))
    )
    source = FolderSource(tmp_path)
    assert Counts(source).row_tokens("mnli", "train", {"max_length": 256}) == pytest.approx(23)
    assert Counts(source).row_tokens("mnli", "train", {"max_length": 16}) == 16
    assert (
        Counts(source).row_tokens("squad", "train", {"max_length": 512, "doc_stride": 128}) == 190
    ), "not there"


def test_windows_read_the_question_and_their_overlap_again():
    """A question of 20 tokens leaves 80 of 100 for the context, and each further window brings 50 new ones."""
    assert counts._in_windows(20, 80, 100, 30) == 100
    assert counts._in_windows(20, 81, 100, 30) == 81 + 2 * 20 + 30
    assert counts._in_windows(20, 130, 100, 30) == 130 + 2 * 20 + 30 == 2 * 100
    assert counts._in_windows(20, 131, 100, 30) == 131 + 3 * 20 + 2 * 30


def test_estimated_lengths_are_near_the_real_ones(smoke):
    """Within a quarter of what an independent count says: one token per word or mark, and the special ones."""
    for name, extra in (("mnli", 3), ("squad", 3), ("udpos", 2)):
        rows = smoke.read(name, "train")
        texts = [
            " ".join(v if isinstance(v, list) else [v])
            for r in rows
            for k, v in r.items()
            if k in (*counts.TEXT, "context")
        ]
        words = sum(len(re.findall(r"\w+|[^\w\s]", text)) for text in texts) / len(rows) + extra
        assert Counts(smoke).row_tokens(name, "train", {"max_length": 256}) == pytest.approx(
            words, rel=0.25
        )
