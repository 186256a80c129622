"""Sentence pairs: inference at three difficulties, duplicate questions, paraphrases with swapped arguments."""

import random
from itertools import pairwise
from typing import Any, NamedTuple

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause, Utterance
from xfer_utils.sources.toy.meaning import OPPOSITE, Universe

ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
ADVERBS = [word for pair in W.ADVERBS for word in pair.split(":")]
Said = tuple[Utterance, ...]


class Pair(NamedTuple):
    """Two texts and their label, in no language yet."""

    first: Said
    second: Said
    label: int


def synonymous(rng: random.Random, clause: Clause, chance: float) -> Clause:
    """The same clause, each of its words replaced by its synonym (if it has one) with some chance."""

    def other(word: str) -> str:
        return W.SYNONYMS[word] if word in W.SYNONYMS and rng.random() < chance else word

    def phrase(np: NP | None) -> NP | None:
        if np is None or np.entity:
            return np
        return np._replace(head=other(np.head), adjectives=tuple(map(other, np.adjectives)))

    words = {"verb": other(clause.verb), "adverb": other(clause.adverb)}
    return clause._replace(subject=phrase(clause.subject), object=phrase(clause.object), **words)


def changes(
    universe: Universe, rng: random.Random, clause: Clause, core: Clause
) -> dict[str, list[Clause]]:
    """What can be said in place of a clause about the event `core`: less, more, something against or beside it.

    'Beside' says something else in the stead of one thing said, so that neither clause follows from the other.
    """
    ways: dict[str, list[Clause]] = {"less": [], "more": [], "against": [], "beside": []}
    place, adverb = ("in", NP(universe.whereabouts(rng, core.object.head))), rng.choice(ADVERBS)

    def add(way: str, **roles: Any) -> None:
        ways[way].append(clause._replace(**roles))

    for role in ("subject", "object"):
        np, noun = getattr(clause, role), getattr(core, role).head
        for adjective in np.adjectives:
            others = [
                a for a in universe.adjectives[noun] if a not in (adjective, OPPOSITE[adjective])
            ]
            for way, said in (
                ("less", ()),
                ("against", (OPPOSITE[adjective],)),
                ("beside", (rng.choice(others),)),
            ):
                add(way, **{role: np._replace(adjectives=said)})
        if np.head in W.KINDS:
            add("more", **{role: np._replace(head=noun)})
        elif not np.adjectives:
            add("less", **{role: np._replace(head=KIND_OF[noun])})
            add("more", **{role: universe.describe(rng, noun, 1)})
    if clause.place:
        others = [other for other in universe.nouns["place"] if other != clause.place[1].head]
        add("less", place=None)
        add("against", place=("in", NP(rng.choice(others))))
    else:
        add("more", place=place)
    if clause.adverb:
        add("less", adverb="")
        add("against", adverb=OPPOSITE[clause.adverb])
        add(
            "beside",
            adverb=rng.choice(
                [a for a in ADVERBS if a not in (clause.adverb, OPPOSITE[clause.adverb])]
            ),
        )
    else:
        add("more", adverb=adverb)
    if bool(clause.place) != bool(clause.adverb):
        add("beside", place=None if clause.place else place, adverb=adverb if clause.place else "")
    subjects, objects = universe.frames[OPPOSITE[clause.verb]]
    if core.subject.head in subjects and core.object.head in objects:
        add("against", verb=OPPOSITE[clause.verb])
    ways["beside"] = ways["beside"] or [less._replace(adverb=adverb) for less in ways["less"]]
    return ways


def elsewhere(universe: Universe, rng: random.Random, clause: Clause, pool: str) -> Clause | None:
    """The same event with another object from the same pool of events; no choice if only its kind is told."""
    if clause.object.head in W.KINDS:
        return None
    objects = universe.index[pool].get((clause.subject.head, clause.verb), [])
    others = [noun for noun in objects if noun != clause.object.head]
    return clause._replace(object=universe.describe(rng, rng.choice(others))) if others else None


def premise_for(
    universe: Universe, rng: random.Random, hypothesis: Clause, core: Clause, label: int, pool: str
) -> Clause:
    """A premise that stands in the wanted relation to a hypothesis; the hypothesis was drawn without the label."""
    positive = hypothesis._replace(negated=False)
    ways = changes(universe, rng, positive, core)

    def some(way: str, chance: float = 1.0) -> Clause:
        return rng.choice(ways[way]) if ways[way] and rng.random() < chance else positive

    if label == NEUTRAL:
        swapped = elsewhere(universe, rng, positive, pool) if rng.random() < 0.4 else None
        rest = "less" if not hypothesis.negated else "more" if ways["more"] else "beside"
        way = rng.choice(("beside", "beside", rest))
        return (swapped or some(way))._replace(negated=hypothesis.negated)
    if hypothesis.negated and label == ENTAILMENT:
        return some("less", 0.6)._replace(negated=True)
    if label == ENTAILMENT or hypothesis.negated:
        return some("more", 0.6)
    if not ways["against"] or rng.random() < 0.25:
        return some("less", 0.5)._replace(negated=True)
    against = some("against")
    return rng.choice([against, *changes(universe, rng, against, core)["more"]])


