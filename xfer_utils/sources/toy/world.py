"""The dials of a toy world: its languages, its sizes, and the features that follow from them."""

import csv
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, model_validator

VERSION = 2  # raised by hand when the same World gives other files
MOST = 10**5  # rows of a split, and lines of text: writing them takes minutes
GRAMMAR = ("word_order", "adjective_order", "adposition", "determiners", "case", "number")


class Language(BaseModel, extra="forbid", frozen=True):
    """The dials of one language. English is the language all distances are measured from."""

    code: str = Field(pattern=r"^(en|q[a-t][a-z])$")
    name: str
    family: Literal[
        "English", "Avian", "Borean", "Corvan", "Dorian",
        "Elvan", "Faric", "Gorian", "Helvan", "Ithan", "Jorvan",
    ]  # fmt: skip
    word_order: Literal["SVO", "SOV", "VSO"] = "SVO"
    adjective_order: Literal["before", "after"] = "before"
    adposition: Literal["pre", "post"] = "pre"
    determiners: bool = True
    case: bool = False
    number: bool = True
    script: Literal["Latin", "Cyrillic", "Georgian", "Armenian"] = "Latin"
    cognate_share: float = Field(1.0, ge=0.15, le=1)
    text_share: float = Field(1.0, gt=0, le=100)

    def features(self, text_lines: int) -> dict[str, str | float | int | bool]:
        """The language's row of languages.csv, computed from its dials."""
        other = [getattr(self, dial) != getattr(ENGLISH, dial) for dial in GRAMMAR]
        syntactic, lexical = sum(other) / len(other), 1 - self.cognate_share
        script = float(self.script != "Latin")
        resource = "high" if self.text_share >= 3 else "mid" if self.text_share >= 1 else "low"
        return {
            **self.model_dump(), "text_lines": text_lines, "resource_class": resource,
            "syntactic_distance": round(syntactic, 4), "lexical_distance": round(lexical, 4),
            "script_distance": script,
            "distance": round((2 * syntactic + 2 * lexical + script) / 5, 4),
        }  # fmt: skip


# English; four families at four distances, each with much, some and little text (default13); and
# six families that hold near and far languages alike (many25), to tell a distance from a family.
# Dials were drawn at random until no two in a world correlated by more than 0.3.
with Path(__file__).with_name("languages.csv").open(encoding="utf-8") as _table:
    LANGUAGES = {row["code"]: Language.model_validate(row) for row in csv.DictReader(_table)}
ENGLISH, *_others = LANGUAGES.values()
DEFAULT12, MANY24 = _others[:12], _others[12:]
FAMILIES = {
    "default13": tuple(LANGUAGES)[:13],
    "many25": ("en", *tuple(LANGUAGES)[13:]),
    "small5": ("en", "qaa", "qbb", "qcb", "qdc"),
    "tiny": ("en", "qaa", "qcb"),
}


class Sizes(BaseModel, extra="forbid", frozen=True):
    """Rows per task and split, and lines of text for a language whose text share is 1."""

    intermediate_train: int = Field(4000, ge=8, le=MOST)
    intermediate_dev: int = Field(250, ge=8, le=MOST)
    choice_train: int = Field(2000, ge=8, le=MOST)
    pawsx_train: int = Field(8000, ge=8, le=MOST)
    tagging_train: int = Field(400, ge=8, le=MOST)
    target_dev: int = Field(250, ge=8, le=MOST)
    target_test: int = Field(250, ge=8, le=MOST)
    tydiqa_train: int = Field(800, ge=8, le=MOST)
    bucc_pool: int = Field(300, ge=10, le=MOST)
    text_lines: int = Field(1500, ge=10, le=MOST)


SIZES = {
    "full": Sizes(),
    "tiny": Sizes(
        intermediate_train=80, intermediate_dev=40, choice_train=80, pawsx_train=80,
        tagging_train=80, target_dev=40, target_test=40, tydiqa_train=60, bucc_pool=40,
        text_lines=60,
    ),
}  # fmt: skip


class World(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """Everything that a toy world follows from. The same World always gives the same files."""

    seed: int = Field(0, ge=0, lt=2**32)
    family: Literal["default13", "many25", "small5", "tiny"] = "default13"
    languages: tuple[Language, ...] = ()
    sizes: Literal["full", "tiny"] | Sizes = "full"
    romanised: float = Field(0.3, ge=0, le=1)
    bilingual: float = Field(0.15, ge=0, le=0.5)

    @model_validator(mode="after")
    def _check_languages(self) -> "World":
        codes = [language.code for language in self.tongues()]
        if codes[0] != "en" or len(set(codes)) != len(codes):
            raise ValueError(f"languages: English (en) must be first, codes unique: not {codes}")
        return self

    def tongues(self) -> tuple[Language, ...]:
        """The languages of this world, English first: those listed, or else the family's."""
        return self.languages or tuple(LANGUAGES[code] for code in FAMILIES[self.family])

    def rows(self) -> Sizes:
        """The sizes, resolved from their name."""
        return SIZES[self.sizes] if isinstance(self.sizes, str) else self.sizes

    def text_lines(self, language: Language) -> int:
        """Lines of pre-training text in one language."""
        return max(10, round(self.rows().text_lines * language.text_share))
