"""A table of languages: names, families, scripts, distance from English, pre-training text.

Real languages come from languages.csv, whose first lines name the sources. A made-up world brings a
table of its own; its columns bear the same names wherever they mean the same.
"""

from pathlib import Path

import numpy as np
import pandas as pd

TABLE = Path(__file__).parent / "languages.csv"
FEATURES = {
    "distance": "distance from English",
    "syntactic_distance": "syntactic distance from English",
    "lexical_distance": "lexical distance from English",
    "resource": "pre-training text, log10",
}


def languages(extra_csv: Path | None = None) -> pd.DataFrame:
    """The real languages, or with `extra_csv` those of a made-up world; one row each, by code.

    The two never mix: a made-up world has its own English. `distance` is the mean of the syntactic
    and the lexical distance from English, or what the world states; `resource` is log10 of the
    amount of pre-training text (GiB of CC-100, or lines), missing where there was none.
    """
    # Empty cells alone are missing: the code `no` and the name `None` are text.
    table = pd.read_csv(extra_csv or TABLE, comment="#", keep_default_na=False, na_values=[""])
    if extra_csv is None:
        table["lexical_distance"] = 1 - table.subword_overlap
        table["distance"] = (table.syntactic_distance + table.lexical_distance) / 2
    text = table.cc100_gib if extra_csv is None else table.text_lines
    table["resource"] = np.log10(text.where(text > 0))
    return table.set_index("code", drop=False).rename_axis(None)
