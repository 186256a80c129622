# ruff: noqa: F401, F811 (fixtures are used by their names)
"""Packed batches: the plan by itself, equality with padding, and who cannot."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import ARCHITECTURES
from tiny_runs import runs
from tiny_training import OFTEN, Halt, Halted, equal, rows, sequence, text, train

from xfer_utils.formats import features
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import batches, encoders, packing
from xfer_utils.learning.task_model import TaskModel

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=40)
SHORT, LONG = (
    "the cat sat",
    "a dog ran over the hill and le chat dort ici and the cat sat on the mat",
)
TEXTS = [SHORT, LONG, "a dog", "ein Hund sah die Katze", "le chat", LONG[8:], "dort ici", "sat"]
# Who knows positions and a mask that restart within a row, and who does not.
PACKED = {"xlm-roberta", "xlm-roberta-xl", "bert", "eurobert"}


# ----- the plan -----
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(lengths=LENGTHS)
def test_a_plan_holds_every_token_once_and_no_sequence_is_cut(lengths):
    lengths = np.array(lengths)
    packed = packing.plan(lengths, per_token=10**6)
    mask = np.arange(lengths.max()) < lengths[:, None]
    if packed is None:
        assert lengths.sum() > packing.WORTH * mask.size / 2
        return
    assert sorted(packed[packed >= 0]) == np.flatnonzero(mask).tolist()
    assert packed.size <= packing.WORTH * mask.size
    for row in packed:
        real = row[row >= 0]
        assert (row[: len(real)] == real).all(), "what fills up comes last"
        begins = np.flatnonzero(np.diff(real // lengths.max(), prepend=-1))
        assert (real[begins] % lengths.max() == 0).all(), (
            "each sequence begins with its first token"
        )
        assert (np.diff(real) == 1)[np.isin(np.arange(1, len(real)), begins, invert=True)].all()


def test_a_plan_by_hand():
    packed = packing.plan(np.array([2, 4, 1, 1]), per_token=100)
    assert packed.tolist() == [[4, 5, 6, 7], [0, 1, 8, 12]]


def test_a_batch_stays_padded_where_that_is_cheaper():
    assert packing.plan(np.full(32, 20), 500) is None
    assert packing.plan(np.array([20] * 31 + [19]), 500) is None
    assert packing.plan(np.array([9]), 500) is None
    assert packing.plan(np.array([40] + [10] * 31), 500) is not None


# ----- equality with padding -----
def part_of(kind, words):
    count = range(len(TEXTS))
    tokens = [text.split() for text in TEXTS]
    answers = [
        {"text": [row[-1]], "answer_start": [text.rindex(row[-1])]}
        for row, text in zip(tokens, TEXTS, strict=True)
    ]
    columns = {
        "sequence": {"text_a": TEXTS, "text_b": TEXTS[::-1], "label": [n % 3 for n in count]},
        "token": {"tokens": tokens, "tags": [[len(word) % 3 for word in row] for row in tokens]},
        "span": {"question": [SHORT] * 8, "context": TEXTS, "answers": answers},
        "choice": {"text_a": [SHORT] * 8, "choices": [[text, "le chat"] for text in TEXTS],
                   "label": [n % 2 for n in count]},
        "pair": {"question": TEXTS, "passage": [*TEXTS[1:], SHORT], "context": [""] * 8},
    }  # fmt: skip
    if kind == "mlm":
        return features.of_text(TEXTS, words, 60)
    rows = Dataset.from_dict({"id": list(map(str, count)), **columns[kind]})
    return features.of_examples(kind, rows, words, 60)


def both(kind, words):
    """The same batch, padded and packed."""
    part = part_of(kind, words)
    how = words.pad_token_id, Masking.of(words, 0.3) if kind == "mlm" else None
    units = list(range(len(part.units) - 1))
    padded, packed = (batches.collate("t", part, units, *how, cost) for cost in (0, 1000))
    assert "packed" not in padded and len(packed["packed"]) < len(padded["input_ids"])
    return padded, packed


def loss_and_gradients(model, batch):
    model.zero_grad()
    outputs = model(**batch)
    outputs["loss"].backward()
    gradients = {name: w.grad.clone() for name, w in model.named_parameters() if w.grad is not None}
    return outputs["loss"].detach(), outputs["logits"].detach(), gradients


def assert_same(model, kind, words, **close):
    one, other = (loss_and_gradients(model, batch) for batch in both(kind, words))
    torch.testing.assert_close(other, one, **close)


POOLINGS = ["first", "last", "mean", "max"]
FORMATS = [("sequence", pooling) for pooling in POOLINGS]
FORMATS += [(kind, "mean") for kind in ("token", "span", "choice", "pair", "mlm")]


@pytest.mark.parametrize(("kind", "pooling"), FORMATS)
@pytest.mark.parametrize("architecture", ["xlm-roberta", "bert"])
def test_packed_equals_padded(architecture, kind, pooling, runs):
    run = runs(architecture)
    encoder, words = encoders.load_encoder(run).eval(), encoders.load_tokenizer(run)
    encoder.config.xfer_head_pooling = pooling
    torch.manual_seed(1)
    model = TaskModel(encoder, {"t": kind}, {"t": 3}).eval()
    assert_same(model, kind, words, rtol=1e-4, atol=1e-6)
    # The losses themselves are counted in float32.
    assert_same(model.double(), kind, words, rtol=1e-6, atol=1e-9)
