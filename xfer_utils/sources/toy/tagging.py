"""Sentences for taggers: words of two parts of speech, and names of three types."""

import random

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.grammar import NP, Clause, Utterance
from xfer_utils.sources.toy.meaning import Universe


def varied(universe: Universe, rng: random.Random, pool: str, constructions: int) -> Utterance:
    """A sentence rich in words of two parts of speech; `constructions` (1-3) are its grammar."""
    clause = universe.event(rng, pool, adjectives=0.35, place=0.4, adverb=0.3)
    clause = clause._replace(
        subject=_ambiguous(rng, clause.subject, 0.4),
        object=_ambiguous(rng, clause.object, 0.45),
        verb=rng.choice(W.NOUN_VERB) if rng.random() < 0.55 else clause.verb,
        adverb=rng.choice(W.ADJECTIVE_ADVERB) if rng.random() < 0.2 else clause.adverb,
        negated=rng.random() < 0.15,
    )
    draw, subject, person = rng.random(), clause.subject, NP(rng.choice(universe.nouns["person"]))
    if constructions > 1 and draw < 0.12:
        clause = clause._replace(verb=rng.choice(W.RESTING + W.OPTIONAL_OBJECT), object=None)
    elif constructions > 1 and draw < 0.24:
        clause = clause._replace(verb=rng.choice(W.GIVING), recipient=person)
    elif constructions > 1 and draw < 0.4:
        tool = (rng.choice(("with", "near", "behind")), NP(rng.choice(universe.nouns["tool"])))
        clause = clause._replace(subject=subject._replace(of=tool))
    elif constructions > 2 and draw < 0.5:
        clause = clause._replace(subject=subject._replace(also=person))
    elif constructions > 2 and draw < 0.62:
        clause = clause._replace(subject=subject._replace(relative=universe.event(rng, pool, 0, 0)))
    forms = ["plain", "plain"] + ["fronted"] * bool(clause.place or clause.adverb)
    forms += ["passive"] * bool(clause.object and not clause.recipient)
    return Utterance(clause, rng.choice(forms))


def _ambiguous(rng: random.Random, np: NP, chance: float) -> NP:
    """The phrase with a noun or an adjective that could be another part of speech elsewhere."""
    plural = rng.random() < 0.25
    head = rng.choice(W.NOUN_VERB + W.ADJECTIVE_NOUN) if rng.random() < chance else np.head
    adjectives = np.adjectives
    if rng.random() < chance:
        adjectives = (rng.choice(W.ADJECTIVE_NOUN + W.ADJECTIVE_ADVERB),)
    return NP(head, "a" if not plural and rng.random() < 0.3 else "the", adjectives, plural)


class Names:
    """Names by type; most words name things of several types, and the sentence tells which."""

    def __init__(self, seed: int):
        rng = random.Random(f"{seed}/names")
        pool = W.NAMES[:]
        rng.shuffle(pool)
        self.sure = {"PER": pool[0:4], "ORG": pool[4:8], "LOC": pool[8:12]}
        self.any = pool[12:]

    def draw(self, rng: random.Random, entity: str, sure: bool = False) -> NP:
        """A name of a type; with `sure` one whose form shows its type."""
        word = rng.choice(self.sure[entity] if sure or rng.random() < 0.2 else self.any)
        if entity == "PER" and rng.random() < 0.4:
            word = f"{word} {rng.choice(self.any)}"
        elif entity == "ORG" and rng.random() < 0.4:
            word = f"{word} {rng.choice(W.NAME_PARTS['ORG'])}"
        elif entity == "LOC" and rng.random() < 0.4:
            word = f"{rng.choice(W.NAME_PARTS['LOC'])} {word}"
        return NP(word, "", entity=entity)


def named(universe: Universe, rng: random.Random, pool: str, names: Names) -> Utterance:
    """A sentence with names; a verb that takes several types only meets names of a sure type."""
    subject_type, object_type = rng.choice(sorted(W.NAME_VERBS))
    verb = rng.choice(W.NAME_VERBS[subject_type, object_type])
    shared = sum(verb in verbs for verbs in W.NAME_VERBS.values()) > 1
    subject = names.draw(rng, subject_type, shared)
    object_ = names.draw(rng, object_type, shared)
    if subject_type == "PER" and rng.random() < 0.3:
        subject = NP(rng.choice(universe.nouns["person"]))
    elif object_type == "PER" and rng.random() < 0.3:
        object_ = NP(rng.choice(universe.nouns["person"]))
    place = None
    if rng.random() < 0.65:
        place = (rng.choice(("in", "near")), names.draw(rng, "LOC"))
        if rng.random() < 0.2:
            place = (place[0], NP(rng.choice(universe.nouns["place"])))
    adverb = rng.choice(W.ADVERBS).split(":")[0] if rng.random() < 0.25 else ""
    clause = Clause(subject, verb, object_, place, adverb)
    draw = rng.random()
    form = "fronted" if draw < 0.4 and place else "plain"
    return Utterance(clause, "passive" if draw < 0.2 else form)
