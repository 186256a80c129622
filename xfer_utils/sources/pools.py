"""Mining pools: sentences on two sides, most without a partner, and the pairs that are right."""

import pyarrow as pa

from xfer_utils.formats.columns import BadValue, Reading, checked_texts
from xfer_utils.formats.sentence import FIELDS, FORMAT
from xfer_utils.sources.raw import MalformedRow, Raw

SIDES = ["id", "sentence"]
GOLD = ["source_id", "target_id"]


def pool(tables: dict[str, Raw], reading: Reading, prefix: str) -> pa.RecordBatch:
    """A mining pool from its tables `source`, `target` and `gold`.

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
