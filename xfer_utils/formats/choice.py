"""A text and several choices, of which one is right."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from xfer_utils.formats import base
from xfer_utils.formats.base import Arrays, Format, Marks, Names, Nearest, Rows
from xfer_utils.formats.columns import NO_LABEL, BadValue, Batch, Conversion, normal
from xfer_utils.formats.sequence import pairs
from xfer_utils.study.tasks import Task


class Choice(Format):
    """Each choice is a row of its own, `text_a` before it; the highest of their scores wins."""

    columns: Mapping[str, Any] = {"text_a": base.TEXT, "choices": base.TEXTS, "label": base.NUMBER}
    required = ("text_a", "choices", "label")
    optional = ("question",)
    rows_together = True
    head_outputs = 1  # a score

    def check(self, row: Task) -> None:
        super().check(row)
        if row.choices < 2:
            raise ValueError("format choice needs `choices`, their number, at least 2")
        if row.labels and len(row.labels) != row.choices:
            raise ValueError(f"{len(row.labels)} labels do not name {row.choices} choices")

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        first = table.texts(batch, "text_a")
        choices, letters = _choices(batch, table.columns["choices"], table.task.choices)
        label = _lettered(batch, table, letters) if letters else table.labels(batch)
        if "question" in table.columns:
            asked = [table.task.questions.get(q, q) for q in table.texts(batch, "question")]
            choices = [
                [f"{question} {choice}" for choice in row]
                for question, row in zip(asked, choices, strict=True)
            ]
        rows = {"text_a": first, "choices": choices, "label": label}
        return table.labelled(table.names(batch, len(first), first) | rows)

    def texts(self, row: Mapping[str, Any]) -> list[str]:
        return [row["text_a"], *row["choices"]]

    def marks(self, row: Mapping[str, Any]) -> Marks:
        return Marks(super().marks(row).items, {normal(row["text_a"])})

    def estimated_tokens(self, row: Mapping[str, Any], longest: int) -> float:
        """All choices together, each as long as their mean."""
        count = len(row["choices"])
        mean = sum(map(base.tokens_in, row["choices"])) / count
        length = base.SPECIAL_TOKENS + base.tokens_in(row["text_a"]) + mean
        return count * min(length, longest)

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        counts = [len(choices) for choices in chunk["choices"]]
        example = np.repeat(np.arange(len(counts)), counts)
        first = [chunk["text_a"][place] for place in example]
        second = list(itertools.chain.from_iterable(chunk["choices"]))
        arrays = pairs(first, second, tokenizer, max_length, example)
        return {**arrays, "target": np.repeat(np.asarray(chunk["label"], np.int64), counts)}

    def targets(self, features: Any, rows: np.ndarray, units: list[int], masking: Any) -> Arrays:
        return {"labels": features.arrays["target"][features.units[units]]}

    def predictions(
        self, rows: Rows, features: Any, outputs: np.ndarray, names: Names, nearest: Nearest
    ) -> list:
        bounds = itertools.pairwise(features.units)
        return [base.label_name(names, outputs[a:b, 0].argmax()) for a, b in bounds]

    def alternatives(self, row: Task, rows: Rows) -> int:
        return row.choices


def _choices(batch: Batch, columns: str | list[str], count: int) -> tuple[list[list[str]], list]:
    """The choices of every row, and the letters that name them where they have some."""
    letters: list = []
    if isinstance(columns, list):
        rows = [list(row) for row in zip(*(batch[column] for column in columns), strict=True)]
    else:
        rows = batch[columns]
    if any(isinstance(row, dict) for row in rows):
        keyed = [row if isinstance(row, dict) else {"text": row} for row in rows]
        letters = [row["label"] for row in keyed if "label" in row]
        rows = [row.get("text") for row in keyed]
    column = columns if isinstance(columns, str) else columns[0]
    for index, row in enumerate(rows):
        if not isinstance(row, list) or not all(isinstance(choice, str) for choice in row):
            raise BadValue(index, column, f"a list of texts was expected, not {row!r:.80}")
        if len(row) != count:
            raise BadValue(index, column, f"{len(row)} choices, {count} expected")
    return rows, letters


def _lettered(batch: Batch, table: Conversion, letters: list[list[str]]) -> list[int | None]:
    """Answer keys as positions among the row's own letters, whatever order they come in."""
    column = table.columns["label"]
    numbers: list[int | None] = []
    for index, (value, names) in enumerate(zip(batch[column], letters, strict=True)):
        if value not in NO_LABEL and value not in names:
            raise BadValue(index, column, f"key {value!r} is not one of {', '.join(names)}")
        numbers.append(None if value in NO_LABEL else names.index(value))
    return numbers


FORMAT = Choice()
