"""One training loop for single tasks, mixtures, and masked LM (alone or alongside a task)."""

import gc
import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from xfer_utils.formats.features import Features
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import batches, encoders
from xfer_utils.learning.progress import Progress
from xfer_utils.learning.task_model import TaskModel
from xfer_utils.sources.data import Data
from xfer_utils.study.jobs import TrainingJob
from xfer_utils.study.sections import Training


def read_examples(job: TrainingJob, tasks: list[str]) -> tuple[Data, dict[str, Features]]:
    """The job's data, and the English training examples of its tasks as token ids.

    Examples are cleaned of what the study evaluates; tokenised ones are shared between runs.
    """
    tokenizer = encoders.load_tokenizer(job.parent)
    spare = job.dev_examples if job.select == "english_dev" else 0
    data = Data(job.source, job.world, job.splits, tokenizer, job.held_out, spare)
    how = {"most": job.max_examples, "clean": True, **job.row_size}
    return data, {name: data.features(name, "train", **how) for name in tasks}


class Units(torch.utils.data.Dataset):
    """Training units of several tasks; asked for a whole batch, it answers with model input."""

    def __init__(
        self, tasks: dict[str, Features], tokenizer: Any, sampler: batches.Batches, masked: float
    ) -> None:  # fmt: skip
        self.names, self.features = list(tasks), list(tasks.values())
        self.pad, self.masking = tokenizer.pad_token_id, Masking.of(tokenizer, masked)
        self.sampler = sampler

    def __len__(self) -> int:
        return sum(len(features.units) - 1 for features in self.features)

    def __getitems__(self, indices: list[tuple[int, int]]) -> dict:
        number, units = indices[0][0], [unit for _, unit in indices]
        features = self.features[number]
        seed = (self.sampler.seed, self.sampler.epoch, number, units[0])
        masking = replace(self.masking, seed=seed)
        return batches.collate(self.names[number], features, units, self.pad, masking)


class BatchTrainer(Trainer):
    """transformers' Trainer with our batches and the model's own loss."""

    def __init__(self, *, units: Units, progress: Progress, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.progress = units, progress

    def get_train_dataloader(self) -> torch.utils.data.DataLoader:
        """Whole batches from the sampler: seed and epoch order them, so resuming sees the same."""
        loader = torch.utils.data.DataLoader(
            self.units, batch_sampler=self.units.sampler, collate_fn=lambda batch: batch,
            pin_memory=torch.cuda.is_available(),
        )  # fmt: skip
        return self.accelerator.prepare(loader)

    def compute_loss(self, model: Any, inputs: dict, **_: Any) -> torch.Tensor:
        """The loss of the batch's own task."""
        loss = model(**inputs)["loss"]
        self.progress.loss = loss.detach()
        return loss

    def floating_point_ops(self, inputs: dict) -> int:
        """Not counted: a run's cost is reckoned from its tokens."""
        return 0


class _Checkpoints(TrainerCallback):
    """Saves every so many minutes, so that only long trainings pay for it."""

    def __init__(self, minutes: float) -> None:
        self.seconds, self.last = 60 * minutes, time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if time.monotonic() - self.last > self.seconds:
            control.should_save, self.last = True, time.monotonic()


def train(
    model: TaskModel, tasks: dict[str, Features], tokenizer: Any, settings: Training,
    run_dir: Path, *, seed: int, cap: int = 0, weights: tuple[float, ...] = (),
    masked: float = 0.15, callbacks: list[TrainerCallback] = (),
) -> dict[str, Any]:  # fmt: skip
    """Trains the model in place; returns steps, examples, mean row length, losses, seconds.

    Several tasks are mixed in proportion to their sizes (at most `cap` each) times `weights`.
    Resumes from the run's last checkpoint where there is one.
    """
    sampler = batches.Batches(
        list(tasks.values()), settings.batch_size, seed, settings.batching,
        list(weights) or None, cap,
    )  # fmt: skip
    set_seed(seed)
    start = _start_hash(model, tasks, settings, [seed, cap, weights, masked])
    checkpoints = run_dir / "checkpoints" / start
    progress = Progress(run_dir)
    trainer = BatchTrainer(
        units=Units(tasks, tokenizer, sampler, masked), progress=progress, model=model,
        args=arguments(settings, checkpoints, seed, model.bf16),
        callbacks=[_Checkpoints(settings.checkpoint_minutes), *callbacks, progress],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    last = last_checkpoint(checkpoints)
    begin = time.perf_counter()
    gc.freeze()  # the Trainer collects garbage first; what lives by now need not be searched
    outcome = trainer.train(resume_from_checkpoint=str(last) if last else None)
    gc.unfreeze()
    model.eval()
    steps, log = trainer.state.global_step, trainer.state.log_history
    return {
        "steps": steps,
        "resumed_from": last.name if last else "",
        "batch_size": settings.batch_size,
        "examples": steps * settings.batch_size * settings.accumulation,
        "mean_row_tokens": round(float(np.mean([p.lengths.mean() for p in tasks.values()])), 2),
        "loss": round(outcome.training_loss, 4),
        "seconds": round(time.perf_counter() - begin, 2),
        "losses": [[row["step"], round(row["loss"], 4)] for row in log if "loss" in row],
    }


def _start_hash(
    model: TaskModel, tasks: dict[str, Features], settings: Training, more: list
) -> str:  # fmt: skip
    """A hash of what a training starts from: one with other settings or data resumes nothing."""
    weights = [weight.detach().flatten()[:8].tolist() for weight in model.parameters()]
    sizes = {name: [len(part), int(part.lengths.sum())] for name, part in tasks.items()}
    chosen = settings.model_dump(include=Training.model_fields.keys() - {"checkpoint_minutes"})
    return hashlib.sha256(json.dumps([chosen, more, sizes, weights]).encode()).hexdigest()[:10]


def last_checkpoint(folder: Path) -> Path | None:
    """The latest checkpoint that is whole: the Trainer writes its own state last."""
    whole = {}
    for path in folder.glob("checkpoint-*"):
        try:
            state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            whole[state["global_step"]] = path
        except (OSError, ValueError, KeyError):
            continue
    return whole[max(whole)] if whole else None


def arguments(settings: Training, folder: Path, seed: int, bf16: bool) -> TrainingArguments:
    """TrainingArguments for these settings."""
    cuda = torch.cuda.is_available()
    options = TrainingArguments(
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
        seed=seed,
        save_strategy="no",
        save_total_limit=1,
        logging_steps=0.05,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not cuda,
    )
    if cuda:
        # The Trainer would split a batch over all GPUs it sees; places of tokens count through it.
        options._n_gpu = 1
    return options
