"""One example on its way through a model, for notebook cells that only show.

Nothing here draws random numbers or changes a model, so a run's result does not depend on it.
"""

from typing import Any

import pandas as pd
import torch

from xfer_utils.formats.features import Features
from xfer_utils.learning import batches, encoders
from xfer_utils.learning.task_model import TaskModel
from xfer_utils.learning.training import Units


def token_table(features: Features, row: int, tokenizer: Any) -> pd.DataFrame:
    """A row of token ids with the tokens they stand for, and their labels where tokens have any."""
    ids = features.slice("ids", row)
    table = {"token": tokenizer.convert_ids_to_tokens(ids.tolist()), "id": ids}
    if "labels" in features.arrays:
        table["label"] = features.slice("labels", row)
    return pd.DataFrame(table).T


def example_batch(
    name: str, features: Features, tokenizer: Any, size: int = 4, masked: float = 0.15
) -> dict:
    """The model's input for a task's first examples, batched as training does it."""
    sampler = batches.Batches([features], size, seed=0)
    units = Units({name: features}, tokenizer, sampler, masked)
    chosen = [(0, unit) for unit in range(min(size, len(units)))]
    batch = units.__getitems__(chosen)
    place = encoders.device()
    return {
        key: value.to(place) if torch.is_tensor(value) else value for key, value in batch.items()
    }


def shapes(batch: dict) -> pd.DataFrame:
    """What a batch holds: of a tensor its shape and first numbers."""
    rows = {}
    for name, value in batch.items():
        tensor = torch.is_tensor(value)
        shape = " x ".join(map(str, value.shape)) if tensor else ""
        rows[name] = {"shape": shape, "begins": value.flatten()[:6].tolist() if tensor else value}
    return pd.DataFrame(rows).T


@torch.no_grad()
def decisions(
    model: TaskModel, batch: dict, names: list[str] = ()
) -> tuple[pd.DataFrame, float]:  # fmt: skip
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


def plot_losses(losses: list[list[float]], label: str) -> None:
    """The loss curve of a training, each point a mean over a twentieth of its steps."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(5, 2.5))
    axes.plot(*zip(*losses, strict=True))
    axes.set(xlabel="step", ylabel=label)


def transfer_sentence(scores: pd.DataFrame, title: str) -> str:
    """What the main scores of one target say; where English is not scored, only their range."""
    table = scores.set_index("language").astype({"chance": float})
    values, above = table["value"], table["value"] - table["chance"]
    level = table["chance"].mean()
    chance = "chance unknown" if pd.isna(level) else f"chance {level:.1f}"
    others = table.index.drop("en", errors="ignore")
    if len(others) in (0, len(table)):
        lowest, highest = (
            f"{values[code]:.1f} ({code})" for code in (values.idxmin(), values.idxmax())
        )
        mean = f"mean of {len(table)} languages {values.mean():.1f}"
        return f"{title}: {mean}, from {lowest} to {highest}; {chance}."
    mean = f"mean of {len(others)} other languages {values[others].mean():.1f}"
    sentence = f"{title}: English {values['en']:.1f}, {mean}, {chance}"
    if above["en"] > 0:
        share = 100 * above[others].mean() / above["en"]
        return f"{sentence}: {share:.0f}% of what English gains over chance crosses over."
    return f"{sentence}." if pd.isna(level) else f"{sentence}: English itself is not above chance."
