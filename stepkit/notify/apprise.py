"""Send a message to a chat, an e-mail address or another service, by its URL, through apprise.

A URL holds tokens, and apprise's log quotes parts of them: neither is ever shown.
"""

from __future__ import annotations

import logging
import re
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.http import status_codes
from stepkit.notify.routes import Outcome
from stepkit.system import time_limit

if TYPE_CHECKING:
    from apprise import NotifyBase

_STATUS: Final = re.compile(r"\berror=(\d{3})\b")
# What smtplib raises, and what apprise says of one recipient of several.
_MAIL_CODE: Final = re.compile(r"\((\d{3}), b?['\"]|was refused: (\d{3})\b")
_MAIL_DENIED: Final = range(530, 540)  # RFC 4954: it wants a login, or another one
_MAIL_REFUSED: Final = 500  # RFC 5321: from here on another attempt does not help
# apprise takes a second URL on the line for a path of the first.
_SECOND_URL: Final = re.compile(r"[\s,;][a-z0-9]+://", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is sent: ``body`` is plain text, ``html`` takes its place in an e-mail.

    ``outcome`` chooses between icons. ``attached`` is a file for an e-mail.
    """

    title: str
    body: str
    html: str
    outcome: Outcome
    attached: Path | None


def is_email(url: str) -> bool:
    """Return whether ``url`` is that of an e-mail by SMTP."""
    return url.lower().startswith(("mailto://", "mailtos://"))


def send(url: str, message: Message, *, name: str, timeout: float) -> None:
    """Send one message; ``name`` stands for the URL in messages, ``timeout`` is in seconds.

    Raises :class:`ToolError` for a failure that may pass and :class:`ConfigurationError` for the
    rest.
    """
    lines = _captured_log()
    channel = _channel(url, name)
    name = f"{name} ({channel.service_name})"
    channel.socket_connect_timeout = max(channel.socket_connect_timeout, timeout)
    channel.socket_read_timeout = max(channel.socket_read_timeout, timeout)
    notify = partial(channel.notify, **_content(message, email=is_email(url)))
    try:
        done = time_limit.within(timeout, notify)
    except TimeoutError:
        text = f"{name}: no answer within {timeout:g} s"
        raise ToolError(text, reason=Reason.NETWORK) from None
    except Exception as error:  # noqa: BLE001 - of any plugin, and its text may hold a token
        raise ToolError(f"{name}: {type(error).__name__} in apprise") from None
    if not done:
        raise _failure(lines, name)


def _content(message: Message, *, email: bool) -> dict[str, Any]:
    """Return the arguments for apprise."""
    import apprise

    kinds = {
        "passed": apprise.NotifyType.SUCCESS,
        "flaky": apprise.NotifyType.WARNING,
        "failed": apprise.NotifyType.FAILURE,
    }
    content: dict[str, Any] = {"title": message.title, "notify_type": kinds[message.outcome]}
    if not email:
        return {**content, "body": message.body, "body_format": apprise.NotifyFormat.TEXT}
    content |= {"body": message.html, "body_format": apprise.NotifyFormat.HTML}
    if message.attached:
        path = quote(str(message.attached.absolute()))
        content["attach"] = apprise.AppriseAttachment(f"file://{path}")
    return content


def _failure(lines: list[str], name: str) -> ToolError | ConfigurationError:
    """Return why nothing was sent, as apprise's log says it."""
    status = next((int(found[1]) for line in lines if (found := _STATUS.search(line))), 0)
    if status:
        said = f"{name}: the server answered HTTP {status}"
        if status >= status_codes.CLIENT_ERROR and not status_codes.worth_retrying(status):
            return ConfigurationError(f"{said}: check its URL and token", reason=Reason.AUTH)
        return ToolError(said, reason=Reason.NETWORK)
    codes = (_MAIL_CODE.search(line) for line in lines)
    code = next((int(found[1] or found[2]) for found in codes if found), 0)
    if not code:
        return ToolError(f"{name}: it was not reached", reason=Reason.NETWORK)
    said = f"{name}: the mail server answered {code}"
    if code in _MAIL_DENIED:
        return ConfigurationError(f"{said}: check user and password", reason=Reason.AUTH)
    if code >= _MAIL_REFUSED:
        return ConfigurationError(f"{said}: check the addresses, and what it takes at most")
    return ToolError(said, reason=Reason.NETWORK)


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
    logger.setLevel(logging.DEBUG)  # only there the answers of mail servers are
    logger.handlers = [Capture()]
    return lines
