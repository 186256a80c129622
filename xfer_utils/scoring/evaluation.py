"""From a trained model to predictions on disk and scores: all languages of a task in one pass."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from xfer_utils.formats import spans
from xfer_utils.formats.features import Features
from xfer_utils.learning import batches, encoders
from xfer_utils.learning.task_model import TaskModel
from xfer_utils.scoring import metrics, search
from xfer_utils.sources.data import Data
from xfer_utils.study.tasks import Task, task

TOP = 20  # candidates that a ranking keeps
TOKENS_PER_BATCH = {
    "cpu": 1024,
    "cuda": 65536,
}  # a CPU is fastest where a layer's states fit its cache


def evaluate(
    model: TaskModel, head: str, data: Data, name: str, role: str, run_dir: Path, *, max_length: int,
    doc_stride: int = 128, most: int = 0, languages: list[str] = (),
) -> list[dict]:  # fmt: skip
    """Predicts a task in the chosen languages (or all), keeps the predictions, scores each."""
    languages = chosen(data.source.languages(name, role), languages)
    settings = {"max_length": max_length, "doc_stride": doc_stride, "most": most}
    scores, frame = score(model, head, data, name, role, languages, **settings)
    save_predictions(run_dir, name, frame)
    return scores


def chosen(available: list[str], languages: list[str]) -> list[str]:
    """The available languages that a study evaluates; all where it names none."""
    return [code for code in available if not languages or code in languages]


def score(
    model: TaskModel, head: str, data: Data, name: str, role: str, languages: list[str], *, max_length: int,
    doc_stride: int = 128, most: int = 0, clean: bool = False,
) -> tuple[list[dict], pd.DataFrame]:  # fmt: skip
    """Scores of a task in some languages, and the examples table that they were made from."""
    row, frames, scores = task(name), [], []
    settings = {"max_length": max_length, "doc_stride": doc_stride, "most": most, "clean": clean}
    features = [data.features(name, role, code, **settings) for code in languages]
    outputs = predict(model, head, features, data.tokenizer.pad_token_id)
    for code, part, output in zip(languages, features, outputs, strict=True):
        rows = data.rows(name, role, code, most, clean)
        frame = item_frame(row, rows, part, output, data.source.label_names(name), code)
        frame.insert(0, "language", code)
        frame.insert(1, "split", data.split_name(name, role))
        frames.append(frame)
        scores += language_scores(row, frame, metrics.chance(row, rows.to_list(), code))
    return scores, pd.concat(frames, ignore_index=True)


def predict(model: TaskModel, head: str, parts: list[Features], pad: int) -> list[np.ndarray]:
    """Raw outputs of several features in one pass over length-sorted batches.

    Class logits (of pairs: a vector) per row; for token tasks the best label of each token; for spans start and end
    logits of each token.
    """
    device = next(model.parameters()).device
    kind = parts[0].format
    outputs = [_empty(model, head, part) for part in parts]
    model.eval()
    with torch.inference_mode():
        for number, rows in sorted_batches(
            [part.lengths for part in parts], TOKENS_PER_BATCH[device.type]
        ):
            part = parts[number]
            batch = batches.padded(part, rows, pad)
            if kind == "token":
                wanted = np.ones(int(part.lengths[rows].sum()), bool)
                batch["positions"], _ = batches.token_positions(part, rows, wanted)
            if kind == "choice":
                batch["choices"] = 1
            batch = {
                key: value.to(device) if torch.is_tensor(value) else value
                for key, value in batch.items()
            }
            with torch.autocast(device.type, torch.bfloat16, enabled=model.bf16):
                logits = model(task=head, **batch)["logits"].float()
            _store(outputs[number], part, rows, logits)
    return outputs


def sorted_batches(lengths: list[np.ndarray], tokens: int) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of each part, longest first, in batches of at most `tokens` tokens with padding."""
    for number, part in enumerate(lengths):
        order = np.argsort(-part, kind="stable")
        at = 0
        while at < len(order):
            size = max(1, tokens // int(part[order[at]]))
            yield number, order[at : at + size]
            at += size


def _empty(model: TaskModel, head: str, part: Features) -> np.ndarray:
    if part.format == "token":
        return np.zeros(len(part.arrays["ids"]), np.int32)
    if part.format == "span":
        return np.zeros((len(part.arrays["ids"]), 2), np.float32)
    return np.zeros((len(part), model.heads[head].outputs), np.float32)


def _store(output: np.ndarray, part: Features, rows: np.ndarray, logits: torch.Tensor) -> None:
    if part.format not in ("token", "span"):
        output[rows] = logits.cpu().numpy()
        return
    starts, lengths = part.arrays["starts"], part.lengths
    if part.format == "token":
        flat = logits.argmax(-1).int().cpu().numpy()
        for row, piece in zip(rows, np.split(flat, np.cumsum(lengths[rows])[:-1]), strict=True):
            output[starts[row] : starts[row + 1]] = piece
        return
    block = logits.cpu().numpy()
    for place, row in enumerate(rows):
        output[starts[row] : starts[row + 1]] = block[place, : lengths[row]]


def item_frame(
    row: Task, rows: Any, part: Features, output: np.ndarray, names: list[str], language: str
) -> pd.DataFrame:
    """The examples table of one language: ids, gold, prediction, and the counts that scores are made of."""
    columns = rows[:]
    base = {key: list(columns[key]) for key in ("id", "item", "cluster")}
    if row.format in ("sequence", "choice"):
        predicted = _classes(part, output)
        gold = np.asarray(columns["label"])
        counts = {
            "gold": [_label(names, g) for g in gold],
            "prediction": [_label(names, p) for p in predicted],
            "correct": (gold == predicted).astype(int),
        }
    elif row.format == "token":
        counts = _tag_columns(columns["tags"], part, output, names)
    elif row.format == "pair":
        counts = _pair_columns(columns, output)
    else:
        counts = _span_columns(row, columns, part, output, language)
    return pd.DataFrame({**base, **counts})


def _classes(part: Features, output: np.ndarray) -> np.ndarray:
    if part.format == "sequence":
        return output.argmax(1)
    bounds = part.units
    return np.array([output[a:b, 0].argmax() for a, b in itertools.pairwise(bounds)])


def _label(names: list[str], number: int) -> str:
    return names[number] if names else str(number)


def _tag_columns(tags: list, part: Features, output: np.ndarray, names: list[str]) -> dict:
    words, labels = part.arrays["words"], part.arrays["labels"]
    example = np.repeat(part.arrays["example"], part.lengths)
    kept = (words >= 0) & (labels >= 0)
    gold = [[names[tag] for tag in sentence if tag >= 0] for sentence in tags]
    predicted = [[] for _ in gold]
    for place, tag in zip(example[kept], output[kept], strict=True):
        predicted[place].append(names[tag])
    counts = [metrics.tag_counts(g, p) for g, p in zip(gold, predicted, strict=True)]
    as_json = {
        "gold": [json.dumps(sentence) for sentence in gold],
        "prediction": [json.dumps(sentence) for sentence in predicted],
    }
    return {**as_json, **pd.DataFrame(counts).to_dict("list")}


def _pair_columns(columns: dict, output: np.ndarray) -> dict:
    """Each question looks for its passage among all; equal passages are one, called by its first row's id."""
    first: dict[tuple, str] = {}
    texts = zip(columns["passage"], columns["context"], columns["id"], strict=True)
    names = np.array(
        [first.setdefault((passage, context), name) for passage, context, name in texts]
    )
    found = search.top_k(output[0::2], output[1::2], TOP, device=encoders.device().type).index
    return ranked_columns([{name} for name in names], names[found])


def ranked_columns(golds: list[set[str]], found: np.ndarray) -> dict:
    """What is right and what was found, best first, with the average precision of the latter."""
    return {
        "gold": [json.dumps(sorted(gold)) for gold in golds],
        "prediction": [json.dumps(ranked.tolist()) for ranked in found],
        "ap": [
            metrics.average_precision(r.tolist(), g, TOP) for r, g in zip(found, golds, strict=True)
        ],
    }


def _span_columns(
    row: Task, columns: dict, part: Features, output: np.ndarray, language: str
) -> dict:
    width = int(part.lengths.max())
    shape = (len(part), width)
    grid = np.arange(width) < part.lengths[:, None]
    start, end, begin, stop = (
        np.full(shape, fill, kind)
        for fill, kind in ((-1e9, np.float32),) * 2 + ((-1, np.int32),) * 2
    )
    start[grid], end[grid] = output[:, 0], output[:, 1]
    begin[grid], stop[grid] = part.arrays["offsets"][:, 0], part.arrays["offsets"][:, 1]
    answers = spans.best_spans(
        start, end, part.arrays["example"], begin, stop, begin >= 0, n_examples=len(columns["id"]),
        null=any(not answer["text"] for answer in columns["answers"]),
    )  # fmt: skip
    texts = spans.answer_texts(answers, columns["context"])
    golds = [answer["text"] for answer in columns["answers"]]
    counts = [
        metrics.answer_counts(text, gold, row.metric, language)
        for text, gold in zip(texts, golds, strict=True)
    ]
    return {
        "gold": [json.dumps(gold, ensure_ascii=False) for gold in golds],
        "prediction": texts,
        **pd.DataFrame(counts).to_dict("list"),
    }


def language_scores(row: Task, frame: pd.DataFrame, chance: float, **more: Any) -> list[dict]:
    """Score rows of one task in one language."""
    first = frame.iloc[0]
    main = metrics.main_metric(row.metric)
    return [
        {
            "task": row.name,
            "language": first["language"],
            "split": first["split"],
            "metric": metric,
            "value": value,
            "n": len(frame),
            "main": metric == main,
            "chance": chance if metric == main and np.isfinite(chance) else None,
            **more,
        }
        for metric, value in metrics.scores(row.metric, frame).items()
    ]


def save_predictions(run_dir: Path, name: str, frame: pd.DataFrame) -> None:
    """Predictions as Parquet: every score can be made from them again."""
    path = run_dir / "predictions" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False)
