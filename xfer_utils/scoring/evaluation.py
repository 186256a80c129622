"""From a trained model to predictions on disk and scores: all languages of a task in one pass."""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open

from xfer_utils.formats import base
from xfer_utils.formats.features import Features
from xfer_utils.learning import batches
from xfer_utils.learning.task_model import TaskModel
from xfer_utils.scoring import formulas, metrics, search
from xfer_utils.scoring.scores import language_scores, predictions_path
from xfer_utils.sources.base import digest
from xfer_utils.sources.data import Data
from xfer_utils.study import kept, paths
from xfer_utils.study.tasks import Task, task

# Tokens of a batch; a CPU is fastest where a layer's states fit its cache.
TOKENS_PER_BATCH = {"cpu": 1024, "cuda": 65536}
GUESSES = 20  # their mean adds a fortieth to the standard error of a score that is held against it


def evaluate(
    model: TaskModel, head: str, data: Data, name: str, role: str, run_dir: Path, *,
    languages: Sequence[str] = (), **reading: int,
) -> list[dict]:  # fmt: skip
    """Predicts a task in the chosen languages (or all), keeps the predictions, scores each."""
    codes = chosen(data, name, role, languages)
    evaluated = partial(score, model, head, data, name, role, codes, **reading)
    scores, frame = evaluated()
    save_predictions(run_dir, name, role, frame)
    return scores + by_checkpoint(model, evaluated) if model.kept else scores


