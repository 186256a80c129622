"""From start and end scores of sliding windows to answers in the original context.

As in the reference scripts, a span's score is the sum of its two scores, and spans are made of the
`n_best` starts and `n_best` ends of a window (here: of its context), so an example may end up
without any. The first of equal spans wins.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

PAIRS_AT_ONCE = 4_000_000  # start-end pairs held in memory, about 16 MB of scores


class Answers(NamedTuple):
    """One answer per example: characters [start, end) of its context, (0, 0) where there is none.

    `score` is the best span's, also where the empty answer won; `null_score` may be NaN.
    """

    start: np.ndarray
    end: np.ndarray
    score: np.ndarray
    null_score: np.ndarray


def best_spans(
    start: np.ndarray, end: np.ndarray, window_example: np.ndarray, offsets_start: np.ndarray,
    offsets_end: np.ndarray, context_mask: np.ndarray, n_examples: int | None = None,
    max_answer_tokens: int = 30, n_best: int = 20, null: bool = False, null_threshold: float = 0.0,
) -> Answers:  # fmt: skip
    """The best span of each example over all its windows.

    start, end: scores [windows, length]. window_example: the example (0..n-1) of each window.
    offsets_start, offsets_end: where each token begins and ends in the context, in characters.
    context_mask: which tokens are context. With `null` the empty answer, scored at each window's
    first token, wins where its lowest score over the windows is above the best span's by more than
    `null_threshold`.
    """
    window_example = np.asarray(window_example)
    n = n_examples if n_examples is not None else int(window_example.max(initial=-1)) + 1
    score, first, last = _best_in_windows(start, end, context_mask, max_answer_tokens, n_best)
    windows = np.arange(len(window_example))
    order = np.lexsort((windows, -score, window_example))
    examples, place = np.unique(window_example[order], return_index=True)
    chosen = order[place]
    places = np.zeros((2, n), dtype=np.int64)
    answers = Answers(*places, np.full(n, -np.inf), np.full(n, np.nan))
    answers.score[examples] = score[chosen]
    answers.start[examples] = offsets_start[chosen, first[chosen]]
    answers.end[examples] = offsets_end[chosen, last[chosen]]
    empty = np.isneginf(answers.score)
    if null:
        answers.null_score[:] = np.inf
        null_scores = np.asarray(start[:, 0] + end[:, 0], dtype=float)
        np.minimum.at(answers.null_score, window_example, null_scores)
        empty |= answers.null_score > answers.score + null_threshold
    answers.start[empty] = answers.end[empty] = 0
    return answers


def _best_in_windows(
    start: np.ndarray, end: np.ndarray, mask: np.ndarray, max_tokens: int, n_best: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score, first and last token of the best span of each window; -inf where it has none."""
    windows, length = start.shape
    n = min(n_best, length)
    score = np.empty(windows)
    first, last = np.zeros(windows, dtype=int), np.zeros(windows, dtype=int)
    step = max(1, PAIRS_AT_ONCE // (n * n))
    for at in range(0, windows, step):
        part = slice(at, at + step)
        starts, start_scores = _highest(np.where(mask[part], start[part], -np.inf), n)
        ends, end_scores = _highest(np.where(mask[part], end[part], -np.inf), n)
        tokens = ends[:, None, :] - starts[:, :, None]
        pairs = start_scores[:, :, None] + end_scores[:, None, :]
        pairs[(tokens < 0) | (tokens >= max_tokens)] = -np.inf
        flat = pairs.reshape(len(pairs), -1)
        best, rows = flat.argmax(axis=1), np.arange(len(flat))
        score[part] = flat[rows, best]
        first[part], last[part] = starts[rows, best // n], ends[rows, best % n]
    return score, first, last


def _highest(scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n highest entries of each row, in the order of their places, and their scores."""
    length = scores.shape[1]
    places = np.sort(np.argpartition(scores, length - n, axis=1)[:, length - n :], axis=1)
    return places, np.take_along_axis(scores, places, axis=1)


def answer_texts(answers: Answers, contexts: Sequence[str]) -> list[str]:
    """The answers as they stand in their contexts, without the spaces around them."""
    ends = zip(contexts, answers.start, answers.end, strict=True)
    return [context[begin:end].strip() for context, begin, end in ends]
