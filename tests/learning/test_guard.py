# ruff: noqa: F401, F811 (fixtures are used by their names)
"""A training is not lost, and nonsense does not pass for a result."""

import os
import signal

import pytest
import torch
from conftest import dataset
from tiny_training import OFTEN, Halt, Halted, equal, rows, sequence, text, train
from transformers import TrainerCallback

from xfer_utils.formats import features
from xfer_utils.learning import encoders, guard, pretraining
from xfer_utils.learning.guard import Degenerate
from xfer_utils.sources.raw import MissingData


class At(TrainerCallback):
    """Does something at the end of a step."""

    def __init__(self, step, do):
        self.step, self.do = step, do

    def on_step_end(self, args, state, control, model=None, **_):
        if state.global_step == self.step:
            self.do(model)


# ----- checkpoints -----


@pytest.fixture
def broken(train, sequence, tmp_path):
    """A training that broke off at step 9, with two checkpoints."""
    with pytest.raises(Halted):
        train({"mnli": sequence}, "broken", [Halt(9)], **OFTEN)
    (folder,) = (tmp_path / "broken" / "checkpoints").iterdir()
    (last,) = folder.iterdir()
    before = folder / "checkpoint-5"
    with pytest.raises(Halted):
        train({"mnli": sequence}, "other", [Halt(6)], **OFTEN)
    (tmp_path / "other" / "checkpoints").glob("*/checkpoint-5").__next__().rename(before)
    return folder, last, before


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
@pytest.mark.parametrize("damage", [flip, cut, os.unlink])
def test_of_damaged_checkpoints_the_one_before_is_taken(broken, capsys, damage, file):
    folder, last, before = broken
    assert guard.last_checkpoint(folder) == last
    damage(last / file)
    assert guard.last_checkpoint(folder) == before
    said = capsys.readouterr().err
    assert file in said and "set aside as broken-checkpoint-8" in said
    assert (folder / "broken-checkpoint-8").is_dir() and not last.exists()


def test_with_no_whole_checkpoint_it_begins_anew_and_ends_the_same(broken, train, sequence):
    _, last, before = broken
    flip(last / "model.safetensors"), cut(before / "optimizer.pt")
    resumed, summary = train({"mnli": sequence}, "broken")
    whole, _ = train({"mnli": sequence}, "whole")
    assert summary["resumed_from"] == "" and equal(whole, resumed)


# ----- told to stop -----


def test_told_to_stop_it_is_saved_and_goes_on_from_there(train, sequence):
    whole, _ = train({"mnli": sequence}, "whole")
    tell = At(7, lambda _: os.kill(os.getpid(), signal.SIGUSR1))
    with pytest.raises(guard.Told, match=r"step [78] of 18 is saved"):
        train({"mnli": sequence}, "told", [tell])
    resumed, summary = train({"mnli": sequence}, "told")
    assert summary["resumed_from"] in ("checkpoint-7", "checkpoint-8") and equal(whole, resumed)


# ----- numbers that are none -----


def spoil(model, value=float("nan")):
    with torch.no_grad():
        next(model.parameters()).fill_(value)


def test_a_loss_that_is_no_number_stops_the_training(train, sequence):
    with pytest.raises(Degenerate, match=r"the loss is nan, no number, by step \d+ of 18: lower"):
        train({"mnli": sequence}, callbacks=[At(3, spoil)])


def test_weights_that_end_as_no_numbers_are_no_result(train, sequence):
    with pytest.raises(Degenerate, match="the trained model has weights that are no numbers"):
        train({"mnli": sequence}, callbacks=[At(18, spoil)])


def test_an_encoder_of_no_numbers_is_refused(new_model, tokenizer, tmp_path):
    model = new_model({"mnli": "sequence"}, {"mnli": 3})
    encoders.save_encoder(tmp_path / "encoder", model.encoder, tokenizer)
    encoders.load_encoder(tmp_path)
    spoil(model.encoder, float("inf"))
    encoders.save_encoder(tmp_path / "encoder", model.encoder, tokenizer)
    with pytest.raises(Degenerate, match="encoder has weights that are no numbers"):
        encoders.load_encoder(tmp_path)


# ----- what ran through and is worth nothing -----


def trained_on(train, tokenizer, rows, **settings):
    part = features.of_examples("sequence", dataset(rows), tokenizer, 32)
    return train({"mnli": part}, epochs=1, **settings)[1]["degenerate"]


def row(text="the day", label=0):
    return {"text_a": text, "text_b": "", "label": label}


def test_sets_of_one_class_and_of_empty_strings_are_told(train, tokenizer, capsys):
    one_class = [row(f"the day {'so ' * (n % 5)}") for n in range(20)]
    (said,) = trained_on(train, tokenizer, one_class)
    assert said == "all training examples of mnli have the same label"
    assert f"Degenerate: {said}." in capsys.readouterr().out
    (said,) = trained_on(train, tokenizer, [row("", n % 3) for n in range(20)])
    assert said == "all training examples of mnli read the same"


def test_a_sound_training_has_nothing_to_tell(train, sequence, text):
    assert train({"mnli": sequence, "text": text}, epochs=1)[1]["degenerate"] == []


def test_a_loss_that_explodes_is_told(train, sequence):
    summary = train({"mnli": sequence}, learning_rate=0.99, max_grad_norm=0.0, epochs=6)[1]
    assert any("the loss rose from" in said for said in summary["degenerate"])


# ----- out of memory -----


class Small:
    """A forward pass for whose batches there is no room beyond some rows, as on a full GPU."""

    def __init__(self, model, most, late=False):
        self.model, self.most, self.late, self.forward = model, most, late, model.forward

    def __call__(self, **inputs):
        if len(inputs["input_ids"]) > self.most:
            if self.late:  # some gradients are there already when memory runs out
                self.forward(**inputs)["loss"].backward()
            raise torch.OutOfMemoryError("no room")
        return self.forward(**inputs)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("name", ["mnli", "text"])
def test_out_of_memory_batches_are_cut_in_parts_that_add_up(
    train, new_model, sequence, text, capsys, monkeypatch, late, accumulation, name
):
    part = {"mnli": sequence, "text": text}[name]
    settings = {"accumulation": accumulation, "epochs": 1}
    models = [new_model({name: part.format}, {name: 3}, dropout=0.0) for _ in range(2)]
    whole, summary = train({name: part}, "whole", model=models[0], **settings)
    assert summary["parts"] == 1
    monkeypatch.setattr(models[1], "forward", Small(models[1], 5, late))
    cut, summary = train({name: part}, "cut", model=models[1], **settings)
    assert summary["parts"] == 4, "of 16 rows, four are few enough"
    said = capsys.readouterr().out
    assert "from step 0 on in 2 parts a batch" in said and "in 4 parts a batch" in said
    if name == "mnli":  # of masked text, other tokens are hidden
        assert all(torch.allclose(whole[key], cut[key], atol=2e-4) for key in whole)


def test_out_of_memory_with_one_example_a_part_is_the_end(train, new_model, sequence, monkeypatch):
    model = new_model({"mnli": "sequence"}, {"mnli": 3})
    monkeypatch.setattr(model, "forward", Small(model, 0))
    with pytest.raises(torch.OutOfMemoryError):
        train({"mnli": sequence}, model=model)


@pytest.mark.parametrize("lines", [[], ["", " \t"]])
def test_no_text_to_pre_train_on_is_said(lines):
    with pytest.raises(MissingData, match="no text to pre-train on is left"):
        pretraining.train_tokenizer(lines, 100, 64)
