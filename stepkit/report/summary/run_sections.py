"""The parts of a summary about the whole run: steps, tests, comparison, files, versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.formats import sizes
from stepkit.formats.durations import elapsed
from stepkit.report import comparison_text, earlier_run
from stepkit.report.follow_on_failures import follow_on_failures
from stepkit.report.summary.markdown_text import (
    block,
    code,
    count,
    escape,
    folded,
    paragraphs,
    status,
    table,
    title,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.report.run_json import RunJson, StepJson, TestJson, TestsJson
    from stepkit.report.summary.file_links import FileLinks

_WELL: Final = {"succeeded", "reused", "not-asked-for"}
_MOST_ROWS: Final = 200
_MOST_FAILURES: Final = 20
_MOST_TEXTS: Final = 5  # failures with their text
_MOST_SKIPS: Final = 20
_MOST_DIFFERENCES: Final = 20  # more than these are folded away
_ROLES: Final = ("page", "notebook", "tests", "coverage", "data", "", "timeline", "log")


def steps(run: RunJson) -> list[str]:
    """Return the table of steps, folded when all succeeded, and which of them ran twice."""
    shown = run["steps"]
    if len(shown) > _MOST_ROWS:
        shown = sorted(shown, key=lambda step: step["status"] in _WELL)[:_MOST_ROWS]
    left = len(run["steps"]) - len(shown)
    rows = [
        *table(("step", "status", "time", "what"), (_step(run, step) for step in shown)),
        *([] if not left else ["", f"and {count(left, 'more step')}"]),
    ]
    green = run["steps"] and all(step["status"] in _WELL for step in run["steps"])
    statuses = [step["status"] for step in run["steps"]]
    again = [
        f"{escape(earlier_run.sentence(step['name'], step['earlier']))}."
        for step in run["steps"]
        if step["earlier"]
    ]
    what = count(len(run["steps"]), "step")
    return paragraphs(
        folded(what + _ended(statuses), rows) if green else ["## Steps", "", *rows],
        *([line] for line in again),
    )


def _ended(statuses: Sequence[str]) -> str:
    """Return how steps ended that all ended well."""
    counts = {"reused": statuses.count("reused"), "not asked for": statuses.count("not-asked-for")}
    others = [f"{number} of them {how}" for how, number in counts.items() if number]
    if sum(counts.values()) == len(statuses):
        return f", {' and '.join(how for how, number in counts.items() if number)}"
    if others:
        return f", {', '.join(others)}, all others succeeded"
    return ", all succeeded" if len(statuses) > 1 else ", succeeded"


def _step(run: RunJson, step: StepJson) -> tuple[str, ...]:
    what = escape(step["message"])
    for repository in run["repositories"] if not what else ():
        if repository["step"] == step["name"] and repository["commit"]:
            what = f"commit {escape(repository['commit'][:12])}"
    time = "" if step["duration_ms"] is None else elapsed(step["duration_ms"] / 1000)
    return title(step["name"]), status(step["status"]), time, what


def tests(run: RunJson, suite: TestsJson, links: FileLinks) -> list[str]:
    """Return the section of one run of a test suite."""
    several = len(run["tests"]) > 1
    name = f"Tests ({title(suite['step'])})" if several else "Tests"
    total, passed = suite["total"], suite["passed"]
    if total is None or passed is None:
        return paragraphs([f"## {name}: totals unknown"], [escape(suite["message"])])
    counts = [f"{passed} of {total} passed"]
    for number, what in (
        (suite["failed"], "failed"),
        (suite["errors"], "with an error" if suite["errors"] == 1 else "with errors"),
        (suite["skipped"], "skipped"),
        (suite["allowed"], "allowed to fail"),
    ):
        if number:
            counts.append(f"{number} {what}")
    if suite["coverage"] is not None:
        counts.append(f"coverage of the tests' repository {suite['coverage']:g} %")
    follows = follow_on_failures(run, suite)
    files = {"pytest's report": suite["report"], "log": suite["log"]}
    shown = [links.link(text, path) for text, path in files.items() if links.url(path)]
    return paragraphs(
        [f"## {name}: {', '.join(counts)}"],
        [f"Open: {', '.join(shown)}"] if shown else [],
        folded(follows, _failures(suite)) if follows else _failures(suite),
        _skips(suite),
    )


def _failures(suite: TestsJson) -> list[str]:
    failures = sorted(suite["failures"], key=lambda failure: failure["allowed"])
    lines = []
    for failure in failures[:_MOST_FAILURES]:
        allowed = f" (allowed: {escape(failure['reason'])})" if failure["allowed"] else ""
        lines.append(f"- {title(failure['name'])}: {escape(failure['message'])}{allowed}")
    if rest := failures[_MOST_FAILURES:]:
        lines.append(f"- and {len(rest)} more")
    with_text = [failure for failure in failures if failure["text"].strip()][:_MOST_TEXTS]
    return paragraphs(
        lines, *(folded(failure["name"], block(failure["text"])) for failure in with_text)
    )


def _skips(suite: TestsJson) -> list[str]:
    skips: list[TestJson] = suite["skips"]
    lines = [f"- {title(skip['name'])}: {escape(skip['reason'])}" for skip in skips[:_MOST_SKIPS]]
    if rest := skips[_MOST_SKIPS:]:
        lines.append(f"- and {len(rest)} more")
    return list(folded(count(len(skips), "skipped test"), lines)) if lines else []


def comparison(run: RunJson) -> list[str]:
    """Return how the run differs from the one that it was compared with."""
    found = run["comparison"]
    if found is None:
        return []
    rows = [
        (escape(row.what), escape(row.before), escape(row.now), escape(row.change))
        for row in comparison_text.rows(found)
    ]
    head = ("what", "before", "now", "change")
    first, rest = rows[:_MOST_DIFFERENCES], rows[_MOST_DIFFERENCES:_MOST_ROWS]
    return paragraphs(
        ["## Compared with an earlier run"],
        [escape(found["message"])],
        *([f"**Regression:** {escape(sentence)}"] for sentence in found["regressions"][:50]),
        table(head, first) if first else (),
        folded(count(len(rest), "more difference"), table(head, rest)) if rest else (),
        [f"- {escape(note)}" for note in found["notes"][:50]],
    )


def files(run: RunJson, links: FileLinks) -> list[str]:
    """Return the artifacts, folded: what one opens first comes first."""
    artifacts = sorted(run["artifacts"], key=lambda artifact: _ROLES.index(artifact["role"]))
    if not artifacts:
        return []
    size = sum(artifact["size"] for artifact in artifacts)
    rows = (
        (links.file(artifact["path"]), sizes.spell(artifact["size"], decimal=True))
        for artifact in artifacts[:_MOST_ROWS]
    )
    left = len(artifacts) - _MOST_ROWS
    lines = [*table(("file", "size"), rows), *(["", f"and {left} more"] if left > 0 else [])]
    what = f"{count(len(artifacts), 'file')}, {sizes.spell(size, decimal=True)}"
    return list(folded(what, lines))


def versions(run: RunJson) -> list[str]:
    """Return what the run was made with."""
    identity = run["identity"]
    image = identity["image"] or ""
    if digest := identity["image_digest"]:
        image = f"{image}@{digest}" if "@" not in image else image
    made = [title(f"{name} {version}") for name, version in run["versions"].items()]
    sentences = [
        f"Run by {', '.join(made)}." if made else "",
        f"Image {code(image)}." if image else "",
        f"Run {title(identity['id'])}." if identity["id"] else "",
    ]
    line = " ".join(filter(None, sentences))
    return [line] if line else []
