"""What can be known to be wrong about a model behind a server before it is asked: packages, key, address."""

import os
import socket
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from dataset_builder.core.errors import MISGroundError

Model = Mapping[str, Any]


def check_server(kind: str, arguments: Model, secrets: Model) -> None:
    """Look whether the server is named and answers, the key is set, and the packages are there."""
    missing = [name for name in ("aiohttp", "tenacity") if find_spec(name) is None]
    if missing:
        raise MISGroundError(
            "Models behind a server need packages that are not installed.",
            value=", ".join(missing),
            remedy="pip install 'mis-ground[api]'",
        )
    name = arguments.get("model") or arguments.get("pretrained")
    azure = kind.startswith("azure")
    if not name and not (azure and os.environ.get("AZURE_OPENAI_DEPLOYMENT_NAME")):
        raise MISGroundError("The name of the server's model is missing.", remedy="Give --model_args model=NAME,...")
    variable = str(arguments.get("key_env") or ("AZURE_OPENAI_API_KEY" if azure else "OPENAI_API_KEY"))
    needs_key = kind != "local-chat-completions" or arguments.get("key_env")
    if needs_key and not os.environ.get(variable) and "header" not in secrets:
        raise MISGroundError(f"The environment variable {variable} is empty.", remedy=f"export {variable}=...")
    url = arguments.get("base_url") or (os.environ.get("AZURE_OPENAI_ENDPOINT") if azure else None)
    if not url:
        if kind != "openai-chat-completions":
            raise MISGroundError(
                "The server's address is missing.", remedy="Give --model_args base_url=http://HOST:PORT/v1,model=NAME."
            )
        return
    parts = urlsplit(str(url))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise MISGroundError(
            "The server's address is not a URL.", value=url, remedy="It looks like base_url=http://HOST:PORT/v1."
        )
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=2).close()
    except TimeoutError:
        return
    except (OSError, ValueError) as error:
        if _by_proxy(parts.scheme, parts.hostname):
            return
        raise MISGroundError(
            "The server does not answer.",
            value=f"{url}: {getattr(error, 'strerror', None) or error}",
            remedy="Start it, or correct base_url in --model_args.",
        ) from error


def _by_proxy(scheme: str, host: str) -> bool:
    from urllib.request import getproxies, proxy_bypass

    return scheme in getproxies() and not proxy_bypass(host)
