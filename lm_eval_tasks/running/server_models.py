"""The harness's models behind a chat server, as ``mis-ground eval`` runs them.

They have the names and arguments of the harness's own, and differ in how they ask: many at once, with answers kept as
they arrive; each image of a question sent; reasoning and finish reason noted beside the answer and left out of it.
"""

import base64
import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import Any

from lm_eval.models.openai_completions import LocalChatCompletion, OpenAIChatCompletion

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.mis_ground.prompts import PLACE
from lm_eval_tasks.mis_ground.replies import Reply
from lm_eval_tasks.running.answer_store import NOTE
from lm_eval_tasks.running.chat_client import ChatClient, Keep, Payload

Request = Any

MANY_IMAGES = 999
NOT_SENT = ("do_sample", "until", "max_gen_toks", "max_tokens", "max_completion_tokens", NOTE, "semsam_plain")


class _Served:
    """What the models have in common.

    Args:
        key_env: the environment variable that holds the key.
        first_wait: seconds before a failed request is sent again; doubled from try to try.
    """

    keeps_empty = True
    """An empty answer is an answer: a failure would have been raised."""

    tokens_name = "max_tokens"

    def __init__(
        self,
        *,
        key_env: str = "OPENAI_API_KEY",
        num_concurrent: int = 4,
        max_retries: int = 6,
        max_images: int = MANY_IMAGES,
        first_wait: float = 1.0,
        **arguments: Any,
    ) -> None:
        self._key_env = key_env
        self._first_wait = float(first_wait)
        more = {"num_concurrent": num_concurrent, "max_retries": max_retries, "max_images": max_images}
        super().__init__(**arguments, **more)
        if not self.model:  # type: ignore[attr-defined]
            raise MISGroundError(
                "The name of the server's model is missing.", remedy="Give --model_args model=NAME,..."
            )
        if not self.base_url:  # type: ignore[attr-defined]
            raise MISGroundError(
                "The server's address is missing.", remedy="Give --model_args base_url=http://HOST:PORT/v1,..."
            )
        self.adapted: dict[str, str] = {}

    @property
    def api_key(self) -> str:
        """The key; empty where there is none, as for a server of one's own."""
        return os.environ.get(self._key_env, "")

    def get_model_info(self) -> dict[str, Any]:
        """What the results file says beside the arguments: parameters that the server did not take."""
        return {"parameters_left_out_or_renamed": dict(self.adapted)} if self.adapted else {}

    def generate_until(self, requests: list[Request], disable_tqdm: bool = False) -> list[str]:
        """The answers; finish reason and reasoning are laid beside the requests' settings."""
        return list(self.ask_each(requests, lambda number, reply: None))

    def ask_each(self, requests: Sequence[Request], keep: Keep) -> list[Reply]:
        """The answers, in order; ``keep`` is called with each when it arrives."""

        def noted(number: int, reply: Reply) -> None:
            if reply.note():
                prompt, settings, *rest = requests[number].args
                requests[number].arguments = (prompt, {**settings, NOTE: reply.note()}, *rest)
            keep(number, reply)

        client = ChatClient(
            self.base_url,  # type: ignore[attr-defined]
            self._headers(),
            concurrent=max(1, self._concurrent),  # type: ignore[attr-defined]
            tries=max(1, self.max_retries),  # type: ignore[attr-defined]
            timeout=self.timeout,  # type: ignore[attr-defined]
            verify=self.verify_certificate,  # type: ignore[attr-defined]
            first_wait=self._first_wait,
            note=lambda text: print(text, file=sys.stderr),
            adapted=self.adapted,
        )
        return client.ask([self._payload(request) for request in requests], noted)

    def _headers(self) -> dict[str, str]:
        if self._header:  # type: ignore[attr-defined]
            return dict(self._header)  # type: ignore[attr-defined]
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def _payload(self, request: Request) -> Callable[[], Payload]:
        prompt, settings, *rest = request.args
        images = list((rest[0] if rest else {}).get("visual") or [])
        return partial(self._made, prompt, settings, images)

    def _made(self, prompt: Any, settings: dict[str, Any], images: list[Any]) -> Payload:
        budget = next((settings[name] for name in NOT_SENT[2:5] if name in settings), self._max_gen_toks)  # type: ignore[attr-defined]
        payload: Payload = {
            "model": self.model,  # type: ignore[attr-defined]
            "messages": messages(prompt, images),
            self.tokens_name: budget,
            "temperature": 0,
            "seed": self._seed,  # type: ignore[attr-defined]
        }
        stop = settings.get("until")
        if stop:
            payload["stop"] = [stop] if isinstance(stop, str) else list(stop)[:4]
        return payload | {name: value for name, value in settings.items() if name not in NOT_SENT}


def messages(prompt: Any, images: Sequence[Any]) -> list[dict[str, Any]]:
    """The conversation, its last turn with the images before the text.

    Args:
        prompt: the harness's chat (JSON in a ``JsonChatStr``), or plain text where no chat template was asked for.
        images: of the last turn.
    """
    chat = getattr(prompt, "prompt", None)
    given = json.loads(chat) if chat is not None else [{"role": "user", "content": str(prompt)}]
    turns: list[dict[str, Any]] = [
        {name: value for name, value in turn.items() if name in ("role", "content", "name")} for turn in given
    ]
    if images:
        text = turns[-1]["content"].replace(PLACE, "").lstrip("\n")
        turns[-1]["content"] = [*map(image_part, images), {"type": "text", "text": text}]
    return turns


def image_part(image: Any) -> dict[str, Any]:
    """An image as a part of a message; an image of the data set goes as it is stored."""
    stream = BytesIO()
    image.save(stream, format="PNG")
    encoded = base64.b64encode(stream.getvalue()).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}


class LocalChat(_Served, LocalChatCompletion):
    """``local-chat-completions``: vLLM, SGLang, Ollama, llama.cpp, Gemini, Claude and other servers of this kind."""


class OpenAIChat(_Served, OpenAIChatCompletion):
    """``openai-chat-completions``: OpenAI's own server."""

    tokens_name = "max_completion_tokens"


class AzureChat(OpenAIChat):
    """``azure-openai-chat-completions``: a deployment on Azure (the harness's own asks for a second package)."""

    def __init__(self, *, model: str | None = None, base_url: str | None = None, **arguments: Any) -> None:
        deployment = model or os.environ.get("AZURE_OPENAI_DEPLOYMENT_NAME")
        endpoint = (base_url or os.environ.get("AZURE_OPENAI_ENDPOINT") or "").rstrip("/")
        version = arguments.pop("api_version", os.environ.get("AZURE_OPENAI_API_VERSION", "2025-03-01-preview"))
        url = f"{endpoint}/openai/deployments/{deployment}/chat/completions?api-version={version}" if endpoint else ""
        super().__init__(**{"key_env": "AZURE_OPENAI_API_KEY", **arguments}, model=deployment, base_url=url)

    def _headers(self) -> dict[str, str]:
        return {"api-key": self.api_key}


SERVED: dict[str, Any] = {
    "local-chat-completions": LocalChat,
    "openai-chat-completions": OpenAIChat,
    "azure-openai-chat-completions": AzureChat,
}
"""By the harness's name."""
