"""What every source can do, given where its tables are: read, name labels, report what was read."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from xfer_utils.formats.columns import Conversion, Reading
from xfer_utils.sources.raw import MissingData
from xfer_utils.sources.schema import converted, dataset, pool
from xfer_utils.study.tasks import BENCHMARKS, evaluated, registry, task, training_parts

VERSION = 1  # of how sources read and clean: raised by hand when the same files give other rows
TRANSLATED = "_translated"  # ends the name of the entry that holds a task's machine translations
Splits = dict[str, dict[str, str | list[str]]]


class Source:
    """Tables of tasks, splits and languages, read into the one canonical form of their format.

    Each kind of source adds where they are: `tables`, `holds` and `candidates` of a task, its
    `revision`, and `text`, `text_languages` and `text_revision` for pre-training.
    """

    def __init__(self, spec: str, splits: Splits | None = None):
        self.spec = spec
        self._splits = splits or {}
        self._readings: dict[tuple, Reading] = {}
        self._labels: dict[str, list[str]] = {}

    @property
    def cleaned_of(self) -> list[str]:
        """Targets none of whose sentences may be in text for pre-training."""
        return evaluated(*BENCHMARKS)

    def splits(self, name: str, role: str) -> list[str]:
        """Names of the splits behind a role (`train`, `dev`, `test`); the study file's win."""
        names = self._splits.get(name, {}).get(role) or task(name).splits.get(role) or []
        return [names] if isinstance(names, str) else list(names)

    def languages(self, name: str, role: str | None = None) -> list[str]:
        """Languages with data for a role (default: the one that is evaluated), English first."""
        parts = [set(self.candidates(task(part))) for part in training_parts(name)]
        role = role or task(name).evaluate
        codes = [code for code in set.intersection(*parts) if self.has(name, role, code)]
        return sorted(codes, key=lambda code: (code != "en", code))

    def has(self, name: str, role: str, language: str = "en") -> bool:
        """Whether all data of a role is there, as far as can be told without reading it."""
        splits = {part: self.splits(part, role) for part in training_parts(name)}
        stored = [(task(part), split) for part in splits for split in splits[part]]
        return all(splits.values()) and all(self.holds(*which, language) for which in stored)

    def training_set(self, name: str, language: str) -> str:
        """The entry that has a task's training set in a language, machine-translated or not."""
        entries = [entry for entry in (name, name + TRANSLATED) if entry in registry()]
        return next((entry for entry in entries if self.has(entry, "train", language)), "")

    def read(self, name: str, role: str, language: str = "en") -> Dataset:
        """Canonical rows of one role and language; MissingData where the source has none."""
        batches = []
        for part in training_parts(name):
            splits = self.splits(part, role)
            if not splits:
                title, elsewhere = task(part).title, role == "train" and task(part).train_on
                hint = f"it trains on {elsewhere}" if elsewhere else "the registry names none"
                raise MissingData(f"{title} ({part}) has no {role} split: {hint}")
            converter = Conversion(task(part), language, self.label_names(part))
            for split in splits:
                converter.rows = 0
                converter.prefix = f"{part}:" if part != name else ""
                converter.prefix += f"{split}:" if len(splits) > 1 else ""
                batches += self._aligned(converter, role, split)
        return dataset(task(name), batches)

    def sample(self, name: str, role: str, language: str, count: int) -> list[dict[str, Any]]:
        """Canonical rows from the beginning of a role: enough to estimate lengths."""
        part = training_parts(name)[0]
        converter = Conversion(task(part), language, self.label_names(part))
        batches = self._batches(converter, role, self.splits(part, role)[0])
        return next((batch.slice(0, count).to_pylist() for batch in batches), [])

    def _batches(self, converter: Conversion, role: str, split: str) -> Iterator[pa.RecordBatch]:
        row, language = converter.task, converter.language
        tables = self.tables(row, split, language)
        where = ", ".join(table.where for table in tables.values())
        entry = row.hub_for(language)
        # The toy world is no sample of the official release.
        expected = entry.expected(split, language) if entry and self.spec != "toy" else None
        reading = Reading(row.name, role, split, language, where, expected)
        self._readings[row.name, role, split, language] = reading
        if "rows" in tables:
            yield from converted(converter, tables["rows"], reading)
        else:
            yield pool(tables, reading, converter.prefix)

    def _aligned(self, converter: Conversion, role: str, split: str) -> list[pa.RecordBatch]:
        """Batches of a split; where rows were lost, numbers name the items of no other language."""
        row, language = converter.task, converter.language
        batches = list(self._batches(converter, role, split))
        original = task(row.name.removesuffix(TRANSLATED))
        translated = language != "en" and self.holds(original, split, "en")
        if row.aligned and converter.numbered and translated:
            english = self.tables(original, split, "en")["rows"]
            rows = sum(len(numbers) for _, numbers in english.read(english.columns[:1]))
            if rows != converter.reading.rows:
                problem = f"not row-aligned ({rows} rows expected)"
                converter.reading.notes.append(f"{problem}: items are not shared between languages")
                for n, batch in enumerate(batches):
                    place = batch.schema.get_field_index("item")
                    items = pc.binary_join_element_wise(language, batch["item"], "-")
                    batches[n] = batch.set_column(place, "item", items)
        return batches

    def label_names(self, name: str) -> list[str]:
        """Label names: the registry's, or for an open set those of the training split, sorted."""
        row = task(name)
        if not row.open_labels:
            return list(row.labels)
        if name not in self._labels:
            names, column = set(), str(row.columns["tags"])
            for split in self.splits(name, "train"):
                table = self.tables(row, split, "en")["rows"]
                classes = table.class_names.get(column)
                for batch, _ in table.read([column]):
                    for tags in batch[column]:
                        names.update(classes[tag] if classes else tag for tag in tags)
            self._labels[name] = sorted(names)
        return self._labels[name]

    def report(self) -> list[dict[str, Any]]:
        """How each table was read: rows found and expected, rows dropped and why, notes."""
        return [reading.as_row() for reading in self._readings.values()]


def digest(*parts: object) -> str:
    """A short hash of plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
