"""Where an encoder comes from: a run's folder, another local folder, or a commit on the hub."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from httpx2 import HTTPError
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError

from xfer_utils.sources import client_errors
from xfer_utils.sources.base import digest
from xfer_utils.sources.folder import content
from xfer_utils.study import kept, paths

POINTER = "pointer.json"
CLIENT_ERRORS = (OSError, ValueError, RuntimeError, SafetensorError, EOFError, HTTPError)


class ModelProblem(Exception):
    """An encoder that cannot be had or used; the message says what to do."""


@dataclass(frozen=True)
class Origin:
    """What from_pretrained is asked for, and how the study wants the encoder to be used."""

    model: str
    revision: str = ""
    head_pooling: str = "auto"
    attention: str = "auto"

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of from_pretrained: the commit, and never code from elsewhere."""
        return {"trust_remote_code": False, "revision": self.revision or "main"}


def of_run(run_dir: Path) -> Origin:
    """The run's own encoder folder, or the model that it points to."""
    kept.check_run(run_dir)
    folder = run_dir / "encoder"
    if (folder / POINTER).exists():
        origin = Origin(**json.loads((folder / POINTER).read_text(encoding="utf-8")))
        return replace(origin, model=str(local_folder(origin.model) or origin.model))
    if not (folder / "config.json").exists():
        raise ModelProblem(
            f"There is no encoder in {folder}: run notebooks/10_encoder.ipynb (and "
            "20_intermediate.ipynb) first, or all in order by `xfer run params/smoke.yaml`."
        )
    return Origin(str(folder))


def local_folder(load: str) -> Path | None:
    """The folder that `load` names, relative ones from the project; None for a hub id."""
    folder = paths.resolve(load)
    if (folder / "config.json").is_file():
        return folder
    if load.startswith(("/", "./", "../", "~")) or load.count("/") > 1 or folder.is_dir():
        raise ModelProblem(
            f"{folder} holds no model: a folder with config.json, the weights (*.safetensors) and "
            "the tokenizer is needed. A model on the hub is named owner/name."
        )
    return None


def layers(load: str, revision: str) -> int | None:
    """How many layers a model has, as far as this machine knows its configuration."""
    folder = local_folder(load)
    with explained(load):
        file = folder / "config.json" if folder else None
        file = file or try_to_load_from_cache(load, "config.json", revision=revision)
        config = json.loads(Path(file).read_text("utf-8")) if isinstance(file, str | Path) else {}
    names = ("num_hidden_layers", "n_layer", "num_layers")
    return next((config[name] for name in names if name in config), None)


def fingerprint(load: str) -> str:
    """A hash of a local model's files, for the ids of runs that build on it; empty for a hub id."""
    folder = local_folder(load)
    return digest(content(folder, "*")) if folder else ""


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turns what the libraries raise while a model is fetched or read into one sentence."""
    try:
        yield
    except Exception as error:
        # The other class is named by its name: `pickle` would have to be imported.
        if not isinstance(error, CLIENT_ERRORS) and type(error).__name__ != "UnpicklingError":
            raise
        message = client_errors.sentence(name, error, client_errors.MODEL)
        raise ModelProblem(message) from error
