"""From the hub's schemas to one canonical form per format, steered by the registry's row of a task.

Every canonical row has `id` (its own), `item` (shared with the translations of the same item) and `cluster` (its
article, or the first row that shares its premise or context: what must be resampled together). Rows are read and
converted in batches, so that memory holds one copy of the result and little else.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features, List, Value
from datasets.table import InMemoryTable

from xfer_utils.sources import retrieval, values
from xfer_utils.sources.raw import BadValue, Batch, MalformedRow, Raw
from xfer_utils.study.tasks import Task

_NAMES = {"id": Value("string"), "item": Value("string"), "cluster": Value("string")}
_ANSWERS = {"text": List(Value("string")), "answer_start": List(Value("int32"))}
FEATURES = {
    "sequence": Features(
        _NAMES | {key: Value("string") for key in ("text_a", "text_b")} | {"label": Value("int32")}
    ),
    "token": Features(_NAMES | {"tokens": List(Value("string")), "tags": List(Value("int32"))}),
    "span": Features(
        _NAMES | {key: Value("string") for key in ("question", "context")} | {"answers": _ANSWERS}
    ),
    "choice": Features(
        _NAMES
        | {"text_a": Value("string"), "choices": List(Value("string")), "label": Value("int32")}
    ),
    "sentence": Features(
        _NAMES | {key: Value("string") for key in ("side", "text", "match", "context")}
    ),
    "pair": Features(_NAMES | {key: Value("string") for key in ("question", "passage", "context")}),
}
OPTIONAL = ("id", "cluster", "breaks")


@dataclass
class Reading:
    """How one table was read: rows found, kept, dropped and why, against the expected number.

    `odd` counts what is kept but strange: tags that are ignored, answers that are not where they say.
    """

    task: str
    role: str
    split: str
    language: str
    where: str
    expected: int | None = None
    rows: int = 0
    kept: int = 0
    dropped: Counter = field(default_factory=Counter)
    odd: Counter = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def as_row(self) -> dict:
        """One row of a source's report."""
        row = dict(
            vars(self), dropped=dict(self.dropped), odd=dict(self.odd), notes="; ".join(self.notes)
        )
        return row | {"as_expected": None if self.expected is None else self.rows == self.expected}


def columns_of(task: Task, raw: Raw) -> dict[str, str | list[str]]:
    """Which stored column is which: the registry's, or those of another release that the registry knows."""
    layouts = [task.columns, *task.variants]
    for layout in layouts:
        present = {
            ours: theirs
            for ours, theirs in layout.items()
            if set(_flat(theirs)) <= set(raw.columns)
        }
        if all(ours in present or ours in OPTIONAL for ours in layout):
            return present
    needed = [
        name
        for ours, theirs in layouts[0].items()
        if ours not in OPTIONAL
        for name in _flat(theirs)
    ]
    absent = [name for name in needed if name not in raw.columns]
    raise lacking(raw, task, absent)


def lacking(raw: Raw, task: Task, absent: list[str]) -> MalformedRow:
    """The error for a table that lacks columns."""
    has = ", ".join(raw.columns) or "no rows"
    return MalformedRow(
        f"{raw.where}: {task.title} needs the column {', '.join(absent)}; the table has {has}"
    )


def _flat(theirs: str | list[str]) -> list[str]:
    return [theirs] if isinstance(theirs, str) else theirs


