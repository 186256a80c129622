"""What must not cross from evaluation into training, selection or text: found, counted and dropped."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from datasets import Dataset

from xfer_utils.sources.catalogue import Source
from xfer_utils.sources.retrieval import split_sentences
from xfer_utils.study.tasks import task

Targets = Mapping[str, list[str]] | Iterable[str]
ROLES = ("dev", "test")
# A shorter sentence inside a longer line is no evidence that the line came from an evaluation set; scripts without
# spaces say more in as many characters.
PIECE, UNSPACED_PIECE = 25, 10


@lru_cache(maxsize=1024)  # rows that share a paragraph or a premise stand together
def normal(text: str) -> str:
    """A text without differences of case, width and spacing."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return " ".join(plain.casefold().split())


def _key(text: str) -> str:
    """A sentence without any spaces: data sets of words set them where running text has none."""
    return "".join(normal(text).split())


@dataclass
class Marks:
    """What rows can be recognised by: whole items, paragraphs they belong to, ids and articles."""

    items: set[str] = field(default_factory=set)
    paragraphs: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    articles: set[str] = field(default_factory=set)


def marks_of(row: dict) -> Marks:
    """The marks of one canonical row, whatever its format.

    Ids and articles count for questions on paragraphs alone: only there do data sets share them.
    """
    if "passage" in row and not row["context"]:
        return Marks({normal(row["question"])})
    if "question" in row:
        item = normal(row["question"]) + "\t" + normal(row["context"])
        return Marks({item}, {normal(row["context"])}, {row["item"]}, {row["cluster"]})
    if "tokens" in row:
        return Marks({normal(" ".join(row["tokens"]))})
    if "choices" in row:
        return Marks(
            {"\t".join(map(normal, [row["text_a"], *row["choices"]]))}, {normal(row["text_a"])}
        )
    if "text_b" in row:
        return Marks(
            {normal(row["text_a"]) + "\t" + normal(row["text_b"])}, {normal(row["text_a"])}
        )
    if row["context"]:
        return Marks({normal(row["text"])}, {normal(row["context"])})
    return Marks({normal(row["text"])}, ids={row["item"]})


def marks(rows: Iterable[dict]) -> Marks:
    """The marks of many rows."""
    found = Marks()
    for row in rows:
        one = marks_of(row)
        for name in vars(found):
            getattr(found, name).update(getattr(one, name))
    return found


def overlaps(train_rows: Iterable[dict], eval_rows: Iterable[dict]) -> dict[str, int]:
    """How many training rows share an item, a paragraph (or premise), an id or an article with evaluation rows."""
    evaluated = marks(eval_rows)
    counts = dict.fromkeys(vars(evaluated), 0)
    for row in train_rows:
        one = marks_of(row)
        for name in counts:
            counts[name] += bool(getattr(one, name) & getattr(evaluated, name))
    return counts


def drop(rows: Dataset, evaluated: Marks) -> tuple[Dataset, int]:
    """The rows that share no item, paragraph or id with evaluated ones, and how many were dropped."""
    keep = []
    for n, row in enumerate(rows):
        one = marks_of(row)
        if not any(
            getattr(one, name) & getattr(evaluated, name) for name in ("items", "paragraphs", "ids")
        ):
            keep.append(n)
    return (rows if len(keep) == len(rows) else rows.select(keep)), len(rows) - len(keep)


def evaluated(source: Source, targets: Targets) -> Iterator[tuple[str, str]]:
    """(target, role) of every labelled set that counts as evaluated and that the source has.

    `targets` maps each target to the roles that a study evaluates; names alone stand for `dev` and `test`.
    """
    for name in targets:
        for role in targets[name] if isinstance(targets, Mapping) else ROLES:
            if source.languages(name, role):
                yield name, role


def evaluated_marks(source: Source, targets: Targets) -> Marks:
    """The marks of the targets' evaluated sets in English, the original of every translation.

    Where a source has no English set, the first language stands in: ids are shared, texts are not.
    """
    found = Marks()
    for name, role in evaluated(source, targets):
        one = marks(source.read(name, role, source.languages(name, role)[0]))
        for kind in vars(found):
            getattr(found, kind).update(getattr(one, kind))
    return found


def clean_rows(source: Source, name: str, role: str, targets: Targets) -> tuple[Dataset, int]:
    """English rows of a training or selection set without what the targets evaluate, and how many were dropped.

    A target's own development set is not held against itself: choosing on it is a matter of cross-fitting.
    XQuAD and LAReQA are made from SQuAD's development set, so this is what makes early stopping on SQuAD clean.
    """
    rows = source.read(name, role)
    kin = [
        target
        for target in targets
        if comparable(target, name) and (role == "train" or target != name)
    ]
    if isinstance(targets, Mapping):
        return drop(rows, evaluated_marks(source, {target: targets[target] for target in kin}))
    return drop(rows, evaluated_marks(source, kin))


def comparable(target: str, name: str) -> bool:
    """Whether rows of two tasks can be the same item: one format, paragraphs under both, or one data set."""
    formats = {task(target).format, task(name).format}
    paragraphs = task(target).layout == "answers" and task(name).format == "span"
    return (
        len(formats) == 1
        or paragraphs
        or formats == {"span", "pair"}
        or task(target).train_on == name
    )


def forbidden(source: Source, targets: Targets) -> set[str]:
    """Every sentence of the targets' evaluated sets, in every language: an item's translations are among them."""
    found: set[str] = set()
    for name, role in evaluated(source, targets):
        for language in source.languages(name, role):
            for row in source.read(name, role, language):
                found.update(map(_key, _sentences(row)))
    return found - {""}


def _sentences(row: dict) -> list[str]:
    if "tokens" in row:
        return ["".join(row["tokens"])]
    texts = [
        row[key] for key in ("text_a", "text_b", "question", "context", "text") if row.get(key)
    ]
    return [piece for text in (*texts, *row.get("choices", ())) for piece in (text, *_pieces(text))]


def _pieces(text: str) -> list[str]:
    pieces = [text[a:b].strip() for a, b in split_sentences(text)]
    return [piece for piece in pieces if len(piece) >= (PIECE if " " in piece else UNSPACED_PIECE)]


def clean_text(lines: Iterable[str], banned: set[str]) -> tuple[list[str], int]:
    """Lines that neither are nor contain a banned sentence, and how many were dropped."""
    kept, dropped = [], 0
    for line in lines:
        if _key(line) in banned or any(_key(piece) in banned for piece in _pieces(line)):
            dropped += 1
        else:
            kept.append(line)
    return kept, dropped
