"""Phase 1 without a published model: the text and the tokenizer of a small XLM-R."""

import io
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import sentencepiece
from transformers import XLMRobertaTokenizer

from xfer_utils.sources import leaks
from xfer_utils.sources.raw import MissingData

SPECIAL = {"bos_id": 0, "pad_id": 1, "eos_id": 2, "unk_id": 3}  # as XLM-R numbers them


def sample_text(
    source: Any, most: int, languages: Sequence[str] = ()
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Lines per language (at most `most`; 0: all), and how many were dropped as evaluated."""
    banned = leaks.forbidden(source, source.cleaned_of)
    text, dropped = {}, {}
    for code in languages or source.text_languages():
        lines = itertools.islice(source.text(code), most or None)
        text[code], dropped[code] = leaks.clean_text(lines, banned)
    return text, dropped


def train_tokenizer(lines: list[str], vocabulary: int, max_length: int) -> XLMRobertaTokenizer:
    """A Unigram tokenizer made by sentencepiece, as XLM-R's was.

    Unigram only considers pieces that occur in two different words, and would cut up a frequent
    word with one form. So each word that occurs twice is shown again with a full stop behind it.
    """
    if not any(map(str.strip, lines)):
        raise MissingData("no text to pre-train on is left, once what is evaluated is taken out")
    counts = Counter(word for line in lines for word in line.split())
    shown_again = [f"{word}." for word, count in sorted(counts.items()) if count > 1]
    model = io.BytesIO()
    # One thread: several sum in another order, and the tokenizer varies.
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=itertools.chain(lines, shown_again), model_writer=model, num_threads=1,
        vocab_size=vocabulary, hard_vocab_limit=False, character_coverage=0.9999,
        shrinking_factor=0.6, minloglevel=2, **SPECIAL,
    )  # fmt: skip
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    scored = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(pieces.get_piece_size())]
    return XLMRobertaTokenizer(vocab=scored, model_max_length=max_length)
