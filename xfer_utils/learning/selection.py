"""Which checkpoint counts: the last, or the best on English dev of the training task (paper)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import TrainerCallback

from xfer_utils.learning.task_model import TaskModel
from xfer_utils.sources.data import Data
from xfer_utils.study.jobs import TrainingJob
from xfer_utils.study.sections import Training


class EnglishDev(TrainerCallback):
    """Scores English dev every so many steps, stops without gain, and restores the best weights."""

    def __init__(
        self, model: TaskModel, settings: Training, dev_score: Callable[[], float]
    ) -> None:  # fmt: skip
        self.model, self.dev_score = model, dev_score
        self.every, self.patience = settings.eval_steps, settings.patience
        self.best, self.weights, self.looks_without_gain = -1.0, {}, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A resumed training goes on with the best weights that it had at its checkpoint."""
        if state.global_step:
            self._restore(_best_file(args, state))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every == 0:
            self._look()
            control.should_training_stop |= self.looks_without_gain >= self.patience
        if control.should_save:  # written before the rest of the checkpoint, and removed with it
            self._store(_best_file(args, state))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every:
            self._look()
        # Not strict: weights that LoRA keeps frozen were not copied.
        self.model.load_state_dict(self.weights, strict=False)

    def _look(self) -> None:
        score = self.dev_score()
        self.looks_without_gain += 1
        if score > self.best:
            self.best, self.looks_without_gain = score, 0
            weights = self.model.named_parameters()
            frozen = {name for name, weight in weights if not weight.requires_grad}
            state = self.model.state_dict().items()
            trained = {name: value for name, value in state if name not in frozen}
            self.weights = {name: value.detach().cpu().clone() for name, value in trained.items()}

    def _store(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        looks = {"best": str(self.best), "looks": str(self.looks_without_gain)}
        save_file(self.weights, path, metadata=looks)

    def _restore(self, path: Path) -> None:
        with safe_open(path, framework="pt") as stored:
            self.weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            looks = stored.metadata()
        self.best, self.looks_without_gain = float(looks["best"]), int(looks["looks"])


def _best_file(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}" / "best.safetensors"


def callbacks(
    job: TrainingJob, model: TaskModel, data: Data, tasks: list[str], score: Callable
) -> list[TrainerCallback]:  # fmt: skip
    """The callback that selects a checkpoint by `scoring.evaluation.score`; none for `last`."""
    if job.select == "last":
        return []
    return [EnglishDev(model, job, lambda: dev_mean(job, model, data, tasks, score))]


def dev_mean(
    job: TrainingJob, model: TaskModel, data: Data, tasks: list[str], score: Callable
) -> float:  # fmt: skip
    """Mean main score of the tasks on English dev; leaves the training's random numbers alone."""
    random_state = torch.get_rng_state()
    values, how = [], {"most": job.dev_examples, "clean": True, **job.row_size}
    for name in tasks:
        scores, _ = score(model, name, data, name, "dev", ["en"], **how)
        values += [row["value"] for row in scores if row["main"]]
    torch.set_rng_state(random_state)
    model.train()
    return sum(values) / len(values)
