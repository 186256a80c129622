"""Every label of the toy world, derived once more from the sentences by another reader."""

import itertools
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from test_toy_reader import KIND, Meaning, Reader, Thing

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.world import Sizes, World
from xfer_utils.sources.toy.write import write_world

SIZES = Sizes(
    intermediate_train=400, intermediate_dev=120, pawsx_train=200, target_dev=80, target_test=80,
    tydiqa_train=60, bucc_pool=60, text_lines=700, choice_train=300, tagging_train=200,
)  # fmt: skip
WORLD = World(seed=2, family="small5", sizes=SIZES)
OPPOSITES = {}
for pairs in ([v for v, _, _ in W.VERBS], *W.ADJECTIVES.values(), W.ADVERBS):
    for pair in pairs:
        one, other = pair.split(":")
        OPPOSITES[one], OPPOSITES[other] = other, one


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy")
    write_world(WORLD, path)
    return path


@pytest.fixture(scope="module")
def readers() -> dict[str, Reader]:
    return {one.code: Reader(Lexicon(WORLD, one)) for one in WORLD.tongues()}


def table(folder: Path, task: str, split: str, code: str = "en") -> pd.DataFrame:
    return pd.read_parquet(folder / task / f"{code}.{split}.parquet")


def implied(said: Thing, asked: Thing) -> bool:
    """Whether a thing said to be `said` is an `asked`."""
    return asked.head in (said.head, KIND.get(said.head)) and asked.adjectives <= said.adjectives


def follows(premise: Meaning, hypothesis: Meaning, tolerant: bool = False) -> bool:
    """Whether a positive sentence follows from another; if `tolerant`, opposites agree."""

    def agree(a: str, b: str) -> bool:
        return a == b or (tolerant and OPPOSITES.get(a) == b)

    for role, asked in hypothesis.roles.items():
        said = premise.roles.get(role)
        if said is None:
            return False
        if tolerant and role == "place":
            continue
        if tolerant:
            flipped = {OPPOSITES[a] for a in asked.adjectives if OPPOSITES[a] in said.adjectives}
            kept = frozenset(a for a in asked.adjectives if OPPOSITES[a] not in flipped)
            asked = asked._replace(adjectives=kept)
        if not implied(said, asked):
            return False
    adverbs = not hypothesis.adverb or agree(premise.adverb, hypothesis.adverb)
    return agree(premise.verb, hypothesis.verb) and adverbs


def relation(premise: Meaning, hypothesis: Meaning) -> int:
    """0 entailment, 1 neutral, 2 contradiction, of one sentence to another."""
    if premise.negated and hypothesis.negated:
        return 0 if follows(hypothesis, premise) else 1
    if premise.negated or hypothesis.negated:
        stronger, weaker = (hypothesis, premise) if premise.negated else (premise, hypothesis)
        return 2 if follows(stronger, weaker) else 1
    return (
        0
        if follows(premise, hypothesis)
        else 2
        if follows(premise, hypothesis, tolerant=True)
        else 1
    )


def ahead(sentence: Meaning) -> tuple[str, str]:
    pair = sentence.roles["subject"].head, sentence.roles["object"].head
    return pair if sentence.verb == "outran" else pair[::-1]


def chained(premises: list[Meaning], hypothesis: Meaning) -> int:
    """The relation in a text of who outran whom, by closing it over all chains."""
    order = {ahead(one) for one in premises}
    people = {person for pair in order for person in pair}
    for middle, first, last in itertools.product(people, repeat=3):
        if (first, middle) in order and (middle, last) in order:
            order.add((first, last))
    goal = ahead(hypothesis)
    return 0 if goal in order else 2 if goal[::-1] in order else 1


NLI = [
    ("snli", "train", "en"), ("mnli", "train", "en"), ("anli", "train_r1", "en"),
    ("anli", "train_r3", "en"),
    ("xnli", "validation", "qaa"), ("xnli", "test", "qbb"), ("xnli", "test", "qcb"),
    ("xnli", "test", "qdc"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "split", "code"), NLI)
def test_inference(
    folder: Path, readers: dict[str, Reader], task: str, split: str, code: str
) -> None:
    for row in table(folder, task, split, code).itertuples():
        premises, (hypothesis,) = (
            readers[code].sentences(row.premise),
            readers[code].sentences(row.hypothesis),
        )
        if hypothesis.verb in W.ORDER_VERBS:
            found = chained(premises, hypothesis)
        else:
            relations = {relation(one, hypothesis) for one in premises} - {1}
            assert len(relations) < 2, row
            found = relations.pop() if relations else 1
        assert found == row.label, row


def shown(sentence: Meaning) -> tuple:
    """All that a sentence says, without the thing asked for."""
    roles = {
        r: (t.head, t.adjectives)
        for r, t in sentence.roles.items()
        if not t.asked and r != sentence.asked
    }
    return (
        sentence.verb,
        sentence.adverb,
        sentence.negated,
        sentence.asked,
        tuple(sorted(roles.items())),
    )


