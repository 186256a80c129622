"""One example on its way through a model, for notebook cells that only show.

Nothing here draws random numbers or changes a model, so a run's result does not depend on it.
"""

from typing import Any

import pandas as pd
import torch

from xfer_utils.formats.features import Features
from xfer_utils.learning import batches, encoders
from xfer_utils.learning.models import TaskModel
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
    probabilities = logits.softmax(-1)
    best, prediction = probabilities.max(-1)
    table = pd.DataFrame({"gold": gold, "prediction": prediction})
    if names:
        table = table.map(lambda number: names[number])
    table["p(prediction)"] = best
    table["p(gold)"] = probabilities.gather(1, gold[:, None])[:, 0]
    return table, float(outputs["loss"])


def plot_losses(losses: list[list[float]], label: str) -> None:
    """The loss curve of a training, each point a mean over a twentieth of its steps."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(5, 2.5))
    axes.plot(*zip(*losses, strict=True))
    axes.set(xlabel="step", ylabel=label)


def transfer_sentence(scores: list[dict], title: str) -> str:
    """What the main scores of one target say, in a sentence."""
    table = pd.DataFrame(scores).query("main").set_index("language")
    others = table.drop(index="en", errors="ignore")
    chance = pd.to_numeric(others["chance"]).mean()
    if "en" not in table.index or others.empty:
        mean, worst, best = (
            getattr(table["value"], name)() for name in ("mean", "idxmin", "idxmax")
        )
        lowest, highest = table["value"].min(), table["value"].max()
        chance = pd.to_numeric(table["chance"]).mean()
        return (
            f"{title}: mean of {len(table)} languages {mean:.1f}, from {lowest:.1f} ({worst}) to "
            f"{highest:.1f} ({best}); chance {chance:.1f}."
        )
    english, mean = table.loc["en", "value"], others["value"].mean()
    learnt = english - chance
    share = f"{100 * (mean - chance) / learnt:.0f}% of what English gains over chance crosses over"
    return (
        f"{title}: English {english:.1f}, mean of {len(others)} other languages {mean:.1f}, chance "
        f"{chance:.1f}: {share if learnt > 0 else 'English itself is not above chance'}."
    )
