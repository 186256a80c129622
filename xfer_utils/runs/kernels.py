"""Warm kernels: one server process imports the libraries once, and every kernel is forked from it.

A fresh kernel spends about five CPU seconds on imports, as much as a whole training in the toy world. The standard
library's forkserver pays that once; jupyter_client's provisioner interface makes it a kernel like any other.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, ClassVar

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from tqdm import tqdm

PRELOAD = ["xfer_utils.runs.warm"]
PROVISIONER = "xfer-warm"
LIVE: set["ForkedKernel"] = set()
STOPPED = threading.Event()


class ForkedKernel:
    """A forked kernel behind the few methods of subprocess.Popen that LocalProvisioner uses."""

    stdin = stdout = stderr = None

    def __init__(
        self, connection_file: str, arguments: list[str], environment: dict[str, str], log: str
    ) -> None:
        # Read as the server's libraries load: a thread that waits must not spin on a core that
        # another process could use.
        os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        with _no_main_module():
            self._process = context.Process(
                target=serve, args=(connection_file, arguments, environment, log), daemon=True
            )
            self._process.start()
        self.pid = self._process.pid
        LIVE.add(self)
        if STOPPED.is_set():  # its run was submitted before kill_all, which did not see this kernel
            self.kill()
            self.wait()

    def poll(self) -> int | None:
        """The exit code, or None while the kernel lives."""
        return self._process.exitcode

    def wait(self) -> int | None:
        """Waits for the end."""
        self._process.join()
        LIVE.discard(self)
        return self._process.exitcode

    def send_signal(self, signum: int) -> None:
        """Signals the kernel."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """Ends the kernel at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Asks the kernel to end."""
        self.send_signal(signal.SIGTERM)


class WarmProvisioner(LocalProvisioner):
    """Starts a kernel by forking the warm server."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict:
        """`cmd` is `python -m ipykernel_launcher ARGUMENTS`; only the arguments matter here."""
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        self.process = ForkedKernel(
            self.parent.connection_file, arguments, kwargs.get("env") or {}, self.parent.log_file
        )
        self.pid = self.process.pid
        return self.connection_info


class WarmKernelManager(AsyncKernelManager):
    """A kernel manager for papermill: unix sockets instead of TCP ports, and a warm start."""

    log_file = os.devnull
    environment: ClassVar[dict[str, str]] = {}

    def __init__(self, **kwargs: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="xfer-", ignore_cleanup_errors=True)
        socket = str(Path(self._folder.name) / "kernel")
        super().__init__(transport="ipc", ip=socket, connection_file=f"{socket}.json", **kwargs)

    @property
    def kernel_spec(self) -> KernelSpec:
        """The current interpreter's kernel, provided by the warm server."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
            env=self.environment,
            metadata={"kernel_provisioner": {"provisioner_name": PROVISIONER}},
        )


def client_options(log_file: Path, environment: dict[str, str]) -> dict[str, Any]:
    """How nbclient is to start, and at the end to stop, a warm kernel.

    It is given a class and not a manager: it ends only kernels of managers that it made itself.
    """
    own = {"log_file": str(log_file), "environment": environment}
    manager = type("RunKernelManager", (WarmKernelManager,), own)
    return {"kernel_manager_class": manager, "shutdown_kernel": "immediate"}


def kill_all() -> None:
    """Ends every kernel of this process, also those that threads in flight still start; their notebooks fail."""
    STOPPED.set()
    for kernel in list(LIVE):
        kernel.kill()


@contextlib.contextmanager
def _no_main_module() -> Any:
    """Keeps multiprocessing from importing the launcher's own script again in every kernel."""
    main = sys.modules["__main__"]
    kept = {name: main.__dict__.pop(name) for name in ("__file__",) if name in main.__dict__}
    spec, main.__spec__ = getattr(main, "__spec__", None), None
    try:
        yield
    finally:
        main.__dict__.update(kept)
        main.__spec__ = spec


def serve(
    connection_file: str, arguments: list[str], environment: dict[str, str], log: str
) -> None:
    """The forked process: its own session, the run's environment and log, then an ordinary ipykernel."""
    os.setsid()
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    # Progress bars would share a lock between processes, a semaphore that an ended kernel leaves behind.
    tqdm.set_lock(threading.RLock())
    if threads := environment.get("OMP_NUM_THREADS"):
        import torch

        torch.set_num_threads(int(threads))
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(argv=arguments)


def _end_with_launcher() -> None:
    """A killed launcher's run may be begun anew by the next one: no kernel must go on writing to it."""
    multiprocessing.parent_process().join()
    os._exit(1)
