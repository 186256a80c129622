"""The text that encoders are pre-trained on: stories, facts, names, questions with answers."""

from collections.abc import Iterator

from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause, Utterance, speak
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.meaning import Draw, Universe, fact_clause
from xfer_utils.sources.toy.pairs import Said, changes, synonymous
from xfer_utils.sources.toy.tagging import named, varied
from xfer_utils.sources.toy.world import World

POOL = "train"  # no text is about an event that a test is about


def story(draw: Draw) -> Said:
    """Two events about the same things; the second mostly follows the world's script."""
    first = draw.event(0.4, 0.4, 0.15)
    subject, object_ = NP(first.subject.head), NP(first.object.head)
    verb = draw.universe.next_verb[first.verb]
    if draw.chance(0.25):
        verb = draw.choice(draw.events)[1]
        if objects := draw.fillers(subject.head, verb):
            return Utterance(first), Utterance(Clause(subject, verb, NP(draw.choice(objects))))
    return Utterance(first), Utterance(Clause(subject, verb, object_), then=True)


def restated(draw: Draw) -> Said:
    """An event, told again in other words or in another order."""
    first = draw.event(0.5, 0.6, 0.3)
    less = draw.choice(changes(draw, first, first)["less"])
    second = draw.choice((less, synonymous(draw, first, 0.7)))
    forms = ["plain", "passive"] + ["fronted"] * bool(second.place or second.adverb)
    return Utterance(first), Utterance(second, draw.choice(forms))


def fact(draw: Draw) -> Said:
    """Two general facts about something, or its kind in place of the first."""
    facts = draw.universe.facts
    noun = draw.choice(sorted(facts))[0]
    keys = draw.sample([key for key in facts if key[0] == noun], 2)
    clauses = [fact_clause(*key, facts[key]) for key in keys]
    if draw.chance(0.4):
        clauses[0] = Clause(NP(noun, "a"), "is", NP(KIND_OF[noun], "a"))
    return tuple(map(Utterance, clauses))


def answered(draw: Draw) -> Said:
    """A question and the sentence that answers it."""
    event = draw.event(0.3, 0.5)
    ask = draw.choice(("subject", "object", "place" if event.place else "object"))
    pair = [Utterance(event, ask=ask, which=draw.chance(0.3)), Utterance(event)]
    draw.shuffle(pair)
    return tuple(pair)


SHARES = {
    story: 0.38, restated: 0.14, fact: 0.14, answered: 0.14,
    lambda draw: [varied(draw)]: 0.12, lambda draw: [named(draw), named(draw)]: 0.08,
}  # fmt: skip


def lines(world: World, universe: Universe, lexicon: Lexicon, english: Lexicon) -> Iterator[str]:
    """The text of one language; nothing is parallel to another's but the few bilingual lines."""
    draw = Draw.of(universe, POOL, f"{world.seed}/{lexicon.language.code}/text")
    count = world.text_lines(lexicon.language)
    for kind in draw.choices(list(SHARES), list(SHARES.values()), k=count):
        said = kind(draw)
        spoken = [(lexicon, utterance) for utterance in said]
        if lexicon is not english and draw.chance(world.bilingual):
            spoken = [(lexicon, said[0]), (english, said[0])]
        words = [word.form for pair in spoken for word in speak(*pair)]
        if lexicon.loans and world.romanised:
            loans, share = lexicon.loans, world.romanised
            words = [loans.get(word, word) if draw.chance(share) else word for word in words]
        yield " ".join(words)
