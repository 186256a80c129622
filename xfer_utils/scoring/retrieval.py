"""The two targets without training: nearest neighbours and mined pairs of sentence vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from xfer_utils.formats import base, heads
from xfer_utils.formats.features import Features
from xfer_utils.learning import batches, encoders
from xfer_utils.learning.origins import ModelProblem
from xfer_utils.scoring import evaluation, formulas, search
from xfer_utils.sources.catalogue import MissingData
from xfer_utils.sources.data import Data
from xfer_utils.study.tasks import task

NEIGHBOURS = 4
STATES_BYTES = 8e9
Vectors = dict[int, np.ndarray]  # by layer


@dataclass(frozen=True)
class VectorSettings:
    """How sentences become vectors."""

    pooling: str
    max_length: int
    precision: str = "auto"


def default_layer(layers: int) -> int:
    """The paper's layer, 14 of 24, at the same relative depth (layer 0 is the embeddings)."""
    return max(1, round(layers * 14 / 24))


def evaluate(
    encoder: Any, data: Data, name: str, role: str, run_dir: Path, *, layer: int,
    how: VectorSettings, languages: Sequence[str] = (),
) -> list[dict]:  # fmt: skip
    """Scores one retrieval task in every language and keeps what was retrieved.

    Nearest neighbour also reports every other layer (main=False): which one is chosen matters.
    """
    row, last, results = task(name), encoder.config.num_hidden_layers, {}
    if not 0 <= layer <= last:
        raise ModelProblem(
            f"layer {layer} is not one of this model's, 0 to {last}: "
            "correct `layer:` in the study file"
        )
    if row.gold_only and _gold_only(data, name, role):
        row = task(row.gold_only)
    sentences = _Sentences(encoder, data, name, role, how)
    for language in evaluation.chosen(data.source.languages(name, role), languages):
        if row.metric == "mining_f1":
            frames = {layer: sentences.mined(language, layer)}
        else:
            frames = sentences.nearest(language, list(range(last + 1)))
        alternatives = base.of(row.format).alternatives(row, data.rows(name, role, language))
        for number, frame in frames.items():
            results.setdefault(number, []).append((language, frame, 100 / alternatives))
    scores, split = [], data.split_name(name, role)
    for number, parts in results.items():
        shown, whole = evaluation.score_languages(
            row, split, parts, layer=number, pooling=how.pooling
        )
        if number == layer:
            evaluation.save_predictions(run_dir, row.name, role, whole)
        scores += [score | {"main": score["main"] and number == layer} for score in shown]
    return scores


def _gold_only(data: Data, name: str, role: str) -> bool:
    """Whether every sentence has a partner: without distractors a mining F1 means nothing."""
    codes = data.source.languages(name, role)
    whole = {None not in data.rows(name, role, code)["match"] for code in codes}
    if len(whole) > 1:
        raise MissingData(
            f"{name}: pools of some languages lack distractors: leave those out, or complete them."
        )
    return True in whole


def embed(
    encoder: Any, features: Features, layers: list[int], pad: int, how: VectorSettings
) -> dict[int, np.ndarray]:
    """Sentence vectors of length 1, of each asked layer, from one pass."""
    if how.pooling == "first" and getattr(encoder.config, "xfer_attention", "") == "causal":
        raise ModelProblem(
            "This encoder is causal: its first token sees nothing. Use `pooling:` last or mean."
        )
    device = next(encoder.parameters()).device
    shape = (len(features), encoder.config.hidden_size)
    vectors = {layer: np.zeros(shape, np.float32) for layer in layers}
    encoder.eval()
    with torch.inference_mode():
        most = _tokens_per_batch(encoder.config, device.type)
        for _, rows in evaluation.sorted_batches([features.lengths], most):
            batch = batches.padded(features.take(rows), pad)
            batch = {key: value.to(device) for key, value in batch.items()}
            with torch.autocast(
                device.type, torch.bfloat16, enabled=encoders.in_bf16(how.precision)
            ):
                states = encoder(**batch, output_hidden_states=True).hidden_states
            for layer in layers:
                padded = heads.Padded(states[layer].float(), batch["attention_mask"])
                vectors[layer][rows] = padded.vectors(how.pooling).cpu().numpy()
    return {layer: search.normalise(vector) for layer, vector in vectors.items()}


