"""A sentence of words, each with a tag."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xfer_utils.formats import base
from xfer_utils.formats.base import Arrays, Format, Names, Nearest, Rows
from xfer_utils.formats.columns import IGNORE, BadValue, Batch, Conversion
from xfer_utils.study.tasks import Task


class Token(Format):
    """A word's tag is read from its first subword; words without a tag do not count."""

    columns: Mapping[str, Any] = {"tokens": base.TEXTS, "tags": base.datasets.List(base.NUMBER)}
    required = ("tokens", "tags")
    head_class = "Tagger"
    per_token = True

    def check(self, row: Task) -> None:
        super().check(row)
        if not row.labels and not row.open_labels:
            raise ValueError("format token needs `labels`, the tags, or `open_labels: true`")

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        words = batch[table.columns["tokens"]]
        tags, ignored = _tags(words, batch, table)
        if ignored:
            table.reading.odd["tags ignored"] += ignored
        return table.names(batch, len(words)) | {"tokens": words, "tags": tags}

    def texts(self, row: Mapping[str, Any]) -> list[str]:
        """The words without spaces, which no script sets everywhere."""
        return ["".join(row["tokens"])]

    def marks(self, row: Mapping[str, Any]) -> base.Marks:
        return base.Marks({base.normal(" ".join(row["tokens"]))})

    def estimated_tokens(self, row: Mapping[str, Any], longest: int) -> float:
        return min(base.SPECIAL_TOKENS + base.tokens_in(" ".join(row["tokens"])), longest)

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        """A sentence that is too long for one row goes on in the next."""
        coded = tokenizer(
            _words(chunk["tokens"], tokenizer), is_split_into_words=True, truncation=True,
            max_length=max_length, return_overflowing_tokens=True, return_attention_mask=False,
        )  # fmt: skip
        example = coded["overflow_to_sample_mapping"]
        arrays = base.flat(coded, example)
        labels = np.full(len(arrays["ids"]), IGNORE, np.int32)
        words = np.full(len(arrays["ids"]), -1, np.int32)
        place, last_words = 0, {}
        for row, sample in enumerate(example):
            last = last_words.get(sample, -1)
            for word in coded.word_ids(row):
                if word is not None and word > last:
                    labels[place], words[place], last = chunk["tags"][sample][word], word, word
                place += 1
            last_words[sample] = last
        return {**arrays, "labels": labels, "words": words}

    def targets(self, features: Any, rows: np.ndarray, units: list[int], masking: Any) -> Arrays:
        labels = np.concatenate([features.slice("labels", row) for row in rows])
        return {"labels": labels[labels >= 0].astype(np.int64), "wanted": labels >= 0}

    def empty_outputs(self, features: Any, width: int) -> np.ndarray:
        """The best tag of each token is enough."""
        return np.zeros(len(features.arrays["ids"]), np.int32)

    def row_outputs(self, logits: Any, lengths: np.ndarray) -> Sequence[np.ndarray]:
        return np.split(logits.argmax(-1).int().cpu().numpy(), np.cumsum(lengths)[:-1])

    def gold(self, rows: Rows, names: Names) -> list:
        return [[names[tag] for tag in sentence if tag >= 0] for sentence in rows["tags"]]

    def predictions(
        self, rows: Rows, features: Any, outputs: np.ndarray, names: Names, nearest: Nearest
    ) -> list:
        arrays = features.arrays
        tagged = (arrays["words"] >= 0) & (arrays["labels"] >= 0)
        example = np.repeat(arrays["example"], features.lengths)
        sentences: list[list[str]] = [[] for _ in rows["tags"]]
        for place, tag in zip(example[tagged], outputs[tagged], strict=True):
            sentences[place].append(names[tag])
        return sentences

    def guesses(self, row: Task, rows: Rows, gold: list, draw: random.Random) -> list:
        """Only how common tags are is known: the commonest one, or for F1 all of them shuffled."""
        pool = [tag for sentence in gold for tag in sentence]
        if row.metric == "accuracy":
            pool = Counter(pool).most_common(1)[0][:1] * len(pool)
        else:
            draw.shuffle(pool)
        left = iter(pool)
        return [[next(left) for _ in sentence] for sentence in gold]


def _tags(words: list, batch: Batch, table: Conversion) -> tuple[list[list[int]], int]:
    """Tags as positions among the label names, and how many were set to ignore.

    Ignored are `_` (a token without a tag) and, in an open set, tags that training does not have.
    """
    column, names = table.columns["tags"], table.label_names
    numbers = _tag_table(column, names, table.stored["tags"])
    converted, ignored = [], 0
    for index, (tokens, row) in enumerate(zip(words, batch[column], strict=True)):
        _check_sentence(index, column, tokens, row)
        for tag in row:
            unknown = not isinstance(tag, str | int) or tag not in numbers
            if unknown and not (table.task.open_labels and isinstance(tag, str | int)):
                raise BadValue(index, column, f"tag {tag!r} is not one of {', '.join(names)}")
        converted.append([numbers.get(tag, IGNORE) for tag in row])
        ignored += converted[-1].count(IGNORE)
    return converted, ignored


def _tag_table(column: str, names: Sequence[str], stored: Sequence[str]) -> dict[str | int, int]:
    table: dict[str | int, int] = {name: position for position, name in enumerate(names)}
    table |= {number: table.get(name, IGNORE) for number, name in enumerate(stored or names)}
    for number, name in enumerate(stored):
        if name not in table and name != "_":
            where = f"column {column}: the stored tag {name!r} (number {number})"
            raise ValueError(f"{where} is none of {list(names)}")
    return table | {"_": IGNORE}


def _check_sentence(index: int, column: str, words: object, row: object) -> None:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BadValue(index, "tokens", f"a list of strings was expected, not {words!r:.80}")
    if not isinstance(row, list):
        raise BadValue(index, column, f"a list of tags was expected, not {row!r:.80}")
    if len(words) != len(row):
        raise BadValue(index, column, f"{len(row)} tags for {len(words)} tokens")


def _words(sentences: list[list[str]], tokenizer: Any) -> list[list[str]]:
    """Words as a tokenizer is to get them: none that it loses, spaces where it reads them."""
    unique = sorted({word for words in sentences for word in words})
    pieces = tokenizer(unique, add_special_tokens=False)["input_ids"] if unique else []
    unknown = tokenizer.unk_token or "?"
    lost = {word: unknown for word, ids in zip(unique, pieces, strict=True) if not ids}
    space = " " if _runs_words_together(tokenizer) else ""
    return [
        [space * (n > 0) + lost.get(word, word) for n, word in enumerate(words)]
        for words in sentences
    ]


def _runs_words_together(tokenizer: Any) -> bool:
    """Whether words given one by one are read as one, as by byte-level tokenizers."""

    def ids(words: list[str]) -> list[int]:
        return tokenizer(words, is_split_into_words=True, add_special_tokens=False)["input_ids"]

    running = tokenizer("a b", add_special_tokens=False)["input_ids"]
    return ids(["a", "b"]) != running and ids(["a", " b"]) == running


FORMAT = Token()
