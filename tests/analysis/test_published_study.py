"""A published study's tables and findings are made again from its compact table, without training."""

import json
import shutil
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from conftest import PROJECT, SMOKE
from made_studies import summary

from xfer_utils.analysis import findings, results, table_files, tables
from xfer_utils.study import paths

FROM_SCORES = ("50", "57", "60", "62", "63", "64")  # 61 reads the records of phase 2, too
PUBLISHED = sorted(path.parent for path in paths.SAMPLES.glob(f"*/{results.COMPACT}"))


@pytest.fixture
def published(smoke, monkeypatch, tmp_path):
    """The smoke study, and what was published of it."""
    monkeypatch.setenv("XFER_OUTPUTS", str(smoke.outputs))
    monkeypatch.setattr(paths, "SAMPLES", tmp_path)
    folder = smoke.outputs / "smoke"
    return folder, results.publish(folder)


def test_the_compact_table_holds_every_score(published):
    folder, sample = published
    whole, compact = results.scores(folder), results.scores(sample)
    assert len(whole) == len(compact) and compact["value"].round(6).equals(whole["value"].round(6))
    same = ["run", "arm", "target", "language", "split", "metric", "n", "seed", "main", "same_data"]
    assert compact[same].astype(str).equals(whole[same].astype(str))
    assert compact["layer"].dropna().tolist() == whole["layer"].dropna().tolist(), "factors too"
    assert (sample / results.COMPACT).stat().st_size < 40_000
    assert results.publish(folder) == sample and results.scores(sample).equals(compact)


def test_the_table_is_the_same_without_the_runs(published):
    sample, made = published[1], []
    for place in published:
        scores = results.scores(place)
        gains = tables.headline(scores, results.examples(place), draws=1000)
        table = tables.main_table(gains, tables.arm_titles(scores), results.not_run(place), "T")
        made.append(table_files.markdown(table))
    assert made[0] == made[1] and "(chance)" in made[0] and results.examples(sample) is None
    assert results.study(sample)["languages_csv"] == str(sample / "languages.csv")
    assert "/" not in (sample / "plan.json").read_text().replace('"dev/test"', ""), "no paths"


def test_a_table_with_norwegian_is_read_back(tmp_path):
    table = pd.DataFrame({"language": ["no", "nan"], "title": ["None", "x"], "value": [1.5, 2.0]})
    table.to_csv(tmp_path / results.COMPACT, index=False)
    assert results.scores(tmp_path).equals(table)


def test_the_command_publishes(own_outputs, command, monkeypatch, tmp_path):
    from xfer_utils.commands import summary as summaries

    monkeypatch.setattr(paths, "SAMPLES", tmp_path / "sample")
    monkeypatch.setattr(summaries, "build", lambda plan: ("page", ""))
    (own_outputs / "smoke" / "tables").mkdir(exist_ok=True)
    (own_outputs / "smoke" / "tables" / "main.md").write_text("a table")
    code, printed = command("report", SMOKE, "--sample", outputs=own_outputs)
    assert code == 0 and f"Published: {tmp_path / 'sample' / 'smoke'}" in printed.out
    files = {path.name for path in (tmp_path / "sample" / "smoke").iterdir()}
    assert files - {"findings.json"} == {
        "scores.csv.gz", "plan.json", "languages.csv", "main.md",
    }  # fmt: skip


def no_panels(*_, **__):
    figure = plt.figure()
    labelled = SimpleNamespace(tight_layout=lambda: None)
    return SimpleNamespace(axes_dict={}, set_axis_labels=lambda *_: labelled, figure=figure)


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_tables_and_findings_follow_from_the_compact_table(folder, tmp_path, monkeypatch):
    """The summaries run on scores.csv.gz and plan.json alone; what they write is what is committed."""
    monkeypatch.setattr("seaborn.FacetGrid", no_panels)  # slow, and no table
    for name in (results.COMPACT, "plan.json"):
        shutil.copy(folder / name, tmp_path)
    for csv in folder.glob("languages.csv"):
        shutil.copy(csv, tmp_path)
    asked = json.loads((folder / "plan.json").read_text())["study"]["summaries"]
    for name in asked:
        if name.startswith(FROM_SCORES):
            summary(name, tmp_path)
    if (folder / "main.md").exists():
        assert (tmp_path / "tables" / "main.md").read_text() == (folder / "main.md").read_text()
    made, committed = findings.read(tmp_path), findings.read(folder)
    committed = [row for row in committed if row.summary.startswith(FROM_SCORES)]
    assert [row.sentence for row in made] == [row.sentence for row in committed]
    for one, other in zip(made, committed, strict=True):
        assert one.estimate == pytest.approx(other.estimate, abs=1e-4)


def test_the_published_world_leaves_room():
    """Row `none` in English, every seed: above chance, below 95; it falls with distance."""
    scores = results.scores(paths.SAMPLES / "toy").query("main and arm == 'none'")
    english = scores.query("language == 'en'")
    noise = (english["chance"] * (100 - english["chance"]) / english["n"]) ** 0.5
    assert (english["value"] > english["chance"] + 2 * noise).all()
    assert (english["value"] < 95).all() and english["seed"].nunique() >= 3
    others = scores.query("language != 'en'").groupby("language")["value"].mean()
    dials = pd.read_csv(paths.SAMPLES / "toy" / "languages.csv", index_col="code")
    assert others.corr(dials["distance"], method="spearman") < -0.3
    assert others.corr(dials["text_lines"], method="spearman") > 0.3


def test_something_is_published():
    assert PUBLISHED and all(path.is_relative_to(PROJECT / "outputs") for path in PUBLISHED)
    for folder in PUBLISHED:
        assert (folder / results.COMPACT).stat().st_size < 400_000
