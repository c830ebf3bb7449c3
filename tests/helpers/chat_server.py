"""A chat server on loopback that answers as the servers do that people use, and fails as they do.

The model's name says how: ``KIND`` or ``KIND/MODE``. Kinds are the dialects of vLLM, OpenAI, Gemini and Anthropic;
modes are in `ChatServer.reply`. Every request is kept in `ChatServer.requests`.
"""

import base64
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KEY = "sk-loopback-0123456789"


class ChatServer:
    """Use it as a context manager; ``url`` is its address."""

    def __init__(self, key: str = "") -> None:
        self.requests: list[dict[str, Any]] = []
        self.tries: Counter[str] = Counter()
        self.busiest = self._busy = 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if key and key not in (self.headers["Authorization"] or "") + (self.headers["api-key"] or ""):
                    given = self.headers["Authorization"] or "no key"
                    status, body, headers = 401, {"error": {"message": f"Incorrect API key provided: {given}"}}, {}
                else:
                    status, body, headers = server.reply(sent, self.path)
                if body is None:  # the connection is cut
                    self.close_connection = True
                    self.connection.close()
                    return
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in ({"Content-Type": "application/json"} | headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def questions(self) -> list[dict[str, Any]]:
        """The requests that were answered with status 200."""
        return [request for request in self.requests if request["status"] == 200]

    def reply(self, sent: dict[str, Any], path: str) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers of a request."""
        text, images = parts_of(sent)
        name = hashlib.sha256(json.dumps(sent["messages"]).encode()).hexdigest()
        with self._lock:
            self.tries[name] += 1
            attempt = self.tries[name]
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        kind, _, mode = sent["model"].partition("/")
        status, body, headers = self._answered(kind, mode, sent, text, images, attempt)
        with self._lock:
            self._busy -= 1
            self.requests.append(
                {"text": text, "images": images, "status": status, "sent": sent, "path": path, "attempt": attempt}
            )
        return status, body, headers

    def _answered(
        self, kind: str, mode: str, sent: dict[str, Any], text: str, images: list[str], attempt: int
    ) -> tuple[int, Any, dict[str, str]]:
        listed = [line for line in text.split("\n") if line.startswith("Options: ")]
        options = listed[-1].removeprefix("Options: ").split("; ") if listed else ["?"]
        refused = refused_by(kind, sent)
        if refused:
            return 400, refused, {}
        failing = attempt == 1 or mode.startswith("always ")
        fault = mode.removeprefix("always ").removeprefix("first ")
        if fault in FAULTS and failing:
            if fault == "cut":
                return 0, None, {}
            return FAULTS[fault]
        if mode == "slow":
            time.sleep(0.05)
        message: dict[str, Any] = {"role": "assistant", "content": options[0]}
        ending = "stop"
        if mode == "looks":
            message["content"] = options[int(images[0][:8], 16) % len(options)] if images else "I see no image."
        elif mode == "reasoning":
            field = "reasoning" if kind == "vllm" else "reasoning_content"
            message |= {field: f"It may be {options[-1]}. No."}
        elif mode == "thought":
            message, ending = (
                {"role": "assistant", "content": None, "reasoning_content": f"Is it {options[0]}"},
                "length",
            )
        elif mode == "refusal":
            message |= {"content": None, "refusal": "I'm sorry, I can't help with medical images."}
        elif mode == "parts":
            thinking = {"type": "thinking", "thinking": [{"type": "text", "text": f"Maybe {options[-1]}"}]}
            message["content"] = [thinking, {"type": "text", "text": options[0]}]
        elif mode == "empty":
            message["content"] = ""
        elif mode == "nothing":
            message, ending = {"role": "assistant"}, "content_filter"
        choice = {"index": 0, "message": message, "finish_reason": ENDINGS.get(kind, {}).get(ending, ending)}
        usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
        return 200, {"id": "c", "object": "chat.completion", "model": kind, "choices": [choice], "usage": usage}, {}


ENDINGS = {"anthropic": {"stop": "end_turn", "length": "max_tokens"}}

FAULTS: dict[str, tuple[int, Any, dict[str, str]]] = {
    "limit": (
        429,
        {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}},
        {"Retry-After": "0.05"},
    ),
    "limit without a time": (429, [{"error": {"code": 429, "message": "Quota exceeded", "status": "EXHAUSTED"}}], {}),
    "fault": (500, {"error": "internal"}, {}),
    "overload": (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, {}),
    "gateway": (502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"}),
    "no json": (200, b'{"choices": [{"mess', {}),
    "no choices": (200, {"choices": []}, {}),
    "error in a 200": (200, {"error": {"message": "Provider returned error", "code": 502}}, {}),
    "error in a choice": (
        200,
        {"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "Upstream failed"}, "message": {}}]},
        {},
    ),
    "aborted": (200, {"choices": [{"finish_reason": "abort", "message": {"content": "The struct"}}]}, {}),
    "cut": (0, None, {}),
    "no model": (404, {"object": "error", "message": "The model `x` does not exist.", "code": 404}, {}),
    "quota": (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, {}),
    "images": (400, {"error": {"message": "At most 1 image(s) may be provided in one prompt.", "code": 400}}, {}),
    "filter": (400, {"error": {"message": "The response was filtered", "code": "content_filter"}}, {}),
}


def refused_by(kind: str, sent: dict[str, Any]) -> dict[str, Any] | None:
    """What a server's dialect does not take in a request; each refuses the first thing that it finds."""
    if kind == "openai":
        if "max_tokens" in sent:
            text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
            return {"error": {"message": text, "param": "max_tokens", "code": "unsupported_parameter"}}
        if sent.get("temperature", 1) != 1:
            text = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value."
            return {"error": {"message": text, "param": "temperature", "code": "unsupported_value"}}
        if sent.get("stop") == []:
            return {"error": {"message": "Invalid 'stop': empty array.", "param": "stop", "code": "empty_array"}}
    if kind == "gemini" and "seed" in sent:
        text = 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
        return {"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}
    if kind == "anthropic" and "max_tokens" not in sent:
        return {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: Field required"}}
    return None


def parts_of(sent: dict[str, Any]) -> tuple[str, list[str]]:
    """The text of a request and a hash of each of its images."""
    text, images = "", []
    for part in contents(sent):
        if part["type"] == "text":
            text += part["text"]
        else:
            encoded = part["image_url"]["url"].split(",", 1)[1]
            images.append(hashlib.sha256(base64.b64decode(encoded)).hexdigest())
    return text, images


def contents(sent: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The texts and images of a request's messages, in order."""
    for message in sent["messages"]:
        content = message["content"]
        yield from [{"type": "text", "text": content}] if isinstance(content, str) else content
