"""From the hub's schemas to one canonical form per format, steered by the registry's row of a task.

Every canonical row has `id` (its own), `item` (shared with the translations of the same item) and
`cluster` (its article, or the first row that shares its premise or context: what must be resampled
together). Rows are read and converted in batches, so that memory holds one copy of the result.
"""

from collections.abc import Iterator

import pyarrow as pa
from datasets import Dataset, DatasetInfo
from datasets.fingerprint import generate_random_fingerprint
from datasets.table import InMemoryTable

from xfer_utils.formats import base
from xfer_utils.formats.columns import BadValue, Conversion, Reading, checked_texts
from xfer_utils.formats.sentence import FIELDS, FORMAT
from xfer_utils.sources.raw import MalformedRow, Raw
from xfer_utils.study.tasks import Columns, Task

# Stored tables may lack these although the registry names them.
OPTIONAL = ("id", "cluster", "breaks")
SIDES = ["id", "sentence"]  # of a mining pool's two tables of sentences
GOLD = ["source_id", "target_id"]  # of its table of right pairs


def columns_of(task: Task, raw: Raw) -> Columns:
    """Which stored column is which: the registry's, or those of another release that it knows."""
    stored = set(raw.columns)
    for layout in (task.columns, *task.variants):
        present = {ours: name for ours, name in layout.items() if stored.issuperset(_listed(name))}
        if all(ours in present or ours in OPTIONAL for ours in layout):
            return present
    needed = [name for ours, name in task.columns.items() if ours not in OPTIONAL]
    absent = ", ".join(name for names in needed for name in _listed(names) if name not in stored)
    has = ", ".join(raw.columns)
    raise MalformedRow(f"{raw.where}: {task.title} needs the column {absent}; the table has {has}")


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def converted(table: Conversion, raw: Raw, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Canonical record batches of one table; what happened is added to `reading`."""
    if not raw.columns:
        reading.notes.append("the table is empty")
        return
    columns = columns_of(table.task, raw)
    table.columns, table.reading = columns, reading
    table.stored = {ours: raw.class_names.get(str(name), []) for ours, name in columns.items()}
    form = base.of(table.task.format)
    schema = form.schema.arrow_schema
    names = dict.fromkeys(name for stored in columns.values() for name in _listed(stored))
    for batch, numbers in raw.read(list(names)):
        reading.rows += len(numbers)
        try:
            rows = form.convert(batch, table)
        except BadValue as error:
            raise raw.malformed(numbers[error.index], error.column, error.problem) from error
        except ValueError as error:
            raise MalformedRow(f"{raw.where}: {error}") from error
        table.rows += len(numbers)
        reading.kept += len(rows["id"])
        empty = [None] * len(rows["id"])
        rows = {name: rows.get(name) or empty for name in schema.names}
        yield pa.RecordBatch.from_pydict(rows, schema=schema)
    reading.notes.extend(raw.notes)


def pool(tables: dict[str, Raw], reading: Reading, prefix: str) -> pa.RecordBatch:
    """A mining pool: sentences on two sides, most without a partner, and the pairs that are right.

    A sentence without a gold partner has no `match`; the two sentences of a pair share their item.
    """
    sources, targets = _columns(tables["gold"], GOLD)
    rows: list[tuple] = []
    for side, gold in (("source", (sources, targets)), ("target", (targets, sources))):
        partners = dict(zip(*gold, strict=True))
        ids, texts = _columns(tables[side], SIDES)
        if lost := len(partners.keys() - set(ids)):
            where = tables[side].where
            reading.notes.append(f"{lost} gold pairs name a sentence that {where} does not hold")
        for name, text in zip(ids, texts, strict=True):
            match = partners.get(name)
            item = prefix + (match if side == "target" and match else name)
            rows.append((prefix + name, item, item, side, text, match and prefix + match, None))
    reading.rows, reading.kept = len(sources), len(rows)
    reading.notes.append(f"{reading.kept} sentences in the pool, {reading.rows} gold pairs")
    columns = {name: [row[n] for row in rows] for n, name in enumerate(FIELDS)}
    return pa.RecordBatch.from_pydict(columns, schema=FORMAT.schema.arrow_schema)


def _columns(raw: Raw, names: list[str]) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in names]
    if raw.columns and not set(names) <= set(raw.columns):
        needed, has = ", ".join(names), ", ".join(raw.columns)
        raise MalformedRow(f"{raw.where}: needs the columns {needed}; it has {has}")
    for batch, numbers in raw.read(names):
        for column, name in zip(columns, names, strict=True):
            try:
                column += [text.rstrip("\r\n") for text in checked_texts(batch[name], name)]
            except BadValue as error:
                raise raw.malformed(numbers[error.index], error.column, error.problem) from error
    return columns


def dataset(task: Task, batches: list[pa.RecordBatch]) -> Dataset:
    """A Dataset of canonical batches; a fingerprint of its own saves hashing the content."""
    features, mark = base.of(task.format).schema, generate_random_fingerprint()
    table = pa.Table.from_batches(batches, schema=features.arrow_schema)
    return Dataset(InMemoryTable(table), info=DatasetInfo(features=features), fingerprint=mark)
