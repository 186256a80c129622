"""Opens a source by its name in a study file: `toy`, `hub` or `folder:PATH`."""

import hashlib
import importlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from datasets import Dataset

from xfer_utils.sources.folder import FolderSource
from xfer_utils.sources.raw import HubUnreachable, MalformedRow, MissingData
from xfer_utils.study import paths

__all__ = ["HubUnreachable", "MalformedRow", "MissingData", "Source", "open_source"]


class Source(Protocol):
    """Where examples come from. Whatever it is, rows come out in the one canonical form of their format."""

    spec: str

    def languages(self, name: str, role: str | None = None) -> list[str]:
        """Languages with data for a role (default: the one the task is evaluated on), English first."""

    def read(self, name: str, role: str, language: str = "en") -> Dataset:
        """Canonical rows of a task for `train`, `dev` or `test`; MissingData where there are none."""

    def has(self, name: str, role: str, language: str = "en") -> bool:
        """Whether `read` would find data, as far as can be told without reading."""

    def splits(self, name: str, role: str) -> list[str]:
        """The data set's split names behind a role, as the study or the registry has them."""

    def text(self, language: str) -> Iterator[str]:
        """Lines of text for masked language modelling."""

    def text_languages(self) -> list[str]:
        """Languages with such text."""

    def text_revision(self) -> str:
        """A string that changes when the text may have changed."""

    def revision(self, name: str) -> str:
        """A string that changes when the data of a task may have changed."""

    def label_names(self, name: str) -> list[str]:
        """Label names in the order of the integers in canonical rows."""

    def report(self) -> list[dict]:
        """What was read so far: rows found and expected, dropped rows and why."""


def open_source(
    spec: str, *, world: dict | None = None, data_dir: Path, splits: dict | None = None
) -> Source:
    """The source that a study names.

    `world` are the toy world's settings. `data_dir` is where it is written, and where licensed data (CCG) are looked
    for when the source is the hub. `splits` are the study's own split names: {task: {role: split}}.
    """
    if spec == "toy":
        return _toy(world or {}, Path(data_dir), splits)
    if spec == "hub":
        return importlib.import_module("xfer_utils.sources.hub").HubSource(splits, Path(data_dir))
    kind, _, path = spec.partition(":")
    if kind == "folder" and path:
        folder = paths.resolve(path)
        if not folder.is_dir():
            raise MissingData(
                f"source {spec!r}: there is no folder {folder}; correct `source:` in the study file"
            )
        return FolderSource(folder, spec, splits)
    raise ValueError(f"unknown source {spec!r}: write toy, hub or folder:PATH")


def _toy(world: dict, data_dir: Path, splits: dict | None) -> FolderSource:
    """The toy world's folder, generated on first use."""
    # Loaded by name: a run depends on the world's hash, not on every line of the code that generates it.
    module = importlib.import_module("xfer_utils.sources.toy.write")
    settings = module.World(**world)
    content = (
        json.dumps(settings.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
        + module.VERSION
    )
    mark = hashlib.sha256(content.encode()).hexdigest()[:12]
    folder = data_dir / f"toy-{mark}"
    if not folder.is_dir():
        _write_once(folder, lambda path: module.write_world(settings, path))
    return FolderSource(folder, "toy", splits, pinned=mark)


def _write_once(folder: Path, write) -> None:
    """Writes a folder beside its place, then renames it: what stands there is whole, and the first writer wins."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(made)
        made.chmod(0o755)
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
