"""A question and the passage that answers it: a dual encoder learns to bring the two together."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from xfer_utils.formats import base
from xfer_utils.formats.base import Arrays, Format, Marks, Names, Nearest, Rows
from xfer_utils.formats.columns import Batch, Conversion, normal
from xfer_utils.formats.sentence import sentence_at
from xfer_utils.formats.span import FORMAT as SPAN
from xfer_utils.study.tasks import Task


class Pair(Format):
    """Each question looks for its passage among those of its batch; both are rows of their own."""

    columns: Mapping[str, Any] = dict.fromkeys(("question", "passage", "context"), base.TEXT)
    required = ("question",)
    optional = ("passage", "context", "answers")
    rows_together = True
    head_class = "PairHead"

    def check(self, row: Task) -> None:
        super().check(row)
        if "passage" not in row.columns and not {"context", "answers"} <= set(row.columns):
            raise ValueError("format pair needs the column passage, or context and answers")

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        """The passage is stored, or it is the sentence of the paragraph that holds the answer."""
        if "passage" in table.columns:
            rows = {key: table.texts(batch, key) for key in ("question", "passage")}
            names = table.names(batch, len(rows["question"]))
            return names | rows | {"context": [""] * len(rows["question"])}
        rows = SPAN.convert(batch, table)
        answered = [bool(answer["text"]) for answer in rows["answers"]]
        rows = table.keep(rows, answered, "no answer")
        places = [answer["answer_start"][0] for answer in rows.pop("answers")]
        return rows | {"passage": list(map(sentence_at, rows["context"], places))}

    def marks(self, row: Mapping[str, Any]) -> Marks:
        return SPAN.marks(row) if row["context"] else Marks({normal(row["question"])})

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        """Rows alternate; both sides are encoded as they are where they are searched."""
        texts = list(chain(*zip(chunk["question"], chunk["passage"], strict=True)))
        contexts = [part for context in chunk["context"] for part in (None, context or None)]
        arrays = base.encoded(tokenizer, texts, contexts, max_length=max_length)
        return {**arrays, "example": arrays["example"] // 2}

    def targets(self, features: Any, rows: np.ndarray, units: list[int], masking: Any) -> Arrays:
        """The right passage of each question is the one at its own place in the batch."""
        return {"labels": np.arange(len(units))}

    def gold(self, rows: Rows, names: Names) -> list:
        return [[name] for name in _passage_names(rows)]

    def predictions(
        self, rows: Rows, features: Any, outputs: np.ndarray, names: Names, nearest: Nearest
    ) -> list:
        """Passages, best first."""
        return _passage_names(rows)[nearest(outputs[0::2], outputs[1::2])].tolist()

    def alternatives(self, row: Task, rows: Rows) -> int:
        return len(rows["id"])


def _passage_names(rows: Rows) -> np.ndarray:
    """The passage of each row; equal passages are one, called by its first row's id."""
    first: dict[tuple, str] = {}
    passages = zip(rows["passage"], rows["context"], rows["id"], strict=True)
    return np.array([first.setdefault((text, context), name) for text, context, name in passages])


FORMAT = Pair()
