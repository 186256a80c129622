"""Sentences for taggers, and the text that encoders are pre-trained on."""

from collections.abc import Iterator

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause, speak
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.meaning import Draw, Universe, fact_clause
from xfer_utils.sources.toy.pairs import Said, changes, synonymous
from xfer_utils.sources.toy.world import World


def varied(draw: Draw) -> Clause:
    """A sentence rich in words of two parts of speech and in constructions."""
    clause = draw.event(adjectives=0.35, place=0.4, adverb=0.3)
    clause = clause._replace(
        subject=_ambiguous(draw, clause.subject, 0.4),
        object=_ambiguous(draw, clause.object, 0.45),
        verb=draw.choice(W.NOUN_VERB) if draw.chance(0.55) else clause.verb,
        adverb=draw.choice(W.ADJECTIVE_ADVERB) if draw.chance(0.2) else clause.adverb,
        negated=draw.chance(0.15),
    )
    number, subject = draw.random(), clause.subject
    person = NP(draw.noun("person"))
    if number < 0.12:
        clause = clause._replace(verb=draw.choice(W.RESTING + W.OPTIONAL_OBJECT), object=None)
    elif number < 0.24:
        clause = clause._replace(verb=draw.choice(W.GIVING), recipient=person)
    elif number < 0.4:
        of = (draw.choice(("with", "near", "behind")), NP(draw.noun("tool")))
        clause = clause._replace(subject=subject._replace(of=of))
    elif number < 0.5:
        clause = clause._replace(subject=subject._replace(also=person))
    elif number < 0.62:
        clause = clause._replace(subject=subject._replace(relative=draw.event(0, 0)))
    forms = ["plain", "plain"] + ["fronted"] * bool(clause.place or clause.adverb)
    forms += ["passive"] * bool(clause.object and not clause.recipient)
    return clause._replace(form=draw.choice(forms))


def _ambiguous(draw: Draw, np: NP, chance: float) -> NP:
    """The phrase with a noun or an adjective that could be another part of speech elsewhere."""
    plural = draw.chance(0.25)
    head = draw.choice(W.NOUN_VERB + W.ADJECTIVE_NOUN) if draw.chance(chance) else np.head
    adjectives = np.adjectives
    if draw.chance(chance):
        adjectives = (draw.choice(W.ADJECTIVE_NOUN + W.ADJECTIVE_ADVERB),)
    return NP(head, "a" if not plural and draw.chance(0.3) else "the", adjectives, plural)


def _name(draw: Draw, entity: str, sure: bool = False) -> NP:
    """A name of a type; with `sure` one whose form shows its type."""
    universe = draw.universe
    sure = sure or draw.chance(0.2)
    word = draw.choice(universe.sure_names[entity] if sure else universe.ambiguous_names)
    if draw.chance(0.4):
        parts = W.NAME_PARTS.get(entity, universe.ambiguous_names)
        words = (word, draw.choice(parts))
        word = " ".join(words[::-1] if entity == "LOC" else words)
    return NP(word, "", entity=entity)


def named(draw: Draw) -> Clause:
    """A sentence with names; a verb that takes several types only meets names of a sure type."""
    subject_type, object_type = draw.choice(sorted(W.NAME_VERBS))
    verb = draw.choice(W.NAME_VERBS[subject_type, object_type])
    shared = sum(verb in verbs for verbs in W.NAME_VERBS.values()) > 1
    subject, object_ = _name(draw, subject_type, shared), _name(draw, object_type, shared)
    if subject_type == "PER" and draw.chance(0.3):
        subject = NP(draw.noun("person"))
    elif object_type == "PER" and draw.chance(0.3):
        object_ = NP(draw.noun("person"))
    place = None
    if draw.chance(0.65):
        place = (draw.choice(("in", "near")), _name(draw, "LOC"))
        if draw.chance(0.2):
            place = (place[0], NP(draw.noun("place")))
    adverb = draw.choice(W.ADVERBS).split(":")[0] if draw.chance(0.25) else ""
    number = draw.random()
    form = "passive" if number < 0.2 else "fronted" if number < 0.4 and place else "plain"
    return Clause(subject, verb, object_, place, adverb, form=form)


def story(draw: Draw) -> Said:
    """Two events about the same things; the second mostly follows the world's script."""
    first = draw.event(0.4, 0.4, 0.15)
    subject, object_ = NP(first.subject.head), NP(first.object.head)
    verb = draw.universe.next_verb[first.verb]
    if draw.chance(0.25):
        verb = draw.choice(draw.events)[1]
        if objects := draw.fillers(subject.head, verb):
            return first, Clause(subject, verb, NP(draw.choice(objects)))
    return first, Clause(subject, verb, object_, then=True)


def restated(draw: Draw) -> Said:
    """An event, told again in other words or in another order."""
    first = draw.event(0.5, 0.6, 0.3)
    less = draw.choice(changes(draw, first, first)["less"])
    second = draw.choice((less, synonymous(first, lambda _: draw.chance(0.7))))
    forms = ["plain", "passive"] + ["fronted"] * bool(second.place or second.adverb)
    return first, second._replace(form=draw.choice(forms))


def fact(draw: Draw) -> Said:
    """Two general facts about something, or its kind in place of the first."""
    facts = draw.universe.facts
    noun = draw.choice(sorted(facts))[0]
    keys = draw.sample([key for key in facts if key[0] == noun], 2)
    clauses = [fact_clause(*key, facts[key]) for key in keys]
    if draw.chance(0.4):
        clauses[0] = Clause(NP(noun, "a"), "is", NP(KIND_OF[noun], "a"))
    return tuple(clauses)


def answered(draw: Draw) -> Said:
    """A question and the sentence that answers it."""
    event = draw.event(0.3, 0.5)
    ask = draw.choice(("subject", "object", "place" if event.place else "object"))
    pair = [event._replace(ask=ask, which=draw.chance(0.3)), event]
    draw.shuffle(pair)
    return tuple(pair)


SHARES = {
    story: 0.38, restated: 0.14, fact: 0.14, answered: 0.14,
    lambda draw: [varied(draw)]: 0.12, lambda draw: [named(draw), named(draw)]: 0.08,
}  # fmt: skip


def lines(world: World, universe: Universe, lexicon: Lexicon, english: Lexicon) -> Iterator[str]:
    """The text of one language, about training events; only the bilingual lines are parallel."""
    draw = Draw.of(universe, "train", f"{world.seed}/{lexicon.language.code}/text")
    count = world.text_lines(lexicon.language)
    for kind in draw.choices(list(SHARES), list(SHARES.values()), k=count):
        said = kind(draw)
        spoken = [(lexicon, clause) for clause in said]
        if lexicon is not english and draw.chance(world.bilingual):
            spoken = [(lexicon, said[0]), (english, said[0])]
        words = [word.form for pair in spoken for word in speak(*pair)]
        if lexicon.loans and world.romanised:
            loans, share = lexicon.loans, world.romanised
            words = [loans.get(word, word) if draw.chance(share) else word for word in words]
        yield " ".join(words)
