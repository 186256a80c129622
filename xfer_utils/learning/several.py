"""One training in several processes, one a GPU: each learns from a part of every batch.

The parts add up to the batch, so what is learnt is what one process learns, but for rounding and
for what is random in a part.
"""

import json
import multiprocessing
import os
import pickle
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

PROCESSES = "XFER_PROCESSES"  # by this the launcher says how many


def processes() -> int:
    """How many processes this training is to be spread over; 1 inside one of them."""
    return 1 if "RANK" in os.environ else int(os.environ.get(PROCESSES, "1"))


def spread(train: Callable[..., dict], model: Any, run_dir: Path, **how: Any) -> dict[str, Any]:
    """Has `train` called in several processes; the model gets the weights that they end with."""
    number, cards = processes(), torch.cuda.device_count()
    if 0 < cards < number:
        raise ValueError(f"`gpus_per_run: {number}`, but this run sees {cards} of them.")
    multiprocessing.current_process().daemon = False  # as a warm kernel is, which may start none
    device = next(model.parameters()).device
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = pickle.dumps((train, {"model": model.cpu(), "run_dir": run_dir, **how}))
    torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory(prefix=".trained-", dir=run_dir) as place:
        file = Path(place, "weights.safetensors")
        started = torch.multiprocessing.spawn(_one, (number, port, given, file), number, join=False)
        signal.signal(signal.SIGUSR1, lambda *_: os.kill(started.pids()[0], signal.SIGUSR1))
        while not started.join():
            pass
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        model.load_state_dict(load_file(file))
        with safe_open(file, "pt") as written:
            about = json.loads(written.metadata()["about"])
    model.kept = list(map(Path, about["kept"]))
    model.to(device).eval()
    return about["summary"] | {"processes": number}


def _one(rank: int, number: int, port: int, given: bytes, file: Path) -> None:
    """One of several processes; accelerate reads in the environment which one it is."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # torch has it sent when the kernel has died
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": number, "LOCAL_WORLD_SIZE": number}
    names |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in names.items()}
    train, how = pickle.loads(given)
    model = how["model"]
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)
        model.cuda()
    summary = train(**how)
    # Of weights in shards each process has a part, and all have to ask for the whole.
    whole = {k: getattr(w, "full_tensor", lambda w=w: w)() for k, w in model.state_dict().items()}
    if rank == 0:
        about = json.dumps({"summary": summary, "kept": list(map(str, model.kept))})
        save_file({k: w.contiguous() for k, w in whole.items()}, file, {"about": about})
