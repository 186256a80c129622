"""Sentences to be matched: translations, mining pools, answers to questions, mentions."""

from collections.abc import Mapping
from itertools import repeat
from typing import Any

from xfer_utils.formats import base
from xfer_utils.formats.base import Arrays, Format, Marks, Rows
from xfer_utils.formats.columns import BadValue, Batch, Conversion, normal, split_sentences
from xfer_utils.study.tasks import Task

FIELDS = ("id", "item", "cluster", "side", "text", "match", "context")  # the canonical columns
OTHER_SIDE = {"source": "target", "target": "source"}
ANSWERS = ("id", "question", "context", "answers")


class Sentence(Format):
    """Two sides in one table: `match` is the id on the other side. Searched, never trained on."""

    columns: Mapping[str, Any] = dict.fromkeys(FIELDS[3:], base.TEXT)
    optional = (*OTHER_SIDE, "source_id", "target_id", "match", *ANSWERS[1:], "breaks")
    needs = ("layout",)
    inputs_per_item = 2

    def check(self, row: Task) -> None:
        super().check(row)
        if row.layout == "answers" and not set(ANSWERS) <= set(row.columns):
            raise ValueError(f"layout answers needs the columns {', '.join(ANSWERS)}")

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        rows = _answers(batch, table) if table.task.layout == "answers" else _pairs(batch, table)
        return dict(zip(FIELDS, map(list, zip(*rows, strict=True)), strict=True))

    def texts(self, row: Mapping[str, Any]) -> list[str]:
        return [row["text"], *([row["context"]] if row.get("context") else [])]

    def marks(self, row: Mapping[str, Any]) -> Marks:
        if row["context"]:
            return Marks({normal(row["text"])}, {normal(row["context"])})
        return Marks({normal(row["text"])}, ids={row["item"]})

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        """A sentence that is part of a context has it as its second segment."""
        contexts = [context or None for context in chunk["context"]]
        return base.encoded(tokenizer, chunk["text"], contexts, max_length=max_length)

    def alternatives(self, row: Task, rows: Rows) -> int:
        return max(1, sum(side == "target" for side in rows["side"]))


def _pairs(batch: Batch, table: Conversion) -> list[tuple]:
    """Row i of one side is the translation of row i of the other; either side may be absent.

    Where `match` is stored, nothing is translated: mentions in two languages may have one id.
    """
    sides = [side for side in OTHER_SIDE if side in table.columns]
    count = len(batch[table.columns[sides[0]]])
    numbered = [f"{table.prefix}{table.language}-{table.rows + n}" for n in range(count)]
    own = {side: [f"{name}-{side}" for name in numbered] for side in OTHER_SIDE}
    stored = [side for side in OTHER_SIDE if f"{side}_id" in table.columns]
    ids = own | {side: table.ids(batch, f"{side}_id") for side in stored}
    rows: list[tuple] = []
    for side in sides:
        other = OTHER_SIDE[side]
        match = ids[other] if other in sides else repeat(None, count)
        items = numbered if "source" in table.columns else ids[side]
        if "match" in table.columns:
            items = own[side]
            match = table.ids(batch, "match") if side == "source" else match
        texts = table.texts(batch, side)
        rows += zip(ids[side], items, items, repeat(side), texts, match, repeat(None))
    return rows


def _answers(batch: Batch, table: Conversion) -> list[tuple]:
    """Questions (source) and their paragraphs' sentences (target); one holds the answer's start."""
    questions, contexts = table.texts(batch, "question"), table.texts(batch, "context")
    answers, ids = table.answers(batch, contexts), table.ids(batch, "id")
    stored = table.columns.get("breaks")
    breaks = batch[stored] if stored else map(split_sentences, contexts)
    rows = []
    examples = zip(ids, questions, contexts, answers, breaks, strict=True)
    for index, (name, question, context, answer, spans) in enumerate(examples):
        if not answer["answer_start"]:
            raise BadValue(index, table.columns["answers"], "an answer was expected")
        paragraph = table.first(context, name)
        keys = [f"{table.language}:{paragraph}#{n}" for n in range(len(spans))]
        if paragraph == name:
            for key, (begin, end) in zip(keys, spans, strict=True):
                rows.append((key, key, paragraph, "target", context[begin:end], None, context))
        match = keys[_holding(spans, answer["answer_start"][0])]
        rows.append((name, name, paragraph, "source", question, match, None))
    return rows


def _holding(sentences: list[tuple[int, int]], place: int) -> int:
    """Which sentence holds a place of the text; the last one where none does."""
    last = len(sentences) - 1
    return next((n for n, (a, b) in enumerate(sentences) if a <= place < b), last)


def sentence_at(text: str, place: int) -> str:
    """The sentence of a text that holds a place."""
    sentences = split_sentences(text)
    begin, end = sentences[_holding(sentences, place)]
    return text[begin:end]


FORMAT = Sentence()
