"""`xfer pack` and `xfer unpack`: a study's finished runs, on their way to another machine."""

import io
import tarfile
import tempfile
import zlib
from pathlib import Path

from xfer_utils.runs import engines, records
from xfer_utils.runs.claims import Claims
from xfer_utils.runs.plan import Plan, runs_folder
from xfer_utils.study import kept, paths
from xfer_utils.study.settings_file import SettingsError

WEIGHTS = ".safetensors"


def pack(plan: Plan, archive: Path, weights: bool) -> int:
    """Writes records, predictions and executed notebooks of all that is done; says how many runs.

    Runs without weights can be read there; where something builds on them, they are made again.
    """
    results = plan.done()
    with paths.replacing(archive) as temporary, tarfile.open(temporary, "w:gz") as out:
        for run_id, result in results.items():
            folder, left = plan.runs[run_id].folder, result.left
            if not weights:
                left = [name for name in result.files if name.endswith(WEIGHTS)] or left
            record = records.sealed(result, left).model_dump_json().encode()
            entry = tarfile.TarInfo(f"{run_id}/{records.RESULT}")
            entry.size = len(record)
            out.addfile(entry, io.BytesIO(record))
            for name in sorted({*result.files, engines.EXECUTED, f"{run_id}.log"} - {*left}):
                if (folder / name).is_file():
                    out.add(folder / name, f"{run_id}/{name}", recursive=False)
    return len(results)


def unpack(archive: Path) -> dict[str, list[str]]:
    """Adds the runs of an archive that are whole and not here yet; says what became of each."""
    runs, became = runs_folder(), {"added": [], "already here": [], "refused": []}
    runs.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".unpacked-", dir=runs) as place,
        Claims(paths.outputs() / "claims") as claims,
    ):
        try:
            with tarfile.open(archive) as stored:
                stored.extractall(place, filter="data")
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise SettingsError(f"{archive} is no whole archive of `xfer pack`: {error}") from None
        for folder in sorted(Path(place).iterdir()):
            result, here = records.read(folder), records.read(runs / folder.name)
            if result is None:
                fault = records.fault(folder) or f"it has no {records.RESULT}"
                became["refused"].append(f"{folder.name}: {fault}")
            elif (here and len(here.left) <= len(result.left)) or not claims.take(folder.name):
                became["already here"].append(folder.name)
            else:
                if (runs / folder.name).exists():
                    kept.set_aside(runs / folder.name, "replaced by what was unpacked")
                folder.rename(runs / folder.name)
                became["added"].append(folder.name)
                claims.release(folder.name)
    return became
