"""Source `hub`: the public data sets through the hub's client; the registry says which."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from datasets import Dataset, load_dataset
from huggingface_hub import get_cached_repo_tree, snapshot_download

from xfer_utils.sources import client_errors
from xfer_utils.sources.base import Source, Splits, digest
from xfer_utils.sources.folder import ENTITIES, FolderSource
from xfer_utils.sources.raw import (
    BATCH,
    Batch,
    HubUnreachable,
    MissingData,
    Raw,
    class_names,
    numbered,
)
from xfer_utils.study.tasks import Hub, Place, Task, registry, task, text_on_hub, training_parts

PROSE = {"licence", "note", "rows", "megabytes"}


class HubSource(Source):
    """Data sets on the hub, cached by its client; licensed ones come from the folder `local`."""

    def __init__(self, splits: Splits | None = None, local: Path | None = None):
        super().__init__("hub", splits)
        self._local = FolderSource(local or Path("data"), "hub", splits)
        self._loaded: dict[tuple, tuple[Dataset, str]] = {}

    def tables(self, row: Task, split: str, language: str) -> dict[str, Raw]:
        """The data set of one split, downloaded where the cache does not have it."""
        if row.hub is None:
            return self._local.tables(row, split, language)
        if not self.holds(row, split, language):
            known = ", ".join(code for code in self.candidates(row) if self.holds(row, split, code))
            raise MissingData(
                f"{row.title} ({row.name}): the hub has no {split} data for {language!r}, "
                f"but for {known or 'none'}"
            )
        entry = row.hub_for(language)
        place = entry.place(split, language)
        rows, origin = self._load(entry, split, language)
        table = _table(rows, f"{entry.id} ({place.config or place.data_dir}, {split})")
        if entry.prefix_column:
            table = _with_prefix(table, entry.prefix_column, f"{entry.names[language]}-")
        table.notes = [note for note in (entry.note, origin) if note]
        return {"rows": table}

    def holds(self, row: Task, split: str, language: str) -> bool:
        """Whether the registry says that the hub has it: nothing is asked of the hub."""
        if row.hub is None:
            return self._local.holds(row, split, language)
        entry = row.hub_for(language)
        known = [*self.candidates(row), *({ENTITIES} & set(entry.configs))]
        return language in known and language not in entry.absent.get(split, ())

    def candidates(self, row: Task) -> list[str]:
        """The languages of the registry's row."""
        return sorted({*row.languages, *row.xtreme_r_languages})

    def aligned_rows(self, row: Task, split: str, language: str) -> int | None:
        """The rows of the English table; where there is none, those of the official release."""
        if "en" not in row.languages:
            return row.hub_for(language).expected(split, language)
        return self._load(row.hub, split, "en")[0].num_rows if language != "en" else None

    def revision(self, name: str) -> str:
        """A hash of the registry's hub entries: ids, configurations and revisions."""
        rows = [task(part) for part in training_parts(name)]
        if any(row.hub is None for row in rows):
            return self._local.revision(name)
        return digest([_entry(hub) for row in rows for hub in (row.hub, row.hub_xtreme_r)])

    def text(self, language: str) -> Iterator[str]:
        """Paragraphs of Wikipedia, streamed: nothing is downloaded beyond what is read."""
        entry = text_on_hub()
        place = entry.place("train", language)
        stream = {"revision": place.revision, "split": "train", "streaming": True}
        with _explained(entry.id, place.config):
            for page in load_dataset(entry.id, place.config, **stream):
                paragraphs = page[entry.columns["text"]].splitlines()
                yield from filter(None, map(str.strip, paragraphs))

    def text_languages(self) -> list[str]:
        """Every language of the registry: each has a Wikipedia."""
        return sorted({code for row in registry().values() for code in self.candidates(row)})

    def text_revision(self) -> str:
        """A hash of the registry's entry for text."""
        return digest(_entry(text_on_hub()))

    def _load(self, entry: Hub, split: str, language: str) -> tuple[Dataset, str]:
        """A split, and a note of where it came from."""
        place = entry.place(split, language)
        stored = "test" if language == ENTITIES else entry.splits.get(split, split)
        key = (entry.id, place, stored)
        if key not in self._loaded:
            load = _converted if place.data_dir else _configured
            with _explained(entry.id, f"{place.config or place.data_dir}, {stored}"):
                self._loaded[key] = load(entry.id, place, stored)
        return self._loaded[key]


