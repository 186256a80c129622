"""How far a training is: a line in the notebook, and a file that a launcher reads."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from IPython import get_ipython
from IPython.display import TextDisplayObject, display
from transformers import TrainerCallback

from xfer_utils.study import paths

FILE = "progress.json"
EVERY, PRINTED_EVERY = 1.0, 60.0  # seconds


class Line(TextDisplayObject):
    """A line of plain text as a notebook shows it."""

    def __repr__(self) -> str:
        return self.data


class Progress(TrainerCallback):
    """Step, loss and time left, at most once a second.

    In a notebook one line changes in place. Papermill's log does not see such changes, so a
    training of minutes also prints a line now and then, at most twenty of them.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path, self.loss, self.handle = run_dir / FILE, torch.tensor(float("nan")), None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.first, self.begin = state.global_step, time.monotonic()
        self.shown = self.printed = self.begin
        if get_ipython() is not None:
            self.handle = display(Line("starting"), display_id=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if time.monotonic() - self.shown > EVERY:
            self._show(state)

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if time.monotonic() - self.printed > PRINTED_EVERY:
            self.printed = time.monotonic()
            print(self._line(self._numbers(state)), flush=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._show(state)

    def _show(self, state: Any) -> None:
        self.shown = time.monotonic()
        numbers = self._numbers(state)
        with paths.replacing(self.path) as temporary:
            temporary.write_text(json.dumps(numbers), encoding="utf-8")
        if self.handle:
            self.handle.update(Line(self._line(numbers)))

    def _numbers(self, state: Any) -> dict[str, Any]:
        step, steps = state.global_step, state.max_steps
        seconds = (time.monotonic() - self.begin) / max(1, step - self.first)
        return {
            "step": step,
            "steps": steps,
            "loss": round(float(self.loss), 4),
            "seconds_left": round(seconds * (steps - step), 1),
            "time": time.time(),
        }

    @staticmethod
    def _line(numbers: dict[str, Any]) -> str:
        minutes, seconds = divmod(round(numbers["seconds_left"]), 60)
        left = f"{minutes} min {seconds:02d} s left" if numbers["seconds_left"] else "done"
        return f"step {numbers['step']}/{numbers['steps']}  loss {numbers['loss']:.3f}  {left}"
