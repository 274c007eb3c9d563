"""Post JSON over HTTP; the URL, which may hold a token, is never shown."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.http import connection, status_codes

if TYPE_CHECKING:
    from collections.abc import Mapping


def post(
    url: str,
    payload: Mapping[str, Any],
    *,
    name: str,
    timeout: float,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send ``payload``; ``name`` stands for the URL in messages, ``timeout`` is in seconds.

    Trusts the authorities in ``REQUESTS_CA_BUNDLE``, as apprise does, where it is set. Raises
    :class:`ToolError` for a failure that may pass and :class:`ConfigurationError` for the rest.
    """
    import json

    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if bundle and url.lower().startswith("https") and not Path(bundle).exists():
        raise ConfigurationError(
            f"{name}: there are no certificates in {bundle}: check REQUESTS_CA_BUNDLE"
        )
    answer = connection.request(
        "POST",
        url,
        {"Content-Type": "application/json", **(headers or {})},
        body=json.dumps(payload).encode(),
        name=name,
        stall=timeout,
        until=time.monotonic() + timeout,
        certificates=Path(bundle) if bundle else None,
    )
    answer.close()  # the body is not needed, and may never end
    status = answer.status
    if status < status_codes.REDIRECTION:
        return
    said = f"{name}: the server answered HTTP {status}"
    limited = answer.header("Retry-After") or answer.header("X-RateLimit-Remaining") == "0"
    if status in status_codes.DENIED and limited:
        raise ToolError(said, reason=Reason.NETWORK)
    if status < status_codes.CLIENT_ERROR:  # a redirect of a POST would become a GET
        raise ConfigurationError(f"{said}, a redirect: write the address that it leads to")
    raise status_codes.refusal(
        status, said, if_denied="check the token and its rights", if_missing="check the address"
    )
