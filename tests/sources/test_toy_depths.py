"""Inference of a set depth: so many of three steps settle the label, and neither text alone tells it."""

from collections import Counter
from hashlib import sha256
from math import log

import pytest

from xfer_utils.sources.catalogue import open_source
from xfer_utils.sources.toy import pairs
from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.meaning import OPPOSITE, Draw, Universe
from xfer_utils.sources.toy.world import World

TINY = {"family": "tiny", "sizes": "tiny"}
PLAIN = {second: first for first, second in W.SYNONYMS.items()}  # the concept behind a word


def parts(clause):
    """What a clause says, part by part."""
    told = {"verb": clause.verb, "adverb": clause.adverb, "place": clause.place[1].head}
    for role in ("subject", "object"):
        np = getattr(clause, role)
        told |= {role: np.head, f"{role} is": np.adjectives[0]}
    return told


def relation(part, first, second):
    """How two different words of a part exclude each other, or leave each other open."""
    first, second = PLAIN.get(first, first), PLAIN.get(second, second)
    if first == second:
        return pairs.ENTAILMENT
    return pairs.CONTRADICTION if part == "place" or OPPOSITE[first] == second else pairs.NEUTRAL


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_label_is_the_join_of_three_steps_and_any_so_many_settle_it(depth):
    draw, labels = Draw.of(Universe(World(**TINY)), "train", "x"), Counter()
    for _ in range(400):
        pair = pairs.rewritten(draw, depth)
        (premise,), hypothesis = pair.first, pair.second
        told = [(part, first, parts(hypothesis)[part]) for part, first in parts(premise).items()]
        steps = [relation(*one) for one in told if one[1] != one[2]]
        steps += [pairs.ENTAILMENT] * (premise.form != hypothesis.form)
        assert max(steps) == pair.label and len(steps) == 3
        assert steps.count(pair.label) == (4 - depth if pair.label else 3)
        labels[pair.label] += 1
    assert min(labels.values()) > 90


def test_the_published_sets_can_be_made_again():
    """They are known by their name, not by their bytes: other draws need another name."""
    draw = Draw.of(Universe(World()), "train", "x")
    told = repr([pairs.rewritten(draw, depth) for depth in (1, 2, 3) for _ in range(20)])
    assert sha256(told.encode()).hexdigest()[:12] == "8ddac0a31805"


def test_neither_text_alone_tells_the_label():
    """By the words of the second text, naive Bayes does no better than chance."""
    draw = Draw.of(Universe(World()), "train", "x")
    seen = [pairs.rewritten(draw, 1 + n % 3) for n in range(6000)]
    counts, correct = [Counter(), Counter(), Counter()], 0
    for pair in seen[:4000]:
        counts[pair.label].update([*parts(pair.second).values(), pair.second.form])
    for pair in seen[4000:]:
        words = [*parts(pair.second).values(), pair.second.form]
        scores = [sum(log((own[word] + 1) / (own.total() + 1)) for word in words) for own in counts]
        correct += scores.index(max(scores)) == pair.label
    assert correct / 2000 < 1 / 3 + 0.05


def test_they_are_written_when_they_are_read_and_leave_the_worlds_files_alone(tmp_path):
    source = open_source("toy", world=TINY, data_dir=tmp_path, splits={})
    before = {path: path.stat().st_mtime_ns for path in source.path.rglob("*") if path.is_file()}
    train, dev = (source.read("steps_2", role) for role in ("train", "dev"))
    assert (len(train), len(dev)) == (80, 40) and not {*train["text_a"]} & {*dev["text_a"]}
    assert before == {path: path.stat().st_mtime_ns for path in before}
    lengths = [
        {len(text.split()) for text in source.read(f"steps_{n}", "train")["text_a"]} for n in (1, 3)
    ]
    assert lengths[0] == lengths[1] and len(lengths[0]) == 1
