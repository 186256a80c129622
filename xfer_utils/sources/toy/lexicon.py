"""Each language's words: cognates of the English ones under regular sound changes, the rest made up."""

import random

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.world import Language, World


def _pairs(items: list[str]) -> list[str]:
    return [word for item in items for word in item.split(":")]


def concepts() -> list[str]:
    """Every concept that has a word of its own, in a fixed order; names are not among them."""
    listed = [
        *W.FUNCTION, *W.KINDS, *(n for nouns in W.NOUNS.values() for n in nouns),
        *_pairs([verb for verb, _, _ in W.VERBS]), *W.ORDER_VERBS, *W.GIVING, *W.RESTING,
        *_pairs(W.ADJECTIVES["animate"]), *_pairs(W.ADJECTIVES["thing"]), *_pairs(W.ADVERBS),
        *W.SYNONYMS.values(), *W.NOUN_VERB, *W.ADJECTIVE_NOUN, *W.ADJECTIVE_ADVERB,
        *(part for parts in W.NAME_PARTS.values() for part in parts),
        *(verb for verbs in W.NAME_VERBS.values() for verb in verbs),
    ]  # fmt: skip
    return list(dict.fromkeys(listed))


class Lexicon:
    """Words, suffixes and letters of one language.

    `roman` holds the words before they are put into its script; `loans` maps written cognates and names back to Latin.
    """

    def __init__(self, world: World, language: Language):
        self.language = language
        self._letters = str.maketrans(W.SCRIPTS["Latin"], W.SCRIPTS[language.script])
        self._random = random.Random(f"{world.seed}/{language.code}/lexicon")
        self.roman: dict[str, str] = {}
        english = concepts()
        if language.code == "en":
            self.roman = {word: word for word in english}
            self.cognates = frozenset(english)
            plural, case = "s", ""
        else:
            self._consonants = "".join(self._random.sample("bdfghjklmnprstvz", 10))
            self._vowels = "".join(self._random.sample("aeiou", 4))
            order = english[:]
            self._random.shuffle(order)
            self.cognates = frozenset(order[: round(language.cognate_share * len(order))])
            self._fill(english)
            plural, case = (self._syllable() + self._random.choice("knrsz") for _ in range(2))
        self.forms = {concept: self.write(word) for concept, word in self.roman.items()}
        loans = [self.roman[c] for c in english if c in self.cognates] + W.NAMES
        latin = language.script == "Latin"
        self.loans = {} if latin else {self.write(word): word for word in loans}
        self.plural = self.write(plural) if language.number else ""
        self.case = self.write(case) if language.case else ""

    def _fill(self, english: list[str]) -> None:
        taken = set(english) | set(W.NAMES)
        used: set[str] = set()
        for concept in english:
            word = self._changed(concept) if concept in self.cognates else self._coin(taken | used)
            if word in used:
                word = concept + self._vowels[0]
            self.roman[concept] = word
            used.add(word)

    def _changed(self, word: str) -> str:
        for old, new in W.SOUND_CHANGES.get(self.language.family, ()):
            word = word.replace(old, new)
        return word

    def _syllable(self) -> str:
        return self._random.choice(self._vowels)

    def _coin(self, taken: set[str]) -> str:
        pick = self._random.choice
        while True:
            word = (
                pick(self._consonants)
                + pick(self._vowels)
                + pick(self._consonants)
                + pick(self._vowels)
            )
            word += pick(self._consonants) if self._random.random() < 0.5 else ""
            if word not in taken:
                return word

    def write(self, roman: str) -> str:
        """A romanised word in the letters of the language."""
        return roman.translate(self._letters)

    def name(self, word: str) -> str:
        """A word of a name: the parts that mean something are translated, the rest only transliterated."""
        return self.forms.get(word) or self.write(word)
