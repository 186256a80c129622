"""The dials of a toy world: its languages, its sizes, and the features that follow from them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from xfer_utils.sources.toy.words import SOUND_CHANGES

VERSION = 1  # raised by hand when the same World gives other files
Order = Literal["SVO", "SOV", "VSO"]
Script = Literal["Latin", "Cyrillic", "Georgian", "Armenian"]
# The grammatical dials as they are set in English.
GRAMMAR = {
    "word_order": "SVO", "adjective_order": "before", "adposition": "pre",
    "determiners": True, "case": False, "number": True,
}  # fmt: skip


class Language(BaseModel):
    """The dials of one language. English is the language all distances are measured from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern=r"^(en|q[a-t][a-z])$")
    name: str
    family: str
    word_order: Order = "SVO"
    adjective_order: Literal["before", "after"] = "before"
    adposition: Literal["pre", "post"] = "pre"
    determiners: bool = True
    case: bool = False
    number: bool = True
    script: Script = "Latin"
    cognate_share: float = Field(1.0, ge=0.15, le=1)
    text_share: float = Field(1.0, gt=0, le=100)

    def features(self, text_lines: int) -> dict[str, str | float | int | bool]:
        """The language's row of languages.csv, computed from its dials."""
        other = [getattr(self, dial) != value for dial, value in GRAMMAR.items()]
        syntactic, lexical = sum(other) / len(other), 1 - self.cognate_share
        script = float(self.script != "Latin")
        resource = "high" if self.text_share >= 3 else "mid" if self.text_share >= 1 else "low"
        return {
            **self.model_dump(),
            "text_lines": text_lines,
            "resource_class": resource,
            "syntactic_distance": round(syntactic, 4),
            "lexical_distance": round(lexical, 4),
            "script_distance": script,
            "distance": round((2 * syntactic + 2 * lexical + script) / 5, 4),
        }


ENGLISH = Language(code="en", name="English", family="English", text_share=6)


def _language(
    code: str, name: str, family: str, dials: str, script: Script, cognate: float, text: float
) -> Language:
    """A language from a string such as 'SOV after post bare case plain'."""
    order, adjective, adposition, determiners, case, number = dials.split()
    return Language(
        code=code, name=name, family=family, script=script, cognate_share=cognate, text_share=text,
        word_order=order, adjective_order=adjective, adposition=adposition,
        determiners=determiners == "the", case=case == "case", number=number == "number",
    )  # fmt: skip


# Four families at four distances, each with much, some and little text. The dials were chosen so
# that no two of them correlate by more than 0.3, while each grows with the distance.
DEFAULT12 = (
    _language("qaa", "Avo", "Avian", "SVO before pre the bare number", "Latin", 0.70, 4),
    _language("qab", "Avit", "Avian", "VSO before pre the bare number", "Latin", 0.65, 1.5),
    _language("qac", "Avun", "Avian", "SVO before pre none bare plain", "Latin", 0.75, 0.25),
    _language("qba", "Bor", "Borean", "SVO after post the bare number", "Latin", 0.55, 4),
    _language("qbb", "Boret", "Borean", "SOV before pre the case number", "Latin", 0.65, 1.5),
    _language("qbc", "Borun", "Borean", "SVO before pre the bare number", "Georgian", 0.65, 0.25),
    _language("qca", "Corv", "Corvan", "SOV before pre none bare number", "Latin", 0.35, 4),
    _language("qcb", "Corvit", "Corvan", "SVO before pre the bare number", "Cyrillic", 0.35, 1.5),
    _language("qcc", "Corvun", "Corvan", "SVO after pre the bare number", "Latin", 0.35, 0.25),
    _language("qda", "Dor", "Dorian", "SOV after pre the bare plain", "Georgian", 0.45, 4),
    _language("qdb", "Dorit", "Dorian", "SVO before pre the case plain", "Latin", 0.25, 1.5),
    _language("qdc", "Dorun", "Dorian", "SOV before post the bare plain", "Latin", 0.25, 0.25),
)
BY_CODE = {language.code: language for language in (ENGLISH, *DEFAULT12)}
FAMILIES = {
    "default13": tuple(BY_CODE.values()),
    "small5": tuple(BY_CODE[code] for code in ("en", "qaa", "qbb", "qcb", "qdc")),
    "tiny": tuple(BY_CODE[code] for code in ("en", "qaa", "qcb")),
}


class Sizes(BaseModel):
    """Rows per task and split, and lines of text for a language whose text share is 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    intermediate_train: int = Field(4000, ge=8)
    intermediate_dev: int = Field(250, ge=8)
    choice_train: int = Field(2000, ge=8)
    pawsx_train: int = Field(8000, ge=8)
    tagging_train: int = Field(400, ge=8)
    target_dev: int = Field(250, ge=8)
    target_test: int = Field(250, ge=8)
    tydiqa_train: int = Field(800, ge=8)
    bucc_pool: int = Field(300, ge=10)
    text_lines: int = Field(1500, ge=10)


SIZES = {
    "full": Sizes(),
    "tiny": Sizes(
        intermediate_train=80, intermediate_dev=40, choice_train=80, pawsx_train=80,
        tagging_train=80, target_dev=40, target_test=40, tydiqa_train=60, bucc_pool=40,
        text_lines=60,
    ),
}  # fmt: skip


class World(BaseModel):
    """Everything that a toy world follows from. The same World always gives the same files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(0, ge=0)
    family: Literal["default13", "small5", "tiny"] = "default13"
    languages: tuple[Language, ...] = ()
    sizes: Literal["full", "tiny"] | Sizes = "full"
    vocabulary: float = Field(1.0, ge=0.5, le=1)
    constructions: int = Field(3, ge=1, le=3)
    nli_depth: int = Field(2, ge=1, le=4)
    romanised: float = Field(0.3, ge=0, le=1)
    bilingual: float = Field(0.15, ge=0, le=0.5)

    @model_validator(mode="after")
    def _check_languages(self) -> "World":
        codes = [language.code for language in self.tongues()]
        if codes[0] != "en" or len(set(codes)) != len(codes):
            problem = f"English (en) must come first and codes be unique, not {codes}"
            raise ValueError(f"languages: {problem}")
        for language in self.tongues()[1:]:
            if language.family not in SOUND_CHANGES:
                known = ", ".join(SOUND_CHANGES)
                raise ValueError(f"languages: unknown family {language.family!r}; known: {known}")
        return self

    def tongues(self) -> tuple[Language, ...]:
        """The languages of this world, English first: those listed, or else the family's."""
        return self.languages or FAMILIES[self.family]

    def rows(self) -> Sizes:
        """The sizes, resolved from their name."""
        return SIZES[self.sizes] if isinstance(self.sizes, str) else self.sizes

    def text_lines(self, language: Language) -> int:
        """Lines of pre-training text in one language."""
        return max(10, round(self.rows().text_lines * language.text_share))
