"""Best spans against brute force over all windows, starts and ends."""

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_utils.formats.span import best_spans


def brute_force(scores, offsets, example, longest, n_best):
    """(score, begin, end) of each example by loops over everything."""
    best = {}
    for window, (starts, ends) in enumerate(scores.transpose(0, 2, 1)):
        context = np.flatnonzero(offsets[window, :, 0] >= 0)
        firsts = sorted(context, key=lambda i: -starts[i])[:n_best]
        lasts = sorted(context, key=lambda i: -ends[i])[:n_best]
        for i in firsts:
            for j in lasts:
                if i <= j < i + longest:
                    span = (starts[i] + ends[j], offsets[window, i, 0], offsets[window, j, 1])
                    number = example[window]
                    best[number] = max(best.get(number, (-np.inf, 0, 0)), span)
    return best


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(0, 4),
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 14),
)
def test_against_brute_force(seed, more, length, longest, n_best):
    rng = np.random.default_rng(seed)
    example = np.r_[0, 1, 2, rng.integers(0, 3, more)]
    scores = rng.normal(size=(len(example), length, 2)).astype(np.float32)
    left = rng.integers(0, 50, (len(example), 1)) + 3 * np.arange(length)
    offsets = np.stack([left, left + 2], axis=-1)
    offsets[rng.random(left.shape) >= 0.7] = -1
    spans = best_spans(scores, offsets, example, False, longest, n_best)
    expected = brute_force(scores, offsets, example, longest, n_best)
    assert spans.tolist() == [list(expected.get(n, (-np.inf, 0, 0))[1:]) for n in range(3)]


def span(start, end, null=False, **limits):
    """One window of one example: token 0 is not context, token i covers characters [2i, 2i + 1)."""
    left = 2 * np.arange(len(start))
    offsets = np.stack([left, left + 1], axis=-1)[None]
    offsets[0, 0] = -1
    scores = np.stack([start, end], axis=-1)[None]
    return tuple(best_spans(scores, offsets, np.zeros(1, int), null, **limits)[0])


def test_by_hand():
    # Token 0 is no context; 7 ends before it begins.
    assert span([9.0, 1, 5, 0], [9.0, 7, 0, 4]) == (4, 7)
    assert span([9.0, 1, 5, 0], [9.0, 7, 0, 4], longest=1) == (2, 3)
    assert span([0.0, 1, 1], [0.0, 1, 1], longest=1) == (2, 3), "of equals the first"
    assert span([0.0, 0, 9], [0.0, 9, 0], n_best=1) == (0, 0), "the one pair is the wrong way round"


def test_the_empty_answer_wins_where_it_may():
    start, end = [3.0, 2, 0], [3.0, 2, 0]  # null 6, best 4
    assert span(start, end) == (2, 3)
    assert span(start, end, null=True) == (0, 0)


def test_null_score_is_the_lowest_over_windows():
    offsets = np.array([[[-1, -1], [0, 4]]] * 2)
    for best, end in ((0.9, 0), (1.1, 4)):  # twice that, against null scores of 10 and 2
        start = np.array([[5.0, best], [1.0, 0.0]])
        spans = best_spans(np.stack([start, start], -1), offsets, np.zeros(2, int), True)
        assert spans.tolist() == [[0, end]]


def test_best_window():
    start = np.array([[0.0, 1.0, 0.0], [0.0, 3.0, 0.0], [2.0, 0.0, 0.0]])
    left = np.array([[0, 3, 6], [3, 6, 8], [0, 1, 3]])
    right = np.array([[2, 5, 8], [5, 8, 8], [1, 2, 5]])
    offsets = np.stack([left, right], axis=-1)
    offsets[1, 2] = -1
    spans = best_spans(np.stack([start, start], -1), offsets, np.array([0, 0, 1]), False)
    assert spans.tolist() == [[6, 8], [0, 1]]


def test_thousands_of_windows_are_fast():
    shape = (4000, 384, 2)
    scores = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    offsets = np.broadcast_to(np.arange(384)[:, None] + [0, 1], shape)
    begin = time.perf_counter()
    spans = best_spans(scores, offsets, np.arange(4000) // 2, False)
    assert time.perf_counter() - begin < 5  # about 0.2 s on one core
    assert len(spans) == 2000 and (spans[:, 1] > spans[:, 0]).all()
