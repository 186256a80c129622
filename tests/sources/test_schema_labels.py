"""From stored labels and tags to canonical ones: every known trap of the data sets, one at a time."""

import pytest
from datasets import ClassLabel, Features, List, Value
from hypothesis import given
from hypothesis import strategies as st
from stored_tables import nli, store

from xfer_utils.formats import columns
from xfer_utils.formats.columns import BadValue
from xfer_utils.sources.raw import MalformedRow
from xfer_utils.study.tasks import task

TEXT = Value("string")


# ----- labels -----
def test_a_row_without_a_label_is_dropped_and_reported(tmp_path):
    source = store(tmp_path, "mnli/en.train", nli([0, -1, 2]))
    rows = source.read("mnli", "train")
    assert (rows["label"][:], rows["id"][:]) == ([0, 2], ["0", "2"])
    (report,) = source.report()
    assert (report["rows"], report["kept"], report["dropped"]) == (3, 2, {"no label": 1})
    assert report["expected"] == 392702 and report["as_expected"] is False


def test_labels_as_names(tmp_path):
    rows = store(tmp_path, "mnli/en.train", nli(["contradiction", "entailment", "-"])).read(
        "mnli", "train"
    )
    assert rows["label"][:] == [2, 0]


def test_stored_class_names_win_over_numbers(tmp_path):
    """A data set that orders its classes in another way is read right, because names are stored with the numbers."""
    other = ClassLabel(names=["contradiction", "neutral", "entailment"])
    features = Features(premise=TEXT, hypothesis=TEXT, label=other)
    assert store(tmp_path, "mnli/en.train", nli([0, 1, 2]), features).read("mnli", "train")[
        "label"
    ][:] == [2, 1, 0]


def test_classes_of_another_task_are_refused(tmp_path):
    features = Features(premise=TEXT, hypothesis=TEXT, label=ClassLabel(names=["yes", "no"]))
    with pytest.raises(
        ValueError, match=r"en.train.parquet: the stored classes \['yes', 'no'\] are none of"
    ):
        store(tmp_path, "mnli/en.train", nli([0, 1]), features).read("mnli", "train")


@given(st.permutations(["entailment", "neutral", "contradiction"]))
def test_whatever_the_stored_order_labels_go_by_name(order):
    ours = ["entailment", "neutral", "contradiction"]
    assert [ours[n] for n in columns.labels([0, 1, 2], "label", ours, order)] == list(order)


def test_xnli_in_the_schema_of_google_xtreme(tmp_path):
    rows = [{"language": "en", "sentence1": "p", "sentence2": "h", "gold_label": "neutral"}]
    (row,) = store(tmp_path, "xnli/en.validation", rows).read("xnli", "dev")
    assert (row["text_a"], row["text_b"], row["label"]) == ("p", "h", 1)


def test_labels_as_strings_of_digits(tmp_path):
    rows = [{"id": 7, "sentence1": "a", "sentence2": "b", "label": label} for label in ("1", "0")]
    rows[1]["id"] = 9
    found = store(tmp_path, "pawsx/en.validation", rows).read("pawsx", "dev")
    assert (found["label"][:], found["item"][:]) == ([1, 0], ["7", "9"])


def test_hellaswag_labels_are_strings_and_empty_ones_are_no_labels(tmp_path):
    base = {"ind": 5, "activity_label": "x", "ctx": "c", "endings": ["a", "b", "c", "d"]}
    rows = store(tmp_path, "hellaswag/en.validation", [base | {"label": "3"}, base | {"label": ""}])
    (row,) = rows.read("hellaswag", "dev")
    assert row["label"] == 3 and row["choices"] == ["a", "b", "c", "d"]


def test_social_iqa_counts_from_one(tmp_path):
    row = {
        "context": "c",
        "question": "q?",
        "answerA": "a",
        "answerB": "b",
        "answerC": "c",
        "label": "1",
    }
    (found,) = store(tmp_path, "social_i_qa/en.train", [row]).read("social_i_qa", "train")
    assert found["label"] == 0 and found["choices"] == ["q? a", "q? b", "q? c"]


def test_commonsense_qa_letters_are_looked_up_in_their_own_row(tmp_path):
    choices = {"label": ["E", "A", "D", "B", "C"], "text": list("vwxyz")}
    row = {
        "id": "i",
        "question": "q",
        "question_concept": "k",
        "choices": choices,
        "answerKey": "A",
    }
    (found,) = store(tmp_path, "commonsense_qa/en.train", [row]).read("commonsense_qa", "train")
    assert found["choices"][found["label"]] == "w"


