"""Each language's words: cognates of English ones under regular sound changes, others coined."""

import random
from itertools import chain

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.world import Language, World

CONCEPTS = list(dict.fromkeys([
    *W.FUNCTION, *W.KINDS, *chain(*W.NOUNS.values()), *W.apart([verbs for verbs, _, _ in W.VERBS]),
    *W.ORDER_VERBS, *W.GIVING, *W.RESTING, *W.apart([*chain(*W.ADJECTIVES.values())]),
    *W.apart(W.ADVERBS), *W.SYNONYMS.values(), *W.NOUN_VERB, *W.ADJECTIVE_NOUN,
    *W.ADJECTIVE_ADVERB, *chain(*W.NAME_PARTS.values()), *chain(*W.NAME_VERBS.values()),
]))  # fmt: skip


class Lexicon:
    """Words, suffixes and letters of one language.

    `roman` holds the words before they are put into its script; `loans` maps written cognates and
    names back to Latin letters.
    """

    def __init__(self, world: World, language: Language):
        self.language = language
        self._letters = str.maketrans(W.SCRIPTS["Latin"], W.SCRIPTS[language.script])
        self._random = random.Random(f"{world.seed}/{language.code}/lexicon")
        if language.code == "en":
            self.roman, self.cognates = {word: word for word in CONCEPTS}, frozenset(CONCEPTS)
            plural, case = "s", ""
        else:
            self._consonants = "".join(self._random.sample("bdfghjklmnprstvz", 10))
            self._vowels = "".join(self._random.sample("aeiou", 4))
            shuffled = CONCEPTS[:]
            self._random.shuffle(shuffled)
            self.cognates = frozenset(shuffled[: round(language.cognate_share * len(CONCEPTS))])
            self.roman = self._words()
            plural, case = (self._pick(self._vowels) + self._pick("knrsz") for _ in range(2))
        self.forms = {concept: self.write(word) for concept, word in self.roman.items()}
        loans = [self.roman[word] for word in CONCEPTS if word in self.cognates] + W.NAMES
        latin = language.script == "Latin"
        self.loans = {} if latin else {self.write(word): word for word in loans}
        self.plural = self.write(plural) if language.number else ""
        self.case = self.write(case) if language.case else ""

    def _pick(self, letters: str) -> str:
        return self._random.choice(letters)

    def _words(self) -> dict[str, str]:
        """Cognates and coined words, all different."""
        taken = {*CONCEPTS, *W.NAMES}
        words: dict[str, str] = {}
        for concept in CONCEPTS:
            used = set(words.values())
            cognate = concept in self.cognates
            word = self._changed(concept) if cognate else self._coined(taken | used)
            words[concept] = word if word not in used else concept + self._vowels[0]
        return words

    def _changed(self, word: str) -> str:
        for old, new in W.SOUND_CHANGES[self.language.family]:
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
