"""Numbers and names have bounds that a person would call sane; nothing reaches outside the project."""

import re

import pytest
from test_settings import VALID, refused

TITLE, EPOCHS, STEPS = "title: Mine", "    epochs: 7", "{steps: 10}"
REFUSED = [
    # text, its replacement, key, line, what the message must say
    (STEPS, "{heads: 5}", "models.small.pretrain", 7, "`width: 96` cannot be shared"),
    (STEPS, "{layers: 9223372036854775808}", "small.pretrain.layers", 7, "or equal to 500"),
    ("name: mine", "name: claims", "name", 1, "is a folder in outputs/"),
    ("  small:", "  claims:", "models", 5, "is a folder in outputs/"),
    ("  small:", f"  {'s' * 65}:", "models", 6, "at most 64 characters"),
    (TITLE, "evaluate: {xnli: []}", "evaluate.xnli", 3, "at least 1"),
    (TITLE, "summaries: [../x]", "summaries", 3, "is no notebook"),
    (TITLE, "splits: {xnli: {dev: ../x}}", "splits.xnli.dev", 3, "pattern"),
    (TITLE, "splits: {xnli: {def: x}}", "splits.xnli.def", 3, "'train', 'dev'"),
    (TITLE, "seeds: {none: [-1]}", "seeds.none.0", 3, "or equal to 0"),
    (TITLE, f"seeds: {{none: {list(range(101))}}}", "seeds.none", 3, "at most 100 items"),
    (TITLE, f"workers: {10**30}", "workers", 3, "or equal to 1000"),
    (EPOCHS, "weight_decay: .nan", "mnli.weight_decay", 12, "finite"),
    (EPOCHS, "weight_decay: 1.0e+9", "mnli.weight_decay", 12, "or equal to 10"),
    (EPOCHS, "adam_epsilon: .inf", "mnli.adam_epsilon", 12, "finite"),
    (EPOCHS, "adam_epsilon: 8", "mnli.adam_epsilon", 12, "or equal to 0.01"),
    (EPOCHS, "max_length: 8", "mnli.max_length", 12, "or equal to 16"),
    (EPOCHS, "max_length: 1000000000000", "mnli.max_length", 12, "or equal to 131072"),
]


@pytest.mark.parametrize(
    ("old", "new", "key", "line", "told"), REFUSED, ids=[r[1][:30] for r in REFUSED]
)
def test_what_no_person_means_is_refused(tmp_path, old, new, key, line, told):
    path = tmp_path / "mine.yaml"
    new = f"{TITLE}\n{new}" if old == TITLE else f"    {new}" if old == EPOCHS else new
    path.write_text(VALID.replace(old, new), encoding="utf-8")
    message = refused(path)
    assert re.search(rf"mine\.yaml, line {line}\b", message), message
    assert key in message and told in message
