"""Stored columns on their way to canonical ones: texts, labels, answers, names of rows."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from xfer_utils.study.tasks import Task

Batch = dict[str, list]
IGNORE = -100  # a token without a tag
NO_LABEL = (None, "", "-", "-1", -1)
ANSWER = ("text", "answer_start")
LONGEST = 2**31 - 1  # answers are stored as 32-bit numbers
SHARED = ("id", "cluster")  # columns that every format may name
SENTENCE_END = re.compile(r"(?<=[.!?。！？؟।])[\s]+|(?<=[。！？])")


class BadValue(ValueError):
    """A value that does not fit, by its position in a batch; readers add file and line."""

    def __init__(self, index: int, column: str, problem: str):
        super().__init__(problem)
        self.index, self.column, self.problem = index, repr(column), problem


@dataclass
class Reading:
    """How one table was read: rows there, kept, dropped and why, against the expected number.

    `odd` counts what is kept but strange: ignored tags, answers that are not where they say.
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
        plain = {
            "dropped": dict(self.dropped),
            "odd": dict(self.odd),
            "notes": "; ".join(self.notes),
        }
        as_expected = None if self.expected is None else self.rows == self.expected
        return vars(self) | plain | {"as_expected": as_expected}


class Conversion:
    """One task, role and language being converted: what runs on from batch to batch.

    `columns` says which stored column is which, `stored` which class names came with them.
    """

    def __init__(self, task: Task, language: str, label_names: Sequence[str], prefix: str = ""):
        self.task, self.language, self.prefix = task, language, prefix
        self.label_names = list(label_names) or [str(n) for n in range(task.choices)]
        self.columns: dict[str, str | list[str]] = {}
        self.stored: dict[str, list[str]] = {}
        self.reading: Reading | None = None
        self.rows = 0
        self._firsts: dict[bytes, str] = {}
        self._times: Counter = Counter()

    @property
    def numbered(self) -> bool:
        """Whether rows are named by their number, having no ids."""
        return bool(self.columns) and "id" not in self.columns

    def texts(self, batch: Batch, key: str) -> list[str]:
        """A column of texts, without the line end that some files keep."""
        return [text.rstrip("\r\n") for text in self.raw_texts(batch, key)]

    def raw_texts(self, batch: Batch, key: str) -> list[str]:
        """A column of texts as they are."""
        return checked_texts(batch[self.columns[key]], self.columns[key])

    def ids(self, batch: Batch, key: str) -> list[str]:
        """A column of identifiers, as strings."""
        column = self.columns[key]
        for index, value in enumerate(batch[column]):
            if not isinstance(value, str | int):
                raise BadValue(index, column, f"an id was expected, not {value!r}")
        return [str(value) for value in batch[column]]

    def labels(self, batch: Batch, key: str = "label") -> list[int | None]:
        """A column of labels, as numbers."""
        column = self.columns[key]
        return labels(batch[column], column, self.label_names, self.stored[key])

    def answers(self, batch: Batch, contexts: list[str]) -> list[dict]:
        """The column of answers; misplaced ones are reported."""
        column = self.columns["answers"]
        converted = [_answer_lists(n, value, column) for n, value in enumerate(batch[column])]
        misplaced = sum(map(_misplaced, converted, contexts))
        if misplaced and self.reading:
            self.reading.odd["answers misplaced"] += misplaced
        return [dict(zip(ANSWER, lists, strict=True)) for lists in converted]

    def names(self, batch: Batch, count: int, shared: list[str] | None = None) -> Batch:
        """id, item and cluster of a batch; `shared` is the text that makes rows one cluster."""
        own = [str(self.rows + n) for n in range(count)]
        own = own if self.numbered else self.ids(batch, "id")
        items = [f"{self.prefix}{name}" for name in own]
        rows = items if self.numbered else [self._once(item) for item in items]
        clusters = rows
        if "cluster" in self.columns:
            clusters = [str(name) for name in batch[self.columns["cluster"]]]
        elif shared:
            clusters = [self.first(text, row) for text, row in zip(shared, rows, strict=True)]
        return {"id": rows, "item": items, "cluster": clusters}

    def _once(self, item: str) -> str:
        """The item's id, numbered from its second row on, since some data sets repeat ids."""
        self._times[item] += 1
        return item if self._times[item] == 1 else f"{item}#{self._times[item]}"

    def first(self, text: str, row: str) -> str:
        """The first row that had this text; `row` where it is this one."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return self._firsts.setdefault(digest, row)

    def keep(self, rows: Batch, wanted: list[bool], why: str) -> Batch:
        """The wanted rows; the others are reported as dropped."""
        if all(wanted):
            return rows
        self.reading.dropped[why] += wanted.count(False)
        return {
            name: [value for value, want in zip(column, wanted, strict=True) if want]
            for name, column in rows.items()
        }

    def labelled(self, rows: Batch) -> Batch:
        """The rows that have a label."""
        return self.keep(rows, [label is not None for label in rows["label"]], "no label")


def checked_texts(values: list, column: str) -> list[str]:
    """The values, which must be strings."""
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise BadValue(index, column, f"text was expected, not {value!r}")
    return values


def labels(
    values: list, column: str, names: Sequence[str], stored: Sequence[str] = ()
) -> list[int | None]:
    """Labels as positions in `names`; None for a row without a label (-1, or nothing).

    `stored` are the class names that came with integer labels: then the mapping goes by name.
    """
    table = _label_table(names, stored)
    numbers: list[int | None] = []
    for index, value in enumerate(values):
        missing = value in NO_LABEL
        fits = isinstance(value, str | int) and not isinstance(value, bool) and value in table
        if not (missing or fits):
            known = ", ".join(map(str, table))
            raise BadValue(index, column, f"label {value!r} is not one of {known}")
        numbers.append(None if missing else table[value])
    return numbers


def _label_table(names: Sequence[str], stored: Sequence[str]) -> dict[str | int, int]:
    by_name: dict[str | int, int] = {name: position for position, name in enumerate(names)}
    if stored and set(stored) & set(names):
        by_number = {number: by_name[name] for number, name in enumerate(stored) if name in by_name}
    elif stored and not all(name.isdigit() for name in stored):
        raise ValueError(f"the stored classes {list(stored)} are none of {list(names)}")
    else:
        by_number = {int(name): int(name) for name in stored} or {n: n for n in range(len(names))}
    digits = {} if any(name.isdigit() for name in names) else {str(n): n for n in range(len(names))}
    return digits | by_name | by_number


def _answer_lists(index: int, value: object, column: str) -> tuple[list[str], list[int]]:
    """Texts and starts of one row, which may have two lists or a list of answers."""
    if isinstance(value, list) and all(isinstance(answer, dict) for answer in value):
        value = {key: [answer.get(key) for answer in value] for key in ANSWER}
    words, starts = (value.get(key) for key in ANSWER) if isinstance(value, dict) else (None, None)
    if not isinstance(words, list) or not isinstance(starts, list):
        problem = f"lists 'text' and 'answer_start' were expected, not {value!r:.80}"
    elif len(words) != len(starts):
        problem = f"{len(words)} texts for {len(starts)} starts"
    elif not all(isinstance(w, str) for w in words) or not all(isinstance(n, int) for n in starts):
        problem = f"texts and whole numbers were expected, not {value!r:.80}"
    elif far := [n for n in starts if abs(n) > LONGEST]:
        problem = f"'answer_start' {far[0]} is no place in a text"
    else:
        return words, starts
    raise BadValue(index, column, problem)


def _misplaced(answer: tuple[list[str], list[int]], context: str) -> bool:
    return any(not context.startswith(word, start) for word, start in zip(*answer, strict=True))


@lru_cache(maxsize=1024)  # rows that share a paragraph or a premise stand together
def normal(text: str) -> str:
    """A text without differences of case, width and spacing."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return " ".join(plain.casefold().split())


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Spans of sentences by sentence-final punctuation: a stand-in for a data set's own breaks."""
    cuts = [0, *(end.end() for end in SENTENCE_END.finditer(text)), len(text)]
    return [(a, b) for a, b in pairwise(cuts) if text[a:b].strip()] or [(0, len(text))]
