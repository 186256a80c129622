"""The hub's data sets through the real client, from a small hub on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import hub_fixtures
import pytest
from mini_hub import MiniHub

from xfer_utils.study.tasks import registry, task

# Reads what the command line asks for ([name, role, language], ...) and prints what came of it.
DRIVER = """
import json, sys
from pathlib import Path
from xfer_utils.sources.catalogue import open_source
source = open_source("hub", data_dir=Path(sys.argv[2]))
rows, problems = {}, {}
for name, role, language in json.loads(sys.argv[1]):
    key = f"{name}/{role}/{language}"
    try:
        if name == "text":
            rows[key] = list(source.text(language))
        else:
            rows[key] = list(source.read(name, role, language))
    except Exception as error:
        problems[key] = f"{type(error).__name__}: {error}"
print(json.dumps({"rows": rows, "problems": problems, "report": source.report()}))
"""
OTHER_LANGUAGES = """
xnli/dev/sw pawsx/dev/de udpos/dev/zh udpos/test/th udpos/test/lt panx/dev/qu xquad/dev/ro
mlqa/dev/de tydiqa/dev/sw bucc2018/dev/zh tatoeba/dev/zh tatoeba/dev/az xcopa/dev/ht lareqa/dev/ar
mewslix/dev/ar mewslix/test/candidates mnli_translated/train/sw squad_translated/train/de
pawsx_translated/train/ko text//sw sib200/test/ace-arab sib200/train/zh americas_nli/dev/qu
americas_nli/test/aym masakhaner2/test/sw masakhaner2/dev/yo
"""
WANTED = [
    *(
        (name, role, "en")
        for name, row in registry().items()
        for role in row.splits
        if "en" in row.languages and row.hub
    ),
    *(tuple(key.split("/")) for key in OTHER_LANGUAGES.split()),
]
MISSING = [
    ("udpos", "dev", "th"),
    ("udpos", "dev", "lt"),
    ("xnli", "dev", "eo"),
    ("ccg", "train", "en"),
    ("mewslix", "train", "de"),
]


def drive(hub: MiniHub, home: Path, wanted: list[tuple[str, str, str]], **env: str) -> dict:
    """What a process that knows only the small hub reads."""
    command = [sys.executable, "-c", DRIVER, json.dumps(wanted), str(home / "data")]
    done = subprocess.run(
        command, env=hub.env(home) | env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return hub_fixtures.build(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def online(root, home) -> dict:
    with MiniHub(root) as hub:
        found = drive(hub, home, [*WANTED, *MISSING])
        assert not any(
            path.endswith(".py") and status == 200 for _, path, status in hub.requests
        ), "a script was fetched"
    return found


@pytest.mark.parametrize("wanted", WANTED, ids="/".join)
def test_every_entry_of_the_registry_loads(online, wanted):
    key = "/".join(wanted)
    assert key not in online["problems"], online["problems"].get(key)
    assert online["rows"][key]


def test_every_task_is_read_in_this_test():
    read = {name for name, _, _ in WANTED}
    assert {name for name, row in registry().items() if row.hub} <= read


def column(online: dict, key: str, name: str) -> list:
    return [row[name] for row in online["rows"][key]]


# ----- traps -----
def test_what_low_resource_sets_call_their_languages_and_tags(online):
    assert column(online, "sib200/test/ace-arab", "item") == ["2000", "2001", "2002", "2003"]
    assert column(online, "americas_nli/dev/qu", "text_a")[0].startswith("quy ")
    assert column(online, "masakhaner2/dev/yo", "tags")[0] == [*range(7), 0, 0], "no dates"


def test_rows_without_a_label_go(online):
    assert column(online, "snli/train/en", "label") == [0, 1, 2]
    (report,) = [
        row for row in online["report"] if row["task"] == "snli" and row["role"] == "train"
    ]
    assert report["dropped"] == {"no label": 1}


def test_rounds_of_anli_are_joined(online):
    parts = {name.split(":")[0] for name in column(online, "anli/train/en", "id")}
    assert parts == {"train_r1", "train_r2", "train_r3"}


def test_string_labels_and_letters(online):
    assert column(online, "hellaswag/dev/en", "label") == [0, 1, 2, 3]
    assert column(online, "social_i_qa/train/en", "label") == [0, 1, 2]
    rows = online["rows"]["commonsense_qa/dev/en"]
    assert [row["choices"][row["label"]] for row in rows] == ["choice B", "choice B"]


@pytest.mark.parametrize("key", ["udpos/dev/en", "udpos/dev/zh", "udpos/test/th", "udpos/test/lt"])
def test_tags_go_by_name_whatever_the_treebank_collection_calls_first(online, key):
    names = task("udpos").labels
    for row in online["rows"][key]:
        spoken = [token.rpartition("-")[2] for token in row["tokens"]]
        assert [names[tag] if tag >= 0 else "_" for tag in row["tags"]] == spoken
    assert ("_" in spoken) == (key == "udpos/test/lt")


@pytest.mark.parametrize("key", ["panx/dev/en", "panx/dev/qu"])
def test_entity_tags_keep_their_order(online, key):
    assert column(online, key, "tags")[0] == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("key", "begins"),
    [
        ("udpos/dev/zh", "udpos.Chinese-"),
        ("panx/dev/qu", "qu-"),
        ("xquad/dev/ro", "xquad.ro "),
        ("mlqa/dev/de", "MLQA.de.de "),
        ("tatoeba/dev/zh", "tatoeba.cmn "),
        ("tatoeba/dev/az", "aze-eng "),
        ("squad_translated/train/de", "mlqa-translate-train.de "),
        ("mnli_translated/train/sw", "sw train"),
        ("cosmos_qa/train/en", "train context"),
        ("copa/train/en", "copa train"),
    ],
)
def test_the_configuration_that_was_read(online, key, begins):
    """The fixtures put the configuration's name in the text: none is mixed in."""
    keys = ("tokens", "context", "text_a", "text")
    texts = [next(row[key] for key in keys if row.get(key)) for row in online["rows"][key]]
    texts = [text[0] if isinstance(text, list) else text for text in texts]
    sides = [row.get("side", "source") for row in online["rows"][key]]
    assert all(
        text.startswith(begins) for text, side in zip(texts, sides, strict=True) if side == "source"
    )


