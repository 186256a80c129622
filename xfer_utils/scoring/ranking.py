"""Targets that are searched by a trained dual encoder: each query ranks the candidates of all languages."""

from pathlib import Path

import numpy as np
import pandas as pd

from xfer_utils.formats.features import Features
from xfer_utils.learning import encoders
from xfer_utils.learning.task_model import TaskModel
from xfer_utils.scoring import metrics, search
from xfer_utils.scoring.evaluation import (
    TOP,
    chosen,
    language_scores,
    predict,
    ranked_columns,
    save_predictions,
)
from xfer_utils.sources.data import Data, spread
from xfer_utils.sources.folder import ENTITIES
from xfer_utils.study.tasks import task

POOL = 16384  # candidates whose vectors are held at once
NAMES = ["id", "item", "cluster", "side", "match"]


def rank(
    model: TaskModel, head: str, data: Data, name: str, role: str, run_dir: Path, *, max_length: int, most: int = 0,
    languages: list[str] = (),
) -> list[dict]:  # fmt: skip
    """Scores a task whose queries look for their candidates among those of all languages, by a trained dual encoder.

    Right are the candidates of the query and of its translations: all that an item matches in any language.
    """
    codes = chosen(data.source.languages(name, role), languages)
    pad = data.tokenizer.pad_token_id
    pools = [*codes, ENTITIES] if task(name).layout == "entities" else codes
    tables = {code: data.rows(name, role, code).select_columns(NAMES).to_pandas() for code in pools}
    parts = {code: data.features(name, role, code, max_length=max_length) for code in pools}
    sides = {
        code: [np.flatnonzero(t["side"] == side) for side in ("source", "target")]
        for code, t in tables.items()
    }
    gold: dict[str, set[str]] = {}
    for code in codes:
        for item, match in (
            tables[code].loc[sides[code][0], ["item", "match"]].itertuples(index=False)
        ):
            gold.setdefault(item, set()).add(match)
    asked = {code: sides[code][0] for code in codes}
    asked = {
        code: rows[spread(len(rows), most)] if most and len(rows) > most else rows
        for code, rows in asked.items()
    }
    queries = np.concatenate(
        predict(model, head, [parts[code].take(rows) for code, rows in asked.items()], pad)
    )
    candidates = np.concatenate([tables[code]["id"].to_numpy()[sides[code][1]] for code in pools])
    found = candidates[
        _ranked(model, head, queries, [(parts[code], sides[code][1]) for code in pools], pad)
    ]
    scores, frames = [], []
    for code, ranked in zip(
        codes, np.split(found, np.cumsum([len(asked[code]) for code in codes])[:-1]), strict=True
    ):
        frame = tables[code].iloc[asked[code]][["id", "item", "cluster"]].reset_index(drop=True)
        golds = [gold[item] for item in frame["item"]]
        frame = frame.assign(**ranked_columns(golds, ranked))
        frame.insert(0, "language", code)
        frame.insert(1, "split", data.split_name(name, role))
        chance = float(
            np.mean([metrics.random_precision(len(right), len(candidates)) for right in golds])
        )
        scores += language_scores(task(name), frame, chance)
        frames.append(frame)
    save_predictions(run_dir, name, pd.concat(frames, ignore_index=True))
    return scores


def _ranked(
    model: TaskModel, head: str, queries: np.ndarray, parts: list[tuple[Features, np.ndarray]], pad: int
) -> np.ndarray:  # fmt: skip
    """Places of each query's best candidates in the pool that the parts' rows make, end to end."""
    best, places, at = np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), int), 0
    for part, rows in parts:
        for begin in range(0, len(rows), POOL):
            (vectors,) = predict(model, head, [part.take(rows[begin : begin + POOL])], pad)
            near = search.top_k(queries, vectors, TOP, device=encoders.device().type)
            best, places = np.hstack([best, near.similarity]), np.hstack([places, near.index + at])
            order = np.argsort(-best, axis=1, kind="stable")[:, :TOP]
            best, places = (np.take_along_axis(kept, order, axis=1) for kept in (best, places))
            at += len(vectors)
    return places
