"""Batches: one task each, their order a pure function of seed and epoch, rows of similar length together."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from xfer_utils.formats.features import Features

POOL = 50  # batches whose rows are sorted by length together: enough to save padding, few enough to stay random
POOLS = 4  # an epoch has this many pools at least, or its batches would be the same ones again


class Batches(torch.utils.data.Sampler):
    """Yields lists of (task number, unit) indices; one epoch visits min(units, cap) x weight units of each task."""

    def __init__(
        self, tasks: list[Features], batch_size: int, seed: int, batching: str = "random",
        weights: list[float] | None = None, cap: int = 0,
    ) -> None:  # fmt: skip
        self.lengths = [_unit_lengths(task) for task in tasks]
        sizes = [min(len(lengths), cap) if cap else len(lengths) for lengths in self.lengths]
        self.counts = [
            max(1, round(n * w)) for n, w in zip(sizes, weights or [1.0] * len(sizes), strict=True)
        ]
        self.batch_size, self.seed, self.batching, self.epoch = batch_size, seed, batching, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer at the start of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(-(-count // self.batch_size) for count in self.counts)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        batches = []
        for number, (lengths, count) in enumerate(zip(self.lengths, self.counts, strict=True)):
            units = self._chosen(rng, len(lengths), count)
            batches += [
                [(number, int(unit)) for unit in batch] for batch in self._cut(units, lengths)
            ]
        order = rng.permutation(len(batches))
        yield from (batches[place] for place in order)

    def _chosen(self, rng: np.random.Generator, available: int, count: int) -> np.ndarray:
        """`count` units: all of them as often as they fit, then a fresh random part."""
        rounds = [rng.permutation(available) for _ in range(-(-count // available))]
        return np.concatenate(rounds)[:count]

    def _cut(self, units: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        if self.batching == "length":
            pool = self.batch_size * min(POOL, max(1, len(units) // (POOLS * self.batch_size)))
            pools = [units[i : i + pool] for i in range(0, len(units), pool)]
            units = np.concatenate(
                [part[np.argsort(-lengths[part], kind="stable")] for part in pools]
            )
        return [units[i : i + self.batch_size] for i in range(0, len(units), self.batch_size)]


def _unit_lengths(features: Features) -> np.ndarray:
    return np.maximum.reduceat(features.lengths, features.units[:-1])


def collate(task: str, features: Features, units: list[int], pad: int) -> dict:
    """The model's input for some training units of one task."""
    bounds = features.units
    rows = np.concatenate([np.arange(bounds[u], bounds[u + 1]) for u in units])
    batch = {"task": task, **padded(features, rows, pad)}
    if features.format in ("sequence", "span"):
        batch["labels"] = torch.from_numpy(features.arrays["target"][rows])
    elif features.format == "choice":
        batch["choices"] = len(rows) // len(units)
        batch["labels"] = torch.from_numpy(features.arrays["target"][bounds[units]])
    elif features.format == "pair":
        batch["labels"] = torch.arange(len(units))
    elif features.format == "token":
        labels = np.concatenate([features.slice("labels", row) for row in rows])
        batch["positions"], kept = token_positions(features, rows, labels >= 0)
        batch["labels"] = torch.from_numpy(labels[kept].astype(np.int64))
    return batch


def padded(features: Features, rows: np.ndarray, pad: int) -> dict[str, torch.Tensor]:
    """Rows of token ids, padded to the longest of them, with their attention mask."""
    starts, ids = features.arrays["starts"], features.arrays["ids"]
    lengths = starts[rows + 1] - starts[rows]
    columns = np.arange(lengths.max())
    mask = columns < lengths[:, None]
    places = np.where(mask, starts[rows][:, None] + columns, 0)
    batch = {
        "input_ids": torch.from_numpy(np.where(mask, ids[places], pad).astype(np.int64)),
        "attention_mask": torch.from_numpy(mask.astype(np.int64)),
    }
    if "types" in features.arrays:
        types = np.where(mask, features.arrays["types"][places], 0)
        batch["token_type_ids"] = torch.from_numpy(types.astype(np.int64))
    return batch


def token_positions(
    features: Features, rows: np.ndarray, wanted: np.ndarray
) -> tuple[torch.Tensor, np.ndarray]:
    """Places of wanted tokens in the padded batch, and in the rows laid end to end."""
    lengths = features.lengths[rows]
    row = np.repeat(np.arange(len(rows)), lengths)
    column = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return torch.from_numpy((row * lengths.max() + column)[wanted]), np.flatnonzero(wanted)


def ordinary_ids(tokenizer: Any) -> np.ndarray:
    """Ids that stand for text: wherever a tokenizer keeps its special ones, they are neither masked nor drawn."""
    return np.setdiff1d(
        np.arange(len(tokenizer)), list({*tokenizer.all_special_ids} - {tokenizer.mask_token_id})
    )


def mask_tokens(
    batch: dict, seed: list[int], share: float, mask_id: int, ordinary: np.ndarray
) -> dict:
    """Masked-LM input: `share` of the tokens become the mask (80%), a random token (10%) or stay (10%)."""
    rng = np.random.default_rng(seed)
    ids = batch["input_ids"].numpy()
    candidates = np.flatnonzero(
        (batch["attention_mask"].numpy() > 0).ravel() & np.isin(ids.ravel(), ordinary)
    )
    chosen = np.sort(rng.choice(candidates, max(1, round(len(candidates) * share)), replace=False))
    labels, draw = ids.ravel()[chosen].copy(), rng.random(len(chosen))
    ids.ravel()[chosen[draw < 0.8]] = mask_id
    swapped = chosen[(draw >= 0.8) & (draw < 0.9)]
    ids.ravel()[swapped] = ordinary[rng.integers(0, len(ordinary), len(swapped))]
    return {**batch, "positions": torch.from_numpy(chosen), "labels": torch.from_numpy(labels)}
