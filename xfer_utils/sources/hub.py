"""Source `hub`: the public data sets, through the hub's own client. The registry says which, and where they differ."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, List, load_dataset
from huggingface_hub import get_cached_repo_tree, snapshot_download
from huggingface_hub.constants import HF_HUB_CACHE

from xfer_utils.sources import client_errors
from xfer_utils.sources.base import Splits, TableSource, digest
from xfer_utils.sources.folder import ENTITIES, FolderSource
from xfer_utils.sources.raw import BATCH, Batch, HubUnreachable, MissingData, Raw
from xfer_utils.study.tasks import Hub, Place, Task, registry, task, text_on_hub, training_parts

OFFLINE = (
    "cannot reach the hub for {name}: {error}. Without a connection use `source: folder:PATH`, or copy the cache of a "
    "machine that has one and set HF_HOME to it and HF_HUB_OFFLINE=1"
)
INCOMPLETE = (
    "the cache of {name} is not whole ({problem}): connect once to complete it, or copy the whole cache of a machine "
    "that has it and set HF_HOME to the copy"
)
PROSE = {"licence", "note", "rows", "megabytes"}


class HubSource(TableSource):
    """Data sets on the hub, cached by its client; licensed ones, which it does not have, come from `local`."""

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
            title = f"{row.title} ({row.name})"
            raise MissingData(
                f"{title}: the hub has no {split} data for {language!r}, but for {known or 'none'}"
            )
        entry = row.hub_for(language)
        place = entry.place(split, language)
        data, *notes = self._load(entry, split, language)
        raw = _table(data, f"{entry.id} ({place.config or place.data_dir}, {split})")
        if entry.prefix_column:
            raw = _only(raw, entry.prefix_column, f"{entry.names[language]}-")
        raw.notes = [note for note in (entry.note, *notes) if note]
        return {"rows": raw}

    def holds(self, row: Task, split: str, language: str) -> bool:
        """Whether the registry says that the hub has it: nothing is asked of the hub."""
        if row.hub is None:
            return self._local.holds(row, split, language)
        entry = row.hub_for(language)
        known = self.candidates(row) + ([ENTITIES] if ENTITIES in entry.configs else [])
        return language in known and language not in entry.absent.get(split, ())

    def candidates(self, row: Task) -> list[str]:
        """The languages of the registry's row."""
        return sorted({*row.languages, *row.xtreme_r_languages})

    def aligned_rows(self, row: Task, split: str, language: str) -> int | None:
        """The rows of the English table; where there is none, those of the official release."""
        if "en" in row.languages and language != "en":
            return self._load(row.hub, split, "en")[0].num_rows
        return None if "en" in row.languages else row.hub_for(language).expected(split, language)

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
        with _errors(entry.id, place.config):
            pages = load_dataset(
                entry.id, place.config, revision=place.revision, split="train", streaming=True
            )
            for page in pages:
                yield from (
                    line
                    for line in map(str.strip, page[entry.columns["text"]].splitlines())
                    if line
                )

    def text_languages(self) -> list[str]:
        """Every language of the registry: each has a Wikipedia."""
        return sorted(
            {
                code
                for row in registry().values()
                for code in (*row.languages, *row.xtreme_r_languages)
            }
        )

    def text_revision(self) -> str:
        """A hash of the registry's entry for text."""
        return digest(_entry(text_on_hub()))

    def _load(self, entry: Hub, split: str, language: str) -> tuple[Dataset, str]:
        """A split, and a note of where it came from."""
        place = entry.place(split, language)
        stored = "test" if language == ENTITIES else entry.splits.get(split, split)
        key = (entry.id, place, stored)
        if key not in self._loaded:
            with _errors(entry.id, f"{place.config or place.data_dir}, {stored}"):
                load = _converted if place.data_dir else _configured
                self._loaded[key] = load(entry.id, place, stored)
        return self._loaded[key]


def _configured(name: str, place: Place, split: str) -> tuple[Dataset, str]:
    data = load_dataset(name, place.config, revision=place.revision, split=split)
    # The client names the folder of its prepared files by the commit.
    found = re.search(
        r"\b[0-9a-f]{40}\b", " ".join(str(file["filename"]) for file in data.cache_files)
    )
    return data, f"commit {found[0]}" if found else ""


