"""Training data in other languages: the same items, clean in each, split or all, corrupted or not."""

import json

import pytest
from test_toy_reader import Reader

from xfer_utils.sources.catalogue import open_source
from xfer_utils.sources.data import Data
from xfer_utils.sources.raw import MissingData
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.world import World
from xfer_utils.study.sections import Mixture

TINY = {"family": "tiny", "sizes": "tiny"}
WORLD = World(**TINY)
TEXTS = {"mnli": ("text_a", "text_b"), "qqp": ("text_a", "text_b"), "squad": ("context",)}


@pytest.fixture
def toy(tmp_path, monkeypatch, tokenizer):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))

    def read(name: str, most: int = 0, **mixed):
        mixture = Mixture(tasks=[name], **mixed)
        data = Data("toy", TINY, {}, tokenizer, {"xnli": "dev", "xquad": "dev"}, mixture=mixture)
        return data.rows(name, "train", most=most, clean=True)

    return read


def said(code: str, text: str) -> list[tuple]:
    """What a text says, whatever the language."""
    (dials,) = [language for language in WORLD.tongues() if language.code == code]
    meanings = Reader(Lexicon(WORLD, dials)).sentences(text)
    return [
        (m.verb, m.adverb, m.negated, m.asked, sorted((r, *t[:2]) for r, t in m.roles.items()))
        for m in meanings
    ]


@pytest.mark.parametrize("name", TEXTS)
def test_the_toy_worlds_translations_are_exact(toy, name):
    english, other = toy(name), toy(name, languages=["qcb"])
    assert english["item"][:] == other["item"][:] and len(english) > 50
    if name == "squad":
        assert [len(a["text"]) for a in english["answers"]] == [1] * len(other)
        for row in other:
            (text,), (start,) = row["answers"].values()
            assert row["context"][start:].startswith(text)
    else:
        assert english["label"][:] == other["label"][:]
    for column in TEXTS[name]:
        for one, translated in zip(english[column][:20], other[column][:20], strict=True):
            assert one != translated and said("en", one) == said("qcb", translated)


def test_anlis_later_rounds_are_translated_too(tmp_path):
    source = open_source("toy", world=TINY, data_dir=tmp_path)
    assert source.training_set("anli_plus", "qaa") == "anli_plus"
    english, other = (source.read("anli_plus", "train", code) for code in ("en", "qaa"))
    assert english["item"][:] == other["item"][:] and english["label"][:] == other["label"][:]
    assert source.languages("anli_plus", "train") == ["en"], "what is written later changes nothing"
    assert source.training_set("mnli", "xx") == source.training_set("pawsx", "qaa") == ""


def test_items_are_split_or_in_all_languages(toy):
    codes = ["en", "qcb"]
    one, split, each = (
        toy("qqp", most=30, **mixed)
        for mixed in ({}, {"languages": codes}, {"languages": codes, "items": "all"})
    )
    assert sorted(split["item"]) == sorted(one["item"]) and len(set(split["item"])) == 30
    assert sorted(each["item"]) == sorted([*one["item"]] * 2)
    for rows, count in ((split, 15), (each, 30)):
        for code in codes:
            known = set(toy("qqp", languages=[code])["text_a"])
            assert sum(text in known for text in rows["text_a"]) == count


def test_with_and_without_english_are_two_sets_whichever_is_read_first(toy):
    alone, both = (toy("qqp", languages=codes) for codes in (["qcb"], ["en", "qcb"]))
    assert sorted(alone["item"]) == sorted(both["item"]) and alone["text_a"] != both["text_a"]


def test_this_share_of_the_words_is_corrupted_and_answers_stay_in_their_texts(toy):
    for name, column in (("squad", "context"), ("qqp", "text_a")):
        exact, bad = (
            toy(name, languages=["en", "qaa"], items="all", corrupted=c) for c in (0.0, 0.3)
        )
        half = len(exact) // 2
        assert exact[column][:half] == bad[column][:half], "English is no translation"
        pairs = zip(exact[column][half:], bad[column][half:], strict=True)
        changed = [a != b for x, y in pairs for a, b in zip(x.split(), y.split(), strict=True)]
        assert 0.2 < sum(changed) / len(changed) < 0.35
    for row in toy("squad", languages=["qaa"], corrupted=0.5):
        (text,), (start,) = row["answers"].values()
        assert row["context"][start:].startswith(text)


# ----- machine translations of real data -----


def pair(premise: str, label: int = 0) -> dict:
    return {"premise": premise, "hypothesis": f"{premise}!", "label": label}


def question(name: str, context: str) -> dict:
    answers = {"text": [context[:3]], "answer_start": [0]}
    return {"id": name, "title": "T", "context": context, "question": "who?", "answers": answers}


@pytest.fixture
def folder(tmp_path, monkeypatch, tokenizer):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))

    def read(files: dict[str, list[dict]], name: str, held_out: dict, most: int = 0, **mixed):
        for file, rows in files.items():
            path = tmp_path / "data" / f"{file}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        mixture, spec = Mixture(tasks=[name], **mixed), f"folder:{tmp_path / 'data'}"
        data = Data(spec, {}, {}, tokenizer, held_out, mixture=mixture)
        return data.rows(name, "train", most=most, clean=True), data

    return read


def test_what_is_evaluated_in_either_language_is_trained_on_in_neither(folder):
    files = {
        "mnli/en.train": [pair(f"Row {n}") for n in range(6)],
        "mnli_translated/de.train": [pair(f"Zeile {n}") for n in range(6)],
        "xnli/en.validation": [pair("Row 1")],
        "xnli/de.validation": [pair("Zeile 4")],
    }
    for items, kept in (("all", 4), ("split", 4)):
        rows, data = folder(files, "mnli", {"xnli": ["dev"]}, languages=["en", "de"], items=items)
        assert {text[-1] for text in rows["text_a"]} == set("0235") and len(rows) >= kept
    assert {row["language"] for row in data.report()} == {"en", "de"}


def test_what_was_lost_in_translation_is_left_out_in_all(folder):
    files = {
        "squad/en.train": [question(str(n), f"Context {n}") for n in range(6)],
        "squad_translated/de.train": [question(str(n), f"Kontext {n}") for n in (5, 3, 1)],
    }
    rows, _ = folder(files, "squad", {}, languages=["en", "de"], items="all")
    assert sorted(rows["item"]) == ["1", "1", "3", "3", "5", "5"]
    assert {text.split()[0] for text in rows["context"]} == {"Context", "Kontext"}


def test_rows_that_are_not_aligned_are_not_taken_for_translations(folder):
    files = {
        "mnli/en.train": [pair(f"Row {n}") for n in range(6)],
        "mnli_translated/de.train": [pair(f"Zeile {n}") for n in range(5)],
    }
    with pytest.raises(MissingData, match="no training item is there in all of en, de"):
        folder(files, "mnli", {}, languages=["en", "de"])
