"""What obstore's text of an error means: which class of error it is, and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.http import status_codes

if TYPE_CHECKING:
    from stepkit.errors import StepError

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([^<]{1,80})</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]{1,300})</Message>")
# S3 API reference, "Error responses": those that may pass, and those about the credentials.
_TEMPORARY: Final = {"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable"}
_CREDENTIALS: Final = {
    "ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"
}  # fmt: skip
# obstore distinguishes these errors by their text alone.
_CERTIFICATE: Final = "InvalidCertificate"
_PERMANENT: Final = re.compile(rf"{_CERTIFICATE}|builder error|Received redirect")
_METADATA_SERVICE: Final = re.compile(r"/latest/(api/token|meta-data)|/computeMetadata/")
_NO_KEY: Final = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod or machine a role"
)


def explain(
    doing: str,
    text: str,
    *,
    bucket: str,
    anonymous: bool,
    if_no_credentials: str = _NO_KEY,
    if_denied: str = "check the credentials and their rights",
) -> StepError:
    """Return the error for obstore's ``text``; an unknown one is taken for temporary.

    ``doing`` begins its message. ``anonymous`` says that no key was given, so that obstore asked
    for the role of the pod or machine; ``if_no_credentials`` is what to do if there is none, and
    ``if_denied`` if the server refuses the credentials.
    """
    if anonymous and _METADATA_SERVICE.search(text):
        return ConfigurationError(
            f"{doing}: there are no credentials: {if_no_credentials}", reason=Reason.AUTH
        )
    status, code = http_status(text), _first_group(_CODE, text)
    why = _reason(status, code, text)
    if code in _TEMPORARY or not (status or code in _CREDENTIALS or _PERMANENT.search(text)):
        return ToolError(f"{doing}: {why}", reason=Reason.NETWORK)
    if code in _CREDENTIALS and not status_codes.worth_retrying(status):
        status = 403
    return status_codes.refusal(
        status,
        f"{doing}: {why}",
        if_denied=if_denied,
        if_missing="check the key" if code == "NoSuchKey" else f"is there a bucket {bucket}?",
    )


def _reason(status: int, code: str, text: str) -> str:
    """Return the part of obstore's text that says what went wrong."""
    if status:
        said = _first_group(_MESSAGE, text)
        return " ".join(filter(None, (f"HTTP {status}", code, f"({said})" if said else "")))
    if _CERTIFICATE in text:
        return "the server's certificate is not trusted: name its authority with --ca-file"
    # Of its debug text: the innermost is last.
    sources = re.findall(r'(?<!store: )"([^"\n]{3,200})"', text)
    return sources[-1] if sources else first_line(text).rpartition(" - ")[2]


def http_status(text: str) -> int:
    """Return the HTTP status in obstore's text, 0 if there is none."""
    return int(_first_group(_STATUS, text) or 0)


def _first_group(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def first_line(text: str) -> str:
    """Return the first line of obstore's text; the others are for developers."""
    return text.partition("\n")[0].strip()
