"""A client for chat servers that speak OpenAI's protocol: many requests at once, each answer handed over as it arrives.

What servers do on a long run is met here: a limit of requests (429, with or without Retry-After), overload and faults
(5xx), cut connections, answers that are not JSON. Such a request is sent again after a while; other refusals stop the
run with the server's own words. Parameters that a model does not take (a temperature, a seed, ``max_tokens``) are left
out or renamed once the server says so, and `ChatClient.adapted` tells which.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.mis_ground.replies import Reply, as_text, thinking_of

Payload = dict[str, Any]
Keep = Callable[[int, Reply], None]

WORTH_ANOTHER_TRY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
LONGEST_WAIT = 60.0
"""Seconds between two tries where the server does not say how long to wait."""
LONGEST_WAIT_ON_REQUEST = 600.0
"""Seconds that a server's Retry-After is followed."""

ENDINGS = {
    **dict.fromkeys(("max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"), "length"),
    **dict.fromkeys(("end_turn", "stop_sequence", "eos", "eos_token", "complete"), "stop"),
    **dict.fromkeys(
        ("safety", "recitation", "blocklist", "prohibited_content", "spii", "image_safety", "sensitive"),
        "content_filter",
    ),
}
"""Other servers' words for OpenAI's finish reasons: Anthropic, Gemini, Mistral, Zhipu, text-generation-inference."""
BROKEN_OFF = frozenset({"error", "abort", "network_error"})
"""Finish reasons of servers (OpenRouter, vLLM and SGLang, Zhipu) that mean that no answer was made."""

OPTIONAL = ("temperature", "seed", "stop", "top_p")
"""Parameters that may be left out where a model does not take them."""
TOKENS = ("max_tokens", "max_completion_tokens")
"""Two names of one parameter: servers take the one or the other."""

_NOT_TAKEN = re.compile(
    r"unsupported|not supported|does not support|doesn't support|unknown|unrecogni[sz]ed|unexpected|not permitted"
    r"|not allowed|deprecated|extra (inputs|fields)|only the default|cannot find field|is not available",
    re.IGNORECASE,
)


class ServerError(MISGroundError):
    """A chat server refuses, or cannot be reached."""


@dataclass
class ChatClient:
    """Sends payloads to one server.

    Args:
        url: of the server, with or without ``/chat/completions``.
        headers: of every request; hold the key.
        concurrent: number of simultaneous requests.
        tries: of a request before the run stops.
        timeout: seconds that a request may take.
        verify: whether the server's certificate is checked.
        first_wait: seconds before the second try; doubled from try to try.
        note: called with a sentence for the user.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    concurrent: int = 4
    tries: int = 6
    timeout: float = 300.0
    verify: bool = True
    first_wait: float = 1.0
    note: Callable[[str], None] = print
    adapted: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.url = chat_url(self.url)
        self._wait_until = 0.0
        self._error: BaseException | None = None

    def ask(self, payloads: Sequence[Callable[[], Payload]], keep: Keep) -> list[Reply]:
        """The replies, in order.

        Args:
            payloads: each makes what is sent; called when its turn has come, since images are large.
            keep: called with the number and the reply of each request when it arrives.

        Raises:
            ServerError: if a request is refused, or fails again and again; by then all replies that came are kept.
        """
        return asyncio.run(self._ask(payloads, keep))

    async def _ask(self, payloads: Sequence[Callable[[], Payload]], keep: Keep) -> list[Reply]:
        import aiohttp

        replies: list[Reply | None] = [None] * len(payloads)
        numbers = iter(range(len(payloads)))
        self._error, self._wait_until = None, 0.0

        async def work(session: aiohttp.ClientSession) -> None:
            for number in numbers:
                if self._error:
                    return
                try:
                    replies[number] = reply = await self._reply(session, payloads[number]())
                except MISGroundError as error:
                    self._error = self._error or error
                    return
                keep(number, reply)

        connector = aiohttp.TCPConnector(limit=self.concurrent, ssl=self.verify)
        limit = aiohttp.ClientTimeout(total=self.timeout)
        async with aiohttp.ClientSession(connector=connector, timeout=limit, headers=self.headers) as session:
            await asyncio.gather(*(work(session) for _ in range(min(self.concurrent, len(payloads)))))
        if self._error:
            raise self._error
        return [reply for reply in replies if reply is not None]

    async def _reply(self, session: Any, payload: Payload) -> Reply:
        """One reply, with as many tries as it takes."""
        failure, attempt = "", 0
        while attempt < self.tries:
            await asyncio.sleep(max(0.0, self._wait_until - time.monotonic()))
            sent = self._as_taken(payload)
            status, body, wait = await self._post(session, sent)
            if status == 200 and (reply := read_reply(body)) is not None:
                return reply
            message = self._without_key(message_of(body))
            if status in (400, 422) and _is_filtered(body):
                return Reply("", "content_filter")
            # Another request may have found the same out meanwhile.
            refused = status in (400, 404, 422)
            if refused and (self._as_taken(payload) != sent or self._adapt(message, body, payload)):
                continue
            if status not in (0, 200) and (status not in WORTH_ANOTHER_TRY or "insufficient_quota" in message):
                raise refusal(status, message, self.url)
            failure = f"{status}: {message}" if status else message
            attempt += 1
            if attempt < self.tries:
                seconds = wait if wait is not None else min(LONGEST_WAIT, self.first_wait * 2 ** (attempt - 1))
                if status == 429:  # the others would be refused as well
                    self._wait_until = max(self._wait_until, time.monotonic() + seconds)
                else:
                    await asyncio.sleep(seconds)
        raise ServerError(
            f"The server did not answer a question in {self.tries} attempts.",
            value=failure,
            remedy=f"Check that {self.url} is the right address and the server is running. --resume DIR keeps answers.",
        )

    async def _post(self, session: Any, payload: Payload) -> tuple[int, Any, float | None]:
        """Status (0: no answer came), body (None: no JSON), and the seconds that the server asks to wait."""
        import aiohttp

        try:
            async with session.post(self.url, json=payload) as response:
                wait = retry_after(response.headers.get("Retry-After"))
                text = await response.text(errors="replace")
                try:
                    return response.status, json.loads(text), wait
                except ValueError:
                    return response.status, text, wait
        except TimeoutError:
            return 0, f"no answer within {self.timeout:g} s", None
        except (aiohttp.ClientError, OSError) as error:
            return 0, str(error) or type(error).__name__, None

    def _as_taken(self, payload: Payload) -> Payload:
        """The payload with what the server was found to want otherwise."""
        sent = {}
        for name, value in payload.items():
            renamed = self.adapted.get(name, name)
            if renamed:
                sent[renamed] = value
        return sent

    def _adapt(self, message: str, body: Any, payload: Payload) -> bool:
        """Whether the server says that it does not take a parameter that can be left out or renamed."""
        error = body.get("error") if isinstance(body, dict) else None
        named = str(error.get("param") or "") if isinstance(error, dict) else ""
        if not _NOT_TAKEN.search(message):
            return False
        for name in (*TOKENS, *OPTIONAL):
            sent = self.adapted.get(name, name) if name in payload else ""
            if sent != name or not (named == name or re.search(rf"(?<!\w){name}(?!\w)", message)):
                continue
            other = next((each for each in TOKENS if each != name), "") if name in TOKENS else ""
            if name in TOKENS and not (other in message or named == name):
                continue
            self.adapted[name] = other
            what = f"is sent as {other}" if other else "is left out"
            self.note(f"The server does not take the parameter {name!r}, which {what}: {message}")
            return True
        return False

    def _without_key(self, message: str) -> str:
        for value in self.headers.values():
            for part in {value, value.removeprefix("Bearer ")}:
                if len(part) > 3:
                    message = message.replace(part, "(hidden)")
        return message


def chat_url(url: str) -> str:
    """The address with the path of chat completions, which people leave out.

    >>> chat_url("http://localhost:8000/v1")
    'http://localhost:8000/v1/chat/completions'
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path = f"{path or '/v1'}/chat/completions"
    return urlunsplit(parts._replace(path=path))


