"""Questions: spans of a text, continuations of a story, choices that need the world's facts."""

from collections.abc import Iterator
from typing import NamedTuple

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause
from xfer_utils.sources.toy.meaning import OPPOSITE, Draw, fact_clause
from xfer_utils.sources.toy.pairs import Said

COSMOS_VERB = {"home": "sent", "liked": "gave", "feared": "sold"}


class Span(NamedTuple):
    """A question about one role of sentence `told` of a text; -1 where the text has no answer."""

    context: Said
    question: Clause
    told: int
    role: str


class Choice(NamedTuple):
    """A context (may be empty), a question (may be absent), options, index of the right one."""

    context: Said
    question: Clause | str | None
    options: tuple[Clause | str, ...]
    label: int

    def meaning(self) -> tuple:
        """What makes two items the same: all but the label and the order of options."""
        return self.context, self.question, frozenset(self.options)


class Mention(NamedTuple):
    """A sentence, the role of what is mentioned in it, and its name in the world."""

    said: Clause
    role: str
    entity: str


def mention(draw: Draw) -> Mention:
    """Somebody or something in an event."""
    event, role = draw.event(adjectives=0.3, place=0.4), draw.choice(("subject", "object"))
    return Mention(event, role, getattr(event, role).head)


def _visible(clause: Clause, ask: str) -> list[str]:
    """What a question about one role still says: the verb and the other core roles."""
    roles = {"subject", "object"} - {ask}
    return [clause.verb, *(getattr(clause, role).head for role in sorted(roles))]


def spans(draw: Draw, unanswerable: float = 0.0, which: float = 0.3) -> Iterator[Span]:
    """Two questions on a new text, on different sentences or roles; none if one is ambiguous."""
    told = [draw.event(adjectives=0.3, place=0.4)]
    told.append(_another(draw, told[0]))
    draw.shuffle(told)
    seen = set()
    for _ in range(2):
        index = draw.randrange(len(told))
        event = told[index]
        role = draw.choice(("subject", "object", "place" if event.place else "subject"))
        if (index, role) in seen:
            continue
        seen.add((index, role))
        place = event.place if role == "place" else None
        clause = Clause(NP(event.subject.head), event.verb, NP(event.object.head), place)
        if draw.chance(unanswerable):
            clause = _altered(draw, clause, role, told)
            index = -1
        answers = [event for event in told if _visible(event, role) == _visible(clause, role)]
        if len(answers) == (index >= 0):
            question = clause._replace(ask=role, which=draw.chance(which))
            yield Span(tuple(told), question, index, role)


def _another(draw: Draw, first: Clause) -> Clause:
    """Another event, half the time about one of the things in the first."""
    event = draw.event(adjectives=0.3, place=0.4)
    subject, object_ = first.subject.head, first.object.head
    if draw.chance(0.5):
        if subjects := draw.fillers(event.verb, object_):
            return event._replace(subject=NP(draw.choice(subjects)), object=NP(object_))
        if objects := draw.fillers(subject, event.verb):
            return event._replace(subject=NP(subject), object=NP(draw.choice(objects)))
    return event


def _altered(draw: Draw, clause: Clause, ask: str, told: list[Clause]) -> Clause:
    """A question that the text does not answer: one thing or verb of it is from elsewhere."""
    other = draw.choice(told)
    role = draw.choice([role for role in ("subject", "verb", "object") if role != ask])
    if role == "verb":
        return clause._replace(verb=draw.choice((OPPOSITE[clause.verb], other.verb)))
    kind = KIND_OF[getattr(clause, role).head]
    heads = [np.head for event in told for np in (event.subject, event.object)]
    alike = [head for head in heads if KIND_OF[head] == kind]
    return clause._replace(**{role: NP(draw.choice([*alike, draw.noun(kind)]))})


