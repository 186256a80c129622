"""Rows and features of one study's source, as job notebooks ask for them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from datasets import Dataset, concatenate_datasets

from xfer_utils.formats import features
from xfer_utils.formats.features import Features
from xfer_utils.sources import base, leaks, transforms
from xfer_utils.sources.catalogue import open_source
from xfer_utils.sources.raw import MissingData
from xfer_utils.study import kept, paths
from xfer_utils.study.sections import Mixture
from xfer_utils.study.tasks import task, training_parts


class Data:
    """A source and a tokenizer: canonical rows, and their features, both from the shared cache.

    `held_out` maps targets to the roles that the study evaluates: clean rows share no item,
    paragraph or original with them. `spare` training rows are set aside for choosing a checkpoint
    where a task's own dev set is evaluated. `mixture` and `seed` say what becomes of the rows of
    the mixture's tasks.
    """

    def __init__(
        self, source: str, world: dict, splits: dict, tokenizer: Any,
        held_out: dict[str, str | list[str]] | None = None, spare: int = 0,
        mixture: Mixture | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        folder = paths.outputs() / "data"
        self.source = open_source(source, world=world, data_dir=folder, splits=splits)
        self.tokenizer, self.held_out, self.spare = tokenizer, held_out or {}, spare
        self.mixture, self.seed = mixture or Mixture(), seed
        self.cache = paths.outputs() / "cache"
        self._readings: dict[Path, list[dict]] = {}
        behaviour = json.loads(tokenizer.backend_tokenizer.to_str())
        del behaviour["truncation"], behaviour["padding"]  # how its last call cut and padded
        names, side = tokenizer.model_input_names, tokenizer.truncation_side
        self.tokenizer_mark = base.digest([behaviour, names, side])

    def rows(
        self, name: str, role: str, language: str = "en", most: int = 0, clean: bool = False
    ) -> Dataset:
        """Canonical rows, clean ones for training; at most `most`, the same of all translations."""
        path = self._stored(name, role, language, most, clean)
        return Dataset(pq.read_table(path).replace_schema_metadata(None))

    def _stored(self, name: str, role: str, language: str, most: int, clean: bool) -> Path:
        """The cached file of some rows; how their tables were read goes to the report."""
        parts, labels = training_parts(name), self.source.label_names(name)
        contents = [self._content(part, role) for part in parts]
        key = [base.VERSION, labels, contents, name, role, language, most]
        if clean:
            key += [leaks.VERSION, self.spare]
            key += [self._content(*held) for held in leaks.listed(self.held_out)]
        translations = self._translations(name) if clean and role == "train" else []
        if translations:
            read = [[code, self._content(part, role)] for part, code in translations]
            key += [read, self.mixture.languages, self.mixture.items, self.mixture.corrupted]
        transform = transforms.wanted(self.mixture, self.seed, name, role)
        key += [transform] if transform else []
        path = self.cache / "rows" / f"{base.digest(key)}.parquet"

        def make(file: Path) -> None:
            if clean:
                rows, read, dropped = self._clean(name, role)
            else:
                rows, read, dropped = self.source.read(name, role, language), role, 0
            if translations:
                rows = self._translated(name, rows, most)
            elif most and len(rows) > most:
                rows = rows.select(transforms.spread(len(rows), most))
            if transform:
                rows = transforms.applied(rows, leaks.format_of(name), len(labels), *transform)
            tables = {(part, read, language) for part in parts}
            tables |= {(part, read, code) for part, code in translations}
            readings = [
                row | {"dropped_as_evaluated": dropped} for row in self.source.report()
                if (row["task"], row["role"], row["language"]) in tables
            ]  # fmt: skip
            metadata = {"readings": json.dumps(readings)}
            pq.write_table(rows.with_format("arrow")[:].replace_schema_metadata(metadata), file)

        kept.cached(path, make)
        self._readings[path] = json.loads(pq.read_schema(path).metadata[b"readings"])
        return path

    def _clean(self, name: str, role: str) -> tuple[Dataset, str, int]:
        """Rows for training (`train`) or choosing (`dev`), their role, and how many were dropped.

        Where a task's dev set is evaluated, some training rows are kept apart for choosing: the
        last ones of tasks on paragraphs, so that few paragraphs are in both parts, else rows at
        equal distances.
        """
        own_dev_is_evaluated = self.spare > 0 and self._dev_is_evaluated(name)
        read = "train" if own_dev_is_evaluated else role
        rows, dropped = leaks.clean_rows(self.source, name, read, self.held_out)
        if own_dev_is_evaluated:
            places, spare = np.arange(len(rows)), min(self.spare, len(rows) // 2)
            from_end = leaks.format_of(name).spare_from_end
            apart = places[len(rows) - spare :] if from_end else transforms.spread(len(rows), spare)
            rows = rows.select(np.setdiff1d(places, apart) if role == "train" else apart)
        return rows, read, dropped

    def _translations(self, name: str) -> list[tuple[str, str]]:
        """The data sets that a task's rows in other languages come from, each with its language."""
        codes = self.mixture.languages if name in self.mixture.tasks else []
        entries = [(self.source.training_set(name, c), c) for c in codes if c != "en"]
        return [(part, code) for entry, code in entries for part in training_parts(entry)]

    def _translated(self, name: str, english: Dataset, most: int) -> Dataset:
        """Rows in the mixture's languages; an item that English must do without is in none."""
        clean, tables, mixture = set(english["item"]), {}, self.mixture
        for code in mixture.languages:
            rows = english
            if code != "en":
                entry = self.source.training_set(name, code)
                rows, _ = leaks.clean_rows(self.source, entry, "train", self.held_out, code)
                rows = rows.select([n for n, item in enumerate(rows["item"]) if item in clean])
            tables[code] = rows
        tables = transforms.shared_out(tables, most, mixture.items)
        for code in (tables.keys() - {"en"}) if mixture.corrupted else ():
            how = (leaks.format_of(name), mixture.corrupted, code)
            tables[code] = transforms.corrupted(tables[code], *how)
        return concatenate_datasets(list(tables.values()))

    def _dev_is_evaluated(self, name: str) -> bool:
        """Whether a task's own dev set is evaluated, or its translation: COPA's by XCOPA's.

        Without English, it shares nothing with the original by which rows could be dropped.
        """
        on_dev = [target for target, role in leaks.listed(self.held_out) if role == "dev"]
        translated = [target for target in on_dev if not self.source.has(target, "dev", "en")]
        return name in on_dev or any(task(target).train_on == name for target in translated)

    def report(self) -> list[dict]:
        """How each table was read, now or when it entered the cache."""
        readings = [reading for stored in self._readings.values() for reading in stored]
        return list({json.dumps(reading, sort_keys=True): reading for reading in readings}.values())

    def features(
        self, name: str, role: str, language: str = "en", *, max_length: int, doc_stride: int = 128,
        most: int = 0, clean: bool = False,
    ) -> Features:  # fmt: skip
        """Features of some rows, made once for all runs that ask for the same."""
        if max_length > (longest := self.tokenizer.model_max_length):
            raise ValueError(f"max_length {max_length} is more than this model reads: {longest}.")
        which = (name, role, language, most, clean)
        path = self._stored(*which)

        def make() -> Features:
            rows = self.rows(*which)
            if not len(rows):
                dropped = [row["dropped_as_evaluated"] for row in self._readings[path]]
                problem = f"no {role} rows of {name} ({language}) are left in {self.source.spec}"
                why = f"{max(dropped, default=0)} were dropped because the study evaluates them"
                raise MissingData(f"{problem}: {why}; evaluate its targets on another split")
            form, size = task(name).format, (max_length, doc_stride)
            return features.of_examples(form, rows, self.tokenizer, *size)

        mark = base.digest(path.stem, self.tokenizer_mark, max_length, doc_stride)
        return features.cached(self.cache / "features" / f"{mark}.safetensors", make)

    def _content(self, name: str, role: str) -> list:
        """A data set's content, its splits, and the registry's row, which says how it is read."""
        source, version = self.source, leaks.format_of(name).VERSION
        row = task(name).model_dump(mode="json")
        return [role, version, source.revision(name), source.splits(name, role), row]

    def labels(self, name: str) -> int:
        """How many labels a task has, for heads whose size depends on it."""
        return len(self.source.label_names(name))

    def split_name(self, name: str, role: str) -> str:
        """The split as its data set calls it, for the tables."""
        return "+".join(self.source.splits(name, role))
