"""Where things are: found from the installed package, never from the working folder."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
NOTEBOOKS = PROJECT / "notebooks"
PARAMS = PROJECT / "params"


def outputs() -> Path:
    """The outputs folder: $XFER_OUTPUTS where set, else `outputs/` in the project."""
    return Path(os.environ.get("XFER_OUTPUTS") or PROJECT / "outputs").resolve()


def resolve(path: str) -> Path:
    """A notebook parameter as a path: relative ones start at the project, `outputs/...` at the outputs folder."""
    place = Path(path).expanduser()
    if place.is_absolute():
        return place
    if place.parts[:1] == ("outputs",):
        return outputs().joinpath(*place.parts[1:])
    return PROJECT / place
