"""A small read-only hub on 127.0.0.1, so that tests run the real clients' code without a network.

It serves a folder through the part of the hub's HTTP interface that reading data sets and models uses:

    ROOT/datasets/<owner>/<name>/<revision>/...     ROOT/models/<owner>/<name>/<revision>/...

with one folder per revision, its name URL-quoted (`main`, `refs%2Fconvert%2Fparquet`). The clients read the hub's
address when they are imported, so tests start a subprocess with the environment that `MiniHub.env` gives.
"""

import hashlib
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

LARGE = (".parquet", ".safetensors", ".bin", ".model", ".arrow", ".gz")
PAGE = 1000
API = re.compile(
    r"/api/(models|datasets)/((?:[^/]+/)?[^/]+?)(?:/(revision|tree|paths-info|refs|auth-check)(?:/(.+))?)?"
)
FILE = re.compile(r"/(datasets/)?((?:[^/]+/)?[^/]+)/(?:resolve|raw)/([^/]+|refs/[^/]+/[^/]+)/(.+)")


class Revision:
    """One revision of one repository."""

    def __init__(self, folder: Path):
        self.files: dict[str, tuple[Path, dict[str, Any]]] = {}
        mark = hashlib.sha1()
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name, data = path.relative_to(folder).as_posix(), path.read_bytes()
            oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": oid}
            if name.endswith(LARGE):
                entry["lfs"] = {
                    "oid": hashlib.sha256(data).hexdigest(),
                    "size": len(data),
                    "pointerSize": 134,
                }
            self.files[name] = (path, entry)
            mark.update(f"{name}\0{oid}\n".encode())
        self.sha = mark.hexdigest()

    def etag(self, name: str) -> str:
        """What the client files the content under."""
        entry = self.files[name][1]
        return entry.get("lfs", entry)["oid"]

    def folders(self) -> dict[str, dict[str, Any]]:
        """Entries of the folders, by path."""
        found = {}
        for name in self.files:
            parts = name.split("/")[:-1]
            for end in range(1, len(parts) + 1):
                path = "/".join(parts[:end])
                oid = hashlib.sha1(path.encode()).hexdigest()
                found[path] = {"type": "directory", "path": path, "size": 0, "oid": oid}
        return found

    def tree(self, under: str, recursive: bool) -> list[dict[str, Any]] | None:
        """Entries below a folder; None where there is no such folder."""
        folders = self.folders()
        if under and under not in folders:
            return None
        prefix = f"{under}/" if under else ""
        rows = [*folders.values(), *(entry for _, entry in self.files.values())]
        rows = [row for row in rows if row["path"].startswith(prefix)]
        if not recursive:
            rows = [row for row in rows if "/" not in row["path"][len(prefix) :]]
        return sorted(rows, key=lambda row: row["path"])


