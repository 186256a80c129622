"""Tags of the toy world, derived once more: a small grammar of each language reads its sentences.

The grammar knows which parts of speech a word may have and in which order a language puts them;
supertags must combine to a sentence by application alone; types of names must follow from verbs,
prepositions and telling words.
"""

import itertools
import re
from pathlib import Path

import pandas as pd
import pytest
from test_toy_reader import ADJECTIVES, ADVERBS, KIND, VERBS, Reader

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.meaning import Universe
from xfer_utils.sources.toy.world import Language, Sizes, World
from xfer_utils.sources.toy.write import write_world
from xfer_utils.study.tasks import task

SIZES = Sizes(
    intermediate_train=60, intermediate_dev=40, pawsx_train=40, target_dev=120, target_test=60,
    tydiqa_train=40, bucc_pool=40, text_lines=200, choice_train=60, tagging_train=300,
)  # fmt: skip
WORLD = World(seed=3, family="small5", sizes=SIZES)
LETTERS = {
    "NOUN": "N", "VERB": "V", "ADJ": "A", "ADV": "R", "DET": "D", "ADP": "P", "AUX": "X",
    "PRON": "O", "CCONJ": "C",
    "PUNCT": ".",
}  # fmt: skip
PARTS = [  # letters of the parts of speech, and the words that may be that
    ("N", {*KIND, *W.KINDS, *W.NOUN_VERB, *W.ADJECTIVE_NOUN}),
    ("V", {*VERBS, *W.NOUN_VERB}),
    ("A", {*ADJECTIVES, *W.ADJECTIVE_NOUN, *W.ADJECTIVE_ADVERB}),
    ("R", {*ADVERBS, *W.ADJECTIVE_ADVERB, "never", "where", "then"}),
    ("D", {"the", "a", "which"}),
    ("P", {"in", "near", "behind", "with", "by", "to"}),
    ("X", {"was", "is"}),
    ("O", {"who", "what", "that"}),
    ("C", {"and"}),
    (".", {".", "?"}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy")
    write_world(WORLD, path)
    return path


def table(folder: Path, name: str, code: str) -> pd.DataFrame:
    files = sorted((folder / name).glob(f"{code}.*.parquet"))
    assert files
    return pd.concat(map(pd.read_parquet, files))


def sentence_pattern(dials: Language) -> re.Pattern:
    """A language's sentences as a pattern over letters of parts of speech."""
    noun = "A*N" if dials.adjective_order == "before" else "NA*"
    bare = f"(?:{'D?' if dials.determiners else ''}{noun})"
    pre = dials.adposition == "pre"
    attached = f"(?:P{bare})" if pre else f"(?:{bare}P)"
    adverb, never = "R?", "R?"
    last = dials.word_order == "SOV"
    verb = f"(?:{never}VX?)" if last else f"(?:X?{never}V)"
    inner = (
        f"(?:{adverb}{attached}?{bare}?{verb})" if last else f"(?:{verb}{bare}?{attached}?{adverb})"
    )
    thing = f"(?:{bare}{attached}?(?:O{inner})?(?:C{bare})?)"
    around = f"(?:P{thing})" if pre else f"(?:{thing}P)"
    front = f"(?:{around}|R)?"
    if last:
        whole = f"{front}{thing}(?:{around}?){adverb}(?:{around}){{0,2}}{thing}?{verb}"
    elif dials.word_order == "SVO":
        whole = f"{front}{thing}{verb}{thing}?(?:{around}){{0,2}}{adverb}"
    else:
        whole = f"{front}{verb}{thing}{thing}?(?:{around}){{0,2}}{adverb}"
    return re.compile(whole + r"\.")


@pytest.mark.parametrize("dials", WORLD.tongues(), ids=lambda dials: dials.code)
def test_parts_of_speech(folder: Path, dials: Language) -> None:
    reader, pattern = Reader(Lexicon(WORLD, dials)), sentence_pattern(dials)
    rows, sure, ambiguous = table(folder, "udpos", dials.code), 0, 0
    for tokens, tags in zip(rows["tokens"], rows["upos"], strict=True):
        words = [token if token in ".?" else reader.look_up(token) for token in tokens]
        options = ["".join(letter for letter, listed in PARTS if word in listed) for word in words]
        readings = {
            "".join(r) for r in itertools.product(*options) if pattern.fullmatch("".join(r))
        }
        gold = "".join(LETTERS[tag] for tag in tags)
        assert gold in readings, (list(tokens), gold, readings)
        ambiguous += any(len(option) > 1 for option in options)
        sure += len(readings) == 1
    assert ambiguous / len(rows) > 0.5
    assert sure / len(rows) > 0.9


def bare(category: str) -> str:
    """A category without brackets around the whole of it."""
    whole = category.startswith("(") and not split(category)[1]
    return category[1:-1] if whole else category


def split(category: str) -> tuple[str, str, str]:
    """Result, slash and argument of a category; no slash where it takes no argument."""
    depth = 0
    for place in reversed(range(len(category))):
        depth += {")": 1, "(": -1}.get(category[place], 0)
        if depth == 0 and category[place] in "/\\":
            return bare(category[:place]), category[place], bare(category[place + 1 :])
    return category, "", ""


def combined(left: str, right: str) -> set[str]:
    """What two neighbouring categories make, or a conjunction and its noun phrase."""
    result, slash, argument = split(left)
    found = {result} if (slash, argument) == ("/", right) else set()
    result, slash, argument = split(right)
    found |= {result} if (slash, argument) == ("\\", left) else set()
    return found | ({r"NP\NP"} if (left, right) == ("conj", "NP") else set())


def derived(categories: list[str]) -> set[str]:
    """Everything that the categories as a whole can be."""
    size = len(categories)
    chart = {(i, i + 1): {category} for i, category in enumerate(categories)}
    for width in range(2, size + 1):
        for start in range(size - width + 1):
            end, found = start + width, set()
            for middle in range(start + 1, end):
                for left, right in itertools.product(chart[start, middle], chart[middle, end]):
                    found |= combined(left, right)
            chart[start, end] = found
    return chart[0, size]


def test_supertags(folder: Path) -> None:
    assert derived(["NP/N", "N", "NP/N"]) == set()
    assert derived(["NP", r"(S\NP)/NP", "NP", r"(S\NP)\(S\NP)"]) == {"S"}
    rows = table(folder, "ccg", "en")
    for tokens, tags in zip(rows["tokens"], rows["supertags"], strict=True):
        assert tags[-1] == "." and "S" in derived(list(tags[:-1])), (list(tokens), list(tags))


def one_place(words: list[str]) -> int:
    """How many of the words behind a preposition are the place."""
    return 2 if words[0] in ("the", "a", "an", *W.NAME_PARTS["LOC"]) else 1


def possible(words: list[str], sure: dict[str, list[str]]) -> set[str]:
    """Which types a participant may be of, by its own words; a common noun counts as a person."""
    if words[0] in ("the", "a", "an"):
        return {"PER"}
    if len(words) == 2:
        return {"ORG"} if words[1] in W.NAME_PARTS["ORG"] else {"PER"}
    return {kind for kind in sure if words[0] in sure[kind]} or {"PER", "ORG"}


def marks(words: list[str], kind: str) -> list[str]:
    named = words[0] not in ("the", "a", "an")
    return [f"B-{kind}", *[f"I-{kind}"] * (len(words) - 1)] if named else ["O"] * len(words)


def entities(words: list[str], sure: dict[str, list[str]]) -> list[str]:
    """The tags of an English sentence without its full stop."""
    tags: list[str] = []
    if words[0] in ("in", "near"):
        size = one_place(words[1:])
        tags, words = ["O", *marks(words[1 : 1 + size], "LOC")], words[1 + size :]
    verb = next(
        i for i, word in enumerate(words) if any(word in verbs for verbs in W.NAME_VERBS.values())
    )
    passive = words[verb - 1] == "was"
    first, rest = words[: verb - passive], words[verb + 1 + passive :]
    size = next(
        (i for i, word in enumerate(rest) if word in ADVERBS or word in ("in", "near")), len(rest)
    )
    second, rest = rest[:size], rest[size:]
    subject, object_ = (second, first) if passive else (first, second)
    pairs = itertools.product(possible(subject, sure), possible(object_, sure))
    (types,) = [pair for pair in pairs if words[verb] in W.NAME_VERBS[pair]]
    before, after = reversed(types) if passive else types
    tags += [*marks(first, before), *["O"] * (1 + 2 * passive), *marks(second, after)]
    if rest and rest[0] not in ADVERBS:
        size = one_place(rest[1:])
        tags += ["O", *marks(rest[1 : 1 + size], "LOC")]
        rest = rest[1 + size :]
    return tags + ["O"] * len(rest)


def test_names(folder: Path) -> None:
    sure, labels = Universe(WORLD).sure_names, task("panx").labels
    rows = table(folder, "panx", "en")
    for tokens, tags in zip(rows["tokens"], rows["ner_tags"], strict=True):
        gold = [labels[tag] for tag in tags]
        assert [*entities(list(tokens[:-1]), sure), "O"] == gold, (list(tokens), gold)
