"""Rows and features of one study's source, as job notebooks ask for them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from xfer_utils import codehash, features, paths
from xfer_utils.features import Features
from xfer_utils.sources.catalogue import open_source
from xfer_utils.tasks import task


class Data:
    """A source and a tokenizer: canonical rows, and their features from the shared cache."""

    def __init__(self, source: str, world: dict, splits: dict, tokenizer: Any) -> None:
        self.source = open_source(source, world=world, data_dir=paths.outputs() / "data", splits=splits)
        self.tokenizer = tokenizer
        self.cache = paths.outputs() / "cache" / "features"
        text = tokenizer.backend_tokenizer.to_str()
        self._version = [
            hashlib.sha256(text.encode()).hexdigest(),
            codehash.of_package("xfer_utils.features"),
            codehash.of_package("xfer_utils.sources.schema"),
        ]

    def rows(self, name: str, role: str, language: str = "en", most: int = 0) -> Dataset:
        """Canonical rows; with `most`, that many of them at equal distances, the same ones in every translation."""
        rows = self.source.read(name, role, language)
        return rows.select(spread(len(rows), most)) if most and len(rows) > most else rows

    def features(
        self, name: str, role: str, language: str = "en", *, max_length: int, doc_stride: int = 128, most: int = 0
    ) -> Features:  # fmt: skip
        """Features of some rows, made once for all runs that ask for the same."""
        revisions = self.source.revision(name)
        key = [
            *self._version,
            self.source.spec,
            revisions,
            name,
            role,
            language,
            max_length,
            doc_stride,
            most,
        ]
        key.append(self.source.splits(name, role))
        return features.cached(
            self.cache,
            json.dumps(key),
            lambda: features.of_examples(
                task(name).format,
                self.rows(name, role, language, most),
                self.tokenizer,
                max_length,
                doc_stride,
            ),
        )

    def labels(self, name: str) -> int:
        """How many labels a task has (0 where its format needs no number)."""
        return len(self.source.label_names(name)) if task(name).format in ("sequence", "token") else 0

    def split_name(self, name: str, role: str) -> str:
        """The split as its data set calls it, for the tables."""
        return "+".join(self.source.splits(name, role))


def spread(available: int, wanted: int) -> np.ndarray:
    """`wanted` places at equal distances among the available ones."""
    return np.linspace(0, available - 1, wanted).round().astype(int)


def run_folder(run_dir: str) -> Path:
    """A run's folder, made where it is not there yet."""
    folder = paths.resolve(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
