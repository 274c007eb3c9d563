r"""Take the pictures of reports that the documentation shows, in the Chromium that is installed.

It runs the demo and one that fails, and writes their report.html as docs/report.png and
docs/report-failed.png. docs/github-summary.png is the summary of a job whose notebook fails: its
Markdown, rendered here in the style of GitHub.

For example:

    make pictures
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from examples import demo

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DOCS: Final = demo.ROOT / "docs"
# The name of a picture, the arguments of its demo, and the pixels from the top that it shows.
PICTURES: Final[tuple[tuple[str, list[str], int], ...]] = (
    ("report.png", [], 1210),
    ("report-failed.png", ["--notebook", "notebooks/failing/cell_error.ipynb"], 1080),
)
FAILS: Final = "examples/notebooks-repository/notebooks/failing/cell_error.ipynb"
# What GitHub's style sheet makes of a summary, in short.
STYLE: Final = """
body { font: 16px/1.5 -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif;
  color: #1f2328; max-width: 1000px; margin: 24px auto; }
h1, h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: .3em; }
a { color: #0969da; }
table { border-collapse: collapse; } th, td { border: 1px solid #d1d9e0; padding: 6px 13px; }
code, pre { font: 13.6px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; background: #f0f2f4;
  border-radius: 6px; } code { padding: .2em .4em; } pre { padding: 16px; } pre code { padding: 0; }
"""
WIDTH: Final = 1200
MOST_BYTES: Final = 200_000


def main() -> int:
    """Run the demos and take the pictures; return 2 if there is no Chromium, 1 if one is large."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        print(f"pictures: there is none of {', '.join(names)} on PATH", file=sys.stderr)
        return 2
    with TemporaryDirectory(prefix="stepkit-pictures-") as directory, sync_playwright() as tool:
        reports = [
            (_run_demo(Path(directory, name), arguments), DOCS / name, height)
            for name, arguments, height in PICTURES
        ]
        reports.append((_write_summary(Path(directory)), DOCS / "github-summary.png", 700))
        browser = tool.chromium.launch(executable_path=program, args=["--no-sandbox"])
        sizes = [_take(browser, *report) for report in reports]
        browser.close()
    return int(max(sizes) > MOST_BYTES)


def _run_demo(directory: Path, arguments: list[str]) -> Path:
    demo.main(["--directory", str(directory), *arguments])
    (report,) = directory.glob("*/artifacts/report.html")
    return report


def _write_summary(directory: Path) -> Path:
    """Run what the GitHub action runs, and render the summary that it gives to the job."""
    from markdown_it import MarkdownIt

    reports, summary = directory / "out/reports", directory / "github.md"
    stepkit = f"{sys.executable} -P -m stepkit"
    notebooks = f"--notebooks {demo.ROOT / FAILS} --directory {reports.parent}"
    files = f"--summary {reports.parent}/STEP_SUMMARY.md --github-summary {summary}"
    for command in (
        f"{stepkit} execute-notebooks {notebooks}",
        f"{stepkit} summarize --reports {reports} --expect execute-notebooks {files}",
    ):
        subprocess.run(command.split(), check=False)  # noqa: S603 - no shell
    text = f"[Report](#) · [all files](#)\n\n{summary.read_text(encoding='utf-8')}"
    html = MarkdownIt("commonmark").enable("table").render(text)
    page = directory / "summary.html"
    page.write_text(f'<meta charset="utf-8"><style>{STYLE}</style>{html}', encoding="utf-8")
    return page


def _take(browser: Browser, report: Path, picture: Path, height: int) -> int:
    page = browser.new_page(
        viewport={"width": WIDTH, "height": height}, color_scheme="light", device_scale_factor=1.25
    )
    page.goto(report.as_uri())
    page.screenshot(path=picture)
    page.close()
    size = picture.stat().st_size
    print(f"{picture.relative_to(demo.ROOT)}: {size / 1000:.0f} kB")
    return size


if __name__ == "__main__":
    sys.exit(main())
