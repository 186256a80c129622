"""Exact nearest neighbours in blocks, and mining of sentence pairs by ratio margin.

Vectors are float arrays (NumPy, also memory-mapped, or torch). Products are float32 by torch's
matrix multiply, on `device`. Beyond inputs and results, a search holds one block of similarities.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch

BLOCK = (2048, 16384)  # queries, keys: 128 MiB of similarities
GROUP = 64
Vectors = np.ndarray | torch.Tensor
Best = tuple[torch.Tensor, torch.Tensor]  # similarities and places


class Neighbours(NamedTuple):
    """The k nearest of each row: similarities and places, best first."""

    similarity: np.ndarray
    index: np.ndarray


class Candidates(NamedTuple):
    """Mined pairs, best first: places of source and target sentence, and their margin."""

    source: np.ndarray
    target: np.ndarray
    margin: np.ndarray


def normalise(vectors: Vectors) -> np.ndarray:
    """Rows of length 1 in float32, so that inner products are cosines; zero rows stay zero."""
    vectors = np.array(vectors, dtype=np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=vectors, where=length > 0)


def top_k(
    queries: Vectors, keys: Vectors, k: int, block: tuple[int, int] = BLOCK, device: str = "cpu"
) -> Neighbours:
    """The k keys (fewer where there are fewer) with the highest inner product with each query."""
    return _scan(queries, keys, k, block, device, both=False)[0]


def both_ways(
    source: Vectors, target: Vectors, k: int, block: tuple[int, int] = BLOCK, device: str = "cpu"
) -> tuple[Neighbours, Neighbours]:
    """`top_k` of source in target and of target in source, from one pass over the similarities."""
    forward, backward = _scan(source, target, k, block, device, both=True)
    return forward, backward


def nearest(
    queries: Vectors, keys: Vectors, block: tuple[int, int] = BLOCK, device: str = "cpu"
) -> np.ndarray:
    """The place of each query's best key."""
    return top_k(queries, keys, 1, block, device).index[:, 0]


def _scan(
    queries: Vectors, keys: Vectors, k: int, block: tuple[int, int], device: str, both: bool
) -> list[Neighbours]:
    """Walks over blocks of queries and keys; keeps the best k of each row (and of each column)."""
    if not len(queries) or not len(keys):
        raise ValueError(f"nothing to search: {len(queries)} queries and {len(keys)} keys.")
    sizes = [len(queries)] + [len(keys)] * both
    best = [(torch.full((n, k), -torch.inf), torch.full((n, k), -1)) for n in sizes]
    for row in range(0, len(queries), block[0]):
        part = _block(queries, row, block[0], device)
        for column in range(0, len(keys), block[1]):
            similarity = part @ _block(keys, column, block[1], device).T
            _keep(best[0], row, *_top(similarity, k), column)
            if both:
                _keep(best[1], column, *_top_down(similarity, k), row)
    others = (min(k, len(keys)), min(k, len(queries)))
    return [
        Neighbours(s[:, :n].numpy(), i[:, :n].numpy())
        for (s, i), n in zip(best, others, strict=False)
    ]


def _block(vectors: Vectors, at: int, size: int, device: str) -> torch.Tensor:
    part = vectors[at : at + size]
    if isinstance(part, np.ndarray):
        part = torch.from_numpy(np.array(part, dtype=np.float32))
    return part.to(device, torch.float32)


def _keep(best: Best, at: int, values: torch.Tensor, places: torch.Tensor, shift: int) -> None:
    """Merges a block's best into those from row `at` on; the earlier of equals stays first."""
    rows = slice(at, at + len(values))
    both = torch.cat([best[0][rows], values.cpu()], dim=1)
    where = torch.cat([best[1][rows], places.cpu() + shift], dim=1)
    order = both.sort(dim=1, descending=True, stable=True).indices[:, : best[0].shape[1]]
    best[0][rows], best[1][rows] = both.gather(1, order), where.gather(1, order)


def _top(values: torch.Tensor, k: int) -> Best:
    """`topk` of each row by way of groups: the k best lie in the k groups with the highest maxima.

    Several times faster than a plain `topk` over long rows on a CPU: maxima need one read.
    """
    rows, width = values.shape
    groups = width // GROUP
    if groups <= 2 * k:
        return values.topk(min(k, width), dim=1)
    even = values[:, : groups * GROUP].view(rows, groups, GROUP)
    chosen = even.amax(dim=2).topk(k, dim=1).indices
    places = (chosen[:, :, None] * GROUP + torch.arange(GROUP, device=values.device)).view(rows, -1)
    rest = torch.arange(groups * GROUP, width, device=values.device).expand(rows, -1)
    places = torch.cat([places, rest], dim=1)
    top = values.gather(1, places).topk(k, dim=1)
    return top.values, places.gather(1, top.indices)


