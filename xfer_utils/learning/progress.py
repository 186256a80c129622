"""How far a training is: one line with step, time left and loss, in notebooks and in logs."""

import sys
from typing import Any

import torch
from tqdm import tqdm
from transformers import TrainerCallback

SECONDS = 5.0  # papermill keeps every update


class Progress(TrainerCallback):
    """A bar on standard output; `loss` is that of the latest batch."""

    loss = torch.tensor(float("nan"))

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        steps = {"initial": state.global_step, "total": state.max_steps, "unit": "step"}
        self.bar = tqdm(**steps, mininterval=SECONDS, file=sys.stdout, ncols=80)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.bar.update():  # only now and then, as reading the loss waits for the GPU
            self.bar.set_postfix_str(f"loss {self.loss:.3f}")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.set_postfix_str(f"loss {self.loss:.3f}", refresh=False)
        self.bar.close()
