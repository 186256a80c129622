"""Exact nearest neighbours in blocks, and mining of sentence pairs by ratio margin.

Vectors are float arrays, NumPy's (also memory-mapped) or torch's; products are float32. Beyond
inputs and results, a search holds one block of similarities.
"""

import zlib
from typing import NamedTuple

import numpy as np
import torch

from xfer_utils.learning import encoders

BLOCK = (2048, 16384)  # queries, keys: 128 MiB of similarities
GROUP = 64
Vectors = np.ndarray | torch.Tensor
Mined = tuple[np.ndarray, np.ndarray, np.ndarray]  # sources, targets, margins


class Neighbours(NamedTuple):
    """The k nearest of each row: similarities and places, best first."""

    similarity: np.ndarray
    index: np.ndarray


def normalise(vectors: Vectors) -> np.ndarray:
    """Rows of length 1 in float32: inner products are cosines; zero rows stay zero."""
    vectors = np.array(vectors, dtype=np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=vectors, where=length > 0)


def nearest(queries: Vectors, keys: Vectors, device: str = "") -> np.ndarray:
    """The place of each query's best key."""
    return top_k(queries, keys, 1, device).index[:, 0]


def top_k(queries: Vectors, keys: Vectors, k: int, device: str = "") -> Neighbours:
    """The k keys (fewer where there are fewer) with the highest inner product with each query."""
    return scan(queries, keys, k, device)[0]


def scan(
    queries: Vectors, keys: Vectors, k: int, device: str = "", both: bool = False
) -> list[Neighbours]:
    """`top_k` of queries in keys, and of keys in queries if `both`, from one pass over blocks."""
    if not len(queries) or not len(keys):
        raise ValueError(f"nothing to search: {len(queries)} queries and {len(keys)} keys.")
    device = device or encoders.device().type
    sizes = [len(queries), len(keys)] if both else [len(queries)]
    best = [
        (torch.full((n, k), -torch.inf, device=device), torch.full((n, k), -1, device=device))
        for n in sizes
    ]
    needed = 8 * keys.shape[1] * (len(queries) + len(keys))
    if torch.device(device).type == "cuda" and needed < torch.cuda.mem_get_info()[0]:
        queries, keys = _tensor(queries, device), _tensor(keys, device)  # not again for each block
    for row in range(0, len(queries), BLOCK[0]):
        part = _tensor(queries[row : row + BLOCK[0]], device)
        for column in range(0, len(keys), BLOCK[1]):
            similarity = part @ _tensor(keys[column : column + BLOCK[1]], device).T
            _keep(*best[0], row, similarity, column)
            if both:
                _keep(*best[1], column, similarity.T.contiguous(), row)
    pairs = zip(best, (len(keys), len(queries)), strict=False)
    return [Neighbours(s[:, :n].cpu().numpy(), i[:, :n].cpu().numpy()) for (s, i), n in pairs]


def _tensor(vectors: Vectors, device: str) -> torch.Tensor:
    if isinstance(vectors, np.ndarray):
        vectors = torch.from_numpy(np.array(vectors, dtype=np.float32))
    return vectors.to(device, torch.float32)


def _keep(
    best: torch.Tensor, places: torch.Tensor, at: int, block: torch.Tensor, shift: int
) -> None:
    """Merges a block into the best from row `at` on; the earlier of equals stays first."""
    k, rows = best.shape[1], slice(at, at + len(block))
    top, index = _top(block, k)
    values = torch.cat([best[rows], top], dim=1)
    where = torch.cat([places[rows], index + shift], dim=1)
    order = values.sort(dim=1, descending=True, stable=True).indices[:, :k]
    best[rows], places[rows] = values.gather(1, order), where.gather(1, order)


