"""Lines that GitHub and Tekton's Dashboard show as an error or a warning, or fold.

GitHub reads a command in each line that begins with ``::``, behind any blanks, or has ``##[``. It
decodes ``%25``, ``%0D`` and ``%0A`` in the text of a command, and ``%3A`` and ``%2C`` in its
parameters as well. The Dashboard reads ``::error::`` and ``::warning::`` without parameters at the
beginning of a line and decodes nothing; some releases fold groups, others show them as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from stepkit.system.logfile import one_line

if TYPE_CHECKING:
    from stepkit.errors import Place

Kind = Literal["error", "warning"]


def on_github(kind: Kind, text: str, place: Place | None = None) -> str:
    """Return GitHub's command for an annotation at ``place``."""
    given = {} if place is None else {"title": place.title, "file": place.file, "line": place.line}
    parameters = ",".join(f"{name}={_parameter(str(v))}" for name, v in given.items() if v)
    return f"::{kind}{' ' if parameters else ''}{parameters}::{_text(text)}"


def in_tekton(kind: Kind, text: str, place: Place | None = None) -> str:
    """Return the Dashboard's spelling of an error or a warning, with the title in its text."""
    if place and not text.startswith(place.title):
        text = f"{place.title}: {text}"
    return f"::{kind}::{one_line(text)}"


def group(title: str) -> str:
    """Return GitHub's command after which lines are folded below ``title``."""
    return f"::group::{_text(title)}"


END_GROUP: Final = "::endgroup::"


def _text(text: str) -> str:
    return one_line(text).replace("%", "%25")


def _parameter(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")
