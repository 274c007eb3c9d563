"""The attempts of a notebook that ran more than once, and what ended those before the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepkit.formats.durations import elapsed
from stepkit.report.summary import gpu_lines
from stepkit.report.summary.evidence_block import evidence
from stepkit.report.summary.markdown_text import code, escape, folded, paragraphs, status, table

if TYPE_CHECKING:
    from stepkit.report.run_json_notebook import NotebookJson
    from stepkit.report.summary.file_links import FileLinks


def lines(notebook: NotebookJson, links: FileLinks) -> list[str]:
    """Return a row for each attempt, if there are several, and the evidence of each failure.

    The number of an attempt is a link to the notebook that it executed.
    """
    attempts = notebook["attempts"]
    if len(attempts) <= 1:
        return []
    allocators = {attempt["allocator"] for attempt in attempts}
    reasons = [attempt["reason"] for attempt in attempts]
    columns = {
        "attempt": [links.link(str(a["number"]), a["executed"]) for a in attempts],
        "allocator": [escape(a["allocator"]) if len(allocators) > 1 else "" for a in attempts],
        "status": [status(attempt["status"]) for attempt in attempts],
        "reason": [code(reason) if reason not in {"", "ok"} else "" for reason in reasons],
        "time": [elapsed(attempt["duration_ms"] / 1000) for attempt in attempts],
        "GPU peak": [gpu_lines.memory(attempt["gpu_peak"]) for attempt in attempts],
        "what": [escape(attempt["message"]) for attempt in attempts],
    }
    filled = {name: column for name, column in columns.items() if any(column)}
    failures = [(a["number"], evidence(a["error"])) for a in attempts[:-1] if a["error"]]
    return paragraphs(
        table(list(filled), zip(*filled.values(), strict=True)),
        *(folded(f"What ended attempt {number}", shown) for number, shown in failures if shown),
    )
