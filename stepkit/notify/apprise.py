"""Send a message to a chat, an e-mail address or another service, by its URL, through apprise.

A URL holds tokens, and apprise's log quotes parts of them: neither is ever shown.
"""

from __future__ import annotations

import logging
import re
import warnings
from functools import partial
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.http import status_codes
from stepkit.system import time_limit

if TYPE_CHECKING:
    from apprise import NotifyBase

_STATUS: Final = re.compile(r"\berror=(\d{3})\b")
# apprise takes a second URL on the line for a path of the first.
_SECOND_URL: Final = re.compile(r"[\s,;][a-z0-9]+://", re.IGNORECASE)


def send(url: str, *, name: str, title: str, body: str, good: bool, timeout: float) -> None:
    """Send one message; ``name`` stands for the URL in messages, ``timeout`` is in seconds.

    ``good`` chooses between the icons of success and failure. Raises :class:`ToolError` for a
    failure that may pass and :class:`ConfigurationError` for the rest.
    """
    lines = _captured_log()
    channel = _channel(url, name)
    name = f"{name} ({channel.service_name})"
    channel.socket_connect_timeout = max(channel.socket_connect_timeout, timeout)
    channel.socket_read_timeout = max(channel.socket_read_timeout, timeout)
    from apprise import NotifyFormat, NotifyType

    kind = NotifyType.SUCCESS if good else NotifyType.FAILURE
    notify = partial(
        channel.notify,
        title=title, body=body, notify_type=kind, body_format=NotifyFormat.TEXT,
    )  # fmt: skip
    try:
        done = time_limit.within(timeout, notify)
    except TimeoutError:
        message = f"{name}: no answer within {timeout:g} s"
        raise ToolError(message, reason=Reason.NETWORK) from None
    except Exception as error:  # noqa: BLE001 - of any plugin, and its text may hold a token
        raise ToolError(f"{name}: {type(error).__name__} in apprise") from None
    if done:
        return
    status = next((int(found[1]) for line in lines if (found := _STATUS.search(line))), 0)
    if status >= status_codes.CLIENT_ERROR and not status_codes.worth_retrying(status):
        message = f"{name}: the server answered HTTP {status}: check its URL and token"
        raise ConfigurationError(message, reason=Reason.AUTH)
    answered = f"the server answered HTTP {status}" if status else "it was not reached"
    raise ToolError(f"{name}: {answered}", reason=Reason.NETWORK)


def _channel(url: str, name: str) -> NotifyBase:
    """Return apprise's object for ``url``. Raises :class:`ConfigurationError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of modules that its plugins use
            import apprise

            apprise.Apprise.instantiate("json://localhost")  # imports the plugins
    except ImportError as error:
        raise ConfigurationError(
            "NOTIFY_URLS needs the package apprise, which is not installed here: "
            "pip install 'stepkit[notify]', or take an image that has it"
        ) from error
    if _SECOND_URL.search(url):
        raise ConfigurationError(f"{name} holds more than one URL: write one a line")
    asset = apprise.AppriseAsset(async_mode=False, app_id="stepkit", image_url_mask=None)
    try:
        channel: NotifyBase | None = apprise.Apprise.instantiate(url, asset=asset)
    except Exception:  # noqa: BLE001 - for bytes that are not text; its text may hold a token
        channel = None
    if channel is None:
        raise ConfigurationError(
            f"{name} is not a URL that apprise knows, or a part of it is wrong: see its "
            "documentation"
        )
    return channel


def _captured_log() -> list[str]:
    """Keep apprise's log from being written, and return the list of its lines.

    It is kept for good, because a call that took too long may still write.
    """
    lines: list[str] = []

    class Capture(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.handlers = [Capture()]
    return lines
