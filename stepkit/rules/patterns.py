"""Run the regular expressions of a rules file within a time limit.

``(a+)+$`` on forty letters runs for years, and Python's re keeps the interpreter's lock meanwhile,
so that no timeout and no signal gets through. Every expression is therefore run in a child process,
which can be killed.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.system import process

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT_SECONDS: Final = 5.0  # for one pattern on all its texts, and the start of the child

# One line for each text, so that the first missing line shows which text takes too long.
_CHILD: Final = """\
import json, re, sys
with open(int(sys.argv[1]), encoding="ascii") as file:
    job = json.load(file)
pattern, new = re.compile(job["pattern"], job["flags"]), job["new"]
for text in job["texts"]:
    done = bool(pattern.search(text)) if new is None else pattern.subn(new, text)
    print(json.dumps(done), flush=True)
"""


def search(
    pattern: str, texts: Sequence[str], names: Sequence[object], flags: int = 0
) -> list[bool]:
    """Return for each text whether ``pattern`` is found in it; messages name a text by ``names``.

    Raises :class:`ConfigurationError` when that takes more than :data:`LIMIT_SECONDS`.
    """
    return _run_in_child(pattern, texts, names, flags, None)


def substitute(
    pattern: str, new: str, texts: Sequence[str], names: Sequence[object], flags: int = 0
) -> list[tuple[str, int]]:
    """Return each text with ``new`` in place of the matches, and how many there were.

    Raises :class:`ConfigurationError` when that takes more than :data:`LIMIT_SECONDS`.
    """
    made = _run_in_child(pattern, texts, names, flags, new)
    return [(text, count) for text, count in made]


def check_template(pattern: str, new: str) -> None:
    """Check ``new`` against the groups of ``pattern``, without matching anything.

    Raises :class:`re.error` or :class:`IndexError` that says why it does not fit.
    """
    compiled = re.compile(pattern, re.MULTILINE)
    names = {number: name for name, number in compiled.groupindex.items()}
    groups = (f"(?P<{names[n]}>)" if n in names else "()" for n in range(1, compiled.groups + 1))
    re.sub("".join(groups), new, "")


def _run_in_child(
    pattern: str, texts: Sequence[str], names: Sequence[object], flags: int, new: str | None
) -> list[Any]:
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
