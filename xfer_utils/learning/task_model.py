"""One encoder with a head per task: what the Trainer trains, and what is evaluated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xfer_utils.formats import base, heads
from xfer_utils.learning import models


class TaskModel(nn.Module):
    """One encoder with a head per task; a batch names its task."""

    def __init__(
        self, encoder: nn.Module, formats: dict[str, str], labels: dict[str, int],
        precision: str = "auto",
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder, self.formats, self.bf16 = encoder, formats, models.in_bf16(precision)
        self.heads = nn.ModuleDict(
            {
                task: base.of(name).head(encoder, labels.get(task, 0))
                for task, name in formats.items()
            }
        )

    def forward(
        self, task: str, input_ids: torch.Tensor, attention_mask: torch.Tensor,
        labels: torch.Tensor | None = None, positions: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """Logits, and the loss where labels are given; `positions` are the tokens to be read."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types)
        head = self.heads[task]
        outputs = head(heads.Padded(output.last_hidden_state, attention_mask, positions))
        if labels is None:
            return {"logits": outputs}
        logits = head.decisions(outputs, len(labels))
        return {"loss": head.loss(logits, labels), "logits": logits}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Every tensor once: a masked-LM head shares the word embeddings."""
        seen, state = set(), super().state_dict(*args, **kwargs)
        for name in list(state):
            place = (state[name].data_ptr(), state[name].shape)
            if state[name].numel() and place in seen:
                del state[name]
            seen.add(place)
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """What state_dict gave: shared tensors come once."""
        missing = sorted(set(self.state_dict()) - set(state_dict))
        if missing and strict:
            raise RuntimeError(f"weights are missing: {', '.join(missing)}")
        outcome = super().load_state_dict(state_dict, strict=False, assign=assign)
        return type(outcome)(missing, outcome.unexpected_keys)


def build(
    run_dir: Path, formats: dict[str, str], labels: dict[str, int], tuning: str = "full",
    lora_rank: int = 16, precision: str = "auto", activation_checkpointing: bool = False,
) -> TaskModel:  # fmt: skip
    """The encoder of a run with fresh heads, on the device."""
    encoder = models.load_encoder(run_dir)
    if activation_checkpointing:
        encoder.gradient_checkpointing_enable({"use_reentrant": False})
    if tuning == "lora":
        encoder = models.with_lora(encoder, lora_rank)
    return TaskModel(encoder, formats, labels, precision).to(models.device())
