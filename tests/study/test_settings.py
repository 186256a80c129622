"""Study files are read strictly; errors name file, key, line and the closest spelling."""

import re

import pytest
from conftest import SMOKE, study_file, xfer

from xfer_utils.study import params, sections, settings_file
from xfer_utils.study.settings_file import SettingsError

VALID = """\
name: mine
title: Mine
question: Does it?
estimand: the mean
models:
  small:
    pretrain: {steps: 10}
targets: [xnli, udpos]
target_training:
  default: {learning_rate: 1.0e-4}
  mnli:
    epochs: 7
"""


@pytest.fixture
def write(tmp_path):
    """Writes a study file from the valid one, with one text replaced."""

    def make(old="", new="", name="mine.yaml"):
        assert old in VALID
        path = tmp_path / name
        path.write_text(VALID.replace(old, new) if old else VALID + new, encoding="utf-8")
        return path

    return make


def refused(path) -> str:
    with pytest.raises(SettingsError) as caught:
        params.load(path)
    return str(caught.value)


def test_a_valid_file_with_defaults_and_layers(write):
    study = params.load(write())
    assert study.training("target", "mnli").epochs == 7
    assert study.training("target", "mnli").learning_rate == 1e-4
    assert study.training("target", "udpos").epochs == 2
    assert study.training("intermediate", "mnli") == sections.Training()
    assert study.seeds.none == [0, 1, 2] and study.intermediate == ["none"]


