"""Phase 1 where no published model is used: a Unigram tokenizer and the text for a small XLM-R."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import XLMRobertaTokenizer

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def sample_text(source: Any, most: int) -> dict[str, list[str]]:
    """Lines of text per language, at most `most` of each (0: all), in the source's order."""
    return {code: list(itertools.islice(source.text(code), most or None)) for code in source.text_languages()}


def train_tokenizer(lines: Iterable[str], vocabulary: int, max_length: int) -> XLMRobertaTokenizer:
    """A Unigram tokenizer of XLM-R's kind, trained on the text that the encoder will read."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer)
    pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
    return XLMRobertaTokenizer(vocab=[tuple(piece) for piece in pieces], model_max_length=max_length)
