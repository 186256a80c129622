"""Nothing that is evaluated is in training, selection or text: the tools, and a proof for every source."""

import importlib.util
import json
from pathlib import Path

import pytest

from xfer_utils.sources import leaks
from xfer_utils.sources.catalogue import open_source
from xfer_utils.sources.folder import FolderSource
from xfer_utils.study.tasks import registry

SHARED = Path(__file__).parents[2] / "shared" / "data"
ROLES = ("target", "xtreme_r", "low_resource")


def put(folder: Path, name: str, *rows: dict) -> FolderSource:
    path = folder / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return FolderSource(folder)


def question(name: str, context: str, text: str = "who?", title: str = "T") -> dict:
    answers = {"text": [context[:3]], "answer_start": [0]}
    return {"id": name, "title": title, "context": context, "question": text, "answers": answers}


def nli(premise: str, hypothesis: str) -> dict:
    return {"premise": premise, "hypothesis": hypothesis, "label": 0}


def overlaps(source, name: str, rows, target: str, role: str) -> dict[str, int]:
    """How many rows of a task share an item, a paragraph (or premise) or an id with an evaluated set."""
    marks, codes = leaks.Marks(), source.languages(target, role)
    for code in codes[:1] if registry()[target].aligned else codes:
        marks.add(leaks.marks(leaks.format_of(target), source.read(target, role, code)))
    form = leaks.format_of(name)
    kinds = [leaks.shared(form.marks(row), marks) for row in rows]
    return {kind: sum(kind in row for row in kinds) for kind in ("items", "paragraphs", "ids")}


def remaining(source, targets: dict[str, str]) -> dict[str, dict[str, int]]:
    """What training and selection sets still share with evaluated sets, once they are cleaned."""
    found = {}
    for name, row in registry().items():
        if (
            row.role == "translated"
            or row.train_on not in (None, name)
            or not source.has(name, "train")
        ):
            continue
        for role in ("train", "dev"):
            if role == "dev" and name in targets:
                continue
            if source.has(name, role):
                rows, _ = leaks.clean_rows(source, name, role, targets)
                kin = {
                    target: split
                    for target, split in targets.items()
                    if leaks.comparable(target, name)
                }
                for target, split in leaks.evaluated(source, kin):
                    key = f"{name}/{role} against {target}"
                    found[key] = overlaps(source, name, rows, target, split)
    return found


def evaluated_targets(source, **roles: str) -> dict[str, str]:
    own = {name: row.evaluate for name, row in registry().items() if row.role in ROLES} | roles
    return {name: role for name, role in own.items() if source.languages(name, role)}


# ----- the tools -----
def test_paragraphs_of_xquad_leave_early_stopping_on_squad(tmp_path):
    put(
        tmp_path,
        "xquad/en.validation",
        question("x1", "Ada  met BOB."),
        question("x2", "Another paragraph."),
    )
    put(tmp_path, "squad/en.train", question("t1", "Training paragraph."))
    rows = [
        question("a", "Ada met Bob.", "when?"),
        question("x2", "Reworded paragraph."),
        question("b", "Clean."),
    ]
    source = put(tmp_path, "squad/en.validation", *rows)
    kept, dropped = leaks.clean_rows(source, "squad", "dev", ["xquad"])
    assert (kept["id"][:], dropped) == (["b"], 2)
    kept, dropped = leaks.clean_rows(source, "squad", "train", ["xquad"])
    assert (kept["id"][:], dropped) == (["t1"], 0)


