"""What went wrong, in one word, when the hub's clients fetch or prepare something: each caller says what to do."""

import errno
import re
from collections.abc import Iterator
from typing import Literal

from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from httpx2 import TransportError
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

Kind = Literal[
    "full", "gated", "revision", "missing", "broken", "incomplete", "unreachable", "other"
]
FULL_WORDS = ("no space left", "not enough disk space", "disk quota exceeded")
OFFLINE_WORDS = (
    "couldn't connect",
    "offline",
    "cached files",
    "connection",
    "timed out",
    "name resolution",
)


def kind(error: BaseException) -> Kind:
    """The kind of an error, judged by all that it came from: the clients wrap one error in another.

    A full disk comes first, because a file that was cut short by it looks broken.
    """
    links = list(chain(error))
    if any(map(_is_full, links)):
        return "full"
    if any(isinstance(link, GatedRepoError) for link in links):
        return "gated"
    if any(isinstance(link, RevisionNotFoundError) for link in links):
        return "revision"
    if any(isinstance(link, RepositoryNotFoundError) for link in links):
        return (
            "missing"  # before the word: this error advises on gated repositories whatever is wrong
        )
    if re.search(r"\bgated\b", str(error)):
        return "gated"
    if any(isinstance(link, DatasetNotFoundError) for link in links):
        return "missing"
    if any(isinstance(link, SafetensorError) for link in links):
        return "broken"
    if any(
        isinstance(link, IncompleteSnapshotError | CachedRepoTreeNotFoundError) for link in links
    ):
        return "incomplete"
    if any(map(_is_unreachable, links)):
        return "unreachable"
    if any(isinstance(link, DatasetGenerationError | ArrowInvalid) for link in links):
        return "broken"
    return "other"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_full(error: BaseException) -> bool:
    stopped = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return stopped or any(word in str(error).lower() for word in FULL_WORDS)


def _is_unreachable(error: BaseException) -> bool:
    """A file that a repository lacks is no failure of the network, though the hub says so by HTTP."""
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return False
    if isinstance(
        error, ConnectionError | TransportError | LocalEntryNotFoundError | HfHubHTTPError
    ):
        return True
    return any(word in f"{type(error).__name__} {error}".lower() for word in OFFLINE_WORDS)