def _converted(name: str, place: Place, split: str) -> tuple[Dataset, str]:
    """A split from the branch of converted files, where a folder is a configuration and a subfolder a split.

    The files are fetched by name: given a folder, the client would not find them again in its cache when offline. Of a
    split that is too large for the hub's converter there is a beginning alone, in a subfolder of another name.
    """
    wanted = [f"{place.data_dir}/{prefix}{split}/*.parquet" for prefix in ("", "partial-")]
    folder = Path(
        snapshot_download(name, repo_type="dataset", revision=place.revision, allow_patterns=wanted)
    )
    # Without the commit's list of files, nothing would tell a cache that lacks some of them from a whole one.
    listed = sorted(
        file.path for file in get_cached_repo_tree(name, repo_type="dataset", revision=folder.name)
    )
    whole, beginning = (
        [str(folder / path) for path in listed if fnmatch(path, pattern)] for pattern in wanted
    )
    if not whole and not beginning:
        raise FileNotFoundError(f"no files {wanted[0]} at revision {place.revision}")
    note = f"commit {folder.name}" + (
        "" if whole else f"; partial-{split}: the beginning of the split alone"
    )
    return load_dataset("parquet", data_files={split: whole or beginning}, split=split), note


@contextmanager
def _errors(name: str, part: str) -> Iterator[None]:
    """Turns what the clients raise into one sentence that says what to do."""
    try:
        yield
    except Exception as error:
        if translated := _translated(name, f"{name} ({part})", error):
            raise translated from error
        raise


def _translated(name: str, what: str, error: Exception) -> Exception | None:
    kind, line = client_errors.kind(error), " ".join(str(error).split())[:300]
    correct = "correct its `hub:` entry in tasks.yaml, or use `source: folder:PATH`"
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")
    if kind == "full":
        full = f"the disk is full; free space there, or set HF_HOME (now {home}) to a larger disk, and run again"
        return OSError(errno.ENOSPC, full, what)
    if kind == "incomplete":
        lost = re.search(r"\d+ file\(s\) are missing \(.*?\)(?=\.)", line)
        problem = (
            lost[0].replace("file(s) are", "files are") if lost else "there is no list of its files"
        )
        return HubUnreachable(INCOMPLETE.format(name=what, problem=problem))
    if kind == "unreachable":
        return HubUnreachable(OFFLINE.format(name=what, error=f"{type(error).__name__}, {line}"))
    if kind == "gated":
        return MissingData(
            f"{what} is gated: accept its terms on its page at the hub, then log in with `hf auth login`"
        )
    if kind in ("missing", "revision"):
        problem = "is not on the hub (any more), or you may not read it, or it lacks the revision"
        return MissingData(f"{what} {problem} ({line}): {correct}")
    if kind == "broken":
        *_, cause = client_errors.chain(error)
        stored = Path(HF_HUB_CACHE, f"datasets--{name.replace('/', '--')}")
        problem = f"cannot be read as it was fetched ({' '.join(str(cause).split())[:300]})"
        return MissingData(f"{what} {problem}: delete {stored} and run again")
    if isinstance(error, ValueError | RuntimeError | FileNotFoundError):
        return MissingData(
            f"the hub does not hold {what} as the registry has it ({line}): {correct}"
        )
    return None


def _entry(hub: Hub | None) -> dict | None:
    return hub and hub.model_dump(exclude=PROSE)


def _table(data: Dataset, where: str) -> Raw:
    def read(columns: list[str]) -> Iterator[tuple[Batch, list[int]]]:
        start = 0
        for batch in data.data.table.select(columns).to_batches(max_chunksize=BATCH):
            yield batch.to_pydict(), list(range(start, start + batch.num_rows))
            start += batch.num_rows

    return Raw(where, data.column_names, read, "row", _class_names(data.features))


def _class_names(features: Features) -> dict[str, list[str]]:
    inner = {
        name: kind.feature if isinstance(kind, List) else kind for name, kind in features.items()
    }
    return {name: list(kind.names) for name, kind in inner.items() if isinstance(kind, ClassLabel)}


def _only(raw: Raw, column: str, prefix: str) -> Raw:
    """The rows whose `column` begins with `prefix`."""

    def read(columns: list[str]) -> Iterator[tuple[Batch, list[int]]]:
        for batch, numbers in raw.read(list(dict.fromkeys([*columns, column]))):
            keep = [n for n, value in enumerate(batch[column]) if value.startswith(prefix)]
            yield (
                {name: [batch[name][n] for n in keep] for name in columns},
                [numbers[n] for n in keep],
            )

    return Raw(f"{raw.where}, {prefix}*", raw.columns, read, raw.unit, raw.class_names)
