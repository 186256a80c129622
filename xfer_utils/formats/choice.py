"""A text and several choices, of which one is right."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from xfer_utils.formats import base
from xfer_utils.formats.base import Arrays, Format, Rows
from xfer_utils.formats.columns import BadValue, Batch, Conversion, are_texts


class Choice(Format):
    """Each choice is a row of its own, `text_a` before it; the highest of their scores wins."""

    columns: Mapping[str, Any] = {"text_a": base.TEXT, "choices": base.TEXTS, "label": base.NUMBER}
    required = ("text_a", "choices", "label")
    optional = ("question",)
    needs = ("choices",)  # their number
    paragraph = "text_a"
    rows_together = True
    head_outputs = 1  # a score

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        first = table.texts(batch, "text_a")
        choices, letters = _choices(batch, table.columns["choices"], table.task.choices)
        keys = batch[table.columns["label"]]
        if letters:  # whatever order they come in
            keyed = zip(keys, letters, strict=True)
            keys = [names.index(key) if key in names else key for key, names in keyed]
        label = table.labels(keys)
        if "question" in table.columns:
            asked = [table.task.questions.get(q, q) for q in table.texts(batch, "question")]
            questions = zip(asked, choices, strict=True)
            choices = [[f"{question} {choice}" for choice in row] for question, row in questions]
        rows = {"text_a": first, "choices": choices, "label": label}
        return table.labelled(table.names(batch, len(first), first) | rows)

    def texts(self, row: Mapping[str, Any]) -> list[str]:
        return [row["text_a"], *row["choices"]]

    def estimated_tokens(self, row: Mapping[str, Any], longest: int) -> float:
        """All choices together."""
        lengths = [base.tokens_in(row["text_a"] + choice) for choice in row["choices"]]
        return sum(min(base.SPECIAL_TOKENS + length, longest) for length in lengths)

    def sham(self, row: Mapping[str, Any], key: int, labels: int) -> int:
        return key % len(row["choices"])

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        counts = [len(choices) for choices in chunk["choices"]]
        example = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        first = [chunk["text_a"][place] for place in example]
        second = list(chain.from_iterable(chunk["choices"]))
        arrays = base.encoded(tokenizer, first, second, max_length=max_length)
        target = np.repeat(np.asarray(chunk["label"], np.int64), counts)
        return {**arrays, "example": example, "target": target}


def _choices(batch: Batch, columns: str | list[str], count: int) -> tuple[list[list[str]], list]:
    """The choices of every row, and the letters that name them where they have some."""
    column = columns if isinstance(columns, str) else columns[0]
    rows = batch[column]
    if isinstance(columns, list):
        rows = list(map(list, zip(*map(batch.get, columns), strict=True)))
    letters = [row["label"] for row in rows if isinstance(row, dict) and "label" in row]
    rows = [row.get("text") if isinstance(row, dict) else row for row in rows]
    for index, row in enumerate(rows):
        if not are_texts(row):
            raise BadValue(index, column, f"a list of texts was expected, not {row!r:.80}")
        if len(row) != count:
            raise BadValue(index, column, f"{len(row)} choices, {count} expected")
    return rows, letters


FORMAT = Choice()
