"""The Ray engine: a task for each run, on the machines of a cluster. Ray is imported here alone.

It joins no cluster but the one it is told to, and reports nothing to anyone. The project and the
outputs stand at one path on all machines; records are the truth, so any engine continues another's
study.
"""

import os
import re
import socket
import tempfile
from concurrent.futures import Executor, Future
from typing import Any

from xfer_utils.runs import engines
from xfer_utils.runs.plan import Run
from xfer_utils.study import paths
from xfer_utils.study.settings_file import SettingsError

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_raylet_start_wait_time_s", "600")  # a busy machine takes its time
try:
    import ray
except ImportError:
    raise SettingsError("Ray is not installed: pip install .[ray]") from None

OBJECTS = 10**8  # bytes of Ray's store: paths travel, and no data
RETRIES = 2  # after a worker or a machine was lost; an error in a cell would only come again


class RayPool(Executor):
    """Takes the place of the threads that a launcher submits its runs to, `lanes` at a time.

    Without an address it is a cluster of its own on this machine, in a folder of its own; at an
    address, no `workers` are as many as there is room for.
    """

    def __init__(self, address: str, gpus: float, workers: int, threads: int) -> None:
        known = {"PYTHONPATH": str(paths.PROJECT), "RAY_USAGE_STATS_ENABLED": "0"}
        how: dict[str, Any] = {"log_to_driver": False, "runtime_env": {"env_vars": known}}
        if not address:
            folder = tempfile.mkdtemp(prefix="xfer-ray-")
            print(f"Ray's logs: {folder}/session_latest/logs")
            how |= {"num_cpus": workers * threads, "object_store_memory": OBJECTS}
            how |= {"include_dashboard": False, "_temp_dir": folder}
        try:
            if re.fullmatch(r"[^/]+:[0-9]+", address):  # Ray would try for a quarter of an hour
                socket.create_connection(address.rsplit(":", 1), 10).close()
            ray.init(address or "local", **how)
        except Exception as error:  # a cluster that does not start in time is a bare one
            place = address or "local"
            raise SettingsError(f"No Ray cluster answers at {place}: {error}") from None
        options = {"num_cpus": threads, "num_gpus": gpus, "max_retries": RETRIES}
        self.task = ray.remote(retry_exceptions=False, **options)(_execute)
        self.gpus, self.tasks, there = gpus, [], ray.cluster_resources()
        room = there.get("GPU", 0) / gpus if gpus else there.get("CPU", 0) / threads
        self.lanes = min(int(room), workers) if workers else int(room)
        if not self.lanes:
            needed = f"{threads} CPUs, {gpus} GPUs"
            raise SettingsError(f"The cluster has no room for a run of {needed}.")

    def submit(self, _: Any, run: Run, threads: int, slot: int) -> Future:
        """Starts a run somewhere; what it is asked to call is known there."""
        arguments = (run, threads, str(paths.outputs()), self.gpus > 0)
        self.tasks.append(self.task.options(name=run.id).remote(*arguments))
        return self.tasks[-1].future()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leaves the cluster, or ends it where it is our own; no run goes on."""
        for task in self.tasks if cancel_futures and ray.is_initialized() else ():
            ray.cancel(task, force=True)
        ray.shutdown()


def _execute(run: Run, threads: int, outputs: str, on_gpu: bool) -> None:
    """One run, in a process of Ray's; an error is handed back as its text."""
    os.environ["XFER_OUTPUTS"] = outputs
    if not on_gpu:  # Ray would leave all of them visible
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        engines.run_notebook(run, threads)
    except Exception as error:
        raise RuntimeError(str(error)) from None
