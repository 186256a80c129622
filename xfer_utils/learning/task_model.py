"""The encoder and its heads as one model: built for a job, kept by a run, loaded again."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import set_seed

from xfer_utils.formats import base, heads
from xfer_utils.learning import encoders, packing
from xfer_utils.learning.origins import ModelProblem
from xfer_utils.sources.data import Data
from xfer_utils.study.jobs import TrainingJob
from xfer_utils.study.tasks import task


class TaskModel(nn.Module):
    """One encoder with a head per task; a batch names its task."""

    def __init__(
        self, encoder: nn.Module, formats: dict[str, str], labels: dict[str, int],
        precision: str = "auto",
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder, self.formats, self.bf16 = encoder, formats, encoders.in_bf16(precision)
        self.kept: list[Path] = []  # weights from different moments of the training
        self.register_load_state_dict_post_hook(_shared_are_not_missing)
        self.heads = nn.ModuleDict()
        for name, format in formats.items():
            self.heads[name] = base.of(format).head(encoder, labels.get(name, 0))

    def forward(
        self, task: str, input_ids: torch.Tensor, attention_mask: torch.Tensor,
        labels: torch.Tensor | None = None, positions: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None, packed: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """Logits, and the loss where labels are given; `positions` are the tokens to be read.

        With `packed`, the encoder reads the batch in that layout (packing.plan).
        """
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        if packed is None:
            hidden = self.encoder(**inputs).last_hidden_state
        else:
            hidden = packing.states(self.encoder, inputs, packed)
        head = self.heads[task]
        outputs = head(heads.Padded(hidden, attention_mask, positions))
        if labels is None:
            return {"logits": outputs}
        logits = head.decisions(outputs, len(labels))
        return {"loss": head.loss(logits, labels), "logits": logits}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Every tensor once: a masked-LM head shares the word embeddings."""
        unique = {name for name, _ in (*self.named_parameters(), *self.named_buffers())}
        state = super().state_dict(*args, **kwargs)
        return {name: state[name] for name in state if name in unique}


def _shared_are_not_missing(model: TaskModel, keys: Any) -> None:
    keys.missing_keys[:] = [name for name in keys.missing_keys if name in model.state_dict()]


def build(job: TrainingJob, data: Data, tasks: list[str]) -> TaskModel:
    """The parent's encoder with a fresh head for each task, whose weights the seed decides.

    What an arm adds to the tasks has heads too.
    """
    set_seed(job.seed)
    encoder = encoders.load_encoder(job.parent)
    if job.activation_checkpointing:
        encoder.gradient_checkpointing_enable({"use_reentrant": False})
    if job.tuning == "lora":
        encoder = encoders.with_lora(encoder, job.lora_rank)
    encoders.freeze(encoder, job.freeze)
    tasks = list(dict.fromkeys([*tasks, *job.mixture.tasks]))
    formats = {name: task(name).format for name in tasks}
    labels = {name: data.labels(name) for name in tasks}
    if job.mixture.text.rate:
        formats["text"] = "mlm"
    model = TaskModel(encoder, formats, labels, job.precision)
    return encoders.rounded(model, job.numerics).to(encoders.device())


def save(run_dir: Path, model: TaskModel, tokenizer: Any, labels: dict[str, int]) -> None:
    """The encoder in `encoder/`, as every run keeps it, and the heads in `model/` beside it."""
    model.encoder = encoders.merged(model.encoder)
    encoders.save_encoder(run_dir / "encoder", model.encoder, tokenizer)
    folder, state = run_dir / "model", model.state_dict()
    folder.mkdir(exist_ok=True)
    names = [name for name in state if name.startswith("heads.")]
    save_file({name: state[name].contiguous() for name in names}, folder / "heads.safetensors")
    description = {"formats": model.formats, "labels": labels}
    (folder / "heads.json").write_text(json.dumps(description), encoding="utf-8")


def load(run_dir: Path, precision: str = "auto") -> TaskModel:
    """The whole model that a run kept (`keep_model: true`), ready to be evaluated or trained on."""
    folder = run_dir / "model"
    if not (folder / "heads.json").exists():
        raise ModelProblem(f"{run_dir} keeps no model: run it again with `keep_model: true`.")
    description = json.loads((folder / "heads.json").read_text(encoding="utf-8"))
    model = TaskModel(encoders.load_encoder(run_dir), **description, precision=precision)
    model.load_state_dict(load_file(folder / "heads.safetensors"), strict=False)
    return model.to(encoders.device()).eval()
