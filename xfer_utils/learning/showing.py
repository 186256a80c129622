"""What notebooks only show of an example; it draws no random numbers and changes no model."""

from typing import Any

import pandas as pd
import torch
from transformers import BatchEncoding

from xfer_utils.formats.features import Features
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import batches, encoders
from xfer_utils.learning.task_model import TaskModel


def example_batch(
    name: str, features: Features, tokenizer: Any, masked: float = 0.15, count: int = 4
) -> dict:
    """The model's input for a task's first examples, batched as training does it."""
    units = list(range(min(count, len(features.units) - 1)))
    masking = Masking.of(tokenizer, masked)
    batch = batches.collate(name, features, units, tokenizer.pad_token_id, masking)
    return BatchEncoding(batch).to(encoders.device())


@torch.no_grad()
def decisions(model: TaskModel, batch: dict, names: list = ()) -> tuple[pd.DataFrame, float]:
    """Each decision of a batch (gold, prediction, probabilities), and the model's own loss.

    A row of class logits is one decision, a tagged word is one, a span is two: start and end.
    """
    training = model.training
    model.eval()
    outputs = model(**batch)
    model.train(training)
    logits, gold = outputs["logits"].double().cpu(), batch["labels"].cpu()
    if gold.ndim == 2:
        logits, gold = logits.movedim(-1, 1).flatten(0, 1), gold.flatten()
    logits, gold = logits[gold >= 0], gold[gold >= 0]
    probabilities = logits.softmax(-1)
    best, prediction = probabilities.max(-1)
    table = pd.DataFrame({"gold": gold.tolist(), "prediction": prediction.tolist()})
    if names:
        table = table.map(lambda number: names[number])
    table["p(prediction)"] = best.numpy()
    table["p(gold)"] = probabilities.gather(1, gold[:, None])[:, 0].numpy()
    return table, float(outputs["loss"])


def transfer_sentence(scores: pd.DataFrame, title: str) -> str:
    """What the main scores of one target say; where English is not scored, only their range."""
    table = scores.set_index("language").astype({"chance": float})
    values, level = table["value"], table["chance"].mean()
    others = values.drop("en", errors="ignore")
    chance = "chance unknown" if pd.isna(level) else f"chance {level:.1f}"
    if len(others) in (0, len(values)):
        low, high = (f"{values[code]:.1f} ({code})" for code in (values.idxmin(), values.idxmax()))
        mean = f"mean of {len(values)} languages {values.mean():.1f}"
        return f"{title}: {mean}, from {low} to {high}; {chance}."
    mean = f"mean of {len(others)} other languages {others.mean():.1f}"
    sentence = f"{title}: English {values['en']:.1f}, {mean}, {chance}"
    gains = values - table["chance"]
    if gains["en"] > 0:
        share = 100 * gains[others.index].mean() / gains["en"]
        return f"{sentence}: {share:.0f}% of what English gains over chance crosses over."
    return f"{sentence}." if pd.isna(level) else f"{sentence}: English itself is not above chance."
