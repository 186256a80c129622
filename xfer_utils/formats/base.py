"""What a format of task decides. Each is one file beside this one; a new format is a new file."""

import importlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np

from xfer_utils.formats.columns import SHARED, Batch, Conversion, normal
from xfer_utils.study.tasks import Task

TEXT = datasets.Value("string")
TEXTS = datasets.List(TEXT)
NUMBER = datasets.Value("int32")
# Bytes of UTF-8 per token: 4.4 to 4.9 for English in XLM-R's vocabulary and in the toy world's.
BYTES_PER_TOKEN = 4.7
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
    """Defaults of a format: one text row per example, one label per row, one pooled vector per row.

    Its module binds an instance to FORMAT. Modules import no torch, so that plans are quick:
    heads are imported when a model is built.
    """

    VERSION = 1  # raised by hand when the same rows give other results
    columns: Mapping[str, Any] = {}  # canonical columns besides id, item and cluster
    required: tuple[str, ...] = ()  # what `columns:` in the registry must name
    optional: tuple[str, ...] = ()
    rows_together = False  # whether the rows of an example are trained on in one batch
    per_token = False  # whether raw outputs are kept per token, else per row
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
        required, optional = self.column_names(row)
        known = dict.fromkeys((*required, *optional, *SHARED))
        for columns in () if row.parts else (row.columns, *row.variants):
            absent = [name for name in required if name not in columns]
            unknown = [name for name in columns if name not in known]
            if absent:
                raise ValueError(f"format {row.format} needs the column {', '.join(absent)}")
            if unknown:
                problem = f"format {row.format} knows no column {', '.join(unknown)}"
                raise ValueError(f"{problem}; it has {', '.join(known)}")

    def column_names(self, row: Task) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Our names of the columns that a registry row must name, and of those that it may."""
        return self.required, self.optional

    def convert(self, batch: Batch, table: Conversion) -> Batch:
        """Stored columns as canonical ones."""
        raise NotImplementedError

    # ----- what is known of a canonical row without a model -----
    def texts(self, row: Mapping[str, Any]) -> list[str]:
        """The texts of a row."""
        raise NotImplementedError

    def marks(self, row: Mapping[str, Any]) -> Marks:
        """What this row is recognised by where it stands in another data set."""
        return Marks({"\t".join(map(normal, self.texts(row)))})

    def estimated_tokens(self, row: Mapping[str, Any], longest: int) -> float:
        """Tokens that the model reads of a row, estimated from its texts before any tokenizer."""
        return min(SPECIAL_TOKENS + sum(map(tokens_in, self.texts(row))), longest)

    # ----- token ids and batches -----
    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        """Flat arrays of some rows: ids, starts, example, and what training and scoring need."""
        raise NotImplementedError

    def units(self, arrays: Arrays) -> np.ndarray:
        """First row of each training unit, and the end."""
        if not self.rows_together:
            return np.arange(len(arrays["starts"]))
        changes = np.flatnonzero(np.diff(arrays["example"], prepend=-1))
        return np.r_[changes, len(arrays["example"])]

    def targets(self, features: Any, rows: np.ndarray, units: list[int], masking: Any) -> Arrays:
        """`labels` of some units; where they are per token, `wanted`: a mask of the rows' tokens.

        `ids` replace the rows' token ids. `masking` says how masked LM hides tokens.
        """
        return {"labels": features.arrays["target"][rows]}

    # ----- models -----
    def head(self, encoder: Any, labels: int) -> Any:
        """A new head, with the methods that heads.Tagger has."""
        from xfer_utils.formats import heads

        return getattr(heads, self.head_class)(encoder.config, self.head_outputs or labels)

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
        return [label_name(names, number) for number in rows["label"]]

    def predictions(
        self, rows: Rows, features: Any, outputs: np.ndarray, names: Names, nearest: Nearest
    ) -> list:
        """The model's answer for each item."""
        raise NotImplementedError

    def alternatives(self, row: Task, rows: Rows) -> int:
        """Equally likely answers of an item; 0 where chance is what `guesses` scores."""
        return 0

    def guesses(self, row: Task, rows: Rows, gold: list, draw: random.Random) -> list:
        """Predictions of someone who has seen no input."""
        raise NotImplementedError


def of(name: str) -> Format:
    """The format of this name: that of the module with the same name."""
    module = f"{__package__}.{name}"
    try:
        return importlib.import_module(module).FORMAT
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name != module:
            raise
        raise ValueError(
            f"unknown format {name!r}: formats/{name}.py would have to define FORMAT"
        ) from error


def check(row: Task) -> None:
    """Refuses a registry row that does not fit its format: a ValueError in a plain sentence."""
    of(row.format).check(row)


def tokens_in(text: str) -> float:
    """Estimated tokens of a text."""
    return len(text.encode()) / BYTES_PER_TOKEN


def label_name(names: Names, number: int) -> str:
    """A label as predictions are stored: its name, or its number where it has none."""
    return names[number] if len(names) else str(number)


def encoded(
    tokenizer: Any, *texts: Any, max_length: int, example: Iterable[int] | None = None
) -> Arrays:
    """Flat arrays of what the tokenizer makes of texts, or pairs of texts, cut at the end."""
    coded = tokenizer(*texts, truncation=True, max_length=max_length, return_attention_mask=False)
    return flat(coded, example)


def flat(coded: Any, example: Iterable[int] | None = None) -> Arrays:
    """A tokenizer's rows end to end; `example` says which example each row belongs to."""
    rows = coded["input_ids"]
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    arrays = {
        "ids": _end_to_end(rows, np.int32, int(lengths.sum())),
        "starts": np.r_[np.int64(0), np.cumsum(lengths)],
        "example": np.asarray(range(len(rows)) if example is None else list(example), np.int32),
    }
    if "token_type_ids" in coded:
        arrays["types"] = _end_to_end(coded["token_type_ids"], np.uint8, len(arrays["ids"]))
    return arrays


def _end_to_end(rows: list[list[int]], kind: type, size: int) -> np.ndarray:
    return np.fromiter((number for row in rows for number in row), kind, size)
