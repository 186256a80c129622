"""What other test items would have given: a bootstrap over clusters of items."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from xfer_utils.scoring import metrics
from xfer_utils.study.tasks import Task


def resampled(
    row: Task, items: pd.DataFrame, shape: tuple[int, ...], draws: int, seed: int
) -> tuple[np.ndarray, int]:
    """Draws [draws, *shape] of main scores from counts of items, each of one block of `shape`.

    Whole clusters are drawn, the same ones for all blocks; their number comes second.
    """
    counts = items.filter(regex="^count ").fillna(0)  # 0 of a class that a run never named
    names = [name.removeprefix("count ") for name in counts]
    cluster, blocks = joint_clusters(items["item"], items["cluster"]), items["block"].to_numpy()
    columns = [blocks * len(names) + n for n in range(len(names))]
    places = (np.tile(cluster, len(names)), np.concatenate(columns))
    size = (cluster.max() + 1, math.prod(shape) * len(names))
    sums = csr_matrix((counts.to_numpy(dtype=float).T.ravel(), places), size)
    parts = []
    for weights in _weights(size[0], draws, seed):
        totals = (sums.T @ weights.T).T.reshape(len(weights), *shape, len(names))
        by_name = {name: totals[..., n] for n, name in enumerate(names)}
        parts.append(metrics.main_score(row, by_name))
    return np.concatenate(parts), size[0]


def _weights(n: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of n clusters is drawn [some draws, n], drawing n with replacement."""
    rng, step = np.random.default_rng(seed), max(1, 2_000_000 // n)
    for at in range(0, draws, step):
        size = min(step, draws - at)
        picked = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        yield np.bincount(picked.ravel(), minlength=size * n).reshape(size, n).astype(float)


def joint_clusters(item: Sequence, cluster: Sequence) -> np.ndarray:
    """A cluster number per row: rows that share an item (translations) or a cluster go together.

    Clusters so reach across languages, as resampling must. A row may have an item only.
    """
    item, cluster = (pd.factorize(np.asarray(part, dtype=object))[0] for part in (item, cluster))
    n, has = item.max(initial=-1) + 1, cluster >= 0
    size = n + cluster.max(initial=-1) + 1
    graph = coo_matrix((np.ones(has.sum()), (item[has], n + cluster[has])), shape=(size, size))
    return pd.factorize(connected_components(graph, directed=False)[1][item])[0]
