"""Questions: spans of a text, continuations of a story, choices that need the world's facts."""

from collections.abc import Iterator
from typing import NamedTuple

from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause, Utterance
from xfer_utils.sources.toy.meaning import OPPOSITE, Draw
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


def spans(draw: Draw, unanswerable: float, which: float) -> Iterator[Span]:
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
        answers = [other for other in told if _visible(other, role) == _visible(clause, role)]
        if len(answers) == (index >= 0):
            question = Utterance(clause, "plain", role, draw.chance(which))
            yield Span(tuple(map(Utterance, told)), question, index, role)


def _another(draw: Draw, first: Clause) -> Clause:
    """Another event, half the time about one of the things in the first."""
    event = draw.event(adjectives=0.3, place=0.4)
    subject, object_ = first.subject.head, first.object.head
    if draw.chance(0.5):
        subjects = draw.subjects(event.verb, object_)
        objects = draw.objects(subject, event.verb)
        if subjects:
            return event._replace(subject=NP(draw.choice(subjects)), object=NP(object_))
        if objects:
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
    known = [head for head in heads if KIND_OF[head] == kind]
    return clause._replace(
        **{role: NP(draw.choice([*known, draw.choice(draw.universe.nouns[kind])]))}
    )


def continuation(draw: Draw) -> Choice:
    """A story's next step: its verb follows the script, its object is the thing spoken of.

    The four endings cross two verbs with two objects, so that endings alone tell nothing.
    """
    first = draw.event(adjectives=0.2, place=0.4)
    subject, object_ = first.subject.head, first.object.head
    right, kind = draw.universe.next_verb[first.verb], KIND_OF[object_]
    fitting = [verbs for verbs, _, objects in draw.universe.verbs if kind in objects.split()]
    nexts = [draw.universe.next_verb[verb] for verb in apart(fitting)]
    verbs = [verb for verb in nexts if verb not in (right, first.verb)] or [first.verb]
    nouns = [noun for noun in draw.universe.nouns[kind] if noun not in (object_, subject)]
    objects = (NP(object_), NP(draw.choice(nouns)))
    verbs = (right, draw.choice(verbs))
    endings = [Clause(NP(subject), verb, object_) for verb in verbs for object_ in objects]
    order = draw.sample(range(4), 4)
    return Choice((Utterance(first),), None, tuple(endings[n] for n in order), order.index(0))


def inferred(draw: Draw) -> Choice | None:
    """What an animal or person that the text tells of likes, fears or where it lives.

    The text tells of two of a kind; the other's answer is among the options.
    """
    noun, relation = draw.choice(
        [key for key in draw.universe.fact_pools[draw.pool] if key[1] in COSMOS_VERB]
    )
    kind = KIND_OF[noun]
    events = [core for core in draw.events if core[2] == noun]
    alike = [core for core in draw.events if core[2] != noun and KIND_OF[core[2]] == kind]
    others = [core for core in alike if KIND_OF[core[0]] in ("person", "animal")]
    if not events or not others:
        return None
    event, other = draw.choice(events), draw.choice(others)
    right, wrong = draw.universe.facts[noun, relation], draw.universe.facts[other[2], relation]
    if event[0] == other[0] or right == wrong:
        return None
    told = [Utterance(Clause(NP(s), verb, NP(o))) for s, verb, o in (event, other)]
    draw.shuffle(told)
    options = _options(draw, right, [wrong], draw.universe.nouns[KIND_OF[right]], 4)
    subject, verb = NP(event[0]), COSMOS_VERB[relation]
    asked = Clause(subject, verb, NP(right), recipient=NP(kind))
    if relation == "home":
        asked = Clause(subject, verb, NP(kind), ("in", NP(right)))
    question = Utterance(asked, ask="place" if relation == "home" else "object")
    return Choice(tuple(told), question, tuple(map(NP, options)), options.index(right))


def _options(draw: Draw, right: str, wrong: list[str], others: list[str], size: int) -> list[str]:
    rest = [other for other in others if other not in (right, *wrong)]
    options = [right, *wrong, *draw.sample(rest, size - 1 - len(wrong))]
    draw.shuffle(options)
    return options


def commonsense(draw: Draw) -> Choice:
    """A question for a general fact, and five options of the right kind."""
    noun, relation = draw.choice(draw.universe.fact_pools[draw.pool])
    right = draw.universe.facts[noun, relation]
    clause = draw.universe.fact_clause(noun, relation, right)
    if relation == "trait":
        options = _options(draw, right, [], draw.universe.adjectives[noun], 5)
        return Choice((), Utterance(clause, ask="predicate"), tuple(options), options.index(right))
    others = [other for other in draw.universe.nouns[KIND_OF[right]] if other != noun]
    options = _options(draw, right, [], others, 5)
    question = Utterance(clause, ask="place" if relation == "home" else "object")
    return Choice((), question, tuple(map(NP, options)), options.index(right))
