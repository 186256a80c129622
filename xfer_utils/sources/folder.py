"""Source `folder:PATH`: files `<task>/<language>.<split>` (.parquet, .jsonl, .jsonl.gz) in the hub's schemas."""

import gzip
import hashlib
import lzma
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from xfer_utils.sources import ccg
from xfer_utils.sources.base import Splits, TableSource, digest
from xfer_utils.sources.raw import SUFFIXES, MissingData, Raw, find_table, open_table
from xfer_utils.study.tasks import Task, task, training_parts

ENTITIES = "candidates"
TEXT_SUFFIXES = (".txt", ".txt.xz", ".txt.gz")


class FolderSource(TableSource):
    """Tables in a local folder. `pinned` is the revision of a folder that is known not to change."""

    def __init__(self, path: Path, spec: str = "", splits: Splits | None = None, pinned: str = ""):
        super().__init__(spec or f"folder:{path}", splits)
        self.path, self.pinned = Path(path).expanduser(), pinned

    def tables(self, row: Task, split: str, language: str) -> dict[str, Raw]:
        """The files of one split, opened."""
        folder = self.path / row.folder
        stems = _stems(row, split, language)
        found = {role: find_table(folder, stem) for role, stem in stems.items()}
        if row.name == "ccg" and not found["rows"]:
            found["rows"] = ccg.find(folder, split)
        absent = [stem for role, stem in stems.items() if not found[role]]
        if absent:
            raise MissingData(self._message(row, split, language, absent))
        if row.name == "ccg":
            return {"rows": ccg.open_any(found["rows"])}
        return {role: open_table(path) for role, path in found.items()}

    def holds(self, row: Task, split: str, language: str) -> bool:
        """Whether the files of one split are there."""
        folder = self.path / row.folder
        if row.name == "ccg" and ccg.find(folder, split):
            return True
        return all(find_table(folder, stem) for stem in _stems(row, split, language).values())

    def candidates(self, row: Task) -> list[str]:
        """Languages that some file of the task's folder begins with."""
        names = [
            path.name for path in (self.path / row.folder).glob("*") if path.name.endswith(SUFFIXES)
        ]
        return sorted({name.split(".")[0].removesuffix("-en") for name in names} - {ENTITIES})

    def aligned_rows(self, row: Task, split: str, language: str) -> int | None:
        """Rows of the English table, where there is one."""
        path = find_table(self.path / row.folder, f"en.{split}") if language != "en" else None
        if not path:
            return None
        raw = open_table(path)
        return sum(len(numbers) for _, numbers in raw.read(raw.columns[:1]))

    def revision(self, name: str) -> str:
        """A hash of the names and contents of the task's files."""
        folders = [self.path / task(part).folder for part in training_parts(name)]
        return self.pinned or digest([_folder_hash(folder) for folder in folders])

    def text_languages(self) -> list[str]:
        """Languages with text for masked language modelling."""
        return sorted({path.name.split(".")[0] for path in self._text_files("*")} - {"ids"})

    def text(self, language: str) -> Iterator[str]:
        """Lines of text in a language: its own file first, then its side of every parallel set."""
        files = self._text_files(language)
        if not files:
            known = ", ".join(self.text_languages()) or "none"
            raise MissingData(f"no text for {language!r} in {self.path / 'text'} (it has: {known})")
        for path in files:
            with _open_text(path) as lines:
                yield from (line for line in map(str.strip, lines) if line)

    def text_revision(self) -> str:
        """A hash of the names and contents of all text files."""
        return self.pinned or digest(_folder_hash(self.path / "text"))

    def _text_files(self, language: str) -> list[Path]:
        folders = [self.path / "text", *sorted((self.path / "text" / "parallel").glob("*/"))]
        return [p for f in folders for end in TEXT_SUFFIXES for p in sorted(f.glob(language + end))]

    def _message(self, row: Task, split: str, language: str, absent: list[str]) -> str:
        files = ", ".join(f"{stem}.parquet, .jsonl or .jsonl.gz" for stem in absent)
        where = self.path / row.folder
        text = f"{row.title} ({row.name}): no {split} data for {language!r} in {where}: looked for {files}"
        has = ", ".join(self.candidates(row))
        advice = (
            f"; there are files for: {has}"
            if has
            else "; add the files, or leave the task out of the study"
        )
        return f"{text}; {ccg.HOW_TO_GET}" if row.name == "ccg" else text + advice


def _stems(row: Task, split: str, language: str) -> dict[str, str]:
    """File names, without suffix, of the tables of a split."""
    if row.layout == "pools":
        pair = f"{language}-en"
        return {
            "source": f"{pair}.{language}.{split}",
            "target": f"{pair}.en.{split}",
            "gold": f"{pair}.gold.{split}",
        }
    if row.layout == "entities" and language == ENTITIES:
        return {"rows": f"{ENTITIES}.test"}
    return {"rows": f"{language}.{split}"}


def _open_text(path: Path):
    openers = {".gz": gzip.open, ".xz": lzma.open}
    return openers.get(path.suffix, open)(path, "rt", encoding="utf-8")


def _folder_hash(folder: Path) -> list[tuple[str, str]]:
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")
    )
    stats = [(path, path.stat()) for path in files]
    return [
        (path.relative_to(folder).as_posix(), _hash(path, s.st_size, s.st_mtime_ns))
        for path, s in stats
    ]


@cache
def _hash(path: Path, size: int, changed: int) -> str:
    """The content's hash; size and time of change are there to make the cache let go of a changed file."""
    del size, changed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