def _tokens_per_batch(config: Any, device: str) -> int:
    """Tokens of one batch: the states of all its layers are held at once."""
    fitting = int(STATES_BYTES / (4 * config.hidden_size * (config.num_hidden_layers + 1)))
    return min(evaluation.TOKENS_PER_BATCH[device], max(1024, fitting))


@dataclass(frozen=True)
class _Sentences:
    """The sentences of one task and role, as an encoder reads them."""

    encoder: Any
    data: Data
    name: str
    role: str
    how: VectorSettings

    def sides(
        self, language: str, layers: list[int]
    ) -> tuple[pd.DataFrame, pd.DataFrame, Vectors, Vectors]:
        """The two sides as tables, and their vectors per layer."""
        rows = self.data.rows(self.name, self.role, language).to_pandas()
        part = self.data.features(self.name, self.role, language, max_length=self.how.max_length)
        vectors = embed(self.encoder, part, layers, self.data.tokenizer.pad_token_id, self.how)
        source = rows["side"].to_numpy() == "source"
        tables = [rows[side].reset_index(drop=True) for side in (source, ~source)]
        ours, english = (
            {layer: v[side] for layer, v in vectors.items()} for side in (source, ~source)
        )
        return *tables, ours, english

    def nearest(self, language: str, layers: list[int]) -> dict[int, pd.DataFrame]:
        """Each English sentence looks for its translation, as XTREME counts Tatoeba."""
        source, target, ours, english = self.sides(language, layers)
        frames = {}
        for layer in layers:
            places = search.nearest(english[layer], ours[layer], device=_device())
            translations = source["id"].to_numpy()[places]
            correct = (target["match"].to_numpy() == translations).astype(int)
            columns = {"gold": target["match"], "prediction": translations, "correct": correct}
            frames[layer] = target[["id", "item", "cluster", "text"]].assign(**columns)
        return frames

    def mined(self, language: str, layer: int) -> pd.DataFrame:
        """Mined and gold pairs; the threshold is dev's, or cross-fitted where dev is scored."""
        mined = self.candidates(language, layer)
        if self.role == "test" and self.data.source.has(self.name, "dev", language):
            dev = replace(self, role="dev").candidates(language, layer)
            correct = np.array([pair in dev.gold for pair in dev.pairs])
            passed = mined.margins >= search.best_threshold(dev.margins, correct, len(dev.gold))
        else:
            passed, _ = search.cross_fit(mined.pairs, mined.margins, mined.gold)
        extracted = [pair for pair, ok in zip(mined.pairs, passed, strict=True) if ok]
        counts = formulas.mining_counts(extracted, mined.gold)
        partner, ids = dict(mined.gold), counts["source_id"]
        gold = [partner.get(name, "") for name in ids]
        names = {"id": ids, "item": ids, "cluster": ids}
        frame = counts.drop(columns=["source_id", "target_id"])
        return frame.assign(**names, gold=gold, prediction=counts["target_id"])

    def candidates(self, language: str, layer: int) -> "_Mined":
        """All mined pairs with their margins, and the gold pairs."""
        source, target, ours, english = self.sides(language, [layer])
        gold = {(row.id, row.match) for row in source.itertuples() if isinstance(row.match, str)}
        first, repeated = search.unique_texts(source["text"].tolist())
        first_en, repeated_en = search.unique_texts(target["text"].tolist())
        vectors = ours[layer][first], english[layer][first_en]
        mined = search.mine(*vectors, NEIGHBOURS, device=_device())
        clean = ~(repeated[mined.source] | repeated_en[mined.target])
        ids, ids_en = source["id"].to_numpy()[first], target["id"].to_numpy()[first_en]
        pairs = zip(ids[mined.source[clean]], ids_en[mined.target[clean]], strict=True)
        return _Mined(list(pairs), mined.margin[clean], gold)


class _Mined(NamedTuple):
    pairs: list[tuple[str, str]]
    margins: np.ndarray
    gold: set[tuple[str, str]]


def _device() -> str:
    return encoders.device().type
