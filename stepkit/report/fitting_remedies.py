"""What to try in one run: the remedies of its reason that fit it, with what is known filled in."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from stepkit.report import reason_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.report.run_json import CauseJson, RunJson
    from stepkit.report.run_json_notebook import ErrorJson

_ON_A_CLUSTER: Final = re.compile(r"\bon a cluster\b|`kubectl ")
_URL: Final = re.compile(r"https?://[^\s'\"`,;()<>]+")
_PLACEHOLDER: Final = re.compile(r"\bURL\b")
_TOLERATED: Final = "ENAME:REGEX"
_MODULE: Final = re.compile(r"No module named '([\w.]+)'")
_CLASS: Final = re.compile(r"^[^\W\d]\w*$")
# Parts of an error's text that mean themselves in a regular expression and within quotes.
_PLAIN: Final = re.compile(r"\w[\w ]*\w|\w")
# What an error is about, such as the file that is missing.
_NAMED: Final = re.compile(r"'([\w./-]{1,60})'$")
_SCRIPT_ENDED: Final = re.compile(r"returned non-zero exit status \d+")
_MOST_TEXT: Final = 60  # characters of an error's text in an expression


def fitting_remedies(run: RunJson, cause: CauseJson) -> tuple[str, ...]:
    """Return the remedies for ``cause`` that fit the run: plain text, with code in backticks.

    Left out are those for a cluster where the run was not on one, those about something that the
    message does not name, and flags that the step was already given.
    """
    found = reason_texts.find(cause["reason"])
    if found is None:
        return ()
    again = next((step["again"] for step in run["steps"] if step["name"] == cause["step"]), [])
    url = next(iter(_URL.findall(cause["message"])), "").rstrip(".:")
    module = next(iter(_MODULE.findall(cause["message"])), "MODULE")
    fitting = tuple(
        _PLACEHOLDER.sub(
            lambda _: url, text.replace(_TOLERATED, _tolerance(cause["error"]))
        ).replace("MODULE", module)
        for text in found.remedies
        if (url or not _PLACEHOLDER.search(text))
        and (run["identity"]["host"] == "tekton" or not _ON_A_CLUSTER.search(text))
        and re.search(found.only_about.get(text, ""), cause["message"])
        and not _was_given(text, again)
    )
    return fitting or found.remedies


def _was_given(text: str, again: Sequence[str]) -> bool:
    """Return whether ``text`` advises ``--flag value`` that the command had."""
    given = set(pairwise(again))
    return any(pair in given for pair in re.findall(r"`(--[\w-]+) ([^`]+)`", text))


def _tolerance(error: ErrorJson | None) -> str:
    """Return the declaration that tolerates an error, for within single quotes of a shell."""
    if error is None or not _CLASS.match(error["ename"]):
        return _TOLERATED
    if script := _SCRIPT_ENDED.search(error["evalue"]):
        return f"{error['ename']}:.*{script[0]}"
    longest = max(_PLAIN.findall(error["evalue"]), key=len, default="")
    text = f".*{longest[:_MOST_TEXT].strip()}"
    if named := _NAMED.search(error["evalue"]):
        narrow = f"{text}.*{named[1]}"
        text = narrow if re.search(narrow, error["evalue"]) else text
    return f"{error['ename']}:{text}" if longest else error["ename"]
