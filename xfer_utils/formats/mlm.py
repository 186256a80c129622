"""Masked language modelling of plain lines: how encoders are made; no registry row has it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutput

from xfer_utils.formats import base, heads
from xfer_utils.formats.base import Arrays, Format, Rows


@dataclass(frozen=True)
class Masking:
    """How `share` of the tokens are hidden: by the mask (80%), another token (10%) or not (10%)."""

    share: float
    mask_id: int
    ordinary: np.ndarray
    seed: tuple[int, ...] = (0,)

    @classmethod
    def of(cls, tokenizer: Any, share: float) -> "Masking":
        """Special tokens, wherever a tokenizer keeps them, are neither hidden nor drawn."""
        special = {*tokenizer.all_special_ids} - {tokenizer.mask_token_id}
        ordinary = np.setdiff1d(np.arange(len(tokenizer)), list(special))
        return cls(share, tokenizer.mask_token_id, ordinary)

    def hide(self, ids: np.ndarray) -> Arrays:
        """New ids, the places to be predicted, and what stood there: a function of the seed."""
        rng = np.random.default_rng(self.seed)
        candidates = np.flatnonzero(np.isin(ids, self.ordinary))
        count = max(1, round(len(candidates) * self.share))
        chosen = np.sort(rng.choice(candidates, count, replace=False))
        labels, draw = ids[chosen].astype(np.int64), rng.random(count)
        ids, wanted = ids.copy(), np.zeros(len(ids), bool)
        ids[chosen[draw < 0.8]] = self.mask_id
        swapped = chosen[(draw >= 0.8) & (draw < 0.9)]
        ids[swapped] = self.ordinary[rng.integers(0, len(self.ordinary), len(swapped))]
        wanted[chosen] = True
        return {"ids": ids, "labels": labels, "wanted": wanted}


class Mlm(Format):
    """Long lines become several rows; hidden tokens are predicted over the whole vocabulary."""

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        coded = tokenizer(
            chunk["text"], truncation=True, max_length=max_length, return_overflowing_tokens=True,
            return_attention_mask=False,
        )  # fmt: skip
        return base.flat(coded, coded["overflow_to_sample_mapping"])

    def targets(self, features: Any, rows: np.ndarray, units: list[int], masking: Any) -> Arrays:
        return masking.hide(features.take(rows).arrays["ids"])

    def head(self, encoder: Any, labels: int) -> nn.Module:
        return MlmHead(encoder)


class MlmHead(nn.Module):
    """The masked-LM head of the encoder's own architecture: its model with the encoder taken out.

    The output layer shares the encoder's word embeddings. A published head comes with its weights;
    one that the checkpoint does not have starts anew.
    """

    decisions, loss = staticmethod(heads.Tagger.decisions), staticmethod(heads.cross_entropy)

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        config, origin = encoder.config, getattr(encoder, "xfer_origin", None)
        if type(config) not in AutoModelForMaskedLM._model_mapping:
            raise ValueError(
                f"{config.model_type} has no masked-LM head, so it cannot be trained on masked "
                "language modelling: leave it out, or choose a model that was pre-trained that way."
            )
        if hasattr(config, "legacy"):
            # mDeBERTa's published head has the names of the newer of two that its architecture has.
            config.legacy = False
        if origin:
            whole = AutoModelForMaskedLM.from_pretrained(
                origin.model, config=config, dtype=torch.float32, **origin.options
            )
        else:
            whole = AutoModelForMaskedLM.from_config(config, dtype=torch.float32)
        output, words = whole.get_output_embeddings(), encoder.get_input_embeddings()
        setattr(whole, whole.base_model_prefix, _PassThrough(encoder))
        tied = getattr(config, "tie_word_embeddings", True)
        if tied and output.weight.shape == words.weight.shape:
            output.weight = words.weight
        self.whole = whole

    def forward(self, states: heads.Padded) -> torch.Tensor:
        """Logits over the vocabulary."""
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
        """The hidden states as they came."""
        return BaseModelOutput(last_hidden_state=inputs_embeds)


FORMAT = Mlm()
