"""A sentence of words, each with a tag."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from xfer_utils.formats import base
from xfer_utils.formats.base import Arrays, Format, Marks, Names, Nearest, Rows
from xfer_utils.formats.columns import IGNORE, Batch, Conversion, normal
from xfer_utils.study.tasks import Task


class Token(Format):
    """A word's tag is read from its first subword; words without a tag do not count."""

    columns: Mapping[str, Any] = {"tokens": base.TEXTS, "tags": base.datasets.List(base.NUMBER)}
    required = ("tokens", "tags")
    needs = ("labels", "open_labels")
    answer = "tags"
    head_class = "Tagger"
    per_token = True

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        words = batch[table.columns["tokens"]]
        tags = table.tags(batch, words)
        return table.names(batch, len(words)) | {"tokens": words, "tags": tags}

    def texts(self, row: Mapping[str, Any]) -> list[str]:
        """The words without spaces, which no script sets everywhere."""
        return ["".join(row["tokens"])]

    def marks(self, row: Mapping[str, Any]) -> Marks:
        return Marks({normal(" ".join(row["tokens"]))})

    def permuted(self, rows: Rows, rng: np.random.Generator) -> list:
        """Over all words; those without a tag stay without."""
        tags = np.concatenate([*rows["tags"], []]).astype(int)
        tags[tags >= 0] = rng.permutation(tags[tags >= 0])
        ends = np.cumsum([len(sentence) for sentence in rows["tags"]])[:-1]
        return [part.tolist() for part in np.split(tags, ends)]

    def sham(self, row: Mapping[str, Any], key: int, labels: int) -> list[int]:
        """By the hash of sentence and place."""
        places = enumerate(row["tags"])
        return [base.hashed(key, n) % labels if tag >= 0 else tag for n, tag in places]

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        """A sentence that is too long for one row goes on in the next."""
        sentences = _words(chunk["tokens"], tokenizer)
        cut = {"truncation": True, "max_length": max_length, "return_overflowing_tokens": True}
        coded = tokenizer(sentences, is_split_into_words=True, return_attention_mask=False, **cut)
        labels, words, seen = [], [], set()
        for row, example in enumerate(coded["overflow_to_sample_mapping"]):
            for word in coded.word_ids(row):
                first = word is not None and (example, word) not in seen
                seen.add((example, word))
                words.append(word if first else -1)
                labels.append(chunk["tags"][example][word] if first else IGNORE)
        per_token = {"labels": np.array(labels, np.int32), "words": np.array(words, np.int32)}
        return base.flat(coded) | per_token

    def targets(self, features: Any, rows: np.ndarray, units: list[int], masking: Any) -> Arrays:
        labels = np.concatenate([features.slice("labels", row) for row in rows])
        return {"labels": labels[labels >= 0].astype(np.int64), "wanted": labels >= 0}

    def empty_outputs(self, features: Any, width: int) -> np.ndarray:
        """The best tag of each token is enough."""
        return np.zeros(len(features.arrays["ids"]), np.int32)

    def row_outputs(self, logits: Any, lengths: np.ndarray) -> Sequence[np.ndarray]:
        return np.split(logits.argmax(-1).int().cpu().numpy(), np.cumsum(lengths)[:-1])

    def gold(self, rows: Rows, names: Names) -> list:
        return [[names[tag] for tag in sentence if tag >= 0] for sentence in rows["tags"]]

    def predictions(
        self, rows: Rows, features: Any, outputs: np.ndarray, names: Names, nearest: Nearest
    ) -> list:
        tagged = features.arrays["labels"] >= 0
        example = np.repeat(features.arrays["example"], features.lengths)
        sentences: list[list[str]] = [[] for _ in rows["tags"]]
        for place, tag in zip(example[tagged], outputs[tagged], strict=True):
            sentences[place].append(names[tag])
        return sentences

    def guesses(self, row: Task, rows: Rows, gold: list, draw: random.Random) -> list:
        """Only how common tags are is known: the commonest one, or for F1 all of them shuffled."""
        pool = [tag for sentence in gold for tag in sentence]
        if row.metric == "accuracy":
            pool = Counter(pool).most_common(1)[0][:1] * len(pool)
        else:
            draw.shuffle(pool)
        left = iter(pool)
        return [[next(left) for _ in sentence] for sentence in gold]


def _words(sentences: list[list[str]], tokenizer: Any) -> list[list[str]]:
    """Words as a tokenizer is to get them: none that it loses, spaces where it reads them."""
    plain = partial(tokenizer, add_special_tokens=False)
    split = partial(plain, is_split_into_words=True)
    unspaced, spaced = split(["a", "b"])["input_ids"], split(["a", " b"])["input_ids"]
    space = " " if unspaced != plain("a b")["input_ids"] == spaced else ""
    unique = sorted({word for words in sentences for word in words})
    pieces = plain(unique)["input_ids"]
    unknown = tokenizer.unk_token or "?"
    read = {word: word if ids else unknown for word, ids in zip(unique, pieces, strict=True)}
    return [[space * (n > 0) + read[word] for n, word in enumerate(row)] for row in sentences]


FORMAT = Token()
