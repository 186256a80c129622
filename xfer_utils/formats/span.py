"""A question and a context that holds its answer, or none."""

import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xfer_utils.formats import base, windows
from xfer_utils.formats.base import Arrays, Format, Marks, Names, Nearest, Rows
from xfer_utils.formats.columns import Batch, Conversion, normal
from xfer_utils.study.tasks import Task

ANSWERS = {"text": base.TEXTS, "answer_start": base.datasets.List(base.NUMBER)}


class Span(Format):
    """Windows slide over the context; each token is scored as the answer's start and as its end."""

    columns: Mapping[str, Any] = {"question": base.TEXT, "context": base.TEXT, "answers": ANSWERS}
    required = ("question", "context", "answers")
    head_class = "SpanHead"
    head_outputs = 2
    per_token = True
    spare_from_end = True

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        """Texts stay as they are: answers are places in them."""
        question, context = (table.raw_texts(batch, key) for key in ("question", "context"))
        answers = table.answers(batch, context)
        rows = {"question": question, "context": context, "answers": answers}
        return table.names(batch, len(question), context) | rows

    def texts(self, row: Mapping[str, Any]) -> list[str]:
        return [row["question"], row["context"]]

    def marks(self, row: Mapping[str, Any]) -> Marks:
        """Ids and articles too: data sets of questions on paragraphs share them."""
        items = super().marks(row).items
        return Marks(items, {normal(row["context"])}, {row["item"]}, {row["cluster"]})

    def estimated_tokens(self, row: Mapping[str, Any], longest: int) -> float:
        """Windows together read the whole context; what they repeat is left out."""
        return super().estimated_tokens(row, math.inf)

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        """The target is the answer's first and last token, or 0, 0 where the window lacks it."""
        longest = max_length // 3
        questions = _cut([text.lstrip() for text in chunk["question"]], tokenizer, longest)
        coded = tokenizer(
            questions, chunk["context"], truncation="only_second", max_length=max_length,
            stride=min(doc_stride, (max_length - longest) // 2), return_overflowing_tokens=True,
            return_offsets_mapping=True, return_attention_mask=False,
        )  # fmt: skip
        example = coded["overflow_to_sample_mapping"]
        offsets, targets = [], np.zeros((len(example), 2), np.int64)
        for row, sample in enumerate(example):
            inside = np.array([part == 1 for part in coded.sequence_ids(row)])
            places = np.asarray(coded["offset_mapping"][row], np.int32)
            offsets.append(np.where(inside[:, None], places, -1))
            targets[row] = _answer_tokens(offsets[-1], chunk["answers"][sample])
        offsets = np.concatenate(offsets).astype(np.int32)
        return {**base.flat(coded, example), "offsets": offsets, "target": targets}

    def row_outputs(self, logits: Any, lengths: np.ndarray) -> Sequence[np.ndarray]:
        block = logits.cpu().numpy()
        return [scores[:length] for scores, length in zip(block, lengths, strict=True)]

    def gold(self, rows: Rows, names: Names) -> list:
        return [answer["text"] for answer in rows["answers"]]

    def predictions(
        self, rows: Rows, features: Any, outputs: np.ndarray, names: Names, nearest: Nearest
    ) -> list:
        """The best span; the empty answer competes where some questions have none."""
        lengths, offsets = features.lengths, features.arrays["offsets"]
        real = np.arange(lengths.max()) < lengths[:, None]
        scores = np.full((*real.shape, 2), -1e9, np.float32)
        places = np.full((*real.shape, 2), -1, np.int32)
        scores[real], places[real] = outputs, offsets
        answers = windows.best_spans(
            scores[..., 0], scores[..., 1], features.arrays["example"], places[..., 0],
            places[..., 1], places[..., 0] >= 0, n_examples=len(rows["id"]),
            null=any(not answer["text"] for answer in rows["answers"]),
        )  # fmt: skip
        return windows.answer_texts(answers, rows["context"])

    def guesses(self, row: Task, rows: Rows, gold: list, draw: random.Random) -> list:
        """Random spans, each as long (in words) as the gold answer of some random question.

        Words are what stands between spaces; in Thai or Chinese, which have hardly any, characters.
        """
        texts = []
        for context in rows["context"]:
            answers = draw.choice(gold)
            spaced = len(context.split()) * 15 > len(context)
            matches = re.finditer(r"\S+" if spaced else r"\S", context)
            words = [word.span() for word in matches] or [(0, 0)]
            length = len(answers[0].split() if spaced else answers[0]) if len(answers) else 1
            first = draw.randrange(max(1, len(words) - length + 1))
            last = min(first + max(1, length), len(words)) - 1
            texts.append(context[words[first][0] : words[last][1]])
        return texts


def _cut(texts: list[str], tokenizer: Any, longest: int) -> list[str]:
    """Texts of at most so many tokens, so that a very long question leaves room for its context."""
    coded = tokenizer(
        texts, add_special_tokens=False, truncation=True, max_length=longest,
        return_offsets_mapping=True, return_attention_mask=False,
    )  # fmt: skip
    offsets = coded["offset_mapping"]
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


FORMAT = Span()
