"""What the Hub on this machine answers, by method and path, as huggingface_hub 2.4 asks."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.helpers.loopback_http import Connection, Refused
from tests.helpers.loopback_repositories import TOKEN, Blob, Repo

if TYPE_CHECKING:
    from tests.helpers.loopback_hub import LoopbackHub


LFS_SUFFIXES = (".parquet", ".png", ".zip", ".arrow")
LICENCES = {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc-by-nc-sa-4.0", "other"}
SIZES = {"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "n>1M"}


def handler(hub: "LoopbackHub") -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.hub = hub
    return Handler


class _Handler(Connection):
    def route(self) -> tuple[int, object, dict[str, str]]:
        parts = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        for method, pattern, function in _ROUTES:
            found = re.fullmatch(pattern, parts.path)
            if found and (method == self.command or (method == "GET" and self.command == "HEAD")):
                result = function(self, *(unquote(group or "") for group in found.groups()))
                return result if isinstance(result, tuple) else (200, result, {})
        raise Refused(404, f"This Hub has no {self.command} {parts.path}")

    def _user(self) -> str | None:
        given = self.headers.get("Authorization", "")
        if not given:
            return None
        if given != f"Bearer {TOKEN}":
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.hub.user

    def _may_write(self, repo: str) -> None:
        user = self._user()
        if user is None:
            raise Refused(401, "Invalid username or password.")
        if repo.removeprefix("spaces/").split("/")[0] != user:
            raise Refused(403, "You don't have the rights to write here")

    def _page(self, name: str) -> str:
        return f"{self.hub.endpoint}/{name if name.startswith('spaces/') else f'datasets/{name}'}"

    def _repo(self, name: str) -> Repo:
        found = self.hub.repos.get(name)
        if found is None or (found.private and self._user() is None):
            raise Refused(404 if self._user() else 401, "Repository not found", "RepoNotFound")
        return found

    def _commit(self, name: str, revision: str) -> tuple[str, dict[str, Blob]]:
        repo = self._repo(name)
        commit = repo.resolve(revision)
        if commit is None:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit, repo.commits[commit]

    def _json(self) -> dict:
        return json.loads(self.body or b"{}")

    # --------------------------------------------------------------------------------------------- what the Hub can do

    def whoami(self) -> object:
        user = self._user()
        if user is None:
            raise Refused(401, "Invalid username or password.")
        return {"type": "user", "name": user, "auth": {"type": "access_token"}}

    def create(self) -> object:
        wanted = self._json()
        name = f"{wanted.get('organization') or self.hub.user}/{wanted['name']}"
        name = f"spaces/{name}" if wanted.get("type") == "space" else name
        self._may_write(name)
        url = self._page(name)
        if name in self.hub.repos:
            raise Refused(409, "You already created this dataset repo", extra={"url": url})
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
            raise Refused(404, f"{under} does not exist", "EntryNotFound")
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
            raise Refused(404, "Entry not found", "EntryNotFound")
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
            raise Refused(400, "Invalid metadata", extra={"errors": [{"message": m} for m in wrong], "warnings": []})
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
                raise Refused(401, "Invalid username or password.")
        else:
            self._may_write(name)

    def lfs_batch(self, name: str) -> object:
        self._repo(name)
        if self._user() is None:
            raise Refused(401, "Invalid username or password.")
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
            raise Refused(400, "The content is not what it should be")
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
            raise Refused(400, "The parts do not make the object")
        self._keep(sha256, content)
        return {}

    def verify(self, sha256: str) -> object:
        if len(self.hub.objects.get(sha256, b"")) != self._json()["size"]:
            raise Refused(404, "The object is not there")
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
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
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
                raise Refused(413, "The file is too large to be no LFS object")
            tree[path] = Blob(len(content), content)
        elif key == "lfsFile":
            if value["oid"] not in self.hub.objects:
                raise Refused(400, f"The object of {path} was not uploaded")
            tree[path] = Blob(len(self.hub.objects[value["oid"]]), sha256=value["oid"])
        elif key in ("deletedFile", "deletedFolder"):
            gone = [p for p in tree if p == path or (key == "deletedFolder" and p.startswith(path.rstrip("/") + "/"))]
            if not gone:
                raise Refused(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            for one in gone:
                del tree[one]

    def make_tag(self, name: str, revision: str) -> object:
        self._may_write(name)
        commit, _ = self._commit(name, revision)
        ref = f"refs/tags/{self._json()['tag']}"
        refs = self._repo(name).refs
        if ref in refs:
            raise Refused(409, "Tag reference exists already")
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
