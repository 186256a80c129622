"""Rows and features of one study's source, as job notebooks ask for them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from datasets import Dataset

from xfer_utils import codehash, features, paths
from xfer_utils.features import Features
from xfer_utils.sources import leaks
from xfer_utils.sources.catalogue import open_source
from xfer_utils.tasks import task, training_parts


class Data:
    """A source and a tokenizer: canonical rows, and their features, both from the shared cache.

    `held_out` maps targets to the role that the study evaluates: clean rows share no item, paragraph or original
    with them. `spare` training rows are set aside for choosing a checkpoint where a task's own dev set is evaluated.
    """

    def __init__(
        self, source: str, world: dict, splits: dict, tokenizer: Any, held_out: dict[str, str] | None = None,
        spare: int = 0,
    ) -> None:  # fmt: skip
        self.source = open_source(source, world=world, data_dir=paths.outputs() / "data", splits=splits)
        self.tokenizer, self.held_out, self.spare = tokenizer, held_out or {}, spare
        self.cache = paths.outputs() / "cache"
        self._readings: list[dict] = []
        self._rows_version = codehash.of_package("xfer_utils.sources")
        text = tokenizer.backend_tokenizer.to_str()
        self._features_version = [
            hashlib.sha256(text.encode()).hexdigest(),
            codehash.of_package("xfer_utils.features"),
        ]

    def rows(self, name: str, role: str, language: str = "en", most: int = 0, clean: bool = False) -> Dataset:
        """Canonical rows; with `most`, that many of them at equal distances, the same ones in every translation.

        Clean rows are for training and for choosing a checkpoint; the others are for evaluation.
        """
        path = self.cache / "rows" / f"{_short(self._key(name, role, language, most, clean))}.parquet"
        if not path.exists():
            rows, notes = self._clean(name, role) if clean else (self.source.read(name, role, language), {})
            if most and len(rows) > most:
                rows = rows.select(spread(len(rows), most))
            readings = [row for row in self.source.report() if (row["role"], row["language"]) == (role, language)]
            readings = [{**row, **notes} for row in readings]
            table = rows.with_format("arrow")[:].replace_schema_metadata({"readings": json.dumps(readings)})
            with paths.replacing(path) as temporary:
                pq.write_table(table, temporary)
        table = pq.read_table(path)
        self._readings += json.loads(table.schema.metadata[b"readings"])
        return Dataset(table.replace_schema_metadata(None))

    def _clean(self, name: str, role: str) -> tuple[Dataset, dict]:
        """Rows for training (`train`) or for choosing (`dev`), and how many were dropped for being evaluated."""
        own_dev_is_evaluated = self.spare > 0 and self.held_out.get(name) == "dev"
        kept, dropped = leaks.clean_rows(self.source, name, "train" if own_dev_is_evaluated else role, self.held_out)
        if own_dev_is_evaluated:
            cut = max(len(kept) - self.spare, 0)
            kept = kept.select(range(cut) if role == "train" else range(cut, len(kept)))
        return kept, {"dropped_as_evaluated": dropped}

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
        key = [*self._key(name, role, language, most, clean), *self._features_version, max_length, doc_stride]
        return features.cached(
            self.cache / "features" / f"{_short(key)}.safetensors",
            lambda: features.of_examples(
                task(name).format, self.rows(name, role, language, most, clean), self.tokenizer, max_length, doc_stride
            ),
        )

    def _key(self, name: str, role: str, language: str, most: int, clean: bool) -> list:
        """What canonical rows depend on: the content of the files, the way they are read, and which are taken."""
        revisions = [self.source.revision(part) for part in training_parts(name)]
        splits = [self.source.splits(part, role) for part in training_parts(name)]
        labels = self.source.label_names(name)
        kept_out = [self.held_out, self.spare] if clean else []
        return [self._rows_version, revisions, splits, labels, name, role, language, most, kept_out]

    def labels(self, name: str) -> int:
        """How many labels a task has (0 where its format needs no number)."""
        return len(self.source.label_names(name)) if task(name).format in ("sequence", "token") else 0

    def split_name(self, name: str, role: str) -> str:
        """The split as its data set calls it, for the tables."""
        return "+".join(self.source.splits(name, role))


def spread(available: int, wanted: int) -> np.ndarray:
    """`wanted` places at equal distances among the available ones."""
    return np.linspace(0, available - 1, wanted).round().astype(int)


def _short(key: list) -> str:
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]


def run_folder(run_dir: str) -> Path:
    """A run's folder, made where it is not there yet."""
    folder = paths.resolve(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
