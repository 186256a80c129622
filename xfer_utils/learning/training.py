"""One training loop for single tasks, mixtures and masked LM."""

import gc
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate.data_loader import prepare_data_loader
from accelerate.utils import broadcast_object_list
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

from xfer_utils.formats.features import Features
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import alongside, batches, encoders, guard, packing, several
from xfer_utils.learning.progress import Progress
from xfer_utils.learning.task_model import TaskModel
from xfer_utils.sources.base import digest
from xfer_utils.sources.data import Data
from xfer_utils.study.jobs import TrainingJob
from xfer_utils.study.sections import Training


def read_examples(job: TrainingJob, tasks: list[str]) -> tuple[Data, dict[str, Features]]:
    """The job's data, and its tasks' training examples, cleaned, as token ids.

    What an arm adds to them (other tasks, text) is among the examples too.
    """
    tokenizer = encoders.load_tokenizer(job.parent)
    spare = job.dev_examples if job.chooses else 0
    held_out = {"held_out": job.held_out, "spare": spare}
    mixed = {"mixture": job.mixture, "seed": job.seed}
    data = Data(job.source, job.world, job.splits, tokenizer, **held_out, **mixed)
    how = {"most": job.max_examples, "clean": True, **job.row_size}
    examples = {name: data.features(name, "train", **how) for name in tasks}
    if added := [name for name in job.mixture.tasks if name not in tasks]:
        examples |= alongside.other_tasks(data, job, added)
    if job.mixture.text.rate:
        beside = [examples[name] for name in job.mixture.tasks]
        examples["text"] = alongside.text_rows(data, job, beside)
    return data, examples


def dev_mean(
    job: TrainingJob, model: TaskModel, data: Data, tasks: list[str], score: Callable
) -> float:
    """Mean main score (by scoring.evaluation.score) on English dev."""
    values, how = [], {"most": job.dev_examples, "clean": True, **job.row_size}
    for name in tasks:
        scores, _ = score(model, name, data, name, "dev", ["en"], **how)
        values += [row["value"] for row in scores if row["main"]]
    return sum(values) / len(values)


class Units(torch.utils.data.Dataset):
    """Training units of several tasks; asked for a whole batch, it answers with model input."""

    def __init__(
        self, tasks: dict, tokenizer: Any, sampler: batches.Batches, masked: float, per_token: int
    ) -> None:
        self.tasks, self.sampler, self.per_token = list(tasks.items()), sampler, per_token
        self.pad, self.masking = tokenizer.pad_token_id, Masking.of(tokenizer, masked)

    def __getitems__(self, indices: list[tuple[int, int]]) -> dict:
        number, units = indices[0][0], [unit for _, unit in indices]
        seed = (self.sampler.seed, self.sampler.epoch, number, units[0])
        masking = replace(self.masking, seed=seed)
        batch = batches.collate(*self.tasks[number], units, self.pad, masking, self.per_token)
        return batch | {"indices": indices}

    def parts(self, batch: dict, count: int) -> list[dict]:
        """A batch as several of about as many units; `share` is the part of its loss in each."""
        indices = batch["indices"]
        cuts = np.linspace(0, len(indices), min(count, len(indices)) + 1).round().astype(int)
        parts = [self.__getitems__(indices[a:b]) for a, b in pairwise(cuts)]
        shares = [len(part["labels"]) / max(1, len(batch["labels"])) for part in parts]
        return [part | {"share": share} for part, share in zip(parts, shares, strict=True)]


