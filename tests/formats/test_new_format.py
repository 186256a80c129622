"""A new format is one new file, and a single-sentence task one registry row."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from conftest import sentences

from xfer_utils import formats
from xfer_utils.formats import base
from xfer_utils.learning import training
from xfer_utils.scoring import evaluation
from xfer_utils.sources.data import Data
from xfer_utils.study.sections import Training
from xfer_utils.study.tasks import Task, registry

NAMES = ["good", "bad", "odd"]
RATING = '''
"""A text and a place on a scale, learnt as a number."""

import numpy as np
import torch
from torch import nn

from xfer_utils.formats import base
from xfer_utils.formats.heads import Tagger


class Rating(base.Format):
    columns = {"text": base.TEXT, "label": base.NUMBER}
    required = ("text", "label")

    def convert(self, batch, table):
        texts, labels = table.texts(batch, "text"), table.labels(batch[table.columns["label"]])
        rows = table.names(batch, len(texts)) | {"text": texts, "label": labels}
        return table.labelled(rows)

    def encode(self, chunk, tokenizer, max_length, doc_stride):
        arrays = base.encoded(tokenizer, chunk["text"], max_length=max_length)
        return {**arrays, "target": np.asarray(chunk["label"], np.float32)}

    def head(self, encoder, labels):
        return RatingHead(encoder, 1)

    def predictions(self, rows, features, outputs, names, nearest):
        places = np.clip(outputs[:, 0].round().astype(int), 0, len(names) - 1)
        return [names[place] for place in places]



class RatingHead(Tagger):
    def forward(self, states):
        return self.out(states.vectors("mean"))

    @staticmethod
    def loss(numbers, labels):
        return nn.functional.mse_loss(numbers[:, 0], labels)


FORMAT = Rating()
'''


@pytest.fixture
def rated(tmp_path, monkeypatch, tokenizer):
    """A data set of sentences with labels in a folder, and its registry row, in some format."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))

    def make(format: str, columns: dict[str, str]) -> Data:
        for split, count, seed in (("train", 200, 0), ("validation", 60, 1)):
            for code in ("en", "qaa"):
                path = tmp_path / "data" / "reviews" / f"{code}.{split}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                rows = [
                    {"review": text, "stars": NAMES[label]}
                    for text, label in sentences(count, seed)
                ]
                path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        row = {"title": "Reviews", "role": "target", "columns": columns, "labels": tuple(NAMES)}
        splits = {"train": "train", "dev": "validation"}
        # Built without the registry's list of formats, which knows no made-up one.
        task = Task.model_construct(
            name="reviews", format=format, **row, splits=splits, metric="accuracy"
        )
        base.of(format).check(task)
        monkeypatch.setitem(registry(), "reviews", task)
        return Data(f"folder:{tmp_path / 'data'}", {}, {}, tokenizer)

    return make


def trained_score(data: Data, new_model, format: str, run_dir) -> list[dict]:
    part = data.features("reviews", "train", max_length=32, clean=True)
    model = new_model({"reviews": format}, {"reviews": data.labels("reviews")}, dropout=0.0)
    settings = Training(learning_rate=5e-3, epochs=8, batch_size=16)
    training.train(model, {"reviews": part}, data.tokenizer, settings, run_dir, seed=0)
    return evaluation.evaluate(model, "reviews", data, "reviews", "dev", run_dir, max_length=32)


def test_a_task_of_single_sentences_is_one_registry_row(rated, new_model, tmp_path):
    data = rated("sequence", {"text_a": "review", "label": "stars"})
    rows = data.rows("reviews", "dev")
    assert set(rows["text_b"]) == {""}
    ids = data.features("reviews", "dev", max_length=32).slice("ids", 0).tolist()
    assert ids == data.tokenizer(rows["text_a"][0])["input_ids"]
    scores = trained_score(data, new_model, "sequence", tmp_path)
    main = {score["language"]: score for score in scores if score["main"]}
    assert set(main) == {"en", "qaa"} and main["en"]["value"] > 80
    frame = pd.read_parquet(tmp_path / "predictions" / "reviews.dev.parquet")
    commonest = frame.query("language == 'en'")["gold"].value_counts(normalize=True).max()
    assert main["en"]["chance"] == pytest.approx(100 * commonest) and main["en"]["n"] == 60
    assert set(frame["gold"]) == set(NAMES) and frame["correct"].dtype == np.int64
    assert [text for text in base.of("sequence").texts(rows[0]) if text] == [rows["text_a"][0]]


def test_a_new_format_is_one_new_file(rated, new_model, tmp_path, monkeypatch):
    folder = tmp_path / "formats"
    folder.mkdir()
    (folder / "rating.py").write_text(textwrap.dedent(RATING), encoding="utf-8")
    with pytest.raises(ValueError, match=r"unknown format 'rating': formats/rating.py would have"):
        base.of("rating")
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(folder)])
    monkeypatch.setitem(sys.modules, "xfer_utils.formats.rating", None)
    del sys.modules["xfer_utils.formats.rating"]  # gone again after the test
    data = rated("rating", {"text": "review", "label": "stars"})
    scores = trained_score(data, new_model, "rating", tmp_path)
    main = {score["language"]: score for score in scores if score["main"]}
    assert main["en"]["value"] > 60 and 33 < main["en"]["chance"] < 50


def test_a_registry_is_checked_without_loading_torch():
    """Planning must not wait for libraries that only models need."""
    code = """
import sys
from xfer_utils.formats import base
from xfer_utils.study.tasks import registry
for row in registry().values():
    base.of(row.format).check(row)
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
