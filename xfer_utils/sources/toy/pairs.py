"""Sentence pairs: inference at three difficulties, duplicate questions, paraphrases."""

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause, Utterance
from xfer_utils.sources.toy.meaning import OPPOSITE, Universe

ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
ADVERBS = W.apart(W.ADVERBS)
Said = tuple[Utterance, ...]
Place = tuple[str, NP]


class Pair(NamedTuple):
    """Two texts and their label, in no language yet."""

    first: Said
    second: Said
    label: int


def synonymous(rng: random.Random, clause: Clause, chance: float) -> Clause:
    """The same clause, its words replaced by their synonyms, if they have one, with some chance."""

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
    """What can be said in place of a clause about the event `core`: less, more, against, beside.

    'Beside' says something else instead, so that neither clause follows from the other.
    """
    ways: dict[str, list[Clause]] = {"less": [], "more": [], "against": [], "beside": []}
    place = ("in", NP(universe.whereabouts(rng, core.object.head)))
    adverb = rng.choice(ADVERBS)
    for role in ("subject", "object"):
        np, noun = getattr(clause, role), getattr(core, role).head
        for way, changed in _phrases(universe, rng, np, noun):
            ways[way].append(clause._replace(**{role: changed}))
    for way, roles in _circumstances(universe, rng, clause, place, adverb):
        ways[way].append(clause._replace(**roles))
    subjects, objects = universe.frames[OPPOSITE[clause.verb]]
    if core.subject.head in subjects and core.object.head in objects:
        ways["against"].append(clause._replace(verb=OPPOSITE[clause.verb]))
    ways["beside"] = ways["beside"] or [less._replace(adverb=adverb) for less in ways["less"]]
    return ways


def _phrases(universe: Universe, rng: random.Random, np: NP, noun: str) -> Iterator[tuple[str, NP]]:
    """What can be said in place of a noun phrase about a `noun`."""
    for adjective in np.adjectives:
        known = universe.adjectives[noun]
        others = [other for other in known if other not in (adjective, OPPOSITE[adjective])]
        yield "less", np._replace(adjectives=())
        yield "against", np._replace(adjectives=(OPPOSITE[adjective],))
        yield "beside", np._replace(adjectives=(rng.choice(others),))
    if np.head in W.KINDS:
        yield "more", np._replace(head=noun)
    elif not np.adjectives:
        yield "less", np._replace(head=KIND_OF[noun])
        yield "more", universe.describe(rng, noun, 1)


