"""A run as Markdown, for GitHub's job summary and for people: the verdict first."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stepkit.report.model import Entry, Run

_COUNTS: Final = ("total", "passed", "failed", "errors", "skipped", "allowed", "coverage")
_SLOWEST: Final = 5
_MOST_FAILURES: Final = 20
_MOST_FAILURE_TEXT: Final = 160  # characters; the HTML report has the rest
_HASH_LENGTH: Final = 12  # characters of a sha256 that people compare
_MOST_TEXT: Final = 400  # characters of a message in a table


def render(run: Run, *, beside: Path) -> str:
    """Return the summary of ``run``; artifacts below ``beside`` are linked by relative path."""
    sections = [
        _headline(run),
        _steps(run),
        *(_cells(entry) for entry in run.of_step("execute-notebook")),
        *(_tests(entry) for entry in run.of_step("run-tests")),
        _artifacts(run, beside),
        _versions(run),
    ]
    return "\n\n".join("\n".join(section) for section in map(list, sections) if section) + "\n"


def escape(text: str) -> str:
    """Make foreign text one harmless line of Markdown: no HTML, table or link of its own.

    What stands between two backticks stays code.
    """
    line = _one_line(text)
    if len(line) > _MOST_TEXT:
        line = line[: _MOST_TEXT - 3] + "..."
    parts = line.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        return _plain(line)
    shown = (_code(part) if number % 2 else _plain(part) for number, part in enumerate(parts))
    return "".join(shown)


def _one_line(text: str) -> str:
    """Join lines, and show what no page can hold (control characters, half characters) as such."""
    shown = " ".join(text.split())
    return "".join("\ufffd" if unicodedata.category(c) in {"Cc", "Cs"} else c for c in shown)


def _plain(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|\[\]*_~#`])", r"\\\1", text)


def _code(text: str) -> str:
    return "`" + text.replace("|", r"\|") + "`" if text.strip() else ""


def duration(seconds: float) -> str:
    """Spell seconds for people: ``1.2 s``, ``3m05s``, ``1h02m``."""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}h{minutes_left:02d}m" if hours else f"{minutes}m{rest:02d}s"


def size(count: float) -> str:
    """Spell a number of bytes for people, in powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; cells are Markdown already."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _headline(run: Run) -> Iterator[str]:
    yield f"# {escape(run.title)}: {run.verdict}"
    yield ""
    if cause := run.cause:
        code = "" if cause.exit_code is None else f", exit code {cause.exit_code}"
        why = f"({escape(cause.reason)}{code}): {escape(cause.message)}"
        yield f"**{escape(cause.name)} {cause.status}** {why}"
    elif missing := [entry.name for entry in run.entries if entry.status == "not run"]:
        yield f"**Not run:** {', '.join(map(escape, missing))}"
    else:
        said = (f"{escape(e.name)}: {escape(e.message)}" for e in run.entries if e.message)
        yield "; ".join(said) or "There are no reports: nothing ran."


def _steps(run: Run) -> Iterator[str]:
    yield "## Steps"
    yield ""
    yield from table(("step", "status", "time", "what"), map(_step_row, run.entries))


def _step_row(entry: Entry) -> tuple[str, str, str, str]:
    status = f"**{entry.status}**" if entry.bad else entry.status
    what = entry.message or f"commit {str(entry.output('commit'))[:_HASH_LENGTH]}"
    if not entry.message and not entry.output("commit"):
        what = ""
    time = duration(entry.seconds) if entry.data else ""
    return escape(entry.name), status, time, escape(what)


def _cells(entry: Entry) -> Iterator[str]:
    cells: list[dict[str, Any]] = entry.output("cells") or []
    if not cells:
        return
    ran, total = entry.output("cells-run"), entry.output("cells-total")
    heading = _heading("Notebook", entry, "execute-notebook")
    yield f"## {heading}: {escape(str(ran))} of {escape(str(total))} cells ran"
    if failed := [cell for cell in cells if cell["status"] in {"error", "stopped"}]:
        yield from _failed_cell(failed[0])
    timed = sorted((c for c in cells if c["seconds"]), key=lambda c: -c["seconds"])[:_SLOWEST]
    yield ""
    rows = (
        (_number(c), duration(c["seconds"]), escape(c["status"]), escape(f"`{c['first_line']}`"))
        for c in timed
    )
    yield from table(("slowest cells", "time", "status", "first line"), rows)


def _number(cell: dict[str, Any]) -> str:
    return str(cell["number"] or "parameters")


def _failed_cell(cell: dict[str, Any]) -> Iterator[str]:
    error = f"{cell['ename']}: {cell['evalue']}".strip(": ")
    what = f"raised {escape(error)}" if error else "was running when the execution ended"
    yield ""
    name = f"Cell {cell['number']}" if cell["number"] else "The cell of injected parameters"
    yield f"{name} {what}:"
    yield ""
    yield f"    {_one_line(cell['first_line'])}"


def _tests(entry: Entry) -> Iterator[str]:
    total = entry.output("total")
    heading = _heading("Tests", entry, "run-tests")
    if total is None:
        yield f"## {heading}: totals unknown"
        yield ""
        yield escape(entry.message)
        return
    yield f"## {heading}: {escape(str(entry.output('passed')))} of {escape(str(total))} passed"
    yield ""
    yield from table(_COUNTS, [[escape(str(entry.output(name))) for name in _COUNTS]])
    if installer := entry.output("installer"):
        why = escape(str(entry.output("installer-reason")))
        yield ""
        yield f"Test packages by {escape(installer)}: {why}."
    failures: list[dict[str, Any]] = entry.output("failures") or []
    if failures:
        yield ""
    for failure in failures[:_MOST_FAILURES]:
        allowed = f" (allowed: {escape(str(failure['reason']))})" if failure.get("allowed") else ""
        text = str(failure["message"])[:_MOST_FAILURE_TEXT]
        yield f"- {escape(failure['name'])}: {escape(text)}{allowed}"
    if len(failures) > _MOST_FAILURES:
        yield f"- and {len(failures) - _MOST_FAILURES} more"


def _artifacts(run: Run, beside: Path) -> Iterator[str]:
    files = {a["path"]: a for entry in run.entries for a in entry.data.get("artifacts", ())}
    if not files:
        return
    yield "## Artifacts"
    yield ""
    rows = (
        (_link(path, beside), size(a["size"]), escape(f"`{a['sha256'][:_HASH_LENGTH]}`"))
        for path, a in files.items()
    )
    yield from table(("file", "size", "sha256"), rows)


def _link(path: str, beside: Path) -> str:
    try:
        relative = Path(path).relative_to(beside).as_posix()
    except ValueError:
        return escape(path)
    return f"[{escape(relative)}](<{quote(relative, errors='replace')}>)"


def _versions(run: Run) -> Iterator[str]:
    versions: dict[str, str] = {}
    for entry in run.entries:
        versions |= entry.data.get("versions", {})
    if versions:
        yield "Versions: " + ", ".join(f"{escape(n)} {escape(v)}" for n, v in versions.items())


def _heading(what: str, entry: Entry, usual: str) -> str:
    return what if entry.name == usual else f"{what} ({escape(entry.name)})"
