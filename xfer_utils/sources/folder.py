"""Source `folder:PATH`: files `<task>/<language>.<split>.parquet` (or .jsonl) as on the hub."""

import gzip
import lzma
from collections.abc import Iterator
from pathlib import Path

from xfer_utils.sources import ccg, raw
from xfer_utils.sources.base import Source, Splits, digest
from xfer_utils.sources.raw import MissingData, Raw
from xfer_utils.study import kept
from xfer_utils.study.tasks import Task, task, training_parts

ENTITIES = "candidates"
TABLES = (*raw.SUFFIXES, *ccg.SUFFIXES)
OPENERS = {
    ".parquet": raw.open_parquet, ".jsonl": raw.open_json_lines, ".gz": raw.open_json_lines,
    ".tsv": ccg.open_words, ".auto": ccg.open_words,
}  # fmt: skip
TEXT_OPENERS = {".txt": open, ".txt.xz": lzma.open, ".txt.gz": gzip.open}


class FolderSource(Source):
    """Tables in a local folder; `pinned` is the revision of one that is known not to change."""

    def __init__(self, path: Path, spec: str = "", splits: Splits | None = None, pinned: str = ""):
        super().__init__(spec or f"folder:{path}", splits)
        self.path, self.pinned = Path(path).expanduser(), pinned

    def tables(self, row: Task, split: str, language: str) -> dict[str, Raw]:
        files = self.files(row, split, language)
        if absent := [stem for stem, path in files.values() if not path]:
            looked_for = ", ".join(f"{stem}.parquet, .jsonl or .jsonl.gz" for stem in absent)
            what = f"{row.title} ({row.name}): no {split} data for {language!r}"
            there = ", ".join(self.candidates(row)) or "no language"
            advice = ccg.HOW_TO_GET if row.name == "ccg" else f"there are files for: {there}"
            place = self.path / row.folder
            raise MissingData(f"{what} in {place}: looked for {looked_for}; {advice}")
        return {part: OPENERS[path.suffix](path) for part, (_, path) in files.items()}

    def holds(self, row: Task, split: str, language: str) -> bool:
        return all(path for _, path in self.files(row, split, language).values())

    def candidates(self, row: Task) -> list[str]:
        """Languages that some file of the task's folder begins with."""
        files = [path.name for path in (self.path / row.folder).glob("*")]
        stems = {name.split(".")[0] for name in files if name.endswith(TABLES)}
        return sorted({stem.removesuffix("-en") for stem in stems} - {ENTITIES})

    def revision(self, name: str) -> str:
        """A hash of the names and contents of the task's files."""
        folders = [self.path / task(part).folder for part in training_parts(name)]
        return self.pinned or digest([content(folder) for folder in folders])

    def text_languages(self) -> list[str]:
        return sorted({path.name.split(".")[0] for path in self._text_files("*")} - {"ids"})

    def text(self, language: str) -> Iterator[str]:
        """Lines of text in a language: its own file first, then its side of every parallel set."""
        files = self._text_files(language)
        if not files:
            known = ", ".join(self.text_languages()) or "none"
            raise MissingData(f"no text for {language!r} in {self.path / 'text'} (it has: {known})")
        for path in files:
            opener = TEXT_OPENERS["".join(path.suffixes)]
            with opener(path, "rt", encoding="utf-8") as lines:
                yield from filter(None, map(str.strip, lines))

    def text_revision(self) -> str:
        return self.pinned or digest(content(self.path / "text"))

    def files(self, row: Task, split: str, language: str) -> dict[str, tuple[str, Path | None]]:
        """For each table of a split the name of its file, and the file if it is there."""
        stems = {"rows": f"{language}.{split}"}
        if row.layout == "pools":
            sides = {"source": language, "target": "en", "gold": "gold"}
            stems = {part: f"{language}-en.{side}.{split}" for part, side in sides.items()}
        elif row.layout == "entities" and language == ENTITIES:
            stems = {"rows": f"{ENTITIES}.test"}
        folder = self.path / row.folder
        return {part: (stem, raw.find_table(folder, stem, TABLES)) for part, stem in stems.items()}

    def _text_files(self, language: str) -> list[Path]:
        folders = [self.path / "text", *sorted((self.path / "text" / "parallel").glob("*/"))]
        patterns = [(folder, language + end) for folder in folders for end in TEXT_OPENERS]
        return [path for folder, pattern in patterns for path in sorted(folder.glob(pattern))]


def content(folder: Path, pattern: str = "**/*") -> list[tuple[str, str]]:
    """Name and hash of every file that is not hidden."""
    files = [path for path in sorted(folder.glob(pattern)) if path.is_file()]
    visible = [path for path in files if not path.name.startswith(".")]
    return [(path.relative_to(folder).as_posix(), kept.digest(path)) for path in visible]
