"""Questions: spans of a text, continuations of a story, choices that need the world's facts."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause, Utterance
from xfer_utils.sources.toy.meaning import OPPOSITE, Universe
from xfer_utils.sources.toy.pairs import Said
from xfer_utils.sources.toy.words import apart

COSMOS_VERB = {"home": "sent", "liked": "gave", "feared": "sold"}


class Span(NamedTuple):
    """A question about one role of sentence `told` of a text; -1 where the text has no answer."""

    context: Said
    question: Utterance
    told: int
    role: str


class Choice(NamedTuple):
    """A context (may be empty), a question (may be absent), options, index of the right one."""

    context: Said
    question: Utterance | None
    options: tuple[Clause | NP | str, ...]
    label: int


def _visible(clause: Clause, ask: str) -> list[str]:
    """What a question about one role still says: the verb and the other core roles."""
    roles = [role for role in ("subject", "object") if role != ask]
    return [clause.verb, *(getattr(clause, role).head for role in roles)]


def spans(
    universe: Universe, rng: random.Random, pool: str, unanswerable: float, which: float
) -> Iterator[Span]:
    """Two questions on a new text, on different sentences or roles; none if one is ambiguous."""
    told = [universe.event(rng, pool, adjectives=0.3, place=0.4)]
    told.append(_another(universe, rng, told[0], pool))
    rng.shuffle(told)
    seen = set()
    for _ in range(2):
        index = rng.randrange(len(told))
        event = told[index]
        role = rng.choice(("subject", "object", "place" if event.place else "subject"))
        if (index, role) in seen:
            continue
        seen.add((index, role))
        place = event.place if role == "place" else None
        clause = Clause(NP(event.subject.head), event.verb, NP(event.object.head), place)
        if rng.random() < unanswerable:
            clause = _altered(universe, rng, clause, role, told)
            index = -1
        answers = [other for other in told if _visible(other, role) == _visible(clause, role)]
        if len(answers) == (index >= 0):
            question = Utterance(clause, "plain", role, rng.random() < which)
            yield Span(tuple(map(Utterance, told)), question, index, role)


def _another(universe: Universe, rng: random.Random, first: Clause, pool: str) -> Clause:
    """Another event, half the time about one of the things in the first."""
    event = universe.event(rng, pool, adjectives=0.3, place=0.4)
    subject, object_ = first.subject.head, first.object.head
    if rng.random() < 0.5:
        subjects = universe.index[pool].get((event.verb, object_), [])
        objects = universe.index[pool].get((subject, event.verb), [])
        if subjects:
            return event._replace(subject=NP(rng.choice(subjects)), object=NP(object_))
        if objects:
            return event._replace(subject=NP(subject), object=NP(rng.choice(objects)))
    return event


def _altered(
    universe: Universe, rng: random.Random, clause: Clause, ask: str, told: list[Clause]
) -> Clause:
    """A question that the text does not answer: one thing or verb of it is from elsewhere."""
    other = rng.choice(told)
    role = rng.choice([role for role in ("subject", "verb", "object") if role != ask])
    if role == "verb":
        return clause._replace(verb=rng.choice((OPPOSITE[clause.verb], other.verb)))
    kind = KIND_OF[getattr(clause, role).head]
    heads = [np.head for event in told for np in (event.subject, event.object)]
    known = [head for head in heads if KIND_OF[head] == kind]
    return clause._replace(**{role: NP(rng.choice([*known, rng.choice(universe.nouns[kind])]))})


def continuation(universe: Universe, rng: random.Random, pool: str) -> Choice:
    """A story's next step: its verb follows the script, its object is the thing spoken of.

    The four endings cross two verbs with two objects, so that endings alone tell nothing.
    """
    first = universe.event(rng, pool, adjectives=0.2, place=0.4)
    subject, object_ = first.subject.head, first.object.head
    right, kind = universe.next_verb[first.verb], KIND_OF[object_]
    fitting = [verbs for verbs, _, objects in universe.verbs if kind in objects.split()]
    nexts = [universe.next_verb[verb] for verb in apart(fitting)]
    verbs = [verb for verb in nexts if verb not in (right, first.verb)] or [first.verb]
    nouns = [noun for noun in universe.nouns[kind] if noun not in (object_, subject)]
    objects = (NP(object_), NP(rng.choice(nouns)))
    verbs = (right, rng.choice(verbs))
    endings = [Clause(NP(subject), verb, object_) for verb in verbs for object_ in objects]
    order = rng.sample(range(4), 4)
    return Choice((Utterance(first),), None, tuple(endings[n] for n in order), order.index(0))


def inferred(universe: Universe, rng: random.Random, pool: str) -> Choice | None:
    """What an animal or person that the text tells of likes, fears or where it lives.

    The text tells of two of a kind; the other's answer is among the options.
    """
    noun, relation = rng.choice([key for key in universe.fact_pools[pool] if key[1] in COSMOS_VERB])
    kind = KIND_OF[noun]
    events = [core for core in universe.pools[pool] if core[2] == noun]
    alike = [core for core in universe.pools[pool] if core[2] != noun and KIND_OF[core[2]] == kind]
    others = [core for core in alike if KIND_OF[core[0]] in ("person", "animal")]
    if not events or not others:
        return None
    event, other = rng.choice(events), rng.choice(others)
    right, wrong = universe.facts[noun, relation], universe.facts[other[2], relation]
    if event[0] == other[0] or right == wrong:
        return None
    told = [Utterance(Clause(NP(s), verb, NP(o))) for s, verb, o in (event, other)]
    rng.shuffle(told)
    options = _options(rng, right, [wrong], universe.nouns[KIND_OF[right]], 4)
    subject, verb = NP(event[0]), COSMOS_VERB[relation]
    asked = Clause(subject, verb, NP(right), recipient=NP(kind))
    if relation == "home":
        asked = Clause(subject, verb, NP(kind), ("in", NP(right)))
    question = Utterance(asked, ask="place" if relation == "home" else "object")
    return Choice(tuple(told), question, tuple(map(NP, options)), options.index(right))


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
    others = [other for other in universe.nouns[KIND_OF[right]] if other != noun]
    options = _options(rng, right, [], others, 5)
    question = Utterance(clause, ask="place" if relation == "home" else "object")
    return Choice((), question, tuple(map(NP, options)), options.index(right))
