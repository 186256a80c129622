"""The files of a submission, byte for byte."""

import json

import pandas as pd
import pytest

from xfer_utils.export import export


def frame(language, predictions, **columns):
    rows = {"language": language, "split": "test", "id": [f"{language}-{i}" for i in range(len(predictions))]}
    return pd.DataFrame(rows | {"prediction": predictions} | columns)


def test_labels(tmp_path):
    tables = {
        "xnli": pd.concat([frame("en", ["entailment", "neutral"]), frame("sw", ["contradiction", "neutral"])]),
        "pawsx": frame("de", ["paraphrase", "different"]),
    }
    files = export(tables, tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        "xnli/test-en.tsv",
        "xnli/test-sw.tsv",
        "pawsx/test-de.tsv",
    ]
    assert files[0].read_text() == "entailment\nneutral\n"
    assert files[2].read_text() == "1\n0\n"


def test_tags_have_an_empty_line_between_sentences(tmp_path):
    tags = [json.dumps(["B-LOC", "I-LOC"]), json.dumps(["O"])]
    (file,) = export({"panx": frame("yo", tags)}, tmp_path)
    assert file.read_text() == "B-LOC\nI-LOC\n\nO\n"


def test_answers(tmp_path):
    (file,) = export({"mlqa": frame("zh", ["红楼梦", 'a "b"'])}, tmp_path)
    assert file.name == "test-zh.json"
    assert json.loads(file.read_text(encoding="utf-8")) == {"zh-0": "红楼梦", "zh-1": 'a "b"'}


def test_mining_writes_predicted_pairs_only(tmp_path):
    (file,) = export({"bucc2018": frame("zh", ["en-5", "en-6"], n_pred=[1, 0])}, tmp_path)
    assert file.read_text() == "zh-0\ten-5\n"


def test_tatoeba_numbers_in_the_order_of_sorted_queries(tmp_path):
    table = frame("jv", ["b", "b", "a"], gold=["a", "b", "c"])
    (file,) = export({"tatoeba": table}, tmp_path / "plain")
    assert file.read_text() == "1\n1\n0\n"
    (file,) = export({"tatoeba": table.assign(text=["Zebra", "Ant", "bee"])}, tmp_path / "sorted")
    assert file.read_text() == "1\n1\n0\n"
    (file,) = export({"tatoeba": table.assign(text=["Cat", "Bee", "Ant"])}, tmp_path / "other")
    assert file.read_text() == "0\n1\n1\n"


def test_a_split_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"xnli: no predictions of split 'dev'.*there are: test"):
        export({"xnli": frame("en", ["neutral"])}, tmp_path, split="dev")