WRONG = [
    # text, its replacement, key, line (None: not in the file), what the message must offer
    ("title: Mine", "titel: Mine", "titel", 2, "Did you mean `title`?"),
    ("title: Mine", "title: Mine\ntitle: Yours", "title", 3, "duplicate key"),
    ("    epochs: 7", "    epoch: 7", "target_training.mnli.epoch", 12, "Did you mean `epochs`?"),
    ("    epochs: 7", "    epochs: 7\n    epochs: 8", "epochs", 13, "duplicate key"),
    ("    epochs: 7", "    epochs: '7'", "target_training.mnli.epochs", 12, "valid integer"),
    ("    epochs: 7", "    epochs: 7.5", "target_training.mnli.epochs", 12, "7.5"),
    ("    epochs: 7", "    epochs: true", "target_training.mnli.epochs", 12, "True"),
    (
        "    epochs: 7",
        "    epochs: 0",
        "target_training.mnli.epochs",
        12,
        "greater than or equal to 1",
    ),
    ("1.0e-4", "2E5", "target_training.default.learning_rate", 10, "less than 1"),
    ("[xnli, udpos]", "[xnli, no]", "targets", 8, "`no` is no target task"),
    ("title: Mine", "title: Mine\n5: x", "`5`", 3, "Keys should be strings"),
    ("title: Mine", "title: Mine\nnote: &a [x]\nevaluate: *a", "evaluate", 3, "valid dictionary"),
    ("1.0e-4", "-0.1", "target_training.default.learning_rate", 10, "greater than 0"),
    ("[xnli, udpos]", "[xnlI, udpos]", "targets", 8, "Did you mean `xnli`?"),
    ("[xnli, udpos]", "[xnli, mnli]", "targets", 8, "is no target task"),
    ("[xnli, udpos]", "[xnli, xcoppa]", "targets", 8, "Did you mean `xcopa`?"),
    ("[xnli, udpos]", "[xnli, copa]", "targets", 8, "is no target task"),
    ("[xnli, udpos]", "[xnli, xnli]", "targets", 8, "twice"),
    ("[xnli, udpos]", "xnli", "targets", 8, "a list, as `[0]`"),
    ("  mnli:", "  mnly:", "target_training", 9, "Did you mean `mnli`?"),
    ("{steps: 10}", "{stepps: 10}", "models.small.pretrain.stepps", 7, "Did you mean `steps`?"),
    ("    pretrain: {steps: 10}", "    layer: 3", "models.small", 6, "exactly one of"),
    (
        "    pretrain: {steps: 10}",
        "    load: a\n    pretrain: {steps: 10}",
        "models.small",
        6,
        "exactly one of",
    ),
    ("name: mine", "name: My Study", "name", 1, "match pattern"),
    ("title: Mine\n", "", "title", None, "missing"),
    ("title: Mine", "title: Mine\nsource: hob", "source", 3, "toy|hub|folder:"),
    ("title: Mine", "title: Mine\nseeds: {none: [1, two]}", "seeds.none.1", 3, "two"),
    ("title: Mine", "title: Mine\nevaluate: {xnly: test}", "evaluate", 3, "Did you mean `xnli`?"),
    ("title: Mine", "title: Mine\nevaluate: {xnli: tset}", "evaluate.xnli", 3, "'dev' or 'test'"),
    (
        "title: Mine",
        "title: Mine\nsplits: {pawxs: {train: a}}",
        "splits",
        3,
        "Did you mean `pawsx`?",
    ),
    ("title: Mine", "title: [Mine", "", None, "not valid YAML"),
    ("  mnli:", "  xnli:", "target_training", 9, "is trained on `mnli`: write `mnli`"),
    ("  mnli:", "  qqp:", "target_training", 9, "`qqp` is not trained here"),
    (
        "title: Mine",
        "title: Mine\nintermediate_training: {xnli: {epochs: 1}}",
        "intermediate_training",
        3,
        "not trained",
    ),
    (
        "title: Mine",
        "title: Mine\nevaluate: {mnli: test}",
        "evaluate",
        3,
        "`mnli` is not evaluated here",
    ),
    ("title: Mine", "title: Mine\nintermediate: [mnli]", "intermediate", 3, "`none` is missing"),
    ("title: Mine", "title: Mine\nintermediate: [none, multi]", "multi", None, "`arms: {multi:"),
    ("title: Mine", "title: Mine\nseeds: {none: []}", "seeds.none", 3, "at least 1"),
    ("title: Mine", "title: Mine\nseeds: 3", "seeds", 3, "`seeds: {none: [0, 1, 2], other: [0]}`"),
    (
        "title: Mine",
        "title: Mine\nseeds: {other: [0, 3, 3]}",
        "seeds.other",
        3,
        "seed 3 is listed twice",
    ),
    ("{steps: 10}", "{steps: 10}\n    layer: 4", "models.small", 6, "0 to 3"),
    (
        "title: Mine",
        "title: Mine\nprimary: [{name: a, arm: mnli, target: xnli}]",
        "primary.0.arm",
        3,
        "`mnli` is not in this study",
    ),
    (
        "title: Mine",
        "title: Mine\nprimary: [{name: a, arm: none, target: xnly}]",
        "primary.0.target",
        3,
        "Did you mean `xnli`?",
    ),
    (
        "title: Mine",
        "title: Mine\nprimary: [{name: a, arm: none, target: xnli, margin: 1.0}]",
        "primary.0.margin",
        3,
        "needs a margin",
    ),
    (
        "title: Mine",
        "title: Mine\nprimary: [{name: a, arm: none, target: xnli, test: equivalence}]",
        "primary.0.margin",
        3,
        "needs a margin",
    ),
    (
        "title: Mine",
        "title: Mine\nprimary: [{name: a, arm: none, target: xnli, languages: de}]",
        "primary.0.languages",
        3,
        "'others', 'en' or 'all'",
    ),
    (
        "title: Mine",
        "title: Mine\nprimary: [{name: a, arm: none, target: xnli, margn: 1.0}]",
        "primary.0.margn",
        3,
        "Did you mean `margin`?",
    ),
    (
        "title: Mine",
        "title: Mine\nprimary: [&c {name: a, arm: none, target: xnli}, *c]",
        "primary.0.name",
        3,
        "two contrasts have this name",
    ),
    ("title: Mine", "title: Mine\nnumerics: strange", "numerics", 3, "'other'"),
]


