"""What each reason of a failure means, what usually causes it, and what to try.

The texts are in ``reason_texts.toml``. The summary, report.html, `stepkit explain` and
docs/explain.md show them.
"""

from __future__ import annotations

import textwrap
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import stepkit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FILE: Final = Path(__file__).with_name("reason_texts.toml")


@dataclass(frozen=True, kw_only=True)
class ReasonText:
    """The texts of one reason: plain, with code in backticks.

    ``means`` is a sentence; ``causes`` are halves of one, ``remedies`` begin with a verb and end
    without a full stop. A remedy in ``only_about`` fits where the message matches that regular
    expression. ``exit_codes`` are those with which a step ends for this reason. ``more`` is a page
    below docs/, perhaps with an anchor, or ``""``.
    """

    reason: str
    exit_codes: tuple[int, ...]
    means: str
    causes: tuple[str, ...]
    remedies: tuple[str, ...]
    only_about: dict[str, str]
    more: str = ""


def find(reason: str) -> ReasonText | None:
    """Return the texts of ``reason``, None for ``ok`` and for a word that is not a reason."""
    return every().get(reason)


@cache
def every() -> Mapping[str, ReasonText]:
    """Return the texts of all reasons, by their name."""
    with _FILE.open("rb") as file:
        read = tomllib.load(file)
    return {
        reason: ReasonText(
            reason=reason,
            exit_codes=tuple(entry["exit_codes"]),
            means=entry["means"],
            causes=tuple(entry["causes"]),
            remedies=tuple(entry["remedies"]),
            only_about=entry.get("only_about", {}),
            more=entry.get("more", ""),
        )
        for reason, entry in read.items()
    }


def explanation(text: ReasonText, width: int) -> str:
    """Return ``text`` in paragraphs of at most ``width`` columns."""
    codes = ", ".join(map(str, text.exit_codes))
    parts = [
        f"{text.reason} (exit code {codes})",
        _wrapped(text.means, width),
        "\n".join(["Usual causes", *bullets(text.causes, width)]),
        "\n".join(["What to try", *bullets(text.remedies, width)]),
    ]
    if text.more:
        parts.append(f"More, in stepkit's repository:\n{_address(text.more)}")
    return "\n\n".join(parts)


def _address(page: str) -> str:
    """Return where a page is: on the web for a release, else its path in a clone."""
    from importlib import metadata

    try:
        urls = metadata.metadata("stepkit").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        urls = []
    source = next((url.removeprefix("Source, ") for url in urls if url.startswith("Source, ")), "")
    if not source or source.startswith("https://github.com/you/"):
        return f"docs/{page}"
    return f"{source}/blob/v{stepkit.__version__}/docs/{page}"


def listing(width: int) -> str:
    """Return all reasons with their exit codes and meanings, in lines of at most ``width``."""
    widest = max(map(len, every()))
    lines = []
    for text in every().values():
        codes = "/".join(map(str, text.exit_codes))
        lines.append(_wrapped(text.means, width, f"{text.reason:<{widest}}  {codes:<11}  "))
    lines += ["", "`stepkit explain REASON` says what causes it, and what to try"]
    return "\n".join(lines)


def bullets(items: Iterable[str], width: int) -> list[str]:
    """Return each of ``items`` as a bullet, perhaps of several lines."""
    return [_wrapped(item, width, "- ") for item in items]


def _wrapped(text: str, width: int, first: str = "") -> str:
    blanks = " " * len(first)
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=blanks,
        break_long_words=False,
        break_on_hyphens=False,
    )