def test_lareqa_counts_by_its_paragraphs(tmp_path):
    put(tmp_path, "xquad_r/en.validation", question("x1", "Ada met Bob. She left."))
    source = put(
        tmp_path,
        "squad/en.validation",
        question("a", "Ada met Bob. She left."),
        question("b", "Clean."),
    )
    assert leaks.clean_rows(source, "squad", "dev", ["lareqa"])[0]["id"][:] == ["b"]
    kept, _ = leaks.clean_rows(source, "squad_answers", "dev", ["lareqa"])
    assert (kept["id"][:], kept["passage"][:]) == (["b"], ["Clean."])
    put(tmp_path, "xquad/en.validation", question("b", "Reworded."))
    assert not len(leaks.clean_rows(source, "squad_answers", "dev", ["lareqa", "xquad"])[0])


def test_training_pairs_of_mewslix_hold_no_evaluated_mention(tmp_path):
    put(
        tmp_path,
        "mewslix/en.validation",
        {"example_id": "x", "mention": "saw {Ulm}", "entity_id": "Q1"},
    )
    pairs = [{"mention": f"saw {{{name}}}", "entity": name} for name in ("Ulm", "Bonn")]
    kept, dropped = leaks.clean_rows(
        put(tmp_path, "mewslix/en.train", *pairs), "mewslix_pairs", "train", ["mewslix"]
    )
    assert (kept["passage"][:], dropped) == (["Bonn"], 1)


def test_another_language_stands_in_by_its_ids(tmp_path):
    put(tmp_path, "xquad/de.validation", question("x1", "Ada traf Bob."))
    source = put(
        tmp_path, "squad/en.validation", question("x1", "Ada met Bob."), question("b", "Clean.")
    )
    assert leaks.clean_rows(source, "squad", "dev", ["xquad"])[0]["id"][:] == ["b"]


def test_premises_and_pairs_leave_training(tmp_path):
    put(tmp_path, "xnli/en.validation", nli("A dog runs.", "It moves."))
    source = put(
        tmp_path, "mnli/en.train", nli("a dog  runs.", "It sleeps."), nli("A cat.", "It moves.")
    )
    kept, dropped = leaks.clean_rows(source, "mnli", "train", ["xnli", "tatoeba", "udpos"])
    assert (kept["text_a"][:], dropped) == (["A cat."], 1)


def test_only_what_a_study_evaluates_counts(tmp_path):
    put(tmp_path, "xnli/en.validation", nli("A dog runs.", "It moves."))
    put(tmp_path, "xnli/en.test", nli("A cat.", "It moves."))
    source = put(
        tmp_path, "mnli/en.train", nli("A dog runs.", "It moves."), nli("A cat.", "It moves.")
    )
    assert [
        leaks.clean_rows(source, "mnli", "train", {"xnli": role})[0]["id"][:]
        for role in ("dev", "test")
    ] == [
        ["1"],
        ["0"],
    ]
    assert leaks.clean_rows(source, "mnli", "train", ["xnli"])[1] == 2


def test_a_development_set_is_not_held_against_itself(tmp_path):
    row = {"tokens": ["a"], "upos": ["X"]}
    put(tmp_path, "udpos/en.validation", row)
    source = put(tmp_path, "udpos/en.train", row)
    assert leaks.clean_rows(source, "udpos", "dev", ["udpos"])[1] == 0
    assert leaks.clean_rows(source, "udpos", "train", ["udpos"])[1] == 1


def test_an_item_of_another_language_leaves_english_training(tmp_path):
    """Names are the same in many languages; XNLI's translations are known by their original."""
    name = {"tokens": ["Ada", "Lovelace"], "ner_tags": ["B-PER", "I-PER"]}
    put(tmp_path, "panx/en.validation", {"tokens": ["Ulm"], "ner_tags": ["B-LOC"]})
    put(tmp_path, "panx/nl.validation", name)
    other = {"tokens": ["Ada", "Lovelace", "wrote"], "ner_tags": ["B-PER", "I-PER", "O"]}
    source = put(tmp_path, "panx/en.train", name, other)
    kept, dropped = leaks.clean_rows(source, "panx", "train", {"panx": "dev"})
    assert (kept["id"][:], dropped) == (["1"], 1)


