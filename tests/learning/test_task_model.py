# ruff: noqa: F401, F811 (fixtures are used by their names)
"""Heads on every architecture, and the whole model kept and loaded again."""

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, WITH_MLM
from tiny_runs import batch_of, encoder_and_words, runs
from transformers import AutoConfig, AutoModelForMaskedLM, Trainer, TrainingArguments

from xfer_utils.formats import heads
from xfer_utils.learning import encoders, task_model
from xfer_utils.learning.origins import ModelProblem
from xfer_utils.learning.task_model import TaskModel


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
        encoders.save_encoder(tmp_path / "encoder", model.encoder, words, model.heads["t"])
        again = TaskModel(encoders.load_encoder(tmp_path), {"t": "mlm"}, {}).eval()
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
        TaskModel(encoders.load_encoder(runs(architecture)), {"t": "mlm"}, {})


def test_a_checkpoint_of_a_tied_model_is_written_and_read(runs, tmp_path):
    """safetensors refuses tensors that share memory, as a masked-LM head and the embeddings do."""
    model = TaskModel(encoders.load_encoder(runs("xlm-roberta")), {"t": "mlm"}, {})
    trainer = Trainer(
        model=model, args=TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    )
    trainer.save_model(tmp_path)
    other = TaskModel(encoders.load_encoder(runs("xlm-roberta")), {"t": "mlm"}, {})
    state = {name: value.clone() for name, value in model.state_dict().items()}
    other.load_state_dict(state)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )
    state.pop("encoder.embeddings.word_embeddings.weight")
    with pytest.raises(RuntimeError, match="word_embeddings"):
        other.load_state_dict(state)


def test_pooling_by_hand():
    hidden = torch.tensor([[[1.0], [2.0], [6.0]], [[4.0], [8.0], [99.0]]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    padded = heads.Padded(hidden, mask)
    assert padded.vectors("first").tolist() == [[1.0], [4.0]]
    assert padded.vectors("last").tolist() == [[6.0], [8.0]]
    assert padded.vectors("mean").tolist() == [[3.0], [6.0]]
    assert padded.vectors("max").tolist() == [[6.0], [8.0]]


PRECISIONS = [
    ("auto", True, True), ("auto", False, False), ("fp32", True, False), ("bf16", False, True)
]  # fmt: skip


@pytest.mark.parametrize(("asked", "able", "wanted"), PRECISIONS)
def test_training_and_evaluation_share_one_precision(monkeypatch, asked, able, wanted):
    encoder = torch.nn.Identity()
    assert not TaskModel(encoder, {}, {}, asked).bf16, "never on a CPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: able)
    assert TaskModel(encoder, {}, {}, asked).bf16 is wanted


# ----- a whole model that is kept -----
@pytest.mark.parametrize("kind", ["sequence", "token", "span", "choice", "pair"])
def test_a_kept_model_predicts_as_before(kind, runs, tmp_path):
    encoder, words = encoder_and_words(runs("xlm-roberta"))
    torch.manual_seed(1)
    model = TaskModel(encoder, {"t": kind}, {"t": 3}).eval()
    task_model.save(tmp_path, model, words, {"t": 3})
    again, batch = task_model.load(tmp_path), batch_of(kind, words)
    assert not again.training and again.formats == {"t": kind}
    with torch.no_grad():
        assert torch.equal(again(**batch)["logits"], model(**batch)["logits"])


def test_a_model_that_was_trained_by_lora_is_kept_whole(runs, tmp_path):
    encoder, words = encoder_and_words(runs("xlm-roberta"))
    model = TaskModel(encoders.with_lora(encoder, 2), {"t": "sequence"}, {"t": 3})
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    model.eval()
    batch = batch_of("sequence", words)
    with torch.no_grad():
        logits = model(**batch)["logits"]
        task_model.save(tmp_path, model, words, {"t": 3})
        again = task_model.load(tmp_path)(**batch)["logits"]
    torch.testing.assert_close(again, logits, rtol=1e-4, atol=1e-5)


def test_a_model_kept_with_a_masked_lm_head_shares_its_embeddings_again(runs, tmp_path):
    encoder, words = encoder_and_words(runs("xlm-roberta"))
    torch.manual_seed(1)
    model = TaskModel(encoder, {"t": "sequence", "text": "mlm"}, {"t": 3}).eval()
    task_model.save(tmp_path, model, words, {"t": 3})
    again, batch = task_model.load(tmp_path), {**batch_of("mlm", words), "task": "text"}
    with torch.no_grad():
        assert torch.equal(again(**batch)["logits"], model(**batch)["logits"])
    output = again.heads["text"].whole.get_output_embeddings().weight
    assert output is again.encoder.get_input_embeddings().weight


def test_a_model_that_was_not_kept_is_refused(runs, tmp_path):
    encoder, words = encoder_and_words(runs("xlm-roberta"))
    encoders.save_encoder(tmp_path / "encoder", encoder, words)
    with pytest.raises(ModelProblem, match="keep_model: true"):
        task_model.load(tmp_path)
