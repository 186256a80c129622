"""The text that encoders are pre-trained on: stories, facts, names, questions with answers."""

import random
from collections.abc import Iterator

from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause, Utterance, speak
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.meaning import Universe
from xfer_utils.sources.toy.pairs import Said, changes, synonymous
from xfer_utils.sources.toy.tagging import Names, named, varied
from xfer_utils.sources.toy.world import World

POOL = "train"  # no text is about an event that a test is about
SHARES = (0.38, 0.14, 0.14, 0.14, 0.12, 0.08)  # of stories and the other kinds of lines


class Prose:
    """Draws lines of text. Nothing is parallel between languages but the few bilingual lines."""

    def __init__(self, world: World, universe: Universe, names: Names):
        self.world, self.universe, self.names = world, universe, names
        self.fact_keys = sorted(universe.facts)

    def story(self, rng: random.Random) -> Said:
        """Two events about the same things; the second mostly follows the world's script."""
        first = self.universe.event(rng, POOL, 0.4, 0.4, 0.15)
        subject, object_ = NP(first.subject.head), NP(first.object.head)
        verb = self.universe.next_verb[first.verb]
        if rng.random() < 0.25:
            verb = rng.choice([verb for _, verb, _ in self.universe.pools[POOL]])
            objects = self.universe.index[POOL].get((subject.head, verb))
            if objects:
                return Utterance(first), Utterance(Clause(subject, verb, NP(rng.choice(objects))))
        return Utterance(first), Utterance(Clause(subject, verb, object_), opening="then")

    def restated(self, rng: random.Random) -> Said:
        """An event, told again in other words or in another order."""
        first = self.universe.event(rng, POOL, 0.5, 0.6, 0.3)
        less = rng.choice(changes(self.universe, rng, first, first)["less"])
        second = rng.choice((less, synonymous(rng, first, 0.7)))
        forms = ["plain", "passive"] + ["fronted"] * bool(second.place or second.adverb)
        return Utterance(first), Utterance(second, rng.choice(forms))

    def fact(self, rng: random.Random) -> Said:
        """Two general facts about something, or its kind in place of the first."""
        noun = rng.choice(self.fact_keys)[0]
        keys = rng.sample([key for key in self.universe.facts if key[0] == noun], 2)
        clauses = [self.universe.fact_clause(*key, self.universe.facts[key]) for key in keys]
        if rng.random() < 0.4:
            clauses[0] = Clause(NP(noun, "a"), "is", NP(KIND_OF[noun], "a"))
        return tuple(map(Utterance, clauses))

    def answered(self, rng: random.Random) -> Said:
        """A question and the sentence that answers it."""
        event = self.universe.event(rng, POOL, 0.3, 0.5)
        ask = rng.choice(("subject", "object", "place" if event.place else "object"))
        pair = [Utterance(event, ask=ask, which=rng.random() < 0.3), Utterance(event)]
        rng.shuffle(pair)
        return tuple(pair)

    def rich(self, rng: random.Random) -> Said:
        """A sentence of the kind that taggers read."""
        return (varied(self.universe, rng, POOL, self.world.constructions),)

    def news(self, rng: random.Random) -> Said:
        """Two sentences with names."""
        return tuple(named(self.universe, rng, POOL, self.names) for _ in range(2))

    def lines(self, lexicon: Lexicon, english: Lexicon, count: int) -> Iterator[str]:
        """So many lines in one language, some of their loan words in Latin letters."""
        rng = random.Random(f"{self.world.seed}/{lexicon.language.code}/text")
        foreign = lexicon.language.code != "en"
        kinds = [self.story, self.restated, self.fact, self.answered, self.rich, self.news]
        for kind in rng.choices(kinds, SHARES, k=count):
            said = kind(rng)
            spoken = [(lexicon, utterance) for utterance in said]
            if foreign and rng.random() < self.world.bilingual:
                spoken = [(lexicon, said[0]), (english, said[0])]
            words = [word.form for pair in spoken for word in speak(*pair)]
            if lexicon.loans and self.world.romanised:
                words = [self._romanised(rng, lexicon, word) for word in words]
            yield " ".join(words)

    def _romanised(self, rng: random.Random, lexicon: Lexicon, word: str) -> str:
        return lexicon.loans.get(word, word) if rng.random() < self.world.romanised else word
