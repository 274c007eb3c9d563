"""Make text of strangers harmless: without a terminal's control sequences, with or without colours.

A kernel, a server or a tool may print anything.
"""

from __future__ import annotations

import re
from typing import Final

# CSI sequences, those with a text in them (OSC and the like), and the short ones.
_SEQUENCE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-Z\\^-~]"
)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;:]*m")
# Control characters but the newline, what else ends a line, and what reverses the text after it.
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CONTROL_OR_COLOUR: Final = re.compile(f"({_COLOUR.pattern})|{_CONTROL.pattern}")


def plain(text: str) -> str:
    r"""Return ``text`` without colours, and with no control character but ``\n``.

    Tabs become blanks, of a line that was printed over (``\r``) the last state is kept, and other
    control characters are escaped, as in ``\x07``.
    """
    return _CONTROL.sub(_escaped, _on_screen(_SEQUENCE.sub("", text)))


def coloured(text: str) -> str:
    """Return ``text`` as :func:`plain` does, with its colours."""
    shown = _SEQUENCE.sub(lambda found: found[0] if _COLOUR.fullmatch(found[0]) else "", text)
    return _CONTROL_OR_COLOUR.sub(lambda found: found[1] or _escaped(found), _on_screen(shown))


def _on_screen(text: str) -> str:
    if "\r" in text:
        lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        text = "\n".join(lines)
    return text.expandtabs(4)


def _escaped(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
