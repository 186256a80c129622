"""Targets that a trained dual encoder searches, among the candidates of all languages."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from xfer_utils.formats.features import Features
from xfer_utils.learning import encoders
from xfer_utils.learning.task_model import TaskModel
from xfer_utils.scoring import evaluation, formulas, search
from xfer_utils.sources.data import Data, spread
from xfer_utils.sources.folder import ENTITIES
from xfer_utils.study.tasks import task

POOL = 16384  # candidates whose vectors are held at once
NAMES = ["id", "item", "cluster", "side", "match"]


def rank(
    model: TaskModel, head: str, data: Data, name: str, role: str, run_dir: Path, *,
    max_length: int, most: int = 0, languages: Sequence[str] = (),
) -> list[dict]:  # fmt: skip
    """Scores a task whose queries look for their candidates among those of all languages.

    Right is whatever an item matches in any language: a query's candidates and its translations'.
    """
    codes = evaluation.chosen(data.source.languages(name, role), languages)
    pad = data.tokenizer.pad_token_id
    pools = [*codes, ENTITIES] if task(name).layout == "entities" else codes
    tables = {code: data.rows(name, role, code).select_columns(NAMES).to_pandas() for code in pools}
    parts = {code: data.features(name, role, code, max_length=max_length) for code in pools}
    asked = {code: _side(tables[code], "source", most) for code in codes}
    sought = {code: _side(tables[code], "target") for code in pools}
    queries = [parts[code].take(asked[code]) for code in codes]
    vectors = evaluation.predict(model, head, queries, pad)
    sides = [(parts[code], sought[code]) for code in pools]
    places = _ranked(model, head, np.concatenate(vectors), sides, pad)
    candidates = np.concatenate([tables[code]["id"].to_numpy()[sought[code]] for code in pools])
    ends = np.cumsum([len(asked[code]) for code in codes])[:-1]
    matches, results = _matches(tables.values()), []
    for code, ranked in zip(codes, np.split(candidates[places], ends), strict=True):
        frame = tables[code].iloc[asked[code]][["id", "item", "cluster"]].reset_index(drop=True)
        golds = [sorted(matches[item]) for item in frame["item"]]
        frame = frame.assign(**evaluation.item_columns(task(name), golds, ranked.tolist(), code))
        chances = [formulas.random_precision(len(gold), len(candidates)) for gold in golds]
        results.append((code, frame, float(np.mean(chances))))
    scores, whole = evaluation.score_languages(task(name), data.split_name(name, role), results)
    evaluation.save_predictions(run_dir, name, role, whole)
    return scores


def _side(table: pd.DataFrame, side: str, most: int = 0) -> np.ndarray:
    """Rows of one side, at most so many of them at equal distances."""
    rows = np.flatnonzero(table["side"] == side)
    return rows[spread(len(rows), most)] if most and len(rows) > most else rows


def _matches(tables: Iterable[pd.DataFrame]) -> dict[str, set[str]]:
    """What each query's item matches, in any language."""
    matches: dict[str, set[str]] = {}
    for table in tables:
        queries = table.loc[table["side"] == "source", ["item", "match"]]
        for item, match in queries.itertuples(index=False):
            matches.setdefault(item, set()).add(match)
    return matches


def _ranked(
    model: TaskModel, head: str, queries: np.ndarray, parts: list[tuple[Features, np.ndarray]],
    pad: int,
) -> np.ndarray:  # fmt: skip
    """Places of each query's best candidates in the pool that the parts' rows make, end to end."""
    best, places = np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), int)
    at = 0
    for part, rows in parts:
        for begin in range(0, len(rows), POOL):
            candidates = part.take(rows[begin : begin + POOL])
            (vectors,) = evaluation.predict(model, head, [candidates], pad)
            near = search.top_k(queries, vectors, evaluation.TOP, device=encoders.device().type)
            best, places = np.hstack([best, near.similarity]), np.hstack([places, near.index + at])
            order = np.argsort(-best, axis=1, kind="stable")[:, : evaluation.TOP]
            best = np.take_along_axis(best, order, axis=1)
            places = np.take_along_axis(places, order, axis=1)
            at += len(vectors)
    return places
