"""Tiny random models of many architectures, saved as folders that look like published ones."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    BertTokenizer,
    PreTrainedTokenizerFast,
)

from xfer_utils.learning import pretraining

TEXT = [
    "the cat sat on the mat",
    "a dog ran over the hill",
    "ein Hund sah die Katze",
    "le chat dort ici",
] * 20
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
SHAPES: dict[str, dict[str, Any]] = {
    "xlm-roberta": {**SMALL, "max_position_embeddings": 66, "type_vocab_size": 1, "pad_token_id": 1},
    "xlm-roberta-xl": {**SMALL, "max_position_embeddings": 66, "type_vocab_size": 1, "pad_token_id": 1},
    "bert": {**SMALL, "max_position_embeddings": 64},
    "modernbert": {**SMALL, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1,
                   "cls_token_id": 2, "sep_token_id": 1},
    "deberta-v2": {**SMALL, "max_position_embeddings": 64, "type_vocab_size": 0, "relative_attention": True,
                   "position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True, "pad_token_id": 0,
                   "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    "mt5": {"d_model": 16, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2, "d_kv": 8, "d_ff": 32},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "bos_token_id": 0,
             "eos_token_id": 0},
    "eurobert": {**SMALL, "max_position_embeddings": 64, "num_key_value_heads": 2, "pad_token_id": 0,
                 "bos_token_id": 2, "eos_token_id": 1, "mask_token_id": 4},
}  # fmt: skip
ARCHITECTURES = list(SHAPES)
WITH_MLM = [name for name in ARCHITECTURES if name not in ("mt5", "gpt2")]


def make(
    folder: Path, architecture: str, dtype: torch.dtype = torch.float32, mlm: bool = False
) -> Path:
    """A folder with a tiny random model of an architecture and a tokenizer of its kind."""
    torch.manual_seed(0)
    words = tokenizer(architecture)
    config = AutoConfig.for_model(architecture, vocab_size=len(words), **SHAPES[architecture])
    kind = AutoModelForMaskedLM if mlm else AutoModel
    if architecture == "deberta-v2":
        config.legacy = (
            False  # the published checkpoint's names, of which its configuration says nothing
        )
    model = kind.from_config(config)
    for (
        parameter
    ) in model.parameters():  # biases and norms too: as published ones are not zero and one
        parameter.data += 0.05 * torch.randn_like(parameter)
    model.to(dtype).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def tokenizer(architecture: str) -> Any:
    """A tokenizer of the architecture's kind: special tokens, token types and padding as published ones have them."""
    if architecture in ("xlm-roberta", "xlm-roberta-xl"):
        return pretraining.train_tokenizer(TEXT, 100, 64)
    if architecture == "bert":
        vocabulary = [
            "[PAD]",
            "[UNK]",
            "[CLS]",
            "[SEP]",
            "[MASK]",
            *sorted({w for t in TEXT for w in t.split()}),
        ]
        return BertTokenizer(
            vocab={word: i for i, word in enumerate(vocabulary)}, do_lower_case=False
        )
    if architecture == "gpt2":
        return _byte_level()
    if architecture == "mt5":
        return _pieces(
            {"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}, "$A </s>", "$A </s> $B </s>"
        )
    names = {
        "pad": "<pad>",
        "eos": "</s>",
        "bos": "<s>",
        "unk": "<unk>",
        "cls": "<s>",
        "sep": "</s>",
        "mask": "<mask>",
    }
    return _pieces(names, "<s> $A </s>", "<s> $A </s> $B:1 </s>:1")


def _pieces(special: dict[str, str], single: str, pair: str) -> PreTrainedTokenizerFast:
    names = list(dict.fromkeys(special.values()))
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    backend.train_from_iterator(
        TEXT,
        trainers.UnigramTrainer(
            vocab_size=90, special_tokens=names, unk_token="<unk>", show_progress=False
        ),
    )
    used = [(name, backend.token_to_id(name)) for name in names if name in single]
    backend.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=used
    )
    given = {f"{role}_token": name for role, name in special.items()}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **given)


def _byte_level() -> PreTrainedTokenizerFast:
    """As mGPT's kind has it: no padding token, nothing between two texts."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder, backend.post_processor = (
        decoders.ByteLevel(),
        processors.ByteLevel(trim_offsets=True),
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    backend.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|endoftext|>", bos_token="<|endoftext|>"
    )
