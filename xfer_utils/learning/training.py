"""One Trainer subclass for everything that is trained: single tasks, mixtures, and masked LM (alone or alongside)."""

import gc
import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from xfer_utils.formats.features import Features
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import batches
from xfer_utils.learning.task_model import TaskModel


@dataclass
class Settings:
    """How to train; a job notebook fills it from its parameters, whose defaults stand in params.Training."""

    learning_rate: float
    epochs: int
    batch_size: int
    seed: int
    max_steps: int = 0
    accumulation: int = 1
    warmup: float = 0.1
    weight_decay: float = 0.01
    adam_epsilon: float = 1.0e-8
    beta2: float = 0.999
    max_grad_norm: float = 1.0
    batching: str = "random"
    checkpoint_minutes: float = 20.0
    masked: float = 0.15
    cap: int = 0
    weights: tuple[float, ...] = ()


class Units(torch.utils.data.Dataset):
    """Training units of several tasks; asked for a whole batch at once, it answers with the model's input."""

    def __init__(self, tasks: dict[str, Features], tokenizer: Any, settings: Settings) -> None:
        self.names, self.features = list(tasks), list(tasks.values())
        self.pad, self.masking = tokenizer.pad_token_id, Masking.of(tokenizer, settings.masked)
        self.seed, self.epoch = settings.seed, 0

    def __len__(self) -> int:
        return sum(len(features.units) - 1 for features in self.features)

    def __getitems__(self, indices: list[tuple[int, int]]) -> dict:
        number, units = indices[0][0], [unit for _, unit in indices]
        masking = replace(self.masking, seed=(self.seed, self.epoch, number, units[0]))
        features = self.features[number]
        return batches.collate(self.names[number], features, units, self.pad, masking)


class BatchTrainer(Trainer):
    """transformers' Trainer with our batches and the model's own loss."""

    def __init__(self, *, units: Units, sampler: batches.Batches, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.sampler = units, sampler

    def get_train_dataloader(self) -> torch.utils.data.DataLoader:
        """Whole batches from the sampler; its order is set by seed and epoch, so a resumed run sees the same ones."""
        loader = torch.utils.data.DataLoader(
            self.units, batch_sampler=_EpochSampler(self.sampler, self.units), collate_fn=lambda batch: batch,
            pin_memory=torch.cuda.is_available(),
        )  # fmt: skip
        return self.accelerator.prepare(loader)

    def compute_loss(self, model: Any, inputs: dict, **_: Any) -> torch.Tensor:
        """The loss of the batch's own task."""
        return model(**inputs)["loss"]

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """Weights that are tied (masked LM's output layer to the embeddings) are stored once."""
        places: dict[int, str] = {}
        weights = self.model.state_dict()
        for name, value in weights.items():
            places.setdefault(value.data_ptr(), name)
        super()._save(output_dir, {name: weights[name] for name in places.values()})

    def floating_point_ops(self, inputs: dict) -> int:
        """Not counted: the plan's cost model uses tokens."""
        return 0


class _EpochSampler(torch.utils.data.Sampler):
    """Passes the epoch on to the units too: masked tokens change with it."""

    def __init__(self, sampler: batches.Batches, units: Units) -> None:
        self.sampler, self.units = sampler, units

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)
        self.units.epoch = epoch

    def __iter__(self) -> Any:
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)


class _Checkpoints(TrainerCallback):
    """Saves every so many minutes: only long trainings pay for it."""

    def __init__(self, minutes: float) -> None:
        self.seconds, self.last = 60 * minutes, time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if time.monotonic() - self.last > self.seconds:
            control.should_save, self.last = True, time.monotonic()


def train(
    model: TaskModel, tasks: dict[str, Features], tokenizer: Any, settings: Settings, run_dir: Path,
    callbacks: list[TrainerCallback] = (),
) -> dict[str, Any]:  # fmt: skip
    """Trains the model in place and says what was done: steps, examples, the mean length of a row, losses.

    Resumes from the run's last checkpoint where there is one.
    """
    sampler = batches.Batches(
        list(tasks.values()), settings.batch_size, settings.seed, settings.batching,
        list(settings.weights) or None, settings.cap,
    )  # fmt: skip
    units = Units(tasks, tokenizer, settings)
    set_seed(settings.seed)
    checkpoints = run_dir / "checkpoints" / _beginning(model, tasks, settings)
    trainer = BatchTrainer(
        units=units, sampler=sampler, model=model, args=arguments(settings, checkpoints, model.bf16),
        callbacks=[_Checkpoints(settings.checkpoint_minutes), *callbacks],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)  # the record has the losses
    last = last_checkpoint(checkpoints)
    begun = time.perf_counter()
    gc.freeze()  # a training begins by collecting garbage: what is alive by now need not be looked through
    outcome = trainer.train(resume_from_checkpoint=str(last) if last else None)
    gc.unfreeze()
    seconds = time.perf_counter() - begun
    model.eval()
    steps = trainer.state.global_step
    mean_tokens = float(np.mean([features.lengths.mean() for features in tasks.values()]))
    return {
        "steps": steps,
        "resumed_from": last.name if last else "",
        "batch_size": settings.batch_size,
        "examples": steps * settings.batch_size * settings.accumulation,
        "mean_row_tokens": round(mean_tokens, 2),
        "loss": round(outcome.training_loss, 4),
        "seconds": round(seconds, 2),
        "losses": [
            [row["step"], round(row["loss"], 4)]
            for row in trainer.state.log_history
            if "loss" in row
        ],
    }


def _beginning(model: TaskModel, tasks: dict[str, Features], settings: Settings) -> str:
    """A hash of what a training starts from: a notebook that is run again with other settings resumes nothing."""
    weights = [weight.detach().flatten()[:8].tolist() for weight in model.parameters()]
    sizes = {name: [len(features), int(features.lengths.sum())] for name, features in tasks.items()}
    given = {**asdict(settings), "checkpoint_minutes": 0}  # when to save changes nothing
    return hashlib.sha256(json.dumps([given, sizes, weights]).encode()).hexdigest()[:10]


def last_checkpoint(folder: Path) -> Path | None:
    """The latest checkpoint that was written to its end: the Trainer writes its own state last."""
    whole = {}
    for path in folder.glob("checkpoint-*"):
        try:
            whole[
                json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]
            ] = path
        except (OSError, ValueError, KeyError):
            continue
    return whole[max(whole)] if whole else None


def arguments(settings: Settings, folder: Path, bf16: bool) -> TrainingArguments:
    """What the Trainer is told."""
    cuda = torch.cuda.is_available()
    made = TrainingArguments(
        output_dir=str(folder),
        learning_rate=settings.learning_rate,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        adam_epsilon=settings.adam_epsilon,
        adam_beta2=settings.beta2,
        max_grad_norm=settings.max_grad_norm,
        bf16=bf16,
        seed=settings.seed,
        save_strategy="no",
        save_total_limit=1,
        logging_strategy="steps",
        logging_steps=0.05,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        include_num_input_tokens_seen="no",
        dataloader_pin_memory=cuda,
        use_cpu=not cuda,
    )
    if cuda:
        # Without this the Trainer splits batches over all GPUs it sees, but token positions index the whole batch.
        made._n_gpu = 1
    return made
