"""One POST of JSON over HTTP, through requests; a URL that holds a token is never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.http import status_codes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

_LONGEST_CONNECT: Final = 15.0  # seconds


def post(
    url: str,
    payload: Mapping[str, Any],
    *,
    name: str,
    timeout: float,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send ``payload``; ``name`` stands for the URL in messages, ``timeout`` is in seconds.

    Raises :class:`ToolError` for what may pass and :class:`ConfigurationError` for the rest.
    """
    import ssl

    import requests

    try:
        with requests.Session() as session:
            session.auth = _unchanged  # or requests takes a password from ~/.netrc
            session.verify = ssl.get_default_verify_paths().cafile or True  # minds SSL_CERT_FILE
            answer = session.post(
                url,
                json=payload,
                headers={"User-Agent": "stepkit", **(headers or {})},
                timeout=(min(timeout, _LONGEST_CONNECT), timeout),
                allow_redirects=False,  # it would become a GET
                stream=True,
            )
            answer.close()  # the body does not count, and may never end
    except requests.exceptions.SSLError:
        message = (
            f"{name}: the server's certificate is not trusted: name its authority in SSL_CERT_FILE"
        )
        raise ConfigurationError(message, reason=Reason.NETWORK) from None
    except requests.exceptions.Timeout:
        message = f"{name}: no answer within {timeout:g} s"
        raise ToolError(message, reason=Reason.NETWORK) from None
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader, ValueError):
        raise ConfigurationError(f"{name}: this is no https:// or http:// address") from None
    except requests.exceptions.RequestException as error:  # its text holds the URL
        message = f"{name}: no connection ({type(error).__name__})"
        raise ToolError(message, reason=Reason.NETWORK) from None
    except OSError as error:  # requests', for certificates that are not there
        raise ConfigurationError(f"{name}: {error}: check REQUESTS_CA_BUNDLE") from None
    if answer.status_code >= status_codes.REDIRECT:
        raise _refusal(name, answer)


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _refusal(name: str, answer: requests.Response) -> StepError:
    status = answer.status_code
    said = f"{name}: the server answered HTTP {status}"
    limited = "Retry-After" in answer.headers or answer.headers.get("X-RateLimit-Remaining") == "0"
    denied = status in status_codes.DENIED
    if status_codes.may_pass(status) or (denied and limited):
        return ToolError(said, reason=Reason.NETWORK)
    if denied:
        return ConfigurationError(f"{said}: check the token and its rights", reason=Reason.AUTH)
    if status in status_codes.MISSING:
        return ConfigurationError(f"{said}: check the address", reason=Reason.NOT_FOUND)
    if status < status_codes.REFUSED:
        return ConfigurationError(f"{said}, a redirect: write the address that it leads to")
    return ConfigurationError(said)
