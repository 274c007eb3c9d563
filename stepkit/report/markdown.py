"""A run as Markdown, for GitHub's job summary and for people: the verdict first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from stepkit.formats import sizes
from stepkit.formats.durations import elapsed
from stepkit.report import earlier_run, notebooks
from stepkit.report.markdown_escape import escape, folded, heading, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.steps_of_run import Entry, Run

_COUNTS: Final = ("total", "passed", "failed", "errors", "skipped", "allowed", "coverage")
_MOST_FAILURES: Final = 20
_MOST_FAILURE_TEXT: Final = 160  # characters; the HTML report has the rest
_MOST_FILES: Final = 20  # more than these are folded away
_HASH_LENGTH: Final = 12  # characters of a sha256 that people compare


def render(run: Run, *, beside: Path) -> str:
    """Return the summary of ``run``; artifacts below ``beside`` are linked by relative path."""
    sections = [
        _headline(run),
        _steps(run),
        *(notebooks.several(entry) for entry in run.of_section("notebooks")),
        *notebooks.each(run.of_section("notebook")),
        *(_tests(entry) for entry in run.of_section("tests")),
        _artifacts(run, beside),
        _versions(run),
    ]
    return "\n\n".join("\n".join(section) for section in map(list, sections) if section) + "\n"


def _headline(run: Run) -> Iterator[str]:
    yield f"# {escape(run.title)}: {run.headline}"
    yield ""
    if cause := run.cause:
        code = "" if cause.exit_code is None else f", exit code {cause.exit_code}"
        why = f"({escape(cause.reason)}{code}): {escape(cause.message)}"
        yield f"**{escape(cause.name)} {cause.status}** {why}"
    elif run.not_run:
        yield f"**Not run:** {', '.join(map(escape, run.not_run))}"
    else:
        chosen = [e for e in run.steps if e.in_report.headline and not e.row_alone] or run.steps
        said = (f"{escape(e.name)}: {escape(e.message)}" for e in chosen if e.message)
        yield "; ".join(said) or "There are no reports: nothing ran."


def _steps(run: Run) -> Iterator[str]:
    yield "## Steps"
    yield ""
    rows = []
    for entry in run.steps:
        what, commit = entry.message, entry.output("commit")
        if not what and commit:
            what = f"commit {str(commit)[:_HASH_LENGTH]}"
        status = f"**{entry.status}**" if entry.bad else entry.status
        time = elapsed(entry.seconds) if entry.data else ""
        rows.append((escape(entry.name), status, time, escape(what)))
    yield from table(("step", "status", "time", "what"), rows)
    for entry in run.entries:
        if entry.earlier:
            yield ""
            yield f"{escape(earlier_run.sentence(entry.name, entry.earlier))}."


def _tests(entry: Entry) -> Iterator[str]:
    total = entry.output("total")
    title = heading("Tests", entry)
    if total is None:
        yield f"## {title}: totals unknown"
        yield ""
        yield escape(entry.message)
        return
    yield f"## {title}: {escape(str(entry.output('passed')))} of {escape(str(total))} passed"
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
    rows = []
    for path, artifact in files.items():
        try:
            relative = Path(path).relative_to(beside).as_posix()
        except ValueError:
            shown = escape(path)
        else:
            shown = f"[{escape(relative)}](<{quote(relative, errors='replace')}>)"
        checksum = escape(f"`{artifact['sha256'][:_HASH_LENGTH]}`")
        rows.append((shown, sizes.spell(artifact["size"], decimal=True), checksum))
    lines = table(("file", "size", "sha256"), rows)
    yield "## Artifacts"
    yield ""
    yield from folded(f"{len(files)} files", lines) if len(files) > _MOST_FILES else lines


def _versions(run: Run) -> Iterator[str]:
    versions: dict[str, str] = {}
    for entry in run.entries:
        versions |= entry.data.get("versions", {})
    if versions:
        yield "Versions: " + ", ".join(f"{escape(n)} {escape(v)}" for n, v in versions.items())
