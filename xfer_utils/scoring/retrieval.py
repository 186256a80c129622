"""The two targets without training: nearest neighbours and mined pairs of sentence vectors."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from xfer_utils.formats import heads
from xfer_utils.formats.features import Features
from xfer_utils.learning import encoders
from xfer_utils.learning.origins import ModelProblem
from xfer_utils.scoring import evaluation, formulas, metrics, search
from xfer_utils.sources.data import Data
from xfer_utils.study.tasks import Task, task

Side = tuple[pd.DataFrame, dict[int, np.ndarray]]  # sentences, and their vectors by layer
Pair = tuple[str, str]
STATES_BYTES = 8e9  # of a batch: the states of all layers are held at once
EVERY = "every"  # a pooling: the mean, and beside it what else could have been chosen


@dataclass(frozen=True)
class VectorSettings:
    """How sentences become vectors; tokens of the ids `left_out` are not pooled."""

    pooling: str
    max_length: int
    precision: str = "auto"
    left_out: tuple[int, ...] = ()


def default_layer(layers: int) -> int:
    """The paper's layer, 14 of 24, at the same relative depth (layer 0 is the embeddings)."""
    return max(1, round(layers * 14 / 24))


def evaluate(
    encoder: Any, data: Data, name: str, role: str, run_dir: Path, *, layer: int,
    how: VectorSettings, languages: Sequence[str] = (),
) -> list[dict]:  # fmt: skip
    """Scores a retrieval task; nearest neighbours by all layers, of which `layer` is main."""
    row, last = task(name), encoder.config.num_hidden_layers
    every, how = how.pooling == EVERY, replace(how, pooling=how.pooling.replace(EVERY, "mean"))
    if not 0 <= layer <= last:
        problem = f"layer {layer} is not one of this model's, 0 to {last}"
        raise ModelProblem(f"{problem}: correct `layer:` in the study file")
    available = data.source.languages(name, role)
    complete = (None not in data.rows(name, role, code)["match"] for code in available)
    if row.gold_only and any(complete):  # without distractors a mining F1 would mean nothing
        row = task(row.gold_only)
    mining, split = row.metric == "mining_f1", data.split_name(name, role)
    layers = [layer] if mining else range(last + 1)
    scores, tables, read = [], [], partial(_sides, encoder, data, name, layers, how)
    for language in evaluation.chosen(data, name, role, languages):
        sides = read(role, language)
        if mining:
            has_dev = role == "test" and data.source.has(name, "dev", language)
            frames = [_mined(sides, layer, read("dev", language) if has_dev else None)]
        else:
            frames = [_nearest(sides, number) for number in layers]
        for number, frame in zip(layers, frames, strict=True):
            part = (language, frame, 100 / len(sides[1][0]))
            factors = {"layer": number, "pooling": how.pooling}
            shown, table = evaluation.score_languages(row, split, [part], **factors)
            scores += [score | {"main": score["main"] and number == layer} for score in shown]
            if number == layer:
                tables.append(table)
        if every and not mining:
            place = {"language": language, "split": split}
            ways = _every_way(encoder, data, row, role, language, how)
            scores += [score | place for score in ways]
    evaluation.save_predictions(run_dir, row.name, role, pd.concat(tables, ignore_index=True))
    return scores


def embed(
    encoder: Any, part: Features, layers: Sequence[int], pad: int, how: VectorSettings
) -> dict[int, np.ndarray]:
    """Sentence vectors of length 1, of each asked layer, from one pass."""
    config, device = encoder.config, next(encoder.parameters()).device
    if how.pooling == "first" and getattr(config, "xfer_attention", "") == "causal":
        problem = "This encoder is causal: its first token sees nothing"
        raise ModelProblem(f"{problem}. Use `pooling:` last or mean.")
    vectors = {layer: np.zeros((len(part), config.hidden_size), np.float32) for layer in layers}
    fitting = int(STATES_BYTES / (4 * config.hidden_size * (config.num_hidden_layers + 1)))
    tokens = min(evaluation.TOKENS_PER_BATCH[device.type], fitting)
    bf16 = encoders.in_bf16(how.precision)
    encoder.eval()
    with torch.inference_mode():
        for rows, batch in evaluation.sorted_batches(part, pad, tokens, device):
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                states = encoder(**batch, output_hidden_states=True).hidden_states
            mask, ids = batch["attention_mask"], batch["input_ids"]
            kept = mask * ~torch.isin(ids, torch.tensor(how.left_out).to(ids))
            mask = torch.where(kept.any(dim=1, keepdim=True), kept, mask)  # all, if a row has none
            for layer in layers:
                padded = heads.Padded(states[layer].float(), mask)
                vectors[layer][rows] = padded.vectors(how.pooling).cpu().numpy()
    return {layer: search.normalise(vector) for layer, vector in vectors.items()}


