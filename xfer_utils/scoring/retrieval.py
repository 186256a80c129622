"""The two targets without training: sentence vectors from one layer, nearest neighbours, mined pairs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from xfer_utils.formats import heads
from xfer_utils.formats.features import Features
from xfer_utils.learning import batches, encoders
from xfer_utils.learning.origins import ModelProblem
from xfer_utils.scoring import metrics, search
from xfer_utils.scoring.evaluation import (
    TOKENS_PER_BATCH,
    chosen,
    language_scores,
    save_predictions,
    sorted_batches,
)
from xfer_utils.sources.catalogue import MissingData
from xfer_utils.sources.data import Data
from xfer_utils.study.tasks import task

NEIGHBOURS = 4
STATES_BYTES = 8e9


@dataclass(frozen=True)
class VectorSettings:
    """How sentences become vectors."""

    pooling: str
    max_length: int
    precision: str = "auto"


def default_layer(layers: int) -> int:
    """The paper's choice, layer 14 of 24, at the same relative depth (layer 0 is the embeddings)."""
    return max(1, round(layers * 14 / 24))


def evaluate(
    encoder: Any, data: Data, name: str, role: str, run_dir: Path, *, layer: int, how: VectorSettings,
    languages: list[str] = (),
) -> list[dict]:  # fmt: skip
    """Scores one retrieval task in every language and keeps what was retrieved.

    Nearest neighbour also reports every other layer (main=False): the choice of layer is part of the result.
    """
    row, scores, frames, last = task(name), [], [], encoder.config.num_hidden_layers
    if not 0 <= layer <= last:
        raise ModelProblem(
            f"layer {layer} is not one of this model's, 0 to {last}: correct `layer:` in the study file"
        )
    if row.gold_only and _gold_only(data, name, role):
        row = task(row.gold_only)
    for language in chosen(data.source.languages(name, role), languages):
        rows = data.rows(name, role, language)
        if row.metric == "mining_f1":
            found = {layer: _mined(encoder, data, name, role, language, layer, how)}
        else:
            found = _nearest(encoder, data, name, role, language, list(range(last + 1)), how)
        chance = 100 / max(1, sum(side == "target" for side in rows["side"]))
        for number, frame in found.items():
            frame.insert(0, "language", language)
            frame.insert(1, "split", data.split_name(name, role))
            shown = language_scores(row, frame, chance, layer=number, pooling=how.pooling)
            scores += shown if number == layer else [{**score, "main": False} for score in shown]
        frames.append(found[layer])
    save_predictions(run_dir, row.name, pd.concat(frames, ignore_index=True))
    return scores


def _gold_only(data: Data, name: str, role: str) -> bool:
    """Whether every sentence of the pools has a partner: without distractors a mining F1 means nothing."""
    whole = [
        None not in data.rows(name, role, code)["match"]
        for code in data.source.languages(name, role)
    ]
    if len(set(whole)) > 1:
        raise MissingData(
            f"{name}: pools of some languages lack distractors: leave those out, or complete them."
        )
    return any(whole)


def embed(
    encoder: Any, features: Features, layers: list[int], pad: int, how: VectorSettings
) -> dict[int, np.ndarray]:
    """Normalised sentence vectors of each asked layer from one pass; the mean covers all unmasked positions."""
    if how.pooling == "first" and getattr(encoder.config, "xfer_attention", "") == "causal":
        raise ModelProblem(
            "This encoder is causal: its first token sees nothing. Use `pooling:` last or mean."
        )
    device = next(encoder.parameters()).device
    shape = (len(features), encoder.config.hidden_size)
    vectors = {layer: np.zeros(shape, np.float32) for layer in layers}
    encoder.eval()
    with torch.inference_mode():
        for _, rows in sorted_batches(
            [features.lengths], _tokens_per_batch(encoder.config, device.type)
        ):
            batch = {
                key: value.to(device) for key, value in batches.padded(features, rows, pad).items()
            }
            with torch.autocast(
                device.type, torch.bfloat16, enabled=encoders.in_bf16(how.precision)
            ):
                states = encoder(**batch, output_hidden_states=True).hidden_states
            for layer in layers:
                pooled = heads.pooled(states[layer].float(), batch["attention_mask"], how.pooling)
                vectors[layer][rows] = pooled.cpu().numpy()
    return {layer: search.normalise(vector) for layer, vector in vectors.items()}


