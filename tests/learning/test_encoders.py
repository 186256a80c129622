# ruff: noqa: F401, F811 (fixtures are used by their names)
"""Encoders of every architecture through the one path that published ones take."""

import json

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, make
from tiny_runs import batch_of, encoder_and_words, runs
from transformers import AutoModel

from xfer_utils.formats import features
from xfer_utils.learning import batches, encoders, origins
from xfer_utils.learning.origins import ModelProblem
from xfer_utils.learning.task_model import TaskModel


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_encoder_survives_saving_and_loading(architecture, runs, tmp_path):
    encoder, words = encoder_and_words(runs(architecture))
    encoders.save_encoder(tmp_path / "encoder", encoder, words)
    again, words_again = encoder_and_words(tmp_path)
    batch = dict(words(["the cat"], ["a dog"], return_tensors="pt"))
    assert (
        words_again(["the cat"], ["a dog"], return_tensors="pt")["input_ids"].tolist()
        == batch["input_ids"].tolist()
    )
    assert words_again.pad_token_id == words.pad_token_id
    assert torch.equal(encoder(**batch).last_hidden_state, again(**batch).last_hidden_state)
    assert again.config.xfer_head_pooling == encoder.config.xfer_head_pooling
    assert not list((tmp_path / "encoder").glob("*.bin"))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_changes_no_real_token(architecture, runs):
    encoder, words = encoder_and_words(runs(architecture))
    rows = features.of_text(
        ["the cat sat", "a dog ran over the hill and the cat sat on the mat"], words, 64
    )
    both = batches.padded(rows.take(np.array([0, 1])), words.pad_token_id)
    assert (both["attention_mask"][0] == 0).sum() > 3
    with torch.no_grad():
        padded = encoder(**both).last_hidden_state
        for row in (0, 1):
            batch = batches.padded(rows.take(np.array([row])), words.pad_token_id)
            alone = encoder(**batch).last_hidden_state[0]
            torch.testing.assert_close(padded[row, : len(alone)], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_lora_trains_adapters_and_heads_only_and_merges_exactly(architecture, runs):
    encoder, words = encoder_and_words(runs(architecture))
    model = TaskModel(encoders.with_lora(encoder, 4), {"t": "sequence"}, {"t": 3})
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert trained and all("lora_" in name or name.startswith("heads.") for name in trained)
    frozen = {n: w.clone() for n, w in model.named_parameters() if not w.requires_grad}
    batch = batch_of("sequence", words)
    optimiser = torch.optim.SGD([w for w in model.parameters() if w.requires_grad], lr=1.0)
    first = model(**batch)["logits"].detach()
    for _ in range(3):
        optimiser.zero_grad()
        model(**batch)["loss"].backward()
        optimiser.step()
    assert all(torch.equal(w, frozen[n]) for n, w in model.named_parameters() if n in frozen)
    model.eval()
    with torch.no_grad():
        adapted = model(**batch)["logits"]
        hidden = model.encoder(**_inputs(batch)).last_hidden_state
        plain = encoders.merged(model.encoder)
        assert not any("lora" in name for name, _ in plain.named_parameters())
        torch.testing.assert_close(
            plain(**_inputs(batch)).last_hidden_state, hidden, rtol=1e-4, atol=1e-5
        )
    assert not torch.allclose(adapted, first)


def _inputs(batch: dict) -> dict:
    return {
        key: batch[key] for key in ("input_ids", "attention_mask", "token_type_ids") if key in batch
    }


# ----- decoders and encoder-decoders -----
def test_only_the_encoder_of_an_encoder_decoder_is_used(runs):
    encoder = encoders.load_encoder(runs("mt5"))
    assert not any("decoder" in name for name, _ in encoder.named_parameters())
    assert encoder.config.xfer_head_pooling == "mean"


def test_a_decoder_pools_its_last_token_and_its_texts_are_kept_apart(runs):
    encoder, words = encoder_and_words(runs("gpt2"))
    assert (encoder.config.xfer_attention, encoder.config.xfer_head_pooling) == ("causal", "last")
    coded = words("the cat", "a dog")
    assert words.convert_ids_to_tokens(coded["input_ids"]).count("<|endoftext|>") == 2
    assert coded["input_ids"][-1] == words.eos_token_id and "token_type_ids" not in coded
    offsets = words("the cat sat", return_offsets_mapping=True)["offset_mapping"]
    assert ["the cat sat"[a:b] for a, b in offsets] == ["the", "cat", "sat", ""]


def test_causal_attention_is_what_it_says(runs):
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9]])
    mask = torch.ones_like(ids)
    for attention, pooling, sees_later in (
        ("causal", "last", False),
        ("bidirectional", "first", True),
    ):
        encoder = encoders.load_encoder(runs("gpt2", attention=attention)).eval()
        first = encoder(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
        assert torch.equal(first[0], first[1]) != sees_later
        assert encoder.config.xfer_head_pooling == pooling


def test_wrong_choices_for_a_model_are_refused(runs):
    with pytest.raises(ModelProblem, match="looks both ways"):
        runs("bert", attention="causal")
    with pytest.raises(ModelProblem, match="first token sees nothing"):
        runs("gpt2", head_pooling="first")


# ----- traps -----
def test_a_half_precision_checkpoint_is_widened(tmp_path):
    make(tmp_path / "model", "deberta-v2", dtype=torch.float16)
    encoders.save_pointer(tmp_path / "run" / "encoder", str(tmp_path / "model"), "main")
    encoder = encoders.load_encoder(tmp_path / "run")
    assert AutoModel.from_pretrained(tmp_path / "model").dtype == torch.float16, (
        "the trap is no longer there"
    )
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}


