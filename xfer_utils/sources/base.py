"""What every source can do, given where its tables are: read, name labels, report what was read."""

import hashlib
import json
from typing import Any

import pyarrow as pa
from datasets import Dataset

from xfer_utils.formats.columns import Conversion, Reading
from xfer_utils.sources.pools import pool
from xfer_utils.sources.raw import MissingData, Raw
from xfer_utils.sources.schema import converted, dataset
from xfer_utils.study.tasks import Task, task, training_parts

VERSION = 1  # of how sources read and clean: raised by hand when the same files give other rows
Splits = dict[str, dict[str, str | list[str]]]


class TableSource:
    """A source made of tables, one per task, split and language; its subclasses know where they are."""

    def __init__(self, spec: str, splits: Splits | None = None):
        self.spec = spec
        self._splits = splits or {}
        self._readings: dict[tuple, Reading] = {}
        self._labels: dict[str, list[str]] = {}

    # ----- what a subclass provides -----
    def tables(self, row: Task, split: str, language: str) -> dict[str, Raw]:
        """The tables of a split: `rows`, or a mining pool's three. MissingData where there are none."""
        raise NotImplementedError

    def holds(self, row: Task, split: str, language: str) -> bool:
        """Whether `tables` would find something, without reading it."""
        raise NotImplementedError

    def candidates(self, row: Task) -> list[str]:
        """Languages that may have data of a task."""
        raise NotImplementedError

    def revision(self, name: str) -> str:
        """A short string that changes when the data of a task may have changed."""
        raise NotImplementedError

    def aligned_rows(self, row: Task, split: str, language: str) -> int | None:
        """Rows that a row-aligned split must have for row numbers to name the same item in every language."""
        raise NotImplementedError

    # ----- what every source does with it -----
    def splits(self, name: str, role: str) -> list[str]:
        """The data set's split names behind a role (`train`, `dev`, `test`); the study file's come first."""
        found = self._splits.get(name, {}).get(role) or task(name).splits.get(role) or []
        return [found] if isinstance(found, str) else list(found)

    def languages(self, name: str, role: str | None = None) -> list[str]:
        """Languages with data for a role, by default the one the task is evaluated on; English first."""
        known = set.intersection(
            *(set(self.candidates(task(part))) for part in training_parts(name))
        )
        found = [code for code in known if self.has(name, role or task(name).evaluate, code)]
        return sorted(found, key=lambda code: (code != "en", code))

    def has(self, name: str, role: str, language: str = "en") -> bool:
        """Whether all data of a role is there, as far as can be told without reading it."""
        for part in training_parts(name):
            splits = self.splits(part, role)
            if not splits or not all(self.holds(task(part), split, language) for split in splits):
                return False
        return True

    def read(self, name: str, role: str, language: str = "en") -> Dataset:
        """Canonical rows of one role and language; MissingData where the source does not have them."""
        row = task(name)
        key = {"source": self.revision(name), "task": name, "role": role, "language": language}
        batches = []
        for part in training_parts(name):
            splits = self.splits(part, role)
            if not splits:
                raise MissingData(self._no_role(task(part), role, language))
            converter = Conversion(task(part), language, self.label_names(part))
            for split in splits:
                several = [part] * (part != name) + [split] * (len(splits) > 1)
                converter.rows = 0
                converter.prefix = "".join(f"{piece}:" for piece in several)
                batches += self._read_split(converter, role, split)
            key[part] = splits
        return dataset(row, batches, key)

    def sample(self, name: str, role: str, language: str, count: int) -> list[dict[str, Any]]:
        """Canonical rows from the beginning of a role, unreported: enough to estimate their lengths."""
        part = training_parts(name)[0]
        row, split = task(part), self.splits(part, role)[0]
        tables = self.tables(row, split, language)
        if "rows" not in tables:
            batch = next(tables["source"].read(["sentence"]), ({"sentence": []}, []))[0]
            return [{"text": text} for text in batch["sentence"][:count]]
        reading = Reading(row.name, role, split, language, tables["rows"].where)
        table = Conversion(row, language, self.label_names(part))
        batches = converted(table, tables["rows"], reading)
        return next((batch.slice(0, count).to_pylist() for batch in batches), [])

    def _read_split(self, converter: Conversion, role: str, split: str) -> list[pa.RecordBatch]:
        row, language = converter.task, converter.language
        tables = self.tables(row, split, language)
        entry = row.hub_for(language)
        where = ", ".join(table.where for table in tables.values())
        # The toy world is no sample of the official release.
        expected = entry.expected(split, language) if entry and self.spec != "toy" else None
        reading = Reading(row.name, role, split, language, where, expected)
        self._readings[row.name, role, split, language] = reading
        if "rows" in tables:
            found = list(converted(converter, tables["rows"], reading))
        else:
            found = [pool(tables, reading, converter.prefix)]
        if row.aligned and converter.numbered:
            rows = self.aligned_rows(row, split, language)
            if rows is not None and rows != reading.rows:
                reading.notes.append(
                    f"not row-aligned ({rows} rows expected): items are not shared between languages"
                )
                found = [_own_items(batch, language) for batch in found]
        return found

    def label_names(self, name: str) -> list[str]:
        """Label names of a task: the registry's, or for an open set those of its training split, sorted."""
        row = task(name)
        if not row.open_labels:
            return list(row.labels)
        if name not in self._labels:
            found: set[str] = set()
            for split in self.splits(name, "train"):
                table = self.tables(row, split, "en")["rows"]
                column = str(row.columns["tags"])
                names = table.class_names.get(column)
                for batch, _ in table.read([column]):
                    for tags in batch[column]:
                        found.update(names[tag] if names else tag for tag in tags)
            self._labels[name] = sorted(found)
        return self._labels[name]

    def report(self) -> list[dict[str, Any]]:
        """What was read so far: rows found and expected, rows dropped and why, notes; one entry per table."""
        return [reading.as_row() for reading in self._readings.values()]

    def _no_role(self, row: Task, role: str, language: str) -> str:
        hint = (
            f"it trains on {row.train_on}"
            if role == "train" and row.train_on
            else "the registry names none"
        )
        return (
            f"{row.title} ({row.name}) has no {role} split for {language!r} in {self.spec}: {hint}"
        )


def digest(*parts: object) -> str:
    """A short hash of plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _own_items(batch: pa.RecordBatch, language: str) -> pa.RecordBatch:
    """The batch with items that no other language shares."""
    at = batch.schema.get_field_index("item")
    items = pa.array([f"{language}-{item}" for item in batch.column(at).to_pylist()], pa.string())
    return batch.set_column(at, batch.schema.field(at), items)
