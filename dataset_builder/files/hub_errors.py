"""What goes wrong with the Hub, in plain words; and trying again where that can help."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from dataset_builder.core.errors import HubError

WAITS = (1.0, 4.0, 15.0)
"""Seconds before each further try."""

LONGEST_WAIT = 120.0
"""If the Hub asks to wait longer than this, the user is told instead."""

_PASSING = (408, 429, 500, 502, 503, 504)
_TRANSPORT = HfHubHTTPError.__bases__[0]
"""Base of the HTTP library's own errors: huggingface_hub has changed that library before."""

T = TypeVar("T")

_PLAIN = {
    401: (
        "The Hub does not recognise you: there is no token, or it is no longer valid.",
        "Log in with a token that has write access (hf auth login), or set HF_TOKEN.",
    ),
    403: (
        "Your token does not let you write to {place}.",
        "Use a token with write access to it, or propose the change with --create-pr.",
    ),
    404: (
        "There is no {place} on the Hub, or it is private and your token has no access.",
        "Check the name (user/name), and log in (hf auth login).",
    ),
    409: ("The Hub is busy with another change of {place}.", "Wait a minute and give the same command again."),
    412: (
        "Someone else has changed {place} in the meantime.",
        "Look at the change, and give the same command again.",
    ),
    413: ("The Hub refuses so large a request.", "Push fewer configs at a time (--only)."),
    429: ("The Hub has received too many requests from you.", "Wait a few minutes and give the same command again."),
}


def refined(error: BaseException, place: str) -> HubError | None:
    """An error of the Hub, its client or the connection in plain words; ``None`` for any other.

    Args:
        error: as it came; what it was raised from is looked at too.
        place: the repository.
    """
    if isinstance(error, ValueError) and "metadata in README.md" in str(error):
        return HubError("The Hub does not accept the card's metadata.", file="README.md", value=_safe(str(error)))
    if isinstance(error, ValueError) and "LFS batch" in str(error):
        return HubError("The Hub rejects a file.", value=_safe(str(error)))
    for one in _causes(error):
        if isinstance(one, HubError):
            return one
        if isinstance(one, HfHubHTTPError):
            return _answered(one, place)
        if isinstance(one, OfflineModeIsEnabled):
            return HubError(
                "Access to the Hub is switched off here.", value="HF_HUB_OFFLINE", remedy="Unset HF_HUB_OFFLINE."
            )
        if isinstance(one, LocalTokenNotFoundError):
            return HubError(_PLAIN[401][0], remedy=_PLAIN[401][1])
        if isinstance(one, (_TRANSPORT, ConnectionError, TimeoutError)):
            return HubError(
                "The connection to the Hub was lost.",
                value=_safe(f"{type(one).__name__}: {one}"),
                remedy="Check the network and give the same command again: what the Hub has is not sent again.",
            )
    return None


def _answered(error: HfHubHTTPError, place: str) -> HubError:
    status = error.response.status_code
    said = _safe(error.server_message or error.response.headers.get("X-Error-Message") or "")
    found = f"HTTP {status}" + (f": {said}" if said else "")
    if status == 401 and error.response.headers.get("X-Error-Code") == "RepoNotFound":
        status = 404
    if status in _PLAIN:
        problem, remedy = _PLAIN[status]
        wait = _wait_asked(error)
        if status == 429 and wait:
            remedy = f"Wait {wait:.0f} seconds and give the same command again."
        return HubError(problem.format(place=place), value=found, remedy=remedy)
    if status >= 500:
        return HubError("The Hub has a problem.", value=found, remedy="Give the same command again, later if need be.")
    return HubError(f"The Hub refused a request about {place}.", value=found)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _safe(text: str) -> str:
    """One line, without anything that looks like a token or a signed address."""
    text = re.sub(r"hf_\w{6,}|Bearer \S+", "(token)", " ".join(text.split()))
    return re.sub(r"\?\S+", "?...", text)[:300]


def _wait_asked(error: BaseException) -> float | None:
    if isinstance(error, HfHubHTTPError):
        asked = error.response.headers.get("Retry-After", "")
        if asked.isdecimal():
            return float(asked)
    return None


def may_pass(error: BaseException) -> bool:
    """Whether trying again can help."""
    for one in _causes(error):
        if isinstance(one, HfHubHTTPError):
            return one.response.status_code in _PASSING and (_wait_asked(one) or 0) <= LONGEST_WAIT
        if isinstance(one, OfflineModeIsEnabled):
            return False
        if isinstance(one, (_TRANSPORT, ConnectionError, TimeoutError)):
            return True
    return False


def patiently(action: Callable[[], T], settled: Callable[[], T | None] = lambda: None) -> T:
    """Do something, again where trying again can help.

    Args:
        action: raises what it cannot do.
        settled: asked after a failure; a result means that all was done, and only the answer was lost.
    """

    def attempt() -> T:
        try:
            return action()
        except Exception as error:
            done = _without_error(settled) if may_pass(error) else None
            if done is None:
                raise
            return done

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = _wait_asked(error) if error else None
        return max((*WAITS, 0.0)[state.attempt_number - 1], min(asked or 0.0, LONGEST_WAIT))

    retrying = Retrying(
        stop=stop_after_attempt(len(WAITS) + 1),
        wait=wait,
        retry=retry_if_exception(may_pass),
        reraise=True,
        sleep=lambda seconds: time.sleep(seconds),
    )
    return retrying(attempt)


def _without_error(ask: Callable[[], T | None]) -> T | None:
    try:
        return ask()
    except Exception:
        return None


@contextmanager
def in_plain_words(place: str, state: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Errors of the Hub become :class:`HubError`.

    Args:
        place: the repository.
        state: says what state it is in now.
    """
    try:
        yield
    except HubError:
        raise
    except Exception as error:
        plain = refined(error, place)
        if plain is None:
            raise
        reported = state()
        raise HubError(
            f"{plain.problem} {reported}".strip(), file=plain.file, value=plain.value, remedy=plain.remedy
        ) from error
