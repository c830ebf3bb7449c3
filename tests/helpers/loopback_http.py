"""One connection to the Hub on this machine: HTTP, and the faults that a test asked for."""

import json
import re
import socket
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.helpers.loopback_hub import LoopbackHub


class Refused(Exception):  # noqa: N818
    """The Hub says no: status, message, and the code that huggingface_hub looks at."""

    def __init__(self, status: int, message: str, code: str = "", extra: dict | None = None) -> None:
        self.status, self.message, self.code, self.extra = status, message, code, extra or {}


class Connection(BaseHTTPRequestHandler):
    """Reads a request, meets its fault if it has one, and sends what :meth:`route` answers."""

    hub: "LoopbackHub"
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
                status, content, headers = self.route()
        except Refused as error:
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

    def route(self) -> tuple[int, object, dict[str, str]]:
        """The status, content and headers of the answer."""
        raise NotImplementedError
