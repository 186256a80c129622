"""Text to token ids, for six formats and masked LM; kept as flat arrays, cached by content, shared by all runs.

A row is one encoder input: a pair of texts, a window of a long context or sentence, one choice of several, or one
side of a question and its passage.
Rows of one example stand side by side; `example` says which example a row belongs to.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from xfer_utils.study import paths

IGNORE = -100
CHUNK = 1000


@dataclass
class Features:
    """Rows of one task as flat arrays.

    `ids` (and `types`, `labels` of token tasks, `words`, `offsets`) hold all rows end to end; `starts` cuts them.
    `target` holds what is learnt per row: a class, the right choice's class per example, or start and end.
    """

    format: str
    arrays: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.arrays["starts"]) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens per row."""
        return np.diff(self.arrays["starts"])

    @property
    def units(self) -> np.ndarray:
        """First row of each training unit, and the end: an example of choices or of a pair is one unit of its rows."""
        if self.format not in ("choice", "pair"):
            return np.arange(len(self) + 1)
        example = self.arrays["example"]
        first = np.flatnonzero(np.r_[True, example[1:] != example[:-1]])
        return np.r_[first, len(self)]

    def slice(self, name: str, row: int) -> np.ndarray:
        """One row of a flat array."""
        return self.arrays[name][self.arrays["starts"][row] : self.arrays["starts"][row + 1]]

    def take(self, rows: np.ndarray) -> "Features":
        """Some rows, for an encoder that is asked for nothing but vectors: token ids, and their types."""
        lengths = self.lengths[rows]
        starts = np.r_[np.int64(0), np.cumsum(lengths)]
        places = np.arange(starts[-1]) + np.repeat(
            self.arrays["starts"][rows] - starts[:-1], lengths
        )
        kept = {name: self.arrays[name][places] for name in ("ids", "types") if name in self.arrays}
        return Features(self.format, {**kept, "starts": starts})


def of_examples(
    format: str, rows: Any, tokenizer: Any, max_length: int, doc_stride: int = 128
) -> Features:
    """Features of canonical rows (a datasets.Dataset), in chunks, so that memory stays bounded."""
    encode = {
        "sequence": _sequence,
        "token": _token,
        "span": _span,
        "choice": _choice,
        "sentence": _sentence,
        "pair": _pair,
    }[format]
    parts, done = [], 0
    for chunk in rows.iter(batch_size=CHUNK):
        parts.append(encode(chunk, tokenizer, max_length, doc_stride))
        parts[-1]["example"] = parts[-1]["example"] + np.int32(done)
        done += len(chunk["id"])
    return Features(format, _joined(parts))


def of_text(lines: Iterable[str], tokenizer: Any, max_length: int) -> Features:
    """Features of plain lines for masked LM; long lines become several rows."""
    parts = []
    for chunk in _chunks(lines, CHUNK):
        coded = tokenizer(
            chunk, truncation=True, max_length=max_length, return_overflowing_tokens=True,
            return_attention_mask=False,
        )  # fmt: skip
        parts.append(_flat(coded, coded["overflow_to_sample_mapping"]))
    return Features("mlm", _joined(parts))


def cached(path: Path, make: Callable[[], Features]) -> Features:
    """The features stored in a file, made and stored where they are not there yet, or where the file is broken."""
    try:
        arrays = load_file(path)
    except (FileNotFoundError, SafetensorError):
        features = make()
        with paths.replacing(path) as temporary:
            save_file(
                {**features.arrays, f"format:{features.format}": np.zeros(1, np.int8)}, temporary
            )
        return features
    (marker,) = [name for name in arrays if name.startswith("format:")]
    del arrays[marker]
    return Features(marker.removeprefix("format:"), arrays)


def _sequence(chunk: dict, tokenizer: Any, max_length: int, _stride: int) -> dict[str, np.ndarray]:
    coded = _pairs(chunk["text_a"], chunk["text_b"], tokenizer, max_length)
    return {**_flat(coded), "target": np.asarray(chunk["label"], np.int64)}


def _pairs(first: list[str], second: list[str], tokenizer: Any, max_length: int) -> Any:
    """Pairs of texts, or single texts where the second ones are empty."""
    texts = (first, second) if any(second) else (first,)
    return tokenizer(*texts, truncation=True, max_length=max_length, return_attention_mask=False)


def _sentence(chunk: dict, tokenizer: Any, max_length: int, _stride: int) -> dict[str, np.ndarray]:
    return _flat(_within(zip(chunk["text"], chunk["context"], strict=True), tokenizer, max_length))


