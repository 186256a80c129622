"""CCG supertags from a local copy of CCGbank, in the three formats that people have it in."""

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from xfer_utils.sources.raw import BATCH, Batch, Raw, lines, malformed_line, open_table

HOW_TO_GET = (
    "CCGbank is licensed data (LDC2005T13, from the Linguistic Data Consortium). With a licence, "
    "put it in this folder as en.train and en.validation with one of the endings .tsv (tokens TAB "
    "supertags), .auto (derivations as released, or a folder of them), .pipe (word|pos|supertag), "
    ".jsonl and .parquet (tokens, supertags): training is sections 02-21, validation section 00"
)
ENDINGS = (".tsv", ".tsv.gz", ".auto", ".auto.gz", ".pipe", ".pipe.gz")
Parser = Callable[[str], tuple[list[str], list[str]] | None]
LEAF = re.compile(r"<L (\S+) (\S+) (\S+) (\S+) (\S+)>")


def find(folder: Path, split: str) -> Path | None:
    """The file, or folder of .auto files, that holds a split in a format of this module."""
    paths = (folder / f"en.{split}{ending}" for ending in ENDINGS)
    return next(filter(Path.exists, paths), None)


def open_any(path: Path) -> Raw:
    """A table of tokens and supertags from any format."""
    parse = PARSERS.get(Path(path.name.removesuffix(".gz")).suffix)
    if parse is None:
        return open_table(path)
    files = sorted(path.rglob("*.auto")) if path.is_dir() else [path]

    def read(columns: list[str]) -> Iterator[tuple[Batch, list[int]]]:
        rows = _rows(files, parse)
        while batch := list(islice(rows, BATCH)):
            stored = {"tokens": [row[1] for row in batch], "supertags": [row[2] for row in batch]}
            yield {name: stored[name] for name in columns}, [row[0] for row in batch]

    return Raw(str(path), ["tokens", "supertags"], read)


def _rows(files: list[Path], parse: Parser) -> Iterator[tuple[int, list[str], list[str]]]:
    """Line number, tokens and supertags of every sentence."""
    for path in files:
        for number, line in lines(path):
            try:
                row = parse(line.strip())
            except ValueError as error:
                raise malformed_line(path, number, 1, str(error)) from error
            if row:
                yield number, *row


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
    """The leaves <L category pos pos word category-with-heads> of a derivation; no ID lines."""
    if not line or line.startswith("ID="):
        return None
    leaves = LEAF.findall(line)
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