class BatchTrainer(Trainer):
    """transformers' Trainer with our batches, the model's own loss and our dev score."""

    def __init__(self, *, units: Units, progress: Progress, dev_score: Callable, **kwargs: Any):
        super().__init__(eval_dataset=units, **kwargs)
        self.units, self.progress, self.dev_score = units, progress, dev_score
        self.tally = Counter()  # of batches and tokens; tensors, so that nobody waits for them
        self.parts, self.waiting = 1, []
        if self.is_world_process_zero():
            self.add_callback(progress)

    def get_train_dataloader(self) -> torch.utils.data.DataLoader:
        """Whole batches from the sampler: seed and epoch order them, so resuming sees the same."""
        sampler, cuda = self.units.sampler, torch.cuda.is_available()
        how = {"batch_sampler": sampler, "collate_fn": lambda batch: batch, "pin_memory": cuda}
        loader = torch.utils.data.DataLoader(self.units, **how)
        # Each of several processes gets whole batches, too, and takes its part of them.
        return prepare_data_loader(loader, self.args.device, 1, 0, put_on_device=True)

    def compute_loss(self, model: Any, inputs: dict, **_: Any) -> torch.Tensor:
        """The loss of the batch's own task."""
        inputs = {name: value for name, value in inputs.items() if name != "indices"}
        share = inputs.pop("share", 1.0)
        loss = share * model(**inputs)["loss"]
        self.progress.loss = loss.detach() / (share or 1.0)
        return loss

    def get_batch_samples(self, *args: Any) -> tuple:
        """The batches of the next step: none of their gradients is there yet."""
        self.waiting = []
        return super().get_batch_samples(*args)

    def training_step(self, model: Any, inputs: dict, *_: Any) -> torch.Tensor:
        """One batch, in one go or in parts; where memory is out, in twice as many from then on.

        Parts add up to the batch's own gradient, but for what is random in them. Pairs are
        compared within a part.
        """
        self.waiting.append(inputs)
        try:
            return self._in_parts(model, inputs)
        except torch.OutOfMemoryError:
            if self.parts >= len(inputs["indices"]) or self.args.world_size > 1:
                raise
        self.parts *= 2
        step, parts = self.state.global_step, self.parts
        print(f"Out of memory: from step {step} on in {parts} parts a batch.")
        torch.cuda.empty_cache()
        model.zero_grad()  # with it goes what earlier batches of this step have given
        earlier, self.waiting = self.waiting[:-1], []
        for batch in earlier:
            self.training_step(model, batch)
        return self.training_step(model, inputs)

    def _in_parts(self, model: Any, inputs: dict) -> torch.Tensor:
        mask, packed = inputs["attention_mask"], inputs.get("packed")
        laid_out = mask if packed is None else packed
        self.tally.update(batches=1, packed=packed is not None, laid_out=laid_out.numel())
        self.tally.update(real=mask.sum())
        number, step = self.args.world_size, super().training_step
        if number == 1:
            parts = self.units.parts(inputs, self.parts) if self.parts > 1 else [inputs]
            return sum(step(model, part) for part in parts)
        parts = self.units.parts(inputs, number)
        parts += [parts[0] | {"share": 0.0}] * (number - len(parts))
        mine = parts[self.args.process_index]
        # Gradients are averaged over the processes; the parts are to be added up.
        loss = step(model, mine | {"share": number * mine["share"]})
        return self.accelerator.reduce(loss, "mean")

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The dev score, by which the Trainer stops and chooses a checkpoint."""
        (score,) = broadcast_object_list([self.dev_score()])
        values, handler = {"eval_score": score}, self.callback_handler
        self.control = handler.on_evaluate(self.args, self.state, self.control, values)
        return values


def train(
    model: TaskModel, tasks: dict[str, Features], tokenizer: Any, settings: Training,
    run_dir: Path, *, seed: int, cap: int = 0, masked: float = 0.15,
    dev_score: Callable[[], float] | None = None, callbacks: list[TrainerCallback] = (),
) -> dict[str, Any]:  # fmt: skip
    """Trains the model in place; returns its steps, examples, losses and seconds.

    Several tasks are mixed by size (at most `cap` each). It goes on from the last checkpoint.
    """
    if several.processes() > 1:
        return several.spread(train, **locals())
    features = list(tasks.values())
    sampler = batches.Batches(features, settings.batch_size, seed, cap)
    per_token = _cost_per_token(model, features, tokenizer) if settings.layout == "packed" else 0
    set_seed(seed)
    start = _start_hash(model, tasks, settings, [seed, cap, masked, per_token])
    checkpoints, progress = run_dir / "checkpoints" / start, Progress(run_dir)
    settings = settings.model_copy(update={"max_steps": sampler.steps(settings)})
    callbacks = [guard.Guard(settings.checkpoint_minutes), *callbacks]
    if settings.checkpoints:
        settings = settings.model_copy(update={"select": "last"})
        callbacks.append(guard.Keep(model, checkpoints / "kept", settings.checkpoints, dev_score))
    if settings.select == "english_dev":
        callbacks.append(transformers.EarlyStoppingCallback(settings.patience))
    trainer = BatchTrainer(
        units=Units(tasks, tokenizer, sampler, masked, per_token), progress=progress,
        dev_score=dev_score, model=model,
        args=arguments(settings, checkpoints, seed, model.bf16), callbacks=callbacks,
    )  # fmt: skip
    trainer.remove_callback(transformers.PrinterCallback)
    begin = time.perf_counter()
    outcome, last = _outcome(trainer, checkpoints)
    model.eval()
    guard.check_weights(model, "the trained model")
    model.kept = sorted((checkpoints / "kept").glob("*.safetensors"))
    steps = trainer.state.global_step
    return {
        "steps": steps,
        "resumed_from": last.name if last else "",
        "examples": round(steps * settings.accumulation * sampler.mean_size),
        "loss": round(outcome.training_loss, 4),
        "seconds": round(time.perf_counter() - begin, 2),
        "layout": "packed" if per_token else "padded",
        **_course(trainer, tasks),
    }


def _outcome(trainer: BatchTrainer, checkpoints: Path) -> tuple[Any, Path | None]:
    """What the Trainer says of its training, and the checkpoint that it went on from."""
    last = guard.last_checkpoint(checkpoints)
    gc.freeze()  # the Trainer collects garbage first; what lives by now need not be searched
    outcome = trainer.train(resume_from_checkpoint=str(last) if last else None)
    gc.unfreeze()
    return outcome, last


def _course(trainer: BatchTrainer, tasks: dict[str, Features]) -> dict[str, Any]:
    """How a training went: what was laid out, its losses, and what was odd in it."""
    log = trainer.state.log_history
    losses = [[row["step"], round(row["loss"], 4)] for row in log if "loss" in row]
    if found := guard.oddities(tasks, losses):
        print(f"Degenerate: {'; '.join(found)}.")
    tally = trainer.tally
    return {
        "packed": round(tally["packed"] / max(1, tally["batches"]), 3),
        "tokens": int(tally["real"]), "tokens_laid_out": tally["laid_out"],
        "parts": trainer.parts, "degenerate": found, "losses": losses,
    }  # fmt: skip


def _cost_per_token(model: TaskModel, features: list[Features], tokenizer: Any) -> int:
    """What packing.plan is to know of the encoder, in tokens attended to; 0: it cannot pack.

    It is tried on a long, a middling and a short row: a window of attention, say, would show on
    the longest row if on any.
    """
    part = max(features, key=lambda part: part.lengths.max())
    rows = np.argsort(part.lengths)[[0, len(part) // 2, -1]]
    inputs = batches.padded(part.take(rows), tokenizer.pad_token_id)
    inputs = {name: tensor.to(encoders.device()) for name, tensor in inputs.items()}
    able = packing.works(model.encoder, inputs)
    return packing.PER_WIDTH * model.encoder.config.hidden_size if able else 0


def _start_hash(model: TaskModel, tasks: dict, settings: Training, more: list) -> str:
    """A hash of what a training starts from: one with other settings or data resumes nothing."""
    weights = [weight.detach().flatten()[:8].tolist() for weight in model.parameters()]
    sizes = {name: [len(part), int(part.lengths.sum())] for name, part in tasks.items()}
    chosen = settings.model_dump(include=Training.model_fields.keys() - {"checkpoint_minutes"})
    return digest(chosen, more, sizes, weights)


def arguments(settings: Training, folder: Path, seed: int, bf16: bool) -> TrainingArguments:
    """TrainingArguments for these settings."""
    cuda, best = torch.cuda.is_available(), settings.select == "english_dev"
    selection = {
        "eval_strategy": "steps", "eval_steps": settings.eval_steps, "save_strategy": "best",
        "load_best_model_at_end": True, "metric_for_best_model": "score",
        "restore_callback_states_from_checkpoint": True,
    }  # fmt: skip
    options = TrainingArguments(
        output_dir=str(folder), learning_rate=settings.learning_rate, seed=seed, bf16=bf16,
        num_train_epochs=settings.epochs, max_steps=settings.max_steps or -1,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation, warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay, adam_epsilon=settings.adam_epsilon,
        adam_beta2=settings.beta2, max_grad_norm=settings.max_grad_norm, save_total_limit=1,
        logging_steps=0.05, logging_nan_inf_filter=False, report_to="none", disable_tqdm=True,
        remove_unused_columns=False, use_cpu=not cuda,
        **(selection if best else {"save_strategy": "no"}),
    )  # fmt: skip
    if cuda:
        # The Trainer would split a batch over all GPUs it sees; places of tokens count through it.
        options._n_gpu = 1
    return options
