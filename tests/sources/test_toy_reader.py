"""A reader of the toy world that knows its words and dials, but none of the code that labels.

It takes sentences apart again: it looks words up, strips suffixes and finds who did what to whom.
Other tests use it to derive every label a second time.
"""

from typing import NamedTuple

import pytest

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.world import DEFAULT12, ENGLISH, Language, World

CANONICAL = {other: word for word, other in W.SYNONYMS.items()}
KIND = {noun: kind for kind, nouns in W.NOUNS.items() for noun in nouns}
ADJECTIVES = {a for pairs in W.ADJECTIVES.values() for pair in pairs for a in pair.split(":")}
ADVERBS = {a for pair in W.ADVERBS for a in pair.split(":")}
VERBS = {v for pair, _, _ in W.VERBS for v in pair.split(":")} | {
    *W.ORDER_VERBS,
    *W.GIVING,
    *W.RESTING,
}
VERBS |= {v for verbs in W.NAME_VERBS.values() for v in verbs} | {
    "lived",
    "worked",
    "stood",
    "liked",
    "feared",
}
ADPOSITIONS = {"in": "place", "near": "place", "behind": "place", "by": "agent", "to": "recipient"}
QUESTION_WORDS = {"who", "what", "where", "which"}


class Thing(NamedTuple):
    """What a noun phrase says."""

    head: str
    adjectives: frozenset[str] = frozenset()
    asked: bool = False
    tokens: tuple[int, ...] = ()


class Meaning(NamedTuple):
    """What a sentence says; `asked` is the role that it asks for."""

    verb: str
    roles: dict[str, Thing]
    adverb: str = ""
    negated: bool = False
    asked: str = ""

    def core(self) -> tuple[str, str, str]:
        """Subject, verb and object; the first of two opposite verbs stands for both."""
        first = {v: pair.split(":")[0] for pair, _, _ in W.VERBS for v in pair.split(":")}
        nouns = sorted(
            self.roles[role].head if role in self.roles else "" for role in ("subject", "object")
        )
        return nouns[0], first.get(self.verb, self.verb), nouns[1]


class Reader:
    """Reads one language."""

    def __init__(self, lexicon: Lexicon):
        self.dials: Language = lexicon.language
        self.word = {form: concept for concept, form in lexicon.forms.items()}
        self.names = {lexicon.write(name) for name in W.NAMES}
        self.suffixes = [
            s for s in (lexicon.plural + lexicon.case, lexicon.case, lexicon.plural) if s
        ]

    def look_up(self, token: str) -> str:
        """The concept of a token, any suffix aside; a name is 'NAME'."""
        if token == "an" and self.dials.code == "en":
            return "a"
        for suffix in ["", *self.suffixes]:
            stem = token.removesuffix(suffix) if suffix and token.endswith(suffix) else token
            if suffix and stem == token:
                continue
            if stem in self.word:
                return CANONICAL.get(self.word[stem], self.word[stem])
            if stem in self.names:
                return "NAME"
        raise AssertionError(f"{self.dials.code}: no such word {token!r}")

    def sentences(self, text: str) -> list[Meaning]:
        """The meanings of a text's sentences."""
        out, start = [], 0
        tokens = text.split()
        for end, token in enumerate(tokens):
            if token in ".?":
                out.append(self.read(tokens[start:end]))
                start = end + 1
        assert start == len(tokens), text
        return out

    def read(self, tokens: list[str]) -> Meaning:
        """The meaning of one simple sentence."""
        words = [self.look_up(token) for token in tokens]
        things = self._things(words)
        roles: dict[str, Thing] = {}
        for position, thing in things:
            role = self._marked(words, position, thing)
            if role is None:
                role = "subject" if "subject" not in roles else "object"
            roles[role] = thing
        if "was" in words:
            roles["object"] = roles.pop("subject")
            roles["subject"] = roles.pop("agent")
        verbs = [word for word in words if word in VERBS]
        assert len(verbs) == 1, (tokens, words)
        asked = "place" if "where" in words else next((r for r, t in roles.items() if t.asked), "")
        adverb = next((word for word in words if word in ADVERBS), "")
        return Meaning(verbs[0], roles, adverb, "never" in words, asked)

    def _things(self, words: list[str]) -> list[tuple[int, Thing]]:
        heads = [
            i
            for i, word in enumerate(words)
            if (word in KIND or word in W.KINDS or word in ("who", "what") or word == "NAME")
            and not (word == "NAME" and i and words[i - 1] == "NAME")
        ]
        things = []
        for i in heads:
            step = -1 if self.dials.adjective_order == "before" else 1
            j = i + step
            while 0 <= j < len(words) and words[j] in ADJECTIVES:
                j += step
            inside = range(j + 1, i + 1) if step < 0 else range(i, j)
            first = min(inside)
            first -= first > 0 and words[first - 1] in ("the", "a", "which")
            asked = words[i] in QUESTION_WORDS or words[first] == "which"
            adjectives = frozenset(words[k] for k in inside if words[k] in ADJECTIVES)
            things.append(
                (i, Thing(words[i], adjectives, asked, tuple(range(first, max(inside) + 1))))
            )
        return things

    def _marked(self, words: list[str], position: int, thing: Thing) -> str | None:
        before = self.dials.adposition == "pre"
        at = thing.tokens[0] - 1 if before else thing.tokens[-1] + 1
        return ADPOSITIONS.get(words[at]) if 0 <= at < len(words) else None


WORLD = World(seed=2)
READERS = {one.code: Reader(Lexicon(WORLD, one)) for one in (ENGLISH, *DEFAULT12)}


def test_reads_english() -> None:
    reader = READERS["en"]
    (one,) = reader.sentences("in the mill the large dog was never purchased by the sad king .")
    assert (one.verb, one.negated) == ("bought", True)
    assert one.roles["subject"][:2] == ("king", {"sad"}) and one.roles["object"][:2] == (
        "dog",
        {"big"},
    )
    assert one.roles["place"].head == "mill"
    (two,) = reader.sentences("which person fed the dog ?")
    assert two.asked == "subject" and two.roles["object"].head == "dog"


@pytest.mark.parametrize("code", ["qaa", "qbb", "qcb"])
def test_reads_what_was_glossed_by_hand(code: str) -> None:
    """'the sad king never fed the dog in the mill', put together from words and dials."""
    lexicon = Lexicon(WORLD, next(one for one in DEFAULT12 if one.code == code))
    dials, form = lexicon.language, lexicon.forms
    the = [form["the"]] if dials.determiners else []
    king = (
        [form["sad"], form["king"]]
        if dials.adjective_order == "before"
        else [form["king"], form["sad"]]
    )
    place = [*the, form["mill"]]
    place = [form["in"], *place] if dials.adposition == "pre" else [*place, form["in"]]
    subject, object_ = the + king, [*the, form["dog"] + lexicon.case]
    verb = [form["never"], form["fed"]]
    order = {
        "SVO": subject + verb + object_,
        "SOV": subject + object_ + verb,
        "VSO": verb + subject + object_,
    }
    one = Reader(lexicon).read(order[dials.word_order] + place)
    assert (one.verb, one.negated, one.roles["place"].head) == ("fed", True, "mill")
    assert one.roles["subject"][:2] == ("king", {"sad"}) and one.roles["object"].head == "dog"
