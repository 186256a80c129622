"""From stored rows to canonical ones: every known trap of the data sets, one at a time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given
from hypothesis import strategies as st

from xfer_utils.sources import values
from xfer_utils.sources.folder import FolderSource
from xfer_utils.sources.raw import BadValue, MalformedRow
from xfer_utils.study.tasks import task

TEXT = Value("string")


def store(
    folder: Path, name: str, rows: list[dict], features: Features | None = None
) -> FolderSource:
    """A source with one table: parquet where features are given, JSON lines otherwise."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if features:
        columns = {key: [row[key] for row in rows] for key in features}
        Dataset.from_dict(columns, features=features).to_parquet(f"{path}.parquet")
    else:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        Path(f"{path}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return FolderSource(folder)


def nli(labels: list, premises: list[str] | None = None) -> list[dict]:
    premises = premises or [f"premise {n}" for n in range(len(labels))]
    return [
        {"premise": p, "hypothesis": f"h{n}", "label": labels[n]} for n, p in enumerate(premises)
    ]


def squad(answers: list, contexts: list[str] | None = None, **more: list) -> list[dict]:
    contexts = contexts or ["Ada met Bob."] * len(answers)
    rows = [
        {"id": f"q{n}", "question": "who?", "context": contexts[n], "answers": a}
        for n, a in enumerate(answers)
    ]
    return [row | {key: column[n] for key, column in more.items()} for n, row in enumerate(rows)]


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
    assert [ours[n] for n in values.labels([0, 1, 2], "label", ours, order)] == list(order)


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


def test_a_tag_too_many_is_found(tmp_path):
    rows = [{"tokens": ["a"], "ner_tags": [0]}, {"tokens": ["a"], "ner_tags": [0, 1]}]
    with pytest.raises(MalformedRow, match=r"line 2, column 'ner_tags': 2 tags for 1 tokens"):
        store(tmp_path, "panx/en.train", rows).read("panx", "train")


# ----- questions -----
def test_unanswerable_is_empty_lists(tmp_path):
    rows = squad([{"text": [], "answer_start": []}], title=["T"])
    (row,) = store(tmp_path, "squad_v2/en.train", rows).read("squad_v2", "train")
    assert row["answers"] == {"text": [], "answer_start": []} and row["cluster"] == "T"


def test_answers_as_a_list_of_answers(tmp_path):
    rows = squad(
        [[{"text": "Ada", "answer_start": 0}, {"text": "Bob", "answer_start": 8}]], title=["T"]
    )
    (row,) = store(tmp_path, "squad/en.train", rows).read("squad", "train")
    assert row["answers"] == {"text": ["Ada", "Bob"], "answer_start": [0, 8]}


def test_an_answer_that_is_not_where_it_says_is_reported(tmp_path):
    source = store(
        tmp_path, "squad/en.train", squad([{"text": ["Bob"], "answer_start": [3]}], title=["T"])
    )
    source.read("squad", "train")
    assert source.report()[0]["odd"] == {"answers misplaced": 1}


def test_offsets_count_characters_not_bytes(tmp_path):
    rows = squad([{"text": ["Bob"], "answer_start": [2]}], ["🙂 Bob"], title=["T"])
    source = store(tmp_path, "squad/en.train", rows)
    source.read("squad", "train")
    assert source.report()[0]["odd"] == {}


def test_questions_on_one_paragraph_are_one_cluster_in_every_language(tmp_path):
    answer = {"text": ["x"], "answer_start": [0]}
    store(tmp_path, "xquad/en.validation", squad([answer] * 3, ["x one", "x one", "x two"]))
    source = store(
        tmp_path, "xquad/de.validation", squad([answer] * 3, ["x eins", "x eins", "x zwei"])
    )
    english, german = source.read("xquad", "dev", "en"), source.read("xquad", "dev", "de")
    assert english["item"][:] == german["item"][:] == ["q0", "q1", "q2"]
    assert english["cluster"][:] == german["cluster"][:] == ["q0", "q0", "q2"]


def test_a_repeated_id_is_numbered(tmp_path):
    rows = squad([{"text": ["Ada"], "answer_start": [0]}] * 2, title=["T", "T"])
    rows[1]["id"] = rows[0]["id"]
    found = store(tmp_path, "squad/en.train", rows).read("squad", "train")
    assert (found["id"][:], found["item"][:]) == (["q0", "q0#2"], ["q0", "q0"])


# ----- rows that are aligned by their number -----
def test_rows_of_xnli_share_items_and_premises_are_clusters(tmp_path):
    store(tmp_path, "xnli/en.validation", nli([0, 1, 2], ["p", "p", "q"]))
    source = store(tmp_path, "xnli/de.validation", nli([0, 1, 2], ["P", "P", "Q"]))
    english, german = source.read("xnli", "dev", "en"), source.read("xnli", "dev", "de")
    assert english["item"][:] == german["item"][:] == ["0", "1", "2"]
    assert english["cluster"][:] == german["cluster"][:] == ["0", "0", "2"]


def test_lost_rows_unshare_the_items(tmp_path):
    """PAWS-X in google/xtreme has lost rows and has no ids: row numbers there name different items."""
    rows = [{"sentence1": f"a{n}", "sentence2": "b", "label": "1"} for n in range(4)]
    store(tmp_path, "pawsx/en.validation", rows)
    source = store(tmp_path, "pawsx/es.validation", rows[:3])
    assert source.read("pawsx", "dev", "es")["item"][:] == ["es-0", "es-1", "es-2"]
    assert "not row-aligned (4 rows expected)" in source.report()[0]["notes"]


# ----- sentences -----
def test_tatoeba_line_ends_go_and_row_pairs_with_row(tmp_path):
    rows = [
        {
            "source_sentence": f"s{n}\n",
            "target_sentence": f"t{n}\n",
            "source_lang": "/x/y",
            "target_lang": "eng",
        }
        for n in range(2)
    ]
    found = store(tmp_path, "tatoeba/sw.test", rows).read("tatoeba", "dev", "sw")
    by_id = {row["id"]: row for row in found}
    assert [row["text"] for row in found] == ["s0", "s1", "t0", "t1"]
    for row in found:
        other = by_id[row["match"]]
        assert (
            other["match"] == row["id"]
            and other["item"] == row["item"]
            and other["side"] != row["side"]
        )


def test_mining_pools_have_distractors(tmp_path):
    sentences = {"zh": ["zh-1", "zh-2", "zh-3"], "en": ["en-1", "en-2"]}
    for side, ids in sentences.items():
        store(
            tmp_path,
            f"bucc2018/zh-en.{side}.validation",
            [{"id": i, "sentence": f"text {i}"} for i in ids],
        )
    gold = [{"source_id": "zh-2", "target_id": "en-1"}]
    source = store(tmp_path, "bucc2018/zh-en.gold.validation", gold)
    found = {row["id"]: row for row in source.read("bucc2018", "dev", "zh")}
    assert source.languages("bucc2018") == ["zh"]
    assert {name: row["match"] for name, row in found.items() if row["match"]} == {
        "zh-2": "en-1",
        "en-1": "zh-2",
    }
    assert found["zh-2"]["item"] == found["en-1"]["item"] != found["zh-1"]["item"]
    assert "5 sentences in the pool, 1 gold pairs" in source.report()[0]["notes"]


def test_a_gold_pair_outside_its_pool_is_reported(tmp_path):
    for side in ("zh", "en"):
        store(tmp_path, f"bucc2018/zh-en.{side}.validation", [{"id": f"{side}-1", "sentence": "s"}])
    source = store(
        tmp_path, "bucc2018/zh-en.gold.validation", [{"source_id": "zh-9", "target_id": "en-1"}]
    )
    source.read("bucc2018", "dev", "zh")
    assert "1 gold pairs name a sentence" in source.report()[0]["notes"]


def test_lareqa_answers_are_the_sentences_that_hold_them(tmp_path):
    context = "First one. Second two."
    row = {
        "id": "q",
        "question": "what?",
        "context": context,
        "answers": {"text": ["two"], "answer_start": [18]},
    }
    with_breaks = store(
        tmp_path / "a", "xquad_r/en.validation", [row | {"sentence_breaks": [[0, 10], [11, 22]]}]
    )
    split_here = store(tmp_path / "b", "xquad_r/en.validation", [row])
    for source in (with_breaks, split_here):
        rows = {found["id"]: found for found in source.read("lareqa", "dev", "en")}
        assert rows["q"]["side"] == "source"
        assert rows[rows["q"]["match"]]["text"].strip() == "Second two."
        assert rows[rows["q"]["match"]]["context"] == context


def test_an_answer_belongs_to_the_sentence_that_it_begins(tmp_path):
    row = {
        "id": "q",
        "question": "?",
        "context": "First one. Second two.",
        "sentence_breaks": [[0, 10], [11, 22]],
    }
    rows = [
        row | {"id": f"q{at}", "answers": {"text": ["x"], "answer_start": [at]}}
        for at in (0, 9, 11, 21)
    ]
    found = {
        row["id"]: row
        for row in store(tmp_path, "xquad_r/en.validation", rows).read("lareqa", "dev")
    }
    texts = [found[found[f"q{at}"]["match"]]["text"] for at in (0, 9, 11, 21)]
    assert texts == ["First one.", "First one.", "Second two.", "Second two."]
    assert sum(row["side"] == "target" for row in found.values()) == 2, (
        "a paragraph's sentences stand once"
    )


def test_mewslix_pairs_mentions_and_candidates(tmp_path):
    store(tmp_path, "mewslix/en.train", [{"mention": "a {m}", "entity": "e"}])
    for code in ("ar", "de"):
        store(
            tmp_path,
            f"mewslix/{code}.validation",
            [{"example_id": "x1", "mention": "b {m}", "entity_id": "Q5"}],
        )
    source = store(
        tmp_path, "mewslix/candidates.test", [{"entity_id": "Q5", "title": "t", "description": "d"}]
    )
    assert source.languages("mewslix") == ["ar", "de"]
    pair = list(source.read("mewslix", "train"))
    assert [row["side"] for row in pair] == ["source", "target"] and pair[0]["match"] == pair[1][
        "id"
    ]
    (mention,), (entity,) = (
        source.read("mewslix", "dev", "ar"),
        source.read("mewslix", "dev", "candidates"),
    )
    assert mention["match"] == entity["id"] == "Q5" and entity["side"] == "target"
    (other,) = source.read("mewslix", "dev", "de")
    assert mention["id"] == other["id"] == "x1", "what predictions are handed in by"
    assert mention["item"] != other["item"], "no translation of each other"


def test_numbers_run_on_from_batch_to_batch(tmp_path):
    found = store(tmp_path, "mnli/en.train", nli([0] * 10_500)).read("mnli", "train")
    assert found["id"][:] == [str(n) for n in range(10_500)]
    pairs = [{"source_sentence": f"s{n}", "target_sentence": f"t{n}"} for n in range(5_500)]
    found = store(tmp_path, "tatoeba/sw.test", pairs).read("tatoeba", "dev", "sw")
    assert len(set(found["id"])) == 11_000


# ----- values -----
@pytest.mark.parametrize("bad", [3, 1.0, True, "maybe", [0]])
def test_what_is_no_label_is_refused(bad):
    with pytest.raises(BadValue, match="is not one of"):
        values.labels([0, bad], "label", ["a", "b", "c"])


@given(st.lists(st.integers(0, 3), min_size=1))
def test_labels_survive_as_numbers_digits_and_names(numbers):
    names = ["w", "x", "y", "z"]
    for stored in (numbers, [str(n) for n in numbers], [names[n] for n in numbers]):
        assert values.labels(stored, "label", names) == numbers


MEASURE = """
import json, os, resource, sys
from transformers import AutoTokenizer
from xfer_utils.sources.data import Data
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
held_out = {"xnli": ["dev"]}
read = Data(f"folder:{sys.argv[1]}", {}, {}, tokenizer, held_out).features
threads = len(os.listdir("/proc/self/task"))
made = read("mnli", "train", max_length=64, clean=True)
threads = len(os.listdir("/proc/self/task")) - threads
print(json.dumps([len(made), threads, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))
"""


@pytest.mark.slow
def test_a_training_set_of_mnlis_size_is_tokenised_under_two_gigabytes_by_all_cores(
    tmp_path, tokenizer
):
    """Read, cleaned of what is evaluated, and tokenised as a job does it."""
    path = tmp_path / "data/mnli/en.train.jsonl"
    path.parent.mkdir(parents=True)
    with path.open("w") as out:
        for n in range(400_000):
            row = {
                "premise": f"{n // 3} " + "premise words " * 9,
                "hypothesis": f"{n} " + "hypothesis " * 5,
                "label": n % 3,
            }
            out.write(json.dumps(row) + "\n")
    tokenizer.save_pretrained(tmp_path / "words")
    own = {
        **os.environ,
        "XFER_OUTPUTS": str(tmp_path / "outputs"),
        "TOKENIZERS_PARALLELISM": "true",
    }
    command = [sys.executable, "-c", MEASURE, tmp_path / "data", tmp_path / "words"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=own)
    count, threads, gigabytes = json.loads(done.stdout)
    assert count == 400_000 and threads >= len(os.sched_getaffinity(0)) - 1
    assert gigabytes < 2, f"{gigabytes:.2f} GiB at the peak"
