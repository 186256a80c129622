"""What must not cross from evaluation into training, selection or text."""

from collections.abc import Iterable, Iterator, Mapping

from datasets import Dataset

from xfer_utils.formats import base
from xfer_utils.formats.base import Format, Marks
from xfer_utils.formats.columns import normal, split_sentences
from xfer_utils.sources.catalogue import Source
from xfer_utils.study.tasks import task

Targets = Mapping[str, str | list[str]] | Iterable[str]
# A shorter sentence inside a longer line is no evidence that the line came from an evaluation set;
# scripts without spaces say more in as many characters.
PIECE, UNSPACED_PIECE = 25, 10


def format_of(name: str) -> Format:
    """The format of a task."""
    return base.of(task(name).format)


def _key(text: str) -> str:
    """A sentence without any spaces: data sets of words set them where running text has none."""
    return "".join(normal(text).split())


def marks(form: Format, rows: Iterable[dict]) -> Marks:
    """The marks of many rows."""
    union = Marks()
    for row in rows:
        union.add(form.marks(row))
    return union


def shared(row_marks: Marks, evaluated: Marks) -> set[str]:
    """Which kinds of mark a row has in common with evaluated ones."""
    return {kind for kind, own in vars(row_marks).items() if own & getattr(evaluated, kind)}


def listed(targets: Targets) -> list[tuple[str, str]]:
    """(target, role) of all that counts as evaluated; names alone stand for dev and test."""
    roles = targets if isinstance(targets, Mapping) else dict.fromkeys(targets, ("dev", "test"))
    lists = {name: [role] if isinstance(role, str) else role for name, role in roles.items()}
    return [(name, role) for name, chosen in lists.items() for role in chosen]


def evaluated(source: Source, targets: Targets) -> Iterator[tuple[str, str]]:
    """(target, role) of every evaluated set that the source has."""
    return ((name, role) for name, role in listed(targets) if source.languages(name, role))


def clean_rows(source: Source, name: str, role: str, targets: Targets) -> tuple[Dataset, int]:
    """English rows for training or selection without what targets evaluate, and how many it cost.

    A row goes that shares an item, paragraph or id with them; a shared article alone is no leak.
    Evaluated sets are read in English, the original of every translation; where there is none, the
    first language stands in: ids are shared, texts are not. A target's own development set is not
    held against itself: choosing on it is a matter of cross-fitting. XQuAD and LAReQA are made from
    SQuAD's development set, so this is what makes early stopping on SQuAD clean.
    """
    rows, union = source.read(name, role), Marks()
    for target, split in evaluated(source, targets):
        if comparable(target, name) and (role == "train" or target != name):
            language = source.languages(target, split)[0]
            union.add(marks(format_of(target), source.read(target, split, language)))
    form = format_of(name)
    clean = [n for n, row in enumerate(rows) if not shared(form.marks(row), union) - {"articles"}]
    return rows.select(clean), len(rows) - len(clean)


def comparable(target: str, name: str) -> bool:
    """Whether rows of two tasks can be one item: same format, both on paragraphs, or same data."""
    ours, theirs = task(name), task(target)
    on_paragraphs = all("context" in row.columns for row in (ours, theirs))
    return ours.format == theirs.format or on_paragraphs or theirs.train_on == name


def forbidden(source: Source, targets: Targets) -> set[str]:
    """Every sentence that the targets evaluate, in every language: translations are among them."""
    sentences: set[str] = set()
    for name, role in evaluated(source, targets):
        form = format_of(name)
        for language in source.languages(name, role):
            for row in source.read(name, role, language):
                for text in form.texts(row):
                    sentences.update(map(_key, (text, *_pieces(text))))
    return sentences - {""}


def _pieces(text: str) -> list[str]:
    pieces = [text[a:b].strip() for a, b in split_sentences(text)]
    return [piece for piece in pieces if len(piece) >= (PIECE if " " in piece else UNSPACED_PIECE)]


def clean_text(lines: Iterable[str], banned: set[str]) -> tuple[list[str], int]:
    """Lines that neither are nor contain a banned sentence, and how many were dropped."""
    lines = list(lines)
    clean = [line for line in lines if banned.isdisjoint(map(_key, (line, *_pieces(line))))]
    return clean, len(lines) - len(clean)
