"""A tiny training problem, and a break in the middle of its training."""

import pytest
import torch
from conftest import classification
from transformers import TrainerCallback

from xfer_utils.formats import features
from xfer_utils.formats.features import Features
from xfer_utils.learning import training
from xfer_utils.study.sections import Training

SETTINGS = {"learning_rate": 3e-3, "epochs": 3, "batch_size": 16}
OFTEN = {"checkpoint_minutes": 1e-9}


class Halted(Exception):
    """The break in the middle."""


class Halt(TrainerCallback):
    """Breaks a training off at a step, before that step's checkpoint."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise Halted


@pytest.fixture(scope="session")
def rows():
    return classification(96)


@pytest.fixture(scope="session")
def sequence(rows, tokenizer):
    return features.of_examples("sequence", rows, tokenizer, 32)


@pytest.fixture(scope="session")
def text(sequence):
    """The same sentences as plain text."""
    return Features("mlm", {name: sequence.arrays[name] for name in ("ids", "starts", "example")})


@pytest.fixture
def train(new_model, tokenizer, tmp_path):
    """Trains a fresh tiny model on some tasks; its weights and the training's summary."""

    def run(tasks, folder="run", callbacks=(), model=None, seed=0, cap=0, dev=None, **more):
        formats = {name: part.format for name, part in tasks.items()}
        model = model or new_model(formats, dict.fromkeys(tasks, 3), seed)
        how = {"seed": seed, "cap": cap, "dev_score": dev, "callbacks": list(callbacks)}
        settings = Training(**{**SETTINGS, **more})
        summary = training.train(model, tasks, tokenizer, settings, tmp_path / folder, **how)
        return {name: value.clone() for name, value in model.state_dict().items()}, summary

    return run


def equal(weights, others):
    assert weights.keys() == others.keys()
    return all(torch.equal(weights[name], others[name]) for name in weights)


def lm_head(model, task):
    """The architecture's own masked-LM head, wherever in the task's head it stands."""
    return next(part for part in model.heads[task].modules() if hasattr(part, "decoder"))
