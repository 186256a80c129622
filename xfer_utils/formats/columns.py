"""Stored columns on their way to canonical ones: texts, labels, answers, names of rows."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import compress, pairwise

from xfer_utils.study.tasks import Task

Batch = dict[str, list]
IGNORE = -100  # a token without a tag
NO_LABEL = (None, "", "-", "-1", -1)
ANSWER = ("text", "answer_start")
SHARED = ("id", "cluster")  # columns that every format may name
SENTENCE_END = re.compile(r"(?<=[.!?。！？؟।])[\s]+|(?<=[。！？])")


class BadValue(ValueError):
    """A value that does not fit, by its position in a batch; readers add file and line."""

    def __init__(self, index: int, column: str, problem: str):
        super().__init__(problem)
        self.index, self.column, self.problem = index, repr(column), problem


@dataclass
class Reading:
    """How one table was read; `odd` counts what is kept but strange, such as ignored tags."""

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
        as_expected = None if self.expected is None else self.rows == self.expected
        return vars(self) | {"notes": "; ".join(self.notes), "as_expected": as_expected}


class Conversion:
    """One task, role and language being converted: what runs on from batch to batch."""

    reading: Reading

    def __init__(self, task: Task, language: str, label_names: Sequence[str]):
        self.task, self.language, self.prefix, self.rows = task, language, "", 0
        self.label_names = list(label_names) or [str(n) for n in range(task.choices)]
        self.columns: dict[str, str | list[str]] = {}  # which stored column is which
        self.stored: dict[str, list[str]] = {}  # class names that came with a column
        self._firsts: dict[int, str] = {}
        self._times: Counter = Counter()

    @property
    def numbered(self) -> bool:
        """Whether rows are named by their number, having no ids."""
        return bool(self.columns) and "id" not in self.columns

    def texts(self, batch: Batch, key: str, end: str = "\r\n") -> list[str]:
        """A column of texts, without the line end that some files keep."""
        column = self.columns[key]
        return [text.rstrip(end) for text in checked_texts(batch[column], column)]

    def ids(self, batch: Batch, key: str) -> list[str]:
        """A column of identifiers, as strings."""
        column = self.columns[key]
        ids = [str(value) if isinstance(value, int) else value for value in batch[column]]
        return checked_texts(ids, column)

    def labels(self, values: list) -> list[int | None]:
        """Values of the column of labels, as numbers."""
        return labels(values, self.columns["label"], self.label_names, self.stored["label"])

    def tags(self, batch: Batch, words: list[list[str]]) -> list[list[int]]:
        """The column of tags, as numbers; `_`, and new tags in an open set, are ignored."""
        column, stored = self.columns["tags"], self.stored["tags"]
        numbers = _label_table(self.label_names, stored, self.task.read_as) | {"_": IGNORE}
        numbers |= {number: IGNORE for number, name in enumerate(stored) if name == "_"}
        for index, (tokens, tags) in enumerate(zip(words, batch[column], strict=True)):
            listed = isinstance(tags, list) and all(type(tag) in (str, int) for tag in tags)
            if not are_texts(tokens) or not listed:
                raise BadValue(index, column, "lists of words and of tags were expected")
            if len(tokens) != len(tags):
                raise BadValue(index, column, f"{len(tags)} tags for {len(tokens)} tokens")
            unknown = [tag for tag in tags if tag not in numbers]
            if unknown and not self.task.open_labels:
                known = ", ".join(self.label_names)
                raise BadValue(index, column, f"tag {unknown[0]!r} is not one of {known}")
        sentences = [[numbers.get(tag, IGNORE) for tag in tags] for tags in batch[column]]
        if ignored := sum(tags.count(IGNORE) for tags in sentences):
            self.reading.odd["tags ignored"] += ignored
        return sentences

    def answers(self, batch: Batch, contexts: list[str]) -> list[dict[str, list]]:
        """The column of answers; misplaced ones are reported."""
        column = self.columns["answers"]
        answers = [_answers(n, value, column) for n, value in enumerate(batch[column])]
        for answer, context in zip(answers, contexts, strict=True):
            places = zip(answer["text"], answer["answer_start"], strict=True)
            if any(not context.startswith(*place) for place in places):
                self.reading.odd["answers misplaced"] += 1
        return answers

    def names(self, batch: Batch, count: int, shared: list[str] | None = None) -> Batch:
        """id, item and cluster of a batch; `shared` is the text that makes rows one cluster."""
        if self.numbered:
            ids = items = [f"{self.prefix}{self.rows + n}" for n in range(count)]
        else:
            items = [self.prefix + name for name in self.ids(batch, "id")]
            ids = [self._once(item) for item in items]
        if "cluster" in self.columns:
            clusters = list(map(str, batch[self.columns["cluster"]]))
        else:
            clusters = list(map(self.first, shared, ids)) if shared else ids
        return {"id": ids, "item": items, "cluster": clusters}

    def _once(self, item: str) -> str:
        """The item's id, numbered from its second row on, since some data sets repeat ids."""
        self._times[item] += 1
        return item if self._times[item] == 1 else f"{item}#{self._times[item]}"

    def first(self, text: str, row: str) -> str:
        """The first row that had this text; `row` where it is this one."""
        return self._firsts.setdefault(hash(text), row)

    def keep(self, rows: Batch, wanted: list[bool], why: str) -> Batch:
        """The wanted rows; the others are reported as dropped."""
        if all(wanted):
            return rows
        self.reading.dropped[why] += wanted.count(False)
        return {name: list(compress(column, wanted)) for name, column in rows.items()}

    def labelled(self, rows: Batch) -> Batch:
        """The rows that have a label."""
        return self.keep(rows, [label is not None for label in rows["label"]], "no label")


