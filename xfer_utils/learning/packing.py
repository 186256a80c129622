"""Packed batches: sequences end to end in rows of real tokens, each of them seeing only itself.

A batch stays what padding makes of it. Where packing is cheaper it has one tensor more: `packed`
[rows, width] says which token of the padded batch the encoder reads in each place (-1: none). The
states return to their padded places, so heads see no difference and predict what they would.
"""

import heapq
from typing import Any

import numpy as np
import torch

from xfer_utils.learning import encoders

# Packing has costs of its own (the mask, the way there and back): it has to save this share.
WORTH = 0.9
# Widths of rows that are tried, in quarters of the longest sequence: wider ones have fewer gaps,
# but each token attends to more that is masked.
QUARTERS = (4, 5, 6, 7, 8, 12)
# What a token costs beside attention, in tokens attended to, for each unit of a model's width: per
# layer, 24 width^2 operations stand beside 4 width for each of them, which run at half the rate.
PER_WIDTH = 3
TOLERANCE = 1e-4  # of a state's norm; float32 rounds to some 1e-6


def plan(lengths: np.ndarray, per_token: int) -> np.ndarray | None:
    """The rows of a batch with sequences of these lengths; None where padding is cheaper.

    A token costs `per_token` and, for attention, its whole row, counted in tokens. From long to
    short, each sequence goes to the emptiest row.
    """
    number, longest, tokens = len(lengths), int(lengths.max()), int(lengths.sum())
    order, sizes = np.argsort(-lengths, kind="stable").tolist(), lengths.tolist()
    cheapest, chosen = WORTH * number * longest * (per_token + longest), None
    for count in sorted({-(-4 * tokens // (quarters * longest)) for quarters in QUARTERS}):
        filled, places = [(0, row) for row in range(count)], [(0, 0)] * number
        for sequence in order:
            used, row = filled[0]
            places[sequence] = row, used
            heapq.heapreplace(filled, (used + sizes[sequence], row))
        width = max(filled)[0]
        if (cost := count * width * (per_token + width)) < cheapest:
            cheapest, chosen = cost, (count, width, places)
    if chosen is None:
        return None
    count, width, places = chosen
    packed = np.full((count, width), -1, np.int64)
    for sequence, (row, begin) in enumerate(places):
        first, length = sequence * longest, sizes[sequence]
        packed[row, begin : begin + length] = np.arange(first, first + length)
    return packed


def states(encoder: Any, inputs: dict[str, torch.Tensor], packed: torch.Tensor) -> torch.Tensor:
    """The encoder's last states of a padded batch that it reads packed, in their padded places."""
    shape = inputs["input_ids"].shape
    read = {name: inputs[name].flatten()[packed] for name in inputs if name != "attention_mask"}
    # What fills up a row is one more sequence, the one before the first: -1 // n is -1.
    sequence, position = packed // shape[1], packed % shape[1]
    apart = sequence[:, None, :, None] != sequence[:, None, None, :]
    mask = torch.zeros(apart.shape, dtype=encoder.dtype, device=packed.device)
    mask.masked_fill_(apart, torch.finfo(mask.dtype).min)
    position = position + encoders.first_position(encoder.config)
    output = encoder(attention_mask=mask, position_ids=position, **read)
    hidden = output.last_hidden_state.flatten(0, 1)
    places = torch.where(packed < 0, shape.numel(), packed).flatten()
    whole = hidden.new_zeros(shape.numel() + 1, hidden.shape[1]).index_copy(0, places, hidden)
    return whole[:-1].view(*shape, -1)


@torch.no_grad()
def works(encoder: Any, inputs: dict[str, torch.Tensor]) -> bool:
    """Whether the encoder has the same states for a padded batch when it reads it as one row.

    Many architectures know no positions or no mask that restart within a row, or do not heed them.
    """
    encoder.eval()
    mask = inputs["attention_mask"].bool()
    padded = encoder(**inputs).last_hidden_state[mask]
    try:
        packed = states(encoder, inputs, mask.flatten().nonzero().T)[mask]
    except (TypeError, ValueError, RuntimeError, IndexError):
        return False
    return bool(((packed - padded).norm(dim=1) < TOLERANCE * padded.norm(dim=1)).all())