def read_reply(body: Any) -> Reply | None:
    """The reply in a server's body; None if there is none in it, or the server broke it off."""
    try:
        choice = body["choices"][0]
        message = choice.get("message") or {}
        ending = choice.get("finish_reason")
        content, refused = message.get("content"), message.get("refusal")
        thinking = message.get("reasoning_content") or message.get("reasoning") or thinking_of(content)
    except (LookupError, TypeError, AttributeError):
        return None
    if str(ending).lower() in BROKEN_OFF or (choice.get("error") and not as_text(content)):
        return None
    text, reason = as_text(content), ENDINGS.get(str(ending).lower(), str(ending).lower()) if ending else None
    if not text and refused:
        text, reason = str(refused), "refusal"
    return Reply(text, reason, as_text(thinking) or None)


def message_of(body: Any) -> str:
    """What a server says of an error, in one line of bounded length."""
    found = body
    if isinstance(body, dict) and not body.get("error") and isinstance(body.get("choices"), list) and body["choices"]:
        choice = body["choices"][0] if isinstance(body["choices"][0], dict) else {}
        found = choice.get("error") or f"finish_reason {choice.get('finish_reason')!r}"
    for name in ("error", "detail", "message"):
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict) and found.get(name):
            found = found[name]
    text = found if isinstance(found, str) else str(found)
    if isinstance(body, dict) and isinstance(body.get("error"), dict) and body["error"].get("code"):
        text += f" ({body['error']['code']})"
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:297] + "..."


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks to wait, given in seconds or as a date; None where it says nothing."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(0.0, seconds), LONGEST_WAIT_ON_REQUEST)


def refusal(status: int, message: str, url: str) -> ServerError:
    """The error of a request that the server will not answer, with what to do about it."""
    remedies = {
        401: "Set the environment variable OPENAI_API_KEY to the right key, or use another one: key_env=NAME.",
        403: "Is the key allowed to use this model?",
        404: f"Is {url} the right address, and the model's name the one that the server uses?",
        413: "The images are too large for this server: one contact sheet for each stack is smaller: --stack sheet.",
        429: "The account has no quota left.",
    }
    default = "Correct what the server names; --gen_kwargs NAME=VALUE changes what is sent."
    if re.search(r"image", message, re.IGNORECASE) and re.search(r"at most|too many|maximum|up to", message, re.I):
        default = "Put each stack into one image: --stack sheet; or let the server accept more images per question."
    return ServerError(
        "The server refused a question.", value=f"{status}: {message}", remedy=remedies.get(status, default)
    )


def _is_filtered(body: Any) -> bool:
    error = body.get("error") if isinstance(body, dict) else None
    codes = {str(error.get("code")), str(error.get("type"))} if isinstance(error, dict) else set()
    return bool(
        codes & {"content_filter", "content_policy_violation", "data_inspection_failed", "DataInspectionFailed"}
    )