def _top(values: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`topk` of each row, faster on a CPU: it lies in the k groups with the highest maxima."""
    rows, width = values.shape
    groups = width // GROUP
    if groups <= 2 * k:
        return values.topk(min(k, width), dim=1)
    even, rest = torch.arange(width, device=values.device).split([groups * GROUP, width % GROUP])
    maxima = values[:, : len(even)].view(rows, groups, GROUP).amax(dim=2)
    members = even.view(groups, GROUP)[maxima.topk(k, dim=1).indices].flatten(1)
    places = torch.cat([members, rest.expand(rows, -1)], dim=1)
    top = values.gather(1, places).topk(k, dim=1)
    return top.values, places.gather(1, top.indices)


def nearest_by_margin(queries: Vectors, keys: Vectors, k: int = 4, device: str = "") -> np.ndarray:
    """The place of each query's best key by ratio margin, among its k nearest."""
    forward, backward = scan(queries, keys, k, device, both=True)
    best = _margins(forward, backward).argmax(axis=1)
    return forward.index[np.arange(len(best)), best]


def _margins(ours: Neighbours, theirs: Neighbours) -> np.ndarray:
    """Cosines over the mean of both sentences' mean cosine to their own neighbours."""
    mean, others = ours.similarity.mean(axis=1), theirs.similarity.mean(axis=1)
    return ours.similarity / ((mean[:, None] + others[ours.index]) / 2)


def mine(source: Vectors, target: Vectors, k: int = 4, device: str = "") -> Mined:
    """Pairs by ratio margin over k neighbours both ways, one to one, best first: places, margins.

    The margin of a pair is its cosine over the mean of both sentences' mean cosine to their k
    neighbours. Each sentence proposes its best neighbour by margin; proposals are accepted greedily
    from the highest margin on ("max" retrieval), down to 0 as in XTREME. Rows must have length 1.
    """
    forward, backward = scan(source, target, k, device, both=True)
    out, back = _margins(forward, backward), _margins(backward, forward)
    rows, columns = np.arange(len(out)), np.arange(len(back))
    sources = np.r_[rows, backward.index[columns, back.argmax(axis=1)]]
    targets = np.r_[forward.index[rows, out.argmax(axis=1)], columns]
    margins = np.r_[out.max(axis=1), back.max(axis=1)]
    order = np.argsort(-margins, kind="stable")
    used_sources, used_targets, taken = set(), set(), []
    for place in order[margins[order] > 0]:
        if sources[place] not in used_sources and targets[place] not in used_targets:
            used_sources.add(sources[place])
            used_targets.add(targets[place])
            taken.append(place)
    return sources[taken], targets[taken], margins[taken]


def best_threshold(margins: np.ndarray, correct: np.ndarray, n_gold: int) -> float:
    """The margin from which on pairs give the highest F1, midway to the next; else infinite."""
    order = np.argsort(-margins, kind="stable")
    margins, correct = margins[order].astype(float), correct[order].astype(bool)
    if not correct.any():
        return np.inf
    f1 = 2 * correct.cumsum() / (np.arange(1, len(order) + 1) + n_gold)
    f1[:-1][margins[:-1] == margins[1:]] = -1  # equal margins stay together
    at = int(f1.argmax())
    return float(margins[at : at + 2].mean())


def fold(source_id: str) -> int:
    """The fold (0 or 1) of a source sentence, by its id: a gold pair and its rivals share one."""
    return zlib.crc32(source_id.encode()) % 2


def cross_fit(
    pairs: list[tuple[str, str]], margins: np.ndarray, gold: set[tuple[str, str]]
) -> np.ndarray:
    """Which pairs pass the threshold chosen on the other fold: on no pair that it is scored on."""
    margins, folds = margins.astype(float), np.array([fold(source) for source, _ in pairs])
    correct = np.array([pair in gold for pair in pairs], dtype=bool)
    gold_folds = [fold(source) for source, _ in gold]
    passed = np.zeros(len(pairs), dtype=bool)
    for number in (0, 1):
        own = folds == number
        limit = best_threshold(margins[~own], correct[~own], gold_folds.count(1 - number))
        passed |= own & (margins >= limit)
    return passed
