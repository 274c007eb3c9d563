"""Links of a summary to the files of the run: relative, absolute, or none where they are dead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from stepkit.report import web_links
from stepkit.report.summary.markdown_text import code

if TYPE_CHECKING:
    from stepkit.report.run_json import RunJson
    from stepkit.report.run_json_notebook import CellJson, NotebookJson


@dataclass(frozen=True)
class FileLinks:
    """Where the files of a run are for whoever reads its summary.

    ``base`` is the address of the directory that run.json is in; ``""`` says that the summary lies
    there, too, and None that there is no such address.
    """

    base: str | None

    def url(self, path: str | None, anchor: str = "") -> str:
        """Return the address of a file in that directory, ``""`` if it has none."""
        if self.base is None or not path or not web_links.is_inside(path):
            return ""
        begin = f"{self.base.rstrip('/')}/" if self.base else ""
        return begin + web_links.href(path, anchor)

    def link(self, text: str, path: str | None, anchor: str = "") -> str:
        """Return ``text``, which is Markdown, as a link to a file if that has an address."""
        return linked(text, self.url(path, anchor))

    def file(self, path: str) -> str:
        """Return the name of a file, as a link if it has an address."""
        return self.link(code(path), path)

    def cell(self, text: str, notebook: NotebookJson, cell: CellJson) -> str:
        """Return ``text`` as a link to a cell on the notebook's page; an injected one has none."""
        page = notebook["page"] if cell["number"] else None
        return self.link(text, page, f"cell-{cell['number']}")


def published_directory(run: RunJson) -> str:
    """Return the web address that the directory of run.json was published at, ``""`` if unknown.

    It is known where the published address ends with the path of an artifact.
    """
    url = web_links.web_url(run["published"])
    ends = (f"/{web_links.href(artifact['path'])}" for artifact in run["artifacts"])
    return next((url.removesuffix(end) for end in ends if url.endswith(end)), "")


def linked(text: str, url: str) -> str:
    """Return ``text``, which is Markdown, as a link to ``url``; without one, as it is."""
    target = re.sub(r"[\s()<>\\|]", lambda found: quote(found[0]), url)
    return f"[{text}]({target})" if url else text
