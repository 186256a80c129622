"""How much a run reads, before anything is tokenised: rows counted, and tokens estimated from the text.

Where the source is a folder (the toy world is one), rows are counted and a sample's text is measured. Elsewhere the
official release's row counts and the registry's mean lengths stand in for them.
"""

import gzip
import math
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from xfer_utils.sources.raw import find_table
from xfer_utils.study.tasks import Hub, Task, task, training_parts

BYTES_PER_TOKEN = (
    4.7  # of UTF-8 text: measured 4.4 to 4.9 for English in XLM-R's vocabulary and the toy world's
)
SPECIAL_TOKENS = 3
SAMPLE = 300
UNKNOWN_ITEMS = 1000
TEXT = ("text_a", "text_b", "question", "passage", "tokens", "text")


class Counts:
    """Rows of tasks and tokens of their examples in a study's source."""

    def __init__(self, source: Any = None) -> None:
        self.source = source if hasattr(source, "path") else None
        self._lengths: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def train(self, name: str) -> int:
        """English training rows of a task."""
        return self._stored(name, "train", "en") or train_rows(name)

    def evaluated(self, name: str, role: str) -> dict[str, int]:
        """Rows to encode per language: both sides of a retrieval task."""
        row = task(name)
        if self.source is None:
            return official_rows(row, role)
        sides = 2 if row.format == "sentence" else 1
        codes = self.source.languages(name, role)
        return {code: sides * (self._stored(name, role, code) or UNKNOWN_ITEMS) for code in codes}

    def row_tokens(self, name: str, role: str, given: dict[str, Any]) -> float:
        """Mean tokens of an example, all its choices or windows together, as far as the model reads them."""
        row, longest = task(name), given["max_length"]
        lengths = self._sampled(name, role)
        if not lengths:
            return min(row.mean_tokens, longest * max(1, row.choices))
        if row.format == "span":
            return sum(
                _in_windows(*pair, longest, given.get("doc_stride", 0)) for pair in lengths
            ) / len(lengths)
        return sum(min(sum(pair), longest) for pair in lengths) * max(1, row.choices) / len(lengths)

    def line_tokens(self, longest: int) -> float:
        """Mean tokens of a line of the text that an encoder is pre-trained on."""
        if self.source is None:
            return longest / 2
        lines = [
            line
            for code in self.source.text_languages()
            for line in islice(self.source.text(code), 50)
        ]
        return (
            sum(min(_tokens(line), longest) for line in lines) / max(1, len(lines)) or longest / 2
        )

    def _sampled(self, name: str, role: str) -> list[tuple[float, float]]:
        """Tokens of some examples, their context apart, in English or else the first language that is there."""
        if self.source is None:
            return []
        if (name, role) not in self._lengths:
            codes = ["en"] if role == "train" else self.source.languages(name, role)[:1]
            there = codes and self.source.has(name, role, codes[0])
            rows = self.source.sample(name, role, codes[0], SAMPLE) if there else []
            self._lengths[name, role] = [
                (_row_length(row), _tokens(row.get("context") or "")) for row in rows
            ]
        return self._lengths[name, role]

    def _stored(self, name: str, role: str, language: str) -> int:
        if self.source is None:
            return 0
        stems = [
            (part, split)
            for part in training_parts(name)
            for split in self.source.splits(part, role)
        ]
        files = [
            find_table(self.source.path / task(part).folder, f"{language}.{split}")
            for part, split in stems
        ]
        return sum(map(_rows, filter(None, files)))


def training_tokens(kind: str, given: dict[str, Any], counts: Counts) -> float:
    """Tokens that a run is trained on."""
    if kind == "encoder":
        lines = 0 if given["load"] else given["steps"] * given["batch_size"]
        return lines and lines * counts.line_tokens(given["max_length"])
    if kind not in ("intermediate", "target"):
        return 0
    names = given["tasks"] if kind == "intermediate" else [given["train_task"]]
    rows, tokens = 0, 0.0
    for name in names:
        found = counts.train(name)
        found = min(
            found,
            given["max_examples"] or found,
            given.get("cap", found) if len(names) > 1 else found,
        )
        rows, tokens = rows + found, tokens + found * counts.row_tokens(name, "train", given)
    if given["max_steps"]:  # the Trainer stops after so many, however many epochs they are
        return (
            tokens
            / max(1, rows)
            * given["max_steps"]
            * given["batch_size"]
            * given.get("accumulation", 1)
        )
    return tokens * given["epochs"]


def evaluation_tokens(kind: str, given: dict[str, Any], counts: Counts) -> float:
    """Tokens that a run evaluates; retrieval always takes all of its pools."""
    if kind not in ("target", "retrieval"):
        return 0
    total = 0.0
    for name in given["targets"]:
        most, (role, *_) = given.get("max_eval_items", 0), given["evaluate"][name]
        items = sum(min(n, most or n) for n in counts.evaluated(name, role).values())
        total += items * counts.row_tokens(name, role, given)
    return total


def train_rows(name: str) -> int:
    """English training rows of a task in the official release."""
    return task(name).train_rows or sum(task(part).train_rows for part in training_parts(name))


def official_rows(row: Task, role: str) -> dict[str, int]:
    """Rows to encode per language in the official release."""
    splits = row.splits.get(role, ())
    splits = [splits] if isinstance(splits, str) else splits
    sides = 2 if row.format == "sentence" else 1
    found = {}
    for code in (*row.languages, *row.xtreme_r_languages):
        entry = row.hub_for(code)
        known = [entry.expected(split, code) or 0 for split in splits] if entry else []
        absent = entry and all(code in entry.absent.get(split, ()) for split in splits)
        found[code] = 0 if absent else sides * (sum(known) or UNKNOWN_ITEMS)
    return found


def stored_rows(row: Task, entry: Hub) -> int:
    """Rows of all splits of the configurations that hold a task's languages, as well as the registry knows them."""
    named = {
        role: {names} if isinstance(names, str) else set(names)
        for role, names in row.splits.items()
    }
    sides = 2 if row.format == "sentence" else 1
    rows = 0
    for split in set(entry.rows).union(*named.values()):
        guess = row.train_rows if split in named.get("train", ()) else UNKNOWN_ITEMS
        codes = [
            code
            for code in entry.languages or row.languages
            if code not in entry.absent.get(split, ())
        ]
        found = [entry.expected(split, code) for code in codes]
        rows += sum(guess if known is None else known for known in found)
    return sides * rows


@cache
def _rows(file: Path) -> int:
    """Rows of a stored table, without reading them where its format says."""
    if file.suffix == ".parquet":
        return pq.ParquetFile(file).metadata.num_rows
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        return sum(1 for _ in lines)


def _row_length(row: dict[str, Any]) -> float:
    """Tokens of an example but for its context; of a multiple choice, with its mean answer."""
    choices = row.get("choices") or []
    answer = sum(map(_tokens, choices)) / len(choices) if choices else 0
    texts = [row.get(key) or "" for key in TEXT]
    return (
        SPECIAL_TOKENS
        + answer
        + sum(_tokens(" ".join(t) if isinstance(t, list) else t) for t in texts)
    )


def _tokens(text: str) -> float:
    return len(text.encode()) / BYTES_PER_TOKEN


def _in_windows(question: float, context: float, longest: int, stride: int) -> float:
    """Tokens read of a context in windows: each repeats the question, and all but the first `stride` tokens."""
    question = min(question, longest / 3)
    room = longest - question
    windows = 1 + max(0, math.ceil((context - room) / max(1, room - min(stride, room / 2))))
    return context + windows * question + (windows - 1) * min(stride, room / 2)
