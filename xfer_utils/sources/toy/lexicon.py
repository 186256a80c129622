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
    """Words, suffixes and letters of one language; `loans` maps written cognates to Latin ones."""

    def __init__(self, world: World, language: Language):
        self.language = language
        self._letters = str.maketrans(W.SCRIPTS["Latin"], W.SCRIPTS[language.script])
        self._random = random.Random(f"{world.seed}/{language.code}/lexicon")
        self._consonants = self._random.sample("bdfghjklmnprstvz", 10)
        self._vowels = self._random.sample("aeiou", 4)
        shuffled = CONCEPTS[:]
        self._random.shuffle(shuffled)
        cognates = shuffled[: round(language.cognate_share * len(CONCEPTS))]
        roman = self._words(cognates)
        pick = self._random.choice
        plural, case = (pick(self._vowels) + pick("knrsz") for _ in range(2))
        if language.code == "en":
            plural, case = "s", ""
        self.forms = {concept: self.write(word) for concept, word in roman.items()}
        loans = [] if language.script == "Latin" else [*map(roman.get, cognates), *W.NAMES]
        self.loans = {self.write(word): word for word in loans}
        self.plural = self.write(plural) if language.number else ""
        self.case = self.write(case) if language.case else ""

    def _words(self, cognates: list[str]) -> dict[str, str]:
        """Cognates and coined words, all different."""
        taken = {*CONCEPTS, *W.NAMES}
        words: dict[str, str] = {}
        changes = W.SOUND_CHANGES.get(self.language.family, ())  # English has none
        for concept in CONCEPTS:
            used = set(words.values())
            word = concept if concept in cognates else self._coined(taken | used)
            for old, new in changes if concept in cognates else ():
                word = word.replace(old, new)
            words[concept] = word if word not in used else concept + self._vowels[0]
        return words

    def _coined(self, taken: set[str]) -> str:
        pick = self._random.choice
        while True:
            word = "".join(map(pick, (self._consonants, self._vowels) * 2))
            word += pick(self._consonants) if self._random.random() < 0.5 else ""
            if word not in taken:
                return word

    def write(self, roman: str) -> str:
        """A romanised word in the letters of the language."""
        return roman.translate(self._letters)

    def name(self, word: str) -> str:
        """A word of a name: parts that mean something are translated, others transliterated."""
        return self.forms.get(word) or self.write(word)
