"""Speed of training on the machine at hand: the same model and examples through six loops, and how time grows."""

import gc
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import (
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    XLMRobertaTokenizer,
    set_seed,
)

from xfer_utils.formats.features import Features
from xfer_utils.learning import batches, encoders, task_model, training
from xfer_utils.scoring import evaluation
from xfer_utils.study.sections import Pretraining, Training

TASK = "sentences"


def tokenizer(vocabulary: int) -> Any:
    """A tokenizer with so many pieces; which ones does not matter here."""
    special = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
    return XLMRobertaTokenizer(
        vocab=[*special, *((f"w{number}", -1.0) for number in range(vocabulary - 5))]
    )


def examples(count: int, mean: float, longest: int, vocabulary: int, seed: int = 0) -> Features:
    """Sentence pairs of random tokens whose lengths scatter as those of real ones do (a gamma distribution)."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.gamma(4.0, mean / 4.0, count).round(), 5, longest).astype(np.int64)
    starts = np.r_[np.int64(0), np.cumsum(lengths)]
    ids = rng.integers(5, vocabulary, starts[-1]).astype(np.int32)
    ids[starts[:-1]] = 0
    labels = rng.integers(0, 3, count)
    arrays = {
        "ids": ids,
        "starts": starts,
        "example": np.arange(count, dtype=np.int32),
        "target": labels,
    }
    return Features("sequence", arrays)


def new_model(
    words: Any, layers: int, width: int, heads: int, positions: int
) -> task_model.TaskModel:
    """A fresh model of XLM-R's architecture with a three-way head."""
    set_seed(0)
    shape = {
        "layers": layers,
        "width": width,
        "heads": heads,
        "feedforward": 4 * width,
        "positions": positions,
    }
    encoder = encoders.new_encoder(words, Pretraining(**shape, dropout=0.1))
    return task_model.TaskModel(encoder, {TASK: "sequence"}, {TASK: 3}).to(encoders.device())


class _Named(torch.nn.Module):
    """The model with its task filled in, as the stock Trainer calls it."""

    def __init__(self, model: task_model.TaskModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
    ) -> dict:
        return self.model(
            task=TASK, input_ids=input_ids, attention_mask=attention_mask, labels=labels
        )


