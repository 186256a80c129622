"""English word lists of the toy world, the letters of its scripts and its families' sound changes.

A concept is named by its English word. Verbs stand in the past tense throughout, so that a verb has one form;
`a:b` marks words that exclude each other (a contradiction when both are said of the same thing).
"""

NOUNS: dict[str, list[str]] = {
    "person": "farmer baker teacher doctor sailor king queen hunter singer judge poet nurse miner priest merchant guard".split(),
    "animal": "dog cat horse cow goat pig hen lion bear donkey".split(),
    "food": "apple cake carrot cheese pie melon plum turnip".split(),
    "tool": "hammer lamp rope basket ladder kettle mirror drum".split(),
    "vehicle": "cart boat wagon ship train sled".split(),
    "place": "market forest kitchen harbor garden temple school castle stable mill".split(),
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
    "animate": "happy:sad brave:shy kind:cruel rich:poor strong:weak loud:calm".split(),
    "thing": "red:blue new:worn clean:dirty cheap:costly big:small wet:dry".split(),
}
ADVERBS = "quickly:slowly gladly:sadly today:yesterday often:rarely".split()
SYNONYMS = {
    "bought": "purchased", "repaired": "fixed", "helped": "aided", "chased": "pursued", "praised": "lauded",
    "big": "large", "happy": "merry", "rich": "wealthy", "doctor": "physician", "merchant": "trader",
    "boat": "vessel", "quickly": "rapidly",
}  # fmt: skip
# Words with two parts of speech: only the words around them tell which.
NOUN_VERB = "saw cut felt rose wound thought shed hit".split()
ADJECTIVE_NOUN = "light orange cold square chief".split()
ADJECTIVE_ADVERB = "fast late hard early".split()
FUNCTION = (
    "the a in near behind with by to never and then was is who what where which that because lived worked stood "
    "liked feared"
).split()
NAMES = (
    "adano moro tarvi belos karim dunes rivera sando lorin pavel miko zaran ostin velda gorham halin petra tomas "
    "irena jonas lukan sorel danvi erlan falk noria osman quill"
).split()
NAME_PARTS = {"ORG": "group bank union works".split(), "LOC": "north south upper lower".split()}
NAME_VERBS = {
    ("PER", "PER"): "married phoned visited".split(),
    ("PER", "ORG"): "joined founded visited".split(),
    ("ORG", "PER"): "hired promoted phoned".split(),
    ("ORG", "ORG"): "merged acquired phoned".split(),
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
