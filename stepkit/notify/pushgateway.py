"""Send the metrics of a run to a Prometheus Pushgateway.

https://github.com/prometheus/pushgateway#api
"""

from __future__ import annotations

import re
import time
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats import plain_text
from stepkit.formats.shorten import shorten
from stepkit.http import connection, safe_urls, status_codes
from stepkit.options import FromEnv, Metavar

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_PLAIN: Final = re.compile(r"\w[\w.-]*", re.ASCII)
_NO_TOKEN: Final = re.compile(r"[^\x21-\x7e]")
_LONGEST: Final = 20.0  # seconds, for the whole request
_LONGEST_ANSWER: Final = 300  # characters of the server's explanation


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    """Flags about a Pushgateway."""

    heading: ClassVar[str] = "metrics"

    metrics_push: Annotated[
        str,
        "address of a Prometheus Pushgateway that gets the figures of the run and of its "
        "notebooks; one that does not take them is a warning",
        Metavar("URL"),
    ] = ""
    metrics_labels: Annotated[
        tuple[str, ...],
        "NAME=VALUE; labels of these metrics, beside job=stepkit and the title. The figures of the "
        "last run with the same labels are replaced",
    ] = ()
    metrics_token: Annotated[
        str | None, "token for the Pushgateway", FromEnv("METRICS_PUSH_TOKEN")
    ] = None
    metrics_user: Annotated[
        str | None, "user name for the Pushgateway", FromEnv("METRICS_PUSH_USER")
    ] = None
    metrics_password: Annotated[
        str | None, "password for the Pushgateway", FromEnv("METRICS_PUSH_PASSWORD")
    ] = None

    def push(self, text: str, *, title: str, taken: Collection[str]) -> None:
        """Replace the metrics of the last run with these labels by ``text``.

        ``taken`` are the labels that the metrics have themselves. Raises
        :class:`~stepkit.errors.StepError` within 20 seconds when the gateway does not take them.
        """
        labels = _labels(self.metrics_labels, taken={*taken, "job", "title"})
        headers = {"Content-Type": "text/plain; version=0.0.4", **self._authorization()}
        safe_urls.check_url(self.metrics_push, token="Authorization" in headers)
        if "?" in self.metrics_push or "#" in self.metrics_push:
            shown = safe_urls.masked(self.metrics_push)
            raise ConfigurationError(f"{shown}: the address of a Pushgateway has no ? and no #")
        address = _address(self.metrics_push, {"job": "stepkit", "title": title, **labels})
        answer = connection.request(
            "PUT",
            address,
            headers,
            body=text.encode(),
            stall=_LONGEST,
            until=time.monotonic() + _LONGEST,
        )
        status = answer.status
        refused = status >= status_codes.REDIRECTION
        why = answer.beginning(seconds=_LONGEST).decode(errors="replace") if refused else ""
        answer.close()
        if refused:
            why = shorten(" ".join(plain_text.plain(why).split()), _LONGEST_ANSWER)
            said = f"{safe_urls.masked(self.metrics_push)}: the server answered HTTP {status}"
            raise status_codes.refusal(
                status,
                f"{said}: {why}" if why else said,
                if_denied="check METRICS_PUSH_TOKEN, or METRICS_PUSH_USER and its password",
                if_missing="check the address, which ends before /metrics",
            )

    def _authorization(self) -> dict[str, str]:
        token, user = (self.metrics_token or "").strip(), (self.metrics_user or "").strip()
        if token and _NO_TOKEN.search(token):
            raise ConfigurationError(
                "METRICS_PUSH_TOKEN holds a blank, a line break or another character that no token "
                "has",
                reason=Reason.AUTH,
            )
        if token:
            return {"Authorization": f"Bearer {token}"}
        if user:
            pair = f"{user}:{(self.metrics_password or '').strip()}".encode()
            return {"Authorization": f"Basic {b64encode(pair).decode()}"}
        return {}


def _labels(given: Collection[str], *, taken: Collection[str]) -> dict[str, str]:
    labels = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not _LABEL.fullmatch(name) or name.startswith("__"):
            raise ConfigurationError(
                f"--metrics-labels {text!r}: write NAME=VALUE; a name has letters, digits and _"
            )
        if name in taken:
            raise ConfigurationError(f"--metrics-labels {text!r}: the metrics have a label {name}")
        labels[name] = value
    return labels


def _address(url: str, labels: Mapping[str, str]) -> str:
    """Return where metrics with these labels go: as base64 where a path cannot have the value."""
    address = f"{url.rstrip('/')}/metrics"
    for name, value in labels.items():
        if _PLAIN.fullmatch(value):
            address += f"/{name}/{value}"
        else:
            coded = urlsafe_b64encode(value.encode("utf-8", "replace")).decode()
            address += f"/{name}@base64/{coded or '='}"
    return address
