"""Rows and features of one study's source, as job notebooks ask for them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from datasets import Dataset

from xfer_utils.formats import features
from xfer_utils.formats.features import Features
from xfer_utils.runs import codehash
from xfer_utils.sources import leaks
from xfer_utils.sources.catalogue import open_source
from xfer_utils.sources.raw import MissingData
from xfer_utils.study import paths
from xfer_utils.study.tasks import task, training_parts

# What the registry says about reading a data set; the rest of a row does not change canonical rows.
READING = {"format", "columns", "variants", "labels", "choices", "questions", "layout", "aligned"}

# Taken as this module is imported: a process goes on with the code that it began with, whatever is edited meanwhile.
ROWS_VERSION = [
    codehash.of_package(name) for name in ("xfer_utils.sources", "xfer_utils.sources.data")
]
FEATURES_VERSION = codehash.of_package("xfer_utils.formats.features")


class Data:
    """A source and a tokenizer: canonical rows, and their features, both from the shared cache.

    `held_out` maps targets to the roles that the study evaluates: clean rows share no item, paragraph or original
    with them. `spare` training rows are set aside for choosing a checkpoint where a task's own dev set is evaluated.
    """

    def __init__(
        self, source: str, world: dict, splits: dict, tokenizer: Any, held_out: dict[str, list[str]] | None = None,
        spare: int = 0,
    ) -> None:  # fmt: skip
        self.source = open_source(
            source, world=world, data_dir=paths.outputs() / "data", splits=splits
        )
        self.tokenizer, self.held_out, self.spare = tokenizer, held_out or {}, spare
        self.cache = paths.outputs() / "cache"
        self._readings: list[dict] = []
        self._features_version = [FEATURES_VERSION, _short(_content(tokenizer))]

    def rows(
        self, name: str, role: str, language: str = "en", most: int = 0, clean: bool = False
    ) -> Dataset:
        """Canonical rows; with `most`, that many at equal distances: in row-aligned translations the same items.

        Clean rows are for training and for choosing a checkpoint; the others are for evaluation.
        """
        path = self._rows_file(name, role, language, most, clean)
        if not path.exists():
            rows, readings = self._clean(name, role) if clean else self._read(name, role, language)
            if most and len(rows) > most:
                rows = rows.select(spread(len(rows), most))
            table = rows.with_format("arrow")[:].replace_schema_metadata(
                {"readings": json.dumps(readings)}
            )
            with paths.replacing(path) as temporary:
                pq.write_table(table, temporary)
        self._note(path)
        return Dataset(pq.read_table(path).replace_schema_metadata(None))

    def _read(self, name: str, role: str, language: str) -> tuple[Dataset, list[dict]]:
        """Rows as they are, and how their tables were read."""
        return self.source.read(name, role, language), self._readings_of(name, role, language)

    def _clean(self, name: str, role: str) -> tuple[Dataset, list[dict]]:
        """Rows for training (`train`) or for choosing (`dev`), and how many were dropped for being evaluated.

        Where a task's dev set is evaluated, some training rows are kept apart for choosing: the last ones of
        tasks on paragraphs, so that few paragraphs are in both parts, else rows at equal distances.
        """
        own_dev_is_evaluated = self.spare > 0 and self._dev_is_evaluated(name)
        read = "train" if own_dev_is_evaluated else role
        kept, dropped = leaks.clean_rows(self.source, name, read, self.held_out)
        if own_dev_is_evaluated:
            spare = min(self.spare, len(kept) // 2)
            last = np.arange(len(kept) - spare, len(kept))
            apart = last if task(name).format == "span" else spread(len(kept), spare)
            kept = kept.select(
                np.setdiff1d(np.arange(len(kept)), apart) if role == "train" else apart
            )
        readings = self._readings_of(name, read, "en")
        return kept, [{**reading, "dropped_as_evaluated": dropped} for reading in readings]

    def _dev_is_evaluated(self, name: str) -> bool:
        """Whether a task's own dev set is evaluated, or a target's that is its translation: COPA's by XCOPA's.

        Without English, such a target shares nothing with the original by which its rows could be found and dropped.
        """
        chosen = [target for target, roles in self.held_out.items() if "dev" in roles]
        translated = [target for target in chosen if not self.source.has(target, "dev", "en")]
        return name in chosen or any(task(target).train_on == name for target in translated)

    def _readings_of(self, name: str, role: str, language: str) -> list[dict]:
        parts = training_parts(name)
        found = [row for row in self.source.report() if row["task"] in parts]
        return [row for row in found if (row["role"], row["language"]) == (role, language)]

    def _note(self, path: Path) -> None:
        """Keeps for the report how some rows were read, whether by this run or an earlier one."""
        self._readings += json.loads(pq.read_schema(path).metadata[b"readings"])

    def report(self) -> list[dict]:
        """How each table was read, now or when it entered the cache: rows found and expected, rows dropped and why."""
        unique = {json.dumps(reading, sort_keys=True): reading for reading in self._readings}
        return list(unique.values())

    def features(
        self, name: str, role: str, language: str = "en", *, max_length: int, doc_stride: int = 128, most: int = 0,
        clean: bool = False,
    ) -> Features:  # fmt: skip
        """Features of some rows, made once for all runs that ask for the same."""
        if max_length > self.tokenizer.model_max_length:
            raise ValueError(
                f"max_length {max_length} is more than this model reads: {self.tokenizer.model_max_length} tokens."
            )
        key = [
            *self._key(name, role, language, most, clean),
            *self._features_version,
            max_length,
            doc_stride,
        ]

        def make() -> Features:
            rows = self.rows(name, role, language, most, clean)
            if not len(rows):
                raise MissingData(self._nothing_left(name, role, language))
            return features.of_examples(
                task(name).format, rows, self.tokenizer, max_length, doc_stride
            )

        found = features.cached(self.cache / "features" / f"{_short(key)}.safetensors", make)
        if (path := self._rows_file(name, role, language, most, clean)).exists():
            self._note(path)
        return found

    def _nothing_left(self, name: str, role: str, language: str) -> str:
        dropped = max(
            (reading.get("dropped_as_evaluated", 0) for reading in self._readings), default=0
        )
        message = f"no {role} rows of {name} ({language}) are left in {self.source.spec}"
        why = f": {dropped} were dropped because the study evaluates them. Evaluate its targets on another split"
        return f"{message}{why if dropped else ''}."

    def _rows_file(self, name: str, role: str, language: str, most: int, clean: bool) -> Path:
        return (
            self.cache / "rows" / f"{_short(self._key(name, role, language, most, clean))}.parquet"
        )

    def _key(self, name: str, role: str, language: str, most: int, clean: bool) -> list:
        """What canonical rows depend on: the content of the files, the way they are read, and which are taken."""
        parts = [self._stored(part, role) for part in training_parts(name)]
        kept_out = (
            [
                self.spare,
                [self._stored(t, role) for t, roles in self.held_out.items() for role in roles],
            ]
            if clean
            else []
        )
        return [
            ROWS_VERSION,
            self.source.label_names(name),
            parts,
            name,
            role,
            language,
            most,
            kept_out,
        ]

    def _stored(self, name: str, role: str) -> list:
        """A data set's content and splits, and what the registry says about reading it."""
        row = task(name).model_dump(mode="json", include=READING)
        return [name, role, self.source.revision(name), self.source.splits(name, role), row]

    def labels(self, name: str) -> int:
        """How many labels a task has (0 where its format needs no number)."""
        return (
            len(self.source.label_names(name)) if task(name).format in ("sequence", "token") else 0
        )

    def split_name(self, name: str, role: str) -> str:
        """The split as its data set calls it, for the tables."""
        return "+".join(self.source.splits(name, role))


def spread(available: int, wanted: int) -> np.ndarray:
    """`wanted` places at equal distances among the available ones."""
    return np.linspace(0, available - 1, wanted).round().astype(int)


def _content(tokenizer: Any) -> list:
    """What a tokenizer does to a text; where its last call cut or padded is stored with it, but no part of that."""
    stored = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = [
        [key, value]
        for key, value in sorted(stored.items())
        if key not in ("truncation", "padding")
    ]
    return [*kept, tokenizer.model_input_names, tokenizer.truncation_side]


def _short(key: list) -> str:
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]


def run_folder(run_dir: str) -> Path:
    """A run's folder, made where it is not there yet."""
    folder = paths.resolve(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
