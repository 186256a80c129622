"""Search and mining against brute force."""

from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_utils.scoring import search


def vectors(n, dim=5, seed=0):
    return search.normalise(np.random.default_rng(seed).standard_normal((n, dim)))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 999),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 5),
    st.integers(1, 50),
)
def test_top_k_in_any_blocks(seed, n, m, k, size):
    queries, keys = vectors(n, seed=seed), vectors(m, seed=seed + 1)
    everything = queries @ keys.T
    with patch.object(search, "BLOCK", (size, max(1, size // 2))):
        forward, backward = search.scan(queries, keys, k, both=True)
    for found, matrix in ((forward, everything), (backward, everything.T)):
        width = min(k, matrix.shape[1])
        assert found.similarity.shape == found.index.shape == (len(matrix), width)
        np.testing.assert_allclose(
            found.similarity, -np.sort(-matrix, axis=1)[:, :width], atol=1e-6
        )
        taken = np.take_along_axis(matrix, found.index, axis=1)
        np.testing.assert_allclose(taken, found.similarity, atol=1e-6)
        assert all(len(set(row)) == width for row in found.index.tolist())


@pytest.mark.parametrize(("n", "m"), [(700, 1500), (1000, 641), (641, 64), (1, 2000), (2000, 1)])
def test_top_k_of_long_rows(n, m):
    queries, keys = vectors(n, 16, 1), vectors(m, 16, 2)
    forward, backward = search.scan(queries, keys, 4, both=True)
    for found, matrix in ((forward, queries @ keys.T), (backward, keys @ queries.T)):
        np.testing.assert_array_equal(found.index, np.argsort(-matrix, axis=1)[:, :4])


def test_ties_and_torch_and_halves(monkeypatch):
    same = np.ones((300, 4), dtype=np.float32)
    monkeypatch.setattr(search, "BLOCK", (100, 100))
    index = search.top_k(same, same, 3).index
    assert all(len(set(row)) == 3 for row in index.tolist())
    a, b = vectors(10), vectors(20, seed=3)
    expected = search.nearest(a, b)
    np.testing.assert_array_equal(search.nearest(torch.tensor(a), torch.tensor(b)), expected)
    assert (search.nearest(a.astype(np.float16), b.astype(np.float16)) == expected).mean() > 0.8
    with pytest.raises(ValueError, match="0 queries and 20 keys"):
        search.nearest(a[:0], b)


def test_normalise():
    found = search.normalise([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0]])
    assert found.dtype == np.float32


def test_memory_stays_at_a_block(tmp_path, monkeypatch):
    """Keys come from a file in float16 and are read a block at a time."""
    path = tmp_path / "keys.npy"
    np.save(path, vectors(5000, 8).astype(np.float16))
    keys = np.load(path, mmap_mode="r")
    monkeypatch.setattr(search, "BLOCK", (4, 512))
    found = search.top_k(np.asarray(keys[::500]), keys, 1)
    np.testing.assert_array_equal(found.index[:, 0], np.arange(0, 5000, 500))


def brute_mine(source, target, k):
    """Margins, best proposals and greedy matching by loops."""
    cosine = source.astype(float) @ target.T.astype(float)
    n, m = cosine.shape
    out = np.sort(cosine, axis=1)[:, ::-1][:, :k].mean(axis=1)
    back = np.sort(cosine, axis=0)[::-1][:k].mean(axis=0)
    margin = cosine / ((out[:, None] + back[None]) / 2)
    proposals = []
    for i in range(n):
        near = np.argsort(-cosine[i])[:k]
        proposals.append(max((margin[i, j], i, j) for j in near))
    for j in range(m):
        near = np.argsort(-cosine[:, j])[:k]
        proposals.append(max((margin[i, j], i, j) for i in near))
    taken, found = set(), {}
    for value, i, j in sorted(proposals, reverse=True):
        if value > 0 and ("s", i) not in taken and ("t", j) not in taken:
            taken |= {("s", i), ("t", j)}
            found[int(i), int(j)] = value
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.integers(4, 25), st.integers(4, 25))
def test_mine_against_brute_force(seed, n, m):
    source, target = abs(vectors(n, 6, seed)), abs(vectors(m, 6, seed + 7))
    with patch.object(search, "BLOCK", (7, 5)):
        sources, targets, margins = search.mine(source, target, 4)
    places = zip(sources.tolist(), targets.tolist(), strict=True)
    pairs = dict(zip(places, margins, strict=True))
    expected = brute_mine(source, target, 4)
    assert pairs.keys() == expected.keys()
    assert all(pairs[pair] == pytest.approx(expected[pair], rel=1e-4) for pair in pairs)
    assert all(a >= b for a, b in pairwise(margins))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(5, 25), st.integers(5, 25))