def stock(
    model: task_model.TaskModel,
    data: Features,
    words: Any,
    batch_size: int,
    padding: int,
    grouped: bool,
) -> None:
    """transformers' Trainer and collator: padded to `padding` (0: to the longest of a batch), grouped or not."""
    collate = DataCollatorWithPadding(
        words, padding="max_length" if padding else True, max_length=padding or None
    )
    rows = [
        {"input_ids": data.slice("ids", row), "labels": int(data.arrays["target"][row])}
        for row in range(len(data))
    ]
    with tempfile.TemporaryDirectory() as folder:
        arguments = training.arguments(_settings(batch_size), Path(folder), 0, model.bf16)
        arguments.train_sampling_strategy = "group_by_length" if grouped else "random"
        trainer = Trainer(
            model=_Named(model), args=arguments, train_dataset=rows, data_collator=collate
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def bare(model: task_model.TaskModel, data: Features, words: Any, batch_size: int) -> None:
    """A plain PyTorch loop over the same length-sorted batches: nothing but forward, backward and the optimiser."""
    for _ in _steps(model, data, words, batch_size):
        pass


def parts(model: task_model.TaskModel, data: Features, words: Any, batch_size: int) -> pd.Series:
    """Where a step of the bare loop spends its time: milliseconds per part."""
    spent: dict[str, float] = {}
    last = _now()
    for part in _steps(model, data, words, batch_size):
        now = _now()
        spent[part] = spent.get(part, 0.0) + now - last
        last = now
    return pd.Series(spent) * 1000 / -(-len(data) // batch_size)


def _steps(
    model: task_model.TaskModel, data: Features, words: Any, batch_size: int
) -> Iterator[str]:
    """Trains on every batch and says, after each part of a step, which part it was."""
    sampler = batches.Batches([data], batch_size, seed=0, batching="length")
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    device = encoders.device()
    model.train()
    for batch_units in sampler:
        batch = batches.collate(TASK, data, [unit for _, unit in batch_units], words.pad_token_id)
        batch = {
            key: value.to(device) if torch.is_tensor(value) else value
            for key, value in batch.items()
        }
        yield "batch"
        with torch.autocast(device.type, torch.bfloat16, enabled=model.bf16):
            loss = model(**batch)["loss"]
        yield "forward"
        loss.backward()
        yield "backward"
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        yield "optimiser"


def _now() -> float:
    """Seconds, once everything that was asked of the device is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def ours(
    model: task_model.TaskModel,
    data: Features,
    words: Any,
    batch_size: int,
    batching: str = "length",
) -> None:
    """This project's training, as every job notebook calls it."""
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(batch_size, batching)
        training.train(model, {TASK: data}, words, settings, Path(folder), seed=0)


def _settings(batch_size: int, batching: str = "length") -> Training:
    return Training(learning_rate=1e-4, epochs=1, batch_size=batch_size, batching=batching)


def loops(batch_size: int, longest: int) -> dict[str, Callable]:
    """The loops that are compared, by the name that the table shows."""
    return {
        "stock Trainer, padded to the maximum": lambda *a: stock(*a, batch_size, longest, False),
        "stock Trainer, dynamic padding": lambda *a: stock(*a, batch_size, 0, False),
        "stock Trainer, grouped by length": lambda *a: stock(*a, batch_size, 0, True),
        "bare loop, sorted by length": lambda *a: bare(*a, batch_size),
        "this project, random batches": lambda *a: ours(*a, batch_size, "random"),
        "this project, grouped by length": lambda *a: ours(*a, batch_size),
    }


def measure(
    make: Callable[[], task_model.TaskModel],
    run: Callable,
    data: Features,
    words: Any,
    batch_size: int,
) -> dict:
    """Real (non-padding) tokens per second, time of a step, and peak memory of one pass over the data.

    Memory is what the model and its training add to what the process held before.
    """
    gc.collect()  # the loop before may have left a model in a cycle of references
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    held = held_memory()
    model = make()
    forget_peak()
    begun = _now()
    run(model, data, words)
    seconds = _now() - begun
    return {
        "tokens per second": data.lengths.sum() / seconds,
        "step, ms": 1000 * seconds / -(-len(data) // batch_size),
        "peak memory, GiB": peak_memory() - held,
        "seconds": seconds,
    }


def forget_peak() -> None:
    """Lets the peak begin anew: of the GPU where there is one, else of this process (where the system can)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> float:
    """GiB at most since the peak was forgotten: of the GPU where there is one, else of this process."""
    return (
        torch.cuda.max_memory_allocated() / 2**30
        if torch.cuda.is_available()
        else _own_memory("VmHWM")
    )


def held_memory() -> float:
    """GiB in use now, of the GPU where there is one, else of this process."""
    return (
        torch.cuda.memory_allocated() / 2**30 if torch.cuda.is_available() else _own_memory("VmRSS")
    )


def _own_memory(entry: str) -> float:
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(entry)) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def compare(
    make: Callable[[], task_model.TaskModel],
    data: Features,
    words: Any,
    batch_size: int,
    longest: int,
    repeats: int = 3,
) -> pd.DataFrame:
    """Every loop in turn, several times over; the median of each, so that a busy moment does not decide."""
    rows = [
        {"loop": name, **measure(make, run, data, words, batch_size)}
        for _ in range(repeats)
        for name, run in loops(batch_size, longest).items()
    ]
    return pd.DataFrame(rows).groupby("loop", sort=False).median()


def evaluation_seconds(
    model: task_model.TaskModel, data: Features, words: Any, languages: int
) -> float:
    """Seconds to predict so many languages of a task in one pass."""
    begun = time.perf_counter()
    evaluation.predict(model, TASK, [data] * languages, words.pad_token_id)
    return time.perf_counter() - begun


def side_by_side(
    workers: int, threads: int, shape: tuple, data: Features, batch_size: int
) -> float:
    """Real tokens per second of so many trainings at once, each in its own process with so many threads."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(
            pool.map(
                _train_alone,
                [threads] * workers,
                [shape] * workers,
                [data] * workers,
                [batch_size] * workers,
            )
        )
        begun = time.perf_counter()
        list(
            pool.map(
                _train_alone,
                [threads] * workers,
                [shape] * workers,
                [data] * workers,
                [batch_size] * workers,
            )
        )
        return workers * data.lengths.sum() / (time.perf_counter() - begun)


def _train_alone(threads: int, shape: tuple, data: Features, batch_size: int) -> None:
    torch.set_num_threads(threads)
    words = tokenizer(int(data.arrays["ids"].max()) + 1)
    ours(new_model(words, *shape), data, words, batch_size)


def matrix_rate(size: int = 4096) -> float:
    """FLOP/s of a plain matrix product in the training precision: what the hardware could do."""
    device = encoders.device()
    kind = torch.bfloat16 if encoders.in_bf16() else torch.float32
    size = size if device.type == "cuda" else size // 4
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    for _ in range(3):
        a @ b
    if device.type == "cuda":
        torch.cuda.synchronize()
    begun, times = time.perf_counter(), 20
    for _ in range(times):
        c = a @ b
    float(c[0, 0])
    return 2 * size**3 * times / (time.perf_counter() - begun)
