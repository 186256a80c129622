"""The meaning layer: who does what to whom, facts, and the pools that keep splits apart."""

import random
from collections.abc import Sequence
from itertools import product

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause
from xfer_utils.sources.toy.world import World

POOLS = {"train": 0.64, "intermediate_dev": 0.10, "target_dev": 0.13, "target_test": 0.13}
Core = tuple[str, str, str]


def _opposites(pairs: Sequence[str]) -> dict[str, str]:
    """Each word of 'a:b' items with the word that excludes it."""
    there = dict(pair.split(":") for pair in pairs)
    return there | {second: first for first, second in there.items()}


OPPOSITE = _opposites([verbs for verbs, _, _ in W.VERBS])
OPPOSITE |= _opposites([*W.ADJECTIVES["animate"], *W.ADJECTIVES["thing"], *W.ADVERBS])
HOME_VERB = dict.fromkeys(W.KINDS, "stood") | {"person": "worked", "animal": "lived"}


class Universe:
    """Nouns and verbs in use, what goes with what, general facts, scripts, event pools by split."""

    def __init__(self, world: World):
        rng = random.Random(f"{world.seed}/universe")
        share = world.vocabulary
        self.nouns = {
            kind: nouns[: max(4, round(share * len(nouns)))] for kind, nouns in W.NOUNS.items()
        }
        self.verbs = W.VERBS[: max(10, round(share * len(W.VERBS)))]
        self.adjectives: dict[str, list[str]] = {}
        for kind, nouns in self.nouns.items():
            known = W.ADJECTIVES["animate" if kind in W.ANIMATE else "thing"]
            for noun in nouns:
                self.adjectives[noun] = W.apart(rng.sample(known, 4))
        self._frames(rng)
        self._facts(rng)
        self.pools = self._pools(rng)
        self.index = {name: self._index(pool) for name, pool in self.pools.items()}
        events = {core for pool in self.pools.values() for core in pool}
        self.reversible = {
            name: [core for core in pool if core[::-1] in events]
            for name, pool in self.pools.items()
        }

    def _frames(self, rng: random.Random) -> None:
        """Which nouns each verb takes, and which verb tends to follow it when a story goes on."""
        self.frames: dict[str, tuple[list[str], list[str]]] = {}
        self.next_verb: dict[str, str] = {}
        for pair, subjects, objects in self.verbs:
            for verb in pair.split(":"):
                bands = []
                for kinds in (subjects, objects):
                    nouns = [noun for kind in kinds.split() for noun in self.nouns[kind]]
                    bands.append(sorted(rng.sample(nouns, max(4, round(0.6 * len(nouns))))))
                self.frames[verb] = (bands[0], bands[1])
        by_kind: dict[str, list[str]] = {}
        for pair, _, objects in self.verbs:
            by_kind.setdefault(objects.split()[-1], []).extend(pair.split(":"))
        for alike in by_kind.values():
            rng.shuffle(alike)
            self.next_verb |= dict(zip(alike, alike[1:] + alike[:1], strict=True))

    def _facts(self, rng: random.Random) -> None:
        """General facts: (noun, relation) to its one answer, told in the text of every language."""
        self.facts: dict[tuple[str, str], str] = {}
        for kind, nouns in self.nouns.items():
            for noun in nouns if kind != "place" else ():
                self.facts[noun, "home"] = rng.choice(self.nouns["place"])
                self.facts[noun, "trait"] = rng.choice(self.adjectives[noun])
                if kind in W.ANIMATE:
                    liked = "food" if kind == "animal" else "tool"
                    self.facts[noun, "liked"] = rng.choice(self.nouns[liked])
                    others = [animal for animal in self.nouns["animal"] if animal != noun]
                    self.facts[noun, "feared"] = rng.choice(others)
        keys = sorted(self.facts)
        rng.shuffle(keys)
        cut = round(0.8 * len(keys))
        self.fact_pools = {"train": keys[:cut], "intermediate_dev": keys[cut:]}

    def _pools(self, rng: random.Random) -> dict[str, list[Core]]:
        """All events that may happen, parted into pools; all events between two share a pool."""
        groups: dict[tuple[str, ...], list[Core]] = {}
        for verb, (subjects, objects) in self.frames.items():
            for subject, object_ in product(subjects, objects):
                if subject != object_:
                    key = tuple(sorted((subject, object_)))
                    groups.setdefault(key, []).append((subject, verb, object_))
        keys = sorted(groups)
        rng.shuffle(keys)
        pools, start = {}, 0.0
        for name, share in POOLS.items():
            chosen = keys[round(start * len(keys)) : round((start + share) * len(keys))]
            pools[name] = [core for key in chosen for core in groups[key]]
            start += share
        return pools

    @staticmethod
    def _index(pool: list[Core]) -> dict[tuple[str, str], list[str]]:
        index: dict[tuple[str, str], list[str]] = {}
        for subject, verb, object_ in pool:
            index.setdefault((subject, verb), []).append(object_)
            index.setdefault((verb, object_), []).append(subject)
        return index

    def fact_clause(self, noun: str, relation: str, answer: str) -> Clause:
        """A general fact as a clause about 'a' noun."""
        subject = NP(noun, "a")
        if relation == "home":
            return Clause(subject, HOME_VERB[KIND_OF[noun]], place=("in", NP(answer, "a")))
        if relation == "trait":
            return Clause(subject, "is", predicate=answer)
        return Clause(subject, relation, NP(answer, "a"))


class Draw(random.Random):
    """Random choices among what a world holds, its events those of one pool."""

    universe: Universe
    pool: str

    @classmethod
    def of(cls, universe: Universe, pool: str, seed: str) -> "Draw":
        """Draws that follow from the seed."""
        draw = cls(seed)
        draw.universe, draw.pool = universe, pool
        return draw

    @property
    def events(self) -> list[Core]:
        """The events of the pool."""
        return self.universe.pools[self.pool]

    def subjects(self, verb: str, object_: str) -> list[str]:
        """Who may do it to this object."""
        return self.universe.index[self.pool].get((verb, object_), [])

    def objects(self, subject: str, verb: str) -> list[str]:
        """To what this subject may do it."""
        return self.universe.index[self.pool].get((subject, verb), [])

    def chance(self, share: float) -> bool:
        """True in this share of cases."""
        return self.random() < share

    def describe(self, noun: str, adjectives: int = 0) -> NP:
        """'the' noun with so many of its adjectives, none excluding another."""
        chosen: list[str] = []
        while len(chosen) < adjectives:
            adjective = self.choice(self.universe.adjectives[noun])
            if adjective not in chosen and OPPOSITE[adjective] not in chosen:
                chosen.append(adjective)
        return NP(noun, "the", tuple(chosen))

    def event(self, adjectives: float, place: float, adverb: float = 0.0) -> Clause:
        """An event; the numbers are chances of an adjective per noun, a place, an adverb."""
        subject, verb, object_ = self.choice(self.events)
        agent = self.describe(subject, self.chance(adjectives))
        patient = self.describe(object_, self.chance(adjectives))
        clause = Clause(agent, verb, patient)
        if self.chance(place):
            clause = clause._replace(place=("in", NP(self.whereabouts(object_))))
        if self.chance(adverb):
            pair = W.ADVERBS[self.randrange(len(W.ADVERBS))]
            clause = clause._replace(adverb=self.choice(pair.split(":")))
        return clause

    def whereabouts(self, noun: str) -> str:
        """Where something happens to a thing: mostly where it belongs."""
        home, places = self.universe.facts[noun, "home"], self.universe.nouns["place"]
        return home if self.chance(0.6) else self.choice(places)
