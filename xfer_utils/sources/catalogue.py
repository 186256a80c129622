"""Opens a source by its name in a study file: `toy`, `hub` or `folder:PATH`."""

import json
import tempfile
from functools import partial
from pathlib import Path

from xfer_utils.sources.base import Source, Splits, digest
from xfer_utils.sources.folder import FolderSource
from xfer_utils.sources.hub import HubSource
from xfer_utils.sources.raw import HubUnreachable, MalformedRow, MissingData, Raw
from xfer_utils.sources.toy import world as toy_world
from xfer_utils.sources.toy import write as toy_files
from xfer_utils.study import kept, paths
from xfer_utils.study.tasks import Task

__all__ = ["HubUnreachable", "MalformedRow", "MissingData", "Source", "open_source"]
LISTING = ".files.json"


def open_source(
    spec: str, *, data_dir: Path, world: dict | None = None, splits: Splits | None = None
) -> Source:
    """The source that a study names; `world` are the toy world's settings, `splits` the study's.

    `data_dir` is where the toy world is written, and where the hub's licensed data (CCG) are put.
    """
    if spec == "toy":
        return _toy(world or {}, data_dir, splits)
    if spec == "hub":
        return HubSource(splits, data_dir)
    kind, _, path = spec.partition(":")
    if kind != "folder" or not path:
        raise ValueError(f"unknown source {spec!r}: write toy, hub or folder:PATH")
    folder = paths.resolve(path)
    if not folder.is_dir():
        problem = f"source {spec!r}: there is no folder {folder}"
        raise MissingData(f"{problem}; correct `source:` in the study file")
    return FolderSource(folder, spec, splits)


def _toy(dials: dict, data_dir: Path, splits: Splits | None) -> FolderSource:
    """The toy world's folder, generated on first use; its name says which world it holds."""
    world = toy_world.World(**dials)
    settings = world.model_dump(mode="json", exclude_defaults=True)  # a new dial, off, adds nothing
    mark = digest(settings, toy_world.VERSION)[:12]
    folder = data_dir / f"toy-{mark}"
    # A file that is missing would pass for a language less; old listings have sizes, no digests.
    if folder.is_dir() and (damaged := kept.damaged(folder, LISTING)):
        kept.set_aside(folder, f"not as written: {', '.join(damaged[:3])}")
    if not folder.is_dir():
        _write_once(world, folder)
    return ToySource(world, folder, splits, mark)


class ToySource(FolderSource):
    """A toy world's folder, and what is written when it is first read, beside the world.

    Training sets of phase 2 in its other languages, whose items are those of the English set, and
    tasks that few studies have: it would be five times as large with all of them.
    """

    def __init__(self, world: toy_world.World, folder: Path, splits: Splits | None, mark: str):
        super().__init__(folder, "toy", splits, pinned=mark)
        self.world, self.codes = world, {dials.code for dials in world.tongues()}
        self.spoken = {row[:2] for row in toy_files.intermediate(world.rows())}
        late = toy_files.later(world.rows())
        self.spoken |= {(task, one[0]) for task, sets in late.items() for one in sets}
        self.late = set(late)  # names alone: a source travels to the processes of a training

    def tables(self, row: Task, split: str, language: str) -> dict[str, Raw]:
        if super().holds(row, split, language) or not self.holds(row, split, language):
            return super().tables(row, split, language)
        translated = FolderSource(self.path / "translated", "toy")
        ((stem, _),) = translated.files(row, split, language).values()
        path = translated.path / row.folder / f"{stem}.parquet"
        kept.cached(path, partial(toy_files.translate, self.world, row.name, split, language))
        return translated.tables(row, split, language)

    @property
    def cleaned_of(self) -> list[str]:
        """Not of what came after the shipped encoders, whose text would be another."""
        return [name for name in super().cleaned_of if name not in self.late]

    def candidates(self, row: Task) -> list[str]:
        return sorted(self.codes) if row.name in self.late else super().candidates(row)

    def holds(self, row: Task, split: str, language: str) -> bool:
        known = self.codes - ({"en"} if row.name == "xcopa" else set())
        known |= {toy_files.CANDIDATES} if row.name == "mewslix" else set()
        spoken = (row.name, split) in self.spoken and language in known
        return spoken or super().holds(row, split, language)


def _write_once(world: toy_world.World, folder: Path) -> None:
    """Writes elsewhere, then renames: a folder is whole once it is there; the first one stays."""
    data_dir = folder.parent
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=data_dir) as temporary:
        whole = Path(temporary, "world")
        whole.mkdir()
        toy_files.write_world(world, whole)
        files = [path for path in whole.rglob("*") if path.is_file()]
        listing = {path.relative_to(whole).as_posix(): kept.digest(path) for path in files}
        (whole / LISTING).write_text(json.dumps(listing), encoding="utf-8")
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
