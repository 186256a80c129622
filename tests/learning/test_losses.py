# ruff: noqa: F401, F811 (fixtures are used by their names)
"""Losses, counted one row at a time and without padding."""

import math

import numpy as np
import pytest
import torch
from conftest import dataset
from tiny_training import lm_head, rows, sequence, text

from xfer_utils.formats import features, heads
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import batches


def cross_entropy(scores, label):
    scores = [float(score) for score in scores]
    top = max(scores)
    return math.log(sum(math.exp(score - top) for score in scores)) + top - scores[label]


def hidden(model, part, row):
    ids = torch.tensor(part.slice("ids", row).astype(np.int64))[None]
    with torch.no_grad():
        return model.encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[
            0
        ]


def classify(head, state):
    with torch.no_grad():
        return (
            head.out.weight @ torch.tanh(head.dense.weight @ state[0] + head.dense.bias)
            + head.out.bias
        )


def loss_of(model, part, units, name="t"):
    model.eval()
    batch = batches.collate(name, part, units, pad=1)
    with torch.no_grad():
        return float(model(**batch)["loss"])


def test_loss_of_sequences(new_model, sequence):
    model = new_model({"t": "sequence"}, {"t": 3})
    units = [5, 0, 17]
    wanted = [
        cross_entropy(
            classify(model.heads["t"], hidden(model.eval(), sequence, u)),
            sequence.arrays["target"][u],
        )
        for u in units
    ]
    assert loss_of(model, sequence, units) == pytest.approx(np.mean(wanted), rel=1e-4)


def test_loss_of_choices(new_model, tokenizer):
    made = [
        {"text_a": "the day was", "choices": ["good", "poor and so", "a"], "label": n}
        for n in (2, 0)
    ]
    part = features.of_examples("choice", dataset(made), tokenizer, 32)
    model = new_model({"t": "choice"}).eval()
    scores = [float(classify(model.heads["t"], hidden(model, part, row))[0]) for row in range(6)]
    wanted = [cross_entropy(scores[:3], 2), cross_entropy(scores[3:], 0)]
    assert loss_of(model, part, [0, 1]) == pytest.approx(np.mean(wanted), rel=1e-4)


def test_loss_of_tags(new_model, tokenizer):
    made = [{"tokens": ["Anna", "Karenina", "was", "in", "Ulm"], "tags": [1, 2, 0, -100, 1]}]
    made.append({"tokens": ["so", "good"], "tags": [0, 0]})
    part = features.of_examples("token", dataset(made), tokenizer, 32)
    model = new_model({"t": "token"}, {"t": 3}).eval()
    wanted = []
    for row in (0, 1):
        states = hidden(model, part, row)
        with torch.no_grad():
            scores = states @ model.heads["t"].out.weight.T + model.heads["t"].out.bias
        labels = part.slice("labels", row)
        wanted += [
            cross_entropy(s, label) for s, label in zip(scores, labels, strict=True) if label >= 0
        ]
    assert len(wanted) == 6 and loss_of(model, part, [0, 1]) == pytest.approx(
        np.mean(wanted), rel=1e-4
    )


def test_loss_of_spans(new_model, tokenizer):
    answers = {"text": ["Ulm"], "answer_start": [8]}
    made = [
        {"question": "Who ?", "context": context, "answers": answers}
        for context in ("He is in Ulm", "was in a Ulm .")
    ]
    made[0]["answers"] = {"text": ["Ulm"], "answer_start": [9]}
    made[1]["answers"] = {"text": ["Ulm"], "answer_start": [9]}
    part = features.of_examples("span", dataset(made), tokenizer, 48, 8)
    assert (part.arrays["target"] > 0).all() and len(set(part.lengths)) == 2
    model = new_model({"t": "span"}).eval()
    wanted = []
    for row in (0, 1):
        with torch.no_grad():
            scores = (
                hidden(model, part, row) @ model.heads["t"].out.weight.T + model.heads["t"].out.bias
            )
        first, last = part.arrays["target"][row]
        wanted += [cross_entropy(scores[:, 0], first), cross_entropy(scores[:, 1], last)]
    assert loss_of(model, part, [0, 1]) == pytest.approx(np.mean(wanted), rel=1e-4)


def test_loss_of_masked_words(new_model, tokenizer, text):
    model = new_model({"t": "mlm"}).eval()
    head, units = lm_head(model, "t"), [3, 8]
    masking = Masking.of(tokenizer, 0.4)
    batch = batches.collate("t", text, units, tokenizer.pad_token_id, masking)
    width, wanted = batch["input_ids"].shape[1], []
    for place, label in zip(batch["positions"].tolist(), batch["labels"].tolist(), strict=True):
        row, column = divmod(place, width)
        ids = batch["input_ids"][row][batch["attention_mask"][row] > 0][None]
        with torch.no_grad():
            state = model.encoder(
                input_ids=ids, attention_mask=torch.ones_like(ids)
            ).last_hidden_state[0, column]
            state = head.layer_norm(torch.nn.functional.gelu(head.dense(state)))
            scores = model.encoder.get_input_embeddings().weight @ state + head.bias
        wanted.append(cross_entropy(scores, label))
    with torch.no_grad():
        loss = float(model(**batch)["loss"])
    assert len(wanted) > 1 and loss == pytest.approx(np.mean(wanted), rel=1e-4)


def test_a_batch_without_a_tag_has_a_loss_of_nothing():
    """The rest of a very long word is a row of its own, without a tag; its mean would be no number."""
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = heads.cross_entropy(logits, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss == 0 and logits.grad.shape == (0, 3)
