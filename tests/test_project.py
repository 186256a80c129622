"""The project's own rules: one lock, sizes, no stray paths, and a README whose commands work."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from statistics import median

import pytest
import yaml
from conftest import PROJECT, SMOKE
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from xfer_utils.commands.cli import app

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES = sorted((PROJECT / "xfer_utils").rglob("*.py"))
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands}
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def lock():
    lines = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [
        line.split(";")[0].strip() for line in lines if line.strip() and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9_.+!]*", pin) for pin in pins), (
        "pins and nothing else"
    )
    return {canonicalize_name(pin.split("==")[0]): Version(pin.split("==")[1]) for pin in pins}


# ----- one lock -----


def test_the_lock_satisfies_every_range():
    pinned = lock()
    extras = PYPROJECT["project"].get("optional-dependencies", {})
    for text in [*PYPROJECT["project"]["dependencies"], *extras["dev"]]:
        wanted = Requirement(text)
        assert canonicalize_name(wanted.name) in pinned, f"{wanted.name} is not locked"
        version = pinned[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), (
            f"{wanted.name} {version} is not {wanted.specifier}"
        )
        assert wanted.specifier, f"{wanted.name} has no range"


def test_the_hashes_are_those_of_the_lock_but_for_torch_whose_builds_differ_by_index():
    text = (PROJECT / "requirements.hashes.txt").read_text(encoding="utf-8")
    hashed = re.findall(
        r"^([A-Za-z0-9_.-]+)==([^ ;\\]+).*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.M
    )
    found = {canonicalize_name(name): Version(version) for name, version in hashed}
    assert found == {name: version for name, version in lock().items() if name != "torch"}
    assert "--require-hashes -r requirements.hashes.txt" in MAKEFILE


def test_torch_is_locked_where_it_is_tested_and_open_downwards():
    assert lock()["torch"] == Version("2.13.0")
    (torch,) = [
        Requirement(text)
        for text in PYPROJECT["project"]["dependencies"]
        if text.startswith("torch")
    ]
    assert torch.specifier.contains("2.11.0")


def test_makefile_and_conda_use_the_one_lock():
    assert (
        "pip install" in MAKEFILE
        and "-r requirements.txt $(PIP_ARGS)" in MAKEFILE
        and "--no-deps" in MAKEFILE
    )
    dependencies = yaml.safe_load((PROJECT / "environment.yml").read_text(encoding="utf-8"))[
        "dependencies"
    ]
    (pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert pip[0] == "-r requirements.txt" and len(pip) == 2
    names = {re.split("[=<>]", entry)[0] for entry in dependencies if isinstance(entry, str)}
    assert names == {"python", "pip"}, "everything else comes from the lock"
    (python,) = [
        entry.split("=", 1)[1] for entry in dependencies if str(entry).startswith("python")
    ]
    assert Requirement(f"x{PYPROJECT['project']['requires-python']}").specifier.contains(
        python.strip("=")
    )


def test_what_is_imported_is_declared():
    declared = {
        canonicalize_name(Requirement(text).name) for text in PYPROJECT["project"]["dependencies"]
    }
    named = {"yaml": "pyyaml", "ruamel": "ruamel.yaml", "sklearn": "scikit-learn", "PIL": "pillow"}
    brought = {"tokenizers", "ipython", "matplotlib-inline"}  # by others
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in {name.split(".")[0] for name in names}:
                if name == "ray" and path.name == "ray_engine.py":  # an extra, in this module only
                    continue
                if name not in sys.stdlib_module_names and name != "xfer_utils":
                    package = canonicalize_name(named.get(name, name))
                    assert package in declared | brought, f"{path.name} imports {name}"
                    assert package in lock()


# ----- sizes and form -----


@pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: path.relative_to(PROJECT / "xfer_utils").as_posix()
)
def test_a_module(path):
    text = path.read_text(encoding="utf-8")
    if path.name == "__init__.py":
        assert text == ""
        return
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 305, "a file has about 300 lines at most"
    assert ast.get_docstring(tree), "a module says what it is"
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for node in classes.values():
        ours = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
        above = [getattr(base, "id", "") for name in ours for base in classes[name].bases]
        deeper = [name for name in above if _is_level(classes.get(name))]
        assert not deeper, f"{node.name}: a hierarchy of more than one level"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not followed by the hash of code"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 45, (
                f"{node.name}: a function has about 40 lines at most"
            )
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = [*node.args.args, *node.args.kwonlyargs]
            assert node.returns is not None and all(a.annotation for a in arguments), (
                f"{node.name}: type hints"
            )


def _is_level(node):
    """Whether a class of ours adds anything: one that only configures pydantic for others is no level."""
    return node is not None and any(
        isinstance(part, ast.FunctionDef | ast.AnnAssign) for part in node.body
    )


FOLDERS = ["study", "formats", "sources", "learning", "scoring", "runs", "analysis", "commands"]


def imported(path):
    """Modules of the package that a module imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_import_only_what_stands_before_them(folder):
    allowed = FOLDERS[: FOLDERS.index(folder) + 1]
    paths = list((PROJECT / "xfer_utils" / folder).rglob("*.py"))
    assert len(paths) > 3
    for path in paths:
        for name in imported(path):
            if name.startswith("xfer_utils."):
                assert name.split(".")[1] in allowed, f"{path.name} imports {name}"


def test_there_are_eight_folders_and_nothing_beside_them():
    inside = {path.name for path in (PROJECT / "xfer_utils").iterdir() if path.name[0] != "_"}
    assert inside == {*FOLDERS, "encoders"}


def test_the_package_and_its_notebooks_stay_small():
    assert sum(len(path.read_text("utf-8").splitlines()) for path in MODULES) <= 12_505
    counts = []
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        counts.append(sum(len(source.splitlines()) for source in code))
    assert median(counts) <= 150


