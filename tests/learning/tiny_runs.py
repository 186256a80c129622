"""Encoder runs of every architecture, and rows of every format as batches."""

import pytest
from datasets import Dataset
from tiny_models import make

from xfer_utils.formats import features
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import batches, encoders

ROWS = {
    "sequence": {"text_a": ["the cat sat", "a dog"], "text_b": ["le chat", "ein Hund sah"],
                 "label": [0, 2]},
    "token": {"tokens": [["the", "cat"], ["a", "dog", "ran"]], "tags": [[0, 1], [0, 1, 2]]},
    "span": {"question": ["who sat", "who ran"],
             "context": ["the cat sat on the mat", "a dog ran over the hill"],
             "answers": [{"text": ["cat"], "answer_start": [4]},
                         {"text": ["dog"], "answer_start": [2]}]},
    "choice": {"text_a": ["the cat", "a dog"],
               "choices": [["sat", "ran"], ["ran over the hill", "sat"]], "label": [0, 1]},
    "pair": {"question": ["who sat", "who ran"], "passage": ["the cat sat", "a dog ran"],
             "context": ["", ""]},
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An encoder run per architecture that points to a folder with a tiny model."""

    def run(architecture: str, mlm: bool = False, **options):
        name = "-".join([architecture, *(["mlm"] if mlm else []), *options.values()])
        place = root / name
        if not place.is_dir():
            make(place / "model", architecture, mlm=mlm)
            encoders.save_pointer(
                place / "run" / "encoder", str(place / "model"), "main", **options
            )
        return place / "run"

    root = tmp_path_factory.mktemp("models")
    return run


def part_of(kind: str, tokenizer) -> features.Features:
    if kind == "mlm":
        return features.of_text(["the cat sat on the mat", "a dog ran"], tokenizer, 32)
    rows = Dataset.from_dict({"id": ["1", "2"], **ROWS[kind]})
    return features.of_examples(kind, rows, tokenizer, 32)


def batch_of(kind: str, tokenizer) -> dict:
    part = part_of(kind, tokenizer)
    masking = Masking.of(tokenizer, 0.3) if kind == "mlm" else None
    return batches.collate("t", part, [0, 1], tokenizer.pad_token_id, masking)


def encoder_and_words(run):
    return encoders.load_encoder(run).eval(), encoders.load_tokenizer(run)
