"""What went wrong when the hub's clients fetch or prepare something, and the sentence that says it.

One table serves data sets and models alike: only the advice differs.
"""

import re
from collections.abc import Iterator

from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from httpx2 import TransportError
from huggingface_hub import errors
from huggingface_hub.constants import HF_HOME, HF_HUB_CACHE
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
    "incomplete": "the cache of {name} is not whole: connect once to complete it, or "
    "copy the whole cache of a machine that has it and set HF_HOME to the copy",
    "unreachable": "cannot reach the hub for {name} ({detail}). Without a connection {local}, or "
    "copy the cache of a machine that has one and set HF_HOME to it and HF_HUB_OFFLINE=1",
    "other": "{name} cannot be loaded ({detail}): {correct}",
}
DATA = {
    "correct": "correct its `hub:` entry in tasks.yaml, or use `source: folder:PATH`",
    "renew": f"delete its folder in {HF_HUB_CACHE} and run again",
    "local": "use `source: folder:PATH`",
}
MODEL = {
    "correct": "correct `load:` and `revision:` in the study file, or name a local folder",
    "renew": "fetch or copy it again",
    "local": "name a local folder in `load:`",
}
OFFLINE = "couldn't connect|offline|cached files|connection|timed out|name resolution"
NETWORK = (ConnectionError, TransportError, errors.LocalEntryNotFoundError, errors.HfHubHTTPError)
# Kind, types and words. The first that fits any link of the chain counts. A file cut short by a
# full disk looks broken, the error for a missing repository speaks of gates whatever is wrong, and
# a file that a repository lacks is told by HTTP, but is no failure of the network.
TESTS = (
    ("full", (), "no space left|not enough disk space|disk quota exceeded"),
    ("gated", (errors.GatedRepoError,), ""),
    ("revision", (errors.RevisionNotFoundError,), ""),
    ("missing", (errors.RepositoryNotFoundError,), ""),
    ("gated", (), r"\bgated\b"),
    ("missing", (DatasetNotFoundError,), ""),
    ("broken", (SafetensorError,), ""),
    ("incomplete", (errors.IncompleteSnapshotError, errors.CachedRepoTreeNotFoundError), ""),
    ("code", (), "trust_remote_code|custom code"),
    ("other", (errors.RemoteEntryNotFoundError,), ""),
    ("unreachable", NETWORK, OFFLINE),
    ("broken", (DatasetGenerationError, ArrowInvalid), ""),
)


def kind(error: BaseException) -> str:
    """A key of SENTENCES, judged by all that an error came from: clients wrap errors in others."""
    links = list(_chain(error))
    says = " ".join(f"{type(link).__name__} {link}" for link in links)
    for name, types, words in TESTS:
        is_a = any(isinstance(link, types) for link in links)
        if is_a or (words and re.search(words, says, re.IGNORECASE)):
            return name
    return "other"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def sentence(name: str, error: BaseException, advice: dict[str, str]) -> str:
    """What went wrong with `name` (a repository, and the part of it) and what to do; one line."""
    problem = kind(error)
    cause = list(_chain(error))[-1] if problem == "broken" else error
    detail = " ".join(str(cause).split())[:300]
    return SENTENCES[problem].format(name=name, detail=detail, home=HF_HOME, **advice)
