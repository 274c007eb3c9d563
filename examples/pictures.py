r"""Take the pictures of reports that the README shows: of the demo, and of a demo that fails.

It runs both demos, opens their report.html in the Chromium that is installed, and writes
docs/report.png and docs/report-failed.png.

For example:

    make pictures
"""

from __future__ import annotations

import shutil
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
        browser = tool.chromium.launch(executable_path=program, args=["--no-sandbox"])
        sizes = [_take(browser, *report) for report in reports]
        browser.close()
    return int(max(sizes) > MOST_BYTES)


def _run_demo(directory: Path, arguments: list[str]) -> Path:
    demo.main(["--directory", str(directory), *arguments])
    (report,) = directory.glob("*/artifacts/report.html")
    return report


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
