"""Sentence pairs: inference at three difficulties, duplicate questions, paraphrases."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause
from xfer_utils.sources.toy.meaning import OPPOSITE, Draw

ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
ADVERBS = W.apart(W.ADVERBS)
STEPS = 3  # that a text is from another, more than which not every event has
Said = tuple[Clause, ...]
Change = tuple[str, dict[str, Any]]  # how it changes what is said, and the roles it changes


class Pair(NamedTuple):
    """Two texts and their label, in no language yet."""

    first: Said
    second: Clause
    label: int


def synonymous(clause: Clause, reworded: Callable[[str], bool]) -> Clause:
    """The same clause, those of its words replaced by their synonyms that are to be."""

    def other(word: str) -> str:
        return W.SYNONYMS[word] if word in W.SYNONYMS and reworded(word) else word

    def phrase(np: NP) -> NP:
        return np._replace(head=other(np.head), adjectives=tuple(map(other, np.adjectives)))

    words = {"verb": other(clause.verb), "adverb": other(clause.adverb)}
    return clause._replace(subject=phrase(clause.subject), object=phrase(clause.object), **words)


def changes(draw: Draw, clause: Clause, core: Clause) -> dict[str, list[Clause]]:
    """Clauses that say less, more, the opposite, or something beside, about the event `core`."""
    place, adverb = draw.whereabouts(core.object.head), draw.choice(ADVERBS)
    changed: list[Change] = []
    for role in ("subject", "object"):
        phrases = _phrases(draw, getattr(clause, role), getattr(core, role).head)
        changed += [(way, {role: np}) for way, np in phrases]
    changed += _circumstances(draw, clause, place, adverb)
    subjects, objects = draw.universe.frames[OPPOSITE[clause.verb]]
    if core.subject.head in subjects and core.object.head in objects:
        changed.append(("against", {"verb": OPPOSITE[clause.verb]}))
    ways = defaultdict(list)
    for way, roles in changed:
        ways[way].append(clause._replace(**roles))
    ways["beside"] = ways["beside"] or [less._replace(adverb=adverb) for less in ways["less"]]
    return ways


def _phrases(draw: Draw, np: NP, noun: str) -> Iterator[tuple[str, NP]]:
    """What can be said in place of a noun phrase about a `noun`."""
    for adjective in np.adjectives:
        known = draw.universe.adjectives[noun]
        others = [other for other in known if other not in (adjective, OPPOSITE[adjective])]
        yield "less", np._replace(adjectives=())
        yield "against", np._replace(adjectives=(OPPOSITE[adjective],))
        yield "beside", np._replace(adjectives=(draw.choice(others),))
    if np.head in W.KINDS:
        yield "more", np._replace(head=noun)
    elif not np.adjectives:
        yield "less", np._replace(head=KIND_OF[noun])
        yield "more", draw.describe(noun, 1)


def _circumstances(draw: Draw, clause: Clause, place: tuple, adverb: str) -> Iterator[Change]:
    """What can be said in place of where and how; `place` and `adverb` are there to be added."""
    if clause.place:
        others = [other for other in W.NOUNS["place"] if other != clause.place[1].head]
        yield "less", {"place": None}
        yield "against", {"place": ("in", NP(draw.choice(others)))}
    else:
        yield "more", {"place": place}
    if clause.adverb:
        opposite = OPPOSITE[clause.adverb]
        others = [other for other in ADVERBS if other not in (clause.adverb, opposite)]
        yield "less", {"adverb": ""}
        yield "against", {"adverb": opposite}
        yield "beside", {"adverb": draw.choice(others)}
    else:
        yield "more", {"adverb": adverb}
    if clause.place and not clause.adverb:
        yield "beside", {"place": None, "adverb": adverb}
    if clause.adverb and not clause.place:
        yield "beside", {"place": place, "adverb": ""}


def elsewhere(draw: Draw, clause: Clause) -> Clause | None:
    """The same event with another object from the same pool; None if only its kind is told."""
    objects = draw.fillers(clause.subject.head, clause.verb)
    others = [noun for noun in objects if noun != clause.object.head]
    if clause.object.head in W.KINDS or not others:
        return None
    return clause._replace(object=NP(draw.choice(others)))


def premise_for(draw: Draw, hypothesis: Clause, core: Clause, label: int) -> Clause:
    """A premise in the wanted relation to a hypothesis, which was drawn without the label."""
    positive = hypothesis._replace(negated=False)
    ways = changes(draw, positive, core)

    def some(way: str, chance: float = 1.0) -> Clause:
        return draw.choice(ways[way]) if ways[way] and draw.chance(chance) else positive

    if label == NEUTRAL:
        swapped = elsewhere(draw, positive) if draw.chance(0.4) else None
        rest = "less" if not hypothesis.negated else "more" if ways["more"] else "beside"
        way = draw.choice(("beside", "beside", rest))
        return (swapped or some(way))._replace(negated=hypothesis.negated)
    if hypothesis.negated and label == ENTAILMENT:
        return some("less", 0.6)._replace(negated=True)
    if label == ENTAILMENT or hypothesis.negated:
        return some("more", 0.6)
    if not ways["against"] or draw.chance(0.25):
        return some("less", 0.5)._replace(negated=True)
    against = some("against")
    return draw.choice([against, *changes(draw, against, core)["more"]])


def inference(draw: Draw, hard: float) -> Pair:
    """One inference pair; `hard` is the chance of synonyms, other forms and a second sentence."""
    core = draw.event(adjectives=0.3, place=0.35, adverb=0.25)
    hypothesis = core._replace(negated=draw.chance(0.2))
    if draw.chance(0.2) and not core.object.adjectives:
        hypothesis = hypothesis._replace(object=NP(KIND_OF[core.object.head]))
    label = draw.randrange(3)
    premise = premise_for(draw, hypothesis, core, label)
    if draw.chance(hard):
        premise = synonymous(premise, lambda _: draw.chance(0.5))
    if draw.chance(hard):
        hypothesis = synonymous(hypothesis, lambda _: draw.chance(0.5))
    first = [_in_some_form(draw, premise, hard)]
    if draw.chance(hard):
        other = draw.event(0.2, 0.2)
        if other.verb not in (core.verb, OPPOSITE[core.verb]):
            first.insert(draw.randrange(2), other)
    return Pair(tuple(first), _in_some_form(draw, hypothesis, hard), label)


def _in_some_form(draw: Draw, clause: Clause, hard: float) -> Clause:
    forms = ["passive"] + ["fronted"] * bool(clause.place or clause.adverb)
    return clause._replace(form=draw.choice(forms)) if draw.chance(hard * 0.6) else clause


def adversarial(draw: Draw, depth: int) -> Pair:
    """Half hard inference, half races: who outran whom follows from `depth` links in any order."""
    if draw.chance(0.5):
        return inference(draw, 0.6)
    people = draw.sample(W.NOUNS["person"], depth + 2)
    links = list(pairwise(people[: depth + 1]))
    label = draw.randrange(3)
    first, last = people[0], people[depth]
    if label == NEUTRAL:
        links[-1] = (last, people[depth - 1] if depth > 1 else people[depth + 1])
    told = [_link(draw, *link) for link in links]
    draw.shuffle(told)
    asked = (last, first) if label == CONTRADICTION else (first, last)
    return Pair(tuple(told), _link(draw, *asked), label)


def rewritten(draw: Draw, depth: int) -> Pair:
    """An event, and the same after three steps, of which any `depth` settle the label: their join.

    Said in other words or order it follows, with something beside it is open, with something
    against it is excluded; the strongest step decides, and of such there are fewer the deeper. All
    steps go both ways and leave the number of words as it is, so neither text alone tells anything.
    """
    core = draw.event(1, 1, 1)
    while len(_rewordable(core)) < 2 or core.subject.adjectives == core.object.adjectives:
        core = draw.event(1, 1, 1)  # any event could be said in other words, whatever its label
    label = draw.randrange(3)
    steps = [label] * (STEPS + 1 - depth)
    steps += [draw.randrange(label) if label else ENTAILMENT for _ in range(depth - 1)]
    reworded = set(draw.sample([*_rewordable(core), "form"], steps.count(ENTAILMENT)))
    changed = list(_circumstances(draw, core, core.place, core.adverb))
    for role, np in (("subject", core.subject), ("object", core.object)):
        changed += [(way, {role: phrase}) for way, phrase in _phrases(draw, np, np.head)]
    told = {"subject": core.subject.adjectives, "object": core.object.adjectives}
    told["adverb"] = (core.adverb,)
    other, taken = core, {role for role, words in told.items() if reworded & {*words}}
    for step in sorted(filter(None, steps)):  # what is beside has the fewest parts to choose from
        wanted = "beside" if step == NEUTRAL else "against"
        roles = draw.choice([new for way, new in changed if way == wanted and not taken & {*new}])
        other, taken = other._replace(**roles), taken | {*roles}
    said = {word for word in W.SYNONYMS if draw.chance(0.5)}
    forms = ["plain", "fronted"]
    draw.shuffle(forms)
    texts = [
        synonymous(core._replace(form=forms[0]), said.__contains__),
        synonymous(other._replace(form=forms["form" in reworded]), (said ^ reworded).__contains__),
    ]
    draw.shuffle(texts)
    return Pair((texts[0],), texts[1], label)


def _rewordable(clause: Clause) -> list[str]:
    """The words of a clause that have synonyms."""
    phrases = (clause.subject, clause.object)
    words = [clause.verb, clause.adverb, *(word for np in phrases for word in np.adjectives)]
    return sorted({*words, *(np.head for np in phrases)} & W.SYNONYMS.keys())


def _link(draw: Draw, ahead: str, behind: str) -> Clause:
    verb = draw.choice(W.ORDER_VERBS)
    subject, object_ = (ahead, behind) if verb == "outran" else (behind, ahead)
    return Clause(NP(subject), verb, NP(object_))


def duplicate(draw: Draw) -> Pair:
    """Two questions: the same in other words, or one that differs in what it says or asks."""
    event = draw.event(adjectives=0.3, place=0.6)
    ask = draw.choice(("subject", "object", "place" if event.place else "subject"))
    label = draw.randrange(2)
    other = (event, ask) if label else _other_question(draw, event, ask)
    return Pair((_question(draw, event, ask),), _question(draw, *other), label)


def _question(draw: Draw, clause: Clause, ask: str) -> Clause:
    said = synonymous(clause, lambda _: draw.chance(0.4))
    form = "fronted" if clause.place and draw.chance(0.4) else "plain"
    return said._replace(form=form, ask=ask, which=draw.chance(0.4))


def _other_question(draw: Draw, event: Clause, ask: str) -> tuple[Clause, str]:
    """A question with another answer: one visible thing changed, or another role asked."""
    against = changes(draw, event, event)["against"]
    visible = [changed._replace(**{ask: getattr(event, ask)}) for changed in against]
    ways = [(changed, ask) for changed in visible if changed != event]
    if ask != "object" and (swapped := elsewhere(draw, event)):
        ways += [(swapped, ask)] * 2
    subjects = draw.fillers(event.verb, event.object.head)
    if ask != "subject" and (others := [noun for noun in subjects if noun != event.subject.head]):
        ways += [(event._replace(subject=NP(draw.choice(others))), ask)] * 2
    ways.append((event, "object" if ask == "subject" else "subject"))
    return draw.choice(ways)


def paraphrase(draw: Draw) -> Pair:
    """An event in two forms, or in equal parts another event, a word changed, two exchanged.

    What is exchanged are the arguments or their adjectives. The three are unequally hard, so that
    a model finds something to learn at every stage.
    """
    subject, verb, object_ = draw.choice(draw.universe.reversible[draw.pool])
    adjectives = draw.universe.adjectives
    shared = [adjective for adjective in adjectives[subject] if adjective in adjectives[object_]]
    agent, patient = NP(subject), NP(object_)
    swap_adjectives = len(shared) > 1 and draw.chance(0.25)
    if swap_adjectives:
        first, second = draw.sample(shared, 2)
        agent, patient = NP(subject, "the", (first,)), NP(object_, "the", (second,))
    elif draw.chance(0.2):
        agent, patient = draw.describe(subject, 1), draw.describe(object_, 1)
    clause = Clause(agent, verb, patient, draw.whereabouts(object_))
    label, other, kind = draw.randrange(2), clause, draw.randrange(3)
    if not label and kind == 0:
        events = draw.sample(draw.universe.reversible[draw.pool], 2)
        nouns = next(core for core in events if core != (subject, verb, object_))
        described = [len(np.adjectives) for np in (agent, patient)]
        agent, patient = map(draw.describe, nouns[::2], described)
        other = Clause(agent, nouns[1], patient, clause.place)
    elif not label and kind == 1:
        other = draw.choice(changes(draw, clause, clause)["against"])
    elif not label and swap_adjectives:
        agent, patient = NP(subject, "the", (second,)), NP(object_, "the", (first,))
        other = clause._replace(subject=agent, object=patient)
    elif not label:
        other = clause._replace(subject=patient, object=agent)
    forms = ["plain", "fronted" if draw.chance(0.85) else "passive"]
    draw.shuffle(forms)
    return Pair((clause._replace(form=forms[0]),), other._replace(form=forms[1]), label)