def test_tydiqa_is_cut_by_language(online):
    assert column(online, "tydiqa/train/en", "id") == [f"english-trainq{n}-0" for n in range(4)]
    assert column(online, "tydiqa/dev/sw", "id") == [f"swahili-validationq{n}-0" for n in range(4)]


def test_items_are_shared_between_languages(online):
    assert (
        column(online, "xnli/dev/en", "item")
        == column(online, "xnli/dev/sw", "item")
        == ["0", "1", "2", "3"]
    )
    assert column(online, "mlqa/dev/en", "item") == column(online, "mlqa/dev/de", "item")
    assert (
        column(online, "pawsx/dev/en", "item")
        == column(online, "pawsx/dev/de", "item")
        == ["1", "2", "3", "4"]
    )


def test_unanswerable_questions(online):
    assert column(online, "squad_v2/train/en", "answers")[-1] == {"text": [], "answer_start": []}


def test_sentences_have_no_line_ends(online):
    assert not any("\n" in text for text in column(online, "tatoeba/dev/zh", "text"))


def test_mining_pairs_keep_their_ids_and_the_report_says_what_is_missing(online):
    rows = online["rows"]["bucc2018/dev/zh"]
    assert [(row["id"], row["match"]) for row in rows[:2]] == [("xx-0", "en-0"), ("xx-1", "en-1")]
    (report,) = [row for row in online["report"] if row["task"] == "bucc2018"]
    assert "retrieval accuracy, not mining F1" in report["notes"]


def test_candidates_answer_the_mentions(online):
    entities = set(column(online, "mewslix/test/candidates", "id"))
    assert set(column(online, "mewslix/dev/ar", "match")) < entities == {f"Q{n}" for n in range(5)}
    assert column(online, "mewslix/dev/ar", "id") == ["x0", "x1"], "the data set's own"


