"""Regular expressions of a rules file on text that a notebook controls, within a time limit.

``(a+)+$`` on forty letters runs for years, and Python's re keeps the interpreter's lock meanwhile:
no timeout and no signal gets through. A pattern that can take only few steps on its texts is
matched here; any other one in a child process, which can be ended.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import warnings
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.system import process

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIMIT_SECONDS: Final = 5.0  # for one pattern on all its texts, and the start of the child
_FEW: Final = 10**7  # steps; at most about half a second
_HARMLESS: Final = {"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT"}  # one way to match, if any
_REPEATS: Final = {"MAX_REPEAT", "MIN_REPEAT"}

# One line for each text, so that the first missing line tells which text takes too long.
_CHILD: Final = """\
import json, re, sys
with open(int(sys.argv[1]), encoding="ascii") as file:
    job = json.load(file)
pattern, new = re.compile(job["pattern"], job["flags"]), job["new"]
for text in job["texts"]:
    done = bool(pattern.search(text)) if new is None else pattern.subn(new, text)
    print(json.dumps(done), flush=True)
"""


def found(pattern: str, texts: Sequence[str], names: Sequence[object], flags: int = 0) -> list[Any]:
    """Tell for each text whether ``pattern`` is found in it; ``names`` are for messages.

    Raises :class:`ConfigurationError` when that takes more than :data:`LIMIT_SECONDS`.
    """
    if _steps(pattern, flags, texts) <= _FEW:
        return [bool(re.search(pattern, text, flags)) for text in texts]
    return _apart(pattern, texts, names, flags, None)


def replaced(
    pattern: str, new: str, texts: Sequence[str], names: Sequence[object], flags: int = 0
) -> list[Any]:
    """Return each text with ``new`` in place of the matches, and how many there were.

    Raises :class:`ConfigurationError` when that takes more than :data:`LIMIT_SECONDS`.
    """
    if _steps(pattern, flags, texts) <= _FEW:
        return [re.subn(pattern, new, text, flags=flags) for text in texts]
    return _apart(pattern, texts, names, flags, new)


def check_template(pattern: str, new: str) -> None:
    """Check ``new`` against the groups of ``pattern``, without matching anything.

    Raises :class:`re.error` or :class:`IndexError` that says why it does not fit.
    """
    compiled = re.compile(pattern, re.MULTILINE)
    names = {number: name for name, number in compiled.groupindex.items()}
    groups = (f"(?P<{names[n]}>)" if n in names else "()" for n in range(1, compiled.groups + 1))
    re.sub("".join(groups), new, "")


def _steps(pattern: str, flags: int, texts: Sequence[str]) -> float:
    """Return an upper bound of the steps that matching may take."""
    parsed = _parsed(pattern, flags)
    if parsed is None:
        return math.inf
    try:
        return sum((len(text) + 1) * _ways(parsed, len(text) + 1) for text in texts)
    except (RecursionError, OverflowError):
        return math.inf


@lru_cache
def _parsed(pattern: str, flags: int) -> Any:
    """Return re's own tree of the pattern, or None where this Python shows none."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return import_module("re._parser").parse(pattern, flags)
    except (ImportError, AttributeError, RecursionError):
        return None


def _ways(parts: Iterable[Any], length: int) -> float:
    """Return in how many ways a sequence may match at one place of a text so long, at most."""
    product = 1.0
    for kind, value in parts:
        name = str(kind)
        if name in _REPEATS:
            product *= _repeated(*value, length=length)
        elif name == "SUBPATTERN":
            product *= _ways(value[-1], length)
        elif name == "BRANCH":
            product *= sum(_ways(branch, length) for branch in value[1])
        elif name not in _HARMLESS:  # what refers back, looks around, or is new
            return math.inf
    return product


def _repeated(least: int, most: int, body: Any, *, length: int) -> float:
    """Return the ways of a repeat: one inside of another one multiplies without an end."""
    inner = _ways(body, length)
    if inner > 1 and int(most) > length:
        return math.inf
    times = min(int(most), length)
    choices = max(times - int(least), 0) + 1
    return float(choices * inner**times)


def _apart(
    pattern: str, texts: Sequence[str], names: Sequence[object], flags: int, new: str | None
) -> list[Any]:
    """Match in a child process and end it at the limit."""
    job = json.dumps({"pattern": pattern, "flags": int(flags), "new": new, "texts": list(texts)})
    with os.fdopen(os.memfd_create("stepkit-pattern"), "w+", encoding="ascii") as file:
        file.write(job)
        file.seek(0)
        number = file.fileno()
        done = process.run(
            [sys.executable, "-I", "-S", "-W", "ignore", "-c", _CHILD, str(number)],
            timeout=LIMIT_SECONDS,
            kill_on_timeout=True,
            pass_fds=[number],
            keep=None,
        )
    lines = done.output.splitlines()
    if done.timed_out:
        name = names[min(len(lines), len(names) - 1)]
        raise ConfigurationError(
            f"{pattern!r} takes too long on {name} (more than {LIMIT_SECONDS:g} s): "
            "rewrite it without a repeat inside of a repeat"
        )
    if done.code:
        why = lines[-1] if lines else f"its process ended with code {done.code}"
        raise ConfigurationError(f"{pattern!r} cannot be matched: {why}")
    return [json.loads(line) for line in lines]
