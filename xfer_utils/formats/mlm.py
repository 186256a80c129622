"""Masked language modelling of plain lines: how encoders are made; no registry row has it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xfer_utils.formats import base
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

    head_class = "MlmHead"

    def encode(self, chunk: Rows, tokenizer: Any, max_length: int, doc_stride: int) -> Arrays:
        options = {"max_length": max_length, "return_overflowing_tokens": True}
        return base.encoded(tokenizer, chunk["text"], **options)

    def targets(self, features: Any, rows: np.ndarray, units: list[int], masking: Any) -> Arrays:
        return masking.hide(features.take(rows).arrays["ids"])


FORMAT = Mlm()
