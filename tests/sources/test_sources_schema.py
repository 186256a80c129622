"""From stored rows to canonical ones: names, answers, sentences, and memory."""

import json
import os
import subprocess
import sys

import pytest
from stored_tables import nli, squad, store


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
    """PAWS-X in google/xtreme has lost rows and has no ids: numbers there name other items."""
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


# ----- memory -----
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
