"""CCG supertags from a local copy of CCGbank: .auto files as released, or words and tags."""

import re
from pathlib import Path

from xfer_utils.sources.raw import Raw, Rows, lines, malformed, table_of

HOW_TO_GET = (
    "CCGbank is licensed data (LDC2005T13, from the Linguistic Data Consortium). With a licence, "
    "put it in this folder as en.train (sections 02-21) and en.validation (section 00), with one "
    "of the endings .auto (the released files of these sections, joined by `cat`), .tsv (tokens "
    "TAB supertags), .jsonl and .parquet (tokens, supertags)"
)
SUFFIXES = (".tsv", ".auto")
LEAF = re.compile(r"<L (\S+) \S+ \S+ (\S+) \S+>")  # category, parts of speech, word, category


def open_words(path: Path) -> Raw:
    """A table of tokens and supertags."""
    return table_of(path, ["tokens", "supertags"], _sentences)


def _sentences(path: Path) -> Rows:
    parse = _derivation if path.suffix == ".auto" else _tabbed
    for number, line in lines(path):
        text = line.strip()
        if not text or text.startswith("ID="):
            continue
        try:
            words, tags = parse(text)
        except ValueError as error:
            raise malformed(path, number, 1, str(error)) from error
        yield number, {"tokens": words, "supertags": tags}


def _tabbed(line: str) -> tuple[list[str], list[str]]:
    words, tab, tags = line.partition("\t")
    if not tab:
        raise ValueError("tokens, a tab and supertags were expected; there is no tab")
    if len(words.split()) != len(tags.split()):
        raise ValueError(f"{len(tags.split())} supertags for {len(words.split())} tokens")
    return words.split(), tags.split()


def _derivation(line: str) -> tuple[list[str], list[str]]:
    """Words and categories of the leaves."""
    leaves = LEAF.findall(line)
    if not leaves or len(leaves) != line.count("<L "):
        raise ValueError("a derivation with leaves <L category pos pos word category> was expected")
    return [word for _, word in leaves], [category for category, _ in leaves]
