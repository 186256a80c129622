"""Text to token ids, kept as flat arrays, cached by content, shared by all runs.

A row is one encoder input: a pair of texts, a window of a long context or sentence, one choice of
several, or one side of a question and its passage. Rows of one example stand side by side.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from xfer_utils.formats import base
from xfer_utils.formats.base import Arrays
from xfer_utils.study import paths

CHUNK = 1000


@dataclass
class Features:
    """Rows of one task as flat arrays.

    `ids` (and `types`, `labels` of token tasks, `words`, `offsets`) hold all rows end to end;
    `starts` cuts them; `example` says which example a row belongs to. `target` holds what is learnt
    per row: a class, the number of the right choice, or start and end.
    """

    format: str
    arrays: Arrays

    def __len__(self) -> int:
        return len(self.arrays["starts"]) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens per row."""
        return np.diff(self.arrays["starts"])

    @property
    def units(self) -> np.ndarray:
        """First row of each training unit, and the end."""
        return base.of(self.format).units(self.arrays)

    def slice(self, name: str, row: int) -> np.ndarray:
        """One row of a flat array."""
        return self.arrays[name][self.arrays["starts"][row] : self.arrays["starts"][row + 1]]

    def take(self, rows: np.ndarray) -> "Features":
        """Some rows as an encoder's input: token ids, and their types."""
        lengths = self.lengths[rows]
        starts = np.r_[np.int64(0), np.cumsum(lengths)]
        shifts = self.arrays["starts"][rows] - starts[:-1]
        places = np.arange(starts[-1]) + np.repeat(shifts, lengths)
        inputs = {
            name: self.arrays[name][places] for name in ("ids", "types") if name in self.arrays
        }
        return Features(self.format, {**inputs, "starts": starts})


def of_examples(
    format: str, rows: Any, tokenizer: Any, max_length: int, doc_stride: int = 128
) -> Features:
    """Features of canonical rows (a datasets.Dataset), in chunks, so that memory stays bounded."""
    return _of_chunks(format, rows.iter(batch_size=CHUNK), tokenizer, max_length, doc_stride)


def of_text(lines: Iterable[str], tokenizer: Any, max_length: int) -> Features:
    """Features of plain lines for masked LM."""
    return _of_chunks("mlm", _chunks(iter(lines)), tokenizer, max_length, 0)


def _of_chunks(format: str, chunks: Iterable, *how: Any) -> Features:
    parts, done = [], 0
    for chunk in chunks:
        part = base.of(format).encode(chunk, *how)
        part["example"] = part["example"] + np.int32(done)
        done += len(next(iter(chunk.values())))
        parts.append(part)
    names = [name for name in parts[0] if name != "starts"]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
    lengths = np.concatenate([np.diff(part["starts"]) for part in parts])
    return Features(format, {**joined, "starts": np.r_[np.int64(0), np.cumsum(lengths)]})


def _chunks(lines: Iterator[str]) -> Iterator[dict[str, list[str]]]:
    while chunk := list(itertools.islice(lines, CHUNK)):
        yield {"text": chunk}


def cached(path: Path, make: Callable[[], Features]) -> Features:
    """The features in a file, made and stored where it is not there yet, or broken."""
    try:
        arrays = load_file(path)
    except (FileNotFoundError, SafetensorError):
        features = make()
        marker = {f"format:{features.format}": np.zeros(1, np.int8)}
        with paths.replacing(path) as temporary:
            save_file({**features.arrays, **marker}, temporary)
        return features
    (marker,) = [name for name in arrays if name.startswith("format:")]
    del arrays[marker]
    return Features(marker.removeprefix("format:"), arrays)
