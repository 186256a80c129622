"""What stands on top of the encoder: thin heads that formats share, and the states they read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutput

# 1 / 0.05, the usual temperature of in-batch softmax over cosines (SimCSE, sentence-transformers).
SCALE = 20.0
DROPOUTS = (
    "classifier_dropout", "hidden_dropout_prob", "resid_pdrop", "dropout_rate", "hidden_dropout",
)  # fmt: skip


@dataclass
class Padded:
    """Hidden states of padded rows, as heads ask for them."""

    hidden: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor | None = None

    def vectors(self, pooling: str) -> torch.Tensor:
        """One vector per row: of its first token, of its last real one, the mean or the maxima."""
        if pooling == "first":
            return self.hidden[:, 0]
        if pooling == "last":
            rows = torch.arange(len(self.hidden), device=self.hidden.device)
            return self.hidden[rows, self.mask.sum(1) - 1]
        if pooling == "max":
            padding = ~self.mask.bool()[:, :, None]
            return self.hidden.masked_fill(padding, torch.finfo(self.hidden.dtype).min).amax(1)
        weights = self.mask[:, :, None].to(self.hidden.dtype)
        return (self.hidden * weights).sum(1) / weights.sum(1)

    def tokens(self) -> torch.Tensor:
        """States of the wanted tokens, or of all real ones, end to end."""
        if self.positions is None:
            return self.hidden[self.mask.bool()]
        return self.hidden.flatten(0, 1).index_select(0, self.positions)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The usual loss, in full precision; 0 for a batch without labels (amid a very long word)."""
    return F.cross_entropy(logits.float(), labels) if len(labels) else logits.float().sum()


class Tagger(nn.Module):
    """One linear layer over each token's state."""

    has_dense = False
    loss = staticmethod(cross_entropy)

    def __init__(self, encoder: Any, outputs: int) -> None:
        super().__init__()
        config, self.outputs = encoder.config, outputs
        width = config.hidden_size
        self.pooling = getattr(config, "xfer_head_pooling", "first")
        self.dense = nn.Linear(width, width) if self.has_dense else None
        self.out = nn.Linear(width, outputs)
        rates = (getattr(config, name, None) for name in DROPOUTS)
        self.dropout = nn.Dropout(next(filter(None, rates), 0.0))
        for layer in filter(None, (self.dense, self.out)):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, states: Padded) -> torch.Tensor:
        """Logits of each token."""
        return self.out(self.dropout(states.tokens()))

    @staticmethod
    def decisions(outputs: torch.Tensor, labels: int) -> torch.Tensor:
        """The output of `forward` in the shape that the labels are compared with."""
        return outputs


class Classifier(Tagger):
    """The usual dense layer and a linear one over each row's pooled vector."""

    has_dense = True

    def forward(self, states: Padded) -> torch.Tensor:
        vectors = self.dropout(states.vectors(self.pooling))
        return self.out(self.dropout(torch.tanh(self.dense(vectors))))

    @staticmethod
    def decisions(outputs: torch.Tensor, labels: int) -> torch.Tensor:
        """One row per label: the scores of an example's choices, one per row, side by side."""
        return outputs.view(labels, -1)


class SpanHead(Tagger):
    """Scores of each token as an answer's start and as its end, row by row."""

    def forward(self, states: Padded) -> torch.Tensor:
        """Logits [rows, longest, 2]; padding is never chosen."""
        logits = self.out(self.dropout(states.hidden))
        padding = ~states.mask.bool()[:, :, None]
        return logits.masked_fill(padding, torch.finfo(logits.dtype).min)

    @staticmethod
    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean of the losses of start and end."""
        start, end = (cross_entropy(logits[..., n], labels[:, n]) for n in (0, 1))
        return (start + end) / 2


class PairHead(nn.Module):
    """A dual encoder's head, without parameters: each row's pooled vector, scaled to length 1."""

    loss = staticmethod(cross_entropy)

    def __init__(self, encoder: Any, _outputs: int) -> None:
        super().__init__()
        self.pooling = getattr(encoder.config, "xfer_head_pooling", "first")
        self.outputs = encoder.config.hidden_size

    def forward(self, states: Padded) -> torch.Tensor:
        return F.normalize(states.vectors(self.pooling).float(), dim=-1)

    @staticmethod
    def decisions(vectors: torch.Tensor, labels: int) -> torch.Tensor:
        """Scaled cosines [questions, passages] of vectors that alternate between the two."""
        with torch.autocast(vectors.device.type, enabled=False):
            return SCALE * vectors[0::2] @ vectors[1::2].T


class MlmHead(nn.Module):
    """The masked-LM head of the encoder's own architecture: its model with the encoder taken out.

    The output layer shares the encoder's word embeddings. A published head comes with its weights;
    one that the checkpoint does not have starts anew.
    """

    decisions, loss = staticmethod(Tagger.decisions), staticmethod(cross_entropy)

    def __init__(self, encoder: Any, _outputs: int) -> None:
        super().__init__()
        config, origin = encoder.config, getattr(encoder, "xfer_origin", None)
        if type(config) not in AutoModelForMaskedLM._model_mapping:
            problem = f"{config.model_type} has no masked-LM head"
            raise ValueError(f"{problem}: choose a model that was pre-trained as a masked LM")
        if hasattr(config, "legacy"):
            # mDeBERTa's published head has the names of the newer of two that its architecture has.
            config.legacy = False
        if origin:
            options = {"config": config, "dtype": torch.float32, **origin.options}
            whole = AutoModelForMaskedLM.from_pretrained(origin.model, **options)
        else:
            whole = AutoModelForMaskedLM.from_config(config, dtype=torch.float32)
        output, words = whole.get_output_embeddings(), encoder.get_input_embeddings()
        setattr(whole, whole.base_model_prefix, _PassThrough(encoder))
        same_shape = output.weight.shape == words.weight.shape
        if same_shape and getattr(config, "tie_word_embeddings", True):
            output.weight = words.weight
        self.whole = whole

    def forward(self, states: Padded) -> torch.Tensor:
        return self.whole(inputs_embeds=states.tokens()[None]).logits[0]

    def save(self, folder: Path, encoder: nn.Module) -> None:
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
        # Past nn.Module's registration: these are the encoder's own embeddings, no second set.
        self.__dict__["embeddings"] = getattr(encoder, "embeddings", None)

    def forward(self, *_: Any, inputs_embeds: torch.Tensor, **__: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=inputs_embeds)
