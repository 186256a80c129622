"""A table of languages: names, families, scripts, distance from English, and amount of pre-training text.

Real languages come from languages.csv, whose first lines name the sources. A made-up world brings a table of
its own; its columns bear the same names wherever they mean the same, so that one analysis reads both.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

TABLE = Path(__file__).parent / "languages.csv"
COLUMNS = """code name family script origin word_order adjective_order adposition determiners case number
cognate_share text_share text_size text_unit resource resource_class
syntactic_distance lexical_distance distance"""
NUMBERS = """cc100_gib cognate_share distance family_cosine inventory_cosine lexical_distance phonology_cosine
resource script_distance subword_overlap syntactic_distance syntax_cosine text_lines text_share"""
FEATURES = {
    "distance": "distance from English",
    "syntactic_distance": "syntactic distance from English",
    "lexical_distance": "lexical distance from English",
    "resource": "pre-training text, log10",
}


def _read(path: Path) -> pd.DataFrame:
    """A CSV with `#` lines before the header. Text stays text: the code `no` and the name `None` too."""
    frame = pd.read_csv(path, comment="#", keep_default_na=False, dtype=str)
    for column in frame.columns.intersection(NUMBERS.split()):
        values = frame[column].replace("", np.nan)
        try:
            frame[column] = values.astype(float)
        except ValueError as error:
            raise ValueError(
                f"{path}: column `{column}` must hold numbers or nothing: {error}."
            ) from None
    return frame


@cache
def _real() -> pd.DataFrame:
    frame = _read(TABLE)
    size = frame.cc100_gib
    return frame.assign(
        origin="real",
        text_size=size,
        text_unit="GiB of CC-100",
        resource=np.log10(size.where(size > 0)),
        resource_class=frame.resource_class.astype(int),
        lexical_distance=1 - frame.subword_overlap,
        distance=(frame.syntactic_distance + 1 - frame.subword_overlap) / 2,
    )


def _made_up(path: Path) -> pd.DataFrame:
    """The table that the toy world writes."""
    frame = _read(path).assign(origin="made up", text_unit="lines")
    return frame.assign(
        text_size=frame.text_lines, resource=np.log10(frame.text_lines.where(frame.text_lines > 0))
    )


def languages(extra_csv: Path | None = None) -> pd.DataFrame:
    """The real languages, or with `extra_csv` those of a made-up world; one row each, indexed by code.

    The two never mix: a made-up world has its own English, whose text is not the real one's. Every table has
    COLUMNS, empty where nothing is known. `distance` is the mean of the syntactic and the lexical distance
    from English, or what the world states; `resource` is log10 of the amount of pre-training text, in
    the unit that `text_unit` names, and is missing where there was no text. What only one table has
    (benchmark, lang2vec's cosines) follows after.
    """
    frame = _real().copy() if extra_csv is None else _made_up(Path(extra_csv))
    common = COLUMNS.split()
    rest = [column for column in frame if column not in common]
    return frame.reindex(columns=[*common, *rest]).set_index("code", drop=False).rename_axis(None)
