"""A text, or a pair of texts, with one label."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from xfer_utils.formats import base
from xfer_utils.formats.base import Arrays, Format, Marks, Names, Nearest, Rows
from xfer_utils.formats.columns import Batch, Conversion, normal
from xfer_utils.study.tasks import Task


class TextLabel(Format):
    """Classification of `text_a`, alone or with `text_b`."""

    columns: Mapping[str, Any] = {"text_a": base.TEXT, "text_b": base.TEXT, "label": base.NUMBER}
    required = ("text_a", "label")
    optional = ("text_b",)

    def check(self, row: Task) -> None:
        super().check(row)
        if not row.labels:
            raise ValueError("format sequence needs `labels`, the names of the classes")

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        first = table.texts(batch, "text_a")
        alone = "text_b" not in table.columns
        second = [""] * len(first) if alone else table.texts(batch, "text_b")
        rows = {"text_a": first, "text_b": second, "label": table.labels(batch)}
        return table.labelled(table.names(batch, len(first), first) | rows)

    def texts(self, row: Mapping[str, Any]) -> list[str]:
        return [row["text_a"], row["text_b"]]

    def marks(self, row: Mapping[str, Any]) -> Marks:
        """Rows on one premise count as rows on one paragraph."""
        return Marks(super().marks(row).items, {normal(row["text_a"])})

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        arrays = pairs(chunk["text_a"], chunk["text_b"], tokenizer, max_length)
        return {**arrays, "target": np.asarray(chunk["label"], np.int64)}

    def predictions(
        self, rows: Rows, features: Any, outputs: np.ndarray, names: Names, nearest: Nearest
    ) -> list:
        return [base.label_name(names, number) for number in outputs.argmax(1)]

    def alternatives(self, row: Task, rows: Rows) -> int:
        return len(row.labels)


def pairs(
    first: list[str], second: list[str], tokenizer: Any, max_length: int, example: Any = None
) -> Arrays:
    """Pairs of texts as rows, or single texts where the second ones are empty."""
    texts = (first, second) if any(second) else (first,)
    return base.encoded(tokenizer, *texts, max_length=max_length, example=example)


FORMAT = TextLabel()
