# ruff: noqa: F401, F811 (fixtures are used by their names)
"""Packed batches: the plan by itself, equality with padding, and who cannot."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import ARCHITECTURES, SHAPES, SMALL
from tiny_runs import runs
from tiny_training import OFTEN, Halt, Halted, equal, rows, sequence, text, train
from transformers import AutoConfig, AutoModel

from xfer_utils.formats import features
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import batches, encoders, packing, training
from xfer_utils.learning.origins import ModelProblem
from xfer_utils.learning.task_model import TaskModel
from xfer_utils.study.sections import Training

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=40)
SHORT, LONG = (
    "the cat sat",
    "a dog ran over the hill and le chat dort ici and the cat sat on the mat",
)
TEXTS = [SHORT, LONG, "a dog", "ein Hund sah die Katze", "le chat", LONG[8:], "dort ici", "sat"]
# Who knows positions and a mask that restart within a row, and who does not.
PACKED = {"xlm-roberta", "xlm-roberta-xl", "bert", "modernbert", "mt5", "eurobert"}


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


def test_wider_rows_where_the_longest_sequence_leaves_gaps():
    """Two of 6 do not go into a row of 10; two rows of 16 have no gap, and four of 10 do."""
    lengths = np.array([10, 6, 6, 10])
    assert packing.plan(lengths, per_token=1000).shape == (2, 16)
    assert packing.plan(lengths, per_token=1) is None, "attention to what is masked costs too"


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


def gradients_of(model, batch):
    """Loss, logits, and gradients: of the loss, or of a sum of the logits, which keeps float64."""
    model.zero_grad()
    outputs = model(**batch)
    numbers = torch.Generator().manual_seed(0)
    weights = torch.rand(outputs["logits"].shape, generator=numbers, dtype=torch.float64)
    wide = outputs["logits"].dtype == torch.float64
    ((outputs["logits"] * weights).sum() if wide else outputs["loss"]).backward()
    gradients = {name: w.grad.clone() for name, w in model.named_parameters() if w.grad is not None}
    return outputs["loss"].detach(), outputs["logits"].detach(), gradients


def assert_same(model, kind, words, **close):
    one, other = (gradients_of(model, batch) for batch in both(kind, words))
    assert one[2], "something is learnt"
    torch.testing.assert_close(other, one, **close)


def model_of(run, kind, encoder=None):
    torch.manual_seed(1)
    encoder = encoder or encoders.load_encoder(run)
    return TaskModel(encoder, {"t": kind}, {"t": 3}).eval(), encoders.load_tokenizer(run)


POOLINGS = ["first", "last", "mean", "max"]
FORMATS = [("sequence", pooling) for pooling in POOLINGS]
FORMATS += [(kind, "mean") for kind in ("token", "span", "choice", "pair", "mlm")]
CLOSE = {"rtol": 1e-4, "atol": 1e-6}  # float32


@pytest.mark.parametrize(("kind", "pooling"), FORMATS)
@pytest.mark.parametrize("architecture", ["xlm-roberta", "bert"])
def test_packed_equals_padded(architecture, kind, pooling, runs):
    encoder = encoders.load_encoder(runs(architecture))
    encoder.config.xfer_head_pooling = pooling
    model, words = model_of(runs(architecture), kind, encoder)
    assert ("token_type_ids" in both(kind, words)[1]) == (architecture == "bert")
    assert_same(model, kind, words, **CLOSE)
    # A dual encoder's cosines and all losses are counted in float32.
    loose = kind == "pair"
    assert_same(
        model.double(), kind, words, rtol=1e-5 if loose else 1e-9, atol=1e-7 if loose else 1e-12
    )


def test_packed_equals_padded_with_adapters_and_activation_checkpointing(runs):
    run = runs("xlm-roberta")
    encoder = encoders.load_encoder(run)
    encoder.gradient_checkpointing_enable({"use_reentrant": False})
    model, words = model_of(run, "sequence", encoders.with_lora(encoder, 2))
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    assert encoder.is_gradient_checkpointing
    assert_same(model, "sequence", words, **CLOSE)


# ----- who can -----
def batch_of_ids(lengths=(30, 12, 5), words=90):
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids = torch.randint(6, words, mask.shape, generator=torch.Generator().manual_seed(0))
    return {"input_ids": torch.where(mask, ids, 1), "attention_mask": mask.long()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_probe_finds_who_packs(architecture, runs):
    encoder = encoders.load_encoder(runs(architecture))
    size = encoder.config.vocab_size
    assert packing.works(encoder, batch_of_ids(words=size)) == (architecture in PACKED)


def noisy(config):
    """A model with random weights of a size at which each of its parts matters."""
    torch.manual_seed(0)
    model = AutoModel.from_config(config)
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return model


@pytest.mark.parametrize(("architecture", "able"), [("mpnet", True), ("longformer", False)])
def test_attention_of_its_own(architecture, able):
    """MPNet's knows distances, which are the same in a packed row; Longformer's is a window."""
    window = {} if able else {"attention_window": 8}
    shape = {**SMALL, "vocab_size": 90, "max_position_embeddings": 66, "pad_token_id": 1}
    config = AutoConfig.for_model(architecture, **shape, **window)
    assert packing.works(noisy(config), batch_of_ids()) == able


def test_a_window_of_attention_is_found_by_rows_longer_than_it():
    shape = SHAPES["modernbert"] | {"vocab_size": 90, "global_attn_every_n_layers": 2}
    encoder = noisy(AutoConfig.for_model("modernbert", **shape, local_attention=16))
    assert not packing.works(encoder, batch_of_ids())


def test_a_row_may_be_longer_than_a_model_reads_but_no_sequence(runs):
    encoder = encoders.load_encoder(runs("xlm-roberta"))
    words = encoder.config.vocab_size
    assert packing.works(encoder, batch_of_ids((64, 63, 62), words))
    with pytest.raises(ModelProblem, match="65 tokens in a row, but the model has 64 positions"):
        packing.works(encoder, batch_of_ids((65, 3), words))


# ----- training -----
@pytest.mark.parametrize("names", [("mnli",), ("text",), ("mnli", "text")])
def test_a_training_without_dropout_is_the_same_in_both_layouts(
    names, train, new_model, sequence, text
):
    tasks = {name: {"mnli": sequence, "text": text}[name] for name in names}
    results = {}
    for layout in ("packed", "padded"):
        formats = {name: part.format for name, part in tasks.items()}
        model = new_model(formats, {"mnli": 3}, dropout=0.0)
        results[layout] = train(tasks, layout, model=model, layout=layout)
    (weights, done), (others, wanted) = results["packed"], results["padded"]
    assert (done["layout"], wanted["layout"]) == ("packed", "padded")
    assert done["packed"] > 0.5 and wanted["packed"] == 0
    assert done["tokens"] == wanted["tokens"] < done["tokens_laid_out"] < wanted["tokens_laid_out"]
    assert [loss for _, loss in done["losses"]] == pytest.approx(
        [loss for _, loss in wanted["losses"]], abs=2e-3
    )
    torch.testing.assert_close(weights, others, rtol=1e-2, atol=2e-3)


def test_who_cannot_pack_stays_padded(runs, tmp_path):
    model, words = model_of(runs("deberta-v2"), "sequence")
    settings = Training(epochs=1, batch_size=8)
    tasks = {"t": part_of("sequence", words)}
    done = training.train(model, tasks, words, settings, tmp_path, seed=0)
    assert (done["layout"], done["packed"]) == ("padded", 0)


def test_a_packed_training_resumes_in_its_own_layout_only(train, sequence):
    whole, done = train({"mnli": sequence}, "whole")
    assert done["packed"] > 0.5
    with pytest.raises(Halted):
        train({"mnli": sequence}, "broken", [Halt(7)], **OFTEN)
    assert train({"mnli": sequence}, "broken", layout="padded", **OFTEN)[1]["resumed_from"] == ""
    resumed, summary = train({"mnli": sequence}, "broken", **OFTEN)
    assert summary["resumed_from"] == "checkpoint-6" and equal(whole, resumed)
