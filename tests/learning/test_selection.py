# ruff: noqa: F401, F811 (fixtures are used by their names)
"""Choosing a checkpoint by English dev: the best look wins, also across a break."""

from functools import partial

import pytest
import torch
from conftest import FakeData, Table
from tiny_training import OFTEN, Halt, Halted, equal, rows, sequence, train
from transformers import TrainerCallback

from xfer_utils.learning import training
from xfer_utils.scoring import evaluation
from xfer_utils.study.jobs import IntermediateJob

LABELS = ["fine", "poor", "odd"]
JOB = {"run_dir": "outputs/r", "encoder_dir": "outputs/e", "source": "toy", "tasks": ["mnli"], "select": "english_dev",
       "max_length": 32, "doc_stride": 8}  # fmt: skip
LOOKS = {"select": "english_dev", "eval_steps": 4, "patience": 99}


class Script:
    """Stands in for the dev score: a made-up curve; keeps the weights of each look."""

    def __init__(self, model, *values):
        self.model, self.values, self.seen = model, values, []

    def __call__(self):
        weights = self.model.state_dict().items()
        self.seen.append({name: value.clone() for name, value in weights})
        return self.values[len(self.seen) - 1]


@pytest.fixture
def scripted(new_model):
    """A fresh model, and the script of its dev scores."""

    def make(*values):
        model = new_model({"mnli": "sequence"}, {"mnli": 3})
        return model, Script(model, *values)

    return make


def test_english_dev_restores_the_best(train, sequence, scripted):
    model, script = scripted(40.0, 70.0, 70.0, 60.0, 10.0)
    weights, summary = train({"mnli": sequence}, model=model, dev=script, **LOOKS)
    assert summary["steps"] == 18 and len(script.seen) == 5, "four looks and one at the end"
    assert equal(weights, script.seen[1]), "of equal looks the first"
    assert not equal(weights, script.seen[3])


def test_english_dev_stops_without_gain(train, sequence, scripted):
    model, script = scripted(40.0, 30.0, 30.0)
    looks = {**LOOKS, "patience": 2}
    weights, summary = train({"mnli": sequence}, model=model, dev=script, **looks)
    assert summary["steps"] == 12 and equal(weights, script.seen[0])


@pytest.mark.parametrize("stop", [7, 11, 15])
def test_english_dev_after_a_break_chooses_as_undisturbed(train, sequence, scripted, stop):
    values = (40.0, 70.0, 60.0, 10.0, 50.0)
    model, script = scripted(*values)
    whole, _ = train({"mnli": sequence}, "whole", (), model, dev=script, **LOOKS)
    assert equal(whole, script.seen[1])
    model, script = scripted(*values)
    with pytest.raises(Halted):
        train({"mnli": sequence}, "b", [Halt(stop)], model, dev=script, **LOOKS, **OFTEN)
    model, script = scripted(*values[(stop - 1) // 4 :])
    resumed, summary = train({"mnli": sequence}, "b", (), model, dev=script, **LOOKS, **OFTEN)
    assert summary["resumed_from"] == f"checkpoint-{stop - 1}" and equal(whole, resumed)


@pytest.fixture
def data(rows, tokenizer):
    return FakeData(Table({("mnli", "dev", "en"): rows}, {"mnli": LABELS}), tokenizer)


def test_looking_at_dev_leaves_the_training_as_it_was(train, new_model, data, sequence):
    """The weights of each step are those of a training without any look."""
    plain, _ = train({"mnli": sequence}, "plain")
    model = new_model({"mnli": "sequence"}, {"mnli": 3})
    last = {}

    class Keep(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            last.update({name: value.clone() for name, value in model.state_dict().items()})

    job = IntermediateJob(**JOB, eval_steps=2, patience=99, dev_examples=40)
    dev = partial(training.dev_mean, job, model, data, ["mnli"], evaluation.score)
    looks = {**LOOKS, "eval_steps": 2}
    train({"mnli": sequence}, "looked", [Keep()], model=model, dev=dev, **looks)
    assert equal(plain, last)


def test_the_dev_score_is_the_mean_of_main_scores_and_draws_no_numbers(new_model, data):
    model = new_model({"mnli": "sequence"}, {"mnli": 3})
    job, before = IntermediateJob(**JOB, dev_examples=50), torch.get_rng_state()
    mean = training.dev_mean(job, model, data, ["mnli"], evaluation.score)
    scores, _ = evaluation.score(
        model, "mnli", data, "mnli", "dev", ["en"], max_length=32, doc_stride=8, most=50
    )
    assert [row["value"] for row in scores if row["main"]] == [mean]
    assert torch.equal(before, torch.get_rng_state())
