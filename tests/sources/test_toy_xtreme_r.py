"""XTREME-R's own tasks in the toy world: written when first read, right by what the world knows."""

import pytest

from xfer_utils.sources.catalogue import open_source
from xfer_utils.sources.toy.meaning import Universe
from xfer_utils.sources.toy.world import World

SIZES = {"intermediate_train": 200, "choice_train": 200, "target_dev": 60, "target_test": 60}
DIALS = {"seed": 1, "sizes": {"intermediate_dev": 60, "text_lines": 60, "pawsx_train": 80, **SIZES}}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return open_source("toy", data_dir=tmp_path_factory.mktemp("data"), world=DIALS)


def test_a_folder_has_none_of_them_before_they_are_read(source):
    (folder,) = source.path.parent.glob("toy-*")
    assert not {"xcopa", "xquad_r", "mewslix", "social_i_qa"} & {p.name for p in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "role", "count"),
    [
        ("copa", "train", 13),
        ("social_i_qa", "train", 13),
        ("xcopa", "test", 12),
        ("lareqa", "dev", 13),
        ("mewslix", "dev", 13),
        ("mewslix_pairs", "train", 13),
    ],
)
def test_every_language_has_the_same_items_in_its_own_words(source, name, role, count):
    codes = source.languages(name, role)
    assert len(codes) == count and ("en" in codes) == (name != "xcopa")
    first, last = (source.read(name, role, codes[place]) for place in (0, -1))
    assert len(first) == len(last)
    texts = [column for column in ("text_a", "text", "question") if column in first.column_names]
    assert [row[texts[0]] for row in first] != [row[texts[0]] for row in last]
    if "label" in first.column_names:
        assert first["label"] == last["label"] and len({*first["label"]}) > 1


def test_the_right_choice_follows_from_the_worlds_stories(source):
    steps = Universe(World(**DIALS)).next_verb
    for name in ("copa", "social_i_qa"):
        for row in source.read(name, "dev"):
            (told,) = steps.keys() & {*row["text_a"].split()}
            cause = "cause" in row["choices"][0]
            verbs = [(steps.keys() & {*choice.split()}).pop() for choice in row["choices"]]
            fits = [(steps[verb] == told) if cause else (steps[told] == verb) for verb in verbs]
            assert fits.index(True) == row["label"] and sum(fits) == 1


def test_lareqas_questions_are_xquads_and_the_answer_is_in_the_sentence_that_matches(source):
    rows, asked = source.read("lareqa", "dev", "qab"), source.read("xquad", "dev", "qab")
    sides = {side: [row for row in rows if row["side"] == side] for side in ("source", "target")}
    assert [row["text"] for row in sides["source"]] == asked["question"]
    sentences = {row["id"]: row["text"] for row in sides["target"]}
    for row, answers in zip(sides["source"], asked["answers"], strict=True):
        assert answers["text"][0] in sentences[row["match"]]


def test_each_mention_is_of_one_entity_described_in_some_language(source):
    entities = {row["id"]: row["text"] for row in source.read("mewslix", "dev", "candidates")}
    pairs = source.read("mewslix_pairs", "train")
    for row in source.read("mewslix", "dev"):
        assert row["match"] in entities and row["text"].count("{") == row["text"].count("}") == 1
        assert row["match"] in row["text"].split("{")[1].split("}")[0].split()
    assert len({*entities.values()}) == len(entities) > 40
    known = {text for text in entities.values() if text.startswith(("a ", "an "))}
    assert known & {*pairs["passage"]}, "the candidates in English are told as in training"
    evaluated = {row["text"] for row in source.read("mewslix", "dev")}
    assert not evaluated & {*pairs["question"]}