def test_english_dev_shares_nothing_with_the_evaluated_test_set(tmp_path):
    row = {"tokens": ["a"], "upos": ["X"]}
    put(tmp_path, "udpos/de.test", row)
    source = put(tmp_path, "udpos/en.validation", row, {"tokens": ["b"], "upos": ["X"]})
    assert leaks.clean_rows(source, "udpos", "dev", {"udpos": ["dev", "test"]})[1] == 1


def test_overlaps_are_counted_by_kind():
    span = leaks.base.of("span")
    row = {"question": "q", "context": "c", "item": "1", "cluster": "T"}
    other = row | {"question": "other", "item": "2"}
    marks = leaks.marks(span, [row])
    assert leaks.shared(span.marks(row), marks) == {"items", "paragraphs", "ids", "articles"}
    assert leaks.shared(span.marks(other), marks) == {"paragraphs", "articles"}


# ----- the proof, source by source -----
def test_overlap_is_seen_before_it_is_cleaned(tmp_path):
    """The proof below can fail: without cleaning it does."""
    put(tmp_path, "xquad/en.validation", question("x", "Ada met Bob."))
    source = put(tmp_path, "squad/en.train", question("x", "Ada met Bob."))
    raw = overlaps(source, "squad", source.read("squad", "train"), "xquad", "dev")
    assert raw == {"items": 1, "paragraphs": 1, "ids": 1}
    assert set(remaining(source, {"xquad": "dev"})["squad/train against xquad"].values()) == {0}


@pytest.mark.skipif(
    not importlib.util.find_spec("xfer_utils.sources.toy.write"),
    reason="the toy world is not there",
)
def test_toy_training_and_selection_share_nothing_with_evaluation(tmp_path):
    source = open_source("toy", world={"family": "tiny", "sizes": "tiny"}, data_dir=tmp_path)
    found = remaining(source, evaluated_targets(source))
    assert len(found) > 20
    assert {key: counts for key, counts in found.items() if any(counts.values())} == {}


needs_real_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="no folder of real data beside the project"
)


@needs_real_data
@pytest.mark.parametrize("name", ["squad", "squad_v2"])
@pytest.mark.parametrize("role", ["train", "dev"])
def test_the_real_squad_samples_hold_no_question_or_paragraph_of_xquad(name, role):
    """The samples are of XQuAD's articles, which XQuAD's files do not name; the paragraphs are others."""
    source = FolderSource(SHARED)
    rows = source.read(name, role)
    for target in ("xquad", "lareqa"):
        assert not any(overlaps(source, name, rows, target, "dev").values())


@needs_real_data
@pytest.mark.slow
def test_real_training_and_selection_share_nothing_with_evaluation():
    source = FolderSource(SHARED)
    found = remaining(source, evaluated_targets(source, pawsx="test", panx="dev"))
    assert len(found) > 30
    assert {key: counts for key, counts in found.items() if any(counts.values())} == {}


@needs_real_data
@pytest.mark.slow
def test_what_the_real_sets_share_before_they_are_cleaned():
    """Short sentences and names recur in treebanks and WikiANN; MNLI and XNLI's test set share two premises."""
    source = FolderSource(SHARED)

    def dropped(name: str, **targets: str) -> int:
        return leaks.clean_rows(source, name, "train", targets)[1]

    assert dropped("mnli", xnli="test") == 2
    assert dropped("tydiqa", mlqa="dev") == 1
    assert dropped("squad", xquad="dev", mlqa="dev", tydiqa="dev") == 0
    assert 100 < dropped("udpos", udpos="dev") < 1000
    assert 409 < dropped("panx", panx="dev") < 1000, "more than English shares with itself"
    assert dropped("pawsx", pawsx="test") == 0
    everything = len(source.read("pawsx", "train"))
    assert dropped("pawsx", pawsx="dev") == everything, (
        "its training set is taken from validation: evaluate it on test"
    )
