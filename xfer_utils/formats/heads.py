"""What stands on top of the encoder: one thin head per format, and the architecture's own masked-LM head."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutput

from xfer_utils.learning import origins

# 1 / 0.05, the usual temperature of in-batch softmax over cosines (SimCSE's; sentence-transformers' scale of 20).
SCALE = 20.0
DROPOUTS = (
    "classifier_dropout",
    "hidden_dropout_prob",
    "resid_pdrop",
    "dropout_rate",
    "hidden_dropout",
)


def make(encoder: Any, kind: str, labels: int) -> nn.Module:
    """The head of a task of some format."""
    if kind == "mlm":
        return MlmHead(encoder)
    if kind == "pair":
        return PairHead(encoder.config)
    return Head(encoder.config, {"choice": 1, "span": 2}.get(kind) or labels, kind)


class Head(nn.Module):
    """Classification of one pooled vector (with the usual dense layer), or one linear layer over every token."""

    def __init__(self, config: Any, outputs: int, kind: str) -> None:
        super().__init__()
        width, self.outputs = config.hidden_size, outputs
        self.pooling = (
            getattr(config, "xfer_head_pooling", "first") if kind in ("sequence", "choice") else ""
        )
        self.dense = nn.Linear(width, width) if self.pooling else None
        self.out = nn.Linear(width, outputs)
        self.dropout = nn.Dropout(
            next((rate for rate in (getattr(config, n, None) for n in DROPOUTS) if rate), 0.0)
        )
        for layer in filter(None, (self.dense, self.out)):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Logits per row, or per token."""
        if self.pooling:
            hidden = torch.tanh(self.dense(self.dropout(pooled(hidden, mask, self.pooling))))
        return self.out(self.dropout(hidden))


def pooled(hidden: torch.Tensor, mask: torch.Tensor, how: str) -> torch.Tensor:
    """One vector per row: of its first token, of its last real one (all that a causal model can use), or the mean."""
    if how == "first":
        return hidden[:, 0]
    if how == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]
    weights = mask[:, :, None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


class PairHead(nn.Module):
    """A dual encoder's head, without parameters: the pooled vector of each row, scaled to length 1."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.pooling, self.outputs = (
            getattr(config, "xfer_head_pooling", "first"),
            config.hidden_size,
        )

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """One vector per row, in full precision."""
        return F.normalize(pooled(hidden, mask, self.pooling).float(), dim=-1)


def similarities(vectors: torch.Tensor) -> torch.Tensor:
    """Scaled cosines [questions, passages] of rows that alternate between the two; the right ones are the diagonal."""
    with torch.autocast(vectors.device.type, enabled=False):
        return SCALE * vectors[0::2] @ vectors[1::2].T


class MlmHead(nn.Module):
    """The masked-LM head of the encoder's own architecture: its whole model with the encoder taken out.

    The output layer shares the encoder's word embeddings. A published head comes with its weights; one that the
    checkpoint does not have starts anew.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        config, origin = encoder.config, getattr(encoder, "xfer_origin", None)
        if type(config) not in AutoModelForMaskedLM._model_mapping:
            raise ValueError(
                f"{config.model_type} has no masked-LM head, so it cannot be trained on masked language modelling: "
                "leave it out, or choose a model that was pre-trained that way."
            )
        if hasattr(config, "legacy"):
            # mDeBERTa's published head has the names of the newer of the two that the architecture offers.
            config.legacy = False
        if origin:
            with origins.explained(origin.model):
                whole = AutoModelForMaskedLM.from_pretrained(
                    origin.model, config=config, dtype=torch.float32, **origin.options
                )
        else:
            whole = AutoModelForMaskedLM.from_config(config, dtype=torch.float32)
        output, words = whole.get_output_embeddings(), encoder.get_input_embeddings()
        setattr(whole, whole.base_model_prefix, _PassThrough(encoder))
        if output.weight.shape == words.weight.shape and getattr(
            config, "tie_word_embeddings", True
        ):
            output.weight = words.weight
        self.whole = whole

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Logits over the vocabulary of some tokens' hidden states [tokens, width]."""
        return self.whole(inputs_embeds=hidden[None]).logits[0]

    def save(self, folder: Any, encoder: nn.Module) -> None:
        """The whole masked language model: its folder loads as an encoder and as a masked LM."""
        prefix = self.whole.base_model_prefix
        empty = getattr(self.whole, prefix)
        setattr(self.whole, prefix, encoder)
        self.whole.save_pretrained(folder)
        setattr(self.whole, prefix, empty)


class _PassThrough(nn.Module):
    """Stands in for the encoder: what comes in are its hidden states already."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        # Past nn.Module's registration: these are the encoder's own embeddings, not a second set of parameters.
        self.__dict__["embeddings"] = getattr(encoder, "embeddings", None)

    def forward(self, *_: Any, inputs_embeds: torch.Tensor, **__: Any) -> BaseModelOutput:
        """The hidden states as they came."""
        return BaseModelOutput(last_hidden_state=inputs_embeds)