@pytest.mark.parametrize(
    ("old", "new", "key", "line", "offer"), WRONG, ids=[row[1][:40] for row in WRONG]
)
def test_wrong_settings_are_named(write, old, new, key, line, offer):
    path = write(old, new)
    message = refused(path)
    assert message.startswith(str(path)) and key in message and offer in message
    if line:
        assert re.search(rf"mine\.yaml, line {line}\b", message), message


def test_several_mistakes_are_named_at_once(write):
    message = refused(write("title: Mine", "titel: Mine"))
    assert "titel" in message and "`title` is missing" in message


VALUES = [
    ("1e-5", 1e-5), ("1.0e-5", 1e-5), ("2E5", 2e5), ("-3", -3), ("0.5", 0.5), ("010", 10),
    ("no", "no"), ("yes", "yes"), ("on", "on"), ("true", True), ("~", None), ("'1e-5'", "1e-5"),
    ("nowhere", "nowhere"), ("e5", "e5"), ("v1e5x", "v1e5x"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_values_are_read_by_yaml_1_2(tmp_path, text, value):
    path = tmp_path / "a.yaml"
    path.write_text(f"key: {text}\n")
    assert settings_file.load(path) == {"key": value}
    assert type(settings_file.load(path)["key"]) is type(value)


def doubled(twice: str) -> str:
    """Sixty lines, each twice the one before."""
    lines = [f"a{n + 1}: &a{n + 1} {twice.format(n)}" for n in range(60)]
    return "\n".join(["a0: &a0 {x: 1}", *lines])


HOSTILE = [
    ("key: " + "[" * 5000, "nested too deeply"),
    ("key: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
    ("a: &a [1, 1]\nb: &b [*a, *a]\ntitle: [*b, *b]", "valid string"),
    ("title: &a {b: *a}", "aliases (*) stand for more than 100,000 values"),
    (doubled("[*a{0}, *a{0}]"), "aliases (*) stand for more than 100,000 values"),
    (doubled("{{<<: [*a{0}, *a{0}]}}"), "aliases (*) stand for more than 100,000 values"),
    ('a: "x\0"', "not valid YAML"),
    ('extends: "a\\0b"\nname: x', "null byte"),
    (f"extends: {'x' * 4000}\nname: x", "too long"),
    ("extends: ../secret.yaml\nname: x", "not the name of a file beside this one"),
    ("extends: [a]\nname: x", "not the name of a file beside this one"),
    ("a: !!float abc", "cannot be read"),
    ("a: " + "9" * 6000, "cannot be read"),
    ("a: 2020-13-45", "cannot be read"),
    ("? [a, b]\n: 2", "Keys should be strings"),
    ("a: 1\n---\nb: 2", "not valid YAML"),
]


@pytest.mark.parametrize(("text", "problem"), HOSTILE, ids=[row[1] for row in HOSTILE])
def test_hostile_files_are_refused_in_a_sentence(tmp_path, text, problem):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert problem in refused(path) and str(tmp_path) in refused(path)


def test_yaml_cannot_make_objects(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("key: !!python/object/apply:os.getcwd []\n")
    assert "not valid YAML" in refused(path)


@pytest.mark.parametrize("content", [b"- a\n- b\n", b"", b"just text", b"\xff\xfe\x00"])
def test_what_is_no_settings_file(tmp_path, content):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    assert str(path) in refused(path)


def test_a_missing_file_offers_its_neighbour(write):
    path = write()
    assert "Did you mean `mine.yaml`?" in refused(path.with_name("mime.yaml"))
    assert "no such file" in refused(path.parent / "elsewhere" / "mine.yaml")
    told = refused(SMOKE.with_name("nope.yaml"))
    assert "Known" not in refused(path.parent / "empty" / "nope.yaml"), "there is nothing to list"
    assert "nope.yaml: no such file. Known: alternatives-full.yaml, " in told, (
        "only the ending is like smoke.yaml"
    )
    assert (
        refused(path.parent)
        == f"{path.parent}: is a folder. Name a study file in it. Known: mine.yaml."
    )


def test_extends_merges_section_by_section(write):
    write(name="base.yaml")
    path = write().with_name("child.yaml")
    path.write_text("extends: base.yaml\nname: child\ntarget_training: {mnli: {batch_size: 8}}\n")
    study = params.load(path)
    merged = study.training("target", "mnli")
    assert (study.name, study.title) == ("child", "Mine")
    assert (merged.epochs, merged.batch_size, merged.learning_rate) == (7, 8, 1e-4)


def test_extends_replaces_models(write):
    write(name="base.yaml")
    path = write().with_name("child.yaml")
    path.write_text("extends: base.yaml\nname: child\nmodels: {other: {load: some/model}}\n")
    assert list(params.load(path).models) == ["other"]


def test_mistakes_in_the_base_name_the_base(write):
    base = write("title: Mine", "titel: Mine", name="base.yaml")
    child = base.with_name("child.yaml")
    child.write_text("extends: base.yaml\nquestion: 5\nname: child\n")
    first, second = sorted(line for line in refused(child).splitlines() if "missing" not in line)
    assert first.startswith(f"{base}, line 2") and "titel" in first
    assert second.startswith(f"{child}, line 2") and "question" in second


def test_mistakes_in_a_section_of_both_files_name_the_right_one(write):
    base = write("    epochs: 7", "    epoch: 7", name="base.yaml")
    child = base.with_name("child.yaml")
    child.write_text("extends: base.yaml\ntarget_training:\n  udpos: {epochs: 0}\nname: child\n")
    ours, theirs = sorted(refused(child).splitlines(), key=lambda line: "base" in line)
    assert ours.startswith(f"{child}, line 3: `target_training.udpos.epochs`")
    assert theirs.startswith(f"{base}, line 12: `target_training.mnli.epoch`")


def test_extends_is_one_level_and_its_file_must_exist(write):
    base = write(name="base.yaml")
    middle, child = base.with_name("middle.yaml"), base.with_name("child.yaml")
    middle.write_text("extends: base.yaml\nname: middle\n")
    child.write_text("extends: middle.yaml\n")
    assert "one level" in refused(child)
    child.write_text("extends: bade.yaml\n")
    assert "Did you mean `base.yaml`?" in refused(child)


def test_a_study_that_extends_another_needs_a_name_of_its_own(write):
    """Under the other's name it would overwrite the other's plan and report."""
    base = write(name="base.yaml")
    child = base.with_name("child.yaml")
    child.write_text("extends: base.yaml\ntitle: Another\n")
    assert "`name` is missing" in refused(child) and "`name: child`" in refused(child)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("titel: x\n", ["line 3", "`titel` is no known key", "Did you mean `title`?"]),
        ("languages: [en, qax]\n", ["line 3", "languages", "`qax`", "Known: en, qaa, q"]),
        (
            "world: {sises: tiny}\n",
            ["line 3", "`world.sises` is no known key", "Did you mean `sizes`?"],
        ),
        ("max_eval_items: 1e2\n", ["line 3", "max_eval_items", "100.0"]),
    ],
)
def test_through_the_command_line(tmp_path, text, told):
    path = study_file(tmp_path, text)
    ended = xfer("plan", path, outputs=tmp_path / "outputs")
    assert ended.returncode == 2 and ended.stdout == ""
    assert "Traceback" not in ended.stderr and str(path) in ended.stderr
    for part in told:
        assert part in ended.stderr


def test_wrong_requests_through_the_command_line(tmp_path, command):
    missing = xfer("status", SMOKE.with_name("smok.yaml"), outputs=tmp_path)
    assert missing.returncode == 2 and "Did you mean `smoke.yaml`?" in missing.stderr
    assert "Traceback" not in missing.stderr
    for arguments, told in [
        (("run", SMOKE, "--onyl", "x"), "--only"),
        (("run", SMOKE, "--only", "no-such-run"), "no run matches `no-such-run`"),
        (("plan", SMOKE, "--why", "encoder-xlmr-tinny"), "Did you mean `encoder-xlmr-tiny"),
        (("report", SMOKE), "no run of this study is done"),
    ]:
        code, printed = command(*arguments, outputs=tmp_path)
        assert code == 2 and printed.out == "" and told in printed.err