def _configured(repository: str, place: Place, split: str) -> tuple[Dataset, str]:
    rows = load_dataset(repository, place.config, revision=place.revision, split=split)
    # The client names the folder of its prepared files by the commit.
    files = " ".join(str(file["filename"]) for file in rows.cache_files)
    commit = re.search(r"\b[0-9a-f]{40}\b", files)
    return rows, f"commit {commit[0]}" if commit else ""


def _converted(repository: str, place: Place, split: str) -> tuple[Dataset, str]:
    """A split from the branch of converted files: folder = configuration, subfolder = split.

    Files are fetched by name: given a folder, the client would not find them in its cache offline.
    Of a very large split the hub converts the beginning alone, in the subfolder `partial-NAME`.
    """
    patterns = [f"{place.data_dir}/{prefix}{split}/*.parquet" for prefix in ("", "partial-")]
    where = {"repo_type": "dataset", "revision": place.revision}
    folder = Path(snapshot_download(repository, allow_patterns=patterns, **where))
    # Only the commit's list of files tells a cache that lacks some of them from a whole one.
    tree = get_cached_repo_tree(repository, repo_type="dataset", revision=folder.name)
    paths = sorted(file.path for file in tree)
    whole, beginning = (
        [str(folder / path) for path in paths if fnmatch(path, pattern)] for pattern in patterns
    )
    if not whole and not beginning:
        raise FileNotFoundError(f"no files {patterns[0]} at revision {place.revision}")
    partial = "" if whole else f"; partial-{split}: the beginning of the split alone"
    rows = load_dataset("parquet", data_files={split: whole or beginning}, split=split)
    return rows, f"commit {folder.name}{partial}"


@contextmanager
def _explained(repository: str, part: str) -> Iterator[None]:
    """Turns what the clients raise into one sentence that says what to do."""
    try:
        yield
    except Exception as error:
        problem = client_errors.kind(error)
        expected = isinstance(error, ValueError | RuntimeError | FileNotFoundError)
        if problem == "other" and not expected:
            raise
        message = client_errors.sentence(f"{repository} ({part})", error, client_errors.DATA)
        if problem == "full":
            raise OSError(errno.ENOSPC, message) from error
        again = problem in ("incomplete", "unreachable")
        raise (HubUnreachable if again else MissingData)(message) from error


def _entry(hub: Hub | None) -> dict | None:
    return hub and hub.model_dump(exclude=PROSE)


def _table(rows: Dataset, where: str) -> Raw:
    def read(columns: list[str]) -> Iterator[tuple[Batch, list[int]]]:
        return numbered(rows.data.table.select(columns).to_batches(max_chunksize=BATCH))

    return Raw(where, rows.column_names, read, "row", class_names(rows.features.to_dict()))


def _with_prefix(table: Raw, column: str, prefix: str) -> Raw:
    """The rows whose `column` begins with `prefix`."""

    def read(columns: list[str]) -> Iterator[tuple[Batch, list[int]]]:
        for batch, numbers in table.read(list(dict.fromkeys([*columns, column]))):
            chosen = [n for n, value in enumerate(batch[column]) if value.startswith(prefix)]
            rows = {name: [batch[name][n] for n in chosen] for name in columns}
            yield rows, [numbers[n] for n in chosen]

    return Raw(f"{table.where}, {prefix}*", table.columns, read, table.unit, table.class_names)