def test_nearest_by_margin_against_brute_force(seed, n, m):
    queries, keys = abs(vectors(n, 6, seed)), abs(vectors(m, 6, seed + 7))
    cosine = queries.astype(float) @ keys.T.astype(float)
    out = np.sort(cosine, axis=1)[:, -4:].mean(axis=1)
    back = np.sort(cosine, axis=0)[-4:].mean(axis=0)
    margin = cosine / ((out[:, None] + back[None]) / 2)
    near = np.argsort(-cosine, axis=1)[:, :4]
    expected = near[np.arange(n), np.take_along_axis(margin, near, axis=1).argmax(axis=1)]
    np.testing.assert_array_equal(search.nearest_by_margin(queries, keys), expected)


def test_mine_finds_translations_among_distractors():
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((50, 64))
    source = np.concatenate([shared, rng.standard_normal((70, 64))])
    target = np.concatenate(
        [shared + 0.1 * rng.standard_normal((50, 64)), rng.standard_normal((90, 64))]
    )
    sources, targets, _ = search.mine(search.normalise(source), search.normalise(target))
    best = set(zip(sources[:50].tolist(), targets[:50].tolist(), strict=True))
    assert best == {(i, i) for i in range(50)}


def f1_at(threshold, margins, correct, n_gold):
    taken = margins >= threshold
    return 2 * correct[taken].sum() / (taken.sum() + n_gold)


@given(
    st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=25),
    st.integers(0, 5),
)
def test_threshold_is_the_best_there_is(pairs, missed):
    margins = np.array([margin for margin, _ in pairs], dtype=float)
    correct = np.array([right for _, right in pairs])
    n_gold = int(correct.sum()) + missed
    found = search.best_threshold(margins, correct, n_gold)
    if not correct.any():
        assert found == np.inf
        return
    best = max(f1_at(limit, margins, correct, n_gold) for limit in margins)
    assert f1_at(found, margins, correct, n_gold) == pytest.approx(best)


def test_threshold_by_hand():
    # by margin: right, right, wrong, right; F1 4/6, then 4/7, then 6/8 with 4 gold pairs
    assert search.best_threshold(np.array([1.0, 4, 3, 2]), np.array([1, 1, 1, 0]), 4) == 1.0
    assert search.best_threshold(np.array([1.0, 4, 3, 2]), np.array([0, 1, 1, 0]), 4) == 2.5


def test_cross_fit_never_uses_the_fold_it_judges():
    gold = [(f"s{i}", f"t{i}") for i in range(200)]
    rng = np.random.default_rng(0)
    pairs = gold[:150] + [(f"s{i}", f"x{i}") for i in range(150, 300)]
    margins = np.concatenate([rng.normal(1.3, 0.1, 150), rng.normal(1.0, 0.1, 150)])
    accepted = search.cross_fit(pairs, margins, set(gold))
    folds = np.array([search.fold(source) for source, _ in pairs])
    assert 0.35 < folds.mean() < 0.65
    for number in (0, 1):  # one threshold per fold
        own = folds == number
        assert margins[own & accepted].min() > margins[own & ~accepted].max()
    # other margins in fold 0 change what is accepted in fold 1 only, and the other way round
    for number in (0, 1):
        own = folds == number
        changed = np.where(own, margins + rng.normal(0, 0.3, len(margins)), margins)
        again = search.cross_fit(pairs, changed, set(gold))
        assert (again[~own] != accepted[~own]).any()
        shifted = np.where(own, margins, margins + 0.5)
        again = search.cross_fit(pairs, shifted, set(gold))
        assert again[~own].sum() > accepted[~own].sum() and not again[own].any()
    # gold pairs of fold 0 that were not mined make its threshold, which judges fold 1, more generous
    unmined = {(f"u{i}", "x") for i in range(4000) if search.fold(f"u{i}") == 0}
    again = search.cross_fit(pairs, margins, set(gold) | unmined)
    assert (again == accepted)[folds == 0].all() and again.sum() > accepted.sum()
    right = np.array([pair in set(gold) for pair in pairs])
    assert f1_at(0.5, accepted.astype(float), right, 200) > 0.75
    assert {search.fold(source) for source, _ in gold} == {0, 1}
