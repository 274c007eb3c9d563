"""A page as PDF, printed by the Chromium that is installed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.system import atomic_files, process

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_LONGEST: Final = 120.0  # seconds; a page takes two


def print_pdf(page: Path, pdf: Path) -> None:
    """Write a page of ours to ``pdf``, whole or not at all.

    Raises :class:`ConfigurationError` if there is no Chromium, and :class:`ToolError` if it fails.
    """
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        raise ConfigurationError(
            f"{pdf} needs Chromium, and there is none of {', '.join(_NAMES)} on PATH: install it, "
            f"or print {page} from a browser",
            reason=Reason.NOT_FOUND,
        )
    with (
        atomic_files.explaining(f"cannot write {pdf}"),
        tempfile.TemporaryDirectory(prefix="stepkit-pdf-") as directory,
    ):
        made = Path(directory, "page.pdf")
        done = process.run(
            [
                program,
                "--headless",
                # A container without privileges has no place for its sandbox; the page's policy
                # lets no script run but our own.
                "--no-sandbox",
                # The page needs no network, and Chromium would ask for updates of its own.
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--disable-dev-shm-usage",
                f"--user-data-dir={directory}/profile",
                "--no-pdf-header-footer",
                f"--print-to-pdf={made}",
                page.as_uri(),
            ],
            timeout=_LONGEST,
        )
        if not made.is_file():
            # Chromium complains of a message bus wherever there is none.
            lines = [line for line in done.output.splitlines() if line and "dbus" not in line]
            said = f"says: {lines[-1]}" if lines else "printed nothing"
            why = f"did not end within {_LONGEST:g} s" if done.timed_out else said
            raise ToolError(f"cannot write {pdf}: {program} {why}")
        atomic_files.copy_atomically(made, pdf)
