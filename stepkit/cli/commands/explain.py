"""Say what a reason means, what usually causes it, and what to try.

A reason is the word in brackets at the end of a step's log, and in its report. Without one, all
of them are listed with their exit codes.

For example:

    stepkit explain gpu-out-of-memory
    stepkit explain
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from stepkit.errors import ConfigurationError
from stepkit.options import POSITIONAL, PRINTED

_NARROW: Final = 40  # columns below which text is not wrapped
_WIDE: Final = 100


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which reason to explain."""

    reason: Annotated[str, "reason of a step, such as cell-error; all if left out", POSITIONAL] = ""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What was asked for."""

    text: Annotated[str, "the explanation", PRINTED]


def run(options: Options) -> Outputs:
    """Return the explanation; raise :class:`ConfigurationError` for a word that is not a reason."""
    import shutil

    from stepkit.formats.did_you_mean import did_you_mean
    from stepkit.report import reason_texts

    width = min(max(shutil.get_terminal_size().columns, _NARROW), _WIDE)
    every = reason_texts.every()
    if not options.reason:
        return Outputs(text=reason_texts.listing(width))
    word = options.reason.strip("[] ").lower().replace("_", "-")
    if word == "ok":
        return Outputs(text="ok: nothing failed")
    if word not in every:
        raise ConfigurationError(f"there is no reason {word!r}{did_you_mean(word, every)}")
    return Outputs(text=reason_texts.explanation(every[word], width))