def continuation(draw: Draw) -> Choice:
    """A story's next step; endings cross two verbs with two objects: alone they tell nothing."""
    first = draw.event(adjectives=0.2, place=0.4)
    subject, object_ = first.subject.head, first.object.head
    other_nouns = [noun for noun in W.NOUNS[KIND_OF[object_]] if noun not in (object_, subject)]
    objects = (object_, draw.choice(other_nouns))
    right = draw.universe.next_verb[first.verb]
    verbs = (right, draw.choice(_other_steps(draw, first, right)))
    endings = [Clause(NP(subject), verb, NP(noun)) for verb in verbs for noun in objects]
    return _ordered(draw, (first,), None, endings)


def sequel(draw: Draw, options: int, asks: tuple[str, ...] = ("effect",)) -> Choice:
    """What came of a story's step, or was its cause: options differ in their verbs alone."""
    first, asked = draw.event(adjectives=0.2, place=0.4), draw.choice(asks)
    steps = draw.universe.next_verb
    steps = steps if asked == "effect" else {then: verb for verb, then in steps.items()}
    right = steps[first.verb]
    others = draw.sample(_other_steps(draw, first, right), options - 1)
    told = [Clause(first.subject, verb, first.object) for verb in (right, *others)]
    return _ordered(draw, (first,), asked, told)


def _other_steps(draw: Draw, first: Clause, right: str) -> list[str]:
    """Verbs of a story about the same kind of object that are not the right one."""
    kind = KIND_OF[first.object.head]
    fitting = [verbs for verbs, _, objects in W.VERBS if kind in objects.split()]
    nexts = [draw.universe.next_verb[verb] for verb in W.apart(fitting)]
    return [verb for verb in nexts if verb not in (right, first.verb)]


def _ordered(draw: Draw, told: Said, question: str | None, options: list[Clause]) -> Choice:
    """The options in another order; the first was the right one."""
    order = draw.sample(range(len(options)), len(options))
    return Choice(told, question, tuple(options[n] for n in order), order.index(0))


def inferred(draw: Draw) -> Choice | None:
    """A fact about one of two beings in a text; the fact about the other is among the options."""
    facts = [fact for fact in draw.universe.facts if fact[1] in COSMOS_VERB]
    noun, relation = draw.choice(facts)
    kind = KIND_OF[noun]
    events = [core for core in draw.events if core[2] == noun]
    alike = [core for core in draw.events if core[2] != noun and KIND_OF[core[2]] == kind]
    others = [core for core in alike if KIND_OF[core[0]] in W.ANIMATE]
    if not events or not others:
        return None
    event, other = draw.choice(events), draw.choice(others)
    right, wrong = draw.universe.facts[noun, relation], draw.universe.facts[other[2], relation]
    if event[0] == other[0] or right == wrong:
        return None
    told = [Clause(NP(s), verb, NP(o)) for s, verb, o in (event, other)]
    draw.shuffle(told)
    subject, verb = NP(event[0]), COSMOS_VERB[relation]
    asked = Clause(subject, verb, NP(right), recipient=NP(kind), ask="object")
    if relation == "home":
        asked = Clause(subject, verb, NP(kind), ("in", NP(right)), ask="place")
    return _choice(draw, tuple(told), asked, [right, wrong], W.NOUNS[KIND_OF[right]])


def commonsense(draw: Draw) -> Choice:
    """A question for a general fact, and five options of the right kind."""
    noun, relation = draw.choice(list(draw.universe.facts))
    right = draw.universe.facts[noun, relation]
    ask = {"home": "place", "trait": "predicate"}.get(relation, "object")
    question = fact_clause(noun, relation, right)._replace(ask=ask)
    if relation == "trait":
        return _choice(draw, (), question, [right], draw.universe.adjectives[noun])
    others = [other for other in W.NOUNS[KIND_OF[right]] if other != noun]
    return _choice(draw, (), question, [right], others)


def _choice(draw: Draw, told: Said, question: Clause, sure: list[str], others: list[str]) -> Choice:
    """The `sure` options, the first of them right, and some others."""
    rest = [other for other in others if other not in sure]
    size = 4 if told else 5  # as Cosmos QA and CommonsenseQA have
    options = [*sure, *draw.sample(rest, size - len(sure))]
    draw.shuffle(options)
    return Choice(told, question, tuple(options), options.index(sure[0]))
