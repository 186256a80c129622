"""Inference of a set depth: labels follow from the links, and nothing but the depth varies."""

from collections import Counter

import pytest

from xfer_utils.sources.catalogue import open_source
from xfer_utils.sources.toy import pairs
from xfer_utils.sources.toy.meaning import Draw, Universe
from xfer_utils.sources.toy.world import World

TINY = {"family": "tiny", "sizes": "tiny"}


def ahead(clause):
    """Who was ahead of whom."""
    ends = (clause.subject.head, clause.object.head)
    return ends if clause.verb == "outran" else ends[::-1]


def distance(links, first, last):
    """Links from one to the other, the fewest; 0 where there is no way."""
    near, steps = {first}, 0
    while near:
        steps += 1
        near = {b for a, b in links if a in near}
        if last in near:
            return steps
    return 0


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_labels_follow_from_so_many_links(depth):
    draw, labels = Draw.of(Universe(World(**TINY)), "train", "x"), Counter()
    for _ in range(300):
        pair = pairs.chained(draw, depth)
        links, (first, last) = list(map(ahead, pair.first)), ahead(pair.second)
        forth, back = distance(links, first, last), distance(links, last, first)
        assert (forth, back) == {0: (depth, 0), 1: (0, 0), 2: (0, depth)}[pair.label]
        assert len(links) == pairs.LINKS and len({name for link in links for name in link}) == 7
        labels[pair.label] += 1
    assert min(labels.values()) > 60


def test_they_are_written_when_they_are_read_and_leave_the_worlds_files_alone(tmp_path):
    source = open_source("toy", world=TINY, data_dir=tmp_path, splits={})
    before = {path: path.stat().st_mtime_ns for path in source.path.rglob("*") if path.is_file()}
    train, dev = (source.read("depth_2", role) for role in ("train", "dev"))
    assert (len(train), len(dev)) == (80, 40) and not {*train["text_a"]} & {*dev["text_a"]}
    assert before == {path: path.stat().st_mtime_ns for path in before}
    lengths = [
        {len(text.split()) for text in source.read(f"depth_{n}", "train")["text_a"]} for n in (1, 3)
    ]
    assert lengths[0] == lengths[1]