def _circumstances(
    universe: Universe, rng: random.Random, clause: Clause, place: Place, adverb: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What can be said in place of where and how; `place` and `adverb` are there to be added."""
    if clause.place:
        others = [other for other in universe.nouns["place"] if other != clause.place[1].head]
        yield "less", {"place": None}
        yield "against", {"place": ("in", NP(rng.choice(others)))}
    else:
        yield "more", {"place": place}
    if clause.adverb:
        opposite = OPPOSITE[clause.adverb]
        others = [other for other in ADVERBS if other not in (clause.adverb, opposite)]
        yield "less", {"adverb": ""}
        yield "against", {"adverb": opposite}
        yield "beside", {"adverb": rng.choice(others)}
    else:
        yield "more", {"adverb": adverb}
    if clause.place and not clause.adverb:
        yield "beside", {"place": None, "adverb": adverb}
    if clause.adverb and not clause.place:
        yield "beside", {"place": place, "adverb": ""}


def elsewhere(universe: Universe, rng: random.Random, clause: Clause, pool: str) -> Clause | None:
    """The same event with another object from the same pool; None if only its kind is told."""
    if clause.object.head in W.KINDS:
        return None
    objects = universe.index[pool].get((clause.subject.head, clause.verb), [])
    others = [noun for noun in objects if noun != clause.object.head]
    return clause._replace(object=universe.describe(rng, rng.choice(others))) if others else None


def premise_for(
    universe: Universe, rng: random.Random, hypothesis: Clause, core: Clause, label: int, pool: str
) -> Clause:
    """A premise in the wanted relation to a hypothesis, which was drawn without the label."""
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
    """One inference pair; `hard` is the chance of synonyms, other forms and a second sentence."""
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
    first = [Utterance(premise, _form(rng, premise, hard))]
    if rng.random() < hard:
        other = universe.event(rng, pool, 0.2, 0.2)
        if other.verb not in (core.verb, OPPOSITE[core.verb]):
            first.insert(rng.randrange(2), Utterance(other))
    second = Utterance(hypothesis, _form(rng, hypothesis, hard))
    return Pair(tuple(first), (second,), label)


def _form(rng: random.Random, clause: Clause, hard: float) -> str:
    forms = ["passive"] if clause.object else []
    forms += ["fronted"] if clause.place or clause.adverb else []
    return rng.choice(forms) if forms and rng.random() < hard * 0.6 else "plain"


def adversarial(universe: Universe, rng: random.Random, pool: str, depth: int) -> Pair:
    """Half hard inference, half races: who outran whom follows from `depth` links in any order."""
    if rng.random() < 0.5:
        return inference(universe, rng, pool, 0.6)
    people = rng.sample(universe.nouns["person"], depth + 2)
    links = list(pairwise(people[: depth + 1]))
    label = rng.randrange(3)
    first, last = people[0], people[depth]
    if label == NEUTRAL:
        links[-1] = (last, people[depth - 1] if depth > 1 else people[depth + 1])
    told = [_link(rng, *link) for link in links]
    rng.shuffle(told)
    asked = (last, first) if label == CONTRADICTION else (first, last)
    return Pair(tuple(map(Utterance, told)), (Utterance(_link(rng, *asked)),), label)


def _link(rng: random.Random, ahead: str, behind: str) -> Clause:
    verb = rng.choice(W.ORDER_VERBS)
    subject, object_ = (ahead, behind) if verb == "outran" else (behind, ahead)
    return Clause(NP(subject), verb, NP(object_))


def duplicate(universe: Universe, rng: random.Random, pool: str) -> Pair:
    """Two questions: the same in other words, or one that differs in what it says or asks."""
    event = universe.event(rng, pool, adjectives=0.3, place=0.6)
    ask = rng.choice(("subject", "object", "place" if event.place else "subject"))
    label, other, other_ask = rng.randrange(2), event, ask
    if not label:
        other, other_ask = _other_question(universe, rng, event, ask, pool)
    first, second = _question(rng, event, ask), _question(rng, other, other_ask)
    return Pair((first,), (second,), label)


def _question(rng: random.Random, clause: Clause, ask: str) -> Utterance:
    said = synonymous(rng, clause, 0.4)
    form = "fronted" if clause.place and rng.random() < 0.4 else "plain"
    return Utterance(said, form, ask, rng.random() < 0.4)


def _other_question(
    universe: Universe, rng: random.Random, event: Clause, ask: str, pool: str
) -> tuple[Clause, str]:
    """A question with another answer: one visible thing changed, or another role asked."""
    ways: list[tuple[Clause, str]] = []
    for changed in changes(universe, rng, event, event)["against"]:
        visible = changed._replace(**{ask: getattr(event, ask)})
        if visible != event:
            ways.append((visible, ask))
    if ask != "object" and (swapped := elsewhere(universe, rng, event, pool)):
        ways += [(swapped, ask)] * 2
    subjects = universe.index[pool].get((event.verb, event.object.head), [])
    if ask != "subject" and (others := [noun for noun in subjects if noun != event.subject.head]):
        ways += [(event._replace(subject=NP(rng.choice(others))), ask)] * 2
    ways.append((event, "object" if ask == "subject" else "subject"))
    return rng.choice(ways)


def paraphrase(universe: Universe, rng: random.Random, pool: str) -> Pair:
    """An event in two forms, or another: arguments or adjectives exchanged, or a word changed."""
    subject, verb, object_ = rng.choice(universe.reversible[pool])
    shared = [a for a in universe.adjectives[subject] if a in universe.adjectives[object_]]
    agent, patient = NP(subject), NP(object_)
    swap_adjectives = len(shared) > 1 and rng.random() < 0.25
    if swap_adjectives:
        adjectives = rng.sample(shared, 2)
        agent, patient = NP(subject, "the", (adjectives[0],)), NP(object_, "the", (adjectives[1],))
    elif rng.random() < 0.2:
        agent, patient = universe.describe(rng, subject, 1), universe.describe(rng, object_, 1)
    clause = Clause(agent, verb, patient, ("in", NP(universe.whereabouts(rng, object_))))
    label, other = rng.randrange(2), clause
    if not label and rng.random() < 0.5:
        other = rng.choice(changes(universe, rng, clause, clause)["against"])
    elif not label and swap_adjectives:
        other = clause._replace(
            subject=agent._replace(adjectives=patient.adjectives),
            object=patient._replace(adjectives=agent.adjectives),
        )
    elif not label:
        other = clause._replace(subject=patient, object=agent)
    forms = ["plain", "fronted" if rng.random() < 0.85 else "passive"]
    rng.shuffle(forms)
    return Pair((Utterance(clause, forms[0]),), (Utterance(other, forms[1]),), label)
