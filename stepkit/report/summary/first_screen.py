"""The beginning of a summary: verdict and cause, time, commit, GPU, and links; then why."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Final

from stepkit.formats.durations import elapsed
from stepkit.report import gpu_use, reason_texts, web_links
from stepkit.report.fitting_remedies import fitting_remedies
from stepkit.report.summary.checkout_name import name_checkout
from stepkit.report.summary.evidence_block import evidence
from stepkit.report.summary.file_links import linked
from stepkit.report.summary.markdown_text import (
    code,
    count,
    escape,
    folded,
    one_line,
    paragraphs,
    title,
)
from stepkit.report.summary.notebook_sections import STOPPED, cell_name, named, raised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.run_json import CauseJson, RunJson
    from stepkit.report.summary.file_links import FileLinks

_MOST_REPOSITORIES: Final = 4


def first_screen(run: RunJson, links: FileLinks, report: str) -> list[str]:
    """Return the verdict with the facts that one wants first; ``report`` is report.html's name."""
    return paragraphs(
        [f"# {title(run['title'])}: {escape(run['headline'])}"],
        [_outcome(run)],
        _facts(run),
        _open(run, links, report),
    )


def cause_section(run: RunJson, links: FileLinks) -> list[str]:
    """Return why the run did not pass, with its evidence and what to try."""
    cause = run["cause"]
    if cause is None:
        return []
    shown = paragraphs(
        _where(run, cause, links),
        evidence(cause["error"]) if cause["error"] else (),
        _remedy(run, cause),
    )
    return ["## Why", "", *shown] if shown else []


def _outcome(run: RunJson) -> str:
    if cause := run["cause"]:
        exit_code = "" if cause["exit_code"] is None else f", exit code {cause['exit_code']}"
        why = f"({escape(cause['reason'])}{exit_code}): {escape(cause['message'])}"
        return f"**{title(cause['step'])} {cause['status']}** {why}"
    if run["not_run"]:
        return f"**Not run:** {', '.join(map(title, run['not_run']))}"
    steps = run["steps"]
    chosen = [step for step in steps if step["headline"] and not step["row_alone"]] or steps
    said = (f"{title(s['name'])}: {escape(s['message'])}" for s in chosen if s["message"])
    succeeded = f"{count(len(steps), 'step')} succeeded" if steps else ""
    return "; ".join(said) or succeeded or "There are no reports: nothing ran."


def _facts(run: RunJson) -> Iterator[str]:
    facts = []
    if run["duration_ms"] is not None:
        facts.append(f"Took {elapsed(run['duration_ms'] / 1000)}")
    facts += [name_checkout(repository) for repository in run["repositories"][:_MOST_REPOSITORIES]]
    facts += list(_gpus(run))
    facts += gpu_use.spelled(run)
    if run["started"]:
        facts.append(f"started {_minute(run['started'])}")
    if facts:
        yield " · ".join(facts)


def _gpus(run: RunJson) -> Iterator[str]:
    names = Counter(one_line(str(gpu.get("name", ""))) for gpu in run["environment"]["gpus"])
    for name, number in names.items():
        yield (f"{number} x " if number > 1 else "") + (escape(name) or "GPU of an unknown model")
    if not names and any(notebook["gpu"] is not None for notebook in run["notebooks"]):
        yield "no GPU"


def _minute(time: str) -> str:
    try:
        return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return escape(time)


def _open(run: RunJson, links: FileLinks, report: str) -> Iterator[str]:
    shown = []
    if len(run["notebooks"]) == 1:
        notebook = run["notebooks"][0]
        failed = notebook["status"] in {"failed", "cancelled"}
        has_bad_cell = run["cause"] and run["cause"]["cell"] is not None
        page = links.url(notebook["page"], "first-error" if failed and has_bad_cell else "")
        shown += [
            linked("**notebook as a page**", page),
            links.link("executed notebook", notebook["executed"]),
            links.link("its log", notebook["log"]) if failed else "",
        ]
    shown.append(links.link("report with timeline", report))
    shown.append(linked("as published", web_links.web_url(run["published"])))
    shown.append(linked("the job", web_links.web_url(run["identity"]["url"])))
    if found := [text for text in shown if text.startswith("[")]:
        yield f"Open: {', '.join(found)}"


def _where(run: RunJson, cause: CauseJson, links: FileLinks) -> Iterator[str]:
    error = cause["error"]
    if cause["notebook"] is not None and cause["cell"] is not None:
        notebook = run["notebooks"][cause["notebook"]]
        cell = notebook["cells"][cause["cell"]]
        of = f" of {named(notebook)}" if len(run["notebooks"]) > 1 else ""
        name = f"{links.cell(cell_name(cell), notebook, cell)}{of} ({code(cell['title'])})"
        what = escape(raised(cell["error"]))
        yield f"{name} {f'raised **{what}**' if what else STOPPED}"
    elif what := escape(raised(error)):
        yield f"**{what}**"


def _remedy(run: RunJson, cause: CauseJson) -> Iterator[str]:
    if text := reason_texts.find(cause["reason"]):
        yield f"{code(text.reason)}: {escape(text.means)} What to try:"
        yield ""
        yield from (f"- {escape(remedy)}" for remedy in fitting_remedies(run, cause))
        yield ""
        yield from folded("Usual causes", [f"- {escape(cause)}" for cause in text.causes])
