"""Encoders of any architecture: made new, loaded, saved, and trained by LoRA."""

import inspect
import json
import os
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import try_to_load_from_cache
from tokenizers import processors
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, XLMRobertaConfig, XLMRobertaModel
from transformers.utils import logging

from xfer_utils.learning import guard, origins
from xfer_utils.learning.origins import ModelProblem, Origin
from xfer_utils.study import paths
from xfer_utils.study.sections import Numerics, Pretraining

# Their positions are counted from the padding id + 1: a table of 514 has places for 512 tokens.
COUNT_FROM_PAD = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "xmod", "mpnet", "luke"}
# A pickled checkpoint is not read, and the hub is not asked to convert one.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
logging.disable_progress_bar()


def new_encoder(tokenizer: Any, shape: Pretraining) -> nn.Module:
    """A small XLM-R of transformers' own architecture with random weights."""
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), num_hidden_layers=shape.layers, hidden_size=shape.width,
        num_attention_heads=shape.heads, intermediate_size=shape.feedforward,
        max_position_embeddings=shape.positions + tokenizer.pad_token_id + 1, type_vocab_size=1,
        hidden_dropout_prob=shape.dropout, attention_probs_dropout_prob=shape.dropout,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    encoder = _checked(XLMRobertaModel(config, add_pooling_layer=False))
    return rounded(encoder, shape.numerics)


@torch.no_grad()
def rounded(model: nn.Module, numerics: Numerics) -> nn.Module:
    """For `other`, every weight to be trained is made a millionth larger or smaller, by turns.

    What another machine does to a training: it rounds otherwise, less but in every step.
    """
    for weight in model.parameters():
        if numerics == "other" and weight.requires_grad:
            signs = 1 - 2 * (torch.arange(weight.numel()) % 2)  # nothing that depends on a machine
            weight *= 1 + 1e-6 * signs.view_as(weight)
    return model


def save_encoder(folder: Path, encoder: nn.Module, tokenizer: Any, head: Any = None) -> None:
    """A folder that transformers itself can load; with a masked-LM head, as a masked LM too."""
    if head is None:
        encoder.save_pretrained(folder)
    else:
        head.save(folder, encoder)
    tokenizer.save_pretrained(folder)


def save_pointer(
    folder: Path, model: str, revision: str, head_pooling: str = "auto", attention: str = "auto"
) -> None:
    """An encoder folder that only names a model, at one commit for all runs; tries it at once."""
    local = origins.local_folder(model)
    origin = Origin(str(local or model), revision, head_pooling, attention)
    load_encoder(origin)
    if not local:
        config = try_to_load_from_cache(model, "config.json", revision=revision)
        origin = replace(origin, revision=Path(config).parent.name)
    with paths.replacing(folder / origins.POINTER) as temporary:
        content = asdict(replace(origin, model=model))  # as it was named: projects may move
        temporary.write_text(json.dumps(content), encoding="utf-8")


def load_tokenizer(source: Path | Origin) -> Any:
    """The tokenizer of a run (or origin), padding, separating and typing as its model needs."""
    origin = source if isinstance(source, Origin) else origins.of_run(source)
    with origins.explained(f"the tokenizer of {origin.model}"):
        config = AutoConfig.from_pretrained(origin.model, **origin.options)
        tokenizer = AutoTokenizer.from_pretrained(origin.model, **origin.options)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.num_special_tokens_to_add(pair=True) == 0:
        _add_separators(tokenizer)
    if (getattr(config, "type_vocab_size", 0) or 0) < 2:
        # Some tokenizers write token types whatever the model knows; GPT-2 reads them as words.
        names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = names
    tokenizer.model_max_length = min(tokenizer.model_max_length, longest_input(config))
    return tokenizer


def _add_separators(tokenizer: Any) -> None:
    """Ends each text with the end token: a decoder's tokenizer puts nothing between two texts."""
    end = tokenizer.eos_token
    template = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B:1 {end}:1",
        special_tokens=[(end, tokenizer.eos_token_id)],
    )  # fmt: skip
    backend = tokenizer.backend_tokenizer
    before = backend.post_processor
    backend.post_processor = processors.Sequence([before, template]) if before else template


def first_position(config: Any) -> int:
    """The position of a row's first token."""
    return config.pad_token_id + 1 if config.model_type in COUNT_FROM_PAD else 0


def longest_input(config: Any) -> int:
    """Tokens that a model has positions for; relative positions have no bound."""
    places = getattr(config, "max_position_embeddings", None) or 10**9
    return places - first_position(config)


