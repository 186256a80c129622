"""What a format of task decides. Each is one file beside this one; a new format is a new file."""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from typing import Any

import datasets
import numpy as np

from xfer_utils.formats.columns import SHARED, Batch, Conversion, normal
from xfer_utils.study.tasks import Task

TEXT = datasets.Value("string")
TEXTS = datasets.List(TEXT)
NUMBER = datasets.Value("int32")
BYTES_PER_TOKEN = 4.7  # 4.4 to 4.9 for English in XLM-R's vocabulary and in the toy world's
SPECIAL_TOKENS = 3

Arrays = dict[str, np.ndarray]
Rows = Mapping[str, Sequence]  # canonical rows, column by column
Names = Sequence[str]  # of labels
Nearest = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of queries among candidates, best first


@dataclass
class Marks:
    """What rows are recognised by: whole items, the paragraphs they belong to, ids and articles."""

    items: set[str] = field(default_factory=set)
    paragraphs: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    articles: set[str] = field(default_factory=set)

    def add(self, other: "Marks") -> None:
        """Takes over the marks of other rows."""
        for kind, values in vars(other).items():
            getattr(self, kind).update(values)


class Format:
    """Defaults of a format: one row and one label per example, classified by one pooled vector.

    Its module binds an instance to FORMAT, and imports no torch, so that plans are quick.
    """

    VERSION = 1  # raised by hand when the same rows give other results
    columns: Mapping[str, Any] = {}  # canonical columns besides id, item and cluster
    required: tuple[str, ...] = ()  # what `columns:` in the registry must name
    optional: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # other keys of which the registry must give one
    answer = "label"  # the canonical column that says what is learnt
    paragraph = ""  # the column with the text that several rows may be about
    rows_together = False  # whether the rows of an example are trained on in one batch
    per_token = False  # whether outputs are kept per token and long texts go on in further rows
    spare_from_end = False  # rows set aside are the last ones: neighbours share a paragraph
    inputs_per_item = 1
    head_class = "Classifier"  # of heads.py
    head_outputs = 0  # 0: as many as there are labels

    @property
    def schema(self) -> datasets.Features:
        """The canonical rows' columns."""
        return datasets.Features(dict.fromkeys(("id", "item", "cluster"), TEXT) | self.columns)

    # ----- registry and stored tables -----
    def check(self, row: Task) -> None:
        """Refuses a registry row that does not fit: a ValueError in a plain sentence."""
        if not row.parts and self.needs and not any(getattr(row, key) for key in self.needs):
            raise ValueError(f"format {row.format} needs `{'` or `'.join(self.needs)}`")
        known = dict.fromkeys((*self.required, *self.optional, *SHARED))
        for columns in () if row.parts else (row.columns, *row.variants):
            if absent := [name for name in self.required if name not in columns]:
                raise ValueError(f"format {row.format} needs the column {', '.join(absent)}")
            if unknown := [name for name in columns if name not in known]:
                problem = f"format {row.format} knows no column {', '.join(unknown)}"
                raise ValueError(f"{problem}; it has {', '.join(known)}")

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        """Stored columns as canonical ones."""

    # ----- what is known of a canonical row without a model -----
    def texts(self, row: Mapping[str, Any]) -> list[str]:
        """The texts of a row."""
        return [row[name] for name, kind in self.columns.items() if kind == TEXT]

    def marks(self, row: Mapping[str, Any]) -> Marks:
        """What this row is recognised by where it stands in another data set."""
        paragraphs = {normal(row[self.paragraph])} if self.paragraph else set()
        return Marks({"\t".join(map(normal, self.texts(row)))}, paragraphs)

    def estimated_tokens(self, row: Mapping[str, Any], longest: int) -> float:
        """Tokens that the model reads of a row, estimated from its texts before any tokenizer."""
        tokens = SPECIAL_TOKENS + sum(map(tokens_in, self.texts(row)))
        return tokens if self.per_token else min(tokens, longest)

    # ----- answers that carry nothing, for controls -----
    def permuted(self, rows: Rows, rng: np.random.Generator) -> list:
        """Each row's new answer: the rows' own, permuted."""
        return rng.permutation(rows[self.answer]).tolist()

    def sham(self, row: Mapping[str, Any], key: int, labels: int) -> Any:
        """A row's new answer, by the hash of its input, where there are so many labels."""
        return key % labels

    def reworded(self, row: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
        """A row's texts, each of them changed."""
        texts = {name: row[name] for name, kind in self.columns.items() if kind in (TEXT, TEXTS)}
        return {
            name: change(text) if isinstance(text, str) else list(map(change, text))
            for name, text in texts.items()
        }

    # ----- token ids and batches -----
    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        """Flat arrays of some rows: ids, starts, example, and what training and scoring need."""

    def units(self, arrays: Arrays) -> np.ndarray:
        """First row of each training unit, and the end."""
        if not self.rows_together:
            return np.arange(len(arrays["starts"]))
        changes = np.flatnonzero(np.diff(arrays["example"], prepend=-1))
        return np.r_[changes, len(arrays["example"])]

    def targets(self, features: Any, rows: np.ndarray, units: list[int], masking: Any) -> Arrays:
        """`labels`, the tokens `wanted` where these are per token, and `ids` where some are new."""
        return {"labels": features.arrays["target"][features.units[units]]}

    # ----- models -----
    def head(self, encoder: Any, labels: int) -> Any:
        """A new head, with the methods that heads.Tagger has."""
        from xfer_utils.formats import heads

        return getattr(heads, self.head_class)(encoder, self.head_outputs or labels)

    def empty_outputs(self, features: Any, width: int) -> np.ndarray:
        """Where raw outputs go, `width` numbers per row or token."""
        size = len(features.arrays["ids"]) if self.per_token else len(features)
        return np.zeros((size, width), np.float32)

    def row_outputs(self, logits: Any, lengths: np.ndarray) -> Sequence[np.ndarray]:
        """What is kept of a batch's logits, row by row."""
        return logits.cpu().numpy()

    # ----- gold and predictions, one per item; lists are stored as JSON -----
    def gold(self, rows: Rows, names: Names) -> list:
        """The right answer of each item: here the label's name."""
        return _named(names, rows["label"])

    def predictions(
        self, rows: Rows, features: Any, outputs: np.ndarray, names: Names, nearest: Nearest
    ) -> list:
        """The model's answer for each item: here the name of the likeliest label."""
        return _named(names, outputs.reshape(len(rows["label"]), -1).argmax(1))

    def alternatives(self, row: Task, rows: Rows) -> int:
        """Equally likely answers of an item; 0 where chance is what `guesses` scores."""
        return 0

    def guesses(self, row: Task, rows: Rows, gold: list, draw: random.Random) -> list:
        """Predictions of someone who has seen no input: here the commonest answer."""
        return Counter(gold).most_common(1)[0][:1] * len(gold)


def of(name: str) -> Format:
    """The format of this name: that of the module with the same name."""
    module = f"{__package__}.{name}"
    known = name.isidentifier() and find_spec(module)
    form = getattr(import_module(module), "FORMAT", None) if known else None
    if form is None:
        raise ValueError(f"unknown format {name!r}: formats/{name}.py would have to define FORMAT")
    return form


def check(row: Task) -> None:
    """Refuses a registry row that does not fit its format: a ValueError in a plain sentence."""
    of(row.format).check(row)


def hashed(*parts: Any) -> int:
    """A number from a hash of plain data, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")


def tokens_in(text: str) -> float:
    """Estimated tokens of a text."""
    return len(text.encode()) / BYTES_PER_TOKEN


def _named(names: Names, numbers: Sequence[int]) -> list[str]:
    """Labels as predictions are stored: their names, or their numbers where they have none."""
    return [names[number] if len(names) else str(number) for number in numbers]


def encoded(tokenizer: Any, first: list, second: list = (), **options: Any) -> Arrays:
    """Flat arrays of texts, each with its second text where it has one, truncated at the end."""
    pairs = zip(first, second or [None] * len(first), strict=True)
    texts = [text if other is None else (text, other) for text, other in pairs]
    return flat(tokenizer(texts, truncation=True, return_attention_mask=False, **options))


def flat(coded: Any) -> Arrays:
    """A tokenizer's rows end to end; `example` says which example each row belongs to."""
    rows = coded["input_ids"]
    example = coded.get("overflow_to_sample_mapping", range(len(rows)))
    arrays = {
        "ids": np.fromiter(chain.from_iterable(rows), np.int32),
        "starts": starts([len(row) for row in rows]),
        "example": np.asarray(example, np.int32),
    }
    if "token_type_ids" in coded:
        arrays["types"] = np.fromiter(chain.from_iterable(coded["token_type_ids"]), np.uint8)
    return arrays


def starts(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Where rows of these lengths begin when they stand end to end, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
