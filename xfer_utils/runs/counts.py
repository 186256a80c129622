"""How much a run reads, before anything is tokenised: rows counted, and tokens estimated from text.

Where the source is a folder (the toy world is one), rows are counted and some examples are
measured. Elsewhere the official release's rows and the registry's mean lengths stand in.
"""

import gzip
from functools import cache
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow.parquet as pq

from xfer_utils.formats import base
from xfer_utils.sources.raw import find_table
from xfer_utils.study import params
from xfer_utils.study.tasks import Task, task, training_parts

BYTES_PER_TOKEN = base.BYTES_PER_TOKEN
SAMPLE = 100
UNKNOWN_ITEMS = 1000


class Counts:
    """Rows of tasks and tokens of their examples: counted in a folder, else as released."""

    def __init__(self, source: Any = None) -> None:
        self.source = source if hasattr(source, "path") else None
        self._samples: dict[tuple[str, str], list[dict]] = {}

    def train(self, name: str) -> int:
        """English training rows of a task."""
        released = task(name).train_rows or sum(task(p).train_rows for p in training_parts(name))
        return self._stored(name, "train", "en") or released

    def evaluated(self, name: str, role: str) -> dict[str, int]:
        """Rows to encode per language: both sides of a retrieval task."""
        row = task(name)
        if self.source:
            codes = self.source.languages(name, role)
            rows = {code: self._stored(name, role, code) or UNKNOWN_ITEMS for code in codes}
        else:
            codes = (*row.languages, *row.xtreme_r_languages)
            rows = {code: _released(row, role, code) for code in codes}
        sides = base.of(row.format).inputs_per_item
        return {code: sides * count for code, count in rows.items()}

    def example_tokens(self, name: str, role: str, longest: int) -> float:
        """Mean tokens of an example, all its choices together; what windows repeat is left out."""
        row, sample = task(name), self._sample(name, role)
        if not sample:
            return min(row.mean_tokens, longest * max(1, row.choices))
        estimate = base.of(row.format).estimated_tokens
        return mean(estimate(example, longest) for example in sample)

    def line_tokens(self, longest: int) -> float:
        """Mean tokens of a line of the text that an encoder is pre-trained on."""
        codes = self.source.text_languages() if self.source else []
        lines = [line for code in codes for line in islice(self.source.text(code), 50)]
        lengths = [min(base.tokens_in(line), longest) for line in lines]
        return mean(lengths) if lengths else longest / 2

    def _sample(self, name: str, role: str) -> list[dict]:
        """The first examples, in English or else the first language that is there."""
        if self.source and (name, role) not in self._samples:
            codes = ["en"] if role == "train" else self.source.languages(name, role)[:1]
            there = codes and self.source.has(name, role, codes[0])
            rows = self.source.sample(name, role, codes[0], SAMPLE) if there else []
            self._samples[name, role] = rows
        return self._samples.get((name, role), [])

    def _stored(self, name: str, role: str, language: str) -> int:
        if self.source is None:
            return 0
        files = [
            find_table(self.source.path / task(part).folder, f"{language}.{split}")
            for part in training_parts(name)
            for split in self.source.splits(part, role)
        ]
        return sum(map(_rows, filter(None, files)))


def _released(row: Task, role: str, language: str) -> int:
    """Rows of the official release, as far as the registry knows them."""
    splits, entry = row.splits.get(role, ()), row.hub_for(language)
    splits = [splits] if isinstance(splits, str) else splits
    if entry and all(language in entry.absent.get(split, ()) for split in splits):
        return 0
    return sum(entry.expected(split, language) or 0 for split in splits if entry) or UNKNOWN_ITEMS


@cache
def _rows(file: Path) -> int:
    if file.suffix == ".parquet":
        return pq.ParquetFile(file).metadata.num_rows
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        return sum(1 for _ in lines)


def training_tokens(parameters: dict[str, Any], counts: Counts) -> float:
    """Tokens that a run is trained on, by its parameters."""
    given = with_defaults(parameters)
    if "masked" in given:
        lines = 0 if given.get("load") else given["steps"] * given["batch_size"]
        return lines and lines * counts.line_tokens(given["max_length"])
    names = given.get("tasks") or [name for name in [given.get("train_task")] if name]
    rows, tokens = 0, 0.0
    for name in names:
        cap = given.get("cap", 0) if len(names) > 1 else 0
        limits = [limit for limit in (given["max_examples"], cap) if limit]
        read = min([counts.train(name), *limits])
        rows += read
        tokens += read * counts.example_tokens(name, "train", given["max_length"])
    if given["max_steps"]:  # the Trainer stops after so many, however many epochs they are
        batch = given["batch_size"] * given["accumulation"]
        return tokens / max(1, rows) * given["max_steps"] * batch
    return tokens * given["epochs"]


def evaluation_tokens(parameters: dict[str, Any], counts: Counts) -> float:
    """Tokens that a run evaluates; retrieval always takes all of its pools."""
    given, tokens = with_defaults(parameters), 0.0
    for name in given.get("targets", ()):
        most = given.get("max_eval_items", 0)
        for role in given["evaluate"][name]:
            items = sum(min(n, most or n) for n in counts.evaluated(name, role).values())
            tokens += items * counts.example_tokens(name, role, given["max_length"])
    return tokens


def with_defaults(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the defaults of those that a record leaves out."""
    trains = {"tasks", "targets"} & set(parameters)
    defaults = params.Training() if trains else params.Pretraining()
    return {**defaults.model_dump(), **parameters}
