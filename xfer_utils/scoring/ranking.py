"""Targets that a trained dual encoder searches, among the candidates of all languages."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from xfer_utils.learning.task_model import TaskModel
from xfer_utils.scoring import evaluation, formulas, search
from xfer_utils.sources.data import Data
from xfer_utils.sources.folder import ENTITIES
from xfer_utils.sources.transforms import spread
from xfer_utils.study.tasks import task


def rank(
    model: TaskModel, head: str, data: Data, name: str, role: str, run_dir: Path, *,
    max_length: int, most: int = 0, languages: Sequence[str] = (),
) -> list[dict]:  # fmt: skip
    """Ranks the candidates of all languages; right is what an item matches in any of them."""
    row, codes = task(name), evaluation.chosen(data, name, role, languages)
    pools = [*codes, ENTITIES] if row.layout == "entities" else codes
    tables = {code: data.rows(name, role, code).to_pandas() for code in pools}
    parts = {code: data.features(name, role, code, max_length=max_length) for code in pools}
    places = {code: _side(tables[code], "source", most) for code in codes}
    queries = [parts[code].take(places[code]) for code in codes]
    sought = {code: _side(tables[code], "target") for code in pools}
    searched = [parts[code].take(rows) for code, rows in sought.items()]
    vectors = evaluation.predict(model, head, queries + searched, data.tokenizer.pad_token_id)
    ids = [tables[code]["id"].to_numpy()[rows] for code, rows in sought.items()]
    best = _best(np.concatenate(vectors[: len(codes)]), vectors[len(codes) :], ids)
    ends = np.cumsum([len(places[code]) for code in codes])[:-1]
    everything = pd.concat(tables.values()).query("side == 'source'")
    matches = everything.groupby("item")["match"].agg(set)
    results = []
    for code, ranked in zip(codes, np.split(best, ends), strict=True):
        frame = tables[code].loc[places[code], ["id", "item", "cluster"]].reset_index(drop=True)
        golds = [sorted(matches[item]) for item in frame["item"]]
        frame = frame.join(evaluation.item_columns(row, golds, ranked.tolist(), code))
        by_chance = [formulas.random_precision(len(gold), sum(map(len, ids))) for gold in golds]
        results.append((code, frame, float(np.mean(by_chance))))
    scores, whole = evaluation.score_languages(row, data.split_name(name, role), results)
    evaluation.save_predictions(run_dir, name, role, whole)
    return scores


def _side(table: pd.DataFrame, side: str, most: int = 0) -> np.ndarray:
    """Rows of one side, at most so many of them at equal distances."""
    rows = np.flatnonzero(table["side"] == side)
    return rows[spread(len(rows), most)] if most and len(rows) > most else rows


def _best(queries: np.ndarray, pools: list[np.ndarray], ids: list[np.ndarray]) -> np.ndarray:
    """The ids of each query's best candidates in all pools; of equals the earlier pool's first."""
    pairs = zip(pools, ids, strict=True)
    pairs = [(search.top_k(queries, pool, formulas.TOP), own) for pool, own in pairs if len(own)]
    similarity = np.hstack([near.similarity for near, _ in pairs])
    order = np.argsort(-similarity, axis=1, kind="stable")[:, : formulas.TOP]
    return np.take_along_axis(np.hstack([own[near.index] for near, own in pairs]), order, axis=1)
