"""Notebooks 61 and 62 on simulated tables: nothing where there is nothing, and what was put in."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_studies import summary, write

from xfer_utils.analysis import findings, results
from xfer_utils.study.sections import Arm

LANGUAGES = ("en", "qaa", "qab", "qba")
SHAPE = {"vocabulary": 2000, "feedforward": 64, "heads": 2}
SIZES = {"small": (1, 32), "middle": (3, 96), "large": (6, 192)}
MODELS = {
    n: {"pretrain": {**SHAPE, "layers": layers, "width": w}} for n, (layers, w) in SIZES.items()
}
DEPTHS = {"sham": 0, "steps_1": 1, "steps_2": 2, "steps_3": 3}


def row(value: float, **more: object) -> dict:
    own = {
        "run": "x",
        "title": more["arm"],
        "metric": "accuracy",
        "main": True,
        "split": "validation",
    }
    own |= {"n": 50, "chance": 1.0, "same_data": False, "train_task": "x", "model": "m"}
    return own | {"value": value} | more


def study(folder: Path, table: pd.DataFrame, arms: dict[str, Arm], **more: object) -> Path:
    """A study's folder, with its arms."""
    path = write(folder, table, **more) / "plan.json"
    content = json.loads(path.read_text())
    content["arms"] = {name: arm.model_dump(mode="json") for name, arm in arms.items()}
    path.write_text(json.dumps(content))
    return folder


# ----- 62: several languages -----
SPOKEN = {
    "none": Arm(),
    "squad": Arm(tasks=["squad"]),
    "four": Arm(tasks=["squad"], languages=["en", "qaa"]),
    "all": Arm(tasks=["squad"], languages=list(LANGUAGES)),
}


def spoken(
    unseen: float, seen: float, seeds: int = 3, noise: float = 1.0, seed: int = 0
) -> pd.DataFrame:
    """Scores of arms in one or more languages; XQuAD's are supervised where phase 2 has them."""
    rng, rows = np.random.default_rng(seed), []
    for arm, target, number in itertools.product(SPOKEN, ("tydiqa", "xquad"), range(seeds)):
        drift = rng.normal(0, noise)
        for language in LANGUAGES:
            many = len(SPOKEN[arm].languages) > 1
            inside = language in SPOKEN[arm].languages
            value = 50 + 3 * (arm != "none") + many * (seen if inside else unseen) + drift
            same = target == "xquad" and arm != "none"
            value += 100 * (same and inside)  # which must not count
            place = {"arm": arm, "target": target, "language": language, "seed": number}
            rows.append(row(value, same_data=same, **place))
    return pd.DataFrame(rows)


def test_what_lies_beyond_the_languages_of_phase_2_is_told_from_what_lies_in_them(tmp_path):
    folder = study(tmp_path, spoken(2.0, 7.0, noise=0.05), SPOKEN)
    names = summary("62_multilingual", folder)
    (found,) = findings.read(folder)
    assert found.verdict == "gain" and found.estimate == pytest.approx(2, abs=0.3)
    assert "reach further" in found.sentence and found.declared
    table = names["table"].set_index(["arm", "minus", "target", "part"])["estimate"]
    assert table["four", "squad", "", "seen"] == pytest.approx(7, abs=0.3)
    assert table["four", "squad", "", "English"] == pytest.approx(7, abs=0.3)
    assert ("all", "squad", "", "unseen") not in table.index
    assert ("four", "squad", "xquad", "seen") not in table.index, "supervised"
    assert len(names["supervised"]) == 1 + 2 + 4
    assert (folder / "figures" / "1_multilingual.png").exists()


def test_of_equal_arms_few_are_told_apart(tmp_path):
    names = summary("62_multilingual", study(tmp_path, spoken(0.0, 0.0), SPOKEN))
    told = []
    for number in range(80):
        table = spoken(0.0, 0.0, seed=number)
        index, columns = ["arm", "seed"], ["target", "language"]
        names["cells"] = table.pivot_table(index=index, columns=columns, values="value")
        gaps = names["by_seed"]("four", "squad", "unseen", "four")
        told.append(names["intervals"].t_interval(gaps.to_numpy())[3] < 0.05)
    assert np.mean(told) < 0.13


# ----- 61: complexity and scale -----
GRID = {"none": Arm(), "sham": Arm(tasks=["steps_2"], transform="sham")}
GRID |= {name: Arm(tasks=[name]) for name in DEPTHS if name != "sham"}


