"""How much a run reads, before anything is tokenised: rows counted, tokens estimated from text.

In a folder (the toy world is one) rows are counted and some examples measured. Elsewhere the
official release's rows and the registry's mean lengths stand in.
"""

import gzip
from collections.abc import Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow.parquet as pq

from xfer_utils.formats import base
from xfer_utils.study.tasks import task, training_parts

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
            rows = {code: _released(name, role, code) for code in codes}
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
        return mean(min(base.tokens_in(line), longest) for line in lines) if lines else longest / 2

    def _sample(self, name: str, role: str) -> list[dict]:
        """The first examples, in English or else in the first language that has some."""
        if self.source and (name, role) not in self._samples:
            codes = self.source.languages(name, role)[:1]
            rows = [row for code in codes for row in self.source.sample(name, role, code, SAMPLE)]
            self._samples[name, role] = rows
        return self._samples.get((name, role), [])

    def _stored(self, name: str, role: str, language: str) -> int:
        if self.source is None:
            return 0
        total = 0.0
        for part in training_parts(name):
            for split in self.source.splits(part, role):
                files = self.source.files(task(part), split, language)
                files.pop("gold", None)  # of what belongs together no model reads anything
                rows = [_rows(file) for _, file in files.values() if file]
                total += sum(rows) / max(1, len(rows))  # of two pools the mean
        return round(total)


def _released(name: str, role: str, language: str) -> int:
    """Rows of the official release, as far as the registry knows them."""
    splits, entry = task(name).splits.get(role, ()), task(name).hub_for(language)
    splits = [splits] if isinstance(splits, str) else splits
    if entry is None:
        return UNKNOWN_ITEMS
    if all(language in entry.absent.get(split, ()) for split in splits):
        return 0
    return sum(entry.expected(split, language) or 0 for split in splits) or UNKNOWN_ITEMS


@cache
def _rows(file: Path) -> int:
    if file.suffix == ".parquet":
        return pq.ParquetFile(file).metadata.num_rows
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        return sum(1 for _ in lines)


def training_tokens(parameters: Mapping[str, Any], counts: Counts) -> float:
    """Tokens that a run is trained on, by its parameters."""
    if "masked" in parameters:
        lines = 0 if parameters["load"] else parameters["steps"] * parameters["batch_size"]
        return lines and lines * counts.line_tokens(parameters["max_length"])
    if "epochs" not in parameters:
        return 0.0
    if "buckets" in parameters:
        return _few_shot(parameters, counts)[0]
    beside = parameters.get("together") or {}
    parts = [(parameters.get("tasks") or [parameters.get("train_task")], parameters)]
    parts += [(beside["tasks"], beside)] if beside.get("tasks") else []
    return sum(_mixture_tokens([*filter(None, names)], own, counts) for names, own in parts)


def _mixture_tokens(names: list[str], parameters: Mapping[str, Any], counts: Counts) -> float:
    """Tokens of a mixture over all its epochs, or as far as it is to go."""
    limits = [parameters["max_examples"], parameters.get("cap") if len(names) > 1 else 0]
    longest, rate = parameters["max_length"], (parameters.get("text") or {}).get("rate", 0)
    copies = len(parameters["languages"]) if parameters.get("items") == "all" else 1
    read = {name: copies * min([counts.train(name), *filter(None, limits)]) for name in names}
    tokens = sum(n * counts.example_tokens(name, "train", longest) for name, n in read.items())
    rows = sum(read.values())
    lines = rate * (rows or 1)
    tokens += lines and lines * counts.line_tokens(longest)
    a_step = tokens / max(1, rows + lines) * parameters["batch_size"] * parameters["accumulation"]
    steps = parameters["max_steps"]  # the Trainer stops after so many, whatever the epochs
    total = parameters.get("max_tokens") or a_step * steps or tokens * parameters["epochs"]
    return total + a_step * parameters.get("more_steps", 0)


def evaluation_tokens(parameters: Mapping[str, Any], counts: Counts) -> float:
    """Tokens that a run evaluates; retrieval always takes all of its pools."""
    if "buckets" in parameters:
        return _few_shot(parameters, counts)[1]
    tokens = 0.0
    for name in parameters.get("targets", ()):
        for role in parameters["evaluate"][name]:
            items = sum(_items(parameters, name, role, counts).values())
            tokens += items * counts.example_tokens(name, role, parameters["max_length"])
    return tokens


def _items(parameters: Mapping[str, Any], name: str, role: str, counts: Counts) -> dict[str, int]:
    """Items of a target that a run evaluates, by language."""
    limit, chosen = parameters.get("max_eval_items") or 10**9, parameters.get("languages")
    items = counts.evaluated(name, role).items()
    return {code: min(count, limit) for code, count in items if not chosen or code in chosen}


def _few_shot(parameters: Mapping[str, Any], counts: Counts) -> tuple[float, float]:
    """Tokens trained on and evaluated by all adaptations of a model."""
    trained, evaluated, ways = 0.0, 0.0, parameters["ways"]
    ks = [k for k in parameters["k"] if k]
    rounds = parameters["buckets"] * parameters["max_steps"]
    for name in parameters["targets"]:
        role = parameters["evaluate"][name][0]
        items = _items(parameters, name, role, counts) | {"en": 0}
        tokens = counts.example_tokens(name, role, parameters["max_length"])
        each = ("sequential" in ways) + 2 * ("together" in ways)
        trained += rounds * sum(ks) * (each * (len(items) - 1) + ("english" in ways)) * tokens
        times = 1 + parameters["buckets"] * len(ks) * len(ways)
        evaluated += times * sum(items.values()) * tokens
    return trained, evaluated
