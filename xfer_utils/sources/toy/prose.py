"""The text that encoders are pre-trained on: stories, facts, names, questions with answers, a few translations."""

import random
from collections.abc import Iterator

from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause, Utterance, speak
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.meaning import Universe
from xfer_utils.sources.toy.pairs import Said, changes, synonymous
from xfer_utils.sources.toy.tagging import Names, named, varied
from xfer_utils.sources.toy.world import World

POOL = "train"  # no text is about an event that a test is about


class Prose:
    """Draws lines of text. Each language has its own: nothing is parallel but the few bilingual lines."""

    def __init__(self, world: World, universe: Universe, names: Names):
        self.world, self.universe, self.names = world, universe, names
        self.fact_keys = sorted(universe.facts)
        self.kinds = {
            self.story: 0.38, self.restated: 0.14, self.fact: 0.14, self.answered: 0.14, self.rich: 0.12,
            self.news: 0.08,
        }  # fmt: skip

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
        return Utterance(first), Utterance(
            second, rng.choice(forms if second.object else ["plain"])
        )

    def fact(self, rng: random.Random) -> Said:
        """What kind of thing something is, and two general facts about it."""
        noun = rng.choice(self.fact_keys)[0]
        known = [key for key in self.universe.facts if key[0] == noun]
        chosen = rng.sample(known, 2)
        told = [
            Utterance(self.universe.fact_clause(*key, self.universe.facts[key])) for key in chosen
        ]
        if rng.random() < 0.4:
            told[0] = Utterance(Clause(NP(noun, "a"), "is", NP(KIND_OF[noun], "a")))
        return tuple(told)

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
        makers, weights = list(self.kinds), list(self.kinds.values())
        for maker in rng.choices(makers, weights, k=count):
            said = maker(rng)
            words = [word.form for one in said for word in speak(lexicon, one)]
            if foreign and rng.random() < self.world.bilingual:
                told = said[0]
                words = [word.form for word in speak(lexicon, told)] + [
                    w.form for w in speak(english, told)
                ]
            if lexicon.loans and self.world.romanised:
                words = [
                    lexicon.loans.get(word, word) if rng.random() < self.world.romanised else word
                    for word in words
                ]
            yield " ".join(words)
