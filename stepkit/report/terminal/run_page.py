"""A run on a terminal: verdict, why, steps, notebooks and cells, tests, machine, files."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats import fallback_text, sizes
from stepkit.formats.durations import elapsed
from stepkit.formats.plain_text import plain
from stepkit.formats.shorten import shorten
from stepkit.report import comparison_text, gpu_use
from stepkit.report.cell_counts import cell_counts
from stepkit.report.follow_on_failures import follow_on_failures
from stepkit.report.terminal.cause import what_to_try, why
from stepkit.report.terminal.cells import cell_table
from stepkit.report.terminal.fallback_lines import fallback_lines
from stepkit.report.terminal.words import line_of, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.run_json import RunJson, TestsJson
    from stepkit.report.run_json_notebook import ErrorJson, NotebookJson
    from stepkit.report.terminal.paint import Paint

_COMMIT: Final = 12  # characters of a commit
_BAR: Final = 30  # columns
_LEAST_MESSAGE: Final = 12  # columns
_LEAST_STATUS: Final = 9  # characters
_MOST_NAMES: Final = 5
_MOST_FAILURES: Final = 20
_MOST_PACKAGES: Final = 8
_FIRST: Final = ("page", "notebook")  # roles of the files that people open
_BAD: Final = {"failed", "cancelled", "flaky"}


def run_page(run: RunJson, paint: Paint, *, every: bool = False) -> str:
    """Return the page; nothing in ``run`` can act on the terminal.

    All cells are shown with ``every``, and otherwise those of one notebook, of a long one the
    slowest and the bad ones.
    """
    run = _harmless(run)
    parts = [
        _head(run, paint),
        why(run, paint),
        what_to_try(run, paint),
        _attempts(run, paint),
        _tolerated(run, paint),
        _steps(run, paint),
        _notebooks(run, paint),
        *(cells for cells in _cells(run, paint, every=every)),
        *(_tests(run, tests, paint, every=every) for tests in run["tests"]),
        _comparison(run, paint),
        _machine(run, paint, every=every),
        _files(run, paint),
        _left_out(run, paint),
    ]
    texts = ("\n".join(part).strip("\n") for part in parts)
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(text for text in texts if text))


def _harmless(value: Any) -> Any:
    """Return ``value`` with its texts made plain."""
    if isinstance(value, dict):
        return {plain(key): _harmless(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_harmless(item) for item in value]
    return plain(value) if isinstance(value, str) else value


def _head(run: RunJson, paint: Paint) -> Iterator[str]:
    verdict = paint.state(run["verdict"], line_of(run["headline"]))
    yield f"{verdict}  {paint.strong(line_of(run['title']))}"
    identity = run["identity"]
    took = elapsed(run["duration_ms"] / 1000) if run["duration_ms"] is not None else ""
    started = (run["started"] or "")[:19].replace("T", " ")
    parts = (identity["id"], identity["host"], started and f"{started} UTC", took)
    yield ", ".join(line_of(part) for part in parts if part)
    for repository in run["repositories"]:
        revision = f" ({repository['revision']})" if repository["revision"] else ""
        commit = repository["commit"][:_COMMIT]
        what = f"{commit} of" if commit else "not checked out:"
        yield line_of(f"{what} {repository['url']}{revision}")
    for link in (identity["url"], run["published"]):
        if link:
            yield line_of(link)


def _attempts(run: RunJson, paint: Paint) -> Iterator[str]:
    for notebook in run["notebooks"]:
        if len(notebook["attempts"]) > 1:
            yield paint.strong(f"{name_of(notebook)}: {len(notebook['attempts'])} attempts")
            for attempt in notebook["attempts"]:
                status, time = attempt["status"], elapsed(attempt["duration_ms"] / 1000)
                state = paint.state(status, f"{status:<9}")
                yield f"{state}  {time:>7}  {shorten(line_of(attempt['message']), paint.width)}"


def _tolerated(run: RunJson, paint: Paint) -> Iterator[str]:
    lines = [*_declared(run)]
    if lines:
        yield paint.strong("Tolerated and changed")
        yield from lines


def _declared(run: RunJson) -> Iterator[str]:
    for notebook in run["notebooks"]:
        for cell in notebook["cells"]:
            if cell["status"] == "tolerated":
                error, name = cell["error"], f"cell {cell['number']}"
                raised = _raised(error) if error else "an error"
                yield line_of(f"{notebook['name']}, {name}: {raised}: {cell['tolerance']}")
        for change in notebook["changes"]:
            where = f"cell {change['cell']}" if change["cell"] else "no cell"
            done = "" if change["applied"] else " (not applied)"
            yield line_of(f"{notebook['name']}, {where}: {change['rule']}: {change['what']}{done}")
    for tests in run["tests"]:
        for test in tests["failures"]:
            if test["allowed"]:
                yield line_of(f"{test['name']}: {test['message']}: {test['reason']}")


def _raised(error: ErrorJson) -> str:
    return f"{error['ename']}: {error['evalue']}" if error["evalue"] else error["ename"]


def _steps(run: RunJson, paint: Paint) -> Iterator[str]:
    """Yield each step with a bar on the run's clock."""
    yield paint.strong("Steps")
    total = run["duration_ms"] or 1
    widest = max((len(line_of(step["name"])) for step in run["steps"]), default=0)
    statuses = max((len(step["status"]) for step in run["steps"]), default=0)
    columns = min(_BAR, paint.width // 4)
    for step in run["steps"]:
        begin, length, bar = step["start_ms"], step["duration_ms"], ""
        if begin is not None and length is not None:
            bar = paint.bar(begin / total, length / total, columns)
        time = elapsed(length / 1000) if length is not None else "-"
        rest = f"  {line_of(step['name']):<{widest}}  {time:>7}  {bar.ljust(columns)}  "
        status = step["status"].replace("-", " ").ljust(max(statuses, _LEAST_STATUS))
        room = max(paint.width - len(status + rest), _LEAST_MESSAGE)
        message = shorten(line_of(step["message"]), room)
        yield f"{paint.state(step['status'], status)}{rest}{message}".rstrip()


def _notebooks(run: RunJson, paint: Paint) -> Iterator[str]:
    """Yield a table of the notebooks, if there are several."""
    if len(run["notebooks"]) <= 1:
        return
    passed = sum(n["status"] in {"passed", "tolerated", "reused"} for n in run["notebooks"])
    flaky = sum(n["status"] == "flaky" for n in run["notebooks"])
    also = f", {flaky} flaky" if flaky else ""
    yield paint.strong(f"Notebooks: {passed} of {len(run['notebooks'])} passed{also}")
    widest = max(len(name_of(notebook)) for notebook in run["notebooks"])
    for notebook in run["notebooks"]:
        length = notebook["duration_ms"]
        time = elapsed(length / 1000) if length is not None else "-"
        cells = f"{notebook['cells_run']} of {notebook['cells_total']} cells"
        if notebook["cells_total"] is None:
            cells = "cells unknown"
        status = paint.state(notebook["status"], f"{notebook['status'].replace('-', ' '):<9}")
        line = f"{status}  {name_of(notebook):<{widest}}  {time:>7}  {cells}{_peaks(notebook)}"
        if notebook["cpu_fallback"] is not None:
            line += f", {fallback_text.percent(notebook['cpu_fallback'])} of calls on the CPU"
        reason = f"  {line_of(notebook['message'])}" if notebook["status"] in _BAD else ""
        yield line + reason


def _peaks(notebook: NotebookJson) -> str:
    peaks = {"GPU": notebook["gpu_peak"], "memory": notebook["rss_peak"]}
    shown = [f"{name} {sizes.spell(size)}" for name, size in peaks.items() if size]
    return "".join(f", {part}" for part in (*shown, *gpu_use.spelled(notebook)))


def _cells(run: RunJson, paint: Paint, *, every: bool) -> Iterator[Iterator[str]]:
    """Yield the table of each notebook whose cells are shown: of several, the one that failed."""
    cause = run["cause"]
    for place, notebook in enumerate(run["notebooks"]):
        failed = cause is not None and cause["notebook"] == place
        if notebook["cells"] and (every or failed or len(run["notebooks"]) == 1):
            yield _cells_of(notebook, paint, every=every)


def _cells_of(notebook: NotebookJson, paint: Paint, *, every: bool) -> Iterator[str]:
    limit = notebook["memory_limit"]
    of = f" (limit {sizes.spell(limit)})" if limit else ""
    counts = cell_counts(notebook) or "cells unknown"
    yield paint.strong(f"{name_of(notebook)}: {counts}") + f"{_peaks(notebook)}{of}"
    yield from cell_table(notebook, paint, every=every)
    yield from fallback_lines(notebook, paint, every=every)


def _tests(run: RunJson, tests: TestsJson, paint: Paint, *, every: bool) -> Iterator[str]:
    percent = tests["coverage"]
    coverage = f", coverage of the tests' repository {percent:g} %" if percent is not None else ""
    counts = f"{tests['passed']} of {tests['total']} passed"
    said = line_of(tests["message"]) if tests["total"] is None else counts
    yield paint.strong(f"Tests: {said}") + coverage
    folded = "" if every else follow_on_failures(run, tests)
    if folded:
        yield f"{folded}: --all shows them"
    shown = [test for test in tests["failures"] if test["allowed"] or not folded]
    for test in shown if every else shown[:_MOST_FAILURES]:
        how = "allowed" if test["allowed"] else test["status"]
        state = paint.state("tolerated" if test["allowed"] else "failed", f"{how:<9}")
        yield f"{state}  {line_of(test['name'])}: {shorten(line_of(test['message']), 200)}"
    if not every and len(shown) > _MOST_FAILURES:
        yield paint.faint(f"and {len(shown) - _MOST_FAILURES} more: --all shows them")
    if tests["skips"]:
        names = [f"{line_of(test['name'])} ({line_of(test['reason'])})" for test in tests["skips"]]
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        yield f"skipped: {', '.join(names[:_MOST_NAMES])}{more}"


def _comparison(run: RunJson, paint: Paint) -> Iterator[str]:
    comparison = run["comparison"]
    if comparison:
        yield paint.strong("Compared with an earlier run")
        yield from comparison_text.page(comparison)


def _no_gpu(run: RunJson) -> str:
    looked = run["environment"]["findings"] or any(each["gpu"] for each in run["notebooks"])
    return "no GPU" if looked else ""


def _machine(run: RunJson, paint: Paint, *, every: bool) -> Iterator[str]:
    machine = run["environment"]
    names = [f"{gpu.get('name')}" for gpu in machine["gpus"]]
    gpus = ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)) or _no_gpu(
        run
    )
    cuda = f"CUDA {machine['cuda']}" if machine["cuda"] else ""
    driver = f"driver {machine['driver']}" if machine["driver"] else ""
    limit = machine["memory_limit"]
    memory = f"memory limit {sizes.spell(limit)}" if limit else ""
    image = run["identity"]["image"] or ""
    yield paint.strong("Machine")
    yield line_of(", ".join(part for part in (gpus, driver, cuda, memory, image) if part))
    for notebook in run["notebooks"][:1]:
        if notebook["kernel"]:
            packages = [" ".join(package) for package in notebook["kernel"]["packages"].items()]
            shown = packages if every else packages[:_MOST_PACKAGES]
            more = [f"{len(packages) - len(shown)} more"] if len(shown) < len(packages) else []
            versions = [f"Python {notebook['kernel']['python']}", *shown, *more]
            yield textwrap.fill(line_of(", ".join(versions)), paint.width, break_on_hyphens=False)
    for finding in machine["findings"]:
        if finding["level"] != "ok":
            yield line_of(f"{finding['level']}: {finding['name']}: {finding['message']}")


def _files(run: RunJson, paint: Paint) -> Iterator[str]:
    if run["artifacts"]:
        yield paint.strong("Files")
    ordered = sorted(run["artifacts"], key=lambda artifact: artifact["role"] not in _FIRST)
    widest = max((len(line_of(artifact["path"])) for artifact in ordered), default=0)
    for artifact in ordered:
        size = sizes.spell(artifact["size"], decimal=True)
        yield f"{line_of(artifact['path']):<{widest}}  {size:>9}"


def _left_out(run: RunJson, paint: Paint) -> Iterator[str]:
    if counts := [f"{count} {name}" for name, count in run["left_out"].items() if count]:
        yield paint.faint(f"run.json leaves out, to stay small: {', '.join(counts)}")
