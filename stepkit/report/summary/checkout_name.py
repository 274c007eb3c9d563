"""What a summary calls a checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.report import web_links
from stepkit.report.summary.file_links import linked
from stepkit.report.summary.markdown_text import code, escape, title

if TYPE_CHECKING:
    from stepkit.report.run_json import RepositoryJson

_COMMIT: Final = 12  # characters


def name_checkout(repository: RepositoryJson) -> str:
    """Name what was checked out: ``notebooks at 97959ef3c1a9 (main)``."""
    name = repository["url"].rstrip("/").rpartition("/")[2].removesuffix(".git")
    commit, revision = repository["commit"], repository["revision"]
    if not commit:
        return f"{title(name or repository['step'])} not checked out"
    short = linked(code(commit[:_COMMIT]), web_links.commit_url(repository))
    named = revision not in {"", "HEAD"} and not commit.startswith(revision)
    asked = f" ({escape(revision)})" if named else ""
    return f"{title(name)} at {short}{asked}" if name else f"commit {short}{asked}"
