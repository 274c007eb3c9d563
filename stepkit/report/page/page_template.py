"""HTML pages from the templates in ``templates``: escaped, with a policy that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats import ansi_html, fallback_text, plain_text, sizes
from stepkit.formats.durations import elapsed
from stepkit.report import cpu_fallback_text, gpu_use
from stepkit.report.web_links import commit_url, href, web_url

if TYPE_CHECKING:
    from jinja2 import Environment

    from stepkit.report.run_json_notebook import CellJson

_TEMPLATES: Final = Path(__file__).with_name("templates")
# Invisible or harmful in a page; an escape begins a colour and is removed with its code.
_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_SIGNS: Final = {
    "passed": "✓", "succeeded": "✓", "ok": "✓", "expected-error": "✓",
    "passed with tolerated errors": "!", "tolerated": "!", "flaky": "!", "reused": "✓",
    "failed": "✕", "error": "✕", "cancelled": "■", "stopped": "■",
    "incomplete": "…", "not-run": "○", "not-asked-for": "○", "skipped": "○",
}  # fmt: skip
_TONES: Final = {"✓": "ok", "!": "warn", "✕": "bad", "■": "off", "…": "off", "○": "idle"}


def render(template: str, *, rules: str = "", **values: Any) -> str:
    """Return the page of a template that extends ``base.html.j2``, with ``values``.

    Text in ``values`` is escaped wherever a template puts it; control characters that a page
    cannot show are replaced. ``rules`` is CSS that the page needs besides ``report.css``.
    """
    from markupsafe import Markup

    style, script = _read("report.css") + rules, _read("report.js")
    page = (
        _environment()
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704 - made by this package
            script=Markup(script),  # noqa: S704 - a file of this package
            policy=(
                f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
                "img-src data:; base-uri 'none'; form-action 'none'"
            ),
            **values,
        )
    )
    return _CONTROLS.sub("\ufffd", page.replace("\x1b", ""))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        anchor=anchor,
        ansi=lambda text: Markup(_coloured(text)),  # noqa: S704 - escaped
        cells_on_cpu=cpu_fallback_text.cells_on_cpu,
        commit_url=commit_url,
        data=lambda value: Markup(_embed(value)),  # noqa: S704 - escaped
        duration=duration,
        fallback=cpu_fallback_text.spelled,
        gpu_use=gpu_use.spelled,
        hours=gpu_use.spell_hours,
        href=href,
        memory=memory,
        percent=gpu_use.percent,
        moment=moment,
        part=fallback_text.percent,
        share=share,
        sign=lambda status: _SIGNS.get(status, "○"),
        shell=command,
        size=lambda count: "" if count is None else sizes.spell(count, decimal=True),
        tone=lambda status: _TONES[_SIGNS.get(status, "○")],
        web_url=web_url,
        words=lambda status: status.replace("-", " "),
    )
    return environment


@cache
def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _coloured(text: str) -> str:
    return ansi_html.to_html(plain_text.coloured(text), classes_only=True)


def _embed(value: Any) -> str:
    """Return JSON that no element's end can be in."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c")


def anchor(cell: CellJson) -> str:
    """Return the id of a cell's row on a page; one that papermill added has no number."""
    return f"c{cell['number']}" if cell["number"] else f"i{cell['index']}"


def command(words: list[str]) -> str:
    """Spell a command line for a shell, with each option in a line."""
    breaks = [" \\\n  " if word.startswith("--") else " " for word in words]
    return "".join(map("".join, zip(breaks, map(shlex.quote, words), strict=True))).strip()


def duration(milliseconds: float | None) -> str:
    """Spell a length in milliseconds: ``41 ms``, ``1.2 s``, ``3m05s``; ``""`` if unknown."""
    if milliseconds is None:
        return ""
    return f"{milliseconds:.0f} ms" if milliseconds < 100 else elapsed(milliseconds / 1000)  # noqa: PLR2004


def memory(count: float | None) -> str:
    """Spell bytes of memory: ``4.0 GiB``, ``512 MiB``; ``""`` if unknown."""
    if count is None:
        return ""
    sign = "−" if count < 0 else ""  # noqa: RUF001 - a minus sign
    count = abs(count)
    return sign + (sizes.spell(count) if count >= sizes.GIB else f"{count / (1 << 20):.0f} MiB")


def moment(time: str | None) -> str:
    """Spell an ISO-8601 time: ``30 Nov 2026, 10:15 UTC``; what is not one stays as it is."""
    try:
        found = datetime.fromisoformat(time or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return time or ""
    return f"{found.day} {found:%b %Y, %H:%M} UTC"


def share(part: float | None, whole: float | None) -> str:
    """Spell a share as percent: ``44 %``; ``""`` if it is unknown."""
    if part is None or not whole:
        return ""
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 1 or not percent else "< 1 %"
