"""A Hub on this machine: a real HTTP server with the endpoints that huggingface_hub calls, and faults on demand.

Point a client at it with ``HF_ENDPOINT=hub.endpoint`` and ``HF_HUB_DISABLE_XET=1``. As on the real Hub, large files lie
behind another origin (here: another port), uploads are addressed by content, and a commit is made whole or not at all.
Written after what huggingface_hub 2.4 sends and reads; what it does not look at is left out.
"""

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from huggingface_hub import HfApi

TOKEN = "hf_loopbackTokenThatMustNeverBePrinted"
LFS_SUFFIXES = (".parquet", ".png", ".zip", ".arrow")
LICENCES = {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc-by-nc-sa-4.0", "other"}
SIZES = {"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "n>1M"}


@dataclass(frozen=True)
class Blob:
    """A file of a commit: its content, or the name of a large object."""

    size: int
    content: bytes | None = None
    sha256: str | None = None

    @property
    def oid(self) -> str:
        """What git calls it; for a large object, its pointer file."""
        stored = self.content if self.content is not None else self.pointer
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()

    @property
    def pointer(self) -> bytes:
        """The small file that git keeps in place of a large object."""
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n"
        return text.encode()

    @property
    def etag(self) -> str:
        """As the Hub gives it."""
        return self.sha256 or self.oid


@dataclass
class Repo:
    """A repository: commits (each a whole tree) and what points to them."""

    private: bool
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)  # refs/heads/main, refs/tags/v1, refs/pr/1
    messages: list[str] = field(default_factory=list)

    def resolve(self, revision: str) -> str | None:
        """The commit that a revision names."""
        for name in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if name in self.refs:
                return self.refs[name]
        return revision if revision in self.commits else None

    def commit(self, ref: str, tree: dict[str, Blob], message: str) -> str:
        """Make a commit and let a ref point to it."""
        listing = sorted((path, blob.oid) for path, blob in tree.items())
        oid = hashlib.sha1(json.dumps([listing, message, len(self.messages)]).encode()).hexdigest()
        self.messages.append(message)
        self.commits[oid] = tree
        self.refs[ref] = oid
        return oid


@dataclass
class Fault:
    """What goes wrong with requests that match.

    Args:
        where: regular expression for ``METHOD /path``.
        status: answer so, and do nothing; 0 to cut the connection instead.
        after: with a cut, do what was asked first: the answer is lost on its way.
        skip, times: let so many requests pass first; then so many fail.
        headers, message: of the answer.
        body_bytes: with a cut, read so much of the request first.
    """

    where: str
    status: int = 0
    after: bool = False
    skip: int = 0
    times: int = 10**6
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""
    body_bytes: int | None = None


class LoopbackHub:
    """The server. Use as a context manager.

    Args:
        user: whom the token is of; may write to ``user/...`` only.
        multipart_bytes: larger objects are uploaded in parts of this size.
    """

    def __init__(self, user: str = "me", multipart_bytes: int = 10**9, page: int = 7) -> None:
        self.user, self.multipart_bytes, self.page = user, multipart_bytes, page
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.uploaded: list[tuple[str, int]] = []  # path and bytes of each upload that came whole
        self.before_commit: Callable[[Repo], None] | None = None
        self.lock = threading.Lock()

    def __enter__(self) -> "LoopbackHub":
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(self)) for _ in range(2)]
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.endpoint, self.storage = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def environment(self) -> dict[str, str]:
        """What a client's environment needs to meet this Hub and no other."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_TOKEN": TOKEN,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # or datasets asks Amazon
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def tree(self, repo: str, revision: str = "main") -> dict[str, Blob]:
        """The files of a repository."""
        found = self.repos[repo]
        commit = found.resolve(revision)
        return found.commits[commit] if commit else {}

    def read(self, repo: str, path: str, revision: str = "main") -> bytes:
        """The content of a file."""
        blob = self.tree(repo, revision)[path]
        return self.objects[blob.sha256] if blob.sha256 else blob.content or b""

    def state(self) -> dict[str, dict[str, str]]:
        """Where all refs of all repositories point to: equal before and after means that nothing happened."""
        return {name: dict(repo.refs) for name, repo in self.repos.items()}

    def writes(self) -> list[str]:
        """The requests that ask for a change."""
        return [line for line in self.requests if not line.startswith(("GET", "HEAD")) and "validate-yaml" not in line]

    def next_fault(self, line: str) -> Fault | None:
        """The fault that this request meets."""
        with self.lock:
            for fault in self.faults:
                if re.search(fault.where, line):
                    if fault.skip > 0:
                        fault.skip -= 1
                    elif fault.times > 0:
                        fault.times -= 1
                        return fault
        return None


class _Refused(Exception):  # noqa: N818
    def __init__(self, status: int, message: str, code: str = "", extra: dict | None = None) -> None:
        self.status, self.message, self.code, self.extra = status, message, code, extra or {}


def _handler(hub: LoopbackHub) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.hub = hub
    return Handler


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        hub, line = self.hub, f"{self.command} {self.path}"
        with hub.lock:
            hub.requests.append(line)
        fault = hub.next_fault(line)
        length = int(self.headers.get("Content-Length") or 0)
        if fault and fault.body_bytes is not None:
            self.rfile.read(min(fault.body_bytes, length))
            self._cut()
            return
        self.body = (
            self._chunked() if "chunked" in self.headers.get("Transfer-Encoding", "") else self.rfile.read(length)
        )
        if fault and fault.status:
            self._answer(fault.status, {"error": fault.message}, {"X-Error-Message": fault.message, **fault.headers})
            return
        if fault and not fault.after:
            self._cut()
            return
        try:
            with hub.lock:
                status, content, headers = self._route()
        except _Refused as error:
            headers = {"X-Error-Code": error.code} if error.code else {}
            status, content = error.status, {"error": error.message, **error.extra}
            headers["X-Error-Message"] = error.message
        if fault and fault.after:
            self._cut()
            return
        self._answer(status, content, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _chunked(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, content: object, headers: dict[str, str]) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        if (wanted := self.headers.get("Range")) and status == 200:
            first, last = re.match(r"bytes=(\d+)-(\d*)", wanted).groups()  # type: ignore[union-attr]
            start, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
            headers = headers | {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
            status, data = 206, data[start : end + 1]
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header(
                "Content-Type", "application/octet-stream" if isinstance(content, bytes) else "application/json"
            )
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    # ------------------------------------------------------------------------------------------------------- routing

    def _route(self) -> tuple[int, object, dict[str, str]]:
        parts = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        for method, pattern, function in _ROUTES:
            found = re.fullmatch(pattern, parts.path)
            if found and (method == self.command or (method == "GET" and self.command == "HEAD")):
                result = function(self, *(unquote(group or "") for group in found.groups()))
                return result if isinstance(result, tuple) else (200, result, {})
        raise _Refused(404, f"This Hub has no {self.command} {parts.path}")

    def _user(self) -> str | None:
        given = self.headers.get("Authorization", "")
        if not given:
            return None
        if given != f"Bearer {TOKEN}":
            raise _Refused(401, "Invalid credentials in Authorization header")
        return self.hub.user

    def _may_write(self, repo: str) -> None:
        user = self._user()
        if user is None:
            raise _Refused(401, "Invalid username or password.")
        if repo.removeprefix("spaces/").split("/")[0] != user:
            raise _Refused(403, "You don't have the rights to write here")

    def _page(self, name: str) -> str:
        return f"{self.hub.endpoint}/{name if name.startswith('spaces/') else f'datasets/{name}'}"

    def _repo(self, name: str) -> Repo:
        found = self.hub.repos.get(name)
        if found is None or (found.private and self._user() is None):
            raise _Refused(404 if self._user() else 401, "Repository not found", "RepoNotFound")
        return found

    def _commit(self, name: str, revision: str) -> tuple[str, dict[str, Blob]]:
        repo = self._repo(name)
        commit = repo.resolve(revision)
        if commit is None:
            raise _Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit, repo.commits[commit]

    def _json(self) -> dict:
        return json.loads(self.body or b"{}")

    # --------------------------------------------------------------------------------------------- what the Hub can do

    def whoami(self) -> object:
        user = self._user()
        if user is None:
            raise _Refused(401, "Invalid username or password.")
        return {"type": "user", "name": user, "auth": {"type": "access_token"}}

    def create(self) -> object:
        wanted = self._json()
        name = f"{wanted.get('organization') or self.hub.user}/{wanted['name']}"
        name = f"spaces/{name}" if wanted.get("type") == "space" else name
        self._may_write(name)
        url = self._page(name)
        if name in self.hub.repos:
            raise _Refused(409, "You already created this dataset repo", extra={"url": url})
        repo = self.hub.repos[name] = Repo(wanted.get("visibility") == "private")
        attributes = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"
        repo.commit("refs/heads/main", {".gitattributes": Blob(len(attributes), attributes)}, "initial commit")
        return {"url": url, "name": name}

    def info(self, name: str, revision: str = "") -> object:
        commit, tree = self._commit(name, revision or "main")
        siblings = [{"rfilename": path} for path in sorted(tree)]
        return {"id": name, "sha": commit, "private": self._repo(name).private, "siblings": siblings, "tags": []}

    def refs(self, name: str) -> object:
        lists: dict[str, list] = {"heads": [], "tags": [], "pr": []}
        for ref, commit in self._repo(name).refs.items():
            kind, _, short = ref.removeprefix("refs/").partition("/")
            lists[kind].append({"name": short, "ref": ref, "targetCommit": commit})
        pulls = {"pullRequests": lists["pr"]} if "include_prs" in self.query else {}
        return {"branches": lists["heads"], "converts": [], "tags": lists["tags"]} | pulls

    def _entries(self, tree: dict[str, Blob], under: str, recursive: bool) -> Iterator[dict]:
        prefix = f"{under}/" if under else ""
        folders = set()
        for path, blob in sorted(tree.items()):
            if not path.startswith(prefix):
                continue
            parts = path[len(prefix) :].split("/")
            for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                folders.add(prefix + "/".join(parts[:depth]))
            if recursive or len(parts) == 1:
                yield self._entry(path, blob)
        for folder in sorted(folders):
            yield {"type": "directory", "path": folder, "oid": hashlib.sha1(folder.encode()).hexdigest(), "size": 0}

    def _entry(self, path: str, blob: Blob) -> dict:
        entry = {"type": "file", "path": path, "size": blob.size, "oid": blob.oid}
        if blob.sha256:
            entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": len(blob.pointer)}
        return entry

    def list_tree(self, name: str, revision: str, under: str = "") -> object:
        _, tree = self._commit(name, revision)
        entries = list(self._entries(tree, under, self.query.get("recursive", "").lower() in ("true", "1")))
        if under and not entries:
            raise _Refused(404, f"{under} does not exist", "EntryNotFound")
        start = int(self.query.get("cursor", 0))
        page = entries[start : start + self.hub.page]
        headers = {}
        if start + self.hub.page < len(entries):
            rest = "&".join(f"{k}={v}" for k, v in (self.query | {"cursor": str(start + self.hub.page)}).items())
            headers["Link"] = f'<{self.hub.endpoint}{urlsplit(self.path).path}?{rest}>; rel="next"'
        return 200, page, headers

    def paths_info(self, name: str, revision: str) -> object:
        _, tree = self._commit(name, revision)
        wanted = parse_qs(self.body.decode()).get("paths", [])
        found = [self._entry(path, tree[path]) for path in wanted if path in tree]
        for path in wanted:
            if path not in tree and any(other.startswith(f"{path}/") for other in tree):
                found.append({"type": "directory", "path": path, "oid": "0" * 40, "size": 0})
        return found

    def resolve(self, name: str, revision: str, path: str) -> object:
        commit, tree = self._commit(name, revision)
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if path not in tree:
            raise _Refused(404, "Entry not found", "EntryNotFound")
        blob = tree[path]
        if blob.sha256:
            headers |= {"X-Linked-Etag": f'"{blob.etag}"', "X-Linked-Size": str(blob.size)}
            return 302, b"", headers | {"Location": f"{self.hub.storage}/objects/{blob.sha256}"}
        return 200, blob.content, headers | {"ETag": f'"{blob.etag}"'}

    def get_object(self, sha256: str) -> object:
        return 200, self.hub.objects[sha256], {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes"}

    def validate_yaml(self) -> object:
        wanted = self._json()
        found = re.match(r"---\n(.*?)\n---", wanted["content"], re.DOTALL)
        data = yaml.safe_load(found[1]) if found else {}
        wrong = [
            f'"{key}" must be one of a list, not {value}'
            for key, legal in (("license", LICENCES), ("size_categories", SIZES))
            for value in _as_list(data.get(key))
            if value not in legal
        ]
        wrong += ['"configs" must have unique names'] if len(_names(data)) != len(set(_names(data))) else []
        if wrong:
            raise _Refused(400, "Invalid metadata", extra={"errors": [{"message": m} for m in wrong], "warnings": []})
        return {"errors": [], "warnings": []}

    def preupload(self, name: str, revision: str) -> object:
        self._writer(name)
        _, tree = self._commit(name, revision)
        files = []
        for file in self._json()["files"]:
            lfs = file["path"].endswith(LFS_SUFFIXES) or file["size"] > 10_000_000
            known = tree.get(file["path"])
            answer = {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
            files.append(answer | ({"oid": known.etag} if known else {}))
        return {"files": files}

    def _writer(self, name: str) -> None:
        """Whoever may read may propose a change; to make one takes the owner."""
        self._repo(name)
        if "create_pr" in self.query:
            if self._user() is None:
                raise _Refused(401, "Invalid username or password.")
        else:
            self._may_write(name)

    def lfs_batch(self, name: str) -> object:
        self._repo(name)
        if self._user() is None:
            raise _Refused(401, "Invalid username or password.")
        objects = []
        for wanted in self._json()["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"], "authenticated": True}
            if wanted["oid"] not in self.hub.objects:
                upload: dict = {"href": f"{self.hub.storage}/upload/{wanted['oid']}"}
                if wanted["size"] > self.hub.multipart_bytes:
                    count = -(-wanted["size"] // self.hub.multipart_bytes)
                    urls = {str(n): f"{self.hub.storage}/part/{wanted['oid']}/{n}" for n in range(1, count + 1)}
                    href = f"{self.hub.endpoint}/complete/{wanted['oid']}"
                    upload = {"href": href, "header": {"chunk_size": str(self.hub.multipart_bytes), **urls}}
                verify = {"href": f"{self.hub.endpoint}/verify/{wanted['oid']}"}
                answer["actions"] = {"upload": upload, "verify": verify}
            objects.append(answer)
        return {"transfer": "basic", "objects": objects}

    def put_object(self, sha256: str) -> object:
        if hashlib.sha256(self.body).hexdigest() != sha256:
            raise _Refused(400, "The content is not what it should be")
        self._keep(sha256, self.body)
        return {}

    def _keep(self, sha256: str, content: bytes) -> None:
        self.hub.objects[sha256] = content
        self.hub.uploaded.append((sha256, len(content)))

    def put_part(self, sha256: str, number: str) -> object:
        self.hub.parts[sha256, int(number)] = self.body
        return 200, b"", {"ETag": f'"{hashlib.md5(self.body).hexdigest()}"'}

    def complete(self, sha256: str) -> object:
        given = self._json()["parts"]
        content = b"".join(self.hub.parts[sha256, part["partNumber"]] for part in given)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise _Refused(400, "The parts do not make the object")
        self._keep(sha256, content)
        return {}

    def verify(self, sha256: str) -> object:
        if len(self.hub.objects.get(sha256, b"")) != self._json()["size"]:
            raise _Refused(404, "The object is not there")
        return {}

    def make_commit(self, name: str, revision: str) -> object:
        self._writer(name)
        repo = self._repo(name)
        if self.hub.before_commit:
            self.hub.before_commit(repo)
        lines = [json.loads(line) for line in self.body.splitlines() if line]
        header = next(line["value"] for line in lines if line["key"] == "header")
        head, tree = self._commit(name, revision)
        if header.get("parentCommit", head) != head:
            raise _Refused(412, "A commit has happened since. Please refresh and try again.")
        tree = dict(tree)
        for line in lines:
            self._apply(line["key"], line["value"], tree)
        if "create_pr" in self.query:
            number = 1 + sum(ref.startswith("refs/pr/") for ref in repo.refs)
            oid = repo.commit(f"refs/pr/{number}", tree, header["summary"])
            pull = {"pullRequestUrl": f"{self._page(name)}/discussions/{number}"}
        else:
            oid, pull = repo.commit("refs/heads/main", tree, header["summary"]), {}
        return {
            "success": True,
            "commitOid": oid,
            "commitUrl": f"{self._page(name)}/commit/{oid}",
        } | pull

    def _apply(self, key: str, value: dict, tree: dict[str, Blob]) -> None:
        path = value.get("path", "")
        if key == "file":
            content = base64.b64decode(value["content"])
            if len(content) > 10_000_000:
                raise _Refused(413, "The file is too large to be no LFS object")
            tree[path] = Blob(len(content), content)
        elif key == "lfsFile":
            if value["oid"] not in self.hub.objects:
                raise _Refused(400, f"The object of {path} was not uploaded")
            tree[path] = Blob(len(self.hub.objects[value["oid"]]), sha256=value["oid"])
        elif key in ("deletedFile", "deletedFolder"):
            gone = [p for p in tree if p == path or (key == "deletedFolder" and p.startswith(path.rstrip("/") + "/"))]
            if not gone:
                raise _Refused(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            for one in gone:
                del tree[one]

    def make_tag(self, name: str, revision: str) -> object:
        self._may_write(name)
        commit, _ = self._commit(name, revision)
        ref = f"refs/tags/{self._json()['tag']}"
        refs = self._repo(name).refs
        if ref in refs:
            raise _Refused(409, "Tag reference exists already")
        refs[ref] = commit
        return {}


def _as_list(value: object) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def _names(data: dict) -> list[str]:
    return [config["config_name"] for config in data.get("configs", [])]


# A Space is called spaces/OWNER/NAME here, since a data set may have the same name.
_NAME = r"(?:datasets/|(?=spaces/))((?:spaces/)?[\w.-]+/[\w.-]+)"
_REPO = f"/api/{_NAME}"
_ROUTES: list[tuple[str, str, Callable]] = [
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate_yaml),
    ("GET", _REPO, _Handler.info),
    ("GET", _REPO + "/revision/([^/]+)", _Handler.info),
    ("GET", _REPO + "/refs", _Handler.refs),
    ("GET", _REPO + "/tree/([^/]+)", _Handler.list_tree),
    ("GET", _REPO + "/tree/([^/]+)/(.+)", _Handler.list_tree),
    ("POST", _REPO + "/paths-info/([^/]+)", _Handler.paths_info),
    ("POST", _REPO + "/preupload/([^/]+)", _Handler.preupload),
    ("POST", _REPO + "/commit/([^/]+)", _Handler.make_commit),
    ("POST", _REPO + "/tag/([^/]+)", _Handler.make_tag),
    ("POST", f"/{_NAME}" + r"\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("GET", f"/{_NAME}" + "/resolve/([^/]+)/(.+)", _Handler.resolve),
    ("PUT", r"/upload/(\w+)", _Handler.put_object),
    ("PUT", r"/part/(\w+)/(\d+)", _Handler.put_part),
    ("POST", r"/complete/(\w+)", _Handler.complete),
    ("POST", r"/verify/(\w+)", _Handler.verify),
    ("GET", r"/objects/(\w+)", _Handler.get_object),
]


def client(hub: LoopbackHub, monkeypatch: Any, token: str | None = TOKEN) -> HfApi:
    """A client of this Hub in this process, which reaches no other host and does not wait between tries."""
    from huggingface_hub import constants, utils

    from dataset_builder.files import hub_errors

    for name, value in {
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "ENDPOINT": hub.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    }.items():
        monkeypatch.setattr(constants, name, value)
    real = socket.getaddrinfo

    def only_here(host: Any, *rest: Any, **named: Any) -> Any:
        if host not in ("127.0.0.1", b"127.0.0.1", "localhost"):
            raise AssertionError(f"a test asked for the host {host}")
        return real(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", only_here)
    monkeypatch.setattr(utils._http.time, "sleep", lambda _: None)
    monkeypatch.setattr(hub_errors.time, "sleep", lambda _: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    utils.close_session()
    return HfApi(endpoint=hub.endpoint, token=token if token else False)