class Converter:
    """Converts the tables of one task, role and language; keeps the state that runs through their batches."""

    def __init__(self, task: Task, language: str, label_names: Sequence[str], prefix: str = ""):
        self.task, self.language, self.prefix = task, language, prefix
        self.label_names = list(label_names) or [str(n) for n in range(task.choices)]
        self.firsts: dict[bytes, str] = {}
        self.seen: Counter = Counter()
        self.rows = 0
        self.numbered = False

    def batches(self, raw: Raw, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Canonical record batches of one table; what happened is added to `reading`."""
        if not raw.columns:
            reading.notes.append("the table is empty")
            return
        columns = columns_of(self.task, raw)
        self.numbered = "id" not in columns
        stored = {ours: raw.class_names.get(str(theirs), []) for ours, theirs in columns.items()}
        schema = FEATURES[self.task.format].arrow_schema
        wanted = list(dict.fromkeys(name for theirs in columns.values() for name in _flat(theirs)))
        for batch, numbers in raw.read(wanted):
            reading.rows += len(numbers)
            try:
                rows = getattr(self, f"_{self.task.format}")(batch, columns, stored, reading)
            except BadValue as error:
                raise raw.malformed(numbers[error.index], error.column, error.problem) from error
            except ValueError as error:
                raise MalformedRow(f"{raw.where}: {error}") from error
            self.rows += len(numbers)
            reading.kept += len(rows["id"])
            rows = {name: rows.get(name) or [None] * len(rows["id"]) for name in schema.names}
            yield pa.RecordBatch.from_pydict(rows, schema=schema)
        reading.notes.extend(raw.notes)

    def _names(
        self, batch: Batch, columns: dict, count: int, shared: list[str] | None = None
    ) -> dict[str, list]:
        """id, item and cluster of a batch; `shared` is the text that makes rows one cluster."""
        if "id" in columns:
            own = values.ids(batch[columns["id"]], columns["id"])
        else:
            own = [str(self.rows + n) for n in range(count)]
        items = [f"{self.prefix}{name}" for name in own]
        rows = [self._own(item) for item in items] if "id" in columns else items
        if "cluster" in columns:
            clusters = [str(name) for name in batch[columns["cluster"]]]
        else:
            clusters = (
                [self.first(text, row) for text, row in zip(shared, rows, strict=True)]
                if shared
                else rows
            )
        return {"id": rows, "item": items, "cluster": clusters}

    def _own(self, item: str) -> str:
        """The item's id, numbered from its second row on, since some data sets repeat ids."""
        self.seen[item] += 1
        return item if self.seen[item] == 1 else f"{item}#{self.seen[item]}"

    def first(self, text: str, row: str) -> str:
        """The first row that had this text; `row` where it is this one."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return self.firsts.setdefault(digest, row)

    def _labelled(self, rows: dict[str, list], reading: Reading) -> dict[str, list]:
        """The rows that have a label."""
        keep = [label is not None for label in rows["label"]]
        if all(keep):
            return rows
        reading.dropped["no label"] += keep.count(False)
        return {
            name: [v for v, kept in zip(column, keep, strict=True) if kept]
            for name, column in rows.items()
        }

    def _sequence(
        self, batch: Batch, columns: dict, stored: dict, reading: Reading
    ) -> dict[str, list]:
        rows = {
            key: values.texts(batch[columns[key]], columns[key]) for key in ("text_a", "text_b")
        }
        label = columns["label"]
        rows["label"] = values.labels(batch[label], label, self.label_names, stored["label"])
        names = self._names(batch, columns, len(rows["label"]), rows["text_a"])
        return self._labelled(names | rows, reading)

    def _token(
        self, batch: Batch, columns: dict, stored: dict, reading: Reading
    ) -> dict[str, list]:
        tokens, column = batch[columns["tokens"]], columns["tags"]
        tags, ignored = values.tags(
            tokens, batch[column], column, self.label_names, stored["tags"], self.task.open_labels
        )
        if ignored:
            reading.odd["tags ignored"] += ignored.total()
        return self._names(batch, columns, len(tokens)) | {"tokens": tokens, "tags": tags}

    def _span(self, batch: Batch, columns: dict, stored: dict, reading: Reading) -> dict[str, list]:
        del stored
        question, context = (batch[columns[key]] for key in ("question", "context"))
        values.texts(question, columns["question"])
        values.texts(context, columns["context"])
        found, misplaced = values.answers(batch[columns["answers"]], context, columns["answers"])
        if misplaced:
            reading.odd["answers misplaced"] += misplaced
        names = self._names(batch, columns, len(question), context)
        return names | {"question": question, "context": context, "answers": found}

    def _choice(
        self, batch: Batch, columns: dict, stored: dict, reading: Reading
    ) -> dict[str, list]:
        first = values.texts(batch[columns["text_a"]], columns["text_a"])
        options, letters = values.choices(batch, columns["choices"], self.task.choices)
        column = columns["label"]
        if letters and letters[0] is not None:
            label = values.lettered(batch[column], column, letters)
        else:
            label = values.labels(batch[column], column, self.label_names, stored["label"])
        if "question" in columns:
            asked = values.texts(batch[columns["question"]], columns["question"])
            asked = [self.task.questions.get(text, text) for text in asked]
            options = [
                [f"{q} {option}" for option in row] for q, row in zip(asked, options, strict=True)
            ]
        names = self._names(batch, columns, len(first), first)
        return self._labelled(
            names | {"text_a": first, "choices": options, "label": label}, reading
        )

    def _pair(self, batch: Batch, columns: dict, stored: dict, reading: Reading) -> dict[str, list]:
        """A question and its passage: stored beside it, or the sentence of its paragraph that holds the answer."""
        if "passage" in columns:
            rows = {
                key: values.texts(batch[columns[key]], columns[key])
                for key in ("question", "passage")
            }
            names = self._names(batch, columns, len(rows["question"]))
            return names | rows | {"context": [""] * len(rows["question"])}
        rows = self._span(batch, columns, stored, reading)
        starts = [answer["answer_start"] for answer in rows.pop("answers")]
        if not all(starts):
            reading.dropped["no answer"] += starts.count([])
            rows = {
                name: [v for v, s in zip(column, starts, strict=True) if s]
                for name, column in rows.items()
            }
        found = zip(rows["context"], filter(None, starts), strict=True)
        return rows | {
            "passage": [retrieval.sentence_at(context, start[0]) for context, start in found]
        }

    def _sentence(
        self, batch: Batch, columns: dict, stored: dict, reading: Reading
    ) -> dict[str, list]:
        """Sentences to be matched; how they are stored is the task's layout."""
        del stored, reading
        if self.task.layout == "answers":
            return retrieval.answers(batch, columns, self)
        count = len(batch[columns.get("source") or columns["target"]])
        rows = [f"{self.prefix}{self.language}-{self.rows + n}" for n in range(count)]
        return retrieval.pairs(batch, columns, rows)


def dataset(task: Task, batches: list[pa.RecordBatch], key: object) -> Dataset:
    """A Dataset of canonical batches; `key` names its content and so saves hashing it."""
    features = FEATURES[task.format]
    table = pa.Table.from_batches(batches, schema=features.arrow_schema)
    mark = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return Dataset(InMemoryTable(table), info=DatasetInfo(features=features), fingerprint=mark)
