# ruff: noqa: F401, F811 (fixtures are used by their names)
"""What notebooks show of one example: right for every format, and without side effects."""

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_runs import encoder_and_words, part_of, runs

from xfer_utils.learning import showing
from xfer_utils.learning.task_model import TaskModel

KINDS = ["sequence", "token", "span", "choice", "pair", "mlm"]


@pytest.mark.parametrize("kind", KINDS)
def test_decisions_give_the_models_loss_and_change_nothing(kind, runs):
    encoder, words = encoder_and_words(runs("xlm-roberta"))
    part, model = part_of(kind, words), TaskModel(encoder, {"t": kind}, {"t": 3})
    model.train()
    before = torch.get_rng_state()
    batch = showing.example_batch("t", part, words)
    table, loss = showing.decisions(model, batch)
    assert -np.log(table["p(gold)"]).mean() == pytest.approx(loss, rel=1e-5)
    assert (table["p(prediction)"] >= table["p(gold)"]).all()
    assert torch.equal(before, torch.get_rng_state()) and model.training
    assert len(batch["input_ids"]) == len(part)


def test_decisions_are_named(runs):
    encoder, words = encoder_and_words(runs("bert"))
    model = TaskModel(encoder, {"t": "sequence"}, {"t": 3})
    batch = showing.example_batch("t", part_of("sequence", words), words)
    table, _ = showing.decisions(model, batch, ["yes", "maybe", "no"])
    assert table["gold"].tolist() == ["yes", "no"] and table["prediction"][0] in (
        "yes",
        "maybe",
        "no",
    )


def scores(**values):
    rows = [{"language": code, "value": v, "chance": 40.0} for code, v in values.items()]
    return pd.DataFrame(rows)


def test_the_sentence_says_how_much_crosses_over():
    sentence = showing.transfer_sentence(scores(en=80.0, de=70.0, sw=50.0), "XNLI")
    assert sentence == (
        "XNLI: English 80.0, mean of 2 other languages 60.0, chance 40.0: "
        "50% of what English gains over chance crosses over."
    )
    assert "English itself is not above chance" in showing.transfer_sentence(
        scores(en=40.0, de=41.0), "XNLI"
    )


def test_the_sentence_without_english_or_chance():
    sentence = showing.transfer_sentence(scores(de=70.0, sw=50.0), "Tatoeba")
    assert sentence == (
        "Tatoeba: mean of 2 languages 60.0, from 50.0 (sw) to 70.0 (de); chance 40.0."
    )
    unknown = scores(en=80.0, de=70.0).assign(chance=None)
    assert showing.transfer_sentence(unknown, "X") == (
        "X: English 80.0, mean of 1 other languages 70.0, chance unknown."
    )
