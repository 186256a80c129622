"""The meaning layer: who does what to whom, facts, and the pools that keep splits apart."""

import random
from collections import defaultdict
from itertools import chain, product

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause
from xfer_utils.sources.toy.world import World

POOLS = {"train": 0.64, "intermediate_dev": 0.10, "target_dev": 0.13, "target_test": 0.13}
Core = tuple[str, str, str]  # subject, verb, object

_VERBS = (verbs for verbs, _, _ in W.VERBS)
OPPOSITE = dict(pair.split(":") for pair in chain(_VERBS, *W.ADJECTIVES.values(), W.ADVERBS))
OPPOSITE |= {second: first for first, second in OPPOSITE.items()}


class Universe:
    """What goes with what, general facts, scripts, names by type, and event pools by split."""

    def __init__(self, world: World):
        rng = random.Random(f"{world.seed}/universe")
        self.adjectives: dict[str, list[str]] = {}
        for kind, nouns in W.NOUNS.items():
            known = W.ADJECTIVES["animate" if kind in W.ANIMATE else "thing"]
            self.adjectives |= {noun: W.apart(rng.sample(known, 4)) for noun in nouns}
        self._frames(rng)
        self._facts(rng)
        self._pools(rng)
        names = W.NAMES[:]
        random.Random(f"{world.seed}/names").shuffle(names)
        self.sure_names = {"PER": names[:4], "ORG": names[4:8], "LOC": names[8:12]}
        self.ambiguous_names = names[12:]

    def _frames(self, rng: random.Random) -> None:
        """Which nouns each verb takes, and which verb tends to follow it when a story goes on."""
        self.frames: dict[str, list[list[str]]] = {}
        by_kind = defaultdict(list)
        for pair, *roles in W.VERBS:
            verbs = pair.split(":")
            by_kind[roles[1].split()[-1]] += verbs
            nouns = [list(chain(*(W.NOUNS[kind] for kind in kinds.split()))) for kinds in roles]
            for verb in verbs:
                self.frames[verb] = [sorted(rng.sample(n, round(0.6 * len(n)))) for n in nouns]
        self.next_verb: dict[str, str] = {}
        for alike in by_kind.values():
            rng.shuffle(alike)
            self.next_verb |= dict(zip(alike, alike[1:] + alike[:1], strict=True))

    def _facts(self, rng: random.Random) -> None:
        """General facts: (noun, relation) to its one answer, told in the text of every language."""
        self.facts: dict[tuple[str, str], str] = {}
        for noun, adjectives in self.adjectives.items():
            kind = KIND_OF[noun]
            if kind == "place":
                continue
            self.facts[noun, "home"] = rng.choice(W.NOUNS["place"])
            self.facts[noun, "trait"] = rng.choice(adjectives)
            if kind in W.ANIMATE:
                liked = "food" if kind == "animal" else "tool"
                self.facts[noun, "liked"] = rng.choice(W.NOUNS[liked])
                others = [animal for animal in W.NOUNS["animal"] if animal != noun]
                self.facts[noun, "feared"] = rng.choice(others)

    def _pools(self, rng: random.Random) -> None:
        """All events that may happen, parted into pools; all events between two share a pool."""
        groups = defaultdict(list)
        for verb, (subjects, objects) in self.frames.items():
            for subject, object_ in product(subjects, objects):
                if subject != object_:
                    groups[tuple(sorted((subject, object_)))].append((subject, verb, object_))
        keys = sorted(groups)
        rng.shuffle(keys)
        self.pools: dict[str, list[Core]] = {}
        self.reversible: dict[str, list[Core]] = {}
        self.fillers: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        start = 0.0
        for name, share in POOLS.items():
            chosen = keys[round(start * len(keys)) : round((start + share) * len(keys))]
            start += share
            pool = self.pools[name] = [core for key in chosen for core in groups[key]]
            events = set(pool)
            self.reversible[name] = [core for core in pool if core[::-1] in events]
            for subject, verb, object_ in pool:
                self.fillers[name, subject, verb].append(object_)
                self.fillers[name, verb, object_].append(subject)


def fact_clause(noun: str, relation: str, answer: str) -> Clause:
    """A general fact as a clause about 'a' noun."""
    subject = NP(noun, "a")
    if relation == "home":
        verb = {"person": "worked", "animal": "lived"}.get(KIND_OF[noun], "stood")
        return Clause(subject, verb, place=("in", NP(answer, "a")))
    if relation == "trait":
        return Clause(subject, "is", predicate=answer)
    return Clause(subject, relation, NP(answer, "a"))


class Draw(random.Random):
    """Random choices among what a world holds, its events those of one pool."""

    @classmethod
    def of(cls, universe: Universe, pool: str, seed: str) -> "Draw":
        """Draws that follow from the seed."""
        draw = cls(seed)
        draw.universe, draw.pool, draw.events = universe, pool, universe.pools[pool]
        return draw

    def fillers(self, *parts: str) -> list[str]:
        """Objects of a (subject, verb), or subjects of a (verb, object), in the pool's events."""
        return self.universe.fillers[self.pool, *parts]

    def chance(self, share: float) -> bool:
        """True in this share of cases."""
        return self.random() < share

    def noun(self, kind: str) -> str:
        """Any noun of a kind."""
        return self.choice(W.NOUNS[kind])

    def describe(self, noun: str, adjectives: int = 0) -> NP:
        """'the' noun with so many of its adjectives (0 or 1)."""
        chosen = [self.choice(self.universe.adjectives[noun]) for _ in range(adjectives)]
        return NP(noun, "the", tuple(chosen))

    def event(self, adjectives: float, place: float, adverb: float = 0.0) -> Clause:
        """An event; the numbers are chances of an adjective per noun, a place, an adverb."""
        subject, verb, object_ = self.choice(self.events)
        agent = self.describe(subject, self.chance(adjectives))
        patient = self.describe(object_, self.chance(adjectives))
        where = self.whereabouts(object_) if self.chance(place) else None
        how = self.choice(self.choice(W.ADVERBS).split(":")) if self.chance(adverb) else ""
        return Clause(agent, verb, patient, where, how)

    def whereabouts(self, noun: str) -> tuple[str, NP]:
        """Where something happens to a thing: mostly where it belongs."""
        home = self.universe.facts[noun, "home"]
        return "in", NP(home if self.chance(0.6) else self.noun("place"))
