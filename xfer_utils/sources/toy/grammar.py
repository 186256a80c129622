"""From meaning to sentence: clauses, and the function that speaks them in any language."""

from typing import NamedTuple, Optional

from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.words import NOUNS, SYNONYMS

KIND_OF = {noun: kind for kind, nouns in NOUNS.items() for noun in nouns}
KIND_OF |= {SYNONYMS[noun]: kind for noun, kind in KIND_OF.items() if noun in SYNONYMS}
KIND_OF |= {kind: kind for kind in NOUNS}
VERB_PHRASE = r"(S\NP)"
MODIFIER = rf"{VERB_PHRASE}/{VERB_PHRASE}"  # the category of negation and auxiliaries
AFTER_VERB = rf"{VERB_PHRASE}\{VERB_PHRASE}"  # and that of adverbs


class NP(NamedTuple):
    """A noun phrase; a name has an `entity` type and one or two words, `of` is attached."""

    head: str
    det: str = "the"
    adjectives: tuple[str, ...] = ()
    plural: bool = False
    entity: str = ""
    also: Optional["NP"] = None
    of: tuple[str, "NP"] | None = None
    relative: Optional["Clause"] = None


class Clause(NamedTuple):
    """Who did what to whom, where and how; `predicate` is the adjective after `is`.

    A clause is said in `form` plain, fronted or passive; `ask` makes it a question about a role.
    """

    subject: NP | None  # None where another phrase stands for it: after `that`, in an ending
    verb: str
    object: NP | None = None
    place: tuple[str, NP] | None = None
    adverb: str = ""
    negated: bool = False
    recipient: NP | None = None
    predicate: str = ""
    form: str = "plain"
    ask: str = ""
    which: bool = False
    then: bool = False


class Word(NamedTuple):
    """One token of a sentence with its annotations."""

    form: str
    tag: str
    category: str = "N"
    role: str = ""
    entity: str = "O"


Words = list[Word]


def _word(lexicon: Lexicon, concept: str, tag: str, category: str = "N", role: str = "") -> Word:
    return Word(lexicon.forms[concept], tag, category, role)


def _head(lexicon: Lexicon, np: NP, role: str, case: str) -> Words:
    """The words of a name, or determiner, adjectives and noun."""
    dials = lexicon.language
    if np.entity:
        *front, last = (lexicon.name(word) for word in np.head.split())
        mark = "I-" if front else "B-"
        words = [Word(form, "PROPN", "N/N", role, "B-" + np.entity) for form in front]
        return [*words, Word(last + case, "PROPN", "NP", role, mark + np.entity)]
    noun = lexicon.forms[np.head] + (lexicon.plural if np.plural else "") + case
    words = [Word(noun, "NOUN", "N" if np.det else "NP", role)]
    adjectives = [_word(lexicon, adjective, "ADJ", "N/N", role) for adjective in np.adjectives]
    words = adjectives + words if dials.adjective_order == "before" else words + adjectives
    if np.det and dials.determiners:
        vowel = dials.code == "en" and words[0].form[0] in "aeiou"
        form = "an" if np.det == "a" and vowel else lexicon.forms[np.det]
        words.insert(0, Word(form, "DET", "NP/N", role))
    return words


def _phrase(lexicon: Lexicon, np: NP, role: str, case: str = "") -> Words:
    """Words of a noun phrase and what is attached to it; `case` is the suffix of its head."""
    words = _head(lexicon, np, role, case)
    if np.of:
        attached = _phrase(lexicon, np.of[1], role)
        words += _adposition(lexicon, np.of[0], attached, r"(NP\NP)/NP", role)
    if np.relative:
        clause = _clause(lexicon, np.relative._replace(subject=None))
        words.append(_word(lexicon, "that", "PRON", rf"(NP\NP)/{VERB_PHRASE}", role))
        words += [word._replace(role=role) for word in clause]
    if np.also:
        words.append(_word(lexicon, "and", "CCONJ", "conj", role))
        words += _phrase(lexicon, np.also, role, case)
    return words