def _top_down(values: torch.Tensor, k: int) -> Best:
    """`_top` of each column: group maxima are taken down the rows, without a transposed block."""
    height, columns = values.shape
    groups = height // GROUP
    if groups <= 2 * k:
        return _top(values.T.contiguous(), k)
    chosen = (
        values[: groups * GROUP].view(groups, GROUP, columns).amax(dim=1).T.topk(k, dim=1).indices
    )
    places = (chosen[:, :, None] * GROUP + torch.arange(GROUP, device=values.device)).view(
        columns, -1
    )
    rest = torch.arange(groups * GROUP, height, device=values.device).expand(columns, -1)
    places = torch.cat([places, rest], dim=1)
    top = values.gather(0, places.T).T.topk(k, dim=1)
    return top.values, places.gather(1, top.indices)


# ----- mining -----


def mine(
    source: Vectors,
    target: Vectors,
    k: int = 4,
    block: tuple[int, int] = BLOCK,
    device: str = "cpu",
) -> Candidates:
    """Pairs of sentences by ratio margin over k neighbours both ways, one to one, best first.

    The margin of a pair is its cosine over the mean of both sentences' mean cosine to their k
    neighbours. Each sentence proposes its best neighbour by margin; proposals are accepted greedily
    from the highest margin on ("max" retrieval). Rows must have length 1. Margins of 0 and below
    are left out, as in XTREME.
    """
    forward, backward = both_ways(source, target, k, block, device)
    mean_out, mean_back = forward.similarity.mean(axis=1), backward.similarity.mean(axis=1)
    out = forward.similarity / ((mean_out[:, None] + mean_back[forward.index]) / 2)
    back = backward.similarity / ((mean_back[:, None] + mean_out[backward.index]) / 2)
    best_out, best_back = out.argmax(axis=1)[:, None], back.argmax(axis=1)[:, None]
    sources = np.concatenate(
        [np.arange(len(out)), np.take_along_axis(backward.index, best_back, 1)[:, 0]]
    )
    targets = np.concatenate(
        [np.take_along_axis(forward.index, best_out, 1)[:, 0], np.arange(len(back))]
    )
    margins = np.concatenate(
        [np.take_along_axis(out, best_out, 1)[:, 0], np.take_along_axis(back, best_back, 1)[:, 0]]
    )
    return _one_to_one(sources, targets, margins)


def _one_to_one(sources: np.ndarray, targets: np.ndarray, margins: np.ndarray) -> Candidates:
    """From the highest margin on, a pair is taken if neither sentence is taken yet."""
    order = np.argsort(-margins, kind="stable")
    order = order[margins[order] > 0]
    free_source = bytearray(b"\1") * (sources.max() + 1)
    free_target = bytearray(b"\1") * (targets.max() + 1)
    taken = []
    pairs = zip(order.tolist(), sources[order].tolist(), targets[order].tolist(), strict=True)
    for place, i, j in pairs:
        if free_source[i] and free_target[j]:
            free_source[i] = free_target[j] = 0
            taken.append(place)
    return Candidates(sources[taken], targets[taken], margins[taken])


def unique_texts(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Places where each text occurs first, and a mask of those whose text occurs again.

    XTREME mines over unique sentences and gives no id to a repeated one, so pairs with it are never
    extracted.
    """
    first: dict[str, int] = {}
    again = set()
    for place, text in enumerate(texts):
        if first.setdefault(text, place) != place:
            again.add(text)
    keep = np.fromiter(first.values(), dtype=int, count=len(first))
    return keep, np.fromiter((text in again for text in first), dtype=bool, count=len(first))


# ----- thresholds -----


def best_threshold(margins: np.ndarray, correct: np.ndarray, n_gold: int) -> float:
    """The threshold (pairs at or above it are extracted) with the highest F1; else infinite.

    It lies midway between the last margin extracted and the next; equal margins stay together.
    """
    order = np.argsort(-np.asarray(margins), kind="stable")
    margins = np.asarray(margins, dtype=float)[order]
    correct = np.asarray(correct, dtype=bool)[order]
    if not correct.any():
        return float("inf")
    f1 = 2 * correct.cumsum() / (np.arange(1, len(order) + 1) + n_gold)
    f1[:-1][margins[:-1] == margins[1:]] = -1
    at = int(f1.argmax())
    return float(margins[at] if at + 1 == len(margins) else (margins[at] + margins[at + 1]) / 2)


def fold(source_id: str, folds: int = 2) -> int:
    """The fold of a source sentence, by its id: a gold pair and its rivals lie in one fold."""
    return zlib.crc32(source_id.encode()) % folds


def cross_fit(
    pairs: Sequence[tuple[str, str]], margins: np.ndarray, gold: Iterable[tuple[str, str]]
) -> tuple[np.ndarray, dict[int, float]]:
    """Which pairs pass the threshold chosen on the other fold, and both thresholds.

    For tasks with one labelled set: nothing is chosen on the pairs that it is scored on.
    """
    gold, margins = set(gold), np.asarray(margins, dtype=float)
    folds = np.array([fold(source) for source, _ in pairs], dtype=int)
    correct = np.array([pair in gold for pair in pairs], dtype=bool)
    sizes = np.bincount([fold(source) for source, _ in gold], minlength=2)
    chosen = {}
    for number in (0, 1):
        other = folds != number
        size = int(sizes[1 - number])
        chosen[number] = best_threshold(margins[other], correct[other], size)
    limits = np.where(folds == 0, chosen[0], chosen[1])
    return margins >= limits, chosen
