"""The word lists, scripts and sound changes of the toy world, read from words.yaml."""

from pathlib import Path

from xfer_utils.study import settings_file

_TABLE = settings_file.load(Path(__file__).with_name("words.yaml"))


def _lists(section: str) -> dict[str, list[str]]:
    return {name: text.split() for name, text in _TABLE[section].items()}


def apart(pairs: list[str]) -> list[str]:
    """The words of `a:b` items one by one."""
    return [word for pair in pairs for word in pair.split(":")]


NOUNS, ADJECTIVES, NAME_PARTS = map(_lists, ("nouns", "adjectives", "name_parts"))
KINDS = tuple(NOUNS)
ANIMATE = ("person", "animal")
VERBS: list[tuple[str, str, str]] = [(pair, *kinds) for pair, kinds in _TABLE["verbs"].items()]
ADVERBS, ORDER_VERBS, GIVING, RESTING, OPTIONAL_OBJECT = _lists("verbs and adverbs").values()
NOUN_VERB, ADJECTIVE_NOUN, ADJECTIVE_ADVERB = _lists("ambiguous").values()
FUNCTION, NAMES = _lists("others").values()
NAME_VERBS = {tuple(types.split()): verbs for types, verbs in _lists("name_verbs").items()}
SYNONYMS: dict[str, str] = _TABLE["synonyms"]
SCRIPTS: dict[str, str] = _TABLE["scripts"]
SOUND_CHANGES = {
    family: [change.split(">") for change in changes]
    for family, changes in _lists("sound_changes").items()
}
