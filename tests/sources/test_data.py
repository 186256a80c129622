"""Rows and features as job notebooks get them: capped, cleaned, kept apart for choosing, cached, and reported."""

import copy
import json

import pytest

from xfer_utils.formats import features, token
from xfer_utils.sources import base, data
from xfer_utils.sources.raw import MissingData
from xfer_utils.study import paths
from xfer_utils.study.tasks import registry

SIZE = {"max_length": 32, "doc_stride": 8}


def pos(number: int) -> dict:
    return {"tokens": ["the", "day", f"word{number}"], "upos": ["DET", "NOUN", "X"]}


def question(name: str, context: str) -> dict:
    answers = {"text": [context[:3]], "answer_start": [0]}
    return {"id": name, "title": "T", "context": context, "question": "who?", "answers": answers}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "data"


@pytest.fixture
def put(folder):
    def write(name: str, rows: list[dict]) -> None:
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    return write


@pytest.fixture
def open_data(folder, tokenizer):
    def make(held_out: dict | None = None, spare: int = 0) -> data.Data:
        return data.Data(f"folder:{folder}", {}, {}, tokenizer, held_out, spare)

    return make


def test_a_cap_takes_rows_at_equal_distances(put, open_data):
    put("udpos/en.validation", [pos(n) for n in range(9)])
    taken = [tokens[2] for tokens in open_data().rows("udpos", "dev", most=3)["tokens"]]
    assert taken == ["word0", "word4", "word8"]


def test_the_checkpoint_is_never_chosen_on_what_is_evaluated(put, open_data):
    """POS is scored on its own dev set: 10 training rows are kept apart for choosing, spread over the whole set."""
    put("udpos/en.train", [pos(n) for n in range(100)])
    put("udpos/en.validation", [pos(n) for n in range(90, 120)])
    asked = open_data({"udpos": "dev"}, spare=10)
    words = {
        "train": asked.rows("udpos", "train", clean=True),
        "choosing": asked.rows("udpos", "dev", clean=True),
        "evaluated": asked.rows("udpos", "dev"),
    }
    found = {part: {tokens[2] for tokens in rows["tokens"]} for part, rows in words.items()}
    assert [len(found[part]) for part in words] == [80, 10, 30]
    assert not (found["train"] & found["choosing"] or found["train"] & found["evaluated"])
    assert not found["choosing"] & found["evaluated"]
    assert max(int(word[4:]) for word in found["train"]) > min(
        int(word[4:]) for word in found["choosing"]
    )


def copa(number: int) -> dict:
    return {
        "premise": f"He fell {number}.",
        "choice1": "One.",
        "choice2": "Two.",
        "question": "cause",
        "label": 0,
    }


@pytest.mark.parametrize(("evaluated", "chosen_on"), [("dev", "train"), ("test", "validation")])
def test_the_checkpoint_is_not_chosen_on_the_original_of_what_is_evaluated(
    put, open_data, monkeypatch, evaluated, chosen_on
):
    """XCOPA's dev set is COPA's in other languages; where XCOPA has no English, no row tells so."""
    monkeypatch.setitem(registry(), "copa", registry()["copa"].model_copy(update={"local": "copa"}))
    numbers = {"train": range(20), "validation": range(30, 40)}
    for split, rows in numbers.items():
        put(f"copa/en.{split}", [copa(n) for n in rows])
    for split in ("validation", "test"):
        put(f"xcopa/et.{split}", [copa(n) | {"premise": f"Ta kukkus {n}."} for n in range(30, 40)])
    asked = open_data({"xcopa": evaluated}, spare=5)
    train, choosing = (
        asked.rows("copa", role, clean=True)["text_a"][:] for role in ("train", "dev")
    )
    assert {int(text.split()[2].rstrip(".")) for text in choosing} <= set(numbers[chosen_on])
    assert not set(train) & set(choosing)
    assert (len(train), len(choosing)) == ((15, 5) if evaluated == "dev" else (20, 10))


def test_paragraphs_stay_together_when_rows_are_kept_apart(put, open_data):
    put(
        "tydiqa/en.train",
        [question(f"english-{n}", f"Paragraph {n // 2} is here.") for n in range(40)],
    )
    put("tydiqa/en.validation", [question("english-x", "Another one.")])
    asked = open_data({"tydiqa": "dev"}, spare=10)
    train, choosing = (
        asked.rows("tydiqa", role, clean=True)["context"] for role in ("train", "dev")
    )
    assert (len(train), len(choosing)) == (30, 10) and not set(train) & set(choosing)