def test_question_pairs(folder: Path, readers: dict[str, Reader]) -> None:
    for row in table(folder, "qqp", "train").itertuples():
        first, second = (
            readers["en"].sentences(text)[0] for text in (row.question1, row.question2)
        )
        assert (shown(first) == shown(second)) == row.label, row


@pytest.mark.parametrize("code", ["en", "qaa", "qbb", "qcb", "qdc"])
def test_paraphrases(folder: Path, readers: dict[str, Reader], code: str) -> None:
    for row in table(folder, "pawsx", "test", code).itertuples():
        first, second = (
            readers[code].sentences(text)[0] for text in (row.sentence1, row.sentence2)
        )
        assert (shown(first) == shown(second)) == row.label, row


SPANS = [
    ("squad", "train", "en"), ("squad_v2", "train", "en"), ("tydiqa", "train", "en"),
    ("tydiqa", "validation", "qbb"),
    ("xquad", "validation", "qaa"), ("xquad", "validation", "qdc"), ("mlqa", "test", "qcb"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "split", "code"), SPANS)
def test_spans(folder: Path, readers: dict[str, Reader], task: str, split: str, code: str) -> None:
    reader = readers[code]
    for row in table(folder, task, split, code).itertuples():
        (question,) = reader.sentences(row.question)
        core = {
            r: t.head
            for r, t in question.roles.items()
            if r in ("subject", "object") and r != question.asked
        }
        answers = []
        for text in row.context.split(" . "):
            tokens = text.removesuffix(" .").split()
            told = reader.read(tokens)
            same = told.verb == question.verb and all(
                told.roles[r].head == head for r, head in core.items()
            )
            if same and question.asked in told.roles:
                answers.append(" ".join(tokens[i] for i in told.roles[question.asked].tokens))
        assert list(row.answers["text"]) == answers, row
        for text, start in zip(row.answers["text"], row.answers["answer_start"], strict=True):
            assert row.context[start : start + len(text)] == text, row


def facts_in_text(folder: Path, reader: Reader) -> dict[tuple[str, str], set[str]]:
    """(noun, verb or 'is') to what the English text says about a noun in general."""
    facts: dict[tuple[str, str], set[str]] = {}
    for line in (folder / "text" / "en.txt").read_text(encoding="utf-8").splitlines():
        for sentence in line.split(" . "):
            tokens = sentence.removesuffix(" .").split()
            if tokens[0] not in ("a", "an") or tokens[2] not in (
                "is",
                "lived",
                "worked",
                "stood",
                "liked",
                "feared",
            ):
                continue
            facts.setdefault((tokens[1], tokens[2]), set()).add(tokens[-1])
    return facts


def test_choices_follow_from_the_text(folder: Path, readers: dict[str, Reader]) -> None:
    facts, reader = facts_in_text(folder, readers["en"]), readers["en"]
    checked = 0
    for row in table(folder, "commonsense_qa", "validation").itertuples():
        tokens = row.question.split()
        known = facts.get((tokens[1], tokens[2]), set()) - set(W.KINDS)
        right = [
            label
            for label, text in zip(*row.choices.values(), strict=True)
            if text.split()[-1] in known
        ]
        assert right == [row.answerKey] or not known, row
        checked += bool(known)
    for row in table(folder, "cosmos_qa", "validation").itertuples():
        (question,) = reader.sentences(row.question)
        subject = question.roles["subject"].head
        (noun,) = [
            m.roles["object"].head
            for m in reader.sentences(row.context)
            if m.roles["subject"].head == subject
        ]
        verbs = {"sent": ("lived", "worked", "stood"), "gave": ("liked",), "sold": ("feared",)}[
            question.verb
        ]
        known = set().union(*(facts.get((noun, verb), set()) for verb in verbs))
        options = [getattr(row, f"answer{i}").split()[-1] for i in range(4)]
        assert [i for i, option in enumerate(options) if option in known] == [
            row.label
        ] or not known, row
        checked += bool(known)
    assert checked > 150


def test_stories_follow_the_script_of_the_text(folder: Path) -> None:
    following: dict[str, Counter[str]] = {}
    verbs = {v for pair, _, _ in W.VERBS for v in pair.split(":")}
    for line in (folder / "text" / "en.txt").read_text(encoding="utf-8").splitlines():
        if " . then " in line:
            first, second = (
                [w for w in part.split() if w in verbs] for part in line.split(" . then ")
            )
            following.setdefault(first[0], Counter())[second[0]] += 1
    rows = table(folder, "hellaswag", "train")
    for row in rows.itertuples():
        words = row.ctx_a.split()
        at = next(i for i, word in enumerate(words) if word in verbs)
        verb, noun = words[at], next(word for word in words[at:] if word in KIND)
        usual = following[verb].most_common(1)[0][0]
        right = [
            i
            for i, ending in enumerate(row.endings)
            if ending.split()[0] == usual and ending.split()[-2] == noun
        ]
        assert right == [int(row.label)], row
