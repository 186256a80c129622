"""Text to token ids, kept as flat arrays, cached by content, shared by all runs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from xfer_utils.formats import base
from xfer_utils.formats.base import Arrays
from xfer_utils.study import kept

CHUNK = 1000


@dataclass
class Features:
    """Rows of one task, an encoder input each: one or several side by side for an example.

    `ids` (and `types`, `labels`, `words`, `offsets`) hold all rows end to end; `starts` cuts them.
    `example` says which example a row belongs to, and `target` what is learnt of it. In a mixture
    they may have batches of their own size, and a number of units that an epoch visits.
    """

    format: str
    arrays: Arrays
    batch_size: int = 0  # 0: the training's
    visits: int = 0  # 0: each unit once, up to the training's cap

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
        starts = base.starts(lengths)
        shifts = self.arrays["starts"][rows] - starts[:-1]
        places = np.arange(starts[-1]) + np.repeat(shifts, lengths)
        names = {"ids", "types"} & self.arrays.keys()
        inputs = {name: self.arrays[name][places] for name in names}
        return Features(self.format, inputs | {"starts": starts})


def joined(parts: list[Features]) -> Features:
    """The inputs of several parts, end to end."""
    names = parts[0].arrays.keys() - {"starts"}
    arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in names}
    lengths = np.concatenate([part.lengths for part in parts])
    return Features(parts[0].format, arrays | {"starts": base.starts(lengths)})


def of_examples(
    format: str, rows: Any, tokenizer: Any, max_length: int, doc_stride: int = 128
) -> Features:
    """Features of canonical rows (a datasets.Dataset), in chunks, so that memory stays bounded."""
    return _of_chunks(format, rows.iter(batch_size=CHUNK), tokenizer, max_length, doc_stride)


def of_text(lines: Iterable[str], tokenizer: Any, max_length: int) -> Features:
    """Features of plain lines for masked LM."""
    lines = list(lines)
    chunks = ({"text": lines[at : at + CHUNK]} for at in range(0, len(lines), CHUNK))
    return _of_chunks("mlm", chunks, tokenizer, max_length, 0)


def _of_chunks(format: str, chunks: Iterable, *how: Any) -> Features:
    parts, done = [], 0
    for chunk in chunks:
        part = base.of(format).encode(chunk, *how)
        part["example"] += np.int32(done)
        part["starts"] = np.diff(part["starts"])
        done += len(next(iter(chunk.values())))
        parts.append(part)
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Features(format, arrays | {"starts": base.starts(arrays["starts"])})


def cached(path: Path, make: Callable[[], Features]) -> Features:
    """The features in a file, made and stored where it is not there yet, or not as it was."""

    def store(file: Path) -> None:
        features = make()
        name = np.frombuffer(features.format.encode(), np.uint8)
        save_file({**features.arrays, "format": name}, file)

    arrays = load_file(kept.cached(path, store))
    return Features(arrays.pop("format").tobytes().decode(), arrays)
