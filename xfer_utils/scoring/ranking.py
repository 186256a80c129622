"""Targets that a trained dual encoder searches, among the candidates of all languages."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from xfer_utils.learning.task_model import TaskModel
from xfer_utils.scoring import evaluation, formulas
from xfer_utils.sources.data import Data, spread
from xfer_utils.sources.folder import ENTITIES
from xfer_utils.study.tasks import task


def rank(
    model: TaskModel, head: str, data: Data, name: str, role: str, run_dir: Path, *,
    max_length: int, most: int = 0, languages: Sequence[str] = (),
) -> list[dict]:  # fmt: skip
    """Scores a task whose queries look for their candidates among those of all languages.

    Right is whatever an item matches in any language: a query's candidates and its translations'.
    """
    row, codes = task(name), evaluation.chosen(data, name, role, languages)
    pools = [*codes, ENTITIES] if row.layout == "entities" else codes
    tables = {code: data.rows(name, role, code).to_pandas() for code in pools}
    parts = {code: data.features(name, role, code, max_length=max_length) for code in pools}
    places = {code: _side(tables[code], "source", most) for code in codes}
    queries = [parts[code].take(places[code]) for code in codes]
    sought = {code: _side(tables[code], "target") for code in pools}
    searched = [parts[code].take(sought[code]) for code in pools]
    vectors = evaluation.predict(model, head, queries + searched, data.tokenizer.pad_token_id)
    candidates = np.concatenate(vectors[len(codes) :])
    ids = np.concatenate([tables[code]["id"].to_numpy()[sought[code]] for code in pools])
    everything = pd.concat(tables.values()).query("side == 'source'")
    matches = everything.groupby("item")["match"].agg(set)
    results = []
    for code, own in zip(codes, vectors, strict=False):
        frame = tables[code].loc[places[code], ["id", "item", "cluster"]].reset_index(drop=True)
        golds = [sorted(matches[item]) for item in frame["item"]]
        ranked = ids[evaluation.nearest(own, candidates)].tolist()
        frame = frame.join(evaluation.item_columns(row, golds, ranked, code))
        by_chance = [formulas.random_precision(len(gold), len(ids)) for gold in golds]
        results.append((code, frame, float(np.mean(by_chance))))
    scores, whole = evaluation.score_languages(row, data.split_name(name, role), results)
    evaluation.save_predictions(run_dir, name, role, whole)
    return scores


def _side(table: pd.DataFrame, side: str, most: int = 0) -> np.ndarray:
    """Rows of one side, at most so many of them at equal distances."""
    rows = np.flatnonzero(table["side"] == side)
    return rows[spread(len(rows), most)] if most and len(rows) > most else rows
