"""The evidence of a tool that failed: the last lines that it printed."""

from __future__ import annotations

import re
from typing import Final

from stepkit.errors import Evidence
from stepkit.formats.shorten import shorten
from stepkit.system.logfile import one_line

_MOST: Final = 20  # lines
_LONGEST: Final = 500  # characters of a line
_LABEL: Final = re.compile(r"^(?:(?:fatal|error|warning|remote|ssh): *)+", re.IGNORECASE)


def of_output(output: str, *, message: str) -> Evidence | None:
    """Return the last lines of ``output`` that a tool printed before it failed with ``message``.

    They have no control characters and no colours. None where ``message`` already says all of it.
    """
    printed = [one_line(line).strip() for line in output.splitlines()]
    lines = [shorten(line, _LONGEST) for line in printed if line][-_MOST:]
    if all(_LABEL.sub("", line).rstrip(".") in message for line in lines):
        return None
    return Evidence(output=tuple(lines))
