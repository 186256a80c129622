"""The registry: what every entry must have, and the hub's names where they follow no rule."""

import pytest

from xfer_utils.study import params, paths, settings_file, tasks
from xfer_utils.study.settings_file import SettingsError
from xfer_utils.study.tasks import registry, task, text_on_hub, training_parts

XTREME = ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"]
INTERMEDIATE = [
    "mnli", "anli_plus", "qqp", "squad_v2", "squad", "hellaswag", "ccg", "cosmos_qa", "commonsense_qa",
]  # fmt: skip


def names(role: str) -> list[str]:
    return [name for name, row in registry().items() if row.role == role]


def test_the_study_of_xtreme_has_its_nine_and_nine_tasks_and_no_others():
    assert names("intermediate") == INTERMEDIATE
    assert names("target") == XTREME
    assert names("xtreme_r") == ["xcopa", "lareqa", "mewslix"]


def test_language_counts_are_those_of_xtreme_and_xtreme_r():
    counts = {name: len(task(name).languages) for name in XTREME}
    assert counts == {
        "xnli": 15, "pawsx": 7, "udpos": 33, "panx": 40, "xquad": 11, "mlqa": 7, "tydiqa": 9, "bucc2018": 4,
        "tatoeba": 36,
    }  # fmt: skip
    both = {name: len({*task(name).languages, *task(name).xtreme_r_languages}) for name in XTREME}
    assert (both["udpos"], both["panx"], both["xquad"], both["tatoeba"]) == (38, 48, 12, 41)


def test_an_unknown_task_names_the_known_ones():
    with pytest.raises(KeyError, match="unknown task 'nli'; known: mnli, anli_plus"):
        task("nli")


@pytest.mark.parametrize(
    ("entry", "key", "problem"),
    [
        ("xnli: 5", "xnli", "not 5"),
        ("xnli: {title: T, role: targets}", "xnli.role", "Input should be 'intermediate'"),
        ("xnli: {title: T, role: target, format: sequence, metric: accuracy}", "xnli", "labels"),
    ],
)
def test_a_fault_in_the_registry_names_its_line_and_no_study(
    monkeypatch, tmp_path, entry, key, problem
):
    file = tmp_path / "tasks.yaml"
    file.write_text(f"# a comment\n{entry}\n")
    monkeypatch.setattr(tasks, "FILE", file)
    monkeypatch.setattr(tasks, "_file", lambda: settings_file.load(file))
    monkeypatch.setattr(tasks, "registry", tasks.registry.__wrapped__)
    with pytest.raises(SettingsError) as refused:
        params.load(paths.PARAMS / "smoke.yaml")
    told = str(refused.value)
    assert told.startswith(f"{file}, line 2: `{key}`: ") and problem in told
    assert "smoke.yaml" not in told


def test_anli_plus_is_three_data_sets():
    assert training_parts("anli_plus") == ("anli", "mnli", "snli")
    assert training_parts("mnli") == ("mnli",)


@pytest.mark.parametrize(
    "name", [name for name, row in registry().items() if row.hub and not row.parts]
)
def test_every_entry_says_where_the_hub_has_it_and_under_which_licence(name):
    row = task(name)
    assert row.hub.id.count("/") == 1, "the clients refuse an id without its owner"
    assert row.hub.licence
    splits = {
        s for value in row.splits.values() for s in ([value] if isinstance(value, str) else value)
    }
    assert set(row.hub.rows) <= splits | {"validation_mismatched"}
    for language in {*row.languages, *row.xtreme_r_languages}:
        for split in splits:
            place = row.hub_for(language).place(split, language)
            assert place.config or place.data_dir
            if place.revision.startswith("refs/convert"):
                assert place.data_dir and not place.config, (
                    "that branch has no configurations and would mix languages"
                )


@pytest.mark.parametrize("name", [name for name, row in registry().items() if row.train_on])
def test_what_a_target_trains_on_has_a_training_split_of_the_same_kind(name):
    trained = task(task(name).train_on)
    assert "train" in trained.splits
    others = [row for row in registry().values() if row.train_on == task(name).train_on]
    assert {row.train_first for row in others} == {task(name).train_first}, (
        "one training serves them all"
    )
    assert (trained.format, task(name).format) == ("pair", "sentence") or trained.format == task(
        name
    ).format


@pytest.mark.parametrize(
    ("name", "language", "config"),
    [
        ("udpos", "zh", "udpos.Chinese"),
        ("udpos", "fa", "udpos.Persian"),
        ("udpos", "el", "udpos.Greek"),
        ("udpos", "tl", "udpos.Tagalog"),
        ("udpos", "lt", "lt"),
        ("panx", "jv", "PAN-X.jv"),
        ("panx", "qu", "qu"),
        ("mlqa", "de", "MLQA.de.de"),
        ("tydiqa", "sw", "tydiqa"),
        ("bucc2018", "ru", "bucc18.ru"),
        ("tatoeba", "zh", "tatoeba.cmn"),
        ("tatoeba", "fa", "tatoeba.pes"),
        ("tatoeba", "sw", "tatoeba.swh"),
        ("tatoeba", "el", "tatoeba.ell"),
        ("tatoeba", "de", "tatoeba.deu"),
        ("tatoeba", "nl", "tatoeba.nld"),
        ("xquad", "ro", "xquad.ro"),
    ],
)
def test_configuration_names_that_follow_no_rule(name, language, config):
    assert task(name).hub_for(language).place("test", language).config == config


def test_folders_on_the_branch_of_converted_data():
    assert task("cosmos_qa").hub.place("train", "en").data_dir == "default"
    assert task("squad_translated").hub.place("train", "hi").data_dir == "mlqa-translate-train.hi"
    assert task("tatoeba").hub_for("az").place("test", "az").data_dir == "aze-eng"


def test_mewslix_keeps_training_pairs_mentions_and_candidates_apart():
    hub = task("mewslix").hub
    assert hub.place("train", "en").data_dir == "wikipedia_pairs"
    assert hub.place("test", "candidates").data_dir == "candidate_entities"
    assert hub.place("test", "ta").config == "ta"


def test_rows_of_the_official_releases():
    assert task("mnli").hub.expected("train", "en") == 392702
    assert task("tydiqa").hub.expected("train", "en") == 3696
    assert sum(task("tydiqa").hub.rows["validation"].values()) == 5077
    assert task("tydiqa").hub.expected("train", "ar") is None
    assert task("tatoeba").hub.expected("test", "jv") == 205


def test_text_on_the_hub_has_one_configuration_per_language():
    assert text_on_hub().place("train", "sw").config == "20231101.sw"


def test_labels_are_in_the_order_that_the_data_sets_use():
    assert task("udpos").labels == tuple(sorted(task("udpos").labels))
    assert len(task("udpos").labels) == 17
    assert task("panx").labels == ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
    for name in ("mnli", "snli", "anli", "anli_plus", "xnli", "mnli_translated"):
        assert task(name).labels == ("entailment", "neutral", "contradiction")
