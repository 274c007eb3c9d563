"""Many small artifacts: collect, publish to a directory, publish again, summarize."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.load.measured import Measured, left_behind, stepkit

_IN_DIRECTORY: Final = 1000


def play(scratch: Path, size: int) -> Iterator[Measured]:
    """List and publish ``size`` files of a few bytes."""
    out, to = scratch / "out", scratch / "published"
    to.mkdir()
    for number in range(size):
        path = out / f"part-{number // _IN_DIRECTORY:03}" / f"{number:06}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    reports = out / "reports"
    report = ("--report", reports / "collect-artifacts.json")
    ran = stepkit("collect-artifacts", size, "--artifacts", out, *report, scratch=scratch)
    listed = json.loads((out / "manifest.json").read_bytes())["artifacts"]
    yield ran.having([f"{len(listed)} of {size} are listed"] * (len(listed) != size))

    report = ("--report", reports / "publish-artifacts.json")
    args = ("--artifacts", out, "--destination", to, "--prefix", "run", *report)
    yield stepkit("publish-artifacts", size, *args, scratch=scratch).having(_lost(to, size))

    again = "publish-artifacts again"
    ran = stepkit("publish-artifacts", size, *args, scratch=scratch, what=again)
    sent = json.loads(report[1].read_bytes())["outputs"]["sent"]
    yield ran.having([f"{sent} files were sent again"] * bool(sent))

    summary = ("--summary", out / "STEP_SUMMARY.md", "--html", out / "report.html")
    ran = stepkit("summarize", size, "--reports", reports, *summary, scratch=scratch)
    record = json.loads((out / "run.json").read_bytes())
    found = len(record["artifacts"]) + record["left_out"].get("artifacts", 0) - 1  # the manifest
    lost = [f"run.json has {found} of {size}"] * (found != size)
    yield ran.having(lost).having(left_behind(scratch))


def _lost(to: Path, size: int) -> Iterator[str]:
    for number in range(size):
        path = to / "run" / f"part-{number // _IN_DIRECTORY:03}" / f"{number:06}.csv"
        if not path.is_file() or path.read_text() != f"{number}\n":
            yield f"{path.relative_to(to)} was not published"
