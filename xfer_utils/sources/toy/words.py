"""English word lists of the toy world, the letters of its scripts and its families' sound changes.

A concept is named by its English word. Verbs are in the past tense, so that each has one form;
`a:b` marks words that exclude each other (a contradiction when both are said of the same thing).
"""


def _w(listed: str) -> list[str]:
    return listed.split()


def apart(pairs: list[str]) -> list[str]:
    """The words of `a:b` items one by one."""
    return [word for pair in pairs for word in pair.split(":")]


NOUNS: dict[str, list[str]] = {
    "person": _w(
        "farmer baker teacher doctor sailor king queen hunter singer judge poet nurse miner priest "
        "merchant guard"
    ),
    "animal": _w("dog cat horse cow goat pig hen lion bear donkey"),
    "food": _w("apple cake carrot cheese pie melon plum turnip"),
    "tool": _w("hammer lamp rope basket ladder kettle mirror drum"),
    "vehicle": _w("cart boat wagon ship train sled"),
    "place": _w("market forest kitchen harbor garden temple school castle stable mill"),
}
KINDS = tuple(NOUNS)
ANIMATE = ("person", "animal")

VERBS: list[tuple[str, str, str]] = [  # with the kinds of their subjects and objects
    ("praised:blamed", "person", "person"),
    ("loved:hated", "person animal", "person animal"),
    ("chased:guided", "person animal", "animal"),
    ("bought:sold", "person", "animal food tool vehicle"),
    ("dropped:carried", "person", "tool food"),
    ("tasted:refused", "person animal", "food"),
    ("repaired:broke", "person", "tool vehicle"),
    ("pushed:pulled", "person animal", "vehicle"),
    ("helped:hindered", "person", "person"),
    ("followed:avoided", "person animal", "person animal"),
    ("cleaned:soiled", "person", "tool vehicle"),
    ("fed:starved", "person", "animal"),
]
ORDER_VERBS = ("outran", "trailed")  # a outran b = b trailed a; transitive
GIVING = ["gave", "sent", "offered"]
RESTING = ["slept", "waited", "laughed", "arrived"]
OPTIONAL_OBJECT = ["tasted", "cleaned", "followed"]
ADJECTIVES = {
    "animate": _w("happy:sad brave:shy kind:cruel rich:poor strong:weak loud:calm"),
    "thing": _w("red:blue new:worn clean:dirty cheap:costly big:small wet:dry"),
}
ADVERBS = _w("quickly:slowly gladly:sadly today:yesterday often:rarely")
SYNONYMS = {
    "bought": "purchased", "repaired": "fixed", "helped": "aided", "chased": "pursued",
    "praised": "lauded", "big": "large", "happy": "merry", "rich": "wealthy",
    "doctor": "physician", "merchant": "trader", "boat": "vessel", "quickly": "rapidly",
}  # fmt: skip
# Words with two parts of speech: only the words around them tell which.
NOUN_VERB = _w("saw cut felt rose wound thought shed hit")
ADJECTIVE_NOUN = _w("light orange cold square chief")
ADJECTIVE_ADVERB = _w("fast late hard early")
FUNCTION = _w(
    "the a in near behind with by to never and then was is who what where which that because lived "
    "worked stood liked feared"
)
NAMES = _w(
    "adano moro tarvi belos karim dunes rivera sando lorin pavel miko zaran ostin velda gorham "
    "halin petra tomas irena jonas lukan sorel danvi erlan falk noria osman quill"
)
NAME_PARTS = {"ORG": _w("group bank union works"), "LOC": _w("north south upper lower")}
NAME_VERBS = {
    ("PER", "PER"): _w("married phoned visited"),
    ("PER", "ORG"): _w("joined founded visited"),
    ("ORG", "PER"): _w("hired promoted phoned"),
    ("ORG", "ORG"): _w("merged acquired phoned"),
}

SCRIPTS = {
    "Latin": "abcdefghijklmnopqrstuvwxyz",
    "Cyrillic": "абцдефгхийклмнопщрстувшжыз",
    "Georgian": "აბცდეფგჰიჯკლმნოპქრსტუვწხყზ",
    "Armenian": "աբցդեֆգհիջկլմնոպքրստուվղխյզ".replace("ու", "ւ"),
}
SOUND_CHANGES: dict[str, tuple[tuple[str, str], ...]] = {
    "Avian": (("ck", "k"), ("sh", "s")),
    "Borean": (("w", "v"), ("ck", "k"), ("th", "t")),
    "Corvan": (("w", "v"), ("sh", "s"), ("oo", "u"), ("ly", "li")),
    "Dorian": (("w", "v"), ("ee", "i"), ("ed", "et"), ("th", "d")),
}
