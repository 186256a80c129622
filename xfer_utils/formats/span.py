"""A question and a context that holds its answer, or none."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from xfer_utils.formats import base
from xfer_utils.formats.base import Arrays, Format, Marks, Names, Nearest, Rows
from xfer_utils.formats.columns import Batch, Conversion
from xfer_utils.study.tasks import Task

ANSWERS = {"text": base.TEXTS, "answer_start": base.datasets.List(base.NUMBER)}


class Span(Format):
    """Windows slide over the context; each token is scored as the answer's start and as its end."""

    columns: Mapping[str, Any] = {"question": base.TEXT, "context": base.TEXT, "answers": ANSWERS}
    required = ("question", "context", "answers")
    head_class, head_outputs = "SpanHead", 2
    per_token = spare_from_end = True
    paragraph, answer = "context", "answers"

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        """Texts stay as they are: answers are places in them."""
        question, context = (table.texts(batch, key, end="") for key in ("question", "context"))
        answers = table.answers(batch, context)
        rows = {"question": question, "context": context, "answers": answers}
        return table.names(batch, len(question), context) | rows

    def marks(self, row: Mapping[str, Any]) -> Marks:
        """Ids and articles too: data sets of questions on paragraphs share them."""
        return replace(super().marks(row), ids={row["item"]}, articles={row["cluster"]})

    def permuted(self, rows: Rows, rng: np.random.Generator) -> list:
        """How many words answers have is permuted; each lies at a random place of its context."""
        answers = [answer["text"] for answer in rows["answers"]]
        lengths = rng.permutation(list(map(_length, answers, rows["context"])))
        places = zip(rows["context"], lengths, strict=True)
        return [_answer(context, length, rng.integers) for context, length in places]

    def sham(self, row: Mapping[str, Any], key: int, labels: int) -> dict[str, list]:
        """One to three words of the context."""
        return _answer(row["context"], 1 + key % 3, lambda places: key // 3 % places)

    def reworded(self, row: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
        """The answer, too, where it stands in the new context: the first one alone is learnt."""
        new = super().reworded(row, change)
        if not row["answers"]["text"]:
            return new | {"answers": row["answers"]}
        context, begin = row["context"], row["answers"]["answer_start"][0]
        end = begin + len(row["answers"]["text"][0])
        before, answer, after = map(change, (context[:begin], context[begin:end], context[end:]))
        answers = {"text": [answer], "answer_start": [len(before)]}
        return new | {"context": before + answer + after, "answers": answers}

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        """The target is the answer's first and last token, or 0, 0 where the window lacks it."""
        longest = max_length // 3
        questions = _cut([text.lstrip() for text in chunk["question"]], tokenizer, longest)
        coded = tokenizer(
            questions, chunk["context"], truncation="only_second", max_length=max_length,
            stride=min(doc_stride, (max_length - longest) // 2), return_overflowing_tokens=True,
            return_offsets_mapping=True, return_attention_mask=False,
        )  # fmt: skip
        arrays = base.flat(coded)
        offsets = [np.asarray(places, np.int32) for places in coded["offset_mapping"]]
        for row, places in enumerate(offsets):
            places[[part != 1 for part in coded.sequence_ids(row)]] = -1
        answers = [chunk["answers"][example] for example in arrays["example"]]
        targets = np.array(list(map(_answer_tokens, offsets, answers)), np.int64)
        return {**arrays, "offsets": np.concatenate(offsets), "target": targets}

    def row_outputs(self, logits: Any, lengths: np.ndarray) -> Sequence[np.ndarray]:
        return [scores[:n] for scores, n in zip(logits.cpu().numpy(), lengths, strict=True)]

    def gold(self, rows: Rows, names: Names) -> list:
        return [answer["text"] for answer in rows["answers"]]

    def predictions(
        self, rows: Rows, features: Any, outputs: np.ndarray, names: Names, nearest: Nearest
    ) -> list:
        """The best span; the empty answer competes where some questions have none."""
        real = np.arange(features.lengths.max()) < features.lengths[:, None]
        scores = np.full((*real.shape, 2), -1e9, np.float32)
        offsets = np.full((*real.shape, 2), -1, np.int32)
        scores[real], offsets[real] = outputs, features.arrays["offsets"]
        null = any(not answer["text"] for answer in rows["answers"])
        places = best_spans(scores, offsets, features.arrays["example"], null)
        contexts = zip(rows["context"], places, strict=True)
        return [context[begin:end].strip() for context, (begin, end) in contexts]

    def guesses(self, row: Task, rows: Rows, gold: list, draw: random.Random) -> list:
        """Random spans, as long in words as random gold answers; in characters without spaces."""
        texts = []
        for context in rows["context"]:
            length = _length(draw.choice(gold), context) or 1
            texts += _answer(context, length, draw.randrange)["text"]
        return texts


def _spaced(context: str) -> bool:
    """Whether a text's script parts words by spaces; elsewhere characters stand in for words."""
    return len(context.split()) * 15 > len(context)


def _length(answers: list[str], context: str) -> int:
    """Words of the first answer; 0 where there is none."""
    return len(answers[0].split() if _spaced(context) else answers[0]) if len(answers) else 0


def _answer(context: str, length: int, choose: Callable[[int], int]) -> dict[str, list]:
    """So many words of a context as its answer, from one of the possible places; or none."""
    if not length:
        return {"text": [], "answer_start": []}
    pattern = r"\S+" if _spaced(context) else r"\S"
    words = [word.span() for word in re.finditer(pattern, context)] or [(0, 0)]
    length = min(length, len(words))
    first = int(choose(len(words) - length + 1))
    begin, end = words[first][0], words[first + length - 1][1]
    return {"text": [context[begin:end]], "answer_start": [begin]}


def _cut(texts: list[str], tokenizer: Any, longest: int) -> list[str]:
    """Texts of at most so many tokens, so that a very long question leaves room for its context."""
    options = {"truncation": True, "max_length": longest, "return_offsets_mapping": True}
    offsets = tokenizer(texts, add_special_tokens=False, **options)["offset_mapping"]
    ends = [places[-1][1] if len(places) == longest else None for places in offsets]
    return [text[:end] for text, end in zip(texts, ends, strict=True)]


def _answer_tokens(offsets: np.ndarray, answers: dict) -> tuple[int, int]:
    """First and last token of the first answer, or (0, 0) where the window lacks part of it."""
    if not answers["text"]:
        return 0, 0
    begin = answers["answer_start"][0]
    end = begin + len(answers["text"][0])
    starts, ends = offsets.T
    tokens = np.flatnonzero((starts >= 0) & (ends > begin) & (starts < end))
    context = np.flatnonzero(starts >= 0)
    whole = len(tokens) and starts[context[0]] <= begin and ends[context[-1]] >= end
    return (int(tokens[0]), int(tokens[-1])) if whole else (0, 0)


def best_spans(
    scores: np.ndarray, offsets: np.ndarray, example: np.ndarray, null: bool,
    longest: int = 30, n_best: int = 20,
) -> np.ndarray:  # fmt: skip
    """Characters [begin, end) of each example's best span over its windows; (0, 0) is no answer.

    `scores` and `offsets` [windows, tokens, 2] are of starts and ends, -1 outside the context. As
    in the reference scripts, spans are made of a window's `n_best` starts and ends (here: of its
    context). With `null`, the empty answer wins where its lowest score over the windows, each at
    the first token, is above the best span's.
    """
    of_context = np.where(offsets >= 0, scores, -np.inf)
    score, first, last = _best_in_windows(of_context, longest, min(n_best, scores.shape[1]))
    windows = pd.Series(score).groupby(example).idxmax().to_numpy()
    spans = np.c_[offsets[windows, first[windows], 0], offsets[windows, last[windows], 1]]
    empty = np.isneginf(score[windows])
    if null:
        null_score = pd.Series(scores[:, 0].sum(1)).groupby(example).min().to_numpy()
        empty |= null_score > score[windows]
    spans[empty] = 0
    return spans


def _best_in_windows(scores: np.ndarray, longest: int, n: int) -> tuple[np.ndarray, ...]:
    """Score, first and last token of the best span of each window; -inf where it has none."""
    places = np.sort(np.argpartition(scores, scores.shape[1] - n, axis=1)[:, -n:], axis=1)
    starts, ends = places[..., 0], places[..., 1]
    highest = np.take_along_axis(scores, places, axis=1)
    tokens = ends[:, None, :] - starts[:, :, None]
    pairs = highest[:, :, None, 0] + highest[:, None, :, 1]
    pairs[(tokens < 0) | (tokens >= longest)] = -np.inf
    flat = pairs.reshape(len(pairs), n * n)
    best, rows = flat.argmax(axis=1), np.arange(len(flat))
    return flat[rows, best], starts[rows, best // n], ends[rows, best % n]


FORMAT = Span()