def test_positions_count_from_the_padding_id(runs):
    """66 places in the table are 64 tokens: the last one fits, one more is refused in words."""
    encoder, words = encoder_and_words(runs("xlm-roberta"))
    assert words.model_max_length == encoders.longest_input(encoder.config) == 64
    ids = torch.full((1, 65), 5)
    encoder(input_ids=ids[:, :64], attention_mask=torch.ones(1, 64, dtype=torch.long))
    with pytest.raises(ModelProblem, match="65 tokens in a row, but the model has 64 positions"):
        encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
    lora = encoders.with_lora(encoder, 2)
    with pytest.raises(ModelProblem, match="positions"):
        lora(input_ids=ids, attention_mask=torch.ones_like(ids))


@pytest.mark.parametrize(
    "architecture", sorted(encoders.COUNT_FROM_PAD & {"xlm-roberta", "xlm-roberta-xl"})
)
def test_the_library_agrees_on_who_counts_from_the_padding_id(architecture, runs):
    table = encoders.load_encoder(runs(architecture)).embeddings.position_embeddings
    assert table.padding_idx == 1
    for other in ("bert", "gpt2", "modernbert"):
        assert other not in encoders.COUNT_FROM_PAD


def test_the_tokenizers_padding_id_counts(tmp_path):
    """A BERT body with XLM-R's tokenizer, as MiniLM: the configuration says 0, the tokenizer 1."""
    make(tmp_path / "model", "bert")
    make(tmp_path / "words", "xlm-roberta")
    _swap_tokenizer(tmp_path / "words", tmp_path / "model")
    encoders.save_pointer(tmp_path / "run" / "encoder", str(tmp_path / "model"), "main")
    encoder, words = encoder_and_words(tmp_path / "run")
    assert encoder.config.pad_token_id == words.pad_token_id == 1
    assert encoder.get_input_embeddings().padding_idx == 1


def test_a_padding_id_that_moves_the_positions_is_refused(tmp_path):
    make(tmp_path / "model", "xlm-roberta")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "pad_token_id": 0}))
    with pytest.raises(ModelProblem, match="positions count from padding id 0"):
        encoders.save_pointer(tmp_path / "run" / "encoder", str(tmp_path / "model"), "main")


def test_token_types_go_only_to_models_that_know_them(runs, tmp_path):
    assert "token_type_ids" in encoders.load_tokenizer(runs("bert"))("a", "b")
    make(tmp_path / "model", "xlm-roberta")
    make(tmp_path / "words", "modernbert")
    words = origins.Origin(str(tmp_path / "words"))
    assert "token_type_ids" not in encoders.load_tokenizer(words)("a", "b")


def _swap_tokenizer(source, target) -> None:
    for path in [p for p in target.iterdir() if "token" in p.name or p.name == "vocab.txt"]:
        path.unlink()
    for path in [p for p in source.iterdir() if "token" in p.name]:
        (target / path.name).write_bytes(path.read_bytes())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("states", [0, 1, 2])
def test_frozen_hidden_states_stay_and_the_next_one_is_trained(architecture, states, runs):
    encoder, words = encoder_and_words(runs(architecture))
    batch = dict(words(["the cat sat"], ["a dog"], return_tensors="pt"))
    encoders.freeze(encoder, states)
    before = encoder(**batch, output_hidden_states=True).hidden_states
    before[-1].square().sum().backward()
    with torch.no_grad():
        for weight in encoder.parameters():
            if weight.grad is not None:
                weight -= 0.1 * weight.grad.sign()
        after = encoder(**batch, output_hidden_states=True).hidden_states
    kept = [torch.equal(*pair) for pair in zip(before, after, strict=True)]
    assert kept[: states + 1] == [True] * states + [False]


def test_a_model_that_is_frozen_as_a_whole_is_refused(runs):
    encoder, _ = encoder_and_words(runs("xlm-roberta"))
    with pytest.raises(ModelProblem, match="leaves nothing to train: the model has 2 layers"):
        encoders.freeze(encoder, 3)
