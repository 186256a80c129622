"""Batches: one task each, their order a pure function of seed and epoch."""

from collections.abc import Iterator

import numpy as np
import torch

from xfer_utils.formats import base
from xfer_utils.formats.features import Features
from xfer_utils.formats.mlm import Masking

# Batches whose rows are sorted by length together: enough to save padding, few enough to be random.
POOL = 50
POOLS = 4  # an epoch has this many pools at least, or its batches would be the same ones again


class Batches(torch.utils.data.Sampler):
    """Lists of (task number, unit); an epoch visits min(units, cap) units of each task."""

    def __init__(
        self, tasks: list[Features], size: int, seed: int, batching: str = "random", cap: int = 0
    ) -> None:
        self.lengths = [np.maximum.reduceat(task.lengths, task.units[:-1]) for task in tasks]
        self.counts = [min(len(part), cap or len(part)) for part in self.lengths]
        self.size, self.seed, self.batching, self.epoch = size, seed, batching, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer at the start of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(-(-count // self.size) for count in self.counts)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        batches = []
        for number, (lengths, count) in enumerate(zip(self.lengths, self.counts, strict=True)):
            units = rng.permutation(len(lengths))[:count]
            for batch in self._cut(units, lengths):
                batches.append([(number, int(unit)) for unit in batch])
        yield from (batches[place] for place in rng.permutation(len(batches)))

    def _cut(self, units: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        if self.batching == "length":
            pool = self.size * min(POOL, max(1, len(units) // (POOLS * self.size)))
            pools = [units[i : i + pool] for i in range(0, len(units), pool)]
            units = np.concatenate([p[np.argsort(-lengths[p], kind="stable")] for p in pools])
        return [units[i : i + self.size] for i in range(0, len(units), self.size)]


def collate(
    task: str, features: Features, units: list[int], pad: int, masking: Masking | None = None
) -> dict:
    """The model's input for some training units of one task, and what it is to learn."""
    bounds = features.units
    rows = np.concatenate([np.arange(bounds[unit], bounds[unit + 1]) for unit in units])
    targets = base.of(features.format).targets(features, rows, units, masking)
    inputs = features.take(rows)
    inputs.arrays["ids"] = targets.pop("ids", inputs.arrays["ids"])
    batch = padded(inputs, pad)
    if "wanted" in targets:
        tokens = torch.nonzero(batch["attention_mask"].ravel()).ravel()
        targets["positions"] = tokens.numpy()[targets.pop("wanted")]
    return {"task": task, **batch, **{key: torch.from_numpy(targets[key]) for key in targets}}


def padded(rows: Features, pad: int) -> dict[str, torch.Tensor]:
    """Rows of token ids, padded to the longest of them, with their attention mask."""
    mask = np.arange(rows.lengths.max()) < rows.lengths[:, None]
    batch = {"attention_mask": mask.astype(np.int64)}
    for array, name, filler in (("ids", "input_ids", pad), ("types", "token_type_ids", 0)):
        if array in rows.arrays:
            batch[name] = np.full(mask.shape, filler, np.int64)
            batch[name][mask] = rows.arrays[array]
    return {key: torch.from_numpy(value) for key, value in batch.items()}
