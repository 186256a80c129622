"""Rows as they are stored, JSON lines or parquet: batches of columns, with each row's place."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features

Batch = dict[str, list]
Batches = Iterator[tuple[Batch, list[int]]]
Rows = Iterator[tuple[int, dict[str, Any]]]
BATCH = 5000
SUFFIXES = (".parquet", ".jsonl.gz", ".jsonl")


class MissingData(FileNotFoundError):
    """Data that a study asks for and its source does not have."""


class HubUnreachable(ConnectionError):
    """The hub did not answer: trying again may help, unlike with MissingData."""


class MalformedRow(ValueError):
    """A row or table that cannot be read; the message names file, line (or row) and column."""


def malformed(path: object, number: int, column: str | int, problem: str) -> MalformedRow:
    """The error for one line of a file."""
    return MalformedRow(f"{path}, line {number}, column {column}: {problem}")


@dataclass
class Raw:
    """A stored table; `read(columns)` yields (batch, numbers): row i stands in line numbers[i]."""

    where: str
    columns: list[str]
    read: Callable[[list[str]], Batches]
    unit: str = "line"
    class_names: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def malformed(self, number: int, column: str, problem: str) -> MalformedRow:
        """The error for one row of this table."""
        return MalformedRow(f"{self.where}, {self.unit} {number}, column {column}: {problem}")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, packed or not, with their numbers."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(path, number, error.start + 1, "not UTF-8") from error
    except (EOFError, OSError, zlib.error) as error:
        problem = f"the file ends or breaks here ({error}); copy it again"
        raise malformed(path, number + 1, 1, problem) from error


def find_table(folder: Path, stem: str, suffixes: Iterable[str] = SUFFIXES) -> Path | None:
    """The file `stem` + known suffix in `folder`; two of them are an error, not a silent choice."""
    paths = [path for suffix in suffixes if (path := folder / f"{stem}{suffix}").is_file()]
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise MalformedRow(f"{folder} holds the same data more than once ({names}): keep one")
    return paths[0] if paths else None


def class_names(features: Features) -> dict[str, list[str]]:
    """Label names of columns of classes and of lists of classes."""
    values = {column: getattr(value, "feature", value) for column, value in features.items()}
    return {name: value.names for name, value in values.items() if isinstance(value, ClassLabel)}


def table_of(path: Path, columns: list[str], rows: Callable[[Path], Rows]) -> Raw:
    """A table of a file's numbered rows."""

    def read(names: list[str]) -> Batches:
        stored = rows(path)
        while batch := list(islice(stored, BATCH)):
            for number, row in batch:
                if absent := [name for name in names if name not in row]:
                    problem = f"missing; the row has {', '.join(row) or 'nothing'}"
                    raise malformed(path, number, repr(absent[0]), problem)
            yield {name: [row[name] for _, row in batch] for name in names}, [n for n, _ in batch]

    return Raw(str(path), columns, read)


def numbered(batches: Iterable[pa.RecordBatch]) -> Batches:
    """Arrow batches as a table's `read` yields them: rows are numbered from 0."""
    start = 0
    for batch in batches:
        yield batch.to_pydict(), list(range(start, start + batch.num_rows))
        start += batch.num_rows


def open_parquet(path: Path) -> Raw:
    """A table in a parquet file."""

    def read(columns: list[str]) -> Batches:
        with _whole(path), pq.ParquetFile(path) as file:
            yield from numbered(file.iter_batches(batch_size=BATCH, columns=columns))

    with _whole(path):
        schema = pq.read_schema(path)
    stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = Features.from_dict(stored.get("info", {}).get("features", {}))
    return Raw(str(path), schema.names, read, "row", class_names(features))


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise MalformedRow(f"{path} is no whole parquet file ({error}): copy it again") from error


def open_json_lines(path: Path) -> Raw:
    """A table in a file of JSON lines; its first row says which columns it has."""
    _, first = next(_json_rows(path), (0, {}))
    return table_of(path, list(first), _json_rows)


def _json_rows(path: Path) -> Rows:
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise malformed(path, number, error.colno, f"not JSON ({error.msg})") from error
        except RecursionError as error:
            raise malformed(path, number, 1, "nested too deeply") from error
        if not isinstance(row, dict):
            problem = f"an object was expected, not {type(row).__name__}"
            raise malformed(path, number, 1, problem)
        yield number, _encodable(row) if "\\ud" in line.lower() else row


def _encodable(value: Any) -> Any:
    """A value without lone surrogates, which JSON can write and a file of text cannot hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(part) for key, part in value.items()}
    return [_encodable(part) for part in value] if isinstance(value, list) else value