def checked_texts(values: list, column: str) -> list[str]:
    """The values, which must be strings."""
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise BadValue(index, column, f"text was expected, not {value!r}")
    return values


def are_texts(value: object) -> bool:
    """Whether this is a list of strings."""
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def labels(
    values: list, column: str, names: Sequence[str], stored: Sequence[str] = ()
) -> list[int | None]:
    """Labels as positions in `names`; None for a row without a label (-1, or nothing)."""
    table = _label_table(names, stored) | dict.fromkeys(NO_LABEL)
    for index, value in enumerate(values):
        if type(value) not in (str, int, type(None)) or value not in table:
            raise BadValue(index, column, f"label {value!r} is not one of {', '.join(names)}")
    return [table[value] for value in values]


def _label_table(
    names: Sequence[str], stored: Sequence[str], read_as: Mapping[str, str] = {}
) -> dict[str | int, int]:
    """Positions of names, and of numbers: by name, where class names are stored with them.

    Other labels may be `read_as` one of the names; by number they follow these.
    """
    by_name: dict[str | int, int] = {name: position for position, name in enumerate(names)}
    by_name |= {other: by_name[name] for other, name in read_as.items()}
    by_number = dict(enumerate(by_name.values()))
    if set(stored) & set(names):
        by_number = {number: by_name[name] for number, name in enumerate(stored) if name in by_name}
    elif not all(name.isdigit() for name in stored):
        raise ValueError(f"the stored classes {list(stored)} are none of {list(names)}")
    in_words = {str(number): position for number, position in enumerate(by_name.values())}
    return in_words | by_name | by_number


def _answers(index: int, value: object, column: str) -> dict[str, list]:
    """Texts and starts of one row, which may have two lists or a list of answers."""
    if isinstance(value, list) and all(isinstance(answer, dict) for answer in value):
        value = {key: [answer.get(key) for answer in value] for key in ANSWER}
    texts, starts = (value.get(key) for key in ANSWER) if isinstance(value, dict) else (None, None)
    places = isinstance(starts, list) and all(isinstance(n, int) and n < 2**31 for n in starts)
    if not are_texts(texts) or not places or len(texts) != len(starts):
        lists = "lists 'text' and 'answer_start' were expected, of texts and their places"
        raise BadValue(index, column, f"{lists}, not {value!r:.80}")
    return {"text": texts, "answer_start": starts}


@lru_cache(maxsize=1024)  # rows that share a paragraph or a premise stand together
def normal(text: str) -> str:
    """A text without differences of case, width and spacing."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return " ".join(plain.casefold().split())


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Spans of sentences by sentence-final punctuation: a stand-in for a data set's own breaks."""
    cuts = [0, *(end.end() for end in SENTENCE_END.finditer(text)), len(text)]
    return [(a, b) for a, b in pairwise(cuts) if text[a:b].strip()] or [(0, len(text))]
