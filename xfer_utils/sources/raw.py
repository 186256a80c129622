"""Rows as they are stored: JSON lines or parquet, read in batches of columns, with the place of every row."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
    """A row, or a whole table, that cannot be read; the message names file, line (or row) and column."""


@dataclass
class Raw:
    """A table as it is stored. `read(columns)` yields (batch, numbers): number i is the line of row i."""

    where: str
    columns: list[str]
    read: Callable[[list[str]], Iterator[tuple[Batch, list[int]]]]
    unit: str = "line"
    class_names: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def malformed(self, number: int, column: str | int, problem: str) -> MalformedRow:
        """The error for one row of this table."""
        return MalformedRow(f"{self.where}, {self.unit} {number}, column {column}: {problem}")


def lines(raw: Raw, path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file of `raw`, packed or not, with their numbers."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise raw.malformed(number, error.start + 1, "not UTF-8") from error
    except FileNotFoundError:
        raise
    except (EOFError, OSError, zlib.error) as error:
        raise raw.malformed(
            number + 1, 1, f"the file ends or breaks here ({error}); copy it again"
        ) from error


def open_table(path: Path) -> Raw:
    """A table in a file, by its suffix: .parquet, .jsonl or .jsonl.gz."""
    return _parquet(path) if path.suffix == ".parquet" else _json_lines(path)


def find_table(folder: Path, stem: str) -> Path | None:
    """The one file `stem` + known suffix in `folder`; two of them are an error, not a silent choice."""
    found = [
        folder / f"{stem}{suffix}" for suffix in SUFFIXES if (folder / f"{stem}{suffix}").is_file()
    ]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise MalformedRow(
            f"{folder} holds the same data more than once ({names}): keep one of them"
        )
    return found[0] if found else None


def names_of_classes(schema: pa.Schema) -> dict[str, list[str]]:
    """Label names that `datasets` stores in an Arrow schema, for columns of classes and lists of classes."""
    stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = stored.get("info", {}).get("features", {})
    names = {}
    for column, feature in features.items():
        inner = feature if isinstance(feature, dict) else {}
        inner = inner.get("feature", inner)
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel":
            names[column] = list(inner["names"])
    return names


def _parquet(path: Path) -> Raw:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise MalformedRow(
            f"{path} is not a whole parquet file ({error}): copy it again"
        ) from error

    def read(columns: list[str]) -> Iterator[tuple[Batch, list[int]]]:
        start = 0
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                    yield batch.to_pydict(), list(range(start, start + batch.num_rows))
                    start += batch.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            bad = next((name for name in columns if not _readable(path, name)), columns[0])
            problem = f"the file is damaged from here on ({error}); copy it again"
            raise raw.malformed(start, repr(bad), problem) from error

    raw = Raw(str(path), schema.names, read, "row", names_of_classes(schema))
    return raw


def _readable(path: Path, column: str) -> bool:
    try:
        pq.read_table(path, columns=[column])
    except (pa.ArrowInvalid, OSError):
        return False
    return True


def _json_lines(path: Path) -> Raw:
    raw = Raw(str(path), [], lambda columns: _json_batches(raw, path, columns))
    first = next(_json_rows(raw, path), None)
    raw.columns = list(first[1]) if first else []
    return raw


def _json_rows(raw: Raw, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in lines(raw, path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise raw.malformed(number, error.colno, f"not JSON ({error.msg})") from error
        if not isinstance(row, dict):
            raise raw.malformed(number, 1, f"an object was expected, not {type(row).__name__}")
        yield number, row


def _json_batches(raw: Raw, path: Path, columns: list[str]) -> Iterator[tuple[Batch, list[int]]]:
    batch, numbers = {column: [] for column in columns}, []
    for number, row in _json_rows(raw, path):
        for column in columns:
            if column not in row:
                raise raw.malformed(
                    number, repr(column), f"missing; the row has {', '.join(row) or 'nothing'}"
                )
            batch[column].append(row[column])
        numbers.append(number)
        if len(numbers) == BATCH:
            yield batch, numbers
            batch, numbers = {column: [] for column in columns}, []
    if numbers:
        yield batch, numbers