class MiniHub:
    """The server. `gated` repositories tell what is in them and refuse it; files with a word of `broken` in their path
    end early."""

    def __init__(self, root: Path, gated: tuple[str, ...] = (), broken: tuple[str, ...] = ()):
        self.root, self.gated, self.broken = Path(root), gated, broken
        self.requests: list[tuple[str, str, int]] = []
        self._revisions: dict[Path, Revision] = {}
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "MiniHub":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def env(self, home: Path) -> dict[str, str]:
        """An environment for a subprocess that knows this hub alone and keeps its cache in `home`."""
        foreign = ("HF_", "HUGGING")
        keep = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(foreign) and not name.lower().endswith("_proxy")
        }
        own = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "DISABLE_SAFETENSORS_CONVERSION": "1"}
        return keep | own | quiet | {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

    def find(self, kind: str, name: str, revision: str) -> Revision | str:
        """A revision by branch, reference or commit, or the hub's code for what is wrong."""
        base = self.root / kind / name
        if not base.is_dir():
            return "RepoNotFound"
        for folder in sorted(path for path in base.iterdir() if path.is_dir()):
            with self._lock:
                if folder not in self._revisions:
                    self._revisions[folder] = Revision(folder)
            found = self._revisions[folder]
            if revision in (unquote(folder.name), found.sha):
                return found
        return "RevisionNotFound"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: MiniHub

    def log_message(self, *_: object) -> None:
        """Keeps the test's output free of a log."""

    def do_HEAD(self) -> None:
        self.route()

    def do_GET(self) -> None:
        self.route()

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.route()

    def route(self) -> None:
        """Finds the repository and hands on to `api` or `file`."""
        url = urlsplit(self.path)
        if found := API.fullmatch(url.path):
            revision, under = _split(found[4] or "main")
            repo = self.hub.find(found[1], unquote(found[2]), unquote(revision))
            return (
                self.fail(repo)
                if isinstance(repo, str)
                else self.api(repo, found, under, url.query)
            )
        if found := FILE.fullmatch(url.path):
            kind = "datasets" if found[1] else "models"
            name = unquote(found[2])
            repo = (
                "GatedRepo"
                if name in self.hub.gated
                else self.hub.find(kind, name, unquote(found[3]))
            )
            return self.fail(repo) if isinstance(repo, str) else self.file(repo, unquote(found[4]))
        return self.reply(404, {"error": "no such route"})

    def api(self, repo: Revision, found: re.Match, under: str, query: str) -> None:
        """What is in a repository."""
        verb, name = found[3], unquote(found[2])
        gated = name in self.hub.gated
        if verb == "auth-check":
            return self.fail("GatedRepo") if gated else self.reply(200, {})
        if verb in (None, "revision"):
            about = {
                "id": name,
                "sha": repo.sha,
                "private": False,
                "gated": gated and "manual",
                "tags": [],
            }
            dates = dict.fromkeys(("lastModified", "createdAt"), "2026-01-01T00:00:00.000Z")
            return self.reply(
                200, about | dates | {"siblings": [{"rfilename": name} for name in repo.files]}
            )
        if verb == "refs":
            branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.sha}
            return self.reply(200, {"branches": [branch], "converts": [], "tags": []})
        if verb == "tree":
            return self.tree(
                repo, under, {key: value[-1] for key, value in parse_qs(query).items()}
            )
        wanted = parse_qs(self.body.decode()).get("paths", [])
        known = repo.folders() | {name: entry for name, (_, entry) in repo.files.items()}
        return self.reply(200, [known[name] for name in wanted if name in known])

    def tree(self, repo: Revision, under: str, query: dict[str, str]) -> None:
        """A folder's entries, a page at a time."""
        rows = repo.tree(
            unquote(under).strip("/"), query.get("recursive", "").lower() in ("1", "true")
        )
        if rows is None:
            return self.fail("EntryNotFound", repo.sha)
        start, headers = int(query.get("cursor", 0)), {}
        if start + PAGE < len(rows):
            more = f"recursive={query.get('recursive', 'false')}&cursor={start + PAGE}"
            headers["Link"] = f'<{self.hub.url}{urlsplit(self.path).path}?{more}>; rel="next"'
        return self.reply(200, rows[start : start + PAGE], headers)

    def file(self, repo: Revision, name: str) -> None:
        """A file, or the part of it that is asked for."""
        if name not in repo.files:
            return self.fail("EntryNotFound", repo.sha)
        data, kind = repo.files[name][0].read_bytes(), "application/octet-stream"
        headers = {
            "ETag": f'"{repo.etag(name)}"',
            "X-Repo-Commit": repo.sha,
            "Accept-Ranges": "bytes",
        }
        headers["Content-Disposition"] = f"inline; filename*=UTF-8''{quote(name.split('/')[-1])}"
        cut = self.command == "GET" and any(word in name for word in self.hub.broken)
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if span and not cut:
            last = min(int(span[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {span[1]}-{last}/{len(data)}"
            return self.reply(206, data[int(span[1]) : last + 1], headers, kind)
        return self.reply(200, data, headers, kind, cut)

    def fail(self, code: str, sha: str | None = None) -> None:
        """An error with the header by which clients tell one from another."""
        status = {"RepoNotFound": 401, "GatedRepo": 403}.get(code, 404)
        headers = {"X-Error-Code": code, "X-Error-Message": code} | (
            {"X-Repo-Commit": sha} if sha else {}
        )
        self.reply(status, {"error": code}, headers)

    def reply(
        self,
        status: int,
        body: Any = b"",
        headers: dict | None = None,
        kind: str = "application/json",
        cut: bool = False,
    ) -> None:
        """Sends an answer; `cut` breaks off in the middle of the body."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body))} | (headers or {})
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut
        self.hub.requests.append((self.command, self.path, status))


def _split(rest: str) -> tuple[str, str]:
    """Revision and path; a reference that is not quoted has slashes of its own."""
    parts = rest.split("/")
    cut = 3 if parts[0] == "refs" else 1
    return "/".join(parts[:cut]), "/".join(parts[cut:])