def test_copa_questions_are_written_out(tmp_path):
    rows = [
        {"premise": "p", "choice1": "a", "choice2": "b", "question": q, "idx": 0, "label": 1}
        for q in ("cause", "effect")
    ]
    found = store(tmp_path, "xcopa/en.train", rows).read("copa", "train")
    assert [row[0] for row in found["choices"]] == [
        "What was the cause? a",
        "What happened as a result? a",
    ]


# ----- tags -----
def test_universal_dependencies_order_is_mapped_by_name(tmp_path):
    ud = [
        "NOUN",
        "PUNCT",
        "ADP",
        "NUM",
        "SYM",
        "SCONJ",
        "ADJ",
        "PART",
        "DET",
        "CCONJ",
        "PROPN",
        "PRON",
        "X",
        "_",
        "ADV",
        "INTJ",
        "VERB",
        "AUX",
    ]
    features = Features(tokens=List(TEXT), upos=List(ClassLabel(names=ud)))
    rows = [{"tokens": [f"w{n}" for n in range(18)], "upos": list(range(18))}]
    source = store(tmp_path, "udpos/en.train", rows, features)
    (row,) = source.read("udpos", "train")
    ours = task("udpos").labels
    assert [ours[tag] if tag >= 0 else "_" for tag in row["tags"]] == ud
    assert source.report()[0]["odd"] == {"tags ignored": 1}


@pytest.mark.parametrize(
    ("column", "tags"), [("upos", ["NOUN", "_", "VERB"]), ("pos_tags", [7, 0, 15])]
)
def test_pos_tags_as_strings_or_numbers(tmp_path, column, tags):
    (row,) = store(tmp_path, "udpos/en.train", [{"tokens": ["a", "b", "c"], column: tags}]).read(
        "udpos", "train"
    )
    assert row["tags"] == [7, -100 if column == "upos" else 0, 15]


def test_an_unknown_tag_is_an_error_in_a_closed_set(tmp_path):
    source = store(tmp_path, "panx/en.train", [{"tokens": ["a"], "ner_tags": ["B-MISC"]}])
    with pytest.raises(
        MalformedRow, match=r"line 1, column 'ner_tags': tag 'B-MISC' is not one of O, B-PER"
    ):
        source.read("panx", "train")


NAMES = [*task("masakhaner2").labels, "B-DATE", "I-DATE"]


@pytest.mark.parametrize("stored", ["numbers", "names", "classes", "other order"])
def test_dates_of_masakhaner_are_read_as_o(tmp_path, stored):
    """PAN-X, on which a model is trained, has none: each would be a sure miss."""
    names = NAMES[::-1] if stored == "other order" else NAMES
    tags = [names.index(name) for name in ("B-PER", "I-PER", "B-DATE", "I-DATE", "O", "B-LOC")]
    rows = [{"id": "0", "tokens": list("abcdef"), "ner_tags": tags}]
    features = None
    if stored == "names":
        rows[0]["ner_tags"] = [NAMES[tag] for tag in tags]
    elif stored != "numbers":
        classes = List(ClassLabel(names=names))
        features = Features(id=TEXT, tokens=List(TEXT), ner_tags=classes)
    (row,) = store(tmp_path, "masakhaner2/wo.test", rows, features).read(
        "masakhaner2", "test", "wo"
    )
    assert row["tags"] == [1, 2, 0, 0, 0, 5]


def test_topics_are_read_by_name_and_shared_by_id(tmp_path):
    rows = [{"index_id": 1523, "category": "science/technology", "text": "Atoms."}]
    (row,) = store(tmp_path, "sib200/ace-arab.test", rows).read("sib200", "test", "ace-arab")
    assert (row["label"], row["item"], row["text_a"], row["text_b"]) == (4, "1523", "Atoms.", "")


def test_a_tag_too_many_is_found(tmp_path):
    rows = [{"tokens": ["a"], "ner_tags": [0]}, {"tokens": ["a"], "ner_tags": [0, 1]}]
    with pytest.raises(MalformedRow, match=r"line 2, column 'ner_tags': 2 tags for 1 tokens"):
        store(tmp_path, "panx/en.train", rows).read("panx", "train")


# ----- values -----
@pytest.mark.parametrize("bad", [3, 1.0, True, "maybe", [0]])
def test_what_is_no_label_is_refused(bad):
    with pytest.raises(BadValue, match="is not one of"):
        columns.labels([0, bad], "label", ["a", "b", "c"])


@given(st.lists(st.integers(0, 3), min_size=1))
def test_labels_survive_as_numbers_digits_and_names(numbers):
    names = ["w", "x", "y", "z"]
    for stored in (numbers, [str(n) for n in numbers], [names[n] for n in numbers]):
        assert columns.labels(stored, "label", names) == numbers
