"""A file server on this machine, over real HTTP, with faults on demand."""

import contextlib
import hashlib
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Behaviour:
    """How the server treats the next request; the last one holds for all that follow.

    Args:
        status: answer so, with no file; 0 for the file.
        cut: close the connection after so many bytes of the file.
        ranges: whether ranges are known.
        headers: besides the usual.
        content: another file than the one that is there.
        no_length: do not say how long it is.
        redirect: lead there.
    """

    status: int = 0
    cut: int | None = None
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    no_length: bool = False
    redirect: str = ""


class LoopbackFiles:
    """The server. Use as a context manager; ``files`` by path, ``asked`` the ranges that were asked for."""

    def __init__(self, files: dict[str, bytes], behaviours: list[Behaviour] | None = None) -> None:
        self.files = files
        self.behaviours = behaviours or [Behaviour()]
        self.asked: list[str] = []
        self.sent = 0

    def __enter__(self) -> "LoopbackFiles":
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                behaviour = server.behaviours.pop(0) if len(server.behaviours) > 1 else server.behaviours[0]
                server.asked.append(self.headers.get("Range", ""))
                name = self.path.partition("?")[0]
                if behaviour.redirect:
                    behaviour.headers["Location"] = behaviour.redirect
                if behaviour.status or name not in server.files:
                    self._answer(behaviour.status or 404, b"sorry", behaviour)
                    return
                content = server.files[name] if behaviour.content is None else behaviour.content
                etag = f'"{hashlib.md5(content).hexdigest()}"'
                wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                same = self.headers.get("If-Range", etag) == etag
                headers = behaviour.headers | {"ETag": etag}
                if wanted and same and behaviour.ranges:
                    start = int(wanted[1])
                    if start >= len(content):
                        headers["Content-Range"] = f"bytes */{len(content)}"
                        self._answer(416, b"", behaviour, headers)
                        return
                    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                    self._answer(206, content[start:], behaviour, headers)
                    return
                self._answer(200, content, behaviour, headers)

            do_HEAD = do_GET  # noqa: N815

            def _answer(
                self, status: int, body: bytes, behaviour: Behaviour, headers: dict[str, str] | None = None
            ) -> None:
                self.send_response(status)
                for name, value in (behaviour.headers if headers is None else headers).items():
                    self.send_header(name, value)
                if behaviour.no_length:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                else:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                part = body if behaviour.cut is None else body[: behaviour.cut]
                server.sent += len(part)  # first: the client may have it all and look before this goes on
                with contextlib.suppress(OSError):
                    self.wfile.write(part)
                    self.wfile.flush()
                if behaviour.cut is not None:
                    self.close_connection = True
                    with contextlib.suppress(OSError):
                        self.connection.shutdown(socket.SHUT_RDWR)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