def load_encoder(source: Path | Origin) -> nn.Module:
    """The encoder of a run (or origin) in fp32, also where its checkpoint is in half precision."""
    origin = source if isinstance(source, Origin) else origins.of_run(source)
    with origins.explained(origin.model):
        config = _config(origin)
        # AutoModel would load both halves of an encoder-decoder.
        one_half = transformers.AutoModelForTextEncoding
        architecture = one_half if type(config)().is_encoder_decoder else AutoModel
        options = inspect.signature(AutoModel._model_mapping[type(config)].__init__).parameters
        # An untrained pooling layer is left out where the architecture lets us.
        pooler = {"add_pooling_layer": False} if "add_pooling_layer" in options else {}
        verbosity = logging.get_verbosity()
        # The library would report a masked-LM checkpoint's unused head; gaps are checked below.
        logging.set_verbosity_error()
        encoder, info = architecture.from_pretrained(
            origin.model, config=config, dtype=torch.float32, output_loading_info=True,
            use_safetensors=True, **origin.options, **pooler,
        )  # fmt: skip
        logging.set_verbosity(verbosity)
    missing = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    if missing:
        problem = f"{len(missing)} weights are missing ({', '.join(missing[:3])})"
        raise ModelProblem(f"{origin.model} is not a whole {config.model_type} model: {problem}.")
    guard.check_weights(encoder, origin.model)
    encoder.xfer_origin = origin
    if getattr(config, "is_causal", None) is False:
        _lift_causal_mask(encoder)
    return _checked(encoder)


def _config(origin: Origin) -> Any:
    """The model's configuration, with how heads pool and attention looks written into it."""
    config = AutoConfig.from_pretrained(origin.model, **origin.options)
    pad = load_tokenizer(origin).pad_token_id
    if config.model_type in COUNT_FROM_PAD and config.pad_token_id != pad:
        raise ModelProblem(
            f"{origin.model}: its positions count from padding id {config.pad_token_id}, but its "
            f"tokenizer pads with {pad}. Correct pad_token in the tokenizer's files."
        )
    config.pad_token_id = pad
    two_halves = type(config)().is_encoder_decoder
    causal_lm = type(config) in transformers.AutoModelForCausalLM._model_mapping
    masked_lm = type(config) in transformers.AutoModelForMaskedLM._model_mapping
    decoder = causal_lm and not masked_lm and not two_halves
    attention = _choice(config, origin, "attention", "causal" if decoder else "bidirectional")
    if attention == "causal" and not decoder:
        problem = "looks both ways and has no causal attention: leave `attention:` out"
        raise ModelProblem(f"{origin.model} {problem}.")
    if decoder:
        config.is_causal = attention == "causal"
    natural = "last" if attention == "causal" else "mean" if two_halves else "first"
    pooling = _choice(config, origin, "head_pooling", natural)
    if (pooling, attention) == ("first", "causal"):
        problem = "is causal, so its first token sees nothing: pool by last or mean"
        raise ModelProblem(f"{origin.model} {problem}.")
    config.xfer_attention, config.xfer_head_pooling = attention, pooling
    return config


def _choice(config: Any, origin: Origin, name: str, natural: str) -> str:
    """What the study asks for; else what an earlier phase wrote down; else the model's nature."""
    choices = (getattr(origin, name), getattr(config, f"xfer_{name}", "auto"))
    return next((choice for choice in choices if choice != "auto"), natural)


@torch.no_grad()
def _lift_causal_mask(encoder: nn.Module) -> None:
    """Lets a decoder look both ways where the library can, and makes sure that it does."""
    for module in encoder.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = False
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9]])
    encoder.eval()
    first = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
    if torch.equal(first[0], first[1]):
        raise ModelProblem("The model's causal mask cannot be lifted: use `attention: causal`.")


def _checked(encoder: nn.Module) -> nn.Module:
    """Refuses input longer than the model's positions; packed rows hold several sequences."""
    check = partial(_check_length, longest_input(encoder.config))
    encoder.register_forward_pre_hook(check, with_kwargs=True)
    return encoder


def _check_length(longest: int, _module: nn.Module, _args: tuple, inputs: dict) -> None:
    length = inputs["input_ids"].shape[1]
    if length > longest and "position_ids" not in inputs:
        problem = f"{length} tokens in a row, but the model has {longest} positions"
        raise ModelProblem(f"{problem}: lower `max_length:`.")


def with_lora(encoder: nn.Module, rank: int) -> nn.Module:
    """The encoder with low-rank adapters on every linear layer; only they are trained."""
    from peft import LoraConfig, get_peft_model

    adapters = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    # peft's wrapper calls the encoder past its hooks, so it is checked by one of its own.
    return _checked(get_peft_model(encoder, adapters))


def freeze(encoder: nn.Module, states: int) -> None:
    """Leaves the first so many hidden states as they are: 1 the embeddings, 2 the first layer too.

    Only later layers are trained: what all layers share (relative positions, a last norm) is not.
    """
    if not states:
        return
    layers = max((m for m in encoder.modules() if isinstance(m, nn.ModuleList)), key=len)
    if states > len(layers):
        problem = f"`freeze: {states}` leaves nothing to train"
        raise ModelProblem(f"{problem}: the model has {len(layers)} layers.")
    later = {id(weight) for layer in layers[states - 1 :] for weight in layer.parameters()}
    for weight in encoder.parameters():
        weight.requires_grad_(weight.requires_grad and id(weight) in later)


def merged(encoder: nn.Module) -> nn.Module:
    """The plain encoder, with adapters (where there are any) merged into its weights."""
    return encoder.merge_and_unload() if hasattr(encoder, "merge_and_unload") else encoder


def device() -> torch.device:
    """The first GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def in_bf16(precision: str = "auto") -> bool:
    """Whether to compute in bf16 (autocast over fp32 weights): on a GPU that can or must."""
    if precision == "fp32" or not torch.cuda.is_available():
        return False
    return precision == "bf16" or torch.cuda.is_bf16_supported(including_emulation=False)
