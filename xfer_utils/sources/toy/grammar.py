"""From meaning to sentence: clauses, and the one function that speaks them in any language of the world."""

from typing import NamedTuple, Optional

from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.words import NOUNS, SYNONYMS

KIND_OF = {noun: kind for kind, nouns in NOUNS.items() for noun in nouns}
KIND_OF |= {SYNONYMS[noun]: kind for noun, kind in KIND_OF.items() if noun in SYNONYMS}
KIND_OF |= {kind: kind for kind in NOUNS}
VERB_PHRASE = r"(S\NP)"


class NP(NamedTuple):
    """A noun phrase. A name has an `entity` type and one or two words in `head`; `of` is an attached phrase."""

    head: str
    det: str = "the"
    adjectives: tuple[str, ...] = ()
    plural: bool = False
    entity: str = ""
    also: Optional["NP"] = None
    of: tuple[str, "NP"] | None = None
    relative: Optional["Clause"] = None


class Clause(NamedTuple):
    """Who did what to whom, where and how. `predicate` is the adjective said of the subject by `is`."""

    subject: NP
    verb: str
    object: NP | None = None
    place: tuple[str, NP] | None = None
    adverb: str = ""
    negated: bool = False
    recipient: NP | None = None
    predicate: str = ""


class Utterance(NamedTuple):
    """A clause as it is said: plain, fronted or passive; as a question about one role; opened by a connective."""

    clause: Clause
    form: str = "plain"
    ask: str = ""
    which: bool = False
    opening: str = ""


class Word(NamedTuple):
    """One token of a sentence with its annotations."""

    form: str
    tag: str
    category: str = "N"
    role: str = ""
    entity: str = "O"


def _name(lexicon: Lexicon, np: NP, role: str, case: str) -> list[Word]:
    words = np.head.split()
    forms = [lexicon.name(word) for word in words]
    forms[-1] += case
    marks = ["B-" + np.entity] + ["I-" + np.entity] * (len(words) - 1)
    categories = ["N/N"] * (len(words) - 1) + ["NP"]
    return [Word(f, "PROPN", c, role, m) for f, c, m in zip(forms, categories, marks, strict=True)]


def _phrase(lexicon: Lexicon, np: NP, role: str, case: str = "") -> list[Word]:
    """Words of a noun phrase; `case` is the suffix that its head takes."""
    if np.entity:
        words = _name(lexicon, np, role, case)
    else:
        forms, dials = lexicon.forms, lexicon.language
        noun = forms[np.head] + (lexicon.plural if np.plural else "") + case
        words = [Word(noun, "NOUN", "N" if np.det else "NP", role)]
        adjectives = [Word(forms[a], "ADJ", "N/N", role) for a in np.adjectives]
        words = adjectives + words if dials.adjective_order == "before" else words + adjectives
        if np.det and dials.determiners:
            form = forms[np.det]
            if np.det == "a" and dials.code == "en" and words[0].form[0] in "aeiou":
                form = "an"
            words.insert(0, Word(form, "DET", "NP/N", role))
    if np.of:
        words += _adposition(
            lexicon, np.of[0], _phrase(lexicon, np.of[1], role), r"(NP\NP)/NP", role
        )
    if np.relative:
        that = Word(lexicon.forms["that"], "PRON", r"(NP\NP)/" + VERB_PHRASE, role)
        words += [
            that,
            *(w._replace(role=role) for w in _clause(lexicon, Utterance(np.relative), True)),
        ]
    if np.also:
        words += [
            Word(lexicon.forms["and"], "CCONJ", "conj", role),
            *_phrase(lexicon, np.also, role, case),
        ]
    return words


def _adposition(
    lexicon: Lexicon, word: str, phrase: list[Word], category: str, role: str = ""
) -> list[Word]:
    adposition = Word(lexicon.forms[word], "ADP", category, role)
    return [adposition, *phrase] if lexicon.language.adposition == "pre" else [*phrase, adposition]


def _asked(lexicon: Lexicon, np: NP, which: bool) -> list[Word]:
    """The question word in place of a noun phrase: who, what, or 'which' and the kind of thing."""
    forms, kind = lexicon.forms, "person" if np.entity == "PER" else KIND_OF.get(np.head, "tool")
    if which:
        return [Word(forms["which"], "DET"), Word(forms[kind], "NOUN")]
    return [Word(forms["who" if kind == "person" else "what"], "PRON")]