def _sides(
    encoder: Any, data: Data, name: str, layers: Sequence[int], how: VectorSettings, role: str,
    language: str,
) -> list[Side]:  # fmt: skip
    """The sentences of one language, and the English ones."""
    rows = data.rows(name, role, language).to_pandas()
    part = data.features(name, role, language, max_length=how.max_length)
    vectors = embed(encoder, part, layers, data.tokenizer.pad_token_id, how)
    sides = []
    for own in (rows["side"] == "source", rows["side"] == "target"):
        by_layer = {layer: vectors[layer][own] for layer in layers}
        sides.append((rows[own].reset_index(drop=True), by_layer))
    return sides


def _nearest(sides: list[Side], layer: int) -> pd.DataFrame:
    """Each English sentence looks for its translation, as XTREME counts Tatoeba."""
    (source, ours), (target, english) = sides
    places = search.nearest(english[layer], ours[layer])
    translations, gold = source["id"].to_numpy()[places], target["match"]
    correct = (gold == translations).astype(int)
    frame = target[["id", "item", "cluster", "text"]]
    return frame.assign(gold=gold, prediction=translations, correct=correct)


def _every_way(
    encoder: Any, data: Data, row: Task, role: str, language: str, how: VectorSettings
) -> Iterator[dict]:
    """Scores of every layer, pooling and measure, and the shape of the space; none is main.

    `anisotropy` is the mean cosine of two different sentences, `reached` the share of sentences
    that are the nearest of some query: hubs leave others unreached. Both are from 0 to 100.
    """
    known = {"task": row.name, "main": False, "metric_code": metrics.code(row.metric)}
    layers, special = range(encoder.config.num_hidden_layers + 1), data.tokenizer.all_special_ids
    for pooling, left_out in (("mean", ()), ("mean", tuple(special)), ("first", ())):
        way = replace(how, pooling=pooling, left_out=left_out)
        sides = _sides(encoder, data, row.name, layers, way, role, language)
        (source, ours), (target, english) = sides
        right, n = pd.Index(source["id"]).get_indexer(target["match"]), len(source)
        for layer, centred in itertools.product(layers, (False, True)):
            vectors = [side[layer] for side in (english, ours)]
            if centred:
                vectors = [search.normalise(own - own.mean(axis=0)) for own in vectors]
            nearest = search.nearest(*vectors)
            cosines = (np.square(vectors[1].sum(axis=0)).sum() - n) / max(1, n * (n - 1))
            by_margin = search.nearest_by_margin(*vectors)
            factors = {"layer": layer, "pooling": pooling, "special": not left_out}
            factors |= {"centred": centred, "n": len(target), **known}
            for metric, by, value in (
                ("accuracy", "cosine", (nearest == right).mean()),
                ("accuracy", "margin", (by_margin == right).mean()),
                ("reached", "cosine", len(set(nearest)) / n),
                ("anisotropy", "cosine", cosines),
            ):
                yield factors | {"metric": metric, "by": by, "value": 100 * float(value)}


def _mined(sides: list[Side], layer: int, dev: list[Side] | None) -> pd.DataFrame:
    """Mined and gold pairs; the threshold is dev's, or cross-fitted where dev is scored."""
    pairs, margins, gold = _candidates(sides, layer)
    if dev:
        dev_pairs, dev_margins, dev_gold = _candidates(dev, layer)
        correct = np.array([pair in dev_gold for pair in dev_pairs])
        passed = margins >= search.best_threshold(dev_margins, correct, len(dev_gold))
    else:
        passed = search.cross_fit(pairs, margins, gold)
    return formulas.mining_counts(itertools.compress(pairs, passed), gold)


def _candidates(sides: list[Side], layer: int) -> tuple[list[Pair], np.ndarray, set[Pair]]:
    """All mined pairs and their margins, and the gold pairs.

    XTREME mines over unique sentences but never extracts a pair with a repeated one.
    """
    (source, ours), (target, english) = sides
    matched = source.dropna(subset="match")
    gold = set(zip(matched["id"], matched["match"], strict=True))
    first, first_en = (np.flatnonzero(~table["text"].duplicated()) for table, _ in sides)
    i, j, margins = search.mine(ours[layer][first], english[layer][first_en])
    mined, mined_en = source.iloc[first[i]], target.iloc[first_en[j]]
    repeated, repeated_en = (table["text"].duplicated(keep=False) for table, _ in sides)
    clean = ~(repeated[mined.index].to_numpy() | repeated_en[mined_en.index].to_numpy())
    pairs = zip(mined["id"][clean], mined_en["id"][clean], strict=True)
    return list(pairs), margins[clean], gold
