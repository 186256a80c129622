"""Source `hub`: the public data sets through the hub's client; the registry says which."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pyarrow.compute as pc
from datasets import Dataset, load_dataset
from huggingface_hub import get_cached_repo_tree, snapshot_download

from xfer_utils.sources import client_errors, raw
from xfer_utils.sources.base import Source, Splits, digest
from xfer_utils.sources.folder import ENTITIES, FolderSource
from xfer_utils.sources.raw import Batches, HubUnreachable, MissingData, Raw
from xfer_utils.study.tasks import Place, Task, registry, task, text_on_hub, training_parts

PROSE = {"licence", "note", "rows", "megabytes"}
ERRORS = {"full": OSError, "incomplete": HubUnreachable, "unreachable": HubUnreachable}


class HubSource(Source):
    """Data sets on the hub, cached by its client; licensed ones come from the folder `local`."""

    def __init__(self, splits: Splits | None = None, local: Path = Path("data")):
        super().__init__("hub", splits)
        self._local = FolderSource(local, "hub", splits)

    def tables(self, row: Task, split: str, language: str) -> dict[str, Raw]:
        if row.hub is None:
            return self._local.tables(row, split, language)
        if not self.holds(row, split, language):
            known = ", ".join(code for code in self.candidates(row) if self.holds(row, split, code))
            problem = f"the hub has no {split} data for {language!r}, but for {known}"
            raise MissingData(f"{row.title} ({row.name}): {problem}")
        entry = row.hub_for(language)
        place = entry.place(split, language)
        stored = "test" if language == ENTITIES else entry.splits.get(split, split)
        rows, origin = _loaded(entry.id, place, stored)
        table = rows.data.table
        if entry.prefix_column:
            prefix = f"{entry.names[language]}-"
            table = table.filter(pc.starts_with(table[entry.prefix_column], prefix))

        def read(columns: list[str]) -> Batches:
            return raw.numbered(table.select(columns).to_batches(max_chunksize=raw.BATCH))

        where = f"{entry.id} ({place.config or place.data_dir}, {split})"
        notes = [note for note in (entry.note, origin) if note]
        names = raw.class_names(rows.features)
        return {"rows": Raw(where, rows.column_names, read, "row", names, notes)}

    def holds(self, row: Task, split: str, language: str) -> bool:
        """Whether the registry says that the hub has it: nothing is asked of the hub."""
        if row.hub is None:
            return self._local.holds(row, split, language)
        entry = row.hub_for(language)
        known = [*self.candidates(row), *({ENTITIES} & set(entry.configs))]
        return language in known and language not in entry.absent.get(split, ())

    def candidates(self, row: Task) -> list[str]:
        return sorted({*row.languages, *row.xtreme_r_languages})

    def revision(self, name: str) -> str:
        """A hash of the registry's hub entries: ids, configurations and revisions."""
        rows = [task(part) for part in training_parts(name)]
        if any(row.hub is None for row in rows):
            return self._local.revision(name)
        entries = [hub for row in rows for hub in (row.hub, row.hub_xtreme_r)]
        return digest([hub and hub.model_dump(exclude=PROSE) for hub in entries])

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
        """Every language of the benchmarks and of what they train on: each has a Wikipedia."""
        rows = [row for row in registry().values() if row.role != "low_resource"]
        return sorted({code for row in rows for code in self.candidates(row)})

    def text_revision(self) -> str:
        return digest(text_on_hub().model_dump(exclude=PROSE))


@cache
def _loaded(repository: str, place: Place, split: str) -> tuple[Dataset, str]:
    """A split, and a note of where it came from."""
    with _explained(repository, f"{place.config or place.data_dir}, {split}"):
        if place.data_dir:
            return _converted(repository, place, split)
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
    for pattern in patterns:
        if names := sorted(file.path for file in tree if fnmatch(file.path, pattern)):
            files = [str(folder / name) for name in names]
            rows = load_dataset("parquet", data_files={split: files}, split=split)
            return rows, f"commit {folder.name}, {pattern}"
    raise FileNotFoundError(f"no files {patterns[0]} at revision {place.revision}")


@contextmanager
def _explained(repository: str, part: str) -> Iterator[None]:
    """Turns what the clients raise into one sentence that says what to do."""
    try:
        yield
    except Exception as error:
        message = client_errors.sentence(f"{repository} ({part})", error, client_errors.DATA)
        raise ERRORS.get(client_errors.kind(error), MissingData)(message) from error
