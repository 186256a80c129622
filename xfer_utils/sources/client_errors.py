"""What went wrong when the hub's clients fetch or prepare something, and the sentence that says it.

One table serves data sets and models alike: only the advice differs.
"""

import errno
import os
import re
from collections.abc import Callable, Iterator

from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from httpx2 import TransportError
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from pyarrow import ArrowInvalid
from safetensors import SafetensorError

SENTENCES = {
    "full": "the disk is full; free space there, or set HF_HOME (now {home}) to a larger disk, "
    "and run again: {name}",
    "code": "{name} needs code of its own, which is never run here: choose another",
    "gated": "{name} is gated: accept its terms on its page at the hub, then log in with "
    "`hf auth login`",
    "revision": "{name} has no such revision ({detail}): {correct}",
    "missing": "{name} is not on the hub (any more), or you may not read it ({detail}): {correct}",
    "broken": "{name} is broken or cut short ({detail}): {renew}",
    "incomplete": "the cache of {name} is not whole ({detail}): connect once to complete it, or "
    "copy the whole cache of a machine that has it and set HF_HOME to the copy",
    "unreachable": "cannot reach the hub for {name} ({detail}). Without a connection {local}, or "
    "copy the cache of a machine that has one and set HF_HOME to it and HF_HUB_OFFLINE=1",
    "other": "{name} cannot be loaded ({detail}): {correct}",
}
DATA = {
    "correct": "correct its `hub:` entry in tasks.yaml, or use `source: folder:PATH`",
    "renew": "delete {cache} and run again",
    "local": "use `source: folder:PATH`",
}
MODEL = {
    "correct": "correct `load:` and `revision:` in the study file, or name a local folder",
    "renew": "fetch or copy it again",
    "local": "name a local folder in `load:`",
}
FULL = "no space left|not enough disk space|disk quota exceeded"
OFFLINE = "couldn't connect|offline|cached files|connection|timed out|name resolution"
OWN_CODE = "trust_remote_code|custom code"


def _is_a(*types: type[BaseException]) -> Callable[[BaseException], bool]:
    return lambda error: isinstance(error, types)


def _says(pattern: str) -> Callable[[BaseException], bool]:
    words = re.compile(pattern, re.IGNORECASE)
    return lambda error: bool(words.search(f"{type(error).__name__} {error}"))


def _is_full(error: BaseException) -> bool:
    stopped = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return stopped or _says(FULL)(error)


def _is_unreachable(error: BaseException) -> bool:
    """A file that a repository lacks is no failure of the network, though told by HTTP."""
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return False
    network = (ConnectionError, TransportError, LocalEntryNotFoundError, HfHubHTTPError)
    return isinstance(error, network) or _says(OFFLINE)(error)


# The first that fits any link of the chain counts. A file cut short by a full disk looks broken,
# and the error for a missing repository speaks of gates, whatever is wrong: hence the order.
TESTS = (
    ("full", _is_full),
    ("gated", _is_a(GatedRepoError)),
    ("revision", _is_a(RevisionNotFoundError)),
    ("missing", _is_a(RepositoryNotFoundError)),
    ("gated", _says(r"\bgated\b")),
    ("missing", _is_a(DatasetNotFoundError)),
    ("broken", _is_a(SafetensorError)),
    ("incomplete", _is_a(IncompleteSnapshotError, CachedRepoTreeNotFoundError)),
    ("code", _says(OWN_CODE)),
    ("unreachable", _is_unreachable),
    ("broken", _is_a(DatasetGenerationError, ArrowInvalid)),
)


def kind(error: BaseException) -> str:
    """A key of SENTENCES, judged by all that an error came from: clients wrap errors in others."""
    links = list(_chain(error))
    return next((name for name, test in TESTS if any(map(test, links))), "other")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def sentence(name: str, error: BaseException, advice: dict[str, str]) -> str:
    """What went wrong with `name` (a repository, and the part of it) and what to do; one line."""
    problem = kind(error)
    cause = list(_chain(error))[-1] if problem == "broken" else error
    detail = " ".join(str(cause).split())[:300]
    if problem == "incomplete":
        lost = re.search(r"(\d+) file\(s\)( are missing \(.*?\))(?=\.)", detail)
        detail = f"{lost[1]} files{lost[2]}" if lost else "there is no list of its files"
    repository = name.split()[0].replace("/", "--")
    places = {
        "home": os.environ.get("HF_HOME", "~/.cache/huggingface"),
        "cache": f"{HF_HUB_CACHE}/datasets--{repository}",
    }
    what_to_do = {key: text.format(**places) for key, text in advice.items()}
    return SENTENCES[problem].format(name=name, detail=detail, **places, **what_to_do)
