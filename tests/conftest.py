"""What several test files share: the command line, one run of the smoke study, and a tiny model with made-up data."""

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import ast  # noqa: E402
import json  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from contextlib import suppress  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from pathlib import Path  # noqa: E402
from types import SimpleNamespace  # noqa: E402

import pytest  # noqa: E402

PROJECT = Path(__file__).resolve().parent.parent
SMOKE = PROJECT / "params" / "smoke.yaml"
XFER = Path(sys.executable).with_name("xfer")
WORDS = {"good": "fine great nice", "bad": "poor awful nasty", "odd": "weird queer curious"}
NEUTRAL = "the day was so very much and then a bit"


def environment(outputs: Path) -> dict[str, str]:
    """The environment of a command: this project, these outputs, one thread, no network."""
    own = {
        "XFER_OUTPUTS": str(outputs),
        "PYTHONPATH": str(PROJECT),
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "200",
    }
    return {**os.environ, **own}


def start(*arguments: object, outputs: Path, cwd: Path = PROJECT) -> subprocess.Popen:
    """A real `xfer` command, started."""
    command = [str(XFER), *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment(outputs), cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # Tests that run in the background would hand on that Ctrl-C is not for them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def xfer(*arguments: object, outputs: Path, cwd: Path = PROJECT) -> subprocess.CompletedProcess:
    """A real `xfer` command, run to its end."""
    process = start(*arguments, outputs=outputs, cwd=cwd)
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()  # what took too long
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def study_file(folder: Path, text: str = "", name: str = "small") -> Path:
    """A study that takes over the smoke study's settings, so that equal runs have equal ids."""
    shutil.copy(SMOKE, folder / "smoke.yaml")
    path = folder / f"{name}.yaml"
    path.write_text(f"extends: smoke.yaml\nname: {name}\n{text}", encoding="utf-8")
    return path


def records_of(outputs: Path) -> dict[str, dict]:
    """The results on disk by run id."""
    found = {
        path.parent.name: json.loads(path.read_text())
        for path in outputs.glob("runs/*/result.json")
    }
    return dict(sorted(found.items()))


def scores_of(outputs: Path) -> dict[str, list]:
    """The scores on disk by run id."""
    return {run: record["scores"] for run, record in records_of(outputs).items()}


@dataclass
class Made:
    """A study as it was run: its outputs, what was printed, and how long it took."""

    outputs: Path
    out: str
    err: str
    seconds: float


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> Made:
    """The smoke study, run once for all tests that only read it."""
    outputs = tmp_path_factory.mktemp("smoke") / "outputs"
    begun = time.perf_counter()
    ended = xfer("run", SMOKE, outputs=outputs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return Made(outputs, ended.stdout, ended.stderr, time.perf_counter() - begun)


@pytest.fixture
def own_outputs(smoke, tmp_path) -> Path:
    """A copy of the smoke study's outputs that a test may change."""
    return Path(shutil.copytree(smoke.outputs, tmp_path / "outputs"))


@pytest.fixture
def command(monkeypatch, capsys):
    """The command line within this process, for what runs no notebook: its exit code, and what it printed."""
    from xfer_utils.commands import cli

    def call(*arguments, outputs):
        monkeypatch.setenv("XFER_OUTPUTS", str(outputs))
        monkeypatch.setattr(sys, "argv", ["xfer", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr()

    return call


@pytest.fixture
def run(smoke, monkeypatch):
    """Executes a notebook in this process, and returns its names and all that it displayed."""
    import nbformat

    from xfer_utils.commands import overview
    from xfer_utils.runs.plan import make_plan

    monkeypatch.setenv("XFER_OUTPUTS", str(smoke.outputs))
    overview.save_plan(make_plan(SMOKE))

    def execute(name: str, **given: object) -> dict:
        names, shown = {}, []
        monkeypatch.setattr("IPython.display.display", lambda *all: shown.extend(all))
        monkeypatch.setattr(
            "ipywidgets.interact", lambda function, **options: shown.append(options)
        )
        for cell in nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4).cells:
            if cell.cell_type == "code":
                exec(cell.source, names)
                names |= given if "parameters" in cell.metadata.get("tags", ()) else {}
        return names | {"displayed": shown}

    return execute


def definitions(name: str) -> SimpleNamespace:
    """What a notebook imports and defines, without running it: its functions by themselves.

    Of its constants, those that need nothing it has computed.
    """
    names: dict = {}
    for cell in json.loads((PROJECT / "notebooks" / f"{name}.ipynb").read_text())["cells"]:
        code = "".join(cell["source"]) if cell["cell_type"] == "code" else ""
        for node in ast.parse(code).body:
            constant = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).isupper()
            if constant or isinstance(
                node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
            ):
                with suppress(NameError):
                    exec(compile(ast.Module([node], []), name, "exec"), names)
    return SimpleNamespace(**names)


# ----- a tiny tokenizer, encoder and source -----


def sentences(n: int, seed: int = 0) -> list[tuple[str, int]]:
    """Sentences of neutral words with one telling word, and which of three kinds it is of."""
    import numpy as np

    rng = np.random.default_rng(seed)
    kinds, neutral = [words.split() for words in WORDS.values()], NEUTRAL.split()
    found = []
    for _ in range(n):
        label = int(rng.integers(3))
        words = [*rng.choice(neutral, int(rng.integers(2, 9))), str(rng.choice(kinds[label]))]
        rng.shuffle(words)
        found.append((" ".join(words), label))
    return found


@pytest.fixture(scope="session")
def tokenizer():
    """A small Unigram tokenizer of XLM-R's kind."""
    from xfer_utils.learning.pretraining import train_tokenizer

    lines = [text for text, _ in sentences(300)] + [
        "Who saw the old king , in Ulm ? He saw Anna Karenina there ."
    ]
    return train_tokenizer(lines, 120, 64)


@pytest.fixture
def new_model(tokenizer):
    """Makes a tiny TaskModel; the same seed gives the same weights."""
    from xfer_utils.learning import encoders, task_model, training
    from xfer_utils.study.sections import Pretraining

    def make(
        formats: dict[str, str],
        labels: dict[str, int] | None = None,
        seed: int = 0,
        dropout: float = 0.1,
    ):
        training.set_seed(seed)
        shape = {
            "layers": 2,
            "width": 32,
            "heads": 2,
            "positions": 64,
            "feedforward": 64,
            "dropout": dropout,
        }
        return task_model.TaskModel(
            encoders.new_encoder(tokenizer, Pretraining(**shape)), formats, labels or {}
        )

    return make


@dataclass
class Table:
    """Rows of a made-up source by (task, role, language)."""

    rows: dict[tuple[str, str, str], object]
    labels: dict[str, list[str]] = field(default_factory=dict)

    def languages(self, name: str, role: str) -> list[str]:
        return [language for task, part, language in self.rows if (task, part) == (name, role)]

    def has(self, name: str, role: str, language: str = "en") -> bool:
        return (name, role, language) in self.rows

    def label_names(self, name: str) -> list[str]:
        return self.labels.get(name, [])


class FakeData:
    """What evaluation, selection and retrieval ask of `data.Data`, from rows in memory."""

    def __init__(self, source: Table, tokenizer) -> None:
        self.source, self.tokenizer = source, tokenizer

    def rows(self, name: str, role: str, language: str = "en", most: int = 0, clean: bool = False):
        rows = self.source.rows[name, role, language]
        return rows.select(range(min(most, len(rows)))) if most else rows

    def features(
        self, name, role, language="en", *, max_length, doc_stride=128, most=0, clean=False
    ):
        from xfer_utils.formats import features
        from xfer_utils.study.tasks import task

        rows = self.rows(name, role, language, most)
        return features.of_examples(task(name).format, rows, self.tokenizer, max_length, doc_stride)

    def split_name(self, name: str, role: str) -> str:
        return role


def dataset(rows: list[dict]):
    """Canonical rows; ids are numbers where a row names none."""
    from datasets import Dataset

    names = [
        {key: row.get(key, str(n)) for key in ("id", "item", "cluster")}
        for n, row in enumerate(rows)
    ]
    return Dataset.from_list([{**name, **row} for name, row in zip(names, rows, strict=True)])


def classification(n: int, seed: int = 0):
    """The separable problem as canonical rows of a sequence task."""
    return dataset(
        [{"text_a": text, "text_b": "", "label": label} for text, label in sentences(n, seed)]
    )
