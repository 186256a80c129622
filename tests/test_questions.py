"""Notebooks 60 and 64 on simulated tables: what is there is found, what is not is not."""

import json

import numpy as np
import pandas as pd
import pytest
from made_studies import summary, write

from xfer_utils.analysis import findings
from xfer_utils.sources.toy.world import ENGLISH, MANY24
from xfer_utils.study import languages

TARGETS = {"xnli": 50.0, "pawsx": 60.0, "tatoeba": 30.0}
ASKED = {"arms": ["qqp"], "minus": "none", "targets": list(TARGETS)}
SIMILARITY = [{"name": "By distance", **ASKED, "measure": "syntactic_distance", "times": ""}]
TYPOLOGY = [{"name": "By both", **ASKED, "measure": "distance", "times": "resource"}]


def study(folder, effect, primary, count=24, seed=0):
    """A study whose QQP gains 3 points and the effect of each language's row; its family adds some."""
    rng, folder = np.random.default_rng(seed), folder / "made"
    spoken = [ENGLISH, *MANY24[:count]]
    table = pd.DataFrame([one.features(round(1500 * one.text_share)) for one in spoken])
    folder.mkdir()
    table.to_csv(folder / "languages.csv", index=False)
    known = languages.languages(folder / "languages.csv")
    families = dict(zip(known["family"].unique(), rng.normal(0, 3, 7), strict=False))
    own, rows = dict(zip(known["code"], rng.normal(0, 1, len(known)), strict=True)), []
    for target, level in TARGETS.items():
        for _, dials in known.iterrows():
            gain = 3 + families[dials["family"]] + effect(dials) + own[dials["code"]]
            gain += rng.normal(0, 1)
            for arm, number in [(arm, number) for arm in ("none", "qqp") for number in (0, 1, 2)]:
                if (target, dials["code"]) == ("tatoeba", "en"):
                    continue
                value = level - 9 * dials["distance"] + (arm == "qqp") * gain + rng.normal(0, 1)
                row = {"run": f"{arm}-{target}-{number}", "model": "m", "arm": arm, "title": arm}
                row |= {"target": target, "language": dials["code"], "seed": number, "n": 150}
                row |= {"split": "validation", "metric": "accuracy", "main": True, "chance": 1.0}
                row |= {"value": value, "same_data": False, "train_task": "x"}
                rows.append(row | {"item_bound": 9.0, "n_items": 150, "degenerate": False})
    about = {"primary": primary, "source": "toy", "world": {}}
    return write(folder, pd.DataFrame(rows), **about)


def concluded(folder):
    return json.loads((folder / findings.FILE).read_text())


@pytest.mark.parametrize("slope", [0.0, -15.0])
def test_similarity_finds_what_is_there(tmp_path, capsys, slope):
    folder = study(tmp_path, lambda dials: slope * dials["syntactic_distance"], SIMILARITY)
    names = summary("60_similarity", folder, draws=499)
    (found,) = concluded(folder)
    assert found["verdict"] == ("holds" if slope else "cannot be told") and found["declared"]
    assert capsys.readouterr().out.splitlines()[-1] == found["sentence"]
    table = names["table"].set_index("measure")
    assert table.index[0] == "syntactic_distance" and {"lexical_distance", "resource"} <= {
        *table.index
    }
    if slope:
        assert table["spearman"].iloc[0] < -0.7 and table["given"].iloc[0] < -0.7
        assert abs(table.loc["script_distance", "spearman"]) < 0.5
        slope_found = names["slope"]["estimate"]
        assert slope_found == pytest.approx(slope, abs=4)
    for kind in ("svg", "png", "txt"):
        assert (folder / "figures" / f"6_similarity.{kind}").stat().st_size > 100
    assert (folder / "tables" / "published_tatoeba.html").exists()


def test_nothing_is_inferred_from_few_languages_or_undeclared(tmp_path, capsys):
    folder = study(tmp_path, lambda dials: 0.0, SIMILARITY, count=12)
    summary("60_similarity", folder, draws=99)
    assert concluded(folder) == []
    assert capsys.readouterr().out.splitlines()[-1].startswith("Similarity: not told, 12 languages")


@pytest.mark.parametrize("slope", [0.0, 12.0])
def test_typology_finds_how_text_changes_the_effect_of_distance(tmp_path, capsys, slope):
    """Ten times the text changes the effect of the whole distance by `slope` points."""

    def effect(dials):
        return -8 * dials["distance"] + slope * dials["distance"] * (dials["resource"] - 3)

    folder = study(tmp_path, effect, TYPOLOGY)
    names = summary("64_typology", folder, draws=499)
    (found,) = concluded(folder)
    assert found["verdict"] == ("holds" if slope else "cannot be told")
    assert found["interval"][0] < slope < found["interval"][1]
    assert capsys.readouterr().out.splitlines()[-1] == found["sentence"]
    at = names["slopes"].set_index("at")["estimate"].astype(float)
    assert names["slopes"]["text"].between(np.log10(225), np.log10(6000)).all(), "within the range"
    if slope:
        assert at["low"] < at["middle"] < at["high"]
        assert names["fit"].loc["dr", "estimate"] == pytest.approx(slope, abs=5)
    assert (folder / "figures" / "7_typology.svg").stat().st_size > 100
    assert len(names["robust"]) > 9 and names["robust"]["product"].notna().all()


def test_typology_of_few_languages_is_not_told(tmp_path, capsys):
    folder = study(tmp_path, lambda dials: 0.0, TYPOLOGY, count=8)
    summary("64_typology", folder, draws=99)
    assert concluded(folder) == []
    assert capsys.readouterr().out.splitlines()[-1].startswith("Distance and resources: not told")


def product_covers(tmp_path, slope, times):
    """Share of notebook 64's intervals that hold the product that was put in, and of those without 0."""
    names = summary("64_typology", study(tmp_path, lambda dials: 0.0, TYPOLOGY), draws=9)
    table, rng = names["table"], np.random.default_rng(5)
    both = (table["distance"] - table["distance"].mean()) * (table["text"] - table["text"].mean())
    held, told = [], []
    for _ in range(times):
        own = dict(zip(table["family"].unique(), rng.normal(0, 3, 7), strict=False))
        gain = table["family"].map(own) - 8 * table["distance"] + slope * both
        found = names["product"](table.assign(gain=gain + rng.normal(0, 1, len(table))), "distance")
        held.append(found["low"] < slope < found["high"])
        told.append(not found["low"] < 0 < found["high"])
    return np.mean(held), np.mean(told)


@pytest.mark.slow
@pytest.mark.parametrize("slope", [0.0, 12.0])
def test_coverage_of_the_product_over_500_tables(tmp_path, slope):
    covered, told = product_covers(tmp_path, slope, 500)
    error = 3 * np.sqrt(0.05 * 0.95 / 500)
    assert covered == pytest.approx(0.95, abs=error) and (slope or told < 0.05 + error)