def inference(universe: Universe, rng: random.Random, pool: str, hard: float) -> Pair:
    """One inference pair; `hard` is the chance of each synonym, other form and unrelated second sentence."""
    core = universe.event(rng, pool, adjectives=0.3, place=0.35, adverb=0.25)
    hypothesis = core._replace(negated=rng.random() < 0.2)
    if rng.random() < 0.2 and not core.object.adjectives:
        hypothesis = hypothesis._replace(object=NP(KIND_OF[core.object.head]))
    label = rng.randrange(3)
    premise = premise_for(universe, rng, hypothesis, core, label, pool)
    if rng.random() < hard:
        premise = synonymous(rng, premise, 0.5)
    if rng.random() < hard:
        hypothesis = synonymous(rng, hypothesis, 0.5)
    said = [Utterance(premise, _form(rng, premise, hard))]
    if rng.random() < hard:
        other = universe.event(rng, pool, 0.2, 0.2)
        if other.verb not in (core.verb, OPPOSITE[core.verb]):
            said.insert(rng.randrange(2), Utterance(other))
    return Pair(tuple(said), (Utterance(hypothesis, _form(rng, hypothesis, hard)),), label)


def _form(rng: random.Random, clause: Clause, hard: float) -> str:
    forms = ["passive"] if clause.object else []
    forms += ["fronted"] if clause.place or clause.adverb else []
    return rng.choice(forms) if forms and rng.random() < hard * 0.6 else "plain"


def adversarial(universe: Universe, rng: random.Random, pool: str, depth: int) -> Pair:
    """Half hard sentence inference, half races: who outran whom follows from `depth` links, told in any order."""
    if rng.random() < 0.5:
        return inference(universe, rng, pool, 0.6)
    people = rng.sample(universe.nouns["person"], depth + 2)
    links = list(pairwise(people[: depth + 1]))
    label = rng.randrange(3)
    start, end = people[0], people[depth]
    if label == NEUTRAL:
        links[-1] = (
            (people[depth], people[depth - 1]) if depth > 1 else (people[depth], people[depth + 1])
        )
    if label == CONTRADICTION:
        start, end = end, start
    told = [_link(rng, *link) for link in links]
    rng.shuffle(told)
    return Pair(tuple(map(Utterance, told)), (Utterance(_link(rng, start, end)),), label)


def _link(rng: random.Random, ahead: str, behind: str) -> Clause:
    verb = rng.choice(W.ORDER_VERBS)
    return (
        Clause(NP(ahead), verb, NP(behind))
        if verb == "outran"
        else Clause(NP(behind), verb, NP(ahead))
    )


def duplicate(universe: Universe, rng: random.Random, pool: str) -> Pair:
    """Two questions: the same one in other words, or one that differs in one thing it says or asks."""
    event = universe.event(rng, pool, adjectives=0.3, place=0.6)
    ask = rng.choice(("subject", "object", "place" if event.place else "subject"))
    label, other, asked = rng.randrange(2), event, ask
    if not label:
        other, asked = _other_question(universe, rng, event, ask, pool)
    first = Utterance(
        synonymous(rng, event, 0.4), _question_form(rng, event), ask, rng.random() < 0.4
    )
    second = Utterance(
        synonymous(rng, other, 0.4), _question_form(rng, other), asked, rng.random() < 0.4
    )
    return Pair((first,), (second,), label)


def _question_form(rng: random.Random, clause: Clause) -> str:
    return "fronted" if clause.place and rng.random() < 0.4 else "plain"


def _other_question(
    universe: Universe, rng: random.Random, event: Clause, ask: str, pool: str
) -> tuple[Clause, str]:
    """A question with another answer: one visible thing changed, or another role asked."""
    ways: list[tuple[Clause, str]] = []
    hidden = {ask: getattr(event, ask)}
    for changed in changes(universe, rng, event, event)["against"]:
        if changed._replace(**hidden) != event:
            ways.append((changed._replace(**hidden), ask))
    if ask != "object" and (swapped := elsewhere(universe, rng, event, pool)):
        ways += [(swapped, ask)] * 2
    subjects = universe.index[pool].get((event.verb, event.object.head), [])
    if ask != "subject" and (others := [noun for noun in subjects if noun != event.subject.head]):
        ways += [(event._replace(subject=NP(rng.choice(others))), ask)] * 2
    ways.append((event, "object" if ask == "subject" else "subject"))
    return rng.choice(ways)


def paraphrase(universe: Universe, rng: random.Random, pool: str) -> Pair:
    """The same event in two forms, or another one: arguments or their adjectives exchanged, or one word changed."""
    subject, verb, object_ = rng.choice(universe.reversible[pool])
    shared = [a for a in universe.adjectives[subject] if a in universe.adjectives[object_]]
    one, two = NP(subject), NP(object_)
    swap_adjectives = len(shared) > 1 and rng.random() < 0.25
    if swap_adjectives:
        one, two = (
            np._replace(adjectives=(a,))
            for np, a in zip((one, two), rng.sample(shared, 2), strict=True)
        )
    elif rng.random() < 0.2:
        one, two = universe.describe(rng, subject, 1), universe.describe(rng, object_, 1)
    clause = Clause(one, verb, two, ("in", NP(universe.whereabouts(rng, object_))))
    label, other = rng.randrange(2), clause
    if not label and rng.random() < 0.5:
        other = rng.choice(changes(universe, rng, clause, clause)["against"])
    elif not label and swap_adjectives:
        exchanged = {
            "subject": one._replace(adjectives=two.adjectives),
            "object": two._replace(adjectives=one.adjectives),
        }
        other = clause._replace(**exchanged)
    elif not label:
        other = clause._replace(subject=two, object=one)
    forms = ["plain", "fronted" if rng.random() < 0.85 else "passive"]
    rng.shuffle(forms)
    return Pair((Utterance(clause, forms[0]),), (Utterance(other, forms[1]),), label)
