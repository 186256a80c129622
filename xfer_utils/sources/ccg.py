"""CCG supertags from a local copy of CCGbank, in the three formats that people have it in."""

import re
from collections.abc import Iterator
from pathlib import Path

from xfer_utils.sources.raw import BATCH, Batch, Raw, lines, open_table

HOW_TO_GET = (
    "CCGbank is licensed data (LDC2005T13, from the Linguistic Data Consortium). With a licence, put it in this "
    "folder as en.train and en.validation with one of the endings .tsv (tokens TAB supertags), .auto (derivations "
    "as released, or a folder of them), .pipe (word|pos|supertag) or .jsonl and .parquet (tokens, supertags): "
    "training is sections 02-21, validation is section 00"
)
ENDINGS = (".tsv", ".tsv.gz", ".auto", ".auto.gz", ".pipe", ".pipe.gz")
_LEAF = re.compile(r"<L (\S+) (\S+) (\S+) (\S+) (\S+)>")


def find(folder: Path, split: str) -> Path | None:
    """The file, or folder of .auto files, that holds a split in one of the formats of this module."""
    for ending in ENDINGS:
        if (path := folder / f"en.{split}{ending}").exists():
            return path
    return None


def open_any(path: Path) -> Raw:
    """A table of tokens and supertags from any format."""
    if not any(path.name.endswith(ending) for ending in ENDINGS):
        return open_table(path)
    parse = next(
        p for ending, p in PARSERS.items() if path.name.removesuffix(".gz").endswith(ending)
    )
    files = sorted(path.rglob("*.auto")) if path.is_dir() else [path]
    raw = Raw(
        str(path), ["tokens", "supertags"], lambda columns: _batches(raw, files, parse, columns)
    )
    return raw


def _batches(
    raw: Raw, files: list[Path], parse, columns: list[str]
) -> Iterator[tuple[Batch, list[int]]]:
    rows: list[dict[str, list[str]]] = []
    numbers: list[int] = []
    for path in files:
        own = Raw(str(path), raw.columns, raw.read)
        for number, line in lines(own, path):
            try:
                row = parse(line.strip())
            except ValueError as error:
                raise own.malformed(number, 1, str(error)) from error
            if row:
                rows.append({"tokens": row[0], "supertags": row[1]})
                numbers.append(number)
            if len(rows) == BATCH:
                yield {name: [row[name] for row in rows] for name in columns}, numbers
                rows, numbers = [], []
    if rows:
        yield {name: [row[name] for row in rows] for name in columns}, numbers


def _tabbed(line: str) -> tuple[list[str], list[str]] | None:
    if not line:
        return None
    words, tab, tags = line.partition("\t")
    if not tab:
        raise ValueError("tokens, a tab and supertags were expected; there is no tab")
    if len(words.split()) != len(tags.split()):
        raise ValueError(f"{len(tags.split())} supertags for {len(words.split())} tokens")
    return words.split(), tags.split()


def _derivation(line: str) -> tuple[list[str], list[str]] | None:
    """The leaves of a derivation: <L category pos pos word category-with-heads>; ID lines are passed by."""
    if not line or line.startswith("ID="):
        return None
    leaves = _LEAF.findall(line)
    if not leaves or len(leaves) != line.count("<L "):
        raise ValueError("a derivation with leaves <L category pos pos word category> was expected")
    return [leaf[3] for leaf in leaves], [leaf[0] for leaf in leaves]


def _piped(line: str) -> tuple[list[str], list[str]] | None:
    """word|pos|supertag for every token; a word may itself hold the bar."""
    if not line or line.startswith("#"):
        return None
    tokens = [token.rsplit("|", 2) for token in line.split()]
    bad = next((token for token in tokens if len(token) != 3), None)
    if bad:
        raise ValueError(f"word|pos|supertag was expected, not {'|'.join(bad)!r}")
    return [token[0] for token in tokens], [token[2] for token in tokens]


PARSERS = {".tsv": _tabbed, ".auto": _derivation, ".pipe": _piped}
