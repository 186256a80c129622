# ruff: noqa: F401, F811 (fixtures are used by their names)
"""Training: it learns, repeats itself bit for bit, also across a break."""

import json

import numpy as np
import pytest
import torch
from conftest import classification
from tiny_runs import part_of, runs
from tiny_training import OFTEN, Halt, Halted, equal, lm_head, rows, sequence, text, train

from xfer_utils.formats import features
from xfer_utils.formats.features import Features
from xfer_utils.learning import encoders, guard, training
from xfer_utils.learning.task_model import TaskModel
from xfer_utils.scoring import evaluation
from xfer_utils.study.sections import Training


def test_a_separable_problem_is_learnt(train, new_model, tokenizer, sequence):
    held_out = features.of_examples("sequence", classification(200, seed=9), tokenizer, 32)
    model = new_model({"mnli": "sequence"}, {"mnli": 3})

    def right():
        found = evaluation.predict(model, "mnli", [held_out], tokenizer.pad_token_id)[0].argmax(1)
        return float((found == held_out.arrays["target"]).mean())

    assert right() < 0.6
    _, done = train({"mnli": sequence}, model=model, epochs=20)
    assert right() > 0.97
    assert done["losses"][-1][1] < 0.3 < done["losses"][0][1]
    assert (done["steps"], done["examples"]) == (120, 120 * 16) and done["resumed_from"] == ""
    assert not model.training, "left ready for evaluation"


def test_the_same_seed_gives_the_same_weights(train, sequence):
    one, again = (train({"mnli": sequence}, folder)[0] for folder in "ab")
    assert equal(one, again)
    assert not equal(one, train({"mnli": sequence}, "c", seed=1)[0])


def test_what_came_before_does_not_matter(train, sequence):
    """Another kernel has drawn other random numbers before it comes to train."""
    one = train({"mnli": sequence}, "a", epochs=1)[0]
    torch.rand(1000), np.random.rand(1000)
    assert equal(one, train({"mnli": sequence}, "b", epochs=1)[0])


@pytest.mark.parametrize("names", [("mnli",), ("text",), ("mnli", "text")])
def test_resuming_gives_the_weights_of_an_undisturbed_training(
    train, sequence, text, names, tmp_path
):
    tasks = {name: {"mnli": sequence, "text": text}[name] for name in names}
    whole, done = train(tasks, "whole")
    stop = done["steps"] // 2 + 1
    assert stop % (done["steps"] // 3), "in the middle of an epoch"
    with pytest.raises(Halted):
        train(tasks, "broken", [Halt(stop)], **OFTEN)
    kept = [path.name for path in (tmp_path / "broken" / "checkpoints").glob("*/checkpoint-*")]
    assert kept == [f"checkpoint-{stop - 1}"], "the latest checkpoint only"
    resumed, summary = train(tasks, "broken", **OFTEN)
    assert summary["resumed_from"] == f"checkpoint-{stop - 1}" and summary["steps"] == done["steps"]
    assert equal(whole, resumed)


def test_other_settings_or_data_resume_nothing(train, sequence, text):
    """A notebook that is run again by hand finds the checkpoints of its run before."""
    with pytest.raises(Halted):
        train({"mnli": sequence}, "broken", [Halt(6)], **OFTEN)
    for tasks, changed in (
        ({"mnli": sequence}, {"seed": 1}),
        ({"mnli": sequence}, {"epochs": 1}),
        ({"text": text}, {}),
    ):
        _, summary = train(tasks, "broken", **{**OFTEN, **changed})
        assert summary["resumed_from"] == ""


def test_tied_weights_stay_tied(train, new_model, text, tmp_path):
    with pytest.raises(Halted):
        train({"text": text}, callbacks=[Halt(5)], **OFTEN)
    model = new_model({"text": "mlm"})
    train({"text": text}, model=model)
    assert lm_head(model, "text").decoder.weight is model.encoder.get_input_embeddings().weight


def test_a_checkpoint_that_was_cut_off_is_passed_over(train, sequence, tmp_path):
    whole, _ = train({"mnli": sequence}, "whole")
    with pytest.raises(Halted):
        train({"mnli": sequence}, "broken", [Halt(8)], **OFTEN)
    (folder,) = (tmp_path / "broken" / "checkpoints").iterdir()
    torn = folder / "checkpoint-9"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    resumed, summary = train({"mnli": sequence}, "broken")
    assert summary["resumed_from"] == "checkpoint-7" and equal(whole, resumed)
    assert guard.last_checkpoint(tmp_path / "nowhere") is None


def test_a_mixture_shares_its_batches_by_size(train, sequence, text):
    half = Features("sequence", features_of(sequence, 32))
    _, done = train({"mnli": half, "text": text}, epochs=1)
    assert done["steps"] == 2 + 6
    _, capped = train({"mnli": half, "text": text}, "capped", epochs=1, cap=16)
    assert capped["steps"] == 2


def features_of(part, rows):
    """The arrays of the first rows."""
    end = part.arrays["starts"][rows]
    cut = {
        name: array[:rows] for name, array in part.arrays.items() if name in ("example", "target")
    }
    return {**cut, "ids": part.arrays["ids"][:end], "starts": part.arrays["starts"][: rows + 1]}


def test_max_steps_and_accumulation(train, sequence):
    assert train({"mnli": sequence}, "a", max_steps=4)[1]["steps"] == 4
    assert train({"mnli": sequence}, "b", epochs=1, accumulation=3)[1] | {"seconds": 0} == {
        **train({"mnli": sequence}, "c", epochs=1, accumulation=3)[1],
        "seconds": 0,
    }
    assert train({"mnli": sequence}, "d", epochs=1, accumulation=3)[1]["steps"] == 2


def test_the_summary_is_json(train, sequence):
    json.dumps(train({"mnli": sequence}, epochs=1)[1])


def test_several_gpus_do_not_share_a_batch(tmp_path, monkeypatch):
    """Places of tokens count through the whole batch, so the Trainer must not cut it up."""
    for name, value in (("is_available", True), ("device_count", 2), ("set_device", None)):
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    made = training.arguments(
        Training(learning_rate=1e-3, epochs=1, batch_size=4), tmp_path, seed=0, bf16=False
    )
    assert made.device.type == "cuda" and made.n_gpu == 1 and made.train_batch_size == 4


def test_a_long_pretraining_resumes(runs, tmp_path):
    """A checkpoint after every step, then a second training that finds the last whole one."""
    words = encoders.load_tokenizer(runs("xlm-roberta"))
    settings = Training(learning_rate=0.001, epochs=1, batch_size=2, max_steps=4, **OFTEN)

    def train(*callbacks):
        training.set_seed(0)
        model = TaskModel(encoders.load_encoder(runs("xlm-roberta")), {"t": "mlm"}, {})
        return training.train(
            model,
            {"t": part_of("mlm", words)},
            words,
            settings,
            tmp_path,
            seed=0,
            callbacks=list(callbacks),
        )

    with pytest.raises(Halted):
        train(Halt(3))
    summary = train()
    assert summary["resumed_from"] == "checkpoint-2" and summary["steps"] == 4
