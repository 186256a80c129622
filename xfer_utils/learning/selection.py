"""Which checkpoint counts: the last one, or the best on the English dev set of the training task, as in the paper."""

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import TrainerCallback

from xfer_utils.learning.task_model import TaskModel
from xfer_utils.scoring import evaluation
from xfer_utils.sources.data import Data
from xfer_utils.study.tasks import task, training_parts


class EnglishDev(TrainerCallback):
    """Looks at the English dev set every so many steps, stops without gain, and puts the best weights back."""

    def __init__(
        self,
        model: TaskModel,
        data: Data,
        names: list[str],
        every: int,
        patience: int,
        settings: dict,
    ) -> None:
        self.model, self.data, self.names, self.every, self.patience = (
            model,
            data,
            names,
            every,
            patience,
        )
        self.settings, self.best, self.weights, self.looks_without_gain = settings, -1.0, {}, 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A look, where it is time for one."""
        if state.global_step % self.every == 0:
            self._look()
            control.should_training_stop |= self.looks_without_gain >= self.patience
        if control.should_save:
            self._keep(Path(args.output_dir), state.global_step)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A resumed training goes on with the best weights that it had at its checkpoint."""
        if state.global_step:
            self._restore(_best_file(Path(args.output_dir), state.global_step))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A last look, then the best weights."""
        if state.global_step % self.every:
            self._look()
        self.model.load_state_dict(
            self.weights, strict=False
        )  # under LoRA the frozen weights were not copied

    def _keep(self, folder: Path, step: int) -> None:
        """The best so far, stored before the checkpoint of this step; the one before stays until this one is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        found = {"best": str(self.best), "looks": str(self.looks_without_gain)}
        save_file(self.weights, _best_file(folder, step), metadata=found)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The checkpoint is whole: what belongs to earlier ones can go."""
        for path in Path(args.output_dir).glob("best-*.safetensors"):
            if path != _best_file(Path(args.output_dir), state.global_step):
                path.unlink()

    def _restore(self, path: Path) -> None:
        with safe_open(path, framework="pt") as stored:
            self.weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            self.best, self.looks_without_gain = (
                float(stored.metadata()["best"]),
                int(stored.metadata()["looks"]),
            )

    def _look(self) -> None:
        score = dev_mean(self.model, self.data, self.names, self.settings)
        if score > self.best:
            self.best, self.looks_without_gain = score, 0
            frozen = {
                name for name, weight in self.model.named_parameters() if not weight.requires_grad
            }
            state = self.model.state_dict().items()
            self.weights = {
                name: value.detach().cpu().clone() for name, value in state if name not in frozen
            }
        else:
            self.looks_without_gain += 1


def _best_file(folder: Path, step: int) -> Path:
    return folder / f"best-{step}.safetensors"


def callbacks(
    select: str, model: TaskModel, data: Data, names: list[str], *, every: int, patience: int, examples: int,
    max_length: int, doc_stride: int,
) -> list[TrainerCallback]:  # fmt: skip
    """The callback that selects a checkpoint; none for `last`."""
    if select == "last":
        return []
    settings = {"max_length": max_length, "doc_stride": doc_stride, "most": examples}
    return [EnglishDev(model, data, names, every, patience, settings)]


def dev_mean(model: TaskModel, data: Data, names: list[str], settings: dict) -> float:
    """Mean main score of the tasks on English dev; random numbers of the training are left as they were."""
    state = torch.get_rng_state()
    values = []
    for name in names:
        scores, _ = evaluation.score(model, name, data, name, "dev", ["en"], clean=True, **settings)
        values += [score["value"] for score in scores if score["main"]]
    torch.set_rng_state(state)
    model.train()
    return sum(values) / len(values)


def dev_scores(
    model: TaskModel, data: Data, names: list[str], run_dir: Path, *, max_length: int, doc_stride: int, most: int
) -> list[dict]:  # fmt: skip
    """Scores of each trained task on its English dev set, where it has one, with the predictions behind them."""
    scores = []
    for name in names:
        if not all(data.source.has(part, "dev", "en") for part in training_parts(name)):
            continue
        found, frame = evaluation.score(
            model,
            name,
            data,
            name,
            "dev",
            ["en"],
            max_length=max_length,
            doc_stride=doc_stride,
            most=most,
        )
        evaluation.save_predictions(run_dir, name, frame)
        scores += [{**score, "format": task(name).format} for score in found]
    return scores
