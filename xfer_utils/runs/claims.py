"""Claims on runs: a second launcher, on this machine or another, passes a claimed run by."""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xfer_utils.study import paths

HEARTBEAT, STALE_AFTER = 10.0, 90.0


class Claims:
    """The claim files of one outputs folder and the heartbeat that keeps this process's claims alive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: set[str] = set()
        self._stop = threading.Event()

    def __enter__(self) -> "Claims":
        self.folder.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for run_id in list(self.held):
            self.release(run_id)

    def take(self, run_id: str) -> bool:
        """Claims a run; False where a living process holds it. A dead process's claim is taken over."""
        with self._lock():
            holder = self.holder(run_id)
            if holder and not _dead(holder):
                return False
            self._write(run_id)
            self.held.add(run_id)
            return True

    def release(self, run_id: str) -> None:
        """Gives a claim back, unless somebody who took this process for dead holds it by now."""
        self.held.discard(run_id)
        with self._lock():
            holder = self.holder(run_id)
            if holder and (holder["host"], holder["process"]) == (
                socket.gethostname(),
                os.getpid(),
            ):
                self._path(run_id).unlink(missing_ok=True)

    def holder(self, run_id: str) -> dict | None:
        """Who holds a run: host, process, last heartbeat; None where nobody does."""
        path = self._path(run_id)
        try:
            found = {**json.loads(path.read_text()), "beat": path.stat().st_mtime}
        except (OSError, ValueError, TypeError):
            return None
        return found if {"host", "process"} <= set(found) else None

    def running(self, run_id: str) -> bool:
        """Whether a living process holds the run."""
        holder = self.holder(run_id)
        return bool(holder) and not _dead(holder)

    def _path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.json"

    def _write(self, run_id: str) -> None:
        with paths.replacing(self._path(run_id)) as temporary:
            temporary.write_text(
                json.dumps({"host": socket.gethostname(), "process": os.getpid(), **_born()})
            )

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            for run_id in list(self.held):
                try:
                    os.utime(self._path(run_id))
                except OSError:
                    continue

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _born(process: int | None = None) -> dict[str, str]:
    """When a process began, so that a recycled process number is not taken for the claim's holder."""
    try:
        stat = Path(f"/proc/{process or os.getpid()}/stat").read_text()
        return {"born": stat.rpartition(")")[2].split()[19]}
    except (OSError, IndexError):
        return {}


def _dead(holder: dict) -> bool:
    if holder["host"] != socket.gethostname():
        return time.time() - holder["beat"] > STALE_AFTER
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return (
        "born" in holder and _born(holder["process"]).get("born", holder["born"]) != holder["born"]
    )
