"""Controls: the same rows in the same order, with answers that carry nothing."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from datasets import Dataset

from xfer_utils.formats import base
from xfer_utils.sources import transforms
from xfer_utils.sources.data import Data
from xfer_utils.study.sections import Mixture
from xfer_utils.study.tasks import registry

N = 60
LABELS = {"sequence": 3, "token": 3}
CONTEXTS = {"spaces": "the  a{n} saw\nthe b{n} . x y z{n} .", "none": "王{n}在那里看见了一位老人"}


def answer(n: int, context: str) -> dict:
    """Every fourth question has no answer; the others have the context's first characters."""
    texts = [] if n % 4 == 0 else [context[: 3 + n % 2]]
    return {"text": texts, "answer_start": [0] * len(texts)}


def rows_of(form: str, script: str = "spaces") -> Dataset:
    numbers = range(N)
    contexts = [CONTEXTS[script].format(n=n) for n in numbers]
    columns = {
        "sequence": {"text_a": [f"a {n}" for n in numbers], "text_b": [f"b {n}" for n in numbers]},
        "choice": {
            "text_a": [f"a {n}" for n in numbers],
            "choices": [[f"c{n}", "d", "e", "f", "g"][: 3 + n % 3] for n in numbers],
        },
        "token": {
            "tokens": [["a", str(n), "c"][: 1 + n % 3] for n in numbers],
            "tags": [[0, -100, 2][: 1 + n % 3] for n in numbers],
        },
        "span": {
            "question": [f"who {n} ?" for n in numbers],
            "context": contexts,
            "answers": list(map(answer, numbers, contexts)),
        },
    }[form]
    if form in ("sequence", "choice"):
        columns["label"] = [n % 3 for n in numbers]
    names = {key: [f"{key}{n}" for n in numbers] for key in ("id", "item", "cluster")}
    return Dataset.from_dict(names | columns, features=base.of(form).schema)


def applied(rows: Dataset, form: str, how: str, seed: int = 0) -> Dataset:
    return transforms.applied(rows, base.of(form), LABELS.get(form, 0), how, seed)


def answers(rows: Dataset, form: str) -> list:
    return rows[base.of(form).answer][:]


FORMS = pytest.mark.parametrize("form", ["sequence", "choice", "token", "span"])


@pytest.mark.parametrize("how", ["shuffled", "sham"])
@FORMS
def test_only_the_answers_are_new(form, how):
    rows = rows_of(form)
    new = applied(rows, form, how)
    assert new.features == rows.features and new.column_names == rows.column_names
    kept = [name for name in rows.column_names if name != base.of(form).answer]
    assert [rows[name][:] for name in kept] == [new[name][:] for name in kept]
    assert answers(new, form) != answers(rows, form)
    assert answers(new, form) == answers(applied(rows, form, how), form)


@FORMS
def test_shuffled_answers_depend_on_the_seed_and_occur_as_often(form):
    rows = rows_of(form)
    one, other = (applied(rows, form, "shuffled", seed) for seed in (0, 1))
    assert answers(one, form) != answers(other, form)

    def counted(table: Dataset) -> Counter:
        if form == "span":
            return Counter(len(" ".join(a["text"]).split()) for a in table["answers"])
        return Counter(chain(*table["tags"]) if form == "token" else table["label"])

    assert counted(one) == counted(rows)


@FORMS
def test_a_sham_depends_on_the_input_alone(form):
    """Whatever else is in the table, whatever the true answer was, whatever the seed."""
    rows = rows_of(form)
    whole = answers(applied(rows, form, "sham", 0), form)
    some = applied(rows.select(range(40, 10, -1)), form, "sham", 7)
    assert answers(some, form) == whole[40:10:-1]
    assert answers(applied(applied(rows, form, "shuffled"), form, "sham"), form) == whole
    for row, answer in zip(rows, whole, strict=True):
        assert form != "choice" or answer < len(row["choices"])


def test_a_sham_is_evenly_spread():
    labels = applied(rows_of("sequence"), "sequence", "sham")["label"]
    counts = np.bincount(labels, minlength=3)
    assert counts.sum() == N and ((counts - N / 3) ** 2).sum() / (N / 3) < 13.8  # chi2, 0.1%


@pytest.mark.parametrize("script", CONTEXTS)
@pytest.mark.parametrize("how", ["shuffled", "sham"])
def test_answers_to_questions_lie_in_their_contexts(how, script):
    for row in applied(rows_of("span", script), "span", how):
        for text, start in zip(*row["answers"].values(), strict=True):
            assert row["context"][start:].startswith(text) and text == text.strip() != ""
            if script == "spaces":
                end = start + len(text)
                assert row["context"][end : end + 1].isspace() or end == len(row["context"])
                assert start == 0 or row["context"][start - 1].isspace()
    if how == "sham":
        lengths = [
            len(a["text"][0].split()) for a in applied(rows_of("span"), "span", how)["answers"]
        ]
        assert set(lengths) == {1, 2, 3}


def test_words_without_a_tag_stay_without():
    for how in ("shuffled", "sham"):
        new = applied(rows_of("token"), "token", how)["tags"]
        assert all((tag == -100) == (place == 1) for tags in new for place, tag in enumerate(tags))


@pytest.fixture
def read(tmp_path, monkeypatch, tokenizer):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    world = {"family": "tiny", "sizes": "tiny"}

    def rows(how: str, name: str, role: str, seed: int = 0) -> Dataset:
        mixture = Mixture(tasks=["qqp", "squad"], transform=how)
        data = Data("toy", world, {}, tokenizer, {"xquad": "dev"}, mixture=mixture, seed=seed)
        return data.rows(name, role, most=30, clean=role == "train")

    return rows


@pytest.mark.parametrize("name", ["qqp", "squad"])
def test_what_is_transformed_and_what_is_not(read, name):
    """Each cached under a name of its own; a shuffled task's dev set stays true, a sham's does not."""
    form = registry()[name].format
    true, shuffled, sham = (
        {role: answers(read(how, name, role), form) for role in ("train", "dev")}
        for how in ("", "shuffled", "sham")
    )
    assert true["train"] != shuffled["train"] != sham["train"] != true["train"]
    assert shuffled["dev"] == true["dev"] != sham["dev"]
    assert answers(read("shuffled", name, "train", seed=1), form) != shuffled["train"]
    assert answers(read("sham", name, "train", seed=1), form) == sham["train"]


def test_other_tasks_are_left_alone(read):
    for how in ("shuffled", "sham"):
        assert read(how, "mnli", "train")["label"] == read("", "mnli", "train")["label"]
        assert read(how, "xquad", "dev")["answers"] == read("", "xquad", "dev")["answers"]
