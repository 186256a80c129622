"""How far a training is: a line in the notebook, and a file that a launcher reads."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from IPython import get_ipython
from IPython.display import display
from transformers import TrainerCallback

from xfer_utils.study import paths

FILE = "progress.json"
SHOW_SECONDS, PRINT_SECONDS = 1.0, 60.0


class Progress(TrainerCallback):
    """Step, loss and time left, at most once a second.

    In a notebook one line changes in place. Papermill's log does not see such changes, so a
    training of minutes also prints a line now and then, twenty at most.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path, self.loss, self.line = run_dir / FILE, torch.tensor(float("nan")), None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.begin, self.first_step = time.monotonic(), state.global_step
        self.shown = self.printed = self.begin
        if get_ipython() is not None:
            self.line = display({"text/plain": "starting"}, raw=True, display_id=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if time.monotonic() - self.shown > SHOW_SECONDS:
            self._show(state)

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if time.monotonic() - self.printed > PRINT_SECONDS:
            self.printed = time.monotonic()
            print(self._show(state), flush=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._show(state)

    def _show(self, state: Any) -> str:
        self.shown = time.monotonic()
        step, steps = state.global_step, state.max_steps
        seconds_a_step = (self.shown - self.begin) / max(1, step - self.first_step)
        numbers = {"step": step, "steps": steps, "loss": round(float(self.loss), 4)}
        numbers |= {"seconds_left": round(seconds_a_step * (steps - step), 1), "time": time.time()}
        with paths.replacing(self.path) as temporary:
            temporary.write_text(json.dumps(numbers), encoding="utf-8")
        minutes, seconds = divmod(round(numbers["seconds_left"]), 60)
        text = f"step {step}/{steps}  loss {self.loss:.3f}  {minutes} min {seconds:02d} s left"
        if self.line:
            self.line.update({"text/plain": text}, raw=True)
        return text
