"""What stands on top of the encoder: thin heads that formats share, and the states they read."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

# 1 / 0.05, the usual temperature of in-batch softmax over cosines (SimCSE, sentence-transformers).
SCALE = 20.0
DROPOUTS = (
    "classifier_dropout", "hidden_dropout_prob", "resid_pdrop", "dropout_rate", "hidden_dropout",
)  # fmt: skip


@dataclass
class Padded:
    """Hidden states of padded rows, as heads ask for them; another layout has the same methods."""

    hidden: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor | None = None

    def vectors(self, pooling: str) -> torch.Tensor:
        """One vector per row: of its first token, of its last real one, or the mean.

        A causal model can use the last one or the mean: its first token has seen nothing.
        """
        if pooling == "first":
            return self.hidden[:, 0]
        if pooling == "last":
            rows = torch.arange(len(self.hidden), device=self.hidden.device)
            return self.hidden[rows, self.mask.sum(1) - 1]
        weights = self.mask[:, :, None].to(self.hidden.dtype)
        return (self.hidden * weights).sum(1) / weights.sum(1)

    def tokens(self) -> torch.Tensor:
        """States of the wanted tokens, or of all real ones, end to end."""
        if self.positions is None:
            return self.hidden[self.mask.bool()]
        return self.hidden.flatten(0, 1).index_select(0, self.positions)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The usual loss, in full precision."""
    return F.cross_entropy(logits.float(), labels)


class Tagger(nn.Module):
    """One linear layer over each token's state."""

    loss = staticmethod(cross_entropy)

    def __init__(self, config: Any, outputs: int, dense: bool = False) -> None:
        super().__init__()
        width, self.outputs = config.hidden_size, outputs
        self.dense = nn.Linear(width, width) if dense else None
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
        """What forward gave, as so many labels are compared with it."""
        return outputs


class Classifier(Tagger):
    """The usual dense layer and a linear one over each row's pooled vector."""

    def __init__(self, config: Any, outputs: int) -> None:
        super().__init__(config, outputs, dense=True)
        self.pooling = pooling_of(config)

    def forward(self, states: Padded) -> torch.Tensor:
        """Logits of each row."""
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
        start, end = (F.cross_entropy(logits[..., n].float(), labels[:, n]) for n in (0, 1))
        return (start + end) / 2


class PairHead(nn.Module):
    """A dual encoder's head, without parameters: each row's pooled vector, scaled to length 1."""

    loss = staticmethod(cross_entropy)

    def __init__(self, config: Any, _outputs: int = 0) -> None:
        super().__init__()
        self.pooling, self.outputs = pooling_of(config), config.hidden_size

    def forward(self, states: Padded) -> torch.Tensor:
        """One vector per row, in full precision."""
        return F.normalize(states.vectors(self.pooling).float(), dim=-1)

    @staticmethod
    def decisions(vectors: torch.Tensor, labels: int) -> torch.Tensor:
        """Scaled cosines [questions, passages] of vectors that alternate between the two."""
        with torch.autocast(vectors.device.type, enabled=False):
            return SCALE * vectors[0::2] @ vectors[1::2].T


def pooling_of(config: Any) -> str:
    """What heads classify, as the encoder's configuration says."""
    return getattr(config, "xfer_head_pooling", "first")