def tracked():
    """Files that are committed, or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    if found.returncode:
        pytest.skip("not a git checkout")
    return [PROJECT / name for name in found.stdout.splitlines() if (PROJECT / name).is_file()]


def test_no_machine_paths_and_no_registry_hosts():
    places = ["/" + name + "/" for name in ("work", "root", "Users", "mnt")] + [
        "/home" + "/",
        "/tmp" + "/",
    ]
    hosts = ["pypi" + ".org", "download." + "pytorch", "files.python" + "hosted"]
    for path in tracked():
        if path.suffix not in (".png", ".parquet", ".xz", ".gz"):
            text = path.read_text(encoding="utf-8", errors="replace")
            for word in places + hosts:
                assert not re.search(rf"(?<![\w.]){re.escape(word)}", text), (
                    f"{path.relative_to(PROJECT)}: {word}"
                )


def test_nothing_large_or_made_is_committed():
    for path in tracked():
        large = path.suffix == ".safetensors" or path.name == "index.html"
        most = 1_500_000 if large else 1_000_000  # shipped encoders, the rendered sample's page
        assert path.stat().st_size < most, path
        inside = path.relative_to(PROJECT).as_posix()
        assert not inside.startswith("outputs/") or inside.startswith(
            ("outputs/README.md", "outputs/sample/")
        )


def test_study_files_are_valid_and_name_themselves():
    from xfer_utils.study import params

    for path in sorted((PROJECT / "params").glob("*.yaml")):
        assert params.load(path).name == path.stem


# ----- the README -----


def pages():
    """The README and the pages that it leads to, as one text; docs/online.md has a test of its own."""
    written = [path for path in (PROJECT / "docs").glob("*.md") if path.name != "online.md"]
    written += [PROJECT / "README.md", PROJECT / "outputs" / "sample" / "README.md"]
    return "\n".join(path.read_text(encoding="utf-8") for path in written)


def commands():
    """Commands in their code blocks (indented or fenced), without comments."""
    text = pages()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    fenced = [block for kind, block in blocks if kind in ("", "bash", "sh", "console", "text")]
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in fenced for line in block.splitlines()]
    lines += [line.strip() for line in plain.splitlines() if line.startswith("    ")]
    inline = re.findall(r"`((?:make|xfer|\.venv/bin/xfer) [^`]+)`", text)
    found = [
        part.strip() for line in lines + inline for part in re.sub(r"\s#.*", "", line).split("&&")
    ]
    return list(dict.fromkeys(part for part in found if part))


def test_every_command_of_the_readme_is_known():
    assert any(line.startswith("make study") for line in commands())
    for line in commands():
        first, *rest = line.split()
        if first == "make":
            assert rest[0] in TARGETS, line
        elif first.endswith("xfer"):
            assert rest[0] in COMMANDS, line
            for word in rest:
                if word.endswith(".yaml"):
                    assert (PROJECT / word).exists(), line
        else:
            assert first in {"git", "cd", "conda", "source", "jupyter", "export"}, (
                f"no test knows how to check: {line}"
            )


def test_xfer_commands_of_the_readme(smoke, own_outputs, command):
    """Quick ones as they are; what trains or renders, and every study's file, with the smoke study in its place."""
    ran = []
    for line in commands():
        if line.split()[0].endswith("xfer") and len(line.split()) > 2:
            words = [
                str(SMOKE) if w.endswith(".yaml") or w == "FILE" else w for w in line.split()[1:]
            ]
            words = ["retrieval-after-none" if word == "RUN" else word for word in words]
            words = ["toy" if word.startswith("folder:") else word for word in words]
            if words[0] in ("plan", "status"):
                code, printed = command(*words, outputs=own_outputs)
                assert code == 0 and printed.out, line
                ran.append(words[0])
            elif words[0] == "report":
                code, printed = command(words[0], "--help", outputs=own_outputs)
                assert code == 0 and "report" in printed.out
    assert {"plan", "status"} <= set(ran), "`run` and `report` have tests of their own"


def test_make_targets_of_the_readme_do_what_they_say():
    for line in commands():
        if line.startswith("make"):
            target = line.split()[1]
            dry = subprocess.run(
                ["make", "-n", target], cwd=PROJECT, capture_output=True, text=True
            )
            assert dry.returncode == 0, dry.stderr
    study = subprocess.run(
        ["make", "-n", "study"], cwd=PROJECT, capture_output=True, text=True
    ).stdout
    assert "xfer run params/toy.yaml" in study and "xfer report params/toy.yaml" in study
    tests = subprocess.run(
        ["make", "-n", "test"], cwd=PROJECT, capture_output=True, text=True
    ).stdout
    assert "pytest" in tests and "not slow" in tests


def test_the_front_page_is_read_in_minutes():
    """Prose alone; and every link leads to a file."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```|^    .*?$|^\|.*?$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert len(prose.split()) <= 900
    for path in [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).is_file(), f"{path.name}: {link}"


def test_options_that_the_readme_names_exist(command, tmp_path):
    text = re.sub(r"^```slurm.*?^```$", "", pages(), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"(?<![\w-])--(?!extra-index-url)[a-z][a-z-]+", text))
    known = ""
    for name in ("plan", "run", "status", "report", "export", "clean", "pack"):
        code, printed = command(name, "--help", outputs=tmp_path)
        assert code == 0
        known += printed.out
    assert {option for option in named if option not in known} == set()


def test_continuous_integration_runs_everything():
    script = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    assert [line for line in script.splitlines() if line.startswith("make")] == [
        "make test",
        "make test-slow",
        "make lint",
    ]
    assert {"study", "test", "test-slow", "test-all", "lab", "lint"} <= TARGETS
