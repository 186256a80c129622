"""A text, or a pair of texts, with one label."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from xfer_utils.formats import base
from xfer_utils.formats.base import Arrays, Format, Rows
from xfer_utils.formats.columns import Batch, Conversion


class TextLabel(Format):
    """Classification of `text_a`, alone or with `text_b`."""

    columns: Mapping[str, Any] = {"text_a": base.TEXT, "text_b": base.TEXT, "label": base.NUMBER}
    required = ("text_a", "label")
    optional = ("text_b",)
    needs = ("labels",)
    paragraph = "text_a"  # rows on one premise count as rows on one paragraph

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        first = table.texts(batch, "text_a")
        alone = "text_b" not in table.columns
        second = [""] * len(first) if alone else table.texts(batch, "text_b")
        label = table.labels(batch[table.columns["label"]])
        rows = {"text_a": first, "text_b": second, "label": label}
        return table.labelled(table.names(batch, len(first), first) | rows)

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        second = chunk["text_b"] if any(chunk["text_b"]) else ()
        arrays = base.encoded(tokenizer, chunk["text_a"], second, max_length=max_length)
        return {**arrays, "target": np.asarray(chunk["label"], np.int64)}


FORMAT = TextLabel()
