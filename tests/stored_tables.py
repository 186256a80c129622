"""Made-up tables in a folder, in the schemas of the hub."""

import json
from pathlib import Path

from datasets import Dataset, Features

from xfer_utils.sources.folder import FolderSource


def store(
    folder: Path, name: str, rows: list[dict], features: Features | None = None
) -> FolderSource:
    """A source with one table: parquet where features are given, JSON lines otherwise."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if features:
        columns = {key: [row[key] for row in rows] for key in features}
        Dataset.from_dict(columns, features=features).to_parquet(f"{path}.parquet")
    else:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        Path(f"{path}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return FolderSource(folder)


def nli(labels: list, premises: list[str] | None = None) -> list[dict]:
    premises = premises or [f"premise {n}" for n in range(len(labels))]
    return [
        {"premise": p, "hypothesis": f"h{n}", "label": labels[n]} for n, p in enumerate(premises)
    ]


def squad(answers: list, contexts: list[str] | None = None, **more: list) -> list[dict]:
    contexts = contexts or ["Ada met Bob."] * len(answers)
    rows = [
        {"id": f"q{n}", "question": "who?", "context": contexts[n], "answers": a}
        for n, a in enumerate(answers)
    ]
    return [row | {key: column[n] for key, column in more.items()} for n, row in enumerate(rows)]
