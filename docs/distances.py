"""Distances from English by URIEL+, for the parameter `distances` of notebooks 60 and 64.

    pip install urielplus==1.3.2 && python docs/distances.py outputs/uriel.csv

The data are CC BY-SA 4.0, so this script is here and its table is not. Only attested features
count, none is imputed: a distance over fewer than 20 features that both languages have is left
empty, and `shared_` columns say over how many each was taken.
"""

import csv
import sys
import warnings
from pathlib import Path

from urielplus.urielplus import URIELPlus

KINDS = ("syntactic", "phonological", "inventory", "genetic", "geographic", "featural")
LEAST = 20  # shared features; of a place and of a family tree every language has all
LANGUAGES = Path(__file__).parents[1] / "xfer_utils" / "study" / "languages.csv"
# ISO 639-3 of the 50 languages that go by ISO 639-1; the others' codes begin with theirs.
TWO = """af ar az bg bn de el en es et eu fa fi fr gu he hi ht hu id it ja jv ka kk ko lt ml mr ms
    my nl pa pl pt qu ro ru sw ta te th tl tr uk ur vi wo yo zh"""
THREE = """afr arb azj bul ben deu ell eng spa est eus pes fin fra guj heb hin hat hun ind ita jpn
    jav kat kaz kor lit mal mar zsm mya nld pan pol por quy ron rus swh tam tel tha tgl tur ukr
    urd vie wol yor cmn"""
ISO = dict(zip(TWO.split(), THREE.split(), strict=True))
ISO |= {"aym": "ayr", "nah": "nhw", "oto": "otz", "zho": "cmn"}  # one language of each group


def row(uriel: URIELPlus, code: str) -> dict[str, str | float | int]:
    """One language: each distance from English, and the features that it rests on."""
    prefix, found = code.split("-")[0], {"code": code}
    name = ISO.get(prefix, prefix)
    if name not in uriel.langs[0]:
        return found
    for kind in KINDS:
        vectors = uriel.get_vector(kind, "eng", name).values()
        shared = sum(a >= 0 and b >= 0 for a, b in zip(*vectors, strict=True))
        enough = shared >= LEAST or kind in ("genetic", "geographic")
        distance = uriel.new_distance(kind, ["eng", name]) if enough else ""
        found |= {f"uriel_{kind}_distance": distance, f"shared_{kind}": shared}
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with LANGUAGES.open(encoding="utf-8", newline="") as lines:
        table = csv.DictReader(line for line in lines if not line.startswith("#"))
        codes = [language["code"] for language in table]
    uriel = URIELPlus()
    rows = [row(uriel, code) for code in codes if code != "en"]
    names = ["code", *(name for k in KINDS for name in (f"uriel_{k}_distance", f"shared_{k}"))]
    with Path(sys.argv[1]).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
