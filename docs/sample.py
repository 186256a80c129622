"""Puts a study's rendered report into outputs/sample: `make sample` runs it after `xfer report`.

The front page comes whole, summaries as notebooks; of the runs one of each kind comes with its
page, notebook, record and predictions. Links to what stays behind are dropped, their text remains;
downloads inside the front page, half of it, are left to its script. Paths are those in the project.
"""

import re
import shutil
import sys
from pathlib import Path

from xfer_utils.analysis import results
from xfer_utils.study import params, paths

FILE, ALL = 1_400_000, 5_000_000  # bytes: what a file and the whole sample may have
PAGES, RUNS = "report/notebooks", "runs"


def main(study: str) -> None:
    """Copies and checks."""
    name = params.load(study).name
    source, target = paths.outputs() / name, paths.SAMPLES / name
    for folder in ("report", "notebooks"):
        shutil.rmtree(target / folder, ignore_errors=True)
    kept = keep(source)
    shutil.rmtree(paths.SAMPLES / RUNS, ignore_errors=True)
    for run in kept:
        files = [paths.outputs() / RUNS / run / name for name in ("notebook.ipynb", "result.json")]
        for file in (*files, *files[0].parent.glob("predictions/*")):
            copy(file, paths.SAMPLES / RUNS / file.relative_to(paths.outputs() / RUNS))
    for file in (source / "notebooks").glob("*.ipynb"):
        copy(file, target / "notebooks" / file.name)
    pages = [page for page in (source / PAGES).glob("*.html") if is_kept(page, kept)]
    for page in (*pages, source / "report" / "index.html"):
        copy(page, target / page.relative_to(source))
    for page in sorted((target / "report").rglob("*.html")):
        page.write_text(linked(page), encoding="utf-8")
    check(paths.SAMPLES)


def keep(source: Path) -> list[str]:
    """The runs that come along: the last of each kind in the plan, so rather an arm than none."""
    runs, folder = results.plan(source)["runs"], paths.outputs() / RUNS
    done = [run for run in runs if (folder / run["id"] / "result.json").exists()]
    return list({run["kind"]: run["id"] for run in done}.values())


def is_kept(page: Path, runs: list[str]) -> bool:
    """Whether a page is that of a run that comes along."""
    return page.name.startswith(tuple(runs))


def copy(source: Path, target: Path) -> None:
    """One file, with the folders that it needs, and without this machine's path to the project."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content = source.read_bytes()
    if source.suffix != ".parquet":
        content = content.replace(f"{paths.PROJECT}/".encode(), b"")
    target.write_bytes(content)


def linked(page: Path) -> str:
    """A page without links to files that are not there."""

    def link(match: re.Match) -> str:
        address = match[1].split("#")[0]
        inside = ":" not in address and (page.parent / address).is_file()
        there = not address or address.startswith("http") or inside
        made_here = address.startswith("data:")  # the page's script makes such downloads, too
        return match[0] if there else "" if made_here else match[2]

    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', link, text, flags=re.DOTALL)
    note = "<p>In this sample one run of each kind has its page.</p>"
    return re.sub(r'(<h2 id="runs">.*?</h2>)(?!<p>In this)', rf"\1{note}", text)


def check(folder: Path) -> None:
    """Refuses a sample that is too large to commit."""
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    large = [f"{path} ({size:,})" for path, size in sizes.items() if size > FILE]
    if large or sum(sizes.values()) > ALL:
        sys.exit(f"The sample has {sum(sizes.values()):,} bytes. Too large: {', '.join(large)}")
    print(f"{folder}: {len(sizes)} files, {sum(sizes.values()):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
