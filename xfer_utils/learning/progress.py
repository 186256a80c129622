"""How far a training is: a line in the notebook, in papermill's log, and for the launcher."""

import time
from pathlib import Path
from typing import Any

import torch
from IPython import get_ipython
from IPython.display import display
from transformers import TrainerCallback

from xfer_utils.study import paths

SHOW_SECONDS, PRINT_SECONDS = 1.0, 60.0


class Progress(TrainerCallback):
    """In a notebook one line changes in place; long trainings print to the log, too."""

    def __init__(self, run_dir: Path) -> None:
        self.file, self.loss, self.line = run_dir / paths.PROGRESS, torch.tensor(float("nan")), None

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
        minutes, seconds = divmod(round(seconds_a_step * (steps - step)), 60)
        text = f"step {step}/{steps}  loss {self.loss:.3f}  {minutes} min {seconds:02d} s left"
        self.file.write_text(text, encoding="utf-8")
        if self.line:
            self.line.update({"text/plain": text}, raw=True)
        return text
