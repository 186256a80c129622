"""What keeps a training from being lost, and nonsense from passing for a result."""

import json
import math
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from safetensors.torch import save_file
from transformers import TrainerCallback

from xfer_utils.formats.features import Features
from xfer_utils.study import kept, paths

DIGESTS = "digests.json"  # of a checkpoint's files, written last
CURE = "lower `learning_rate:`, or look at what the training started from"


class Degenerate(RuntimeError):
    """A training whose loss or weights are not numbers."""


class Told(RuntimeError):
    """A training that has stopped because it was told to, with a checkpoint to go on from."""


class Guard(TrainerCallback):
    """Saves every so many minutes, which only long trainings reach; on SIGUSR1 saves and stops.

    It also stops where the loss is not a number, and asks for a dev score after the last step.
    """

    def __init__(self, minutes: float) -> None:
        self.seconds, self.saved, self.told = 60 * minutes, time.monotonic(), False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        with suppress(ValueError):  # only a main thread hears of signals
            signal.signal(signal.SIGUSR1, lambda *_: setattr(self, "told", True))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        due = time.monotonic() - self.saved > self.seconds
        self.told, due = broadcast_object_list([self.told, due])  # several processes save as one
        control.should_save |= self.told or due
        last = state.global_step == state.max_steps
        control.should_evaluate |= args.load_best_model_at_end and last

    def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        loss = (more.get("logs") or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            step = f"step {state.global_step} of {state.max_steps}"
            raise Degenerate(f"the loss is {loss}, no number, by {step}: {CURE}.")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        place = Path(args.output_dir, f"checkpoint-{state.global_step}")
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            digests = {file.name: kept.digest(file) for file in place.iterdir() if file.is_file()}
            (place / DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
        self.saved = time.monotonic()
        if self.told:
            raise Told(f"told to stop: step {state.global_step} of {state.max_steps} is saved.")


class Keep(TrainerCallback):
    """Keeps the weights at so many moments, equally far apart, each with its English dev score."""

    def __init__(self, model: Any, folder: Path, count: int, dev_score: Callable) -> None:
        self.model, self.folder, self.count, self.dev_score = model, folder, count, dev_score

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step in np.linspace(0, state.max_steps, self.count + 1).round()[1:]:
            weights, about = self.model.state_dict(), {"english_dev": str(self.dev_score())}
            weights = {name: weights[name].contiguous() for name in weights}
            with paths.replacing(self.folder / f"{state.global_step:09}.safetensors") as temporary:
                save_file(weights, temporary, about)


def last_checkpoint(folder: Path) -> Path | None:
    """The latest checkpoint that is as it was saved; later ones are set aside."""
    places = folder.glob("checkpoint-*")
    for place in sorted(places, key=lambda path: -int(path.name.partition("-")[2])):
        if not (damaged := kept.damaged(place, DIGESTS)):
            return place
        kept.set_aside(place, f"not as it was saved: {', '.join(damaged)}")
    return None


def check_weights(model: torch.nn.Module, name: str) -> None:
    """Refuses weights that are not numbers: scores made with them would pass for a result."""
    broken = [key for key, weight in model.named_parameters() if not weight.isfinite().all()]
    if broken:
        raise Degenerate(f"{name} has weights that are no numbers ({broken[0]}): {CURE}.")


def oddities(tasks: dict[str, Features], losses: list[tuple[int, float]]) -> list[str]:
    """What makes a training worthless though it ran through, in words."""
    found = []
    for name, part in tasks.items():
        gold = part.arrays.get("labels", part.arrays.get("target"))
        gold = gold if gold is None or gold.ndim > 1 else gold[gold >= 0]
        if gold is not None and len(np.unique(gold, axis=0)) < 2:
            found.append(f"all training examples of {name} have the same label")
        first, ids = part.slice("ids", 0), part.arrays["ids"]
        alike = len(part) > 1 and np.ptp(part.lengths) == 0
        if alike and (ids.reshape(-1, len(first)) == first).all():
            found.append(f"all training examples of {name} read the same")
    values = [loss for _, loss in losses] or [0.0]
    begin = values[0]
    # The losses of a mixture's tasks may be far apart, whichever comes first.
    if max(values) > max((3 if len(tasks) == 1 else 12) * begin, begin + 2):
        found.append(f"the loss rose from {begin:.2f} to {max(values):.2f}")
    return found
