"""Rows as they are stored, JSON lines or parquet: batches of columns, with each row's place."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Batch = dict[str, list]
BATCH = 5000
SUFFIXES = (".parquet", ".jsonl.gz", ".jsonl")


class MissingData(FileNotFoundError):
    """Data that a study asks for and its source does not have."""


class HubUnreachable(ConnectionError):
    """The hub did not answer: trying again may help, unlike with MissingData."""


class MalformedRow(ValueError):
    """A row or table that cannot be read; the message names file, line (or row) and column."""


@dataclass
class Raw:
    """A stored table; `read(columns)` yields (batch, numbers): row i stands in line numbers[i]."""

    where: str
    columns: list[str]
    read: Callable[[list[str]], Iterator[tuple[Batch, list[int]]]]
    unit: str = "line"
    class_names: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def malformed(self, number: int, column: str | int, problem: str) -> MalformedRow:
        """The error for one row of this table."""
        return MalformedRow(f"{self.where}, {self.unit} {number}, column {column}: {problem}")


def malformed_line(path: Path, number: int, column: int, problem: str) -> MalformedRow:
    """The error for one line of a text file."""
    return MalformedRow(f"{path}, line {number}, column {column}: {problem}")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, packed or not, with their numbers."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed_line(path, number, error.start + 1, "not UTF-8") from error
    except FileNotFoundError:
        raise
    except (EOFError, OSError, zlib.error) as error:
        problem = f"the file ends or breaks here ({error}); copy it again"
        raise malformed_line(path, number + 1, 1, problem) from error


def open_table(path: Path) -> Raw:
    """A table in a file, by its suffix: .parquet, .jsonl or .jsonl.gz."""
    return _parquet(path) if path.suffix == ".parquet" else _json_lines(path)


def find_table(folder: Path, stem: str) -> Path | None:
    """The file `stem` + known suffix in `folder`; two of them are an error, not a silent choice."""
    paths = [path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise MalformedRow(f"{folder} holds the same data more than once ({names}): keep one")
    return paths[0] if paths else None


def class_names(features: dict[str, dict]) -> dict[str, list[str]]:
    """Label names of columns of classes and of lists of classes, as `datasets` describes them."""
    names = {}
    for column, feature in features.items():
        value = feature.get("feature", feature) if isinstance(feature, dict) else feature
        if isinstance(value, dict) and value.get("_type") == "ClassLabel":
            names[column] = list(value["names"])
    return names


def numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Batch, list[int]]]:
    """Arrow batches as a table's `read` yields them: rows are numbered from 0."""
    start = 0
    for batch in batches:
        yield batch.to_pydict(), list(range(start, start + batch.num_rows))
        start += batch.num_rows


def _parquet(path: Path) -> Raw:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        message = f"{path} is not a whole parquet file ({error}): copy it again"
        raise MalformedRow(message) from error

    def read(columns: list[str]) -> Iterator[tuple[Batch, list[int]]]:
        rows_read = 0
        try:
            with pq.ParquetFile(path) as file:
                batches = file.iter_batches(batch_size=BATCH, columns=columns)
                for batch, numbers in numbered(batches):
                    rows_read += len(numbers)
                    yield batch, numbers
        except (pa.ArrowInvalid, OSError) as error:
            problem = f"the file is damaged from row {rows_read} on ({error})"
            raise MalformedRow(f"{path}: {problem}: copy it again") from error

    stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    names = class_names(stored.get("info", {}).get("features", {}))
    return Raw(str(path), schema.names, read, "row", names)


def _json_lines(path: Path) -> Raw:
    def read(columns: list[str]) -> Iterator[tuple[Batch, list[int]]]:
        rows = _json_rows(path)
        while stored := list(islice(rows, BATCH)):
            for number, row in stored:
                for column in columns:
                    if column not in row:
                        has = ", ".join(row) or "nothing"
                        raise raw.malformed(number, repr(column), f"missing; the row has {has}")
            batch = {column: [row[column] for _, row in stored] for column in columns}
            yield batch, [number for number, _ in stored]

    _, first = next(_json_rows(path), (0, {}))
    raw = Raw(str(path), list(first), read)
    return raw


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            problem = f"not JSON ({error.msg})"
            raise malformed_line(path, number, error.colno, problem) from error
        if not isinstance(row, dict):
            problem = f"an object was expected, not {type(row).__name__}"
            raise malformed_line(path, number, 1, problem)
        yield number, row