def _pair(chunk: dict, tokenizer: Any, max_length: int, _stride: int) -> dict[str, np.ndarray]:
    """Two rows an example: the question, then its passage; both are encoded as they are where they are searched."""
    pairs = zip(chunk["question"], chunk["passage"], chunk["context"], strict=True)
    rows = [
        row for question, passage, context in pairs for row in ((question, ""), (passage, context))
    ]
    return _flat(_within(rows, tokenizer, max_length), np.repeat(np.arange(len(rows) // 2), 2))


def _within(rows: Iterable[tuple[str, str | None]], tokenizer: Any, max_length: int) -> Any:
    """Texts, each with the context it is part of as its second segment where it has one."""
    texts = [(text, context) if context else text for text, context in rows]
    return tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False)


def _choice(chunk: dict, tokenizer: Any, max_length: int, _stride: int) -> dict[str, np.ndarray]:
    counts = [len(choices) for choices in chunk["choices"]]
    first = [
        text for text, count in zip(chunk["text_a"], counts, strict=True) for _ in range(count)
    ]
    second = [choice for choices in chunk["choices"] for choice in choices]
    example = np.repeat(np.arange(len(counts)), counts)
    arrays = _flat(_pairs(first, second, tokenizer, max_length), example)
    return {**arrays, "target": np.repeat(np.asarray(chunk["label"], np.int64), counts)}


def _token(chunk: dict, tokenizer: Any, max_length: int, _stride: int) -> dict[str, np.ndarray]:
    """Each word's tag stands on its first subword; a sentence too long for one row goes on in the next."""
    coded = tokenizer(
        _words(chunk["tokens"], tokenizer), is_split_into_words=True, truncation=True, max_length=max_length,
        return_overflowing_tokens=True, return_attention_mask=False,
    )  # fmt: skip
    example = coded["overflow_to_sample_mapping"]
    arrays = _flat(coded, example)
    labels, words = (
        np.full(len(arrays["ids"]), IGNORE, np.int32),
        np.full(len(arrays["ids"]), -1, np.int32),
    )
    place, seen = 0, {}
    for row, sample in enumerate(example):
        last = seen.get(sample, -1)
        for word in coded.word_ids(row):
            if word is not None and word > last:
                labels[place], words[place], last = chunk["tags"][sample][word], word, word
            place += 1
        seen[sample] = last
    return {**arrays, "labels": labels, "words": words}


def _words(sentences: list[list[str]], tokenizer: Any) -> list[list[str]]:
    """Words as a tokenizer is to get them: none that it would lose, and each with its space where it reads spaces."""
    unique = sorted({word for words in sentences for word in words})
    pieces = tokenizer(unique, add_special_tokens=False)["input_ids"] if unique else []
    lost = {
        word: tokenizer.unk_token or "?"
        for word, ids in zip(unique, pieces, strict=True)
        if not ids
    }
    space = " " if _runs_words_together(tokenizer) else ""
    return [
        [space * (n > 0) + lost.get(word, word) for n, word in enumerate(words)]
        for words in sentences
    ]


def _runs_words_together(tokenizer: Any) -> bool:
    """Whether words given one by one are read as one: byte-level tokenizers see a space only where there is one."""

    def ids(words: list[str]) -> list[int]:
        return tokenizer(words, is_split_into_words=True, add_special_tokens=False)["input_ids"]

    running = tokenizer("a b", add_special_tokens=False)["input_ids"]
    return ids(["a", "b"]) != running and ids(["a", " b"]) == running


def _span(chunk: dict, tokenizer: Any, max_length: int, stride: int) -> dict[str, np.ndarray]:
    """Sliding windows over the context; the target is the answer's first and last token, or 0, 0 where it is not."""
    longest = max_length // 3
    questions = _cut([question.lstrip() for question in chunk["question"]], tokenizer, longest)
    coded = tokenizer(
        questions, chunk["context"], truncation="only_second", max_length=max_length,
        stride=min(stride, (max_length - longest) // 2), return_overflowing_tokens=True, return_offsets_mapping=True,
        return_attention_mask=False,
    )  # fmt: skip
    example = coded["overflow_to_sample_mapping"]
    offsets, targets = [], np.zeros((len(example), 2), np.int64)
    for row, sample in enumerate(example):
        inside = np.array([part == 1 for part in coded.sequence_ids(row)])
        spans = np.where(inside[:, None], np.asarray(coded["offset_mapping"][row], np.int32), -1)
        offsets.append(spans)
        targets[row] = _answer_tokens(spans, chunk["answers"][sample])
    return {
        **_flat(coded, example),
        "offsets": np.concatenate(offsets).astype(np.int32),
        "target": targets,
    }


def _cut(texts: list[str], tokenizer: Any, longest: int) -> list[str]:
    """Texts of at most so many tokens, so that a very long question leaves room for its context."""
    coded = tokenizer(
        texts, add_special_tokens=False, truncation=True, max_length=longest, return_offsets_mapping=True,
        return_attention_mask=False,
    )  # fmt: skip
    ends = [
        offsets[-1][1] if len(offsets) == longest else None for offsets in coded["offset_mapping"]
    ]
    return [text[:end] for text, end in zip(texts, ends, strict=True)]


def _answer_tokens(spans: np.ndarray, answers: dict) -> tuple[int, int]:
    """First and last token of the first answer, or (0, 0) where the window does not hold all of it."""
    if not answers["text"]:
        return 0, 0
    begin = answers["answer_start"][0]
    end = begin + len(answers["text"][0])
    tokens = np.flatnonzero((spans[:, 0] >= 0) & (spans[:, 1] > begin) & (spans[:, 0] < end))
    context = np.flatnonzero(spans[:, 0] >= 0)
    whole = len(tokens) and spans[context[0], 0] <= begin and spans[context[-1], 1] >= end
    return (int(tokens[0]), int(tokens[-1])) if whole else (0, 0)


def _flat(coded: Any, example: Iterable[int] | None = None) -> dict[str, np.ndarray]:
    rows = coded["input_ids"]
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    arrays = {
        "ids": np.fromiter((i for row in rows for i in row), np.int32, int(lengths.sum())),
        "starts": np.r_[np.int64(0), np.cumsum(lengths)],
        "example": np.asarray(range(len(rows)) if example is None else list(example), np.int32),
    }
    if "token_type_ids" in coded:
        types = coded["token_type_ids"]
        arrays["types"] = np.fromiter(
            (i for row in types for i in row), np.uint8, len(arrays["ids"])
        )
    return arrays


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    joined = {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
        if name != "starts"
    }
    lengths = np.concatenate([np.diff(part["starts"]) for part in parts])
    return {**joined, "starts": np.r_[np.int64(0), np.cumsum(lengths)]}


def _chunks(items: Iterable[str], size: int) -> Iterator[list[str]]:
    chunk = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
