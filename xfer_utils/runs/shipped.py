"""Encoders that come with the package: finished pre-trainings that need not be made again.

Each is a folder beside its line in records.json, which says how it was made: settings, seed, a
hash of the text it read, seconds, loss. `make encoders` writes both.
"""

import json
from typing import Any

from xfer_utils.runs import identity
from xfer_utils.study import paths
from xfer_utils.study.sections import Pretraining

FOLDER = paths.PROJECT / "xfer_utils" / "encoders"


def recipe(pretraining: Pretraining, seed: int, text: str) -> dict[str, Any]:
    """What decides a pre-training: two that agree in it give the same encoder."""
    settings = pretraining.model_dump(mode="json", exclude_defaults=True)
    return {"pretrain": settings, "seed": seed, "text": text}


def records() -> dict[str, dict]:
    """How each shipped encoder was made, by the name of its folder."""
    path = FOLDER / "records.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def find(pretraining: Pretraining, seed: int, source: Any) -> str:
    """The folder of the encoder that is shipped for these settings and this text; else empty."""
    like = recipe(pretraining, seed, "")
    near = [name for name, made in records().items() if {**made["recipe"], "text": ""} == like]
    text = identity.text_read(pretraining.lines_per_language, source) if near else ""
    name = next((name for name in near if records()[name]["recipe"]["text"] == text), None)
    return str((FOLDER / name).relative_to(paths.PROJECT)) if name else ""