def _tokens_per_batch(config: Any, device: str) -> int:
    """Tokens of one batch: the states of all its layers are held at once."""
    fitting = int(STATES_BYTES / (4 * config.hidden_size * (config.num_hidden_layers + 1)))
    return min(TOKENS_PER_BATCH[device], max(1024, fitting))


def _sides(
    encoder: Any, data: Data, name: str, role: str, language: str, layers: list[int], how: VectorSettings
) -> tuple[pd.DataFrame, pd.DataFrame, dict, dict]:  # fmt: skip
    """The two sides of a task as tables, and their vectors per layer."""
    rows = data.rows(name, role, language).to_pandas()
    features = data.features(name, role, language, max_length=how.max_length)
    vectors = embed(encoder, features, layers, data.tokenizer.pad_token_id, how)
    source = rows["side"].to_numpy() == "source"
    return (
        rows[source].reset_index(drop=True),
        rows[~source].reset_index(drop=True),
        {layer: vector[source] for layer, vector in vectors.items()},
        {layer: vector[~source] for layer, vector in vectors.items()},
    )


def _nearest(
    encoder: Any, data: Data, name: str, role: str, language: str, layers: list[int], how: VectorSettings
) -> dict[int, pd.DataFrame]:  # fmt: skip
    """Each English sentence looks for its translation, as XTREME counts Tatoeba."""
    source, target, ours, english = _sides(encoder, data, name, role, language, layers, how)
    frames = {}
    for layer in layers:
        found = source["id"].to_numpy()[
            search.nearest(english[layer], ours[layer], device=_device())
        ]
        columns = {key: target[key] for key in ("id", "item", "cluster", "text")}
        correct = (target["match"].to_numpy() == found).astype(int)
        frames[layer] = pd.DataFrame(
            {**columns, "gold": target["match"], "prediction": found, "correct": correct}
        )
    return frames


def _mined(
    encoder: Any, data: Data, name: str, role: str, language: str, layer: int, how: VectorSettings
) -> pd.DataFrame:  # fmt: skip
    """Mined pairs against the gold pairs; the threshold comes from dev, or is cross-fitted where dev is scored."""
    pairs, margins, gold = _candidates(encoder, data, name, role, language, layer, how)
    if role == "test" and data.source.has(name, "dev", language):
        dev_pairs, dev_margins, dev_gold = _candidates(
            encoder, data, name, "dev", language, layer, how
        )
        right = np.array([pair in dev_gold for pair in dev_pairs])
        passed = margins >= search.best_threshold(dev_margins, right, len(dev_gold))
    else:
        passed, _ = search.cross_fit(pairs, margins, gold)
    kept = [pair for pair, ok in zip(pairs, passed, strict=True) if ok]
    counts = metrics.mining_counts(kept, gold)
    partner = dict(gold)
    ids = counts["source_id"]
    return counts.drop(columns=["source_id", "target_id"]).assign(
        id=ids,
        item=ids,
        cluster=ids,
        gold=[partner.get(i, "") for i in ids],
        prediction=counts["target_id"],
    )


def _candidates(
    encoder: Any, data: Data, name: str, role: str, language: str, layer: int, how: VectorSettings
) -> tuple[list[tuple[str, str]], np.ndarray, set[tuple[str, str]]]:  # fmt: skip
    """All mined pairs with their margins, and the gold pairs."""
    source, target, ours, english = _sides(encoder, data, name, role, language, [layer], how)
    gold = {(row.id, row.match) for row in source.itertuples() if isinstance(row.match, str)}
    keep, repeated = search.unique_texts(source["text"].tolist())
    keep_en, repeated_en = search.unique_texts(target["text"].tolist())
    mined = search.mine(ours[layer][keep], english[layer][keep_en], NEIGHBOURS, device=_device())
    clean = ~(repeated[mined.source] | repeated_en[mined.target])
    ids, ids_en = source["id"].to_numpy()[keep], target["id"].to_numpy()[keep_en]
    pairs = list(zip(ids[mined.source[clean]], ids_en[mined.target[clean]], strict=True))
    return pairs, mined.margin[clean], gold


def _device() -> str:
    return encoders.device().type
