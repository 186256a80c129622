"""Sentences to be matched: aligned pairs, mining pools, answers to questions, mentions of entities."""

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa

from xfer_utils.sources import values
from xfer_utils.sources.raw import BadValue, Batch, MalformedRow, Raw

if TYPE_CHECKING:
    from xfer_utils.sources.schema import Converter, Reading

_END = re.compile(r"(?<=[.!?。！？؟।])[\s]+|(?<=[。！？])")


def pairs(batch: Batch, columns: dict, rows: list[str]) -> dict[str, list]:
    """Row i of one side is the translation of row i of the other; either side may be absent.

    Ids are those stored (`source_id`, `target_id`) or made from `rows`; `match` is the other side's id, or the
    one stored. Where it is stored, nothing is translated, and `item` is made from `rows`: mentions in two languages
    may have one id.
    """
    found: dict[str, list] = {name: [] for name in ("id", "item", "side", "text", "match")}
    made = {side: [f"{row}-{side}" for row in rows] for side in ("source", "target")}
    ids = dict(made)
    for side in ids:
        if f"{side}_id" in columns:
            ids[side] = values.ids(batch[columns[f"{side}_id"]], columns[f"{side}_id"])
    for side, other in (("source", "target"), ("target", "source")):
        if side not in columns:
            continue
        match = ids[other] if other in columns else [None] * len(rows)
        if side == "source" and "match" in columns:
            match = values.ids(batch[columns["match"]], columns["match"])
        found["id"] += ids[side]
        if "match" in columns:
            found["item"] += made[side]
        else:
            found["item"] += rows if "source" in columns else ids[side]
        found["side"] += [side] * len(rows)
        found["text"] += values.texts(batch[columns[side]], columns[side])
        found["match"] += match
    return found | {"cluster": found["item"]}


def answers(batch: Batch, columns: dict, converter: "Converter") -> dict[str, list]:
    """Questions (source) and the sentences of their paragraphs (target); a match holds the answer's start.

    Where the data has no sentence breaks, paragraphs are split after sentence-final punctuation.
    """
    questions, contexts = (
        values.texts(batch[columns[key]], columns[key]) for key in ("question", "context")
    )
    golds, _ = values.answers(batch[columns["answers"]], contexts, columns["answers"])
    ids = values.ids(batch[columns["id"]], columns["id"])
    breaks = (
        batch[columns["breaks"]]
        if "breaks" in columns
        else [split_sentences(text) for text in contexts]
    )
    rows = []
    for index, (name, gold) in enumerate(zip(ids, golds, strict=True)):
        question, context, spans = questions[index], contexts[index], breaks[index]
        if not gold["answer_start"]:
            raise BadValue(index, repr(columns["answers"]), "an answer was expected")
        paragraph = converter.first(context, name)
        keys = [f"{converter.language}:{paragraph}#{n}" for n in range(len(spans))]
        if paragraph == name:
            rows += [
                (k, k, paragraph, "target", context[a:b], None, context)
                for k, (a, b) in zip(keys, spans, strict=True)
            ]
        match = keys[holding(spans, gold["answer_start"][0])]
        rows.append((name, name, paragraph, "source", question, match, None))
    fields = ("id", "item", "cluster", "side", "text", "match", "context")
    return dict(zip(fields, map(list, zip(*rows, strict=True)), strict=True))


def holding(spans: list[tuple[int, int]], start: int) -> int:
    """Which sentence holds an answer's start; the last one where none does."""
    return next((n for n, (a, b) in enumerate(spans) if a <= start < b), len(spans) - 1)


def sentence_at(context: str, start: int) -> str:
    """The sentence of a paragraph that holds an answer's start."""
    spans = split_sentences(context)
    first, end = spans[holding(spans, start)]
    return context[first:end]


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Spans of sentences by sentence-final punctuation: a stand-in for a data set's own breaks."""
    cuts = [0, *(found.end() for found in _END.finditer(text)), len(text)]
    return [(a, b) for a, b in pairwise(cuts) if text[a:b].strip()] or [(0, len(text))]


def pool(
    tables: dict[str, Raw], reading: "Reading", schema: pa.Schema, prefix: str = ""
) -> pa.RecordBatch:
    """A mining pool from its tables `source`, `target` {id, sentence} and `gold` {source_id, target_id}.

    A sentence without a gold partner keeps `match` empty; the two sentences of a gold pair share their item.
    """
    gold = _columns(tables["gold"], ["source_id", "target_id"])
    forward = dict(zip(gold["source_id"], gold["target_id"], strict=True))
    backward = {target: source for source, target in forward.items()}
    rows: dict[str, list] = {name: [] for name in schema.names}
    for side, partners in (("source", forward), ("target", backward)):
        sentences = _columns(tables[side], ["id", "sentence"])
        lost = len(partners.keys() - set(sentences["id"]))
        if lost:
            reading.notes.append(
                f"{lost} gold pairs name a sentence that {tables[side].where} does not hold"
            )
        for name, text in zip(sentences["id"], sentences["sentence"], strict=True):
            match = partners.get(name)
            item = prefix + (match if side == "target" and match else name)
            row = {
                "id": prefix + name,
                "item": item,
                "cluster": item,
                "side": side,
                "text": text,
                "context": None,
            }
            for key, value in (row | {"match": prefix + match if match else None}).items():
                rows[key].append(value)
    reading.rows, reading.kept = len(gold["source_id"]), len(rows["id"])
    reading.notes.append(f"{reading.kept} sentences in the pool, {reading.rows} gold pairs")
    return pa.RecordBatch.from_pydict(rows, schema=schema)


def _columns(raw: Raw, names: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in names}
    if raw.columns and not set(names) <= set(raw.columns):
        raise MalformedRow(
            f"{raw.where}: needs the columns {', '.join(names)}; it has {', '.join(raw.columns)}"
        )
    for part, numbers in raw.read(names) if raw.columns else ():
        for name in names:
            try:
                found[name] += values.texts(part[name], name)
            except BadValue as error:
                raise raw.malformed(numbers[error.index], error.column, error.problem) from error
    return found
