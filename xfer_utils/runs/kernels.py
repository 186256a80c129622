"""Warm kernels: one server process imports the libraries once, and every kernel is forked from it.

A fresh kernel spends about five CPU seconds on imports, as much as a whole training in the toy
world. The standard library's forkserver pays that once; jupyter_client's provisioner interface
makes it a kernel like any other.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from tqdm import tqdm

PRELOAD = ["xfer_utils.runs.warm"]
PROVISIONER = "xfer-warm"
LIVE: set["ForkedKernel"] = set()
STOPPED = threading.Event()


class ForkedKernel:
    """A forked kernel behind the few methods of subprocess.Popen that LocalProvisioner uses."""

    stdin = stdout = stderr = None

    def __init__(self, arguments: list[str], environment: dict[str, str], log: str) -> None:
        # Read as the server's libraries load: a thread that waits must not spin on a core that
        # another process could use.
        os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        call = (arguments, environment, log)
        self._process = context.Process(target=serve, args=call, daemon=True)
        with _no_main_module():
            self._process.start()
        self.pid = self._process.pid
        LIVE.add(self)
        if STOPPED.is_set():  # its run was submitted before kill_all, which did not see this kernel
            self.kill()
            self.wait()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        LIVE.discard(self)
        return self._process.exitcode

    def send_signal(self, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class WarmProvisioner(LocalProvisioner):
    """Starts a kernel by forking the warm server."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict:
        """`cmd` is `python -m ipykernel_launcher ARGUMENTS`; only the arguments matter here."""
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        self.process = ForkedKernel(arguments, kwargs.get("env") or {}, self.parent.log_file)
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
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        metadata = {"kernel_provisioner": {"provisioner_name": PROVISIONER}}
        return KernelSpec(
            argv=command, display_name="Python 3", language="python", env=self.environment,
            metadata=metadata,
        )  # fmt: skip


def client_options(log_file: Path, environment: dict[str, str]) -> dict[str, Any]:
    """How nbclient starts and ends a warm kernel: it ends only those of managers it made itself."""
    # Where the package is on the path but not installed, its entry point is not found by itself.
    provided, group = f"{__name__}:WarmProvisioner", KernelProvisionerFactory.GROUP_NAME
    entry = EntryPoint(PROVISIONER, provided, group)
    KernelProvisionerFactory.instance().provisioners.setdefault(PROVISIONER, entry)
    own = {"log_file": str(log_file), "environment": environment}
    manager = type("RunKernelManager", (WarmKernelManager,), own)
    return {"kernel_manager_class": manager, "shutdown_kernel": "immediate"}


def kill_all() -> None:
    """Ends every kernel of this process, also those that threads in flight still start."""
    STOPPED.set()
    for kernel in list(LIVE):
        kernel.kill()


def tell_all() -> None:
    """Has every training saved and ended; a kernel that is not training ends at once."""
    for kernel in list(LIVE):
        kernel.send_signal(signal.SIGUSR1)


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Keeps multiprocessing from importing the launcher's own script again in every kernel."""
    main = sys.modules["__main__"]
    names = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    vars(main).pop("__file__", None)
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(names)


def serve(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """The forked process: own session, the run's environment and log, then a plain ipykernel."""
    os.setsid()
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    os.environ.clear()
    os.environ |= {**environment, "JPY_PARENT_PID": str(os.getppid())}
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    # Progress bars would share a lock between processes, which an ended kernel leaves behind.
    tqdm.set_lock(threading.RLock())
    if threads := environment.get("OMP_NUM_THREADS"):
        import torch

        torch.set_num_threads(int(threads))
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(argv=arguments)


def _end_with_launcher() -> None:
    """A killed launcher's run may be begun anew: no kernel of the dead one must write to it."""
    multiprocessing.parent_process().join()
    os._exit(1)
