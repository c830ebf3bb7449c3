"""A Hub on this machine: a real HTTP server with the endpoints that huggingface_hub calls, and faults on demand.

Point a client at it with ``HF_ENDPOINT=hub.endpoint`` and ``HF_HUB_DISABLE_XET=1``. As on the real Hub, large files lie
behind another origin (here: another port), uploads are addressed by content, and a commit is made whole or not at all.
Written after what huggingface_hub 2.4 sends and reads; what it does not look at is left out.
"""

import re
import socket
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any

from huggingface_hub import HfApi

from tests.helpers.loopback_repositories import TOKEN, Blob, Fault, Repo
from tests.helpers.loopback_requests import handler


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
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler(self)) for _ in range(2)]
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
