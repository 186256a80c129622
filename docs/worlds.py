"""What a question's estimand comes to in other toy worlds: `python docs/worlds.py similarity 1 2`.

Each world is generated from its own seed, its encoders are pre-trained (ten minutes of a busy
core), and the question's study runs with one seed. Every declared finding becomes a line of
outputs/sample/worlds.csv; the answers' table sets the published world beside their mean.
"""

import subprocess
import sys

import pandas as pd
from ruamel.yaml import YAML

from xfer_utils.analysis import findings
from xfer_utils.study import paths, settings_file

ONE = {"none": [0], "other": [0]}
COMMAND = "from xfer_utils.commands.cli import main; main()"


def in_world(question: str, seed: int) -> dict[str, str | int | float]:
    """Runs a question's study in a world of another seed; its declared finding."""
    content, _ = settings_file.extended(paths.PARAMS / f"{question}.yaml")
    name = f"{question}-world{seed}"
    world = {**content["world"], "seed": seed}
    file = paths.outputs() / "worlds" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    YAML().dump({**content, "name": name, "world": world, "seeds": ONE}, file)
    for command in ("run", "report"):
        subprocess.run([sys.executable, "-c", COMMAND, command, str(file)], check=True)
    (found,) = (one for one in findings.read(paths.outputs() / name) if one.declared)
    return {
        "question": question,
        "world": seed,
        "estimate": found.estimate,
        "declared": found.declared,
    }


def main(question: str, *seeds: str) -> None:
    """Puts the question's lines in place of its earlier ones, world by world."""
    file = paths.SAMPLES / "worlds.csv"
    for seed in map(int, seeds):
        line = pd.DataFrame([in_world(question, seed)])
        old = pd.read_csv(file) if file.exists() else line[:0]
        others = old[(old["question"] != question) | (old["world"] != seed)]
        whole = pd.concat([others, line]).sort_values(["question", "world"])
        whole.to_csv(file, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
