"""Where things are: found from the installed package, never from the working folder."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOKS = PROJECT / "notebooks"
PARAMS = PROJECT / "params"
SAMPLES = PROJECT / "outputs" / "sample"  # published studies, a folder each
PROGRESS = "progress.txt"  # in a run's folder: the step that its training has reached


def outputs() -> Path:
    """The outputs folder: $XFER_OUTPUTS where set, else `outputs/` in the project."""
    return Path(os.environ.get("XFER_OUTPUTS") or PROJECT / "outputs").resolve()


def resolve(path: str) -> Path:
    """A path as parameters hold it: from the project, or `outputs/...` from the outputs folder."""
    place = Path(path).expanduser()
    if place.is_absolute():
        return place
    if place.parts[:1] == ("outputs",):
        return outputs().joinpath(*place.parts[1:])
    return PROJECT / place


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of `path` once it is written and on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
