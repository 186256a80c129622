import math

import pytest

from xfer_utils.study import languages as module
from xfer_utils.study.languages import languages
from xfer_utils.study.tasks import registry

TOY = """code,name,family,script,word_order,adjective_order,adposition,determiners,case,number,\
cognate_share,text_share,text_lines,resource_class,syntactic_distance,lexical_distance,distance
en,English,Anglic,Latin,SVO,AN,preposition,True,none,suffix,1.0,0.5,10000,high,0.0,0.0,0.0
no,None,Anglic,Latin,SVO,NA,preposition,False,none,none,0.6,0.1,1000,low,0.2,0.4,0.35
"""


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "languages.csv"
    path.write_text(TOY)
    return path


def test_the_real_table_covers_every_language_of_the_registry():
    table = languages()
    assert len(table) == 231 and table.index.is_unique
    assert (table["benchmark"] != "low resource").sum() == 50
    rows = registry().values()
    needed = {code for row in rows for code in (*row.languages, *row.xtreme_r_languages)}
    assert needed <= set(table.index)


def test_low_resource_languages_have_what_is_known_and_blanks():
    table = languages()
    assert table.loc["aym", ["name", "family", "script"]].tolist() == ["Aymara", "Aymaran", "Latin"]
    assert table.loc["ace-latn", "cc100_gib"] == 0 and math.isnan(table.loc["shp", "cc100_gib"])
    assert table[["name", "family", "script"]].notna().all(axis=None)
    assert table["syntactic_distance"].dropna().between(0, 1).all()


def test_values_agree_with_their_sources():
    table = languages()
    assert table.loc["sw", "cc100_gib"] == 1.6
    assert table.loc["sw", "resource"] == pytest.approx(math.log10(1.6))
    assert table.loc["de", "distance"] == pytest.approx((0.42 + 1 - 0.6613) / 2)
    assert table.loc["en", ["syntactic_distance", "lexical_distance", "distance"]].eq(0).all()


def test_no_text_is_no_resource_rather_than_minus_infinity():
    table = languages().query("benchmark != 'low resource'")
    assert set(table.index[table.resource.isna()]) == {"ht", "qu", "wo", "yo"}


def test_a_made_up_world_has_the_same_columns_and_keeps_text_as_text(toy):
    table = languages(toy)
    assert list(table.index) == ["en", "no"]
    assert {"name", "family", "script", *module.FEATURES} <= {*table} & {*languages()}
    assert table.loc["no", "name"] == "None"
    assert table.loc["no", "distance"] == 0.35
    assert table.loc["no", "resource"] == 3 and table.loc["no", "resource_class"] == "low"
