"""Claims on runs: a second launcher, on this machine or another, passes a claimed run by."""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from xfer_utils.study import paths

HEARTBEAT, STALE_AFTER = 10.0, 90.0


class Claims:
    """Claim files of one outputs folder, and the heartbeat that keeps this process's own alive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: set[str] = set()
        self._seen: dict[str, tuple[dict, float]] = {}
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
        """Claims a run; False where a living process holds it. A dead process's claim is taken."""
        with self._lock():
            if self.running(run_id):
                return False
            with paths.replacing(self._path(run_id)) as temporary:
                temporary.write_text(json.dumps(_process(os.getpid())))
            self.held.add(run_id)
            return True

    def release(self, run_id: str) -> None:
        """Gives a claim back, unless somebody who took this process for dead holds it by now."""
        self.held.discard(run_id)
        with self._lock():
            holder = self.holder(run_id) or {}
            if holder.items() >= _process(os.getpid()).items():
                self._path(run_id).unlink(missing_ok=True)

    def holder(self, run_id: str) -> dict | None:
        """Who holds a run: host, process, last heartbeat; None where nobody does."""
        path = self._path(run_id)
        try:
            holder = {"born": "", **json.loads(path.read_text()), "beat": path.stat().st_mtime}
        except (OSError, ValueError, TypeError):
            return None
        return holder if {"host", "process"} <= set(holder) else None

    def running(self, run_id: str) -> bool:
        """Whether a living process holds the run: on this host it is looked up, not timed.

        Elsewhere it lives until its heartbeat has not changed for long enough, by our clock: that
        of another host, or of the disk that is shared, may be wrong.
        """
        holder = self.holder(run_id)
        if holder is None:
            return False
        if holder["host"] != socket.gethostname():
            seen, since = self._seen.get(run_id, (None, 0.0))
            if seen != holder:
                self._seen[run_id] = holder, time.monotonic()
            return seen != holder or time.monotonic() - since <= STALE_AFTER
        number = holder["process"]
        return psutil.pid_exists(number) and holder["born"] == _process(number)["born"]

    def _path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.json"

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            for run_id in list(self.held):
                with suppress(OSError):
                    os.utime(self._path(run_id))

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _process(number: int) -> dict[str, str | int]:
    """A process of this host; when it was born tells it from a later one of the same number."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        born = fields[19] if fields[0] != "Z" else ""  # a zombie does nothing any more
    except OSError:
        born = ""
    return {"host": socket.gethostname(), "process": number, "born": born}
