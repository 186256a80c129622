"""Best spans against brute force over all windows, starts and ends."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_utils.formats.windows import answer_texts, best_spans


def brute_force(start, end, example, left, right, mask, max_tokens, n_best):
    """(score, start, end) of each example by loops over everything."""
    best = {}
    for w in range(len(start)):
        context = [i for i in range(start.shape[1]) if mask[w, i]]
        starts = sorted(context, key=lambda i: -start[w, i])[:n_best]
        ends = sorted(context, key=lambda i: -end[w, i])[:n_best]
        for i in starts:
            for j in ends:
                if i <= j < i + max_tokens:
                    found = (start[w, i] + end[w, j], left[w, i], right[w, j])
                    best[example[w]] = max(best.get(example[w], (-np.inf, 0, 0)), found)
    return best


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 6),
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 14),
)
def test_against_brute_force(seed, windows, length, max_tokens, n_best):
    rng = np.random.default_rng(seed)
    start, end = rng.normal(size=(2, windows, length)).astype(np.float32)
    example = rng.integers(0, 3, windows)
    mask = rng.random((windows, length)) < 0.7
    left = rng.integers(0, 50, (windows, 1)) + 3 * np.arange(length)
    right = left + 2
    found = best_spans(start, end, example, left, right, mask, 3, max_tokens, n_best)
    expected = brute_force(start, end, example, left, right, mask, max_tokens, n_best)
    for i in range(3):
        if i in expected:
            assert (found.score[i], found.start[i], found.end[i]) == pytest.approx(
                expected[i], abs=1e-6
            )
        else:
            assert (found.score[i], found.start[i], found.end[i]) == (-np.inf, 0, 0)


def one(start, end, **settings):
    """One window of one example: token 0 is not context, token i covers characters [2i, 2i + 1)."""
    n = len(start)
    mask = np.arange(n)[None] > 0
    at = 2 * np.arange(n)[None]
    found = best_spans(
        np.array([start]), np.array([end]), np.zeros(1, int), at, at + 1, mask, **settings
    )
    return int(found.start[0]), int(found.end[0]), float(found.score[0])


def test_by_hand():
    assert one([9.0, 1, 5, 0], [9.0, 7, 0, 4]) == (
        4,
        7,
        9.0,
    )  # token 0 is no context; 7 ends before it begins
    assert one([9.0, 1, 5, 0], [9.0, 7, 0, 4], max_answer_tokens=1) == (2, 3, 8.0)
    assert one([0.0, 1, 1], [0.0, 1, 1], max_answer_tokens=1) == (2, 3, 2.0)  # of equals the first
    assert one([0.0, 0, 9], [0.0, 9, 0], n_best=1) == (
        0,
        0,
        -np.inf,
    )  # the one pair is the wrong way round


def test_empty_answer_needs_the_threshold():
    start, end = [3.0, 2, 0], [3.0, 2, 0]  # null 6, best 4
    assert one(start, end) == (2, 3, 4.0)
    assert one(start, end, null=True) == (0, 0, 4.0)
    assert one(start, end, null=True, null_threshold=2.0) == (2, 3, 4.0)


def test_null_score_is_the_lowest_over_windows():
    start = np.array([[5.0, 0.0], [1.0, 0.0]])
    grid = np.zeros((2, 2), int)
    mask = np.array([[False, True]] * 2)
    found = best_spans(start, start, np.array([0, 0]), grid, grid + 4, mask, null=True)
    assert found.null_score[0] == 2.0 and found.end[0] == 0
    found = best_spans(
        start, start, np.array([0, 0]), grid, grid + 4, mask, null=True, null_threshold=3.0
    )
    assert found.end[0] == 4


def test_best_window_and_texts():
    contexts = ["ab cd ef", "中国 gh"]
    start = np.array([[0.0, 1.0, 0.0], [0.0, 3.0, 0.0], [2.0, 0.0, 0.0]])
    left = np.array([[0, 3, 6], [3, 6, 8], [0, 1, 3]])
    right = np.array([[2, 5, 8], [5, 8, 8], [1, 2, 5]])
    mask = np.ones((3, 3), bool)
    mask[1, 2] = False
    found = best_spans(start, start, np.array([0, 0, 1]), left, right, mask, n_examples=2)
    assert answer_texts(found, contexts) == ["ef", "中"]


def test_thousands_of_windows_are_fast():
    rng = np.random.default_rng(0)
    shape = (4000, 384)
    start, end = rng.normal(size=(2, *shape)).astype(np.float32)
    grid = np.broadcast_to(np.arange(shape[1]), shape)
    begun = time.perf_counter()
    found = best_spans(start, end, np.arange(4000) // 2, grid, grid + 1, np.ones(shape, bool))
    assert time.perf_counter() - begun < 5  # about 0.2 s on one core
    assert len(found.start) == 2000 and (found.end > found.start).all()
