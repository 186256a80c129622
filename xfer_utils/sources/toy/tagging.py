"""Sentences for taggers: words of two parts of speech, and names of three types."""

import random

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.grammar import NP, Clause, Utterance
from xfer_utils.sources.toy.meaning import Draw


def varied(draw: Draw, constructions: int) -> Utterance:
    """A sentence rich in words of two parts of speech; `constructions` (1-3) are its grammar."""
    clause = draw.event(adjectives=0.35, place=0.4, adverb=0.3)
    clause = clause._replace(
        subject=_ambiguous(draw, clause.subject, 0.4),
        object=_ambiguous(draw, clause.object, 0.45),
        verb=draw.choice(W.NOUN_VERB) if draw.chance(0.55) else clause.verb,
        adverb=draw.choice(W.ADJECTIVE_ADVERB) if draw.chance(0.2) else clause.adverb,
        negated=draw.chance(0.15),
    )
    number, subject = draw.random(), clause.subject
    person = NP(draw.choice(draw.universe.nouns["person"]))
    if constructions > 1 and number < 0.12:
        clause = clause._replace(verb=draw.choice(W.RESTING + W.OPTIONAL_OBJECT), object=None)
    elif constructions > 1 and number < 0.24:
        clause = clause._replace(verb=draw.choice(W.GIVING), recipient=person)
    elif constructions > 1 and number < 0.4:
        preposition = draw.choice(("with", "near", "behind"))
        tool = NP(draw.choice(draw.universe.nouns["tool"]))
        clause = clause._replace(subject=subject._replace(of=(preposition, tool)))
    elif constructions > 2 and number < 0.5:
        clause = clause._replace(subject=subject._replace(also=person))
    elif constructions > 2 and number < 0.62:
        clause = clause._replace(subject=subject._replace(relative=draw.event(0, 0)))
    forms = ["plain", "plain"] + ["fronted"] * bool(clause.place or clause.adverb)
    forms += ["passive"] * bool(clause.object and not clause.recipient)
    return Utterance(clause, draw.choice(forms))


def _ambiguous(draw: Draw, np: NP, chance: float) -> NP:
    """The phrase with a noun or an adjective that could be another part of speech elsewhere."""
    plural = draw.chance(0.25)
    head = draw.choice(W.NOUN_VERB + W.ADJECTIVE_NOUN) if draw.chance(chance) else np.head
    adjectives = np.adjectives
    if draw.chance(chance):
        adjectives = (draw.choice(W.ADJECTIVE_NOUN + W.ADJECTIVE_ADVERB),)
    return NP(head, "a" if not plural and draw.chance(0.3) else "the", adjectives, plural)


class Names:
    """Names by type; most words name things of several types, and the sentence tells which."""

    def __init__(self, seed: int):
        rng = random.Random(f"{seed}/names")
        pool = W.NAMES[:]
        rng.shuffle(pool)
        self.sure = {"PER": pool[0:4], "ORG": pool[4:8], "LOC": pool[8:12]}
        self.any = pool[12:]

    def draw(self, draw: Draw, entity: str, sure: bool = False) -> NP:
        """A name of a type; with `sure` one whose form shows its type."""
        word = draw.choice(self.sure[entity] if sure or draw.chance(0.2) else self.any)
        if entity == "PER" and draw.chance(0.4):
            word = f"{word} {draw.choice(self.any)}"
        elif entity == "ORG" and draw.chance(0.4):
            word = f"{word} {draw.choice(W.NAME_PARTS['ORG'])}"
        elif entity == "LOC" and draw.chance(0.4):
            word = f"{draw.choice(W.NAME_PARTS['LOC'])} {word}"
        return NP(word, "", entity=entity)


def named(draw: Draw, names: Names) -> Utterance:
    """A sentence with names; a verb that takes several types only meets names of a sure type."""
    subject_type, object_type = draw.choice(sorted(W.NAME_VERBS))
    verb = draw.choice(W.NAME_VERBS[subject_type, object_type])
    shared = sum(verb in verbs for verbs in W.NAME_VERBS.values()) > 1
    subject = names.draw(draw, subject_type, shared)
    object_ = names.draw(draw, object_type, shared)
    if subject_type == "PER" and draw.chance(0.3):
        subject = NP(draw.choice(draw.universe.nouns["person"]))
    elif object_type == "PER" and draw.chance(0.3):
        object_ = NP(draw.choice(draw.universe.nouns["person"]))
    place = None
    if draw.chance(0.65):
        place = (draw.choice(("in", "near")), names.draw(draw, "LOC"))
        if draw.chance(0.2):
            place = (place[0], NP(draw.choice(draw.universe.nouns["place"])))
    adverb = draw.choice(W.ADVERBS).split(":")[0] if draw.chance(0.25) else ""
    clause = Clause(subject, verb, object_, place, adverb)
    number = draw.random()
    form = "fronted" if number < 0.4 and place else "plain"
    return Utterance(clause, "passive" if number < 0.2 else form)
