"""Chats, e-mail and the rest, by their URLs, through apprise.

A URL holds tokens, and apprise's log quotes parts of them: neither is ever shown.
"""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.http import status_codes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from apprise import NotifyBase

_STATUS: Final = re.compile(r"\berror=(\d{3})\b")
_SECOND: Final = re.compile(r"[\s,;][a-z0-9]+://", re.IGNORECASE)  # what apprise takes for a path


def send(url: str, *, name: str, title: str, body: str, good: bool, timeout: float) -> None:
    """Tell one channel; ``name`` stands for it in messages, ``timeout`` is in seconds.

    Raises :class:`ToolError` for what may pass and :class:`ConfigurationError` for the rest.
    """
    with _silent() as told:
        apprise = _apprise()
        channel = _channel(apprise, url, name)
        name = f"{name} ({channel.service_name})"
        channel.socket_connect_timeout = max(channel.socket_connect_timeout, timeout)
        channel.socket_read_timeout = max(channel.socket_read_timeout, timeout)
        kind = apprise.NotifyType.SUCCESS if good else apprise.NotifyType.FAILURE
        try:
            done = channel.notify(
                title=title, body=body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
            )
        except Exception as error:  # noqa: BLE001 - any plugin's own, whose text may hold a token
            raise ToolError(f"{name}: {type(error).__name__} in apprise") from None
    if done:
        return
    status = next((int(found[1]) for line in told if (found := _STATUS.search(line))), 0)
    if status >= status_codes.CLIENT_ERROR and not status_codes.worth_retrying(status):
        message = f"{name}: the server answered HTTP {status}: check its URL and token"
        raise ConfigurationError(message, reason=Reason.AUTH)
    answered = f"the server answered HTTP {status}" if status else "it was not reached"
    raise ToolError(f"{name}: {answered}", reason=Reason.NETWORK)


def _apprise() -> ModuleType:
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
    return apprise


def _channel(apprise: ModuleType, url: str, name: str) -> NotifyBase:
    asset = apprise.AppriseAsset(async_mode=False, app_id="stepkit", image_url_mask=None)
    if _SECOND.search(url):
        raise ConfigurationError(f"{name} holds more than one URL: write one a line")
    try:
        channel: NotifyBase | None = apprise.Apprise.instantiate(url, asset=asset)
    except Exception:  # noqa: BLE001 - of bytes that are no text; its own may hold a token
        channel = None
    if channel is None:
        raise ConfigurationError(
            f"{name} is no URL that apprise knows, or a part of it is wrong: see its documentation"
        )
    return channel


@contextmanager
def _silent() -> Iterator[list[str]]:
    """Keep apprise's log to ourselves."""
    told: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    logger, handler = logging.getLogger("apprise"), Kept()
    before = logger.propagate
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
