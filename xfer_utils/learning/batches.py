"""Batches: one task each, their order a pure function of seed and epoch."""

from collections.abc import Iterator

import numpy as np
import torch

from xfer_utils.formats import base
from xfer_utils.formats.features import Features
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import packing
from xfer_utils.study.sections import Training


class Batches(torch.utils.data.Sampler):
    """Lists of (task number, unit); an epoch visits min(units, cap) units of each task.

    A task may say itself how many units an epoch visits: fewer than it has, or some of them twice.
    """

    def __init__(self, tasks: list[Features], size: int, seed: int, cap: int = 0) -> None:
        self.units = [len(task.units) - 1 for task in tasks]
        self.tokens = [int(task.arrays["starts"][-1]) for task in tasks]
        caps = [min(units, cap or units) for units in self.units]
        self.counts = [task.visits or most for task, most in zip(tasks, caps, strict=True)]
        self.sizes = [task.batch_size or size for task in tasks]
        parts = zip(self.counts, self.sizes, strict=True)
        self.batches = [-(-count // size) for count, size in parts]
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer at the start of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(self.batches)

    @property
    def mean_size(self) -> float:
        """Units of a batch, of the last of a task like those of the others."""
        return float(np.dot(self.sizes, self.batches)) / len(self)

    def steps(self, settings: Training) -> int:
        """Steps of a training by its settings; 0 where its epochs alone decide."""
        batches, steps = len(self), settings.max_steps
        if settings.max_tokens:
            parts = zip(self.counts, self.tokens, self.units, strict=True)
            epoch = sum(count * tokens / units for count, tokens, units in parts)
            a_step = epoch / batches * settings.accumulation
            steps = max(1, round(settings.max_tokens / a_step))
        if settings.more_steps:
            a_round = -(-batches // settings.accumulation)
            steps = (steps or settings.epochs * a_round) + settings.more_steps
        return steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        batches = []
        parts = zip(self.units, self.counts, self.sizes, strict=True)
        for number, (units, count, size) in enumerate(parts):
            drawn = [(number, int(unit)) for unit in draw(units, count, rng)]
            batches += [drawn[at : at + size] for at in range(0, count, size)]
        yield from (batches[place] for place in rng.permutation(len(batches)))


def draw(available: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """So many of the available places in random order, each again only after all others."""
    rounds = [rng.permutation(available) for _ in range(-(-count // available))]
    return np.concatenate(rounds)[:count]


def collate(
    task: str, features: Features, units: list[int], pad: int, masking: Masking | None = None,
    per_token: int = 0,
) -> dict:  # fmt: skip
    """The model's input for some training units of one task, and what it is to learn.

    With what a token costs beside attention (packing.plan), packed where that is cheaper.
    """
    bounds = features.units
    rows = np.concatenate([np.arange(bounds[unit], bounds[unit + 1]) for unit in units])
    targets = base.of(features.format).targets(features, rows, units, masking)
    inputs = features.take(rows)
    inputs.arrays["ids"] = targets.pop("ids", inputs.arrays["ids"])
    batch = padded(inputs, pad)
    if "wanted" in targets:
        tokens = torch.nonzero(batch["attention_mask"].ravel()).ravel()
        targets["positions"] = tokens.numpy()[targets.pop("wanted")]
    if per_token and (packed := packing.plan(inputs.lengths, per_token)) is not None:
        targets["packed"] = packed
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
