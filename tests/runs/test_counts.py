"""Rows counted and tokens estimated, against figures worked out by hand."""

import json
import re

import pytest

from xfer_utils.formats import base
from xfer_utils.runs import counts
from xfer_utils.runs import plan as study
from xfer_utils.runs.counts import Counts
from xfer_utils.sources.folder import FolderSource
from xfer_utils.study import paths
from xfer_utils.study.jobs import EncoderJob, IntermediateJob
from xfer_utils.study.tasks import task

PLACE = {"run_dir": "", "source": "hub"}
MNLI = IntermediateJob(**PLACE, encoder_dir="", tasks=["mnli"]).model_dump()
ENCODER = EncoderJob(**PLACE, steps=10, batch_size=4, max_length=50).model_dump()


# ----- the official release -----
def test_tokens_of_a_training():
    official = Counts()
    assert counts.training_tokens(MNLI, official) == 2 * 392702 * 40
    assert counts.training_tokens({**MNLI, "max_examples": 1000}, official) == 2 * 1000 * 40
    steps = {**MNLI, "max_steps": 10, "accumulation": 3}
    assert counts.training_tokens(steps, official) == pytest.approx(10 * 32 * 3 * 40)
    beyond = {**MNLI, "max_examples": 100, "max_steps": 10}
    assert counts.training_tokens(beyond, official) == pytest.approx(10 * 32 * 40), (
        "3.2 epochs, not 2"
    )
    both = {**MNLI, "tasks": ["mnli", "commonsense_qa"], "cap": 10000}
    assert counts.training_tokens(both, official) == 2 * (10000 * 40 + 9741 * 110)
    alone = {**MNLI, "cap": 10000}
    assert counts.training_tokens(alone, official) == 2 * 392702 * 40, "the cap is for mixtures"
    assert counts.training_tokens({"targets": ["tatoeba"]}, official) == 0
    assert counts.training_tokens(ENCODER, official) == 10 * 4 * 25
    assert counts.training_tokens({**ENCODER, "load": "a/model"}, official) == 0


def test_tokens_of_an_evaluation():
    given = {"targets": ["xnli"], "evaluate": {"xnli": ["test"]}, "max_length": 128}
    assert counts.evaluation_tokens(given, Counts()) == 15 * 5010 * 45
    assert counts.evaluation_tokens({**given, "max_eval_items": 10}, Counts()) == 15 * 10 * 45
    assert counts.evaluation_tokens({**given, "max_length": 20}, Counts()) == 15 * 5010 * 20


def test_rows_of_the_official_release_are_those_of_every_language_that_is_there():
    """A run evaluates all languages of its tasks, those that XTREME-R adds among them."""
    dev, test = (Counts().evaluated("udpos", role) for role in ("dev", "test"))
    assert [dev[code] for code in ("th", "lt", "wo")] == [0, 0, 0]
    assert (test["th"], test["lt"], dev["de"]) == (1000, counts.UNKNOWN_ITEMS, counts.UNKNOWN_ITEMS)
    assert Counts().evaluated("tatoeba", "dev")["az"] == 2 * 1000


# ----- a local source -----
@pytest.fixture
def smoke(tmp_path, monkeypatch):
    """The smoke study's toy world."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    return study.source_of(study.make_plan(paths.PARAMS / "smoke.yaml").study)


def test_rows_of_a_local_source_are_counted(smoke):
    assert Counts(smoke).train("mnli") == len(smoke.read("mnli", "train")) != Counts().train("mnli")
    assert set(Counts(smoke).evaluated("xnli", "dev")) == set(smoke.languages("xnli", "dev"))


def test_both_pools_of_a_mining_task_are_counted(tmp_path):
    (tmp_path / "bucc2018").mkdir()
    for side, rows in (("zh", 3), ("en", 5), ("gold", 2)):
        file = tmp_path / "bucc2018" / f"zh-en.{side}.validation.jsonl"
        file.write_text("".join(f'{{"id": "{n}", "sentence": "x"}}\n' for n in range(rows)))
    assert Counts(FolderSource(tmp_path)).evaluated("bucc2018", "dev") == {"zh": 8}


def test_lengths_are_those_of_the_text(tmp_path):
    """Premise and hypothesis of 47 bytes each, that is 10 tokens each, and three special ones."""
    row = {"premise": "x" * 47, "hypothesis": "y" * 47, "label": 0}
    (tmp_path / "mnli").mkdir()
    (tmp_path / "mnli" / "en.train.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for _ in range(4))
    )
    source = FolderSource(tmp_path)
    assert Counts(source).example_tokens("mnli", "train", 256) == pytest.approx(23)
    assert Counts(source).example_tokens("mnli", "train", 16) == 16
    assert Counts(source).example_tokens("squad", "train", 512) == 190, "not there"


def test_estimated_lengths_are_near_the_real_ones(smoke):
    """Within a quarter of another count: one token per word or mark, and the special ones."""
    for name, extra in (("mnli", 3), ("squad", 3), ("udpos", 2)):
        rows = smoke.read(name, "train")
        form = base.of(task(name).format)
        spaced = [row | {"tokens": [f"{word} " for word in row.get("tokens", ())]} for row in rows]
        texts = [" ".join(form.texts(row)) for row in spaced]
        words = sum(len(re.findall(r"\w+|[^\w\s]", text)) for text in texts) / len(rows) + extra
        assert Counts(smoke).example_tokens(name, "train", 256) == pytest.approx(words, rel=0.25)
