"""Questions: spans of a text, continuations of a story, and choices that need the facts of the world."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause, Utterance
from xfer_utils.sources.toy.meaning import OPPOSITE, Universe
from xfer_utils.sources.toy.pairs import Said

COSMOS_VERB = {"home": "sent", "liked": "gave", "feared": "sold"}


class Span(NamedTuple):
    """A question about one role of one sentence of a text; `told` is -1 where the text has no answer."""

    context: Said
    question: Utterance
    told: int
    role: str


class Choice(NamedTuple):
    """A context (may be empty), a question (may be absent), options and the index of the right one."""

    context: Said
    question: Utterance | None
    options: tuple[Clause | NP | str, ...]
    label: int


def _visible(clause: Clause, ask: str) -> list[str]:
    """What a question about one role still says: the verb and the other core roles."""
    return [clause.verb] + [
        getattr(clause, role).head for role in ("subject", "object") if role != ask
    ]


def spans(
    universe: Universe, rng: random.Random, pool: str, unanswerable: float = 0.0, which: float = 0.3
) -> Iterator[Span]:
    """Two questions on one new text, about different sentences or roles; none if the draw is ambiguous."""
    told = [universe.event(rng, pool, adjectives=0.3, place=0.4)]
    told.append(_another(universe, rng, told[0], pool))
    rng.shuffle(told)
    context = tuple(map(Utterance, told))
    seen = set()
    for _ in range(2):
        index = rng.randrange(len(told))
        asked = told[index]
        role = rng.choice(("subject", "object", "place" if asked.place else "subject"))
        if (index, role) in seen:
            continue
        seen.add((index, role))
        clause = Clause(NP(asked.subject.head), asked.verb, NP(asked.object.head), None)
        clause = clause._replace(place=asked.place if role == "place" else None)
        if rng.random() < unanswerable:
            clause = _altered(universe, rng, clause, role, told)
            index = -1
        if sum(_visible(clause, role) == _visible(one, role) for one in told) == (index >= 0):
            yield Span(context, Utterance(clause, "plain", role, rng.random() < which), index, role)


def _another(universe: Universe, rng: random.Random, first: Clause, pool: str) -> Clause:
    """Another event, half the time about one of the things in the first."""
    event = universe.event(rng, pool, adjectives=0.3, place=0.4)
    if rng.random() < 0.5:
        subjects = universe.index[pool].get((event.verb, first.object.head), [])
        objects = universe.index[pool].get((first.subject.head, event.verb), [])
        if subjects:
            return event._replace(subject=NP(rng.choice(subjects)), object=NP(first.object.head))
        if objects:
            return event._replace(subject=NP(first.subject.head), object=NP(rng.choice(objects)))
    return event


def _altered(
    universe: Universe, rng: random.Random, clause: Clause, ask: str, told: list[Clause]
) -> Clause:
    """A question that the text does not answer: a thing or verb from elsewhere in place of one asked about."""
    other = rng.choice(told)
    role = rng.choice([role for role in ("subject", "verb", "object") if role != ask])
    if role == "verb":
        return clause._replace(verb=rng.choice((OPPOSITE[clause.verb], other.verb)))
    kind = KIND_OF[getattr(clause, role).head]
    known = [
        np.head for one in told for np in (one.subject, one.object) if KIND_OF[np.head] == kind
    ]
    return clause._replace(**{role: NP(rng.choice([*known, rng.choice(universe.nouns[kind])]))})


def continuation(universe: Universe, rng: random.Random, pool: str) -> Choice:
    """A story's next step: its verb follows the world's script and its object is the thing spoken of.

    The four endings cross two verbs with two objects, so that endings alone tell nothing.
    """
    first = universe.event(rng, pool, adjectives=0.2, place=0.4)
    right = universe.next_verb[first.verb]
    kind = KIND_OF[first.object.head]
    kinds = {v: objects.split() for pair, _, objects in universe.verbs for v in pair.split(":")}
    nexts = [universe.next_verb[v] for v in kinds if kind in kinds[v]]
    verbs = [v for v in nexts if v not in (right, first.verb)] or [first.verb]
    nouns = [
        noun for noun in universe.nouns[kind] if noun not in (first.object.head, first.subject.head)
    ]
    subject = NP(first.subject.head)
    objects = (NP(first.object.head), NP(rng.choice(nouns)))
    pairs = [(verb, object_) for verb in (right, rng.choice(verbs)) for object_ in objects]
    options = [Clause(subject, *pair) for pair in pairs]
    order = rng.sample(range(4), 4)
    return Choice((Utterance(first),), None, tuple(options[i] for i in order), order.index(0))


def inferred(universe: Universe, rng: random.Random, pool: str) -> Choice | None:
    """Which of two animals somebody dealt with (told in the text) and what it likes, fears or where it lives.

    The text's other animal has its own answer among the options.
    """
    noun, relation = rng.choice([key for key in universe.fact_pools[pool] if key[1] in COSMOS_VERB])
    kind = KIND_OF[noun]
    events = [core for core in universe.pools[pool] if core[2] == noun]
    others = [
        core for core in universe.pools[pool]
        if core[2] != noun and KIND_OF[core[2]] == kind and KIND_OF[core[0]] in ("person", "animal")
    ]  # fmt: skip
    if not events or not others:
        return None
    event, other = rng.choice(events), rng.choice(others)
    right, wrong = universe.facts[noun, relation], universe.facts[other[2], relation]
    if event[0] == other[0] or right == wrong:
        return None
    told = [Utterance(Clause(NP(s), v, NP(o))) for s, v, o in (event, other)]
    rng.shuffle(told)
    options = _options(rng, right, [wrong], universe.nouns[KIND_OF[right]], 4)
    place = ("in", NP(right)) if relation == "home" else None
    asked = Clause(NP(event[0]), COSMOS_VERB[relation], NP(kind), place)
    if relation != "home":
        asked = asked._replace(object=NP(right), recipient=NP(kind))
    role = "place" if relation == "home" else "object"
    chosen = tuple(NP(option) for option in options)
    return Choice(tuple(told), Utterance(asked, ask=role), chosen, options.index(right))


def _options(
    rng: random.Random, right: str, wrong: list[str], others: list[str], size: int
) -> list[str]:
    rest = [other for other in others if other not in (right, *wrong)]
    options = [right, *wrong, *rng.sample(rest, size - 1 - len(wrong))]
    rng.shuffle(options)
    return options


def commonsense(universe: Universe, rng: random.Random, pool: str) -> Choice:
    """A question for a general fact, and five options of the right kind."""
    noun, relation = rng.choice(universe.fact_pools[pool])
    right = universe.facts[noun, relation]
    clause = universe.fact_clause(noun, relation, right)
    if relation == "trait":
        options = _options(rng, right, [], universe.adjectives[noun], 5)
        return Choice((), Utterance(clause, ask="predicate"), tuple(options), options.index(right))
    options = _options(rng, right, [], [n for n in universe.nouns[KIND_OF[right]] if n != noun], 5)
    role = "place" if relation == "home" else "object"
    return Choice((), Utterance(clause, ask=role), tuple(map(NP, options)), options.index(right))
