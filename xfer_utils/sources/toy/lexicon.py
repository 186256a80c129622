"""Each language's words: cognates of English ones under regular sound changes, others coined."""

import random
from itertools import chain

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.world import Language, World


def concepts() -> list[str]:
    """Every concept that has a word of its own, in a fixed order; names are not among them."""
    opposites = [verbs for verbs, _, _ in W.VERBS]
    adjectives = W.ADJECTIVES["animate"] + W.ADJECTIVES["thing"]
    listed = [
        *W.FUNCTION, *W.KINDS, *chain(*W.NOUNS.values()), *W.apart(opposites), *W.ORDER_VERBS,
        *W.GIVING, *W.RESTING, *W.apart(adjectives), *W.apart(W.ADVERBS), *W.SYNONYMS.values(),
        *W.NOUN_VERB, *W.ADJECTIVE_NOUN, *W.ADJECTIVE_ADVERB,
        *chain(*W.NAME_PARTS.values()), *chain(*W.NAME_VERBS.values()),
    ]  # fmt: skip
    return list(dict.fromkeys(listed))


class Lexicon:
    """Words, suffixes and letters of one language.

    `roman` holds the words before they are put into its script; `loans` maps written cognates and
    names back to Latin letters.
    """

    def __init__(self, world: World, language: Language):
        self.language = language
        self._letters = str.maketrans(W.SCRIPTS["Latin"], W.SCRIPTS[language.script])
        self._random = random.Random(f"{world.seed}/{language.code}/lexicon")
        english = concepts()
        if language.code == "en":
            self.roman = {word: word for word in english}
            self.cognates = frozenset(english)
            plural, case = "s", ""
        else:
            self._consonants = "".join(self._random.sample("bdfghjklmnprstvz", 10))
            self._vowels = "".join(self._random.sample("aeiou", 4))
            shuffled = english[:]
            self._random.shuffle(shuffled)
            self.cognates = frozenset(shuffled[: round(language.cognate_share * len(english))])
            self.roman = self._words(english)
            plural, case = (self._pick(self._vowels) + self._pick("knrsz") for _ in range(2))
        self.forms = {concept: self.write(word) for concept, word in self.roman.items()}
        loans = [self.roman[word] for word in english if word in self.cognates] + W.NAMES
        latin = language.script == "Latin"
        self.loans = {} if latin else {self.write(word): word for word in loans}
        self.plural = self.write(plural) if language.number else ""
        self.case = self.write(case) if language.case else ""

    def _pick(self, letters: str) -> str:
        return self._random.choice(letters)

    def _words(self, english: list[str]) -> dict[str, str]:
        """Cognates and coined words, all different."""
        taken = {*english, *W.NAMES}
        words: dict[str, str] = {}
        used: set[str] = set()
        for concept in english:
            cognate = concept in self.cognates
            word = self._changed(concept) if cognate else self._coined(taken | used)
            words[concept] = word if word not in used else concept + self._vowels[0]
            used.add(words[concept])
        return words

    def _changed(self, word: str) -> str:
        """An English word under the sound changes of the language's family."""
        for old, new in W.SOUND_CHANGES.get(self.language.family, ()):
            word = word.replace(old, new)
        return word

    def _coined(self, taken: set[str]) -> str:
        while True:
            syllables = (self._consonants, self._vowels) * 2
            word = "".join(map(self._pick, syllables))
            word += self._pick(self._consonants) if self._random.random() < 0.5 else ""
            if word not in taken:
                return word

    def write(self, roman: str) -> str:
        """A romanised word in the letters of the language."""
        return roman.translate(self._letters)

    def name(self, word: str) -> str:
        """A word of a name: parts that mean something are translated, others transliterated."""
        return self.forms.get(word) or self.write(word)
