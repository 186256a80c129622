"""Files that are made once; by its digest a reader knows that a file is as it was made."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from xfer_utils.study import paths

RESULT = "result.json"  # a run's record; it holds the digests of what the run keeps
ASIDE = "broken-"


def digest(path: Path) -> str:
    """The hash of a file's content, found once for each of its states."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    """Size and time of change make the cache let go of a changed file."""
    del size, changed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached(path: Path, make: Callable[[Path], object]) -> Path:
    """A file, made where it is not there yet; one that has changed is set aside and made again.

    Its digest stands beside it, written first: a file without one is made again, too.
    """
    seal = path.with_name(f"{path.name}.sha256")
    if path.exists() and seal.exists():
        if seal.read_text(encoding="utf-8") == digest(path):
            return path
        set_aside(path)
    with paths.replacing(path) as temporary:
        make(temporary)
        with paths.replacing(seal) as written:
            written.write_text(digest(temporary), encoding="utf-8")
    return path


def set_aside(path: Path, why: str = "not as it was made") -> None:
    """Renames what cannot be used, and says so; the new name begins like no other's."""
    aside = path.with_name(f"{ASIDE}{path.name}")
    if aside.is_dir():
        shutil.rmtree(aside)
    with suppress(FileNotFoundError):  # another process was faster
        path.rename(aside)
    print(f"{path}: {why}; set aside as {aside.name}.", file=sys.stderr)


def altered(folder: Path, recorded: dict[str, str | int], most: float = float("inf")) -> list[str]:
    """Names of the files in a folder whose digest (or size) is not the recorded one.

    Of files of more than `most` bytes only the size is looked at.
    """
    return [name for name, mark in recorded.items() if not _is(folder / name, mark, most)]


def damaged(folder: Path, listing: str) -> list[str]:
    """Files of a folder that are not as its listing says; the listing where it cannot be read."""
    try:
        return altered(folder, json.loads((folder / listing).read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError):
        return [listing]


def _is(path: Path, mark: str | int, most: float) -> bool:
    if not path.is_file():
        return False
    size = path.stat().st_size
    return size == mark if isinstance(mark, int) else size > most or digest(path) == mark


def check_run(run_dir: Path) -> None:
    """Refuses what a finished run keeps if it has changed since; it is set aside."""
    record = run_dir / RESULT
    content = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    for name in altered(run_dir, content.get("digests", {})):
        if (run_dir / name).exists():
            set_aside(run_dir / name)
        advice = "the same `xfer run` makes that run again, then this one"
        raise ValueError(f"{run_dir / name} is not what its run has written: {advice}.")
