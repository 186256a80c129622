"""Models of every architecture through the one path that published ones take."""

import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from test_training import Halt, Halted
from tiny_models import ARCHITECTURES, WITH_MLM, make
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, Trainer, TrainingArguments

from xfer_utils.formats import features
from xfer_utils.formats.heads import Padded
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import batches, models, origins, training
from xfer_utils.learning.models import ModelProblem
from xfer_utils.learning.task_model import TaskModel

ROWS = {
    "sequence": {"text_a": ["the cat sat", "a dog"], "text_b": ["le chat", "ein Hund sah"], "label": [0, 2]},
    "token": {"tokens": [["the", "cat"], ["a", "dog", "ran"]], "tags": [[0, 1], [0, 1, 2]]},
    "span": {"question": ["who sat", "who ran"], "context": ["the cat sat on the mat", "a dog ran over the hill"],
             "answers": [{"text": ["cat"], "answer_start": [4]}, {"text": ["dog"], "answer_start": [2]}]},
    "choice": {"text_a": ["the cat", "a dog"], "choices": [["sat", "ran"], ["ran over the hill", "sat"]],
               "label": [0, 1]},
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An encoder run per architecture that points to a folder with a tiny model."""

    def run(architecture: str, mlm: bool = False, **options):
        name = "-".join([architecture, *(["mlm"] if mlm else []), *options.values()])
        place = root / name
        if not place.is_dir():
            make(place / "model", architecture, mlm=mlm)
            models.save_pointer(place / "run" / "encoder", str(place / "model"), "main", **options)
        return place / "run"

    root = tmp_path_factory.mktemp("models")
    return run


def part_of(kind: str, tokenizer) -> features.Features:
    if kind == "mlm":
        return features.of_text(["the cat sat on the mat", "a dog ran"], tokenizer, 32)
    rows = Dataset.from_dict({"id": ["1", "2"], **ROWS[kind]})
    return features.of_examples(kind, rows, tokenizer, 32)


def batch_of(kind: str, tokenizer) -> dict:
    part = part_of(kind, tokenizer)
    masking = Masking.of(tokenizer, 0.3)
    return batches.collate("t", part, [0, 1], tokenizer.pad_token_id, masking)


def encoder_and_words(run):
    return models.load_encoder(run).eval(), models.load_tokenizer(run)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_encoder_survives_saving_and_loading(architecture, runs, tmp_path):
    encoder, words = encoder_and_words(runs(architecture))
    models.save_encoder(tmp_path / "encoder", encoder, words)
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
    both = batches.padded(rows, words.pad_token_id)
    assert (both["attention_mask"][0] == 0).sum() > 3
    with torch.no_grad():
        padded = encoder(**both).last_hidden_state
        for row in (0, 1):
            one = batches.padded(rows.take(np.array([row])), words.pad_token_id)
            alone = encoder(**one).last_hidden_state[0]
            torch.testing.assert_close(padded[row, : len(alone)], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["sequence", "token", "span", "choice", "mlm"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_head_learns_on_every_architecture(architecture, kind, runs):
    if kind == "mlm" and architecture not in WITH_MLM:
        pytest.skip(f"{architecture} has no masked-LM head")
    encoder, words = encoder_and_words(runs(architecture))
    torch.manual_seed(1)
    model = TaskModel(encoder, {"t": kind}, {"t": 3})
    batch = batch_of(kind, words)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        loss = model(**batch)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all() and losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_lora_trains_adapters_and_heads_only_and_merges_exactly(architecture, runs):
    encoder, words = encoder_and_words(runs(architecture))
    model = TaskModel(models.with_lora(encoder, 4), {"t": "sequence"}, {"t": 3})
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
        plain = models.merged(model.encoder)
        assert not any("lora" in name for name, _ in plain.named_parameters())
        torch.testing.assert_close(
            plain(**_inputs(batch)).last_hidden_state, hidden, rtol=1e-4, atol=1e-5
        )
    assert not torch.allclose(adapted, first)


def _inputs(batch: dict) -> dict:
    return {
        key: batch[key] for key in ("input_ids", "attention_mask", "token_type_ids") if key in batch
    }


@pytest.mark.parametrize("architecture", WITH_MLM)
def test_the_published_masked_lm_head_is_used_and_saved(architecture, runs, tmp_path):
    run = runs(architecture, mlm=True)
    encoder, words = encoder_and_words(run)
    model = TaskModel(encoder, {"t": "mlm"}, {}).eval()
    batch = batch_of("mlm", words)
    config = AutoConfig.from_pretrained(run.parent / "model")
    published = AutoModelForMaskedLM.from_pretrained(run.parent / "model", config=config).eval()
    with torch.no_grad():
        ours = model(**batch)["logits"]
        theirs = published(**_inputs(batch)).logits.flatten(0, 1)[batch["positions"]]
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        models.save_encoder(tmp_path / "encoder", model.encoder, words, model.heads["t"])
        again = TaskModel(models.load_encoder(tmp_path), {"t": "mlm"}, {}).eval()
        torch.testing.assert_close(again(**batch)["logits"], ours)
    assert torch.equal(model(**batch)["logits"], ours), "saving changed the model"


@pytest.mark.parametrize("architecture", WITH_MLM)
def test_the_masked_lm_head_shares_the_word_embeddings(architecture, runs):
    encoder, _ = encoder_and_words(runs(architecture, mlm=True))
    model = TaskModel(encoder, {"t": "mlm"}, {})
    words = encoder.get_input_embeddings().weight
    wide = [weight for weight in model.parameters() if weight.shape == words.shape]
    assert wide[0] is words and len(wide) == (1 if encoder.config.tie_word_embeddings else 2)


@pytest.mark.parametrize("architecture", ["mt5", "gpt2"])
def test_a_model_without_a_masked_lm_head_says_so(architecture, runs):
    with pytest.raises(ValueError, match=f"{architecture} has no masked-LM head"):
        TaskModel(models.load_encoder(runs(architecture)), {"t": "mlm"}, {})


def test_a_checkpoint_of_a_tied_model_is_written_and_read(runs, tmp_path):
    """safetensors refuses tensors that share memory, as a masked-LM head and the embeddings do."""
    model = TaskModel(models.load_encoder(runs("xlm-roberta")), {"t": "mlm"}, {})
    trainer = Trainer(
        model=model, args=TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    )
    trainer.save_model(tmp_path)
    other = TaskModel(models.load_encoder(runs("xlm-roberta")), {"t": "mlm"}, {})
    state = {name: value.clone() for name, value in model.state_dict().items()}
    other.load_state_dict(state)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )
    state.pop("encoder.embeddings.word_embeddings.weight")
    with pytest.raises(RuntimeError, match="word_embeddings"):
        other.load_state_dict(state)


def test_a_long_pretraining_resumes(runs, tmp_path):
    """A checkpoint after every step, then a second training that finds the last whole one."""
    words = models.load_tokenizer(runs("xlm-roberta"))
    given = {
        "learning_rate": 0.001,
        "epochs": 1,
        "batch_size": 2,
        "seed": 0,
        "checkpoint_minutes": 1e-9,
    }
    settings = training.Settings(**given, max_steps=4)

    def train(*callbacks):
        training.set_seed(0)
        model = TaskModel(models.load_encoder(runs("xlm-roberta")), {"t": "mlm"}, {})
        return training.train(
            model, {"t": part_of("mlm", words)}, words, settings, tmp_path, list(callbacks)
        )

    with pytest.raises(Halted):
        train(Halt(3))
    done = train()
    assert done["resumed_from"] == "checkpoint-2" and done["steps"] == 4


# ----- decoders and encoder-decoders -----
def test_only_the_encoder_of_an_encoder_decoder_is_used(runs):
    encoder = models.load_encoder(runs("mt5"))
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
        encoder = models.load_encoder(runs("gpt2", attention=attention)).eval()
        first = encoder(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
        assert torch.equal(first[0], first[1]) != sees_later
        assert encoder.config.xfer_head_pooling == pooling


def test_wrong_choices_for_a_model_are_refused(runs):
    with pytest.raises(ModelProblem, match="looks both ways"):
        runs("bert", attention="causal")
    with pytest.raises(ModelProblem, match="first token sees nothing"):
        runs("gpt2", head_pooling="first")


def test_pooling_by_hand():
    hidden = torch.tensor([[[1.0], [2.0], [6.0]], [[4.0], [8.0], [99.0]]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    states = Padded(hidden, mask)
    assert states.vectors("first").tolist() == [[1.0], [4.0]]
    assert states.vectors("last").tolist() == [[6.0], [8.0]]
    assert states.vectors("mean").tolist() == [[3.0], [6.0]]
    assert states.tokens().ravel().tolist() == [1.0, 2.0, 6.0, 4.0, 8.0]
    assert Padded(hidden, mask, torch.tensor([4, 0])).tokens().ravel().tolist() == [8.0, 1.0]


# ----- traps -----
@pytest.mark.parametrize(("asked", "able", "wanted"), [("auto", True, True), ("auto", False, False),
                                                       ("fp32", True, False), ("bf16", False, True)])  # fmt: skip
def test_training_and_evaluation_share_one_precision(monkeypatch, asked, able, wanted):
    encoder = torch.nn.Identity()
    assert not TaskModel(encoder, {}, {}, asked).bf16, "never on a CPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: able)
    assert TaskModel(encoder, {}, {}, asked).bf16 is wanted


def test_a_half_precision_checkpoint_is_widened(tmp_path):
    make(tmp_path / "model", "deberta-v2", dtype=torch.float16)
    models.save_pointer(tmp_path / "run" / "encoder", str(tmp_path / "model"), "main")
    encoder = models.load_encoder(tmp_path / "run")
    assert AutoModel.from_pretrained(tmp_path / "model").dtype == torch.float16, (
        "the trap is no longer there"
    )
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}


def test_positions_count_from_the_padding_id(runs):
    """66 places in the table are 64 tokens: the last one fits, one more is refused in words."""
    encoder, words = encoder_and_words(runs("xlm-roberta"))
    assert words.model_max_length == models.longest_input(encoder.config) == 64
    ids = torch.full((1, 65), 5)
    encoder(input_ids=ids[:, :64], attention_mask=torch.ones(1, 64, dtype=torch.long))
    with pytest.raises(ModelProblem, match="65 tokens in a row, but the model has 64 positions"):
        encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
    with pytest.raises(ValueError, match="attention mask"):
        encoder(input_ids=ids[:, :8])
    lora = models.with_lora(encoder, 2)
    with pytest.raises(ModelProblem, match="positions"):
        lora(input_ids=ids, attention_mask=torch.ones_like(ids))


@pytest.mark.parametrize(
    "architecture", sorted(models.COUNT_FROM_PAD & {"xlm-roberta", "xlm-roberta-xl"})
)
def test_the_library_agrees_on_who_counts_from_the_padding_id(architecture, runs):
    table = models.load_encoder(runs(architecture)).embeddings.position_embeddings
    assert table.padding_idx == 1
    for other in ("bert", "gpt2", "modernbert"):
        assert other not in models.COUNT_FROM_PAD


def test_the_tokenizers_padding_id_counts(tmp_path):
    """A BERT body with XLM-R's tokenizer, as MiniLM: the configuration says 0, the tokenizer 1."""
    make(tmp_path / "model", "bert")
    make(tmp_path / "words", "xlm-roberta")
    _swap_tokenizer(tmp_path / "words", tmp_path / "model")
    models.save_pointer(tmp_path / "run" / "encoder", str(tmp_path / "model"), "main")
    encoder, words = encoder_and_words(tmp_path / "run")
    assert encoder.config.pad_token_id == words.pad_token_id == 1
    assert encoder.get_input_embeddings().padding_idx == 1


def test_a_padding_id_that_moves_the_positions_is_refused(tmp_path):
    make(tmp_path / "model", "xlm-roberta")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "pad_token_id": 0}))
    with pytest.raises(ModelProblem, match="positions count from padding id 0"):
        models.save_pointer(tmp_path / "run" / "encoder", str(tmp_path / "model"), "main")


def test_token_types_go_only_to_models_that_know_them(runs, tmp_path):
    assert "token_type_ids" in models.load_tokenizer(runs("bert"))("a", "b")
    make(tmp_path / "model", "xlm-roberta")
    make(tmp_path / "words", "modernbert")
    words = origins.Origin(str(tmp_path / "words"))
    assert "token_type_ids" not in models._load_tokenizer(words)("a", "b")


def _swap_tokenizer(source, target) -> None:
    for path in [p for p in target.iterdir() if "token" in p.name or p.name == "vocab.txt"]:
        path.unlink()
    for path in [p for p in source.iterdir() if "token" in p.name]:
        (target / path.name).write_bytes(path.read_bytes())