def test_what_is_newly_evaluated_leaves_cached_training_rows(put, open_data):
    put("squad/en.train", [question("a", "Evaluated."), question("b", "Clean.")])
    put("xquad/de.validation", [question("z", "Etwas.")])
    assert open_data({"xquad": "dev"}).rows("squad", "train", clean=True)["id"] == ["a", "b"]
    put("xquad/en.validation", [question("a", "Evaluated.")])
    assert open_data({"xquad": "dev"}).rows("squad", "train", clean=True)["id"] == ["b"]


def test_an_edit_of_the_registry_reaches_cached_rows(put, open_data, monkeypatch):
    put("mnli/en.train", [{"premise": "one", "hypothesis": "two", "label": 0}])
    assert open_data().rows("mnli", "train")["text_a"] == ["one"]
    swapped = registry()["mnli"].model_copy(
        update={"columns": {"text_a": "hypothesis", "text_b": "premise", "label": "label"}}
    )
    monkeypatch.setitem(registry(), "mnli", swapped)
    assert open_data().rows("mnli", "train")["text_a"] == ["two"]


def test_every_run_reports_how_its_rows_were_read(put, open_data):
    """A run that finds its features made already reports no less than the one that made them."""
    put("squad/en.train", [question("a", "Evaluated."), question("b", "Clean.")])
    put("xquad/en.validation", [question("a", "Evaluated.")])
    reports = []
    for _ in range(2):
        asked = open_data({"xquad": "dev"})
        asked.features("squad", "train", clean=True, **SIZE)
        asked.features("xquad", "dev", **SIZE)
        reports.append(
            {(row["task"], row["role"]): row["dropped_as_evaluated"] for row in asked.report()}
        )
    assert reports[0] == reports[1] == {("squad", "train"): 1, ("xquad", "dev"): 0}


def test_nothing_left_says_why(put, open_data):
    row = {"id": 1, "sentence1": "one", "sentence2": "two", "label": 1}
    put("pawsx/en.train", [row])
    put("pawsx/en.validation", [row])
    with pytest.raises(
        MissingData, match=r"no train rows of pawsx \(en\) are left .*: 1 were dropped because"
    ):
        open_data({"pawsx": "dev"}).features("pawsx", "train", clean=True, **SIZE)


def test_tokenizers_that_differ_in_what_they_hand_on_share_no_features(put, open_data, tokenizer):
    """BERT's tokenizer makes token types where the model knows them: the same vocabulary, other features."""
    put("udpos/en.train", [pos(n) for n in range(4)])
    open_data().features("udpos", "train", **SIZE)
    one = {path.name for path in paths.outputs().rglob("*.safetensors")}
    other = copy.copy(tokenizer)
    other.model_input_names = ["input_ids", "attention_mask", "token_type_ids"]
    again = open_data()
    data.Data(again.source.spec, {}, {}, other).features("udpos", "train", **SIZE)
    assert len({path.name for path in paths.outputs().rglob("*.safetensors")} - one) == 1


def test_a_raised_version_makes_cached_rows_and_features_anew(put, open_data, monkeypatch):
    put("udpos/en.train", [pos(n) for n in range(4)])
    for owner in (None, base, token.Token):
        if owner:
            monkeypatch.setattr(owner, "VERSION", 2)
        open_data().features("udpos", "train", **SIZE)
    for pattern in ("rows/*.parquet", "features/*.safetensors"):
        assert len(list((paths.outputs() / "cache").glob(pattern))) == 3


def test_features_are_made_once(put, open_data, tokenizer, monkeypatch):
    """Also where the same tokenizer was last called with another length, which it remembers."""
    put("udpos/en.train", [pos(n) for n in range(4)])
    first = open_data().features("udpos", "train", **SIZE)
    tokenizer(["the day was so very much"], truncation=True, max_length=4, padding=True)
    monkeypatch.setattr(features, "of_examples", None)
    assert len(open_data().features("udpos", "train", **SIZE)) == len(first) == 4


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-9] + bytes(9)])
def test_cached_rows_and_features_that_have_changed_are_set_aside_and_made_again(
    put, open_data, capsys, damage
):
    put("udpos/en.train", [pos(n) for n in range(4)])
    first = open_data().features("udpos", "train", **SIZE)
    stored = [*paths.outputs().rglob("*.safetensors"), *paths.outputs().rglob("*.parquet")]
    assert len(stored) == 2
    for path in stored:
        path.write_bytes(damage(path.read_bytes()))
    again, rows = open_data().features("udpos", "train", **SIZE), open_data().rows("udpos", "train")
    assert len(rows) == 4 and {name: a.tolist() for name, a in again.arrays.items()} == {
        name: a.tolist() for name, a in first.arrays.items()
    }
    said = capsys.readouterr().err
    for path in stored:
        assert path.name in said and path.with_name(f"broken-{path.name}").exists()
