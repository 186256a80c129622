"""Encoders: made, loaded and saved, with LoRA or without, the same for every architecture."""

import inspect
import os
from pathlib import Path
from typing import Any

import torch
from tokenizers import processors
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForTextEncoding,
    AutoTokenizer,
    XLMRobertaConfig,
)
from transformers.utils import logging

from xfer_utils.formats.mlm import MlmHead
from xfer_utils.learning import origins
from xfer_utils.learning.origins import ModelProblem, Origin

# These count positions from the padding id + 1, so 514 rows of their table are 512 places for tokens.
COUNT_FROM_PAD = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "xmod", "roberta-prelayernorm", "ibert",
                  "longformer", "data2vec-text", "luke", "mpnet", "lilt", "esm"}  # fmt: skip
# A pickled checkpoint is read as plain tensors; nobody is asked to convert it elsewhere.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
logging.disable_progress_bar()


def new_encoder(
    tokenizer: Any,
    *,
    layers: int,
    width: int,
    heads: int,
    feedforward: int,
    positions: int,
    dropout: float,
) -> nn.Module:
    """A small XLM-R of transformers' own architecture with random weights."""
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads,
        intermediate_size=feedforward, max_position_embeddings=positions + tokenizer.pad_token_id + 1,
        hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return _guarded(AutoModel.from_config(config, **_no_pooler(config)))


def save_encoder(
    folder: Path, encoder: nn.Module, tokenizer: Any, head: MlmHead | None = None
) -> None:
    """An encoder folder that transformers itself can load: a whole masked language model where a head is given."""
    if head is None:
        encoder.save_pretrained(folder)
    else:
        head.save(folder, encoder)
    tokenizer.save_pretrained(folder)


def save_pointer(
    folder: Path, model: str, revision: str, head_pooling: str = "auto", attention: str = "auto"
) -> None:
    """An encoder folder that only names a model, at the commit that is loaded here once.

    So a model that cannot be had fails in the first run of a study, and every later run reads the same weights.
    """
    local = origins.local_folder(model)
    asked = Origin(str(local or model), "" if local else revision, head_pooling, attention)
    _load_encoder(asked)
    origins.write(folder, origins.pinned(asked))


def load_tokenizer(run_dir: Path) -> Any:
    """The tokenizer of an encoder run, made fit for its model: padding, separators, token types, longest input."""
    return _load_tokenizer(origins.of_run(run_dir))


def _load_tokenizer(origin: Origin) -> Any:
    with origins.explained(f"the tokenizer of {origin.model}"):
        config = AutoConfig.from_pretrained(origin.model, **origin.options)
        tokenizer = AutoTokenizer.from_pretrained(origin.model, **origin.options)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.num_special_tokens_to_add(pair=True) == 0:
        _add_separators(tokenizer)
    if (getattr(config, "type_vocab_size", 0) or 0) < 2:
        # Some tokenizers number their two texts whatever the model knows; GPT-2 would read the numbers as words.
        names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = names
    tokenizer.model_max_length = min(tokenizer.model_max_length, longest_input(config))
    return tokenizer


def _add_separators(tokenizer: Any) -> None:
    """Ends each text with the end token: a decoder's tokenizer runs two texts into one and marks no last token."""
    end, number = tokenizer.eos_token, tokenizer.eos_token_id
    if end is None:
        raise ModelProblem(
            f"{tokenizer.name_or_path}: its tokenizer has no end token: set eos_token in its files."
        )
    template = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B:1 {end}:1", special_tokens=[(end, number)]
    )
    backend = tokenizer.backend_tokenizer
    before = backend.post_processor
    backend.post_processor = processors.Sequence([before, template]) if before else template


def longest_input(config: Any) -> int:
    """Tokens that a model has positions for; relative positions have no bound."""
    places = getattr(config, "max_position_embeddings", None)
    if not places:
        return 10**9
    return places - config.pad_token_id - 1 if config.model_type in COUNT_FROM_PAD else places


def load_encoder(run_dir: Path) -> nn.Module:
    """The encoder of a run in fp32: half-precision checkpoints are widened, never trained in half by accident."""
    return _load_encoder(origins.of_run(run_dir))


def _load_encoder(origin: Origin) -> nn.Module:
    with origins.explained(origin.model):
        config = _config(origin)
        kind = AutoModelForTextEncoding if _half_of_two(config) else AutoModel
        before = logging.get_verbosity()
        logging.set_verbosity_error()  # the report of a masked-LM checkpoint's unused head; what lacks is checked below
        encoder, info = kind.from_pretrained(
            origin.model, config=config, dtype=torch.float32, output_loading_info=True, **origin.options,
            **_no_pooler(config),
        )  # fmt: skip
        logging.set_verbosity(before)
    lacking = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    if lacking or info["mismatched_keys"]:
        raise ModelProblem(
            f"{origin.model} is not a whole {config.model_type} model: {len(lacking)} weights are missing "
            f"({', '.join(lacking[:3])}), {len(info['mismatched_keys'])} have another shape."
        )
    encoder.xfer_origin = origin
    if getattr(config, "is_causal", None) is False:
        _look_both_ways(encoder)
    return _guarded(encoder)