def by_checkpoint(model: TaskModel, evaluate: Callable[[], tuple[list, Any]]) -> list[dict]:
    """Main scores by four ways to choose among the weights that a training has kept.

    `last`; `english_dev`, the best on English dev; `averaged` weights of the later half; and
    `oracle`, in each language the best on the very items scored: a bound that nobody could choose.
    """
    states, dev = [], []
    for path in model.kept:
        with safe_open(path, "pt") as file:
            states.append({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            dev.append(float(file.metadata()["english_dev"]))
    later = states[len(states) // 2 :]
    means = {name: torch.stack([s[name] for s in later]).double().mean(0) for name in states[0]}
    tables = []
    for state in (means, *states):  # the last weights stay in the model
        model.load_state_dict(state, strict=False)
        tables.append({row["language"]: row for row in evaluate()[0] if row["main"]})
    averaged, *moments = tables
    scores = []
    for code in averaged:
        oracle = max((table[code] for table in moments), key=lambda row: row["value"])
        choices = {"last": moments[-1][code], "english_dev": moments[int(np.argmax(dev))][code]}
        choices |= {"averaged": averaged[code], "oracle": oracle}
        scores += [{**row, "main": False, "checkpoint": how} for how, row in choices.items()]
    return scores


def chosen(data: Data, name: str, role: str, languages: Sequence[str]) -> list[str]:
    """The languages of a task that a study evaluates; all where it names none."""
    available = data.source.languages(name, role)
    return [code for code in available if not languages or code in languages]


def score(
    model: TaskModel, head: str, data: Data, name: str, role: str, languages: Sequence[str], *,
    most: int = 0, clean: bool = False, **lengths: int,
) -> tuple[list[dict], pd.DataFrame]:  # fmt: skip
    """Scores of a task in some languages, and the examples table that they were made from."""
    row, names, parts = task(name), data.source.label_names(name), []
    which = {"most": most, "clean": clean}
    features = [data.features(name, role, code, **which, **lengths) for code in languages]
    outputs = predict(model, head, features, data.tokenizer.pad_token_id)
    for code, part, output in zip(languages, features, outputs, strict=True):
        rows = data.rows(name, role, code, **which)[:]
        frame = item_frame(row, rows, part, output, names, code)
        parts.append((code, frame, chance(row, rows, names, code)))
    return score_languages(row, data.split_name(name, role), parts)


def predict(model: TaskModel, head: str, parts: list[Features], pad: int) -> list[np.ndarray]:
    """Raw outputs of several features, per row or per token, in one pass over sorted batches."""
    device = next(model.parameters()).device
    form = base.of(parts[0].format)
    width = getattr(model.heads[head], "outputs", 0)
    outputs = [form.empty_outputs(part, width) for part in parts]
    model.eval()
    with torch.inference_mode():
        for output, part in zip(outputs, parts, strict=True):
            starts, lengths = part.arrays["starts"], part.lengths
            for rows, batch in sorted_batches(part, pad, TOKENS_PER_BATCH[device.type], device):
                with torch.autocast(device.type, torch.bfloat16, enabled=model.bf16):
                    logits = model(task=head, **batch)["logits"].float()
                row_outputs = form.row_outputs(logits, lengths[rows])
                for row, values in zip(rows, row_outputs, strict=True):
                    place = slice(starts[row], starts[row + 1]) if form.per_token else row
                    output[place] = values
    return outputs


def sorted_batches(
    part: Features, pad: int, tokens: int, device: torch.device
) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
    """Rows, longest first, and their batches of at most `tokens` tokens with padding."""
    order, at = np.argsort(-part.lengths, kind="stable"), 0
    while at < len(order):
        rows = order[at : at + max(1, tokens // int(part.lengths[order[at]]))]
        batch = batches.padded(part.take(rows), pad)
        yield rows, {key: value.to(device) for key, value in batch.items()}
        at += len(rows)


def item_frame(
    row: Task, rows: base.Rows, part: Features, output: np.ndarray, names: list[str], language: str
) -> pd.DataFrame:
    """The examples of one language: ids, gold, prediction, and the counts scores are made of."""
    form = base.of(row.format)
    predictions = form.predictions(rows, part, output, names, nearest)
    ids = pd.DataFrame({key: list(rows[key]) for key in ("id", "item", "cluster")})
    return ids.join(item_columns(row, form.gold(rows, names), predictions, language))


def nearest(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Places of the best candidates of each query, best first."""
    return search.top_k(queries, candidates, formulas.TOP).index


def item_columns(row: Task, gold: list, predictions: list, language: str) -> pd.DataFrame:
    """Gold and prediction of each item as stored, lists as JSON, and the metric's counts."""
    frame = pd.DataFrame({"gold": gold, "prediction": predictions}).map(_stored)
    return frame.join(metrics.items(row, frame.assign(language=language)))


def _stored(value: str | list) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def chance(row: Task, rows: base.Rows, names: Sequence[str], language: str) -> float:
    """The main score (0..100) of guessing in one language, the mean of GUESSES random ones.

    One alone would be off by up to a point. It is found once for the same rows and metric.
    """
    form = base.of(row.format)
    if alternatives := form.alternatives(row, rows):
        ranked = row.metric == "map_at_20"
        return formulas.random_precision(1, alternatives) if ranked else 100 / alternatives
    mark = digest(row.metric, metrics.code(row.metric), language, names, rows)

    def guess(file: Path) -> None:
        gold, scores = form.gold(rows, names), []
        for number in range(GUESSES):
            guesses = form.guesses(row, rows, gold, random.Random(number))
            counts = metrics.counts(row, item_columns(row, gold, guesses, language))
            scores.append(float(metrics.main_score(row, counts.sum())))
        file.write_text(str(np.mean(scores)), encoding="utf-8")

    path = paths.outputs() / "cache" / "chance" / f"{mark}.txt"
    return float(kept.cached(path, guess).read_text(encoding="utf-8"))


def score_languages(
    row: Task, split: str, parts: Iterable[tuple[str, pd.DataFrame, float]], **factors: Any
) -> tuple[list[dict], pd.DataFrame]:
    """Scores of a task and its whole examples table, from (language, examples, chance)."""
    scores, frames = [], []
    for language, frame, by_chance in parts:
        frame.insert(0, "language", language)
        frame.insert(1, "split", split)
        scores += language_scores(row, frame, by_chance, **factors)
        frames.append(frame)
    return scores, pd.concat(frames, ignore_index=True)


def save_predictions(run_dir: Path, name: str, role: str, frame: pd.DataFrame) -> None:
    """Predictions as Parquet: every score can be made from them again."""
    path = predictions_path(run_dir, name, role)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False)