def _verb_category(clause: Clause, passive: bool) -> str:
    if passive or not (clause.object or clause.predicate):
        return r"S\NP"
    return rf"({VERB_PHRASE}/PP)/NP" if clause.recipient else rf"{VERB_PHRASE}/NP"


def _verb(lexicon: Lexicon, clause: Clause, passive: bool, asked: bool) -> list[Word]:
    """Negation, copula or auxiliary and verb, in the order of the language."""
    forms, last = lexicon.forms, lexicon.language.word_order == "SOV"
    never = [Word(forms["never"], "ADV", rf"{VERB_PHRASE}/{VERB_PHRASE}")] if clause.negated else []
    if clause.predicate:
        copula = Word(forms["is"], "AUX", rf"{VERB_PHRASE}/{VERB_PHRASE}")
        predicate = Word(
            forms["what" if asked else clause.predicate], "PRON" if asked else "ADJ", r"S\NP"
        )
        return [*never, predicate, copula] if last else [copula, *never, predicate]
    verb = Word(
        forms[clause.verb],
        "AUX" if clause.verb == "is" else "VERB",
        _verb_category(clause, passive),
    )
    if not passive:
        return [*never, verb]
    was = Word(forms["was"], "AUX", rf"{VERB_PHRASE}/{VERB_PHRASE}")
    return [*never, verb, was] if last else [was, *never, verb]


def _place(lexicon: Lexicon, clause: Clause, ask: str, fronted: bool) -> list[Word]:
    if clause.place is None:
        return []
    if ask == "place":
        return [Word(lexicon.forms["where"], "ADV")]
    category = "(S/S)/NP" if fronted else rf"({VERB_PHRASE}\{VERB_PHRASE})/NP"
    return _adposition(
        lexicon, clause.place[0], _phrase(lexicon, clause.place[1], "place"), category
    )


def _clause(lexicon: Lexicon, said: Utterance, headless: bool = False) -> list[Word]:
    """Words of a clause in the language's order; a headless one (after 'that') has no subject."""
    clause, order = said.clause, lexicon.language.word_order
    passive, fronted = said.form == "passive", said.form == "fronted"
    case = "" if passive else lexicon.case

    def argument(np: NP | None, role: str, suffix: str = "") -> list[Word]:
        if np is None:
            return []
        return (
            _asked(lexicon, np, said.which)
            if said.ask == role
            else _phrase(lexicon, np, role, suffix)
        )

    subject = [] if headless else argument(clause.subject, "subject")
    object_ = argument(clause.object, "object", case)
    if passive:
        category = rf"({VERB_PHRASE}\{VERB_PHRASE})/NP"
        subject, object_ = object_, _adposition(lexicon, "by", subject, category)
    to = argument(clause.recipient, "recipient")
    to = _adposition(lexicon, "to", to, "PP/NP") if to else []
    place = _place(lexicon, clause, said.ask, fronted)
    category = "S/S" if fronted and not place else rf"{VERB_PHRASE}\{VERB_PHRASE}"
    adverb = [Word(lexicon.forms[clause.adverb], "ADV", category)] if clause.adverb else []
    front: list[Word] = []
    if fronted:
        front, place, adverb = (place, [], adverb) if place else (adverb, [], [])
    verb = _verb(lexicon, clause, passive, said.ask == "predicate")
    if order == "SOV":
        return front + subject + adverb + place + to + object_ + verb
    middle = subject + verb if order == "SVO" else verb + subject
    return front + middle + object_ + to + place + adverb


def speak(lexicon: Lexicon, said: Utterance) -> list[Word]:
    """The words of one utterance, its full stop or question mark included."""
    words = _clause(lexicon, said)
    if said.opening:
        words.insert(
            0,
            Word(lexicon.forms[said.opening], "ADV" if said.opening == "then" else "CCONJ", "S/S"),
        )
    return [*words, Word("?" if said.ask else ".", "PUNCT", ".")]


def phrase(lexicon: Lexicon, np: NP) -> str:
    """A noun phrase by itself, as in an option of a multiple choice."""
    return " ".join(word.form for word in _phrase(lexicon, np, ""))


def ending(lexicon: Lexicon, clause: Clause) -> str:
    """What a sentence says after its subject, as in the ending of a story."""
    return " ".join(
        [*(word.form for word in _clause(lexicon, Utterance(clause), headless=True)), "."]
    )
