"""What must not cross from evaluation into training, selection or text."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import accumulate

from datasets import Dataset

from xfer_utils.formats import base
from xfer_utils.formats.base import Format, Marks
from xfer_utils.formats.columns import normal, split_sentences
from xfer_utils.sources.catalogue import Source
from xfer_utils.study.tasks import task

VERSION = 2  # of what is taken out: raised by hand when cleaning the same data gives other rows
Targets = Mapping[str, str | list[str]] | Iterable[str]
# Letters from which on a sentence inside a longer line is evidence that the line came from an
# evaluation set; scripts without spaces (Thai, Lao, Burmese, Khmer, Kana, Han) say more in each.
SPACED, UNSPACED = 20, 9
UNSPACED_SCRIPTS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
NO_LETTERS = {"P", "S", "C"}  # punctuation, symbols, control: no part of what a sentence says


def format_of(name: str) -> Format:
    """The format of a task."""
    return base.of(task(name).format)


class _Letters(dict):
    """A table for str.translate that grows as characters are met."""

    def __missing__(self, code: int) -> int | None:
        self[code] = None if unicodedata.category(chr(code))[0] in NO_LETTERS else code
        return self[code]


LETTERS = _Letters()


def _words(text: str) -> list[str]:
    """Words by their letters and digits alone: data sets differ in spaces and punctuation."""
    return normal(text).translate(LETTERS).split()


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


def clean_rows(
    source: Source, name: str, role: str, targets: Targets, language: str = "en"
) -> tuple[Dataset, int]:
    """Rows for training or selection without what targets evaluate, and how many it cost.

    A row goes that shares an item, paragraph or id with them; a shared article alone is no leak.
    Of translations the one in the same language stands for all, and English is their original;
    where there is none, the first language does: ids are shared, texts are not. A development set
    is not held against itself: choosing on it is a matter of cross-fitting. XQuAD and LAReQA are
    made from SQuAD's development set, so this is what makes early stopping on SQuAD clean.
    """
    rows, union = source.read(name, role, language), Marks()
    for target, split in evaluated(source, targets):
        if comparable(target, name) and (target, split) != (name, role):
            codes = source.languages(target, split)
            same = language if language in codes else codes[0]
            for code in [same] if task(target).aligned else codes:
                union.add(_marks(source, target, split, code))
    form = format_of(name)
    clean = [n for n, row in enumerate(rows) if not shared(form.marks(row), union) - {"articles"}]
    return rows.select(clean), len(rows) - len(clean)


@lru_cache(maxsize=128)  # the tasks of a plan are held against the same sets
def _marks(source: Source, target: str, split: str, language: str) -> Marks:
    """The marks of an evaluated set in one language."""
    return marks(format_of(target), _rows(source, target, split, language))


def _rows(source: Source, name: str, role: str, language: str) -> list[dict]:
    """Canonical rows, three times as fast as a Dataset gives them one by one."""
    return source.read(name, role, language).with_format("arrow")[:].to_pylist()


def comparable(target: str, name: str) -> bool:
    """Whether rows of two tasks can be one item: same format, both on paragraphs, or same data."""
    ours, theirs = task(name), task(target)
    on_paragraphs = all("context" in row.columns for row in (ours, theirs))
    return ours.format == theirs.format or on_paragraphs or theirs.train_on == name


class Forbidden:
    """Sentences that no line of text may be or contain, whatever punctuation stands in them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.whole, self._inside = set(), defaultdict(list)
        for text in texts:
            for a, b in [(0, len(text)), *split_sentences(text)]:
                sentence, size = "".join(_words(text[a:b])), _least_letters(text[a:b])
                if sentence and sentence not in self.whole:
                    self.whole.add(sentence)
                    if len(sentence) >= size:
                        self._inside[sentence[:size]].append(sentence)

    def are_in(self, line: str) -> bool:
        """Whether a line is such a sentence, or contains a long one from the start of a word on."""
        words, size = _words(line), _least_letters(line)
        letters = "".join(words)
        if letters in self.whole:
            return True
        starts = accumulate(map(len, words), initial=0) if size == SPACED else range(len(letters))
        return any(
            letters.startswith(sentence, at)
            for at in starts
            for sentence in self._inside.get(letters[at : at + size], ())
        )


def _least_letters(text: str) -> int:
    """How many letters tell one sentence from others in this text's kind of script."""
    return UNSPACED if UNSPACED_SCRIPTS.search(text) else SPACED


def forbidden(source: Source, targets: Targets) -> Forbidden:
    """Every sentence that the targets evaluate, in every language: translations are among them."""
    texts: set[str] = set()
    for name, role in evaluated(source, targets):
        form = format_of(name)
        for language in source.languages(name, role):
            for row in _rows(source, name, role, language):
                texts.update(form.texts(row))
    return Forbidden(texts)


def clean_text(lines: Iterable[str], banned: Forbidden) -> tuple[list[str], int]:
    """Lines without evaluated sentences, and how many were dropped."""
    lines = list(lines)
    clean = [line for line in lines if not banned.are_in(line)]
    return clean, len(lines) - len(clean)
