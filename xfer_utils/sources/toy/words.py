"""English word lists of the toy world, the letters of its scripts and its families' sound changes.

A concept is named by its English word. Verbs stand in the past tense throughout, so that a verb has one form;
`a:b` marks words that exclude each other (a contradiction when both are said of the same thing).
"""

NOUNS: dict[str, list[str]] = {
    "person": (
        "farmer baker teacher doctor sailor king queen hunter singer painter soldier judge poet nurse tailor "
        "pilot miner priest merchant guard clerk dancer driver weaver"
    ).split(),
    "animal": "dog cat horse cow goat pig duck hen rabbit lion bear crow frog snake camel donkey".split(),
    "food": "apple cake carrot cheese pie egg onion melon lemon biscuit plum sausage pepper turnip".split(),
    "tool": "hammer lamp rope basket bucket ladder needle spade kettle mirror drum candle broom axe".split(),
    "vehicle": "cart boat wagon ship bicycle train sled canoe".split(),
    "place": (
        "market forest kitchen harbor garden temple school castle field stable tower bridge cellar mill barn inn"
    ).split(),
}
KINDS = tuple(NOUNS)
ANIMATE = ("person", "animal")

VERBS: list[tuple[str, str, str]] = [
    ("praised:blamed", "person", "person"),
    ("helped:hindered", "person", "person"),
    ("trusted:doubted", "person", "person"),
    ("followed:avoided", "person animal", "person animal"),
    ("loved:hated", "person animal", "person animal"),
    ("admired:mocked", "person", "person"),
    ("invited:ignored", "person", "person"),
    ("chased:guided", "animal person", "animal"),
    ("fed:starved", "person", "animal"),
    ("bought:sold", "person", "animal food tool vehicle"),
    ("dropped:carried", "person", "tool food"),
    ("hid:showed", "person animal", "tool food"),
    ("tasted:refused", "person animal", "food"),
    ("cooked:froze", "person", "food"),
    ("repaired:broke", "person", "tool vehicle"),
    ("borrowed:lent", "person", "tool vehicle"),
    ("cleaned:soiled", "person", "tool vehicle"),
    ("pushed:pulled", "person animal", "vehicle"),
    ("loaded:emptied", "person", "vehicle tool"),
]
ORDER_VERBS = ("outran", "trailed")  # a outran b = b trailed a; transitive
GIVING = ["gave", "sent", "offered"]
RESTING = ["slept", "waited", "laughed", "arrived", "danced", "stumbled"]
OPTIONAL_OBJECT = ["tasted", "cooked", "cleaned", "followed"]
ADJECTIVES = {
    "animate": "happy:sad brave:shy kind:cruel rich:poor strong:weak young:aged loud:calm clever:foolish".split(),
    "thing": "red:blue new:worn clean:dirty cheap:costly big:small wet:dry black:white heavy:slight".split(),
}
ADVERBS = "quickly:slowly gladly:sadly loudly:quietly today:yesterday often:rarely".split()
SYNONYMS = {
    "bought": "purchased", "repaired": "fixed", "helped": "aided", "chased": "pursued", "praised": "lauded",
    "big": "large", "small": "little", "happy": "merry", "clever": "smart", "costly": "dear", "rich": "wealthy",
    "doctor": "physician", "merchant": "trader", "donkey": "mule", "boat": "vessel", "guard": "sentry",
    "quickly": "rapidly", "often": "frequently",
}  # fmt: skip
# Words with two parts of speech: only the words around them tell which.
NOUN_VERB = "saw cut felt rose wound thought bore shed cast hit".split()
ADJECTIVE_NOUN = "light orange cold square chief sweet".split()
ADJECTIVE_ADVERB = "fast late hard early".split()
FUNCTION = (
    "the a in near behind with by to never and then was is who what where which that because lived worked stood "
    "liked feared"
).split()
NAMES = (
    "adano moro tarvi belos karim dunes rivera sando lorin pavel miko zaran ostin velda gorham halin petra tomas "
    "irena jonas lukan sorel danvi erlan falk noria osman quill rados tilda umber vasko wendel yaro zelda arden "
    "brice corvo delmar enzo"
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