def _config(origin: Origin) -> Any:
    """The model's configuration with its padding id checked, and how heads pool and attention looks written down."""
    config = AutoConfig.from_pretrained(origin.model, **origin.options)
    pad = _load_tokenizer(origin).pad_token_id
    if config.model_type in COUNT_FROM_PAD and config.pad_token_id != pad:
        raise ModelProblem(
            f"{origin.model}: its positions count from padding id {config.pad_token_id}, but its tokenizer pads with "
            f"{pad}. Correct pad_token in the tokenizer's files."
        )
    config.pad_token_id = pad
    decoder = type(config) in AutoModelForCausalLM._model_mapping and not _half_of_two(config)
    decoder &= type(config) not in AutoModelForMaskedLM._model_mapping
    chosen = (
        origin.attention
        if origin.attention != "auto"
        else getattr(config, "xfer_attention", "auto")
    )
    config.xfer_attention = chosen if chosen != "auto" else "causal" if decoder else "bidirectional"
    if config.xfer_attention == "causal" and not decoder:
        raise ModelProblem(
            f"{origin.model} looks both ways and has no causal attention: leave `attention:` out."
        )
    if decoder:
        config.is_causal = config.xfer_attention == "causal"
    chosen = (
        origin.head_pooling
        if origin.head_pooling != "auto"
        else getattr(config, "xfer_head_pooling", "auto")
    )
    natural = (
        "mean" if _half_of_two(config) else "last" if config.xfer_attention == "causal" else "first"
    )
    config.xfer_head_pooling = natural if chosen == "auto" else chosen
    if config.xfer_head_pooling == "first" and config.xfer_attention == "causal":
        raise ModelProblem(
            f"{origin.model} is causal: its first token sees nothing. Use head_pooling last or mean."
        )
    return config


@torch.no_grad()
def _look_both_ways(encoder: nn.Module) -> None:
    """Lifts a decoder's causal mask where the library allows it, and makes sure that it is gone."""
    for module in encoder.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = False
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9]])
    encoder.eval()
    first = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
    if torch.equal(first[0], first[1]):
        raise ModelProblem(
            f"transformers cannot lift the causal mask of {encoder.config.model_type}: use `attention: causal` with "
            "`head_pooling: last`."
        )


def _guarded(encoder: nn.Module) -> nn.Module:
    """Refuses input without an attention mask, and input that is longer than the model's table of positions."""
    longest = longest_input(encoder.config)

    def check(_module: nn.Module, _args: tuple, given: dict) -> None:
        if given.get("attention_mask") is None:
            raise ValueError("an encoder is always given its attention mask")
        if given["input_ids"].shape[1] > longest:
            length = given["input_ids"].shape[1]
            raise ModelProblem(
                f"{length} tokens in a row, but the model has {longest} positions: lower `max_length:`."
            )

    encoder.register_forward_pre_hook(check, with_kwargs=True)
    return encoder


def with_lora(encoder: nn.Module, rank: int) -> nn.Module:
    """The encoder with low-rank adapters on every linear layer; only they are trained."""
    from peft import LoraConfig, get_peft_model

    # peft's wrapper calls the encoder past its hooks.
    return _guarded(
        get_peft_model(
            encoder, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        )
    )


def merged(encoder: nn.Module) -> nn.Module:
    """The plain encoder again, adapters (where there are any) worked into its weights."""
    return encoder.merge_and_unload() if hasattr(encoder, "merge_and_unload") else encoder


def device() -> torch.device:
    """The first GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def in_bf16(precision: str = "auto") -> bool:
    """Whether to compute in bf16 (by autocast, on fp32 weights): on a GPU that can, or that is told to."""
    if precision == "fp32" or not torch.cuda.is_available():
        return False
    return precision == "bf16" or torch.cuda.is_bf16_supported(including_emulation=False)


def _half_of_two(config: Any) -> bool:
    """Whether the architecture is an encoder-decoder, of which only the encoder is used (AutoModel would be both)."""
    return type(config)().is_encoder_decoder


def _no_pooler(config: Any) -> dict[str, bool]:
    """Leaves out the untrained pooling layer where the architecture lets us."""
    if _half_of_two(config):
        return {}
    accepted = inspect.signature(AutoModel._model_mapping[type(config)].__init__).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in accepted else {}
