"""What a server answered git over HTTP, from the trace of git's HTTP library."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# https://git-scm.com/docs/git#Documentation/git.txt-codeGITTRACECURLcode; git masks credentials.
_LINE: Final = re.compile(r"<= Recv header: *(.*)")
_STATUS: Final = re.compile(r"HTTP/[\d.]+ (\d{3})\b")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The last answer of a server: its status and two of its headers, empty if missing."""

    status: int = 0
    content_type: str = ""
    retry_after: str = ""

    @property
    def is_web_page(self) -> bool:
        """Whether the server sent a page for people, such as a login, instead of a repository."""
        return self.status == 200 and self.content_type.startswith("text/html")  # noqa: PLR2004


def read(trace: str) -> Answer:
    """Return the last answer in a trace."""
    status, headers = 0, dict[str, str]()
    for line in _LINE.findall(trace):
        if found := _STATUS.match(line):
            status, headers = int(found[1]), {}
        else:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
    return Answer(
        status=status,
        content_type=headers.get("content-type", "").lower(),
        retry_after=headers.get("retry-after", ""),
    )