def grid(
    effect: float, seeds: int = 3, noise: float = 1.0, seed: int = 0, sizes=tuple(SIZES)
) -> pd.DataFrame:
    """Gains of `effect` for each tenfold of parameters and level of depth, about their means."""
    rng, rows = np.random.default_rng(seed), []
    body = {n: layers * (4 * w * w + 2 * w * 64) for n, (layers, w) in SIZES.items()}
    for name, arm, number in itertools.product(sizes, GRID, range(seeds)):
        gain = (
            0.0 if arm == "none" else 4 + effect * np.log10(body[name] / 1e5) * (DEPTHS[arm] - 1.5)
        )
        for language in LANGUAGES:
            place = {
                "model": name,
                "arm": arm,
                "target": "xnli",
                "language": language,
                "seed": number,
            }
            rows.append(row(50 + gain + rng.normal(0, noise), **place))
    return pd.DataFrame(rows)


def test_the_interaction_of_size_and_depth_is_found(tmp_path):
    folder = study(tmp_path, grid(2.0, noise=0.1), GRID, models=MODELS)
    names = summary("61_scaling", folder)
    (found,) = findings.read(folder)
    assert found.verdict == "gain" and found.estimate == pytest.approx(2, abs=0.2)
    assert list(names["points"]["depth"].unique()) == [0, 1, 2, 3]
    assert names["ran"] == ["small", "middle", "large"] and names["middle"] == "middle"
    assert (folder / "figures" / "1_scaling.svg").exists()


@pytest.mark.parametrize(
    ("score", "seeds", "verdict"),
    [(34.0, 3, "cannot be told"), (34.0, 1, "one run"), (70.0, 3, "gain")],
)
def test_where_no_size_has_learnt_the_tasks_nothing_is_told(
    tmp_path, monkeypatch, score, seeds, verdict
):
    keys = ["model", "trained on", "score"]
    dev = pd.DataFrame([(m, d, score) for m in SIZES for d in DEPTHS if d != "sham"], columns=keys)
    dev = dev.assign(chance=33.3, n=250)
    monkeypatch.setattr(results, "intermediate_scores", lambda folder: dev)
    summary("61_scaling", study(tmp_path, grid(2.0, seeds, noise=0.1), GRID, models=MODELS))
    (found,) = findings.read(tmp_path)
    assert found.verdict == verdict and (found.p is None) == (verdict != "gain")
    assert ("no size has learnt" in found.sentence) == (verdict != "gain")


def test_sizes_that_were_not_run_say_so_and_one_size_has_no_slope(tmp_path, capsys):
    one = grid(2.0, sizes=("middle",))
    summary("61_scaling", study(tmp_path, one, GRID, models=MODELS))
    said = capsys.readouterr().out.splitlines()[-2:]
    assert said == ["Not run: small, large.", "Complexity and scale: not run."]
    assert "not run" in (tmp_path / "tables" / "scaling.csv").read_text()


@pytest.mark.parametrize("effect", [0.0, 1.5])
def test_coverage_of_the_slope(tmp_path, effect):
    names = summary("61_scaling", study(tmp_path, grid(effect), GRID, models=MODELS))
    covered, told, values = check(names, effect, 60)
    assert covered > 0.86 and values == pytest.approx(effect, abs=0.3)
    assert effect or told < 0.14


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, 1.5])
def test_coverage_of_the_slope_over_2000_tables(tmp_path, effect):
    names = summary("61_scaling", study(tmp_path, grid(effect), GRID, models=MODELS))
    covered, told, values = check(names, effect, 2000)
    assert 0.935 < covered < 0.965 and values == pytest.approx(effect, abs=0.05)
    assert effect or 0.035 < told < 0.065


def check(names: dict, effect: float, times: int) -> tuple[float, float, float]:
    """Coverage, share told from 0, and mean of the notebook's own slopes."""
    keep, results = names["points"][["model", "log10", "depth"]].drop_duplicates(), []
    for number in range(times):
        table = grid(effect, seed=number + 1).query("language != 'en'")
        means = table.groupby(["model", "arm", "seed"])["value"].mean()
        gains = (means - means.xs("none", level="arm")).rename("gain").reset_index()
        gains["depth"] = gains["arm"].map(DEPTHS)
        points = gains.merge(keep, on=["model", "depth"])
        slope = names["slopes"](points, "depth").to_numpy()
        results.append(names["intervals"].t_interval(slope))
    value, low, high, p = np.array(results).T
    return np.mean((low <= effect) & (effect <= high)), np.mean(p < 0.05), value.mean()


@pytest.mark.parametrize("name", ["61_scaling", "62_multilingual", "63_few_shot"])
def test_on_a_study_that_lacks_it_all_each_says_so(run, smoke, capsys, name):
    run(name)
    assert capsys.readouterr().out.splitlines()[-1].endswith("not run.")
    assert name not in {found.summary for found in findings.read(smoke.outputs / "smoke")}