def test_wikipedia_is_read_line_by_line(online):
    assert online["rows"]["text//sw"] == [
        *("20231101.sw page 0.", "river stone winter letter garden"),
        *("20231101.sw page 1.", "stone winter letter garden market"),
    ]


def test_the_report_has_rows_expected_rows_and_the_commit(online):
    (report,) = [row for row in online["report"] if (row["task"], row["role"]) == ("mnli", "train")]
    assert (report["rows"], report["expected"], report["as_expected"]) == (4, 392702, False)
    assert "commit " in report["notes"]


# ----- what is missing -----
def test_missing_data_is_said_in_one_sentence(online):
    problems = online["problems"]
    assert set(problems) == {"/".join(wanted) for wanted in MISSING}
    assert all(text.startswith("MissingData: ") for text in problems.values())
    assert "the hub has no validation data for 'th', but for af, ar" in problems["udpos/dev/th"]
    assert "LDC2005T13" in problems["ccg/train/en"]


def test_licensed_data_are_read_from_the_data_folder(root, home):
    path = home / "data/ccg/en.train.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("Ada sleeps\tNP S\\NP\n")
    with MiniHub(root) as hub:
        assert drive(hub, home, [("ccg", "train", "en")])["rows"]["ccg/train/en"][0]["tags"] == [
            0,
            1,
        ]


def test_the_cache_serves_without_the_hub(root, home, online):
    with MiniHub(root) as hub:
        wanted = [("mnli", "train", "en"), ("cosmos_qa", "dev", "en"), ("tatoeba", "dev", "zh")]
        offline = drive(hub, home, wanted, HF_HUB_OFFLINE="1")
        assert hub.requests == []
    assert offline["rows"] == {key: online["rows"][key] for key in map("/".join, wanted)}


# What the targets of XTREME-R train on.
XTREME_R = [
    ("social_i_qa", "xcopa"),
    ("copa", "xcopa"),
    ("squad_answers", "lareqa"),
    ("mewslix_pairs", "mewslix"),
]
# Cleans every training and selection set and prints what it still shares with evaluated sets.
LEAKS = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_sources_leaks import evaluated_targets, leaks, open_source, remaining
source = open_source("hub", data_dir=Path(sys.argv[2]))
dropped = leaks.clean_rows(source, "squad", "dev", ["xquad"])[1]
print(json.dumps([remaining(source, evaluated_targets(source)), dropped]))
"""


def test_training_and_selection_share_nothing_with_evaluation(root, home, online):
    with MiniHub(root) as hub:
        command = [sys.executable, "-c", LEAKS, str(Path(__file__).parent), str(home / "none")]
        done = subprocess.run(
            command, env=hub.env(home), capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stderr[-3000:]
    found, dropped = json.loads(done.stdout)
    assert dropped == 2, "two questions of the development set are XQuAD's"
    assert len(found) > 20
    assert {
        f"{name}/{role} against {target}" for name, target in XTREME_R for role in ("train", "dev")
    } <= set(found)
    assert {key: counts for key, counts in found.items() if any(counts.values())} == {}


@pytest.mark.slow
def test_every_language_of_every_entry_loads(root, tmp_path):
    with MiniHub(root) as hub:
        wanted = [
            (name, role, language)
            for name, row in registry().items()
            for role in row.splits
            for language in (*row.languages, *row.xtreme_r_languages)
            if row.hub and language not in _absent(name, role, language)
            if name != "sib200" or row.hub.names[language] in hub_fixtures.SIB200
        ]
        found = drive(hub, tmp_path, wanted)
    assert found["problems"] == {} and len(found["rows"]) == len(wanted) > 400


def _absent(name: str, role: str, language: str) -> tuple[str, ...]:
    return (
        task(name).hub_for(language).absent.get(task(name).splits[role], ())
        if name != "anli"
        else ()
    )
