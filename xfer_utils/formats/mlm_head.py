"""The masked-LM head of an architecture, on top of an encoder of it."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutput

from xfer_utils.formats import heads


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
