"""An S3 server on this machine (moto's), over real HTTP, with faults on demand: what boto and s3fs speak to."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

REFUSED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        pass


class LoopbackS3:
    """The server. Use as a context manager.

    ``asked`` holds (method, path) of what was asked for; ``cut`` says of which paths' ends how many more answers break
    off half way; ``refused`` has parts of "METHOD path?query" that nobody may.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.cut: dict[str, int] = {}
        self.refused: set[str] = set()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()

    def __enter__(self) -> "LoopbackS3":
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.root,
            "AWS_ACCESS_KEY_ID": "loopback",
            "AWS_SECRET_ACCESS_KEY": "loopback",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def got(self, ending: str) -> list[str]:
        """Paths that were downloaded, of those with that ending."""
        return [path for method, path in self.asked if method == "GET" and path.endswith(ending)]

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._lock:
            self.asked.append((method, path))
            cut = next((end for end in self.cut if path.endswith(end)), None) if method == "GET" else None
            if cut is not None:
                self.cut[cut] -= 1
                if not self.cut[cut]:
                    del self.cut[cut]
        asked = f"{method} {path}?" + environ.get("QUERY_STRING", "").replace("%2F", "/")
        if any(part in asked for part in self.refused):
            start_response(
                "403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(REFUSED)))]
            )
            return [] if method == "HEAD" else [REFUSED]
        body = self._moto(environ, start_response)
        return body if cut is None else _half(body)


def _half(body: Any) -> Iterator[bytes]:
    whole = b"".join(body)
    yield whole[: len(whole) // 2]


def upload(storage: Any, folder: Path, place: str) -> None:
    """Put the files of a folder into a bucket."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            storage.pipe_file(f"{place}/{path.relative_to(folder).as_posix()}", path.read_bytes())
