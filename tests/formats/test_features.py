"""Token ids of every format, against what the tokenizer says of each text alone."""

import numpy as np
import pytest
import tiny_models
from conftest import classification, dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_utils.formats import features
from xfer_utils.formats.columns import IGNORE

SOME = "the day was good fine nice poor awful weird queer Anna Ulm king , . saw"
WORD = st.sampled_from(SOME.split())
TEXT = st.lists(WORD, min_size=1, max_size=14).map(" ".join)
KEPT = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def rows_of(made):
    return [made.slice("ids", row).tolist() for row in range(len(made))]


def pieces(tokenizer, text):
    """The ids of a text, without special tokens."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@KEPT
@given(pairs=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_sequences_of_two_texts(tokenizer, pairs):
    rows = [{"text_a": a, "text_b": b, "label": n % 3} for n, (a, b) in enumerate(pairs)]
    made = features.of_examples("sequence", dataset(rows), tokenizer, 256)
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    wanted = [[bos, *pieces(tokenizer, a), eos, eos, *pieces(tokenizer, b), eos] for a, b in pairs]
    assert rows_of(made) == wanted
    assert made.arrays["target"].tolist() == [row["label"] for row in rows]
    assert made.arrays["example"].tolist() == list(range(len(rows)))
    assert made.lengths.tolist() == list(map(len, wanted))


def test_sequences_of_one_text_and_the_cut(tokenizer):
    made = features.of_examples("sequence", classification(40), tokenizer, 8)
    for text, ids in zip(classification(40)["text_a"], rows_of(made), strict=True):
        whole = [tokenizer.bos_token_id, *pieces(tokenizer, text), tokenizer.eos_token_id]
        assert ids == (whole if len(whole) <= 8 else [*whole[:7], tokenizer.eos_token_id])
    assert max(made.lengths) == 8


def test_many_chunks_are_one(tokenizer, monkeypatch):
    rows = classification(50)
    whole = features.of_examples("sequence", rows, tokenizer, 32)
    monkeypatch.setattr(features, "CHUNK", 7)
    parts = features.of_examples("sequence", rows, tokenizer, 32)
    assert all(np.array_equal(whole.arrays[name], parts.arrays[name]) for name in whole.arrays)


@KEPT
@given(
    tagged=st.lists(
        st.lists(st.tuples(WORD, st.sampled_from([0, 1, 2, IGNORE])), min_size=1, max_size=60),
        min_size=1,
        max_size=4,
    )
)
def test_every_word_is_tagged_once_however_long_the_sentence(tokenizer, tagged):
    rows = [
        {"tokens": [word for word, _ in one], "tags": [tag for _, tag in one]} for one in tagged
    ]
    made = features.of_examples("token", dataset(rows), tokenizer, 16)
    words, labels = made.arrays["words"], made.arrays["labels"]
    example = np.repeat(made.arrays["example"], made.lengths)
    assert max(made.lengths) <= 16
    for number, row in enumerate(rows):
        mine = (example == number) & (words >= 0)
        assert words[mine].tolist() == list(range(len(row["tokens"]))), "each word once, in order"
        assert labels[mine].tolist() == row["tags"]
        ends = (tokenizer.bos_token_id, tokenizer.eos_token_id)
        inner = [i for i in made.arrays["ids"][example == number].tolist() if i not in ends]
        whole = tokenizer(row["tokens"], is_split_into_words=True, add_special_tokens=False)[
            "input_ids"
        ]
        assert inner == whole, "no piece is lost or doubled"
    assert (labels[words < 0] == IGNORE).all()


def test_the_tag_stands_on_the_first_piece(tokenizer):
    rows = dataset([{"tokens": ["Karenina", "was"], "tags": [2, 1]}])
    made = features.of_examples("token", rows, tokenizer, 32)
    first = 1 + len(
        tokenizer(["Karenina"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    )
    wanted = np.full(len(made.arrays["ids"]), IGNORE)
    wanted[[1, first]] = [2, 1]
    assert first > 2 and made.arrays["labels"].tolist() == wanted.tolist()


CONTEXT = "He saw Anna Karenina there . The old king was in Ulm , so the day was fine and great ."


def span(question, context, *answers):
    found = {"text": list(answers), "answer_start": [context.index(answer) for answer in answers]}
    return {"question": question, "context": context, "answers": found}


@pytest.mark.parametrize(
    "answer", ["Anna Karenina", "Ulm", "He", ".", "old king was in Ulm", "great ."]
)
def test_answers_to_tokens(tokenizer, answer):
    made = features.of_examples(
        "span", dataset([span("Who ?", CONTEXT, answer)]), tokenizer, 64, 16
    )
    assert len(made) == 1
    first, last = made.arrays["target"][0]
    offsets = made.arrays["offsets"]
    assert CONTEXT[offsets[first, 0] : offsets[last, 1]].strip() == answer
    inside = offsets[:, 0] >= 0
    covered = {place for a, b in offsets[inside] for place in range(a, b)}
    assert {place for place, char in enumerate(CONTEXT) if char != " "} == covered
    assert not inside[: len(pieces(tokenizer, "Who ?")) + 1].any(), "the question is not context"


def test_the_first_of_several_answers_and_none(tokenizer):
    rows = dataset([span("Who ?", CONTEXT, "Ulm", "He"), span("Who ?", CONTEXT)])
    made = features.of_examples("span", rows, tokenizer, 64, 16)
    first, last = made.arrays["target"][0]
    offsets = made.slice("offsets", 0)
    assert CONTEXT[offsets[first, 0] : offsets[last, 1]].strip() == "Ulm"
    assert made.arrays["target"][1].tolist() == [0, 0]


@KEPT
@given(place=st.integers(0, 59), stride=st.integers(1, 12))
def test_windows_cover_the_context_and_hold_the_answer_or_nothing(tokenizer, place, stride):
    words = [
        f"{word}{n}"
        for n, word in enumerate(["the", "day", "was", "fine", "and", "the", "king", "so"] * 8)
    ][:60]
    context, answer = " ".join(words), words[place]
    made = features.of_examples(
        "span", dataset([span("Who was it ?", context, answer)]), tokenizer, 48, stride
    )
    seen, found = set(), 0
    for row in range(len(made)):
        offsets = made.slice("offsets", row)
        inside = offsets[offsets[:, 0] >= 0]
        seen |= {(int(a), int(b)) for a, b in inside}
        begin, end = context.index(answer), context.index(answer) + len(answer)
        whole = inside[0, 0] <= begin and inside[-1, 1] >= end
        first, last = made.arrays["target"][row]
        assert (first > 0) == whole
        if whole:
            found += 1
            assert context[offsets[first, 0] : offsets[last, 1]].strip() == answer
    every = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    assert seen == set(map(tuple, every)) and found and len(made) > 2
    assert made.arrays["example"].tolist() == [0] * len(made) and max(made.lengths) <= 48


def test_choices_stand_side_by_side(tokenizer):
    rows = [
        {"text_a": "the day was", "choices": ["good", "poor", "weird"], "label": 2},
        {"text_a": "the king", "choices": ["nice", "awful", "fine"], "label": 0},
    ]
    made = features.of_examples("choice", dataset(rows), tokenizer, 32)
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    wanted = [
        [bos, *pieces(tokenizer, row["text_a"]), eos, eos, *pieces(tokenizer, choice), eos]
        for row in rows
        for choice in row["choices"]
    ]
    assert rows_of(made) == wanted
    assert made.units.tolist() == [0, 3, 6] and made.arrays["example"].tolist() == [
        0,
        0,
        0,
        1,
        1,
        1,
    ]
    assert made.arrays["target"].tolist() == [2, 2, 2, 0, 0, 0]


def test_sentences(tokenizer):
    rows = [
        {"side": "source", "text": "the day was fine", "match": "x", "context": None},
        {"side": "target", "text": "Ulm", "match": "", "context": None},
    ]
    made = features.of_examples("sentence", dataset(rows), tokenizer, 32)
    assert rows_of(made) == [tokenizer(row["text"])["input_ids"] for row in rows]
    rows[1]["context"] = "Ulm . the day"
    made = features.of_examples("sentence", dataset(rows), tokenizer, 32)
    assert rows_of(made) == [
        tokenizer("the day was fine")["input_ids"],
        tokenizer("Ulm", "Ulm . the day")["input_ids"],
    ]


def test_a_question_and_its_passage_stand_side_by_side_as_they_are_searched(tokenizer):
    rows = [
        {
            "question": "Who saw Anna ?",
            "passage": "the king saw Anna",
            "context": "good . the king saw Anna",
        },
        {"question": "fine", "passage": "nice", "context": ""},
    ]
    made = features.of_examples("pair", dataset(rows), tokenizer, 32)
    assert made.units.tolist() == [0, 2, 4] and made.arrays["example"].tolist() == [0, 0, 1, 1]
    sides = (
        [{"text": r["question"], "context": None} for r in rows],
        [{"text": r["passage"], "context": r["context"] or None} for r in rows],
    )
    for first, side in enumerate(sides):
        assert rows_of(made)[first::2] == rows_of(
            features.of_examples("sentence", dataset(side), tokenizer, 32)
        )
    third = made.take(np.array([3, 0]))
    assert rows_of(third) == [rows_of(made)[3], rows_of(made)[0]] and third.lengths.tolist() == [
        made.lengths[3],
        made.lengths[0],
    ]


def test_lines_of_text_are_split_and_not_cut(tokenizer, monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 2)
    lines = ["the day was fine", " ".join(["the king was good"] * 20), "Ulm"]
    made = features.of_text(iter(lines), tokenizer, 16)
    inner = [i for row in rows_of(made) for i in row[1:-1]]
    assert inner == [i for line in lines for i in pieces(tokenizer, line)]
    assert made.format == "mlm" and max(made.lengths) == 16 and len(made) > 6
    assert all(
        row[0] == tokenizer.bos_token_id and row[-1] == tokenizer.eos_token_id
        for row in rows_of(made)
    )


def test_the_cache_makes_each_key_once(tokenizer, tmp_path):
    made = []

    def make():
        made.append(1)
        return features.of_examples(
            "span", dataset([span("Who ?", CONTEXT, "Ulm")]), tokenizer, 32, 8
        )

    first, again = (features.cached(tmp_path / "cache" / "a.safetensors", make) for _ in range(2))
    assert len(made) == 1 and again.format == "span" and set(first.arrays) == set(again.arrays)
    for name, array in first.arrays.items():
        assert np.array_equal(array, again.arrays[name]) and array.dtype == again.arrays[name].dtype
    features.cached(tmp_path / "cache" / "b.safetensors", make)
    assert len(made) == 2 and len(list((tmp_path / "cache").glob("*.safetensors"))) == 2


# ----- words that tokenizers treat in their own way -----
def tagged(tokenizer, *words):
    rows = dataset([{"tokens": list(words), "tags": list(range(len(words)))}])
    return features.of_examples("token", rows, tokenizer, 32)


def test_a_word_that_a_tokenizer_drops_keeps_its_tag():
    """BERT's normaliser deletes marks of direction, which PAN-X has as words of their own."""
    words = tiny_models.tokenizer("bert")
    made = tagged(words, "the", "\u200e", "cat")
    assert made.arrays["labels"][made.arrays["labels"] != IGNORE].tolist() == [0, 1, 2]
    assert words.unk_token_id in rows_of(made)[0]


def test_words_are_not_run_together(tokenizer):
    """Byte-level tokenizers see a space only where there is one."""
    byte_level = tiny_models.tokenizer("gpt2")
    assert rows_of(tagged(byte_level, "the", "cat", "sat"))[0] == pieces(byte_level, "the cat sat")
    sentence = ["the", "day", "was", "good"]
    assert rows_of(tagged(tokenizer, *sentence))[0][1:-1] == pieces(tokenizer, "the day was good")


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_broken_cache_file_is_made_again(tokenizer, tmp_path, length):
    def make():
        return features.of_examples(
            "span", dataset([span("Who ?", CONTEXT, "Ulm")]), tokenizer, 32, 8
        )

    path = tmp_path / "a.safetensors"
    first = features.cached(path, make)
    path.write_bytes(path.read_bytes()[:length])
    again = features.cached(path, make)
    assert np.array_equal(first.arrays["ids"], again.arrays["ids"])
    assert np.array_equal(features.cached(path, None).arrays["ids"], first.arrays["ids"]), (
        "and is whole"
    )