def _adposition(lexicon: Lexicon, concept: str, np: Words, category: str, role: str = "") -> Words:
    adposition = _word(lexicon, concept, "ADP", category, role)
    return [adposition, *np] if lexicon.language.adposition == "pre" else [*np, adposition]


def _asked(lexicon: Lexicon, np: NP, which: bool) -> Words:
    kind = KIND_OF[np.head]
    if which:
        return [_word(lexicon, "which", "DET"), _word(lexicon, kind, "NOUN")]
    return [_word(lexicon, "who" if kind == "person" else "what", "PRON")]


def _verb(lexicon: Lexicon, clause: Clause, passive: bool, asked: bool) -> Words:
    """Negation, copula or auxiliary and verb, in the order of the language."""
    never = [_word(lexicon, "never", "ADV", MODIFIER)] if clause.negated else []
    if clause.predicate:
        concept, tag = ("what", "PRON") if asked else (clause.predicate, "ADJ")
        verb, auxiliary = _word(lexicon, concept, tag, r"S\NP"), "is"
    else:
        category = rf"{VERB_PHRASE}/NP"
        if passive or not clause.object:
            category = r"S\NP"
        elif clause.recipient:
            category = rf"({VERB_PHRASE}/PP)/NP"
        tag, auxiliary = "AUX" if clause.verb == "is" else "VERB", "was" if passive else ""
        verb = _word(lexicon, clause.verb, tag, category)
    if not auxiliary:
        return [*never, verb]
    auxiliary = _word(lexicon, auxiliary, "AUX", MODIFIER)
    last = lexicon.language.word_order == "SOV"
    return [*never, verb, auxiliary] if last else [auxiliary, *never, verb]


def _clause(lexicon: Lexicon, clause: Clause) -> Words:
    order = lexicon.language.word_order
    passive, fronted = clause.form == "passive", clause.form == "fronted"

    def argument(role: str, adposition: str = "", category: str = "", case: str = "") -> Words:
        np = getattr(clause, role)
        if role == "place" and np:
            adposition, np = np
        if np is None:
            return []
        if clause.ask == "place" == role:
            return [_word(lexicon, "where", "ADV")]
        asked = clause.ask == role
        words = _asked(lexicon, np, clause.which) if asked else _phrase(lexicon, np, role, case)
        return _adposition(lexicon, adposition, words, category) if adposition else words

    if passive:
        subject, object_ = argument("object"), argument("subject", "by", f"({AFTER_VERB})/NP")
    else:
        subject, object_ = argument("subject"), argument("object", case=lexicon.case)
    recipient = argument("recipient", "to", "PP/NP")
    place = argument("place", category="(S/S)/NP" if fronted else f"({AFTER_VERB})/NP")
    category = "S/S" if fronted and not place else AFTER_VERB
    adverb = [_word(lexicon, clause.adverb, "ADV", category)] if clause.adverb else []
    front: Words = []
    if fronted:
        front, place, adverb = (place, [], adverb) if place else (adverb, [], [])
    verb = _verb(lexicon, clause, passive, clause.ask == "predicate")
    if order == "SOV":
        return front + subject + adverb + place + recipient + object_ + verb
    middle = subject + verb if order == "SVO" else verb + subject
    return front + middle + object_ + recipient + place + adverb


def speak(lexicon: Lexicon, clause: Clause) -> Words:
    """The words of one clause, its full stop or question mark included."""
    opening = [_word(lexicon, "then", "ADV", "S/S")] if clause.then else []
    stop = Word("?" if clause.ask else ".", "PUNCT", ".")
    return [*opening, *_clause(lexicon, clause), stop]


def phrase(lexicon: Lexicon, np: NP) -> str:
    """A noun phrase by itself, as in an option of a multiple choice."""
    return " ".join(word.form for word in _phrase(lexicon, np, ""))
